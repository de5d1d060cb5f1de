// SPDX-License-Identifier: GPL-2.0-only
/*
 * A translation cache: a dense array of entries, so that an invalidation looks
 * at what is cached and nothing else, and hash chains of indices over it.
 *
 * Entries leave by cache_drop(), cache_clear(), or because the cache is full:
 * then round robin, to be deterministic. The capacity is far above that of real
 * hardware, which loses entries by luck and hides a missing invalidation so.
 */
#include "cache.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY	4096
#define NONE		UINT32_MAX

static uint32_t *bucket_of(const struct cache *cache, const struct cache_key *key)
{
	uint64_t hash = key->page ^ key->size << 1;

	hash = (hash ^ key->pasid) * UINT64_C(0x9e3779b97f4a7c15);
	hash = (hash ^ hash >> 32 ^ key->tag) * UINT64_C(0x9e3779b97f4a7c15);
	hash = (hash ^ hash >> 32 ^ key->vm_tag ^ (uint64_t)key->kind << 32) *
	       UINT64_C(0x9e3779b97f4a7c15);
	return &cache->buckets[hash >> 32 & (cache->room - 1)];
}

static struct cache_entry *find(const struct cache *cache,
				const struct cache_key *key)
{
	uint32_t i;

	if (!cache->count)
		return NULL;
	for (i = *bucket_of(cache, key); i != NONE; i = cache->entries[i].next)
		if (!memcmp(&cache->entries[i].key, key, sizeof(*key)))
			return &cache->entries[i];
	return NULL;
}

const struct cache_entry *cache_find(const struct cache *cache,
				     const struct cache_key *key)
{
	return find(cache, key);
}

const struct cache_entry *cache_lookup(const struct cache *cache,
				       struct cache_key key, uint64_t addr)
{
	const struct cache_entry *entry = NULL;
	unsigned int level;

	key.size = MODEL_PAGE_SIZE;
	for (level = 0; level < PT_LEAF_LEVELS && !entry; level++) {
		key.page = addr & ~(key.size - 1);
		if (cache->of_level[level])
			entry = find(cache, &key);
		key.size <<= PT_LEVEL_SHIFT;
	}
	return entry;
}

/* Of the leaf that an entry was made of. */
static unsigned int level_of(const struct cache_key *key)
{
	unsigned int level = 0;

	while (level < PT_LEAF_LEVELS - 1 &&
	       MODEL_PAGE_SIZE << (level * PT_LEVEL_SHIFT) < key->size)
		level++;
	return level;
}

static void link_entry(struct cache *cache, uint32_t i)
{
	uint32_t *bucket = bucket_of(cache, &cache->entries[i].key);

	cache->entries[i].next = *bucket;
	*bucket = i;
}

/* The link that names entry @i. */
static uint32_t *link_to(struct cache *cache, uint32_t i)
{
	uint32_t *link = bucket_of(cache, &cache->entries[i].key);

	while (*link != i)
		link = &cache->entries[*link].next;
	return link;
}

void cache_remove(struct cache *cache, uint32_t i)
{
	const struct cache_key *key = &cache->entries[i].key;
	uint32_t moved = cache->count - 1;

	cache->of_kind[key->kind]--;
	cache->of_level[level_of(key)]--;
	*link_to(cache, i) = cache->entries[i].next;
	if (i != moved) {
		*link_to(cache, moved) = i;
		cache->entries[i] = cache->entries[moved];
	}
	cache->count--;
}

static bool grow(struct cache *cache)
{
	/* A power of two: bucket_of() masks. */
	uint32_t room = cache->room ? cache->room * 2 : 16;
	struct cache_entry *entries;
	uint32_t *buckets, i;

	buckets = malloc(room * sizeof(*buckets));
	if (!buckets)
		return false;
	entries = realloc(cache->entries, room * sizeof(*entries));
	if (!entries) {
		free(buckets);
		return false;
	}
	free(cache->buckets);
	cache->entries = entries;
	cache->buckets = buckets;
	cache->room = room;
	memset(buckets, 0xff, room * sizeof(*buckets));
	for (i = 0; i < cache->count; i++)
		link_entry(cache, i);
	return true;
}

void cache_insert(struct cache *cache, const struct cache_entry *entry)
{
	struct cache_entry *old = find(cache, &entry->key);
	uint32_t i;

	if (old) {
		uint32_t next = old->next;

		*old = *entry;
		old->next = next;
		return;
	}
	if (cache->count == CAPACITY)
		cache_remove(cache, cache->victim++ % CAPACITY);
	/* Without memory the translation is not cached: hardware may do so. */
	if (cache->count == cache->room && !grow(cache))
		return;
	i = cache->count++;
	cache->entries[i] = *entry;
	cache->of_kind[entry->key.kind]++;
	cache->of_level[level_of(&entry->key)]++;
	link_entry(cache, i);
}

void cache_clear(struct cache *cache)
{
	free(cache->entries);
	free(cache->buckets);
	memset(cache, 0, sizeof(*cache));
}
