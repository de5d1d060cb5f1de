/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of lockdep that a lock which knows its owner can answer for. */
#ifndef _LINUX_LOCKDEP_H
#define _LINUX_LOCKDEP_H

#include <linux/bug.h>

#define SINGLE_DEPTH_NESTING	1

/* Warns where the caller may not sleep: a spinlock is held, or an RCU section. */
void shim_might_sleep(const char *what);

#define might_sleep()			shim_might_sleep("wait")

/* What is not a lock but is held like one. There is one map; a thread counts. */
struct lockdep_map {
	const void *key;
};

struct lock_class_key {
	int unused;
};

/* In the library the checks are off, unless the program wants them. */
#ifdef SHIM_LIBRARY
extern bool shim_checks;
#else
#define shim_checks			true
#endif

bool shim_spins_held(void);		/* by this thread */

#ifdef CONFIG_PROVE_LOCKING
#define CONFIG_DEBUG_LOCK_ALLOC	1

extern __thread unsigned int shim_map_held;

#define STATIC_LOCKDEP_MAP_INIT(name, key)	{ (key) }
#define _THIS_IP_				0
#define lock_acquire(map, subclass, trylock, read, check, nest, ip)	\
	((void)(map), shim_map_held++)
#define lock_release(map, ip)			((void)(map), shim_map_held--)
#define LOCK_STATE_HELD			1
#define lock_is_held(map)			((void)(map), shim_map_held != 0)
#endif

#ifdef CONFIG_PROVE_LOCKING
#define lockdep_is_held(lock)		shim_spin_is_held(lock)
#define lockdep_assert_held(lock)					\
	((void)__SHIM_WARN(shim_checks && !lockdep_is_held(lock), "lock not held: " #lock, \
			   true))
#define lockdep_assert(condition)					\
	((void)__SHIM_WARN(shim_checks && !(condition), #condition, true))
#else
#define lockdep_is_held(lock)		1
#define lockdep_assert_held(lock)	shim_lockdep_off(lock)

static inline void shim_lockdep_off(const void *lock)
{
	(void)lock;
}
#define lockdep_assert(condition)	((void)0)
#endif

#endif
