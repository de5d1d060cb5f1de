// SPDX-License-Identifier: GPL-2.0-only
// A device that does not answer is set aside, and refused by its IOMMU until it is attached again.

@device_flush_iotlb@
identifier dev_data, cmd, qdep;
@@
  device_flush_iotlb(struct iommu_dev_data *dev_data, ...)
  {
	...
	struct iommu_cmd cmd;
	int qdep = dev_data->ats_qdep;
+
+	if (iommu_attach_is_aside(&dev_data->endpoint))
+		return 0;
	...
  }

@clone_alias@
identifier iommu, dev_data, alias_data, new;
@@
  clone_alias(...)
  {
	...
	int ret = 0;
+	unsigned long flags;
	...
-	get_dte256(iommu, dev_data, &new);
	...
-	update_dte256(iommu, alias_data, &new);
+	spin_lock_irqsave(&clone_lock, flags);
+	get_dte256(iommu, dev_data, &new);
+	update_dte256(iommu, alias_data, &new);
+	spin_unlock_irqrestore(&clone_lock, flags);
	...
  }

@attach_device@
identifier dev_data, domain;
@@
  attach_device(...)
  {
	...
	dev_data->domain = domain;
+	amd_iommu_resume_device(dev_data);
	...
  }

@detach_device@
identifier dev_data, iommu, domain;
@@
  detach_device(...)
  {
	...
	detach_flush(iommu, dev_data, domain);
+
+	/* PASIDs of a device that is to be reset go later: until then, nothing is sent to it. */
+	if (dev_data->gcr3_info.pasid_cnt) {
+		iommu_attach_set_aside(&dev_data->endpoint);
+		iommu_attach_blocked(&dev_data->endpoint);
+		iommu_attach_fence(&iommu->fence);
+	}
	amd_iommu_unlink(domain, dev_data->attachment);
	...
  }

@amd_iommu_link_nest@
identifier attachment;
@@
  amd_iommu_link_nest(...)
  {
	...
+	amd_iommu_resume_device(dev_data);
	attachment = amd_iommu_link(...);
	...
  }
