// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VT-d unit: registers (D51397, section 11.4 of revision 5.10) and the invalidation
 * queue's pace. What a descriptor does is model/'s.
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

#define STEP_NS		1000000		/* of the model's time */
#define URGENT_NS	1000000000

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

static uint64_t reg(const struct unit *unit, uint64_t offset)
{
	return unit->machine->base + HW_REGISTERS(unit->index) + offset;
}

static uint32_t read32(const struct unit *unit, uint64_t offset)
{
	return load32(unit->machine, reg(unit, offset));
}

static uint64_t read64(const struct unit *unit, uint64_t offset)
{
	return load64(unit->machine, reg(unit, offset));
}

static void write32(const struct unit *unit, uint64_t offset, uint32_t value)
{
	store32(unit->machine, reg(unit, offset), value);
}

static void write64(const struct unit *unit, uint64_t offset, uint64_t value)
{
	store64(unit->machine, reg(unit, offset), value);
}

void vtd_reset(struct unit *unit, const struct machine *machine)
{
	memset(guest(machine, reg(unit, 0), 0x1000), 0, 0x1000);
	write32(unit, VER, 0x60);
	write64(unit, CAP, CAP_VALUE);
	write64(unit, ECAP, ECAP_VALUE);
	write32(unit, GCMD, GCMD_MARK);
	write32(unit, FECTL, EVENT_MASKED);
	write32(unit, IECTL, EVENT_MASKED);
	write32(unit, PECTL, EVENT_MASKED);
	unit->steps = now_ns() / STEP_NS;
	unit->rescued_at = UINT_MAX;
}

void vtd_set_root(struct unit *unit, uint64_t rtaddr)
{
	write64(unit, RTADDR, rtaddr);
	model_set_root(unit->iommu, rtaddr);
	unit->gsts = GCMD_TE | GCMD_SRTP;
	write32(unit, GSTS, unit->gsts);
}

bool vtd_translates(const struct unit *unit)
{
	return read32(unit, GSTS) & GCMD_TE;
}

static void interrupt(struct unit *unit, uint64_t event)
{
	if (read32(unit, event) & EVENT_MASKED)
		write32(unit, event, EVENT_MASKED | EVENT_PENDING);
	else
		msi_send(read32(unit, event + EVENT_ADDR), read32(unit, event + EVENT_DATA));
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
	uint32_t old = unit->fsts, have, next, shown;
	int first;

	do {
		have = read32(unit, FSTS);
		next = unit->fsts;
		shown = next ? next | FSTS_MARK : 0;
		if (have != shown)
			next &= ~(have & FSTS_RW1C);
		next |= __atomic_load_n(&unit->raised, __ATOMIC_SEQ_CST);
		first = pending_record(unit);
		next &= ~(FSTS_PPF | 0xff00u);
		if (first >= 0)
			next |= FSTS_PPF | (uint32_t)first << 8;
		shown = next ? next | FSTS_MARK : 0;
	} while (have != shown && !replace32(unit->machine, reg(unit, FSTS), have, shown));
	__atomic_and_fetch(&unit->raised, ~next, __ATOMIC_SEQ_CST);
	unit->fsts = next;
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
	__atomic_or_fetch(&unit->raised, bits, __ATOMIC_SEQ_CST);
}

void vtd_report_fault(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
		      bool write, unsigned int reason)
{
	bool has_pasid = pasid != HW_NO_PASID;
	uint64_t at;

	pthread_mutex_lock(&unit->events);
	at = record(unit->next_fault);
	if (read32(unit, at + 12) & BIT(31)) {
		raise_fsts(unit, FSTS_PFO);
	} else {
		write64(unit, at, iova & ~(MODEL_PAGE_SIZE - 1));
		write32(unit, at + 8, rid | (has_pasid ? BIT(31) : 0));
		write32(unit, at + 12, BIT(31) | (write ? 0 : BIT(30)) | reason |
			(has_pasid ? (pasid & 0xfffff) << 8 : 0));
		unit->next_fault = (unit->next_fault + 1) % NR_FRCD;
	}
	pthread_mutex_unlock(&unit->events);
	interrupt(unit, FECTL);
}

void vtd_page_request(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
		      unsigned int group)
{
	bool has_pasid = pasid != HW_NO_PASID;
	uint64_t queue, tail, at;

	pthread_mutex_lock(&unit->events);
	queue = read64(unit, PQA);
	tail = read64(unit, PQT);
	at = (queue & ~(MODEL_PAGE_SIZE - 1)) + tail;
	store64(unit->machine, at, 1 | (uint64_t)rid << 16 |
		(has_pasid ? BIT(8) | (pasid & 0xfffff) << 32 : 0));
	/* read, write, the last of its group */
	store64(unit->machine, at + 8, 7 | (group & 511) << 3 | (iova & ~(MODEL_PAGE_SIZE - 1)));
	store64(unit->machine, at + 16, 0);
	store64(unit->machine, at + 24, 0);
	write64(unit, PQT, (tail + 32) & ((MODEL_PAGE_SIZE << (queue & 7)) - 32));
	write32(unit, PRS, 1);
	pthread_mutex_unlock(&unit->events);
	interrupt(unit, PECTL);
}

/*
 * The queue.
 */

static void update_gcmd(struct unit *unit)
{
	uint32_t cmd = read32(unit, GCMD), old = unit->gsts;

	if (cmd & GCMD_MARK || !replace32(unit->machine, reg(unit, GCMD), cmd, cmd | GCMD_MARK))
		return;
	unit->gsts = (cmd & GCMD_STATES) | (old & GCMD_DONE) | (cmd & GCMD_DONE);
	if (cmd & GCMD_SRTP)
		model_set_root(unit->iommu, read64(unit, RTADDR));
	if (unit->gsts & ~old & GCMD_QIE) {
		unit->iqa = read64(unit, IQA);
		unit->head = 0;
		unit->ready_at = 0;
		write64(unit, IQH, 0);
	}
	trace_text("dmar%u GCMD 0x%" PRIx32 ": GSTS 0x%" PRIx32, unit->index, cmd, unit->gsts);
	write32(unit, GSTS, unit->gsts);
}

static unsigned int entry_shift(const struct unit *unit)
{
	return unit->iqa & IQA_WIDE ? 5 : 4;
}

static unsigned int entries(const struct unit *unit)
{
	return 1U << ((unit->iqa & 7) + MODEL_PAGE_SHIFT - entry_shift(unit));
}

static void read_entry(const struct unit *unit, unsigned int index, uint64_t *desc)
{
	uint64_t at = (unit->iqa & ~(MODEL_PAGE_SIZE - 1)) +
		      ((uint64_t)index << entry_shift(unit));
	unsigned int words = 1U << (entry_shift(unit) - 3), i;

	memset(desc, 0, MODEL_CMD_WORDS * sizeof(*desc));
	for (i = 0; i < words; i++)
		desc[i] = load64(unit->machine, at + i * 8);
}

static void move_head(struct unit *unit)
{
	unit->head = (unit->head + 1) % entries(unit);
	unit->ready_at = 0;
	write64(unit, IQH, (uint64_t)unit->head << entry_shift(unit));
}

static bool is_atc(const uint64_t *desc)
{
	return TYPE(desc) == TYPE_DEV_TLB || TYPE(desc) == TYPE_P_DEV_TLB;
}

static unsigned int sid_of(const uint64_t *desc)
{
	return desc[0] >> (TYPE(desc) == TYPE_DEV_TLB ? 32 : 16) & 0xffff;
}

/* The function that a command is for, NULL where there is none. */
static struct function *function_of(const struct unit *unit, const uint64_t *desc)
{
	unsigned int sid = sid_of(desc);

	return sid & 7 || sid >> 3 >= HW_SLOTS ? NULL : unit->functions[sid >> 3];
}

static uint64_t latency(const struct unit *unit, const uint64_t *desc)
{
	uint64_t ns = control_load(unit, HW_LATENCY(TYPE(desc)));

	if (is_atc(desc) && function_of(unit, desc))
		ns += control_load(unit, HW_ATC_LATENCY(sid_of(desc) >> 3));
	return ns;
}

/* Is what the guest asked for to happen to this command? */
static bool in_trouble(const struct unit *unit, unsigned int kind, const uint64_t *desc)
{
	uint64_t left = control_load(unit, HW_TROUBLE_COUNT);

	if (control_load(unit, HW_TROUBLE) != kind || !left ||
	    !(control_load(unit, HW_TROUBLE_TYPES) & BIT(TYPE(desc))))
		return false;
	if (control_load(unit, HW_TROUBLE_SKIP)) {
		control_add(unit, HW_TROUBLE_SKIP, -1);
		return false;
	}
	if (kind != HW_STALL) {
		control_add(unit, HW_TROUBLE_COUNT, -1);
		control_add(unit, HW_TROUBLE_HITS, 1);
	}
	return true;
}

/*
 * Gives a descriptor to the model, which fetches it at once: after the accesses that have
 * their translation already (6.5.5).
 */
static void execute(struct unit *unit, const uint64_t *desc)
{
	uint64_t *slot = model_queue(unit->iommu) + unit->slot * MODEL_CMD_WORDS;
	unsigned int entries = model_queue_entries(unit->iommu);

	pthread_rwlock_wrlock(&unit->dma);
	memcpy(slot, desc, MODEL_CMD_WORDS * sizeof(*desc));
	/*
	 * The model refuses a fence that tells nobody, as QEMU does. Linux sends it to drain
	 * page requests, and hardware takes it (6.5.2.9). What the model raises is not shown.
	 */
	if (TYPE(desc) == TYPE_WAIT && desc[0] & WAIT_FN && !(desc[0] & WAIT_SW))
		slot[0] |= WAIT_IF;
	unit->slot = (unit->slot + 1) % entries;
	model_doorbell(unit->iommu, unit->slot);
	pthread_rwlock_unlock(&unit->dma);
}

static void stop(struct unit *unit, uint32_t error, uint64_t iqercd)
{
	unit->stopped = true;
	unit->stopped_at = now_ns();
	unit->ready_at = 0;
	control_add(unit, error == FSTS_ITE ? HW_TIMEOUTS : HW_ERRORS, 1);
	write64(unit, IQERCD, iqercd);
	raise_fsts(unit, error);
	update_fsts(unit);
	interrupt(unit, FECTL);
}

/*
 * Time for the model, and what it has to say. Return: true if it has stopped at an error.
 * A look at its registers is a step of its time, so there is none but after a fault.
 */
static bool update_model(struct unit *unit)
{
	uint64_t now = now_ns() / STEP_NS;
	uint64_t timeout = control_load(unit, HW_TIMEOUT) / STEP_NS;
	struct model_fault_record fault;
	unsigned long faults;
	uint64_t iqercd;
	uint32_t fsts;

	if (timeout != unit->timeout) {
		unit->timeout = timeout;
		model_set_time(unit->iommu, 0, (unsigned int)timeout);
	}
	if (now != unit->steps) {
		model_advance(unit->iommu, now - unit->steps);
		unit->steps = now;
	}
	faults = model_faults(unit->iommu, &fault);
	if (faults == unit->faults)
		return false;
	unit->faults = faults;
	fsts = model_reg_read(unit->iommu, FSTS);
	iqercd = model_reg_read(unit->iommu, IQERCD) |
		 (uint64_t)model_reg_read(unit->iommu, IQERCD + 4) << 32;
	trace_text("dmar%u FSTS 0x%" PRIx32 " IQERCD 0x%" PRIx64 ": %s", unit->index, fsts, iqercd,
		   fault.reason);
	stop(unit, fsts & (FSTS_IQE | FSTS_ITE), iqercd);
	return true;
}

static void respond(struct unit *unit, const uint64_t *desc)
{
	struct function *function = function_of(unit, desc);

	if (function)
		function_response(function, desc[0] >> 12 & 15);
}

/*
 * A driver that never clears an error would take its machine with it. One that has replaced
 * a bad command with another bad one would, too: the second time, the command is left out.
 */
static void rescue(struct unit *unit)
{
	uint64_t patience = control_load(unit, HW_PATIENCE);

	if (!unit->stopped || !patience || now_ns() - unit->stopped_at < patience)
		return;
	trace_text("dmar%u goes on with an error that nobody has cleared", unit->index);
	control_add(unit, HW_RESCUES, 1);
	if (unit->fsts & FSTS_IQE && unit->rescued_at == unit->head)
		move_head(unit);
	unit->rescued_at = unit->head;
	store32(unit->machine, reg(unit, FSTS), FSTS_IQE | FSTS_ITE);
	update_fsts(unit);
}

/* The command at the head, when its time has come. Return: something has happened. */
static bool consume(struct unit *unit)
{
	unsigned int tail = (unsigned int)(read64(unit, IQT) >> entry_shift(unit));
	uint64_t desc[MODEL_CMD_WORDS];

	if (control_load(unit, HW_PING))
		store64(unit->machine, control(unit, HW_PING), 0);
	update_gcmd(unit);
	update_fsts(unit);
	rescue(unit);
	if (update_model(unit))
		return true;
	if (!(unit->gsts & GCMD_QIE) || unit->stopped || unit->head == tail % entries(unit))
		return false;
	read_entry(unit, unit->head, desc);
	if (!unit->ready_at) {
		if (in_trouble(unit, HW_STALL, desc))
			return false;
		unit->ready_at = now_ns() + latency(unit, desc);
	}
	if (now_ns() < unit->ready_at)
		return false;

	if (in_trouble(unit, HW_REFUSE, desc)) {
		trace_text("dmar%u refuses a command", unit->index);
		stop(unit, FSTS_IQE, IQERCD_RESERVED_FIELD);
		return true;
	}
	trace_command(unit, desc);
	control_add(unit, HW_COUNT(TYPE(desc)), 1);
	if (in_trouble(unit, HW_LOSE, desc)) {
		move_head(unit);
		return true;
	}
	if (is_atc(desc) && function_of(unit, desc))
		function_count_atc(function_of(unit, desc));
	if (TYPE(desc) == TYPE_PAGE_GRP) {
		respond(unit, desc);
	} else {
		execute(unit, desc);
		/* It stays at the head if it is malformed. */
		if (update_model(unit) && unit->fsts & FSTS_IQE)
			return true;
	}
	move_head(unit);
	if (TYPE(desc) == TYPE_WAIT && desc[0] & WAIT_IF) {
		write32(unit, ICS, 1);
		interrupt(unit, IECTL);
	}
	return true;
}

/*
 * A driver that clears an error reads what it wrote until this thread has looked, and may take
 * it for another error: no sleep as long as that is to be expected.
 */
static bool is_urgent(const struct unit *unit)
{
	uint64_t now = now_ns();

	if (unit->stopped && now - unit->stopped_at < URGENT_NS)
		return true;
	return unit->ready_at && (unit->ready_at <= now || unit->ready_at - now < 50000);
}

void *vtd_thread(void *arg)
{
	struct unit *unit = arg;
	unsigned int idle = 0;

	poll_first();
	while (!quitting(unit->machine)) {
		if (consume(unit)) {
			idle = 0;
			continue;
		}
		if (is_urgent(unit))
			idle = 0;
		poll_wait(&idle);
	}
	return NULL;
}
