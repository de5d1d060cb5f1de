// SPDX-License-Identifier: GPL-2.0-only
// The child of a process that uses the library uses it, too: whatever the other threads
// of the parent were in the middle of.
#include <pthread.h>
#include <sys/wait.h>

#include "api.h"

static struct iommu_device iommu[2];
static struct iommu_attach_list list, busy;
static int *shared_count;

static void use(struct iommu_device *which)
{
	struct iommu_attach_elm *elm = new_elm(which, 7);

	elm->using_atc = true;
	elm->atc = 9;
	EXPECT(iommu_attach_add(&list, elm) >= 0);
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) >= 0);
	iommu_attach_drain(&iommu[0].fence);
	iommu_attach_drain(&iommu[1].fence);
	iommu_attach_barrier();
}

static int forks;

static void fork_and_use(void)
{
	pid_t child;
	int status;

	fflush(stdout);
	__atomic_add_fetch(&forks, 1, __ATOMIC_RELAXED);
	child = fork();
	EXPECT(child >= 0);
	if (!child) {
		alarm(20);
		use(&iommu[0]);
		use(&iommu[1]);
		_exit(messages ? 2 : 0);
	}
	EXPECT(waitpid(child, &status, 0) == child);
	if (status) {
		printf("the child ended with status %x\n", status);
		exit(1);
	}
}

static void *walk_long(void *arg)
{
	struct iommu_attach_walk walk;

	iommu_attach_walk_begin(&walk, &busy);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		usleep(100);
	iommu_attach_walk_end(&walk);
	return arg;
}

static void *churn(void *arg)
{
	struct iommu_attach_elm *elm;
	int i = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		/* walk_long() lets nothing be freed: each child has all of it to free. */
		if (i >= 400 * __atomic_load_n(&forks, __ATOMIC_RELAXED)) {
			usleep(10);
			continue;
		}
		elm = new_elm(&iommu[0], 3);
		EXPECT(iommu_attach_add(&list, elm) >= 0);
		EXPECT(iommu_attach_del_free_at(&list, elm, 0) >= 0);
		i++;
	}
	return arg;
}

static void in_parent(struct iommu_attach_elm *elm)
{
	usleep(1000);
	++*shared_count;
	free(elm);
}

/* The library's own handler, which waits, was registered before, and runs after this one. */
static int forking;

static void fork_begins(void)
{
	__atomic_store_n(&forking, 1, __ATOMIC_RELEASE);
}

static void fork_and_exec(void)
{
	pid_t child = fork();
	int status;

	EXPECT(child >= 0);
	if (!child) {
		execlp("true", "true", (char *)NULL);
		_exit(1);
	}
	EXPECT(waitpid(child, &status, 0) == child && !status);
}

static void *fork_with_lock(void *arg)
{
	iommu_attach_lock(&busy);
	__atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&forking, __ATOMIC_ACQUIRE))
		usleep(100);
	usleep(20000);			/* the other one waits for the lock by now */
	fork_and_exec();
	iommu_attach_unlock(&busy);
	return arg;
}

/* Who has what the other one waits for forks, too. */
static void fork_beside_fork(void)
{
	pthread_t thread;

	waiting = 0;
	forking = 0;
	EXPECT(!pthread_create(&thread, NULL, fork_with_lock, NULL));
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		usleep(100);
	fork_and_use();
	EXPECT(!pthread_join(thread, NULL));
}

static int walking, releasing;

static void drain_and_free(struct iommu_attach_elm *elm)
{
	__atomic_store_n(&releasing, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&walking, __ATOMIC_ACQUIRE))
		usleep(100);
	iommu_attach_drain(&iommu[0].fence);
	free(elm);
}

static void *walk_and_delete(void *elm)
{
	struct iommu_attach_walk walk;

	while (!__atomic_load_n(&releasing, __ATOMIC_ACQUIRE))
		usleep(100);
	iommu_attach_walk_begin(&walk, &busy);
	__atomic_store_n(&walking, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&forking, __ATOMIC_ACQUIRE))
		usleep(100);
	usleep(20000);
	EXPECT(iommu_attach_del_free_at(&busy, elm, 0) >= 0);
	iommu_attach_walk_end(&walk);
	return elm;
}

/* fork() waits for a release function, which waits for a walk, which waits for fork(). */
static void fork_beside_drain(void)
{
	struct iommu_attach_elm *elm = new_elm(&iommu[1], 6);
	pthread_t thread;

	forking = 0;
	EXPECT(iommu_attach_add(&busy, elm) > 0);
	EXPECT(!iommu_attach_defer(new_elm(&iommu[0], 1), drain_and_free));
	EXPECT(!pthread_create(&thread, NULL, walk_and_delete, elm));
	while (!__atomic_load_n(&walking, __ATOMIC_ACQUIRE))
		usleep(100);
	fork_and_use();
	EXPECT(!pthread_join(thread, NULL));
	iommu_attach_barrier();
}

static int deferred, draining;

static void drain_long(struct iommu_attach_elm *elm)
{
	__atomic_store_n(&draining, 1, __ATOMIC_RELEASE);
	iommu_attach_drain(&iommu[1].fence);
	__atomic_store_n(&draining, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&deferred, 0, __ATOMIC_RELEASE);
	free(elm);
}

/* While a release function waits for the flush that this is called by. */
static void fork_in_callback(void)
{
	while (!__atomic_load_n(&draining, __ATOMIC_ACQUIRE)) {
		if (!__atomic_exchange_n(&deferred, 1, __ATOMIC_ACQ_REL))
			EXPECT(!iommu_attach_defer(new_elm(&iommu[1], 1), drain_long));
		usleep(100);
	}
	fork_and_exec();
}

static struct iommu_attach_endpoint endpoint;
static int waits, silences, asides;

/* The IOTLB commands that are sent once more complete. */
static int wait_and_fork(struct iommu_device *which, uint64_t cookie, void *arg)
{
	(void)which;
	(void)cookie;
	(void)arg;
	if (!waits)
		fork_in_callback();
	return waits++ == 1 ? 0 : -ETIMEDOUT;
}

static void silent_and_fork(struct iommu_device *which, uint64_t atc, void *arg)
{
	(void)which;
	(void)atc;
	(void)arg;
	fork_in_callback();
	iommu_attach_set_aside(&endpoint);
	silences++;
}

static void aside_and_fork(struct iommu_device *which, uint64_t atc, void *arg)
{
	(void)which;
	(void)atc;
	(void)arg;
	fork_in_callback();
	iommu_attach_blocked(&endpoint);
	asides++;
}

/*
 * Who forks in a callback does not wait for what waits for its flush. In a thread of its own,
 * as signals are blocked within fork(): alarm() ends the process by the other one.
 */
static void *fork_in_callbacks(void *arg)
{
	struct iommu_attach_elm *elm = new_elm(&iommu[1], 8);
	struct iommu_attach_flush_ops fork_ops = ops;

	fork_ops.wait = wait_and_fork;
	fork_ops.silent = silent_and_fork;
	fork_ops.aside = aside_and_fork;
	iommu_attach_endpoint_init(&endpoint);
	elm->using_atc = true;
	elm->endpoint = &endpoint;
	EXPECT(iommu_attach_add(&list, elm) > 0);
	EXPECT(!iommu_attach_flush(&list, &fork_ops, NULL));
	EXPECT(waits == 3 && silences == 1 && asides == 1);
	EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
	iommu_attach_barrier();
	return arg;
}

int main(void)
{
	pthread_t thread[3];
	int i, count = 0;

	alarm(100);
	shared_count = &count;
	iommu_attach_set_message(count_message, NULL);
	for (i = 0; i < 2; i++)
		EXPECT(!iommu_attach_fence_init(&iommu[i].fence));
	iommu_attach_init(&list);
	iommu_attach_init(&busy);

	fork_and_use();			/* the parent has used nothing */
	use(&iommu[0]);
	EXPECT(!pthread_atfork(fork_begins, NULL, NULL));
	fork_and_use();			/* there is a thread that frees */
	EXPECT(!iommu_attach_defer(new_elm(&iommu[0], 1), in_parent));
	fork_and_use();			/* it may have something to do */
	iommu_attach_barrier();
	EXPECT(count == 1);

	EXPECT(iommu_attach_add(&busy, new_elm(&iommu[1], 5)) > 0);
	EXPECT(!pthread_create(&thread[0], NULL, flush_long, &busy));
	EXPECT(!pthread_create(&thread[1], NULL, walk_long, NULL));
	EXPECT(!pthread_create(&thread[2], NULL, churn, NULL));
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		usleep(100);
	for (i = 0; i < 50; i++)
		fork_and_use();
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	use(&iommu[1]);
	fork_beside_fork();
	fork_beside_drain();
	EXPECT(!pthread_create(&thread[0], NULL, fork_in_callbacks, NULL));
	EXPECT(!pthread_join(thread[0], NULL));
	EXPECT_SILENCE();
	return 0;
}
