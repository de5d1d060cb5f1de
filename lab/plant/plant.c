// SPDX-License-Identifier: GPL-2.0-only
/*
 * Planted bugs: what shows that a detector of the lab works.
 *
 * insmod plant.ko bug=NAME plants one of them in the running kernel:
 *
 *	abba	takes two locks in one order and then in the other one: lockdep
 *	rcu	rcu_dereference() outside a read section: PROVE_RCU
 *	uaf	reads an object that was freed: KASAN
 *	race	two CPUs write a plain variable: KCSAN
 *	flush	loses each IOTLB invalidation of VT-d, AMD-Vi or SMMUv3 from now on: the
 *		stale oracle
 *	bad	every few submissions, one descriptor is bad: each position in turn, the wait
 *		descriptor among them. Only the series survives that
 *	silent	the device at sid= does not answer device-TLB invalidations: those that ask
 *		it end as a timeout does
 *
 * A kernel without the detector runs the first four without a word and without
 * harm. The bugs stand for what a driver could do wrong with a list of its
 * attachments: that is why the object that is freed is one with a list head.
 */
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

static char *bug = "";
module_param(bug, charp, 0);
MODULE_PARM_DESC(bug, "abba, rcu, uaf, race, flush, bad or silent");

static ushort sid;
module_param(sid, ushort, 0);
MODULE_PARM_DESC(sid, "the requester ID of the silent device, 0x300 is 03:00.0");

struct planted {
	struct list_head node;
	int value;
	struct rcu_head rcu;
};

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static struct planted __rcu *published;
static int raced;

static void plant_abba(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void plant_rcu(void)
{
	pr_info("plant: published %p\n", rcu_dereference(published));
}

static int plant_uaf(void)
{
	struct planted *object = kzalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return -ENOMEM;
	kfree(object);
	/* The compiler may not know that this is a use after free. */
	OPTIMIZER_HIDE_VAR(object);
	pr_info("plant: value %d\n", READ_ONCE(object->value));
	return 0;
}

static int race_thread(void *unused)
{
	while (!kthread_should_stop()) {
		raced++;
		barrier();
		cond_resched();
	}
	return 0;
}

static int plant_race(void)
{
	struct task_struct *thread[2];
	int i;

	for (i = 0; i < 2; i++) {
		thread[i] = kthread_create(race_thread, NULL, "plant-race/%d", i);
		if (IS_ERR(thread[i])) {
			if (i)
				kthread_stop(thread[0]);
			return PTR_ERR(thread[i]);
		}
		kthread_bind(thread[i], i % num_online_cpus());
	}
	for (i = 0; i < 2; i++)
		wake_up_process(thread[i]);
	msleep(3000);
	for (i = 0; i < 2; i++)
		kthread_stop(thread[i]);
	return 0;
}

/*
 * VT-d's IOTLB descriptors carry the domain's ID in bits 31:16. With the ID of no
 * domain, the command is sent and completes, and invalidates nothing.
 */
#define DESC_WORDS	4
#define BATCH_WORDS	2
#define TYPE_MASK	0xf
#define TYPE_BAD	0xf
#define TYPE_DEV_IOTLB	0x3
#define TYPE_DEV_EIOTLB	0x8
#define TYPE_IOTLB	0x2
#define TYPE_EIOTLB	0x6
#define DID_MASK	(0xffffULL << 16)
#define NO_DOMAIN	(0xfff0ULL << 16)

static void misdirect(u64 *desc, unsigned int count, unsigned int words)
{
	for (; count--; desc += words) {
		u64 type = desc[0] & TYPE_MASK;

		if (type == TYPE_IOTLB || type == TYPE_EIOTLB)
			desc[0] = (desc[0] & ~DID_MASK) | NO_DOMAIN;
	}
}

/* int qi_submit_sync(struct intel_iommu *, struct qi_desc *, unsigned int count, ...) */
static int lose_submitted(struct kprobe *probe, struct pt_regs *regs)
{
	misdirect((u64 *)regs_get_kernel_argument(regs, 1),
		  regs_get_kernel_argument(regs, 2), DESC_WORDS);
	return 0;
}

/* The driver's struct qi_batch. */
#define BATCH_MAX	10

struct batch {
	u64 desc[BATCH_MAX][BATCH_WORDS];
	u64 cookie;
	unsigned int index;
};

/* u64 qi_batch_submit(struct intel_iommu *, struct qi_batch *) */
static int lose_batch(struct kprobe *probe, struct pt_regs *regs)
{
	struct batch *batch = (struct batch *)regs_get_kernel_argument(regs, 1);

	misdirect(batch->desc[0], batch->index, BATCH_WORDS);
	return 0;
}

/*
 * AMD-Vi's INVALIDATE_IOMMU_PAGES has the domain's ID in bits 47:32 of its first 8 bytes, and
 * the opcode in bits 63:60.
 */
#define AMD_OPCODE(cmd)		((cmd)[0] >> 60)
#define AMD_PAGES		0x3
#define AMD_NO_DOMAIN		(0xfff0ULL << 32)

static void misdirect_amd(u64 *cmd, unsigned int n)
{
	for (; n--; cmd += 2) {
		if (AMD_OPCODE(cmd) == AMD_PAGES)
			cmd[0] |= AMD_NO_DOMAIN;
	}
}

/* int __iommu_queue_command_sync(struct amd_iommu *, struct iommu_cmd *, bool sync) */
static int lose_amd(struct kprobe *probe, struct pt_regs *regs)
{
	misdirect_amd((u64 *)regs_get_kernel_argument(regs, 1), 1);
	return 0;
}

/* int amd_iommu_*(struct amd_iommu *, const struct iommu_cmd *, unsigned int n, ...) */
static int lose_amd_several(struct kprobe *probe, struct pt_regs *regs)
{
	misdirect_amd((u64 *)regs_get_kernel_argument(regs, 1), regs_get_kernel_argument(regs, 2));
	return 0;
}

/* SMMUv3's CMD_TLBI_* have ASID and VMID in the upper half of their first 8 bytes. */
#define SMMU_OPCODE	0xff
#define SMMU_TLBI	0x10
#define SMMU_TLBI_END	0x40
#define SMMU_NO_TAGS	(0xfff0fff0ULL << 32)

/*
 * int arm_smmu_cmdq_issue_cmdlist(struct arm_smmu_device *, struct arm_smmu_cmdq *,
 *				   struct arm_smmu_cmd *, int n, bool sync)
 */
static int lose_smmu(struct kprobe *probe, struct pt_regs *regs)
{
	u64 *cmd = (u64 *)regs_get_kernel_argument(regs, 2);
	int n = regs_get_kernel_argument(regs, 3);

	for (; n-- > 0; cmd += 2) {
		u64 op = cmd[0] & SMMU_OPCODE;

		if (op >= SMMU_TLBI && op < SMMU_TLBI_END)
			cmd[0] |= SMMU_NO_TAGS;
	}
	return 0;
}

/* Which of them there are depends on the architecture, and on the series. */
static struct kprobe flush_probes[] = {
	{ .symbol_name = "qi_submit_sync", .pre_handler = lose_submitted },
	{ .symbol_name = "qi_batch_submit", .pre_handler = lose_batch },
	{ .symbol_name = "__iommu_queue_command_sync", .pre_handler = lose_amd },
	{ .symbol_name = "amd_iommu_queue", .pre_handler = lose_amd_several },
	{ .symbol_name = "amd_iommu_try_queue", .pre_handler = lose_amd_several },
	{ .symbol_name = "amd_iommu_submit", .pre_handler = lose_amd_several },
	{ .symbol_name = "amd_iommu_try_submit", .pre_handler = lose_amd_several },
	{ .symbol_name = "amd_iommu_execute", .pre_handler = lose_amd_several },
	{ .symbol_name = "arm_smmu_cmdq_submit", .pre_handler = lose_smmu },
	{ .symbol_name = "arm_smmu_cmdq_issue_cmdlist", .pre_handler = lose_smmu },
};

static void unplant_flush(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(flush_probes); i++) {
		if (flush_probes[i].addr)
			unregister_kprobe(&flush_probes[i]);
	}
}

static int plant_flush(void)
{
	bool planted = false;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(flush_probes); i++) {
		ret = register_kprobe(&flush_probes[i]);
		if (ret) {
			flush_probes[i].addr = NULL;
			if (ret == -ENOENT)
				continue;
			unplant_flush();
			return ret;
		}
		planted = true;
	}
	return planted ? 0 : -ENODEV;
}

/* One of so many submissions is hit. */
#define BAD_PERIOD	16
#define OPT_WAIT_DRAIN	0x1	/* QEMU does not take a wait descriptor with this */

static atomic_t submissions;

/* Return: the position to hit, or -1. */
static int bad_position(unsigned int positions)
{
	unsigned int number = atomic_inc_return(&submissions);

	return positions && !(number % BAD_PERIOD) ? number / BAD_PERIOD % positions : -1;
}

/* The last argument of qi_submit_sync(). VT-d is x86's alone. */
static void add_options(struct pt_regs *regs, unsigned long options)
{
#ifdef CONFIG_X86
	regs->cx |= options;
#endif
}

static int spoil_submitted(struct kprobe *probe, struct pt_regs *regs)
{
	u64 *desc = (u64 *)regs_get_kernel_argument(regs, 1);
	unsigned int count = regs_get_kernel_argument(regs, 2);
	int at = bad_position(count + 1);

	if (at == count)
		add_options(regs, OPT_WAIT_DRAIN);
	else if (at >= 0)
		desc[at * DESC_WORDS] |= TYPE_BAD;
	return 0;
}

static int spoil_batch(struct kprobe *probe, struct pt_regs *regs)
{
	struct batch *batch = (struct batch *)regs_get_kernel_argument(regs, 1);
	int at = bad_position(batch->index);

	if (at >= 0)
		batch->desc[at][0] |= TYPE_BAD;
	return 0;
}

/*
 * What the driver would see of a timeout: -EAGAIN from qi_poll(), and the requester ID.
 */
struct silent_data {
	u16 *found;
	bool hit;
};

static bool asks_silent(u64 qw0)
{
	u64 type = qw0 & TYPE_MASK;

	return (type == TYPE_DEV_IOTLB && (u16)(qw0 >> 32) == sid) ||
	       (type == TYPE_DEV_EIOTLB && (u16)(qw0 >> 16) == sid);
}

static u64 silent_cookie;

static int batch_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct batch *batch = (struct batch *)regs_get_kernel_argument(regs, 1);
	struct silent_data *data = (struct silent_data *)instance->data;
	unsigned int i;

	data->hit = false;
	for (i = 0; i < batch->index; i++)
		data->hit |= asks_silent(batch->desc[i][0]);
	return 0;
}

static int batch_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct silent_data *data = (struct silent_data *)instance->data;

	if (data->hit)
		WRITE_ONCE(silent_cookie, regs_return_value(regs));
	return 0;
}

/* int qi_poll(struct intel_iommu *, u64 cookie, u16 *silent) */
static int poll_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct silent_data *data = (struct silent_data *)instance->data;

	data->found = (u16 *)regs_get_kernel_argument(regs, 2);
	data->hit = regs_get_kernel_argument(regs, 1) == READ_ONCE(silent_cookie);
	return 0;
}

static int poll_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct silent_data *data = (struct silent_data *)instance->data;

	if (!data->hit)
		return 0;
	*data->found = sid;
	regs_set_return_value(regs, -EAGAIN);
	return 0;
}

static struct kretprobe silent_batch = {
	.kp.symbol_name = "qi_batch_submit",
	.entry_handler = batch_entry,
	.handler = batch_return,
	.data_size = sizeof(struct silent_data),
};

static struct kretprobe silent_poll = {
	.kp.symbol_name = "qi_poll",
	.entry_handler = poll_entry,
	.handler = poll_return,
	.data_size = sizeof(struct silent_data),
};

static int plant_silent(void)
{
	int ret = register_kretprobe(&silent_batch);

	return ret ?: register_kretprobe(&silent_poll);
}

static struct kprobe submitted = { .symbol_name = "qi_submit_sync" };

/* Only the kernel with VT-d on the list has it. */
static struct kprobe batch = { .symbol_name = "qi_batch_submit" };

static bool batch_planted;

static int plant_probes(kprobe_pre_handler_t on_submitted, kprobe_pre_handler_t on_batch)
{
	int ret;

	submitted.pre_handler = on_submitted;
	batch.pre_handler = on_batch;
	ret = register_kprobe(&submitted);
	if (ret)
		return ret;
	batch_planted = !register_kprobe(&batch);
	return 0;
}

static int __init plant_init(void)
{
	pr_info("plant: %s\n", bug);
	if (!strcmp(bug, "abba"))
		plant_abba();
	else if (!strcmp(bug, "rcu"))
		plant_rcu();
	else if (!strcmp(bug, "uaf"))
		return plant_uaf();
	else if (!strcmp(bug, "race"))
		return plant_race();
	else if (!strcmp(bug, "flush"))
		return plant_flush();
	else if (!strcmp(bug, "bad"))
		return plant_probes(spoil_submitted, spoil_batch);
	else if (!strcmp(bug, "silent"))
		return plant_silent();
	else
		return -EINVAL;
	return 0;
}

static void __exit plant_exit(void)
{
	if (!strcmp(bug, "flush"))
		unplant_flush();
	if (!strcmp(bug, "bad")) {
		unregister_kprobe(&submitted);
		if (batch_planted)
			unregister_kprobe(&batch);
	}
	if (!strcmp(bug, "silent")) {
		unregister_kretprobe(&silent_poll);
		unregister_kretprobe(&silent_batch);
	}
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("Bugs that the lab's detectors must report");
MODULE_LICENSE("GPL");
