// SPDX-License-Identifier: GPL-2.0-only

@intel_pasid_setup_dirty_tracking__decl@
typedef bool, u16, u32;
@@
- int intel_pasid_setup_dirty_tracking(...);
+ int intel_pasid_setup_dirty_tracking(struct intel_iommu *iommu, struct device *dev,
+ 				     u32 pasid, u16 did, bool enabled);

@intel_pasid_setup_page_snoop_control__decl@
typedef u16, u32;
@@
- void intel_pasid_setup_page_snoop_control(...);
+ int intel_pasid_setup_page_snoop_control(struct intel_iommu *iommu, struct device *dev,
+ 					 u32 pasid, u16 did);
