/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RCU on liburcu. A thread becomes known to it at its first read-side
 * section and is forgotten when it ends.
 *
 * ThreadSanitizer does not see through liburcu's barriers, so grace periods are
 * told to it: what a reader did happens before what comes after one.
 */
#ifndef _LINUX_RCUPDATE_H
#define _LINUX_RCUPDATE_H

#include <linux/lockdep.h>
#include <linux/types.h>

/* liburcu's struct of this name has no room for the object. */
#define rcu_head urcu_head
#ifndef SHIM_TSAN
#define _LGPL_SOURCE			/* read-side sections inline */
#endif
#ifdef SHIM_QSBR			/* the bench: readers that cost nothing */
#include <urcu/urcu-qsbr.h>
#define shim_urcu(name)		urcu_qsbr_##name
#else
#include <urcu/urcu-memb.h>
#define shim_urcu(name)		urcu_memb_##name
#endif
#undef rcu_head
#undef rcu_dereference
#undef rcu_assign_pointer

#ifdef SHIM_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#else
#define __tsan_acquire(addr)	((void)(addr))
#define __tsan_release(addr)	((void)(addr))
#endif

struct rcu_head {
	struct urcu_head urcu;
	void *object;
};

extern __thread bool shim_rcu_known;
extern char shim_rcu_readers;		/* where ThreadSanitizer meets readers */

void shim_rcu_register(void);
void shim_free_rcu(struct rcu_head *head, void *object);
void synchronize_rcu(void);

static inline void rcu_read_lock(void)
{
	/* Threads of a QSBR program register themselves, as they report themselves. */
#ifndef SHIM_QSBR
	if (unlikely(!shim_rcu_known))
		shim_rcu_register();
#endif
	shim_urcu(read_lock)();
}

static inline void rcu_read_unlock(void)
{
	__tsan_release(&shim_rcu_readers);
	shim_urcu(read_unlock)();
}

static inline bool rcu_read_lock_held(void)
{
	return shim_rcu_known && shim_urcu(read_ongoing)();
}

#ifdef CONFIG_PROVE_LOCKING
#define RCU_LOCKDEP_WARN(condition, message)				\
	((void)__SHIM_WARN(condition, message, true))
#else
#define RCU_LOCKDEP_WARN(condition, message)	((void)0)
#endif

#define rcu_dereference(ptr)						\
({									\
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(),				\
			 "rcu_dereference() outside a read-side section"); \
	__atomic_load_n(&(ptr), __ATOMIC_CONSUME);			\
})
#define rcu_dereference_protected(ptr, condition)			\
({									\
	RCU_LOCKDEP_WARN(!(condition), "unprotected: " #ptr);		\
	READ_ONCE(ptr);							\
})
#define rcu_assign_pointer(ptr, value)	smp_store_release(&(ptr), value)
#define RCU_INIT_POINTER(ptr, value)	WRITE_ONCE(ptr, value)

#define kvfree_rcu(ptr, member)						\
do {									\
	typeof(ptr) __object = (ptr);					\
									\
	_Static_assert(offsetof(typeof(*__object), member) < 4096,	\
		       "the kernel takes no larger offset");		\
	if (__object)							\
		shim_free_rcu(&__object->member, __object);		\
} while (0)
#define kfree_rcu(ptr, member)		kvfree_rcu(ptr, member)

#endif
