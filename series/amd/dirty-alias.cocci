// SPDX-License-Identifier: GPL-2.0-only
// Requests under an alias count, too.

@amd_iommu_set_dirty_tracking@
identifier dev_data, iommu;
iterator name list_for_each_entry;
@@
  amd_iommu_set_dirty_tracking(...)
  {
	<+...
	list_for_each_entry(dev_data, ...) {
		...
		iommu = get_amd_iommu_from_dev_data(dev_data);
		...
		spin_unlock(&dev_data->dte_lock);
+		clone_aliases(iommu, dev_data->dev);
		...
	}
	...+>
  }
