// SPDX-License-Identifier: GPL-2.0-only
/*
 * What flushes have sent, by list and in sum
 *
 * Each thread counts in its own block. The core calls this as it calls debugfs in the
 * kernel: before a list's first attachment, at the end of each flush, and when a list is
 * destroyed.
 */
#include <time.h>

#include <linux/iommu-alist.h>
#include <linux/percpu.h>

#include "../kernel/drivers/iommu/iommu-alist-priv.h"
#include "lib/lib.h"

#define IOMMU_ALIST_CORE
#define uint64_t u64
#include "iommu-alist.h"

struct iommu_attach_counts {
	unsigned long flushes;
	unsigned long groups;
	unsigned long atcs;
	unsigned long submits;
	unsigned long errors;
};

/* Counters are nice to have, and fences are not: a quarter of the room is for these alone. */
static struct iommu_attach_counts __percpu *new_counts(void)
{
	return shim_alloc_percpu(sizeof(struct iommu_attach_counts), SHIM_BLOCK_SIZE / 4 * 3);
}

/* In sum; and what is of no list. */
static struct iommu_attach_counts __percpu *sum;
static u64 drains, fences, fence_ns, fence_ns_max;

/* Ahead of the constructors of a program that this is linked into. */
__attribute__((constructor(101)))
static void begin(void)
{
	sum = new_counts();
}

/* Without room for its counters a list is counted in the sum alone. */
void iommu_attach_debugfs_add(struct iommu_attach_list *alist)
{
	struct iommu_attach_counts __percpu *counts, *none = NULL;

	if (READ_ONCE(alist->debug.number))
		return;
	counts = new_counts();
	WRITE_ONCE(alist->debug.number, 1);
	if (!__atomic_compare_exchange_n(&alist->debug.counts, &none, counts, false,
					 __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		free_percpu(counts);
}

void iommu_attach_debugfs_del(struct iommu_attach_list *alist)
{
	free_percpu(alist->debug.counts);
	alist->debug.counts = NULL;
	alist->debug.number = 0;
}

static void count_flush(struct iommu_attach_counts __percpu *counts,
			const struct iommu_attach_count *count, int error)
{
	this_cpu_inc(counts->flushes);
	this_cpu_add(counts->groups, count->groups);
	this_cpu_add(counts->atcs, count->atcs);
	this_cpu_add(counts->submits, count->submits);
	if (error)
		this_cpu_inc(counts->errors);
}

/* One that fails, or of a thread without a block. */
static noinline void count_rare(struct iommu_attach_counts __percpu *counts,
				const struct iommu_attach_count *count, int error)
{
	if (sum)
		count_flush(sum, count, error);
	if (counts)
		count_flush(counts, count, error);
}

/* Each flush pays for this: it asks for the block once, and adds to both in one go. */
void iommu_attach_debugfs_flush(struct iommu_attach_list *alist,
				const struct iommu_attach_count *count, int error)
{
	struct iommu_attach_counts __percpu *counts = READ_ONCE(alist->debug.counts);
	const struct iommu_attach_count nr = *count;
	struct shim_thread *thread = shim_thread;

	if (unlikely(!thread || !sum || !counts || error)) {
		count_rare(counts, count, error);
		return;
	}
	shim_tsan_release(&shim_percpu_counted);
	shim_block_add(thread, (uintptr_t)&sum->flushes, 1);
	shim_block_add(thread, (uintptr_t)&counts->flushes, 1);
	shim_block_add(thread, (uintptr_t)&sum->groups, nr.groups);
	shim_block_add(thread, (uintptr_t)&counts->groups, nr.groups);
	shim_block_add(thread, (uintptr_t)&sum->submits, nr.submits);
	shim_block_add(thread, (uintptr_t)&counts->submits, nr.submits);
	if (nr.atcs) {
		shim_block_add(thread, (uintptr_t)&sum->atcs, nr.atcs);
		shim_block_add(thread, (uintptr_t)&counts->atcs, nr.atcs);
	}
}

void lib_count_fence(const struct timespec *begun)
{
	u64 ns, max = __atomic_load_n(&fence_ns_max, __ATOMIC_RELAXED);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (now.tv_sec - begun->tv_sec) * 1000000000ULL + now.tv_nsec - begun->tv_nsec;
	__atomic_fetch_add(&fences, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&fence_ns, ns, __ATOMIC_RELAXED);
	while (ns > max && !__atomic_compare_exchange_n(&fence_ns_max, &max, ns, false,
							__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void lib_count_drain(void)
{
	__atomic_fetch_add(&drains, 1, __ATOMIC_RELAXED);
}

void lib_read_counters(struct iommu_attach_list *alist,
		       struct iommu_attach_counters *counters)
{
	struct iommu_attach_counts __percpu *counts = sum;
	int cpu;

	if (alist)
		counts = __atomic_load_n(&alist->debug.counts, __ATOMIC_ACQUIRE);
	if (counts) {
		for_each_possible_cpu(cpu) {
			const struct iommu_attach_counts *one = per_cpu_ptr(counts, cpu);

			counters->flushes += READ_ONCE(one->flushes);
			counters->iotlb += READ_ONCE(one->groups);
			counters->atc += READ_ONCE(one->atcs);
			counters->submits += READ_ONCE(one->submits);
			counters->errors += READ_ONCE(one->errors);
		}
	}
	if (alist)
		return;
	counters->drains = __atomic_load_n(&drains, __ATOMIC_RELAXED);
	counters->fences = __atomic_load_n(&fences, __ATOMIC_RELAXED);
	counters->fence_ns = __atomic_load_n(&fence_ns, __ATOMIC_RELAXED);
	counters->fence_ns_max = __atomic_load_n(&fence_ns_max, __ATOMIC_RELAXED);
}
