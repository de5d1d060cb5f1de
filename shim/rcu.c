// SPDX-License-Identifier: GPL-2.0-only
/*
 * Grace periods, and what is called after them
 *
 * Each thread has a word: how deep it is in read-side sections, and the phase that it read
 * from shim_rcu_gp when it entered the outermost one. A grace period changes the phase and
 * waits for the threads whose word has the other one; and does both again. Once is not
 * enough: a reader that has read the phase, and writes its word only when a grace period
 * has looked at it, would be taken for a newcomer by the next one.
 *
 *   reader                                 grace period
 *   ------                                 ------------
 *   write the word                         what it is about has been taken away
 *   barrier in rcu_read_lock()             barrier in all threads
 *   read what may be taken away            change the phase, look at the words
 *
 *   read what may be taken away            acquire the word: it has left, or has entered anew
 *   release the word                       free what was taken away
 *
 * Either the word is seen, or the reader sees that all is gone. The reader's barrier is one
 * of the compiler alone where membarrier(2) makes every running thread have a full one.
 *
 * Who waits spins for a moment, and then sleeps on shim_rcu_gp.waits until a section ends:
 *
 *   reader                                 grace period
 *   ------                                 ------------
 *   write the word                         write waits
 *   barrier in rcu_read_unlock()           barrier in all threads
 *   read waits, wake                       read the word, sleep
 *
 * Threads without memory for a word share a counter, which has no phase: they are waited
 * for whenever they have entered.
 *
 * gp_lock lets one grace period run at a time. Grace periods are numbered when they begin, so
 * who waits for the lock can tell whether one that began late enough has ended meanwhile.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "shim.h"

static int sys_futex(int *word, int command, int value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, command | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

/* Grace periods */

char shim_rcu_readers;

static unsigned long grace_periods;

unsigned long shim_grace_periods(void)
{
	return __atomic_load_n(&grace_periods, __ATOMIC_RELAXED);
}

/* Guards @begun and @ended, and changes of shim_rcu_gp. */
static pthread_mutex_t gp_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long begun, ended;	/* grace periods */

#ifdef SHIM_QSBR

void shim_rcu_register(void)
{
	urcu_qsbr_register_thread();
}

/*
 * Who waits for a grace period reads nothing, also while another thread has the lock and
 * waits for the readers. Return: whether the caller is a reader at other times.
 */
static bool reader_pause(void)
{
	bool reader = urcu_qsbr_read_ongoing();

	if (reader)
		urcu_qsbr_thread_offline();
	return reader;
}

static void reader_resume(bool reader)
{
	if (reader)
		urcu_qsbr_thread_online();
}

static void wait_for_readers(void)
{
	urcu_qsbr_synchronize_rcu();
}

void shim_rcu_wake(void)
{
}

#else

struct shim_rcu_gp shim_rcu_gp = { .word = 1 };

static bool reader_pause(void)
{
	return false;
}

static void reader_resume(bool reader)
{
	(void)reader;
}

void shim_rcu_register(void)
{
	if (!shim_thread)
		shim_take_block();
}

/* In a section that it entered in the other phase. */
static bool reads(int block)
{
	unsigned long word = smp_load_acquire(
		&((struct shim_thread *)(void *)shim_percpu_at(block))->rcu);

	/* Pairs with the releases of readers. The shared block has no phase. */
	return word & SHIM_RCU_NEST &&
	       (!block || (word ^ shim_rcu_gp.word) & SHIM_RCU_PHASE);
}

/* A section has ended. */
void shim_rcu_wake(void)
{
	int error = errno;

	WRITE_ONCE(shim_rcu_gp.waits, 0);
	sys_futex(&shim_rcu_gp.waits, FUTEX_WAKE, 1, NULL);
	errno = error;
}

/* Most sections take less than a microsecond; this one has been preempted, or waits. */
static void wait_for_block(int block)
{
	while (reads(block)) {
		WRITE_ONCE(shim_rcu_gp.waits, 1);
		/* Pairs with the one in rcu_read_unlock(). */
		shim_barrier_all();
		if (reads(block))
			sys_futex(&shim_rcu_gp.waits, FUTEX_WAIT, 1, NULL);
	}
	WRITE_ONCE(shim_rcu_gp.waits, 0);
}

static void wait_for_phase(void)
{
	unsigned int tries = 0;
	int block;

	for (block = 0; block < shim_percpu_blocks(); block++) {
		while (reads(block)) {
			if (tries++ < 100)
				cpu_relax();
			else
				wait_for_block(block);
		}
	}
}

static void wait_for_readers(void)
{
	/* Pairs with the one in rcu_read_lock(). */
	shim_barrier_all();
	WRITE_ONCE(shim_rcu_gp.word, shim_rcu_gp.word ^ SHIM_RCU_PHASE);
	__smp_mb();
	wait_for_phase();
	__smp_mb();
	WRITE_ONCE(shim_rcu_gp.word, shim_rcu_gp.word ^ SHIM_RCU_PHASE);
	__smp_mb();
	wait_for_phase();
	/* As the kernel's: what readers did comes before what follows, for all threads. */
	__smp_mb();
}

#endif

unsigned long get_state_synchronize_rcu(void)
{
	/* What the caller has taken away comes before a grace period that begins later. */
	__smp_mb();
	return READ_ONCE(begun) + 1;
}

bool poll_state_synchronize_rcu(unsigned long state)
{
	return (long)(smp_load_acquire(&ended) - state) >= 0;
}

/* One that another thread has waited for meanwhile serves, if it began late enough. */
static void wait_for_state(unsigned long state)
{
	bool reader = reader_pause();

	pthread_mutex_lock(&gp_lock);
	if (!poll_state_synchronize_rcu(state)) {
		WRITE_ONCE(begun, begun + 1);
		wait_for_readers();
		smp_store_release(&ended, begun);
	}
	pthread_mutex_unlock(&gp_lock);
	reader_resume(reader);
	__tsan_acquire(&shim_rcu_readers);
}

void synchronize_rcu(void)
{
	shim_might_sleep("grace period");
	__atomic_add_fetch(&grace_periods, 1, __ATOMIC_RELAXED);
	wait_for_state(get_state_synchronize_rcu());
}

/* What is called after a grace period */

struct queue {
	struct rcu_head *first, **end;
};

/* Guards all of it. */
static pthread_mutex_t call_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t call_more = PTHREAD_COND_INITIALIZER;	/* the thread sleeps */
static pthread_cond_t call_done = PTHREAD_COND_INITIALIZER;
static struct queue waiting = { NULL, &waiting.first };		/* for a grace period */
static struct queue batch = { NULL, &batch.first };		/* its grace period runs */
static unsigned long queued, called;
static bool has_thread, sleeping, batch_taken, ending;
static int hurry;				/* rcu_barrier() waits */
static pthread_t thread;
static __thread bool in_callback;

static void queue_move(struct queue *to, struct queue *from)
{
	if (!from->first)
		return;
	*to->end = from->first;
	to->end = from->end;
	from->first = NULL;
	from->end = &from->first;
}

/* Calls what is queued; with the lock held, which is released meanwhile. */
static void call_batch(void)
{
	struct rcu_head *head, *next;
	unsigned long nr = 0;

	batch_taken = true;
	queue_move(&batch, &waiting);
	pthread_mutex_unlock(&call_lock);
	wait_for_state(get_state_synchronize_rcu());

	/* A child of fork() has all of it to call, or nothing. */
	shim_busy_begin();
	pthread_mutex_lock(&call_lock);
	head = batch.first;
	batch.first = NULL;
	batch.end = &batch.first;
	pthread_mutex_unlock(&call_lock);
	in_callback = true;
	for (; head; head = next) {
		next = head->next;
		__tsan_acquire(head);
		head->func(head);
		nr++;
	}
	in_callback = false;
	pthread_mutex_lock(&call_lock);
	called += nr;
	batch_taken = false;
	pthread_cond_broadcast(&call_done);
	pthread_mutex_unlock(&call_lock);
	shim_busy_end();
	pthread_mutex_lock(&call_lock);
}

/*
 * One grace period serves all that are queued within a millisecond. With the lock held, which
 * is released meanwhile.
 */
static void wait_for_more(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	pthread_mutex_unlock(&call_lock);
	sys_futex(&hurry, FUTEX_WAIT, 0, &ms);
	pthread_mutex_lock(&call_lock);
	WRITE_ONCE(hurry, 0);
}

static void *call_thread(void *unused)
{
	pthread_mutex_lock(&call_lock);
	for (;;) {
		while (!waiting.first || batch_taken) {
			if (ending) {
				pthread_mutex_unlock(&call_lock);
				return unused;
			}
			sleeping = true;
			pthread_cond_wait(&call_more, &call_lock);
			sleeping = false;
		}
		wait_for_more();
		call_batch();
	}
}

/* With the lock held. Without memory for a thread, rcu_barrier() does its work. */
static void need_thread(void)
{
	sigset_t all, old;

	if (has_thread)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	has_thread = !pthread_create(&thread, NULL, call_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	if (unlikely(!shim_thread))
		shim_take_block();	/* for the handlers of fork() */
	head->next = NULL;
	head->func = func;
	__tsan_release(head);
	pthread_mutex_lock(&call_lock);
	*waiting.end = head;
	waiting.end = &head->next;
	queued++;
	need_thread();
	if (sleeping)
		pthread_cond_signal(&call_more);
	pthread_mutex_unlock(&call_lock);
}

bool shim_rcu_in_callback(void)
{
	return in_callback;
}

void rcu_barrier(void)
{
	unsigned long until;
	int cancel;

	/* The wait is a cancellation point, and would end with the lock held. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&call_lock);
	until = queued;
	while ((long)(called - until) < 0) {
		need_thread();
		if (has_thread || batch_taken) {
			WRITE_ONCE(hurry, 1);
			sys_futex(&hurry, FUTEX_WAKE, 1, NULL);
			pthread_cond_wait(&call_done, &call_lock);
		} else {
			call_batch();
		}
	}
	pthread_mutex_unlock(&call_lock);
	pthread_setcancelstate(cancel, NULL);
}

static void free_object(struct rcu_head *head)
{
	kfree(head->object);
}

void shim_free_rcu(struct rcu_head *head, void *object)
{
	head->object = object;
	call_rcu(head, free_object);
}

void shim_rcu_barrier(void)
{
	shim_might_sleep("RCU barrier");
	rcu_barrier();
}

/* At exit no thread is left, unless it has something to do: leak checkers look. */
__attribute__((destructor))
static void end(void)
{
	int tries = 100;
	bool idle;

	pthread_mutex_lock(&call_lock);
	/* What it has to do takes microseconds, unless a walk goes on. */
	while (has_thread && (!sleeping || waiting.first) && tries--) {
		pthread_mutex_unlock(&call_lock);
		usleep(1000);
		pthread_mutex_lock(&call_lock);
	}
	idle = has_thread && sleeping && !waiting.first;
	if (idle) {
		ending = true;
		pthread_cond_signal(&call_more);
	}
	pthread_mutex_unlock(&call_lock);
	if (!idle)
		return;
	pthread_join(thread, NULL);
	has_thread = false;
	ending = false;
}

/* Fork */

void shim_rcu_fork_prepare(void)
{
	pthread_mutex_lock(&call_lock);
}

void shim_rcu_fork_parent(void)
{
	pthread_mutex_unlock(&call_lock);
}

/*
 * Nothing is being called, see call_batch(). The thread is started again by the next call_rcu()
 * or rcu_barrier(), not here: most children call execve(2).
 */
void shim_rcu_fork_child(void)
{
	/* Others may have been in the middle of these. */
	pthread_mutex_init(&gp_lock, NULL);
	pthread_cond_init(&call_more, NULL);
	pthread_cond_init(&call_done, NULL);
	queue_move(&batch, &waiting);
	queue_move(&waiting, &batch);
	has_thread = false;
	sleeping = false;
	batch_taken = false;
	pthread_mutex_unlock(&call_lock);
}
