// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-Vi. Linux has no tracepoint for its commands: a probe logs them.
 *
 * An attach names the device only. A device just attached is pending; a flush of a tag
 * that has no devices claims those that are pending, and so does one by the task that
 * attached them. Both are guesses. A detach invalidates the device's table entry, then
 * everything of the old tag: it says where the device was.
 */
#include "rebuild-internal.h"

/* AMD I/O Virtualization specification (48882), section 2.4. */
static void decode_amd(struct inv *inv, const uint64_t *w)
{
	switch (vendor_bits(w[0], 63, 60)) {
	case 1:				/* COMPLETION_WAIT */
		inv->class = MODEL_SYNC;
		break;
	case 2:				/* INVALIDATE_DEVTAB_ENTRY */
		inv->class = MODEL_CONFIG;
		inv->rid = vendor_bits(w[0], 15, 0);
		break;
	case 3:				/* INVALIDATE_IOMMU_PAGES */
		inv->class = MODEL_IOTLB;
		inv->tag = vendor_bits(w[0], 47, 32);
		inv->by_pasid = vendor_bits(w[1], 2, 2);
		if (inv->by_pasid)
			inv->pasid = vendor_bits(w[0], 19, 0);
		inv->keeps_walks = !vendor_bits(w[1], 1, 1);
		if (vendor_bits(w[1], 0, 0))
			vendor_range_napot(inv, w[1]);
		else
			vendor_range_order(inv, w[1], 0);
		break;
	case 4:				/* INVALIDATE_IOTLB_PAGES */
		inv->class = MODEL_ATC;
		inv->rid = vendor_bits(w[0], 15, 0);
		inv->qdep = vendor_bits(w[0], 31, 24);
		inv->by_pasid = vendor_bits(w[1], 2, 2);
		if (inv->by_pasid)
			inv->pasid = vendor_bits(w[0], 59, 56) << 16 |
				     vendor_bits(w[0], 23, 16) << 8 |
				     vendor_bits(w[0], 55, 48);
		if (vendor_bits(w[1], 0, 0))
			vendor_range_napot(inv, w[1]);
		else
			vendor_range_order(inv, w[1], 0);
		break;
	case 8:				/* INVALIDATE_IOMMU_ALL */
		inv->class = MODEL_IOTLB;
		break;
	}
}

/* AMD with NpCache sends several aligned commands where one would do. */
static bool looks_split(const struct burst *burst)
{
	const struct command *a = NULL;
	size_t i;

	for (i = 0; i < burst->nr; i++) {
		const struct command *b = &burst->cmds[i];

		if (b->inv.class != MODEL_IOTLB)
			continue;
		if (a && a->iommu == b->iommu && inv_same_target(&a->inv, &b->inv) &&
		    a->inv.last + 1 == b->inv.first)
			return true;
		a = b;
	}
	return false;
}

/* Flushes on map (NpCache) are not rounded: the log lacks part of what was mapped. */
static void amd_flush(struct rebuild *r, struct context *c, struct step *step)
{
	struct machine_range *range = c->ranges.range;
	uint64_t first = UINT64_MAX, last = 0;
	size_t i;

	if (looks_split(&c->burst))
		r->machine.caches_absent = true;
	if (step->kind != STEP_MAP_FLUSH)
		return;
	for (i = 0; i < c->burst.nr; i++) {
		const struct inv *inv = &c->burst.cmds[i].inv;

		if (inv->class != MODEL_IOTLB)
			continue;
		if (inv_all(inv))
			return;
		if (inv->first < first)
			first = inv->first;
		if (inv->last > last)
			last = inv->last;
	}
	if (first <= range->iova && last >= range->iova + (range->size - 1)) {
		range->iova = first;
		range->size = last - first + 1;
	}
}

const struct vendor vendor_amd = {
	.decode = decode_amd,
	.tag_name = "DomainID",
	.hints = { 0, 1 << 1 },			/* PDE */
	.logs_waits = true,
	.flush = amd_flush,
};
