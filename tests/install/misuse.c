// SPDX-License-Identifier: GPL-2.0-only
/*
 * Misuse of the installed library is told, once for each place, and does no harm. The
 * last line says how many warnings there are to be; "lockdep": with checks of locks
 * and read-side sections.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <iommu-alist.h>

#define EXPECT(condition)						\
	do {								\
		if (!(condition)) {					\
			printf("%d: not so: %s\n", __LINE__, #condition); \
			return 1;					\
		}							\
	} while (0)

struct iommu_device { struct iommu_attach_fence fence; };

static void never(struct iommu_attach_elm *elm)
{
	printf("called for %p, which is on a list\n", (void *)elm);
}

int main(int argc, char **argv)
{
	bool lockdep = argc == 2 && !strcmp(argv[1], "lockdep");
	struct iommu_device iommu;
	struct iommu_attach_elm elm = { .iommu_device = &iommu, .fence = &iommu.fence, .tag = 1 };
	struct iommu_attach_elm other = { .iommu_device = &iommu, .fence = &iommu.fence, .tag = 1 };
	struct iommu_attach_elm nowhere = { .tag = 1 };
	struct iommu_attach_list list;
	struct iommu_attach_walk walk;
	int warnings = 0, i;
	uint64_t tag = 0;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&list);
	EXPECT(iommu_attach_add(&list, &elm) == IOMMU_ATTACH_GROUP_DOMAIN);

	/* Twice: a place warns once. */
	for (i = 0; i < 2; i++)
		EXPECT(iommu_attach_add(&list, &elm) == -EEXIST);
	EXPECT(iommu_attach_add(&list, &nowhere) == -EINVAL);
	EXPECT(iommu_attach_del(&list, &other) == -ENOENT);
	EXPECT(iommu_attach_defer(&elm, never) == -EBUSY);
	EXPECT(iommu_attach_enable_atc(&other) == -ENOENT);
	iommu_attach_destroy(&list);
	warnings += 5;

	/* The list is what it was. */
	EXPECT(!iommu_attach_empty(&list));
	EXPECT(!iommu_attach_find_tag(&list, &iommu, &tag) && tag == 1);

	if (lockdep) {
		EXPECT(iommu_attach_first_locked(&list, 0) == &elm);
		EXPECT(!iommu_attach_elm_device(&elm));
		iommu_attach_walk_begin(&walk, &list);
		EXPECT(iommu_attach_first_group(&walk));
		iommu_attach_walk_end(&walk);
		EXPECT(!iommu_attach_first_group(&walk));
		EXPECT(iommu_attach_first_all(&walk, 0) == &elm);
		warnings += 4;
	}

	EXPECT(iommu_attach_del(&list, &elm) == IOMMU_ATTACH_GROUP_DOMAIN);
	EXPECT(iommu_attach_empty(&list));
	iommu_attach_drain(&iommu.fence);
	iommu_attach_destroy(&list);
	iommu_attach_fence_destroy(&iommu.fence);
	printf("%d warnings\n", warnings);
	return 0;
}
