/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KTHREAD_H
#define _LINUX_KTHREAD_H

#include <linux/err.h>
#include <linux/types.h>

struct task_struct;

/* The name is one string; kthread_stop() joins, and returns what @fn returned. */
struct task_struct *kthread_run(int (*fn)(void *data), void *data,
				const char *name);
int kthread_stop(struct task_struct *task);
bool kthread_should_stop(void);

#endif
