// SPDX-License-Identifier: GPL-2.0-only
// An attachment is on the domain's list before its PASID entry is there.

@intel_pasid_setup_dirty_tracking@
identifier iommu, pte, did;
@@
  intel_pasid_setup_dirty_tracking(struct intel_iommu *iommu, ...)
  {
	<+...
-	did = pasid_get_domain_id(pte);
+	did = pasid_get_domain_id(pte);
+	/* Otherwise it takes the setting when it is made. */
+	if (!pasid_pte_is_present(pte)) {
+		spin_unlock(&iommu->lock);
+		return 0;
+	}
	...+>
  }

@intel_pasid_setup_page_snoop_control@
identifier pte;
@@
  intel_pasid_setup_page_snoop_control(...)
  {
	<+...
-	if (WARN_ON(!pte || !pasid_pte_is_present(pte))) {
+	/* Otherwise it takes the setting when it is made. */
+	if (!pte || !pasid_pte_is_present(pte)) {
		...
	}
	...+>
  }
