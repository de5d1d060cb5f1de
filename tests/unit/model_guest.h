/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An IOMMU of the models with a guest's memory, which is an array, and a device: what the tests
 * of all vendors have in common. What tables and commands look like is theirs.
 */
#ifndef TESTS_UNIT_MODEL_GUEST_H
#define TESTS_UNIT_MODEL_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "model.h"

#define NONE		MODEL_NO_PASID
#define PAGE		MODEL_PAGE_SIZE
#define BIT(n)		(UINT64_C(1) << (n))
#define SIZE		(UINT64_C(4) << 20)
#define OFFSET		0x18	/* of each access in its page */

struct rig {
	enum model_vendor vendor;
	struct model_memory memory;
	struct model_iommu *iommu;
	struct model_dev *dev;
};

static inline uint64_t *word(struct rig *rig, uint64_t addr)
{
	assert_true(addr >= rig->memory.start && addr - rig->memory.start < SIZE);
	return (uint64_t *)(rig->memory.base + (addr - rig->memory.start));
}

static inline void put(struct rig *rig, uint64_t addr, uint64_t value)
{
	*word(rig, addr) = value;
}

/* @first: the memory's first address. */
static inline void rig_start(struct rig *rig, enum model_vendor vendor, uint64_t first,
			     uint32_t rid)
{
	struct model_config config = { .vendor = vendor, .memory = &rig->memory };

	rig->vendor = vendor;
	rig->memory = (struct model_memory){ calloc(1, SIZE), SIZE, first };
	assert_non_null(rig->memory.base);
	rig->iommu = model_iommu_create(&config);
	assert_non_null(rig->iommu);
	rig->dev = model_dev_create(rig->iommu, rid, true);
	assert_non_null(rig->dev);
}

static inline void stop(struct rig *rig)
{
	assert_int_equal(model_faults(rig->iommu, NULL), 0);
	model_dev_destroy(rig->dev);
	model_iommu_destroy(rig->iommu);
	free(rig->memory.base);
}

static inline void send(struct rig *rig, uint64_t low, uint64_t high)
{
	unsigned int entries = model_queue_entries(rig->iommu), head = model_head(rig->iommu);
	unsigned int n = model_cmd_words(rig->vendor);
	uint64_t cmd[MODEL_CMD_WORDS] = { low, high };

	memcpy(model_queue(rig->iommu) + head * n, cmd, n * sizeof(*cmd));
	model_doorbell(rig->iommu, (head + 1) % entries);
}

static inline struct model_access dma_by(struct model_dev *dev, uint32_t pasid, uint64_t iova,
					 bool write)
{
	struct model_access access;

	model_dma(dev, pasid, iova + OFFSET, write, &access);
	return access;
}

static inline void expect(struct rig *rig, uint32_t pasid, uint64_t iova, uint64_t paddr)
{
	struct model_access access = dma_by(rig->dev, pasid, iova, true);

	assert_false(access.fault);
	assert_false(access.stale);
	assert_int_equal(access.paddr, paddr + OFFSET);
	assert_int_equal(model_stale_entries(rig->iommu), 0);
}

static inline void expect_fault(struct rig *rig, uint32_t pasid, uint64_t iova)
{
	struct model_access access = dma_by(rig->dev, pasid, iova, false);

	assert_true(access.fault);
	assert_false(access.stale);
}

static inline void expect_stale(struct rig *rig, uint32_t pasid, uint64_t iova)
{
	assert_true(dma_by(rig->dev, pasid, iova, false).stale);
	assert_true(model_stale_entries(rig->iommu) > 0);
}

#endif
