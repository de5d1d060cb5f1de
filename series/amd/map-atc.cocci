// SPDX-License-Identifier: GPL-2.0-only
// Mapping: an ATC has nothing of what was not mapped.

@amd_iommu_iotlb_sync_map@
identifier domain;
expression iova, last, flags;
@@
  amd_iommu_iotlb_sync_map(...)
  {
	...
-	amd_iommu_domain_flush_pages(domain, iova, last, flags);
+	domain_flush_iotlbs(domain, iova, last, flags);
+	domain_flush_complete(domain);
	...
  }
