// SPDX-License-Identifier: GPL-2.0-only
// A fence writes no status.

@intel_iommu_drain_pasid_prq@
expression desc;
@@
  intel_iommu_drain_pasid_prq(...)
  {
	<+...
-	desc.qw0 = QI_IWD_STATUS_DATA(QI_DONE) | QI_IWD_FENCE | QI_IWD_TYPE;
+	desc.qw0 = QI_IWD_FENCE | QI_IWD_TYPE;
	...+>
  }
