// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: commands of the Non-secure command queue, chapter 4 of the
 * architecture specification (IHI 0070).
 *
 * What the model is, in the terms of the ID registers: stage 1 and stage 2,
 * 16-bit ASID and VMID, RIL (ranges and level hints), ATS, 4 KiB granule only,
 * no MPAM, no stall, no PRI. Commands of a feature that is not there, or of
 * another security state, are CERROR_ILL.
 *
 * What an invalidation reaches (4.4.2, 4.4.3), entries being tagged by VMID, and
 * those of stage 1 or of both stages by ASID:
 *
 *                  stage 2 entry   stage 1, combined entry
 *   NH_ALL         -               VMID
 *   NH_ASID        -               VMID, ASID
 *   NH_VA          -               VMID, ASID, address
 *   NH_VAA         -               VMID, address
 *   S2_IPA         VMID, address   -
 *   S12_VMALL      VMID            VMID
 *   NSNH_ALL       all             all
 *
 * S2_IPA leaves combined entries alone (4.4.3.1), so a change of an S2 table
 * under a nest takes NH_ALL (or NH_VAA of everything) for the VMID besides.
 *
 * Contexts do not tell their StreamWorld. The EL2 forms are taken for what they
 * are with SMMU_CR2.E2H set: stage 1 entries by ASID, without VMID, which is 0.
 *
 * The level hint TTL narrows what hardware has to invalidate (4.4.1.1). Entries
 * do not tell the level they are from, so a wrong hint is caught only by the
 * alignment that it demands.
 *
 * CD 0 serves requests without SubstreamID (STE.S1DSS, 4.3.3): SubstreamID 0 in
 * a configuration command means these, never a PASID 0.
 */
#include "cmd.h"
#include "smmuv3.h"

/* Section 4.1.1. */
#define SMMU_PREFETCH_CONFIG	0x01
#define SMMU_CFGI_CD		0x05
#define SMMU_CFGI_CD_ALL	0x06
#define SMMU_TLBI_NH_ALL	0x10
#define SMMU_TLBI_NH_ASID	0x11
#define SMMU_TLBI_NH_VA		0x12
#define SMMU_TLBI_NH_VAA	0x13
#define SMMU_TLBI_EL2_ALL	0x20
#define SMMU_TLBI_EL2_ASID	0x21
#define SMMU_TLBI_EL2_VA	0x22
#define SMMU_TLBI_EL2_VAA	0x23
#define SMMU_TLBI_S12_VMALL	0x28
#define SMMU_TLBI_S2_IPA	0x2a
#define SMMU_TLBI_NSNH_ALL	0x30
#define SMMU_ATC_INV		0x40

#define SMMU_SID		CMD_MASK(63, 32)
#define SMMU_SSID		CMD_MASK(31, 12)
#define SMMU_SSV		CMD_BIT(11)
#define SMMU_VMID		CMD_MASK(47, 32)
#define SMMU_ASID		CMD_MASK(63, 48)
/* SCALE has 5 bits where IDR5.DS is 0. */
#define SMMU_RANGE		(CMD_MASK(24, 20) | CMD_MASK(16, 12))
#define SMMU_GLOBAL		CMD_BIT(9)

/* Word 1. TTL128 (bit 7) is for 128-bit descriptors, which are not there. */
#define SMMU_LEAF		CMD_BIT(0)
#define SMMU_VA			(CMD_PAGE_MASK | CMD_MASK(11, 8) | SMMU_LEAF)
#define SMMU_IPA		(CMD_MASK(55, 12) | CMD_MASK(11, 8) | SMMU_LEAF)

#define SMMU_TG_4K		1

/* SYNC, 4.7.3: completion signal. */
#define SMMU_CS			CMD_MASK(13, 12)
#define SMMU_CS_SEV		2
#define SMMU_MSI_ATTR		CMD_MASK(27, 22)
#define SMMU_MSI_DATA		CMD_MASK(63, 32)

enum smmu_entries {
	SMMU_S1 = MODEL_OF_S1 | MODEL_OF_NESTED,
	SMMU_S2 = MODEL_OF_S2,
};

/*
 * One line a command: the fields that it has, and for an invalidation which of
 * them an entry has to match.
 */
static const struct smmu_cmd {
	uint8_t opcode;
	enum model_class class;
	uint64_t fields[2];
	const char *name;		/* which tables, in a decoded TLBI */
	unsigned int entries;		/* enum smmu_entries */
	bool by_vmid;
	bool by_asid;
	bool by_addr;
} smmu_cmds[] = {
	{ .opcode = SMMU_PREFETCH_CONFIG, .class = MODEL_OTHER,
	  .fields = { SMMU_SID | SMMU_SSID | SMMU_SSV, 0 } },
	{ .opcode = SMMU_CFGI_STE, .class = MODEL_CONFIG,
	  .fields = { SMMU_SID, SMMU_LEAF } },
	{ .opcode = SMMU_CFGI_STE_RANGE, .class = MODEL_CONFIG,
	  .fields = { SMMU_SID, CMD_MASK(4, 0) } },
	{ .opcode = SMMU_CFGI_CD, .class = MODEL_CONFIG,
	  .fields = { SMMU_SID | SMMU_SSID, SMMU_LEAF } },
	{ .opcode = SMMU_CFGI_CD_ALL, .class = MODEL_CONFIG,
	  .fields = { SMMU_SID, 0 } },
	{ .opcode = SMMU_TLBI_NH_ALL, .class = MODEL_IOTLB,
	  .fields = { SMMU_VMID, 0 },
	  .name = "s1", .entries = SMMU_S1, .by_vmid = true },
	{ .opcode = SMMU_TLBI_NH_ASID, .class = MODEL_IOTLB,
	  .fields = { SMMU_VMID | SMMU_ASID, 0 },
	  .name = "s1", .entries = SMMU_S1, .by_vmid = true, .by_asid = true },
	{ .opcode = SMMU_TLBI_NH_VA, .class = MODEL_IOTLB,
	  .fields = { SMMU_VMID | SMMU_ASID | SMMU_RANGE, SMMU_VA },
	  .name = "s1", .entries = SMMU_S1,
	  .by_vmid = true, .by_asid = true, .by_addr = true },
	{ .opcode = SMMU_TLBI_NH_VAA, .class = MODEL_IOTLB,
	  .fields = { SMMU_VMID | SMMU_RANGE, SMMU_VA },
	  .name = "s1", .entries = SMMU_S1, .by_vmid = true, .by_addr = true },
	{ .opcode = SMMU_TLBI_EL2_ALL, .class = MODEL_IOTLB,
	  .name = "el2", .entries = SMMU_S1 },
	{ .opcode = SMMU_TLBI_EL2_ASID, .class = MODEL_IOTLB,
	  .fields = { SMMU_ASID, 0 },
	  .name = "el2", .entries = SMMU_S1, .by_asid = true },
	{ .opcode = SMMU_TLBI_EL2_VA, .class = MODEL_IOTLB,
	  .fields = { SMMU_ASID | SMMU_RANGE, SMMU_VA },
	  .name = "el2", .entries = SMMU_S1, .by_asid = true, .by_addr = true },
	{ .opcode = SMMU_TLBI_EL2_VAA, .class = MODEL_IOTLB,
	  .fields = { SMMU_RANGE, SMMU_VA },
	  .name = "el2", .entries = SMMU_S1, .by_addr = true },
	{ .opcode = SMMU_TLBI_S12_VMALL, .class = MODEL_IOTLB,
	  .fields = { SMMU_VMID, 0 },
	  .name = "s1+s2", .entries = SMMU_S1 | SMMU_S2, .by_vmid = true },
	{ .opcode = SMMU_TLBI_S2_IPA, .class = MODEL_IOTLB,
	  .fields = { SMMU_VMID | SMMU_RANGE, SMMU_IPA },
	  .name = "s2", .entries = SMMU_S2, .by_vmid = true, .by_addr = true },
	{ .opcode = SMMU_TLBI_NSNH_ALL, .class = MODEL_IOTLB,
	  .name = "s1+s2", .entries = SMMU_S1 | SMMU_S2 },
	{ .opcode = SMMU_ATC_INV, .class = MODEL_ATC,
	  .fields = { SMMU_SID | SMMU_SSID | SMMU_SSV | SMMU_GLOBAL,
		      CMD_PAGE_MASK | CMD_MASK(5, 0) } },
	{ .opcode = SMMU_SYNC, .class = MODEL_SYNC,
	  .fields = { SMMU_MSI_DATA | SMMU_MSI_ATTR | SMMU_CS, SMMU_MSI_ADDR } },
};

static const struct smmu_cmd *smmu_find(const uint64_t *cmd)
{
	for (size_t i = 0; i < sizeof(smmu_cmds) / sizeof(smmu_cmds[0]); i++) {
		if (smmu_cmds[i].opcode == (cmd[0] & SMMU_OPCODE))
			return &smmu_cmds[i];
	}
	return NULL;
}

static uint32_t smmu_ssid(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 31, 12);
}

static uint32_t smmu_vmid(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 47, 32);
}

static uint32_t smmu_asid(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 63, 48);
}

static unsigned int smmu_num(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[0], 16, 12);
}

static unsigned int smmu_scale(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[0], 24, 20);
}

static unsigned int smmu_tg(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[1], 11, 10);
}

static unsigned int smmu_ttl(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[1], 9, 8);
}

/* NUM and SCALE are 0 without TG: one page, and the leaf around it. */
static struct cmd_range smmu_range(const uint64_t *cmd)
{
	return cmd_range_count(cmd[1], smmu_num(cmd), smmu_scale(cmd));
}

static struct cmd_range smmu_atc_range(const uint64_t *cmd)
{
	return cmd_range_order(cmd[1], (unsigned int)cmd_bits(cmd[1], 5, 0));
}

/* G counts with SSV only (4.5.1). */
static bool smmu_atc_global(const uint64_t *cmd)
{
	return (cmd[0] & SMMU_SSV) && (cmd[0] & SMMU_GLOBAL);
}

static uint32_t smmu_pasid(const uint64_t *cmd)
{
	return cmd[0] & SMMU_SSV ? smmu_ssid(cmd) : MODEL_NO_PASID;
}

static int smmu_classify(const uint64_t *cmd)
{
	const struct smmu_cmd *desc = smmu_find(cmd);

	return desc ? (int)desc->class : -1;
}

/* Section 4.4.1.1. */
static const char *smmu_check_range(const uint64_t *cmd)
{
	/* Address bits that a leaf at the hinted level does not have. */
	static const uint64_t below[] = { 0, CMD_MASK(29, 12), CMD_MASK(20, 12), 0 };
	unsigned int num = smmu_num(cmd), scale = smmu_scale(cmd);
	unsigned int tg = smmu_tg(cmd), ttl = smmu_ttl(cmd);

	if (tg == 0)
		return num || scale || ttl ? "NUM, SCALE or TTL without TG" : NULL;
	if (tg != SMMU_TG_4K)
		return "granule that no table has";
	if (!num && !scale && !ttl)
		return "TG with neither range nor TTL";
	if (cmd[1] & below[ttl])
		return "address not aligned as TTL says";
	return NULL;
}

static enum model_fault smmu_check(const uint64_t *cmd, const char **reason)
{
	const struct smmu_cmd *desc = smmu_find(cmd);

	*reason = NULL;
	if (!desc) {
		*reason = "unknown opcode";
		return MODEL_BAD_OPCODE;
	}
	if ((cmd[0] & ~(desc->fields[0] | SMMU_OPCODE)) ||
	    (cmd[1] & ~desc->fields[1]))
		*reason = "reserved bits set";
	else if (desc->by_addr)
		*reason = smmu_check_range(cmd);
	else if (desc->opcode == SMMU_ATC_INV &&
		 cmd_bits(cmd[1], 5, 0) > CMD_MAX_ORDER)
		*reason = "size beyond the address space";
	else if (desc->opcode == SMMU_SYNC && smmu_cs(cmd) > SMMU_CS_SEV)
		*reason = "reserved completion signal";
	return *reason ? MODEL_BAD_FIELD : MODEL_OK;
}

static void smmu_decode_tlbi(const struct smmu_cmd *desc, const uint64_t *cmd,
			     struct cmd_text *text)
{
	cmd_add(text, "IOTLB %s", desc->name);
	if (desc->by_vmid)
		cmd_add(text, " vmid %" PRIu32, smmu_vmid(cmd));
	if (desc->by_asid)
		cmd_add(text, " asid %" PRIu32, smmu_asid(cmd));
	if (!desc->by_addr) {
		cmd_add(text, " all");
		return;
	}
	cmd_add(text, " page 0x%" PRIx64, cmd[1] & CMD_PAGE_MASK);
	if (smmu_num(cmd) || smmu_scale(cmd))
		cmd_add(text, " num %u scale %u", smmu_num(cmd), smmu_scale(cmd));
	if (smmu_ttl(cmd))
		cmd_add(text, " ttl %u", smmu_ttl(cmd));
	if (cmd[1] & SMMU_LEAF)
		cmd_add(text, " leaf");
}

static void smmu_decode(const uint64_t *cmd, char *buf, size_t size)
{
	const struct smmu_cmd *desc = smmu_find(cmd);
	struct cmd_text text = { buf, size, 0 };
	unsigned int range = (unsigned int)cmd_bits(cmd[1], 4, 0);

	if (!desc) {
		cmd_add(&text, "unknown opcode 0x%" PRIx64, cmd[0] & SMMU_OPCODE);
		return;
	}
	if (desc->class == MODEL_IOTLB) {
		smmu_decode_tlbi(desc, cmd, &text);
		return;
	}
	switch (desc->opcode) {
	case SMMU_PREFETCH_CONFIG:
		cmd_add(&text, "OTHER prefetch dev 0x%" PRIx32, smmu_sid(cmd));
		cmd_add_pasid(&text, false, smmu_pasid(cmd));
		break;
	case SMMU_CFGI_STE_RANGE:
		if (range == 31)
			cmd_add(&text, "CONFIG all");
		else
			cmd_add(&text, "CONFIG dev 0x%" PRIx32 " range %u",
				smmu_sid(cmd), range);
		break;
	case SMMU_CFGI_STE:
		cmd_add(&text, "CONFIG dev 0x%" PRIx32, smmu_sid(cmd));
		break;
	case SMMU_CFGI_CD:
		cmd_add(&text, "CONFIG dev 0x%" PRIx32 " pasid %" PRIu32,
			smmu_sid(cmd), smmu_ssid(cmd));
		break;
	case SMMU_CFGI_CD_ALL:
		cmd_add(&text, "CONFIG dev 0x%" PRIx32 " any-pasid", smmu_sid(cmd));
		break;
	case SMMU_ATC_INV:
		cmd_add(&text, "ATC dev 0x%" PRIx32, smmu_sid(cmd));
		cmd_add_pasid(&text, smmu_atc_global(cmd), smmu_pasid(cmd));
		cmd_add_region(&text, smmu_atc_range(cmd));
		break;
	case SMMU_SYNC:
		cmd_add(&text, "SYNC");
		if (smmu_sends_msi(cmd))
			cmd_add(&text, " store 0x%" PRIx64 " to 0x%" PRIx64,
				cmd[0] >> 32, cmd[1] & SMMU_MSI_ADDR);
		else if (smmu_cs(cmd) == SMMU_CS_IRQ)
			cmd_add(&text, " irq");
		else if (smmu_cs(cmd) == SMMU_CS_SEV)
			cmd_add(&text, " sev");
		break;
	}
}

static void smmu_exec_tlbi(struct model_iommu *iommu, const struct smmu_cmd *desc,
			   const uint64_t *cmd)
{
	struct cmd_range range = desc->by_addr ? smmu_range(cmd) : CMD_RANGE_ALL;
	struct model_scope scope = {
		.any_tag = !desc->by_asid,
		.tag = desc->by_asid ? smmu_asid(cmd) : 0,
		.any_vm_tag = desc->opcode == SMMU_TLBI_NSNH_ALL,
		.vm_tag = desc->by_vmid ? smmu_vmid(cmd) : 0,
		.any_pasid = true,
		.modes = desc->entries,
		.first = range.first,
		.last = range.last,
		.leaf = desc->by_addr && (cmd[1] & SMMU_LEAF),
	};

	model_inv_iotlb(iommu, &scope);
}

static void smmu_exec(struct model_iommu *iommu, const uint64_t *cmd)
{
	const struct smmu_cmd *desc = smmu_find(cmd);
	struct cmd_range range;
	uint32_t ssid;

	if (desc->class == MODEL_IOTLB) {
		smmu_exec_tlbi(iommu, desc, cmd);
		return;
	}
	switch (desc->opcode) {
	case SMMU_CFGI_STE:
	case SMMU_CFGI_CD_ALL:
		/* An STE takes its CDs with it (4.3.1). */
		model_inv_context(iommu, false, smmu_sid(cmd), true, 0);
		break;
	case SMMU_CFGI_STE_RANGE:
		/* Up to 2^32 devices; more than asked for is allowed (4.3). */
		model_inv_context(iommu, true, 0, true, 0);
		break;
	case SMMU_CFGI_CD:
		ssid = smmu_ssid(cmd);
		model_inv_context(iommu, false, smmu_sid(cmd), false,
				  ssid ? ssid : MODEL_NO_PASID);
		break;
	case SMMU_ATC_INV:
		range = smmu_atc_range(cmd);
		model_inv_atc(iommu, smmu_sid(cmd), smmu_atc_global(cmd),
			      smmu_pasid(cmd), range.first, range.last);
		break;
	case SMMU_SYNC:
		/* The MSI is a word; what was done before it is seen with it. */
		if (smmu_sends_msi(cmd))
			__atomic_store_n((uint32_t *)(uintptr_t)(cmd[1] & SMMU_MSI_ADDR),
					 (uint32_t)(cmd[0] >> 32),
					 __ATOMIC_RELEASE);
		break;
	}
}

/*
 * Registers: 6.3 and, for errors, 7.1. An error is active while its bits in GERROR and
 * GERRORN differ: the SMMU toggles the one, software the other. Indices have a wrap bit
 * above them.
 */
#define SMMU_REG_GERROR		0x60
#define SMMU_REG_GERRORN	0x64
#define SMMU_REG_STRTAB_BASE	0x80
#define SMMU_REG_STRTAB_CFG	0x88
#define SMMU_REG_CMDQ_PROD	0x98
#define SMMU_REG_CMDQ_CONS	0x9c

#define SMMU_GERROR_CMDQ	1
#define SMMU_CONS_ERR_SHIFT	24
#define SMMU_CERROR_ILL		1
#define SMMU_CERROR_ATC_INV_SYNC 3

static uint32_t smmu_reg_read(const struct model_regs *regs, unsigned int offset)
{
	bool tail_wrap = regs->head_wrap != (regs->tail < regs->head);

	switch (offset) {
	case SMMU_REG_GERROR:
		return regs->smmu.gerror;
	case SMMU_REG_GERRORN:
		return regs->smmu.gerrorn;
	case SMMU_REG_STRTAB_BASE:
		return (uint32_t)regs->smmu.strtab_base;
	case SMMU_REG_STRTAB_BASE + 4:
		return (uint32_t)(regs->smmu.strtab_base >> 32);
	case SMMU_REG_STRTAB_CFG:
		return regs->smmu.strtab_cfg;
	case SMMU_REG_CMDQ_PROD:
		return regs->tail | (tail_wrap ? regs->entries : 0);
	case SMMU_REG_CMDQ_CONS:
		return regs->head | (regs->head_wrap ? regs->entries : 0) |
		       regs->smmu.cons_err << SMMU_CONS_ERR_SHIFT;
	}
	return 0;
}

static void smmu_reg_write(struct model_regs *regs, unsigned int offset, uint32_t value)
{
	switch (offset) {
	case SMMU_REG_GERRORN:
		regs->smmu.gerrorn = value & SMMU_GERROR_CMDQ;
		break;
	case SMMU_REG_STRTAB_BASE:
		regs->smmu.strtab_base = (regs->smmu.strtab_base & CMD_MASK(63, 32)) | value;
		break;
	case SMMU_REG_STRTAB_BASE + 4:
		regs->smmu.strtab_base = (regs->smmu.strtab_base & CMD_MASK(31, 0)) |
					 (uint64_t)value << 32;
		break;
	case SMMU_REG_STRTAB_CFG:
		regs->smmu.strtab_cfg = value;
		break;
	case SMMU_REG_CMDQ_PROD:
		regs->tail = value % regs->entries;
		break;
	}
}

static bool smmu_stopped(const struct model_regs *regs)
{
	return regs->smmu.gerror != regs->smmu.gerrorn;
}

static void smmu_restart(struct model_regs *regs)
{
	regs->smmu.gerrorn = regs->smmu.gerror;
}

static void smmu_stop(struct model_regs *regs, uint32_t cons_err)
{
	regs->smmu.cons_err = cons_err;
	regs->smmu.gerror ^= SMMU_GERROR_CMDQ;
}

static void smmu_error(struct model_regs *regs, enum model_fault fault,
		       const uint64_t *cmd, uint32_t rid)
{
	(void)cmd;
	(void)rid;
	/* A timeout is told by the next CMD_SYNC, if at all (3.9.1.4). */
	if (fault != MODEL_ATC_TIMEOUT)
		smmu_stop(regs, SMMU_CERROR_ILL);
}

static void smmu_wait_failed(struct model_regs *regs)
{
	smmu_stop(regs, SMMU_CERROR_ATC_INV_SYNC);
}

const struct model_ops model_smmuv3 = {
	.s2_by_vm_tag = true,
	.name = "SMMUv3",
	.words = 2,
	.classify = smmu_classify,
	.decode = smmu_decode,
	.check = smmu_check,
	.exec = smmu_exec,
	.reg_read = smmu_reg_read,
	.reg_write = smmu_reg_write,
	.stopped = smmu_stopped,
	.restart = smmu_restart,
	.error = smmu_error,
	.wait_failed = smmu_wait_failed,
};
