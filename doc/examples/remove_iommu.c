// SPDX-License-Identifier: GPL-2.0-only
// An IOMMU is removed with everything that is attached behind it: after the deletes and a
// drain, nothing refers to it. The other IOMMU stays.
#include <inttypes.h>
#include <stdio.h>

#include <iommu-alist.h>

struct iommu_device {
	const char *name;
	struct iommu_attach_fence fence;
};

static void show_tag(struct iommu_attach_list *domain, struct iommu_device *iommu)
{
	uint64_t tag;

	if (iommu_attach_find_tag(domain, iommu, &tag))
		printf("%s: no tag\n", iommu->name);
	else
		printf("%s: tag %" PRIu64 "\n", iommu->name, tag);
}

int main(void)
{
	struct iommu_device iommu[] = { { .name = "iommu0" }, { .name = "iommu1" } };
	struct iommu_attach_elm elm[] = {
		{ .iommu_device = &iommu[0], .fence = &iommu[0].fence, .tag = 10 },
		{ .iommu_device = &iommu[1], .fence = &iommu[1].fence, .tag = 20 },
		{ .iommu_device = &iommu[1], .fence = &iommu[1].fence, .tag = 20 },
	};
	struct iommu_attach_list domain;
	int i;

	for (i = 0; i < 2; i++) {
		if (iommu_attach_fence_init(&iommu[i].fence))
			return 1;
	}
	iommu_attach_init(&domain);
	for (i = 0; i < 3; i++) {
		if (iommu_attach_add(&domain, &elm[i]) < 0)
			return 1;
	}
	show_tag(&domain, &iommu[0]);
	show_tag(&domain, &iommu[1]);

	/* The program knows what is behind its IOMMU, on whatever lists. */
	iommu_attach_del(&domain, &elm[1]);
	if (iommu_attach_del(&domain, &elm[2]) == IOMMU_ATTACH_GROUP_DOMAIN)
		printf("iommu1: tag 20 is unused, flush it\n");
	iommu_attach_drain(&iommu[1].fence);	/* one for all deletes */
	iommu_attach_fence_destroy(&iommu[1].fence);
	/* Here the IOMMU and its memory may be freed. */

	show_tag(&domain, &iommu[0]);
	show_tag(&domain, &iommu[1]);

	iommu_attach_del(&domain, &elm[0]);
	iommu_attach_drain(&iommu[0].fence);
	iommu_attach_fence_destroy(&iommu[0].fence);
	iommu_attach_destroy(&domain);
	return 0;
}
