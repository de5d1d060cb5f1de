/* SPDX-License-Identifier: GPL-2.0-only */
/* How each kind of cell is measured. All verify what they measure first. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "pin.h"
#include "report.h"

struct effort {
	u32 seed;
	u32 reps;		/* samples of each cell, the layouts taking turns */
	u32 sample_us;		/* time of one */
	u32 thread_ms;		/* the same, of several threads */
};

/* The same domain again and again. Walk and flush. */
void measure_hot(const struct effort *effort, struct shape shape);
/*
 * Each domain in turn. There are so many that the floor's fill @bytes. @state: their
 * name in the report.
 */
void measure_cold(const struct effort *effort, struct shape shape,
		  const char *state, size_t bytes);
/* Attach one to a domain of N, detach it, and both together for one of the N. */
void measure_attach(const struct effort *effort, struct shape shape);
/* The wait after @n detaches, by one who walks meanwhile. */
void measure_drain(const struct effort *effort, u32 n);
/* The same domain by one thread and by two. Walk and flush. */
void measure_threads(const struct effort *effort, struct shape shape);
/* A walk while another thread detaches and attaches so many times a second. */
void measure_churn(const struct effort *effort, struct shape shape, u32 rate);
/* Bytes and allocations. */
void measure_memory(const struct effort *effort, struct shape shape);
/*
 * For callgrind, which must run this program: instructions of a walk and a flush,
 * written by it to one file a cell, named in its "desc: Trigger" line.
 */
void count_instructions(const struct effort *effort, struct shape shape);

#endif /* BENCH_MEASURE_H */
