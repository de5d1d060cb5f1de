// SPDX-License-Identifier: GPL-2.0-only
// Two devices behind one IOMMU share a domain: one IOTLB command, one ATC command.
#include <inttypes.h>
#include <stdio.h>

#include <iommu-alist.h>

struct iommu_device {			/* yours, whatever it is */
	const char *name;
	struct iommu_attach_fence fence;
};

static void send_iotlb(const struct iommu_attach_group *group, void *iova)
{
	printf("%s: IOTLB tag %" PRIu64 " at %p\n", group->iommu_device->name, group->tag, iova);
}

static void send_atc(const struct iommu_attach_group *group, uint64_t rid, void *iova)
{
	printf("%s: ATC of device %" PRIx64 " at %p\n", group->iommu_device->name, rid, iova);
}

static uint64_t submit(struct iommu_device *iommu, void *iova)
{
	printf("%s: completion wait after %p\n", iommu->name, iova);
	return 1;			/* a cookie for wait_done() */
}

static int wait_done(struct iommu_device *iommu, uint64_t cookie, void *iova)
{
	printf("%s: %" PRIu64 " completed, %p is clean\n", iommu->name, cookie, iova);
	return 0;			/* or -EINPROGRESS, to be called again */
}

static const struct iommu_attach_flush_ops ops = {
	.iotlb = send_iotlb, .atc = send_atc, .submit = submit, .wait = wait_done,
};

int main(void)
{
	struct iommu_device iommu = { .name = "iommu0" };
	struct iommu_attach_list domain;
	struct iommu_attach_elm nic = { .iommu_device = &iommu, .fence = &iommu.fence,
					.tag = 13 };
	struct iommu_attach_elm gpu = { .iommu_device = &iommu, .fence = &iommu.fence,
					.tag = 13, .using_atc = true, .atc = 0x300 };
	int error;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&domain);
	if (iommu_attach_add(&domain, &nic) < 0 || iommu_attach_add(&domain, &gpu) < 0)
		return 1;
	error = iommu_attach_flush(&domain, &ops, (void *)0x10000000);	/* after an unmap */
	iommu_attach_del(&domain, &gpu);
	iommu_attach_del(&domain, &nic);
	iommu_attach_drain(&iommu.fence);	/* no flush and no walk uses them now */
	iommu_attach_barrier();			/* the library's deferred frees are done */
	iommu_attach_destroy(&domain);
	iommu_attach_fence_destroy(&iommu.fence);
	return error ? 1 : 0;
}
