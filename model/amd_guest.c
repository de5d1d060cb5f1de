// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-Vi as the hardware of a guest: the tables that lead from a request to its page tables
 * are read from the guest's memory (48882, section numbers of revision 3.07), and the
 * commands that have to do with that memory are executed here.
 *
 *   device table (2.2.2) -> DTE -> host tables (2.2.3)
 *   DTE -> GCR3 table, of one to three levels (2.2.6) -> guest tables, the CPU's
 *
 * Requests without PASID go by PASID 0's entry of the GCR3 table where the DTE says GIOV, and
 * by the host tables otherwise. An entry of the GCR3 table is cached until its PASID's page
 * directories are invalidated (GN and PDE, 2.4.3), or the DTE is. A DTE has 256 bits, which
 * the driver writes in two halves, the one with V and TV last when it sets them: a DTE whose
 * first word did not change while the others were read is one that the driver wrote.
 *
 * With HAD, the D bit of a host table's leaf is set by the first write that goes by a
 * translation, and by a translation request that gives a device the right to write. A bits
 * are set with it, and not otherwise.
 *
 * Not modelled, and so blocked: DTEs that let requests pass without a translation (V or TV
 * clear, or no tables), guest tables over host tables, IR and IW of a DTE.
 */
#include "amd.h"
#include "iommu.h"
#include "memory.h"

#define ADDR			CMD_MASK(51, 12)

/* 3.4.1: the device table has 4 KiB times the size and 1. */
#define ROOT_ENTRIES(root)	((cmd_bits(root, 8, 0) + 1) * (MODEL_PAGE_SIZE / DTE_SIZE))
#define DTE_SIZE		32

/* 2.2.2.1, word 0: V, TV, HAD, mode, GIOV, GV, GLX */
#define DTE_V			CMD_BIT(0)
#define DTE_TV			CMD_BIT(1)
#define DTE_HD			CMD_BIT(8)
#define DTE_LEVELS(word)	((unsigned int)cmd_bits(word, 11, 9))
#define LEVELS_MAX		6
#define DTE_GIOV		CMD_BIT(54)
#define DTE_GV			CMD_BIT(55)
#define DTE_GLX(word)		((unsigned int)cmd_bits(word, 57, 56))
#define GLX_MAX			2
/* word 1: DomainID, I */
#define DTE_DOMAIN(word)	((uint32_t)cmd_bits(word, 15, 0))
#define DTE_I			CMD_BIT(32)
/* word 2: GuestPagingMode */
#define DTE_GUEST_LEVELS(word)	((unsigned int)cmd_bits(word, 55, 54) + 4)
#define GUEST_LEVELS_MAX	5
#define DTE_WORDS		3	/* the fourth one has nothing of translations */

#define GCR3_V			CMD_BIT(0)

/* In three pieces. */
static uint64_t gcr3_table(const struct hw_dir *dir)
{
	return cmd_bits(dir->word[0], 60, 58) << 12 | cmd_bits(dir->word[1], 31, 16) << 15 |
	       cmd_bits(dir->word[1], 63, 43) << 31;
}

static struct hw_dir read_dir(const struct model_iommu *iommu, uint32_t rid)
{
	uint64_t at = (iommu->root & ADDR) + (uint64_t)rid * DTE_SIZE;
	struct hw_dir dir = { .present = false };
	unsigned int i;

	if (rid >= ROOT_ENTRIES(iommu->root))
		return dir;
	do {
		for (i = 0; i < DTE_WORDS; i++)
			dir.word[i] = memory_load(iommu->memory, at + i * 8);
	} while (memory_load(iommu->memory, at) != dir.word[0]);
	dir.present = (dir.word[0] & DTE_V) && (dir.word[0] & DTE_TV);
	return dir.present ? dir : (struct hw_dir){ .present = false };
}

/* An entry of the GCR3 table. Return: false where there is none for the PASID. */
static bool read_gcr3(const struct model_iommu *iommu, const struct hw_dir *dir,
		      uint32_t pasid, uint64_t *gcr3)
{
	unsigned int level = DTE_GLX(dir->word[0]);

	if (level > GLX_MAX || pasid >> (PT_LEVEL_SHIFT * (level + 1)))
		return false;
	*gcr3 = gcr3_table(dir);
	do {
		unsigned int index = pasid >> (PT_LEVEL_SHIFT * level) &
				     ((1U << PT_LEVEL_SHIFT) - 1);

		*gcr3 = memory_load(iommu->memory, (*gcr3 & ADDR) + index * 8);
		if (!(*gcr3 & GCR3_V))
			return false;
	} while (level--);
	return true;
}

static void set_guest(const struct model_iommu *iommu, const struct hw_dir *dir,
		      uint32_t pasid, struct hw_context *hw)
{
	unsigned int levels = DTE_GUEST_LEVELS(dir->word[2]);
	uint64_t gcr3;

	if (DTE_LEVELS(dir->word[0]) || levels > GUEST_LEVELS_MAX ||
	    !read_gcr3(iommu, dir, pasid, &gcr3))
		return;
	hw->mode = MODEL_S1;
	hw->s1 = pt_guest_root(PT_VTD_FIRST, iommu->memory, gcr3, levels, NULL);
}

static void set_host(const struct model_iommu *iommu, const struct hw_dir *dir,
		     struct hw_context *hw)
{
	unsigned int levels = DTE_LEVELS(dir->word[0]);

	if (!levels || levels > LEVELS_MAX)
		return;
	hw->mode = MODEL_S2;
	hw->s2 = pt_guest_root(PT_AMD_HOST, iommu->memory, dir->word[0], levels, NULL);
	hw->marks_dirty = dir->word[0] & DTE_HD;
}

static struct hw_context read_context(const struct model_iommu *iommu,
				      const struct hw_dir *dir, uint32_t pasid)
{
	struct hw_context hw = { .mode = MODEL_BLOCKED };
	bool guest = dir->word[0] & DTE_GV;

	if (!dir->present)
		return hw;
	if (pasid == MODEL_NO_PASID && guest && (dir->word[0] & DTE_GIOV))
		set_guest(iommu, dir, 0, &hw);
	else if (pasid == MODEL_NO_PASID)
		set_host(iommu, dir, &hw);
	else if (guest)
		set_guest(iommu, dir, pasid, &hw);
	if (hw.mode == MODEL_BLOCKED)
		return hw;
	hw.tag = DTE_DOMAIN(dir->word[1]);
	hw.no_ats = !(dir->word[1] & DTE_I);
	return hw;
}

static void exec(struct model_iommu *iommu, const uint64_t *cmd)
{
	switch (amd_opcode(cmd)) {
	case AMD_COMPLETION_WAIT:
		if (cmd[0] & AMD_WAIT_STORE)
			memory_store64(iommu->memory, cmd[0] & AMD_WAIT_ADDR, cmd[1]);
		return;
	case AMD_DEVTAB:
		model_inv_dir(iommu, false, amd_devid(cmd));
		break;
	case AMD_IOMMU_PAGES:
		if ((cmd[1] & AMD_PAGES_GN) && (cmd[1] & AMD_PAGES_PDE))
			model_inv_context_tag_pasid(iommu, amd_domain(cmd), amd_pasid(cmd));
		break;
	case AMD_IOMMU_ALL:
		model_inv_dir(iommu, true, 0);
		break;
	}
	model_amd.exec(iommu, cmd);
}

const struct model_guest_ops model_amd_guest = {
	.rid_is_pasid_0 = true,
	.exec = exec,
	.read_dir = read_dir,
	.read_context = read_context,
};
