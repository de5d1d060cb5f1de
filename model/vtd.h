/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vtd.c has of descriptors and vtd_guest.c needs, too.
 */
#ifndef MODEL_VTD_H
#define MODEL_VTD_H

#include "cmd.h"

/* Bits 11:9 and 3:0. */
enum vtd_type {
	VTD_CC = 1,		/* 6.5.2.1 context cache */
	VTD_IOTLB,		/* 6.5.2.3 */
	VTD_DEV_TLB,		/* 6.5.2.5 */
	VTD_IEC,		/* 6.5.2.8 interrupt entry cache */
	VTD_WAIT,		/* 6.5.2.9 */
	VTD_P_IOTLB,		/* 6.5.2.4 PASID-based IOTLB */
	VTD_PC,			/* 6.5.2.2 PASID cache */
	VTD_P_DEV_TLB,		/* 6.5.2.6 PASID-based device TLB */
	VTD_TYPES,
};

/* Granularity, bits 5:4; the encoding differs for the PASID cache. */
#define VTD_GLOBAL		1	/* cc, iotlb */
#define VTD_DOMAIN		2	/* cc, iotlb; p_iotlb: PASID */
#define VTD_NARROW		3	/* cc: device; iotlb, p_iotlb: page */

#define VTD_WAIT_SW		CMD_BIT(5)

static inline unsigned int vtd_type(const uint64_t *cmd)
{
	return (unsigned int)(cmd_bits(cmd[0], 11, 9) << 4 | cmd_bits(cmd[0], 3, 0));
}

static inline unsigned int vtd_granularity(const uint64_t *cmd)
{
	return (unsigned int)cmd_bits(cmd[0], 5, 4);
}

/* Does a device-selective VTD_CC name this function of the device? */
static inline bool vtd_names_function(const uint64_t *cmd, uint32_t fn)
{
	/* Function bits masked, by FM (table 21). */
	static const uint32_t masked[] = { 0, 4, 6, 7 };

	return !((fn ^ cmd_bits(cmd[0], 47, 32)) & 7 & ~masked[cmd_bits(cmd[0], 49, 48)]);
}

static inline uint32_t vtd_context_sid(const uint64_t *cmd, uint32_t fn)
{
	return ((uint32_t)cmd_bits(cmd[0], 47, 32) & ~7u) | fn;
}

#endif /* MODEL_VTD_H */
