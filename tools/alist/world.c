// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running the rebuilt machine.
 *
 * The log tells late what must be known early: whether a device uses ATS at its
 * first ATC command, for which domain something was mapped when it is unmapped. So
 * nothing is built before a step needs it. Attachments get into the driver's list
 * with the first flush or detach of their domain, mappings into its page table just
 * before they are unmapped; the log has told all about them by then. When it tells
 * more later (flushes on map, another stage, a queue depth), what was built on the
 * old belief is taken down and built again, and what that sends is not counted.
 *
 * Before an unmap every device of the domain does DMA to what is unmapped, so that
 * IOTLB and ATC hold it; afterwards it does so again, and then every cache is
 * looked at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/driver.h"

#include "mappings.h"
#include "shim.h"
#include "world.h"

#define MAPPINGS_MAX	(3u << 14)		/* 4.5 MiB */
#define LEVELS		5		/* 57 bits */
#define PAGE		MODEL_PAGE_SIZE
/* Of a range that was not seen mapped, this much is, at either end. */
#define GAP_MAX		(UINT64_C(2) << 20)
/* Of one mapping with small leaves, no more than this is put in the tables. */
#define SMALL_MAX	(UINT64_C(16) << 30)
#define LARGE_LEAF	(UINT64_C(2) << 20)
/* Addresses that DMA goes to for one flush, and DMA in all. */
#define PROBES_MAX	64
#define DMA_MAX		4096
/* So many attachments are looked at in the time of a flush. */
#define LOOK_ATTACHED	32
/*
 * The first flushes are all looked after, of more every so many'th; for the others DMA
 * goes to few addresses.
 */
#define LOOK_ALWAYS	4096
#define LOOK_EVERY	64
#define PROBES_FEW	8
/* What so many attachments leave is freed before there is more of it. */
#define FREE_EVERY	256

struct world_iommu {
	struct world *world;
	unsigned int index;
	struct model_iommu *hw;
	struct iommu_device *iommu;
	uint32_t next_rid;
	unsigned long faults;		/* those that were told */
};

struct world_device {
	struct device *device;
	struct world_iommu *iommu;
};

struct world_domain {
	struct domain *domain;
	bool first_stage;
	/* The log's tag, and the driver got another one. */
	bool tag_taken;
};

struct world {
	unsigned int spread;
	unsigned int nr_devices;	/* ever, for the spread */
	bool caching;			/* what the IOMMUs were built with */
	enum model_vendor vendor;
	unsigned int nr_iommus;		/* one more than the largest index in use */
	struct world_iommu *iommus[INV_IOMMUS_MAX];
	struct mappings *mappings;
	struct burst *log;		/* where commands go; NULL: nowhere */
	bool failed;
	struct burst attach, sent;
	uint64_t probes[PROBES_MAX];
	size_t nr_probes;
	unsigned long stale;
	unsigned long faults;
	unsigned long nr_attached, nr_detached, unlooked, steps;
	bool look;			/* at all caches, after this step */
};

static void on_command(struct model_iommu *hw, enum model_class class,
		       const uint64_t *words, void *arg)
{
	struct world_iommu *wi = arg;
	struct world *w = wi->world;
	struct command cmd = { .iommu = wi->index, .n = 1 };

	(void)hw;
	if (!w->log)
		return;
	if (class == MODEL_SYNC) {
		burst_sync(w->log, wi->index);
		return;
	}
	if (class != MODEL_IOTLB && class != MODEL_ATC)
		return;
	memcpy(cmd.words, words, model_cmd_words(w->vendor) * sizeof(*words));
	cmd.inv = inv_decode(w->vendor, cmd.words);
	if (burst_add(w->log, &cmd))
		w->failed = true;
}

struct world *world_create(unsigned int iommus)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->spread = iommus;
	w->vendor = MODEL_VENDORS;
	w->mappings = mappings_create(MAPPINGS_MAX);
	if (!w->mappings) {
		free(w);
		return NULL;
	}
	return w;
}

static struct world_iommu *iommu_get(struct world *w, unsigned int index)
{
	struct world_iommu *wi = w->iommus[index];
	const struct model_config config = {
		.vendor = w->vendor,
		.caches_absent = w->caching,
	};

	if (wi)
		return wi;
	wi = calloc(1, sizeof(*wi));
	if (!wi)
		return NULL;
	wi->world = w;
	wi->index = index;
	wi->next_rid = 0xffff;
	wi->hw = model_iommu_create(&config);
	if (!wi->hw)
		goto err_free;
	model_set_log(wi->hw, on_command, wi);
	wi->iommu = iommu_probe(wi->hw, w->caching);
	if (!wi->iommu)
		goto err_hw;
	w->iommus[index] = wi;
	if (index >= w->nr_iommus)
		w->nr_iommus = index + 1;
	return wi;

err_hw:
	model_iommu_destroy(wi->hw);
err_free:
	free(wi);
	return NULL;
}

/* Takes a device out of the driver; whatever it is attached to, quietly. */
static void device_drop(struct world *w, struct machine_device *md)
{
	struct world_device *wd = md->priv;
	struct burst *log = w->log;

	if (!wd)
		return;
	w->log = NULL;
	device_remove(wd->device);
	w->log = log;
	free(wd);
	md->priv = NULL;
}

static void domain_drop(struct world *w, struct machine_domain *md)
{
	struct world_domain *wd = md->priv;
	struct machine_attachment *att;

	for (att = md->attachments; att; att = att->next) {
		w->nr_attached -= att->priv != NULL;
		att->priv = NULL;
	}
	if (!wd)
		return;
	domain_free(wd->domain);
	free(wd);
	md->priv = NULL;
}

/* Takes everything down; the machine stays, and is built again as needed. */
static void take_down(struct world *w, struct machine *m)
{
	struct machine_device *dev;
	struct machine_domain *domain;
	unsigned int i;

	for (dev = m->devices; dev; dev = dev->next)
		device_drop(w, dev);
	for (domain = m->domains; domain; domain = domain->next)
		domain_drop(w, domain);
	for (i = 0; i < w->nr_iommus; i++) {
		if (!w->iommus[i])
			continue;
		iommu_remove(w->iommus[i]->iommu);
		model_iommu_destroy(w->iommus[i]->hw);
		free(w->iommus[i]);
		w->iommus[i] = NULL;
	}
	w->nr_iommus = 0;
	w->nr_attached = 0;
}

void world_destroy(struct world *w, struct machine *m)
{
	if (!w)
		return;
	if (m)
		take_down(w, m);
	mappings_destroy(w->mappings);
	burst_free(&w->attach);
	burst_free(&w->sent);
	free(w);
}

struct model_iommu *world_hardware(struct world *w, unsigned int iommu)
{
	return w->iommus[iommu] ? w->iommus[iommu]->hw : NULL;
}

/* A requester id that no device of the log has. */
static uint32_t unused_rid(struct machine *m, struct world_iommu *wi)
{
	struct machine_device *dev;
	uint32_t rid;

again:
	rid = wi->next_rid--;
	for (dev = m->devices; dev; dev = dev->next)
		if (dev->rid == rid)
			goto again;
	return rid;
}

static struct world_device *device_get(struct world *w, struct machine *m,
				       struct machine_device *md)
{
	struct world_device *wd = md->priv;
	uint32_t rid = md->rid;

	if (wd)
		return wd;
	wd = calloc(1, sizeof(*wd));
	if (!wd)
		return NULL;
	wd->iommu = iommu_get(w, w->spread ? w->nr_devices++ % w->spread :
					     md->iommu == INV_ANY ? 0 : md->iommu);
	if (wd->iommu && rid != INV_ANY)
		wd->device = device_probe(wd->iommu->iommu, rid, true);
	/* No id, or one that another device of the IOMMU has. */
	if (wd->iommu && !wd->device)
		wd->device = device_probe(wd->iommu->iommu,
					  unused_rid(m, wd->iommu), true);
	if (!wd->device) {
		free(wd);
		return NULL;
	}
	md->priv = wd;
	return wd;
}

static uint8_t queue_depth(const struct machine_device *md)
{
	/* VT-d encodes 32 as 0. */
	return md->qdep ? md->qdep : 32;
}

/* Memory is freed by a thread, which may get no CPU for a while. */
static void detached(struct world *w, struct machine_attachment *att)
{
	att->priv = NULL;
	w->nr_attached--;
	if (++w->nr_detached % FREE_EVERY == 0)
		shim_rcu_barrier();
}

static void undo_attach(struct world *w, struct machine_attachment *att)
{
	struct world_device *wd = att->device->priv;
	struct burst *log = w->log;

	if (!att->priv)
		return;
	w->log = NULL;
	domain_detach(wd->device, att->pasid ? att->pasid : IOMMU_NO_PASID);
	w->log = log;
	detached(w, att);
}

static bool tag_got(const struct world *w, struct machine_attachment *att)
{
	struct world_domain *wdom = att->domain->priv;
	struct world_device *wd = att->device->priv;
	u64 tag;

	if (w->vendor == MODEL_SMMUV3)
		return wdom->domain->tag == (uint32_t)att->tag;
	if (iommu_attach_find_tag(&wdom->domain->alist, wd->device->iommu, &tag))
		return false;
	return (tag & 0xffff) == (uint32_t)att->tag;
}

/* Puts an attachment on its domain's list, unless it is there. */
static int attach_one(struct world *w, struct machine *m,
		      struct machine_attachment *att)
{
	struct world_domain *wdom = att->domain->priv;
	struct machine_device *md = att->device;
	struct world_device *wd = device_get(w, m, md);
	uint32_t pasid = att->pasid ? att->pasid : IOMMU_NO_PASID;
	int ret;

	if (!wd)
		return -1;
	/* The depth is in the list's elements: those attached have the old one. */
	if (md->ats && wd->device->ats_qdep != queue_depth(md)) {
		struct machine_domain *domain;
		struct machine_attachment *other;

		for (domain = m->domains; domain; domain = domain->next)
			for (other = domain->attachments; other; other = other->next)
				if (other->device == md)
					undo_attach(w, other);
		wd->device->ats_qdep = queue_depth(md);
	}
	if (!att->priv) {
		wdom->domain->wish_tag = (uint32_t)att->tag;
		ret = domain_attach(wdom->domain, wd->device, pasid);
		/* That one, and all above it, are taken. */
		if (ret == -ENOSPC) {
			wdom->domain->wish_tag = 0;
			ret = domain_attach(wdom->domain, wd->device, pasid);
		}
		if (ret)
			return -1;
		att->priv = wd;
		w->nr_attached++;
		if (!tag_got(w, att))
			wdom->tag_taken = true;
	}
	if (md->ats && !wd->device->ats && device_ats_enable(wd->device))
		return -1;
	return 0;
}

/* The domain with everybody on its list. */
static struct world_domain *domain_get(struct world *w, struct machine *m,
				       struct machine_domain *md)
{
	struct world_domain *wd = md->priv;
	struct machine_attachment *att;

	if (wd && wd->first_stage != md->first_stage) {
		for (att = md->attachments; att; att = att->next)
			undo_attach(w, att);
		domain_drop(w, md);
		wd = NULL;
	}
	if (!wd) {
		wd = calloc(1, sizeof(*wd));
		if (!wd)
			return NULL;
		wd->domain = domain_alloc(driver_of(w->vendor), LEVELS,
					  md->first_stage, NULL);
		if (!wd->domain) {
			free(wd);
			return NULL;
		}
		wd->first_stage = md->first_stage;
		md->priv = wd;
	}
	w->log = &w->attach;
	for (att = md->attachments; att; att = att->next)
		if (attach_one(w, m, att))
			break;
	w->log = NULL;
	return att ? NULL : wd;
}

/*
 * DMA
 */

static void probe_at(struct world *w, uint64_t iova)
{
	/* The first page of a range is its last one, too. */
	if (w->nr_probes && w->probes[w->nr_probes - 1] == iova)
		return;
	if (w->nr_probes < PROBES_MAX)
		w->probes[w->nr_probes++] = iova;
	else
		w->probes[PROBES_MAX - 1] = iova;
}

/* Every device of the domain goes to the probed addresses, or to some of them all over. */
static void probe(struct world *w, struct machine_domain *md)
{
	size_t each = md->nr ? DMA_MAX / md->nr : 0;
	struct machine_attachment *att;
	struct model_access access;
	size_t i;

	if (w->steps > LOOK_ALWAYS && !w->look && each > PROBES_FEW)
		each = PROBES_FEW;
	if (each < 1)
		each = 1;
	if (each > w->nr_probes)
		each = w->nr_probes;
	for (att = md->attachments; att; att = att->next) {
		struct world_device *wd = att->priv;

		for (i = 0; i < each; i++)
			w->stale += !model_dma(wd->device->hw,
					       att->pasid ? att->pasid : MODEL_NO_PASID,
					       w->probes[i * w->nr_probes / each], false,
					       &access);
	}
}

/*
 * Every cache is looked at after each flush, as long as there are few. What
 * is stale stays so: a large machine is looked at less often, so that a log takes time in
 * proportion to its length; the devices of the domain have been to what was unmapped
 * anyway.
 */
static bool time_to_look(struct world *w, const struct step *step)
{
	unsigned long every = w->nr_attached / LOOK_ATTACHED;

	if (step->kind == STEP_MAP || step->kind == STEP_ALONE)
		return false;
	if (++w->steps > LOOK_ALWAYS && every < LOOK_EVERY)
		every = LOOK_EVERY;
	if (++w->unlooked < every)
		return false;
	w->unlooked = 0;
	return true;
}

static void look_at_caches(struct world *w)
{
	struct model_fault_record fault;
	unsigned long faults;
	unsigned int i;

	for (i = 0; i < w->nr_iommus; i++) {
		if (!w->iommus[i])
			continue;
		w->stale += model_stale_entries(w->iommus[i]->hw);
		faults = model_faults(w->iommus[i]->hw, &fault);
		w->faults += faults - w->iommus[i]->faults;
		w->iommus[i]->faults = faults;
	}
}

/*
 * Mappings
 */

static bool is_mapped(struct world_domain *wd, uint64_t iova)
{
	uint64_t paddr;
	bool writable;

	return model_pt_lookup(wd->domain->pt, iova, &paddr, &writable);
}

/*
 * Into the page table, as domain_map() does; but a scatter list is flushed once, and
 * what was mapped before is not flushed again.
 */
static int map(struct world *w, struct world_domain *wd, uint64_t iova,
	       uint64_t paddr, uint64_t size)
{
	int ret;

	if (((iova ^ paddr) & (LARGE_LEAF - 1)) && size > SMALL_MAX)
		size = SMALL_MAX;
	pthread_mutex_lock(&wd->domain->lock);
	ret = model_pt_map(wd->domain->pt, iova, paddr, size, true);
	pthread_mutex_unlock(&wd->domain->lock);
	if (ret == -ENOMEM)
		w->failed = true;
	if (!ret) {
		probe_at(w, iova);
		probe_at(w, iova + size - PAGE);
	}
	return ret;
}

/*
 * Maps [iova, last] of which the log has shown no mapping, with pages of 4 KiB. What
 * is mapped already was when the log showed a flush on map.
 */
static unsigned long map_gap(struct world *w, struct world_domain *wd,
			     uint64_t iova, uint64_t last)
{
	unsigned long unknown = 0;
	uint64_t at = iova;

	for (;;) {
		if (is_mapped(wd, at))
			probe_at(w, at);
		else if (!map(w, wd, at, at ^ PAGE, PAGE))
			unknown = 1;
		if (last - at < PAGE)
			break;
		at += PAGE;
		if (last - iova > GAP_MAX && at - iova >= GAP_MAX / 2 &&
		    last - at > GAP_MAX / 2)
			at = (last & ~(PAGE - 1)) - GAP_MAX / 2;
	}
	return unknown;
}

/*
 * Sees to it that the range is mapped as the log says. @keep: it is still to be
 * unmapped, perhaps after the domain was emptied.
 */
static void map_range(struct world *w, struct world_domain *wd,
		      struct machine_range range, bool keep,
		      struct world_result *result)
{
	uint64_t last = range.iova + (range.size - 1);
	uint64_t at = range.iova;
	struct mapping piece;

	while (mappings_take(w->mappings, at, last - at + 1, &piece)) {
		if (piece.iova > at)
			result->unmapped += map_gap(w, wd, at, piece.iova - 1);
		if (((piece.iova ^ piece.paddr) & (LARGE_LEAF - 1)) == 0 &&
		    piece.size >= LARGE_LEAF)
			result->facts.unknown_leaf = true;
		if (is_mapped(wd, piece.iova))
			probe_at(w, piece.iova);
		else if (map(w, wd, piece.iova, piece.paddr, piece.size))
			result->unmapped += map_gap(w, wd, piece.iova,
						    piece.iova + (piece.size - 1));
		if (keep && mappings_add(w->mappings, &piece))
			w->failed = true;
		if (piece.iova + (piece.size - 1) == last)
			return;
		at = piece.iova + piece.size;
	}
	result->unmapped += map_gap(w, wd, at, last);
}

/* Absent translations may be cached: the driver flushes what is mapped now. */
static void flush_mapped(struct world_domain *wd, const struct machine_range *range)
{
	const struct flush_range flush = {
		.first = range->iova,
		.last = range->iova + (range->size - 1),
		.tables = true,
		.map = true,
	};

	wd->domain->driver->flush(wd->domain, &flush);
}

/*
 * Steps
 */

static int step_unmap(struct world *w, struct machine *m, const struct step *step,
		      struct world_result *result)
{
	struct world_domain *wd = domain_get(w, m, step->domain);
	struct gather gather = { 0 };
	size_t i;
	int ret;

	if (!wd)
		return -1;
	for (i = 0; i < step->nr_ranges; i++) {
		map_range(w, wd, step->ranges[i], false, result);
		if (w->caching)
			flush_mapped(wd, &step->ranges[i]);
	}
	probe(w, step->domain);

	w->log = &w->sent;
	for (i = 0; i < step->nr_ranges; i++) {
		ret = domain_unmap(wd->domain, step->ranges[i].iova,
				   step->ranges[i].size, &gather);
		if (ret == -ENOMEM)
			return -1;
		/* Part of a large leaf: not what the kernel had there. */
		result->unmapped += ret != 0;
	}
	if (step->lazy)
		domain_sync_all(wd->domain, &gather);
	else
		domain_sync(wd->domain, &gather);
	w->log = NULL;
	probe(w, step->domain);
	return 0;
}

static int step_map(struct world *w, struct machine *m, const struct step *step,
		    struct world_result *result)
{
	struct world_domain *wd = domain_get(w, m, step->domain);
	const struct machine_range *range = &step->ranges[0];
	uint64_t last = range->iova + (range->size - 1);
	struct gather gather = { 0 };

	if (!wd)
		return -1;
	/* Mapped twice: the unmap between was not seen. */
	if (is_mapped(wd, range->iova)) {
		domain_unmap(wd->domain, range->iova, range->size, &gather);
		domain_sync(wd->domain, &gather);
	}
	probe_at(w, range->iova);
	probe_at(w, last & ~(PAGE - 1));
	probe(w, step->domain);
	map_range(w, wd, *range, true, result);
	w->log = &w->sent;
	flush_mapped(wd, range);
	w->log = NULL;
	probe(w, step->domain);
	return 0;
}

/* No page table is known to have changed: the driver is told what to flush. */
static int step_other(struct world *w, struct machine *m, const struct step *step)
{
	struct world_domain *wd = domain_get(w, m, step->domain);
	struct flush_range range = { .first = UINT64_MAX };
	size_t i;

	if (!wd)
		return -1;
	for (i = 0; i < step->burst->nr; i++) {
		const struct inv *inv = &step->burst->cmds[i].inv;

		if (inv->first < range.first)
			range.first = inv->first;
		if (inv->last > range.last)
			range.last = inv->last;
		range.tables |= inv->class == MODEL_IOTLB && !inv->keeps_walks;
	}
	w->log = &w->sent;
	wd->domain->driver->flush(wd->domain, &range);
	w->log = NULL;
	return 0;
}

static bool names_device(const struct burst *burst, uint32_t rid)
{
	size_t i;

	for (i = 0; burst && i < burst->nr; i++)
		if (burst->cmds[i].inv.class == MODEL_ATC &&
		    burst->cmds[i].inv.rid == rid)
			return true;
	return false;
}

static int step_detach(struct world *w, struct machine *m, const struct step *step,
		       struct world_result *result)
{
	struct machine_attachment *att = step->attachment, *other;
	struct world_domain *wdom = step->domain->priv;
	struct world_device *wd;
	int ret;

	/* It is on the list, and no more one of those that domain_get() takes off. */
	if (wdom && wdom->first_stage != step->domain->first_stage)
		undo_attach(w, att);
	wdom = domain_get(w, m, step->domain);
	if (!wdom)
		return -1;
	w->log = &w->attach;
	ret = attach_one(w, m, att);
	w->log = NULL;
	if (ret)
		return -1;
	wd = att->device->priv;
	for (other = step->domain->attachments; other; other = other->next)
		if (other->iommu == att->iommu &&
		    (!wdom->first_stage || other->pasid == att->pasid))
			result->facts.tag_in_use = true;
	/*
	 * Where the driver does not empty the ATC it had ATS switched off before, and
	 * the log has nothing to compare that with.
	 */
	if (wd->device->ats && !att->device->users &&
	    !names_device(step->burst, att->device->rid))
		device_ats_disable(wd->device);
	w->log = &w->sent;
	domain_detach(wd->device, att->pasid ? att->pasid : IOMMU_NO_PASID);
	w->log = NULL;
	detached(w, att);
	if (!step->domain->nr)
		domain_drop(w, step->domain);
	return 0;
}

int world_step(struct world *w, struct machine *m, const struct step *step,
	       struct world_result *result)
{
	bool guessed = step->attachment && step->attachment->guessed;
	struct machine_attachment *att;
	int ret = 0;

	memset(result, 0, sizeof(*result));
	burst_clear(&w->attach);
	burst_clear(&w->sent);
	w->nr_probes = 0;
	w->look = time_to_look(w, step);
	w->stale = 0;
	w->faults = 0;
	if (m->caches_absent != w->caching || m->vendor != w->vendor) {
		if (step->attachment)
			undo_attach(w, step->attachment);
		take_down(w, m);
		w->caching = m->caches_absent;
		w->vendor = m->vendor;
	}
	result->facts.vendor = m->vendor;
	result->facts.kind = step->kind;
	result->facts.lost = m->lost || step->cut;
	result->facts.nest = m->nests;
	if (step->kind == STEP_UNMAP_FLUSH && !step->lazy && step->nr_ranges == 1)
		result->facts.range = step->ranges;

	switch (step->kind) {
	case STEP_RUN:
	case STEP_END:
		look_at_caches(w);
		take_down(w, m);
		mappings_clear(w->mappings);
		w->nr_devices = 0;
		break;
	case STEP_MAP:
		ret = mappings_add(w->mappings, &(struct mapping){
			step->iova, step->paddr, step->size });
		break;
	case STEP_UNMAP_FLUSH:
		ret = step_unmap(w, m, step, result);
		break;
	case STEP_MAP_FLUSH:
		ret = step_map(w, m, step, result);
		break;
	case STEP_OTHER_FLUSH:
		ret = step_other(w, m, step);
		break;
	case STEP_ATTACH:
		/* Flushes at attach are compared when they happen. */
		if (step->burst && step->burst->nr)
			ret = domain_get(w, m, step->domain) ? 0 : -1;
		break;
	case STEP_DETACH:
		ret = step_detach(w, m, step, result);
		break;
	case STEP_FORGET:
		undo_attach(w, step->attachment);
		if (!step->domain->nr)
			domain_drop(w, step->domain);
		break;
	case STEP_MERGE:
		for (att = step->from->attachments; att; att = att->next)
			undo_attach(w, att);
		domain_drop(w, step->from);
		break;
	case STEP_RETIRE:
	case STEP_MISSING:
	case STEP_ALONE:
	case STEP_KINDS:
		break;
	}
	w->log = NULL;
	if (step->domain) {
		struct world_domain *wdom = step->domain->priv;

		result->facts.tag_taken = wdom && wdom->tag_taken;
		result->facts.unknown_members = guessed;
		for (att = step->domain->attachments; att; att = att->next)
			result->facts.unknown_members |= att->guessed;
	}
	if (w->look)
		look_at_caches(w);
	result->facts.unknown_mapping = result->unmapped ||
					step->kind == STEP_OTHER_FLUSH;
	result->attach = w->attach;
	result->sent = w->sent;
	result->stale = w->stale;
	result->faults = w->faults;
	return ret || w->failed ? -1 : 0;
}
