/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the invalidations of a log cost: how many, how long, for whom. Memory does not grow
 * with the log.
 */
#ifndef ALIST_PROFILE_H
#define ALIST_PROFILE_H

#include "rebuild.h"
#include "trace.h"

/*
 * Durations in nanoseconds: 8 buckets for each power of two, so that a quantile is off by
 * at most an eighth.
 */
#define TIMES_BUCKETS	(64 * 8)

struct times {
	uint64_t nr, sum, max;
	uint32_t bucket[TIMES_BUCKETS];
};

void times_add(struct times *times, uint64_t ns);
/* The upper end of the bucket that has it. @share: 0.5, 0.99; 0 if there are none. */
uint64_t times_quantile(const struct times *times, double share);
/* First value of a bucket; of one more: the end of it. */
uint64_t times_bucket_ns(unsigned int bucket);

#define TIMES_POWERS	(TIMES_BUCKETS / 8)

/* A histogram by powers of two: @number[@first] to @number[@last], @most in one. */
struct times_powers {
	uint64_t number[TIMES_POWERS];
	unsigned int first, last;
	uint64_t most;
};

/* @times is not empty. */
struct times_powers times_powers(const struct times *times);

/* A part of the time of the log, all of the same length. */
struct slice {
	uint64_t maps, unmaps, bytes;
	uint64_t flushes, flush_ns;
	uint64_t waits, wait_ns;
	uint64_t iotlb, atc;
};

#define SLICES_MAX	256

/* A line of a table. */
struct cost_row {
	char name[64];
	uint64_t maps, unmaps, bytes;
	uint64_t flushes, flush_ns;
	uint64_t waits, wait_ns;
	uint64_t iotlb, atc;
};

enum cost_table {
	BY_DOMAIN,
	BY_DEVICE,
	BY_IOMMU,
	BY_TASK,
	COST_TABLES,
};

extern const char *const cost_table_names[COST_TABLES];

/* Rows of a table; what there is more of is in the last one. */
#define ROWS_MAX	1024

/* Up to 1 byte, 2, 4 .. 2^64. */
#define SIZES	65

struct profile {
	char note[512];			/* of alist record */
	enum model_vendor vendor;	/* MODEL_VENDORS: no commands in the log */
	enum trace_clock clock;
	uint64_t wall_ns;		/* of all runs */
	unsigned int nr_runs;
	uint64_t events, lost;
	uint64_t maps, unmaps, map_bytes, unmap_bytes;
	uint64_t sizes[SIZES];		/* unmaps by the power of two they are up to */
	struct burst_count recorded;
	struct times flush;		/* from begin to end, where the log has them */
	struct times wait;
	struct times reach;		/* from an unmap to its last command: less than a flush */
	struct times delay;		/* from an unmap to the flush of everything it waits for */
	uint64_t strict, lazy, unflushed;	/* unmaps */
	uint64_t flushes;		/* as rebuilt, if the log has no begins */
	/* What waits that overlap would save: computed. */
	uint64_t overlap_ns, overlap_flushes;
	/* What the list would have sent for the same; from the models. */
	bool list_known;
	struct burst_count list, driver;
	struct slice slices[SLICES_MAX];
	unsigned int nr_slices;
	uint64_t slice_ns;
	struct cost_row *rows[COST_TABLES];	/* the costly ones first */
	unsigned int nr_rows[COST_TABLES];
};

/* Return: the profile, or NULL after alist_error(). */
struct profile *profile_log(const char *path);
void profile_destroy(struct profile *profile);
/* Flushes by their begins, or else as they were rebuilt. */
uint64_t profile_flushes(const struct profile *profile);
bool profile_has_times(const struct profile *profile);

#endif /* ALIST_PROFILE_H */
