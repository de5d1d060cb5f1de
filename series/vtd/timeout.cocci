// SPDX-License-Identifier: GPL-2.0-only
// Only a submission that asks a device which is gone gives up.

@qi_check_fault__again@
identifier iommu, index, wait_index, qi;
@@
  static int qi_check_fault(struct intel_iommu *iommu, int index, int wait_index)
  {
	<+...
	if (qi->desc_status[wait_index] == QI_ABORT)
-		return -EAGAIN;
+		return qi_asks_absent(iommu, index, wait_index) ? -ETIMEDOUT : -EAGAIN;
	...+>
  }

@qi_check_fault__absent@
identifier dev, ite_sid;
expression E;
@@
  static int qi_check_fault(...)
  {
	<+...
-	if (ite_sid) {
-		dev = device_rbtree_find(...);
-		if (E)
-			return -ETIMEDOUT;
-	}
	...+>
  }

@qi_check_fault__read@
expression E1, E2;
@@
  static int qi_check_fault(...)
  {
	<+...
-	iqe_err = readq(E1);
-	ite_sid = DMAR_IQER_REG_ITESID(E2);
	...+>
  }

@qi_check_fault__dev@
typedef u64;
@@
  static int qi_check_fault(...)
  {
	...
-	struct device *dev;
	...
  }

@qi_check_fault__iqe_err@
typedef u64;
@@
  static int qi_check_fault(...)
  {
	...
-	u64 iqe_err;
	...
  }

@qi_check_fault__ite_sid@
typedef u64;
@@
  static int qi_check_fault(...)
  {
	...
-	u64 ite_sid;
	...
  }
