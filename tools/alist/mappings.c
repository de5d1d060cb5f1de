// SPDX-License-Identifier: GPL-2.0-only
/*
 * A skip list, sorted by address, the newest first among equals; all mappings are
 * also in the order of their age, to forget the oldest.
 *
 * A mapping that begins before a range and reaches into it is looked for a few
 * steps back only: mappings of one domain do not overlap, so that there are as
 * many to pass as other domains use the same addresses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mappings.h"

#define LEVELS	16
#define BACK	8

struct node {
	struct mapping mapping;
	uint64_t born;			/* how many were added before */
	struct node *older, *newer;
	struct node *prev;		/* by address */
	unsigned int levels;
	struct node *next[];
};

struct mappings {
	size_t nr, max;
	uint64_t added, random;
	struct node *oldest, *newest;
	struct node *head;
};

struct mappings *mappings_create(size_t max)
{
	struct mappings *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->head = calloc(1, sizeof(*m->head) + LEVELS * sizeof(m->head->next[0]));
	if (!m->head) {
		free(m);
		return NULL;
	}
	m->head->levels = LEVELS;
	m->max = max;
	m->random = 88172645463325252ull;
	return m;
}

void mappings_clear(struct mappings *m)
{
	struct node *node = m->oldest;

	while (node) {
		struct node *newer = node->newer;

		free(node);
		node = newer;
	}
	m->oldest = m->newest = NULL;
	m->nr = 0;
	memset(m->head->next, 0, LEVELS * sizeof(m->head->next[0]));
}

void mappings_destroy(struct mappings *m)
{
	if (!m)
		return;
	mappings_clear(m);
	free(m->head);
	free(m);
}

/* Where one at @iova that was added as the @born'th is, or would be. */
static bool is_before(const struct node *node, uint64_t iova, uint64_t born)
{
	return node->mapping.iova < iova ||
	       (node->mapping.iova == iova && node->born > born);
}

/* The last node before that place, on every level. */
static void find(struct mappings *m, uint64_t iova, uint64_t born, struct node **before)
{
	struct node *node = m->head;
	int level;

	for (level = LEVELS - 1; level >= 0; level--) {
		while (node->next[level] && is_before(node->next[level], iova, born))
			node = node->next[level];
		before[level] = node;
	}
}

static void remove_node(struct mappings *m, struct node *node)
{
	struct node *before[LEVELS];
	unsigned int level;

	find(m, node->mapping.iova, node->born, before);
	for (level = 0; level < node->levels; level++)
		before[level]->next[level] = node->next[level];
	if (node->next[0])
		node->next[0]->prev = node->prev;
	if (node->older)
		node->older->newer = node->newer;
	else
		m->oldest = node->newer;
	if (node->newer)
		node->newer->older = node->older;
	else
		m->newest = node->older;
	m->nr--;
	free(node);
}

int mappings_add(struct mappings *m, const struct mapping *mapping)
{
	struct node *before[LEVELS];
	unsigned int level, levels = 1;
	struct node *node;

	/* xorshift64: a level more for every second one. */
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	while (levels < LEVELS && m->random >> levels & 1)
		levels++;
	node = calloc(1, sizeof(*node) + levels * sizeof(node->next[0]));
	if (!node)
		return -ENOMEM;
	if (m->nr == m->max)
		remove_node(m, m->oldest);
	node->mapping = *mapping;
	node->levels = levels;
	node->born = m->added++;
	find(m, mapping->iova, node->born, before);
	for (level = 0; level < levels; level++) {
		node->next[level] = before[level]->next[level];
		before[level]->next[level] = node;
	}
	node->prev = before[0];
	if (node->next[0])
		node->next[0]->prev = node;
	node->older = m->newest;
	if (m->newest)
		m->newest->newer = node;
	else
		m->oldest = node;
	m->newest = node;
	m->nr++;
	return 0;
}

bool mappings_take(struct mappings *m, uint64_t iova, uint64_t size,
		   struct mapping *out)
{
	struct node *before[LEVELS];
	struct node *node = NULL, *back;
	uint64_t last = iova + (size - 1);
	struct mapping whole, rest;
	unsigned int i;

	find(m, iova, UINT64_MAX, before);
	back = before[0];
	for (i = 0; i < BACK && back != m->head; i++, back = back->prev)
		if (back->mapping.iova + (back->mapping.size - 1) >= iova)
			node = back;
	if (!node)
		node = before[0]->next[0];
	if (!node || node->mapping.iova > last)
		return false;

	whole = node->mapping;
	remove_node(m, node);
	*out = whole;
	if (whole.iova < iova) {
		rest = whole;
		rest.size = iova - whole.iova;
		if (mappings_add(m, &rest))
			return false;
		out->iova = iova;
		out->paddr += rest.size;
		out->size -= rest.size;
	}
	if (out->iova + (out->size - 1) > last) {
		rest = *out;
		out->size = last - out->iova + 1;
		rest.iova += out->size;
		rest.paddr += out->size;
		rest.size -= out->size;
		if (mappings_add(m, &rest))
			return false;
	}
	return true;
}
