// SPDX-License-Identifier: GPL-2.0-only
// To submit and to wait are two functions; commands have numbers that only grow.

@__arm_smmu_cmdq_issue_cmdlist__room@
identifier smmu, cmdq, llq;
@@
  __arm_smmu_cmdq_issue_cmdlist(...)
  {
	<+...
-	arm_smmu_cmdq_poll_until_not_full(smmu, cmdq, &llq)
+	arm_smmu_cmdq_wait_room(smmu, cmdq, &llq)
	...+>
  }

@__arm_smmu_cmdq_issue_cmdlist__register@
identifier prod, cmdq;
@@
  __arm_smmu_cmdq_issue_cmdlist(...)
  {
	<+...
-	writel_relaxed(prod, cmdq->q.prod_reg);
+	writel_relaxed(Q_WRP(&llq, prod) | Q_IDX(&llq, prod), cmdq->q.prod_reg);
	...+>
  }

@__arm_smmu_cmdq_issue_cmdlist__unlocked@
identifier cmdq;
@@
  __arm_smmu_cmdq_issue_cmdlist(...)
  {
	<+...
-	arm_smmu_cmdq_shared_lock(cmdq);
	...+>
  }

@__arm_smmu_cmdq_issue_cmdlist__submit@
typedef u32;
identifier smmu, cmdq, cmds, n, sync, ret;
@@
- int __arm_smmu_cmdq_issue_cmdlist(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq,
-				    struct arm_smmu_cmd *cmds, int n, bool sync)
+ u32 arm_smmu_cmdq_submit(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq,
+			   struct arm_smmu_cmd *cmds, int n, bool sync)
  {
	...
-	int ret = 0;
	...
  }

@arm_smmu_cmdq_submit__export@
@@
  arm_smmu_cmdq_submit(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_submit);

@__arm_smmu_cmdq_skip_err__export@
@@
  __arm_smmu_cmdq_skip_err(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(__arm_smmu_cmdq_skip_err);

@queue_inc_prod_n@
identifier llq;
expression n;
@@
- queue_inc_prod_n(&llq, n)
+ arm_smmu_cmdq_number(llq.prod, n)

@arm_smmu_cmdq_build_sync_cmd@
identifier cmd, cmdq, prod, q, msiaddr, cs;
@@
  arm_smmu_cmdq_build_sync_cmd(struct arm_smmu_cmd *cmd, ...,
			       struct arm_smmu_cmdq *cmdq, u32 prod)
  {
-	struct arm_smmu_queue *q = &cmdq->q;
	u64 msiaddr = 0;
	...
	*cmd = arm_smmu_make_cmd_sync(cs, msiaddr);
+	if (msiaddr)
+		cmd->data[0] |= FIELD_PREP(CMDQ_SYNC_0_MSIDATA,
+					   arm_smmu_cmdq_expect(cmdq, prod));
  }

@arm_smmu_cmdq_init@
identifier smmu, cmdq, nents;
@@
  arm_smmu_cmdq_init(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq)
  {
	unsigned int nents = 1 << cmdq->q.llq.max_n_shift;
	...
-	atomic_set(&cmdq->lock, 0);
	...
	if (!cmdq->valid_map)
		return -ENOMEM;
+	if (smmu->options & ARM_SMMU_OPT_MSIPOLL &&
+	    !arm_smmu_cmdq_needs_busy_polling(smmu, cmdq)) {
+		cmdq->status = dmam_alloc_coherent(smmu->dev, nents * sizeof(*cmdq->status),
+						   &cmdq->status_dma, GFP_KERNEL);
+		if (!cmdq->status)
+			return -ENOMEM;
+	}
	...
  }
