// SPDX-License-Identifier: GPL-2.0-only
// The list takes the place of the array and of the list of devices; arm-smmu-v3-attach.c has
// what goes over it.

@arm_smmu_get_cmdq@
identifier smmu, cmd;
@@
- static struct arm_smmu_cmdq *arm_smmu_get_cmdq(struct arm_smmu_device *smmu,
-						 struct arm_smmu_cmd *cmd)
+ struct arm_smmu_cmdq *arm_smmu_get_cmdq(struct arm_smmu_device *smmu,
+					  struct arm_smmu_cmd *cmd)
  { ... }

@arm_smmu_cmdq_batch_add_cmd_p@
identifier smmu, cmds, cmd;
@@
- static void arm_smmu_cmdq_batch_add_cmd_p(struct arm_smmu_device *smmu,
-					    struct arm_smmu_cmdq_batch *cmds,
-					    struct arm_smmu_cmd *cmd)
+ void arm_smmu_cmdq_batch_add_cmd_p(struct arm_smmu_device *smmu,
+				     struct arm_smmu_cmdq_batch *cmds,
+				     struct arm_smmu_cmd *cmd)
  {
	if (arm_smmu_cmdq_batch_force_sync(smmu, cmds, cmd)) {
		...
-		arm_smmu_cmdq_batch_init_cmd(smmu, cmds, cmd);
+		/* A flush looks at the end of one queue only, and stays in it. */
+		cmds->num = 0;
+		if (!arm_smmu_cmdq_supports_cmd(cmds->cmdq, cmd))
+			cmds->cmdq = arm_smmu_get_cmdq(smmu, cmd);
	}
	...
  }

@arm_smmu_cmdq_batch_add_range@
identifier smmu, cmds, cmd, leaf, iova, size, granule, pgsize;
@@
- static void arm_smmu_cmdq_batch_add_range(struct arm_smmu_device *smmu,
-					    struct arm_smmu_cmdq_batch *cmds,
-					    struct arm_smmu_cmd *cmd, bool leaf,
-					    unsigned long iova, size_t size,
-					    size_t granule, size_t pgsize)
+ void arm_smmu_cmdq_batch_add_range(struct arm_smmu_device *smmu,
+				     struct arm_smmu_cmdq_batch *cmds,
+				     struct arm_smmu_cmd *cmd, bool leaf,
+				     unsigned long iova, size_t size,
+				     size_t granule, size_t pgsize)
  { ... }

@arm_smmu_inv_size_too_big@
identifier smmu, size, granule;
@@
- static bool arm_smmu_inv_size_too_big(struct arm_smmu_device *smmu, size_t size,
-					size_t granule)
+ bool arm_smmu_inv_size_too_big(struct arm_smmu_device *smmu, size_t size,
+				 size_t granule)
  { ... }

@arm_smmu_atc_inv_to_cmd@
identifier sid, ssid, iova, size;
typedef u32;
@@
- static struct arm_smmu_cmd
- arm_smmu_atc_inv_to_cmd(u32 sid, int ssid, unsigned long iova, size_t size)
+ struct arm_smmu_cmd arm_smmu_atc_inv_to_cmd(u32 sid, int ssid,
+					      unsigned long iova, size_t size)
  { ... }

@arm_smmu_enforce_cache_coherency@
identifier smmu_domain, master_domain, flags;
expression e;
iterator name list_for_each_entry, iommu_attach_for_each_locked;
@@
  arm_smmu_enforce_cache_coherency(...)
  {
	struct arm_smmu_domain *smmu_domain = e;
-	struct arm_smmu_master_domain
+	struct arm_smmu_attach_elm
	*
-	master_domain
+	pos
	;
-	unsigned long flags;
	bool ret = true;

-	spin_lock_irqsave(&smmu_domain->devices_lock, flags);
-	list_for_each_entry(master_domain, &smmu_domain->devices, devices_elm) {
-		if (!arm_smmu_master_canwbs(master_domain->master)) {
+	iommu_attach_lock(&smmu_domain->alist);
+	iommu_attach_for_each_locked(pos, &smmu_domain->alist, elm) {
+		struct device *dev = iommu_attach_elm_device(&pos->elm);
+
+		if (!arm_smmu_master_canwbs(dev_iommu_priv_get(dev))) {
			ret = false;
			break;
		}
	}
-	smmu_domain->enforce_cache_coherency = ret;
+	/* An attach that is about to be refused does not take back what was promised. */
+	ret |= smmu_domain->enforce_cache_coherency;
+	/* arm_smmu_master_domain_add() looks without the lock. */
+	WRITE_ONCE(smmu_domain->enforce_cache_coherency, ret);
-	spin_unlock_irqrestore(&smmu_domain->devices_lock, flags);
+	iommu_attach_unlock(&smmu_domain->alist);
	return ret;
  }

@arm_smmu_domain_alloc@
identifier smmu_domain, new_invs;
@@
  arm_smmu_domain_alloc(...)
  {
	...
-	struct arm_smmu_invs *new_invs;
	...
-	new_invs = arm_smmu_invs_alloc(0);
-	if (!new_invs) {
-		kfree(smmu_domain);
-		return ERR_PTR(-ENOMEM);
-	}
-	INIT_LIST_HEAD(&smmu_domain->devices);
-	spin_lock_init(&smmu_domain->devices_lock);
-	rwlock_init(&smmu_domain->ats_lock);
-	rcu_assign_pointer(smmu_domain->invs, new_invs);
+	iommu_attach_init(&smmu_domain->alist);
	...
  }

@arm_smmu_attach_prepare@
identifier flags;
@@
  arm_smmu_attach_prepare(...)
  {
	...
-	unsigned long flags;
	...
  }

@arm_smmu_attach_prepare__export@
@@
  arm_smmu_attach_prepare(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(arm_smmu_attach_prepare);

@arm_smmu_attach_dev__done@
identifier state;
@@
  arm_smmu_attach_dev(...)
  {
	...
	arm_smmu_attach_commit(&state);
	mutex_unlock(&arm_smmu_asid_lock);
+	arm_smmu_attach_done(&state);
	return 0;
  }

@arm_smmu_attach_dev_ste__done@
identifier state;
@@
  arm_smmu_attach_dev_ste(...)
  {
	...
	arm_smmu_attach_commit(&state);
	mutex_unlock(&arm_smmu_asid_lock);
+	arm_smmu_attach_done(&state);
	...
  }

@arm_smmu_blocking_set_dev_pasid@
identifier state, master, old_domain, pasid;
@@
  arm_smmu_blocking_set_dev_pasid(...)
  {
	...
-	struct arm_smmu_attach_state state = {
-		.master = master,
-		.old_domain = old_domain,
-		.ssid = pasid,
-	};
	...
  }

@arm_smmu_insert_master@
identifier ats_supported;
expression e;
@@
  arm_smmu_insert_master(...)
  {
	...
-	bool ats_supported = e;
	...
  }

@arm_smmu_insert_master__error@
identifier master;
@@
  arm_smmu_insert_master(...)
  {
	<+...
-	kfree(master->build_invs);
	...+>
  }

@arm_smmu_remove_master@
identifier master;
@@
  arm_smmu_remove_master(struct arm_smmu_master *master)
  {
	...
-	kfree(master->build_invs);
  }

@arm_smmu_release_device@
identifier dev, master;
@@
  arm_smmu_release_device(struct device *dev)
  {
	...
	WARN_ON(master->iopf_refcount);
+	/* A flush may be about to set the device aside. */
+	iommu_attach_fence(&master->smmu->fence);
	...
  }

@arm_smmu_init_structures@
identifier smmu, ret;
@@
  arm_smmu_init_structures(struct arm_smmu_device *smmu)
  {
	int ret;
	...
+	ret = arm_smmu_fence_init(smmu);
+	if (ret)
+		return ret;
+
	ret = arm_smmu_init_queues(smmu);
	...
  }

@arm_smmu_device_remove@
identifier smmu;
@@
  arm_smmu_device_remove(...)
  {
	...
	iommu_device_sysfs_remove(&smmu->iommu);
+	iommu_attach_drain(&smmu->fence);
  }
