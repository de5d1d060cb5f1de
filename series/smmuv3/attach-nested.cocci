// SPDX-License-Identifier: GPL-2.0-only
// A nest that turns ATS off waits for flushes, too.

@arm_smmu_attach_dev_nested@
identifier state;
@@
  arm_smmu_attach_dev_nested(...)
  {
	...
	arm_smmu_attach_commit(&state);
	mutex_unlock(&arm_smmu_asid_lock);
+	arm_smmu_attach_done(&state);
	return 0;
  }
