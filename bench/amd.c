// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer: AMD, with host page tables
 *
 * Under the domain's spinlock, which the walk holds: an array of the IOMMUs by index,
 * with a count of devices each, and a list of the devices. The IOTLB commands are
 * sent from the array, the tag is the domain's; then the ATC commands from the list,
 * where every device is asked whether it uses ATS; then each IOMMU is waited for.
 * There are no nests.
 */
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "layout.h"
#include "lock.h"

struct amd_iommu {
	struct iommu_device *iommu;
	u32 users;
};

struct amd_domain {
	struct list_head devices;
	struct lock lock;
	u64 id;
	u32 nr_iommus;			/* highest index in use, and one */
	struct amd_iommu **iommus;	/* MAX_IOMMUS, one node of the kernel's xarray */
};

struct amd_device {
	struct list_head item;
	const struct endpoint *ep;
};

static void amd_init(void *domain)
{
	struct amd_domain *amd = domain;

	memset(amd, 0, sizeof(*amd));
	lock_init(&amd->lock);
	INIT_LIST_HEAD(&amd->devices);
}

static void amd_exit(void *domain)
{
	struct amd_domain *amd = domain;

	kfree(amd->iommus);
}

static int amd_attach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct amd_domain *amd = domain;
	struct amd_device *device = attachment;
	struct amd_iommu *info;
	int ret = -ENOMEM;

	device->ep = ep;
	lock_take(&amd->lock);
	if (!amd->iommus)
		amd->iommus = kcalloc(MAX_IOMMUS, sizeof(*amd->iommus), GFP_ATOMIC);
	if (!amd->iommus)
		goto out;
	info = amd->iommus[ep->iommu_index];
	if (!info) {
		info = kzalloc(sizeof(*info), GFP_ATOMIC);
		if (!info)
			goto out;
		info->iommu = ep->iommu;
		amd->iommus[ep->iommu_index] = info;
		if (ep->iommu_index >= amd->nr_iommus)
			amd->nr_iommus = ep->iommu_index + 1;
	}
	info->users++;
	amd->id = ep->tag;
	list_add(&device->item, &amd->devices);
	ret = 0;
out:
	lock_drop(&amd->lock);
	return ret;
}

static void amd_detach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct amd_domain *amd = domain;
	struct amd_device *device = attachment;
	struct amd_iommu *info = amd->iommus[ep->iommu_index];

	lock_take(&amd->lock);
	list_del(&device->item);
	if (!--info->users) {
		amd->iommus[ep->iommu_index] = NULL;
		kfree(info);
	}
	lock_drop(&amd->lock);
}

static __always_inline void amd_send(void *domain, struct sink *queue, bool sync)
{
	struct amd_domain *amd = domain;
	const struct endpoint *ep;
	struct amd_device *device;
	u32 i;
	struct sink sink = sink_open(queue);

	lock_take(&amd->lock);
	for (i = 0; i < amd->nr_iommus; i++) {
		if (amd->iommus[i])
			emit(&sink, OP_IOTLB, amd->iommus[i]->iommu, amd->id);
	}
	list_for_each_entry(device, &amd->devices, item) {
		ep = device->ep;
		if (ep->ats)
			emit(&sink, OP_ATC, ep->iommu, ep->atc);
	}
	for (i = 0; sync && i < amd->nr_iommus; i++) {
		if (amd->iommus[i])
			wait_sync(&sink, emit_sync(&sink, amd->iommus[i]->iommu));
	}
	lock_drop(&amd->lock);
	sink_close(queue, &sink);
}

static void amd_walk(void *domain, struct sink *sink)
{
	amd_send(domain, sink, false);
}

static void amd_flush(void *domain, struct sink *sink)
{
	amd_send(domain, sink, true);
}

const struct layout LOCKED_LAYOUT(amd) = {
	.name = LOCKED_NAME(amd),
	.peer = true,
	.collapses = true,
	.domain_size = sizeof(struct amd_domain),
	.attachment_size = sizeof(struct amd_device),
	.init = amd_init,
	.exit = amd_exit,
	.attach = amd_attach,
	.detach = amd_detach,
	.walk = amd_walk,
	.flush = amd_flush,
};
