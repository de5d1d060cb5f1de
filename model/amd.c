// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-Vi: commands of the command buffer, section 2.4 of the AMD I/O
 * Virtualization Technology specification (48882).
 *
 * A command is four 32-bit words; here two of 64 bits, the lower one first. The
 * opcode is in bits 63:60 of the first.
 *
 * Entries are tagged by DomainID, and those that a guest table (v2, GCR3) has a
 * part in by PASID as well. INVALIDATE_IOMMU_PAGES tells the two apart by GN
 * (2.4.3):
 *
 *   GN = 1   the address is one that the guest table translates: guest and
 *            nested entries of the PASID
 *   GN = 0   the address is one that the host table translates: host entries, and
 *            nested entries, since their translation went through the host table.
 *            These do not tell which host addresses they were made of, so all of
 *            the domain go, with what is cached of the walks.
 *
 * PDE = 0 leaves cached table pointers alone.
 *
 * Requests without PASID use entry 0 of the GCR3 table, and drivers name them by
 * GN = 1 and PASID 0; PASID 0 therefore means these requests here, and is not to
 * be used for any others.
 *
 * The commands for peripheral page requests, prefetch and virtual IOMMUs belong
 * to features that the model does not have; they are ILLEGAL_COMMAND_ERROR.
 */
#include "amd.h"

/* The fields that a command has; the rest is reserved. */
static const struct {
	bool known;
	enum model_class class;
	uint64_t fields[2];
} amd_cmds[AMD_OPCODES] = {
	[AMD_COMPLETION_WAIT] = { true, MODEL_SYNC,
		{ AMD_WAIT_ADDR | CMD_MASK(2, 0), UINT64_MAX } },
	[AMD_DEVTAB] = { true, MODEL_CONFIG, { AMD_DEVID, 0 } },
	[AMD_IOMMU_PAGES] = { true, MODEL_IOTLB,
		{ CMD_MASK(47, 32) | CMD_MASK(19, 0), CMD_PAGE_MASK | CMD_MASK(2, 0) } },
	[AMD_IOTLB_PAGES] = { true, MODEL_ATC,
		{ CMD_MASK(59, 0), CMD_PAGE_MASK | AMD_PAGES_GN | AMD_PAGES_S } },
	[AMD_IRQ_TABLE] = { true, MODEL_OTHER, { AMD_DEVID, 0 } },
	[AMD_IOMMU_ALL] = { true, MODEL_IOTLB, { 0, 0 } },
};

static struct cmd_range amd_range(const uint64_t *cmd)
{
	uint64_t addr = cmd[1] & CMD_PAGE_MASK;

	return cmd[1] & AMD_PAGES_S ? cmd_range_napot(addr) :
				      cmd_range_order(addr, 0);
}

static int amd_classify(const uint64_t *cmd)
{
	unsigned int op = amd_opcode(cmd);

	return op < AMD_OPCODES && amd_cmds[op].known ? (int)amd_cmds[op].class : -1;
}

static enum model_fault amd_check(const uint64_t *cmd, const char **reason)
{
	unsigned int op = amd_opcode(cmd);

	*reason = NULL;
	if (amd_classify(cmd) < 0) {
		*reason = "unknown opcode";
		return MODEL_BAD_OPCODE;
	}
	if ((cmd[0] & ~(amd_cmds[op].fields[0] | AMD_OPCODE)) ||
	    (cmd[1] & ~amd_cmds[op].fields[1]))
		*reason = "reserved bits set";
	else if (op == AMD_COMPLETION_WAIT && (cmd[0] & AMD_WAIT_STORE) &&
		 !(cmd[0] & AMD_WAIT_ADDR))
		*reason = "store without an address";
	else if ((op == AMD_IOMMU_PAGES || op == AMD_IOTLB_PAGES) &&
		 (cmd[1] & AMD_PAGES_S) && !cmd_napot_valid(cmd[1]))
		*reason = "S set and no zero in the address";
	return *reason ? MODEL_BAD_FIELD : MODEL_OK;
}

static void amd_decode(const uint64_t *cmd, char *buf, size_t size)
{
	struct cmd_text text = { buf, size, 0 };
	unsigned int op = amd_opcode(cmd);

	switch (op) {
	case AMD_COMPLETION_WAIT:
		cmd_add(&text, "SYNC");
		if (cmd[0] & AMD_WAIT_STORE)
			cmd_add(&text, " store 0x%" PRIx64 " to 0x%" PRIx64,
				cmd[1], cmd[0] & AMD_WAIT_ADDR);
		if (cmd[0] & AMD_WAIT_IRQ)
			cmd_add(&text, " irq");
		if (cmd[0] & AMD_WAIT_FLUSH)
			cmd_add(&text, " fence");
		break;
	case AMD_DEVTAB:
		cmd_add(&text, "CONFIG dev 0x%" PRIx32, amd_devid(cmd));
		break;
	case AMD_IOMMU_PAGES:
		cmd_add(&text, "IOTLB dom %" PRIu32, amd_domain(cmd));
		if (cmd[1] & AMD_PAGES_GN)
			cmd_add(&text, " gn");
		cmd_add_pasid(&text, false, amd_pasid(cmd));
		cmd_add_region(&text, amd_range(cmd));
		if (cmd[1] & AMD_PAGES_PDE)
			cmd_add(&text, " pde");
		break;
	case AMD_IOTLB_PAGES:
		cmd_add(&text, "ATC dev 0x%" PRIx32, amd_devid(cmd));
		if (cmd[1] & AMD_PAGES_GN)
			cmd_add(&text, " gn");
		cmd_add_pasid(&text, false, amd_pasid(cmd));
		cmd_add_region(&text, amd_range(cmd));
		break;
	case AMD_IRQ_TABLE:
		cmd_add(&text, "OTHER irq-cache dev 0x%" PRIx32, amd_devid(cmd));
		break;
	case AMD_IOMMU_ALL:
		cmd_add(&text, "IOTLB all config");
		break;
	default:
		cmd_add(&text, "unknown opcode 0x%x", op);
	}
}

static void amd_exec_pages(struct model_iommu *iommu, const uint64_t *cmd)
{
	bool guest = cmd[1] & AMD_PAGES_GN;
	struct cmd_range range = amd_range(cmd);
	struct model_scope scope = {
		.tag = amd_domain(cmd),
		.any_vm_tag = true,
		.any_pasid = !guest,
		.pasid = amd_pasid(cmd),
		.modes = guest ? MODEL_OF_S1 | MODEL_OF_NESTED : MODEL_OF_S2,
		.first = range.first,
		.last = range.last,
		.leaf = !(cmd[1] & AMD_PAGES_PDE),
	};

	model_inv_iotlb(iommu, &scope);
	if (guest)
		return;

	scope.modes = MODEL_OF_NESTED;
	scope.first = 0;
	scope.last = UINT64_MAX;
	scope.leaf = false;
	model_inv_iotlb(iommu, &scope);
}

static void amd_exec(struct model_iommu *iommu, const uint64_t *cmd)
{
	static const struct model_scope everything = {
		.any_tag = true,
		.any_vm_tag = true,
		.any_pasid = true,
		.modes = MODEL_OF_S1 | MODEL_OF_S2 | MODEL_OF_NESTED,
		.last = UINT64_MAX,
	};
	struct cmd_range range;

	switch (amd_opcode(cmd)) {
	case AMD_COMPLETION_WAIT:
		/* A quadword; what was done before it must be seen with it. */
		if (cmd[0] & AMD_WAIT_STORE)
			__atomic_store_n((uint64_t *)(uintptr_t)(cmd[0] & AMD_WAIT_ADDR),
					 cmd[1], __ATOMIC_RELEASE);
		break;
	case AMD_DEVTAB:
		/* With what is cached of the GCR3 table that the DTE points to. */
		model_inv_context(iommu, false, amd_devid(cmd), true, 0);
		break;
	case AMD_IOMMU_PAGES:
		amd_exec_pages(iommu, cmd);
		break;
	case AMD_IOTLB_PAGES:
		range = amd_range(cmd);
		model_inv_atc(iommu, amd_devid(cmd), false, amd_pasid(cmd),
			      range.first, range.last);
		break;
	case AMD_IOMMU_ALL:
		model_inv_context(iommu, true, 0, true, 0);
		model_inv_iotlb(iommu, &everything);
		break;
	}
}

/*
 * Registers: 3.4. An illegal command halts processing, with the address of the command
 * in the event log (2.5.6). It goes on when software writes CmdBufEn, from the head
 * that software may have moved before. An ATC that does not answer stops nothing: it is
 * an event, with the device's id and the address of the command (2.5.8), and the
 * completion wait completes.
 */
#define AMD_REG_CONTROL		0x18
#define AMD_REG_CMD_HEAD	0x2000
#define AMD_REG_CMD_TAIL	0x2008
#define AMD_REG_EVENT_HEAD	0x2010
#define AMD_REG_EVENT_TAIL	0x2018
#define AMD_REG_STATUS		0x2020
#define AMD_ENTRY_SHIFT		4

#define AMD_CONTROL_EVENT_LOG	CMD_BIT(2)
#define AMD_CONTROL_CMD_BUF	CMD_BIT(12)

#define AMD_STATUS_OVERFLOW	CMD_BIT(0)
#define AMD_STATUS_EVENT_INT	CMD_BIT(1)
#define AMD_STATUS_WAIT_INT	CMD_BIT(2)
#define AMD_STATUS_LOG_RUN	CMD_BIT(3)
#define AMD_STATUS_CMD_RUN	CMD_BIT(4)

#define AMD_EVENT_CODE_SHIFT	60
#define AMD_EVENT_ILLEGAL_CMD	UINT64_C(5)
#define AMD_EVENT_INV_TIMEOUT	UINT64_C(7)

static uint32_t amd_reg_read(const struct model_regs *regs, unsigned int offset)
{
	switch (offset) {
	case AMD_REG_CONTROL:
		return (regs->amd.halted ? 0 : AMD_CONTROL_CMD_BUF) |
		       (regs->amd.log_off ? 0 : AMD_CONTROL_EVENT_LOG);
	case AMD_REG_CMD_HEAD:
		return regs->head << AMD_ENTRY_SHIFT;
	case AMD_REG_CMD_TAIL:
		return regs->tail << AMD_ENTRY_SHIFT;
	case AMD_REG_EVENT_HEAD:
		return regs->amd.event_head << AMD_ENTRY_SHIFT;
	case AMD_REG_EVENT_TAIL:
		return regs->amd.event_tail << AMD_ENTRY_SHIFT;
	case AMD_REG_STATUS:
		return regs->amd.status |
		       (regs->amd.log_off ? 0 : AMD_STATUS_LOG_RUN) |
		       (regs->amd.halted ? 0 : AMD_STATUS_CMD_RUN);
	}
	return 0;
}

static void amd_reg_write(struct model_regs *regs, unsigned int offset, uint32_t value)
{
	switch (offset) {
	case AMD_REG_CONTROL:
		regs->amd.halted = !(value & AMD_CONTROL_CMD_BUF);
		regs->amd.log_off = !(value & AMD_CONTROL_EVENT_LOG) ||
				    (regs->amd.status & AMD_STATUS_OVERFLOW);
		break;
	case AMD_REG_CMD_HEAD:
		if (regs->amd.halted)
			__atomic_store_n(&regs->head,
					 (value >> AMD_ENTRY_SHIFT) % regs->entries,
					 __ATOMIC_RELEASE);
		break;
	case AMD_REG_CMD_TAIL:
		regs->tail = (value >> AMD_ENTRY_SHIFT) % regs->entries;
		break;
	case AMD_REG_EVENT_HEAD:
		regs->amd.event_head = (value >> AMD_ENTRY_SHIFT) % MODEL_EVENTS;
		break;
	case AMD_REG_STATUS:
		regs->amd.status &= ~(value & (AMD_STATUS_OVERFLOW | AMD_STATUS_EVENT_INT |
					       AMD_STATUS_WAIT_INT));
		break;
	}
}

static bool amd_stopped(const struct model_regs *regs)
{
	return regs->amd.halted;
}

static void amd_restart(struct model_regs *regs)
{
	regs->amd.halted = false;
}

static void amd_error(struct model_regs *regs, enum model_fault fault,
		      const uint64_t *cmd, uint32_t rid)
{
	bool timeout = fault == MODEL_ATC_TIMEOUT;
	unsigned int next = (regs->amd.event_tail + 1) % MODEL_EVENTS;
	uint64_t *event = regs->amd.events[regs->amd.event_tail];
	uint64_t word;

	if (!timeout)
		regs->amd.halted = true;
	if (regs->amd.log_off)
		return;
	if (next == regs->amd.event_head) {
		regs->amd.status |= AMD_STATUS_OVERFLOW;
		regs->amd.log_off = true;
		return;
	}
	word = timeout ? AMD_EVENT_INV_TIMEOUT << AMD_EVENT_CODE_SHIFT | rid :
			 AMD_EVENT_ILLEGAL_CMD << AMD_EVENT_CODE_SHIFT;
	event[1] = (uintptr_t)cmd;
	__atomic_store_n(&event[0], word, __ATOMIC_RELEASE);
	regs->amd.event_tail = next;
	regs->amd.status |= AMD_STATUS_EVENT_INT;
}

static void amd_completed(struct model_regs *regs, const uint64_t *cmd)
{
	if (cmd[0] & AMD_WAIT_IRQ)
		regs->amd.status |= AMD_STATUS_WAIT_INT;
}

const struct model_ops model_amd = {
	.name = "AMD-Vi",
	.words = 2,
	.iotlb_by_pasid = true,
	.classify = amd_classify,
	.decode = amd_decode,
	.check = amd_check,
	.exec = amd_exec,
	.reg_read = amd_reg_read,
	.reg_write = amd_reg_write,
	.stopped = amd_stopped,
	.restart = amd_restart,
	.error = amd_error,
	.completed = amd_completed,
};
