// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range arithmetic of the SMMUv3 and RISC-V drivers against brute force
 *
 * A flush of each range goes through the driver, and what arrives at the hardware is
 * decoded here, independently of driver and model. SMMUv3 TLBIs must cover exactly the
 * pages, each once; size-aligned commands the smallest region that there is.
 */
#include "machine.h"

#define ADDRESS_PAGES	(UINT64_C(1) << 52)
#define SMMU_ASID	7
#define RISCV_PSCID	7
#define MOST_PAGES	100000

static const uint64_t leaves[] = { 0, PAGE, PAGE << 9, PAGE << 18 };

/* First page, and the pages that are tried from there on. */
static const uint64_t bases[] = {
	0, 1, 2, 31, 32, 33, 511, 512, 513, 0xfffb8, 0xfffff, 0x100000, 262143, 262144,
	(UINT64_C(1) << 36) - 1, UINT64_C(1) << 36, (UINT64_C(1) << 44) - 5,
};

static const uint64_t counts[] = {
	1, 2, 3, 4, 5, 7, 8, 15, 16, 29, 30, 31, 32, 33, 34, 63, 64, 65, 511, 512, 513,
	992, 993, 1023, 1024, 1025, 4096, 32767, 32768, 65535, 65537, 99999, MOST_PAGES,
};

struct fixture {
	struct machine machine;
	struct domain *domain;
	struct device *device;
};

static uint64_t bits(uint64_t word, unsigned int high, unsigned int low)
{
	return word << (63 - high) >> (63 - high + low);
}

static void setup(struct fixture *fixture, enum model_vendor vendor, bool first_stage)
{
	struct machine *machine = &fixture->machine;

	machine_init(machine, vendor, 1);
	fixture->domain = machine_domain(machine, first_stage, NULL);
	fixture->domain->wish_tag = SMMU_ASID;
	fixture->device = machine_device(machine, 0, 0x123, true);
	assert_int_equal(domain_attach(fixture->domain, fixture->device,
				       IOMMU_NO_PASID), 0);
}

static void teardown(struct fixture *fixture)
{
	device_remove(fixture->device);
	domain_free(fixture->domain);
	machine_exit(&fixture->machine);
}

static void flush(struct fixture *fixture, uint64_t first, uint64_t last,
		  uint64_t leaf, bool tables)
{
	const struct flush_range range = {
		.first = first, .last = last, .leaf = leaf, .tables = tables,
	};

	machine_forget(&fixture->machine);
	fixture->domain->driver->flush(fixture->domain, &range);
}

/* The smallest n of which one region of 2^n pages holds both pages. */
static unsigned int brute_order(uint64_t page, uint64_t end)
{
	unsigned int order = 0;

	while (page >> order != end >> order)
		order++;
	return order;
}

/*
 * SMMUv3
 */

struct coverage {
	uint64_t begin;			/* page of seen[0] */
	uint64_t nr;
	uint8_t seen[MOST_PAGES + 2 * 64];
};

static void check_tlbi_word(const uint64_t *cmd, uint64_t leaf, bool tables)
{
	uint64_t tg = bits(cmd[1], 11, 10), ttl = bits(cmd[1], 9, 8);
	uint64_t level = 0;

	if (!tables && leaf)
		level = leaf == PAGE ? 3 : leaf == PAGE << 9 ? 2 : 1;
	assert_int_equal(bits(cmd[0], 63, 48), SMMU_ASID);
	assert_int_equal(bits(cmd[0], 47, 32), 0);
	assert_int_equal(bits(cmd[1], 0, 0), !tables);
	if (tg)
		assert_int_equal(ttl, level);
	else
		assert_false(level || ttl || bits(cmd[0], 31, 12));
}

/* Counts what the TLBIs cover; NULL: too many pages to count one by one. */
static void check_smmu_pages(const struct machine *machine, uint64_t page, uint64_t nr,
			     uint64_t leaf, bool tables, struct coverage *coverage)
{
	uint64_t covered = 0, i;
	unsigned int c;

	if (coverage) {
		coverage->begin = page < 64 ? 0 : page - 64;
		coverage->nr = page - coverage->begin + nr + 64;
		memset(coverage->seen, 0, coverage->nr);
	}
	for (c = 0; machine->cmd[c].class == MODEL_IOTLB; c++) {
		const uint64_t *cmd = machine->cmd[c].word;
		uint64_t first = cmd[1] >> 12, pages = 1;

		assert_int_equal(bits(cmd[0], 7, 0), 0x12);
		check_tlbi_word(cmd, leaf, tables);
		if (bits(cmd[1], 11, 10))
			pages = (bits(cmd[0], 16, 12) + 1) << bits(cmd[0], 24, 20);
		/* In ascending order, each beginning where the last one ended. */
		assert_int_equal(first, page + covered);
		covered += pages;
		for (i = 0; coverage && i < pages; i++) {
			assert_in_range(first + i, coverage->begin,
					coverage->begin + coverage->nr - 1);
			coverage->seen[first + i - coverage->begin]++;
		}
	}
	assert_int_equal(covered, nr);
	/* Five bits of the number of pages, which has 36 at most, go with each. */
	assert_in_range(c, 1, 8);
	for (i = 0; coverage && i < coverage->nr; i++) {
		uint64_t at = coverage->begin + i;

		assert_int_equal(coverage->seen[i], at >= page && at < page + nr);
	}
}

static void check_smmu_atc(const struct machine *machine, uint64_t page, uint64_t end)
{
	unsigned int order = brute_order(page, end), c = 0;
	const uint64_t *cmd;

	while (machine->cmd[c].class != MODEL_ATC)
		c++;
	assert_int_equal(c + 2, machine->nr_cmds);
	cmd = machine->cmd[c].word;
	assert_int_equal(cmd[0], UINT64_C(0x12300000040));
	assert_int_equal(bits(cmd[1], 5, 0), order);
	assert_int_equal(cmd[1] >> 12, page >> order << order);
}

static void check_smmu(struct fixture *fixture, uint64_t page, uint64_t nr,
		       uint64_t leaf, bool tables)
{
	static struct coverage coverage;
	uint64_t first = page * PAGE, last = (page + nr - 1) * PAGE + PAGE - 1;

	/* Leaves of a size begin and end where such leaves do. */
	if (leaf && (page * PAGE % leaf || nr * PAGE % leaf))
		return;
	flush(fixture, first, last, leaf, tables);
	check_smmu_pages(&fixture->machine, page, nr, leaf, tables,
			 nr <= MOST_PAGES ? &coverage : NULL);
	check_smmu_atc(&fixture->machine, page, page + nr - 1);
}

static void for_each_range(struct fixture *fixture, bool tables,
			   void (*check)(struct fixture *fixture, uint64_t page,
					 uint64_t nr, uint64_t leaf, bool tables))
{
	uint64_t seed = 20240229, page, nr;
	unsigned int b, c, l, i;

	for (l = 0; l < ARRAY_SIZE(leaves); l++) {
		for (c = 0; c < ARRAY_SIZE(counts); c++) {
			for (b = 0; b < ARRAY_SIZE(bases); b++)
				check(fixture, bases[b], counts[c], leaves[l], tables);
			/* To the last page of the address space. */
			check(fixture, ADDRESS_PAGES - counts[c], counts[c], leaves[l],
			      tables);
			check(fixture, ADDRESS_PAGES - counts[c] - 1, counts[c],
			      leaves[l], tables);
		}
	}
	for (page = 0; page < 70; page++)
		for (nr = 1; nr < 140; nr++)
			check(fixture, page, nr, PAGE, tables);

	print_message("seed %" PRIu64 "\n", seed);
	for (i = 0; i < 2000; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		nr = 1 + (seed >> 33) % (UINT64_C(1) << (1 + (seed >> 28) % 35));
		page = (seed >> 5) % (ADDRESS_PAGES - nr + 1);
		check(fixture, page, nr, PAGE, tables);
	}
}

static void test_smmu_commands_cover_exactly_the_pages(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture, MODEL_SMMUV3, true);
	for_each_range(&fixture, false, check_smmu);
	teardown(&fixture);
}

static void test_smmu_tables_are_cut_off_without_level(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture, MODEL_SMMUV3, true);
	for_each_range(&fixture, true, check_smmu);
	teardown(&fixture);
}

static void test_smmu_bytes_take_their_pages(void **state)
{
	static const struct { uint64_t first, last, page, nr; } ranges[] = {
		{ 0, 0, 0, 1 },
		{ 0xfff, 0xfff, 0, 1 },
		{ 0xfff, 0x1000, 0, 2 },
		{ 0x1234, 0x1235, 1, 1 },
		{ 0x1fff, 0x4000, 1, 4 },
		{ UINT64_MAX, UINT64_MAX, ADDRESS_PAGES - 1, 1 },
		{ UINT64_MAX - PAGE, UINT64_MAX, ADDRESS_PAGES - 2, 2 },
		{ UINT64_MAX - 3 * PAGE + 2, UINT64_MAX - 1, ADDRESS_PAGES - 3, 3 },
	};
	struct fixture fixture;
	unsigned int i;

	(void)state;
	setup(&fixture, MODEL_SMMUV3, true);
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		flush(&fixture, ranges[i].first, ranges[i].last, PAGE, false);
		check_smmu_pages(&fixture.machine, ranges[i].page, ranges[i].nr, PAGE,
				 false, NULL);
		check_smmu_atc(&fixture.machine, ranges[i].page,
			       ranges[i].page + ranges[i].nr - 1);
	}
	teardown(&fixture);
}

static void test_smmu_whole_space_takes_the_tag(void **state)
{
	/* 31 << 31 pages are the most that one command names. */
	static const uint64_t most = UINT64_C(31) << 31;
	struct fixture fixture;
	unsigned int i;
	const struct { uint64_t first, last; } wholes[] = {
		{ 0, UINT64_MAX },
		{ 0, UINT64_MAX - PAGE },
		{ PAGE, UINT64_MAX },
		{ 0, (most + 1) * PAGE - 1 },
		{ PAGE, (most + 2) * PAGE - 1 },
	};

	(void)state;
	setup(&fixture, MODEL_SMMUV3, true);
	for (i = 0; i < ARRAY_SIZE(wholes); i++) {
		flush(&fixture, wholes[i].first, wholes[i].last, 0, true);
		assert_classes(&fixture.machine, "TSAS");
		assert_cmd(&fixture.machine, 0, UINT64_C(0x0007000000000011), 0);
		check_smmu_atc(&fixture.machine, wholes[i].first >> 12,
			       wholes[i].last >> 12);
	}
	teardown(&fixture);
}

static void test_smmu_largest_ranges_go_by_address(void **state)
{
	/* SCALE ends at 31, trailing zeros of the number of pages do not. */
	static const uint64_t nr[] = {
		UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 35,
		UINT64_C(3) << 33, (UINT64_C(1) << 35) - 1, (UINT64_C(1) << 35) + 1,
		UINT64_C(31) << 31,
	};
	struct fixture fixture;
	unsigned int i;

	(void)state;
	setup(&fixture, MODEL_SMMUV3, true);
	for (i = 0; i < ARRAY_SIZE(nr); i++) {
		check_smmu(&fixture, 0, nr[i], PAGE, false);
		check_smmu(&fixture, 1, nr[i], PAGE, true);
		check_smmu(&fixture, ADDRESS_PAGES - nr[i], nr[i], 0, false);
	}
	teardown(&fixture);
}

static void test_smmu_s2_ranges_end_with_the_ipa_field(void **state)
{
	const uint64_t end = UINT64_C(1) << 56;
	struct fixture fixture;

	(void)state;
	setup(&fixture, MODEL_SMMUV3, false);
	flush(&fixture, end - PAGE, end - 1, PAGE, false);
	assert_classes(&fixture.machine, "TSAS");
	assert_cmd(&fixture.machine, 0, UINT64_C(0x000000070000002a),
		   (end - PAGE) | 0x701);
	flush(&fixture, end - PAGE, end, PAGE, false);
	assert_classes(&fixture.machine, "TSAS");
	assert_cmd(&fixture.machine, 0, UINT64_C(0x0000000700000028), 0);
	teardown(&fixture);
}

/*
 * RISC-V
 */

/* The size is where the ones of the address end. */
static void check_napot(uint64_t address, bool range, uint64_t page, uint64_t end)
{
	unsigned int order = brute_order(page, end), ones = 0;

	assert_int_equal(range, order != 0);
	if (range) {
		while (address >> (12 + ones) & 1)
			ones++;
		assert_int_equal(ones + 1, order);
		address = order == 52 ? 0 : address >> (12 + order) << (12 + order);
	}
	assert_int_equal(address >> 12, page >> order << order);
}

static void check_riscv_words(const struct machine *machine, uint64_t page, uint64_t end,
			      bool tables)
{
	const uint64_t *cmd;

	assert_classes(machine, "TSAS");
	cmd = machine->cmd[0].word;
	/* VMA, AV, PSCV, and NL where tables went. */
	assert_int_equal(cmd[0], UINT64_C(0x100000401) | RISCV_PSCID << 12 |
				 (uint64_t)tables << 34);
	check_napot(bits(cmd[1], 61, 10) << 12, bits(cmd[1], 9, 9), page, end);

	cmd = machine->cmd[2].word;
	assert_int_equal(cmd[0], UINT64_C(0x0001230200000004));
	check_napot(cmd[1] >> 12 << 12, bits(cmd[1], 11, 11), page, end);
	assert_int_equal(bits(cmd[1], 10, 0), 0);
}

static void check_riscv(struct fixture *fixture, uint64_t page, uint64_t nr,
			uint64_t leaf, bool tables)
{
	flush(fixture, page * PAGE, (page + nr - 1) * PAGE + PAGE - 1, leaf, tables);
	check_riscv_words(&fixture->machine, page, page + nr - 1, tables);
}

static void test_riscv_commands_cover_the_least_napot_region(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture, MODEL_RISCV, true);
	for_each_range(&fixture, false, check_riscv);
	for_each_range(&fixture, true, check_riscv);
	teardown(&fixture);
}

static void test_riscv_bytes_take_their_pages(void **state)
{
	static const struct { uint64_t first, last; } ranges[] = {
		{ 0, 0 },
		{ 0xfff, 0xfff },
		{ 0xfff, 0x1000 },
		{ 0x1234, 0x1235 },
		{ 1, UINT64_MAX },
		{ 0, UINT64_MAX - 1 },
		{ UINT64_MAX, UINT64_MAX },
		{ UINT64_MAX - PAGE, UINT64_MAX },
		{ UINT64_MAX >> 1, (UINT64_MAX >> 1) + 1 },
	};
	struct fixture fixture;
	unsigned int i;

	(void)state;
	setup(&fixture, MODEL_RISCV, true);
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		flush(&fixture, ranges[i].first, ranges[i].last, PAGE, false);
		check_riscv_words(&fixture.machine, ranges[i].first >> 12,
				  ranges[i].last >> 12, false);
	}
	teardown(&fixture);
}

static void test_riscv_whole_space_takes_the_tag(void **state)
{
	struct fixture fixture;

	(void)state;
	setup(&fixture, MODEL_RISCV, true);
	flush(&fixture, 0, UINT64_MAX, 0, true);
	assert_classes(&fixture.machine, "TSAS");
	assert_cmd(&fixture.machine, 0, UINT64_C(0x100000001) | RISCV_PSCID << 12, 0);
	check_napot(fixture.machine.cmd[2].word[1] >> 12 << 12, true, 0,
		    ADDRESS_PAGES - 1);
	teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smmu_commands_cover_exactly_the_pages),
		cmocka_unit_test(test_smmu_tables_are_cut_off_without_level),
		cmocka_unit_test(test_smmu_bytes_take_their_pages),
		cmocka_unit_test(test_smmu_whole_space_takes_the_tag),
		cmocka_unit_test(test_smmu_largest_ranges_go_by_address),
		cmocka_unit_test(test_smmu_s2_ranges_end_with_the_ipa_field),
		cmocka_unit_test(test_riscv_commands_cover_the_least_napot_region),
		cmocka_unit_test(test_riscv_bytes_take_their_pages),
		cmocka_unit_test(test_riscv_whole_space_takes_the_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
