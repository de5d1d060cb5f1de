// SPDX-License-Identifier: GPL-2.0-only
// Three ways to free the memory of an attachment. All of them wait until no walk reads it;
// they differ in who waits.
#include <stdio.h>
#include <stdlib.h>

#include <iommu-alist.h>

struct iommu_device { struct iommu_attach_fence fence; };

struct attachment {
	int number;
	struct iommu_attach_elm elm;
};

static struct iommu_device iommu;
static struct iommu_attach_list domain;

static struct attachment *attach(int number)
{
	struct attachment *attachment = calloc(1, sizeof(*attachment));

	if (!attachment)
		exit(1);
	attachment->number = number;
	attachment->elm.iommu_device = &iommu;
	attachment->elm.fence = &iommu.fence;
	attachment->elm.tag = 1;
	switch (iommu_attach_add(&domain, &attachment->elm)) {
	case 0:
		break;
	case IOMMU_ATTACH_GROUP_DOMAIN:
		printf("%d is the first with this tag: program it\n", number);
		break;
	default:			/* -ENOMEM, and nothing has changed */
		exit(1);
	}
	return attachment;
}

/* Called by a thread of the library. */
static void release(struct iommu_attach_elm *elm)
{
	struct attachment *attachment = (struct attachment *)((char *)elm -
					offsetof(struct attachment, elm));

	printf("%d is released\n", attachment->number);
	free(attachment);
}

int main(void)
{
	struct attachment *attachment[4];
	int i;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&domain);
	for (i = 0; i < 4; i++)
		attachment[i] = attach(i);

	/* Several at once: one drain for all of them. */
	iommu_attach_del(&domain, &attachment[0]->elm);
	iommu_attach_del(&domain, &attachment[1]->elm);
	iommu_attach_drain(&iommu.fence);
	free(attachment[0]);
	free(attachment[1]);

	/* Does not wait; free() is called later. */
	iommu_attach_del_free(&domain, attachment[2], elm);

	/* Does not wait; release() is called later. */
	if (iommu_attach_del(&domain, &attachment[3]->elm) == IOMMU_ATTACH_GROUP_DOMAIN)
		printf("3 was the last with this tag: flush it\n");
	iommu_attach_defer(&attachment[3]->elm, release);

	/*
	 * Either may come while a flush still sends to the device: fence before the device
	 * goes, or its ATS. Now nothing is left that refers to the IOMMU.
	 */
	iommu_attach_drain(&iommu.fence);
	iommu_attach_barrier();		/* free() and release() have been called */
	printf("empty: %s\n", iommu_attach_empty(&domain) ? "yes" : "no");
	iommu_attach_destroy(&domain);
	iommu_attach_fence_destroy(&iommu.fence);
	return 0;
}
