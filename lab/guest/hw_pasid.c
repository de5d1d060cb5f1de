// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASIDs of one address space and of several: hw_pasid
 *
 * Each function has PASIDs of a domain, besides its requests without one. After an unmap, all of
 * them get faults and no cache has anything; a PASID that is replaced uses the new tables at once,
 * one that is detached gets faults. Agents do DMA with a PASID while pages are mapped and unmapped,
 * and while other PASIDs are attached and detached.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <linux/iommufd.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define PAGES		32
#define PASIDS		4
#define FIRST_PASID	17
#define ROUNDS		150
#define FEW_ROUNDS	20
#define PATTERN(page)	(0x9abc000000000000UL + (page))
#define OTHER		0xdef0000000000000UL

static struct hardware hw;
static char *mem, *other;
static uint32_t ioas, ioas2, hwpt, hwpt2;
static struct churn pages;
static volatile bool stop;

/* Reads by all functions and PASIDs. Return: those that get through. */
static unsigned long read_all(bool must)
{
	unsigned long through = 0;
	int i, p;

	for (i = 0; i < hw.functions; i++) {
		for (p = -1; p < PASIDS; p++) {
			uint64_t pasid = p < 0 ? PASID_NONE : (uint64_t)(FIRST_PASID + p);

			if (must)
				expect_data(&hw.function[i], pasid, IOVA + SZ_4K, PATTERN(1));
			else
				through += dma_read(&hw.function[i], pasid, IOVA + SZ_4K).ok;
		}
	}
	return through;
}

static unsigned long once(unsigned long *through)
{
	unsigned long stale;

	map_in(&hw, ioas, mem, IOVA, PAGES * SZ_4K);
	read_all(true);
	unmap_in(&hw, ioas, IOVA, PAGES * SZ_4K);
	stale = look(&hw);
	*through = read_all(false);
	return stale;
}

/* The last PASID of each unit's first function is attached, replaced, detached. */
static void *come_and_go(void *arg)
{
	unsigned long *moves = arg;
	const uint32_t pasid = FIRST_PASID + PASIDS - 1;
	int unit;

	while (!stop) {
		for (unit = 0; unit < hw.units; unit++) {
			struct function *function = hw_first(&hw, unit);

			attach_pasid(function, pasid, hwpt2);
			detach_pasid(function, pasid);
			attach_pasid(function, pasid, hwpt);
		}
		++*moves;
	}
	return NULL;
}

static void replaced_and_detached(void)
{
	struct function *function = hw_first(&hw, 0);
	unsigned long stale, through, wrong;

	map_in(&hw, ioas, mem, IOVA, PAGES * SZ_4K);
	map_in(&hw, ioas2, other, IOVA, PAGES * SZ_4K);
	expect_data(function, FIRST_PASID, IOVA + SZ_4K, PATTERN(1));
	attach_pasid(function, FIRST_PASID, hwpt2);
	stale = look(&hw);
	wrong = dma_read(function, FIRST_PASID, IOVA + SZ_4K).data != OTHER;
	report_case("PASID replaced", "\"stale\": %lu, \"wrong\": %lu", stale, wrong);

	detach_pasid(function, FIRST_PASID);
	stale = look(&hw);
	through = dma_read(function, FIRST_PASID, IOVA + SZ_4K).ok;
	report_case("PASID detached", "\"stale\": %lu, \"stale_through\": %lu", stale, through);
	attach_pasid(function, FIRST_PASID, hwpt);
	unmap_in(&hw, ioas, IOVA, PAGES * SZ_4K);
	unmap_in(&hw, ioas2, IOVA, PAGES * SZ_4K);
}

static void control(const char *name, unsigned int types)
{
	unsigned long stale, through;
	struct agents agents;

	lose(&hw, types);
	stale = once(&through);
	agents = churn_until_stale(&hw, &pages, FEW_ROUNDS);
	lose_end(&hw);
	map_in(&hw, ioas, mem, IOVA, PAGES * SZ_4K);
	unmap_in(&hw, ioas, IOVA, PAGES * SZ_4K);
	if (look(&hw))
		fail("there are stale entries when commands are lost no more");
	report_case(name, "\"fired\": %lu, \"fired_through\": %lu, \"fired_agents\": %lu", stale,
		    through, agents.stale);
}

/* The entry of a PASID goes, and its cached copy does not. */
static void control_entry(void)
{
	struct function *function = hw_first(&hw, 0);
	unsigned long stale;

	map_in(&hw, ioas, mem, IOVA, PAGES * SZ_4K);
	expect_data(function, FIRST_PASID, IOVA + SZ_4K, PATTERN(1));
	lose(&hw, 1u << TYPE_PASID);
	detach_pasid(function, FIRST_PASID);
	stale = look(&hw);
	lose_end(&hw);
	attach_pasid(function, FIRST_PASID, hwpt);
	detach_pasid(function, FIRST_PASID);
	attach_pasid(function, FIRST_PASID, hwpt);
	unmap_in(&hw, ioas, IOVA, PAGES * SZ_4K);
	report_case("PASID detached, PASID cache commands lost", "\"fired\": %lu", stale);
}

int main(void)
{
	unsigned long stale, through, moves = 0;
	struct agents agents;
	unsigned int page;
	pthread_t thread;
	int i, p;

	hw_open(&hw, 2);
	mem = memory(PAGES * SZ_4K);
	other = memory(PAGES * SZ_4K);
	for (page = 0; page < PAGES; page++) {
		*(uint64_t *)(mem + page * SZ_4K) = PATTERN(page);
		*(uint64_t *)(other + page * SZ_4K) = OTHER;
	}
	ioas = ioas_alloc(&hw);
	ioas2 = ioas_alloc(&hw);
	hwpt = hwpt_alloc(&hw, &hw.function[0], ioas, IOMMU_HWPT_ALLOC_PASID);
	hwpt2 = hwpt_alloc(&hw, &hw.function[0], ioas2, IOMMU_HWPT_ALLOC_PASID);
	hw.space.hwpt = hwpt;
	hw_share(&hw);
	for (i = 0; i < hw.functions; i++) {
		for (p = 0; p < PASIDS; p++)
			attach_pasid(&hw.function[i], FIRST_PASID + p, hwpt);
	}

	pages = (struct churn){
		.ioas = ioas, .memory = mem, .iova = IOVA,
		.pasid = FIRST_PASID, .agent_iova = IOVA, .pages = PAGES,
	};
	stale = once(&through);
	report_case("unmap with PASIDs", "\"stale\": %lu, \"stale_through\": %lu, \"pasids\": %d",
		    stale, through, hw.functions * PASIDS);
	agents = churn(&hw, &pages, ROUNDS);
	report_case("unmap beside DMA with a PASID", "\"stale\": %lu, \"accesses\": %lu",
		    agents.stale, agents.done);
	if (pthread_create(&thread, NULL, come_and_go, &moves))
		fail("no thread");
	agents = churn(&hw, &pages, ROUNDS);
	stop = true;
	pthread_join(thread, NULL);
	if (!moves)
		fail("no PASID has come and gone");
	report_case("unmap beside DMA and PASIDs that come and go",
		    "\"stale\": %lu, \"stale_entries\": %lu, \"moves\": %lu", agents.stale,
		    look(&hw), moves);
	replaced_and_detached();
	control("unmap with PASIDs, IOTLB commands lost", TYPES_IOTLB);
	control("unmap with PASIDs, ATC commands lost", TYPES_ATC);
	control_entry();
	return 0;
}
