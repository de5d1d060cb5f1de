// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers of an SMMUv3 (IHI 0070, chapter 6): both stages, ATS, substreams, 4 KiB,
 * ranges, S2FWB, MSIs; no stalls, no page requests, no access flags and dirty bits.
 *
 * They suit memory that only keeps what was written: what the guest writes is acknowledged in
 * another register (CR0ACK, IRQ_CTRL_ACK, GERRORN), or is an index. GBPA.UPDATE is cleared when
 * it was seen, nothing else: all bypass, or abort, is by SMMUEN. An index has a wrap bit above
 * it. CMDQ_PROD is read before CR0 is: a queue that is used has been enabled.
 *
 * A command that is refused stays at the head, and is read again when the guest has
 * acknowledged the error: the driver writes a CMD_SYNC over it (7.1). The model has the queue's
 * other error, a device that does not answer, at its own CMD_SYNC.
 */
#include "hw.h"

#define IDR0		0x00
#define IDR1		0x04
#define IDR3		0x0c
#define IDR5		0x14
#define CR0		0x20
#define CR0ACK		0x24
#define GBPA		0x44
#define IRQ_CTRL	0x50
#define IRQ_CTRL_ACK	0x54
#define GERROR		0x60
#define GERRORN		0x64
#define GERROR_IRQ	0x68
#define STRTAB_BASE	0x80
#define STRTAB_BASE_CFG	0x88
#define CMDQ_BASE	0x90
#define CMDQ_PROD	0x98
#define CMDQ_CONS	0x9c
#define EVTQ_BASE	0xa0
#define EVTQ_IRQ	0xb0
#define EVTQ_PROD	0x100a8
#define EVTQ_CONS	0x100ac

/* From an interrupt's first register. */
#define IRQ_ADDR	0x0
#define IRQ_DATA	0x8

#define CR0_SMMUEN	BIT(0)
#define CR0_EVTQEN	BIT(2)
#define CR0_CMDQEN	BIT(3)
#define GBPA_UPDATE	BIT(31)
#define IRQ_GERROR	BIT(0)
#define IRQ_EVTQ	BIT(2)
#define GERROR_CMDQ	BIT(0)
#define CERROR_SHIFT	24
#define CERROR_NONE	0
#define CERROR_ILL	1

#define QUEUE_ADDR	UINT64_C(0x000fffffffffffe0)
#define QUEUE_LOG2(base)	((unsigned int)((base) & 31))
#define COMMAND_SIZE	16
#define EVENT_SIZE	32

#define CMDQ_LOG2	8ULL
#define EVTQ_LOG2	7ULL
#define SSID_BITS	20ULL
#define SID_BITS	16ULL

/*
 * S2P, S1P, AArch64, COHACC, ATS, ASID16, MSI, SEV, VMID16, CD2L, little-endian, no stalls,
 * stream tables of two levels
 */
#define IDR0_VALUE	(BIT(0) | BIT(1) | 2 << 2 | BIT(4) | BIT(10) | BIT(12) | BIT(13) | \
			 BIT(14) | BIT(18) | BIT(19) | 2 << 21 | BIT(24) | BIT(27))
#define IDR1_VALUE	(CMDQ_LOG2 << 21 | EVTQ_LOG2 << 16 | SSID_BITS << 6 | SID_BITS)
/* FWB, RIL */
#define IDR3_VALUE	(BIT(8) | BIT(10))
/* 4 KiB, addresses of 48 bits */
#define IDR5_VALUE	(BIT(4) | 5)

/* 4.1.1 */
enum {
	CFGI_STE = 0x03, CFGI_STE_RANGE, CFGI_CD, CFGI_CD_ALL,
	TLBI_NH_ALL = 0x10, TLBI_EL2_VAA = 0x23, TLBI_S12_VMALL = 0x28, TLBI_S2_IPA = 0x2a,
	TLBI_NSNH_ALL = 0x30, ATC_INV = 0x40, SYNC = 0x46,
};
#define ATC_SSV		BIT(11)

#define EVENT_TRANSLATION	0x10	/* 7.3.13 */
#define EVENT_SSV	BIT(11)
#define EVENT_READ	BIT(35)		/* of word 1 */

static void reset(struct unit *unit)
{
	write32(unit, IDR0, IDR0_VALUE);
	write32(unit, IDR1, IDR1_VALUE);
	write32(unit, IDR3, IDR3_VALUE);
	write32(unit, IDR5, IDR5_VALUE);
}

static bool translates(const struct unit *unit)
{
	return read32(unit, CR0ACK) & CR0_SMMUEN;
}

static void interrupt(const struct unit *unit, uint32_t enable, uint64_t irq)
{
	if (read32(unit, IRQ_CTRL_ACK) & enable)
		msi_send((uint32_t)read64(unit, irq + IRQ_ADDR), read32(unit, irq + IRQ_DATA));
}

static void report_fault(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
			 bool write)
{
	uint64_t base = read64(unit, EVTQ_BASE), at;
	uint32_t entries = 1U << QUEUE_LOG2(base), prod;

	if (!(read32(unit, CR0ACK) & CR0_EVTQEN))
		return;
	pthread_mutex_lock(&unit->events);
	prod = read32(unit, EVTQ_PROD);
	/* Full: the event is lost, as with hardware that says so in the overflow flag. */
	if ((prod ^ read32(unit, EVTQ_CONS)) != entries) {
		at = (base & QUEUE_ADDR) + (uint64_t)(prod % entries) * EVENT_SIZE;
		store64(unit->machine, at, EVENT_TRANSLATION | (uint64_t)rid << 32 |
			(pasid == HW_NO_PASID ? 0 : EVENT_SSV | (pasid & 0xfffff) << 12));
		store64(unit->machine, at + 8, write ? 0 : EVENT_READ);
		store64(unit->machine, at + 16, iova);
		store64(unit->machine, at + 24, 0);
		write32(unit, EVTQ_PROD, (prod + 1) % (2 * entries));
	}
	pthread_mutex_unlock(&unit->events);
	interrupt(unit, IRQ_EVTQ, EVTQ_IRQ);
}

/*
 * The queue.
 */

static uint32_t entries(const struct unit *unit)
{
	return 1U << QUEUE_LOG2(read64(unit, CMDQ_BASE));
}

static void show_head(const struct unit *unit, uint32_t error)
{
	write32(unit, CMDQ_CONS, unit->head | error << CERROR_SHIFT);
}

static void move_head(struct unit *unit)
{
	unit->head = (unit->head + 1) % (2 * entries(unit));
	show_head(unit, CERROR_NONE);
}

/* Return: whether the queue has begun anew. */
static bool update_cr0(struct unit *unit)
{
	uint32_t cr0 = read32(unit, CR0), old = read32(unit, CR0ACK);
	uint64_t strtab = read64(unit, STRTAB_BASE);
	bool begun = cr0 & ~old & CR0_CMDQEN;

	if (cr0 == old)
		return false;
	if (begun) {
		unit->head = read32(unit, CMDQ_CONS) % (2 * entries(unit));
		unit->ready_at = 0;
	}
	model_reg_write(unit->iommu, STRTAB_BASE, (uint32_t)strtab);
	model_reg_write(unit->iommu, STRTAB_BASE + 4, (uint32_t)(strtab >> 32));
	model_reg_write(unit->iommu, STRTAB_BASE_CFG, read32(unit, STRTAB_BASE_CFG));
	trace_text("%s%u CR0 0x%" PRIx32, unit->vendor->name, unit->index, cr0);
	write32(unit, CR0ACK, cr0);
	return begun;
}

static void stop(struct unit *unit, uint64_t counter, uint32_t error)
{
	unit_stop(unit, counter);
	show_head(unit, error);
	unit->smmuv3.gerror ^= GERROR_CMDQ;
	write32(unit, GERROR, unit->smmuv3.gerror);
	interrupt(unit, IRQ_GERROR, GERROR_IRQ);
}

/*
 * Once it is acknowledged, the model executes its CMD_SYNC again, or skips what it refused:
 * that is read again from the guest's queue. A driver that never acknowledges it would take its
 * machine with it: then a bad command is left out.
 */
static void update_gerror(struct unit *unit)
{
	uint32_t error = read32(unit, CMDQ_CONS) >> CERROR_SHIFT;

	if (!unit->stopped)
		return;
	if (unit_lost_patience(unit)) {
		write32(unit, GERRORN, unit->smmuv3.gerror);
		if (error == CERROR_ILL)
			unit->head = (unit->head + 1) % (2 * entries(unit));
	}
	if ((read32(unit, GERRORN) ^ unit->smmuv3.gerror) & GERROR_CMDQ)
		return;
	model_fault_clear(unit->iommu);
	show_head(unit, CERROR_NONE);
	unit->stopped = false;
}

static void update(struct unit *unit)
{
	uint32_t gbpa = read32(unit, GBPA), prod = read32(unit, CMDQ_PROD);

	/* The tail that was read may be that of the queue before. */
	unit->tail = update_cr0(unit) ? unit->head : prod % (2 * entries(unit));
	update_gerror(unit);
	if (gbpa & GBPA_UPDATE)
		write32(unit, GBPA, gbpa & ~(uint32_t)GBPA_UPDATE);
	write32(unit, IRQ_CTRL_ACK, read32(unit, IRQ_CTRL));
}

/* The VT-d descriptor that does the same: those of stage 1 alone are by PASID there. */
static unsigned int type_of(const uint64_t *words)
{
	unsigned int opcode = words[0] & 0xff;

	if (opcode == CFGI_STE || opcode == CFGI_STE_RANGE)
		return HW_TYPE_CONTEXT;
	if (opcode == CFGI_CD || opcode == CFGI_CD_ALL)
		return HW_TYPE_PASID;
	if (opcode >= TLBI_NH_ALL && opcode <= TLBI_EL2_VAA)
		return HW_TYPE_P_IOTLB;
	if (opcode >= TLBI_S12_VMALL && opcode <= TLBI_NSNH_ALL)
		return HW_TYPE_IOTLB;
	if (opcode == ATC_INV)
		return words[0] & ATC_SSV ? HW_TYPE_P_DEV_TLB : HW_TYPE_DEV_TLB;
	return opcode == SYNC ? HW_TYPE_WAIT : HW_TYPE_OTHER;
}

static bool fetch(struct unit *unit, struct command *command)
{
	uint64_t at = (read64(unit, CMDQ_BASE) & QUEUE_ADDR) +
		      (uint64_t)(unit->head % entries(unit)) * COMMAND_SIZE;

	if (!(read32(unit, CR0ACK) & CR0_CMDQEN) || unit->head == unit->tail)
		return false;
	command->words[0] = load64(unit->machine, at);
	command->words[1] = load64(unit->machine, at + 8);
	command->type = type_of(command->words);
	if ((command->words[0] & 0xff) == ATC_INV)
		command->atc = function_of(unit, (unsigned int)(command->words[0] >> 32));
	return true;
}

/* As alist's probe does: a CMD_SYNC is no command, it is waited for. */
static void trace(const struct unit *unit, const struct command *command)
{
	unsigned int opcode = command->words[0] & 0xff;
	bool sync = opcode == SYNC;

	trace_event(unit, "smmucmd", "(hw) op=%u n=%u sync=%u smmu=0x%" PRIx64 " name=%s%u c0=0x%"
		    PRIx64 " c1=0x%" PRIx64, opcode, !sync, sync, reg(unit, 0), unit->vendor->name,
		    unit->index, command->words[0], command->words[1]);
}

/* The model's errors, if its queue has stopped. Return: is the command at the head malformed? */
static bool show_model(struct unit *unit)
{
	uint32_t error;

	if (model_reg_read(unit->iommu, GERROR) == model_reg_read(unit->iommu, GERRORN))
		return false;
	error = model_reg_read(unit->iommu, CMDQ_CONS) >> CERROR_SHIFT;
	stop(unit, error == CERROR_ILL ? HW_ERRORS : HW_TIMEOUTS, error);
	return error == CERROR_ILL;
}

/* Which of them ends a wait at a CMD_SYNC that comes later is not told by another fault. */
static void execute(struct unit *unit, const struct command *command)
{
	unsigned long faults = model_faults(unit->iommu, NULL);

	unit_give(unit, command->words);
	if (command->type == HW_TYPE_WAIT && faults == model_faults(unit->iommu, NULL))
		show_model(unit);
}

static void complete(struct unit *unit, const struct command *command)
{
	(void)command;
	move_head(unit);
}

static void refuse(struct unit *unit)
{
	stop(unit, HW_ERRORS, CERROR_ILL);
}

static bool model_fault(struct unit *unit, const struct model_fault_record *fault)
{
	trace_text("%s%u: %s", unit->vendor->name, unit->index, fault->reason);
	return show_model(unit);
}

const struct vendor smmuv3 = {
	.name = "smmu",
	.model = MODEL_SMMUV3,
	.registers = HW_SMMU,
	.size = HW_SMMU_SIZE,
	.waits_at_head = true,
	.off_answers = true,
	.agents_pause = true,
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
};
