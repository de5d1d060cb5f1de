// SPDX-License-Identifier: GPL-2.0-only
// The installed header, its iterators and its macros in C++: a class of the program's
// around an attachment, made by new and given to delete.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <iommu-alist.h>

struct iommu_device {
	int commands;
	struct iommu_attach_fence fence;
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

uint64_t submit(iommu_device *iommu, void *)
{
	iommu->commands++;
	return 0;
}

int wait(iommu_device *iommu, uint64_t, void *)
{
	iommu->commands++;
	return 0;
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
	ops.submit = submit;
	ops.wait = wait;

	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	iommu_attach_init(&alist);
	auto attachment = std::unique_ptr<Attachment>(new Attachment());
	attachment->elm.iommu_device = &iommu;
	attachment->elm.fence = &iommu.fence;
	attachment->elm.pasid = IOMMU_NO_PASID;
	attachment->elm.atc = 8;
	attachment->elm.using_atc = true;
	iommu_attach_elm_set_device(&attachment->elm, &dev);
	if (iommu_attach_add(&alist, &attachment->elm) != IOMMU_ATTACH_GROUP_DOMAIN)
		return 1;

	if (iommu_attach_flush(&alist, &ops, nullptr))
		return 1;

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

	// From malloc() and its like: the macro calls free().
	pos = static_cast<Attachment *>(std::calloc(1, sizeof(*pos)));
	if (!pos)
		return 1;
	pos->elm.iommu_device = &iommu;
	pos->elm.fence = &iommu.fence;
	if (iommu_attach_add(&alist, &pos->elm) || iommu_attach_del_free(&alist, pos, elm))
		return 1;

	if (iommu_attach_del(&alist, &attachment->elm) != IOMMU_ATTACH_GROUP_DOMAIN ||
	    iommu_attach_defer(&attachment.release()->elm, release))
		return 1;
	iommu_attach_drain(&iommu.fence);
	iommu_attach_barrier();
	iommu_attach_destroy(&alist);
	iommu_attach_fence_destroy(&iommu.fence);
	std::printf("%d commands, %d yields, %d deleted\n", iommu.commands, calls, deleted);
	return iommu.commands == 4 && calls == 5 && deleted == 1 ? 0 : 1;
}
