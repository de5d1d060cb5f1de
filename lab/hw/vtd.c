// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers of a VT-d unit (D51397, section 11.4 of revision 5.10). What a descriptor does is
 * model/'s.
 *
 * Registers that a write acts upon, in memory that only keeps what was written:
 *
 *   GCMD_REG    bit 0 is reserved. It is set after each look; a write of the guest lacks it.
 *   FSTS_REG    bit 31 is reserved. It is set as long as the register is not 0, so what the
 *               guest writes to clear bits lacks it, too.
 *   fault       F is cleared by a write of F alone, to a word that never has F alone.
 *   records
 *
 * The tail is read before GCMD_REG is: a queue that is used has been enabled. RTPS stays set,
 * so a driver does not wait for a second SRTP; for the same reason, the commands that it sends
 * after it find the new root.
 *
 * The model has registers of its own for errors. They are shown in FSTS_REG and IQERCD_REG,
 * and what the guest clears there is cleared in the model. Its time is in steps, which are
 * milliseconds here: that is how long a device may take that does not answer.
 */
#include <limits.h>
#include <string.h>

#include "hw.h"

#define VER		0x00
#define CAP		0x08
#define ECAP		0x10
#define GCMD		0x18
#define GSTS		0x1c
#define RTADDR		0x20
#define FSTS		0x34
#define FECTL		0x38
#define IQH		0x80
#define IQT		0x88
#define IQA		0x90
#define ICS		0x9c
#define IECTL		0xa0
#define IQERCD		0xb0
#define PQH		0xc0
#define PQT		0xc8
#define PQA		0xd0
#define PRS		0xdc
#define PECTL		0xe0
#define FRCD		0x800		/* CAP_REG.FRO says so */
#define NR_FRCD		8
/* From an event's control register. */
#define EVENT_DATA	0x4
#define EVENT_ADDR	0x8
#define EVENT_MASKED	BIT(31)
#define EVENT_PENDING	BIT(30)

#define GCMD_MARK	BIT(0)
#define GCMD_TE		BIT(31)
#define GCMD_SRTP	BIT(30)
#define GCMD_QIE	BIT(26)
#define GCMD_SIRTP	BIT(24)
/* Those that stay, and those whose status says that they were done. */
#define GCMD_STATES	(GCMD_TE | GCMD_QIE | BIT(25) | BIT(23))
#define GCMD_DONE	(GCMD_SRTP | GCMD_SIRTP)

#define FSTS_MARK	BIT(31)
#define FSTS_PFO	BIT(0)
#define FSTS_PPF	BIT(1)
#define FSTS_IQE	BIT(4)
#define FSTS_ITE	BIT(6)
#define FSTS_RW1C	(FSTS_PFO | FSTS_IQE | BIT(5) | FSTS_ITE)

#define IQA_WIDE	BIT(11)		/* descriptors of 256 bits */
#define IQERCD_RESERVED_FIELD	4

#define TYPE(desc)	((unsigned int)((desc)[0] & 15))
#define TYPE_DEV_TLB	3
#define TYPE_WAIT	5
#define TYPE_P_DEV_TLB	8
#define TYPE_PAGE_GRP	9
#define WAIT_IF		BIT(4)
#define WAIT_SW		BIT(5)
#define WAIT_FN		BIT(6)

#define FAULT_NOT_PRESENT	0x71	/* table 26: SM: no translation */

/*
 * CAP_REG: domain IDs of 16 bits, no caching mode, four levels of second stage, addresses of
 * 48 bits, zero-length reads, large pages, page-selective invalidation with masks up to 18,
 * drains, 1 GiB pages of the first stage.
 */
#define CAP_VALUE	(6 | 0x4ULL << 8 | 47ULL << 16 | BIT(22) |		\
			 (uint64_t)(FRCD / 16) << 24 | 3ULL << 34 | BIT(39) |	\
			 (NR_FRCD - 1ULL) << 40 | 18ULL << 48 | BIT(54) | BIT(55) |	\
			 BIT(56))
/*
 * ECAP_REG: coherent, queue, device TLBs, pass-through, snoop control, IRO, MHMV, nests,
 * page requests, supervisor and execute requests, dirty bits of the second stage, PASIDs
 * of 20 bits, scalable mode with first and second stage. No interrupt remapping.
 */
#define ECAP_VALUE	(BIT(0) | BIT(1) | BIT(2) | BIT(6) | BIT(7) | 0xfULL << 8 |	\
			 0xfULL << 20 | BIT(26) | BIT(29) | BIT(31) | BIT(33) | BIT(34) |	\
			 19ULL << 35 | BIT(40) | BIT(42) | BIT(43) | BIT(45) |	\
			 BIT(46) | BIT(47) | BIT(48) | BIT(49))

static void reset(struct unit *unit)
{
	write32(unit, VER, 0x60);
	write64(unit, CAP, CAP_VALUE);
	write64(unit, ECAP, ECAP_VALUE);
	write32(unit, GCMD, GCMD_MARK);
	write32(unit, FECTL, EVENT_MASKED);
	write32(unit, IECTL, EVENT_MASKED);
	write32(unit, PECTL, EVENT_MASKED);
	unit->vtd.rescued_at = UINT_MAX;
}

void vtd_set_root(struct unit *unit, uint64_t rtaddr)
{
	write64(unit, RTADDR, rtaddr);
	model_set_root(unit->iommu, rtaddr);
	unit->vtd.gsts = GCMD_TE | GCMD_SRTP;
	write32(unit, GSTS, unit->vtd.gsts);
}

static bool translates(const struct unit *unit)
{
	return read32(unit, GSTS) & GCMD_TE;
}

enum { FAULT_EVENT, QUEUE_EVENT, PAGE_EVENT };

static const uint64_t event_registers[] = {
	[FAULT_EVENT] = FECTL, [QUEUE_EVENT] = IECTL, [PAGE_EVENT] = PECTL,
};

static void send(const struct unit *unit, uint64_t event)
{
	msi_send(read32(unit, event + EVENT_ADDR), read32(unit, event + EVENT_DATA));
}

/* A guest that masks or unmasks it overwrites what the register shows of a pending one. */
static void interrupt(struct unit *unit, unsigned int which)
{
	uint64_t event = event_registers[which];
	uint32_t have;

	do {
		have = read32(unit, event);
		if (!(have & EVENT_MASKED)) {
			send(unit, event);
			return;
		}
		__atomic_or_fetch(&unit->vtd.pending, 1U << which, __ATOMIC_SEQ_CST);
	} while (!replace32(unit->machine, reg(unit, event), have, have | EVENT_PENDING));
}

/* What was masked, and is not any more. */
static void deliver(struct unit *unit)
{
	unsigned int i;

	for (i = 0; i < sizeof(event_registers) / sizeof(event_registers[0]); i++) {
		uint64_t event = event_registers[i];
		uint32_t have = read32(unit, event);

		if (have & EVENT_MASKED ||
		    !(__atomic_fetch_and(&unit->vtd.pending, ~(1U << i), __ATOMIC_SEQ_CST) &
		      1U << i))
			continue;
		replace32(unit->machine, reg(unit, event), have, have & ~EVENT_PENDING);
		send(unit, event);
	}
}

/*
 * Faults.
 */

static uint64_t record(unsigned int i)
{
	return FRCD + i * 16;
}

/* Clears what the guest wants cleared; return: the first record that is pending, or -1. */
static int pending_record(struct unit *unit)
{
	int first = -1;
	unsigned int i;

	for (i = 0; i < NR_FRCD; i++) {
		uint64_t at = reg(unit, record(i) + 12);
		uint32_t word = load32(unit->machine, at);

		if (word == BIT(31))
			replace32(unit->machine, at, BIT(31), 0);
		else if (word & BIT(31) && first < 0)
			first = (int)i;
	}
	return first;
}

/* Takes what the guest cleared, shows what has come. */
static void update_fsts(struct unit *unit)
{
	uint32_t old = unit->vtd.fsts, have, next, shown;
	int first;

	do {
		have = read32(unit, FSTS);
		next = unit->vtd.fsts;
		shown = next ? next | FSTS_MARK : 0;
		if (have != shown)
			next &= ~(have & FSTS_RW1C);
		next |= __atomic_load_n(&unit->vtd.raised, __ATOMIC_SEQ_CST);
		first = pending_record(unit);
		next &= ~(FSTS_PPF | 0xff00u);
		if (first >= 0)
			next |= FSTS_PPF | (uint32_t)first << 8;
		shown = next ? next | FSTS_MARK : 0;
	} while (have != shown && !replace32(unit->machine, reg(unit, FSTS), have, shown));
	__atomic_and_fetch(&unit->vtd.raised, ~next, __ATOMIC_SEQ_CST);
	unit->vtd.fsts = next;
	if ((old & ~next) & FSTS_ITE)
		model_reg_write(unit->iommu, FSTS, FSTS_ITE);
	/* The model skips what it has refused: it is fetched again from the guest's queue. */
	if ((old & ~next) & FSTS_IQE)
		model_fault_clear(unit->iommu);
	if (!(next & (FSTS_IQE | FSTS_ITE)))
		unit->stopped = false;
}

static void raise_fsts(struct unit *unit, uint32_t bits)
{
	__atomic_or_fetch(&unit->vtd.raised, bits, __ATOMIC_SEQ_CST);
}

static void report_fault(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
			 bool write)
{
	bool has_pasid = pasid != HW_NO_PASID;
	uint64_t at;

	pthread_mutex_lock(&unit->events);
	at = record(unit->vtd.next_fault);
	if (read32(unit, at + 12) & BIT(31)) {
		raise_fsts(unit, FSTS_PFO);
	} else {
		write64(unit, at, iova & ~(MODEL_PAGE_SIZE - 1));
		write32(unit, at + 8, rid | (has_pasid ? BIT(31) : 0));
		write32(unit, at + 12, BIT(31) | (write ? 0 : BIT(30)) | FAULT_NOT_PRESENT |
			(has_pasid ? (pasid & 0xfffff) << 8 : 0));
		unit->vtd.next_fault = (unit->vtd.next_fault + 1) % NR_FRCD;
	}
	pthread_mutex_unlock(&unit->events);
	interrupt(unit, FAULT_EVENT);
}

static void page_request(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
			 unsigned int group)
{
	bool has_pasid = pasid != HW_NO_PASID;
	uint64_t queue, tail, next, at;

	pthread_mutex_lock(&unit->events);
	queue = read64(unit, PQA);
	tail = read64(unit, PQT);
	next = (tail + 32) & ((MODEL_PAGE_SIZE << (queue & 7)) - 32);
	/* Without a queue, or when it is full, the function gets no answer. */
	if (!(queue & ~(MODEL_PAGE_SIZE - 1)) || next == read64(unit, PQH)) {
		pthread_mutex_unlock(&unit->events);
		return;
	}
	at = (queue & ~(MODEL_PAGE_SIZE - 1)) + tail;
	store64(unit->machine, at, 1 | (uint64_t)rid << 16 |
		(has_pasid ? BIT(8) | (pasid & 0xfffff) << 32 : 0));
	/* read, write, the last of its group */
	store64(unit->machine, at + 8, 7 | (group & 511) << 3 | (iova & ~(MODEL_PAGE_SIZE - 1)));
	store64(unit->machine, at + 16, 0);
	store64(unit->machine, at + 24, 0);
	write64(unit, PQT, next);
	write32(unit, PRS, 1);
	pthread_mutex_unlock(&unit->events);
	interrupt(unit, PAGE_EVENT);
}

/*
 * The queue.
 */

/* Return: whether the queue has begun anew. */
static bool update_gcmd(struct unit *unit)
{
	uint32_t cmd = read32(unit, GCMD), old = unit->vtd.gsts;
	bool begun;

	if (cmd & GCMD_MARK || !replace32(unit->machine, reg(unit, GCMD), cmd, cmd | GCMD_MARK))
		return false;
	unit->vtd.gsts = (cmd & GCMD_STATES) | (old & GCMD_DONE) | (cmd & GCMD_DONE);
	if (cmd & GCMD_SRTP)
		model_set_root(unit->iommu, read64(unit, RTADDR));
	begun = unit->vtd.gsts & ~old & GCMD_QIE;
	if (begun) {
		unit->vtd.iqa = read64(unit, IQA);
		unit->head = 0;
		unit->ready_at = 0;
		write64(unit, IQH, 0);
	}
	trace_text("dmar%u GCMD 0x%" PRIx32 ": GSTS 0x%" PRIx32, unit->index, cmd, unit->vtd.gsts);
	write32(unit, GSTS, unit->vtd.gsts);
	return begun;
}

static unsigned int entry_shift(const struct unit *unit)
{
	return unit->vtd.iqa & IQA_WIDE ? 5 : 4;
}

static unsigned int entries(const struct unit *unit)
{
	return 1U << ((unit->vtd.iqa & 7) + MODEL_PAGE_SHIFT - entry_shift(unit));
}

static void read_entry(const struct unit *unit, unsigned int index, uint64_t *desc)
{
	uint64_t at = (unit->vtd.iqa & ~(MODEL_PAGE_SIZE - 1)) +
		      ((uint64_t)index << entry_shift(unit));
	unsigned int words = 1U << (entry_shift(unit) - 3), i;

	memset(desc, 0, MODEL_CMD_WORDS * sizeof(*desc));
	for (i = 0; i < words; i++)
		desc[i] = load64(unit->machine, at + i * 8);
}

static unsigned int sid_of(const uint64_t *desc)
{
	return desc[0] >> (TYPE(desc) == TYPE_DEV_TLB ? 32 : 16) & 0xffff;
}

static bool fetch(struct unit *unit, struct command *command)
{
	if (!(unit->vtd.gsts & GCMD_QIE) || unit->head == unit->tail % entries(unit))
		return false;
	read_entry(unit, unit->head, command->words);
	command->type = TYPE(command->words);
	if (command->type == TYPE_DEV_TLB || command->type == TYPE_P_DEV_TLB)
		command->atc = function_of(unit, sid_of(command->words));
	return true;
}

static void trace(const struct unit *unit, const struct command *command)
{
	static const char *const kinds[16] = {
		[1] = "cc_inv", [2] = "iotlb_inv", [3] = "dev_tlb_inv", [4] = "iec_inv",
		[5] = "inv_wait", [6] = "p_iotlb_inv", [7] = "pc_inv", [8] = "p_dev_tlb_inv",
		[9] = "page_grp_resp",
	};
	const char *kind = kinds[command->type];
	const uint64_t *words = command->words;

	trace_event(unit, "qi_submit", "%s dmar%u: 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64
		    " 0x%" PRIx64, kind ? kind : "unknown", unit->index, words[0], words[1],
		    words[2], words[3]);
}

/* A descriptor takes effect after the accesses that have their translation already (6.5.5). */
static void execute(struct unit *unit, const struct command *command)
{
	uint64_t words[MODEL_CMD_WORDS];

	if (command->type == TYPE_PAGE_GRP) {
		struct function *function = function_of(unit, sid_of(command->words));

		if (function)
			function_response(function, command->words[0] >> 12 & 15);
		return;
	}
	memcpy(words, command->words, sizeof(words));
	/*
	 * The model refuses a fence that tells nobody, as QEMU does. Linux sends it to drain
	 * page requests, and hardware takes it (6.5.2.9). What the model raises is not shown.
	 */
	if (command->type == TYPE_WAIT && words[0] & WAIT_FN && !(words[0] & WAIT_SW))
		words[0] |= WAIT_IF;
	unit_give(unit, words);
}

static void move_head(struct unit *unit)
{
	unit->head = (unit->head + 1) % entries(unit);
	write64(unit, IQH, (uint64_t)unit->head << entry_shift(unit));
}

static void complete(struct unit *unit, const struct command *command)
{
	move_head(unit);
	if (command->type == TYPE_WAIT && command->words[0] & WAIT_IF) {
		write32(unit, ICS, 1);
		interrupt(unit, QUEUE_EVENT);
	}
}

static void stop(struct unit *unit, uint32_t error, uint64_t iqercd)
{
	unit_stop(unit, error == FSTS_ITE ? HW_TIMEOUTS : HW_ERRORS);
	write64(unit, IQERCD, iqercd);
	raise_fsts(unit, error);
	update_fsts(unit);
	interrupt(unit, FAULT_EVENT);
}

static void refuse(struct unit *unit)
{
	stop(unit, FSTS_IQE, IQERCD_RESERVED_FIELD);
}

static bool model_fault(struct unit *unit, const struct model_fault_record *fault)
{
	uint32_t fsts = model_reg_read(unit->iommu, FSTS);
	uint64_t iqercd = model_reg_read(unit->iommu, IQERCD) |
			  (uint64_t)model_reg_read(unit->iommu, IQERCD + 4) << 32;

	trace_text("dmar%u FSTS 0x%" PRIx32 " IQERCD 0x%" PRIx64 ": %s", unit->index, fsts, iqercd,
		   fault->reason);
	stop(unit, fsts & (FSTS_IQE | FSTS_ITE), iqercd);
	return unit->vtd.fsts & FSTS_IQE;
}

/*
 * A driver that never clears an error would take its machine with it. One that has replaced
 * a bad command with another bad one would, too: the second time, the command is left out.
 */
static void rescue(struct unit *unit)
{
	if (!unit_lost_patience(unit))
		return;
	if (unit->vtd.fsts & FSTS_IQE && unit->vtd.rescued_at == unit->head)
		move_head(unit);
	unit->vtd.rescued_at = unit->head;
	store32(unit->machine, reg(unit, FSTS), FSTS_IQE | FSTS_ITE);
	update_fsts(unit);
}

static void update(struct unit *unit)
{
	uint64_t tail = read64(unit, IQT);

	/* The tail that was read may be that of the queue before. */
	unit->tail = update_gcmd(unit) ? unit->head : (unsigned int)(tail >> entry_shift(unit));
	update_fsts(unit);
	rescue(unit);
	deliver(unit);
}

const struct vendor vtd = {
	.name = "dmar",
	.model = MODEL_VTD,
	.registers = HW_VTD,
	.size = HW_VTD_SIZE,
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
