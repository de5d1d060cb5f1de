/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_IOMMU_H
#define _LINUX_IOMMU_H

#include <linux/types.h>

/* Both belong to whoever uses the list; the core never looks inside. */
struct device;
struct iommu_device;

typedef unsigned int ioasid_t;

#define IOMMU_NO_PASID		((ioasid_t)0)
#define IOMMU_PASID_INVALID	((ioasid_t)-1)

#endif
