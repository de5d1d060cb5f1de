// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is attached to a domain, and how its caches are flushed
 *
 * A domain has one list, domain->alist, of its attachments: a struct dev_pasid_info for
 * each (device, PASID), with IOMMU_NO_PASID for requests without PASID. All that asks who
 * is attached, or where translations are cached, asks the list. Section numbers are those
 * of the architecture specification, revision 5.10.
 *
 * Tags. A domain has a DID on each IOMMU, taken with its first attachment there and given
 * back with its last. Entries of first-stage tables carry the PASID besides (6.2.4), and
 * so do their tags:
 *
 *   attached          on the list of   kind   tag          descriptor
 *   second stage      the domain       own    DID          IOTLB
 *   first stage, SVA  the domain       own    DID, PASID   PASID-based IOTLB
 *   first on second   the nest         own    DID, PASID   PASID-based IOTLB
 *                     its parent       nest   DID          IOTLB
 *
 * What goes through a parent is cached under the DIDs of its nests, by addresses that the
 * parent does not know. An IOTLB invalidation by pages drops all of the DID that it may
 * be about; the ATC goes as a whole.
 *
 * Order. The IOMMU keeps device-TLB invalidations behind the IOTLB, context and PASID
 * cache invalidations ahead of them (6.5.2.12). So a flush has one submission and one wait
 * for each IOMMU.
 *
 * Attach: add to the list, then write the context or PASID entry. Detach: clear the entry
 * and flush what is cached of it, then delete. So a tag is clean when its last attachment
 * goes: nobody has used it since. ATS is on in a device before its attachment has an ATC
 * target, and off only after a drain: see iommu_disable_pci_ats().
 *
 * did_lock of the IOMMU is held from the choice of a DID until the attachment is on the
 * list, and from its deletion until the DID is given back. The list's lock is taken inside
 * of it, and iommu->lock inside that.
 */
#define pr_fmt(fmt)	"DMAR: " fmt

#include <linux/bitfield.h>
#include <linux/dmar.h>
#include <linux/iommu-alist.h>
#include <linux/ktime.h>
#include <linux/pci.h>

#include "iommu.h"
#include "pasid.h"
#include "perf.h"
#include "trace.h"

#define TAG_DID		GENMASK_ULL(15, 0)
#define TAG_PASID	GENMASK_ULL(51, 32)

/* What a device-TLB invalidation says of the device. */
#define ATC_SID		GENMASK_ULL(15, 0)
#define ATC_PFSID	GENMASK_ULL(31, 16)
#define ATC_PASID	GENMASK_ULL(51, 32)
#define ATC_QDEP	GENMASK_ULL(56, 52)
#define ATC_TWICE	BIT_ULL(57)	/* the device needs it twice */

/* What both an attachment and the half of a nest are. */
struct intel_elm {
	struct iommu_attach_elm elm;
};

static bool domain_is_nest(const struct dmar_domain *domain)
{
	return domain->domain.type == IOMMU_DOMAIN_NESTED;
}

static bool domain_is_sva(const struct dmar_domain *domain)
{
	return domain->domain.type == IOMMU_DOMAIN_SVA;
}

/* Are its own translations cached as those of a first stage? */
static bool domain_tags_pasid(struct dmar_domain *domain)
{
	return domain_is_sva(domain) || domain_is_nest(domain) ||
	       intel_domain_is_fs_paging(domain);
}

static struct intel_iommu *to_iommu(struct iommu_device *iommu_device)
{
	return container_of(iommu_device, struct intel_iommu, iommu);
}

/*
 * Attach and detach
 */

static u64 pack_atc(const struct device_domain_info *info, ioasid_t pasid)
{
	/* 32 and more are encoded as 0. */
	u8 qdep = info->ats_qdep < QI_DEV_IOTLB_MAX_INVS ? info->ats_qdep : 0;

	return FIELD_PREP(ATC_SID, PCI_DEVID(info->bus, info->devfn)) |
	       FIELD_PREP(ATC_PFSID, info->pfsid) |
	       FIELD_PREP(ATC_PASID, pasid) |
	       FIELD_PREP(ATC_QDEP, qdep) |
	       (info->dtlb_extra_inval ? ATC_TWICE : 0);
}

/* Return: the DID, which is in use, or new. */
static int get_did(struct dmar_domain *domain, struct intel_iommu *iommu)
{
	u64 tag;
	int did;

	lockdep_assert_held(&iommu->did_lock);

	if (domain_is_sva(domain))
		return FLPT_DEFAULT_DID;
	if (!iommu_attach_find_tag(&domain->alist, &iommu->iommu, &tag))
		return FIELD_GET(TAG_DID, tag);
	did = ida_alloc_range(&iommu->domain_ida, IDA_START_DID,
			      iommu->max_domain_id - 1, GFP_KERNEL);
	if (did < 0)
		pr_err("%s: No free domain ids\n", iommu->name);
	return did;
}

/* An attachment is gone, or did not come about. */
static void put_did(struct dmar_domain *domain, struct intel_iommu *iommu, u16 did)
{
	u64 tag;

	lockdep_assert_held(&iommu->did_lock);

	if (!domain_is_sva(domain) &&
	    iommu_attach_find_tag(&domain->alist, &iommu->iommu, &tag))
		ida_free(&iommu->domain_ida, did);
}

/* The DID that the domain has on an IOMMU where something is attached to it. */
u16 domain_id_iommu(struct dmar_domain *domain, struct intel_iommu *iommu)
{
	u64 tag;

	if (WARN_ON_ONCE(iommu_attach_find_tag(&domain->alist, &iommu->iommu, &tag)))
		return 0;
	return FIELD_GET(TAG_DID, tag);
}

/* The device's own attachments are serialised by its group: it stays. */
static struct dev_pasid_info *find_dev_pasid(struct dmar_domain *domain,
					     struct device *dev, ioasid_t pasid)
{
	struct dev_pasid_info *found = NULL;
	struct intel_elm *pos;

	iommu_attach_lock(&domain->alist);
	iommu_attach_for_each_locked(pos, &domain->alist, elm) {
		if (pos->elm.kind != IOMMU_ATTACH_OWN || pos->elm.pasid != pasid ||
		    iommu_attach_elm_device(&pos->elm) != dev)
			continue;
		found = container_of(&pos->elm, struct dev_pasid_info, elms.s1);
		break;
	}
	iommu_attach_unlock(&domain->alist);
	return found;
}

/* The device of the domain that has a requester id, which may be another's alias. */
struct device_domain_info *domain_lookup_dev_info(struct dmar_domain *domain,
						  struct intel_iommu *iommu,
						  u8 bus, u8 devfn)
{
	struct device_domain_info *info, *found = NULL;
	struct intel_elm *pos;

	iommu_attach_lock(&domain->alist);
	iommu_attach_for_each_locked(pos, &domain->alist, elm) {
		info = dev_iommu_priv_get(iommu_attach_elm_device(&pos->elm));
		if (info->iommu == iommu && info->bus == bus && info->devfn == devfn) {
			found = info;
			break;
		}
	}
	iommu_attach_unlock(&domain->alist);
	return found;
}

/* How many attachments share the tag: only events ask. */
static u32 count_tag(struct iommu_attach_list *alist, const struct iommu_attach_elm *elm)
{
	struct intel_elm *pos;
	u32 nr = 0;

	iommu_attach_lock(alist);
	iommu_attach_for_each_locked(pos, alist, elm)
		nr += pos->elm.iommu_device == elm->iommu_device &&
		      pos->elm.kind == elm->kind && pos->elm.tag == elm->tag;
	iommu_attach_unlock(alist);
	return nr;
}

static void trace_half(const struct dev_pasid_info *dev_pasid,
		       struct iommu_attach_list *alist,
		       const struct iommu_attach_elm *elm, bool add)
{
	struct intel_iommu *iommu = to_iommu(elm->iommu_device);
	bool nest = elm->kind == IOMMU_ATTACH_NEST;
	struct cache_tag tag = {
		.type = nest ? CACHE_TAG_NESTING_IOTLB : CACHE_TAG_IOTLB,
		.iommu = iommu,
		.dev = iommu->iommu.dev,
		.domain_id = FIELD_GET(TAG_DID, elm->tag),
		.pasid = elm->pasid,
		.users = count_tag(alist, elm),
	};

	if (add)
		trace_cache_tag_assign(&tag);
	else
		trace_cache_tag_unassign(&tag);
	if (!elm->using_atc)
		return;
	tag.type = nest ? CACHE_TAG_NESTING_DEVTLB : CACHE_TAG_DEVTLB;
	tag.dev = dev_pasid->dev;
	tag.users = 1;
	if (add)
		trace_cache_tag_assign(&tag);
	else
		trace_cache_tag_unassign(&tag);
}

/* The attachment is on its lists. */
static void trace_dev_pasid(struct dmar_domain *domain,
			    const struct dev_pasid_info *dev_pasid, bool add)
{
	if (add ? !trace_cache_tag_assign_enabled() : !trace_cache_tag_unassign_enabled())
		return;
	trace_half(dev_pasid, &domain->alist, &dev_pasid->elms.s1, add);
	if (domain_is_nest(domain))
		trace_half(dev_pasid, &domain->s2_domain->alist, &dev_pasid->elms.s2, add);
}

/*
 * Puts (device, PASID) on the list of the domain, and of its parent. Call it before the
 * hardware may use the domain for it. On failure nothing has changed.
 */
struct dev_pasid_info *domain_add_dev_pasid(struct iommu_domain *domain,
					    struct device *dev, ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct intel_iommu *iommu = info->iommu;
	struct dev_pasid_info *dev_pasid;
	struct iommu_attach_elm *s1, *s2;
	int did, ret;

	dev_pasid = kzalloc_obj(*dev_pasid);
	if (!dev_pasid)
		return ERR_PTR(-ENOMEM);
	dev_pasid->dev = dev;
	dev_pasid->pasid = pasid;

	guard(mutex)(&iommu->did_lock);
	did = get_did(dmar_domain, iommu);
	if (did < 0) {
		kfree(dev_pasid);
		return ERR_PTR(-ENOSPC);
	}

	s1 = &dev_pasid->elms.s1;
	s2 = &dev_pasid->elms.s2;
	s1->iommu_device = &iommu->iommu;
	s1->pasid = pasid;
	s1->atc = pack_atc(info, pasid);
	s1->using_atc = info->ats_enabled;
	s1->tag = FIELD_PREP(TAG_DID, did);
	iommu_attach_elm_set_device(s1, dev);
	*s2 = *s1;
	if (domain_tags_pasid(dmar_domain))
		s1->tag |= FIELD_PREP(TAG_PASID, pasid);

	if (domain_is_nest(dmar_domain))
		ret = iommu_attach_add_nest(&dmar_domain->alist,
					    &dmar_domain->s2_domain->alist,
					    &dev_pasid->elms);
	else
		ret = iommu_attach_add(&dmar_domain->alist, s1);
	if (ret < 0) {
		put_did(dmar_domain, iommu, did);
		kfree(dev_pasid);
		return ERR_PTR(ret);
	}
	trace_dev_pasid(dmar_domain, dev_pasid, true);
	return dev_pasid;
}

/*
 * The hardware does not use the domain for (device, PASID) any more, and has nothing of it
 * in its caches. Domains that have no list are ignored.
 */
void domain_remove_dev_pasid(struct iommu_domain *domain, struct device *dev,
			     ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = info->iommu;
	struct dev_pasid_info *dev_pasid;
	struct dmar_domain *dmar_domain;
	u16 did;

	if (!domain || domain->type == IOMMU_DOMAIN_IDENTITY ||
	    domain->type == IOMMU_DOMAIN_BLOCKED)
		return;

	dmar_domain = to_dmar_domain(domain);
	dev_pasid = find_dev_pasid(dmar_domain, dev, pasid);
	if (WARN_ON_ONCE(!dev_pasid))
		return;
	trace_dev_pasid(dmar_domain, dev_pasid, false);
	intel_iommu_debugfs_remove_dev_pasid(dev_pasid);
	did = FIELD_GET(TAG_DID, dev_pasid->elms.s1.tag);

	guard(mutex)(&iommu->did_lock);
	if (domain_is_nest(dmar_domain))
		iommu_attach_del_nest_free(&dmar_domain->alist,
					   &dmar_domain->s2_domain->alist,
					   dev_pasid, elms);
	else
		iommu_attach_del_free(&dmar_domain->alist, dev_pasid, elms.s1);
	put_did(dmar_domain, iommu, did);
}

/* ATS has just been turned on in a device that is attached without PASID. */
int domain_enable_atc(struct dmar_domain *domain, struct device *dev)
{
	struct dev_pasid_info *dev_pasid = find_dev_pasid(domain, dev, IOMMU_NO_PASID);

	if (WARN_ON_ONCE(!dev_pasid))
		return -ENOENT;
	if (domain_is_nest(domain))
		return iommu_attach_nest_enable_atc(&dev_pasid->elms);
	return iommu_attach_enable_atc(&dev_pasid->elms.s1);
}

/*
 * Flush
 */

/* One flush, on the stack of who asks for it. */
struct intel_flush {
	struct dmar_domain *domain;
	unsigned long start, end;	/* inclusive */
	u64 addr;			/* the pages that cover them */
	unsigned int order;
	bool map;			/* something has been mapped, nothing unmapped */
	bool ih;			/* only leaves have changed */
	bool entries;			/* what points to the page table has changed */
	bool again;			/* something may have been aborted */
	bool retry;			/* something was */
	struct qi_batch batch;
};

static void trace_flush(const struct intel_flush *flush, struct intel_iommu *iommu,
			const struct iommu_attach_group *group, u64 atc)
{
	bool nest = group->kind == IOMMU_ATTACH_NEST;
	struct cache_tag tag = {
		.type = nest ? CACHE_TAG_NESTING_IOTLB : CACHE_TAG_IOTLB,
		.iommu = iommu,
		.dev = iommu->iommu.dev,
		.domain_id = FIELD_GET(TAG_DID, group->tag),
		.pasid = FIELD_GET(TAG_PASID, group->tag),
	};

	if (atc) {
		tag.type = nest ? CACHE_TAG_NESTING_DEVTLB : CACHE_TAG_DEVTLB;
		tag.dev = device_rbtree_find(iommu, FIELD_GET(ATC_SID, atc)) ?: tag.dev;
		tag.pasid = FIELD_GET(ATC_PASID, atc);
	}
	if (flush->map)
		trace_cache_tag_flush_range_np(&tag, flush->start, flush->end,
					       flush->addr, flush->order);
	else
		trace_cache_tag_flush_range(&tag, flush->start, flush->end,
					    flush->addr, flush->order);
}

static bool trace_flush_enabled(const struct intel_flush *flush)
{
	return flush->map ? trace_cache_tag_flush_range_np_enabled() :
			    trace_cache_tag_flush_range_enabled();
}

/* Caching mode is about everything but first-stage tables (6.1). */
static bool caches_absent(struct dmar_domain *domain, struct intel_iommu *iommu)
{
	return cap_caching_mode(iommu->cap) && !intel_domain_is_fs_paging(domain);
}

static void send_pasid_cache(struct intel_flush *flush, struct intel_iommu *iommu,
			     const struct iommu_attach_group *group, bool by_pasid)
{
	struct qi_desc desc = {
		.qw0 = QI_PC_DID(FIELD_GET(TAG_DID, group->tag)) | QI_PC_TYPE |
		       QI_PC_GRAN(by_pasid ? QI_PC_PASID_SEL : QI_PC_ALL_PASIDS) |
		       QI_PC_PASID(FIELD_GET(TAG_PASID, group->tag)),
	};

	qi_batch_add(iommu, &flush->batch, &desc);
}

/* The command of a first stage. */
static void send_piotlb(struct intel_flush *flush, struct intel_iommu *iommu,
			const struct iommu_attach_group *group)
{
	u16 did = FIELD_GET(TAG_DID, group->tag);
	u32 pasid = FIELD_GET(TAG_PASID, group->tag);
	struct qi_desc desc = {};

	if (flush->order >= MAX_AGAW_PFN_WIDTH)
		qi_desc_piotlb_all(did, pasid, &desc);
	else
		qi_desc_piotlb(did, pasid, flush->addr, flush->order, flush->ih, &desc);
	qi_batch_add(iommu, &flush->batch, &desc);
}

/* The command of a second stage, which has a form for IOMMUs without a queue. */
static void send_iotlb(struct intel_flush *flush, struct intel_iommu *iommu,
		       const struct iommu_attach_group *group)
{
	u16 did = FIELD_GET(TAG_DID, group->tag);
	u64 addr = flush->addr | flush->ih;
	unsigned int order = flush->order;
	u64 type = DMA_TLB_PSI_FLUSH;
	struct qi_desc desc;

	if (!cap_pgsel_inv(iommu->cap) || order > cap_max_amask_val(iommu->cap)) {
		type = DMA_TLB_DSI_FLUSH;
		addr = 0;
		order = 0;
	}
	if (unlikely(!iommu->qi)) {
		__iommu_flush_iotlb(iommu, did, addr, order, type);
		return;
	}
	qi_desc_iotlb(iommu, did, addr, order, type, &desc);
	qi_batch_add(iommu, &flush->batch, &desc);
}

static void flush_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct intel_iommu *iommu = to_iommu(group->iommu_device);
	struct intel_flush *flush = arg;
	bool by_pasid = domain_tags_pasid(flush->domain);

	if (flush->map && !caches_absent(flush->domain, iommu))
		return;
	if (trace_flush_enabled(flush))
		trace_flush(flush, iommu, group, 0);
	if (flush->entries)
		send_pasid_cache(flush, iommu, group, by_pasid);
	/* A nest seen from its parent is flushed as the parent is. */
	if (by_pasid)
		send_piotlb(flush, iommu, group);
	else
		send_iotlb(flush, iommu, group);
}

static void flush_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct intel_iommu *iommu = to_iommu(group->iommu_device);
	u16 sid = FIELD_GET(ATC_SID, atc), pfsid = FIELD_GET(ATC_PFSID, atc);
	u32 pasid = FIELD_GET(ATC_PASID, atc);
	u16 qdep = FIELD_GET(ATC_QDEP, atc);
	struct intel_flush *flush = arg;
	unsigned int order = flush->order;
	u64 addr = flush->addr;
	struct qi_desc desc;

	/* Software is told not to send any while remapping is off (4.3). */
	if (!(iommu->gcmd & DMA_GCMD_TE))
		return;
	if (flush->retry && qi_device_gone(iommu, sid))
		return;
	if (trace_cache_tag_flush_range_enabled())
		trace_flush(flush, iommu, group, atc);
	if (group->kind == IOMMU_ATTACH_NEST) {
		addr = 0;
		order = MAX_AGAW_PFN_WIDTH;
	}

	if (pasid == IOMMU_NO_PASID)
		qi_desc_dev_iotlb(sid, pfsid, qdep, addr, order, &desc);
	else
		qi_desc_dev_iotlb_pasid(sid, pfsid, pasid, qdep, addr, order, &desc);
	qi_batch_add(iommu, &flush->batch, &desc);
	if (unlikely(atc & ATC_TWICE))
		qi_batch_add(iommu, &flush->batch, &desc);
}

static u64 flush_sync(struct iommu_device *iommu_device, void *arg)
{
	struct intel_flush *flush = arg;

	return qi_batch_submit(to_iommu(iommu_device), &flush->batch);
}

static void flush_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct intel_iommu *iommu = to_iommu(iommu_device);
	struct intel_flush *flush = arg;

	if (qi_wait(iommu, cookie) == -EAGAIN)
		flush->again = true;
	if (flush->batch.start)
		dmar_latency_update(iommu, DMAR_LATENCY_INV_IOTLB,
				    ktime_get_ns() - flush->batch.start);
}

static const struct iommu_attach_flush_ops intel_unmap_ops = {
	.iotlb = flush_iotlb,
	.atc = flush_atc,
	.sync = flush_sync,
	.wait = flush_wait,
};

/* An invalidation flushes the write buffer, too (6.8). */
static u64 map_sync(struct iommu_device *iommu_device, void *arg)
{
	struct intel_iommu *iommu = to_iommu(iommu_device);
	struct intel_flush *flush = arg;

	if (!caches_absent(flush->domain, iommu))
		iommu_flush_write_buffer(iommu);
	return flush_sync(iommu_device, arg);
}

static const struct iommu_attach_flush_ops intel_map_ops = {
	.iotlb = flush_iotlb,
	.sync = map_sync,
	.wait = flush_wait,
};

static void flush_domain(struct dmar_domain *domain,
			 const struct iommu_attach_flush_ops *ops,
			 unsigned long start, unsigned long end, bool ih, bool entries)
{
	struct intel_flush flush __uninitialized;
	unsigned int bits;

	/* The smallest aligned power of two of pages that has both addresses in it. */
	bits = max(fls64(start ^ end), VTD_PAGE_SHIFT);
	flush.order = bits - VTD_PAGE_SHIFT;
	flush.addr = bits < 64 ? start & ~(BIT_ULL(bits) - 1) : 0;

	flush.domain = domain;
	flush.map = ops == &intel_map_ops;
	flush.start = start;
	flush.end = end;
	flush.ih = ih;
	flush.entries = entries;
	flush.batch.index = 0;
	flush.batch.queued = false;
	flush.batch.start = 0;
	flush.retry = false;

	/* Aborts are rare, and what is clean may be flushed again. */
	do {
		flush.again = false;
		iommu_attach_flush(&domain->alist, ops, &flush);
		flush.retry = flush.again;
	} while (flush.again);
}

/* @ih: no page table has been taken out. */
void cache_tag_flush_range(struct dmar_domain *domain, unsigned long start,
			   unsigned long end, int ih)
{
	flush_domain(domain, &intel_unmap_ops, start, end, ih, false);
}

void cache_tag_flush_all(struct dmar_domain *domain)
{
	cache_tag_flush_range(domain, 0, ULONG_MAX, 0);
}

/* After a map, if the hardware asks for it: &dmar_domain.iotlb_sync_map. */
void cache_tag_flush_range_np(struct dmar_domain *domain, unsigned long start,
			      unsigned long end)
{
	flush_domain(domain, &intel_map_ops, start, end, false, false);
}

/* After a change to PASID entries that stay present (tables 28 and 29). */
static void flush_entries(struct dmar_domain *domain)
{
	flush_domain(domain, &intel_unmap_ops, 0, ULONG_MAX, false, true);
}

/*
 * All attachments of a domain
 *
 * Their entries are written under the list's lock, and flushed after it.
 */

static bool support_force_snooping(struct dmar_domain *domain)
{
	struct intel_elm *pos;

	iommu_attach_for_each_locked(pos, &domain->alist, elm) {
		if (!ecap_sc_support(to_iommu(pos->elm.iommu_device)->ecap))
			return false;
	}
	return true;
}

/* In the entries that are there. */
static void set_page_snoop(struct dmar_domain *domain)
{
	struct intel_elm *pos;

	iommu_attach_for_each_locked(pos, &domain->alist, elm)
		intel_pasid_setup_page_snoop_control(to_iommu(pos->elm.iommu_device),
						     iommu_attach_elm_device(&pos->elm),
						     pos->elm.pasid);
}

/*
 * An entry has been written that does not enforce it: whoever began to enforce it since
 * it was looked up has not seen the entry, or sees it now.
 */
void domain_enforce_page_snoop(struct dmar_domain *domain)
{
	iommu_attach_lock(&domain->alist);
	set_page_snoop(domain);
	iommu_attach_unlock(&domain->alist);
	flush_entries(domain);
}

bool intel_iommu_enforce_cache_coherency_fs(struct iommu_domain *domain)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	bool flush;

	iommu_attach_lock(&dmar_domain->alist);
	flush = !dmar_domain->force_snooping && support_force_snooping(dmar_domain);
	if (flush) {
		dmar_domain->force_snooping = true;
		set_page_snoop(dmar_domain);
	}
	iommu_attach_unlock(&dmar_domain->alist);

	if (flush)
		flush_entries(dmar_domain);
	return dmar_domain->force_snooping;
}

/* The page table has a snoop bit in each entry, set on map. */
bool intel_iommu_enforce_cache_coherency_ss(struct iommu_domain *domain)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	bool support;

	iommu_attach_lock(&dmar_domain->alist);
	support = support_force_snooping(dmar_domain);
	if (support) {
		dmar_domain->sspt.vtdss_pt.common.features |=
			BIT(PT_FEAT_VTDSS_FORCE_COHERENCE);
		dmar_domain->force_snooping = true;
	}
	iommu_attach_unlock(&dmar_domain->alist);
	return support;
}

/* Of the domain's own attachments, and of those of its nests. */
static int write_dirty_tracking(struct dmar_domain *domain, bool enable)
{
	struct intel_elm *pos;
	int ret;

	domain->dirty_tracking = enable;
	iommu_attach_for_each_locked(pos, &domain->alist, elm) {
		ret = intel_pasid_setup_dirty_tracking(to_iommu(pos->elm.iommu_device),
						       iommu_attach_elm_device(&pos->elm),
						       pos->elm.pasid, enable);
		if (ret)
			return ret;
	}
	return 0;
}

int intel_iommu_set_dirty_tracking(struct iommu_domain *domain, bool enable)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	int ret;

	iommu_attach_lock(&dmar_domain->alist);
	if (dmar_domain->dirty_tracking == enable) {
		iommu_attach_unlock(&dmar_domain->alist);
		return 0;
	}
	ret = write_dirty_tracking(dmar_domain, enable);
	if (ret)
		write_dirty_tracking(dmar_domain, !enable);
	iommu_attach_unlock(&dmar_domain->alist);

	flush_entries(dmar_domain);
	return ret;
}
