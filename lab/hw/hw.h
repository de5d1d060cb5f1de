/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hardware of one machine, outside of it: units whose registers, and functions whose
 * configuration spaces and BARs are a part of the guest's memory, which is a shared file.
 *
 *   main.c       the machine: what it has, its threads, its report
 *   unit.c       a unit's thread, and the pace of its queue
 *   vtd.c        registers of a VT-d unit
 *   smmuv3.c     registers of an SMMUv3
 *   amd.c        registers of an AMD-Vi unit
 *   function.c   the functions: DMA, configuration space, agents
 *   crashed.c    tables that a kernel has left, for a crash kernel to find
 *   msi.c        interrupts, by QEMU's qtest socket
 *   trace.c      the commands to the units, as an ftrace log
 *
 * Memory does not report writes. So everything is polled, and a reserved bit of each register
 * distinguishes what the guest has written from what was there. Commands, caches and translations
 * are not part of this program: model/ implements them.
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
	uint64_t reset_at;		/* when it began; 0: not in reset */
	pthread_t agent;
	bool agent_runs;
};

/* The command at the head of a unit's queue. */
struct command {
	uint64_t words[MODEL_CMD_WORDS];
	unsigned int type;		/* of layout.h */
	struct function *atc;		/* that an ATC command is for, if it is there */
};

/* A thread's looks at the guest: where two are far apart, the host was busy. */
struct looks {
	uint64_t last_ns;		/* 0: none yet */
	uint64_t longest_ns;		/* between two */
};

/* Registers of VT-d. */
struct vtd {
	uint32_t gsts, fsts;
	uint64_t iqa;
	unsigned int rescued_at;	/* the head at the last rescue */
	uint32_t raised;		/* atomically: bits of FSTS that the unit's thread shall show */
	uint32_t pending;		/* atomically: events that were masked, by number */
	unsigned int next_fault;	/* guarded by unit->events */
};

/* Registers of SMMUv3. */
struct smmuv3 {
	uint32_t gerror;
};

/* Registers of AMD-Vi. */
struct amd {
	uint64_t root, buffer;		/* of the device table and of commands */
	bool runs;
	uint32_t shown_head;
	uint32_t status;
	uint32_t to_tell;		/* bits that an interrupt is to be sent for */
	uint32_t raised;		/* atomically: bits that the unit's thread shall show */
};

struct unit {
	struct machine *machine;
	const struct vendor *vendor;
	unsigned int index;
	struct model_iommu *iommu;
	struct function *functions[HW_SLOTS];
	struct model_dev *control;
	pthread_t thread;
	pthread_rwlock_t dma;		/* held by accesses; commands wait for them */

	/* The unit's thread's. */
	unsigned int head, tail;	/* of the guest's queue, in commands */
	uint64_t ready_at;		/* when the command at the head is done; 0: not begun */
	bool held;			/* it is a wait that the model has, and that does wait */
	unsigned long waits;		/* that the model had executed before */
	bool stopped;			/* until the guest clears an error */
	uint64_t stopped_at;
	unsigned int slot;		/* of the model's queue, the next one */
	unsigned long faults;		/* of the model, that were seen */
	uint64_t steps, timeout;	/* of the model's time */
	struct looks looks;		/* its thread's */

	pthread_mutex_t events;		/* of those who report a fault or a page request */
	union {
		struct vtd vtd;
		struct smmuv3 smmuv3;
		struct amd amd;
	};
};

/* What a family of units has of its own. */
struct vendor {
	const char *name;		/* of a unit, before its number */
	enum model_vendor model;
	uint64_t registers, size;	/* of layout.h */
	/* Waits for devices keep the commands behind them in the queue: see model_set_time(). */
	bool waits_at_head;
	/*
	 * Functions that are there answer with ATS off, too, as drivers of this vendor expect:
	 * SMMUv3's empties an ATC before it is enabled.
	 */
	bool off_answers;
	/* Of unit 0 in segment 0, and so on; 0: each unit has a segment of its own. */
	unsigned int first_bus;
	/*
	 * Its driver gives a command up after a second. A command waits for accesses that have
	 * begun, and the thread of an agent may not have a CPU for that long: agents pause.
	 */
	bool agents_pause;

	/* Registers as they are at first, where they are not 0. */
	void (*reset)(struct unit *unit);
	/* Takes what the guest has written, and shows what has come. Sets the tail. */
	void (*update)(struct unit *unit);
	/* Reads the command at the head. Return: false where the queue is off or empty. */
	bool (*fetch)(struct unit *unit, struct command *command);
	/* Words that alist replay reads. */
	void (*trace)(const struct unit *unit, const struct command *command);
	void (*execute)(struct unit *unit, const struct command *command);
	/* It is done: the head goes on, and who wants an interrupt gets it. */
	void (*complete)(struct unit *unit, const struct command *command);
	/* As if the command at the head was malformed. */
	void (*refuse)(struct unit *unit);
	/*
	 * The model has reported a fault.
	 * Return: true where the command at the head is malformed and stays there.
	 */
	bool (*model_fault)(struct unit *unit, const struct model_fault_record *fault);

	/* By the threads that do DMA. @page_request: NULL where there are none. */
	bool (*translates)(const struct unit *unit);
	void (*report_fault)(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
			     bool write);
	void (*page_request)(struct unit *unit, unsigned int rid, uint64_t pasid, uint64_t iova,
			     unsigned int group);
};

struct machine {
	struct model_memory memory;
	uint64_t base;			/* of layout.h, in the guest */
	const struct vendor *vendor;
	unsigned int nr_units;
	struct unit *units[HW_MAX_UNITS];
	pthread_t functions;
	struct looks looks;		/* that thread's */
	bool quit;			/* atomically */
};

/* main.c */
uint64_t now_ns(void);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The thread that calls this comes before others of the host, where it is allowed to. */
void poll_first(void);
/* Before each look at the guest. */
void look_again(struct looks *looks);
/*
 * Waits for something to poll: shorter where something has just been there. *@idle counts
 * the calls since then.
 */
void poll_wait(unsigned int *idle);
bool quitting(const struct machine *machine);

/* unit.c */
void *unit_thread(void *unit);
/* Gives a command to the model, after the accesses that have their translation already. */
void unit_give(struct unit *unit, const uint64_t *words);
/* The queue stands still from now on, at an error that HW_ERRORS or HW_TIMEOUTS counts. */
void unit_stop(struct unit *unit, uint64_t counter);
/* A driver that never clears an error has had its time. */
bool unit_lost_patience(struct unit *unit);

/* vtd.c */
extern const struct vendor vtd;
/* As if the guest had set the root table, and translation on. */
void vtd_set_root(struct unit *unit, uint64_t rtaddr);

/* smmuv3.c */
extern const struct vendor smmuv3;

/* amd.c */
extern const struct vendor amd;

/* function.c */
void function_reset(struct function *function);
void control_reset(struct unit *unit);
/*
 * Counts an ATC command for it, by the state that it is in, and keeps it in that state until
 * function_release(). Return: it is there, with ATS off.
 */
bool function_hold(struct function *function);
void function_release(struct function *function);
void function_response(struct function *function, unsigned int code);
/* Polls all of a machine. */
void *functions_thread(void *machine);

/* crashed.c */
/* Writes the tables, for functions that are there; return: for RTADDR_REG. */
uint64_t crashed_root(const struct unit *unit, bool scalable);

/* msi.c */
void msi_open(const char *path);
void msi_send(uint32_t addr, uint32_t data);
/* As the MSI capability of a function of QEMU's has it, in a slot of bus 0; if it is enabled. */
void msi_send_for(unsigned int slot);

/* trace.c */
void trace_open(const char *path);
/* An event of the unit's, as the guest's kernel would log it. */
void trace_event(const struct unit *unit, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void trace_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace_close(void);

/*
 * The guest's memory, with x86's ordering. What the guest wrote before it wrote what is
 * loaded here is seen by later loads.
 */
static inline void *guest(const struct machine *machine, uint64_t addr, size_t size)
{
	static uint64_t nowhere[2];

	addr -= machine->memory.start;
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

/* The unit's registers. */
static inline uint64_t reg(const struct unit *unit, uint64_t offset)
{
	return unit->machine->base + unit->vendor->registers +
	       unit->index * unit->vendor->size + offset;
}

static inline uint32_t read32(const struct unit *unit, uint64_t offset)
{
	return load32(unit->machine, reg(unit, offset));
}

static inline uint64_t read64(const struct unit *unit, uint64_t offset)
{
	return load64(unit->machine, reg(unit, offset));
}

static inline void write32(const struct unit *unit, uint64_t offset, uint32_t value)
{
	store32(unit->machine, reg(unit, offset), value);
}

static inline void write64(const struct unit *unit, uint64_t offset, uint64_t value)
{
	store64(unit->machine, reg(unit, offset), value);
}

/* What the unit knows a function by. */
static inline unsigned int requester(const struct unit *unit, unsigned int slot)
{
	unsigned int bus = unit->vendor->first_bus ? unit->vendor->first_bus + unit->index : 0;

	return bus << 8 | slot << 3;
}

/* The function with this requester id, NULL where there is none. */
static inline struct function *function_of(const struct unit *unit, unsigned int rid)
{
	unsigned int slot = (rid & 0xff) >> 3;

	return rid == requester(unit, slot) ? unit->functions[slot] : NULL;
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
