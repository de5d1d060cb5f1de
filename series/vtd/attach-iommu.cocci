// SPDX-License-Identifier: GPL-2.0-only
// The list takes the place of iommu_array, devices, dev_pasids, s1_domains and cache_tags.

@domain_lookup_dev_info@
@@
- static struct device_domain_info *domain_lookup_dev_info(...) { ... }

@domain_attach_iommu@
@@
- int domain_attach_iommu(...) { ... }

@domain_detach_iommu@
@@
- void domain_detach_iommu(...) { ... }

@domain_support_force_snooping@
typedef bool;
@@
- static bool domain_support_force_snooping(...) { ... }

@intel_iommu_enforce_cache_coherency_fs@
@@
- static bool intel_iommu_enforce_cache_coherency_fs(...) { ... }

@intel_iommu_enforce_cache_coherency_ss@
@@
- static bool intel_iommu_enforce_cache_coherency_ss(...) { ... }

@domain_add_dev_pasid@
@@
- struct dev_pasid_info *domain_add_dev_pasid(...) { ... }

@domain_remove_dev_pasid@
@@
- void domain_remove_dev_pasid(...) { ... }

@domain_set_dirty_tracking@
@@
- static int domain_set_dirty_tracking(...) { ... }

@parent_domain_set_dirty_tracking@
@@
- static int parent_domain_set_dirty_tracking(...) { ... }

@intel_iommu_set_dirty_tracking@
@@
- static int intel_iommu_set_dirty_tracking(...) { ... }

@iommu_disable_pci_ats@
expression pdev;
@@
  iommu_disable_pci_ats(...)
  {
	...
-	pci_disable_ats(pdev);
+	/* Until then it has to answer what flushes send it. */
+	iommu_attach_drain();
+	pci_disable_ats(pdev);
	...
  }

@domain_context_mapping@
@@
  domain_context_mapping(...)
  {
	...
-	ret = pci_for_each_dma_alias(to_pci_dev(dev), domain_context_mapping_cb, domain);
-	if (ret)
-		return ret;
-	iommu_enable_pci_ats(info);
-	return 0;
+	return pci_for_each_dma_alias(to_pci_dev(dev), domain_context_mapping_cb, domain);
  }

@domain_context_mapping__ret@
identifier ret;
@@
  domain_context_mapping(...)
  {
	...
-	int ret;
	... when != ret
  }

@domain_context_clear@
@@
  domain_context_clear(...)
  {
	...
-	iommu_disable_pci_ats(info);
  }

@domain_setup_first_level@
identifier iommu, domain, dev, flags, old;
expression E1, E2, E3;
typedef u32;
@@
  static int domain_setup_first_level(struct intel_iommu *iommu, struct dmar_domain *domain,
				      struct device *dev, u32 pasid, struct iommu_domain *old)
  {
	...
	unsigned int flags = 0;
+	int ret;
	...
-	return __domain_setup_first_level(E1, dev, E2, domain_id_iommu(domain, iommu), E3, flags, old);
+	ret = __domain_setup_first_level(E1, dev, E2,
+					 domain_id_iommu(domain, iommu),
+					 E3, flags, old);
+	/* It may have been asked for since the flag was looked at. */
+	if (!ret && domain->force_snooping && !(flags & PASID_FLAG_PAGE_SNOOP))
+		domain_enforce_page_snoop(domain);
+	return ret;
  }

@dmar_domain_attach_device__locals@
identifier flags;
@@
  dmar_domain_attach_device(...)
  {
	...
-	unsigned long flags;
+	struct dev_pasid_info *dev_pasid;
	...
  }

@dmar_domain_attach_device__add@
identifier domain, iommu, ret;
@@
  dmar_domain_attach_device(...)
  {
	<+...
-	ret = domain_attach_iommu(domain, iommu);
-	if (ret)
-		return ret;
+	if (!sm_supported(iommu) && !dev_is_real_dma_subdevice(dev)) {
+		/* Before its context entry lets the device use it. */
+		iommu_enable_pci_ats(info);
+	}
+	dev_pasid = domain_add_dev_pasid(&domain->domain, dev, IOMMU_NO_PASID);
+	if (IS_ERR(dev_pasid)) {
+		if (!sm_supported(iommu))
+			iommu_disable_pci_ats(info);
+		return PTR_ERR(dev_pasid);
+	}
	...+>
  }

@dmar_domain_attach_device__link@
identifier domain, info, flags;
@@
  dmar_domain_attach_device(...)
  {
	<+...
-	spin_lock_irqsave(&domain->lock, flags);
-	list_add(&info->link, &domain->devices);
-	spin_unlock_irqrestore(&domain->lock, flags);
	...+>
  }

@dmar_domain_attach_device__tag@
identifier ret, out;
@@
  dmar_domain_attach_device(...)
  {
	<+...
-	ret = cache_tag_assign_domain(...);
-	if (ret)
-		goto out;
	...+>
  }

@device_block_translation@
@@
  void device_block_translation(...)
  {
	...
-	unsigned long flags;
	...
-	if (info->domain)
-		cache_tag_unassign_domain(info->domain, dev, IOMMU_NO_PASID);
	...
-	spin_lock_irqsave(&info->domain->lock, flags);
-	list_del(&info->link);
-	spin_unlock_irqrestore(&info->domain->lock, flags);
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
-	INIT_LIST_HEAD(&domain->devices);
-	INIT_LIST_HEAD(&domain->dev_pasids);
-	INIT_LIST_HEAD(&domain->cache_tags);
-	spin_lock_init(&domain->lock);
-	spin_lock_init(&domain->cache_lock);
-	xa_init(&domain->iommu_array);
-	INIT_LIST_HEAD(&domain->s1_domains);
-	spin_lock_init(&domain->s1_lock);
+	iommu_attach_init(&domain->alist);
	...
  }

@intel_iommu_domain_free@
identifier dmar_domain;
@@
  intel_iommu_domain_free(...)
  {
	...
-	if (WARN_ON(dmar_domain->nested_parent && !list_empty(&dmar_domain->s1_domains)))
-		return;
-	if (WARN_ON(!list_empty(&dmar_domain->devices)))
+	if (WARN_ON(!iommu_attach_empty(&dmar_domain->alist)))
		return;
	...
-	kfree(dmar_domain->qi_batch);
+	iommu_attach_destroy(&dmar_domain->alist);
	kfree(dmar_domain);
  }

@intel_iommu_probe_finalize@
identifier info, dev, iommu, did;
@@
  intel_iommu_probe_finalize(...)
  {
	<+...
	if (info->ats_enabled && info->domain) {
-		u16 did = domain_id_iommu(info->domain, iommu);
-		if (cache_tag_assign(info->domain, did, dev, IOMMU_NO_PASID, CACHE_TAG_DEVTLB))
+		if (domain_enable_atc(info->domain, dev))
			iommu_disable_pci_ats(info);
	}
	...+>
  }

@free_dmar_iommu@
identifier iommu;
@@
  free_dmar_iommu(struct intel_iommu *iommu)
  {
+	/* Flushes that saw its last attachment may still look at it. */
+	iommu_attach_drain();
+
	...
  }
