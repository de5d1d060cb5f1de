// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps and unmaps, for machines where nothing else does: Linux 7.3 has neither DMA mappings
 * nor VFIO on RISC-V.
 *
 *	insmod unmap.ko id=VENDOR:DEVICE
 *	echo N >/sys/module/unmap/parameters/unmaps
 *
 * Each such write attaches all such devices to one domain, maps and unmaps N times, 4K, 64K
 * and 2M in turn, and detaches them; it fails if any of that does.
 */
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#define DEVICES_MAX	8
#define IOVA		0x10000000UL

static char *id = "";
module_param(id, charp, 0);
MODULE_PARM_DESC(id, "vendor:device of the devices that are attached");

static const size_t sizes[] = { SZ_4K, SZ_64K, SZ_2M };

static struct device *devices[DEVICES_MAX];
static struct iommu_group *groups[DEVICES_MAX];
static unsigned int count;
static int owner;

static int find_devices(void)
{
	unsigned int vendor, device;
	struct pci_dev *pdev = NULL;

	if (sscanf(id, "%x:%x", &vendor, &device) != 2)
		return -EINVAL;
	while (count < DEVICES_MAX && (pdev = pci_get_device(vendor, device, pdev)))
		devices[count++] = get_device(&pdev->dev);
	pci_dev_put(pdev);
	return count ? 0 : -ENODEV;
}

static int unmap(struct iommu_domain *domain, struct page *page, unsigned int times)
{
	unsigned int i;
	int ret;

	for (i = 0; i < times; i++) {
		size_t size = sizes[i % ARRAY_SIZE(sizes)];

		ret = iommu_map(domain, IOVA, page_to_phys(page), size,
				IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
		if (ret)
			return ret;
		if (iommu_unmap(domain, IOVA, size) != size)
			return -EIO;
	}
	return 0;
}

static int unmap_attached(struct iommu_domain *domain, unsigned int times)
{
	struct page *page = alloc_pages(GFP_KERNEL, get_order(SZ_2M));
	unsigned int attached;
	int ret = page ? 0 : -ENOMEM;

	for (attached = 0; !ret && attached < count; attached++) {
		ret = iommu_attach_group(domain, groups[attached]);
		if (ret)
			break;
	}
	if (!ret)
		ret = unmap(domain, page, times);
	while (attached--)
		iommu_detach_group(domain, groups[attached]);
	if (page)
		__free_pages(page, get_order(SZ_2M));
	return ret;
}

/* Parameters are written to by one at a time. */
static int unmaps_set(const char *value, const struct kernel_param *kp)
{
	struct iommu_domain *domain;
	unsigned int claimed = 0, times, i;
	int ret = kstrtouint(value, 0, &times);

	if (ret)
		return ret;
	count = 0;
	ret = find_devices();
	while (!ret && claimed < count) {
		groups[claimed] = iommu_group_get(devices[claimed]);
		ret = groups[claimed] ? iommu_group_claim_dma_owner(groups[claimed], &owner) :
					-ENODEV;
		if (ret)
			iommu_group_put(groups[claimed]);
		else
			claimed++;
	}
	if (!ret) {
		domain = iommu_paging_domain_alloc(devices[0]);
		ret = PTR_ERR_OR_ZERO(domain);
		if (!ret) {
			ret = unmap_attached(domain, times);
			iommu_domain_free(domain);
		}
	}
	while (claimed--) {
		iommu_group_release_dma_owner(groups[claimed]);
		iommu_group_put(groups[claimed]);
	}
	for (i = 0; i < count; i++)
		put_device(devices[i]);
	return ret;
}

static const struct kernel_param_ops unmaps_ops = {
	.set = unmaps_set,
};
module_param_cb(unmaps, &unmaps_ops, NULL, 0200);
MODULE_PARM_DESC(unmaps, "attach, map and unmap so often, detach");

static int __init unmap_init(void)
{
	return 0;
}

static void __exit unmap_exit(void)
{
}

module_init(unmap_init);
module_exit(unmap_exit);
MODULE_DESCRIPTION("Maps and unmaps");
MODULE_LICENSE("GPL");
