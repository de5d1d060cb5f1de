// SPDX-License-Identifier: GPL-2.0-only
// Scalable mode: translation requests are answered once flushes reach the ATC.

@intel_iommu_probe_finalize@
identifier dev, info;
statement S;
@@
  intel_iommu_probe_finalize(struct device *dev)
  {
	<+...
	iommu_enable_pci_ats(info);
	if (info->ats_enabled && info->domain) S
+	if (info->ats_enabled)
+		intel_pasid_allow_ats(dev);
	...+>
  }
