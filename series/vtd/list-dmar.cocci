// SPDX-License-Identifier: GPL-2.0-only

@alloc_iommu@
identifier iommu, err, error_free_seq_id;
@@
  alloc_iommu(...)
  {
	<+...
	err = map_iommu(iommu, ...);
	if (err) {
		...
		goto error_free_seq_id;
	}
+	err = iommu_attach_fence_init(&iommu->fence);
+	if (err) {
+		unmap_iommu(iommu);
+		goto error_free_seq_id;
+	}
	...+>
  }

@alloc_iommu__undo@
identifier iommu;
@@
  alloc_iommu(...)
  {
	<+...
	free_iommu_pmu(iommu);
+	iommu_attach_fence_destroy(&iommu->fence);
	unmap_iommu(iommu);
	...+>
  }

@free_iommu@
identifier iommu;
@@
  free_iommu(struct intel_iommu *iommu)
  {
	...
+	iommu_attach_fence_destroy(&iommu->fence);
	ida_destroy(&iommu->domain_ida);
	...
  }
