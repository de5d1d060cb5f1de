/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What amd.c has of commands and amd_guest.c needs, too.
 */
#ifndef MODEL_AMD_H
#define MODEL_AMD_H

#include "cmd.h"

enum amd_opcode {
	AMD_COMPLETION_WAIT = 1,	/* 2.4.1 */
	AMD_DEVTAB,			/* 2.4.2 INVALIDATE_DEVTAB_ENTRY */
	AMD_IOMMU_PAGES,		/* 2.4.3 INVALIDATE_IOMMU_PAGES */
	AMD_IOTLB_PAGES,		/* 2.4.4 INVALIDATE_IOTLB_PAGES: the ATC */
	AMD_IRQ_TABLE,			/* 2.4.5 INVALIDATE_INTERRUPT_TABLE */
	AMD_IOMMU_ALL = 8,		/* 2.4.8 INVALIDATE_IOMMU_ALL */
	AMD_OPCODES,
};

#define AMD_OPCODE		CMD_MASK(63, 60)
#define AMD_DEVID		CMD_MASK(15, 0)

/* COMPLETION_WAIT, word 0; the address is 8-byte aligned, 52 bits. */
#define AMD_WAIT_STORE		CMD_BIT(0)
#define AMD_WAIT_IRQ		CMD_BIT(1)
#define AMD_WAIT_FLUSH		CMD_BIT(2)
#define AMD_WAIT_ADDR		CMD_MASK(51, 3)

/* Word 1 of the two page commands. The Type field (5:4) has one value, 0. */
#define AMD_PAGES_S		CMD_BIT(0)
#define AMD_PAGES_PDE		CMD_BIT(1)
#define AMD_PAGES_GN		CMD_BIT(2)

static inline unsigned int amd_opcode(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[0], 63, 60);
}

static inline uint32_t amd_devid(const uint64_t *cmd)
{
	return (uint32_t)(cmd[0] & AMD_DEVID);
}

static inline uint32_t amd_domain(const uint64_t *cmd)
{
	return (uint32_t)cmd_bits(cmd[0], 47, 32);
}

/* In one piece in INVALIDATE_IOMMU_PAGES, in three in INVALIDATE_IOTLB_PAGES. */
static inline uint32_t amd_pasid(const uint64_t *cmd)
{
	uint64_t pasid = cmd_bits(cmd[0], 19, 0);

	if (amd_opcode(cmd) == AMD_IOTLB_PAGES)
		pasid = cmd_bits(cmd[0], 59, 56) << 16 |
			cmd_bits(cmd[0], 23, 16) << 8 | cmd_bits(cmd[0], 55, 48);
	return (cmd[1] & AMD_PAGES_GN) && pasid ? (uint32_t)pasid : MODEL_NO_PASID;
}

#endif /* MODEL_AMD_H */
