// SPDX-License-Identifier: GPL-2.0-only
// SVA domains have the list, too.

@intel_mm_release@
iterator name list_for_each_entry, iommu_attach_for_each_all;
identifier domain, dev_pasid;
@@
  static void intel_mm_release(...)
  {
	...
-	unsigned long flags;
+	struct iommu_attach_walk walk;
	...
-	spin_lock_irqsave(&domain->lock, flags);
-	list_for_each_entry(dev_pasid, &domain->dev_pasids, link_domain) {
+	iommu_attach_walk_begin(&walk, &domain->alist);
+	/* ATS is on in all of them. Before they go it goes off, after a drain. */
+	iommu_attach_for_each_all(dev_pasid, &walk, elms.s1) {
		...
	}
-	spin_unlock_irqrestore(&domain->lock, flags);
+	iommu_attach_walk_end(&walk);
  }

@intel_mm_free_notifier@
identifier domain;
@@
  static void intel_mm_free_notifier(...)
  {
	...
-	kfree(domain->qi_batch);
+	iommu_attach_destroy(&domain->alist);
	kfree(domain);
  }

@intel_svm_domain_alloc@
identifier domain;
@@
  intel_svm_domain_alloc(...)
  {
	...
-	INIT_LIST_HEAD(&domain->dev_pasids);
-	INIT_LIST_HEAD(&domain->cache_tags);
-	spin_lock_init(&domain->cache_lock);
-	spin_lock_init(&domain->lock);
+	iommu_attach_init(&domain->alist);
	...
  }
