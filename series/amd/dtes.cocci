// SPDX-License-Identifier: GPL-2.0-only
// Entries of all attachments, nests included, are found by the list of the domain.

@set_dte_v1@
identifier dev_data, domain, domid, top_paddr, top_level, new, pt_info;
typedef phys_addr_t;
@@
  set_dte_v1(struct iommu_dev_data *dev_data, struct protection_domain *domain, u16 domid,
-	     phys_addr_t top_paddr, unsigned int top_level,
	     struct dev_table_entry *new)
  {
	struct pt_iommu_amdv1_hw_info pt_info;
-	if (top_paddr) {
-		pt_info.host_pt_root = top_paddr;
-		pt_info.mode = top_level + 1;
-	} else {
-		WARN_ON(top_paddr || top_level);
-		pt_iommu_amdv1_hw_info(&domain->amdv1, &pt_info);
-	}
+	pt_iommu_amdv1_hw_info(&domain->amdv1, &pt_info);
	...
  }

@set_dte_entry@
identifier iommu, dev_data, top_paddr, top_level, new, domain;
@@
  set_dte_entry(struct amd_iommu *iommu, struct iommu_dev_data *dev_data
-	        , phys_addr_t top_paddr, unsigned int top_level
	        )
  {
	<+...
-	set_dte_v1(dev_data, domain, domain->id, top_paddr, top_level, &new);
+	set_dte_v1(dev_data, domain, domain->id, &new);
	...+>
  }

@attach_device@
identifier iommu, dev_data, domain;
@@
  attach_device(...)
  {
	...
-	list_add(&dev_data->list, &domain->dev_list);
	...
-	set_dte_entry(iommu, dev_data, 0, 0);
+	set_dte_entry(iommu, dev_data);
	...
  }

@detach_device@
identifier dev_data, domain, flags;
@@
  detach_device(...)
  {
	...
	dev_data->attachment = NULL;
-	spin_lock_irqsave(&domain->lock, flags);
-	list_del(&dev_data->list);
-	spin_unlock_irqrestore(&domain->lock, flags);
	...
  }

@amd_iommu_link_nest@
identifier dev_data;
@@
  amd_iommu_link_nest(...)
  {
	...
-	INIT_LIST_HEAD(&dev_data->list);
	...
  }

@protection_domain_init@
identifier domain;
@@
  protection_domain_init(struct protection_domain *domain)
  {
	...
-	INIT_LIST_HEAD(&domain->dev_list);
	...
  }

@amd_iommu_change_top@
iterator name list_for_each_entry;
identifier pdom, dev_data, top;
typedef u64;
@@
  amd_iommu_change_top(...)
  {
	...
-	struct iommu_dev_data *dev_data;
+	u64 top;
	...
-	list_for_each_entry(dev_data, &pdom->dev_list, list) { ... }
-	list_for_each_entry(dev_data, &pdom->dev_list, list)
-		device_flush_dte(dev_data);
	top = FIELD_PREP(...) | FIELD_PREP(...);
	...
  }

@amd_iommu_domain_free@
identifier domain;
@@
  amd_iommu_domain_free(...)
  {
	...
-	WARN_ON(!list_empty(&domain->dev_list));
	...
  }

@amd_iommu_set_dirty_tracking@
iterator name list_for_each_entry;
identifier domain, enable, pdomain, dte, dev_data, domain_flush, ret, iommu, flags, new;
@@
  amd_iommu_set_dirty_tracking(struct iommu_domain *domain, bool enable)
  {
	struct protection_domain *pdomain = to_pdomain(domain);
-	struct dev_table_entry *dte;
-	struct iommu_dev_data *dev_data;
-	bool domain_flush = false;
	int ret = 0;
-	struct amd_iommu *iommu;
	unsigned long flags;
-	u64 new;
	spin_lock_irqsave(&pdomain->lock, flags);
-	if (!(pdomain->dirty_tracking ^ enable)) {
-		spin_unlock_irqrestore(&pdomain->lock, flags);
-		return 0;
-	}
-	list_for_each_entry(dev_data, &pdomain->dev_list, list) { ... }
-	pdomain->dirty_tracking = enable;
+	if (pdomain->dirty_tracking != enable) {
+		ret = amd_iommu_domain_change_dtes(pdomain, DTE_FLAG_HAD,
+						   enable ? DTE_FLAG_HAD : 0);
+		/* If that has failed, the next caller tries again. */
+		if (!ret)
+			pdomain->dirty_tracking = enable;
+	}
	spin_unlock_irqrestore(&pdomain->lock, flags);
-	if (domain_flush)
-		ret |= amd_iommu_domain_flush_all(pdomain);
+	/* The one who has changed it may not have flushed yet. */
+	ret |= amd_iommu_domain_flush_all(pdomain);
	return ret ? -EIO : 0;
  }

@device_flush_dte@
identifier dev_data, ret;
@@
- static int device_flush_dte(struct iommu_dev_data *dev_data)
+ static int queue_inv_dte(struct iommu_dev_data *dev_data)
  {
	...
-	if (dev_data->ats_enabled) { ... }
	return ret;
  }

@device_flush_dte__add@
@@
  static int queue_inv_dte(...) { ... }
+
+ static int device_flush_dte(struct iommu_dev_data *dev_data)
+ {
+	int ret = queue_inv_dte(dev_data);
+
+	/* The whole ATC */
+	if (!ret && dev_data->ats_enabled)
+		ret = device_flush_iotlb(dev_data, 0, U64_MAX, IOMMU_NO_PASID, false);
+	return ret;
+ }
