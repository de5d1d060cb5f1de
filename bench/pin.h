/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_PIN_H
#define BENCH_PIN_H

#include <linux/types.h>

/* The calling thread; nothing is done if there are not so many CPUs. */
void pin_thread(u32 cpu);

#endif /* BENCH_PIN_H */
