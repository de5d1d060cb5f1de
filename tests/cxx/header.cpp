// SPDX-License-Identifier: GPL-2.0-only
// The header, its iterators and its macros in C++.
#include <cstdio>

#include "lib/iommu-alist.h"

namespace {

struct Attachment {
	int before;		// the element is not at offset 0
	iommu_attach_elm elm;
};

void iotlb(const iommu_attach_group *, void *arg)
{
	++*static_cast<int *>(arg);
}

void atc(const iommu_attach_group *, u64, void *arg)
{
	++*static_cast<int *>(arg);
}

u64 sync(iommu_device *, void *arg)
{
	++*static_cast<int *>(arg);
	return 0;
}

void wait(iommu_device *, u64, void *arg)
{
	++*static_cast<int *>(arg);
}

} // namespace

int main()
{
	static char iommu;
	iommu_attach_list alist;
	iommu_attach_walk walk;
	const iommu_attach_group *group;
	iommu_attach_flush_ops ops = {};
	Attachment *pos;
	u64 target;
	int calls = 0;

	ops.iotlb = iotlb;
	ops.atc = atc;
	ops.sync = sync;
	ops.wait = wait;

	iommu_attach_init(&alist);
	auto *attachment = static_cast<Attachment *>(kzalloc(sizeof(Attachment),
							     GFP_KERNEL));
	attachment->elm.iommu_device = reinterpret_cast<iommu_device *>(&iommu);
	attachment->elm.atc = 8;
	attachment->elm.using_atc = true;
	if (iommu_attach_add(&alist, &attachment->elm) != IOMMU_ATTACH_GROUP_S1)
		return 1;

	iommu_attach_flush(&alist, &ops, &calls);

	iommu_attach_walk_begin(&walk, &alist);
	iommu_attach_for_each_group(group, &walk)
		calls++;
	iommu_attach_for_each_iommu(group, &walk)
		calls++;
	iommu_attach_for_each_atc(group, target, &walk)
		calls += target == 8;
	iommu_attach_for_each_all(pos, &walk, elm)
		calls += pos == attachment;
	iommu_attach_walk_end(&walk);

	iommu_attach_lock(&alist);
	iommu_attach_for_each_locked(pos, &alist, elm)
		calls += !iommu_attach_elm_device(&pos->elm);
	iommu_attach_unlock(&alist);

	iommu_attach_del_free_sync(&alist, attachment, elm);
	iommu_attach_destroy(&alist);
	std::printf("%d\n", calls);
	return calls == 9 ? 0 : 1;
}
