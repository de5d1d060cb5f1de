// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables in memory.
 *
 * A table has 512 entries and sits at a level; level 0 is the last one. An
 * entry is 0, a leaf or a table. One writer at a time stores entries with
 * release; hardware walkers load them with acquire and take no lock.
 *
 * A faulty driver frees a table while the hardware still has a pointer to it,
 * and the model exists to tell so instead of crashing. Tables are therefore
 * type-stable: a freed one goes to a pool of the process and only ever becomes a
 * table again. Each has a generation that its free increments. Whoever holds a
 * reference (table, generation) reads the entry first and the generation next:
 * unchanged means that the entry was read from a live table.
 */
#include "pt.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define ENTRIES		(1U << PT_LEVEL_SHIFT)

#define ENTRY_PRESENT	UINT64_C(1)
#define ENTRY_WRITABLE	UINT64_C(2)
#define ENTRY_LEAF	UINT64_C(4)
#define ENTRY_FLAGS	UINT64_C(7)	/* tables are aligned to more */

struct pt_table {
	uint64_t entry[ENTRIES];
	uint64_t generation;
	struct pt_table *next;	/* in the pool, a reserve, or a list of cut ones */
};

struct model_pt {
	struct pt_table *top;
	unsigned int levels;
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pt_table *pool;

static struct pt_table *alloc_table(void)
{
	struct pt_table *table;
	unsigned int i;

	pthread_mutex_lock(&pool_lock);
	table = pool;
	if (table)
		pool = table->next;
	pthread_mutex_unlock(&pool_lock);
	if (!table)
		return calloc(1, sizeof(*table));

	/* Release: who reads one of these also reads the new generation. */
	for (i = 0; i < ENTRIES; i++)
		__atomic_store_n(&table->entry[i], 0, __ATOMIC_RELEASE);
	return table;
}

static void free_tables(struct pt_table *table)
{
	struct pt_table *next;

	pthread_mutex_lock(&pool_lock);
	for (; table; table = next) {
		next = table->next;
		__atomic_add_fetch(&table->generation, 1, __ATOMIC_RELEASE);
		table->next = pool;
		pool = table;
	}
	pthread_mutex_unlock(&pool_lock);
}

static unsigned int shift(unsigned int level)
{
	return MODEL_PAGE_SHIFT + level * PT_LEVEL_SHIFT;
}

/* What one entry of a table at @level maps. */
static uint64_t span(unsigned int level)
{
	return UINT64_C(1) << shift(level);
}

static uint64_t *entry_of(struct pt_table *table, unsigned int level,
			  uint64_t addr)
{
	return &table->entry[addr >> shift(level) & (ENTRIES - 1)];
}

static uint64_t load_entry(const uint64_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static void store_entry(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static struct pt_table *entry_table(uint64_t value)
{
	return (struct pt_table *)(uintptr_t)(value & ~ENTRY_FLAGS);
}

/* Last address of [pos, last] that is mapped by the same entry as @pos. */
static uint64_t entry_end(uint64_t pos, uint64_t last, unsigned int level)
{
	uint64_t end = pos | (span(level) - 1);

	return end < last ? end : last;
}

static bool covers(uint64_t pos, uint64_t end, unsigned int level)
{
	return end - pos == span(level) - 1;
}

/* Puts @table and all below it on *@list. */
static void collect(struct pt_table *table, unsigned int level,
		    struct pt_table **list)
{
	unsigned int i;

	for (i = 0; level && i < ENTRIES; i++) {
		uint64_t value = load_entry(&table->entry[i]);

		if (value && !(value & ENTRY_LEAF))
			collect(entry_table(value), level - 1, list);
	}
	table->next = *list;
	*list = table;
}

struct model_pt *model_pt_create(unsigned int levels)
{
	struct model_pt *pt;

	if (levels < 3 || levels > 5) {
		errno = EINVAL;
		return NULL;
	}
	pt = calloc(1, sizeof(*pt));
	if (!pt)
		return NULL;
	pt->levels = levels;
	pt->top = alloc_table();
	if (!pt->top) {
		free(pt);
		return NULL;
	}
	return pt;
}

void model_pt_destroy(struct model_pt *pt)
{
	struct pt_table *list = NULL;

	if (!pt)
		return;
	collect(pt->top, pt->levels - 1, &list);
	free_tables(list);
	free(pt);
}

static int check_range(const struct model_pt *pt, uint64_t iova, uint64_t size)
{
	uint64_t last = iova + size - 1;

	if (!size || (iova | size) % MODEL_PAGE_SIZE)
		return -EINVAL;
	if (last < iova || last / span(pt->levels - 1) >= ENTRIES)
		return -ERANGE;
	return 0;
}

static bool fits_leaf(uint64_t pos, uint64_t end, uint64_t paddr,
		      unsigned int level)
{
	return level < PT_LEAF_LEVELS && covers(pos, end, level) &&
	       paddr % span(level) == 0;
}

/*
 * What mapping [first, last] under @table (NULL: one that is yet to be made)
 * takes: adds the number of missing tables to *@missing.
 */
static int check_map(struct pt_table *table, unsigned int level, uint64_t first,
		     uint64_t last, uint64_t paddr, unsigned long *missing)
{
	uint64_t pos, end;
	int ret;

	if (!table && !level)
		return 0;

	for (pos = first;; pos = end + 1) {
		uint64_t value = 0;

		end = entry_end(pos, last, level);
		if (table)
			value = load_entry(entry_of(table, level, pos));
		if (value & ENTRY_LEAF)
			return -EEXIST;
		if (value || !fits_leaf(pos, end, paddr + (pos - first), level)) {
			if (!value)
				++*missing;
			ret = check_map(entry_table(value), level - 1, pos, end,
					paddr + (pos - first), missing);
			if (ret)
				return ret;
		}
		if (end == last)
			return 0;
	}
}

/* Does what check_map() found possible, with the tables of *@reserve. */
static void do_map(struct pt_table *table, unsigned int level, uint64_t first,
		   uint64_t last, uint64_t paddr, uint64_t flags,
		   struct pt_table **reserve)
{
	uint64_t pos, end;

	for (pos = first;; pos = end + 1) {
		uint64_t *entry = entry_of(table, level, pos);
		uint64_t value = load_entry(entry);
		uint64_t to = paddr + (pos - first);

		end = entry_end(pos, last, level);
		if (!value && fits_leaf(pos, end, to, level)) {
			store_entry(entry, to | flags);
		} else {
			struct pt_table *below = entry_table(value);

			if (!value) {
				below = *reserve;
				*reserve = below->next;
			}
			do_map(below, level - 1, pos, end, to, flags, reserve);
			/* A new table appears to the hardware filled. */
			if (!value)
				store_entry(entry, (uintptr_t)below | ENTRY_PRESENT);
		}
		if (end == last)
			return;
	}
}

int model_pt_map(struct model_pt *pt, uint64_t iova, uint64_t paddr,
		 uint64_t size, bool writable)
{
	uint64_t flags = ENTRY_PRESENT | ENTRY_LEAF;
	struct pt_table *reserve = NULL;
	unsigned long missing = 0;
	int ret = check_range(pt, iova, size);

	if (ret)
		return ret;
	if (paddr % MODEL_PAGE_SIZE || paddr + size - 1 < paddr)
		return -EINVAL;
	ret = check_map(pt->top, pt->levels - 1, iova, iova + size - 1, paddr,
			&missing);
	if (ret)
		return ret;
	while (missing--) {
		struct pt_table *table = alloc_table();

		if (!table) {
			free_tables(reserve);
			return -ENOMEM;
		}
		table->next = reserve;
		reserve = table;
	}
	if (writable)
		flags |= ENTRY_WRITABLE;
	do_map(pt->top, pt->levels - 1, iova, iova + size - 1, paddr, flags,
	       &reserve);
	return 0;
}

static void count_leaf(struct model_unmapped *un, uint64_t size)
{
	if (!un->bytes)
		un->leaf = size;
	else if (un->leaf != size)
		un->leaf = 0;
	un->bytes += size;
}

/*
 * @cut: the table is out of the hardware's reach already. Its entries stay as
 * they are, as the drivers leave them: a walk cache still finds the old leaves.
 */
static void do_unmap(struct pt_table *table, unsigned int level, uint64_t first,
		     uint64_t last, bool cut, struct model_unmapped *un)
{
	uint64_t pos, end;

	for (pos = first;; pos = end + 1) {
		uint64_t *entry = entry_of(table, level, pos);
		uint64_t value = load_entry(entry);

		end = entry_end(pos, last, level);
		if (value && covers(pos, end, level) && !cut)
			store_entry(entry, 0);
		if (value & ENTRY_LEAF) {
			count_leaf(un, span(level));
		} else if (value) {
			struct pt_table *below = entry_table(value);

			do_unmap(below, level - 1, pos, end,
				 covers(pos, end, level), un);
			if (covers(pos, end, level)) {
				below->next = un->tables;
				un->tables = below;
			}
		}
		if (end == last)
			return;
	}
}

int model_pt_unmap(struct model_pt *pt, uint64_t iova, uint64_t size,
		   struct model_unmapped *un)
{
	struct pt_root root = pt_root(pt);
	uint64_t last = iova + size - 1;
	struct pt_walk walk;
	int ret = check_range(pt, iova, size);

	if (ret)
		return ret;
	/* Only the two ends can lie inside of a leaf. */
	walk = pt_walk(&root, iova);
	if (walk.present && iova % walk.size)
		return -EINVAL;
	walk = pt_walk(&root, last);
	if (walk.present && (last + 1) % walk.size)
		return -EINVAL;
	do_unmap(pt->top, pt->levels - 1, iova, last, false, un);
	return 0;
}

void model_pt_free_tables(struct model_unmapped *un)
{
	free_tables(un->tables);
	un->tables = NULL;
}

bool model_pt_lookup(struct model_pt *pt, uint64_t iova, uint64_t *paddr,
		     bool *writable)
{
	struct pt_root root = pt_root(pt);
	struct pt_walk walk = pt_walk(&root, iova);

	if (walk.present) {
		*paddr = walk.paddr;
		*writable = walk.writable;
	}
	return walk.present;
}

static uint64_t generation_of(const struct pt_table *table)
{
	return __atomic_load_n(&table->generation, __ATOMIC_ACQUIRE);
}

struct pt_root pt_root(const struct model_pt *pt)
{
	if (!pt)
		return (struct pt_root){ 0 };
	return (struct pt_root){
		.top = { .table = pt->top, .generation = generation_of(pt->top) },
		.levels = pt->levels,
	};
}

/* What a struct pt_ref has for PT_MODEL. */
struct place {
	struct pt_table *table;
	uint64_t generation;
};

/*
 * One step. Return: the entry, with the table that it names in *@below; 0 and
 * walk->freed where the table at @at is not what it was.
 */
static uint64_t step(struct place at, unsigned int level, uint64_t iova,
		     struct place *below, struct pt_walk *walk)
{
	const uint64_t *entry = entry_of(at.table, level, iova);
	uint64_t value;

	/*
	 * The generation belongs to the table that the entry names as long as
	 * the entry still names it afterwards: tables are freed after the cut.
	 */
	do {
		value = load_entry(entry);
		if (value && !(value & ENTRY_LEAF)) {
			below->table = entry_table(value);
			below->generation = generation_of(below->table);
		}
	} while (load_entry(entry) != value);

	if (generation_of(at.table) != at.generation) {
		walk->freed = true;
		return 0;
	}
	return value;
}

static void set_leaf(struct pt_walk *walk, uint64_t value, unsigned int level,
		     uint64_t iova)
{
	walk->present = true;
	walk->writable = value & ENTRY_WRITABLE;
	walk->size = span(level);
	walk->paddr = (value & ~ENTRY_FLAGS) + iova % span(level);
}

struct pt_walk pt_walk(const struct pt_root *root, uint64_t iova)
{
	struct place at = { root->top.table, root->top.generation };
	struct pt_walk walk = { .size = MODEL_PAGE_SIZE };
	unsigned int level = root->levels;

	if (root->top.format != PT_MODEL)
		return pt_guest_walk(root, iova);
	if (!level || iova >> shift(level - 1) >= ENTRIES)
		return walk;
	while (level--) {
		struct place below = at;
		uint64_t value;

		if (!level) {
			walk.last.table = at.table;
			walk.last.generation = at.generation;
		}
		value = step(at, level, iova, &below, &walk);
		if (value & ENTRY_LEAF)
			set_leaf(&walk, value, level, iova);
		if (!value || value & ENTRY_LEAF)
			break;
		at = below;
	}
	return walk;
}

struct pt_walk pt_walk_last(const struct pt_ref *last, uint64_t iova)
{
	struct pt_walk walk = { .size = MODEL_PAGE_SIZE, .last = *last };
	struct place at = { last->table, last->generation }, below;
	uint64_t value;

	if (last->format != PT_MODEL)
		return pt_guest_walk_last(last, iova);
	value = step(at, 0, iova, &below, &walk);
	/*
	 * A freed table may serve at another level by now; what its entries
	 * name then is no leaf, but step() has told so.
	 */
	if (value)
		set_leaf(&walk, value, 0, iova);
	return walk;
}
