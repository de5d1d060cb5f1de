// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VT-d as the hardware of a guest: the tables that lead from a request to its page
 * tables are read from the guest's memory (D51397, section numbers of revision 5.10), and
 * the two descriptors that have to do with that memory are executed here.
 *
 *   legacy mode     root table (9.1) -> context table (9.3) -> second stage
 *   scalable mode   root table (9.2) -> context table, one half of the devices each (9.4)
 *                   -> PASID directory (9.5) -> PASID table (9.6) -> first and second stage
 *
 * A PASID entry has 512 bits, and the driver may write it meanwhile. It sets Present
 * last and clears it first, so an entry whose first word did not change while the others
 * were read is one that the driver wrote.
 *
 * With SSADE, the D bit of a second stage's leaf is set by the first write that goes by a
 * translation, and by a translation request that gives a device the right to write; what
 * is cached after that does not set it again (3.7.2). A bits of leaves are set with it, and
 * not otherwise.
 *
 * Pass-through (9.3 TT 2, 9.6 PGTT 4) is not modelled: it blocks.
 */
#include "iommu.h"
#include "memory.h"
#include "vtd.h"

#define ADDR		CMD_MASK(51, 12)
#define PRESENT		CMD_BIT(0)

/* RTADDR_REG.TTM, 11.4.5 */
#define TTM(root)	cmd_bits(root, 11, 10)
#define TTM_LEGACY	0
#define TTM_SCALABLE	1

/* 9.3, word 0: TT; word 1: AW, DID */
#define CONTEXT_TT(word)	cmd_bits(word, 3, 2)
#define TT_WITHOUT_ATS		0
#define TT_WITH_ATS		1
#define CONTEXT_AW(word)	((unsigned int)cmd_bits(word, 2, 0))
#define CONTEXT_DID(word)	((uint32_t)cmd_bits(word, 23, 8))

/* 9.4, word 0: DTE, PDTS; word 1: RID_PASID */
#define CONTEXT_DTE		CMD_BIT(2)
#define CONTEXT_PDTS(word)	((unsigned int)cmd_bits(word, 11, 9))
#define CONTEXT_RID_PASID(word)	((uint32_t)cmd_bits(word, 19, 0))

/* 9.6, word 0: PGTT, AW of the second stage; word 1: DID; word 2: FSPM */
#define PASID_PGTT(word)	cmd_bits(word, 8, 6)
#define PGTT_FIRST		1
#define PGTT_SECOND		2
#define PGTT_NESTED		3
#define PASID_SSADE		CMD_BIT(9)	/* accessed and dirty bits of the second stage */
#define PASID_AW(word)		((unsigned int)cmd_bits(word, 4, 2))
#define PASID_DID(word)		((uint32_t)cmd_bits(word, 15, 0))
#define PASID_FSPM(word)	cmd_bits(word, 3, 2)
#define FSPM_5_LEVELS		1

#define PASIDS_OF_TABLE_LOG2	6
#define WORDS_READ		3	/* of the eight */

/* AW is 1 for three levels, 2 for four, 3 for five. */
static struct pt_root second_stage(const struct model_iommu *iommu, uint64_t top,
				   unsigned int aw)
{
	return pt_guest_root(PT_VTD_SECOND, iommu->memory, top, aw + 2, NULL);
}

static struct hw_dir read_dir(const struct model_iommu *iommu, uint32_t rid)
{
	bool legacy = TTM(iommu->root) == TTM_LEGACY;
	uint64_t at = (iommu->root & ADDR) + (rid >> 8) * 16;
	struct hw_dir dir = { .legacy = legacy };
	uint64_t root;

	if (!legacy && TTM(iommu->root) != TTM_SCALABLE)
		return (struct hw_dir){ .present = false };
	root = memory_load(iommu->memory, at + (!legacy && (rid & 0x80) ? 8 : 0));
	if (!(root & PRESENT))
		return (struct hw_dir){ .present = false };
	at = (root & ADDR) + (legacy ? (rid & 0xff) * 16 : (rid & 0x7f) * 32);
	dir.word[1] = memory_load(iommu->memory, at + 8);
	dir.word[0] = memory_load(iommu->memory, at);
	dir.present = dir.word[0] & PRESENT;
	return dir.present ? dir : (struct hw_dir){ .present = false };
}

static struct hw_context read_legacy(const struct model_iommu *iommu,
				     const struct hw_dir *dir, uint32_t pasid)
{
	uint64_t tt = CONTEXT_TT(dir->word[0]);

	if (pasid != MODEL_NO_PASID || tt > TT_WITH_ATS)
		return (struct hw_context){ .mode = MODEL_BLOCKED };
	return (struct hw_context){
		.mode = MODEL_S2,
		.tag = CONTEXT_DID(dir->word[1]),
		.no_ats = tt == TT_WITHOUT_ATS,
		.s2 = second_stage(iommu, dir->word[0], CONTEXT_AW(dir->word[1])),
	};
}

static bool read_entry(const struct model_iommu *iommu, const struct hw_dir *dir,
		       uint32_t pasid, uint64_t *word)
{
	uint64_t at;
	unsigned int i;

	if (pasid >> PASIDS_OF_TABLE_LOG2 >> (CONTEXT_PDTS(dir->word[0]) + 7))
		return false;
	at = memory_load(iommu->memory, (dir->word[0] & ADDR) +
			 (pasid >> PASIDS_OF_TABLE_LOG2) * 8);
	if (!(at & PRESENT))
		return false;
	at = (at & ADDR) + pasid % (1U << PASIDS_OF_TABLE_LOG2) * 64;
	do {
		for (i = 0; i < WORDS_READ; i++)
			word[i] = memory_load(iommu->memory, at + i * 8);
	} while (memory_load(iommu->memory, at) != word[0]);
	return word[0] & PRESENT;
}

static struct hw_context read_context(const struct model_iommu *iommu,
				      const struct hw_dir *dir, uint32_t pasid)
{
	struct hw_context hw = { .mode = MODEL_BLOCKED };
	uint64_t word[WORDS_READ];
	unsigned int levels;

	if (!dir->present)
		return hw;
	if (dir->legacy)
		return read_legacy(iommu, dir, pasid);
	if (pasid == MODEL_NO_PASID)
		pasid = CONTEXT_RID_PASID(dir->word[1]);
	if (!read_entry(iommu, dir, pasid, word))
		return hw;

	levels = PASID_FSPM(word[2]) == FSPM_5_LEVELS ? 5 : 4;
	switch (PASID_PGTT(word[0])) {
	case PGTT_FIRST:
		hw.mode = MODEL_S1;
		hw.s1 = pt_guest_root(PT_VTD_FIRST, iommu->memory, word[2], levels, NULL);
		break;
	case PGTT_SECOND:
		hw.mode = MODEL_S2;
		hw.s2 = second_stage(iommu, word[0], PASID_AW(word[0]));
		break;
	case PGTT_NESTED:
		hw.mode = MODEL_NESTED;
		hw.s2 = second_stage(iommu, word[0], PASID_AW(word[0]));
		hw.s1 = pt_guest_root(PT_VTD_FIRST, iommu->memory, word[2], levels, &hw.s2);
		break;
	default:
		return hw;
	}
	hw.tag = PASID_DID(word[1]);
	hw.no_ats = !(dir->word[0] & CONTEXT_DTE);
	hw.marks_dirty = hw.mode != MODEL_S1 && word[0] & PASID_SSADE;
	return hw;
}

static void exec_context(struct model_iommu *iommu, const uint64_t *cmd)
{
	/* Domain-selective is wider than asked for, which is allowed: entries of any DID. */
	if (vtd_granularity(cmd) != VTD_NARROW) {
		model_inv_dir(iommu, true, 0);
		return;
	}
	for (uint32_t fn = 0; fn < 8; fn++) {
		if (vtd_names_function(cmd, fn))
			model_inv_dir(iommu, false, vtd_context_sid(cmd, fn));
	}
}

static void exec(struct model_iommu *iommu, const uint64_t *cmd)
{
	switch (vtd_type(cmd)) {
	case VTD_CC:
		exec_context(iommu, cmd);
		break;
	case VTD_WAIT:
		if (cmd[0] & VTD_WAIT_SW)
			memory_store32(iommu->memory, cmd[1], (uint32_t)(cmd[0] >> 32));
		break;
	default:
		model_vtd.exec(iommu, cmd);
	}
}

const struct model_guest_ops model_vtd_guest = {
	.rid_is_pasid_0 = true,
	.exec = exec,
	.read_dir = read_dir,
	.read_context = read_context,
};
