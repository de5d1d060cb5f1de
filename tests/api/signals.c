// SPDX-License-Identifier: GPL-2.0-only
// Flushes and walks in a signal handler are as others. What takes a lock is refused if the
// signal interrupted the library, and does its work if not.
#include <pthread.h>
#include <signal.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list;
static struct iommu_attach_elm mine;
static volatile sig_atomic_t signals, added, refused;

static void handler(int number)
{
	struct iommu_attach_walk walk;
	int ret;

	(void)number;
	signals++;
	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	iommu_attach_walk_begin(&walk, &list);
	EXPECT(iommu_attach_first_group(&walk));
	iommu_attach_walk_end(&walk);

	ret = iommu_attach_add(&list, &mine);
	if (ret == -EDEADLK) {
		refused++;
		return;
	}
	/* Deleted at the last signal, and perhaps not drained since. */
	if (ret == -EBUSY)
		return;
	EXPECT(!ret);
	EXPECT(!iommu_attach_del(&list, &mine));
	added++;
}

static void *shoot(void *target)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		pthread_kill(*(pthread_t *)target, SIGUSR1);
		usleep(20);
	}
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	pthread_t self = pthread_self(), shooter;
	double end;

	alarm(60);
	iommu_attach_set_message(count_message, NULL);
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);
	mine.iommu_device = &iommu;
	mine.fence = &iommu.fence;
	mine.tag = 1;
	EXPECT(iommu_attach_add(&list, new_elm(&iommu, 1)) > 0);
	EXPECT(!sigaction(SIGUSR1, &action, NULL));
	EXPECT(!pthread_create(&shooter, NULL, shoot, &self));

	/* A busy machine may not let the other thread run for seconds. */
	for (end = now() + 2; now() < end || !(signals && added && refused);) {
		struct iommu_attach_elm *elm = new_elm(&iommu, 2);

		EXPECT(!iommu_attach_flush(&list, &ops, NULL));
		EXPECT(iommu_attach_add(&list, elm) > 0);
		EXPECT(iommu_attach_del_free_at(&list, elm, 0) > 0);
		iommu_attach_drain(&iommu.fence);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(shooter, NULL);
	printf("%d signals, %d attached, %d refused\n", signals, added, refused);
	EXPECT(signals && added && refused);
	return 0;
}
