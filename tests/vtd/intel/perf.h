/* SPDX-License-Identifier: GPL-2.0-only */
/* Nobody measures. */
#ifndef VTD_INTEL_PERF_H
#define VTD_INTEL_PERF_H

enum { DMAR_LATENCY_INV_IOTLB, DMAR_LATENCY_INV_DEVTLB, DMAR_LATENCY_INV_IEC };

#define dmar_latency_enabled(iommu, type)	((void)(iommu), (void)(type), false)
#define dmar_latency_update(iommu, type, ns)	((void)(iommu), (void)(type), (void)(ns))

#endif
