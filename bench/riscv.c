// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer: RISC-V, and the sketch that this project comes from, repaired
 *
 * A list of bonds, one a device, walked under RCU, with devices of the same IOMMU
 * next to each other: attach looks for the first one of the IOMMU, detach for the
 * device. The walk sends when the IOMMU changes and skips the others of its run,
 * which it touches all the same; a second pass waits for each IOMMU.
 *
 * The driver has one tag a domain and no ATS. Here runs are of the same (IOMMU, kind,
 * tag), and ATC commands are sent in a pass of their own.
 */
#include <linux/errno.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "layout.h"

struct riscv_domain {
	struct list_head bonds;
	spinlock_t lock;
};

struct riscv_bond {
	struct list_head item;
	struct rcu_head rcu;
	const struct endpoint *device;
};

static bool same_run(const struct endpoint *a, const struct endpoint *b)
{
	return a->iommu == b->iommu && a->nest == b->nest && a->tag == b->tag;
}

static void riscv_init(void *domain)
{
	struct riscv_domain *riscv = domain;

	INIT_LIST_HEAD(&riscv->bonds);
	spin_lock_init(&riscv->lock);
}

static void riscv_exit(void *domain)
{
	(void)domain;
}

static int riscv_attach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct riscv_domain *riscv = domain;
	struct riscv_bond *bond, *other;
	struct list_head *before;

	(void)attachment;
	bond = kzalloc(sizeof(*bond), GFP_KERNEL);
	if (!bond)
		return -ENOMEM;
	bond->device = ep;

	spin_lock(&riscv->lock);
	before = &riscv->bonds;
	list_for_each_entry(other, &riscv->bonds, item) {
		if (same_run(other->device, ep)) {
			before = &other->item;
			break;
		}
		if (other->device->iommu == ep->iommu)
			before = other->item.next;
	}
	list_add_tail_rcu(&bond->item, before);
	spin_unlock(&riscv->lock);
	smp_mb();
	return 0;
}

static void riscv_detach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct riscv_domain *riscv = domain;
	struct riscv_bond *bond;

	(void)attachment;
	spin_lock(&riscv->lock);
	list_for_each_entry(bond, &riscv->bonds, item) {
		if (bond->device != ep)
			continue;
		list_del_rcu(&bond->item);
		kfree_rcu(bond, rcu);
		break;
	}
	spin_unlock(&riscv->lock);
}

static __always_inline void riscv_send(void *domain, struct sink *queue, bool sync)
{
	struct riscv_domain *riscv = domain;
	const struct endpoint *ep, *prev = NULL;
	struct riscv_bond *bond;
	struct sink sink = sink_open(queue);

	rcu_read_lock();
	smp_mb();
	list_for_each_entry_rcu(bond, &riscv->bonds, item) {
		ep = bond->device;
		if (prev && same_run(prev, ep))
			continue;
		emit(&sink, ep->nest ? OP_NEST : OP_IOTLB, ep->iommu, ep->tag);
		prev = ep;
	}
	list_for_each_entry_rcu(bond, &riscv->bonds, item) {
		ep = bond->device;
		if (ep->ats)
			emit(&sink, ep->nest ? OP_ATC_ALL : OP_ATC, ep->iommu, ep->atc);
	}
	if (sync) {
		prev = NULL;
		list_for_each_entry_rcu(bond, &riscv->bonds, item) {
			ep = bond->device;
			if (prev && prev->iommu == ep->iommu)
				continue;
			wait_sync(&sink, emit_sync(&sink, ep->iommu));
			prev = ep;
		}
	}
	rcu_read_unlock();
	sink_close(queue, &sink);
}

static void riscv_walk(void *domain, struct sink *sink)
{
	riscv_send(domain, sink, false);
}

static void riscv_flush(void *domain, struct sink *sink)
{
	riscv_send(domain, sink, true);
}

const struct layout layout_riscv = {
	.name = "riscv",
	.peer = true,
	.collapses = true,
	.domain_size = sizeof(struct riscv_domain),
	.attachment_size = 0,
	.nests = true,
	.init = riscv_init,
	.exit = riscv_exit,
	.attach = riscv_attach,
	.detach = riscv_detach,
	.walk = riscv_walk,
	.flush = riscv_flush,
};
