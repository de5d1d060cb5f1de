/* SPDX-License-Identifier: GPL-2.0-only */
/* Between iommu-alist.c and its tests. */
#ifndef __DRIVERS_IOMMU_ALIST_PRIV_H
#define __DRIVERS_IOMMU_ALIST_PRIV_H

#include <linux/types.h>

#if IS_ENABLED(CONFIG_KUNIT)
void *iommu_attach_alloc(size_t size);
#endif

#endif /* __DRIVERS_IOMMU_ALIST_PRIV_H */
