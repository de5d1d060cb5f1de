// SPDX-License-Identifier: GPL-2.0-only
/*
 * The full barriers of an attach that races an unmap (store buffering), one thread.
 *
 *   unmap                          attach
 *   -----                          ------
 *   write the page table           publish the attachment
 *   smp_mb()                       smp_mb()
 *   look at the list               let the hardware use the domain
 *
 * Both barriers are inside the API. A hook that runs at each of them does what the
 * other side would do there: attach just before a walk looks at the list, or walk just
 * after an attach was published. Flushes and fences are tried in the same way. An access
 * on the wrong side of its barrier, or a barrier
 * that is not there, shows in the same way on every machine.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <linux/array_size.h>
#include <linux/iommu-alist.h>

#include "shim.h"

static char iommus[2];
static struct iommu_attach_fence fences[2];
static struct iommu_attach_list list, parent;
static struct iommu_attach_elm late;	/* what attaches at the barrier */
static unsigned int seen_groups, seen_nests, seen_atcs;

static struct iommu_attach_elm elm_of(unsigned int iommu, u64 atc)
{
	return (struct iommu_attach_elm){
		.iommu_device = (struct iommu_device *)&iommus[iommu],
		.fence = &fences[iommu],
		.tag = 13,
		.atc = atc,
		.using_atc = atc,
	};
}

static unsigned int groups(struct iommu_attach_list *alist)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	unsigned int nr = 0;

	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk)
		nr++;
	iommu_attach_walk_end(&walk);
	return nr;
}

static unsigned int atcs(struct iommu_attach_list *alist)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	unsigned int nr = 0;
	u64 atc;

	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_atc(group, atc, &walk)
		nr++;
	iommu_attach_walk_end(&walk);
	return nr;
}

/* A group that comes back takes no memory, so this may run inside a walk. */
static void attach_late(void)
{
	shim_mb_hook = NULL;
	assert_int_equal(iommu_attach_add(&list, &late), IOMMU_ATTACH_GROUP_DOMAIN);
}

static void look(void)
{
	shim_mb_hook = NULL;
	seen_groups = groups(&list);
	seen_nests = groups(&parent);
	seen_atcs = atcs(&list);
}

static void look_at_next_barrier(void)
{
	seen_groups = 0;
	seen_nests = 0;
	seen_atcs = 0;
	shim_mb_hook = look;
}

static int setup(void **state)
{
	(void)state;
	iommu_attach_init(&list);
	iommu_attach_init(&parent);
	return iommu_attach_fence_init(&fences[0]) ?: iommu_attach_fence_init(&fences[1]);
}

static int teardown(void **state)
{
	(void)state;
	shim_mb_hook = NULL;
	/* A case that failed leaves them as they are. */
	shim_warn_expect(true);
	iommu_attach_destroy(&list);
	iommu_attach_destroy(&parent);
	shim_warn_expect(false);
	iommu_attach_fence_destroy(&fences[0]);
	iommu_attach_fence_destroy(&fences[1]);
	return 0;
}

static void prepare_late(void)
{
	late = elm_of(0, 0);
	assert_int_equal(iommu_attach_add(&list, &late), IOMMU_ATTACH_GROUP_DOMAIN);
	assert_int_equal(iommu_attach_del(&list, &late), IOMMU_ATTACH_GROUP_DOMAIN);
	iommu_attach_drain(&fences[0]);
	late = elm_of(0, 0);
	shim_mb_hook = attach_late;
}

static void pitfall_02_walk_looks_after_its_barrier(void **state)
{
	(void)state;
	prepare_late();
	assert_int_equal(groups(&list), 1);
	assert_null(shim_mb_hook);
	iommu_attach_del(&list, &late);
}

/*
 * A group that is new makes a new table. That takes memory, which must not be asked for
 * inside a walk: the shim complains, and goes on.
 */
static void pitfall_02_walk_loads_the_table_after_its_barrier(void **state)
{
	struct iommu_attach_elm elm = elm_of(0, 0);

	(void)state;
	assert_int_equal(iommu_attach_add(&list, &elm), IOMMU_ATTACH_GROUP_DOMAIN);
	late = elm_of(1, 0);
	shim_warn_expect(true);
	shim_mb_hook = attach_late;
	assert_int_equal(groups(&list), 2);
	shim_warn_expect(false);
	assert_null(shim_mb_hook);
	iommu_attach_del(&list, &elm);
	iommu_attach_del(&list, &late);
}

static void ignore_group(const struct iommu_attach_group *group, void *arg)
{
	(void)group;
	(void)arg;
}

static void count_iotlb(const struct iommu_attach_group *group, void *arg)
{
	(void)group;
	++*(unsigned int *)arg;
}

static void no_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	(void)group;
	(void)atc;
	(void)arg;
}

static u64 no_submit(struct iommu_device *iommu, void *arg)
{
	(void)iommu;
	(void)arg;
	return 0;
}

static int no_wait(struct iommu_device *iommu, u64 cookie, void *arg)
{
	(void)iommu;
	(void)cookie;
	(void)arg;
	return 0;
}

static void pitfall_02_flush_looks_after_its_barrier(void **state)
{
	static const struct iommu_attach_flush_ops ops = {
		.iotlb = count_iotlb,
		.submit = no_submit,
		.wait = no_wait,
	};
	unsigned int sent = 0;

	(void)state;
	prepare_late();
	iommu_attach_flush(&list, &ops, &sent);
	assert_null(shim_mb_hook);
	assert_int_equal(sent, 1);
	iommu_attach_del(&list, &late);
}

/*
 * The hardware does not say which of several targets is silent, so each is sent to by
 * itself, lowest number first. Between two reads of a target another one takes its place:
 * those whose numbers are in between are not done for that.
 */
static struct iommu_attach_elm targets[15], replacing;
static unsigned int reads_left, nr_waits, nr_last;

static void replace_target(void)
{
	if (--reads_left)
		return;
	shim_read_hook = NULL;
	iommu_attach_disable_atc(&targets[2]);
	assert_int_equal(iommu_attach_enable_atc(&replacing), 0);
}

static void note_last_alone(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	(void)group;
	(void)arg;
	nr_last += nr_waits && atc == 14;
}

static int time_out_first(struct iommu_device *iommu, u64 cookie, void *arg)
{
	(void)iommu;
	(void)cookie;
	(void)arg;
	if (nr_waits++)
		return 0;
	shim_read_hook = replace_target;
	return -ETIMEDOUT;
}

static void pitfall_33_target_replaced_while_it_is_read(void **state)
{
	static const struct iommu_attach_flush_ops ops = {
		.iotlb = count_iotlb,
		.atc = note_last_alone,
		.submit = no_submit,
		.wait = time_out_first,
	};
	unsigned int sent = 0, at, i;

	(void)state;
	for (at = 1; !reads_left; at++) {
		/* The first two are in one block; the 14th is in the next one. */
		for (i = 1; i <= 14; i++) {
			targets[i] = elm_of(0, i);
			assert_true(iommu_attach_add(&list, &targets[i]) >= 0);
		}
		for (i = 3; i < 14; i++)
			iommu_attach_del(&list, &targets[i]);
		assert_ptr_not_equal(targets[1].slots, targets[14].slots);
		replacing = elm_of(0, 0);
		assert_int_equal(iommu_attach_add(&list, &replacing), 0);
		replacing.atc = 21;

		reads_left = at;
		nr_waits = 0;
		nr_last = 0;
		assert_int_equal(iommu_attach_flush(&list, &ops, &sent), 0);
		shim_read_hook = NULL;
		assert_true(nr_last > 0);

		iommu_attach_del(&list, &targets[1]);
		iommu_attach_del(&list, &targets[2]);
		iommu_attach_del(&list, &targets[14]);
		iommu_attach_del(&list, &replacing);
		iommu_attach_drain(&fences[0]);
	}
	assert_true(at > 5);
	reads_left = 0;
}

static unsigned int barriers;

static void count_barrier(void)
{
	barriers++;
}

/* Of a domain without ATS, not even a second one ahead of the ATC part. */
static void pitfall_26_flush_has_one_barrier(void **state)
{
	struct iommu_attach_flush_ops ops = {
		.iotlb = count_iotlb,
		.atc = no_atc,
		.submit = no_submit,
		.wait = no_wait,
	};
	struct iommu_attach_elm elm = elm_of(0, 0);
	unsigned int sent = 0, i;

	(void)state;
	assert_int_equal(iommu_attach_add(&list, &elm), IOMMU_ATTACH_GROUP_DOMAIN);
	for (i = 0; i < 2; i++) {
		ops.wait_before_atc = i;
		barriers = 0;
		shim_mb_hook = count_barrier;
		iommu_attach_flush(&list, &ops, &sent);
		shim_mb_hook = NULL;
		assert_int_equal(barriers, 1);
	}
	iommu_attach_del(&list, &elm);
}

/* The list's own group, one in a table, one that comes back: all are published first. */
static void pitfall_02_attach_is_seen_from_its_barrier_on(void **state)
{
	struct iommu_attach_elm elm[3] = { elm_of(0, 0), elm_of(1, 5), elm_of(1, 6) };
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		look_at_next_barrier();
		assert_true(iommu_attach_add(&list, &elm[i]) >= 0);
		assert_null(shim_mb_hook);
		assert_int_equal(seen_groups, i ? 2 : 1);
		assert_int_equal(seen_atcs, i);
	}
	iommu_attach_del(&list, &elm[0]);
	iommu_attach_drain(&fences[0]);
	elm[0] = elm_of(0, 0);
	look_at_next_barrier();
	assert_int_equal(iommu_attach_add(&list, &elm[0]), IOMMU_ATTACH_GROUP_DOMAIN);
	assert_int_equal(seen_groups, 2);

	for (i = 0; i < 3; i++)
		iommu_attach_del(&list, &elm[i]);
}

static void pitfall_02_nest_is_seen_on_both_lists_from_its_barrier_on(void **state)
{
	struct iommu_attach_nest nest = { elm_of(0, 5), elm_of(0, 5) };

	(void)state;
	look_at_next_barrier();
	assert_int_equal(iommu_attach_add_nest(&list, &parent, &nest),
			 IOMMU_ATTACH_GROUP_DOMAIN | IOMMU_ATTACH_GROUP_PARENT);
	assert_null(shim_mb_hook);
	assert_int_equal(seen_groups, 1);
	assert_int_equal(seen_nests, 1);
	assert_int_equal(seen_atcs, 1);
	iommu_attach_del_nest(&list, &parent, &nest);
}

static void pitfall_03_atc_is_seen_from_its_barrier_on(void **state)
{
	struct iommu_attach_elm elm = elm_of(0, 0);

	(void)state;
	assert_int_equal(iommu_attach_add(&list, &elm), IOMMU_ATTACH_GROUP_DOMAIN);
	elm.atc = 5;
	look_at_next_barrier();
	assert_int_equal(iommu_attach_enable_atc(&elm), 0);
	assert_null(shim_mb_hook);
	assert_int_equal(seen_atcs, 1);
	iommu_attach_del(&list, &elm);
}

/*
 * A flush and a fence
 *
 *   flush                          detach, fence
 *   -----                          -------------
 *   count the entry                take the target away
 *   smp_mb()                       smp_mb()
 *   look at targets                sum up leaves, smp_mb(), entries
 *   send, wait
 *   smp_mb()
 *   count the leave
 */

static char held[8];		/* at each barrier of the flush */
static unsigned int nr_held;

static bool is_held(void)
{
	void (*hook)(void) = shim_mb_hook;
	bool idle;

	shim_mb_hook = NULL;
	idle = iommu_attach_fence_poll(&fences[0], iommu_attach_fence_begin(&fences[0]));
	shim_mb_hook = hook;
	return !idle;
}

static void note_held(void)
{
	assert_true(nr_held < ARRAY_SIZE(held) - 1);
	held[nr_held++] = is_held() ? 'h' : '-';
}

static void count_target(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	(void)group;
	(void)atc;
	++*(unsigned int *)arg;
}

static const struct iommu_attach_flush_ops atc_ops = {
	.iotlb = ignore_group,
	.atc = count_target,
	.submit = no_submit,
	.wait = no_wait,
};

static int take_two_looks(struct iommu_device *iommu, u64 cookie, void *arg)
{
	(void)iommu;
	(void)cookie;
	(void)arg;
	return nr_waits++ ? 0 : -EINPROGRESS;
}

static const struct iommu_attach_flush_ops slow_ops = {
	.iotlb = ignore_group,
	.atc = count_target,
	.submit = no_submit,
	.wait = take_two_looks,
};

static int time_out_once(struct iommu_device *iommu, u64 cookie, void *arg)
{
	(void)iommu;
	(void)cookie;
	(void)arg;
	return nr_waits++ ? 0 : -ETIMEDOUT;
}

static const struct iommu_attach_flush_ops silent_ops = {
	.iotlb = ignore_group,
	.atc = count_target,
	.submit = no_submit,
	.wait = time_out_once,
};

static void pitfall_40_flush_is_inside_between_its_barriers(void **state)
{
	struct iommu_attach_elm elm = elm_of(0, 5);
	unsigned int sent = 0;

	(void)state;
	assert_true(iommu_attach_add(&list, &elm) >= 0);
	memset(held, 0, sizeof(held));
	nr_held = 0;
	shim_mb_hook = note_held;
	assert_int_equal(iommu_attach_flush(&list, &atc_ops, &sent), 0);
	shim_mb_hook = NULL;
	assert_int_equal(sent, 1);
	/* Ahead of the list; behind the entry; ahead of the leave. */
	assert_string_equal(held, "-hh");
	assert_false(is_held());

	/* Of one that has to wait longer there is another leave. */
	memset(held, 0, sizeof(held));
	nr_held = 0;
	nr_waits = 0;
	shim_mb_hook = note_held;
	assert_int_equal(iommu_attach_flush(&list, &slow_ops, &sent), 0);
	shim_mb_hook = NULL;
	assert_string_equal(held, "-hhh");
	assert_false(is_held());

	/* One that searches has left, and entered again before it sends. */
	memset(held, 0, sizeof(held));
	nr_held = 0;
	nr_waits = 0;
	shim_mb_hook = note_held;
	assert_int_equal(iommu_attach_flush(&list, &silent_ops, &sent), 0);
	shim_mb_hook = NULL;
	assert_string_equal(held, "-hhhhh");
	assert_false(is_held());
	iommu_attach_del(&list, &elm);
}

static struct iommu_attach_elm going;
static unsigned int barrier_at;

static void disable_at_barrier(void)
{
	if (--barrier_at)
		return;
	shim_mb_hook = NULL;
	iommu_attach_disable_atc(&going);
}

/* What a fence may not have seen inside does not see the target. */
static void pitfall_40_flush_looks_at_targets_after_its_entry(void **state)
{
	unsigned int sent = 0;

	(void)state;
	going = elm_of(0, 5);
	assert_true(iommu_attach_add(&list, &going) >= 0);
	barrier_at = 2;
	shim_mb_hook = disable_at_barrier;
	assert_int_equal(iommu_attach_flush(&list, &atc_ops, &sent), 0);
	assert_null(shim_mb_hook);
	assert_int_equal(sent, 0);
	iommu_attach_del(&list, &going);
}

static unsigned long inside;	/* as __iommu_attach_enter() returns it */

static void leave_at_barrier(void)
{
	if (--barrier_at)
		return;
	shim_mb_hook = NULL;
	__iommu_attach_leave(inside);
}

static void enter_and_leave_at_barrier(void)
{
	if (--barrier_at)
		return;
	shim_mb_hook = NULL;
	/* Of the same pair: it has looked which one to use long before. */
	this_cpu_inc(fences[0].pair[inside & 1]->enter);
	__iommu_attach_leave(inside);
}

static void rule_15_fence_sums_after_its_barrier(void **state)
{
	unsigned long cookie = iommu_attach_fence_begin(&fences[0]);

	(void)state;
	inside = __iommu_attach_enter(&fences[0]);
	/* Two of the other pair's sums; one ahead of the change; this pair's first one. */
	barrier_at = 4;
	shim_mb_hook = leave_at_barrier;
	assert_true(iommu_attach_fence_poll(&fences[0], cookie));
	assert_null(shim_mb_hook);
}

/* One that comes and goes between the sums does not stand for another one that stays. */
static void rule_15_fence_sums_leaves_first(void **state)
{
	unsigned int at;

	(void)state;
	for (at = 1; !barrier_at; at++) {
		unsigned long cookie;

		inside = __iommu_attach_enter(&fences[0]);
		cookie = iommu_attach_fence_begin(&fences[0]);
		barrier_at = at;
		shim_mb_hook = enter_and_leave_at_barrier;
		assert_false(iommu_attach_fence_poll(&fences[0], cookie));
		shim_mb_hook = NULL;
		assert_false(iommu_attach_fence_poll(&fences[0], cookie));
		__iommu_attach_leave(inside);
		assert_true(iommu_attach_fence_poll(&fences[0], cookie));
	}
	assert_true(at > 4);
	barrier_at = 0;
}

/* The same of a device that comes back. */
static void rule_14_device_is_seen_from_the_barrier_of_resume_on(void **state)
{
	struct iommu_attach_endpoint endpoint;
	struct iommu_attach_elm elm = elm_of(0, 5);

	(void)state;
	iommu_attach_endpoint_init(&endpoint);
	elm.endpoint = &endpoint;
	assert_true(iommu_attach_add(&list, &elm) >= 0);
	iommu_attach_set_aside(&endpoint);
	assert_int_equal(atcs(&list), 0);
	look_at_next_barrier();
	iommu_attach_resume(&endpoint);
	assert_null(shim_mb_hook);
	assert_int_equal(seen_atcs, 1);
	iommu_attach_del(&list, &elm);
}

static struct iommu_attach_endpoint aside[2];
static unsigned int nr_told[ARRAY_SIZE(aside)];

static void resume_at_barrier(void)
{
	if (--barrier_at)
		return;
	shim_mb_hook = NULL;
	iommu_attach_resume(&aside[0]);
}

static void block_at_barrier(void)
{
	if (--barrier_at)
		return;
	shim_mb_hook = NULL;
	iommu_attach_blocked(&aside[0]);
}

static void told_of_aside(struct iommu_device *iommu, u64 atc, void *arg)
{
	unsigned int i = atc - 5;

	(void)arg;
	assert_ptr_equal(iommu, &iommus[0]);
	assert_in_range(i, 0, ARRAY_SIZE(aside) - 1);
	assert_true(iommu_attach_is_aside(&aside[i]));
	assert_true(is_held());
	nr_told[i]++;
}

/*
 * A device that may be gone before the fence was entered is not handed to the driver; the
 * next one is.
 */
static void rule_14_what_is_left_out_is_looked_at_after_the_entry(void **state)
{
	static void (*const hooks[])(void) = {
		resume_at_barrier, block_at_barrier, disable_at_barrier,
	};
	const struct iommu_attach_flush_ops ops = {
		.iotlb = ignore_group,
		.atc = no_atc,
		.submit = no_submit,
		.wait = no_wait,
		.aside = told_of_aside,
	};
	struct iommu_attach_elm other = elm_of(0, 6);
	unsigned int at, i, j;
	bool came;

	(void)state;
	other.endpoint = &aside[1];
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		for (at = 1, came = true; came; at++) {
			for (j = 0; j < ARRAY_SIZE(aside); j++) {
				iommu_attach_endpoint_init(&aside[j]);
				iommu_attach_set_aside(&aside[j]);
				nr_told[j] = 0;
			}
			going = elm_of(0, 5);
			going.endpoint = &aside[0];
			assert_true(iommu_attach_add(&list, &going) >= 0);
			assert_true(iommu_attach_add(&list, &other) >= 0);
			barrier_at = at;
			shim_mb_hook = hooks[i];
			assert_int_equal(iommu_attach_flush(&list, &ops, NULL), -ETIMEDOUT);
			came = !shim_mb_hook;
			shim_mb_hook = NULL;
			/* The last barriers are those of leaving again. */
			assert_true(nr_told[0] <= 1);
			assert_int_equal(nr_told[1], 1);
			iommu_attach_del(&list, &going);
			iommu_attach_del(&list, &other);
		}
		assert_true(at > 7);
		assert_int_equal(nr_told[0], 1);
	}
	barrier_at = 0;
}

#define CASE(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(pitfall_02_walk_looks_after_its_barrier),
		CASE(pitfall_02_walk_loads_the_table_after_its_barrier),
		CASE(pitfall_02_flush_looks_after_its_barrier),
		CASE(pitfall_02_attach_is_seen_from_its_barrier_on),
		CASE(pitfall_02_nest_is_seen_on_both_lists_from_its_barrier_on),
		CASE(pitfall_03_atc_is_seen_from_its_barrier_on),
		CASE(pitfall_33_target_replaced_while_it_is_read),
		CASE(pitfall_26_flush_has_one_barrier),
		CASE(pitfall_40_flush_is_inside_between_its_barriers),
		CASE(pitfall_40_flush_looks_at_targets_after_its_entry),
		CASE(rule_14_device_is_seen_from_the_barrier_of_resume_on),
		CASE(rule_14_what_is_left_out_is_looked_at_after_the_entry),
		CASE(rule_15_fence_sums_after_its_barrier),
		CASE(rule_15_fence_sums_leaves_first),
	};

	return cmocka_run_group_tests_name("barriers", tests, NULL, NULL);
}
