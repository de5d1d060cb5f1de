// SPDX-License-Identifier: GPL-2.0-only
/* The control of fuzz_api: linked so that every flush loses an ATC command. */
#include <linux/iommu-alist.h>

struct losing {
	const struct iommu_attach_flush_ops *ops;
	void *arg;
	bool lost;
};

int __real_iommu_attach_flush(struct iommu_attach_list *alist,
			      const struct iommu_attach_flush_ops *ops, void *arg);
int __wrap_iommu_attach_flush(struct iommu_attach_list *alist,
			      const struct iommu_attach_flush_ops *ops, void *arg);

static void losing_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct losing *losing = arg;

	losing->ops->iotlb(group, losing->arg);
}

static void losing_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct losing *losing = arg;

	if (losing->lost)
		losing->ops->atc(group, atc, losing->arg);
	losing->lost = true;
}

static u64 losing_submit(struct iommu_device *iommu_device, void *arg)
{
	struct losing *losing = arg;

	return losing->ops->submit(iommu_device, losing->arg);
}

static int losing_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct losing *losing = arg;

	return losing->ops->wait(iommu_device, cookie, losing->arg);
}

static void losing_silent(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	struct losing *losing = arg;

	losing->ops->silent(iommu_device, atc, losing->arg);
}

int __wrap_iommu_attach_flush(struct iommu_attach_list *alist,
			      const struct iommu_attach_flush_ops *ops, void *arg)
{
	const struct iommu_attach_flush_ops changed = {
		.iotlb = losing_iotlb,
		.atc = ops->atc ? losing_atc : NULL,
		.submit = losing_submit,
		.wait = losing_wait,
		.silent = ops->silent ? losing_silent : NULL,
		.wait_before_nest = ops->wait_before_nest,
		.wait_before_atc = ops->wait_before_atc,
	};
	struct losing losing = { .ops = ops, .arg = arg };

	return __real_iommu_attach_flush(alist, &changed, &losing);
}
