/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A mutex, so that a thread which is preempted with the lock held does not make
 * others burn their time, that knows its owner.
 */
#ifndef _LINUX_SPINLOCK_H
#define _LINUX_SPINLOCK_H

#include <pthread.h>

#include <linux/lockdep.h>
#include <linux/types.h>

typedef struct {
	pthread_mutex_t mutex;
	const void *owner;		/* of the thread that holds it */
} spinlock_t;

#define __SPIN_LOCK_UNLOCKED(lock)	{ PTHREAD_MUTEX_INITIALIZER, NULL }

void shim_spin_lock(spinlock_t *lock, unsigned int subclass);
void shim_spin_unlock(spinlock_t *lock);
bool shim_spin_is_held(const spinlock_t *lock);

static inline void spin_lock_init(spinlock_t *lock)
{
	*lock = (spinlock_t)__SPIN_LOCK_UNLOCKED(lock);
}

/* A leaf, which interrupts and callbacks may take, too. */
typedef spinlock_t raw_spinlock_t;

void shim_raw_spin_lock(raw_spinlock_t *lock);
bool shim_raw_spin_trylock(raw_spinlock_t *lock);
void shim_raw_spin_unlock(raw_spinlock_t *lock);

#define raw_spin_lock_init(lock)	spin_lock_init(lock)
#define raw_spin_lock_irqsave(lock, flags)				\
	((flags) = 0, (void)(flags), shim_raw_spin_lock(lock))
#define raw_spin_trylock_irqsave(lock, flags)				\
	((flags) = 0, (void)(flags), shim_raw_spin_trylock(lock))
#define raw_spin_unlock_irqrestore(lock, flags)				\
	((void)(flags), shim_raw_spin_unlock(lock))

#define spin_lock(lock)			shim_spin_lock(lock, 0)
#define spin_lock_nested(lock, sub)	shim_spin_lock(lock, sub)
#define spin_unlock(lock)		shim_spin_unlock(lock)

#endif
