// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a log to what it cost. Counts by task, device, IOMMU and domain, and times, come
 * straight from the events; which unmaps were flushed at once, and what the list would have
 * sent, from the rebuilt machine.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alist.h"
#include "profile.h"
#include "vendor.h"
#include "world.h"

#define CONTEXTS	1024		/* a power of two */
#define WAITS_MAX	16		/* IOMMUs that one flush waits for */

const char *const cost_table_names[COST_TABLES] = {
	[BY_DOMAIN] = "domain",
	[BY_DEVICE] = "device",
	[BY_IOMMU] = "IOMMU",
	[BY_TASK] = "task",
};

/* A flush in progress. */
struct running {
	uint64_t key;
	bool used;
	unsigned int depth;
	uint64_t begin_ns, wait_ns;
	bool waiting;
	unsigned int iommu;		/* that is waited for */
	unsigned int last_iommu;	/* that a command was sent to */
	struct {
		unsigned int iommu;
		uint64_t ns;
	} waits[WAITS_MAX];
	unsigned int nr_waits;
	uint64_t unmap_ns, command_ns;	/* of the last unmap; and after it */
	struct cost_row *domain, *task;
};

#define KNOWN	512

struct known {
	uint64_t key;
	struct cost_row *row;
};

struct collector {
	struct profile *profile;
	struct known known[KNOWN];	/* domains that have been counted */
	struct trace *trace;
	struct rebuild *rebuild;
	struct world *world;
	uint64_t first_ns, last_ns, base_ns;
	bool any;
	bool failed;
	struct running running[CONTEXTS];
};

void times_add(struct times *times, uint64_t ns)
{
	unsigned int bucket = ns;

	if (ns >= 8) {
		unsigned int top = 63 - __builtin_clzll(ns);

		bucket = (top - 2) * 8 + (ns >> (top - 3) & 7);
	}
	times->bucket[bucket]++;
	times->nr++;
	times->sum += ns;
	if (ns > times->max)
		times->max = ns;
}

uint64_t times_bucket_ns(unsigned int bucket)
{
	if (bucket < 16)
		return bucket;
	return UINT64_C(1) * (8 + bucket % 8) << (bucket / 8 - 1);
}

uint64_t times_quantile(const struct times *times, double share)
{
	uint64_t want = times->nr * share, seen = 0, end;
	unsigned int i;

	if (!times->nr)
		return 0;
	if (want >= times->nr)
		want = times->nr - 1;
	for (i = 0; i < TIMES_BUCKETS; i++) {
		seen += times->bucket[i];
		if (seen > want)
			break;
	}
	end = times_bucket_ns(i + 1) - 1;
	return end < times->max ? end : times->max;
}

struct times_powers times_powers(const struct times *times)
{
	struct times_powers powers = { .first = TIMES_POWERS - 1 };
	unsigned int i, power;

	for (i = 0; i < TIMES_BUCKETS; i++) {
		if (!times->bucket[i])
			continue;
		power = i / 8;
		powers.number[power] += times->bucket[i];
		if (power < powers.first)
			powers.first = power;
		powers.last = power;
		if (powers.number[power] > powers.most)
			powers.most = powers.number[power];
	}
	return powers;
}

uint64_t profile_flushes(const struct profile *p)
{
	return p->flush.nr ? p->flush.nr : p->flushes;
}

bool profile_has_times(const struct profile *p)
{
	return p->flush.nr || p->wait.nr;
}

/* The row of this name, or an empty one. Open addressing; sorted when all is read. */
static struct cost_row *row_at(struct cost_row *rows, const char *name)
{
	unsigned int i, h = 2166136261u;
	const char *s;

	for (s = name; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	for (i = h % (2 * ROWS_MAX);; i = (i + 1) % (2 * ROWS_MAX))
		if (!rows[i].name[0] || !strcmp(rows[i].name, name))
			return &rows[i];
}

/* @name: of less than 64 bytes, as all of a machine's and of task_name() are. */
static struct cost_row *row(struct profile *p, enum cost_table table, const char *name)
{
	struct cost_row *found = row_at(p->rows[table], name);

	if (!found->name[0] && p->nr_rows[table] >= ROWS_MAX - 1) {
		name = "(others)";
		found = row_at(p->rows[table], name);
	}
	if (!found->name[0]) {
		p->nr_rows[table]++;
		strcpy(found->name, name);
	}
	return found;
}

/* The slice of a time since the log began; all become twice as long when it is too late. */
static struct slice *slice_at(struct profile *p, uint64_t ns)
{
	unsigned int i;

	while (ns / p->slice_ns >= SLICES_MAX) {
		for (i = 0; i < SLICES_MAX / 2; i++) {
			struct slice *to = &p->slices[i];
			const struct slice *a = &p->slices[2 * i], *b = a + 1;
			struct slice sum = {
				a->maps + b->maps, a->unmaps + b->unmaps,
				a->bytes + b->bytes,
				a->flushes + b->flushes, a->flush_ns + b->flush_ns,
				a->waits + b->waits, a->wait_ns + b->wait_ns,
				a->iotlb + b->iotlb, a->atc + b->atc,
			};

			*to = sum;
		}
		memset(&p->slices[SLICES_MAX / 2], 0, sizeof(p->slices) / 2);
		p->slice_ns *= 2;
		p->nr_slices = SLICES_MAX / 2;
	}
	i = ns / p->slice_ns;
	if (i >= p->nr_slices)
		p->nr_slices = i + 1;
	return &p->slices[i];
}

static struct running *running_of(struct collector *c, const struct trace_event *e)
{
	bool task = e->context == TRACE_TASK && e->pid;
	uint64_t key = (uint64_t)e->context << 33 | (uint64_t)task << 32 |
		       (task ? e->pid : e->cpu);
	struct running *r = &c->running[(key * 0x9e3779b97f4a7c15ull >> 32) % CONTEXTS];

	if (!r->used || r->key != key) {
		memset(r, 0, sizeof(*r));
		r->used = true;
		r->key = key;
		r->last_iommu = INV_ANY;
	}
	return r;
}

static const char *task_name(const struct trace_event *e, char *name, size_t size)
{
	if (e->context == TRACE_HARDIRQ)
		return "(interrupts)";
	if (e->context == TRACE_SOFTIRQ)
		return "(softirqs)";
	if (!e->task.len)
		return "(unknown)";
	trace_clean(name, size, e->task.s, e->task.len);
	return name;
}

static unsigned int iommu_of(struct collector *c, const struct trace_event *e)
{
	const struct machine *m = rebuild_machine(c->rebuild);
	char name[64];
	unsigned int i;

	if (!e->cmd.iommu.len ||
	    !trace_clean(name, sizeof(name), e->cmd.iommu.s, e->cmd.iommu.len))
		return INV_ANY;
	for (i = 0; i < m->nr_iommus; i++)
		if (!strcmp(m->iommus[i].name, name))
			return i;
	return INV_ANY;
}

static void flush_began(struct running *r, const struct trace_event *e)
{
	if (r->depth++)
		return;
	r->begin_ns = e->ns;
	r->nr_waits = 0;
	r->domain = NULL;
}

static void flush_ended(struct collector *c, struct running *r, const struct trace_event *e,
			struct cost_row *task, struct slice *slice)
{
	struct profile *p = c->profile;
	uint64_t ns, sum = 0, longest = 0;
	unsigned int i;

	if (!r->depth || --r->depth || e->ns < r->begin_ns)
		return;
	ns = e->ns - r->begin_ns;
	times_add(&p->flush, ns);
	slice->flushes++;
	slice->flush_ns += ns;
	task->flushes++;
	task->flush_ns += ns;
	if (r->domain) {
		r->domain->flushes++;
		r->domain->flush_ns += ns;
	}
	for (i = 0; i < r->nr_waits; i++) {
		sum += r->waits[i].ns;
		if (r->waits[i].ns > longest)
			longest = r->waits[i].ns;
	}
	if (r->nr_waits > 1) {
		p->overlap_ns += sum - longest;
		p->overlap_flushes++;
	}
}

static void wait_ended(struct collector *c, struct running *r, const struct trace_event *e,
		       struct cost_row *task, struct slice *slice)
{
	struct profile *p = c->profile;
	struct machine *m = rebuild_machine(c->rebuild);
	struct cost_row *iommu;
	unsigned int i;
	uint64_t ns;

	if (!r->waiting || e->ns < r->wait_ns)
		return;
	r->waiting = false;
	/* Nor was anything sent in it: for what was sent before. */
	if (r->iommu == INV_ANY)
		r->iommu = r->last_iommu;
	ns = e->ns - r->wait_ns;
	times_add(&p->wait, ns);
	slice->waits++;
	slice->wait_ns += ns;
	task->waits++;
	task->wait_ns += ns;
	if (r->iommu < m->nr_iommus) {
		iommu = row(p, BY_IOMMU, m->iommus[r->iommu].label);
		iommu->waits++;
		iommu->wait_ns += ns;
	}
	if (!r->depth)
		return;
	if (r->domain) {
		r->domain->waits++;
		r->domain->wait_ns += ns;
	}
	/* Waits for one IOMMU cannot overlap each other. */
	for (i = 0; i < r->nr_waits; i++)
		if (r->waits[i].iommu == r->iommu)
			break;
	if (i == WAITS_MAX)
		return;
	if (i == r->nr_waits) {
		r->nr_waits++;
		r->waits[i].iommu = r->iommu;
		r->waits[i].ns = 0;
	}
	r->waits[i].ns += ns;
}

static void row_command(struct cost_row *row, const struct inv *inv, uint64_t n)
{
	if (inv->class == MODEL_IOTLB)
		row->iotlb += n;
	else
		row->atc += n;
}

static struct cost_row *domain_row(struct collector *c, unsigned int iommu,
				   const struct inv *inv)
{
	struct machine *m = rebuild_machine(c->rebuild);
	const struct vendor *vendor = vendor_of(m->vendor);
	bool s2 = inv->tag == INV_ANY && inv->vm_tag != INV_ANY;
	uint32_t tag = s2 ? inv->vm_tag : inv->tag;
	uint64_t key = (uint64_t)tag << 32 | iommu << 1 | s2;
	struct known *known = &c->known[(key * 0x9e3779b97f4a7c15ull >> 32) % KNOWN];
	char name[64];

	/* Making names is what would take most of the time. */
	if (known->row && known->key == key)
		return known->row;
	if (tag == INV_ANY)
		snprintf(name, sizeof(name), "%.40s all", m->iommus[iommu].label);
	else
		snprintf(name, sizeof(name), "%.40s %s %" PRIu32, m->iommus[iommu].label,
			 s2 && vendor->s2_tag_name ? vendor->s2_tag_name : vendor->tag_name,
			 tag);
	known->key = key;
	known->row = row(c->profile, BY_DOMAIN, name);
	return known->row;
}

static void command(struct collector *c, struct running *r, const struct trace_event *e,
		    struct cost_row *task, struct slice *slice)
{
	struct profile *p = c->profile;
	struct machine *m = rebuild_machine(c->rebuild);
	unsigned int words = model_cmd_words(m->vendor), known, i, iommu;
	char name[64];

	known = e->cmd.nr_words / words;
	if (known > e->cmd.n)
		known = e->cmd.n;
	iommu = iommu_of(c, e);
	/* A wait that names no instance that commands do is for what was sent in it. */
	if (r->waiting && r->iommu == INV_ANY)
		r->iommu = iommu;
	r->last_iommu = iommu;
	for (i = 0; i < known; i++) {
		struct inv inv = inv_decode(m->vendor, e->cmd.words + i * words);
		uint64_t n = i + 1 < known ? 1 : e->cmd.n - known + 1;

		if (inv.class != MODEL_IOTLB && inv.class != MODEL_ATC)
			continue;
		row_command(task, &inv, n);
		if (inv.class == MODEL_IOTLB)
			slice->iotlb += n;
		else
			slice->atc += n;
		if (iommu < m->nr_iommus)
			row_command(row(p, BY_IOMMU, m->iommus[iommu].label), &inv, n);
		if (inv.class == MODEL_IOTLB && iommu < m->nr_iommus)
			r->domain = domain_row(c, iommu, &inv);
		if (r->domain)
			row_command(r->domain, &inv, n);
		if (inv.class == MODEL_ATC && inv.rid != INV_ANY) {
			snprintf(name, sizeof(name), "%02x:%02x.%x", inv.rid >> 8 & 0xff,
				 inv.rid >> 3 & 31, inv.rid & 7);
			row_command(row(p, BY_DEVICE, name), &inv, n);
		}
	}
	if (r->unmap_ns)
		r->command_ns = e->ns;
}

/* An unmap and its commands are over when something else begins there. */
static void unmap_over(struct profile *p, struct running *r)
{
	if (r->unmap_ns && r->command_ns >= r->unmap_ns)
		times_add(&p->reach, r->command_ns - r->unmap_ns);
	r->unmap_ns = r->command_ns = 0;
}

static void collect(struct collector *c, const struct trace_event *e)
{
	struct profile *p = c->profile;
	struct cost_row *task;
	struct slice *slice;
	struct running *r;
	char name[64];

	switch (e->type) {
	case TRACE_RUN:
		c->base_ns += c->any ? c->last_ns - c->first_ns : 0;
		p->nr_runs += c->any;
		c->any = false;
		memset(c->running, 0, sizeof(c->running));
		/* IOMMUs are numbered anew. */
		memset(c->known, 0, sizeof(c->known));
		return;
	case TRACE_LOST:
		p->lost += e->lost;
		memset(c->running, 0, sizeof(c->running));
		return;
	default:
		break;
	}
	p->events++;
	if (!c->any) {
		c->any = true;
		c->first_ns = c->last_ns = e->ns;
	}
	if (e->ns > c->last_ns)
		c->last_ns = e->ns;
	if (e->type == TRACE_OTHER || e->type == TRACE_QUIET)
		return;
	slice = slice_at(p, c->base_ns + (e->ns > c->first_ns ? e->ns - c->first_ns : 0));
	task = row(p, BY_TASK, task_name(e, name, sizeof(name)));
	r = running_of(c, e);

	switch (e->type) {
	case TRACE_MAP:
		unmap_over(p, r);
		p->maps++;
		p->map_bytes += e->map.size;
		task->maps++;
		slice->maps++;
		break;
	case TRACE_UNMAP:
		unmap_over(p, r);
		if (!e->map.size)
			break;
		r->unmap_ns = e->ns;
		p->unmaps++;
		p->unmap_bytes += e->map.size;
		p->sizes[e->map.size > 1 ? 64 - __builtin_clzll(e->map.size - 1) : 0]++;
		task->unmaps++;
		task->bytes += e->map.size;
		slice->unmaps++;
		slice->bytes += e->map.size;
		break;
	case TRACE_FLUSH_BEGIN:
		flush_began(r, e);
		break;
	case TRACE_FLUSH_END:
		flush_ended(c, r, e, task, slice);
		break;
	case TRACE_WAIT_BEGIN:
		r->waiting = e->cmd.sync;
		r->wait_ns = e->ns;
		r->iommu = iommu_of(c, e);
		break;
	case TRACE_WAIT_END:
		wait_ended(c, r, e, task, slice);
		break;
	case TRACE_QI:
	case TRACE_AMD:
	case TRACE_SMMU:
	case TRACE_RISCV:
		command(c, r, e, task, slice);
		break;
	case TRACE_TAG_FLUSH:
		break;
	default:
		unmap_over(p, r);
		break;
	}
}

static int on_step(struct machine *machine, const struct step *step, void *arg)
{
	static const struct burst nothing;
	struct collector *c = arg;
	struct profile *p = c->profile;
	struct world_result result;
	struct burst_count sent, driver;
	size_t i;

	if (world_step(c->world, machine, step, &result)) {
		c->failed = true;
		return -1;
	}
	sent = burst_count(&result.sent);
	burst_count_add(&p->list, &sent);
	sent = burst_count(&result.attach);
	burst_count_add(&p->list, &sent);
	driver = burst_count(step->burst ? step->burst : &nothing);
	if (step->kind != STEP_ALONE || step->place == PLACE_ATTACH ||
	    step->place == PLACE_DETACH || step->place == PLACE_FLUSH) {
		burst_count_add(&p->driver, &driver);
		p->flushes += step->burst && step->burst->nr;
	}
	switch (step->kind) {
	case STEP_UNMAP_FLUSH:
		for (i = 0; i < step->nr_ranges; i++) {
			if (!step->lazy) {
				p->strict++;
				continue;
			}
			p->lazy++;
			if (step->flush_ns >= step->ranges[i].ns)
				times_add(&p->delay, step->flush_ns - step->ranges[i].ns);
		}
		break;
	case STEP_MISSING:
		p->unflushed++;
		break;
	default:
		break;
	}
	return 0;
}

static int by_cost(const void *a, const void *b)
{
	const struct cost_row *x = a, *y = b;
	uint64_t p = x->flush_ns + x->wait_ns, q = y->flush_ns + y->wait_ns;

	if (!x->name[0] || !y->name[0])
		return !x->name[0] - !y->name[0];
	if (p == q) {
		p = x->iotlb + x->atc;
		q = y->iotlb + y->atc;
	}
	if (p == q) {
		p = x->unmaps + x->maps;
		q = y->unmaps + y->maps;
	}
	return p < q ? 1 : p > q ? -1 : strcmp(x->name, y->name);
}

static int profile_read(struct collector *c, const char *path)
{
	struct profile *p = c->profile;
	struct trace_event event;
	uint64_t line = 0;
	int more, ret = 0, i;

	do {
		more = alist_next(c->trace, path, &event);
		if (more < 0)
			return -1;
		if (more)
			line = event.line;
		if (trace_note(c->trace)[0] && !p->note[0])
			trace_clean(p->note, sizeof(p->note), trace_note(c->trace),
				    strlen(trace_note(c->trace)));
		/* The machine first: names of IOMMUs are its own. */
		ret = rebuild_event(c->rebuild, more ? &event : NULL);
		if (more && !ret)
			collect(c, &event);
	} while (more && !ret);
	if (ret) {
		alist_error("%s:%" PRIu64 ": %s", path, line, c->failed ?
			    "out of memory" : rebuild_error(c->rebuild));
		return -1;
	}
	p->nr_runs += c->any;
	p->wall_ns = c->base_ns + (c->any ? c->last_ns - c->first_ns : 0);
	p->clock = trace_clock(c->trace);
	p->vendor = rebuild_machine(c->rebuild)->vendor;
	p->recorded = rebuild_recorded(c->rebuild);
	p->list_known = p->vendor != MODEL_VENDORS;
	for (i = 0; i < COST_TABLES; i++)
		qsort(p->rows[i], 2 * ROWS_MAX, sizeof(*p->rows[i]), by_cost);
	return 0;
}

struct profile *profile_log(const char *path)
{
	struct collector *c = calloc(1, sizeof(*c));
	struct profile *p = calloc(1, sizeof(*p));
	int i, ret = -1;

	if (!c || !p)
		goto no_memory;
	c->profile = p;
	p->slice_ns = 1000000;
	for (i = 0; i < COST_TABLES; i++) {
		p->rows[i] = calloc(2 * ROWS_MAX, sizeof(*p->rows[i]));
		if (!p->rows[i])
			goto no_memory;
	}
	c->trace = alist_open(path);
	if (!c->trace)
		goto out;
	c->rebuild = rebuild_create(on_step, c);
	c->world = world_create(0);
	if (!c->rebuild || !c->world)
		goto no_memory;
	ret = profile_read(c, path);
	goto out;
no_memory:
	alist_error("out of memory");
out:
	if (c) {
		world_destroy(c->world, c->rebuild ? rebuild_machine(c->rebuild) : NULL);
		rebuild_destroy(c->rebuild);
		if (c->trace)
			trace_close(c->trace);
	}
	free(c);
	if (!ret)
		return p;
	profile_destroy(p);
	return NULL;
}

void profile_destroy(struct profile *p)
{
	int i;

	if (!p)
		return;
	for (i = 0; i < COST_TABLES; i++)
		free(p->rows[i]);
	free(p);
}
