// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attachments of a domain, and the flush of what caches its translations
 *
 * A domain has one list, domain->alist, with a struct amd_iommu_attachment for each
 * (device, PASID); requests without PASID have IOMMU_NO_PASID. Section numbers are those
 * of the I/O Virtualization Technology specification, 48882.
 *
 * Tags. The device table entry has the DomainID that IOTLB entries carry. Those of v2
 * tables carry the PASID, too:
 *
 *   attached        on the list of   kind   DomainID of   PASID   INVALIDATE_IOMMU_PAGES
 *   v1 table        the domain       own    the domain    no      GN = 0
 *   v2 table, SVA   the domain       own    the device    yes     GN = 1
 *   v2 on v1        its parent       nest   the nest      no      GN = 0
 *
 * The ID of a device is that of its GCR3 table. Devices without PASIDs share the ID of their
 * v2 domain. A guest flushes its own tables, so only the parent has a list entry for a nest.
 * The parent does not know which addresses the device has requested, so the whole ATC is
 * invalidated. The identity domain never changes and has no list.
 *
 * Order of steps:
 *
 *   attach:  ATS on -> add to the list -> write the entry -> INVALIDATE_DEVTAB_ENTRY
 *   detach:  clear the entry -> INVALIDATE_DEVTAB_ENTRY -> flush the tag on the IOMMU of
 *            the device -> delete -> fence -> ATS off
 *
 * So the tag is clean on an IOMMU when its last attachment there is deleted. If a detach has
 * failed, the domain is kept: neither its ID nor tables of it are given to anybody else, and
 * each attach to it flushes the tag.
 *
 * Entries are written and changed under domain->lock, which also guards the top of the page
 * table. A change may come in any context, so it walks the list without a lock. It changes an
 * entry only if the entry translates with the attachment's tag: an attachment whose entry is
 * not written yet gets the new settings when it is, and one that is leaving stays blocked.
 * Only then does it access the device, which therefore exists.
 */
#define pr_fmt(fmt)	"AMD-Vi: " fmt

/* The stack of a flush has a batch, too. */
#define IOMMU_ATTACH_WINDOW	4

#include <linux/bitfield.h>
#include <linux/iommu-alist.h>
#include <linux/iopoll.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "amd_iommu.h"

#define TAG_DOMID		GENMASK_ULL(15, 0)
#define TAG_GN			BIT_ULL(16)
#define TAG_PASID		GENMASK_ULL(51, 32)

/* What INVALIDATE_IOTLB_PAGES says about the device. */
#define ATC_DEVID		GENMASK_ULL(15, 0)
#define ATC_QDEP		GENMASK_ULL(23, 16)
#define ATC_GN			BIT_ULL(24)
#define ATC_PASID		GENMASK_ULL(51, 32)

/*
 * A cookie of flush_submit(): the number to wait for, and if there are commands for ATCs
 * in front of it, when they were submitted. Units are of 2^20 ns, about a millisecond.
 */
#define COOKIE_SEQ		GENMASK_ULL(31, 0)
#define COOKIE_TIME		GENMASK_ULL(61, 32)
#define COOKIE_ATC		BIT_ULL(62)
#define COOKIE_FULL		BIT_ULL(63)	/* not everything was queued, see flush_submit() */

/* Looks at the number that was stored before a flush turns to the next IOMMU. */
#define FLUSH_POLLS		16

/* An IOMMU waits a second for a device, as CONTROL_INV_TIMEOUT says, and goes on. */
#define FLUSH_LATE		900

/* How often a flush leaves it to the event log to name the silent device. */
#define FLUSH_LATE_TRIES	3

/* How long an attach waits for the thread that reads the event log. */
#define LOG_TIMEOUT_US		USEC_PER_SEC

struct amd_iommu_attachment {
	struct iommu_attach_elm elm;
	struct iommu_dev_data *dev_data;	/* never freed */
};

/* One flush, on the stack. */
struct amd_iommu_flush {
	u64 address, last;		/* inclusive */
	u32 flags;			/* of INVALIDATE_IOMMU_PAGES */
	u32 began;			/* when a wait was longer than a moment, or 0 */
	u32 asked;			/* when the first command for an ATC was built, if @atc */
	u8 late;			/* how often */
	bool atc;			/* of the commands since the last submission: */
	bool full;
	unsigned int queued;
	unsigned int nr;
	struct iommu_cmd cmds[8];
};

static struct amd_iommu *to_iommu(struct iommu_device *iommu_device)
{
	return container_of(iommu_device, struct amd_iommu, iommu);
}

/*
 * Attach and detach
 */

/**
 * amd_iommu_link() - Put an attachment on the list of a domain
 * @pdom: The domain; of a nest, its parent.
 * @dev_data: The device. Its ATS is on, if it is going to be.
 * @pasid: The PASID, or IOMMU_NO_PASID.
 * @domid: The DomainID that the entry of the device has, or is about to have.
 * @kind: &enum iommu_attach_kind.
 *
 * Call it before the hardware may use the domain for (device, PASID).
 *
 * Context: Process context. Sleeps.
 * Return: The attachment, or an error pointer.
 */
struct amd_iommu_attachment *amd_iommu_link(struct protection_domain *pdom,
					    struct iommu_dev_data *dev_data,
					    ioasid_t pasid, u16 domid, u8 kind)
{
	struct amd_iommu *iommu = get_amd_iommu_from_dev_data(dev_data);
	bool gn = pdom->pd_mode == PD_MODE_V2 || pdom->domain.type == IOMMU_DOMAIN_SVA;
	struct amd_iommu_attachment *attachment;
	int ret;

	attachment = kzalloc_obj(*attachment);
	if (!attachment)
		return ERR_PTR(-ENOMEM);
	attachment->dev_data = dev_data;
	attachment->elm = (struct iommu_attach_elm) {
		.iommu_device = &iommu->iommu,
		.fence = &iommu->fence,
		.endpoint = &dev_data->endpoint,
		.tag = FIELD_PREP(TAG_DOMID, domid) | FIELD_PREP(TAG_PASID, pasid) |
		       (gn ? TAG_GN : 0),
		.atc = FIELD_PREP(ATC_DEVID, dev_data->devid) |
		       FIELD_PREP(ATC_QDEP, dev_data->ats_qdep & 0xff) |
		       FIELD_PREP(ATC_PASID, pasid) | (gn ? ATC_GN : 0),
		.pasid = pasid,
		.using_atc = dev_data->ats_enabled,
		.kind = kind,
	};
	iommu_attach_elm_set_device(&attachment->elm, dev_data->dev);

	ret = iommu_attach_add(&pdom->alist, &attachment->elm);
	if (ret < 0) {
		kfree(attachment);
		return ERR_PTR(ret);
	}

	/* What was unmapped while no device was behind the IOMMU may still be cached. */
	if (READ_ONCE(pdom->kept)) {
		ret = amd_iommu_flush_tlb_domid(iommu, domid, pasid, gn);
		if (ret) {
			amd_iommu_unlink(pdom, attachment);
			return ERR_PTR(ret);
		}
	}
	return attachment;
}

/**
 * amd_iommu_unlink() - Take an attachment off the list of its domain
 * @pdom: The domain that it was linked to.
 * @attachment: The attachment, or NULL. The hardware does not use it any more, and caches
 *	nothing of it.
 *
 * When this returns, no flush sends to the ATC of (device, PASID).
 *
 * Context: Process context. Sleeps.
 */
void amd_iommu_unlink(struct protection_domain *pdom, struct amd_iommu_attachment *attachment)
{
	struct iommu_attach_fence *fence;
	bool using_atc;

	if (!attachment)
		return;
	fence = attachment->elm.fence;
	using_atc = attachment->elm.using_atc;
	iommu_attach_del_free(&pdom->alist, attachment, elm);
	if (using_atc)
		iommu_attach_fence(fence);
}

/**
 * amd_iommu_find_pasid() - The attachment of a PASID
 * @pdom: The domain.
 * @dev_data: The device.
 * @pasid: The PASID.
 *
 * Context: Process context, with the mutex of the device's group held.
 * Return: The attachment, or NULL.
 */
struct amd_iommu_attachment *amd_iommu_find_pasid(struct protection_domain *pdom,
						  const struct iommu_dev_data *dev_data,
						  ioasid_t pasid)
{
	struct amd_iommu_attachment *pos, *found = NULL;

	iommu_attach_lock(&pdom->alist);
	iommu_attach_for_each_locked(pos, &pdom->alist, elm) {
		if (pos->dev_data == dev_data && pos->elm.pasid == pasid) {
			found = pos;
			break;
		}
	}
	iommu_attach_unlock(&pdom->alist);
	return found;
}

/**
 * amd_iommu_attachment_nested() - Is it a nest on the domain?
 * @attachment: The attachment, or NULL.
 *
 * Context: Any context.
 * Return: true if the device is attached to a nest, and the domain is the parent.
 */
bool amd_iommu_attachment_nested(const struct amd_iommu_attachment *attachment)
{
	return attachment && attachment->elm.kind == IOMMU_ATTACH_NEST;
}

/**
 * amd_iommu_attachment_domid() - The DomainID of an attachment
 * @attachment: The attachment.
 *
 * Context: Any context.
 * Return: The DomainID.
 */
u16 amd_iommu_attachment_domid(const struct amd_iommu_attachment *attachment)
{
	return FIELD_GET(TAG_DOMID, attachment->elm.tag);
}

/*
 * Silent devices
 *
 * A device that does not answer INVALIDATE_IOTLB_PAGES in time is named in the event log (2.5.8),
 * and the completion wait is late. The thread that reads the log sets the device aside: flushes
 * leave it out. Each flush that has left it out makes the IOMMU refuse its translated requests,
 * in the IOMMU's fence, or fails. That thread does not wait for the IOMMU, as others wait for
 * the thread.
 *
 * The event may never be read: the log overflows, or the flush is in an interrupt, on the CPU of
 * that thread. And a device may answer just before the timeout, each time. So a flush that has
 * been late several times asks one device after the other, and sets those aside that are late.
 *
 * An attach lets the device in again. Nothing sends to a device between its detach and its
 * attach, so events that are in the log by then are from before. The attach waits until they
 * have been read.
 *
 * amd_iommu_resume_device() waits for the fence: the device cannot be let in between its refusal
 * and iommu_attach_blocked(). The bit that lets it in is written where the device is not set
 * aside, under dte_lock, see amd_iommu_refuse_ats().
 */

/* @dev_data is set aside. */
static void block_device(struct amd_iommu *iommu, struct iommu_dev_data *dev_data)
{
	if (amd_iommu_refuse_ats(iommu, dev_data)) {
		pr_err_ratelimited("%04x:%02x:%02x.%d: ATS cannot be refused\n",
				   iommu->pci_seg->id, PCI_BUS_NUM(dev_data->devid),
				   PCI_SLOT(dev_data->devid), PCI_FUNC(dev_data->devid));
		return;
	}
	iommu_attach_blocked(&dev_data->endpoint);
}

/**
 * amd_iommu_silent() - A device does not answer INVALIDATE_IOTLB_PAGES
 * @iommu: The IOMMU that it is behind.
 * @devid: Its ID.
 *
 * Until it is attached again, flushes do not send to it, and the first of them has the IOMMU
 * refuse what it has cached.
 *
 * Context: Any context but NMI. Does not wait for the IOMMU.
 */
void amd_iommu_silent(struct amd_iommu *iommu, u16 devid)
{
	struct iommu_dev_data *dev_data = search_dev_data(iommu, devid);

	if (!dev_data || iommu_attach_is_aside(&dev_data->endpoint))
		return;
	iommu_attach_set_aside(&dev_data->endpoint);
	pr_err_ratelimited("%04x:%02x:%02x.%d: no answer to an invalidation. ATS is refused until it is attached again\n",
			   iommu->pci_seg->id, PCI_BUS_NUM(devid), PCI_SLOT(devid),
			   PCI_FUNC(devid));
}

/* Waits until what is in the event log now has been read. */
static void wait_for_log(struct amd_iommu *iommu)
{
	u32 first = readl(iommu->mmio_base + MMIO_EVT_HEAD_OFFSET);
	u32 tail = readl(iommu->mmio_base + MMIO_EVT_TAIL_OFFSET);
	u32 size = amd_iommu_evtlog_size;
	u32 head;

	/* The thread does not run yet. */
	if (!iommu->int_enabled)
		return;
	read_poll_timeout(readl, head, (head - first) % size >= (tail - first) % size, 100,
			  LOG_TIMEOUT_US, false, iommu->mmio_base + MMIO_EVT_HEAD_OFFSET);
}

/**
 * amd_iommu_resume_device() - Give a device that was silent another chance
 * @dev_data: The device, which is about to be attached.
 *
 * Call it when ATS has been turned on, which has emptied the ATC (PCI Express 6.0, 10.5.1.3),
 * and before anything can send to the device.
 *
 * Context: Process context, with dev_data->mutex held. Sleeps.
 */
void amd_iommu_resume_device(struct iommu_dev_data *dev_data)
{
	struct amd_iommu *iommu = get_amd_iommu_from_dev_data(dev_data);

	if (!dev_data->ats_enabled)
		return;
	wait_for_log(iommu);
	if (!iommu_attach_is_aside(&dev_data->endpoint))
		return;
	iommu_attach_resume(&dev_data->endpoint);
	/* Those that have left it out may be about to say that it is blocked. */
	iommu_attach_fence(&iommu->fence);
}

/*
 * Flush
 */

/*
 * A flush that has filled half of the buffer may not fit into all of it, however often it is sent
 * again. So it waits for room, inside the RCU read-side section, which no smaller flush does.
 */
static bool flush_is_big(const struct amd_iommu_flush *flush)
{
	return unlikely(flush->queued >= CMD_BUFFER_ENTRIES / 2);
}

static noinline void flush_queue(struct amd_iommu *iommu, struct amd_iommu_flush *flush)
{
	int ret;

	if (!flush->full) {
		ret = flush_is_big(flush) ? amd_iommu_queue(iommu, flush->cmds, flush->nr) :
					    amd_iommu_try_queue(iommu, flush->cmds, flush->nr);
		flush->queued += flush->nr;
		/* All of the flush is sent again. */
		flush->full = ret;
	}
	flush->nr = 0;
}

static struct iommu_cmd *flush_slot(struct amd_iommu *iommu, struct amd_iommu_flush *flush)
{
	if (unlikely(flush->nr == ARRAY_SIZE(flush->cmds)))
		flush_queue(iommu, flush);
	return &flush->cmds[flush->nr++];
}

/*
 * With NpCache the IOMMU is a hypervisor's, which has work with each page that is named:
 * the range is split into aligned pieces that cover just that. Return: the end of the first.
 */
static u64 flush_piece(const struct amd_iommu_flush *flush, u64 address)
{
	unsigned int order;

	if (likely(!amd_iommu_np_cache) || (!flush->address && flush->last == U64_MAX))
		return flush->last;
	order = ilog2(flush->last - address + 1);
	if (address)
		order = min_t(unsigned int, order, __ffs64(address));
	return address + (1ULL << order) - 1;
}

static void flush_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct amd_iommu *iommu = to_iommu(group->iommu_device);
	u16 domid = FIELD_GET(TAG_DOMID, group->tag);
	u32 pasid = FIELD_GET(TAG_PASID, group->tag);
	struct amd_iommu_flush *flush = arg;
	u32 flags = flush->flags;
	u64 address, last;

	if (group->tag & TAG_GN)
		flags |= CMD_INV_IOMMU_PAGES_GN_MASK;
	for (address = flush->address;; address = last + 1) {
		last = flush_piece(flush, address);
		build_inv_iommu_pages(flush_slot(iommu, flush), address, last, domid, pasid, flags);
		if (last >= flush->last)
			break;
	}
}

static u32 flush_now(void)
{
	return (ktime_get_ns() >> 20) & FIELD_MAX(COOKIE_TIME);
}

static u32 flush_since(u32 then)
{
	return (flush_now() - then) & FIELD_MAX(COOKIE_TIME);
}

static void flush_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct amd_iommu *iommu = to_iommu(group->iommu_device);
	bool nest = group->kind == IOMMU_ATTACH_NEST;
	struct amd_iommu_flush *flush = arg;

	/* Now, not at the submission: that may come late, if there is no room. */
	if (!flush->atc)
		flush->asked = flush_now();
	flush->atc = true;
	build_inv_iotlb_pages(flush_slot(iommu, flush), FIELD_GET(ATC_DEVID, atc),
			      FIELD_GET(ATC_QDEP, atc), nest ? 0 : flush->address,
			      nest ? U64_MAX : flush->last, FIELD_GET(ATC_PASID, atc),
			      atc & ATC_GN);
}

/*
 * If there was no room for all of it, some may be queued. The cookie has the number that stands
 * for that, and says that it is to be sent again.
 */
static u64 flush_submit(struct iommu_device *iommu_device, void *arg)
{
	struct amd_iommu *iommu = to_iommu(iommu_device);
	struct amd_iommu_flush *flush = arg;
	bool full = flush->full;
	bool atc = flush->atc;
	u64 cookie, seq;

	if (!full && flush_is_big(flush))
		full = amd_iommu_submit(iommu, flush->cmds, flush->nr, &seq);
	else if (amd_iommu_try_submit(iommu, flush->cmds, full ? 0 : flush->nr, &seq))
		full = true;
	flush->nr = 0;
	flush->queued = 0;
	flush->full = false;
	flush->atc = false;
	flush->began = 0;
	cookie = FIELD_PREP(COOKIE_SEQ, lower_32_bits(seq));
	if (unlikely(full))
		return cookie | COOKIE_FULL;
	if (unlikely(atc))
		cookie |= FIELD_PREP(COOKIE_TIME, flush->asked) | COOKIE_ATC;
	return cookie;
}

static bool flush_arrived(struct amd_iommu *iommu, u64 cookie)
{
	return (s32)(lower_32_bits(READ_ONCE(*iommu->cmd_sem)) - (u32)cookie) >= 0;
}

static int flush_late(struct amd_iommu *iommu, struct amd_iommu_flush *flush, u64 cookie)
{
	u64 stored = READ_ONCE(iommu->cmd_stored);
	s32 took = READ_ONCE(iommu->cmd_looked) - lower_32_bits(stored);

	/* The event log says which device was silent. If it is not one of ours, nothing is lost. */
	if (flush->late < FLUSH_LATE_TRIES) {
		flush->late++;
		return -EAGAIN;
	}
	/* Have its own commands taken that long, or those of others in front of them? */
	if (upper_32_bits(stored) == (u32)cookie - 1 && took >= FLUSH_LATE)
		return -ETIMEDOUT;
	return -EAGAIN;
}

static int flush_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct amd_iommu *iommu = to_iommu(iommu_device);
	struct amd_iommu_flush *flush = arg;
	bool arrived, stopped;
	u32 took;
	u64 seq;
	int i;

	for (i = 0; i < FLUSH_POLLS && !flush_arrived(iommu, cookie); i++)
		cpu_relax();
	if (likely(i < FLUSH_POLLS) && !(cookie & (COOKIE_ATC | COOKIE_FULL)))
		return 0;

	/* There may be no completion wait with that number yet. */
	if (cookie & COOKIE_FULL && i == FLUSH_POLLS)
		amd_iommu_try_submit(iommu, NULL, 0, &seq);

	if (cookie & COOKIE_ATC) {
		took = flush_since(FIELD_GET(COOKIE_TIME, cookie));
	} else {
		if (!flush->began)
			flush->began = flush_now() ?: 1;
		took = flush_since(flush->began);
	}
	/* It may have arrived before the clock was read, and before the buffer stopped. */
	stopped = amd_iommu_stopped(iommu);
	arrived = i < FLUSH_POLLS || flush_arrived(iommu, cookie);
	/* The IOMMU goes on. */
	if (arrived && cookie & COOKIE_FULL)
		return -EBUSY;
	if (arrived && (!(cookie & COOKIE_ATC) || took < FLUSH_LATE))
		return 0;
	if (arrived)
		return flush_late(iommu, flush, cookie);
	if (!stopped && !amd_iommu_stuck(iommu, took))
		return -EINPROGRESS;
	pr_alert_ratelimited("IOMMU %04x:%02x:%02x.%01x: %s\n",
			     iommu->pci_seg->id, PCI_BUS_NUM(iommu->devid),
			     PCI_SLOT(iommu->devid), PCI_FUNC(iommu->devid), stopped ?
			     "command buffer has stopped" : "completion wait timed out");
	return -EIO;
}

static void flush_silent(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	amd_iommu_silent(to_iommu(iommu_device), FIELD_GET(ATC_DEVID, atc));
}

/* Outside of RCU: it waits for the IOMMU. The fence keeps the device. */
static void flush_aside(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	struct amd_iommu *iommu = to_iommu(iommu_device);
	struct iommu_dev_data *dev_data;

	dev_data = search_dev_data(iommu, FIELD_GET(ATC_DEVID, atc));
	if (dev_data)
		block_device(iommu, dev_data);
}

static const struct iommu_attach_flush_ops amd_iommu_unmap_ops = {
	.iotlb = flush_iotlb,
	.atc = flush_atc,
	.submit = flush_submit,
	.wait = flush_wait,
	.silent = flush_silent,
	.aside = flush_aside,
};

/* ATCs do not keep what is not present. */
static const struct iommu_attach_flush_ops amd_iommu_map_ops = {
	.iotlb = flush_iotlb,
	.submit = flush_submit,
	.wait = flush_wait,
};

static __always_inline void flush_init(struct amd_iommu_flush *flush, u64 address, u64 last,
				       u32 flags)
{
	flush->address = address;
	flush->last = last;
	flush->flags = flags;
	flush->late = 0;
	flush->atc = false;
	flush->full = false;
	flush->queued = 0;
	flush->nr = 0;
}

/**
 * amd_iommu_domain_flush_pages() - Invalidate what caches have of a domain
 * @pdom: The domain.
 * @address: The first address.
 * @last: The last address.
 * @flags: CMD_INV_IOMMU_PAGES_PDE_MASK if page tables were taken out, else 0.
 *
 * Context: Any context.
 * Return: 0, or an error if caches may still have something.
 */
int amd_iommu_domain_flush_pages(struct protection_domain *pdom, u64 address, u64 last,
				 u32 flags)
{
	struct amd_iommu_flush flush __uninitialized;
	int ret;

	flush_init(&flush, address, last, flags);
	ret = iommu_attach_flush_inline(&pdom->alist, &amd_iommu_unmap_ops, &flush);
	if (unlikely(ret))
		pr_err_ratelimited("Invalidation of %#llx-%#llx failed: %d. Devices may still reach what was unmapped\n",
				   address, last, ret);
	return ret;
}

/**
 * amd_iommu_domain_flush_map() - Invalidate what IOTLBs have of entries not present
 * @pdom: The domain.
 * @address: The first address that was mapped.
 * @last: The last one.
 *
 * Context: Any context.
 * Return: 0, or -EIO.
 */
int amd_iommu_domain_flush_map(struct protection_domain *pdom, u64 address, u64 last)
{
	struct amd_iommu_flush flush __uninitialized;

	flush_init(&flush, address, last, CMD_INV_IOMMU_PAGES_PDE_MASK);
	return iommu_attach_flush(&pdom->alist, &amd_iommu_map_ops, &flush);
}

/*
 * Device table entries of all attachments
 */

/**
 * amd_iommu_domain_change_dtes() - Change the first word of the entries of a domain
 * @pdom: The domain; entries of nests that have it as their parent are changed, too.
 * @clear: The bits to clear.
 * @set: The bits to set.
 *
 * INVALIDATE_DEVTAB_ENTRY is queued, and not waited for.
 *
 * Context: Any context, with pdom->lock held.
 * Return: 0, or -EIO if it could not be queued for one of them.
 */
int amd_iommu_domain_change_dtes(struct protection_domain *pdom, u64 clear, u64 set)
{
	struct amd_iommu_attachment *pos;
	struct iommu_attach_walk walk;
	int ret = 0;

	lockdep_assert_held(&pdom->lock);

	iommu_attach_walk_begin(&walk, &pdom->alist);
	iommu_attach_for_each_all(pos, &walk, elm)
		ret |= amd_iommu_change_dte(to_iommu(pos->elm.iommu_device), pos->dev_data,
					    FIELD_GET(TAG_DOMID, pos->elm.tag), clear, set);
	iommu_attach_walk_end(&walk);
	return ret ? -EIO : 0;
}

static void flush_nothing(const struct iommu_attach_group *group, void *arg)
{
}

static const struct iommu_attach_flush_ops amd_iommu_wait_ops = {
	.iotlb = flush_nothing,
	.submit = flush_submit,
	.wait = flush_wait,
};

/**
 * amd_iommu_domain_wait() - Wait for what has been queued to the IOMMUs of a domain
 * @pdom: The domain.
 *
 * Context: Any context.
 * Return: 0, or -EIO.
 */
int amd_iommu_domain_wait(struct protection_domain *pdom)
{
	struct amd_iommu_flush flush __uninitialized;

	flush_init(&flush, 0, 0, 0);
	return iommu_attach_flush(&pdom->alist, &amd_iommu_wait_ops, &flush);
}

/**
 * amd_iommu_domain_clear_pasid() - A PASID is about to be unlinked
 * @pdom: The SVA domain.
 * @attachment: The attachment of the PASID.
 *
 * Takes the table out, and flushes the PASID in the IOMMU and in the device.
 *
 * Context: Process context, with the mutex of the device's group held.
 */
void amd_iommu_domain_clear_pasid(struct protection_domain *pdom,
				  struct amd_iommu_attachment *attachment)
{
	amd_iommu_zap_gcr3(attachment->dev_data, attachment->elm.pasid);
	attachment->dev_data->gcr3_info.pasid_cnt--;
	amd_iommu_domain_flush_pages(pdom, 0, U64_MAX, CMD_INV_IOMMU_PAGES_PDE_MASK);
}

/**
 * amd_iommu_domain_clear_pasids() - The mm of an SVA domain exits
 * @pdom: The domain.
 *
 * The attachments stay until they are detached.
 *
 * Context: Process context.
 */
void amd_iommu_domain_clear_pasids(struct protection_domain *pdom)
{
	struct amd_iommu_attachment *pos;

	iommu_attach_lock(&pdom->alist);
	iommu_attach_for_each_locked(pos, &pdom->alist, elm)
		amd_iommu_zap_gcr3(pos->dev_data, pos->elm.pasid);
	iommu_attach_unlock(&pdom->alist);

	amd_iommu_domain_flush_pages(pdom, 0, U64_MAX, CMD_INV_IOMMU_PAGES_PDE_MASK);
}
