// SPDX-License-Identifier: GPL-2.0-only
// A device that is attached to a nest is on the list of the parent, and leaves it as others do.

@amd_iommu_update_dte@
identifier iommu, dev_data, new;
@@
  amd_iommu_update_dte(struct amd_iommu *iommu, struct iommu_dev_data *dev_data, struct dev_table_entry *new)
  {
	...
-	device_flush_dte(dev_data);
-	amd_iommu_execute(iommu, NULL, 0);
  }

@flush_dte_entry@
identifier iommu, dev_data;
@@
- static void flush_dte_entry(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
+ void amd_iommu_flush_dte(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
  { ... }

@flush_dte_entry__calls@
identifier fn;
expression iommu, dev_data;
@@
  fn(...)
  {
	<+...
-	flush_dte_entry(iommu, dev_data)
+	amd_iommu_flush_dte(iommu, dev_data)
	...+>
  }

@detach_flush@
identifier iommu, dev_data, domain;
@@
  detach_flush(struct amd_iommu *iommu, struct iommu_dev_data *dev_data, struct protection_domain *domain)
  {
	...
-	if (!pdom_is_in_pt_mode(domain))
-		amd_iommu_flush_tlb_domid(iommu, domain->id);
+	if (dev_data->attachment) {
+		u16 domid = amd_iommu_attachment_domid(dev_data->attachment);
+
+		amd_iommu_flush_tlb_domid(iommu, domid);
+	}
  }

@amd_iommu_attach_device@
identifier dev_data, domain;
@@
  amd_iommu_attach_device(...)
  {
	...
-	if (dev_data->domain == domain)
+	if (dev_data->domain == domain && !amd_iommu_attachment_nested(dev_data->attachment))
		return 0;
	...
  }

@iommu_flush_dte_sync@
@@
- static void iommu_flush_dte_sync(...) { ... }
