// SPDX-License-Identifier: GPL-2.0-only
// IDs and tables that an IOMMU may still use are kept and not reused.

@riscv_iommu_iodir_iotinval@
expression list es;
@@
- static void riscv_iommu_iodir_iotinval(struct riscv_iommu_device *iommu,
-					 bool inval_pdt, unsigned long iohgatp,
-					 struct riscv_iommu_dc *dc,
-					 struct riscv_iommu_pc *pc)
+ static int riscv_iommu_iodir_iotinval(struct riscv_iommu_device *iommu,
+					bool inval_pdt, unsigned long iohgatp,
+					struct riscv_iommu_dc *dc,
+					struct riscv_iommu_pc *pc)
  {
	...
-	riscv_iommu_cmd_send(es);
+	return riscv_iommu_cmd_send(es);
  }

@riscv_iommu_iodir_update@
@@
- static void riscv_iommu_iodir_update(struct riscv_iommu_device *iommu,
-				       struct device *dev, u64 fsc, u64 ta)
+ static void riscv_iommu_iodir_update(struct riscv_iommu_device *iommu,
+				       struct device *dev, u64 fsc, u64 ta,
+				       struct iommu_domain *old)
  {
	...
	bool sync_required = false;
+	bool valid = false, failed = false;
	...
  }

@riscv_iommu_iodir_update__cached depends on riscv_iommu_iodir_update@
identifier tc;
@@
  riscv_iommu_iodir_update(...)
  {
	<...
-	if (!(tc & RISCV_IOMMU_DC_TC_V))
+	valid |= tc & RISCV_IOMMU_DC_TC_V;
+	if (!(tc & RISCV_IOMMU_DC_TC_V) && !READ_ONCE(iommu->stale))
		continue;
	...>
  }

@riscv_iommu_iodir_update__sent depends on riscv_iommu_iodir_update@
expression list es;
@@
  riscv_iommu_iodir_update(...)
  {
	<...
-	riscv_iommu_cmd_send(es);
+	failed |= riscv_iommu_cmd_send(es);
	...>
  }

@riscv_iommu_iodir_update__translations depends on riscv_iommu_iodir_update@
expression list es;
@@
  riscv_iommu_iodir_update(...)
  {
	<...
-	riscv_iommu_iodir_iotinval(es);
+	failed |= riscv_iommu_iodir_iotinval(es);
	...>
  }

@riscv_iommu_iodir_update__waited depends on riscv_iommu_iodir_update exists@
expression list es, fs;
@@
  riscv_iommu_iodir_update(...)
  {
	... when any
-	riscv_iommu_cmd_sync(es);
+	failed |= riscv_iommu_cmd_sync(es);
	for (i = 0;
-		i < fwspec->num_ids;
+		valid && i < fwspec->num_ids;
		i++) { ... }
-	riscv_iommu_cmd_sync(fs);
+	if (valid)
+		failed |= riscv_iommu_cmd_sync(fs);
+	if (failed)
+		riscv_iommu_keep(iommu, dev, old);
	... when any
  }

@riscv_iommu_attach_paging_domain@
identifier old;
expression list es;
@@
  riscv_iommu_attach_paging_domain(..., struct iommu_domain *old)
  {
	...
-	riscv_iommu_iodir_update(es);
+	riscv_iommu_iodir_update(es, old);
	...
  }

@riscv_iommu_attach_paging_domain__again depends on riscv_iommu_attach_paging_domain@
identifier domain, dev, iommu;
expression e;
@@
  riscv_iommu_attach_paging_domain(...)
  {
	...
	struct riscv_iommu_device *iommu = e;
	...
	if (riscv_iommu_bond_link(domain, dev))
		return -ENOMEM;
+	if (READ_ONCE(domain->kept) && riscv_iommu_inval_pscid(iommu, domain->pscid)) {
+		riscv_iommu_bond_unlink(domain, dev);
+		return -EIO;
+	}
	...
  }

@riscv_iommu_iotlb_sync@
identifier domain, gather;
@@
  riscv_iommu_iotlb_sync(...)
  {
	...
-	if (riscv_iommu_iotlb_inval(domain, gather))
+	if (riscv_iommu_iotlb_inval(domain, gather) || READ_ONCE(domain->kept))
		return;
	...
  }

@riscv_iommu_attach_blocking_domain@
identifier old;
expression list es;
@@
  riscv_iommu_attach_blocking_domain(..., struct iommu_domain *old)
  {
	...
-	riscv_iommu_iodir_update(es);
+	riscv_iommu_iodir_update(es, old);
	...
  }

@riscv_iommu_attach_identity_domain@
identifier old;
expression list es;
@@
  riscv_iommu_attach_identity_domain(..., struct iommu_domain *old)
  {
	...
-	riscv_iommu_iodir_update(es);
+	riscv_iommu_iodir_update(es, old);
	...
  }
