// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list under torture, on hardware that costs nothing
 *
 * Domains, by number:
 *
 *   0   S2 parent of all nests, with attachments of its own, on all IOMMUs
 *   1   S1 domain, nested on 0
 *   2   many attachments on all IOMMUs
 *   3   one IOMMU and hardly more than one group, which is inside of the list
 *   4   nothing most of the time
 *   5   S1 domain that comes and goes
 *   6   one attachment on each of so many IOMMUs that a flush sends in two windows
 *   7   likewise, in one window that is too large for an inline flush
 *
 * IOMMUs 0..3 stay, number 4 is removed and comes back, those from 5 on are for the
 * domains 6 and 7.
 *
 * Walkers flush and walk all of them. Changers attach, attach the same twice, detach in
 * every way that there is, and hand steady groups and ATC targets over from one
 * attachment to the next. Togglers turn ATS on and off for what stays attached. A
 * builder makes S1 domains with nests and takes them down, a remover takes IOMMUs
 * away, a drainer drains and has allocations fail. A sulker has devices that fall silent,
 * and are set aside, blocked, reset and detached.
 *
 * IOMMUs take their time now and then, and abort what they were sent.
 *
 * A thread knows what it has attached by its seats; nobody else touches it.
 */
#include "oracle.h"
#include "torture.h"

#include <linux/array_size.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/rcupdate.h>

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shim.h"

#define PARENT		0
#define NESTED		1
#define MANY		2
#define FEW		3
#define EMPTY		4
#define SHORT_LIVED	5
#define WIDE		6
#define WIDER		7	/* than what is inline */
#define NR_LISTS	8

#define NR_STAYING	4	/* IOMMUs */
#define REMOVED_IOMMU	4
#define FIRST_WIDE	5
#define NR_WIDE		40
#define NR_WIDER	12
#define NR_ALL		(FIRST_WIDE + NR_WIDE)

#define MAX_OWNERS	8
#define NR_SEATS	16
#define NR_PENDING	8
#define OWN_IDS		(NR_IDS / MAX_OWNERS)
#define OWN_POSTS	(NR_POSTS / MAX_OWNERS)

#define STUCK_SECONDS	5	/* without a grace period: a fault */

struct domain {
	struct iommu_attach_list alist;
	u32 nr;
};

/* One attachment or nest of a thread. */
struct seat {
	struct iommu_attach_nest *nest;		/* NULL: free */
	u32 nr;					/* halves */
	struct domain *domain[2];
	u32 group[2], target[2];		/* marks; a target of 0: none */
	int id;					/* -1: shares its values */
	bool atc;				/* in use */
	struct sulk *sulk;
	u32 clean[MAX_WALKERS];			/* since it was attached */
};

/* A device that may fall silent. @lock guards what happens to its endpoint. */
struct sulk {
	pthread_mutex_t lock;
	struct iommu_attach_endpoint endpoint;
	u32 id, generation;
	u32 domain[2];
	u32 nr;				/* domains */
	bool aside;			/* and not blocked */
};

/* Deleted, not drained yet. */
struct pending {
	struct iommu_attach_nest *nest;
	struct iommu_device *iommu;
	int id;
	u32 generation;
};

struct owner {
	struct thread *thread;
	u32 nr;
	struct seat seat[NR_SEATS];
	struct pending pending[NR_PENDING];
	u32 nr_pending;
	/* Identities: */
	u32 next;
	u32 generation[OWN_IDS];
	u32 refs[OWN_IDS];
	u64 gone[OWN_IDS];
	/* Of a changer: what it hands over, and to whom. */
	struct seat relay[2][2];
	u32 turn[2];
	/* Of the builder and of the remover: */
	struct domain *domain;
	struct iommu_device *iommu;
};

static struct domain domains[NR_LISTS];		/* SHORT_LIVED is not used */
static struct domain *short_lived;		/* RCU */
static struct iommu_device iommus[NR_ALL];
static u64 devices[NR_IOMMUS];

static struct owner owners[MAX_OWNERS];
static u32 nr_owners;
static struct sight *sights[MAX_WALKERS];
static u32 nr_sights;
static struct seat steady[128];
static u32 nr_steady;
static unsigned long live_before, bytes_before;

static struct sulk sulks[NR_SEATS];
static struct sulk *sulk_of[NR_IDS];

static u64 ages[NR_AGES], timeouts, aborts;

static void say_fault(const struct sight *sight)
{
	u32 mark = sight->mark, group;
	char what[96] = "";

	if (mark >= MARK_IDS) {
		snprintf(what, sizeof(what), ", %s of identity %u, %s tag",
			 (mark - MARK_IDS) & 1 ? "ATC" : "group", (mark - MARK_IDS) / 4,
			 (mark - MARK_IDS) & 2 ? "nest's" : "own");
	} else if (mark) {
		group = mark < MARK_TARGETS ? mark - MARK_GROUPS :
					      (mark - MARK_TARGETS) / NR_RIDS;
		snprintf(what, sizeof(what), ", %s of tag %u, %s, IOMMU %u",
			 mark < MARK_TARGETS ? "group" : "ATC", group % NR_TAGS,
			 group / NR_TAGS & 1 ? "nest's" : "own",
			 group / NR_TAGS / 2 % NR_IOMMUS);
	}
	torture_fail("walker %u, walk %u, domain %u, %s%s%s%s: %s%s", sight->walker,
		     sight->walk, sight->domain, sight->mode & BY_HAND ? "by hand" : "flush",
		     sight->mode & NEST_WAITS ? ", waits before nests" : "",
		     sight->mode & ATC_WAITS ? ", waits before ATCs" : "",
		     sight->mode & WITHOUT_ATC ? ", without ATCs" : "",
		     fault_names[sight->fault], what);
}

/*
 * Walkers
 */

struct bare {
	struct iommu_attach_elm elm;
};

/* Something else may come in between. */
static void note_iotlb(const struct iommu_attach_group *group, void *arg)
{
	sight_iotlb(group, arg);
	serial_note(group->tag);
	serial_yield();
}

static void note_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	sight_atc(group, atc, arg);
	serial_note(atc);
	serial_yield();
}

static u64 note_submit(struct iommu_device *iommu_device, void *arg)
{
	serial_yield();
	return sight_submit(iommu_device, arg);
}

/* Of the CPUs' time that all threads have had: on a busy host, a second may bring none. */
static double cpu_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Its flush holds the fence, or it is the device's own thread: the device is there. */
static void set_aside(struct sulk *sulk)
{
	serial_quiet(true);
	pthread_mutex_lock(&sulk->lock);
	if (!iommu_attach_is_aside(&sulk->endpoint)) {
		sulk->aside = true;
		aside_begins(sulk->domain, sulk->nr);
		iommu_attach_set_aside(&sulk->endpoint);
		__atomic_store_n(&oracle.aside[sulk->id],
				 __atomic_add_fetch(&oracle.aside_clock, 1, __ATOMIC_SEQ_CST),
				 __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&sulk->lock);
	serial_quiet(false);
}

static struct sulk *silent_in_flight(const struct sight *sight,
				     const struct iommu_device *iommu_device)
{
	u32 i = 0, mark;

	while ((mark = sight_in_flight(sight, iommu_device, &i))) {
		if (mark >= MARK_IDS && (mark - MARK_IDS) & 1 &&
		    READ_ONCE(oracle.silent[(mark - MARK_IDS) / 4]))
			return sulk_of[(mark - MARK_IDS) / 4];
	}
	return NULL;
}

/* Until a whole grace period has passed: RCU does not wait for it. */
static bool is_stuck(struct sight *sight, struct stuck *stuck)
{
	u64 ended = __atomic_load_n(&oracle.gp_ended, __ATOMIC_SEQ_CST);

	if (!stuck->until) {
		stuck->until = gp_now() + 2;
		stuck->since = cpu_seconds();
	}
	if (ended >= stuck->until || torture_stopping())
		return false;
	if (!options.serial) {
		sched_yield();
		if (cpu_seconds() - stuck->since > STUCK_SECONDS) {
			sight_fault(sight, RCU_HELD, 0);
			return false;
		}
	}
	return true;
}

static int note_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct sight *sight = arg;
	struct stuck *stuck = &sight->stuck[iommu_device->nr % NR_IOMMUS];
	u64 random = next_random(&sight->rng);
	struct sulk *silent = stuck->on;
	int error = 0;

	serial_yield();
	if (!silent)
		silent = stuck->on = silent_in_flight(sight, iommu_device);
	if (silent) {
		if (is_stuck(sight, stuck))
			return -EINPROGRESS;
		stuck->on = NULL;
		stuck->until = 0;
		error = -ETIMEDOUT;
		if (!(random & 3)) {
			/* A driver that knows whose it is. */
			set_aside(silent);
			error = -EAGAIN;
		}
		sight->timeouts++;
	} else if (!(random & 15)) {
		return -EINPROGRESS;
	} else if (!(random >> 8 & 127)) {
		sight->aborts++;
		error = -EAGAIN;
	}
	sight_wait(iommu_device, cookie, error, arg);
	return error;
}

static void note_silent(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	struct sight *sight = arg;
	struct sulk *sulk = sulk_of[atc & (NR_IDS - 1)];

	(void)iommu_device;
	if (!(atc & UNIQUE) || !sulk || sulk->generation != (u32)(atc >> 16 & 0xffffffff))
		sight_fault(sight, FENCED, id_target_mark(atc & (NR_IDS - 1), 0));
	else
		set_aside(sulk);
}

static void walk_by_hand(struct sight *sight, struct domain *domain)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	struct bare *bare;
	u64 atc;

	sight_begin(sight, domain->nr, BY_HAND);
	iommu_attach_walk_begin(&walk, &domain->alist);
	iommu_attach_for_each_group(group, &walk)
		note_iotlb(group, sight);
	iommu_attach_for_each_iommu(group, &walk)
		sight_iommu(sight, group);
	sight_iotlb_done(sight);
	iommu_attach_for_each_atc(group, atc, &walk)
		note_atc(group, atc, sight);
	iommu_attach_for_each_all(bare, &walk, elm)
		sight_elm(sight, &bare->elm);
	iommu_attach_walk_end(&walk);
	sight_end(sight, 0);
}

static void walk_by_flush(struct sight *sight, struct domain *domain, u32 mode)
{
	const struct iommu_attach_flush_ops ops = {
		.iotlb = note_iotlb,
		.atc = mode & WITHOUT_ATC ? NULL : note_atc,
		.submit = note_submit,
		.wait = note_wait,
		.silent = note_silent,
		.wait_before_nest = mode & NEST_WAITS,
		.wait_before_atc = mode & ATC_WAITS,
	};
	int error;

	sight_begin(sight, domain->nr, mode);
	error = iommu_attach_flush(&domain->alist, &ops, sight);
	sight_end(sight, error);
}

static void walk_domain(struct thread *thread, struct domain *domain)
{
	struct sight *sight = thread->priv;
	u32 how = random_below(thread, 8);

	if (how < NR_MODES) {
		walk_by_flush(sight, domain, how);
		count_op(thread, OP_FLUSH);
	} else if (how < 7) {
		walk_by_flush(sight, domain, how - NR_MODES);
		count_op(thread, OP_FLUSH);
	} else {
		walk_by_hand(sight, domain);
		count_op(thread, OP_WALK);
	}
	if (sight->fault != FINE)
		say_fault(sight);
}

static void walker_step(struct thread *thread)
{
	static const u8 favourites[] = {
		PARENT, PARENT, PARENT, NESTED, MANY, MANY, MANY, FEW, FEW, FEW,
		EMPTY, EMPTY, SHORT_LIVED, WIDE, WIDER,
	};
	u32 nr = favourites[random_below(thread, ARRAY_SIZE(favourites))];
	struct domain *domain;

	if (nr != SHORT_LIVED) {
		walk_domain(thread, &domains[nr]);
		return;
	}
	rcu_read_lock();
	domain = rcu_dereference(short_lived);
	if (domain)
		walk_domain(thread, domain);
	rcu_read_unlock();
}

/*
 * Identities
 */

static u32 own_id(const struct owner *owner, u32 i)
{
	return owner->nr * OWN_IDS + i;
}

/* One that no walk sees any more; its last user left longest ago. */
static u32 id_get(struct owner *owner, u32 s1, u32 s2, u32 iommu, bool toggles,
		  bool sulking)
{
	u32 i, id, kind;

	do {
		i = owner->next++ % OWN_IDS;
	} while (owner->refs[i]);
	while (owner->generation[i] && !gp_over(owner->gone[i]))
		gp_wait();
	owner->refs[i] = 1;
	owner->generation[i]++;
	id = own_id(owner, i);
	for (kind = 0; kind < 2; kind++)
		oracle.born[id_group_mark(id, kind)] = 0;
	WRITE_ONCE(oracle.id[id], id_pack(owner->generation[i], s1, s2, iommu, toggles,
					    sulking));
	return i;
}

/*
 * Seats
 */

/* @atc: the value, if @use. */
static void fill(struct iommu_attach_elm *elm, struct iommu_device *iommu, u64 tag,
		 u64 atc, bool use, bool is_steady)
{
	elm->iommu_device = iommu;
	elm->fence = &iommu->fence;
	elm->tag = tag;
	elm->atc = atc;
	elm->using_atc = use;
	elm->pasid = elm_check(elm, is_steady);
	iommu_attach_elm_set_device(elm, (struct device *)&devices[iommu->nr]);
}

static struct iommu_attach_nest *nest_alloc(void)
{
	struct iommu_attach_nest *nest;

	do {
		nest = kzalloc(sizeof(*nest), GFP_KERNEL);
	} while (!nest);
	return nest;
}

static void seat_values(struct seat *seat, struct iommu_device *iommu, u64 tag, u64 atc,
			bool use, bool is_steady)
{
	seat->nest = nest_alloc();
	fill(&seat->nest->s1, iommu, tag, atc, use, is_steady);
	fill(&seat->nest->s2, iommu, tag, atc, use, is_steady);
	seat->atc = use;
	seat->sulk = NULL;
}

/* Values that others may have, too. */
static void seat_share(struct seat *seat, struct iommu_device *iommu, u32 tag, u32 rid,
		       bool use, bool is_steady)
{
	u32 half;

	seat_values(seat, iommu, tag, rid, use, is_steady);
	seat->id = -1;
	for (half = 0; half < seat->nr; half++) {
		seat->group[half] = group_mark(seat->domain[half]->nr, iommu->nr, half, tag);
		seat->target[half] = target_mark(seat->group[half], rid);
	}
}

static void seat_on(struct seat *seat, struct domain *s1, struct domain *s2)
{
	seat->nr = s2 ? 2 : 1;
	seat->domain[0] = s1;
	seat->domain[1] = s2;
}

static void seat_choose(struct owner *owner, struct seat *seat,
			struct iommu_device *iommu, bool toggles)
{
	struct thread *thread = owner->thread;
	u32 tag = random_below(thread, NR_TAGS), rid = random_below(thread, NR_RIDS);
	bool use = random_below(thread, 3), own_tag = random_below(thread, 2);
	u32 s1 = seat->domain[0]->nr, half, i, id;
	u64 value;

	if (!own_tag && rid && random_below(thread, 2)) {
		seat_share(seat, iommu, tag, rid, use, false);
		return;
	}
	i = id_get(owner, s1, seat->nr == 2 ? seat->domain[1]->nr : 0, iommu->nr, toggles,
		   false);
	id = own_id(owner, i);
	value = id_value(id, owner->generation[i]);
	seat_values(seat, iommu, own_tag ? value : tag, value, use, false);
	seat->id = i;
	for (half = 0; half < seat->nr; half++) {
		seat->group[half] = own_tag ? id_group_mark(id, half) :
			group_mark(seat->domain[half]->nr, iommu->nr, half, tag);
		seat->target[half] = id_target_mark(id, half);
	}
}

/* As if the device were attached once more. */
static void seat_copy(struct owner *owner, struct seat *seat, const struct seat *from)
{
	const struct iommu_attach_elm *elm = &from->nest->s1;

	*seat = *from;
	seat_values(seat, elm->iommu_device, elm->tag, elm->atc, from->atc,
		    elm->pasid & 1);
	if (seat->id >= 0)
		owner->refs[seat->id]++;
}

static void seat_targets_come(const struct seat *seat)
{
	u32 half;

	for (half = 0; half < seat->nr; half++)
		mark_come(seat->target[half]);
}

static void seat_targets_go(const struct seat *seat)
{
	u32 half;

	for (half = 0; half < seat->nr; half++)
		mark_go(seat->target[half]);
}

static u32 post_slot(const struct owner *owner, const struct seat *seat)
{
	if (seat < owner->seat || seat >= &owner->seat[OWN_POSTS])
		return NR_POSTS;
	return owner->nr * OWN_POSTS + (u32)(seat - owner->seat);
}

/* The hardware uses it: by something that is of this attachment alone. */
static void seat_post(struct owner *owner, const struct seat *seat)
{
	u32 slot = post_slot(owner, seat), half;
	bool atc = seat->atc;

	if (slot == NR_POSTS || seat->id < 0)
		return;
	half = seat->nr == 2 ? random_below(owner->thread, 2) : 0;
	if (atc || seat->group[half] >= MARK_IDS)
		post(slot, seat->domain[half]->nr,
		     atc ? seat->target[half] : seat->group[half], atc, seat->clean);
}

static void seat_unpost(const struct owner *owner, const struct seat *seat)
{
	u32 slot = post_slot(owner, seat);

	if (slot != NR_POSTS)
		unpost(slot);
}

/* Groups that were new, or are gone. */
static void seat_born(const struct seat *seat, int ret, s32 by)
{
	u32 half;

	for (half = 0; half < seat->nr; half++) {
		if (ret & (half ? IOMMU_ATTACH_GROUP_PARENT : IOMMU_ATTACH_GROUP_DOMAIN))
			__atomic_add_fetch(&oracle.born[seat->group[half]], by,
					   __ATOMIC_RELAXED);
	}
}

static void seat_attach(struct owner *owner, struct seat *seat)
{
	u32 half, i;
	int ret;

	for (half = 0; half < seat->nr; half++)
		mark_come(seat->group[half]);
	if (seat->atc)
		seat_targets_come(seat);
	do {
		if (seat->nr == 2)
			ret = iommu_attach_add_nest(&seat->domain[0]->alist,
						    &seat->domain[1]->alist, seat->nest);
		else
			ret = iommu_attach_add(&seat->domain[0]->alist, &seat->nest->s1);
	} while (ret == -ENOMEM);
	if (ret < 0)
		torture_fail("attach returns %d", ret);
	/* The hardware starts to read the page table. */
	for (i = 0; i < MAX_WALKERS; i++)
		seat->clean[i] = READ_ONCE(oracle.walker[i].table);
	seat_born(seat, ret, 1);
	seat_post(owner, seat);
	count_op(owner->thread, seat->nr == 2 ? OP_ATTACH_NEST : OP_ATTACH);
}

/* Nobody uses the identity of a deleted seat: since when. */
static void seat_put_id(struct owner *owner, const struct seat *seat)
{
	if (seat->id >= 0 && !--owner->refs[seat->id])
		owner->gone[seat->id] = gp_now();
}

static void id_drained(struct owner *owner, int id, u32 generation)
{
	u32 kind, mark;

	if (id < 0 || owner->refs[id] || owner->generation[id] != generation)
		return;
	for (kind = 0; kind < 2; kind++) {
		mark = id_group_mark(own_id(owner, id), kind);
		mark_drained(mark);
		mark_drained(mark + 1);
	}
}

/* Deleted: @ret is what that told, if it did. */
static void seat_gone(struct owner *owner, struct seat *seat, int ret)
{
	u32 half;

	if (ret < 0)
		torture_fail("detach returns %d", ret);
	seat_born(seat, ret, -1);
	for (half = 0; half < seat->nr; half++)
		mark_go(seat->group[half]);
	if (seat->atc)
		seat_targets_go(seat);
	seat_put_id(owner, seat);
	seat->nest = NULL;
	count_op(owner->thread, seat->nr == 2 ? OP_DETACH_NEST : OP_DETACH);
}

/* One drain for all that were behind one IOMMU. */
static void drain_pending(struct owner *owner)
{
	u32 i, done;

	for (done = 0; done < owner->nr_pending; done++) {
		struct iommu_device *iommu = owner->pending[done].iommu;

		if (!iommu)
			continue;
		gp_drain(iommu);
		count_op(owner->thread, OP_DRAIN);
		for (i = done; i < owner->nr_pending; i++) {
			struct pending *pending = &owner->pending[i];

			if (pending->iommu != iommu)
				continue;
			id_drained(owner, pending->id, pending->generation);
			kfree(pending->nest);
			pending->iommu = NULL;
		}
	}
	owner->nr_pending = 0;
}

static int seat_del(const struct seat *seat)
{
	if (seat->nr == 2)
		return iommu_attach_del_nest(&seat->domain[0]->alist,
					     &seat->domain[1]->alist, seat->nest);
	return iommu_attach_del(&seat->domain[0]->alist, &seat->nest->s1);
}

/* No command for the targets of a seat that is gone, unless others have them. */
static void seat_fenced(const struct owner *owner, const struct seat *seat)
{
	u32 half;

	if (seat->id < 0 || owner->refs[seat->id])
		return;
	for (half = 0; half < seat->nr; half++)
		mark_fenced(id_target_mark(own_id(owner, seat->id), half));
}

enum how { FREE, FENCE, DRAIN, PENDING, NR_HOWS };

static void seat_detach(struct owner *owner, struct seat *seat, enum how how)
{
	struct iommu_attach_nest *nest = seat->nest;
	struct iommu_device *iommu = nest->s1.iommu_device;
	struct pending *pending;

	/* The hardware does not use it any more. */
	seat_unpost(owner, seat);

	switch (how) {
	case FREE:
		seat_gone(owner, seat, seat_del(seat));
		kfree_rcu(nest, s1.rcu);
		break;
	case FENCE:
		seat_gone(owner, seat, seat_del(seat));
		kfree_rcu(nest, s1.rcu);
		gp_fence(iommu);
		seat_fenced(owner, seat);
		count_op(owner->thread, OP_FENCE);
		break;
	case DRAIN:
		seat_gone(owner, seat, seat_del(seat));
		gp_drain(iommu);
		kfree(nest);
		if (seat->id >= 0)
			id_drained(owner, seat->id, owner->generation[seat->id]);
		break;
	default:
		pending = &owner->pending[owner->nr_pending++];
		pending->nest = nest;
		pending->iommu = iommu;
		pending->id = seat->id;
		pending->generation = seat->id < 0 ? 0 : owner->generation[seat->id];
		seat_gone(owner, seat, seat_del(seat));
		if (owner->nr_pending == NR_PENDING)
			drain_pending(owner);
	}
}

static void seat_ats_on(struct owner *owner, struct seat *seat)
{
	u8 kind = seat->nr == 2 ? random_below(owner->thread, 2) : 0;
	u32 nr = seat->nest->s1.iommu_device->nr, i, clean;
	int ret;

	seat_targets_come(seat);
	do {
		ret = iommu_attach_enable_atc(kind ? &seat->nest->s2 : &seat->nest->s1);
	} while (ret == -ENOMEM);
	if (ret)
		torture_fail("ATS on returns %d", ret);
	/* The device starts to ask, the IOMMU answers from its IOTLB. */
	seat->atc = true;
	for (i = 0; i < MAX_WALKERS; i++) {
		clean = READ_ONCE(oracle.walker[i].iotlb[nr][kind]);
		if ((s32)(clean - seat->clean[i]) > 0)
			seat->clean[i] = clean;
	}
	if (seat->id >= 0 && post_slot(owner, seat) != NR_POSTS)
		post(post_slot(owner, seat), seat->domain[kind]->nr, seat->target[kind],
		     true, seat->clean);
	count_op(owner->thread, OP_ATS_ON);
}

static void seat_ats_off(struct owner *owner, struct seat *seat)
{
	struct iommu_attach_elm *elm = &seat->nest->s1;
	u32 half;

	seat_unpost(owner, seat);
	if (seat->nr == 2 && random_below(owner->thread, 2))
		elm = &seat->nest->s2;
	iommu_attach_disable_atc(elm);
	seat_targets_go(seat);
	seat->atc = false;
	count_op(owner->thread, OP_ATS_OFF);
	if (random_below(owner->thread, 4))
		return;
	/* The device stops to answer. */
	gp_fence(elm->iommu_device);
	count_op(owner->thread, OP_FENCE);
	if (seat->id >= 0 && owner->refs[seat->id] == 1) {
		for (half = 0; half < seat->nr; half++)
			mark_fenced(seat->target[half]);
	}
}

/*
 * Changers
 */

static const u8 plain_domains[] = { PARENT, MANY, MANY, FEW, EMPTY };

static void changer_attach(struct owner *owner, struct seat *seat)
{
	struct thread *thread = owner->thread;
	u32 nr = plain_domains[random_below(thread, ARRAY_SIZE(plain_domains))];
	struct iommu_device *iommu = &iommus[random_below(thread, NR_STAYING)];
	struct seat *other = &owner->seat[random_below(thread, NR_SEATS)];

	if (other->nest && !random_below(thread, 3)) {
		seat_copy(owner, seat, other);
	} else {
		if (random_below(thread, 4))
			seat_on(seat, &domains[nr], NULL);
		else
			seat_on(seat, &domains[NESTED], &domains[PARENT]);
		if (nr == FEW)
			iommu = &iommus[0];
		seat_choose(owner, seat, iommu, false);
	}
	seat_attach(owner, seat);
}

static void changer_hand_over(struct owner *owner)
{
	u32 i = random_below(owner->thread, 2), now = owner->turn[i], next = !now;

	seat_copy(owner, &owner->relay[i][next], &owner->relay[i][now]);
	seat_attach(owner, &owner->relay[i][next]);
	seat_detach(owner, &owner->relay[i][now], random_below(owner->thread, NR_HOWS));
	owner->turn[i] = next;
	count_op(owner->thread, OP_HAND_OVER);
}

static void changer_find_tag(struct owner *owner)
{
	u32 nr = random_below(owner->thread, SHORT_LIVED);
	u32 iommu = random_below(owner->thread, NR_STAYING);
	bool is_steady = oracle.steady[group_mark(nr, iommu, IOMMU_ATTACH_OWN, 0)];
	u64 tag = 0;
	int ret;

	ret = iommu_attach_find_tag(&domains[nr].alist, &iommus[iommu], &tag);
	if (is_steady && (ret || tag))
		torture_fail("find_tag returns %d and tag %llu, not tag 0", ret, tag);
	else if (!ret && tag >= NR_TAGS && !(tag & UNIQUE))
		torture_fail("find_tag returns tag %llu, which is nobody's", tag);
	count_op(owner->thread, OP_FIND_TAG);
}

static void changer_look(struct owner *owner)
{
	u32 nr = random_below(owner->thread, SHORT_LIVED), nr_seen = 0;
	struct domain *domain = &domains[nr];
	struct bare *bare;
	bool wrong = false;

	iommu_attach_lock(&domain->alist);
	iommu_attach_for_each_locked(bare, &domain->alist, elm) {
		nr_seen += bare->elm.pasid & 1;
		wrong |= bare->elm.pasid >> 1 != elm_check(&bare->elm, false) >> 1 ||
			 iommu_attach_elm_device(&bare->elm) !=
			 (struct device *)&devices[bare->elm.iommu_device->nr];
	}
	iommu_attach_unlock(&domain->alist);
	if (wrong)
		torture_fail("domain %u, locked: an attachment is not its own", nr);
	if (nr_seen != oracle.nr_steady_elms[nr])
		torture_fail("domain %u, locked: attachments that stay are missed", nr);
	count_op(owner->thread, OP_LOCKED);
}

static void changer_step(struct thread *thread)
{
	struct owner *owner = thread->priv;
	struct seat *seat = &owner->seat[random_below(thread, NR_SEATS)];
	u32 what = random_below(thread, 64);

	if (what == 0)
		changer_find_tag(owner);
	else if (what == 1)
		changer_look(owner);
	else if (what < 10)
		changer_hand_over(owner);
	else if (!seat->nest)
		changer_attach(owner, seat);
	else
		seat_detach(owner, seat, what < 12 ? DRAIN : what < 20 ? PENDING :
					 what < 28 ? FENCE : FREE);
}

/*
 * Togglers
 */

static void toggler_step(struct thread *thread)
{
	struct owner *owner = thread->priv;
	struct seat *seat = &owner->seat[random_below(thread, OWN_POSTS)];
	u32 nr = plain_domains[random_below(thread, ARRAY_SIZE(plain_domains))];
	struct iommu_device *iommu = &iommus[random_below(thread, NR_STAYING)];

	if (!seat->nest) {
		if (random_below(thread, 2))
			seat_on(seat, &domains[nr], NULL);
		else
			seat_on(seat, &domains[NESTED], &domains[PARENT]);
		seat_choose(owner, seat, nr == FEW ? &iommus[0] : iommu, true);
		seat_attach(owner, seat);
	} else if (!random_below(thread, 64)) {
		seat_detach(owner, seat, FREE);
	} else if (seat->atc) {
		seat_ats_off(owner, seat);
	} else {
		seat_ats_on(owner, seat);
	}
}

/*
 * The builder of nests
 */

static void detach_all(struct owner *owner)
{
	u32 i;

	for (i = 0; i < NR_SEATS; i++) {
		if (owner->seat[i].nest)
			seat_detach(owner, &owner->seat[i], PENDING);
	}
	drain_pending(owner);
}

static void builder_destroy(struct owner *owner)
{
	struct domain *domain = owner->domain;

	detach_all(owner);
	rcu_assign_pointer(short_lived, NULL);
	gp_wait();
	iommu_attach_destroy(&domain->alist);
	kfree(domain);
	owner->domain = NULL;
}

static void builder_step(struct thread *thread)
{
	struct owner *owner = thread->priv;
	struct seat *seat = &owner->seat[random_below(thread, NR_SEATS)];
	u32 what = random_below(thread, 64);
	struct domain *domain;

	if (!owner->domain) {
		do {
			domain = kzalloc(sizeof(*domain), GFP_KERNEL);
		} while (!domain);
		iommu_attach_init(&domain->alist);
		domain->nr = SHORT_LIVED;
		owner->domain = domain;
		rcu_assign_pointer(short_lived, domain);
		count_op(thread, OP_NEW_DOMAIN);
	} else if (!what) {
		builder_destroy(owner);
	} else if (!seat->nest) {
		seat_on(seat, owner->domain, &domains[PARENT]);
		seat_choose(owner, seat, &iommus[random_below(thread, NR_STAYING)], false);
		seat_attach(owner, seat);
	} else if (what < 32) {
		seat_detach(owner, seat, what % NR_HOWS);
	}
}

/*
 * The remover of IOMMUs
 */

static void remover_remove(struct owner *owner)
{
	struct iommu_device *iommu = owner->iommu;
	u32 i;

	for (i = 0; i < NR_SEATS; i++) {
		if (owner->seat[i].nest)
			seat_detach(owner, &owner->seat[i], i % 2 ? PENDING : FREE);
	}
	drain_pending(owner);
	gp_drain(iommu);
	iommu_attach_fence_destroy(&iommu->fence);
	iommu->alive = 0;
	kfree(iommu);
	owner->iommu = NULL;
	count_op(owner->thread, OP_REMOVE_IOMMU);
}

static void iommu_init(struct iommu_device *iommu, u32 nr)
{
	iommu->alive = IOMMU_ALIVE;
	iommu->nr = nr;
	while (iommu_attach_fence_init(&iommu->fence))
		;
}

static void remover_step(struct thread *thread)
{
	struct owner *owner = thread->priv;
	struct seat *seat = &owner->seat[random_below(thread, NR_SEATS)];
	u32 nr = plain_domains[random_below(thread, ARRAY_SIZE(plain_domains))];

	if (!owner->iommu) {
		do {
			owner->iommu = kzalloc(sizeof(*owner->iommu), GFP_KERNEL);
		} while (!owner->iommu);
		iommu_init(owner->iommu, REMOVED_IOMMU);
	} else if (!seat->nest) {
		if (random_below(thread, 2))
			seat_on(seat, &domains[nr], NULL);
		else
			seat_on(seat, &domains[NESTED], &domains[PARENT]);
		seat_choose(owner, seat, owner->iommu, false);
		seat_attach(owner, seat);
	} else if (!random_below(thread, 8)) {
		remover_remove(owner);
	}
}

/*
 * The sulker
 */

static void sulker_attach(struct owner *owner, struct seat *seat)
{
	struct sulk *sulk = &sulks[seat - owner->seat];
	struct iommu_device *iommu = &iommus[2 + random_below(owner->thread, 2)];
	u32 half, i, id;
	u64 value;

	if (random_below(owner->thread, 2))
		seat_on(seat, &domains[MANY], NULL);
	else
		seat_on(seat, &domains[NESTED], &domains[PARENT]);
	i = id_get(owner, seat->domain[0]->nr, seat->nr == 2 ? seat->domain[1]->nr : 0,
		   iommu->nr, false, true);
	id = own_id(owner, i);
	value = id_value(id, owner->generation[i]);
	seat_values(seat, iommu, value, value, true, false);
	seat->id = i;
	seat->sulk = sulk;
	sulk->id = id;
	sulk->generation = owner->generation[i];
	sulk->nr = seat->nr;
	for (half = 0; half < seat->nr; half++) {
		seat->group[half] = id_group_mark(id, half);
		seat->target[half] = id_target_mark(id, half);
		sulk->domain[half] = seat->domain[half]->nr;
	}
	seat->nest->s1.endpoint = &sulk->endpoint;
	seat->nest->s2.endpoint = &sulk->endpoint;
	sulk_of[id] = sulk;
	seat_attach(owner, seat);
}

/* The IOMMU refuses what the device has translated. */
static void sulker_block(struct owner *owner, struct seat *seat)
{
	struct sulk *sulk = seat->sulk;

	seat_unpost(owner, seat);
	serial_quiet(true);
	pthread_mutex_lock(&sulk->lock);
	iommu_attach_blocked(&sulk->endpoint);
	if (sulk->aside)
		aside_ends(sulk->domain, sulk->nr);
	sulk->aside = false;
	pthread_mutex_unlock(&sulk->lock);
	serial_quiet(false);
	count_op(owner->thread, OP_BLOCKED);
}

static void sulker_resume(struct sulk *sulk)
{
	serial_quiet(true);
	pthread_mutex_lock(&sulk->lock);
	WRITE_ONCE(oracle.aside[sulk->id], 0);
	iommu_attach_resume(&sulk->endpoint);
	if (sulk->aside)
		aside_ends(sulk->domain, sulk->nr);
	sulk->aside = false;
	pthread_mutex_unlock(&sulk->lock);
	serial_quiet(false);
}

/* Its ATC is empty after that, and it answers. */
static void sulker_reset(struct owner *owner, struct seat *seat)
{
	struct iommu_device *iommu = seat->nest->s1.iommu_device;
	u32 half, i, clean;

	seat_unpost(owner, seat);
	WRITE_ONCE(oracle.silent[seat->sulk->id], 0);
	sulker_resume(seat->sulk);
	if (!torture_no_resume_fence)
		gp_fence(iommu);
	/* The IOMMU answers it from its IOTLB. */
	half = seat->nr == 2 ? random_below(owner->thread, 2) : 0;
	for (i = 0; i < MAX_WALKERS; i++) {
		clean = READ_ONCE(oracle.walker[i].iotlb[iommu->nr][half]);
		if ((s32)(clean - seat->clean[i]) > 0)
			seat->clean[i] = clean;
	}
	post(post_slot(owner, seat), seat->domain[half]->nr, seat->target[half], true,
	     seat->clean);
	count_op(owner->thread, OP_RESET);
}

/* A device that is silent may leave, too. */
static void sulker_detach(struct owner *owner, struct seat *seat)
{
	struct sulk *sulk = seat->sulk;

	seat_detach(owner, seat, FENCE);
	/* No flush knows it any more. */
	WRITE_ONCE(oracle.silent[sulk->id], 0);
	sulker_resume(sulk);
	sulk_of[sulk->id] = NULL;
}

static void sulker_step(struct thread *thread)
{
	struct owner *owner = thread->priv;
	struct seat *seat = &owner->seat[random_below(thread, OWN_POSTS)];
	u32 what = random_below(thread, 8);

	if (!seat->nest) {
		sulker_attach(owner, seat);
	} else if (!what) {
		sulker_detach(owner, seat);
	} else if (iommu_attach_is_aside(&seat->sulk->endpoint)) {
		if (what < 4)
			sulker_block(owner, seat);
		else
			sulker_reset(owner, seat);
	} else if (!oracle.silent[seat->sulk->id]) {
		WRITE_ONCE(oracle.silent[seat->sulk->id], 1);
		count_op(thread, OP_SILENT);
	} else if (what == 1) {
		/* Its driver notices by itself. */
		set_aside(seat->sulk);
		count_op(thread, OP_ASIDE);
	} else if (what == 2) {
		sulker_reset(owner, seat);
	}
}

/*
 * The drainer
 */

static void rcu_step(struct thread *thread)
{
	(void)thread;
	gp_wait();
}

static void drainer_step(struct thread *thread)
{
	u32 what = random_below(thread, 64);

	if (what == 0) {
		shim_rcu_barrier();
	} else if (what < 16) {
		shim_fail_nth(1 + random_below(thread, 8));
		count_op(thread, OP_NO_MEMORY);
	} else {
		gp_drain(&iommus[random_below(thread, NR_STAYING)]);
		count_op(thread, OP_DRAIN);
	}
}

/*
 * A round
 */

static struct owner *owner_add(const char *name, void (*step)(struct thread *thread),
			       u32 steps_per_nap)
{
	struct owner *owner = &owners[nr_owners];

	memset(owner, 0, sizeof(*owner));
	owner->nr = nr_owners++;
	owner->thread = thread_add(name, step, owner, steps_per_nap);
	return owner;
}

static void make_steady(const struct seat *seat, bool elm)
{
	u32 half, nr;

	for (half = 0; half < seat->nr; half++) {
		nr = seat->domain[half]->nr;
		oracle.nr_steady_groups[nr] += !oracle.steady[seat->group[half]];
		oracle.steady[seat->group[half]] = 1;
		if (seat->atc) {
			oracle.nr_steady_targets[nr] += !oracle.steady[seat->target[half]];
			oracle.steady[seat->target[half]] = 1;
		}
		oracle.nr_steady_elms[nr] += elm;
		oracle.steady_iommus[nr] |= BIT_ULL(seat->nest->s1.iommu_device->nr);
	}
}

static void add_steady(struct owner *owner, struct domain *s1, struct domain *s2,
		       u32 iommu, u32 tag, u32 rid, bool use)
{
	struct seat *seat = &steady[nr_steady++];

	seat_on(seat, s1, s2);
	seat_share(seat, &iommus[iommu], tag, rid, use, true);
	seat_attach(owner, seat);
	make_steady(seat, true);
}

/* Two that take turns; the target is what all others of the group may have, too. */
static void add_relay(struct owner *owner, u32 i, struct domain *s1, struct domain *s2,
		      u32 tag, u32 rid)
{
	struct seat *seat = &owner->relay[i][0];

	seat_on(seat, s1, s2);
	seat_share(seat, &iommus[owner->nr % NR_STAYING], tag, rid, true, false);
	seat_attach(owner, seat);
	make_steady(seat, false);
}

static void list_setup(const struct world *world)
{
	struct owner *owner;
	u32 i;

	(void)world;
	shim_rcu_barrier();
	live_before = shim_live();
	bytes_before = shim_live_bytes();
	oracle_reset();
	nr_owners = 0;
	nr_steady = 0;
	for (i = 0; i < NR_ALL; i++)
		iommu_init(&iommus[i], i);
	for (i = 0; i < NR_SEATS; i++) {
		pthread_mutex_init(&sulks[i].lock, NULL);
		iommu_attach_endpoint_init(&sulks[i].endpoint);
		sulks[i].aside = false;
	}
	for (i = 0; i < NR_LISTS; i++) {
		iommu_attach_init(&domains[i].alist);
		domains[i].nr = i;
	}

	for (i = 0; i < options.changers; i++) {
		owner = owner_add("changer", changer_step, 32);
		add_relay(owner, 0, &domains[MANY], NULL, 2, 2);
		add_relay(owner, 1, &domains[NESTED], &domains[PARENT], 3, 3);
	}
	owner_add("toggler", toggler_step, 32);
	owner_add("builder", builder_step, 16);
	owner_add("remover", remover_step, 16);
	owner_add("sulker", sulker_step, 4);
	thread_add("grace periods", rcu_step, NULL, 1);
	owner = owner_add("drainer", drainer_step, 2);

	for (i = 0; i < NR_STAYING; i++) {
		add_steady(owner, &domains[PARENT], NULL, i, 0, 0, true);
		add_steady(owner, &domains[NESTED], &domains[PARENT], i, 1, 1, i & 1);
		add_steady(owner, &domains[MANY], NULL, i, 0, 0, true);
		add_steady(owner, &domains[MANY], NULL, i, 0, 1, i & 1);
	}
	add_steady(owner, &domains[FEW], NULL, 0, 0, 0, false);
	for (i = 0; i < NR_WIDE; i++)
		add_steady(owner, &domains[WIDE], NULL, FIRST_WIDE + i, 0, 0, i & 1);
	for (i = 0; i < NR_WIDER; i++)
		add_steady(owner, &domains[WIDER], NULL, FIRST_WIDE + i, 0, 0, i & 1);

	for (i = 0; i < options.walkers; i++) {
		struct sight *sight = calloc(1, sizeof(*sight));

		if (!sight)
			abort();
		sight->walker = i;
		sight->rng = options.seed + i;
		sights[i] = sight;
		thread_add("walker", walker_step, sight, 0);
	}
	nr_sights = options.walkers;
}

static bool on_domain(u32 mark, u32 nr)
{
	u32 id, kind;

	if (mark < MARK_IDS) {
		mark = mark < MARK_TARGETS ? mark - MARK_GROUPS :
					     (mark - MARK_TARGETS) / NR_RIDS;
		return mark / (NR_IOMMUS * 2 * NR_TAGS) == nr;
	}
	id = (mark - MARK_IDS) / 4;
	kind = (mark - MARK_IDS) / 2 % 2;
	return (oracle.id[id] >> (kind ? 16 : 20) & 0xf) == nr;
}

static bool is_target(u32 mark)
{
	return mark >= MARK_IDS ? (mark - MARK_IDS) & 1 : mark >= MARK_TARGETS;
}

/* Nothing runs: what is marked is seen, nothing else is. */
static void verify(struct sight *sight, struct domain *domain, u32 mode)
{
	u32 mark;

	if (mode & BY_HAND)
		walk_by_hand(sight, domain);
	else
		walk_by_flush(sight, domain, mode);
	for (mark = MARK_GROUPS; mark < NR_MARKS; mark++) {
		bool there = mark_used(mark) && on_domain(mark, domain->nr) &&
			     !(is_target(mark) && mode & WITHOUT_ATC);

		if (there != (sight->seen[mark] == sight->walk))
			sight_fault(sight, NOT_AT_REST, mark);
		if (!is_target(mark) && oracle.born[mark] != mark_used(mark))
			sight_fault(sight, NOT_AT_REST, mark);
	}
	if (sight->fault != FINE)
		say_fault(sight);
}

static void verify_all(void)
{
	u32 i, mode;

	for (i = 0; i < NR_LISTS; i++) {
		struct domain *domain = i == SHORT_LIVED ? short_lived : &domains[i];

		for (mode = 0; domain && mode < NR_MODES; mode++)
			verify(sights[0], domain, mode);
		if (domain)
			verify(sights[0], domain, BY_HAND);
	}
}

static void owner_leave(struct owner *owner)
{
	u32 i;

	for (i = 0; i < 2; i++) {
		if (owner->relay[i][owner->turn[i]].nest)
			seat_detach(owner, &owner->relay[i][owner->turn[i]], FREE);
	}
	if (owner->iommu)
		remover_remove(owner);
	if (owner->domain)
		builder_destroy(owner);
	detach_all(owner);
}

static void list_finish(void)
{
	u32 i, age;

	shim_fail_nth(0);
	for (i = 0; i < NR_SEATS && !torture_failed(); i++) {
		oracle.silent[sulks[i].id] = 0;
		sulker_resume(&sulks[i]);
	}
	if (!torture_failed())
		verify_all();
	for (i = 0; i < nr_sights; i++) {
		for (age = 0; age < NR_AGES; age++)
			ages[age] += sights[i]->ages[age];
		timeouts += sights[i]->timeouts;
		aborts += sights[i]->aborts;
		free(sights[i]);
	}
	if (torture_failed())
		return;

	for (i = 0; i < nr_steady; i++)
		seat_detach(&owners[nr_owners - 1], &steady[i], FREE);
	for (i = 0; i < nr_owners; i++)
		owner_leave(&owners[i]);
	for (i = 0; i < NR_LISTS; i++) {
		if (!iommu_attach_empty(&domains[i].alist))
			torture_fail("domain %u is not empty when all have left", i);
		iommu_attach_destroy(&domains[i].alist);
	}
	for (i = 0; i < NR_ALL; i++) {
		gp_drain(&iommus[i]);
		iommu_attach_fence_destroy(&iommus[i].fence);
	}
	shim_rcu_barrier();
	if (shim_live() != live_before || shim_live_bytes() != bytes_before)
		torture_fail("lost: %ld objects, %ld bytes",
			     (long)(shim_live() - live_before),
			     (long)(shim_live_bytes() - bytes_before));
}

static void list_report(const struct world *world)
{
	static const char *const names[NR_AGES] = {
		"attached", "deleted", "in the grace period after", "while a fence waits", "older",
	};
	u32 age;

	(void)world;
	printf("ages of what walks saw:\n");
	for (age = 0; age < NR_AGES; age++)
		printf("  %-28s %14llu\n", names[age], ages[age]);
	printf("what IOMMUs did wrong:\n  %-28s %14llu\n  %-28s %14llu\n",
	       "timed out, over a grace period", timeouts, "aborted", aborts);
}

const struct world list_world = {
	.name = "list",
	.setup = list_setup,
	.finish = list_finish,
	.report = list_report,
};
