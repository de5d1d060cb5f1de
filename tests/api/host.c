// SPDX-License-Identifier: GPL-2.0-only
// A program with a copy of the library of its own (built with HOST_COPY) or without one,
// whose plugin has another: threads from before and after use both, and the plugin goes
// while such threads live.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

#include "api.h"

static int (*plugin_run)(void);
static pthread_barrier_t barrier;

static void use_own_copy(void)
{
#ifdef HOST_COPY
	static struct iommu_device iommu;
	static struct iommu_attach_list list = IOMMU_ATTACH_LIST_INIT;
	static int begun;
	struct iommu_attach_elm *elm;

	if (!begun++)
		EXPECT(!iommu_attach_fence_init(&iommu.fence));
	elm = new_elm(&iommu, 1);
	EXPECT(iommu_attach_add(&list, elm) > 0);
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	EXPECT(iommu_attach_del(&list, elm) > 0);
	iommu_attach_drain(&iommu.fence);
	free(elm);
#endif
}

static void *early(void *arg)
{
	pthread_barrier_wait(&barrier);		/* it is there before the plugin */
	pthread_barrier_wait(&barrier);
	EXPECT(plugin_run() == 101);
	pthread_barrier_wait(&barrier);		/* and when it has gone */
	pthread_barrier_wait(&barrier);
	return arg;
}

static void *late(void *arg)
{
	EXPECT(plugin_run() == 101);
	return arg;
}

static void load(const char *name, void **handle)
{
	union { void *object; int (*function)(void); } symbol;

	*handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!*handle) {
		puts(dlerror());
		exit(1);
	}
	symbol.object = dlsym(*handle, "plugin_run");
	EXPECT(symbol.object);
	plugin_run = symbol.function;
}

/* What a copy that was unloaded has registered is not called. */
static void fork_and_wait(void)
{
	pid_t child = fork();
	int status;

	EXPECT(child >= 0);
	if (!child) {
		use_own_copy();
		_exit(0);
	}
	EXPECT(waitpid(child, &status, 0) == child && !status);
}

int main(int argc, char **argv)
{
	pthread_t threads[2];
	void *handle;
	int i;

	alarm(30);
	EXPECT(argc == 2);
	pthread_barrier_init(&barrier, NULL, 2);
	EXPECT(!pthread_create(&threads[0], NULL, early, NULL));
	pthread_barrier_wait(&barrier);
	use_own_copy();
	for (i = 0; i < 3; i++) {
		load(argv[1], &handle);
		if (!i)
			pthread_barrier_wait(&barrier);
		EXPECT(plugin_run() == 101);
		use_own_copy();
		EXPECT(!pthread_create(&threads[1], NULL, late, NULL));
		pthread_join(threads[1], NULL);
		if (!i)
			pthread_barrier_wait(&barrier);
		EXPECT(!dlclose(handle));
	}
	pthread_barrier_wait(&barrier);
	pthread_join(threads[0], NULL);
	use_own_copy();
	fork_and_wait();
	return 0;
}
