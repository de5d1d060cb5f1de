// SPDX-License-Identifier: GPL-2.0-only
/*
 * RISC-V. Linux has no tracepoint for its commands: a probe logs them.
 *
 * As on AMD, an attach names the device only, and whoever flushes a tag is guessed to be
 * attached to it. PSCIDs are a domain's own, the same on every IOMMU. A detach writes the
 * device's directory entry and flushes the PSCID on an IOMMU that nobody of the domain is
 * behind any more; while others are, it says nothing about the tag.
 */
#include "rebuild-internal.h"

/* RISC-V IOMMU specification 1.0, section 3.1. */
static void decode_riscv(struct inv *inv, const uint64_t *w)
{
	uint64_t addr = vendor_bits(w[1], 61, 10) << 12;

	switch (vendor_bits(w[0], 6, 0) << 4 | vendor_bits(w[0], 9, 7)) {
	case 0x10:			/* IOTINVAL.VMA */
	case 0x11:			/* IOTINVAL.GVMA */
		inv->class = MODEL_IOTLB;
		if (vendor_bits(w[0], 32, 32) && !vendor_bits(w[0], 9, 7))
			inv->tag = vendor_bits(w[0], 31, 12);
		if (vendor_bits(w[0], 33, 33))
			inv->vm_tag = vendor_bits(w[0], 59, 44);
		if (!vendor_bits(w[0], 10, 10))
			break;
		inv->keeps_walks = !vendor_bits(w[0], 34, 34);
		if (vendor_bits(w[1], 9, 9))
			vendor_range_napot(inv, addr);
		else
			vendor_range_order(inv, addr, 0);
		break;
	case 0x20:			/* IOFENCE.C */
		inv->class = MODEL_SYNC;
		break;
	case 0x30:			/* IODIR.INVAL_DDT */
	case 0x31:			/* IODIR.INVAL_PDT */
		inv->class = MODEL_CONFIG;
		if (vendor_bits(w[0], 33, 33))
			inv->rid = vendor_bits(w[0], 55, 40);
		break;
	case 0x40:			/* ATS.INVAL */
		inv->class = MODEL_ATC;
		inv->rid = vendor_bits(w[0], 55, 40);
		if (vendor_bits(w[0], 32, 32) && !vendor_bits(w[1], 0, 0))
			inv->pasid = vendor_bits(w[0], 31, 12);
		if (vendor_bits(w[1], 11, 11))
			vendor_range_napot(inv, w[1]);
		else
			vendor_range_order(inv, w[1], 0);
		break;
	}
}

const struct vendor vendor_riscv = {
	.decode = decode_riscv,
	.tag_name = "PSCID",
	.s2_tag_name = "GSCID",
	.hints = { UINT64_C(1) << 34, 0 },	/* NL */
	.logs_waits = true,
	.first_stage = true,
	.silent_detach = true,
	.nests_flush_all = true,
};
