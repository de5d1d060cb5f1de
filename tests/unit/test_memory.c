// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that the attach list takes, and gives back
 *
 * What KUnit cannot see: how much is allocated, and when it is really freed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/iommu-alist.h>

#include "shim.h"

#define IOMMU(n)	((struct iommu_device *)&iommus[n])
#define NR_MANY		300

static u64 iommus[4];
static struct iommu_attach_fence fences[4];
static struct iommu_attach_list list, other;
static struct iommu_attach_elm *many[NR_MANY];

static struct iommu_attach_elm *new_elm(u32 iommu, u64 tag, u64 atc)
{
	struct iommu_attach_elm *elm = kzalloc(sizeof(*elm), GFP_KERNEL);

	assert_non_null(elm);
	elm->iommu_device = IOMMU(iommu);
	elm->fence = &fences[iommu];
	elm->tag = tag;
	elm->atc = atc;
	elm->using_atc = atc;
	return elm;
}

static int set_up(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(iommu_attach_fence_init(&fences[i]), 0);
	iommu_attach_init(&list);
	iommu_attach_init(&other);
	return 0;
}

static int tear_down(void **state)
{
	u32 i;

	(void)state;
	iommu_attach_destroy(&list);
	iommu_attach_destroy(&other);
	for (i = 0; i < 4; i++)
		iommu_attach_fence_destroy(&fences[i]);
	shim_rcu_barrier();
	assert_int_equal(shim_live(), 0);
	return 0;
}

static void attach_many(void)
{
	u32 i;

	for (i = 0; i < NR_MANY; i++) {
		many[i] = new_elm(i % 4, i, i + 1);
		assert_true(iommu_attach_add(&list, many[i]) >= 0);
	}
}

static void del_free(struct iommu_attach_list *alist, struct iommu_attach_elm *elm)
{
	assert_true(iommu_attach_del(alist, elm) >= 0);
	kfree_rcu(elm, rcu);
}

static void detach_many(void)
{
	u32 i;

	for (i = 0; i < NR_MANY; i++)
		del_free(&list, many[i]);
}

/* A list keeps nothing for attachments that are gone. */
static void rule_06_emptied_list_gives_back_all(void **state)
{
	u32 round;

	(void)state;
	for (round = 0; round < 3; round++) {
		attach_many();
		shim_rcu_barrier();
		assert_true(shim_live() > NR_MANY);
		detach_many();
		shim_rcu_barrier();
		assert_int_equal(shim_live(), 0);
	}
}

/* With all tables but the last one freed. */
static unsigned long bytes_of_many(void)
{
	unsigned long bytes;

	attach_many();
	shim_rcu_barrier();
	bytes = shim_live_bytes();
	detach_many();
	shim_rcu_barrier();
	return bytes;
}

static void ignore_group(const struct iommu_attach_group *group, void *arg)
{
	(void)group;
	(void)arg;
}

static void ignore_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	(void)group;
	(void)atc;
	(void)arg;
}

static u64 ignore_submit(struct iommu_device *iommu, void *arg)
{
	(void)iommu;
	(void)arg;
	return 0;
}

/* A device that does not answer: meanwhile, many tables come and go on its list. */
static int attach_while_waiting(struct iommu_device *iommu, u64 cookie, void *arg)
{
	unsigned long *bytes = arg;

	(void)iommu;
	(void)cookie;
	/* The first look may be in RCU where no ATC is in use. */
	if (!*bytes) {
		*bytes = 1;
		return -EINPROGRESS;
	}
	*bytes = bytes_of_many();
	return 0;
}

static void rule_12_memory_is_freed_beside_a_slow_flush(void **state)
{
	static const struct iommu_attach_flush_ops ops = {
		.iotlb = ignore_group,
		.atc = ignore_atc,
		.submit = ignore_submit,
		.wait = attach_while_waiting,
	};
	unsigned long alone, beside;
	struct iommu_attach_elm *elm;
	u64 atc;

	(void)state;
	for (atc = 0; atc < 2; atc++) {
		elm = new_elm(0, 1000, atc);
		assert_true(iommu_attach_add(&other, elm) >= 0);
		alone = bytes_of_many();
	beside = 0;
		assert_int_equal(iommu_attach_flush(&other, &ops, &beside), 0);
		/* What the allocator rounds up to is not always the same. */
		assert_in_range(beside, alone / 2, alone + alone / 5);
		del_free(&other, elm);
	}
}

/* All of it, or none: counters are few, and would be used up. */
static void rule_15_fence_without_memory(void **state)
{
	struct iommu_attach_fence fence;
	u32 i, nth;

	(void)state;
	for (nth = 1; nth <= 2; nth++) {
		for (i = 0; i < 70000; i++) {
			shim_fail_nth(nth);
			assert_int_equal(iommu_attach_fence_init(&fence), -ENOMEM);
			/* As one that never was. */
			iommu_attach_fence_destroy(&fence);
		}
	}
	assert_int_equal(iommu_attach_fence_init(&fence), 0);
	iommu_attach_fence(&fence);
	iommu_attach_fence_destroy(&fence);
}

#define CASE(function)	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(rule_06_emptied_list_gives_back_all),
		CASE(rule_12_memory_is_freed_beside_a_slow_flush),
		CASE(rule_15_fence_without_memory),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
