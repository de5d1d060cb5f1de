// SPDX-License-Identifier: GPL-2.0-only
// A domain ID is flushed before it is free for others.

@nested_domain_free@
identifier ndom, aviommu;
@@
  nested_domain_free(...)
  {
	...
	struct amd_iommu_viommu *aviommu = ndom->viommu;
	...
+	/* The next user of the domain ID must not find what this one has left. */
+	amd_iommu_flush_tlb_domid(container_of(aviommu->core.iommu_dev, struct amd_iommu, iommu),
+				  ndom->gdom_info->hdom_id);
	amd_iommu_pdom_id_free(ndom->gdom_info->hdom_id);
	...
  }
