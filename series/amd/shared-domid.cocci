// SPDX-License-Identifier: GPL-2.0-only
// Devices without PASIDs share the domain ID of a v2 domain. A new table is not flushed.

@setup_gcr3_table@
identifier gcr3_info, iommu, pasids, domid;
typedef u16;
@@
  static int setup_gcr3_table(struct gcr3_tbl_info *gcr3_info,
			      struct amd_iommu *iommu, int pasids
+			      , u16 shared
			      )
  {
	...
-	domid = amd_iommu_pdom_id_alloc();
+	domid = shared ? shared : amd_iommu_pdom_id_alloc();
	if (domid <= 0)
		return -ENOSPC;
	gcr3_info->domid = domid;
+	gcr3_info->shared = shared;
	...
	if (gcr3_info->gcr3_tbl == NULL) {
-		amd_iommu_pdom_id_free(domid);
+		if (!shared)
+			amd_iommu_pdom_id_free(domid);
		return -ENOMEM;
	}
	...
  }

@free_gcr3_table@
identifier gcr3_info;
@@
  free_gcr3_table(struct gcr3_tbl_info *gcr3_info)
  {
	...
-	amd_iommu_pdom_id_free(gcr3_info->domid);
+	if (!gcr3_info->shared)
+		amd_iommu_pdom_id_free(gcr3_info->domid);
	...
  }

@update_gcr3@
identifier dev_data, pasid;
@@
  update_gcr3(struct iommu_dev_data *dev_data, ioasid_t pasid, ...)
  {
	...
-	dev_flush_pasid_all(dev_data, pasid);
	...
  }

@amd_iommu_set_gcr3@
identifier dev_data, pasid, gcr3_info;
@@
  amd_iommu_set_gcr3(struct iommu_dev_data *dev_data, ioasid_t pasid, ...)
  {
	...
+	dev_flush_pasid_all(dev_data, pasid);
	gcr3_info->pasid_cnt++;
	...
  }

@amd_iommu_clear_gcr3@
identifier dev_data, pasid, gcr3_info;
@@
  amd_iommu_clear_gcr3(struct iommu_dev_data *dev_data, ioasid_t pasid)
  {
	...
+	dev_flush_pasid_all(dev_data, pasid);
	gcr3_info->pasid_cnt--;
	...
  }

@destroy_gcr3_table@
identifier dev_data, pdom;
@@
  destroy_gcr3_table(struct iommu_dev_data *dev_data, struct protection_domain *pdom)
  {
	...
-	if (pdom_is_v2_pgtbl_mode(pdom))
-		update_gcr3(dev_data, 0, 0, false);
+	if (pdom_is_v2_pgtbl_mode(pdom)) {
+		update_gcr3(dev_data, 0, 0, false);
+		dev_flush_pasid_all(dev_data, 0);
+	}
	...
  }

@init_gcr3_table@
identifier dev_data, pdom, iommu, max_pasids;
@@
  init_gcr3_table(struct iommu_dev_data *dev_data, struct protection_domain *pdom)
  {
	...
-	ret = setup_gcr3_table(&dev_data->gcr3_info, iommu,
-			       max_pasids > 0 ?  max_pasids : 1);
+	ret = setup_gcr3_table(&dev_data->gcr3_info, iommu, max_pasids > 0 ? max_pasids : 1,
+			       pdom_is_v2_pgtbl_mode(pdom) && !max_pasids ? pdom->id : 0);
	...
  }
