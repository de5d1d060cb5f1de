// SPDX-License-Identifier: GPL-2.0-only

@intel_iommu_domain_alloc_nested@
identifier domain;
@@
  intel_iommu_domain_alloc_nested(...)
  {
	...
-	xa_init(&domain->iommu_array);
	...
  }
