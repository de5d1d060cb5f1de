/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of the library. */
#ifndef LIB_H
#define LIB_H

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <linux/bug.h>
#include <linux/iommu-alist.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>

/* For a lock of the library's own, which no signal handler and no child of fork() finds held. */
static inline void lib_lock(pthread_mutex_t *lock, sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
	shim_busy_begin();
	pthread_mutex_lock(lock);
}

static inline void lib_unlock(pthread_mutex_t *lock, const sigset_t *old)
{
	pthread_mutex_unlock(lock);
	shim_busy_end();
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* message.c */
const char *lib_current_call(void);	/* NULL: a flush or a walk, or none */
void lib_message(const char *rule);	/* within a call that is noted */

/* counters.c */
struct iommu_attach_counters;
void lib_count_fence(const struct timespec *begun);
void lib_count_drain(void);
void lib_read_counters(struct iommu_attach_list *alist,
		       struct iommu_attach_counters *counters);

#endif
