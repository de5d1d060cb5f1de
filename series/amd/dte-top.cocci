// SPDX-License-Identifier: GPL-2.0-only
// A new top is written to all entries of a domain, and then waited for once.

@set_dte_entry@
identifier iommu, dev_data, old_domid, new, dte;
typedef u32;
@@
  set_dte_entry(struct amd_iommu *iommu, struct iommu_dev_data *dev_data, ...)
  {
-	u32 old_domid;
	struct dev_table_entry new = {};
	...
-	struct dev_table_entry *dte = &get_dev_table(iommu)[dev_data->devid];
	...
-	old_domid = READ_ONCE(dte->data[1]) & DTE_DOMID_MASK;
	...
-	amd_iommu_update_dte(iommu, dev_data, &new);
+	update_dte256(iommu, dev_data, &new);
+	clone_aliases(iommu, dev_data->dev);
-	if (old_domid && old_domid != FIELD_GET(DTE_DOMID_MASK, new.data[1]))
-		amd_iommu_flush_tlb_domid(iommu, old_domid);
  }

@dev_update_dte@
@@
- static void dev_update_dte(...) { ... }

@clear_dte_entry@
identifier iommu, dev_data, new;
@@
  clear_dte_entry(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
  {
	...
-	amd_iommu_update_dte(iommu, dev_data, &new);
+	update_dte256(iommu, dev_data, &new);
+	clone_aliases(iommu, dev_data->dev);
  }

@clear_dte_entry__flush@
@@
  static void clear_dte_entry(...) { ... }
+
+ static void flush_dte_entry(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
+ {
+	device_flush_dte(dev_data);
+	amd_iommu_execute(iommu, NULL, 0);
+ }

@clear_dte_entry__domid@
typedef u32;
@@
  static void flush_dte_entry(...) { ... }
+
+ static u32 dte_domid(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
+ {
+	return FIELD_GET(DTE_DOMID_MASK, get_dev_table(iommu)[dev_data->devid].data[1]);
+ }

@attach_device@
identifier dev_data, domain, iommu, flags;
typedef u32;
@@
  attach_device(...)
  {
	...
	struct amd_iommu *iommu = get_amd_iommu_from_dev_data(dev_data);
	...
	unsigned long flags;
+	u32 old_domid;
	...
	spin_lock_irqsave(&domain->lock, flags);
	list_add(&dev_data->list, &domain->dev_list);
+	set_dte_entry(iommu, dev_data, 0, 0);
	spin_unlock_irqrestore(&domain->lock, flags);
-	dev_update_dte(dev_data, true);
+	flush_dte_entry(iommu, dev_data);
	...
  }

@attach_device__crash@
identifier dev, dev_data, domain, iommu, out;
@@
  attach_device(struct device *dev, struct protection_domain *domain)
  {
	...
	struct amd_iommu *iommu = get_amd_iommu_from_dev_data(dev_data);
	...
	if (dev_data->domain != NULL) {
		...
		goto out;
	}
+
+	/* A crash kernel replaces the entry of the kernel before, and its domain ID. */
+	old_domid = dte_domid(iommu, dev_data);
+	if (old_domid) {
+		clear_dte_entry(iommu, dev_data);
+		flush_dte_entry(iommu, dev_data);
+		amd_iommu_flush_tlb_domid(iommu, old_domid);
+	}
	...
  }

@detach_device@
identifier dev_data, iommu, domain, flags;
@@
  detach_device(...)
  {
	...
	struct amd_iommu *iommu = get_amd_iommu_from_dev_data(dev_data);
	struct protection_domain *domain = dev_data->domain;
	unsigned long flags;
	...
-	dev_update_dte(dev_data, false);
+	spin_lock_irqsave(&domain->lock, flags);
+	clear_dte_entry(iommu, dev_data);
+	spin_unlock_irqrestore(&domain->lock, flags);
+	flush_dte_entry(iommu, dev_data);
	...
  }

@blocked_domain_attach_device@
identifier dev_data, dev;
@@
  blocked_domain_attach_device(...)
  {
	...
-	if (dev_data->domain)
-		detach_device(dev);
+	if (dev_data->domain) {
+		detach_device(dev);
+		return 0;
+	}
	...
-	dev_update_dte(dev_data, false);
+	clear_dte_entry(get_amd_iommu_from_dev_data(dev_data), dev_data);
+	flush_dte_entry(get_amd_iommu_from_dev_data(dev_data), dev_data);
	...
  }

@amd_iommu_change_top@
identifier pdom, dev_data, iommu, top_paddr, top_level;
iterator name list_for_each_entry;
@@
  amd_iommu_change_top(...)
  {
	...
	list_for_each_entry(dev_data, &pdom->dev_list, list) {
-		struct amd_iommu *iommu = rlookup_amd_iommu(dev_data->dev);
+		struct amd_iommu *iommu = get_amd_iommu_from_dev_data(dev_data);
+
+		/* A device that is leaving is blocked, and stays so. */
+		if (!(get_dev_table(iommu)[dev_data->devid].data[0] & DTE_FLAG_TV))
+			continue;
		set_dte_entry(iommu, dev_data, top_paddr, top_level);
-		clone_aliases(iommu, dev_data->dev);
	}
	...
  }
