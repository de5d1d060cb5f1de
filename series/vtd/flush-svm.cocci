// SPDX-License-Identifier: GPL-2.0-only

@intel_mm_free_notifier@
identifier domain;
@@
  static void intel_mm_free_notifier(...)
  {
	...
-	kfree(domain->qi_batch);
	...
  }

@intel_svm_domain_alloc@
identifier domain;
@@
  intel_svm_domain_alloc(...)
  {
	...
-	INIT_LIST_HEAD(&domain->cache_tags);
-	spin_lock_init(&domain->cache_lock);
	...
  }
