// SPDX-License-Identifier: GPL-2.0-only
// Requests without PASID: tags are there for as long as the entry is.

@dmar_domain_attach_device@
identifier domain, iommu, dev, ret, out;
statement S;
@@
  dmar_domain_attach_device(struct dmar_domain *domain, struct device *dev)
  {
	...
+	ret = cache_tag_assign_domain(domain, dev, IOMMU_NO_PASID);
+	if (ret)
+		goto out_block_translation;
+
	if (!sm_supported(iommu))
		ret = domain_context_mapping(domain, dev);
	else S
	if (ret)
		goto out;
-	ret = cache_tag_assign_domain(domain, dev, IOMMU_NO_PASID);
-	if (ret)
-		goto out;
	return 0;
	...
  }

@domain_context_clear@
@@
  domain_context_clear(...)
  {
	...
-	iommu_disable_pci_ats(info);
  }

@device_block_translation@
identifier info, dev, iommu;
@@
  void device_block_translation(struct device *dev)
  {
	...
	struct intel_iommu *iommu = info->iommu;
	...
-	if (info->domain)
-		cache_tag_unassign_domain(info->domain, dev, IOMMU_NO_PASID);
	...
	info->domain_attached = false;
+	if (info->domain)
+		cache_tag_unassign_domain(info->domain, dev, IOMMU_NO_PASID);
+	if (!sm_supported(iommu))
+		iommu_disable_pci_ats(info);
	...
  }
