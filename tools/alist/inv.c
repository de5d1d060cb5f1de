// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoding commands a second time, apart from the models: what is compared here
 * is what the specifications say, and not what a model makes of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vendor.h"

#define PAGE_BITS	12

void vendor_range_order(struct inv *inv, uint64_t word, unsigned int order)
{
	uint64_t offset = order < 64 - PAGE_BITS ?
				  (UINT64_C(1) << (order + PAGE_BITS)) - 1 :
				  UINT64_MAX;

	inv->first = (word >> PAGE_BITS << PAGE_BITS) & ~offset;
	inv->last = inv->first | offset;
}

void vendor_range_napot(struct inv *inv, uint64_t word)
{
	uint64_t ones = word | ((UINT64_C(1) << PAGE_BITS) - 1);

	inv->first = ones & (ones + 1);
	inv->last = ones | (ones + 1);
}

const struct vendor *vendor_of(enum model_vendor vendor)
{
	static const struct vendor *const vendors[MODEL_VENDORS] = {
		[MODEL_VTD] = &vendor_vtd,
		[MODEL_AMD] = &vendor_amd,
		[MODEL_SMMUV3] = &vendor_smmuv3,
		[MODEL_RISCV] = &vendor_riscv,
	};

	return vendor < MODEL_VENDORS ? vendors[vendor] : NULL;
}

struct inv inv_decode(enum model_vendor vendor, const uint64_t *words)
{
	struct inv inv = {
		.class = MODEL_OTHER,
		.tag = INV_ANY,
		.vm_tag = INV_ANY,
		.pasid = INV_ANY,
		.rid = INV_ANY,
		.last = UINT64_MAX,
	};

	vendor_of(vendor)->decode(&inv, words);
	return inv;
}

void burst_clear(struct burst *burst)
{
	burst->nr = 0;
	burst->row = 0;
	burst->waits = 0;
	memset(burst->unsynced, 0, sizeof(burst->unsynced));
}

void burst_free(struct burst *burst)
{
	free(burst->cmds);
	memset(burst, 0, sizeof(*burst));
}

int burst_add(struct burst *burst, const struct command *cmd)
{
	if (burst->nr == burst->size) {
		size_t size = burst->size ? burst->size * 2 : 16;
		void *cmds = realloc(burst->cmds, size * sizeof(*cmd));

		if (!cmds)
			return -ENOMEM;
		burst->cmds = cmds;
		burst->size = size;
	}
	burst->cmds[burst->nr++] = *cmd;
	burst->unsynced[cmd->iommu / 64] |= UINT64_C(1) << cmd->iommu % 64;
	return 0;
}

bool burst_sync(struct burst *burst, unsigned int iommu)
{
	uint64_t bit = UINT64_C(1) << iommu % 64;
	size_t i;

	if (!(burst->unsynced[iommu / 64] & bit))
		return false;
	burst->unsynced[iommu / 64] &= ~bit;
	for (i = burst->nr; i; i--) {
		if (burst->cmds[i - 1].iommu == iommu) {
			burst->cmds[i - 1].waits++;
			return true;
		}
	}
	return false;
}

/*
 * So many descriptors are submitted in one piece. A driver that has its attachments on a
 * list submits before it adds the one or two of a target that may find no room.
 */
#define ROW_MAX		16
#define ROW_MAX_LIST	10

static bool row_is_full(const struct burst *burst, const struct command *cmd, bool list)
{
	if (!list)
		return burst->row >= ROW_MAX;
	return burst->row >= ROW_MAX_LIST ||
	       (burst->row == ROW_MAX_LIST - 1 &&
		!inv_same_target(&burst->cmds[burst->nr - 1].inv, &cmd->inv));
}

int burst_add_row(struct burst *burst, const struct command *cmd, bool list)
{
	bool full = burst->row && row_is_full(burst, cmd, list);
	int ret = burst_add(burst, cmd);

	if (ret)
		return ret;
	if (full || burst->row_iommu != cmd->iommu)
		burst->row = 0;
	if (!burst->row++)
		burst_sync(burst, cmd->iommu);
	burst->unsynced[cmd->iommu / 64] &= ~(UINT64_C(1) << cmd->iommu % 64);
	burst->row_iommu = cmd->iommu;
	return 0;
}

void burst_end_row(struct burst *burst)
{
	burst->row = 0;
}

bool burst_settled(const struct burst *burst)
{
	size_t i;

	for (i = 0; i < INV_IOMMUS_MAX / 64; i++)
		if (burst->unsynced[i])
			return false;
	return true;
}

int burst_split(struct burst *burst, size_t n, struct burst *to)
{
	size_t i;

	for (i = burst->nr - n; i < burst->nr; i++)
		if (burst_add(to, &burst->cmds[i]))
			return -ENOMEM;
	burst->nr -= n;
	memcpy(to->unsynced, burst->unsynced, sizeof(to->unsynced));
	memset(burst->unsynced, 0, sizeof(burst->unsynced));
	burst->row = 0;
	return 0;
}

void burst_count_command(struct burst_count *to, const struct command *cmd)
{
	switch (cmd->inv.class) {
	case MODEL_IOTLB:
		to->iotlb += cmd->n;
		break;
	case MODEL_ATC:
		to->atc += cmd->n;
		break;
	case MODEL_CONFIG:
		to->config += cmd->n;
		break;
	case MODEL_SYNC:
		break;
	default:
		to->other += cmd->n;
		break;
	}
	to->sync += cmd->waits;
}

struct burst_count burst_count(const struct burst *burst)
{
	struct burst_count count = { .sync = burst->waits };
	size_t i;

	for (i = 0; i < burst->nr; i++)
		burst_count_command(&count, &burst->cmds[i]);
	return count;
}

void burst_count_add(struct burst_count *to, const struct burst_count *count)
{
	to->iotlb += count->iotlb;
	to->atc += count->atc;
	to->sync += count->sync;
	to->config += count->config;
	to->other += count->other;
}

bool burst_count_equal(const struct burst_count *a, const struct burst_count *b)
{
	return a->iotlb == b->iotlb && a->atc == b->atc && a->sync == b->sync &&
	       a->config == b->config && a->other == b->other;
}
