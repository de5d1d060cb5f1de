/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hardware of one machine, outside of it: units whose registers, and functions whose
 * configuration spaces and BARs are a part of the guest's memory, which is a shared file.
 *
 *   main.c       the machine: what it has, its threads, its report
 *   vtd.c        registers and queue of a VT-d unit; a thread each
 *   function.c   the functions: DMA, configuration space, agents
 *   crashed.c    tables that a kernel has left, for a crash kernel to find
 *   msi.c        interrupts, by QEMU's qtest socket
 *   trace.c      what the units were told, as an ftrace log
 *
 * Memory cannot tell that it was written. So all is polled, and what the guest writes is
 * told from what is there by a bit that registers have reserved. What a command does, what
 * is cached and what a translation is, is none of this program's business: the units'
 * engine is model/.
 */
#ifndef LAB_HW_H
#define LAB_HW_H

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"
#include "layout.h"

#define BIT(n)		(UINT64_C(1) << (n))
#define MAX_FUNCTIONS	(HW_SLOTS - 1)

struct machine;

/* What a function is able to do. */
struct abilities {
	bool ats, pri;
	unsigned int pasid_bits;	/* 0: no PASIDs */
};

struct function {
	struct unit *unit;
	unsigned int slot;
	struct abilities can;
	struct model_dev *dev;
	pthread_mutex_t lock;		/* guards what follows, against commands */
	bool ats, absent, silent;
	uint64_t reset_until;		/* 0: not in reset */
	pthread_t agent;
	bool agent_runs;
};

struct unit {
	struct machine *machine;
	unsigned int index;
	struct model_iommu *iommu;
	struct function *functions[HW_SLOTS];
	struct model_dev *control;
	pthread_t thread;
	pthread_rwlock_t dma;		/* held by accesses; commands wait for them */

	/* The unit's thread's, as the registers have it. */
	uint32_t gsts, fsts;
	uint64_t iqa;
	unsigned int head;
	uint64_t ready_at;		/* when the command at the head is done; 0: not begun */
	bool stopped;			/* until errors in fsts are cleared */
	uint64_t stopped_at;
	unsigned int rescued_at;	/* the head at the last rescue */
	unsigned int slot;		/* of the model's queue, the next one */
	unsigned long faults;		/* of the model, that were seen */
	uint64_t steps, timeout;	/* of the model's time */

	/* Those who report a fault or a page request. */
	pthread_mutex_t events;
	unsigned int next_fault;
	uint32_t raised;		/* bits of FSTS that the unit's thread shall show */
};

struct machine {
	struct model_memory memory;
	uint64_t base;			/* of layout.h, in the guest */
	unsigned int nr_units;
	struct unit *units[HW_MAX_UNITS];
	pthread_t functions;
	bool quit;			/* atomically */
};

/* main.c */
uint64_t now_ns(void);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The thread that calls this comes before others of the host, where it is allowed to. */
void poll_first(void);
/*
 * Waits for something to poll: shorter where something has just been there. *@idle counts
 * the calls since then.
 */
void poll_wait(unsigned int *idle);
bool quitting(const struct machine *machine);

/* vtd.c */
void vtd_reset(struct unit *unit, const struct machine *machine);
/* As if the guest had set the root table, and translation on. */
void vtd_set_root(struct unit *unit, uint64_t rtaddr);
void *vtd_thread(void *unit);
bool vtd_translates(const struct unit *unit);
void vtd_report_fault(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
		      bool write, unsigned int reason);
void vtd_page_request(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
		      unsigned int group);

/* function.c */
void function_reset(struct function *function);
void control_reset(struct unit *unit);
/* Counts an ATC command for it, by the state that it is in. */
void function_count_atc(struct function *function);
void function_response(struct function *function, unsigned int code);
/* Polls all of a machine. */
void *functions_thread(void *machine);

/* crashed.c */
/* Writes the tables, for functions that are there; return: for RTADDR_REG. */
uint64_t crashed_root(const struct unit *unit, bool scalable);

/* msi.c */
void msi_open(const char *path);
void msi_send(uint32_t addr, uint32_t data);

/* trace.c */
void trace_open(const char *path);
void trace_command(const struct unit *unit, const uint64_t *words);
void trace_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace_close(void);

/*
 * The guest's memory, with x86's ordering. What the guest wrote before it wrote what is
 * loaded here is seen by later loads.
 */
static inline void *guest(const struct machine *machine, uint64_t addr, size_t size)
{
	static uint64_t nowhere[2];

	if (addr >= machine->memory.size || size > machine->memory.size - addr)
		return nowhere;
	return machine->memory.base + addr;
}

static inline uint32_t load32(const struct machine *machine, uint64_t addr)
{
	return __atomic_load_n((uint32_t *)guest(machine, addr, 4), __ATOMIC_SEQ_CST);
}

static inline uint64_t load64(const struct machine *machine, uint64_t addr)
{
	return __atomic_load_n((uint64_t *)guest(machine, addr, 8), __ATOMIC_SEQ_CST);
}

static inline void store32(const struct machine *machine, uint64_t addr, uint32_t value)
{
	__atomic_store_n((uint32_t *)guest(machine, addr, 4), value, __ATOMIC_SEQ_CST);
}

static inline void store64(const struct machine *machine, uint64_t addr, uint64_t value)
{
	__atomic_store_n((uint64_t *)guest(machine, addr, 8), value, __ATOMIC_SEQ_CST);
}

/* Only if the guest has not written meanwhile. */
static inline bool replace32(const struct machine *machine, uint64_t addr, uint32_t old,
			     uint32_t value)
{
	return __atomic_compare_exchange_n((uint32_t *)guest(machine, addr, 4), &old, value,
					   false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A register of a unit's own function, and of another one. */
static inline uint64_t control(const struct unit *unit, uint64_t offset)
{
	return unit->machine->base + HW_BAR(unit->index, HW_CONTROL_SLOT) + offset;
}

static inline uint64_t bar(const struct function *function, uint64_t offset)
{
	const struct unit *unit = function->unit;

	return unit->machine->base + HW_BAR(unit->index, function->slot) + offset;
}

static inline uint64_t config(const struct unit *unit, unsigned int slot)
{
	return unit->machine->base + HW_CONFIG(unit->index, slot);
}

static inline uint64_t control_load(const struct unit *unit, uint64_t offset)
{
	return load64(unit->machine, control(unit, offset));
}

static inline void control_add(const struct unit *unit, uint64_t offset, uint64_t n)
{
	__atomic_add_fetch((uint64_t *)guest(unit->machine, control(unit, offset), 8), n,
			   __ATOMIC_SEQ_CST);
}

#endif
