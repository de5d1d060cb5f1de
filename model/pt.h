/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tables as the hardware reads them: those of a struct model_pt, or those that a
 * guest's driver wrote to the guest's memory, in the vendor's own format.
 *
 * The hardware holds references to tables, never to a struct model_pt: a reference stays
 * safe to follow whatever the driver freed in the meantime, and tells that it was freed.
 * A guest's memory does not tell what is freed: a table there is known by its address.
 */
#ifndef MODEL_PT_H
#define MODEL_PT_H

#include "model.h"

/* Address bits that one level of tables resolves. */
#define PT_LEVEL_SHIFT		9
/* Levels, from the last one, that may have leaves: 4 KiB, 2 MiB, 1 GiB. */
#define PT_LEAF_LEVELS		3
/* What one last-level table maps. */
#define PT_TABLE_SPAN		(MODEL_PAGE_SIZE << PT_LEVEL_SHIFT)

struct pt_table;

enum pt_format {
	PT_MODEL,		/* of a struct model_pt */
	PT_VTD_FIRST,		/* VT-d 9.7; AMD's guest tables are the same */
	PT_VTD_SECOND,		/* VT-d 9.8 */
	PT_ARM_FIRST,		/* VMSAv8-64, granule 4 KiB: DDI 0487 D8.3 */
	PT_ARM_SECOND,
	PT_AMD_HOST,		/* AMD 2.2.3 */
};

struct pt_ref {
	enum pt_format format;
	/* PT_MODEL; no table: NULL */
	struct pt_table *table;
	uint64_t generation;
	/* the others; no table: no memory */
	const struct model_memory *memory;
	uint64_t addr;
	/* S1 of a nest: @addr is an address of this S2; 0 levels: it is not */
	enum pt_format s2_format;
	uint64_t s2_top;
	unsigned int s2_levels;
};

struct pt_root {
	struct pt_ref top;
	unsigned int levels;	/* 0: no table */
};

struct pt_walk {
	bool present;
	bool writable;
	bool freed;		/* entered a table that was freed */
	uint64_t paddr;		/* of the address asked for */
	uint64_t size;		/* of the leaf, a page where there is none */
	struct pt_ref last;	/* last-level table, if the walk came to one */
};

static inline bool pt_exists(const struct pt_ref *ref)
{
	return ref->table || ref->memory;
}

static inline bool pt_same(const struct pt_ref *a, const struct pt_ref *b)
{
	return a->format == b->format && a->table == b->table &&
	       a->generation == b->generation && a->memory == b->memory &&
	       a->addr == b->addr && a->s2_top == b->s2_top &&
	       a->s2_levels == b->s2_levels;
}

/* @pt: may be NULL. */
struct pt_root pt_root(const struct model_pt *pt);
/*
 * Tables in a guest's memory. @s2: NULL, or the S2 that all addresses in the tables, and
 * the top one's, go through: a root that this function made.
 */
struct pt_root pt_guest_root(enum pt_format format, const struct model_memory *memory,
			     uint64_t top, unsigned int levels, const struct pt_root *s2);
struct pt_walk pt_walk(const struct pt_root *root, uint64_t iova);
/* The last step alone, from a cached reference to a last-level table. */
struct pt_walk pt_walk_last(const struct pt_ref *last, uint64_t iova);
/* The two for tables in a guest's memory; the ones above come here. */
struct pt_walk pt_guest_walk(const struct pt_root *root, uint64_t iova);
/* PT_VTD_SECOND, PT_AMD_HOST: sets A and D in the leaf for @iova, if one is there and writable. */
void pt_guest_mark_dirty(const struct pt_root *root, uint64_t iova);
struct pt_walk pt_guest_walk_last(const struct pt_ref *last, uint64_t iova);

#endif /* MODEL_PT_H */
