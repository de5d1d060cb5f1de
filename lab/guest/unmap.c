// SPDX-License-Identifier: GPL-2.0-only
/*
 * What map, unmap, attach and detach cost when one domain has 1, 2, 4, … devices.
 *
 *	unmap count IDS		commands, as the kernel's tracepoints see them
 *	unmap instructions IDS	instructions: the counter of a machine that runs one
 *				instruction a nanosecond (-icount shift=0), x86's TSC or
 *				arm64's virtual counter; an interrupted operation is
 *				repeated
 *	unmap irqsoff IDS [SHIFT]
 *				instructions of the longest section with interrupts
 *				off that a flush has, from the kernel's irq tracepoints;
 *				each takes 2^SHIFT nanoseconds, 1 unless said
 *
 * IDS are "vendor:device,…". Each line of the result is one cell of the report: the
 * sum over the operations for counts, the mean of them for instructions, the longest
 * for sections with interrupts off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"

#define OPS		11
#define MANY_OPS	64	/* so that what is done once in many is in the mean */
#define MAX_DISTURBED	1000
#define IOVA		0x10000000UL
#define FAR_IOVA	0x4000000000UL
/* Instructions; others have no such clock, and get microseconds. */
#ifdef __x86_64__
#define TRACE_CLOCK	"x86-tsc"
#else
#define TRACE_CLOCK	"local"
#endif

enum what { COUNT, INSTRUCTIONS, IRQSOFF };

static const struct {
	const char *name;
	uint64_t size;		/* 0: two mappings far apart, gone in one call */
} sizes[] = {
	{ "4k", SZ_4K }, { "64k", SZ_64K }, { "2m", SZ_2M }, { "all", 0 },
};

static enum what what;
static uint64_t interrupts, started, took, ticks;
static int disturbed;
static unsigned long shift;	/* an instruction takes 2^shift ns */

static uint64_t ticks_now(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t frequency, now;

	asm volatile("isb\n\tmrs %0, cntvct_el0\n\tmrs %1, cntfrq_el0"
		     : "=r" (now), "=r" (frequency));
	if (frequency != 1000000000)
		fail("the counter has %llu ticks a second, 1000000000 are expected",
		     (unsigned long long)frequency);
	return now;
#else
	fail("which counter runs at one tick a nanosecond?");
#endif
}

static void begin(void)
{
	switch (what) {
	case COUNT:
		count_begin();
		break;
	case IRQSOFF:
		irqsoff_begin();
		break;
	case INSTRUCTIONS:
		interrupts = interrupts_now();
		started = ticks_now();
	}
}

/* Return: false if an interrupt came into what was measured. */
static bool end(void)
{
	switch (what) {
	case COUNT:
		count_end();
		return true;
	case IRQSOFF:
		irqsoff_end();
		return true;
	case INSTRUCTIONS:
	default:
		took = ticks_now() - started;
		return interrupts_now() == interrupts;
	}
}

/* Prints what was measured since reset(), unless an interrupt came into all of it. */
static void result(const char *op, const char *size, int n, int ops)
{
	struct counts counts;

	if (!ops)
		return;
	printf("RESULT {\"workload\": \"%s%s%s\", \"n\": %d, \"ops\": %d, ", op,
	       *size ? "-" : "", size, n, ops);
	if (what == COUNT) {
		count_read(&counts);
		printf("\"marks\": %d, \"iotlb\": %lu, \"atc\": %lu, \"sync\": %lu, \"other\": %lu}\n",
		       ops, counts.iotlb, counts.atc, counts.sync, counts.other);
	} else if (what == IRQSOFF) {
		printf("\"irqsoff\": %llu}\n", (unsigned long long)irqsoff_longest() >> shift);
	} else {
		printf("\"instructions\": %llu}\n", (unsigned long long)(ticks / ops));
	}
}

static void reset(void)
{
	ticks = 0;
	if (what != INSTRUCTIONS)
		count_reset();
}

static void map_size(const struct space *space, char *mem, uint64_t size)
{
	if (size) {
		map(space, mem, IOVA, size);
	} else {
		map(space, mem, IOVA, SZ_64K);
		map(space, mem, FAR_IOVA, SZ_2M);
	}
}

static void unmap_size(const struct space *space, uint64_t size)
{
	if (size)
		unmap(space, IOVA, size);
	else
		unmap(space, 0, UINT64_MAX);
}

/*
 * Adds the operation to those that are done, or leaves it to be done again; attaches and detaches
 * are not: the mean is that of the others.
 */
static void take(bool undisturbed, int *done)
{
	if (undisturbed) {
		ticks += took;
		++*done;
	} else if (++disturbed > MAX_DISTURBED) {
		fail("an interrupt comes into nearly every operation");
	}
}

static void measure(const struct space *space, char *mem, int n)
{
	int ops = what == INSTRUCTIONS ? MANY_OPS : OPS;
	int done;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		reset();
		for (done = 0; done < ops;) {
			begin();
			map_size(space, mem, sizes[i].size);
			take(end(), &done);
			unmap_size(space, sizes[i].size);
		}
		result("map", sizes[i].name, n, ops);

		reset();
		for (done = 0; done < ops;) {
			map_size(space, mem, sizes[i].size);
			begin();
			unmap_size(space, sizes[i].size);
			take(end(), &done);
		}
		result("unmap", sizes[i].name, n, ops);
	}
}

static void move(bool attaches, const struct space *space, struct device *devices, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (attaches)
			attach(&devices[i], space);
		else
			detach(&devices[i]);
	}
}

/*
 * All devices are attached, or detached, one after the other. For instructions this is done
 * several times: what the kernel frees behind a grace period is not there for the next attach,
 * and now and then one of them has to fill a slab.
 */
static void measure_moves(const char *op, const struct space *space, struct device *devices, int n)
{
	int ops = what == INSTRUCTIONS ? MANY_OPS : 1;
	bool attaches = !strcmp(op, "attach");
	int done = 0, i;

	reset();
	for (;;) {
		for (i = 0; i < n; i++) {
			begin();
			move(attaches, space, &devices[i], 1);
			take(end(), &done);
		}
		if (done >= ops)
			break;
		move(!attaches, space, devices, n);
	}
	result(op, "", n, done);
}

int main(int argc, char **argv)
{
	struct device devices[MAX_DEVICES];
	struct space space;
	int have, n;
	char *mem;

	if (argc != 3 && (argc != 4 || strcmp(argv[1], "irqsoff")))
		fail("usage: unmap count|instructions IDS, or unmap irqsoff IDS [SHIFT]");
	if (!strcmp(argv[1], "count"))
		what = COUNT;
	else if (!strcmp(argv[1], "instructions"))
		what = INSTRUCTIONS;
	else if (!strcmp(argv[1], "irqsoff"))
		what = IRQSOFF;
	else
		fail("%s: count, instructions or irqsoff is expected", argv[1]);
	if (argc == 4)
		shift = number(argv[3]);

	mem = what == COUNT ? scattered_memory(SZ_2M) : memory(SZ_2M);
	space_open(&space);
	have = open_devices(argv[2], devices, MAX_DEVICES, &space);
	if (what == COUNT)
		count_init();
	if (what == IRQSOFF)
		irqsoff_init(TRACE_CLOCK);

	/* Once for what is allocated at the first time only. */
	for (n = 1; n <= have; n *= 2) {
		domain_alloc(&space, &devices[0]);
		move(true, &space, devices, n);
		move(false, &space, devices, n);
		domain_free(&space);
	}

	for (n = 1; n <= have; n *= 2) {
		domain_alloc(&space, &devices[0]);
		measure_moves("attach", &space, devices, n);
		measure(&space, mem, n);
		measure_moves("detach", &space, devices, n);
		domain_free(&space);
	}
	return 0;
}
