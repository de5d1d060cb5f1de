/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TRACE_IOMMU_ALIST_H
#define _TRACE_IOMMU_ALIST_H

#define trace_iommu_alist_add(elm)		((void)(elm))
#define trace_iommu_alist_del(elm)		((void)(elm))
#define trace_iommu_alist_atc(elm)		((void)(elm))
#define trace_iommu_alist_fence(fence, done)	((void)(fence), (void)(done))
#define trace_iommu_alist_drain(fence, done)	((void)(fence), (void)(done))
#define trace_iommu_alist_flush(alist, count, error)			\
	((void)(alist), (void)(count), (void)(error))
#define trace_iommu_alist_silent(iommu, atc)	((void)(iommu), (void)(atc))

#endif
