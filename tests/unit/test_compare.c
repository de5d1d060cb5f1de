// SPDX-License-Identifier: GPL-2.0-only
/*
 * Comparing what a driver sent with what the list sends: each reason is given where
 * it holds, and a list that sends too much or too little is found out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/alist/reasons.h"

/* VT-d descriptors: DID, address and address mask; IH in the hint. */
#define PSI(did, addr, am)	0xf2ull | (uint64_t)(did) << 16, (addr) | (am)
#define DSI(did)		0xe2ull | (uint64_t)(did) << 16, 0
#define IH			0x40
#define ATC(sid, addr)		0x3ull | (uint64_t)(sid) << 32, (addr)
/* SMMUv3 TLBI_NH_VA of one page by range, and of one page without. */
#define NH_VA(asid, addr)	0x12ull | (uint64_t)(asid) << 48, (addr) | 0x701
#define NH_VA_ONE(asid, addr)	0x12ull | (uint64_t)(asid) << 48, (addr) | 0x001

struct words {
	unsigned int iommu;
	uint64_t w0, w1;
	unsigned int n;			/* 0 is 1 */
};

struct sent {
	struct words words[4];
	unsigned int nr;
	bool each;			/* a wait after each command, not after all */
};

static const struct compare_facts plain = { .kind = STEP_UNMAP_FLUSH };

static void fill(struct burst *burst, enum model_vendor vendor, const struct sent *sent)
{
	unsigned int i;

	memset(burst, 0, sizeof(*burst));
	for (i = 0; i < sent->nr; i++) {
		struct command cmd = {
			.iommu = sent->words[i].iommu,
			.n = sent->words[i].n ? sent->words[i].n : 1,
			.words = { sent->words[i].w0, sent->words[i].w1 },
		};

		cmd.inv = inv_decode(vendor, cmd.words);
		assert_int_equal(burst_add(burst, &cmd), 0);
		if (sent->each)
			burst_sync(burst, cmd.iommu);
	}
	for (i = 0; i < sent->nr; i++)
		burst_sync(burst, sent->words[i].iommu);
}

static uint32_t compared(struct compare_facts facts, enum model_vendor vendor,
			 const struct sent *driver, const struct sent *list)
{
	struct burst a, b;
	uint32_t reasons;

	facts.vendor = vendor;
	fill(&a, vendor, driver);
	fill(&b, vendor, list);
	reasons = compare_bursts(&a, &b, &facts);
	burst_free(&a);
	burst_free(&b);
	return reasons;
}

#define SENT(...)	(&(struct sent){ { __VA_ARGS__ }, \
	sizeof((struct words[]){ __VA_ARGS__ }) / sizeof(struct words), false })
#define EACH(...)	(&(struct sent){ { __VA_ARGS__ }, \
	sizeof((struct words[]){ __VA_ARGS__ }) / sizeof(struct words), true })
#define NOTHING		(&(struct sent){ .nr = 0 })
#define ONLY(reason)	(UINT32_C(1) << (reason))
#define assert_reason(reason, facts, vendor, driver, list) \
	assert_int_equal(compared(facts, vendor, driver, list), ONLY(reason))

static void equal_words_in_any_order_are_the_same(void **state)
{
	(void)state;
	assert_int_equal(compared(plain, MODEL_VTD,
		SENT({ 0, PSI(1, 0x1000, 0), 0 }, { 0, ATC(5, 0x1000), 0 },
		     { 1, PSI(1, 0x1000, 0), 0 }),
		SENT({ 1, PSI(1, 0x1000, 0), 0 }, { 0, ATC(5, 0x1000), 0 },
		     { 0, PSI(1, 0x1000, 0), 0 })), 0);
}

static void a_list_that_sends_too_much_is_found_out(void **state)
{
	(void)state;
	/* Something that the driver did not send. */
	assert_reason(REASON_UNEXPLAINED, plain, MODEL_VTD, NOTHING,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }));
	/* Another tag, another device, another IOMMU. */
	assert_reason(REASON_UNEXPLAINED, plain, MODEL_VTD,
		      SENT({ 0, ATC(5, 0x1000), 0 }),
		      SENT({ 0, ATC(5, 0x1000), 0 }, { 0, ATC(6, 0x1000), 0 }));
	assert_reason(REASON_UNEXPLAINED, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }),
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }, { 1, PSI(1, 0x1000, 0), 0 }));
	/* The same twice. */
	assert_reason(REASON_UNEXPLAINED, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }),
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }, { 0, PSI(1, 0x1000, 0), 0 }));
	/* Two where the driver had one. */
	assert_true(compared(plain, MODEL_VTD, SENT({ 0, PSI(1, 0x2000, 1), 0 }),
			     SENT({ 0, PSI(1, 0x2000, 0), 0 },
				  { 0, PSI(1, 0x3000, 0), 0 })) &
		    ONLY(REASON_UNEXPLAINED));
	/* One wait too many. */
	assert_reason(REASON_UNEXPLAINED, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }, { 0, ATC(5, 0x1000), 0 }),
		      EACH({ 0, PSI(1, 0x1000, 0), 0 }, { 0, ATC(5, 0x1000), 0 }));
}

static void a_list_that_sends_too_little_is_found_out(void **state)
{
	(void)state;
	assert_reason(REASON_UNEXPLAINED, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }), NOTHING);
	assert_reason(REASON_UNEXPLAINED, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }, { 0, ATC(5, 0x1000), 0 }),
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }));
	assert_reason(REASON_UNEXPLAINED, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }, { 1, PSI(1, 0x1000, 0), 0 }),
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }));
}

static void a_hint_needs_leaf_sizes_that_are_not_known(void **state)
{
	struct compare_facts facts = plain;

	(void)state;
	assert_reason(REASON_UNEXPLAINED, facts, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }),
		      SENT({ 0, PSI(1, 0x1000, IH), 0 }));
	facts.unknown_leaf = true;
	assert_reason(REASON_LEAF_HINT, facts, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }),
		      SENT({ 0, PSI(1, 0x1000, IH), 0 }));
	facts.unknown_mapping = true;
	assert_reason(REASON_UNKNOWN_MAPPING, facts, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }),
		      SENT({ 0, PSI(1, 0x1000, IH), 0 }));
}

static void ranges_are_merged_widened_and_narrowed(void **state)
{
	(void)state;
	assert_reason(REASON_MERGED, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x2000, 0), 0 }, { 0, PSI(1, 0x3000, 0), 0 }),
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }));
	assert_reason(REASON_WIDER, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x2000, 0), 0 }),
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }));
	assert_reason(REASON_NARROWER, plain, MODEL_VTD,
		      SENT({ 0, DSI(1), 0 }), SENT({ 0, PSI(1, 0x2000, 1), 0 }));
	assert_reason(REASON_RANGE_COVERED, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }, { 0, PSI(1, 0x3000, IH), 0 }),
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }));
	assert_reason(REASON_DUPLICATE, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }, { 0, PSI(1, 0x2000, 1), 0 }),
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }));
}

static void the_tag_of_one_device_each_is_told(void **state)
{
	struct compare_facts facts = plain;

	(void)state;
	assert_reason(REASON_TAG_PER_DEVICE, plain, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }, { 0, PSI(2, 0x2000, 1), 0 }),
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }));
	facts.tag_taken = true;
	assert_reason(REASON_TAG_TAKEN, facts, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x2000, 1), 0 }),
		      SENT({ 0, PSI(2, 0x2000, 1), 0 }));
}

static void detach_and_attach_have_their_reasons(void **state)
{
	struct compare_facts facts = { .kind = STEP_DETACH };

	(void)state;
	assert_reason(REASON_UNEXPLAINED, facts, MODEL_VTD, SENT({ 0, DSI(1), 0 }),
		      NOTHING);
	facts.tag_in_use = true;
	assert_reason(REASON_TAG_IN_USE, facts, MODEL_VTD, SENT({ 0, DSI(1), 0 }),
		      NOTHING);
	assert_reason(REASON_ATC_EMPTIED, facts, MODEL_VTD,
		      SENT({ 0, DSI(1), 0 }, { 0, ATC(5, 0x7ffffffffffff001), 0 }),
		      SENT({ 0, DSI(1), 0 }));
	facts.kind = STEP_ATTACH;
	assert_reason(REASON_ATTACH_FLUSH, facts, MODEL_VTD, SENT({ 0, DSI(1), 0 }),
		      NOTHING);
	facts.kind = STEP_RETIRE;
	assert_reason(REASON_TAG_CLEAN, facts, MODEL_VTD, SENT({ 0, DSI(1), 0 }),
		      NOTHING);
}

static void fewer_waits_are_told(void **state)
{
	(void)state;
	assert_reason(REASON_FEWER_WAITS, plain, MODEL_VTD,
		      EACH({ 0, PSI(1, 0x1000, 0), 0 }, { 0, ATC(5, 0x1000), 0 }),
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }, { 0, ATC(5, 0x1000), 0 }));
}

static void other_forms_are_told(void **state)
{
	(void)state;
	assert_reason(REASON_NO_RANGES, plain, MODEL_SMMUV3,
		      SENT({ 0, NH_VA_ONE(1, 0x1000), 0 }),
		      SENT({ 0, NH_VA(1, 0x1000), 0 }));
	/* PFSID, which the example driver leaves zero. */
	assert_reason(REASON_OTHER_FORM, plain, MODEL_VTD,
		      SENT({ 0, 0x3000ull | 0x500000003ull, 0x1000, 0 }),
		      SENT({ 0, ATC(5, 0x1000), 0 }));
}

static void what_is_not_known_is_a_reason(void **state)
{
	struct compare_facts facts = plain;

	(void)state;
	assert_reason(REASON_NO_WORDS, facts, MODEL_SMMUV3,
		      SENT({ 0, NH_VA(1, 0x1000), 16 }),
		      SENT({ 0, NH_VA(1, 0x1000), 0 }));
	assert_reason(REASON_NO_RANGES, facts, MODEL_SMMUV3,
		      SENT({ 0, NH_VA_ONE(1, 0x1000), 16 }),
		      SENT({ 0, NH_VA(1, 0x1000), 0 }));
	facts.unknown_members = true;
	assert_reason(REASON_UNKNOWN_MEMBERS, facts, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }, { 0, ATC(5, 0x1000), 0 }),
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }));
	facts.unknown_members = false;
	facts.lost = true;
	assert_reason(REASON_LOST, facts, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }), NOTHING);
	facts.lost = false;
	facts.nest = true;
	assert_reason(REASON_NEST, facts, MODEL_VTD,
		      SENT({ 0, PSI(1, 0x1000, 0), 0 }), NOTHING);
}

static void reasons_have_names_and_a_sentence(void **state)
{
	int i, j;

	(void)state;
	for (i = 0; i < REASONS; i++) {
		assert_non_null(reason_name(i));
		assert_true(strlen(reason_text(i)) > 10);
		for (j = 0; j < i; j++)
			assert_string_not_equal(reason_name(i), reason_name(j));
	}
}

/* 17 descriptors in a row are two submissions; another IOMMU begins a new one. */
static void rows_of_vtd_descriptors_are_submissions(void **state)
{
	struct command cmd = { .n = 1, .words = { DSI(1) } };
	struct burst burst = { 0 };
	int i;

	(void)state;
	cmd.inv = inv_decode(MODEL_VTD, cmd.words);
	for (i = 0; i < 16; i++)
		assert_int_equal(burst_add_row(&burst, &cmd, false), 0);
	assert_int_equal(burst_count(&burst).sync, 1);
	assert_int_equal(burst_add_row(&burst, &cmd, false), 0);
	assert_int_equal(burst_count(&burst).sync, 2);
	cmd.iommu = 1;
	assert_int_equal(burst_add_row(&burst, &cmd, false), 0);
	assert_int_equal(burst_count(&burst).sync, 3);
	burst_end_row(&burst);
	assert_int_equal(burst_add_row(&burst, &cmd, false), 0);
	assert_int_equal(burst_count(&burst).sync, 4);
	assert_int_equal(burst_count(&burst).iotlb, 19);
	assert_true(burst_settled(&burst));
	burst_free(&burst);
}

/*
 * A driver that has its attachments on a list submits nine, or ten if two of them are for
 * one target.
 */
static void rows_of_a_list_are_shorter(void **state)
{
	struct command cmd = { .n = 1, .words = { DSI(1) } };
	struct burst burst = { 0 };
	int i;

	(void)state;
	cmd.inv = inv_decode(MODEL_VTD, cmd.words);
	for (i = 0; i < 18; i++) {
		cmd.inv.tag = i;
		assert_int_equal(burst_add_row(&burst, &cmd, true), 0);
		assert_int_equal(burst_count(&burst).sync, 1 + i / 9);
	}
	burst_end_row(&burst);
	for (i = 0; i < 11; i++) {
		cmd.inv.tag = i < 8 ? i : 8 + i / 10;
		assert_int_equal(burst_add_row(&burst, &cmd, true), 0);
		assert_int_equal(burst_count(&burst).sync, 3 + i / 10);
	}
	burst_free(&burst);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_words_in_any_order_are_the_same),
		cmocka_unit_test(a_list_that_sends_too_much_is_found_out),
		cmocka_unit_test(a_list_that_sends_too_little_is_found_out),
		cmocka_unit_test(a_hint_needs_leaf_sizes_that_are_not_known),
		cmocka_unit_test(ranges_are_merged_widened_and_narrowed),
		cmocka_unit_test(the_tag_of_one_device_each_is_told),
		cmocka_unit_test(detach_and_attach_have_their_reasons),
		cmocka_unit_test(fewer_waits_are_told),
		cmocka_unit_test(other_forms_are_told),
		cmocka_unit_test(what_is_not_known_is_a_reason),
		cmocka_unit_test(reasons_have_names_and_a_sentence),
		cmocka_unit_test(rows_of_vtd_descriptors_are_submissions),
		cmocka_unit_test(rows_of_a_list_are_shorter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
