// SPDX-License-Identifier: GPL-2.0-only
// PASIDs are on the list of the SVA domain.

@remove_dev_pasid@
@@
- static void remove_dev_pasid(...) { ... }

@sva_arch_invalidate_secondary_tlbs@
identifier mn, start, end, sva_pdom;
@@
  sva_arch_invalidate_secondary_tlbs(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start, unsigned long end)
  {
-	struct pdom_dev_data *pdom_dev_data;
	struct protection_domain *sva_pdom;
-	unsigned long flags;
	sva_pdom = container_of(mn, struct protection_domain, mn);
-	...
+	amd_iommu_domain_flush_pages(sva_pdom, start, end - 1, CMD_INV_IOMMU_PAGES_PDE_MASK);
  }

@iommu_sva_set_dev_pasid@
identifier domain, dev, pasid, pdom_dev_data, sva_pdom, dev_data, flags, ret, out_unlock;
@@
  iommu_sva_set_dev_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid, ...)
  {
-	struct pdom_dev_data *pdom_dev_data;
	struct protection_domain *sva_pdom = to_pdomain(domain);
+	struct amd_iommu_attachment *attachment;
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
-	unsigned long flags;
	int ret = -EINVAL;
	...
-	pdom_dev_data = kzalloc_obj(*pdom_dev_data);
-	if (pdom_dev_data == NULL)
-		return ret;
-	pdom_dev_data->pasid = pasid;
-	pdom_dev_data->dev_data = dev_data;
-	spin_lock_irqsave(&sva_pdom->lock, flags);
+	attachment = amd_iommu_link(sva_pdom, dev_data, pasid, dev_data->gcr3_info.domid,
+				      IOMMU_ATTACH_OWN);
+	if (IS_ERR(attachment))
+		return PTR_ERR(attachment);
+
	ret = amd_iommu_set_gcr3(dev_data, pasid, iommu_virt_to_phys(domain->mm->pgd));
-	if (ret) {
-		kfree(pdom_dev_data);
-		goto out_unlock;
-	}
-	list_add(&pdom_dev_data->list, &sva_pdom->dev_data_list);
-out_unlock:
-	spin_unlock_irqrestore(&sva_pdom->lock, flags);
+	if (ret)
+		amd_iommu_unlink(sva_pdom, attachment);
	return ret;
  }

@amd_iommu_remove_dev_pasid@
identifier dev, pasid, domain, sva_pdom, flags;
typedef ioasid_t;
@@
  amd_iommu_remove_dev_pasid(struct device *dev, ioasid_t pasid, struct iommu_domain *domain)
  {
	struct protection_domain *sva_pdom;
-	unsigned long flags;
+	struct amd_iommu_attachment *attachment;
	...
	if (!is_pasid_valid(dev_iommu_priv_get(dev), pasid))
		return;
	sva_pdom = to_pdomain(domain);
-	spin_lock_irqsave(&sva_pdom->lock, flags);
-	remove_pdom_dev_pasid(sva_pdom, dev, pasid);
-	spin_unlock_irqrestore(&sva_pdom->lock, flags);
+	attachment = amd_iommu_find_pasid(sva_pdom, dev_iommu_priv_get(dev), pasid);
+	if (!attachment)
+		return;
+	amd_iommu_domain_clear_pasid(sva_pdom, attachment);
+	amd_iommu_unlink(sva_pdom, attachment);
  }
