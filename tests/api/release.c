// SPDX-License-Identifier: GPL-2.0-only
// Functions that release attachments use the library themselves.
#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list;
static struct iommu_attach_elm *other;
static int released;

static void release_last(struct iommu_attach_elm *elm)
{
	free(elm);
	released++;
}

static void release(struct iommu_attach_elm *elm)
{
	struct iommu_attach_walk walk;

	EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	iommu_attach_walk_begin(&walk, &list);
	EXPECT(iommu_attach_first_group(&walk));
	iommu_attach_walk_end(&walk);

	EXPECT(iommu_attach_del(&list, other) == IOMMU_ATTACH_GROUP_DOMAIN);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_fence(&iommu.fence);
	EXPECT(iommu_attach_add(&list, other) == IOMMU_ATTACH_GROUP_DOMAIN);
	EXPECT(iommu_attach_del_free_at(&list, other, 0) == IOMMU_ATTACH_GROUP_DOMAIN);
	iommu_attach_destroy(&list);
	EXPECT_SILENCE();

	/* It would wait for itself. */
	iommu_attach_barrier();
	EXPECT_MESSAGE("iommu_attach_barrier", "release function");
	released++;
	/* Not the library's any more, which may have it back. */
	EXPECT(!iommu_attach_defer(elm, release_last));
}

int main(void)
{
	struct iommu_attach_elm *elm;

	alarm(30);
	iommu_attach_set_message(count_message, NULL);
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);
	elm = new_elm(&iommu, 1);
	other = new_elm(&iommu, 2);
	EXPECT(iommu_attach_add(&list, elm) > 0 && iommu_attach_add(&list, other) > 0);
	EXPECT(iommu_attach_del(&list, elm) > 0);
	EXPECT(!iommu_attach_defer(elm, release));
	iommu_attach_barrier();		/* what release() defers is later */
	iommu_attach_barrier();
	EXPECT(released == 2 && iommu.sent == 1);
	return 0;
}
