// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d with a guest's memory: what the hardware finds there, and what it keeps of it.
 *
 * The guest is an array. Its driver is this file: it writes root, context, PASID and page
 * tables as D51397, chapter 9, has them, by hand, and sends descriptors.
 */
#include "model_guest.h"

#define SLOT		2
#define RID		(SLOT << 3)
#define OTHER_RID	0x80		/* its context is in the upper half */
#define DID		9
#define PASID		70		/* the second PASID table */
#define IOVA		UINT64_C(0x40000000)
#define DATA		UINT64_C(0x200000)
#define LEGACY		0
#define SCALABLE	(UINT64_C(1) << 10)

/* Pages of the guest's memory. */
enum {
	ROOT = 1, CONTEXT, UPPER_CONTEXT, DIRECTORY, PASIDS, MORE_PASIDS,
	S1_TOP, S1_3, S1_2, S1_1, S2_TOP, S2_3, S2_2, S2_1, S2_LOW_3, S2_LOW_2, S2_LOW_1,
	STATUS,
};

#define AT(page)	((uint64_t)(page) * PAGE)
#define S1_FLAGS	7UL
#define S2_FLAGS	3UL

/* One path of four tables to the page @to. */
static void map_path(struct rig *rig, const uint64_t *tables, uint64_t addr, uint64_t to,
		     uint64_t flags)
{
	int level;

	for (level = 3; level >= 0; level--) {
		uint64_t next = level ? tables[4 - level] : to;

		put(rig, tables[3 - level] + (addr >> (12 + 9 * level) & 511) * 8, next | flags);
	}
}

static const uint64_t s1_tables[] = { AT(S1_TOP), AT(S1_3), AT(S1_2), AT(S1_1) };
static const uint64_t s2_tables[] = { AT(S2_TOP), AT(S2_3), AT(S2_2), AT(S2_1) };
static const uint64_t s2_low[] = { AT(S2_TOP), AT(S2_LOW_3), AT(S2_LOW_2), AT(S2_LOW_1) };

static void map_s1(struct rig *rig, uint64_t iova, uint64_t to)
{
	map_path(rig, s1_tables, iova, to, S1_FLAGS);
}

static void map_s2(struct rig *rig, uint64_t addr, uint64_t to)
{
	map_path(rig, s2_tables, addr, to, S2_FLAGS);
}

static void start(struct rig *rig, uint64_t mode)
{
	rig_start(rig, MODEL_VTD, 0, RID);
	model_set_root(rig->iommu, AT(ROOT) | mode);
}

/* A scalable-mode context entry, and the tables of PASIDs below it. */
static void put_scalable(struct rig *rig)
{
	put(rig, AT(ROOT), AT(CONTEXT) | 1);
	put(rig, AT(ROOT) + 8, AT(UPPER_CONTEXT) | 1);
	put(rig, AT(CONTEXT) + RID * 32, AT(DIRECTORY) | BIT(2) | 1);
	put(rig, AT(UPPER_CONTEXT), AT(DIRECTORY) | 1);
	put(rig, AT(DIRECTORY), AT(PASIDS) | 1);
	put(rig, AT(DIRECTORY) + 8, AT(MORE_PASIDS) | 1);
}

static void put_pasid(struct rig *rig, uint32_t pasid, uint64_t type, uint64_t flags)
{
	uint64_t at = AT(pasid >= 64 ? MORE_PASIDS : PASIDS) + pasid % 64 * 64;

	put(rig, at + 8, DID);
	put(rig, at + 16, AT(S1_TOP));
	put(rig, at, AT(S2_TOP) | 2 << 2 | type << 6 | flags | 1);
}

enum { FIRST = 1, SECOND, NESTED };

static void flush_context(struct rig *rig)
{
	send(rig, 0x31 | (uint64_t)RID << 32, 0);
}

static void flush_pasid_cache(struct rig *rig, uint32_t pasid)
{
	send(rig, 0x17 | (uint64_t)pasid << 32 | DID << 16, 0);
}

static void flush_iotlb(struct rig *rig)
{
	send(rig, 0x22 | DID << 16, 0);
}

static void flush_pasid_iotlb(struct rig *rig, uint32_t pasid)
{
	send(rig, 0x26 | (uint64_t)pasid << 32 | DID << 16, 0);
}

static void flush_atc(struct rig *rig)
{
	send(rig, 0x3 | (uint64_t)RID << 32, 0x7ffffffffffff001);
}

static void first_stage_by_pasid(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, SCALABLE);
	expect_fault(&rig, NONE, IOVA);
	put_scalable(&rig);
	expect_fault(&rig, PASID, IOVA);
	map_s1(&rig, IOVA, DATA);
	put_pasid(&rig, 0, FIRST, 0);
	put_pasid(&rig, PASID, FIRST, 0);
	expect(&rig, NONE, IOVA, DATA);
	expect(&rig, PASID, IOVA, DATA);
	expect_fault(&rig, PASID + 1, IOVA);
	/* PDTS 0: 128 entries of the directory. */
	expect_fault(&rig, 128 * 64, IOVA);

	put(&rig, AT(S1_1), 0);
	expect_stale(&rig, PASID, IOVA);
	flush_pasid_iotlb(&rig, PASID);
	expect_fault(&rig, PASID, IOVA);
	expect_stale(&rig, NONE, IOVA);
	flush_pasid_iotlb(&rig, 0);
	expect_fault(&rig, NONE, IOVA);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	stop(&rig);
}

static void upper_half_of_the_bus_has_a_context_table_of_its_own(void **state)
{
	struct model_dev *upper;
	struct rig rig;

	(void)state;
	start(&rig, SCALABLE);
	put_scalable(&rig);
	map_s1(&rig, IOVA, DATA);
	put_pasid(&rig, 0, FIRST, 0);
	upper = model_dev_create(rig.iommu, OTHER_RID, true);
	assert_false(dma_by(upper, NONE, IOVA, false).fault);
	put(&rig, AT(ROOT) + 8, 0);
	send(&rig, 0x11, 0);
	send(&rig, 0x37, 0);
	assert_true(dma_by(upper, NONE, IOVA, false).fault);
	expect(&rig, NONE, IOVA, DATA);
	model_dev_destroy(upper);
	stop(&rig);
}

static void requests_without_pasid_are_those_of_pasid_0(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, SCALABLE);
	put_scalable(&rig);
	map_s1(&rig, IOVA, DATA);
	put_pasid(&rig, 0, FIRST, 0);
	expect(&rig, 0, IOVA, DATA);
	assert_int_equal(dma_by(rig.dev, NONE, IOVA, false).source, MODEL_FROM_IOTLB);
	put(&rig, AT(S1_1), 0);
	flush_pasid_iotlb(&rig, 0);
	expect_fault(&rig, 0, IOVA);
	expect_fault(&rig, NONE, IOVA);

	/* The entry goes, and so does its copy. */
	put(&rig, AT(PASIDS), 0);
	expect_stale(&rig, 0, IOVA);
	flush_pasid_cache(&rig, 0);
	expect_fault(&rig, 0, IOVA);
	expect_fault(&rig, NONE, IOVA);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	stop(&rig);
}

static void legacy_mode_has_context_entries_alone(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, LEGACY);
	put(&rig, AT(ROOT), AT(CONTEXT) | 1);
	put(&rig, AT(CONTEXT) + RID * 16 + 8, DID << 8 | 2);
	put(&rig, AT(CONTEXT) + RID * 16, AT(S2_TOP) | 1);
	map_s2(&rig, IOVA, DATA);
	expect(&rig, NONE, IOVA, DATA);
	expect_fault(&rig, PASID, IOVA);

	/* TT 0: translation requests are refused; ATS is of no use. */
	model_dev_set_ats(rig.dev, true);
	flush_iotlb(&rig);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
	*word(&rig, AT(CONTEXT) + RID * 16) |= 1 << 2;
	expect_stale(&rig, NONE, IOVA);
	flush_context(&rig);
	flush_iotlb(&rig);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 1);

	put(&rig, AT(S2_1), 0);
	flush_iotlb(&rig);
	expect_stale(&rig, NONE, IOVA);
	flush_atc(&rig);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void context_and_pasid_entries_are_cached_apart(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, SCALABLE);
	put_scalable(&rig);
	map_s1(&rig, IOVA, DATA);
	put_pasid(&rig, PASID, FIRST, 0);
	expect(&rig, PASID, IOVA, DATA);

	/* The PASID's entry goes: a context invalidation does not help. */
	put(&rig, AT(MORE_PASIDS) + PASID % 64 * 64, 0);
	flush_context(&rig);
	expect_stale(&rig, PASID, IOVA);
	flush_pasid_cache(&rig, PASID);
	flush_pasid_iotlb(&rig, PASID);
	expect_fault(&rig, PASID, IOVA);
	assert_int_equal(model_stale_entries(rig.iommu), 0);

	/* The context entry goes: the other one does not help. */
	put_pasid(&rig, PASID, FIRST, 0);
	expect(&rig, PASID, IOVA, DATA);
	put(&rig, AT(CONTEXT) + RID * 32, 0);
	send(&rig, 0x37, 0);
	flush_pasid_iotlb(&rig, PASID);
	expect_stale(&rig, PASID, IOVA);
	flush_context(&rig);
	send(&rig, 0x37, 0);
	flush_pasid_iotlb(&rig, PASID);
	expect_fault(&rig, PASID, IOVA);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	stop(&rig);
}

/* The nest's tables lie at the same addresses of the S2 as in the host. */
static void start_nest(struct rig *rig, uint64_t flags)
{
	int page;

	start(rig, SCALABLE);
	put_scalable(rig);
	map_s1(rig, IOVA, IOVA);
	for (page = S1_TOP; page <= S1_1; page++)
		map_path(rig, s2_low, AT(page), AT(page), S2_FLAGS);
	/* The data's address is of another 1 GiB, so it has other tables below the second. */
	map_path(rig, (const uint64_t[]){ AT(S2_TOP), AT(S2_LOW_3), AT(S2_2), AT(S2_1) }, IOVA,
		 DATA, S2_FLAGS);
	put_pasid(rig, 0, NESTED, flags);
}

static void nest_is_read_through_its_parent(void **state)
{
	struct rig rig;

	(void)state;
	start_nest(&rig, 0);
	model_dev_set_ats(rig.dev, true);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 1);

	/* The parent's page goes: IOTLB under the nest's tag, and the ATC. */
	put(&rig, AT(S2_1), 0);
	expect_stale(&rig, NONE, IOVA);
	flush_iotlb(&rig);
	expect_stale(&rig, NONE, IOVA);
	flush_atc(&rig);
	expect_fault(&rig, NONE, IOVA);
	assert_int_equal(model_stale_entries(rig.iommu), 0);

	/* Without the page of a table there is no translation, either. */
	put(&rig, AT(S2_1), DATA | S2_FLAGS);
	expect(&rig, NONE, IOVA, DATA);
	put(&rig, AT(S2_LOW_1) + S1_2 * 8, 0);
	flush_iotlb(&rig);
	flush_atc(&rig);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void large_leaves_and_read_only_ones(void **state)
{
	struct model_access access;
	struct rig rig;

	(void)state;
	start(&rig, SCALABLE);
	put_scalable(&rig);
	map_s1(&rig, IOVA, DATA);
	put(&rig, AT(S1_2), DATA | 0x80 | 1);	/* 2 MiB, read only */
	put_pasid(&rig, 0, FIRST, 0);
	model_dma(rig.dev, NONE, IOVA + 0x123008, false, &access);
	assert_false(access.fault);
	assert_int_equal(access.paddr, DATA + 0x123008);
	assert_true(dma_by(rig.dev, NONE, IOVA, true).fault);
	/* Beyond what four levels have. */
	model_dma(rig.dev, NONE, BIT(48), false, &access);
	assert_true(access.fault);
	stop(&rig);
}

static uint64_t leaf(struct rig *rig)
{
	return *word(rig, AT(S2_1)) & 0x300;
}

static void writes_mark_pages_dirty_once(void **state)
{
	struct rig rig;

	(void)state;
	start_nest(&rig, 0);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(leaf(&rig), 0);	/* SSADE is off */
	put_pasid(&rig, 0, NESTED, BIT(9));
	/* It is on, and the hardware does not know. */
	expect_stale(&rig, NONE, IOVA);
	dma_by(rig.dev, NONE, IOVA, true);
	assert_int_equal(leaf(&rig), 0);
	flush_pasid_cache(&rig, 0);
	flush_iotlb(&rig);

	assert_false(dma_by(rig.dev, NONE, IOVA, false).fault);
	assert_int_equal(leaf(&rig), 0);	/* a read */
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(leaf(&rig), 0x300);
	*word(&rig, AT(S2_1)) &= ~UINT64_C(0x300);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(leaf(&rig), 0);	/* what is cached has been marked */
	flush_iotlb(&rig);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(leaf(&rig), 0x300);

	/* A device that may write has been given the right to: a read marks. */
	model_dev_set_ats(rig.dev, true);
	*word(&rig, AT(S2_1)) &= ~UINT64_C(0x300);
	flush_iotlb(&rig);
	assert_false(dma_by(rig.dev, NONE, IOVA, false).fault);
	assert_int_equal(leaf(&rig), 0x300);
	*word(&rig, AT(S2_1)) &= ~UINT64_C(0x300);
	flush_iotlb(&rig);
	expect(&rig, NONE, IOVA, DATA);		/* from the ATC */
	assert_int_equal(leaf(&rig), 0);
	flush_atc(&rig);
	expect(&rig, NONE, IOVA, DATA);
	assert_int_equal(leaf(&rig), 0x300);
	stop(&rig);
}

static void completion_words_are_the_guests(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, SCALABLE);
	send(&rig, 0x25 | UINT64_C(0x1234) << 32, AT(STATUS) + 4);
	assert_int_equal(*word(&rig, AT(STATUS)), UINT64_C(0x1234) << 32);
	/* Outside, and at its end: nothing is written, nothing breaks. */
	send(&rig, 0x25 | UINT64_C(0x1234) << 32, SIZE);
	send(&rig, 0x25 | UINT64_C(0x1234) << 32, UINT64_MAX - 3);
	send(&rig, 0x25 | UINT64_C(0x1234) << 32, SIZE - 4);
	assert_int_equal(*word(&rig, SIZE - 8), UINT64_C(0x1234) << 32);
	assert_int_equal(model_count(rig.iommu, MODEL_SYNC), 4);
	stop(&rig);
}

static void tables_outside_of_memory_are_empty(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, SCALABLE);
	model_set_root(rig.iommu, SIZE | SCALABLE);
	expect_fault(&rig, NONE, IOVA);
	model_set_root(rig.iommu, AT(ROOT) | SCALABLE);
	put_scalable(&rig);
	put(&rig, AT(DIRECTORY), SIZE | 1);
	expect_fault(&rig, NONE, IOVA);
	put(&rig, AT(DIRECTORY), AT(PASIDS) | 1);
	put_pasid(&rig, 0, FIRST, 0);
	put(&rig, AT(S1_TOP), (UINT64_C(1) << 51) | 1);
	expect_fault(&rig, NONE, IOVA);
	stop(&rig);
}

static void other_vendors_have_no_guests(void **state)
{
	struct model_memory memory = { NULL, 0, 0 };
	unsigned int vendor;

	(void)state;
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		struct model_config config = {
			.vendor = (enum model_vendor)vendor, .memory = &memory,
		};
		struct model_iommu *iommu = model_iommu_create(&config);

		assert_int_equal(!!iommu, vendor != MODEL_RISCV);
		model_iommu_destroy(iommu);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_stage_by_pasid),
		cmocka_unit_test(upper_half_of_the_bus_has_a_context_table_of_its_own),
		cmocka_unit_test(requests_without_pasid_are_those_of_pasid_0),
		cmocka_unit_test(legacy_mode_has_context_entries_alone),
		cmocka_unit_test(context_and_pasid_entries_are_cached_apart),
		cmocka_unit_test(nest_is_read_through_its_parent),
		cmocka_unit_test(large_leaves_and_read_only_ones),
		cmocka_unit_test(writes_mark_pages_dirty_once),
		cmocka_unit_test(completion_words_are_the_guests),
		cmocka_unit_test(tables_outside_of_memory_are_empty),
		cmocka_unit_test(other_vendors_have_no_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
