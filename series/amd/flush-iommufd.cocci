// SPDX-License-Identifier: GPL-2.0-only
// The parent has its nests on its list.

@amd_iommufd_viommu_init@
identifier flags, pdom, aviommu;
@@
  amd_iommufd_viommu_init(...)
  {
-	unsigned long flags;
	...
-	spin_lock_irqsave(&pdom->lock, flags);
-	list_add(&aviommu->pdom_list, &pdom->viommu_list);
-	spin_unlock_irqrestore(&pdom->lock, flags);
	...
  }

@amd_iommufd_viommu_destroy@
identifier flags, pdom, aviommu, viommu;
@@
  amd_iommufd_viommu_destroy(struct iommufd_viommu *viommu)
  {
-	unsigned long flags;
	struct amd_iommu_viommu *aviommu = container_of(viommu, struct amd_iommu_viommu, core);
-	struct protection_domain *pdom = aviommu->parent;
-	spin_lock_irqsave(&pdom->lock, flags);
-	list_del(&aviommu->pdom_list);
-	spin_unlock_irqrestore(&pdom->lock, flags);
	...
  }
