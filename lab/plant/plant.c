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
 *	flush	loses each IOTLB invalidation of VT-d from now on: the stale oracle
 *
 * A kernel without the detector runs all but "flush" without a word and without
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
MODULE_PARM_DESC(bug, "abba, rcu, uaf, race or flush");

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
#define TYPE_MASK	0xf
#define TYPE_IOTLB	0x2
#define TYPE_EIOTLB	0x6
#define DID_MASK	(0xffffULL << 16)
#define NO_DOMAIN	(0xfff0ULL << 16)

static void misdirect(u64 *desc, unsigned int count)
{
	for (; count--; desc += DESC_WORDS) {
		u64 type = desc[0] & TYPE_MASK;

		if (type == TYPE_IOTLB || type == TYPE_EIOTLB)
			desc[0] = (desc[0] & ~DID_MASK) | NO_DOMAIN;
	}
}

/* int qi_submit_sync(struct intel_iommu *, struct qi_desc *, unsigned int count, ...) */
static int lose_submitted(struct kprobe *probe, struct pt_regs *regs)
{
	misdirect((u64 *)regs_get_kernel_argument(regs, 1),
		  regs_get_kernel_argument(regs, 2));
	return 0;
}

/* u64 qi_batch_submit(struct intel_iommu *, struct qi_batch *): 16 descriptors first */
static int lose_batch(struct kprobe *probe, struct pt_regs *regs)
{
	misdirect((u64 *)regs_get_kernel_argument(regs, 1), 16);
	return 0;
}

static struct kprobe submitted = {
	.symbol_name = "qi_submit_sync",
	.pre_handler = lose_submitted,
};

/* Only the kernel with VT-d on the list has it. */
static struct kprobe batch = {
	.symbol_name = "qi_batch_submit",
	.pre_handler = lose_batch,
};

static bool batch_planted;

static int plant_flush(void)
{
	int ret = register_kprobe(&submitted);

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
	else
		return -EINVAL;
	return 0;
}

static void __exit plant_exit(void)
{
	if (!strcmp(bug, "flush")) {
		unregister_kprobe(&submitted);
		if (batch_planted)
			unregister_kprobe(&batch);
	}
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("Bugs that the lab's detectors must report");
MODULE_LICENSE("GPL");
