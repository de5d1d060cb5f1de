// SPDX-License-Identifier: GPL-2.0-only

@intel_pasid_clear_entry@
@@
- static void
- intel_pasid_clear_entry(...)
- { ... }

@intel_pasid_tear_down_entry@
identifier iommu, dev, pasid, pte, fault_ignore;
typedef u32, bool;
@@
  void intel_pasid_tear_down_entry(struct intel_iommu *iommu, struct device *dev, u32 pasid
-				   , bool fault_ignore
				   )
  {
	struct pasid_entry *pte;
	...
-	intel_pasid_clear_entry(dev, pasid, fault_ignore);
+	pasid_clear_entry(pte);
	...
-	if (!fault_ignore)
-		intel_iommu_drain_pasid_prq(dev, pasid);
+	intel_iommu_drain_pasid_prq(dev, pasid);
  }
