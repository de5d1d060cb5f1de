// SPDX-License-Identifier: GPL-2.0-only
/*
 * Domains to measure, see set.h
 *
 * Attaching goes round robin over all domains in random order, so that what belongs
 * to one domain is scattered over memory as it is after some uptime.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/slab.h>

#include "set.h"

const struct layout *const layouts[] = {
	&layout_floor, &layout_floor_no_barrier,
	&layout_naive_tas, &layout_naive_fair,
	&layout_vtd_tas, &layout_vtd_fair,
	&layout_amd_tas, &layout_amd_fair,
	&layout_riscv, &layout_smmuv3, &layout_alist_call, &layout_alist,
	NULL
};

const char *const atc_names[] = { "none", "half", "all" };

#define DRIVER_DOMAIN_SIZE	256

/* IOMMUs are addresses, nothing else. */
static char iommus[MAX_IOMMUS][LINE] __attribute__((__aligned__(LINE)));

void *must_alloc(size_t size)
{
	/* Whole lines, so that nobody's neighbour is in the same one. */
	size_t lines = (size + LINE - 1) / LINE;
	void *object = aligned_alloc(LINE, (lines ?: 1) * LINE);

	if (!object) {
		fprintf(stderr, "bench: no memory for %zu bytes\n", size);
		exit(1);
	}
	return memset(object, 0, (lines ?: 1) * LINE);
}

/* xorshift32, Marsaglia 2003. */
u32 rnd(u32 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void shuffle(u32 *v, u32 nr, u32 *state)
{
	u32 i, j, swap;

	for (i = nr; i > 1; i--) {
		j = rnd(state) % i;
		swap = v[i - 1];
		v[i - 1] = v[j];
		v[j] = swap;
	}
}

static void endpoint_init(struct endpoint *ep, const struct shape *shape, u32 domain,
			  u32 i)
{
	ep->iommu_index = i % shape->g;
	ep->iommu = (void *)iommus[ep->iommu_index];
	ep->ats = shape->atc == ATC_ALL ||
		  (shape->atc == ATC_HALF && (i + i / shape->g) % 2);
	ep->nest = shape->nest;
	ep->tag = domain + 1;
	ep->atc = (u64)domain << 32 | (i + 1) << 8;
}

struct scene *scene_new(struct shape shape, u32 nr_domains, u32 spare, u32 seed)
{
	struct scene *scene = must_alloc(sizeof(*scene));
	u32 i, d, *perm;

	scene->shape = shape;
	scene->nr_domains = nr_domains;
	scene->n = shape.n + spare;
	scene->eps = must_alloc(sizeof(*scene->eps) * nr_domains * scene->n);
	scene->order = must_alloc(sizeof(*scene->order) * nr_domains * shape.n);
	for (d = 0; d < nr_domains; d++) {
		for (i = 0; i < scene->n; i++)
			endpoint_init(&scene->eps[d * scene->n + i], &shape, d, i);
	}
	perm = must_alloc(sizeof(*perm) * nr_domains);
	for (d = 0; d < nr_domains; d++)
		perm[d] = d;
	for (i = 0; i < shape.n; i++) {
		shuffle(perm, nr_domains, &seed);
		for (d = 0; d < nr_domains; d++)
			scene->order[i * nr_domains + d] = perm[d] * scene->n + i;
	}
	free(perm);
	return scene;
}

void scene_free(struct scene *scene)
{
	free(scene->eps);
	free(scene->order);
	free(scene);
}

bool set_possible(const struct layout *layout, struct shape shape)
{
	return layout->nests || !shape.nest;
}

void *set_attachment_new(const struct set *set)
{
	const struct layout *layout = set->layout;
	bool nest = set->scene->shape.nest && layout->nest_size;
	void *attachment = kzalloc(nest ? layout->nest_size : layout->attachment_size,
				   GFP_KERNEL);

	if (!attachment) {
		fprintf(stderr, "bench: no memory for an attachment\n");
		exit(1);
	}
	return attachment;
}

static void attach(struct set *set, u32 i, void *attachment)
{
	const struct scene *scene = set->scene;

	if (set->layout->attach(set->domains[i / scene->n], attachment,
				&scene->eps[i])) {
		fprintf(stderr, "bench: %s cannot attach\n", set->layout->name);
		exit(1);
	}
	set->attachments[i] = attachment;
}

void set_attach(struct set *set, u32 i)
{
	attach(set, i, set_attachment_new(set));
}

void *set_detach(struct set *set, u32 i)
{
	const struct scene *scene = set->scene;
	void *attachment = set->attachments[i];

	set->layout->detach(set->domains[i / scene->n], attachment, &scene->eps[i]);
	set->attachments[i] = NULL;
	return attachment;
}

struct set *set_new(const struct layout *layout, const struct scene *scene)
{
	struct set *set = must_alloc(sizeof(*set));
	/*
	 * A driver's domain has more in it than the list of what is attached, so these
	 * lie as far apart, whatever the layout. In one piece: single ones take for
	 * ever to allocate.
	 */
	size_t size = DRIVER_DOMAIN_SIZE;
	u32 d, i;

	if (layout->domain_size > size)
		abort();
	set->memory = must_alloc(size * scene->nr_domains);
	set->scene = scene;
	set->layout = layout;
	set->domains = must_alloc(sizeof(*set->domains) * scene->nr_domains);
	set->attachments = must_alloc(sizeof(*set->attachments) *
				      scene->nr_domains * scene->n);
	for (d = 0; d < scene->nr_domains; d++) {
		set->domains[d] = set->memory + d * size;
		layout->init(set->domains[d]);
	}
	for (i = 0; i < scene->nr_domains * scene->shape.n; i++)
		set_attach(set, scene->order[i]);
	return set;
}

void set_free(struct set *set)
{
	const struct scene *scene = set->scene;
	u32 d, i, nr = scene->nr_domains * scene->n;
	void **gone = must_alloc(sizeof(*gone) * nr);

	for (i = 0; i < nr; i++) {
		if (set->attachments[i])
			gone[i] = set_detach(set, i);
	}
	synchronize_rcu();
	for (i = 0; i < nr; i++)
		kfree(gone[i]);
	free(gone);
	for (d = 0; d < scene->nr_domains; d++)
		set->layout->exit(set->domains[d]);
	free(set->memory);
	free(set->domains);
	free(set->attachments);
	free(set);
}

/*
 * Verification
 */

static int command_cmp(const void *a, const void *b)
{
	const struct command *x = a, *y = b;

	if (x->what != y->what)
		return x->what < y->what ? -1 : 1;
	if (x->who != y->who)
		return x->who < y->who ? -1 : 1;
	return 0;
}

static u32 sort_commands(struct command *cmd, u32 nr, bool unique)
{
	u32 i, out = 0;

	qsort(cmd, nr, sizeof(*cmd), command_cmp);
	for (i = 0; i < nr; i++) {
		if (!unique || !out || command_cmp(&cmd[i], &cmd[out - 1]))
			cmd[out++] = cmd[i];
	}
	return out;
}

/* Straight from the contract. */
static u32 expected(const struct set *set, u32 domain, struct command *cmd)
{
	const struct scene *scene = set->scene;
	const struct endpoint *ep;
	u32 i, nr = 0;

	for (i = domain * scene->n; i < (domain + 1) * scene->n; i++) {
		if (!set->attachments[i])
			continue;
		ep = &scene->eps[i];
		cmd[nr].what = (uintptr_t)ep->iommu | (ep->nest ? OP_NEST : OP_IOTLB);
		cmd[nr++].who = ep->tag;
		if (!ep->ats)
			continue;
		cmd[nr].what = (uintptr_t)ep->iommu | (ep->nest ? OP_ATC_ALL : OP_ATC);
		cmd[nr++].who = ep->atc;
	}
	return sort_commands(cmd, nr, true);
}

static void print_commands(const char *title, const struct command *cmd, u32 nr)
{
	u32 i;

	fprintf(stderr, "%s:\n", title);
	for (i = 0; i < nr && i < 20; i++)
		fprintf(stderr, "  %016llx %016llx\n", cmd[i].what, cmd[i].who);
	if (nr > 20)
		fprintf(stderr, "  and %u more\n", nr - 20);
}

static u32 sent(const struct set *set, u32 domain, struct command *cmd, u64 room,
		bool flush)
{
	const struct layout *layout = set->layout;
	struct sink sink = { .ring = cmd, .mask = room - 1, .completed = UINT64_MAX };
	u32 i, nr = 0;

	(flush ? layout->flush : layout->walk)(set->domains[domain], &sink);
	if (sink.nr > room) {
		fprintf(stderr, "bench: %s sent %llu commands\n", layout->name,
			sink.nr);
		exit(1);
	}
	for (i = 0; i < sink.nr; i++) {
		if ((cmd[i].what & OP_MASK) != OP_SYNC)
			cmd[nr++] = cmd[i];
	}
	return sort_commands(cmd, nr, !layout->collapses);
}

u64 set_verify(const struct set *set, u32 domain)
{
	const struct shape *shape = &set->scene->shape;
	u64 room = 16;
	struct command *want, *got;
	u32 nr, nr_got;
	int flush;

	while (room < 4ULL * set->scene->n)
		room *= 2;
	want = must_alloc(room * sizeof(*want));
	got = must_alloc(room * sizeof(*got));
	nr = expected(set, domain, want);
	for (flush = 0; flush < 2; flush++) {
		nr_got = sent(set, domain, got, room, flush);
		if (nr == nr_got && !memcmp(want, got, nr * sizeof(*want)))
			continue;
		fprintf(stderr, "bench: %s: %s of N=%u G=%u ATC=%s%s sends the wrong commands\n",
			set->layout->name, flush ? "flush" : "walk", shape->n, shape->g,
			atc_names[shape->atc], shape->nest ? " nests" : "");
		print_commands("wanted", want, nr);
		print_commands("sent", got, nr_got);
		exit(1);
	}
	free(want);
	free(got);
	return nr;
}
