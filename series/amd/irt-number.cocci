// SPDX-License-Identifier: GPL-2.0-only
// A number that no completion wait carries must not be waited for.

@get_cmdsem_val@
typedef u64;
@@
- static u64 get_cmdsem_val(...) { ... }

@iommu_flush_irt_and_complete@
identifier iommu, data, cmd, ret, out_err;
@@
  iommu_flush_irt_and_complete(...)
  {
	...
	raw_spin_lock_irqsave(...);
-	data = get_cmdsem_val(iommu);
-	build_completion_wait(&cmd, iommu, data);
	...
-	ret = __iommu_queue_command_sync(iommu, &cmd, false);
+	data = iommu->cmd_sem_val + 1;
+	build_completion_wait(&cmd, iommu, data);
+	ret = __iommu_queue_command_sync(iommu, &cmd, false);
	if (ret) goto out_err;
+	iommu->cmd_sem_val = data;
	raw_spin_unlock_irqrestore(...);
	...
  }

@iommu_completion_wait@
identifier iommu, data, cmd, ret, flags;
@@
  iommu_completion_wait(...)
  {
	...
-	data = get_cmdsem_val(iommu);
+	data = iommu->cmd_sem_val + 1;
	build_completion_wait(&cmd, iommu, data);
	ret = __iommu_queue_command_sync(iommu, &cmd, false);
+	if (!ret)
+		iommu->cmd_sem_val = data;
	raw_spin_unlock_irqrestore(&iommu->lock, flags);
	...
  }
