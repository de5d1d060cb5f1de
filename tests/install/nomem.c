// SPDX-License-Identifier: GPL-2.0-only
/*
 * The installed library when the program has no memory left: an attach returns -ENOMEM
 * and leaves no trace, whichever of its allocations failed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <iommu-alist.h>

void *__libc_calloc(size_t nr, size_t size);

static unsigned int fail_at, allocations;

/* Takes the place of the C library's, for the library, too. */
void *calloc(size_t nr, size_t size)
{
	if (++allocations == fail_at) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(nr, size);
}

struct iommu_device { struct iommu_attach_fence fence; };

static unsigned int count_commands(struct iommu_attach_list *list)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	unsigned int nr = 0;
	uint64_t atc;

	iommu_attach_walk_begin(&walk, list);
	iommu_attach_for_each_group(group, &walk)
		nr++;
	iommu_attach_for_each_atc(group, atc, &walk)
		nr += 100;
	iommu_attach_walk_end(&walk);
	return nr;
}

int main(void)
{
	struct iommu_device iommu ;
	struct iommu_attach_elm elm[32] = { 0 };
	struct iommu_attach_list list;
	unsigned int failures = 0, i;
	int ret;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&list);

	/* The thread that frees is started at the first deferred free. */
	elm[0].iommu_device = &iommu;
	elm[0].fence = &iommu.fence;
	elm[0].using_atc = true;
	if (iommu_attach_add(&list, &elm[0]) < 0)
		return 1;
	iommu_attach_del(&list, &elm[0]);
	iommu_attach_drain(&iommu.fence);

	for (i = 0; i < 32; i++) {
		unsigned int before = count_commands(&list), n = 0;

		elm[i].iommu_device = &iommu;
		elm[i].fence = &iommu.fence;
		elm[i].tag = i / 4;
		elm[i].atc = i;
		elm[i].using_atc = true;
		do {
			allocations = 0;
			fail_at = ++n;
			ret = iommu_attach_add(&list, &elm[i]);
			fail_at = 0;
			if (ret == -ENOMEM) {
				failures++;
				if (count_commands(&list) != before) {
					printf("attach %u left a trace\n", i);
					return 1;
				}
			}
		} while (ret == -ENOMEM);
		if (ret < 0 || count_commands(&list) != before + 100 + (i % 4 == 0)) {
			printf("attach %u: %d\n", i, ret);
			return 1;
		}
	}
	for (i = 0; i < 32; i++)
		iommu_attach_del(&list, &elm[i]);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_barrier();
	iommu_attach_destroy(&list);
	iommu_attach_fence_destroy(&iommu.fence);
	printf("%u attaches failed\n", failures);
	return failures ? 0 : 1;
}
