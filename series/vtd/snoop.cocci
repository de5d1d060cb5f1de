// SPDX-License-Identifier: GPL-2.0-only
// PASIDs count for snoop control, and get it.

@domain_support_force_snooping@
iterator name list_for_each_entry;
identifier domain, info, support;
typedef bool;
@@
  domain_support_force_snooping(struct dmar_domain *domain)
  {
	...
	struct device_domain_info *info;
+	struct dev_pasid_info *dev_pasid;
	bool support = true;
	...
	list_for_each_entry(info, ...) { ... }
+	list_for_each_entry(dev_pasid, &domain->dev_pasids, link_domain) {
+		info = dev_iommu_priv_get(dev_pasid->dev);
+		if (!ecap_sc_support(info->iommu->ecap)) {
+			support = false;
+			break;
+		}
+	}
	...
  }

@intel_iommu_enforce_cache_coherency_fs@
iterator name list_for_each_entry;
identifier dmar_domain, info;
statement S;
@@
  intel_iommu_enforce_cache_coherency_fs(...)
  {
	...
	struct device_domain_info *info;
+	struct dev_pasid_info *dev_pasid;
	...
	list_for_each_entry(info, &dmar_domain->devices, link) S
+	list_for_each_entry(dev_pasid, &dmar_domain->dev_pasids, link_domain) {
+		info = dev_iommu_priv_get(dev_pasid->dev);
+		intel_pasid_setup_page_snoop_control(info->iommu, dev_pasid->dev,
+						     dev_pasid->pasid);
+	}
	return true;
  }
