// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables in a guest's memory, in the formats of VT-d (D51397, section numbers of
 * revision 5.10): first stage as the CPU's (9.7), second stage (9.8). Both have 512
 * entries of 64 bits, the address in bits 51:12 and the page size flag in bit 7; they
 * differ in what the lowest bits mean.
 *
 * The S1 tables of a nest lie at addresses of the S2. They are read through the S2's
 * tables as these are at that moment: what hardware caches of that is not modelled.
 */
#include "memory.h"
#include "pt.h"

#define ENTRIES		(1U << PT_LEVEL_SHIFT)
#define ENTRY_ADDR	UINT64_C(0x000ffffffffff000)
#define ENTRY_WRITABLE	UINT64_C(2)	/* of both */
#define ENTRY_LARGE	UINT64_C(0x80)
#define ENTRY_DIRTY	UINT64_C(0x300)	/* A and D of the second stage */

/* An entry that has none of these is not present. */
static const uint64_t present[] = {
	[PT_VTD_FIRST] = 1,
	[PT_VTD_SECOND] = 1 | ENTRY_WRITABLE,
};

struct pt_root pt_guest_root(enum pt_format format, const struct model_memory *memory,
			     uint64_t top, unsigned int levels, const struct pt_root *s2)
{
	struct pt_root root = {
		.top = { .format = format, .memory = memory, .addr = top & ENTRY_ADDR },
		.levels = levels,
	};

	if (s2) {
		root.top.s2_top = s2->top.addr;
		root.top.s2_levels = s2->levels;
	}
	return root;
}

/* Where an entry is in memory. Return: false where the S2 does not say. */
static bool find_entry(const struct pt_ref *table, unsigned int index, uint64_t *at)
{
	uint64_t addr = table->addr;

	if (table->s2_levels) {
		struct pt_root s2 = pt_guest_root(PT_VTD_SECOND, table->memory,
						  table->s2_top, table->s2_levels, NULL);
		struct pt_walk walk = pt_guest_walk(&s2, addr);

		if (!walk.present)
			return false;
		addr = walk.paddr;
	}
	*at = addr + index * sizeof(uint64_t);
	return true;
}

/* The leaf, and where it is, in *@leaf and *@leaf_at if these are wanted. */
static struct pt_walk walk_from(struct pt_ref at, unsigned int level, uint64_t iova,
				uint64_t *leaf, uint64_t *leaf_at)
{
	struct pt_walk walk = { .size = MODEL_PAGE_SIZE };
	bool writable = true;

	while (level--) {
		uint64_t span = MODEL_PAGE_SIZE << (level * PT_LEVEL_SHIFT);
		uint64_t entry, entry_at;

		if (!level)
			walk.last = at;
		if (!find_entry(&at, iova / span % ENTRIES, &entry_at))
			break;
		entry = memory_load(at.memory, entry_at);
		if (!(entry & present[at.format]))
			break;
		writable &= (entry & ENTRY_WRITABLE) != 0;
		if (!level || (level < PT_LEAF_LEVELS && (entry & ENTRY_LARGE))) {
			walk.present = true;
			walk.writable = writable;
			walk.size = span;
			walk.paddr = (entry & ENTRY_ADDR & ~(span - 1)) + iova % span;
			if (leaf) {
				*leaf = entry;
				*leaf_at = entry_at;
			}
			break;
		}
		at.addr = entry & ENTRY_ADDR;
	}
	return walk;
}

static bool is_beyond(const struct pt_root *root, uint64_t iova)
{
	return !root->levels ||
	       iova >> (MODEL_PAGE_SHIFT + root->levels * PT_LEVEL_SHIFT);
}

struct pt_walk pt_guest_walk(const struct pt_root *root, uint64_t iova)
{
	if (is_beyond(root, iova))
		return (struct pt_walk){ .size = MODEL_PAGE_SIZE };
	return walk_from(root->top, root->levels, iova, NULL, NULL);
}

void pt_guest_mark_dirty(const struct pt_root *root, uint64_t iova)
{
	uint64_t leaf, at;

	if (!is_beyond(root, iova) &&
	    walk_from(root->top, root->levels, iova, &leaf, &at).writable)
		memory_set_bits(root->top.memory, at, leaf, ENTRY_DIRTY);
}

struct pt_walk pt_guest_walk_last(const struct pt_ref *last, uint64_t iova)
{
	return walk_from(*last, 1, iova, NULL, NULL);
}
