/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_ATOMIC_H
#define _LINUX_ATOMIC_H

#include <linux/types.h>

/* See shim.h. */
#if defined(CONFIG_PROVE_LOCKING) && !defined(SHIM_LIBRARY)
extern void (*shim_read_hook)(void);
#define shim_was_read()		(shim_read_hook ? shim_read_hook() : (void)0)
#else
#define shim_was_read()		((void)0)
#endif

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

/* One set of functions for each of the two types. */
#define SHIM_ATOMIC(prefix, type)					\
static inline type prefix##_read(const prefix##_t *v)			\
{									\
	type value = __atomic_load_n(&v->counter, __ATOMIC_RELAXED);	\
									\
	shim_was_read();						\
	return value;							\
}									\
static inline type prefix##_read_acquire(const prefix##_t *v)		\
{									\
	type value = __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE);	\
									\
	shim_was_read();						\
	return value;							\
}									\
static inline void prefix##_set(prefix##_t *v, type i)			\
{									\
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);		\
}									\
static inline void prefix##_set_release(prefix##_t *v, type i)		\
{									\
	__atomic_store_n(&v->counter, i, __ATOMIC_RELEASE);		\
}									\
static inline void prefix##_inc(prefix##_t *v)				\
{									\
	__atomic_fetch_add(&v->counter, 1, __ATOMIC_RELAXED);		\
}									\
static inline void prefix##_dec(prefix##_t *v)				\
{									\
	__atomic_fetch_sub(&v->counter, 1, __ATOMIC_RELAXED);		\
}									\
static inline type prefix##_inc_return(prefix##_t *v)			\
{									\
	return __atomic_add_fetch(&v->counter, 1, __ATOMIC_SEQ_CST);	\
}

SHIM_ATOMIC(atomic, int)
SHIM_ATOMIC(atomic64, s64)

#undef SHIM_ATOMIC
#undef shim_was_read

#endif
