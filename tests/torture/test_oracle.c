// SPDX-License-Identifier: GPL-2.0-only
/*
 * The oracle of the list's torture fires: walks that are written down here, each with
 * one fault, and beside it the walk without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <linux/array_size.h>

#include "oracle.h"
#include "torture.h"

/*
 * A script: letters, and digits that say on which IOMMU.
 *
 *   o n   the group of the own tag 0, of the nest's tag 1
 *   a b   the ATC target of the former, of the latter
 *   x     the group of identity 0, own, and its ATC target: y
 *   z     a group that is nobody's
 *   s w   submit, wait
 *   e     a wait that fails: aborted; t: timed out
 *   v     a wait with another cookie
 *   I     for_each_iommu
 *   |     between the loops of a walk by hand
 *   D     somebody deletes identity 0, drains, and says so
 *   G     somebody deletes the group of identity 0, and a grace period ends after that
 *   R     the same with a drain of IOMMU 0
 *   F     somebody deletes the target of identity 0, and a fence of IOMMU 0 ends
 *   A     the device of identity 0 is set aside
 */
static struct iommu_device iommus[2];
static struct sight *sight;

#define ID0	id_value(0, 1)

static int returned;		/* by the flush */

/* What the oracle wants of the other files. */

void torture_fail(const char *fmt, ...)
{
	fail_msg("%s", fmt);
}

void torture_synchronize(void)
{
	synchronize_rcu();
}

void torture_fence(struct iommu_attach_fence *fence)
{
	iommu_attach_fence(fence);
}

void torture_drain(struct iommu_attach_fence *fence)
{
	iommu_attach_drain(fence);
}

/* On IOMMU 0 a group and a nest, on IOMMU 1 a group; all steady, all with ATCs. */
static const char plain[] = "o0n0a0b0s0 o1a1s1 w0w1";
static const char nest_waits[] = "o0s0 o1s1 w0w1 n0a0b0s0 a1s1 w0w1";
static const char atc_waits[] = "o0n0s0 o1s1 w0w1 a0b0s0 a1s1 w0w1";
static const char both_wait[] = "o0s0 o1s1 w0w1 n0s0 w0 a0b0s0 a1s1 w0w1";
static const char without_atc[] = "o0n0s0 o1s1 w0w1";
static const char by_hand[] = "o0n0 o1 I0I1 | a0b0 a1";

static void steady(u32 mark, u32 *nr)
{
	oracle.steady[mark] = 1;
	mark_come(mark);
	++*nr;
}

static int set_up(void **state)
{
	u32 own, i;

	(void)state;
	oracle_reset();
	returned = 0;
	sight = calloc(1, sizeof(*sight));
	assert_non_null(sight);
	for (i = 0; i < ARRAY_SIZE(iommus); i++) {
		iommus[i] = (struct iommu_device){ .alive = IOMMU_ALIVE, .nr = i };
		assert_int_equal(iommu_attach_fence_init(&iommus[i].fence), 0);
		own = group_mark(0, i, IOMMU_ATTACH_OWN, 0);
		steady(own, &oracle.nr_steady_groups[0]);
		steady(target_mark(own, 0), &oracle.nr_steady_targets[0]);
	}
	own = group_mark(0, 0, IOMMU_ATTACH_NEST, 1);
	steady(own, &oracle.nr_steady_groups[0]);
	steady(target_mark(own, 0), &oracle.nr_steady_targets[0]);
	oracle.steady_iommus[0] = 3;
	/* Attached, and may be seen or not. */
	oracle.id[0] = id_pack(1, 0, 0, 0, false, false);
	mark_come(id_group_mark(0, 0));
	mark_come(id_target_mark(0, 0));
	return 0;
}

static int tear_down(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(iommus); i++)
		iommu_attach_fence_destroy(&iommus[i].fence);
	free(sight);
	return 0;
}

static void play_one(char what, struct iommu_device *iommu)
{
	struct iommu_attach_group group = { .iommu_device = iommu };

	switch (what) {
	case 'n':
	case 'b':
		group.kind = IOMMU_ATTACH_NEST;
		group.tag = 1;
		break;
	case 'x':
	case 'y':
		group.tag = ID0;
		break;
	case 'z':
		group.tag = NR_TAGS;
	}
	switch (what) {
	case 'o':
	case 'n':
	case 'x':
	case 'z':
		sight_iotlb(&group, sight);
		break;
	case 'a':
	case 'b':
		sight_atc(&group, 0, sight);
		break;
	case 'y':
		sight_atc(&group, ID0, sight);
		break;
	case 's':
		sight_submit(iommu, sight);
		break;
	case 'w':
		sight_wait(iommu, sight->open[iommu - iommus], 0, sight);
		break;
	case 'e':
		sight_wait(iommu, sight->open[iommu - iommus], -EAGAIN, sight);
		break;
	case 't':
		sight_wait(iommu, sight->open[iommu - iommus], -ETIMEDOUT, sight);
		break;
	case 'v':
		sight_wait(iommu, sight->open[iommu - iommus] + 1, 0, sight);
		break;
	case 'I':
		sight_iommu(sight, &group);
		break;
	default:
		fail_msg("no such letter: %c", what);
	}
}

static enum fault play(u32 mode, const char *script)
{
	sight->fault = FINE;
	sight->nr_open = 0;
	sight_begin(sight, 0, mode);
	for (; *script; script++) {
		if (*script == ' ')
			continue;
		if (*script == '|') {
			sight_iotlb_done(sight);
			continue;
		}
		if (*script == 'D') {
			mark_go(id_group_mark(0, 0));
			mark_go(id_target_mark(0, 0));
			mark_drained(id_group_mark(0, 0));
			mark_drained(id_target_mark(0, 0));
			continue;
		}
		if (*script == 'G' || *script == 'R') {
			mark_go(id_group_mark(0, 0));
			if (*script == 'G')
				gp_wait();
			else
				gp_drain(&iommus[0]);
			continue;
		}
		if (*script == 'F') {
			mark_go(id_target_mark(0, 0));
			gp_fence(&iommus[0]);
			continue;
		}
		if (*script == 'A') {
			oracle.aside[0] = ++oracle.aside_clock;
			continue;
		}
		play_one(script[0], &iommus[script[1] - '0']);
		script++;
	}
	return sight_end(sight, returned);
}

#define assert_fault(fault, mode, script)				\
	assert_string_equal(fault_names[play(mode, script)], fault_names[fault])

static void good_walks_are_fine(void **state)
{
	(void)state;
	assert_fault(FINE, 0, plain);
	assert_fault(FINE, NEST_WAITS, nest_waits);
	assert_fault(FINE, ATC_WAITS, atc_waits);
	assert_fault(FINE, NEST_WAITS | ATC_WAITS, both_wait);
	assert_fault(FINE, WITHOUT_ATC, without_atc);
	assert_fault(FINE, BY_HAND, by_hand);
	assert_fault(FINE, 0, "o0x0n0a0y0b0s0 o1a1s1 w0w1");
	/* IOTLBs first, and ATCs that came to be used behind them. */
	assert_fault(FINE, 0, "o0x0n0a0b0s0 o1a1s1 w0w1 y0s0w0");
}

static void what_stays_is_missed(void **state)
{
	(void)state;
	assert_fault(GROUP_MISSED, 0, "n0a0b0s0 o1a1s1 w0w1");
	assert_fault(GROUP_MISSED, 0, "o0n0a0b0s0 a1s1 w0w1");
	assert_fault(GROUP_MISSED, BY_HAND, "o0 o1 I0I1 | a0b0 a1");
	assert_fault(ATC_MISSED, 0, "o0n0b0s0 o1a1s1 w0w1");
	assert_fault(ATC_MISSED, 0, "o0n0a0s0 o1a1s1 w0w1");
	assert_fault(ATC_MISSED, BY_HAND, "o0n0 o1 I0I1 | a0b0");
	assert_fault(IOMMU_MISSED, BY_HAND, "o0n0 o1 I0 | a0b0 a1");
	oracle.nr_steady_elms[0] = 1;
	assert_fault(ELM_MISSED, BY_HAND, by_hand);
}

static void anything_is_seen_twice(void **state)
{
	(void)state;
	assert_fault(GROUP_TWICE, 0, "o0o0n0a0b0s0 o1a1s1 w0w1");
	assert_fault(GROUP_TWICE, BY_HAND, "o0n0n0 o1 I0I1 | a0b0 a1");
	assert_fault(ATC_TWICE, 0, "o0n0a0a0b0s0 o1a1s1 w0w1");
	assert_fault(ATC_TWICE, 0, "o0n0a0b0s0 o1a1s1 w0w1 a0s0w0");
	/* That of an attachment that never turned it off. */
	assert_fault(ATC_TWICE, 0, "o0n0a0y0b0s0 o1a1s1 w0w1 y0s0w0");
	assert_fault(ATC_TWICE, ATC_WAITS, "o0n0s0 o1s1 w0w1 a0b0b0s0 a1s1 w0w1");
	assert_fault(IOMMU_TWICE, BY_HAND, "o0n0 o1 I0I1I0 | a0b0 a1");
	oracle.id[0] |= 1;
	assert_fault(FINE, 0, "o0n0a0y0b0s0 o1a1s1 w0w1 y0s0w0");
	assert_fault(ATC_TWICE, 0, "o0n0a0y0y0b0s0 o1a1s1 w0w1");
}

static void commands_are_out_of_order(void **state)
{
	(void)state;
	assert_fault(OUT_OF_ORDER, 0, "n0o0a0b0s0 o1a1s1 w0w1");
	assert_fault(OUT_OF_ORDER, 0, "o0a0n0b0s0 o1a1s1 w0w1");
	assert_fault(OUT_OF_ORDER, 0, "o0n0a0b0s0 w0 o1a1s1 w1");
	assert_fault(OUT_OF_ORDER, NEST_WAITS, plain);
	assert_fault(OUT_OF_ORDER, NEST_WAITS, "n0s0w0 o0a0b0s0 o1a1s1 w0w1");
	assert_fault(OUT_OF_ORDER, ATC_WAITS, plain);
	assert_fault(OUT_OF_ORDER, ATC_WAITS, "o0n0s0 w0 a0b0s0 w0 o1s1 w1 a1s1w1");
	assert_fault(OUT_OF_ORDER, BY_HAND, "n0o0 o1 I0I1 | a0b0 a1");
	assert_fault(OUT_OF_ORDER, BY_HAND, "o0 o1 n0 I0I1 | a0b0 a1");
	assert_fault(OUT_OF_ORDER, BY_HAND, "o0n0 o1 I0I1 | a0 a1 b0");
}

static void submits_and_waits_are_not_what_they_should_be(void **state)
{
	(void)state;
	assert_fault(SUBMIT_MISSED, 0, "o0n0a0b0 o1a1s1 w0w1");
	assert_fault(SUBMIT_MISSED, 0, "o0n0a0b0s0 o1a1 w0");
	assert_fault(SUBMIT_EXTRA, 0, "o0n0a0b0s0 o1a1s0 w0w1");
	assert_fault(SUBMIT_TWICE, 0, "o0n0s0a0b0s0 o1a1s1 w0w1");
	assert_fault(WAIT_MISSED, 0, "o0n0a0b0s0 o1a1s1 w0");
	assert_fault(WAIT_EXTRA, 0, "o0n0a0b0s0 o1a1s1 w0v1");
	assert_fault(WAIT_EXTRA, 0, "o0n0a0b0s0 o1a1s1 w0w1w1");
	assert_fault(WAIT_EARLY, 0, "o0n0a0b0s0 o1a1s1 w0 y0s0 w0w1");
	assert_fault(WAIT_EARLY, ATC_WAITS, "o0n0s0 o1s1 w0 a0b0s0 a1s1 w0w1");
}

static void somebody_else_is_seen(void **state)
{
	(void)state;
	assert_fault(FOREIGN, 0, "o0n0a0b0s0 z1a1s1 w0w1");
	/* Of another IOMMU, of another domain. */
	assert_fault(FOREIGN, 0, "o0n0a0b0s0 o1x1a1s1 w0w1");
	oracle.id[0] = id_pack(1, 2, 0, 0, false, false);
	assert_fault(FOREIGN, 0, "o0x0n0a0b0s0 o1a1s1 w0w1");
	iommus[1].alive = 0;
	assert_fault(GONE, 0, plain);
}

static void what_was_drained_is_sent_to(void **state)
{
	(void)state;
	assert_fault(DRAINED, 0, "D o0x0n0a0b0s0 o1a1s1 w0w1");
}

static void what_was_drained_is_in_flight(void **state)
{
	(void)state;
	assert_fault(DRAINED, 0, "o0x0n0a0b0s0 D o1a1s1 w0w1");
}

static void what_was_drained_is_in_flight_to_an_atc(void **state)
{
	(void)state;
	assert_fault(DRAINED, 0, "o0n0a0y0b0s0 D o1a1s1 w0w1");
}

static void a_grace_period_has_passed(void **state)
{
	(void)state;
	assert_fault(TOO_OLD, 0, "G o0x0n0a0b0s0 o1a1s1 w0w1");
	assert_int_equal(sight->ages[AGE_OLDER], 1);
	assert_fault(TOO_OLD, BY_HAND, "o0x0n0 o1 I0I1 | a0b0 a1");
}

/* What is waited for is not held by RCU. */
static void a_grace_period_has_passed_in_flight(void **state)
{
	(void)state;
	assert_fault(FINE, 0, "o0x0n0a0b0s0 o1a1s1 G w0w1");
	assert_int_equal(sight->ages[AGE_WAITED], 1);
}

static void a_drain_has_passed_in_flight(void **state)
{
	(void)state;
	assert_fault(TOO_OLD, 0, "o0x0n0a0b0s0 o1a1s1 R w0w1");
}

static void a_fence_has_passed(void **state)
{
	(void)state;
	assert_fault(FENCED, 0, "F o0n0a0y0b0s0 o1a1s1 w0w1");
	assert_fault(FINE, BY_HAND, "o0n0 o1 I0I1 | a0y0b0 a1");
}

static void a_fence_has_passed_in_flight(void **state)
{
	(void)state;
	assert_fault(FENCED, 0, "o0n0a0y0b0s0 o1a1s1 F w0w1");
}

static void iommu_that_failed_is_sent_to_again(void **state)
{
	(void)state;
	assert_fault(FINE, 0, "o0n0a0b0s0 o1a1s1 e0 o0n0a0b0s0 w1w0");
	assert_fault(FINE, ATC_WAITS, "o0n0s0 o1s1 w0e1 o1s1w1 a0b0s0 a1s1 w0w1");
	/* That one did not fail. */
	assert_fault(GROUP_TWICE, 0, "o0n0a0b0s0 o1a1s1 w1e0 o1s1w1 o0n0a0b0s0 w0");
	assert_fault(NOT_DONE, 0, "o0n0a0b0s0 o1a1s1 w1e0");
	assert_fault(NOT_DONE, 0, "o0n0a0b0s0 o1a1s1 w1e0 n0a0b0s0w0");
	assert_fault(NOT_DONE, 0, "o0n0a0b0s0 o1a1s1 w1e0 o0n0a0b0s0 e0");
}

static void device_that_was_set_aside_is_sent_to(void **state)
{
	(void)state;
	/* Beside the flush: it may have been late. */
	assert_fault(FINE, 0, "A o0n0a0y0b0s0 o1a1s1 w0w1");
	assert_fault(ASIDE, 0, "o0n0a0y0b0s0 o1a1s1 w0w1");
	oracle.aside[0] = 0;
	assert_fault(FINE, 0, "o0n0a0y0b0s0 o1a1s1 w0w1");
}

static void errors_are_lost_or_invented(void **state)
{
	static const u32 domain;
	u32 clean[MAX_WALKERS] = { 0 };

	(void)state;
	returned = -ETIMEDOUT;
	assert_fault(FAILED_FOR_OTHERS, 0, plain);
	assert_fault(FINE, 0, "o0n0a0y0b0s0 o1a1s1 w1t0 o0n0a0b0s0 w0");
	aside_begins(&domain, 1);
	assert_fault(FINE, 0, plain);
	aside_ends(&domain, 1);
	assert_fault(FAILED_FOR_OTHERS, 0, plain);

	/* A device that does not answer has the page. */
	oracle.id[0] = id_pack(1, 0, 0, 0, false, true);
	post(3, 0, id_target_mark(0, 0), true, clean);
	assert_fault(FINE, 0, "o0n0a0y0b0s0 o1a1s1 w1t0 o0n0a0b0s0 w0");
	returned = 0;
	assert_fault(NO_ERROR, 0, "o0n0a0y0b0s0 o1a1s1 w1t0 o0n0a0b0s0 w0");
	assert_fault(NO_ERROR, 0, plain);
	unpost(3);
	assert_fault(FINE, 0, plain);
}

/* One more window than the first one. */
static void windows_are_full(void **state)
{
	struct iommu_device many[WINDOW + 1];
	struct iommu_attach_group group = { .tag = 0 };
	u32 size, i, nr;

	(void)state;
	for (size = WINDOW; size >= WINDOW - 1; size--) {
		sight->fault = FINE;
		sight_begin(sight, 1, 0);
		for (i = 0; i <= size;) {
			for (nr = 0; nr < size && i <= size; nr++, i++) {
				many[i] = (struct iommu_device){ .alive = IOMMU_ALIVE, .nr = i };
				group.iommu_device = &many[i];
				sight_iotlb(&group, sight);
				sight_submit(&many[i], sight);
			}
			for (; nr; nr--)
				sight_wait(&many[i - nr], sight->open[i - nr], 0, sight);
		}
		assert_int_equal(sight->fault, size == WINDOW ? FINE : OUT_OF_ORDER);
	}
}

static void an_identity_is_seen_after_its_reuse(void **state)
{
	(void)state;
	oracle.id[0] = id_pack(2, 0, 0, 0, false, false);
	assert_fault(TOO_OLD, 0, "o0x0n0a0b0s0 o1a1s1 w0w1");
}

static void age_is_told(void **state)
{
	(void)state;
	mark_go(id_group_mark(0, 0));
	assert_fault(FINE, 0, "o0x0n0a0b0s0 o1a1s1 w0w1");
	/* Sent and waited for. */
	assert_int_equal(sight->ages[AGE_DELETED], 2);
	oracle.gp_started++;
	assert_fault(FINE, 0, "o0x0n0a0b0s0 o1a1s1 w0w1");
	assert_int_equal(sight->ages[AGE_ENDING], 2);
}

static void neither_walk_nor_hardware_was_in_time(void **state)
{
	u32 clean[MAX_WALKERS] = { 0 };

	(void)state;
	post(3, 0, id_group_mark(0, 0), false, clean);
	assert_fault(FINE, 0, "o0x0n0a0b0s0 o1a1s1 w0w1");
	assert_fault(STALE, 0, plain);
	assert_fault(STALE, BY_HAND, by_hand);
	/* Of another domain's list. */
	post(3, 1, id_group_mark(0, 0), false, clean);
	assert_fault(FINE, 0, plain);
	post(3, 0, id_target_mark(0, 0), true, clean);
	assert_fault(STALE, 0, "o0x0n0a0b0s0 o1a1s1 w0w1");
	assert_fault(FINE, 0, "o0x0n0a0y0b0s0 o1a1s1 w0w1");
	assert_fault(FINE, WITHOUT_ATC, without_atc);
	/* Late enough: it has seen the page table of the next walk. */
	clean[0] = sight->walk + 1;
	post(3, 0, id_target_mark(0, 0), true, clean);
	assert_fault(FINE, 0, plain);
	assert_fault(STALE, 0, plain);
	unpost(3);
	assert_fault(FINE, 0, plain);
}

static void the_hardware_is_told_of_the_iotlb(void **state)
{
	(void)state;
	assert_fault(FINE, NEST_WAITS, nest_waits);
	assert_int_equal(oracle.walker[0].table, sight->walk);
	assert_int_equal(oracle.walker[0].iotlb[0][IOMMU_ATTACH_OWN], sight->walk);
	assert_int_equal(oracle.walker[0].iotlb[0][IOMMU_ATTACH_NEST], sight->walk);
	assert_int_equal(oracle.walker[0].iotlb[1][IOMMU_ATTACH_NEST], 0);
}

static void attachments_memory_is_another_ones(void **state)
{
	struct iommu_attach_elm elm = { .iommu_device = &iommus[0] };

	(void)state;
	elm.pasid = elm_check(&elm, true);
	sight_begin(sight, 0, BY_HAND);
	sight_elm(sight, &elm);
	assert_int_equal(sight->fault, FINE);
	assert_int_equal(sight->nr_steady_elms, 1);
	elm.atc++;
	sight_elm(sight, &elm);
	assert_int_equal(sight->fault, ELM_TORN);
}

#define CASE(name)	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(good_walks_are_fine),
		CASE(what_stays_is_missed),
		CASE(anything_is_seen_twice),
		CASE(commands_are_out_of_order),
		CASE(submits_and_waits_are_not_what_they_should_be),
		CASE(somebody_else_is_seen),
		CASE(what_was_drained_is_sent_to),
		CASE(what_was_drained_is_in_flight),
		CASE(what_was_drained_is_in_flight_to_an_atc),
		CASE(a_grace_period_has_passed),
		CASE(a_grace_period_has_passed_in_flight),
		CASE(a_drain_has_passed_in_flight),
		CASE(a_fence_has_passed),
		CASE(a_fence_has_passed_in_flight),
		CASE(iommu_that_failed_is_sent_to_again),
		CASE(device_that_was_set_aside_is_sent_to),
		CASE(errors_are_lost_or_invented),
		CASE(windows_are_full),
		CASE(an_identity_is_seen_after_its_reuse),
		CASE(age_is_told),
		CASE(neither_walk_nor_hardware_was_in_time),
		CASE(the_hardware_is_told_of_the_iotlb),
		CASE(attachments_memory_is_another_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
