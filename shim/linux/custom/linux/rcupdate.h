/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RCU whose readers are seen in their threads' blocks
 *
 * No thread is registered, with anything: so the program, its plugins and other copies of
 * this code have RCU of their own. The algorithm is the one of liburcu's memb flavour.
 *
 * ThreadSanitizer does not see through barriers, so grace periods are told to it: what a
 * reader did happens before what comes after one.
 */
#ifndef _LINUX_RCUPDATE_H
#define _LINUX_RCUPDATE_H

#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/types.h>

#ifdef SHIM_QSBR			/* the bench: readers that cost nothing */
/* liburcu's struct of this name is another. */
#define rcu_head urcu_head
#define call_rcu urcu_call_rcu
#ifndef SHIM_TSAN
#define _LGPL_SOURCE			/* read-side sections inline */
#endif
#include <urcu/urcu-qsbr.h>
#undef rcu_head
#undef call_rcu
#undef rcu_dereference
#undef rcu_assign_pointer
#endif

#ifdef SHIM_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#else
#define __tsan_acquire(addr)	((void)(addr))
#define __tsan_release(addr)	((void)(addr))
#endif

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
	void *object;
};

extern char shim_rcu_readers;		/* where ThreadSanitizer meets readers */

void shim_rcu_register(void);		/* QSBR: each thread that reads */
void synchronize_rcu(void);
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void rcu_barrier(void);
bool shim_rcu_in_callback(void);
void shim_free_rcu(struct rcu_head *head, void *object);

/* Has a grace period passed? As the kernel's, which are numbers, too. */
unsigned long get_state_synchronize_rcu(void);
bool poll_state_synchronize_rcu(unsigned long state);

/* See percpu.c. */
void shim_rcu_fork_prepare(void);
void shim_rcu_fork_parent(void);
void shim_rcu_fork_child(void);

void shim_rcu_shared_lock(void);	/* of threads without a block */
void shim_rcu_shared_unlock(void);
bool shim_rcu_shared_held(void);
void shim_rcu_wake(void);

/* A thread's word: how deep it is in sections, and in which phase it entered. */
#define SHIM_RCU_NEST		0xffffffffUL
#define SHIM_RCU_PHASE		(SHIM_RCU_NEST + 1)

#ifdef SHIM_QSBR

static inline void rcu_read_lock(void)
{
	urcu_qsbr_read_lock();
}

static inline void rcu_read_unlock(void)
{
	urcu_qsbr_read_unlock();
}

static inline bool rcu_read_lock_held(void)
{
	return urcu_qsbr_read_ongoing();
}

#else

struct shim_rcu_gp {
	unsigned long word;		/* the phase now, nested once */
	int waits;			/* for a section to end; a futex */
} __attribute__((__aligned__(64)));

extern struct shim_rcu_gp shim_rcu_gp;

/* Whole with regard to signals: their handlers leave the word as it was. */
static inline void rcu_read_lock(void)
{
	struct shim_thread *thread = shim_thread;
	unsigned long word;

	if (unlikely(!thread)) {
		if (!shim_take_block()) {
			shim_rcu_shared_lock();
			return;
		}
		thread = shim_thread;
	}
	word = READ_ONCE(thread->rcu);
	/* Releases: a grace period that sees this section has seen the end of the last one. */
	if (likely(!(word & SHIM_RCU_NEST))) {
		smp_store_release(&thread->rcu, READ_ONCE(shim_rcu_gp.word));
		/* Pairs with the one in wait_for_readers(). */
		shim_barrier_light();
	} else {
		smp_store_release(&thread->rcu, word + 1);
	}
}

static inline void rcu_read_unlock(void)
{
	struct shim_thread *thread = shim_thread;

	__tsan_release(&shim_rcu_readers);
	if (unlikely(!thread)) {
		shim_rcu_shared_unlock();
		return;
	}
	smp_store_release(&thread->rcu, thread->rcu - 1);
	/* Pairs with the one in wait_for_block(). */
	shim_barrier_light();
	if (unlikely(READ_ONCE(shim_rcu_gp.waits)))
		shim_rcu_wake();
}

static inline bool rcu_read_lock_held(void)
{
	return shim_thread ? shim_thread->rcu & SHIM_RCU_NEST : shim_rcu_shared_held();
}

#endif

#ifdef CONFIG_PROVE_LOCKING
#define RCU_LOCKDEP_WARN(condition, message)				\
	((void)__SHIM_WARN(shim_checks && (condition), message, true))
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
#define rcu_access_pointer(ptr)		READ_ONCE(ptr)
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
