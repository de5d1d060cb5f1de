// SPDX-License-Identifier: GPL-2.0-only
// Legacy mode: ATS is on before the context entry lets translation requests through.

@domain_context_mapping@
identifier dev, info, domain, ret;
@@
  domain_context_mapping(struct dmar_domain *domain, struct device *dev)
  {
	...
	ret = pci_for_each_dma_alias(...);
-	if (ret)
-		return ret;
-	iommu_enable_pci_ats(info);
-	return 0;
+	return ret;
  }

@domain_context_mapping__plain@
identifier ret;
expression E1, E2, E3;
@@
  domain_context_mapping(...)
  {
	...
-	int ret;
	... when != ret
-	ret = pci_for_each_dma_alias(E1, E2, E3);
-	return ret;
+	return pci_for_each_dma_alias(E1, E2, E3);
  }

@context_present_cache_flush@
typedef u16, u8;
@@
  static void context_present_cache_flush(...) { ... }
+
+ static int clear_copied_context_cb(struct pci_dev *pdev, u16 alias, void *opaque)
+ {
+ 	u8 bus = PCI_BUS_NUM(alias), devfn = alias & 0xff;
+ 	struct device_domain_info *info = opaque;
+ 	struct intel_iommu *iommu = info->iommu;
+ 	struct context_entry *context;
+
+ 	if (!context_copied(iommu, bus, devfn))
+ 		return 0;
+ 	spin_lock(&iommu->lock);
+ 	context = iommu_context_addr(iommu, bus, devfn, 1);
+ 	if (context)
+ 		copied_context_tear_down(iommu, context, bus, devfn);
+ 	spin_unlock(&iommu->lock);
+ 	return 0;
+ }

@dmar_domain_attach_device@
identifier domain, iommu, dev, info;
@@
  dmar_domain_attach_device(struct dmar_domain *domain, struct device *dev)
  {
	...
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = info->iommu;
	<+...
	if (dev_is_real_dma_subdevice(dev))
		return 0;
+	if (!sm_supported(iommu) && info->ats_supported) {
+		/*
+		 * Before the entry lets the device use its ATC. In a crash kernel, the
+		 * entry that it inherited still may.
+		 */
+		pci_for_each_dma_alias(to_pci_dev(dev), clear_copied_context_cb, info);
+		iommu_enable_pci_ats(info);
+	}
	...+>
  }
