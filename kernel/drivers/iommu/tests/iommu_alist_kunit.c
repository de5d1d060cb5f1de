// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the attach list
 *
 * Whatever a case is about, in the end a flush is recorded and judged against a plain
 * array of facts, see iommu_alist_judge.h. The judge is itself tested first, on
 * streams that are wrong.
 *
 * Cases are named after the rule of the contract (1 nothing stale, 2 nothing twice,
 * 3 in order, 4 no lock, allocation or sleep on the walk, 5 send all and then wait,
 * 6 attach leaves no trace when it fails, detach does not fail, 7 silence after a
 * drain, 8 a nest is two attachments, 9 first and last, 10 the locked view) or after
 * the fault that drivers were seen to have.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "iommu_alist_judge.h"

/*
 * The judge is judged: each stream has one fault
 */

enum edit {
	DROP, COPY, MOVE, ALTER, COPY_ALTERED, ALTER_RCU, UNDO, FAIL, COPY_UNDONE, NAME,
	ASIDE, SUCCEED,
};

struct wrong {
	const char *name;
	u32 mode;
	enum edit edit;
	u32 from;
	s32 to;
	enum fault fault;
};

/*
 * Without any mode the right stream is:
 *   0 own, 1 nest, 2 ATC, 3 ATC, 4 submit; 5 own, 6 nest, 7 submit; 8 wait, 9 wait
 * and where ATC commands wait:
 *   0 own, 1 nest, 2 submit; 3 own, 4 nest, 5 submit; 6 wait, 7 wait;
 *   8 ATC, 9 ATC, 10 submit, 11 wait
 */
static const struct wrong wrongs[] = {
	{ "group missed", 0, DROP, 0, 0, GROUP_MISSED },
	{ "nest missed", 0, DROP, 6, 0, GROUP_MISSED },
	{ "group twice", 0, COPY, 0, 0, GROUP_TWICE },
	{ "foreign tag", 0, COPY_ALTERED, 0, 0, GROUP_FOREIGN },
	{ "tag altered", 0, ALTER, 0, 0, GROUP_MISSED },
	{ "ATC missed", 0, DROP, 2, 0, ATC_MISSED },
	{ "ATC twice", 0, COPY, 3, 3, ATC_TWICE },
	{ "foreign ATC", 0, COPY_ALTERED, 2, 2, ATC_FOREIGN },
	{ "nest before own", 0, MOVE, 1, 0, OUT_OF_ORDER },
	{ "ATC before IOTLB", 0, MOVE, 2, 0, OUT_OF_ORDER },
	{ "IOTLB after ATC phase", ATC_WAITS, MOVE, 4, 10, OUT_OF_ORDER },
	{ "submit dropped", 0, DROP, 4, 0, SUBMIT_MISSED },
	{ "last submit dropped", 0, DROP, 7, 0, SUBMIT_MISSED },
	{ "IOMMUs interleaved", 0, MOVE, 4, 5, SUBMIT_MISSED },
	{ "ATC in the IOTLB phase", ATC_WAITS, MOVE, 8, 2, SUBMIT_MISSED },
	{ "submit without commands", 0, COPY, 4, 4, SUBMIT_EXTRA },
	{ "submit between commands", 0, COPY, 4, 1, SUBMIT_TWICE },
	{ "wait dropped", 0, DROP, 9, 0, WAIT_MISSED },
	{ "ATC before the last wait", ATC_WAITS, MOVE, 7, 8, WAIT_MISSED },
	{ "wait twice", 0, COPY, 9, 9, WAIT_EXTRA },
	{ "wait for another cookie", 0, ALTER, 8, 0, WAIT_EXTRA },
	{ "each waited for in turn", 0, MOVE, 8, 5, WAIT_EARLY },
	{ "wait in RCU", 0, ALTER_RCU, 8, 0, WAIT_IN_RCU },
	{ "group not done", 0, UNDO, 0, 0, GROUP_MISSED },
	{ "ATC not done", 0, UNDO, 3, 0, ATC_MISSED },
	{ "wait says no", 0, FAIL, 8, 0, WRONG_ERROR },
	{ "sent again for nothing", 0, COPY_UNDONE, 5, 10, SUBMIT_TWICE },
	{ "named for nothing", 0, NAME, 2, 9, SILENT_FOREIGN },
};

/*
 * The second ATC target does not answer, the device of the first one is set aside:
 *   0 own, 1 nest, 2 ATC, 3 submit; 4 own, 5 nest, 6 submit; 7 wait, 8 wait;
 *   9 own, 10 nest, 11 submit, 12 wait; 13 ATC, 14 submit, 15 wait, 16 named
 */
static const struct wrong silent_wrongs[] = {
	{ "not named", 0, DROP, 16, 0, SILENT_MISSED },
	{ "named twice", 0, COPY, 16, 16, SILENT_TWICE },
	{ "named before it was asked", 0, MOVE, 16, 0, SILENT_FOREIGN },
	{ "another one named", 0, ALTER, 16, 0, SILENT_MISSED },
	{ "a foreign one named", 0, COPY_ALTERED, 16, 16, SILENT_FOREIGN },
	{ "the one set aside sent to", 0, ASIDE, 2, 2, ATC_ASIDE },
	{ "the rest not done", 0, UNDO, 9, 0, GROUP_MISSED },
	{ "the others sent to again", 0, COPY_UNDONE, 4, 9, SUBMIT_TWICE },
	{ "no error", 0, SUCCEED, 0, 0, WRONG_ERROR },
	{ "another error", 0, SUCCEED, 0, -EIO, WRONG_ERROR },
};

static void describe_wrong(const struct wrong *wrong, char *text)
{
	snprintf(text, KUNIT_PARAM_DESC_SIZE, "%s", wrong->name);
}

KUNIT_ARRAY_PARAM(wrong, wrongs, describe_wrong);
KUNIT_ARRAY_PARAM(silent_wrong, silent_wrongs, describe_wrong);

static struct event take_event(struct record *record, u32 at)
{
	struct event event = record->event[at];

	record->nr--;
	memmove(&record->event[at], &record->event[at + 1],
		(record->nr - at) * sizeof(event));
	return event;
}

static void put_event(struct record *record, u32 at, struct event event)
{
	memmove(&record->event[at + 1], &record->event[at],
		(record->nr - at) * sizeof(event));
	record->event[at] = event;
	record->nr++;
}

static void alter_event(struct event *event)
{
	if (event->call == CALL_IOTLB)
		event->tag += 100;
	else
		event->value += 100;
}

static void edit_stream(struct record *record, const struct wrong *wrong)
{
	struct event event = record->event[wrong->from];

	switch (wrong->edit) {
	case DROP:
		take_event(record, wrong->from);
		break;
	case COPY_ALTERED:
		alter_event(&event);
		fallthrough;
	case COPY:
		put_event(record, wrong->to, event);
		break;
	case MOVE:
		event = take_event(record, wrong->from);
		put_event(record, wrong->to, event);
		break;
	case ALTER:
		alter_event(&record->event[wrong->from]);
		break;
	case ALTER_RCU:
		record->event[wrong->from].in_rcu = true;
		break;
	case UNDO:
		record->event[wrong->from].done = false;
		break;
	case FAIL:
		record->event[wrong->from].error = -EIO;
		record->trouble = true;
		break;
	case COPY_UNDONE:
		event.done = false;
		put_event(record, wrong->to, event);
		break;
	case NAME:
		event.call = CALL_SILENT;
		put_event(record, wrong->to, event);
		break;
	case ASIDE:
		event.kind = IOMMU_ATTACH_OWN;
		event.tag = 5;
		event.value = 20;
		put_event(record, wrong->to, event);
		break;
	case SUCCEED:
		record->error = wrong->to;
		break;
	}
}

static void judge_sees_wrong_stream(struct kunit *test)
{
	const struct wrong *wrong = test->param_value;
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];

	add(world, s2, 0, 5, 20);
	add(world, s2, 1, 5, NO_ATC);
	add_nest(world, s1, s2, 0, 6, 7, 12);
	add_nest(world, s1, s2, 1, 6, 7, NO_ATC);

	flush_into(&world->record, s2, wrong->mode);
	KUNIT_ASSERT_EQ_MSG(test, judge(&world->record, s2), FINE, "before the edit");
	edit_stream(&world->record, wrong);
	EXPECT_FAULT(&world->record, s2, wrong->fault, "after the edit");
}

static void judge_sees_wrong_stream_of_failure(struct kunit *test)
{
	const struct wrong *wrong = test->param_value;
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];

	add(world, s2, 0, 5, 20);
	add_nest(world, s1, s2, 0, 6, 7, 13);
	add(world, s2, 1, 5, NO_ATC);
	add_nest(world, s1, s2, 1, 6, 7, NO_ATC);
	set_aside(world, 0, 20);
	state_of(world, 0, 13)->dead = true;

	flush_into(&world->record, s2, wrong->mode);
	KUNIT_ASSERT_EQ_MSG(test, judge(&world->record, s2), FINE, "before the edit");
	KUNIT_ASSERT_EQ(test, world->record.nr, 17);
	edit_stream(&world->record, wrong);
	EXPECT_FAULT(&world->record, s2, wrong->fault, "after the edit");
}

/* The list's own check: each field that it looks at is off by one for a moment. */
#define EXPECT_CHECK(test, alist, text)					\
	KUNIT_EXPECT_STREQ(test, check_locked(alist) ?: "fine", text)

#define CHECK_SEES(test, alist, field, text)				\
do {									\
	(field)++;							\
	EXPECT_CHECK(test, alist, text);				\
	(field)--;							\
} while (0)

static void check_sees_wrong_list(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct iommu_attach_elm *elm;
	struct iommu_attach_slots *slots;
	struct iommu_attach_group *group;
	s64 value;

	add(world, alist, 1, 5, NO_ATC);
	elm = &add(world, alist, 0, 5, 20)->nest.s1;
	add(world, alist, 0, 5, 21);
	add(world, alist, 2, 5, NO_ATC);
	group = elm->group;
	slots = elm->slots;
	EXPECT_CHECK(test, alist, "fine");

	CHECK_SEES(test, alist, alist->nr, "attachments are miscounted");
	CHECK_SEES(test, alist, alist->nr_idle, "idle groups are miscounted");
	CHECK_SEES(test, alist, alist->nr_atc, "targets of the list are miscounted");
	CHECK_SEES(test, alist, alist->nr_indexed, "the index is miscounted");
	CHECK_SEES(test, alist, group->users, "users of groups are miscounted");
	CHECK_SEES(test, alist, group->nr_slots, "slots are miscounted");
	CHECK_SEES(test, alist, slots->nr_used, "targets are miscounted");
	CHECK_SEES(test, alist, elm->tag, "an attachment is in another group");
	CHECK_SEES(test, alist, elm->atc, "an attachment has another target");

	elm->alist = &world->list[1];
	EXPECT_CHECK(test, alist, "an attachment is in another group");
	elm->alist = alist;

	slots->end--;
	EXPECT_CHECK(test, alist, "a target is out of reach");
	slots->end++;

	elm->using_atc = false;
	EXPECT_CHECK(test, alist, "an attachment has a target that it does not use");
	elm->using_atc = true;

	/* A third one, whose attachment was forgotten. */
	value = atomic64_read(&slots->slot[1]);
	atomic64_set(&slots->slot[2], value);
	slots->end++;
	slots->nr_used++;
	alist->nr_atc++;
	EXPECT_CHECK(test, alist, "a target has no attachment");
	alist->nr_atc--;
	slots->nr_used--;
	slots->end--;
	atomic64_set(&slots->slot[2], 0);

	group->iommu_device = fake_iommu(3);
	EXPECT_CHECK(test, alist, "groups are not sorted");
	group->iommu_device = fake_iommu(0);
	EXPECT_CHECK(test, alist, "fine");
}

static void judge_sees_overflow(struct kunit *test)
{
	struct world *world = new_world(test, 2);

	add(world, &world->list[0], 0, 1, NO_ATC);
	world->record.max = 2;
	flush_into(&world->record, &world->list[0], 0);
	EXPECT_FAULT(&world->record, &world->list[0], OVERFLOW, "three calls");
}

/*
 * Shapes of lists
 */

enum some { NONE, HALF, ALL };

struct shape {
	u32 n;
	u32 iommus;
	u32 tags;		/* on each IOMMU */
	enum some atc;
	enum some nests;
	u32 pasids;		/* of each device */
};

static const struct shape shapes[] = {
	{ 1, 1, 1, NONE, NONE, 1 },
	{ 1, 1, 1, ALL, NONE, 1 },
	{ 1, 1, 1, ALL, ALL, 1 },
	{ 2, 1, 1, HALF, NONE, 1 },
	{ 2, 2, 1, HALF, HALF, 1 },
	{ 4, 1, 1, ALL, NONE, 4 },
	{ 4, 4, 1, NONE, NONE, 1 },
	{ 8, 2, 3, HALF, HALF, 2 },
	{ 16, 1, 16, ALL, NONE, 1 },
	{ 64, 8, 1, HALF, NONE, 4 },
	{ 64, 8, 2, ALL, HALF, 4 },
	{ 64, 64, 1, ALL, NONE, 1 },
	{ 65, 65, 1, ALL, NONE, 1 },
	{ 130, 130, 1, HALF, NONE, 1 },
	{ 129, 129, 1, NONE, ALL, 1 },
	{ 256, 4, 5, HALF, HALF, 1 },
	{ 256, 1, 1, ALL, ALL, 16 },
};

static const struct shape big_shape = { 4096, 64, 1, ALL, NONE, 1 };
static const struct shape big_pasid_shape = { 4096, 64, 2, HALF, NONE, 8 };

static void describe_shape(const struct shape *shape, char *text)
{
	static const char *const names[] = { "none", "half", "all" };

	snprintf(text, KUNIT_PARAM_DESC_SIZE,
		 "n=%u iommus=%u tags=%u atc=%s nests=%s pasids=%u", shape->n,
		 shape->iommus, shape->tags, names[shape->atc],
		 names[shape->nests], shape->pasids);
}

KUNIT_ARRAY_PARAM(shape, shapes, describe_shape);

static bool is_some(enum some some, u32 i)
{
	return some == ALL || (some == HALF && i % 2);
}

/* IOMMUs alternate, as devices are found; the parent is list 2. */
static void add_shaped(struct world *world, const struct shape *shape, u32 i)
{
	u32 iommu = i % shape->iommus, row = i / shape->iommus;
	u64 tag = 100 + row % shape->tags, atc = NO_ATC;

	if (is_some(shape->atc, row + i))
		atc = (u64)(i % shape->pasids + 1) << 16 | i / shape->pasids;
	if (is_some(shape->nests, row))
		add_nest(world, &world->list[0], &world->list[2], iommu, tag,
			 5000 + row % 5, atc);
	else
		add(world, &world->list[row % 2 ? 0 : 2], iommu, tag, atc);
}

static void run_shape(struct kunit *test, const struct shape *shape)
{
	struct world *world = new_world(test, 2 * shape->n);
	u64 seed = shape->n;
	u32 i;

	for (i = 0; i < shape->n; i++)
		add_shaped(world, shape, i);
	verify_all(world);

	/* In no order. */
	for (i = 0; i < shape->n; i++) {
		detach(world, world->fact[random_below(&seed, world->nr)].thing);
		if (i == shape->n / 2)
			verify_all(world);
	}
	verify_all(world);
}

static void rule_02_shapes(struct kunit *test)
{
	run_shape(test, test->param_value);
}

static void rule_02_4096_over_64_iommus(struct kunit *test)
{
	run_shape(test, &big_shape);
}

static void rule_02_4096_with_pasids(struct kunit *test)
{
	run_shape(test, &big_pasid_shape);
}

static void rule_08_4096_nests_with_own_tags(struct kunit *test)
{
	struct world *world = new_world(test, 2 * 4096);
	u32 i;

	for (i = 0; i < 4096; i++)
		add_nest(world, &world->list[i % 2], &world->list[2], i % 4, 9,
			 10000 + i, i);
	for (i = 0; i < NR_MODES; i++) {
		flush_into(&world->record, &world->list[2], i);
		EXPECT_FAULT(&world->record, &world->list[2], FINE, "mode %u", i);
	}
	for (i = 0; i < 4096 - 8; i++)
		detach(world, world->fact[world->nr - 1].thing);
	verify_all(world);
}

/*
 * Streams of random work
 */

static const u32 seeds[] = { 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233 };

static void describe_seed(const u32 *seed, char *text)
{
	snprintf(text, KUNIT_PARAM_DESC_SIZE, "seed=%u", *seed);
}

KUNIT_ARRAY_PARAM(seed, seeds, describe_seed);

static void random_attach(struct world *world, u64 *seed)
{
	struct iommu_attach_list *alist = &world->list[random_below(seed, NR_LISTS)];
	u64 atc = random_below(seed, 2) ? random_below(seed, 16) : NO_ATC;
	u64 tag = random_below(seed, 3), nest_tag = random_below(seed, 3);
	u32 iommu = random_below(seed, 4);
	struct thing *thing;
	int ret;

	if (random_below(seed, 3)) {
		thing = new_thing(world, alist, iommu, tag, atc);
		/* Now and then half a nest. */
		thing->nest.s1.kind = random_below(seed, 4) ? IOMMU_ATTACH_OWN :
							      IOMMU_ATTACH_NEST;
	} else {
		thing = new_nest(world, &world->list[random_below(seed, 2)],
				 &world->list[2 + random_below(seed, 2)], iommu,
				 tag, nest_tag, atc);
	}

	/* Now and then the memory is out. */
	if (!random_below(seed, 8)) {
		world->fail_at = world->allocs + 1 + random_below(seed, 4);
		ret = try_attach(world, thing);
		KUNIT_EXPECT_EQ(world->test, ret < 0,
				world->allocs >= world->fail_at);
		world->fail_at = 0;
		if (ret < 0)
			kfree(thing);
		return;
	}
	attach(world, thing);
}

static void random_op(struct world *world, u64 *seed)
{
	struct thing *thing;

	if (!world->nr || (world->nr < world->max - 2 && random_below(seed, 2))) {
		random_attach(world, seed);
		return;
	}
	thing = world->fact[random_below(seed, world->nr)].thing;
	switch (random_below(seed, 8)) {
	case 0:
	case 1:
		KUNIT_EXPECT_EQ(world->test, enable_atc(thing), 0);
		note_atc_use(world, thing, true);
		break;
	case 2:
	case 3:
		disable_atc(world, thing);
		break;
	default:
		detach(world, thing);
	}
}

static void rule_02_random_work(struct kunit *test)
{
	const u32 *number = test->param_value;
	struct world *world = new_world(test, 200);
	u64 seed = *number;
	u32 i;

	for (i = 0; i < 1500; i++) {
		random_op(world, &seed);
		if (i % 16 == 0)
			verify_all(world);
		if (test->status == KUNIT_FAILURE) {
			kunit_info(test, "seed %u, operation %u", *number, i);
			return;
		}
	}
	verify_all(world);
}

/*
 * The same, on hardware that is slow, aborts, fails, and has devices that do not answer
 */

static void random_fault(struct world *world, u64 *seed)
{
	u32 iommu = random_below(seed, 4), atc = random_below(seed, 16);
	struct hardware *hardware = &world->hardware[iommu];
	struct device_state *state = state_of(world, iommu, atc);

	switch (random_below(seed, 8)) {
	case 0:
		hardware->slow = random_below(seed, 4);
		break;
	case 1:
		/* More than once is asked for in vain, now and then. */
		hardware->aborts = random_below(seed, random_below(seed, 4) ? 4 : 40);
		break;
	case 2:
		hardware->error = random_below(seed, 4) ? 0 : -EIO;
		break;
	case 3:
	case 4:
		state->dead = random_below(seed, 3) == 0;
		break;
	case 5:
		set_aside(world, iommu, atc);
		break;
	case 6:
		block(world, iommu, atc);
		break;
	case 7:
		state->dead = false;
		resume(world, iommu, atc);
		break;
	}
}

static void rule_13_random_faults(struct kunit *test)
{
	const u32 *number = test->param_value;
	struct world *world = new_world(test, 60);
	u64 seed = *number + 1000;
	u32 i;

	world->record.max *= 8;
	world->record.event = kunit_kcalloc(test, world->record.max,
					    sizeof(*world->record.event), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, world->record.event);
	for (i = 0; i < 2000; i++) {
		random_op(world, &seed);
		random_fault(world, &seed);
		if (i % 4 == 0)
			verify(world, &world->list[random_below(&seed, NR_LISTS)]);
		if (test->status == KUNIT_FAILURE) {
			kunit_info(test, "seed %u, operation %u", *number, i);
			return;
		}
	}
}

/*
 * What runs beside a flush
 */

static void mark_beside(struct world *world, const struct thing *thing)
{
	u32 i;

	for (i = 0; i < world->nr; i++) {
		if (world->fact[i].thing == thing)
			world->fact[i].beside = true;
	}
}

/* Since call @at of a flush. */
static void mark_atc_late(struct world *world, const struct thing *thing, u32 at,
			  bool beside)
{
	u32 i;

	for (i = 0; i < world->nr; i++) {
		if (world->fact[i].thing == thing) {
			world->fact[i].atc_late = at > world->record.last_part;
			world->fact[i].atc_beside = beside;
		}
	}
}

static void unmark_all(struct world *world)
{
	u32 i;

	for (i = 0; i < world->nr; i++) {
		world->fact[i].beside = false;
		world->fact[i].atc_beside = false;
		world->fact[i].atc_late = false;
	}
}

static void hook_detach(struct record *record)
{
	take_off(record->hook_thing);
}

static void hook_attach(struct record *record)
{
	struct thing *thing = record->hook_thing;

	if (try_attach(record->world, thing) < 0)
		return;
	mark_beside(record->world, thing);
	mark_atc_late(record->world, thing, record->nr, true);
}

static void hook_enable(struct record *record)
{
	enable_atc(record->hook_thing);
}

static void hook_disable(struct record *record)
{
	disable_atc(record->world, record->hook_thing);
}

static void flush_beside(struct world *world, struct iommu_attach_list *alist,
			 u32 mode, u32 at, void (*hook)(struct record *record),
			 struct thing *thing)
{
	struct record *record = &world->record;

	record->hook = hook;
	record->hook_at = at;
	record->hook_thing = thing;
	flush_into(record, alist, mode);
	KUNIT_EXPECT_NULL_MSG(world->test, record->hook, "call %u never came", at);
	record->hook = NULL;
}

/*
 * On one list: three IOMMUs, one with a single attachment; groups with one and
 * several attachments; equal ones; with and without ATC; nests.
 */
static void add_mixed(struct world *world, struct thing **things)
{
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];

	things[0] = add(world, s2, 0, 1, NO_ATC);
	things[1] = add(world, s2, 1, 1, 10);
	things[2] = add(world, s2, 0, 1, 11);
	things[3] = add(world, s2, 1, 1, 10);
	things[4] = add(world, s2, 1, 2, 12);
	things[5] = add_nest(world, s1, s2, 1, 3, 4, 13);
	things[6] = add_nest(world, s1, s2, 0, 3, 4, NO_ATC);
	things[7] = add(world, s2, 2, 1, 14);
}

#define NR_MIXED	8

static u32 count_flush_calls(struct world *world, struct iommu_attach_list *alist,
			     u32 mode)
{
	struct record *record = &world->record;
	const struct event *event = record->event;

	flush_into(record, alist, mode);
	record->last_part = 0;
	if (mode & NEST_WAITS) {
		while (record->last_part < record->nr &&
		       (event->call != CALL_IOTLB || event->kind == IOMMU_ATTACH_OWN) &&
		       event->call != CALL_ATC) {
			record->last_part++;
			event++;
		}
	}
	return record->nr;
}

/* Before which call is it decided who uses an ATC? */
static u32 find_atc_part(const struct record *record)
{
	u32 i;

	for (i = 0; record->mode & ATC_WAITS && i < record->nr; i++) {
		if (record->event[i].call == CALL_ATC)
			return i;
	}
	return record->nr;
}

static void rule_01_attach_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[2];
	struct thing *things[NR_MIXED], *thing;
	u32 mode, at, nr;

	add_mixed(world, things);
	for (mode = 0; mode < NR_MODES; mode++) {
		nr = count_flush_calls(world, alist, mode);
		for (at = 1; at <= nr; at++) {
			/* Each in a group of its own: the table is replaced. */
			thing = new_thing(world, alist, 1, 50 + at, 60 + at);
			flush_beside(world, alist, mode, at, hook_attach, thing);
			EXPECT_FAULT(&world->record, alist, FINE,
				     "mode %u, attached at call %u", mode, at);
			unmark_all(world);
			flush_into(&world->record, alist, mode);
			EXPECT_FAULT(&world->record, alist, FINE,
				     "mode %u, the flush after call %u", mode, at);
			detach(world, thing);
		}
	}
}

static void rule_02_detach_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[2];
	struct thing *things[NR_MIXED];
	u32 mode, i, at, nr;

	for (mode = 0; mode < NR_MODES; mode++) {
		add_mixed(world, things);
		nr = count_flush_calls(world, alist, mode);
		/* The ATC part may be over before the last calls of the others. */
		for (i = 0; i < NR_MIXED; i++) {
			for (at = 1; at <= nr - 4; at++) {
				mark_beside(world, things[i]);
				flush_beside(world, alist, mode, at, hook_detach,
					     things[i]);
				EXPECT_FAULT(&world->record, alist, FINE,
					     "mode %u, thing %u detached at call %u",
					     mode, i, at);
				forget_thing(world, things[i]);
				verify(world, alist);
				detach_all(world);
				add_mixed(world, things);
			}
		}
		detach_all(world);
	}
}

/* An equal attachment comes before the old one goes, as in a re-attach. */
static void hook_replace(struct record *record)
{
	struct thing **things = record->hook_data;

	if (try_attach(record->world, things[1]) >= 0)
		take_off(things[0]);
}

static void pitfall_19_reattach_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *pair[2];
	u32 mode, at, nr;

	add(world, alist, 0, 1, NO_ATC);
	pair[0] = add(world, alist, 1, 1, 10);
	world->record.hook_data = pair;
	for (mode = 0; mode < NR_MODES; mode++) {
		nr = count_flush_calls(world, alist, mode);
		for (at = 1; at <= nr; at++) {
			/* Somebody with this group and target is always there. */
			pair[1] = new_thing(world, alist, 1, 1, 10);
			flush_beside(world, alist, mode, at, hook_replace, NULL);
			EXPECT_FAULT(&world->record, alist, FINE,
				     "mode %u, replaced at call %u", mode, at);
			forget_thing(world, pair[0]);
			pair[0] = pair[1];
		}
	}
}

static void pitfall_03_ats_enabled_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[2];
	struct thing *things[NR_MIXED];
	static const u32 which[] = { 0, 6 };
	u32 mode, i, at, nr, part;

	add_mixed(world, things);
	for (mode = 0; mode < NR_MODES; mode++) {
		nr = count_flush_calls(world, alist, mode);
		part = find_atc_part(&world->record);
		for (i = 0; i < ARRAY_SIZE(which); i++) {
			struct thing *thing = things[which[i]];

			thing->nest.s1.atc = 30;
			thing->nest.s2.atc = 30;
			for (at = 1; at <= nr; at++) {
				forget_thing(world, thing);
				note_thing(world, thing);
				note_atc_use(world, thing, true);
				mark_atc_late(world, thing, at, at > part);
				flush_beside(world, alist, mode, at, hook_enable,
					     thing);
				EXPECT_FAULT(&world->record, alist, FINE,
					     "mode %u, thing %u enabled at call %u",
					     mode, which[i], at);
				unmark_all(world);
				flush_into(&world->record, alist, mode);
				EXPECT_FAULT(&world->record, alist, FINE,
					     "mode %u, the flush after call %u",
					     mode, at);
				disable_atc(world, thing);
			}
		}
	}
	verify_all(world);
}

/*
 * While the flush of a few IOMMUs runs they become more than it has room for: it goes on,
 * and does not begin anew. Newcomers are sent to or not.
 */
static void hook_attach_many(struct record *record)
{
	struct world *world = record->world;
	struct thing *thing;
	u32 i;

	for (i = 8; i < 50; i++) {
		thing = new_thing(world, &world->list[2], i, 1, i % 2 ? i : NO_ATC);
		if (try_attach(world, thing) < 0)
			continue;
		mark_beside(world, thing);
		mark_atc_late(world, thing, record->nr, true);
	}
}

static void rule_02_iommus_become_many_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 120);
	struct iommu_attach_list *alist = &world->list[2];
	u32 mode, at, nr, i;

	for (mode = 0; mode < NR_MODES; mode++) {
		for (at = 1, nr = 1; at <= nr; at++) {
			for (i = 0; i < 8; i++) {
				add(world, alist, i, 1, i);
				add_nest(world, &world->list[0], alist, i, 3, 4, 20 + i);
			}
			nr = count_flush_calls(world, alist, mode);
			flush_beside(world, alist, mode, at, hook_attach_many, NULL);
			EXPECT_FAULT(&world->record, alist, FINE,
				     "mode %u, more IOMMUs at call %u", mode, at);
			unmark_all(world);
			flush_into(&world->record, alist, mode);
			EXPECT_FAULT(&world->record, alist, FINE,
				     "mode %u, the flush after call %u", mode, at);
			detach_all(world);
		}
	}
}

/* Its group is new, too: it is not in the table that the flush began with. */
static void hook_attach_and_enable(struct record *record)
{
	struct thing *thing = record->hook_thing;

	hook_attach(record);
	thing->nest.s1.atc = 99;
	if (!enable_atc(thing)) {
		forget_thing(record->world, thing);
		note_thing(record->world, thing);
		mark_beside(record->world, thing);
		mark_atc_late(record->world, thing, record->nr, false);
	}
}

static void pitfall_03_ats_enabled_on_newcomer(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[2];
	struct thing *things[NR_MIXED], *thing;
	u32 mode, at, i, part, sent;

	add_mixed(world, things);
	for (mode = 0; mode < NR_MODES; mode++) {
		count_flush_calls(world, alist, mode);
		part = find_atc_part(&world->record);
		for (at = 1; at <= part; at++) {
			thing = new_thing(world, alist, 1, 200 + at, NO_ATC);
			flush_beside(world, alist, mode, at, hook_attach_and_enable,
				     thing);
			EXPECT_FAULT(&world->record, alist, FINE,
				     "mode %u, enabled at call %u", mode, at);
			sent = 0;
			for (i = 0; i < world->record.nr; i++)
				sent += world->record.event[i].call == CALL_ATC &&
					world->record.event[i].value == 99;
			KUNIT_EXPECT_EQ_MSG(test, sent, 1,
					    "mode %u, enabled at call %u", mode, at);
			unmark_all(world);
			detach(world, thing);
		}
	}
}

/* No ATC was in use when the flush began. */
static void pitfall_03_first_ats_enabled_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 4);
	struct iommu_attach_list *alist = &world->list[0];
	u32 mode, at, i, nr, sent;
	struct thing *thing;

	add(world, alist, 0, 1, NO_ATC);
	thing = add(world, alist, 1, 1, NO_ATC);
	for (mode = 0; mode < NR_MODES; mode++) {
		nr = count_flush_calls(world, alist, mode);
		for (at = 1; at <= nr; at++) {
			flush_beside(world, alist, mode, at, hook_enable, thing);
			sent = 0;
			for (i = 0; i < world->record.nr; i++)
				sent += world->record.event[i].call == CALL_ATC;
			KUNIT_EXPECT_EQ_MSG(test, sent, 1, "mode %u, call %u", mode,
					    at);
			KUNIT_EXPECT_EQ_MSG(test, world->record.event[nr].call,
					    CALL_ATC, "after all others");
			note_atc_use(world, thing, true);
			mark_atc_late(world, thing, at, false);
			EXPECT_FAULT(&world->record, alist, FINE, "mode %u, call %u",
				     mode, at);
			unmark_all(world);
			disable_atc(world, thing);
		}
	}
}

/* The target just sent to changes places with another one, which may be ahead. */
static void hook_move_target(struct record *record)
{
	struct thing **things = record->hook_data;
	struct thing *moved = things[record->event[record->nr - 1].value];

	disable_atc(record->world, record->hook_thing);
	disable_atc(record->world, moved);
	/* It takes the lowest place. */
	enable_atc(record->hook_thing);
	if (!enable_atc(moved))
		note_atc_use(record->world, moved, true);
}

static void rule_02_target_moved_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *things[6];
	u32 i, at, nr, part;

	for (i = 0; i < ARRAY_SIZE(things); i++)
		things[i] = add(world, alist, 0, 1, i);
	world->record.hook_data = things;
	nr = count_flush_calls(world, alist, ATC_WAITS);
	part = find_atc_part(&world->record);
	KUNIT_ASSERT_EQ(test, nr, part + ARRAY_SIZE(things) + 2);
	for (at = part + 1; at <= nr - 2; at++) {
		for (i = 0; i < ARRAY_SIZE(things); i++) {
			flush_beside(world, alist, ATC_WAITS, at, hook_move_target,
				     things[i]);
			/* The other one was sent to or not. */
			note_atc_use(world, things[i], true);
			mark_beside(world, things[i]);
			EXPECT_FAULT(&world->record, alist, FINE,
				     "%u changed places at call %u", i, at);
			unmark_all(world);
			KUNIT_ASSERT_EQ(test, enable_atc(things[i]), 0);
		}
	}
	verify(world, alist);
}

static void pitfall_14_ats_disabled_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[2];
	struct thing *things[NR_MIXED];
	u32 mode, at, i, sent;

	add_mixed(world, things);
	for (mode = 0; mode < NR_MODES; mode++) {
		/* At the first call no ATC command has been sent. */
		for (at = 1; at <= 2; at++) {
			flush_beside(world, alist, mode, 1, hook_disable, things[7]);
			EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
			sent = 0;
			for (i = 0; i < world->record.nr; i++)
				sent += world->record.event[i].call == CALL_ATC &&
					world->record.event[i].value == 14;
			KUNIT_EXPECT_EQ(test, sent, 0);
			KUNIT_ASSERT_EQ(test, enable_atc(things[7]), 0);
			note_atc_use(world, things[7], true);
		}
	}
	verify_all(world);
}

static void pitfall_07_last_of_iommu_detached_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 4);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;
	u32 mode, i, waits;

	add(world, alist, 0, 1, NO_ATC);
	for (mode = 0; mode < NR_MODES; mode++) {
		thing = add(world, alist, 1, 1, 10);
		mark_beside(world, thing);
		/* Call 3 is the IOTLB command for the second IOMMU. */
		flush_beside(world, alist, mode, 3, hook_detach, thing);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
		waits = 0;
		for (i = 0; i < world->record.nr; i++)
			waits += world->record.event[i].call == CALL_WAIT &&
				 world->record.event[i].iommu_device == fake_iommu(1);
		KUNIT_EXPECT_EQ_MSG(test, waits, 1, "mode %u", mode);
		forget_thing(world, thing);
	}
}

/* The second flush begins and ends inside of each call of the first. */
static void hook_flush(struct record *record)
{
	struct record *other = record->hook_data;

	flush_into(other, &record->world->list[2], record->mode);
}

static void pitfall_16_two_flushes_at_once(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct record *other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	struct iommu_attach_list *alist = &world->list[2];
	struct thing *things[NR_MIXED];
	u32 mode, at, nr;

	KUNIT_ASSERT_NOT_NULL(test, other);
	*other = world->record;
	other->event = kunit_kcalloc(test, other->max, sizeof(*other->event),
				     GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other->event);

	add_mixed(world, things);
	world->record.hook_data = other;
	for (mode = 0; mode < NR_MODES; mode++) {
		nr = count_flush_calls(world, alist, mode);
		for (at = 1; at <= nr; at++) {
			flush_beside(world, alist, mode, at, hook_flush, NULL);
			EXPECT_FAULT(&world->record, alist, FINE, "outer");
			EXPECT_FAULT(other, alist, FINE, "inner");
		}
	}
}

static void hook_lock(struct record *record)
{
	struct iommu_attach_list *alist = record->hook_data;

	iommu_attach_lock(alist);
	iommu_attach_unlock(alist);
}

/* A lock that is held stays locked: the case would never end. */
static void pitfall_17_no_lock_held_in_callbacks(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[2];
	struct thing *things[NR_MIXED];
	u32 mode, at, nr;

	add_mixed(world, things);
	world->record.hook_data = alist;
	for (mode = 0; mode < NR_MODES; mode++) {
		nr = count_flush_calls(world, alist, mode);
		for (at = 1; at <= nr; at++)
			flush_beside(world, alist, mode, at, hook_lock, NULL);
	}
}

static void rule_04_flush_and_walk_while_lock_is_held(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[2];
	const struct iommu_attach_group *group;
	struct thing *things[NR_MIXED];
	struct iommu_attach_walk walk;
	u32 groups = 0;

	add_mixed(world, things);
	iommu_attach_lock(alist);
	flush_into(&world->record, alist, 0);
	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk)
		groups++;
	iommu_attach_walk_end(&walk);
	iommu_attach_unlock(alist);
	EXPECT_FAULT(&world->record, alist, FINE, "under the lock");
	KUNIT_EXPECT_EQ(test, groups, 6);
}

static void rule_04_walks_and_detach_take_no_memory(struct kunit *test)
{
	struct world *world = new_world(test, 512);
	unsigned long allocs;
	u32 i;

	for (i = 0; i < 256; i++)
		add(world, &world->list[0], i % 8, i % 3, i);
	allocs = world->allocs;
	KUNIT_EXPECT_GT_MSG(test, allocs, 0, "the counter counts");

	/* Whoever asks gets nothing. */
	world->fail_at = allocs + 1;
	verify(world, &world->list[0]);
	for (i = 0; i < 256; i += 2)
		disable_atc(world, world->fact[i].thing);
	detach_all(world);
	drain_all();
	KUNIT_EXPECT_EQ(test, world->allocs, allocs);
	world->fail_at = 0;
}

/*
 * The order of things
 */

static void swap_u32(u32 *a, u32 *b)
{
	u32 c = *a;

	*a = *b;
	*b = c;
}

/* Every order of six attaches: two IOMMUs, two tags, equal ones, with ATC. */
static void permute(struct world *world, u32 *order, u32 nr)
{
	static const u64 atcs[] = { 7, NO_ATC, 7, 8, NO_ATC, 7 };
	struct iommu_attach_list *alist = &world->list[0];
	u32 i;

	if (nr) {
		for (i = 0; i < nr; i++) {
			swap_u32(&order[i], &order[nr - 1]);
			permute(world, order, nr - 1);
			swap_u32(&order[i], &order[nr - 1]);
		}
		return;
	}
	for (i = 0; i < 6; i++)
		add(world, alist, order[i] % 2, order[i] / 5, atcs[order[i]]);
	flush_into(&world->record, alist, 0);
	EXPECT_FAULT(&world->record, alist, FINE, "order %u%u%u%u%u%u", order[0],
		     order[1], order[2], order[3], order[4], order[5]);
	KUNIT_EXPECT_EQ(world->test, world->record.nr, 3 + 3 + 2 * 2);

	/* First in, first out: what came first carried nothing for the others. */
	for (i = 0; i < 6; i++) {
		detach(world, world->fact[0].thing);
		flush_into(&world->record, alist, 0);
		EXPECT_FAULT(&world->record, alist, FINE, "after %u detaches", i + 1);
	}
}

static void rule_02_whatever_the_order_of_attaches(struct kunit *test)
{
	u32 order[] = { 0, 1, 2, 3, 4, 5 };

	permute(new_world(test, 8), order, ARRAY_SIZE(order));
}

static void rule_03_own_then_nests_then_atc(struct kunit *test)
{
	static const enum call calls[] = { CALL_IOTLB, CALL_IOTLB, CALL_ATC,
					   CALL_SUBMIT, CALL_WAIT };
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *s2 = &world->list[2];
	struct event *event = world->record.event;
	u32 i;

	add_nest(world, &world->list[0], s2, 0, 1, 2, 10);
	add(world, s2, 0, 7, NO_ATC);

	flush_into(&world->record, s2, 0);
	KUNIT_ASSERT_EQ(test, world->record.nr, ARRAY_SIZE(calls));
	for (i = 0; i < ARRAY_SIZE(calls); i++)
		KUNIT_EXPECT_EQ(test, event[i].call, calls[i]);
	KUNIT_EXPECT_EQ(test, event[0].tag, 7);
	KUNIT_EXPECT_EQ(test, event[1].tag, 2);

	/* Own, submit, wait; nest, submit, wait; ATC, submit, wait. */
	flush_into(&world->record, s2, NEST_WAITS | ATC_WAITS);
	KUNIT_ASSERT_EQ(test, world->record.nr, 9);
	for (i = 0; i < 9; i++)
		KUNIT_EXPECT_EQ(test, event[i].call,
				i % 3 ? (i % 3 == 1 ? CALL_SUBMIT : CALL_WAIT) :
				i == 6 ? CALL_ATC : CALL_IOTLB);
}

/* The hardware takes as long as it takes; the IOMMUs work at the same time. */
static u64 flush_time(const struct record *record)
{
	u64 now = 0, done[NR_IOMMUS] = { 0 };
	u32 i, n;

	for (i = 0; i < record->nr; i++) {
		n = iommu_number(record->event[i].iommu_device);
		if (record->event[i].call == CALL_SUBMIT)
			done[n] = now + 1000 * (n + 1);
		else if (record->event[i].call == CALL_WAIT && now < done[n])
			now = done[n];
	}
	return now;
}

static void rule_05_cost_is_the_slowest_iommu(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i;

	for (i = 0; i < 8; i++)
		add(world, alist, i, 1, NO_ATC);
	flush_into(&world->record, alist, 0);
	KUNIT_EXPECT_EQ(test, flush_time(&world->record), 8000);

	for (i = 0; i < 8; i++)
		add(world, alist, i, 1, i);
	flush_into(&world->record, alist, 0);
	KUNIT_EXPECT_EQ(test, flush_time(&world->record), 8000);
	flush_into(&world->record, alist, ATC_WAITS);
	KUNIT_EXPECT_EQ(test, flush_time(&world->record), 16000);
}

static u32 count_of(const struct record *record, enum call call)
{
	u32 i, nr = 0;

	for (i = 0; i < record->nr; i++)
		nr += record->event[i].call == call;
	return nr;
}

static u32 count_at(const struct record *record, enum call call, u32 iommu)
{
	u32 i, nr = 0;

	for (i = 0; i < record->nr; i++)
		nr += record->event[i].call == call &&
		      record->event[i].iommu_device == fake_iommu(iommu);
	return nr;
}

static void rule_05_more_iommus_than_the_window(struct kunit *test)
{
	struct world *world = new_world(test, 2 * NR_IOMMUS);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i, mode, nr = 0;

	for (i = 0; i < NR_IOMMUS; i++)
		add(world, alist, NR_IOMMUS - 1 - i, 1, i);
	for (mode = 0; mode < NR_MODES; mode++) {
		flush_into(&world->record, alist, mode);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
	}
	flush_into(&world->record, alist, 0);
	for (i = 0; world->record.event[i].call != CALL_WAIT; i++)
		nr += world->record.event[i].call == CALL_SUBMIT;
	KUNIT_EXPECT_EQ_MSG(test, nr, WINDOW, "handed out before the first wait");
}

/*
 * Where one window ends and the next one begins there are groups that nobody uses any
 * more: of the IOMMU behind, of the one ahead, of one that has no others.
 */
static void rule_05_dead_groups_between_windows(struct kunit *test)
{
	struct world *world = new_world(test, 4 * NR_IOMMUS);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *gone[3];
	u32 last, which, mode, i;

	for (last = 2 * WINDOW - 2; last <= 2 * WINDOW + 2; last++) {
		for (which = 0; which < 8; which++) {
			for (i = 0; i <= last; i++)
				add(world, alist, i, 5, i % 2 ? i : NO_ATC);
			for (i = 0; i < 3; i++)
				gone[i] = add(world, alist, WINDOW - 1 + i,
					      which & BIT(i) ? 1 : 9, i);
			for (i = 0; i < 3; i++)
				detach(world, gone[i]);
			if (which & BIT(0))
				detach(world, world->fact[WINDOW].thing);
			for (mode = 0; mode < NR_MODES; mode++) {
				flush_into(&world->record, alist, mode);
				EXPECT_FAULT(&world->record, alist, FINE,
					     "mode %u, %u IOMMUs, dead groups %u", mode,
					     last + 1, which);
			}
			detach_all(world);
		}
	}
}

/* Its ATC comes into use while the flush is at call @at: now, later, or after the rest. */
static void hook_enable_anywhere(struct record *record)
{
	struct thing *thing = record->hook_thing;

	mark_atc_late(record->world, thing, record->nr, record->mode & ATC_WAITS);
	if (!enable_atc(thing))
		note_atc_use(record->world, thing, true);
}

/*
 * More IOMMUs than a window: at each call a device of the first window, of the last one,
 * or a newcomer anywhere begins to use its ATC, or is attached.
 */
static void rule_05_newcomers_between_windows(struct kunit *test)
{
	static const u32 where[] = { 1, 33, 69, 0, 50, 129 };
	struct world *world = new_world(test, 2 * NR_IOMMUS);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *things[3], *thing;
	u32 mode, at, nr, i, which, sent;

	/* Every second IOMMU up to 2 * WINDOW + 8 of them; 5, 4, 3 and 2 devices with ATC. */
	for (i = 0; i < 2 * WINDOW + 6; i++)
		add(world, alist, 1 + i + i / 40, 1, i % 3 ? 100 + i : NO_ATC);
	for (i = 0; i < 3; i++) {
		things[i] = add(world, alist, where[i], 1, NO_ATC);
		things[i]->nest.s1.atc = 40 + i;
		things[i]->nest.s1.endpoint = NULL;
	}
	for (mode = 0; mode < NR_MODES; mode++) {
		nr = count_flush_calls(world, alist, mode);
		for (which = 0; which < ARRAY_SIZE(where); which++) {
			for (at = 1 + which; at <= nr; at += 5) {
				thing = things[which % 3];
				if (which < 3) {
					forget_thing(world, thing);
					note_thing(world, thing);
					flush_beside(world, alist, mode, at,
						     hook_enable_anywhere, thing);
				} else {
					thing = new_thing(world, alist, where[which], 9, 41);
					flush_beside(world, alist, mode, at, hook_attach,
						     thing);
				}
				EXPECT_FAULT(&world->record, alist, FINE,
					     "mode %u, IOMMU %u at call %u", mode,
					     where[which], at);
				sent = 0;
				for (i = 0; i < world->record.nr; i++)
					sent += world->record.event[i].call == CALL_ATC &&
						world->record.event[i].value == 40 + which;
				/* While the hardware has not completed the IOTLB part. */
				if (which < 3 && !(mode & ATC_WAITS))
					KUNIT_EXPECT_EQ_MSG(test, sent, 1,
							    "mode %u, IOMMU %u, call %u",
							    mode, where[which], at);
				unmark_all(world);
				if (which < 3)
					disable_atc(world, thing);
				else
					detach(world, thing);
			}
		}
	}
}

/* What is true of few IOMMUs is true of many: errors, silent devices, slow ones. */
static void rule_05_windows_with_faults(struct kunit *test)
{
	struct world *world = new_world(test, 4 * NR_IOMMUS);
	struct iommu_attach_list *alist = &world->list[2];
	u32 mode, i, round;
	u64 seed = 5;

	for (i = 0; i < 70; i++) {
		if (i % 5)
			add(world, alist, i, 1, i % 2 ? 100 + i : NO_ATC);
		if (i % 7 == 0)
			add_nest(world, &world->list[0], alist, i, 3, 4, 200 + i);
	}
	for (round = 0; round < 12; round++) {
		memset(world->hardware, 0, sizeof(world->hardware));
		for (i = 0; i < 70; i++) {
			world->hardware[i].slow = random_below(&seed, 3);
			if (random_below(&seed, 8) == 0)
				world->hardware[i].aborts = random_below(&seed, 4);
			if (round % 3 == 1 && random_below(&seed, 16) == 0)
				world->hardware[i].error = -EIO;
			state_of(world, i, 100 + i)->dead =
				round % 3 == 2 && random_below(&seed, 8) == 0;
		}
		for (mode = 0; mode < NR_MODES; mode++) {
			flush_into(&world->record, alist, mode);
			EXPECT_FAULT(&world->record, alist, FINE, "round %u, mode %u", round,
				     mode);
			for (i = 0; i < 70; i++)
				resume(world, i, 100 + i);
		}
	}
}

/* All goes while the flush is at any call, also between two windows: table and all. */
static void hook_detach_all(struct record *record)
{
	struct world *world = record->world;
	u32 i;

	for (i = 0; i < world->nr; i++) {
		take_off(world->fact[i].thing);
		world->fact[i].beside = true;
	}
}

static void rule_05_emptied_between_windows(struct kunit *test)
{
	struct world *world = new_world(test, 120);
	struct iommu_attach_list *alist = &world->list[0];
	u32 mode, at, nr, i;

	for (mode = 0; mode < NR_MODES; mode++) {
		for (at = 1, nr = 1; at <= nr; at += 3) {
			for (i = 0; i < 80; i++)
				add(world, alist, i, 1, i % 2 ? i : NO_ATC);
			nr = count_flush_calls(world, alist, mode);
			flush_beside(world, alist, mode, at, hook_detach_all, NULL);
			EXPECT_FAULT(&world->record, alist, FINE, "mode %u, call %u", mode, at);
			KUNIT_EXPECT_EQ(test, world->record.error, 0);
			world->nr = 0;
			verify(world, alist);
		}
	}
}

/* An error stays, whatever the pass for latecomers says. */
static void rule_13_error_before_a_latecomer(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;

	add(world, alist, 0, 1, 4);
	add(world, alist, 1, 1, 5);
	thing = add(world, alist, 1, 1, NO_ATC);
	thing->nest.s1.atc = 6;
	thing->nest.s1.endpoint = endpoint_of(1, 6);
	world->hardware[0].error = -EIO;
	flush_beside(world, alist, 0, 2, hook_enable, thing);
	KUNIT_EXPECT_EQ(test, world->record.error, -EIO);
	KUNIT_EXPECT_EQ(test, count_at(&world->record, CALL_ATC, 1), 2);
	note_atc_use(world, thing, true);
}

/*
 * Several lists at once
 */

static void flush_lists_into(struct record *record, struct iommu_attach_list *const *lists,
			     u32 nr, u32 mode)
{
	record->lists = lists;
	record->nr_lists = nr;
	flush_into(record, lists[0], mode);
	record->lists = NULL;
}

/* The lists from @nr on have no part in the flush that is judged next. */
static void expect_lists(struct world *world, u32 nr, u32 mode)
{
	struct record *record = &world->record;
	enum fault fault;
	u32 i, sent = 0;

	for (i = 0; i < world->nr; i++) {
		world->fact[i].beside = world->fact[i].alist >= &world->list[nr];
		if (world->fact[i].beside)
			sent += count_calls(record, &world->fact[i], CALL_IOTLB);
	}
	fault = judge_sets(record, NULL);
	KUNIT_EXPECT_EQ_MSG(world->test, fault, FINE, "%s; mode %u, %u lists",
			    fault_names[fault], mode, nr);
	KUNIT_EXPECT_EQ(world->test, sent, 0);
	unmark_all(world);
}

/* All of all is sent before anything is waited for; then all ATCs, likewise. */
static void expect_lists_wait_once(struct world *world, u32 phases, const char *what)
{
	const struct event *event = world->record.event;
	u32 i, turns = 0;
	bool waiting = true;

	for (i = 0; i < world->record.nr; i++) {
		turns += waiting && event[i].call == CALL_SUBMIT;
		if (event[i].call == CALL_SUBMIT)
			waiting = false;
		if (event[i].call == CALL_WAIT)
			waiting = true;
	}
	KUNIT_EXPECT_EQ_MSG(world->test, turns, phases, "%s", what);
}

static void rule_05_lists_wait_once(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *lists[NR_LISTS];
	u32 i, mode, nr;

	for (i = 0; i < NR_LISTS; i++)
		lists[i] = &world->list[i];
	/* Nothing is attached to list 1; list 3 has no ATC. */
	for (i = 0; i < 6; i++) {
		add(world, lists[0], i, 10 + i % 2, i);
		add(world, lists[2], i % 3, 20, i);
		add(world, lists[3], i % 2, 30, NO_ATC);
	}
	add_nest(world, lists[0], lists[2], 2, 40, 50, 9);
	for (mode = 0; mode < NR_MODES; mode++) {
		for (nr = 1; nr <= NR_LISTS; nr++) {
			flush_lists_into(&world->record, lists, nr, mode);
			KUNIT_EXPECT_EQ(test, world->record.error, 0);
			expect_lists(world, nr, mode);
			expect_lists_wait_once(world, (nr > 2 && mode & NEST_WAITS) +
					       (nr > 1 || mode != 0) + 1, "phases");
		}
	}
	KUNIT_EXPECT_EQ(test, iommu_attach_flush_lists(lists, 0, NULL, NULL), 0);
}

/* One of three lists is sent again to the IOMMU that they share, whatever the phase. */
static void rule_13_only_the_list_that_failed_is_sent_again(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *lists[] = { &world->list[0], &world->list[1],
					      &world->list[2] };
	struct record *record = &world->record;
	u32 at, i, j, calls;

	for (i = 0; i < 3; i++)
		add(world, lists[i], 0, 10 + i, i);
	world->script_error = -EAGAIN;
	/* Waits: of the IOTLB commands of each list, and of its ATC commands. */
	for (at = 0; at < 6; at++) {
		world->script_at = 1 + at;
		flush_lists_into(record, lists, 3, 0);
		KUNIT_EXPECT_EQ(test, record->error, 0);
		KUNIT_EXPECT_EQ(test, count_of(record, CALL_SUBMIT), 7);
		for (i = 0; i < 3; i++) {
			for (j = 0, calls = 0; j < record->nr; j++)
				calls += (record->event[j].call == CALL_IOTLB ||
					  record->event[j].call == CALL_ATC) &&
					 record->event[j].tag == 10 + i;
			KUNIT_EXPECT_EQ_MSG(test, calls, 2 + (i == at % 3),
					    "list %u, wait %u", i, at);
		}
	}
	world->script_at = 0;
}

static unsigned long count_entries(const struct iommu_attach_fence *fence)
{
	unsigned long nr = 0;
	u32 i;
	int cpu;

	for (i = 0; i < ARRAY_SIZE(fence->pair); i++)
		for_each_possible_cpu(cpu)
			nr += per_cpu_ptr(fence->pair[i], cpu)->enter;
	return nr;
}

/* The ATC part enters the fences of those lists alone that use ATCs. */
static void rule_12_lists_without_atc_enter_no_fence(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *lists[] = { &world->list[0], &world->list[1],
					      &world->list[2] };
	u32 mode;

	add(world, lists[0], 0, 10, NO_ATC);
	add(world, lists[1], 1, 20, 5);
	add(world, lists[2], 2, 30, NO_ATC);
	for (mode = 0; mode < NR_MODES; mode++) {
		flush_lists_into(&world->record, lists, 3, mode);
		KUNIT_EXPECT_EQ(test, world->record.error, 0);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_ATC), 1);
		KUNIT_EXPECT_EQ(test, count_entries(&fake_fences[0]), 0);
		KUNIT_EXPECT_EQ(test, count_entries(&fake_fences[1]), mode + 1);
		KUNIT_EXPECT_EQ(test, count_entries(&fake_fences[2]), 0);
	}
}

/* The room is full where one list ends; only the second one has ATCs; some of it fails. */
static void rule_05_lists_with_faults(struct kunit *test)
{
	struct world *world = new_world(test, 300);
	struct iommu_attach_list *lists[] = { &world->list[0], &world->list[1],
					      &world->list[2] };
	enum fault fault;
	u32 i, mode, round;

	for (i = 0; i < WINDOW; i++)
		add(world, lists[0], i, 10, NO_ATC);
	for (i = 0; i < 40; i++) {
		add(world, lists[1], i % 5, 20, i);
		add(world, lists[2], i, 30 + i % 2, i % 2 ? 100 + i : NO_ATC);
	}
	for (round = 0; round < 6; round++) {
		for (mode = 0; mode < NR_MODES; mode++) {
			memset(world->hardware, 0, sizeof(world->hardware));
			world->hardware[3].slow = round;
			world->hardware[4].error = round == 2 ? -EIO : 0;
			for (i = 0; i < 8; i++)
				state_of(world, 1, i)->dead = round > 3 && i % 5 == 1;
			state_of(world, 1, 101)->dead = round == 5;
			flush_lists_into(&world->record, lists, 3, mode);
			fault = judge_sets(&world->record, NULL);
			KUNIT_EXPECT_EQ_MSG(test, fault, FINE, "%s; mode %u, round %u",
					    fault_names[fault], mode, round);
			KUNIT_EXPECT_EQ(test, world->record.error,
					round == 2 ? -EIO : round > 3 ? -ETIMEDOUT : 0);
			for (i = 0; i < NR_ENDPOINTS; i++)
				resume(world, 1, i);
		}
	}
}

static void pitfall_04_plain_device_hides_no_ats_sibling(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];

	add(world, alist, 0, 1, NO_ATC);
	add(world, alist, 0, 1, 10);
	add(world, alist, 0, 2, NO_ATC);
	add(world, alist, 0, 2, 11);
	flush_into(&world->record, alist, 0);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_ATC), 2);
	verify(world, alist);
}

static void pitfall_05_two_tags_on_one_iommu(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[2];

	add(world, alist, 0, 1, NO_ATC);
	add(world, alist, 0, 2, NO_ATC);
	/* The kind is part of the key, too. */
	add_nest(world, &world->list[0], alist, 0, 9, 1, NO_ATC);
	flush_into(&world->record, alist, 0);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_IOTLB), 3);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SUBMIT), 1);
	verify(world, alist);
}

/* Groups that nobody uses any more are still in the table, at any place. */
static void pitfall_06_dead_neighbours(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *things[9];
	u32 live, i, mode;

	for (live = 0; live < BIT(9); live += 5) {
		for (i = 0; i < 9; i++)
			things[i] = add(world, alist, i / 3, i % 3, i);
		for (i = 0; i < 9; i++) {
			if (!(live & BIT(i)))
				detach(world, things[i]);
		}
		for (mode = 0; mode < NR_MODES; mode++) {
			flush_into(&world->record, alist, mode);
			EXPECT_FAULT(&world->record, alist, FINE,
				     "mode %u, live groups %x", mode, live);
		}
		verify(world, alist);
		detach_all(world);
	}
}

static void pitfall_21_devices_behind_one_iommu(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i;

	for (i = 0; i < 16; i++)
		add(world, alist, 0, 1, NO_ATC);
	flush_into(&world->record, alist, 0);
	KUNIT_EXPECT_EQ_MSG(test, world->record.nr, 3, "IOTLB, submit, wait");
}

static void pitfall_22_iommus_interleaved(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i;

	for (i = 0; i < 16; i++)
		add(world, alist, i % 2, 1, i);
	flush_into(&world->record, alist, 0);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SUBMIT), 2);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_WAIT), 2);
	flush_into(&world->record, alist, ATC_WAITS);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SUBMIT), 4);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_WAIT), 4);
}

static void pitfall_23_all_sent_before_the_first_wait(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i;

	for (i = 0; i < 8; i++)
		add(world, alist, i, 1, NO_ATC);
	flush_into(&world->record, alist, 0);
	for (i = 0; i < world->record.nr; i++)
		KUNIT_EXPECT_EQ(test, world->record.event[i].call == CALL_WAIT,
				i >= 16);
}

/* Each command is about its own group, whatever came before it. */
static void pitfall_24_nest_leaks_into_nothing(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[2];
	const struct event *event;
	u32 i;

	add_nest(world, &world->list[0], alist, 0, 1, 50, 100);
	add(world, alist, 0, 60, 110);
	add_nest(world, &world->list[1], alist, 1, 1, 51, 101);
	add(world, alist, 1, 61, 111);
	add(world, alist, 2, 62, 112);
	flush_into(&world->record, alist, 0);
	for (i = 0; i < world->record.nr; i++) {
		event = &world->record.event[i];
		if (event->call != CALL_ATC)
			continue;
		KUNIT_EXPECT_EQ(test, event->kind,
				event->value < 110 ? IOMMU_ATTACH_NEST :
						     IOMMU_ATTACH_OWN);
		KUNIT_EXPECT_EQ(test, event->tag, event->value - 50);
	}
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_ATC), 5);
}

static void pitfall_26_no_ats_no_atc_part(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;
	u32 i;

	for (i = 0; i < 4; i++)
		thing = add(world, alist, i, 1, NO_ATC);
	for (i = 0; i < 3; i++) {
		/* Also when one has come and gone. */
		flush_into(&world->record, alist, ATC_WAITS);
		KUNIT_EXPECT_EQ(test, world->record.nr, 4 * 3);
		flush_into(&world->record, alist, 0);
		KUNIT_EXPECT_EQ(test, world->record.nr, 4 * 3);
		KUNIT_ASSERT_EQ(test, enable_atc(thing), 0);
		disable_atc(world, thing);
	}
}

/*
 * Memory that is out
 */

static int op_attach(struct world *world, void *arg)
{
	return try_attach(world, arg);
}

static int op_enable(struct world *world, void *arg)
{
	int ret = enable_atc(arg);

	if (!ret)
		note_atc_use(world, arg, true);
	return ret;
}

/*
 * Fails the first allocation, the second one, until none is left to fail.
 * Return: how many there are.
 */
static unsigned long sweep(struct world *world,
			   int (*op)(struct world *world, void *arg), void *arg)
{
	unsigned long before, n;
	int ret;

	for (n = 1;; n++) {
		before = world->allocs;
		world->fail_at = before + n;
		ret = op(world, arg);
		world->fail_at = 0;
		if (world->allocs < before + n)
			break;
		KUNIT_ASSERT_EQ_MSG(world->test, ret, -ENOMEM,
				    "allocation %lu failed", n);
		verify_all(world);
	}
	KUNIT_EXPECT_GE(world->test, ret, 0);
	verify_all(world);
	return n - 1;
}

static void rule_06_add_without_memory(struct kunit *test)
{
	struct world *world = new_world(test, 128);
	struct iommu_attach_list *alist = &world->list[0];
	unsigned long total = 0;
	u32 i;

	/* One by one all that can grow does: table, slots, index. */
	for (i = 0; i < 100; i++)
		total += sweep(world, op_attach,
			       new_thing(world, alist, i % 5, i % 7,
					 i % 4 ? i : NO_ATC));
	KUNIT_EXPECT_GT(test, total, 2 * 35);
}

static void rule_06_first_add_takes_no_memory(struct kunit *test)
{
	struct world *world = new_world(test, 4);
	struct iommu_attach_list *alist = &world->list[0];

	KUNIT_EXPECT_EQ(test, sweep(world, op_attach,
				    new_thing(world, alist, 0, 1, NO_ATC)), 0);
	/* Nor does one that finds its group, nor one that finds it empty. */
	add(world, alist, 0, 1, NO_ATC);
	detach_all(world);
	KUNIT_EXPECT_EQ(test, sweep(world, op_attach,
				    new_thing(world, alist, 0, 1, NO_ATC)), 0);
}

static void rule_06_add_nest_without_memory(struct kunit *test)
{
	struct world *world = new_world(test, 128);
	unsigned long total = 0;
	u32 i;

	for (i = 0; i < 50; i++)
		total += sweep(world, op_attach,
			       new_nest(world, &world->list[i % 2],
					&world->list[2 + i % 3 % 2], i % 3, i % 2,
					i, i % 4 ? i : NO_ATC));
	KUNIT_EXPECT_GT(test, total, 2 * 50);
}

static void rule_06_enable_atc_without_memory(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	unsigned long total = 0;
	struct thing *thing;
	u32 i;

	for (i = 0; i < 60; i++) {
		thing = add(world, &world->list[0], i % 2, 1, NO_ATC);
		thing->nest.s1.atc = i;
		forget_thing(world, thing);
		note_thing(world, thing);
		total += sweep(world, op_enable, thing);
		/* In use already: nothing to do. */
		KUNIT_EXPECT_EQ(test, sweep(world, op_enable, thing), 0);
	}
	KUNIT_EXPECT_GT(test, total, 6);
}

static void rule_06_nest_enable_atc_without_memory(struct kunit *test)
{
	struct world *world = new_world(test, 128);
	unsigned long total = 0;
	struct thing *thing;
	u32 i;

	for (i = 0; i < 60; i++) {
		thing = add_nest(world, &world->list[0], &world->list[2], i % 2, 1,
				 i % 3, NO_ATC);
		thing->nest.s1.atc = i;
		thing->nest.s2.atc = i;
		forget_thing(world, thing);
		note_thing(world, thing);
		total += sweep(world, op_enable, thing);
		KUNIT_EXPECT_EQ(test, sweep(world, op_enable, thing), 0);
	}
	KUNIT_EXPECT_GT(test, total, 12);
}

/* Not even where all slots of its group are taken. */
static void rule_06_equal_target_takes_no_memory(struct kunit *test)
{
	struct world *world = new_world(test, 128);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *twin;
	u32 i;

	/* Then the index has room. */
	for (i = 0; i < 65; i++)
		add(world, alist, 1, 1, i);
	for (i = 0; i < 40; i++) {
		add(world, alist, 0, 1, i);
		twin = new_thing(world, alist, 0, 1, i);
		KUNIT_EXPECT_EQ(test, sweep(world, op_attach, twin), 0);
		detach(world, twin);
	}
}

/* What has been attached once does not make a list large for ever. */
static void rule_06_tags_that_come_and_go_leave_no_trace(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;
	u32 i;

	add(world, alist, 0, 1, 1);
	for (i = 0; i < 1000; i++) {
		thing = add(world, alist, i % 3, 2 + i, i);
		if (i % 100 == 0)
			verify(world, alist);
		detach(world, thing);
	}
	verify(world, alist);
	KUNIT_EXPECT_LE(test, world->largest, 512);
}

/* Where an IOMMU has many groups, most of the next need no memory; tags come in any order. */
static void rule_06_many_groups_take_few_tables(struct kunit *test)
{
	struct world *world = new_world(test, 1024);
	struct iommu_attach_list *alist = &world->list[0];
	unsigned long allocs, nr_free = 0;
	u32 i;

	for (i = 0; i < 800; i++) {
		allocs = world->allocs;
		add(world, alist, i % 2, i * 367 % 1009, NO_ATC);
		nr_free += world->allocs == allocs;
		if (i % 100 == 0)
			verify(world, alist);
	}
	KUNIT_EXPECT_GT(test, nr_free, 600);
	for (; i < 820; i++)
		sweep(world, op_attach,
		      new_thing(world, alist, i % 2, i * 367 % 1009, i % 4 ? NO_ATC : i));
}

/* Three kinds of group: of one IOMMU, of another one, and nests there. */
static struct thing *add_run(struct world *world, struct iommu_attach_list *alist, u32 run,
			     u64 tag)
{
	struct thing *thing = new_thing(world, alist, !!run, tag, NO_ATC);

	if (run == 2)
		thing->nest.s1.kind = IOMMU_ATTACH_NEST;
	attach(world, thing);
	return thing;
}

static u32 count_run(struct iommu_attach_list *alist, u32 run)
{
	struct iommu_attach_table *table;
	u32 i, nr = 0;

	iommu_attach_lock(alist);
	table = rcu_dereference_protected(alist->table, lockdep_is_held(&alist->lock));
	for (i = 0; i < table->nr; i++)
		nr += table->group[i]->iommu_device == fake_iommu(!!run) &&
		      table->group[i]->kind == (run == 2 ? IOMMU_ATTACH_NEST : IOMMU_ATTACH_OWN);
	iommu_attach_unlock(alist);
	return nr;
}

/* What is spare for more groups of an IOMMU goes when it has none left. */
static void rule_06_spare_groups_go_with_the_last_group(struct kunit *test)
{
	struct world *world = new_world(test, 128);
	u32 i, run, gone;

	for (gone = 0; gone < 3; gone++) {
		struct iommu_attach_list *alist = &world->list[gone];
		struct thing *things[20];

		for (run = 0; run < 3; run++) {
			for (i = 0; i < 20; i++) {
				struct thing *thing = add_run(world, alist, run, i);

				if (run == gone)
					things[i] = thing;
			}
			KUNIT_EXPECT_GT(test, count_run(alist, run), 20);
		}
		verify(world, alist);
		for (i = 0; i < 20; i++)
			detach(world, things[i]);
		KUNIT_EXPECT_GT(test, count_run(alist, gone), 20);
		for (i = 20; i < 40; i++)
			add_run(world, alist, gone ? 0 : 1, i);
		KUNIT_EXPECT_EQ(test, count_run(alist, gone), 0);
		verify(world, alist);
		detach_all(world);
	}
}

/* Idle groups stay beside spare ones, but not if they are as many as the others. */
static void rule_06_idle_groups_go_when_they_are_many(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *things[20];
	u32 i, nr;

	for (i = 0; i < 20; i++)
		things[i] = add_run(world, alist, 0, i);
	nr = count_run(alist, 0);
	KUNIT_EXPECT_GT(test, nr, 20);
	for (i = 0; i < 9; i++)
		detach(world, things[i]);
	add_run(world, alist, 1, 0);
	KUNIT_EXPECT_EQ(test, count_run(alist, 0), nr);
	verify(world, alist);
	detach(world, things[9]);
	add_run(world, alist, 1, 1);
	KUNIT_EXPECT_EQ(test, count_run(alist, 0), 10);
	verify(world, alist);
	/* Their keys come back. */
	for (i = 0; i < 10; i++)
		add_run(world, alist, 0, i);
	verify(world, alist);
}

/* A spare group gets its key while a walk has it in its table. */
static void rule_02_spare_group_used_beside_walk(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i, nr = 0, nr_late = 0, nr_atc = 0, wrong = 0;
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	u64 atc;

	/* The last of these has made a table with two that are spare. */
	for (i = 0; i < 17; i++)
		add(world, alist, 0, i, i);
	world->atomic = true;
	world->fail_at = world->allocs + 1;
	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk) {
		if (!nr)
			wrong += try_attach(world, new_thing(world, alist, 0, 101, 101)) < 0;
		nr_late += group->tag == 101;
		wrong += group->tag != nr && group->tag != 101;
		nr++;
	}
	iommu_attach_for_each_atc(group, atc, &walk) {
		if (!nr_atc)
			wrong += try_attach(world, new_thing(world, alist, 0, 102, 102)) < 0;
		wrong += group->tag != atc || atc == 102;
		nr_atc++;
	}
	iommu_attach_walk_end(&walk);
	world->fail_at = 0;
	world->atomic = false;
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, nr, 17 + nr_late);
	KUNIT_EXPECT_LE(test, nr_late, 1);
	KUNIT_EXPECT_EQ(test, nr_atc, 18);
	verify(world, alist);
}

/*
 * A key loses its last attachment while a walk goes on, a new table is made for others, and the
 * key comes back: not in a group that the walk has yet to see.
 */
static void rule_02_key_comes_back_beside_walk(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	u32 run, i, nr;

	for (run = 0; run < 3; run++) {
		struct iommu_attach_list *alist = &world->list[run];
		struct thing *first = add_run(world, alist, run, 0);
		const struct iommu_attach_group *group;
		struct iommu_attach_walk walk;

		/* The last of these has made a table with two that are spare. */
		for (i = 1; i < 17; i++)
			add_run(world, alist, run, i);
		add_run(world, alist, run ? 0 : 1, 0);
		nr = 0;
		world->atomic = true;
		iommu_attach_walk_begin(&walk, alist);
		iommu_attach_for_each_group(group, &walk) {
			if (group->iommu_device != fake_iommu(!!run) || group->tag)
				continue;
			if (nr++)
				continue;
			detach(world, first);
			add_run(world, alist, run ? 0 : 1, 1);
			add_run(world, alist, run, 0);
		}
		iommu_attach_walk_end(&walk);
		world->atomic = false;
		KUNIT_EXPECT_EQ(test, nr, 1);
		verify(world, alist);
		detach_all(world);
	}
}

/* A list that has lost its last attachment is as new: small, and walked in one line. */
static void rule_06_emptied_list_is_as_new(struct kunit *test)
{
	struct world *world = new_world(test, 600);
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];
	unsigned long allocs;
	u32 i, round;
	u64 tag;

	for (round = 0; round < 4; round++) {
		for (i = 0; i < 200; i++) {
			if (round % 2)
				add_nest(world, s1, s2, i % 5, i, i, i);
			else
				add(world, s1, i % 5, i, i);
		}
		KUNIT_EXPECT_NOT_NULL(test, rcu_access_pointer(s1->table));
		allocs = world->allocs;
		world->fail_at = allocs + 1;
		if (round < 2)
			detach_all(world);
		while (world->nr)
			detach(world, world->fact[0].thing);
		world->fail_at = 0;
		KUNIT_EXPECT_EQ(test, world->allocs, allocs);
		KUNIT_EXPECT_NULL(test, rcu_access_pointer(s1->table));
		KUNIT_EXPECT_NULL(test, s1->index);
		KUNIT_EXPECT_NULL(test, rcu_access_pointer(s2->table));
		KUNIT_EXPECT_NULL(test, s2->index);
		KUNIT_EXPECT_TRUE(test, hlist_empty(&s1->first.slots));
		KUNIT_EXPECT_EQ(test, s1->first.nr_slots, 0);
		verify(world, s1);
		verify(world, s2);
		KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s1, fake_iommu(0), &tag), -ENOENT);
		/* The tag that the first group has kept, and others. */
		if (round < 2)
			add(world, s1, 0, 0, NO_ATC);
		add(world, s1, 0, 7, NO_ATC);
		add(world, s1, 1, 0, 5);
		verify(world, s1);
		detach_all(world);
	}
}

/* A walk that began before goes on over all that was there. */
static void rule_06_emptied_under_a_walk(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	const struct iommu_attach_group *group;
	u32 i, nr = 0, wrong = 0;
	struct iommu_attach_walk walk;

	for (i = 0; i < 6; i++)
		add(world, alist, i / 2, i, i);
	world->atomic = true;
	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk) {
		wrong += group->iommu_device != fake_iommu(nr / 2) || group->tag != nr;
		if (++nr < 6)
			continue;
		detach_all(world);
		wrong += group->iommu_device != fake_iommu(2) || group->tag != 5;
	}
	iommu_attach_for_each_group(group, &walk)
		nr++;
	iommu_attach_walk_end(&walk);
	world->atomic = false;
	KUNIT_EXPECT_EQ(test, nr, 6);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

/* Full or empty, shared or not: there is nothing that a detach could lack. */
static void pitfall_15_detach_never_fails(struct kunit *test)
{
	struct world *world = new_world(test, 256);
	u64 seed = 15;
	u32 i;

	for (i = 0; i < 120; i++)
		add_nest(world, &world->list[0], &world->list[2], i % 3, i % 4,
			 i % 5, i % 2 ? i / 4 : NO_ATC);
	world->fail_at = world->allocs + 1;
	while (world->nr)
		detach(world, world->fact[random_below(&seed, world->nr)].thing);
	world->fail_at = 0;
	verify_all(world);
}

/* The driver's view of the device has changed; what attach added must go. */
static void pitfall_13_detach_goes_by_the_record(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;

	add(world, alist, 0, 1, NO_ATC);
	thing = add(world, alist, 0, 1, 10);
	thing->nest.s1.using_atc = false;
	detach(world, thing);
	verify(world, alist);

	thing = add(world, alist, 0, 1, NO_ATC);
	thing->nest.s1.using_atc = true;
	detach(world, thing);
	verify(world, alist);
}

/*
 * Attaches beside an attach: while one allocates, others take or leave room
 */

static void race_for_the_group(struct world *world)
{
	add(world, &world->list[0], 3, 9, 77);
}

static void race_for_the_table(struct world *world)
{
	u32 i;

	for (i = 0; i < 5; i++)
		add_nest(world, &world->list[0], &world->list[2], i, 20, 30 + i,
			 NO_ATC);
}

static void race_for_slots_and_index(struct world *world)
{
	u32 i;

	for (i = 0; i < 20; i++)
		add_nest(world, &world->list[0], &world->list[2], i % 2, 1, 2,
			 100 + i);
}

/* To where it has to grow once more than was noted. */
static void race_for_a_larger_index(struct world *world)
{
	u32 i;

	for (i = 0; i < 8; i++)
		add_nest(world, &world->list[0], &world->list[2], i % 2, 1, 2,
			 100 + i);
}

/* What a nest has at hand for its own domain is still wanted. */
static void race_for_the_parent(struct world *world)
{
	add(world, &world->list[2], 9, 99, NO_ATC);
}

static void race_leaving_room(struct world *world)
{
	detach_all(world);
}

static void rule_02_attach_beside_attach(struct kunit *test)
{
	static void (*const races[])(struct world *world) = {
		race_for_the_group,
		race_for_the_table,
		race_for_slots_and_index,
		race_for_a_larger_index,
		race_for_the_parent,
		race_leaving_room,
	};
	struct world *world = new_world(test, 128);
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];
	u32 i, at, nest, beaten, runs = 0;
	struct thing *thing;
	int ret;

	for (i = 0; i < 2 * ARRAY_SIZE(races); i++) {
		for (at = 1; at <= 8; at++) {
			for (nest = 0; nest < 8; nest++)
				add_nest(world, s1, s2, nest % 2, 1, 2, nest);
			nest = i % 2;
			if (nest)
				thing = new_nest(world, s1, s2, 3, 9, 8, 77);
			else
				thing = new_thing(world, s1, 3, 9, 77);

			world->race = races[i / 2];
			world->race_at = world->allocs + at;
			ret = try_attach(world, thing);
			beaten = !world->race && i / 2 == 0;
			runs += !world->race;
			world->race = NULL;

			KUNIT_EXPECT_EQ_MSG(test, ret,
					    (beaten ? 0 : IOMMU_ATTACH_GROUP_DOMAIN) |
					    (nest ? IOMMU_ATTACH_GROUP_PARENT : 0),
					    "race %u at allocation %u", i / 2, at);
			verify(world, s1);
			verify(world, s2);
			detach_all(world);
			drain_all();
			iommu_attach_destroy(s1);
			iommu_attach_destroy(s2);
		}
	}
	KUNIT_EXPECT_GE_MSG(test, runs, 20, "races that were run");
}

/* Slots that are at hand are still wanted when the index has become too small. */
static void rule_02_attach_beside_attach_to_a_full_group(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i;

	add(world, alist, 0, 1, NO_ATC);
	for (i = 0; i < 8; i++)
		add(world, alist, 3, 9, 200 + i);
	world->race = race_for_a_larger_index;
	world->race_at = world->allocs + 2;
	KUNIT_EXPECT_EQ(test, try_attach(world, new_thing(world, alist, 3, 9, 77)), 0);
	KUNIT_EXPECT_NULL(test, world->race);
	verify(world, alist);
}

/*
 * Drains
 */

struct drainer {
	struct world *world;
	void (*work)(struct drainer *drainer);
	struct thing *thing;
	struct completion ready;
	struct completion go;
	bool returned;
	bool early;			/* before the flush has ended */
};

static int drainer_thread(void *data)
{
	struct drainer *drainer = data;

	complete(&drainer->ready);
	wait_for_completion(&drainer->go);
	drainer->work(drainer);
	WRITE_ONCE(drainer->returned, true);
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

/* A hardware wait that takes long, in which the drain begins. */
static void hook_drain(struct record *record)
{
	struct drainer *drainer = record->hook_data;

	complete(&drainer->go);
	mdelay(20);
	drainer->early = READ_ONCE(drainer->returned);
}

/* Is @work, which is begun at call @at of a flush, through before @hook returns? */
static void expect_beside(struct world *world, struct iommu_attach_list *alist, u32 at,
			  void (*work)(struct drainer *drainer),
			  void (*hook)(struct record *record), struct thing *thing, bool early)
{
	struct drainer drainer = { .world = world, .work = work, .thing = thing };
	struct kunit *test = world->test;
	struct task_struct *task;

	/* The hook does not give its CPU away. */
	if (early && num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	init_completion(&drainer.ready);
	init_completion(&drainer.go);
	task = kthread_run(drainer_thread, &drainer, "alist-drain");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	wait_for_completion(&drainer.ready);

	world->record.hook_data = &drainer;
	flush_beside(world, alist, 0, at, hook, NULL);
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, drainer.early, early);
	KUNIT_EXPECT_TRUE(test, drainer.returned);
}

static void expect_drain_at(struct world *world, struct iommu_attach_list *alist, u32 at,
			    void (*work)(struct drainer *drainer), struct thing *thing)
{
	expect_beside(world, alist, at, work, hook_drain, thing, false);
}

static void expect_drain(struct world *world, struct iommu_attach_list *alist,
			 void (*work)(struct drainer *drainer), struct thing *thing)
{
	expect_drain_at(world, alist, 1, work, thing);
}

static void work_drain(struct drainer *drainer)
{
	iommu_attach_del(drainer->thing->list[0], &drainer->thing->nest.s1);
	iommu_attach_drain(drainer->thing->nest.s1.fence);
	kfree(drainer->thing);
}

/* From its second look on the flush is out of RCU, and in the fence instead. */
static void hook_drain_each_look(struct record *record)
{
	struct drainer *drainer = record->hook_data;

	if (record->event[record->nr - 1].call == CALL_WAIT) {
		complete(&drainer->go);
		mdelay(10);
		drainer->early |= READ_ONCE(drainer->returned);
	}
	record->hook = hook_drain_each_look;
	record->hook_at = record->nr + 1;
}

static void rule_07_drain_waits_for_slow_flush(struct kunit *test)
{
	struct world *world = new_world(test, 4);
	struct iommu_attach_list *alist = &world->list[0];
	struct drainer drainer = { .world = world, .work = work_drain };
	struct task_struct *task;

	drainer.thing = add(world, alist, 0, 1, NO_ATC);
	init_completion(&drainer.ready);
	init_completion(&drainer.go);
	task = kthread_run(drainer_thread, &drainer, "alist-drain");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	wait_for_completion(&drainer.ready);

	world->hardware[0].slow = 4;
	world->record.hook = hook_drain_each_look;
	world->record.hook_at = 1;
	world->record.hook_data = &drainer;
	flush_into(&world->record, alist, 0);
	world->record.hook = NULL;
	kthread_stop(task);
	forget_thing(world, drainer.thing);
	KUNIT_EXPECT_FALSE(test, drainer.early);
	KUNIT_EXPECT_TRUE(test, drainer.returned);
}

static void rule_07_drain_waits_for_walks(struct kunit *test)
{
	struct world *world = new_world(test, 4);
	struct iommu_attach_list *alist = &world->list[0];
	const u64 atcs[] = { NO_ATC, 10 };
	struct thing *thing;
	u32 i;

	/* What sends to no ATC is in an RCU read-side section; what does is in the fence. */
	for (i = 0; i < ARRAY_SIZE(atcs); i++) {
		thing = add(world, alist, 0, 1, atcs[i]);
		expect_drain(world, alist, work_drain, thing);
		forget_thing(world, thing);
		flush_into(&world->record, alist, 0);
		KUNIT_EXPECT_EQ_MSG(test, world->record.nr, 0, "silence");
	}
}

/* A loop over ATC targets inside of one over groups: each has a place of its own. */
static void rule_02_loops_do_not_disturb_each_other(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	const struct iommu_attach_group *group, *of;
	u32 i, groups = 0, targets = 0;
	struct iommu_attach_walk walk;
	u64 atc;

	for (i = 0; i < 6; i++)
		add(world, alist, i % 3, i / 3, i);

	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk) {
		groups++;
		iommu_attach_for_each_atc(of, atc, &walk)
			targets++;
	}
	iommu_attach_walk_end(&walk);
	KUNIT_EXPECT_EQ(test, groups, 6);
	KUNIT_EXPECT_EQ(test, targets, 36);
}

/* Groups, slots, tables and elements live as long as a walk that may see them. */
static void pitfall_12_memory_outlives_walks(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	const struct iommu_attach_group *group;
	u32 i, nr_atc = 0, nr_all = 0;
	struct iommu_attach_walk walk;
	struct thing *thing;
	u64 atc;

	for (i = 0; i < 32; i++)
		add(world, alist, i % 2, i % 4, i);

	world->atomic = true;
	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_atc(group, atc, &walk) {
		/* All go, under the walk's feet, and the table is replaced. */
		if (!nr_atc++) {
			while (world->nr) {
				take_off(world->fact[0].thing);
				forget_thing(world, world->fact[0].thing);
			}
			try_attach(world, new_thing(world, alist, 3, 9, NO_ATC));
			try_attach(world, new_thing(world, alist, 4, 9, NO_ATC));
		}
	}
	iommu_attach_for_each_all(thing, &walk, nest.s1) {
		/* The way on leads through what is deleted. */
		forget_thing(world, thing);
		take_off(thing);
		nr_all += thing->nr;
	}
	iommu_attach_walk_end(&walk);
	world->atomic = false;

	KUNIT_EXPECT_EQ_MSG(test, nr_atc, 1, "the others are gone");
	KUNIT_EXPECT_EQ(test, nr_all, 2);
	verify(world, alist);
}

/*
 * Flushes that fail
 */

/* The others are sent to once, and the one no more often than it has to be. */
static void rule_13_only_what_failed_is_sent_again(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[2];
	u32 mode, aborts, i;

	for (i = 0; i < 9; i++)
		add_nest(world, &world->list[0], alist, i % 3, 1, 2 + i % 2, i);
	for (mode = 0; mode < NR_MODES; mode++) {
		for (aborts = 0; aborts < 4; aborts++) {
			u32 phases = mode & ATC_WAITS ? 2 : 1;

			world->hardware[1].aborts = aborts;
			flush_into(&world->record, alist, mode);
			EXPECT_FAULT(&world->record, alist, FINE, "mode %u, %u aborts",
				     mode, aborts);
			KUNIT_EXPECT_EQ(test, world->record.error, 0);
			for (i = 0; i < 3; i++)
				KUNIT_EXPECT_EQ(test,
						count_at(&world->record, CALL_SUBMIT, i),
						phases + (i == 1 ? aborts : 0));
		}
	}
}

/* An IOMMU that aborts whatever it is sent is not asked for ever. */
static void rule_13_aborts_are_borne_within_reason(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i, mode, submits;

	for (i = 0; i < 9; i++)
		add(world, alist, i % 3, i % 2, i);
	for (mode = 0; mode < NR_MODES; mode++) {
		world->hardware[1].aborts = U32_MAX;
		flush_into(&world->record, alist, mode);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, world->record.error, -EAGAIN);
		submits = count_at(&world->record, CALL_SUBMIT, 1);
		/* Own tags, no nests, ATCs. */
		KUNIT_EXPECT_EQ(test, submits, mode ? 34 : 17);
	}
}

static void hook_abort_all(struct record *record)
{
	record->world->hardware[0].aborts = U32_MAX;
}

/* Nor one that has a silent device, too: neither its IOTLB commands nor its targets. */
static void rule_13_aborts_of_a_search_are_borne_within_reason(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i;

	for (i = 0; i < 4; i++)
		add(world, alist, 0, 1, i);
	world->script_error = -ETIMEDOUT;
	for (i = 0; i < 2; i++) {
		/* The wait for ATCs: the first one, or the second. */
		world->script_at = 1 + i;
		world->hardware[0].aborts = 0;
		flush_beside(world, alist, i ? ATC_WAITS : 0, i ? 4 : 1, hook_abort_all, NULL);
		KUNIT_EXPECT_EQ(test, world->record.error, -EAGAIN);
		/* The IOTLB command again; the first target; the others, once. */
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SUBMIT),
				i ? 2 + 17 + 3 : 1 + 17 + 17 + 3);
	}
	world->script_at = 0;
}

/*
 * Meanwhile a target is added, which gets its command in a pass of its own, or needs none. Those
 * that are sent again are sent without it.
 */
static void rule_13_newcomer_is_not_sent_again(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;
	u32 round, search, at;

	add(world, alist, 0, 1, 5);
	/* IOTLB, ATC, submit; the wait that says so; in a search, the IOTLB command again. */
	for (round = 0; round < 4; round++) {
		search = round % 2;
		world->script_first = search ? -ETIMEDOUT : -EAGAIN;
		/* Several lists, of which there is one. */
		world->record.lists = round > 1 ? &alist : NULL;
		world->record.nr_lists = 1;
		for (at = 3; at <= 4 + 3 * search; at++) {
			thing = new_thing(world, alist, 0, 1, 6);
			flush_beside(world, alist, 0, at, hook_attach, thing);
			KUNIT_EXPECT_EQ(test, world->record.error, 0);
			EXPECT_FAULT(&world->record, alist, FINE, "round %u, call %u", round, at);
			unmark_all(world);
			detach(world, thing);
		}
	}
	world->record.lists = NULL;
	world->script_first = 0;
}

/* Nothing was submitted, so that it is no try. */
static void rule_13_full_queue_is_not_counted(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	u32 mode;

	add(world, alist, 0, 1, 5);
	add(world, alist, 1, 1, NO_ATC);
	for (mode = 0; mode < NR_MODES; mode++) {
		world->hardware[0].busy = 100;
		flush_into(&world->record, alist, mode);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, world->record.error, 0);
		KUNIT_EXPECT_EQ(test, world->hardware[0].busy, 0);
		KUNIT_EXPECT_EQ(test, count_at(&world->record, CALL_SUBMIT, 1), 1);
	}
}

/* Others set devices aside, each of which has made the IOMMU abort this flush, too. */
struct aborter {
	u32 from;			/* the wait after which it begins */
	u32 nr_aside;
};

#define NR_ABORTERS	40

static struct iommu_attach_endpoint *aborted_endpoint(u32 i)
{
	return &fake_endpoints[9 + i / NR_ENDPOINTS][i % NR_ENDPOINTS];
}

/* They are of another domain. */
static void add_aborters(struct world *world, u32 iommu)
{
	struct thing *thing;
	u32 i;

	for (i = 0; i < NR_ABORTERS; i++) {
		thing = new_thing(world, &world->list[3], iommu, 9, 100 + i);
		thing->nest.s1.endpoint = aborted_endpoint(i);
		attach(world, thing);
	}
}

static void hook_abort_and_set_aside(struct record *record)
{
	const struct event *event = &record->event[record->nr - 1];
	struct aborter *aborter = record->hook_data;

	record->hook = hook_abort_and_set_aside;
	record->hook_at = record->nr + 1;
	if (event->call != CALL_WAIT)
		return;
	if (event->error == -EAGAIN)
		iommu_attach_set_aside(aborted_endpoint(aborter->nr_aside++));
	else if (record->nr_answers == aborter->from)
		record->world->hardware[0].aborts = NR_ABORTERS;
}

static void rule_13_tries_begin_anew_when_a_device_was_set_aside(struct kunit *test)
{
	struct world *world = new_world(test, 128);
	struct iommu_attach_list *alist = &world->list[0];
	struct aborter aborter;
	u32 from;

	add(world, alist, 0, 1, 5);
	add_aborters(world, 0);
	world->record.hook_data = &aborter;
	world->script_error = -ETIMEDOUT;
	/* Of the flush; of its search, the IOTLB command again; the target by itself. */
	for (from = 0; from < 3; from++) {
		aborter = (struct aborter){ .from = from };
		world->hardware[0].aborts = from ? 0 : NR_ABORTERS;
		world->script_at = from ? 1 : 0;
		world->record.hook = hook_abort_and_set_aside;
		world->record.hook_at = 1;
		flush_into(&world->record, alist, 0);
		world->record.hook = NULL;
		KUNIT_EXPECT_EQ_MSG(test, world->record.error, 0, "from wait %u", from);
		KUNIT_EXPECT_EQ(test, aborter.nr_aside, NR_ABORTERS);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SUBMIT), from ? 43 : 41);
		while (aborter.nr_aside--)
			iommu_attach_resume(aborted_endpoint(aborter.nr_aside));
	}
	world->script_at = 0;
}

/* Those behind one IOMMU explain nothing that another one aborts. */
static void rule_13_tries_are_those_of_an_iommu(struct kunit *test)
{
	struct world *world = new_world(test, 128);
	struct iommu_attach_list *alist = &world->list[0];
	struct aborter aborter = {};

	add(world, alist, 0, 1, 5);
	add_aborters(world, 1);
	world->record.hook_data = &aborter;
	world->hardware[0].aborts = NR_ABORTERS;
	world->record.hook = hook_abort_and_set_aside;
	world->record.hook_at = 1;
	flush_into(&world->record, alist, 0);
	world->record.hook = NULL;
	KUNIT_EXPECT_EQ(test, world->record.error, -EAGAIN);
	KUNIT_EXPECT_EQ(test, aborter.nr_aside, 17);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SUBMIT), 17);
	while (aborter.nr_aside--)
		iommu_attach_resume(aborted_endpoint(aborter.nr_aside));
}

/* The same device each time; it comes back, and is set aside anew, each time. */
static void hook_set_aside_again(struct record *record)
{
	struct aborter *aborter = record->hook_data;

	record->hook = hook_set_aside_again;
	record->hook_at = record->nr + 1;
	if (record->event[record->nr - 1].call != CALL_WAIT)
		return;
	if (aborter->from)
		iommu_attach_resume(aborted_endpoint(0));
	iommu_attach_set_aside(aborted_endpoint(0));
	/* A limit of the test's own. */
	if (++aborter->nr_aside == 500)
		record->world->hardware[0].aborts = 0;
}

/* Each look of the driver finds a device at fault, and the IOMMU aborts all the same. */
static void rule_13_tries_end_whatever_is_set_aside(struct kunit *test)
{
	struct world *world = new_world(test, 200);
	struct iommu_attach_list *alist = &world->list[0];
	struct aborter aborter;
	u32 back;

	add(world, alist, 0, 1, 5);
	add_aborters(world, 0);
	world->record.hook_data = &aborter;
	for (back = 0; back < 2; back++) {
		aborter = (struct aborter){ .from = back };
		world->hardware[0].aborts = U32_MAX;
		world->record.hook = hook_set_aside_again;
		world->record.hook_at = 1;
		flush_into(&world->record, alist, 0);
		world->record.hook = NULL;
		KUNIT_EXPECT_EQ(test, world->record.error, -EAGAIN);
		/* That it is set aside counts once, if it does not come back. */
		if (!back)
			KUNIT_EXPECT_LE(test, aborter.nr_aside, 40);
		KUNIT_EXPECT_LT(test, aborter.nr_aside, 500);
		iommu_attach_resume(aborted_endpoint(0));
	}
	world->hardware[0].aborts = 0;
}

/* Meanwhile the last attachment of the IOMMU goes: there is nothing to send again. */
static void rule_13_aborted_and_gone(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;
	u32 at;

	/* IOTLB, ATC, submit; the wait that says that it was aborted. */
	for (at = 3; at <= 4; at++) {
		thing = add(world, alist, 0, 1, 5);
		world->hardware[0].aborts = 1;
		flush_beside(world, alist, 0, at, hook_detach, thing);
		KUNIT_EXPECT_EQ(test, world->record.error, 0);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SUBMIT), 1);
		forget_thing(world, thing);
		verify(world, alist);
	}
}

/* Its fence was left, so that the silent device could go: there is nobody to be asked. */
static void rule_12_gone_before_the_search(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;
	u32 other;

	state_of(world, 0, 5)->dead = true;
	for (other = 0; other < 2; other++) {
		if (other)
			add(world, alist, 1, 1, 6);
		thing = add(world, alist, 0, 1, 5);
		/* IOTLB, ATC, submit of each; the wait that times out. */
		flush_beside(world, alist, 0, 4 + 3 * other, hook_detach, thing);
		KUNIT_EXPECT_EQ(test, world->record.error, 0);
		KUNIT_EXPECT_EQ(test, count_at(&world->record, CALL_SUBMIT, 0), 1);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SILENT), 0);
		forget_thing(world, thing);
		verify(world, alist);
	}
}

static void rule_13_first_error_is_told(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i, mode;

	for (i = 0; i < 9; i++)
		add(world, alist, i % 3, 1, i);
	for (mode = 0; mode < NR_MODES; mode++) {
		world->hardware[1].error = -EIO;
		world->hardware[2].error = -ENODEV;
		flush_into(&world->record, alist, mode);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, world->record.error, -EIO);
		/* So is a timeout without ATC commands, if it stays. */
		world->hardware[1].error = 0;
		world->hardware[2].error = -ETIMEDOUT;
		flush_into(&world->record, alist, mode | WITHOUT_ATC);
		KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SILENT), 0);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SUBMIT), 3 + 16);
	}
}

/* The wait may have been for another one, too: it is asked by itself, and not again. */
static void pitfall_33_single_target_is_asked_by_itself(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	u32 mode, round;

	add(world, alist, 0, 1, 5);
	add(world, alist, 0, 1, NO_ATC);
	add(world, alist, 1, 1, 6);
	state_of(world, 0, 5)->dead = true;
	for (mode = 0; mode < NR_MODES; mode++) {
		for (round = 0; round < 2; round++) {
			flush_into(&world->record, alist, mode);
			EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
			KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
			/* And once it is known, not at all. */
			KUNIT_EXPECT_EQ(test, count_at(&world->record, CALL_ATC, 0),
					round ? 0 : 2);
			KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SILENT), !round);
		}
		resume(world, 0, 5);
		/* Nor by the flush that has found out. */
		flush_into(&world->record, alist, mode | LEAVE_SILENT);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, count_at(&world->record, CALL_ATC, 0), 2);
	}
}

/* Which one of ten? Each of them in turn, and some of them together. */
static void pitfall_33_silent_targets_are_found(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[2];
	u32 mode, dead, i, named;

	for (i = 0; i < 10; i++) {
		if (i % 3)
			add(world, alist, 0, i % 2, i);
		else
			add_nest(world, &world->list[0], alist, 0, 3, 4 + i % 2, i);
		add(world, alist, 1, 1, i);
	}
	for (mode = 0; mode < NR_MODES; mode++) {
		for (dead = 1; dead < BIT(10); dead = dead < BIT(9) ? 2 * dead : dead + 37) {
			for (i = 0; i < 10; i++)
				state_of(world, 0, i)->dead = dead & BIT(i);
			world->hardware[0].slow = dead % 3;
			flush_into(&world->record, alist, mode);
			EXPECT_FAULT(&world->record, alist, FINE, "mode %u, silent %x", mode,
				     dead);
			KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
			named = 0;
			for (i = 0; i < world->record.nr; i++)
				if (world->record.event[i].call == CALL_SILENT)
					named |= BIT(world->record.event[i].value);
			KUNIT_EXPECT_EQ(test, named, dead);
			for (i = 0; i < 10; i++)
				resume(world, 0, i);
		}
	}
}

/*
 * Behind each IOMMU, the first of three targets is silent. While it is asked by itself, so are
 * those behind three other IOMMUs.
 */
static void rule_05_silent_devices_are_waited_for_at_once(struct kunit *test)
{
	enum { NR = 12 };
	struct world *world = new_world(test, 200);
	struct iommu_attach_list *alist = &world->list[0];
	struct record *record = &world->record;
	u32 i, n, nr, under_way, most, asked[NR];

	for (nr = 1; nr <= NR; nr++) {
		for (i = 0; i < 3; i++)
			add(world, alist, nr - 1, 1, i);
		for (n = 0; n < nr; n++) {
			state_of(world, n, 0)->dead = true;
			world->hardware[n].slow = 4;
			asked[n] = 0;
		}
		flush_into(record, alist, 0);
		EXPECT_FAULT(record, alist, FINE, "%u IOMMUs", nr);
		for (n = 0; n < nr; n++) {
			/* All at once, and then one by one. */
			KUNIT_EXPECT_EQ(test, count_at(record, CALL_ATC, n), 3 + 3);
			KUNIT_EXPECT_EQ(test, count_at(record, CALL_SILENT, n), 1);
			resume(world, n, 0);
		}

		under_way = 0;
		most = 0;
		for (i = 0; i < record->nr; i++) {
			const struct event *event = &record->event[i];

			n = iommu_number(event->iommu_device);
			if (event->call == CALL_ATC && !event->value && asked[n]++) {
				if (++under_way > most)
					most = under_way;
			} else if (event->call == CALL_SILENT) {
				under_way--;
			}
		}
		KUNIT_EXPECT_EQ_MSG(test, most, nr < 4 ? nr : 4, "%u IOMMUs", nr);
	}
}

/* While they are asked one by one, an IOMMU aborts, fails, or all is well this time. */
static void pitfall_33_search_meets_other_errors(struct kunit *test)
{
	static const int errors[] = { 0, -EAGAIN, -EBUSY, -EIO, -ETIMEDOUT };
	struct world *world = new_world(test, 200);
	struct iommu_attach_list *alist = &world->list[0];
	struct record *record = &world->record;
	u32 i, at, error, waits;
	int expected;

	for (i = 0; i < 5; i++)
		add(world, alist, 0, 1, i);
	/* Waits: of all; of the IOTLB command again; of each target. */
	for (error = 0; error < ARRAY_SIZE(errors); error++) {
		for (at = 1; at <= 7; at++) {
			world->script_at = at;
			world->script_error = errors[error];
			world->script_first = -ETIMEDOUT;
			flush_into(record, alist, 0);
			world->script_at = 0;
			world->script_first = 0;
			waits = count_of(record, CALL_WAIT);
			/* That of all is nobody's fault, one of the IOTLB command a stranger's. */
			expected = errors[error];
			if (expected == -EAGAIN || expected == -EBUSY ||
			    (expected == -ETIMEDOUT && at <= 2))
				expected = 0;
			KUNIT_EXPECT_EQ_MSG(test, record->error, expected,
					    "wait %u says %d", at, errors[error]);
			KUNIT_EXPECT_EQ_MSG(test, count_of(record, CALL_SILENT),
					    at > 2 && errors[error] == -ETIMEDOUT,
					    "wait %u says %d", at, errors[error]);
			KUNIT_EXPECT_LE(test, waits, 8);
			if (!record->error) {
				for (i = 0; i < 5; i++)
					KUNIT_EXPECT_EQ_MSG(test,
							    count_calls(record, &world->fact[i],
									CALL_ATC), 1,
							    "target %u, wait %u says %d", i, at,
							    errors[error]);
			}
			for (i = 0; i < 5; i++)
				resume(world, 0, i);
		}
	}
}

/*
 * An IOMMU that goes on aborting one command: the other targets are sent to, and the one
 * that is silent is found.
 */
static void pitfall_33_search_goes_on_behind_an_abort(struct kunit *test)
{
	struct world *world = new_world(test, 400);
	struct iommu_attach_list *alist = &world->list[0];
	struct record *record = &world->record;
	u32 i, from;

	for (i = 0; i < 4; i++)
		add(world, alist, 0, 1, i);
	state_of(world, 0, 3)->dead = true;
	/* From the IOTLB command on that is sent again; from the second target on. */
	for (from = 2; from <= 4; from += 2) {
		world->abort_from = from;
		world->nr_aborts = 17;
		flush_into(record, alist, 0);
		world->abort_from = 0;
		KUNIT_EXPECT_EQ(test, record->error, -EAGAIN);
		KUNIT_EXPECT_EQ(test, count_of(record, CALL_SILENT), 1);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ_MSG(test, count_calls(record, &world->fact[i], CALL_ATC),
					    from == 2 || i != 1, "target %u, from wait %u", i,
					    from);
		resume(world, 0, 3);
	}
	/* The IOTLB command, which is sent again first, times out each time. */
	world->hardware[0].error = -ETIMEDOUT;
	flush_into(record, alist, LEAVE_SILENT);
	world->hardware[0].error = 0;
	KUNIT_EXPECT_EQ(test, record->error, -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, count_of(record, CALL_SUBMIT), 1 + 17 + 4);
	KUNIT_EXPECT_EQ(test, count_of(record, CALL_SILENT), 4);
}

/* What is told of a device that another flush has sent to is no error of this one. */
static void pitfall_32_timeout_of_a_stranger(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	struct record *record = &world->record;
	u32 mode;

	add(world, alist, 0, 1, NO_ATC);
	add(world, alist, 1, 1, 6);
	world->script_first = -ETIMEDOUT;
	for (mode = 0; mode < NR_MODES; mode++) {
		/* Those with a phase in which no ATC command is sent; none is, to the first one. */
		flush_into(record, alist, mode | (mode & ATC_WAITS ? 0 : WITHOUT_ATC));
		KUNIT_EXPECT_EQ_MSG(test, record->error, 0, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, count_of(record, CALL_SILENT), 0);
		KUNIT_EXPECT_EQ(test, count_calls(record, &world->fact[0], CALL_IOTLB), 1);
	}
	/* It does not ask for ever. */
	world->script_first = 0;
	world->hardware[0].error = -ETIMEDOUT;
	flush_into(record, alist, WITHOUT_ATC);
	KUNIT_EXPECT_EQ(test, record->error, -ETIMEDOUT);
	KUNIT_EXPECT_LE(test, count_of(record, CALL_SUBMIT), 20);
	world->hardware[0].error = 0;
}

/* Another domain behind the same IOMMU has no part in it. */
static void pitfall_32_only_who_sent_to_it_is_told(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	u32 mode;

	add(world, &world->list[0], 0, 1, 5);
	add(world, &world->list[1], 0, 2, 6);
	state_of(world, 0, 5)->dead = true;
	for (mode = 0; mode < NR_MODES; mode++) {
		flush_into(&world->record, &world->list[0], mode);
		KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
		flush_into(&world->record, &world->list[1], mode);
		KUNIT_EXPECT_EQ(test, world->record.error, 0);
		EXPECT_FAULT(&world->record, &world->list[1], FINE, "mode %u", mode);
	}
}

/* A driver that cannot name devices, or has no way to set them aside: bounded all the same. */
static void pitfall_31_silent_device_that_is_not_set_aside(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	u32 mode, i;

	for (i = 0; i < 8; i++)
		add(world, alist, 0, 1, i);
	state_of(world, 0, 3)->dead = true;
	state_of(world, 0, 7)->dead = true;
	for (mode = 0; mode < NR_MODES; mode++) {
		flush_into(&world->record, alist, mode | LEAVE_SILENT);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SILENT), 2);
		flush_into(&world->record, alist, mode | LEAVE_SILENT | NAMELESS);
		KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SILENT), 0);
	}
}

static void hook_set_aside(struct record *record)
{
	set_aside(record->world, 0, 5);
}

/* Another flush has found the silent device first: the one that searches leaves it out. */
static void pitfall_33_silent_target_is_found_by_another_flush(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	u32 mode, at, nr;

	add(world, alist, 0, 1, 4);
	add(world, alist, 0, 1, 5);
	add(world, alist, 0, 1, 6);
	state_of(world, 0, 5)->dead = true;
	for (mode = 0; mode < NR_MODES; mode++) {
		flush_into(&world->record, alist, mode);
		nr = world->record.nr;
		for (at = 1; at <= nr; at++) {
			resume(world, 0, 5);
			world->record.hook = hook_set_aside;
			world->record.hook_at = at;
			flush_into(&world->record, alist, mode);
			world->record.hook = NULL;
			/* Fewer calls then; whoever has found it, this one has not flushed it. */
			KUNIT_EXPECT_EQ_MSG(test, world->record.error, -ETIMEDOUT,
					    "mode %u, call %u", mode, at);
			KUNIT_EXPECT_LE(test, count_of(&world->record, CALL_SILENT), 1);
			flush_into(&world->record, alist, mode);
			EXPECT_FAULT(&world->record, alist, FINE, "mode %u, call %u", mode, at);
		}
		resume(world, 0, 5);
	}
}

/* By the time something has to be sent again, all devices have gone, or been set aside. */
static void rule_13_nothing_left_to_send_again(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct record *record = &world->record;
	u32 at;

	/* IOTLB, two ATCs, submit, a wait that times out; IOTLB, submit, a wait that is aborted. */
	world->script_first = -ETIMEDOUT;
	world->script_at = 2;
	world->script_error = -EAGAIN;
	for (at = 1; at <= 8; at++) {
		add(world, alist, 0, 1, 5);
		add(world, alist, 0, 1, 6);
		flush_beside(world, alist, 0, at, hook_detach_all, NULL);
		EXPECT_FAULT(record, alist, FINE, "call %u", at);
		KUNIT_EXPECT_EQ_MSG(test, record->error, 0, "call %u", at);
		KUNIT_EXPECT_EQ_MSG(test, count_of(record, CALL_IOTLB), at > 5 ? 2 : 1, "call %u",
				    at);
		world->nr = 0;
		verify(world, alist);
	}
	world->script_first = 0;
	world->script_at = 0;

	/* IOTLB, submit, wait; ATC, submit, a wait that times out. */
	add(world, alist, 0, 1, 5);
	state_of(world, 0, 5)->dead = true;
	for (at = 4; at <= 6; at++) {
		flush_beside(world, alist, ATC_WAITS, at, hook_set_aside, NULL);
		KUNIT_EXPECT_EQ_MSG(test, record->error, -ETIMEDOUT, "call %u", at);
		KUNIT_EXPECT_EQ_MSG(test, count_of(record, CALL_ATC), 1, "call %u", at);
		KUNIT_EXPECT_EQ_MSG(test, count_of(record, CALL_SILENT), 0, "call %u", at);
		resume(world, 0, 5);
		state_of(world, 0, 5)->dead = true;
	}
}

/*
 * Devices that are set aside
 */

static void expect_flush(struct world *world, struct iommu_attach_list *alist, int error,
			 u32 atcs)
{
	u32 mode;

	for (mode = 0; mode < NR_MODES; mode++) {
		flush_into(&world->record, alist, mode);
		EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(world->test, world->record.error, error);
		KUNIT_EXPECT_EQ(world->test, count_of(&world->record, CALL_ATC), atcs);
	}
}

/* A device is in three domains, by PASID, and in a nest; a sibling is in one of them. */
static void rule_14_set_aside_in_all_domains(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *list = world->list;
	struct thing *joined[3];

	add(world, &list[0], 0, 1, 5);
	add(world, &list[0], 0, 1, 6);
	add(world, &list[1], 0, 2, 5 | 1 << 16);
	add_nest(world, &list[1], &list[2], 0, 3, 4, 5 | 2 << 16);

	set_aside(world, 0, 5);
	expect_flush(world, &list[0], -ETIMEDOUT, 1);
	expect_flush(world, &list[1], -ETIMEDOUT, 0);
	expect_flush(world, &list[2], -ETIMEDOUT, 0);
	verify_all(world);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(endpoint_of(0, 5)));
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(endpoint_of(0, 6)));

	/* What is attached meanwhile: to a target that is there, to a new one, later. */
	joined[0] = add(world, &list[0], 0, 1, 5);
	joined[1] = add(world, &list[3], 0, 7, 5 | 3 << 16);
	joined[2] = add(world, &list[3], 0, 7, NO_ATC);
	joined[2]->nest.s1.atc = 5 | 4 << 16;
	joined[2]->nest.s1.endpoint = endpoint_of(0, 5);
	KUNIT_ASSERT_EQ(test, enable_atc(joined[2]), 0);
	forget_thing(world, joined[2]);
	note_thing(world, joined[2]);
	note_atc_use(world, joined[2], true);
	expect_flush(world, &list[0], -ETIMEDOUT, 1);
	expect_flush(world, &list[3], -ETIMEDOUT, 0);
	verify_all(world);

	/* Blocked, it does no harm; that it is set aside once more does not change that. */
	block(world, 0, 5);
	expect_flush(world, &list[0], 0, 1);
	set_aside(world, 0, 5);
	expect_flush(world, &list[2], 0, 0);
	expect_flush(world, &list[3], 0, 0);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(endpoint_of(0, 5)));
	verify_all(world);

	/* Back again, and to be blocked comes too late. */
	resume(world, 0, 5);
	block(world, 0, 5);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(endpoint_of(0, 5)));
	expect_flush(world, &list[0], 0, 2);
	expect_flush(world, &list[1], 0, 2);
	expect_flush(world, &list[2], 0, 1);
	expect_flush(world, &list[3], 0, 2);
	verify_all(world);
}

/* Detach works as always; the place of a target says nothing about who has it next. */
static void rule_14_detach_while_aside(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *twin[2], *other;
	u32 i;

	other = add(world, alist, 0, 1, 9);
	for (i = 0; i < 2; i++)
		twin[i] = add(world, alist, 0, 1, 5);
	set_aside(world, 0, 5);
	world->fail_at = world->allocs + 1;
	detach(world, twin[0]);
	expect_flush(world, alist, -ETIMEDOUT, 1);
	detach(world, twin[1]);
	expect_flush(world, alist, 0, 1);
	world->fail_at = 0;

	add(world, alist, 0, 1, 6);
	expect_flush(world, alist, 0, 2);
	/* It was set aside while it was attached nowhere: that counts, too. */
	twin[0] = add(world, alist, 0, 1, 5);
	expect_flush(world, alist, -ETIMEDOUT, 2);
	disable_atc(world, twin[0]);
	expect_flush(world, alist, 0, 2);
	resume(world, 0, 5);
	KUNIT_ASSERT_EQ(test, enable_atc(twin[0]), 0);
	note_atc_use(world, twin[0], true);
	expect_flush(world, alist, 0, 3);
	detach(world, other);
	verify(world, alist);
}

static void hook_resume(struct record *record)
{
	resume(record->world, 0, 5);
}

/*
 * At any call of a flush: it is sent to or not, but a flush that leaves it out tells, unless
 * it comes back before the end, with an empty ATC.
 */
static void rule_14_aside_beside_flush(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[2];
	u32 mode, at, nr, sent, i, back;
	struct thing *thing;

	add(world, alist, 0, 1, 4);
	thing = add(world, alist, 0, 1, 5);
	add_nest(world, &world->list[0], alist, 0, 3, 4, 6);
	add(world, alist, 1, 1, 4);
	for (mode = 0; mode < NR_MODES; mode++) {
		for (back = 0; back < 2; back++) {
			nr = count_flush_calls(world, alist, mode);
			for (at = 1; at <= nr - back; at++) {
				if (back)
					set_aside(world, 0, 5);
				mark_atc_late(world, thing, 0, true);
				flush_beside(world, alist, mode, at,
					     back ? hook_resume : hook_set_aside, NULL);
				sent = 0;
				for (i = 0; i < world->record.nr; i++)
					sent += world->record.event[i].call == CALL_ATC &&
						world->record.event[i].value == 5;
				KUNIT_EXPECT_LE(test, sent, 1);
				KUNIT_EXPECT_EQ_MSG(test, world->record.error,
						    sent || back ? 0 : -ETIMEDOUT,
						    "mode %u, call %u", mode, at);
				unmark_all(world);
				resume(world, 0, 5);
				flush_into(&world->record, alist, mode);
				EXPECT_FAULT(&world->record, alist, FINE, "mode %u, call %u",
					     mode, at);
			}
		}
	}
}

/* What came after the lookup has nothing cached that this flush was to take away. */
static void rule_14_silent_newcomer_fails_no_flush(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];

	add(world, alist, 0, 1, 4);
	add(world, alist, 1, 1, 6);
	set_aside(world, 1, 5);
	/* IOTLB, submit of each, two waits; the first ATC command. */
	flush_beside(world, alist, ATC_WAITS, 7, hook_attach,
		     new_thing(world, alist, 1, 1, 5));
	KUNIT_EXPECT_EQ(test, world->record.error, 0);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_ATC), 2);
	unmark_all(world);
	flush_into(&world->record, alist, ATC_WAITS);
	KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
	/* Nor does the part for latecomers look at what was left out before. */
	flush_beside(world, alist, 0, 2, hook_attach, new_thing(world, alist, 1, 1, 3));
	KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_ATC), 3);
	unmark_all(world);
}

/* Once for each device that is blocked then. */
static void rule_14_what_is_left_out_can_be_blocked(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *lists[] = { &world->list[0], &world->list[2] };
	u32 mode, nr, i;

	add(world, lists[0], 0, 1, 6);
	add(world, lists[0], 0, 1, 5);
	add(world, lists[0], 0, 3, 5 | 1 << 16);
	add(world, lists[0], 1, 1, 4);
	add(world, lists[1], 1, 8, 3);
	add(world, lists[1], 0, 8, 8);
	detach(world, add(world, lists[0], 1, 9, 2));
	for (mode = 0; mode < NR_MODES; mode++) {
		for (nr = 1; nr <= 2; nr++) {
			set_aside(world, 0, 5);
			set_aside(world, 0, 6);
			set_aside(world, 1, 3);
			flush_lists_into(&world->record, lists, nr, mode | TELL_ASIDE);
			KUNIT_EXPECT_EQ(test, world->record.error, 0);
			KUNIT_EXPECT_EQ(test, world->record.nr_aside, 1 + nr);
			flush_lists_into(&world->record, lists, nr, mode | TELL_ASIDE);
			KUNIT_EXPECT_EQ(test, world->record.error, 0);
			KUNIT_EXPECT_EQ(test, world->record.nr_aside, 0);
			for (i = 0; i < NR_ENDPOINTS; i++) {
				resume(world, 0, i);
				resume(world, 1, i);
			}
		}
		verify(world, lists[0]);
	}
}

static void hook_block(struct record *record)
{
	block(record->world, 0, 5);
}

/* What is blocked when a flush ends uses nothing stale, whoever has found and blocked it. */
static void rule_13_blocked_device_fails_no_flush(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	struct record *record = &world->record;
	u32 mode, at, nr;

	add(world, alist, 0, 1, 5);
	add(world, alist, 0, 1, 6);
	add(world, alist, 1, 1, 4);
	for (mode = 0; mode < NR_MODES; mode++) {
		/* The flush itself finds it, and the driver has it blocked. */
		state_of(world, 0, 5)->dead = true;
		flush_into(record, alist, mode | TELL_ASIDE);
		EXPECT_FAULT(record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, record->error, 0);
		KUNIT_EXPECT_EQ(test, count_of(record, CALL_SILENT), 1);
		KUNIT_EXPECT_EQ(test, record->nr_aside, 1);
		resume(world, 0, 5);
		/* The driver does not set it aside. */
		flush_into(record, alist, mode | TELL_ASIDE | LEAVE_SILENT);
		EXPECT_FAULT(record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, record->error, -ETIMEDOUT);
		KUNIT_EXPECT_EQ(test, record->nr_aside, 0);
		state_of(world, 0, 5)->dead = false;
		/* It was, but cannot be blocked. */
		set_aside(world, 0, 5);
		flush_into(record, alist, mode | TELL_ASIDE | LEAVE_SILENT);
		EXPECT_FAULT(record, alist, FINE, "mode %u", mode);
		KUNIT_EXPECT_EQ(test, record->error, -ETIMEDOUT);
		KUNIT_EXPECT_EQ(test, record->nr_aside, 1);
		resume(world, 0, 5);

		/* Another one blocks it, beside any call. */
		nr = count_flush_calls(world, alist, mode);
		for (at = 1; at < nr; at++) {
			set_aside(world, 0, 5);
			flush_beside(world, alist, mode, at, hook_block, NULL);
			EXPECT_FAULT(record, alist, FINE, "mode %u, call %u", mode, at);
			KUNIT_EXPECT_EQ(test, record->error, 0);
			resume(world, 0, 5);
		}
	}
}

/* That one device is blocked says nothing about another one. */
static void rule_13_silent_device_beside_a_blocked_one(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	u32 mode, i;

	/* The last one has no endpoint. */
	for (i = 5; i < 8; i++)
		add(world, alist, 0, 1, i);
	state_of(world, 0, 5)->dead = true;
	state_of(world, 0, 7)->dead = true;
	for (mode = 0; mode < NR_MODES; mode++) {
		for (i = 0; i < 2; i++) {
			flush_into(&world->record, alist, mode | TELL_ASIDE);
			EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
			KUNIT_EXPECT_EQ(test, world->record.error, -ETIMEDOUT);
			KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_SILENT), 2 - i);
			KUNIT_EXPECT_EQ(test, world->record.nr_aside, !i);
		}
		resume(world, 0, 5);
	}
}

static u32 walked_targets(struct iommu_attach_list *alist)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	u32 nr = 0;
	u64 atc;

	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_atc(group, atc, &walk)
		nr++;
	iommu_attach_walk_end(&walk);
	return nr;
}

static void rule_14_walk_leaves_out_what_is_set_aside(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];

	add(world, alist, 0, 1, 5);
	add(world, alist, 0, 1, 6);
	KUNIT_EXPECT_EQ(test, walked_targets(alist), 2);
	set_aside(world, 0, 5);
	KUNIT_EXPECT_EQ(test, walked_targets(alist), 1);
	block(world, 0, 5);
	KUNIT_EXPECT_EQ(test, walked_targets(alist), 1);
	resume(world, 0, 5);
	KUNIT_EXPECT_EQ(test, walked_targets(alist), 2);
}

/*
 * Fences
 */

/* Which fences are held, as the last look at a slow IOMMU sees it. */
struct held {
	u32 slow;
	bool fence[4];
	u32 looks;
};

static void hook_held(struct record *record)
{
	const struct event *event = &record->event[record->nr - 1];
	struct held *held = record->hook_data;
	u32 i;

	/* Again after the next call. */
	record->hook = hook_held;
	record->hook_at = record->nr + 1;
	if (event->call != CALL_WAIT || event->iommu_device != fake_iommu(held->slow) ||
	    event->error != -EINPROGRESS)
		return;
	held->looks++;
	for (i = 0; i < ARRAY_SIZE(held->fence); i++)
		held->fence[i] = !fence_is_idle(i);
}

/* While one IOMMU is slow the others' fences are left, whatever became of them. */
static void rule_12_fences_are_left_one_by_one(struct kunit *test)
{
	static const u32 modes[] = { 0, ATC_WAITS, NEST_WAITS, NEST_WAITS | ATC_WAITS,
				     WITHOUT_ATC };
	struct world *world = new_world(test, 100);
	struct iommu_attach_list *alist = &world->list[0];
	u32 slow, which, mode, i;
	struct held held;

	for (i = 0; i < 12; i++)
		add(world, alist, i % 3, i / 6, i);
	world->record.hook_data = &held;
	for (slow = 0; slow < 3; slow++) {
		for (which = 0; which < 4; which++) {
			for (mode = 0; mode < ARRAY_SIZE(modes); mode++) {
				memset(world->hardware, 0, sizeof(world->hardware));
				world->hardware[slow].slow = 50;
				world->hardware[(slow + 1) % 3].slow = which;
				world->hardware[(slow + 1) % 3].aborts = which;
				if (which == 3)
					world->hardware[(slow + 2) % 3].error = -EIO;
				held = (struct held){ .slow = slow };
				world->record.hook = hook_held;
				world->record.hook_at = 1;
				flush_into(&world->record, alist, modes[mode]);
				world->record.hook = NULL;
				EXPECT_FAULT(&world->record, alist, FINE, "mode %u",
					     modes[mode]);
				KUNIT_EXPECT_GE(test, held.looks, 50);
				for (i = 0; i < ARRAY_SIZE(held.fence); i++)
					KUNIT_EXPECT_EQ_MSG(test, held.fence[i], i == slow,
							    "fence %u, slow %u, faults %u, mode %u",
							    i, slow, which, modes[mode]);
			}
		}
	}
}

static void hook_old_and_new_fence(struct record *record)
{
	struct held *held = record->hook_data;

	held->fence[0] = !fence_is_idle(0);
	held->fence[1] = !fence_is_idle(5);
}

/* An IOMMU goes while its group is idle, and another one comes in its place. */
static void rule_12_group_that_comes_back_takes_the_new_fence(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct held held = {};
	struct thing *thing;

	add(world, alist, 1, 1, NO_ATC);
	thing = add(world, alist, 0, 1, 5);
	detach(world, thing);
	iommu_attach_drain(&fake_fences[0]);
	thing = new_thing(world, alist, 0, 1, 5);
	thing->nest.s1.fence = &fake_fences[5];
	attach(world, thing);
	world->record.hook_data = &held;
	/* With ATC commands; and where the IOTLB commands take long: the second look. */
	flush_beside(world, alist, 0, 2, hook_old_and_new_fence, NULL);
	KUNIT_EXPECT_FALSE(test, held.fence[0]);
	KUNIT_EXPECT_TRUE(test, held.fence[1]);
	held = (struct held){};
	world->hardware[0].slow = 3;
	flush_beside(world, alist, WITHOUT_ATC, 6, hook_old_and_new_fence, NULL);
	KUNIT_EXPECT_FALSE(test, held.fence[0]);
	KUNIT_EXPECT_TRUE(test, held.fence[1]);
	verify(world, alist);
}

/* A new table takes over idle groups of one that has gone, and some that came back. */
static void rule_12_idle_groups_do_not_speak_for_an_iommu(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i;

	add(world, alist, 1, 0, NO_ATC);
	/* The last of these has made a table with two that are spare. */
	for (i = 0; i < 17; i++)
		add(world, alist, 0, i, NO_ATC);
	while (world->nr > 1)
		detach(world, world->fact[1].thing);
	iommu_attach_drain(&fake_fences[0]);
	for (i = 4; i < 14; i++) {
		struct thing *thing = new_thing(world, alist, 0, i, NO_ATC);

		thing->nest.s1.fence = &fake_fences[5];
		attach(world, thing);
	}
	KUNIT_EXPECT_EQ(test, count_run(alist, 0), 19);
	add(world, alist, 2, 0, NO_ATC);
	KUNIT_EXPECT_EQ(test, count_run(alist, 0), 19);
	verify(world, alist);
}

/*
 * What a fence says, against what happened: flushes come and go, on two at most of which
 * a fence waits, in every order that the seed has.
 */
struct inside {
	unsigned long where;		/* as __iommu_attach_enter() returns it */
	u32 entered;			/* when; 0: not inside */
};

static void leave(struct inside *inside)
{
	/* As a flush does; pairs with the one in fence_idle(). */
	smp_mb();
	__iommu_attach_leave(inside->where);
	inside->where = 0;
	inside->entered = 0;
}

static void rule_15_fence_waits_for_who_was_there(struct kunit *test)
{
	const u32 *number = test->param_value;
	struct iommu_attach_fence *fence = &fake_fences[0];
	u32 now, i, j, begun[4], wrong = 0, done = 0;
	struct inside inside[4] = {};
	unsigned long cookie[4];
	u64 seed = *number;
	bool busy, answer;

	for (i = 0; i < ARRAY_SIZE(begun); i++) {
		begun[i] = 1;
		cookie[i] = iommu_attach_fence_begin(fence);
	}
	for (now = 2; now < 20000; now++) {
		i = random_below(&seed, 4);
		switch (random_below(&seed, 6)) {
		case 0:
			if (inside[i].entered)
				break;
			/* It may have looked which pair to use long before it counts. */
			if (!inside[i].where && random_below(&seed, 2)) {
				inside[i].where = (unsigned long)fence | fence->cur;
				break;
			}
			if (inside[i].where)
				this_cpu_inc(fence->pair[inside[i].where & 1]->enter);
			else
				inside[i].where = __iommu_attach_enter(fence);
			inside[i].entered = now;
			/* As a flush does; pairs with the one in fence_idle(). */
			smp_mb();
			break;
		case 1:
			if (inside[i].entered)
				leave(&inside[i]);
			break;
		case 2:
			/* Forgets the last one. */
			begun[i] = now;
			cookie[i] = iommu_attach_fence_begin(fence);
			break;
		default:
			busy = false;
			for (j = 0; j < ARRAY_SIZE(inside); j++)
				busy |= inside[j].entered && inside[j].entered < begun[i];
			answer = iommu_attach_fence_poll(fence, cookie[i]);
			wrong += answer && busy;
			done += answer;
			for (j = 0; j < ARRAY_SIZE(inside); j++)
				busy |= inside[j].entered;
			/* Where nobody is inside one look is enough. */
			wrong += !answer && !busy;
			/* And what has been said is said again. */
			wrong += answer && !iommu_attach_fence_poll(fence, cookie[i]);
			break;
		}
	}
	for (i = 0; i < ARRAY_SIZE(inside); i++)
		if (inside[i].entered)
			leave(&inside[i]);
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "seed %u", *number);
	KUNIT_EXPECT_GT(test, done, 500);
}

/* One flush always comes before the last one has gone: a fence ends all the same. */
static void rule_15_fence_ends_beside_endless_flushes(struct kunit *test)
{
	struct iommu_attach_fence *fence = &fake_fences[0];
	struct inside a = {}, b = {};
	unsigned long cookie;
	u32 round, looks;

	a.where = __iommu_attach_enter(fence);
	for (round = 0; round < 100; round++) {
		cookie = iommu_attach_fence_begin(fence);
		KUNIT_EXPECT_FALSE(test, iommu_attach_fence_poll(fence, cookie));
		for (looks = 0; looks < 3; looks++) {
			b.where = __iommu_attach_enter(fence);
			leave(&a);
			if (iommu_attach_fence_poll(fence, cookie))
				break;
			a = b;
		}
		KUNIT_EXPECT_LT_MSG(test, looks, 3, "round %u", round);
		a = b;
	}
	leave(&a);
}

/* Who only looks does not wait for another one who looks. */
static void rule_15_poll_does_not_wait(struct kunit *test)
{
	struct iommu_attach_fence *fence = &fake_fences[0];
	unsigned long cookie = iommu_attach_fence_begin(fence), flags;
	bool answer;

	raw_spin_lock_irqsave(&fence->lock, flags);
	answer = iommu_attach_fence_poll(fence, cookie);
	raw_spin_unlock_irqrestore(&fence->lock, flags);
	KUNIT_EXPECT_FALSE(test, answer);
	KUNIT_EXPECT_TRUE(test, iommu_attach_fence_poll(fence, cookie));
}

/* Numbers of rounds wrap, and counters do. */
static void rule_15_fence_wraps(struct kunit *test)
{
	struct iommu_attach_fence *fence = &fake_fences[0];
	struct inside inside = {};
	unsigned long cookie;
	u32 i;

	fence->done = -3UL;
	for (i = 0; i < 8; i++) {
		inside.where = __iommu_attach_enter(fence);
		cookie = iommu_attach_fence_begin(fence);
		KUNIT_EXPECT_FALSE(test, iommu_attach_fence_poll(fence, cookie));
		leave(&inside);
		KUNIT_EXPECT_TRUE(test, iommu_attach_fence_poll(fence, cookie));
	}
	KUNIT_EXPECT_EQ(test, fence->done, 5);
}

/* From the calls of a flush: who is inside of which fence, and when. */
static void hook_fences(struct record *record)
{
	const struct event *event = &record->event[record->nr - 1];
	struct held *held = record->hook_data;

	record->hook = hook_fences;
	record->hook_at = record->nr + 1;
	if (event->call == CALL_IOTLB || event->call == CALL_ATC)
		held->fence[event->call == CALL_ATC] |= !fence_is_idle(0);
	if (event->call == CALL_WAIT)
		held->fence[2] |= !fence_is_idle(0);
	held->fence[3] |= !fence_is_idle(3);
}

/*
 * Whoever sends to an ATC is inside before. Who only flushes IOTLBs, and does not have to
 * wait for long, is in no fence, nor is a flush in those of other IOMMUs.
 */
static void rule_15_flush_is_inside_while_it_may_send(struct kunit *test)
{
	struct world *world = new_world(test, 60);
	struct iommu_attach_list *alist = &world->list[0];
	u32 mode, atc, slow;
	struct held held;

	for (atc = 0; atc < 2; atc++) {
		for (slow = 0; slow < 4; slow++) {
			add(world, alist, 0, 1, atc ? 5 : NO_ATC);
			add(world, alist, 1, 1, NO_ATC);
			world->hardware[0].slow = slow;
			for (mode = 0; mode < NR_MODES; mode++) {
				held = (struct held){};
				world->record.hook = hook_fences;
				world->record.hook_at = 1;
				world->record.hook_data = &held;
				flush_into(&world->record, alist, mode);
				world->record.hook = NULL;
				KUNIT_EXPECT_EQ(test, held.fence[1], atc);
				KUNIT_EXPECT_EQ(test, held.fence[2], atc || slow);
				KUNIT_EXPECT_EQ(test, held.fence[0],
						atc && !(mode & (ATC_WAITS | NEST_WAITS)));
				KUNIT_EXPECT_FALSE(test, held.fence[3]);
			}
			detach_all(world);
		}
	}
}

/* Whoever drains does not wait for this. */
static void hook_until_drained(struct record *record)
{
	struct drainer *drainer = record->hook_data;
	u32 i;

	complete(&drainer->go);
	for (i = 0; i < 5000 && !READ_ONCE(drainer->returned); i++)
		mdelay(1);
	drainer->early = READ_ONCE(drainer->returned);
}

static void work_fence_only(struct drainer *drainer)
{
	iommu_attach_fence(drainer->thing->nest.s1.fence);
}

static void work_drain_other(struct drainer *drainer)
{
	iommu_attach_drain(drainer->thing->nest.s1.fence);
}

/* A walk, or a flush that is in RCU still: a fence is through before it ends. */
static void rule_15_fence_is_through_beside_a_walk(struct kunit *test)
{
	struct world *world = new_world(test, 4);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing = add(world, alist, 1, 1, NO_ATC);

	expect_beside(world, alist, 1, work_fence_only, hook_until_drained, thing, true);
}

/* A device behind one IOMMU is silent: a drain of another one is through meanwhile. */
static void pitfall_41_drain_beside_a_silent_device(struct kunit *test)
{
	struct world *world = new_world(test, 4);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *other = add(world, &world->list[1], 1, 1, 12);
	u32 at;

	add(world, alist, 0, 1, 10);
	add(world, alist, 0, 1, 11);
	add(world, alist, 0, 2, NO_ATC);
	state_of(world, 0, 11)->dead = true;
	/* Two groups, two targets, submit; then it waits, and asks one by one. */
	for (at = 6; at <= 10; at += 4) {
		expect_beside(world, alist, at, work_drain_other, hook_until_drained,
			      other, true);
		KUNIT_EXPECT_EQ(test, world->record.event[at - 1].call, CALL_WAIT);
		resume(world, 0, 11);
	}
}

static void work_fence(struct drainer *drainer)
{
	struct thing *thing = drainer->thing;

	iommu_attach_del(thing->list[0], &thing->nest.s1);
	iommu_attach_fence(thing->nest.s1.fence);
}

static void work_disable(struct drainer *drainer)
{
	iommu_attach_disable_atc(&drainer->thing->nest.s1);
	iommu_attach_fence(drainer->thing->nest.s1.fence);
}

/* A detach waits for a flush that may still send to the device, or waits for it. */
static void pitfall_40_detach_ends_after_the_flush(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing;
	u32 at;

	add(world, alist, 0, 1, 11);
	for (at = 1; at <= 5; at++) {
		thing = add(world, alist, 0, 1, 10);
		expect_drain_at(world, alist, at, work_disable, thing);
		note_atc_use(world, thing, false);
		verify(world, alist);
		KUNIT_ASSERT_EQ(test, enable_atc(thing), 0);
		note_atc_use(world, thing, true);
		expect_drain_at(world, alist, at, work_fence, thing);
		forget_thing(world, thing);
		verify(world, alist);
		synchronize_rcu();
		kfree(thing);
	}
}

/* Nor does it wait for anything else: not for RCU, not for other IOMMUs. */
static void rule_15_fence_does_not_wait_for_rcu(struct kunit *test)
{
	struct iommu_attach_fence *fence = &fake_fences[0];
	struct inside inside = { .where = __iommu_attach_enter(&fake_fences[1]) };
	unsigned long cookie;

	rcu_read_lock();
	cookie = iommu_attach_fence_begin(fence);
	KUNIT_EXPECT_TRUE(test, iommu_attach_fence_poll(fence, cookie));
	rcu_read_unlock();
	iommu_attach_fence_wait(fence, cookie);
	iommu_attach_fence(fence);
	leave(&inside);
}

/* While a flush waits for a device that is silent, grace periods end. */
static void hook_grace_period(struct record *record)
{
	KUNIT_EXPECT_FALSE(record->world->test, record->event[record->nr - 1].in_rcu);
	if (record->event[record->nr - 1].in_rcu)
		return;
	synchronize_rcu();
	record->hook_data = record;
}

static void pitfall_41_grace_period_beside_a_silent_device(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i, nr, looks = 0;

	add(world, alist, 0, 1, 10);
	add(world, alist, 0, 1, 11);
	add(world, alist, 1, 1, NO_ATC);
	state_of(world, 0, 11)->dead = true;
	world->hardware[0].slow = 1;
	/* Each look. */
	nr = count_flush_calls(world, alist, 0);
	resume(world, 0, 11);
	for (i = 1; i <= nr; i++) {
		if (world->record.event[i - 1].call != CALL_WAIT)
			continue;
		looks++;
		world->record.hook_data = NULL;
		flush_beside(world, alist, 0, i, hook_grace_period, NULL);
		KUNIT_EXPECT_NOT_NULL(test, world->record.hook_data);
		EXPECT_FAULT(&world->record, alist, FINE, "call %u", i);
		resume(world, 0, 11);
	}
	KUNIT_EXPECT_GE(test, looks, 6);
}

/* With an ATC no look is in RCU; without, the first one may be. */
static void rule_12_no_wait_in_rcu(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	u32 mode, i, n, in_rcu;

	add(world, &world->list[0], 0, 1, 10);
	add(world, &world->list[0], 1, 1, NO_ATC);
	add(world, &world->list[1], 0, 1, NO_ATC);
	world->hardware[0].slow = 2;
	for (n = 0; n < 2; n++) {
		for (mode = 0; mode < NR_MODES; mode++) {
			flush_into(&world->record, &world->list[n], mode);
			EXPECT_FAULT(&world->record, &world->list[n], FINE, "mode %u", mode);
			in_rcu = 0;
			for (i = 0; i < world->record.nr; i++)
				in_rcu += world->record.event[i].in_rcu;
			if (!IS_ENABLED(CONFIG_DEBUG_LOCK_ALLOC))
				continue;
			/* Own tags; for ATCs a phase of their own, or none. */
			KUNIT_EXPECT_EQ(test, in_rcu, n || mode);
		}
	}
}

/* The waits of several slow IOMMUs take turns. */
static void rule_12_waits_take_turns(struct kunit *test)
{
	struct world *world = new_world(test, 60);
	struct iommu_attach_list *alist = &world->list[0];
	const struct event *event = world->record.event;
	u32 i, n, turn = 0, last = 3;

	for (i = 0; i < 4; i++) {
		add(world, alist, i, 1, i);
		world->hardware[i].slow = 20;
	}
	flush_into(&world->record, alist, 0);
	EXPECT_FAULT(&world->record, alist, FINE, "all are slow");
	for (i = 0; i < world->record.nr; i++) {
		if (event[i].call != CALL_WAIT || event[i].error != -EINPROGRESS)
			continue;
		n = iommu_number(event[i].iommu_device);
		/* Round after round, each once. */
		KUNIT_EXPECT_EQ(test, n, (last + 1) % 4);
		last = n;
		turn++;
	}
	KUNIT_EXPECT_EQ(test, turn, 80);
}

/*
 * Threads: two flush all the time. After the fence of a device nobody sends to it.
 */
struct churn {
	struct world *world;
	u32 gone;			/* targets that have been fenced, by bit */
	u32 sent;
	u32 wrong;			/* sent although it was gone; a wait for another */
	u64 cookie;
	bool wait_before_atc;
};

static void churn_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct churn *churn = arg;

	if (group->iommu_device != fake_iommu(0))
		WRITE_ONCE(churn->wrong, 1);
}

static void churn_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct churn *churn = arg;

	if (group->iommu_device != fake_iommu(0) || READ_ONCE(churn->gone) & BIT(atc))
		WRITE_ONCE(churn->wrong, 1);
	WRITE_ONCE(churn->sent, 1);
}

static u64 churn_submit(struct iommu_device *iommu_device, void *arg)
{
	struct churn *churn = arg;

	return iommu_number(iommu_device) + ++churn->cookie;
}

static int churn_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct churn *churn = arg;

	if (iommu_number(iommu_device) + churn->cookie != cookie)
		WRITE_ONCE(churn->wrong, 1);
	return 0;
}

static int churn_thread(void *data)
{
	struct churn *churn = data;
	struct iommu_attach_flush_ops ops = {
		.iotlb = churn_iotlb,
		.atc = churn_atc,
		.submit = churn_submit,
		.wait = churn_wait,
		.wait_before_atc = churn->wait_before_atc,
	};

	while (!kthread_should_stop()) {
		iommu_attach_flush(&churn->world->list[0], &ops, churn);
		cond_resched();
	}
	return 0;
}

static void rule_15_nobody_sends_after_a_fence(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	struct churn churn[2] = { { .world = world }, { .world = world } };
	struct task_struct *task[2];
	struct thing *things[4];
	u32 i, n;

	for (i = 0; i < 4; i++)
		things[i] = add(world, alist, 0, 1, i);
	churn[1].wait_before_atc = true;
	for (n = 0; n < 2; n++) {
		task[n] = kthread_run(churn_thread, &churn[n], "alist-churn");
		KUNIT_ASSERT_FALSE(test, IS_ERR(task[n]));
	}
	for (i = 0; i < 3000 || !(READ_ONCE(churn[0].sent) && READ_ONCE(churn[1].sent)); i++) {
		iommu_attach_disable_atc(&things[i % 4]->nest.s1);
		iommu_attach_fence(&fake_fences[0]);
		for (n = 0; n < 2; n++)
			WRITE_ONCE(churn[n].gone, BIT(i % 4));
		cond_resched();
		for (n = 0; n < 2; n++)
			WRITE_ONCE(churn[n].gone, 0);
		/* Who sees the target back sees that it is not gone: with churn_atc(). */
		smp_mb();
		if (iommu_attach_enable_atc(&things[i % 4]->nest.s1))
			break;
	}
	for (n = 0; n < 2; n++) {
		kthread_stop(task[n]);
		KUNIT_EXPECT_EQ(test, churn[n].wrong, 0);
	}
	verify(world, alist);
}

/*
 * Not even the only group of a list, or one that nobody uses any more. @emptied: the list
 * loses all of its attachments before the new one comes, which is another path.
 */
static void expect_groups_keep_their_keys(struct kunit *test, bool emptied)
{
	struct world *world = new_world(test, 16);
	const struct iommu_attach_group *group, *seen[4];
	struct iommu_attach_list *alist;
	struct iommu_attach_walk walk;
	struct thing *things[3];
	u32 i, n, nr, nr_same;

	for (n = 1; n <= ARRAY_SIZE(things); n++) {
		alist = &world->list[n];
		for (i = 0; i < n; i++)
			things[i] = add(world, alist, i, 10 + i, NO_ATC);
		if (!emptied)
			add(world, alist, n, 10 + n, NO_ATC);

		nr = 0;
		nr_same = 0;
		world->atomic = true;
		iommu_attach_walk_begin(&walk, alist);
		iommu_attach_for_each_group(group, &walk)
			seen[nr++] = group;
		for (i = 0; i < n; i++)
			detach(world, things[i]);
		try_attach(world, new_thing(world, alist, 5, 6, NO_ATC));
		for (i = 0; i < nr; i++)
			nr_same += seen[i]->iommu_device == fake_iommu(i) &&
				   seen[i]->tag == 10 + i;
		iommu_attach_walk_end(&walk);
		world->atomic = false;

		KUNIT_EXPECT_EQ(test, nr, n + !emptied);
		KUNIT_EXPECT_EQ(test, nr_same, nr);
		verify(world, alist);
		detach_all(world);
	}
}

static void rule_02_groups_keep_their_keys(struct kunit *test)
{
	expect_groups_keep_their_keys(test, true);
	expect_groups_keep_their_keys(test, false);
}

static void pitfall_14_one_drain_for_all(struct kunit *test)
{
	struct thing *things[64];
	struct world *world = new_world(test, 64);
	u32 i;

	for (i = 0; i < 64; i++)
		things[i] = add(world, &world->list[i % 2], i % 4, 1, i);
	for (i = 0; i < 64; i++)
		iommu_attach_del(things[i]->list[0], &things[i]->nest.s1);
	drain_all();
	for (i = 0; i < 64; i++) {
		forget_thing(world, things[i]);
		kfree(things[i]);
	}
	verify_all(world);
}

/* The memory may be added again after a drain. */
static void rule_07_element_used_again(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct thing *thing = add(world, &world->list[0], 0, 1, 10);
	u32 i;

	for (i = 0; i < 3; i++) {
		iommu_attach_del(thing->list[0], &thing->nest.s1);
		forget_thing(world, thing);
		drain_all();
		thing->list[0] = &world->list[i + 1];
		attach(world, thing);
		verify_all(world);
	}
}

/*
 * Nests
 */

static void pitfall_01_parent_flush_reaches_nests(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *s2 = &world->list[2];
	const struct event *event = world->record.event;

	add_nest(world, &world->list[0], s2, 0, 1, 31, 10);
	add_nest(world, &world->list[1], s2, 0, 1, 32, 11);

	/* The parent has no attachment of its own. */
	flush_into(&world->record, s2, 0);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_IOTLB), 2);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_ATC), 2);
	KUNIT_EXPECT_EQ(test, event[0].kind, IOMMU_ATTACH_NEST);
	KUNIT_EXPECT_EQ(test, event[0].tag + event[1].tag, 31 + 32);
	KUNIT_EXPECT_EQ(test, event[2].kind, IOMMU_ATTACH_NEST);

	/* A child's flush is its own affair. */
	flush_into(&world->record, &world->list[0], 0);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, event[0].kind, IOMMU_ATTACH_OWN);
	KUNIT_EXPECT_EQ(test, event[0].tag, 1);
	verify_all(world);
}

static void pitfall_11_nest_is_on_both_lists_or_none(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];
	struct thing *thing, *other;

	/* One list has what it takes, the other one lacks it. */
	add(world, s1, 0, 1, NO_ATC);
	add(world, s2, 0, 9, NO_ATC);
	sweep(world, op_attach, new_nest(world, s1, s2, 0, 1, 5, NO_ATC));
	sweep(world, op_attach, new_nest(world, s1, s2, 0, 2, 5, NO_ATC));

	/* Groups that were new without an ATC have no room for targets inside. */
	add_nest(world, s1, s2, 0, 3, 6, NO_ATC);
	thing = add_nest(world, s1, s2, 0, 3, 6, 10);
	other = add_nest(world, s1, s2, 0, 3, 7, 10);
	disable_atc(world, thing);
	verify_all(world);
	KUNIT_EXPECT_EQ(test, sweep(world, op_enable, thing), 1);
	detach(world, other);
	verify_all(world);
	detach(world, thing);
	verify_all(world);
}

static void rule_08_nests_share_tags(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];
	struct thing *a, *b;

	a = add_nest(world, s1, s2, 0, 1, 5, 10);
	b = add_nest(world, s1, s2, 0, 1, 5, 11);
	flush_into(&world->record, s2, 0);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_IOTLB), 1);
	KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_ATC), 2);
	detach(world, a);
	verify_all(world);
	detach(world, b);
	verify_all(world);
	KUNIT_EXPECT_TRUE(test, iommu_attach_empty(s1));
	KUNIT_EXPECT_TRUE(test, iommu_attach_empty(s2));
}

/*
 * A device with several targets
 */

static struct iommu_attach_elm *new_elms(struct world *world, u32 nr, u32 iommu, u64 tag,
					 u64 atc)
{
	struct iommu_attach_elm *elm;
	u32 i;

	elm = kunit_kcalloc(world->test, nr, sizeof(*elm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(world->test, elm);
	for (i = 0; i < nr; i++)
		fill_elm(&elm[i], iommu, tag, atc + i);
	return elm;
}

/* What is on a list without a fact. */
static void delete_bare(struct iommu_attach_list *alist)
{
	struct bare *bare;

	while (!iommu_attach_empty(alist)) {
		iommu_attach_lock(alist);
		iommu_attach_for_each_locked(bare, alist, elm)
			break;
		iommu_attach_unlock(alist);
		iommu_attach_del(alist, &bare->elm);
	}
}

/* Whatever is missing: all of them are on the list, or none. */
static void pitfall_38_all_targets_or_none(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	unsigned long n, before, failures = 0;
	struct iommu_attach_elm *elm;
	u32 i, on, round;
	s64 seq;
	int ret;

	for (round = 0; round < 2; round++) {
		if (round)
			add(world, alist, 1, 4, 70);
		seq = atomic64_read(&alist->atc_seq);
		for (n = 1;; n++) {
			elm = new_elms(world, 40, 0, 5, 100);
			before = world->allocs;
			world->fail_at = before + n;
			ret = iommu_attach_add_array(alist, elm, 40);
			world->fail_at = 0;
			for (i = 0, on = 0; i < 40; i++)
				on += elm[i].alist == alist;
			if (world->allocs < before + n)
				break;
			KUNIT_ASSERT_EQ(test, ret, -ENOMEM);
			KUNIT_EXPECT_EQ(test, on, 0);
			/* Not even for a moment. */
			KUNIT_EXPECT_EQ(test, atomic64_read(&alist->atc_seq), seq);
			verify(world, alist);
			failures++;
		}
		KUNIT_EXPECT_EQ(test, ret, IOMMU_ATTACH_GROUP_DOMAIN);
		KUNIT_EXPECT_EQ(test, on, 40);
		flush_into(&world->record, alist, 0);
		KUNIT_EXPECT_EQ(test, count_of(&world->record, CALL_ATC), 40 + round);
		/* Of groups that are there: none is new. */
		ret = iommu_attach_add_array(alist, new_elms(world, 3, 0, 5, 100), 3);
		KUNIT_EXPECT_EQ(test, ret, 0);
		iommu_attach_lock(alist);
		KUNIT_EXPECT_EQ(test, alist->nr, 43 + round);
		iommu_attach_unlock(alist);
		detach_all(world);
		delete_bare(alist);
	}
	/* Slots and an index; a table, a group, slots, and an index. */
	KUNIT_EXPECT_EQ(test, failures, 2 + 4);
	KUNIT_EXPECT_EQ(test, iommu_attach_add_array(alist, NULL, 0), 0);
}

static void add_bare(struct world *world, u64 atc)
{
	KUNIT_EXPECT_GE(world->test,
			iommu_attach_add(&world->list[0], new_elms(world, 1, 0, 5, atc)), 0);
}

/* As many as fit into their group, one more, more than a block has; equal ones; without ATC. */
static void pitfall_38_arrays_of_any_size(struct kunit *test)
{
	static const u32 sizes[] = { 1, 2, 8, 9, 16, 252, 253, IOMMU_ATTACH_ARRAY_MAX };
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	struct iommu_attach_elm *elm;
	u32 i, nr, others, before;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (others = 0; others < 12; others += 3) {
			nr = sizes[i];
			for (before = 0; before < others; before++)
				add_bare(world, 10 + before);
			elm = new_elms(world, nr, 0, 5, 100);
			KUNIT_EXPECT_EQ(test, iommu_attach_add_array(alist, elm, nr),
					others ? 0 : IOMMU_ATTACH_GROUP_DOMAIN);
			elm = new_elms(world, nr, 0, 5, 100);
			KUNIT_EXPECT_EQ(test, iommu_attach_add_array(alist, elm, nr), 0);
			KUNIT_EXPECT_EQ(test, walked_targets(alist), others + nr);
			iommu_attach_lock(alist);
			KUNIT_EXPECT_STREQ(test, iommu_attach_check(alist) ?: "", "");
			iommu_attach_unlock(alist);
			delete_bare(alist);
		}
	}
	elm = new_elms(world, 2, 0, 5, 100);
	elm[0].using_atc = false;
	elm[1].using_atc = false;
	KUNIT_EXPECT_EQ(test, iommu_attach_add_array(alist, elm, 2), IOMMU_ATTACH_GROUP_DOMAIN);
	KUNIT_EXPECT_EQ(test, walked_targets(alist), 0);
	delete_bare(alist);
}

/* The slots that the array found free, and so did not allocate. */
static void race_for_free_slots(struct world *world)
{
	u32 i;

	for (i = 0; i < 6; i++)
		add_bare(world, 20 + i);
}

static void pitfall_38_array_beside_attach(struct kunit *test)
{
	struct world *world = new_world(test, 64);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i, at;

	for (at = 1; at <= 2; at++) {
		for (i = 0; i < 6; i++)
			add_bare(world, 10 + i);
		world->race = race_for_free_slots;
		world->race_at = world->allocs + at;
		KUNIT_EXPECT_EQ(test, iommu_attach_add_array(alist, new_elms(world, 30, 0, 5, 100),
							     30), 0);
		KUNIT_EXPECT_NULL(test, world->race);
		KUNIT_EXPECT_EQ(test, walked_targets(alist), 42);
		delete_bare(alist);
	}
}

/* The devices are counted after each step as they are by looking at all of them. */
static void pitfall_35_ats_users_are_counted(struct kunit *test)
{
	struct world *world = new_world(test, 40);
	u64 seed = 35;
	u32 i, n;

	for (i = 0; i < 4000; i++) {
		random_op(world, &seed);
		for (n = 0; n < NR_LISTS; n++)
			KUNIT_ASSERT_EQ_MSG(test, world->list[n].nr_atc,
					    count_targets(world, &world->list[n]),
					    "operation %u", i);
	}
}

/* Its ATC comes later than the attachment, and at first not at all. */
static void pitfall_37_ats_comes_later(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *thing = add(world, alist, 0, 1, NO_ATC);

	thing->nest.s1.atc = 9;
	thing->nest.s1.endpoint = endpoint_of(0, 9);
	expect_flush(world, alist, 0, 0);
	world->fail_at = world->allocs + 1;
	KUNIT_EXPECT_EQ(test, enable_atc(thing), -ENOMEM);
	world->fail_at = 0;
	expect_flush(world, alist, 0, 0);
	KUNIT_EXPECT_EQ(test, enable_atc(thing), 0);
	forget_thing(world, thing);
	note_thing(world, thing);
	note_atc_use(world, thing, true);
	expect_flush(world, alist, 0, 1);
	verify(world, alist);
}

/* While it allocates, the attachment goes: it is not put on the list again. */
static void race_delete(struct world *world)
{
	struct thing *thing = world->fact[0].thing;

	if (thing->nr == 2)
		iommu_attach_del_nest(thing->list[0], thing->list[1], &thing->nest);
	else
		iommu_attach_del(thing->list[0], &thing->nest.s1);
	forget_thing(world, thing);
}

static void rule_11_enable_atc_adds_nothing(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct thing *thing;
	u32 nest;

	for (nest = 0; nest < 2; nest++) {
		if (nest)
			thing = add_nest(world, &world->list[0], &world->list[2], 0, 1, 2,
					 NO_ATC);
		else
			thing = add(world, &world->list[0], 0, 1, NO_ATC);
		world->race = race_delete;
		world->race_at = world->allocs + 1;
		KUNIT_EXPECT_EQ(test, enable_atc(thing), -ENOENT);
		KUNIT_EXPECT_NULL(test, world->race);
		KUNIT_EXPECT_EQ(test, enable_atc(thing), -ENOENT);
		KUNIT_EXPECT_TRUE(test, iommu_attach_empty(&world->list[0]));
		verify_all(world);
		synchronize_rcu();
		kfree(thing);
	}
}

/* The parent's half of a nest alone, where the guest flushes the other one. */
static void rule_08_half_a_nest_stands_alone(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *s2 = &world->list[2];
	struct thing *thing;
	u32 i;

	add(world, s2, 0, 3, 4);
	thing = new_thing(world, s2, 0, 3, 5);
	thing->nest.s1.kind = IOMMU_ATTACH_NEST;
	attach(world, thing);
	verify(world, s2);
	flush_into(&world->record, s2, 0);
	KUNIT_ASSERT_EQ(test, count_of(&world->record, CALL_ATC), 2);
	for (i = 0; i < world->record.nr; i++)
		if (world->record.event[i].call == CALL_ATC)
			KUNIT_EXPECT_EQ(test, world->record.event[i].kind,
					world->record.event[i].value == 5 ?
					IOMMU_ATTACH_NEST : IOMMU_ATTACH_OWN);
	disable_atc(world, thing);
	verify(world, s2);
	KUNIT_ASSERT_EQ(test, enable_atc(thing), 0);
	note_atc_use(world, thing, true);
	verify(world, s2);
	detach(world, thing);
	verify(world, s2);
}

/* What may be called from a callback: a flush, a walk, a look-up, the state of devices. */
static void hook_come_back(struct record *record)
{
	struct world *world = record->world;
	struct iommu_attach_list *alist = &world->list[2];
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	u64 tag, atc;
	u32 nr = 0;

	KUNIT_EXPECT_EQ(world->test, iommu_attach_find_tag(alist, fake_iommu(1), &tag), 0);
	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk)
		nr++;
	iommu_attach_for_each_atc(group, atc, &walk)
		nr++;
	iommu_attach_walk_end(&walk);
	KUNIT_EXPECT_EQ(world->test, nr, 11);
	iommu_attach_lock(alist);
	iommu_attach_unlock(alist);
	iommu_attach_set_aside(endpoint_of(3, 1));
	iommu_attach_resume(endpoint_of(3, 1));
	iommu_attach_fence_poll(&fake_fences[1], iommu_attach_fence_begin(&fake_fences[1]));
	flush_into(record->hook_data, alist, record->mode);
}

static void pitfall_39_callbacks_come_back(struct kunit *test)
{
	struct world *world = new_world(test, 32);
	struct record *other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	struct iommu_attach_list *alist = &world->list[2];
	struct thing *things[NR_MIXED];
	u32 mode, at, nr;

	KUNIT_ASSERT_NOT_NULL(test, other);
	*other = world->record;
	other->event = kunit_kcalloc(test, other->max, sizeof(*other->event), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other->event);
	add_mixed(world, things);
	world->record.hook_data = other;
	world->hardware[1].slow = 1;
	for (mode = 0; mode < NR_MODES; mode++) {
		nr = count_flush_calls(world, alist, mode);
		for (at = 1; at <= nr; at++) {
			flush_beside(world, alist, mode, at, hook_come_back, NULL);
			EXPECT_FAULT(&world->record, alist, FINE, "outer");
			EXPECT_FAULT(other, alist, FINE, "inner");
		}
	}
}

/*
 * Compiled into the driver it does the same, call for call
 */

static bool same_event(const struct event *a, const struct event *b)
{
	return a->call == b->call && a->kind == b->kind && a->error == b->error &&
	       a->done == b->done && a->in_rcu == b->in_rcu &&
	       a->iommu_device == b->iommu_device && a->tag == b->tag &&
	       a->value == b->value;
}

static void rule_16_inline_does_the_same(struct kunit *test)
{
	static const struct shape some[] = {
		{ 1, 1, 1, NONE, NONE, 1 }, { 1, 1, 1, ALL, NONE, 1 },
		{ 8, 2, 3, HALF, HALF, 2 }, { 16, 8, 2, ALL, HALF, 2 },
		{ 36, 9, 2, HALF, HALF, 1 }, { 80, 40, 2, ALL, HALF, 2 },
	};
	struct world *world = new_world(test, 200);
	struct event *other;
	u32 i, j, mode, nr;

	other = kunit_kcalloc(test, world->record.max, sizeof(*other), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other);
	for (i = 0; i < ARRAY_SIZE(some); i++) {
		for (j = 0; j < some[i].n; j++)
			add_shaped(world, &some[i], j);
		world->hardware[0].slow = i % 3;
		for (mode = 0; mode <= WITHOUT_ATC; mode++) {
			world->record.cookie = 0;
			flush_into(&world->record, &world->list[2], mode);
			nr = world->record.nr;
			memcpy(other, world->record.event, nr * sizeof(*other));
			world->record.cookie = 0;
			flush_into(&world->record, &world->list[2], mode | INLINE);
			EXPECT_FAULT(&world->record, &world->list[2], FINE,
				     "mode %u, shape %u", mode, i);
			KUNIT_EXPECT_EQ(test, world->record.nr, nr);
			for (j = 0; j < nr; j++)
				KUNIT_ASSERT_TRUE(test, same_event(&other[j],
								   &world->record.event[j]));
		}
		detach_all(world);
	}
}

/*
 * First, last, tags
 */

static void rule_09_first_and_last(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *alist = &world->list[0];
	struct thing *things[3];
	u32 i, round;
	int ret;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 3; i++) {
			things[i] = new_thing(world, alist, 0, 1, i);
			ret = try_attach(world, things[i]);
			KUNIT_EXPECT_EQ(test, ret, i ? 0 : IOMMU_ATTACH_GROUP_DOMAIN);
		}
		for (i = 0; i < 3; i++) {
			forget_thing(world, things[i]);
			KUNIT_EXPECT_EQ(test, take_off(things[i]),
					i == 2 ? IOMMU_ATTACH_GROUP_DOMAIN : 0);
		}
	}
}

static void rule_09_first_and_last_of_each_list_of_a_nest(struct kunit *test)
{
	struct world *world = new_world(test, 8);
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];
	struct thing *a, *b, *c;

	a = new_nest(world, s1, s2, 0, 1, 5, NO_ATC);
	KUNIT_EXPECT_EQ(test, try_attach(world, a),
			IOMMU_ATTACH_GROUP_DOMAIN | IOMMU_ATTACH_GROUP_PARENT);
	b = new_nest(world, s1, s2, 0, 1, 6, NO_ATC);
	KUNIT_EXPECT_EQ(test, try_attach(world, b), IOMMU_ATTACH_GROUP_PARENT);
	c = new_nest(world, s1, s2, 0, 2, 6, NO_ATC);
	KUNIT_EXPECT_EQ(test, try_attach(world, c), IOMMU_ATTACH_GROUP_DOMAIN);
	forget_thing(world, b);
	KUNIT_EXPECT_EQ(test, take_off(b), 0);
	forget_thing(world, a);
	KUNIT_EXPECT_EQ(test, take_off(a),
			IOMMU_ATTACH_GROUP_DOMAIN | IOMMU_ATTACH_GROUP_PARENT);
}

/*
 * A driver that flushes a tag only when told that it was the last one, and then
 * uses it for another domain, must never find it in use.
 */
static void pitfall_10_tag_used_again_is_told_of_once(struct kunit *test)
{
	struct world *world = new_world(test, 128);
	u32 dirty[4] = { 0 }, i, n, tag;
	struct fact fact;
	u64 seed = 10;

	for (i = 0; i < 1000; i++) {
		tag = random_below(&seed, 4);
		if (world->nr < 100 && random_below(&seed, 2)) {
			add(world, &world->list[0], 0, tag, NO_ATC);
			dirty[tag] = 1;
			continue;
		}
		if (!world->nr)
			continue;
		n = random_below(&seed, world->nr);
		fact = world->fact[n];
		tag = fact.tag;
		forget_thing(world, fact.thing);
		if (take_off(fact.thing))
			dirty[tag] = 0;
		KUNIT_ASSERT_EQ_MSG(test, dirty[tag],
				    !!count_group(world, &fact),
				    "operation %u, tag %u", i, tag);
	}
}

static void rule_09_tag_is_found(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *s1 = &world->list[0], *s2 = &world->list[2];
	struct thing *thing;
	u64 tag = 77;

	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s1, fake_iommu(0), &tag), -ENOENT);
	KUNIT_EXPECT_EQ_MSG(test, tag, 77, "untouched");

	thing = add(world, s1, 0, 9, NO_ATC);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s1, fake_iommu(0), &tag), 0);
	KUNIT_EXPECT_EQ(test, tag, 9);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s1, fake_iommu(1), &tag), -ENOENT);

	add(world, s1, 1, 0, NO_ATC);
	add(world, s1, 1, U64_MAX, NO_ATC);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s1, fake_iommu(1), &tag), 0);
	KUNIT_EXPECT_EQ(test, tag, 0);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s1, fake_iommu(0), &tag), 0);
	KUNIT_EXPECT_EQ(test, tag, 9);

	/* What has no users is not found, nor is the tag of a nest. */
	detach(world, thing);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s1, fake_iommu(0), &tag), -ENOENT);
	add_nest(world, s1, s2, 2, 3, 4, NO_ATC);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s1, fake_iommu(2), &tag), 0);
	KUNIT_EXPECT_EQ(test, tag, 3);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(s2, fake_iommu(2), &tag), -ENOENT);
}

/*
 * Views
 */

static void rule_10_locked_view(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i, nr = 0, wrong = 0;
	struct thing *thing;

	for (i = 0; i < 10; i++)
		add(world, alist, 9 - i, i % 3, i);
	detach(world, world->fact[4].thing);

	/* In the order of attaching, devices and all. */
	iommu_attach_lock(alist);
	iommu_attach_for_each_locked(thing, alist, nest.s1) {
		wrong += thing != world->fact[nr].thing ||
			 iommu_attach_elm_device(&thing->nest.s1) !=
			 fake_device(world->fact[nr].atc);
		nr++;
	}
	iommu_attach_unlock(alist);
	KUNIT_EXPECT_EQ(test, nr, 9);
	KUNIT_EXPECT_EQ(test, wrong, 0);

	iommu_attach_lock(&world->list[1]);
	iommu_attach_for_each_locked(thing, &world->list[1], nest.s1)
		nr++;
	iommu_attach_unlock(&world->list[1]);
	KUNIT_EXPECT_EQ_MSG(test, nr, 9, "nothing on an empty list");
}

struct at_front {
	struct iommu_attach_elm elm;
	u32 number;
};

struct at_back {
	u32 number;
	u64 room[100];
	struct iommu_attach_elm elm;
};

/* The sketch's loops ended where the element came first, and nowhere else. */
#define CHECK_OFFSET(of, alist, type)					\
do {									\
	struct iommu_attach_list *on = (alist);				\
	struct world *in = (of);					\
	u32 i, walked = 0, locked = 0;					\
	struct iommu_attach_walk walk;					\
	type *item;							\
									\
	for (i = 0; i < 5; i++) {					\
		item = kzalloc_obj(*item);				\
		KUNIT_ASSERT_NOT_NULL(in->test, item);			\
		item->number = BIT(i);					\
		fill_elm(&item->elm, i % 2, 1, i);			\
		KUNIT_ASSERT_GE(in->test,				\
				iommu_attach_add(on, &item->elm), 0);	\
	}								\
	iommu_attach_walk_begin(&walk, on);				\
	iommu_attach_for_each_all(item, &walk, elm)			\
		walked += item->number;					\
	iommu_attach_walk_end(&walk);					\
	iommu_attach_lock(on);						\
	iommu_attach_for_each_locked(item, on, elm)			\
		locked += item->number;					\
	iommu_attach_unlock(on);					\
	KUNIT_EXPECT_EQ(in->test, walked, 31);				\
	KUNIT_EXPECT_EQ(in->test, locked, 31);				\
									\
	for (i = 0; i < 5; i++) {					\
		iommu_attach_lock(on);					\
		iommu_attach_for_each_locked(item, on, elm)		\
			break;						\
		iommu_attach_unlock(on);				\
		KUNIT_EXPECT_EQ(in->test, item->number, BIT(i));	\
		iommu_attach_del_free(on, item, elm);			\
	}								\
	KUNIT_EXPECT_TRUE(in->test, iommu_attach_empty(on));		\
} while (0)

static void pitfall_20_element_at_the_front(struct kunit *test)
{
	struct world *world = new_world(test, 8);

	BUILD_BUG_ON(offsetof(struct at_front, elm));
	CHECK_OFFSET(world, &world->list[0], struct at_front);
}

static void pitfall_20_element_at_the_back(struct kunit *test)
{
	struct world *world = new_world(test, 8);

	BUILD_BUG_ON(!offsetof(struct at_back, elm));
	CHECK_OFFSET(world, &world->list[0], struct at_back);
}

/*
 * What the first sketch of the interface got wrong
 */

static void sketch_fresh_list_can_be_walked(struct kunit *test)
{
	verify_all(new_world(test, 2));
}

static void sketch_destroyed_list_can_be_used_again(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	u32 i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 8; i++)
			add(world, alist, i % 3, i % 2, i);
		detach_all(world);
		drain_all();
		iommu_attach_destroy(alist);
		verify(world, alist);
	}
}

static void sketch_iommus_are_collapsed(struct kunit *test)
{
	struct world *world = new_world(test, 16);
	struct iommu_attach_list *alist = &world->list[0];
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	u32 i, nr = 0, wrong = 0;

	for (i = 0; i < 12; i++)
		add(world, alist, 2 - i % 3, i % 2, NO_ATC);
	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_iommu(group, &walk)
		wrong += group->iommu_device != fake_iommu(nr++);
	iommu_attach_walk_end(&walk);
	KUNIT_EXPECT_EQ(test, nr, 3);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

/* A detach that frees may be called where sleeping is not allowed. */
static void sketch_free_does_not_sleep(struct kunit *test)
{
	struct world *world = new_world(test, 4);
	struct thing *thing = add(world, &world->list[0], 0, 1, 10);

	rcu_read_lock();
	detach(world, thing);
	KUNIT_EXPECT_EQ_MSG(test, thing->nr, 1, "freed, but not yet");
	rcu_read_unlock();
	verify(world, &world->list[0]);
}

static struct kunit_case alist_test_cases[] = {
	KUNIT_CASE_PARAM(judge_sees_wrong_stream, wrong_gen_params),
	KUNIT_CASE_PARAM(judge_sees_wrong_stream_of_failure, silent_wrong_gen_params),
	KUNIT_CASE(judge_sees_overflow),
	KUNIT_CASE(check_sees_wrong_list),

	KUNIT_CASE(rule_01_attach_beside_flush),
	KUNIT_CASE_PARAM(rule_02_shapes, shape_gen_params),
	KUNIT_CASE_SLOW(rule_02_4096_over_64_iommus),
	KUNIT_CASE_SLOW(rule_02_4096_with_pasids),
	KUNIT_CASE_PARAM(rule_02_random_work, seed_gen_params),
	KUNIT_CASE(rule_02_whatever_the_order_of_attaches),
	KUNIT_CASE(rule_02_attach_beside_attach),
	KUNIT_CASE(rule_02_attach_beside_attach_to_a_full_group),
	KUNIT_CASE(rule_02_detach_beside_flush),
	KUNIT_CASE_SLOW(rule_02_iommus_become_many_beside_flush),
	KUNIT_CASE(rule_02_groups_keep_their_keys),
	KUNIT_CASE(rule_02_target_moved_beside_flush),
	KUNIT_CASE(rule_02_spare_group_used_beside_walk),
	KUNIT_CASE(rule_02_key_comes_back_beside_walk),
	KUNIT_CASE(rule_03_own_then_nests_then_atc),
	KUNIT_CASE(rule_04_flush_and_walk_while_lock_is_held),
	KUNIT_CASE(rule_04_walks_and_detach_take_no_memory),
	KUNIT_CASE(rule_05_cost_is_the_slowest_iommu),
	KUNIT_CASE(rule_05_more_iommus_than_the_window),
	KUNIT_CASE(rule_05_dead_groups_between_windows),
	KUNIT_CASE(rule_06_add_without_memory),
	KUNIT_CASE(rule_06_first_add_takes_no_memory),
	KUNIT_CASE(rule_06_equal_target_takes_no_memory),
	KUNIT_CASE(rule_06_tags_that_come_and_go_leave_no_trace),
	KUNIT_CASE_SLOW(rule_06_many_groups_take_few_tables),
	KUNIT_CASE(rule_06_spare_groups_go_with_the_last_group),
	KUNIT_CASE(rule_06_idle_groups_go_when_they_are_many),
	KUNIT_CASE(rule_06_add_nest_without_memory),
	KUNIT_CASE(rule_06_enable_atc_without_memory),
	KUNIT_CASE(rule_06_nest_enable_atc_without_memory),
	KUNIT_CASE(rule_07_drain_waits_for_walks),
	KUNIT_CASE(rule_07_drain_waits_for_slow_flush),
	KUNIT_CASE(rule_07_element_used_again),
	KUNIT_CASE_SLOW(rule_08_4096_nests_with_own_tags),
	KUNIT_CASE(rule_08_nests_share_tags),
	KUNIT_CASE(rule_09_first_and_last),
	KUNIT_CASE(rule_09_first_and_last_of_each_list_of_a_nest),
	KUNIT_CASE(rule_09_tag_is_found),
	KUNIT_CASE(rule_10_locked_view),
	KUNIT_CASE(rule_12_fences_are_left_one_by_one),
	KUNIT_CASE(rule_12_gone_before_the_search),
	KUNIT_CASE(rule_12_group_that_comes_back_takes_the_new_fence),
	KUNIT_CASE(rule_12_idle_groups_do_not_speak_for_an_iommu),
	KUNIT_CASE(rule_12_lists_without_atc_enter_no_fence),
	KUNIT_CASE(rule_05_lists_wait_once),
	KUNIT_CASE(rule_05_newcomers_between_windows),
	KUNIT_CASE(rule_05_windows_with_faults),
	KUNIT_CASE(rule_06_emptied_list_is_as_new),
	KUNIT_CASE(rule_06_emptied_under_a_walk),
	KUNIT_CASE(rule_08_half_a_nest_stands_alone),
	KUNIT_CASE(rule_11_enable_atc_adds_nothing),
	KUNIT_CASE(rule_12_no_wait_in_rcu),
	KUNIT_CASE(rule_12_waits_take_turns),
	KUNIT_CASE_PARAM(rule_13_random_faults, seed_gen_params),
	KUNIT_CASE(rule_13_only_what_failed_is_sent_again),
	KUNIT_CASE(rule_13_only_the_list_that_failed_is_sent_again),
	KUNIT_CASE(rule_13_aborts_are_borne_within_reason),
	KUNIT_CASE(rule_13_newcomer_is_not_sent_again),
	KUNIT_CASE(rule_13_tries_begin_anew_when_a_device_was_set_aside),
	KUNIT_CASE(rule_13_tries_are_those_of_an_iommu),
	KUNIT_CASE(rule_13_tries_end_whatever_is_set_aside),
	KUNIT_CASE(rule_13_full_queue_is_not_counted),
	KUNIT_CASE_SLOW(rule_05_emptied_between_windows),
	KUNIT_CASE(rule_05_lists_with_faults),
	KUNIT_CASE(rule_13_aborted_and_gone),
	KUNIT_CASE(rule_13_error_before_a_latecomer),
	KUNIT_CASE(rule_13_aborts_of_a_search_are_borne_within_reason),
	KUNIT_CASE(rule_13_first_error_is_told),
	KUNIT_CASE(rule_14_set_aside_in_all_domains),
	KUNIT_CASE(rule_14_detach_while_aside),
	KUNIT_CASE(rule_14_aside_beside_flush),
	KUNIT_CASE(rule_14_silent_newcomer_fails_no_flush),
	KUNIT_CASE(rule_14_what_is_left_out_can_be_blocked),
	KUNIT_CASE(rule_13_blocked_device_fails_no_flush),
	KUNIT_CASE(rule_13_silent_device_beside_a_blocked_one),
	KUNIT_CASE(rule_14_walk_leaves_out_what_is_set_aside),
	KUNIT_CASE_PARAM(rule_15_fence_waits_for_who_was_there, seed_gen_params),
	KUNIT_CASE(rule_15_fence_does_not_wait_for_rcu),
	KUNIT_CASE(rule_15_fence_ends_beside_endless_flushes),
	KUNIT_CASE(rule_15_fence_is_through_beside_a_walk),
	KUNIT_CASE(rule_15_fence_wraps),
	KUNIT_CASE(rule_15_poll_does_not_wait),
	KUNIT_CASE(rule_15_flush_is_inside_while_it_may_send),
	KUNIT_CASE(rule_15_nobody_sends_after_a_fence),
	KUNIT_CASE(rule_16_inline_does_the_same),

	KUNIT_CASE(pitfall_01_parent_flush_reaches_nests),
	KUNIT_CASE(pitfall_03_ats_enabled_beside_flush),
	KUNIT_CASE(pitfall_03_ats_enabled_on_newcomer),
	KUNIT_CASE(pitfall_03_first_ats_enabled_beside_flush),
	KUNIT_CASE(pitfall_04_plain_device_hides_no_ats_sibling),
	KUNIT_CASE(pitfall_05_two_tags_on_one_iommu),
	KUNIT_CASE(pitfall_06_dead_neighbours),
	KUNIT_CASE(pitfall_07_last_of_iommu_detached_beside_flush),
	KUNIT_CASE(pitfall_10_tag_used_again_is_told_of_once),
	KUNIT_CASE(pitfall_11_nest_is_on_both_lists_or_none),
	KUNIT_CASE(rule_02_loops_do_not_disturb_each_other),
	KUNIT_CASE(pitfall_12_memory_outlives_walks),
	KUNIT_CASE(pitfall_13_detach_goes_by_the_record),
	KUNIT_CASE(pitfall_14_ats_disabled_beside_flush),
	KUNIT_CASE(pitfall_14_one_drain_for_all),
	KUNIT_CASE(pitfall_15_detach_never_fails),
	KUNIT_CASE(pitfall_16_two_flushes_at_once),
	KUNIT_CASE(pitfall_17_no_lock_held_in_callbacks),
	KUNIT_CASE(pitfall_19_reattach_beside_flush),
	KUNIT_CASE(pitfall_20_element_at_the_front),
	KUNIT_CASE(pitfall_20_element_at_the_back),
	KUNIT_CASE(pitfall_21_devices_behind_one_iommu),
	KUNIT_CASE(pitfall_22_iommus_interleaved),
	KUNIT_CASE(pitfall_23_all_sent_before_the_first_wait),
	KUNIT_CASE(pitfall_24_nest_leaks_into_nothing),
	KUNIT_CASE(pitfall_26_no_ats_no_atc_part),
	KUNIT_CASE(pitfall_35_ats_users_are_counted),
	KUNIT_CASE(pitfall_37_ats_comes_later),
	KUNIT_CASE(pitfall_38_all_targets_or_none),
	KUNIT_CASE(pitfall_38_arrays_of_any_size),
	KUNIT_CASE(pitfall_38_array_beside_attach),
	KUNIT_CASE(pitfall_39_callbacks_come_back),
	KUNIT_CASE(pitfall_40_detach_ends_after_the_flush),
	KUNIT_CASE(pitfall_41_grace_period_beside_a_silent_device),
	KUNIT_CASE(pitfall_41_drain_beside_a_silent_device),
	KUNIT_CASE(pitfall_33_single_target_is_asked_by_itself),
	KUNIT_CASE(pitfall_33_silent_targets_are_found),
	KUNIT_CASE(rule_05_silent_devices_are_waited_for_at_once),
	KUNIT_CASE(pitfall_33_silent_target_is_found_by_another_flush),
	KUNIT_CASE(rule_13_nothing_left_to_send_again),
	KUNIT_CASE(pitfall_33_search_meets_other_errors),
	KUNIT_CASE(pitfall_33_search_goes_on_behind_an_abort),
	KUNIT_CASE(pitfall_32_timeout_of_a_stranger),
	KUNIT_CASE(pitfall_32_only_who_sent_to_it_is_told),
	KUNIT_CASE(pitfall_31_silent_device_that_is_not_set_aside),

	KUNIT_CASE(sketch_fresh_list_can_be_walked),
	KUNIT_CASE(sketch_destroyed_list_can_be_used_again),
	KUNIT_CASE(sketch_iommus_are_collapsed),
	KUNIT_CASE(sketch_free_does_not_sleep),
	{}
};

static struct kunit_suite alist_test_suite = {
	.name = "iommu-alist",
	.init = alist_test_init,
	.exit = alist_test_exit,
	.test_cases = alist_test_cases,
};

kunit_test_suites(&alist_test_suite);

/* The form that kernels before and after 6.13 agree on. */
MODULE_INFO(import_ns, "EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("Tests of the attach list");
MODULE_LICENSE("GPL");
