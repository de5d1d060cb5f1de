/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The list of every place that may cache a domain's translations
 *
 * An IOMMU driver embeds one struct iommu_attach_list in each domain and one
 * struct iommu_attach_elm in what it allocates at each attach. The list answers
 * the question of every invalidation: which IOTLBs, under which cache tags, and
 * the ATCs of which devices may hold translations of this domain?
 *
 * See Documentation/driver-api/iommu-alist.rst for the guide.
 */
#ifndef __LINUX_IOMMU_ALIST_H
#define __LINUX_IOMMU_ALIST_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct device;
struct iommu_device;

/**
 * DOC: terms
 *
 * attachment
 *   (domain, device, PASID): one struct iommu_attach_elm on the domain's list.
 *
 * tag
 *   What the IOTLB entries of a domain carry on one IOMMU: a VT-d DID, an
 *   SMMUv3 ASID or VMID, an AMD DomainID, a RISC-V PSCID or GSCID. The list
 *   never looks inside; a driver whose commands name more than one of them, or
 *   the PASID, packs all of it into the 64 bits.
 *
 * group
 *   The attachments of a domain that share (IOMMU, kind, tag). One IOTLB
 *   command serves a group, however many attachments it has.
 *
 * kind
 *   Own: the tag under which the domain's own entries are cached. Nest: the tag
 *   of an S1 domain that is nested on this S2 domain, seen from here.
 *
 * ATC target
 *   A distinct value of &iommu_attach_elm.atc among the attachments of a group
 *   that use an ATC. One ATC command serves a target.
 *
 * walk
 *   One lock-free pass over a list, inside an RCU read-side section.
 *
 * drain
 *   Waiting until no walk is running any more that could have seen an attachment
 *   that was deleted before.
 */

/**
 * enum iommu_attach_kind - Whose tag a group is about
 * @IOMMU_ATTACH_OWN: The domain's own tag.
 * @IOMMU_ATTACH_NEST: The tag of a nest whose S2 parent the domain is.
 */
enum iommu_attach_kind {
	IOMMU_ATTACH_OWN,
	IOMMU_ATTACH_NEST,
};

/**
 * struct iommu_attach_group - What one IOTLB command is sent for
 * @iommu_device: The IOMMU instance.
 * @tag: The cache tag, as the driver gave it in &iommu_attach_elm.tag.
 * @kind: &enum iommu_attach_kind.
 *
 * Walks hand out pointers to groups. They are constant, and valid until the
 * walk ends.
 */
struct iommu_attach_group {
	struct iommu_device *iommu_device;
	u64 tag;
	u8 kind;
	/* private: */
	u32 users;			/* attachments; written under the lock */
	struct hlist_head slots;	/* struct iommu_attach_slots, RCU */
	struct hlist_head spare;	/* those with a free slot; under the lock */
	u32 nr_slots;			/* in all of them; under the lock */
	struct rcu_head rcu;
};

/**
 * struct iommu_attach_list - Every place that may cache a domain's translations
 *
 * Embedded in the driver's domain. All fields are private.
 */
struct iommu_attach_list {
	/* private: read by walks; written under the lock */
	struct iommu_attach_table __rcu *table;	/* NULL: @only */
	struct iommu_attach_group *only;	/* @first */
	atomic64_t atc_seq;		/* ATC targets ever added */
	u32 nr_atc;			/* ATC targets now */
	struct iommu_attach_group first;
	/* private: under the lock */
	spinlock_t lock;
	u32 nr;				/* attachments */
	u32 nr_idle;			/* groups in the table without users */
	struct list_head all;		/* RCU */
	struct hlist_head *index;	/* of attachments that use an ATC */
	u32 index_bits;
	u32 nr_indexed;
#ifdef CONFIG_IOMMU_ALIST_DEBUGFS
	struct iommu_attach_debug {
		/* private: see iommu-alist-debugfs.c */
		struct list_head item;
		u64 number;
		struct iommu_attach_counts __percpu *counts;
	} debug;
#endif
};

/**
 * struct iommu_attach_elm - One attachment of a device to a domain
 * @iommu_device: The IOMMU that the device is behind.
 * @tag: The tag of the domain's translations on this IOMMU.
 * @atc: What the driver's ATC command needs (requester id, PASID, queue depth),
 *	packed by the driver; below 2^63. Read only if @using_atc. Two attachments
 *	of a group with the same value are one ATC target.
 * @pasid: The PASID attached, or IOMMU_NO_PASID.
 * @using_atc: The device may cache translations. Written by the driver before
 *	the attachment is added and by the list from then on, see
 *	iommu_attach_enable_atc().
 * @nested: It is half of a struct iommu_attach_nest. Written by the list.
 * @kind: &enum iommu_attach_kind: the half on the parent's list is IOMMU_ATTACH_NEST,
 *	all else IOMMU_ATTACH_OWN. Written by the list.
 * @device: The device. Reached through iommu_attach_elm_device() only, never from a
 *	walk: a walk does not keep the device.
 *
 * The driver fills the public fields and calls iommu_attach_add(). Walks read them
 * until the drain after the attachment was deleted: they must not change before.
 */
struct iommu_attach_elm {
	struct iommu_device *iommu_device;
	u64 tag;
	u64 atc;
	ioasid_t pasid;
	bool using_atc;
	bool nested;
	u8 kind;
	struct device *__private device;
	/* private: */
	struct iommu_attach_list *alist;	/* NULL: not on a list */
	struct iommu_attach_group *group;
	struct iommu_attach_slots *slots;	/* NULL: no ATC target */
	u16 slot;			/* index in @slots */
	struct list_head all_item;
	struct hlist_node index_item;
	union {
		struct hlist_node gone_item;	/* iommu_attach_del_iommu() */
		struct rcu_head rcu;
	};
};

/**
 * struct iommu_attach_nest - A device attached to an S1 domain on an S2 parent
 * @s1: The attachment on the list of the S1 domain.
 * @s2: The attachment on the list of the parent: same IOMMU, same device; its tag
 *	is the one under which the combined S1-on-S2 entries are cached.
 */
struct iommu_attach_nest {
	struct iommu_attach_elm s1;
	struct iommu_attach_elm s2;
};

/*
 * Which groups an add created or a delete emptied. A plain attachment is on one
 * list only, that one counts as S1.
 */
#define IOMMU_ATTACH_GROUP_S1	BIT(0)
#define IOMMU_ATTACH_GROUP_S2	BIT(1)

void iommu_attach_init(struct iommu_attach_list *alist);
void iommu_attach_destroy(struct iommu_attach_list *alist);

int iommu_attach_add(struct iommu_attach_list *alist,
		     struct iommu_attach_elm *elm);
int iommu_attach_add_nest(struct iommu_attach_list *s1,
			  struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest);
int iommu_attach_del(struct iommu_attach_list *alist,
		     struct iommu_attach_elm *elm);
int iommu_attach_del_nest(struct iommu_attach_list *s1,
			  struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest);
void iommu_attach_del_iommu(struct iommu_attach_list *alist,
			    struct iommu_device *iommu_device,
			    void (*release)(struct iommu_attach_elm *elm,
					    void *arg),
			    void *arg);
void iommu_attach_drain(void);

int iommu_attach_enable_atc(struct iommu_attach_elm *elm);
void iommu_attach_disable_atc(struct iommu_attach_elm *elm);
int iommu_attach_nest_enable_atc(struct iommu_attach_nest *nest);
void iommu_attach_nest_disable_atc(struct iommu_attach_nest *nest);

int iommu_attach_find_tag(struct iommu_attach_list *alist,
			  struct iommu_device *iommu_device, u64 *tag);

/**
 * iommu_attach_elm_set_device() - Say which device an attachment is about
 * @elm: An attachment that is on no list.
 * @dev: The device. It must stay until the attachment is deleted.
 *
 * Context: Any context.
 */
static inline void iommu_attach_elm_set_device(struct iommu_attach_elm *elm,
					       struct device *dev)
{
	ACCESS_PRIVATE(elm, device) = dev;
}

/**
 * iommu_attach_del_free() - Delete an attachment and free it after a grace period
 * @alist: The list that the attachment is on.
 * @pos: The driver's structure, from kmalloc() and its like.
 * @member: The name of the struct iommu_attach_elm in it, at any offset that
 *	kfree_rcu() takes (below 4096).
 *
 * Commands for the attachment may still be in flight when this returns; where
 * they must not be (the device or the IOMMU goes away), call
 * iommu_attach_drain() after the last of any number of deletes.
 *
 * Context: Process context. Takes and releases the list's lock. Does not sleep.
 * Return: As iommu_attach_del().
 */
#define iommu_attach_del_free(alist, pos, member)			\
({									\
	typeof(pos) __attachment = (pos);				\
	int __gone;							\
									\
	__gone = iommu_attach_del(alist, &__attachment->member);	\
	if (__gone >= 0)						\
		kfree_rcu(__attachment, member.rcu);			\
	__gone;								\
})

/**
 * iommu_attach_del_free_sync() - Delete an attachment, drain and free
 * @alist: The list that the attachment is on.
 * @pos: The driver's structure, from kmalloc() and its like.
 * @member: The name of the struct iommu_attach_elm in it, at any offset.
 *
 * When this returns no command for the attachment is in flight or will be sent.
 * It waits for a grace period: to delete several, use iommu_attach_del() for each
 * and one iommu_attach_drain().
 *
 * Context: Process context. Takes and releases the list's lock. Sleeps.
 * Return: As iommu_attach_del().
 */
#define iommu_attach_del_free_sync(alist, pos, member)			\
({									\
	typeof(pos) __attachment = (pos);				\
	int __gone;							\
									\
	__gone = iommu_attach_del(alist, &__attachment->member);	\
	if (__gone >= 0) {						\
		iommu_attach_drain();					\
		kfree(__attachment);					\
	}								\
	__gone;								\
})

/**
 * iommu_attach_del_nest_free() - Delete a nest and free it after a grace period
 * @s1list: The list of the S1 domain.
 * @s2list: The list of its S2 parent.
 * @pos: The driver's structure, from kmalloc() and its like.
 * @member: The name of the struct iommu_attach_nest in it, at any offset that
 *	kfree_rcu() takes (below 4096).
 *
 * As iommu_attach_del_free(), for both halves.
 *
 * Context: Process context. Takes and releases both lists' locks. Does not sleep.
 * Return: As iommu_attach_del_nest().
 */
#define iommu_attach_del_nest_free(s1list, s2list, pos, member)		\
({									\
	typeof(pos) __attachment = (pos);				\
	int __gone;							\
									\
	__gone = iommu_attach_del_nest(s1list, s2list,			\
				       &__attachment->member);		\
	if (__gone >= 0)						\
		kfree_rcu(__attachment, member.s1.rcu);			\
	__gone;								\
})

/*
 * The flush
 */

/**
 * struct iommu_attach_flush_ops - How a driver sends what a walk found
 * @iotlb: Queue the IOTLB command or commands of one group.
 * @atc: Queue the ATC command or commands of one target. For a group of kind
 *	IOMMU_ATTACH_NEST the whole ATC: what the parent maps is not what the
 *	device asked for. Optional for hardware without ATS.
 * @sync: Queue the completion wait of all that was queued for this IOMMU since
 *	the last @sync, and hand it to the hardware. Must not wait. Return: a value
 *	that @wait knows it by.
 * @wait: Wait until that completion wait has completed, and has been read to be.
 * @sync_before_nest: The hardware needs the commands for own tags to have
 *	completed before those for the tags of nests are sent.
 * @sync_before_atc: The hardware needs the IOTLB commands to have completed
 *	before ATC commands are sent. Else its queue keeps their order.
 *
 * All of them run inside an RCU read-side section of iommu_attach_flush(), in its
 * context, and must not sleep. Calls for one IOMMU are never interleaved with
 * @iotlb, @atc or @sync of another one, so a batch on the stack serves.
 */
struct iommu_attach_flush_ops {
	void (*iotlb)(const struct iommu_attach_group *group, void *arg);
	void (*atc)(const struct iommu_attach_group *group, u64 atc, void *arg);
	u64 (*sync)(struct iommu_device *iommu_device, void *arg);
	void (*wait)(struct iommu_device *iommu_device, u64 cookie, void *arg);
	bool sync_before_nest;
	bool sync_before_atc;
};

void iommu_attach_flush(struct iommu_attach_list *alist,
			const struct iommu_attach_flush_ops *ops, void *arg);

/*
 * Walks, for drivers that need more than iommu_attach_flush() gives
 */

/* Sorted by (IOMMU, kind, tag); constant once published. */
struct iommu_attach_table {
	/* private: */
	struct rcu_head rcu;
	u32 nr;
	struct iommu_attach_group *group[] __counted_by(nr);
};

#define IOMMU_ATTACH_LIVE	BIT_ULL(63)

/*
 * An ATC target stays in its slot while it lives. Its number tells a walk whether it
 * was there when the walk began: one that comes back beside the walk, to another slot,
 * is not yielded twice.
 *
 * Targets are packed for walks, which look at a slot's number only where one of the
 * block may be too high.
 */
struct iommu_attach_slots {
	/* private: */
	struct hlist_node item;		/* &iommu_attach_group.slots */
	atomic64_t seq;			/* the highest number */
	u32 nr;				/* slots up to the last target */
	u16 room;			/* slots */
	u16 used;			/* targets; under the lock */
	union {
		struct hlist_node spare_item;	/* &iommu_attach_group.spare */
		struct rcu_head rcu;		/* no target is left */
	};
	/*
	 * @room targets, IOMMU_ATTACH_LIVE and the value, or 0: free. Then their
	 * numbers: &iommu_attach_list.atc_seq when added.
	 */
	atomic64_t slot[];
};

/* Where a loop over the groups of a table is, and where it ends. */
struct iommu_attach_cursor {
	/* private: */
	struct iommu_attach_group *const *pos;
	struct iommu_attach_group *const *end;
};

/**
 * struct iommu_attach_walk - One lock-free pass over a list
 *
 * On the stack of the walker. All fields are private.
 */
struct iommu_attach_walk {
	/* private: */
	struct iommu_attach_list *alist;
	struct iommu_attach_group *const *first;
	struct iommu_attach_cursor groups;	/* a loop over groups or IOMMUs */
	struct iommu_attach_cursor atcs;	/* one over ATC targets */
	const struct iommu_attach_group *of;	/* the group of @slots */
	const struct iommu_attach_slots *slots;
	const atomic64_t *slot;
	const atomic64_t *end;
	u64 atc_until;
};

static inline void __iommu_attach_load(struct iommu_attach_list *alist,
				       struct iommu_attach_cursor *cursor)
{
	struct iommu_attach_table *table = rcu_dereference(alist->table);

	if (likely(!table)) {
		cursor->pos = &alist->only;
		cursor->end = cursor->pos + 1;
	} else {
		cursor->pos = table->group;
		cursor->end = cursor->pos + table->nr;
	}
}

/*
 * The IOTLB commands have completed, which the caller has read from what the hardware
 * wrote: does anybody use an ATC? If not, that is all that a domain pays for ATS.
 */
static inline bool __iommu_attach_load_atcs(struct iommu_attach_walk *walk)
{
	/* Pairs with the barrier in iommu_attach_enable_atc(), see Barriers. */
	dma_rmb();
	if (likely(!READ_ONCE(walk->alist->nr_atc)))
		return false;
	/* A number comes with its target. */
	walk->atc_until = atomic64_read_acquire(&walk->alist->atc_seq);
	return true;
}

/* Loops over ATC targets fill in what is theirs. */
static inline void __iommu_attach_walk_begin(struct iommu_attach_walk *walk,
					     struct iommu_attach_list *alist)
	__acquires(RCU)
{
	walk->alist = alist;
	rcu_read_lock();
	/*
	 * The page table that the walker has written comes before what it sees in
	 * the list. Pairs with the barrier in iommu_attach_add(), see Barriers.
	 */
	smp_mb();
	__iommu_attach_load(alist, &walk->groups);
	walk->first = walk->groups.pos;
}

/**
 * iommu_attach_walk_begin() - Begin a walk
 * @walk: The walk, uninitialised.
 * @alist: The list.
 *
 * Enters an RCU read-side section. Page-table writes before it are ordered
 * against attaches: an attachment is seen by the walk, or its hardware sees the
 * writes.
 *
 * Context: Any context but NMI. Enters an RCU read-side section.
 */
static inline void iommu_attach_walk_begin(struct iommu_attach_walk *walk,
					   struct iommu_attach_list *alist)
	__acquires(RCU)
{
	/* Compilers do not see that no loop reads what it has not filled in. */
	*walk = (struct iommu_attach_walk){};
	__iommu_attach_walk_begin(walk, alist);
}

/**
 * iommu_attach_walk_end() - End a walk
 * @walk: The walk. What it yielded must not be used any more.
 *
 * Context: The one of iommu_attach_walk_begin(). Leaves its RCU section.
 */
static inline void iommu_attach_walk_end(struct iommu_attach_walk *walk)
	__releases(RCU)
{
	walk->groups.end = walk->first;
	rcu_read_unlock();
}

static inline void __iommu_attach_assert_walk(void)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(),
			 "attach list walked outside its read-side section");
}

static inline bool __iommu_attach_live(const struct iommu_attach_group *group)
{
	/* The list's first group gets its key just before its first user. */
	return likely(smp_load_acquire(&group->users));
}

/* To the next group with attachments. */
static inline bool
__iommu_attach_next_group(struct iommu_attach_walk *walk,
			  const struct iommu_attach_group **group)
{
	__iommu_attach_assert_walk();
	while (walk->groups.pos != walk->groups.end) {
		*group = *walk->groups.pos++;
		if (__iommu_attach_live(*group))
			return true;
	}
	return false;
}

/* To the next one that is of another IOMMU. */
static inline bool
__iommu_attach_next_iommu(struct iommu_attach_walk *walk,
			  const struct iommu_attach_group **group)
{
	const struct iommu_device *last = *group ? (*group)->iommu_device : NULL;

	while (__iommu_attach_next_group(walk, group)) {
		if ((*group)->iommu_device != last)
			return true;
	}
	return false;
}

/* The end of the slots that may be targets. */
static inline const atomic64_t *
__iommu_attach_slots_end(const struct iommu_attach_slots *slots)
{
	return &slots->slot[READ_ONCE(slots->nr)];
}

/* The value of a slot if it is a target with a number in (after, until], else 0. */
static inline u64 __iommu_attach_target(const struct iommu_attach_slots *slots,
					const atomic64_t *slot, u64 after, u64 until)
{
	/* The target comes with its number, and with its group's key. */
	u64 atc = atomic64_read_acquire(slot);
	u64 seq;

	if (unlikely(!(atc & IOMMU_ATTACH_LIVE)))
		return 0;
	seq = atomic64_read(&slots->seq);
	if (unlikely(after || seq > until)) {
		seq = atomic64_read(&slot[slots->room]);
		if (seq <= after || seq > until)
			return 0;
	}
	return atc;
}

/* To the slots at @item; if that is past the end, to the next group's. */
static inline void __iommu_attach_seek_slots(struct iommu_attach_walk *walk,
					     const struct hlist_node *item)
{
	while (!item) {
		if (walk->atcs.pos == walk->atcs.end) {
			walk->slots = NULL;
			return;
		}
		walk->of = *walk->atcs.pos++;
		item = rcu_dereference(hlist_first_rcu(&walk->of->slots));
	}
	walk->slots = hlist_entry(item, struct iommu_attach_slots, item);
	walk->slot = walk->slots->slot;
	walk->end = __iommu_attach_slots_end(walk->slots);
}

/* Return: true if there may be targets. */
static inline bool __iommu_attach_atc_begin(struct iommu_attach_walk *walk)
{
	__iommu_attach_assert_walk();
	if (!__iommu_attach_load_atcs(walk))
		return false;
	/* An ATC may have been announced in a group of a newer table. */
	__iommu_attach_load(walk->alist, &walk->atcs);
	__iommu_attach_seek_slots(walk, NULL);
	return true;
}

static inline bool
__iommu_attach_next_atc(struct iommu_attach_walk *walk,
			const struct iommu_attach_group **group, u64 *atc)
{
	struct hlist_node *next;
	u64 value;

	__iommu_attach_assert_walk();
	while (walk->slots) {
		while (walk->slot != walk->end) {
			value = __iommu_attach_target(walk->slots, walk->slot++, 0,
						      walk->atc_until);
			if (likely(value)) {
				*group = walk->of;
				*atc = value & ~IOMMU_ATTACH_LIVE;
				return true;
			}
		}
		next = rcu_dereference(hlist_next_rcu(&walk->slots->item));
		__iommu_attach_seek_slots(walk, next);
	}
	return false;
}

/**
 * iommu_attach_for_each_group() - Iterate over the groups of a walk
 * @group: const struct iommu_attach_group \*, the cursor.
 * @walk: The walk.
 *
 * Yields each group that has attachments once, sorted by IOMMU; of one IOMMU the
 * own tags before the tags of nests. Within it, begin no second loop over groups or
 * IOMMUs of the same walk; one over ATC targets may be.
 *
 * Context: Between iommu_attach_walk_begin() and iommu_attach_walk_end().
 */
#define iommu_attach_for_each_group(group, walk)			\
	for ((walk)->groups.pos = (walk)->first;			\
	     __iommu_attach_next_group(walk, &(group));)

/**
 * iommu_attach_for_each_iommu() - Iterate over the IOMMUs of a walk
 * @group: const struct iommu_attach_group \*, the cursor: the first group of each
 *	IOMMU that has any.
 * @walk: The walk.
 *
 * Context: Between iommu_attach_walk_begin() and iommu_attach_walk_end().
 */
#define iommu_attach_for_each_iommu(group, walk)			\
	for ((group) = NULL, (walk)->groups.pos = (walk)->first;	\
	     __iommu_attach_next_iommu(walk, &(group));)

/**
 * iommu_attach_for_each_atc() - Iterate over the ATC targets of a walk
 * @group: const struct iommu_attach_group \*, the cursor: the target's group.
 * @atc: u64, the other half of the cursor: the target, as the driver gave it in
 *	&iommu_attach_elm.atc.
 * @walk: The walk.
 *
 * Who uses an ATC is looked up when this loop begins: begin it after the IOTLB
 * commands have completed. Targets come sorted by IOMMU.
 *
 * Context: Between iommu_attach_walk_begin() and iommu_attach_walk_end().
 */
#define iommu_attach_for_each_atc(group, atc, walk)			\
	for (bool __any = __iommu_attach_atc_begin(walk);		\
	     __any && __iommu_attach_next_atc(walk, &(group), &(atc));)

/**
 * iommu_attach_for_each_all() - Iterate over all attachments of a walk
 * @pos: The driver's structure, the cursor.
 * @walk: The walk.
 * @member: The name of the struct iommu_attach_elm in it, at any offset.
 *
 * In the order of attaching. Its structures must be freed after a grace period,
 * as iommu_attach_del_free() does. The device cannot be reached from here.
 * The list of a parent has halves of nests beside plain attachments: there, @member must
 * be what both are in, such as a structure of nothing but the element.
 *
 * Context: Between iommu_attach_walk_begin() and iommu_attach_walk_end().
 */
#define iommu_attach_for_each_all(pos, walk, member)			\
	list_for_each_entry_rcu(pos, &(walk)->alist->all, member.all_item)

/*
 * The locked view, for slow paths
 */

/**
 * iommu_attach_lock() - Hold off attaches and detaches
 * @alist: The list.
 *
 * Context: Process context. Takes the list's lock.
 */
static inline void iommu_attach_lock(struct iommu_attach_list *alist)
	__acquires(&alist->lock)
{
	spin_lock(&alist->lock);
}

/**
 * iommu_attach_unlock() - Let attaches and detaches go on
 * @alist: The list.
 *
 * Context: Process context. Releases the list's lock.
 */
static inline void iommu_attach_unlock(struct iommu_attach_list *alist)
	__releases(&alist->lock)
{
	spin_unlock(&alist->lock);
}

/**
 * iommu_attach_for_each_locked() - Iterate over all attachments, devices and all
 * @pos: The driver's structure, the cursor.
 * @alist: The list.
 * @member: The name of the struct iommu_attach_elm in it, at any offset.
 * The list of a parent has halves of nests beside plain attachments: there, @member must
 * be what both are in, such as a structure of nothing but the element.
 *
 * Context: Between iommu_attach_lock() and iommu_attach_unlock().
 */
#define iommu_attach_for_each_locked(pos, alist, member)		\
	for (({ lockdep_assert_held(&(alist)->lock); }),		\
	     pos = list_first_entry(&(alist)->all, typeof(*pos),	\
				    member.all_item);			\
	     !list_entry_is_head(pos, &(alist)->all, member.all_item);	\
	     pos = list_next_entry(pos, member.all_item))

/**
 * iommu_attach_elm_device() - The device of an attachment
 * @elm: An attachment that is on a list.
 *
 * Context: Between iommu_attach_lock() and iommu_attach_unlock() of its list.
 * Return: The device.
 */
static inline struct device *
iommu_attach_elm_device(const struct iommu_attach_elm *elm)
{
	lockdep_assert_held(&elm->alist->lock);
	return ACCESS_PRIVATE(elm, device);
}

/**
 * iommu_attach_empty() - Is nothing attached?
 * @alist: The list.
 *
 * Context: Any context. The answer may be old unless the caller keeps attaches
 * and detaches away.
 * Return: true if the list has no attachment.
 */
static inline bool iommu_attach_empty(const struct iommu_attach_list *alist)
{
	return !READ_ONCE(alist->nr);
}

#endif /* __LINUX_IOMMU_ALIST_H */
