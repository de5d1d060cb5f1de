// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parent of nests changes: hw_nest
 *
 * Each function of both units has a nest of its own: first-stage tables, which this program
 * keeps as a guest would, over one second stage. When a page of the second stage is unmapped, the
 * IOTLB has to drop it under the tag of every nest, and every ATC has to drop everything, as it
 * knows the page by the guest's address. This is tested alone, with one nest and with all, then
 * during DMA, then during DMA while nests are attached and detached; and with the guest's own
 * unmaps, by IOMMU_HWPT_INVALIDATE. If a unit refuses one of these, the guest has to be told.
 *
 * SMMUv3: the nests of a unit have its vSMMU's VMID, all of them one ASID. The kernel does not
 * tell a guest of a command that is refused. Over the first unit alone, where the kernel does not
 * let units share a parent.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/iommufd.h>

#include "hw.h"

#define VA		0x40000000UL	/* of the guest's process */
#define TABLES		0x00200000UL	/* guest-physical */
#define DATA		0x10000000UL
#define PAGES		64
#define ROUNDS		150
#define FEW_ROUNDS	20
#define PATTERN(page)	(0x5678000000000000UL + (page))

#define VTD_FLAGS	7UL		/* present, writable, user */
#define ARM_TABLE	3UL
#define ARM_LEAF	0x743UL		/* a page, user, inner shareable, accessed */
#define ASID		1UL
/* CD: 48 bits, TTB1 off, V, addresses of 48 bits, AArch64, R, A, ASET. IHI 0070, 5.4. */
#define CD		(16UL | 1UL << 30 | 1UL << 31 | 5UL << 32 | 1UL << 41 | 7UL << 45 | \
			 ASID << 48)
#define CD_PAGE		4

static struct hardware hw;
static char *mem, *tables;
static uint32_t ioas, parent, nest[64];
static struct churn pages;
static volatile bool stop;
static bool smmuv3;

static uint64_t leaf(unsigned int page)
{
	return (DATA + page * SZ_4K) | (smmuv3 ? ARM_LEAF : VTD_FLAGS);
}

static uint64_t *pte(unsigned int page)
{
	return (uint64_t *)(tables + 3 * SZ_4K) + page;
}

/* Four levels for VA..: 0, 1, 0, and the pages from 0. */
static void build_tables(void)
{
	uint64_t table = smmuv3 ? ARM_TABLE : VTD_FLAGS;
	uint64_t *cd = (uint64_t *)(tables + CD_PAGE * SZ_4K);
	unsigned int page;

	*(uint64_t *)tables = (TABLES + SZ_4K) | table;
	*((uint64_t *)(tables + SZ_4K) + (VA >> 30)) = (TABLES + 2 * SZ_4K) | table;
	*(uint64_t *)(tables + 2 * SZ_4K) = (TABLES + 3 * SZ_4K) | table;
	for (page = 0; page < PAGES; page++)
		*pte(page) = leaf(page);
	cd[0] = CD;
	cd[1] = TABLES;
}

/* Return: 0 or an errno; how many entries were done in @done. */
static int vtd_try_invalidate(uint32_t id, unsigned int page, unsigned int *done)
{
	struct iommu_hwpt_vtd_s1_invalidate entry = {
		.addr = VA + page * SZ_4K, .npages = 1,
	};
	struct iommu_hwpt_invalidate inv = {
		.size = sizeof(inv), .hwpt_id = id, .data_uptr = (uintptr_t)&entry,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.entry_len = sizeof(entry), .entry_num = 1,
	};

	int error = ioctl(hw.space.fd, IOMMU_HWPT_INVALIDATE, &inv) ? errno : 0;

	*done = inv.entry_num;
	return error;
}

/* TLBI_NH_VA of the leaf, ATC_INV; the kernel knows the VMID. IHI 0070, 4.4.2, 4.5.1. */
static void smmuv3_invalidate(const struct function *function, unsigned int page)
{
	struct iommu_viommu_arm_smmuv3_invalidate cmds[] = {
		{ { 0x12 | ASID << 48, (VA + page * SZ_4K) | 1 } },
		{ { 0x40 | VSID(function) << 32, VA + page * SZ_4K } },
	};
	struct iommu_hwpt_invalidate inv = {
		.size = sizeof(inv), .hwpt_id = hw.viommu[function->unit],
		.data_uptr = (uintptr_t)cmds, .entry_len = sizeof(cmds[0]), .entry_num = 2,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
	};

	if (ioctl(hw.space.fd, IOMMU_HWPT_INVALIDATE, &inv) || inv.entry_num != 2)
		fail("the nest's page is not invalidated: %u: %s", inv.entry_num, strerror(errno));
}

static void invalidate(int i, unsigned int page)
{
	unsigned int done;
	int error;

	if (smmuv3) {
		smmuv3_invalidate(&hw.function[i], page);
		return;
	}
	error = vtd_try_invalidate(nest[i], page, &done);
	if (error || done != 1)
		fail("the nest's page is not invalidated: %s", strerror(error));
}

static void refused_by_a_unit(void)
{
	int unit = hw.function[0].unit, error;
	unsigned int done;
	unsigned long hits;

	trouble(&hw, unit, HW_REFUSE, TYPES_IOTLB, 0, ALWAYS);
	error = vtd_try_invalidate(nest[0], 0, &done);
	hits = control_get(&hw, unit, HW_TROUBLE_HITS);
	trouble(&hw, unit, 0, 0, 0, 0);
	report_case("a unit refuses the guest's invalidation", "\"wrong_done\": %u, "
		    "\"wrong_told\": %d, \"fired\": %lu", done, error != EIO, hits);
	invalidate(0, 0);
}

/* What an unmap has sent, and what is there still. */
struct outcome {
	unsigned long stale, through, iotlb, atc, waits;
};

static struct outcome once(void)
{
	struct outcome out = { 0 };
	unsigned int page;
	int i;

	map_in(&hw, ioas, mem, DATA, PAGES * SZ_4K);
	for (i = 0; i < hw.functions; i++)
		for (page = 0; page < PAGES; page += 9)
			expect_data(&hw.function[i], PASID_NONE, VA + page * SZ_4K,
				    PATTERN(page));
	out.iotlb = executed(&hw, -1, TYPES_IOTLB);
	out.atc = executed(&hw, -1, TYPES_ATC);
	out.waits = executed(&hw, -1, 1u << TYPE_WAIT);
	unmap_in(&hw, ioas, DATA, PAGES * SZ_4K);
	out.iotlb = executed(&hw, -1, TYPES_IOTLB) - out.iotlb;
	out.atc = executed(&hw, -1, TYPES_ATC) - out.atc;
	out.waits = executed(&hw, -1, 1u << TYPE_WAIT) - out.waits;
	out.stale = look(&hw);
	for (i = 0; i < hw.functions; i++)
		for (page = 0; page < PAGES; page += 9)
			out.through += dma_read(&hw.function[i], PASID_NONE,
						VA + page * SZ_4K).ok;
	return out;
}

/* Of the functions' nests, one each. */
static void unmap_once(const char *name)
{
	struct outcome out = once();

	report_case(name, "\"stale\": %lu, \"stale_through\": %lu, \"nests\": %d, "
		    "\"iotlb\": %lu, \"atc\": %lu, \"waits\": %lu", out.stale, out.through,
		    hw.functions, out.iotlb, out.atc, out.waits);
}

/* The last function's nest comes and goes. */
static void *attach_and_detach(void *arg)
{
	struct function *last = &hw.function[hw.functions - 1];
	unsigned long *done = arg;

	while (!stop) {
		detach(&last->device);
		attach_to(last, nest[hw.functions - 1]);
		++*done;
	}
	return NULL;
}

static void control(const char *name, unsigned int types)
{
	struct agents agents;
	struct outcome out;

	lose(&hw, types);
	out = once();
	agents = churn_until_stale(&hw, &pages, FEW_ROUNDS);
	lose_end(&hw);
	map_in(&hw, ioas, mem, DATA, PAGES * SZ_4K);
	unmap_in(&hw, ioas, DATA, PAGES * SZ_4K);
	if (look(&hw))
		fail("there are stale entries when commands are lost no more");
	report_case(name, "\"fired\": %lu, \"fired_through\": %lu, \"fired_agents\": %lu", out.stale,
		    out.through, agents.stale);
}

/* The guest takes a page from its own table, and tells the kernel. */
static void own_unmap(void)
{
	unsigned long before, stale, through = 0;
	int i;

	map_in(&hw, ioas, mem, DATA, PAGES * SZ_4K);
	for (i = 0; i < hw.functions; i++)
		expect_data(&hw.function[i], PASID_NONE, VA, PATTERN(0));
	*pte(0) = 0;
	before = look(&hw);
	for (i = 0; i < hw.functions; i++)
		invalidate(i, 0);
	stale = look(&hw);
	for (i = 0; i < hw.functions; i++)
		through += dma_read(&hw.function[i], PASID_NONE, VA).ok;
	*pte(0) = leaf(0);
	unmap_in(&hw, ioas, DATA, PAGES * SZ_4K);
	report_case("nest: the guest unmaps", "\"stale\": %lu, \"stale_through\": %lu, "
		    "\"fired_before\": %lu", stale, through, before);
}

int main(void)
{
	unsigned long moves = 0;
	struct agents agents;
	unsigned int page;
	pthread_t thread;
	int units, all, i;

	hw_open(&hw, 0);
	mem = memory(PAGES * SZ_4K);
	tables = memory((CD_PAGE + 1) * SZ_4K);
	smmuv3 = hw_type(&hw, &hw.function[0]) == IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	for (page = 0; page < PAGES; page++)
		*(uint64_t *)(mem + page * SZ_4K) = PATTERN(page);
	build_tables();
	ioas = ioas_alloc(&hw);
	map_in(&hw, ioas, tables, TABLES, (CD_PAGE + 1) * SZ_4K);
	parent = hwpt_alloc(&hw, &hw.function[0], ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
	units = hw.units;
	all = hw.functions;
	for (i = 0; i < all; i++) {
		nest[i] = nest_alloc(&hw, &hw.function[i], parent,
				     TABLES + (smmuv3 ? CD_PAGE * SZ_4K : 0));
		if (!nest[i]) {
			hw.units = hw.function[i].unit;
			break;
		}
		attach_to(&hw.function[i], nest[i]);
		hw.functions = i + 1;
		if (!i)
			unmap_once("unmap of a parent of one nest");
	}
	report_case("units behind one parent", "\"wrong_refused\": %d", units - hw.units);

	pages = (struct churn){
		.ioas = ioas, .memory = mem, .iova = DATA,
		.pasid = PASID_NONE, .agent_iova = VA, .pages = PAGES,
	};
	unmap_once("unmap of a parent of nests");
	agents = churn(&hw, &pages, ROUNDS);
	report_case("unmap of a parent beside DMA", "\"stale\": %lu, \"accesses\": %lu",
		    agents.stale, agents.done);

	if (pthread_create(&thread, NULL, attach_and_detach, &moves))
		fail("no thread");
	agents = churn(&hw, &pages, ROUNDS);
	stop = true;
	pthread_join(thread, NULL);
	if (!moves)
		fail("no nest has come and gone");
	report_case("unmap of a parent beside DMA and other nests that come and go",
		    "\"stale\": %lu, \"stale_entries\": %lu, \"attached\": %lu", agents.stale,
		    look(&hw), moves);

	own_unmap();
	control("unmap of a parent, IOTLB commands lost", TYPES_IOTLB);
	control("unmap of a parent, ATC commands lost", TYPES_ATC);
	/* Last: stock's queue may get full after it, and a later unmap would not return. */
	if (!smmuv3)
		refused_by_a_unit();
	return 0;
}
