// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d. cache_tag_* events name IOMMU, tag and device of each attachment, and how many
 * users the tag has. A tag without such an event was attached before the log began, or
 * the kernel is older than 6.10 and has none.
 *
 * qi_submit shows what is queued without the wait descriptor behind it: descriptors that
 * follow each other are taken to be one submission.
 */
#include "rebuild-internal.h"

/* Linux gives it to all domains of shared virtual addresses: each has a PASID. */
#define DID_SVA		1

static bool is_shared(uint32_t did, uint32_t pasid)
{
	return did == DID_SVA && pasid;
}

/* VT-d specification, section 6.5.2. */
static void decode_vtd(struct inv *inv, const uint64_t *w)
{
	unsigned int g = vendor_bits(w[0], 5, 4);

	switch (vendor_bits(w[0], 11, 9) << 4 | vendor_bits(w[0], 3, 0)) {
	case 1:				/* context cache */
		inv->class = MODEL_CONFIG;
		if (g == 3)
			inv->rid = vendor_bits(w[0], 47, 32);
		if (g >= 2)
			inv->tag = vendor_bits(w[0], 31, 16);
		break;
	case 7:				/* PASID cache */
		inv->class = MODEL_CONFIG;
		inv->tag = vendor_bits(w[0], 31, 16);
		break;
	case 2:				/* IOTLB */
		inv->class = MODEL_IOTLB;
		if (g >= 2)
			inv->tag = vendor_bits(w[0], 31, 16);
		if (g == 3) {
			vendor_range_order(inv, w[1], vendor_bits(w[1], 5, 0));
			inv->keeps_walks = vendor_bits(w[1], 6, 6);
		}
		break;
	case 6:				/* PASID-based IOTLB */
		inv->class = MODEL_IOTLB;
		inv->by_pasid = true;
		inv->tag = vendor_bits(w[0], 31, 16);
		inv->pasid = vendor_bits(w[0], 51, 32);
		inv->shared_tag = is_shared(inv->tag, inv->pasid);
		if (g == 3) {
			vendor_range_order(inv, w[1], vendor_bits(w[1], 5, 0));
			inv->keeps_walks = vendor_bits(w[1], 6, 6);
		}
		break;
	case 3:				/* device TLB */
		inv->class = MODEL_ATC;
		inv->rid = vendor_bits(w[0], 47, 32);
		inv->qdep = vendor_bits(w[0], 20, 16);
		if (vendor_bits(w[1], 0, 0))
			vendor_range_napot(inv, w[1]);
		else
			vendor_range_order(inv, w[1], 0);
		break;
	case 8:				/* PASID-based device TLB */
		inv->class = MODEL_ATC;
		inv->by_pasid = true;
		inv->rid = vendor_bits(w[0], 31, 16);
		inv->qdep = vendor_bits(w[0], 8, 4);
		if (!vendor_bits(w[1], 0, 0))
			inv->pasid = vendor_bits(w[0], 51, 32);
		if (vendor_bits(w[1], 11, 11))
			vendor_range_napot(inv, w[1]);
		else
			vendor_range_order(inv, w[1], 0);
		break;
	case 5:				/* wait */
		inv->class = MODEL_SYNC;
		break;
	}
}

/* Of the tag that was assigned or unassigned. */
static bool is_user(const struct context *c, const struct machine_attachment *att)
{
	return att->iommu == c->iommu && att->tag == c->tag && att->pasid == c->pasid;
}

/*
 * The log counts the users of a tag. If it counts fewer than @others apart from @dev, some
 * have left in a hole of the log, and it does not say who: all are forgotten.
 */
static void forget_those_that_left(struct rebuild *r, struct context *c,
				   const struct machine_device *dev, unsigned int others)
{
	struct machine_tag *tag = tag_find(r, c->iommu, c->tag);
	struct machine_attachment *att, *next;
	unsigned int users = 0;

	if (!c->users || !tag)
		return;
	for (att = tag->domain->attachments; att; att = att->next)
		users += is_user(c, att) && att->device != dev;
	if (users <= others)
		return;
	/* The domain goes with its last one. */
	for (att = tag->domain->attachments; users && !r->ret; att = next) {
		next = att->next;
		if (!is_user(c, att) || att->device == dev)
			continue;
		detach(r, att, STEP_FORGET, c->line, NULL);
		users--;
	}
}

/* VT-d: the tag has a new user. */
void vtd_settle_assign(struct rebuild *r, struct context *c)
{
	struct machine_attachment *att, *old;
	struct machine_domain *domain;
	unsigned int users = 0;

	forget_those_that_left(r, c, c->device, c->users - 1);
	domain = domain_of_tag(r, c->iommu, c->tag);
	if (!domain)
		return;
	for (att = domain->attachments; att; att = att->next)
		users += is_user(c, att);
	for (; users + 1 < c->users && !r->ret; users++)
		attach(r, domain, device_anonymous(r, c->iommu), c->iommu, c->tag,
		       c->pasid, true, c->line, NULL);
	if (c->device) {
		old = c->pasid ? find_attachment(domain, c->device, c->pasid) :
				 find_device(c->device);
		/* Domains that turn out not to exist are freed with their last one. */
		if (old && old->domain != domain)
			detach(r, old, STEP_FORGET, c->line, NULL);
		else if (old)
			return;
	}
	attach(r, domain, c->device ? c->device : device_anonymous(r, c->iommu),
	       c->iommu, c->tag, c->pasid, !c->device, c->line, &c->burst);
}

void vtd_settle_unassign(struct rebuild *r, struct context *c)
{
	struct machine_attachment *att, *found = NULL, *last = NULL;
	struct machine_device *dev = c->device;
	struct machine_domain *domain;
	unsigned int users = 0;
	size_t i;

	if (!dev && c->saw_config && c->rid != INV_ANY)
		dev = device_by_rid(r, c->iommu, c->rid);
	forget_those_that_left(r, c, dev, dev ? c->users - 1 : c->users);
	domain = domain_of_tag(r, c->iommu, c->tag);
	if (!domain)
		return;
	for (i = 0; i < c->burst.nr; i++)
		if (c->burst.cmds[i].inv.by_pasid &&
		    c->burst.cmds[i].inv.class == MODEL_IOTLB)
			domain->first_stage = true;
	for (att = domain->attachments; att; att = att->next) {
		if (!is_user(c, att))
			continue;
		users++;
		last = att;
		if (att->device == dev || (!found && att->guessed &&
					   att->device->rid == INV_ANY))
			found = att;
	}
	/* A PASID entry names no device: of a tag with one user, it is that one. */
	if (!found && !dev && users == 1 && c->users <= 1)
		found = last;
	if (!found || (dev && found->device != dev && users < c->users)) {
		found = attach(r, domain, dev ? dev : device_anonymous(r, c->iommu),
			       c->iommu, c->tag, c->pasid, true, c->line, NULL);
		users++;
	}
	for (; users < c->users && !r->ret; users++)
		attach(r, domain, device_anonymous(r, c->iommu), c->iommu, c->tag,
		       c->pasid, true, c->line, NULL);
	if (!r->ret)
		detach(r, found, STEP_DETACH, c->line, &c->burst);
}

void vtd_tag(struct rebuild *r, struct context *c, const struct trace_event *e)
{
	enum op op = e->type == TRACE_TAG_ASSIGN ? OP_ASSIGN : OP_UNASSIGN;
	unsigned int iommu = iommu_index(r, &e->tag.iommu);
	struct machine_device *dev = NULL;
	uint64_t tag = is_shared(e->tag.did, e->tag.pasid) ?
		       shared_tag(e->tag.did, e->tag.pasid) : e->tag.did;

	if (r->machine.vendor == MODEL_VENDORS)
		r->machine.vendor = MODEL_VTD;
	if (r->machine.vendor != MODEL_VTD) {
		rebuild_stop(r, "expected commands of one vendor in a log");
		return;
	}
	r->vendor = &vendor_vtd;
	r->saw_tags = true;
	r->machine.nests |= e->tag.nesting;
	if (r->ret)
		return;
	if (e->tag.devtlb) {
		dev = device_by_name(r, &e->tag.device);
		if (!dev)
			return;
		dev->ats = true;
		dev->iommu = iommu;
	}
	if (dev && c->op == op && !c->device && c->iommu == iommu &&
	    c->tag == tag && c->pasid == e->tag.pasid) {
		c->device = dev;
		return;
	}
	/* A device TLB without its IOTLB: the other half was lost. */
	if (dev)
		return;
	/* Some kernels write the context entry before they drop the tag. */
	if (c->op != OP_CONFIG || op != OP_UNASSIGN) {
		rebuild_settle(r, c, NULL);
		rebuild_settle_others(r, c, NULL);
	}
	rebuild_begin(r, c, op);
	c->iommu = iommu;
	c->tag = tag;
	c->pasid = e->tag.pasid;
	c->users = e->tag.users;
}

const struct vendor vendor_vtd = {
	.decode = decode_vtd,
	.tag_name = "DID",
	.hints = { 0, 1 << 6 },			/* IH */
};
