// SPDX-License-Identifier: GPL-2.0-only
// An IOMMU that has not forgotten a parent may use the IDs of its nests.

@nested_domain_free@
identifier aviommu, ndom;
@@
  nested_domain_free(...)
  {
	...
	struct amd_iommu_viommu *aviommu = ndom->viommu;
	...
-	amd_iommu_pdom_id_free(ndom->gdom_info->hdom_id);
+	if (!aviommu->parent->kept)
+		amd_iommu_pdom_id_free(ndom->gdom_info->hdom_id);
	...
  }
