// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-Vi with a guest's memory: what the hardware finds there, and what it keeps of it.
 *
 * The guest is an array. Its driver is this file: it writes DTEs, GCR3 tables and page tables
 * as sections 2.2.2, 2.2.3 and 2.2.6 of 48882 have them, by hand, and sends commands.
 */
#include "model_guest.h"

#define RID		UINT64_C(0x108)
#define DOMAIN		UINT64_C(9)
#define OTHER_DOMAIN	UINT64_C(10)
#define PASID		UINT64_C(1030)	/* the third table of GCR3 entries */
#define IOVA		UINT64_C(0x7f00000000)
#define DATA		UINT64_C(0x200000)
#define WORD		(DATA + PAGE)	/* that a completion wait stores to */

/* Pages of the guest's memory; the device table has three. */
enum {
	DEVICES = 1, HOST_6 = 4, HOST_5, HOST_4, HOST_3, HOST_2, HOST_1, OTHER_1,
	GCR3, GCR3_LOW, GCR3_HIGH, GUEST_4, GUEST_3, GUEST_2, GUEST_1,
};

#define AT(page)	((uint64_t)(page) * PAGE)
#define LEAF		(BIT(62) | BIT(61) | BIT(0))
#define READ_ONLY	(BIT(61) | BIT(0))
#define TABLE(level)	(LEAF | (uint64_t)(level) << 9)
#define SIZED		(LEAF | UINT64_C(7) << 9)
#define PRESENT		UINT64_C(3)	/* of guest tables: and writable */

static void start(struct rig *rig)
{
	rig_start(rig, MODEL_AMD, 0, RID);
	model_set_root(rig->iommu, AT(DEVICES) | 2);
}

static void inv_dte(struct rig *rig)
{
	send(rig, UINT64_C(2) << 60 | RID, 0);
}

/* All pages of a domain, S set. */
static void inv_pages(struct rig *rig, uint64_t domain, uint64_t pasid, uint64_t flags)
{
	send(rig, UINT64_C(3) << 60 | domain << 32 | pasid, 0x7ffffffffffff001 | flags);
}

#define PDE	BIT(1)
#define GN	BIT(2)

static void put_dte(struct rig *rig, uint64_t first, uint64_t second, uint64_t third)
{
	uint64_t at = AT(DEVICES) + RID * 32;

	put(rig, at + 16, third);
	put(rig, at + 8, second);
	put(rig, at, first);
}

static void put_host_dte(struct rig *rig, int levels, uint64_t top)
{
	put_dte(rig, BIT(62) | BIT(61) | top | (uint64_t)levels << 9 | 3, DOMAIN | BIT(32), 0);
}

/* Four levels from HOST_4 to the page @to. */
static void map_host(struct rig *rig, uint64_t iova, uint64_t to, uint64_t leaf)
{
	int level;

	for (level = 3; level; level--)
		put(rig, AT(HOST_4 + 3 - level) + (iova >> (12 + 9 * level) & 511) * 8,
		    AT(HOST_4 + 4 - level) | TABLE(level));
	put(rig, AT(HOST_1) + (iova >> 12 & 511) * 8, to | leaf);
}

/* With one page of host tables. */
static void start_host(struct rig *rig)
{
	start(rig);
	put_host_dte(rig, 4, AT(HOST_4));
	map_host(rig, IOVA, DATA, LEAF);
}

/* The address of the GCR3 table is in three pieces. */
static void put_guest_dte(struct rig *rig, uint64_t gcr3, int giov, uint64_t glx)
{
	put_dte(rig, BIT(62) | BIT(61) | 3 | BIT(55) | (giov ? BIT(54) : 0) | glx << 56 |
		(gcr3 >> 12 & 7) << 58,
		DOMAIN | BIT(32) | (gcr3 >> 15 & 0xffff) << 16 | (gcr3 >> 31) << 43, 0);
}

static void map_guest(struct rig *rig, uint64_t iova, uint64_t to)
{
	int level;

	for (level = 3; level >= 0; level--)
		put(rig, AT(GUEST_4 + 3 - level) + (iova >> (12 + 9 * level) & 511) * 8,
		    (level ? AT(GUEST_4 + 4 - level) : to) | PRESENT);
}

static void host_tables_translate(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	expect_fault(&rig, NONE, IOVA);
	put_host_dte(&rig, 4, AT(HOST_4));
	map_host(&rig, IOVA, DATA, LEAF);
	expect(&rig, NONE, IOVA, DATA);
	expect_fault(&rig, NONE, IOVA + PAGE);
	/* There are no PASIDs, and no addresses beyond the levels. */
	expect_fault(&rig, 5, IOVA);
	expect_fault(&rig, NONE, IOVA + BIT(48));
	put(&rig, AT(HOST_1) + (IOVA >> 12 & 511) * 8, 0);
	assert_true(dma_by(rig.dev, NONE, IOVA, false).stale);
	assert_int_equal(model_stale_entries(rig.iommu), 1);
	inv_pages(&rig, DOMAIN, 0, 0);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void six_levels_have_all_addresses(void **state)
{
	uint64_t iova = IOVA | UINT64_C(0xff) << 56;
	struct rig rig;

	(void)state;
	start(&rig);
	put_host_dte(&rig, 6, AT(HOST_6));
	put(&rig, AT(HOST_6) + (iova >> 57) * 8, AT(HOST_5) | TABLE(5));
	put(&rig, AT(HOST_5) + (iova >> 48 & 511) * 8, AT(HOST_4) | TABLE(4));
	map_host(&rig, iova, DATA, LEAF);
	expect(&rig, NONE, iova, DATA);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void leaves_have_sizes_and_permissions(void **state)
{
	uint64_t base = IOVA & ~(BIT(21) - 1);
	struct rig rig;

	(void)state;
	start(&rig);
	put_host_dte(&rig, 4, AT(HOST_4));
	map_host(&rig, IOVA, DATA, READ_ONLY);
	assert_false(dma_by(rig.dev, NONE, IOVA, false).fault);
	assert_true(dma_by(rig.dev, NONE, IOVA, true).fault);
	inv_pages(&rig, DOMAIN, 0, 0);

	/* 16 KiB: two 1 bits of what would be the address, one less than those of the size. */
	for (int i = 0; i < 4; i++)
		put(&rig, AT(HOST_1) + ((base >> 12 & 511) + i) * 8, DATA | PAGE | SIZED);
	expect(&rig, NONE, base, DATA);
	expect(&rig, NONE, base + 3 * PAGE, DATA + 3 * PAGE);
	inv_pages(&rig, DOMAIN, 0, 0);

	/* 2 MiB, as a leaf of the level, and as one that is told by its size: 4 MiB. */
	put(&rig, AT(HOST_2) + (base >> 21 & 511) * 8, LEAF | DATA);
	inv_pages(&rig, DOMAIN, 0, PDE);
	expect(&rig, NONE, base + 5 * PAGE, DATA + 5 * PAGE);
	put(&rig, AT(HOST_2) + (base >> 21 & 511) * 8, SIZED | (BIT(21) - PAGE));
	inv_pages(&rig, DOMAIN, 0, PDE);
	expect(&rig, NONE, base + 5 * PAGE, (base & BIT(21)) + 5 * PAGE);
	inv_pages(&rig, DOMAIN, 0, PDE);

	/* An entry that skips a level is not modelled. */
	put(&rig, AT(HOST_2) + (base >> 21 & 511) * 8, AT(HOST_1) | TABLE(2));
	expect_fault(&rig, NONE, base);
	stop(&rig);
}

static void dtes_are_cached_until_they_are_invalidated(void **state)
{
	struct rig rig;

	(void)state;
	start_host(&rig);
	expect(&rig, NONE, IOVA, DATA);
	put_dte(&rig, 1, OTHER_DOMAIN, 0);
	assert_true(dma_by(rig.dev, NONE, IOVA, false).stale);
	inv_dte(&rig);
	expect_fault(&rig, NONE, IOVA);
	/* Beyond the device table there is none. */
	put_host_dte(&rig, 4, AT(HOST_4));
	model_set_root(rig.iommu, AT(DEVICES) | 1);
	inv_dte(&rig);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void guest_tables_go_by_pasid(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	put_guest_dte(&rig, AT(GCR3), 1, 1);
	put(&rig, AT(GCR3), AT(GCR3_LOW) | 1);
	put(&rig, AT(GCR3) + (PASID >> 9) * 8, AT(GCR3_HIGH) | 1);
	map_guest(&rig, IOVA, DATA);
	put(&rig, AT(GCR3_LOW), AT(GUEST_4) | 1);
	expect(&rig, NONE, IOVA, DATA);
	expect_fault(&rig, PASID, IOVA);
	put(&rig, AT(GCR3_HIGH) + (PASID & 511) * 8, AT(GUEST_4) | 1);
	inv_pages(&rig, DOMAIN, PASID, GN | PDE);
	expect(&rig, PASID, IOVA, DATA);
	expect_fault(&rig, 1 << 18, IOVA);

	/* A PASID's command has nothing to do with another one. */
	put(&rig, AT(GUEST_1) + (IOVA >> 12 & 511) * 8, 0);
	assert_true(dma_by(rig.dev, PASID, IOVA, false).stale);
	inv_pages(&rig, DOMAIN, 0, GN);
	assert_true(dma_by(rig.dev, PASID, IOVA, false).stale);
	expect_fault(&rig, NONE, IOVA);
	inv_pages(&rig, DOMAIN, PASID, GN);
	expect_fault(&rig, PASID, IOVA);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	stop(&rig);
}

static void gcr3_entries_are_cached_until_page_directories_go(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	put_guest_dte(&rig, AT(GCR3_LOW), 0, 0);
	map_guest(&rig, IOVA, DATA);
	put(&rig, AT(GCR3_LOW) + 5 * 8, AT(GUEST_4) | 1);
	/* Without GIOV, requests without PASID go by host tables, which there are not. */
	expect_fault(&rig, NONE, IOVA);
	expect(&rig, 5, IOVA, DATA);
	put(&rig, AT(GCR3_LOW) + 5 * 8, 0);
	inv_pages(&rig, DOMAIN, 5, GN);
	assert_true(dma_by(rig.dev, 5, IOVA, false).stale);
	inv_pages(&rig, DOMAIN, 6, GN | PDE);
	assert_true(dma_by(rig.dev, 5, IOVA, false).stale);
	inv_pages(&rig, OTHER_DOMAIN, 5, GN | PDE);
	assert_true(dma_by(rig.dev, 5, IOVA, false).stale);
	inv_pages(&rig, DOMAIN, 5, GN | PDE);
	expect_fault(&rig, 5, IOVA);
	stop(&rig);
}

static void what_is_not_modelled_blocks(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	map_host(&rig, IOVA, DATA, LEAF);
	map_guest(&rig, IOVA, DATA);
	put(&rig, AT(GCR3_LOW), AT(GUEST_4) | 1);
	/* No tables; an eighth level; guest tables over host tables. */
	put_host_dte(&rig, 0, 0);
	expect_fault(&rig, NONE, IOVA);
	put_host_dte(&rig, 7, AT(HOST_4));
	inv_dte(&rig);
	expect_fault(&rig, NONE, IOVA);
	put_guest_dte(&rig, AT(GCR3_LOW), 1, 0);
	*word(&rig, AT(DEVICES) + RID * 32) |= AT(HOST_4) | 4 << 9;
	inv_dte(&rig);
	expect_fault(&rig, NONE, IOVA);
	/* A GCR3 table of a fourth level, guest tables of a sixth. */
	put_guest_dte(&rig, AT(GCR3_LOW), 1, 3);
	inv_dte(&rig);
	expect_fault(&rig, NONE, IOVA);
	put_guest_dte(&rig, AT(GCR3_LOW), 1, 0);
	put(&rig, AT(DEVICES) + RID * 32 + 16, UINT64_C(2) << 54);
	inv_dte(&rig);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void the_dte_decides_about_the_atc(void **state)
{
	struct rig rig;

	(void)state;
	start_host(&rig);
	model_dev_set_ats(rig.dev, true);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 1);
	send(&rig, UINT64_C(4) << 60 | RID << 32 | RID, 0x7ffffffffffff001);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
	put(&rig, AT(DEVICES) + RID * 32 + 8, DOMAIN);
	inv_dte(&rig);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
	stop(&rig);
}

static void writes_are_marked_where_the_dte_says_so(void **state)
{
	uint64_t leaf = AT(HOST_1) + (IOVA >> 12 & 511) * 8;
	struct rig rig;

	(void)state;
	start_host(&rig);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(*word(&rig, leaf), DATA | LEAF);
	*word(&rig, AT(DEVICES) + RID * 32) |= 3 << 7;
	inv_dte(&rig);
	inv_pages(&rig, DOMAIN, 0, 0);
	dma_by(rig.dev, NONE, IOVA, false);
	assert_int_equal(*word(&rig, leaf), DATA | LEAF);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(*word(&rig, leaf), DATA | LEAF | BIT(5) | BIT(6));
	stop(&rig);
}

static void completion_words_are_the_guests(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	send(&rig, UINT64_C(1) << 60 | WORD | 1, UINT64_C(0x123456789abc));
	assert_int_equal(*word(&rig, WORD), UINT64_C(0x123456789abc));
	/* Beyond the memory's end there is nothing to write to. */
	send(&rig, UINT64_C(1) << 60 | SIZE | 1, 7);
	assert_int_equal(model_count(rig.iommu, MODEL_SYNC), 2);
	stop(&rig);
}

static void invalidate_all_is_all(void **state)
{
	struct rig rig;

	(void)state;
	start_host(&rig);
	expect(&rig, NONE, IOVA, DATA);
	put_dte(&rig, 0, 0, 0);
	put(&rig, AT(HOST_1) + (IOVA >> 12 & 511) * 8, 0);
	assert_true(model_stale_entries(rig.iommu) > 0);
	send(&rig, UINT64_C(8) << 60, 0);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_tables_translate),
		cmocka_unit_test(six_levels_have_all_addresses),
		cmocka_unit_test(leaves_have_sizes_and_permissions),
		cmocka_unit_test(dtes_are_cached_until_they_are_invalidated),
		cmocka_unit_test(guest_tables_go_by_pasid),
		cmocka_unit_test(gcr3_entries_are_cached_until_page_directories_go),
		cmocka_unit_test(what_is_not_modelled_blocks),
		cmocka_unit_test(the_dte_decides_about_the_atc),
		cmocka_unit_test(writes_are_marked_where_the_dte_says_so),
		cmocka_unit_test(completion_words_are_the_guests),
		cmocka_unit_test(invalidate_all_is_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
