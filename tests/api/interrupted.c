// SPDX-License-Identifier: GPL-2.0-only
// Signals and forks that come while the library is in the middle of something of its own:
// each case runs in a process of its own, which ends by SIGALRM if it waits for itself.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list;
static volatile sig_atomic_t signals;

/* A program's list that nothing has used yet. */
static struct iommu_attach_list fresh(void)
{
	return (struct iommu_attach_list)IOMMU_ATTACH_LIST_INIT;
}

static void expect_tag(void)
{
	uint64_t tag = 0;
	int ret = iommu_attach_find_tag(&list, &iommu, &tag);

	EXPECT(ret == -EDEADLK || (!ret && tag == 1));
}

static void flush_and_find(int number)
{
	(void)number;
	signals++;
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	expect_tag();
}

static void flush_fresh(int number)
{
	struct iommu_attach_list other = fresh();

	(void)number;
	signals++;
	EXPECT(!iommu_attach_flush(&other, &ops, NULL));
}

static void catch_signals(int number, void (*handler)(int number))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	EXPECT(!sigaction(number, &action, NULL));
}

static void shoot(void)
{
	struct itimerval often = { { 0, 100 }, { 0, 100 } };

	EXPECT(!setitimer(ITIMER_REAL, &often, NULL));
}

/* The handler runs within fork(), too, between what the library does before and after. */
static void signals_in_fork(void)
{
	catch_signals(SIGALRM, flush_and_find);
	shoot();
	while (signals < 2000) {
		pid_t child = fork();
		int status;

		EXPECT(child >= 0);
		if (!child) {
			expect_tag();
			_exit(0);
		}
		EXPECT(waitpid(child, &status, 0) == child && !status);
	}
}

static void *make_fences(void *arg)
{
	while (!signals) {
		struct iommu_attach_fence fence;

		EXPECT(!iommu_attach_fence_init(&fence));
		iommu_attach_fence_destroy(&fence);
	}
	return arg;
}

/* A thread's first flush is that of a handler, which interrupts an allocation. */
static void first_flush_in_handler(void)
{
	pthread_t thread;
	int i;

	catch_signals(SIGUSR1, flush_and_find);
	for (i = 0; i < 500; i++) {
		signals = 0;
		EXPECT(!pthread_create(&thread, NULL, make_fences, NULL));
		usleep(100);
		EXPECT(!pthread_kill(thread, SIGUSR1));
		EXPECT(!pthread_join(thread, NULL));
	}
}

/* IOMMU_ATTACH_LIST_INIT is completed at the first use, which a handler interrupts. */
static void static_list_in_handler(void)
{
	catch_signals(SIGALRM, flush_fresh);
	shoot();
	while (signals < 2000) {
		struct iommu_attach_list other = fresh();

		EXPECT(iommu_attach_empty(&other));
	}
}

static void *use_fresh(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		struct iommu_attach_list other = fresh();

		EXPECT(iommu_attach_empty(&other));
	}
	return arg;
}

static void *misuse(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		EXPECT(iommu_attach_add(&list, NULL) == -EINVAL);
	return arg;
}

/* The child does at once what another thread of the parent was in the middle of. */
static void fork_beside(void *(*run)(void *arg))
{
	pthread_t thread;
	int i;

	EXPECT(!pthread_create(&thread, NULL, run, NULL));
	for (i = 0; i < 500; i++) {
		pid_t child = fork();
		int status;

		EXPECT(child >= 0);
		if (!child) {
			struct iommu_attach_list other = fresh();

			alarm(20);
			EXPECT(iommu_attach_empty(&other));
			EXPECT(iommu_attach_add(&list, NULL) == -EINVAL);
			_exit(0);
		}
		EXPECT(waitpid(child, &status, 0) == child && !status);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	EXPECT(!pthread_join(thread, NULL));
}

static void fork_beside_static_list(void)
{
	fork_beside(use_fresh);
}

static void fork_beside_message(void)
{
	fork_beside(misuse);
}

static void add_nothing(int number)
{
	(void)number;
	signals++;
	iommu_attach_add(&list, NULL);
}

/* A message in a handler that interrupts one. */
static void message_in_handler(void)
{
	catch_signals(SIGALRM, add_nothing);
	shoot();
	while (signals < 2000)
		iommu_attach_set_message(count_message, NULL);
}

static void find_in_handler(int number)
{
	uint64_t tag;

	(void)number;
	if (iommu_attach_find_tag(&list, &iommu, &tag) == -EDEADLK)
		signals++;
}

/* It names the call that is refused, not the one that was interrupted. */
static void message_names_the_call(void)
{
	catch_signals(SIGALRM, find_in_handler);
	shoot();
	while (!signals) {
		struct iommu_attach_elm *elm = new_elm(&iommu, 2);

		EXPECT(iommu_attach_add(&list, elm) > 0);
		EXPECT(iommu_attach_del(&list, elm) > 0);
		iommu_attach_drain(&iommu.fence);
		free(elm);
	}
	EXPECT(messages && !strncmp(last_message, "libiommu-alist: iommu_attach_find_tag(): ", 41));
}

/* The lock is released, or not yet: the handler must not wait for its own thread. */
static void unlock_in_handler(void)
{
	catch_signals(SIGALRM, find_in_handler);
	shoot();
	while (signals < 2000) {
		iommu_attach_lock(&list);
		iommu_attach_unlock(&list);
	}
}

static struct iommu_attach_endpoint endpoint;
static int silent_once;

static int time_out(struct iommu_device *which, uint64_t cookie, void *arg)
{
	(void)which;
	(void)cookie;
	(void)arg;
	return silent_once ? -ETIMEDOUT : 0;
}

static void silent(struct iommu_device *which, uint64_t atc, void *arg)
{
	(void)which;
	(void)atc;
	(void)arg;
	silent_once = 0;
	iommu_attach_set_aside(&endpoint);
}

static void flush_silent(int number)
{
	struct iommu_attach_flush_ops silent_ops = ops;

	(void)number;
	signals++;
	silent_once = 1;
	silent_ops.wait = time_out;
	silent_ops.silent = silent;
	iommu_attach_flush(&list, &silent_ops, NULL);
}

/* The flush sets a device aside that the handler interrupts the attach of. */
static void set_aside_in_handler(void)
{
	iommu_attach_endpoint_init(&endpoint);
	catch_signals(SIGALRM, flush_silent);
	shoot();
	while (signals < 2000) {
		struct iommu_attach_elm *elm = new_elm(&iommu, 2);

		elm->using_atc = true;
		elm->atc = 3;
		elm->endpoint = &endpoint;
		EXPECT(iommu_attach_add(&list, elm) > 0);
		iommu_attach_resume(&endpoint);
		EXPECT(iommu_attach_del(&list, elm) > 0);
		iommu_attach_drain(&iommu.fence);
		free(elm);
	}
}

static bool fence_is_over(void)
{
	return iommu_attach_fence_poll(&iommu.fence, iommu_attach_fence_begin(&iommu.fence));
}

static void expect_flush(int number)
{
	(void)number;
	signals++;
	EXPECT(!fence_is_over());
}

/* A handler that interrupts a fence begins one that waits for the same flush. */
static void fence_in_handler(void)
{
	struct iommu_attach_elm *elm = new_elm(&iommu, 2);
	pthread_t thread;

	elm->using_atc = true;
	elm->atc = 3;
	EXPECT(iommu_attach_add(&list, elm) > 0);
	EXPECT(!pthread_create(&thread, NULL, flush_long, &list));
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		usleep(100);
	catch_signals(SIGALRM, expect_flush);
	shoot();
	while (signals < 2000)
		EXPECT(!fence_is_over());
	signal(SIGALRM, SIG_IGN);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	EXPECT(!pthread_join(thread, NULL));
	while (!fence_is_over())
		;
}

#ifdef __x86_64__
/* Takes the place of the C library's, for the library: it gets no block for a new thread. */
static bool no_block;

void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (no_block && size == 1 << 20) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, addr, size, prot, flags, fd, offset);
}

static int asked, drained;

static void *drain_if_asked(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		int number = __atomic_load_n(&asked, __ATOMIC_ACQUIRE);

		if (number == drained) {
			usleep(10);
			continue;
		}
		iommu_attach_drain(&iommu.fence);
		__atomic_store_n(&drained, number, __ATOMIC_RELEASE);
	}
	return arg;
}

static void walk_beside_drain(int number)
{
	struct iommu_attach_walk walk;

	(void)number;
	signals++;
	iommu_attach_walk_begin(&walk, &list);
	__atomic_store_n(&asked, signals, __ATOMIC_RELEASE);
	usleep(1000);
	EXPECT(__atomic_load_n(&drained, __ATOMIC_ACQUIRE) < signals);
	iommu_attach_walk_end(&walk);
}

/* While it is on, SIGTRAP comes after each instruction. */
static void single_step(bool on)
{
	unsigned long flags = __builtin_ia32_readeflags_u64(), trap = 0x100;

	__builtin_ia32_writeeflags_u64(on ? flags | trap : flags & ~trap);
}

static void *walk_in_steps(void *arg)
{
	struct iommu_attach_walk walk;

	iommu_attach_walk_begin(&walk, &list);
	iommu_attach_walk_end(&walk);
	single_step(true);
	iommu_attach_walk_begin(&walk, &list);
	iommu_attach_walk_end(&walk);
	single_step(false);
	return arg;
}

/* A thread without a block, whose walk the signal interrupts at each instruction. */
static void walk_without_block(void)
{
	pthread_t walker, drainer;

	catch_signals(SIGTRAP, walk_beside_drain);
	no_block = true;
	EXPECT(!pthread_create(&drainer, NULL, drain_if_asked, NULL));
	EXPECT(!pthread_create(&walker, NULL, walk_in_steps, NULL));
	EXPECT(!pthread_join(walker, NULL));
	EXPECT(signals > 10);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	EXPECT(!pthread_join(drainer, NULL));
}
#endif

#define CASE(name)	{ name, #name }

int main(int argc, char **argv)
{
	static const struct {
		void (*run)(void);
		const char *name;
	} cases[] = {
		CASE(signals_in_fork),
		CASE(first_flush_in_handler),
		CASE(static_list_in_handler),
		CASE(fork_beside_static_list),
		CASE(fork_beside_message),
		CASE(message_in_handler),
		CASE(message_names_the_call),
		CASE(unlock_in_handler),
		CASE(set_aside_in_handler),
		CASE(fence_in_handler),
#ifdef __x86_64__
		CASE(walk_without_block),
#endif
	};
	int i, status, failed = 0;

	for (i = 0; i < (int)(sizeof(cases) / sizeof(cases[0])); i++) {
		double begun = now();
		pid_t child, ended;

		if (argc > 1 && strcmp(argv[1], cases[i].name))
			continue;
		fflush(stdout);
		child = fork();
		EXPECT(child >= 0);
		if (!child) {
			iommu_attach_set_message(count_message, NULL);
			EXPECT(!iommu_attach_fence_init(&iommu.fence));
			iommu_attach_init(&list);
			EXPECT(iommu_attach_add(&list, new_elm(&iommu, 1)) > 0);
			cases[i].run();
			_exit(0);
		}
		/* No alarm(): it is the timer that shoots. One that hangs never ends. */
		while (!(ended = waitpid(child, &status, WNOHANG)) && now() - begun < 100)
			usleep(1000);
		if (!ended) {
			kill(child, SIGKILL);
			EXPECT(waitpid(child, &status, 0) == child);
		}
		printf("%s: %s, %.2f s\n", cases[i].name, status ? "failed" : "ok", now() - begun);
		failed |= status;
	}
	return failed ? 1 : 0;
}
