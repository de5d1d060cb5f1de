/* SPDX-License-Identifier: GPL-2.0-only */
/* What was measured: kept until the end, when the ratios are known. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "set.h"

enum unit { UNIT_NS, UNIT_BYTES, UNIT_ALLOCATIONS };

struct cell {
	const struct layout *layout;
	const char *op;
	const char *state;
	struct shape shape;
	u32 threads;
	enum unit unit;
	double value;		/* the median */
	double spread;		/* between the quartiles, as a part of the median */
};

/* Strings must stay. */
void report_add(const struct cell *cell);
/* The median and spread of @nr samples, which are sorted. */
void report_samples(struct cell *cell, double *samples, u32 nr);

void report_progress(u32 done, u32 total);
void report_table(FILE *out);
void report_json(FILE *out);

#endif /* BENCH_REPORT_H */
