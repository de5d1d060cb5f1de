// SPDX-License-Identifier: GPL-2.0-only
// A guest's S1 domain nested on the S2 parent that maps the guest's memory. What the
// guest unmaps is flushed by the nest's tag; what the host unmaps from the parent
// reaches the nest's tag, too, and all of the device's ATC.
#include <inttypes.h>
#include <stdio.h>

#include <iommu-alist.h>

struct iommu_device {
	const char *name;
	struct iommu_attach_fence fence;
};

static void send_iotlb(const struct iommu_attach_group *group, void *arg)
{
	(void)arg;
	if (group->kind == IOMMU_ATTACH_NEST)
		printf("  all of nest tag %" PRIu64 "\n", group->tag);
	else
		printf("  the range of tag %" PRIu64 "\n", group->tag);
}

static void send_atc(const struct iommu_attach_group *group, uint64_t rid, void *arg)
{
	(void)arg;
	printf("  %s of the ATC of %" PRIx64 "\n",
	       group->kind == IOMMU_ATTACH_NEST ? "all" : "the range", rid);
}

static uint64_t submit(struct iommu_device *iommu, void *arg)
{
	(void)iommu;
	(void)arg;
	return 0;
}

static int wait_done(struct iommu_device *iommu, uint64_t cookie, void *arg)
{
	(void)cookie;
	(void)arg;
	printf("  %s is done\n", iommu->name);
	return 0;
}

static const struct iommu_attach_flush_ops ops = {
	.iotlb = send_iotlb, .atc = send_atc, .submit = submit, .wait = wait_done,
};

int main(void)
{
	struct iommu_device iommu = { .name = "iommu0" };
	struct iommu_attach_list guest, host;
	/* The host's own disk is on the parent alone, under the parent's tag. */
	struct iommu_attach_elm disk = { .iommu_device = &iommu, .fence = &iommu.fence,
					 .tag = 2 };
	/* The same device and tag, seen from both lists. */
	struct iommu_attach_nest nic = {
		.s1 = { .iommu_device = &iommu, .fence = &iommu.fence, .tag = 7,
			.using_atc = true, .atc = 0x100 },
		.s2 = { .iommu_device = &iommu, .fence = &iommu.fence, .tag = 7,
			.using_atc = true, .atc = 0x100 },
	};
	int first, error;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&guest);
	iommu_attach_init(&host);
	if (iommu_attach_add(&host, &disk) < 0)
		return 1;
	first = iommu_attach_add_nest(&guest, &host, &nic);
	if (first != (IOMMU_ATTACH_GROUP_DOMAIN | IOMMU_ATTACH_GROUP_PARENT))
		return 1;

	printf("the guest unmaps:\n");
	error = iommu_attach_flush(&guest, &ops, NULL);
	if (!error) {
		printf("the host unmaps:\n");
		error = iommu_attach_flush(&host, &ops, NULL);
	}
	/* Unmapped memory may be reused if none has failed. */

	iommu_attach_del_nest(&guest, &host, &nic);
	iommu_attach_del(&host, &disk);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_destroy(&guest);
	iommu_attach_destroy(&host);
	iommu_attach_fence_destroy(&iommu.fence);
	return error ? 1 : 0;
}
