// SPDX-License-Identifier: GPL-2.0-only
// What is waited for is what was sent to.

@domain_flush_complete@
identifier info;
@@
  domain_flush_complete(...)
  {
+	struct amd_iommu_viommu *aviommu;
	struct pdom_iommu_info *info;
	...
  }
