// SPDX-License-Identifier: GPL-2.0-only
// What is ahead of a CMD_SYNC is what is in the same queue.

@arm_smmu_cmdq_batch_add_cmd_p@
identifier smmu, cmds, cmd;
@@
  arm_smmu_cmdq_batch_add_cmd_p(struct arm_smmu_device *smmu,
				struct arm_smmu_cmdq_batch *cmds, struct arm_smmu_cmd *cmd)
  {
	...
	if (cmds->num == CMDQ_BATCH_ENTRIES) {
		arm_smmu_cmdq_issue_cmdlist(smmu, cmds->cmdq, cmds->cmds, cmds->num, false);
-		arm_smmu_cmdq_batch_init_cmd(smmu, cmds, cmd);
+		/* In this queue: the CMD_SYNC at the end waits for no other. */
+		cmds->num = 0;
	}
	...
  }
