// SPDX-License-Identifier: GPL-2.0-only
// A plugin that uses the library, its own copy or a shared one; see host.c.
#include "api.h"

int plugin_run(void);

int plugin_run(void)
{
	struct iommu_device iommu = { .sent = 0 };
	struct iommu_attach_elm *elm = new_elm(&iommu, 1);
	struct iommu_attach_list list;

	elm->using_atc = true;
	elm->atc = 7;
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);
	EXPECT(iommu_attach_add(&list, elm) > 0);
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_barrier();
	iommu_attach_destroy(&list);
	iommu_attach_fence_destroy(&iommu.fence);
	return iommu.sent;
}
