// SPDX-License-Identifier: GPL-2.0-only
/*
 * Misuse of the attach list
 *
 * Each case does what the interface forbids and wants three things: a warning, a
 * result that says so where there is one, and a list that is as it was. In the
 * kernel the warnings are a WARN or a lockdep splat, which a test there must not
 * cause; here they are counted.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/iommu-alist.h>

#include "shim.h"

#define IOMMU(n)	((struct iommu_device *)&iommus[n])

struct attachment {
	int number;
	struct iommu_attach_elm elm;
};

struct fixture {
	struct iommu_attach_list s1, s2, other;
	struct attachment *plain;		/* on s1 */
	struct iommu_attach_nest *nest;		/* on s1 and s2 */
	unsigned long warnings;
};

static u64 iommus[2];
static struct iommu_attach_fence fences[2];

static void fill(struct iommu_attach_elm *elm, u64 tag)
{
	elm->iommu_device = IOMMU(0);
	elm->fence = &fences[0];
	elm->tag = tag;
	elm->atc = tag;
	elm->using_atc = true;
}

static struct attachment *new_attachment(void)
{
	struct attachment *attachment = kzalloc(sizeof(*attachment), GFP_KERNEL);

	assert_non_null(attachment);
	fill(&attachment->elm, 1);
	return attachment;
}

static struct iommu_attach_nest *new_nest(void)
{
	struct iommu_attach_nest *nest = kzalloc(sizeof(*nest), GFP_KERNEL);

	assert_non_null(nest);
	fill(&nest->s1, 2);
	fill(&nest->s2, 3);
	return nest;
}

static int set_up(void **state)
{
	struct fixture *f = kzalloc(sizeof(*f), GFP_KERNEL);

	assert_non_null(f);
	assert_int_equal(iommu_attach_fence_init(&fences[0]), 0);
	assert_int_equal(iommu_attach_fence_init(&fences[1]), 0);
	iommu_attach_init(&f->s1);
	iommu_attach_init(&f->s2);
	iommu_attach_init(&f->other);
	f->plain = new_attachment();
	f->nest = new_nest();
	assert_int_equal(iommu_attach_add(&f->s1, &f->plain->elm),
			 IOMMU_ATTACH_GROUP_DOMAIN);
	assert_int_equal(iommu_attach_add_nest(&f->s1, &f->s2, f->nest),
			 IOMMU_ATTACH_GROUP_DOMAIN | IOMMU_ATTACH_GROUP_PARENT);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(iommu_attach_del(&f->s1, &f->plain->elm),
			 IOMMU_ATTACH_GROUP_DOMAIN);
	assert_int_equal(iommu_attach_del_nest(&f->s1, &f->s2, f->nest),
			 IOMMU_ATTACH_GROUP_DOMAIN | IOMMU_ATTACH_GROUP_PARENT);
	iommu_attach_drain(&fences[0]);
	iommu_attach_destroy(&f->s1);
	iommu_attach_destroy(&f->s2);
	iommu_attach_destroy(&f->other);
	iommu_attach_fence_destroy(&fences[0]);
	iommu_attach_fence_destroy(&fences[1]);
	kfree(f->plain);
	kfree(f->nest);
	kfree(f);
	shim_rcu_barrier();
	assert_int_equal(shim_live(), 0);
	return 0;
}

static void expect_warning(struct fixture *f)
{
	shim_warn_reset();
	shim_warn_expect(true);
	f->warnings = shim_warnings();
}

static void count_walk(struct iommu_attach_list *alist, int groups, int targets)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	u64 atc;

	iommu_attach_walk_begin(&walk, alist);
	iommu_attach_for_each_group(group, &walk)
		groups--;
	iommu_attach_for_each_atc(group, atc, &walk)
		targets--;
	iommu_attach_walk_end(&walk);
	assert_int_equal(groups, 0);
	assert_int_equal(targets, 0);
}

/* There was one, and the lists are what set_up() made of them. */
static void was_warned(struct fixture *f)
{
	shim_warn_expect(false);
	assert_true(shim_warnings() > f->warnings);
	count_walk(&f->s1, 2, 2);
	count_walk(&f->s2, 1, 1);
	count_walk(&f->other, 0, 0);
	assert_true(iommu_attach_empty(&f->other));
}

static void rule_11_add_twice(void **state)
{
	struct fixture *f = *state;

	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->s1, &f->plain->elm), -EEXIST);
	was_warned(f);

	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->other, &f->plain->elm), -EEXIST);
	was_warned(f);
}

static void rule_11_add_nest_twice(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_nest *nest = new_nest();

	expect_warning(f);
	assert_int_equal(iommu_attach_add_nest(&f->s1, &f->s2, f->nest), -EEXIST);
	was_warned(f);

	/* One half on a list by itself. */
	assert_true(iommu_attach_add(&f->other, &nest->s2) >= 0);
	shim_warn_reset();
	shim_warn_expect(true);
	assert_int_equal(iommu_attach_add_nest(&f->s1, &f->s2, nest), -EEXIST);
	shim_warn_expect(false);
	iommu_attach_del(&f->other, &nest->s2);
	iommu_attach_drain(&fences[0]);
	count_walk(&f->s1, 2, 2);
	count_walk(&f->s2, 1, 1);
	kfree(nest);
}

static void rule_11_add_of_what_is_out_of_range(void **state)
{
	struct fixture *f = *state;
	struct attachment *attachment = new_attachment();
	struct iommu_attach_fence none = { 0 };
	int bit;

	attachment->elm.iommu_device = NULL;
	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->other, &attachment->elm), -EINVAL);
	was_warned(f);

	attachment->elm.iommu_device = IOMMU(0);
	attachment->elm.fence = NULL;
	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->other, &attachment->elm), -EINVAL);
	was_warned(f);

	/* One that is another IOMMU's, and one that was never initialised. */
	attachment->elm.iommu_device = IOMMU(1);
	attachment->elm.fence = &fences[0];
	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->other, &attachment->elm), -EINVAL);
	was_warned(f);
	attachment->elm.fence = &none;
	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->other, &attachment->elm), -EINVAL);
	was_warned(f);
	assert_true(iommu_attach_empty(&f->other));

	attachment->elm.iommu_device = IOMMU(0);
	attachment->elm.fence = &fences[0];
	attachment->elm.kind = IOMMU_ATTACH_NEST + 1;
	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->other, &attachment->elm), -EINVAL);
	was_warned(f);

	attachment->elm.kind = IOMMU_ATTACH_OWN;
	for (bit = 61; bit < 64; bit++) {
		attachment->elm.atc = 1ULL << bit;
		expect_warning(f);
		assert_int_equal(iommu_attach_add(&f->other, &attachment->elm), -EINVAL);
		was_warned(f);
	}
	kfree(attachment);
}

static void rule_11_nest_on_one_list(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_nest *nest = new_nest();

	expect_warning(f);
	assert_int_equal(iommu_attach_add_nest(&f->other, &f->other, nest),
			 -EINVAL);
	was_warned(f);
	kfree(nest);
}

static void rule_11_nest_on_two_iommus(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_nest *nest = new_nest();

	nest->s2.iommu_device = IOMMU(1);
	expect_warning(f);
	assert_int_equal(iommu_attach_add_nest(&f->s1, &f->s2, nest), -EINVAL);
	was_warned(f);

	nest->s2.iommu_device = IOMMU(0);
	nest->s2.fence = &fences[1];
	expect_warning(f);
	assert_int_equal(iommu_attach_add_nest(&f->s1, &f->s2, nest), -EINVAL);
	was_warned(f);
	kfree(nest);
}

/* The parent's flush would pass over the ATC. */
static void rule_11_nest_with_an_atc_on_one_side(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_nest *nest = new_nest();

	nest->s2.using_atc = !nest->s1.using_atc;
	expect_warning(f);
	assert_int_equal(iommu_attach_add_nest(&f->s1, &f->s2, nest), -EINVAL);
	was_warned(f);
	kfree(nest);
}

static void rule_11_two_attachments_are_no_nest(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_nest *nest = new_nest();
	struct iommu_attach_list s1, s2;

	iommu_attach_init(&s1);
	iommu_attach_init(&s2);
	assert_true(iommu_attach_add(&s1, &nest->s1) >= 0);
	assert_true(iommu_attach_add(&s2, &nest->s2) >= 0);

	expect_warning(f);
	assert_int_equal(iommu_attach_del_nest(&s1, &s2, nest), -ENOENT);
	was_warned(f);

	assert_int_equal(iommu_attach_del(&s1, &nest->s1), IOMMU_ATTACH_GROUP_DOMAIN);
	assert_int_equal(iommu_attach_del(&s2, &nest->s2), IOMMU_ATTACH_GROUP_DOMAIN);
	iommu_attach_drain(&fences[0]);
	iommu_attach_destroy(&s1);
	iommu_attach_destroy(&s2);
	kfree(nest);
}

static void expect_no_nest(struct fixture *f, struct iommu_attach_list *s1,
			   struct iommu_attach_list *s2, struct iommu_attach_nest *nest)
{
	expect_warning(f);
	assert_int_equal(iommu_attach_del_nest(s1, s2, nest), -ENOENT);
	was_warned(f);
}

/* One half is on a list, as something else; or a half was written to. */
static void rule_11_half_a_nest_is_no_nest(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_nest *nest = new_nest();
	struct iommu_attach_list s1, s2;

	iommu_attach_init(&s1);
	iommu_attach_init(&s2);
	assert_true(iommu_attach_add(&s1, &nest->s1) >= 0);
	expect_no_nest(f, &s1, &s2, nest);
	assert_int_equal(iommu_attach_del(&s1, &nest->s1), IOMMU_ATTACH_GROUP_DOMAIN);
	iommu_attach_drain(&fences[0]);
	iommu_attach_destroy(&s1);
	iommu_attach_destroy(&s2);
	kfree(nest);

	f->nest->s2.nested = false;
	expect_no_nest(f, &f->s1, &f->s2, f->nest);
	f->nest->s2.nested = true;
}

static void rule_11_delete_from_another_list(void **state)
{
	struct fixture *f = *state;

	expect_warning(f);
	assert_int_equal(iommu_attach_del(&f->other, &f->plain->elm), -ENOENT);
	was_warned(f);

	expect_warning(f);
	assert_int_equal(iommu_attach_del_nest(&f->s1, &f->other, f->nest), -ENOENT);
	was_warned(f);

	expect_warning(f);
	assert_int_equal(iommu_attach_del_nest(&f->s2, &f->s1, f->nest), -ENOENT);
	was_warned(f);
}

/* The memory is on a list still: to free it would be worse than to leak it. */
static void rule_11_delete_and_free_from_another_list(void **state)
{
	struct fixture *f = *state;
	struct {
		struct iommu_attach_nest nest;
	} *half = (void *)f->nest;

	expect_warning(f);
	assert_int_equal(iommu_attach_del_free(&f->other, f->plain, elm), -ENOENT);
	was_warned(f);

	expect_warning(f);
	assert_int_equal(iommu_attach_del_nest_free(&f->other, &f->s2, half, nest), -ENOENT);
	was_warned(f);
	assert_int_equal(f->plain->number, 0);
}

static void rule_11_delete_of_what_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct attachment *attachment = new_attachment();
	struct iommu_attach_nest *nest = new_nest();

	expect_warning(f);
	assert_int_equal(iommu_attach_del(&f->s1, &attachment->elm), -ENOENT);
	was_warned(f);

	expect_warning(f);
	assert_int_equal(iommu_attach_del_nest(&f->s1, &f->s2, nest), -ENOENT);
	was_warned(f);

	assert_true(iommu_attach_add(&f->s1, &attachment->elm) >= 0);
	iommu_attach_del(&f->s1, &attachment->elm);
	expect_warning(f);
	assert_int_equal(iommu_attach_del(&f->s1, &attachment->elm), -ENOENT);
	was_warned(f);

	iommu_attach_drain(&fences[0]);
	kfree(attachment);
	kfree(nest);
}

struct deletes {
	struct fixture *f;
	int ret[2];
	int nr;
};

static void *delete_nest(void *arg)
{
	struct deletes *deletes = arg;
	int nr = __atomic_fetch_add(&deletes->nr, 1, __ATOMIC_RELAXED);

	deletes->ret[nr] = iommu_attach_del_nest(&deletes->f->s1, &deletes->f->s2,
						 deletes->f->nest);
	return NULL;
}

/* Both have seen it on the lists, and wait for the locks. */
static void rule_11_two_deletes_of_a_nest_at_once(void **state)
{
	struct deletes deletes = { .f = *state };
	const int both = IOMMU_ATTACH_GROUP_DOMAIN | IOMMU_ATTACH_GROUP_PARENT;
	pthread_t thread[2];
	int i;

	expect_warning(deletes.f);
	iommu_attach_lock(&deletes.f->s2);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, delete_nest, &deletes), 0);
	usleep(50000);
	iommu_attach_unlock(&deletes.f->s2);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	i = deletes.ret[0] < 0;
	assert_int_equal(deletes.ret[i], both);
	assert_int_equal(deletes.ret[!i], -ENOENT);

	iommu_attach_drain(&fences[0]);
	assert_int_equal(iommu_attach_add_nest(&deletes.f->s1, &deletes.f->s2, deletes.f->nest),
			 both);
	was_warned(deletes.f);
}

static void rule_11_delete_of_half_a_nest(void **state)
{
	struct fixture *f = *state;

	expect_warning(f);
	assert_int_equal(iommu_attach_del(&f->s1, &f->nest->s1), -ENOENT);
	was_warned(f);

	expect_warning(f);
	assert_int_equal(iommu_attach_del(&f->s2, &f->nest->s2), -ENOENT);
	was_warned(f);
}

/* What another device's slot holds is none of its business. */
static void pitfall_43_value_changed_while_attached(void **state)
{
	struct fixture *f = *state;
	struct attachment *first = new_attachment(), *twin = new_attachment();
	struct attachment *second = new_attachment();

	first->elm.atc = 10;
	twin->elm.atc = 10;
	second->elm.atc = 11;
	assert_true(iommu_attach_add(&f->other, &first->elm) >= 0);
	assert_true(iommu_attach_add(&f->other, &twin->elm) >= 0);
	assert_true(iommu_attach_add(&f->other, &second->elm) >= 0);
	count_walk(&f->other, 1, 2);

	/* Its twin still uses the target that they had. */
	first->elm.atc = 11;
	shim_warn_reset();
	shim_warn_expect(true);
	f->warnings = shim_warnings();
	iommu_attach_del(&f->other, &first->elm);
	shim_warn_expect(false);
	assert_int_equal(shim_warnings(), f->warnings + 1);
	count_walk(&f->other, 1, 2);

	/* And now none does; the other target stays. */
	twin->elm.atc = 11;
	shim_warn_reset();
	shim_warn_expect(true);
	iommu_attach_disable_atc(&twin->elm);
	shim_warn_expect(false);
	assert_int_equal(shim_warnings(), f->warnings + 2);
	count_walk(&f->other, 1, 1);
	iommu_attach_del(&f->other, &twin->elm);
	iommu_attach_del(&f->other, &second->elm);
	iommu_attach_drain(&fences[0]);
	kfree(first);
	kfree(twin);
	kfree(second);
}

/* One target is of one device, which the other attachment is of, too, then. */
static void rule_11_two_endpoints_of_one_target(void **state)
{
	struct fixture *f = *state;
	struct attachment *first = new_attachment(), *twin = new_attachment();
	struct iommu_attach_endpoint endpoint[2];

	iommu_attach_endpoint_init(&endpoint[0]);
	iommu_attach_endpoint_init(&endpoint[1]);
	first->elm.endpoint = &endpoint[0];
	twin->elm.endpoint = &endpoint[1];
	assert_true(iommu_attach_add(&f->other, &first->elm) >= 0);
	shim_warn_reset();
	shim_warn_expect(true);
	f->warnings = shim_warnings();
	assert_int_equal(iommu_attach_add(&f->other, &twin->elm), 0);
	shim_warn_expect(false);
	assert_true(shim_warnings() > f->warnings);
	iommu_attach_set_aside(&endpoint[1]);
	count_walk(&f->other, 1, 1);
	iommu_attach_set_aside(&endpoint[0]);
	count_walk(&f->other, 1, 0);
	iommu_attach_del(&f->other, &first->elm);
	iommu_attach_resume(&endpoint[0]);
	count_walk(&f->other, 1, 1);
	iommu_attach_del(&f->other, &twin->elm);
	iommu_attach_drain(&fences[0]);
	kfree(first);
	kfree(twin);
}

/* All of an array are of one group, and there is a limit. */
static void rule_11_arrays_that_are_none(void **state)
{
	enum { NR = IOMMU_ATTACH_ARRAY_MAX + 1 };
	struct iommu_attach_elm *elm = kvzalloc(NR * sizeof(*elm), GFP_KERNEL);
	struct fixture *f = *state;
	unsigned int i, field;

	assert_non_null(elm);
	for (field = 0; field < 7; field++) {
		for (i = 0; i < NR; i++) {
			memset(&elm[i], 0, sizeof(elm[i]));
			fill(&elm[i], 1);
			elm[i].atc = i;
		}
		switch (field) {
		case 0:
			elm[2].iommu_device = IOMMU(1);
			elm[2].fence = &fences[1];
			break;
		case 1:
			elm[2].tag = 2;
			break;
		case 2:
			elm[2].kind = IOMMU_ATTACH_NEST;
			break;
		case 3:
			elm[2].using_atc = false;
			break;
		case 4:
			elm[2].atc = IOMMU_ATTACH_LIVE;
			break;
		case 5:
			elm[2].fence = &fences[1];
		}
		expect_warning(f);
		assert_int_equal(iommu_attach_add_array(&f->other, elm, field < 6 ? 3 : NR),
				 -EINVAL);
		was_warned(f);
	}
	kvfree(elm);
}

/* What was attached leaves the endpoint that it joined, whatever the field says by then. */
static void rule_11_endpoint_changed_while_attached(void **state)
{
	struct fixture *f = *state;
	struct attachment *first = new_attachment(), *second = new_attachment();
	struct iommu_attach_endpoint endpoint[2];

	iommu_attach_endpoint_init(&endpoint[0]);
	iommu_attach_endpoint_init(&endpoint[1]);
	first->elm.endpoint = &endpoint[0];
	second->elm.endpoint = &endpoint[0];
	second->elm.atc = 2;
	assert_true(iommu_attach_add(&f->other, &first->elm) >= 0);
	assert_true(iommu_attach_add(&f->other, &second->elm) >= 0);

	/* To another device's, and to none. */
	first->elm.endpoint = &endpoint[1];
	second->elm.endpoint = NULL;
	expect_warning(f);
	iommu_attach_disable_atc(&first->elm);
	assert_int_equal(shim_warnings(), f->warnings + 1);
	expect_warning(f);
	iommu_attach_del(&f->other, &second->elm);
	shim_warn_expect(false);
	assert_int_equal(shim_warnings(), f->warnings + 1);
	assert_true(list_empty(&endpoint[0].elms));
	assert_true(list_empty(&endpoint[1].elms));

	/* Without an ATC, the endpoint may change. */
	f->warnings = shim_warnings();
	assert_int_equal(iommu_attach_enable_atc(&first->elm), 0);
	iommu_attach_set_aside(&endpoint[0]);
	count_walk(&f->other, 1, 1);
	iommu_attach_set_aside(&endpoint[1]);
	count_walk(&f->other, 1, 0);
	iommu_attach_del(&f->other, &first->elm);
	assert_int_equal(shim_warnings(), f->warnings);
	iommu_attach_drain(&fences[0]);
	kfree(first);
	kfree(second);
}

static void rule_11_two_fences_of_one_group(void **state)
{
	struct fixture *f = *state;
	struct attachment *twin = new_attachment();

	twin->elm.atc = f->plain->elm.atc;
	twin->elm.fence = &fences[1];
	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->s1, &twin->elm), 0);
	was_warned(f);
	iommu_attach_del(&f->s1, &twin->elm);
	iommu_attach_drain(&fences[0]);
	kfree(twin);
}

static void rule_11_two_fences_of_one_iommu(void **state)
{
	struct fixture *f = *state;
	struct attachment *other = new_attachment();

	other->elm.iommu_device = f->plain->elm.iommu_device;
	other->elm.tag = f->plain->elm.tag + 1000;
	other->elm.fence = &fences[1];
	expect_warning(f);
	assert_int_equal(iommu_attach_add(&f->s1, &other->elm), IOMMU_ATTACH_GROUP_DOMAIN);
	iommu_attach_del(&f->s1, &other->elm);
	was_warned(f);
	iommu_attach_drain(&fences[1]);
	kfree(other);
}

static void rule_11_destroy_of_a_list_in_use(void **state)
{
	struct fixture *f = *state;

	expect_warning(f);
	iommu_attach_destroy(&f->s1);
	was_warned(f);
}

/* To enable is a race that the driver may lose; to disable is not. */
static void rule_11_atc_of_what_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct attachment *attachment = new_attachment();

	assert_int_equal(iommu_attach_enable_atc(&attachment->elm), -ENOENT);
	assert_null(attachment->elm.slots);

	expect_warning(f);
	iommu_attach_disable_atc(&attachment->elm);
	was_warned(f);
	kfree(attachment);
}

static void rule_11_atc_out_of_range(void **state)
{
	struct fixture *f = *state;
	struct attachment *attachment = new_attachment();

	attachment->elm.using_atc = false;
	attachment->elm.tag = 9;
	assert_true(iommu_attach_add(&f->other, &attachment->elm) >= 0);
	attachment->elm.atc = 1ULL << 63;
	shim_warn_reset();
	shim_warn_expect(true);
	assert_int_equal(iommu_attach_enable_atc(&attachment->elm), -EINVAL);
	shim_warn_expect(false);
	count_walk(&f->other, 1, 0);
	iommu_attach_del(&f->other, &attachment->elm);
	iommu_attach_drain(&fences[0]);
	kfree(attachment);
}

static void rule_11_atc_of_a_nest_out_of_range(void **state)
{
	struct fixture *f = *state;
	u64 atc = f->nest->s2.atc;

	f->nest->s2.atc = 1ULL << 63;
	expect_warning(f);
	assert_int_equal(iommu_attach_enable_atc(&f->nest->s1), -EINVAL);
	f->nest->s2.atc = atc;
	was_warned(f);
}

#ifdef CONFIG_PROVE_LOCKING

static void rule_11_walk_outside_its_section(void **state)
{
	struct fixture *f = *state;
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	struct attachment *pos;
	u64 atc;

	iommu_attach_walk_begin(&walk, &f->s1);
	iommu_attach_walk_end(&walk);

	expect_warning(f);
	iommu_attach_for_each_group(group, &walk)
		fail_msg("a group after the walk's end");
	was_warned(f);

	expect_warning(f);
	iommu_attach_for_each_iommu(group, &walk)
		fail_msg("an IOMMU after the walk's end");
	was_warned(f);

	/* What these find is not made up: nothing has been freed. */
	expect_warning(f);
	iommu_attach_for_each_atc(group, atc, &walk)
		assert_in_range(atc, 1, 2);
	was_warned(f);

	expect_warning(f);
	iommu_attach_for_each_all(pos, &walk, elm)
		assert_ptr_equal(pos->elm.iommu_device, IOMMU(0));
	was_warned(f);
}

static void rule_11_locked_view_without_lock(void **state)
{
	struct fixture *f = *state;
	struct attachment *pos;
	int nr = 0;

	expect_warning(f);
	iommu_attach_for_each_locked(pos, &f->s1, elm)
		nr++;
	was_warned(f);
	assert_int_equal(nr, 2);

	/* Another list's lock is none. */
	iommu_attach_lock(&f->other);
	expect_warning(f);
	iommu_attach_elm_device(&f->plain->elm);
	shim_warn_expect(false);
	iommu_attach_unlock(&f->other);
	was_warned(f);
}

static void ignore_group(const struct iommu_attach_group *group, void *arg)
{
	(void)group;
	(void)arg;
}

static u64 ignore_submit(struct iommu_device *iommu_device, void *arg)
{
	(void)iommu_device;
	(void)arg;
	return 0;
}

static int add_in_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct fixture *f = arg;
	struct attachment *attachment = new_attachment();

	(void)iommu_device;
	(void)cookie;
	/* Takes memory, which may sleep. */
	assert_true(iommu_attach_add(&f->other, &attachment->elm) >= 0);
	iommu_attach_del_free(&f->other, attachment, elm);
	return 0;
}

static void rule_11_attach_inside_a_walk(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_flush_ops ops = {
		.iotlb = ignore_group,
		.submit = ignore_submit,
		.wait = add_in_wait,
	};

	expect_warning(f);
	iommu_attach_flush(&f->s1, &ops, f);
	was_warned(f);
}

static void ignore_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	(void)group;
	(void)atc;
	(void)arg;
}

/* Of an IOMMU that the flush is not inside of, or it would wait for ever. */
static int fence_in_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	(void)iommu_device;
	(void)cookie;
	(void)arg;
	iommu_attach_fence(&fences[1]);
	return 0;
}

static void pitfall_39_fence_inside_a_flush(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_flush_ops ops = {
		.iotlb = ignore_group,
		.atc = ignore_atc,
		.submit = ignore_submit,
		.wait = fence_in_wait,
	};

	/* Outside of one there is nothing to say against it. */
	f->warnings = shim_warnings();
	iommu_attach_fence(&fences[1]);
	assert_int_equal(shim_warnings(), f->warnings);
	expect_warning(f);
	assert_int_equal(iommu_attach_flush(&f->s1, &ops, f), 0);
	was_warned(f);
	f->warnings = shim_warnings();
	iommu_attach_fence(&fences[0]);
	assert_int_equal(shim_warnings(), f->warnings);
}

/* A fence sleeps. */
static void rule_11_fence_inside_a_walk(void **state)
{
	struct fixture *f = *state;
	struct iommu_attach_walk walk;

	iommu_attach_walk_begin(&walk, &f->s1);
	expect_warning(f);
	iommu_attach_fence(&fences[1]);
	was_warned(f);
	iommu_attach_walk_end(&walk);
}

#endif

#define CASE(function)	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(rule_11_add_twice),
		CASE(rule_11_add_nest_twice),
		CASE(rule_11_add_of_what_is_out_of_range),
		CASE(rule_11_nest_on_one_list),
		CASE(rule_11_nest_on_two_iommus),
		CASE(rule_11_nest_with_an_atc_on_one_side),
		CASE(rule_11_two_attachments_are_no_nest),
		CASE(rule_11_half_a_nest_is_no_nest),
		CASE(rule_11_delete_from_another_list),
		CASE(rule_11_delete_and_free_from_another_list),
		CASE(rule_11_delete_of_what_is_not_there),
		CASE(rule_11_two_deletes_of_a_nest_at_once),
		CASE(rule_11_delete_of_half_a_nest),
		CASE(rule_11_destroy_of_a_list_in_use),
		CASE(pitfall_43_value_changed_while_attached),
		CASE(rule_11_two_endpoints_of_one_target),
		CASE(rule_11_arrays_that_are_none),
		CASE(rule_11_endpoint_changed_while_attached),
		CASE(rule_11_two_fences_of_one_group),
		CASE(rule_11_two_fences_of_one_iommu),
		CASE(rule_11_atc_of_what_is_not_there),
		CASE(rule_11_atc_out_of_range),
		CASE(rule_11_atc_of_a_nest_out_of_range),
#ifdef CONFIG_PROVE_LOCKING
		CASE(rule_11_walk_outside_its_section),
		CASE(rule_11_locked_view_without_lock),
		CASE(rule_11_attach_inside_a_walk),
		CASE(pitfall_39_fence_inside_a_flush),
		CASE(rule_11_fence_inside_a_walk),
#endif
	};

	return cmocka_run_group_tests_name("misuse", tests, NULL, NULL);
}
