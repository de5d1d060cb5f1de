/* SPDX-License-Identifier: GPL-2.0-only */
/* Two ways to print what a log cost, apart from text. */
#ifndef ALIST_COST_H
#define ALIST_COST_H

#include <stdio.h>

#include "profile.h"

/* One page, with all that it needs in it. @top: rows of each table. */
void cost_html(FILE *out, const char *path, const struct profile *profile, unsigned int top);

/* "12.3 us", or "12300" if the clock of the log counts; "-" for nothing measured. */
const char *cost_time(const struct profile *profile, uint64_t ns, bool known, char *buf,
		      size_t size);
/* "17"; "-" for what the log does not tell. */
const char *cost_number(uint64_t n, bool known, char *buf, size_t size);
/* Whether the rows of @table have flushes and waits: the log has begin and end of them. */
bool cost_has_flushes(const struct profile *profile, enum cost_table table);
bool cost_has_waits(const struct profile *profile, enum cost_table table);
/* The log has neither completion waits nor their begin and end: how many is a guess. */
bool cost_infers_waits(const struct profile *profile);
/* The head and the tail of a name that is longer than @width; @buf has room for that. */
void cost_shorten(char *buf, const char *name, size_t width);
/* "64 KiB" */
const char *cost_bytes(double bytes, char *buf, size_t size);
/* The driver and how much log there is, in a line. */
void cost_title(const struct profile *profile, char *buf, size_t size);
/* "12.3" a second; "-" if the clock of the log counts. */
const char *cost_rate(const struct profile *profile, uint64_t nr, char *buf, size_t size);
/* The share of one CPU's time, as "1.28%"; "-" likewise. */
const char *cost_share(const struct profile *profile, uint64_t ns, char *buf, size_t size);

/* What is printed of the times of one kind. */
struct cost_times {
	const char *rate, *sum, *share, *p50, *p99, *max;
	char words[6][32];
};

void cost_times(const struct profile *profile, const struct times *times,
		struct cost_times *texts);

#endif /* ALIST_COST_H */
