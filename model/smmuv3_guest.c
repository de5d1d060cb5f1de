// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3 as the hardware of a guest: the tables that lead from a transaction to its page
 * tables are read from the guest's memory (IHI 0070, chapter 5), and the commands that have
 * to do with that memory are executed here.
 *
 *   STRTAB_BASE -> stream table, of one level or two (5.1) -> STE (5.2) -> stage 2
 *   STE -> context descriptors, linear or of two levels (5.3) -> CD (5.4) -> stage 1
 *
 * With both stages, CDs and the tables of stage 1 lie at addresses of stage 2. The driver
 * may write an entry meanwhile. Its first word has the valid bit, so an entry whose first
 * word did not change while the others were read is one that the driver wrote, or was about
 * to write word by word.
 *
 * CD 0 serves transactions without SubstreamID, if S1DSS says so. Bypass, of an STE or by
 * S1DSS, is not modelled: it blocks. So do tables whose top level is not a page (T0SZ, SL0),
 * the upper half of addresses (TTB1), other granules than 4 KiB, and split-stage ATS, for
 * which a device goes on without its ATC.
 */
#include "iommu.h"
#include "memory.h"
#include "smmuv3.h"

/* 6.3.24, 6.3.25 */
#define STRTAB_ADDR		CMD_MASK(51, 6)
#define STRTAB_FMT(cfg)		cmd_bits(cfg, 17, 16)
#define STRTAB_TWO_LEVELS	1
#define STRTAB_SPLIT(cfg)	((unsigned int)cmd_bits(cfg, 10, 6))
#define STRTAB_LOG2SIZE(cfg)	((unsigned int)cmd_bits(cfg, 5, 0))

/* 5.1 */
#define L1STD_SPAN(word)	((unsigned int)cmd_bits(word, 4, 0))
#define L1STD_ADDR		CMD_MASK(51, 6)

/* 5.2, word 0: V, Config, S1Fmt, S1ContextPtr, S1CDMax; word 1: S1DSS, EATS */
#define STE_V			CMD_BIT(0)
#define STE_CONFIG(word)	cmd_bits(word, 3, 1)
#define CONFIG_S1		5
#define CONFIG_S2		6
#define CONFIG_NESTED		7
#define STE_S1FMT(word)		cmd_bits(word, 5, 4)
#define S1FMT_LINEAR		0
#define S1FMT_4K		1
#define S1FMT_64K		2
#define STE_S1CONTEXT		CMD_MASK(51, 6)
#define STE_S1CDMAX(word)	((unsigned int)cmd_bits(word, 63, 59))
#define STE_S1DSS(word)		cmd_bits(word, 1, 0)
#define S1DSS_SSID0		2
#define STE_EATS(word)		cmd_bits(word, 29, 28)
#define EATS_FULL		1
/* word 2: S2VMID, S2T0SZ, S2SL0, S2TG; word 3: S2TTB */
#define STE_S2VMID(word)	((uint32_t)cmd_bits(word, 15, 0))
#define STE_S2T0SZ(word)	((unsigned int)cmd_bits(word, 37, 32))
#define STE_S2SL0(word)		((unsigned int)cmd_bits(word, 39, 38))
#define STE_S2TG(word)		cmd_bits(word, 47, 46)

/* 5.3 */
#define L1CD_V			CMD_BIT(0)
#define L1CD_ADDR		CMD_MASK(51, 12)
/* 5.4, word 0: T0SZ, TG0, EPD0, V, AA64, ASID; word 1: TTB0 */
#define CD_T0SZ(word)		((unsigned int)cmd_bits(word, 5, 0))
#define CD_TG0(word)		cmd_bits(word, 7, 6)
#define CD_EPD0			CMD_BIT(14)
#define CD_V			CMD_BIT(31)
#define CD_AA64			CMD_BIT(41)
#define CD_ASID(word)		((uint32_t)cmd_bits(word, 63, 48))

#define ENTRY_SIZE		64	/* of an STE, and of a CD */
#define TG_4K			0

/* The levels that translate 64 - @t0sz bits, 0 where the top one would not be a page. */
static unsigned int levels_of(unsigned int t0sz)
{
	unsigned int bits = 64 - t0sz - MODEL_PAGE_SHIFT;

	if (t0sz < 16 || t0sz > 39 || bits % PT_LEVEL_SHIFT)
		return 0;
	return bits / PT_LEVEL_SHIFT;
}

static bool find_ste(const struct model_iommu *iommu, uint32_t sid, uint64_t *at)
{
	uint64_t base = iommu->regs.smmu.strtab_base & STRTAB_ADDR, l1;
	uint32_t cfg = iommu->regs.smmu.strtab_cfg;
	unsigned int split = STRTAB_SPLIT(cfg), span;

	if (STRTAB_LOG2SIZE(cfg) < 32 && sid >> STRTAB_LOG2SIZE(cfg))
		return false;
	if (STRTAB_FMT(cfg) != STRTAB_TWO_LEVELS) {
		*at = base + (uint64_t)sid * ENTRY_SIZE;
		return true;
	}
	l1 = memory_load(iommu->memory, base + (uint64_t)(sid >> split) * sizeof(l1));
	span = L1STD_SPAN(l1);
	sid &= (1U << split) - 1;
	*at = (l1 & L1STD_ADDR) + (uint64_t)sid * ENTRY_SIZE;
	return span && !(sid >> (span - 1));
}

static struct hw_dir read_dir(const struct model_iommu *iommu, uint32_t rid)
{
	struct hw_dir dir = { .present = false };
	unsigned int i;
	uint64_t at;

	if (!find_ste(iommu, rid, &at))
		return dir;
	do {
		for (i = 0; i < 4; i++)
			dir.word[i] = memory_load(iommu->memory, at + i * 8);
	} while (memory_load(iommu->memory, at) != dir.word[0]);
	dir.present = dir.word[0] & STE_V;
	return dir.present ? dir : (struct hw_dir){ .present = false };
}

static struct pt_root second_stage(const struct model_iommu *iommu, const struct hw_dir *dir)
{
	unsigned int levels = levels_of(STE_S2T0SZ(dir->word[2]));

	/* SL0 counts from level 2 upwards. */
	if (STE_S2TG(dir->word[2]) != TG_4K || levels != STE_S2SL0(dir->word[2]) + 2)
		levels = 0;
	return pt_guest_root(PT_ARM_SECOND, iommu->memory, dir->word[3], levels, NULL);
}

/* A word of the tables of CDs. Return: 0 where stage 2, if there is one, has no such page. */
static uint64_t load_word(const struct model_iommu *iommu, const struct pt_root *s2, uint64_t at)
{
	if (s2) {
		struct pt_walk walk = pt_walk(s2, at);

		if (!walk.present)
			return 0;
		at = walk.paddr;
	}
	return memory_load(iommu->memory, at);
}

/* Return: false where there is none that is valid. */
static bool read_cd(const struct model_iommu *iommu, const struct hw_dir *dir,
		    const struct pt_root *s2, uint32_t index, uint64_t *word)
{
	uint64_t at = dir->word[0] & STE_S1CONTEXT, l1;
	unsigned int fmt = (unsigned int)STE_S1FMT(dir->word[0]), leaf;

	if (fmt == S1FMT_4K || fmt == S1FMT_64K) {
		leaf = fmt == S1FMT_4K ? 6 : 10;
		l1 = load_word(iommu, s2, at + (uint64_t)(index >> leaf) * sizeof(l1));
		if (!(l1 & L1CD_V))
			return false;
		at = l1 & L1CD_ADDR;
		index &= (1U << leaf) - 1;
	} else if (fmt != S1FMT_LINEAR) {
		return false;
	}
	at += (uint64_t)index * ENTRY_SIZE;
	do {
		word[0] = load_word(iommu, s2, at);
		word[1] = load_word(iommu, s2, at + 8);
	} while (load_word(iommu, s2, at) != word[0]);
	return word[0] & CD_V && word[0] & CD_AA64 && !(word[0] & CD_EPD0) &&
	       CD_TG0(word[0]) == TG_4K;
}

/* The CD of a transaction. Return: false where it has none. */
static bool cd_index(const struct hw_dir *dir, uint32_t pasid, uint32_t *index)
{
	unsigned int max = STE_S1CDMAX(dir->word[0]);
	bool ssid0 = STE_S1DSS(dir->word[1]) == S1DSS_SSID0;

	*index = pasid == MODEL_NO_PASID ? 0 : pasid;
	if (pasid == MODEL_NO_PASID)
		return !max || ssid0;
	return max && !(pasid >> max) && (pasid || !ssid0);
}

static struct hw_context read_context(const struct model_iommu *iommu,
				      const struct hw_dir *dir, uint32_t pasid)
{
	struct hw_context hw = { .mode = MODEL_BLOCKED };
	uint64_t config = STE_CONFIG(dir->word[0]), cd[2];
	bool nested = config == CONFIG_NESTED;
	uint32_t index;

	if (!dir->present || config < CONFIG_S1)
		return hw;
	if (config == CONFIG_S2) {
		if (pasid != MODEL_NO_PASID)
			return hw;
		hw.mode = MODEL_S2;
		hw.s2 = second_stage(iommu, dir);
	} else {
		if (nested)
			hw.s2 = second_stage(iommu, dir);
		if ((nested && !hw.s2.levels) || !cd_index(dir, pasid, &index) ||
		    !read_cd(iommu, dir, nested ? &hw.s2 : NULL, index, cd))
			return (struct hw_context){ .mode = MODEL_BLOCKED };
		hw.mode = nested ? MODEL_NESTED : MODEL_S1;
		hw.tag = CD_ASID(cd[0]);
		hw.s1 = pt_guest_root(PT_ARM_FIRST, iommu->memory, cd[1],
				      levels_of(CD_T0SZ(cd[0])), nested ? &hw.s2 : NULL);
	}
	hw.vm_tag = STE_S2VMID(dir->word[2]);
	hw.no_ats = STE_EATS(dir->word[1]) != EATS_FULL;
	return hw;
}

static void exec(struct model_iommu *iommu, const uint64_t *cmd)
{
	switch (cmd[0] & SMMU_OPCODE) {
	case SMMU_CFGI_STE:
		model_inv_dir(iommu, false, smmu_sid(cmd));
		break;
	case SMMU_CFGI_STE_RANGE:
		model_inv_dir(iommu, true, 0);
		break;
	case SMMU_SYNC:
		if (smmu_sends_msi(cmd))
			memory_store32(iommu->memory, cmd[1] & SMMU_MSI_ADDR,
				       (uint32_t)(cmd[0] >> 32));
		return;
	}
	model_smmuv3.exec(iommu, cmd);
}

const struct model_guest_ops model_smmuv3_guest = {
	.exec = exec,
	.read_dir = read_dir,
	.read_context = read_context,
};
