// SPDX-License-Identifier: GPL-2.0-only

@intel_pasid_tear_down_entry@
expression iommu, dev, pasid;
@@
- intel_pasid_tear_down_entry(iommu, dev, pasid, false)
+ intel_pasid_tear_down_entry(iommu, dev, pasid)
