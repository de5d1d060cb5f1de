// SPDX-License-Identifier: GPL-2.0-only
// One device, attached as a whole and with PASID 5, whose ATS is turned on and off
// while it is attached. The PASID is packed into the tag and into the ATC target.
#include <inttypes.h>
#include <stdio.h>

#include <iommu-alist.h>

#define TAG(did, pasid)		((uint64_t)(did) << 20 | (pasid))
#define TARGET(rid, pasid)	((uint64_t)(rid) << 20 | (pasid))

struct iommu_device {
	uint64_t commands;
	struct iommu_attach_fence fence;
};

static void send_iotlb(const struct iommu_attach_group *group, void *arg)
{
	(void)arg;
	group->iommu_device->commands++;
	printf("  IOTLB: tag %" PRIu64 ", PASID %" PRIu64 "\n", group->tag >> 20,
	       group->tag & 0xfffff);
}

static void send_atc(const struct iommu_attach_group *group, uint64_t atc, void *arg)
{
	(void)arg;
	group->iommu_device->commands++;
	printf("  ATC: device %" PRIx64 ", PASID %" PRIu64 "\n", atc >> 20, atc & 0xfffff);
}

static uint64_t submit(struct iommu_device *iommu, void *arg)
{
	(void)arg;
	return iommu->commands;
}

static int wait_done(struct iommu_device *iommu, uint64_t cookie, void *arg)
{
	(void)iommu;
	(void)arg;
	printf("  command %" PRIu64 " completed\n", cookie);
	return 0;
}

/* This hardware does not order ATC commands after IOTLB commands. */
static const struct iommu_attach_flush_ops ops = {
	.iotlb = send_iotlb, .atc = send_atc, .submit = submit, .wait = wait_done,
	.wait_before_atc = true,
};

/* After an unmap, whose memory may be reused if this returns 0. */
static int flush(struct iommu_attach_list *domain, const char *when)
{
	printf("%s:\n", when);
	return iommu_attach_flush(domain, &ops, NULL);
}

int main(void)
{
	struct iommu_device iommu = { .commands = 0 };
	struct iommu_attach_list domain;
	struct iommu_attach_elm whole = {
		.iommu_device = &iommu, .fence = &iommu.fence,
		.tag = TAG(9, IOMMU_NO_PASID),
		.atc = TARGET(0x300, IOMMU_NO_PASID),
	};
	struct iommu_attach_elm shared = {
		.iommu_device = &iommu, .fence = &iommu.fence,
		.tag = TAG(9, 5), .pasid = 5,
		.atc = TARGET(0x300, 5),
	};
	int error;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&domain);
	if (iommu_attach_add(&domain, &whole) < 0 || iommu_attach_add(&domain, &shared) < 0)
		return 1;
	error = flush(&domain, "ATS off");

	/*
	 * Here ATS is enabled in the device, so that it answers commands, and the IOMMU
	 * still refuses its translation requests.
	 */
	if (iommu_attach_enable_atc(&whole) || iommu_attach_enable_atc(&shared))
		return 1;
	/* Here the IOMMU begins to answer them. */
	if (!error)
		error = flush(&domain, "ATS on");

	/* Here the IOMMU refuses them again, and the ATC is emptied. */
	iommu_attach_disable_atc(&shared);
	iommu_attach_disable_atc(&whole);
	iommu_attach_fence(&iommu.fence);	/* no ATC command for it is in flight */
	/* Here ATS is disabled in the device. */
	if (!error)
		error = flush(&domain, "ATS off");

	iommu_attach_del(&domain, &whole);
	iommu_attach_del(&domain, &shared);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_destroy(&domain);
	iommu_attach_fence_destroy(&iommu.fence);
	return error ? 1 : 0;
}
