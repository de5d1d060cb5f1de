// SPDX-License-Identifier: GPL-2.0-only
// What was not valid is not cached, and needs no invalidation.

@riscv_iommu_iodir_update@
expression list did, gone;
@@
  riscv_iommu_iodir_update(...)
  {
	<...
	WRITE_ONCE(dc->tc, tc);
-	riscv_iommu_cmd_iodir_inval_ddt(&cmd);
-	riscv_iommu_cmd_iodir_set_did(did);
-	riscv_iommu_cmd_send(iommu, &cmd);
-	riscv_iommu_iodir_iotinval(gone);
	...>
  }

@riscv_iommu_iodir_update__wait exists@
@@
  riscv_iommu_iodir_update(...)
  {
	... when any
-	riscv_iommu_cmd_sync(iommu, RISCV_IOMMU_IOTINVAL_TIMEOUT);
  }
