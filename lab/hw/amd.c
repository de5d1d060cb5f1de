// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers of an AMD-Vi unit (48882, section 3.4 of revision 3.07), its command buffer, event
 * log and page request log. What a command does is model/'s.
 *
 * Registers that a write acts upon, in memory that only keeps what was written:
 *
 *   status      bit 31 is reserved. It is always set, so what the guest writes to clear bits
 *               lacks it.
 *   command     is written by the guest only to start again: its value then differs from the
 *   head        one shown. Bit 31 is reserved, and set while the buffer has stopped: a guest
 *               that resumes at the same command clears it.
 *
 * The tail is read before the control register is: a buffer that is used has been enabled.
 *
 * Interrupts are those of the unit's PCI function, which is QEMU's: the driver wants one as
 * early as it finds the unit.
 */
#include "hw.h"

#define DEV_TABLE	0x00
#define CMD_BUF		0x08
#define EVT_LOG		0x10
#define CONTROL		0x18
#define EXT_FEATURES	0x30
#define PPR_LOG		0x38
#define CMD_HEAD	0x2000
#define CMD_TAIL	0x2008
#define EVT_HEAD	0x2010
#define EVT_TAIL	0x2018
#define STATUS		0x2020
#define PPR_HEAD	0x2030
#define PPR_TAIL	0x2038

#define CONTROL_ENABLE	BIT(0)
#define CONTROL_EVT_LOG	BIT(2)
#define CONTROL_EVT_INT	BIT(3)
#define CONTROL_CMD_BUF	BIT(12)
#define CONTROL_PPR_LOG	BIT(13)
#define CONTROL_PPR_INT	BIT(14)

#define HEAD_MARK	BIT(31)

#define STATUS_MARK	BIT(31)
#define STATUS_EVT_OVERFLOW	BIT(0)
#define STATUS_EVT_INT	BIT(1)
#define STATUS_WAIT_INT	BIT(2)
#define STATUS_EVT_RUN	BIT(3)
#define STATUS_CMD_RUN	BIT(4)
#define STATUS_PPR_OVERFLOW	BIT(5)
#define STATUS_PPR_INT	BIT(6)
#define STATUS_PPR_RUN	BIT(7)
#define STATUS_RW1C	(STATUS_EVT_OVERFLOW | STATUS_EVT_INT | STATUS_WAIT_INT |	\
			 STATUS_PPR_OVERFLOW | STATUS_PPR_INT)

/* Of the three buffers: entries, a power of 2, and where they are. */
#define BASE(buffer)	((buffer) & UINT64_C(0x000ffffffffff000))
#define ENTRIES(buffer)	(1U << ((buffer) >> 56 & 15))
#define ENTRY_SIZE	16

/* Commands, 2.4: what is of interest here. */
#define OPCODE(words)	((unsigned int)((words)[0] >> 60))
#define OP_WAIT		1
#define OP_DEVTAB	2
#define OP_PAGES	3
#define OP_IOTLB_PAGES	4
#define OP_IRQ_TABLE	5
#define OP_COMPLETE_PPR	7
#define OP_ALL		8
#define DEVID(words)	((unsigned int)((words)[0] & 0xffff))
#define WAIT_INT	BIT(1)
#define PAGES_GN	BIT(2)

/* Events, 2.5: the code is in bits 63:60 of the first word. */
#define EVENT(code)	((uint64_t)(code) << 60)
#define EVENT_PAGE_FAULT	2	/* 2.5.3 */
#define EVENT_ILLEGAL_CMD	5	/* 2.5.6 */
#define EVENT_INV_TIMEOUT	7	/* 2.5.8 */
#define FAULT_GN	(BIT(0) << 48)
#define FAULT_RW	(BIT(5) << 48)

/* Page requests, 2.6 */
#define PPR_FAULT	(UINT64_C(1) << 60)
#define PPR_FLAGS	((BIT(2) | BIT(5) | BIT(6)) << 48)	/* read, write, user */
#define PPR_GN		(BIT(8) << 48)
#define PPR_LAST	BIT(41)

static void reset(struct unit *unit)
{
	write64(unit, EXT_FEATURES, HW_AMD_EFR);
	write32(unit, STATUS, STATUS_MARK);
}

static bool translates(const struct unit *unit)
{
	return read64(unit, CONTROL) & CONTROL_ENABLE;
}

/*
 * Logs.
 */

struct log {
	uint64_t buffer, head, tail;	/* registers */
	uint64_t on;			/* in the control register */
	uint32_t interrupt, overflow;	/* in the status register */
};

static const struct log events = {
	EVT_LOG, EVT_HEAD, EVT_TAIL, CONTROL_EVT_LOG, STATUS_EVT_INT, STATUS_EVT_OVERFLOW,
};

static const struct log requests = {
	PPR_LOG, PPR_HEAD, PPR_TAIL, CONTROL_PPR_LOG, STATUS_PPR_INT, STATUS_PPR_OVERFLOW,
};

static void put(struct unit *unit, const struct log *log, uint64_t low, uint64_t high)
{
	uint64_t buffer, at;
	uint32_t tail, next;

	if (!(read64(unit, CONTROL) & log->on))
		return;
	pthread_mutex_lock(&unit->events);
	buffer = read64(unit, log->buffer);
	tail = read32(unit, log->tail);
	next = (tail + ENTRY_SIZE) % (ENTRIES(buffer) * ENTRY_SIZE);
	if (next == read32(unit, log->head)) {
		__atomic_or_fetch(&unit->amd.raised, log->overflow, __ATOMIC_SEQ_CST);
	} else {
		at = BASE(buffer) + tail;
		store64(unit->machine, at + 8, high);
		store64(unit->machine, at, low);
		write32(unit, log->tail, next);
		__atomic_or_fetch(&unit->amd.raised, log->interrupt, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&unit->events);
}

static void report_fault(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
			 bool write)
{
	uint64_t dte = BASE(read64(unit, DEV_TABLE)) + (uint64_t)rid * 32;
	uint64_t event = EVENT(EVENT_PAGE_FAULT) | rid | (write ? FAULT_RW : 0);

	/* In one field: the PASID, or the domain. */
	if (pasid == HW_NO_PASID)
		event |= (load64(unit->machine, dte + 8) & 0xffff) << 32;
	else
		event |= FAULT_GN | (pasid & 0xf0000) | (pasid & 0xffff) << 32;
	put(unit, &events, event, iova);
}

static void page_request(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
			 unsigned int group)
{
	bool has_pasid = pasid != HW_NO_PASID;

	put(unit, &requests, PPR_FAULT | PPR_FLAGS | PPR_LAST | rid |
	    (uint64_t)(group & 511) << 32 |
	    (has_pasid ? PPR_GN | (pasid & 0xffff) << 16 | (pasid >> 16 & 15) << 42 : 0),
	    iova & ~(MODEL_PAGE_SIZE - 1));
}

/* Takes what the guest cleared, shows what has come, and says so. */
static void update_status(struct unit *unit)
{
	uint64_t on = read64(unit, CONTROL);
	uint32_t have, shown, raised;

	do {
		have = read32(unit, STATUS);
		if (!(have & STATUS_MARK))
			unit->amd.status &= ~(have & STATUS_RW1C);
		raised = __atomic_exchange_n(&unit->amd.raised, 0, __ATOMIC_SEQ_CST);
		unit->amd.status |= raised;
		unit->amd.to_tell |= raised;
		shown = unit->amd.status | STATUS_MARK |
			(on & CONTROL_EVT_LOG ? STATUS_EVT_RUN : 0) |
			(on & CONTROL_PPR_LOG ? STATUS_PPR_RUN : 0) |
			(unit->amd.runs && !unit->stopped ? STATUS_CMD_RUN : 0);
	} while (have != shown && !replace32(unit->machine, reg(unit, STATUS), have, shown));

	raised = unit->amd.to_tell;
	unit->amd.to_tell = 0;
	if ((on & CONTROL_EVT_INT && raised & (STATUS_EVT_INT | STATUS_EVT_OVERFLOW)) ||
	    (on & CONTROL_PPR_INT && raised & (STATUS_PPR_INT | STATUS_PPR_OVERFLOW)))
		msi_send_for(HW_AMD_SLOT + unit->index);
}

/*
 * The command buffer.
 */

static void show_head(struct unit *unit)
{
	unit->amd.shown_head = unit->head * ENTRY_SIZE | (unit->stopped ? HEAD_MARK : 0);
	write32(unit, CMD_HEAD, unit->amd.shown_head);
}

/* The model goes on: what it holds is given up, what it has refused is forgotten. */
static void begin_anew(struct unit *unit, uint32_t head)
{
	if (unit->held)
		model_advance(unit->iommu, unit->timeout + 1);
	model_fault_clear(unit->iommu);
	unit->faults = model_faults(unit->iommu, NULL);
	unit->held = false;
	unit->stopped = false;
	unit->ready_at = 0;
	unit->amd.buffer = read64(unit, CMD_BUF);
	unit->head = head / ENTRY_SIZE % ENTRIES(unit->amd.buffer);
	show_head(unit);
}

/* Return: whether the buffer has begun anew. */
static bool update_control(struct unit *unit)
{
	bool runs = read64(unit, CONTROL) & CONTROL_CMD_BUF;
	uint32_t head = read32(unit, CMD_HEAD);
	uint64_t root = read64(unit, DEV_TABLE);
	bool begun = (runs && !unit->amd.runs) || head != unit->amd.shown_head;

	if (root != unit->amd.root) {
		unit->amd.root = root;
		model_set_root(unit->iommu, root);
	}
	if (begun) {
		if (unit->stopped)
			control_add(unit, HW_RESTARTS, 1);
		begin_anew(unit, head & ~HEAD_MARK);
		trace_text("ivhd%u command buffer 0x%" PRIx64 " from 0x%" PRIx32, unit->index,
			   unit->amd.buffer, head);
	}
	unit->amd.runs = runs;
	return begun;
}

static bool fetch(struct unit *unit, struct command *command)
{
	uint64_t at = BASE(unit->amd.buffer) + (uint64_t)unit->head * ENTRY_SIZE;
	uint64_t *words = command->words;

	if (!unit->amd.runs || unit->head == unit->tail % ENTRIES(unit->amd.buffer))
		return false;
	words[0] = load64(unit->machine, at);
	words[1] = load64(unit->machine, at + 8);
	switch (OPCODE(words)) {
	case OP_WAIT:
		command->type = HW_TYPE_WAIT;
		break;
	case OP_DEVTAB:
		command->type = HW_TYPE_CONTEXT;
		break;
	case OP_IOTLB_PAGES:
		command->type = words[1] & PAGES_GN ? HW_TYPE_P_DEV_TLB : HW_TYPE_DEV_TLB;
		command->atc = function_of(unit, DEVID(words));
		break;
	case OP_PAGES:
		command->type = words[1] & PAGES_GN ? HW_TYPE_P_IOTLB : HW_TYPE_IOTLB;
		break;
	case OP_ALL:
		command->type = HW_TYPE_IOTLB;
		break;
	case OP_COMPLETE_PPR:
		command->type = HW_TYPE_PAGE_GRP;
		break;
	default:
		command->type = HW_TYPE_OTHER;
	}
	return true;
}

static void trace(const struct unit *unit, const struct command *command)
{
	const uint64_t *words = command->words;

	trace_event(unit, "amdcmd", "(ivhd) op=%u iommu=0x%x name=ivhd%u d0=0x%" PRIx32
		    " d1=0x%" PRIx32 " d2=0x%" PRIx32 " d3=0x%" PRIx32, OPCODE(words),
		    unit->index + 1, unit->index, (uint32_t)words[0], (uint32_t)(words[0] >> 32),
		    (uint32_t)words[1], (uint32_t)(words[1] >> 32));
}

static void execute(struct unit *unit, const struct command *command)
{
	if (command->type == HW_TYPE_PAGE_GRP) {
		struct function *function = function_of(unit, DEVID(command->words));

		if (function)
			function_response(function, command->words[1] >> 44 & 15);
		return;
	}
	unit_give(unit, command->words);
}

static void complete(struct unit *unit, const struct command *command)
{
	unit->head = (unit->head + 1) % ENTRIES(unit->amd.buffer);
	show_head(unit);
	if (command->type == HW_TYPE_WAIT && command->words[0] & WAIT_INT)
		__atomic_or_fetch(&unit->amd.raised, STATUS_WAIT_INT, __ATOMIC_SEQ_CST);
}

/* The address of a command is that of the head: those before it have completed. */
static void refuse(struct unit *unit)
{
	unit_stop(unit, HW_ERRORS);
	show_head(unit);
	/* CmdBufRun, before whoever reads the log looks at it. */
	update_status(unit);
	put(unit, &events, EVENT(EVENT_ILLEGAL_CMD),
	    BASE(unit->amd.buffer) + (uint64_t)unit->head * ENTRY_SIZE);
	update_status(unit);
}

/* A device has not answered. Its command has left the buffer: the address is the wait's. */
static void time_out(struct unit *unit, uint64_t devid)
{
	control_add(unit, HW_TIMEOUTS, 1);
	put(unit, &events, EVENT(EVENT_INV_TIMEOUT) | devid,
	    BASE(unit->amd.buffer) + (uint64_t)unit->head * ENTRY_SIZE);
}

/* The model's own event log says which devices; the guest has no part in that one. */
static bool model_fault(struct unit *unit, const struct model_fault_record *fault)
{
	const uint64_t *log = model_events(unit->iommu);
	uint32_t at = model_reg_read(unit->iommu, EVT_HEAD);
	uint32_t tail = model_reg_read(unit->iommu, EVT_TAIL);

	trace_text("ivhd%u: %s", unit->index, fault->reason);
	for (; at != tail; at = (at + ENTRY_SIZE) % (MODEL_EVENTS * ENTRY_SIZE))
		if (log[at / sizeof(*log)] >> 60 == EVENT_INV_TIMEOUT)
			time_out(unit, log[at / sizeof(*log)] & 0xffff);
	model_reg_write(unit->iommu, EVT_HEAD, tail);
	if (fault->fault == MODEL_ATC_TIMEOUT)
		return false;
	refuse(unit);
	return true;
}

/* A driver that never enables the buffer again would take its machine with it. */
static void rescue(struct unit *unit)
{
	if (unit_lost_patience(unit))
		begin_anew(unit, (unit->head + 1) * ENTRY_SIZE);
}

static void update(struct unit *unit)
{
	uint32_t tail = read32(unit, CMD_TAIL);

	/* The tail that was read may be that of the buffer before. */
	unit->tail = update_control(unit) ? unit->head : tail / ENTRY_SIZE;
	update_status(unit);
	rescue(unit);
}

const struct vendor amd = {
	.name = "ivhd",
	.model = MODEL_AMD,
	.registers = HW_AMD,
	.size = HW_AMD_SIZE,
	.waits_at_head = true,
	.first_bus = HW_AMD_BUS,
	.reset = reset,
	.update = update,
	.fetch = fetch,
	.trace = trace,
	.execute = execute,
	.complete = complete,
	.refuse = refuse,
	.model_fault = model_fault,
	.translates = translates,
	.report_fault = report_fault,
	.page_request = page_request,
};
