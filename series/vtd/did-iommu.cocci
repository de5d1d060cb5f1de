// SPDX-License-Identifier: GPL-2.0-only

@domain_attach_iommu@
@@
- int domain_attach_iommu(...) { ... }

@domain_detach_iommu@
@@
- void domain_detach_iommu(...) { ... }

@paging_domain_alloc@
identifier domain;
@@
  paging_domain_alloc(void)
  {
	...
-	xa_init(&domain->iommu_array);
	...
  }
