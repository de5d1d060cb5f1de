/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_CPUMASK_H
#define _LINUX_CPUMASK_H

/* As many as it takes: threads that wait take turns on one CPU, too. */
#define num_online_cpus()	2U

#endif
