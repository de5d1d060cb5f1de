// SPDX-License-Identifier: GPL-2.0-only
// IDs and tables that an IOMMU may still use are kept and not reused.

@amd_iommu_flush_tlb_domid@
expression list es;
typedef ioasid_t;
@@
- void amd_iommu_flush_tlb_domid(struct amd_iommu *iommu, u32 dom_id)
+ int amd_iommu_flush_tlb_domid(struct amd_iommu *iommu, u32 dom_id,
+				ioasid_t pasid, bool gn)
  {
	...
	build_inv_iommu_pages(&cmd, 0, U64_MAX, dom_id,
-			      IOMMU_NO_PASID,
+			      pasid, (gn ? CMD_INV_IOMMU_PAGES_GN_MASK : 0) |
			      CMD_INV_IOMMU_PAGES_PDE_MASK);
	...
-	amd_iommu_execute(es);
+	return amd_iommu_execute(es);
  }

@attach_device@
expression iommu, old_domid;
@@
  attach_device(...)
  {
	<...
-	amd_iommu_flush_tlb_domid(iommu, old_domid);
+	amd_iommu_flush_tlb_domid(iommu, old_domid, IOMMU_NO_PASID, false);
	...>
  }

@update_gcr3@
expression table;
identifier pte, set;
@@
- static int update_gcr3(struct iommu_dev_data *dev_data,
-			  ioasid_t pasid, unsigned long gcr3, bool set)
+ static int update_gcr3(struct iommu_dev_data *dev_data,
+			  ioasid_t pasid, unsigned long gcr3)
  {
	...
-	if (set)
-		*pte = table;
-	else
-		*pte = 0;
+	*pte = table;
	...
  }

@update_gcr3__callers@
expression dev_data, pasid, gcr3;
@@
-	update_gcr3(dev_data, pasid, gcr3, true)
+	update_gcr3(dev_data, pasid, gcr3)

@amd_iommu_flush_dte@
expression list es;
identifier dev_data;
@@
- void amd_iommu_flush_dte(struct amd_iommu *iommu,
-			    struct iommu_dev_data *dev_data)
+ int amd_iommu_flush_dte(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
  {
-	device_flush_dte(dev_data);
-	amd_iommu_execute(es);
+	int ret = device_flush_dte(dev_data);
+
+	if (ret)
+		return ret;
+	return amd_iommu_execute(es);
  }

@detach_device@
identifier iommu, dev_data, domain;
@@
  detach_device(...)
  {
	...
	unsigned long flags;
+	int ret;
	...
-	amd_iommu_flush_dte(iommu, dev_data);
+	/* Nothing is sent to the device: it may be gone, and the entry refuses what its ATC has. */
+	ret = queue_inv_dte(dev_data);
+	if (!ret)
+		ret = amd_iommu_execute(iommu, NULL, 0);
-	detach_flush(iommu, dev_data, domain);
+	ret |= detach_flush(iommu, dev_data, domain);
+	if (ret)
+		keep_domain(dev_data, domain);
	...
  }

@amd_iommu_iotlb_sync@
identifier dom, gather;
@@
  amd_iommu_iotlb_sync(..., struct iommu_iotlb_gather *gather)
  {
	struct protection_domain *dom = ...;
	...
-	iommu_put_pages_list(&gather->freelist);
+	if (!READ_ONCE(dom->kept))
+		iommu_put_pages_list(&gather->freelist);
  }

@amd_iommu_domain_free@
identifier domain;
@@
  amd_iommu_domain_free(...)
  {
	...
-	pt_iommu_deinit(&domain->iommu);
-	amd_iommu_pdom_id_free(domain->id);
+	if (!domain->kept) {
+		pt_iommu_deinit(&domain->iommu);
+		amd_iommu_pdom_id_free(domain->id);
+	}
	...
  }
