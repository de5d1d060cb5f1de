// SPDX-License-Identifier: GPL-2.0-only
// The list takes the place of the bonds; attach.c has what goes over it.

@riscv_iommu_domain@
@@
  struct riscv_iommu_domain {
	...
-	struct list_head bonds;
-	spinlock_t lock;
+	struct iommu_attach_list alist;
	...
  };

@riscv_iommu_info@
@@
  struct riscv_iommu_info {
-	struct riscv_iommu_domain *domain;
+	struct riscv_iommu_attachment *attachment;
  };

@riscv_iommu_bond@
@@
- struct riscv_iommu_bond { ... };

@riscv_iommu_bond_link@
@@
- static int riscv_iommu_bond_link(...) { ... }

@riscv_iommu_bond_unlink@
@@
- static void riscv_iommu_bond_unlink(...) { ... }

@riscv_iommu_queue_cons@
identifier queue;
@@
- static unsigned int riscv_iommu_queue_cons(struct riscv_iommu_queue *queue)
+ unsigned int riscv_iommu_queue_cons(struct riscv_iommu_queue *queue)
  { ... }

@riscv_iommu_queue_send@
identifier queue, entry, entry_size, out_prod;
@@
- static int riscv_iommu_queue_send(struct riscv_iommu_queue *queue,
-				    void *entry, size_t entry_size,
-				    unsigned int *out_prod)
+ int riscv_iommu_queue_send(struct riscv_iommu_queue *queue,
+			     const struct riscv_iommu_command *cmd,
+			     unsigned int *out_prod, bool wait)
  { ... }

@riscv_iommu_queue_send__full depends on riscv_iommu_queue_send@
identifier queue, head, ret;
@@
  riscv_iommu_queue_send(struct riscv_iommu_queue *queue, ...)
  {
	<...
+	if (!wait && Q_ITEM(queue, riscv_iommu_queue_cons(queue)) == head)
+		return -EBUSY;
	ret = riscv_iommu_queue_wait_for_space(queue, head);
	...>
  }

@riscv_iommu_queue_send__stored depends on riscv_iommu_queue_send exists@
identifier queue, prod, entry, entry_size;
@@
  riscv_iommu_queue_send(struct riscv_iommu_queue *queue, ...)
  {
	... when any
-	memcpy(queue->base + Q_ITEM(queue, prod) * entry_size, entry, entry_size);
+	((struct riscv_iommu_command *)queue->base)[Q_ITEM(queue, prod)] = *cmd;
	... when any
  }

@riscv_iommu_cmd_send depends on riscv_iommu_queue_send@
expression queue, cmd, size, out_prod;
@@
  riscv_iommu_cmd_send(...)
  {
	<...
-	riscv_iommu_queue_send(queue, cmd, size, out_prod)
+	riscv_iommu_queue_send(queue, cmd, out_prod, true)
	...>
  }

@riscv_iommu_cmd_sync depends on riscv_iommu_queue_send@
expression queue, cmd, size, out_prod;
@@
  riscv_iommu_cmd_sync(...)
  {
	<...
-	riscv_iommu_queue_send(queue, cmd, size, out_prod)
+	riscv_iommu_queue_send(queue, cmd, out_prod, true)
	...>
  }

@riscv_iommu_iotlb_inval_iommu@
identifier iommu, pscid, tlbi;
@@
- static int riscv_iommu_iotlb_inval_iommu(struct riscv_iommu_device *iommu,
-					   int pscid,
-					   const struct riscv_iommu_tlbi *tlbi)
+ int riscv_iommu_iotlb_inval_iommu(struct riscv_iommu_device *iommu, int pscid,
+				     const struct riscv_iommu_tlbi *tlbi)
  { ... }

@riscv_iommu_iotlb_inval_iommu__sent depends on riscv_iommu_iotlb_inval_iommu@
expression iommu, cmd;
@@
  riscv_iommu_iotlb_inval_iommu(...)
  {
	<...
-	riscv_iommu_cmd_send(iommu, &cmd)
+	riscv_iommu_queue_send(&iommu->cmdq, &cmd, NULL, false)
	...>
  }

@riscv_iommu_iotlb_inval_iommu__fits depends on riscv_iommu_iotlb_inval_iommu@
identifier iommu, tlbi;
@@
  riscv_iommu_iotlb_inval_iommu(struct riscv_iommu_device *iommu, int pscid,
				const struct riscv_iommu_tlbi *tlbi)
  {
	<...
-	if (tlbi->single.use_global)
+	if (tlbi->single.use_global || tlbi->single.num >= iommu->cmdq.mask)
		goto global;
	...>
  }

@riscv_iommu_iotlb_inval@
@@
- static int riscv_iommu_iotlb_inval(...) { ... }

@riscv_iommu_iotlb_flush_all@
identifier domain, gather;
@@
  riscv_iommu_iotlb_flush_all(...)
  {
	...
-	riscv_iommu_iotlb_inval(domain, &gather);
+	riscv_iommu_tlbi_calc(&tlbi, &gather);
+	riscv_iommu_flush(&domain->alist, &tlbi);
  }

@riscv_iommu_iotlb_flush_all__local depends on riscv_iommu_iotlb_flush_all@
identifier gather;
initializer all;
@@
  riscv_iommu_iotlb_flush_all(...)
  {
	...
	struct iommu_iotlb_gather gather = all;
+	struct riscv_iommu_tlbi tlbi;
	...
  }

@riscv_iommu_iotlb_sync@
attribute name __uninitialized;
identifier domain, gather;
expression e, kept;
@@
  riscv_iommu_iotlb_sync(...)
  {
	struct riscv_iommu_domain *domain = e;
+	struct riscv_iommu_tlbi tlbi __uninitialized;
+
+	riscv_iommu_tlbi_calc(&tlbi, gather);
-	if (riscv_iommu_iotlb_inval(domain, gather) || kept)
+	if (riscv_iommu_flush(&domain->alist, &tlbi) || kept)
		return;
	...
  }

@riscv_iommu_free_paging_domain@
identifier domain;
@@
  riscv_iommu_free_paging_domain(...)
  {
	...
-	WARN_ON(!list_empty(&domain->bonds));
+	iommu_attach_destroy(&domain->alist);
	...
  }

@riscv_iommu_attach_paging_domain@
identifier domain, dev, iommu, info, old;
expression fsc, ta, kept;
@@
  riscv_iommu_attach_paging_domain(...)
  {
	...
-	if (riscv_iommu_bond_link(domain, dev))
-		return -ENOMEM;
+	attachment = riscv_iommu_link(&domain->alist, domain->pscid, dev, iommu);
+	if (IS_ERR(attachment))
+		return PTR_ERR(attachment);
	if (kept) {
-		riscv_iommu_bond_unlink(domain, dev);
+		riscv_iommu_unlink(attachment);
		return -EIO;
	}
	riscv_iommu_iodir_update(iommu, dev, fsc, ta, old);
-	riscv_iommu_bond_unlink(info->domain, dev);
-	info->domain = domain;
+	riscv_iommu_unlink(info->attachment);
+	info->attachment = attachment;
	...
  }

@riscv_iommu_attach_paging_domain__local depends on riscv_iommu_attach_paging_domain@
identifier pt_info;
@@
  riscv_iommu_attach_paging_domain(...)
  {
	...
	struct pt_iommu_riscv_64_hw_info pt_info;
+	struct riscv_iommu_attachment *attachment;
	...
  }

@riscv_iommu_alloc_paging_domain@
identifier domain;
@@
  riscv_iommu_alloc_paging_domain(...)
  {
	<...
-	INIT_LIST_HEAD_RCU(&domain->bonds);
-	spin_lock_init(&domain->lock);
+	iommu_attach_init(&domain->alist);
	...>
  }

@riscv_iommu_attach_blocking_domain@
identifier info;
@@
  riscv_iommu_attach_blocking_domain(...)
  {
	...
-	riscv_iommu_bond_unlink(info->domain, dev);
-	info->domain = NULL;
+	riscv_iommu_unlink(info->attachment);
+	info->attachment = NULL;
	...
  }

@riscv_iommu_attach_identity_domain@
identifier info;
@@
  riscv_iommu_attach_identity_domain(...)
  {
	...
-	riscv_iommu_bond_unlink(info->domain, dev);
-	info->domain = NULL;
+	riscv_iommu_unlink(info->attachment);
+	info->attachment = NULL;
	...
  }

@riscv_iommu_remove@
identifier iommu;
@@
  riscv_iommu_remove(...)
  {
	...
	iommu_device_sysfs_remove(&iommu->iommu);
-	synchronize_rcu();
+	iommu_attach_drain(&iommu->fence);
	...
  }

@riscv_iommu_init@
identifier rc, iommu;
@@
  riscv_iommu_init(struct riscv_iommu_device *iommu)
  {
	int rc;
+
+	rc = riscv_iommu_fence_init(iommu);
+	if (rc)
+		return rc;
	...
  }
