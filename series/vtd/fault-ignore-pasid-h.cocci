// SPDX-License-Identifier: GPL-2.0-only

@pasid_clear_entry_with_fpd@
@@
- static inline void pasid_clear_entry_with_fpd(...)
- { ... }

@intel_pasid_tear_down_entry@
identifier iommu, dev, pasid, fault_ignore;
typedef u32, bool;
@@
  void intel_pasid_tear_down_entry(struct intel_iommu *iommu, struct device *dev, u32 pasid
-				   , bool fault_ignore
				   );
