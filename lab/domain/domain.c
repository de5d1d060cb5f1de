// SPDX-License-Identifier: GPL-2.0-only
/*
 * One domain for devices that VFIO does not take, because their IOMMU enforces no cache
 * coherency; and bugs planted in RISC-V's driver.
 *
 * What is written to a file of /sys/kernel/debug/domain is done. Parameters of the module would
 * be simpler, but only one can be written at a time, and an unmap may take long.
 *
 *	attach	0000:00:04.0: the device's group leaves its driver and joins the domain, which
 *		is allocated for the first one
 *	detach	the same: it goes back to what it had
 *	map	IOVA ADDRESS SIZE: the writer's page at ADDRESS, again and again; the writer keeps
 *		it in memory
 *	unmap	IOVA SIZE
 *	free	the domain goes; nothing may be attached
 *	plant	BUG FUNCTION: one of these, until the machine is switched off, at the driver's
 *		riscv_iommu_queue_send(), whatever the compiler has called it:
 *		flush	invalidations of IOTLBs are about no domain: the stale oracle
 *		illegal	the next one is no command at all
 *		slow	the next flush stays at its first command until the next write to resume, or
 *			for SLOW_MS
 *	resume	anything
 *	watch	anything: from now on, sections with interrupts off are measured
 *
 * Y is read from "held" once a flush stays there.
 *
 * Read from "instructions" is what the function of the IOMMU core took in the last attach, detach
 * or unmap, where QEMU executes an instruction a nanosecond and nothing else went on; from
 * "interrupts_off", what RISC-V's driver took in it between taking a lock with interrupts off and
 * giving it back, at the longest.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/iommu.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/string.h>
#include <linux/timex.h>

#define SLOW_MS		20000

/* The first word of a command. */
#define OPCODE		GENMASK_ULL(6, 0)
#define IOTINVAL	1
#define ILLEGAL		0x7f
#define PSCID		GENMASK_ULL(31, 12)

static DEFINE_MUTEX(lock);
static struct iommu_domain *domain;
static int owner;

static u64 took;

static u64 ticks(void)
{
#ifdef CONFIG_RISCV
	return csr_read(CSR_INSTRET);	/* one tick of get_cycles() is 100 instructions */
#else
	return get_cycles();
#endif
}

/* In the functions that every lock is taken and given back by; on the only CPU. */
static bool measuring;
static u64 began, locked_at, longest;

static bool in_driver(unsigned long ip)
{
	static char name[KSYM_SYMBOL_LEN];

	sprint_symbol_no_offset(name, ip);
	return strstarts(name, "riscv_iommu_");
}

static void lock_taken(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
		       struct ftrace_regs *regs)
{
	if (measuring && in_driver(parent))
		locked_at = ticks();
}

static void lock_given_back(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			    struct ftrace_regs *regs)
{
	u64 now = ticks();

	if (measuring && in_driver(parent) && now - locked_at > longest)
		longest = now - locked_at;
}

static struct ftrace_ops lock_ops = { .func = lock_taken };
static struct ftrace_ops unlock_ops = { .func = lock_given_back };

static int watch(struct ftrace_ops *ops, char *name)
{
	int ret = ftrace_set_filter(ops, name, strlen(name), 1);

	return ret ?: register_ftrace_function(ops);
}

static int watch_locks(void)
{
	return watch(&lock_ops, "_raw_spin_lock_irqsave") ?:
	       watch(&unlock_ops, "_raw_spin_unlock_irqrestore");
}

static void measure_begin(void)
{
	longest = 0;
	measuring = true;
	began = ticks();
}

static void measure_end(void)
{
	took = ticks() - began;
	measuring = false;
}

static struct pci_dev *find_device(const char *text)
{
	unsigned int segment, bus, slot, function;

	if (sscanf(text, "%x:%x:%x.%x", &segment, &bus, &slot, &function) != 4)
		return NULL;
	return pci_get_domain_bus_and_slot(segment, bus, PCI_DEVFN(slot, function));
}

static int attach_group(struct device *dev, struct iommu_group *group)
{
	int ret;

	device_release_driver(dev);
	ret = iommu_group_claim_dma_owner(group, &owner);
	if (ret)
		return ret;
	if (!domain) {
		struct iommu_domain *new = iommu_paging_domain_alloc(dev);

		ret = PTR_ERR_OR_ZERO(new);
		if (!ret)
			domain = new;
	}
	if (!ret) {
		measure_begin();
		ret = iommu_attach_group(domain, group);
		measure_end();
	}
	if (ret)
		iommu_group_release_dma_owner(group);
	return ret;
}

static int set_attached(const char *text, bool attached)
{
	struct pci_dev *pdev = find_device(text);
	struct iommu_group *group = pdev ? iommu_group_get(&pdev->dev) : NULL;
	int ret = 0;

	if (!group) {
		ret = -ENODEV;
	} else if (attached) {
		ret = attach_group(&pdev->dev, group);
	} else {
		measure_begin();
		iommu_detach_group(domain, group);
		measure_end();
		iommu_group_release_dma_owner(group);
	}
	iommu_group_put(group);
	pci_dev_put(pdev);
	return ret;
}

static int map_page(const char *text)
{
	unsigned long iova, address, size, at;
	struct page *page;
	int ret;

	if (sscanf(text, "%lx %lx %lx", &iova, &address, &size) != 3)
		return -EINVAL;
	ret = pin_user_pages_fast(address, 1, FOLL_WRITE, &page);
	if (ret != 1)
		return ret < 0 ? ret : -EFAULT;
	for (at = 0, ret = 0; at < size && !ret; at += PAGE_SIZE)
		ret = iommu_map(domain, iova + at, page_to_phys(page), PAGE_SIZE,
				IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	unpin_user_page(page);
	return ret;
}

static int unmap_range(const char *text)
{
	unsigned long iova, size;
	size_t gone;

	if (sscanf(text, "%lx %lx", &iova, &size) != 2)
		return -EINVAL;
	measure_begin();
	gone = iommu_unmap(domain, iova, size);
	measure_end();
	return gone == size ? 0 : -EIO;
}

/*
 * int riscv_iommu_queue_send(struct riscv_iommu_queue *queue, void *entry, ...)
 */
static bool once, sent, resumed;

static int spoil(struct kprobe *probe, struct pt_regs *regs)
{
	u64 *command = (u64 *)regs_get_kernel_argument(regs, 1);

	if ((command[0] & OPCODE) != IOTINVAL)
		return 0;
	if (!once)
		command[0] |= PSCID;
	else if (!xchg(&sent, true))
		command[0] |= ILLEGAL;
	return 0;
}

/* With interrupts on, unlike in the handler of a probe: what removes a device may need all CPUs. */
static void linger(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
		   struct ftrace_regs *regs)
{
	u64 *command = (u64 *)ftrace_regs_get_argument(regs, 1);
	int ms;

	if ((command[0] & OPCODE) != IOTINVAL || xchg(&sent, true))
		return;
	for (ms = 0; ms < SLOW_MS && !READ_ONCE(resumed); ms++)
		mdelay(1);
}

static struct ftrace_ops lingers = { .func = linger };

static char function[128];
static struct kprobe probe = { .symbol_name = function };

static int plant_bug(const char *text)
{
	char bug[16];
	int ret;

	if (probe.pre_handler)
		return -EBUSY;
	if (sscanf(text, "%15s %127s", bug, function) != 2)
		return -EINVAL;
	once = !strcmp(bug, "illegal");
	if (once || !strcmp(bug, "flush"))
		probe.pre_handler = spoil;
	else if (strcmp(bug, "slow"))
		return -EINVAL;
	if (probe.pre_handler)
		return register_kprobe(&probe);
	return watch(&lingers, function);
}

enum { ATTACH, DETACH, MAP, UNMAP, FREE, PLANT, RESUME, WATCH };

static const char * const names[] = {
	"attach", "detach", "map", "unmap", "free", "plant", "resume", "watch",
};

static int execute(unsigned long what, const char *text)
{
	/* These come beside others; who asks for an unmap knows what is mapped. */
	if (what == UNMAP)
		return domain ? unmap_range(text) : -ENODEV;
	if (what == RESUME) {
		WRITE_ONCE(resumed, true);
		return 0;
	}
	if (what == WATCH)
		return watch_locks();

	guard(mutex)(&lock);
	if (!domain && what != ATTACH && what != PLANT)
		return -ENODEV;
	switch (what) {
	case ATTACH:
	case DETACH:
		return set_attached(text, what == ATTACH);
	case MAP:
		return map_page(text);
	case FREE:
		iommu_domain_free(domain);
		domain = NULL;
		return 0;
	default:
		return plant_bug(text);
	}
}

static ssize_t file_write(struct file *file, const char __user *buffer, size_t size, loff_t *at)
{
	char *text = memdup_user_nul(buffer, size);
	int ret;

	if (IS_ERR(text))
		return PTR_ERR(text);
	ret = execute((unsigned long)file_inode(file)->i_private, text);
	kfree(text);
	return ret ?: size;
}

static const struct file_operations file_ops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = file_write,
};

static int __init domain_init(void)
{
	struct dentry *dir = debugfs_create_dir("domain", NULL);
	unsigned long what;

	for (what = 0; what < ARRAY_SIZE(names); what++)
		debugfs_create_file(names[what], 0200, dir, (void *)what, &file_ops);
	debugfs_create_u64("instructions", 0400, dir, &took);
	debugfs_create_u64("interrupts_off", 0400, dir, &longest);
	debugfs_create_bool("held", 0400, dir, &sent);
	return 0;
}

module_init(domain_init);
MODULE_DESCRIPTION("One domain, by hand");
MODULE_LICENSE("GPL");
