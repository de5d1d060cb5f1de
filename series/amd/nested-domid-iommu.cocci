// SPDX-License-Identifier: GPL-2.0-only

@amd_iommu_flush_tlb_domid@
@@
- static void amd_iommu_flush_tlb_domid(
+ void amd_iommu_flush_tlb_domid(
  ...) { ... }
