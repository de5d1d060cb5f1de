// SPDX-License-Identifier: GPL-2.0-only
// An allocator of the program's holds its lock while a thread forks, and the library frees
// what was deleted meanwhile: neither waits for the other one for ever, and the child counts
// what is attached right.
#include <pthread.h>
#include <sys/wait.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list;
static pthread_mutex_t heap = PTHREAD_MUTEX_INITIALIZER;
static void *watched;
static __thread bool watches;
static int freeing, forking;

void __libc_free(void *object);

/* Takes the place of the C library's, for the library, too. */
void free(void *object)
{
	int i;

	if (object && (watches || object == __atomic_load_n(&watched, __ATOMIC_ACQUIRE))) {
		watches = false;
		__atomic_store_n(&watched, NULL, __ATOMIC_RELEASE);
		__atomic_store_n(&freeing, 1, __ATOMIC_RELEASE);
		/* Until the other thread has the lock, or waits for this one. */
		for (i = 0; i < 100 && !__atomic_load_n(&forking, __ATOMIC_ACQUIRE); i++)
			usleep(1000);
	}
	pthread_mutex_lock(&heap);
	__libc_free(object);
	pthread_mutex_unlock(&heap);
}

static void fork_begins(void)
{
	pthread_mutex_lock(&heap);
	__atomic_store_n(&forking, 1, __ATOMIC_RELEASE);
}

static void fork_ends(void)
{
	pthread_mutex_unlock(&heap);
}

static void use(uint64_t tag)
{
	struct iommu_attach_elm *elm = new_elm(&iommu, tag);

	EXPECT(iommu_attach_add(&list, elm) > 0);
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
}

/* Signals are blocked within fork(): alarm() ends the process by the other thread. */
static void *fork_beside_free(void *arg)
{
	pid_t child;
	int status;

	while (!__atomic_load_n(&freeing, __ATOMIC_ACQUIRE))
		usleep(100);
	child = fork();
	EXPECT(child >= 0);
	if (!child) {
		alarm(20);
		use(2);
		iommu_attach_barrier();
		_exit(0);
	}
	EXPECT(waitpid(child, &status, 0) == child && !status);
	return arg;
}

static struct iommu_attach_list parent;
static struct iommu_attach_nest nest;

static void *delete(void *arg)
{
	watches = true;			/* memory of the list's */
	if (arg)
		EXPECT(iommu_attach_del_nest(&list, &parent, arg) > 0);
	else
		EXPECT(iommu_attach_del(&list, &nest.s1) > 0);
	return arg;
}

/* What the library counts beside its lists is whole in the child. */
static void fork_beside_delete(struct iommu_attach_nest *both)
{
	pthread_t thread;
	pid_t child;
	int status;

	freeing = 0;
	forking = 0;
	nest = (struct iommu_attach_nest){
		{ .iommu_device = &iommu, .fence = &iommu.fence, .using_atc = true },
		{ .iommu_device = &iommu, .fence = &iommu.fence, .using_atc = true },
	};
	if (both)
		EXPECT(iommu_attach_add_nest(&list, &parent, &nest) > 0);
	else
		EXPECT(iommu_attach_add(&list, &nest.s1) > 0);
	EXPECT(!pthread_create(&thread, NULL, delete, both));
	while (!__atomic_load_n(&freeing, __ATOMIC_ACQUIRE))
		usleep(100);
	child = fork();
	EXPECT(child >= 0);
	if (!child) {
		alarm(20);
		EXPECT(iommu_attach_empty(&list) && iommu_attach_empty(&parent));
		iommu_attach_drain(&iommu.fence);
		if (both) {
			EXPECT(iommu_attach_add_nest(&parent, &list, &nest) > 0);
			EXPECT(iommu_attach_del_nest(&parent, &list, &nest) > 0);
			iommu_attach_drain(&iommu.fence);
		}
		iommu_attach_fence_destroy(&iommu.fence);
		EXPECT_SILENCE();
		exit(0);
	}
	EXPECT(waitpid(child, &status, 0) == child && !status);
	EXPECT(!pthread_join(thread, NULL));
	iommu_attach_drain(&iommu.fence);
}

int main(void)
{
	struct iommu_attach_elm *elm;
	pthread_t thread;

	alarm(60);
	EXPECT(!pthread_atfork(fork_begins, fork_ends, fork_ends));
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);
	iommu_attach_init(&parent);
	iommu_attach_set_message(count_message, NULL);
	elm = new_elm(&iommu, 1);
	EXPECT(iommu_attach_add(&list, elm) > 0);
	__atomic_store_n(&watched, elm, __ATOMIC_RELEASE);
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
	EXPECT(!pthread_create(&thread, NULL, fork_beside_free, NULL));
	EXPECT(!pthread_join(thread, NULL));
	iommu_attach_barrier();
	EXPECT(forking && !watched);

	fork_beside_delete(NULL);
	fork_beside_delete(&nest);
	EXPECT_SILENCE();
	return 0;
}
