/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What smmuv3.c has of commands and smmuv3_guest.c needs, too.
 */
#ifndef MODEL_SMMUV3_H
#define MODEL_SMMUV3_H

#include "cmd.h"

/* Section 4.1.1. */
#define SMMU_OPCODE		CMD_MASK(7, 0)
#define SMMU_CFGI_STE		0x03
#define SMMU_CFGI_STE_RANGE	0x04	/* CFGI_ALL with range 31 */
#define SMMU_SYNC		0x46

/* SYNC, 4.7.3: the address of the MSI is in word 1. */
#define SMMU_CS_IRQ		1
#define SMMU_MSI_ADDR		CMD_MASK(55, 2)

static inline uint32_t smmu_sid(const uint64_t *cmd)
{
	return (uint32_t)(cmd[0] >> 32);
}

/* Completion signal of a SYNC. */
static inline unsigned int smmu_cs(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[0], 13, 12);
}

static inline bool smmu_sends_msi(const uint64_t *cmd)
{
	return smmu_cs(cmd) == SMMU_CS_IRQ && (cmd[1] & SMMU_MSI_ADDR);
}

#endif /* MODEL_SMMUV3_H */
