// SPDX-License-Identifier: GPL-2.0-only
// What is attached to a domain goes on its list, and off after the last flush.

@alloc_dev_data@
identifier dev_data;
@@
  alloc_dev_data(...)
  {
	...
	spin_lock_init(&dev_data->dte_lock);
+	iommu_attach_endpoint_init(&dev_data->endpoint);
	...
  }

@destroy_gcr3_table@
identifier dev_data, pdom, gcr3_info;
@@
  destroy_gcr3_table(struct iommu_dev_data *dev_data
-			   , struct protection_domain *pdom
			   )
  {
	struct gcr3_tbl_info *gcr3_info = &dev_data->gcr3_info;
-	if (pdom_is_v2_pgtbl_mode(pdom)) {
-		update_gcr3(dev_data, 0, 0, false);
-		dev_flush_pasid_all(dev_data, 0);
-	}
	...
  }

@detach_flush@
identifier iommu, dev_data, domain;
@@
  detach_flush(struct amd_iommu *iommu, struct iommu_dev_data *dev_data, struct protection_domain *domain)
  {
-	if (pdom_is_v2_pgtbl_mode(domain))
+	if (pdom_is_v2_pgtbl_mode(domain)) {
+		update_gcr3(dev_data, 0, 0, false);
+		dev_flush_pasid_all(dev_data, 0);
		return;
+	}
	...
  }

@detach_flush__add@
@@
  static void detach_flush(...) { ... }
+
+ static int link_device(struct iommu_dev_data *dev_data, struct protection_domain *domain)
+ {
+	struct gcr3_tbl_info *gcr3_info = &dev_data->gcr3_info;
+	struct amd_iommu_attachment *attachment;
+
+	if (pdom_is_in_pt_mode(domain))
+		return 0;
+	attachment = amd_iommu_link(domain, dev_data, IOMMU_NO_PASID,
+				      gcr3_info->gcr3_tbl ? gcr3_info->domid : domain->id,
+				      IOMMU_ATTACH_OWN);
+	if (IS_ERR(attachment))
+		return PTR_ERR(attachment);
+	dev_data->attachment = attachment;
+	return 0;
+ }

@detach_flush__leave@
@@
  static int link_device(...) { ... }
+
+ static void leave_domain(struct iommu_dev_data *dev_data)
+ {
+	if (dev_is_pci(dev_data->dev))
+		pdev_disable_caps(to_pci_dev(dev_data->dev));
+	destroy_gcr3_table(dev_data);
+	dev_data->domain = NULL;
+ }

@attach_device@
identifier dev_data, domain, flags, out;
@@
  attach_device(...)
  {
	...
	dev_data->domain = domain;
+	ret = link_device(dev_data, domain);
+	if (ret) {
+		if (dev_data->ppr)
+			amd_iommu_iopf_remove_device(iommu, dev_data);
+		leave_domain(dev_data);
+		pdom_detach_iommu(iommu, domain);
+		goto out;
+	}
+
	spin_lock_irqsave(&domain->lock, flags);
	...
out:
	...
  }

@detach_device@
identifier dev, dev_data, iommu, domain, flags;
@@
  detach_device(struct device *dev)
  {
	...
	detach_flush(iommu, dev_data, domain);
+	amd_iommu_unlink(domain, dev_data->attachment);
+	dev_data->attachment = NULL;
	...
-	if (pdom_is_sva_capable(domain))
-		destroy_gcr3_table(dev_data, domain);
-	dev_data->domain = NULL;
-	if (dev_is_pci(dev))
-		pdev_disable_caps(to_pci_dev(dev));
+	leave_domain(dev_data);
	...
  }

@protection_domain_alloc@
identifier domain;
@@
  protection_domain_alloc(...)
  {
	...
	protection_domain_init(domain);
+	iommu_attach_init(&domain->alist);
	...
  }

@amd_iommu_domain_free@
identifier domain;
@@
  amd_iommu_domain_free(...)
  {
	...
+	iommu_attach_destroy(&domain->alist);
	pt_iommu_deinit(&domain->iommu);
	...
  }
