// SPDX-License-Identifier: GPL-2.0-only

@arm_smmu_invs_alloc@
identifier new_invs;
@@
  arm_smmu_invs_alloc(...)
  {
	...
-	rwlock_init(&new_invs->rwlock);
	...
  }

@arm_smmu_invs@
@@
  struct arm_smmu_invs {
	...
-	rwlock_t rwlock;
	...
  };
