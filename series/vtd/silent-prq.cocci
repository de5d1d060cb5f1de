// SPDX-License-Identifier: GPL-2.0-only

@intel_iommu_drain_pasid_prq@
expression iommu, desc;
@@
  intel_iommu_drain_pasid_prq(...)
  {
	<+...
-	qi_submit_sync(iommu, desc, 3, QI_OPT_WAIT_DRAIN);
+	/* The last one asks the device. */
+	qi_submit_sync(iommu, desc, iommu_attach_is_aside(&info->endpoint) ? 2 : 3,
+		       QI_OPT_WAIT_DRAIN);
	...+>
  }
