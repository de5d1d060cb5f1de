/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Torture: threads that do everything at once, for as long as one likes
 *
 * A run is a row of rounds. A round sets up one world (the list on synthetic hardware,
 * list.c; the example drivers on the models, models.c), lets its threads loose, stops
 * them, looks whether everything at rest is as it should be, takes it down, and looks
 * whether memory is as before. Rounds have seeds of their own, each made of the one
 * before: a round that failed is repeated by giving its seed.
 *
 * A thread does one step after the other; what a step does depends on the thread's own
 * random numbers and on what it has done before, never on what it saw. So a seed gives
 * every thread the same operations again, though not the same interleaving; with --serial
 * that, too.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <linux/types.h>

#include <pthread.h>

struct iommu_attach_fence;

#define MAX_THREADS	32

enum op {
	OP_FLUSH,
	OP_WALK,
	OP_ATTACH,
	OP_ATTACH_NEST,
	OP_DETACH,
	OP_DETACH_NEST,
	OP_HAND_OVER,
	OP_ATS_ON,
	OP_ATS_OFF,
	OP_FIND_TAG,
	OP_LOCKED,
	OP_DRAIN,
	OP_NEW_DOMAIN,
	OP_REMOVE_IOMMU,
	OP_FENCE,
	OP_SILENT,
	OP_ASIDE,
	OP_BLOCKED,
	OP_RESET,
	OP_NO_MEMORY,
	OP_MAP,
	OP_UNMAP,
	OP_DMA,
	NR_OPS,
};

struct thread {
	const char *name;
	void (*step)(struct thread *thread);
	void *priv;
	u64 rng;
	u32 steps_per_nap;	/* 0: never sleeps */
	u64 ops[NR_OPS];
	u32 nr;
	pthread_t pthread;
};

struct options {
	u32 walkers;
	u32 changers;
	u32 duration;		/* seconds */
	u32 round;		/* seconds */
	u64 seed;
	u64 serial;		/* turns in a round; 0: all threads run */
};

extern struct options options;

struct world {
	const char *name;
	u32 vendor;		/* of the models */
	/* Adds threads with thread_add(). */
	void (*setup)(const struct world *world);
	/* Nothing runs: is everything as it should be? Takes it down. */
	void (*finish)(void);
	/* What was seen in all rounds so far. Optional. */
	void (*report)(const struct world *world);
};

extern const struct world list_world, vtd_world, smmuv3_world, amd_world, riscv_world;

struct thread *thread_add(const char *name, void (*step)(struct thread *thread),
			  void *priv, u32 steps_per_nap);

/* Prints the failure and ends the round. */
void torture_fail(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2)));
bool torture_failed(void);
bool torture_stopping(void);
/* Ends the round. */
void torture_stop(void);

/*
 * One thread at a time, see serial.c. Unless that is asked for, none of these does
 * anything.
 */
void serial_begin(u32 nr_threads, u64 seed, u64 turns);
void serial_enter(u32 thread);
void serial_go(void);
void serial_yield(void);
/* The thread holds a lock that others wait for: nobody else may run. */
void serial_quiet(bool quiet);
void serial_note(u64 value);
void serial_leave(u32 thread);
u64 serial_end(u64 *turns);
/* Of torture-broken: takes the object, or not; does not wait. */
extern bool (*serial_free_fault)(void *object);
extern bool (*serial_drain_fault)(void);
extern bool (*serial_fence_fault)(void);
/* The hardware is let loose on a device that is back without one. */
extern bool torture_no_resume_fence;

/* The core's, or its parts where one thread runs at a time. */
void torture_synchronize(void);
void torture_drain(struct iommu_attach_fence *fence);
void torture_fence(struct iommu_attach_fence *fence);

/* splitmix64 */
static inline u64 next_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline u32 random_below(struct thread *thread, u32 end)
{
	return (u32)(next_random(&thread->rng) >> 32) % end;
}

static inline void count_op(struct thread *thread, enum op op)
{
	WRITE_ONCE(thread->ops[op], thread->ops[op] + 1);
}

#endif /* TORTURE_H */
