// SPDX-License-Identifier: GPL-2.0-only
// Each counter of a list, and of all lists, counts what it says, and nothing else.
#include <pthread.h>

#include "api.h"

#define ROUNDS	5

static struct iommu_device iommu[2];
static struct iommu_attach_list first, second;
static struct iommu_attach_endpoint endpoint;

static int wait_fails(struct iommu_device *which, uint64_t cookie, void *arg)
{
	(void)which;
	(void)cookie;
	(void)arg;
	return -EIO;
}

static void release(struct iommu_attach_elm *elm)
{
	free(elm);
}

/* Has @list, or all lists, counted that many since? */
static void expect_counts(struct iommu_attach_list *list, const struct iommu_attach_counters *before,
			  uint64_t flushes, uint64_t iotlb, uint64_t atc, uint64_t submits,
			  uint64_t errors)
{
	struct iommu_attach_counters now;

	iommu_attach_read_counters(list, &now);
	EXPECT(now.flushes - before->flushes == flushes);
	EXPECT(now.iotlb - before->iotlb == iotlb);
	EXPECT(now.atc - before->atc == atc);
	EXPECT(now.submits - before->submits == submits);
	EXPECT(now.errors - before->errors == errors);
}

static void *flush_first(void *arg)
{
	EXPECT(!iommu_attach_flush(&first, &ops, NULL));
	return arg;
}

int main(void)
{
	struct iommu_attach_flush_ops failing = ops;
	struct iommu_attach_counters none = { 0 }, before, now;
	struct iommu_attach_elm *elm[4];
	pthread_t thread;
	int i;

	alarm(60);
	failing.wait = wait_fails;
	iommu_attach_endpoint_init(&endpoint);
	for (i = 0; i < 2; i++)
		EXPECT(!iommu_attach_fence_init(&iommu[i].fence));
	iommu_attach_init(&first);
	iommu_attach_init(&second);
	iommu_attach_read_counters(NULL, &before);

	/* Two tags behind one IOMMU, one with an ATC; one behind the other. And another list. */
	for (i = 0; i < 4; i++)
		elm[i] = new_elm(&iommu[i == 2], 1 + i);
	elm[1]->using_atc = true;
	elm[1]->endpoint = &endpoint;
	for (i = 0; i < 3; i++)
		EXPECT(iommu_attach_add(&first, elm[i]) > 0);
	EXPECT(iommu_attach_add(&second, elm[3]) > 0);
	expect_counts(&first, &none, 0, 0, 0, 0, 0);
	expect_counts(NULL, &before, 0, 0, 0, 0, 0);

	for (i = 0; i < ROUNDS; i++)
		EXPECT(!iommu_attach_flush(&first, &ops, NULL));
	expect_counts(&first, &none, ROUNDS, 3 * ROUNDS, ROUNDS, 2 * ROUNDS, 0);
	expect_counts(&second, &none, 0, 0, 0, 0, 0);
	expect_counts(NULL, &before, ROUNDS, 3 * ROUNDS, ROUNDS, 2 * ROUNDS, 0);

	EXPECT(iommu_attach_flush(&second, &failing, NULL) == -EIO);
	expect_counts(&second, &none, 1, 1, 0, 1, 1);
	expect_counts(NULL, &before, ROUNDS + 1, 3 * ROUNDS + 1, ROUNDS, 2 * ROUNDS + 1, 1);

	/* What a thread has counted stays when it is gone. */
	EXPECT(!pthread_create(&thread, NULL, flush_first, NULL));
	EXPECT(!pthread_join(thread, NULL));
	expect_counts(&first, &none, ROUNDS + 1, 3 * (ROUNDS + 1), ROUNDS + 1, 2 * (ROUNDS + 1), 0);

	/* Fences and drains are of no list. */
	iommu_attach_fence(&iommu[0].fence);
	iommu_attach_fence_wait(&iommu[1].fence, iommu_attach_fence_begin(&iommu[1].fence));
	iommu_attach_drain(&iommu[0].fence);
	iommu_attach_read_counters(NULL, &now);
	EXPECT(now.fences - before.fences == 2 && now.drains - before.drains == 1);
	EXPECT(now.fence_ns >= now.fence_ns_max && now.fence_ns_max);
	iommu_attach_read_counters(&first, &now);
	EXPECT(!now.fences && !now.drains && !now.fence_ns && !now.fence_ns_max);

	/* A list that is gone stays in the sum; its counters are not those of the next one. */
	for (i = 0; i < 3; i++)
		EXPECT(iommu_attach_del(&first, elm[i]) > 0);
	EXPECT(iommu_attach_del(&second, elm[3]) > 0);
	for (i = 0; i < 2; i++)
		iommu_attach_drain(&iommu[i].fence);
	iommu_attach_destroy(&first);
	iommu_attach_destroy(&second);
	expect_counts(NULL, &before, ROUNDS + 2, 3 * (ROUNDS + 1) + 1, ROUNDS + 1,
		      2 * (ROUNDS + 1) + 1, 1);
	iommu_attach_init(&first);
	EXPECT(iommu_attach_add(&first, elm[0]) > 0);
	expect_counts(&first, &none, 0, 0, 0, 0, 0);
	EXPECT(iommu_attach_del(&first, elm[0]) > 0);
	for (i = 0; i < 4; i++)
		EXPECT(!iommu_attach_defer(elm[i], release));
	iommu_attach_barrier();
	return 0;
}
