// SPDX-License-Identifier: GPL-2.0-only
// Detach flushes what the device may have used, and not what others use.

@detach_device@
identifier domain, dev_data, flags;
@@
  detach_device(struct device *dev)
  {
	...
	spin_lock_irqsave(&domain->lock, flags);
-	amd_iommu_domain_flush_all(domain);
	list_del(&dev_data->list);
	...
  }

@pdom_detach_iommu@
@@
  static void pdom_detach_iommu(...) { ... }
+
+ static void detach_flush(struct amd_iommu *iommu, struct iommu_dev_data *dev_data,
+			 struct protection_domain *domain)
+ {
+	/*
+	 * The ATC was flushed with the device table entry and cannot fill up again;
+	 * destroy_gcr3_table() flushes what came from a v2 table.
+	 */
+	if (pdom_is_v2_pgtbl_mode(domain))
+		return;
+
+	/* With a GCR3 table, the domain ID is the device's and about to be freed. */
+	if (dev_data->gcr3_info.gcr3_tbl) {
+		amd_iommu_flush_tlb_domid(iommu, dev_data->gcr3_info.domid);
+		return;
+	}
+
+	if (!pdom_is_in_pt_mode(domain))
+		amd_iommu_flush_tlb_domid(iommu, domain->id);
+ }
