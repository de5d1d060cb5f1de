// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attachments of a domain, and the flush of what caches its translations
 *
 * A domain has one list, domain->alist, with an attachment for each (device, PASID);
 * requests without PASID have IOMMU_NO_PASID. Lookups of attachments and of cache tags use
 * the list. Section numbers are those of the architecture specification, revision 5.10.
 *
 * Tags. A domain has one DID per IOMMU, allocated with its first attachment there and freed
 * with its last. Entries of first-stage tables also carry the PASID (6.2.4), and so do
 * their tags:
 *
 *   attached          on the list of   kind   tag          descriptor
 *   second stage      the domain       own    DID          IOTLB
 *   first stage, SVA  the domain       own    DID, PASID   PASID-based IOTLB
 *   first on second   the nest         own    DID, PASID   PASID-based IOTLB
 *                     its parent       nest   DID          IOTLB
 *
 * Translations through a parent are cached under the DIDs of its nests, by addresses that
 * the parent does not know. An IOTLB invalidation by pages drops all entries of the DID that
 * may depend on them; the ATC is invalidated as a whole.
 *
 * Order of commands. The IOMMU keeps device-TLB invalidations behind the IOTLB, context and
 * PASID cache invalidations ahead of them (6.5.2.12). A flush therefore has one submission
 * and one wait per IOMMU.
 *
 * Order of steps:
 *
 *   attach:  ATS on (legacy mode) -> add to the list -> write the entry
 *   replace: add the new -> clear the entry, flush -> write the entry -> delete the old
 *   detach:  clear the entry, flush -> delete -> fence -> ATS off (legacy mode)
 *
 * The entry is the device's context entry, or its PASID entry in scalable mode. A tag is
 * clean when its last attachment is deleted: the hardware has not used it since the flush.
 * Flushes that began before may still send device-TLB invalidations; the fence waits for
 * them, so that the device may be reset or removed after a detach.
 *
 * did_lock of the IOMMU is held from the choice of a DID until the attachment is on the
 * list, and from its deletion until the DID is freed. The list's lock is taken inside it,
 * and iommu->lock inside that.
 */
#define pr_fmt(fmt)	"DMAR: " fmt

/* A flush has a batch on its stack, too: keep the window small. */
#define IOMMU_ATTACH_WINDOW	4

#include <linux/bitfield.h>
#include <linux/dmar.h>
#include <linux/iommu-alist.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/rbtree.h>

#include "iommu.h"
#include "pasid.h"
#include "perf.h"
#include "trace.h"

#define TAG_DID		GENMASK_ULL(15, 0)
#define TAG_PASID	GENMASK_ULL(51, 32)

/* What a device-TLB invalidation says about the device. */
#define ATC_SID		GENMASK_ULL(15, 0)
#define ATC_PFSID	GENMASK_ULL(31, 16)
#define ATC_PASID	GENMASK_ULL(51, 32)
#define ATC_QDEP	GENMASK_ULL(56, 52)
#define ATC_EXTRA_INVAL	BIT_ULL(57)	/* the device needs the command twice */

/* How often a flush tries what an IOMMU has rejected, or to have a device refused. */
#define FLUSH_TRIES	4

/* An attachment, and one to a nested domain. Both begin in the same way. */
struct intel_attach {
	struct dev_pasid_info info;
	struct iommu_attach_elm elm;
};

struct intel_nest {
	struct dev_pasid_info info;
	struct iommu_attach_nest nest;
};

static_assert(offsetof(struct intel_attach, elm) == offsetof(struct intel_nest, nest.s1));

/* What is on a list: an attachment, or the half of a nest. */
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

/* True if the tags of the domain's translations include a PASID. */
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
 * Domain IDs
 */

/* Return: the DID that the domain has on this IOMMU, or a new one. */
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

/* Gives the DID back if no attachment is left that uses it. */
static void put_did(struct dmar_domain *domain, struct intel_iommu *iommu, u16 did)
{
	u64 tag;

	lockdep_assert_held(&iommu->did_lock);

	/* Where an invalidation failed for good, something may be cached by it. */
	if (!domain_is_sva(domain) && !intel_iommu_has_failed(iommu) &&
	    iommu_attach_find_tag(&domain->alist, &iommu->iommu, &tag))
		ida_free(&iommu->domain_ida, did);
}

/* The DID of a domain on an IOMMU where something is attached to it. */
u16 domain_id_iommu(struct dmar_domain *domain, struct intel_iommu *iommu)
{
	u64 tag;

	if (WARN_ON_ONCE(iommu_attach_find_tag(&domain->alist, &iommu->iommu, &tag)))
		return 0;
	return FIELD_GET(TAG_DID, tag);
}

/*
 * Lookups
 */

/* The attachments of one device are serialised by its group, or by the IOMMU's did_lock. */
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
		found = &container_of(&pos->elm, struct intel_attach, elm)->info;
		break;
	}
	iommu_attach_unlock(&domain->alist);
	return found;
}

/* The device of the domain that has a requester ID, which may be an alias of another one. */
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

/*
 * Events
 */

/* How many attachments share the tag; only events ask for that. */
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

static void trace_half(struct device *dev, struct iommu_attach_list *alist,
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
	tag.dev = dev;
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
	const struct intel_nest *nest = container_of(dev_pasid, struct intel_nest, info);

	if (add ? !trace_cache_tag_assign_enabled() : !trace_cache_tag_unassign_enabled())
		return;
	trace_half(dev_pasid->dev, &domain->alist, &nest->nest.s1, add);
	if (domain_is_nest(domain))
		trace_half(dev_pasid->dev, &domain->s2_domain->alist, &nest->nest.s2, add);
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
	       (info->dtlb_extra_inval ? ATC_EXTRA_INVAL : 0);
}

static struct iommu_attach_elm make_elm(struct device *dev, ioasid_t pasid, u16 did)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct iommu_attach_elm elm = {
		.iommu_device = &info->iommu->iommu,
		.fence = &info->iommu->fence,
		.endpoint = &info->endpoint,
		.tag = FIELD_PREP(TAG_DID, did),
		.atc = pack_atc(info, pasid),
		.pasid = pasid,
		.using_atc = info->ats_enabled,
	};

	iommu_attach_elm_set_device(&elm, dev);
	return elm;
}

/* Puts an attachment on the list of the domain, and of its parent. */
static int list_add_dev_pasid(struct dmar_domain *domain, struct dev_pasid_info *dev_pasid,
			      u16 did)
{
	struct iommu_attach_elm elm = make_elm(dev_pasid->dev, dev_pasid->pasid, did);

	if (domain_is_nest(domain)) {
		struct intel_nest *nest = container_of(dev_pasid, struct intel_nest, info);

		nest->nest.s1 = elm;
		nest->nest.s1.tag |= FIELD_PREP(TAG_PASID, dev_pasid->pasid);
		nest->nest.s2 = elm;
		return iommu_attach_add_nest(&domain->alist, &domain->s2_domain->alist,
					     &nest->nest);
	} else {
		struct intel_attach *attach = container_of(dev_pasid, struct intel_attach, info);

		attach->elm = elm;
		if (domain_tags_pasid(domain))
			attach->elm.tag |= FIELD_PREP(TAG_PASID, dev_pasid->pasid);
		return iommu_attach_add(&domain->alist, &attach->elm);
	}
}

/*
 * Adds an attachment. Call it before the hardware may use the domain for (device, PASID). On
 * failure nothing has changed.
 */
struct dev_pasid_info *domain_add_dev_pasid(struct iommu_domain *domain,
					    struct device *dev, ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct intel_iommu *iommu = info->iommu;
	struct dev_pasid_info *dev_pasid;
	int did, ret;

	/* A plain attachment does not carry the other half of a nest. */
	dev_pasid = kzalloc(domain_is_nest(dmar_domain) ? sizeof(struct intel_nest) :
							  sizeof(struct intel_attach),
			    GFP_KERNEL);
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
	ret = list_add_dev_pasid(dmar_domain, dev_pasid, did);
	if (ret < 0) {
		put_did(dmar_domain, iommu, did);
		kfree(dev_pasid);
		return ERR_PTR(ret);
	}
	trace_dev_pasid(dmar_domain, dev_pasid, true);
	if (pasid == IOMMU_NO_PASID)
		info->domain = dmar_domain;
	return dev_pasid;
}

/*
 * An IOMMU may still walk the page table, so it must not be freed. Call this while the device is on
 * the list of the domain.
 */
static void keep_domain(struct dmar_domain *domain)
{
	WRITE_ONCE(domain->kept, true);
	if (domain_is_nest(domain))
		WRITE_ONCE(domain->s2_domain->kept, true);
	/* An unmap that does not find the device any more sees it. */
	synchronize_rcu();
}

/*
 * Removes an attachment that the hardware no longer uses and of which it caches nothing. When
 * this returns, no flush sends to the ATC of (device, PASID). Domains without a list are
 * ignored.
 */
void domain_remove_dev_pasid(struct iommu_domain *domain, struct device *dev,
			     ioasid_t pasid)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = info->iommu;
	struct dev_pasid_info *dev_pasid;
	struct dmar_domain *dmar_domain;
	struct intel_attach *attach;
	bool using_atc;
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
	attach = container_of(dev_pasid, struct intel_attach, info);
	if (unlikely(intel_iommu_has_failed(iommu)))
		keep_domain(dmar_domain);

	scoped_guard(mutex, &iommu->did_lock) {
		if (pasid == IOMMU_NO_PASID)
			info->domain = NULL;
		did = FIELD_GET(TAG_DID, attach->elm.tag);
		using_atc = attach->elm.using_atc;
		if (domain_is_nest(dmar_domain))
			iommu_attach_del_nest_free(&dmar_domain->alist,
						   &dmar_domain->s2_domain->alist,
						   container_of(dev_pasid, struct intel_nest, info),
						   nest);
		else
			iommu_attach_del_free(&dmar_domain->alist, attach, elm);
		put_did(dmar_domain, iommu, did);
	}
	if (using_atc)
		iommu_attach_fence(&iommu->fence);
}

/*
 * ATS has just been turned on in a device that may be attached without PASID. The group's mutex
 * is not held, but did_lock is, since before that: an attach sees ATS on, or is seen here.
 */
int domain_enable_atc(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dev_pasid_info *dev_pasid;

	lockdep_assert_held(&info->iommu->did_lock);

	if (!info->ats_enabled || !info->domain)
		return 0;
	dev_pasid = find_dev_pasid(info->domain, dev, IOMMU_NO_PASID);
	if (!dev_pasid)
		return 0;
	return iommu_attach_enable_atc(&container_of(dev_pasid, struct intel_attach, info)->elm);
}

/*
 * Silent devices
 *
 * A device that does not answer device-TLB invalidations is first set aside: flushes leave it
 * out. That takes no wait, and may be done anywhere. Then the IOMMU is made to refuse it, which
 * takes three invalidations; a flush that ends before that fails. It is done
 *
 *   by each flush that finds the device silent or has left it out, in the IOMMU's fence;
 *   on detach and attach, with the group's mutex held.
 *
 * It is done again and again until it succeeds. intel_iommu_resume() has the mutex, and waits
 * for the fence before it lets the device in: so what is refused was set aside since then, and
 * the device cannot be let in between its refusal and iommu_attach_blocked().
 *
 * The bit that lets a device in is only set by intel_context_set_present(), where the device is
 * not set aside. device_rbtree_lock guards it, and keeps the device.
 */

/* What lets translation requests and translated requests of the device through. */
#define CONTEXT_ATS	BIT_ULL(2)
#define CONTEXT_PRESENT	BIT_ULL(0)

static int cmp_sid(const void *key, const struct rb_node *node)
{
	const struct device_domain_info *info = rb_entry(node, struct device_domain_info, node);

	return (int)*(const u16 *)key - PCI_DEVID(info->bus, info->devfn);
}

/* device_rbtree_lock keeps the device. */
static struct device_domain_info *find_sid(struct intel_iommu *iommu, u16 sid)
{
	struct rb_node *node;

	lockdep_assert_held(&iommu->device_rbtree_lock);
	node = rb_find(&sid, &iommu->device_rbtree, cmp_sid);
	return node ? rb_entry(node, struct device_domain_info, node) : NULL;
}

/* The fence keeps the device. */
static bool sid_is_present(struct intel_iommu *iommu, u16 sid)
{
	struct device *dev = device_rbtree_find(iommu, sid);

	return dev && pci_device_is_present(to_pci_dev(dev));
}

/**
 * intel_context_set_present() - Let a device in
 * @iommu: The IOMMU.
 * @info: The device, or NULL if the entry is of a requester that has no ATC.
 * @context: Its context entry, complete but for this. It may be present already.
 *
 * The IOMMU answers the device's translation requests from then on if ATS is on in the device
 * and it is not set aside. If it is set aside after this has looked, refuse_ats() finds the bit
 * and clears it.
 *
 * Context: iommu->lock is held. Takes device_rbtree_lock: refuse_ats() does without
 * iommu->lock.
 */
void intel_context_set_present(struct intel_iommu *iommu, struct device_domain_info *info,
			       struct context_entry *context)
{
	guard(raw_spinlock_irqsave)(&iommu->device_rbtree_lock);
	if (info && info->ats_enabled && !iommu_attach_is_aside(&info->endpoint))
		context->lo |= CONTEXT_ATS;
	context_set_present(context);
}

/*
 * Makes the IOMMU refuse what a device has cached (table 25 for what is to be invalidated).
 * Flushes run in any context, and iommu->lock is taken with interrupts on: so this goes
 * without it. Return: true if the IOMMU refuses it.
 */
static bool refuse_ats(struct intel_iommu *iommu, u16 sid)
{
	u8 bus = PCI_BUS_NUM(sid), devfn = sid & 0xff;
	struct qi_desc desc[1] = {};
	struct context_entry *context;
	u64 lo;
	u16 did;

	context = iommu_context_addr(iommu, bus, devfn, 0);
	/* A crash kernel does not touch the entry that it inherited. */
	if (!context)
		return !context_copied(iommu, bus, devfn);
	scoped_guard(raw_spinlock_irqsave, &iommu->device_rbtree_lock) {
		lo = READ_ONCE(context->lo);
		/* With iommu->lock held, others may clear or make the entry. */
		while (lo & CONTEXT_ATS && !try_cmpxchg64(&context->lo, &lo, lo & ~CONTEXT_ATS))
			;
	}
	__iommu_flush_cache(iommu, context, sizeof(*context));

	/* The device's domain in legacy mode; in scalable mode it may have many. */
	did = sm_supported(iommu) ? 0 : context_domain_id(context);
	desc[0].qw0 = QI_CC_SID(sid) | QI_CC_DID(did) | QI_CC_GRAN(DMA_CCMD_DEVICE_INVL) |
		      QI_CC_TYPE;
	if (qi_submit_sync(iommu, desc, 1, 0))
		return false;
	desc[0].qw0 = QI_PC_GRAN(QI_PC_GLOBAL) | QI_PC_TYPE;
	if (sm_supported(iommu) && qi_submit_sync(iommu, desc, 1, 0))
		return false;
	qi_desc_iotlb(iommu, did, 0, 0,
		      sm_supported(iommu) ? DMA_TLB_GLOBAL_FLUSH : DMA_TLB_DSI_FLUSH, desc);
	if (qi_submit_sync(iommu, desc, 1, 0))
		return false;
	/* Clearing the present bit may put this one back: then try again. */
	lo = READ_ONCE(context->lo);
	return !(lo & CONTEXT_ATS && lo & CONTEXT_PRESENT);
}

/* @info is set aside, and stays. Return: true if its IOMMU refuses it. */
static bool block_device(struct device_domain_info *info)
{
	if (!refuse_ats(info->iommu, PCI_DEVID(info->bus, info->devfn)))
		return false;
	iommu_attach_blocked(&info->endpoint);
	return true;
}

/**
 * intel_iommu_silent() - The ATC of a device cannot be invalidated
 * @iommu: The IOMMU that it is behind.
 * @sid: Its requester ID.
 *
 * Sets the device aside: flushes no longer send to it. The next flush that leaves it out, or a
 * detach, makes the IOMMU refuse its translated requests, so that it cannot use what it has
 * cached. It stays set aside until it is attached again, see intel_iommu_resume().
 *
 * Context: Any context but NMI. Does not wait for hardware.
 * Return: true if the device is set aside now; false if there is no such device.
 */
bool intel_iommu_silent(struct intel_iommu *iommu, u16 sid)
{
	struct device_domain_info *info;

	guard(raw_spinlock_irqsave)(&iommu->device_rbtree_lock);
	info = find_sid(iommu, sid);
	if (!info)
		return false;
	if (iommu_attach_is_aside(&info->endpoint))
		return true;
	iommu_attach_set_aside(&info->endpoint);
	dev_err_ratelimited(info->dev,
			    "No answer to a device-TLB invalidation. ATS is refused until it is attached again\n");
	return true;
}

/**
 * intel_iommu_block_silent() - Have what a device has cached refused, if it is set aside
 * @info: The device.
 *
 * Called where its ATC would have been invalidated, and after that has been tried: no flush
 * that comes after a detach finds the attachment.
 *
 * Context: Process context, with the mutex of the device's group held. Waits for the IOMMU.
 */
void intel_iommu_block_silent(struct device_domain_info *info)
{
	if (iommu_attach_is_aside(&info->endpoint) && !block_device(info))
		dev_err_ratelimited(info->dev,
				    "ATS cannot be refused. The device may still reach what was unmapped\n");
}

/**
 * intel_iommu_resume() - Give a device that was silent another chance
 * @info: The device, which is about to be attached.
 *
 * Turning ATS on has emptied its ATC (PCI Express 6.0, 10.5.1.3). In legacy mode the caller has
 * done that, and the device has no attachment yet. In scalable mode there may be attachments of
 * PASIDs: the IOMMU refuses the device from before the reset until no flush is left that has
 * not seen it back.
 *
 * The fence has no part of what qi_submit_sync() sends outside of flushes. If that has read from
 * the IOMMU, before the reset, that the device is silent, it may set the device aside when it is
 * back. Nothing becomes stale: the next flush blocks the device, which is without ATS until its
 * next attach.
 *
 * Context: Process context, with the mutex of the device's group held. Sleeps.
 */
void intel_iommu_resume(struct device_domain_info *info)
{
	struct intel_iommu *iommu = info->iommu;

	if (!info->ats_enabled || !iommu_attach_is_aside(&info->endpoint))
		return;

	/* Flushes that have sent to it may be about to set it aside once more. */
	iommu_attach_fence(&iommu->fence);
	if (sm_supported(iommu)) {
		/* Else the ATC could be filled again before flushes reach it. */
		if (!block_device(info))
			return;
		pci_disable_ats(to_pci_dev(info->dev));
		if (pci_enable_ats(to_pci_dev(info->dev), VTD_PAGE_SHIFT)) {
			info->ats_enabled = 0;
			return;
		}
	}
	iommu_attach_resume(&info->endpoint);
	/*
	 * Those that have left it out may be about to invalidate the IOTLB, or to have it
	 * refused and say that it is blocked.
	 */
	iommu_attach_fence(&iommu->fence);
	if (sm_supported(iommu))
		intel_pasid_allow_ats(info->dev);
}

/*
 * Flush
 */

/* One flush, on the stack of the caller. */
struct intel_flush {
	struct dmar_domain *domain;
	unsigned long start, end;	/* inclusive */
	u64 addr;			/* the pages that cover them */
	u8 order;
	u8 rejects;			/* by any IOMMU */
	bool map : 1;			/* something has been mapped, nothing unmapped */
	bool ih : 1;			/* only leaves have changed */
	bool entries : 1;		/* what points to the page table has changed */
	u32 began;			/* if latency is sampled, else 0: see flush_now() */
	struct qi_batch batch;
};

static noinline void trace_flush(const struct intel_flush *flush, struct intel_iommu *iommu,
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

/* With caching mode, all but first-stage entries are cached even if not present (6.1). */
static bool caches_not_present(struct dmar_domain *domain, struct intel_iommu *iommu)
{
	return cap_caching_mode(iommu->cap) && !intel_domain_is_fs_paging(domain);
}

static void send_pasid_cache(struct intel_flush *flush, struct intel_iommu *iommu,
			     const struct iommu_attach_group *group, bool by_pasid)
{
	u64 qw0 = QI_PC_DID(FIELD_GET(TAG_DID, group->tag)) | QI_PC_TYPE |
		  QI_PC_GRAN(by_pasid ? QI_PC_PASID_SEL : QI_PC_ALL_PASIDS) |
		  QI_PC_PASID(FIELD_GET(TAG_PASID, group->tag));

	qi_batch_add(iommu, &flush->batch, qw0, 0);
}

/* The command for a first stage. */
static void send_piotlb(struct intel_flush *flush, struct intel_iommu *iommu,
			const struct iommu_attach_group *group)
{
	u16 did = FIELD_GET(TAG_DID, group->tag);
	u32 pasid = FIELD_GET(TAG_PASID, group->tag);
	struct qi_desc desc;

	if (flush->order >= MAX_AGAW_PFN_WIDTH)
		qi_desc_piotlb_all(did, pasid, &desc);
	else
		qi_desc_piotlb(did, pasid, flush->addr, flush->order, flush->ih, &desc);
	qi_batch_add(iommu, &flush->batch, desc.qw0, desc.qw1);
}

/* The command for a second stage, which has a form for IOMMUs without a queue. */
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
		__iommu_flush_iotlb(iommu, did, addr & VTD_PAGE_MASK, order, type);
		return;
	}
	qi_desc_iotlb(iommu, did, addr, order, type, &desc);
	qi_batch_add(iommu, &flush->batch, desc.qw0, desc.qw1);
}

/* Here, where the stack is less deep: a group or a target takes two commands at most. */
static __always_inline void flush_make_room(struct intel_flush *flush, struct intel_iommu *iommu)
{
	if (unlikely(flush->batch.index > QI_MAX_BATCHED_DESC_COUNT - 2))
		qi_batch_queue(iommu, &flush->batch);
}

static __always_inline void flush_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct intel_iommu *iommu = to_iommu(group->iommu_device);
	struct intel_flush *flush = arg;
	bool by_pasid = domain_tags_pasid(flush->domain);

	if (flush->map && !caches_not_present(flush->domain, iommu))
		return;
	if (trace_flush_enabled(flush))
		trace_flush(flush, iommu, group, 0);
	flush_make_room(flush, iommu);
	if (flush->entries)
		send_pasid_cache(flush, iommu, group, by_pasid);
	/* The tag of a nest is flushed in the way of the parent. */
	if (by_pasid)
		send_piotlb(flush, iommu, group);
	else
		send_iotlb(flush, iommu, group);
}

static noinline void send_atc(struct intel_flush *flush, const struct iommu_attach_group *group,
			      u64 atc)
{
	struct intel_iommu *iommu = to_iommu(group->iommu_device);
	u16 sid = FIELD_GET(ATC_SID, atc), pfsid = FIELD_GET(ATC_PFSID, atc);
	u32 pasid = FIELD_GET(ATC_PASID, atc);
	u16 qdep = FIELD_GET(ATC_QDEP, atc);
	unsigned int order = flush->order;
	u64 addr = flush->addr;
	struct qi_desc desc;

	/* Software is told not to send any while remapping is off (4.3). */
	if (!(iommu->gcmd & DMA_GCMD_TE))
		return;
	/* Entries change rarely enough to look first. */
	if (unlikely(flush->entries) && !sid_is_present(iommu, sid))
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
	qi_batch_add(iommu, &flush->batch, desc.qw0, desc.qw1);
	if (unlikely(atc & ATC_EXTRA_INVAL))
		qi_batch_add(iommu, &flush->batch, desc.qw0, desc.qw1);
}

/* Most targets are known by their requester id, and nothing is to be looked at. */
static __always_inline void flush_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct intel_iommu *iommu = to_iommu(group->iommu_device);
	struct intel_flush *flush = arg;
	struct qi_desc desc;

	flush_make_room(flush, iommu);
	if (unlikely(group->kind == IOMMU_ATTACH_NEST || atc & ATC_EXTRA_INVAL ||
		     FIELD_GET(ATC_PASID, atc) != IOMMU_NO_PASID || flush->entries ||
		     !(iommu->gcmd & DMA_GCMD_TE) || trace_cache_tag_flush_range_enabled())) {
		send_atc(flush, group, atc);
		return;
	}
	qi_desc_dev_iotlb(FIELD_GET(ATC_SID, atc), FIELD_GET(ATC_PFSID, atc),
			  FIELD_GET(ATC_QDEP, atc), flush->addr, flush->order, &desc);
	flush->batch.qw[flush->batch.index][0] = desc.qw0;
	flush->batch.qw[flush->batch.index++][1] = desc.qw1;
}

/* In 16 ns, which wraps after a minute: it has to fit into a small place on the stack. */
static u32 flush_now(void)
{
	return ktime_get_ns() >> 4;
}

static __always_inline u64 flush_submit(struct iommu_device *iommu_device, void *arg)
{
	struct intel_iommu *iommu = to_iommu(iommu_device);
	struct intel_flush *flush = arg;

	if (dmar_latency_enabled(iommu, DMAR_LATENCY_INV_IOTLB) && !flush->began)
		flush->began = flush_now();
	return qi_batch_submit(iommu, &flush->batch);
}

static bool is_aside(struct intel_iommu *iommu, u16 sid)
{
	struct device_domain_info *info;

	guard(raw_spinlock_irqsave)(&iommu->device_rbtree_lock);
	info = find_sid(iommu, sid);
	return info && iommu_attach_is_aside(&info->endpoint);
}

/* Not done yet, or failed. Return: what the list is to make of it. */
static noinline int flush_error(struct intel_flush *flush, struct intel_iommu *iommu, u16 silent,
				int error)
{
	/* It was sent only a few commands before it was set aside: their aborts are no tries. */
	if (silent && error == -EAGAIN && is_aside(iommu, silent))
		return -EBUSY;
	if (silent)
		intel_iommu_silent(iommu, silent);
	/* The descriptor has been dropped. When it is sent again, it may come through. */
	if (error == -EINVAL && ++flush->rejects < FLUSH_TRIES)
		return -EAGAIN;
	return error;
}

static __always_inline int flush_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct intel_iommu *iommu = to_iommu(iommu_device);
	struct intel_flush *flush = arg;
	u16 silent;
	int ret;

	/* Nothing was sent to this IOMMU. */
	if (!cookie)
		return 0;
	ret = qi_poll(iommu, cookie, &silent);
	if (unlikely(ret))
		ret = flush_error(flush, iommu, silent, ret);
	if (unlikely(flush->began) && ret != -EINPROGRESS)
		dmar_latency_update(iommu, DMAR_LATENCY_INV_IOTLB,
				    (u64)(flush_now() - flush->began) << 4);
	return ret;
}

/* The fence keeps the device. */
static struct device_domain_info *atc_device(struct iommu_device *iommu_device, u64 atc)
{
	struct intel_iommu *iommu = to_iommu(iommu_device);

	guard(raw_spinlock_irqsave)(&iommu->device_rbtree_lock);
	return find_sid(iommu, FIELD_GET(ATC_SID, atc));
}

/* Outside of RCU: it waits for the IOMMU. */
static void flush_aside(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	struct device_domain_info *info = atc_device(iommu_device, atc);
	int tries = FLUSH_TRIES;

	while (info && tries-- && !block_device(info))
		;
}

static void flush_silent(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	intel_iommu_silent(to_iommu(iommu_device), FIELD_GET(ATC_SID, atc));
	flush_aside(iommu_device, atc, arg);
}

static const struct iommu_attach_flush_ops intel_unmap_ops = {
	.iotlb = flush_iotlb,
	.atc = flush_atc,
	.submit = flush_submit,
	.wait = flush_wait,
	.silent = flush_silent,
	.aside = flush_aside,
};

/* An invalidation flushes the write buffer, too (6.8). */
static u64 map_submit(struct iommu_device *iommu_device, void *arg)
{
	struct intel_iommu *iommu = to_iommu(iommu_device);
	struct intel_flush *flush = arg;

	if (!caches_not_present(flush->domain, iommu))
		iommu_flush_write_buffer(iommu);
	return flush_submit(iommu_device, arg);
}

static const struct iommu_attach_flush_ops intel_map_ops = {
	.iotlb = flush_iotlb,
	.submit = map_submit,
	.wait = flush_wait,
};

static void flush_init(struct intel_flush *flush, struct dmar_domain *domain,
		       unsigned long start, unsigned long end)
{
	/* The smallest aligned power of two of pages that has both addresses in it. */
	unsigned int bits = max(fls64(start ^ end), VTD_PAGE_SHIFT);

	flush->domain = domain;
	flush->start = start;
	flush->end = end;
	flush->addr = bits < 64 ? start & ~(BIT_ULL(bits) - 1) : 0;
	flush->order = bits - VTD_PAGE_SHIFT;
	flush->map = false;
	flush->ih = false;
	flush->entries = false;
	flush->rejects = 0;
	flush->began = 0;
	qi_batch_init(&flush->batch);
}

/* Few callers can return it. */
static noinline void flush_failed(const struct intel_flush *flush, int error)
{
	pr_err_ratelimited("Invalidation of 0x%lx-0x%lx failed: %d. Devices may still %s\n",
			   flush->start, flush->end, error,
			   flush->entries ? "use old PASID entries" :
			   flush->map ? "not reach what was mapped" :
					"reach what was unmapped");
}

/**
 * cache_tag_flush_range() - Flush after pages were unmapped
 * @domain: The domain.
 * @start: The first address.
 * @end: The last one.
 * @ih: No page table has been taken out.
 *
 * Context: Any context but NMI. Waits for the IOMMUs.
 * Return: 0, or an error, which is reported: something may be cached. Pages that the IOMMU may
 * still walk are not to be given back then.
 */
int cache_tag_flush_range(struct dmar_domain *domain, unsigned long start,
			  unsigned long end, int ih)
{
	struct intel_flush flush __uninitialized;
	int ret;

	flush_init(&flush, domain, start, end);
	flush.ih = ih;
	ret = iommu_attach_flush_inline(&domain->alist, &intel_unmap_ops, &flush);
	if (unlikely(ret))
		flush_failed(&flush, ret);
	return ret;
}

void cache_tag_flush_all(struct dmar_domain *domain)
{
	cache_tag_flush_range(domain, 0, ULONG_MAX, 0);
}

/**
 * cache_tag_flush_range_np() - Flush after pages were mapped, see &dmar_domain.iotlb_sync_map
 * @domain: The domain.
 * @start: The first address.
 * @end: The last one.
 *
 * Context: Same as cache_tag_flush_range().
 * Return: 0, or an error, which is reported: that nothing was mapped may be cached.
 */
int cache_tag_flush_range_np(struct dmar_domain *domain, unsigned long start,
			     unsigned long end)
{
	struct intel_flush flush __uninitialized;
	int ret;

	flush_init(&flush, domain, start, end);
	flush.map = true;
	ret = iommu_attach_flush(&domain->alist, &intel_map_ops, &flush);
	if (unlikely(ret))
		flush_failed(&flush, ret);
	return ret;
}

/*
 * PASID entries of all attachments
 *
 * Entries are changed with the list's lock held, and flushed together after it: one wait per
 * IOMMU. A caller that finds nothing to change flushes as well, since the one that made the
 * change may not have done so yet. An attachment whose entry is not there yet, or is still
 * that of another domain, takes the settings when its entry is written, and once more after
 * that, see domain_settle_entry().
 */

/* After a change to PASID entries that stay present (tables 28 and 29), or go. */
static int flush_entries(struct dmar_domain *domain)
{
	struct intel_flush flush __uninitialized;
	int ret;

	flush_init(&flush, domain, 0, ULONG_MAX);
	flush.entries = true;
	ret = iommu_attach_flush(&domain->alist, &intel_unmap_ops, &flush);
	if (unlikely(ret))
		flush_failed(&flush, ret);
	return ret;
}

/*
 * The mm of an SVA domain and its page tables are going away. Attachments stay until they are
 * detached, and their PASIDs are not reused before that, so this does not tear down another
 * mm's entries.
 */
void domain_stop_pasids(struct dmar_domain *domain)
{
	struct intel_iommu *iommu;
	struct pasid_entry *pte;
	struct intel_elm *pos;

	iommu_attach_lock(&domain->alist);
	iommu_attach_for_each_locked(pos, &domain->alist, elm) {
		iommu = to_iommu(pos->elm.iommu_device);
		spin_lock(&iommu->lock);
		pte = intel_pasid_get_entry(iommu_attach_elm_device(&pos->elm), pos->elm.pasid);
		if (pte && pasid_pte_is_present(pte)) {
			/* The device is not at fault: do not report what it still tries. */
			WRITE_ONCE(pte->val[0], (READ_ONCE(pte->val[0]) | PASID_PTE_FPD) &
						~(u64)PASID_PTE_PRESENT);
			__iommu_flush_cache(iommu, pte, sizeof(*pte));
		}
		spin_unlock(&iommu->lock);
	}
	iommu_attach_unlock(&domain->alist);

	flush_entries(domain);
}

static bool support_force_snooping(struct dmar_domain *domain)
{
	struct intel_elm *pos;

	iommu_attach_for_each_locked(pos, &domain->alist, elm) {
		if (!ecap_sc_support(to_iommu(pos->elm.iommu_device)->ecap))
			return false;
	}
	return true;
}

static int write_page_snoop(const struct iommu_attach_elm *elm)
{
	return intel_pasid_setup_page_snoop_control(to_iommu(elm->iommu_device),
						    iommu_attach_elm_device(elm), elm->pasid,
						    FIELD_GET(TAG_DID, elm->tag));
}

static int write_dirty_tracking(const struct iommu_attach_elm *elm, bool enable)
{
	return intel_pasid_setup_dirty_tracking(to_iommu(elm->iommu_device),
						iommu_attach_elm_device(elm), elm->pasid,
						FIELD_GET(TAG_DID, elm->tag), enable);
}

/*
 * An entry has been written with the settings of @domain, which is its domain or the parent.
 * They may have changed before the entry was present: apply them again. A flush that fails is
 * reported: the entry is in use by now.
 */
void domain_settle_entry(struct dmar_domain *domain, struct device *dev, ioasid_t pasid)
{
	struct intel_elm *pos;
	int changed = 0;

	iommu_attach_lock(&domain->alist);
	iommu_attach_for_each_locked(pos, &domain->alist, elm) {
		if (pos->elm.pasid != pasid || iommu_attach_elm_device(&pos->elm) != dev)
			continue;
		if (!intel_domain_is_fs_paging(domain))
			changed |= write_dirty_tracking(&pos->elm, domain->dirty_tracking) > 0;
		else if (domain->force_snooping)
			changed |= write_page_snoop(&pos->elm) > 0;
	}
	iommu_attach_unlock(&domain->alist);

	if (changed)
		flush_entries(domain);
}

bool intel_iommu_enforce_cache_coherency_fs(struct iommu_domain *domain)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct intel_elm *pos;

	iommu_attach_lock(&dmar_domain->alist);
	if (!dmar_domain->force_snooping) {
		if (!support_force_snooping(dmar_domain)) {
			iommu_attach_unlock(&dmar_domain->alist);
			return false;
		}
		dmar_domain->force_snooping = true;
		iommu_attach_for_each_locked(pos, &dmar_domain->alist, elm)
			write_page_snoop(&pos->elm);
	}
	iommu_attach_unlock(&dmar_domain->alist);

	return !flush_entries(dmar_domain);
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

/*
 * Of the domain's own attachments, and of those of its nests. Return: 0, or what the first
 * entry fails with that cannot take it.
 */
static int change_dirty_tracking(struct dmar_domain *domain, bool enable)
{
	struct intel_elm *pos;
	int ret = 0;

	domain->dirty_tracking = enable;
	iommu_attach_for_each_locked(pos, &domain->alist, elm)
		ret = ret ?: min(write_dirty_tracking(&pos->elm, enable), 0);
	return ret;
}

/* If entries by the old setting may be cached, the old one stays. */
int intel_iommu_set_dirty_tracking(struct iommu_domain *domain, bool enable)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	bool change;
	int ret = 0;

	iommu_attach_lock(&dmar_domain->alist);
	change = dmar_domain->dirty_tracking != enable;
	if (change)
		ret = change_dirty_tracking(dmar_domain, enable);
	iommu_attach_unlock(&dmar_domain->alist);

	if (!ret)
		ret = flush_entries(dmar_domain);
	if (!ret || !change)
		return ret;

	/* All of them: an entry may have been made by the new setting. */
	iommu_attach_lock(&dmar_domain->alist);
	change_dirty_tracking(dmar_domain, !enable);
	iommu_attach_unlock(&dmar_domain->alist);
	flush_entries(dmar_domain);
	return ret;
}
