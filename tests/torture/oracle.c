// SPDX-License-Identifier: GPL-2.0-only
/*
 * The oracle, see oracle.h
 *
 * Everything that several threads use is one word, read and written whole. The loads
 * of walkers are relaxed: an old value makes the oracle see less, never more, and
 * stronger ones would order what the list itself has to order.
 */
#include "oracle.h"

#include <linux/array_size.h>

#include <errno.h>
#include <string.h>

#include "torture.h"

/* 24 bits of grace periods and 28 of fences: more than a round has. */
#define USERS		0x3ffULL
#define DRAINED_BIT	BIT_ULL(10)
#define FENCED_BIT	BIT_ULL(11)
#define GP_SHIFT	12
#define GP_MASK		0xffffffULL
#define FENCE_SHIFT	36

#define POST_VALID	BIT_ULL(63)
#define POST_ATC	BIT_ULL(62)
#define POST_DOMAIN	56
#define POST_MARK	32

enum { RANK_OWN, RANK_NEST, RANK_ATC };

#define IOTLB_RANKS	(BIT(RANK_OWN) | BIT(RANK_NEST))

struct oracle oracle;

const char *const fault_names[NR_FAULTS] = {
	[FINE] = "fine",
	[GROUP_MISSED] = "group missed",
	[GROUP_TWICE] = "group seen twice",
	[ATC_MISSED] = "ATC target missed",
	[ATC_TWICE] = "ATC target seen twice",
	[IOMMU_MISSED] = "IOMMU missed",
	[IOMMU_TWICE] = "IOMMU seen twice",
	[ELM_MISSED] = "attachment missed",
	[ELM_TORN] = "attachment's memory is not its own",
	[FOREIGN] = "what was never attached here",
	[GONE] = "IOMMU that was removed",
	[DRAINED] = "command for what was drained",
	[TOO_OLD] = "what was deleted more than a grace period ago",
	[FENCED] = "command for what was fenced",
	[STALE] = "attachment that neither the walk has seen, nor the hardware the page table",
	[OUT_OF_ORDER] = "out of order",
	[SUBMIT_MISSED] = "no submit after commands",
	[SUBMIT_EXTRA] = "submit without commands",
	[SUBMIT_TWICE] = "more than one submit in a phase",
	[WAIT_MISSED] = "IOMMU sent to and not waited for",
	[WAIT_EXTRA] = "wait without submit",
	[WAIT_EARLY] = "wait before all were sent to",
	[ASIDE] = "command for a device that had been set aside",
	[NO_ERROR] = "success although a device may have the page",
	[FAILED_FOR_OTHERS] = "error although nothing of the domain failed",
	[NOT_DONE] = "what has not failed was not done",
	[RCU_HELD] = "grace periods wait for a silent device",
	[NOT_AT_REST] = "list at rest is not what was attached",
};

void oracle_reset(void)
{
	memset(&oracle, 0, sizeof(oracle));
}

/*
 * Marks
 */

/* The IOMMU of a mark. */
static u32 mark_iommu(u32 mark)
{
	if (mark >= MARK_IDS)
		return READ_ONCE(oracle.id[(mark - MARK_IDS) / 4]) >> 8 & 0xff;
	mark = mark < MARK_TARGETS ? mark - MARK_GROUPS : (mark - MARK_TARGETS) / NR_RIDS;
	return mark / NR_TAGS / 2 % NR_IOMMUS;
}

static bool is_target(u32 mark)
{
	return mark >= MARK_IDS ? (mark - MARK_IDS) & 1 : mark >= MARK_TARGETS;
}

void mark_come(u32 mark)
{
	u64 old = READ_ONCE(oracle.mark[mark]);

	while (!__atomic_compare_exchange_n(&oracle.mark[mark], &old,
					    (old & ~(DRAINED_BIT | FENCED_BIT)) + 1, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* One with a higher number begins after this. */
static u64 number_now(u64 *started)
{
	return __atomic_fetch_add(started, 0, __ATOMIC_SEQ_CST);
}

u64 gp_now(void)
{
	return number_now(&oracle.gp_started);
}

void mark_go(u32 mark)
{
	u64 gone = gp_now() << GP_SHIFT |
		   number_now(&oracle.fence_started[mark_iommu(mark)]) << FENCE_SHIFT;
	u64 old = READ_ONCE(oracle.mark[mark]);

	while (!__atomic_compare_exchange_n(&oracle.mark[mark], &old,
					    gone | ((old & USERS) - 1), false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void mark_drained(u32 mark)
{
	__atomic_fetch_or(&oracle.mark[mark], DRAINED_BIT, __ATOMIC_RELAXED);
}

void mark_fenced(u32 mark)
{
	__atomic_fetch_or(&oracle.mark[mark], FENCED_BIT, __ATOMIC_RELAXED);
}

bool mark_used(u32 mark)
{
	return READ_ONCE(oracle.mark[mark]) & USERS;
}

bool gp_over(u64 gone)
{
	return __atomic_load_n(&oracle.gp_ended, __ATOMIC_ACQUIRE) > gone;
}

static u64 begins(u64 *started)
{
	return __atomic_add_fetch(started, 1, __ATOMIC_SEQ_CST);
}

static void ends(u64 *ended, u64 nr)
{
	u64 old = READ_ONCE(*ended);

	while (old < nr && !__atomic_compare_exchange_n(ended, &old, nr, false,
							__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

void gp_wait(void)
{
	u64 nr = begins(&oracle.gp_started);

	torture_synchronize();
	ends(&oracle.gp_ended, nr);
}

void gp_drain(struct iommu_device *iommu_device)
{
	u32 i = iommu_device->nr;
	u64 fence = begins(&oracle.fence_started[i]), nr = begins(&oracle.gp_started);

	torture_drain(&iommu_device->fence);
	ends(&oracle.gp_ended, nr);
	ends(&oracle.drain_ended[i], nr);
	ends(&oracle.fence_ended[i], fence);
}

void gp_fence(struct iommu_device *iommu_device)
{
	u32 i = iommu_device->nr;
	u64 fence = begins(&oracle.fence_started[i]);

	torture_fence(&iommu_device->fence);
	ends(&oracle.fence_ended[i], fence);
}

void aside_begins(const u32 *domains, u32 nr)
{
	while (nr--)
		__atomic_fetch_add(&oracle.aside_begun[domains[nr]], 1, __ATOMIC_SEQ_CST);
}

void aside_ends(const u32 *domains, u32 nr)
{
	while (nr--)
		__atomic_fetch_add(&oracle.aside_ended[domains[nr]], 1, __ATOMIC_SEQ_CST);
}

/* What a walk sees, or a flush has in flight: until then it is in @fault if it is older. */
static void check_age(struct sight *sight, u32 mark, bool in_flight)
{
	u64 word = READ_ONCE(oracle.mark[mark]);
	u64 gp = word >> GP_SHIFT & GP_MASK, fence = word >> FENCE_SHIFT;
	enum fault fault = FINE;
	enum age age = AGE_ATTACHED;
	u32 iommu = mark_iommu(mark);
	bool by_fence = is_target(mark) && !(sight->mode & BY_HAND);

	if (!(word & USERS)) {
		age = AGE_DELETED;
		if (word & DRAINED_BIT)
			fault = DRAINED;
		else if (by_fence && (word & FENCED_BIT ||
				      READ_ONCE(oracle.fence_ended[iommu]) > fence))
			fault = FENCED;
		else if (READ_ONCE(oracle.drain_ended[iommu]) > gp ||
			 (!in_flight && READ_ONCE(oracle.gp_ended) > gp))
			fault = TOO_OLD;
		else if (READ_ONCE(oracle.gp_ended) > gp)
			age = AGE_WAITED;
		else if (READ_ONCE(oracle.gp_started) > gp)
			age = AGE_ENDING;
		if (fault != FINE) {
			age = AGE_OLDER;
			sight_fault(sight, fault, mark);
		}
	}
	sight->ages[age]++;
}

/*
 * Walks
 */

void sight_fault(struct sight *sight, enum fault fault, u32 mark)
{
	if (sight->fault != FINE)
		return;
	sight->fault = fault;
	sight->mark = mark;
}

void sight_begin(struct sight *sight, u32 domain, u32 mode)
{
	u32 i;

	if (!++sight->walk) {
		memset(sight->seen, 0, sizeof(sight->seen));
		memset(sight->done, 0, sizeof(sight->done));
		sight->walk = 1;
	}
	sight->domain = domain;
	sight->mode = mode;
	sight->nr_steady_groups = 0;
	sight->nr_steady_targets = 0;
	sight->iommus = 0;
	sight->nr_steady_elms = 0;
	sight->sending = NULL;
	sight->phase = 0;
	sight->before = 0;
	sight->submitted = 0;
	sight->failed = 0;
	sight->waiting = false;
	sight->error = false;
	sight->nr_open = 0;
	sight->waited_for = 0;
	sight->nr_in_flight = 0;
	/* In this order: what is over now had begun. */
	sight->asides_over = __atomic_load_n(&oracle.aside_ended[domain], __ATOMIC_SEQ_CST);
	sight->aside_clock = __atomic_load_n(&oracle.aside_clock, __ATOMIC_SEQ_CST);
	sight->nr_steady_done = 0;
	sight->asides = __atomic_load_n(&oracle.aside_begun[domain], __ATOMIC_SEQ_CST);

	/*
	 * The unmap. That it is seen in time is the list's business, which is not easy
	 * when it waits behind stores that miss the cache, as those to page tables do.
	 */
	for (i = 0; i < NR_COLD_STORES; i++)
		WRITE_ONCE(sight->cold[(sight->walk * 2654435761U + i * 40503U * 64U) % COLD_BYTES], i);
	WRITE_ONCE(oracle.walker[sight->walker].table, sight->walk);
}

static u32 iommu_nr(struct sight *sight, const struct iommu_device *iommu_device)
{
	if (iommu_device->alive != IOMMU_ALIVE)
		sight_fault(sight, GONE, 0);
	return iommu_device->nr % NR_IOMMUS;
}

static u32 unique_mark(struct sight *sight, u32 iommu, u8 kind, u64 value)
{
	u32 id = value & 0xffff, s1, s2;
	u64 where;

	if (id >= NR_IDS)
		goto foreign;
	where = READ_ONCE(oracle.id[id]);
	/* An identity is reused when no walk sees it any more. */
	if ((u32)(where >> 32) != (u32)(value >> 16)) {
		sight_fault(sight, TOO_OLD, id_group_mark(id, kind));
		return 0;
	}
	s1 = where >> 20 & 0xf;
	s2 = where >> 16 & 0xf;
	if ((where >> 8 & 0xff) == iommu &&
	    sight->domain == (kind == IOMMU_ATTACH_OWN ? s1 : s2))
		return id_group_mark(id, kind);
foreign:
	sight_fault(sight, FOREIGN, 0);
	return 0;
}

/* The mark of a group, or 0 after a fault. */
static u32 mark_of_group(struct sight *sight, u32 iommu,
			 const struct iommu_attach_group *group)
{
	if (group->tag & UNIQUE && group->kind <= IOMMU_ATTACH_NEST)
		return unique_mark(sight, iommu, group->kind, group->tag);
	if (group->tag < NR_TAGS && group->kind <= IOMMU_ATTACH_NEST)
		return group_mark(sight->domain, iommu, group->kind, group->tag);
	sight_fault(sight, FOREIGN, 0);
	return 0;
}

static u32 mark_of_target(struct sight *sight, u32 iommu,
			  const struct iommu_attach_group *group, u64 atc)
{
	u32 of;

	if (atc & UNIQUE) {
		of = unique_mark(sight, iommu, group->kind, atc);
		return of ? of + 1 : 0;
	}
	of = mark_of_group(sight, iommu, group);
	if (of && of < MARK_TARGETS && atc < NR_RIDS)
		return target_mark(of, atc);
	sight_fault(sight, FOREIGN, of);
	return 0;
}

/* An IOMMU that has failed is sent to again. */
static bool may_repeat(const struct sight *sight, u32 mark)
{
	return sight->failed >> mark_iommu(mark) & 1;
}

static void see_group(struct sight *sight, u32 mark)
{
	if (sight->seen[mark] != sight->walk)
		sight->nr_steady_groups += oracle.steady[mark];
	else if (!may_repeat(sight, mark))
		sight_fault(sight, GROUP_TWICE, mark);
	sight->seen[mark] = sight->walk;
	check_age(sight, mark, false);
}

/*
 * Where the hardware does not wait before ATCs, what left and came back may be sent
 * to once more, after the others.
 */
static bool may_come_back(const struct sight *sight, u32 mark)
{
	if (sight->mode & (ATC_WAITS | BY_HAND) || oracle.steady[mark] ||
	    !(sight->before || sight->waiting))
		return false;
	return mark < MARK_IDS || READ_ONCE(oracle.id[(mark - MARK_IDS) / 4]) & 1;
}

static void see_target(struct sight *sight, u32 mark)
{
	if (sight->seen[mark] != sight->walk)
		sight->nr_steady_targets += oracle.steady[mark];
	else if (!may_repeat(sight, mark) && !may_come_back(sight, mark))
		sight_fault(sight, ATC_TWICE, mark);
	sight->seen[mark] = sight->walk;
	check_age(sight, mark, false);
}

static bool order_is_good(const struct sight *sight, u32 rank)
{
	switch (rank) {
	case RANK_OWN:
		return !sight->before &&
		       !(sight->mode & NEST_WAITS && sight->phase & BIT(RANK_NEST));
	case RANK_NEST:
		if (sight->mode & NEST_WAITS)
			return !(sight->phase & BIT(RANK_OWN)) &&
			       !(sight->before & ~BIT(RANK_OWN));
		return !sight->before;
	default:
		return !(sight->mode & ATC_WAITS && sight->phase & IOTLB_RANKS);
	}
}

static void send(struct sight *sight, const struct iommu_device *iommu_device, u32 iommu,
		 u32 rank, u32 mark)
{
	bool again = sight->failed >> iommu & 1;

	if (sight->sending && sight->sending != iommu_device)
		sight_fault(sight, SUBMIT_MISSED, mark);
	if (sight->waiting && !again) {
		if (sight->waited_for & ~sight->failed)
			sight_fault(sight, WAIT_EARLY, mark);
		sight->waiting = false;
		/* After a full window the phase goes on. */
		if (!sight->submitted || sight->submitted >> iommu & 1 ||
		    __builtin_popcountll(sight->submitted) % WINDOW) {
			sight->before |= sight->phase;
			sight->phase = 0;
			sight->submitted = 0;
		}
	}
	if (sight->submitted >> iommu & 1 && !again)
		sight_fault(sight, SUBMIT_TWICE, mark);
	if (sight->sending && rank < sight->rank)
		sight_fault(sight, OUT_OF_ORDER, mark);
	if (!again) {
		sight->phase |= BIT(rank);
		if (!order_is_good(sight, rank))
			sight_fault(sight, OUT_OF_ORDER, mark);
	}
	sight->sending = iommu_device;
	sight->rank = rank;
	sight->kinds[iommu] |= BIT(rank);
	if (sight->nr_in_flight < ARRAY_SIZE(sight->in_flight)) {
		sight->on[sight->nr_in_flight] = iommu;
		sight->in_flight[sight->nr_in_flight++] = mark;
	} else {
		torture_fail("more commands in flight than the oracle has room for");
	}
}

/* Walks come sorted by IOMMU, and of one IOMMU the own tags before those of nests. */
static void pass(struct sight *sight, const struct iommu_device *iommu_device, u32 iommu,
		 u32 rank, u32 mark)
{
	if (sight->sending != iommu_device) {
		if (sight->submitted >> iommu & 1)
			sight_fault(sight, OUT_OF_ORDER, mark);
		sight->submitted |= BIT_ULL(iommu);
		sight->sending = iommu_device;
	} else if (rank < sight->rank) {
		sight_fault(sight, OUT_OF_ORDER, mark);
	}
	sight->rank = rank;
}

void sight_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct sight *sight = arg;
	u32 iommu = iommu_nr(sight, group->iommu_device);
	u32 mark = mark_of_group(sight, iommu, group);
	u32 rank = group->kind == IOMMU_ATTACH_OWN ? RANK_OWN : RANK_NEST;

	if (!mark)
		return;
	see_group(sight, mark);
	if (sight->mode & BY_HAND)
		pass(sight, group->iommu_device, iommu, rank, mark);
	else
		send(sight, group->iommu_device, iommu, rank, mark);
}

void sight_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct sight *sight = arg;
	u32 iommu = iommu_nr(sight, group->iommu_device);
	u32 mark = mark_of_target(sight, iommu, group, atc);
	u64 aside;

	if (!mark)
		return;
	if (mark >= MARK_IDS) {
		aside = READ_ONCE(oracle.aside[(mark - MARK_IDS) / 4]);
		if (aside && aside <= sight->aside_clock)
			sight_fault(sight, ASIDE, mark);
	}
	see_target(sight, mark);
	if (sight->mode & BY_HAND)
		pass(sight, group->iommu_device, iommu, RANK_ATC, mark);
	else
		send(sight, group->iommu_device, iommu, RANK_ATC, mark);
}

u64 sight_submit(struct iommu_device *iommu_device, void *arg)
{
	struct sight *sight = arg;
	u32 iommu = iommu_nr(sight, iommu_device);

	if (sight->sending != iommu_device)
		sight_fault(sight, SUBMIT_EXTRA, 0);
	sight->sending = NULL;
	sight->submitted |= BIT_ULL(iommu);
	sight->nr_open++;
	sight->waited_for |= BIT_ULL(iommu);
	return sight->open[iommu] = ++sight->cookie;
}

u32 sight_in_flight(const struct sight *sight, const struct iommu_device *iommu_device, u32 *i)
{
	for (; *i < sight->nr_in_flight; ++*i) {
		if (sight->on[*i] == iommu_device->nr)
			return sight->in_flight[(*i)++];
	}
	return 0;
}

/* What was sent for an IOTLB has been executed before the hardware says so. */
static void iotlb_done(struct sight *sight, u32 iommu, u8 kind)
{
	__atomic_exchange_n(&oracle.walker[sight->walker].iotlb[iommu][kind], sight->walk,
			    __ATOMIC_SEQ_CST);
}

void sight_wait(struct iommu_device *iommu_device, u64 cookie, int error, void *arg)
{
	struct sight *sight = arg;
	u32 iommu = iommu_nr(sight, iommu_device), i, nr = 0, mark;

	if (sight->sending)
		sight_fault(sight, SUBMIT_MISSED, 0);
	if (!sight->open[iommu] || sight->open[iommu] != cookie)
		sight_fault(sight, WAIT_EXTRA, 0);
	sight->open[iommu] = 0;
	sight->nr_open--;
	sight->waited_for &= ~BIT_ULL(iommu);
	sight->waiting = true;
	/* All that was sent to it is in flight up to here. */
	for (i = 0; i < sight->nr_in_flight; i++) {
		mark = sight->in_flight[i];
		if (sight->on[i] != iommu) {
			sight->on[nr] = sight->on[i];
			sight->in_flight[nr++] = mark;
			continue;
		}
		check_age(sight, mark, true);
		if (error)
			continue;
		sight->nr_steady_done += sight->done[mark] != sight->walk && oracle.steady[mark];
		sight->done[mark] = sight->walk;
	}
	sight->nr_in_flight = nr;
	if (error) {
		sight->failed |= BIT_ULL(iommu);
		sight->error |= error != -EAGAIN;
	} else {
		if (sight->kinds[iommu] & BIT(RANK_OWN))
			iotlb_done(sight, iommu, IOMMU_ATTACH_OWN);
		if (sight->kinds[iommu] & BIT(RANK_NEST))
			iotlb_done(sight, iommu, IOMMU_ATTACH_NEST);
	}
	sight->kinds[iommu] = 0;
}

void sight_iotlb_done(struct sight *sight)
{
	u32 iommu;

	sight->sending = NULL;
	sight->submitted = 0;
	for (iommu = 0; iommu < NR_IOMMUS; iommu++) {
		iotlb_done(sight, iommu, IOMMU_ATTACH_OWN);
		iotlb_done(sight, iommu, IOMMU_ATTACH_NEST);
	}
}

void sight_iommu(struct sight *sight, const struct iommu_attach_group *group)
{
	u32 iommu = iommu_nr(sight, group->iommu_device);

	if (sight->iommus >> iommu & 1)
		sight_fault(sight, IOMMU_TWICE, 0);
	sight->iommus |= BIT_ULL(iommu);
}

void sight_elm(struct sight *sight, const struct iommu_attach_elm *elm)
{
	u32 iommu = iommu_nr(sight, elm->iommu_device), mark;
	const struct iommu_attach_group key = {
		.iommu_device = elm->iommu_device,
		.tag = elm->tag,
		.kind = elm->kind,
	};

	if (elm->pasid >> 1 != elm_check(elm, false) >> 1) {
		sight_fault(sight, ELM_TORN, 0);
		return;
	}
	sight->nr_steady_elms += elm->pasid & 1;
	mark = mark_of_group(sight, iommu, &key);
	if (mark)
		check_age(sight, mark, false);
}

/* The first steady one, of groups or of targets, that was not seen. */
static u32 find_missed(const struct sight *sight, bool targets)
{
	u32 mark;

	for (mark = targets ? MARK_TARGETS : MARK_GROUPS;
	     mark < (targets ? MARK_IDS : MARK_TARGETS); mark++) {
		u32 group = targets ? (mark - MARK_TARGETS) / NR_RIDS : mark - MARK_GROUPS;

		if (oracle.steady[mark] && sight->seen[mark] != sight->walk &&
		    group / (NR_IOMMUS * 2 * NR_TAGS) == sight->domain)
			return mark;
	}
	return 0;
}

/* A walk by hand has done what it has seen. */
static bool is_done(const struct sight *sight, u32 mark)
{
	return (sight->mode & BY_HAND ? sight->seen : sight->done)[mark] == sight->walk;
}

static void check_posts(struct sight *sight, int error)
{
	const struct walker_state *state = &oracle.walker[sight->walker];
	bool sulks;
	u32 i, mark;
	u64 word;

	for (i = 0; i < NR_POSTS; i++) {
		word = __atomic_load_n(&state->post[i], __ATOMIC_ACQUIRE);
		if (!word || (word >> POST_DOMAIN & 0xf) != sight->domain ||
		    (word & POST_ATC && sight->mode & WITHOUT_ATC))
			continue;
		mark = word >> POST_MARK & 0xffffff;
		if ((s32)(sight->walk - (u32)word) <= 0 || is_done(sight, mark))
			continue;
		sulks = READ_ONCE(oracle.id[(mark - MARK_IDS) / 4]) & 2;
		/* Walks by hand leave out what is set aside, and tell nobody. */
		if (sulks && (error || sight->mode & BY_HAND))
			continue;
		sight_fault(sight, sulks ? NO_ERROR : STALE, mark);
	}
}

/* An error that is none of the domain's, or none although a command was not answered. */
static void check_error(struct sight *sight, int error)
{
	u32 domain = sight->domain;

	if (sight->mode & BY_HAND || sight->error)
		return;
	if (error &&
	    sight->asides == sight->asides_over &&
	    __atomic_load_n(&oracle.aside_begun[domain], __ATOMIC_SEQ_CST) == sight->asides)
		sight_fault(sight, FAILED_FOR_OTHERS, 0);
}

enum fault sight_end(struct sight *sight, int error)
{
	if (sight->sending && !(sight->mode & BY_HAND))
		sight_fault(sight, SUBMIT_MISSED, 0);
	if (sight->nr_open)
		sight_fault(sight, WAIT_MISSED, 0);
	if (sight->nr_steady_groups != oracle.nr_steady_groups[sight->domain])
		sight_fault(sight, GROUP_MISSED, find_missed(sight, false));
	if (!(sight->mode & WITHOUT_ATC) &&
	    sight->nr_steady_targets != oracle.nr_steady_targets[sight->domain])
		sight_fault(sight, ATC_MISSED, find_missed(sight, true));
	if (sight->mode & BY_HAND && oracle.steady_iommus[sight->domain] & ~sight->iommus)
		sight_fault(sight, IOMMU_MISSED, 0);
	if (sight->mode & BY_HAND &&
	    sight->nr_steady_elms != oracle.nr_steady_elms[sight->domain])
		sight_fault(sight, ELM_MISSED, 0);
	/* Whatever has failed. */
	if (!(sight->mode & BY_HAND) &&
	    sight->nr_steady_done != sight->nr_steady_groups + sight->nr_steady_targets)
		sight_fault(sight, NOT_DONE, 0);
	check_posts(sight, error);
	check_error(sight, error);
	return sight->fault;
}

/*
 * Posts
 */

void post(u32 slot, u32 domain, u32 mark, bool atc, const u32 *clean)
{
	u32 i;

	for (i = 0; i < MAX_WALKERS; i++)
		__atomic_store_n(&oracle.walker[i].post[slot],
				 POST_VALID | (atc ? POST_ATC : 0) |
				 (u64)domain << POST_DOMAIN |
				 (u64)mark << POST_MARK | clean[i], __ATOMIC_RELEASE);
}

void unpost(u32 slot)
{
	u32 i;

	for (i = 0; i < MAX_WALKERS; i++)
		__atomic_store_n(&oracle.walker[i].post[slot], 0, __ATOMIC_RELEASE);
}
