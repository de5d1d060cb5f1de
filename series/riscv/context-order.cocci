// SPDX-License-Identifier: GPL-2.0-only
// A device context is forgotten before what came of it is invalidated, once.

@riscv_iommu_iodir_update__translations@
@@
  riscv_iommu_iodir_update(...)
  {
	<...
-	riscv_iommu_iodir_iotinval(iommu, false, dc->iohgatp, dc, NULL);
	sync_required = true;
	...>
  }

@riscv_iommu_iodir_update@
@@
  riscv_iommu_iodir_update(...)
  {
	...
-	if (sync_required)
+	if (sync_required) {
		riscv_iommu_cmd_sync(iommu, RISCV_IOMMU_IOTINVAL_TIMEOUT);
+
+		/* Nothing comes of the old contexts any more, unless the IOMMU has stopped. */
+	for (i = 0; i < fwspec->num_ids; i++) {
+		dc = riscv_iommu_get_dc(iommu, fwspec->ids[i]);
+		riscv_iommu_iodir_iotinval(iommu, false, dc->iohgatp, dc, NULL);
+	}
+	riscv_iommu_cmd_sync(iommu, RISCV_IOMMU_IOTINVAL_TIMEOUT);
+	}
	...
  }

@riscv_iommu_bond_unlink@
@@
  riscv_iommu_bond_unlink(...)
  {
-	struct riscv_iommu_device *iommu = dev_to_iommu(dev);
	...
-	struct riscv_iommu_command cmd;
-	int count = 0;
	...
  }

@riscv_iommu_bond_unlink__searched depends on riscv_iommu_bond_unlink@
identifier bond, found, count, iommu;
@@
  riscv_iommu_bond_unlink(...)
  {
	<...
-	if (found && count)
-		break;
-	else if (bond->dev == dev)
-		found = bond;
-	else if (bond->iommu == iommu)
-		count++;
+	if (bond->dev == dev) {
+		found = bond;
+		break;
+	}
	...>
  }

@riscv_iommu_bond_unlink__flushed depends on riscv_iommu_bond_unlink exists@
identifier count;
@@
  riscv_iommu_bond_unlink(...)
  {
	... when any
-	if (!count) { ... }
  }
