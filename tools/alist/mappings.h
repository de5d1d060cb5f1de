/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a log mapped and did not unmap yet. A map event does not say for which
 * domain, so mappings wait here until an unmap takes them; several may be of the
 * same address.
 */
#ifndef ALIST_MAPPINGS_H
#define ALIST_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
	uint64_t iova;
	uint64_t paddr;
	uint64_t size;
};

struct mappings;

/* @max: the oldest mappings are forgotten beyond that many. */
struct mappings *mappings_create(size_t max);
void mappings_destroy(struct mappings *mappings);
void mappings_clear(struct mappings *mappings);
/* Return: 0 or -ENOMEM. */
int mappings_add(struct mappings *mappings, const struct mapping *mapping);
/*
 * Takes out the first mapping, the newest of those at the same address, that has
 * part in [iova, iova + size); what is outside of it stays. Return: false if there
 * is none.
 */
bool mappings_take(struct mappings *mappings, uint64_t iova, uint64_t size,
		   struct mapping *mapping);

#endif /* ALIST_MAPPINGS_H */
