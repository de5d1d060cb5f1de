// SPDX-License-Identifier: GPL-2.0-only

@intel_nested_attach_dev__locals@
identifier flags;
@@
  static int intel_nested_attach_dev(...)
  {
	...
+	struct dev_pasid_info *dev_pasid;
	unsigned long flags;
	...
  }

@intel_nested_attach_dev__add@
identifier domain, dmar_domain, dev, iommu, ret;
@@
  static int intel_nested_attach_dev(struct iommu_domain *domain, struct device *dev, ...)
  {
	<+...
-	ret = domain_attach_iommu(dmar_domain, iommu);
-	if (ret) {
+	dev_pasid = domain_add_dev_pasid(domain, dev, IOMMU_NO_PASID);
+	if (IS_ERR(dev_pasid)) {
		dev_err_ratelimited(...);
-		return ret;
+		return PTR_ERR(dev_pasid);
	}
-	ret = cache_tag_assign_domain(dmar_domain, dev, IOMMU_NO_PASID);
-	if (ret)
-		goto detach_iommu;
	...+>
  }

@intel_nested_attach_dev__remove@
identifier dmar_domain, iommu, domain, dev;
@@
  static int intel_nested_attach_dev(struct iommu_domain *domain, struct device *dev, ...)
  {
	<+...
(
-	goto unassign_tag;
+	goto remove_dev_pasid;
|
- unassign_tag:
-	cache_tag_unassign_domain(dmar_domain, dev, IOMMU_NO_PASID);
- detach_iommu:
-	domain_detach_iommu(dmar_domain, iommu);
+ remove_dev_pasid:
+	domain_remove_dev_pasid(domain, dev, IOMMU_NO_PASID);
)
	...+>
  }

@intel_nested_domain_free@
identifier dmar_domain;
@@
  static void intel_nested_domain_free(...)
  {
	...
+	iommu_attach_destroy(&dmar_domain->alist);
	kfree(dmar_domain->qi_batch);
	...
  }

@intel_iommu_domain_alloc_nested@
identifier domain;
@@
  intel_iommu_domain_alloc_nested(...)
  {
	...
	xa_init(&domain->iommu_array);
+	iommu_attach_init(&domain->alist);
	...
  }
