// SPDX-License-Identifier: GPL-2.0-only
// The VMID goes after the hardware that uses it.

@tegra241_cmdqv_destroy_vintf_user@
identifier viommu;
@@
  tegra241_cmdqv_destroy_vintf_user(struct iommufd_viommu *viommu)
  {
	...
	tegra241_cmdqv_remove_vintf(...);
+	arm_vsmmu_destroy(viommu);
  }
