// SPDX-License-Identifier: GPL-2.0-only
// A thread that is cancelled while it waits leaves nothing behind that others wait for, nor
// that its own cleanup handlers find.
#include <pthread.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list;

static void *wait_for_release(void *arg)
{
	__atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
	iommu_attach_barrier();
	return arg;
}

static int ready, cleaned_up;	/* the flush sets waiting all the time */

static void clean_up(void *arg)
{
	uint64_t tag;

	(void)arg;
	EXPECT(!iommu_attach_find_tag(&list, &iommu, &tag) && tag == 1);
	cleaned_up++;
}

/* With a handler of the thread's own, as it waits for something of the library's. */
static void wait_with_handler(void (*wait)(struct iommu_attach_fence *fence))
{
	pthread_cleanup_push(clean_up, NULL);
	__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
	wait(&iommu.fence);
	pthread_cleanup_pop(0);
}

static void wait_begun(struct iommu_attach_fence *fence)
{
	iommu_attach_fence_wait(fence, iommu_attach_fence_begin(fence));
}

static void *wait_for_fence(void *arg)
{
	wait_with_handler(iommu_attach_fence);
	return arg;
}

static void *wait_for_begun(void *arg)
{
	wait_with_handler(wait_begun);
	return arg;
}

static void *wait_for_drain(void *arg)
{
	wait_with_handler(iommu_attach_drain);
	return arg;
}

/* The flush does not end: without being cancelled the thread would not either. */
static void cancel_in_wait(void *(*run)(void *arg))
{
	pthread_t thread;
	void *result;

	ready = 0;
	cleaned_up = 0;
	EXPECT(!pthread_create(&thread, NULL, run, NULL));
	while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
		usleep(100);
	EXPECT(!pthread_cancel(thread));
	EXPECT(!pthread_join(thread, &result));
	EXPECT(result == PTHREAD_CANCELED && cleaned_up == 1);
}

/* Cancels it in the middle of the wait, which end() ends. */
static void cancel(void *(*run)(void *arg), void (*end)(void *arg), void *arg)
{
	pthread_t thread;

	waiting = 0;
	EXPECT(!pthread_create(&thread, NULL, run, NULL));
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		usleep(100);
	usleep(20000);
	EXPECT(!pthread_cancel(thread));
	usleep(20000);
	end(arg);
	EXPECT(!pthread_join(thread, NULL));
}

static void end_walk(void *walk)
{
	iommu_attach_walk_end(walk);
}

static void end_flush(void *thread)
{
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	EXPECT(!pthread_join(*(pthread_t *)thread, NULL));
}

static struct iommu_attach_elm *attach(void)
{
	struct iommu_attach_elm *elm = new_elm(&iommu, 1);

	elm->using_atc = true;
	EXPECT(iommu_attach_add(&list, elm) > 0);
	return elm;
}

int main(void)
{
	struct iommu_attach_elm *elm;
	struct iommu_attach_walk walk;
	pthread_t flush;

	alarm(60);
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);

	elm = attach();
	iommu_attach_walk_begin(&walk, &list);
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
	cancel(wait_for_release, end_walk, &walk);

	elm = attach();
	waiting = 0;
	EXPECT(!pthread_create(&flush, NULL, flush_long, &list));
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		usleep(100);
	cancel_in_wait(wait_for_fence);
	cancel_in_wait(wait_for_begun);
	cancel_in_wait(wait_for_drain);
	cancel(wait_for_fence, end_flush, &flush);

	/* Neither the lock of what is deferred nor that of a fence. */
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_barrier();
	iommu_attach_fence_destroy(&iommu.fence);
	return 0;
}
