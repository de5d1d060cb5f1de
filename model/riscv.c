// SPDX-License-Identifier: GPL-2.0-only
/*
 * RISC-V IOMMU: commands of the command queue, section 3.1 of the architecture
 * specification, version 1.0, with the extensions for non-leaf invalidation (NL)
 * and address ranges (S).
 *
 * What an invalidation reaches (3.1.1). Entries of a second stage have a GSCID,
 * those of a first stage a PSCID; the first stage of the host has no GSCID, for
 * which the model has 0:
 *
 *                     first-stage entry of       combined entry    second-stage
 *                     the host                                     entry
 *   VMA, GV=0         PSCID, address             -                 -
 *   VMA, GV=1         -                          GSCID, PSCID,     -
 *                                                address
 *   GVMA, GV=1        -                          GSCID             GSCID, address
 *   GVMA, GV=0        -                          all               all
 *
 * PSCID counts if PSCV, the address if AV. Unlike SMMUv3, GVMA does reach combined
 * entries: any of them that depends on the guest address must go. They do not
 * tell the guest addresses they were made of, so the whole GSCID goes, which the
 * specification names as the common way. What is cached of its walks goes as
 * well, as a table's place in memory comes from the second stage, too.
 *
 * A command with AV leaves cached table pointers alone unless NL is set.
 *
 * Commands may be executed out of order between two IOFENCE.C. The model executes
 * in order, so it does not show a fence that is missing between the IOTINVAL and
 * the ATS.INVAL of a flush.
 */
#include "cmd.h"

/* Opcode in bits 6:0, func3 in bits 9:7. */
#define RISCV_OP(opcode, func3)	((opcode) | (func3) << 7)

#define RISCV_VMA		RISCV_OP(1, 0)	/* 3.1.1 IOTINVAL.VMA */
#define RISCV_GVMA		RISCV_OP(1, 1)	/* 3.1.1 IOTINVAL.GVMA */
#define RISCV_FENCE		RISCV_OP(2, 0)	/* 3.1.2 IOFENCE.C */
#define RISCV_DDT		RISCV_OP(3, 0)	/* 3.1.3 IODIR.INVAL_DDT */
#define RISCV_PDT		RISCV_OP(3, 1)	/* 3.1.3 IODIR.INVAL_PDT */
#define RISCV_ATS_INVAL		RISCV_OP(4, 0)	/* 3.1.4 */
#define RISCV_ATS_PRGR		RISCV_OP(4, 1)	/* 3.1.4 */

/* IOTINVAL. */
#define RISCV_AV		CMD_BIT(10)	/* of IOFENCE.C, too */
#define RISCV_PSCID		CMD_MASK(31, 12)
#define RISCV_PSCV		CMD_BIT(32)
#define RISCV_GV		CMD_BIT(33)
#define RISCV_NL		CMD_BIT(34)
#define RISCV_GSCID		CMD_MASK(59, 44)
#define RISCV_S			CMD_BIT(9)	/* word 1 */
#define RISCV_ADDR		CMD_MASK(61, 10) /* word 1: ADDR[63:12] */

/* IOFENCE.C. */
#define RISCV_WSI		CMD_BIT(11)
#define RISCV_PR		CMD_BIT(12)
#define RISCV_PW		CMD_BIT(13)
#define RISCV_FENCE_ADDR	CMD_MASK(61, 0)	/* word 1: ADDR[63:2] */

/* IODIR and ATS. */
#define RISCV_PID		CMD_MASK(31, 12)
#define RISCV_PV		CMD_BIT(32)
#define RISCV_DV		CMD_BIT(33)
#define RISCV_DSV		CMD_BIT(33)
#define RISCV_DID		CMD_MASK(63, 40)
#define RISCV_RID_DSEG		CMD_MASK(63, 40)
#define RISCV_PAYLOAD_G		CMD_BIT(0)
#define RISCV_PAYLOAD_S		CMD_BIT(11)

/* The fields that a command has; the rest is reserved. */
static const struct riscv_cmd {
	unsigned int op;
	enum model_class class;
	uint64_t fields[2];
} riscv_cmds[] = {
	{ RISCV_VMA, MODEL_IOTLB,
	  { RISCV_AV | RISCV_PSCID | RISCV_PSCV | RISCV_GV | RISCV_NL | RISCV_GSCID,
	    RISCV_ADDR | RISCV_S } },
	/* PSCV is illegal here, PSCID just not looked at. */
	{ RISCV_GVMA, MODEL_IOTLB,
	  { RISCV_AV | RISCV_PSCID | RISCV_GV | RISCV_NL | RISCV_GSCID,
	    RISCV_ADDR | RISCV_S } },
	{ RISCV_FENCE, MODEL_SYNC,
	  { RISCV_AV | RISCV_WSI | RISCV_PR | RISCV_PW | CMD_MASK(63, 32),
	    RISCV_FENCE_ADDR } },
	{ RISCV_DDT, MODEL_CONFIG, { RISCV_DV | RISCV_DID, 0 } },
	{ RISCV_PDT, MODEL_CONFIG, { RISCV_PID | RISCV_DV | RISCV_DID, 0 } },
	{ RISCV_ATS_INVAL, MODEL_ATC,
	  { RISCV_PID | RISCV_PV | RISCV_DSV | RISCV_RID_DSEG,
	    CMD_PAGE_MASK | RISCV_PAYLOAD_S | RISCV_PAYLOAD_G } },
	{ RISCV_ATS_PRGR, MODEL_OTHER,
	  { RISCV_PID | RISCV_PV | RISCV_DSV | RISCV_RID_DSEG,
	    CMD_MASK(63, 44) | CMD_MASK(40, 32) } },
};

static unsigned int riscv_op(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[0], 9, 0);
}

static const struct riscv_cmd *riscv_find(const uint64_t *cmd)
{
	for (size_t i = 0; i < sizeof(riscv_cmds) / sizeof(riscv_cmds[0]); i++) {
		if (riscv_cmds[i].op == riscv_op(cmd))
			return &riscv_cmds[i];
	}
	return NULL;
}

static uint32_t riscv_pscid(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 31, 12);
}

static uint32_t riscv_pid(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 31, 12);
}

static uint32_t riscv_gscid(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 59, 44);
}

static uint32_t riscv_did(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 63, 40);
}

/* The device_id of a function is its segment and RID. */
static uint32_t riscv_atc_dev(const uint64_t *cmd)
{
	uint32_t rid = (uint32_t)cmd_bits(cmd[0], 55, 40);
	uint32_t segment = (uint32_t)cmd_bits(cmd[0], 63, 56);

	return cmd[0] & RISCV_DSV ? segment << 16 | rid : rid;
}

/* Global Invalidate is reserved in a message without PASID (PCIe ATS). */
static bool riscv_atc_global(const uint64_t *cmd)
{
	return (cmd[0] & RISCV_PV) && (cmd[1] & RISCV_PAYLOAD_G);
}

static uint32_t riscv_atc_pasid(const uint64_t *cmd)
{
	return cmd[0] & RISCV_PV ? riscv_pid(cmd) : MODEL_NO_PASID;
}

static struct cmd_range riscv_atc_range(const uint64_t *cmd)
{
	uint64_t addr = cmd[1] & CMD_PAGE_MASK;

	return cmd[1] & RISCV_PAYLOAD_S ? cmd_range_napot(addr) :
					  cmd_range_order(addr, 0);
}

static bool riscv_by_addr(const uint64_t *cmd)
{
	if (riscv_op(cmd) == RISCV_GVMA && !(cmd[0] & RISCV_GV))
		return false;
	return cmd[0] & RISCV_AV;
}

static uint64_t riscv_addr(const uint64_t *cmd)
{
	return cmd_bits(cmd[1], 61, 10) << MODEL_PAGE_SHIFT;
}

static struct cmd_range riscv_range(const uint64_t *cmd)
{
	if (!riscv_by_addr(cmd))
		return CMD_RANGE_ALL;
	if (cmd[1] & RISCV_S)
		return cmd_range_napot(riscv_addr(cmd));
	return cmd_range_order(riscv_addr(cmd), 0);
}

static uint64_t riscv_fence_addr(const uint64_t *cmd)
{
	return (cmd[1] & RISCV_FENCE_ADDR) << 2;
}

static int riscv_classify(const uint64_t *cmd)
{
	const struct riscv_cmd *desc = riscv_find(cmd);

	return desc ? (int)desc->class : -1;
}

static enum model_fault riscv_check(const uint64_t *cmd, const char **reason)
{
	const struct riscv_cmd *desc = riscv_find(cmd);
	bool no_size = false;

	*reason = NULL;
	if (!desc) {
		*reason = "unknown opcode or function";
		return MODEL_BAD_OPCODE;
	}
	if ((cmd[0] & ~(desc->fields[0] | CMD_MASK(9, 0))) ||
	    (cmd[1] & ~desc->fields[1])) {
		*reason = "reserved bits set";
		return MODEL_BAD_FIELD;
	}

	switch (desc->op) {
	case RISCV_VMA:
	case RISCV_GVMA:
		no_size = riscv_by_addr(cmd) && (cmd[1] & RISCV_S) &&
			  !cmd_napot_valid(riscv_addr(cmd));
		break;
	case RISCV_ATS_INVAL:
		no_size = (cmd[1] & RISCV_PAYLOAD_S) && !cmd_napot_valid(cmd[1]);
		break;
	case RISCV_PDT:
		if (!(cmd[0] & RISCV_DV))
			*reason = "INVAL_PDT without DV";
		break;
	case RISCV_FENCE:
		if ((cmd[0] & RISCV_AV) && !riscv_fence_addr(cmd))
			*reason = "AV without an address";
		break;
	}
	if (no_size)
		*reason = "S set and no zero in the address";
	return *reason ? MODEL_BAD_FIELD : MODEL_OK;
}

static void riscv_decode_iotinval(const uint64_t *cmd, struct cmd_text *text)
{
	cmd_add(text, "IOTLB %s", riscv_op(cmd) == RISCV_VMA ? "vma" : "gvma");
	if (cmd[0] & RISCV_GV)
		cmd_add(text, " gscid %" PRIu32, riscv_gscid(cmd));
	if (cmd[0] & RISCV_PSCV)
		cmd_add(text, " pscid %" PRIu32, riscv_pscid(cmd));
	cmd_add_region(text, riscv_range(cmd));
	if (riscv_by_addr(cmd) && (cmd[0] & RISCV_NL))
		cmd_add(text, " nl");
}

static void riscv_decode(const uint64_t *cmd, char *buf, size_t size)
{
	struct cmd_text text = { buf, size, 0 };

	switch (riscv_op(cmd)) {
	case RISCV_VMA:
	case RISCV_GVMA:
		riscv_decode_iotinval(cmd, &text);
		break;
	case RISCV_FENCE:
		cmd_add(&text, "SYNC");
		if (cmd[0] & RISCV_AV)
			cmd_add(&text, " store 0x%" PRIx64 " to 0x%" PRIx64,
				cmd[0] >> 32, riscv_fence_addr(cmd));
		if (cmd[0] & RISCV_WSI)
			cmd_add(&text, " irq");
		if (cmd[0] & RISCV_PR)
			cmd_add(&text, " pr");
		if (cmd[0] & RISCV_PW)
			cmd_add(&text, " pw");
		break;
	case RISCV_DDT:
		if (cmd[0] & RISCV_DV)
			cmd_add(&text, "CONFIG dev 0x%" PRIx32, riscv_did(cmd));
		else
			cmd_add(&text, "CONFIG all");
		break;
	case RISCV_PDT:
		cmd_add(&text, "CONFIG dev 0x%" PRIx32 " pasid %" PRIu32,
			riscv_did(cmd), riscv_pid(cmd));
		break;
	case RISCV_ATS_INVAL:
		cmd_add(&text, "ATC dev 0x%" PRIx32, riscv_atc_dev(cmd));
		cmd_add_pasid(&text, riscv_atc_global(cmd), riscv_atc_pasid(cmd));
		cmd_add_region(&text, riscv_atc_range(cmd));
		break;
	case RISCV_ATS_PRGR:
		cmd_add(&text, "OTHER page-response dev 0x%" PRIx32,
			riscv_atc_dev(cmd));
		cmd_add_pasid(&text, false, riscv_atc_pasid(cmd));
		break;
	default:
		cmd_add(&text, "unknown opcode %" PRIu64 " func3 %" PRIu64,
			cmd_bits(cmd[0], 6, 0), cmd_bits(cmd[0], 9, 7));
	}
}

static void riscv_exec_vma(struct model_iommu *iommu, const uint64_t *cmd)
{
	struct cmd_range range = riscv_range(cmd);
	struct model_scope scope = {
		.any_tag = !(cmd[0] & RISCV_PSCV),
		.tag = cmd[0] & RISCV_PSCV ? riscv_pscid(cmd) : 0,
		.vm_tag = cmd[0] & RISCV_GV ? riscv_gscid(cmd) : 0,
		.any_pasid = true,
		.modes = MODEL_OF_S1 | MODEL_OF_NESTED,
		.first = range.first,
		.last = range.last,
		.leaf = riscv_by_addr(cmd) && !(cmd[0] & RISCV_NL),
	};

	model_inv_iotlb(iommu, &scope);
}

static void riscv_exec_gvma(struct model_iommu *iommu, const uint64_t *cmd)
{
	bool vm = cmd[0] & RISCV_GV;
	struct cmd_range range = riscv_range(cmd);
	struct model_scope scope = {
		.any_tag = true,
		.any_vm_tag = !vm,
		.vm_tag = vm ? riscv_gscid(cmd) : 0,
		.any_pasid = true,
		.modes = MODEL_OF_S2,
		.first = range.first,
		.last = range.last,
		.leaf = riscv_by_addr(cmd) && !(cmd[0] & RISCV_NL),
	};

	model_inv_iotlb(iommu, &scope);

	scope.modes = MODEL_OF_NESTED;
	scope.first = 0;
	scope.last = UINT64_MAX;
	scope.leaf = false;
	model_inv_iotlb(iommu, &scope);
}

static void riscv_exec(struct model_iommu *iommu, const uint64_t *cmd)
{
	struct cmd_range range;

	switch (riscv_op(cmd)) {
	case RISCV_VMA:
		riscv_exec_vma(iommu, cmd);
		break;
	case RISCV_GVMA:
		riscv_exec_gvma(iommu, cmd);
		break;
	case RISCV_FENCE:
		/* A word; what was done before it must be seen with it. */
		if (cmd[0] & RISCV_AV)
			__atomic_store_n((uint32_t *)(uintptr_t)riscv_fence_addr(cmd),
					 (uint32_t)(cmd[0] >> 32),
					 __ATOMIC_RELEASE);
		break;
	case RISCV_DDT:
		/* With all process contexts of the device, or of all devices. */
		model_inv_context(iommu, !(cmd[0] & RISCV_DV),
				  cmd[0] & RISCV_DV ? riscv_did(cmd) : 0, true, 0);
		break;
	case RISCV_PDT:
		model_inv_context(iommu, false, riscv_did(cmd), false,
				  riscv_pid(cmd));
		break;
	case RISCV_ATS_INVAL:
		range = riscv_atc_range(cmd);
		model_inv_atc(iommu, riscv_atc_dev(cmd), riscv_atc_global(cmd),
			      riscv_atc_pasid(cmd), range.first, range.last);
		break;
	}
}

/*
 * Registers: chapter 5. cip in ipsr comes again for as long as there is a cause in
 * cqcsr: software clears the cause first.
 */
#define RISCV_REG_CQH		32
#define RISCV_REG_CQT		36
#define RISCV_REG_CQCSR		72
#define RISCV_REG_IPSR		84

#define RISCV_CQEN		CMD_BIT(0)
#define RISCV_CIE		CMD_BIT(1)
#define RISCV_CMD_TO		CMD_BIT(9)
#define RISCV_CMD_ILL		CMD_BIT(10)
#define RISCV_FENCE_W_IP	CMD_BIT(11)
#define RISCV_CQON		CMD_BIT(16)
#define RISCV_CAUSES		(RISCV_CMD_TO | RISCV_CMD_ILL | RISCV_FENCE_W_IP)
#define RISCV_CIP		CMD_BIT(0)

static void riscv_set_cip(struct model_regs *regs)
{
	if ((regs->riscv.cqcsr & RISCV_CIE) && (regs->riscv.cqcsr & RISCV_CAUSES))
		regs->riscv.ipsr |= RISCV_CIP;
}

static uint32_t riscv_reg_read(const struct model_regs *regs, unsigned int offset)
{
	switch (offset) {
	case RISCV_REG_CQH:
		return regs->head;
	case RISCV_REG_CQT:
		return regs->tail;
	case RISCV_REG_CQCSR:
		return regs->riscv.cqcsr | RISCV_CQEN | RISCV_CQON;
	case RISCV_REG_IPSR:
		return regs->riscv.ipsr;
	}
	return 0;
}

static void riscv_reg_write(struct model_regs *regs, unsigned int offset, uint32_t value)
{
	switch (offset) {
	case RISCV_REG_CQT:
		regs->tail = value % regs->entries;
		break;
	case RISCV_REG_CQCSR:
		regs->riscv.cqcsr &= ~((value & RISCV_CAUSES) | RISCV_CIE);
		regs->riscv.cqcsr |= value & RISCV_CIE;
		break;
	case RISCV_REG_IPSR:
		regs->riscv.ipsr &= ~(value & RISCV_CIP);
		break;
	}
	riscv_set_cip(regs);
}

static bool riscv_stopped(const struct model_regs *regs)
{
	return regs->riscv.cqcsr & (RISCV_CMD_TO | RISCV_CMD_ILL);
}

static void riscv_restart(struct model_regs *regs)
{
	regs->riscv.cqcsr &= ~(RISCV_CMD_TO | RISCV_CMD_ILL);
}

static void riscv_error(struct model_regs *regs, enum model_fault fault,
			const uint64_t *cmd, uint32_t rid)
{
	(void)cmd;
	(void)rid;
	/* A timeout is told by the next fence, if at all (3.1.2, 3.1.4). */
	if (fault != MODEL_ATC_TIMEOUT)
		regs->riscv.cqcsr |= RISCV_CMD_ILL;
	riscv_set_cip(regs);
}

static void riscv_wait_failed(struct model_regs *regs)
{
	regs->riscv.cqcsr |= RISCV_CMD_TO;
	riscv_set_cip(regs);
}

static void riscv_completed(struct model_regs *regs, const uint64_t *cmd)
{
	if (cmd[0] & RISCV_WSI)
		regs->riscv.cqcsr |= RISCV_FENCE_W_IP;
	riscv_set_cip(regs);
}

const struct model_ops model_riscv = {
	.s2_by_vm_tag = true,
	.name = "RISC-V IOMMU",
	.words = 2,
	.classify = riscv_classify,
	.decode = riscv_decode,
	.check = riscv_check,
	.exec = riscv_exec,
	.reg_read = riscv_reg_read,
	.reg_write = riscv_reg_write,
	.stopped = riscv_stopped,
	.restart = riscv_restart,
	.error = riscv_error,
	.wait_failed = riscv_wait_failed,
	.completed = riscv_completed,
};
