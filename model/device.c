// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device side: context entries, DMA through the caches, what commands
 * empty, and the oracle.
 *
 * Each context entry exists twice: as it is in memory, where the driver writes
 * it, and as the IOMMU cached it. Translations are made with the cached one.
 * What memory gives, its context entries and tables, is the truth that the
 * oracle compares with:
 *
 *   from an ATC or the IOTLB   stale if memory gives another translation
 *   by a walk                  stale if it entered a freed table, or started at
 *                              a table that memory does not have at that place
 *   by a context entry         stale if memory has another
 *
 * A walk is judged by the tables it went through, not by its result: a driver
 * that maps a page during the walk does nothing wrong.
 *
 * A walk and the fill after it happen under the IOMMU's lock, and so do
 * invalidations: a command never completes with a walk in flight, as the
 * specifications demand. The S1 table is read at its addresses in the host, not
 * through the S2, and the walk cache has the S1 part of a nested walk only. The S2
 * part is cached in the IOTLB, as an entry of S2: for the guest's address, under the
 * tag that S2 entries have, which is the nest's own where there is no other
 * (VT-d 6.2.5, AMD 2.4.3, SMMUv3 and RISC-V: by the VMID or GSCID). So an entry of S2
 * may be there though no device is attached to the S2 table itself.
 */
#include "iommu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Context entries.
 */

static struct model_dev **dev_bucket(struct model_iommu *iommu, uint32_t rid)
{
	return &iommu->devs[rid % DEV_BUCKETS];
}

static struct model_dev *find_dev(struct model_iommu *iommu, uint32_t rid)
{
	struct model_dev *dev = *dev_bucket(iommu, rid);

	while (dev && dev->rid != rid)
		dev = dev->next;
	return dev;
}

/* The entry of a (device, PASID), a blocked one if it was never written. */
static struct context *get_context(struct model_dev *dev, uint32_t pasid)
{
	struct context **bucket = &dev->contexts[pasid % CONTEXT_BUCKETS];
	struct context *context = *bucket;

	while (context && context->pasid != pasid)
		context = context->next;
	if (context)
		return context;
	context = calloc(1, sizeof(*context));
	/* Stands for memory that a driver allocated: it cannot be missing. */
	if (!context)
		abort();
	context->pasid = pasid;
	context->next = *bucket;
	*bucket = context;
	return context;
}

static bool same_context(const struct hw_context *a, const struct hw_context *b)
{
	return a->mode == b->mode && a->tag == b->tag && a->vm_tag == b->vm_tag &&
	       a->no_ats == b->no_ats && a->marks_dirty == b->marks_dirty &&
	       pt_same(&a->s1.top, &b->s1.top) &&
	       pt_same(&a->s2.top, &b->s2.top);
}

static bool same_dir(const struct hw_dir *a, const struct hw_dir *b)
{
	return a->present == b->present && a->legacy == b->legacy &&
	       !memcmp(a->word, b->word, sizeof(a->word));
}

/*
 * With a guest's memory, reads the entry as it is there now, and as the IOMMU gets it
 * if it has to fetch it.
 */
static void load_context(struct model_dev *dev, struct context *context)
{
	struct model_iommu *iommu = dev->iommu;
	struct hw_dir now;

	if (!iommu->guest) {
		if (!context->is_cached)
			context->fetched = context->memory;
		return;
	}
	now = iommu->guest->read_dir(iommu, dev->rid);
	context->memory = iommu->guest->read_context(iommu, &now, context->pasid);
	if (!dev->dir_is_cached) {
		dev->dir = now;
		dev->dir_is_cached = now.present;
	}
	context->fetched = same_dir(&dev->dir, &now) ? context->memory :
		iommu->guest->read_context(iommu, &dev->dir, context->pasid);
}

static bool uses_s1(const struct hw_context *hw)
{
	return hw->mode == MODEL_S1 || hw->mode == MODEL_NESTED;
}

/* An entry without the fields that its mode does not use: they are not compared. */
static struct hw_context meaning_of(const struct hw_context *written)
{
	struct hw_context hw = { .mode = written->mode };

	if (hw.mode == MODEL_BLOCKED)
		return hw;
	hw.no_ats = written->no_ats;
	hw.tag = written->tag;
	hw.vm_tag = written->vm_tag;
	if (uses_s1(&hw))
		hw.s1 = written->s1;
	if (hw.mode != MODEL_S1)
		hw.s2 = written->s2;
	return hw;
}

static void copy_word(struct hw_context *to, const struct hw_context *from,
		      enum model_context_word word)
{
	switch (word) {
	case MODEL_WORD_MODE:
		to->mode = from->mode;
		to->no_ats = from->no_ats;
		break;
	case MODEL_WORD_TAGS:
		to->tag = from->tag;
		to->vm_tag = from->vm_tag;
		break;
	case MODEL_WORD_S1:
		to->s1 = from->s1;
		break;
	case MODEL_WORD_S2:
		to->s2 = from->s2;
		break;
	default:
		break;
	}
}

/*
 * Reads a context entry as the hardware does. An invalidation of it waits for a fetch
 * under way; here, the fetch begins again. Without one, what is read after the word with
 * the mode is what there was at that time, or the driver has torn the entry.
 * iommu->lock is dropped for the callback.
 */
static struct hw_context fetch_context(struct model_dev *dev, struct context *context,
				       bool *torn)
{
	struct model_iommu *iommu = dev->iommu;
	struct hw_context read = { 0 }, then = { 0 };
	unsigned long invalidated;
	unsigned int word;

	*torn = false;
	if (!iommu->fetch)
		return context->fetched;
	do {
		invalidated = context->invalidated;
		for (word = 0; word < MODEL_CONTEXT_WORDS; word++) {
			model_fetch_fn fetch = iommu->fetch;
			void *arg = iommu->fetch_arg;

			pthread_mutex_unlock(&iommu->lock);
			if (fetch)
				fetch(dev, context->pasid, (enum model_context_word)word, arg);
			pthread_mutex_lock(&iommu->lock);
			copy_word(&read, &context->written, (enum model_context_word)word);
			if (word == MODEL_WORD_MODE)
				then = context->memory;
		}
	} while (invalidated != context->invalidated);
	read = meaning_of(&read);
	*torn = !same_context(&read, &then);
	return read;
}

static void for_each_context(struct model_iommu *iommu,
			     void (*fn)(struct context *context, void *arg),
			     void *arg)
{
	struct context *context;
	struct model_dev *dev;
	unsigned int i, j;

	for (i = 0; i < DEV_BUCKETS; i++)
		for (dev = iommu->devs[i]; dev; dev = dev->next)
			for (j = 0; j < CONTEXT_BUCKETS; j++)
				for (context = dev->contexts[j]; context;
				     context = context->next)
					fn(context, arg);
}

/*
 * Walks and cache keys.
 */

static bool rid_is_pasid_0(const struct model_iommu *iommu)
{
	return iommu->guest && iommu->guest->rid_is_pasid_0;
}

static struct cache_key iotlb_key(const struct model_iommu *iommu,
				  const struct hw_context *hw, uint32_t pasid)
{
	struct cache_key key = {
		.kind = hw->mode,
		.tag = hw->tag,
		.vm_tag = hw->vm_tag,
		.pasid = MODEL_NO_PASID,
	};

	if (iommu->ops->iotlb_by_pasid && uses_s1(hw) &&
	    !(!pasid && rid_is_pasid_0(iommu)))
		key.pasid = pasid;
	return key;
}

/* What the S2 part of a nested walk is made with: as if there was no S1. */
static struct hw_context s2_of(const struct model_iommu *iommu,
			       const struct hw_context *hw)
{
	return (struct hw_context){
		.mode = MODEL_S2,
		.tag = iommu->ops->s2_by_vm_tag ? 0 : hw->tag,
		.vm_tag = hw->vm_tag,
		.s2 = hw->s2,
	};
}

static struct pt_walk combine_with(struct pt_walk s1, struct pt_walk s2)
{
	s2.last = s1.last;
	s2.writable &= s1.writable;
	if (s1.size < s2.size)
		s2.size = s1.size;
	return s2;
}

static struct pt_walk combine(const struct hw_context *hw, struct pt_walk s1)
{
	if (hw->mode != MODEL_NESTED || !s1.present)
		return s1;
	return combine_with(s1, pt_walk(&hw->s2, s1.paddr));
}

/* What the tables of a context entry give. */
static struct pt_walk walk_tables(const struct hw_context *hw, uint64_t iova)
{
	static const struct pt_root none;

	switch (hw->mode) {
	case MODEL_S1:
	case MODEL_NESTED:
		return combine(hw, pt_walk(&hw->s1, iova));
	case MODEL_S2:
		return pt_walk(&hw->s2, iova);
	default:
		return pt_walk(&none, iova);
	}
}

/* Does the walk give the same for its address, which is @done behind the first? */
static bool agrees(const struct cache_entry *entry, const struct pt_walk *walk,
		   uint64_t done)
{
	if (walk->present != entry->present)
		return false;
	return !walk->present || (walk->writable == entry->writable &&
				  walk->paddr == entry->paddr + done);
}

/* Is the whole of a cached translation what @hw gives? */
static bool entry_is_current(const struct cache_entry *entry,
			     const struct hw_context *hw)
{
	uint64_t done = 0;

	while (done < entry->key.size) {
		struct pt_walk now = walk_tables(hw, entry->key.page + done);

		if (!agrees(entry, &now, done))
			return false;
		done += now.size - (entry->key.page + done) % now.size;
	}
	return true;
}

static bool address_is_current(const struct cache_entry *entry,
			       const struct hw_context *hw, uint64_t iova)
{
	struct pt_walk now = walk_tables(hw, iova);

	return agrees(entry, &now, iova - entry->key.page);
}

/*
 * DMA.
 */

static struct cache_entry to_entry(struct cache_key key,
				   const struct pt_walk *walk, uint64_t iova)
{
	key.size = walk->size;
	key.page = iova & ~(walk->size - 1);
	return (struct cache_entry){
		.key = key,
		.present = walk->present,
		.writable = walk->writable,
		.paddr = walk->paddr & ~(walk->size - 1),
	};
}

/* The S2 part of a nested walk, from the IOTLB if that knows it. */
static struct pt_walk walk_s2(struct model_iommu *iommu, const struct context *context,
			      const struct hw_context *hw, uint64_t addr, bool *stale)
{
	struct hw_context s2 = s2_of(iommu, hw), memory = s2_of(iommu, &context->memory);
	struct cache_key key = iotlb_key(iommu, &s2, MODEL_NO_PASID);
	const struct cache_entry *found = cache_lookup(&iommu->iotlb, key, addr);
	struct cache_entry entry;
	struct pt_walk walk;

	if (found) {
		*stale |= !address_is_current(found, &memory, addr);
		return (struct pt_walk){
			.present = found->present,
			.writable = found->writable,
			.paddr = found->paddr + (addr - found->key.page),
			.size = found->key.size,
		};
	}
	walk = pt_walk(&s2.s2, addr);
	if (walk.present) {
		entry = to_entry(key, &walk, addr);
		cache_insert(&iommu->iotlb, &entry);
	}
	return walk;
}

/* A walk, from the walk cache if that knows the place. */
static struct cache_entry walk_and_fill(struct model_iommu *iommu,
					const struct context *context,
					const struct hw_context *hw,
					uint64_t iova, bool *stale)
{
	struct cache_key key = iotlb_key(iommu, hw, context->pasid);
	struct cache_key walk_key = key;
	const struct cache_entry *cached;
	struct cache_entry entry;
	struct pt_walk walk;

	walk_key.size = PT_TABLE_SPAN;
	walk_key.page = iova & ~(PT_TABLE_SPAN - 1);
	cached = cache_find(&iommu->walks, &walk_key);
	if (cached) {
		struct pt_walk now = walk_tables(&context->memory, iova);

		walk = pt_walk_last(&cached->table, iova);
		*stale |= !pt_same(&now.last, &walk.last);
	} else {
		walk = pt_walk(hw->mode == MODEL_S2 ? &hw->s2 : &hw->s1, iova);
		if (pt_exists(&walk.last))
			cache_insert(&iommu->walks, &(struct cache_entry){
				.key = walk_key,
				.present = true,
				.table = walk.last,
			});
	}
	*stale |= walk.freed;
	if (hw->mode == MODEL_NESTED && walk.present) {
		walk = combine_with(walk, walk_s2(iommu, context, hw, walk.paddr, stale));
		*stale |= walk.freed;
	}
	entry = to_entry(key, &walk, iova);
	/* Absent translations of S1 are never cached (VT-d 6.1, caching mode). */
	if (walk.present || (iommu->caches_absent && key.kind == MODEL_S2))
		cache_insert(&iommu->iotlb, &entry);
	return entry;
}

/* What the IOMMU answers to a request, or to a translation request. */
static struct cache_entry translate(struct model_dev *dev, struct context *context,
				    uint64_t iova, struct model_access *access)
{
	struct model_iommu *iommu = dev->iommu;
	const struct hw_context *hw = &context->cached;
	const struct cache_entry *found;
	struct hw_context fetched;

	access->source = MODEL_FROM_WALK;
	if (!context->is_cached) {
		fetched = fetch_context(dev, context, &access->torn);
		hw = &fetched;
		if (hw->mode != MODEL_BLOCKED || iommu->caches_absent) {
			context->cached = fetched;
			context->is_cached = true;
		}
	}
	access->stale = !same_context(hw, &context->memory);
	if (hw->mode == MODEL_BLOCKED)
		return (struct cache_entry){ .present = false };

	found = cache_lookup(&iommu->iotlb, iotlb_key(iommu, hw, context->pasid), iova);
	if (!found)
		return walk_and_fill(iommu, context, hw, iova, &access->stale);
	access->source = MODEL_FROM_IOTLB;
	access->stale |= !address_is_current(found, &context->memory, iova);
	return *found;
}

/*
 * A translation that is used for a write, or given to a device that may write with it.
 * What is cached is known to be marked, so that it is done once.
 */
static void mark_dirty(struct model_iommu *iommu, const struct context *context,
		       uint64_t iova, struct cache_entry *entry)
{
	const struct hw_context *hw = &context->cached;

	if (!hw->marks_dirty || entry->dirty || !entry->writable)
		return;
	entry->dirty = true;
	if (cache_find(&iommu->iotlb, &entry->key))
		cache_insert(&iommu->iotlb, entry);
	if (hw->mode == MODEL_NESTED) {
		struct pt_walk s1 = pt_walk(&hw->s1, iova);

		if (!s1.present)
			return;
		iova = s1.paddr;
	}
	pt_guest_mark_dirty(&hw->s2, iova);
}

/* Does the IOMMU take what the device has translated itself? */
static bool uses_atc(const struct model_dev *dev, const struct context *context)
{
	const struct hw_context *hw = context->is_cached ? &context->cached :
							   &context->fetched;

	return dev->ats && hw->mode != MODEL_BLOCKED && !hw->no_ats;
}

bool model_dma(struct model_dev *dev, uint32_t pasid, uint64_t iova, bool write,
	       struct model_access *access)
{
	struct model_iommu *iommu = dev->iommu;
	struct cache_key key = { .pasid = pasid };
	const struct cache_entry *found = NULL;
	struct cache_entry entry;
	struct context *context;
	bool atc;

	*access = (struct model_access){ .fault = true };
	pthread_mutex_lock(&iommu->lock);
	if (dev->unplugged) {
		pthread_mutex_unlock(&iommu->lock);
		return true;
	}
	context = get_context(dev, pasid);
	load_context(dev, context);
	atc = uses_atc(dev, context);
	if (atc)
		found = cache_lookup(&dev->atc, key, iova);
	if (found) {
		entry = *found;
		access->source = MODEL_FROM_ATC;
		access->stale = !address_is_current(found, &context->memory, iova);
	} else {
		entry = translate(dev, context, iova, access);
		if (write || (atc && uses_atc(dev, context)))
			mark_dirty(iommu, context, iova, &entry);
		/*
		 * An ATC does not keep a translation without R and W. Much may have changed
		 * while the entry was fetched.
		 */
		if (atc && entry.present && uses_atc(dev, context)) {
			struct cache_entry copy = entry;

			key.page = entry.key.page;
			key.size = entry.key.size;
			copy.key = key;
			cache_insert(&dev->atc, &copy);
		}
	}
	pthread_mutex_unlock(&iommu->lock);

	access->fault = !entry.present || (write && !entry.writable);
	access->paddr = access->fault ? 0 : entry.paddr + (iova - entry.key.page);
	return !access->stale && !access->torn;
}

/*
 * What commands empty.
 */

static bool in_scope(struct cache_entry *entry, const void *arg)
{
	const struct model_scope *scope = arg;
	const struct cache_key *key = &entry->key;

	/* The range first: it spares most of the entries. */
	return cache_overlaps(entry, scope->first, scope->last) &&
	       scope->modes & 1u << key->kind &&
	       (scope->any_tag || key->tag == scope->tag) &&
	       (scope->any_vm_tag || key->vm_tag == scope->vm_tag) &&
	       (scope->any_pasid || key->pasid == scope->pasid);
}

struct erratum_scope {
	const struct model_scope *scope;
	unsigned long waits;		/* executed, and 1 */
};

/* The erratum: the entry goes only if a wait lies between this and the first time. */
static bool in_scope_again(struct cache_entry *entry, const void *arg)
{
	const struct erratum_scope *again = arg;

	if (!in_scope(entry, again->scope))
		return false;
	if (entry->survived)
		return entry->survived < again->waits;
	entry->survived = again->waits;
	return false;
}

static void drop_in_scope(struct model_iommu *iommu, struct cache *cache,
			  const struct model_scope *scope)
{
	struct erratum_scope again = { scope, iommu->executed[MODEL_SYNC] + 1 };

	if (!cache_has(cache, scope->modes))
		return;
	if (iommu->erratum)
		cache_drop(cache, in_scope_again, &again);
	else
		cache_drop(cache, in_scope, scope);
}

void model_inv_iotlb(struct model_iommu *iommu, const struct model_scope *scope)
{
	pthread_mutex_lock(&iommu->lock);
	drop_in_scope(iommu, &iommu->iotlb, scope);
	if (!scope->leaf)
		drop_in_scope(iommu, &iommu->walks, scope);
	pthread_mutex_unlock(&iommu->lock);
}

static bool in_atc_scope(struct cache_entry *entry, const void *arg)
{
	const struct atc_scope *scope = arg;

	return (scope->any_pasid || entry->key.pasid == scope->pasid) &&
	       cache_overlaps(entry, scope->first, scope->last);
}

void dev_inv_atc(struct model_dev *dev, const struct atc_scope *scope)
{
	cache_drop(&dev->atc, in_atc_scope, scope);
}

/* Why it does not answer a request, or NULL. */
static const char *reason_for_silence(const struct model_dev *dev)
{
	if (!dev)
		return "no such device";
	if (dev->unplugged)
		return "device is unplugged";
	if (!dev->ats)
		return "device has ATS off";
	return dev->silent ? "device is silent" : NULL;
}

void model_inv_atc(struct model_iommu *iommu, uint32_t rid, bool any_pasid,
		   uint32_t pasid, uint64_t first, uint64_t last)
{
	struct atc_scope scope = { any_pasid, pasid, first, last };
	struct model_dev *dev;
	const char *reason;

	pthread_mutex_lock(&iommu->lock);
	dev = find_dev(iommu, rid);
	reason = reason_for_silence(dev);
	if (!reason)
		dev_inv_atc(dev, &scope);
	else
		/* A device that gets the request with ATS off does not understand it. */
		iommu_request(iommu, dev && dev->ats ? dev : NULL, rid, &scope, reason);
	pthread_mutex_unlock(&iommu->lock);
}

static void invalidate(struct context *context)
{
	context->is_cached = false;
	context->invalidated++;
}

static bool names_pasid(const struct model_iommu *iommu, const struct context *context,
			bool any_pasid, uint32_t pasid)
{
	return any_pasid || context->pasid == pasid ||
	       (!context->pasid && pasid == MODEL_NO_PASID && rid_is_pasid_0(iommu));
}

static void inv_dev_context(struct model_dev *dev, bool any_pasid, uint32_t pasid)
{
	struct context *context;
	unsigned int i;

	for (i = 0; i < CONTEXT_BUCKETS; i++)
		for (context = dev->contexts[i]; context; context = context->next)
			if (names_pasid(dev->iommu, context, any_pasid, pasid))
				invalidate(context);
}

static void inv_dev_dir(struct model_dev *dev)
{
	if (dev->dir_is_cached && dev->dir.legacy)
		inv_dev_context(dev, true, 0);
	dev->dir_is_cached = false;
}

void model_inv_dir(struct model_iommu *iommu, bool any_rid, uint32_t rid)
{
	struct model_dev *dev;
	unsigned int i;

	pthread_mutex_lock(&iommu->lock);
	dev = find_dev(iommu, rid);
	if (dev && !any_rid)
		inv_dev_dir(dev);
	for (i = 0; any_rid && i < DEV_BUCKETS; i++)
		for (dev = iommu->devs[i]; dev; dev = dev->next)
			inv_dev_dir(dev);
	pthread_mutex_unlock(&iommu->lock);
}

void model_inv_context(struct model_iommu *iommu, bool any_rid, uint32_t rid,
		       bool any_pasid, uint32_t pasid)
{
	struct model_dev *dev;
	unsigned int i;

	pthread_mutex_lock(&iommu->lock);
	dev = find_dev(iommu, rid);
	if (dev && !any_rid)
		inv_dev_context(dev, any_pasid, pasid);
	for (i = 0; any_rid && i < DEV_BUCKETS; i++)
		for (dev = iommu->devs[i]; dev; dev = dev->next)
			inv_dev_context(dev, any_pasid, pasid);
	pthread_mutex_unlock(&iommu->lock);
}

struct tag_scope {
	const struct model_iommu *iommu;
	uint32_t tag;
	bool any_pasid;
	uint32_t pasid;
};

static void inv_tag(struct context *context, void *arg)
{
	const struct tag_scope *scope = arg;

	/* One that is being fetched may get any tag. */
	if ((!context->is_cached || context->cached.tag == scope->tag) &&
	    names_pasid(scope->iommu, context, scope->any_pasid, scope->pasid))
		invalidate(context);
}

static void inv_tags(struct model_iommu *iommu, struct tag_scope scope)
{
	pthread_mutex_lock(&iommu->lock);
	for_each_context(iommu, inv_tag, &scope);
	pthread_mutex_unlock(&iommu->lock);
}

void model_inv_context_tag(struct model_iommu *iommu, uint32_t tag)
{
	inv_tags(iommu, (struct tag_scope){ iommu, tag, true, 0 });
}

void model_inv_context_tag_pasid(struct model_iommu *iommu, uint32_t tag, uint32_t pasid)
{
	inv_tags(iommu, (struct tag_scope){ iommu, tag, false, pasid });
}

/*
 * The oracle for everything at once.
 */

/* What is reachable under a key of the IOTLB. */
struct truth {
	struct cache_key key;
	struct hw_context hw;
};

struct truths {
	const struct model_iommu *iommu;
	struct truth *truth;
	size_t count, room;
};

static bool same_tags(const struct cache_key *a, const struct cache_key *b)
{
	return a->kind == b->kind && a->tag == b->tag &&
	       a->vm_tag == b->vm_tag && a->pasid == b->pasid;
}

/* Many devices share the tables of a domain: these are one truth. */
static void add_truth(struct truths *all, const struct hw_context *hw, uint32_t pasid)
{
	struct truth truth = {
		.key = iotlb_key(all->iommu, hw, pasid),
		.hw = *hw,
	};
	size_t i;

	for (i = 0; i < all->count; i++)
		if (same_tags(&all->truth[i].key, &truth.key) &&
		    same_context(&all->truth[i].hw, &truth.hw))
			return;
	if (all->count == all->room) {
		all->room = all->room ? all->room * 2 : 16;
		all->truth = realloc(all->truth, all->room * sizeof(truth));
		/* Without memory there is no verdict. */
		if (!all->truth)
			abort();
	}
	all->truth[all->count++] = truth;
}

static void add_truths(struct context *context, void *arg)
{
	const struct hw_context *hw = &context->memory;
	struct truths *all = arg;
	struct hw_context s2;

	if (hw->mode != MODEL_BLOCKED)
		add_truth(all, hw, context->pasid);
	if (hw->mode == MODEL_NESTED) {
		s2 = s2_of(all->iommu, hw);
		add_truth(all, &s2, MODEL_NO_PASID);
	}
}

/*
 * An entry under a tag that no context entry in memory has cannot be reached:
 * it is not stale, until the tag is given to somebody.
 */
static bool contradicts(const struct truth *truth,
			const struct cache_entry *entry)
{
	struct pt_walk now;

	if (!same_tags(&truth->key, &entry->key))
		return false;
	if (!pt_exists(&entry->table))
		return !entry_is_current(entry, &truth->hw);
	now = walk_tables(&truth->hw, entry->key.page);
	return !pt_same(&now.last, &entry->table);
}

/* What is in memory becomes what the oracle compares with. */
static void load_contexts(struct model_dev *dev)
{
	struct context *context;
	unsigned int i;

	for (i = 0; i < CONTEXT_BUCKETS; i++)
		for (context = dev->contexts[i]; context; context = context->next)
			load_context(dev, context);
}

static bool dir_is_stale(struct model_dev *dev)
{
	struct hw_dir now;

	if (!dev->dir_is_cached)
		return false;
	now = dev->iommu->guest->read_dir(dev->iommu, dev->rid);
	return !same_dir(&dev->dir, &now);
}

static unsigned long count_stale_iotlb(const struct cache *cache,
				       const struct truths *all)
{
	unsigned long stale = 0;
	uint32_t i;
	size_t j;

	for (i = 0; i < cache->count; i++) {
		for (j = 0; j < all->count; j++)
			if (contradicts(&all->truth[j], &cache->entries[i]))
				break;
		stale += j < all->count;
	}
	return stale;
}

static unsigned long count_stale_atc(struct model_dev *dev)
{
	unsigned long stale = 0;
	uint32_t i;

	for (i = 0; i < dev->atc.count; i++) {
		const struct cache_entry *entry = &dev->atc.entries[i];
		const struct context *context = get_context(dev, entry->key.pasid);

		stale += !entry_is_current(entry, &context->memory);
	}
	return stale;
}

static void count_stale_context(struct context *context, void *arg)
{
	unsigned long *stale = arg;

	*stale += context->is_cached &&
		  !same_context(&context->cached, &context->memory);
}

unsigned long model_stale_entries(struct model_iommu *iommu)
{
	struct truths all = { .iommu = iommu };
	struct model_dev *dev;
	unsigned long stale;
	unsigned int i;

	pthread_mutex_lock(&iommu->lock);
	for (i = 0; i < DEV_BUCKETS; i++)
		for (dev = iommu->devs[i]; dev; dev = dev->next)
			load_contexts(dev);
	for_each_context(iommu, add_truths, &all);
	stale = count_stale_iotlb(&iommu->iotlb, &all) +
		count_stale_iotlb(&iommu->walks, &all);
	free(all.truth);
	for (i = 0; i < DEV_BUCKETS; i++)
		for (dev = iommu->devs[i]; dev; dev = dev->next)
			stale += count_stale_atc(dev) + dir_is_stale(dev);
	for_each_context(iommu, count_stale_context, &stale);
	pthread_mutex_unlock(&iommu->lock);
	return stale;
}

unsigned long model_cached(struct model_iommu *iommu, enum model_source cache)
{
	struct model_dev *dev;
	unsigned long count = 0;
	unsigned int i;

	pthread_mutex_lock(&iommu->lock);
	switch (cache) {
	case MODEL_FROM_ATC:
		for (i = 0; i < DEV_BUCKETS; i++)
			for (dev = iommu->devs[i]; dev; dev = dev->next)
				count += dev->atc.count;
		break;
	case MODEL_FROM_IOTLB:
		count = iommu->iotlb.count;
		break;
	case MODEL_FROM_WALK:
		count = iommu->walks.count;
		break;
	}
	pthread_mutex_unlock(&iommu->lock);
	return count;
}

/*
 * Devices.
 */

struct model_dev *model_dev_create(struct model_iommu *iommu, uint32_t rid,
				   bool ats_capable)
{
	struct model_dev **bucket = dev_bucket(iommu, rid);
	struct model_dev *dev = calloc(1, sizeof(*dev));
	bool taken;

	if (!dev)
		return NULL;
	dev->iommu = iommu;
	dev->rid = rid;
	dev->ats_capable = ats_capable;

	pthread_mutex_lock(&iommu->lock);
	taken = find_dev(iommu, rid);
	if (!taken) {
		dev->next = *bucket;
		*bucket = dev;
	}
	pthread_mutex_unlock(&iommu->lock);
	if (taken) {
		free(dev);
		errno = EEXIST;
		return NULL;
	}
	return dev;
}

void model_dev_destroy(struct model_dev *dev)
{
	struct model_iommu *iommu;
	struct model_dev **link;
	unsigned int i;

	if (!dev)
		return;
	iommu = dev->iommu;
	pthread_mutex_lock(&iommu->lock);
	for (link = dev_bucket(iommu, dev->rid); *link != dev;)
		link = &(*link)->next;
	*link = dev->next;
	iommu_forget(dev);
	pthread_mutex_unlock(&iommu->lock);

	for (i = 0; i < CONTEXT_BUCKETS; i++) {
		struct context *context = dev->contexts[i], *next;

		for (; context; context = next) {
			next = context->next;
			free(context);
		}
	}
	cache_clear(&dev->atc);
	free(dev);
}

uint32_t model_dev_rid(const struct model_dev *dev)
{
	return dev->rid;
}

struct model_iommu *model_dev_iommu(const struct model_dev *dev)
{
	return dev->iommu;
}

static struct hw_context hw_context(const struct model_context *context)
{
	return (struct hw_context){
		.mode = context->mode,
		.no_ats = context->no_ats,
		.tag = context->tag,
		.vm_tag = context->vm_tag,
		.s1 = pt_root(context->s1),
		.s2 = pt_root(context->s2),
	};
}

void model_dev_set_context(struct model_dev *dev, uint32_t pasid,
			   const struct model_context *context)
{
	struct hw_context hw = hw_context(context);
	struct context *entry;

	pthread_mutex_lock(&dev->iommu->lock);
	entry = get_context(dev, pasid);
	entry->written = meaning_of(&hw);
	entry->memory = entry->written;
	pthread_mutex_unlock(&dev->iommu->lock);
}

void model_dev_set_context_word(struct model_dev *dev, uint32_t pasid,
				enum model_context_word word,
				const struct model_context *context)
{
	struct hw_context hw = hw_context(context);
	struct context *entry;

	pthread_mutex_lock(&dev->iommu->lock);
	entry = get_context(dev, pasid);
	copy_word(&entry->written, &hw, word);
	entry->memory = meaning_of(&entry->written);
	pthread_mutex_unlock(&dev->iommu->lock);
}

bool model_dev_ats(struct model_dev *dev)
{
	bool ats;

	pthread_mutex_lock(&dev->iommu->lock);
	ats = dev->ats;
	pthread_mutex_unlock(&dev->iommu->lock);
	return ats;
}

/* iommu->lock is held. */
static void ats_off(struct model_dev *dev)
{
	dev->ats = false;
	cache_clear(&dev->atc);
	iommu_forget(dev);
}

int model_dev_set_ats(struct model_dev *dev, bool on)
{
	if (!dev->ats_capable)
		return on ? -ENODEV : 0;
	pthread_mutex_lock(&dev->iommu->lock);
	if (on)
		dev->ats = true;
	else
		ats_off(dev);
	pthread_mutex_unlock(&dev->iommu->lock);
	return 0;
}

void model_dev_set_silent(struct model_dev *dev, bool silent)
{
	pthread_mutex_lock(&dev->iommu->lock);
	dev->silent = silent;
	if (!silent)
		iommu_answer(dev);
	pthread_mutex_unlock(&dev->iommu->lock);
}

void model_dev_reset(struct model_dev *dev)
{
	pthread_mutex_lock(&dev->iommu->lock);
	ats_off(dev);
	pthread_mutex_unlock(&dev->iommu->lock);
}

void model_dev_unplug(struct model_dev *dev)
{
	pthread_mutex_lock(&dev->iommu->lock);
	dev->unplugged = true;
	ats_off(dev);
	pthread_mutex_unlock(&dev->iommu->lock);
}
