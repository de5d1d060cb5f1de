// SPDX-License-Identifier: GPL-2.0-only
// The old domain ID needs a flush if it is not the new one.

@set_dte_entry@
identifier iommu, old_domid, new;
@@
  set_dte_entry(...)
  {
	...
	struct dev_table_entry new = {};
	...
-	if (old_domid) {
-		amd_iommu_flush_tlb_domid(iommu, old_domid);
-	}
+	if (old_domid && old_domid != FIELD_GET(DTE_DOMID_MASK, new.data[1]))
+		amd_iommu_flush_tlb_domid(iommu, old_domid);
  }
