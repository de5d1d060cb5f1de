/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the shim and the library share between their files, by names that no program
 * has: in an archive every one of them is seen by the program. Included ahead of each
 * file of the library, tests/symbols.py sees that none is missing.
 */
#define complete			__iommu_alist_complete
#define free_percpu			__iommu_alist_free_percpu
#define init_completion			__iommu_alist_init_completion
#define iommu_attach_fence_map		__iommu_attach_fence_map
#define kfree				__iommu_alist_kfree
#define kthread_run			__iommu_alist_kthread_run
#define kthread_should_stop		__iommu_alist_kthread_should_stop
#define kthread_stop			__iommu_alist_kthread_stop
#define shim_alloc			__iommu_alist_alloc
#define shim_alloc_percpu		__iommu_alist_alloc_percpu
#define shim_allocs			__iommu_alist_allocs
#define shim_fail_nth			__iommu_alist_fail_nth
#define shim_free_rcu			__iommu_alist_free_rcu
#define shim_grace_periods		__iommu_alist_grace_periods
#define shim_live			__iommu_alist_live
#define shim_live_bytes			__iommu_alist_live_bytes
#define shim_map_held			__iommu_alist_map_held
#define shim_mb_hook			__iommu_alist_mb_hook
#define shim_might_sleep		__iommu_alist_might_sleep
#define shim_percpu_at			__iommu_alist_percpu_at
#define shim_percpu_block		__iommu_alist_percpu_block
#define shim_percpu_blocks		__iommu_alist_percpu_blocks
#define shim_percpu_inc			__iommu_alist_percpu_inc
#define shim_raw_spin_lock		__iommu_alist_raw_spin_lock
#define shim_raw_spin_trylock		__iommu_alist_raw_spin_trylock
#define shim_raw_spin_unlock		__iommu_alist_raw_spin_unlock
#define shim_rcu_barrier		__iommu_alist_rcu_barrier
#define shim_rcu_known			__iommu_alist_rcu_known
#define shim_rcu_readers		__iommu_alist_rcu_readers
#define shim_rcu_register		__iommu_alist_rcu_register
#define shim_read_hook			__iommu_alist_read_hook
#define shim_spin_is_held		__iommu_alist_spin_is_held
#define shim_spin_lock			__iommu_alist_spin_lock
#define shim_spin_unlock		__iommu_alist_spin_unlock
#define shim_warn			__iommu_alist_warn
#define shim_warn_expect		__iommu_alist_warn_expect
#define shim_warn_reset			__iommu_alist_warn_reset
#define shim_warnings			__iommu_alist_warnings
#define wait_for_completion		__iommu_alist_wait_for_completion

/* liburcu's headers undefine a macro of this name. */
void synchronize_rcu(void) __asm__("__iommu_alist_synchronize_rcu");
