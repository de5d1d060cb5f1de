// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long an unmap has interrupts off: hw_irqsoff [MILLISECONDS]
 *
 * A domain over all units, each of which takes 40 ms for each command, or MILLISECONDS if the
 * driver would give up. The longest section with interrupts off that a function of the driver has
 * during an unmap is compared with the time of one command: a wait with interrupts off takes
 * longer.
 *
 * On one CPU, which the host may take away in the middle of a section: unmaps are repeated until
 * the section is short.
 */
#include <stdio.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define COMMAND_MS	40
#define REPEATS		10
#define BOUND		0.5		/* of a command's time */
#define DEAF		"/sys/module/hwpci/parameters/deaf"

static struct hardware hw;
static char *mem;

static uint64_t section_of_unmap(uint64_t bound)
{
	uint64_t best = UINT64_MAX;
	int i;

	for (i = 0; i < REPEATS && best > bound; i++) {
		uint64_t section;

		map(&hw.space, mem, IOVA, SZ_4K);
		count_reset();
		irqsoff_begin();
		unmap(&hw.space, IOVA, SZ_4K);
		irqsoff_end();
		section = irqsoff_longest();
		if (section < best)
			best = section;
	}
	return best;
}

/* The kernel's module has interrupts off for as long as a command takes. */
static uint64_t section_of_module(const char *milliseconds)
{
	count_reset();
	irqsoff_begin();
	write_file(DEAF, milliseconds);
	irqsoff_end();
	return irqsoff_longest();
}

int main(int argc, char **argv)
{
	uint64_t command_ns, section;
	char text[32];

	snprintf(text, sizeof(text), "%lu", argc > 1 ? number(argv[1]) : COMMAND_MS);
	command_ns = number(text) * 1000000;
	hw_open(&hw, 1);
	mem = memory(SZ_4K);
	domain_alloc(&hw.space, &hw.function[0].device);
	hw_share(&hw);
	irqsoff_init("mono");

	set_latency(&hw, -1, command_ns);
	section = section_of_unmap((uint64_t)(BOUND * command_ns));
	set_latency(&hw, -1, 0);
	report_case("interrupts off in an unmap", "\"ms\": %.2f, \"of_a_command\": %.2f, "
		    "\"bound_of_a_command\": %.2f", section / 1e6,
		    (double)section / command_ns, BOUND);
	section = section_of_module(text);
	report_case("interrupts off for as long as a command takes", "\"fired\": %d, "
		    "\"ms\": %.2f", section > BOUND * command_ns, section / 1e6);
	return 0;
}
