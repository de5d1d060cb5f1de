// SPDX-License-Identifier: GPL-2.0-only

@intel_nested_domain_free@
identifier dmar_domain;
@@
  static void intel_nested_domain_free(...)
  {
	...
-	kfree(dmar_domain->qi_batch);
	...
  }

@intel_iommu_domain_alloc_nested@
identifier domain;
@@
  intel_iommu_domain_alloc_nested(...)
  {
	...
-	INIT_LIST_HEAD(&domain->cache_tags);
	...
-	spin_lock_init(&domain->cache_lock);
	...
  }
