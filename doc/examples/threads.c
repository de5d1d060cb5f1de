// SPDX-License-Identifier: GPL-2.0-only
// Two threads flush a domain while a third one attaches to it and detaches from it.
// No thread is registered with the library, and flushes take no lock. Every flush sends
// to what stays attached.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <iommu-alist.h>

#define ROUNDS	2000

struct iommu_device { struct iommu_attach_fence fence; };

/* What one flush did: its own, on the stack of its thread. */
struct batch { int iotlb, submit, wait; };

static struct iommu_device iommu[2];
static struct iommu_attach_list domain;

static void send_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct batch *batch = arg;

	batch->iotlb += group->tag == 100;
}

static uint64_t submit(struct iommu_device *which, void *arg)
{
	struct batch *batch = arg;

	batch->submit++;
	return which == &iommu[0];
}

static int wait_done(struct iommu_device *which, uint64_t cookie, void *arg)
{
	struct batch *batch = arg;

	batch->wait += cookie == (which == &iommu[0]);
	return 0;
}

/* Without ATS there is no .atc. */
static const struct iommu_attach_flush_ops ops = {
	.iotlb = send_iotlb, .submit = submit, .wait = wait_done,
};

static void *flush(void *missed)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct batch batch = { 0 };

		if (iommu_attach_flush(&domain, &ops, &batch))
			exit(1);
		*(int *)missed += batch.iotlb != 1 || batch.submit != batch.wait;
	}
	return NULL;
}

static void *churn(void *failed)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct iommu_attach_elm *elm = calloc(1, sizeof(*elm));

		if (!elm)
			exit(1);
		elm->iommu_device = &iommu[i % 2];
		elm->fence = &iommu[i % 2].fence;
		elm->tag = 1 + i % 3;
		if (iommu_attach_add(&domain, elm) < 0) {
			free(elm);
			++*(int *)failed;
		} else {
			iommu_attach_del_free_at(&domain, elm, 0);
		}
	}
	return NULL;
}

int main(void)
{
	struct iommu_attach_elm stays = { .iommu_device = &iommu[0], .fence = &iommu[0].fence,
					  .tag = 100 };
	int missed[2] = { 0 }, failed = 0;
	pthread_t thread[3];
	int i;

	for (i = 0; i < 2; i++) {
		if (iommu_attach_fence_init(&iommu[i].fence))
			return 1;
	}
	iommu_attach_init(&domain);
	if (iommu_attach_add(&domain, &stays) < 0)
		return 1;
	if (pthread_create(&thread[0], NULL, flush, &missed[0]) ||
	    pthread_create(&thread[1], NULL, flush, &missed[1]) ||
	    pthread_create(&thread[2], NULL, churn, &failed))
		return 1;
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	printf("flushes that missed it: %d\n", missed[0] + missed[1]);
	printf("attaches that failed: %d\n", failed);

	iommu_attach_del(&domain, &stays);
	for (i = 0; i < 2; i++) {
		iommu_attach_drain(&iommu[i].fence);
		iommu_attach_fence_destroy(&iommu[i].fence);
	}
	iommu_attach_barrier();
	iommu_attach_destroy(&domain);
	return missed[0] + missed[1] + failed ? 1 : 0;
}
