/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tables as the hardware reads them. The hardware holds references to
 * tables, never to a struct model_pt: a reference stays safe to follow whatever
 * the driver freed in the meantime, and tells that it was freed.
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

struct pt_ref {
	struct pt_table *table;
	uint64_t generation;
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

/* @pt: may be NULL. */
struct pt_root pt_root(const struct model_pt *pt);
struct pt_walk pt_walk(const struct pt_root *root, uint64_t iova);
/* The last step alone, from a cached reference to a last-level table. */
struct pt_walk pt_walk_last(const struct pt_ref *last, uint64_t iova);

#endif /* MODEL_PT_H */
