// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attach lists, readable: iommu/alist/ in debugfs
 *
 *   domains      each list, and what its flushes have sent
 *   groups       each group: what one IOTLB command is sent for
 *   targets      each ATC target: what one ATC command is sent for
 *   attachments  what is attached
 *
 * Lists have no names. They get numbers, in the order of their first attachments, and
 * a number is never used again: so a read that goes on after others came and went finds
 * its place, misses none that stayed and shows none twice.
 *
 * A list is in lists_lock's care from its first attachment until it is destroyed. Reading
 * takes this lock and, inside, the lock of the list that is shown: then the attachments
 * cannot go, and with them their IOMMUs and devices, nor the list itself. Attaches and
 * detaches take lists_lock only when they hold no list's lock.
 *
 * Flushes count on the CPU that they run on: they share no line that is written.
 */
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/init.h>
#include <linux/iommu.h>
#include <linux/iommu-alist.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>

#include "iommu-alist-priv.h"

struct iommu_attach_counts {
	unsigned long flushes;
	unsigned long groups;
	unsigned long atcs;
	unsigned long submits;
	unsigned long errors;
};

static LIST_HEAD(lists);		/* by number */
static DEFINE_SPINLOCK(lists_lock);
static u64 last_number;

void iommu_attach_debugfs_add(struct iommu_attach_list *alist)
{
	struct iommu_attach_debug *debug = &alist->debug;
	struct iommu_attach_counts __percpu *counts;

	if (READ_ONCE(debug->number))
		return;

	/*
	 * Without memory the list is shown, and not counted. That is no reason to wait:
	 * tests attach during a flush, where sleeping is not allowed.
	 */
	counts = alloc_percpu_gfp(struct iommu_attach_counts, GFP_NOWAIT | __GFP_NOWARN);
	spin_lock(&lists_lock);
	if (!debug->number) {
		WRITE_ONCE(debug->number, ++last_number);
		list_add_tail(&debug->item, &lists);
		/* Flushes see it with zeroes in it. */
		smp_store_release(&debug->counts, counts);
		counts = NULL;
	}
	spin_unlock(&lists_lock);
	free_percpu(counts);
}

void iommu_attach_debugfs_del(struct iommu_attach_list *alist)
{
	struct iommu_attach_debug *debug = &alist->debug;

	if (!debug->number)
		return;
	spin_lock(&lists_lock);
	list_del(&debug->item);
	debug->number = 0;
	spin_unlock(&lists_lock);
	free_percpu(debug->counts);
	debug->counts = NULL;
}

void iommu_attach_debugfs_flush(struct iommu_attach_list *alist,
				const struct iommu_attach_count *count, int error)
{
	struct iommu_attach_counts __percpu *counts = READ_ONCE(alist->debug.counts);

	if (!counts)
		return;
	this_cpu_inc(counts->flushes);
	this_cpu_add(counts->groups, count->groups);
	this_cpu_add(counts->atcs, count->atcs);
	this_cpu_add(counts->submits, count->submits);
	if (error)
		this_cpu_inc(counts->errors);
}

static const char *name_of(const struct device *dev)
{
	return dev && dev_name(dev) ? dev_name(dev) : "-";
}

static const char *kind_of(u8 kind)
{
	return kind == IOMMU_ATTACH_NEST ? "nest" : "own";
}

/* To look at attachments alone, whatever they are part of. */
struct bare {
	struct iommu_attach_elm elm;
};

static void show_domain(struct seq_file *seq, struct iommu_attach_list *alist)
{
	const struct iommu_attach_counts *counts;
	const struct iommu_attach_group *group;
	struct iommu_attach_counts sum = {};
	struct iommu_attach_walk walk;
	u32 groups = 0;
	int cpu;

	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk)
		groups++;
	iommu_attach_walk_end(&walk);

	for_each_possible_cpu(cpu) {
		if (!alist->debug.counts)
			break;
		counts = per_cpu_ptr(alist->debug.counts, cpu);
		sum.flushes += READ_ONCE(counts->flushes);
		sum.groups += READ_ONCE(counts->groups);
		sum.atcs += READ_ONCE(counts->atcs);
		sum.submits += READ_ONCE(counts->submits);
		sum.errors += READ_ONCE(counts->errors);
	}
	seq_printf(seq, "%llu %u %u %u %lu %lu %lu %lu %lu\n", alist->debug.number, alist->nr,
		   groups, alist->nr_atc, sum.flushes, sum.groups, sum.atcs, sum.submits,
		   sum.errors);
}

static void show_groups(struct seq_file *seq, struct iommu_attach_list *alist)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;

	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk)
		seq_printf(seq, "%llu %s %s %llu %u\n", alist->debug.number,
			   name_of(group->iommu_device->dev), kind_of(group->kind),
			   group->tag, group->users);
	iommu_attach_walk_end(&walk);
}

static const char *state_of(u64 atc)
{
	if (atc & IOMMU_ATTACH_SILENT)
		return "silent";
	return atc & IOMMU_ATTACH_BLOCKED ? "blocked" : "live";
}

/* Those that are set aside, too: a loop over the targets of a walk leaves them out. */
static void show_targets(struct seq_file *seq, struct iommu_attach_list *alist)
{
	const struct iommu_attach_group *group;
	const struct iommu_attach_slots *slots;
	const atomic64_t *slot, *end;
	struct iommu_attach_walk walk;
	u64 atc;

	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk) {
		hlist_for_each_entry_rcu(slots, &group->slots, item) {
			end = __iommu_attach_slots_end(slots);
			for (slot = slots->slot; slot != end; slot++) {
				atc = atomic64_read(slot);
				if (!atc)
					continue;
				seq_printf(seq, "%llu %s %s %llu %llx %s\n", alist->debug.number,
					   name_of(group->iommu_device->dev),
					   kind_of(group->kind), group->tag,
					   atc & ~IOMMU_ATTACH_STATE, state_of(atc));
			}
		}
	}
	iommu_attach_walk_end(&walk);
}

static void show_attachments(struct seq_file *seq, struct iommu_attach_list *alist)
{
	struct bare *bare;

	iommu_attach_for_each_locked(bare, alist, elm)
		seq_printf(seq, "%llu %s %s %llu %s %u %s\n", alist->debug.number,
			   name_of(bare->elm.iommu_device->dev), kind_of(bare->elm.kind),
			   bare->elm.tag, name_of(iommu_attach_elm_device(&bare->elm)),
			   bare->elm.pasid, bare->elm.using_atc ? "on" : "off");
}

struct view {
	const char *name;
	const char *head;
	void (*show)(struct seq_file *seq, struct iommu_attach_list *alist);
};

static const struct view views[] = {
	{ "domains", "domain attachments groups targets flushes iotlb atc submit error",
	  show_domain },
	{ "groups", "domain iommu kind tag users", show_groups },
	{ "targets", "domain iommu kind tag atc state", show_targets },
	{ "attachments", "domain iommu kind tag device pasid atc", show_attachments },
};

/* The list with this number, or the next one. A position is a number. */
static void *list_from(loff_t *pos)
{
	struct iommu_attach_list *alist;

	list_for_each_entry(alist, &lists, debug.item) {
		if (alist->debug.number >= *pos) {
			*pos = alist->debug.number;
			return alist;
		}
	}
	return NULL;
}

static void *alist_seq_start(struct seq_file *seq, loff_t *pos)
	__acquires(&lists_lock)
{
	spin_lock(&lists_lock);
	return *pos ? list_from(pos) : SEQ_START_TOKEN;
}

static void *alist_seq_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct iommu_attach_list *alist = v;

	++*pos;
	if (v == SEQ_START_TOKEN)
		return list_from(pos);
	if (list_is_last(&alist->debug.item, &lists))
		return NULL;
	alist = list_next_entry(alist, debug.item);
	*pos = alist->debug.number;
	return alist;
}

static void alist_seq_stop(struct seq_file *seq, void *v)
	__releases(&lists_lock)
{
	spin_unlock(&lists_lock);
}

static int alist_seq_show(struct seq_file *seq, void *v)
{
	const struct view *view = seq->private;
	struct iommu_attach_list *alist = v;

	if (v == SEQ_START_TOKEN) {
		seq_printf(seq, "%s\n", view->head);
		return 0;
	}
	iommu_attach_lock(alist);
	view->show(seq, alist);
	iommu_attach_unlock(alist);
	return 0;
}

static const struct seq_operations alist_sops = {
	.start = alist_seq_start,
	.next = alist_seq_next,
	.stop = alist_seq_stop,
	.show = alist_seq_show,
};
DEFINE_SEQ_ATTRIBUTE(alist);

static int __init iommu_attach_debugfs_init(void)
{
	struct dentry *dir = debugfs_create_dir("alist", iommu_debugfs_dir);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(views); i++)
		debugfs_create_file(views[i].name, 0400, dir, (void *)&views[i],
				    &alist_fops);
	return 0;
}
late_initcall(iommu_attach_debugfs_init);
