// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a crashed kernel has left: a crash kernel finds translation enabled, with tables that
 * are not its own, and devices that continue DMA until it takes them over.
 *
 * All functions of all units share one second stage of HW_LEFT_PAGES pages from HW_LEFT_IOVA.
 * In scalable mode, requests without PASID use PASID 0. Section 9 of the specification
 * has the tables.
 */
#include <string.h>

#include "hw.h"

#define PRESENT		BIT(0)
#define READ_WRITE	(BIT(0) | BIT(1))
#define PAGE(n)		(HW_LEFT + (n) * MODEL_PAGE_SIZE)
#define SCALABLE	BIT(10)		/* RTADDR_REG.TTM */

#define CONTEXT_TT_ATS	BIT(2)		/* legacy mode: the device may use its ATC */
#define CONTEXT_DTE	BIT(2)		/* scalable mode: the same */
#define AW_4_LEVELS	2
#define PASID_PGTT_SECOND	(UINT64_C(2) << 6)

enum { ROOT, CONTEXT, DIRECTORY, PASIDS, LEVEL_4, LEVEL_3, LEVEL_2, LEVEL_1, DATA };

static uint64_t address(const struct machine *machine, unsigned int page)
{
	return machine->base + PAGE(page);
}

static void put(const struct machine *machine, unsigned int page, uint64_t index, uint64_t word)
{
	store64(machine, address(machine, page) + index * 8, word);
}

static void make_second_stage(const struct machine *machine)
{
	uint64_t iova = HW_LEFT_IOVA;
	unsigned int level, page;

	for (level = 0; level < 3; level++)
		put(machine, LEVEL_4 + level, iova >> (39 - 9 * level) & 511,
		    address(machine, LEVEL_4 + level + 1) | READ_WRITE);
	for (page = 0; page < HW_LEFT_PAGES; page++) {
		put(machine, LEVEL_1, (iova >> 12 & 511) + page,
		    address(machine, DATA + page) | READ_WRITE);
		put(machine, DATA + page, 0, HW_LEFT_PATTERN);
	}
}

static void make_legacy(const struct unit *unit)
{
	const struct machine *machine = unit->machine;
	unsigned int slot;

	for (slot = 1; slot < HW_CONTROL_SLOT; slot++) {
		const struct function *function = unit->functions[slot];

		if (!function)
			continue;
		put(machine, CONTEXT, slot * 16, address(machine, LEVEL_4) | PRESENT |
		    (function->can.ats ? CONTEXT_TT_ATS : 0));
		put(machine, CONTEXT, slot * 16 + 1, AW_4_LEVELS | HW_LEFT_DID << 8);
	}
}

/* Functions in slots 16 and up would be in the upper half: they have nothing. */
static void make_scalable(const struct unit *unit)
{
	const struct machine *machine = unit->machine;
	unsigned int slot;

	for (slot = 1; slot < HW_SLOTS / 2; slot++) {
		const struct function *function = unit->functions[slot];

		if (function)
			put(machine, CONTEXT, slot * 32, address(machine, DIRECTORY) | PRESENT |
			    (function->can.ats ? CONTEXT_DTE : 0));
	}
	put(machine, DIRECTORY, 0, address(machine, PASIDS) | PRESENT);
	put(machine, PASIDS, 0, address(machine, LEVEL_4) | PRESENT | PASID_PGTT_SECOND |
	    AW_4_LEVELS << 2);
	put(machine, PASIDS, 1, HW_LEFT_DID);
}

uint64_t crashed_root(const struct unit *unit, bool scalable)
{
	const struct machine *machine = unit->machine;

	make_second_stage(machine);
	if (scalable)
		make_scalable(unit);
	else
		make_legacy(unit);
	put(machine, ROOT, 0, address(machine, CONTEXT) | PRESENT);
	return address(machine, ROOT) | (scalable ? SCALABLE : 0);
}
