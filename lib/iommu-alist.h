/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libiommu-alist: the attach list in user space.
 *
 * The API is the kernel's, see linux/iommu-alist.h. struct iommu_device and struct
 * device are the program's own: the list compares their addresses and no more.
 * Threads need no registration.
 */
#ifndef IOMMU_ALIST_H
#define IOMMU_ALIST_H

#ifdef __cplusplus
/* C++ overloads what is in here, which C linkage does not allow. */
#include <stdlib.h>
extern "C" {
#endif

#include <linux/iommu-alist.h>

#ifdef __cplusplus
}
#endif

#endif /* IOMMU_ALIST_H */
