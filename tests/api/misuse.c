// SPDX-License-Identifier: GPL-2.0-only
// Each kind of misuse in libiommu-alist(7): what the library says, what the call returns,
// and that everything is as it was. "checks": with IOMMU_ALIST_DEBUG=1.
#include <pthread.h>
#include <sys/wait.h>

#include "api.h"

static struct iommu_device iommu, other_iommu;
static struct iommu_attach_list list, other_list;
static struct iommu_attach_elm elm;

static void never(struct iommu_attach_elm *which)
{
	printf("called for %p\n", (void *)which);
	exit(1);
}

static int released;

static void count_release(struct iommu_attach_elm *which)
{
	(void)which;
	released++;
}

/* In a callback. */
static int wait_and_misuse(struct iommu_device *which, uint64_t cookie, void *arg)
{
	(void)cookie;
	(void)arg;
	iommu_attach_drain(&which->fence);
	EXPECT_MESSAGE("iommu_attach_drain", "callback of a flush");
	iommu_attach_fence(&which->fence);
	EXPECT_MESSAGE("iommu_attach_fence", "callback of a flush");
	iommu_attach_fence_wait(&which->fence, 1);
	EXPECT_MESSAGE("iommu_attach_fence_wait", "callback of a flush");
	iommu_attach_barrier();
	EXPECT_MESSAGE("iommu_attach_barrier", "callback of a flush");
	return 0;
}

static void lists_and_operations(void)
{
	struct iommu_attach_flush_ops wrong;
	struct iommu_attach_list none, moved;
	struct iommu_attach_list *lists[] = { &list, &none };
	struct iommu_attach_walk walk;
	uint64_t tag;

	memset(&none, 0, sizeof(none));
	EXPECT(iommu_attach_flush(&none, &ops, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush", "never initialised");
	EXPECT(iommu_attach_flush(NULL, &ops, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush", "never initialised");
	memset(&none, 0xa5, sizeof(none));
	EXPECT(iommu_attach_flush_lists(lists, 2, &ops, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush_lists", "never initialised");
	EXPECT(iommu_attach_add(&none, &elm) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add", "never initialised");
	EXPECT(iommu_attach_find_tag(&none, &iommu, &tag) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_find_tag", "never initialised");
	iommu_attach_walk_begin(&walk, &none);
	EXPECT_MESSAGE("iommu_attach_walk_begin", "never initialised");
	EXPECT(!iommu_attach_first_group(&walk));
	iommu_attach_walk_end(&walk);
	EXPECT_SILENCE();
	iommu_attach_lock(&none);
	EXPECT_MESSAGE("iommu_attach_lock", "never initialised");
	iommu_attach_destroy(&none);
	EXPECT_MESSAGE("iommu_attach_destroy", "never initialised");
	memcpy(&moved, &list, sizeof(moved));
	EXPECT(iommu_attach_flush(&moved, &ops, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush", "moved");

	EXPECT(iommu_attach_flush(&list, NULL, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush", "are NULL");
	wrong = ops;
	wrong.iotlb = NULL;
	EXPECT(iommu_attach_flush(&list, &wrong, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush", "are NULL");
	wrong = ops;
	wrong.submit = NULL;
	EXPECT(iommu_attach_flush(&list, &wrong, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush", "are NULL");
	wrong = ops;
	wrong.wait = NULL;
	EXPECT(iommu_attach_flush_lists(lists, 1, &wrong, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush_lists", "are NULL");

	wrong = ops;
	wrong.reserved = &wrong;
	EXPECT(iommu_attach_flush(&list, &wrong, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_flush", "reserved");
	iommu_attach_set_debug(IOMMU_ATTACH_DEBUG_FATAL | 0xf0);
	EXPECT_MESSAGE("iommu_attach_set_debug", "not known");

	iommu_attach_destroy(&list);
	EXPECT_MESSAGE("iommu_attach_destroy", "not empty");
}

static void attachments(void)
{
	struct iommu_attach_endpoint no_endpoint;
	struct iommu_attach_fence no_fence, moved;
	struct iommu_attach_elm bad, pair[2], on_no_list = { .iommu_device = &iommu, .fence = &iommu.fence };

	memset(&no_fence, 0, sizeof(no_fence));
	memset(&no_endpoint, 0, sizeof(no_endpoint));
	EXPECT(iommu_attach_add(&list, &elm) == -EEXIST);
	EXPECT_MESSAGE("iommu_attach_add", "is on a list");
	EXPECT(iommu_attach_add(&list, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add", "NULL");
	bad = on_no_list;
	bad.iommu_device = NULL;
	EXPECT(iommu_attach_add(&list, &bad) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add", "no IOMMU");
	bad = on_no_list;
	bad.fence = NULL;
	EXPECT(iommu_attach_add(&list, &bad) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add", "no fence");
	bad.fence = &no_fence;
	EXPECT(iommu_attach_add_array(&list, &bad, 1) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add_array", "no fence");
	pair[0] = on_no_list;
	pair[1] = on_no_list;
	pair[1].tag = 2;
	EXPECT(iommu_attach_add_array(&list, pair, 2) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add_array", "differs in more");
	EXPECT(iommu_attach_add_array(&list, pair, IOMMU_ATTACH_ARRAY_MAX + 1) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add_array", "too long");
	bad = on_no_list;
	bad.using_atc = true;
	bad.atc = 1ULL << 61;
	EXPECT(iommu_attach_add(&list, &bad) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add", "2^61");
	bad.atc = 1;
	bad.endpoint = &no_endpoint;
	EXPECT(iommu_attach_add(&list, &bad) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add", "endpoint");

	/* What is about the ATC is read once it is used. */
	bad.using_atc = false;
	bad.atc = 1ULL << 61;
	EXPECT(iommu_attach_add(&list, &bad) > 0);
	EXPECT_SILENCE();
	EXPECT(iommu_attach_enable_atc(&bad) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_enable_atc", "2^61");
	bad.atc = 1;
	EXPECT(iommu_attach_enable_atc(&bad) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_enable_atc", "endpoint");
	EXPECT(!bad.using_atc);
	bad.endpoint = NULL;
	EXPECT(!iommu_attach_enable_atc(&bad) && bad.using_atc);
	EXPECT(iommu_attach_del(&list, &bad) > 0);
	EXPECT_SILENCE();

	EXPECT(iommu_attach_del(&list, &on_no_list) == -ENOENT);
	EXPECT_MESSAGE("iommu_attach_del", "not on this list");
	EXPECT(iommu_attach_del(&other_list, &elm) == -ENOENT);
	EXPECT_MESSAGE("iommu_attach_del", "not on this list");
	EXPECT(iommu_attach_del_free_at(&list, &on_no_list, 0) == -ENOENT);
	EXPECT_MESSAGE("iommu_attach_del_free_at", "not on this list");
	EXPECT(iommu_attach_enable_atc(&on_no_list) == -ENOENT);
	EXPECT_SILENCE();
	iommu_attach_disable_atc(&on_no_list);
	EXPECT_MESSAGE("iommu_attach_disable_atc", "on no list");
	EXPECT(!iommu_attach_elm_device(&on_no_list));
	EXPECT_MESSAGE("iommu_attach_elm_device", "on no list");

	/* A fence is of one IOMMU, an IOMMU has one, and it stays while it is referred to. */
	bad = on_no_list;
	bad.iommu_device = &other_iommu;
	EXPECT(iommu_attach_add(&list, &bad) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add", "another IOMMU");
	bad = on_no_list;
	bad.tag = elm.tag;
	bad.fence = &other_iommu.fence;
	EXPECT(!iommu_attach_add(&list, &bad));
	EXPECT_MESSAGE("iommu_attach_add", "an IOMMU has two fences");
	EXPECT(!iommu_attach_del(&list, &bad));
	iommu_attach_fence_destroy(&iommu.fence);
	EXPECT_MESSAGE("iommu_attach_fence_destroy", "attachments refer");
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	iommu_attach_drain(&iommu.fence);
	moved = iommu.fence;
	iommu_attach_drain(&moved);
	EXPECT_MESSAGE("iommu_attach_drain", "not initialised");
	EXPECT_SILENCE();

	iommu_attach_elm_set_device(&elm, NULL);
	EXPECT_MESSAGE("iommu_attach_elm_set_device", "is on a list");
	iommu_attach_set_aside(&no_endpoint);
	EXPECT_MESSAGE("iommu_attach_set_aside", "not initialised");
	iommu_attach_drain(&no_fence);
	EXPECT_MESSAGE("iommu_attach_drain", "not initialised");
	iommu_attach_drain(NULL);
	EXPECT_MESSAGE("iommu_attach_drain", "not initialised");
	EXPECT(iommu_attach_fence_poll(&no_fence, 0));
	EXPECT_MESSAGE("iommu_attach_fence_poll", "not initialised");
}

static void memory(void)
{
	struct iommu_attach_elm first = { .iommu_device = &iommu, .fence = &iommu.fence, .tag = 9 };
	struct iommu_attach_elm second = first, third = first;

	EXPECT(iommu_attach_defer(&elm, never) == -EBUSY);
	EXPECT_MESSAGE("iommu_attach_defer", "on a list");
	EXPECT(iommu_attach_defer(&first, NULL) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_defer", "no function");
	EXPECT(iommu_attach_defer(NULL, never) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_defer", "NULL");

	/* Twice, with others in between, of which none is lost. */
	iommu_attach_lock(&list);	/* deferred calls wait for nothing here */
	iommu_attach_unlock(&list);
	{
		struct iommu_attach_walk walk;

		iommu_attach_walk_begin(&walk, &list);	/* so that none is called yet */
		EXPECT(!iommu_attach_defer(&first, count_release));
		EXPECT(!iommu_attach_defer(&second, count_release));
		EXPECT(!iommu_attach_defer(&third, count_release));
		EXPECT(iommu_attach_defer(&first, count_release) == -EBUSY);
		EXPECT_MESSAGE("iommu_attach_defer", "already");
		EXPECT(iommu_attach_add(&list, &second) == -EBUSY);
		EXPECT_MESSAGE("iommu_attach_add", "deferred");
		iommu_attach_walk_end(&walk);
	}
	iommu_attach_barrier();
	EXPECT(released == 3);

	/* Afterwards they are the program's, to add as well. */
	EXPECT(iommu_attach_add(&list, &first) > 0);
	EXPECT(iommu_attach_del(&list, &first) > 0);
	EXPECT(iommu_attach_add(&list, &first) == -EBUSY);
	EXPECT_MESSAGE("iommu_attach_add", "before a drain");
	iommu_attach_drain(&iommu.fence);
	EXPECT(iommu_attach_add(&list, &first) > 0);
	EXPECT(iommu_attach_del(&list, &first) > 0);
	iommu_attach_drain(&iommu.fence);
	EXPECT_SILENCE();
}

static struct iommu_attach_elm deferred;
static int told, may_release;

/* As long as it runs, the thread that is refused is within its call. */
static void release_meanwhile(const char *text, void *arg)
{
	count_message(text, arg);
	__atomic_store_n(&told, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&may_release, __ATOMIC_ACQUIRE))
		usleep(100);
}

static void *defer_again(void *arg)
{
	EXPECT(iommu_attach_defer(&deferred, never) == -EBUSY);
	return arg;
}

/* The one that is refused leaves the other one's function alone, at any time. */
static void defer_twice_at_once(void)
{
	struct iommu_attach_walk walk;
	pthread_t thread;

	released = 0;
	iommu_attach_walk_begin(&walk, &list);
	EXPECT(!iommu_attach_defer(&deferred, count_release));
	iommu_attach_set_message(release_meanwhile, NULL);
	EXPECT(!pthread_create(&thread, NULL, defer_again, NULL));
	while (!__atomic_load_n(&told, __ATOMIC_ACQUIRE))
		usleep(100);
	iommu_attach_walk_end(&walk);
	iommu_attach_barrier();
	EXPECT(released == 1);
	__atomic_store_n(&may_release, 1, __ATOMIC_RELEASE);
	EXPECT(!pthread_join(thread, NULL));
	iommu_attach_set_message(count_message, NULL);
	EXPECT_MESSAGE("iommu_attach_defer", "already");
}

static void targets(void)
{
	struct iommu_attach_elm first = { .iommu_device = &iommu, .fence = &iommu.fence,
					  .tag = 1, .using_atc = true, .atc = 5 };
	struct iommu_attach_elm second = first;
	struct iommu_attach_endpoint endpoint;

	EXPECT(iommu_attach_add(&list, &first) >= 0 && iommu_attach_add(&list, &second) >= 0);
	first.atc = 6;
	messages = 0;
	iommu_attach_disable_atc(&first);
	EXPECT(messages && strstr(last_message, "iommu_attach_disable_atc(): "));
	messages = 0;
	iommu.sent = 0;
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	EXPECT(iommu.sent == 101);	/* the second one's is still sent */
	EXPECT(!iommu_attach_del(&list, &first) && !iommu_attach_del(&list, &second));
	iommu_attach_drain(&iommu.fence);

	/* What else may not change while attached. */
	first = second;
	first.tag = 2;
	EXPECT(iommu_attach_add(&list, &first) > 0);
	first.tag = 3;
	messages = 0;
	EXPECT(iommu_attach_del(&list, &first) > 0);
	EXPECT_MESSAGE("iommu_attach_del", "the tag was changed");
	iommu_attach_drain(&iommu.fence);

	iommu_attach_endpoint_init(&endpoint);
	first.tag = 2;
	EXPECT(iommu_attach_add(&list, &first) > 0);
	first.endpoint = &endpoint;
	EXPECT(iommu_attach_del(&list, &first) > 0);
	EXPECT_MESSAGE("iommu_attach_del", "an endpoint changed");
	iommu_attach_drain(&iommu.fence);

	first.endpoint = NULL;
	second = first;
	second.endpoint = &endpoint;
	EXPECT(iommu_attach_add(&list, &first) > 0);
	EXPECT(!iommu_attach_add(&list, &second));
	EXPECT_MESSAGE("iommu_attach_add", "an ATC target has two endpoints");
	EXPECT(!iommu_attach_del(&list, &second) && iommu_attach_del(&list, &first) > 0);
	iommu_attach_drain(&iommu.fence);
}

static void nests(void)
{
	struct iommu_attach_elm half = { .iommu_device = &iommu, .fence = &iommu.fence, .tag = 3 };
	struct iommu_attach_nest nest = { half, half }, back = { half, half };
	struct iommu_attach_endpoint no_endpoint;

	EXPECT(iommu_attach_add_nest(&list, &list, &nest) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_add_nest", "its own parent");
	EXPECT(iommu_attach_add_nest(&list, &other_list, &nest) > 0);
	EXPECT(iommu_attach_add_nest(&other_list, &list, &back) == -ELOOP);
	EXPECT_MESSAGE("iommu_attach_add_nest", "parent of one nest");
	EXPECT(iommu_attach_del(&list, &nest.s1) == -ENOENT);
	EXPECT_MESSAGE("iommu_attach_del", "half of a nest");
	memset(&no_endpoint, 0, sizeof(no_endpoint));
	nest.s1.endpoint = &no_endpoint;
	EXPECT(iommu_attach_enable_atc(&nest.s2) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_enable_atc", "endpoint");
	nest.s1.endpoint = NULL;
	nest.s2.atc = 1ULL << 61;
	EXPECT(iommu_attach_enable_atc(&nest.s1) == -EINVAL);
	EXPECT_MESSAGE("iommu_attach_enable_atc", "2^61");
	nest.s2.atc = 0;
	EXPECT(!nest.s1.using_atc && !nest.s2.using_atc);
	EXPECT(iommu_attach_del_nest(&other_list, &list, &nest) == -ENOENT);
	EXPECT_MESSAGE("iommu_attach_del_nest", "not on these lists");
	EXPECT(iommu_attach_del_nest(&list, &other_list, &nest) > 0);
#ifndef __SANITIZE_THREAD__		/* it takes the order of locks for one that stays */
	/* Now the other way round is no circle. */
	EXPECT(iommu_attach_add_nest(&other_list, &list, &back) > 0);
	EXPECT(iommu_attach_del_nest(&other_list, &list, &back) > 0);
#endif
	iommu_attach_drain(&iommu.fence);
	EXPECT_SILENCE();
}

static void places(void)
{
	struct iommu_attach_flush_ops wrong = ops;
	struct iommu_attach_elm more = { .iommu_device = &iommu, .fence = &iommu.fence, .tag = 4 };
	struct iommu_attach_walk walk;
	uint64_t tag;

	wrong.wait = wait_and_misuse;
	EXPECT(!iommu_attach_flush(&list, &wrong, NULL));

	iommu_attach_lock(&list);
	EXPECT(iommu_attach_add(&list, &more) == -EDEADLK);
	EXPECT_MESSAGE("iommu_attach_add", "iommu_attach_lock()");
	EXPECT(iommu_attach_add(&other_list, &more) == -EDEADLK);
	EXPECT_MESSAGE("iommu_attach_add", "iommu_attach_lock()");
	EXPECT(iommu_attach_del(&list, &elm) == -EDEADLK);
	EXPECT_MESSAGE("iommu_attach_del", "iommu_attach_lock()");
	EXPECT(iommu_attach_find_tag(&list, &iommu, &tag) == -EDEADLK);
	EXPECT_MESSAGE("iommu_attach_find_tag", "iommu_attach_lock()");
	iommu_attach_drain(&iommu.fence);
	EXPECT_MESSAGE("iommu_attach_drain", "iommu_attach_lock()");
	iommu_attach_barrier();
	EXPECT_MESSAGE("iommu_attach_barrier", "iommu_attach_lock()");
	iommu_attach_lock(&list);
	EXPECT_MESSAGE("iommu_attach_lock", "iommu_attach_lock()");
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	EXPECT(iommu_attach_first_locked(&list, 0) == &elm);
	iommu_attach_unlock(&list);
	EXPECT_SILENCE();
	iommu_attach_unlock(&list);
	EXPECT_MESSAGE("iommu_attach_unlock", "not called");
	EXPECT(!iommu_attach_first_locked(&list, 0));
	EXPECT_MESSAGE("iommu_attach_first_locked", "not called");
	EXPECT(!iommu_attach_elm_device(&elm));
	EXPECT_MESSAGE("iommu_attach_elm_device", "not called");

	iommu_attach_walk_begin(&walk, &list);
	iommu_attach_drain(&iommu.fence);
	EXPECT_MESSAGE("iommu_attach_drain", "within a walk");
	iommu_attach_barrier();
	EXPECT_MESSAGE("iommu_attach_barrier", "within a walk");
	EXPECT(iommu_attach_first_group(&walk));
	iommu_attach_walk_end(&walk);
	EXPECT_SILENCE();
	EXPECT(!iommu_attach_first_group(&walk));
	EXPECT_MESSAGE("iommu_attach_first_group", "has ended");
	iommu_attach_walk_end(&walk);
	EXPECT_MESSAGE("iommu_attach_walk_end", "ended before");
}

static void *end_in_walk(void *arg)
{
	struct iommu_attach_walk walk;

	iommu_attach_walk_begin(&walk, &list);
	return arg;
}

#ifndef __SANITIZE_THREAD__		/* it looks at the mutex itself */
static void *end_in_lock(void *arg)
{
	iommu_attach_lock(arg);
	return NULL;
}
#endif

static int wait_ends(struct iommu_device *which, uint64_t cookie, void *arg)
{
	(void)which;
	(void)cookie;
	pthread_exit(arg);
	return 0;
}

static void *end_in_flush(void *arg)
{
	struct iommu_attach_flush_ops wrong = ops;

	(void)arg;
	wrong.wait = wait_ends;
	iommu_attach_flush(&list, &wrong, NULL);
	return NULL;
}

static void run(void *(*main)(void *arg), void *arg)
{
	pthread_t thread;

	EXPECT(!pthread_create(&thread, NULL, main, arg));
	pthread_join(thread, NULL);
}

/* Threads that end in the middle of something. */
static void threads(void)
{
	run(end_in_walk, NULL);
	EXPECT_MESSAGE("thread_ends", "within a walk");
	iommu_attach_drain(&iommu.fence);	/* does not wait for it */
	EXPECT_SILENCE();
	run(end_in_flush, NULL);
	EXPECT(messages && strstr(last_message, "callback of a flush"));
	messages = 0;
	iommu_attach_drain(&iommu.fence);
	EXPECT_SILENCE();
#ifndef __SANITIZE_THREAD__
	static struct iommu_attach_list lost = IOMMU_ATTACH_LIST_INIT;

	run(end_in_lock, &lost);
	EXPECT_MESSAGE("thread_ends", "iommu_attach_lock()");
	if (!fork())				/* does not wait for it either */
		_exit(0);
	wait(NULL);
#endif
}

/* What the expensive checks find beyond: a list that the program has written to. */
static void checks(void)
{
	static struct iommu_attach_list broken = IOMMU_ATTACH_LIST_INIT;
	struct iommu_attach_elm one = { .iommu_device = &iommu, .fence = &iommu.fence };
	struct iommu_attach_elm two = one;

	EXPECT(iommu_attach_add(&broken, &one) > 0);
	EXPECT_SILENCE();
	one.kind = IOMMU_ATTACH_NEST;
	EXPECT(!iommu_attach_add(&broken, &two));
	EXPECT(messages == 1 && strstr(last_message, "iommu_attach_add(): "));
	messages = 0;
	EXPECT(!iommu_attach_enable_atc(&two));
	EXPECT(messages == 1 && strstr(last_message, "iommu_attach_enable_atc(): "));
	messages = 0;
	iommu_attach_disable_atc(&two);
	EXPECT(messages == 1 && strstr(last_message, "iommu_attach_disable_atc(): "));
	messages = 0;
	one.kind = IOMMU_ATTACH_OWN;
	EXPECT(!iommu_attach_del(&broken, &two) && iommu_attach_del(&broken, &one) > 0);
	iommu_attach_drain(&iommu.fence);
	EXPECT_SILENCE();
}

int main(int argc, char **argv)
{
	uint64_t tag = 0;
	int i;

	alarm(60);
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	EXPECT(!iommu_attach_fence_init(&other_iommu.fence));
	iommu_attach_init(&list);
	iommu_attach_init(&other_list);
	elm.iommu_device = &iommu;
	elm.fence = &iommu.fence;
	elm.tag = 1;
	EXPECT(iommu_attach_add(&list, &elm) == IOMMU_ATTACH_GROUP_DOMAIN);

	/* Standard error has it once for each place, without the checks. */
	for (i = 0; i < 2; i++)
		EXPECT(iommu_attach_add(&list, &elm) == -EEXIST);

	iommu_attach_set_message(count_message, NULL);
	lists_and_operations();
	attachments();
	memory();
	defer_twice_at_once();
	targets();
	nests();
	places();
	threads();
	if (argc == 2 && !strcmp(argv[1], "checks"))
		checks();

	EXPECT(!iommu_attach_find_tag(&list, &iommu, &tag) && tag == 1);
	EXPECT(iommu_attach_del(&list, &elm) == IOMMU_ATTACH_GROUP_DOMAIN);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_destroy(&list);
	iommu_attach_destroy(&other_list);
	iommu_attach_fence_destroy(&iommu.fence);
	iommu_attach_fence_destroy(&other_iommu.fence);
	EXPECT_SILENCE();
	return 0;
}
