// SPDX-License-Identifier: GPL-2.0-only
/*
 * A unit refuses a command: hw_error
 *
 * For each position among the commands that an unmap sends to one unit, the unit refuses the
 * one there, once: the queue stops with an invalidation queue error. The unmap has to come
 * back, and what the other commands were for must be gone. Where nobody clears the error, the
 * unit does so itself after a while: that is counted as a hang.
 */
#include <stdio.h>
#include <unistd.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define PATIENCE_NS	400000000UL
#define MAX_POSITIONS	16

static struct hardware hw;
static unsigned long sent(int unit)
{
	unsigned long all = 0;
	int type;

	for (type = 0; type < 16; type++)
		all += control_get(&hw, unit, HW_COUNT(type));
	return all;
}

int main(void)
{
	uint64_t *mem;
	unsigned long before;
	unsigned int positions, at;
	int i;

	hw_open(&hw, 0);
	mem = memory(SZ_4K);
	*mem = 0x1234;
	domain_alloc(&hw.space, &hw.function[0].device);
	for (i = 0; i < hw.functions; i++)
		attach(&hw.function[i].device, &hw.space);

	control_set(&hw, 0, HW_PATIENCE, PATIENCE_NS);

	map(&hw.space, mem, IOVA, SZ_4K);
	before = sent(0);
	unmap(&hw.space, IOVA, SZ_4K);
	positions = sent(0) - before;
	if (!positions || positions > MAX_POSITIONS)
		fail("an unmap sends %u commands", positions);

	for (at = 0; at < positions; at++) {
		unsigned long stale, through = 0, hits, errors;
		unsigned long hangs;
		char name[64];

		map(&hw.space, mem, IOVA, SZ_4K);
		for (i = 0; i < hw.functions; i++)
			expect_data(&hw.function[i], PASID_NONE, IOVA, 0x1234);
		errors = control_get(&hw, 0, HW_ERRORS);
		trouble(&hw, 0, HW_REFUSE, TYPES_ALL, at, 1);
		hangs = control_get(&hw, 0, HW_RESCUES);
		unmap(&hw.space, IOVA, SZ_4K);
		hangs = control_get(&hw, 0, HW_RESCUES) - hangs;
		hits = control_get(&hw, 0, HW_TROUBLE_HITS);
		trouble(&hw, 0, 0, 0, 0, 0);
		errors = control_get(&hw, 0, HW_ERRORS) - errors;
		/*
		 * A fault that was cleared reads as set until the service looks again, which
		 * real units do not do: the driver may take it for a second one and give up
		 * before the rest is executed. What matters is that it is.
		 */
		for (i = 0; i < 100 && look(&hw) > 1; i++)
			usleep(5000);
		stale = look(&hw);
		for (i = 0; i < hw.functions; i++)
			through += dma_read(&hw.function[i], PASID_NONE, IOVA).ok;
		/* For the next round, whatever has stayed. */
		map(&hw.space, mem, IOVA, SZ_4K);
		unmap(&hw.space, IOVA, SZ_4K);
		if (!hits || look(&hw))
			fail("command %u: %lu refused; %lu stale entries a round later", at, hits,
			     look(&hw));
		snprintf(name, sizeof(name), "command %u of %u is refused", at + 1, positions);
		/* What the command itself was for may be left: an unmap cannot tell its caller. */
		report_case(name, "\"wrong_hangs\": %lu, \"wrong_entries_of_others\": %lu, "
			    "\"left\": %lu, \"left_through\": %lu, \"errors\": %lu", hangs,
			    stale > 1 ? stale - 1 : 0, stale, through, errors);
	}
	return 0;
}
