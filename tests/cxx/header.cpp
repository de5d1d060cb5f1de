// SPDX-License-Identifier: GPL-2.0-only
// The installed header, its iterators and its macros in C++: a class of the program's
// around an attachment, made by new and given to delete.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <iommu-alist.h>

struct iommu_device {
	int commands;
};

struct device {
	int number;
};

namespace {

struct Attachment {
	int before;		// the element is not at offset 0
	iommu_attach_elm elm;
};

int deleted;

void iotlb(const iommu_attach_group *group, void *)
{
	group->iommu_device->commands++;
}

void atc(const iommu_attach_group *group, uint64_t, void *)
{
	group->iommu_device->commands++;
}

uint64_t sync(iommu_device *iommu, void *)
{
	iommu->commands++;
	return 0;
}

void wait(iommu_device *iommu, uint64_t, void *)
{
	iommu->commands++;
}

void release(iommu_attach_elm *elm)
{
	char *attachment = reinterpret_cast<char *>(elm) - offsetof(Attachment, elm);

	delete reinterpret_cast<Attachment *>(attachment);
	deleted++;
}

} // namespace

int main()
{
	iommu_device iommu = {};
	device dev = { 7 };
	iommu_attach_list alist;
	iommu_attach_walk walk;
	const iommu_attach_group *group;
	iommu_attach_flush_ops ops = {};
	Attachment *pos;
	uint64_t target;
	int calls = 0;

	ops.iotlb = iotlb;
	ops.atc = atc;
	ops.sync = sync;
	ops.wait = wait;

	iommu_attach_init(&alist);
	auto attachment = std::unique_ptr<Attachment>(new Attachment());
	attachment->elm.iommu_device = &iommu;
	attachment->elm.pasid = IOMMU_NO_PASID;
	attachment->elm.atc = 8;
	attachment->elm.using_atc = true;
	iommu_attach_elm_set_device(&attachment->elm, &dev);
	if (iommu_attach_add(&alist, &attachment->elm) != IOMMU_ATTACH_GROUP_S1)
		return 1;

	iommu_attach_flush(&alist, &ops, nullptr);

	iommu_attach_walk_begin(&walk, &alist);
	iommu_attach_for_each_group(group, &walk)
		calls += group->kind == IOMMU_ATTACH_OWN;
	iommu_attach_for_each_iommu(group, &walk)
		calls += group->iommu_device == &iommu;
	iommu_attach_for_each_atc(group, target, &walk)
		calls += target == 8;
	iommu_attach_for_each_all(pos, &walk, elm)
		calls += pos == attachment.get();
	iommu_attach_walk_end(&walk);

	iommu_attach_lock(&alist);
	iommu_attach_for_each_locked(pos, &alist, elm)
		calls += iommu_attach_elm_device(&pos->elm)->number == 7;
	iommu_attach_unlock(&alist);

	// From malloc() and its like: the macros call free().
	for (int i = 0; i < 2; i++) {
		pos = static_cast<Attachment *>(std::calloc(1, sizeof(*pos)));
		if (!pos)
			return 1;
		pos->elm.iommu_device = &iommu;
		if (iommu_attach_add(&alist, &pos->elm))
			return 1;
		if (i ? iommu_attach_del_free(&alist, pos, elm) :
			iommu_attach_del_free_sync(&alist, pos, elm))
			return 1;
	}

	if (iommu_attach_del(&alist, &attachment->elm) != IOMMU_ATTACH_GROUP_S1 ||
	    iommu_attach_defer(&attachment.release()->elm, release))
		return 1;
	iommu_attach_barrier();
	iommu_attach_destroy(&alist);
	std::printf("%d commands, %d yields, %d deleted\n", iommu.commands, calls, deleted);
	return iommu.commands == 4 && calls == 5 && deleted == 1 ? 0 : 1;
}
