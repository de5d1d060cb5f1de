// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of every place that may cache a domain's translations
 *
 * The list indexes a domain's attachments three ways:
 *
 *   alist->table -> group, group, ...      for walks: the targets of commands
 *                     |-> slots, slots
 *   alist->all   -> attachment, ...        for slow paths: all attachments
 *   alist->index -> attachment, ...        for attach: does this ATC target exist?
 *
 * One IOTLB command serves a group, which counts its attachments. One ATC command
 * serves a slot. So duplicates collapse when they are attached, and a walk has nothing
 * left to compare: it goes over an array of pointers to groups, skipping those without
 * users, and over the slots of each group, skipping those that are free.
 *
 * Everything rests on two rules:
 *
 *   A group keeps its key (IOMMU, kind, tag), and an ATC target keeps its slot, for as
 *   long as a walk may see them. A new key goes to a group that has not had one, usually
 *   in a new table; old tables, groups and slots are freed after a grace period.
 *
 *   Deleting only removes: it decrements counts, clears a slot, and unlinks blocks of
 *   slots that have become empty, except the block that is part of its group. So it
 *   needs no memory and cannot fail, and every walk sees the remaining attachments:
 *   their group's count does not reach zero, and their slot does not move.
 *
 * A group that has lost its last user stays in the table. An attach with the same key
 * reuses it and needs no memory, unless it uses an ATC. A new table leaves most of them
 * out, see table_keeps(). A list that loses its last attachment frees all, and its table.
 * The first group of a list is inside the list and needs no table: most domains have
 * one group and are walked in one cache line.
 *
 * If an IOMMU has many groups of a kind, such as the nests of a parent, a new table has
 * spare groups behind them, an eighth of their number, for the next keys. So the table
 * is copied only after it has grown by a fixed fraction, and the time to attach many
 * groups is linear in their number.
 *
 * Locking: alist->lock guards every write to the list and to everything that it points
 * to. Memory is allocated before the lock is taken. For a nest, two lists are locked,
 * the S1 domain's first. An endpoint's lock nests inside and guards the state bits of
 * the slots of its attachments. Walks take no lock, see Barriers.
 *
 * Fences: while a flush waits for hardware, it is outside of RCU read-side sections.
 * Instead, it is counted in the fence of the IOMMU, per CPU, when it enters and when it
 * leaves: if both sums are equal, no flush is inside. There are two pairs of counters,
 * and new flushes use the current one. A round waits until the other pair is idle, makes
 * it current, and waits until the previous one is idle. Then every flush that entered
 * before the round has left, and flushes that enter later do not prolong it. SRCU
 * counts its readers in the same way. But with SRCU, a flush that leaves several fences
 * could not share one full barrier, and a caller could not poll: here, the waiters
 * themselves advance a round.
 *
 * Barriers. In the first two tables, either the walk on the left sees the attachment or
 * target that was published on the right, or the hardware starts late enough to see what
 * the walk has completed before.
 *
 *   unmap                                  attach
 *   -----                                  ------
 *   write the page table                   publish table, users, slot
 *   smp_mb() in walk_begin, send           smp_mb() in attach_parts
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
 * The first is store buffering and takes a full barrier on both sides. In the second,
 * the left side only reads: if an IOMMU looked into its IOTLB before it executed the
 * commands, it did so before it reported their completion. So a CPU that has read the
 * report sees what was published before the device could send a request.
 *
 * In the next two, either the fence sees that the flush has entered, or the flush sees
 * that the target was deleted; and everything that the flush did happens before everything
 * that follows the fence.
 *
 *   flush                                  detach, fence
 *   -----                                  -------------
 *   count the entry                        clear slot
 *   smp_mb() in send                       smp_mb() in fence_idle
 *   read slots                             sum up leaves, then entries
 *
 *   send, wait                             sum up leaves
 *   smp_mb() in pass, flush_leave          smp_mb() in fence_idle
 *   count the leave                        let the device go
 *
 * In the next one, a flush that left out a silent device finds, when it ends, that the device
 * is blocked, resumed or deleted. So before the flush returns, the IOMMU refuses what the
 * device has cached, or the cache is empty. A resumed device fetches nothing stale: the fence
 * after resume waits for the flush.
 *
 *   flush                                  block, resume, delete
 *   -----                                  ---------------------
 *   atomic64_read_acquire() of the slot    have the IOMMU refuse what is cached
 *     in flush_next_target: not silent     atomic64_set_release() in endpoint_set
 *   return 0: the page is reused
 *
 *   walk; flush without ATC                drain
 *   -----------------------                -----
 *   rcu_read_lock()                        clear users
 *   send, look for a moment                synchronize_rcu() in drain
 *   count the entry, if not completed
 *   rcu_read_unlock()                      fence; let the IOMMU go
 */
#include <linux/array_size.h>
#include <linux/bug.h>
#include <linux/container_of.h>
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/iommu-alist.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/percpu.h>
#include <linux/string.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "iommu-alist-priv.h"

#define CREATE_TRACE_POINTS
#include <trace/events/iommu_alist.h>
EXPORT_TRACEPOINT_SYMBOL_GPL(iommu_alist_flush);

/* IOMMUs that a flush out of line sends to before it waits: half a KiB of stack. */
#define FLUSH_WINDOW	IOMMU_ATTACH_WINDOW_MAX
/* By its room, a pass knows whether it is an inline one. */
static_assert(IOMMU_ATTACH_WINDOW < FLUSH_WINDOW, "IOMMU_ATTACH_WINDOW out of range");

/* IOMMUs behind which a flush looks for silent devices at the same time: 40 bytes each. */
#define SEARCH_WINDOW	4U

/*
 * How often a flush sends again to an IOMMU that aborts its commands. The count starts over
 * when a device behind that IOMMU is set aside, since that device explains the abort.
 */
#define FLUSH_RETRIES	16

/* A new table has one spare group per this many groups of one IOMMU and kind. */
#define RUN_PER_SPARE	8

#define INDEX_MIN_BITS	3
#define SLOTS_MIN_BYTES	256
#define SLOTS_MAX_BYTES	4096
#define SLOT_BYTES	(2 * sizeof(atomic64_t))	/* a target and its number */

/* Slots in one piece with their group: 248 bytes in all where pointers have 8. */
#define SLOTS_INSIDE	8
#define GROUP_BYTES	(sizeof(struct iommu_attach_group) + \
			 sizeof(struct iommu_attach_slots) + SLOTS_INSIDE * SLOT_BYTES)

/*
 * One list's part of an attach, and the memory for it. The missing memory is computed
 * under the lock and allocated outside of it.
 */
struct attach_part {
	struct iommu_attach_list *alist;
	struct iommu_attach_elm *elm;	/* the first one of an array, of one group */
	u32 nr;
	enum iommu_attach_kind kind;
	bool atc;			/* the attachments are to have ATC targets */
	bool attached;			/* they are on the list already */

	struct iommu_attach_group *found;	/* its group, or a spare one */

	/* Needed: 0 if not. */
	u32 want_table;			/* entries */
	u32 want_groups;		/* the new one, and spare ones */
	u32 want_slots;			/* for targets that have no room yet */
	u32 slots_bytes;		/* to allocate for them */
	u32 want_index;			/* bits */

	/* Allocated. */
	struct iommu_attach_table *table;	/* new groups are at its end */
	u32 nr_groups;
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

/* A spare group has no key yet: the first user sets its tag and its fence. */
static bool group_is_spare(const struct iommu_attach_group *group)
{
	return !group->fence;
}

/* For groups that have a key, and for the list's first group, whose IOMMU is NULL before. */
static bool group_has_key(const struct iommu_attach_group *group,
			  const struct iommu_device *iommu_device, u8 kind, u64 tag)
{
	return group->iommu_device == iommu_device && group->kind == kind && group->tag == tag;
}

/* The order of a table: by IOMMU, by kind, and spare groups last. */
static int cmp_group(const struct iommu_attach_group *group,
		     const struct iommu_device *iommu_device, u8 kind, bool spare)
{
	if (group->iommu_device != iommu_device)
		return group->iommu_device < iommu_device ? -1 : 1;
	if (group->kind != kind)
		return group->kind < kind ? -1 : 1;
	return group_is_spare(group) - spare;
}

/* The index of the first group that does not sort before the given position. */
static u32 lower_bound(const struct iommu_attach_table *table,
		       const struct iommu_device *iommu_device, u8 kind, bool spare)
{
	u32 low = 0, high = table->nr;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (cmp_group(table->group[mid], iommu_device, kind, spare) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * Behind the groups of a table is a hash of them by key, at least half empty: indices plus
 * one, 0 is free. Walks do not look at it.
 */
static u32 table_places(u32 nr)
{
	return roundup_pow_of_two(2 * nr);
}

static size_t table_bytes(u32 nr)
{
	return size_add(struct_size((struct iommu_attach_table *)NULL, group, nr),
			array_size(sizeof(u32), table_places(nr)));
}

static u32 *table_hash(struct iommu_attach_table *table)
{
	return (void *)table + struct_size(table, group, table->nr);
}

/* The place of the group with this key, or the free one where it belongs. */
static u32 *table_place(struct iommu_attach_table *table,
			const struct iommu_device *iommu_device, u8 kind, u64 tag)
{
	u32 *places = table_hash(table);
	u32 nr = table_places(table->nr);
	u64 key = tag ^ hash_64((uintptr_t)iommu_device + kind, 32);
	u32 i = hash_64(key, ilog2(nr));

	while (places[i] && !group_has_key(table->group[places[i] - 1], iommu_device,
					   kind, tag))
		i = (i + 1) & (nr - 1);
	return &places[i];
}

static struct iommu_attach_group *find_group(struct iommu_attach_list *alist,
					     const struct iommu_attach_elm *elm,
					     u8 kind)
{
	struct iommu_attach_table *table = locked_table(alist);
	struct iommu_attach_group *group = &alist->first;
	u32 place;

	if (table) {
		place = *table_place(table, elm->iommu_device, kind, elm->tag);
		return place ? table->group[place - 1] : NULL;
	}
	return group_has_key(group, elm->iommu_device, kind, elm->tag) ? group : NULL;
}

/* A spare group that may get the key of an attachment, or NULL. */
static struct iommu_attach_group *find_spare(struct iommu_attach_list *alist,
					     const struct iommu_attach_elm *elm, u8 kind)
{
	struct iommu_attach_table *table = locked_table(alist);
	u32 pos;

	if (!table)
		return NULL;
	pos = lower_bound(table, elm->iommu_device, kind, true);
	if (pos == table->nr || cmp_group(table->group[pos], elm->iommu_device, kind, true))
		return NULL;
	return table->group[pos];
}

/* The number of groups with the IOMMU and the kind of an attachment, if none is spare. */
static u32 run_length(struct iommu_attach_list *alist, const struct iommu_attach_elm *elm,
		      u8 kind)
{
	struct iommu_attach_table *table = locked_table(alist);

	if (!table)
		return 1;
	return lower_bound(table, elm->iommu_device, kind, true) -
	       lower_bound(table, elm->iommu_device, kind, false);
}

/* Devices behind different IOMMUs may have the same requester id. */
static struct hlist_head *index_bucket(const struct iommu_attach_list *alist,
				       const struct iommu_attach_group *group, u64 atc)
{
	u64 key = atc ^ hash_64((uintptr_t)group, 32);

	return &alist->index[hash_64(key, alist->index_bits)];
}

/* The ATC target in an attachment's slot, without the state bits. */
static u64 target_value(const struct iommu_attach_elm *elm)
{
	return atomic64_read(&elm->slots->slot[elm->slot]) & ~IOMMU_ATTACH_STATE;
}

/* An attachment of the group with the same ATC target. */
static struct iommu_attach_elm *find_target(struct iommu_attach_list *alist,
					    struct iommu_attach_group *group, u64 atc)
{
	struct iommu_attach_elm *other;

	if (!alist->index)
		return NULL;
	hlist_for_each_entry(other, index_bucket(alist, group, atc), index_item) {
		if (other->group == group && target_value(other) == atc)
			return other;
	}
	return NULL;
}

/*
 * Checks of IOMMU_ALIST_DEBUG. Sum the addresses that attachments refer to and those
 * that groups and slots account for; they must match.
 */
static const char *check_group(const struct iommu_attach_group *group, u32 *targets,
			       u64 *places)
{
	const struct iommu_attach_slots *slots;
	u32 i, used, room = 0;

	hlist_for_each_entry(slots, &group->slots, item) {
		room += slots->capacity;
		for (i = 0, used = 0; i < slots->capacity; i++) {
			if (!atomic64_read(&slots->slot[i]))
				continue;
			if (i >= slots->end)
				return "a target is out of reach";
			*places += (uintptr_t)&slots->slot[i];
			used++;
		}
		if (used != slots->nr_used)
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
				   group_is_spare(group)) > 0)
			return "groups are not sorted";
		nr_idle += !group_is_spare(group) && !group->users;
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
		if (target_value(elm) != elm->atc)
			return "an attachment has another target";
		/* One for all that share the target. */
		if (find_target(alist, elm->group, elm->atc) == elm)
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

/* Called after each change. Long lists are checked only after some. */
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
	return part->nr_groups && part->table->nr - part->nr_groups >=
				  part->want_table - part->want_groups;
}

static bool part_has_slots(const struct attach_part *part)
{
	return part->slots && part->slots->capacity >= part->want_slots;
}

static bool part_has_index(const struct attach_part *part)
{
	return part->index && part->index_bits >= part->want_index;
}

/* The slots that are missing for the targets, at most: targets of the array may be equal. */
static u32 slots_missing(const struct attach_part *part, struct iommu_attach_group *group)
{
	const struct iommu_attach_slots *slots;
	u32 i, missing = 0;

	for (i = 0; i < part->nr; i++)
		missing += !group || !find_target(part->alist, group, part->elm[i].atc);
	/* A new group has room inside, except the list's first. */
	if (!group)
		return missing - min(missing, part->want_table ? SLOTS_INSIDE : 0U);
	hlist_for_each_entry(slots, &group->spare, spare_item) {
		if (!missing)
			break;
		missing -= min(missing, (u32)slots->capacity - slots->nr_used);
	}
	return missing;
}

/* Compute the memory needed; return true if already allocated. */
static bool part_ready(struct attach_part *part)
{
	struct iommu_attach_list *alist = part->alist;
	struct iommu_attach_table *table = locked_table(alist);
	struct iommu_attach_group *group;
	u32 bits, bytes;

	part->want_table = 0;
	part->want_groups = 0;
	part->want_slots = 0;
	part->want_index = 0;

	group = find_group(alist, part->elm, part->kind) ?:
		find_spare(alist, part->elm, part->kind);
	part->found = group;
	if (!group && alist->first.iommu_device) {
		part->want_groups = run_length(alist, part->elm, part->kind) / RUN_PER_SPARE + 1;
		part->want_table = (table ? table->nr : 1) + part->want_groups;
	}

	if (part->atc && !part->elm->slots) {
		bits = alist->index ? alist->index_bits : INDEX_MIN_BITS;
		while ((alist->nr_indexed + part->nr - 1) >> bits)
			bits++;
		if (!alist->index || bits != alist->index_bits)
			part->want_index = bits;

		part->want_slots = slots_missing(part, group);
		/* Double the slots that the group has, so that a walk follows few links. */
		bytes = (group ? group->nr_slots : 0) * 2 * SLOT_BYTES;
		bytes = clamp(bytes, SLOTS_MIN_BYTES, SLOTS_MAX_BYTES);
		bytes = max(bytes, sizeof(*part->slots) + part->want_slots * SLOT_BYTES);
		part->slots_bytes = roundup_pow_of_two(bytes);
	}

	return (!part->want_table || part_has_table(part)) &&
	       (!part->want_slots || part_has_slots(part)) &&
	       (!part->want_index || part_has_index(part));
}

static void part_free_table(struct attach_part *part)
{
	while (part->nr_groups) {
		kvfree(part->table->group[part->table->nr - part->nr_groups]);
		part->nr_groups--;
	}
	kvfree(part->table);
	part->table = NULL;
}

static int part_alloc_table(struct attach_part *part)
{
	struct iommu_attach_group *group;

	part_free_table(part);
	part->table = iommu_attach_alloc(table_bytes(part->want_table));
	if (!part->table)
		return -ENOMEM;
	part->table->nr = part->want_table;
	while (part->nr_groups < part->want_groups) {
		group = iommu_attach_alloc(part->atc ? GROUP_BYTES : sizeof(*group));
		if (!group)
			return -ENOMEM;
		part->nr_groups++;
		part->table->group[part->want_table - part->nr_groups] = group;
	}
	return 0;
}

static int part_alloc(struct attach_part *part)
{
	int ret;

	if (part->want_table && !part_has_table(part)) {
		ret = part_alloc_table(part);
		if (ret)
			return ret;
	}
	if (part->want_slots && !part_has_slots(part)) {
		kvfree(part->slots);
		part->slots = iommu_attach_alloc(part->slots_bytes);
		if (!part->slots)
			return -ENOMEM;
		part->slots->capacity = (part->slots_bytes - sizeof(*part->slots)) /
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
	part_free_table(part);
	kvfree(part->slots);
	kvfree(part->index);
}

static void add_slots(struct iommu_attach_group *group, struct iommu_attach_slots *slots)
{
	group->nr_slots += slots->capacity;
	hlist_add_head(&slots->spare_item, &group->spare);
	hlist_add_head_rcu(&slots->item, &group->slots);
}

/* Gives a group of the table its key. */
static void use_spare(struct iommu_attach_list *alist, struct iommu_attach_group *group,
		      const struct iommu_attach_elm *elm)
{
	struct iommu_attach_table *table = locked_table(alist);
	u32 pos = lower_bound(table, group->iommu_device, group->kind, true);

	*table_place(table, group->iommu_device, group->kind, elm->tag) = pos + 1;
	group->tag = elm->tag;
	group->fence = elm->fence;
}

/* The groups of a table that have the same IOMMU and kind. */
struct run {
	u32 end;
	bool whole;		/* a new table takes over all of them */
};

/*
 * Of a run, a new table takes over either all groups or only those with users. If it took over
 * a spare group and not an idle one, the key of the idle one could come back in the spare one,
 * and a walk in the old table would see it twice.
 */
static void next_run(struct iommu_attach_group *const *groups, u32 nr, struct run *run)
{
	const struct iommu_attach_group *first = groups[run->end], *group = first;
	u32 nr_used = 0, nr_idle = 0;

	while (group->iommu_device == first->iommu_device && group->kind == first->kind) {
		if (group->users)
			nr_used++;
		else if (!group_is_spare(group))
			nr_idle++;
		/* Spare ones are the last ones. */
		run->whole = group_is_spare(group) && nr_used > nr_idle;
		if (++run->end == nr)
			break;
		group = groups[run->end];
	}
}

/* Does a new table take over group number @i? Called for one after the other. */
static bool table_keeps(struct iommu_attach_group *const *groups, u32 nr, u32 i,
			struct run *run)
{
	if (i == run->end)
		next_run(groups, nr, run);
	return groups[i]->users || run->whole;
}

/*
 * Counts the IOMMUs of a new table's groups, and fills in its hash. @added is the new group. A
 * group without users may name the fence of an IOMMU that is gone.
 */
static void table_finish(struct iommu_attach_table *table,
			 const struct iommu_attach_group *added)
{
	const struct iommu_attach_group *group, *last = NULL, *used = NULL;
	u32 i;

	memset(table_hash(table), 0, sizeof(u32) * table_places(table->nr));
	for (i = 0; i < table->nr; i++) {
		group = table->group[i];
		/* Never before the first group with a key of an IOMMU. */
		if (group_is_spare(group))
			continue;
		if (!last || last->iommu_device != group->iommu_device)
			table->nr_iommus++;
		last = group;
		if (group->users || group == added) {
			WARN_ONCE(used && used->iommu_device == group->iommu_device &&
				  used->fence != group->fence,
				  "attach list: an IOMMU has two fences\n");
			used = group;
		}
		*table_place(table, group->iommu_device, group->kind, group->tag) = i + 1;
	}
}

/* A new table: groups of the old one, the new one, and spare ones for the next. */
static struct iommu_attach_group *part_add_group(struct attach_part *part)
{
	struct iommu_attach_list *alist = part->alist;
	struct iommu_attach_table *old = locked_table(alist);
	struct iommu_attach_table *new = part->table;
	const struct iommu_attach_elm *elm = part->elm;
	struct iommu_attach_group **olds = old ? old->group : &alist->only;
	struct iommu_attach_group *group, **news;
	struct iommu_attach_slots *slots;
	struct run run = {};
	u32 nr_old = old ? old->nr : 1;
	bool idle = alist->nr_idle;
	u32 i, pos, nr = 0;

	if (!alist->first.iommu_device) {
		group = &alist->first;
		group->iommu_device = elm->iommu_device;
		group->fence = elm->fence;
		group->kind = part->kind;
		group->tag = elm->tag;
		return group;
	}

	news = &new->group[new->nr - part->nr_groups];
	for (i = 0; i < part->nr_groups; i++) {
		group = news[i];
		group->iommu_device = elm->iommu_device;
		group->kind = part->kind;
		if (part->atc) {
			slots = (struct iommu_attach_slots *)(group + 1);
			slots->inside = true;
			slots->capacity = SLOTS_INSIDE;
			add_slots(group, slots);
		}
	}
	group = news[0];
	group->fence = elm->fence;
	group->tag = elm->tag;

	if (old)
		pos = lower_bound(old, elm->iommu_device, part->kind, true);
	else
		pos = cmp_group(olds[0], elm->iommu_device, part->kind, true) < 0;

	/* The write position never passes that of the new groups, which are at the end. */
	for (i = 0; i <= nr_old; i++) {
		if (i == pos) {
			while (part->nr_groups) {
				new->group[nr++] = *news++;
				part->nr_groups--;
			}
		}
		/* Usually no group is idle, so none has to be looked at. */
		if (i < nr_old && (!idle || table_keeps(olds, nr_old, i, &run)))
			new->group[nr++] = olds[i];
	}
	new->nr = nr;
	table_finish(new, group);

	/* Running walks go on with the old table. */
	rcu_assign_pointer(alist->table, new);
	part->table = NULL;

	run.end = 0;
	for (i = 0; idle && i < nr_old; i++) {
		if (table_keeps(olds, nr_old, i, &run))
			continue;
		if (!group_is_spare(olds[i]))
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
				       index_bucket(alist, elm->group,
						    target_value(elm)));
	}
	part->index = old;	/* freed with what is left over */
}

/*
 * Publishes the target of an attachment, in the current state of its endpoint. If the
 * attachment shares an existing target, that target does not change.
 */
static void endpoint_join(struct iommu_attach_elm *elm)
{
	struct iommu_attach_endpoint *endpoint = elm->joined;
	atomic64_t *slot = &elm->slots->slot[elm->slot];
	unsigned long flags;

	if (!endpoint) {
		atomic64_set_release(slot, elm->atc | IOMMU_ATTACH_LIVE);
		return;
	}
	raw_spin_lock_irqsave(&endpoint->lock, flags);
	atomic64_set_release(slot, elm->atc | (endpoint->aside ?: IOMMU_ATTACH_LIVE));
	list_add_tail(&elm->endpoint_item, &endpoint->elms);
	raw_spin_unlock_irqrestore(&endpoint->lock, flags);
}

/* From here on, the endpoint does not change the slot. */
static void endpoint_part(struct iommu_attach_elm *elm)
{
	struct iommu_attach_endpoint *endpoint = elm->joined;
	unsigned long flags;

	/* Use the one that it has joined, as the driver may have changed the attachment's. */
	WARN_ONCE(elm->endpoint != endpoint,
		  "attach list: an endpoint changed while attached\n");
	if (!endpoint)
		return;
	raw_spin_lock_irqsave(&endpoint->lock, flags);
	list_del(&elm->endpoint_item);
	raw_spin_unlock_irqrestore(&endpoint->lock, flags);
}

static void part_add_target(struct attach_part *part, struct iommu_attach_elm *elm)
{
	struct iommu_attach_list *alist = part->alist;
	struct iommu_attach_group *group = elm->group;
	struct iommu_attach_elm *other;
	struct iommu_attach_slots *slots;
	u32 i;
	u64 seq;

	other = find_target(alist, group, elm->atc);
	if (other) {
		if (WARN_ONCE(elm->endpoint != other->joined,
			      "attach list: an ATC target has two endpoints\n"))
			elm->endpoint = other->joined;
		elm->joined = other->joined;
		elm->slots = other->slots;
		elm->slot = other->slot;
		endpoint_join(elm);
		goto index;
	}

	if (hlist_empty(&group->spare)) {
		slots = part->slots;
		part->slots = NULL;
		add_slots(group, slots);
	} else {
		slots = hlist_entry(group->spare.first,
				    struct iommu_attach_slots, spare_item);
	}
	/* The lowest free slot: usually none before the end is free. */
	i = slots->nr_used == slots->end ? slots->end : 0;
	while (atomic64_read(&slots->slot[i]))
		i++;
	if (i == slots->end)
		WRITE_ONCE(slots->end, i + 1);
	if (++slots->nr_used == slots->capacity)
		hlist_del_init(&slots->spare_item);
	elm->joined = elm->endpoint;
	elm->slots = slots;
	elm->slot = i;

	/* A walk that sees the target sees its number. */
	seq = atomic64_read(&alist->atc_seq) + 1;
	atomic64_set(&slots->slot[slots->capacity + i], seq);
	atomic64_set(&slots->seq, seq);
	endpoint_join(elm);
	WRITE_ONCE(alist->nr_atc, alist->nr_atc + 1);
	/* A walk that sees the number sees the target. */
	atomic64_set_release(&alist->atc_seq, seq);
index:
	alist->nr_indexed++;
	hlist_add_head(&elm->index_item, index_bucket(alist, group, elm->atc));
	WRITE_ONCE(elm->using_atc, true);
	trace_iommu_alist_atc(elm);
}

static void del_target(struct iommu_attach_elm *elm)
{
	struct iommu_attach_list *alist = elm->alist;
	struct iommu_attach_slots *slots = elm->slots;
	struct iommu_attach_group *group = elm->group;
	u64 atc = target_value(elm);
	u32 nr;

	/* Use the slot's value, as the driver may have changed the attachment's. */
	WARN_ONCE(elm->atc != atc, "attach list: an ATC target changed while attached\n");
	endpoint_part(elm);
	elm->slots = NULL;
	hlist_del_init(&elm->index_item);
	alist->nr_indexed--;
	if (find_target(alist, group, atc))
		return;

	atomic64_set(&slots->slot[elm->slot], 0);
	WRITE_ONCE(alist->nr_atc, alist->nr_atc - 1);
	nr = slots->end;
	while (nr && !atomic64_read(&slots->slot[nr - 1]))
		nr--;
	WRITE_ONCE(slots->end, nr);
	if (slots->nr_used-- == slots->capacity)
		hlist_add_head(&slots->spare_item, &group->spare);
	if (!slots->nr_used && !slots->inside) {
		group->nr_slots -= slots->capacity;
		hlist_del(&slots->spare_item);
		hlist_del_rcu(&slots->item);
		kvfree_rcu(slots, rcu);
	}
}

/* Return: true if the group is new, or had no users. */
static bool part_add(struct attach_part *part, struct iommu_attach_elm *elm)
{
	struct iommu_attach_list *alist = part->alist;
	struct iommu_attach_group *group = part->found;
	u32 users;

	if (!group)
		group = part_add_group(part);
	else if (group_is_spare(group))
		use_spare(alist, group, elm);
	else if (!group->users)
		alist->nr_idle--;
	part->found = group;		/* of the others of an array, too */
	users = group->users;
	if (users)
		WARN_ONCE(group->fence != elm->fence,
			  "attach list: an IOMMU has two fences\n");
	else if (group->fence != elm->fence)
		group->fence = elm->fence;	/* of another IOMMU: walks were drained */
	/* A flush that has left RCU knows the IOMMU by its fence. */
	if (READ_ONCE(elm->fence->iommu_device) != elm->iommu_device)
		WRITE_ONCE(elm->fence->iommu_device, elm->iommu_device);

	/* iommu_attach_enable_atc() looks without the lock. */
	WRITE_ONCE(elm->alist, alist);
	elm->kind = part->kind;
	elm->group = group;
	elm->slots = NULL;
	INIT_HLIST_NODE(&elm->index_item);
	list_add_tail_rcu(&elm->all_item, &alist->all);
	WRITE_ONCE(alist->nr, alist->nr + 1);

	/* A walk that sees users in the list's first group also sees its key. */
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
	WRITE_ONCE(elm->alist, NULL);
	if (group->users)
		return false;
	alist->nr_idle++;
	return true;
}

/*
 * The memory that a list without attachments does not need: a table, groups, an index.
 * Walks that have loaded the table go on with it.
 */
struct attach_rest {
	struct iommu_attach_table *table;
	struct hlist_head *index;
};

static void take_rest(struct iommu_attach_list *alist, struct attach_rest *rest)
{
	*rest = (struct attach_rest){};
	if (alist->nr)
		return;
	rest->table = locked_table(alist);
	rest->index = alist->index;
	if (rest->table) {
		RCU_INIT_POINTER(alist->table, NULL);
		alist->nr_idle = 1;	/* the first group keeps its key */
	}
	alist->index = NULL;
	alist->index_bits = 0;
}

static void free_rest(const struct iommu_attach_list *alist, struct attach_rest *rest)
{
	u32 i;

	for (i = 0; rest->table && i < rest->table->nr; i++) {
		if (rest->table->group[i] != &alist->first)
			kvfree_rcu(rest->table->group[i], rcu);
	}
	if (rest->table)
		kvfree_rcu(rest->table, rcu);
	kvfree(rest->index);
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
	struct iommu_attach_elm *elm;
	int first = 0;

	if (part->want_index)
		part_grow_index(part);
	for (elm = part->elm; elm != part->elm + part->nr; elm++) {
		if (!part->attached && part_add(part, elm))
			first = bit;
		if (part->atc && !elm->slots)
			part_add_target(part, elm);
	}
	return first;
}

/* Is an attachment that is to get an ATC target still there? */
static bool part_gone(const struct attach_part *part)
{
	return part->attached && part->elm->alist != part->alist;
}

static bool try_one(struct attach_part *part, int *first)
{
	bool ready;

	iommu_attach_debugfs_add(part->alist);
	spin_lock(&part->alist->lock);
	if (part_gone(part)) {
		*first = -ENOENT;
		spin_unlock(&part->alist->lock);
		return true;
	}
	ready = part_ready(part);
	if (ready)
		*first = part_attach(part, IOMMU_ATTACH_GROUP_DOMAIN);
	unlock_checked(part->alist);
	return ready;
}

static bool try_pair(struct attach_part *part, int *first)
{
	bool ready;

	iommu_attach_debugfs_add(part[0].alist);
	iommu_attach_debugfs_add(part[1].alist);
	lock_pair(part[0].alist, part[1].alist);
	if (part_gone(&part[0]) || part_gone(&part[1])) {
		*first = -ENOENT;
		spin_unlock(&part[1].alist->lock);
		spin_unlock(&part[0].alist->lock);
		return true;
	}
	ready = part_ready(&part[0]);
	ready = part_ready(&part[1]) && ready;
	if (ready)
		*first = part_attach(&part[0], IOMMU_ATTACH_GROUP_DOMAIN) |
			 part_attach(&part[1], IOMMU_ATTACH_GROUP_PARENT);
	unlock_pair(part[0].alist, part[1].alist);
	return ready;
}

/*
 * Between two tries, other attaches and detaches may change the free space, so compute the
 * missing memory again.
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
	 * The caller's later writes to the hardware are ordered after the publication, see
	 * Barriers.
	 */
	smp_mb();
	return ret;
}

static int check_new(const struct iommu_attach_elm *elm)
{
	struct iommu_device *fenced;

	if (WARN_ON_ONCE(elm->alist))
		return -EEXIST;
	if (WARN_ON_ONCE(!elm->iommu_device || !elm->fence ||
			 elm->kind > IOMMU_ATTACH_NEST ||
			 (elm->using_atc && elm->atc & IOMMU_ATTACH_STATE)))
		return -EINVAL;
	if (WARN_ONCE(!elm->fence->pair[0], "attach list: a fence is not initialised\n"))
		return -EINVAL;
	/* Its fence would wait for flushes of the other IOMMU. */
	fenced = READ_ONCE(elm->fence->iommu_device);
	if (WARN_ONCE(fenced && fenced != elm->iommu_device,
		      "attach list: a fence has two IOMMUs\n"))
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
 * iommu_attach_destroy() - Destroy an empty list
 * @alist: The list.
 *
 * Everything must have been deleted, and no walk may be running, since walks read the
 * list itself. A list that is not empty is left alone, with a warning.
 *
 * Context: Process context. Does not sleep.
 */
void iommu_attach_destroy(struct iommu_attach_list *alist)
{
	iommu_attach_debugfs_del(alist);
	/* Without attachments it holds no memory, see take_rest(). */
	if (!WARN_ON_ONCE(alist->nr))
		iommu_attach_init(alist);
}
EXPORT_SYMBOL_GPL(iommu_attach_destroy);

/**
 * iommu_attach_add() - Put an attachment on the list of its domain
 * @alist: The domain's list.
 * @elm: The attachment; its public fields are set, all else is zero.
 *
 * Call it before the hardware may use the domain for the device. Every walk that begins
 * after it has returned sees the attachment. Hardware that starts to use the domain after
 * that sees all page-table writes made before earlier walks.
 *
 * If two attaches could choose different tags for one (domain, IOMMU), the driver must
 * serialise them, from iommu_attach_find_tag() to here.
 *
 * Context: Process context. Sleeps. Takes and releases the list's lock.
 * Return: IOMMU_ATTACH_GROUP_DOMAIN if the attachment is the first of its group, 0 if
 * it is not; -ENOMEM, and the list is as it was; -EEXIST or -EINVAL with a warning
 * if it is on a list already or its fields are out of range, or its fence is that of
 * another IOMMU.
 */
int iommu_attach_add(struct iommu_attach_list *alist,
		     struct iommu_attach_elm *elm)
{
	struct attach_part part = {
		.alist = alist,
		.elm = elm,
		.nr = 1,
		.kind = elm->kind,
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
 * iommu_attach_add_array() - Put several attachments of a device on a list, or none
 * @alist: The domain's list.
 * @elm: The attachments, as for iommu_attach_add(): one for each ATC target of a device
 *	that has several, such as a device with aliases or several stream ids. They differ
 *	in nothing but @atc.
 * @nr: How many there are, at most %IOMMU_ATTACH_ARRAY_MAX.
 *
 * A walk that runs meanwhile may see some of them. If this fails, no walk has seen any.
 *
 * Context: Process context. Sleeps. Takes and releases the list's lock.
 * Return: As iommu_attach_add(); 0 if there are none. -EINVAL with a warning if they are not
 * of one group, not all of them use an ATC or none, or there are too many.
 */
int iommu_attach_add_array(struct iommu_attach_list *alist,
			   struct iommu_attach_elm *elm, unsigned int nr)
{
	struct attach_part part = { .alist = alist, .elm = elm, .nr = nr };
	unsigned int i;
	int ret;

	if (!nr)
		return 0;
	if (WARN_ON_ONCE(nr > IOMMU_ATTACH_ARRAY_MAX))
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		ret = check_new(&elm[i]);
		if (ret)
			return ret;
		if (WARN_ON_ONCE(elm[i].iommu_device != elm->iommu_device ||
				 elm[i].fence != elm->fence || elm[i].tag != elm->tag ||
				 elm[i].kind != elm->kind || elm[i].using_atc != elm->using_atc))
			return -EINVAL;
		elm[i].nested = false;
	}
	part.kind = elm->kind;
	part.atc = elm->using_atc;
	return attach_parts(&part, 1, try_one);
}
EXPORT_SYMBOL_GPL(iommu_attach_add_array);

/**
 * iommu_attach_add_nest() - Put a nest on the lists of its S1 domain and its parent
 * @s1: The list of the S1 domain.
 * @s2: The list of its S2 parent.
 * @nest: Both attachments; their public fields are set, all else is zero.
 *
 * As iommu_attach_add(), on both lists or on neither. From here on a flush of the
 * parent reaches the tag of the nest and the whole ATC of the device.
 *
 * Context: Process context. Sleeps. Takes and releases both lists' locks, S1's
 * outside.
 * Return: IOMMU_ATTACH_GROUP_DOMAIN and IOMMU_ATTACH_GROUP_PARENT for each list on which
 * the group is new; negative as iommu_attach_add(), and -EINVAL with a warning if both
 * lists are the same, or the halves differ in their IOMMU or their use of an ATC.
 */
int iommu_attach_add_nest(struct iommu_attach_list *s1,
			  struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest)
{
	struct attach_part part[] = {
		{
			.alist = s1,
			.elm = &nest->s1,
			.nr = 1,
			.kind = IOMMU_ATTACH_OWN,
			.atc = nest->s1.using_atc,
		},
		{
			.alist = s2,
			.elm = &nest->s2,
			.nr = 1,
			.kind = IOMMU_ATTACH_NEST,
			.atc = nest->s2.using_atc,
		},
	};
	int ret;

	if (WARN_ON_ONCE(s1 == s2 ||
			 nest->s1.iommu_device != nest->s2.iommu_device ||
			 nest->s1.fence != nest->s2.fence ||
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
 * Call it when the hardware no longer uses the domain for the device and refuses the
 * device's translated requests, and the device's ATC is clean. If this was the last
 * attachment of its group, the caller must flush the tag before it is used again, even by
 * this domain. The caller prevents attaches with the tag until then, or flushes the tag
 * before each delete.
 *
 * Running flushes may still send to the device, until iommu_attach_fence() has returned.
 * The attachment may be freed or added to a list again only after a grace period.
 *
 * Context: Process context. Takes and releases the list's lock. Neither sleeps nor
 * allocates.
 * Return: IOMMU_ATTACH_GROUP_DOMAIN if it was the last of its group, 0 if not; -ENOENT
 * with a warning, and nothing else, if it is not on the list or is half of a nest.
 */
int iommu_attach_del(struct iommu_attach_list *alist,
		     struct iommu_attach_elm *elm)
{
	struct attach_rest rest;
	int ret = -ENOENT;

	spin_lock(&alist->lock);
	if (!WARN_ON_ONCE(elm->alist != alist || elm->nested))
		ret = del_locked(alist, elm) ? IOMMU_ATTACH_GROUP_DOMAIN : 0;
	take_rest(alist, &rest);
	unlock_checked(alist);
	free_rest(alist, &rest);
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
 * Return: IOMMU_ATTACH_GROUP_DOMAIN and IOMMU_ATTACH_GROUP_PARENT for each list on which it
 * was the last of its group; -ENOENT with a warning, and nothing else, if it is not
 * on both, or is no nest.
 */
int iommu_attach_del_nest(struct iommu_attach_list *s1,
			  struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest)
{
	struct attach_rest rest1, rest2;
	int last = -ENOENT;

	/* Before taking the locks: on other lists, their order may be different. */
	if (WARN_ON_ONCE(READ_ONCE(nest->s1.alist) != s1 || READ_ONCE(nest->s2.alist) != s2 ||
			 !nest->s1.nested || !nest->s2.nested))
		return -ENOENT;

	lock_pair(s1, s2);
	if (!WARN_ON_ONCE(nest->s1.alist != s1 || nest->s2.alist != s2)) {
		last = del_locked(s1, &nest->s1) ? IOMMU_ATTACH_GROUP_DOMAIN : 0;
		if (del_locked(s2, &nest->s2))
			last |= IOMMU_ATTACH_GROUP_PARENT;
	}
	take_rest(s1, &rest1);
	take_rest(s2, &rest2);
	unlock_pair(s1, s2);
	free_rest(s1, &rest1);
	free_rest(s2, &rest2);
	return last;
}
EXPORT_SYMBOL_GPL(iommu_attach_del_nest);

/* @elm may be either half of the nest. */
static struct iommu_attach_nest *nest_of(struct iommu_attach_elm *elm)
{
	if (elm->kind == IOMMU_ATTACH_OWN)
		return container_of(elm, struct iommu_attach_nest, s1);
	return container_of(elm, struct iommu_attach_nest, s2);
}

/**
 * iommu_attach_enable_atc() - The device of an attachment is about to use its ATC
 * @elm: An attachment that is on a list, or either half of a nest that is on its lists;
 *	&iommu_attach_elm.atc is set, of a nest in both halves.
 *
 * Call it before the IOMMU answers the device's translation requests, and after ATS has
 * been enabled in the device, which has to answer ATC commands from here on: if the IOTLB
 * part of a flush has not completed when this returns, its ATC part reaches the device.
 *
 * The attachment may be deleted concurrently, but it and its lists must not be freed until
 * this returns, since they are read outside of RCU: no other thread may use
 * iommu_attach_del_free() on it.
 *
 * Context: Process context. Sleeps. Takes and releases the list's lock; for a nest, both
 * lists' locks.
 * Return: 0, also if it is in use already; -ENOENT if @elm is on no list, or not any more;
 * -ENOMEM, and nothing has changed; -EINVAL with a warning if its value is out of range.
 */
int iommu_attach_enable_atc(struct iommu_attach_elm *elm)
{
	struct iommu_attach_nest *nest = elm->nested ? nest_of(elm) : NULL;
	struct attach_part part[2] = {};
	u32 i, nr = nest ? 2 : 1;

	part[0].elm = nest ? &nest->s1 : elm;
	part[1].elm = nest ? &nest->s2 : NULL;
	for (i = 0; i < nr; i++) {
		part[i].alist = READ_ONCE(part[i].elm->alist);
		part[i].kind = part[i].elm->kind;
		part[i].nr = 1;
		part[i].atc = true;
		part[i].attached = true;
		if (!part[i].alist)
			return -ENOENT;
		if (WARN_ON_ONCE(part[i].elm->atc & IOMMU_ATTACH_STATE))
			return -EINVAL;
	}
	return attach_parts(part, nr, nest ? try_pair : try_one);
}
EXPORT_SYMBOL_GPL(iommu_attach_enable_atc);

/**
 * iommu_attach_disable_atc() - The device of an attachment no longer uses its ATC
 * @elm: An attachment that is on a list, or either half of a nest that is on its lists.
 *
 * Call it when the IOMMU refuses the device's translated requests, and the device's ATC is
 * clean. Running flushes may still send to the device, which must answer: disable ATS in it
 * only after iommu_attach_fence(). The attachment must not be deleted concurrently.
 *
 * Context: Process context. Takes and releases the list's lock; for a nest, both lists'
 * locks. Neither sleeps nor allocates.
 */
void iommu_attach_disable_atc(struct iommu_attach_elm *elm)
{
	struct iommu_attach_list *s1 = elm->alist, *s2;
	struct iommu_attach_nest *nest;

	if (WARN_ON_ONCE(!s1))
		return;
	if (!elm->nested) {
		spin_lock(&s1->lock);
		stop_atc(elm);
		unlock_checked(s1);
		return;
	}
	nest = nest_of(elm);
	s1 = nest->s1.alist;
	s2 = nest->s2.alist;
	lock_pair(s1, s2);
	stop_atc(&nest->s1);
	stop_atc(&nest->s2);
	unlock_pair(s1, s2);
}
EXPORT_SYMBOL_GPL(iommu_attach_disable_atc);

/**
 * iommu_attach_find_tag() - The tag that a domain has on an IOMMU
 * @alist: The domain's list.
 * @iommu_device: The IOMMU.
 * @tag: Set to the tag; the lowest one if there are several.
 *
 * Context: Process context. Takes and releases the list's lock. Does not sleep.
 * Return: 0, or -ENOENT if the domain has no attachment with a tag of its own there.
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
		i = lower_bound(table, iommu_device, IOMMU_ATTACH_OWN, false);
	for (; i < (table ? table->nr : 1); i++) {
		group = table ? table->group[i] : alist->only;
		if (group->iommu_device != iommu_device ||
		    group->kind != IOMMU_ATTACH_OWN)
			break;
		if (group->users && (ret || group->tag < *tag)) {
			*tag = group->tag;
			ret = 0;
		}
	}
	spin_unlock(&alist->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_attach_find_tag);

/*
 * Fences
 */

/* The current round waits for one pair of counters, then for the other. */
enum {
	FENCE_IDLE,
	FENCE_OTHER,	/* for the pair that new flushes do not use */
	FENCE_LAST,	/* for the pair that they used until now */
};

#ifdef CONFIG_DEBUG_LOCK_ALLOC
static struct lock_class_key fence_key;
struct lockdep_map iommu_attach_fence_map =
	STATIC_LOCKDEP_MAP_INIT("iommu_attach_flush", &fence_key);
EXPORT_SYMBOL_GPL(iommu_attach_fence_map);
#endif

/**
 * iommu_attach_fence_init() - Initialise the fence of an IOMMU
 * @fence: The fence.
 *
 * Context: Process context. Sleeps.
 * Return: 0 or -ENOMEM.
 */
int iommu_attach_fence_init(struct iommu_attach_fence *fence)
{
	memset(fence, 0, sizeof(*fence));
	raw_spin_lock_init(&fence->lock);
	fence->pair[0] = alloc_percpu(struct iommu_attach_fence_ctr);
	fence->pair[1] = alloc_percpu(struct iommu_attach_fence_ctr);
	if (!fence->pair[0] || !fence->pair[1]) {
		iommu_attach_fence_destroy(fence);
		return -ENOMEM;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_attach_fence_init);

/**
 * iommu_attach_fence_destroy() - Free what the fence of an IOMMU holds
 * @fence: The fence. No attachment refers to it, iommu_attach_drain() has returned since
 *	the last one was deleted, and no other call that uses the fence is running, such as
 *	an iommu_attach_fence_poll(). A zeroed fence is left alone.
 *
 * Context: Process context. Does not sleep.
 */
void iommu_attach_fence_destroy(struct iommu_attach_fence *fence)
{
	free_percpu(fence->pair[0]);
	free_percpu(fence->pair[1]);
	memset(fence, 0, sizeof(*fence));
}
EXPORT_SYMBOL_GPL(iommu_attach_fence_destroy);

/*
 * Is no flush counted in the pair? A flush that enters during the summation is counted if
 * it began before the caller deleted its attachments, see Barriers. Leaves are summed up
 * first, so that none is seen without its entry.
 */
static bool fence_idle(const struct iommu_attach_fence_ctr __percpu *pair)
{
	unsigned long entered = 0, left = 0;
	int cpu;

	/* Pairs with the one behind a flush's leave, and with those of earlier sums. */
	smp_mb();
	for_each_possible_cpu(cpu)
		left += READ_ONCE(per_cpu_ptr(pair, cpu)->leave);
	/* Pairs with the one behind a flush's entry. */
	smp_mb();
	for_each_possible_cpu(cpu)
		entered += READ_ONCE(per_cpu_ptr(pair, cpu)->enter);
	return entered == left;
}

/* Advances the current round, or begins one. */
static void fence_advance(struct iommu_attach_fence *fence)
{
	u8 other = !fence->cur;

	lockdep_assert_held(&fence->lock);

	if (fence->state == FENCE_IDLE)
		fence->state = FENCE_OTHER;
	if (fence->state == FENCE_OTHER) {
		if (!fence_idle(fence->pair[other]))
			return;
		/* Sum up the pair before flushes can enter it again. */
		smp_mb();
		WRITE_ONCE(fence->cur, other);
		fence->state = FENCE_LAST;
	}
	other = !fence->cur;
	if (!fence_idle(fence->pair[other]))
		return;
	fence->state = FENCE_IDLE;
	/* What the flushes did happens before everything that follows the fence. */
	smp_store_release(&fence->done, fence->done + 1);
}

/**
 * iommu_attach_fence_begin() - Begin to wait for flushes
 * @fence: The fence.
 *
 * For detaches that do other work before they wait, and for those that wait for several
 * fences.
 *
 * Context: Any context but NMI.
 * Return: a cookie for iommu_attach_fence_poll() and iommu_attach_fence_wait().
 */
unsigned long iommu_attach_fence_begin(struct iommu_attach_fence *fence)
{
	unsigned long flags, cookie;

	/* The current round may have missed a flush that still sees the deleted attachment. */
	raw_spin_lock_irqsave(&fence->lock, flags);
	cookie = fence->done + (fence->state == FENCE_IDLE ? 1 : 2);
	raw_spin_unlock_irqrestore(&fence->lock, flags);
	return cookie;
}
EXPORT_SYMBOL_GPL(iommu_attach_fence_begin);

/**
 * iommu_attach_fence_poll() - Have the flushes ended?
 * @fence: The fence.
 * @cookie: The result of iommu_attach_fence_begin().
 *
 * Reads two counters of each CPU, twice.
 *
 * Context: Any context but NMI.
 * Return: true if all flushes of this IOMMU that may send to ATCs, and began before
 * iommu_attach_fence_begin(), have ended. Then no ATC command is in flight or will be sent
 * for an attachment that was deleted before iommu_attach_fence_begin().
 */
bool iommu_attach_fence_poll(struct iommu_attach_fence *fence, unsigned long cookie)
{
	unsigned long flags, done;

	/* At most two rounds: the one that was in progress, and another one. */
	while (done = smp_load_acquire(&fence->done), (long)(done - cookie) < 0) {
		if (!raw_spin_trylock_irqsave(&fence->lock, flags))
			return false;
		if (fence->done == done)
			fence_advance(fence);
		done -= fence->done;
		raw_spin_unlock_irqrestore(&fence->lock, flags);
		if (!done)
			return false;
	}
	return true;
}
EXPORT_SYMBOL_GPL(iommu_attach_fence_poll);

/**
 * iommu_attach_fence_wait() - Wait until the flushes have ended
 * @fence: The fence.
 * @cookie: The result of iommu_attach_fence_begin().
 *
 * Returns at once if no flush of this IOMMU is running. Otherwise it takes as long as the
 * hardware needs to complete them: until a timeout, if a device is silent.
 *
 * Context: Process context. Sleeps. Not from the callbacks of a flush.
 */
void iommu_attach_fence_wait(struct iommu_attach_fence *fence, unsigned long cookie)
{
	unsigned int tries = 0, delay = 10;

	might_sleep();
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	WARN_ONCE(lock_is_held(&iommu_attach_fence_map) == LOCK_STATE_HELD,
		  "attach list: a flush waits for itself\n");
#endif
	trace_iommu_alist_fence(fence, false);
	while (!iommu_attach_fence_poll(fence, cookie)) {
		/* Most flushes take microseconds. */
		if (tries++ < 64) {
			cpu_relax();
			continue;
		}
		usleep_range(delay, 2 * delay);
		delay = min(2 * delay, 1000U);
	}
	trace_iommu_alist_fence(fence, true);
}
EXPORT_SYMBOL_GPL(iommu_attach_fence_wait);

/**
 * iommu_attach_drain() - Wait for everything that may still use what was deleted
 * @fence: The fence of the IOMMU that it was behind.
 *
 * When this returns, no walk and no flush refers to an attachment behind the IOMMU that
 * was deleted before the call, and no command for it is in flight or will be sent. The
 * attachment may be freed, its device removed and, if it was the last attachment, the
 * IOMMU, too. One drain covers all earlier deletes, on any list.
 *
 * Context: Process context. Sleeps for a grace period.
 */
void iommu_attach_drain(struct iommu_attach_fence *fence)
{
	trace_iommu_alist_drain(fence, false);
	synchronize_rcu();
	iommu_attach_fence(fence);
	trace_iommu_alist_drain(fence, true);
}
EXPORT_SYMBOL_GPL(iommu_attach_drain);

/*
 * Devices that do not answer
 */

/**
 * iommu_attach_endpoint_init() - Initialise the endpoint of a device
 * @endpoint: The endpoint. It holds no memory and needs no cleanup.
 *
 * Context: Any context.
 */
void iommu_attach_endpoint_init(struct iommu_attach_endpoint *endpoint)
{
	raw_spin_lock_init(&endpoint->lock);
	INIT_LIST_HEAD(&endpoint->elms);
	endpoint->aside = 0;
}
EXPORT_SYMBOL_GPL(iommu_attach_endpoint_init);

/*
 * Changes the state only from @from, as two callers may come in any order; @aside == 0, the
 * way back, is possible from any state.
 */
static void endpoint_set(struct iommu_attach_endpoint *endpoint, u64 from, u64 aside)
{
	u64 state = aside ?: IOMMU_ATTACH_LIVE;
	struct iommu_attach_elm *elm;
	unsigned long flags;

	raw_spin_lock_irqsave(&endpoint->lock, flags);
	if (endpoint->aside == from || !aside) {
		/* All attachments of a device are behind one IOMMU. */
		if (aside == IOMMU_ATTACH_SILENT && !list_empty(&endpoint->elms)) {
			elm = list_first_entry(&endpoint->elms, struct iommu_attach_elm,
					       endpoint_item);
			atomic_inc(&elm->fence->nr_aside);
		}
		WRITE_ONCE(endpoint->aside, aside);
		list_for_each_entry(elm, &endpoint->elms, endpoint_item)
			atomic64_set_release(&elm->slots->slot[elm->slot],
					     target_value(elm) | state);
	}
	raw_spin_unlock_irqrestore(&endpoint->lock, flags);
}

/**
 * iommu_attach_set_aside() - A device does not answer ATC commands
 * @endpoint: The device.
 *
 * No flush that begins after this sends to the device, for any domain or PASID, including
 * later attachments. Such a flush returns -ETIMEDOUT, since the device may still use its
 * cached translations, unless the driver has made the IOMMU refuse them and has called
 * iommu_attach_blocked() when it ends. The attachments stay on their lists and are deleted as
 * usual.
 *
 * Context: Any context but NMI, such as &iommu_attach_flush_ops.wait and
 * &iommu_attach_flush_ops.silent.
 */
void iommu_attach_set_aside(struct iommu_attach_endpoint *endpoint)
{
	endpoint_set(endpoint, 0, IOMMU_ATTACH_SILENT);
}
EXPORT_SYMBOL_GPL(iommu_attach_set_aside);

/**
 * iommu_attach_blocked() - The IOMMU refuses what a silent device has cached
 * @endpoint: A device that is set aside; for any other device this does nothing.
 *
 * Flushes still leave the device out, but no longer return an error for it: it cannot use
 * its cached translations.
 *
 * Context: Any context but NMI.
 */
void iommu_attach_blocked(struct iommu_attach_endpoint *endpoint)
{
	endpoint_set(endpoint, IOMMU_ATTACH_SILENT, IOMMU_ATTACH_BLOCKED);
}
EXPORT_SYMBOL_GPL(iommu_attach_blocked);

/**
 * iommu_attach_resume() - A device that was set aside is back
 * @endpoint: The device. Its ATC is empty, since it has been reset; or its IOMMU refuses
 *	what is in it, and the driver invalidates it, after this call and before the IOMMU
 *	answers it again.
 *
 * Before the reset, call iommu_attach_fence(): a flush that has sent to the device may be
 * about to set it aside once more.
 *
 * Flushes that begin after this send to the device again. A running flush may have left the
 * device out and not have invalidated the IOTLB yet, from which the device could fetch the
 * translations that are being unmapped. So call iommu_attach_fence() after this and before
 * the IOMMU answers the device's translation requests again.
 *
 * Context: Any context but NMI.
 */
void iommu_attach_resume(struct iommu_attach_endpoint *endpoint)
{
	endpoint_set(endpoint, IOMMU_ATTACH_SILENT, 0);
	/* Walks see the device before the IOMMU answers it, see Barriers. */
	smp_mb();
}
EXPORT_SYMBOL_GPL(iommu_attach_resume);

/**
 * iommu_attach_is_aside() - Is a device set aside?
 * @endpoint: The device.
 *
 * Context: Any context.
 * Return: true from iommu_attach_set_aside() to iommu_attach_resume().
 */
bool iommu_attach_is_aside(struct iommu_attach_endpoint *endpoint)
{
	return READ_ONCE(endpoint->aside);
}
EXPORT_SYMBOL_GPL(iommu_attach_is_aside);

/*
 * The parts of a flush that are out of line
 */

void __iommu_attach_flush_account(struct iommu_attach_list *alist,
				  const struct iommu_attach_count *count, int error)
{
	trace_iommu_alist_flush(alist, count, error);
	iommu_attach_debugfs_flush(alist, count, error);
}
EXPORT_SYMBOL_GPL(__iommu_attach_flush_account);

/* Called in RCU: from here on, the fence keeps the IOMMU alive. */
void __iommu_attach_fence_enter(struct iommu_attach_sent *sent, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		sent[i].entered = __iommu_attach_enter(sent[i].group->fence);
}
EXPORT_SYMBOL_GPL(__iommu_attach_fence_enter);

static void flush_leave(const struct iommu_attach_sent *sent)
{
	/* Pairs with the one in fence_idle(), see Barriers. */
	smp_mb();
	__iommu_attach_leave(sent->entered);
}

static struct iommu_device *flush_iommu(const struct iommu_attach_sent *sent)
{
	return __iommu_attach_fence_of(sent->entered)->iommu_device;
}

/* The next live group of an IOMMU, or of any IOMMU if that is NULL; NULL if there is none. */
static const struct iommu_attach_group *
flush_next_group(struct iommu_attach_cursor *groups, const struct iommu_device *iommu_device)
{
	while (groups->pos != groups->end) {
		const struct iommu_attach_group *group = *groups->pos++;

		if (__iommu_attach_live(group) &&
		    (!iommu_device || group->iommu_device == iommu_device))
			return group;
	}
	return NULL;
}

/*
 * The highest number of the ATC targets that a pass sends to: later ones get a pass of their own.
 * Not if there are several lists, whose IOTLB part completes before the lookup.
 */
static u64 flush_until(const struct iommu_attach_flush *flush,
		       const struct iommu_attach_list *alist)
{
	return flush->several ? (u64)atomic64_read_acquire(&alist->atc_seq) : flush->until;
}

/*
 * Repeats the commands of a pass, or the part of them in @what, for one IOMMU, whose fence is
 * held. Return: false if there is nothing left to send.
 */
static bool flush_again(struct iommu_attach_flush *flush, struct iommu_attach_list *alist,
			struct iommu_attach_sent *sent, u32 what)
{
	/* What is sent again is not counted again. */
	const struct iommu_attach_count count = flush->count;
	struct iommu_device *iommu_device = flush_iommu(sent);
	const struct iommu_attach_group *group;
	struct iommu_attach_cursor groups, atcs;
	bool sending = false;
	u64 until;

	rcu_read_lock();
	/* Targets up to this number are in groups of the table that is loaded next. */
	until = flush_until(flush, alist);
	__iommu_attach_load(alist, &groups);
	atcs = groups;
	while ((group = flush_next_group(&groups, iommu_device))) {
		if (!__iommu_attach_wanted(group, what))
			continue;
		flush->ops->iotlb(group, flush->arg);
		sending = true;
	}
	if (what & IOMMU_ATTACH_SEND_ATC) {
		while ((group = flush_next_group(&atcs, iommu_device)))
			sending = __iommu_attach_send_atcs(group, flush, flush->ops, flush->arg,
							   flush->after, until, sending);
	}
	if (sending)
		sent->cookie = flush->ops->submit(iommu_device, flush->arg);
	rcu_read_unlock();
	flush->count = count;
	return sending;
}

/*
 * How often a flush has sent to an IOMMU again, since a device was set aside behind it. In one
 * byte, as each IOMMU of a flush has one on the stack. The low bits of the count will do: if a
 * multiple of 8 devices is set aside between two looks, that costs one of the tries, and the
 * next device renews them all.
 */
struct flush_tries {
	u8 nr : 5;
	u8 nr_aside : 3;
};

static_assert(FLUSH_RETRIES < 32);

static u8 tries_aside(const struct iommu_attach_sent *sent)
{
	return atomic_read(&__iommu_attach_fence_of(sent->entered)->nr_aside) & 7;
}

static void tries_begin(struct flush_tries *tries, const struct iommu_attach_sent *sent)
{
	tries->nr = 0;
	tries->nr_aside = tries_aside(sent);
}

/* Is @error a reason to send @what again, and is a try left? */
static bool tries_left(struct iommu_attach_flush *flush, struct flush_tries *tries,
		       const struct iommu_attach_sent *sent, int error, u32 what)
{
	/* Nothing was sent, so nothing is sent again. */
	if (error == -EBUSY)
		return true;
	/* Without ATC commands, the unanswered command was that of another flush. */
	if (error != -EAGAIN && (error != -ETIMEDOUT || what & IOMMU_ATTACH_SEND_ATC))
		return false;
	/* Do not retry forever for a device that is reset and set aside repeatedly. */
	if (tries->nr_aside != tries_aside(sent) && flush->renewed < U8_MAX) {
		flush->renewed++;
		tries_begin(tries, sent);
	}
	if (tries->nr == FLUSH_RETRIES)
		return false;
	tries->nr++;
	return true;
}

/* An error of some commands, not of the IOMMU: the other commands are still sent. */
static bool is_of_some(int error)
{
	return error == -ETIMEDOUT || error == -EAGAIN;
}

/* A search for one ATC target after the other, in the order of their numbers. */
struct flush_search {
	u64 after;			/* numbers in (after, until] */
	u64 until;
	bool silent;			/* a silent one was among them */
	/* What was found: */
	const struct iommu_attach_group *group;
	const atomic64_t *slot;
	u64 value;			/* of the slot */
	u64 number;
};

/*
 * The next target in @state, of an IOMMU or, if that is NULL, of any. Return: false if there
 * is none.
 */
static bool flush_next_target(struct flush_search *search, struct iommu_attach_list *alist,
			      const struct iommu_device *iommu_device, u64 state)
{
	u64 atc, number, lowest = search->until;
	const struct iommu_attach_group *group;
	const struct iommu_attach_slots *slots;
	struct iommu_attach_cursor groups;
	const atomic64_t *slot, *end;
	bool found = false;

	__iommu_attach_load(alist, &groups);
	while ((group = flush_next_group(&groups, iommu_device))) {
		hlist_for_each_entry_rcu(slots, &group->slots, item) {
			end = __iommu_attach_slots_end(slots);
			for (slot = slots->slot; slot != end; slot++) {
				/*
				 * Read the number before the target: if another target has
				 * taken its place, it gets a needless command, but no target
				 * with a higher number is skipped.
				 */
				number = atomic64_read(&slot[slots->capacity]);
				if (number <= search->after || number > lowest)
					continue;
				atc = atomic64_read_acquire(slot);
				if (atc & IOMMU_ATTACH_SILENT)
					search->silent = true;
				if (!(atc & state))
					continue;
				/* Those with higher numbers come later. */
				lowest = number;
				search->group = group;
				search->slot = slot;
				search->value = atc;
				found = true;
			}
		}
	}
	search->number = lowest;
	return found;
}

static void flush_tell(const struct iommu_attach_flush *flush,
		       struct iommu_device *iommu_device, u64 atc)
{
	trace_iommu_alist_silent(iommu_device, atc);
	if (flush->ops->silent)
		flush->ops->silent(iommu_device, atc, flush->arg);
}

/* Enters the fence of an IOMMU again. Return: false if nothing is attached there. */
static bool flush_enter(struct iommu_attach_list *alist, struct iommu_attach_sent *sent)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_cursor groups;

	rcu_read_lock();
	__iommu_attach_load(alist, &groups);
	group = flush_next_group(&groups, sent->iommu_device);
	if (group)
		sent->entered = __iommu_attach_enter(group->fence);
	rcu_read_unlock();
	/* Pairs with the one in fence_idle(), see Barriers. */
	smp_mb();
	return group;
}

/*
 * The recovery of one IOMMU, whose fence is held. An ATC command was not answered, so the IOMMU
 * may not have executed the others: the IOTLB commands are sent again, and then one ATC target
 * after the other is sent to, which finds those that do not answer.
 */
struct flush_recovery {
	u64 number;			/* of the target that was sent to; 0: the IOTLB commands */
	u64 atc;			/* the target */
	u64 after;			/* targets up to this number are done */
	u64 until;
	struct flush_tries tries;
	bool begun;
	bool told;			/* of the target: it does not answer */
};

/* Sends to the next target. Return: false if there is none. */
static bool recover_next(struct iommu_attach_flush *flush, struct iommu_attach_list *alist,
			 struct iommu_attach_sent *sent, struct flush_recovery *recovery, int *ret)
{
	struct iommu_device *iommu_device = flush_iommu(sent);
	struct flush_search search = { .after = recovery->after, .until = recovery->until };
	bool found;

	rcu_read_lock();
	found = flush_next_target(&search, alist, iommu_device, IOMMU_ATTACH_LIVE);
	if (found && recovery->told && search.number == recovery->number) {
		/* The driver has not set it aside. */
		*ret = *ret ?: -ETIMEDOUT;
		search.after = search.number;
		search.until = recovery->until;
		found = flush_next_target(&search, alist, iommu_device, IOMMU_ATTACH_LIVE);
	}
	if (found) {
		recovery->number = search.number;
		recovery->atc = search.value & ~IOMMU_ATTACH_STATE;
		flush->ops->atc(search.group, recovery->atc, flush->arg);
		sent->cookie = flush->ops->submit(iommu_device, flush->arg);
	}
	rcu_read_unlock();
	recovery->after = search.after;
	recovery->told = false;
	flush->silent |= search.silent;
	return found;
}

/* Return: false if there is nothing to be sent to the IOMMU. */
static bool recover_begin(struct iommu_attach_flush *flush, struct iommu_attach_list *alist,
			  struct iommu_attach_sent *sent, struct flush_recovery *recovery, int *ret)
{
	const u32 what = flush->what & ~IOMMU_ATTACH_SEND_ATC;

	*recovery = (struct flush_recovery){
		.after = flush->after,
		.until = flush_until(flush, alist),
		.begun = true,
	};
	tries_begin(&recovery->tries, sent);
	return (what && flush_again(flush, alist, sent, what)) ||
	       recover_next(flush, alist, sent, recovery, ret);
}

/* @error is what the last wait returned. Return: false if there is nothing left to send. */
static bool recover_go_on(struct iommu_attach_flush *flush, struct iommu_attach_list *alist,
			  struct iommu_attach_sent *sent, struct flush_recovery *recovery,
			  int error, int *ret)
{
	const u32 what = recovery->number ? IOMMU_ATTACH_SEND_ATC :
					    flush->what & ~IOMMU_ATTACH_SEND_ATC;

	if (tries_left(flush, &recovery->tries, sent, error, what)) {
		if (recovery->number)
			return recover_next(flush, alist, sent, recovery, ret);
		if (flush_again(flush, alist, sent, what))
			return true;
		error = 0;
	}
	/* If the IOMMU aborts each target, the tries are used up. */
	if (!recovery->number || error != -EAGAIN)
		tries_begin(&recovery->tries, sent);
	if (recovery->number && error == -ETIMEDOUT) {
		flush_tell(flush, flush_iommu(sent), recovery->atc);
		recovery->told = true;
		/* If it is set aside now, it is left out. */
		flush->silent = true;
	} else {
		*ret = *ret ?: error;
		if (error && !is_of_some(error))
			return false;
		recovery->after = max(recovery->after, recovery->number);
	}
	return recover_next(flush, alist, sent, recovery, ret);
}

/* The list that the commands to an IOMMU were sent for. */
static struct iommu_attach_list **flush_list(struct iommu_attach_flush *flush, u32 i)
{
	return flush->several ? &flush->lists[i] : &flush->alist;
}

static void flush_move(struct iommu_attach_flush *flush, struct iommu_attach_sent *sent,
		       u32 to, u32 from)
{
	sent[to].entered = sent[from].entered;
	sent[to].cookie = sent[from].cookie;
	*flush_list(flush, to) = *flush_list(flush, from);
}

/*
 * Sends to an IOMMU again if that is of use. Return: -EINPROGRESS if it has, else the result of
 * the flush there. Out of line, as is what comes next: a flush waits where its stack is deepest.
 */
static noinline int flush_resend(struct iommu_attach_flush *flush,
				 struct iommu_attach_sent *sent, u32 i, struct flush_tries *tries,
				 int error)
{
	if (!tries_left(flush, tries, &sent[i], error, flush->what))
		return error;
	return flush_again(flush, *flush_list(flush, i), &sent[i], flush->what) ?
	       -EINPROGRESS : 0;
}

/* Leaves the fence of an IOMMU, and lets the last one that is waited for change places with it. */
static noinline void flush_finish(struct iommu_attach_flush *flush,
				  struct iommu_attach_sent *sent, u32 i, u32 last)
{
	struct iommu_device *iommu_device = flush_iommu(&sent[i]);
	struct iommu_attach_list *alist = *flush_list(flush, i);

	flush_leave(&sent[i]);
	flush_move(flush, sent, i, last);
	sent[last].iommu_device = iommu_device;
	*flush_list(flush, last) = alist;
}

/* Begins, or looks once. Return: false if it has ended, and the fence has been left. */
static bool recover_step(struct iommu_attach_flush *flush, struct iommu_attach_list *alist,
			 struct iommu_attach_sent *sent, struct flush_recovery *recovery, int *ret)
{
	bool more;
	int error;

	if (!recovery->begun) {
		if (!flush_enter(alist, sent))
			return false;
		more = recover_begin(flush, alist, sent, recovery, ret);
	} else {
		error = flush->ops->wait(flush_iommu(sent), sent->cookie, flush->arg);
		more = error == -EINPROGRESS ||
		       recover_go_on(flush, alist, sent, recovery, error, ret);
	}
	if (!more)
		flush_leave(sent);
	return more;
}

/*
 * Recovers all of @sent, SEARCH_WINDOW at a time, so that what is silent behind several IOMMUs
 * is waited for at the same time. Return: @ret, or the first error.
 */
static noinline int flush_recover(struct iommu_attach_flush *flush,
				  struct iommu_attach_sent *sent, u32 nr, int ret)
{
	struct flush_recovery recovery[SEARCH_WINDOW] = {};
	u32 i;

	while (nr) {
		for (i = 0; i < min(nr, SEARCH_WINDOW);) {
			if (recover_step(flush, *flush_list(flush, i), &sent[i], &recovery[i],
					 &ret)) {
				i++;
				continue;
			}
			/* The last one takes its place. */
			flush_move(flush, sent, i, --nr);
			recovery[i] = nr < SEARCH_WINDOW ? recovery[nr] :
							   (struct flush_recovery){};
		}
		cpu_relax();
	}
	return ret;
}

/*
 * Waits for IOMMUs that take longer than a moment, all at once, so that each fence is
 * held only as long as its own IOMMU takes. If an IOMMU aborts its commands, sends them
 * again. Then handles IOMMUs with a device that did not answer.
 *
 * @error is the result of waiting for the first of @sent; all of @sent are waited for.
 */
int __iommu_attach_flush_slow(struct iommu_attach_flush *flush,
			      struct iommu_attach_sent *sent, u32 nr, int error)
{
	u32 waiting = nr, i;	/* those with a silent device are behind them */
	struct flush_tries tries[FLUSH_WINDOW];
	int ret = 0;

	for (i = 0; i < nr; i++)
		tries_begin(&tries[i], &sent[i]);
	for (i = 0;;) {
		if (error && error != -EINPROGRESS)
			error = flush_resend(flush, sent, i, &tries[i], error);
		if (error == -EINPROGRESS) {
			i++;
		} else {
			flush_finish(flush, sent, i, --waiting);
			tries[i] = tries[waiting];
			if (error != -ETIMEDOUT || !(flush->what & IOMMU_ATTACH_SEND_ATC)) {
				ret = ret ?: error;
				flush_move(flush, sent, waiting, --nr);
			}
		}
		if (!waiting)
			break;
		if (i == waiting) {
			i = 0;
			cpu_relax();
		}
		error = flush->ops->wait(flush_iommu(&sent[i]), sent[i].cookie, flush->arg);
	}
	return nr ? flush_recover(flush, sent, nr, ret) : ret;
}
EXPORT_SYMBOL_GPL(__iommu_attach_flush_slow);

/*
 * Finds the next silent target and enters the fence of its IOMMU. Return: false if there is
 * none.
 */
static bool flush_next_silent(struct flush_search *search, struct iommu_attach_list *alist,
			      struct iommu_attach_sent *sent)
{
	bool there = false;

	rcu_read_lock();
	while (!there && flush_next_target(search, alist, NULL, IOMMU_ATTACH_SILENT)) {
		search->after = search->number;
		sent->entered = __iommu_attach_enter(search->group->fence);
		/* Pairs with the one in fence_idle(), see Barriers: is it still there? */
		smp_mb();
		there = (u64)atomic64_read(search->slot) == search->value;
		if (!there)
			flush_leave(sent);
	}
	rcu_read_unlock();
	return there;
}

/*
 * Some targets were left out as silent. Calls the driver for those that still are, and checks
 * again. The others have been blocked, resumed or deleted, and cannot use anything stale, see
 * Barriers.
 *
 * Return: 0, or -ETIMEDOUT if one is silent even then.
 */
int __iommu_attach_flush_aside(struct iommu_attach_list *const *lists, u32 nr_lists,
			       const struct iommu_attach_flush_ops *ops, void *arg)
{
	struct iommu_attach_sent sent = {};
	bool silent = false;
	u32 i;

	for (i = 0; i < nr_lists; i++) {
		struct flush_search search = {
			.until = atomic64_read_acquire(&lists[i]->atc_seq),
		};

		while (ops->aside && flush_next_silent(&search, lists[i], &sent)) {
			ops->aside(flush_iommu(&sent), search.value & ~IOMMU_ATTACH_STATE, arg);
			flush_leave(&sent);
		}
		search.after = 0;
		rcu_read_lock();
		silent |= flush_next_target(&search, lists[i], NULL, IOMMU_ATTACH_SILENT);
		rcu_read_unlock();
	}
	return silent ? -ETIMEDOUT : 0;
}
EXPORT_SYMBOL_GPL(__iommu_attach_flush_aside);

/*
 * A pass over more IOMMUs than an inline flush has room for, or the rare pass for targets
 * that were added while the flush ran.
 */
noinline int __iommu_attach_pass_many(struct iommu_attach_flush *flush)
{
	struct iommu_attach_list *const *lists = &flush->alist;
	const u32 what = flush->what;
	struct {
		struct iommu_attach_sent sent[FLUSH_WINDOW];
	} stack __uninitialized;

	/* Twice, each compiled for what it is about: with a fence, or in RCU. */
	if (what & IOMMU_ATTACH_SEND_ATC)
		return __iommu_attach_pass(flush, lists, 1, flush->ops, flush->arg,
					   what | IOMMU_ATTACH_SEND_ATC, flush->after,
					   stack.sent, FLUSH_WINDOW, NULL);
	return __iommu_attach_pass(flush, lists, 1, flush->ops, flush->arg,
				   what & ~IOMMU_ATTACH_SEND_ATC, flush->after, stack.sent,
				   FLUSH_WINDOW, NULL);
}
EXPORT_SYMBOL_GPL(__iommu_attach_pass_many);

/**
 * iommu_attach_flush() - Send the invalidations of a domain and wait for them
 * @alist: The domain's list.
 * @ops: How the driver sends them.
 * @arg: Passed to the callbacks: the range, a batch.
 *
 * Sends, to each IOMMU: one &iommu_attach_flush_ops.iotlb for each of the domain's
 * own tags, one for each nest's tag, and then one &iommu_attach_flush_ops.atc for each
 * ATC target. There is one &iommu_attach_flush_ops.submit per IOMMU and phase, and a new
 * phase begins only where the hardware needs it. In each phase, the flush sends to all
 * IOMMUs (32 at a time) before it waits for the first one.
 *
 * The ATC targets are looked up when the IOTLB part has completed. If the hardware itself
 * executes ATC commands after IOTLB commands, both are sent together, and targets that were
 * added in between get a phase of their own.
 *
 * When this returns 0, nothing caches a translation in the range of the callbacks that was
 * removed from the page table before the call. When it returns an error, something may: the
 * caller must not free or reuse the memory that the page table pointed to. Everything else
 * has been flushed, unless an IOMMU has failed for good.
 *
 * Context: Any context but NMI. Takes no lock (on 32 bits atomic64_t may), does not sleep,
 * does not allocate; waits for hardware outside of RCU read-side sections.
 * Return: 0; -ETIMEDOUT if a device did not answer, or was set aside, and is not blocked when
 * the flush ends; or what &iommu_attach_flush_ops.wait returned for the first IOMMU that failed.
 */
int iommu_attach_flush(struct iommu_attach_list *alist,
		       const struct iommu_attach_flush_ops *ops, void *arg)
{
	return iommu_attach_flush_inline(alist, ops, arg);
}
EXPORT_SYMBOL_GPL(iommu_attach_flush);

/**
 * iommu_attach_flush_lists() - Flush several domains, waiting once
 * @lists: Their lists.
 * @nr: How many there are.
 * @ops: How the driver sends the invalidations.
 * @arg: Passed to the callbacks.
 *
 * As iommu_attach_flush() for each list, but sends all IOTLB commands of all lists before
 * it waits for the first one, and then all ATC commands. It submits to an IOMMU once per
 * list and phase. For a change that affects many domains, such as a change of the kernel's
 * own page table where devices share it.
 *
 * Context: Same as iommu_attach_flush().
 * Return: Same as iommu_attach_flush().
 */
int iommu_attach_flush_lists(struct iommu_attach_list *const *lists, unsigned int nr,
			     const struct iommu_attach_flush_ops *ops, void *arg)
{
	struct {
		struct iommu_attach_flush flush;
		struct iommu_attach_sent sent[FLUSH_WINDOW];
		struct iommu_attach_list *of[FLUSH_WINDOW];
	} stack __uninitialized;

	return nr ? __iommu_attach_flush(&stack.flush, lists, nr, ops, arg, stack.sent,
					 FLUSH_WINDOW, nr > 1 ? stack.of : NULL) : 0;
}
EXPORT_SYMBOL_GPL(iommu_attach_flush_lists);
