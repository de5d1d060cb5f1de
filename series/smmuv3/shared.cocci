// SPDX-License-Identifier: GPL-2.0-only
// What a domain and an SMMU have to have in common is asked of one function.

@arm_smmu_attach_dev@
identifier smmu_domain, smmu, ret;
@@
  arm_smmu_attach_dev(...)
  {
	int ret = 0;
	...
-	if (smmu_domain->smmu != smmu)
-		return -EINVAL;
+	ret = arm_smmu_domain_check(smmu_domain, smmu);
+	if (ret)
+		return ret;
	...
  }

@arm_smmu_s1_set_dev_pasid@
identifier smmu_domain, smmu, master;
@@
  arm_smmu_s1_set_dev_pasid(...)
  {
	...
-	struct arm_smmu_device *smmu = master->smmu;
	...
-	if (smmu_domain->smmu != smmu)
-		return -EINVAL;
	...
  }

@arm_smmu_set_pasid@
identifier smmu_domain, master, ret;
@@
  arm_smmu_set_pasid(...)
  {
	...
	int ret;
	...
-	if (smmu_domain->smmu != master->smmu)
-		return -EINVAL;
+	ret = arm_smmu_domain_check(smmu_domain, master->smmu);
+	if (ret)
+		return ret;
	...
  }
