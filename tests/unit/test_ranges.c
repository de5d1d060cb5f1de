// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range arithmetic of the VT-d and AMD drivers against brute force
 *
 * A flush of each range goes through the driver, and what arrives at the hardware is
 * decoded here, independently of driver and model. What one command can name is a
 * naturally aligned power of two of pages: it must be the smallest one that has the
 * whole range, found here by trying them all. The pieces for AMD's NpCache must cover
 * exactly the pages of the range, each once.
 *
 * Pitfall 8: page counts that were not aligned again flushed too little, an end at the
 * last address made loops without end, masks of the whole address space overflowed.
 */
#include "machine.h"

#define DOMAIN_TAG	7
#define RID		0x1234
#define TEST_PASID	0x54321

#define VTD_MAMV	18
#define AMD_TOP_ORDER	40	/* 2^52 bytes */
#define ALL_ORDER	52	/* in pages of 4 KiB: the whole address space */

/* What a command names. */
struct region {
	uint64_t page;
	unsigned int order;
	bool tables;
};

struct fixture {
	struct machine machine;
	struct model_iommu *hw;
	struct domain *domain;
	struct device *device;
	bool guest;		/* first-stage table, attached under a PASID */
};

static uint64_t bits(uint64_t word, unsigned int high, unsigned int low)
{
	return word << (63 - high) >> (63 - high + low);
}

static void setup(struct fixture *fixture, enum model_vendor vendor, bool guest,
		  bool caching_mode)
{
	struct machine *machine = &fixture->machine;

	machine_init(machine, vendor, 1);
	machine->iommu[0]->caching_mode = caching_mode;
	fixture->guest = guest;
	fixture->domain = machine_domain(machine, guest, NULL);
	fixture->domain->wish_tag = DOMAIN_TAG;
	fixture->device = machine_device(machine, 0, RID, true);
	fixture->device->ats_qdep = 32;
	assert_int_equal(domain_attach(fixture->domain, fixture->device,
				       guest ? TEST_PASID : IOMMU_NO_PASID), 0);
}

static void teardown(struct fixture *fixture)
{
	device_remove(fixture->device);
	domain_free(fixture->domain);
	fixture->machine.iommu[0]->caching_mode = false;
	machine_exit(&fixture->machine);
}

static void flush_range(struct machine *machine, struct domain *domain,
			uint64_t first, uint64_t last, bool tables)
{
	const struct flush_range range = {
		.first = first,
		.last = last,
		.tables = tables,
	};

	machine_forget(machine);
	machine->driver->flush(domain, &range);
}

static void flush(struct fixture *fixture, uint64_t first, uint64_t last, bool tables)
{
	flush_range(&fixture->machine, fixture->domain, first, last, tables);
}

/*
 * Decoders
 */

/* PCIe 10.2.3.2: the lowest zero of the address from bit 12 up is the topmost one masked. */
static struct region napot(uint64_t addr, bool sized)
{
	struct region region = { .page = addr >> 12 };

	if (!sized)
		return region;
	region.order = 1;
	while (region.page & 1) {
		region.page >>= 1;
		region.order++;
	}
	region.page = region.page >> 1 << region.order;
	return region;
}

static struct region aligned(uint64_t addr, unsigned int order)
{
	return (struct region){ .page = addr >> 12, .order = order };
}

static struct region vtd_iotlb(const struct fixture *fixture, const uint64_t *word)
{
	unsigned int granularity = (unsigned int)bits(word[0], 5, 4);
	struct region region = { .order = ALL_ORDER, .tables = true };

	assert_int_equal(bits(word[0], 31, 16), DOMAIN_TAG);
	if (fixture->guest) {
		assert_int_equal(bits(word[0], 3, 0), 6);
		assert_int_equal(bits(word[0], 51, 32), TEST_PASID);
	} else {
		assert_int_equal(bits(word[0], 3, 0), 2);
		assert_int_equal(bits(word[0], 7, 6), 3);
	}
	if (granularity == 2)
		return region;
	assert_int_equal(granularity, 3);
	region = aligned(word[1], (unsigned int)bits(word[1], 5, 0));
	region.tables = !bits(word[1], 6, 6);
	return region;
}

static struct region vtd_atc(const struct fixture *fixture, const uint64_t *word)
{
	if (fixture->guest) {
		assert_int_equal(bits(word[0], 3, 0), 8);
		assert_int_equal(bits(word[0], 31, 16), RID);
		assert_int_equal(bits(word[0], 51, 32), TEST_PASID);
		assert_int_equal(bits(word[0], 8, 4), 0);
		return napot(word[1], bits(word[1], 11, 11));
	}
	assert_int_equal(bits(word[0], 3, 0), 3);
	assert_int_equal(bits(word[0], 47, 32), RID);
	assert_int_equal(bits(word[0], 20, 16), 0);
	return napot(word[1], bits(word[1], 0, 0));
}

static struct region amd_iotlb(const struct fixture *fixture, const uint64_t *word)
{
	struct region region = napot(word[1], bits(word[1], 0, 0));

	assert_int_equal(bits(word[0], 63, 60), 3);
	assert_int_equal(bits(word[0], 47, 32), DOMAIN_TAG);
	assert_int_equal(bits(word[0], 19, 0), fixture->guest ? TEST_PASID : 0);
	assert_int_equal(bits(word[1], 2, 2), fixture->guest);
	region.tables = bits(word[1], 1, 1);
	return region;
}

static struct region amd_atc(const struct fixture *fixture, const uint64_t *word)
{
	uint32_t pasid = fixture->guest ? TEST_PASID : 0;

	assert_int_equal(bits(word[0], 63, 60), 4);
	assert_int_equal(bits(word[0], 15, 0), RID);
	assert_int_equal(bits(word[0], 47, 32), RID);
	assert_int_equal(bits(word[0], 31, 24), 32);
	assert_int_equal(bits(word[0], 59, 56), pasid >> 16);
	assert_int_equal(bits(word[0], 23, 16), pasid >> 8 & 0xff);
	assert_int_equal(bits(word[0], 55, 48), pasid & 0xff);
	assert_int_equal(bits(word[1], 2, 2), fixture->guest);
	return napot(word[1], bits(word[1], 0, 0));
}

/*
 * Brute force
 */

static unsigned int smallest_order(uint64_t first, uint64_t last)
{
	unsigned int order = 0;

	while (first >> 12 >> order != last >> 12 >> order)
		order++;
	return order;
}

static void assert_region(struct region region, uint64_t first, unsigned int order)
{
	assert_int_equal(region.order, order);
	assert_int_equal(region.page, first >> 12 >> order << order);
}

static void check_vtd(struct fixture *fixture, uint64_t first, uint64_t last)
{
	unsigned int order = smallest_order(first, last), iotlb = order;
	const struct machine *machine = &fixture->machine;
	struct region region;
	int tables;

	if (!fixture->guest && order > VTD_MAMV)
		iotlb = ALL_ORDER;
	for (tables = 0; tables < 2; tables++) {
		flush(fixture, first, last, tables);
		assert_classes(machine, "TAS");
		region = vtd_iotlb(fixture, machine->cmd[0].word);
		assert_region(region, first, iotlb);
		assert_int_equal(region.tables, tables || iotlb == ALL_ORDER);
		assert_region(vtd_atc(fixture, machine->cmd[1].word), first, order);
	}
}

static void check_amd(struct fixture *fixture, uint64_t first, uint64_t last)
{
	unsigned int order = smallest_order(first, last);
	const struct machine *machine = &fixture->machine;
	struct region region;

	if (order > AMD_TOP_ORDER)
		order = ALL_ORDER;
	flush(fixture, first, last, false);
	assert_classes(machine, "TAS");
	region = amd_iotlb(fixture, machine->cmd[0].word);
	assert_true(region.tables);
	assert_region(region, first, order);
	assert_region(amd_atc(fixture, machine->cmd[1].word), first, order);
}

/* Adjacent pieces from the first page to the last, none that could be joined. */
static void check_amd_pieces(struct fixture *fixture, uint64_t first, uint64_t last)
{
	const struct machine *machine = &fixture->machine;
	uint64_t page = first >> 12, end = last >> 12;
	struct region region, before = { .order = ALL_ORDER };
	unsigned int i;

	if (last - first >= (UINT64_C(1) << 52) - 1) {
		check_amd(fixture, first, last);
		return;
	}
	flush(fixture, first, last, false);
	for (i = 0; machine->cmd[i].class != MODEL_ATC; i++) {
		/* That of a full batch. */
		if (machine->cmd[i].class == MODEL_SYNC)
			continue;
		assert_int_equal(machine->cmd[i].class, MODEL_IOTLB);
		region = amd_iotlb(fixture, machine->cmd[i].word);
		assert_int_equal(region.page, page);
		assert_int_equal(page >> region.order << region.order, page);
		assert_true(region.order != before.order ||
			    bits(before.page, 63, region.order) & 1);
		page += UINT64_C(1) << region.order;
		before = region;
	}
	assert_int_equal(page, end + 1);
	assert_int_equal(machine->nr_cmds, i + 2);
}

/*
 * Ranges: all pairs of some pages around places where carries happen
 */

#define AROUND		20

static const uint64_t places[] = {
	AROUND / 2,
	512,
	1024 + 3,
	UINT64_C(1) << 27,		/* 2^39 */
	UINT64_C(1) << 36,		/* 2^48 */
	UINT64_C(1) << 40,		/* 2^52 */
	UINT64_C(1) << 45,		/* 2^57 */
	(UINT64_C(1) << 52) - AROUND / 2 - 1,	/* up to the last page of 2^64 */
};

static const uint64_t long_sizes[] = {
	UINT64_C(1) << 20, UINT64_C(1) << 21, (UINT64_C(1) << 21) + PAGE,
	UINT64_C(1) << 30, UINT64_C(1) << 31, (UINT64_C(1) << 39) - PAGE,
	UINT64_C(1) << 48, (UINT64_C(1) << 52) - PAGE, UINT64_C(1) << 52,
	UINT64_C(1) << 57, UINT64_C(1) << 63,
};

static void for_ranges(struct fixture *fixture,
		       void (*check)(struct fixture *fixture, uint64_t first,
				     uint64_t last))
{
	uint64_t from, to, start;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		start = places[i] - AROUND / 2;
		for (from = start; from <= start + AROUND; from++) {
			for (to = from; to <= start + AROUND; to++)
				check(fixture, from << 12, to << 12 | 0xfff);
			/* Bytes in the middle of pages. */
			check(fixture, from << 12, from << 12);
			check(fixture, from << 12 | 0xfff, from << 12 | 0xfff);
			check(fixture, from << 12 | 0x123, from << 12 | 0x456);
			if (from < start + AROUND)
				check(fixture, from << 12 | 0xfff, (from + 1) << 12);
			for (j = 0; j < ARRAY_SIZE(long_sizes); j++) {
				/* As far as there are addresses. */
				to = (from << 12) + (long_sizes[j] - 1);
				check(fixture, from << 12,
				      to < from << 12 ? UINT64_MAX : to);
			}
		}
	}
	check(fixture, 0, UINT64_MAX);
	check(fixture, 0, UINT64_MAX - PAGE);
	check(fixture, 1, UINT64_MAX);
	check(fixture, PAGE, UINT64_MAX);
	check(fixture, UINT64_C(1) << 63, UINT64_MAX);
	check(fixture, 0, (UINT64_C(1) << 63) - 1);
	check(fixture, 0, 0);
	check(fixture, UINT64_MAX, UINT64_MAX);
}

static void run(enum model_vendor vendor, bool guest, bool caching_mode,
		void (*check)(struct fixture *fixture, uint64_t first, uint64_t last))
{
	struct fixture fixture;

	setup(&fixture, vendor, guest, caching_mode);
	for_ranges(&fixture, check);
	teardown(&fixture);
}

static void pitfall_08_vtd_second_stage(void **state __attribute__((unused)))
{
	run(MODEL_VTD, false, false, check_vtd);
}

static void pitfall_08_vtd_first_stage_and_pasid(void **state __attribute__((unused)))
{
	run(MODEL_VTD, true, false, check_vtd);
}

static void pitfall_08_amd_v1(void **state __attribute__((unused)))
{
	run(MODEL_AMD, false, false, check_amd);
}

static void pitfall_08_amd_v2_and_pasid(void **state __attribute__((unused)))
{
	run(MODEL_AMD, true, false, check_amd);
}

static void pitfall_08_amd_pieces(void **state __attribute__((unused)))
{
	run(MODEL_AMD, false, true, check_amd_pieces);
	run(MODEL_AMD, true, true, check_amd_pieces);
}

/* Words of Linux 6.12 on QEMU, from ftrace: VT-d with ATS, DID 13, device 01:00.0. */
static void vtd_words_are_those_of_linux(void **state __attribute__((unused)))
{
	struct machine m;
	struct domain *domain;
	struct device *device;

	machine_init(&m, MODEL_VTD, 1);
	domain = machine_domain(&m, false, NULL);
	domain->wish_tag = 13;
	device = machine_device(&m, 0, 0x100, true);
	assert_int_equal(domain_attach(domain, device, IOMMU_NO_PASID), 0);

	flush_range(&m, domain, 0x10000000, 0x10000fff, false);
	assert_cmd(&m, 0, 0xd00f2, 0x10000040);
	assert_cmd(&m, 1, 0x10000000003, 0x10000000);
	flush_range(&m, domain, 0x10000000, 0x1000ffff, false);
	assert_cmd(&m, 0, 0xd00f2, 0x10000044);
	assert_cmd(&m, 1, 0x10000000003, 0x10007001);
	flush_range(&m, domain, 0x10000000, 0x101fffff, true);
	assert_cmd(&m, 0, 0xd00f2, 0x10000009);
	assert_cmd(&m, 1, 0x10000000003, 0x100ff001);

	device_ats_disable(device);
	machine_forget(&m);
	domain_detach(device, IOMMU_NO_PASID);
	assert_classes(&m, "CTS");
	assert_cmd(&m, 0, 0x100000d0031, 0);
	assert_cmd(&m, 1, 0xd00e2, 0);
	device_remove(device);
	domain_free(domain);
	machine_exit(&m);
}

/* The same on AMD-Vi, DomainID 12, device 00:03.0. */
static void amd_words_are_those_of_linux(void **state __attribute__((unused)))
{
	struct machine m;
	struct domain *domain;
	struct device *device;

	machine_init(&m, MODEL_AMD, 1);
	domain = machine_domain(&m, false, NULL);
	domain->wish_tag = 12;
	device = machine_device(&m, 0, 0x18, false);
	machine_forget(&m);
	assert_int_equal(domain_attach(domain, device, IOMMU_NO_PASID), 0);
	assert_classes(&m, "CS");
	assert_cmd(&m, 0, 0x2000000000000018, 0);

	flush_range(&m, domain, 0x10000000, 0x10000fff, false);
	assert_cmd(&m, 0, 0x3000000c00000000, 0x10000002);
	flush_range(&m, domain, 0x10000000, 0x101fffff, false);
	assert_cmd(&m, 0, 0x3000000c00000000, 0x100ff003);
	flush_range(&m, domain, 0, UINT64_MAX, false);
	assert_cmd(&m, 0, 0x3000000c00000000, 0x7ffffffffffff003);

	machine_forget(&m);
	domain_detach(device, IOMMU_NO_PASID);
	assert_classes(&m, "CSTS");
	assert_cmd(&m, 2, 0x3000000c00000000, 0x7ffffffffffff003);
	device_remove(device);
	domain_free(domain);
	machine_exit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pitfall_08_vtd_second_stage),
		cmocka_unit_test(pitfall_08_vtd_first_stage_and_pasid),
		cmocka_unit_test(pitfall_08_amd_v1),
		cmocka_unit_test(pitfall_08_amd_v2_and_pasid),
		cmocka_unit_test(pitfall_08_amd_pieces),
		cmocka_unit_test(vtd_words_are_those_of_linux),
		cmocka_unit_test(amd_words_are_those_of_linux),
	};

	return cmocka_run_group_tests_name("ranges", tests, NULL, NULL);
}
