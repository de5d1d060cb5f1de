// SPDX-License-Identifier: GPL-2.0-only
/*
 * RISC-V IOMMU on the attach list
 *
 * Tags. An S1 domain has a PSCID, an S2 domain a GSCID, the same on all IOMMUs; a nest
 * has the PSCID of its S1 domain and the GSCID of the parent. What the list gets are
 * the fields of the command that name them, valid bits and all, so that a command is
 * its opcode and the tag.
 *
 *   attached         on the list of   kind   tag             command
 *   S1               the domain       own    PSCID           IOTINVAL.VMA
 *   S2               the domain       own    GSCID           IOTINVAL.GVMA
 *   S1 on S2         the S1 domain    own    PSCID, GSCID    IOTINVAL.VMA
 *                    its parent       nest   GSCID           IOTINVAL.GVMA
 *
 * GVMA takes what was combined from the guest address, too (3.1.1): a nest needs no
 * VMA when its parent changes, and all nests on a parent are one group. The ATC of a
 * nested device goes as a whole, since it knows nothing of guest addresses.
 *
 * Commands are executed in any order between two IOFENCE.C (3.1.2), so ATS.INVAL waits
 * for that of the IOTINVALs (6.3), or the device would ask again and be given what is
 * about to go.
 *
 * Sections are those of the RISC-V IOMMU architecture specification, version 1.0, with
 * the extensions for non-leaf entries (9.2) and address ranges (9.3).
 */
#include "driver.h"

#include <errno.h>

/* Opcode in bits 6:0, func3 in bits 9:7. */
#define RISCV_OP(opcode, func3)	((uint64_t)((opcode) | (func3) << 7))

#define RISCV_IOTINVAL_VMA	RISCV_OP(1, 0)
#define RISCV_IOTINVAL_GVMA	RISCV_OP(1, 1)
#define RISCV_IOFENCE_C		RISCV_OP(2, 0)
#define RISCV_IODIR_INVAL_DDT	RISCV_OP(3, 0)
#define RISCV_IODIR_INVAL_PDT	RISCV_OP(3, 1)
#define RISCV_ATS_INVAL		RISCV_OP(4, 0)

/* 3.1.1: IOTINVAL. */
#define RISCV_AV		(UINT64_C(1) << 10)	/* of IOFENCE.C, too */
#define RISCV_PSCID_SHIFT	12
#define RISCV_PSCV		(UINT64_C(1) << 32)
#define RISCV_GV		(UINT64_C(1) << 33)
#define RISCV_NL		(UINT64_C(1) << 34)	/* tables as well as leaves */
#define RISCV_GSCID_SHIFT	44
#define RISCV_S			(UINT64_C(1) << 9)	/* word 1: the address is a range */
#define RISCV_ADDR_SHIFT	10			/* word 1, ADDR[63:12] */

/* 3.1.2: IOFENCE.C, after all that devices read and wrote before. */
#define RISCV_PR		(UINT64_C(1) << 12)
#define RISCV_PW		(UINT64_C(1) << 13)
#define RISCV_DATA_SHIFT	32

/* 3.1.3 and 3.1.4: IODIR and ATS. */
#define RISCV_PID_SHIFT		12
#define RISCV_PV		(UINT64_C(1) << 32)
#define RISCV_DV		(UINT64_C(1) << 33)	/* of ATS: DSEG is valid */
#define RISCV_DID_SHIFT		40			/* of ATS: RID, and DSEG above */
#define RISCV_ATS_S		(UINT64_C(1) << 11)	/* payload: a range */

/* The operands, all above opcode and function. */
#define RISCV_OPERANDS_SHIFT	10

#define RISCV_PSCID_MAX		0xfffff
#define RISCV_GSCID_MAX		0xffff

/* Registers, chapter 5. */
#define RISCV_CQH		32
#define RISCV_CQCSR		72
#define RISCV_CQCSR_CMD_TO	(1U << 9)
#define RISCV_CQCSR_CMD_ILL	(1U << 10)

DEFINE_TAG_SPACE(pscids, 1, RISCV_PSCID_MAX);
DEFINE_TAG_SPACE(gscids, 1, RISCV_GSCID_MAX);

static bool is_s1(const struct domain *domain)
{
	return domain->first_stage || domain->parent;
}

/*
 * Flush
 */

/*
 * One command names the smallest naturally aligned region around the range, see
 * range_napot(): of what goes too much, walks bring back what is used.
 */
static void make_iotinval(uint64_t *cmd, uint64_t tag, const struct flush_range *range)
{
	unsigned int order = range_order(range->first, range->last);
	uint64_t addr = range_napot(range->first, order);

	cmd[0] = tag | (tag & RISCV_PSCV ? RISCV_IOTINVAL_VMA : RISCV_IOTINVAL_GVMA);
	cmd[1] = 0;
	if (range->first == 0 && range->last == UINT64_MAX)
		return;

	cmd[0] |= RISCV_AV;
	if (range->tables)
		cmd[0] |= RISCV_NL;
	cmd[1] = addr >> MODEL_PAGE_SHIFT << RISCV_ADDR_SHIFT;
	if (order)
		cmd[1] |= RISCV_S;
}

static void riscv_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct flush *flush = arg;
	uint64_t cmd[MODEL_CMD_WORDS];

	make_iotinval(cmd, group->tag, flush->range);
	batch_add(&flush->batch, group->iommu_device, cmd);
}

/* The target of ATC commands: their operands, which leave the topmost bit free. */
static uint64_t atc_target(uint32_t rid, uint32_t pasid)
{
	uint64_t operands = RISCV_DV | (uint64_t)rid << RISCV_DID_SHIFT;

	if (pasid != IOMMU_NO_PASID)
		operands |= RISCV_PV | (uint64_t)pasid << RISCV_PID_SHIFT;
	return operands >> RISCV_OPERANDS_SHIFT;
}

static u64 riscv_atc_of(const struct attachment *att, uint32_t rid)
{
	return atc_target(rid, att->pasid);
}

static void make_atc(uint64_t *cmd, uint64_t target, uint64_t first, uint64_t last)
{
	unsigned int order = range_order(first, last);

	cmd[0] = RISCV_ATS_INVAL | target << RISCV_OPERANDS_SHIFT;
	cmd[1] = range_napot(first, order);
	if (order)
		cmd[1] |= RISCV_ATS_S;
}

static void riscv_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct flush *flush = arg;
	uint64_t cmd[MODEL_CMD_WORDS];

	if (group->kind == IOMMU_ATTACH_NEST)
		make_atc(cmd, atc, 0, UINT64_MAX);
	else
		make_atc(cmd, atc, flush->range->first, flush->range->last);
	batch_add(&flush->batch, group->iommu_device, cmd);
}

static const struct iommu_attach_flush_ops riscv_flush_ops = {
	.iotlb = riscv_iotlb,
	.atc = riscv_atc,
	.submit = flush_submit,
	.wait = flush_wait,
	.silent = flush_silent,
	.wait_before_atc = true,
};

static int riscv_flush(struct domain *domain, const struct flush_range *range)
{
	struct flush flush = { .domain = domain, .range = range };

	return iommu_attach_flush(&domain->alist, &riscv_flush_ops, &flush);
}

static void riscv_make_sync(uint64_t *status, uint32_t value, uint64_t *cmd)
{
	cmd[0] = RISCV_IOFENCE_C | RISCV_AV | RISCV_PR | RISCV_PW |
		 (uint64_t)value << RISCV_DATA_SHIFT;
	cmd[1] = (uintptr_t)status >> 2;
}

/*
 * Tags. drv_tags is held.
 */

static struct tag_space *ids_of(const struct domain *domain)
{
	return is_s1(domain) ? &pscids : &gscids;
}

/* What commands for the domain's own entries, or those of its nests, name. */
static u64 tag_of(const struct domain *domain)
{
	u64 tag = 0;

	if (is_s1(domain))
		tag |= RISCV_PSCV | domain->tag << RISCV_PSCID_SHIFT;
	else
		tag |= RISCV_GV | domain->tag << RISCV_GSCID_SHIFT;
	if (domain->parent)
		tag |= tag_of(domain->parent);
	return tag;
}

static void flush_tag(struct iommu_device *iommu, u64 tag)
{
	static const struct flush_range all = { .last = UINT64_MAX };
	uint64_t cmd[MODEL_CMD_WORDS];

	make_iotinval(cmd, tag, &all);
	queue_one_surely(iommu, cmd);
}

/*
 * Attach and detach
 */

static int riscv_list_add(struct attachment *att)
{
	struct domain *domain = att->domain, *parent = att->domain->parent;
	int ret;

	ret = domain_get_tag(domain, ids_of(domain));
	if (!ret && parent)
		ret = domain_get_tag(parent, ids_of(parent));
	if (!ret) {
		att->elms.s1.tag = tag_of(domain);
		if (parent)
			att->elms.s2.tag = tag_of(parent);
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
static void riscv_list_del(struct attachment *att)
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
 * Writes the device context, or the process context of a PASID, and has the hardware
 * read it: blocked if @new is NULL. What the device cached by way of the old one is
 * gone afterwards.
 */
static int riscv_set_context(struct device *device, const struct device_id *id,
			     uint32_t pasid, const struct attachment *old,
			     const struct attachment *new)
{
	struct model_context context = attachment_context(new);
	uint64_t cmd[MODEL_CMD_WORDS] = { 0 };
	int error;

	if (new) {
		const struct domain *domain = new->domain;
		const struct domain *s2 = domain->parent ?: domain;

		context.tag = is_s1(domain) ? (uint32_t)domain->tag : 0;
		context.vm_tag = is_s1(s2) ? 0 : (uint32_t)s2->tag;
	}
	write_context(id, pasid, old, new, &context);

	cmd[0] = RISCV_DV | (uint64_t)id->rid << RISCV_DID_SHIFT;
	if (pasid == IOMMU_NO_PASID)
		cmd[0] |= RISCV_IODIR_INVAL_DDT;
	else
		cmd[0] |= RISCV_IODIR_INVAL_PDT | (uint64_t)pasid << RISCV_PID_SHIFT;
	error = queue_one(device->iommu, cmd);

	if (!error && old && device_answers(device)) {
		make_atc(cmd, atc_target(id->rid, pasid), 0, UINT64_MAX);
		error = queue_one(device->iommu, cmd);
	}
	return error;
}

static int riscv_check(const struct domain *domain, uint32_t pasid)
{
	/* A process context has a first stage; the second one is the device's. */
	if (pasid != IOMMU_NO_PASID && (!domain->first_stage || domain->parent))
		return -EINVAL;
	return 0;
}

/* An IOMMU that was lost did not detach anything. */
static void riscv_domain_exit(struct domain *domain)
{
	pthread_mutex_lock(&drv_tags);
	domain_put_tag(domain, ids_of(domain));
	pthread_mutex_unlock(&drv_tags);
}

/*
 * A timeout stops the queue at the next IOFENCE.C and names no device: the flush that waits
 * for the fence searches for it. Once cmd_to is cleared, the fence is executed again and
 * completes (3.1.2).
 */
static void riscv_look(struct iommu_device *iommu)
{
	uint32_t cqcsr = model_reg_read(iommu->hw, RISCV_CQCSR);
	uint64_t head;

	if (!(cqcsr & (RISCV_CQCSR_CMD_TO | RISCV_CQCSR_CMD_ILL)))
		return;
	head = queue_position(iommu, model_reg_read(iommu->hw, RISCV_CQH));
	if (cqcsr & RISCV_CQCSR_CMD_TO)
		queue_fail(iommu, head, -ETIMEDOUT);
	if (cqcsr & RISCV_CQCSR_CMD_ILL)
		queue_repair(iommu, head);
	model_reg_write(iommu->hw, RISCV_CQCSR, cqcsr);
}

static uint32_t riscv_atc_rid(u64 atc)
{
	return (uint32_t)(atc << RISCV_OPERANDS_SHIFT >> RISCV_DID_SHIFT);
}

const struct driver riscv_driver = {
	.vendor = MODEL_RISCV,
	.domain_exit = riscv_domain_exit,
	.check = riscv_check,
	.list_add = riscv_list_add,
	.list_del = riscv_list_del,
	.set_context = riscv_set_context,
	.atc = riscv_atc_of,
	.flush = riscv_flush,
	.make_sync = riscv_make_sync,
	.look = riscv_look,
	.atc_rid = riscv_atc_rid,
};
