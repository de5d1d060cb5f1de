// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part of the kernel's API that is not inline: memory, warnings and locks.
 * See shim.h for what is different from the kernel, and why.
 */
#ifndef SHIM_LIBRARY
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "shim.h"

/* Warnings */

static unsigned long warnings;
static bool warnings_expected;
static struct shim_warn_site *warn_sites;	/* fired once; a stack without a lock */

__attribute__((__weak__))
void shim_warn_tell(const struct shim_warn_site *site)
{
	fprintf(stderr, "WARNING: %s:%d: %s\n", site->file, site->line,
		site->what);
}

__attribute__((__weak__))
bool shim_warn_again(void)
{
	return false;
}

void shim_warn(struct shim_warn_site *site, bool once)
{
	/* Pairs with the release in shim_warn_reset(), which has read next. */
	bool fired = once && __atomic_exchange_n(&site->fired, true, __ATOMIC_ACQUIRE);

	if (once && !fired) {
		site->next = __atomic_load_n(&warn_sites, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&warn_sites, &site->next, site, false,
						    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			;
	}
	if (fired && !shim_warn_again())
		return;

	__atomic_add_fetch(&warnings, 1, __ATOMIC_RELAXED);
	shim_warn_tell(site);
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
	struct shim_warn_site *site, *next;

	/* One that has not fired may be pushed at once. */
	for (site = __atomic_exchange_n(&warn_sites, NULL, __ATOMIC_ACQUIRE); site; site = next) {
		next = site->next;
		__atomic_store_n(&site->fired, false, __ATOMIC_RELEASE);
	}
}

/* Barriers */

void (*shim_mb_hook)(void);
void (*shim_read_hook)(void);

/* Locks */

static __thread unsigned int spins_held;
#ifdef CONFIG_PROVE_LOCKING
__thread unsigned int shim_map_held;
#endif

bool shim_spins_held(void)
{
	return spins_held;
}

void shim_might_sleep(const char *what)
{
#ifdef CONFIG_PROVE_LOCKING
	(void)what;
	WARN_ONCE(shim_checks && (spins_held || rcu_read_lock_held()),
		  "sleeping function called with a lock held or in an RCU section");
#else
	(void)what;
#endif
}

void shim_spin_lock(spinlock_t *lock, unsigned int subclass)
{
#ifdef CONFIG_PROVE_LOCKING
	/* All locks here are of one class: lists' locks. */
	WARN_ONCE(shim_checks && shim_spin_is_held(lock), "lock taken twice");
	WARN_ONCE(shim_checks && spins_held && !subclass, "possible recursive locking");
#else
	(void)subclass;
#endif
	shim_busy_begin();
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
	shim_busy_end();
}

bool shim_spin_is_held(const spinlock_t *lock)
{
	return READ_ONCE(lock->owner) == &spins_held;
}

/* No class, and no part in who may sleep. */
void shim_raw_spin_lock(raw_spinlock_t *lock)
{
	shim_busy_begin();
	pthread_mutex_lock(&lock->mutex);
	WRITE_ONCE(lock->owner, &spins_held);
}

bool shim_raw_spin_trylock(raw_spinlock_t *lock)
{
	shim_busy_begin();
	if (pthread_mutex_trylock(&lock->mutex)) {
		shim_busy_end();
		return false;
	}
	WRITE_ONCE(lock->owner, &spins_held);
	return true;
}

void shim_raw_spin_unlock(raw_spinlock_t *lock)
{
	WRITE_ONCE(lock->owner, NULL);
	pthread_mutex_unlock(&lock->mutex);
	shim_busy_end();
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

/* For tests. A program's own allocator need not know the size of an object. */
static void count_object(const void *object, long nr)
{
#ifdef SHIM_LIBRARY
	(void)object;
	(void)nr;
#else
	__atomic_add_fetch(&live, nr, __ATOMIC_RELAXED);
	__atomic_add_fetch(&live_bytes, nr * malloc_usable_size((void *)object),
			   __ATOMIC_RELAXED);
#endif
}

/* Is this the one that was asked to fail? */
bool shim_alloc_fails(void)
{
	unsigned long nr = __atomic_add_fetch(&allocs, 1, __ATOMIC_RELAXED);

	return nr == __atomic_load_n(&fail_at, __ATOMIC_RELAXED);
}

void *shim_alloc(size_t size, gfp_t gfp)
{
	void *object;

	if (gfp & GFP_KERNEL)
		shim_might_sleep("allocation");
	if (shim_alloc_fails())
		return NULL;
	/* The address space ends well below: a size that saturated is no request. */
	if (size > PTRDIFF_MAX)
		return NULL;
	object = gfp & __GFP_ZERO ? calloc(1, size ?: 1) : malloc(size ?: 1);
	if (object)
		count_object(object, 1);
	return object;
}

void kfree(const void *object)
{
	if (!object)
		return;
	count_object(object, -1);
	free((void *)object);
}
