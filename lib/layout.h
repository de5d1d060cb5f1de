/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where things are in the structures that programs and the library share
 *
 * Programs compile against the view of iommu-alist.h, the library against the core's
 * own header. This is included behind either, and both have to agree with it. It is
 * also what the soname stands for: what is written here changes with it alone.
 *
 * The numbers are those of 64-bit machines; others do not build the library.
 */
#include <stddef.h>

#define PTR		sizeof(void *)
#define SHARED(type, member, offset)					\
	_Static_assert(offsetof(struct type, member) == (offset),	\
		       "struct " #type ": " #member " has moved")
#define SHARED_SIZE(type, size)						\
	_Static_assert(sizeof(struct type) == (size),			\
		       "struct " #type " has another size")

/* The program's storage, for the whole of what the core has in it. */
#ifdef IOMMU_ALIST_CORE
#define STORAGE(type, size)						\
	_Static_assert(sizeof(struct type) <= (size),			\
		       "struct " #type " has outgrown its storage")
#else
#define STORAGE(type, size)	SHARED_SIZE(type, size)
#endif

STORAGE(iommu_attach_list, 48 * PTR);
STORAGE(iommu_attach_walk, 16 * PTR);
STORAGE(iommu_attach_fence, 16 * PTR);
STORAGE(iommu_attach_endpoint, 16 * PTR);

SHARED(iommu_attach_group, iommu_device, 0);
SHARED(iommu_attach_group, tag, 8);
SHARED(iommu_attach_group, kind, 16);

SHARED(iommu_attach_elm, iommu_device, 0);
SHARED(iommu_attach_elm, fence, 8);
SHARED(iommu_attach_elm, tag, 16);
SHARED(iommu_attach_elm, atc, 24);
SHARED(iommu_attach_elm, endpoint, 32);
SHARED(iommu_attach_elm, pasid, 40);
SHARED(iommu_attach_elm, using_atc, 44);
SHARED(iommu_attach_elm, nested, 45);
SHARED(iommu_attach_elm, kind, 46);
SHARED_SIZE(iommu_attach_elm, 48 + 14 * PTR);

SHARED(iommu_attach_nest, s1, 0);
SHARED(iommu_attach_nest, s2, 48 + 14 * PTR);

SHARED(iommu_attach_flush_ops, iotlb, 0);
SHARED(iommu_attach_flush_ops, atc, PTR);
SHARED(iommu_attach_flush_ops, submit, 2 * PTR);
SHARED(iommu_attach_flush_ops, wait, 3 * PTR);
SHARED(iommu_attach_flush_ops, silent, 4 * PTR);
SHARED(iommu_attach_flush_ops, aside, 5 * PTR);
SHARED(iommu_attach_flush_ops, wait_before_nest, 6 * PTR);
SHARED(iommu_attach_flush_ops, wait_before_atc, 6 * PTR + 1);
#ifndef IOMMU_ALIST_CORE
SHARED(iommu_attach_flush_ops, reserved, 7 * PTR);
#endif
STORAGE(iommu_attach_flush_ops, 8 * PTR);
