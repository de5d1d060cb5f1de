// SPDX-License-Identifier: GPL-2.0-only

@arm_smmu_cmdq_init@
identifier smmu, cmdq, nents;
@@
  arm_smmu_cmdq_init(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq)
  {
	unsigned int nents = 1 << cmdq->q.llq.max_n_shift;
	...
	if (!cmdq->valid_map)
		return -ENOMEM;
+	if (smmu->features & ARM_SMMU_FEAT_ATS) {
+		cmdq->atc_errors = devm_kcalloc(smmu->dev, nents, sizeof(*cmdq->atc_errors),
+						GFP_KERNEL);
+		if (!cmdq->atc_errors)
+			return -ENOMEM;
+	}
	...
  }
