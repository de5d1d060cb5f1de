// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that has names of its own for everything that the kernel, liburcu or the
 * library's inside have names for. They are seen by nobody else: not in the header,
 * and not by the linker.
 */
#include <iommu-alist.h>

#if defined(READ_ONCE) || defined(WARN_ON) || defined(BIT) || defined(min) || \
    defined(likely) || defined(container_of) || defined(GFP_KERNEL) || \
    defined(_LGPL_SOURCE) || defined(rcu_dereference) || defined(__rcu) || \
    defined(EINVAL) || defined(LIST_HEAD) || defined(list_for_each_entry)
#error "the header has names of the kernel or of liburcu"
#endif

typedef char u64;
typedef char u32;
typedef char gfp_t;
typedef char ioasid_t;
typedef char spinlock_t;
typedef char atomic64_t;
struct list_head { char mine; };
struct hlist_node { char mine; };
struct rcu_head { char mine; };
struct urcu_head { char mine; };

int calls;

/* Whatever the library calls by these names, it is not this. */
#define MINE(name)	void name(void); void name(void) { calls++; }
MINE(complete)
MINE(free_percpu)
MINE(kfree)
MINE(kthread_run)
MINE(rcu_read_lock)
MINE(rcu_read_unlock)
MINE(shim_alloc)
MINE(shim_rcu_register)
MINE(shim_spin_lock)
MINE(shim_warn)
MINE(spin_lock)
MINE(synchronize_rcu)
MINE(iommu_attach_alloc)

struct iommu_device {
	u64 mine;
	struct iommu_attach_fence fence;
};

static void ignore(const struct iommu_attach_group *group, void *arg)
{
	(void)group;
	++*(int *)arg;
}

static uint64_t submit(struct iommu_device *iommu, void *arg)
{
	++*(int *)arg;
	return (uint64_t)iommu->mine;
}

static int wait(struct iommu_device *iommu, uint64_t cookie, void *arg)
{
	(void)iommu;
	(void)cookie;
	++*(int *)arg;
	return 0;
}

int main(void)
{
	struct iommu_attach_flush_ops ops = { .iotlb = ignore, .submit = submit, .wait = wait };
	struct iommu_device iommu = { .mine = 0 };
	struct iommu_attach_list list;
	struct iommu_attach_elm elm[2] = {
		{ .iommu_device = &iommu, .fence = &iommu.fence, .tag = 1 },
		{ .iommu_device = &iommu, .fence = &iommu.fence, .tag = 2, .using_atc = true },
	};
	int sent = 0;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&list);
	if (iommu_attach_add(&list, &elm[0]) < 0 || iommu_attach_add(&list, &elm[1]) < 0)
		return 1;
	if (iommu_attach_flush(&list, &ops, &sent))
		return 1;
	iommu_attach_del(&list, &elm[0]);
	iommu_attach_del(&list, &elm[1]);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_barrier();
	iommu_attach_destroy(&list);
	iommu_attach_fence_destroy(&iommu.fence);
	return sent == 4 && !calls ? 0 : 1;
}
