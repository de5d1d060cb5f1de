// SPDX-License-Identifier: GPL-2.0-only
// An IOMMU goes away, and with it all that is attached behind it. The other one stays.
#include <inttypes.h>
#include <stdio.h>

#include <iommu-alist.h>

struct iommu_device { const char *name; };

static void released(struct iommu_attach_elm *elm, void *arg)
{
	++*(int *)arg;
	printf("released: tag %" PRIu64 " on %s\n", elm->tag, elm->iommu_device->name);
}

static void show_tag(struct iommu_attach_list *domain, struct iommu_device *iommu)
{
	uint64_t tag;

	if (iommu_attach_find_tag(domain, iommu, &tag))
		printf("%s: no tag\n", iommu->name);
	else
		printf("%s: tag %" PRIu64 "\n", iommu->name, tag);
}

int main(void)
{
	struct iommu_device iommu[] = { { "iommu0" }, { "iommu1" } };
	struct iommu_attach_elm elm[] = {
		{ .iommu_device = &iommu[0], .tag = 10 },
		{ .iommu_device = &iommu[1], .tag = 20 },
		{ .iommu_device = &iommu[1], .tag = 20 },
	};
	struct iommu_attach_list domain;
	int i, nr = 0;

	iommu_attach_init(&domain);
	for (i = 0; i < 3; i++) {
		if (iommu_attach_add(&domain, &elm[i]) < 0)
			return 1;
	}
	show_tag(&domain, &iommu[0]);
	show_tag(&domain, &iommu[1]);

	/* Drains before it releases: iommu1 may go when it returns. */
	iommu_attach_del_iommu(&domain, &iommu[1], released, &nr);
	printf("%d were behind it\n", nr);
	show_tag(&domain, &iommu[0]);
	show_tag(&domain, &iommu[1]);

	iommu_attach_del(&domain, &elm[0]);
	iommu_attach_drain();
	iommu_attach_destroy(&domain);
	return 0;
}
