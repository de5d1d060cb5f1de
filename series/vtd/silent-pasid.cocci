// SPDX-License-Identifier: GPL-2.0-only

@devtlb_invalidation_with_pasid@
@@
  devtlb_invalidation_with_pasid(...)
  {
	<+...
-	if (!pci_device_is_present(to_pci_dev(dev)))
+	if (!pci_device_is_present(to_pci_dev(dev)) ||
+	    iommu_attach_is_aside(&info->endpoint))
		return;
	...+>
  }

@__context_flush_dev_iotlb@
@@
  static void __context_flush_dev_iotlb(...)
  {
	<+...
-	if (!pci_device_is_present(to_pci_dev(info->dev)))
+	if (!pci_device_is_present(to_pci_dev(info->dev)) ||
+	    iommu_attach_is_aside(&info->endpoint))
		return;
	...+>
  }
