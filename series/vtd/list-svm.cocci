// SPDX-License-Identifier: GPL-2.0-only

@intel_mm_free_notifier@
identifier domain;
@@
  static void intel_mm_free_notifier(...)
  {
	...
+	iommu_attach_destroy(&domain->alist);
	kfree(domain->qi_batch);
	...
  }

@intel_svm_domain_alloc@
identifier domain;
@@
  intel_svm_domain_alloc(...)
  {
	...
	spin_lock_init(&domain->lock);
+	iommu_attach_init(&domain->alist);
	...
  }
