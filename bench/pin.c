// SPDX-License-Identifier: GPL-2.0-only
/* A thread stays on a CPU: of those that the program may use, counted from 0. */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

#include "pin.h"

void pin_thread(u32 cpu)
{
	static cpu_set_t allowed;
	static bool known;
	cpu_set_t set;
	int i;

	/* Asked by the first thread before there are others. */
	if (!known) {
		sched_getaffinity(0, sizeof(allowed), &allowed);
		known = true;
	}
	for (i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &allowed) && !cpu--)
			break;
	}
	if (i == CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(i, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}
