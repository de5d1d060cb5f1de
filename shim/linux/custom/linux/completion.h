/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_COMPLETION_H
#define _LINUX_COMPLETION_H

#include <pthread.h>

#include <linux/types.h>

struct completion {
	pthread_mutex_t mutex;		/* guards done */
	pthread_cond_t cond;
	unsigned int done;
};

void init_completion(struct completion *completion);
void complete(struct completion *completion);
void wait_for_completion(struct completion *completion);

#endif
