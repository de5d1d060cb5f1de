// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer: the list that everybody writes first
 *
 * The devices of a domain on a list under a spinlock, which the walk holds. One
 * IOTLB command a device, however many of them are behind one IOMMU and share a tag.
 */
#include <linux/errno.h>
#include <linux/list.h>

#include "layout.h"
#include "lock.h"

struct naive_domain {
	struct lock lock;
	struct list_head devices;
};

struct naive_device {
	struct list_head item;
	const struct endpoint *ep;
};

static void naive_init(void *domain)
{
	struct naive_domain *naive = domain;

	lock_init(&naive->lock);
	INIT_LIST_HEAD(&naive->devices);
}

static void naive_exit(void *domain)
{
	(void)domain;
}

static int naive_attach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct naive_domain *naive = domain;
	struct naive_device *device = attachment;

	device->ep = ep;
	lock_take(&naive->lock);
	list_add_tail(&device->item, &naive->devices);
	lock_drop(&naive->lock);
	return 0;
}

static void naive_detach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct naive_domain *naive = domain;
	struct naive_device *device = attachment;

	(void)ep;
	lock_take(&naive->lock);
	list_del(&device->item);
	lock_drop(&naive->lock);
}

static __always_inline void naive_send(void *domain, struct sink *queue, bool sync)
{
	struct naive_domain *naive = domain;
	const struct endpoint *ep;
	struct naive_device *device;
	struct sink sink = sink_open(queue);

	lock_take(&naive->lock);
	list_for_each_entry(device, &naive->devices, item) {
		ep = device->ep;
		emit(&sink, ep->nest ? OP_NEST : OP_IOTLB, ep->iommu, ep->tag);
		if (ep->ats)
			emit(&sink, ep->nest ? OP_ATC_ALL : OP_ATC, ep->iommu, ep->atc);
		if (sync)
			wait_sync(&sink, emit_sync(&sink, ep->iommu));
	}
	lock_drop(&naive->lock);
	sink_close(queue, &sink);
}

static void naive_walk(void *domain, struct sink *sink)
{
	naive_send(domain, sink, false);
}

static void naive_flush(void *domain, struct sink *sink)
{
	naive_send(domain, sink, true);
}

const struct layout LOCKED_LAYOUT(naive) = {
	.name = LOCKED_NAME(naive),
	.peer = true,
	.domain_size = sizeof(struct naive_domain),
	.attachment_size = sizeof(struct naive_device),
	.nests = true,
	.init = naive_init,
	.exit = naive_exit,
	.attach = naive_attach,
	.detach = naive_detach,
	.walk = naive_walk,
	.flush = naive_flush,
};
