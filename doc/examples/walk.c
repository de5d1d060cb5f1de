// SPDX-License-Identifier: GPL-2.0-only
// A hand-written walk, for hardware that iommu_attach_flush() does not fit. Four devices
// behind two IOMMUs; two of them use an ATC.
#include <inttypes.h>
#include <stdio.h>

#include <iommu-alist.h>

struct iommu_device {
	const char *name;
	struct iommu_attach_fence fence;
};

struct attachment {
	const char *name;		/* elm need not be first */
	struct iommu_attach_elm elm;
};

int main(void)
{
	/* An array: walks go by the addresses of IOMMUs. */
	struct iommu_device iommu[] = { { .name = "iommu0" }, { .name = "iommu1" } };
	struct attachment attachments[] = {
		{ "disk", { .iommu_device = &iommu[1], .fence = &iommu[1].fence, .tag = 4 } },
		{ "nic", { .iommu_device = &iommu[0], .fence = &iommu[0].fence, .tag = 3,
			   .using_atc = true, .atc = 0x100 } },
		{ "gpu", { .iommu_device = &iommu[1], .fence = &iommu[1].fence, .tag = 4,
			   .using_atc = true, .atc = 0x200 } },
		{ "usb", { .iommu_device = &iommu[1], .fence = &iommu[1].fence, .tag = 5 } },
	};
	const struct iommu_attach_group *group;
	struct iommu_attach_list domain;
	struct iommu_attach_walk walk;
	struct attachment *pos;
	uint64_t atc;
	int i;

	for (i = 0; i < 2; i++) {
		if (iommu_attach_fence_init(&iommu[i].fence))
			return 1;
	}
	iommu_attach_init(&domain);
	for (i = 0; i < 4; i++) {
		if (iommu_attach_add(&domain, &attachments[i].elm) < 0)
			return 1;
	}

	iommu_attach_walk_begin(&walk, &domain);
	iommu_attach_for_each_group(group, &walk)
		printf("%s: IOTLB tag %" PRIu64 "\n", group->iommu_device->name, group->tag);
	iommu_attach_for_each_iommu(group, &walk)
		printf("%s: wait\n", group->iommu_device->name);
	/* Only now: ATC targets are looked up when the IOTLBs are clean. */
	iommu_attach_for_each_atc(group, atc, &walk)
		printf("%s: ATC of %" PRIx64 "\n", group->iommu_device->name, atc);
	iommu_attach_for_each_all(pos, &walk, elm)
		printf("%s is attached\n", pos->name);
	iommu_attach_walk_end(&walk);

	for (i = 0; i < 4; i++)
		iommu_attach_del(&domain, &attachments[i].elm);
	for (i = 0; i < 2; i++) {
		iommu_attach_drain(&iommu[i].fence);
		iommu_attach_fence_destroy(&iommu[i].fence);
	}
	iommu_attach_destroy(&domain);
	return 0;
}
