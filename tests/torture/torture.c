// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds, threads and figures, see torture.h
 */
#include "torture.h"

#include <linux/array_size.h>
#include <linux/minmax.h>

#include <argp.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

enum { EXIT_CLEAN, EXIT_FAILED, EXIT_USAGE };

struct options options = {
	.walkers = 2,
	.changers = 2,
	.duration = 60,
	.seed = 1,
};

static const struct world *const worlds[] = {
	&list_world, &vtd_world, &smmuv3_world, &amd_world, &riscv_world,
};
#define NR_MODELS	(ARRAY_SIZE(worlds) - 1)

static const struct world *only;

static const char *const op_names[NR_OPS] = {
	[OP_FLUSH] = "flush",
	[OP_WALK] = "walk by hand",
	[OP_ATTACH] = "attach",
	[OP_ATTACH_NEST] = "attach a nest",
	[OP_DETACH] = "detach",
	[OP_DETACH_NEST] = "detach a nest",
	[OP_HAND_OVER] = "hand over",
	[OP_ATS_ON] = "ATS on",
	[OP_ATS_OFF] = "ATS off",
	[OP_FIND_TAG] = "find a tag",
	[OP_LOCKED] = "look, locked",
	[OP_DRAIN] = "drain",
	[OP_NEW_DOMAIN] = "new S1 domain",
	[OP_REMOVE_IOMMU] = "remove an IOMMU",
	[OP_FENCE] = "fence",
	[OP_SILENT] = "device falls silent",
	[OP_ASIDE] = "set aside",
	[OP_BLOCKED] = "blocked",
	[OP_RESET] = "reset and resume",
	[OP_NO_MEMORY] = "make an allocation fail",
	[OP_MAP] = "map",
	[OP_UNMAP] = "unmap",
	[OP_DMA] = "DMA",
};

static struct thread threads[MAX_THREADS];
static u32 nr_threads;
static bool stopping;
static unsigned long failures;
static u64 round_seed, seed_state;
static u64 done[NR_OPS];		/* in the rounds before */

struct thread *thread_add(const char *name, void (*step)(struct thread *thread),
			  void *priv, u32 steps_per_nap)
{
	struct thread *thread = &threads[nr_threads++];

	memset(thread, 0, sizeof(*thread));
	thread->name = name;
	thread->nr = nr_threads - 1;
	thread->step = step;
	thread->priv = priv;
	thread->steps_per_nap = steps_per_nap;
	thread->rng = next_random(&seed_state);
	return thread;
}

void torture_fail(const char *fmt, ...)
{
	va_list ap;

	if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) < 10) {
		flockfile(stderr);
		fprintf(stderr, "torture: FAILED: ");
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fputc('\n', stderr);
		funlockfile(stderr);
	}
	torture_stop();
}

void torture_stop(void)
{
	WRITE_ONCE(stopping, true);
}

bool torture_failed(void)
{
	return READ_ONCE(failures);
}

bool torture_stopping(void)
{
	return READ_ONCE(stopping);
}

static void nap(u32 us)
{
	const struct timespec time = { .tv_nsec = us * 1000L };

	nanosleep(&time, NULL);
}

static void *thread_run(void *arg)
{
	struct thread *thread = arg;
	u32 i;

	serial_enter(thread->nr);
	for (i = 1; !READ_ONCE(stopping); i++) {
		thread->step(thread);
		serial_yield();
		if (!options.serial && thread->steps_per_nap && i % thread->steps_per_nap == 0)
			nap(50 + random_below(thread, 150));
	}
	serial_leave(thread->nr);
	return NULL;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static u64 ops_of(enum op op)
{
	u64 nr = done[op];
	u32 i;

	for (i = 0; i < nr_threads; i++)
		nr += READ_ONCE(threads[i].ops[op]);
	return nr;
}

static u64 nr_walks(void)
{
	return ops_of(OP_FLUSH) + ops_of(OP_WALK);
}

static u64 nr_changes(void)
{
	u64 nr = 0;
	u32 op;

	for (op = OP_ATTACH; op < OP_DMA; op++)
		nr += ops_of(op);
	return nr;
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long size, pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%ld %ld", &size, &pages) != 2)
		pages = 0;
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void show_progress(double begin, const char *name, bool tty)
{
	static double before;
	static u64 walks_before;
	double time = now();
	u64 walks = nr_walks();

	if (!before)
		before = begin;
	fprintf(stderr, "%s%.0f of %u s, %s, seed 0x%" PRIx64 ": %.1f M walks (%.2f M/s), "
		"%.1f M changes, %.1f M DMA, %lu KiB resident, %lu failures%s",
		tty ? "\r" : "", time - begin, options.duration, name, (uint64_t)round_seed,
		(double)walks / 1e6, (double)(walks - walks_before) / 1e6 / (time - before),
		(double)nr_changes() / 1e6, (double)ops_of(OP_DMA) / 1e6, resident_kib(),
		READ_ONCE(failures), tty ? "  " : "\n");
	before = time;
	walks_before = walks;
}

static void run_round(const struct world *world, double begin, double end)
{
	bool tty = isatty(STDERR_FILENO);
	double step = tty ? 1 : 10, next = now() + step;
	u64 digest, turns;
	u32 i, op;

	seed_state = round_seed;
	nr_threads = 0;
	stopping = false;
	world->setup(world);
	if (options.serial)
		serial_begin(nr_threads, round_seed, options.serial);
	for (i = 0; i < nr_threads; i++) {
		if (pthread_create(&threads[i].pthread, NULL, thread_run, &threads[i])) {
			perror("torture: cannot start a thread");
			exit(EXIT_USAGE);
		}
	}
	serial_go();
	while ((options.serial || now() < end) && !READ_ONCE(stopping)) {
		nap(100000);
		if (now() < next)
			continue;
		show_progress(begin, world->name, tty);
		next += step;
	}
	torture_stop();
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i].pthread, NULL);
	if (options.serial) {
		digest = serial_end(&turns);
		printf("serial: seed 0x%" PRIx64 ", %llu turns, digest 0x%016llx\n",
		       (uint64_t)round_seed, turns, digest);
	}
	for (op = 0; op < NR_OPS; op++)
		done[op] = ops_of(op);
	nr_threads = 0;
	world->finish();
	if (failures)
		fprintf(stderr, "torture: again: --only=%s --seed=0x%" PRIx64 "%s\n", world->name,
			(uint64_t)round_seed, options.serial ? " and the same --serial" : "");
}

/* Every second one is the list's. */
static const struct world *world_of(u32 round)
{
	return worlds[round % 2 ? 1 + round / 2 % NR_MODELS : 0];
}

static int run(void)
{
	unsigned long bytes = shim_live_bytes();
	double begin = now(), end = begin + options.duration, seconds;
	long resident = 0;
	u32 round, op, i;

	round_seed = options.seed;
	printf("torture: seed 0x%" PRIx64 ", %u s, %u walkers, %u changers\n",
	       (uint64_t)round_seed, options.duration, options.walkers, options.changers);
	fflush(stdout);
	for (round = 0; now() < end && !failures; round++) {
		double round_end = now() + options.round;

		if (round)
			next_random(&round_seed);
		run_round(only ? only : world_of(round), begin,
			  round_end < end ? round_end : end);
		if (round < 2 * NR_MODELS)
			resident = resident_kib();
	}
	seconds = now() - begin;

	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	printf("%.0f s, %u rounds, %llu walks, %.0f walks/s\n", seconds, round, nr_walks(),
	       (double)nr_walks() / seconds);
	for (op = 0; op < NR_OPS; op++)
		printf("  %-28s %14llu\n", op_names[op], done[op]);
	for (i = 0; i < ARRAY_SIZE(worlds); i++) {
		if (worlds[i]->report && (!only || only == worlds[i]))
			worlds[i]->report(worlds[i]);
	}
	printf("memory: %lu bytes before, %lu after; %ld KiB resident after the first rounds, "
	       "%ld KiB now\n", bytes, shim_live_bytes(), resident, resident_kib());
	printf("failures: %lu\n", failures);
	return failures ? EXIT_FAILED : EXIT_CLEAN;
}

static const char doc[] =
	"Tortures the attach list, and the example drivers on the models.\v"
	"Seconds may be given as 90, 90s, 15m or 2h.\n"
	"Each round of a run prints its seed when it fails; given as --seed with --only it is "
	"the first round of a run: the threads do the same again, in an order that is "
	"the machine's. With --serial, which is for the list only, one thread runs at a time, "
	"and a seed replays turn by turn.\n"
	"Exit status: 0 clean, 1 a failure was found, 2 bad usage.";

static const struct argp_option argp_options[] = {
	{ "seed", 's', "N", 0, "Of the first round (default 1)", 0 },
	{ "duration", 'd', "SECONDS", 0, "Of all rounds (default 60)", 0 },
	{ "round", 'r', "SECONDS", 0, "Of one round (default 20, less in a short run)", 0 },
	{ "walkers", 'w', "N", 0, "1..16 (default 2)", 0 },
	{ "changers", 'c', "N", 0, "1..4 (default 2)", 0 },
	{ "only", 'o', "WORLD", 0, "list, vtd, smmuv3, amd or riscv", 0 },
	{ "serial", 'S', "TURNS", 0, "One thread at a time; so many turns in a round", 0 },
	{ 0 },
};

static u64 number(struct argp_state *state, const char *name, const char *arg, u64 first,
		  u64 last)
{
	char *end;
	u64 value = strtoull(arg, &end, 0);

	if (!*arg || *arg == '-' || *end || value < first || value > last)
		argp_error(state, "--%s: expected a number, %llu to %llu, not '%s'", name, first,
			   last, arg);
	return value;
}

static u32 seconds(struct argp_state *state, const char *name, const char *arg)
{
	static const struct { char unit; u32 seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 },
	};
	size_t len = strlen(arg), i;
	char digits[16] = "";

	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (len < 2 || len > 9 || arg[len - 1] != units[i].unit)
			continue;
		memcpy(digits, arg, len - 1);
		return number(state, name, digits, 1, 9999999 / units[i].seconds) *
		       units[i].seconds;
	}
	return number(state, name, arg, 1, 9999999);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	u32 i;

	switch (key) {
	case 's':
		options.seed = number(state, "seed", arg, 0, UINT64_MAX);
		return 0;
	case 'd':
		options.duration = seconds(state, "duration", arg);
		return 0;
	case 'r':
		options.round = seconds(state, "round", arg);
		return 0;
	case 'w':
		options.walkers = number(state, "walkers", arg, 1, 16);
		return 0;
	case 'c':
		options.changers = number(state, "changers", arg, 1, 4);
		return 0;
	case 'o':
		for (i = 0; i < ARRAY_SIZE(worlds); i++) {
			if (!strcmp(arg, worlds[i]->name))
				only = worlds[i];
		}
		if (!only)
			argp_error(state, "--only: expected list, vtd, smmuv3, amd or riscv, not '%s'", arg);
		return 0;
	case 'S':
		options.serial = number(state, "serial", arg, 1, UINT64_MAX);
		return 0;
	case ARGP_KEY_END:
		if (options.serial && only != &list_world)
			argp_error(state, "--serial: expected --only=list with it");
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "expected options only, not '%s'", arg);
	}
	return ARGP_ERR_UNKNOWN;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, NULL, doc, NULL, NULL, NULL,
	};
	int ret;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);

	/* So that each world has its turn. */
	if (!options.round)
		options.round = clamp(options.duration / (2 * (u32)NR_MODELS), 1U, 20U);
	/* What is freed is not what it was. */
	mallopt(M_PERTURB, 0x5a);
	ret = run();
	fflush(stdout);
	/* After a failure nothing was taken down: that is no leak. */
	_exit(ret);
}
