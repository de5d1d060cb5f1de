/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The opposite of names.h, for lib.c: behind the core's header, the names of its functions are
 * the library's again, which are defined there and call the core's.
 */
#undef iommu_attach_add
#undef iommu_attach_add_array
#undef iommu_attach_add_nest
#undef iommu_attach_blocked
#undef iommu_attach_del
#undef iommu_attach_del_nest
#undef iommu_attach_destroy
#undef iommu_attach_disable_atc
#undef iommu_attach_drain
#undef iommu_attach_elm_device
#undef iommu_attach_elm_set_device
#undef iommu_attach_empty
#undef iommu_attach_enable_atc
#undef iommu_attach_endpoint_init
#undef iommu_attach_fence
#undef iommu_attach_fence_begin
#undef iommu_attach_fence_destroy
#undef iommu_attach_fence_init
#undef iommu_attach_fence_poll
#undef iommu_attach_fence_wait
#undef iommu_attach_find_tag
#undef iommu_attach_flush
#undef iommu_attach_flush_lists
#undef iommu_attach_init
#undef iommu_attach_is_aside
#undef iommu_attach_lock
#undef iommu_attach_resume
#undef iommu_attach_set_aside
#undef iommu_attach_unlock
#undef iommu_attach_walk_begin
#undef iommu_attach_walk_end
