/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the attach list's core, what watches it, and its tests. */
#ifndef __DRIVERS_IOMMU_ALIST_PRIV_H
#define __DRIVERS_IOMMU_ALIST_PRIV_H

#include <linux/iommu-alist.h>
#include <linux/types.h>

#if IS_ENABLED(CONFIG_KUNIT)
void *iommu_attach_alloc(size_t size);
const char *iommu_attach_check(struct iommu_attach_list *alist);
#endif

/* A list is shown from its first attachment on, until it is destroyed. */
#if IS_ENABLED(CONFIG_IOMMU_ALIST_DEBUGFS)
void iommu_attach_debugfs_add(struct iommu_attach_list *alist);
void iommu_attach_debugfs_del(struct iommu_attach_list *alist);
void iommu_attach_debugfs_flush(struct iommu_attach_list *alist,
				const struct iommu_attach_count *count, int error);
#else
#define iommu_attach_debugfs_add(alist)		((void)(alist))
#define iommu_attach_debugfs_del(alist)		((void)(alist))
#define iommu_attach_debugfs_flush(alist, count, error)	\
	((void)(alist), (void)(count), (void)(error))
#endif

#endif /* __DRIVERS_IOMMU_ALIST_PRIV_H */
