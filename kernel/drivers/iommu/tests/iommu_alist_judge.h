/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the attach list know, see, and compare
 *
 * A test keeps a plain array of facts, one for each attachment on each list. What a
 * flush has to send is found by looking at all of it for every question; nothing is
 * sorted, hashed or counted along, so that nothing of the list's own thinking is
 * repeated here. A record takes down what a flush calls, and judge() compares it
 * with the facts: the groups, the ATC targets, their order, the submits and waits. It
 * names the first fault that it finds.
 *
 * The hardware that a flush talks to is simulated: it is slow, aborts what it was sent,
 * fails for good, or has devices that do not answer. What was sent counts once its wait
 * has said that it was done.
 *
 * What runs beside a flush is done by a hook in the flush's callbacks, at a chosen
 * call, so each interleaving is the same in every run. Callbacks must not sleep:
 * memory comes from a stub of the list's allocation then, which also counts and
 * fails on demand.
 */
#ifndef __IOMMU_ALIST_JUDGE_H
#define __IOMMU_ALIST_JUDGE_H

#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/iommu-alist.h>
#include <linux/limits.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../iommu-alist-priv.h"

#define NR_LISTS	4
#define NR_IOMMUS	130
#define NO_ATC		U64_MAX

/* IOMMUs that a flush sends to before it has to wait. */
#define WINDOW		32

/*
 * The list sorts them by address. In the kernel, what watches it looks for a name, so
 * there is room for the real thing, with none.
 */
static u64 fake_iommus[NR_IOMMUS][16];
static u64 fake_devices[16][256];
static struct iommu_attach_fence fake_fences[NR_IOMMUS];

/* The devices behind each IOMMU, which may have several targets. */
#define NR_ENDPOINTS	16
static struct iommu_attach_endpoint fake_endpoints[NR_IOMMUS][NR_ENDPOINTS];

/* What a driver allocates for an attachment, or for a nest. */
struct thing {
	u32 nr;				/* halves: 1, or 2 for a nest */
	struct iommu_attach_list *list[2];
	struct iommu_attach_nest nest;	/* s1 alone if it is no nest */
};

/* One attachment on one list, as the test knows it. */
struct fact {
	struct thing *thing;
	struct iommu_attach_elm *elm;
	struct iommu_attach_list *alist;
	struct iommu_device *iommu_device;
	u64 tag;
	u64 atc;
	u8 kind;
	bool using_atc;
	bool beside;		/* came or went beside the flush: sent or not */
	bool atc_beside;	/* its use of an ATC did */
	bool atc_late;		/* and is served after all others */
};

enum call { CALL_IOTLB, CALL_ATC, CALL_SUBMIT, CALL_WAIT, CALL_SILENT };

struct event {
	u8 call;
	u8 kind;
	s16 error;			/* of a wait */
	bool done;			/* a command that the hardware has executed */
	bool in_rcu;			/* a wait */
	struct iommu_device *iommu_device;
	u64 tag;
	u64 value;			/* the ATC target, or the cookie */
};

/* What is wrong with an IOMMU. */
struct hardware {
	u32 slow;			/* looks until something has completed */
	u32 busy;			/* times that its queue is found full */
	u32 aborts;			/* of what is submitted next */
	int error;			/* of all that is submitted */
	u32 looks;			/* at what was submitted last */
};

/* A device as its driver and the hardware see it. */
struct device_state {
	bool dead;			/* does not answer */
	u64 aside;			/* IOMMU_ATTACH_SILENT or IOMMU_ATTACH_BLOCKED */
	u64 was_aside;			/* when the flush began */
};

enum {
	NEST_WAITS	= BIT(0),	/* wait_before_nest */
	ATC_WAITS	= BIT(1),	/* wait_before_atc */
	NR_MODES	= 4,		/* of these two */
	WITHOUT_ATC	= BIT(2),	/* hardware without ATS */
	LEAVE_SILENT	= BIT(3),	/* the driver sets no device aside, and blocks none */
	NAMELESS	= BIT(4),	/* nor is it told which one is silent */
	JUST_A_WALK	= BIT(5),	/* nothing is sent */
	INLINE		= BIT(6),	/* a flush that is compiled into its caller */
	TELL_ASIDE	= BIT(7),	/* the driver blocks what a flush has left out */
};

/* One flush: what it called, and what happens beside it. */
struct record {
	struct world *world;
	struct event *event;
	u32 nr;
	u32 max;
	u32 mode;
	u64 cookie;
	int error;				/* what it returned */
	bool overflow;
	u32 nr_answers;
	u32 nr_aside;				/* targets that it was told to be left out */
	bool trouble;				/* a wait has failed */
	struct iommu_attach_list *const *lists;	/* of a flush of several; else NULL */
	u32 nr_lists;
	bool in_rcu;				/* of the caller's own */
	void (*hook)(struct record *record);	/* after each call */
	u32 hook_at;				/* number of the call */
	u32 last_part;				/* calls before who uses an ATC is looked up */
	struct thing *hook_thing;
	void *hook_data;
};

struct world {
	struct kunit *test;
	struct iommu_attach_list list[NR_LISTS];
	struct fact *fact;
	u32 nr;
	u32 max;
	struct record record;
	struct hardware hardware[NR_IOMMUS];
	struct device_state device[NR_IOMMUS][NR_ENDPOINTS];
	/* What the first wait of a flush says, and one chosen later. */
	int script_first;
	int script_error;
	u32 script_at;			/* 0: none */
	u32 abort_from;			/* the answer from which on all are aborts; 0: none */
	u32 nr_aborts;			/* how many they are */
	/* Of the list's allocations: */
	unsigned long allocs;
	size_t largest;
	unsigned long fail_at;
	unsigned long race_at;
	void (*race)(struct world *world);	/* before that one */
	bool atomic;
	/* judge() at work, by IOMMU: */
	bool submitted[NR_IOMMUS];
	bool failed[NR_IOMMUS];
	bool looked[NR_IOMMUS];
	bool before[NR_IOMMUS];
	u64 cookie[NR_IOMMUS];
};

static struct iommu_device *fake_iommu(u32 i)
{
	return (struct iommu_device *)fake_iommus[i];
}

static u32 iommu_number(const struct iommu_device *iommu_device)
{
	return ((const u64 *)iommu_device - fake_iommus[0]) /
	       ARRAY_SIZE(fake_iommus[0]);
}

static struct device *fake_device(u32 i)
{
	return (struct device *)fake_devices[i % ARRAY_SIZE(fake_devices)];
}

static bool fence_is_idle(u32 iommu)
{
	struct iommu_attach_fence *fence = &fake_fences[iommu];

	return iommu_attach_fence_poll(fence, iommu_attach_fence_begin(fence));
}

/* Some of the devices are of a driver that sets none aside. */
static struct iommu_attach_endpoint *endpoint_of(u32 iommu, u64 atc)
{
	return atc % 8 == 7 ? NULL : &fake_endpoints[iommu][atc % NR_ENDPOINTS];
}

static struct device_state *state_of(struct world *world, u32 iommu, u64 atc)
{
	return &world->device[iommu][atc % NR_ENDPOINTS];
}

/* The same numbers in both worlds. */
static u32 next_random(u64 *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

static u32 random_below(u64 *seed, u32 end)
{
	return next_random(seed) % end;
}

static void *counting_alloc(size_t size)
{
	struct world *world = kunit_get_current_test()->priv;
	void (*race)(struct world *world) = world->race;

	if (size > world->largest)
		world->largest = size;
	if (++world->allocs == world->fail_at)
		return NULL;
	if (race && world->allocs == world->race_at) {
		world->race = NULL;
		race(world);
	}
	return kvzalloc(size, world->atomic ? GFP_ATOMIC : GFP_KERNEL);
}

/*
 * The recorder
 */

static void note_call(struct record *record, const struct event *event)
{
	void (*hook)(struct record *record) = record->hook;

	if (record->nr == record->max) {
		record->overflow = true;
		return;
	}
	record->event[record->nr++] = *event;
	if (hook && record->nr == record->hook_at) {
		record->hook = NULL;
		hook(record);
	}
}

static void note_iotlb(const struct iommu_attach_group *group, void *arg)
{
	note_call(arg, &(struct event){
		.call = CALL_IOTLB,
		.kind = group->kind,
		.iommu_device = group->iommu_device,
		.tag = group->tag,
	});
}

static void note_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	note_call(arg, &(struct event){
		.call = CALL_ATC,
		.kind = group->kind,
		.iommu_device = group->iommu_device,
		.tag = group->tag,
		.value = atc,
	});
}

static u64 note_submit(struct iommu_device *iommu_device, void *arg)
{
	struct record *record = arg;
	u64 cookie = ++record->cookie;

	note_call(record, &(struct event){
		.call = CALL_SUBMIT,
		.iommu_device = iommu_device,
		.value = cookie,
	});
	return cookie;
}

/*
 * What was sent to an IOMMU before event @at, which is its submit.
 * Return: is a device among it that does not answer?
 */
static bool look_at_commands(struct record *record, u32 at, bool done)
{
	struct event *event = &record->event[at];
	u32 n = iommu_number(event->iommu_device);
	bool dead = false;

	while (at--) {
		event = &record->event[at];
		if ((event->call != CALL_IOTLB && event->call != CALL_ATC) ||
		    iommu_number(event->iommu_device) != n)
			break;
		event->done = done;
		dead |= event->call == CALL_ATC &&
			state_of(record->world, n, event->value)->dead;
	}
	return dead;
}

/* What the hardware has to say about what was submitted as @cookie. */
static int answer(struct record *record, u32 n, u64 cookie)
{
	struct hardware *hardware = &record->world->hardware[n];
	struct world *world = record->world;
	u32 at = record->nr;

	record->nr_answers++;
	if (world->script_at == record->nr_answers && world->script_error)
		return world->script_error;
	if (world->script_at != 1 && record->nr_answers == 1 && world->script_first)
		return world->script_first;
	if (world->abort_from && record->nr_answers >= world->abort_from &&
	    record->nr_answers < world->abort_from + world->nr_aborts)
		return -EAGAIN;
	if (hardware->looks++ < hardware->slow)
		return -EINPROGRESS;
	hardware->looks = 0;
	if (hardware->error)
		return hardware->error;
	if (hardware->busy) {
		hardware->busy--;
		return -EBUSY;
	}
	if (hardware->aborts) {
		hardware->aborts--;
		return -EAGAIN;
	}
	while (at--) {
		if (record->event[at].call == CALL_SUBMIT &&
		    record->event[at].value == cookie)
			break;
	}
	if (look_at_commands(record, at, false))
		return -ETIMEDOUT;
	look_at_commands(record, at, true);
	return 0;
}

/* Without lockdep the kernel says yes to be on the safe side. */
static bool is_in_rcu(void)
{
	return IS_ENABLED(CONFIG_DEBUG_LOCK_ALLOC) && rcu_read_lock_held();
}

static int note_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct record *record = arg;
	int error = answer(record, iommu_number(iommu_device), cookie);

	record->trouble |= error && error != -EINPROGRESS;
	note_call(record, &(struct event){
		.call = CALL_WAIT,
		.error = error,
		.in_rcu = is_in_rcu() && !record->in_rcu,
		.iommu_device = iommu_device,
		.value = cookie,
	});
	return error;
}

static void set_aside(struct world *world, u32 iommu, u64 atc)
{
	struct device_state *state = state_of(world, iommu, atc);

	if (!endpoint_of(iommu, atc))
		return;
	iommu_attach_set_aside(endpoint_of(iommu, atc));
	/* What its IOMMU refuses already stays refused. */
	if (!state->aside)
		state->aside = IOMMU_ATTACH_SILENT;
}

static void block(struct world *world, u32 iommu, u64 atc)
{
	struct device_state *state = state_of(world, iommu, atc);

	if (!endpoint_of(iommu, atc))
		return;
	iommu_attach_blocked(endpoint_of(iommu, atc));
	/* A device that has come back meanwhile is not left out. */
	if (state->aside)
		state->aside = IOMMU_ATTACH_BLOCKED;
}

static void resume(struct world *world, u32 iommu, u64 atc)
{
	if (!endpoint_of(iommu, atc))
		return;
	iommu_attach_resume(endpoint_of(iommu, atc));
	state_of(world, iommu, atc)->aside = 0;
}

static void note_silent(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	struct record *record = arg;

	note_call(record, &(struct event){
		.call = CALL_SILENT,
		.iommu_device = iommu_device,
		.value = atc,
	});
	if (!(record->mode & LEAVE_SILENT))
		set_aside(record->world, iommu_number(iommu_device), atc);
}

static void note_aside(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	u32 n = iommu_number(iommu_device);
	struct record *record = arg;

	record->nr_aside++;
	KUNIT_EXPECT_FALSE(record->world->test, fence_is_idle(n));
	KUNIT_EXPECT_EQ(record->world->test, state_of(record->world, n, atc)->aside,
			IOMMU_ATTACH_SILENT);
	if (!(record->mode & LEAVE_SILENT))
		block(record->world, n, atc);
}

static void begin_record(struct record *record, u32 mode)
{
	struct world *world = record->world;
	u32 i, j;

	record->nr = 0;
	record->overflow = false;
	record->trouble = false;
	record->nr_answers = 0;
	record->nr_aside = 0;
	record->mode = mode;
	record->in_rcu = is_in_rcu();
	for (i = 0; i < NR_IOMMUS; i++) {
		world->hardware[i].looks = 0;
		for (j = 0; j < NR_ENDPOINTS; j++)
			world->device[i][j].was_aside = world->device[i][j].aside;
	}
}

/* Operations that are constants, for the modes that matter. */
#define INLINE_OPS(mode)						\
	(&(const struct iommu_attach_flush_ops){			\
		.iotlb = note_iotlb,					\
		.atc = (mode) & WITHOUT_ATC ? NULL : note_atc,		\
		.submit = note_submit,					\
		.wait = note_wait,					\
		.silent = note_silent,					\
		.wait_before_nest = (mode) & NEST_WAITS,		\
		.wait_before_atc = (mode) & ATC_WAITS,			\
	})

static noinline int flush_inline(struct record *record, struct iommu_attach_list *alist,
				 u32 mode)
{
	switch (mode & ~INLINE) {
	case NEST_WAITS:
		return iommu_attach_flush_inline(alist, INLINE_OPS(NEST_WAITS), record);
	case ATC_WAITS:
		return iommu_attach_flush_inline(alist, INLINE_OPS(ATC_WAITS), record);
	case NEST_WAITS | ATC_WAITS:
		return iommu_attach_flush_inline(alist, INLINE_OPS(NEST_WAITS | ATC_WAITS),
						 record);
	case WITHOUT_ATC:
		return iommu_attach_flush_inline(alist, INLINE_OPS(WITHOUT_ATC), record);
	default:
		return iommu_attach_flush_inline(alist, INLINE_OPS(0), record);
	}
}

static void flush_into(struct record *record, struct iommu_attach_list *alist,
		       u32 mode)
{
	struct iommu_attach_flush_ops ops = {
		.iotlb = note_iotlb,
		.atc = mode & WITHOUT_ATC ? NULL : note_atc,
		.submit = note_submit,
		.wait = note_wait,
		.silent = mode & NAMELESS ? NULL : note_silent,
		.aside = mode & TELL_ASIDE ? note_aside : NULL,
		.wait_before_nest = mode & NEST_WAITS,
		.wait_before_atc = mode & ATC_WAITS,
	};
	struct world *world = record->world;
	bool atomic = world->atomic;

	begin_record(record, mode);
	world->atomic = true;
	if (mode & INLINE)
		record->error = flush_inline(record, alist, mode);
	else if (record->lists)
		record->error = iommu_attach_flush_lists(record->lists, record->nr_lists,
							 &ops, record);
	else
		record->error = iommu_attach_flush(alist, &ops, record);
	world->atomic = atomic;
}

/*
 * The judge
 */

enum fault {
	FINE,
	OVERFLOW,
	GROUP_MISSED,
	GROUP_TWICE,
	GROUP_FOREIGN,
	ATC_MISSED,
	ATC_TWICE,
	ATC_FOREIGN,
	ATC_ASIDE,	/* sent to although it was set aside */
	SILENT_MISSED,
	SILENT_TWICE,
	SILENT_FOREIGN,	/* it answers, or was not asked */
	WRONG_ERROR,
	OUT_OF_ORDER,	/* or sent before what it depends on has completed */
	SUBMIT_MISSED,	/* the next IOMMU, or a wait, came before it */
	SUBMIT_EXTRA,	/* nothing was sent before it */
	SUBMIT_TWICE,	/* in one phase */
	WAIT_MISSED,
	WAIT_EXTRA,	/* for what was not handed out */
	WAIT_EARLY,	/* others had yet to be sent to */
	WAIT_IN_RCU,
	NR_FAULTS,
};

static const char *const fault_names[NR_FAULTS] = {
	[FINE] = "fine",
	[OVERFLOW] = "more calls than there can be",
	[GROUP_MISSED] = "group missed",
	[GROUP_TWICE] = "group sent twice",
	[GROUP_FOREIGN] = "group that is not there",
	[ATC_MISSED] = "ATC target missed",
	[ATC_TWICE] = "ATC target sent twice",
	[ATC_FOREIGN] = "ATC target that is not there",
	[ATC_ASIDE] = "ATC target that is set aside",
	[SILENT_MISSED] = "silent target not named",
	[SILENT_TWICE] = "silent target named twice",
	[SILENT_FOREIGN] = "target named that is not silent",
	[WRONG_ERROR] = "the wrong error, or none",
	[OUT_OF_ORDER] = "out of order",
	[SUBMIT_MISSED] = "no submit after commands",
	[SUBMIT_EXTRA] = "submit without commands",
	[SUBMIT_TWICE] = "more than one submit in a phase",
	[WAIT_MISSED] = "submit not waited for",
	[WAIT_EXTRA] = "wait without submit",
	[WAIT_EARLY] = "wait before all were sent to",
	[WAIT_IN_RCU] = "wait in an RCU section",
};

static bool about_fact(const struct event *event, const struct fact *fact,
		       enum call call)
{
	if (event->call != call || event->iommu_device != fact->iommu_device)
		return false;
	if (call == CALL_SILENT)
		return fact->using_atc && event->value == fact->atc;
	if (event->kind != fact->kind || event->tag != fact->tag)
		return false;
	return call == CALL_IOTLB ||
	       (fact->using_atc && event->value == fact->atc);
}

static const struct fact *find_fact(const struct world *world,
				    const struct iommu_attach_list *alist,
				    const struct event *event)
{
	u32 i;

	for (i = 0; i < world->nr; i++) {
		if ((!alist || world->fact[i].alist == alist) &&
		    about_fact(event, &world->fact[i], event->call))
			return &world->fact[i];
	}
	return NULL;
}

/* Commands count when they are done. */
static u32 count_calls(const struct record *record, const struct fact *fact,
		       enum call call)
{
	u32 i, nr = 0;

	for (i = 0; i < record->nr; i++)
		nr += about_fact(&record->event[i], fact, call) &&
		      (record->event[i].done || call == CALL_SILENT);
	return nr;
}

static struct device_state *fact_state(const struct record *record,
				       const struct fact *fact)
{
	return state_of(record->world, iommu_number(fact->iommu_device), fact->atc);
}

static u32 phase_of(const struct record *record,
		    const struct iommu_attach_list *alist,
		    const struct event *event);

/* What an IOMMU said in the end of a phase if it has failed for good, else 0. */
static int failure(const struct record *record, const struct iommu_attach_list *alist,
		   const struct iommu_device *iommu_device)
{
	const struct event *event;
	u32 i, at, phase = 0;
	int error = 0;

	for (i = 0; record->trouble && i < record->nr; i++) {
		event = &record->event[i];
		if (event->iommu_device != iommu_device)
			continue;
		if (event->call == CALL_IOTLB || event->call == CALL_ATC) {
			at = phase_of(record, alist, event);
			if (at > phase && error)
				break;
			phase = at;
		}
		if (event->call == CALL_WAIT && event->error != -EINPROGRESS)
			error = event->error == -ETIMEDOUT ? 0 : event->error;
	}
	return error;
}

/* Has a target of the same device been named? */
static bool is_named(const struct record *record, const struct fact *fact)
{
	const struct event *event;
	u32 i;

	for (i = 0; i < record->nr; i++) {
		event = &record->event[i];
		if (event->call == CALL_SILENT &&
		    event->iommu_device == fact->iommu_device &&
		    event->value % NR_ENDPOINTS == fact->atc % NR_ENDPOINTS)
			return true;
	}
	return false;
}

/* Targets of one IOMMU with the same value: of several groups. */
static u32 count_alike(const struct record *record, const struct fact *fact)
{
	const struct world *world = record->world;
	const struct fact *a, *b;
	u32 i, j, nr = 0;

	for (i = 0; i < world->nr; i++) {
		a = &world->fact[i];
		if (a->iommu_device != fact->iommu_device || !a->using_atc ||
		    a->atc != fact->atc || a->alist != fact->alist)
			continue;
		for (j = 0; j < i; j++) {
			b = &world->fact[j];
			if (b->alist == a->alist && b->iommu_device == a->iommu_device &&
			    b->kind == a->kind && b->tag == a->tag && b->using_atc &&
			    b->atc == a->atc)
				break;
		}
		nr += j == i;
	}
	return nr;
}

static enum fault judge_target(const struct record *record, const struct fact *fact)
{
	const struct device_state *state = fact_state(record, fact);
	bool maybe = fact->beside || fact->atc_beside;
	u32 nr;

	if (count_calls(record, fact, CALL_SILENT) > count_alike(record, fact))
		return SILENT_TWICE;
	if (state->was_aside)
		return FINE;
	if (state->dead && !(record->mode & JUST_A_WALK))
		return maybe || failure(record, fact->alist, fact->iommu_device) ||
		       is_named(record, fact) ? FINE : SILENT_MISSED;
	nr = count_calls(record, fact, CALL_ATC);
	if (nr > 1)
		return ATC_TWICE;
	return nr || maybe || failure(record, fact->alist, fact->iommu_device) ? FINE : ATC_MISSED;
}

/* Was done what had to be, and nothing else? */
static enum fault judge_sets(const struct record *record,
			     const struct iommu_attach_list *alist)
{
	const struct world *world = record->world;
	const struct event *event;
	const struct fact *fact;
	enum fault fault;
	u32 i, nr;

	for (i = 0; i < world->nr; i++) {
		fact = &world->fact[i];
		if (alist && fact->alist != alist)
			continue;
		nr = count_calls(record, fact, CALL_IOTLB);
		if (nr > 1)
			return GROUP_TWICE;
		if (!nr && !fact->beside && !failure(record, fact->alist, fact->iommu_device))
			return GROUP_MISSED;
		if (!fact->using_atc || record->mode & WITHOUT_ATC)
			continue;
		fault = judge_target(record, fact);
		if (fault != FINE)
			return fault;
	}
	for (i = 0; i < record->nr; i++) {
		event = &record->event[i];
		if (event->call == CALL_SUBMIT || event->call == CALL_WAIT)
			continue;
		fact = find_fact(world, alist, event);
		if (event->call == CALL_SILENT) {
			if (!fact || !fact_state(record, fact)->dead)
				return SILENT_FOREIGN;
		} else if (!fact || (event->call == CALL_ATC && record->mode & WITHOUT_ATC)) {
			return event->call == CALL_ATC ? ATC_FOREIGN : GROUP_FOREIGN;
		} else if (event->call == CALL_ATC &&
			   fact_state(record, fact)->was_aside) {
			return ATC_ASIDE;
		}
	}
	return FINE;
}

/* Did it return what it had to, or one of it? */
static enum fault judge_error(const struct record *record,
			      const struct iommu_attach_list *alist)
{
	const struct world *world = record->world;
	const struct device_state *state;
	bool expected = !record->error, must = false;
	const struct fact *fact;
	int error;
	u32 i;

	for (i = 0; i < world->nr; i++) {
		fact = &world->fact[i];
		if (alist && fact->alist != alist)
			continue;
		error = failure(record, fact->alist, fact->iommu_device);
		state = fact_state(record, fact);
		if (!error && fact->using_atc && !(record->mode & WITHOUT_ATC) &&
		    (state->aside ? state->aside == IOMMU_ATTACH_SILENT : state->dead))
			error = -ETIMEDOUT;
		expected |= error && record->error == error;
		must |= error && !fact->beside && !fact->atc_beside;
	}
	return expected && must <= !!record->error ? FINE : WRONG_ERROR;
}

/* Everything of a phase has completed before the next one begins. */
static u32 phase_of(const struct record *record,
		    const struct iommu_attach_list *alist,
		    const struct event *event)
{
	u32 nest = record->mode & NEST_WAITS ? 1 : 0;
	const struct fact *fact;

	if (event->call == CALL_IOTLB)
		return event->kind == IOMMU_ATTACH_OWN ? 0 : nest;
	if (record->mode & ATC_WAITS)
		return nest + 1;
	fact = find_fact(record->world, alist, event);
	return nest + (fact && fact->atc_late);
}

static u32 rank_of(const struct event *event)
{
	return event->call == CALL_ATC ? 2 : event->kind == IOMMU_ATTACH_NEST;
}

/* How many IOMMUs of the list come before this one? */
static u32 place_of(const struct record *record, const struct iommu_attach_list *alist,
		    u32 iommu)
{
	struct world *world = record->world;
	u32 i, nr = 0;

	memset(world->before, 0, sizeof(world->before));
	for (i = 0; i < world->nr; i++) {
		if (world->fact[i].alist == alist)
			world->before[iommu_number(world->fact[i].iommu_device)] = true;
	}
	for (i = 0; i < iommu; i++)
		nr += world->before[i];
	return nr;
}

static enum fault judge_order(const struct record *record,
			      const struct iommu_attach_list *alist)
{
	u32 i, n, phase = 0, at, rank = 0, nr_open = 0, nr_waited = 0, windows = 0;
	bool with_atc = false;
	const struct iommu_device *sending = NULL;
	struct world *world = record->world;
	const struct event *event;

	memset(world->submitted, 0, sizeof(world->submitted));
	memset(world->failed, 0, sizeof(world->failed));
	memset(world->cookie, 0, sizeof(world->cookie));

	for (i = 0; i < record->nr; i++) {
		event = &record->event[i];
		n = iommu_number(event->iommu_device);

		switch (event->call) {
		case CALL_IOTLB:
		case CALL_ATC:
			at = phase_of(record, alist, event);
			if (at < phase)
				return OUT_OF_ORDER;
			if (sending && (sending != event->iommu_device || at > phase))
				return SUBMIT_MISSED;
			if (at > phase) {
				if (nr_open)
					return WAIT_MISSED;
				phase = at;
				windows = 0;
				nr_waited = 0;
				memset(world->submitted, 0, sizeof(world->submitted));
				memset(world->failed, 0, sizeof(world->failed));
			}
			/* Only who has failed is sent to again. */
			if (world->failed[n] ? world->cookie[n] : world->submitted[n])
				return SUBMIT_TWICE;
			if (nr_waited && !world->failed[n]) {
				/* A full window is waited for as a whole. */
				if (nr_open || place_of(record, alist, n) < ++windows * WINDOW)
					return WAIT_EARLY;
				nr_waited = 0;
			}
			if (sending && rank_of(event) < rank)
				return OUT_OF_ORDER;
			sending = event->iommu_device;
			rank = rank_of(event);
			with_atc = rank == 2;
			break;
		case CALL_SUBMIT:
			if (sending != event->iommu_device)
				return SUBMIT_EXTRA;
			sending = NULL;
			world->submitted[n] = true;
			world->cookie[n] = event->value;
			world->looked[n] = with_atc;
			nr_open++;
			break;
		case CALL_WAIT:
			if (sending)
				return SUBMIT_MISSED;
			if (!event->value || world->cookie[n] != event->value)
				return WAIT_EXTRA;
			/* A moment is all right, once, where no device can hold it up. */
			if (event->in_rcu && world->looked[n])
				return WAIT_IN_RCU;
			nr_waited++;
			world->looked[n] = true;
			if (event->error == -EINPROGRESS)
				break;
			world->failed[n] |= event->error;
			world->cookie[n] = 0;
			nr_open--;
			break;
		case CALL_SILENT:
			if (!world->failed[n])
				return SILENT_FOREIGN;
			break;
		}
	}
	if (sending)
		return SUBMIT_MISSED;
	return nr_open ? WAIT_MISSED : FINE;
}

static enum fault judge(const struct record *record,
			const struct iommu_attach_list *alist)
{
	enum fault fault = record->overflow ? OVERFLOW : judge_sets(record, alist);

	if (fault == FINE)
		fault = judge_error(record, alist);
	return fault == FINE ? judge_order(record, alist) : fault;
}

#define EXPECT_FAULT(rec, alist, expected, fmt, ...)			\
do {									\
	const struct record *judged = (rec);				\
	enum fault fault = judge(judged, alist);			\
									\
	KUNIT_EXPECT_EQ_MSG(judged->world->test, fault, expected,	\
			    "%s; " fmt, fault_names[fault], ##__VA_ARGS__); \
} while (0)

/*
 * The facts
 */

static bool same_group(const struct fact *a, const struct fact *b)
{
	return a->alist == b->alist && a->iommu_device == b->iommu_device &&
	       a->kind == b->kind && a->tag == b->tag;
}

/* How many are in the group of a fact, which is counted too if it is noted? */
static u32 count_group(const struct world *world, const struct fact *fact)
{
	u32 i, nr = 0;

	for (i = 0; i < world->nr; i++)
		nr += same_group(&world->fact[i], fact);
	return nr;
}

static u32 count_facts(const struct world *world,
		       const struct iommu_attach_list *alist)
{
	u32 i, nr = 0;

	for (i = 0; i < world->nr; i++)
		nr += world->fact[i].alist == alist;
	return nr;
}

/* Groups, ATC targets and IOMMUs of a list: those that no earlier fact equals. */
static void count_distinct(const struct world *world,
			   const struct iommu_attach_list *alist, u32 *groups,
			   u32 *targets, u32 *iommus)
{
	bool group, target, iommu;
	const struct fact *a, *b;
	u32 i, j;

	*groups = 0;
	*targets = 0;
	*iommus = 0;
	for (i = 0; i < world->nr; i++) {
		a = &world->fact[i];
		if (a->alist != alist)
			continue;
		group = true;
		iommu = true;
		target = a->using_atc && !fact_state(&world->record, a)->aside;
		for (j = 0; j < i; j++) {
			b = &world->fact[j];
			if (b->alist != alist)
				continue;
			if (a->iommu_device == b->iommu_device)
				iommu = false;
			if (!same_group(a, b))
				continue;
			group = false;
			if (b->using_atc && b->atc == a->atc)
				target = false;
		}
		*groups += group;
		*targets += target;
		*iommus += iommu;
	}
}

static struct fact fact_of(struct thing *thing, u32 half)
{
	struct iommu_attach_elm *elm = half ? &thing->nest.s2 : &thing->nest.s1;

	return (struct fact){
		.thing = thing,
		.elm = elm,
		.alist = thing->list[half],
		.iommu_device = elm->iommu_device,
		.tag = elm->tag,
		.atc = elm->atc,
		.kind = half ? IOMMU_ATTACH_NEST : elm->kind,
		.using_atc = elm->using_atc,
	};
}

static void note_thing(struct world *world, struct thing *thing)
{
	u32 half;

	for (half = 0; half < thing->nr; half++)
		world->fact[world->nr++] = fact_of(thing, half);
}

static void forget_thing(struct world *world, const struct thing *thing)
{
	u32 i, nr = 0;

	for (i = 0; i < world->nr; i++) {
		if (world->fact[i].thing != thing)
			world->fact[nr++] = world->fact[i];
	}
	world->nr = nr;
}

static void note_atc_use(struct world *world, const struct thing *thing, bool on)
{
	u32 i;

	for (i = 0; i < world->nr; i++) {
		if (world->fact[i].thing == thing)
			world->fact[i].using_atc = on;
	}
}

/* The groups of a thing that nobody else is in. */
static u32 alone_in(const struct world *world, struct thing *thing, u32 others)
{
	struct fact fact;
	u32 half, alone = 0;

	for (half = 0; half < thing->nr; half++) {
		fact = fact_of(thing, half);
		if (count_group(world, &fact) == others)
			alone |= half ? IOMMU_ATTACH_GROUP_PARENT :
					IOMMU_ATTACH_GROUP_DOMAIN;
	}
	return alone;
}

static void fill_elm(struct iommu_attach_elm *elm, u32 iommu, u64 tag, u64 atc)
{
	elm->iommu_device = fake_iommu(iommu);
	elm->fence = &fake_fences[iommu];
	elm->tag = tag;
	elm->atc = atc == NO_ATC ? 0 : atc;
	elm->pasid = atc == NO_ATC ? IOMMU_NO_PASID : atc >> 16;
	elm->using_atc = atc != NO_ATC;
	elm->endpoint = endpoint_of(iommu, elm->atc);
	iommu_attach_elm_set_device(elm, fake_device(elm->atc));
}

static struct thing *new_thing(struct world *world, struct iommu_attach_list *alist,
			       u32 iommu, u64 tag, u64 atc)
{
	struct thing *thing;

	thing = kzalloc_obj(*thing, world->atomic ? GFP_ATOMIC : GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(world->test, thing);
	thing->nr = 1;
	thing->list[0] = alist;
	fill_elm(&thing->nest.s1, iommu, tag, atc);
	return thing;
}

/* @atc is the same on both lists. */
static struct thing *new_nest(struct world *world, struct iommu_attach_list *s1,
			      struct iommu_attach_list *s2, u32 iommu, u64 tag,
			      u64 nest_tag, u64 atc)
{
	struct thing *thing = new_thing(world, s1, iommu, tag, atc);

	thing->nr = 2;
	thing->list[1] = s2;
	fill_elm(&thing->nest.s2, iommu, nest_tag, atc);
	return thing;
}

static int try_attach(struct world *world, struct thing *thing)
{
	int ret;

	if (thing->nr == 2)
		ret = iommu_attach_add_nest(thing->list[0], thing->list[1],
					    &thing->nest);
	else
		ret = iommu_attach_add(thing->list[0], &thing->nest.s1);
	if (ret >= 0)
		note_thing(world, thing);
	return ret;
}

static void attach(struct world *world, struct thing *thing)
{
	u32 first = alone_in(world, thing, 0);
	int ret;

	KUNIT_ASSERT_LE(world->test, world->nr + thing->nr, world->max);
	ret = try_attach(world, thing);
	if (ret < 0)
		kfree(thing);
	KUNIT_ASSERT_EQ_MSG(world->test, ret, first, "groups that are new");
}

static struct thing *add(struct world *world, struct iommu_attach_list *alist,
			 u32 iommu, u64 tag, u64 atc)
{
	struct thing *thing = new_thing(world, alist, iommu, tag, atc);

	attach(world, thing);
	return thing;
}

static struct thing *add_nest(struct world *world, struct iommu_attach_list *s1,
			      struct iommu_attach_list *s2, u32 iommu, u64 tag,
			      u64 nest_tag, u64 atc)
{
	struct thing *thing = new_nest(world, s1, s2, iommu, tag, nest_tag, atc);

	attach(world, thing);
	return thing;
}

/* Leaves the facts alone. */
static int take_off(struct thing *thing)
{
	int last;

	if (thing->nr == 1)
		return iommu_attach_del_free(thing->list[0], thing, nest.s1);

	last = iommu_attach_del_nest(thing->list[0], thing->list[1], &thing->nest);
	if (last >= 0)
		kfree_rcu(thing, nest.s1.rcu);
	return last;
}

static void detach(struct world *world, struct thing *thing)
{
	unsigned long allocs = world->allocs;
	u32 expected = alone_in(world, thing, 1);
	int last = take_off(thing);

	forget_thing(world, thing);
	KUNIT_EXPECT_EQ_MSG(world->test, last, expected, "groups that are gone");
	KUNIT_EXPECT_EQ(world->test, world->allocs, allocs);
}

static int enable_atc(struct thing *thing)
{
	/* Either half of a nest stands for both. */
	return iommu_attach_enable_atc(thing->nr == 2 && thing->nest.s1.tag % 2 ?
				       &thing->nest.s2 : &thing->nest.s1);
}

static void disable_atc(struct world *world, struct thing *thing)
{
	unsigned long allocs = world->allocs;

	iommu_attach_disable_atc(thing->nr == 2 && thing->nest.s1.tag % 2 ?
				 &thing->nest.s2 : &thing->nest.s1);
	note_atc_use(world, thing, false);
	KUNIT_EXPECT_EQ(world->test, world->allocs, allocs);
}

/*
 * What is true of a list whenever nothing runs beside it
 */

/* To look at elements alone, whatever they are part of. */
struct bare {
	struct iommu_attach_elm elm;
};

static u32 count_elm(const struct world *world,
		     const struct iommu_attach_list *alist,
		     const struct iommu_attach_elm *elm)
{
	u32 i, nr = 0;

	for (i = 0; i < world->nr; i++)
		nr += world->fact[i].alist == alist && world->fact[i].elm == elm;
	return nr;
}

static void verify_walk(struct world *world, struct iommu_attach_list *alist,
			u32 groups, u32 targets, u32 iommus)
{
	struct record *record = &world->record;
	const struct iommu_attach_group *group;
	u32 again = 0, nr_iommus = 0, nr_all = 0, nr_foreign = 0, i;
	struct iommu_attach_walk walk;
	struct kunit *test = world->test;
	struct iommu_device *before = NULL;
	struct bare *bare;
	u64 atc;

	begin_record(record, JUST_A_WALK);
	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk)
		note_iotlb(group, record);
	iommu_attach_for_each_atc(group, atc, &walk)
		note_atc(group, atc, record);
	iommu_attach_for_each_iommu(group, &walk) {
		/* Sorted, none can come twice. */
		nr_foreign += before && group->iommu_device <= before;
		before = group->iommu_device;
		nr_iommus++;
	}
	iommu_attach_for_each_group(group, &walk)
		again++;
	iommu_attach_for_each_all(bare, &walk, elm) {
		nr_all++;
		nr_foreign += count_elm(world, alist, &bare->elm) != 1;
	}
	iommu_attach_walk_end(&walk);
	for (i = 0; i < record->nr; i++)
		record->event[i].done = true;

	KUNIT_EXPECT_EQ_MSG(test, judge_sets(record, alist), FINE, "%s",
			    fault_names[judge_sets(record, alist)]);
	KUNIT_EXPECT_EQ(test, record->nr, groups + targets);
	KUNIT_EXPECT_EQ(test, nr_iommus, iommus);
	KUNIT_EXPECT_EQ_MSG(test, again, groups, "groups after the ATC targets");
	KUNIT_EXPECT_EQ(test, nr_all, count_facts(world, alist));
	KUNIT_EXPECT_EQ(test, nr_foreign, 0);
}

static void verify_find_tag(struct world *world, struct iommu_attach_list *alist,
			    u32 iommu)
{
	const struct fact *fact;
	u64 tag = 0, lowest = 0;
	bool found = false;
	u32 i;
	int ret;

	for (i = 0; i < world->nr; i++) {
		fact = &world->fact[i];
		if (fact->alist != alist || fact->kind != IOMMU_ATTACH_OWN ||
		    fact->iommu_device != fake_iommu(iommu))
			continue;
		if (!found || fact->tag < lowest)
			lowest = fact->tag;
		found = true;
	}
	ret = iommu_attach_find_tag(alist, fake_iommu(iommu), &tag);
	KUNIT_EXPECT_EQ(world->test, ret, found ? 0 : -ENOENT);
	KUNIT_EXPECT_EQ(world->test, tag, lowest);
}

static const char *check_locked(struct iommu_attach_list *alist)
{
	const char *fault;

	iommu_attach_lock(alist);
	fault = iommu_attach_check(alist);
	iommu_attach_unlock(alist);
	return fault;
}

/* Those that are set aside, too: they are on record. */
static u32 count_targets(const struct world *world, const struct iommu_attach_list *alist)
{
	const struct fact *a, *b;
	u32 i, j, nr = 0;

	for (i = 0; i < world->nr; i++) {
		a = &world->fact[i];
		if (a->alist != alist || !a->using_atc)
			continue;
		for (j = 0; j < i; j++) {
			b = &world->fact[j];
			if (same_group(a, b) && b->using_atc && b->atc == a->atc)
				break;
		}
		nr += j == i;
	}
	return nr;
}

static void verify(struct world *world, struct iommu_attach_list *alist)
{
	static const u32 modes[] = { 0, NEST_WAITS, ATC_WAITS,
				     NEST_WAITS | ATC_WAITS, WITHOUT_ATC };
	unsigned long allocs = world->allocs;
	u32 groups, targets, iommus, i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		flush_into(&world->record, alist, modes[i]);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", modes[i]);
	}
	count_distinct(world, alist, &groups, &targets, &iommus);
	verify_walk(world, alist, groups, targets, iommus);
	for (i = 0; i < 4; i++)
		verify_find_tag(world, alist, i);
	KUNIT_EXPECT_NULL(world->test, check_locked(alist));
	KUNIT_EXPECT_EQ(world->test, iommu_attach_empty(alist),
			!count_facts(world, alist));
	KUNIT_EXPECT_EQ_MSG(world->test, world->allocs, allocs,
			    "walks and flushes take no memory");
	KUNIT_EXPECT_EQ_MSG(world->test, alist->nr_atc, count_targets(world, alist),
			    "ATC targets");
}

static void verify_all(struct world *world)
{
	u32 i;

	for (i = 0; i < NR_LISTS; i++)
		verify(world, &world->list[i]);
}

static struct world *new_world(struct kunit *test, u32 max)
{
	struct world *world = test->priv;

	world->max = max;
	world->fact = kunit_kcalloc(test, max, sizeof(*world->fact), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, world->fact);
	world->record.world = world;
	/* An IOTLB, an ATC command, and submits in four phases, of each. */
	world->record.max = 12 * max + 16;
	world->record.event = kunit_kcalloc(test, world->record.max,
					    sizeof(*world->record.event),
					    GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, world->record.event);
	return world;
}

static int alist_test_init(struct kunit *test)
{
	struct world *world = kunit_kzalloc(test, sizeof(*world), GFP_KERNEL);
	u32 i, j;

	if (!world)
		return -ENOMEM;
	world->test = test;
	for (i = 0; i < NR_LISTS; i++)
		iommu_attach_init(&world->list[i]);
	for (i = 0; i < NR_IOMMUS; i++) {
		if (iommu_attach_fence_init(&fake_fences[i]))
			return -ENOMEM;
		for (j = 0; j < NR_ENDPOINTS; j++)
			iommu_attach_endpoint_init(&fake_endpoints[i][j]);
	}
	test->priv = world;
	kunit_activate_static_stub(test, iommu_attach_alloc, counting_alloc);
	return 0;
}

static void detach_all(struct world *world)
{
	while (world->nr)
		detach(world, world->fact[world->nr - 1].thing);
}

/* What has been deleted may be freed. */
static void drain_all(void)
{
	u32 i;

	iommu_attach_drain(&fake_fences[0]);
	for (i = 1; i < NR_IOMMUS; i++)
		iommu_attach_fence(&fake_fences[i]);
}

static void alist_test_exit(struct kunit *test)
{
	struct world *world = test->priv;
	u32 i;

	if (!world)
		return;
	detach_all(world);
	/* Nothing runs any more: a flush that did not leave its fences is found here. */
	for (i = 0; i < NR_IOMMUS; i++)
		KUNIT_EXPECT_TRUE_MSG(test, fence_is_idle(i), "fence of IOMMU %u", i);
	synchronize_rcu();
	for (i = 0; i < NR_LISTS; i++)
		iommu_attach_destroy(&world->list[i]);
	for (i = 0; i < NR_IOMMUS; i++)
		iommu_attach_fence_destroy(&fake_fences[i]);
}

#endif /* __IOMMU_ALIST_JUDGE_H */
