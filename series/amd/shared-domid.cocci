// SPDX-License-Identifier: GPL-2.0-only
// Devices without PASIDs share the domain ID of a v2 domain.

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

@init_gcr3_table@
identifier dev_data, pdom, iommu, max_pasids, pt_info, ret;
expression table;
typedef u64;
@@
  init_gcr3_table(struct iommu_dev_data *dev_data, struct protection_domain *pdom)
  {
	...
	struct pt_iommu_x86_64_hw_info pt_info;
	int ret = 0;
+	u64 *pte;
	...
-	ret = setup_gcr3_table(&dev_data->gcr3_info, iommu,
-			       max_pasids > 0 ?  max_pasids : 1);
+	ret = setup_gcr3_table(&dev_data->gcr3_info, iommu, max_pasids > 0 ? max_pasids : 1,
+			       pdom_is_v2_pgtbl_mode(pdom) && !max_pasids ? pdom->id : 0);
	...
-	ret = update_gcr3(dev_data, 0, table, true);
-	if (ret)
+	/* Nothing points to the new table yet, and others may have entries with its domain ID. */
+	pte = __get_gcr3_pte(&dev_data->gcr3_info, 0, true);
+	if (!pte) {
		free_gcr3_table(&dev_data->gcr3_info);
+		return -ENOMEM;
+	}
+	*pte = (table & PAGE_MASK) | GCR3_VALID;
	return ret;
  }
