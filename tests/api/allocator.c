// SPDX-License-Identifier: GPL-2.0-only
// An allocator of the program's holds its lock while a thread forks, and the library frees
// what was deleted meanwhile: neither waits for the other one for ever.
#include <pthread.h>
#include <sys/wait.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list;
static pthread_mutex_t heap = PTHREAD_MUTEX_INITIALIZER;
static void *watched;
static int freeing, forking;

void __libc_free(void *object);

/* Takes the place of the C library's, for the library, too. */
void free(void *object)
{
	int i;

	if (object && object == __atomic_load_n(&watched, __ATOMIC_ACQUIRE)) {
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

int main(void)
{
	struct iommu_attach_elm *elm;
	pthread_t thread;

	alarm(60);
	EXPECT(!pthread_atfork(fork_begins, fork_ends, fork_ends));
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);
	elm = new_elm(&iommu, 1);
	EXPECT(iommu_attach_add(&list, elm) > 0);
	__atomic_store_n(&watched, elm, __ATOMIC_RELEASE);
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
	EXPECT(!pthread_create(&thread, NULL, fork_beside_free, NULL));
	EXPECT(!pthread_join(thread, NULL));
	iommu_attach_barrier();
	EXPECT(forking && !watched);
	return 0;
}
