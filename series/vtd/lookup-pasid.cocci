// SPDX-License-Identifier: GPL-2.0-only

@intel_pasid_get_entry@
identifier dev, pasid;
typedef u32;
@@
- static struct pasid_entry *intel_pasid_get_entry(struct device *dev, u32 pasid)
+ struct pasid_entry *intel_pasid_get_entry(struct device *dev, u32 pasid)
  { ... }

@intel_pasid_tear_down_entry@
expression iommu, dev, pasid, pte;
@@
  intel_pasid_tear_down_entry(...)
  {
	<+...
-	if (!pasid_pte_is_present(pte)) {
-		if (!pasid_pte_is_fault_disabled(pte)) {
-			WARN_ON(READ_ONCE(pte->val[0]) != 0);
-			spin_unlock(&iommu->lock);
-			return;
-		}
-		pasid_clear_entry(pte);
-		spin_unlock(&iommu->lock);
-		intel_iommu_drain_pasid_prq(dev, pasid);
-		return;
-	}
+	/*
+	 * With the fault disable bit, the mm of the entry goes: domain_stop_pasids() may not
+	 * have flushed yet, and does not reach the attachment once it is deleted.
+	 */
+	if (!pasid_pte_is_present(pte) && !pasid_pte_is_fault_disabled(pte)) {
+		WARN_ON(READ_ONCE(pte->val[0]) != 0);
+		spin_unlock(&iommu->lock);
+		return;
+	}
	...+>
  }
