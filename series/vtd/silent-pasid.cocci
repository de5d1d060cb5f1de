// SPDX-License-Identifier: GPL-2.0-only
// A device that does not answer is blocked before its attachment goes.

@devtlb_invalidation_with_pasid@
@@
  devtlb_invalidation_with_pasid(...)
  {
	<+...
	if (!pci_device_is_present(to_pci_dev(dev)))
		return;
+	if (iommu_attach_is_aside(&info->endpoint)) {
+		intel_iommu_block_silent(info);
+		return;
+	}
	...+>
  }

@devtlb_invalidation_with_pasid__after@
statement S1, S2;
@@
  devtlb_invalidation_with_pasid(...)
  {
	<+...
	if (pasid == IOMMU_NO_PASID) S1 else S2
+	intel_iommu_block_silent(info);
	...+>
  }

@__context_flush_dev_iotlb@
@@
  static void __context_flush_dev_iotlb(...)
  {
	<+...
	if (!pci_device_is_present(to_pci_dev(info->dev)))
		return;
+	if (iommu_attach_is_aside(&info->endpoint)) {
+		intel_iommu_block_silent(info);
+		return;
+	}
	...+>
  }

@__context_flush_dev_iotlb__after@
@@
  static void __context_flush_dev_iotlb(...)
  {
	<+...
	quirk_extra_dev_tlb_flush(...);
+	intel_iommu_block_silent(info);
	...+>
  }

// The entry lets translation requests through only if the device answers.

@context_entry_set_pasid_table@
identifier info, iommu;
expression context;
@@
  context_entry_set_pasid_table(...)
  {
	...
	struct intel_iommu *iommu = info->iommu;
	<+...
-	if (info->ats_enabled)
-		context_set_sm_dte(context);
	...
-	context_set_present(context);
+	intel_context_set_present(iommu, info, context);
	...+>
  }

@intel_pasid_allow_ats@
identifier info, iommu;
expression context;
@@
  intel_pasid_allow_ats(...)
  {
	...
	struct intel_iommu *iommu = info->iommu;
	<+...
-	context_set_sm_dte(context);
+	intel_context_set_present(iommu, info, context);
	...+>
  }
