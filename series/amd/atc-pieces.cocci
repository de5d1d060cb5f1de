// SPDX-License-Identifier: GPL-2.0-only
// The range is split for the IOMMU, not for ATCs.

@amd_iommu_domain_flush_pages@
identifier domain, address, last, flags;
typedef u64, u32;
@@
- void amd_iommu_domain_flush_pages(struct protection_domain *domain, u64 address, u64 last, u32 flags)
+ static void domain_flush_iotlbs(struct protection_domain *domain, u64 address, u64 last,
+				 u32 flags)
  {
	<...
(
-	domain_flush_complete(domain);
|
-	__domain_flush_pages(domain, address,
+	__domain_flush_iotlbs(domain, address,
	...)
)
	...>
  }

@amd_iommu_domain_flush_pages__iotlbs@
identifier domain, address, last, flags, dev_data, ret, pasid, gn;
iterator name list_for_each_entry;
typedef ioasid_t, bool;
@@
- static void __domain_flush_pages(struct protection_domain *domain, u64 address, u64 last, u32 flags)
+ static void __domain_flush_iotlbs(struct protection_domain *domain, u64 address, u64 last,
+				   u32 flags)
  {
-	struct iommu_dev_data *dev_data;
	int ret = 0;
-	ioasid_t pasid = IOMMU_NO_PASID;
-	bool gn = false;
	...
	if (pdom_is_v2_pgtbl_mode(domain)) {
-		gn = true;
		...
	} else { ... }
-	list_for_each_entry(dev_data, &domain->dev_list, list) { ... }
	WARN_ON(ret);
  }

@amd_iommu_domain_flush_pages__atcs@
@@
  static void domain_flush_iotlbs(...) { ... }
+
+ static void domain_flush_atcs(struct protection_domain *domain, u64 address, u64 last)
+ {
+	bool gn = pdom_is_v2_pgtbl_mode(domain);
+	struct iommu_dev_data *dev_data;
+	int ret = 0;
+
+	lockdep_assert_held(&domain->lock);
+	/* One command covers any range, whatever it is split into for IOMMUs. */
+	list_for_each_entry(dev_data, &domain->dev_list, list) {
+		if (dev_data->ats_enabled)
+			ret |= device_flush_iotlb(dev_data, address, last, IOMMU_NO_PASID, gn);
+	}
+	WARN_ON(ret);
+ }

@amd_iommu_domain_flush_pages__wait@
@@
  static void domain_flush_atcs(...) { ... }
+
+ void amd_iommu_domain_flush_pages(struct protection_domain *domain,
+				  u64 address, u64 last, u32 flags)
+ {
+	domain_flush_iotlbs(domain, address, last, flags);
+	domain_flush_atcs(domain, address, last);
+
+	/* Wait until IOMMU TLB and all device IOTLB flushes are complete */
+	domain_flush_complete(domain);
+ }
