// SPDX-License-Identifier: GPL-2.0-only
// A command that was not executed is reported to the caller.

@riscv_iommu_queue_wait@
expression condition, timeout;
@@
  riscv_iommu_queue_wait(...)
  {
	...
-	unsigned int flags = ...;
+	int ret;
	...
-	return readx_poll_timeout(riscv_iommu_queue_cons, queue, cons, condition, 0, timeout);
+	ret = readx_poll_timeout(riscv_iommu_queue_cons, queue, cons,
+				 riscv_iommu_queue_stopped(queue, cons) ||
+				 (int)(cons - index) > 0, 0, timeout);
+	if ((int)(cons - index) > 0)
+		return 0;
+	return ret ? ret : -EIO;
  }

@riscv_iommu_cmdq_process@
expression data;
@@
  riscv_iommu_cmdq_process(...)
  {
-	const struct riscv_iommu_queue *queue = (struct riscv_iommu_queue *)data;
+	struct riscv_iommu_queue *queue = (struct riscv_iommu_queue *)data;
	...
  }

@riscv_iommu_cmdq_process__stopped@
identifier ctrl;
@@
  riscv_iommu_cmdq_process(...)
  {
	...
	ctrl = riscv_iommu_readl(queue->iommu, queue->qcr);
+	if (ctrl & RISCV_IOMMU_CMDQ_ERRORS)
+		WRITE_ONCE(queue->stopped,
+			   ((jiffies - 1) | 1) << 32 | riscv_iommu_queue_cons(queue));
	...
  }

@riscv_iommu_cmd_send@
identifier iommu, cmd;
@@
- static void riscv_iommu_cmd_send(struct riscv_iommu_device *iommu,
-				   struct riscv_iommu_command *cmd)
+ static int riscv_iommu_cmd_send(struct riscv_iommu_device *iommu,
+				  struct riscv_iommu_command *cmd)
  {
-	riscv_iommu_queue_send(
+	return riscv_iommu_queue_send(
	...);
  }

@riscv_iommu_cmd_sync@
identifier iommu, timeout_us, cmd, prod, ret;
@@
- static void riscv_iommu_cmd_sync(struct riscv_iommu_device *iommu,
-				   unsigned int timeout_us)
+ static int riscv_iommu_cmd_sync(struct riscv_iommu_device *iommu,
+				  unsigned int timeout_us)
  {
	...
	if (ret)
-		return;
+		return ret;
	if (!timeout_us)
-		return;
+		return 0;
-	if (riscv_iommu_queue_wait(&iommu->cmdq, prod, timeout_us))
-		dev_err_once(...);
+	ret = riscv_iommu_queue_wait(&iommu->cmdq, prod, timeout_us);
+	if (ret)
+		dev_err_ratelimited(iommu->dev, "command not executed: %pe\n", ERR_PTR(ret));
+	return ret;
  }

@riscv_iommu_iotlb_inval_iommu@
identifier iommu, pscid, tlbi, cmd;
@@
- static void riscv_iommu_iotlb_inval_iommu(struct riscv_iommu_device *iommu,
-					    int pscid,
-					    struct riscv_iommu_tlbi *tlbi)
+ static int riscv_iommu_iotlb_inval_iommu(struct riscv_iommu_device *iommu,
+					   int pscid,
+					   const struct riscv_iommu_tlbi *tlbi)
  {
	...
	struct riscv_iommu_command cmd;
+	int ret = 0;
	...
  }

@riscv_iommu_iotlb_inval_iommu__addresses depends on riscv_iommu_iotlb_inval_iommu@
expression list es;
@@
  riscv_iommu_iotlb_inval_iommu(...)
  {
	<...
	for (...;...;...) {
		...
-		riscv_iommu_cmd_send(es);
+		ret = riscv_iommu_cmd_send(es);
+		if (ret)
+			return ret;
		...
	}
	...>
  }

@riscv_iommu_iotlb_inval_iommu__global depends on riscv_iommu_iotlb_inval_iommu exists@
expression list es;
@@
  riscv_iommu_iotlb_inval_iommu(...)
  {
	... when any
-	riscv_iommu_cmd_send(es);
+	return riscv_iommu_cmd_send(es);
  }

@riscv_iommu_iotlb_inval_iommu__range depends on riscv_iommu_iotlb_inval_iommu@
expression list es;
@@
  riscv_iommu_iotlb_inval_iommu(...)
  {
	<...
-	riscv_iommu_cmd_send(es);
+	ret = riscv_iommu_cmd_send(es);
	...>
  }

@riscv_iommu_iotlb_inval_iommu__told depends on riscv_iommu_iotlb_inval_iommu@
@@
  riscv_iommu_iotlb_inval_iommu(...)
  {
	<...
-	return;
+	return ret;
	...>
  }

@riscv_iommu_iotlb_inval@
identifier domain, gather, tlbi;
@@
- static void riscv_iommu_iotlb_inval(struct riscv_iommu_domain *domain,
-				      struct iommu_iotlb_gather *gather)
+ static int riscv_iommu_iotlb_inval(struct riscv_iommu_domain *domain,
+				     struct iommu_iotlb_gather *gather)
  {
	...
	struct riscv_iommu_tlbi tlbi;
+	int ret = 0, error;
	...
	rcu_read_unlock();
+	return ret;
  }

@riscv_iommu_iotlb_inval__sent depends on riscv_iommu_iotlb_inval@
expression list es;
@@
  riscv_iommu_iotlb_inval(...)
  {
	<...
-	riscv_iommu_iotlb_inval_iommu(es);
+	error = riscv_iommu_iotlb_inval_iommu(es);
+	if (error)
+		ret = error;
	...>
  }

@riscv_iommu_iotlb_inval__waited depends on riscv_iommu_iotlb_inval@
expression list es;
@@
  riscv_iommu_iotlb_inval(...)
  {
	<...
-	riscv_iommu_cmd_sync(es);
+	error = riscv_iommu_cmd_sync(es);
+	if (error)
+		ret = error;
	...>
  }

@riscv_iommu_iotlb_sync@
identifier domain, gather;
@@
  riscv_iommu_iotlb_sync(...)
  {
	...
-	riscv_iommu_iotlb_inval(domain, gather);
+	if (riscv_iommu_iotlb_inval(domain, gather))
+		return;
	iommu_put_pages_list(&gather->freelist);
  }
