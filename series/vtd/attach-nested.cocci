// SPDX-License-Identifier: GPL-2.0-only
// A nest is on its own list and on its parent's.

@intel_nested_attach_dev__locals@
identifier flags;
@@
  static int intel_nested_attach_dev(...)
  {
	...
-	unsigned long flags;
+	struct dev_pasid_info *dev_pasid;
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

@intel_nested_attach_dev__link@
identifier dmar_domain, info, flags;
@@
  static int intel_nested_attach_dev(...)
  {
	<+...
-	spin_lock_irqsave(&dmar_domain->lock, flags);
-	list_add(&info->link, &dmar_domain->devices);
-	spin_unlock_irqrestore(&dmar_domain->lock, flags);
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
identifier domain, dmar_domain, s2_domain;
@@
  static void intel_nested_domain_free(struct iommu_domain *domain)
  {
	...
-	spin_lock(&s2_domain->s1_lock);
-	list_del(&dmar_domain->s2_link);
-	spin_unlock(&s2_domain->s1_lock);
-	kfree(dmar_domain->qi_batch);
+	iommu_attach_destroy(&dmar_domain->alist);
	kfree(dmar_domain);
  }

@intel_nested_domain_free__parent@
identifier dmar_domain, s2_domain;
@@
  static void intel_nested_domain_free(...)
  {
	...
-	struct dmar_domain *s2_domain = dmar_domain->s2_domain;
	...
  }

@intel_iommu_domain_alloc_nested@
identifier domain, s2_domain;
@@
  intel_iommu_domain_alloc_nested(...)
  {
	...
-	INIT_LIST_HEAD(&domain->devices);
-	INIT_LIST_HEAD(&domain->dev_pasids);
-	INIT_LIST_HEAD(&domain->cache_tags);
-	spin_lock_init(&domain->lock);
-	spin_lock_init(&domain->cache_lock);
-	xa_init(&domain->iommu_array);
-	spin_lock(&s2_domain->s1_lock);
-	list_add(&domain->s2_link, &s2_domain->s1_domains);
-	spin_unlock(&s2_domain->s1_lock);
+	iommu_attach_init(&domain->alist);
	...
  }
