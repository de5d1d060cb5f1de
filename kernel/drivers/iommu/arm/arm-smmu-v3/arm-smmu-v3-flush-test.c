// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for what a flush sends
 *
 * The SMMU is memory. Both index registers of its command queue are one word: what the driver
 * submits is complete at once, and stays in the queue to be looked at.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/kthread.h>

#include "arm-smmu-v3.h"

#define QUEUE_SHIFT	8

/* Ids */
#define TAG		7
#define LEAVES		0x0308		/* the device that is detached */
#define STAYS		0x0410
#define COMES		0x0518

/* How long a flush is held up, in milliseconds: a detach that does not wait for it returns. */
#define HELD_UP_MS	20

struct fake {
	struct arm_smmu_device smmu;
	struct arm_smmu_domain *domain;
	struct arm_smmu_cmdq other;
	unsigned int asked;		/* how often for a queue */
	struct completion flushing, detaching, done;	/* as far as the two threads are */
	u32 reg, other_reg;
};

/* As on a machine with a queue for each CPU, where the flush is moved after one batch. */
static struct arm_smmu_cmdq *flush_test_other(struct arm_smmu_device *smmu,
					      struct arm_smmu_cmd *cmd)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);

	return fake->asked++ ? NULL : &fake->other;
}

static const struct arm_smmu_impl_ops flush_test_two_queues = {
	.get_secondary_cmdq = flush_test_other,
};

static struct arm_smmu_cmdq *flush_test_hold_up(struct arm_smmu_device *smmu,
						struct arm_smmu_cmd *cmd)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);
	int ms;

	if ((cmd->data[0] & CMDQ_0_OP) != CMDQ_OP_TLBI_NH_VA)
		return NULL;
	complete(&fake->flushing);
	for (ms = 0; ms < 1000 && !completion_done(&fake->detaching); ms++)
		mdelay(1);
	mdelay(HELD_UP_MS);
	return NULL;
}

static const struct arm_smmu_impl_ops flush_test_held_up = {
	.get_secondary_cmdq = flush_test_hold_up,
};

static void flush_test_queue(struct kunit *test, struct fake *fake, struct arm_smmu_cmdq *cmdq,
			     u32 *reg)
{
	struct arm_smmu_queue *q = &cmdq->q;

	q->llq.max_n_shift = QUEUE_SHIFT;
	q->ent_dwords = CMDQ_ENT_DWORDS;
	q->base = kunit_kcalloc(test, 1 << QUEUE_SHIFT, 1 << CMDQ_ENT_SZ_SHIFT, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, q->base);
	q->prod_reg = (u32 __iomem *)reg;
	q->cons_reg = q->prod_reg;
	KUNIT_ASSERT_EQ(test, arm_smmu_cmdq_init(&fake->smmu, cmdq), 0);
}

static struct fake *flush_test_fake(struct kunit *test)
{
	struct fake *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, fake);
	init_completion(&fake->flushing);
	init_completion(&fake->detaching);
	init_completion(&fake->done);
	fake->smmu.dev = kunit_device_register(test, "arm-smmu-v3-flush");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fake->smmu.dev);
	mutex_init(&fake->smmu.streams_mutex);

	flush_test_queue(test, fake, &fake->smmu.cmdq, &fake->reg);
	flush_test_queue(test, fake, &fake->other, &fake->other_reg);
	fake->domain = arm_smmu_domain_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fake->domain);
	fake->domain->smmu = &fake->smmu;
	fake->domain->domain.type = IOMMU_DOMAIN_UNMANAGED;
	fake->domain->domain.pgsize_bitmap = SZ_4K;
	return fake;
}

static void flush_test_free(struct fake *fake)
{
	arm_smmu_domain_free(fake->domain);
}

/* What has been sent: commands with this opcode, and an id at these bits. */
static unsigned int flush_test_sent(struct fake *fake, u8 opcode, u64 mask, u64 id)
{
	struct arm_smmu_queue *q = &fake->smmu.cmdq.q;
	unsigned int count = 0;
	u32 i;

	for (i = 0; i < READ_ONCE(fake->reg); i++) {
		u64 word = le64_to_cpu(Q_ENT(q, i)[0]);

		if (FIELD_GET(CMDQ_0_OP, word) == opcode && (word & mask) >> __ffs64(mask) == id)
			count++;
	}
	return count;
}

static unsigned int flush_test_atcs(struct fake *fake, u32 sid)
{
	return flush_test_sent(fake, CMDQ_OP_ATC_INV, CMDQ_ATC_0_SID, sid);
}

/* One device with ATS, as attaching it to a stage 1 domain announces it. */
static struct arm_smmu_invs *flush_test_invs(struct kunit *test, struct fake *fake, u32 sid)
{
	struct arm_smmu_invs *invs = kunit_kzalloc(test, struct_size(invs, inv, 2), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, invs);
	invs->max_invs = 2;
	invs->num_invs = 2;
	invs->inv[0] = (struct arm_smmu_inv) {
		.smmu = &fake->smmu,
		.type = INV_TYPE_S1_ASID,
		.size_opcode = CMDQ_OP_TLBI_NH_VA,
		.nsize_opcode = CMDQ_OP_TLBI_NH_ASID,
		.id = TAG,
	};
	invs->inv[1] = (struct arm_smmu_inv) {
		.smmu = &fake->smmu,
		.type = INV_TYPE_ATS,
		.size_opcode = CMDQ_OP_ATC_INV,
		.nsize_opcode = CMDQ_OP_ATC_INV,
		.id = sid,
	};
	return invs;
}

static void flush_test_attach(struct kunit *test, struct fake *fake, u32 sid)
{
	struct arm_smmu_invs *old, *new;

	mutex_lock(&arm_smmu_asid_lock);
	old = rcu_dereference_protected(fake->domain->invs, lockdep_is_held(&arm_smmu_asid_lock));
	new = arm_smmu_invs_merge(old, flush_test_invs(test, fake, sid));
	if (!IS_ERR(new)) {
		rcu_assign_pointer(fake->domain->invs, new);
		kfree_rcu(old, rcu);
	}
	mutex_unlock(&arm_smmu_asid_lock);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, new);
}

static void flush_test_detach(struct kunit *test, struct fake *fake, u32 sid)
{
	struct arm_smmu_attach_state state = {
		.old_domain = &fake->domain->domain,
		.old_domain_invst = {
			.invs_ptr = &fake->domain->invs,
			.new_invs = flush_test_invs(test, fake, sid),
		},
	};

	mutex_lock(&arm_smmu_asid_lock);
	state.old_domain_invst.old_invs =
		rcu_dereference_protected(fake->domain->invs,
					  lockdep_is_held(&arm_smmu_asid_lock));
	complete(&fake->detaching);
	arm_smmu_install_old_domain_invs(&state);
	mutex_unlock(&arm_smmu_asid_lock);
}

static int flush_test_flush(void *arg)
{
	struct fake *fake = arg;

	arm_smmu_domain_inv_range(fake->domain, SZ_1M, SZ_4K, SZ_4K, true);
	complete(&fake->done);
	return 0;
}

/*
 * A flush has loaded the array. Another device is attached, which makes a new one, and then
 * one of those that the flush knows is detached.
 */
static void flush_test_fence(struct kunit *test)
{
	struct task_struct *flush;
	unsigned int sent, cpu;
	struct fake *fake;

	if (num_online_cpus() < 2)
		kunit_skip(test, "a flush holds one CPU up, the test needs another");

	fake = flush_test_fake(test);
	flush_test_attach(test, fake, LEAVES);
	flush_test_attach(test, fake, STAYS);
	fake->smmu.impl_ops = &flush_test_held_up;

	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	flush = kthread_create_on_cpu(flush_test_flush, fake, cpu, "flush/%u");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, flush);
	wake_up_process(flush);
	wait_for_completion(&fake->flushing);

	flush_test_attach(test, fake, COMES);
	flush_test_detach(test, fake, LEAVES);
	sent = flush_test_atcs(fake, LEAVES);
	migrate_enable();

	wait_for_completion(&fake->done);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, STAYS), 1);
	/* After the detach has returned, nothing is sent to the device. */
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, LEAVES), sent);
	flush_test_free(fake);
}

/* A flush that begins later sends to those that are attached, and to no other. */
static void flush_test_after(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);

	flush_test_attach(test, fake, LEAVES);
	flush_test_attach(test, fake, STAYS);
	flush_test_detach(test, fake, LEAVES);
	flush_test_attach(test, fake, COMES);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_VA, CMDQ_TLBI_0_ASID, TAG), 1);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, LEAVES), 0);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, STAYS), 1);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, COMES), 1);
	flush_test_free(fake);
}

static u8 flush_test_last(struct arm_smmu_cmdq *cmdq, u32 reg)
{
	return FIELD_GET(CMDQ_0_OP, le64_to_cpu(Q_ENT(&cmdq->q, reg - 1)[0]));
}

/* More commands than a batch has: all of them are ahead of the CMD_SYNC, in its queue. */
static void flush_test_one_queue(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	unsigned int pages = CMDQ_BATCH_ENTRIES + 10;

	flush_test_attach(test, fake, STAYS);
	fake->smmu.impl_ops = &flush_test_two_queues;
	arm_smmu_domain_inv_range(fake->domain, SZ_1M, pages * SZ_4K, SZ_4K, true);

	/* TLBI and ATC_INV, a CMD_SYNC each */
	KUNIT_EXPECT_EQ(test, fake->reg + fake->other_reg, pages + 1 + 1 + 1);
	if (fake->reg)
		KUNIT_EXPECT_EQ(test, flush_test_last(&fake->smmu.cmdq, fake->reg),
				CMDQ_OP_CMD_SYNC);
	KUNIT_ASSERT_NE(test, fake->other_reg, 0);
	KUNIT_EXPECT_EQ(test, flush_test_last(&fake->other, fake->other_reg), CMDQ_OP_CMD_SYNC);
	flush_test_free(fake);
}

/*
 * Nesting parents
 */

/* A device on a nesting parent: by itself, and in a nest. */
struct nest_test {
	struct kunit *test;
	struct fake *fake;
	struct arm_smmu_master master;
	struct arm_smmu_stream stream;
	struct arm_vsmmu vsmmu;
	struct arm_smmu_nested_domain nested;
};

/* From one domain to another, either may be none. */
static void nest_test_move(struct nest_test *nest, struct iommu_domain *from,
			   struct iommu_domain *to)
{
	struct arm_smmu_attach_state state = {
		.master = &nest->master,
		.old_domain = from,
		.ssid = IOMMU_NO_PASID,
		.ats_enabled = !!to,
	};

	mutex_lock(&arm_smmu_asid_lock);
	KUNIT_EXPECT_EQ(nest->test, arm_smmu_attach_prepare_invs(&state, to), 0);
	if (to) {
		rcu_assign_pointer(*state.new_domain_invst.invs_ptr,
				   state.new_domain_invst.new_invs);
		kfree_rcu(state.new_domain_invst.old_invs, rcu);
	}
	arm_smmu_install_old_domain_invs(&state);
	nest->master.ats_enabled = !!to;
	mutex_unlock(&arm_smmu_asid_lock);
}

/* Commands with this opcode since the last call, ATC_INV of the whole with @whole. */
static unsigned int nest_test_sent(struct nest_test *nest, u8 opcode, bool whole)
{
	struct arm_smmu_queue *q = &nest->fake->smmu.cmdq.q;
	unsigned int count = 0;
	u64 word[2];
	u32 i;

	for (i = 0; i < nest->fake->reg; i++) {
		word[0] = le64_to_cpu(Q_ENT(q, i)[0]);
		word[1] = le64_to_cpu(Q_ENT(q, i)[1]);
		count += FIELD_GET(CMDQ_0_OP, word[0]) == opcode &&
			 (opcode != CMDQ_OP_ATC_INV ||
			  whole == (FIELD_GET(CMDQ_ATC_1_SIZE, word[1]) == ATC_INV_SIZE_ALL));
		/* Seen */
		Q_ENT(q, i)[0] = 0;
	}
	return count;
}

static void nest_test_unmap(struct nest_test *nest, unsigned int clears, unsigned int ranges,
			    unsigned int wholes)
{
	struct kunit *test = nest->test;
	u32 first = nest->fake->reg;

	arm_smmu_domain_inv_range(nest->fake->domain, SZ_1M, SZ_4K, SZ_4K, true);
	KUNIT_EXPECT_GT(test, nest->fake->reg, first);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_TLBI_NH_ALL,
					      CMDQ_TLBI_0_VMID, TAG), clears);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_TLBI_S2_IPA,
					      CMDQ_TLBI_0_VMID, TAG), 1);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_ATC_INV,
					      CMDQ_ATC_0_SID, STAYS), ranges + wholes);
	KUNIT_EXPECT_EQ(test, nest_test_sent(nest, CMDQ_OP_ATC_INV, true), wholes);
}

/* Under the group's mutex, which the driver wants held. */
static int nest_test_in_group(struct device *dev, void *data)
{
	struct nest_test *nest = data;
	struct kunit *test = nest->test;
	struct iommu_domain *parent = &nest->fake->domain->domain;
	struct iommu_domain *nested = &nest->nested.domain;

	/* On the parent itself */
	nest_test_move(nest, NULL, parent);
	nest_test_unmap(nest, 0, 1, 0);
	/* In a nest */
	nest_test_move(nest, parent, nested);
	nest_test_unmap(nest, 1, 0, 1);
	/* And by itself, as another device of the parent would be */
	nest_test_move(nest, NULL, parent);
	nest_test_unmap(nest, 1, 1, 1);

	/* The last nest goes, and leaves nothing of its stage 1. */
	nest_test_move(nest, nested, NULL);
	KUNIT_EXPECT_EQ(test, nest_test_sent(nest, CMDQ_OP_TLBI_NH_ALL, false), 1);
	nest->master.ats_enabled = true;
	nest_test_unmap(nest, 0, 1, 0);
	/* The parent's tag goes, with all that has it. */
	nest_test_move(nest, parent, NULL);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_TLBI_S12_VMALL,
					      CMDQ_TLBI_0_VMID, TAG), 1);
	KUNIT_EXPECT_EQ(test, nest_test_sent(nest, CMDQ_OP_TLBI_NH_ALL, false), 0);
	return 0;
}

static void flush_test_nest_parent(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct nest_test *nest = kunit_kzalloc(test, sizeof(*nest), GFP_KERNEL);
	struct iommu_group *group;

	KUNIT_ASSERT_NOT_NULL(test, nest);
	fake->domain->stage = ARM_SMMU_DOMAIN_S2;
	fake->domain->s2_cfg.vmid = TAG;
	fake->domain->nest_parent = true;
	nest->test = test;
	nest->fake = fake;
	nest->vsmmu.smmu = &fake->smmu;
	nest->vsmmu.s2_parent = fake->domain;
	nest->vsmmu.vmid = TAG;
	nest->nested.domain.type = IOMMU_DOMAIN_NESTED;
	nest->nested.vsmmu = &nest->vsmmu;
	nest->stream.id = STAYS;
	nest->master.smmu = &fake->smmu;
	nest->master.dev = fake->smmu.dev;
	nest->master.streams = &nest->stream;
	nest->master.num_streams = 1;
	nest->master.build_invs = arm_smmu_invs_alloc(3);
	KUNIT_ASSERT_NOT_NULL(test, nest->master.build_invs);

	group = iommu_group_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, group);
	KUNIT_ASSERT_EQ(test, iommu_group_add_device(group, nest->master.dev), 0);
	iommu_group_for_each_dev(group, nest, nest_test_in_group);
	iommu_group_remove_device(nest->master.dev);
	iommu_group_put(group);
	kfree(nest->master.build_invs);
	flush_test_free(fake);
}

static struct kunit_case flush_test_cases[] = {
	KUNIT_CASE(flush_test_fence),
	KUNIT_CASE(flush_test_after),
	KUNIT_CASE(flush_test_one_queue),
	KUNIT_CASE(flush_test_nest_parent),
	{}
};

static struct kunit_suite flush_test_suite = {
	.name = "arm-smmu-v3-flush",
	.test_cases = flush_test_cases,
};

kunit_test_suite(flush_test_suite);

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("KUnit tests for what the arm-smmu-v3 driver sends in a flush");
MODULE_LICENSE("GPL");
