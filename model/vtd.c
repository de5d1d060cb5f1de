// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VT-d: descriptors of the invalidation queue, section 6.5.2 of the
 * architecture specification (D51397, section numbers of revision 5.10).
 *
 * A queue entry is 256 bits. The descriptors that exist in 128 bits are padded
 * with zeros, so one layout serves legacy and scalable mode.
 *
 * What an invalidation reaches (tables 23 and 24):
 *
 *                            S2 entry      S1, nested entry   S2 walks  S1 walks
 *   IOTLB global             all           all                all       all
 *   IOTLB domain             DID           DID                DID       DID
 *   IOTLB page               DID, address  DID                DID, address
 *                                                             if !IH    DID
 *   PASID-IOTLB PASID        -             DID, PASID         -         DID, PASID
 *   PASID-IOTLB page         -             DID, PASID,        -         the same
 *                                          address                      if !IH
 *
 * So a change of an S2 table is answered by page invalidations under the DID of
 * every nest: the address picks S2 entries, and the entries that went through
 * both tables go altogether. The specification lets a PASID-selective
 * PASID-IOTLB invalidation reach S2 entries of that PASID; S2 entries here carry
 * no PASID, and a driver that counts on it would be wrong to: table 28 asks for
 * the domain-selective form.
 *
 * Requests without PASID use the PASID in RID_PASID of the scalable-mode context
 * entry (9.4). It is 0 here, so PASID 0 in a descriptor means these requests,
 * but not in a device-TLB descriptor: the device knows nothing of RID_PASID.
 */
#include "cmd.h"
#include "vtd.h"

/* Granularity of the PASID cache. */
#define VTD_PC_DOMAIN		0
#define VTD_PC_PASID		1
#define VTD_PC_GLOBAL		3

#define VTD_WAIT_IF		CMD_BIT(4)
#define VTD_WAIT_FN		CMD_BIT(6)

#define VTD_ADDR_IH		CMD_BIT(6)	/* of word 1 */
#define VTD_DEV_TLB_S		CMD_BIT(0)
#define VTD_P_DEV_TLB_GI	CMD_BIT(0)
#define VTD_P_DEV_TLB_S		CMD_BIT(11)

/* Bits that the figures 6-1 to 6-9 show as RsvdZ; words 2 and 3 always are. */
static const struct {
	enum model_class class;
	uint64_t reserved[2];
} vtd_types[VTD_TYPES] = {
	[VTD_CC] = { MODEL_CONFIG, {
		CMD_MASK(8, 6) | CMD_MASK(15, 12) | CMD_MASK(63, 50), UINT64_MAX } },
	[VTD_IOTLB] = { MODEL_IOTLB, {
		CMD_BIT(8) | CMD_MASK(15, 12) | CMD_MASK(63, 32), CMD_MASK(11, 7) } },
	[VTD_DEV_TLB] = { MODEL_ATC, {
		CMD_MASK(8, 4) | CMD_MASK(31, 21) | CMD_MASK(51, 48),
		CMD_MASK(11, 1) } },
	[VTD_IEC] = { MODEL_OTHER, {
		CMD_MASK(8, 5) | CMD_MASK(26, 12) | CMD_MASK(63, 48), UINT64_MAX } },
	[VTD_WAIT] = { MODEL_SYNC, {
		CMD_BIT(8) | CMD_MASK(31, 12), CMD_MASK(1, 0) } },
	[VTD_P_IOTLB] = { MODEL_IOTLB, {
		CMD_MASK(8, 6) | CMD_MASK(15, 12) | CMD_MASK(63, 52),
		CMD_MASK(11, 7) } },
	[VTD_PC] = { MODEL_CONFIG, {
		CMD_MASK(8, 6) | CMD_MASK(15, 12) | CMD_MASK(63, 52), UINT64_MAX } },
	[VTD_P_DEV_TLB] = { MODEL_ATC, { 0, CMD_MASK(10, 1) } },
};

static uint32_t vtd_did(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 31, 16);
}

static uint32_t vtd_pasid(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 51, 32);
}

static uint32_t vtd_request_pasid(const uint64_t *cmd)
{
	uint32_t pasid = vtd_pasid(cmd);

	return pasid ? pasid : MODEL_NO_PASID;
}

static unsigned int vtd_address_mask(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[1], 5, 0);
}

static uint64_t vtd_address(const uint64_t *cmd)
{
	return cmd[1] & CMD_PAGE_MASK;
}

static bool vtd_atc_sized(const uint64_t *cmd)
{
	return cmd[1] & (vtd_type(cmd) == VTD_DEV_TLB ? VTD_DEV_TLB_S :
							VTD_P_DEV_TLB_S);
}

static struct cmd_range vtd_atc_range(const uint64_t *cmd)
{
	return vtd_atc_sized(cmd) ? cmd_range_napot(vtd_address(cmd)) :
				    cmd_range_order(vtd_address(cmd), 0);
}

static uint32_t vtd_atc_sid(const uint64_t *cmd)
{
	if (vtd_type(cmd) == VTD_DEV_TLB)
		return (uint32_t)cmd_bits(cmd[0], 47, 32);
	return (uint32_t)cmd_bits(cmd[0], 31, 16);
}

static int vtd_classify(const uint64_t *cmd)
{
	unsigned int type = vtd_type(cmd);

	return type >= VTD_CC && type < VTD_TYPES ? (int)vtd_types[type].class : -1;
}

static enum model_fault vtd_check(const uint64_t *cmd, const char **reason)
{
	unsigned int type = vtd_type(cmd), g = vtd_granularity(cmd);
	bool page;

	*reason = NULL;
	if (vtd_classify(cmd) < 0) {
		*reason = "unknown descriptor type";
		return MODEL_BAD_OPCODE;
	}
	if ((cmd[0] & vtd_types[type].reserved[0]) ||
	    (cmd[1] & vtd_types[type].reserved[1]) || cmd[2] || cmd[3]) {
		*reason = "reserved bits set";
		return MODEL_BAD_FIELD;
	}

	switch (type) {
	case VTD_CC:
	case VTD_IOTLB:
		if (g == 0)
			*reason = "reserved granularity";
		break;
	case VTD_P_IOTLB:
		if (g < VTD_DOMAIN)
			*reason = "reserved granularity";
		break;
	case VTD_PC:
		if (g == 2)
			*reason = "reserved granularity";
		break;
	case VTD_DEV_TLB:
	case VTD_P_DEV_TLB:
		if (vtd_atc_sized(cmd) && !cmd_napot_valid(vtd_address(cmd)))
			*reason = "S set and no zero in the address";
		break;
	case VTD_WAIT:
		if ((cmd[0] & VTD_WAIT_SW) && !cmd[1])
			*reason = "status write without an address";
		/* The specification has fences alone; QEMU refuses them. */
		else if (!(cmd[0] & (VTD_WAIT_SW | VTD_WAIT_IF)))
			*reason = "neither status write nor interrupt";
		break;
	}
	page = (type == VTD_IOTLB || type == VTD_P_IOTLB) && g == VTD_NARROW;
	if (page && vtd_address_mask(cmd) > CMD_MAX_ORDER)
		*reason = "address mask beyond the address space";
	return *reason ? MODEL_BAD_FIELD : MODEL_OK;
}

static void vtd_decode(const uint64_t *cmd, char *buf, size_t size)
{
	struct cmd_text text = { buf, size, 0 };
	unsigned int type = vtd_type(cmd), g = vtd_granularity(cmd);

	switch (type) {
	case VTD_CC:
		cmd_add(&text, "CONFIG");
		if (g == VTD_NARROW)
			cmd_add(&text, " dev 0x%" PRIx64, cmd_bits(cmd[0], 47, 32));
		if (g == VTD_NARROW || g == VTD_DOMAIN)
			cmd_add(&text, " dom %" PRIu32, vtd_did(cmd));
		else
			cmd_add(&text, " all");
		if (g == VTD_NARROW && cmd_bits(cmd[0], 49, 48))
			cmd_add(&text, " fm %" PRIu64, cmd_bits(cmd[0], 49, 48));
		break;
	case VTD_PC:
		cmd_add(&text, "CONFIG");
		if (g == VTD_PC_GLOBAL)
			cmd_add(&text, " all-pasids");
		else
			cmd_add(&text, " dom %" PRIu32, vtd_did(cmd));
		if (g == VTD_PC_PASID)
			cmd_add_pasid(&text, false, vtd_pasid(cmd));
		else if (g == VTD_PC_DOMAIN)
			cmd_add_pasid(&text, true, 0);
		break;
	case VTD_IOTLB:
	case VTD_P_IOTLB:
		cmd_add(&text, "IOTLB");
		if (type == VTD_P_IOTLB || g != VTD_GLOBAL)
			cmd_add(&text, " dom %" PRIu32, vtd_did(cmd));
		if (type == VTD_P_IOTLB)
			cmd_add_pasid(&text, false, vtd_pasid(cmd));
		if (g != VTD_NARROW) {
			cmd_add(&text, " all");
			break;
		}
		cmd_add_region(&text, cmd_range_order(vtd_address(cmd),
						      vtd_address_mask(cmd)));
		if (cmd[1] & VTD_ADDR_IH)
			cmd_add(&text, " ih");
		break;
	case VTD_DEV_TLB:
	case VTD_P_DEV_TLB:
		cmd_add(&text, "ATC dev 0x%" PRIx32, vtd_atc_sid(cmd));
		if (type == VTD_P_DEV_TLB)
			cmd_add_pasid(&text, cmd[1] & VTD_P_DEV_TLB_GI,
				      vtd_pasid(cmd));
		cmd_add_region(&text, vtd_atc_range(cmd));
		break;
	case VTD_IEC:
		cmd_add(&text, "OTHER irq-cache");
		if (cmd[0] & CMD_BIT(4))
			cmd_add(&text, " index %" PRIu64 " im %" PRIu64,
				cmd_bits(cmd[0], 47, 32), cmd_bits(cmd[0], 31, 27));
		else
			cmd_add(&text, " all");
		break;
	case VTD_WAIT:
		cmd_add(&text, "SYNC");
		if (cmd[0] & VTD_WAIT_SW)
			cmd_add(&text, " store 0x%" PRIx64 " to 0x%" PRIx64,
				cmd[0] >> 32, cmd[1]);
		if (cmd[0] & VTD_WAIT_IF)
			cmd_add(&text, " irq");
		if (cmd[0] & VTD_WAIT_FN)
			cmd_add(&text, " fence");
		break;
	default:
		cmd_add(&text, "unknown type 0x%x", type);
	}
}

static void vtd_exec_context(struct model_iommu *iommu, const uint64_t *cmd)
{
	switch (vtd_granularity(cmd)) {
	case VTD_GLOBAL:
		model_inv_context(iommu, true, 0, false, MODEL_NO_PASID);
		return;
	case VTD_DOMAIN:
		model_inv_context_tag(iommu, vtd_did(cmd));
		return;
	}
	/*
	 * The DID need not match in scalable mode and is not looked at. Entries
	 * of PASIDs are in the PASID cache and stay.
	 */
	for (uint32_t fn = 0; fn < 8; fn++) {
		if (vtd_names_function(cmd, fn))
			model_inv_context(iommu, false, vtd_context_sid(cmd, fn), false,
					  MODEL_NO_PASID);
	}
}

static void vtd_exec_pasid_cache(struct model_iommu *iommu, const uint64_t *cmd)
{
	switch (vtd_granularity(cmd)) {
	case VTD_PC_GLOBAL:
		model_inv_context(iommu, true, 0, true, 0);
		break;
	case VTD_PC_DOMAIN:
		model_inv_context_tag(iommu, vtd_did(cmd));
		break;
	case VTD_PC_PASID:
		/* Wider than asked for, which is allowed: any DID. */
		model_inv_context(iommu, true, 0, false, vtd_request_pasid(cmd));
		break;
	}
}

static void vtd_exec_iotlb(struct model_iommu *iommu, const uint64_t *cmd)
{
	unsigned int g = vtd_granularity(cmd);
	struct cmd_range range = g == VTD_NARROW ?
		cmd_range_order(vtd_address(cmd), vtd_address_mask(cmd)) :
		CMD_RANGE_ALL;
	struct model_scope scope = {
		.any_tag = g == VTD_GLOBAL,
		.tag = vtd_did(cmd),
		.any_vm_tag = true,
		.any_pasid = true,
		.modes = MODEL_OF_S2 | (g == VTD_NARROW ? 0 : MODEL_OF_S1 | MODEL_OF_NESTED),
		.first = range.first,
		.last = range.last,
		.leaf = g == VTD_NARROW && (cmd[1] & VTD_ADDR_IH),
	};

	model_inv_iotlb(iommu, &scope);
	if (g != VTD_NARROW)
		return;

	/* After what combined entries are made of, or one could come back between. */
	scope.modes = MODEL_OF_S1 | MODEL_OF_NESTED;
	scope.first = 0;
	scope.last = UINT64_MAX;
	scope.leaf = false;
	model_inv_iotlb(iommu, &scope);
}

static void vtd_exec_pasid_iotlb(struct model_iommu *iommu, const uint64_t *cmd)
{
	bool page = vtd_granularity(cmd) == VTD_NARROW;
	struct cmd_range range = page ?
		cmd_range_order(vtd_address(cmd), vtd_address_mask(cmd)) :
		CMD_RANGE_ALL;
	struct model_scope scope = {
		.tag = vtd_did(cmd),
		.any_vm_tag = true,
		.pasid = vtd_request_pasid(cmd),
		.modes = MODEL_OF_S1 | MODEL_OF_NESTED,
		.first = range.first,
		.last = range.last,
		.leaf = page && (cmd[1] & VTD_ADDR_IH),
	};

	model_inv_iotlb(iommu, &scope);
}

static void vtd_exec(struct model_iommu *iommu, const uint64_t *cmd)
{
	struct cmd_range range;

	switch (vtd_type(cmd)) {
	case VTD_CC:
		vtd_exec_context(iommu, cmd);
		break;
	case VTD_PC:
		vtd_exec_pasid_cache(iommu, cmd);
		break;
	case VTD_IOTLB:
		vtd_exec_iotlb(iommu, cmd);
		break;
	case VTD_P_IOTLB:
		vtd_exec_pasid_iotlb(iommu, cmd);
		break;
	case VTD_DEV_TLB:
		/* Only mappings of requests without PASID (6.5.2.5). */
		range = vtd_atc_range(cmd);
		model_inv_atc(iommu, vtd_atc_sid(cmd), false, MODEL_NO_PASID,
			      range.first, range.last);
		break;
	case VTD_P_DEV_TLB:
		range = vtd_atc_range(cmd);
		model_inv_atc(iommu, vtd_atc_sid(cmd), cmd[1] & VTD_P_DEV_TLB_GI,
			      vtd_pasid(cmd), range.first, range.last);
		break;
	case VTD_WAIT:
		/* A DWORD; what was done before it must be seen with it. */
		if (cmd[0] & VTD_WAIT_SW)
			__atomic_store_n((uint32_t *)(uintptr_t)cmd[1],
					 (uint32_t)(cmd[0] >> 32),
					 __ATOMIC_RELEASE);
		break;
	}
}

/*
 * Registers: 11.4.7.1 FSTS, 11.4.9 invalidation queue. An entry is 32 bytes. What is
 * wrong with a descriptor is in IQERCD.IQEI, who did not answer in IQERCD.ITESID.
 */
#define VTD_REG_FSTS		0x34
#define VTD_REG_IQH		0x80
#define VTD_REG_IQT		0x88
#define VTD_REG_ICS		0x9c
#define VTD_REG_IQERCD		0xb0
#define VTD_ENTRY_SHIFT		5

#define VTD_FSTS_IQE		CMD_BIT(4)
#define VTD_FSTS_ICE		CMD_BIT(5)
#define VTD_FSTS_ITE		CMD_BIT(6)
#define VTD_ICS_IWC		CMD_BIT(0)
#define VTD_IQEI		CMD_MASK(3, 0)
#define VTD_IQEI_TYPE		3
#define VTD_IQEI_RESERVED	4
#define VTD_ITESID		CMD_MASK(47, 32)
#define VTD_ITESID_SHIFT	32

static uint32_t vtd_reg_read(const struct model_regs *regs, unsigned int offset)
{
	switch (offset) {
	case VTD_REG_FSTS:
		return regs->vtd.fsts;
	case VTD_REG_ICS:
		return regs->vtd.ics;
	case VTD_REG_IQH:
		return regs->head << VTD_ENTRY_SHIFT;
	case VTD_REG_IQT:
		return regs->tail << VTD_ENTRY_SHIFT;
	case VTD_REG_IQERCD:
		return (uint32_t)regs->vtd.iqercd;
	case VTD_REG_IQERCD + 4:
		return (uint32_t)(regs->vtd.iqercd >> 32);
	}
	return 0;
}

static void vtd_reg_write(struct model_regs *regs, unsigned int offset, uint32_t value)
{
	switch (offset) {
	case VTD_REG_FSTS:
		regs->vtd.fsts &= ~(value & (VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE));
		break;
	case VTD_REG_ICS:
		regs->vtd.ics &= ~(value & VTD_ICS_IWC);
		break;
	case VTD_REG_IQT:
		regs->tail = (value >> VTD_ENTRY_SHIFT) % regs->entries;
		break;
	}
}

static bool vtd_stopped(const struct model_regs *regs)
{
	return regs->vtd.fsts & (VTD_FSTS_IQE | VTD_FSTS_ITE);
}

static void vtd_restart(struct model_regs *regs)
{
	vtd_reg_write(regs, VTD_REG_FSTS, UINT32_MAX);
}

static void vtd_error(struct model_regs *regs, enum model_fault fault,
		      const uint64_t *cmd, uint32_t rid)
{
	(void)cmd;
	if (fault == MODEL_ATC_TIMEOUT) {
		/* The source of the first one, until software has seen it. */
		if (!(regs->vtd.fsts & VTD_FSTS_ITE))
			regs->vtd.iqercd = (regs->vtd.iqercd & ~VTD_ITESID) |
					   (uint64_t)rid << VTD_ITESID_SHIFT;
		regs->vtd.fsts |= VTD_FSTS_ITE;
		return;
	}
	regs->vtd.fsts |= VTD_FSTS_IQE;
	regs->vtd.iqercd = (regs->vtd.iqercd & ~VTD_IQEI) |
			   (fault == MODEL_BAD_OPCODE ? VTD_IQEI_TYPE : VTD_IQEI_RESERVED);
}

static bool vtd_wait_fences(const uint64_t *cmd)
{
	return cmd[0] & VTD_WAIT_FN;
}

static void vtd_completed(struct model_regs *regs, const uint64_t *cmd)
{
	if (cmd[0] & VTD_WAIT_IF)
		regs->vtd.ics |= VTD_ICS_IWC;
}

const struct model_ops model_vtd = {
	.name = "VT-d",
	.words = 4,
	.iotlb_by_pasid = true,
	.fetches_waits = true,
	.classify = vtd_classify,
	.decode = vtd_decode,
	.check = vtd_check,
	.exec = vtd_exec,
	.reg_read = vtd_reg_read,
	.reg_write = vtd_reg_write,
	.stopped = vtd_stopped,
	.restart = vtd_restart,
	.error = vtd_error,
	.wait_fences = vtd_wait_fences,
	.completed = vtd_completed,
};
