// SPDX-License-Identifier: GPL-2.0-only
// A program that uses liburcu itself, whose threads register before or after they use the
// library, or unregister under its feet.
#include <urcu/urcu-memb.h>

#include "api.h"

int main(void)
{
	struct iommu_device iommu = { .sent = 0 };
	struct iommu_attach_list list;
	struct iommu_attach_elm *elm;
	int order;

	alarm(30);
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	for (order = 0; order < 3; order++) {
		elm = new_elm(&iommu, 1);
		iommu_attach_init(&list);
		if (order == 0)
			urcu_memb_register_thread();
		EXPECT(iommu_attach_add(&list, elm) > 0);
		EXPECT(!iommu_attach_flush(&list, &ops, NULL));
		if (order > 0)
			urcu_memb_register_thread();
		if (order == 2)
			urcu_memb_unregister_thread();
		EXPECT(!iommu_attach_flush(&list, &ops, NULL));
		EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
		iommu_attach_drain(&iommu.fence);
		iommu_attach_barrier();
		iommu_attach_destroy(&list);
		if (order < 2)
			urcu_memb_unregister_thread();
		urcu_memb_synchronize_rcu();
	}
	EXPECT(iommu.sent == 6);
	return 0;
}
