// SPDX-License-Identifier: GPL-2.0-only
// IDs and tables that an IOMMU may still use are kept and not reused.

@amd_iommu_flush_tlb_domid@
expression list es;
@@
- void amd_iommu_flush_tlb_domid(struct amd_iommu *iommu, u32 dom_id)
+ int amd_iommu_flush_tlb_domid(struct amd_iommu *iommu, u32 dom_id)
  {
	...
-	amd_iommu_execute(es);
+	return amd_iommu_execute(es);
  }

@dev_flush_pasid_pages@
@@
- static void dev_flush_pasid_pages(struct iommu_dev_data *dev_data,
-				    ioasid_t pasid, u64 address, u64 last)
+ static int dev_flush_pasid_pages(struct iommu_dev_data *dev_data,
+				   ioasid_t pasid, u64 address, u64 last)
  {
	...
	struct amd_iommu *iommu = ...;
+	int ret;
	...
  }

@dev_flush_pasid_pages__sent depends on dev_flush_pasid_pages@
expression list queued, atc, waited;
expression ats;
@@
  dev_flush_pasid_pages(...)
  {
	...
-	amd_iommu_queue(queued);
+	ret = amd_iommu_queue(queued);
-	if (ats)
-		device_flush_iotlb(atc);
+	if (!ret && ats)
+		ret = device_flush_iotlb(atc);
-	amd_iommu_execute(waited);
+	if (ret)
+		return ret;
+	return amd_iommu_execute(waited);
  }

@dev_flush_pasid_all@
expression list es;
@@
- static void dev_flush_pasid_all(struct iommu_dev_data *dev_data,
-				  ioasid_t pasid)
+ static int dev_flush_pasid_all(struct iommu_dev_data *dev_data,
+				 ioasid_t pasid)
  {
-	dev_flush_pasid_pages(es);
+	return dev_flush_pasid_pages(es);
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

@amd_iommu_set_gcr3@
expression dev_data, pasid, gcr3;
@@
  amd_iommu_set_gcr3(...)
  {
	<...
-	update_gcr3(dev_data, pasid, gcr3, true)
+	update_gcr3(dev_data, pasid, gcr3)
	...>
  }

@init_gcr3_table@
expression dev_data, pasid, gcr3;
@@
  init_gcr3_table(...)
  {
	<...
-	update_gcr3(dev_data, pasid, gcr3, true)
+	update_gcr3(dev_data, pasid, gcr3)
	...>
  }

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

@detach_flush@
@@
- static void detach_flush(struct amd_iommu *iommu,
-			   struct iommu_dev_data *dev_data,
-			   struct protection_domain *domain)
+ static int detach_flush(struct amd_iommu *iommu,
+			  struct iommu_dev_data *dev_data,
+			  struct protection_domain *domain)
  {
+	u16 domid;
+
	...
  }

@detach_flush__table depends on detach_flush@
expression list table;
@@
  detach_flush(...)
  {
	<...
-	update_gcr3(table);
-	return;
+	amd_iommu_zap_gcr3(dev_data, 0);
+	return dev_flush_pasid_all(dev_data, 0);
	...>
  }

@detach_flush__own depends on detach_flush exists@
expression iommu, domid;
@@
  detach_flush(...)
  {
	... when any
-	if (dev_data->gcr3_info.gcr3_tbl) {
-		amd_iommu_flush_tlb_domid(iommu, domid);
-		return;
-	}
+	if (dev_data->gcr3_info.gcr3_tbl)
+		return amd_iommu_flush_tlb_domid(iommu, domid);
	... when any
  }

@detach_flush__attached depends on detach_flush exists@
expression iommu;
identifier domid;
@@
  detach_flush(...)
  {
	... when any
-	if (dev_data->attachment) {
-		u16 domid = amd_iommu_attachment_domid(dev_data->attachment);
-		amd_iommu_flush_tlb_domid(iommu, domid);
-	}
+	if (!dev_data->attachment)
+		return 0;
+	domid = amd_iommu_attachment_domid(dev_data->attachment);
+	return amd_iommu_flush_tlb_domid(iommu, domid);
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
+	ret = amd_iommu_flush_dte(iommu, dev_data);
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
