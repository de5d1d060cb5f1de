// SPDX-License-Identifier: GPL-2.0-only
/*
 * Comparing two bursts. Equal words pair off first. What is left is paired by what
 * it invalidates, each pair for a reason that can be named; a command of the list
 * without a counterpart, or one of the driver that nothing of the list makes
 * superfluous, is unexplained. So is every burst in which the list sends more than
 * the driver did.
 */
#include <stdlib.h>
#include <string.h>

#include "reasons.h"
#include "vendor.h"

static const struct {
	const char *name;
	const char *text;
} reasons[REASONS] = {
	[REASON_TAG_IN_USE] = { "tag-still-in-use",
		"The driver flushes the tag whenever a device is detached; the list only at the last detach." },
	[REASON_TAG_CLEAN] = { "tag-already-clean",
		"The driver flushes the tag when its domain is freed; the list did at the last detach." },
	[REASON_TAG_EARLY] = { "tag-flushed-early",
		"The list flushes the tag at the last detach; the driver when its domain is freed, which is not in the log." },
	[REASON_TAG_PER_DEVICE] = { "tag-per-device",
		"The driver gives each device of the domain a tag; the list has one for each IOMMU." },
	[REASON_TAG_TAKEN] = { "tag-taken",
		"The same commands under another tag: the log's tag was in use." },
	[REASON_RANGE_COVERED] = { "range-covered",
		"Another command of the flush already covers the range." },
	[REASON_DUPLICATE] = { "duplicate-command",
		"The driver sent the same command more than once." },
	[REASON_MERGED] = { "ranges-merged",
		"One command of the list covers several of the driver." },
	[REASON_WIDER] = { "wider-range",
		"The list's command covers more than the driver's." },
	[REASON_NARROWER] = { "narrower-range",
		"The list's command covers less than the driver's, and left nothing stale." },
	[REASON_LEAF_HINT] = { "leaf-hint",
		"The same range with other hints (IH, leaf, TTL): the log does not record leaf sizes." },
	[REASON_WALKS_KEPT] = { "walks-kept",
		"AMD-Vi: the driver of Linux 7.3 keeps cached page table pointers (no PDE) where it freed no table; the example driver never does." },
	[REASON_OTHER_FORM] = { "other-form",
		"The same range in a form or with a field that the example driver does not use." },
	[REASON_NO_RANGES] = { "no-range-commands",
		"The SMMU of the log has no range invalidation and takes one command per page; the example driver sends ranges." },
	[REASON_ATTACH_FLUSH] = { "attach-flush",
		"The driver flushes at attach; the list keeps tags that are not in use clean." },
	[REASON_ATC_EMPTIED] = { "atc-emptied",
		"When a device is detached, disabling ATS empties its ATC." },
	[REASON_ATC_ON_MAP] = { "atc-on-map",
		"The driver invalidates ATCs on map; an ATC does not cache absent translations." },
	[REASON_FEWER_WAITS] = { "fewer-waits",
		"The same commands with fewer waits." },
	[REASON_UNKNOWN_MEMBERS] = { "unknown-membership",
		"The log does not record which devices are attached." },
	[REASON_UNKNOWN_MAPPING] = { "unknown-mapping",
		"The unmapped or flushed range was never seen mapped." },
	[REASON_NO_WORDS] = { "words-not-in-log",
		"The log has only the first of several commands; only their number is compared." },
	[REASON_NEST] = { "nest-not-in-log",
		"There are nests, and the log does not record their parents." },
	[REASON_LOST] = { "lost-events",
		"Events were lost before this one, or the log begins or ends in the middle of the flush." },
	[REASON_FLUSH_MISSING] = { "flush-missing",
		"No flush followed this unmap, in a log where all others were flushed at once: a check failed." },
	[REASON_UNEXPLAINED] = { "unexplained",
		"No known reason: a check failed." },
};

const char *reason_name(enum reason reason)
{
	return reasons[reason].name;
}

const char *reason_text(enum reason reason)
{
	return reasons[reason].text;
}

#define BIT(reason)	(UINT32_C(1) << (reason))

/* What is unknown, as the reason to give for it; UNEXPLAINED if nothing is. */
static uint32_t excuse(const struct compare_facts *facts)
{
	if (facts->lost)
		return BIT(REASON_LOST);
	if (facts->nest)
		return BIT(REASON_NEST);
	return BIT(REASON_UNEXPLAINED);
}

static int by_words(const void *a, const void *b)
{
	const struct command *x = *(const struct command *const *)a;
	const struct command *y = *(const struct command *const *)b;

	if (x->iommu != y->iommu)
		return x->iommu < y->iommu ? -1 : 1;
	return memcmp(x->words, y->words, sizeof(x->words));
}

struct side {
	const struct command **cmd;	/* those not paired yet, first */
	size_t nr;
};

static int side_init(struct side *side, const struct burst *burst)
{
	size_t i;

	side->nr = burst->nr;
	side->cmd = calloc(burst->nr + 1, sizeof(*side->cmd));
	if (!side->cmd)
		return -1;
	for (i = 0; i < burst->nr; i++)
		side->cmd[i] = &burst->cmds[i];
	qsort(side->cmd, side->nr, sizeof(*side->cmd), by_words);
	return 0;
}

static void side_drop(struct side *side, size_t i)
{
	side->cmd[i] = side->cmd[--side->nr];
}

static void pair_equal(struct side *a, struct side *b)
{
	size_t i = 0, j = 0, left_a = 0, left_b = 0;
	int order;

	while (i < a->nr || j < b->nr) {
		if (i == a->nr)
			order = 1;
		else if (j == b->nr)
			order = -1;
		else
			order = by_words(&a->cmd[i], &b->cmd[j]);
		if (!order && a->cmd[i]->n == b->cmd[j]->n) {
			i++;
			j++;
		} else if (order <= 0) {
			a->cmd[left_a++] = a->cmd[i++];
		} else {
			b->cmd[left_b++] = b->cmd[j++];
		}
	}
	a->nr = left_a;
	b->nr = left_b;
}

static bool same_range(const struct inv *a, const struct inv *b)
{
	return a->first == b->first && a->last == b->last;
}

/* Where hints are: whether cached walks stay (IH, PDE, leaf), and leaf levels. */
static bool differ_by_hint(enum model_vendor vendor, const struct command *a,
			   const struct command *b)
{
	const uint64_t *hints = vendor_of(vendor)->hints;

	return !((a->words[0] ^ b->words[0]) & ~hints[0]) &&
	       !((a->words[1] ^ b->words[1]) & ~hints[1]);
}

/* IHI 0070, 4.4.1: commands by address without TG name one page each. */
static bool names_one_page(enum model_vendor vendor, const struct command *cmd)
{
	return vendor == MODEL_SMMUV3 && cmd->inv.class == MODEL_IOTLB &&
	       !inv_all(&cmd->inv) && !(cmd->words[1] >> 10 & 3);
}

static uint32_t same_range_reason(const struct compare_facts *facts,
				  const struct command *sent,
				  const struct command *recorded)
{
	if (names_one_page(facts->vendor, recorded) &&
	    !names_one_page(facts->vendor, sent))
		return BIT(REASON_NO_RANGES);
	if (!differ_by_hint(facts->vendor, sent, recorded))
		return BIT(REASON_OTHER_FORM);
	if (facts->unknown_mapping)
		return BIT(REASON_UNKNOWN_MAPPING);
	/* The log does not say whether tables were freed; more is flushed, not less. */
	if (facts->vendor == MODEL_AMD && recorded->inv.keeps_walks && !sent->inv.keeps_walks)
		return BIT(REASON_WALKS_KEPT);
	if (facts->unknown_leaf)
		return BIT(REASON_LEAF_HINT);
	return excuse(facts);
}

static uint32_t not_in_log(const struct compare_facts *facts,
			   const struct command *recorded)
{
	return BIT(names_one_page(facts->vendor, recorded) ? REASON_NO_RANGES :
							     REASON_NO_WORDS);
}

/*
 * The driver's commands to where @sent went leave out a part of what was unmapped. RISC-V
 * and SMMUv3 without ranges name one address of a leaf, of whatever size.
 */
static bool falls_short(const struct compare_facts *facts, const struct command *sent,
			const struct burst *driver)
{
	uint64_t at, last;
	size_t i;

	if (!facts->range || facts->unknown_mapping || facts->unknown_leaf ||
	    facts->vendor == MODEL_RISCV)
		return false;
	for (i = 0; i < driver->nr; i++)
		if (driver->cmds[i].n > 1 || names_one_page(facts->vendor, &driver->cmds[i]))
			return false;
	at = facts->range->iova;
	last = at + (facts->range->size - 1);
	for (i = 0; i < driver->nr; i++) {
		const struct command *cmd = &driver->cmds[i];

		if (cmd->iommu != sent->iommu || !inv_same_target(&cmd->inv, &sent->inv) ||
		    cmd->inv.first > at || cmd->inv.last < at)
			continue;
		if (cmd->inv.last >= last)
			return false;
		/* From there on, any of them. */
		at = cmd->inv.last + 1;
		i = -1;
	}
	return true;
}

/* The list sent @sent: what of @left did it replace? */
static uint32_t explain_sent(const struct compare_facts *facts,
			     const struct command *sent, struct side *left,
			     bool covered_before)
{
	uint64_t first = UINT64_MAX, last = 0;
	size_t i, merged = 0;
	uint32_t reason;

	for (i = 0; i < left->nr; i++) {
		const struct command *old = left->cmd[i];

		if (old->iommu != sent->iommu || old->n > 1 ||
		    !inv_same_target(&old->inv, &sent->inv) ||
		    !same_range(&old->inv, &sent->inv))
			continue;
		reason = same_range_reason(facts, sent, old);
		side_drop(left, i);
		return reason;
	}
	for (i = 0; i < left->nr;) {
		const struct command *old = left->cmd[i];

		if (old->iommu != sent->iommu || old->n > 1 ||
		    !inv_same_target(&old->inv, &sent->inv) ||
		    !inv_covers(&sent->inv, &old->inv)) {
			i++;
			continue;
		}
		if (old->inv.first < first)
			first = old->inv.first;
		if (old->inv.last > last)
			last = old->inv.last;
		merged++;
		side_drop(left, i);
	}
	if (merged)
		return first == sent->inv.first && last == sent->inv.last ?
		       BIT(REASON_MERGED) : BIT(REASON_WIDER);
	for (i = 0; i < left->nr; i++) {
		const struct command *old = left->cmd[i];

		if (old->iommu != sent->iommu || old->inv.class != sent->inv.class)
			continue;
		if (old->n > 1) {
			reason = not_in_log(facts, old);
		} else if (inv_same_target(&old->inv, &sent->inv) &&
			   old->inv.first <= sent->inv.last &&
			   sent->inv.first <= old->inv.last) {
			reason = inv_covers(&old->inv, &sent->inv) ?
				 BIT(REASON_NARROWER) : BIT(REASON_WIDER);
		} else if (facts->tag_taken && same_range(&old->inv, &sent->inv)) {
			reason = BIT(REASON_TAG_TAKEN);
		} else if (old->inv.rid == sent->inv.rid &&
			   same_range(&old->inv, &sent->inv) &&
			   old->inv.tag == sent->inv.tag) {
			reason = BIT(REASON_OTHER_FORM);
		} else {
			continue;
		}
		side_drop(left, i);
		return reason;
	}
	if (covered_before)
		return BIT(REASON_NO_WORDS);
	if (facts->unknown_members && sent->inv.class == MODEL_ATC)
		return BIT(REASON_UNKNOWN_MEMBERS);
	return excuse(facts);
}

/* The driver sent @recorded and the list nothing in its place. */
static uint32_t explain_recorded(const struct compare_facts *facts,
				 const struct command *recorded,
				 const struct burst *list)
{
	size_t i;

	for (i = 0; i < list->nr; i++) {
		const struct command *sent = &list->cmds[i];

		if (sent->iommu != recorded->iommu ||
		    sent->inv.class != recorded->inv.class)
			continue;
		if (recorded->n > 1)
			return not_in_log(facts, recorded);
		if (inv_same_target(&sent->inv, &recorded->inv) &&
		    inv_covers(&sent->inv, &recorded->inv))
			return same_range(&sent->inv, &recorded->inv) &&
			       !memcmp(sent->words, recorded->words,
				       sizeof(sent->words)) ?
			       BIT(REASON_DUPLICATE) : BIT(REASON_RANGE_COVERED);
		if (recorded->inv.class == MODEL_IOTLB &&
		    inv_covers(&sent->inv, &recorded->inv) &&
		    sent->inv.tag != recorded->inv.tag)
			return BIT(REASON_TAG_PER_DEVICE);
	}
	switch (facts->kind) {
	case STEP_DETACH:
		if (recorded->inv.class == MODEL_ATC)
			return BIT(REASON_ATC_EMPTIED);
		if (facts->tag_in_use)
			return BIT(REASON_TAG_IN_USE);
		break;
	case STEP_ATTACH:
		return BIT(REASON_ATTACH_FLUSH);
	case STEP_MAP_FLUSH:
		if (recorded->inv.class == MODEL_ATC)
			return BIT(REASON_ATC_ON_MAP);
		break;
	case STEP_RETIRE:
		return BIT(REASON_TAG_CLEAN);
	default:
		break;
	}
	if (facts->unknown_members && recorded->inv.class == MODEL_ATC)
		return BIT(REASON_UNKNOWN_MEMBERS);
	return excuse(facts);
}

uint32_t compare_bursts(const struct burst *driver, const struct burst *list,
			const struct compare_facts *facts)
{
	struct burst_count recorded = burst_count(driver);
	struct burst_count sent = burst_count(list);
	struct side left_driver = { 0 }, left_list = { 0 };
	bool no_words = false;
	uint32_t found = 0;
	size_t i;

	if (side_init(&left_driver, driver) || side_init(&left_list, list)) {
		found = BIT(REASON_UNEXPLAINED);
		goto out;
	}
	for (i = 0; i < driver->nr; i++)
		no_words |= driver->cmds[i].n > 1;
	pair_equal(&left_driver, &left_list);
	for (i = 0; i < left_list.nr; i++) {
		uint32_t reason = explain_sent(facts, left_list.cmd[i], &left_driver,
					       no_words);

		if ((reason & (BIT(REASON_MERGED) | BIT(REASON_WIDER))) &&
		    falls_short(facts, left_list.cmd[i], driver))
			reason = excuse(facts);
		found |= reason;
	}
	for (i = 0; i < left_driver.nr; i++)
		found |= explain_recorded(facts, left_driver.cmd[i], list);
	if (sent.sync < recorded.sync && !found)
		found |= BIT(REASON_FEWER_WAITS);
	if (sent.iotlb > recorded.iotlb || sent.atc > recorded.atc ||
	    sent.sync > recorded.sync) {
		if (!(found & (BIT(REASON_LOST) | BIT(REASON_NEST) |
			       BIT(REASON_UNKNOWN_MEMBERS))))
			found |= excuse(facts);
	}
out:
	free(left_driver.cmd);
	free(left_list.cmd);
	return found;
}
