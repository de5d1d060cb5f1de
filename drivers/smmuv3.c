// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3 on the attach list
 *
 * Tags. An S1 domain has an ASID, an S2 domain a VMID, the same on all SMMUs; a nest
 * has the ASID of its S1 domain and the VMID of the parent. The list gets
 * ASID << 16 | VMID, which is what commands have in bits 63:32.
 *
 *   attached         on the list of   kind   tag          command
 *   S1               the domain       own    ASID, 0      NH_VA
 *   S2               the domain       own    0, VMID      S2_IPA
 *   S1 on S2         the S1 domain    own    ASID, VMID   NH_VA
 *                    its parent       nest   0, VMID      S12_VMALL
 *
 * All nests on a parent are one group, however many ASIDs there are: when the parent
 * changes, whatever is combined from it must go, and walks for a nest leave S2
 * entries behind besides. S12_VMALL takes both. S2_IPA and NH_ALL would do as well,
 * but only with a CMD_SYNC between: a combined entry could come back from an S2 entry
 * that is about to go.
 *
 * ATC_INV waits for the CMD_SYNC of the TLBIs, or the device would ask again and be
 * given what is about to go: commands between two CMD_SYNCs are not ordered (IHI
 * 0070, 4.7.3).
 */
#include "driver.h"

#include <errno.h>

/* IHI 0070, 4.1.1. */
#define SMMU_CFGI_STE		UINT64_C(0x03)
#define SMMU_CFGI_CD		UINT64_C(0x05)
#define SMMU_TLBI_NH_ASID	UINT64_C(0x11)
#define SMMU_TLBI_NH_VA		UINT64_C(0x12)
#define SMMU_TLBI_S12_VMALL	UINT64_C(0x28)
#define SMMU_TLBI_S2_IPA	UINT64_C(0x2a)
#define SMMU_ATC_INV		UINT64_C(0x40)
#define SMMU_SYNC		UINT64_C(0x46)

/* 4.3: CFGI. Leaf: the STE or CD alone, not the tables on the way to it. */
#define SMMU_CFGI_LEAF		UINT64_C(1)

/* 4.4.1: TLBI by address, with range invalidation (SMMU_IDR3.RIL). */
#define SMMU_NUM_SHIFT		12
#define SMMU_SCALE_SHIFT	20
#define SMMU_SCALE_MAX		31U
#define SMMU_NUM_MASK		31U
#define SMMU_TG_4K		(UINT64_C(1) << 10)
#define SMMU_TTL_SHIFT		8
#define SMMU_LEAF		UINT64_C(1)
#define SMMU_IPA_BITS		56

/* 4.5.1: ATC_INV. */
#define SMMU_SSV		(UINT64_C(1) << 11)

/* 4.7.3: CMD_SYNC that writes a word; inner shareable, write-back. */
#define SMMU_CS_IRQ		(UINT64_C(1) << 12)
#define SMMU_MSH_ISH		(UINT64_C(3) << 22)
#define SMMU_MSIATTR_OIWB	(UINT64_C(0xf) << 24)
#define SMMU_MSIDATA_SHIFT	32

#define SMMU_SID_SHIFT		32
#define SMMU_SSID_SHIFT		12
#define SMMU_SSID_BITS		20
#define SMMU_TAG_SHIFT		32
#define SMMU_ASID_SHIFT		16
#define SMMU_ID_MAX		0xffff

/* Registers, 6.3. */
#define SMMU_GERROR		0x60
#define SMMU_GERRORN		0x64
#define SMMU_CMDQ_CONS		0x9c
#define SMMU_CONS_ERR_SHIFT	24
#define SMMU_CERROR_ATC_INV_SYNC 3

/* ASID and VMID 0 are left to what the driver does not own. */
DEFINE_TAG_SPACE(asids, 1, SMMU_ID_MAX);
DEFINE_TAG_SPACE(vmids, 1, SMMU_ID_MAX);

static bool is_s1(const struct domain *domain)
{
	return domain->first_stage || domain->parent;
}

/*
 * Flush
 */

static void add_whole(struct batch *batch, struct iommu_device *iommu,
		      uint64_t op, uint64_t tag)
{
	uint64_t cmd[MODEL_CMD_WORDS] = { op | tag << SMMU_TAG_SHIFT };

	batch_add(batch, iommu, cmd);
}

/* The level of the leaves, if they are of one: 4 KiB 3, 2 MiB 2, 1 GiB 1. */
static uint64_t leaf_level(const struct flush_range *range)
{
	uint64_t size = MODEL_PAGE_SIZE;
	uint64_t level;

	if (range->tables)
		return 0;
	for (level = 3; level && range->leaf != size; level--)
		size <<= 9;
	return level;
}

/*
 * A command covers (NUM + 1) << SCALE pages: five bits of the number of pages, so
 * the lowest five go first, then the five above the lowest one left.
 */
static void add_range(struct batch *batch, struct iommu_device *iommu,
		      uint64_t op, uint64_t tag, const struct flush_range *range)
{
	uint64_t addr = range->first & ~(MODEL_PAGE_SIZE - 1);
	uint64_t pages = (range->last >> MODEL_PAGE_SHIFT) -
			 (addr >> MODEL_PAGE_SHIFT) + 1;
	uint64_t level = leaf_level(range);
	uint64_t cmd[MODEL_CMD_WORDS];
	uint64_t num;
	unsigned int scale;

	while (pages) {
		scale = (unsigned int)__builtin_ctzll(pages);
		if (scale > SMMU_SCALE_MAX)
			scale = SMMU_SCALE_MAX;
		num = (pages >> scale) & SMMU_NUM_MASK;

		cmd[0] = op | tag << SMMU_TAG_SHIFT |
			 (uint64_t)scale << SMMU_SCALE_SHIFT |
			 (num - 1) << SMMU_NUM_SHIFT;
		cmd[1] = addr | (range->tables ? 0 : SMMU_LEAF);
		/* TG with all else 0 is reserved: one page is named without it. */
		if (num > 1 || scale || level)
			cmd[1] |= SMMU_TG_4K | level << SMMU_TTL_SHIFT;
		batch_add(batch, iommu, cmd);

		addr += num << (scale + MODEL_PAGE_SHIFT);
		pages -= num << scale;
	}
}

/* More than one command of the largest SCALE can name, or the hardware addresses. */
static bool is_whole(const struct domain *domain, const struct flush_range *range)
{
	uint64_t pages = (range->last - range->first) >> MODEL_PAGE_SHIFT;

	if (pages >> SMMU_SCALE_MAX > SMMU_NUM_MASK - 1)
		return true;
	return !is_s1(domain) && range->last >> SMMU_IPA_BITS;
}

/* What was sent before it is done before what comes after it. */
static void add_sync(struct batch *batch, struct iommu_device *iommu)
{
	const uint64_t cmd[MODEL_CMD_WORDS] = { SMMU_SYNC };

	batch_add(batch, iommu, cmd);
}

static void add_tlbi(const struct iommu_attach_group *group, struct flush *flush)
{
	struct iommu_device *iommu = group->iommu_device;
	bool s1 = is_s1(flush->domain);

	if (group->kind == IOMMU_ATTACH_NEST)
		add_whole(&flush->batch, iommu, SMMU_TLBI_S12_VMALL, group->tag);
	else if (is_whole(flush->domain, flush->range))
		add_whole(&flush->batch, iommu,
			  s1 ? SMMU_TLBI_NH_ASID : SMMU_TLBI_S12_VMALL,
			  group->tag);
	else
		add_range(&flush->batch, iommu,
			  s1 ? SMMU_TLBI_NH_VA : SMMU_TLBI_S2_IPA,
			  group->tag, flush->range);
}

/*
 * On some hardware (Tegra264) an entry may survive an invalidation that races with traffic:
 * TLBI, SYNC, TLBI, SYNC is what it takes, and only then ATC_INV, or an ATC is filled with
 * what survived.
 */
static void smmu_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct flush *flush = arg;

	add_tlbi(group, flush);
	if (!group->iommu_device->repeat_tlbi)
		return;
	add_sync(&flush->batch, group->iommu_device);
	add_tlbi(group, flush);
}

/* The target of ATC commands, in 52 bits. SSID 0 cannot be: CD 0 has no SSID. */
static uint64_t atc_target(uint32_t rid, uint32_t pasid)
{
	return (uint64_t)rid << SMMU_SSID_BITS | pasid;
}

static u64 smmu_atc_of(const struct attachment *att, uint32_t rid)
{
	return atc_target(rid, att->pasid);
}

static void make_atc(uint64_t *cmd, uint64_t target, uint64_t first, uint64_t last)
{
	uint64_t ssid = target & ((UINT64_C(1) << SMMU_SSID_BITS) - 1);
	unsigned int order = range_order(first, last);

	cmd[0] = SMMU_ATC_INV | target >> SMMU_SSID_BITS << SMMU_SID_SHIFT |
		 ssid << SMMU_SSID_SHIFT;
	if (ssid != IOMMU_NO_PASID)
		cmd[0] |= SMMU_SSV;
	cmd[1] = range_base(first, order) | order;
}

static void smmu_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct flush *flush = arg;
	uint64_t cmd[MODEL_CMD_WORDS];

	if (group->kind == IOMMU_ATTACH_NEST)
		make_atc(cmd, atc, 0, UINT64_MAX);
	else
		make_atc(cmd, atc, flush->range->first, flush->range->last);
	batch_add(&flush->batch, group->iommu_device, cmd);
}

static const struct iommu_attach_flush_ops smmu_flush_ops = {
	.iotlb = smmu_iotlb,
	.atc = smmu_atc,
	.submit = flush_submit,
	.wait = flush_wait,
	.silent = flush_silent,
	.wait_before_atc = true,
};

static int smmu_flush(struct domain *domain, const struct flush_range *range)
{
	struct flush flush = { .domain = domain, .range = range };

	return iommu_attach_flush(&domain->alist, &smmu_flush_ops, &flush);
}

static void smmu_make_sync(uint64_t *status, uint32_t value, uint64_t *cmd)
{
	cmd[0] = SMMU_SYNC | SMMU_CS_IRQ | SMMU_MSH_ISH | SMMU_MSIATTR_OIWB |
		 (uint64_t)value << SMMU_MSIDATA_SHIFT;
	cmd[1] = (uintptr_t)status;
}

/*
 * Tags. drv_tags is held.
 */

static struct tag_space *ids_of(const struct domain *domain)
{
	return is_s1(domain) ? &asids : &vmids;
}

static void flush_tag(struct iommu_device *iommu, u64 tag)
{
	uint64_t op = tag >> SMMU_ASID_SHIFT ? SMMU_TLBI_NH_ASID :
					       SMMU_TLBI_S12_VMALL;
	uint64_t cmd[MODEL_CMD_WORDS] = { op | tag << SMMU_TAG_SHIFT };

	queue_one_surely(iommu, cmd);
	if (iommu->repeat_tlbi)
		queue_one_surely(iommu, cmd);
}

/*
 * Attach and detach
 */

static int smmu_list_add(struct attachment *att)
{
	struct domain *domain = att->domain, *parent = att->domain->parent;
	u64 vmid = 0;
	int ret;

	ret = domain_get_tag(domain, ids_of(domain));
	if (!ret && parent) {
		ret = domain_get_tag(parent, ids_of(parent));
		vmid = parent->tag;
		att->elms.s2.tag = vmid;
	}
	if (!ret) {
		att->elms.s1.tag = is_s1(domain) ?
				   domain->tag << SMMU_ASID_SHIFT | vmid :
				   domain->tag;
		ret = attachment_add(att);
	}
	if (ret < 0) {
		domain_put_tag(domain, ids_of(domain));
		if (parent)
			domain_put_tag(parent, ids_of(parent));
	}
	return ret;
}

/* The last one of a group flushes the tag, the last one of a domain frees it. */
static void smmu_list_del(struct attachment *att)
{
	struct domain *domain = att->domain, *parent = att->domain->parent;
	struct iommu_device *iommu = att->device->iommu;
	u64 s1_tag = att->elms.s1.tag, s2_tag = att->elms.s2.tag;
	int last;

	last = attachment_del(att);
	if (last & IOMMU_ATTACH_GROUP_DOMAIN)
		flush_tag(iommu, s1_tag);
	if (last & IOMMU_ATTACH_GROUP_PARENT)
		flush_tag(iommu, s2_tag);
	domain_put_tag(domain, ids_of(domain));
	if (parent)
		domain_put_tag(parent, ids_of(parent));
}

/*
 * Writes the STE, or the CD of a PASID, and has the hardware read it: blocked if
 * @new is NULL. What the device cached by way of the old one is gone afterwards.
 */
static int smmu_set_context(struct device *device, const struct device_id *id,
			    uint32_t pasid, const struct attachment *old,
			    const struct attachment *new)
{
	struct model_context context = attachment_context(new);
	uint64_t cmd[MODEL_CMD_WORDS];
	int error;

	if (new) {
		context.tag = (uint32_t)(new->elms.s1.tag >> SMMU_ASID_SHIFT);
		context.vm_tag = new->elms.s1.tag & SMMU_ID_MAX;
	}
	write_context(id, pasid, old, new, &context);

	cmd[0] = (pasid == IOMMU_NO_PASID ? SMMU_CFGI_STE : SMMU_CFGI_CD) |
		 (uint64_t)id->rid << SMMU_SID_SHIFT |
		 (uint64_t)pasid << SMMU_SSID_SHIFT;
	cmd[1] = SMMU_CFGI_LEAF;
	error = queue_one(device->iommu, cmd);

	if (!error && old && device_answers(device)) {
		make_atc(cmd, atc_target(id->rid, pasid), 0, UINT64_MAX);
		error = queue_one(device->iommu, cmd);
	}
	return error;
}

static int smmu_check(const struct domain *domain, uint32_t pasid)
{
	/* An SSID selects a CD of ours: S1, and not in a table of the guest. */
	if (pasid != IOMMU_NO_PASID && (!domain->first_stage || domain->parent))
		return -EINVAL;
	return 0;
}

/* An SMMU that was lost did not detach anything. */
static void smmu_domain_exit(struct domain *domain)
{
	pthread_mutex_lock(&drv_tags);
	domain_put_tag(domain, ids_of(domain));
	pthread_mutex_unlock(&drv_tags);
}

/*
 * A timeout stops the queue at the next CMD_SYNC and names no device: the flush that waits
 * for the CMD_SYNC searches for it. Once acknowledged, the CMD_SYNC is executed again and
 * completes (7.1).
 */
static void smmu_look(struct iommu_device *iommu)
{
	uint32_t gerror = model_reg_read(iommu->hw, SMMU_GERROR);
	uint32_t cons;
	uint64_t head;

	if (gerror == model_reg_read(iommu->hw, SMMU_GERRORN))
		return;
	cons = model_reg_read(iommu->hw, SMMU_CMDQ_CONS);
	head = queue_position(iommu, cons & (model_queue_entries(iommu->hw) - 1));
	if (cons >> SMMU_CONS_ERR_SHIFT == SMMU_CERROR_ATC_INV_SYNC)
		queue_fail(iommu, head, -ETIMEDOUT);
	else
		queue_repair(iommu, head);
	model_reg_write(iommu->hw, SMMU_GERRORN, gerror);
}

static uint32_t smmu_atc_rid(u64 atc)
{
	return (uint32_t)(atc >> SMMU_SSID_BITS);
}

const struct driver smmuv3_driver = {
	.vendor = MODEL_SMMUV3,
	.domain_exit = smmu_domain_exit,
	.check = smmu_check,
	.list_add = smmu_list_add,
	.list_del = smmu_list_del,
	.set_context = smmu_set_context,
	.atc = smmu_atc_of,
	.flush = smmu_flush,
	.make_sync = smmu_make_sync,
	.look = smmu_look,
	.atc_rid = smmu_atc_rid,
};
