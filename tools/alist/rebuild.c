// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rebuilding a machine from a log.
 *
 * Events of one execution context (a task, or the interrupts of a CPU) come in
 * the order in which its code ran, those of different contexts interleave. So
 * each context has an operation in progress: the event that began it (an unmap, a
 * detach, ..) and the commands since. An operation is settled, which means turned
 * into a step, when its context begins the next one, or when another context
 * begins something that can only follow it.
 *
 * What the logs of a vendor's driver say, and what has to be inferred, is at the head of
 * the vendor's file.
 *
 * An unmap names no domain: it belongs to the one whose tag the commands after it carry.
 * Unmaps that no command follows wait for a flush of everything. Commands within the range
 * of an unmap may come before its event: what is freed on the way is flushed on the way.
 *
 * Memory is bounded: contexts are hashed into a fixed table, unflushed unmaps and
 * objects have limits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rebuild-internal.h"

#define RANGES_MAX	4096		/* unmaps of one flush */
#define LAZY_MAX	65536		/* unmaps that wait for a flush of everything */
/* So many, and their flush is not missing: a queue of them is full. */
#define LAZY_FEW	64
#define STALE_LINES	4096
#define BURST_MAX	4096		/* commands of one flush */
/* No flush pauses that long between two commands. */
#define FLUSH_GAP_NS	100000000ull
/* An unmap that is flushed at once is not kept waiting that long. */
#define STRICT_NS	1000000ull

void rebuild_stop(struct rebuild *r, const char *what)
{
	if (r->ret)
		return;
	r->ret = -2;
	snprintf(r->error, sizeof(r->error), "%s", what);
}

void rebuild_emit(struct rebuild *r, struct step *step)
{
	if (r->ret)
		return;
	if (!step->line)
		step->line = r->line;
	step->cut |= r->ending;
	if (step->burst) {
		struct burst_count count = burst_count(step->burst);

		burst_count_add(&r->all_told, &count);
		r->told = true;
	}
	if (r->fn(&r->machine, step, r->arg))
		r->ret = -1;
}

static void ranges_add(struct rebuild *r, struct ranges *ranges, size_t max,
		       struct machine_range range)
{
	if (ranges->nr == max) {
		memmove(ranges->range, ranges->range + max / 2,
			(max - max / 2) * sizeof(range));
		ranges->nr -= max / 2;
		r->unknown[UNKNOWN_UNMAP] += max / 2;
	}
	if (ranges->nr == ranges->size) {
		size_t size = ranges->size ? ranges->size * 2 : 4;
		void *p = realloc(ranges->range, size * sizeof(range));

		if (!p) {
			rebuild_stop(r, "out of memory");
			return;
		}
		ranges->range = p;
		ranges->size = size;
	}
	ranges->range[ranges->nr++] = range;
}

/*
 * Pending devices that a flush of this tag may be about: those that the same task
 * attached, or any if the tag has nobody. Either is a guess.
 */
static void claim(struct rebuild *r, struct context *c,
		  struct machine_domain *domain, unsigned int iommu, uint64_t tag)
{
	bool empty = !tag_has_users(domain, iommu, tag, 0);
	struct machine_device *dev, *next;
	bool mine = false;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		for (dev = r->pending; dev && !r->ret; dev = next) {
			next = dev->pending_next;
			if ((dev->iommu != INV_ANY && dev->iommu != iommu) ||
			    (!pass && dev->pending_pid != c->pid))
				continue;
			attach(r, domain, dev, iommu, tag, 0, true, c->line, NULL);
			mine = true;
		}
		if (mine || !empty)
			return;
	}
}

static bool burst_all(const struct burst *burst)
{
	size_t i;

	for (i = 0; i < burst->nr; i++)
		if (burst->cmds[i].inv.class == MODEL_IOTLB &&
		    inv_all(&burst->cmds[i].inv))
			return true;
	return false;
}

/* From the first to the last address that any command names. */
static bool burst_span(const struct burst *burst, uint64_t *first, uint64_t *last)
{
	bool any = false;
	size_t i;

	*first = UINT64_MAX;
	*last = 0;
	for (i = 0; i < burst->nr; i++) {
		const struct inv *inv = &burst->cmds[i].inv;

		/* ATCs are sent what the IOTLB was. */
		if (inv->class != MODEL_IOTLB && burst->nr > 1 && any)
			continue;
		/* Of several commands the log shows the first only. */
		if (burst->cmds[i].n > 1) {
			*first = 0;
			*last = UINT64_MAX;
			return true;
		}
		if (inv->first < *first)
			*first = inv->first;
		if (inv->last > *last)
			*last = inv->last;
		any = true;
	}
	return any;
}

/* The domain that the commands of a flush are for; NULL: for none. */
static struct machine_domain *domain_of_burst(struct rebuild *r, struct context *c)
{
	struct machine_domain *domain = NULL;
	const struct command *cmd;
	struct machine_tag *t;
	size_t i;

	for (i = 0; i < c->burst.nr && !r->ret; i++) {
		cmd = &c->burst.cmds[i];
		if (tag_of(&cmd->inv) == NO_TAG)
			continue;
		t = tag_find(r, cmd->iommu, tag_of(&cmd->inv));
		if (!t)
			continue;
		if (!domain)
			domain = t->domain;
		else if (domain != t->domain)
			domain_merge(r, domain, t->domain);
	}
	for (i = 0; i < c->burst.nr && !r->ret; i++) {
		uint64_t tag;

		cmd = &c->burst.cmds[i];
		tag = tag_of(&cmd->inv);
		if (tag == NO_TAG)
			continue;
		if (!domain)
			domain = domain_of_tag(r, cmd->iommu, tag);
		else if (!tag_find(r, cmd->iommu, tag))
			tag_add(r, domain, cmd->iommu, tag);
		if (domain && cmd->inv.by_pasid)
			domain->first_stage = true;
	}
	/* ATC commands alone: the device says. */
	if (!domain && c->burst.nr && c->burst.cmds[0].inv.class == MODEL_ATC) {
		struct machine_device *dev;
		struct machine_attachment *att;

		cmd = &c->burst.cmds[0];
		dev = device_by_rid(r, cmd->iommu, cmd->inv.rid);
		att = dev ? find_device(dev) : NULL;
		if (att)
			domain = att->domain;
	}
	return r->ret ? NULL : domain;
}

/* Sees to it that whoever the commands are for is attached. */
static void members_of_burst(struct rebuild *r, struct context *c,
			     struct machine_domain *domain)
{
	struct machine_attachment *att;
	struct machine_device *dev;
	struct machine_tag *t;
	bool known;
	size_t i;

	for (i = 0; i < c->burst.nr && !r->ret; i++) {
		const struct command *cmd = &c->burst.cmds[i];

		if (tag_of(&cmd->inv) != NO_TAG)
			claim(r, c, domain, cmd->iommu, tag_of(&cmd->inv));
		if (cmd->inv.class != MODEL_ATC)
			continue;
		/* No PASID is attached to a second stage: it is of another domain. */
		if (r->vendor->first_stage && !domain->first_stage && pasid_of(&cmd->inv))
			continue;
		dev = device_by_rid(r, cmd->iommu, cmd->inv.rid);
		if (!dev)
			return;
		dev->ats = true;
		dev->qdep = cmd->inv.qdep;
		att = find_attachment(domain, dev, pasid_of(&cmd->inv));
		if (att) {
			/* The command names the device: so it is there. */
			if (att->guessed && device_is_named(dev)) {
				att->guessed = false;
				r->unknown[UNKNOWN_ATTACHMENT]--;
			}
			continue;
		}
		for (t = domain->tags; t && t->iommu != cmd->iommu; t = t->next)
			;
		if (!t)
			continue;
		known = dev->pending;
		/* It was taken for one of another domain. */
		att = pasid_of(&cmd->inv) ? NULL : find_device(dev);
		if (att && att->guessed) {
			detach(r, att, STEP_FORGET, c->line, NULL);
			r->unknown[UNKNOWN_ATTACHMENT]--;
			known = device_is_named(dev);
		}
		attach(r, domain, dev, cmd->iommu, t->tag, pasid_of(&cmd->inv), !known,
		       c->line, NULL);
	}
	if (r->vendor->members)
		r->vendor->members(r, c, domain);
	for (i = 0; i < c->burst.nr && !r->ret; i++) {
		const struct command *cmd = &c->burst.cmds[i];
		uint64_t tag = tag_of(&cmd->inv);

		if (tag != NO_TAG &&
		    !tag_has_users(domain, cmd->iommu, tag, pasid_of(&cmd->inv)))
			attach(r, domain, device_anonymous(r, cmd->iommu),
			       cmd->iommu, tag, pasid_of(&cmd->inv), true, c->line,
			       NULL);
	}
}

/*
 * @wanted: a flush of the range should have followed, if somebody is attached; at the end
 * of the log it may be to come.
 */
static void range_to_lazy(struct rebuild *r, struct machine_range range, bool wanted)
{
	bool attached = r->nr_attachments || r->pending;

	range.expected = wanted && attached;
	range.unsure = wanted && !attached && !r->saw_attach;
	range.cut = r->ending && !wanted && attached;
	ranges_add(r, &r->lazy, LAZY_MAX, range);
	if (range.line > r->lazy_line)
		r->lazy_line = range.line;
}

static void to_lazy(struct rebuild *r, struct ranges *ranges, bool wanted)
{
	size_t i;

	for (i = 0; i < ranges->nr; i++)
		range_to_lazy(r, ranges->range[i], wanted);
	ranges->nr = 0;
}

static void set_waiting(struct rebuild *r, struct context *c, bool waiting)
{
	r->nr_waiting += waiting - c->waiting;
	c->waiting = waiting;
}

/*
 * A flush of everything that no unmap of its own context asked for: what other contexts
 * have unmapped waits for it, unless their own flush is just to come.
 */
static void others_to_lazy(struct rebuild *r, struct context *c)
{
	struct context *other;

	if (!r->nr_waiting)
		return;
	for (other = r->contexts; other < r->contexts + CONTEXTS; other++) {
		if (other == c || !other->waiting || !other->ranges.nr ||
		    other->ranges.range[0].line > c->line)
			continue;
		if (r->saw_strict && c->ns - other->ns < STRICT_NS)
			continue;
		to_lazy(r, &other->ranges, false);
		set_waiting(r, other, false);
		other->op = OP_NONE;
	}
}

/* Whether an unmap should have been flushed by now, if unmaps are in this log. */
static bool is_wanted(const struct rebuild *r, const struct context *c)
{
	return !c->emptied && (!r->ending || r->newest_ns - c->ns > FLUSH_GAP_NS);
}

/* Ranges that the flush is not about go where they wait for another one. */
static void keep_flushed(struct rebuild *r, struct context *c, uint64_t first,
			 uint64_t last)
{
	struct ranges *ranges = &c->ranges;
	size_t i, kept = 0;

	for (i = 0; i < ranges->nr; i++) {
		struct machine_range range = ranges->range[i];

		if (range.iova <= last && range.iova + (range.size - 1) >= first)
			ranges->range[kept++] = range;
		else
			range_to_lazy(r, range, is_wanted(r, c));
	}
	ranges->nr = kept;
}

static void missing(struct rebuild *r, const struct machine_range *range, bool cut)
{
	struct step step = {
		.kind = STEP_MISSING,
		.line = range->line,
		.ranges = range,
		.nr_ranges = 1,
		.cut = cut,
	};

	rebuild_emit(r, &step);
}

/*
 * No command followed. It may wait for a flush of everything, as all unmaps of a lazy
 * domain do; the domain may have nobody attached; or the log lacks a flush, which shows
 * at the end, when no such flush came.
 */
static void unmap_without_flush(struct rebuild *r, struct context *c)
{
	to_lazy(r, &c->ranges, is_wanted(r, c));
}

/* The log ends, or a run of it: what is still waiting? */
static void settle_lazy(struct rebuild *r)
{
	size_t i;

	for (i = 0; i < r->lazy.nr && !r->ret; i++) {
		const struct machine_range *range = &r->lazy.range[i];

		if (!range->expected && !(range->unsure && r->was_attached) && !range->cut)
			continue;
		if (r->saw_strict && !r->saw_lazy && !range->cut)
			missing(r, range, false);
		else
			r->unknown[UNKNOWN_FLUSH]++;
	}
	r->lazy.nr = 0;
}

/*
 * A flush of everything that has a reason of its own: of one unmap that is too large for
 * anything less, or of a domain that is freed. In a log where unmaps have been flushed at
 * once, what waits is not flushed by it: it has missed its flush.
 */
static bool is_of_its_own(const struct rebuild *r, const struct context *c)
{
	const struct command *first = &c->burst.cmds[0];
	uint64_t tag = tag_of(&first->inv);

	if (c->op == OP_UNMAP && c->ranges.nr == 1)
		return true;
	return r->vendor->flushes_at_free && !c->ranges.nr && tag != NO_TAG &&
	       tag_is_emptied(r, first->iommu, tag);
}

static void settle_flush(struct rebuild *r, struct context *c)
{
	struct step step = {
		.line = c->line, .burst = &c->burst, .flush_ns = c->command_ns,
	};
	bool all = burst_all(&c->burst), strict, own;
	struct machine *m = &r->machine;
	uint64_t first, last;
	size_t i;

	if (!c->burst.nr) {
		if (c->op == OP_UNMAP)
			unmap_without_flush(r, c);
		return;
	}
	if (c->op == OP_NONE && all)
		others_to_lazy(r, c);
	burst_span(&c->burst, &first, &last);
	keep_flushed(r, c, first, last);
	strict = r->saw_strict && !r->saw_lazy && r->lazy.nr < LAZY_FEW;
	own = strict && is_of_its_own(r, c);
	step.kind = STEP_OTHER_FLUSH;
	step.cut = c->fresh && c->op == OP_NONE;
	if (c->op == OP_MAP && c->ranges.nr) {
		step.kind = STEP_MAP_FLUSH;
		m->caches_absent = true;
	}
	if (c->op == OP_UNMAP && c->ranges.nr) {
		step.kind = STEP_UNMAP_FLUSH;
		r->saw_strict |= c->ranges.nr == 1;
	}
	/*
	 * A flush of everything is what lazy unmaps wait for; one unmap alone may be
	 * too large for anything less.
	 */
	if (c->op != OP_MAP && all && !own && (r->lazy.nr || c->ranges.nr > 1)) {
		size_t kept = 0;

		for (i = 0; i < r->lazy.nr; i++) {
			/* A flush is settled late: what was unmapped after it waits on. */
			if (r->lazy.range[i].line > c->line ||
			    (strict && r->lazy.range[i].reused))
				r->lazy.range[kept++] = r->lazy.range[i];
			else
				ranges_add(r, &c->ranges, LAZY_MAX + RANGES_MAX,
					   r->lazy.range[i]);
		}
		r->lazy.nr = kept;
		if (c->ranges.nr) {
			step.kind = STEP_UNMAP_FLUSH;
			step.lazy = true;
			r->saw_lazy = true;
		}
	}
	if (r->vendor->flush)
		r->vendor->flush(r, c, &step);

	/* Devices that are pending are attached to something else by then. */
	if (r->vendor->flushes_at_free && step.kind == STEP_OTHER_FLUSH && all &&
	    tag_of(&c->burst.cmds[0].inv) != NO_TAG) {
		step.iommu = c->burst.cmds[0].iommu;
		step.tag = tag_of(&c->burst.cmds[0].inv);
		if (!tag_find(r, step.iommu, step.tag)) {
			step.kind = STEP_RETIRE;
			rebuild_emit(r, &step);
			return;
		}
	}
	step.domain = domain_of_burst(r, c);
	if (!step.domain)
		return;
	members_of_burst(r, c, step.domain);
	if (r->ret)
		return;
	/* What waited may have been taken by the flush of another domain. */
	if (step.kind == STEP_OTHER_FLUSH &&
	    !(all && r->lazy_line > step.domain->flushed_line))
		r->unknown[UNKNOWN_UNMAP]++;
	if (all)
		step.domain->flushed_line = c->burst.cmds[c->burst.nr - 1].line;
	for (i = 0; i < c->burst.nr; i++)
		r->unknown[UNKNOWN_WORDS] += c->burst.cmds[i].n - 1;
	step.ranges = c->ranges.range;
	step.nr_ranges = c->ranges.nr;
	rebuild_emit(r, &step);
}

/*
 * Context entries were written, without an event that says why; @dev: the attach
 * event that followed, if one did.
 */
static void settle_config(struct rebuild *r, struct context *c,
			  struct machine_device *dev)
{
	struct machine_attachment *att;
	struct machine_domain *domain;
	bool detached = false;
	size_t i;

	if (c->rid != INV_ANY) {
		if (!dev)
			dev = device_by_rid(r, c->rid_iommu, c->rid);
		if (!dev)
			return;
		device_set_rid(r, dev, c->rid, c->rid_iommu);
	}
	if (!dev)
		return;
	for (i = 0; i < c->burst.nr && !r->ret; i++) {
		const struct command *cmd = &c->burst.cmds[i];
		uint64_t tag = tag_of(&cmd->inv);

		if (cmd->inv.class == MODEL_ATC && cmd->inv.rid == dev->rid) {
			dev->ats = true;
			dev->qdep = cmd->inv.qdep;
		}
		if (tag == NO_TAG || detached)
			continue;
		att = find_device(dev);
		if (att && (att->iommu != cmd->iommu || att->tag != tag)) {
			detach(r, att, STEP_FORGET, c->line, NULL);
			att = NULL;
		}
		domain = domain_of_tag(r, cmd->iommu, tag);
		if (domain && cmd->inv.by_pasid)
			domain->first_stage = true;
		if (!att && domain) {
			struct machine_attachment *who =
				find_anonymous(domain, cmd->iommu, tag);

			att = attach(r, domain, dev, cmd->iommu, tag, 0,
				     !dev->pending && !who, c->line, NULL);
			/* So that is who it was. */
			if (att && who)
				detach(r, who, STEP_FORGET, c->line, NULL);
		}
		if (!r->ret)
			detach(r, att, STEP_DETACH, c->line, &c->burst);
		detached = true;
	}
	att = r->ret || detached ? NULL : find_device(dev);
	if (att)
		detach(r, att, r->vendor->silent_detach ? STEP_DETACH : STEP_FORGET,
		       c->line, r->vendor->silent_detach ? &c->burst : NULL);
	device_set_pending(r, dev, !r->vendor->stays || r->vendor->stays(c), c->pid);
}

void rebuild_settle(struct rebuild *r, struct context *c, struct machine_device *dev)
{
	struct machine *m = &r->machine;

	unsigned int domains = r->nr_domains;

	r->told = false;
	set_waiting(r, c, false);
	if (c->op == OP_ASSIGN || c->op == OP_UNASSIGN) {
		if (!c->device)
			c->device = dev;
		if (c->op == OP_ASSIGN)
			vtd_settle_assign(r, c);
		else
			vtd_settle_unassign(r, c);
	} else if (c->op == OP_CONFIG) {
		settle_config(r, c, dev);
	} else {
		settle_flush(r, c);
		if (dev && !r->saw_tags && m->vendor != MODEL_SMMUV3)
			device_set_pending(r, dev, true, c->pid);
	}
	if (r->nr_domains < domains)
		c->emptied = true;
	else if (c->burst.nr && (c->op == OP_UNMAP || c->op == OP_MAP))
		c->emptied = false;
	if (c->burst.nr && !r->told) {
		struct step step = {
			.kind = STEP_ALONE, .line = c->line, .burst = &c->burst,
			.place = c->op == OP_UNASSIGN ? PLACE_DETACH :
				 c->op == OP_ASSIGN || c->op == OP_CONFIG ?
				 PLACE_ATTACH : PLACE_FLUSH,
		};

		rebuild_emit(r, &step);
	}
	burst_clear(&c->burst);
	c->ranges.nr = 0;
	c->fresh = false;
	c->op = OP_NONE;
	c->device = NULL;
	c->rid = INV_ANY;
	c->cd_first = c->saw_cd = c->saw_config = false;
	if (c->active) {
		c->active = false;
		if (c->prev)
			c->prev->next = c->next;
		else
			r->active = c->next;
		if (c->next)
			c->next->prev = c->prev;
	}
}

static void activate(struct rebuild *r, struct context *c)
{
	if (c->active)
		return;
	c->active = true;
	c->prev = NULL;
	c->next = r->active;
	if (c->next)
		c->next->prev = c;
	r->active = c;
}

void rebuild_begin(struct rebuild *r, struct context *c, enum op op)
{
	c->op = op;
	c->line = r->line;
}

static bool overlaps_one(uint64_t first, uint64_t last, const struct machine_range *range)
{
	return last >= range->iova && first <= range->iova + (range->size - 1);
}

static bool overlaps(uint64_t first, uint64_t last, const struct ranges *ranges)
{
	size_t i;

	for (i = 0; i < ranges->nr; i++)
		if (overlaps_one(first, last, &ranges->range[i]))
			return true;
	return false;
}

/*
 * Commands for other IOMMUs or for ATCs are to come. Domains use the same addresses, so that
 * what is mapped elsewhere says nothing about this flush.
 */
static bool lacks_commands(struct rebuild *r, const struct burst *burst)
{
	const struct machine_attachment *att;
	const struct machine_tag *tag = NULL, *t;
	size_t i, users = 0, commands = 0;

	for (i = 0; i < burst->nr; i++) {
		const struct command *cmd = &burst->cmds[i];

		commands += cmd->inv.class == MODEL_ATC;
		if (tag || tag_of(&cmd->inv) == NO_TAG)
			continue;
		tag = tag_find(r, cmd->iommu, tag_of(&cmd->inv));
		/* The first one of the tag: who uses it is to be seen. */
		if (!tag)
			return true;
	}
	if (!tag)
		return false;
	for (att = tag->domain->attachments; att; att = att->next)
		users += att->device->ats;
	if (commands < users)
		return true;
	for (t = tag->domain->tags; t; t = t->next) {
		for (i = 0; i < burst->nr; i++)
			if (burst->cmds[i].iommu == t->iommu &&
			    tag_of(&burst->cmds[i].inv) == t->tag)
				break;
		if (i == burst->nr)
			return true;
	}
	return false;
}

void rebuild_settle_others(struct rebuild *r, struct context *c,
			  const struct machine_range *range)
{
	struct context *other, *next;

	for (other = r->active; other && !r->ret; other = next) {
		next = other->next;
		if (other == c || !burst_settled(&other->burst))
			continue;
		if (other->last_line + STALE_LINES < r->line ||
		    ((!range || overlaps(range->iova, range->iova + (range->size - 1),
					 &other->ranges)) &&
		     !lacks_commands(r, &other->burst)))
			rebuild_settle(r, other, NULL);
	}
}

static void settle_all(struct rebuild *r)
{
	size_t i;

	r->ending = true;
	for (i = 0; i < CONTEXTS; i++) {
		if (!r->contexts[i].used)
			continue;
		rebuild_settle(r, &r->contexts[i], NULL);
		r->contexts[i].used = false;
	}
	r->ending = false;
	settle_lazy(r);
}

static struct context *context_of(struct rebuild *r, const struct trace_event *e)
{
	bool task = e->context == TRACE_TASK && e->pid;
	uint64_t key = (uint64_t)e->context << 33 | (uint64_t)task << 32 |
		       (task ? e->pid : e->cpu);
	struct context *c;

	c = &r->contexts[(key * 0x9e3779b97f4a7c15ull >> 32) % CONTEXTS];
	if (c->used && c->key != key)
		rebuild_settle(r, c, NULL);
	if (!c->used || c->key != key) {
		c->used = true;
		c->fresh = true;
		c->key = key;
		c->pid = task ? e->pid : 0;
		c->op = OP_NONE;
		c->rid = INV_ANY;
		c->emptied = false;
		c->depth = 0;
		c->in_wait = false;
		c->alone = PLACE_OTHER;
	}
	c->last_line = r->line;
	c->ns = e->ns;
	if (e->ns > r->newest_ns)
		r->newest_ns = e->ns;
	return c;
}

static bool within(const struct inv *inv, const struct machine_range *range)
{
	return inv->first >= range->iova &&
	       inv->last <= range->iova + (range->size - 1);
}

/*
 * What waits for a flush of everything keeps its addresses until then. With one domain,
 * that is what they are of.
 */
static void reuse(struct rebuild *r, const struct machine_range *range)
{
	size_t i;

	if (r->nr_domains > 1 || r->lazy.nr >= LAZY_FEW)
		return;
	for (i = 0; i < r->lazy.nr; i++)
		r->lazy.range[i].reused |= overlaps_one(range->iova,
							range->iova + (range->size - 1),
							&r->lazy.range[i]);
}

/* A scatter list is mapped piece by piece and flushed once. */
static void on_map(struct rebuild *r, struct context *c,
		   const struct machine_range *range)
{
	struct machine_range *before = c->ranges.range;

	rebuild_settle_others(r, c, range);
	if (c->op == OP_MAP && !c->burst.nr &&
	    before->iova + before->size == range->iova) {
		before->size += range->size;
	} else {
		rebuild_settle(r, c, NULL);
		rebuild_begin(r, c, OP_MAP);
		ranges_add(r, &c->ranges, RANGES_MAX, *range);
	}
	reuse(r, range);
}

static void on_unmap(struct rebuild *r, struct context *c,
		     const struct trace_event *e)
{
	struct machine_range range = {
		.iova = e->map.iova, .size = e->map.size, .line = e->line, .ns = e->ns,
	};
	struct burst early = { 0 };
	size_t n = 0;

	if (!range.size)
		return;
	rebuild_settle_others(r, c, &range);
	/* The same again: it was mapped in between, so the first has had its flush. */
	if (c->op == OP_UNMAP && !c->burst.nr &&
	    !overlaps(range.iova, range.iova + (range.size - 1), &c->ranges)) {
		if (c->ranges.nr == RANGES_MAX)
			unmap_without_flush(r, c);
		ranges_add(r, &c->ranges, RANGES_MAX, range);
		return;
	}
	/* Commands for this unmap that came before its event. */
	if (c->op == OP_NONE || c->op == OP_UNMAP ||
	    (c->op == OP_MAP && r->vendor && r->vendor->frees_after_map)) {
		while (n < c->burst.nr) {
			const struct inv *inv = &c->burst.cmds[c->burst.nr - n - 1].inv;

			if (!within(inv, &range) ||
			    (c->op == OP_UNMAP && overlaps(inv->first, inv->last, &c->ranges)))
				break;
			n++;
		}
	}
	if (n && burst_split(&c->burst, n, &early))
		rebuild_stop(r, "out of memory");
	rebuild_settle(r, c, NULL);
	rebuild_begin(r, c, OP_UNMAP);
	ranges_add(r, &c->ranges, RANGES_MAX, range);
	set_waiting(r, c, !n);
	if (n) {
		struct burst empty = c->burst;

		c->burst = early;
		burst_free(&empty);
		activate(r, c);
	}
}

/*
 * A flush of everything in a log that does not tell softirqs from the task they interrupt:
 * of another domain than the one that was unmapped, or of what was unmapped before a map.
 */
static bool is_of_others(struct rebuild *r, struct context *c, const struct command *cmd)
{
	uint64_t tag = tag_of(&cmd->inv);
	struct machine_tag *t, *mine;
	size_t i;

	if (tag == NO_TAG || !inv_all(&cmd->inv) || r->machine.nests || r->saw_interrupts)
		return false;
	/* What is mapped is less. */
	if (c->op == OP_MAP && !burst_all(&c->burst))
		return true;
	t = tag_find(r, cmd->iommu, tag);
	for (i = 0; i < c->burst.nr; i++) {
		const struct command *old = &c->burst.cmds[i];

		if (tag_of(&old->inv) == NO_TAG ||
		    (old->iommu == cmd->iommu && tag_of(&old->inv) == tag))
			continue;
		mine = tag_find(r, old->iommu, tag_of(&old->inv));
		if (!t || !mine || t->domain != mine->domain)
			return true;
	}
	return false;
}

/* Who is attached changes. */
static bool is_attaching(const struct context *c)
{
	return c->op == OP_ASSIGN || c->op == OP_UNASSIGN || c->op == OP_CONFIG;
}

/*
 * An attachment changed, and perhaps no event says when that was over. What is flushed for
 * it is everything, and once for each entry that was written.
 */
static bool is_after_attach(const struct context *c, const struct command *cmd)
{
	size_t i;

	if (!burst_settled(&c->burst))
		return false;
	if (c->burst.nr && c->ns > c->command_ns + FLUSH_GAP_NS)
		return true;
	/* An ATC is emptied when it is turned off, and again with all others of the domain. */
	if (cmd->inv.class != MODEL_IOTLB)
		return false;
	if (!inv_all(&cmd->inv))
		return true;
	for (i = 0; i < c->burst.nr; i++)
		if (c->burst.cmds[i].line > c->config_line &&
		    c->burst.cmds[i].iommu == cmd->iommu &&
		    inv_same_target(&c->burst.cmds[i].inv, &cmd->inv))
			return true;
	return false;
}

/*
 * Whether this command cannot belong to what the context has collected. Commands before
 * the wait for them are one flush. After it, they are if an unmap or map began it and
 * nothing speaks against it; without one, only what is known to be of one domain is, and
 * sent to each place once.
 */
static bool begins_flush(struct rebuild *r, struct context *c,
			 const struct command *cmd)
{
	bool told = c->op == OP_UNMAP || c->op == OP_MAP;
	bool row = !r->vendor->logs_waits && c->burst.row;
	uint64_t tag = tag_of(&cmd->inv);
	struct machine_tag *t, *mine;
	bool any = false, alike = false;
	size_t i;

	if (c->burst.nr >= BURST_MAX)
		return true;
	if (is_attaching(c))
		return is_after_attach(c, cmd);
	if (!c->burst.nr)
		return !c->depth && is_of_others(r, c, cmd);
	if (c->depth)
		return false;
	if (!burst_settled(&c->burst))
		return false;
	if (c->ns > c->command_ns + FLUSH_GAP_NS)
		return true;
	if (is_of_others(r, c, cmd))
		return true;
	if (told && (row || tag == NO_TAG))
		return false;
	t = tag == NO_TAG ? NULL : tag_find(r, cmd->iommu, tag);
	for (i = 0; i < c->burst.nr; i++) {
		const struct command *old = &c->burst.cmds[i];
		bool here = old->iommu == cmd->iommu;
		bool same_tag, same_range;

		if (tag == NO_TAG) {
			if (here && inv_same_target(&old->inv, &cmd->inv))
				return true;
			continue;
		}
		if (tag_of(&old->inv) == NO_TAG)
			continue;
		any = true;
		same_tag = here && tag_of(&old->inv) == tag;
		same_range = old->inv.first == cmd->inv.first &&
			     old->inv.last == cmd->inv.last;
		mine = tag_find(r, old->iommu, tag_of(&old->inv));
		if (here && !same_tag && !(t && mine && t->domain == mine->domain))
			return true;
		if (!told) {
			if (!same_tag && !(t && mine && t->domain == mine->domain))
				return true;
			if (same_tag && old->inv.pasid == cmd->inv.pasid)
				return true;
		}
		if (same_tag && same_range && inv_all(&cmd->inv))
			return true;
		/* A domain's flush has the same range for all of its tags. */
		alike |= same_tag || same_range;
	}
	return any && !alike;
}

/* A command, or with NULL a wait, that is of no flush. */
static void alone(struct rebuild *r, struct context *c, struct command *cmd,
		  enum machine_place place, unsigned long waits)
{
	struct burst burst = { .cmds = cmd, .nr = cmd ? 1 : 0, .waits = waits };
	struct step step = { .kind = STEP_ALONE, .burst = &burst, .place = place };

	c->alone = place;
	rebuild_emit(r, &step);
}

static void on_wait(struct rebuild *r, struct context *c, unsigned int iommu)
{
	r->recorded.sync++;
	if (burst_sync(&c->burst, iommu))
		return;
	/* For what has been waited for: it stays with the command, wherever that goes. */
	if (c->alone == PLACE_FLUSH && c->burst.nr)
		c->burst.cmds[c->burst.nr - 1].waits++;
	else
		alone(r, c, NULL, c->alone == PLACE_FLUSH ? PLACE_OTHER : c->alone, 1);
}

static void on_config(struct rebuild *r, struct context *c, struct command *cmd,
		      const struct trace_event *e)
{
	burst_end_row(&c->burst);
	if (!is_attaching(c)) {
		rebuild_settle(r, c, NULL);
		rebuild_settle_others(r, c, NULL);
		rebuild_begin(r, c, OP_CONFIG);
	}
	if (r->vendor->config)
		r->vendor->config(c, e);
	c->saw_config = true;
	c->config_line = cmd->line;
	if (cmd->inv.rid != INV_ANY) {
		c->rid = cmd->inv.rid;
		c->rid_iommu = cmd->iommu;
	}
	alone(r, c, cmd, PLACE_TABLES, !r->vendor->logs_waits);
}

static void on_command(struct rebuild *r, struct context *c, struct command *cmd,
		       const struct trace_event *e)
{
	int ret;

	cmd->inv = inv_decode(r->machine.vendor, cmd->words);
	burst_count_command(&r->recorded, cmd);
	switch (cmd->inv.class) {
	case MODEL_SYNC:
		on_wait(r, c, cmd->iommu);
		if (cmd->n > 1) {
			r->recorded.sync += cmd->n - 1;
			alone(r, c, NULL, PLACE_OTHER, cmd->n - 1);
		}
		return;
	case MODEL_CONFIG:
		on_config(r, c, cmd, e);
		return;
	case MODEL_IOTLB:
	case MODEL_ATC:
		break;
	default:
		burst_end_row(&c->burst);
		alone(r, c, cmd, PLACE_OTHER, !r->vendor->logs_waits);
		return;
	}

	/* For a whole VM or IOMMU: about no domain. */
	if (cmd->inv.class == MODEL_IOTLB && tag_of(&cmd->inv) == NO_TAG) {
		r->machine.nests |= r->vendor->nests_flush_all;
		burst_end_row(&c->burst);
		alone(r, c, cmd, PLACE_GLOBAL, !r->vendor->logs_waits);
		return;
	}
	if (begins_flush(r, c, cmd))
		rebuild_settle(r, c, NULL);
	if (c->op == OP_NONE && !c->burst.nr)
		rebuild_begin(r, c, OP_NONE);
	/* VT-d batches the flushes of unmaps only. */
	if (is_attaching(c))
		burst_end_row(&c->burst);
	/* In a flush and in no wait: what a driver does that waits for all IOMMUs at last. */
	ret = r->vendor->logs_waits ? burst_add(&c->burst, cmd) :
				      burst_add_row(&c->burst, cmd, c->depth && !c->in_wait);
	if (ret)
		rebuild_stop(r, "out of memory");
	c->alone = PLACE_FLUSH;
	c->command_ns = c->ns;
	set_waiting(r, c, false);
	activate(r, c);
}

/* What was submitted at once: of some of the commands the log has the words. */
static void on_commands(struct rebuild *r, struct context *c,
			const struct trace_event *e, enum model_vendor vendor)
{
	struct machine *m = &r->machine;
	unsigned int iommu, words, i, known = e->cmd.nr_words;

	if (m->vendor == MODEL_VENDORS)
		m->vendor = vendor;
	r->vendor = vendor_of(m->vendor);
	if (m->vendor != vendor) {
		rebuild_stop(r, "expected commands of one vendor in a log");
		return;
	}
	iommu = iommu_index(r, &e->cmd.iommu);
	words = model_cmd_words(vendor);
	known = e->cmd.nr_words / words;
	if (known > e->cmd.n)
		known = e->cmd.n;
	for (i = 0; i < known && !r->ret; i++) {
		struct command cmd = {
			.line = e->line, .iommu = iommu,
			.n = i + 1 < known ? 1 : e->cmd.n - known + 1,
		};

		memcpy(cmd.words, e->cmd.words + i * words, words * sizeof(*cmd.words));
		on_command(r, c, &cmd, e);
	}
	/* AMD's driver does not queue two completion waits in turn: one stands for both. */
	if (e->cmd.sync && !r->ret &&
	    (vendor != MODEL_AMD || e->cmd.n || m->iommus[iommu].unwaited))
		on_wait(r, c, iommu);
	if (e->cmd.n || e->cmd.sync)
		m->iommus[iommu].unwaited = !e->cmd.sync;
}

static void on_attach(struct rebuild *r, struct context *c,
		      const struct trace_event *e)
{
	struct machine_device *dev = device_by_name(r, &e->device);
	struct machine_device *twin;

	/* Seen in commands before it was seen by name. */
	if (dev && c->rid != INV_ANY && !dev->users && dev->iommu == INV_ANY) {
		twin = device_twin(r, dev, c->rid_iommu, c->rid);
		if (twin)
			dev = twin;
	}
	if (!dev)
		return;
	rebuild_settle(r, c, dev);
	rebuild_settle_others(r, c, NULL);
}

/* The log says where flushes begin and end; functions that flush may call each other. */
static void on_flush_begin(struct rebuild *r, struct context *c)
{
	bool other = c->op == OP_NONE || c->op == OP_UNMAP || c->op == OP_MAP;

	if (!c->depth++ && other && c->burst.nr)
		rebuild_settle(r, c, NULL);
}

static void on_flush_end(struct rebuild *r, struct context *c)
{
	if (!c->depth)
		return;
	burst_end_row(&c->burst);
	if (!--c->depth && c->op == OP_NONE && c->burst.nr)
		rebuild_settle(r, c, NULL);
}

int rebuild_event(struct rebuild *r, const struct trace_event *e)
{
	struct machine *m = &r->machine;
	struct step step = { 0 };
	struct context *c;

	if (!e) {
		settle_all(r);
		step.kind = STEP_END;
		rebuild_emit(r, &step);
		return r->ret;
	}
	r->line = e->line;
	switch (e->type) {
	case TRACE_RUN:
		settle_all(r);
		step.kind = STEP_RUN;
		step.label = e->text;
		rebuild_emit(r, &step);
		machine_clear(r);
		return r->ret;
	case TRACE_LOST:
		m->lost = true;
		r->unknown[UNKNOWN_EVENTS] += e->lost;
		for (c = r->contexts; c < r->contexts + CONTEXTS; c++) {
			c->depth = 0;
			c->in_wait = false;
		}
		return r->ret;
	default:
		break;
	}
	r->saw_interrupts |= e->context != TRACE_TASK;
	if (e->type == TRACE_QUIET || e->type == TRACE_OTHER)
		return r->ret;

	c = context_of(r, e);
	switch (e->type) {
	case TRACE_MAP:
		if (!e->map.size)
			break;
		on_map(r, c, &(struct machine_range){ .iova = e->map.iova,
						      .size = e->map.size });
		step.kind = STEP_MAP;
		step.iova = e->map.iova;
		step.paddr = e->map.paddr;
		step.size = e->map.size;
		rebuild_emit(r, &step);
		break;
	case TRACE_UNMAP:
		on_unmap(r, c, e);
		break;
	case TRACE_ATTACH:
		r->saw_attach = true;
		on_attach(r, c, e);
		break;
	case TRACE_TAG_ASSIGN:
	case TRACE_TAG_UNASSIGN:
		r->saw_attach = true;
		vtd_tag(r, c, e);
		break;
	case TRACE_TAG_FLUSH:
		burst_end_row(&c->burst);
		/* No event ends the attachment of a PASID; no attachment has one of these. */
		if ((c->op == OP_MAP && !e->tag.map) || is_attaching(c))
			rebuild_settle(r, c, NULL);
		break;
	case TRACE_FLUSH_BEGIN:
		on_flush_begin(r, c);
		break;
	case TRACE_FLUSH_END:
		on_flush_end(r, c);
		break;
	case TRACE_WAIT_BEGIN:
		c->in_wait = true;
		break;
	case TRACE_WAIT_END:
		c->in_wait = false;
		burst_end_row(&c->burst);
		break;
	case TRACE_QI:
		on_commands(r, c, e, MODEL_VTD);
		break;
	case TRACE_AMD:
		on_commands(r, c, e, MODEL_AMD);
		break;
	case TRACE_RISCV:
		on_commands(r, c, e, MODEL_RISCV);
		break;
	case TRACE_SMMU:
		on_commands(r, c, e, MODEL_SMMUV3);
		break;
	default:			/* markers, and detaches that nothing follows */
		rebuild_settle(r, c, NULL);
		break;
	}
	return r->ret;
}

struct rebuild *rebuild_create(rebuild_step_fn fn, void *arg)
{
	struct rebuild *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->machine.vendor = MODEL_VENDORS;
	r->fn = fn;
	r->arg = arg;
	return r;
}

void rebuild_destroy(struct rebuild *r)
{
	size_t i;

	if (!r)
		return;
	machine_clear(r);
	for (i = 0; i < CONTEXTS; i++) {
		burst_free(&r->contexts[i].burst);
		free(r->contexts[i].ranges.range);
	}
	free(r->lazy.range);
	free(r);
}

struct machine *rebuild_machine(struct rebuild *r)
{
	return &r->machine;
}

struct burst_count rebuild_recorded(const struct rebuild *r)
{
	struct burst_count count = r->recorded;

	/* What the log does not have has to be taken from what was made of it. */
	if (r->vendor && !r->vendor->logs_waits)
		count.sync = r->all_told.sync;
	return count;
}

struct burst_count rebuild_told(const struct rebuild *r)
{
	return r->all_told;
}

const char *rebuild_error(const struct rebuild *r)
{
	return r->error;
}

unsigned long rebuild_unknown(const struct rebuild *r, enum machine_unknown kind)
{
	return r->unknown[kind];
}

void rebuild_count_unknown(struct rebuild *r, enum machine_unknown kind,
			   unsigned long n)
{
	r->unknown[kind] += n;
}
