// SPDX-License-Identifier: GPL-2.0-only
/*
 * The RCU of user space by itself, without a list
 *
 * First what a grace period waits for and what not, one step after the other; then readers
 * that come and go, are interrupted and sleep, beside writers that spoil what is gone.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/atomic.h>
#include <linux/container_of.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#define NR_READERS	4
#define NR_ROUNDS	20000
#define PATIENCE	20000		/* ms: then it does not come */

/* A thread that does one step after the other, when it is told to. */
enum step { NONE, LOCK, UNLOCK, SYNCHRONIZE, END };

struct actor {
	pthread_t thread;
	enum step step;			/* NONE: done */
};

/* Not on the stack of a case: they outlive one that fails. */
static struct actor actors[4];

static void *act(void *arg)
{
	struct actor *actor = arg;
	enum step step = NONE;

	while (step != END) {
		step = smp_load_acquire(&actor->step);
		if (step == LOCK)
			rcu_read_lock();
		else if (step == UNLOCK)
			rcu_read_unlock();
		else if (step == SYNCHRONIZE)
			synchronize_rcu();
		else
			usleep(100);
		if (step != NONE)
			smp_store_release(&actor->step, NONE);
	}
	return NULL;
}

static void begin_step(struct actor *actor, enum step step)
{
	smp_store_release(&actor->step, step);
}

/* Return: is it done in time? */
static bool step_ends(struct actor *actor)
{
	int ms;

	for (ms = 0; ms < PATIENCE && smp_load_acquire(&actor->step); ms++)
		usleep(1000);
	return !smp_load_acquire(&actor->step);
}

static bool step(struct actor *actor, enum step step)
{
	begin_step(actor, step);
	return step_ends(actor);
}

static void start(int nr)
{
	while (nr--) {
		actors[nr] = (struct actor){};
		assert_int_equal(pthread_create(&actors[nr].thread, NULL, act, &actors[nr]), 0);
	}
}

static void end(int nr)
{
	while (nr--) {
		assert_true(step(&actors[nr], END));
		pthread_join(actors[nr].thread, NULL);
	}
}

/* It would have gone on by now, were it not waiting: it can only be missed, never be wrong. */
static bool still_waits(struct actor *actor)
{
	usleep(50000);
	return smp_load_acquire(&actor->step) == SYNCHRONIZE;
}

static bool phase_becomes(unsigned long phase)
{
	int ms;

	for (ms = 0; ms < PATIENCE; ms++) {
		if ((READ_ONCE(shim_rcu_gp.word) & SHIM_RCU_PHASE) == phase)
			return true;
		usleep(1000);
	}
	return false;
}

static void grace_period_waits_for_reader(void **state)
{
	struct actor *reader = &actors[0], *writer = &actors[1];

	(void)state;
	start(2);
	assert_true(step(reader, LOCK));
	begin_step(writer, SYNCHRONIZE);
	assert_true(still_waits(writer));
	assert_true(step(reader, UNLOCK));
	assert_true(step_ends(writer));
	end(2);
}

static void grace_period_waits_for_the_outermost_section(void **state)
{
	struct actor *reader = &actors[0], *writer = &actors[1];

	(void)state;
	start(2);
	assert_true(step(reader, LOCK));
	assert_true(step(reader, LOCK));
	assert_true(step(reader, UNLOCK));
	begin_step(writer, SYNCHRONIZE);
	assert_true(still_waits(writer));
	assert_true(step(reader, UNLOCK));
	assert_true(step_ends(writer));
	end(2);
}

/* One that enters between the changes of the phase is waited for, a later one is not. */
static void grace_period_ends_beside_later_readers(void **state)
{
	unsigned long phase = shim_rcu_gp.word & SHIM_RCU_PHASE;
	struct actor *reader = actors, *writer = &actors[3];

	(void)state;
	start(4);
	assert_true(step(&reader[0], LOCK));
	begin_step(writer, SYNCHRONIZE);
	assert_true(phase_becomes(phase ^ SHIM_RCU_PHASE));
	assert_true(step(&reader[1], LOCK));
	assert_true(step(&reader[0], UNLOCK));
	assert_true(phase_becomes(phase));
	assert_true(still_waits(writer));
	assert_true(step(&reader[2], LOCK));
	assert_true(step(&reader[1], UNLOCK));
	assert_true(step_ends(writer));
	assert_true(step(&reader[2], UNLOCK));
	end(4);
}

static void state_is_polled(void **state)
{
	struct actor *reader = &actors[0], *writer = &actors[1];
	unsigned long phase = shim_rcu_gp.word & SHIM_RCU_PHASE;
	unsigned long before, within;

	(void)state;
	start(2);
	before = get_state_synchronize_rcu();
	assert_false(poll_state_synchronize_rcu(before));
	assert_true(step(reader, LOCK));
	begin_step(writer, SYNCHRONIZE);
	/* The thread may not have begun it for long. */
	assert_true(phase_becomes(phase ^ SHIM_RCU_PHASE));
	assert_true(still_waits(writer));
	/* The grace period that runs began too early for this. */
	within = get_state_synchronize_rcu();
	assert_false(poll_state_synchronize_rcu(before));
	assert_true(step(reader, UNLOCK));
	assert_true(step_ends(writer));
	assert_true(poll_state_synchronize_rcu(before));
	assert_false(poll_state_synchronize_rcu(within));
	synchronize_rcu();
	assert_true(poll_state_synchronize_rcu(within));
	end(2);
}

struct call {
	struct rcu_head rcu;
	int number;
};

static int nr_called;
static struct call again = { .number = 10 };

static void called(struct rcu_head *head)
{
	struct call *call = container_of(head, struct call, rcu);

	/* In order; and one may ask for the next. */
	if (call->number == nr_called)
		__atomic_add_fetch(&nr_called, 1, __ATOMIC_RELEASE);
	if (call->number == 9)
		call_rcu(&again.rcu, called);
}

static void calls_come_after_readers(void **state)
{
	static struct call calls[10];
	struct actor *reader = &actors[0];
	int i;

	(void)state;
	start(1);
	assert_true(step(reader, LOCK));
	for (i = 0; i < 10; i++) {
		calls[i].number = i;
		call_rcu(&calls[i].rcu, called);
	}
	usleep(50000);
	assert_int_equal(__atomic_load_n(&nr_called, __ATOMIC_ACQUIRE), 0);
	assert_true(step(reader, UNLOCK));
	rcu_barrier();
	assert_in_range(__atomic_load_n(&nr_called, __ATOMIC_ACQUIRE), 10, 11);
	rcu_barrier();
	assert_int_equal(__atomic_load_n(&nr_called, __ATOMIC_ACQUIRE), 11);
	end(1);
}

static void count_call(struct rcu_head *head)
{
	(void)head;
	__atomic_add_fetch(&nr_called, 1, __ATOMIC_RELEASE);
}

static unsigned long now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void calls_share_a_grace_period(void **state)
{
	static struct rcu_head heads[200];
	unsigned long before, after, begin;
	int i, ms;

	(void)state;
	rcu_barrier();
	nr_called = 0;
	begin = now_ms();
	before = get_state_synchronize_rcu();
	for (i = 0; i < 200; i++) {
		call_rcu(&heads[i], count_call);
		usleep(20);
	}
	/* They are called soon, also if nobody waits for them. */
	for (ms = 0; ms < PATIENCE && __atomic_load_n(&nr_called, __ATOMIC_ACQUIRE) < 200; ms++)
		usleep(1000);
	after = get_state_synchronize_rcu();
	assert_int_equal(nr_called, 200);
	/* One a millisecond at most, and on a busy machine the calls are some apart. */
	assert_in_range(after - before, 1, now_ms() - begin + 2);
}

/*
 * Torture
 */

struct item {
	struct rcu_head rcu;
	u64 good;			/* a reader that sees 0 has seen what is gone */
};

static struct item *item;
static bool stop;
static unsigned long nr_read, nr_bad;
static sigset_t interrupts;

static void look(void)
{
	struct item *seen;
	int i;

	rcu_read_lock();
	seen = rcu_dereference(item);
	for (i = 0; i < 20; i++) {
		if (!READ_ONCE(seen->good))
			__atomic_add_fetch(&nr_bad, 1, __ATOMIC_RELAXED);
	}
	rcu_read_unlock();
}

static void interrupt(int signal)
{
	(void)signal;
	look();
}

static void *read_on(void *arg)
{
	unsigned int seed = (uintptr_t)arg, i;

	/* Each thread for a while, then another one has its block. */
	for (i = 0; i < 20 && !READ_ONCE(stop); i++) {
		rcu_read_lock();
		look();
		if (rand_r(&seed) % 16 == 0)
			usleep(rand_r(&seed) % 200);
		look();
		rcu_read_unlock();
		__atomic_add_fetch(&nr_read, 1, __ATOMIC_RELAXED);
	}
#ifdef __SANITIZE_THREAD__
	/*
	 * A handler in the destructors of the thread takes a block once more, which is given
	 * back when TSan's own state of the thread is gone: TSan crashes.
	 */
	pthread_sigmask(SIG_BLOCK, &interrupts, NULL);
#endif
	return NULL;
}

static void *keep_reading(void *arg)
{
	uintptr_t seed = (uintptr_t)arg;
	pthread_t thread;

	while (!READ_ONCE(stop)) {
		if (pthread_create(&thread, NULL, read_on, (void *)seed++))
			return arg;
		/* Up to its end, when it gives its block back. */
		while (pthread_tryjoin_np(thread, NULL))
			pthread_kill(thread, SIGUSR1);
	}
	return NULL;
}

static void spoil(struct rcu_head *head)
{
	struct item *gone = container_of(head, struct item, rcu);

	WRITE_ONCE(gone->good, 0);
	kfree(gone);
}

static void readers_see_nothing_that_is_gone(void **state)
{
	pthread_t reader[NR_READERS];
	struct item *new, *old;
	uintptr_t i;
	void *ret;

	(void)state;
	sigemptyset(&interrupts);
	sigaddset(&interrupts, SIGUSR1);
	signal(SIGUSR1, interrupt);
	item = kzalloc(sizeof(*item), GFP_KERNEL);
	assert_non_null(item);
	item->good = 1;
	for (i = 0; i < NR_READERS; i++)
		assert_int_equal(pthread_create(&reader[i], NULL, keep_reading,
						(void *)(1000 * i + 1)), 0);
	for (i = 0; i < NR_ROUNDS || READ_ONCE(nr_read) < 2000; i++) {
		new = kzalloc(sizeof(*new), GFP_KERNEL);
		assert_non_null(new);
		new->good = 1;
		old = item;
		rcu_assign_pointer(item, new);
		if (i % 2) {
			synchronize_rcu();
			spoil(&old->rcu);
		} else {
			call_rcu(&old->rcu, spoil);
		}
	}
	WRITE_ONCE(stop, true);
	for (i = 0; i < NR_READERS; i++) {
		pthread_join(reader[i], &ret);
		assert_null(ret);
	}
	rcu_barrier();
	assert_int_equal(nr_bad, 0);
	kfree(item);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grace_period_waits_for_reader),
		cmocka_unit_test(grace_period_waits_for_the_outermost_section),
		cmocka_unit_test(grace_period_ends_beside_later_readers),
		cmocka_unit_test(state_is_polled),
		cmocka_unit_test(calls_come_after_readers),
		cmocka_unit_test(calls_share_a_grace_period),
		cmocka_unit_test(readers_see_nothing_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
