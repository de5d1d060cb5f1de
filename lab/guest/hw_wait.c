// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an unmap waits for: hw_wait [MILLISECONDS]
 *
 * A domain over 1, 2, 4, .. units, each of which takes 40 ms for each command, or MILLISECONDS if
 * the driver would give up. One unit alone shows how long its commands take; several that work at
 * the same time must not take longer than the slowest of them alone.
 */
#include <stdio.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define COMMAND_MS	40
#define SLOW		3		/* the last unit, times that */
#define REPEATS		5		/* at least */
#define MORE_BOUNDS	15		/* of time, after the last that was shorter by 1% */
#define BOUND		1.15		/* of what the slowest takes alone */

static struct hardware hw;
static char *mem;
static uint64_t command_ns = COMMAND_MS * 1000000UL;

/*
 * The shortest of some, in ns: what else the host does makes them longer. While that is above
 * @bound it may be the host's doing, and more are tried for as long as they get shorter: units
 * that wait for each other make all of them longer.
 */
static uint64_t unmap_time(uint64_t bound)
{
	uint64_t best = UINT64_MAX, until = 0;
	int times = 0;

	while (times++ < REPEATS || (best > bound && now_ns() < until)) {
		uint64_t took;
		bool shorter;

		map(&hw.space, mem, IOVA, SZ_4K);
		took = now_ns();
		unmap(&hw.space, IOVA, SZ_4K);
		took = now_ns() - took;
		shorter = took < best - best / 100;
		if (took < best)
			best = took;
		if (shorter)
			until = now_ns() + MORE_BOUNDS * bound;
	}
	return best;
}

static void attach_units(int first, int last)
{
	int unit;

	domain_alloc(&hw.space, &hw_first(&hw, first)->device);
	for (unit = first; unit <= last; unit++)
		attach(&hw_first(&hw, unit)->device, &hw.space);
}

/* Does the kernel let units share a domain? */
static bool units_share(void)
{
	bool shared;

	domain_alloc(&hw.space, &hw_first(&hw, 0)->device);
	attach(&hw_first(&hw, 0)->device, &hw.space);
	shared = share(hw_first(&hw, 1), &hw.space);
	if (shared)
		detach(&hw_first(&hw, 1)->device);
	detach(&hw_first(&hw, 0)->device);
	domain_free(&hw.space);
	return shared;
}

static void detach_units(int first, int last)
{
	int unit;

	set_latency(&hw, -1, 0);
	for (unit = first; unit <= last; unit++)
		detach(&hw_first(&hw, unit)->device);
	domain_free(&hw.space);
}

static void report(int units, bool slower, uint64_t took, uint64_t alone)
{
	char name[64], number[32];

	if (units == 1)
		snprintf(name, sizeof(name), "unmap over a unit");
	else
		snprintf(name, sizeof(name), "unmap over %d units%s", units,
			 slower ? ", one of them slower" : "");
	/* What is charted has its number of units. */
	snprintf(number, sizeof(number), ", \"units\": %d", units);
	report_case(name, "\"ms\": %.1f, \"of_slowest\": %.2f, \"bound_of_slowest\": %.2f%s",
		    took / 1e6, (double)took / alone, BOUND, slower ? "" : number);
}

int main(int argc, char **argv)
{
	uint64_t alone, took;
	int units;

	if (argc > 1)
		command_ns = number(argv[1]) * 1000000;
	hw_open(&hw, 1);
	mem = memory(SZ_4K);

	attach_units(0, 0);
	set_latency(&hw, -1, command_ns);
	alone = unmap_time(UINT64_MAX);
	detach_units(0, 0);
	report(1, false, alone, alone);
	if (!units_share()) {
		report_case("units behind one domain", "\"wrong_refused\": 1");
		return 0;
	}
	for (units = 2; units <= hw.units; units *= 2) {
		attach_units(0, units - 1);
		set_latency(&hw, -1, command_ns);
		took = unmap_time(BOUND * alone);
		detach_units(0, units - 1);
		report(units, false, took, alone);
	}

	/* One is slower than the others. */
	units = hw.units;
	attach_units(units - 1, units - 1);
	set_latency(&hw, units - 1, SLOW * command_ns);
	alone = unmap_time(UINT64_MAX);
	detach_units(units - 1, units - 1);
	attach_units(0, units - 1);
	set_latency(&hw, -1, command_ns);
	set_latency(&hw, units - 1, SLOW * command_ns);
	took = unmap_time(BOUND * alone);
	detach_units(0, units - 1);
	report(units, true, took, alone);
	return 0;
}
