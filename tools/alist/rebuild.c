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
 * What the logs say, and what has to be inferred:
 *
 *   VT-d     cache_tag_* events name IOMMU, tag and device of each attachment, and
 *            how many users the tag has. A tag without such an event was attached
 *            before the log began.
 *   AMD      an attach names the device only. A device just attached is pending; a
 *            flush of a tag that has no devices claims those that are pending, and
 *            so does one by the task that attached them. A detach invalidates the
 *            device's table entry, then everything of the old tag: it says where
 *            the device was.
 *   SMMUv3   as AMD, but a detach does not name the tag. Writing a context
 *            descriptor first, the stream table entry after it means attach; the
 *            other way round, detach.
 *
 *   An unmap names no domain: it belongs to the one whose tag the commands after
 *   it carry. Unmaps that no command follows wait for a flush of everything.
 *   Commands within the range of an unmap may come before its event: what is freed
 *   on the way is flushed on the way.
 *
 * Memory is bounded: contexts are hashed into a fixed table, unflushed unmaps and
 * objects have limits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rebuild.h"

#define CONTEXTS	1024		/* a power of two */
#define HASH_SIZE	4096
#define OBJECTS_MAX	65536		/* of each kind */
#define RANGES_MAX	4096		/* unmaps of one flush */
#define LAZY_MAX	65536		/* unmaps that wait for a flush of everything */
#define STALE_LINES	4096

enum op {
	OP_NONE,
	OP_UNMAP,
	OP_MAP,
	OP_ASSIGN,		/* VT-d */
	OP_UNASSIGN,
	OP_CONFIG,		/* context entries were written */
};

struct ranges {
	struct machine_range *range;
	size_t nr, size;
};

struct context {
	bool used;
	bool fresh;			/* nothing settled yet: the log may begin amid */
	bool active;			/* has commands; on the list */
	uint64_t key;
	uint32_t pid;
	enum op op;
	uint64_t line;			/* of the operation */
	uint64_t last_line;
	struct ranges ranges;
	struct burst burst;
	/* ASSIGN, UNASSIGN */
	unsigned int iommu;
	uint32_t did, pasid, users;
	struct machine_device *device;
	/* CONFIG, UNASSIGN */
	uint32_t rid;
	unsigned int rid_iommu;
	bool cd_first, saw_cd, saw_config;
	struct context *next, *prev;
};

struct rebuild {
	struct machine machine;
	rebuild_step_fn fn;
	void *arg;
	int ret;
	char error[256];
	uint64_t line;
	bool ending;			/* the log does, or a run of it */
	bool saw_tags;			/* the log has cache_tag_assign and the like */
	unsigned long unknown[UNKNOWN_KINDS];
	unsigned int nr_devices, nr_domains, nr_attachments;
	unsigned int next_id;
	struct machine_device *by_name[HASH_SIZE];
	struct machine_tag *by_tag[HASH_SIZE];
	struct ranges lazy;
	struct context *active;
	struct context contexts[CONTEXTS];
};

/* Nothing goes on after the first error; all that follows is skipped. */
static void stop(struct rebuild *r, const char *what)
{
	if (r->ret)
		return;
	r->ret = -2;
	snprintf(r->error, sizeof(r->error), "%s", what);
}

static void emit(struct rebuild *r, struct step *step)
{
	if (r->ret)
		return;
	if (!step->line)
		step->line = r->line;
	step->cut |= r->ending;
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
			stop(r, "out of memory");
			return;
		}
		ranges->range = p;
		ranges->size = size;
	}
	ranges->range[ranges->nr++] = range;
}

static unsigned int hash_text(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	while (len--)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h % HASH_SIZE;
}

static unsigned int hash_tag(unsigned int iommu, uint64_t tag)
{
	return (tag * 0x9e3779b97f4a7c15ull >> 40 ^ iommu * 97) % HASH_SIZE;
}

static unsigned int iommu_index(struct rebuild *r, const struct trace_text *name)
{
	struct machine *m = &r->machine;
	unsigned int i;

	for (i = 0; i < m->nr_iommus; i++)
		if (strlen(m->iommus[i].name) == name->len &&
		    !memcmp(m->iommus[i].name, name->s, name->len))
			return i;
	if (i == INV_IOMMUS_MAX || name->len >= sizeof(m->iommus[0].name)) {
		stop(r, i == INV_IOMMUS_MAX ? "expected at most 256 IOMMUs" :
					      "expected a shorter IOMMU name");
		return 0;
	}
	memcpy(m->iommus[i].name, name->s, name->len);
	m->iommus[i].name[name->len] = '\0';
	m->nr_iommus++;
	return i;
}

/* "SSSS:BB:DD.F"; INV_ANY for other names. */
static uint32_t rid_of_name(const char *name)
{
	unsigned int segment, bus, dev, fn;
	int n = 0;

	if (sscanf(name, "%x:%x:%x.%x%n", &segment, &bus, &dev, &fn, &n) != 4 ||
	    name[n] || bus > 255 || dev > 31 || fn > 7)
		return INV_ANY;
	return bus << 8 | dev << 3 | fn;
}

static struct machine_device *device_new(struct rebuild *r, const char *name,
					 uint32_t rid, unsigned int iommu)
{
	struct machine_device *dev;
	unsigned int h;

	if (r->nr_devices == OBJECTS_MAX) {
		stop(r, "expected at most 65536 devices");
		return NULL;
	}
	dev = calloc(1, sizeof(*dev));
	if (!dev) {
		stop(r, "out of memory");
		return NULL;
	}
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->rid = rid;
	dev->iommu = iommu;
	h = hash_text(name, strlen(name));
	dev->hash_next = r->by_name[h];
	r->by_name[h] = dev;
	dev->next = r->machine.devices;
	r->machine.devices = dev;
	r->nr_devices++;
	return dev;
}

static struct machine_device *device_by_rid(struct rebuild *r,
					    unsigned int iommu, uint32_t rid)
{
	struct machine_device *dev;
	char name[64];

	for (dev = r->machine.devices; dev; dev = dev->next)
		if (dev->rid == rid &&
		    (dev->iommu == iommu || dev->iommu == INV_ANY)) {
			dev->iommu = iommu;
			return dev;
		}
	snprintf(name, sizeof(name), "%02x:%02x.%x", rid >> 8, rid >> 3 & 31, rid & 7);
	return device_new(r, name, rid, iommu);
}

static struct machine_device *device_by_name(struct rebuild *r,
					     const struct trace_text *text)
{
	struct machine_device *dev;
	char name[64];

	if (text->len >= sizeof(name)) {
		stop(r, "expected a shorter device name");
		return NULL;
	}
	memcpy(name, text->s, text->len);
	name[text->len] = '\0';
	for (dev = r->by_name[hash_text(name, text->len)]; dev; dev = dev->hash_next)
		if (!strcmp(dev->name, name))
			return dev;
	return device_new(r, name, rid_of_name(name), INV_ANY);
}

/* A device that the log gives no name. */
static struct machine_device *device_anonymous(struct rebuild *r, unsigned int iommu)
{
	char name[64];

	snprintf(name, sizeof(name), "?%u", ++r->next_id);
	return device_new(r, name, INV_ANY, iommu);
}

static struct machine_tag *tag_find(struct rebuild *r, unsigned int iommu,
				    uint64_t tag)
{
	struct machine_tag *t;

	for (t = r->by_tag[hash_tag(iommu, tag)]; t; t = t->hash_next)
		if (t->iommu == iommu && t->tag == tag)
			return t;
	return NULL;
}

static struct machine_domain *domain_new(struct rebuild *r)
{
	struct machine_domain *domain;

	if (r->nr_domains == OBJECTS_MAX) {
		stop(r, "expected at most 65536 domains");
		return NULL;
	}
	domain = calloc(1, sizeof(*domain));
	if (!domain) {
		stop(r, "out of memory");
		return NULL;
	}
	domain->id = ++r->next_id;
	domain->next = r->machine.domains;
	if (domain->next)
		domain->next->prev = domain;
	r->machine.domains = domain;
	r->nr_domains++;
	return domain;
}

static void tag_add(struct rebuild *r, struct machine_domain *domain,
		    unsigned int iommu, uint64_t tag)
{
	struct machine_tag *t = calloc(1, sizeof(*t));
	unsigned int h = hash_tag(iommu, tag);

	if (!t) {
		stop(r, "out of memory");
		return;
	}
	t->domain = domain;
	t->iommu = iommu;
	t->tag = tag;
	t->next = domain->tags;
	domain->tags = t;
	t->hash_next = r->by_tag[h];
	r->by_tag[h] = t;
}

static void domain_remove(struct rebuild *r, struct machine_domain *domain)
{
	struct machine_tag *t, **p;

	while ((t = domain->tags)) {
		domain->tags = t->next;
		for (p = &r->by_tag[hash_tag(t->iommu, t->tag)]; *p != t;)
			p = &(*p)->hash_next;
		*p = t->hash_next;
		free(t);
	}
	if (domain->prev)
		domain->prev->next = domain->next;
	else
		r->machine.domains = domain->next;
	if (domain->next)
		domain->next->prev = domain->prev;
	free(domain);
	r->nr_domains--;
}

static struct machine_domain *domain_of_tag(struct rebuild *r, unsigned int iommu,
					    uint64_t tag)
{
	struct machine_tag *t = tag_find(r, iommu, tag);
	struct machine_domain *domain;

	if (t)
		return t->domain;
	domain = domain_new(r);
	if (domain) {
		/* Until a command says otherwise; S2 tags are told apart. */
		domain->first_stage = r->machine.vendor == MODEL_SMMUV3 &&
				      !(tag & MACHINE_TAG_S2);
		tag_add(r, domain, iommu, tag);
	}
	return domain;
}

static struct machine_attachment *attach(struct rebuild *r,
					 struct machine_domain *domain,
					 struct machine_device *dev,
					 unsigned int iommu, uint64_t tag,
					 uint32_t pasid, bool guessed, uint64_t line,
					 const struct burst *burst)
{
	struct machine_attachment *att;
	struct step step = { .kind = STEP_ATTACH, .line = line, .burst = burst };

	if (r->ret || !dev || !domain)
		return NULL;
	if (r->nr_attachments == OBJECTS_MAX) {
		stop(r, "expected at most 65536 attachments at a time");
		return NULL;
	}
	att = calloc(1, sizeof(*att));
	if (!att) {
		stop(r, "out of memory");
		return NULL;
	}
	att->domain = domain;
	att->device = dev;
	att->iommu = iommu;
	att->tag = tag;
	att->pasid = pasid;
	att->guessed = guessed;
	att->line = line;
	att->next = domain->attachments;
	domain->attachments = att;
	domain->nr++;
	dev->users++;
	dev->pending = false;
	dev->iommu = iommu;
	r->nr_attachments++;
	r->unknown[UNKNOWN_ATTACHMENT] += guessed;
	step.domain = domain;
	step.attachment = att;
	emit(r, &step);
	return att;
}

/* Takes it off its domain, and the domain away with its last one. */
static void detach(struct rebuild *r, struct machine_attachment *att,
		   enum step_kind kind, uint64_t line, const struct burst *burst)
{
	struct machine_domain *domain = att->domain;
	struct step step = {
		.kind = kind, .line = line, .burst = burst,
		.domain = domain, .attachment = att,
	};
	struct machine_attachment **p = &domain->attachments;

	while (*p != att)
		p = &(*p)->next;
	*p = att->next;
	domain->nr--;
	att->device->users--;
	emit(r, &step);
	free(att);
	r->nr_attachments--;
	if (!domain->nr)
		domain_remove(r, domain);
}

static struct machine_attachment *find_attachment(struct machine_domain *domain,
						  struct machine_device *dev,
						  uint32_t pasid)
{
	struct machine_attachment *att;

	for (att = domain->attachments; att; att = att->next)
		if (att->device == dev && att->pasid == pasid)
			return att;
	return NULL;
}

/* An attachment made up because the tag was in use, of a device without a name. */
static struct machine_attachment *find_anonymous(struct machine_domain *domain,
						 unsigned int iommu, uint64_t tag)
{
	struct machine_attachment *att;

	for (att = domain->attachments; att; att = att->next)
		if (att->iommu == iommu && att->tag == tag && !att->pasid &&
		    att->device->rid == INV_ANY)
			return att;
	return NULL;
}

/* Wherever the device is attached, without PASID. */
static struct machine_attachment *find_device(struct rebuild *r,
					      struct machine_device *dev)
{
	struct machine_domain *domain;
	struct machine_attachment *att;

	if (!dev->users)
		return NULL;
	for (domain = r->machine.domains; domain; domain = domain->next) {
		att = find_attachment(domain, dev, 0);
		if (att)
			return att;
	}
	return NULL;
}

static void merge(struct rebuild *r, struct machine_domain *to,
		  struct machine_domain *from)
{
	struct step step = { .kind = STEP_MERGE, .domain = to, .from = from };
	struct machine_attachment **last = &to->attachments;
	struct machine_tag **tags = &to->tags;
	struct machine_attachment *att;
	struct machine_tag *t;

	emit(r, &step);
	while (*last)
		last = &(*last)->next;
	*last = from->attachments;
	for (att = from->attachments; att; att = att->next)
		att->domain = to;
	while (*tags)
		tags = &(*tags)->next;
	*tags = from->tags;
	for (t = from->tags; t; t = t->next)
		t->domain = to;
	to->nr += from->nr;
	to->first_stage |= from->first_stage;
	from->attachments = NULL;
	from->tags = NULL;
	from->nr = 0;
	domain_remove(r, from);
}

/*
 * The tag that a command names, or no one's: commands for all tags of an IOMMU
 * are not about a domain.
 */
#define NO_TAG	UINT64_MAX

static uint64_t tag_of(const struct inv *inv)
{
	if (inv->class != MODEL_IOTLB)
		return NO_TAG;
	if (inv->tag != INV_ANY)
		return inv->tag;
	if (inv->vm_tag != INV_ANY)
		return MACHINE_TAG_S2 | inv->vm_tag;
	return NO_TAG;
}

static uint32_t pasid_of(const struct inv *inv)
{
	return inv->pasid == INV_ANY ? 0 : inv->pasid;
}

static bool tag_has_users(const struct machine_domain *domain, unsigned int iommu,
			  uint64_t tag, uint32_t pasid)
{
	const struct machine_attachment *att;

	for (att = domain->attachments; att; att = att->next)
		if (att->iommu == iommu && att->tag == tag && att->pasid == pasid)
			return true;
	return false;
}

/*
 * Pending devices that a flush of this tag may be about: those that the same task
 * attached, or any if the tag has nobody.
 */
static void claim(struct rebuild *r, struct context *c,
		  struct machine_domain *domain, unsigned int iommu, uint64_t tag)
{
	bool empty = !tag_has_users(domain, iommu, tag, 0);
	struct machine_device *dev;
	bool mine = false;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		for (dev = r->machine.devices; dev && !r->ret; dev = dev->next) {
			if (!dev->pending ||
			    (dev->iommu != INV_ANY && dev->iommu != iommu) ||
			    (!pass && dev->pending_pid != c->pid))
				continue;
			attach(r, domain, dev, iommu, tag, 0, false, c->line, NULL);
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

		/* Of several commands the log shows the first only. */
		if (burst->cmds[i].n > 1) {
			*first = 0;
			*last = UINT64_MAX;
			return true;
		}
		if (inv->class != MODEL_IOTLB && burst->nr > 1 && any)
			continue;
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
			merge(r, domain, t->domain);
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
		att = dev ? find_device(r, dev) : NULL;
		if (att)
			domain = att->domain;
	}
	return r->ret ? NULL : domain;
}

/* SMMUv3 logs show the first of several ATC commands; the others are for somebody. */
static void more_atcs(struct rebuild *r, struct context *c,
		      struct machine_domain *domain)
{
	unsigned int iommu = INV_ANY, wanted = 0;
	struct machine_attachment *att;
	struct machine_tag *t;
	size_t i;

	for (i = 0; i < c->burst.nr; i++) {
		const struct command *cmd = &c->burst.cmds[i];

		if (cmd->inv.class != MODEL_ATC)
			continue;
		if (iommu != INV_ANY && iommu != cmd->iommu)
			return;
		iommu = cmd->iommu;
		wanted += cmd->n;
	}
	if (iommu == INV_ANY || wanted > OBJECTS_MAX)
		return;
	for (att = domain->attachments; att; att = att->next)
		wanted -= wanted && att->iommu == iommu && att->device->ats;
	for (att = domain->attachments; att && wanted; att = att->next) {
		if (att->iommu != iommu || att->device->ats)
			continue;
		att->device->ats = true;
		wanted--;
	}
	for (t = domain->tags; t && t->iommu != iommu; t = t->next)
		;
	while (t && wanted-- && !r->ret) {
		att = attach(r, domain, device_anonymous(r, iommu), iommu, t->tag, 0,
			     true, c->line, NULL);
		if (att)
			att->device->ats = true;
	}
}

/* Sees to it that whoever the commands are for is attached. */
static void members_of_burst(struct rebuild *r, struct context *c,
			     struct machine_domain *domain)
{
	struct machine_device *dev;
	struct machine_tag *t;
	size_t i;

	for (i = 0; i < c->burst.nr && !r->ret; i++) {
		const struct command *cmd = &c->burst.cmds[i];

		if (tag_of(&cmd->inv) != NO_TAG)
			claim(r, c, domain, cmd->iommu, tag_of(&cmd->inv));
		if (cmd->inv.class != MODEL_ATC)
			continue;
		dev = device_by_rid(r, cmd->iommu, cmd->inv.rid);
		if (!dev)
			return;
		dev->ats = true;
		dev->qdep = cmd->inv.qdep;
		if (find_attachment(domain, dev, pasid_of(&cmd->inv)))
			continue;
		for (t = domain->tags; t && t->iommu != cmd->iommu; t = t->next)
			;
		if (t)
			attach(r, domain, dev, cmd->iommu, t->tag,
			       pasid_of(&cmd->inv), !dev->pending, c->line, NULL);
	}
	if (r->machine.vendor == MODEL_SMMUV3)
		more_atcs(r, c, domain);
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

/* AMD with NpCache sends several aligned commands where one would do. */
static bool looks_split(const struct burst *burst)
{
	const struct command *a = NULL;
	size_t i;

	for (i = 0; i < burst->nr; i++) {
		const struct command *b = &burst->cmds[i];

		if (b->inv.class != MODEL_IOTLB)
			continue;
		if (a && a->iommu == b->iommu && inv_same_target(&a->inv, &b->inv) &&
		    a->inv.last + 1 == b->inv.first)
			return true;
		a = b;
	}
	return false;
}

static void to_lazy(struct rebuild *r, struct ranges *ranges)
{
	size_t i;

	for (i = 0; i < ranges->nr; i++)
		ranges_add(r, &r->lazy, LAZY_MAX, ranges->range[i]);
	ranges->nr = 0;
}

/* Ranges that the flush is not about go where they wait for another one. */
static void keep_flushed(struct rebuild *r, struct ranges *ranges, uint64_t first,
			 uint64_t last)
{
	size_t i, kept = 0;

	for (i = 0; i < ranges->nr; i++) {
		struct machine_range range = ranges->range[i];

		if (range.iova <= last && range.iova + (range.size - 1) >= first)
			ranges->range[kept++] = range;
		else
			ranges_add(r, &r->lazy, LAZY_MAX, range);
	}
	ranges->nr = kept;
}

static void settle_flush(struct rebuild *r, struct context *c)
{
	struct step step = { .line = c->line, .burst = &c->burst };
	bool all = burst_all(&c->burst);
	struct machine *m = &r->machine;
	uint64_t first, last;
	size_t i;

	if (!c->burst.nr) {
		if (c->op == OP_UNMAP)
			to_lazy(r, &c->ranges);
		return;
	}
	burst_span(&c->burst, &first, &last);
	keep_flushed(r, &c->ranges, first, last);
	step.kind = STEP_OTHER_FLUSH;
	step.cut = c->fresh && c->op == OP_NONE;
	if (c->op == OP_MAP && c->ranges.nr) {
		struct machine_range *range = c->ranges.range;

		step.kind = STEP_MAP_FLUSH;
		m->caches_absent = true;
		/* AMD does not round then: the log lacks part of what was mapped. */
		if (m->vendor == MODEL_AMD && !all && first <= range->iova &&
		    last >= range->iova + (range->size - 1)) {
			range->iova = first;
			range->size = last - first + 1;
		}
	}
	if (c->op == OP_UNMAP && c->ranges.nr)
		step.kind = STEP_UNMAP_FLUSH;
	/*
	 * A flush of everything is what lazy unmaps wait for; one unmap alone may be
	 * too large for anything less.
	 */
	if (c->op != OP_MAP && all && (r->lazy.nr || c->ranges.nr > 1)) {
		for (i = 0; i < r->lazy.nr; i++)
			ranges_add(r, &c->ranges, LAZY_MAX + RANGES_MAX,
				   r->lazy.range[i]);
		r->lazy.nr = 0;
		step.kind = STEP_UNMAP_FLUSH;
		step.lazy = true;
	}
	if (m->vendor == MODEL_AMD && looks_split(&c->burst))
		m->caches_absent = true;

	/*
	 * SMMUv3 empties an ASID when its domain is freed. Whoever is pending is
	 * attached to something else by then.
	 */
	if (m->vendor == MODEL_SMMUV3 && step.kind == STEP_OTHER_FLUSH && all &&
	    tag_of(&c->burst.cmds[0].inv) != NO_TAG) {
		step.iommu = c->burst.cmds[0].iommu;
		step.tag = tag_of(&c->burst.cmds[0].inv);
		if (!tag_find(r, step.iommu, step.tag)) {
			step.kind = STEP_RETIRE;
			emit(r, &step);
			return;
		}
	}
	step.domain = domain_of_burst(r, c);
	if (!step.domain)
		return;
	members_of_burst(r, c, step.domain);
	if (r->ret)
		return;
	if (step.kind == STEP_OTHER_FLUSH)
		r->unknown[UNKNOWN_UNMAP]++;
	for (i = 0; i < c->burst.nr; i++)
		r->unknown[UNKNOWN_WORDS] += c->burst.cmds[i].n - 1;
	step.ranges = c->ranges.range;
	step.nr_ranges = c->ranges.nr;
	emit(r, &step);
}

/* VT-d: the tag has a new user. */
static void settle_assign(struct rebuild *r, struct context *c)
{
	struct machine_domain *domain = domain_of_tag(r, c->iommu, c->did);
	struct machine_attachment *att, *old;
	unsigned int users = 0;

	if (!domain)
		return;
	for (att = domain->attachments; att; att = att->next)
		users += att->iommu == c->iommu && att->tag == c->did &&
			 att->pasid == c->pasid;
	for (; users + 1 < c->users && !r->ret; users++)
		attach(r, domain, device_anonymous(r, c->iommu), c->iommu, c->did,
		       c->pasid, true, c->line, NULL);
	if (c->device) {
		old = c->pasid ? find_attachment(domain, c->device, c->pasid) :
				 find_device(r, c->device);
		/* Domains that turn out not to exist are freed with their last one. */
		if (old && old->domain != domain)
			detach(r, old, STEP_FORGET, c->line, NULL);
		else if (old)
			return;
	}
	attach(r, domain, c->device ? c->device : device_anonymous(r, c->iommu),
	       c->iommu, c->did, c->pasid, !c->device, c->line, &c->burst);
}

static void settle_unassign(struct rebuild *r, struct context *c)
{
	struct machine_domain *domain = domain_of_tag(r, c->iommu, c->did);
	struct machine_attachment *att, *found = NULL;
	struct machine_device *dev = c->device;
	unsigned int users = 0;
	size_t i;

	if (!domain)
		return;
	if (!dev && c->saw_config && c->rid != INV_ANY)
		dev = device_by_rid(r, c->iommu, c->rid);
	for (i = 0; i < c->burst.nr; i++)
		if (c->burst.cmds[i].inv.by_pasid &&
		    c->burst.cmds[i].inv.class == MODEL_IOTLB)
			domain->first_stage = true;
	for (att = domain->attachments; att; att = att->next) {
		if (att->iommu != c->iommu || att->tag != c->did ||
		    att->pasid != c->pasid)
			continue;
		users++;
		if (att->device == dev || (!found && att->guessed &&
					   att->device->rid == INV_ANY))
			found = att;
	}
	if (!found || (dev && found->device != dev && users < c->users)) {
		found = attach(r, domain, dev ? dev : device_anonymous(r, c->iommu),
			       c->iommu, c->did, c->pasid, true, c->line, NULL);
		users++;
	}
	for (; users < c->users && !r->ret; users++)
		attach(r, domain, device_anonymous(r, c->iommu), c->iommu, c->did,
		       c->pasid, true, c->line, NULL);
	if (!r->ret)
		detach(r, found, STEP_DETACH, c->line, &c->burst);
}

/*
 * Context entries were written, without an event that says why; @dev: the attach
 * event that followed, if one did.
 */
static void settle_config(struct rebuild *r, struct context *c,
			  struct machine_device *dev)
{
	struct machine *m = &r->machine;
	struct machine_attachment *att;
	struct machine_domain *domain;
	bool detached = false;
	size_t i;

	if (c->rid != INV_ANY) {
		if (!dev)
			dev = device_by_rid(r, c->rid_iommu, c->rid);
		if (!dev)
			return;
		dev->rid = c->rid;
		dev->iommu = c->rid_iommu;
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
		att = find_device(r, dev);
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
	att = r->ret || detached ? NULL : find_device(r, dev);
	if (att)
		detach(r, att, m->vendor == MODEL_SMMUV3 ? STEP_DETACH : STEP_FORGET,
		       c->line, &c->burst);
	/* The stream table entry first, then its descriptors: it left for nowhere. */
	dev->pending = m->vendor != MODEL_SMMUV3 || c->cd_first || !c->saw_cd;
	dev->pending_pid = c->pid;
}

/*
 * Ends the operation of a context. @dev: of the attach event that ends it, else
 * NULL.
 */
static void settle(struct rebuild *r, struct context *c, struct machine_device *dev)
{
	struct machine *m = &r->machine;

	if (c->op == OP_ASSIGN || c->op == OP_UNASSIGN) {
		if (!c->device)
			c->device = dev;
		if (c->op == OP_ASSIGN)
			settle_assign(r, c);
		else
			settle_unassign(r, c);
	} else if (c->op == OP_CONFIG) {
		settle_config(r, c, dev);
	} else {
		settle_flush(r, c);
		if (dev && !r->saw_tags && m->vendor != MODEL_SMMUV3) {
			dev->pending = true;
			dev->pending_pid = c->pid;
		}
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

static void begin(struct rebuild *r, struct context *c, enum op op)
{
	c->op = op;
	c->line = r->line;
}

/*
 * What must have ended elsewhere before @c does this: before addresses are mapped
 * or unmapped again their flush was over, before an attachment changes everything
 * was that the log shows complete. @range: (un)mapped now, NULL: an attachment
 * changes.
 */
static void settle_others(struct rebuild *r, struct context *c,
			  const struct machine_range *range)
{
	struct context *other, *next;
	bool conflict;
	size_t i;

	for (other = r->active; other && !r->ret; other = next) {
		next = other->next;
		if (other == c || !burst_settled(&other->burst))
			continue;
		conflict = !range || other->last_line + STALE_LINES < r->line;
		for (i = 0; !conflict && i < other->ranges.nr; i++)
			conflict = other->ranges.range[i].iova <
					   range->iova + range->size &&
				   range->iova < other->ranges.range[i].iova +
						 other->ranges.range[i].size;
		if (conflict)
			settle(r, other, NULL);
	}
}

static void settle_all(struct rebuild *r)
{
	size_t i;

	r->ending = true;
	for (i = 0; i < CONTEXTS; i++) {
		if (!r->contexts[i].used)
			continue;
		settle(r, &r->contexts[i], NULL);
		r->contexts[i].used = false;
	}
	r->ending = false;
}

static void drop_all(struct rebuild *r)
{
	struct machine *m = &r->machine;
	struct machine_attachment *att;
	struct machine_device *dev;

	while (m->domains) {
		while ((att = m->domains->attachments)) {
			m->domains->attachments = att->next;
			free(att);
		}
		domain_remove(r, m->domains);
	}
	while ((dev = m->devices)) {
		m->devices = dev->next;
		free(dev);
	}
	memset(r->by_name, 0, sizeof(r->by_name));
	r->nr_devices = 0;
	r->nr_attachments = 0;
	r->lazy.nr = 0;
	r->saw_tags = false;
	m->lost = false;
	m->nests = false;
	m->caches_absent = false;
	m->nr_iommus = 0;
}

static struct context *context_of(struct rebuild *r, const struct trace_event *e)
{
	bool task = e->context == TRACE_TASK && e->pid;
	uint64_t key = (uint64_t)e->context << 33 | (uint64_t)task << 32 |
		       (task ? e->pid : e->cpu);
	struct context *c;

	c = &r->contexts[(key * 0x9e3779b97f4a7c15ull >> 32) % CONTEXTS];
	if (c->used && c->key != key)
		settle(r, c, NULL);
	if (!c->used || c->key != key) {
		c->used = true;
		c->fresh = true;
		c->key = key;
		c->pid = task ? e->pid : 0;
		c->op = OP_NONE;
		c->rid = INV_ANY;
	}
	c->last_line = r->line;
	return c;
}

static bool within(const struct inv *inv, const struct machine_range *range)
{
	return inv->first >= range->iova &&
	       inv->last <= range->iova + (range->size - 1);
}

static bool overlaps(const struct inv *inv, const struct ranges *ranges)
{
	size_t i;

	for (i = 0; i < ranges->nr; i++)
		if (inv->last >= ranges->range[i].iova &&
		    inv->first <= ranges->range[i].iova + (ranges->range[i].size - 1))
			return true;
	return false;
}

/* A scatter list is mapped piece by piece and flushed once. */
static void on_map(struct rebuild *r, struct context *c,
		   const struct machine_range *range)
{
	struct machine_range *before = c->ranges.range;

	settle_others(r, c, range);
	if (c->op == OP_MAP && !c->burst.nr &&
	    before->iova + before->size == range->iova) {
		before->size += range->size;
		return;
	}
	settle(r, c, NULL);
	begin(r, c, OP_MAP);
	ranges_add(r, &c->ranges, RANGES_MAX, *range);
}

static void on_unmap(struct rebuild *r, struct context *c,
		     const struct trace_event *e)
{
	struct machine_range range = { e->map.iova, e->map.size };
	struct burst early = { 0 };
	size_t n = 0;

	if (!range.size)
		return;
	settle_others(r, c, &range);
	if (c->op == OP_UNMAP && !c->burst.nr) {
		ranges_add(r, &c->ranges, RANGES_MAX, range);
		return;
	}
	/* Commands for this unmap that came before its event. */
	if (c->op == OP_NONE || c->op == OP_UNMAP ||
	    (c->op == OP_MAP && r->machine.vendor == MODEL_SMMUV3)) {
		while (n < c->burst.nr) {
			const struct inv *inv = &c->burst.cmds[c->burst.nr - n - 1].inv;

			if (!within(inv, &range) ||
			    (c->op == OP_UNMAP && overlaps(inv, &c->ranges)))
				break;
			n++;
		}
	}
	if (n && burst_split(&c->burst, n, &early))
		stop(r, "out of memory");
	settle(r, c, NULL);
	begin(r, c, OP_UNMAP);
	ranges_add(r, &c->ranges, RANGES_MAX, range);
	if (n) {
		struct burst empty = c->burst;

		c->burst = early;
		burst_free(&empty);
		activate(r, c);
	}
}

/* Whether this command cannot belong to what the context has collected. */
static bool begins_flush(struct rebuild *r, struct context *c,
			 const struct command *cmd)
{
	struct machine_tag *t, *mine;
	uint64_t tag = tag_of(&cmd->inv);
	bool any = false, alike = false;
	size_t i;

	if (c->op == OP_ASSIGN || c->op == OP_UNASSIGN || c->op == OP_CONFIG ||
	    !c->burst.nr || !burst_settled(&c->burst) || tag == NO_TAG ||
	    (r->machine.vendor == MODEL_VTD && c->burst.row))
		return false;
	t = tag_find(r, cmd->iommu, tag);
	for (i = 0; i < c->burst.nr; i++) {
		const struct command *old = &c->burst.cmds[i];
		bool same_tag, same_range;

		if (tag_of(&old->inv) == NO_TAG)
			continue;
		same_tag = old->iommu == cmd->iommu && tag_of(&old->inv) == tag;
		same_range = old->inv.first == cmd->inv.first &&
			     old->inv.last == cmd->inv.last;
		mine = tag_find(r, old->iommu, tag_of(&old->inv));
		if (t && mine && t->domain != mine->domain &&
		    old->iommu == cmd->iommu)
			return true;
		if (same_tag && same_range)
			return c->op != OP_UNMAP || inv_all(&cmd->inv);
		if (old->iommu == cmd->iommu && !same_tag && c->op == OP_NONE)
			return true;
		/* A domain's flush has the same range for all of its tags. */
		alike |= same_tag || same_range;
		any = true;
	}
	return any && !alike;
}

static void on_command(struct rebuild *r, struct context *c,
		       const struct trace_event *e, enum model_vendor vendor)
{
	struct machine *m = &r->machine;
	struct command cmd = { .line = e->line, .n = e->cmd.n };
	int ret;

	if (m->vendor == MODEL_VENDORS)
		m->vendor = vendor;
	if (m->vendor != vendor) {
		stop(r, "expected commands of one vendor in a log");
		return;
	}
	cmd.iommu = iommu_index(r, &e->cmd.iommu);
	if (r->ret)
		return;
	memcpy(cmd.words, e->cmd.words, sizeof(cmd.words));
	cmd.inv = inv_decode(vendor, cmd.words);
	if (!cmd.n)
		cmd.inv.class = MODEL_SYNC;

	switch (cmd.inv.class) {
	case MODEL_SYNC:
		burst_sync(&c->burst, cmd.iommu);
		return;
	case MODEL_CONFIG:
		burst_end_row(&c->burst);
		if (c->op != OP_CONFIG && c->op != OP_ASSIGN && c->op != OP_UNASSIGN) {
			settle(r, c, NULL);
			settle_others(r, c, NULL);
			begin(r, c, OP_CONFIG);
		}
		if (vendor == MODEL_SMMUV3 && (e->cmd.op == 5 || e->cmd.op == 6)) {
			c->cd_first |= !c->saw_config;
			c->saw_cd = true;
		}
		c->saw_config = true;
		if (cmd.inv.rid != INV_ANY) {
			c->rid = cmd.inv.rid;
			c->rid_iommu = cmd.iommu;
		}
		return;
	case MODEL_IOTLB:
	case MODEL_ATC:
		break;
	default:
		burst_end_row(&c->burst);
		return;
	}

	/* For a whole VM or IOMMU: about no domain. SMMUv3 does so for nests. */
	if (cmd.inv.class == MODEL_IOTLB && tag_of(&cmd.inv) == NO_TAG) {
		m->nests |= vendor == MODEL_SMMUV3;
		return;
	}
	if (begins_flush(r, c, &cmd))
		settle(r, c, NULL);
	if (c->op == OP_NONE && !c->burst.nr)
		begin(r, c, OP_NONE);
	/* VT-d batches the flushes of unmaps only. */
	if (c->op == OP_ASSIGN || c->op == OP_UNASSIGN || c->op == OP_CONFIG)
		burst_end_row(&c->burst);
	ret = vendor == MODEL_VTD ? burst_add_row(&c->burst, &cmd) :
				    burst_add(&c->burst, &cmd);
	if (ret)
		stop(r, "out of memory");
	else if (e->cmd.sync)
		burst_sync(&c->burst, cmd.iommu);
	activate(r, c);
}

static void on_tag(struct rebuild *r, struct context *c, const struct trace_event *e)
{
	enum op op = e->type == TRACE_TAG_ASSIGN ? OP_ASSIGN : OP_UNASSIGN;
	unsigned int iommu = iommu_index(r, &e->tag.iommu);
	struct machine_device *dev = NULL;

	if (r->machine.vendor == MODEL_VENDORS)
		r->machine.vendor = MODEL_VTD;
	r->saw_tags = true;
	r->machine.nests |= e->tag.nesting;
	if (r->ret)
		return;
	if (e->tag.devtlb) {
		dev = device_by_name(r, &e->tag.device);
		if (!dev)
			return;
		dev->ats = true;
		dev->iommu = iommu;
	}
	if (dev && c->op == op && !c->device && c->iommu == iommu &&
	    c->did == e->tag.did && c->pasid == e->tag.pasid) {
		c->device = dev;
		return;
	}
	/* A device TLB without its IOTLB: the other half was lost. */
	if (dev)
		return;
	/* Some kernels write the context entry before they drop the tag. */
	if (c->op != OP_CONFIG || op != OP_UNASSIGN) {
		settle(r, c, NULL);
		settle_others(r, c, NULL);
	}
	begin(r, c, op);
	c->iommu = iommu;
	c->did = e->tag.did;
	c->pasid = e->tag.pasid;
	c->users = e->tag.users;
}

static void on_attach(struct rebuild *r, struct context *c,
		      const struct trace_event *e)
{
	struct machine_device *dev = device_by_name(r, &e->device);
	struct machine_device *twin;

	/* Seen in commands before it was seen by name. */
	if (dev && c->rid != INV_ANY && !dev->users && dev->iommu == INV_ANY) {
		for (twin = r->machine.devices; twin; twin = twin->next)
			if (twin != dev && twin->rid == c->rid &&
			    twin->iommu == c->rid_iommu && twin->name[0] != '?' &&
			    rid_of_name(twin->name) == INV_ANY)
				break;
		if (twin)
			dev = twin;
	}
	if (!dev)
		return;
	settle(r, c, dev);
	settle_others(r, c, NULL);
}

int rebuild_event(struct rebuild *r, const struct trace_event *e)
{
	struct machine *m = &r->machine;
	struct step step = { 0 };
	struct context *c;

	if (!e) {
		settle_all(r);
		step.kind = STEP_END;
		emit(r, &step);
		return r->ret;
	}
	r->line = e->line;
	switch (e->type) {
	case TRACE_RUN:
		settle_all(r);
		step.kind = STEP_RUN;
		step.label = e->text;
		emit(r, &step);
		drop_all(r);
		return r->ret;
	case TRACE_LOST:
		m->lost = true;
		r->unknown[UNKNOWN_EVENTS] += e->lost;
		return r->ret;
	case TRACE_QUIET:
	case TRACE_OTHER:
		return r->ret;
	default:
		break;
	}

	c = context_of(r, e);
	switch (e->type) {
	case TRACE_MAP:
		if (!e->map.size)
			break;
		on_map(r, c, &(struct machine_range){ e->map.iova, e->map.size });
		step.kind = STEP_MAP;
		step.iova = e->map.iova;
		step.paddr = e->map.paddr;
		step.size = e->map.size;
		emit(r, &step);
		break;
	case TRACE_UNMAP:
		on_unmap(r, c, e);
		break;
	case TRACE_ATTACH:
		on_attach(r, c, e);
		break;
	case TRACE_TAG_ASSIGN:
	case TRACE_TAG_UNASSIGN:
		on_tag(r, c, e);
		break;
	case TRACE_TAG_FLUSH:
		burst_end_row(&c->burst);
		if (c->op == OP_MAP && !e->tag.map)
			settle(r, c, NULL);
		break;
	case TRACE_QI:
		on_command(r, c, e, MODEL_VTD);
		break;
	case TRACE_AMD:
		on_command(r, c, e, MODEL_AMD);
		break;
	case TRACE_SMMU:
		on_command(r, c, e, MODEL_SMMUV3);
		break;
	default:			/* markers, and detaches that nothing follows */
		settle(r, c, NULL);
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
	drop_all(r);
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
