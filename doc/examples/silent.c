// SPDX-License-Identifier: GPL-2.0-only
// A device stops answering ATC commands. The flush that finds this fails, and so do those
// after it, until the IOMMU refuses what the device may have cached. Flushes always reach
// the other devices, and after a reset this device again.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <iommu-alist.h>

struct iommu_device {
	struct iommu_attach_fence fence;
	int looks;			/* since the last submission */
	bool asked_silent;		/* the queue has a command for a silent device */
};

static struct iommu_device iommu;
static struct iommu_attach_endpoint gpu;
static bool gpu_answers = true;

#define NIC	0x100
#define GPU	0x200

static void send_iotlb(const struct iommu_attach_group *group, void *arg)
{
	(void)arg;
	printf("  IOTLB: tag %" PRIu64 "\n", group->tag);
}

static void send_atc(const struct iommu_attach_group *group, uint64_t rid, void *arg)
{
	(void)group;
	(void)arg;
	printf("  ATC: %s\n", rid == GPU ? "gpu" : "nic");
	iommu.asked_silent |= rid == GPU && !gpu_answers;
}

static uint64_t submit(struct iommu_device *which, void *arg)
{
	(void)arg;
	which->looks = 0;
	return 0;
}

/* Called again until it has an answer; never sleeps. */
static int wait_done(struct iommu_device *which, uint64_t cookie, void *arg)
{
	(void)cookie;
	(void)arg;
	if (which->looks++ < 3)
		return -EINPROGRESS;
	if (!which->asked_silent)
		return 0;
	which->asked_silent = false;
	printf("  the queue has timed out\n");
	return -ETIMEDOUT;
}

/* The flush has found the silent device. */
static void silent(struct iommu_device *which, uint64_t rid, void *arg)
{
	(void)which;
	(void)arg;
	printf("  %s is silent\n", rid == GPU ? "gpu" : "nic");
	if (rid == GPU)
		iommu_attach_set_aside(&gpu);
}

static const struct iommu_attach_flush_ops ops = {
	.iotlb = send_iotlb, .atc = send_atc, .submit = submit, .wait = wait_done,
	.silent = silent,
};

static void flush(struct iommu_attach_list *domain, const char *when)
{
	int error;

	printf("%s:\n", when);
	error = iommu_attach_flush(domain, &ops, NULL);
	/* Unmapped memory may be reused only after a flush that returned 0. */
	printf("  %s\n", error ? strerror(-error) : "clean");
}

int main(void)
{
	struct iommu_attach_elm nic_elm = { .iommu_device = &iommu, .fence = &iommu.fence,
					    .tag = 1, .using_atc = true, .atc = NIC };
	struct iommu_attach_elm gpu_elm = { .iommu_device = &iommu, .fence = &iommu.fence,
					    .tag = 1, .using_atc = true, .atc = GPU,
					    .endpoint = &gpu };
	struct iommu_attach_list domain;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_endpoint_init(&gpu);
	iommu_attach_init(&domain);
	if (iommu_attach_add(&domain, &nic_elm) < 0 || iommu_attach_add(&domain, &gpu_elm) < 0)
		return 1;
	flush(&domain, "all answer");

	gpu_answers = false;
	flush(&domain, "gpu hangs");
	flush(&domain, "gpu is set aside");

	/* Here the IOMMU is told to refuse translated requests of the device. */
	iommu_attach_blocked(&gpu);
	flush(&domain, "gpu is blocked");

	/* A flush that has sent to it may be about to set it aside again. */
	iommu_attach_fence(&iommu.fence);
	/* Here the device is reset: its ATC is empty. */
	gpu_answers = true;
	iommu_attach_resume(&gpu);
	/* A flush that has left it out may not have invalidated the IOTLB yet. */
	iommu_attach_fence(&iommu.fence);
	/* Here the IOMMU answers its translation requests again. */
	flush(&domain, "gpu is back");

	iommu_attach_del(&domain, &gpu_elm);
	iommu_attach_del(&domain, &nic_elm);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_destroy(&domain);
	iommu_attach_fence_destroy(&iommu.fence);
	return 0;
}
