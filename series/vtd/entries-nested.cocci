// SPDX-License-Identifier: GPL-2.0-only

@intel_nested_attach_dev__locals@
identifier flags;
@@
  static int intel_nested_attach_dev(...)
  {
	...
-	unsigned long flags;
	...
  }

@intel_nested_attach_dev@
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

@intel_nested_domain_free@
identifier dmar_domain, s2_domain;
@@
  static void intel_nested_domain_free(...)
  {
	...
-	struct dmar_domain *s2_domain = dmar_domain->s2_domain;
	...
-	spin_lock(&s2_domain->s1_lock);
-	list_del(&dmar_domain->s2_link);
-	spin_unlock(&s2_domain->s1_lock);
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
-	spin_lock_init(&domain->lock);
	...
-	spin_lock(&s2_domain->s1_lock);
-	list_add(&domain->s2_link, &s2_domain->s1_domains);
-	spin_unlock(&s2_domain->s1_lock);
	...
  }
