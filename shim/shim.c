// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part of the kernel's API that is not inline: memory, warnings, locks, RCU and
 * threads. See shim.h for what is different from the kernel, and why.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "shim.h"

/* Warnings */

static unsigned long warnings;
static bool warnings_expected;
static struct shim_warn_site *warn_sites;	/* fired once; guarded by warn_lock */
static pthread_mutex_t warn_lock = PTHREAD_MUTEX_INITIALIZER;

void shim_warn(struct shim_warn_site *site, bool once)
{
	bool fired;

	pthread_mutex_lock(&warn_lock);
	fired = site->fired;
	if (once && !fired) {
		site->fired = true;
		site->next = warn_sites;
		warn_sites = site;
	}
	pthread_mutex_unlock(&warn_lock);
	if (fired)
		return;

	__atomic_add_fetch(&warnings, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "WARNING: %s:%d: %s\n", site->file, site->line,
		site->what);
#ifdef CONFIG_PANIC_ON_WARN
	if (!__atomic_load_n(&warnings_expected, __ATOMIC_RELAXED))
		abort();
#endif
}

void shim_warn_expect(bool on)
{
	__atomic_store_n(&warnings_expected, on, __ATOMIC_RELAXED);
}

unsigned long shim_warnings(void)
{
	return __atomic_load_n(&warnings, __ATOMIC_RELAXED);
}

void shim_warn_reset(void)
{
	pthread_mutex_lock(&warn_lock);
	for (; warn_sites; warn_sites = warn_sites->next)
		warn_sites->fired = false;
	pthread_mutex_unlock(&warn_lock);
}

/* Barriers */

void (*shim_mb_hook)(void);
void (*shim_read_hook)(void);

/* Locks */

static __thread unsigned int spins_held;
#ifdef CONFIG_PROVE_LOCKING
__thread unsigned int shim_map_held;
#endif

void shim_might_sleep(const char *what)
{
#ifdef CONFIG_PROVE_LOCKING
	(void)what;
	WARN_ONCE(spins_held || rcu_read_lock_held(),
		  "sleeping function called with a lock held or in an RCU section");
#else
	(void)what;
#endif
}

void shim_spin_lock(spinlock_t *lock, unsigned int subclass)
{
#ifdef CONFIG_PROVE_LOCKING
	/* All locks here are of one class: lists' locks. */
	WARN_ONCE(shim_spin_is_held(lock), "lock taken twice");
	WARN_ONCE(spins_held && !subclass, "possible recursive locking");
#else
	(void)subclass;
#endif
	pthread_mutex_lock(&lock->mutex);
	spins_held++;
	WRITE_ONCE(lock->owner, &spins_held);
}

void shim_spin_unlock(spinlock_t *lock)
{
#ifdef CONFIG_PROVE_LOCKING
	WARN_ONCE(!shim_spin_is_held(lock), "lock released by another thread");
#endif
	WRITE_ONCE(lock->owner, NULL);
	spins_held--;
	pthread_mutex_unlock(&lock->mutex);
}

bool shim_spin_is_held(const spinlock_t *lock)
{
	return READ_ONCE(lock->owner) == &spins_held;
}

/* No class, and no part in who may sleep. */
void shim_raw_spin_lock(raw_spinlock_t *lock)
{
	pthread_mutex_lock(&lock->mutex);
	WRITE_ONCE(lock->owner, &spins_held);
}

bool shim_raw_spin_trylock(raw_spinlock_t *lock)
{
	if (pthread_mutex_trylock(&lock->mutex))
		return false;
	WRITE_ONCE(lock->owner, &spins_held);
	return true;
}

void shim_raw_spin_unlock(raw_spinlock_t *lock)
{
	WRITE_ONCE(lock->owner, NULL);
	pthread_mutex_unlock(&lock->mutex);
}

/* Memory */

static unsigned long allocs, live, live_bytes, fail_at;

void shim_fail_nth(unsigned long n)
{
	__atomic_store_n(&fail_at, n ? shim_allocs() + n : 0, __ATOMIC_RELAXED);
}

unsigned long shim_allocs(void)
{
	return __atomic_load_n(&allocs, __ATOMIC_RELAXED);
}

unsigned long shim_live(void)
{
	return __atomic_load_n(&live, __ATOMIC_RELAXED);
}

unsigned long shim_live_bytes(void)
{
	return __atomic_load_n(&live_bytes, __ATOMIC_RELAXED);
}

void *shim_alloc(size_t size, gfp_t gfp)
{
	unsigned long nr = __atomic_add_fetch(&allocs, 1, __ATOMIC_RELAXED);
	void *object;

	if (gfp & GFP_KERNEL)
		shim_might_sleep("allocation");
	if (nr == __atomic_load_n(&fail_at, __ATOMIC_RELAXED))
		return NULL;
	/* The address space ends well below: a size that saturated is no request. */
	if (size > PTRDIFF_MAX)
		return NULL;
	object = gfp & __GFP_ZERO ? calloc(1, size ?: 1) : malloc(size ?: 1);
	if (object) {
		__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&live_bytes, malloc_usable_size(object), __ATOMIC_RELAXED);
	}
	return object;
}

void kfree(const void *object)
{
	if (!object)
		return;
	__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&live_bytes, malloc_usable_size((void *)object), __ATOMIC_RELAXED);
	free((void *)object);
}

/* Counters of each thread */

#define BLOCK_SIZE	(1UL << 20)	/* reserved; what is not counted in takes no memory */
#define BLOCKS_MAX	32768
#define COUNTER_ALIGN	16

__thread char *shim_percpu_block;

/* percpu_lock guards all of it; blocks are never freed, and read without it. */
static pthread_mutex_t percpu_lock = PTHREAD_MUTEX_INITIALIZER;
static char shared_block[BLOCK_SIZE] __attribute__((aligned(64)));
static char *blocks[BLOCKS_MAX] = { shared_block };
static bool block_used[BLOCKS_MAX] = { true };
static int nr_blocks = 1;
static unsigned char counter_used[BLOCK_SIZE / COUNTER_ALIGN] = { 1 };	/* 0 is NULL */
static pthread_key_t percpu_key;
static pthread_once_t percpu_once = PTHREAD_ONCE_INIT;

static void give_block_back(void *block)
{
	int i;

	pthread_mutex_lock(&percpu_lock);
	for (i = 1; i < nr_blocks; i++) {
		if (blocks[i] == block)
			block_used[i] = false;
	}
	pthread_mutex_unlock(&percpu_lock);
	shim_percpu_block = NULL;
}

static void make_percpu_key(void)
{
	if (pthread_key_create(&percpu_key, give_block_back))
		abort();
}

static char *take_block(void)
{
	char *block = NULL;
	int i;

	pthread_once(&percpu_once, make_percpu_key);
	pthread_mutex_lock(&percpu_lock);
	for (i = 1; i < nr_blocks && block_used[i]; i++)
		;
	if (i < nr_blocks) {
		block = blocks[i];
	} else if (i < BLOCKS_MAX) {
		block = mmap(NULL, BLOCK_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (block == MAP_FAILED) {
			block = NULL;
		} else {
			blocks[i] = block;
			__atomic_store_n(&nr_blocks, i + 1, __ATOMIC_RELEASE);
		}
	}
	if (block && pthread_setspecific(percpu_key, block))
		block = NULL;
	else if (block)
		block_used[i] = true;
	pthread_mutex_unlock(&percpu_lock);
	return block;
}

/* The first time that a thread counts, or each time if there is no memory for a block. */
void shim_percpu_inc(uintptr_t offset)
{
	char *block = take_block();

	shim_percpu_block = block;
	if (!block)
		block = shared_block;
	__atomic_fetch_add((unsigned long *)(void *)(block + offset), 1, __ATOMIC_ACQ_REL);
}

int shim_percpu_blocks(void)
{
	return __atomic_load_n(&nr_blocks, __ATOMIC_ACQUIRE);
}

char *shim_percpu_at(int block)
{
	return blocks[block];
}

void *shim_alloc_percpu(size_t size)
{
	unsigned long nr = __atomic_add_fetch(&allocs, 1, __ATOMIC_RELAXED);
	size_t need = (size + COUNTER_ALIGN - 1) / COUNTER_ALIGN, i, run = 0;
	void *ptr = NULL;
	int block;

	if (nr == __atomic_load_n(&fail_at, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&percpu_lock);
	for (i = 0; i < sizeof(counter_used) && run < need; i++)
		run = counter_used[i] ? 0 : run + 1;
	if (run == need) {
		i -= need;
		ptr = (void *)(i * COUNTER_ALIGN);
		memset(&counter_used[i], 1, need);
		counter_used[i] = need;
		for (block = 0; block < nr_blocks; block++)
			memset(blocks[block] + (uintptr_t)ptr, 0, size);
	}
	pthread_mutex_unlock(&percpu_lock);
	return ptr;
}

void free_percpu(void *ptr)
{
	size_t i = (uintptr_t)ptr / COUNTER_ALIGN;

	if (!ptr)
		return;
	pthread_mutex_lock(&percpu_lock);
	memset(&counter_used[i], 0, counter_used[i]);
	pthread_mutex_unlock(&percpu_lock);
}

/* RCU */

__thread bool shim_rcu_known;
char shim_rcu_readers;

static unsigned long frees_pending, grace_periods;
static pthread_key_t rcu_key;
static pthread_once_t rcu_once = PTHREAD_ONCE_INIT;

static void forget_thread(void *unused)
{
	(void)unused;
	shim_urcu(unregister_thread)();
	shim_rcu_known = false;
}

static void make_rcu_key(void)
{
	if (pthread_key_create(&rcu_key, forget_thread))
		abort();
}

void shim_rcu_register(void)
{
	pthread_once(&rcu_once, make_rcu_key);
	shim_urcu(register_thread)();
	/* Any value but NULL calls forget_thread() when the thread ends. */
	if (pthread_setspecific(rcu_key, &shim_rcu_known))
		abort();
	shim_rcu_known = true;
}

void synchronize_rcu(void)
{
	shim_might_sleep("grace period");
	__atomic_add_fetch(&grace_periods, 1, __ATOMIC_RELAXED);
	shim_urcu(synchronize_rcu)();
	__tsan_acquire(&shim_rcu_readers);
}

unsigned long shim_grace_periods(void)
{
	return __atomic_load_n(&grace_periods, __ATOMIC_RELAXED);
}

static void free_object(struct urcu_head *urcu)
{
	struct rcu_head *head = caa_container_of(urcu, struct rcu_head, urcu);

	__tsan_acquire(&shim_rcu_readers);
	__tsan_acquire(head);
	kfree(head->object);
	__atomic_sub_fetch(&frees_pending, 1, __ATOMIC_RELEASE);
}

void shim_free_rcu(struct rcu_head *head, void *object)
{
	/* call_rcu() is for threads that liburcu knows. */
	if (!shim_rcu_known)
		shim_rcu_register();
	head->object = object;
	__atomic_add_fetch(&frees_pending, 1, __ATOMIC_RELAXED);
	__tsan_release(head);
	shim_urcu(call_rcu)(&head->urcu, free_object);
}

void shim_rcu_barrier(void)
{
	shim_might_sleep("RCU barrier");
	/* liburcu's own has a race that ThreadSanitizer takes for ours. */
	while (__atomic_load_n(&frees_pending, __ATOMIC_ACQUIRE))
		usleep(100);
}

/* Threads */

struct task_struct {
	pthread_t thread;
	int (*fn)(void *data);
	void *data;
	int ret;
	bool stop;
};

static __thread struct task_struct *current_task;

static void *run_task(void *arg)
{
	current_task = arg;
	current_task->ret = current_task->fn(current_task->data);
	return NULL;
}

struct task_struct *kthread_run(int (*fn)(void *data), void *data,
				const char *name)
{
	struct task_struct *task = calloc(1, sizeof(*task));
	int error;

	(void)name;
	if (!task)
		return ERR_PTR(-ENOMEM);
	task->fn = fn;
	task->data = data;
	error = pthread_create(&task->thread, NULL, run_task, task);
	if (error) {
		free(task);
		return ERR_PTR(-error);
	}
	return task;
}

int kthread_stop(struct task_struct *task)
{
	int ret;

	WRITE_ONCE(task->stop, true);
	pthread_join(task->thread, NULL);
	ret = task->ret;
	free(task);
	return ret;
}

bool kthread_should_stop(void)
{
	return READ_ONCE(current_task->stop);
}

void init_completion(struct completion *completion)
{
	pthread_mutex_init(&completion->mutex, NULL);
	pthread_cond_init(&completion->cond, NULL);
	completion->done = 0;
}

void complete(struct completion *completion)
{
	pthread_mutex_lock(&completion->mutex);
	completion->done++;
	pthread_cond_signal(&completion->cond);
	pthread_mutex_unlock(&completion->mutex);
}

void wait_for_completion(struct completion *completion)
{
	shim_might_sleep("completion");
	pthread_mutex_lock(&completion->mutex);
	while (!completion->done)
		pthread_cond_wait(&completion->cond, &completion->mutex);
	completion->done--;
	pthread_mutex_unlock(&completion->mutex);
}
