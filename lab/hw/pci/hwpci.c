// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI segments of a machine whose hardware is outside: see ../layout.h.
 *
 *	insmod hwpci.ko base=ADDRESS
 *
 * makes a segment for each unit. It has no logic but the masks of configuration space and the
 * wait for the function after a write; what answers is the program outside. Where there is a
 * device tree, the host bridge of segment N has the node /hwpci-N, so that the kernel finds its
 * functions' IOMMU there. Parameters do what a program cannot ask the kernel for:
 *
 *	grace	a read runs synchronize_rcu() and gives the nanoseconds that it took
 *	gone	a function that the kernel shall take for disconnected
 *	sva	a function that the writer's address space is bound to; a read gives the PASID
 *		of the last one
 *	unbind	the same function: all of its bonds end
 *	linger	1: the end of the writer's address space stops where bonds made later have been
 *		told, and its pages are there still. It goes on when 0 is written. A read gives
 *		whether it has come there
 *	back	a function that was removed is looked for again
 *	dma	a function that gets a page for DMA by its kernel's domain; a read gives the
 *		address that the function uses for it
 *	undma	the page is taken away
 *	snoop	a function whose domain two callers tell at once to force snooping; a read gives
 *		the wait commands that its unit has executed since the first one began: when the
 *		second one began, when each of them had returned
 *	deaf	milliseconds for which the writer has interrupts off
 *
 * A function is written as "0001:00:01.0".
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/ioport.h>
#include <linux/irqflags.h>
#include <linux/kstrtox.h>
#include <linux/ktime.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_platform.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "../layout.h"

static unsigned long base;
module_param(base, ulong, 0);
MODULE_PARM_DESC(base, "where the hardware is in memory");

static int grace_get(char *buffer, const struct kernel_param *kp)
{
	ktime_t began = ktime_get();

	synchronize_rcu();
	return sysfs_emit(buffer, "%lld\n", ktime_to_ns(ktime_sub(ktime_get(), began)));
}

static const struct kernel_param_ops grace_ops = { .get = grace_get };
module_param_cb(grace, &grace_ops, NULL, 0444);
MODULE_PARM_DESC(grace, "nanoseconds of a grace period that a read waits for");

/* Return: with a reference, or NULL. */
static struct pci_dev *function_of(const char *name)
{
	unsigned int domain, bus, slot, fn;

	if (sscanf(name, "%x:%x:%x.%x", &domain, &bus, &slot, &fn) != 4)
		return NULL;
	return pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, fn));
}

/* What a hot-plug driver does first when a function is not there any more. */
static int gone_set(const char *value, const struct kernel_param *kp)
{
	struct pci_dev *pdev = function_of(value);

	if (!pdev)
		return -ENODEV;
	WRITE_ONCE(pdev->error_state, pci_channel_io_perm_failure);
	pci_dev_put(pdev);
	return 0;
}

static const struct kernel_param_ops gone_ops = { .set = gone_set };
module_param_cb(gone, &gone_ops, NULL, 0200);
MODULE_PARM_DESC(gone, "a function that the kernel shall take for disconnected");

struct bond {
	struct pci_dev *pdev;
	struct iommu_sva *sva;
};

/* Setters and getters run with the module's parameters locked. */
static struct bond bonds[8];
static u32 last_pasid;

static int sva_set(const char *value, const struct kernel_param *kp)
{
	struct pci_dev *pdev = function_of(value);
	struct iommu_sva *sva;
	int i;

	for (i = 0; i < ARRAY_SIZE(bonds) && bonds[i].pdev; i++)
		;
	if (!pdev || i == ARRAY_SIZE(bonds)) {
		pci_dev_put(pdev);
		return pdev ? -ENOSPC : -ENODEV;
	}
	sva = iommu_sva_bind_device(&pdev->dev, current->mm);
	if (IS_ERR(sva)) {
		pci_dev_put(pdev);
		return PTR_ERR(sva);
	}
	bonds[i] = (struct bond){ pdev, sva };
	last_pasid = iommu_sva_get_pasid(sva);
	return 0;
}

static int sva_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%u\n", last_pasid);
}

static const struct kernel_param_ops sva_ops = { .set = sva_set, .get = sva_get };
module_param_cb(sva, &sva_ops, NULL, 0600);
MODULE_PARM_DESC(sva, "a function that the writer's address space is bound to");

static int unbind_set(const char *value, const struct kernel_param *kp)
{
	struct pci_dev *pdev = function_of(value);
	int i;

	for (i = 0; i < ARRAY_SIZE(bonds); i++) {
		if (!pdev || bonds[i].pdev != pdev)
			continue;
		iommu_sva_unbind_device(bonds[i].sva);
		pci_dev_put(pdev);
		bonds[i].pdev = NULL;
	}
	pci_dev_put(pdev);
	return pdev ? 0 : -ENODEV;
}

static const struct kernel_param_ops unbind_ops = { .set = unbind_set };
module_param_cb(unbind, &unbind_ops, NULL, 0200);
MODULE_PARM_DESC(unbind, "a function whose bonds end");

/* Notifiers are called in the reverse order of their registration: this one is the last. */
static DECLARE_WAIT_QUEUE_HEAD(linger_queue);
static bool linger_came, linger_goes_on;

static void linger_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	WRITE_ONCE(linger_came, true);
	wait_event(linger_queue, READ_ONCE(linger_goes_on));
}

static const struct mmu_notifier_ops linger_notifier_ops = { .release = linger_release };
static struct mmu_notifier linger_notifier = { .ops = &linger_notifier_ops };

static int linger_set(const char *value, const struct kernel_param *kp)
{
	struct mm_struct *mm = linger_notifier.mm;
	bool linger;
	int ret;

	ret = kstrtobool(value, &linger);
	if (ret || linger == !!mm)
		return ret ?: -EINVAL;
	if (linger) {
		linger_came = false;
		linger_goes_on = false;
		return mmu_notifier_register(&linger_notifier, current->mm);
	}
	WRITE_ONCE(linger_goes_on, true);
	wake_up_all(&linger_queue);
	mmu_notifier_unregister(&linger_notifier, mm);
	linger_notifier.mm = NULL;
	return 0;
}

static int linger_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%d\n", READ_ONCE(linger_came));
}

static const struct kernel_param_ops linger_ops = { .set = linger_set, .get = linger_get };
module_param_cb(linger, &linger_ops, NULL, 0600);
MODULE_PARM_DESC(linger, "the end of the writer's address space stops until 0 is written");

/* pci_rescan_bus() would give its BAR another place, and the hardware has only this one. */
static int back_set(const char *value, const struct kernel_param *kp)
{
	unsigned int domain, bus_nr, slot, fn;
	struct pci_dev *pdev;
	struct pci_bus *bus;

	if (sscanf(value, "%x:%x:%x.%x", &domain, &bus_nr, &slot, &fn) != 4)
		return -EINVAL;
	pci_lock_rescan_remove();
	bus = pci_find_bus(domain, bus_nr);
	pdev = bus ? pci_scan_single_device(bus, PCI_DEVFN(slot, fn)) : NULL;
	if (pdev) {
		pci_bus_claim_resources(bus);
		pci_bus_add_devices(bus);
	}
	pci_unlock_rescan_remove();
	return pdev ? 0 : -ENODEV;
}

static const struct kernel_param_ops back_ops = { .set = back_set };
module_param_cb(back, &back_ops, NULL, 0200);
MODULE_PARM_DESC(back, "a function that is looked for again");

static struct {
	struct pci_dev *pdev;
	u64 *page;
	dma_addr_t handle;
} dma;

static int undma_set(const char *value, const struct kernel_param *kp)
{
	if (!dma.pdev)
		return -ENOENT;
	dma_free_coherent(&dma.pdev->dev, PAGE_SIZE, dma.page, dma.handle);
	pci_dev_put(dma.pdev);
	dma.pdev = NULL;
	return 0;
}

static const struct kernel_param_ops undma_ops = { .set = undma_set };
module_param_cb(undma, &undma_ops, NULL, 0200);
MODULE_PARM_DESC(undma, "anything: the page for DMA is taken away");

static int dma_set(const char *value, const struct kernel_param *kp)
{
	struct pci_dev *pdev = dma.pdev ? NULL : function_of(value);
	int ret;

	if (!pdev)
		return -ENODEV;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32));
	if (!ret) {
		dma.page = dma_alloc_coherent(&pdev->dev, PAGE_SIZE, &dma.handle, GFP_KERNEL);
		ret = dma.page ? 0 : -ENOMEM;
	}
	if (ret) {
		pci_dev_put(pdev);
		return ret;
	}
	*dma.page = HW_DMA_PATTERN;
	dma.pdev = pdev;
	return 0;
}

static int dma_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%llu\n", (u64)dma.handle);
}

static const struct kernel_param_ops dma_ops = { .set = dma_set, .get = dma_get };
module_param_cb(dma, &dma_ops, NULL, 0600);
MODULE_PARM_DESC(dma, "a function that gets a page for DMA");

struct snooper {
	struct work_struct work;
	struct iommu_domain *domain;
	void __iomem *waits;
	u64 returned;
};

static u64 snoop_second, snoop_returned[2];

static void snoop_work(struct work_struct *work)
{
	struct snooper *snooper = container_of(work, struct snooper, work);

	snooper->domain->ops->enforce_cache_coherency(snooper->domain);
	snooper->returned = readq(snooper->waits);
}

static int unit_of(struct pci_dev *pdev)
{
	int domain = pci_domain_nr(pdev->bus);

	return domain ? domain - 1 : pdev->bus->number - HW_AMD_BUS;
}

static int snoop_set(const char *value, const struct kernel_param *kp)
{
	struct pci_dev *pdev = function_of(value);
	struct iommu_domain *domain = pdev ? iommu_get_domain_for_dev(&pdev->dev) : NULL;
	struct snooper snoopers[2] = {};
	void __iomem *waits;
	u64 before;
	int i;

	if (!domain || !domain->ops->enforce_cache_coherency) {
		pci_dev_put(pdev);
		return -ENODEV;
	}
	waits = ioremap(base + HW_BAR(unit_of(pdev), HW_CONTROL_SLOT) +
			HW_COUNT(HW_TYPE_WAIT), sizeof(u64));
	if (!waits) {
		pci_dev_put(pdev);
		return -ENOMEM;
	}
	before = readq(waits);
	for (i = 0; i < ARRAY_SIZE(snoopers); i++) {
		snoopers[i].domain = domain;
		snoopers[i].waits = waits;
		INIT_WORK_ONSTACK(&snoopers[i].work, snoop_work);
		if (i) {
			usleep_range(2000, 4000);
			snoop_second = readq(waits) - before;
		}
		queue_work(system_dfl_wq, &snoopers[i].work);
	}
	for (i = 0; i < ARRAY_SIZE(snoopers); i++) {
		flush_work(&snoopers[i].work);
		destroy_work_on_stack(&snoopers[i].work);
		snoop_returned[i] = snoopers[i].returned - before;
	}
	iounmap(waits);
	pci_dev_put(pdev);
	return 0;
}

static int snoop_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%llu %llu %llu\n", snoop_second, snoop_returned[0],
			  snoop_returned[1]);
}

static const struct kernel_param_ops snoop_ops = { .set = snoop_set, .get = snoop_get };
module_param_cb(snoop, &snoop_ops, NULL, 0600);
MODULE_PARM_DESC(snoop, "a function whose domain two callers tell to force snooping");

static int deaf_set(const char *value, const struct kernel_param *kp)
{
	unsigned int ms;
	int ret = kstrtouint(value, 0, &ms);

	if (ret)
		return ret;
	local_irq_disable();
	mdelay(ms);
	local_irq_enable();
	return 0;
}

static const struct kernel_param_ops deaf_ops = { .set = deaf_set };
module_param_cb(deaf, &deaf_ops, NULL, 0200);
MODULE_PARM_DESC(deaf, "milliseconds for which the writer has interrupts off");

/* bus->sysdata, of which x86 wants to have the beginning. */
struct segment {
#ifdef CONFIG_X86
	struct pci_sysdata sysdata;
#endif
	int bus;
	struct resource window, busn;
	void __iomem *config;
};

static struct segment segments[HW_MAX_UNITS];

static void __iomem *config_of(struct pci_bus *bus, unsigned int devfn)
{
	struct segment *segment = bus->sysdata;

	if (bus->number != segment->bus || PCI_FUNC(devfn))
		return NULL;
	return segment->config + HW_CONFIG(0, PCI_SLOT(devfn)) - HW_CONFIG(0, 0);
}

static u32 mask_of(int size)
{
	return size == 4 ? ~0U : (1U << 8 * size) - 1;
}

static int hwpci_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	void __iomem *config = config_of(bus, devfn);

	*value = mask_of(size);
	if (!config)
		return PCIBIOS_DEVICE_NOT_FOUND;
	/* A free slot's IDs are 0. */
	if (readw(config))
		*value &= readl(config + (where & ~3)) >> 8 * (where & 3);
	return PCIBIOS_SUCCESSFUL;
}

static int hwpci_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	void __iomem *config = config_of(bus, devfn);
	int at = where & ~3, shift = 8 * (where & 3);
	unsigned int patience = 100000;
	u32 mask;

	if (!config)
		return PCIBIOS_DEVICE_NOT_FOUND;
	mask = readl(config + HW_MASKS + at) & mask_of(size) << shift;
	if (!mask)
		return PCIBIOS_SUCCESSFUL;
	writel((readl(config + at) & ~mask) | (value << shift & mask), config + at);
	/* It is not posted: ATS that goes off and on at once has been off. */
	writel(1, config + HW_WRITTEN);
	while (readl(config + HW_WRITTEN) && patience--)
		udelay(10);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops hwpci_ops = { .read = hwpci_read, .write = hwpci_write };

/*
 * The device that the device tree has for the bridge; the tree names the segment, too.
 * Return: with a reference, or NULL.
 */
static struct device *parent_of(int number)
{
	struct platform_device *pdev;
	struct device_node *node;
	char path[16];

	snprintf(path, sizeof(path), "/hwpci-%d", number);
	node = of_find_node_by_path(path);
	if (!node)
		return NULL;
	pdev = of_find_device_by_node(node);
	of_node_put(node);
	return pdev ? &pdev->dev : NULL;
}

/* @first_bus: of the units in segment 0; 0: each has a segment of its own. */
static int segment_add(struct segment *segment, int unit, int first_bus)
{
	struct pci_host_bridge *bridge;
	struct device *parent;
	int ret;

	segment->config = ioremap(base + HW_CONFIG(unit, 0),
				  HW_CONFIG(unit, HW_SLOTS) - HW_CONFIG(unit, 0));
	if (!segment->config)
		return -ENOMEM;
	segment->bus = first_bus ? first_bus + unit : 0;
#ifdef CONFIG_X86
	segment->sysdata.domain = first_bus ? 0 : unit + 1;
	segment->sysdata.node = NUMA_NO_NODE;
#endif
	segment->window.name = "hwpci BARs";
	segment->window.flags = IORESOURCE_MEM;
	segment->window.start = base + HW_BARS(unit);
	segment->window.end = base + HW_BARS(unit + 1) - 1;
	segment->busn.name = "hwpci bus";
	segment->busn.flags = IORESOURCE_BUS;
	segment->busn.start = segment->bus;
	segment->busn.end = segment->bus;
	ret = insert_resource(&iomem_resource, &segment->window);
	if (ret)
		goto unmap;
	bridge = pci_alloc_host_bridge(0);
	if (!bridge) {
		ret = -ENOMEM;
		goto remove;
	}
	pci_add_resource(&bridge->windows, &segment->window);
	pci_add_resource(&bridge->windows, &segment->busn);
	parent = parent_of(unit + 1);
	bridge->dev.parent = parent;
	bridge->sysdata = segment;
	bridge->ops = &hwpci_ops;

	pci_lock_rescan_remove();
	ret = pci_scan_root_bus_bridge(bridge);
	if (!ret) {
		/* BARs lie in memory that is reserved: they stay where they are. */
		pci_bus_claim_resources(bridge->bus);
		pci_bus_add_devices(bridge->bus);
	}
	pci_unlock_rescan_remove();
	/* A bridge that was added has a reference of its own. */
	put_device(parent);
	if (!ret)
		return 0;
	pci_free_host_bridge(bridge);
remove:
	remove_resource(&segment->window);
unmap:
	iounmap(segment->config);
	return ret;
}

static int __init hwpci_init(void)
{
	void __iomem *header = ioremap(base, PAGE_SIZE);
	u32 magic, units, first_bus;
	int unit, ret = 0;

	if (!header)
		return -ENOMEM;
	magic = readl(header + HW_AT_MAGIC);
	units = readl(header + HW_AT_UNITS);
	first_bus = readl(header + HW_AT_BUS);
	iounmap(header);
	if (magic != HW_MAGIC || units > HW_MAX_UNITS) {
		pr_err("hwpci: no hardware at %#lx\n", base);
		return -ENODEV;
	}
	for (unit = 0; unit < units && !ret; unit++)
		ret = segment_add(&segments[unit], unit, first_bus);
	if (ret)
		pr_err("hwpci: segment %d: error %d\n", unit, ret);
	/* A segment that is there stays: a root bus that was added has no way back here. */
	return unit > 1 ? 0 : ret;
}

module_init(hwpci_init);
MODULE_DESCRIPTION("PCI segments of hardware outside of the machine");
MODULE_LICENSE("GPL");
