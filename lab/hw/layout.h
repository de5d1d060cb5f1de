/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host's side, the guest's module and the guest's programs agree on.
 *
 * A machine's units and functions lie in a part of the guest's memory that its kernel
 * leaves alone (memmap=SIZE$BASE on the command line; a reserved region of the device tree).
 * All is little-endian; offsets are from BASE. Unit u has the registers that its vendor
 * defines, and PCI segment u + 1, bus 0. With AMD-Vi, it has bus HW_AMD_BUS + u of segment 0:
 * its own PCI function, which the driver needs before any module is there, must be in the same
 * segment, and is one of QEMU's.
 * A function's configuration space is a page of values, and a page of masks of the bits
 * that can be written; the slot is free where both IDs are 0.
 */
#ifndef LAB_HW_LAYOUT_H
#define LAB_HW_LAYOUT_H

#define HW_SIZE		0x1000000UL
#define HW_MAX_UNITS	16
#define HW_SLOTS	32		/* a unit's; one function each */
#define HW_CONTROL_SLOT	31		/* the unit's own function */

/* Header */
#define HW_MAGIC	0x31776861UL
#define HW_AT_MAGIC	0x0
#define HW_AT_UNITS	0x4
#define HW_AT_BUS	0x8		/* of unit 0 in segment 0; 0: units have segments */

/* Registers of unit 0, and how many bytes a unit has of them: VT-d, SMMUv3, AMD-Vi. */
#define HW_VTD		0x1000UL
#define HW_VTD_SIZE	0x1000UL
#define HW_SMMU		0x600000UL
#define HW_SMMU_SIZE	0x20000UL
#define HW_AMD		0x600000UL
#define HW_AMD_SIZE	0x4000UL
#define HW_AMD_BUS	0x80
#define HW_AMD_SLOT	0x8		/* unit 0's function of QEMU's on bus 0 */
/*
 * Extended features (48882, 3.4.9), which the IVRS table has, too: page requests, no-execute,
 * guest translation, INVALIDATE_IOMMU_ALL, 128-bit entries of interrupt tables (without which
 * the driver takes no features from the table), host tables of up to six levels, guest tables
 * of four, GCR3 tables of two, PASIDs of 16 bits, GIOV, accessed and dirty bits of host tables,
 * enhanced page requests.
 */
#define HW_AMD_EFR	0x17000f000048daULL
#define HW_CONFIG(u, s)	(0x100000UL + ((u) * HW_SLOTS + (s)) * 0x2000UL)
#define HW_MASKS	0x1000		/* from a function's configuration space */
/* Not 0: the space was written, and the function has not looked. A write waits for that. */
#define HW_WRITTEN	0x1ffc
/* Tables of a kernel that crashed, if the machine has them; and what they map. */
#define HW_LEFT		0x500000UL
#define HW_LEFT_IOVA	0x70000000UL
#define HW_LEFT_PAGES	16
#define HW_LEFT_PATTERN	0xdeadbeefcafef00dULL	/* the first word of each page */
#define HW_LEFT_DID	0x51ULL
#define HW_DMA_PATTERN	0x5ca1ab1e0ddba110ULL	/* of a page that the module has for DMA */
#define HW_BAR_SIZE	0x4000UL
#define HW_BARS(u)	(0x800000UL + (u) * HW_SLOTS * HW_BAR_SIZE)
#define HW_BAR(u, s)	(HW_BARS(u) + (s) * HW_BAR_SIZE)

#define HW_VENDOR_ID	0x10ff
#define HW_DEVICE_ID	0x0001		/* a function that does DMA */
#define HW_CONTROL_ID	0x0002

/* Capabilities */
#define HW_CAP_EXP	0x40
#define HW_CAP_ATS	0x100
#define HW_CAP_PASID	0x110
#define HW_CAP_PRI	0x120

/*
 * BAR 0 of a function: registers of 64 bits. One access at a time: the command is written
 * last, and is 0 again when the others say what came of it.
 */
#define HW_COMMAND	0x00
#define HW_CMD_READ		1
#define HW_CMD_WRITE		2	/* of HW_DATA */
#define HW_CMD_PAGE_REQUEST	3	/* of the group in HW_DATA */
#define HW_IOVA		0x08
#define HW_PASID	0x10		/* HW_NO_PASID: a request without */
#define HW_NO_PASID		(~0ULL)
#define HW_DATA		0x18
#define HW_STATUS	0x20
#define HW_OK			1
#define HW_FAULT		2
#define HW_SOURCE	0x28		/* 0 ATC, 1 IOTLB, 2 walk */
#define HW_STALE	0x30		/* the translation is not what memory gives */
#define HW_RESPONSE	0x38		/* to a page request: 1 + its code; 0 none yet */

/*
 * The agent: does accesses at random pages of a range as fast as it can. A page's word in
 * the table says what the guest holds of it: odd, it is unmapped and the unmap has
 * returned. An access that began and ended under the same odd word and got through is one
 * that must not have been.
 */
#define HW_AGENT	0x40		/* HW_CMD_READ or HW_CMD_WRITE; 0: stop */
#define HW_AGENT_RUNS	0x48		/* it does */
#define HW_AGENT_IOVA	0x50
#define HW_AGENT_PASID	0x58
#define HW_AGENT_PAGES	0x60		/* up to HW_AGENT_MAX */
#define HW_AGENT_DONE	0x68		/* accesses so far */
#define HW_AGENT_FAULTS	0x70		/* of these, that got no translation */
#define HW_AGENT_STALE	0x78		/* that got one of a page that was gone */
#define HW_AGENT_TABLE	0x1000
#define HW_AGENT_MAX	512

/* Types of commands: those of VT-d's descriptors that do the same. */
#define HW_TYPE_CONTEXT		1	/* a device's entry */
#define HW_TYPE_IOTLB		2	/* second stage, or both */
#define HW_TYPE_DEV_TLB		3	/* ATC, requests without PASID */
#define HW_TYPE_OTHER		4	/* interrupts, prefetch */
#define HW_TYPE_WAIT		5
#define HW_TYPE_P_IOTLB		6	/* first stage */
#define HW_TYPE_PASID		7	/* a PASID's entry */
#define HW_TYPE_P_DEV_TLB	8	/* ATC, requests with PASID */
#define HW_TYPE_PAGE_GRP	9

/* BAR 0 of a unit's own function. */
#define HW_LATENCY(t)	(0x000 + (t) * 8)	/* ns that a command of the type takes */
#define HW_COUNT(t)	(0x080 + (t) * 8)	/* commands executed */
#define HW_LOOK		0x100		/* 1: count what is stale now; 0 when done */
#define HW_LOOK_STALE	0x108
#define HW_LOOK_ATC	0x110		/* translations cached */
#define HW_LOOK_IOTLB	0x118
/* Something goes wrong with commands of the types, after SKIP of them, COUNT times. */
#define HW_TROUBLE	0x120
#define HW_REFUSE		1	/* as if malformed: the queue stops with an error */
#define HW_STALL		2	/* the queue stands still */
#define HW_LOSE			3	/* taken without effect */
#define HW_TROUBLE_TYPES 0x128		/* bit mask */
#define HW_TROUBLE_SKIP	0x130
#define HW_TROUBLE_COUNT 0x138
#define HW_TROUBLE_HITS	0x140		/* so far */
#define HW_PATIENCE	0x160		/* ns after which an error clears itself; 0: never */
#define HW_RESCUES	0x168		/* so often it did */
#define HW_PING		0x170		/* 1: 0 when the unit has looked */
#define HW_RESTARTS	0x178		/* so often the driver has made a unit go on: AMD-Vi */
#define HW_TIMEOUT	0x148		/* ns after which a device is given up */
#define HW_TIMEOUTS	0x150		/* so far: ITE, CERROR_ATC_INV_SYNC */
#define HW_ERRORS	0x158		/* so far: IQE, CERROR_ILL */
/* By slot. */
#define HW_SILENT(s)	(0x200 + (s) * 8)	/* does not answer ATC commands */
#define HW_ABSENT(s)	(0x300 + (s) * 8)	/* is not there any more */
#define HW_ATC_LATENCY(s) (0x400 + (s) * 8)	/* ns on top of the type's */
#define HW_ATC_COUNT(s)	(0x500 + (s) * 8)	/* ATC commands for it */
#define HW_ATC_DEAD(s)	(0x600 + (s) * 8)	/* of these, in reset or absent */
#define HW_ATC_OFF(s)	(0x800 + (s) * 8)	/* of these, with ATS off otherwise */
#define HW_RESET_NS(s)	(0x700 + (s) * 8)	/* how long a function-level reset takes */

#endif
