// SPDX-License-Identifier: GPL-2.0-only
// The virtual IOMMU of a VMM, similar to VT-d: domains with page tables, an IOTLB,
// and emulated devices behind it, each with an IOTLB of its own (ATS). The guest maps and
// unmaps; a page goes back to the host when nothing translates to it any more. One device
// hangs, is blocked, and comes back after a reset.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <iommu-alist.h>

#define PAGES	8			/* of each domain, and of each cache */

struct cache { uint64_t tag[PAGES]; int host_page[PAGES]; };	/* 0: none */

struct iommu_device {
	struct iommu_attach_fence fence;
	struct cache iotlb;		/* by domain id */
	bool timed_out;			/* a device did not answer since the last submit */
};

struct domain {
	struct iommu_attach_list list;
	uint64_t did;
	int host_page[PAGES];		/* the page table */
};

/* An emulated device and its attachment. */
struct nic {
	const char *name;
	uint64_t rid;
	struct iommu_attach_endpoint endpoint;
	struct iommu_attach_elm elm;
	struct domain *domain;
	struct cache atc;
	bool hangs, refused;
};

/* One page that the guest unmaps: passed to the callbacks. */
struct unmap { int page; };

static struct iommu_device viommu;
static struct nic nics[] = { { .name = "nic0", .rid = 0x10 }, { .name = "nic1", .rid = 0x18 } };

static void forget(struct cache *cache, uint64_t tag, int page)
{
	if (cache->tag[page] == tag)
		cache->host_page[page] = 0;
}

static struct nic *find_nic(uint64_t rid)
{
	return rid == nics[0].rid ? &nics[0] : &nics[1];
}

static void invalidate_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct unmap *unmap = arg;

	forget(&group->iommu_device->iotlb, group->tag, unmap->page);
}

static void invalidate_device(const struct iommu_attach_group *group, uint64_t rid, void *arg)
{
	struct nic *nic = find_nic(rid);
	struct unmap *unmap = arg;

	if (nic->hangs)
		group->iommu_device->timed_out = true;
	else
		forget(&nic->atc, group->tag, unmap->page);
}

static uint64_t submit(struct iommu_device *iommu, void *arg)
{
	(void)iommu;
	(void)arg;
	return 0;			/* an emulated queue has done it at once */
}

static int wait_done(struct iommu_device *iommu, uint64_t cookie, void *arg)
{
	bool timed_out = iommu->timed_out;

	(void)cookie;
	(void)arg;
	iommu->timed_out = false;
	return timed_out ? -ETIMEDOUT : 0;
}

static void silent(struct iommu_device *iommu, uint64_t rid, void *arg)
{
	(void)iommu;
	(void)arg;
	printf("  %s does not answer\n", find_nic(rid)->name);
	iommu_attach_set_aside(&find_nic(rid)->endpoint);
}

static const struct iommu_attach_flush_ops ops = {
	.iotlb = invalidate_iotlb, .atc = invalidate_device, .submit = submit,
	.wait = wait_done, .silent = silent,
};

static int look_up(const struct cache *cache, uint64_t tag, int page)
{
	return cache->tag[page] == tag ? cache->host_page[page] : 0;
}

static void remember(struct cache *cache, uint64_t tag, int page, int host_page)
{
	cache->tag[page] = tag;
	cache->host_page[page] = host_page;
}

/* The device reads: by its own IOTLB, by the virtual IOMMU's, or by the page table. */
static void dma(struct nic *nic, int page)
{
	uint64_t did = nic->domain->did;
	int host_page = look_up(&nic->atc, did, page);

	if (!nic->refused && !host_page) {
		host_page = look_up(&viommu.iotlb, did, page);
		if (!host_page)
			host_page = nic->domain->host_page[page];
		remember(&viommu.iotlb, did, page, host_page);
		remember(&nic->atc, did, page, host_page);
	}
	if (nic->refused || !host_page)
		printf("  %s: page %d: fault\n", nic->name, page);
	else
		printf("  %s: page %d: host page %d\n", nic->name, page, host_page);
}

static void unmap(struct domain *domain, int page)
{
	struct unmap unmap = { page };
	int host_page = domain->host_page[page], error;

	domain->host_page[page] = 0;
	error = iommu_attach_flush(&domain->list, &ops, &unmap);
	printf("  host page %d %s\n", host_page,
	       error ? "may still be in use, and is kept" : "is free");
}

int main(void)
{
	struct domain domain = { .list = IOMMU_ATTACH_LIST_INIT, .did = 5 };
	struct iommu_attach_counters counters;
	int i;

	for (i = 0; i < PAGES; i++)
		domain.host_page[i] = 100 + i;
	if (iommu_attach_fence_init(&viommu.fence))
		return 1;
	for (i = 0; i < 2; i++) {
		struct iommu_attach_elm *elm = &nics[i].elm;

		iommu_attach_endpoint_init(&nics[i].endpoint);
		elm->iommu_device = &viommu;
		elm->fence = &viommu.fence;
		elm->endpoint = &nics[i].endpoint;
		elm->tag = domain.did;
		elm->using_atc = true;
		elm->atc = nics[i].rid;
		if (iommu_attach_add(&domain.list, elm) < 0)
			return 1;
		nics[i].domain = &domain;	/* from here on it may translate */
	}

	printf("both work:\n");
	dma(&nics[0], 1);
	dma(&nics[1], 1);
	unmap(&domain, 1);
	dma(&nics[1], 1);

	printf("nic1 hangs, with page 2 cached:\n");
	dma(&nics[1], 2);
	nics[1].hangs = true;
	unmap(&domain, 2);
	dma(&nics[1], 2);		/* this is why it is kept */

	printf("nic1 is refused:\n");
	nics[1].refused = true;
	iommu_attach_blocked(&nics[1].endpoint);
	dma(&nics[1], 2);
	unmap(&domain, 3);

	printf("nic1 is reset:\n");
	iommu_attach_fence(&viommu.fence);	/* none is about to set it aside again */
	memset(&nics[1].atc, 0, sizeof(nics[1].atc));
	nics[1].hangs = false;
	iommu_attach_resume(&nics[1].endpoint);
	iommu_attach_fence(&viommu.fence);	/* none that left it out is under way */
	nics[1].refused = false;
	dma(&nics[1], 2);
	dma(&nics[1], 4);
	unmap(&domain, 4);

	printf("both are unplugged:\n");
	for (i = 0; i < 2; i++) {
		nics[i].refused = true;
		iommu_attach_del(&domain.list, &nics[i].elm);
	}
	iommu_attach_drain(&viommu.fence);
	iommu_attach_destroy(&domain.list);
	iommu_attach_fence_destroy(&viommu.fence);
	iommu_attach_read_counters(NULL, &counters);
	printf("  %" PRIu64 " flushes, %" PRIu64 " failed\n", counters.flushes, counters.errors);
	return 0;
}
