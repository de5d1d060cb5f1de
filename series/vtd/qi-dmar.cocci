// SPDX-License-Identifier: GPL-2.0-only
// Submitting to the invalidation queue moves to qi.c.

@perf__include@
@@
- #include "perf.h"

@trace__include@
@@
- #include "trace.h"

@reclaim_free_desc@
@@
- static inline void reclaim_free_desc(...) { ... }

@qi_dump_fault@
identifier iommu, fault;
@@
- static void qi_dump_fault(struct intel_iommu *iommu, u32 fault)
+ void qi_dump_fault(struct intel_iommu *iommu, u32 fault)
  { ... }

@qi_check_fault@
@@
- static int qi_check_fault(...) { ... }

@qi_submit_sync@
@@
- int qi_submit_sync(...) { ... }

@dmar_enable_qi@
@@
  dmar_enable_qi(...) {
  ...
- iommu->qi = kmalloc_obj(*qi, GFP_ATOMIC);
+ iommu->qi = kzalloc_obj(*qi, GFP_ATOMIC);
  ...
  }
