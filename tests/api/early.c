// SPDX-License-Identifier: GPL-2.0-only
// A constructor of the program uses the library, whose own may not have run yet in a static
// link: it takes no thread-specific data of the program's, and counts.
#include <pthread.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list = IOMMU_ATTACH_LIST_INIT;
static struct iommu_attach_elm elm = { .iommu_device = &iommu, .fence = &iommu.fence };
static pthread_key_t key;

static void never(void *data)
{
	printf("called for %p\n", data);
	_exit(1);
}

__attribute__((constructor))
static void begin(void)
{
	EXPECT(!pthread_key_create(&key, never));
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	EXPECT(iommu_attach_add(&list, &elm) > 0);
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	EXPECT(!pthread_getspecific(key));
}

static void *flush(void *arg)
{
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	EXPECT(!pthread_getspecific(key));
	return arg;
}

int main(void)
{
	struct iommu_attach_counters counters;
	pthread_t thread;

	alarm(20);
	EXPECT(!pthread_getspecific(key));
	EXPECT(!pthread_create(&thread, NULL, flush, NULL));
	EXPECT(!pthread_join(thread, NULL));
	iommu_attach_read_counters(NULL, &counters);
	EXPECT(counters.flushes == 2 && iommu.sent == 2);
	EXPECT(iommu_attach_del(&list, &elm) > 0);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_destroy(&list);
	iommu_attach_fence_destroy(&iommu.fence);
	return 0;
}
