/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens to attach lists, and what their flushes send
 *
 * Lists are identified by their address, which is printed hashed. The names of IOMMUs and
 * devices are read while an attachment keeps both alive. Users is the number of attachments
 * of the group after the event.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommu_alist

#if !defined(_TRACE_IOMMU_ALIST_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IOMMU_ALIST_H

#include <linux/device.h>
#include <linux/iommu-alist.h>
#include <linux/tracepoint.h>

#define iommu_alist_dev_name(dev)	((dev) ? dev_name(dev) : NULL)

DECLARE_EVENT_CLASS(iommu_alist_elm,

	TP_PROTO(const struct iommu_attach_elm *elm),

	TP_ARGS(elm),

	TP_STRUCT__entry(
		__field(const void *, alist)
		__field(u64, tag)
		__field(u64, atc)
		__field(u32, pasid)
		__field(u32, users)
		__field(u8, kind)
		__field(bool, using_atc)
		__string(iommu, iommu_alist_dev_name(elm->iommu_device->dev))
		__string(device, iommu_alist_dev_name(iommu_attach_elm_device(elm)))
	),

	TP_fast_assign(
		__entry->alist = elm->alist;
		__entry->tag = elm->tag;
		__entry->atc = elm->atc;
		__entry->pasid = elm->pasid;
		__entry->kind = elm->kind;
		__entry->using_atc = elm->using_atc;
		__entry->users = elm->group->users;
		__assign_str(iommu);
		__assign_str(device);
	),

	TP_printk("alist=%p iommu=%s device=%s pasid=%u %s tag=%llu users=%u atc=%llx %s",
		  __entry->alist, __get_str(iommu), __get_str(device), __entry->pasid,
		  __print_symbolic(__entry->kind,
				   { IOMMU_ATTACH_OWN, "own" },
				   { IOMMU_ATTACH_NEST, "nest" }),
		  __entry->tag, __entry->users, __entry->atc,
		  __entry->using_atc ? "on" : "off")
);

DEFINE_EVENT(iommu_alist_elm, iommu_alist_add,
	TP_PROTO(const struct iommu_attach_elm *elm),
	TP_ARGS(elm)
);

DEFINE_EVENT(iommu_alist_elm, iommu_alist_del,
	TP_PROTO(const struct iommu_attach_elm *elm),
	TP_ARGS(elm)
);

/* The device began to use its ATC, or ceased to. */
DEFINE_EVENT(iommu_alist_elm, iommu_alist_atc,
	TP_PROTO(const struct iommu_attach_elm *elm),
	TP_ARGS(elm)
);

/* Waiting for flushes, and with a grace period: the fence of an IOMMU. */
DECLARE_EVENT_CLASS(iommu_alist_fence,

	TP_PROTO(const struct iommu_attach_fence *fence, bool done),

	TP_ARGS(fence, done),

	TP_STRUCT__entry(
		__field(const void *, fence)
		__field(bool, done)
	),

	TP_fast_assign(
		__entry->fence = fence;
		__entry->done = done;
	),

	TP_printk("fence=%p %s", __entry->fence, __entry->done ? "end" : "begin")
);

DEFINE_EVENT(iommu_alist_fence, iommu_alist_fence,
	TP_PROTO(const struct iommu_attach_fence *fence, bool done),
	TP_ARGS(fence, done)
);

DEFINE_EVENT(iommu_alist_fence, iommu_alist_drain,
	TP_PROTO(const struct iommu_attach_fence *fence, bool done),
	TP_ARGS(fence, done)
);

/* What was sent: commands for groups and for ATC targets, and completion waits. */
TRACE_EVENT(iommu_alist_flush,

	TP_PROTO(const struct iommu_attach_list *alist,
		 const struct iommu_attach_count *count, int error),

	TP_ARGS(alist, count, error),

	TP_STRUCT__entry(
		__field(const void *, alist)
		__field(u32, groups)
		__field(u32, atcs)
		__field(u32, submits)
		__field(int, error)
	),

	TP_fast_assign(
		__entry->alist = alist;
		__entry->groups = count->groups;
		__entry->atcs = count->atcs;
		__entry->submits = count->submits;
		__entry->error = error;
	),

	TP_printk("alist=%p groups=%u atcs=%u submits=%u error=%d", __entry->alist,
		  __entry->groups, __entry->atcs, __entry->submits, __entry->error)
);

/* An ATC target did not answer a flush. */
TRACE_EVENT(iommu_alist_silent,

	TP_PROTO(const struct iommu_device *iommu_device, u64 atc),

	TP_ARGS(iommu_device, atc),

	TP_STRUCT__entry(
		__field(u64, atc)
		__string(iommu, iommu_alist_dev_name(iommu_device->dev))
	),

	TP_fast_assign(
		__entry->atc = atc;
		__assign_str(iommu);
	),

	TP_printk("iommu=%s atc=%llx", __get_str(iommu), __entry->atc)
);

#endif /* _TRACE_IOMMU_ALIST_H */

#include <trace/define_trace.h>
