// SPDX-License-Identifier: GPL-2.0-only
// The PASID entries of all attachments are written first, and flushed together by the caller.

@intel_pasid_flush_present@
@@
- static void intel_pasid_flush_present(...) { ... }

@intel_pasid_setup_dirty_tracking__did@
typedef u16;
identifier did;
@@
  intel_pasid_setup_dirty_tracking(...)
  {
	...
-	u16 did;
	...
  }

@intel_pasid_setup_dirty_tracking__pgtt@
typedef u16;
identifier pte;
@@
  intel_pasid_setup_dirty_tracking(...)
  {
	struct pasid_entry *pte;
+	u16 pgtt;
	...
  }

@intel_pasid_setup_dirty_tracking__present@
identifier pte;
@@
  intel_pasid_setup_dirty_tracking(struct intel_iommu *iommu, ...)
  {
	<+...
-	did = pasid_get_domain_id(pte);
+	/* Whoever sets it up later looks at the domain. */
+	if (!pasid_pte_is_present(pte)) {
+		spin_unlock(&iommu->lock);
+		return 0;
+	}
	...+>
  }

@intel_pasid_setup_dirty_tracking__flush@
expression iommu, did, dev, pasid;
@@
  intel_pasid_setup_dirty_tracking(...)
  {
	<+...
-	pasid_cache_invalidation_with_pasid(iommu, did, pasid);
-	iommu->flush.flush_iotlb(iommu, did, 0, 0, DMA_TLB_DSI_FLUSH);
-	devtlb_invalidation_with_pasid(iommu, dev, pasid);
	...+>
  }

@intel_pasid_setup_page_snoop_control@
identifier iommu, dev, pasid, pte, did;
typedef u32;
@@
  void intel_pasid_setup_page_snoop_control(struct intel_iommu *iommu, struct device *dev, u32 pasid)
  {
	...
-	u16 did;
	...
-	if (WARN_ON(!pte || !pasid_pte_is_present(pte))) {
+	/* Whoever sets it up later looks at the domain. */
+	if (!pte || !pasid_pte_is_present(pte)) {
		...
	}
	...
-	did = pasid_get_domain_id(pte);
	...
-	intel_pasid_flush_present(iommu, dev, pasid, did, pte);
+	__iommu_flush_cache(iommu, pte, sizeof(*pte));
  }
