// SPDX-License-Identifier: GPL-2.0-only
// Changes of the control register take a lock.

@iommu_feature_set@
identifier iommu, ctrl;
@@
  iommu_feature_set(struct amd_iommu *iommu, ...)
  {
	u64 ctrl;
+
+	guard(raw_spinlock_irqsave)(&iommu->ctrl_lock);
	...
  }

@init_iommu_one@
identifier iommu;
@@
  init_iommu_one(...)
  {
	...
	raw_spin_lock_init(&iommu->lock);
+	raw_spin_lock_init(&iommu->ctrl_lock);
	...
  }
