// SPDX-License-Identifier: GPL-2.0-only
// A thread that is cancelled while it waits leaves nothing behind that others wait for.
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

static void *wait_for_fence(void *arg)
{
	__atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
	iommu_attach_fence(&iommu.fence);
	return arg;
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
	EXPECT(!pthread_create(&flush, NULL, flush_long, &list));
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		usleep(100);
	cancel(wait_for_fence, end_flush, &flush);

	/* Neither the lock of what is deferred nor that of a fence. */
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_barrier();
	iommu_attach_fence_destroy(&iommu.fence);
	return 0;
}
