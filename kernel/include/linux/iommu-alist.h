/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The list of every place that may cache a domain's translations
 *
 * An IOMMU driver embeds one struct iommu_attach_list in each domain and one
 * struct iommu_attach_elm in the structure that it allocates at each attach. The list
 * answers the question of every invalidation: which IOTLBs, under which cache tags, and
 * which devices' ATCs may hold translations of this domain?
 *
 * See Documentation/driver-api/iommu-alist.rst for the guide.
 */
#ifndef __LINUX_IOMMU_ALIST_H
#define __LINUX_IOMMU_ALIST_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/prefetch.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/tracepoint-defs.h>
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
 *   never looks inside. A driver whose commands contain more than one of these,
 *   or the PASID, packs all of them into the 64 bits.
 *
 * group
 *   The attachments of a domain that share (IOMMU, kind, tag). One IOTLB
 *   command serves a group, however many attachments it has.
 *
 * nest
 *   A device attached to an S1 domain that is nested on an S2 domain, its parent.
 *   It is on the lists of both.
 *
 * kind
 *   Own: the group's tag is that of the domain itself. Nest: the domain is an S2
 *   parent, and the tag is that of an S1 domain that is nested on it.
 *
 * ATC target
 *   A distinct value of &iommu_attach_elm.atc among the attachments of a group
 *   that use an ATC. One ATC command serves a target.
 *
 * walk
 *   One lock-free pass over a list, inside an RCU read-side section.
 *
 * flush
 *   The passes that send the invalidations of a domain and wait for them.
 *
 * fence
 *   Waiting until no flush can send to, or is waiting for, a device whose
 *   attachments were deleted before, behind one IOMMU.
 *
 * drain
 *   A fence that also waits until no walk and no flush refers to an attachment
 *   or to the IOMMU.
 *
 * endpoint
 *   What the lists know of a device: whether it answers ATC commands.
 */

/**
 * enum iommu_attach_kind - Whose tag a group has
 * @IOMMU_ATTACH_OWN: The domain's own tag.
 * @IOMMU_ATTACH_NEST: The tag of a nest whose S2 parent the domain is.
 */
enum iommu_attach_kind {
	IOMMU_ATTACH_OWN,
	IOMMU_ATTACH_NEST,
};

/* How often flushes have entered and left a fence on one CPU. */
struct iommu_attach_fence_ctr {
	/* private: */
	unsigned long enter;
	unsigned long leave;
};

/**
 * struct iommu_attach_fence - The flushes that are running on one IOMMU
 *
 * Embedded in the driver's IOMMU structure, one per IOMMU. All fields are private.
 */
struct iommu_attach_fence {
	/* private: a flush enters one of the pair, the one that is @cur then */
	struct iommu_attach_fence_ctr __percpu *pair[2];
	struct iommu_device *iommu_device;	/* set by the list */
	atomic_t nr_aside;		/* devices ever set aside behind it */
	/* private: @lock guards what follows */
	raw_spinlock_t lock;
	u8 state;			/* of the round that is under way */
	u8 cur;
	unsigned long done;		/* rounds that have ended */
};

/**
 * struct iommu_attach_endpoint - Whether a device answers ATC commands
 *
 * Embedded in the driver's device structure and shared by all attachments of the
 * device. All fields are private.
 */
struct iommu_attach_endpoint {
	/* private: @lock guards all of it; taken inside the lists' locks */
	raw_spinlock_t lock;
	struct list_head elms;		/* attachments that use the ATC */
	u64 aside;			/* what their slots hold besides the value */
};

/**
 * struct iommu_attach_group - The attachments that one IOTLB command serves
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
	struct iommu_attach_fence *fence;
	struct hlist_head slots;	/* struct iommu_attach_slots, RCU */
	struct hlist_head spare;	/* those with a free slot; under the lock */
	u32 nr_slots;			/* in all of them; under the lock */
	struct rcu_head rcu;
	/* One struct iommu_attach_slots may follow, see there. */
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
 * @fence: The fence of that IOMMU.
 * @tag: The tag of the domain's translations on this IOMMU.
 * @atc: What the driver's ATC command needs (requester id, PASID, queue depth),
 *	packed by the driver; below 2^61. Read only if @using_atc. Two attachments
 *	of a group with the same value are one ATC target and must be of one device.
 * @endpoint: The device's endpoint, if it can be set aside, see iommu_attach_set_aside();
 *	else NULL. Read only if the attachment uses an ATC.
 * @pasid: The PASID attached, or IOMMU_NO_PASID.
 * @using_atc: The device may cache translations. Written by the driver before
 *	the attachment is added and by the list from then on, see
 *	iommu_attach_enable_atc().
 * @nested: The attachment is half of a struct iommu_attach_nest. Written by the list.
 * @kind: &enum iommu_attach_kind. The driver sets IOMMU_ATTACH_NEST for a parent's
 *	half that stands alone because the S1 side has no list in the kernel;
 *	iommu_attach_add_nest() sets it for nests that have both halves.
 * @device: The device. Access it only through iommu_attach_elm_device(), and never from a
 *	walk, which does not keep the device alive.
 *
 * The driver fills the public fields and calls iommu_attach_add(). They must not
 * change until the attachment has been deleted and a grace period has passed, but for
 * @atc and @endpoint while it does not use an ATC.
 */
struct iommu_attach_elm {
	struct iommu_device *iommu_device;
	struct iommu_attach_fence *fence;
	u64 tag;
	u64 atc;
	struct iommu_attach_endpoint *endpoint;
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
	struct list_head endpoint_item;
	union {
		struct iommu_attach_endpoint *joined;	/* @endpoint, when it got @slots */
		struct rcu_head rcu;			/* it has been deleted */
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
 * Which groups an add created or a delete emptied: the domain's, and for a nest the
 * one on the parent's list.
 */
#define IOMMU_ATTACH_GROUP_DOMAIN	BIT(0)
#define IOMMU_ATTACH_GROUP_PARENT	BIT(1)

void iommu_attach_init(struct iommu_attach_list *alist);
void iommu_attach_destroy(struct iommu_attach_list *alist);

int iommu_attach_add(struct iommu_attach_list *alist,
		     struct iommu_attach_elm *elm);
/* How many attachments an array may have: a block has slots for all of them. */
#define IOMMU_ATTACH_ARRAY_MAX	4096

int iommu_attach_add_array(struct iommu_attach_list *alist,
			   struct iommu_attach_elm *elm, unsigned int nr);
int iommu_attach_add_nest(struct iommu_attach_list *s1,
			  struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest);
int iommu_attach_del(struct iommu_attach_list *alist,
		     struct iommu_attach_elm *elm);
int iommu_attach_del_nest(struct iommu_attach_list *s1,
			  struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest);

int iommu_attach_enable_atc(struct iommu_attach_elm *elm);
void iommu_attach_disable_atc(struct iommu_attach_elm *elm);

int iommu_attach_find_tag(struct iommu_attach_list *alist,
			  struct iommu_device *iommu_device, u64 *tag);

/*
 * Fences
 */

int iommu_attach_fence_init(struct iommu_attach_fence *fence);
void iommu_attach_fence_destroy(struct iommu_attach_fence *fence);
unsigned long iommu_attach_fence_begin(struct iommu_attach_fence *fence);
bool iommu_attach_fence_poll(struct iommu_attach_fence *fence, unsigned long cookie);
void iommu_attach_fence_wait(struct iommu_attach_fence *fence, unsigned long cookie);
void iommu_attach_drain(struct iommu_attach_fence *fence);

/**
 * iommu_attach_fence() - Wait for the flushes that may still send to a device
 * @fence: The fence of the IOMMU that the device is behind.
 *
 * When this returns, no flush has an ATC command in flight, or will send one, for an
 * attachment that was deleted before the call. One call covers several devices behind one
 * IOMMU.
 *
 * Context: Process context. Sleeps if a flush is waiting for hardware.
 */
static inline void iommu_attach_fence(struct iommu_attach_fence *fence)
{
	iommu_attach_fence_wait(fence, iommu_attach_fence_begin(fence));
}

/*
 * Devices that do not answer
 */

void iommu_attach_endpoint_init(struct iommu_attach_endpoint *endpoint);
void iommu_attach_set_aside(struct iommu_attach_endpoint *endpoint);
void iommu_attach_blocked(struct iommu_attach_endpoint *endpoint);
void iommu_attach_resume(struct iommu_attach_endpoint *endpoint);
bool iommu_attach_is_aside(struct iommu_attach_endpoint *endpoint);

/**
 * iommu_attach_elm_set_device() - Set the device of an attachment
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
 * @pos: The driver's structure, allocated by kmalloc() or similar.
 * @member: The name of the struct iommu_attach_elm in it, at any offset that
 *	kfree_rcu() takes (below 4096).
 *
 * ATC commands for the attachment may still be in flight when this returns. Before ATS is
 * disabled in the device, or the device is reset or removed, call iommu_attach_fence()
 * after the last of any number of deletes.
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
 * iommu_attach_del_nest_free() - Delete a nest and free it after a grace period
 * @s1list: The list of the S1 domain.
 * @s2list: The list of its S2 parent.
 * @pos: The driver's structure, allocated by kmalloc() or similar.
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
 * struct iommu_attach_flush_ops - How a driver sends the commands of a flush
 * @iotlb: Queue the IOTLB command or commands of one group.
 * @atc: Queue the ATC command or commands of one target. For a group of kind
 *	IOMMU_ATTACH_NEST, invalidate the whole ATC, as it is indexed by guest
 *	addresses that the parent does not know. Optional for hardware without ATS.
 * @submit: Queue a completion wait for everything that was queued for this IOMMU since
 *	the last @submit, and pass it to the hardware. Must not wait for the commands that
 *	it submits. If the hardware reports a silent device to the next completion wait in
 *	its queue, queue the commands and their wait in one piece, so that the wait of
 *	another flush cannot come in between. Return: a cookie for @wait.
 * @wait: Check, for some microseconds at most, whether that completion wait has
 *	completed. Return 0 only after having read the completion that the hardware
 *	reported. Return: 0, -EINPROGRESS or what ended it, see below.
 * @silent: An ATC target did not answer a command that was sent by itself; its IOMMU's
 *	fence is held, so the device still exists. The driver sets the device aside with
 *	iommu_attach_set_aside(), else the flush fails. Optional.
 * @aside: Called when everything has been sent and waited for. An ATC target was left out,
 *	or did not answer, and its device is set aside and not blocked; the fence is held. The
 *	CPU that set it aside may not have blocked it yet, and cannot be waited for. So here,
 *	too, the driver makes the IOMMU refuse the device and calls iommu_attach_blocked(). If
 *	a device is still not blocked then, the flush fails. Optional.
 * @wait_before_nest: The hardware needs the commands for own tags to have
 *	completed before those for the tags of nests are sent.
 * @wait_before_atc: The hardware needs the IOTLB commands to have completed
 *	before ATC commands are sent. Otherwise, its queue keeps their order.
 *
 * All callbacks run in the context of the flush and must not sleep; @iotlb, @atc and
 * @submit run inside an RCU read-side section. Calls for one IOMMU are never
 * interleaved with @iotlb, @atc or @submit of another one, so one batch on the stack
 * is enough.
 *
 * What @wait returns:
 *
 * * 0: It has completed.
 * * -EINPROGRESS: It has not completed yet. @wait is called again.
 * * -EBUSY: There was no room, and nothing has been submitted: the flush sends to this
 *   IOMMU again, without a limit. Return it once there is room; if the queue has
 *   stopped, return another error.
 * * -EAGAIN: It was aborted because of others, or refused, or the driver knows the device that does
 *   not answer and has set it aside: the flush sends to this IOMMU again, a limited number
 *   of times unless a device behind it has been set aside meanwhile.
 * * -ETIMEDOUT: An ATC command may not have been answered, and the hardware does not report
 *   which device failed to answer: the flush sends to one target after the other, see
 *   @silent. If it has sent no ATC command, the same as -EAGAIN.
 * * Any other: This IOMMU has failed for good; the flush returns the error.
 */
struct iommu_attach_flush_ops {
	void (*iotlb)(const struct iommu_attach_group *group, void *arg);
	void (*atc)(const struct iommu_attach_group *group, u64 atc, void *arg);
	u64 (*submit)(struct iommu_device *iommu_device, void *arg);
	int (*wait)(struct iommu_device *iommu_device, u64 cookie, void *arg);
	void (*silent)(struct iommu_device *iommu_device, u64 atc, void *arg);
	void (*aside)(struct iommu_device *iommu_device, u64 atc, void *arg);
	bool wait_before_nest;
	bool wait_before_atc;
};

int iommu_attach_flush(struct iommu_attach_list *alist,
		       const struct iommu_attach_flush_ops *ops, void *arg);
int iommu_attach_flush_lists(struct iommu_attach_list *const *lists, unsigned int nr,
			     const struct iommu_attach_flush_ops *ops, void *arg);

/*
 * Walks, for what is not a flush
 */

/* Sorted by IOMMU and kind; constant once published. */
struct iommu_attach_table {
	/* private: */
	struct rcu_head rcu;
	u32 nr;
	u32 nr_iommus;
	struct iommu_attach_group *group[] __counted_by(nr);
};

/* What a slot holds besides the value of &iommu_attach_elm.atc. A free one is 0. */
#define IOMMU_ATTACH_LIVE	BIT_ULL(63)	/* flushes send to it */
#define IOMMU_ATTACH_SILENT	BIT_ULL(62)	/* set aside, may use stale translations */
#define IOMMU_ATTACH_BLOCKED	BIT_ULL(61)	/* set aside, refused by its IOMMU */
#define IOMMU_ATTACH_STATE	(IOMMU_ATTACH_LIVE | IOMMU_ATTACH_SILENT | \
				 IOMMU_ATTACH_BLOCKED)

/*
 * An ATC target stays in its slot while it exists. From its number, a walk knows whether
 * it was there when the walk began: a target that is deleted and added again during the
 * walk, in another slot, is not yielded twice.
 *
 * Targets are packed for walks, which look at a slot's number only if the highest number
 * of the block is above the walk's limit.
 */
struct iommu_attach_slots {
	/* private: */
	struct hlist_node item;		/* &iommu_attach_group.slots */
	atomic64_t seq;			/* the highest number */
	u16 end;			/* slots up to the last target */
	u16 capacity;			/* slots */
	u16 nr_used;			/* targets; under the lock */
	bool inside;			/* in one piece with its group; stays */
	union {
		struct hlist_node spare_item;	/* &iommu_attach_group.spare */
		struct rcu_head rcu;		/* no target is left */
	};
	/*
	 * @capacity targets, their state and value, or 0: free. Then their numbers:
	 * &iommu_attach_list.atc_seq when added.
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

/* Return: an upper bound of the number of IOMMUs. */
static inline u32 __iommu_attach_load(struct iommu_attach_list *alist,
				      struct iommu_attach_cursor *cursor)
{
	struct iommu_attach_table *table = rcu_dereference(alist->table);

	if (likely(!table)) {
		cursor->pos = &alist->only;
		cursor->end = cursor->pos + 1;
		return 1;
	}
	cursor->pos = table->group;
	cursor->end = cursor->pos + table->nr;
	return table->nr_iommus;
}

/*
 * Called when the IOTLB commands have completed, which the caller has read from what the
 * hardware wrote. Without ATC users, this barrier and test are the only cost of ATS.
 */
static inline bool __iommu_attach_load_atcs(struct iommu_attach_list *alist, u64 *until)
{
	/* Pairs with the barrier in iommu_attach_enable_atc(), see Barriers. */
	dma_rmb();
	if (likely(!READ_ONCE(alist->nr_atc)))
		return false;
	/* A number comes with its target. */
	*until = atomic64_read_acquire(&alist->atc_seq);
	return true;
}

/*
 * If there are several groups, prefetches all of them with the slots inside, so that a pass
 * waits for memory once, not once per group.
 */
static inline void __iommu_attach_prefetch(const struct iommu_attach_cursor *groups)
{
	struct iommu_attach_group *const *pos = groups->pos;
	const char *group;

	if (pos + 1 == groups->end)
		return;
	for (; pos != groups->end; pos++) {
		group = (const char *)*pos;
		prefetch(group);
		prefetch(group + L1_CACHE_BYTES);
		prefetch(group + 2 * L1_CACHE_BYTES);
	}
}

/**
 * iommu_attach_walk_begin() - Begin a walk
 * @walk: The walk, uninitialised.
 * @alist: The list.
 *
 * Page-table writes before the walk are ordered against attaches: either the walk sees an
 * attachment, or the attachment's hardware sees the writes.
 *
 * Context: Any context but NMI. Enters an RCU read-side section.
 */
static inline void iommu_attach_walk_begin(struct iommu_attach_walk *walk,
					   struct iommu_attach_list *alist)
	__acquires(RCU)
{
	/* Silence false maybe-uninitialized warnings. */
	*walk = (struct iommu_attach_walk){};
	walk->alist = alist;
	rcu_read_lock();
	/*
	 * Orders page-table writes before reads of the list. Pairs with the barrier in
	 * iommu_attach_add(), see Barriers.
	 */
	smp_mb();
	__iommu_attach_load(alist, &walk->groups);
	walk->first = walk->groups.pos;
	if (unlikely(READ_ONCE(alist->nr_atc)))
		__iommu_attach_prefetch(&walk->groups);
}

/**
 * iommu_attach_walk_end() - End a walk
 * @walk: The walk. What it yielded must not be used any more.
 *
 * Context: Same as iommu_attach_walk_begin(). Leaves its RCU section.
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
	/* The list's first group, or a spare one, gets its key just before its first user. */
	return likely(smp_load_acquire(&group->users));
}

/* Advances to the next group with attachments. */
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

/* Advances to the next group with attachments that is of another IOMMU. */
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
	return &slots->slot[READ_ONCE(slots->end)];
}

/*
 * The value of a slot if it is a target with a number in (after, until] and is not set
 * aside, else 0. Sets @silent if a target that may use stale translations is left out.
 */
static inline u64 __iommu_attach_target(const struct iommu_attach_slots *slots,
					const atomic64_t *slot, u64 after, u64 until,
					bool *silent)
{
	/* Orders reading the target before its number and its group's key. */
	u64 atc = atomic64_read_acquire(slot);
	u64 seq;

	if (unlikely(!(atc & IOMMU_ATTACH_LIVE))) {
		seq = atomic64_read(&slot[slots->capacity]);
		if (atc & IOMMU_ATTACH_SILENT && seq > after && seq <= until)
			*silent = true;
		return 0;
	}
	seq = atomic64_read(&slots->seq);
	if (unlikely(after || seq > until)) {
		seq = atomic64_read(&slot[slots->capacity]);
		if (seq <= after || seq > until)
			return 0;
	}
	return atc;
}

/* Advances to the slots at @item or, if that is past the end, to those of the next group. */
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
	if (!__iommu_attach_load_atcs(walk->alist, &walk->atc_until))
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
	bool silent;		/* only flushes tell */
	u64 value;

	__iommu_attach_assert_walk();
	while (walk->slots) {
		while (walk->slot != walk->end) {
			value = __iommu_attach_target(walk->slots, walk->slot++, 0,
						      walk->atc_until, &silent);
			if (likely(value)) {
				*group = walk->of;
				*atc = value & ~IOMMU_ATTACH_STATE;
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
 * Yields each group that has attachments once, sorted by IOMMU, and for each IOMMU own
 * tags before tags of nests. Do not nest another loop over groups or IOMMUs of the same
 * walk inside; a loop over ATC targets is allowed.
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
 * The targets are looked up when this loop begins: begin it after the IOTLB commands have
 * completed. Targets are sorted by IOMMU. The loop leaves out targets that are set aside
 * without reporting them, so do not use a walk to invalidate the ATC of a device that may
 * be silent; use a flush. A fence does not wait for walks either: if a walk sends ATC
 * commands, detach needs iommu_attach_drain().
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
 * Yields attachments in the order in which they were attached. The driver must free its
 * structures only after a grace period, as iommu_attach_del_free() does. The device cannot
 * be accessed from here.
 *
 * The list of a parent has halves of nests as well as plain attachments. There, use a
 * structure that both have in common, for example one with only the element in it.
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
 * iommu_attach_unlock() - Allow attaches and detaches again
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
 * iommu_attach_for_each_locked() - Iterate over all attachments, with access to devices
 * @pos: The driver's structure, the cursor.
 * @alist: The list.
 * @member: The name of the struct iommu_attach_elm in it, at any offset.
 *
 * The list of a parent has halves of nests as well as plain attachments, see
 * iommu_attach_for_each_all().
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
 * Context: Any context. The answer may be outdated unless the caller excludes attaches and
 * detaches.
 * Return: true if the list has no attachment.
 */
static inline bool iommu_attach_empty(const struct iommu_attach_list *alist)
{
	return !READ_ONCE(alist->nr);
}

/*
 * The flush, compiled into the driver
 */

/*
 * The number of IOMMUs that an inline flush sends to before it waits for the first one: 16
 * bytes of stack each. For more IOMMUs, it calls a function. A driver that needs much other
 * stack in its flush defines a lower number before it includes this file. The core itself
 * needs one below IOMMU_ATTACH_WINDOW_MAX.
 */
#ifndef IOMMU_ATTACH_WINDOW
#define IOMMU_ATTACH_WINDOW	8
#endif

/* A flush out of line has room for this many. */
#define IOMMU_ATTACH_WINDOW_MAX	32
static_assert(IOMMU_ATTACH_WINDOW > 0 && IOMMU_ATTACH_WINDOW <= IOMMU_ATTACH_WINDOW_MAX,
	      "IOMMU_ATTACH_WINDOW out of range");

/* What a pass sends. */
#define IOMMU_ATTACH_SEND_OWN	BIT(IOMMU_ATTACH_OWN)
#define IOMMU_ATTACH_SEND_NEST	BIT(IOMMU_ATTACH_NEST)
#define IOMMU_ATTACH_SEND_ATC	BIT(2)	/* targets with a number in (after, until] */

/* An IOMMU that a pass has sent to. */
struct iommu_attach_sent {
	/* private: */
	union {
		const struct iommu_attach_group *group;	/* while in RCU, without ATCs */
		unsigned long entered;	/* its fence, and which of the pair */
		struct iommu_device *iommu_device;	/* once that has been left */
	};
	u64 cookie;
};

/* What one flush has sent, for tracing and debugfs. */
struct iommu_attach_count {
#if IS_ENABLED(CONFIG_TRACEPOINTS) || IS_ENABLED(CONFIG_IOMMU_ALIST_DEBUGFS)
	/* private: */
	u32 groups;
	u32 atcs;
	u32 submits;
#endif
};

#if IS_ENABLED(CONFIG_TRACEPOINTS) || IS_ENABLED(CONFIG_IOMMU_ALIST_DEBUGFS)
#define __iommu_attach_count(flush, what, nr)	((flush)->count.what += (nr))
DECLARE_TRACEPOINT(iommu_alist_flush);
#else
#define __iommu_attach_count(flush, what, nr)	((void)(flush))
#endif

/*
 * A flush, on the stack. What the compiler knows where the flush is inline is written when
 * something out of line is called.
 */
struct iommu_attach_flush {
	/* private: */
	union {
		struct iommu_attach_list *alist;
		struct iommu_attach_list **lists;	/* if there are several: of each sent */
	};
	const struct iommu_attach_flush_ops *ops;
	void *arg;
	u64 after;			/* numbers of ATC targets, see iommu_attach_slots */
	u64 until;
	u8 what;			/* of the pass */
	bool several;			/* lists */
	bool silent;			/* one is left out that may use stale translations */
	u8 renewed;			/* times that the tries of the pass were */
	struct iommu_attach_count count;
};

#ifdef CONFIG_DEBUG_LOCK_ALLOC
extern struct lockdep_map iommu_attach_fence_map;

static inline void __iommu_attach_flush_acquire(void)
{
	lock_acquire(&iommu_attach_fence_map, 0, 0, 2, 0, NULL, _THIS_IP_);
}

static inline void __iommu_attach_flush_release(void)
{
	lock_release(&iommu_attach_fence_map, _THIS_IP_);
}
#else
static inline void __iommu_attach_flush_acquire(void) {}
static inline void __iommu_attach_flush_release(void) {}
#endif

int __iommu_attach_flush_slow(struct iommu_attach_flush *flush,
			      struct iommu_attach_sent *sent, u32 nr, int error);
int __iommu_attach_pass_many(struct iommu_attach_flush *flush);
int __iommu_attach_flush_aside(struct iommu_attach_list *const *lists, u32 nr_lists,
			       const struct iommu_attach_flush_ops *ops, void *arg);
void __iommu_attach_flush_account(struct iommu_attach_list *alist,
				  const struct iommu_attach_count *count, int error);
void __iommu_attach_fence_enter(struct iommu_attach_sent *sent, u32 nr);

/* Return: the fence, and which of the pair it is that the flush is counted in. */
static __always_inline unsigned long
__iommu_attach_enter(struct iommu_attach_fence *fence)
{
	unsigned long cur = READ_ONCE(fence->cur);

	this_cpu_inc(fence->pair[cur]->enter);
	return (unsigned long)fence | cur;
}

static __always_inline struct iommu_attach_fence *__iommu_attach_fence_of(unsigned long entered)
{
	return (struct iommu_attach_fence *)(entered & ~1UL);
}

/* Called after a full barrier: the flush's reads and commands come before its leave. */
static __always_inline void __iommu_attach_leave(unsigned long entered)
{
	this_cpu_inc(__iommu_attach_fence_of(entered)->pair[entered & 1]->leave);
}

/* Does the pass send to groups of this kind? For live groups only, which have a key. */
static __always_inline bool
__iommu_attach_wanted(const struct iommu_attach_group *group, const u32 what)
{
	const u32 kinds = IOMMU_ATTACH_SEND_OWN | IOMMU_ATTACH_SEND_NEST;

	return (what & kinds) == kinds || what & kinds & BIT(group->kind);
}

/* Sends to the ATC targets of one group. Return: @sent, or true if something was sent. */
static __always_inline bool
__iommu_attach_send_atcs(const struct iommu_attach_group *group,
			 struct iommu_attach_flush *flush,
			 const struct iommu_attach_flush_ops *ops, void *arg,
			 u64 after, u64 until, bool sent)
{
	const struct iommu_attach_slots *slots;
	const atomic64_t *slot, *end;
	u64 atc;

	hlist_for_each_entry_rcu(slots, &group->slots, item) {
		end = __iommu_attach_slots_end(slots);
		for (slot = slots->slot; slot != end; slot++) {
			atc = __iommu_attach_target(slots, slot, after, until, &flush->silent);
			if (unlikely(!atc))
				continue;
			ops->atc(group, atc & ~IOMMU_ATTACH_STATE, arg);
			__iommu_attach_count(flush, atcs, 1);
			sent = true;
		}
	}
	return sent;
}

/*
 * Sends to the IOMMUs of one list. If they may not all fit below @room, sends to those above
 * *@resume, and sets *@resume to the last one if there are more, else to NULL.
 *
 * @windows: handle more IOMMUs than there is room for. If this is false and there are more,
 * sends nothing and sets *@many.
 *
 * Return: the end of @sent.
 */
static __always_inline struct iommu_attach_sent *
__iommu_attach_send(struct iommu_attach_list *alist, struct iommu_attach_flush *flush,
		    const struct iommu_attach_flush_ops *ops, void *arg, const u32 what,
		    u64 after, struct iommu_attach_sent *sent,
		    const struct iommu_attach_sent *room, const bool windows,
		    struct iommu_device **resume, bool *many)
{
	const bool fenced = what & IOMMU_ATTACH_SEND_ATC;
	struct iommu_attach_group *const *pos, *const *next;
	const struct iommu_attach_group *group, *live;
	struct iommu_attach_cursor groups;
	bool sending;
	u32 nr_iommus;

	/* The IOTLB part is done. Without ATC users, this test is the only cost of ATS. */
	if (windows && what == IOMMU_ATTACH_SEND_ATC && !READ_ONCE(alist->nr_atc)) {
		*resume = NULL;
		return sent;
	}
	/*
	 * Orders page-table writes before reads of the list. Pairs with the barrier in
	 * iommu_attach_add(), see Barriers.
	 */
	smp_mb();
	nr_iommus = __iommu_attach_load(alist, &groups);
	if (!windows && unlikely(nr_iommus > IOMMU_ATTACH_WINDOW)) {
		*many = true;
		return sent;
	}
	if (windows && *resume) {
		while (groups.pos != groups.end &&
		       (*groups.pos)->iommu_device <= *resume)
			groups.pos++;
		if (groups.pos == groups.end) {
			*resume = NULL;
			return sent;
		}
	}
	if (fenced) {
		__iommu_attach_prefetch(&groups);
		/*
		 * From here on, the flush sees every target up to this number in a group of
		 * this table. A target in a newer group was added after the walk's barrier,
		 * so its hardware sees the page table. Later windows keep the number.
		 */
		if (!windows || !*resume)
			flush->until = atomic64_read_acquire(&alist->atc_seq);
	}

	/* There is at least one group. */
	pos = groups.pos;
	do {
		next = pos;
		if (windows && unlikely(sent == room))
			break;

		/* Own tags come before those of nests in the table. */
		sending = false;
		live = NULL;
		do {
			group = *next++;
			if (!__iommu_attach_live(group))
				continue;
			/* An idle group may have outlived its fence. */
			if (fenced && !live) {
				sent->entered = __iommu_attach_enter(group->fence);
				/* Pairs with the one in fence_idle(), see Barriers. */
				smp_mb();
				live = group;
			}
			if (__iommu_attach_wanted(group, what)) {
				ops->iotlb(group, arg);
				__iommu_attach_count(flush, groups, 1);
				live = group;
				sending = true;
			}
		} while (next != groups.end && (*next)->iommu_device == group->iommu_device);

		if (fenced) {
			if (unlikely(!live))
				continue;
			for (; pos != next; pos++)
				sending = __iommu_attach_send_atcs(*pos, flush, ops, arg, after,
								   flush->until, sending);
			if (unlikely(!sending)) {
				/* Pairs with the one in fence_idle(), see Barriers. */
				smp_mb();
				__iommu_attach_leave(sent->entered);
				continue;
			}
		} else if (unlikely(!live)) {
			continue;
		} else {
			sent->group = live;
		}
		sent->cookie = ops->submit(group->iommu_device, arg);
		sent++;
	} while (pos = next, pos != groups.end);

	if (windows)
		*resume = pos == groups.end ? NULL : pos[-1]->iommu_device;
	return sent;
}

/* Fills in the fields that functions out of line need. */
static __always_inline void
__iommu_attach_flush_set(struct iommu_attach_flush *flush, struct iommu_attach_list *alist,
			 const struct iommu_attach_flush_ops *ops, void *arg, u32 what,
			 u64 after)
{
	flush->alist = alist;
	flush->ops = ops;
	flush->arg = arg;
	flush->after = after;
	flush->what = what;
	flush->several = false;
	flush->renewed = 0;
}

/*
 * One pass of a flush: sends to all IOMMUs, then waits for all that it has sent to. It
 * records them on the stack, so that a detach in between cannot remove them.
 *
 * The pass is in no RCU read-side section while it waits for hardware, except for the first
 * call of @wait, which takes microseconds. If the hardware is not done by then, the flush
 * enters the fence of the IOMMU, which keeps the IOMMU alive, and leaves RCU. An ATC may not
 * answer for minutes, so a pass that sends to ATCs enters the fence before it looks up
 * targets. So a detach has to wait for fences only.
 *
 * Return: 0, or the first error.
 */
static __always_inline int
__iommu_attach_pass(struct iommu_attach_flush *flush,
		    struct iommu_attach_list *const *lists, const u32 nr_lists,
		    const struct iommu_attach_flush_ops *ops, void *arg, const u32 what,
		    u64 after, struct iommu_attach_sent *sent, const u32 room,
		    struct iommu_attach_list **of)
{
	const bool fenced = what & IOMMU_ATTACH_SEND_ATC;
	const bool windows = room > IOMMU_ATTACH_WINDOW;
	struct iommu_attach_sent *end, *pos, *done;
	struct iommu_device *resume = NULL;
	int ret = 0, error;
	bool many = false;
	u32 list = 0;

	do {
		end = sent;
		rcu_read_lock();
		do {
			pos = end;
			end = __iommu_attach_send(lists[list], flush, ops, arg, what, after, end,
						  sent + room, windows, &resume, &many);
			for (; of && pos != end; pos++)
				of[pos - sent] = lists[list];
			list += !resume;
		} while (windows && list < nr_lists && !resume && end < sent + room);
		__iommu_attach_count(flush, submits, end - sent);
		if (!windows && unlikely(many)) {
			rcu_read_unlock();
			__iommu_attach_flush_set(flush, lists[0], ops, arg, what, after);
			return __iommu_attach_pass_many(flush);
		}
		if (fenced)
			rcu_read_unlock();

		error = 0;
		for (done = sent; done != end; done++) {
			error = ops->wait(fenced ?
					  __iommu_attach_fence_of(done->entered)->iommu_device :
					  done->group->iommu_device, done->cookie, arg);
			if (unlikely(error))
				break;
		}
		if (fenced) {
			/* Pairs with the one in fence_idle(), see Barriers. */
			smp_mb();
			for (pos = sent; pos != done; pos++)
				__iommu_attach_leave(pos->entered);
		} else {
			if (unlikely(error))
				__iommu_attach_fence_enter(done, end - done);
			rcu_read_unlock();
		}
		if (unlikely(error)) {
			__iommu_attach_flush_set(flush, lists[0], ops, arg, what, after);
			if (of) {
				flush->lists = of + (done - sent);
				flush->several = true;
			}
			error = __iommu_attach_flush_slow(flush, done, end - done, error);
			ret = ret ?: error;
		}
	} while (windows && list < nr_lists);
	return ret;
}

/* A flush is made of passes. */
static __always_inline int
__iommu_attach_flush(struct iommu_attach_flush *flush,
		     struct iommu_attach_list *const *lists, const u32 nr_lists,
		     const struct iommu_attach_flush_ops *ops, void *arg,
		     struct iommu_attach_sent *sent, const u32 room,
		     struct iommu_attach_list **of)
{
	/* Numbers of targets are those of one list. */
	const bool with_atc = ops->atc && !ops->wait_before_atc && nr_lists == 1;
	const u32 nest = IOMMU_ATTACH_SEND_NEST;
	const u32 own = IOMMU_ATTACH_SEND_OWN;
	const u32 all = own | nest;
	struct iommu_attach_list *alist = lists[0];
	bool atcs = false;
	int ret = 0, error;
	u64 after;

	flush->silent = false;
	flush->until = 0;
	flush->count = (struct iommu_attach_count){};
	__iommu_attach_flush_acquire();
	if (ops->wait_before_nest)
		ret = __iommu_attach_pass(flush, lists, nr_lists, ops, arg, own, 0, sent, room,
					  of);
	if (with_atc && unlikely(READ_ONCE(alist->nr_atc)))
		error = __iommu_attach_pass(flush, lists, nr_lists, ops, arg,
					    (ops->wait_before_nest ? nest : all) |
					    IOMMU_ATTACH_SEND_ATC, 0, sent, room, of);
	else if (ops->wait_before_nest)
		error = __iommu_attach_pass(flush, lists, nr_lists, ops, arg, nest, 0, sent,
					    room, of);
	else
		error = __iommu_attach_pass(flush, lists, nr_lists, ops, arg, all, 0, sent,
					    room, of);
	ret = ret ?: error;

	if (with_atc) {
		/* Targets that were added in between get a pass of their own. */
		after = flush->until;
		atcs = __iommu_attach_load_atcs(alist, &flush->until);
		if (atcs && unlikely(flush->until != after)) {
			__iommu_attach_flush_set(flush, alist, ops, arg, IOMMU_ATTACH_SEND_ATC,
						 after);
			error = __iommu_attach_pass_many(flush);
			ret = ret ?: error;
		}
	} else if (ops->atc) {
		atcs = __iommu_attach_load_atcs(alist, &flush->until) || nr_lists > 1;
		if (atcs) {
			error = __iommu_attach_pass(flush, lists, nr_lists, ops, arg,
						    IOMMU_ATTACH_SEND_ATC, 0, sent, room, of);
			ret = ret ?: error;
		}
	}
	/* Without ATC users, all that were left out have been deleted. */
	if (atcs && unlikely(flush->silent)) {
		if (nr_lists == 1)
			flush->alist = alist;
		error = __iommu_attach_flush_aside(nr_lists == 1 ? &flush->alist : lists,
						   nr_lists, ops, arg);
		ret = ret ?: error;
	}
#if IS_ENABLED(CONFIG_IOMMU_ALIST_DEBUGFS)
	__iommu_attach_flush_account(alist, &flush->count, ret);
#elif IS_ENABLED(CONFIG_TRACEPOINTS)
	if (tracepoint_enabled(iommu_alist_flush))
		__iommu_attach_flush_account(alist, &flush->count, ret);
#endif
	__iommu_attach_flush_release();
	return ret;
}

/**
 * iommu_attach_flush_inline() - iommu_attach_flush(), compiled into the driver
 * @alist: The domain's list.
 * @ops: A constant: the compiler calls its functions directly.
 * @arg: Passed to the callbacks.
 *
 * The same algorithm, without an indirect call if the hardware is done at the first look. Use it
 * in only one or two places of a driver: each takes almost two kilobytes of code.
 *
 * Context: Same as iommu_attach_flush().
 * Return: Same as iommu_attach_flush().
 */
static __always_inline int
iommu_attach_flush_inline(struct iommu_attach_list *alist,
			  const struct iommu_attach_flush_ops *ops, void *arg)
{
	struct {
		struct iommu_attach_flush flush;
		struct iommu_attach_sent sent[IOMMU_ATTACH_WINDOW];
	} stack __uninitialized;

	/* If the list is embedded, the compiler would keep two pointers. */
	OPTIMIZER_HIDE_VAR(alist);
	return __iommu_attach_flush(&stack.flush, &alist, 1, ops, arg, stack.sent,
				    IOMMU_ATTACH_WINDOW, NULL);
}

#endif /* __LINUX_IOMMU_ALIST_H */
