// SPDX-License-Identifier: GPL-2.0-only
// While a flush waits for slow hardware, what does not concern that IOMMU does not wait:
// drains of others, and the memory of tables that were replaced.
#include <pthread.h>
#include <sys/resource.h>

#include "api.h"

static struct iommu_device slow, fast;
static struct iommu_attach_list slow_list, list;

int main(void)
{
	struct iommu_attach_elm *slow_elm = new_elm(&slow, 1), *elm = new_elm(&fast, 1);
	enum { GROUPS = 2000 };
	struct iommu_attach_elm **elms = calloc(GROUPS, sizeof(*elms));
	struct rusage usage;
	pthread_t thread;
	double begin, took, longest = 0;
	unsigned long cookie;
	long before;
	int i;

	alarm(60);
	EXPECT(elms);
	EXPECT(!iommu_attach_fence_init(&slow.fence) && !iommu_attach_fence_init(&fast.fence));
	iommu_attach_init(&slow_list);
	iommu_attach_init(&list);
	EXPECT(iommu_attach_add(&slow_list, slow_elm) > 0);
	EXPECT(iommu_attach_add(&list, elm) > 0);

	EXPECT(!pthread_create(&thread, NULL, flush_long, &slow_list));
	while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
		usleep(100);

	EXPECT(iommu_attach_del(&list, elm) > 0);
	for (i = 0; i < 10; i++) {
		begin = now();
		iommu_attach_drain(&fast.fence);
		took = now() - begin;
		longest = took > longest ? took : longest;
	}
	/* They returned, while the flush waits. */
	printf("drain of another domain: %.1f ms at most\n", longest * 1e3);

	/* Each new group is a new table: 16 MB of them. */
	getrusage(RUSAGE_SELF, &usage);
	before = usage.ru_maxrss;
	for (i = 0; i < GROUPS; i++) {
		elms[i] = new_elm(&fast, i);
		EXPECT(iommu_attach_add(&list, elms[i]) > 0);
	}
	iommu_attach_barrier();		/* they are freed before the flush has ended */
	getrusage(RUSAGE_SELF, &usage);
	printf("%ld KiB more at most\n", usage.ru_maxrss - before);

	/* And its own fence waits. */
	EXPECT(iommu_attach_del(&slow_list, slow_elm) > 0);
	cookie = iommu_attach_fence_begin(&slow.fence);
	for (i = 0; i < 10; i++) {
		EXPECT(!iommu_attach_fence_poll(&slow.fence, cookie));
		usleep(1000);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	iommu_attach_drain(&slow.fence);
	EXPECT(iommu_attach_fence_poll(&slow.fence, cookie));
	pthread_join(thread, NULL);
	for (i = 0; i < GROUPS; i++)
		EXPECT(iommu_attach_del_free_at(&list, elms[i], 0) > 0);
	iommu_attach_barrier();
	iommu_attach_destroy(&list);
	iommu_attach_destroy(&slow_list);
	free(elms);
	free(slow_elm);
	free(elm);
	return 0;
}
