// SPDX-License-Identifier: GPL-2.0-only
/*
 * One thread at a time, for replay
 *
 * The threads of a round hand over a token, at points where something may come in
 * between: between steps, in the callbacks of a walk, at full barriers (where the build
 * has hooks, see shim.h), before allocations, in drains. Who gets it next is drawn
 * from the round's seed. So is when the round ends: after a number of turns. Nothing
 * depends on the machine, and a seed replays, turn by turn, which the digest of all
 * turns tells.
 *
 * A grace period cannot be the shim's, for which a thread that is not running may be a
 * reader for ever. It is counted here: a thread that was inside a read-side section when
 * a grace period began has to be seen outside of one. What waited for that is freed at
 * once.
 */
#include "torture.h"

#include <linux/bits.h>
#include <linux/iommu-alist.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include <semaphore.h>
#include <stdlib.h>

#include "shim.h"

#define MAX_DEFERRED	4096

/* Each thread's count, which goes up when it is seen outside of a section; odd: inside. */
struct grace_period {
	u32 seen[MAX_THREADS];
};

struct deferred {
	void *object;
	struct grace_period gp;
};

static struct {
	bool on;
	u32 nr;
	u32 alive;			/* BIT(thread) */
	u32 current;
	u64 turns_left, turns;
	u64 rng;
	u64 digest;
	u32 seen[MAX_THREADS];
	sem_t token[MAX_THREADS];
} serial;

static struct deferred *deferred;
static u32 nr_deferred;
static __thread bool is_serial;		/* a thread of the round */

static __thread bool is_quiet;		/* holds a lock that others take without a token */

bool (*serial_free_fault)(void *object);
bool (*serial_drain_fault)(void);
bool (*serial_fence_fault)(void);
bool torture_no_resume_fence;

static bool gp_has_ended(const struct grace_period *gp)
{
	u32 i;

	for (i = 0; i < serial.nr; i++) {
		if (gp->seen[i] & 1 && gp->seen[i] == serial.seen[i])
			return false;
	}
	return true;
}

static void gp_begin(struct grace_period *gp)
{
	u32 i;

	for (i = 0; i < serial.nr; i++)
		gp->seen[i] = serial.seen[i];
}

static void free_deferred(void)
{
	u32 i, nr = 0;

	for (i = 0; i < nr_deferred; i++) {
		if (gp_has_ended(&deferred[i].gp))
			kfree(deferred[i].object);
		else
			deferred[nr++] = deferred[i];
	}
	nr_deferred = nr;
}

static void see(u32 thread)
{
	bool inside = rcu_read_lock_held();

	if (!inside)
		serial.seen[thread] += 2 - (serial.seen[thread] & 1);
	else if (!(serial.seen[thread] & 1))
		serial.seen[thread]++;
}

static u32 draw(void)
{
	u32 next;

	do {
		next = (next_random(&serial.rng) >> 32) % serial.nr;
	} while (!(serial.alive & BIT(next)));
	serial.turns++;
	serial.digest = (serial.digest ^ next) * 0x100000001b3ULL;
	if (serial.turns_left && !--serial.turns_left)
		torture_stop();
	return next;
}

void serial_yield(void)
{
	u32 me, next;

	if (!is_serial || is_quiet)
		return;
	me = serial.current;
	see(me);
	free_deferred();
	next = draw();
	if (next == me)
		return;
	serial.current = next;
	sem_post(&serial.token[next]);
	while (sem_wait(&serial.token[me]))
		;
}

void serial_quiet(bool quiet)
{
	is_quiet = quiet;
}

void serial_note(u64 value)
{
	if (serial.on)
		serial.digest = (serial.digest ^ value) * 0x100000001b3ULL;
}

void serial_begin(u32 nr_threads, u64 seed, u64 turns)
{
	u32 i;

	serial.nr = nr_threads;
	serial.alive = BIT_ULL(nr_threads) - 1;
	serial.rng = seed;
	serial.turns_left = turns;
	serial.on = true;
	shim_mb_hook = serial_yield;
	deferred = calloc(MAX_DEFERRED, sizeof(*deferred));
	if (!deferred)
		abort();
	for (i = 0; i < nr_threads; i++) {
		serial.seen[i] = 0;
		sem_init(&serial.token[i], 0, 0);
	}
}

void serial_enter(u32 thread)
{
	if (!serial.on)
		return;
	while (sem_wait(&serial.token[thread]))
		;
	is_serial = true;
}

/* All threads are there: one of them begins. */
void serial_go(void)
{
	if (!serial.on)
		return;
	serial.current = draw();
	sem_post(&serial.token[serial.current]);
}

void serial_leave(u32 thread)
{
	if (!serial.on)
		return;
	is_serial = false;
	see(thread);
	serial.alive &= ~BIT(thread);
	if (!serial.alive)
		return;
	serial.current = draw();
	sem_post(&serial.token[serial.current]);
}

u64 serial_end(u64 *turns)
{
	u32 i;

	free_deferred();
	free(deferred);
	for (i = 0; i < serial.nr; i++)
		sem_destroy(&serial.token[i]);
	shim_mb_hook = NULL;
	serial.on = false;
	*turns = serial.turns;
	return serial.digest;
}

/*
 * What is linked in place of the shim's
 */

void __real_synchronize_rcu(void);
void __wrap_synchronize_rcu(void);
void __real_shim_free_rcu(struct rcu_head *head, void *object);
void __wrap_shim_free_rcu(struct rcu_head *head, void *object);
void __real_shim_rcu_barrier(void);
void __wrap_shim_rcu_barrier(void);
void *__real_shim_alloc(size_t size, gfp_t gfp);
void *__wrap_shim_alloc(size_t size, gfp_t gfp);

void __wrap_synchronize_rcu(void)
{
	struct grace_period gp;

	if (!is_serial) {
		__real_synchronize_rcu();
		return;
	}
	gp_begin(&gp);
	do {
		serial_yield();
	} while (!gp_has_ended(&gp));
}

void __wrap_shim_free_rcu(struct rcu_head *head, void *object)
{
	if (serial_free_fault && serial_free_fault(object))
		return;
	if (!is_serial) {
		__real_shim_free_rcu(head, object);
		return;
	}
	while (nr_deferred == MAX_DEFERRED)
		serial_yield();
	deferred[nr_deferred].object = object;
	gp_begin(&deferred[nr_deferred++].gp);
}

void __wrap_shim_rcu_barrier(void)
{
	if (!is_serial) {
		__real_shim_rcu_barrier();
		return;
	}
	__wrap_synchronize_rcu();
	free_deferred();
}

void *__wrap_shim_alloc(size_t size, gfp_t gfp)
{
	serial_yield();
	return __real_shim_alloc(size, gfp);
}

/*
 * Fences. A poll sums counters with the fence's lock held, with full barriers in between.
 */

void torture_synchronize(void)
{
	synchronize_rcu();
}

void torture_fence(struct iommu_attach_fence *fence)
{
	unsigned long cookie;
	bool over;

	if (serial_fence_fault && serial_fence_fault())
		return;
	if (!is_serial) {
		iommu_attach_fence(fence);
		return;
	}
	is_quiet = true;
	cookie = iommu_attach_fence_begin(fence);
	is_quiet = false;
	do {
		serial_yield();
		is_quiet = true;
		over = iommu_attach_fence_poll(fence, cookie);
		is_quiet = false;
	} while (!over);
}

void torture_drain(struct iommu_attach_fence *fence)
{
	if (serial_drain_fault && serial_drain_fault())
		return;
	if (!is_serial) {
		iommu_attach_drain(fence);
		return;
	}
	synchronize_rcu();
	torture_fence(fence);
}
