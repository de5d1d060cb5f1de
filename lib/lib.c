// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the library has and the core has not
 *
 * The core's functions are the library's as they are. Here is the rest: what is inline
 * in the core's header, as functions, so that neither the layout of a list nor RCU is
 * part of a program; and memory, which in a program is not the kernel's: what was
 * attached goes to free() or to a function of the program's. For the same reason the
 * library has the flush as a function only: iommu_attach_flush_inline() would compile
 * the layout of lists, groups and slots into each program.
 *
 * The core's header is seen with its inline functions renamed, and behind it the
 * library's without its types: so the compiler compares the two.
 */
#include <stdlib.h>

#define iommu_attach_elm_device		inline_elm_device
#define iommu_attach_elm_set_device	inline_elm_set_device
#define iommu_attach_empty		inline_empty
#define iommu_attach_fence(fence)	inline_fence(fence)	/* not the structure */
#define iommu_attach_lock		inline_lock
#define iommu_attach_unlock		inline_unlock
#define iommu_attach_walk_begin		inline_walk_begin
#define iommu_attach_walk_end		inline_walk_end
#include <linux/iommu-alist.h>
#undef iommu_attach_elm_device
#undef iommu_attach_elm_set_device
#undef iommu_attach_empty
#undef iommu_attach_fence
#undef iommu_attach_lock
#undef iommu_attach_unlock
#undef iommu_attach_walk_begin
#undef iommu_attach_walk_end

#include <linux/bug.h>
#include <linux/errno.h>

/* Of the same size, but not of the same type everywhere. */
#define uint64_t u64
#define IOMMU_ALIST_CORE
#include "iommu-alist.h"
#include "layout.h"

/* Lists and their locked view */

bool iommu_attach_empty(const struct iommu_attach_list *alist)
{
	return inline_empty(alist);
}

void iommu_attach_elm_set_device(struct iommu_attach_elm *elm, struct device *dev)
{
	inline_elm_set_device(elm, dev);
}

void iommu_attach_lock(struct iommu_attach_list *alist)
{
	inline_lock(alist);
}

void iommu_attach_unlock(struct iommu_attach_list *alist)
{
	inline_unlock(alist);
}

/* The structure around an attachment; NULL behind the last one, at any offset. */
static void *around(const struct iommu_attach_list *alist, struct list_head *item,
		    size_t offset)
{
	if (item == &alist->all)
		return NULL;
	return (char *)list_entry(item, struct iommu_attach_elm, all_item) - offset;
}

void *iommu_attach_first_locked(struct iommu_attach_list *alist, size_t offset)
{
	lockdep_assert_held(&alist->lock);
	return around(alist, alist->all.next, offset);
}

void *iommu_attach_next_locked(struct iommu_attach_list *alist,
			       const struct iommu_attach_elm *elm, size_t offset)
{
	lockdep_assert_held(&alist->lock);
	return around(alist, elm->all_item.next, offset);
}

struct device *iommu_attach_elm_device(const struct iommu_attach_elm *elm)
{
	return inline_elm_device(elm);
}

/* Walks */

void iommu_attach_walk_begin(struct iommu_attach_walk *walk,
			     struct iommu_attach_list *alist)
{
	inline_walk_begin(walk, alist);
}

void iommu_attach_walk_end(struct iommu_attach_walk *walk)
{
	inline_walk_end(walk);
}

const struct iommu_attach_group *
iommu_attach_first_group(struct iommu_attach_walk *walk)
{
	walk->groups.pos = walk->first;
	return iommu_attach_next_group(walk);
}

const struct iommu_attach_group *
iommu_attach_next_group(struct iommu_attach_walk *walk)
{
	const struct iommu_attach_group *group;

	return __iommu_attach_next_group(walk, &group) ? group : NULL;
}

const struct iommu_attach_group *
iommu_attach_next_iommu(struct iommu_attach_walk *walk,
			const struct iommu_attach_group *group)
{
	return __iommu_attach_next_iommu(walk, &group) ? group : NULL;
}

const struct iommu_attach_group *
iommu_attach_first_atc(struct iommu_attach_walk *walk, u64 *atc)
{
	return __iommu_attach_atc_begin(walk) ? iommu_attach_next_atc(walk, atc) : NULL;
}

const struct iommu_attach_group *
iommu_attach_next_atc(struct iommu_attach_walk *walk, u64 *atc)
{
	const struct iommu_attach_group *group;

	return __iommu_attach_next_atc(walk, &group, atc) ? group : NULL;
}

void *iommu_attach_first_all(struct iommu_attach_walk *walk, size_t offset)
{
	return around(walk->alist, rcu_dereference(walk->alist->all.next), offset);
}

void *iommu_attach_next_all(struct iommu_attach_walk *walk,
			    const struct iommu_attach_elm *elm, size_t offset)
{
	return around(walk->alist, rcu_dereference(elm->all_item.next), offset);
}

/* Fences */

void iommu_attach_fence(struct iommu_attach_fence *fence)
{
	inline_fence(fence);
}

/* Memory */

static void call_release(struct rcu_head *head)
{
	void (*release)(struct iommu_attach_elm *elm) = head->object;

	release(container_of(head, struct iommu_attach_elm, rcu));
}

static void call_free(struct rcu_head *head)
{
	free(head->object);
}

static void defer(struct rcu_head *head, void *object,
		  void (*call)(struct rcu_head *head))
{
	head->object = object;
	call_rcu(head, call);
}

int iommu_attach_defer(struct iommu_attach_elm *elm,
		       void (*release)(struct iommu_attach_elm *elm))
{
	if (WARN_ON_ONCE(elm->alist))
		return -EBUSY;
	defer(&elm->rcu, release, call_release);
	return 0;
}

void iommu_attach_barrier(void)
{
	shim_might_sleep("barrier");
	rcu_barrier();
}

int iommu_attach_del_free_at(struct iommu_attach_list *alist,
			     struct iommu_attach_elm *elm, size_t offset)
{
	int gone = iommu_attach_del(alist, elm);

	if (gone >= 0)
		defer(&elm->rcu, (char *)elm - offset, call_free);
	return gone;
}

int iommu_attach_del_nest_free_at(struct iommu_attach_list *s1,
				  struct iommu_attach_list *s2,
				  struct iommu_attach_nest *nest, size_t offset)
{
	int gone = iommu_attach_del_nest(s1, s2, nest);

	if (gone >= 0)
		defer(&nest->s1.rcu, (char *)nest - offset, call_free);
	return gone;
}
