/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domains to measure, and the proof that layouts send the same
 *
 * A scene is a number of domains with the same number of endpoints each, behind the
 * same number of IOMMUs. A set is a scene in one layout. Sets of one scene are made
 * of the same endpoints, attached in the same order.
 */
#ifndef BENCH_SET_H
#define BENCH_SET_H

#include "layout.h"

enum atc_use { ATC_NONE, ATC_HALF, ATC_ALL };

extern const char *const atc_names[];

struct shape {
	u32 n;			/* endpoints in a domain */
	u32 g;			/* IOMMUs */
	enum atc_use atc;
	bool nest;		/* the domains are parents of nests */
};

struct scene {
	struct shape shape;
	u32 nr_domains;
	u32 n;			/* endpoints there are for each domain: more than attached */
	struct endpoint *eps;	/* @n of each domain */
	u32 *order;		/* of attaching: shuffled (domain, endpoint) */
};

struct set {
	const struct scene *scene;
	const struct layout *layout;
	char *memory;		/* of all domains */
	void **domains;
	void **attachments;	/* as scene->eps; NULL: not attached */
};

/* @spare: endpoints of each domain that are not attached at first. */
struct scene *scene_new(struct shape shape, u32 nr_domains, u32 spare, u32 seed);
void scene_free(struct scene *scene);

bool set_possible(const struct layout *layout, struct shape shape);
struct set *set_new(const struct layout *layout, const struct scene *scene);
void set_free(struct set *set);

/* @i: index into scene->eps. */
void *set_attachment_new(const struct set *set);
void set_attach(struct set *set, u32 i);
/* Freed by the caller, after a grace period. */
void *set_detach(struct set *set, u32 i);

/* Memory that there is always enough of. */
void *must_alloc(size_t size);
u32 rnd(u32 *state);

/*
 * Does the domain send what its endpoints ask for, in walk and flush? Ends the
 * program if not. Return: the number of commands of a walk.
 */
u64 set_verify(const struct set *set, u32 domain);

#endif /* BENCH_SET_H */
