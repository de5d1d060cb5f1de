// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of every place that may cache a domain's translations
 *
 * What is attached to a domain is kept three times over, each for one user:
 *
 *   alist->table -> group, group, ...      for walks: what commands are sent for
 *                     |-> slots, slots
 *   alist->all   -> attachment, ...        for slow paths: who is attached
 *   alist->index -> attachment, ...        for attach: is this ATC target there?
 *
 * A group is what one IOTLB command serves, and counts its attachments. A slot is
 * what one ATC command serves, and counts them too. So duplicates collapse when
 * they are attached and a walk has nothing left to compare: it goes over an array
 * of pointers to groups, skips those without users, and over the slots of each
 * group, skipping those that are free.
 *
 * Everything rests on two rules:
 *
 *   A group keeps its key, and an ATC target keeps its slot, for as long as a walk
 *   may see them. A new key is a new group in a new table; old tables, groups and
 *   slots are freed after a grace period.
 *
 *   Deleting only takes away: it decrements counts, clears a slot, unlinks slots
 *   of which none is used. So it needs no memory and cannot fail, and whoever
 *   stays attached is seen by every walk: his group's count does not reach zero,
 *   and his slot is not moved.
 *
 * A group that lost its last user stays in the table, where an attach with the same
 * key finds it and needs no memory, unless for an ATC; the next new table leaves it
 * out. The first group of a list lives inside the list and needs no table: most
 * domains have one group and are walked in one cache line.
 *
 * Locking: alist->lock guards every write to the list and all that hangs off it.
 * Memory is allocated before it is taken. Where two lists are locked, for a nest,
 * the S1 domain's comes first. Walks take no lock, see Barriers.
 *
 * Barriers. In the first two tables, either the walk on the left sees what was
 * published on the right, or the hardware starts late enough to see what the walk has
 * made sure of.
 *
 *   unmap                                  attach
 *   -----                                  ------
 *   write the page table                   publish table, users, slot
 *   smp_mb() in walk_begin                 smp_mb() in attach_parts
 *   read table, users                      let the hardware use the domain:
 *                                          it reads the page table
 *
 *   unmap, ATC part                        enable ATC
 *   ---------------                        ----------
 *   read from the hardware that the        publish slot, nr_atc, atc_seq
 *     IOTLB commands have completed        smp_mb() in attach_parts
 *   dma_rmb() in load_atcs                 let the device use ATS: the IOMMU
 *   read nr_atc, atc_seq, slots              answers it from its IOTLB
 *
 * The first is store buffering and takes a full barrier on both sides. In the second
 * the left side only reads: an IOMMU that looked into its IOTLB before it executed the
 * commands did so before it reported them completed, so whoever reads the report sees
 * what was published before the device could ask.
 *
 *   unmap                                  detach
 *   -----                                  ------
 *   rcu_read_lock() in walk_begin          clear users, slot
 *   send, wait                             synchronize_rcu() in drain
 *   rcu_read_unlock() in walk_end          let device and IOMMU go
 */
#include <linux/array_size.h>
#include <linux/bug.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/iommu-alist.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "iommu-alist-priv.h"

#define CREATE_TRACE_POINTS
#include <trace/events/iommu_alist.h>

/* IOMMUs that a flush sends to before it waits for the first one. */
#define FLUSH_WINDOW	BITS_PER_LONG	/* less stack where there is less */

#define INDEX_MIN_BITS	3
#define SLOTS_MIN_BYTES	256
#define SLOTS_MAX_BYTES	4096
#define SLOT_BYTES	(2 * sizeof(atomic64_t))	/* a target and its number */

/*
 * One list's share in an attach, and the memory for it. What is missing is noted
 * under the lock and allocated outside of it.
 */
struct attach_part {
	struct iommu_attach_list *alist;
	struct iommu_attach_elm *elm;
	enum iommu_attach_kind kind;
	bool atc;			/* the attachment is to have an ATC target */

	struct iommu_attach_group *found;	/* its group, if there is one */

	/* Needed: 0 if not. */
	u32 want_table;			/* entries, and a group */
	u32 want_slots;			/* bytes */
	u32 want_index;			/* bits */

	/* At hand. */
	struct iommu_attach_group *group;
	struct iommu_attach_table *table;
	struct iommu_attach_slots *slots;
	struct hlist_head *index;
	u32 index_bits;
};

VISIBLE_IF_KUNIT void *iommu_attach_alloc(size_t size)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_attach_alloc, size);
	return kvzalloc(size, GFP_KERNEL_ACCOUNT);
}
EXPORT_SYMBOL_IF_KUNIT(iommu_attach_alloc);

static struct iommu_attach_table *locked_table(struct iommu_attach_list *alist)
{
	return rcu_dereference_protected(alist->table,
					 lockdep_is_held(&alist->lock));
}

static int cmp_group(const struct iommu_attach_group *group,
		     const struct iommu_device *iommu_device, u8 kind, u64 tag)
{
	if (group->iommu_device != iommu_device)
		return group->iommu_device < iommu_device ? -1 : 1;
	if (group->kind != kind)
		return group->kind < kind ? -1 : 1;
	if (group->tag != tag)
		return group->tag < tag ? -1 : 1;
	return 0;
}

/* The first index whose group is not below the key. */
static u32 lower_bound(const struct iommu_attach_table *table,
		       const struct iommu_device *iommu_device, u8 kind, u64 tag)
{
	u32 low = 0, high = table->nr;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (cmp_group(table->group[mid], iommu_device, kind, tag) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct iommu_attach_group *find_group(struct iommu_attach_list *alist,
					     const struct iommu_attach_elm *elm,
					     u8 kind)
{
	struct iommu_attach_table *table = locked_table(alist);
	struct iommu_attach_group *group = &alist->first;

	if (table) {
		u32 pos = lower_bound(table, elm->iommu_device, kind, elm->tag);

		if (pos == table->nr)
			return NULL;
		group = table->group[pos];
	}
	return cmp_group(group, elm->iommu_device, kind, elm->tag) ? NULL : group;
}

/* Devices behind different IOMMUs may have the same requester id. */
static struct hlist_head *index_bucket(const struct iommu_attach_list *alist,
				       const struct iommu_attach_group *group,
				       const struct iommu_attach_elm *elm)
{
	u64 key = elm->atc ^ hash_64((uintptr_t)group, 32);

	return &alist->index[hash_64(key, alist->index_bits)];
}

/* An attachment of the group with the same ATC target. */
static struct iommu_attach_elm *find_target(struct iommu_attach_list *alist,
					    struct iommu_attach_group *group,
					    const struct iommu_attach_elm *elm)
{
	struct iommu_attach_elm *other;

	if (!alist->index)
		return NULL;
	hlist_for_each_entry(other, index_bucket(alist, group, elm), index_item) {
		if (other->group == group && other->atc == elm->atc)
			return other;
	}
	return NULL;
}

/*
 * What IOMMU_ALIST_DEBUG looks at. Who is counted where is compared by sums of addresses:
 * of the place that each attachment says it has, and of each place as often as it says
 * that it is used.
 */
static const char *check_group(const struct iommu_attach_group *group, u32 *targets,
			       u64 *places)
{
	const struct iommu_attach_slots *slots;
	u32 i, used, room = 0;

	hlist_for_each_entry(slots, &group->slots, item) {
		room += slots->room;
		for (i = 0, used = 0; i < slots->room; i++) {
			if (!atomic64_read(&slots->slot[i]))
				continue;
			if (i >= slots->nr)
				return "a target is out of reach";
			*places += (uintptr_t)&slots->slot[i];
			used++;
		}
		if (used != slots->used)
			return "targets are miscounted";
		*targets += used;
	}
	return room == group->nr_slots ? NULL : "slots are miscounted";
}

/* Return: what is wrong with a list, or NULL. */
VISIBLE_IF_KUNIT const char *iommu_attach_check(struct iommu_attach_list *alist)
{
	u32 nr = 0, nr_idle = 0, nr_indexed = 0, nr_atc = 0, i;
	struct iommu_attach_table *table = locked_table(alist);
	struct iommu_attach_group **groups, *group;
	u64 users = 0, places = 0;
	struct iommu_attach_elm *elm;
	const char *fault;

	groups = table ? table->group : &alist->only;
	for (i = 0; i < (table ? table->nr : 1); i++) {
		group = groups[i];
		if (i && cmp_group(groups[i - 1], group->iommu_device, group->kind,
				   group->tag) >= 0)
			return "groups are not sorted";
		nr_idle += group->iommu_device && !group->users;
		users += (u64)group->users * (uintptr_t)group;
		fault = check_group(group, &nr_atc, &places);
		if (fault)
			return fault;
	}
	if (nr_idle != alist->nr_idle)
		return "idle groups are miscounted";
	if (nr_atc != alist->nr_atc)
		return "targets of the list are miscounted";

	list_for_each_entry(elm, &alist->all, all_item) {
		nr++;
		if (elm->alist != alist || elm->group != find_group(alist, elm, elm->kind))
			return "an attachment is in another group";
		users -= (uintptr_t)elm->group;
		if (elm->using_atc != !!elm->slots)
			return "an attachment has a target that it does not use";
		if (!elm->slots)
			continue;
		nr_indexed++;
		if ((u64)atomic64_read(&elm->slots->slot[elm->slot]) !=
		    (elm->atc | IOMMU_ATTACH_LIVE))
			return "an attachment has another target";
		/* One for all that share the target. */
		if (find_target(alist, elm->group, elm) == elm)
			places -= (uintptr_t)&elm->slots->slot[elm->slot];
	}
	if (nr != alist->nr)
		return "attachments are miscounted";
	if (users)
		return "users of groups are miscounted";
	if (nr_indexed != alist->nr_indexed)
		return "the index is miscounted";
	return places ? "a target has no attachment" : NULL;
}
EXPORT_SYMBOL_IF_KUNIT(iommu_attach_check);

/* After a change. Long lists are not looked at after each. */
static void unlock_checked(struct iommu_attach_list *alist)
	__releases(&alist->lock)
{
	const char *fault = NULL;

	if (IS_ENABLED(CONFIG_IOMMU_ALIST_DEBUG) && !(alist->nr % (alist->nr / 64 + 1)))
		fault = iommu_attach_check(alist);
	WARN_ONCE(fault, "attach list: %s\n", fault);
	spin_unlock(&alist->lock);
}

static bool part_has_table(const struct attach_part *part)
{
	return part->table && part->table->nr >= part->want_table;
}

static bool part_has_index(const struct attach_part *part)
{
	return part->index && part->index_bits >= part->want_index;
}

/* Is all at hand that the part takes? Notes what it takes. */
static bool part_ready(struct attach_part *part)
{
	struct iommu_attach_list *alist = part->alist;
	struct iommu_attach_table *table = locked_table(alist);
	struct iommu_attach_group *group;
	u32 bytes;

	part->want_table = 0;
	part->want_slots = 0;
	part->want_index = 0;

	group = find_group(alist, part->elm, part->kind);
	part->found = group;
	if (!group && alist->first.iommu_device)
		part->want_table = (table ? table->nr : 1) + 1;

	if (part->atc && !part->elm->slots) {
		if (!alist->index)
			part->want_index = INDEX_MIN_BITS;
		else if (alist->nr_indexed >> alist->index_bits)
			part->want_index = alist->index_bits + 1;

		/* Double what the group has: a walk follows few links. */
		if (!group || (hlist_empty(&group->spare) &&
			       !find_target(alist, group, part->elm))) {
			bytes = (group ? group->nr_slots : 0) * 2 * SLOT_BYTES;
			bytes = clamp(bytes, SLOTS_MIN_BYTES, SLOTS_MAX_BYTES);
			part->want_slots = roundup_pow_of_two(bytes);
		}
	}

	return (!part->want_table || part_has_table(part)) &&
	       (!part->want_slots || part->slots) &&
	       (!part->want_index || part_has_index(part));
}

static int part_alloc(struct attach_part *part)
{
	if (part->want_table && !part->group) {
		part->group = iommu_attach_alloc(sizeof(*part->group));
		if (!part->group)
			return -ENOMEM;
	}
	if (part->want_table && !part_has_table(part)) {
		kvfree(part->table);
		part->table = iommu_attach_alloc(struct_size(part->table, group,
							     part->want_table));
		if (!part->table)
			return -ENOMEM;
		part->table->nr = part->want_table;
	}
	if (part->want_slots && !part->slots) {
		part->slots = iommu_attach_alloc(part->want_slots);
		if (!part->slots)
			return -ENOMEM;
		part->slots->room = (part->want_slots - sizeof(*part->slots)) /
				    SLOT_BYTES;
	}
	if (part->want_index && !part_has_index(part)) {
		kvfree(part->index);
		part->index_bits = part->want_index;
		part->index = iommu_attach_alloc(array_size(sizeof(*part->index),
							    1U << part->index_bits));
		if (!part->index)
			return -ENOMEM;
	}
	return 0;
}

static void part_free(struct attach_part *part)
{
	kvfree(part->group);
	kvfree(part->table);
	kvfree(part->slots);
	kvfree(part->index);
}

/* A new table: the groups that have users, and the new one. */
static struct iommu_attach_group *part_add_group(struct attach_part *part)
{
	struct iommu_attach_list *alist = part->alist;
	struct iommu_attach_table *old = locked_table(alist);
	struct iommu_attach_table *new = part->table;
	const struct iommu_attach_elm *elm = part->elm;
	struct iommu_attach_group **olds = old ? old->group : &alist->only;
	struct iommu_attach_group *group = part->group;
	bool unused = !alist->first.iommu_device;
	u32 nr_old = old ? old->nr : 1;
	u32 i, pos, nr = 0;

	if (unused)
		group = &alist->first;
	group->iommu_device = elm->iommu_device;
	group->kind = part->kind;
	group->tag = elm->tag;
	if (unused)
		return group;
	part->group = NULL;

	if (old)
		pos = lower_bound(old, elm->iommu_device, part->kind, elm->tag);
	else
		pos = cmp_group(olds[0], elm->iommu_device, part->kind,
				elm->tag) < 0;

	for (i = 0; i < nr_old; i++) {
		if (i == pos)
			new->group[nr++] = group;
		/* Most often none is idle, and none has to be looked at. */
		if (!alist->nr_idle || olds[i]->users)
			new->group[nr++] = olds[i];
	}
	if (pos == nr_old)
		new->group[nr++] = group;
	new->nr = nr;

	/* Old walks go on with the old table. */
	rcu_assign_pointer(alist->table, new);
	part->table = NULL;

	for (i = 0; alist->nr_idle && i < nr_old; i++) {
		if (olds[i]->users)
			continue;
		alist->nr_idle--;
		if (olds[i] != &alist->first)
			kvfree_rcu(olds[i], rcu);
	}
	if (old)
		kvfree_rcu(old, rcu);
	return group;
}

static void part_grow_index(struct attach_part *part)
{
	struct iommu_attach_list *alist = part->alist;
	struct hlist_head *old = alist->index;
	u32 nr_old = old ? 1U << alist->index_bits : 0;
	struct iommu_attach_elm *elm;
	struct hlist_node *next;
	u32 i;

	alist->index = part->index;
	alist->index_bits = part->index_bits;
	for (i = 0; i < nr_old; i++) {
		hlist_for_each_entry_safe(elm, next, &old[i], index_item)
			hlist_add_head(&elm->index_item,
				       index_bucket(alist, elm->group, elm));
	}
	part->index = old;	/* freed with what is left over */
}

static void part_add_target(struct attach_part *part)
{
	struct iommu_attach_list *alist = part->alist;
	struct iommu_attach_elm *elm = part->elm, *other;
	struct iommu_attach_group *group = elm->group;
	struct iommu_attach_slots *slots;
	u32 i;
	u64 seq;

	if (part->want_index)
		part_grow_index(part);

	other = find_target(alist, group, elm);
	if (other) {
		elm->slots = other->slots;
		elm->slot = other->slot;
		goto index;
	}

	if (hlist_empty(&group->spare)) {
		slots = part->slots;
		part->slots = NULL;
		group->nr_slots += slots->room;
		hlist_add_head(&slots->spare_item, &group->spare);
		hlist_add_head_rcu(&slots->item, &group->slots);
	} else {
		slots = hlist_entry(group->spare.first,
				    struct iommu_attach_slots, spare_item);
	}
	/* The lowest that is free: most often none before the end is. */
	i = slots->used == slots->nr ? slots->nr : 0;
	while (atomic64_read(&slots->slot[i]))
		i++;
	if (i == slots->nr)
		WRITE_ONCE(slots->nr, i + 1);
	if (++slots->used == slots->room)
		hlist_del_init(&slots->spare_item);
	elm->slots = slots;
	elm->slot = i;

	/* A walk that sees the target sees its number. */
	seq = atomic64_read(&alist->atc_seq) + 1;
	atomic64_set(&slots->slot[slots->room + i], seq);
	atomic64_set(&slots->seq, seq);
	atomic64_set_release(&slots->slot[i], elm->atc | IOMMU_ATTACH_LIVE);
	WRITE_ONCE(alist->nr_atc, alist->nr_atc + 1);
	/* A walk that sees the number sees the target. */
	atomic64_set_release(&alist->atc_seq, seq);
index:
	alist->nr_indexed++;
	hlist_add_head(&elm->index_item, index_bucket(alist, group, elm));
	WRITE_ONCE(elm->using_atc, true);
	trace_iommu_alist_atc(elm);
}

static void del_target(struct iommu_attach_elm *elm)
{
	struct iommu_attach_list *alist = elm->alist;
	struct iommu_attach_slots *slots = elm->slots;
	struct iommu_attach_group *group = elm->group;
	u32 nr;

	elm->slots = NULL;
	hlist_del_init(&elm->index_item);
	alist->nr_indexed--;
	if (find_target(alist, group, elm))
		return;

	atomic64_set(&slots->slot[elm->slot], 0);
	WRITE_ONCE(alist->nr_atc, alist->nr_atc - 1);
	nr = slots->nr;
	while (nr && !atomic64_read(&slots->slot[nr - 1]))
		nr--;
	WRITE_ONCE(slots->nr, nr);
	if (slots->used-- == slots->room)
		hlist_add_head(&slots->spare_item, &group->spare);
	if (!slots->used) {
		group->nr_slots -= slots->room;
		hlist_del(&slots->spare_item);
		hlist_del_rcu(&slots->item);
		kvfree_rcu(slots, rcu);
	}
}

/* Return: true if the group is new, or comes back. */
static bool part_add(struct attach_part *part)
{
	struct iommu_attach_list *alist = part->alist;
	struct iommu_attach_elm *elm = part->elm;
	struct iommu_attach_group *group = part->found;
	u32 users;

	if (!group)
		group = part_add_group(part);
	else if (!group->users)
		alist->nr_idle--;
	users = group->users;

	elm->alist = alist;
	elm->kind = part->kind;
	elm->group = group;
	elm->slots = NULL;
	INIT_HLIST_NODE(&elm->index_item);
	list_add_tail_rcu(&elm->all_item, &alist->all);
	WRITE_ONCE(alist->nr, alist->nr + 1);

	/* A walk that counts the list's first group in sees its key. */
	smp_store_release(&group->users, users + 1);
	trace_iommu_alist_add(elm);
	return !users;
}

/* Return: true if the group has no attachment left. */
static bool del_locked(struct iommu_attach_list *alist,
		       struct iommu_attach_elm *elm)
{
	struct iommu_attach_group *group = elm->group;

	lockdep_assert_held(&alist->lock);

	if (elm->slots)
		del_target(elm);
	WRITE_ONCE(group->users, group->users - 1);
	WRITE_ONCE(alist->nr, alist->nr - 1);
	list_del_rcu(&elm->all_item);
	trace_iommu_alist_del(elm);
	elm->group = NULL;
	elm->alist = NULL;
	if (group->users)
		return false;
	alist->nr_idle++;
	return true;
}

static void stop_atc(struct iommu_attach_elm *elm)
{
	lockdep_assert_held(&elm->alist->lock);

	if (elm->slots)
		del_target(elm);
	WRITE_ONCE(elm->using_atc, false);
	trace_iommu_alist_atc(elm);
}

static void lock_pair(struct iommu_attach_list *s1, struct iommu_attach_list *s2)
	__acquires(&s1->lock) __acquires(&s2->lock)
{
	spin_lock(&s1->lock);
	spin_lock_nested(&s2->lock, SINGLE_DEPTH_NESTING);
}

static void unlock_pair(struct iommu_attach_list *s1,
			struct iommu_attach_list *s2)
	__releases(&s1->lock) __releases(&s2->lock)
{
	unlock_checked(s2);
	unlock_checked(s1);
}

/* Return: the bit if the group is new. */
static int part_attach(struct attach_part *part, int bit)
{
	int first = 0;

	if (!part->elm->alist && part_add(part))
		first = bit;
	if (part->atc && !part->elm->slots)
		part_add_target(part);
	return first;
}

static bool try_one(struct attach_part *part, int *first)
{
	bool ready;

	iommu_attach_debugfs_add(part->alist);
	spin_lock(&part->alist->lock);
	ready = part_ready(part);
	if (ready)
		*first = part_attach(part, IOMMU_ATTACH_GROUP_S1);
	unlock_checked(part->alist);
	return ready;
}

static bool try_pair(struct attach_part *part, int *first)
{
	bool ready;

	iommu_attach_debugfs_add(part[0].alist);
	iommu_attach_debugfs_add(part[1].alist);
	lock_pair(part[0].alist, part[1].alist);
	ready = part_ready(&part[0]);
	ready = part_ready(&part[1]) && ready;
	if (ready)
		*first = part_attach(&part[0], IOMMU_ATTACH_GROUP_S1) |
			 part_attach(&part[1], IOMMU_ATTACH_GROUP_S2);
	unlock_pair(part[0].alist, part[1].alist);
	return ready;
}

/*
 * Between two tries others may take or leave room, so what is missing is looked up
 * anew.
 */
static int attach_slow(struct attach_part *part, u32 nr,
		       bool (*try)(struct attach_part *part, int *first))
{
	int ret = 0;
	u32 i;

	do {
		for (i = 0; i < nr && !ret; i++)
			ret = part_alloc(&part[i]);
	} while (!ret && !try(part, &ret));
	for (i = 0; i < nr; i++)
		part_free(&part[i]);
	return ret;
}

/* All parts or none. */
static int attach_parts(struct attach_part *part, u32 nr,
			bool (*try)(struct attach_part *part, int *first))
{
	int ret = 0;

	if (!try(part, &ret))
		ret = attach_slow(part, nr, try);
	/*
	 * What the caller does to the hardware comes after what walks see, see
	 * Barriers.
	 */
	smp_mb();
	return ret;
}

static int check_new(const struct iommu_attach_elm *elm)
{
	if (WARN_ON_ONCE(elm->alist))
		return -EEXIST;
	if (WARN_ON_ONCE(!elm->iommu_device ||
			 (elm->using_atc && elm->atc & IOMMU_ATTACH_LIVE)))
		return -EINVAL;
	return 0;
}

/**
 * iommu_attach_init() - Initialise a list
 * @alist: The list.
 *
 * Context: Any context.
 */
void iommu_attach_init(struct iommu_attach_list *alist)
{
	memset(alist, 0, sizeof(*alist));
	alist->only = &alist->first;
	spin_lock_init(&alist->lock);
	INIT_LIST_HEAD(&alist->all);
}
EXPORT_SYMBOL_GPL(iommu_attach_init);

/**
 * iommu_attach_destroy() - Free what an empty list holds
 * @alist: The list.
 *
 * Everything must have been deleted, and no walk may be running: the list itself
 * is part of what walks read. A list that is not empty is left alone, with a
 * warning.
 *
 * Context: Process context. Does not sleep.
 */
void iommu_attach_destroy(struct iommu_attach_list *alist)
{
	struct iommu_attach_table *table;
	u32 i;

	iommu_attach_debugfs_del(alist);
	if (WARN_ON_ONCE(alist->nr))
		return;

	table = rcu_dereference_protected(alist->table, !alist->nr);
	for (i = 0; table && i < table->nr; i++) {
		if (table->group[i] != &alist->first)
			kvfree(table->group[i]);
	}
	kvfree(table);
	kvfree(alist->index);
	iommu_attach_init(alist);
}
EXPORT_SYMBOL_GPL(iommu_attach_destroy);

/**
 * iommu_attach_add() - Put an attachment on the list of its domain
 * @alist: The domain's list.
 * @elm: The attachment; its public fields are set, all else is zero.
 *
 * Call it before the hardware may use the domain for the device. When it returns,
 * every walk that begins sees the attachment, and the hardware, if it starts
 * after that, sees what walks that began earlier have written to the page table.
 *
 * The driver keeps attaches that could choose different tags for one (domain,
 * IOMMU) apart, from iommu_attach_find_tag() to here.
 *
 * Context: Process context. Sleeps. Takes and releases the list's lock.
 * Return: IOMMU_ATTACH_GROUP_S1 if the attachment is the first of its group, 0 if
 * it is not; -ENOMEM, and the list is as it was; -EEXIST or -EINVAL with a warning
 * if it is on a list already or its fields are out of range.
 */
int iommu_attach_add(struct iommu_attach_list *alist,
		     struct iommu_attach_elm *elm)
{
	struct attach_part part = {
		.alist = alist,
		.elm = elm,
		.kind = IOMMU_ATTACH_OWN,
		.atc = elm->using_atc,
	};
	int ret;

	ret = check_new(elm);
	if (ret)
		return ret;

	elm->nested = false;
	return attach_parts(&part, 1, try_one);
}
EXPORT_SYMBOL_GPL(iommu_attach_add);

/**
 * iommu_attach_add_nest() - Put a nest on the list of its S1 domain and its parent
 * @s1: The list of the S1 domain.
 * @s2: The list of its S2 parent.
 * @nest: Both attachments; their public fields are set, all else is zero.
 *
 * As iommu_attach_add(), on both lists or on neither. From here on a flush of the
 * parent reaches the tag of the nest and the whole ATC of the device.
 *
 * Context: Process context. Sleeps. Takes and releases both lists' locks, S1's
 * outside.
 * Return: IOMMU_ATTACH_GROUP_S1 and IOMMU_ATTACH_GROUP_S2 for each list on which
 * the group is new; negative as iommu_attach_add(), and -EINVAL with a warning if the
 * lists are one, or the halves do not agree about the IOMMU or the ATC.
 */
int iommu_attach_add_nest(struct iommu_attach_list *s1,
			  struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest)
{
	struct attach_part part[] = {
		{
			.alist = s1,
			.elm = &nest->s1,
			.kind = IOMMU_ATTACH_OWN,
			.atc = nest->s1.using_atc,
		},
		{
			.alist = s2,
			.elm = &nest->s2,
			.kind = IOMMU_ATTACH_NEST,
			.atc = nest->s2.using_atc,
		},
	};
	int ret;

	if (WARN_ON_ONCE(s1 == s2 ||
			 nest->s1.iommu_device != nest->s2.iommu_device ||
			 nest->s1.using_atc != nest->s2.using_atc))
		return -EINVAL;
	ret = check_new(&nest->s1) ?: check_new(&nest->s2);
	if (ret)
		return ret;

	nest->s1.nested = true;
	nest->s2.nested = true;
	return attach_parts(part, ARRAY_SIZE(part), try_pair);
}
EXPORT_SYMBOL_GPL(iommu_attach_add_nest);

/**
 * iommu_attach_del() - Take an attachment off the list
 * @alist: The list that it is on.
 * @elm: The attachment.
 *
 * Call it when the hardware does not use the domain for the device any more, refuses
 * what the device has translated before, and the device's ATC is clean. If this was
 * the last attachment of its group, flush the tag before it is used again, also by
 * this domain: nobody else will. The caller keeps attaches with the tag away until then,
 * or flushes the tag before each delete.
 *
 * Walks that are running may still send for the attachment; after
 * iommu_attach_drain() none does. Its memory may be freed or added to a list
 * again only then.
 *
 * Context: Process context. Takes and releases the list's lock. Neither sleeps nor
 * allocates.
 * Return: IOMMU_ATTACH_GROUP_S1 if it was the last of its group, 0 if not; -ENOENT
 * with a warning, and nothing else, if it is not on the list or is half of a nest.
 */
int iommu_attach_del(struct iommu_attach_list *alist,
		     struct iommu_attach_elm *elm)
{
	int ret = -ENOENT;

	spin_lock(&alist->lock);
	if (!WARN_ON_ONCE(elm->alist != alist || elm->nested))
		ret = del_locked(alist, elm) ? IOMMU_ATTACH_GROUP_S1 : 0;
	unlock_checked(alist);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_attach_del);

/**
 * iommu_attach_del_nest() - Take a nest off both lists
 * @s1: The list of the S1 domain.
 * @s2: The list of its S2 parent.
 * @nest: Both attachments.
 *
 * As iommu_attach_del().
 *
 * Context: Process context. Takes and releases both lists' locks, S1's outside.
 * Neither sleeps nor allocates.
 * Return: IOMMU_ATTACH_GROUP_S1 and IOMMU_ATTACH_GROUP_S2 for each list on which it
 * was the last of its group; -ENOENT with a warning, and nothing else, if it is not
 * on both, or is no nest.
 */
int iommu_attach_del_nest(struct iommu_attach_list *s1,
			  struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest)
{
	int last = 0;

	/* Before the locks: of other lists their order may be another. */
	if (WARN_ON_ONCE(nest->s1.alist != s1 || nest->s2.alist != s2 ||
			 !nest->s1.nested || !nest->s2.nested))
		return -ENOENT;

	lock_pair(s1, s2);
	if (del_locked(s1, &nest->s1))
		last |= IOMMU_ATTACH_GROUP_S1;
	if (del_locked(s2, &nest->s2))
		last |= IOMMU_ATTACH_GROUP_S2;
	unlock_pair(s1, s2);
	return last;
}
EXPORT_SYMBOL_GPL(iommu_attach_del_nest);

/* Whichever half is at hand. */
static void del_nested(struct iommu_attach_elm *elm)
{
	struct iommu_attach_nest *nest;

	if (elm->kind == IOMMU_ATTACH_OWN)
		nest = container_of(elm, struct iommu_attach_nest, s1);
	else
		nest = container_of(elm, struct iommu_attach_nest, s2);
	iommu_attach_del_nest(nest->s1.alist, nest->s2.alist, nest);
}

/**
 * iommu_attach_del_iommu() - Take all attachments of an IOMMU off the list
 * @alist: The list.
 * @iommu_device: The IOMMU instance, about to go.
 * @release: Called for each of them after one drain for all; may free it. Of a
 *	nest, which leaves both lists, it gets the half that was on this one.
 * @arg: For @release.
 *
 * The caller keeps attaches and detaches of the IOMMU's devices away, and its removal
 * from the other lists of nests. When this
 * returns no walk of this list looks at the IOMMU any more.
 *
 * Context: Process context. Sleeps. Takes and releases the lock of the list and of
 * the other lists of nests.
 */
void iommu_attach_del_iommu(struct iommu_attach_list *alist,
			    struct iommu_device *iommu_device,
			    void (*release)(struct iommu_attach_elm *elm,
					    void *arg),
			    void *arg)
{
	struct iommu_attach_elm *elm, *next;
	struct hlist_node *n;
	HLIST_HEAD(gone);

	spin_lock(&alist->lock);
	list_for_each_entry_safe(elm, next, &alist->all, all_item) {
		if (elm->iommu_device != iommu_device)
			continue;
		hlist_add_head(&elm->gone_item, &gone);
		if (!elm->nested)
			del_locked(alist, elm);
	}
	unlock_checked(alist);

	/* Of nests, the other list's lock may have to be taken first. */
	hlist_for_each_entry(elm, &gone, gone_item) {
		if (elm->nested)
			del_nested(elm);
	}

	/* Even for none: what was deleted before may still be walked. */
	iommu_attach_drain();
	hlist_for_each_entry_safe(elm, n, &gone, gone_item)
		release(elm, arg);
}
EXPORT_SYMBOL_GPL(iommu_attach_del_iommu);

/**
 * iommu_attach_drain() - Wait for every walk that may still use what was deleted
 *
 * When this returns, no command for an attachment that was deleted before is in
 * flight or will be sent by iommu_attach_flush(): it, its device and its IOMMU may
 * go. One drain serves all that was deleted before it, on whatever lists.
 *
 * Context: Process context. Sleeps.
 */
void iommu_attach_drain(void)
{
	trace_iommu_alist_drain(false);
	synchronize_rcu();
	trace_iommu_alist_drain(true);
}
EXPORT_SYMBOL_GPL(iommu_attach_drain);

/**
 * iommu_attach_enable_atc() - The device of an attachment is about to use its ATC
 * @elm: An attachment that is on a list; &iommu_attach_elm.atc is set.
 *
 * Call it before the IOMMU answers the device's translation requests. ATS is on in
 * the device by then, so that it answers commands: when this returns, the ATC part of
 * every flush whose IOTLB part has not completed reaches it.
 *
 * Context: Process context. Sleeps. Takes and releases the list's lock.
 * Return: 0, also if it is in use already; -ENOMEM, and nothing has changed;
 * -EINVAL with a warning if @elm is on no list, is half of a nest, or its value is
 * out of range.
 */
int iommu_attach_enable_atc(struct iommu_attach_elm *elm)
{
	struct attach_part part = {
		.alist = elm->alist,
		.elm = elm,
		.kind = IOMMU_ATTACH_OWN,
		.atc = true,
	};

	if (WARN_ON_ONCE(!elm->alist || elm->nested ||
			 elm->atc & IOMMU_ATTACH_LIVE))
		return -EINVAL;
	return attach_parts(&part, 1, try_one);
}
EXPORT_SYMBOL_GPL(iommu_attach_enable_atc);

/**
 * iommu_attach_disable_atc() - The device of an attachment does not use its ATC
 * @elm: An attachment that is on a list.
 *
 * Call it when the IOMMU refuses what the device has translated before, and the
 * device's ATC is clean. Walks that are running may still send to the device:
 * disable ATS in it after iommu_attach_drain(), or it may not answer them.
 *
 * Context: Process context. Takes and releases the list's lock. Neither sleeps nor
 * allocates.
 */
void iommu_attach_disable_atc(struct iommu_attach_elm *elm)
{
	struct iommu_attach_list *alist = elm->alist;

	if (WARN_ON_ONCE(!alist || elm->nested))
		return;
	spin_lock(&alist->lock);
	stop_atc(elm);
	unlock_checked(alist);
}
EXPORT_SYMBOL_GPL(iommu_attach_disable_atc);

/**
 * iommu_attach_nest_enable_atc() - As iommu_attach_enable_atc(), for a nest
 * @nest: A nest that is on its lists; the values of both halves are set.
 *
 * Context: Process context. Sleeps. Takes and releases both lists' locks.
 * Return: As iommu_attach_enable_atc(); on both lists or on neither.
 */
int iommu_attach_nest_enable_atc(struct iommu_attach_nest *nest)
{
	struct attach_part part[] = {
		{
			.alist = nest->s1.alist,
			.elm = &nest->s1,
			.kind = IOMMU_ATTACH_OWN,
			.atc = true,
		},
		{
			.alist = nest->s2.alist,
			.elm = &nest->s2,
			.kind = IOMMU_ATTACH_NEST,
			.atc = true,
		},
	};

	if (WARN_ON_ONCE(!nest->s1.alist || !nest->s2.alist ||
			 !nest->s1.nested || !nest->s2.nested ||
			 (nest->s1.atc | nest->s2.atc) & IOMMU_ATTACH_LIVE))
		return -EINVAL;
	return attach_parts(part, ARRAY_SIZE(part), try_pair);
}
EXPORT_SYMBOL_GPL(iommu_attach_nest_enable_atc);

/**
 * iommu_attach_nest_disable_atc() - As iommu_attach_disable_atc(), for a nest
 * @nest: A nest that is on its lists.
 *
 * Context: Process context. Takes and releases both lists' locks. Neither sleeps
 * nor allocates.
 */
void iommu_attach_nest_disable_atc(struct iommu_attach_nest *nest)
{
	struct iommu_attach_list *s1 = nest->s1.alist, *s2 = nest->s2.alist;

	if (WARN_ON_ONCE(!s1 || !s2 || !nest->s1.nested || !nest->s2.nested))
		return;
	lock_pair(s1, s2);
	stop_atc(&nest->s1);
	stop_atc(&nest->s2);
	unlock_pair(s1, s2);
}
EXPORT_SYMBOL_GPL(iommu_attach_nest_disable_atc);

/**
 * iommu_attach_find_tag() - The tag that a domain has on an IOMMU
 * @alist: The domain's list.
 * @iommu_device: The IOMMU.
 * @tag: Where it is put; the lowest one if there are several.
 *
 * Context: Process context. Takes and releases the list's lock. Does not sleep.
 * Return: 0, or -ENOENT if nothing of the domain's own is attached there.
 */
int iommu_attach_find_tag(struct iommu_attach_list *alist,
			  struct iommu_device *iommu_device, u64 *tag)
{
	struct iommu_attach_group *group;
	struct iommu_attach_table *table;
	int ret = -ENOENT;
	u32 i = 0;

	spin_lock(&alist->lock);
	table = locked_table(alist);
	if (table)
		i = lower_bound(table, iommu_device, IOMMU_ATTACH_OWN, 0);
	for (; ret && i < (table ? table->nr : 1); i++) {
		group = table ? table->group[i] : alist->only;
		if (group->iommu_device != iommu_device ||
		    group->kind != IOMMU_ATTACH_OWN)
			break;
		if (group->users) {
			*tag = group->tag;
			ret = 0;
		}
	}
	spin_unlock(&alist->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_attach_find_tag);

/*
 * A flush is made of passes over the list. Each sends to every IOMMU, then waits
 * for every IOMMU that it sent to: what was sent to is kept on the stack, so that
 * a detach in between cannot take it away.
 */
enum {
	SEND_OWN	= BIT(IOMMU_ATTACH_OWN),
	SEND_NEST	= BIT(IOMMU_ATTACH_NEST),
	SEND_ATC	= BIT(2),	/* targets with a number in (after, until] */
};

struct flush_sent {
	struct iommu_device *iommu_device;
	u64 cookie;
};

struct flush {
	struct iommu_attach_walk walk;
	const struct iommu_attach_flush_ops *ops;
	void *arg;
	u64 after;
	u64 until;
	u32 nr_sent;
	struct iommu_attach_sent count;
	struct flush_sent sent[FLUSH_WINDOW];
};

static void flush_wait(struct flush *flush)
{
	const struct flush_sent *sent, *end = &flush->sent[flush->nr_sent];

	for (sent = flush->sent; sent != end; sent++)
		flush->ops->wait(sent->iommu_device, sent->cookie, flush->arg);
	flush->nr_sent = 0;
}

/* Of the groups of one IOMMU. Out of the way of flushes without any. */
static noinline bool flush_atcs(struct flush *flush,
				struct iommu_attach_group *const *pos,
				struct iommu_attach_group *const *end)
{
	const struct iommu_attach_slots *slots;
	const atomic64_t *slot, *slot_end;
	bool sent = false;
	u64 atc;

	for (; pos != end; pos++) {
		hlist_for_each_entry_rcu(slots, &(*pos)->slots, item) {
			slot_end = __iommu_attach_slots_end(slots);
			for (slot = slots->slot; slot != slot_end; slot++) {
				atc = __iommu_attach_target(slots, slot, flush->after,
							    flush->until);
				if (!atc)
					continue;
				flush->ops->atc(*pos, atc & ~IOMMU_ATTACH_LIVE,
						flush->arg);
				iommu_attach_count(&flush->count, atcs);
				sent = true;
			}
		}
	}
	return sent;
}

static void flush_pass(struct flush *flush, u32 what)
{
	struct iommu_attach_group *const *pos, *const *next;
	const struct iommu_attach_cursor *groups = &flush->walk.groups;
	struct flush_sent *last;
	bool sent;

	for (pos = groups->pos; pos != groups->end; pos = next) {
		next = pos + 1;
		if (!__iommu_attach_live(*pos))
			continue;

		/* Own tags come before those of nests in the table. */
		sent = false;
		next = pos;
		do {
			if (what & BIT((*next)->kind) && __iommu_attach_live(*next)) {
				flush->ops->iotlb(*next, flush->arg);
				iommu_attach_count(&flush->count, groups);
				sent = true;
			}
			next++;
		} while (next != groups->end &&
			 (*next)->iommu_device == (*pos)->iommu_device);

		if (what & SEND_ATC)
			sent |= flush_atcs(flush, pos, next);
		if (!sent)
			continue;

		last = &flush->sent[flush->nr_sent++];
		last->iommu_device = (*pos)->iommu_device;
		last->cookie = flush->ops->sync(last->iommu_device, flush->arg);
		iommu_attach_count(&flush->count, syncs);
		if (unlikely(flush->nr_sent == FLUSH_WINDOW))
			flush_wait(flush);
	}
	flush_wait(flush);
}

/**
 * iommu_attach_flush() - Send the invalidations of a domain and wait for them
 * @alist: The domain's list.
 * @ops: How the driver sends them.
 * @arg: What they are about, for the callbacks: the range, a batch.
 *
 * Sends, to each IOMMU: one &iommu_attach_flush_ops.iotlb for each of the domain's
 * own tags, one for each nest's, and then one &iommu_attach_flush_ops.atc for each
 * ATC target. One &iommu_attach_flush_ops.sync per IOMMU and phase, where a phase
 * ends only where the hardware needs it to. In each phase all IOMMUs (64 at a time, or
 * 32 on 32-bit machines) are sent to before the first one is waited for.
 *
 * Who uses an ATC is decided when the IOTLB part has completed. Hardware that
 * orders ATC commands itself is sent them along with the IOTLB commands; what came
 * to use its ATC in between is then sent to in a phase of its own.
 *
 * When this returns, nothing caches a translation of the domain that was taken out
 * of the page table before the call, in the range that the callbacks send.
 *
 * Context: Any context but NMI. Takes no lock, does not sleep, does not allocate;
 * waits for hardware inside an RCU read-side section.
 */
void iommu_attach_flush(struct iommu_attach_list *alist,
			const struct iommu_attach_flush_ops *ops, void *arg)
{
	u32 what = SEND_OWN | SEND_NEST;
	struct flush flush __uninitialized;	/* a KiB, most of it for many IOMMUs */

	flush.ops = ops;
	flush.arg = arg;
	flush.after = 0;
	flush.until = 0;
	flush.nr_sent = 0;
	flush.count = (struct iommu_attach_sent){};

	__iommu_attach_walk_begin(&flush.walk, alist);
	if (ops->atc && !ops->sync_before_atc && READ_ONCE(alist->nr_atc)) {
		/*
		 * Every target up to this number, in a group of the walk, is seen from
		 * here on. One in a newer group came after the walk's barrier: its
		 * hardware sees the page table.
		 */
		flush.until = atomic64_read_acquire(&alist->atc_seq);
		what |= SEND_ATC;
	}
	if (unlikely(ops->sync_before_nest)) {
		flush_pass(&flush, SEND_OWN);
		what &= ~SEND_OWN;
	}
	flush_pass(&flush, what);

	if (ops->atc && __iommu_attach_load_atcs(&flush.walk)) {
		flush.after = flush.until;
		flush.until = flush.walk.atc_until;
		if (flush.until != flush.after) {
			/* They may be in groups of a newer table. */
			__iommu_attach_load(alist, &flush.walk.groups);
			flush_pass(&flush, SEND_ATC);
		}
	}
	trace_iommu_alist_flush(alist, &flush.count);
	iommu_attach_debugfs_flush(alist, &flush.count);
	iommu_attach_walk_end(&flush.walk);
}
EXPORT_SYMBOL_GPL(iommu_attach_flush);
