/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The names of functions and variables that the files of the library share, as no program
 * has them: in an archive every one of them is seen by the program. Included ahead of each
 * file of the library; tests/symbols.py sees that none is missing.
 */
#ifndef NAMES_H
#define NAMES_H

/* The shim's, and the library's own. */
#define call_rcu			__iommu_alist_call_rcu
#define free_percpu			__iommu_alist_free_percpu
#define get_state_synchronize_rcu	__iommu_alist_get_state_synchronize_rcu
#define iommu_attach_alloc		__iommu_alist_attach_alloc
#define iommu_attach_check		__iommu_alist_check
#define iommu_attach_debugfs_add	__iommu_alist_debugfs_add
#define iommu_attach_debugfs_del	__iommu_alist_debugfs_del
#define iommu_attach_debugfs_flush	__iommu_alist_debugfs_flush
#define iommu_attach_fence_map		__iommu_attach_fence_map
#define kfree				__iommu_alist_kfree
#define lib_count_drain			__iommu_alist_count_drain
#define lib_count_fence			__iommu_alist_count_fence
#define lib_current_call		__iommu_alist_current_call
#define lib_message			__iommu_alist_message
#define lib_read_counters		__iommu_alist_read_counters
#define poll_state_synchronize_rcu	__iommu_alist_poll_state_synchronize_rcu
#define rcu_barrier			__iommu_alist_rcu_barrier
#define shim_alloc			__iommu_alist_alloc
#define shim_alloc_fails		__iommu_alist_alloc_fails
#define shim_alloc_percpu		__iommu_alist_alloc_percpu
#define shim_allocs			__iommu_alist_allocs
#define shim_barrier_all		__iommu_alist_barrier_all
#define shim_busy			__iommu_alist_busy
#define shim_busy_begin			__iommu_alist_busy_begin
#define shim_busy_end			__iommu_alist_busy_end
#define shim_checks			__iommu_alist_checks
#define shim_fail_nth			__iommu_alist_fail_nth
#define shim_free_rcu			__iommu_alist_free_rcu
#define shim_grace_periods		__iommu_alist_grace_periods
#define shim_has_membarrier		__iommu_alist_has_membarrier
#define shim_live			__iommu_alist_live
#define shim_live_bytes			__iommu_alist_live_bytes
#define shim_map_held			__iommu_alist_map_held
#define shim_mb_hook			__iommu_alist_mb_hook
#define shim_might_sleep		__iommu_alist_might_sleep
#define shim_percpu_counted		__iommu_alist_percpu_counted
#define shim_percpu_at			__iommu_alist_percpu_at
#define shim_percpu_blocks		__iommu_alist_percpu_blocks
#define shim_percpu_add			__iommu_alist_percpu_add
#define shim_raw_spin_lock		__iommu_alist_raw_spin_lock
#define shim_raw_spin_trylock		__iommu_alist_raw_spin_trylock
#define shim_raw_spin_unlock		__iommu_alist_raw_spin_unlock
#define shim_rcu_barrier		__iommu_alist_shim_rcu_barrier
#define shim_rcu_fork_child		__iommu_alist_rcu_fork_child
#define shim_rcu_fork_parent		__iommu_alist_rcu_fork_parent
#define shim_rcu_fork_prepare		__iommu_alist_rcu_fork_prepare
#define shim_rcu_gp			__iommu_alist_rcu_gp
#define shim_rcu_in_callback		__iommu_alist_rcu_in_callback
#define shim_rcu_readers		__iommu_alist_rcu_readers
#define shim_rcu_register		__iommu_alist_rcu_register
#define shim_read_hook			__iommu_alist_read_hook
#define shim_rcu_shared_held		__iommu_alist_rcu_shared_held
#define shim_rcu_shared_lock		__iommu_alist_rcu_shared_lock
#define shim_rcu_shared_unlock		__iommu_alist_rcu_shared_unlock
#define shim_rcu_wake			__iommu_alist_rcu_wake
#define shim_spin_is_held		__iommu_alist_spin_is_held
#define shim_spin_lock			__iommu_alist_spin_lock
#define shim_spin_unlock		__iommu_alist_spin_unlock
#define shim_spins_held			__iommu_alist_spins_held
#define shim_take_block			__iommu_alist_take_block
#define shim_thread			__iommu_alist_thread
#define shim_warn			__iommu_alist_warn
#define shim_warn_again			__iommu_alist_warn_again
#define shim_warn_expect		__iommu_alist_warn_expect
#define shim_warn_reset			__iommu_alist_warn_reset
#define shim_warn_tell			__iommu_alist_warn_tell
#define shim_warnings			__iommu_alist_warnings
#define synchronize_rcu			__iommu_alist_synchronize_rcu

/* The core's functions; lib.c has those of the library by these names. */
#define iommu_attach_add		__iommu_alist_add
#define iommu_attach_add_array		__iommu_alist_add_array
#define iommu_attach_add_nest		__iommu_alist_add_nest
#define iommu_attach_blocked		__iommu_alist_blocked
#define iommu_attach_del		__iommu_alist_del
#define iommu_attach_del_nest		__iommu_alist_del_nest
#define iommu_attach_destroy		__iommu_alist_destroy
#define iommu_attach_disable_atc	__iommu_alist_disable_atc
#define iommu_attach_drain		__iommu_alist_drain
#define iommu_attach_enable_atc		__iommu_alist_enable_atc
#define iommu_attach_endpoint_init	__iommu_alist_endpoint_init
#define iommu_attach_fence_begin	__iommu_alist_fence_begin
#define iommu_attach_fence_destroy	__iommu_alist_fence_destroy
#define iommu_attach_fence_init		__iommu_alist_fence_init
#define iommu_attach_fence_poll		__iommu_alist_fence_poll
#define iommu_attach_fence_wait		__iommu_alist_fence_wait
#define iommu_attach_find_tag		__iommu_alist_find_tag
#define iommu_attach_flush		__iommu_alist_flush
#define iommu_attach_flush_lists	__iommu_alist_flush_lists
#define iommu_attach_init		__iommu_alist_init
#define iommu_attach_is_aside		__iommu_alist_is_aside
#define iommu_attach_resume		__iommu_alist_resume
#define iommu_attach_set_aside		__iommu_alist_set_aside

/* What is static in the kernel, and called by the library. */
struct iommu_attach_list;
const char *iommu_attach_check(struct iommu_attach_list *alist);
void *iommu_attach_alloc(__SIZE_TYPE__ size);

#endif
