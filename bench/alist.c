// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attach list itself
 *
 * The walk is written with the iterators, the flush is iommu_attach_flush_inline() with
 * constant callbacks; a second layout calls iommu_attach_flush() instead. A nest is measured on the list of the parent; the list of its S1 domain
 * is part of the attachment.
 */
#include <stdlib.h>

#include <linux/iommu-alist.h>

#include "layout.h"

struct alist_domain {
	struct iommu_attach_list alist;
};

struct alist_nest {
	struct iommu_attach_nest nest;
	struct iommu_attach_list s1;
};

/* Of each IOMMU. */
static struct iommu_attach_fence fences[MAX_IOMMUS];

struct iommu_attach_fence *alist_fence(u32 iommu_index)
{
	return &fences[iommu_index];
}

static void fences_init(void)
{
	u32 i;

	if (fences[0].cur)
		return;
	for (i = 0; i < MAX_IOMMUS; i++) {
		if (iommu_attach_fence_init(&fences[i]))
			abort();
	}
}

static void alist_init(void *domain)
{
	struct alist_domain *d = domain;

	fences_init();
	iommu_attach_init(&d->alist);
}

static void alist_exit(void *domain)
{
	struct alist_domain *d = domain;

	iommu_attach_destroy(&d->alist);
}

static void fill(struct iommu_attach_elm *elm, const struct endpoint *ep)
{
	elm->iommu_device = ep->iommu;
	elm->fence = &fences[ep->iommu_index];
	elm->tag = ep->tag;
	elm->atc = ep->atc;
	elm->using_atc = ep->ats;
}

static int alist_attach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct iommu_attach_elm *elm = attachment;
	struct alist_nest *nest = attachment;
	struct alist_domain *d = domain;
	int ret;

	if (ep->nest) {
		fill(&nest->nest.s1, ep);
		fill(&nest->nest.s2, ep);
		iommu_attach_init(&nest->s1);
		ret = iommu_attach_add_nest(&nest->s1, &d->alist, &nest->nest);
	} else {
		fill(elm, ep);
		ret = iommu_attach_add(&d->alist, elm);
	}
	return ret < 0 ? ret : 0;
}

static void alist_detach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct iommu_attach_elm *elm = attachment;
	struct alist_nest *nest = attachment;
	struct alist_domain *d = domain;

	if (ep->nest) {
		iommu_attach_del_nest(&nest->s1, &d->alist, &nest->nest);
		iommu_attach_destroy(&nest->s1);
	} else {
		iommu_attach_del(&d->alist, elm);
	}
}

static __always_inline unsigned int iotlb_op(const struct iommu_attach_group *group)
{
	_Static_assert(OP_IOTLB + IOMMU_ATTACH_OWN == OP_IOTLB &&
		       OP_IOTLB + IOMMU_ATTACH_NEST == OP_NEST, "");
	return OP_IOTLB + group->kind;
}

static __always_inline unsigned int atc_op(const struct iommu_attach_group *group)
{
	_Static_assert(OP_ATC + IOMMU_ATTACH_OWN == OP_ATC &&
		       OP_ATC + IOMMU_ATTACH_NEST == OP_ATC_ALL, "");
	return OP_ATC + group->kind;
}

static void alist_walk(void *domain, struct sink *queue)
{
	const struct iommu_attach_group *group;
	struct alist_domain *d = domain;
	struct iommu_attach_walk walk;
	u64 atc;
	struct sink sink = sink_open(queue);

	iommu_attach_walk_begin(&walk, &d->alist);
	iommu_attach_for_each_group(group, &walk)
		emit(&sink, iotlb_op(group), group->iommu_device, group->tag);
	iommu_attach_for_each_atc(group, atc, &walk)
		emit(&sink, atc_op(group), group->iommu_device, atc);
	iommu_attach_walk_end(&walk);
	sink_close(queue, &sink);
}

static __always_inline void send_iotlb(const struct iommu_attach_group *group, void *arg)
{
	emit(arg, iotlb_op(group), group->iommu_device, group->tag);
}

static __always_inline void send_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	emit(arg, atc_op(group), group->iommu_device, atc);
}

static __always_inline u64 submit(struct iommu_device *iommu_device, void *arg)
{
	return emit_sync(arg, iommu_device);
}

static __always_inline int wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	const struct sink *sink = arg;

	(void)iommu_device;
	return READ_ONCE(sink->completed) < cookie ? -EINPROGRESS : 0;
}

static const struct iommu_attach_flush_ops ops = {
	.iotlb = send_iotlb,
	.atc = send_atc,
	.submit = submit,
	.wait = wait,
};

static void alist_flush(void *domain, struct sink *sink)
{
	struct alist_domain *d = domain;

	iommu_attach_flush_inline(&d->alist, &ops, sink);
}

static void alist_flush_call(void *domain, struct sink *sink)
{
	struct alist_domain *d = domain;

	iommu_attach_flush(&d->alist, &ops, sink);
}

/* For drivers that do not care. */
const struct layout layout_alist_call = {
	.name = "alist-call",
	.collapses = true,
	.domain_size = sizeof(struct alist_domain),
	.attachment_size = sizeof(struct iommu_attach_elm),
	.nest_size = sizeof(struct alist_nest),
	.nests = true,
	.init = alist_init,
	.exit = alist_exit,
	.attach = alist_attach,
	.detach = alist_detach,
	.walk = alist_walk,
	.flush = alist_flush_call,
};

const struct layout layout_alist = {
	.name = "alist",
	.collapses = true,
	.domain_size = sizeof(struct alist_domain),
	.attachment_size = sizeof(struct iommu_attach_elm),
	.nest_size = sizeof(struct alist_nest),
	.nests = true,
	.init = alist_init,
	.exit = alist_exit,
	.attach = alist_attach,
	.detach = alist_detach,
	.walk = alist_walk,
	.flush = alist_flush,
};
