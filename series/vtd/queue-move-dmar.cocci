// SPDX-License-Identifier: GPL-2.0-only
// What submits to the invalidation queue has moved to qi.c.

@perf__include@
@@
- #include "perf.h"

@trace__include@
@@
- #include "trace.h"

@qi_dump_fault@
identifier iommu, fault;
@@
- static void qi_dump_fault(struct intel_iommu *iommu, u32 fault)
+ void qi_dump_fault(struct intel_iommu *iommu, u32 fault)
  { ... }
