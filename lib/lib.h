/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of the library. */
#ifndef LIB_H
#define LIB_H

#include <pthread.h>
#include <time.h>

#include <linux/bug.h>
#include <linux/iommu-alist.h>
#include <linux/lockdep.h>
#include <linux/rcupdate.h>

/* message.c */
const char *lib_current_call(void);	/* NULL: a flush or a walk, or none */
void lib_message(const char *rule);

/* counters.c */
struct iommu_attach_counters;
void lib_count_fence(const struct timespec *begun);
void lib_count_drain(void);
void lib_read_counters(struct iommu_attach_list *alist,
		       struct iommu_attach_counters *counters);

#endif
