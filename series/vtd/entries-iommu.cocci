// SPDX-License-Identifier: GPL-2.0-only

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

@domain_set_dirty_tracking@
@@
- static int domain_set_dirty_tracking(...) { ... }

@parent_domain_set_dirty_tracking@
@@
- static int parent_domain_set_dirty_tracking(...) { ... }

@intel_iommu_set_dirty_tracking@
@@
- static int intel_iommu_set_dirty_tracking(...) { ... }

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
+	if (!ret)
+		domain_settle_entry(domain, dev, pasid);
+	return ret;
  }

@dmar_domain_attach_device__locals@
identifier flags;
@@
  dmar_domain_attach_device(...)
  {
	...
-	unsigned long flags;
	...
  }

@dmar_domain_attach_device@
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

@device_block_translation@
identifier info, flags;
@@
  void device_block_translation(...)
  {
	...
-	unsigned long flags;
	...
-	spin_lock_irqsave(&info->domain->lock, flags);
-	list_del(&info->link);
-	spin_unlock_irqrestore(&info->domain->lock, flags);
	...
  }

@paging_domain_alloc@
identifier domain;
@@
  paging_domain_alloc(void)
  {
	...
-	INIT_LIST_HEAD(&domain->devices);
-	INIT_LIST_HEAD(&domain->dev_pasids);
-	spin_lock_init(&domain->lock);
	...
-	INIT_LIST_HEAD(&domain->s1_domains);
-	spin_lock_init(&domain->s1_lock);
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
	...
  }
