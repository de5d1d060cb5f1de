// SPDX-License-Identifier: GPL-2.0-only

@paging_domain_alloc@
identifier domain;
@@
  paging_domain_alloc(void)
  {
	...
-	INIT_LIST_HEAD(&domain->cache_tags);
	...
-	spin_lock_init(&domain->cache_lock);
	...
  }

@intel_iommu_domain_free@
identifier dmar_domain;
@@
  intel_iommu_domain_free(...)
  {
	...
-	kfree(dmar_domain->qi_batch);
	...
  }

@iommu_enable_pci_ats@
identifier info;
@@
  iommu_enable_pci_ats(struct device_domain_info *info)
  {
	...
-	if (!info->ats_supported)
+	/* Without a queue, what its ATC has cannot be invalidated. */
+	if (!info->ats_supported || !info->iommu->qi)
		return;
	...
  }

@free_dmar_iommu@
identifier iommu;
@@
  free_dmar_iommu(struct intel_iommu *iommu)
  {
+	/* Flushes that saw its last attachment may still look at it. */
+	iommu_attach_drain(&iommu->fence);
+
	...
  }
