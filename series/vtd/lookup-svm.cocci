// SPDX-License-Identifier: GPL-2.0-only
// The PASID entries of an mm are flushed together, and not under a lock.

@intel_mm_release@
iterator name list_for_each_entry;
identifier domain, dev_pasid, info, flags;
@@
  static void intel_mm_release(...)
  {
	...
-	struct dev_pasid_info *dev_pasid;
-	struct device_domain_info *info;
-	unsigned long flags;
	...
-	spin_lock_irqsave(&domain->lock, flags);
-	list_for_each_entry(dev_pasid, &domain->dev_pasids, link_domain) {
-		...
-	}
-	spin_unlock_irqrestore(&domain->lock, flags);
+	domain_stop_pasids(domain);
  }
