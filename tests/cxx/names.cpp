// SPDX-License-Identifier: GPL-2.0-only
// A program whose IOMMU and device are classes in a namespace, of whatever name.
namespace vmm {
class Iommu;
class Device;
}
#define IOMMU_ATTACH_IOMMU vmm::Iommu
#define IOMMU_ATTACH_DEVICE vmm::Device
#include <iommu-alist.h>

// Names that are the program's.
enum iommu_device { mine };
class device {};

namespace vmm {

class Iommu {
public:
	struct iommu_attach_fence fence;
	int commands = 0;

	static void iotlb(const iommu_attach_group *group, void *)
	{
		group->iommu_device->commands++;
	}
	static uint64_t submit(Iommu *, void *)
	{
		return 0;
	}
	static int wait(Iommu *iommu, uint64_t, void *)
	{
		iommu->commands += 10;
		return 0;
	}
};

class Device {
public:
	int number = 7;
};

} // namespace vmm

int main()
{
	static iommu_attach_list list = IOMMU_ATTACH_LIST_INIT;
	iommu_attach_flush_ops ops = {};
	iommu_attach_elm elm = {};
	vmm::Device device;
	vmm::Iommu iommu;
	int number = 0;

	ops.iotlb = vmm::Iommu::iotlb;
	ops.submit = vmm::Iommu::submit;
	ops.wait = vmm::Iommu::wait;
	if (iommu_attach_fence_init(&iommu.fence))
		return 1;
	elm.iommu_device = &iommu;
	elm.fence = &iommu.fence;
	elm.pasid = 3;
	iommu_attach_elm_set_device(&elm, &device);
	if (iommu_attach_add(&list, &elm) < 0 || iommu_attach_flush(&list, &ops, nullptr))
		return 1;
	iommu_attach_lock(&list);
	if (iommu_attach_find_elm(&list, &device, 3) == &elm &&
	    !iommu_attach_find_elm(&list, &device, 4))
		number = iommu_attach_elm_device(&elm)->number;
	iommu_attach_unlock(&list);
	iommu_attach_del(&list, &elm);
	iommu_attach_drain(&iommu.fence);
	iommu_attach_destroy(&list);
	iommu_attach_fence_destroy(&iommu.fence);
	return iommu.commands == 11 && number == 7 ? 0 : 1;
}
