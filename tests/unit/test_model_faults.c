// SPDX-License-Identifier: GPL-2.0-only
/*
 * Models that misbehave: refused commands, the registers that tell of errors, and
 * devices that do not answer.
 *
 * What holds for all vendors is one case over all of them; struct hardware has what a
 * driver of each would do. What differs has cases of its own, by the section of the
 * specification.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "model.h"

#define NONE		MODEL_NO_PASID
#define PAGE		MODEL_PAGE_SIZE
#define IOVA		UINT64_C(0x40000000)
#define PA		UINT64_C(0x80000000)
#define RID		0x0208
#define TAG		7
#define MAX_CMDS	16

#define BIT(n)		(UINT64_C(1) << (n))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Registers. */
#define VTD_FSTS	0x34
#define VTD_IQH		0x80
#define VTD_IQT		0x88
#define VTD_ICS		0x9c
#define VTD_IQERCD	0xb0
#define VTD_IQE		(1u << 4)
#define VTD_ITE		(1u << 6)

#define SMMU_GERROR	0x60
#define SMMU_GERRORN	0x64
#define SMMU_PROD	0x98
#define SMMU_CONS	0x9c

#define AMD_CONTROL	0x18
#define AMD_CMD_HEAD	0x2000
#define AMD_CMD_TAIL	0x2008
#define AMD_EVENT_HEAD	0x2010
#define AMD_EVENT_TAIL	0x2018
#define AMD_STATUS	0x2020
#define AMD_OVERFLOW	(1u << 0)
#define AMD_EVENT_INT	(1u << 1)
#define AMD_WAIT_INT	(1u << 2)
#define AMD_LOG_RUN	(1u << 3)
#define AMD_CMD_RUN	(1u << 4)
#define AMD_LOG_EN	(1u << 2)
#define AMD_CMD_EN	(1u << 12)
#define AMD_EVENTS	16

#define RISCV_CQH	32
#define RISCV_CQT	36
#define RISCV_CQCSR	72
#define RISCV_IPSR	84
#define RISCV_ON	(1u << 16 | 1u << 0)
#define RISCV_CIE	(1u << 1)
#define RISCV_CMD_TO	(1u << 9)
#define RISCV_CMD_ILL	(1u << 10)
#define RISCV_FENCE_IP	(1u << 11)

struct cmd {
	uint64_t word[2];
};

/* What a driver knows of its hardware. */
struct hardware {
	enum model_vendor vendor;
	struct cmd tlb;			/* invalidates all of TAG */
	struct cmd (*atc)(uint32_t rid);
	struct cmd config;		/* drops what is cached of RID's context entry */
	struct cmd (*wait)(uint32_t *status, uint32_t value);
	struct cmd bad[4];		/* refused for different reasons */
	unsigned int nr_bad;
	unsigned int (*head)(struct model_iommu *iommu);
	/* Is there an error that stops the queue? */
	bool (*stopped)(struct model_iommu *iommu);
	/* What its driver writes to go on. */
	void (*clear)(struct model_iommu *iommu);
};

static struct cmd vtd_atc(uint32_t rid)
{
	return (struct cmd){ { 0x3 | (uint64_t)rid << 32, 0x7ffffffffffff001 } };
}

static struct cmd vtd_wait(uint32_t *status, uint32_t value)
{
	return (struct cmd){ { 0x25 | (uint64_t)value << 32, (uintptr_t)status } };
}

static unsigned int vtd_head(struct model_iommu *iommu)
{
	return model_reg_read(iommu, VTD_IQH) >> 5;
}

static bool vtd_stopped(struct model_iommu *iommu)
{
	return model_reg_read(iommu, VTD_FSTS) & (VTD_IQE | VTD_ITE);
}

static void vtd_clear(struct model_iommu *iommu)
{
	model_reg_write(iommu, VTD_FSTS, VTD_IQE | VTD_ITE);
}

static struct cmd smmu_atc(uint32_t rid)
{
	return (struct cmd){ { 0x40 | (uint64_t)rid << 32, 52 } };
}

static struct cmd smmu_wait(uint32_t *status, uint32_t value)
{
	return (struct cmd){ { 0x1046 | (uint64_t)value << 32, (uintptr_t)status } };
}

static unsigned int smmu_head(struct model_iommu *iommu)
{
	return model_reg_read(iommu, SMMU_CONS) & (model_queue_entries(iommu) - 1);
}

static bool smmu_stopped(struct model_iommu *iommu)
{
	return model_reg_read(iommu, SMMU_GERROR) != model_reg_read(iommu, SMMU_GERRORN);
}

static void smmu_clear(struct model_iommu *iommu)
{
	model_reg_write(iommu, SMMU_GERRORN, model_reg_read(iommu, SMMU_GERROR));
}

static struct cmd amd_atc(uint32_t rid)
{
	return (struct cmd){ { UINT64_C(4) << 60 | rid, 0x7ffffffffffff001 } };
}

/* 64 bits are written: @status is the first of two words. */
static struct cmd amd_wait(uint32_t *status, uint32_t value)
{
	return (struct cmd){ { UINT64_C(1) << 60 | (uintptr_t)status | 1, value } };
}

static unsigned int amd_head(struct model_iommu *iommu)
{
	return model_reg_read(iommu, AMD_CMD_HEAD) >> 4;
}

static bool amd_stopped(struct model_iommu *iommu)
{
	return !(model_reg_read(iommu, AMD_STATUS) & AMD_CMD_RUN);
}

static void amd_clear(struct model_iommu *iommu)
{
	model_reg_write(iommu, AMD_EVENT_HEAD, model_reg_read(iommu, AMD_EVENT_TAIL));
	model_reg_write(iommu, AMD_STATUS, AMD_EVENT_INT);
	model_reg_write(iommu, AMD_CONTROL, AMD_CMD_EN | AMD_LOG_EN);
}

static struct cmd riscv_atc(uint32_t rid)
{
	return (struct cmd){ { 0x4 | (uint64_t)rid << 40, 0x7ffffffffffff800 } };
}

static struct cmd riscv_wait(uint32_t *status, uint32_t value)
{
	return (struct cmd){ { 0x402 | (uint64_t)value << 32, (uintptr_t)status >> 2 } };
}

static unsigned int riscv_head(struct model_iommu *iommu)
{
	return model_reg_read(iommu, RISCV_CQH);
}

static bool riscv_stopped(struct model_iommu *iommu)
{
	return model_reg_read(iommu, RISCV_CQCSR) & (RISCV_CMD_TO | RISCV_CMD_ILL);
}

static void riscv_clear(struct model_iommu *iommu)
{
	model_reg_write(iommu, RISCV_CQCSR, RISCV_CMD_TO | RISCV_CMD_ILL);
}

static const struct hardware all_hardware[MODEL_VENDORS] = {
	[MODEL_VTD] = {
		.vendor = MODEL_VTD,
		.tlb = { { 0x22 | TAG << 16, 0 } },
		.config = { { 0x31 | (uint64_t)RID << 32, 0 } },
		.atc = vtd_atc, .wait = vtd_wait,
		.bad = {
			{ { 0xf, 0 } },			/* type 15 */
			{ { 0x22 | BIT(40), 0 } },	/* reserved bit */
			{ { 0x5, 0 } },			/* wait for nothing */
			{ { 0x45, 0 } },		/* the same, a fence */
		},
		.nr_bad = 4,
		.head = vtd_head, .stopped = vtd_stopped, .clear = vtd_clear,
	},
	[MODEL_SMMUV3] = {
		.vendor = MODEL_SMMUV3,
		.tlb = { { 0x28 | (uint64_t)TAG << 32, 0 } },
		.config = { { 0x3 | (uint64_t)RID << 32, 0 } },
		.atc = smmu_atc, .wait = smmu_wait,
		.bad = {
			{ { 0xff, 0 } },
			{ { 0x28 | BIT(8), 0 } },
			{ { 0x3046, 0 } },		/* CS 3 */
		},
		.nr_bad = 3,
		.head = smmu_head, .stopped = smmu_stopped, .clear = smmu_clear,
	},
	[MODEL_AMD] = {
		.vendor = MODEL_AMD,
		.tlb = { { UINT64_C(3) << 60 | (uint64_t)TAG << 32, 0x7ffffffffffff003 } },
		.config = { { UINT64_C(2) << 60 | RID, 0 } },
		.atc = amd_atc, .wait = amd_wait,
		.bad = {
			{ { UINT64_C(15) << 60, 0 } },
			{ { UINT64_C(3) << 60 | BIT(20), 0 } },
			{ { UINT64_C(1) << 60 | 1, 0 } },	/* store to nowhere */
		},
		.nr_bad = 3,
		.head = amd_head, .stopped = amd_stopped, .clear = amd_clear,
	},
	[MODEL_RISCV] = {
		.vendor = MODEL_RISCV,
		.tlb = { { 0x81 | BIT(33) | (uint64_t)TAG << 44, 0 } },
		.config = { { 0x3 | BIT(33) | (uint64_t)RID << 40, 0 } },
		.atc = riscv_atc, .wait = riscv_wait,
		.bad = {
			{ { 0x7f, 0 } },
			{ { 0x1 | BIT(11), 0 } },
			{ { 0x402, 0 } },		/* store to nowhere */
		},
		.nr_bad = 3,
		.head = riscv_head, .stopped = riscv_stopped, .clear = riscv_clear,
	},
};

struct rig {
	const struct hardware *hw;
	struct model_iommu *iommu;
	struct model_dev *dev;
	struct model_pt *pt;
	unsigned int tail;
	uint64_t status[MAX_CMDS];	/* completion words, the low half of each */
};

static void start_with(struct rig *rig, enum model_vendor vendor,
		       struct model_config config)
{
	config.vendor = vendor;
	memset(rig, 0, sizeof(*rig));
	rig->hw = &all_hardware[vendor];
	rig->iommu = model_iommu_create(&config);
	assert_non_null(rig->iommu);
	rig->dev = model_dev_create(rig->iommu, RID, true);
	assert_non_null(rig->dev);
	rig->pt = model_pt_create(4);
	assert_non_null(rig->pt);
	assert_int_equal(model_pt_map(rig->pt, IOVA, PA, PAGE, true), 0);
	model_dev_set_context(rig->dev, NONE, &(struct model_context){
		.mode = MODEL_S2, .tag = TAG, .vm_tag = TAG, .s2 = rig->pt });
}

static void start(struct rig *rig, enum model_vendor vendor)
{
	start_with(rig, vendor, (struct model_config){ 0 });
}

static void stop(struct rig *rig)
{
	model_dev_destroy(rig->dev);
	model_iommu_destroy(rig->iommu);
	model_pt_destroy(rig->pt);
}

static void write_slot(struct rig *rig, unsigned int slot, struct cmd cmd)
{
	unsigned int words = model_cmd_words(rig->hw->vendor);
	uint64_t *entry = model_queue(rig->iommu) + slot * words;

	memset(entry, 0, words * sizeof(*entry));
	memcpy(entry, cmd.word, sizeof(cmd.word));
}

/* Return: the slot. */
static unsigned int put(struct rig *rig, struct cmd cmd)
{
	unsigned int slot = rig->tail;

	write_slot(rig, slot, cmd);
	rig->tail = (slot + 1) % model_queue_entries(rig->iommu);
	return slot;
}

static void ring(struct rig *rig)
{
	model_doorbell(rig->iommu, rig->tail);
}

static struct cmd wait_cmd(struct rig *rig, unsigned int i, uint32_t value)
{
	return rig->hw->wait((uint32_t *)&rig->status[i], value);
}

static uint32_t status(const struct rig *rig, unsigned int i)
{
	return (uint32_t)__atomic_load_n(&rig->status[i], __ATOMIC_ACQUIRE);
}

static bool dma_is_stale(struct rig *rig)
{
	struct model_access access;

	return !model_dma(rig->dev, NONE, IOVA, false, &access);
}

/*
 * Refused commands
 */

#define BATCH	5

/* A batch of flushes, each with its wait, and one bad command in place of one. */
static void refuse_at(enum model_vendor vendor, unsigned int kind, unsigned int position)
{
	const struct hardware *hw = &all_hardware[vendor];
	unsigned int i, done = position / 2;
	struct cmd good[BATCH];
	struct rig rig;

	start(&rig, vendor);
	/* Not at the beginning of the queue, and across its end. */
	rig.tail = model_queue_entries(rig.iommu) - 3;
	model_doorbell(rig.iommu, 0);
	for (i = 0; i < rig.tail; i++)
		write_slot(&rig, i, hw->tlb);
	ring(&rig);
	assert_int_equal(hw->head(rig.iommu), rig.tail);

	for (i = 0; i < BATCH; i++) {
		good[i] = i % 2 ? wait_cmd(&rig, i / 2, i) : hw->tlb;
		put(&rig, i == position ? hw->bad[kind] : good[i]);
	}
	i = (rig.tail + model_queue_entries(rig.iommu) - BATCH + position) %
	    model_queue_entries(rig.iommu);
	ring(&rig);

	/* What is before it is done; it stays at the head; nothing after it is done. */
	assert_true(hw->stopped(rig.iommu));
	assert_int_equal(hw->head(rig.iommu), i);
	assert_int_equal(model_faults(rig.iommu, NULL), 1);
	assert_int_equal(status(&rig, 0), done > 0 ? 1 : 0);
	assert_int_equal(status(&rig, 1), done > 1 ? 3 : 0);
	ring(&rig);
	assert_int_equal(hw->head(rig.iommu), i);
	assert_int_equal(model_faults(rig.iommu, NULL), 1);

	/* Clearing the error alone meets the same command again. */
	hw->clear(rig.iommu);
	assert_true(hw->stopped(rig.iommu));
	assert_int_equal(hw->head(rig.iommu), i);
	assert_int_equal(model_faults(rig.iommu, NULL), 2);

	/* Repaired, it is executed, and what follows. */
	write_slot(&rig, i, good[position]);
	assert_true(hw->stopped(rig.iommu));
	hw->clear(rig.iommu);
	assert_false(hw->stopped(rig.iommu));
	assert_int_equal(hw->head(rig.iommu), rig.tail);
	assert_int_equal(status(&rig, 0), 1);
	assert_int_equal(status(&rig, 1), 3);
	assert_int_equal(model_count(rig.iommu, MODEL_IOTLB),
			 model_queue_entries(rig.iommu) - 3 + BATCH / 2 + 1);
	assert_int_equal(model_count(rig.iommu, MODEL_SYNC), BATCH / 2);
	assert_int_equal(model_faults(rig.iommu, NULL), 2);
	stop(&rig);
}

static void refused_command_stops_the_queue_until_it_is_repaired(void **state)
{
	unsigned int vendor, kind, position;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++)
		for (kind = 0; kind < all_hardware[vendor].nr_bad; kind++)
			for (position = 0; position < BATCH; position++)
				refuse_at(vendor, kind, position);
}

/* model_fault_clear() leaves the registers as a driver that mended it would. */
static void skipped_command_leaves_no_error_behind(void **state)
{
	unsigned int vendor;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		const struct hardware *hw = &all_hardware[vendor];
		struct rig rig;

		start(&rig, vendor);
		put(&rig, hw->bad[0]);
		put(&rig, wait_cmd(&rig, 0, 1));
		ring(&rig);
		assert_true(hw->stopped(rig.iommu));
		model_fault_clear(rig.iommu);
		assert_false(hw->stopped(rig.iommu));
		assert_int_equal(status(&rig, 0), 1);
		/* One that was repaired is not skipped later on. */
		put(&rig, hw->bad[0]);
		ring(&rig);
		write_slot(&rig, 2, wait_cmd(&rig, 1, 2));
		hw->clear(rig.iommu);
		model_fault_clear(rig.iommu);
		assert_int_equal(status(&rig, 1), 2);
		assert_int_equal(hw->head(rig.iommu), 3);
		stop(&rig);
	}
}

/*
 * Registers
 */

/* 11.4.7.1, 11.4.9.9. */
static void vtd_fsts_is_cleared_by_writing_ones(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, MODEL_VTD);
	assert_int_equal(model_reg_read(rig.iommu, VTD_FSTS), 0);
	put(&rig, rig.hw->bad[0]);
	ring(&rig);
	assert_int_equal(model_reg_read(rig.iommu, VTD_FSTS), VTD_IQE);
	assert_int_equal(model_reg_read(rig.iommu, VTD_IQERCD), 3);	/* type */
	/* Zeros and the bits of others do nothing. */
	model_reg_write(rig.iommu, VTD_FSTS, 0);
	model_reg_write(rig.iommu, VTD_FSTS, ~VTD_IQE);
	assert_int_equal(model_reg_read(rig.iommu, VTD_FSTS), VTD_IQE);
	assert_int_equal(model_faults(rig.iommu, NULL), 1);
	write_slot(&rig, 0, rig.hw->bad[1]);
	model_reg_write(rig.iommu, VTD_FSTS, VTD_IQE);
	assert_int_equal(model_reg_read(rig.iommu, VTD_FSTS), VTD_IQE);
	assert_int_equal(model_reg_read(rig.iommu, VTD_IQERCD), 4);	/* reserved */
	write_slot(&rig, 0, (struct cmd){ { 0x15, 0 } });
	model_reg_write(rig.iommu, VTD_FSTS, VTD_IQE);
	assert_int_equal(model_reg_read(rig.iommu, VTD_FSTS), 0);

	/* The interrupt of the wait. */
	assert_int_equal(model_reg_read(rig.iommu, VTD_ICS), 1);
	model_reg_write(rig.iommu, VTD_ICS, 0);
	assert_int_equal(model_reg_read(rig.iommu, VTD_ICS), 1);
	model_reg_write(rig.iommu, VTD_ICS, 1);
	assert_int_equal(model_reg_read(rig.iommu, VTD_ICS), 0);

	/* A tail written is a doorbell. */
	put(&rig, wait_cmd(&rig, 0, 1));
	model_reg_write(rig.iommu, VTD_IQT, rig.tail << 5);
	assert_int_equal(status(&rig, 0), 1);
	assert_int_equal(model_reg_read(rig.iommu, VTD_IQT), 2 << 5);
	assert_int_equal(model_reg_read(rig.iommu, VTD_IQH), 2 << 5);
	stop(&rig);
}

/* 6.3.17, 6.3.28, 7.1. */
static void smmuv3_gerror_toggles(void **state)
{
	unsigned int i, entries;
	struct rig rig;

	(void)state;
	start(&rig, MODEL_SMMUV3);
	entries = model_queue_entries(rig.iommu);
	/* Each error toggles the bit again: neither of its values is "no error". */
	for (i = 0; i < 4; i++) {
		assert_int_equal(model_reg_read(rig.iommu, SMMU_GERROR), i % 2);
		assert_int_equal(model_reg_read(rig.iommu, SMMU_GERRORN), i % 2);
		put(&rig, rig.hw->bad[0]);
		model_reg_write(rig.iommu, SMMU_PROD, rig.tail);
		assert_int_equal(model_reg_read(rig.iommu, SMMU_GERROR), !(i % 2));
		assert_int_equal(model_reg_read(rig.iommu, SMMU_CONS), i | 1 << 24);
		/* Written as it was, GERRORN acknowledges nothing. */
		model_reg_write(rig.iommu, SMMU_GERRORN, i % 2);
		assert_int_equal(model_faults(rig.iommu, NULL), i + 1);
		write_slot(&rig, i, wait_cmd(&rig, i, 1));
		model_reg_write(rig.iommu, SMMU_GERRORN, !(i % 2));
		assert_int_equal(status(&rig, i), 1);
		/* GERROR is read-only. */
		model_reg_write(rig.iommu, SMMU_GERROR, 0xffffffff);
		assert_int_equal(model_reg_read(rig.iommu, SMMU_GERROR), !(i % 2));
	}

	/* The wrap bits: full circle, and tail ahead of the head by one. */
	for (; i < 2 * entries; i++) {
		put(&rig, rig.hw->tlb);
		model_pause(rig.iommu, true);
		ring(&rig);
		assert_int_equal(model_reg_read(rig.iommu, SMMU_CONS) & 0xfffff, i);
		assert_int_equal(model_reg_read(rig.iommu, SMMU_PROD), (i + 1) % (2 * entries));
		model_pause(rig.iommu, false);
	}
	assert_int_equal(model_reg_read(rig.iommu, SMMU_CONS) & 0xfffff, 0);
	stop(&rig);
}

/* 2.5.6, 3.4.13, 3.4.20. */
static void amd_illegal_command_is_an_event(void **state)
{
	const uint64_t *event;
	struct rig rig;

	(void)state;
	start(&rig, MODEL_AMD);
	event = model_events(rig.iommu);
	put(&rig, rig.hw->tlb);
	put(&rig, rig.hw->bad[0]);
	put(&rig, rig.hw->bad[1]);
	put(&rig, (struct cmd){ { UINT64_C(1) << 60 | 2, 0 } });	/* interrupt */
	ring(&rig);
	assert_int_equal(model_reg_read(rig.iommu, AMD_STATUS), AMD_EVENT_INT | AMD_LOG_RUN);
	assert_int_equal(model_reg_read(rig.iommu, AMD_EVENT_TAIL), 1 << 4);
	assert_int_equal(event[0], UINT64_C(5) << 60);
	assert_int_equal(event[1], (uintptr_t)(model_queue(rig.iommu) + 2));
	assert_int_equal(model_reg_read(rig.iommu, AMD_CONTROL), AMD_LOG_EN);

	/* The status does not restart it, CmdBufEn does: after both, as the head says. */
	model_reg_write(rig.iommu, AMD_STATUS, 0xffffffff);
	assert_int_equal(model_reg_read(rig.iommu, AMD_STATUS), AMD_LOG_RUN);
	model_reg_write(rig.iommu, AMD_CMD_HEAD, 3 << 4);
	model_reg_write(rig.iommu, AMD_CONTROL, AMD_CMD_EN | AMD_LOG_EN);
	assert_int_equal(model_reg_read(rig.iommu, AMD_STATUS),
			 AMD_WAIT_INT | AMD_LOG_RUN | AMD_CMD_RUN);
	assert_int_equal(model_reg_read(rig.iommu, AMD_CMD_HEAD), 4 << 4);
	assert_int_equal(model_faults(rig.iommu, NULL), 1);
	/* While it runs, the head is the hardware's. */
	model_reg_write(rig.iommu, AMD_CMD_HEAD, 0);
	assert_int_equal(model_reg_read(rig.iommu, AMD_CMD_HEAD), 4 << 4);

	/* Halted by software. */
	model_reg_write(rig.iommu, AMD_CONTROL, AMD_LOG_EN);
	put(&rig, wait_cmd(&rig, 0, 1));
	model_reg_write(rig.iommu, AMD_CMD_TAIL, rig.tail << 4);
	assert_int_equal(status(&rig, 0), 0);
	model_reg_write(rig.iommu, AMD_CONTROL, AMD_CMD_EN | AMD_LOG_EN);
	assert_int_equal(status(&rig, 0), 1);
	stop(&rig);

	start(&rig, MODEL_VTD);
	assert_null(model_events(rig.iommu));
	stop(&rig);
}

/* 2.5, 3.4.20: a full log keeps what it has and says that it lost the rest. */
static void amd_event_log_overflows(void **state)
{
	unsigned int i;
	struct rig rig;

	(void)state;
	start(&rig, MODEL_AMD);
	for (i = 0; i < AMD_EVENTS; i++) {
		put(&rig, rig.hw->bad[0]);
		ring(&rig);
		assert_int_equal(!!(model_reg_read(rig.iommu, AMD_STATUS) & AMD_OVERFLOW),
				 i == AMD_EVENTS - 1);
		model_fault_clear(rig.iommu);
	}
	assert_int_equal(model_reg_read(rig.iommu, AMD_EVENT_TAIL), (AMD_EVENTS - 1) << 4);
	assert_false(model_reg_read(rig.iommu, AMD_STATUS) & AMD_LOG_RUN);
	/* Restarted without the overflow cleared, it stays off. */
	model_reg_write(rig.iommu, AMD_CONTROL, AMD_CMD_EN | AMD_LOG_EN);
	assert_false(model_reg_read(rig.iommu, AMD_STATUS) & AMD_LOG_RUN);
	model_reg_write(rig.iommu, AMD_EVENT_HEAD, (AMD_EVENTS - 1) << 4);
	model_reg_write(rig.iommu, AMD_STATUS, AMD_OVERFLOW);
	model_reg_write(rig.iommu, AMD_CONTROL, AMD_CMD_EN | AMD_LOG_EN);
	assert_true(model_reg_read(rig.iommu, AMD_STATUS) & AMD_LOG_RUN);
	put(&rig, rig.hw->bad[0]);
	ring(&rig);
	assert_int_equal(model_reg_read(rig.iommu, AMD_EVENT_TAIL), 0);
	stop(&rig);
}

/* 5.14, 5.18. */
static void riscv_cip_comes_again_while_its_cause_is_there(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, MODEL_RISCV);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_CQCSR), RISCV_ON);
	put(&rig, rig.hw->bad[0]);
	model_reg_write(rig.iommu, RISCV_CQT, rig.tail);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_CQCSR), RISCV_ON | RISCV_CMD_ILL);
	/* No interrupt until it is enabled; then it is pending. */
	assert_int_equal(model_reg_read(rig.iommu, RISCV_IPSR), 0);
	model_reg_write(rig.iommu, RISCV_CQCSR, RISCV_CIE);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_CQCSR),
			 RISCV_ON | RISCV_CIE | RISCV_CMD_ILL);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_IPSR), 1);
	model_reg_write(rig.iommu, RISCV_IPSR, 1);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_IPSR), 1);
	/* A fence that asks for the wired interrupt, WSI. */
	write_slot(&rig, 0, (struct cmd){ { 0x802, 0 } });
	model_reg_write(rig.iommu, RISCV_CQCSR, RISCV_CIE | RISCV_CMD_ILL);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_CQCSR),
			 RISCV_ON | RISCV_CIE | RISCV_FENCE_IP);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_CQH), 1);
	model_reg_write(rig.iommu, RISCV_CQCSR, RISCV_CIE | RISCV_FENCE_IP);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_CQCSR), RISCV_ON | RISCV_CIE);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_IPSR), 1);
	model_reg_write(rig.iommu, RISCV_IPSR, 1);
	assert_int_equal(model_reg_read(rig.iommu, RISCV_IPSR), 0);
	stop(&rig);
}

/*
 * Devices that do not answer
 */

#define TIMEOUT		10

/* A translation in the ATC that memory does not give any more. */
static void start_silent(struct rig *rig, enum model_vendor vendor,
			 struct model_config config)
{
	struct model_unmapped un = { 0 };
	struct model_access access;

	start_with(rig, vendor, config);
	model_set_time(rig->iommu, 0, TIMEOUT);
	assert_int_equal(model_dev_set_ats(rig->dev, true), 0);
	assert_true(model_dma(rig->dev, NONE, IOVA, false, &access));
	assert_int_equal(model_pt_unmap(rig->pt, IOVA, PAGE, &un), 0);
	model_pt_free_tables(&un);
	model_dev_set_silent(rig->dev, true);
}

static unsigned long timeouts(struct rig *rig, const char *reason)
{
	struct model_fault_record fault;
	unsigned long nr = model_faults(rig->iommu, &fault);

	if (nr) {
		assert_int_equal(fault.fault, MODEL_ATC_TIMEOUT);
		assert_string_equal(fault.reason, reason);
	}
	return nr;
}

static bool tells_of_a_timeout(struct rig *rig)
{
	switch (rig->hw->vendor) {
	case MODEL_VTD:
		return model_reg_read(rig->iommu, VTD_FSTS) & VTD_ITE;
	case MODEL_SMMUV3:
		return smmu_stopped(rig->iommu) &&
		       model_reg_read(rig->iommu, SMMU_CONS) >> 24 == 3;
	case MODEL_AMD:
		return model_reg_read(rig->iommu, AMD_EVENT_HEAD) !=
		       model_reg_read(rig->iommu, AMD_EVENT_TAIL);
	default:
		return model_reg_read(rig->iommu, RISCV_CQCSR) & RISCV_CMD_TO;
	}
}

/* Two flushes, the first of which has the silent device's ATC command. */
static void queue_two_flushes(struct rig *rig)
{
	put(rig, rig->hw->tlb);
	put(rig, rig->hw->atc(RID));
	put(rig, wait_cmd(rig, 0, 1));
	put(rig, rig->hw->tlb);
	put(rig, wait_cmd(rig, 1, 1));
	ring(rig);
}

static void silence_lasts_until_the_timeout(void **state)
{
	unsigned int vendor;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		start_silent(&rig, vendor, (struct model_config){ 0 });
		queue_two_flushes(&rig);
		model_advance(rig.iommu, TIMEOUT - 1);
		assert_int_equal(model_now(rig.iommu), TIMEOUT - 1);
		assert_int_equal(timeouts(&rig, ""), 0);
		assert_int_equal(model_count(rig.iommu, MODEL_SYNC), 0);
		assert_true(dma_is_stale(&rig));
		model_advance(rig.iommu, 1);
		assert_int_equal(timeouts(&rig, "device is silent"), 1);
		assert_true(tells_of_a_timeout(&rig));
		/* It never obeyed: the oracle sees it for as long as ATS is on. */
		assert_true(dma_is_stale(&rig));
		stop(&rig);
	}
}

/* However a driver looks, each look is a step. */
static void polls_let_time_pass(void **state)
{
	unsigned int vendor, polls;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		start_silent(&rig, vendor, (struct model_config){ 0 });
		queue_two_flushes(&rig);
		for (polls = 0; !model_faults(rig.iommu, NULL); polls++)
			model_head(rig.iommu);
		assert_int_equal(polls, TIMEOUT);
		stop(&rig);

		start_silent(&rig, vendor, (struct model_config){ .threaded = true });
		queue_two_flushes(&rig);
		while (!tells_of_a_timeout(&rig))
			;
		assert_int_equal(timeouts(&rig, "device is silent"), 1);
		stop(&rig);

		/* Without either setting time stands still. */
		start(&rig, vendor);
		model_head(rig.iommu);
		rig.hw->head(rig.iommu);
		assert_int_equal(model_now(rig.iommu), 0);
		stop(&rig);
	}
}

/* 6.5.2.11: all that was fetched is aborted, whoever waits for it. */
static void vtd_timeout_aborts_every_wait_that_was_fetched(void **state)
{
	struct rig rig;

	(void)state;
	start_silent(&rig, MODEL_VTD, (struct model_config){ 0 });
	queue_two_flushes(&rig);
	/* Fetched, the IOTLB command behind the wait executed. */
	assert_int_equal(vtd_head(rig.iommu), 5);
	assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 2);
	model_advance(rig.iommu, TIMEOUT);
	assert_int_equal(model_reg_read(rig.iommu, VTD_FSTS), VTD_ITE);
	assert_int_equal(model_reg_read(rig.iommu, VTD_IQERCD + 4), RID);
	assert_int_equal(vtd_head(rig.iommu), 5);

	/* Nothing is fetched until the error is cleared, and the aborted never complete. */
	put(&rig, wait_cmd(&rig, 2, 1));
	ring(&rig);
	model_advance(rig.iommu, 100);
	assert_int_equal(vtd_head(rig.iommu), 5);
	model_reg_write(rig.iommu, VTD_FSTS, VTD_ITE);
	assert_int_equal(vtd_head(rig.iommu), 6);
	model_advance(rig.iommu, 100);
	assert_int_equal(status(&rig, 0), 0);
	assert_int_equal(status(&rig, 1), 0);
	assert_int_equal(status(&rig, 2), 1);
	assert_int_equal(model_reg_read(rig.iommu, VTD_FSTS), 0);
	stop(&rig);
}

/* Two devices, one after the other: the first one's id stays until ITE is cleared. */
static void vtd_itesid_is_of_the_first_until_cleared(void **state)
{
	struct model_dev *other;
	struct rig rig;

	(void)state;
	start_silent(&rig, MODEL_VTD, (struct model_config){ 0 });
	other = model_dev_create(rig.iommu, RID + 1, true);
	assert_non_null(other);
	assert_int_equal(model_dev_set_ats(other, true), 0);
	model_dev_set_silent(other, true);

	put(&rig, vtd_atc(RID));
	ring(&rig);
	model_advance(rig.iommu, 1);
	put(&rig, vtd_atc(RID + 1));
	put(&rig, wait_cmd(&rig, 0, 1));
	ring(&rig);
	model_advance(rig.iommu, TIMEOUT);
	assert_int_equal(timeouts(&rig, "device is silent"), 2);
	assert_int_equal(model_reg_read(rig.iommu, VTD_IQERCD + 4), RID);
	vtd_clear(rig.iommu);

	put(&rig, vtd_atc(RID + 1));
	put(&rig, wait_cmd(&rig, 1, 1));
	ring(&rig);
	model_advance(rig.iommu, TIMEOUT);
	assert_int_equal(model_reg_read(rig.iommu, VTD_IQERCD + 4), RID + 1);
	vtd_clear(rig.iommu);
	assert_int_equal(status(&rig, 0), 0);
	assert_int_equal(status(&rig, 1), 0);
	model_dev_destroy(other);
	stop(&rig);
}

/* A wait is for what is before it. */
static void vtd_wait_is_not_for_what_comes_after_it(void **state)
{
	struct model_dev *other;
	struct rig rig;

	(void)state;
	start_silent(&rig, MODEL_VTD, (struct model_config){ 0 });
	other = model_dev_create(rig.iommu, RID + 1, true);
	assert_non_null(other);
	assert_int_equal(model_dev_set_ats(other, true), 0);
	model_dev_set_silent(other, true);
	put(&rig, vtd_atc(RID));
	put(&rig, wait_cmd(&rig, 0, 1));
	put(&rig, vtd_atc(RID + 1));
	put(&rig, wait_cmd(&rig, 1, 1));
	ring(&rig);
	model_dev_set_silent(rig.dev, false);
	assert_int_equal(status(&rig, 0), 1);
	assert_int_equal(status(&rig, 1), 0);
	model_dev_set_silent(other, false);
	assert_int_equal(status(&rig, 1), 1);
	assert_int_equal(model_faults(rig.iommu, NULL), 0);
	model_dev_destroy(other);
	stop(&rig);
}

/* 6.5.2.9, FN: what is behind the wait is not fetched. Eight waits can be under way. */
static void vtd_fetches_up_to_a_fence_or_eight_waits(void **state)
{
	unsigned int i;
	struct rig rig;

	(void)state;
	start_silent(&rig, MODEL_VTD, (struct model_config){ 0 });
	put(&rig, vtd_atc(RID));
	put(&rig, (struct cmd){ { wait_cmd(&rig, 0, 1).word[0] | BIT(6),
				  wait_cmd(&rig, 0, 1).word[1] } });
	put(&rig, rig.hw->tlb);
	ring(&rig);
	assert_int_equal(vtd_head(rig.iommu), 2);
	assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 0);
	model_dev_set_silent(rig.dev, false);
	assert_int_equal(status(&rig, 0), 1);
	assert_int_equal(vtd_head(rig.iommu), 3);

	model_dev_set_silent(rig.dev, true);
	put(&rig, vtd_atc(RID));
	for (i = 1; i < 11; i++)
		put(&rig, wait_cmd(&rig, i, 1));
	ring(&rig);
	assert_int_equal(vtd_head(rig.iommu), 4 + 8);
	model_advance(rig.iommu, TIMEOUT);
	vtd_clear(rig.iommu);
	assert_int_equal(vtd_head(rig.iommu), 4 + 10);
	for (i = 1; i < 11; i++)
		assert_int_equal(status(&rig, i), i > 8);
	stop(&rig);
}

/* A bad descriptor behind a wait: what was fetched before completes as normal. */
static void vtd_bad_descriptor_aborts_nothing(void **state)
{
	struct rig rig;

	(void)state;
	start_silent(&rig, MODEL_VTD, (struct model_config){ 0 });
	put(&rig, vtd_atc(RID));
	put(&rig, wait_cmd(&rig, 0, 1));
	put(&rig, rig.hw->bad[0]);
	put(&rig, wait_cmd(&rig, 1, 1));
	ring(&rig);
	assert_int_equal(model_reg_read(rig.iommu, VTD_FSTS), VTD_IQE);
	model_dev_set_silent(rig.dev, false);
	assert_int_equal(status(&rig, 0), 1);
	assert_int_equal(status(&rig, 1), 0);
	write_slot(&rig, 2, rig.hw->tlb);
	vtd_clear(rig.iommu);
	assert_int_equal(status(&rig, 1), 1);
	stop(&rig);
}

/*
 * SMMUv3 3.9.1.4, 7.1; RISC-V 3.1.2, 3.1.4: the wait stays at the head and does not say
 * who. Executed again it completes.
 */
static void stopped_wait_completes_when_it_is_executed_again(void **state)
{
	static const enum model_vendor vendors[] = { MODEL_SMMUV3, MODEL_RISCV };
	unsigned int i;
	struct rig rig;

	(void)state;
	for (i = 0; i < 2; i++) {
		start_silent(&rig, vendors[i], (struct model_config){ 0 });
		queue_two_flushes(&rig);
		assert_int_equal(rig.hw->head(rig.iommu), 2);
		assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 1);
		assert_false(rig.hw->stopped(rig.iommu));
		model_advance(rig.iommu, TIMEOUT);
		assert_true(tells_of_a_timeout(&rig));
		assert_int_equal(rig.hw->head(rig.iommu), 2);
		model_advance(rig.iommu, 100);
		assert_int_equal(status(&rig, 0), 0);
		rig.hw->clear(rig.iommu);
		assert_false(rig.hw->stopped(rig.iommu));
		assert_int_equal(rig.hw->head(rig.iommu), 5);
		assert_int_equal(status(&rig, 0), 1);
		assert_int_equal(status(&rig, 1), 1);
		assert_int_equal(model_count(rig.iommu, MODEL_SYNC), 2);
		assert_int_equal(model_faults(rig.iommu, NULL), 1);
		stop(&rig);
	}
}

/* 2.5.8: nothing stops; the waits complete late, and only the event log says why. */
static void amd_timeout_is_an_event_and_the_wait_completes(void **state)
{
	const uint64_t *event;
	struct rig rig;

	(void)state;
	start_silent(&rig, MODEL_AMD, (struct model_config){ 0 });
	event = model_events(rig.iommu);
	put(&rig, amd_atc(RID));
	put(&rig, amd_atc(RID + 1));		/* nobody */
	put(&rig, wait_cmd(&rig, 0, 1));
	ring(&rig);
	model_advance(rig.iommu, TIMEOUT - 1);
	assert_int_equal(amd_head(rig.iommu), 3);	/* which is the last step */
	assert_int_equal(status(&rig, 0), 1);
	assert_false(amd_stopped(rig.iommu));
	assert_int_equal(timeouts(&rig, "no such device"), 2);
	assert_int_equal(model_reg_read(rig.iommu, AMD_EVENT_TAIL), 2 << 4);
	assert_true(model_reg_read(rig.iommu, AMD_STATUS) & AMD_EVENT_INT);
	assert_int_equal(event[0], UINT64_C(7) << 60 | RID);
	assert_int_equal(event[1], (uintptr_t)model_queue(rig.iommu));
	assert_int_equal(event[2], UINT64_C(7) << 60 | (RID + 1));
	assert_int_equal(event[3], (uintptr_t)(model_queue(rig.iommu) + 2));
	stop(&rig);
}

/* It obeys late, but it does: every vendor's wait completes, and nothing is stale. */
static void device_that_comes_back_in_time_is_no_error(void **state)
{
	unsigned int vendor;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		start_silent(&rig, vendor, (struct model_config){ 0 });
		queue_two_flushes(&rig);
		model_advance(rig.iommu, TIMEOUT - 1);
		assert_true(dma_is_stale(&rig));
		model_dev_set_silent(rig.dev, false);
		assert_int_equal(status(&rig, 0), 1);
		assert_int_equal(status(&rig, 1), 1);
		assert_false(dma_is_stale(&rig));
		model_advance(rig.iommu, 100);
		assert_int_equal(model_faults(rig.iommu, NULL), 0);
		assert_false(tells_of_a_timeout(&rig));
		stop(&rig);

		/* After the timeout it is asked again, and answers. */
		start_silent(&rig, vendor, (struct model_config){ 0 });
		queue_two_flushes(&rig);
		model_advance(rig.iommu, TIMEOUT);
		rig.hw->clear(rig.iommu);
		model_dev_set_silent(rig.dev, false);
		assert_true(dma_is_stale(&rig));
		put(&rig, rig.hw->atc(RID));
		put(&rig, wait_cmd(&rig, 2, 1));
		ring(&rig);
		assert_int_equal(status(&rig, 2), 1);
		assert_false(dma_is_stale(&rig));
		assert_int_equal(model_faults(rig.iommu, NULL), 1);
		stop(&rig);
	}
}

/* Reset, ATS off and removal make a device forget what it was asked; none is stale. */
static void device_that_was_reset_does_not_answer(void **state)
{
	static const char *const how[] = { "reset", "ats off", "unplug", "destroy" };
	unsigned int vendor, i;
	struct model_access access;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		for (i = 0; i < 4; i++) {
			start_silent(&rig, vendor, (struct model_config){ 0 });
			queue_two_flushes(&rig);
			if (i == 0)
				model_dev_reset(rig.dev);
			else if (i == 1)
				model_dev_set_ats(rig.dev, false);
			else if (i == 2)
				model_dev_unplug(rig.dev);
			else
				model_dev_destroy(rig.dev);
			if (i < 3) {
				assert_false(model_dev_ats(rig.dev));
				assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
				assert_true(model_dma(rig.dev, NONE, IOVA, false, &access));
				assert_true(access.fault);
				model_dev_set_ats(rig.dev, true);
				model_dev_set_silent(rig.dev, false);
			} else {
				rig.dev = NULL;
			}
			if (status(&rig, 0))
				fail_msg("%s answers after %s",
					 model_vendor_name(vendor), how[i]);
			model_advance(rig.iommu, TIMEOUT);
			assert_int_equal(timeouts(&rig, "device is silent"), 1);
			assert_true(tells_of_a_timeout(&rig));
			stop(&rig);
		}
	}
}

/* A request that came with ATS off was never understood. */
static void device_without_ats_does_not_answer_later(void **state)
{
	unsigned int vendor;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		start(&rig, vendor);
		model_set_time(rig.iommu, 0, TIMEOUT);
		queue_two_flushes(&rig);
		model_dev_set_ats(rig.dev, true);
		model_dev_set_silent(rig.dev, false);
		assert_int_equal(status(&rig, 0), 0);
		model_advance(rig.iommu, TIMEOUT);
		assert_int_equal(timeouts(&rig, "device has ATS off"), 1);
		assert_true(tells_of_a_timeout(&rig));
		stop(&rig);
	}
}

/* A wait that tells of a timeout is no refused command: clearing does not skip it. */
static void wait_that_failed_is_not_skipped(void **state)
{
	unsigned int vendor;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		start_silent(&rig, vendor, (struct model_config){ 0 });
		put(&rig, rig.hw->atc(RID));
		put(&rig, rig.hw->bad[0]);
		ring(&rig);
		write_slot(&rig, 1, wait_cmd(&rig, 0, 1));
		rig.hw->clear(rig.iommu);
		put(&rig, wait_cmd(&rig, 1, 1));
		model_advance(rig.iommu, TIMEOUT);
		model_fault_clear(rig.iommu);
		ring(&rig);
		assert_int_equal(status(&rig, 0), vendor != MODEL_VTD);
		assert_int_equal(status(&rig, 1), 1);
		stop(&rig);
	}
}

static void unplugged_device_has_no_dma(void **state)
{
	struct model_access access;
	struct rig rig;

	(void)state;
	start(&rig, MODEL_VTD);
	model_dma(rig.dev, NONE, IOVA, false, &access);
	assert_false(access.fault);
	model_dev_unplug(rig.dev);
	assert_true(model_dma(rig.dev, NONE, IOVA, false, &access));
	assert_true(access.fault);
	put(&rig, vtd_atc(RID));
	ring(&rig);
	assert_int_equal(timeouts(&rig, "device is unplugged"), 1);
	stop(&rig);
}

/* PCIe ATS 10.3.2: 32 requests can be under way; the next one waits for its tag. */
static void requests_under_way_are_limited(void **state)
{
	unsigned int vendor, i;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		start_silent(&rig, vendor, (struct model_config){ 0 });
		for (i = 0; i < 40; i++)
			put(&rig, rig.hw->atc(RID));
		ring(&rig);
		assert_int_equal(model_count(rig.iommu, MODEL_ATC), 32);
		model_dev_set_silent(rig.dev, false);
		assert_int_equal(model_count(rig.iommu, MODEL_ATC), 40);
		assert_int_equal(model_faults(rig.iommu, NULL), 0);
		stop(&rig);
	}
}

/* Two vendors do not say who it was. Asked singly, the silent one is found. */
static void silent_device_is_found_by_asking_singly(void **state)
{
	static const enum model_vendor vendors[] = { MODEL_SMMUV3, MODEL_RISCV };
	struct model_dev *devs[9];
	unsigned int i, j, found;
	struct rig rig;

	(void)state;
	for (i = 0; i < 2; i++) {
		start_silent(&rig, vendors[i], (struct model_config){ 0 });
		for (j = 0; j < 9; j++) {
			devs[j] = model_dev_create(rig.iommu, RID + 1 + j, true);
			assert_non_null(devs[j]);
			assert_int_equal(model_dev_set_ats(devs[j], true), 0);
		}
		for (j = 0; j < 10; j++)
			put(&rig, rig.hw->atc(RID + j));
		put(&rig, wait_cmd(&rig, 0, 1));
		ring(&rig);
		model_advance(rig.iommu, TIMEOUT);
		assert_true(tells_of_a_timeout(&rig));
		rig.hw->clear(rig.iommu);
		for (j = 0, found = 0; j < 10; j++) {
			put(&rig, rig.hw->atc(RID + j));
			put(&rig, wait_cmd(&rig, 1, j + 1));
			ring(&rig);
			model_advance(rig.iommu, TIMEOUT);
			if (!tells_of_a_timeout(&rig)) {
				assert_int_equal(status(&rig, 1), j + 1);
				continue;
			}
			assert_int_equal(j, 0);
			found++;
			rig.hw->clear(rig.iommu);
		}
		assert_int_equal(found, 1);
		for (j = 0; j < 9; j++)
			model_dev_destroy(devs[j]);
		stop(&rig);
	}
}

/*
 * The erratum
 */

struct erratum_case {
	const char *commands;		/* T: TLBI, A: ATC, D: DMA, S: sync */
	bool stale;
};

static void erratum_takes_two_rounds_and_the_atc_after_them(void **state)
{
	static const struct erratum_case cases[] = {
		{ "TSAS", true },
		{ "TTSAS", true },		/* no wait between them */
		{ "TSTSAS", false },
		{ "TSADTSS", true },		/* the ATC filled again between them */
		{ "ADTSTS", true },		/* the same, and no ATC command after them */
	};
	struct model_unmapped un;
	struct model_access access;
	unsigned int vendor, i;
	const char *c;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		for (i = 0; i < ARRAY_SIZE(cases); i++) {
			start_with(&rig, vendor, (struct model_config){ .erratum = true });
			model_dev_set_ats(rig.dev, true);
			model_dma(rig.dev, NONE, IOVA, false, &access);
			un = (struct model_unmapped){ 0 };
			assert_int_equal(model_pt_unmap(rig.pt, IOVA, PAGE, &un), 0);
			model_pt_free_tables(&un);
			for (c = cases[i].commands; *c; c++) {
				if (*c == 'D')
					model_dma(rig.dev, NONE, IOVA, false, &access);
				else
					put(&rig, *c == 'T' ? rig.hw->tlb :
						  *c == 'A' ? rig.hw->atc(RID) :
						  wait_cmd(&rig, 0, 1));
				ring(&rig);
			}
			if (dma_is_stale(&rig) != cases[i].stale)
				fail_msg("%s: %s is %sstale", model_vendor_name(vendor),
					 cases[i].commands, cases[i].stale ? "not " : "");
			stop(&rig);
		}

		/* Mapped again, the page is cached anew and survives anew. */
		start_with(&rig, vendor, (struct model_config){ .erratum = true });
		for (i = 0; i < 2; i++) {
			model_dma(rig.dev, NONE, IOVA, false, &access);
			assert_false(access.fault);
			un = (struct model_unmapped){ 0 };
			assert_int_equal(model_pt_unmap(rig.pt, IOVA, PAGE, &un), 0);
			put(&rig, rig.hw->tlb);
			put(&rig, wait_cmd(&rig, 0, 1));
			ring(&rig);
			assert_true(dma_is_stale(&rig));
			put(&rig, rig.hw->tlb);
			ring(&rig);
			model_pt_free_tables(&un);
			assert_false(dma_is_stale(&rig));
			assert_int_equal(model_stale_entries(rig.iommu), 0);
			assert_int_equal(model_pt_map(rig.pt, IOVA, PA, PAGE, true), 0);
		}
		stop(&rig);
	}
}

/*
 * Context entries that are written while they are fetched
 */

/* What a driver does to an entry, a step each. */
struct steps {
	/*
	 * M, T, 1, 2: a word; C: the one with the mode, cleared; I: invalidate, wait;
	 * D: the same by the domain, which VT-d has.
	 */
	const char *step;
	bool torn;		/* can the hardware see what never was? */
};

struct writer {
	struct rig *rig;
	struct model_context to;
	const char *step;
	unsigned int at_word[MODEL_CONTEXT_WORDS];	/* steps before it is read */
};

static void do_step(struct writer *writer)
{
	static const struct model_context none = { .mode = MODEL_BLOCKED };
	static const char words[] = "MT12";
	struct rig *rig = writer->rig;
	char step = *writer->step++;

	if (step == 'C') {
		model_dev_set_context_word(rig->dev, NONE, MODEL_WORD_MODE, &none);
		return;
	}
	if (step != 'I' && step != 'D') {
		model_dev_set_context_word(rig->dev, NONE, (enum model_context_word)
					   (strchr(words, step) - words), &writer->to);
		return;
	}
	put(rig, step == 'I' ? rig->hw->config : (struct cmd){ { 0x21 | TAG << 16, 0 } });
	put(rig, wait_cmd(rig, 0, 1));
	rig->status[0] = 0;
	ring(rig);
	assert_int_equal(status(rig, 0), 1);
}

static void write_beside_fetch(struct model_dev *dev, uint32_t pasid,
			       enum model_context_word word, void *arg)
{
	struct writer *writer = arg;

	assert_ptr_equal(dev, writer->rig->dev);
	assert_int_equal(pasid, NONE);
	for (; writer->at_word[word]; writer->at_word[word]--)
		do_step(writer);
}

/*
 * One interleaving: so many of the steps before the fetch, so many before each word,
 * the others after it. Return: was the entry torn?
 */
static bool interleave(enum model_vendor vendor, const struct steps *steps,
		       const struct model_context *from, const struct model_context *to,
		       const unsigned int before[MODEL_CONTEXT_WORDS + 1])
{
	struct writer writer = { .to = *to, .step = steps->step };
	struct model_access access;
	struct rig rig;
	unsigned int i;
	bool whole;

	start(&rig, vendor);
	writer.rig = &rig;
	model_dev_set_context(rig.dev, NONE, from);
	for (i = 0; i < before[0]; i++)
		do_step(&writer);
	memcpy(writer.at_word, before + 1, sizeof(writer.at_word));
	model_set_fetch(rig.iommu, write_beside_fetch, &writer);
	whole = model_dma(rig.dev, NONE, IOVA, false, &access);
	assert_int_equal(whole, !access.torn && !access.stale);
	stop(&rig);
	return access.torn;
}

static bool some_interleaving_tears(enum model_vendor vendor, const struct steps *steps,
				    const struct model_context *from,
				    const struct model_context *to)
{
	unsigned int n = strlen(steps->step), before[MODEL_CONTEXT_WORDS + 1], i, k;
	unsigned int all = 1, sum;
	bool torn = false;

	for (i = 0; i < MODEL_CONTEXT_WORDS + 1; i++)
		all *= n + 1;
	for (k = 0; k < all; k++) {
		unsigned int rest = k;

		for (i = 0, sum = 0; i < MODEL_CONTEXT_WORDS + 1; i++) {
			before[i] = rest % (n + 1);
			rest /= n + 1;
			sum += before[i];
		}
		if (sum <= n)
			torn |= interleave(vendor, steps, from, to, before);
	}
	return torn;
}

static void check_steps(const struct steps *steps, size_t nr,
			const struct model_context *from, const struct model_context *to)
{
	unsigned int vendor;
	size_t i;

	for (vendor = 0; vendor < MODEL_VENDORS; vendor++)
		for (i = 0; i < nr; i++)
			if (some_interleaving_tears(vendor, &steps[i], from, to) != steps[i].torn)
				fail_msg("%s: %s tears the entry %s",
					 model_vendor_name(vendor), steps[i].step,
					 steps[i].torn ? "never" : "sometimes");
}

static void entry_is_whole_or_none_if_its_mode_is_first_and_last(void **state)
{
	static const struct steps teardown[] = {
		{ "CI12T", false },
		{ "CI", false },
		{ "C12TI", true },	/* fetched before, used after */
		{ "12TCI", true },
		{ "T", true },
	};
	static const struct steps setup[] = {
		{ "12TM", false },
		{ "M12T", true },
		{ "T1M2", true },
	};
	static const struct steps replace[] = {
		{ "CI12TM", false },
		{ "C12TM", true },
		{ "12TI", true },
	};
	struct model_pt *pt = model_pt_create(4), *other = model_pt_create(4);
	const struct model_context none = { .mode = MODEL_BLOCKED };
	const struct model_context nested = {
		.mode = MODEL_NESTED, .tag = TAG, .vm_tag = TAG, .s1 = pt, .s2 = other,
	};
	const struct model_context swapped = {
		.mode = MODEL_NESTED, .tag = TAG + 1, .vm_tag = TAG, .s1 = other, .s2 = pt,
	};

	(void)state;
	assert_non_null(pt);
	assert_non_null(other);
	check_steps(teardown, ARRAY_SIZE(teardown), &nested, &none);
	check_steps(setup, ARRAY_SIZE(setup), &none, &nested);
	check_steps(replace, ARRAY_SIZE(replace), &nested, &swapped);
	assert_false(some_interleaving_tears(MODEL_VTD, &(struct steps){ "CD12T", false },
					     &nested, &none));
	model_pt_destroy(pt);
	model_pt_destroy(other);
}

static void each_command_takes_its_steps(void **state)
{
	unsigned int vendor, threaded, i;
	struct rig rig;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		start(&rig, vendor);
		model_set_time(rig.iommu, 3, 0);
		for (i = 0; i < 4; i++)
			put(&rig, i < 3 ? rig.hw->tlb : wait_cmd(&rig, 0, 1));
		ring(&rig);
		for (i = 0; i < 12; i++) {
			assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), i / 3);
			assert_int_equal(status(&rig, 0), 0);
			model_advance(rig.iommu, 1);
		}
		assert_int_equal(status(&rig, 0), 1);
		/* The doorbell of another command does not hurry the first. */
		put(&rig, rig.hw->tlb);
		ring(&rig);
		model_advance(rig.iommu, 2);
		put(&rig, rig.hw->tlb);
		ring(&rig);
		assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 3);
		model_advance(rig.iommu, 1);
		assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 4);
		/* No latency any more: what is left is executed. */
		model_set_time(rig.iommu, 0, 0);
		assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 5);
		stop(&rig);

		for (threaded = 0; threaded < 2; threaded++) {
			start_with(&rig, vendor, (struct model_config){ .threaded = threaded });
			model_set_time(rig.iommu, 5, 0);
			put(&rig, rig.hw->tlb);
			put(&rig, wait_cmd(&rig, 0, 1));
			ring(&rig);
			while (!status(&rig, 0))
				rig.hw->head(rig.iommu);
			assert_true(model_now(rig.iommu) >= 10);
			stop(&rig);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_command_stops_the_queue_until_it_is_repaired),
		cmocka_unit_test(skipped_command_leaves_no_error_behind),
		cmocka_unit_test(vtd_fsts_is_cleared_by_writing_ones),
		cmocka_unit_test(smmuv3_gerror_toggles),
		cmocka_unit_test(amd_illegal_command_is_an_event),
		cmocka_unit_test(amd_event_log_overflows),
		cmocka_unit_test(riscv_cip_comes_again_while_its_cause_is_there),
		cmocka_unit_test(silence_lasts_until_the_timeout),
		cmocka_unit_test(polls_let_time_pass),
		cmocka_unit_test(vtd_timeout_aborts_every_wait_that_was_fetched),
		cmocka_unit_test(vtd_itesid_is_of_the_first_until_cleared),
		cmocka_unit_test(vtd_wait_is_not_for_what_comes_after_it),
		cmocka_unit_test(vtd_fetches_up_to_a_fence_or_eight_waits),
		cmocka_unit_test(vtd_bad_descriptor_aborts_nothing),
		cmocka_unit_test(stopped_wait_completes_when_it_is_executed_again),
		cmocka_unit_test(amd_timeout_is_an_event_and_the_wait_completes),
		cmocka_unit_test(device_that_comes_back_in_time_is_no_error),
		cmocka_unit_test(device_that_was_reset_does_not_answer),
		cmocka_unit_test(device_without_ats_does_not_answer_later),
		cmocka_unit_test(wait_that_failed_is_not_skipped),
		cmocka_unit_test(unplugged_device_has_no_dma),
		cmocka_unit_test(requests_under_way_are_limited),
		cmocka_unit_test(silent_device_is_found_by_asking_singly),
		cmocka_unit_test(erratum_takes_two_rounds_and_the_atc_after_them),
		cmocka_unit_test(entry_is_whole_or_none_if_its_mode_is_first_and_last),
		cmocka_unit_test(each_command_takes_its_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
