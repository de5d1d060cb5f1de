// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3 with a guest's memory: what the hardware finds there, and what it keeps of it.
 *
 * The guest is an array that begins at 1 GiB. Its driver is this file: it writes STEs, CDs
 * and page tables as IHI 0070, chapter 5, and DDI 0487, D8.3, have them, by hand, and sends
 * commands.
 */
#include "model_guest.h"

#define START		UINT64_C(0x40000000)
#define SID		0x110		/* the second table of STEs */
#define ASID		UINT64_C(9)
#define OTHER_ASID	UINT64_C(11)
#define VMID		UINT64_C(5)
#define SSID		1030		/* the second table of CDs */
#define IOVA		UINT64_C(0x7000000000)
#define DATA		(START + UINT64_C(0x200000))
#define IPA		UINT64_C(0x1000000)	/* of the S1's tables, in a nest */

#define STRTAB_BASE	0x80
#define STRTAB_CFG	0x88
#define SPLIT		8
#define LOG2SIZE	16

/* Pages of the guest's memory; a table of CDs has 16. */
enum {
	STRTAB = 1, STES, CD_L1, S1_TOP, S1_3, S1_2, S1_1, OTHER_TOP, OTHER_3, OTHER_2, OTHER_1,
	S2_TOP, S2_3, S2_2, S2_1, S2_LOW_2, S2_LOW_1, S2_HIGH_3, S2_HIGH_2, S2_HIGH_1,
	CDS = 32, MORE_CDS = 48, STATUS = 64,
};

#define AT(page)	(START + (uint64_t)(page) * PAGE)
#define TABLE		UINT64_C(3)
#define S1_LEAF		(BIT(10) | 3)
#define S1_READ_ONLY	(BIT(10) | BIT(7) | 3)
#define S2_LEAF		(BIT(10) | BIT(7) | BIT(6) | 3)

enum { ABORT = 0, BYPASS = 4, S1, S2, NESTED };

/* One path of four tables to the page @to; where the S1 of a nest has them, *@as. */
static void map_path(struct rig *rig, const uint64_t *tables, const uint64_t *as, uint64_t addr,
		     uint64_t to, uint64_t leaf)
{
	int level;

	for (level = 3; level >= 0; level--)
		put(rig, tables[3 - level] + (addr >> (12 + 9 * level) & 511) * 8,
		    level ? as[4 - level] | TABLE : to | leaf);
}

static const uint64_t s1_tables[] = { AT(S1_TOP), AT(S1_3), AT(S1_2), AT(S1_1) };
static const uint64_t other_tables[] = { AT(OTHER_TOP), AT(OTHER_3), AT(OTHER_2), AT(OTHER_1) };
static const uint64_t s2_tables[] = { AT(S2_TOP), AT(S2_3), AT(S2_LOW_2), AT(S2_LOW_1) };

static void map_s1(struct rig *rig, uint64_t iova, uint64_t to, uint64_t leaf)
{
	map_path(rig, s1_tables, s1_tables, iova, to, leaf);
}

static void map_s2(struct rig *rig, uint64_t addr, uint64_t to)
{
	map_path(rig, s2_tables, s2_tables, addr, to, S2_LEAF);
}

static void put_ste(struct rig *rig, uint64_t config, uint64_t s1, uint64_t dss)
{
	uint64_t at = AT(STES) + (SID & 0xff) * 64;

	put(rig, at + 8, dss | BIT(28));
	put(rig, at + 16, VMID | (UINT64_C(16) | 2 << 6) << 32 | BIT(51));
	put(rig, at + 24, AT(S2_TOP));
	put(rig, at, s1 | config << 1 | 1);
}

/* CDs of two levels, for 20 bits of SubstreamID. */
static uint64_t two_levels(uint64_t top)
{
	return top | 2 << 4 | UINT64_C(20) << 59;
}

static void put_cd(struct rig *rig, uint64_t at, uint64_t asid, uint64_t top)
{
	put(rig, at + 8, top);
	put(rig, at, 16 | BIT(31) | BIT(30) | BIT(41) | asid << 48);
}

static void start(struct rig *rig)
{
	rig_start(rig, MODEL_SMMUV3, START, SID);
	model_reg_write(rig->iommu, STRTAB_BASE, (uint32_t)AT(STRTAB));
	model_reg_write(rig->iommu, STRTAB_BASE + 4, (uint32_t)(AT(STRTAB) >> 32));
	model_reg_write(rig->iommu, STRTAB_CFG, BIT(16) | SPLIT << 6 | LOG2SIZE);
	put(rig, AT(STRTAB) + (SID >> SPLIT) * 8, AT(STES) | (SPLIT + 1));
	put(rig, AT(CD_L1), AT(CDS) | 1);
	put(rig, AT(CD_L1) + (SSID >> 10) * 8, AT(MORE_CDS) | 1);
}

static void cfgi_ste(struct rig *rig)
{
	send(rig, 0x03 | (uint64_t)SID << 32, 1);
}

static void cfgi_cd(struct rig *rig, uint32_t ssid)
{
	send(rig, 0x05 | (uint64_t)SID << 32 | (uint64_t)ssid << 12, 1);
}

static void tlbi_asid(struct rig *rig, uint64_t asid, uint64_t vmid)
{
	send(rig, 0x11 | asid << 48 | vmid << 32, 0);
}

static void tlbi_nh_all(struct rig *rig)
{
	send(rig, 0x10 | VMID << 32, 0);
}

static void tlbi_s12_vmall(struct rig *rig)
{
	send(rig, 0x28 | VMID << 32, 0);
}

static void first_stage_by_substream(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	expect_fault(&rig, NONE, IOVA);
	put_ste(&rig, S1, two_levels(AT(CD_L1)), 2);
	map_s1(&rig, IOVA, DATA, S1_LEAF);
	map_path(&rig, other_tables, other_tables, IOVA, DATA + PAGE, S1_LEAF);
	put_cd(&rig, AT(CDS), ASID, AT(S1_TOP));
	put_cd(&rig, AT(MORE_CDS) + (SSID - 1024) * 64, OTHER_ASID, AT(OTHER_TOP));
	expect(&rig, NONE, IOVA, DATA);
	expect(&rig, SSID, IOVA, DATA + PAGE);
	expect_fault(&rig, 1, IOVA);
	/* CD 0 is for transactions without SubstreamID; beyond S1CDMax there is none. */
	expect_fault(&rig, 0, IOVA);
	expect_fault(&rig, 1 << 20, IOVA);

	put(&rig, AT(S1_1) + (IOVA >> 12 & 511) * 8, 0);
	expect_stale(&rig, NONE, IOVA);
	assert_false(dma_by(rig.dev, SSID, IOVA, false).stale);
	stop(&rig);
}

static void without_ssid0_requests_without_substream_are_terminated(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	map_s1(&rig, IOVA, DATA, S1_LEAF);
	put_cd(&rig, AT(CDS), ASID, AT(S1_TOP));
	put_cd(&rig, AT(CDS) + 3 * 64, ASID, AT(S1_TOP));
	put_ste(&rig, S1, two_levels(AT(CD_L1)), 0);
	expect_fault(&rig, NONE, IOVA);
	expect(&rig, 3, IOVA, DATA);
	/* Then a PASID 0 has CD 0. */
	expect(&rig, 0, IOVA, DATA);
	/* One CD, that is all: no SubstreamIDs. */
	put_ste(&rig, S1, AT(CDS), 0);
	cfgi_ste(&rig);
	expect(&rig, NONE, IOVA, DATA);
	expect_fault(&rig, 3, IOVA);
	stop(&rig);
}

static void stream_tables_are_linear_or_of_two_levels(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	put_ste(&rig, S2, 0, 0);
	map_s2(&rig, IOVA, DATA);
	expect(&rig, NONE, IOVA, DATA);
	expect_fault(&rig, 1, IOVA);

	/* A span that does not reach the STE. */
	put(&rig, AT(STRTAB) + (SID >> SPLIT) * 8, AT(STES) | 5);
	cfgi_ste(&rig);
	expect_fault(&rig, NONE, IOVA);
	put(&rig, AT(STRTAB) + (SID >> SPLIT) * 8, 0);
	expect_fault(&rig, NONE, IOVA);

	model_reg_write(rig.iommu, STRTAB_BASE, (uint32_t)(AT(STES) - (SID & ~0xff) * 64));
	model_reg_write(rig.iommu, STRTAB_CFG, LOG2SIZE);
	expect(&rig, NONE, IOVA, DATA);
	model_reg_write(rig.iommu, STRTAB_CFG, SPLIT);
	cfgi_ste(&rig);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void stes_and_cds_are_cached_until_they_are_invalidated(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	map_s1(&rig, IOVA, DATA, S1_LEAF);
	map_path(&rig, other_tables, other_tables, IOVA, DATA + PAGE, S1_LEAF);
	put_cd(&rig, AT(CDS), ASID, AT(S1_TOP));
	put_cd(&rig, AT(MORE_CDS), OTHER_ASID, AT(OTHER_TOP));
	put_ste(&rig, S1, AT(CDS), 0);
	model_dev_set_ats(rig.dev, false);
	expect(&rig, NONE, IOVA, DATA);

	put_cd(&rig, AT(CDS), OTHER_ASID, AT(OTHER_TOP));
	expect_stale(&rig, NONE, IOVA);
	cfgi_cd(&rig, 0);
	expect(&rig, NONE, IOVA, DATA + PAGE);

	/* Another STE: CFGI_CD alone finds the CD by way of the old one. */
	put_cd(&rig, AT(MORE_CDS), ASID, AT(S1_TOP));
	put_ste(&rig, S1, AT(MORE_CDS), 0);
	cfgi_cd(&rig, 0);
	expect_stale(&rig, NONE, IOVA);
	cfgi_ste(&rig);
	expect(&rig, NONE, IOVA, DATA);

	put_ste(&rig, ABORT, 0, 0);
	expect_stale(&rig, NONE, IOVA);
	send(&rig, 0x04, 31);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

/* CDs and S1 tables at IPA + their offset in the memory. */
static void put_nest(struct rig *rig)
{
	uint64_t as[4];
	unsigned int page;

	for (page = 0; page < 4; page++)
		as[page] = s1_tables[page] - START + IPA;
	for (page = STRTAB; page < STATUS; page++)
		map_s2(rig, IPA + page * PAGE, AT(page));
	map_s2(rig, IPA + 2 * STATUS * PAGE, DATA);
	map_path(rig, s1_tables, as, IOVA, IPA + 2 * STATUS * PAGE, S1_LEAF);
	put_cd(rig, AT(CDS), ASID, AT(S1_TOP) - START + IPA);
	put_ste(rig, NESTED, AT(CDS) - START + IPA, 0);
}

static void nest_is_read_through_its_parent(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	put_nest(&rig);
	model_dev_set_ats(rig.dev, false);
	expect(&rig, NONE, IOVA, DATA);

	/* The data's page moves: the combined entry takes NH_ALL, the one of S2 S2_IPA. */
	map_s2(&rig, IPA + 2 * STATUS * PAGE, DATA + PAGE);
	expect_stale(&rig, NONE, IOVA);
	send(&rig, 0x2a | VMID << 32, IPA + 2 * STATUS * PAGE);
	expect_stale(&rig, NONE, IOVA);
	tlbi_nh_all(&rig);
	expect(&rig, NONE, IOVA, DATA + PAGE);

	/* The guest's own change. */
	put(&rig, AT(S1_1) + (IOVA >> 12 & 511) * 8, 0);
	expect_stale(&rig, NONE, IOVA);
	tlbi_asid(&rig, ASID, VMID);
	expect_fault(&rig, NONE, IOVA);

	/* Nobody else's ASID. */
	map_s1(&rig, IOVA, IPA + 2 * STATUS * PAGE, S1_LEAF);
	put(&rig, AT(S1_2) + (IOVA >> 21 & 511) * 8, (AT(S1_1) - START + IPA) | TABLE);
	put(&rig, AT(S1_3) + (IOVA >> 30 & 511) * 8, (AT(S1_2) - START + IPA) | TABLE);
	put(&rig, AT(S1_TOP) + (IOVA >> 39 & 511) * 8, (AT(S1_3) - START + IPA) | TABLE);
	expect(&rig, NONE, IOVA, DATA + PAGE);
	put(&rig, AT(S1_1) + (IOVA >> 12 & 511) * 8, 0);
	tlbi_asid(&rig, ASID, VMID + 1);
	expect_stale(&rig, NONE, IOVA);
	tlbi_asid(&rig, ASID, VMID);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void without_its_parents_page_a_nest_has_no_cd(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	put_nest(&rig);
	put(&rig, AT(S2_LOW_1) + ((IPA + CDS * PAGE) >> 12 & 511) * 8, 0);
	expect_fault(&rig, NONE, IOVA);
	/* An S2 of levels that SL0 does not say. */
	put_nest(&rig);
	put(&rig, AT(STES) + (SID & 0xff) * 64 + 16, VMID | UINT64_C(16) << 32);
	cfgi_ste(&rig);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void leaves_have_sizes_and_permissions(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	put_ste(&rig, S1, AT(CDS), 0);
	put_cd(&rig, AT(CDS), ASID, AT(S1_TOP));
	map_s1(&rig, IOVA, DATA, S1_READ_ONLY);
	assert_false(dma_by(rig.dev, NONE, IOVA, false).fault);
	assert_true(dma_by(rig.dev, NONE, IOVA, true).fault);

	/* APTable, without access flag, reserved type, a block where there is none. */
	map_s1(&rig, IOVA, DATA, S1_LEAF);
	put(&rig, AT(S1_2) + (IOVA >> 21 & 511) * 8, AT(S1_1) | BIT(62) | TABLE);
	tlbi_asid(&rig, ASID, VMID);
	assert_false(dma_by(rig.dev, NONE, IOVA, false).fault);
	assert_true(dma_by(rig.dev, NONE, IOVA, true).fault);
	map_s1(&rig, IOVA, DATA, 3);
	tlbi_asid(&rig, ASID, VMID);
	expect_fault(&rig, NONE, IOVA);
	map_s1(&rig, IOVA, DATA, BIT(10) | 1);
	expect_fault(&rig, NONE, IOVA);
	tlbi_asid(&rig, ASID, VMID);
	put(&rig, AT(S1_TOP) + (IOVA >> 39 & 511) * 8, START | BIT(10) | 1);
	expect_fault(&rig, NONE, IOVA);

	/* A block of 2 MiB. */
	tlbi_asid(&rig, ASID, VMID);
	map_s1(&rig, IOVA, DATA, S1_LEAF);
	put(&rig, AT(S1_2) + (IOVA >> 21 & 511) * 8, DATA | BIT(10) | 1);
	expect(&rig, NONE, IOVA, DATA);

	put_ste(&rig, S2, 0, 0);
	cfgi_ste(&rig);
	tlbi_s12_vmall(&rig);
	map_path(&rig, s2_tables, s2_tables, IOVA, DATA, BIT(10) | BIT(6) | 3);
	assert_false(dma_by(rig.dev, NONE, IOVA, false).fault);
	assert_true(dma_by(rig.dev, NONE, IOVA, true).fault);
	tlbi_s12_vmall(&rig);
	map_path(&rig, s2_tables, s2_tables, IOVA, DATA, BIT(10) | BIT(7) | 3);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void what_is_not_modelled_blocks(void **state)
{
	static const uint64_t cds[] = {
		17 | BIT(31) | BIT(41),			/* a top level of 256 entries */
		16 | BIT(31) | BIT(41) | 1 << 6,	/* 64 KiB */
		16 | BIT(31) | BIT(41) | BIT(14),	/* EPD0 */
		16 | BIT(31),				/* AArch32 */
		16 | BIT(41),				/* not valid */
	};
	struct rig rig;
	size_t i;

	(void)state;
	start(&rig);
	map_s1(&rig, IOVA, DATA, S1_LEAF);
	put_cd(&rig, AT(CDS), ASID, AT(S1_TOP));
	put_ste(&rig, BYPASS, 0, 0);
	expect_fault(&rig, NONE, IOVA);
	put_ste(&rig, S1, AT(CDS), 0);
	cfgi_ste(&rig);
	expect(&rig, NONE, IOVA, DATA);
	for (i = 0; i < sizeof(cds) / sizeof(cds[0]); i++) {
		put(&rig, AT(CDS), cds[i] | ASID << 48);
		cfgi_cd(&rig, 0);
		tlbi_asid(&rig, ASID, VMID);
		expect_fault(&rig, NONE, IOVA);
	}
	stop(&rig);
}

static void eats_decides_about_the_atc(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	put_ste(&rig, S2, 0, 0);
	map_s2(&rig, IOVA, DATA);
	model_dev_set_ats(rig.dev, true);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 1);
	send(&rig, 0x40 | (uint64_t)SID << 32, 52);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
	put(&rig, AT(STES) + (SID & 0xff) * 64 + 8, 0);
	cfgi_ste(&rig);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
	stop(&rig);
}

static void completion_words_are_the_guests(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	send(&rig, 0x46 | 1 << 12 | UINT64_C(0x1234) << 32, AT(STATUS) + 4);
	assert_int_equal(*word(&rig, AT(STATUS)), UINT64_C(0x1234) << 32);
	/* Neither below nor above what there is. */
	send(&rig, 0x46 | 1 << 12 | UINT64_C(0x1234) << 32, START - 4);
	send(&rig, 0x46 | 1 << 12 | UINT64_C(0x1234) << 32, START + SIZE);
	send(&rig, 0x46 | 2 << 12, 0);
	assert_int_equal(model_count(rig.iommu, MODEL_SYNC), 4);
	stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_stage_by_substream),
		cmocka_unit_test(without_ssid0_requests_without_substream_are_terminated),
		cmocka_unit_test(stream_tables_are_linear_or_of_two_levels),
		cmocka_unit_test(stes_and_cds_are_cached_until_they_are_invalidated),
		cmocka_unit_test(nest_is_read_through_its_parent),
		cmocka_unit_test(without_its_parents_page_a_nest_has_no_cd),
		cmocka_unit_test(leaves_have_sizes_and_permissions),
		cmocka_unit_test(what_is_not_modelled_blocks),
		cmocka_unit_test(eats_decides_about_the_atc),
		cmocka_unit_test(completion_words_are_the_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
