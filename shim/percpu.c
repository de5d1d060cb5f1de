// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks of memory of each thread, and what happens to them when the process forks
 *
 * Nothing here is shared with another copy of the shim in the process.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/percpu.h>
#include <linux/rcupdate.h>

#include "shim.h"

#define BLOCKS_MAX	32768
#define COUNTER_ALIGN	16
#define PLACES_MAX	8		/* of COUNTER_ALIGN bytes, for one allocation */
#define OWN_SIZE	64		/* struct shim_thread, in a cache line of its own */

__thread struct shim_thread *shim_thread;
static __thread bool without_block;	/* there was no memory: it goes on without */

/*
 * lock guards all of it; blocks are never freed, and read without it. Signals are blocked
 * meanwhile: their handlers may read and count, too, and take a block for that.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char shared_block[SHIM_BLOCK_SIZE] __attribute__((aligned(64)));
static char *blocks[BLOCKS_MAX] = { shared_block };
static bool block_used[BLOCKS_MAX] = { true };
static int nr_blocks = 1;
static unsigned char counter_used[SHIM_BLOCK_SIZE / COUNTER_ALIGN] = {
	[0 ... OWN_SIZE / COUNTER_ALIGN - 1] = 1	/* so that 0 is NULL */
};
static size_t search_from[PLACES_MAX + 1];	/* that many free places: none begin below */
static size_t never_used = OWN_SIZE / COUNTER_ALIGN;	/* from here on blocks are zero */
static pthread_key_t block_key;
static bool has_key, has_ended, has_fork_handlers;

static void fork_prepare(void);
static void fork_parent(void);
static void fork_child(void);

static void block_signals(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
}

static void take_lock(sigset_t *old)
{
	block_signals(old);
	pthread_mutex_lock(&lock);
}

static void release_lock(const sigset_t *old)
{
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* Outside of read-side sections, a flush waits and calls the program. */
static bool in_flush(void)
{
#ifdef CONFIG_PROVE_LOCKING
	return shim_map_held;
#else
	return false;
#endif
}

/* What a thread must not be in the middle of when it ends: others would wait without end. */
static void thread_ends(struct shim_thread *thread)
{
	if (WARN_ONCE(thread->rcu & SHIM_RCU_NEST, "within a walk")) {
		smp_store_release(&thread->rcu, 0);
		shim_rcu_wake();
	}
	if (WARN_ONCE(shim_spins_held(), "between iommu_attach_lock() and unlock()"))
		WRITE_ONCE(thread->busy, 0);
	WARN_ONCE(in_flush(), "in a callback of a flush");
}

/* Once it is given back, another thread may have it. */
static void give_block_back(void *block)
{
	sigset_t old;
	int i;

	thread_ends(block);
	take_lock(&old);
	shim_thread = NULL;
	for (i = 1; i < nr_blocks; i++) {
		if (blocks[i] == block)
			block_used[i] = false;
	}
	release_lock(&old);
}

/*
 * What the first block takes, with the lock held. Not when the library is loaded: in a static
 * link, the program's constructors may use the library before its own have run. And handlers
 * of fork() run in the opposite order of their registration, which allocators do when they are
 * loaded or first used: fork_prepare() waits for threads that free before their locks are taken.
 *
 * Return: false if there are no keys, or no memory.
 */
static bool first_block(void)
{
	if (!has_fork_handlers)
		has_fork_handlers = !pthread_atfork(fork_prepare, fork_parent, fork_child);
	if (has_fork_handlers && !has_key && !has_ended)
		has_key = !pthread_key_create(&block_key, give_block_back);
	return has_key;
}

/* Return: false if there is no memory. */
bool shim_take_block(void)
{
	sigset_t old;
	char *block = NULL;
	int i;

	if (without_block)
		return false;
	take_lock(&old);
	for (i = 1; i < nr_blocks && block_used[i]; i++)
		;
	if (!has_key && !first_block()) {
		block = NULL;
	} else if (i < nr_blocks) {
		block = blocks[i];
	} else if (i < BLOCKS_MAX) {
		block = mmap(NULL, SHIM_BLOCK_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (block == MAP_FAILED) {
			block = NULL;
		} else {
			blocks[i] = block;
			__atomic_store_n(&nr_blocks, i + 1, __ATOMIC_RELEASE);
		}
	}
	if (block && pthread_setspecific(block_key, block))
		block = NULL;
	if (!block) {
		without_block = true;
	} else {
		block_used[i] = true;
		shim_thread = (struct shim_thread *)(void *)block;
	}
	release_lock(&old);
	return block;
}

/* The first time that a thread counts, or each time if it has no block. */
void shim_percpu_add(uintptr_t offset, unsigned long value)
{
	char *block = shim_take_block() ? (char *)shim_thread : shared_block;

	__atomic_fetch_add((unsigned long *)(void *)(block + offset), value,
			   __ATOMIC_ACQ_REL);
}

char shim_percpu_counted;

/* A loop over blocks asks once more than it looks: behind the last one. */
int shim_percpu_blocks(void)
{
	shim_tsan_acquire(&shim_percpu_counted);
	return __atomic_load_n(&nr_blocks, __ATOMIC_ACQUIRE);
}

char *shim_percpu_at(int block)
{
	return blocks[block];
}

/* What was not counted in since it was cleared is zero, and its page may be shared: only read. */
static void clear_block(char *block, size_t offset, size_t size)
{
	unsigned long *counter = (unsigned long *)(void *)(block + offset);
	size_t i;

	for (i = 0; i < size / sizeof(*counter); i++) {
		if (READ_ONCE(counter[i]))
			WRITE_ONCE(counter[i], 0);
	}
}

/* Below @limit in each block, for those that can do without if others need it more. */
void *shim_alloc_percpu(size_t size, size_t limit)
{
	size_t need = (size + COUNTER_ALIGN - 1) / COUNTER_ALIGN, i, run = 0;
	void *ptr = NULL;
	sigset_t old;
	int block;

	if (shim_alloc_fails() || WARN_ON_ONCE(need > PLACES_MAX))
		return NULL;
	take_lock(&old);
	for (i = search_from[need]; i < limit / COUNTER_ALIGN && run < need; i++)
		run = counter_used[i] ? 0 : run + 1;
	if (run == need) {
		search_from[need] = i;
		i -= need;
		ptr = (void *)(i * COUNTER_ALIGN);
		memset(&counter_used[i], 1, need);
		counter_used[i] = need;
		/* Some kernels allocate a page that is only read, too. */
		for (block = 0; block < nr_blocks && i < never_used; block++)
			clear_block(blocks[block], (uintptr_t)ptr, size);
		if (never_used < i + need)
			never_used = i + need;
	} else {
		search_from[need] = i - run;
	}
	release_lock(&old);
	return ptr;
}

void free_percpu(void *ptr)
{
	size_t i = (uintptr_t)ptr / COUNTER_ALIGN, need;
	sigset_t old;

	if (!ptr)
		return;
	take_lock(&old);
	memset(&counter_used[i], 0, counter_used[i]);
	/* With free places ahead of it, it may be enough for more than it was. */
	for (need = 1; need <= PLACES_MAX; need++) {
		if (search_from[need] + need > i + 1)
			search_from[need] = i + 1 > need ? i + 1 - need : 0;
	}
	release_lock(&old);
}

/* Barriers in all threads */

bool shim_has_membarrier;

static int membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

static void register_membarrier(void)
{
	bool has = !membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);

	WRITE_ONCE(shim_has_membarrier, has);
}

void shim_barrier_all(void)
{
	__smp_mb();
	/* It fails if it is not registered, and does nothing else. */
	if (READ_ONCE(shim_has_membarrier) &&
	    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
		/* Readers rely on it. Not by a message: one may wait for this thread. */
		dprintf(STDERR_FILENO, "libiommu-alist: membarrier(2) fails: %s. It worked before: "
			"does a seccomp filter refuse it?\n", strerror(errno));
		abort();
	}
}

/* Fork */

static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER;	/* held from begin to end */
static bool forking;
static sigset_t fork_signals;		/* what the thread that forks had blocked */
static __thread bool exec_only;		/* all that a child of this fork may do */

/*
 * Threads that have no block count in the shared one, and by themselves how often. Each
 * nesting counts: a signal may come between the two, and its handler, too, is to be waited for.
 */
static struct shim_thread *const shared = (struct shim_thread *)(void *)shared_block;
static __thread unsigned int shared_busy, shared_readers;

static void wait_for_fork(void)
{
	pthread_mutex_lock(&fork_lock);
	pthread_mutex_unlock(&fork_lock);
}

void shim_busy_begin(void)
{
	if (unlikely(!shim_thread && !shim_take_block())) {
		shared_busy++;
		__atomic_fetch_add(&shared->busy, 1, __ATOMIC_SEQ_CST);
		while (shared_busy == 1 && __atomic_load_n(&forking, __ATOMIC_SEQ_CST)) {
			__atomic_fetch_sub(&shared->busy, 1, __ATOMIC_SEQ_CST);
			wait_for_fork();
			__atomic_fetch_add(&shared->busy, 1, __ATOMIC_SEQ_CST);
		}
		return;
	}
	WRITE_ONCE(shim_thread->busy, shim_thread->busy + 1);
	if (shim_thread->busy > 1)
		return;
	/* Pairs with the one in fork_prepare(). */
	shim_barrier_light();
	while (unlikely(__atomic_load_n(&forking, __ATOMIC_SEQ_CST))) {
		WRITE_ONCE(shim_thread->busy, 0);
		wait_for_fork();
		WRITE_ONCE(shim_thread->busy, 1);
		shim_barrier_light();
	}
}

void shim_busy_end(void)
{
	if (likely(shim_thread)) {
		smp_store_release(&shim_thread->busy, shim_thread->busy - 1);
		return;
	}
	__atomic_fetch_sub(&shared->busy, 1, __ATOMIC_SEQ_CST);
	shared_busy--;
}

bool shim_busy(void)
{
	return shim_thread ? shim_thread->busy : shared_busy;
}

void shim_rcu_shared_lock(void)
{
	shared_readers++;
	__atomic_fetch_add(&shared->rcu, 1, __ATOMIC_SEQ_CST);
}

void shim_rcu_shared_unlock(void)
{
	__atomic_fetch_sub(&shared->rcu, 1, __ATOMIC_SEQ_CST);
	shared_readers--;
	shim_rcu_wake();
}

bool shim_rcu_shared_held(void)
{
	return shared_readers;
}

/* Is a thread within what a child needs whole? */
static bool any_busy(void)
{
	int i;

	for (i = 0; i < shim_percpu_blocks(); i++) {
		if (smp_load_acquire(&((struct shim_thread *)(void *)blocks[i])->busy))
			return true;
	}
	return false;
}

/* Return: true with fork_lock held and no thread busy, or false without. */
static bool stop_others(void)
{
	int tries;

	pthread_mutex_lock(&fork_lock);
	__atomic_store_n(&forking, true, __ATOMIC_SEQ_CST);
	/* Pairs with the one in shim_busy_begin(). */
	shim_barrier_all();
	for (tries = 0; tries < 10; tries++) {
		if (!any_busy())
			return true;
		usleep(100);
	}
	__atomic_store_n(&forking, false, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&fork_lock);
	return false;
}

/*
 * Before the process forks: no other thread is in the middle of a change, so lists,
 * counters and what is to be freed are whole in the child. Flushes and walks are not
 * waited for; the child forgets those of other threads. Signals are blocked until
 * fork_parent() or fork_child(): a handler in this thread would wait for it.
 *
 * A thread that is busy may wait for another one, which waits to become busy: let it, from
 * time to time. It may also wait for what this thread is in the middle of itself: a change, a
 * walk or a flush.
 */
static void fork_prepare(void)
{
	sigset_t old;
	int cancel;

	exec_only = shim_busy() || rcu_read_lock_held() || in_flush();
	if (exec_only)
		return;
	block_signals(&old);
	/* A wait is a cancellation point; fork() is none. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	while (!stop_others())
		usleep(1000);
	pthread_setcancelstate(cancel, NULL);
	fork_signals = old;
	shim_rcu_fork_prepare();
	pthread_mutex_lock(&lock);
}

static void fork_parent(void)
{
	sigset_t old = fork_signals;

	if (exec_only)
		return;
	pthread_mutex_unlock(&lock);
	shim_rcu_fork_parent();
	__atomic_store_n(&forking, false, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&fork_lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void fork_child(void)
{
	sigset_t old = fork_signals;
	int i;

	if (exec_only)
		return;
	/* What other threads had begun, nobody ends here. */
	for (i = 0; i < nr_blocks; i++) {
		if (blocks[i] == (char *)shim_thread)
			continue;
		clear_block(blocks[i], 0, never_used * COUNTER_ALIGN);
		block_used[i] = !i;
	}
	register_membarrier();
	pthread_mutex_unlock(&lock);
	shim_rcu_fork_child();
	__atomic_store_n(&forking, false, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&fork_lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Ahead of the constructors of a program that this is linked into. */
__attribute__((constructor(101)))
static void begin(void)
{
	register_membarrier();
}

/*
 * If what this is linked into is unloaded nevertheless, threads that end later must not call
 * give_block_back(). Those that still run at exit count in the shared block from here on.
 */
__attribute__((destructor))
static void end(void)
{
	sigset_t old;

	take_lock(&old);
	if (has_key)
		pthread_key_delete(block_key);
	has_key = false;
	has_ended = true;
	release_lock(&old);
}
