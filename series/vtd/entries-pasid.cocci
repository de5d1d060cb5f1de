// SPDX-License-Identifier: GPL-2.0-only
// Entries are written one by one and flushed together by the caller.

@intel_pasid_flush_present@
@@
- static void intel_pasid_flush_present(...) { ... }

@intel_pasid_setup_dirty_tracking@
identifier iommu, dev, pasid, pte, did, pgtt, enabled;
expression E1, E2;
typedef u32, u16, bool;
@@
  int intel_pasid_setup_dirty_tracking(struct intel_iommu *iommu, struct device *dev,
-				       u32 pasid, bool enabled)
+				       u32 pasid, u16 did, bool enabled)
  {
	struct pasid_entry *pte;
-	u16 did;
	...
-	did = pasid_get_domain_id(pte);
-	if (!pasid_pte_is_present(pte)) {
+	if (!pasid_pte_is_present(pte) || pasid_get_domain_id(pte) != did) {
		...
	}
	...
-	pasid_cache_invalidation_with_pasid(iommu, did, pasid);
-	iommu->flush.flush_iotlb(iommu, did, 0, 0, DMA_TLB_DSI_FLUSH);
-	devtlb_invalidation_with_pasid(iommu, dev, pasid);
-	return 0;
+	return 1;
  }

@intel_pasid_setup_page_snoop_control@
identifier iommu, dev, pasid, pte, did;
typedef u64, u32, u16;
@@
- void intel_pasid_setup_page_snoop_control(struct intel_iommu *iommu, struct device *dev, u32 pasid)
+ int intel_pasid_setup_page_snoop_control(struct intel_iommu *iommu, struct device *dev,
+					   u32 pasid, u16 did)
  {
	struct pasid_entry *pte;
-	u16 did;
+	u64 old;
	...
-	if (!pte || !pasid_pte_is_present(pte)) {
+	if (!pte || !pasid_pte_is_present(pte) || pasid_get_domain_id(pte) != did) {
		...
-		return;
+		return 0;
	}
	...
+	old = READ_ONCE(pte->val[1]);
	pasid_set_pgsnp(pte);
-	did = pasid_get_domain_id(pte);
	...
-	intel_pasid_flush_present(iommu, dev, pasid, did, pte);
+	__iommu_flush_cache(iommu, pte, sizeof(*pte));
+	return READ_ONCE(pte->val[1]) != old;
  }

@intel_pasid_setup_second_level@
identifier iommu, pte, domain, dev, pasid, did;
typedef u32;
@@
  int intel_pasid_setup_second_level(struct intel_iommu *iommu, struct dmar_domain *domain,
				     struct device *dev, u32 pasid)
  {
	...
	pasid_flush_caches(iommu, pte, pasid, did);
+	domain_settle_entry(domain, dev, pasid);
	return 0;
  }

@intel_pasid_setup_nested@
identifier iommu, pte, dev, pasid, did, domain;
typedef u32;
@@
  int intel_pasid_setup_nested(struct intel_iommu *iommu, struct device *dev, u32 pasid,
			       struct dmar_domain *domain)
  {
	<+...
	pasid_flush_caches(iommu, pte, pasid, did);
+	domain_settle_entry(s2_domain, dev, pasid);
	...+>
  }
