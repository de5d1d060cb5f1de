/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A translation cache: IOTLB, walk cache or ATC. The caller locks.
 */
#ifndef MODEL_CACHE_H
#define MODEL_CACHE_H

#include "pt.h"

#define CACHE_KINDS	(MODEL_NESTED + 1)

/* No padding: keys are compared and hashed as bytes. */
struct cache_key {
	uint32_t kind;		/* enum model_mode; 0 in an ATC */
	uint32_t tag;
	uint32_t vm_tag;
	uint32_t pasid;
	uint64_t page;		/* first address */
	uint64_t size;
};

struct cache_entry {
	struct cache_key key;
	uint64_t paddr;		/* of the first address */
	bool present;
	bool writable;
	bool dirty;		/* marked so in the tables when it was filled, or later */
	struct pt_ref table;	/* walk cache; else none */
	unsigned long survived;	/* an invalidation: waits executed by then, and 1 */
	uint32_t next;		/* private */
};

struct cache {
	struct cache_entry *entries;	/* dense, in no order */
	uint32_t count;
	/* private: */
	uint32_t of_kind[CACHE_KINDS];	/* so many entries */
	uint32_t of_level[PT_LEAF_LEVELS];
	uint32_t room;
	uint32_t victim;
	uint32_t *buckets;		/* @room of them */
};

/* The entry of exactly this key, page and size included. */
const struct cache_entry *cache_find(const struct cache *cache,
				     const struct cache_key *key);
/* The entry that covers @addr, of any leaf size, with the rest of @key. */
const struct cache_entry *cache_lookup(const struct cache *cache,
				       struct cache_key key, uint64_t addr);
/* Replaces an entry of the same key. */
void cache_insert(struct cache *cache, const struct cache_entry *entry);
/* Entry @i; the last takes its place. */
void cache_remove(struct cache *cache, uint32_t i);
void cache_clear(struct cache *cache);

/* Is there an entry of one of these kinds, bits 1 << kind? */
static inline bool cache_has(const struct cache *cache, unsigned int kinds)
{
	unsigned int kind;

	for (kind = 0; kind < CACHE_KINDS; kind++)
		if (kinds & 1u << kind && cache->of_kind[kind])
			return true;
	return false;
}

static inline bool cache_overlaps(const struct cache_entry *entry,
				  uint64_t first, uint64_t last)
{
	return entry->key.page <= last &&
	       entry->key.page + (entry->key.size - 1) >= first;
}

/* @match may write to the entry, but not to its key. Inline: it looks at every entry. */
static inline void cache_drop(struct cache *cache,
			      bool (*match)(struct cache_entry *entry, const void *arg),
			      const void *arg)
{
	uint32_t i = 0;

	while (i < cache->count) {
		if (match(&cache->entries[i], arg))
			cache_remove(cache, i);
		else
			i++;
	}
}

#endif /* MODEL_CACHE_H */
