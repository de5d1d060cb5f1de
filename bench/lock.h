/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lock of the peers that take one on the walk
 *
 * Their files are compiled twice: with a test-and-set lock, the cheapest one as long
 * as nobody else wants it, and with a ticket lock, which serves in order as the
 * kernel's queued spinlock does.
 */
#ifndef BENCH_LOCK_H
#define BENCH_LOCK_H

#include <linux/compiler.h>
#include <linux/types.h>

#ifdef BENCH_LOCK_FAIR
#define LOCKED_LAYOUT(name)	layout_##name##_fair
#define LOCKED_NAME(name)	#name "-fair"

struct lock {
	u32 next;
	u32 serving;
};

static inline void lock_init(struct lock *lock)
{
	lock->next = 0;
	lock->serving = 0;
}

static inline void lock_take(struct lock *lock)
{
	u32 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_SEQ_CST);

	while (unlikely(smp_load_acquire(&lock->serving) != ticket))
		cpu_relax();
}

static inline void lock_drop(struct lock *lock)
{
	smp_store_release(&lock->serving, lock->serving + 1);
}
#else
#define LOCKED_LAYOUT(name)	layout_##name##_tas
#define LOCKED_NAME(name)	#name "-tas"

struct lock {
	u32 taken;
};

static inline void lock_init(struct lock *lock)
{
	lock->taken = 0;
}

static inline void lock_take(struct lock *lock)
{
	while (unlikely(__atomic_exchange_n(&lock->taken, 1, __ATOMIC_SEQ_CST))) {
		while (READ_ONCE(lock->taken))
			cpu_relax();
	}
}

static inline void lock_drop(struct lock *lock)
{
	smp_store_release(&lock->taken, 0);
}
#endif

#endif /* BENCH_LOCK_H */
