/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a driver sent for a flush against what the list sends for it, and why they
 * differ.
 */
#ifndef ALIST_REASONS_H
#define ALIST_REASONS_H

#include "inv.h"
#include "rebuild.h"

/* The names and what they mean are in reason_name() and reason_text(). */
enum reason {
	REASON_TAG_IN_USE,
	REASON_TAG_CLEAN,
	REASON_TAG_EARLY,
	REASON_TAG_PER_DEVICE,
	REASON_TAG_TAKEN,
	REASON_RANGE_COVERED,
	REASON_DUPLICATE,
	REASON_MERGED,
	REASON_WIDER,
	REASON_NARROWER,
	REASON_LEAF_HINT,
	REASON_WALKS_KEPT,
	REASON_OTHER_FORM,
	REASON_NO_RANGES,
	REASON_ATTACH_FLUSH,
	REASON_ATC_EMPTIED,
	REASON_ATC_ON_MAP,
	REASON_FEWER_WAITS,
	REASON_UNKNOWN_MEMBERS,
	REASON_UNKNOWN_MAPPING,
	REASON_NO_WORDS,
	REASON_NEST,
	REASON_LOST,
	REASON_FLUSH_MISSING,
	REASON_UNEXPLAINED,
	REASONS,
};

const char *reason_name(enum reason reason);
const char *reason_text(enum reason reason);

/* What is known about the flush besides its commands. */
struct compare_facts {
	enum model_vendor vendor;
	enum step_kind kind;
	bool tag_in_use;	/* DETACH: others stay on the tag */
	bool unknown_members;	/* somebody was attached before the log began */
	bool unknown_mapping;	/* what was unmapped was not seen mapped */
	bool unknown_leaf;	/* nor does the log tell the sizes of the leaves */
	bool tag_taken;		/* the list's driver could not get the log's tag */
	bool nest;		/* nests, of which the log does not tell the parent */
	bool lost;		/* events were lost before, or the log is cut here */
	const struct machine_range *range;	/* UNMAP: the only one; or NULL */
};

/*
 * Return: bits 1 << enum reason, 0 if both sent the same words and waits, or
 * REASON_UNEXPLAINED alone where memory is short.
 */
uint32_t compare_bursts(const struct burst *driver, const struct burst *list,
			const struct compare_facts *facts);

#endif /* ALIST_REASONS_H */
