// SPDX-License-Identifier: GPL-2.0-only
// One thread enables the ATC of an attachment, and another one deletes it in the middle of
// that: where the first one reads what the delete changes, it meets a page without access.
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list;
static char *page;
static int reached, deleted;

/*
 * Lets the other thread delete, unless that one has to wait for this one. That one may touch the
 * page, too, so access is back before it begins.
 */
static void reach(int number, siginfo_t *info, void *context)
{
	static const char text[] = "it reads what was deleted\n";
	int i;

	(void)number;
	(void)context;
	if ((char *)info->si_addr < page || (char *)info->si_addr >= page + getpagesize()) {
		if (write(STDOUT_FILENO, text, strlen(text)) < 0)
			_exit(2);
		_exit(1);
	}
	mprotect(page, getpagesize(), PROT_READ | PROT_WRITE);
	__atomic_store_n(&reached, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 100 && !__atomic_load_n(&deleted, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
}

static void *delete(void *elm)
{
	while (!__atomic_load_n(&reached, __ATOMIC_ACQUIRE))
		usleep(100);
	EXPECT(iommu_attach_del(&list, elm) > 0);
	__atomic_store_n(&deleted, 1, __ATOMIC_RELEASE);
	return elm;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = reach, .sa_flags = SA_SIGINFO };
	struct iommu_attach_elm *elm;
	pthread_t thread;
	int ret;

	alarm(60);
	page = mmap(NULL, 2 * getpagesize(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(page != MAP_FAILED);
	page += getpagesize();
	/* The list that it is on is in front of the page, and the group is in it. */
	elm = (void *)(page - offsetof(struct iommu_attach_elm, opaque[2]));
	elm->iommu_device = &iommu;
	elm->fence = &iommu.fence;
	iommu_attach_set_message(count_message, NULL);
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);
	EXPECT(iommu_attach_add(&list, elm) > 0);

	EXPECT(!sigaction(SIGSEGV, &action, NULL));
	EXPECT(!pthread_create(&thread, NULL, delete, elm));
	EXPECT(!mprotect(page, getpagesize(), PROT_NONE));
	ret = iommu_attach_enable_atc(elm);
	EXPECT(!ret || ret == -ENOENT);
	EXPECT(!pthread_join(thread, NULL));
	EXPECT(reached && iommu_attach_empty(&list));
	EXPECT(iommu_attach_enable_atc(elm) == -ENOENT);
	iommu_attach_drain(&iommu.fence);
	EXPECT_SILENCE();
	return 0;
}
