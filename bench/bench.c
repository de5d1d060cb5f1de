// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bench: the attach list beside the code that it replaces
 *
 * A run is a list of jobs. --quick has those that the targets are about, the full
 * run goes over all shapes. What is measured is in measure.c, in what layouts in
 * layout.h; report.c prints it. scripts/bench runs the programs built for the two
 * flavours of RCU and puts their results together.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <linux/array_size.h>

#include "measure.h"

#define MiB	(1024UL * 1024)

enum kind { HOT, COLD_L2, COLD_L3, ATTACH, DRAIN, THREADS, CHURN, MEMORY, COUNT };

struct job {
	enum kind kind;
	struct shape shape;
	u32 arg;
};

static struct job jobs[512];
static u32 nr_jobs;

static void job_add(enum kind kind, struct shape shape, u32 arg)
{
	if (nr_jobs == ARRAY_SIZE(jobs)) {
		fprintf(stderr, "bench: more jobs than there is room for\n");
		exit(1);
	}
	jobs[nr_jobs++] = (struct job){ kind, shape, arg };
}

static struct shape shape(u32 n, u32 g, enum atc_use atc)
{
	return (struct shape){ .n = n, .g = g, .atc = atc };
}

static void run_job(const struct effort *effort, const struct job *job)
{
	switch (job->kind) {
	case HOT:
		return measure_hot(effort, job->shape);
	case COLD_L2:
		return measure_cold(effort, job->shape, "cold-l2", 4 * MiB);
	case COLD_L3:
		return measure_cold(effort, job->shape, "cold-l3", 48 * MiB);
	case ATTACH:
		return measure_attach(effort, job->shape);
	case DRAIN:
		return measure_drain(effort, job->arg);
	case THREADS:
		return measure_threads(effort, job->shape);
	case CHURN:
		return measure_churn(effort, job->shape, job->arg);
	case MEMORY:
		return measure_memory(effort, job->shape);
	case COUNT:
		return count_instructions(effort, job->shape);
	}
}

/* What the targets are about. */
static const struct shape target_shapes[] = {
	{ 1, 1, ATC_NONE, false }, { 1, 1, ATC_ALL, false }, { 4, 1, ATC_NONE, false },
	{ 4, 1, ATC_ALL, false }, { 8, 8, ATC_NONE, false }, { 1024, 8, ATC_NONE, false },
	{ 4096, 8, ATC_NONE, false }, { 256, 8, ATC_ALL, false },
	{ 1024, 8, ATC_ALL, false }, { 64, 8, ATC_HALF, false },
	{ 64, 8, ATC_ALL, true },
};

static void plan_quick(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(target_shapes); i++)
		job_add(HOT, target_shapes[i], 0);
	/* For the charts. */
	for (i = 8; i <= 4096; i *= 8)
		job_add(HOT, shape(i, 8, ATC_ALL), 0);
	job_add(COLD_L2, shape(1, 1, ATC_NONE), 0);
	job_add(COLD_L2, shape(4, 1, ATC_NONE), 0);
	job_add(COLD_L2, shape(4, 1, ATC_ALL), 0);
	job_add(COLD_L2, shape(64, 8, ATC_ALL), 0);
	job_add(ATTACH, shape(0, 1, ATC_NONE), 0);
	job_add(ATTACH, shape(4, 1, ATC_NONE), 0);
	job_add(ATTACH, shape(64, 8, ATC_ALL), 0);
	job_add(ATTACH, shape(4096, 64, ATC_ALL), 0);
	job_add(DRAIN, shape(0, 1, ATC_NONE), 1);
	job_add(THREADS, shape(4, 1, ATC_ALL), 0);
	job_add(CHURN, shape(64, 8, ATC_ALL), 1000);
	job_add(CHURN, shape(64, 8, ATC_ALL), 100000);
	job_add(MEMORY, shape(0, 1, ATC_NONE), 0);
	job_add(MEMORY, shape(1, 1, ATC_NONE), 0);
	job_add(MEMORY, shape(64, 8, ATC_ALL), 0);
}

static void plan_full(void)
{
	static const u32 ns[] = { 1, 2, 4, 8, 16, 64, 256, 1024, 4096 };
	static const u32 gs[] = { 1, 2, 8, 64 };
	u32 i, j, atc;

	for (i = 0; i < ARRAY_SIZE(ns); i++) {
		for (j = 0; j < ARRAY_SIZE(gs) && gs[j] <= ns[i]; j++) {
			for (atc = ATC_NONE; atc <= ATC_ALL; atc++) {
				if (atc == ATC_HALF && ns[i] == 1)
					continue;
				job_add(HOT, shape(ns[i], gs[j], atc), 0);
			}
			if (gs[j] == 1 || gs[j] == 64)
				job_add(ATTACH, shape(ns[i], gs[j], ATC_ALL), 0);
			/* Some peers take seconds to attach more. */
			if (ns[i] > 256)
				continue;
			job_add(MEMORY, shape(ns[i], gs[j], ATC_ALL), 0);
			job_add(MEMORY, shape(ns[i], gs[j], ATC_NONE), 0);
		}
		/* Attaching more takes minutes, as do more of the domains below. */
		if (ns[i] <= 4)
			job_add(COLD_L2, shape(ns[i], 1, ATC_NONE), 0);
		if (ns[i] == 1 || ns[i] == 4 || ns[i] == 16 || ns[i] == 64)
			job_add(COLD_L2, shape(ns[i], 1, ATC_ALL), 0);
		job_add(HOT, (struct shape){ ns[i], 1, ATC_ALL, true }, 0);
		if (ns[i] >= 8)
			job_add(HOT, (struct shape){ ns[i], 8, ATC_ALL, true }, 0);
	}
	job_add(ATTACH, shape(0, 1, ATC_NONE), 0);
	job_add(ATTACH, shape(4, 1, ATC_NONE), 0);
	job_add(ATTACH, shape(4096, 64, ATC_NONE), 0);
	job_add(MEMORY, shape(0, 1, ATC_NONE), 0);
	job_add(COLD_L2, shape(64, 8, ATC_ALL), 0);
	job_add(COLD_L3, shape(1, 1, ATC_NONE), 0);
	job_add(COLD_L3, shape(64, 8, ATC_ALL), 0);
	for (i = 1; i <= 1024; i *= 32)
		job_add(DRAIN, shape(0, 1, ATC_NONE), i);
	job_add(THREADS, shape(1, 1, ATC_NONE), 0);
	job_add(THREADS, shape(4, 1, ATC_ALL), 0);
	job_add(THREADS, shape(64, 8, ATC_ALL), 0);
	job_add(CHURN, shape(4, 1, ATC_NONE), 1000);
	job_add(CHURN, shape(4, 1, ATC_NONE), 100000);
	job_add(CHURN, shape(64, 8, ATC_ALL), 1000);
	job_add(CHURN, shape(64, 8, ATC_ALL), 100000);
}

static void plan_count(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(target_shapes); i++)
		job_add(COUNT, target_shapes[i], 0);
}

/* "hot,1024,8,all", ",nests" after it for the parent of nests. */
static bool plan_one(const char *text)
{
	static const char *const kinds[] = { "hot", "cold-l2", "cold-l3", "attach" };
	struct shape one = { .n = 0 };
	char kind[16], atc[8], nests[8] = "";
	u32 i, use;
	int end = 0;

	if (sscanf(text, "%15[^,],%u,%u,%7[^,]%n,%7s%n", kind, &one.n, &one.g, atc, &end,
		   nests, &end) < 4 || text[end])
		return false;
	one.nest = !strcmp(nests, "nests");
	if (!one.g || one.g > MAX_IOMMUS || (*nests && !one.nest))
		return false;
	for (use = ATC_NONE; use <= ATC_ALL; use++) {
		if (!strcmp(atc, atc_names[use]))
			break;
	}
	one.atc = use;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (use <= ATC_ALL && !strcmp(kind, kinds[i])) {
			job_add(i, one, 0);
			return true;
		}
	}
	return false;
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: bench [--quick | --count] [--seed N] [--json FILE] [CELL]...\n"
		"  CELL         only this: hot,N,G,none|half|all[,nests], or cold-l2, cold-l3,\n"
		"               attach instead of hot\n"
		"  --quick      the cells that the targets are about\n"
		"  --count      under callgrind: count instructions instead of time\n"
		"  --seed N     of the order of attaching and of domains (default 1)\n"
		"  --json FILE  all cells\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "count", no_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct effort effort = {
		.seed = 1, .reps = 21, .sample_us = 100, .thread_ms = 20,
	};
	const char *json = NULL;
	bool quick = false, count = false;
	char *end;
	FILE *out;
	u32 i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'q':
			quick = true;
			break;
		case 'c':
			count = true;
			break;
		case 's':
			effort.seed = (u32)strtoul(optarg, &end, 0);
			if (*end || !effort.seed) {
				fprintf(stderr, "bench: --seed %s: a number above 0 is expected\n",
					optarg);
				return 2;
			}
			break;
		case 'j':
			json = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (quick) {
		effort.reps = 15;
		effort.sample_us = 100;
		effort.thread_ms = 10;
	}
	for (; optind < argc; optind++) {
		if (!plan_one(argv[optind])) {
			fprintf(stderr, "bench: %s: no cell; hot,1024,8,all is one\n",
				argv[optind]);
			return 2;
		}
	}
	if (nr_jobs)
		;
	else if (count)
		plan_count();
	else if (quick)
		plan_quick();
	else
		plan_full();

	pin_thread(0);
	shim_rcu_register();
	for (i = 0; i < nr_jobs; i++) {
		report_progress(i, nr_jobs);
		run_job(&effort, &jobs[i]);
	}
	report_progress(nr_jobs, nr_jobs);
	if (count)
		return 0;

	printf("seed %u\n", effort.seed);
	report_table(stdout);
	if (json) {
		out = fopen(json, "w");
		if (!out) {
			perror(json);
			return 1;
		}
		report_json(out);
		if (fclose(out)) {
			perror(json);
			return 1;
		}
	}
	return 0;
}
