/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of lockdep that a lock which knows its owner can answer for. */
#ifndef _LINUX_LOCKDEP_H
#define _LINUX_LOCKDEP_H

#include <linux/bug.h>

#define SINGLE_DEPTH_NESTING	1

/* Warns where the caller may not sleep: a spinlock is held, or an RCU section. */
void shim_might_sleep(const char *what);

#ifdef CONFIG_PROVE_LOCKING
#define lockdep_is_held(lock)		shim_spin_is_held(lock)
#define lockdep_assert_held(lock)					\
	((void)__SHIM_WARN(!lockdep_is_held(lock), "lock not held: " #lock, \
			   true))
#define lockdep_assert(condition)					\
	((void)__SHIM_WARN(!(condition), #condition, true))
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
