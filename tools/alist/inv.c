// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoding commands a second time, apart from the models: what is compared here
 * is what the specifications say, and not what a model makes of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inv.h"

#define PAGE_BITS	12

static uint64_t bits(uint64_t word, unsigned int hi, unsigned int lo)
{
	return word >> lo & (UINT64_MAX >> (63 - (hi - lo)));
}

static void range_order(struct inv *inv, uint64_t word, unsigned int order)
{
	uint64_t offset = order < 64 - PAGE_BITS ?
				  (UINT64_C(1) << (order + PAGE_BITS)) - 1 :
				  UINT64_MAX;

	inv->first = (word >> PAGE_BITS << PAGE_BITS) & ~offset;
	inv->last = inv->first | offset;
}

/* The lowest zero from bit 12 on is the top bit of the offset. */
static void range_napot(struct inv *inv, uint64_t word)
{
	uint64_t ones = word | ((UINT64_C(1) << PAGE_BITS) - 1);

	inv->first = ones & (ones + 1);
	inv->last = ones | (ones + 1);
}

/* VT-d specification, section 6.5.2. */
static void decode_vtd(struct inv *inv, const uint64_t *w)
{
	unsigned int g = bits(w[0], 5, 4);

	switch (bits(w[0], 11, 9) << 4 | bits(w[0], 3, 0)) {
	case 1:				/* context cache */
		inv->class = MODEL_CONFIG;
		if (g == 3)
			inv->rid = bits(w[0], 47, 32);
		if (g >= 2)
			inv->tag = bits(w[0], 31, 16);
		break;
	case 7:				/* PASID cache */
		inv->class = MODEL_CONFIG;
		inv->tag = bits(w[0], 31, 16);
		break;
	case 2:				/* IOTLB */
		inv->class = MODEL_IOTLB;
		if (g >= 2)
			inv->tag = bits(w[0], 31, 16);
		if (g == 3) {
			range_order(inv, w[1], bits(w[1], 5, 0));
			inv->keeps_walks = bits(w[1], 6, 6);
		}
		break;
	case 6:				/* PASID-based IOTLB */
		inv->class = MODEL_IOTLB;
		inv->by_pasid = true;
		inv->tag = bits(w[0], 31, 16);
		inv->pasid = bits(w[0], 51, 32);
		if (g == 3) {
			range_order(inv, w[1], bits(w[1], 5, 0));
			inv->keeps_walks = bits(w[1], 6, 6);
		}
		break;
	case 3:				/* device TLB */
		inv->class = MODEL_ATC;
		inv->rid = bits(w[0], 47, 32);
		inv->qdep = bits(w[0], 20, 16);
		if (bits(w[1], 0, 0))
			range_napot(inv, w[1]);
		else
			range_order(inv, w[1], 0);
		break;
	case 8:				/* PASID-based device TLB */
		inv->class = MODEL_ATC;
		inv->by_pasid = true;
		inv->rid = bits(w[0], 31, 16);
		inv->qdep = bits(w[0], 8, 4);
		if (!bits(w[1], 0, 0))
			inv->pasid = bits(w[0], 51, 32);
		if (bits(w[1], 11, 11))
			range_napot(inv, w[1]);
		else
			range_order(inv, w[1], 0);
		break;
	case 5:				/* wait */
		inv->class = MODEL_SYNC;
		break;
	}
}

/* AMD I/O Virtualization specification (48882), section 2.4. */
static void decode_amd(struct inv *inv, const uint64_t *w)
{
	switch (bits(w[0], 63, 60)) {
	case 1:				/* COMPLETION_WAIT */
		inv->class = MODEL_SYNC;
		break;
	case 2:				/* INVALIDATE_DEVTAB_ENTRY */
		inv->class = MODEL_CONFIG;
		inv->rid = bits(w[0], 15, 0);
		break;
	case 3:				/* INVALIDATE_IOMMU_PAGES */
		inv->class = MODEL_IOTLB;
		inv->tag = bits(w[0], 47, 32);
		inv->by_pasid = bits(w[1], 2, 2);
		if (inv->by_pasid)
			inv->pasid = bits(w[0], 19, 0);
		inv->keeps_walks = !bits(w[1], 1, 1);
		if (bits(w[1], 0, 0))
			range_napot(inv, w[1]);
		else
			range_order(inv, w[1], 0);
		break;
	case 4:				/* INVALIDATE_IOTLB_PAGES */
		inv->class = MODEL_ATC;
		inv->rid = bits(w[0], 15, 0);
		inv->qdep = bits(w[0], 31, 24);
		inv->by_pasid = bits(w[1], 2, 2);
		if (inv->by_pasid)
			inv->pasid = bits(w[0], 59, 56) << 16 |
				     bits(w[0], 23, 16) << 8 |
				     bits(w[0], 55, 48);
		if (bits(w[1], 0, 0))
			range_napot(inv, w[1]);
		else
			range_order(inv, w[1], 0);
		break;
	case 8:				/* INVALIDATE_IOMMU_ALL */
		inv->class = MODEL_IOTLB;
		break;
	}
}

/* SMMUv3 specification (IHI 0070), sections 4.3 to 4.5. */
static void decode_smmuv3(struct inv *inv, const uint64_t *w)
{
	unsigned int op = bits(w[0], 7, 0);
	unsigned int tg = bits(w[1], 11, 10);
	uint64_t size;

	switch (op) {
	case 0x03:			/* CFGI_STE */
	case 0x05:			/* CFGI_CD */
	case 0x06:			/* CFGI_CD_ALL */
		inv->class = MODEL_CONFIG;
		inv->rid = bits(w[0], 63, 32);
		break;
	case 0x04:			/* CFGI_STE_RANGE */
		inv->class = MODEL_CONFIG;
		break;
	case 0x11:			/* TLBI_NH_ASID */
	case 0x12:			/* TLBI_NH_VA */
	case 0x21:			/* TLBI_EL2_ASID */
	case 0x22:			/* TLBI_EL2_VA */
		inv->tag = bits(w[0], 63, 48);
		/* fall through */
	case 0x10:			/* TLBI_NH_ALL */
	case 0x13:			/* TLBI_NH_VAA */
	case 0x20:			/* TLBI_EL2_ALL */
	case 0x23:			/* TLBI_EL2_VAA */
	case 0x28:			/* TLBI_S12_VMALL */
	case 0x2a:			/* TLBI_S2_IPA */
	case 0x30:			/* TLBI_NSNH_ALL */
		inv->class = MODEL_IOTLB;
		if (op == 0x11 || op == 0x12 || op == 0x28 || op == 0x2a)
			inv->vm_tag = bits(w[0], 47, 32);
		if (op != 0x12 && op != 0x13 && op != 0x22 && op != 0x23 && op != 0x2a)
			break;
		inv->keeps_walks = bits(w[1], 0, 0);
		inv->first = w[1] >> PAGE_BITS << PAGE_BITS;
		/* No TG: the page of whatever size that holds the address. */
		size = UINT64_C(1) << PAGE_BITS;
		if (tg)
			size = (bits(w[0], 16, 12) + 1) << bits(w[0], 24, 20) <<
			       (tg == 1 ? 12 : tg == 2 ? 14 : 16);
		inv->last = inv->first + size - 1;
		if (inv->last < inv->first)
			inv->last = UINT64_MAX;
		break;
	case 0x40:			/* ATC_INV */
		inv->class = MODEL_ATC;
		inv->rid = bits(w[0], 63, 32);
		if (bits(w[0], 11, 11) && !bits(w[0], 9, 9))
			inv->pasid = bits(w[0], 31, 12);
		range_order(inv, w[1], bits(w[1], 5, 0));
		break;
	case 0x46:			/* SYNC */
		inv->class = MODEL_SYNC;
		break;
	}
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

	switch (vendor) {
	case MODEL_VTD:
		decode_vtd(&inv, words);
		break;
	case MODEL_AMD:
		decode_amd(&inv, words);
		break;
	default:
		decode_smmuv3(&inv, words);
		break;
	}
	return inv;
}

void burst_clear(struct burst *burst)
{
	burst->nr = 0;
	burst->row = 0;
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

void burst_sync(struct burst *burst, unsigned int iommu)
{
	uint64_t bit = UINT64_C(1) << iommu % 64;
	size_t i;

	if (!(burst->unsynced[iommu / 64] & bit))
		return;
	burst->unsynced[iommu / 64] &= ~bit;
	for (i = burst->nr; i; i--) {
		if (burst->cmds[i - 1].iommu == iommu) {
			burst->cmds[i - 1].waits++;
			return;
		}
	}
}

/* The kernel submits at most 16 descriptors in one piece. */
#define ROW_MAX	16

int burst_add_row(struct burst *burst, const struct command *cmd)
{
	int ret = burst_add(burst, cmd);

	if (ret)
		return ret;
	if (burst->row == ROW_MAX || burst->row_iommu != cmd->iommu)
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

struct burst_count burst_count(const struct burst *burst)
{
	struct burst_count count = { 0 };
	size_t i;

	for (i = 0; i < burst->nr; i++) {
		if (burst->cmds[i].inv.class == MODEL_IOTLB)
			count.iotlb += burst->cmds[i].n;
		else
			count.atc += burst->cmds[i].n;
		count.sync += burst->cmds[i].waits;
	}
	return count;
}
