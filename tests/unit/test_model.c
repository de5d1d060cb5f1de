// SPDX-License-Identifier: GPL-2.0-only
/*
 * The models apart from their encodings: page tables, caches, queue, oracle.
 *
 * Commands are written as the raw words of the vendor that has the one that a
 * case needs, with the section of its specification. A case that wants the
 * oracle silent also makes it fire by leaving the command out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model.h"

#define KIB(n)		((uint64_t)(n) << 10)
#define MIB(n)		((uint64_t)(n) << 20)
#define GIB(n)		((uint64_t)(n) << 30)

#define NONE		MODEL_NO_PASID

/* VT-d 6.5.2.3: domain-selective, page-selective (IH: leaves only). */
#define VTD_DOMAIN(did)		(0x2 | 2 << 4 | (uint64_t)(did) << 16)
#define VTD_PAGE(did)		(0x2 | 3 << 4 | (uint64_t)(did) << 16)
#define VTD_IH			(1 << 6)
/* VT-d 6.5.2.4: all of a PASID. */
#define VTD_PASID(did, pasid)	(0x6 | 2 << 4 | (uint64_t)(did) << 16 | \
				 (uint64_t)(pasid) << 32)
/* VT-d 6.5.2.5, 6.5.2.6: one page of a device, without and with PASID. */
#define VTD_ATC(rid)		(0x3 | (uint64_t)(rid) << 32)
#define VTD_PASID_ATC(rid, pasid) (0x8 | (uint64_t)(rid) << 16 | \
				   (uint64_t)(pasid) << 32)
/* VT-d 6.5.2.1: device-selective. */
#define VTD_CONTEXT(rid)	(0x1 | 3 << 4 | (uint64_t)(rid) << 32)
/* VT-d 6.5.2.2: PASID-selective. */
#define VTD_PASID_CACHE(did, pasid) (0x7 | 1 << 4 | (uint64_t)(did) << 16 | \
				     (uint64_t)(pasid) << 32)
/* VT-d 6.5.2.9: status write. */
#define VTD_WAIT(data)		(0x5 | 1 << 5 | (uint64_t)(data) << 32)
/* SMMUv3 4.4.2 TLBI_NH_ASID, 4.4.3 TLBI_S2_IPA and TLBI_S12_VMALL. */
#define SMMU_ASID(vmid, asid)	(0x11 | (uint64_t)(vmid) << 32 | \
				 (uint64_t)(asid) << 48)
#define SMMU_IPA(vmid)		(0x2a | (uint64_t)(vmid) << 32)
#define SMMU_VMALL(vmid)	(0x28 | (uint64_t)(vmid) << 32)

#define RID	0x0208

struct rig {
	struct model_iommu *iommu;
	struct model_dev *dev;
	struct model_pt *pt;
	unsigned int tail;
};

static struct rig make_rig(struct model_config config)
{
	struct rig rig = { .iommu = model_iommu_create(&config) };

	assert_non_null(rig.iommu);
	rig.dev = model_dev_create(rig.iommu, RID, true);
	assert_non_null(rig.dev);
	rig.pt = model_pt_create(4);
	assert_non_null(rig.pt);
	return rig;
}

static void drop_rig(struct rig *rig)
{
	model_dev_destroy(rig->dev);
	model_iommu_destroy(rig->iommu);
	model_pt_destroy(rig->pt);
}

static void queue(struct rig *rig, uint64_t word0, uint64_t word1)
{
	unsigned int words = model_cmd_words(model_iommu_vendor(rig->iommu));
	uint64_t *cmd = model_queue(rig->iommu) + rig->tail * words;

	memset(cmd, 0, words * sizeof(*cmd));
	cmd[0] = word0;
	cmd[1] = word1;
	rig->tail = (rig->tail + 1) % model_queue_entries(rig->iommu);
}

static void send(struct rig *rig, uint64_t word0, uint64_t word1)
{
	queue(rig, word0, word1);
	model_doorbell(rig->iommu, rig->tail);
}

static void attach_s2(struct model_dev *dev, struct model_pt *pt, uint32_t tag)
{
	model_dev_set_context(dev, NONE, &(struct model_context){
		.mode = MODEL_S2, .tag = tag, .s2 = pt });
}

static void map(struct model_pt *pt, uint64_t iova, uint64_t paddr, uint64_t size)
{
	assert_int_equal(model_pt_map(pt, iova, paddr, size, true), 0);
}

static void unmap(struct model_pt *pt, uint64_t iova, uint64_t size)
{
	struct model_unmapped un = { 0 };

	assert_int_equal(model_pt_unmap(pt, iova, size, &un), 0);
	assert_int_equal(un.bytes, size);
	model_pt_free_tables(&un);
}

/* A read that must give @paddr from @source and be current. */
#define expect_dma(dev, pasid, iova, want, from) do {			\
	struct model_access access_;					\
									\
	assert_true(model_dma(dev, pasid, iova, false, &access_));	\
	assert_false(access_.fault);					\
	assert_int_equal(access_.paddr, want);				\
	assert_int_equal(access_.source, from);				\
} while (0)

#define expect_stale(dev, pasid, iova, from) do {			\
	struct model_access access_;					\
									\
	assert_false(model_dma(dev, pasid, iova, false, &access_));	\
	assert_true(access_.stale);					\
	assert_int_equal(access_.source, from);				\
} while (0)

/* A fault, and rightly so. */
#define expect_fault(dev, pasid, iova) do {				\
	struct model_access access_;					\
									\
	assert_true(model_dma(dev, pasid, iova, false, &access_));	\
	assert_true(access_.fault);					\
} while (0)

/*
 * Page tables.
 */

static void expect_lookup(struct model_pt *pt, uint64_t iova, uint64_t want)
{
	uint64_t paddr;
	bool writable;

	assert_true(model_pt_lookup(pt, iova, &paddr, &writable));
	assert_int_equal(paddr, want);
	assert_true(writable);
}

static bool mapped(struct model_pt *pt, uint64_t iova)
{
	uint64_t paddr;
	bool writable;

	return model_pt_lookup(pt, iova, &paddr, &writable);
}

static void map_uses_the_largest_leaves(void **state)
{
	struct model_pt *pt = model_pt_create(4);
	struct model_unmapped un = { 0 };

	(void)state;
	map(pt, GIB(1) - MIB(2) - KIB(4), GIB(5) - MIB(2) - KIB(4),
	    KIB(4) + MIB(2) + GIB(1));
	expect_lookup(pt, GIB(1) - MIB(2) - KIB(4), GIB(5) - MIB(2) - KIB(4));
	expect_lookup(pt, GIB(1) - 1, GIB(5) - 1);
	expect_lookup(pt, GIB(2) - 1, GIB(6) - 1);
	assert_false(mapped(pt, GIB(2)));

	assert_int_equal(model_pt_unmap(pt, GIB(1), GIB(1), &un), 0);
	assert_int_equal(un.bytes, GIB(1));
	assert_int_equal(un.leaf, GIB(1));
	un = (struct model_unmapped){ 0 };
	assert_int_equal(model_pt_unmap(pt, GIB(1) - MIB(2), MIB(2), &un), 0);
	assert_int_equal(un.leaf, MIB(2));
	/* With the last page the leaves are of two sizes. */
	assert_int_equal(model_pt_unmap(pt, GIB(1) - MIB(2) - KIB(4), KIB(4), &un), 0);
	assert_int_equal(un.bytes, MIB(2) + KIB(4));
	assert_int_equal(un.leaf, 0);
	model_pt_destroy(pt);
}

static void leaves_are_no_larger_than_the_alignment_of_both_addresses(void **state)
{
	struct model_pt *pt = model_pt_create(4);
	struct model_unmapped un = { 0 };

	(void)state;
	map(pt, GIB(1), MIB(2), GIB(1));
	assert_int_equal(model_pt_unmap(pt, GIB(1), GIB(1), &un), 0);
	assert_int_equal(un.leaf, MIB(2));
	model_pt_free_tables(&un);
	un = (struct model_unmapped){ 0 };
	map(pt, GIB(1), KIB(4), MIB(2));
	assert_int_equal(model_pt_unmap(pt, GIB(1), MIB(2), &un), 0);
	assert_int_equal(un.leaf, KIB(4));
	model_pt_free_tables(&un);
	model_pt_destroy(pt);
}

static void last_page_of_the_address_space(void **state)
{
	static const unsigned int width[] = { [3] = 39, [4] = 48, [5] = 57 };
	unsigned int levels;

	(void)state;
	for (levels = 3; levels <= 5; levels++) {
		struct model_pt *pt = model_pt_create(levels);
		uint64_t end = UINT64_C(1) << width[levels];

		map(pt, 0, 0, KIB(4));
		map(pt, end - KIB(4), 0, KIB(4));
		expect_lookup(pt, end - 1, KIB(4) - 1);
		assert_false(mapped(pt, end));
		assert_int_equal(model_pt_map(pt, end, 0, KIB(4), true), -ERANGE);
		assert_int_equal(model_pt_map(pt, end - MIB(1), 0, MIB(2), true),
				 -ERANGE);
		assert_false(mapped(pt, end - MIB(1)));
		unmap(pt, end - KIB(4), KIB(4));
		model_pt_destroy(pt);
	}
	assert_null(model_pt_create(2));
	assert_null(model_pt_create(6));
}

static void map_over_a_mapping_changes_nothing(void **state)
{
	struct model_pt *pt = model_pt_create(4);
	struct model_unmapped un = { 0 };

	(void)state;
	map(pt, GIB(1) + MIB(2), GIB(8), KIB(4));
	assert_int_equal(model_pt_map(pt, 0, GIB(16), GIB(2), true), -EEXIST);
	assert_int_equal(model_pt_map(pt, GIB(1) + MIB(2), 0, KIB(4), true), -EEXIST);
	assert_false(mapped(pt, 0));
	assert_false(mapped(pt, GIB(1)));
	expect_lookup(pt, GIB(1) + MIB(2), GIB(8));
	/* Under a large leaf, too. */
	map(pt, GIB(4), GIB(4), GIB(1));
	assert_int_equal(model_pt_map(pt, GIB(5) - KIB(4), 0, KIB(8), true), -EEXIST);
	assert_false(mapped(pt, GIB(5)));
	assert_int_equal(model_pt_unmap(pt, 0, GIB(8), &un), 0);
	assert_int_equal(un.bytes, GIB(1) + KIB(4));
	model_pt_free_tables(&un);
	model_pt_destroy(pt);
}

static void map_refuses_unaligned_and_wrapping_ranges(void **state)
{
	struct model_pt *pt = model_pt_create(4);

	(void)state;
	assert_int_equal(model_pt_map(pt, 1, 0, KIB(4), true), -EINVAL);
	assert_int_equal(model_pt_map(pt, 0, 1, KIB(4), true), -EINVAL);
	assert_int_equal(model_pt_map(pt, 0, 0, 1, true), -EINVAL);
	assert_int_equal(model_pt_map(pt, 0, 0, 0, true), -EINVAL);
	assert_int_equal(model_pt_map(pt, 0, -KIB(4), KIB(8), true), -EINVAL);
	assert_int_equal(model_pt_map(pt, -KIB(4), 0, KIB(8), true), -ERANGE);
	assert_false(mapped(pt, 0));
	model_pt_destroy(pt);
}

static void unmap_of_a_part_of_a_large_leaf_changes_nothing(void **state)
{
	struct model_pt *pt = model_pt_create(4);
	struct model_unmapped un = { 0 };

	(void)state;
	map(pt, MIB(2) - KIB(4), GIB(1) - KIB(4), KIB(4) + MIB(2) + KIB(4));
	assert_int_equal(model_pt_unmap(pt, MIB(2), MIB(1), &un), -EINVAL);
	assert_int_equal(model_pt_unmap(pt, MIB(3), MIB(1), &un), -EINVAL);
	assert_int_equal(model_pt_unmap(pt, MIB(2) + KIB(4), KIB(4), &un), -EINVAL);
	assert_int_equal(model_pt_unmap(pt, 0, MIB(3), &un), -EINVAL);
	assert_int_equal(model_pt_unmap(pt, MIB(3), MIB(2), &un), -EINVAL);
	assert_int_equal(un.bytes, 0);
	assert_null(un.tables);
	expect_lookup(pt, MIB(2) - KIB(4), GIB(1) - KIB(4));
	expect_lookup(pt, MIB(3), GIB(1) + MIB(1));
	expect_lookup(pt, MIB(4), GIB(1) + MIB(2));
	model_pt_destroy(pt);
}

static void unmap_cuts_off_tables_that_are_covered(void **state)
{
	struct model_pt *pt = model_pt_create(4);
	struct model_unmapped un = { 0 };

	(void)state;
	map(pt, MIB(4), 0, KIB(8));
	assert_int_equal(model_pt_unmap(pt, MIB(4), KIB(8), &un), 0);
	assert_null(un.tables);
	/* The table is empty and still there. */
	assert_int_equal(model_pt_unmap(pt, MIB(4), MIB(2), &un), 0);
	assert_int_equal(un.bytes, KIB(8));
	assert_non_null(un.tables);
	model_pt_free_tables(&un);
	assert_null(un.tables);
	model_pt_destroy(pt);
}

/* Any sequence of map and unmap, against an array of what each page maps to. */
static void map_and_unmap_match_a_flat_array(void **state)
{
	enum { PAGES = 2048, STEPS = 3000 };
	static uint64_t flat[PAGES];	/* paddr | 1 */
	struct model_pt *pt = model_pt_create(3);
	const uint64_t base = GIB(3);
	unsigned int seed = 20240229, step;

	(void)state;
	print_message("seed %u\n", seed);
	memset(flat, 0, sizeof(flat));
	for (step = 0; step < STEPS; step++) {
		/* Every other range is one that large leaves fit. */
		unsigned int grain = rand_r(&seed) % 2 ? 512 : 1;
		unsigned int first = rand_r(&seed) % (PAGES / grain) * grain;
		unsigned int n = (1 + rand_r(&seed) % (grain == 1 ? 64 : 2)) * grain;
		bool add = rand_r(&seed) % 2, busy = false;
		struct model_unmapped un = { 0 };
		uint64_t paddr, bytes = 0;
		unsigned int i;
		int ret;

		if (first + n > PAGES)
			n = PAGES - first;
		paddr = (uint64_t)(rand_r(&seed) % 64) * MIB(2);
		if (rand_r(&seed) % 4 == 0)
			paddr += KIB(4);
		for (i = first; i < first + n; i++) {
			busy |= flat[i] & 1;
			bytes += (flat[i] & 1) * KIB(4);
		}
		if (add) {
			ret = model_pt_map(pt, base + first * KIB(4), paddr,
					   n * KIB(4), true);
			assert_int_equal(ret, busy ? -EEXIST : 0);
		} else {
			ret = model_pt_unmap(pt, base + first * KIB(4),
					     n * KIB(4), &un);
			assert_true(!ret || (ret == -EINVAL && busy));
			assert_int_equal(un.bytes, ret ? 0 : bytes);
			model_pt_free_tables(&un);
		}
		for (i = 0; !ret && i < n; i++)
			flat[first + i] = add ? paddr + i * KIB(4) + 1 : 0;
		for (i = 0; i < PAGES; i++) {
			bool writable;

			if (model_pt_lookup(pt, base + i * KIB(4), &paddr, &writable))
				assert_int_equal(flat[i], paddr + 1);
			else
				assert_int_equal(flat[i], 0);
		}
	}
	model_pt_destroy(pt);
}

/*
 * Caches.
 */

static void iotlb_and_walk_cache_fill_on_a_miss(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, MIB(1), GIB(1), KIB(8));
	expect_dma(rig.dev, NONE, MIB(1) + 5, GIB(1) + 5, MODEL_FROM_WALK);
	expect_dma(rig.dev, NONE, MIB(1) + 6, GIB(1) + 6, MODEL_FROM_IOTLB);
	expect_dma(rig.dev, NONE, MIB(1) + KIB(4), GIB(1) + KIB(4), MODEL_FROM_WALK);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), 2);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_WALK), 1);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
	/* Page-selective: the other page and, with IH, the walk cache stay. */
	send(&rig, VTD_PAGE(7), MIB(1) | VTD_IH);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), 1);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_WALK), 1);
	send(&rig, VTD_DOMAIN(8), 0);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), 1);
	send(&rig, VTD_DOMAIN(7), 0);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), 0);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_WALK), 0);
	drop_rig(&rig);
}

static void large_leaf_is_one_entry(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	assert_int_equal(model_dev_set_ats(rig.dev, true), 0);
	map(rig.pt, GIB(1), GIB(2), GIB(1));
	expect_dma(rig.dev, NONE, GIB(1), GIB(2), MODEL_FROM_WALK);
	expect_dma(rig.dev, NONE, GIB(2) - 1, GIB(3) - 1, MODEL_FROM_ATC);
	assert_int_equal(model_dev_set_ats(rig.dev, false), 0);
	expect_dma(rig.dev, NONE, GIB(2) - 1, GIB(3) - 1, MODEL_FROM_IOTLB);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), 1);
	drop_rig(&rig);
}

static void nested_entry_has_the_smaller_leaf_of_both_stages(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_SMMUV3 });
	struct model_pt *s1 = model_pt_create(3);

	(void)state;
	map(s1, GIB(4), MIB(2), MIB(2));
	map(rig.pt, MIB(2), GIB(8) + KIB(4), MIB(2));
	model_dev_set_context(rig.dev, 3, &(struct model_context){
		.mode = MODEL_NESTED, .tag = 1, .vm_tag = 2, .s1 = s1, .s2 = rig.pt });
	expect_dma(rig.dev, 3, GIB(4) + KIB(4), GIB(8) + KIB(8), MODEL_FROM_WALK);
	expect_dma(rig.dev, 3, GIB(4) + KIB(5), GIB(8) + KIB(9), MODEL_FROM_IOTLB);
	expect_dma(rig.dev, 3, GIB(4), GIB(8) + KIB(4), MODEL_FROM_WALK);
	map(s1, GIB(6), MIB(4), KIB(4));
	map(rig.pt, MIB(4), GIB(10), MIB(2));
	expect_dma(rig.dev, 3, GIB(6), GIB(10), MODEL_FROM_WALK);
	expect_fault(rig.dev, 3, GIB(6) + KIB(4));
	/* Nothing behind the S2. */
	map(s1, GIB(5), GIB(1), KIB(4));
	expect_fault(rig.dev, 3, GIB(5));
	drop_rig(&rig);
	model_pt_destroy(s1);
}

static void write_through_a_read_only_leaf_is_a_fault(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_access access;

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	assert_int_equal(model_pt_map(rig.pt, 0, GIB(1), KIB(4), false), 0);
	assert_true(model_dma(rig.dev, NONE, 0, true, &access));
	assert_true(access.fault);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_IOTLB);
	drop_rig(&rig);
}

static void nested_write_needs_both_stages(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_SMMUV3 });
	struct model_pt *s1 = model_pt_create(4);
	unsigned int i;

	(void)state;
	model_dev_set_context(rig.dev, NONE, &(struct model_context){
		.mode = MODEL_NESTED, .tag = 1, .vm_tag = 2, .s1 = s1, .s2 = rig.pt });
	for (i = 0; i < 4; i++) {
		uint64_t iova = i * KIB(4);
		struct model_access access;

		assert_int_equal(model_pt_map(s1, iova, iova, KIB(4), i & 1), 0);
		assert_int_equal(model_pt_map(rig.pt, iova, iova, KIB(4), i & 2), 0);
		assert_true(model_dma(rig.dev, NONE, iova, true, &access));
		assert_int_equal(access.fault, i != 3);
	}
	drop_rig(&rig);
	model_pt_destroy(s1);
}

static void full_cache_evicts_and_stays_right(void **state)
{
	enum { PAGES = 10000 };
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	unsigned int i;

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, 0, KIB(4), PAGES * KIB(4));
	for (i = 0; i < PAGES; i++)
		expect_dma(rig.dev, NONE, i * KIB(4), (i + 1) * KIB(4), MODEL_FROM_WALK);
	assert_in_range(model_cached(rig.iommu, MODEL_FROM_IOTLB), 1000, PAGES - 1);
	expect_dma(rig.dev, NONE, (PAGES - 1) * KIB(4), PAGES * KIB(4),
		   MODEL_FROM_IOTLB);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	send(&rig, VTD_DOMAIN(7), 0);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), 0);
	drop_rig(&rig);
}

static void blocked_device_and_unknown_pasid_fault(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });

	(void)state;
	expect_fault(rig.dev, NONE, 0);
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, 0, 0, KIB(4));
	expect_dma(rig.dev, NONE, 0, 0, MODEL_FROM_WALK);
	expect_fault(rig.dev, 5, 0);
	drop_rig(&rig);
}

/*
 * The oracle.
 */

static void withheld_iotlb_command_is_stale(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, 0, GIB(1), KIB(4));
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	assert_int_equal(model_stale_entries(rig.iommu), 0);

	unmap(rig.pt, 0, KIB(4));
	model_withhold(rig.iommu, MODEL_IOTLB, 1);
	send(&rig, VTD_PAGE(7), 0);
	assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 0);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_IOTLB);
	assert_int_equal(model_stale_entries(rig.iommu), 1);

	send(&rig, VTD_PAGE(7), 0);
	assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 1);
	expect_fault(rig.dev, NONE, 0);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	drop_rig(&rig);
}

static void large_entry_is_stale_if_one_of_its_pages_is(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, 0, GIB(1), MIB(2));
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	unmap(rig.pt, 0, MIB(2));
	map(rig.pt, 0, GIB(1), MIB(2) - KIB(4));
	/* The same answer as before is not stale, the missing page is. */
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_IOTLB);
	expect_stale(rig.dev, NONE, MIB(2) - 1, MODEL_FROM_IOTLB);
	assert_int_equal(model_stale_entries(rig.iommu), 1);
	map(rig.pt, MIB(2) - KIB(4), GIB(1) + MIB(2) - KIB(4), KIB(4));
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	drop_rig(&rig);
}

static void withheld_atc_command_is_stale(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	assert_int_equal(model_dev_set_ats(rig.dev, true), 0);
	map(rig.pt, 0, GIB(1), KIB(4));
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 1);

	unmap(rig.pt, 0, KIB(4));
	model_withhold(rig.iommu, MODEL_ATC, 1);
	send(&rig, VTD_PAGE(7), 0);
	send(&rig, VTD_ATC(RID), 0);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_ATC);
	assert_int_equal(model_stale_entries(rig.iommu), 1);

	send(&rig, VTD_ATC(RID), 0);
	assert_int_equal(model_faults(rig.iommu, NULL), 0);
	expect_fault(rig.dev, NONE, 0);
	drop_rig(&rig);
}

/* ATC before IOTLB: the ATC fills again from the stale IOTLB. */
static void atc_command_ahead_of_the_iotlb_one_is_stale(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	assert_int_equal(model_dev_set_ats(rig.dev, true), 0);
	map(rig.pt, 0, GIB(1), KIB(4));
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	unmap(rig.pt, 0, KIB(4));
	send(&rig, VTD_ATC(RID), 0);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_IOTLB);
	send(&rig, VTD_PAGE(7), 0);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_ATC);
	drop_rig(&rig);
}

static void leaf_only_command_after_a_freed_table_is_stale(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_unmapped un = { 0 };
	struct model_access access;

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, 0, GIB(1), KIB(4));
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	assert_int_equal(model_pt_unmap(rig.pt, 0, MIB(2), &un), 0);
	assert_non_null(un.tables);
	send(&rig, VTD_PAGE(7), 9 | VTD_IH);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), 0);
	/* The old leaf is still in the table that the walk cache knows. */
	assert_false(model_dma(rig.dev, NONE, 0, false, &access));
	assert_int_equal(access.source, MODEL_FROM_WALK);
	assert_false(access.fault);
	assert_int_equal(access.paddr, GIB(1));
	send(&rig, VTD_PAGE(7), 9 | VTD_IH);
	model_pt_free_tables(&un);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_WALK);
	assert_int_equal(model_stale_entries(rig.iommu), 1);
	/* Also once the table has a new life, here or in another domain. */
	map(rig.pt, 0, GIB(2), KIB(4));
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_WALK);

	send(&rig, VTD_PAGE(7), 9);
	expect_dma(rig.dev, NONE, 0, GIB(2), MODEL_FROM_WALK);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	drop_rig(&rig);
}

/* S2 unmap that flushes the tag of the parent alone. */
static void nested_entries_survive_a_flush_of_the_parent_tag(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_pt *s1 = model_pt_create(4);
	enum { PARENT = 7, NEST = 8 };

	(void)state;
	map(s1, MIB(4), MIB(8), KIB(4));
	map(rig.pt, MIB(8), GIB(1), KIB(4));
	model_dev_set_context(rig.dev, NONE, &(struct model_context){
		.mode = MODEL_NESTED, .tag = NEST, .s1 = s1, .s2 = rig.pt });
	expect_dma(rig.dev, NONE, MIB(4), GIB(1), MODEL_FROM_WALK);
	unmap(rig.pt, MIB(8), KIB(4));
	send(&rig, VTD_PAGE(PARENT), MIB(8));
	expect_stale(rig.dev, NONE, MIB(4), MODEL_FROM_IOTLB);
	/* The combined one, and the S2 part of the walk. */
	assert_int_equal(model_stale_entries(rig.iommu), 2);
	send(&rig, VTD_DOMAIN(NEST), 0);
	expect_fault(rig.dev, NONE, MIB(4));
	drop_rig(&rig);
	model_pt_destroy(s1);
}

/* A detach that flushes the first stage leaves what the walks had of the second. */
static void s2_part_of_a_nest_survives_a_flush_of_its_pasid(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_pt *s1 = model_pt_create(4), *other = model_pt_create(4);
	enum { NEST = 8 };

	(void)state;
	map(s1, MIB(4), MIB(8), KIB(4));
	map(rig.pt, MIB(8), GIB(1), KIB(4));
	map(other, MIB(8), GIB(2), KIB(4));
	model_dev_set_context(rig.dev, NONE, &(struct model_context){
		.mode = MODEL_NESTED, .tag = NEST, .s1 = s1, .s2 = rig.pt });
	expect_dma(rig.dev, NONE, MIB(4), GIB(1), MODEL_FROM_WALK);
	send(&rig, VTD_PASID(NEST, 0), 0);
	/* The DID goes to another nest, on another parent. */
	model_dev_set_context(rig.dev, NONE, &(struct model_context){
		.mode = MODEL_NESTED, .tag = NEST, .s1 = s1, .s2 = other });
	send(&rig, VTD_PASID_CACHE(NEST, 0), 0);
	expect_stale(rig.dev, NONE, MIB(4), MODEL_FROM_WALK);
	send(&rig, VTD_DOMAIN(NEST), 0);
	expect_dma(rig.dev, NONE, MIB(4), GIB(2), MODEL_FROM_WALK);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	drop_rig(&rig);
	model_pt_destroy(s1);
	model_pt_destroy(other);
}

/* The same fault on SMMUv3, where parent and nest share the VMID. */
static void nested_entries_survive_a_flush_by_ipa(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_SMMUV3 });
	struct model_dev *host = model_dev_create(rig.iommu, RID + 1, false);
	struct model_pt *s1 = model_pt_create(4);
	enum { VMID = 3, ASID = 5 };

	(void)state;
	map(s1, MIB(8), MIB(8), KIB(4));
	map(rig.pt, MIB(8), GIB(1), KIB(4));
	model_dev_set_context(rig.dev, NONE, &(struct model_context){
		.mode = MODEL_NESTED, .tag = ASID, .vm_tag = VMID,
		.s1 = s1, .s2 = rig.pt });
	model_dev_set_context(host, NONE, &(struct model_context){
		.mode = MODEL_S2, .vm_tag = VMID, .s2 = rig.pt });
	expect_dma(rig.dev, NONE, MIB(8), GIB(1), MODEL_FROM_WALK);
	/* The S2 part of the walk for the nest. */
	expect_dma(host, NONE, MIB(8), GIB(1), MODEL_FROM_IOTLB);
	unmap(rig.pt, MIB(8), KIB(4));
	send(&rig, SMMU_IPA(VMID), MIB(8));
	expect_fault(host, NONE, MIB(8));
	expect_stale(rig.dev, NONE, MIB(8), MODEL_FROM_IOTLB);
	send(&rig, SMMU_VMALL(VMID), 0);
	expect_fault(rig.dev, NONE, MIB(8));
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	model_dev_destroy(host);
	drop_rig(&rig);
	model_pt_destroy(s1);
}

static void cached_absent_translation_is_stale_once_mapped(void **state)
{
	struct model_config config = { .vendor = MODEL_VTD };
	int cm;

	(void)state;
	for (cm = 0; cm <= 1; cm++) {
		struct rig rig;

		config.caches_absent = cm;
		rig = make_rig(config);
		attach_s2(rig.dev, rig.pt, 7);
		/* An ATC remembers none in either case. */
		assert_int_equal(model_dev_set_ats(rig.dev, true), 0);
		expect_fault(rig.dev, NONE, 0);
		assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), cm);
		map(rig.pt, 0, GIB(1), KIB(4));
		assert_int_equal(model_stale_entries(rig.iommu), cm);
		if (cm) {
			struct model_access access;

			assert_false(model_dma(rig.dev, NONE, 0, false, &access));
			assert_true(access.fault);
			assert_true(access.stale);
			send(&rig, VTD_PAGE(7), 0);
		}
		expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
		drop_rig(&rig);
	}
}

static void cached_context_entry_is_stale_until_its_command(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_pt *other = model_pt_create(4);

	(void)state;
	map(rig.pt, 0, GIB(1), KIB(4));
	map(other, 0, GIB(2), KIB(4));
	attach_s2(rig.dev, rig.pt, 7);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	attach_s2(rig.dev, other, 8);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_IOTLB);
	assert_int_equal(model_stale_entries(rig.iommu), 1);
	send(&rig, VTD_CONTEXT(RID), 0);
	expect_dma(rig.dev, NONE, 0, GIB(2), MODEL_FROM_WALK);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	drop_rig(&rig);
	model_pt_destroy(other);
}

/* VT-d: the entries of PASIDs are in the PASID cache, by themselves. */
static void context_command_leaves_entries_of_other_pasids(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_context blocked = { .mode = MODEL_BLOCKED };
	struct model_context context = { .mode = MODEL_S1, .tag = 7, .s1 = rig.pt };

	(void)state;
	map(rig.pt, 0, GIB(1), KIB(4));
	model_dev_set_context(rig.dev, NONE, &context);
	model_dev_set_context(rig.dev, 1, &context);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	expect_dma(rig.dev, 1, 0, GIB(1), MODEL_FROM_WALK);
	model_dev_set_context(rig.dev, NONE, &blocked);
	model_dev_set_context(rig.dev, 1, &blocked);
	send(&rig, VTD_CONTEXT(RID), 0);
	expect_fault(rig.dev, NONE, 0);
	expect_stale(rig.dev, 1, 0, MODEL_FROM_IOTLB);
	send(&rig, VTD_PASID_CACHE(7, 1), 0);
	expect_fault(rig.dev, 1, 0);
	drop_rig(&rig);
}

static void cached_absent_context_entry_is_stale_once_written(void **state)
{
	struct rig rig = make_rig((struct model_config){
		.vendor = MODEL_VTD, .caches_absent = true });

	(void)state;
	expect_fault(rig.dev, NONE, 0);
	map(rig.pt, 0, GIB(1), KIB(4));
	attach_s2(rig.dev, rig.pt, 7);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_WALK);
	send(&rig, VTD_CONTEXT(RID), 0);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	drop_rig(&rig);
}

static void destroyed_page_table_is_reported_and_does_not_crash(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_pt *gone = model_pt_create(4);

	(void)state;
	map(gone, 0, GIB(1), KIB(8));
	attach_s2(rig.dev, gone, 7);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	model_pt_destroy(gone);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_IOTLB);
	expect_stale(rig.dev, NONE, KIB(4), MODEL_FROM_WALK);
	send(&rig, VTD_DOMAIN(7), 0);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_WALK);
	drop_rig(&rig);
}

static void tag_reused_with_entries_behind_it_is_stale(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_SMMUV3 });
	struct model_dev *next = model_dev_create(rig.iommu, RID + 1, false);
	struct model_pt *other = model_pt_create(4);
	struct model_context context = { .mode = MODEL_S1, .tag = 9, .s1 = rig.pt };

	(void)state;
	map(rig.pt, 0, GIB(1), KIB(4));
	map(other, 0, GIB(2), KIB(4));
	model_dev_set_context(rig.dev, NONE, &context);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	model_dev_destroy(rig.dev);
	/* Nobody has the tag: nothing can be reached. */
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	context.s1 = other;
	model_dev_set_context(next, NONE, &context);
	assert_int_equal(model_stale_entries(rig.iommu), 2);
	expect_stale(next, NONE, 0, MODEL_FROM_IOTLB);
	send(&rig, SMMU_ASID(0, 9), 0);
	expect_dma(next, NONE, 0, GIB(2), MODEL_FROM_WALK);
	rig.dev = next;
	drop_rig(&rig);
	model_pt_destroy(other);
}

static void pasids_have_entries_of_their_own(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_context context = { .mode = MODEL_S1, .tag = 7, .s1 = rig.pt };

	(void)state;
	assert_int_equal(model_dev_set_ats(rig.dev, true), 0);
	map(rig.pt, 0, GIB(1), KIB(4));
	model_dev_set_context(rig.dev, NONE, &context);
	model_dev_set_context(rig.dev, 1, &context);
	model_dev_set_context(rig.dev, 2, &context);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	expect_dma(rig.dev, 1, 0, GIB(1), MODEL_FROM_WALK);
	expect_dma(rig.dev, 2, 0, GIB(1), MODEL_FROM_WALK);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_IOTLB), 3);
	unmap(rig.pt, 0, KIB(4));
	assert_int_equal(model_stale_entries(rig.iommu), 6);
	send(&rig, VTD_PASID(7, 1), 0);
	send(&rig, VTD_PASID_ATC(RID, 1), 0);
	expect_fault(rig.dev, 1, 0);
	expect_stale(rig.dev, 2, 0, MODEL_FROM_ATC);
	send(&rig, VTD_PASID_ATC(RID, 2), 0);
	expect_stale(rig.dev, 2, 0, MODEL_FROM_IOTLB);
	expect_stale(rig.dev, NONE, 0, MODEL_FROM_ATC);
	/* PASID 0 stands for requests without PASID, but in the ATC. */
	send(&rig, VTD_PASID(7, 0), 0);
	send(&rig, VTD_ATC(RID), 0);
	expect_fault(rig.dev, NONE, 0);
	drop_rig(&rig);
}

static void ats_off_empties_the_atc(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_dev *plain = model_dev_create(rig.iommu, RID + 1, false);

	(void)state;
	assert_int_equal(model_dev_set_ats(plain, true), -ENODEV);
	assert_int_equal(model_dev_set_ats(plain, false), 0);
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, 0, GIB(1), KIB(4));
	assert_int_equal(model_dev_set_ats(rig.dev, true), 0);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_ATC);
	assert_int_equal(model_dev_set_ats(rig.dev, false), 0);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_IOTLB);
	model_dev_destroy(plain);
	drop_rig(&rig);
}

/* VT-d: TT of the context entry; the command is the one for context entries. */
static void refused_ats_goes_by_the_iotlb(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_context context = {
		.mode = MODEL_S2, .tag = 7, .s2 = rig.pt, .no_ats = true,
	};

	(void)state;
	map(rig.pt, 0, GIB(1), KIB(4));
	attach_s2(rig.dev, rig.pt, 7);
	assert_int_equal(model_dev_set_ats(rig.dev, true), 0);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_ATC);

	/* Let through until the IOMMU has read the entry again. */
	model_dev_set_context(rig.dev, NONE, &context);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_ATC);
	send(&rig, VTD_CONTEXT(RID), 0);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_IOTLB);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 1);

	/* It still answers, and what it has is dropped. */
	send(&rig, VTD_ATC(RID), 0);
	assert_int_equal(model_cached(rig.iommu, MODEL_FROM_ATC), 0);
	assert_int_equal(model_faults(rig.iommu, NULL), 0);

	/* A blocked entry refuses all. */
	context.no_ats = false;
	model_dev_set_context(rig.dev, NONE, &context);
	send(&rig, VTD_CONTEXT(RID), 0);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_IOTLB);
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_ATC);
	context.mode = MODEL_BLOCKED;
	model_dev_set_context(rig.dev, NONE, &context);
	send(&rig, VTD_CONTEXT(RID), 0);
	expect_fault(rig.dev, NONE, 0);
	drop_rig(&rig);
}

/*
 * The queue.
 */

static void queue_wraps(void **state)
{
	struct rig rig = make_rig((struct model_config){
		.vendor = MODEL_VTD, .queue_log2 = 3 });
	uint32_t status[20] = { 0 };
	unsigned int i;

	(void)state;
	assert_int_equal(model_queue_entries(rig.iommu), 8);
	for (i = 0; i < 13; i++)
		send(&rig, VTD_WAIT(i + 1), (uintptr_t)&status[i]);
	assert_int_equal(model_head(rig.iommu), 13 % 8);
	/* A full queue at once, over the end. */
	for (; i < 20; i++)
		queue(&rig, VTD_WAIT(i + 1), (uintptr_t)&status[i]);
	model_doorbell(rig.iommu, rig.tail);
	assert_int_equal(model_head(rig.iommu), 20 % 8);
	assert_int_equal(model_count(rig.iommu, MODEL_SYNC), 20);
	for (i = 0; i < 20; i++)
		assert_int_equal(status[i], i + 1);
	drop_rig(&rig);
}

static void malformed_command_stops_the_queue_until_cleared(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_fault_record fault;
	uint32_t status[3] = { 0 };

	(void)state;
	queue(&rig, VTD_WAIT(1), (uintptr_t)&status[0]);
	queue(&rig, 0xf, 0x123);			/* type 15: none */
	queue(&rig, VTD_WAIT(1), (uintptr_t)&status[1]);
	queue(&rig, VTD_PAGE(7) | UINT64_C(1) << 40, 0);/* reserved bit */
	queue(&rig, VTD_WAIT(1), (uintptr_t)&status[2]);
	model_doorbell(rig.iommu, rig.tail);
	assert_int_equal(status[0], 1);
	assert_int_equal(model_head(rig.iommu), 1);
	assert_int_equal(model_faults(rig.iommu, &fault), 1);
	assert_int_equal(fault.fault, MODEL_BAD_OPCODE);
	assert_int_equal(fault.cmd[0], 0xf);
	assert_int_equal(fault.cmd[1], 0x123);
	assert_non_null(fault.reason);
	/* More doorbells do not help. */
	model_doorbell(rig.iommu, rig.tail);
	assert_int_equal(model_head(rig.iommu), 1);

	model_fault_clear(rig.iommu);
	assert_int_equal(status[1], 1);
	assert_int_equal(model_head(rig.iommu), 3);
	assert_int_equal(model_faults(rig.iommu, &fault), 2);
	assert_int_equal(fault.fault, MODEL_BAD_FIELD);
	assert_int_equal(status[2], 0);
	model_fault_clear(rig.iommu);
	assert_int_equal(status[2], 1);
	assert_int_equal(model_head(rig.iommu), 5);
	/* Nothing to skip: a command that is fine is not lost. */
	model_fault_clear(rig.iommu);
	assert_int_equal(model_head(rig.iommu), 5);
	assert_int_equal(model_count(rig.iommu, MODEL_IOTLB), 0);
	drop_rig(&rig);
}

static void atc_command_to_nobody_times_out_and_the_queue_goes_on(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	struct model_fault_record fault;
	uint32_t status = 0;

	(void)state;
	queue(&rig, VTD_ATC(RID), 0);			/* ATS is off */
	queue(&rig, VTD_ATC(RID + 1), 0);		/* no such device */
	queue(&rig, VTD_WAIT(1), (uintptr_t)&status);
	model_doorbell(rig.iommu, rig.tail);
	assert_int_equal(status, 1);
	assert_int_equal(model_faults(rig.iommu, &fault), 2);
	assert_int_equal(fault.fault, MODEL_ATC_TIMEOUT);
	assert_int_equal(fault.cmd[0], VTD_ATC(RID + 1));

	assert_int_equal(model_dev_set_ats(rig.dev, true), 0);
	send(&rig, VTD_ATC(RID), 0);
	assert_int_equal(model_faults(rig.iommu, NULL), 2);
	model_dev_destroy(rig.dev);			/* unplugged */
	send(&rig, VTD_ATC(RID), 0);
	assert_int_equal(model_faults(rig.iommu, NULL), 3);
	rig.dev = NULL;
	drop_rig(&rig);
}

struct journal {
	struct rig *rig;
	unsigned int n;
	enum model_class class[64];
	pthread_t thread;
};

static void note(struct model_iommu *iommu, enum model_class class,
		 const uint64_t *cmd, void *arg)
{
	struct journal *journal = arg;

	(void)cmd;
	assert_ptr_equal(iommu, journal->rig->iommu);
	journal->class[journal->n++ % 64] = class;
	journal->thread = pthread_self();
}

static void wait_for(const uint32_t *status, uint32_t value)
{
	while (__atomic_load_n(status, __ATOMIC_ACQUIRE) != value)
		sched_yield();
}

static void paused_queue_executes_its_backlog_in_order(void **state)
{
	int threaded;

	(void)state;
	for (threaded = 0; threaded <= 1; threaded++) {
		struct rig rig = make_rig((struct model_config){
			.vendor = MODEL_VTD, .threaded = threaded });
		struct journal journal = { .rig = &rig };
		uint32_t status = 0;

		model_set_log(rig.iommu, note, &journal);
		model_pause(rig.iommu, true);
		send(&rig, VTD_PAGE(7), 0);
		send(&rig, VTD_CONTEXT(RID), 0);
		send(&rig, VTD_WAIT(1), (uintptr_t)&status);
		assert_int_equal(model_head(rig.iommu), 0);
		assert_int_equal(journal.n, 0);
		model_pause(rig.iommu, false);
		wait_for(&status, 1);
		assert_int_equal(journal.n, 3);
		assert_int_equal(journal.class[0], MODEL_IOTLB);
		assert_int_equal(journal.class[1], MODEL_CONFIG);
		assert_int_equal(journal.class[2], MODEL_SYNC);
		assert_int_equal(!pthread_equal(journal.thread, pthread_self()),
				 threaded);
		drop_rig(&rig);
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void each_command_takes_the_latency(void **state)
{
	static const unsigned int latency_ns[] = { 20000, 200000 };
	unsigned int i, j;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct rig rig = make_rig((struct model_config){
			.vendor = MODEL_VTD, .threaded = i / 2,
			.latency_ns = latency_ns[i % 2] });
		uint64_t start = now_ns();
		uint32_t status = 0;

		for (j = 0; j < 9; j++)
			queue(&rig, VTD_PAGE(7), 0);
		send(&rig, VTD_WAIT(1), (uintptr_t)&status);
		wait_for(&status, 1);
		assert_true(now_ns() - start >= 10 * (uint64_t)latency_ns[i % 2]);
		model_set_latency(rig.iommu, 0);
		send(&rig, VTD_WAIT(2), (uintptr_t)&status);
		wait_for(&status, 2);
		drop_rig(&rig);
	}
}

/* Everything that the header allows, from inside of a command. */
static void meddle(struct model_iommu *iommu, enum model_class class,
		   const uint64_t *cmd, void *arg)
{
	struct rig *rig = arg;
	char text[80];

	assert_int_equal(model_classify(MODEL_VTD, cmd), class);
	model_decode(MODEL_VTD, cmd, text, sizeof(text));
	assert_true(strlen(text) > 0);
	if (class == MODEL_IOTLB) {
		/* The command has not taken effect yet. */
		expect_stale(rig->dev, NONE, 0, MODEL_FROM_IOTLB);
		model_withhold(iommu, MODEL_CONFIG, 1);
	} else {
		expect_fault(rig->dev, NONE, 0);
		model_pause(iommu, true);
	}
	model_fault_clear(iommu);
	assert_int_equal(model_faults(iommu, NULL), 0);
}

static void log_callback_may_call_back(void **state)
{
	struct rig rig = make_rig((struct model_config){ .vendor = MODEL_VTD });
	uint32_t status[2] = { 0 };

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, 0, GIB(1), KIB(4));
	expect_dma(rig.dev, NONE, 0, GIB(1), MODEL_FROM_WALK);
	unmap(rig.pt, 0, KIB(4));
	model_set_log(rig.iommu, meddle, &rig);
	queue(&rig, VTD_PAGE(7), 0);
	queue(&rig, VTD_CONTEXT(RID), 0);
	queue(&rig, VTD_WAIT(1), (uintptr_t)&status[0]);
	queue(&rig, VTD_WAIT(1), (uintptr_t)&status[1]);
	model_doorbell(rig.iommu, rig.tail);
	/* The callback of the first wait paused the queue behind it. */
	assert_int_equal(status[0], 1);
	assert_int_equal(status[1], 0);
	assert_int_equal(model_count(rig.iommu, MODEL_CONFIG), 0);
	model_set_log(rig.iommu, NULL, NULL);
	model_pause(rig.iommu, false);
	assert_int_equal(status[1], 1);
	drop_rig(&rig);
}

/* A driver on several CPUs: its lock covers the slot and the doorbell. */
struct cpu {
	struct rig *rig;
	pthread_mutex_t *lock;
	unsigned int turns;
	bool stop;
};

/* Would be a second consumer beside that of the doorbell. */
static void *restart(void *arg)
{
	struct cpu *cpu = arg;

	while (!__atomic_load_n(&cpu->stop, __ATOMIC_RELAXED)) {
		model_pause(cpu->rig->iommu, false);
		sched_yield();
	}
	return NULL;
}

static void *ring(void *arg)
{
	struct cpu *cpu = arg;
	unsigned int i;

	for (i = 0; i < cpu->turns; i++) {
		struct rig *rig = cpu->rig;
		uint32_t status = 0;

		pthread_mutex_lock(cpu->lock);
		/* One entry stays free. */
		while ((rig->tail + 1) % model_queue_entries(rig->iommu) ==
		       model_head(rig->iommu))
			sched_yield();
		send(rig, VTD_WAIT(1), (uintptr_t)&status);
		pthread_mutex_unlock(cpu->lock);
		wait_for(&status, 1);
	}
	return NULL;
}

static void several_cpus_ring_one_doorbell(void **state)
{
	enum { CPUS = 3, TURNS = 400 };
	int threaded;

	(void)state;
	for (threaded = 0; threaded <= 1; threaded++) {
		struct rig rig = make_rig((struct model_config){
			.vendor = MODEL_VTD, .queue_log2 = 3,
			.threaded = threaded, .latency_ns = 1000 });
		pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
		struct cpu cpu = { &rig, &lock, TURNS, false };
		pthread_t threads[CPUS], restarter;
		unsigned int i;

		assert_int_equal(pthread_create(&restarter, NULL, restart, &cpu), 0);
		for (i = 0; i < CPUS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, ring,
							&cpu), 0);
		for (i = 0; i < CPUS; i++)
			pthread_join(threads[i], NULL);
		__atomic_store_n(&cpu.stop, true, __ATOMIC_RELAXED);
		pthread_join(restarter, NULL);
		assert_int_equal(model_count(rig.iommu, MODEL_SYNC), CPUS * TURNS);
		drop_rig(&rig);
	}
}

struct dma_thread {
	struct model_dev *dev;
	bool stop;
	unsigned long stale;
	unsigned long done;
};

static void *dma_loop(void *arg)
{
	struct dma_thread *dma = arg;
	unsigned long i;

	for (i = 0; !__atomic_load_n(&dma->stop, __ATOMIC_RELAXED) || i < 1000; i++) {
		uint64_t iova = i % 64 * KIB(4) + i % KIB(4);
		struct model_access access;

		if (!model_dma(dma->dev, NONE, iova, true, &access))
			dma->stale++;
		else if (!access.fault && access.paddr == GIB(4) + iova)
			dma->done++;
	}
	dma->done = dma->done == i;
	return NULL;
}

/* DMA at addresses that stay mapped, while others come and go beside them. */
static void dma_beside_map_and_unmap_is_never_stale(void **state)
{
	struct rig rig = make_rig((struct model_config){
		.vendor = MODEL_VTD, .threaded = true });
	struct dma_thread dma = { .dev = rig.dev };
	uint32_t status = 0;
	pthread_t thread;
	unsigned int i;

	(void)state;
	attach_s2(rig.dev, rig.pt, 7);
	map(rig.pt, 0, GIB(4), KIB(4) * 64);
	assert_int_equal(pthread_create(&thread, NULL, dma_loop, &dma), 0);
	for (i = 0; i < 300; i++) {
		struct model_unmapped un = { 0 };
		uint64_t iova = MIB(2) + i % 3 * MIB(2);

		map(rig.pt, iova, GIB(1), MIB(1));
		expect_dma(rig.dev, NONE, iova, GIB(1), MODEL_FROM_WALK);
		assert_int_equal(model_pt_unmap(rig.pt, iova, MIB(2), &un), 0);
		send(&rig, VTD_PAGE(7), iova | 9);
		send(&rig, VTD_WAIT(i + 1), (uintptr_t)&status);
		wait_for(&status, i + 1);
		model_pt_free_tables(&un);
		expect_fault(rig.dev, NONE, iova);
	}
	__atomic_store_n(&dma.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(dma.stale, 0);
	assert_true(dma.done);
	assert_int_equal(model_stale_entries(rig.iommu), 0);
	drop_rig(&rig);
}

static void bad_configurations_are_refused(void **state)
{
	struct model_iommu *iommu;
	struct model_dev *dev;

	(void)state;
	assert_null(model_iommu_create(&(struct model_config){ .queue_log2 = 2 }));
	assert_null(model_iommu_create(&(struct model_config){ .queue_log2 = 16 }));
	assert_null(model_iommu_create(&(struct model_config){
		.vendor = MODEL_VENDORS }));
	iommu = model_iommu_create(&(struct model_config){ .queue_log2 = 15 });
	assert_non_null(iommu);
	assert_int_equal(model_queue_entries(iommu), 32768);
	dev = model_dev_create(iommu, RID, false);
	assert_int_equal(model_dev_rid(dev), RID);
	assert_ptr_equal(model_dev_iommu(dev), iommu);
	assert_null(model_dev_create(iommu, RID, false));
	model_dev_destroy(dev);
	model_iommu_destroy(iommu);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_uses_the_largest_leaves),
		cmocka_unit_test(leaves_are_no_larger_than_the_alignment_of_both_addresses),
		cmocka_unit_test(last_page_of_the_address_space),
		cmocka_unit_test(map_over_a_mapping_changes_nothing),
		cmocka_unit_test(map_refuses_unaligned_and_wrapping_ranges),
		cmocka_unit_test(unmap_of_a_part_of_a_large_leaf_changes_nothing),
		cmocka_unit_test(unmap_cuts_off_tables_that_are_covered),
		cmocka_unit_test(map_and_unmap_match_a_flat_array),
		cmocka_unit_test(iotlb_and_walk_cache_fill_on_a_miss),
		cmocka_unit_test(large_leaf_is_one_entry),
		cmocka_unit_test(nested_entry_has_the_smaller_leaf_of_both_stages),
		cmocka_unit_test(write_through_a_read_only_leaf_is_a_fault),
		cmocka_unit_test(nested_write_needs_both_stages),
		cmocka_unit_test(full_cache_evicts_and_stays_right),
		cmocka_unit_test(blocked_device_and_unknown_pasid_fault),
		cmocka_unit_test(withheld_iotlb_command_is_stale),
		cmocka_unit_test(large_entry_is_stale_if_one_of_its_pages_is),
		cmocka_unit_test(withheld_atc_command_is_stale),
		cmocka_unit_test(atc_command_ahead_of_the_iotlb_one_is_stale),
		cmocka_unit_test(leaf_only_command_after_a_freed_table_is_stale),
		cmocka_unit_test(nested_entries_survive_a_flush_of_the_parent_tag),
		cmocka_unit_test(s2_part_of_a_nest_survives_a_flush_of_its_pasid),
		cmocka_unit_test(nested_entries_survive_a_flush_by_ipa),
		cmocka_unit_test(cached_absent_translation_is_stale_once_mapped),
		cmocka_unit_test(cached_context_entry_is_stale_until_its_command),
		cmocka_unit_test(context_command_leaves_entries_of_other_pasids),
		cmocka_unit_test(cached_absent_context_entry_is_stale_once_written),
		cmocka_unit_test(destroyed_page_table_is_reported_and_does_not_crash),
		cmocka_unit_test(tag_reused_with_entries_behind_it_is_stale),
		cmocka_unit_test(pasids_have_entries_of_their_own),
		cmocka_unit_test(ats_off_empties_the_atc),
		cmocka_unit_test(refused_ats_goes_by_the_iotlb),
		cmocka_unit_test(queue_wraps),
		cmocka_unit_test(malformed_command_stops_the_queue_until_cleared),
		cmocka_unit_test(atc_command_to_nobody_times_out_and_the_queue_goes_on),
		cmocka_unit_test(paused_queue_executes_its_backlog_in_order),
		cmocka_unit_test(each_command_takes_the_latency),
		cmocka_unit_test(log_callback_may_call_back),
		cmocka_unit_test(several_cpus_ring_one_doorbell),
		cmocka_unit_test(dma_beside_map_and_unmap_is_never_stale),
		cmocka_unit_test(bad_configurations_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
