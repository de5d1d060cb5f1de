// SPDX-License-Identifier: GPL-2.0-only
// Enabling dirty tracking for a domain: every attached device has to be reached, and the
// list must not change in between.
#include <stdio.h>

#include <iommu-alist.h>

struct iommu_device { struct iommu_attach_fence fence; };
struct device { const char *name; bool dirty_tracking; };

struct attachment {
	struct iommu_attach_elm elm;
	struct device *dev;
};

int main(void)
{
	struct iommu_device iommu;
	struct device devices[] = { { "nic", false }, { "gpu", false }, { "disk", false } };
	struct attachment attachments[3] = { 0 };
	struct iommu_attach_list domain;
	struct attachment *pos;
	int i;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&domain);
	for (i = 0; i < 3; i++) {
		attachments[i].elm.iommu_device = &iommu;
		attachments[i].elm.fence = &iommu.fence;
		attachments[i].elm.tag = 1;
		iommu_attach_elm_set_device(&attachments[i].elm, &devices[i]);
		if (iommu_attach_add(&domain, &attachments[i].elm) < 0)
			return 1;
	}

	iommu_attach_lock(&domain);
	iommu_attach_for_each_locked(pos, &domain, elm)
		iommu_attach_elm_device(&pos->elm)->dirty_tracking = true;
	iommu_attach_unlock(&domain);

	for (i = 0; i < 3; i++) {
		printf("%s: dirty tracking %s\n", devices[i].name,
		       devices[i].dirty_tracking ? "on" : "off");
		iommu_attach_del(&domain, &attachments[i].elm);
	}
	iommu_attach_drain(&iommu.fence);
	iommu_attach_destroy(&domain);
	iommu_attach_fence_destroy(&iommu.fence);
	return 0;
}
