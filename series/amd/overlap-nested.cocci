// SPDX-License-Identifier: GPL-2.0-only

@nested_domain_free@
expression aviommu;
@@
  nested_domain_free(...)
  {
	<+...
-	container_of(aviommu->core.iommu_dev, struct amd_iommu, iommu)
+	viommu_to_iommu(aviommu)
	...+>
  }
