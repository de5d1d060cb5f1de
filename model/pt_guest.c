// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables in a guest's memory, all of 512 entries of 64 bits.
 *
 *   VT-d (D51397, section numbers of revision 5.10)   first stage as the CPU's (9.7), second
 *       stage (9.8): the address in bits 51:12, the page size flag in bit 7; they differ in
 *       what the lowest bits mean. Each level says whether pages below can be written.
 *   Arm, VMSAv8-64 with pages of 4 KiB (DDI 0487, D8.3)   bits 1:0 are 3 of a table and of a
 *       page, 1 of a block, the address is in bits 47:12. Nobody sets the access flag (bit
 *       10): a leaf without it is not present. AP[2] (bit 7) makes a leaf of stage 1
 *       read-only, and APTable[1] (bit 62) all below a table; S2AP has a bit to read (6) and
 *       one to write (7). The contiguous hint and DBM are not used.
 *   AMD (48882, 2.2.3), host tables   PR is bit 0, IR and IW are bits 61 and 62 of each level,
 *       the address is in bits 51:12. NextLevel (11:9) is the level of the table that a table
 *       entry points to, 0 of a leaf of the level's size, 7 of one whose size the lowest
 *       clear bit of the address tells: that many entries are equal, each is taken for a
 *       leaf of its own here. Entries that skip levels are not modelled: they are absent.
 *       Guest tables are the CPU's.
 *
 * The S1 tables of a nest lie at addresses of the S2. They are read through the S2's
 * tables as these are at that moment: what hardware caches of that is not modelled.
 */
#include "memory.h"
#include "pt.h"

#define ENTRIES		(1U << PT_LEVEL_SHIFT)
#define BIT(n)		(UINT64_C(1) << (n))

#define VTD_ADDR	UINT64_C(0x000ffffffffff000)
#define VTD_WRITABLE	BIT(1)		/* of both */
#define VTD_LARGE	BIT(7)
#define VTD_DIRTY	UINT64_C(0x300)	/* A and D of the second stage */

#define ARM_ADDR	UINT64_C(0x0000fffffffff000)
#define ARM_TYPE	UINT64_C(3)
#define ARM_BLOCK	UINT64_C(1)
#define ARM_AF		BIT(10)
#define ARM_AP_RO	BIT(7)
#define ARM_APTABLE_RO	BIT(62)
#define ARM_S2AP_R	BIT(6)
#define ARM_S2AP_W	BIT(7)

#define AMD_PRESENT	BIT(0)
#define AMD_DIRTY	UINT64_C(0x60)	/* A and D */
#define AMD_NEXT(entry)	((unsigned int)((entry) >> 9 & 7))
#define AMD_NEXT_SIZED	7
#define AMD_IR		BIT(61)
#define AMD_IW		BIT(62)

static bool is_arm(enum pt_format format)
{
	return format == PT_ARM_FIRST || format == PT_ARM_SECOND;
}

static uint64_t address_in(enum pt_format format, uint64_t entry)
{
	return entry & (is_arm(format) ? ARM_ADDR : VTD_ADDR);
}

static bool is_leaf(enum pt_format format, uint64_t entry, unsigned int level)
{
	if (!level)
		return true;
	if (level >= PT_LEAF_LEVELS)
		return false;
	if (format == PT_AMD_HOST)
		return !AMD_NEXT(entry) || AMD_NEXT(entry) == AMD_NEXT_SIZED;
	return is_arm(format) ? (entry & ARM_TYPE) == ARM_BLOCK : entry & VTD_LARGE;
}

static bool arm_is_present(enum pt_format format, uint64_t entry, unsigned int level)
{
	bool block = level && level < PT_LEAF_LEVELS && (entry & ARM_TYPE) == ARM_BLOCK;

	if (!block && (entry & ARM_TYPE) != ARM_TYPE)
		return false;
	return !is_leaf(format, entry, level) ||
	       (entry & ARM_AF && (format == PT_ARM_FIRST || entry & ARM_S2AP_R));
}

static bool amd_is_present(uint64_t entry, unsigned int level)
{
	return entry & AMD_PRESENT && entry & (AMD_IR | AMD_IW) &&
	       (is_leaf(PT_AMD_HOST, entry, level) || AMD_NEXT(entry) == level);
}

/* Where a leaf of @span, or all that are equal to it, begins. */
static uint64_t leaf_address(enum pt_format format, uint64_t entry, uint64_t span,
			     uint64_t iova)
{
	uint64_t addr = address_in(format, entry), size = span;

	if (format == PT_AMD_HOST && AMD_NEXT(entry) == AMD_NEXT_SIZED) {
		for (size = 2 * MODEL_PAGE_SIZE; addr & size / 2; size *= 2)
			;
	}
	return (addr & ~(size - 1)) + iova % size;
}

static bool is_present(enum pt_format format, uint64_t entry, unsigned int level)
{
	switch (format) {
	case PT_VTD_FIRST:
		return entry & BIT(0);
	case PT_VTD_SECOND:
		return entry & (BIT(0) | VTD_WRITABLE);
	case PT_AMD_HOST:
		return amd_is_present(entry, level);
	default:
		return arm_is_present(format, entry, level);
	}
}

/* As far as this entry is concerned. */
static bool is_writable(enum pt_format format, uint64_t entry, unsigned int level)
{
	bool leaf = is_leaf(format, entry, level);

	switch (format) {
	case PT_ARM_FIRST:
		return !(entry & (leaf ? ARM_AP_RO : ARM_APTABLE_RO));
	case PT_ARM_SECOND:
		return !leaf || entry & ARM_S2AP_W;
	case PT_AMD_HOST:
		return entry & AMD_IW;
	default:
		return entry & VTD_WRITABLE;
	}
}

struct pt_root pt_guest_root(enum pt_format format, const struct model_memory *memory,
			     uint64_t top, unsigned int levels, const struct pt_root *s2)
{
	struct pt_root root = {
		.top = { .format = format, .memory = memory, .addr = address_in(format, top) },
		.levels = levels,
	};

	if (s2) {
		root.top.s2_format = s2->top.format;
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
		struct pt_root s2 = pt_guest_root(table->s2_format, table->memory,
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
		if (!is_present(at.format, entry, level))
			break;
		writable &= is_writable(at.format, entry, level);
		if (is_leaf(at.format, entry, level)) {
			walk.present = true;
			walk.writable = writable;
			walk.size = span;
			walk.paddr = leaf_address(at.format, entry, span, iova);
			if (leaf) {
				*leaf = entry;
				*leaf_at = entry_at;
			}
			break;
		}
		at.addr = address_in(at.format, entry);
	}
	return walk;
}

static bool is_beyond(const struct pt_root *root, uint64_t iova)
{
	unsigned int bits = MODEL_PAGE_SHIFT + root->levels * PT_LEVEL_SHIFT;

	return !root->levels || (bits < 64 && iova >> bits);
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
		memory_set_bits(root->top.memory, at, leaf,
				root->top.format == PT_AMD_HOST ? AMD_DIRTY : VTD_DIRTY);
}

struct pt_walk pt_guest_walk_last(const struct pt_ref *last, uint64_t iova)
{
	return walk_from(*last, 1, iova, NULL, NULL);
}
