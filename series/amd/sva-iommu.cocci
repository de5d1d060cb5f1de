// SPDX-License-Identifier: GPL-2.0-only
// A PASID that goes, and an mm with all of its PASIDs, takes the table out and flushes the list.

@amd_iommu_clear_gcr3@
@@
- int amd_iommu_clear_gcr3(...) { ... }

@amd_iommu_set_gcr3@
typedef ioasid_t, u64;
@@
  int amd_iommu_set_gcr3(...) { ... }
+
+ /* The caller flushes, and keeps the device. It need not hold the mutex of its group. */
+ void amd_iommu_zap_gcr3(struct iommu_dev_data *dev_data, ioasid_t pasid)
+ {
+	u64 *pte = NULL;
+
+	guard(spinlock_irqsave)(&dev_data->dte_lock);
+
+	/* The table is gone if the device is in reset: it leaves its domain before its PASIDs. */
+	if (dev_data->gcr3_info.gcr3_tbl)
+		pte = __get_gcr3_pte(&dev_data->gcr3_info, pasid, false);
+	if (pte)
+		WRITE_ONCE(*pte, 0);
+ }

@protection_domain_init@
identifier domain;
@@
  protection_domain_init(struct protection_domain *domain)
  {
	...
-	INIT_LIST_HEAD(&domain->dev_data_list);
  }

@amd_iommu_dev_flush_pasid_pages@
identifier dev_data, pasid, address, last;
@@
- void amd_iommu_dev_flush_pasid_pages(struct iommu_dev_data *dev_data, ioasid_t pasid, u64 address, u64 last)
+ static void dev_flush_pasid_pages(struct iommu_dev_data *dev_data, ioasid_t pasid, u64 address, u64 last)
  { ... }

@dev_flush_pasid_all@
@@
  dev_flush_pasid_all(...)
  {
-	amd_iommu_dev_flush_pasid_pages(
+	dev_flush_pasid_pages(
	...);
  }
