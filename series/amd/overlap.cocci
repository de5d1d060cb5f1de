// SPDX-License-Identifier: GPL-2.0-only
// All IOMMUs have their completion wait before the first one is waited for, and errors count.

@domain_flush_complete@
@@
- static void domain_flush_complete(...) { ... }

@iommu_flush_dte@
typedef u64;
@@
  static int iommu_flush_dte(...) { ... }
+
+ static u64 submit_wait(struct amd_iommu *iommu, int *ret)
+ {
+	/* If it cannot be queued: 0 has always arrived. */
+	u64 seq = 0;
+
+	*ret |= amd_iommu_submit(iommu, NULL, 0, &seq);
+	return seq;
+ }

@iommu_flush_dte__complete@
iterator name xa_for_each, list_for_each_entry;
@@
  static u64 submit_wait(...) { ... }
+
+ static int domain_flush_complete(struct protection_domain *domain)
+ {
+	struct amd_iommu_viommu *aviommu;
+	struct pdom_iommu_info *info;
+	unsigned long i;
+	int ret = 0;
+
+	lockdep_assert_held(&domain->lock);
+
+	/* All IOMMUs work at the same time. */
+	xa_for_each(&domain->iommu_array, i, info)
+		info->seq = submit_wait(info->iommu, &ret);
+	list_for_each_entry(aviommu, &domain->viommu_list, pdom_list)
+		aviommu->seq = submit_wait(viommu_to_iommu(aviommu), &ret);
+
+	xa_for_each(&domain->iommu_array, i, info)
+		ret |= amd_iommu_wait(info->iommu, info->seq);
+	/* A vIOMMU with nested domains need not have a device in the parent itself. */
+	list_for_each_entry(aviommu, &domain->viommu_list, pdom_list)
+		ret |= amd_iommu_wait(viommu_to_iommu(aviommu), aviommu->seq);
+	return ret ? -EIO : 0;
+ }

@iommu_flush_pages_v1_hdom_ids@
expression aviommu;
@@
  iommu_flush_pages_v1_hdom_ids(...)
  {
	<+...
-	container_of(aviommu->core.iommu_dev, struct amd_iommu, iommu)
+	viommu_to_iommu(aviommu)
	...+>
  }

@amd_iommu_domain_flush_pages@
@@
- void amd_iommu_domain_flush_pages(...) { ... }

@amd_iommu_domain_flush_pages__piece@
identifier domain, address, last, flags, ret;
typedef u32;
@@
- static void __domain_flush_iotlbs(struct protection_domain *domain, u64 address, u64 last, u32 flags)
+ static int __domain_flush_iotlbs(struct protection_domain *domain, u64 address, u64 last, u32 flags)
  {
	...
	WARN_ON(ret);
+	return ret;
  }

@amd_iommu_domain_flush_pages__pieces@
identifier domain, address, last, flags, flush_last;
@@
- static void domain_flush_iotlbs(struct protection_domain *domain, u64 address, u64 last, u32 flags)
+ static int domain_flush_iotlbs(struct protection_domain *domain, u64 address, u64 last, u32 flags)
  {
+	int ret = 0;
+
	lockdep_assert_held(&domain->lock);
	if (...) {
-		__domain_flush_iotlbs(domain, address, last, flags);
-		return;
+		return __domain_flush_iotlbs(domain, address, last, flags);
	}
	while (address <= last) {
		...
-		__domain_flush_iotlbs(domain, address, flush_last, flags);
+		ret |= __domain_flush_iotlbs(domain, address, flush_last, flags);
		...
	}
+	return ret;
  }

@amd_iommu_domain_flush_pages__atcs@
identifier domain, address, last, ret;
@@
- static void domain_flush_atcs(struct protection_domain *domain, u64 address, u64 last)
+ static int domain_flush_atcs(struct protection_domain *domain, u64 address, u64 last)
  {
	...
	WARN_ON(ret);
+	return ret;
  }

@amd_iommu_domain_flush_pages__new@
@@
  static int domain_flush_atcs(...) { ... }
+
+ int amd_iommu_domain_flush_pages(struct protection_domain *domain,
+				 u64 address, u64 last, u32 flags)
+ {
+	int ret;
+
+	ret = domain_flush_iotlbs(domain, address, last, flags);
+	ret |= domain_flush_atcs(domain, address, last);
+	/* The lock is held until no command can reach a device that leaves. */
+	ret |= domain_flush_complete(domain);
+	return ret ? -EIO : 0;
+ }

@amd_iommu_iotlb_sync_map@
identifier domain, flags;
expression iova, last, how;
@@
  amd_iommu_iotlb_sync_map(...)
  {
	...
	unsigned long flags;
+	int ret;
	...
-	domain_flush_iotlbs(domain, iova, last, how);
-	domain_flush_complete(domain);
+	ret = domain_flush_iotlbs(domain, iova, last, how);
+	ret |= domain_flush_complete(domain);
	spin_unlock_irqrestore(&domain->lock, flags);
-	return 0;
+	return ret ? -EIO : 0;
  }

@amd_iommu_domain_flush_all@
identifier domain;
expression flags;
@@
- static void amd_iommu_domain_flush_all(struct protection_domain *domain)
+ static int amd_iommu_domain_flush_all(struct protection_domain *domain)
  {
-	amd_iommu_domain_flush_pages(domain, 0, U64_MAX, flags);
+	return amd_iommu_domain_flush_pages(domain, 0, U64_MAX, flags);
  }

@amd_iommu_set_dirty_tracking@
identifier pdomain, dev_data, domain_flush, flags, enable;
typedef bool;
iterator name list_for_each_entry;
@@
  amd_iommu_set_dirty_tracking(...)
  {
	...
	bool domain_flush = false;
+	int ret = 0;
	...
	list_for_each_entry(dev_data, ...) {
		...
-		device_flush_dte(dev_data);
+		ret |= device_flush_dte(dev_data);
		...
	}
	if (domain_flush)
-		amd_iommu_domain_flush_all(pdomain);
+		ret |= amd_iommu_domain_flush_all(pdomain);
	pdomain->dirty_tracking = enable;
	spin_unlock_irqrestore(&pdomain->lock, flags);
-	return 0;
+	return ret ? -EIO : 0;
  }
