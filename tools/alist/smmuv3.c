// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3. Linux has no tracepoint for its commands: a probe logs submissions, and of each
 * the first commands.
 *
 * An attach names the device only, and a detach does not name the tag. Writing a context
 * descriptor first, the stream table entry after it means attach; the other way round,
 * detach. A domain empties its ASID when it is freed.
 */
#include "rebuild-internal.h"

#define PAGE_BITS	12

/* SMMUv3 specification (IHI 0070), sections 4.3 to 4.5. */
static void decode_smmuv3(struct inv *inv, const uint64_t *w)
{
	unsigned int op = vendor_bits(w[0], 7, 0);
	unsigned int tg = vendor_bits(w[1], 11, 10);
	uint64_t size;

	switch (op) {
	case 0x03:			/* CFGI_STE */
	case 0x05:			/* CFGI_CD */
	case 0x06:			/* CFGI_CD_ALL */
		inv->class = MODEL_CONFIG;
		inv->rid = vendor_bits(w[0], 63, 32);
		break;
	case 0x04:			/* CFGI_STE_RANGE */
		inv->class = MODEL_CONFIG;
		break;
	case 0x11:			/* TLBI_NH_ASID */
	case 0x12:			/* TLBI_NH_VA */
	case 0x21:			/* TLBI_EL2_ASID */
	case 0x22:			/* TLBI_EL2_VA */
		inv->tag = vendor_bits(w[0], 63, 48);
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
			inv->vm_tag = vendor_bits(w[0], 47, 32);
		if (op != 0x12 && op != 0x13 && op != 0x22 && op != 0x23 && op != 0x2a)
			break;
		inv->keeps_walks = vendor_bits(w[1], 0, 0);
		inv->first = w[1] >> PAGE_BITS << PAGE_BITS;
		/* No TG: the page of whatever size that holds the address. */
		size = UINT64_C(1) << PAGE_BITS;
		if (tg)
			size = (vendor_bits(w[0], 16, 12) + 1) << vendor_bits(w[0], 24, 20) <<
			       (tg == 1 ? 12 : tg == 2 ? 14 : 16);
		inv->last = inv->first + size - 1;
		if (inv->last < inv->first)
			inv->last = UINT64_MAX;
		break;
	case 0x40:			/* ATC_INV */
		inv->class = MODEL_ATC;
		inv->rid = vendor_bits(w[0], 63, 32);
		if (vendor_bits(w[0], 11, 11) && !vendor_bits(w[0], 9, 9))
			inv->pasid = vendor_bits(w[0], 31, 12);
		vendor_range_order(inv, w[1], vendor_bits(w[1], 5, 0));
		break;
	case 0x46:			/* SYNC */
		inv->class = MODEL_SYNC;
		break;
	}
}

/* SMMUv3 logs show the first of several ATC commands; the others are for somebody. */
static void more_atcs(struct rebuild *r, struct context *c,
		      struct machine_domain *domain)
{
	unsigned int iommu = INV_ANY, wanted = 0;
	struct machine_attachment *att;
	struct machine_tag *t;
	size_t i;

	for (i = 0; i < c->burst.nr; i++) {
		const struct command *cmd = &c->burst.cmds[i];

		if (cmd->inv.class != MODEL_ATC)
			continue;
		if (iommu != INV_ANY && iommu != cmd->iommu)
			return;
		iommu = cmd->iommu;
		wanted += cmd->n;
	}
	if (iommu == INV_ANY || wanted > OBJECTS_MAX)
		return;
	for (att = domain->attachments; att; att = att->next)
		wanted -= wanted && att->iommu == iommu && att->device->ats;
	for (att = domain->attachments; att && wanted; att = att->next) {
		if (att->iommu != iommu || att->device->ats)
			continue;
		att->device->ats = true;
		wanted--;
	}
	for (t = domain->tags; t && t->iommu != iommu; t = t->next)
		;
	while (t && wanted-- && !r->ret) {
		att = attach(r, domain, device_anonymous(r, iommu), iommu, t->tag, 0,
			     true, c->line, NULL);
		if (att)
			att->device->ats = true;
	}
}

static void smmuv3_config(struct context *c, const struct trace_event *event)
{
	if (event->cmd.op != 5 && event->cmd.op != 6)	/* CFGI_CD, CFGI_CD_ALL */
		return;
	c->cd_first |= !c->saw_config;
	c->saw_cd = true;
}

/* The stream table entry first, then its descriptors: it left for nowhere. */
static bool smmuv3_stays(const struct context *c)
{
	return c->cd_first || !c->saw_cd;
}

const struct vendor vendor_smmuv3 = {
	.decode = decode_smmuv3,
	.tag_name = "ASID",
	.s2_tag_name = "VMID",
	.hints = { 0, 3 << 8 | 1 },		/* TTL, leaf */
	.logs_waits = true,
	.first_stage = true,
	.flushes_at_free = true,
	.silent_detach = true,
	.frees_after_map = true,
	.nests_flush_all = true,
	.config = smmuv3_config,
	.stays = smmuv3_stays,
	.members = more_atcs,
};
