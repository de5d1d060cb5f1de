// SPDX-License-Identifier: GPL-2.0-only
// A walk finds the IOMMU in the bond, not through a device that may be gone.

@riscv_iommu_bond@
@@
  struct riscv_iommu_bond {
	...
	struct device *dev;
+	struct riscv_iommu_device *iommu;
  };

@riscv_iommu_bond_link@
@@
  riscv_iommu_bond_link(...)
  {
	...
	bond->dev = dev;
+	bond->iommu = iommu;
	...
  }

@riscv_iommu_bond_link__compared@
identifier bonds;
@@
  riscv_iommu_bond_link(...)
  {
	<...
-	dev_to_iommu(list_entry(bonds, struct riscv_iommu_bond, list)->dev)
+	list_entry(bonds, struct riscv_iommu_bond, list)->iommu
	...>
  }

@riscv_iommu_bond_unlink@
identifier bond;
@@
  riscv_iommu_bond_unlink(...)
  {
	<...
-	dev_to_iommu(bond->dev)
+	bond->iommu
	...>
  }

@riscv_iommu_iotlb_inval@
identifier bond;
@@
  riscv_iommu_iotlb_inval(...)
  {
	<...
-	dev_to_iommu(bond->dev)
+	bond->iommu
	...>
  }

@riscv_iommu_remove@
@@
  riscv_iommu_remove(...)
  {
	...
	iommu_device_sysfs_remove(&iommu->iommu);
+	/* Walks may have found the IOMMU before its last bond went. */
+	synchronize_rcu();
	...
  }
