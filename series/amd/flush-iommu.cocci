// SPDX-License-Identifier: GPL-2.0-only
// The flush of a domain goes over its list, with no lock and interrupts as they are.

@build_inv_iommu_pages@
identifier cmd, address, last, domid, pasid, flags;
typedef u64, u16, u32, ioasid_t;
@@
- static void build_inv_iommu_pages(struct iommu_cmd *cmd, u64 address, u64 last, u16 domid, ioasid_t pasid, u32 flags)
+ void build_inv_iommu_pages(struct iommu_cmd *cmd, u64 address, u64 last, u16 domid,
+			     ioasid_t pasid, u32 flags)
  { ... }

@build_inv_iotlb_pages@
identifier cmd, devid, qdep, address, last, pasid, gn;
@@
- static void build_inv_iotlb_pages(struct iommu_cmd *cmd, u16 devid, int qdep, u64 address, u64 last, ioasid_t pasid, bool gn)
+ void build_inv_iotlb_pages(struct iommu_cmd *cmd, u16 devid, int qdep, u64 address, u64 last,
+			     ioasid_t pasid, bool gn)
  { ... }

@attach_device@
identifier iommu, domain, ret, out;
@@
  attach_device(...)
  {
	...
-	ret = pdom_attach_iommu(iommu, domain);
-	if (ret)
-		goto out;
	<+...
-	pdom_detach_iommu(iommu, domain);
	...+>
  }

@attach_device__braces@
identifier dev_data, domain, ret;
@@
  attach_device(...)
  {
	<+...
	ret = init_gcr3_table(dev_data, domain);
-	if (ret) {
-		goto out;
-	}
+	if (ret)
+		goto out;
	...+>
  }

@detach_device@
identifier iommu, domain;
@@
  detach_device(...)
  {
	...
-	pdom_detach_iommu(iommu, domain);
	...
  }

@amd_iommu_link_nest@
@@
  amd_iommu_link_nest(...)
  {
	<+...
-	pdom_detach_iommu(...);
	...+>
  }

@amd_iommu_link_nest__attach@
identifier ret;
@@
  amd_iommu_link_nest(...)
  {
	...
-	ret = pdom_attach_iommu(...);
-	if (ret)
-		return ret;
	...
  }

@amd_iommu_link_nest__local@
identifier ret;
@@
  amd_iommu_link_nest(...)
  {
	...
-	int ret;
	...
  }

@protection_domain_init@
identifier domain;
@@
  protection_domain_init(struct protection_domain *domain)
  {
	...
-	INIT_LIST_HEAD(&domain->viommu_list);
-	xa_init(&domain->iommu_array);
  }

@amd_iommu_change_top@
identifier pdom;
@@
  amd_iommu_change_top(...)
  {
	...
-	domain_flush_complete(pdom);
+	if (amd_iommu_domain_wait(pdom))
+		pr_err_ratelimited("Devices may be unable to reach what is mapped in a larger table\n");
  }

@amd_iommu_iotlb_sync_map@
identifier dom, iova, size, domain, flags, ret;
@@
  amd_iommu_iotlb_sync_map(struct iommu_domain *dom, unsigned long iova, size_t size)
  {
	struct protection_domain *domain = to_pdomain(dom);
-	unsigned long flags;
-	int ret;
	...
-	spin_lock_irqsave(&domain->lock, flags);
-	ret = domain_flush_iotlbs(domain, iova, iova + size - 1, CMD_INV_IOMMU_PAGES_PDE_MASK);
-	ret |= domain_flush_complete(domain);
-	spin_unlock_irqrestore(&domain->lock, flags);
-	return ret ? -EIO : 0;
+	return amd_iommu_domain_flush_map(domain, iova, iova + size - 1);
  }

@amd_iommu_flush_iotlb_all@
identifier domain, dom, flags;
@@
  amd_iommu_flush_iotlb_all(struct iommu_domain *domain)
  {
-	struct protection_domain *dom = to_pdomain(domain);
-	unsigned long flags;
-	spin_lock_irqsave(&dom->lock, flags);
-	amd_iommu_domain_flush_all(dom);
-	spin_unlock_irqrestore(&dom->lock, flags);
+	amd_iommu_domain_flush_all(to_pdomain(domain));
  }

@amd_iommu_iotlb_sync@
identifier domain, gather, dom, flags;
@@
  amd_iommu_iotlb_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
  {
	struct protection_domain *dom = to_pdomain(domain);
-	unsigned long flags;
-	spin_lock_irqsave(&dom->lock, flags);
	if (amd_iommu_domain_flush_pages(...))
		return;
-	spin_unlock_irqrestore(&dom->lock, flags);
	...
  }

@amd_iommu_set_dirty_tracking@
identifier pdomain, flags, domain_flush, ret, enable;
@@
  amd_iommu_set_dirty_tracking(struct iommu_domain *domain, bool enable)
  {
	...
-	if (domain_flush)
-		ret |= amd_iommu_domain_flush_all(pdomain);
	pdomain->dirty_tracking = enable;
	spin_unlock_irqrestore(&pdomain->lock, flags);
+
+	if (domain_flush)
+		ret |= amd_iommu_domain_flush_all(pdomain);
	return ret ? -EIO : 0;
  }

@pdom_attach_iommu@
@@
- static int pdom_attach_iommu(...) { ... }

@pdom_detach_iommu@
@@
- static void pdom_detach_iommu(...) { ... }
