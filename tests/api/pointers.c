// SPDX-License-Identifier: GPL-2.0-only
// Each function, with each of its pointers wrong in turn: NULL, to zeroes, to what no function
// of the library has written. It says so, and neither crashes nor hangs: each call is a
// process. And none of them takes what is good for wrong.
#include <sys/wait.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list, parent;
static struct iommu_attach_elm *elm, apart;	/* attached, and not */
static struct iommu_attach_nest *nested, nest;
static struct iommu_attach_endpoint endpoint;
static struct iommu_attach_walk walk;
static const struct iommu_attach_group *group;
static uint64_t number;
static struct iommu_attach_counters counters;

/* What a wrong pointer is to. */
enum kind { LIST, PARENT, FENCE, ENDPOINT, ELM, ATTACHED, NEST, NESTED, OPS, WALK, PLACE, COUNTERS,
	    LISTS };

static void release(struct iommu_attach_elm *which)
{
	(void)which;
}

static void walking(void)
{
	iommu_attach_walk_begin(&walk, &list);
	group = iommu_attach_first_group(&walk);
}

static void *good(enum kind kind)
{
	static struct iommu_attach_list *lists[] = { &list, &parent };

	switch (kind) {
	case LIST:
		return &list;
	case PARENT:
		return &parent;
	case FENCE:
		return &iommu.fence;
	case ENDPOINT:
		return &endpoint;
	case ELM:
		return &apart;
	case ATTACHED:
		return elm;
	case NEST:
		return &nest;
	case NESTED:
		return nested;
	case OPS:
		return (void *)&ops;
	case WALK:
		return &walk;
	case PLACE:
		return &number;
	case COUNTERS:
		return &counters;
	case LISTS:
		return lists;
	}
	return NULL;
}

#define CALL(name, kind, ...)						\
	static void name##_##kind(void *p)				\
	{								\
		__VA_ARGS__;						\
	}

CALL(init, LIST, iommu_attach_init(p))
CALL(destroy, LIST, iommu_attach_destroy(p))
CALL(empty, LIST, iommu_attach_empty(p))
CALL(elm_set_device, ELM, iommu_attach_elm_set_device(p, NULL))
CALL(find_tag, LIST, iommu_attach_find_tag(p, &iommu, &number))
CALL(find_tag, PLACE, iommu_attach_find_tag(&list, &iommu, p))
CALL(add, LIST, iommu_attach_add(p, &apart))
CALL(add, ELM, iommu_attach_add(&list, p))
CALL(add_array, LIST, iommu_attach_add_array(p, &apart, 1))
CALL(add_array, ELM, iommu_attach_add_array(&list, p, 1))
CALL(add_nest, LIST, iommu_attach_add_nest(p, &parent, &nest))
CALL(add_nest, PARENT, iommu_attach_add_nest(&list, p, &nest))
CALL(add_nest, NEST, iommu_attach_add_nest(&list, &parent, p))
CALL(del, LIST, iommu_attach_del(p, elm))
CALL(del, ATTACHED, iommu_attach_del(&list, p))
CALL(del_nest, LIST, iommu_attach_del_nest(p, &parent, nested))
CALL(del_nest, PARENT, iommu_attach_del_nest(&list, p, nested))
CALL(del_nest, NESTED, iommu_attach_del_nest(&list, &parent, p))
CALL(fence_init, FENCE, iommu_attach_fence_init(p))
CALL(fence_destroy, FENCE, iommu_attach_fence_destroy(p))
CALL(fence, FENCE, iommu_attach_fence(p))
CALL(fence_begin, FENCE, iommu_attach_fence_begin(p))
CALL(fence_poll, FENCE, iommu_attach_fence_poll(p, 0))
CALL(fence_wait, FENCE, iommu_attach_fence_wait(p, 0))
CALL(drain, FENCE, iommu_attach_drain(p))
CALL(defer, ELM, iommu_attach_defer(p, release))
CALL(del_free_at, LIST, iommu_attach_del_free_at(p, elm, 0))
CALL(del_free_at, ATTACHED, iommu_attach_del_free_at(&list, p, 0))
CALL(del_nest_free_at, LIST, iommu_attach_del_nest_free_at(p, &parent, nested, 0))
CALL(del_nest_free_at, NESTED, iommu_attach_del_nest_free_at(&list, &parent, p, 0))
CALL(enable_atc, ATTACHED, iommu_attach_enable_atc(p))
CALL(disable_atc, ATTACHED, iommu_attach_disable_atc(p))
CALL(endpoint_init, ENDPOINT, iommu_attach_endpoint_init(p))
CALL(set_aside, ENDPOINT, iommu_attach_set_aside(p))
CALL(blocked, ENDPOINT, iommu_attach_blocked(p))
CALL(resume, ENDPOINT, iommu_attach_resume(p))
CALL(is_aside, ENDPOINT, iommu_attach_is_aside(p))
CALL(flush, LIST, iommu_attach_flush(p, &ops, NULL))
CALL(flush, OPS, iommu_attach_flush(&list, p, NULL))
CALL(flush_lists, LISTS, iommu_attach_flush_lists(p, 2, &ops, NULL))
CALL(flush_lists, OPS, iommu_attach_flush_lists(good(LISTS), 2, p, NULL))
CALL(walk_begin, WALK, iommu_attach_walk_begin(p, &list))
CALL(walk_begin, LIST, iommu_attach_walk_begin(&walk, p))
CALL(walk_end, WALK, walking(); iommu_attach_walk_end(p))
CALL(first_group, WALK, walking(); iommu_attach_first_group(p))
CALL(next_group, WALK, walking(); iommu_attach_next_group(p))
CALL(next_iommu, WALK, walking(); iommu_attach_next_iommu(p, group))
CALL(first_atc, WALK, walking(); iommu_attach_first_atc(p, &number))
CALL(first_atc, PLACE, walking(); iommu_attach_first_atc(&walk, p))
CALL(next_atc, WALK, walking(); iommu_attach_first_atc(&walk, &number);
     iommu_attach_next_atc(p, &number))
CALL(next_atc, PLACE, walking(); iommu_attach_first_atc(&walk, &number);
     iommu_attach_next_atc(&walk, p))
CALL(first_all, WALK, walking(); iommu_attach_first_all(p, 0))
CALL(next_all, WALK, walking(); iommu_attach_next_all(p, elm, 0))
CALL(next_all, ATTACHED, walking(); iommu_attach_next_all(&walk, p, 0))
CALL(lock, LIST, iommu_attach_lock(p))
CALL(unlock, LIST, iommu_attach_lock(&list); iommu_attach_unlock(p))
CALL(first_locked, LIST, iommu_attach_lock(&list); iommu_attach_first_locked(p, 0))
CALL(next_locked, LIST, iommu_attach_lock(&list); iommu_attach_next_locked(p, elm, 0))
CALL(next_locked, ATTACHED, iommu_attach_lock(&list); iommu_attach_next_locked(&list, p, 0))
CALL(elm_device, ATTACHED, iommu_attach_lock(&list); iommu_attach_elm_device(p))
CALL(find_elm, LIST, iommu_attach_lock(&list); iommu_attach_find_elm(p, NULL, 0))
CALL(read_counters, COUNTERS, iommu_attach_read_counters(NULL, p))

/* Which pointers may be wrong how, and nothing is to be said. */
#define ANY_ZERO	1	/* zeroes are fine */
#define ANY_GARBAGE	2	/* it is not looked at */
#define NO_GARBAGE	4	/* nothing tells it from what is good */
#define BUSY		8	/* the good one is in use */

static const struct {
	const char *name;
	enum kind kind;
	void (*call)(void *p);
	int fine;
} calls[] = {
#define ROW(name, kind, fine)	{ #name, kind, name##_##kind, fine }
	ROW(init, LIST, ANY_ZERO | ANY_GARBAGE),
	ROW(destroy, LIST, BUSY),
	ROW(empty, LIST, 0),
	ROW(elm_set_device, ELM, ANY_ZERO),
	ROW(find_tag, LIST, 0),
	ROW(find_tag, PLACE, ANY_ZERO | ANY_GARBAGE),
	ROW(add, LIST, 0),
	ROW(add, ELM, 0),
	ROW(add_array, LIST, 0),
	ROW(add_array, ELM, 0),
	ROW(add_nest, LIST, 0),
	ROW(add_nest, PARENT, 0),
	ROW(add_nest, NEST, 0),
	ROW(del, LIST, 0),
	ROW(del, ATTACHED, 0),
	ROW(del_nest, LIST, 0),
	ROW(del_nest, PARENT, 0),
	ROW(del_nest, NESTED, 0),
	ROW(fence_init, FENCE, ANY_ZERO | ANY_GARBAGE),
	ROW(fence_destroy, FENCE, ANY_ZERO | BUSY),
	ROW(fence, FENCE, 0),
	ROW(fence_begin, FENCE, 0),
	ROW(fence_poll, FENCE, 0),
	ROW(fence_wait, FENCE, 0),
	ROW(drain, FENCE, 0),
	ROW(defer, ELM, ANY_ZERO),
	ROW(del_free_at, LIST, 0),
	ROW(del_free_at, ATTACHED, 0),
	ROW(del_nest_free_at, LIST, 0),
	ROW(del_nest_free_at, NESTED, 0),
	ROW(enable_atc, ATTACHED, ANY_ZERO | NO_GARBAGE),
	ROW(disable_atc, ATTACHED, NO_GARBAGE),
	ROW(endpoint_init, ENDPOINT, ANY_ZERO | ANY_GARBAGE),
	ROW(set_aside, ENDPOINT, 0),
	ROW(blocked, ENDPOINT, 0),
	ROW(resume, ENDPOINT, 0),
	ROW(is_aside, ENDPOINT, 0),
	ROW(flush, LIST, 0),
	ROW(flush, OPS, 0),
	ROW(flush_lists, LISTS, 0),
	ROW(flush_lists, OPS, 0),
	ROW(walk_begin, WALK, ANY_ZERO | ANY_GARBAGE),
	ROW(walk_begin, LIST, 0),
	ROW(walk_end, WALK, 0),
	ROW(first_group, WALK, 0),
	ROW(next_group, WALK, 0),
	ROW(next_iommu, WALK, 0),
	ROW(first_atc, WALK, 0),
	ROW(first_atc, PLACE, ANY_ZERO | ANY_GARBAGE),
	ROW(next_atc, WALK, 0),
	ROW(next_atc, PLACE, ANY_ZERO | ANY_GARBAGE),
	ROW(first_all, WALK, 0),
	ROW(next_all, WALK, 0),
	ROW(next_all, ATTACHED, 0),
	ROW(lock, LIST, 0),
	ROW(unlock, LIST, 0),
	ROW(first_locked, LIST, 0),
	ROW(next_locked, LIST, 0),
	ROW(next_locked, ATTACHED, 0),
	ROW(elm_device, ATTACHED, NO_GARBAGE),
	ROW(find_elm, LIST, 0),
	ROW(read_counters, COUNTERS, ANY_ZERO | ANY_GARBAGE),
};

static void set_up(void)
{
	struct iommu_attach_elm new = { .iommu_device = &iommu, .fence = &iommu.fence,
					.tag = 1, .using_atc = true, .atc = 7 };

	elm = malloc(sizeof(*elm));
	nested = malloc(sizeof(*nested));
	EXPECT(elm && nested);
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);
	iommu_attach_init(&parent);
	iommu_attach_endpoint_init(&endpoint);
	*elm = apart = new;
	elm->endpoint = apart.endpoint = &endpoint;
	new.atc = 8;
	nest.s1 = nest.s2 = nested->s1 = nested->s2 = new;
	EXPECT(iommu_attach_add(&list, elm) >= 0);
	EXPECT(iommu_attach_add_nest(&list, &parent, nested) >= 0);
}

/* Return: how the process ended that made the call: what it said, or 100 and a signal. */
static int status_of(unsigned int i, void *p, bool is_good)
{
	pid_t child = fork();
	int status;

	EXPECT(child >= 0);
	if (!child) {
		alarm(20);
		set_up();
		iommu_attach_set_message(count_message, NULL);
		calls[i].call(is_good ? good(calls[i].kind) : p);
		_exit(messages);
	}
	EXPECT(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

int main(void)
{
	static union {
		struct iommu_attach_list list;
		struct iommu_attach_nest nest;
		struct iommu_attach_list *lists[2];
		char bytes[4096];
	} zeroes, garbage;
	struct {
		const char *what;
		void *p;
		int fine;
	} wrong[] = {
		{ "NULL", NULL, 0 },
		{ "zeroes", &zeroes, ANY_ZERO },
		{ "garbage", &garbage, ANY_GARBAGE },
	};
	unsigned int i, j, faults = 0;
	int status;

	memset(&garbage, 1, sizeof(garbage));	/* no address, and fine for a bool */
	fflush(stdout);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
			/* What is not the library's own has nothing to tell it by. */
			if (j == 2 && (calls[i].kind == OPS || calls[i].kind == LISTS ||
				       calls[i].fine & NO_GARBAGE))
				continue;
			status = status_of(i, wrong[j].p, false);
			if (status < 100 && !status == !!(calls[i].fine & wrong[j].fine))
				continue;
			printf("iommu_attach_%s(), %s for pointer %d: %s %d\n", calls[i].name,
			       wrong[j].what, calls[i].kind,
			       status < 100 ? "messages" : "signal",
			       status < 100 ? status : status - 100);
			faults++;
		}
	}
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		status = status_of(i, NULL, true);
		if (status == !!(calls[i].fine & BUSY))
			continue;
		printf("iommu_attach_%s(), all pointers good: %d\n", calls[i].name, status);
		faults++;
	}
	return faults != 0;
}
