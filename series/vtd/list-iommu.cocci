// SPDX-License-Identifier: GPL-2.0-only
// Attachments with and without PASID are made and removed in attach.c.

@domain_add_dev_pasid@
@@
- struct dev_pasid_info *domain_add_dev_pasid(...) { ... }

@domain_remove_dev_pasid@
@@
- void domain_remove_dev_pasid(...) { ... }

@dmar_domain_attach_device__locals@
identifier flags;
@@
  dmar_domain_attach_device(...)
  {
	...
+	struct dev_pasid_info *dev_pasid;
	unsigned long flags;
	...
  }

@dmar_domain_attach_device__add@
identifier domain, iommu, ret, dev;
@@
  dmar_domain_attach_device(struct dmar_domain *domain, struct device *dev)
  {
	<+...
-	ret = domain_attach_iommu(domain, iommu);
-	if (ret)
-		return ret;
	...+>
  }

@dmar_domain_attach_device__order@
identifier domain, info, iommu, flags, dev, ret, out;
@@
  dmar_domain_attach_device(struct dmar_domain *domain, struct device *dev)
  {
	<+...
-	info->domain = domain;
-	info->domain_attached = true;
-	spin_lock_irqsave(&domain->lock, flags);
-	list_add(&info->link, &domain->devices);
-	spin_unlock_irqrestore(&domain->lock, flags);
-
-	if (dev_is_real_dma_subdevice(dev))
-		return 0;
-	if (!sm_supported(iommu) && info->ats_supported) { ... }
-	ret = cache_tag_assign_domain(domain, dev, IOMMU_NO_PASID);
-	if (ret)
-		goto out;
+	if (!sm_supported(iommu) && info->ats_supported &&
+	    !dev_is_real_dma_subdevice(dev)) {
+		/*
+		 * Before the entry lets the device use its ATC. In a crash kernel, the
+		 * entry that it inherited still may.
+		 */
+		pci_for_each_dma_alias(to_pci_dev(dev), clear_copied_context_cb, info);
+		iommu_enable_pci_ats(info);
+	}
+	dev_pasid = domain_add_dev_pasid(&domain->domain, dev, IOMMU_NO_PASID);
+	if (IS_ERR(dev_pasid)) {
+		if (!sm_supported(iommu))
+			iommu_disable_pci_ats(info);
+		return PTR_ERR(dev_pasid);
+	}
+
+	info->domain = domain;
+	info->domain_attached = true;
+	spin_lock_irqsave(&domain->lock, flags);
+	list_add(&info->link, &domain->devices);
+	spin_unlock_irqrestore(&domain->lock, flags);
+
+	if (dev_is_real_dma_subdevice(dev))
+		return 0;
	...+>
  }

@device_block_translation@
identifier info, dev, iommu, flags;
@@
  void device_block_translation(struct device *dev)
  {
	...
-	if (info->domain)
-		cache_tag_unassign_domain(info->domain, dev, IOMMU_NO_PASID);
-	if (!sm_supported(iommu))
-		iommu_disable_pci_ats(info);
	if (!info->domain)
		return;
	...
-	domain_detach_iommu(info->domain, iommu);
+	domain_remove_dev_pasid(&info->domain->domain, dev, IOMMU_NO_PASID);
	info->domain = NULL;
+	if (!sm_supported(iommu))
+		iommu_disable_pci_ats(info);
  }

@paging_domain_alloc@
identifier domain;
@@
  paging_domain_alloc(void)
  {
	...
	xa_init(&domain->iommu_array);
+	iommu_attach_init(&domain->alist);
	...
  }

@intel_iommu_domain_free@
identifier dmar_domain;
@@
  intel_iommu_domain_free(...)
  {
	...
-	if (WARN_ON(!list_empty(&dmar_domain->devices)))
+	if (WARN_ON(!iommu_attach_empty(&dmar_domain->alist)))
		return;
	...
+	iommu_attach_destroy(&dmar_domain->alist);
	kfree(dmar_domain->qi_batch);
	...
  }

@intel_iommu_probe_finalize@
identifier info, dev, iommu, did;
typedef u16;
@@
  intel_iommu_probe_finalize(...)
  {
	<+...
-	iommu_enable_pci_ats(info);
-	if (info->ats_enabled && info->domain) {
-		u16 did = domain_id_iommu(info->domain, iommu);
-		if (cache_tag_assign(info->domain, did, dev, IOMMU_NO_PASID, CACHE_TAG_DEVTLB))
-			iommu_disable_pci_ats(info);
-	}
+	/* Flushes of what it is attached to are to reach it. */
+	mutex_lock(&iommu->did_lock);
+	iommu_enable_pci_ats(info);
+	if (domain_enable_atc(dev))
+		iommu_disable_pci_ats(info);
+	mutex_unlock(&iommu->did_lock);
	...+>
  }
