/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the shim and the library share between their files, by names that no program
 * has: in an archive every one of them is seen by the program. Included ahead of each
 * file of the library, tests/symbols.py sees that none is missing.
 */
#define call_rcu			__iommu_alist_call_rcu
#define complete			__iommu_alist_complete
#define free_percpu			__iommu_alist_free_percpu
#define get_state_synchronize_rcu	__iommu_alist_get_state_synchronize_rcu
#define init_completion			__iommu_alist_init_completion
#define iommu_attach_fence_map		__iommu_attach_fence_map
#define kfree				__iommu_alist_kfree
#define kthread_run			__iommu_alist_kthread_run
#define kthread_should_stop		__iommu_alist_kthread_should_stop
#define kthread_stop			__iommu_alist_kthread_stop
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
#define shim_fail_nth			__iommu_alist_fail_nth
#define shim_free_rcu			__iommu_alist_free_rcu
#define shim_grace_periods		__iommu_alist_grace_periods
#define shim_has_membarrier		__iommu_alist_has_membarrier
#define shim_live			__iommu_alist_live
#define shim_live_bytes			__iommu_alist_live_bytes
#define shim_map_held			__iommu_alist_map_held
#define shim_mb_hook			__iommu_alist_mb_hook
#define shim_might_sleep		__iommu_alist_might_sleep
#define shim_percpu_at			__iommu_alist_percpu_at
#define shim_percpu_blocks		__iommu_alist_percpu_blocks
#define shim_percpu_inc			__iommu_alist_percpu_inc
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
#define shim_spin_is_held		__iommu_alist_spin_is_held
#define shim_spin_lock			__iommu_alist_spin_lock
#define shim_spin_unlock		__iommu_alist_spin_unlock
#define shim_take_block			__iommu_alist_take_block
#define shim_thread			__iommu_alist_thread
#define shim_warn			__iommu_alist_warn
#define shim_warn_expect		__iommu_alist_warn_expect
#define shim_warn_reset			__iommu_alist_warn_reset
#define shim_warnings			__iommu_alist_warnings
#define synchronize_rcu			__iommu_alist_synchronize_rcu
#define wait_for_completion		__iommu_alist_wait_for_completion
