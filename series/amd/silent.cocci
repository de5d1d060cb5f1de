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
