// SPDX-License-Identifier: GPL-2.0-only
/*
 * One domain over all units: hw_unmap [second]
 *
 * Over the first one alone, where the kernel does not let units share a domain. "second": its
 * page table is a second stage.
 *
 * Every function reads what is mapped; after an unmap it gets a fault, and no cache has
 * anything of the page. Then agents read as fast as they can while pages are mapped and unmapped,
 * and count reads that succeed after the unmap has returned. Then the same while commands for the
 * IOTLB and for ATCs are dropped, which must be noticed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/iommufd.h>

#include "hw.h"

#define IOVA	0x40000000UL
#define PAGES	64
#define ROUNDS	150
#define FEW_ROUNDS	30	/* enough where each of them is wrong */
#define PATTERN(page)	(0x1234567800000000UL + (page))

static struct hardware hw;
static char *mem;
static struct churn pages;

/* Return: entries that are stale after an unmap; reads that get through in *@through. */
static unsigned long once(unsigned long *through)
{
	unsigned long stale;
	unsigned int page;
	int i;

	map(&hw.space, mem, IOVA, PAGES * SZ_4K);
	for (i = 0; i < hw.functions; i++)
		for (page = 0; page < PAGES; page += 7)
			expect_data(&hw.function[i], PASID_NONE, IOVA + page * SZ_4K,
				    PATTERN(page));
	unmap(&hw.space, IOVA, PAGES * SZ_4K);
	stale = look(&hw);
	*through = 0;
	for (i = 0; i < hw.functions; i++)
		for (page = 0; page < PAGES; page += 7)
			*through += dma_read(&hw.function[i], PASID_NONE,
					     IOVA + page * SZ_4K).ok;
	return stale;
}

/* The oracles see what happens when commands of some types are lost. */
static void control(const char *name, unsigned int types)
{
	unsigned long stale, through, lost;
	struct agents agents;

	lose(&hw, types);
	stale = once(&through);
	agents = churn_until_stale(&hw, &pages, FEW_ROUNDS);
	lost = lose_end(&hw);
	/* Leaves nothing behind of what was lost. */
	map(&hw.space, mem, IOVA, PAGES * SZ_4K);
	unmap(&hw.space, IOVA, PAGES * SZ_4K);
	if (look(&hw))
		fail("there are stale entries when commands are lost no more");
	report_case(name, "\"fired\": %lu, \"fired_through\": %lu, \"fired_agents\": %lu, "
		    "\"lost\": %lu", stale, through, agents.stale, lost);
}

int main(int argc, char **argv)
{
	bool second = argc > 1 && !strcmp(argv[1], "second");
	unsigned long stale, through;
	struct agents agents;
	unsigned int page;
	int units;

	hw_open(&hw, 0);
	units = hw.units;
	mem = memory(PAGES * SZ_4K);
	for (page = 0; page < PAGES; page++)
		*(uint64_t *)(mem + page * SZ_4K) = PATTERN(page);
	if (second)
		hw.space.hwpt = hwpt_alloc(&hw, &hw.function[0], hw.space.ioas,
					   IOMMU_HWPT_ALLOC_NEST_PARENT);
	else
		domain_alloc(&hw.space, &hw.function[0].device);
	report_case("units behind one domain", "\"wrong_refused\": %d", units - hw_share(&hw));

	pages = (struct churn){
		.ioas = hw.space.ioas, .memory = mem, .iova = IOVA,
		.pasid = PASID_NONE, .agent_iova = IOVA, .pages = PAGES,
	};
	stale = once(&through);
	agents = churn(&hw, &pages, ROUNDS);
	report_case("unmap", "\"stale\": %lu, \"stale_through\": %lu", stale, through);
	report_case("unmap beside DMA", "\"stale\": %lu, \"accesses\": %lu, \"faults\": %lu",
		    agents.stale, agents.done, agents.faults);
	control("unmap, IOTLB commands lost", TYPES_IOTLB);
	control("unmap, ATC commands lost", TYPES_ATC);
	return 0;
}
