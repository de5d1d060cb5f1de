/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TRACE_IOMMU_ALIST_H
#define _TRACE_IOMMU_ALIST_H

/* The kernel's tracepoints are static probes in the library, and elsewhere nothing. */
#ifdef HAVE_SDT
#include <sys/sdt.h>

#define trace_iommu_alist_add(elm)	DTRACE_PROBE1(iommu_alist, add, elm)
#define trace_iommu_alist_del(elm)	DTRACE_PROBE1(iommu_alist, del, elm)
#define trace_iommu_alist_atc(elm)	DTRACE_PROBE1(iommu_alist, atc, elm)
#define trace_iommu_alist_fence(fence, done)				\
	DTRACE_PROBE2(iommu_alist, fence, fence, done)
#define trace_iommu_alist_drain(fence, done)				\
	DTRACE_PROBE2(iommu_alist, drain, fence, done)
#define trace_iommu_alist_flush(alist, count, error)			\
	DTRACE_PROBE5(iommu_alist, flush, alist, (count)->groups,	\
		      (count)->atcs, (count)->submits, error)
#define trace_iommu_alist_silent(iommu, atc)				\
	DTRACE_PROBE2(iommu_alist, silent, iommu, atc)

#else

#define trace_iommu_alist_add(elm)		((void)(elm))
#define trace_iommu_alist_del(elm)		((void)(elm))
#define trace_iommu_alist_atc(elm)		((void)(elm))
#define trace_iommu_alist_fence(fence, done)	((void)(fence), (void)(done))
#define trace_iommu_alist_drain(fence, done)	((void)(fence), (void)(done))
#define trace_iommu_alist_flush(alist, count, error)			\
	((void)(alist), (void)(count), (void)(error))
#define trace_iommu_alist_silent(iommu, atc)	((void)(iommu), (void)(atc))

#endif

#endif
