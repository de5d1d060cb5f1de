// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VT-d on the attach list
 *
 * Section numbers are those of the architecture specification, D51397, revision
 * 5.10.
 *
 * Tags. A domain has a DID on each IOMMU, allocated with its first attachment there
 * and freed with its last. Entries of first-stage tables carry the PASID besides
 * (6.2.4; 0 stands for requests without PASID, RID_PASID in 9.4), and so do their
 * tags on the list:
 *
 *   attached          on the list of   kind   tag          descriptor
 *   second stage      the domain       own    DID          IOTLB
 *   first stage       the domain       own    DID, PASID   PASID-based IOTLB
 *   first on second   the nest         own    DID, PASID   PASID-based IOTLB
 *                     its parent       nest   DID          IOTLB
 *
 * When a parent changes, the entries that went through it are cached under the DIDs
 * of its nests, and do not tell which of the parent's addresses they were made of. A
 * page-selective IOTLB invalidation drops all of them that have the DID (table 23),
 * for all PASIDs. The ATC goes as a whole.
 *
 * So a group may be left empty while the DID stays in use under another PASID. The DID
 * is freed when the domain has no attachment left on the IOMMU. It needs no flush then:
 * the specification wants one at each detach.
 *
 * Order. The hardware begins a device-TLB invalidation when the context-cache, PASID-
 * cache and IOTLB invalidations ahead of it in the queue are complete (6.5.2.12,
 * queued invalidation ordering considerations), and the IOTLB invalidations of parents
 * and nests are independent of each other. So all that an unmap has for an IOMMU is
 * one submission with one wait.
 */
#include "driver.h"

#include <errno.h>

/* Descriptor types, 6.5.2.1 to 6.5.2.9: bits 3:0. */
#define VTD_CC			UINT64_C(1)
#define VTD_IOTLB		UINT64_C(2)
#define VTD_DEV_TLB		UINT64_C(3)
#define VTD_WAIT		UINT64_C(5)
#define VTD_P_IOTLB		UINT64_C(6)
#define VTD_PC			UINT64_C(7)
#define VTD_P_DEV_TLB		UINT64_C(8)

/* Granularity, bits 5:4. */
#define VTD_CC_DEVICE		(UINT64_C(3) << 4)
#define VTD_PC_PASID		(UINT64_C(1) << 4)
#define VTD_IOTLB_DOMAIN	(UINT64_C(2) << 4)
#define VTD_IOTLB_PAGES		(UINT64_C(3) << 4)
#define VTD_P_IOTLB_PASID	(UINT64_C(2) << 4)
#define VTD_P_IOTLB_PAGES	(UINT64_C(3) << 4)

#define VTD_IOTLB_DRAIN		(UINT64_C(3) << 6)	/* writes and reads */
#define VTD_IOTLB_IH		(UINT64_C(1) << 6)	/* word 1: leaves only */
#define VTD_DEV_TLB_S		UINT64_C(1)		/* word 1 */
#define VTD_P_DEV_TLB_S		(UINT64_C(1) << 11)	/* word 1 */
#define VTD_WAIT_SW		(UINT64_C(1) << 5)
#define VTD_WAIT_DATA_SHIFT	32

#define VTD_DID_SHIFT		16
#define VTD_DID_MAX		0xffff
#define VTD_SID_SHIFT		32
#define VTD_PASID_SHIFT		32

/* Registers, 11.4.7.1 and 11.4.9; an entry of the queue is 32 bytes. */
#define VTD_FSTS		0x34
#define VTD_FSTS_IQE		(1U << 4)
#define VTD_FSTS_ITE		(1U << 6)
#define VTD_IQH			0x80
#define VTD_IQH_SHIFT		5
#define VTD_IQERCD_ITESID	0xb4

/*
 * The largest address mask of an IOTLB invalidation, CAP.MAMV (11.4.2); 18 is what
 * hardware and QEMU have. PASID-based ones have no limit.
 */
#define VTD_MAMV		18
#define VTD_ALL			52	/* the order of the whole address space */

/*
 * Tags and ATC values. A tag keeps its PASID where the descriptors have theirs.
 */

static bool is_first_stage(const struct domain *domain)
{
	return domain->first_stage || domain->parent;
}

static uint32_t tag_did(u64 tag)
{
	return tag & VTD_DID_MAX;
}

static u64 pack_tag(const struct domain *domain, uint32_t did, uint32_t pasid)
{
	return did | (is_first_stage(domain) ? (u64)pasid << VTD_PASID_SHIFT : 0);
}

/* Requester id, invalidate queue depth (32 is encoded as 0) and PASID. */
static u64 vtd_atc_of(const struct attachment *attachment, uint32_t rid)
{
	const struct device *device = attachment->device;
	uint32_t pasid = attachment->pasid;

	return rid | (u64)(device->ats_qdep & 0x1f) << 16 |
	       (u64)pasid << VTD_PASID_SHIFT;
}

/* drv_tags is held. Return: the DID, or -ENOSPC. */
static int64_t get_did(struct domain *domain, struct iommu_device *iommu)
{
	u64 tag;

	if (!iommu_attach_find_tag(&domain->alist, iommu, &tag))
		return tag_did(tag);
	return tag_alloc(&iommu->tags, domain->wish_tag);
}

/* drv_tags is held. An attachment is gone, or did not come about. */
static void put_did(struct domain *domain, struct iommu_device *iommu,
		    uint32_t did)
{
	u64 tag;

	if (iommu_attach_find_tag(&domain->alist, iommu, &tag))
		tag_free(&iommu->tags, did);
}

static int vtd_iommu_init(struct iommu_device *iommu)
{
	/* With caching mode absent context entries are cached under DID 0 (6.1). */
	return tag_space_init(&iommu->tags, 1, VTD_DID_MAX);
}

/*
 * Descriptors
 */

static void make_iotlb(uint64_t *cmd, u64 tag, const struct flush_range *range)
{
	unsigned int order = range_order(range->first, range->last);
	uint64_t did = (uint64_t)tag_did(tag) << VTD_DID_SHIFT;

	if (order > VTD_MAMV) {
		cmd[0] = VTD_IOTLB | VTD_IOTLB_DOMAIN | VTD_IOTLB_DRAIN | did;
		cmd[1] = 0;
		return;
	}
	cmd[0] = VTD_IOTLB | VTD_IOTLB_PAGES | VTD_IOTLB_DRAIN | did;
	cmd[1] = range_base(range->first, order) | order |
		 (range->tables ? 0 : VTD_IOTLB_IH);
}

static void make_p_iotlb(uint64_t *cmd, u64 tag, const struct flush_range *range)
{
	unsigned int order = range_order(range->first, range->last);
	uint64_t pasid = tag >> VTD_PASID_SHIFT << VTD_PASID_SHIFT;
	uint64_t who = (uint64_t)tag_did(tag) << VTD_DID_SHIFT | pasid;

	if (order == VTD_ALL) {
		cmd[0] = VTD_P_IOTLB | VTD_P_IOTLB_PASID | who;
		cmd[1] = 0;
		return;
	}
	cmd[0] = VTD_P_IOTLB | VTD_P_IOTLB_PAGES | who;
	cmd[1] = range_base(range->first, order) | order |
		 (range->tables ? 0 : VTD_IOTLB_IH);
}

/* Two layouts: a device that sends no PASID does not know the one with PASID. */
static void make_dev_tlb(uint64_t *cmd, u64 atc, uint64_t first, uint64_t last)
{
	unsigned int order = range_order(first, last);
	uint64_t sid = atc & 0xffff, qdep = atc >> 16 & 0x1f;
	uint64_t pasid = atc >> VTD_PASID_SHIFT;

	cmd[1] = range_napot(first, order);
	if (!pasid) {
		cmd[0] = VTD_DEV_TLB | qdep << 16 | sid << VTD_SID_SHIFT;
		cmd[1] |= order ? VTD_DEV_TLB_S : 0;
		return;
	}
	cmd[0] = VTD_P_DEV_TLB | qdep << 4 | sid << 16 | pasid << VTD_PASID_SHIFT;
	cmd[1] |= order ? VTD_P_DEV_TLB_S : 0;
}

static void vtd_make_sync(uint64_t *status, uint32_t value, uint64_t *cmd)
{
	cmd[0] = VTD_WAIT | VTD_WAIT_SW | (uint64_t)value << VTD_WAIT_DATA_SHIFT;
	cmd[1] = (uintptr_t)status;
}

/*
 * Flush
 */

static void vtd_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct flush *flush = arg;
	uint64_t cmd[MODEL_CMD_WORDS] = { 0 };

	if (is_first_stage(flush->domain))
		make_p_iotlb(cmd, group->tag, flush->range);
	else
		make_iotlb(cmd, group->tag, flush->range);
	batch_add(&flush->batch, group->iommu_device, cmd);
}

static void vtd_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct flush *flush = arg;
	uint64_t cmd[MODEL_CMD_WORDS] = { 0 };

	if (group->kind == IOMMU_ATTACH_NEST)
		make_dev_tlb(cmd, atc, 0, UINT64_MAX);
	else
		make_dev_tlb(cmd, atc, flush->range->first, flush->range->last);
	batch_add(&flush->batch, group->iommu_device, cmd);
}

static const struct iommu_attach_flush_ops vtd_unmap_ops = {
	.iotlb = vtd_iotlb,
	.atc = vtd_atc,
	.submit = flush_submit,
	.wait = flush_wait,
};

static const struct iommu_attach_flush_ops vtd_map_ops = {
	.iotlb = vtd_iotlb,
	.submit = flush_submit,
	.wait = flush_wait,
};

static int vtd_flush(struct domain *domain, const struct flush_range *range)
{
	struct flush flush = { .domain = domain, .range = range };

	/* Caching mode is about everything but first-stage tables (6.1). */
	if (range->map && is_first_stage(domain))
		return 0;
	return iommu_attach_flush(&domain->alist,
				  range->map ? &vtd_map_ops : &vtd_unmap_ops, &flush);
}

/*
 * Attach and detach
 */

/*
 * Writes the context entry, or the PASID entry. Of the old one the hardware then drops
 * its cached copy, what is cached under its tag, and what the device's ATC has of it,
 * in this order (tables 28 and 29, guidance to software for invalidations): the tag as
 * a whole, though other devices may use it. Either of @old and @new may be NULL: blocked.
 *
 * Second-stage domains of requests without PASID have a legacy-mode context entry
 * here, all else a PASID entry. Real hardware is in one mode for all.
 */
static int vtd_set_context(struct device *device, const struct device_id *id,
			   uint32_t pasid, const struct attachment *old,
			   const struct attachment *new)
{
	static const struct flush_range everything = {
		.last = UINT64_MAX,
		.tables = true,
	};
	struct iommu_device *iommu = device->iommu;
	const struct attachment *any = old ? old : new;
	struct model_context context = attachment_context(new);
	uint64_t did = old ? tag_did(old->elms.s1.tag) : 0;
	uint64_t cmd[MODEL_CMD_WORDS] = { 0 };
	struct batch batch = { 0 };

	if (new)
		context.tag = tag_did(new->elms.s1.tag);
	write_context(id, pasid, old, new, &context);

	/* Absent entries are not cached without caching mode (6.1). */
	if (!old && !iommu->caching_mode)
		return 0;
	if (pasid == IOMMU_NO_PASID && !is_first_stage(any->domain))
		cmd[0] = VTD_CC | VTD_CC_DEVICE | did << VTD_DID_SHIFT |
			 (uint64_t)id->rid << VTD_SID_SHIFT;
	else
		cmd[0] = VTD_PC | VTD_PC_PASID | did << VTD_DID_SHIFT |
			 (uint64_t)pasid << VTD_PASID_SHIFT;
	batch_add(&batch, iommu, cmd);
	/* An entry that only changed its mind about ATS translates as before. */
	if (old && old != new) {
		/* What a nest leaves behind is of both stages. */
		if (is_first_stage(old->domain) && !old->domain->parent)
			make_p_iotlb(cmd, old->elms.s1.tag, &everything);
		else
			make_iotlb(cmd, old->elms.s1.tag, &everything);
		batch_add(&batch, iommu, cmd);
	}
	if (old && device_answers(device)) {
		make_dev_tlb(cmd, vtd_atc_of(old, id->rid), 0, UINT64_MAX);
		batch_add(&batch, iommu, cmd);
	}
	return queue_wait(iommu, batch_sync(&batch, iommu));
}

static int vtd_list_add(struct attachment *attachment)
{
	struct domain *domain = attachment->domain;
	struct device *device = attachment->device;
	int64_t did = get_did(domain, device->iommu);
	int ret;

	if (did < 0)
		return (int)did;
	attachment->elms.s1.tag = pack_tag(domain, (uint32_t)did, attachment->pasid);
	attachment->elms.s2.tag = (u64)did;
	ret = attachment_add(attachment);
	if (ret < 0)
		put_did(domain, device->iommu, (uint32_t)did);
	return ret;
}

/*
 * The tag was flushed since the hardware used the attachment. If it is the last one of
 * its group, nobody has used the tag after that: it is clean.
 */
static void vtd_list_del(struct attachment *attachment)
{
	struct domain *domain = attachment->domain;
	struct iommu_device *iommu = attachment->device->iommu;
	uint32_t did = tag_did(attachment->elms.s1.tag);

	attachment_del(attachment);
	put_did(domain, iommu, did);
}

/*
 * A timeout aborts every wait that was fetched, and names the device (6.5.2.11): all
 * waiters send again, without the device. A refused descriptor stays at the head.
 */
static void vtd_look(struct iommu_device *iommu)
{
	uint32_t fsts = model_reg_read(iommu->hw, VTD_FSTS);
	uint64_t head;

	if (!(fsts & (VTD_FSTS_IQE | VTD_FSTS_ITE)))
		return;
	head = queue_position(iommu, model_reg_read(iommu->hw, VTD_IQH) >> VTD_IQH_SHIFT);
	if (fsts & VTD_FSTS_ITE) {
		queue_set_aside(iommu, model_reg_read(iommu->hw, VTD_IQERCD_ITESID) & 0xffff);
		queue_abort(iommu, head);
	}
	if (fsts & VTD_FSTS_IQE)
		queue_repair(iommu, head);
	model_reg_write(iommu->hw, VTD_FSTS, fsts & (VTD_FSTS_IQE | VTD_FSTS_ITE));
}

const struct driver vtd_driver = {
	.vendor = MODEL_VTD,
	.iommu_init = vtd_iommu_init,
	.list_add = vtd_list_add,
	.list_del = vtd_list_del,
	.set_context = vtd_set_context,
	.atc = vtd_atc_of,
	.flush = vtd_flush,
	.make_sync = vtd_make_sync,
	.look = vtd_look,
};
