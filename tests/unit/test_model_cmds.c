// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command decoders of the four vendors, without the model behind them: the
 * four model_inv_*() functions are stood in for by a recorder, and raw words,
 * made by hand from the specification or recorded on Linux 6.12, are held
 * against what they have to invalidate. The sections are named where they are in
 * the decoders; see the head of each model/<vendor>.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../model/cmd.h"

#define SEED	UINT64_C(0x9e3779b97f4a7c15)

#define BITS(hi, lo, value)	(((uint64_t)(value) << (lo)) & CMD_MASK(hi, lo))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

/* The recorder. */
enum call_kind { CALL_IOTLB, CALL_ATC, CALL_CONTEXT, CALL_CONTEXT_TAG };

static struct call {
	enum call_kind kind;
	struct model_scope scope;
	bool any_rid;
	uint32_t rid;
	bool any_pasid;
	uint32_t pasid;
	uint64_t first, last;
	uint32_t tag;
} calls[16];
static unsigned int ncalls;

static struct call *record(enum call_kind kind)
{
	assert_true(ncalls < ARRAY_SIZE(calls));
	calls[ncalls].kind = kind;
	return &calls[ncalls++];
}

void model_inv_iotlb(struct model_iommu *iommu, const struct model_scope *scope)
{
	(void)iommu;
	record(CALL_IOTLB)->scope = *scope;
}

void model_inv_atc(struct model_iommu *iommu, uint32_t rid, bool any_pasid,
		   uint32_t pasid, uint64_t first, uint64_t last)
{
	struct call *call = record(CALL_ATC);

	(void)iommu;
	call->rid = rid;
	call->any_pasid = any_pasid;
	call->pasid = pasid;
	call->first = first;
	call->last = last;
}

void model_inv_context(struct model_iommu *iommu, bool any_rid, uint32_t rid,
		       bool any_pasid, uint32_t pasid)
{
	struct call *call = record(CALL_CONTEXT);

	(void)iommu;
	call->any_rid = any_rid;
	call->rid = rid;
	call->any_pasid = any_pasid;
	call->pasid = pasid;
}

void model_inv_context_tag(struct model_iommu *iommu, uint32_t tag)
{
	(void)iommu;
	record(CALL_CONTEXT_TAG)->tag = tag;
}

/* Checks and executes; the calls are in calls[0..ncalls). */
static void run(const struct model_ops *ops, uint64_t word0, uint64_t word1)
{
	uint64_t cmd[MODEL_CMD_WORDS] = { word0, word1 };
	const char *reason = "not set";

	assert_int_equal(ops->check(cmd, &reason), MODEL_OK);
	assert_null(reason);
	memset(calls, 0, sizeof(calls));
	ncalls = 0;
	ops->exec(NULL, cmd);
}

static void refused(const struct model_ops *ops, uint64_t word0, uint64_t word1,
		    enum model_fault fault)
{
	uint64_t cmd[MODEL_CMD_WORDS] = { word0, word1 };
	const char *reason = NULL;

	assert_int_equal(ops->check(cmd, &reason), fault);
	assert_non_null(reason);
}

#define S1_MODES	(MODEL_OF_S1 | MODEL_OF_NESTED)
#define EVERY_MODE	(S1_MODES | MODEL_OF_S2)

/* Fields of the scope that an "any" makes meaningless are not compared. */
static void expect_iotlb(unsigned int i, struct model_scope want)
{
	const struct model_scope *got = &calls[i].scope;

	assert_true(i < ncalls);
	assert_int_equal(calls[i].kind, CALL_IOTLB);
	assert_int_equal(got->any_tag, want.any_tag);
	if (!want.any_tag)
		assert_int_equal(got->tag, want.tag);
	assert_int_equal(got->any_vm_tag, want.any_vm_tag);
	if (!want.any_vm_tag)
		assert_int_equal(got->vm_tag, want.vm_tag);
	assert_int_equal(got->any_pasid, want.any_pasid);
	if (!want.any_pasid)
		assert_int_equal(got->pasid, want.pasid);
	assert_int_equal(got->modes, want.modes);
	assert_true(got->first == want.first);
	assert_true(got->last == want.last);
	assert_int_equal(got->leaf, want.leaf);
}

static void expect_atc(uint32_t rid, bool any_pasid, uint32_t pasid,
		       uint64_t first, uint64_t last)
{
	assert_int_equal(ncalls, 1);
	assert_int_equal(calls[0].kind, CALL_ATC);
	assert_int_equal(calls[0].rid, rid);
	assert_int_equal(calls[0].any_pasid, any_pasid);
	if (!any_pasid)
		assert_int_equal(calls[0].pasid, pasid);
	assert_true(calls[0].first == first);
	assert_true(calls[0].last == last);
}

static void expect_context(unsigned int i, bool any_rid, uint32_t rid,
			   bool any_pasid, uint32_t pasid)
{
	assert_true(i < ncalls);
	assert_int_equal(calls[i].kind, CALL_CONTEXT);
	assert_int_equal(calls[i].any_rid, any_rid);
	if (!any_rid)
		assert_int_equal(calls[i].rid, rid);
	assert_int_equal(calls[i].any_pasid, any_pasid);
	if (!any_pasid)
		assert_int_equal(calls[i].pasid, pasid);
}

static void expect_context_tag(uint32_t tag)
{
	assert_int_equal(ncalls, 1);
	assert_int_equal(calls[0].kind, CALL_CONTEXT_TAG);
	assert_int_equal(calls[0].tag, tag);
}

/*
 * Text and class. The first lines of a vendor are recorded words.
 */
struct sample {
	uint64_t word[2];
	int class;
	const char *text;
};

static void check_samples(const struct model_ops *ops, const struct sample *samples,
			  size_t n)
{
	char buf[96], cut[96];

	for (size_t i = 0; i < n; i++) {
		uint64_t cmd[MODEL_CMD_WORDS] = { samples[i].word[0],
						  samples[i].word[1] };
		size_t len = strlen(samples[i].text);

		assert_int_equal(ops->classify(cmd), samples[i].class);
		ops->decode(cmd, buf, sizeof(buf));
		assert_string_equal(buf, samples[i].text);
		/* Whatever the buffer's size: cut, terminated, not beyond. */
		for (size_t size = 0; size <= len; size++) {
			memset(cut, '#', sizeof(cut));
			ops->decode(cmd, cut, size);
			if (size)
				assert_memory_equal(cut, buf, size - 1);
			assert_int_equal(cut[size ? size - 1 : 0], size ? 0 : '#');
			assert_int_equal(cut[size], '#');
		}
	}
}

static void vtd_text(void **state)
{
	static const struct sample samples[] = {
		{ { 0xd00f2, 0x10000040 }, MODEL_IOTLB,
		  "IOTLB dom 13 page 0x10000000 ih" },
		{ { 0xd00f2, 0x10000044 }, MODEL_IOTLB,
		  "IOTLB dom 13 page 0x10000000 am 4 ih" },
		{ { 0xd00f2, 0x10000009 }, MODEL_IOTLB,
		  "IOTLB dom 13 page 0x10000000 am 9" },
		{ { 0xd00e2, 0 }, MODEL_IOTLB, "IOTLB dom 13 all" },
		{ { 0x10000000003, 0x10000000 }, MODEL_ATC,
		  "ATC dev 0x100 page 0x10000000" },
		{ { 0x10000000003, 0x10007001 }, MODEL_ATC,
		  "ATC dev 0x100 page 0x10000000 am 4" },
		{ { 0x10000000003, 0x100ff001 }, MODEL_ATC,
		  "ATC dev 0x100 page 0x10000000 am 9" },
		{ { 0x100000d0031, 0 }, MODEL_CONFIG, "CONFIG dev 0x100 dom 13" },
		{ { 0xd2, 0 }, MODEL_IOTLB, "IOTLB all" },
		{ { 0x11, 0 }, MODEL_CONFIG, "CONFIG all" },
		{ { 0x50021, 0 }, MODEL_CONFIG, "CONFIG dom 5" },
		{ { 0x3010000050031, 0 }, MODEL_CONFIG, "CONFIG dev 0x100 dom 5 fm 3" },
		{ { 0x700050017, 0 }, MODEL_CONFIG, "CONFIG dom 5 pasid 7" },
		{ { 0x50007, 0 }, MODEL_CONFIG, "CONFIG dom 5 any-pasid" },
		{ { 0x37, 0 }, MODEL_CONFIG, "CONFIG all-pasids" },
		{ { 0x700050026, 0 }, MODEL_IOTLB, "IOTLB dom 5 pasid 7 all" },
		{ { 0x700050036, 0x200041 }, MODEL_IOTLB,
		  "IOTLB dom 5 pasid 7 page 0x200000 am 1 ih" },
		{ { 0x701000008, 0x7ffffffffffff800 }, MODEL_ATC,
		  "ATC dev 0x100 pasid 7 all" },
		{ { 0x701000008, 0x1001 }, MODEL_ATC, "ATC dev 0x100 any-pasid page 0x1000" },
		{ { 0x4, 0 }, MODEL_OTHER, "OTHER irq-cache all" },
		{ { 0x900000014 | BITS(31, 27, 2), 0 }, MODEL_OTHER,
		  "OTHER irq-cache index 9 im 2" },
		{ { 0x200000025, 0x431000 }, MODEL_SYNC, "SYNC store 0x2 to 0x431000" },
		{ { 0x55, 0 }, MODEL_SYNC, "SYNC irq fence" },
		{ { 0xf, 0 }, -1, "unknown type 0xf" },
	};

	(void)state;
	check_samples(&model_vtd, samples, ARRAY_SIZE(samples));
}

static void smmuv3_text(void **state)
{
	static const struct sample samples[] = {
		{ { 0x1000000000012, 0xfffbe701 }, MODEL_IOTLB,
		  "IOTLB s1 vmid 0 asid 1 page 0xfffbe000 ttl 3 leaf" },
		{ { 0x9000000900012, 0x10000601 }, MODEL_IOTLB,
		  "IOTLB s1 vmid 0 asid 9 page 0x10000000 num 0 scale 9 ttl 2 leaf" },
		{ { 0x9000000900012, 0x10000400 }, MODEL_IOTLB,
		  "IOTLB s1 vmid 0 asid 9 page 0x10000000 num 0 scale 9" },
		{ { 0x1000000002012, 0xfffb8701 }, MODEL_IOTLB,
		  "IOTLB s1 vmid 0 asid 1 page 0xfffb8000 num 2 scale 0 ttl 3 leaf" },
		{ { 0x9000000000011, 0 }, MODEL_IOTLB, "IOTLB s1 vmid 0 asid 9 all" },
		{ { 0x800000005, 1 }, MODEL_CONFIG, "CONFIG dev 0x8 pasid 0" },
		{ { 0x800000003, 1 }, MODEL_CONFIG, "CONFIG dev 0x8" },
		{ { 0x800000001, 0 }, MODEL_OTHER, "OTHER prefetch dev 0x8" },
		{ { 0x4, 31 }, MODEL_CONFIG, "CONFIG all" },
		{ { 0x800000004, 3 }, MODEL_CONFIG, "CONFIG dev 0x8 range 3" },
		{ { 0x800000006, 0 }, MODEL_CONFIG, "CONFIG dev 0x8 any-pasid" },
		{ { 0x300000010, 0 }, MODEL_IOTLB, "IOTLB s1 vmid 3 all" },
		{ { 0x300000013, 0x5000 }, MODEL_IOTLB, "IOTLB s1 vmid 3 page 0x5000" },
		{ { 0x20, 0 }, MODEL_IOTLB, "IOTLB el2 all" },
		{ { 0x9000000000021, 0 }, MODEL_IOTLB, "IOTLB el2 asid 9 all" },
		{ { 0x9000000000022, 0x5001 }, MODEL_IOTLB,
		  "IOTLB el2 asid 9 page 0x5000 leaf" },
		{ { 0x23, 0x5000 }, MODEL_IOTLB, "IOTLB el2 page 0x5000" },
		{ { 0x300000028, 0 }, MODEL_IOTLB, "IOTLB s1+s2 vmid 3 all" },
		{ { 0x30000002a, 0x5001 }, MODEL_IOTLB, "IOTLB s2 vmid 3 page 0x5000 leaf" },
		{ { 0x30, 0 }, MODEL_IOTLB, "IOTLB s1+s2 all" },
		{ { 0x800000040, 52 }, MODEL_ATC, "ATC dev 0x8 all" },
		{ { 0x800007840, 0x10000004 }, MODEL_ATC,
		  "ATC dev 0x8 pasid 7 page 0x10000000 am 4" },
		{ { 0x800007a40, 0x10000000 }, MODEL_ATC,
		  "ATC dev 0x8 any-pasid page 0x10000000" },
		{ { 0x46, 0 }, MODEL_SYNC, "SYNC" },
		{ { 0x1046, 0 }, MODEL_SYNC, "SYNC irq" },
		{ { 0x2046, 0 }, MODEL_SYNC, "SYNC sev" },
		{ { 0x500001046, 0x431000 }, MODEL_SYNC, "SYNC store 0x5 to 0x431000" },
		{ { 0x41, 0 }, -1, "unknown opcode 0x41" },
	};

	(void)state;
	check_samples(&model_smmuv3, samples, ARRAY_SIZE(samples));
}

/* Words of 32 bits as they stand in the logs. */
#define AMD(d0, d1, d2, d3)	{ (uint64_t)(d1) << 32 | (d0), (uint64_t)(d3) << 32 | (d2) }

static void amd_text(void **state)
{
	static const struct sample samples[] = {
		{ AMD(0, 0x3000000c, 0x10000002, 0), MODEL_IOTLB,
		  "IOTLB dom 12 page 0x10000000 pde" },
		{ AMD(0, 0x3000000c, 0x100ff003, 0), MODEL_IOTLB,
		  "IOTLB dom 12 page 0x10000000 am 9 pde" },
		{ AMD(0, 0x3000000c, 0xfffff003, 0x7fffffff), MODEL_IOTLB,
		  "IOTLB dom 12 all pde" },
		{ AMD(0x431001, 0x10000000, 0x27, 0), MODEL_SYNC,
		  "SYNC store 0x27 to 0x431000" },
		{ AMD(0x18, 0x20000000, 0, 0), MODEL_CONFIG, "CONFIG dev 0x18" },
		{ AMD(0, 0x30000003, 0x5000, 0), MODEL_IOTLB, "IOTLB dom 3 page 0x5000" },
		{ AMD(7, 0x30000003, 0x5004, 0), MODEL_IOTLB,
		  "IOTLB dom 3 gn pasid 7 page 0x5000" },
		{ AMD(0x20000018, 0x40000018, 0x10007001, 0), MODEL_ATC,
		  "ATC dev 0x18 page 0x10000000 am 4" },
		{ AMD(0x20cd0018, 0x4aef0018, 0x5004, 0), MODEL_ATC,
		  "ATC dev 0x18 gn pasid 708079 page 0x5000" },
		{ AMD(0x18, 0x50000000, 0, 0), MODEL_OTHER, "OTHER irq-cache dev 0x18" },
		{ AMD(0, 0x80000000, 0, 0), MODEL_IOTLB, "IOTLB all config" },
		{ AMD(6, 0x10000000, 0, 0), MODEL_SYNC, "SYNC irq fence" },
		{ AMD(0, 0x70000000, 0, 0), -1, "unknown opcode 0x7" },
	};

	(void)state;
	check_samples(&model_amd, samples, ARRAY_SIZE(samples));
}

/* An address as IOTINVAL has it. */
#define RISCV_A(addr)	((uint64_t)(addr) >> 2)

static void riscv_text(void **state)
{
	static const struct sample samples[] = {
		{ { 0x1, 0 }, MODEL_IOTLB, "IOTLB vma all" },
		{ { 0x1 | BITS(32, 32, 1) | BITS(31, 12, 9), 0 }, MODEL_IOTLB,
		  "IOTLB vma pscid 9 all" },
		{ { 0x401 | BITS(32, 32, 1) | BITS(31, 12, 9), RISCV_A(0x10000000) },
		  MODEL_IOTLB, "IOTLB vma pscid 9 page 0x10000000" },
		{ { 0x401 | BITS(34, 34, 1) | BITS(33, 33, 1) | BITS(59, 44, 3),
		    RISCV_A(0x10007000) | 0x200 }, MODEL_IOTLB,
		  "IOTLB vma gscid 3 page 0x10000000 am 4 nl" },
		{ { 0x481 | BITS(33, 33, 1) | BITS(59, 44, 3), RISCV_A(0x5000) },
		  MODEL_IOTLB, "IOTLB gvma gscid 3 page 0x5000" },
		{ { 0x81, 0 }, MODEL_IOTLB, "IOTLB gvma all" },
		{ { 0x2, 0 }, MODEL_SYNC, "SYNC" },
		{ { 0x500003402, RISCV_A(0x431000) }, MODEL_SYNC,
		  "SYNC store 0x5 to 0x431000 pr pw" },
		{ { 0x802, 0 }, MODEL_SYNC, "SYNC irq" },
		{ { 0x3, 0 }, MODEL_CONFIG, "CONFIG all" },
		{ { 0x3 | BITS(33, 33, 1) | BITS(63, 40, 0x18), 0 }, MODEL_CONFIG,
		  "CONFIG dev 0x18" },
		{ { 0x83 | BITS(33, 33, 1) | BITS(63, 40, 0x18) | BITS(31, 12, 7), 0 },
		  MODEL_CONFIG, "CONFIG dev 0x18 pasid 7" },
		{ { 0x4 | BITS(55, 40, 0x18), 0x10007800 }, MODEL_ATC,
		  "ATC dev 0x18 page 0x10000000 am 4" },
		{ { 0x4 | BITS(32, 32, 1) | BITS(31, 12, 7) | BITS(33, 33, 1) |
		    BITS(63, 40, 0x20018), 0x7ffffffffffff800 }, MODEL_ATC,
		  "ATC dev 0x20018 pasid 7 all" },
		{ { 0x4 | BITS(32, 32, 1) | BITS(55, 40, 0x18), 0x1001 }, MODEL_ATC,
		  "ATC dev 0x18 any-pasid page 0x1000" },
		{ { 0x84 | BITS(55, 40, 0x18), 0 }, MODEL_OTHER,
		  "OTHER page-response dev 0x18" },
		{ { 0x101, 0 }, -1, "unknown opcode 1 func3 2" },
	};

	(void)state;
	check_samples(&model_riscv, samples, ARRAY_SIZE(samples));
}

/*
 * Opcodes: all there are, and which of them are commands.
 */
static unsigned int count_opcodes(const struct model_ops *ops,
				  uint64_t (*encode)(unsigned int), unsigned int n)
{
	unsigned int known = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t cmd[MODEL_CMD_WORDS] = { encode(i) };
		const char *reason;
		bool bad = ops->check(cmd, &reason) == MODEL_BAD_OPCODE;

		assert_int_equal(bad, ops->classify(cmd) < 0);
		known += !bad;
	}
	return known;
}

static uint64_t encode_vtd(unsigned int i)
{
	return (uint64_t)(i >> 4) << 9 | (i & 15);
}

static uint64_t encode_low(unsigned int i)
{
	return i;
}

static uint64_t encode_amd(unsigned int i)
{
	return (uint64_t)i << 60;
}

static void only_the_commands_of_a_vendor_have_a_class(void **state)
{
	(void)state;
	assert_int_equal(count_opcodes(&model_vtd, encode_vtd, 128), 8);
	assert_int_equal(count_opcodes(&model_smmuv3, encode_low, 256), 18);
	assert_int_equal(count_opcodes(&model_amd, encode_amd, 16), 6);
	assert_int_equal(count_opcodes(&model_riscv, encode_low, 1024), 7);
}

/*
 * Reserved bits: each of them on its own is refused, no other bit is refused for
 * being reserved. Bit numbers run through the words, as in the figures.
 */
struct layout {
	uint64_t word[2];
	unsigned int reserved[9][2];	/* { high, low }, ends with { 0, 0 } */
};

static bool is_reserved(const struct layout *layout, unsigned int bit)
{
	for (unsigned int i = 0; layout->reserved[i][0]; i++) {
		if (bit <= layout->reserved[i][0] && bit >= layout->reserved[i][1])
			return true;
	}
	return false;
}

static void check_reserved(const struct model_ops *ops, uint64_t opcode,
			   const struct layout *layouts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t plain[MODEL_CMD_WORDS] = { layouts[i].word[0],
						    layouts[i].word[1] };
		const char *reason;

		assert_int_equal(ops->check(plain, &reason), MODEL_OK);
		for (unsigned int bit = 0; bit < 64 * ops->words; bit++) {
			uint64_t cmd[MODEL_CMD_WORDS];
			bool refused_it;

			memcpy(cmd, plain, sizeof(cmd));
			cmd[bit / 64] ^= CMD_BIT(bit % 64);
			if (!(cmd[bit / 64] & CMD_BIT(bit % 64)) ||
			    (cmd[0] ^ plain[0]) & opcode)
				continue;
			refused_it = ops->check(cmd, &reason) == MODEL_BAD_FIELD &&
				     !strcmp(reason, "reserved bits set");
			if (refused_it != is_reserved(&layouts[i], bit))
				fail_msg("%s command %zu bit %u: reserved bit %s",
					 ops->name, i, bit,
					 refused_it ? "made up" : "accepted");
		}
	}
}

static void vtd_reserved_bits_are_refused(void **state)
{
	static const struct layout layouts[] = {
		{ { 0x31 }, { { 8, 6 }, { 15, 12 }, { 255, 50 } } },
		{ { 0xf2 }, { { 8, 8 }, { 15, 12 }, { 63, 32 }, { 75, 71 }, { 255, 128 } } },
		{ { 0x3 }, { { 8, 4 }, { 31, 21 }, { 51, 48 }, { 75, 65 }, { 255, 128 } } },
		{ { 0x4 }, { { 8, 5 }, { 26, 12 }, { 255, 48 } } },
		{ { 0x35, 0x3000 }, { { 8, 8 }, { 31, 12 }, { 65, 64 }, { 255, 128 } } },
		{ { 0x36 }, { { 8, 6 }, { 15, 12 }, { 63, 52 }, { 75, 71 }, { 255, 128 } } },
		{ { 0x37 }, { { 8, 6 }, { 15, 12 }, { 255, 52 } } },
		{ { 0x8 }, { { 74, 65 }, { 255, 128 } } },
	};

	(void)state;
	check_reserved(&model_vtd, CMD_MASK(11, 9) | CMD_MASK(3, 0),
		       layouts, ARRAY_SIZE(layouts));
}

static void smmuv3_reserved_bits_are_refused(void **state)
{
	static const struct layout layouts[] = {
		{ { 0x03 }, { { 31, 8 }, { 127, 65 } } },
		{ { 0x04 }, { { 31, 8 }, { 127, 69 } } },
		{ { 0x06 }, { { 31, 8 }, { 127, 64 } } },
		{ { 0x10 }, { { 31, 8 }, { 127, 48 } } },
		{ { 0x11 }, { { 31, 8 }, { 127, 64 } } },
		{ { 0x12 }, { { 11, 8 }, { 19, 17 }, { 31, 25 }, { 71, 65 } } },
		{ { 0x13 }, { { 11, 8 }, { 19, 17 }, { 31, 25 }, { 63, 48 }, { 71, 65 } } },
		{ { 0x20 }, { { 127, 8 } } },
		{ { 0x21 }, { { 47, 8 }, { 127, 64 } } },
		{ { 0x22 }, { { 11, 8 }, { 19, 17 }, { 47, 25 }, { 71, 65 } } },
		{ { 0x23 }, { { 11, 8 }, { 19, 17 }, { 63, 25 }, { 71, 65 } } },
		{ { 0x28 }, { { 31, 8 }, { 127, 48 } } },
		{ { 0x2a }, { { 11, 8 }, { 19, 17 }, { 31, 25 }, { 63, 48 },
			      { 71, 65 }, { 127, 120 } } },
		{ { 0x30 }, { { 127, 8 } } },
		{ { 0x40 }, { { 8, 8 }, { 10, 10 }, { 75, 70 } } },
		{ { 0x46 }, { { 11, 8 }, { 21, 14 }, { 31, 28 }, { 65, 64 },
			      { 127, 120 } } },
	};

	(void)state;
	check_reserved(&model_smmuv3, CMD_MASK(7, 0),
		       layouts, ARRAY_SIZE(layouts));
}

static void amd_reserved_bits_are_refused(void **state)
{
	static const struct layout layouts[] = {
		{ AMD(0, 0x10000000, 0, 0), { { 59, 52 } } },
		{ AMD(0, 0x20000000, 0, 0), { { 59, 16 }, { 127, 64 } } },
		{ AMD(0, 0x30000000, 0, 0), { { 31, 20 }, { 59, 48 }, { 75, 67 } } },
		{ AMD(0, 0x40000000, 0, 0), { { 65, 65 }, { 75, 67 } } },
		{ AMD(0, 0x50000000, 0, 0), { { 59, 16 }, { 127, 64 } } },
		{ AMD(0, 0x80000000, 0, 0), { { 59, 0 }, { 127, 64 } } },
	};

	(void)state;
	check_reserved(&model_amd, CMD_MASK(63, 60),
		       layouts, ARRAY_SIZE(layouts));
}

static void riscv_reserved_bits_are_refused(void **state)
{
	static const struct layout layouts[] = {
		{ { 0x1 }, { { 11, 11 }, { 43, 35 }, { 63, 60 }, { 72, 64 }, { 127, 126 } } },
		/* PSCV is illegal with GVMA */
		{ { 0x81 }, { { 11, 11 }, { 32, 32 }, { 43, 35 }, { 63, 60 }, { 72, 64 },
			      { 127, 126 } } },
		{ { 0x2 }, { { 31, 14 }, { 127, 126 } } },
		{ { 0x3 }, { { 32, 10 }, { 39, 34 }, { 127, 64 } } },
		{ { 0x83 | BITS(33, 33, 1) }, { { 11, 10 }, { 32, 32 }, { 39, 34 },
						{ 127, 64 } } },
		{ { 0x4 }, { { 11, 10 }, { 39, 34 }, { 74, 65 } } },
		{ { 0x84 }, { { 11, 10 }, { 39, 34 }, { 95, 64 }, { 107, 105 } } },
	};

	(void)state;
	check_reserved(&model_riscv, CMD_MASK(9, 0),
		       layouts, ARRAY_SIZE(layouts));
}

static void fields_out_of_range_are_refused(void **state)
{
	(void)state;
	/* granularities */
	refused(&model_vtd, 0x01, 0, MODEL_BAD_FIELD);
	refused(&model_vtd, 0x02, 0, MODEL_BAD_FIELD);
	refused(&model_vtd, 0x06, 0, MODEL_BAD_FIELD);
	refused(&model_vtd, 0x16, 0, MODEL_BAD_FIELD);
	refused(&model_vtd, 0x27, 0, MODEL_BAD_FIELD);
	/* more than the whole address space; not looked at without an address */
	refused(&model_vtd, 0x32, 53, MODEL_BAD_FIELD);
	refused(&model_vtd, 0x36, 53, MODEL_BAD_FIELD);
	run(&model_vtd, 0x22, 53);
	refused(&model_smmuv3, 0x40, 53, MODEL_BAD_FIELD);
	/* no size at all */
	refused(&model_vtd, 0x03, 0xfffffffffffff001, MODEL_BAD_FIELD);
	refused(&model_vtd, 0x08, 0xfffffffffffff800, MODEL_BAD_FIELD);
	refused(&model_amd, UINT64_C(3) << 60, 0xfffffffffffff001, MODEL_BAD_FIELD);
	refused(&model_amd, UINT64_C(4) << 60, 0xfffffffffffff001, MODEL_BAD_FIELD);
	refused(&model_riscv, 0x401, RISCV_A(0xfffffffffffff000) | 0x200,
		MODEL_BAD_FIELD);
	refused(&model_riscv, 0x04, 0xfffffffffffff800, MODEL_BAD_FIELD);
	/* S is ignored without AV, and by GVMA without GV */
	run(&model_riscv, 0x001, RISCV_A(0xfffffffffffff000) | 0x200);
	run(&model_riscv, 0x481, RISCV_A(0xfffffffffffff000) | 0x200);
	/* completion without a place */
	refused(&model_vtd, 0x25, 0, MODEL_BAD_FIELD);
	refused(&model_amd, UINT64_C(1) << 60 | 1, 0, MODEL_BAD_FIELD);
	refused(&model_riscv, 0x402, 0, MODEL_BAD_FIELD);
	refused(&model_smmuv3, 0x3046, 0, MODEL_BAD_FIELD);
	/* INVAL_PDT needs DV */
	refused(&model_riscv, 0x83, 0, MODEL_BAD_FIELD);
}

/* Section 4.4.1.1. */
static void smmuv3_range_needs_its_granule_and_alignment(void **state)
{
	(void)state;
	/* NUM, SCALE, TTL without TG */
	refused(&model_smmuv3, 0x1012, 0x1000, MODEL_BAD_FIELD);
	refused(&model_smmuv3, 0x100012, 0x1000, MODEL_BAD_FIELD);
	refused(&model_smmuv3, 0x12, 0x1300, MODEL_BAD_FIELD);
	/* TG alone */
	refused(&model_smmuv3, 0x12, 0x1400, MODEL_BAD_FIELD);
	/* 16 KiB and 64 KiB granule */
	refused(&model_smmuv3, 0x1012, 0x1800, MODEL_BAD_FIELD);
	refused(&model_smmuv3, 0x1012, 0x1c00, MODEL_BAD_FIELD);
	/* TTL 2: 2 MiB; TTL 1: 1 GiB */
	run(&model_smmuv3, 0x12, 0x200000 | 0x600);
	refused(&model_smmuv3, 0x12, 0x300000 | 0x600, MODEL_BAD_FIELD);
	run(&model_smmuv3, 0x12, 0x40000000 | 0x500);
	refused(&model_smmuv3, 0x12, 0x60000000 | 0x500, MODEL_BAD_FIELD);
}

/*
 * Ranges against the rule itself, in 128 bits, for an address just before, at
 * and after each end.
 */
typedef unsigned __int128 u128;

/* The region of 2^order pages around @addr. */
static bool in_region(uint64_t a, uint64_t addr, unsigned int order)
{
	u128 size = (u128)1 << (12 + order);

	return a / size == addr / size;
}

static void check_region(struct cmd_range range, uint64_t addr, unsigned int order)
{
	uint64_t edges[] = { range.first, range.last, range.first - 1, range.last + 1,
			     addr, 0, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		assert_int_equal(edges[i] >= range.first && edges[i] <= range.last,
				 in_region(edges[i], addr, order));
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* 2^order pages around @addr: the lowest zero is bit 11 + order. */
static uint64_t napot(uint64_t addr, unsigned int order)
{
	uint64_t ones = order ? CMD_MASK(11 + order, 12) : 0;

	if (!order)
		return addr & CMD_PAGE_MASK;
	return ((addr & CMD_PAGE_MASK) | ones) & ~CMD_BIT(11 + order);
}

static struct cmd_range atc_range(void)
{
	assert_int_equal(ncalls, 1);
	return (struct cmd_range){ calls[0].first, calls[0].last };
}

static struct cmd_range iotlb_range(unsigned int i)
{
	assert_true(i < ncalls);
	return (struct cmd_range){ calls[i].scope.first, calls[i].scope.last };
}

/* Each encoding of a size-aligned region, of 1 page to the whole space. */
static void check_encodings(uint64_t addr, unsigned int order)
{
	uint64_t page = addr & CMD_PAGE_MASK, sized = napot(addr, order);
	bool s = order;

	check_region(cmd_range_order(addr, order), addr, order);
	if (s)
		check_region(cmd_range_napot(sized), addr, order);

	run(&model_vtd, 0x32, page | order);
	check_region(iotlb_range(0), addr, order);
	run(&model_vtd, 0x36, page | order);
	check_region(iotlb_range(0), addr, order);
	run(&model_vtd, 0x03, sized | (s ? 1 : 0));
	check_region(atc_range(), addr, order);
	run(&model_vtd, 0x08, sized | (s ? 0x800 : 0));
	check_region(atc_range(), addr, order);
	run(&model_smmuv3, 0x40, page | order);
	check_region(atc_range(), addr, order);
	run(&model_amd, UINT64_C(3) << 60, sized | (s ? 1 : 0));
	check_region(iotlb_range(0), addr, order);
	run(&model_amd, UINT64_C(4) << 60, sized | (s ? 1 : 0));
	check_region(atc_range(), addr, order);
	run(&model_riscv, 0x401, RISCV_A(sized) | (s ? 0x200 : 0));
	check_region(iotlb_range(0), addr, order);
	run(&model_riscv, 0x04, sized | (s ? 0x800 : 0));
	check_region(atc_range(), addr, order);
}

static void regions_are_what_the_encoding_says_to_the_last_page(void **state)
{
	uint64_t seed = SEED;

	(void)state;
	print_message("seed 0x%" PRIx64 "\n", seed);
	for (unsigned int order = 0; order <= CMD_MAX_ORDER; order++) {
		check_encodings(0, order);
		check_encodings(UINT64_MAX, order);
		check_encodings(UINT64_C(1) << 63, order);
		check_encodings((UINT64_C(1) << 63) - 1, order);
		for (int i = 0; i < 64; i++)
			check_encodings(next_random(&seed), order);
	}
}

static void check_count(uint64_t addr, unsigned int num, unsigned int scale)
{
	uint64_t page = addr & CMD_PAGE_MASK;
	u128 end = (u128)page + ((u128)(num + 1) << (scale + 12));
	bool ranged = num || scale;
	struct cmd_range range;

	run(&model_smmuv3, 0x12 | BITS(16, 12, num) | BITS(24, 20, scale),
	    page | (ranged ? 0x400 : 0));
	range = iotlb_range(0);
	assert_true(range.first == page);
	assert_true((u128)range.last == (end >> 64 ? (u128)UINT64_MAX : end - 1));
}

/* The range does not wrap at the end of the address space (4.4.1.1). */
static void smmuv3_counted_ranges_end_with_the_address_space(void **state)
{
	uint64_t seed = SEED;

	(void)state;
	print_message("seed 0x%" PRIx64 "\n", seed);
	for (unsigned int scale = 0; scale < 32; scale++) {
		for (unsigned int num = 0; num < 32; num++) {
			uint64_t size = ((uint64_t)num + 1) << (scale + 12);

			check_count(0, num, scale);
			check_count(UINT64_MAX, num, scale);
			check_count(-size, num, scale);
			check_count(-size + MODEL_PAGE_SIZE, num, scale);
			check_count(-size - MODEL_PAGE_SIZE, num, scale);
			check_count(next_random(&seed), num, scale);
		}
	}
}

/*
 * What a command reaches.
 */
static void vtd_page_invalidation_takes_all_nested_entries_of_the_domain(void **state)
{
	(void)state;
	/* IH keeps the walks of S2, not those of the others (table 23). */
	run(&model_vtd, 0xd00f2, 0x10000044);
	assert_int_equal(ncalls, 2);
	expect_iotlb(1, (struct model_scope){
		.tag = 13, .any_vm_tag = true, .any_pasid = true, .modes = S1_MODES,
		.last = UINT64_MAX });
	expect_iotlb(0, (struct model_scope){
		.tag = 13, .any_vm_tag = true, .any_pasid = true, .modes = MODEL_OF_S2,
		.first = 0x10000000, .last = 0x1000ffff, .leaf = true });

	run(&model_vtd, 0xd00f2, 0x10000009);
	expect_iotlb(0, (struct model_scope){
		.tag = 13, .any_vm_tag = true, .any_pasid = true, .modes = MODEL_OF_S2,
		.first = 0x10000000, .last = 0x101fffff });
}

static void vtd_domain_invalidation_takes_every_entry_of_the_domain(void **state)
{
	(void)state;
	run(&model_vtd, 0xd00e2, 0);
	assert_int_equal(ncalls, 1);
	expect_iotlb(0, (struct model_scope){
		.tag = 13, .any_vm_tag = true, .any_pasid = true, .modes = EVERY_MODE, .last = UINT64_MAX });
	run(&model_vtd, 0xd2, 0);
	assert_int_equal(ncalls, 1);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .any_vm_tag = true, .any_pasid = true,
		.modes = EVERY_MODE, .last = UINT64_MAX });
}

static void vtd_pasid_invalidation_leaves_second_stage_entries(void **state)
{
	(void)state;
	run(&model_vtd, 0x700050026, 0);
	assert_int_equal(ncalls, 1);
	expect_iotlb(0, (struct model_scope){
		.tag = 5, .any_vm_tag = true, .pasid = 7, .modes = S1_MODES,
		.last = UINT64_MAX });
	run(&model_vtd, 0x700050036, 0x200041);
	assert_int_equal(ncalls, 1);
	expect_iotlb(0, (struct model_scope){
		.tag = 5, .any_vm_tag = true, .pasid = 7, .modes = S1_MODES,
		.first = 0x200000, .last = 0x201fff, .leaf = true });
	/* IH is ignored without an address */
	run(&model_vtd, 0x700050026, 0x40);
	assert_false(calls[0].scope.leaf);
	/* RID_PASID */
	run(&model_vtd, 0x50026, 0);
	assert_int_equal(calls[0].scope.pasid, MODEL_NO_PASID);
}

static void vtd_device_tlb_form_without_pasid_leaves_pasids(void **state)
{
	(void)state;
	run(&model_vtd, 0x10000000003, 0x10007001);
	expect_atc(0x100, false, MODEL_NO_PASID, 0x10000000, 0x1000ffff);
	run(&model_vtd, 0x10000000003, 0x7ffffffffffff001);
	expect_atc(0x100, false, MODEL_NO_PASID, 0, UINT64_MAX);
	/* PFSID and MIP route and throttle; they name nothing else */
	run(&model_vtd, 0x10000000003 | BITS(20, 16, 31) | BITS(15, 12, 9) |
	    BITS(63, 52, 0xabc), 0x5000);
	expect_atc(0x100, false, MODEL_NO_PASID, 0x5000, 0x5fff);

	run(&model_vtd, 0x701000008, 0x5000);
	expect_atc(0x100, false, 7, 0x5000, 0x5fff);
	run(&model_vtd, 0x01000008, 0x5000);
	expect_atc(0x100, false, 0, 0x5000, 0x5fff);
	run(&model_vtd, 0x701000008, 0x5001);
	expect_atc(0x100, true, 0, 0x5000, 0x5fff);
}

static void vtd_context_cache_is_not_the_pasid_cache(void **state)
{
	(void)state;
	run(&model_vtd, 0x100000d0031, 0);
	assert_int_equal(ncalls, 1);
	expect_context(0, false, 0x100, false, MODEL_NO_PASID);
	run(&model_vtd, 0x11, 0);
	expect_context(0, true, 0, false, MODEL_NO_PASID);
	run(&model_vtd, 0xd0021, 0);
	expect_context_tag(13);

	run(&model_vtd, 0x7000d0017, 0);
	expect_context(0, true, 0, false, 7);
	run(&model_vtd, 0xd0017, 0);
	expect_context(0, true, 0, false, MODEL_NO_PASID);
	run(&model_vtd, 0xd0007, 0);
	expect_context_tag(13);
	run(&model_vtd, 0x37, 0);
	expect_context(0, true, 0, true, 0);
}

/* Table 21: bit 2, bits 2:1, bits 2:0 of the function number. */
static void vtd_function_mask_covers_phantom_functions(void **state)
{
	static const uint32_t want[4][8] = {
		{ 0x105 }, { 0x101, 0x105 }, { 0x101, 0x103, 0x105, 0x107 },
		{ 0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x106, 0x107 },
	};

	(void)state;
	for (unsigned int fm = 0; fm < 4; fm++) {
		run(&model_vtd, 0x105000d0031 | BITS(49, 48, fm), 0);
		assert_int_equal(ncalls, 1u << fm);
		for (unsigned int i = 0; i < ncalls; i++)
			expect_context(i, false, want[fm][i], false, MODEL_NO_PASID);
	}
}

static void smmuv3_stage1_forms_match_vmid_asid_and_address(void **state)
{
	(void)state;
	/* NH_VA, 32 pages by scale 5 */
	run(&model_smmuv3, 0x1000000500012, 0xfff20701);
	assert_int_equal(ncalls, 1);
	expect_iotlb(0, (struct model_scope){
		.tag = 1, .any_pasid = true, .modes = S1_MODES,
		.first = 0xfff20000, .last = 0xfff3ffff, .leaf = true });
	/* three pages */
	run(&model_smmuv3, 0x1000000002012, 0xfffb8701);
	expect_iotlb(0, (struct model_scope){
		.tag = 1, .any_pasid = true, .modes = S1_MODES,
		.first = 0xfffb8000, .last = 0xfffbafff, .leaf = true });
	/* not leaf: walks, too */
	run(&model_smmuv3, 0x9000000900012, 0x10000400);
	expect_iotlb(0, (struct model_scope){
		.tag = 9, .any_pasid = true, .modes = S1_MODES,
		.first = 0x10000000, .last = 0x101fffff });
	/* NH_VAA: any ASID of the VMID */
	run(&model_smmuv3, 0x300000013, 0x5000);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .vm_tag = 3, .any_pasid = true, .modes = S1_MODES,
		.first = 0x5000, .last = 0x5fff });
	/* NH_ASID, NH_ALL */
	run(&model_smmuv3, 0x9000300000011, 0);
	expect_iotlb(0, (struct model_scope){
		.tag = 9, .vm_tag = 3, .any_pasid = true, .modes = S1_MODES,
		.last = UINT64_MAX });
	run(&model_smmuv3, 0x300000010, 0);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .vm_tag = 3, .any_pasid = true, .modes = S1_MODES,
		.last = UINT64_MAX });
}

static void smmuv3_s2_ipa_leaves_combined_entries(void **state)
{
	(void)state;
	run(&model_smmuv3, 0x30000002a, 0x5001);
	assert_int_equal(ncalls, 1);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .vm_tag = 3, .any_pasid = true, .modes = MODEL_OF_S2,
		.first = 0x5000, .last = 0x5fff, .leaf = true });
	run(&model_smmuv3, 0x300000028, 0);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .vm_tag = 3, .any_pasid = true, .modes = EVERY_MODE, .last = UINT64_MAX });
	run(&model_smmuv3, 0x30, 0);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .any_vm_tag = true, .any_pasid = true,
		.modes = EVERY_MODE, .last = UINT64_MAX });
}

static void smmuv3_el2_forms_have_no_vmid(void **state)
{
	(void)state;
	run(&model_smmuv3, 0x20, 0);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .any_pasid = true, .modes = S1_MODES,
		.last = UINT64_MAX });
	run(&model_smmuv3, 0x9000000000021, 0);
	expect_iotlb(0, (struct model_scope){
		.tag = 9, .any_pasid = true, .modes = S1_MODES, .last = UINT64_MAX });
	run(&model_smmuv3, 0x9000000000022, 0x5001);
	expect_iotlb(0, (struct model_scope){
		.tag = 9, .any_pasid = true, .modes = S1_MODES,
		.first = 0x5000, .last = 0x5fff, .leaf = true });
	run(&model_smmuv3, 0x23, 0x5000);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .any_pasid = true, .modes = S1_MODES,
		.first = 0x5000, .last = 0x5fff });
}

static void smmuv3_configuration(void **state)
{
	(void)state;
	run(&model_smmuv3, 0x800000003, 1);
	expect_context(0, false, 8, true, 0);
	run(&model_smmuv3, 0x800000004, 3);
	expect_context(0, true, 0, true, 0);
	run(&model_smmuv3, 0x800000006, 0);
	expect_context(0, false, 8, true, 0);
	/* CD 0 is that of requests without SubstreamID */
	run(&model_smmuv3, 0x800000005, 1);
	expect_context(0, false, 8, false, MODEL_NO_PASID);
	run(&model_smmuv3, 0x800007005, 1);
	expect_context(0, false, 8, false, 7);
	run(&model_smmuv3, 0x800000001, 0);
	assert_int_equal(ncalls, 0);
}

static void smmuv3_atc_pasid_counts_with_ssv(void **state)
{
	(void)state;
	run(&model_smmuv3, 0x800000040, 52);
	expect_atc(8, false, MODEL_NO_PASID, 0, UINT64_MAX);
	run(&model_smmuv3, 0x800007840, 0x10003004);
	expect_atc(8, false, 7, 0x10000000, 0x1000ffff);
	run(&model_smmuv3, 0x800007a40, 0x5000);
	expect_atc(8, true, 0, 0x5000, 0x5fff);
	/* neither SSID nor G without SSV */
	run(&model_smmuv3, 0x800007240, 0x5000);
	expect_atc(8, false, MODEL_NO_PASID, 0x5000, 0x5fff);
}

static void run_amd(uint32_t d0, uint32_t d1, uint32_t d2, uint32_t d3)
{
	run(&model_amd, (uint64_t)d1 << 32 | d0, (uint64_t)d3 << 32 | d2);
}

static void amd_host_form_takes_all_nested_entries_of_the_domain(void **state)
{
	(void)state;
	run_amd(0, 0x3000000c, 0x100ff003, 0);
	assert_int_equal(ncalls, 2);
	expect_iotlb(0, (struct model_scope){
		.tag = 12, .any_vm_tag = true, .any_pasid = true, .modes = MODEL_OF_S2,
		.first = 0x10000000, .last = 0x101fffff });
	expect_iotlb(1, (struct model_scope){
		.tag = 12, .any_vm_tag = true, .any_pasid = true, .modes = MODEL_OF_NESTED,
		.last = UINT64_MAX });
	/* without PDE the walks stay */
	run_amd(0, 0x3000000c, 0x10000000, 0);
	assert_true(calls[0].scope.leaf);
	/* the PASID is not looked at without GN */
	run_amd(7, 0x3000000c, 0x10000002, 0);
	assert_true(calls[0].scope.any_pasid);
	/* the whole domain */
	run_amd(0, 0x3000000c, 0xfffff003, 0x7fffffff);
	expect_iotlb(0, (struct model_scope){
		.tag = 12, .any_vm_tag = true, .any_pasid = true, .modes = MODEL_OF_S2,
		.last = UINT64_MAX });
}

static void amd_guest_form_leaves_host_entries(void **state)
{
	(void)state;
	run_amd(7, 0x30000003, 0x5006, 0);
	assert_int_equal(ncalls, 1);
	expect_iotlb(0, (struct model_scope){
		.tag = 3, .any_vm_tag = true, .pasid = 7, .modes = S1_MODES,
		.first = 0x5000, .last = 0x5fff });
	/* GCR3 entry 0 serves requests without PASID */
	run_amd(0, 0x30000003, 0x5004, 0);
	expect_iotlb(0, (struct model_scope){
		.tag = 3, .any_vm_tag = true, .pasid = MODEL_NO_PASID,
		.modes = S1_MODES, .first = 0x5000, .last = 0x5fff, .leaf = true });
}

static void amd_device_and_everything(void **state)
{
	(void)state;
	run_amd(0x20000018, 0x40000018, 0x10007001, 0);
	expect_atc(0x18, false, MODEL_NO_PASID, 0x10000000, 0x1000ffff);
	/* PASID in three pieces: 19:16, 15:8, 7:0 */
	run_amd(0x20cd0018, 0x4aef0018, 0x5004, 0);
	expect_atc(0x18, false, 0xacdef, 0x5000, 0x5fff);
	/* it is not looked at without GN */
	run_amd(0x20cd0018, 0x4aef0018, 0x5000, 0);
	expect_atc(0x18, false, MODEL_NO_PASID, 0x5000, 0x5fff);

	run_amd(0x18, 0x20000000, 0, 0);
	assert_int_equal(ncalls, 1);
	expect_context(0, false, 0x18, true, 0);
	run_amd(0x18, 0x50000000, 0, 0);
	assert_int_equal(ncalls, 0);
	run_amd(0, 0x80000000, 0, 0);
	assert_int_equal(ncalls, 2);
	expect_context(0, true, 0, true, 0);
	expect_iotlb(1, (struct model_scope){
		.any_tag = true, .any_vm_tag = true, .any_pasid = true,
		.modes = EVERY_MODE, .last = UINT64_MAX });
}

#define RISCV_GSCID_3	(BITS(33, 33, 1) | BITS(59, 44, 3))
#define RISCV_PSCID_9	(BITS(32, 32, 1) | BITS(31, 12, 9))

static void riscv_vma_of_the_host_leaves_guests(void **state)
{
	(void)state;
	run(&model_riscv, 0x401 | RISCV_PSCID_9, RISCV_A(0x5000));
	assert_int_equal(ncalls, 1);
	expect_iotlb(0, (struct model_scope){
		.tag = 9, .any_pasid = true, .modes = S1_MODES,
		.first = 0x5000, .last = 0x5fff, .leaf = true });
	/* NL: walks, too; without AV always */
	run(&model_riscv, 0x401 | RISCV_PSCID_9 | BITS(34, 34, 1), RISCV_A(0x5000));
	assert_false(calls[0].scope.leaf);
	run(&model_riscv, 0x1 | RISCV_PSCID_9, RISCV_A(0x5000));
	expect_iotlb(0, (struct model_scope){
		.tag = 9, .any_pasid = true, .modes = S1_MODES, .last = UINT64_MAX });
	/* GSCID and PSCID are ignored without GV, PSCV */
	run(&model_riscv, 0x1 | BITS(59, 44, 3) | BITS(31, 12, 9), 0);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .any_pasid = true, .modes = S1_MODES,
		.last = UINT64_MAX });
	run(&model_riscv, 0x1 | RISCV_GSCID_3 | RISCV_PSCID_9, 0);
	expect_iotlb(0, (struct model_scope){
		.tag = 9, .vm_tag = 3, .any_pasid = true, .modes = S1_MODES,
		.last = UINT64_MAX });
}

static void riscv_gvma_takes_all_combined_entries_of_the_guest(void **state)
{
	(void)state;
	run(&model_riscv, 0x481 | RISCV_GSCID_3, RISCV_A(0x5000));
	assert_int_equal(ncalls, 2);
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .vm_tag = 3, .any_pasid = true, .modes = MODEL_OF_S2,
		.first = 0x5000, .last = 0x5fff, .leaf = true });
	expect_iotlb(1, (struct model_scope){
		.any_tag = true, .vm_tag = 3, .any_pasid = true, .modes = MODEL_OF_NESTED,
		.last = UINT64_MAX });
	/* AV is ignored without GV */
	run(&model_riscv, 0x481, RISCV_A(0x5000));
	expect_iotlb(0, (struct model_scope){
		.any_tag = true, .any_vm_tag = true, .any_pasid = true,
		.modes = MODEL_OF_S2, .last = UINT64_MAX });
	expect_iotlb(1, (struct model_scope){
		.any_tag = true, .any_vm_tag = true, .any_pasid = true,
		.modes = MODEL_OF_NESTED, .last = UINT64_MAX });
}

static void riscv_directories_and_ats(void **state)
{
	(void)state;
	run(&model_riscv, 0x3, 0);
	expect_context(0, true, 0, true, 0);
	run(&model_riscv, 0x3 | BITS(33, 33, 1) | BITS(63, 40, 0x20018), 0);
	expect_context(0, false, 0x20018, true, 0);
	run(&model_riscv, 0x83 | BITS(33, 33, 1) | BITS(63, 40, 0x18) |
	    BITS(31, 12, 7), 0);
	expect_context(0, false, 0x18, false, 7);

	/* segment and PASID count with DSV and PV; G needs a PASID */
	run(&model_riscv, 0x4 | BITS(63, 40, 0x20018) | BITS(31, 12, 7), 0x5001);
	expect_atc(0x18, false, MODEL_NO_PASID, 0x5000, 0x5fff);
	run(&model_riscv, 0x4 | BITS(63, 40, 0x20018) | BITS(33, 33, 1) |
	    BITS(32, 32, 1) | BITS(31, 12, 7), 0x10007800);
	expect_atc(0x20018, false, 7, 0x10000000, 0x1000ffff);
	run(&model_riscv, 0x4 | BITS(55, 40, 0x18) | BITS(32, 32, 1), 0x5001);
	expect_atc(0x18, true, 0, 0x5000, 0x5fff);
	run(&model_riscv, 0x84 | BITS(55, 40, 0x18), 0);
	assert_int_equal(ncalls, 0);
}

/* Width of the write, and that it is left out where it is not asked for. */
static void completion_writes_what_the_command_says(void **state)
{
	uint64_t place = UINT64_MAX;
	uint64_t addr = (uintptr_t)&place;
	uint32_t low;

	(void)state;
	run(&model_vtd, 0x1234567800000025, addr);
	memcpy(&low, &place, sizeof(low));
	assert_int_equal(low, 0x12345678);
	assert_int_equal((place ^ UINT64_MAX) & ~UINT64_C(0xffffffff), 0);
	run(&model_vtd, 0x8765432100000055, addr);
	memcpy(&low, &place, sizeof(low));
	assert_int_equal(low, 0x12345678);

	place = UINT64_MAX;
	run(&model_smmuv3, 0x1234567800001046, addr);
	memcpy(&low, &place, sizeof(low));
	assert_int_equal(low, 0x12345678);
	run(&model_smmuv3, 0x8765432100000046, addr);
	run(&model_smmuv3, 0x8765432100002046, addr);
	run(&model_smmuv3, 0x8765432100001046, 0);
	memcpy(&low, &place, sizeof(low));
	assert_int_equal(low, 0x12345678);

	place = 0;
	run(&model_amd, UINT64_C(1) << 60 | addr | 1, 0x123456789abcdef0);
	assert_true(place == 0x123456789abcdef0);
	run(&model_amd, UINT64_C(1) << 60 | addr | 2, 5);
	assert_true(place == 0x123456789abcdef0);

	place = UINT64_MAX;
	run(&model_riscv, 0x1234567800003402, RISCV_A(addr));
	memcpy(&low, &place, sizeof(low));
	assert_int_equal(low, 0x12345678);
	run(&model_riscv, 0x8765432100003002, RISCV_A(addr));
	memcpy(&low, &place, sizeof(low));
	assert_int_equal(low, 0x12345678);
	assert_int_equal(ncalls, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(vtd_text),
		cmocka_unit_test(smmuv3_text),
		cmocka_unit_test(amd_text),
		cmocka_unit_test(riscv_text),
		cmocka_unit_test(only_the_commands_of_a_vendor_have_a_class),
		cmocka_unit_test(vtd_reserved_bits_are_refused),
		cmocka_unit_test(smmuv3_reserved_bits_are_refused),
		cmocka_unit_test(amd_reserved_bits_are_refused),
		cmocka_unit_test(riscv_reserved_bits_are_refused),
		cmocka_unit_test(fields_out_of_range_are_refused),
		cmocka_unit_test(smmuv3_range_needs_its_granule_and_alignment),
		cmocka_unit_test(regions_are_what_the_encoding_says_to_the_last_page),
		cmocka_unit_test(smmuv3_counted_ranges_end_with_the_address_space),
		cmocka_unit_test(
			vtd_page_invalidation_takes_all_nested_entries_of_the_domain),
		cmocka_unit_test(
			vtd_domain_invalidation_takes_every_entry_of_the_domain),
		cmocka_unit_test(vtd_pasid_invalidation_leaves_second_stage_entries),
		cmocka_unit_test(vtd_device_tlb_form_without_pasid_leaves_pasids),
		cmocka_unit_test(vtd_context_cache_is_not_the_pasid_cache),
		cmocka_unit_test(vtd_function_mask_covers_phantom_functions),
		cmocka_unit_test(smmuv3_stage1_forms_match_vmid_asid_and_address),
		cmocka_unit_test(smmuv3_s2_ipa_leaves_combined_entries),
		cmocka_unit_test(smmuv3_el2_forms_have_no_vmid),
		cmocka_unit_test(smmuv3_configuration),
		cmocka_unit_test(smmuv3_atc_pasid_counts_with_ssv),
		cmocka_unit_test(amd_host_form_takes_all_nested_entries_of_the_domain),
		cmocka_unit_test(amd_guest_form_leaves_host_entries),
		cmocka_unit_test(amd_device_and_everything),
		cmocka_unit_test(riscv_vma_of_the_host_leaves_guests),
		cmocka_unit_test(riscv_gvma_takes_all_combined_entries_of_the_guest),
		cmocka_unit_test(riscv_directories_and_ats),
		cmocka_unit_test(completion_writes_what_the_command_says),
	};

	return cmocka_run_group_tests_name("model commands", tests, NULL, NULL);
}
