// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer: Arm SMMUv3, since 7.0
 *
 * An array of all invalidations of the domain, sorted, each with a count of users,
 * published through RCU. Attach merges what the device needs into a new copy. Detach
 * takes users away in place, so that it cannot fail; what has none left is skipped by
 * walks, cut off at the end, and else purged into a new copy if there is memory for
 * one. If there are ATS commands in the array, walks hold its rwlock for reading, and
 * a detach marks the array as old under it, so that nothing is in flight to the
 * device afterwards.
 *
 * The kernel's rwlock is one atomic operation for a reader to enter and one to leave.
 */
#include <linux/errno.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "layout.h"

struct rwlock {
	u32 readers;
	u32 writer;
};

static void read_lock(struct rwlock *lock)
{
	for (;;) {
		__atomic_fetch_add(&lock->readers, 1, __ATOMIC_SEQ_CST);
		if (likely(!smp_load_acquire(&lock->writer)))
			return;
		__atomic_fetch_sub(&lock->readers, 1, __ATOMIC_RELEASE);
		while (READ_ONCE(lock->writer))
			cpu_relax();
	}
}

static void read_unlock(struct rwlock *lock)
{
	__atomic_fetch_sub(&lock->readers, 1, __ATOMIC_RELEASE);
}

/* Writers are kept apart by the domain's lock. */
static void write_lock(struct rwlock *lock)
{
	__atomic_store_n(&lock->writer, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&lock->readers, __ATOMIC_SEQ_CST))
		cpu_relax();
}

static void write_unlock(struct rwlock *lock)
{
	smp_store_release(&lock->writer, 0);
}

/* In the order of sending. */
enum inv_type {
	INV_IOTLB,
	INV_NEST,
	INV_ATC,
	INV_ATC_FULL,
};

struct inv {
	struct iommu_device *smmu;
	u8 type;
	u32 users;			/* 0: to be skipped */
	u64 id;
	u64 unused;			/* the driver's opcodes and page size */
};

struct invs {
	size_t nr;
	struct rwlock lock;
	bool has_ats;
	bool old;
	struct rcu_head rcu;
	struct inv inv[];
};

struct smmu_domain {
	struct invs __rcu *invs;
	spinlock_t lock;		/* attach and detach; the kernel's is a mutex */
};

/* What one device needs, sorted. */
struct inv_pair {
	u32 nr;
	struct inv inv[2];
};

static bool inv_is_ats(const struct inv *inv)
{
	return inv->type >= INV_ATC;
}

static struct inv_pair invs_of(const struct endpoint *ep)
{
	struct inv_pair pair = {
		.nr = ep->ats ? 2 : 1,
		.inv = {
			{ ep->iommu, ep->nest ? INV_NEST : INV_IOTLB, 1, ep->tag, 0 },
			{ ep->iommu, ep->nest ? INV_ATC_FULL : INV_ATC, 1, ep->atc, 0 },
		},
	};

	return pair;
}

static int inv_cmp(const struct inv *a, const struct inv *b)
{
	if (a->smmu != b->smmu)
		return a->smmu < b->smmu ? -1 : 1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return 0;
}

/* Past the end of one of both, the other one goes on. */
static int next_cmp(const struct invs *invs, size_t i, const struct inv_pair *pair,
		    u32 j)
{
	if (j == pair->nr)
		return -1;
	if (i == invs->nr)
		return 1;
	return inv_cmp(&invs->inv[i], &pair->inv[j]);
}

static struct invs *invs_alloc(size_t nr)
{
	struct invs *invs;

	/* Under a spinlock here. */
	invs = kzalloc(struct_size(invs, inv, nr), GFP_ATOMIC);
	if (invs)
		invs->nr = nr;
	return invs;
}

static struct invs *merge(const struct invs *old, const struct inv_pair *pair)
{
	struct invs *new;
	size_t i, nr = 0;
	u32 j;
	int cmp;

	for (i = 0, j = 0; i < old->nr || j < pair->nr; i += cmp <= 0, j += cmp >= 0) {
		cmp = next_cmp(old, i, pair, j);
		nr += cmp >= 0 || old->inv[i].users;
	}
	new = invs_alloc(nr);
	if (!new)
		return NULL;

	nr = 0;
	for (i = 0, j = 0; i < old->nr || j < pair->nr; i += cmp <= 0, j += cmp >= 0) {
		cmp = next_cmp(old, i, pair, j);
		if (cmp < 0 && !old->inv[i].users)
			continue;
		if (cmp > 0) {
			new->inv[nr] = pair->inv[j];
		} else {
			new->inv[nr] = old->inv[i];
			new->inv[nr].users += cmp == 0;
		}
		new->has_ats |= inv_is_ats(&new->inv[nr]);
		nr++;
	}
	return new;
}

/* Return: the number of entries left in between that are to be skipped. */
static size_t unref(struct invs *invs, const struct inv_pair *pair)
{
	size_t i, unused = 0, nr = 0;
	u32 j;
	int cmp;

	for (i = 0, j = 0; i < invs->nr; i += cmp <= 0, j += cmp >= 0) {
		cmp = next_cmp(invs, i, pair, j);
		if (cmp > 0)
			continue;
		if (cmp == 0)
			WRITE_ONCE(invs->inv[i].users, invs->inv[i].users - 1);
		if (invs->inv[i].users)
			nr = i + 1;
		else
			unused++;
	}
	unused -= invs->nr - nr;

	write_lock(&invs->lock);
	WRITE_ONCE(invs->nr, nr);
	write_unlock(&invs->lock);
	return unused;
}

static struct invs *purge(const struct invs *old, size_t unused)
{
	struct invs *new = invs_alloc(old->nr - unused);
	size_t i, nr = 0;

	for (i = 0; new && i < old->nr; i++) {
		if (!old->inv[i].users)
			continue;
		new->inv[nr] = old->inv[i];
		new->has_ats |= inv_is_ats(&new->inv[nr]);
		nr++;
	}
	return new;
}

static void publish(struct smmu_domain *smmu, struct invs *old, struct invs *new)
{
	rcu_assign_pointer(smmu->invs, new);
	smp_mb();
	/* Walks that hold the old one's lock have completed, others take the new. */
	if (old->has_ats) {
		write_lock(&old->lock);
		WRITE_ONCE(old->old, true);
		write_unlock(&old->lock);
	}
	kfree_rcu(old, rcu);
}

static void smmuv3_init(void *domain)
{
	struct smmu_domain *smmu = domain;

	spin_lock_init(&smmu->lock);
	smmu->invs = invs_alloc(0);
}

static void smmuv3_exit(void *domain)
{
	struct smmu_domain *smmu = domain;

	kfree_rcu(smmu->invs, rcu);
}

static int smmuv3_attach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct inv_pair pair = invs_of(ep);
	struct smmu_domain *smmu = domain;
	struct invs *old, *new;

	(void)attachment;
	spin_lock(&smmu->lock);
	old = smmu->invs;
	new = merge(old, &pair);
	if (new)
		publish(smmu, old, new);
	spin_unlock(&smmu->lock);
	return new ? 0 : -ENOMEM;
}

static void smmuv3_detach(void *domain, void *attachment, const struct endpoint *ep)
{
	struct inv_pair pair = invs_of(ep);
	struct smmu_domain *smmu = domain;
	struct invs *old, *new;
	size_t unused;

	(void)attachment;
	spin_lock(&smmu->lock);
	old = smmu->invs;
	unused = unref(old, &pair);
	if (unused) {
		new = purge(old, unused);
		if (new)
			publish(smmu, old, new);
	}
	spin_unlock(&smmu->lock);
}

static struct invs *walk_begin(struct smmu_domain *smmu, bool *locked)
{
	struct invs *invs;

	smp_mb();
	rcu_read_lock();
	for (;;) {
		invs = rcu_dereference(smmu->invs);
		*locked = invs->has_ats;
		if (!*locked)
			return invs;
		read_lock(&invs->lock);
		if (likely(!READ_ONCE(invs->old)))
			return invs;
		read_unlock(&invs->lock);
	}
}

static __always_inline void smmuv3_send(void *domain, struct sink *queue, bool sync)
{
	const struct inv *inv, *next, *end;
	struct invs *invs;
	bool locked;
	struct sink sink = sink_open(queue);

	invs = walk_begin(domain, &locked);
	inv = invs->inv;
	end = inv + READ_ONCE(invs->nr);
	while (inv != end && !READ_ONCE(inv->users))
		inv++;
	while (inv != end) {
		switch (inv->type) {
		case INV_IOTLB:
			emit(&sink, OP_IOTLB, inv->smmu, inv->id);
			break;
		case INV_NEST:
			emit(&sink, OP_NEST, inv->smmu, inv->id);
			break;
		case INV_ATC:
			emit(&sink, OP_ATC, inv->smmu, inv->id);
			break;
		case INV_ATC_FULL:
			emit(&sink, OP_ATC_ALL, inv->smmu, inv->id);
			break;
		}
		for (next = inv + 1; next != end && !READ_ONCE(next->users); next++)
			;
		/* Also the nests' part and the ATS part are for themselves. */
		if (sync && (next == end || next->smmu != inv->smmu ||
			     (next->type == INV_NEST && inv->type != INV_NEST) ||
			     (inv_is_ats(next) && !inv_is_ats(inv))))
			wait_sync(&sink, emit_sync(&sink, inv->smmu));
		inv = next;
	}
	if (locked)
		read_unlock(&invs->lock);
	rcu_read_unlock();
	sink_close(queue, &sink);
}

static void smmuv3_walk(void *domain, struct sink *sink)
{
	smmuv3_send(domain, sink, false);
}

static void smmuv3_flush(void *domain, struct sink *sink)
{
	smmuv3_send(domain, sink, true);
}

const struct layout layout_smmuv3 = {
	.name = "smmuv3",
	.peer = true,
	.collapses = true,
	.domain_size = sizeof(struct smmu_domain),
	.attachment_size = 0,
	.nests = true,
	.init = smmuv3_init,
	.exit = smmuv3_exit,
	.attach = smmuv3_attach,
	.detach = smmuv3_detach,
	.walk = smmuv3_walk,
	.flush = smmuv3_flush,
};
