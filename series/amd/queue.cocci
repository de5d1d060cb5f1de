// SPDX-License-Identifier: GPL-2.0-only
// The command buffer moves to queue.c, where submitting and waiting are separate.

@dump_command_buffer@
@@
- static void dump_command_buffer(...) { ... }

@wait_on_sem@
@@
- static int wait_on_sem(...) { ... }

@copy_cmd_to_buffer@
@@
- static void copy_cmd_to_buffer(...) { ... }

@build_completion_wait@
@@
- static void build_completion_wait(...) { ... }

@iommu_queue_command_sync@
@@
- static int iommu_queue_command_sync(...) { ... }

@iommu_queue_command_sync__locked@
@@
- static int __iommu_queue_command_sync(...) { ... }

@iommu_queue_command@
@@
- static int iommu_queue_command(...) { ... }

@iommu_completion_wait@
@@
- static int iommu_completion_wait(...) { ... }

@iommu_flush_dte_sync@
identifier iommu, devid, ret;
typedef u16;
@@
  static void iommu_flush_dte_sync(struct amd_iommu *iommu, u16 devid)
  {
-	int ret;
-	ret = iommu_flush_dte(iommu, devid);
-	if (!ret)
-		iommu_completion_wait(iommu);
+	struct iommu_cmd cmd;
+
+	build_inv_dte(&cmd, devid);
+	amd_iommu_execute(iommu, &cmd, 1);
  }

@iommu_queue_command__pair@
expression iommu, cmd;
@@
-	iommu_queue_command(iommu, cmd);
-	iommu_completion_wait(iommu);
+	amd_iommu_execute(iommu, cmd, 1);

@iommu_queue_command__call@
expression iommu, cmd;
@@
- iommu_queue_command(iommu, cmd)
+ amd_iommu_queue(iommu, cmd, 1)

@iommu_completion_wait__call@
expression iommu;
@@
- iommu_completion_wait(iommu)
+ amd_iommu_execute(iommu, NULL, 0)

@iommu_flush_irt_and_complete@
@@
- static void iommu_flush_irt_and_complete(...) { ... }

@iommu_flush_dev_irt@
identifier iommu, cmd, ret;
@@
  iommu_flush_dev_irt(...)
  {
-	int ret;
	...
-	ret = __iommu_queue_command_sync(iommu, &cmd, true);
-	return ret;
+	return amd_iommu_queue(iommu, &cmd, 1);
  }

@iommu_flush_dev_irt__complete@
@@
  static int iommu_flush_dev_irt(...) { ... }
+
+ static void iommu_flush_irt_and_complete(struct amd_iommu *iommu, u16 devid)
+ {
+	struct iommu_dev_data *dev_data = search_dev_data(iommu, devid);
+	int ret;
+
+	if (iommu->irtcachedis_enabled)
+		return;
+
+	if (dev_data && dev_data->dev && dev_is_pci(dev_data->dev))
+		ret = pci_for_each_dma_alias(to_pci_dev(dev_data->dev), iommu_flush_dev_irt,
+					     iommu);
+	else
+		ret = iommu_flush_dev_irt(NULL, devid, iommu);
+	if (!ret)
+		amd_iommu_execute(iommu, NULL, 0);
+ }
