// SPDX-License-Identifier: GPL-2.0-only
// A nest is attached as other domains are, and its ID is clean when the last device leaves.

@nested_attach_device@
identifier dom, dev, new, dev_data, iommu, ret;
@@
  nested_attach_device(struct iommu_domain *dom, struct device *dev, ...)
  {
	struct dev_table_entry new = {0};
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
	struct amd_iommu *iommu = get_amd_iommu_from_dev_data(dev_data);
-	int ret = 0;
+	struct nested_domain *ndom = to_ndomain(dom);
+	struct protection_domain *parent = ndom->viommu->parent;
+	unsigned long flags;
+	int ret;
	...
-	mutex_lock(&dev_data->mutex);
-	set_dte_nested(iommu, dom, dev_data, &new);
-	amd_iommu_update_dte(iommu, dev_data, &new);
-	mutex_unlock(&dev_data->mutex);
-	return ret;
+	ret = amd_iommu_link_nest(dev, parent, ndom->gdom_info->hdom_id);
+	if (ret)
+		return ret;
+
+	mutex_lock(&dev_data->mutex);
+	/* With the top that the parent has now, see amd_iommu_change_top(). */
+	spin_lock_irqsave(&parent->lock, flags);
+	set_dte_nested(iommu, dom, dev_data, &new);
+	amd_iommu_update_dte(iommu, dev_data, &new);
+	spin_unlock_irqrestore(&parent->lock, flags);
+	amd_iommu_flush_dte(iommu, dev_data);
+	mutex_unlock(&dev_data->mutex);
+	return 0;
  }

@nested_domain_free@
identifier aviommu, ndom;
@@
  nested_domain_free(...)
  {
	...
-	amd_iommu_flush_tlb_domid(viommu_to_iommu(aviommu),
-				  ndom->gdom_info->hdom_id);
	amd_iommu_pdom_id_free(ndom->gdom_info->hdom_id);
	...
  }
