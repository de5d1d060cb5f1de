// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the rebuilt machine is made of: devices, tags, domains, attachments. Every look-up
 * is by hash or along what a device or domain has of its own, so that a log with
 * thousands of domains takes time in proportion to its length.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rebuild-internal.h"

static unsigned int hash_text(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	while (len--)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h % HASH_SIZE;
}

static unsigned int hash_rid(uint32_t rid)
{
	return (rid * 0x9e3779b1u >> 16) % HASH_SIZE;
}

static unsigned int hash_tag(unsigned int iommu, uint64_t tag)
{
	return (tag * 0x9e3779b97f4a7c15ull >> 40 ^ iommu * 97) % HASH_SIZE;
}

unsigned int iommu_index(struct rebuild *r, const struct trace_text *text)
{
	struct machine *m = &r->machine;
	char name[sizeof(m->iommus[0].name)];
	unsigned int i;

	/* The one of the last command, mostly. */
	i = r->last_iommu;
	if (i < m->nr_iommus && strlen(m->iommus[i].name) == text->len &&
	    !memcmp(m->iommus[i].name, text->s, text->len))
		return i;
	if (!trace_clean(name, sizeof(name), text->s, text->len)) {
		rebuild_stop(r, "expected a shorter IOMMU name");
		return 0;
	}
	for (i = 0; i < m->nr_iommus; i++)
		if (!strcmp(m->iommus[i].name, name)) {
			r->last_iommu = i;
			return i;
		}
	if (i == INV_IOMMUS_MAX) {
		rebuild_stop(r, "expected at most 256 IOMMUs");
		return 0;
	}
	strcpy(m->iommus[i].name, name);
	/* A pointer is no name for people. */
	if (!strncmp(name, "0x", 2))
		snprintf(m->iommus[i].label, sizeof(m->iommus[i].label), "iommu%u", i);
	else
		strcpy(m->iommus[i].label, name);
	m->nr_iommus++;
	return i;
}

uint32_t rid_of_name(const char *name)
{
	unsigned int segment, bus, dev, fn;
	int n = 0;

	if (sscanf(name, "%x:%x:%x.%x%n", &segment, &bus, &dev, &fn, &n) != 4 ||
	    name[n] || bus > 255 || dev > 31 || fn > 7)
		return INV_ANY;
	return bus << 8 | dev << 3 | fn;
}

void device_set_rid(struct rebuild *r, struct machine_device *dev, uint32_t rid,
		    unsigned int iommu)
{
	struct machine_device **p;

	dev->iommu = iommu;
	if (dev->rid == rid)
		return;
	if (dev->rid != INV_ANY) {
		for (p = &r->by_rid[hash_rid(dev->rid)]; *p != dev;)
			p = &(*p)->rid_next;
		*p = dev->rid_next;
	}
	dev->rid = rid;
	if (rid == INV_ANY)
		return;
	dev->rid_next = r->by_rid[hash_rid(rid)];
	r->by_rid[hash_rid(rid)] = dev;
}

void device_set_pending(struct rebuild *r, struct machine_device *dev, bool pending,
			uint32_t pid)
{
	struct machine_device **p;

	if (pending && !dev->pending) {
		dev->pending_next = r->pending;
		r->pending = dev;
	} else if (!pending && dev->pending) {
		for (p = &r->pending; *p != dev;)
			p = &(*p)->pending_next;
		*p = dev->pending_next;
	}
	dev->pending = pending;
	dev->pending_pid = pid;
}

static struct machine_device *device_new(struct rebuild *r, const char *name,
					 uint32_t rid, unsigned int iommu)
{
	struct machine_device *dev;
	unsigned int h;

	if (r->nr_devices == OBJECTS_MAX) {
		rebuild_stop(r, "expected at most 65536 devices");
		return NULL;
	}
	dev = calloc(1, sizeof(*dev));
	if (!dev) {
		rebuild_stop(r, "out of memory");
		return NULL;
	}
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->rid = INV_ANY;
	device_set_rid(r, dev, rid, iommu);
	h = hash_text(name, strlen(name));
	dev->hash_next = r->by_name[h];
	r->by_name[h] = dev;
	dev->next = r->machine.devices;
	r->machine.devices = dev;
	r->nr_devices++;
	return dev;
}

struct machine_device *device_by_rid(struct rebuild *r, unsigned int iommu, uint32_t rid)
{
	struct machine_device *dev;
	char name[64];

	for (dev = r->by_rid[hash_rid(rid)]; dev; dev = dev->rid_next)
		if (dev->rid == rid &&
		    (dev->iommu == iommu || dev->iommu == INV_ANY)) {
			dev->iommu = iommu;
			return dev;
		}
	snprintf(name, sizeof(name), "%02x:%02x.%x", rid >> 8, rid >> 3 & 31, rid & 7);
	return device_new(r, name, rid, iommu);
}

struct machine_device *device_twin(struct rebuild *r, const struct machine_device *dev,
				   unsigned int iommu, uint32_t rid)
{
	struct machine_device *twin;

	for (twin = r->by_rid[hash_rid(rid)]; twin; twin = twin->rid_next)
		if (twin != dev && twin->rid == rid && twin->iommu == iommu &&
		    twin->name[0] != '?' && rid_of_name(twin->name) == INV_ANY)
			return twin;
	return NULL;
}

/* "01:00.0", seen in commands until now, is "0000:01:00.0", unless two IOMMUs have one. */
static bool device_rename(struct rebuild *r, const char *from, const char *to,
			  struct machine_device **dev)
{
	struct machine_device **p, **found = NULL;
	unsigned int h = hash_text(to, strlen(to));

	for (p = &r->by_name[hash_text(from, strlen(from))]; *p; p = &(*p)->hash_next) {
		if (strcmp((*p)->name, from))
			continue;
		if (found)
			return false;
		found = p;
	}
	if (!found)
		return false;
	*dev = *found;
	*found = (*dev)->hash_next;
	snprintf((*dev)->name, sizeof((*dev)->name), "%s", to);
	(*dev)->hash_next = r->by_name[h];
	r->by_name[h] = *dev;
	return true;
}

struct machine_device *device_by_name(struct rebuild *r,
					     const struct trace_text *text)
{
	struct machine_device *dev;
	char name[64];

	if (!trace_clean(name, sizeof(name), text->s, text->len)) {
		rebuild_stop(r, "expected a shorter device name");
		return NULL;
	}
	for (dev = r->by_name[hash_text(name, strlen(name))]; dev; dev = dev->hash_next)
		if (!strcmp(dev->name, name))
			return dev;
	if (rid_of_name(name) != INV_ANY && device_rename(r, strchr(name, ':') + 1, name, &dev))
		return dev;
	return device_new(r, name, rid_of_name(name), INV_ANY);
}

struct machine_device *device_anonymous(struct rebuild *r, unsigned int iommu)
{
	char name[64];

	snprintf(name, sizeof(name), "?%u", ++r->next_id);
	return device_new(r, name, INV_ANY, iommu);
}

struct machine_tag *tag_find(struct rebuild *r, unsigned int iommu,
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
		rebuild_stop(r, "expected at most 65536 domains");
		return NULL;
	}
	domain = calloc(1, sizeof(*domain));
	if (!domain) {
		rebuild_stop(r, "out of memory");
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

bool tag_is_emptied(const struct rebuild *r, unsigned int iommu, uint64_t tag)
{
	const struct emptied *e = &r->emptied[hash_tag(iommu, tag)];

	return e->used && e->iommu == iommu && e->tag == tag;
}

void tag_add(struct rebuild *r, struct machine_domain *domain,
		    unsigned int iommu, uint64_t tag)
{
	struct machine_tag *t = calloc(1, sizeof(*t));
	unsigned int h = hash_tag(iommu, tag);

	if (tag_is_emptied(r, iommu, tag))
		r->emptied[h].used = false;

	if (!t) {
		rebuild_stop(r, "out of memory");
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
		unsigned int h = hash_tag(t->iommu, t->tag);

		domain->tags = t->next;
		for (p = &r->by_tag[h]; *p != t;)
			p = &(*p)->hash_next;
		*p = t->hash_next;
		r->emptied[h] = (struct emptied){ true, t->iommu, t->tag };
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

struct machine_domain *domain_of_tag(struct rebuild *r, unsigned int iommu,
					    uint64_t tag)
{
	struct machine_tag *t = tag_find(r, iommu, tag);
	struct machine_domain *domain;

	if (t)
		return t->domain;
	domain = domain_new(r);
	if (domain) {
		/* Until a command says otherwise; S2 tags are told apart. */
		domain->first_stage = r->vendor && r->vendor->first_stage &&
				      !(tag & MACHINE_TAG_S2);
		tag_add(r, domain, iommu, tag);
	}
	return domain;
}

struct machine_attachment *attach(struct rebuild *r,
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
		rebuild_stop(r, "expected at most 65536 attachments at a time");
		return NULL;
	}
	att = calloc(1, sizeof(*att));
	if (!att) {
		rebuild_stop(r, "out of memory");
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
	att->device_next = dev->attachments;
	dev->attachments = att;
	dev->users++;
	device_set_pending(r, dev, false, 0);
	dev->iommu = iommu;
	r->nr_attachments++;
	r->unknown[UNKNOWN_ATTACHMENT] += guessed;
	r->was_attached |= guessed && !r->saw_attach;
	step.domain = domain;
	step.attachment = att;
	rebuild_emit(r, &step);
	return att;
}

void detach(struct rebuild *r, struct machine_attachment *att,
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
	for (p = &att->device->attachments; *p != att;)
		p = &(*p)->device_next;
	*p = att->device_next;
	domain->nr--;
	att->device->users--;
	rebuild_emit(r, &step);
	free(att);
	r->nr_attachments--;
	if (!domain->nr)
		domain_remove(r, domain);
}

struct machine_attachment *find_attachment(struct machine_domain *domain,
						  struct machine_device *dev,
						  uint32_t pasid)
{
	struct machine_attachment *att;

	for (att = dev->attachments; att; att = att->device_next)
		if (att->domain == domain && att->pasid == pasid)
			return att;
	return NULL;
}

struct machine_attachment *find_anonymous(struct machine_domain *domain,
						 unsigned int iommu, uint64_t tag)
{
	struct machine_attachment *att;

	for (att = domain->attachments; att; att = att->next)
		if (att->iommu == iommu && att->tag == tag && !att->pasid &&
		    att->device->rid == INV_ANY)
			return att;
	return NULL;
}

struct machine_attachment *find_device(struct machine_device *dev)
{
	struct machine_attachment *att;

	for (att = dev->attachments; att; att = att->device_next)
		if (!att->pasid)
			return att;
	return NULL;
}

void domain_merge(struct rebuild *r, struct machine_domain *to,
		  struct machine_domain *from)
{
	struct step step = { .kind = STEP_MERGE, .domain = to, .from = from };
	struct machine_attachment **last = &to->attachments;
	struct machine_tag **tags = &to->tags;
	struct machine_attachment *att;
	struct machine_tag *t;

	rebuild_emit(r, &step);
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

bool tag_has_users(const struct machine_domain *domain, unsigned int iommu,
			  uint64_t tag, uint32_t pasid)
{
	const struct machine_attachment *att;

	for (att = domain->attachments; att; att = att->next)
		if (att->iommu == iommu && att->tag == tag && att->pasid == pasid)
			return true;
	return false;
}

void machine_clear(struct rebuild *r)
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
	memset(r->by_rid, 0, sizeof(r->by_rid));
	memset(r->emptied, 0, sizeof(r->emptied));
	r->pending = NULL;
	r->nr_devices = 0;
	r->nr_attachments = 0;
	r->lazy.nr = 0;
	r->lazy_line = 0;
	r->saw_strict = r->saw_lazy = false;
	r->newest_ns = 0;
	r->saw_attach = r->was_attached = false;
	r->saw_tags = false;
	m->lost = false;
	m->nests = false;
	m->caches_absent = false;
	m->nr_iommus = 0;
}
