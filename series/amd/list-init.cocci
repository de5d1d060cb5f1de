// SPDX-License-Identifier: GPL-2.0-only
// The flushes that are under way on an IOMMU.

@init_iommu_one@
identifier iommu;
@@
  init_iommu_one(...)
  {
	...
	raw_spin_lock_init(&iommu->lock);
+	if (iommu_attach_fence_init(&iommu->fence))
+		return -ENOMEM;
	...
  }

@free_iommu_one@
identifier iommu;
@@
  free_iommu_one(struct amd_iommu *iommu)
  {
	...
	amd_iommu_iopf_uninit(iommu);
+	iommu_attach_fence_destroy(&iommu->fence);
  }
