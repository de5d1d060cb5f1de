// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer: Intel VT-d, since 6.10
 *
 * A list of unique cache tags, each with a count of its users, under a spinlock that
 * the walk holds until the hardware has completed. Attach and detach look their tags
 * up in the list; a new one goes next to those of the same IOMMU, so that a walk
 * changes the IOMMU no more often than it has to. A device with ATS has a tag of its
 * own, which refers to the device for what the command needs.
 */
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/slab.h>

#include "layout.h"
#include "lock.h"

enum vtd_type {
	VTD_IOTLB,
	VTD_DEVTLB,
	VTD_NESTING_IOTLB,
	VTD_NESTING_DEVTLB,
};

struct vtd_tag {
	struct list_head item;
	enum vtd_type type;
	struct iommu_device *iommu;
	const struct endpoint *device;	/* of a device's tag */
	u64 id;				/* of an IOTLB's tag */
	u32 users;
};

struct vtd_domain {
	struct list_head tags;
	struct lock lock;
};

static bool is_device(enum vtd_type type)
{
	return type == VTD_DEVTLB || type == VTD_NESTING_DEVTLB;
}

static bool matches(const struct vtd_tag *tag, enum vtd_type type,
		    const struct endpoint *ep)
{
	if (tag->type != type)
		return false;
	if (is_device(type))
		return tag->device == ep;
	return tag->iommu == ep->iommu && tag->id == ep->tag;
}

static int assign(struct vtd_domain *vtd, enum vtd_type type,
		  const struct endpoint *ep)
{
	struct vtd_tag *tag, *other;
	struct list_head *after;

	tag = kzalloc(sizeof(*tag), GFP_KERNEL);
	if (!tag)
		return -ENOMEM;
	tag->type = type;
	tag->iommu = ep->iommu;
	tag->users = 1;
	if (is_device(type))
		tag->device = ep;
	else
		tag->id = ep->tag;

	lock_take(&vtd->lock);
	after = &vtd->tags;
	list_for_each_entry(other, &vtd->tags, item) {
		if (matches(other, type, ep)) {
			other->users++;
			lock_drop(&vtd->lock);
			kfree(tag);
			return 0;
		}
		if (other->iommu == ep->iommu)
			after = &other->item;
	}
	list_add(&tag->item, after);
	lock_drop(&vtd->lock);
	return 0;
}

static void unassign(struct vtd_domain *vtd, enum vtd_type type,
		     const struct endpoint *ep)
{
	struct vtd_tag *tag;

	lock_take(&vtd->lock);
	list_for_each_entry(tag, &vtd->tags, item) {
		if (!matches(tag, type, ep))
			continue;
		if (!--tag->users) {
			list_del(&tag->item);
			kfree(tag);
		}
		break;
	}
	lock_drop(&vtd->lock);
}

static void vtd_init(void *domain)
{
	struct vtd_domain *vtd = domain;

	lock_init(&vtd->lock);
	INIT_LIST_HEAD(&vtd->tags);
}

static void vtd_exit(void *domain)
{
	(void)domain;
}

static int vtd_attach(void *domain, void *attachment, const struct endpoint *ep)
{
	int ret;

	(void)attachment;
	ret = assign(domain, ep->nest ? VTD_NESTING_IOTLB : VTD_IOTLB, ep);
	if (ret || !ep->ats)
		return ret;
	ret = assign(domain, ep->nest ? VTD_NESTING_DEVTLB : VTD_DEVTLB, ep);
	if (ret)
		unassign(domain, ep->nest ? VTD_NESTING_IOTLB : VTD_IOTLB, ep);
	return ret;
}

static void vtd_detach(void *domain, void *attachment, const struct endpoint *ep)
{
	(void)attachment;
	unassign(domain, ep->nest ? VTD_NESTING_IOTLB : VTD_IOTLB, ep);
	if (ep->ats)
		unassign(domain, ep->nest ? VTD_NESTING_DEVTLB : VTD_DEVTLB, ep);
}

static __always_inline void vtd_send(void *domain, struct sink *queue, bool sync)
{
	struct iommu_device *iommu = NULL;
	struct vtd_domain *vtd = domain;
	struct vtd_tag *tag;
	struct sink sink = sink_open(queue);

	lock_take(&vtd->lock);
	list_for_each_entry(tag, &vtd->tags, item) {
		if (sync && iommu && iommu != tag->iommu)
			wait_sync(&sink, emit_sync(&sink, iommu));
		iommu = tag->iommu;
		switch (tag->type) {
		case VTD_IOTLB:
			emit(&sink, OP_IOTLB, iommu, tag->id);
			break;
		case VTD_NESTING_IOTLB:
			emit(&sink, OP_NEST, iommu, tag->id);
			break;
		case VTD_DEVTLB:
			emit(&sink, OP_ATC, iommu, tag->device->atc);
			break;
		case VTD_NESTING_DEVTLB:
			emit(&sink, OP_ATC_ALL, iommu, tag->device->atc);
			break;
		}
	}
	if (sync && iommu)
		wait_sync(&sink, emit_sync(&sink, iommu));
	lock_drop(&vtd->lock);
	sink_close(queue, &sink);
}

static void vtd_walk(void *domain, struct sink *sink)
{
	vtd_send(domain, sink, false);
}

static void vtd_flush(void *domain, struct sink *sink)
{
	vtd_send(domain, sink, true);
}

const struct layout LOCKED_LAYOUT(vtd) = {
	.name = LOCKED_NAME(vtd),
	.peer = true,
	.collapses = true,
	.domain_size = sizeof(struct vtd_domain),
	.attachment_size = 0,
	.nests = true,
	.init = vtd_init,
	.exit = vtd_exit,
	.attach = vtd_attach,
	.detach = vtd_detach,
	.walk = vtd_walk,
	.flush = vtd_flush,
};
