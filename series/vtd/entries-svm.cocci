// SPDX-License-Identifier: GPL-2.0-only

@intel_svm_domain_alloc@
identifier domain;
@@
  intel_svm_domain_alloc(...)
  {
	...
-	INIT_LIST_HEAD(&domain->dev_pasids);
-	spin_lock_init(&domain->lock);
	...
  }
