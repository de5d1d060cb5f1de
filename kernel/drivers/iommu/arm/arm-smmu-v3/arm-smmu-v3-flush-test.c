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
#include <linux/hrtimer.h>
#include <linux/idr.h>
#include <linux/io-pgtable.h>
#include <linux/iommu-alist.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>

#include "arm-smmu-v3.h"

#define QUEUE_SHIFT	8

/* Ids */
#define TAG		7	/* an ASID */
#define VMID		1	/* the first one */
#define VTAG		9	/* the VMID of a vSMMU */
#define LEAVES		0x0308		/* the device that is detached */
#define STAYS		0x0410
#define COMES		0x0518
#define NR_STREAMS	0x0600

/* The queue of flush_test_others() */
static struct arm_smmu_cmdq *flush_test_busy;

/* How long a flush is held up, in milliseconds: a detach that does not wait for it returns. */
#define HELD_UP_MS	20

/* What is attached in a test, at most */
#define NR_MASTERS	40

#define NR_SECONDARY	2

struct fake {
	struct arm_smmu_device smmu;
	struct arm_smmu_domain *domain;
	struct arm_smmu_master *masters[NR_MASTERS];
	unsigned int nr_masters;
	struct arm_smmu_cmdq other;
	struct secondary *secondary;	/* NULL, or NR_SECONDARY queues */
	u32 silent;			/* a stream that does not answer, or 0 */
	u32 held_at;			/* where the queue is then */
	ktime_t began;			/* when it is first asked where it is */
	struct hrtimer timer;		/* until when it is there, by itself */
	u32 refused;			/* an opcode, or 0 */
	unsigned int refusals;		/* how often, at most */
	struct fake *peer;		/* the other SMMU of a domain */
	u32 peer_sent;			/* what it had been sent when this one was waited for */
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

static struct arm_smmu_cmdq *flush_test_by_index(struct arm_smmu_device *smmu, u16 index)
{
	return &container_of(smmu, struct fake, smmu)->other;
}

static const struct arm_smmu_impl_ops flush_test_two_queues = {
	.get_secondary_cmdq = flush_test_other,
	.secondary_cmdq = flush_test_by_index,
};

static struct arm_smmu_cmdq *flush_test_atc_queue(struct arm_smmu_device *smmu,
						  struct arm_smmu_cmd *cmd)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);

	return FIELD_GET(CMDQ_0_OP, cmd->data[0]) == CMDQ_OP_ATC_INV ? &fake->other : NULL;
}

/* In the queue, does a command ahead of the last CMD_SYNC ask the silent one? */
static bool flush_test_asks_silent(struct fake *fake)
{
	struct arm_smmu_queue *q = &fake->other.q;
	u32 i = fake->other_reg - 1;
	u64 word;

	while (i--) {
		word = le64_to_cpu(Q_ENT(q, i)[0]);
		if (FIELD_GET(CMDQ_0_OP, word) != CMDQ_OP_ATC_INV)
			return false;
		if (FIELD_GET(CMDQ_ATC_0_SID, word) == fake->silent)
			return true;
	}
	return false;
}

/* A flush is about to look at what it has submitted: the SMMU is so far, too. */
static struct arm_smmu_cmdq *flush_test_stop(struct arm_smmu_device *smmu, u16 index)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);
	struct arm_smmu_cmdq *cmdq = &fake->other;
	u32 cons;

	if (fake->silent && flush_test_asks_silent(fake) && fake->asked != fake->other_reg) {
		/* Once for each submission */
		fake->asked = fake->other_reg;
		cons = (fake->other_reg - 1) |
		       FIELD_PREP(CMDQ_CONS_ERR, CMDQ_ERR_CERROR_ATC_INV_IDX);
		cmdq->q.cons_reg = (u32 __iomem *)&cons;
		__arm_smmu_cmdq_skip_err(smmu, cmdq);
		cmdq->q.cons_reg = cmdq->q.prod_reg;
	}
	return cmdq;
}

static const struct arm_smmu_impl_ops flush_test_silent_device = {
	.get_secondary_cmdq = flush_test_atc_queue,
	.secondary_cmdq = flush_test_stop,
};

/* Has the driver skip the command in a slot, where CONS is for that time only. */
static void flush_test_refuse(struct fake *fake, u32 slot)
{
	struct arm_smmu_cmdq *cmdq = &fake->other;
	u32 cons = slot | FIELD_PREP(CMDQ_CONS_ERR, CMDQ_ERR_CERROR_ILL_IDX);

	cmdq->q.cons_reg = (u32 __iomem *)&cons;
	__arm_smmu_cmdq_skip_err(&fake->smmu, cmdq);
	cmdq->q.cons_reg = cmdq->q.prod_reg;
}

/* The same for each command with an opcode among those that were submitted last. */
static struct arm_smmu_cmdq *flush_test_illegal(struct arm_smmu_device *smmu, u16 index)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);
	u32 i;

	for (i = fake->asked; i < fake->other_reg && fake->refusals; i++) {
		if (FIELD_GET(CMDQ_0_OP, le64_to_cpu(Q_ENT(&fake->other.q, i)[0])) != fake->refused)
			continue;
		flush_test_refuse(fake, i);
		fake->refusals--;
	}
	fake->asked = fake->other_reg;
	return &fake->other;
}

static struct arm_smmu_cmdq *flush_test_its_queue(struct arm_smmu_device *smmu,
						  struct arm_smmu_cmd *cmd)
{
	return &container_of(smmu, struct fake, smmu)->other;
}

static const struct arm_smmu_impl_ops flush_test_illegal_commands = {
	.get_secondary_cmdq = flush_test_its_queue,
	.secondary_cmdq = flush_test_illegal,
};

static struct arm_smmu_cmdq *flush_test_hold_up(struct arm_smmu_device *smmu,
						struct arm_smmu_cmd *cmd)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);
	int ms;

	if (FIELD_GET(CMDQ_0_OP, cmd->data[0]) != CMDQ_OP_ATC_INV)
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

static struct fake *flush_test_named(struct kunit *test, const char *name)
{
	struct fake *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, fake);
	init_completion(&fake->flushing);
	init_completion(&fake->detaching);
	init_completion(&fake->done);
	fake->smmu.dev = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fake->smmu.dev);
	mutex_init(&fake->smmu.streams_mutex);
	fake->smmu.features = ARM_SMMU_FEAT_ATS;
	ida_init(&fake->smmu.vmid_map);
	fake->smmu.vmid_bits = 8;
	fake->smmu.strtab_cfg.linear.table =
		kunit_kcalloc(test, NR_STREAMS, sizeof(struct arm_smmu_ste), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake->smmu.strtab_cfg.linear.table);
	KUNIT_ASSERT_EQ(test, arm_smmu_fence_init(&fake->smmu), 0);

	flush_test_queue(test, fake, &fake->smmu.cmdq, &fake->reg);
	flush_test_queue(test, fake, &fake->other, &fake->other_reg);
	fake->other.index = 1;
	fake->domain = arm_smmu_domain_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fake->domain);
	fake->domain->domain.type = IOMMU_DOMAIN_UNMANAGED;
	fake->domain->domain.pgsize_bitmap = SZ_4K;
	fake->domain->cd.asid = TAG;
	return fake;
}

static struct fake *flush_test_fake(struct kunit *test)
{
	return flush_test_named(test, "arm-smmu-v3-flush");
}

static void flush_test_free(struct fake *fake)
{
	struct arm_smmu_master_domain *pos, *next;
	unsigned int i;

	fake->smmu.impl_ops = NULL;
	mutex_lock(&arm_smmu_asid_lock);
	for (i = 0; i < fake->nr_masters; i++)
		list_for_each_entry_safe(pos, next, &fake->masters[i]->attachments, master_item)
			arm_smmu_master_domain_del(pos);
	mutex_unlock(&arm_smmu_asid_lock);
	arm_smmu_domain_free(fake->domain);
	ida_destroy(&fake->smmu.vmid_map);
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

static void flush_test_init_master(struct fake *fake, struct arm_smmu_master *master,
				   struct arm_smmu_stream *streams, unsigned int num_streams)
{
	master->smmu = &fake->smmu;
	master->dev = fake->smmu.dev;
	master->streams = streams;
	master->num_streams = num_streams;
	INIT_LIST_HEAD(&master->attachments);
	iommu_attach_endpoint_init(&master->endpoint);
	master->ats_on = true;
	fake->masters[fake->nr_masters++] = master;
}

/* A device with @num_streams ids from @sid on. The same one, if it has been asked for. */
static struct arm_smmu_master *flush_test_master(struct kunit *test, struct fake *fake, u32 sid,
						 unsigned int num_streams)
{
	struct arm_smmu_master *master;
	struct arm_smmu_stream *streams;
	unsigned int i;

	for (i = 0; i < fake->nr_masters; i++)
		if (fake->masters[i]->streams[0].id == sid)
			return fake->masters[i];
	KUNIT_ASSERT_LT(test, fake->nr_masters, NR_MASTERS);
	master = kunit_kzalloc(test, sizeof(*master), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, master);
	streams = kunit_kcalloc(test, num_streams, sizeof(*streams), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streams);
	for (i = 0; i < num_streams; i++)
		streams[i].id = sid + i;
	flush_test_init_master(fake, master, streams, num_streams);
	return master;
}

/* As before the STE or CD is written */
static void flush_test_add(struct kunit *test, struct arm_smmu_master *master,
			   struct iommu_domain *domain, ioasid_t ssid, bool ats)
{
	struct arm_smmu_master_domain *master_domain;
	int ret;

	mutex_lock(&arm_smmu_asid_lock);
	master_domain = arm_smmu_master_domain_alloc(master, domain, ssid);
	ret = master_domain ? arm_smmu_master_domain_add(master_domain, ats) : -ENOMEM;
	mutex_unlock(&arm_smmu_asid_lock);
	KUNIT_ASSERT_EQ(test, ret, 0);
}

/* And as after that */
static void flush_test_del(struct kunit *test, struct arm_smmu_master *master,
			   struct iommu_domain *domain, ioasid_t ssid)
{
	struct arm_smmu_master_domain *master_domain;

	mutex_lock(&arm_smmu_asid_lock);
	master_domain = arm_smmu_find_master_domain(master, domain, ssid);
	if (master_domain)
		arm_smmu_master_domain_del(master_domain);
	mutex_unlock(&arm_smmu_asid_lock);
	KUNIT_EXPECT_NOT_NULL(test, master_domain);
}

static void flush_test_attach(struct kunit *test, struct fake *fake, u32 sid)
{
	flush_test_add(test, flush_test_master(test, fake, sid, 1), &fake->domain->domain,
		       IOMMU_NO_PASID, true);
}

/* With ATS off, after which the device may be reset */
static void flush_test_detach(struct kunit *test, struct fake *fake, u32 sid)
{
	struct arm_smmu_attach_state state = {
		.master = flush_test_master(test, fake, sid, 1),
		.ats_disabled = true,
	};

	complete(&fake->detaching);
	flush_test_del(test, state.master, &fake->domain->domain, IOMMU_NO_PASID);
	arm_smmu_attach_done(&state);
}

static int flush_test_flush(void *arg)
{
	struct fake *fake = arg;

	arm_smmu_domain_inv_range(fake->domain, SZ_1M, SZ_4K, SZ_4K, true);
	complete(&fake->done);
	return 0;
}

/*
 * A flush has found the devices that it is going to send to. Another one is attached, and then
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
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&fake->flushing, 10 * HZ), 0);

	flush_test_attach(test, fake, COMES);
	flush_test_detach(test, fake, LEAVES);
	sent = flush_test_atcs(fake, LEAVES);
	migrate_enable();

	wait_for_completion(&fake->done);
	/* The flush had it, and the detach has waited for that. */
	KUNIT_EXPECT_EQ(test, sent, 1);
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

/* The n-th command that has been sent. */
static u64 flush_test_word(struct fake *fake, u32 n)
{
	return le64_to_cpu(Q_ENT(&fake->smmu.cmdq.q, n)[0]);
}

static u8 flush_test_op(struct fake *fake, u32 n)
{
	return FIELD_GET(CMDQ_0_OP, flush_test_word(fake, n));
}

/* Forgets what has been sent. */
static void flush_test_clear(struct fake *fake)
{
	memset(fake->smmu.cmdq.q.base, 0, 1 << QUEUE_SHIFT << CMDQ_ENT_SZ_SHIFT);
}

/* One TLBI for a tag, however many devices; ATC_INVs only behind the CMD_SYNC for that. */
static void flush_test_order(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	const unsigned int nr = 32;
	unsigned int i;

	for (i = 0; i < nr; i++)
		flush_test_attach(test, fake, STAYS + i);
	flush_test_flush(fake);
	KUNIT_ASSERT_EQ(test, fake->reg, 1 + 1 + nr + 1);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, 0), CMDQ_OP_TLBI_NH_VA);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, 1), CMDQ_OP_CMD_SYNC);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_EQ(test, flush_test_op(fake, 2 + i), CMDQ_OP_ATC_INV);
		KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, STAYS + i), 1);
	}
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, 2 + nr), CMDQ_OP_CMD_SYNC);
	flush_test_free(fake);
}

/* More ATC_INVs than a batch has: each batch has its CMD_SYNC right behind it. */
static void flush_test_many_atcs(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	const unsigned int nr = CMDQ_BATCH_ENTRIES + 10;
	struct arm_smmu_master *master = flush_test_master(test, fake, STAYS, nr);
	unsigned int i;

	flush_test_add(test, master, &fake->domain->domain, IOMMU_NO_PASID, true);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, fake->reg, 1 + 1 + nr + 2);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, STAYS + i), 1);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, 2 + CMDQ_BATCH_ENTRIES - 1), CMDQ_OP_CMD_SYNC);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, fake->reg - 1), CMDQ_OP_CMD_SYNC);
	flush_test_free(fake);
}

/* All streams of a device get the command, and none of them when it has gone. */
static void flush_test_streams(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *master = flush_test_master(test, fake, LEAVES, 3);
	struct iommu_domain *domain = &fake->domain->domain;
	int i;

	flush_test_add(test, master, domain, IOMMU_NO_PASID, true);
	flush_test_flush(fake);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, LEAVES + i), 1);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_VA, CMDQ_TLBI_0_ASID, TAG), 1);

	flush_test_attach(test, fake, STAYS);
	flush_test_del(test, master, domain, IOMMU_NO_PASID);
	flush_test_clear(fake);
	flush_test_flush(fake);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, LEAVES + i), 0);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, STAYS), 1);
	flush_test_free(fake);
}

/* ATC_INVs with this SSID, which may be none. */
static unsigned int flush_test_ssids(struct fake *fake, u32 ssid)
{
	unsigned int count = 0;
	u64 word;
	u32 i;

	for (i = 0; i < fake->reg; i++) {
		word = flush_test_word(fake, i);
		count += FIELD_GET(CMDQ_0_OP, word) == CMDQ_OP_ATC_INV &&
			 FIELD_GET(CMDQ_0_SSV, word) == (ssid != IOMMU_NO_PASID) &&
			 FIELD_GET(CMDQ_ATC_0_SSID, word) == ssid;
	}
	return count;
}

/* Substreams of a device are targets of their own, and come and go by themselves. */
static void flush_test_substreams(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *master = flush_test_master(test, fake, STAYS, 1);
	struct iommu_domain *domain = &fake->domain->domain;

	flush_test_add(test, master, domain, 1, true);
	flush_test_add(test, master, domain, 3, true);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_VA, CMDQ_TLBI_0_ASID, TAG), 1);
	KUNIT_EXPECT_EQ(test, flush_test_ssids(fake, 1), 1);
	KUNIT_EXPECT_EQ(test, flush_test_ssids(fake, 3), 1);

	flush_test_clear(fake);
	flush_test_del(test, master, domain, 1);
	flush_test_add(test, master, domain, IOMMU_NO_PASID, true);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_ssids(fake, 1), 0);
	KUNIT_EXPECT_EQ(test, flush_test_ssids(fake, 3), 1);
	KUNIT_EXPECT_EQ(test, flush_test_ssids(fake, IOMMU_NO_PASID), 1);
	flush_test_free(fake);
}

/* Attached once more, such as when the STE is made simpler: one command, until both are gone. */
static void flush_test_again(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *master = flush_test_master(test, fake, STAYS, 1);
	struct iommu_domain *domain = &fake->domain->domain;
	u32 reg;

	flush_test_add(test, master, domain, IOMMU_NO_PASID, true);
	flush_test_add(test, master, domain, IOMMU_NO_PASID, false);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, STAYS), 1);

	/* The older one, which has ATS, goes. */
	flush_test_clear(fake);
	flush_test_del(test, master, domain, IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_ASID, CMDQ_TLBI_0_ASID, TAG),
			0);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_VA, CMDQ_TLBI_0_ASID, TAG), 1);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, STAYS), 0);

	/* The tag is clean when the last one has gone, and nothing is sent for it any more. */
	flush_test_del(test, master, domain, IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_ASID, CMDQ_TLBI_0_ASID, TAG),
			1);
	reg = fake->reg;
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, fake->reg, reg);
	flush_test_free(fake);
}

/* The opcodes are those of the SMMU, and the whole is one command without ranges. */
static void flush_test_opcodes(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);

	flush_test_attach(test, fake, STAYS);
	arm_smmu_domain_inv(fake->domain);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_ASID, CMDQ_TLBI_0_ASID, TAG),
			1);
	fake->smmu.features |= ARM_SMMU_FEAT_E2H;
	arm_smmu_domain_inv(fake->domain);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_EL2_ASID, CMDQ_TLBI_0_ASID, TAG),
			1);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_EL2_VA, CMDQ_TLBI_0_ASID, TAG), 1);
	/* 512 pages of 4 KiB */
	flush_test_clear(fake);
	arm_smmu_domain_inv_range(fake->domain, SZ_1G, SZ_2M, SZ_4K, true);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_EL2_ASID, CMDQ_TLBI_0_ASID, TAG),
			1);
	flush_test_clear(fake);
	fake->smmu.features |= ARM_SMMU_FEAT_RANGE_INV;
	arm_smmu_domain_inv_range(fake->domain, SZ_1G, SZ_2M, SZ_4K, true);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_EL2_VA, CMDQ_TLBI_0_ASID, TAG), 1);
	flush_test_free(fake);
}

/* In the queue for ATC_INVs */
static unsigned int flush_test_asked(struct fake *fake, u32 sid)
{
	struct arm_smmu_queue *q = &fake->other.q;
	unsigned int count = 0;
	u64 word;
	u32 i;

	for (i = 0; i < fake->other_reg; i++) {
		word = le64_to_cpu(Q_ENT(q, i)[0]);
		count += FIELD_GET(CMDQ_0_OP, word) == CMDQ_OP_ATC_INV &&
			 FIELD_GET(CMDQ_ATC_0_SID, word) == sid;
	}
	return count;
}

/*
 * Secondary queues
 */

/*
 * One for each CPU, as tegra241 has them, and the task is on another CPU whenever the driver
 * chooses. The SMMU executes what is in a queue when the driver comes to wait for it there.
 */
struct secondary {
	struct arm_smmu_cmdq cmdq;
	u32 prod, cons;
};

static struct arm_smmu_cmdq *flush_test_moving(struct arm_smmu_device *smmu,
					       struct arm_smmu_cmd *cmd)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);
	struct arm_smmu_cmdq *cmdq = &fake->secondary[fake->asked++ % NR_SECONDARY].cmdq;

	return arm_smmu_cmdq_supports_cmd(cmdq, cmd) ? cmdq : NULL;
}

static struct arm_smmu_cmdq *flush_test_execute(struct arm_smmu_device *smmu, u16 index)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);
	struct secondary *secondary = &fake->secondary[index - 1];

	secondary->cons = secondary->prod;
	return &secondary->cmdq;
}

static const struct arm_smmu_impl_ops flush_test_moving_task = {
	.get_secondary_cmdq = flush_test_moving,
	.secondary_cmdq = flush_test_execute,
};

/* What tegra241's queues take in a guest */
static bool flush_test_supports(struct arm_smmu_cmd *cmd)
{
	u8 opcode = FIELD_GET(CMDQ_0_OP, cmd->data[0]);

	return opcode == CMDQ_OP_TLBI_NH_VA || opcode == CMDQ_OP_TLBI_NH_ASID ||
	       opcode == CMDQ_OP_ATC_INV;
}

static struct fake *flush_test_secondaries(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct secondary *secondary;
	int i;

	fake->secondary = kunit_kcalloc(test, NR_SECONDARY, sizeof(*secondary), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake->secondary);
	for (i = 0; i < NR_SECONDARY; i++) {
		secondary = &fake->secondary[i];
		flush_test_queue(test, fake, &secondary->cmdq, &secondary->prod);
		secondary->cmdq.q.cons_reg = (u32 __iomem *)&secondary->cons;
		secondary->cmdq.index = i + 1;
	}
	fake->smmu.impl_ops = &flush_test_moving_task;
	return fake;
}

/* In a queue, all of it executed: commands with this opcode, and CMD_SYNCs, and no others */
static void flush_test_has(struct kunit *test, struct secondary *secondary, u8 opcode,
			   unsigned int nr, unsigned int syncs)
{
	struct arm_smmu_queue *q = &secondary->cmdq.q;
	unsigned int found = 0, found_syncs = 0;
	u8 op;
	u32 i;

	for (i = 0; i < secondary->prod; i++) {
		op = FIELD_GET(CMDQ_0_OP, le64_to_cpu(Q_ENT(q, i)[0]));
		found += op == opcode;
		found_syncs += op == CMDQ_OP_CMD_SYNC;
	}
	KUNIT_EXPECT_EQ(test, found, nr);
	KUNIT_EXPECT_EQ(test, found_syncs, syncs);
	KUNIT_EXPECT_EQ(test, secondary->prod, nr + syncs);
	KUNIT_EXPECT_EQ(test, secondary->cons, secondary->prod);
}

/* A CMD_SYNC is waited for in the queue that has it. */
static void flush_test_secondary(struct kunit *test)
{
	struct fake *fake = flush_test_secondaries(test);

	flush_test_attach(test, fake, STAYS);
	flush_test_flush(fake);
	flush_test_has(test, &fake->secondary[0], CMDQ_OP_TLBI_NH_VA, 1, 1);
	flush_test_has(test, &fake->secondary[1], CMDQ_OP_ATC_INV, 1, 1);
	KUNIT_EXPECT_EQ(test, fake->asked, 2);
	KUNIT_EXPECT_EQ(test, fake->reg, 0);
	flush_test_free(fake);
}

/* What they do not take goes to the SMMU's own queue, with its CMD_SYNC. */
static void flush_test_unsupported(struct kunit *test)
{
	struct fake *fake = flush_test_secondaries(test);
	int i;

	for (i = 0; i < NR_SECONDARY; i++)
		fake->secondary[i].cmdq.supports_cmd = flush_test_supports;
	fake->smmu.features |= ARM_SMMU_FEAT_E2H;
	flush_test_attach(test, fake, STAYS);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, fake->reg, 2);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, 0), CMDQ_OP_TLBI_EL2_VA);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, 1), CMDQ_OP_CMD_SYNC);
	flush_test_has(test, &fake->secondary[0], 0, 0, 0);
	flush_test_has(test, &fake->secondary[1], CMDQ_OP_ATC_INV, 1, 1);
	flush_test_free(fake);
}

/* An erratum makes the flush wait in between. It goes on in its queue. */
static void flush_test_forced(struct kunit *test)
{
	struct fake *fake = flush_test_secondaries(test);
	const unsigned int pages = 2 * CMDQ_BATCH_ENTRIES;
	int i;

	/* The driver waits by itself, which does not ask for the queue. */
	for (i = 0; i < NR_SECONDARY; i++)
		fake->secondary[i].cmdq.q.cons_reg = fake->secondary[i].cmdq.q.prod_reg;
	fake->smmu.options |= ARM_SMMU_OPT_CMDQ_FORCE_SYNC;
	flush_test_attach(test, fake, STAYS);
	arm_smmu_domain_inv_range(fake->domain, SZ_1M, pages * SZ_4K, SZ_4K, true);
	flush_test_has(test, &fake->secondary[0], CMDQ_OP_TLBI_NH_VA, pages,
		       DIV_ROUND_UP(pages, CMDQ_BATCH_ENTRIES - 1));
	flush_test_has(test, &fake->secondary[1], CMDQ_OP_ATC_INV, 1, 1);
	flush_test_free(fake);
}

/* An erratum: once more behind the CMD_SYNC of the first time, but for ATC_INV. */
static void flush_test_repeat(struct kunit *test)
{
	static const u8 ops[] = {
		CMDQ_OP_TLBI_NH_VA, CMDQ_OP_CMD_SYNC, CMDQ_OP_TLBI_NH_VA, CMDQ_OP_CMD_SYNC,
		CMDQ_OP_ATC_INV, CMDQ_OP_CMD_SYNC,
	};
	const unsigned int pages = CMDQ_BATCH_ENTRIES + 10;
	struct fake *fake = flush_test_fake(test);
	unsigned int i, first, half;

	flush_test_attach(test, fake, STAYS);
	static_branch_enable(&arm_smmu_erratum_repeat_tlbi_cfgi_key);
	flush_test_flush(fake);
	first = fake->reg;
	/* A batch, and the rest */
	arm_smmu_domain_inv_range(fake->domain, SZ_1M, pages * SZ_4K, SZ_4K, true);
	static_branch_disable(&arm_smmu_erratum_repeat_tlbi_cfgi_key);

	KUNIT_ASSERT_EQ(test, first, ARRAY_SIZE(ops));
	for (i = 0; i < first; i++)
		KUNIT_EXPECT_EQ(test, flush_test_op(fake, i), ops[i]);
	KUNIT_ASSERT_EQ(test, fake->reg, first + 2 * (pages + 2) + 2);
	for (half = 0; half < 2; half++) {
		i = first + half * (CMDQ_BATCH_ENTRIES + 1);
		KUNIT_EXPECT_EQ(test, flush_test_op(fake, i + CMDQ_BATCH_ENTRIES),
				CMDQ_OP_CMD_SYNC);
		KUNIT_EXPECT_EQ(test, flush_test_word(fake, i), flush_test_word(fake, first));
		i = first + 2 * (CMDQ_BATCH_ENTRIES + 1) + half * (10 + 1);
		KUNIT_EXPECT_EQ(test, flush_test_op(fake, i + 10), CMDQ_OP_CMD_SYNC);
	}
	flush_test_free(fake);
}

/*
 * ATS goes off
 */

#define ATS_CAP		0x100

struct ats_off {
	struct fake *fake;
	struct pci_bus bus;
	struct pci_dev pdev;
	u16 ctrl;
	unsigned int asked;	/* by the flush that runs while it goes off */
};

static int flush_test_ats_read(struct pci_bus *bus, unsigned int devfn, int where, int size,
			       u32 *value)
{
	*value = container_of(bus, struct ats_off, bus)->ctrl;
	return PCIBIOS_SUCCESSFUL;
}

/* ATS is about to go off: up to here, a flush has to reach the ATC. */
static int flush_test_ats_write(struct pci_bus *bus, unsigned int devfn, int where, int size,
				u32 value)
{
	struct ats_off *off = container_of(bus, struct ats_off, bus);

	if (where == ATS_CAP + PCI_ATS_CTRL && off->ctrl & ~value & PCI_ATS_CTRL_ENABLE) {
		flush_test_flush(off->fake);
		off->asked = flush_test_atcs(off->fake, LEAVES);
	}
	off->ctrl = value;
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops flush_test_ats_ops = {
	.read = flush_test_ats_read,
	.write = flush_test_ats_write,
};

/* A device is on the list until its ATS is off, or it could keep what is unmapped meanwhile. */
static void flush_test_ats_off(struct kunit *test)
{
	struct iommu_domain blocked = { .type = IOMMU_DOMAIN_BLOCKED };
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_attach_state state = {
		.old_domain = &fake->domain->domain,
		.master = flush_test_master(test, fake, LEAVES, 1),
		.ssid = IOMMU_NO_PASID,
	};
	struct ats_off *off = kunit_kzalloc(test, sizeof(*off), GFP_KERNEL);
	struct device *dev = state.master->dev;

	if (!IS_ENABLED(CONFIG_PCI_ATS))
		kunit_skip(test, "ATS cannot be turned off");
	KUNIT_ASSERT_NOT_NULL(test, off);
	off->fake = fake;
	off->bus.ops = &flush_test_ats_ops;
	off->pdev.bus = &off->bus;
	off->pdev.ats_cap = ATS_CAP;
	off->pdev.ats_enabled = 1;
	off->ctrl = PCI_ATS_CTRL_ENABLE;
	flush_test_attach(test, fake, LEAVES);
	state.master->dev = &off->pdev.dev;
	state.master->ats_enabled = true;

	mutex_lock(&arm_smmu_asid_lock);
	KUNIT_EXPECT_EQ(test, arm_smmu_attach_prepare(&state, &blocked), 0);
	mutex_unlock(&arm_smmu_asid_lock);
	KUNIT_EXPECT_FALSE(test, state.ats_enabled);
	KUNIT_EXPECT_EQ(test, off->ctrl & PCI_ATS_CTRL_ENABLE, 0);
	KUNIT_EXPECT_FALSE(test, state.master->ats_on);
	KUNIT_EXPECT_EQ(test, off->asked, 1);
	state.master->dev = dev;

	/* When the attach returns, it gets nothing, and may come back if it was silent. */
	flush_test_del(test, state.master, &fake->domain->domain, IOMMU_NO_PASID);
	iommu_attach_set_aside(&state.master->endpoint);
	arm_smmu_attach_done(&state);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&state.master->endpoint));
	state.ats_disabled = true;
	arm_smmu_attach_done(&state);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&state.master->endpoint));
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, LEAVES), 1);
	flush_test_free(fake);
}

static void flush_test_write_ste(struct arm_smmu_master *master)
{
	struct arm_smmu_ste ste = {};

	ste.data[0] = cpu_to_le64(STRTAB_STE_0_V |
				  FIELD_PREP(STRTAB_STE_0_CFG, STRTAB_STE_0_CFG_S2_TRANS));
	ste.data[1] = cpu_to_le64(FIELD_PREP(STRTAB_STE_1_EATS, STRTAB_STE_1_EATS_TRANS));
	arm_smmu_install_ste_for_dev(master, &ste);
}

static bool flush_test_eats(struct fake *fake, u32 sid)
{
	return fake->smmu.strtab_cfg.linear.table[sid].data[1] & cpu_to_le64(STRTAB_STE_1_EATS);
}

/* In the other queue, from a slot on */
static unsigned int flush_test_ops(struct fake *fake, u32 from, u8 opcode)
{
	unsigned int count = 0;
	u64 word;

	for (; from < fake->other_reg; from++) {
		word = le64_to_cpu(Q_ENT(&fake->other.q, from)[0]);
		count += FIELD_GET(CMDQ_0_OP, word) == opcode;
	}
	return count;
}

/* The SMMU does not execute a command. It is sent again, with what comes with it. */
static void flush_test_refused(struct kunit *test)
{
	static const u8 ops[] = { CMDQ_OP_TLBI_NH_VA, CMDQ_OP_ATC_INV };
	struct fake *fake;
	u32 from;
	int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		fake = flush_test_named(test, i ? "arm-smmu-v3-other" : "arm-smmu-v3-flush");
		flush_test_attach(test, fake, STAYS);
		fake->smmu.impl_ops = &flush_test_illegal_commands;
		fake->refused = ops[i];
		flush_test_flush(fake);
		KUNIT_EXPECT_EQ(test, flush_test_ops(fake, 0, ops[i]), 1);

		/* Not of this flush */
		flush_test_refuse(fake, 0);
		from = fake->other_reg;
		flush_test_flush(fake);
		KUNIT_EXPECT_EQ(test, fake->other_reg, 2 * from);

		from = fake->other_reg;
		fake->refusals = 2;
		flush_test_flush(fake);
		KUNIT_EXPECT_EQ(test, fake->refusals, 0);
		KUNIT_EXPECT_EQ(test, flush_test_ops(fake, from, ops[i]), 1);
		KUNIT_EXPECT_GT(test, fake->other_reg, 3 * from / 2);

		/* It never does: the flush gives up, and says so. */
		from = fake->other_reg;
		fake->refusals = INT_MAX;
		flush_test_flush(fake);
		KUNIT_EXPECT_EQ(test, flush_test_ops(fake, from, ops[i]), 0);
		KUNIT_EXPECT_LT(test, fake->other_reg, 1 << QUEUE_SHIFT);
		flush_test_free(fake);
	}
}

static unsigned int flush_test_cfgis(struct fake *fake, u32 sid)
{
	return flush_test_sent(fake, CMDQ_OP_CFGI_STE, CMDQ_CFGI_0_SID, sid);
}

/* One of several devices does not answer. It is found, and nobody else pays for it later. */
static void flush_test_silent(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *leaves = flush_test_master(test, fake, LEAVES, 1);
	struct arm_smmu_master *stays;
	unsigned int asked, cfgis, nr = 3, i;

	for (i = 0; i < nr; i++) {
		flush_test_attach(test, fake, STAYS + i);
		flush_test_write_ste(flush_test_master(test, fake, STAYS + i, 1));
	}
	flush_test_attach(test, fake, LEAVES);
	flush_test_write_ste(leaves);
	cfgis = flush_test_cfgis(fake, LEAVES);
	fake->smmu.impl_ops = &flush_test_silent_device;
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_asked(fake, LEAVES), 1);

	/* All are asked at once, and then each by itself. */
	fake->silent = LEAVES;
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, fake->other.nr_atc_errors, 2);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&leaves->endpoint));
	for (i = 0; i < nr; i++) {
		stays = flush_test_master(test, fake, STAYS + i, 1);
		KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&stays->endpoint));
		KUNIT_EXPECT_TRUE(test, flush_test_eats(fake, STAYS + i));
	}
	/* What it has cached is refused, from now on and whoever writes the STE. */
	KUNIT_EXPECT_FALSE(test, flush_test_eats(fake, LEAVES));
	KUNIT_EXPECT_EQ(test, flush_test_cfgis(fake, LEAVES), cfgis + 1);
	flush_test_write_ste(leaves);
	KUNIT_EXPECT_FALSE(test, flush_test_eats(fake, LEAVES));
	KUNIT_EXPECT_EQ(test, flush_test_cfgis(fake, LEAVES), cfgis + 1);

	asked = flush_test_asked(fake, LEAVES);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_asked(fake, LEAVES), asked);
	KUNIT_EXPECT_EQ(test, fake->other.nr_atc_errors, 2);
	KUNIT_EXPECT_EQ(test, flush_test_asked(fake, STAYS), 4);
	KUNIT_EXPECT_EQ(test, flush_test_cfgis(fake, LEAVES), cfgis + 1);

	/* ATS is turned on in it anew. */
	fake->silent = 0;
	iommu_attach_resume(&leaves->endpoint);
	flush_test_write_ste(leaves);
	KUNIT_EXPECT_TRUE(test, flush_test_eats(fake, LEAVES));
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_asked(fake, LEAVES), asked + 1);
	flush_test_free(fake);
}

/* A wait takes too long, since something else holds up the queue: once more all the same. */
static void flush_test_repeat_late(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *master = flush_test_master(test, fake, STAYS, 1);
	struct arm_smmu_cmdq *cmdq = &fake->smmu.cmdq;
	unsigned int cfgis;
	u32 cons;

	flush_test_write_ste(master);
	fake->smmu.strtab_cfg.linear.table[STAYS].data[1] = 0;
	cfgis = flush_test_cfgis(fake, STAYS);
	cons = fake->reg;
	cmdq->q.cons_reg = (u32 __iomem *)&cons;
	static_branch_enable(&arm_smmu_erratum_repeat_tlbi_cfgi_key);
	flush_test_write_ste(master);
	static_branch_disable(&arm_smmu_erratum_repeat_tlbi_cfgi_key);
	cmdq->q.cons_reg = cmdq->q.prod_reg;
	KUNIT_EXPECT_EQ(test, flush_test_cfgis(fake, STAYS), cfgis + 2);
	flush_test_free(fake);
}

/* The SMMU waits at the CMD_SYNC behind the ATC_INV for the silent device, with no end. */
static struct arm_smmu_cmdq *flush_test_wait_for_silent(struct arm_smmu_device *smmu, u16 index)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);
	struct arm_smmu_queue *q = &fake->other.q;
	u64 word;
	u32 i;

	for (i = fake->asked; i < fake->other_reg; i++) {
		word = le64_to_cpu(Q_ENT(q, i)[0]);
		if (FIELD_GET(CMDQ_0_OP, word) == CMDQ_OP_ATC_INV &&
		    FIELD_GET(CMDQ_ATC_0_SID, word) == fake->silent)
			break;
	}
	while (i < fake->other_reg &&
	       FIELD_GET(CMDQ_0_OP, le64_to_cpu(Q_ENT(q, i)[0])) != CMDQ_OP_CMD_SYNC)
		i++;
	fake->held_at = i;
	q->cons_reg = (u32 __iomem *)&fake->held_at;
	return &fake->other;
}

static const struct arm_smmu_impl_ops flush_test_slow_device = {
	.get_secondary_cmdq = flush_test_atc_queue,
	.secondary_cmdq = flush_test_wait_for_silent,
};

/*
 * The SMMU waits for a device for longer than the driver does. Among several, the next flush
 * finds it, which has one CMD_SYNC for each.
 */
static void flush_test_silent_slow(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *leaves = flush_test_master(test, fake, LEAVES, 1);
	struct arm_smmu_master *stays = flush_test_master(test, fake, STAYS, 1);
	int i;

	flush_test_attach(test, fake, LEAVES);
	flush_test_attach(test, fake, STAYS);
	flush_test_write_ste(leaves);
	fake->smmu.impl_ops = &flush_test_slow_device;
	fake->silent = LEAVES;
	for (i = 0; i < 2; i++) {
		fake->asked = fake->other_reg;
		flush_test_flush(fake);
		KUNIT_EXPECT_EQ(test, iommu_attach_is_aside(&leaves->endpoint), i);
		KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&stays->endpoint));
		/* It has timed out at last. */
		fake->other.q.cons_reg = fake->other.q.prod_reg;
	}
	KUNIT_EXPECT_FALSE(test, flush_test_eats(fake, LEAVES));
	/* Two at once, and then one after the other */
	KUNIT_EXPECT_EQ(test, fake->other_reg, 3 + 4);

	/* It is found: the others have one CMD_SYNC again. */
	flush_test_attach(test, fake, COMES);
	fake->asked = fake->other_reg;
	fake->silent = 0;
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, fake->other_reg, 3 + 4 + 3);
	KUNIT_EXPECT_EQ(test, flush_test_asked(fake, LEAVES), 2);
	flush_test_free(fake);
}

#define FIRST_MS	800
#define SECOND_MS	600

/* The first ATC_INV takes long, the next one a bit less, the SMMU both of them. */
static struct arm_smmu_cmdq *flush_test_wait_for_each(struct arm_smmu_device *smmu, u16 index)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);
	s64 ms;

	if (!fake->began)
		fake->began = ktime_get();
	ms = ktime_ms_delta(ktime_get(), fake->began);
	/* At the CMD_SYNC of one, of the other, or behind both */
	fake->held_at = 1;
	if (ms >= FIRST_MS)
		fake->held_at = 3;
	if (ms >= FIRST_MS + SECOND_MS)
		fake->held_at = 4;
	fake->other.q.cons_reg = (u32 __iomem *)&fake->held_at;
	return &fake->other;
}

static const struct arm_smmu_impl_ops flush_test_slow_devices = {
	.get_secondary_cmdq = flush_test_atc_queue,
	.secondary_cmdq = flush_test_wait_for_each,
};

/* Who is asked when a second has passed has not been silent for a second. */
static void flush_test_slow_ahead(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *leaves = flush_test_master(test, fake, LEAVES, 1);
	struct arm_smmu_master *stays = flush_test_master(test, fake, STAYS, 1);

	flush_test_attach(test, fake, LEAVES);
	flush_test_attach(test, fake, STAYS);
	fake->smmu.impl_ops = &flush_test_slow_devices;
	fake->other.unnamed = true;
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, fake->other_reg, 4);
	KUNIT_EXPECT_EQ(test, fake->held_at, 4);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&leaves->endpoint));
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&stays->endpoint));
	flush_test_free(fake);
}

/* Somebody else has set it aside, and is not so far as to have it refused. */
static void flush_test_silent_late(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *leaves = flush_test_master(test, fake, LEAVES, 1);

	flush_test_attach(test, fake, LEAVES);
	flush_test_write_ste(leaves);
	iommu_attach_set_aside(&leaves->endpoint);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, LEAVES), 0);
	KUNIT_EXPECT_FALSE(test, flush_test_eats(fake, LEAVES));
	flush_test_free(fake);
}

/* It does not answer what a detach sends: no flush would tell. */
static void flush_test_silent_detach(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *leaves = flush_test_master(test, fake, LEAVES, 1);
	unsigned int sync, i;

	flush_test_write_ste(leaves);
	for (i = 0; i < 2; i++) {
		/* With ATS off it need not answer. */
		leaves->ats_on = i;
		sync = fake->reg + 1;
		fake->smmu.cmdq.atc_errors[sync].number = sync | BIT(31);
		arm_smmu_atc_inv_master(leaves, IOMMU_NO_PASID);
		KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, LEAVES), i + 1);
		KUNIT_EXPECT_EQ(test, iommu_attach_is_aside(&leaves->endpoint), i);
		KUNIT_EXPECT_EQ(test, flush_test_eats(fake, LEAVES), !i);
	}
	/* It is not asked again. */
	arm_smmu_atc_inv_master(leaves, IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, LEAVES), 2);
	flush_test_free(fake);
}

/* Another device did not answer before a CMD_SYNC: what else is ahead of it has been executed. */
static void flush_test_silent_other(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_cmdq *cmdq = &fake->smmu.cmdq;
	struct arm_smmu_cmd cmds[2];
	unsigned int asks, n;
	u32 sync, number;

	cmds[0] = arm_smmu_make_cmd_cfgi_ste(STAYS, true);
	cmds[1] = arm_smmu_make_cmd_atc_inv_all(STAYS, IOMMU_NO_PASID);
	for (asks = 0; asks <= 1; asks++) {
		n = 1 + asks;
		sync = fake->reg + n;
		cmdq->atc_errors[sync].number = sync | BIT(31);
		KUNIT_EXPECT_EQ(test, arm_smmu_cmdq_issue_sync(&fake->smmu, cmdq, cmds, n, &number),
				asks ? -ETIMEDOUT : 0);
		KUNIT_EXPECT_EQ(test, number, sync + 1);
	}
	flush_test_free(fake);
}

/* All its streams have one CMD_SYNC, or one for each batch. */
static void flush_test_detach_streams(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	const unsigned int nr = CMDQ_BATCH_ENTRIES + 10;
	u32 reg;
	int i;

	arm_smmu_atc_inv_master(flush_test_master(test, fake, STAYS, 3), IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, fake->reg, 3 + 1);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, 3), CMDQ_OP_CMD_SYNC);

	reg = fake->reg;
	arm_smmu_atc_inv_master(flush_test_master(test, fake, COMES, nr), IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, fake->reg, reg + nr + 2);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, STAYS + i), 1);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, flush_test_atcs(fake, COMES + i), 1);
	flush_test_free(fake);
}

/* If the SMMU names it, it is asked once. */
static void flush_test_silent_named(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *leaves = flush_test_master(test, fake, LEAVES, 1);

	flush_test_attach(test, fake, LEAVES);
	fake->smmu.impl_ops = &flush_test_silent_device;
	flush_test_flush(fake);
	fake->silent = LEAVES;
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_asked(fake, LEAVES), 2);
	KUNIT_EXPECT_EQ(test, fake->other.nr_atc_errors, 1);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&leaves->endpoint));
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_asked(fake, LEAVES), 2);
	flush_test_free(fake);
}

/* ATS is about to be enabled, or has just been disabled: the device need not answer. */
static void flush_test_silent_off(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *comes = flush_test_master(test, fake, COMES, 1);

	comes->ats_on = false;
	flush_test_attach(test, fake, COMES);
	flush_test_write_ste(comes);
	fake->smmu.impl_ops = &flush_test_silent_device;
	flush_test_flush(fake);
	fake->silent = COMES;
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, fake->other.nr_atc_errors, 1);
	KUNIT_EXPECT_EQ(test, flush_test_asked(fake, COMES), 2);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&comes->endpoint));
	KUNIT_EXPECT_TRUE(test, flush_test_eats(fake, COMES));
	flush_test_free(fake);
}

/* Far more commands of others than a cookie counts, between two batches of a flush */
static bool flush_test_others(struct arm_smmu_cmd *cmd)
{
	struct arm_smmu_cmdq *cmdq = flush_test_busy;
	u32 prod = READ_ONCE(cmdq->q.llq.prod), sync = prod - 1;
	const u32 others = BIT(20);	/* The indices are as before. */

	if (!prod || prod >= others)
		return true;
	/* The first batch has been executed, and a device did not answer. */
	cmdq->atc_errors[sync].sid = STAYS;
	cmdq->atc_errors[sync].named = true;
	cmdq->atc_errors[sync].number = sync | BIT(31);
	cmdq->nr_atc_errors++;
	cmdq->q.llq.cons = prod + others;
	cmdq->q.llq.prod = prod + others;
	atomic_set(&cmdq->owner_prod, prod + others);
	return true;
}

/* The flush finds that, or asks each device by itself. */
static void flush_test_silent_long_ago(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	const unsigned int nr = CMDQ_BATCH_ENTRIES + 10;
	unsigned int i;

	flush_test_add(test, flush_test_master(test, fake, STAYS, nr), &fake->domain->domain,
		       IOMMU_NO_PASID, true);
	fake->smmu.impl_ops = &flush_test_silent_device;
	fake->other.supports_cmd = flush_test_others;
	flush_test_busy = &fake->other;
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, fake->other.nr_atc_errors, 1);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, flush_test_asked(fake, STAYS + i), 2);
	flush_test_free(fake);
}

/* The queue is held up ahead of a detach: by another device, not by the one that is detached. */
static void flush_test_held_detach(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *leaves = flush_test_master(test, fake, LEAVES, 1);
	struct arm_smmu_cmdq *cmdq = &fake->smmu.cmdq;
	u32 cons, at;

	flush_test_write_ste(leaves);
	for (at = 0; at <= 1; at++) {
		/* Ahead of its ATC_INV, or at the CMD_SYNC behind that */
		cons = fake->reg + at;
		cmdq->q.cons_reg = (u32 __iomem *)&cons;
		arm_smmu_atc_inv_master(leaves, IOMMU_NO_PASID);
		KUNIT_EXPECT_EQ(test, iommu_attach_is_aside(&leaves->endpoint), at);
		/* It has just come to the CMD_SYNC. */
		if (!at)
			KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_unanswered(cmdq, ++cons + 1));
		cmdq->q.cons_reg = cmdq->q.prod_reg;
	}
	KUNIT_EXPECT_FALSE(test, flush_test_eats(fake, LEAVES));
	/* It has completed after all, or the SMMU has reported an error. */
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_unanswered(cmdq, cons + 1));
	cmdq->atc_errors[cons].number = cons | BIT(31);
	KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_unanswered(cmdq, cons + 1));
	flush_test_free(fake);
}

/*
 * Several SMMUs
 */

static struct arm_smmu_cmdq *flush_test_one_of_two(struct arm_smmu_device *smmu,
						   struct arm_smmu_cmd *cmd)
{
	return &container_of(smmu, struct fake, smmu)->other;
}

static struct arm_smmu_cmdq *flush_test_wait_for_one(struct arm_smmu_device *smmu, u16 index)
{
	struct fake *fake = container_of(smmu, struct fake, smmu);

	if (!fake->peer_sent)
		fake->peer_sent = fake->peer->other_reg;
	return &fake->other;
}

static const struct arm_smmu_impl_ops flush_test_two_smmus = {
	.get_secondary_cmdq = flush_test_one_of_two,
	.secondary_cmdq = flush_test_wait_for_one,
};

/* Both are sent to before the first one is waited for; one that has gone gets nothing. */
static void flush_test_shared(struct kunit *test)
{
	struct fake *fake[2];
	u32 reg;
	int i;

	fake[0] = flush_test_fake(test);
	fake[1] = flush_test_named(test, "arm-smmu-v3-other");
	for (i = 0; i < 2; i++) {
		fake[i]->peer = fake[!i];
		fake[i]->smmu.impl_ops = &flush_test_two_smmus;
		flush_test_add(test, flush_test_master(test, fake[i], STAYS + i, 1),
			       &fake[0]->domain->domain, IOMMU_NO_PASID, true);
	}
	flush_test_flush(fake[0]);
	for (i = 0; i < 2; i++) {
		/* TLBI and ATC_INV, a CMD_SYNC each */
		KUNIT_EXPECT_EQ(test, fake[i]->other_reg, 4);
		KUNIT_EXPECT_EQ(test, fake[i]->peer_sent, 2);
		KUNIT_EXPECT_EQ(test, flush_test_asked(fake[i], STAYS + i), 1);
	}

	/* The tag is cleared where the last one goes, and nowhere else. */
	reg = fake[0]->other_reg;
	flush_test_del(test, fake[1]->masters[0], &fake[0]->domain->domain, IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, fake[1]->other_reg, 6);
	KUNIT_EXPECT_EQ(test, fake[0]->other_reg, reg);
	flush_test_flush(fake[0]);
	KUNIT_EXPECT_EQ(test, fake[1]->other_reg, 6);
	KUNIT_EXPECT_EQ(test, fake[0]->other_reg, reg + 4);
	for (i = 1; i >= 0; i--)
		flush_test_free(fake[i]);
}

/* A domain goes behind another SMMU if that can do all that its page table asks for. */
static void flush_test_fits(struct kunit *test)
{
	const u32 features = ARM_SMMU_FEAT_TRANS_S1 | ARM_SMMU_FEAT_COHERENCY | ARM_SMMU_FEAT_HD |
			     ARM_SMMU_FEAT_VAX | ARM_SMMU_FEAT_SVA;
	const u32 features2 = ARM_SMMU_FEAT_TRANS_S2 | ARM_SMMU_FEAT_COHERENCY |
			      ARM_SMMU_FEAT_NESTING | ARM_SMMU_FEAT_S2FWB;
	struct fake *other = flush_test_named(test, "arm-smmu-v3-other");
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_domain *domain = fake->domain;
	struct arm_smmu_device *smmu = &other->smmu;
	struct io_pgtable *pgtable = kunit_kzalloc(test, sizeof(*pgtable), GFP_KERNEL);
	u32 without;

	KUNIT_ASSERT_NOT_NULL(test, pgtable);
	domain->pgtbl_ops = &pgtable->ops;
	pgtable->cfg.pgsize_bitmap = SZ_4K | SZ_2M;
	pgtable->cfg.ias = 52;
	pgtable->cfg.oas = 44;
	pgtable->cfg.coherent_walk = true;
	pgtable->cfg.quirks = IO_PGTABLE_QUIRK_ARM_HD;
	smmu->features = features;
	smmu->pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G;
	smmu->oas = 48;
	smmu->asid_bits = 8;

	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), 0);
	/* Each of them is needed, but for SVA. */
	for (without = 1; without && without <= features; without <<= 1) {
		smmu->features = features & ~without;
		KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu),
				features & without & ~ARM_SMMU_FEAT_SVA ? -EINVAL : 0);
	}
	smmu->features = features;
	smmu->pgsize_bitmap = SZ_4K;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), -EINVAL);
	smmu->pgsize_bitmap = SZ_4K | SZ_2M;
	smmu->oas = 40;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), -EINVAL);
	smmu->oas = 44;
	pgtable->cfg.coherent_walk = false;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), -EINVAL);
	pgtable->cfg.coherent_walk = true;
	domain->cd.asid = 256;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), -EINVAL);
	domain->cd.asid = 255;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), 0);

	domain->stage = ARM_SMMU_DOMAIN_SVA;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), 0);
	smmu->features = features & ~ARM_SMMU_FEAT_SVA;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), -EINVAL);

	/* And for stage 2, of which dirty tracking is not asked. */
	domain->stage = ARM_SMMU_DOMAIN_S2;
	domain->nest_parent = true;
	pgtable->cfg.ias = 44;
	pgtable->cfg.quirks = IO_PGTABLE_QUIRK_ARM_S2FWB;
	smmu->features = features2;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), 0);
	for (without = 1; without && without <= features2; without <<= 1) {
		smmu->features = features2 & ~without;
		KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu),
				features2 & without ? -EINVAL : 0);
	}
	/* A nest must not go without what its SMMU has, either. */
	smmu->features = features2;
	pgtable->cfg.quirks = 0;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), -EINVAL);
	smmu->features = features2 & ~ARM_SMMU_FEAT_S2FWB;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), 0);
	pgtable->cfg.quirks = IO_PGTABLE_QUIRK_ARM_S2FWB;
	smmu->features = features2;
	pgtable->cfg.ias = 48;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), -EINVAL);
	pgtable->cfg.ias = 44;
	smmu->pgsize_bitmap = SZ_4K;
	KUNIT_EXPECT_EQ(test, arm_smmu_domain_check(domain, smmu), -EINVAL);
	flush_test_free(other);
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
	if (to)
		flush_test_add(nest->test, &nest->master, to, IOMMU_NO_PASID, true);
	if (from)
		flush_test_del(nest->test, &nest->master, from, IOMMU_NO_PASID);
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

/* Which of the two tags are flushed, and the ATC for each */
static void nest_test_unmap(struct nest_test *nest, unsigned int own, unsigned int nested)
{
	struct kunit *test = nest->test;
	u32 first = nest->fake->reg;

	arm_smmu_domain_inv_range(nest->fake->domain, SZ_1M, SZ_4K, SZ_4K, true);
	KUNIT_EXPECT_GT(test, nest->fake->reg, first);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_TLBI_S2_IPA,
					      CMDQ_TLBI_0_VMID, VMID), own);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_TLBI_S2_IPA,
					      CMDQ_TLBI_0_VMID, VTAG), nested);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_TLBI_NH_ALL,
					      CMDQ_TLBI_0_VMID, VTAG), nested);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_TLBI_NH_ALL,
					      CMDQ_TLBI_0_VMID, VMID), 0);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_ATC_INV,
					      CMDQ_ATC_0_SID, STAYS), own + nested);
	KUNIT_EXPECT_EQ(test, nest_test_sent(nest, CMDQ_OP_ATC_INV, true), nested);
}

/* The last one with a tag goes: of the two, this one is cleared. */
static void nest_test_leave(struct nest_test *nest, struct iommu_domain *from,
			    struct iommu_domain *to, u16 tag)
{
	struct kunit *test = nest->test;

	nest_test_move(nest, from, to);
	KUNIT_EXPECT_EQ(test, flush_test_sent(nest->fake, CMDQ_OP_TLBI_S12_VMALL,
					      CMDQ_TLBI_0_VMID, tag), 1);
	KUNIT_EXPECT_EQ(test, nest_test_sent(nest, CMDQ_OP_TLBI_S12_VMALL, false), 1);
}

static void nest_test_run(struct nest_test *nest)
{
	struct iommu_domain *parent = &nest->fake->domain->domain;
	struct iommu_domain *nested = &nest->nested.domain;

	/* On the parent itself */
	nest_test_move(nest, NULL, parent);
	nest_test_unmap(nest, 1, 0);
	/* In a nest */
	nest_test_leave(nest, parent, nested, VMID);
	nest_test_unmap(nest, 0, 1);
	/* And by itself, as another device of the parent would be */
	nest_test_move(nest, NULL, parent);
	nest_test_unmap(nest, 1, 1);

	/* The last nest goes, and leaves nothing of its own. */
	nest_test_leave(nest, nested, NULL, VTAG);
	nest_test_unmap(nest, 1, 0);
	nest_test_leave(nest, parent, NULL, VMID);
}

/* What is made from S2 entries goes behind a CMD_SYNC; the flush waits for the last one only. */
static void nest_test_order(struct nest_test *nest)
{
	struct fake *fake = nest->fake;
	struct kunit *test = nest->test;
	u32 first;
	int i;

	nest_test_move(nest, NULL, &nest->nested.domain);
	first = fake->reg;
	arm_smmu_domain_inv_range(fake->domain, SZ_1M, SZ_4K, SZ_4K, true);
	KUNIT_ASSERT_EQ(test, fake->reg, first + 6);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, first), CMDQ_OP_TLBI_S2_IPA);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, first + 1), CMDQ_OP_CMD_SYNC);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, first + 2), CMDQ_OP_TLBI_NH_ALL);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, first + 3), CMDQ_OP_CMD_SYNC);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, first + 4), CMDQ_OP_ATC_INV);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, first + 5), CMDQ_OP_CMD_SYNC);

	/* Everything: the two stages at once */
	first = fake->reg;
	arm_smmu_domain_inv(fake->domain);
	KUNIT_ASSERT_EQ(test, fake->reg, first + 4);
	KUNIT_EXPECT_EQ(test, flush_test_op(fake, first), CMDQ_OP_TLBI_S12_VMALL);

	/* With the erratum, each stage twice, one after the other */
	first = fake->reg;
	static_branch_enable(&arm_smmu_erratum_repeat_tlbi_cfgi_key);
	arm_smmu_domain_inv_range(fake->domain, SZ_1M, SZ_4K, SZ_4K, true);
	static_branch_disable(&arm_smmu_erratum_repeat_tlbi_cfgi_key);
	KUNIT_ASSERT_EQ(test, fake->reg, first + 10);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, flush_test_op(fake, first + 2 * i),
				i < 2 ? CMDQ_OP_TLBI_S2_IPA : CMDQ_OP_TLBI_NH_ALL);
		KUNIT_EXPECT_EQ(test, flush_test_op(fake, first + 2 * i + 1), CMDQ_OP_CMD_SYNC);
	}
	nest_test_move(nest, &nest->nested.domain, NULL);
	KUNIT_EXPECT_FALSE(test, nest->vsmmu.kept);
}

/* Nor is the VMID of a vSMMU used again if the SMMU may still have something under it. */
static void nest_test_kept(struct nest_test *nest)
{
	struct arm_smmu_queue *q = &nest->fake->smmu.cmdq.q;
	u32 cons = nest->fake->reg;

	nest_test_move(nest, NULL, &nest->nested.domain);
	q->cons_reg = (u32 __iomem *)&cons;
	nest_test_move(nest, &nest->nested.domain, NULL);
	q->cons_reg = q->prod_reg;
	KUNIT_EXPECT_TRUE(nest->test, nest->vsmmu.kept);
	KUNIT_EXPECT_TRUE(nest->test, nest->fake->domain->kept);
}

static void flush_test_nest_parent(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct nest_test *nest = kunit_kzalloc(test, sizeof(*nest), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, nest);
	fake->domain->stage = ARM_SMMU_DOMAIN_S2;
	fake->domain->nest_parent = true;
	nest->test = test;
	nest->fake = fake;
	nest->vsmmu.smmu = &fake->smmu;
	nest->vsmmu.s2_parent = fake->domain;
	nest->vsmmu.vmid = VTAG;
	nest->nested.domain.type = IOMMU_DOMAIN_NESTED;
	nest->nested.vsmmu = &nest->vsmmu;
	nest->stream.id = STAYS;
	flush_test_init_master(fake, &nest->master, &nest->stream, 1);
	nest_test_run(nest);
	nest_test_order(nest);
	nest_test_kept(nest);
	flush_test_free(fake);
}

/* A VMID is the domain's while something is attached with it, on this SMMU. */
static void flush_test_vmid(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_domain *domain = fake->domain;
	struct arm_smmu_master *master = flush_test_master(test, fake, STAYS, 1);
	struct arm_smmu_master *other = flush_test_master(test, fake, COMES, 1);
	struct arm_smmu_master_domain *refused;

	domain->stage = ARM_SMMU_DOMAIN_S2;
	/* All but the last one are somebody else's. */
	fake->smmu.vmid_bits = 2;
	KUNIT_ASSERT_EQ(test, arm_smmu_vmid_alloc(&fake->smmu), 1);
	KUNIT_ASSERT_EQ(test, arm_smmu_vmid_alloc(&fake->smmu), 2);

	flush_test_add(test, master, &domain->domain, IOMMU_NO_PASID, false);
	flush_test_add(test, other, &domain->domain, IOMMU_NO_PASID, false);
	flush_test_flush(fake);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_S2_IPA, CMDQ_TLBI_0_VMID, 3), 1);
	KUNIT_EXPECT_EQ(test, arm_smmu_vmid_alloc(&fake->smmu), -ENOSPC);
	flush_test_del(test, master, &domain->domain, IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, arm_smmu_vmid_alloc(&fake->smmu), -ENOSPC);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_S12_VMALL,
					      CMDQ_TLBI_0_VMID, 3), 0);

	/* It comes back clean, and an attach that cannot have one leaves nothing. */
	flush_test_del(test, other, &domain->domain, IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_S12_VMALL,
					      CMDQ_TLBI_0_VMID, 3), 1);
	KUNIT_EXPECT_EQ(test, arm_smmu_vmid_alloc(&fake->smmu), 3);
	mutex_lock(&arm_smmu_asid_lock);
	refused = arm_smmu_master_domain_alloc(master, &domain->domain, IOMMU_NO_PASID);
	KUNIT_ASSERT_NOT_NULL(test, refused);
	KUNIT_EXPECT_EQ(test, arm_smmu_master_domain_add(refused, false), -ENOSPC);
	KUNIT_EXPECT_NULL(test, arm_smmu_find_master_domain(master, &domain->domain,
							    IOMMU_NO_PASID));
	mutex_unlock(&arm_smmu_asid_lock);
	kfree(refused);
	flush_test_free(fake);
}

/* The SMMU does not execute the TLBI of a detach, or the CFGI_STE: the VMID is not used again. */
static void flush_test_kept(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *master = flush_test_master(test, fake, STAYS, 1);
	struct arm_smmu_domain *domain = fake->domain;
	struct arm_smmu_cmdq *cmdq = &fake->smmu.cmdq;
	struct arm_smmu_ste *ste = &fake->smmu.strtab_cfg.linear.table[STAYS];
	int i, vmid;
	u32 cons;

	domain->stage = ARM_SMMU_DOMAIN_S2;
	flush_test_write_ste(master);
	for (i = 0; i < 3; i++) {
		domain->kept = false;
		flush_test_add(test, master, &domain->domain, IOMMU_NO_PASID, false);
		cons = fake->reg;
		if (i)
			cmdq->q.cons_reg = (u32 __iomem *)&cons;
		if (i == 2) {
			ste->data[1] = 0;
			flush_test_write_ste(master);
			cmdq->q.cons_reg = cmdq->q.prod_reg;
		}
		flush_test_del(test, master, &domain->domain, IOMMU_NO_PASID);
		cmdq->q.cons_reg = cmdq->q.prod_reg;
		KUNIT_EXPECT_EQ(test, domain->kept, !!i);
		KUNIT_EXPECT_EQ(test, master->keep_cd_table, i == 2);
		/* The one that is free has the number of those that are not. */
		vmid = arm_smmu_vmid_alloc(&fake->smmu);
		KUNIT_EXPECT_EQ(test, vmid, i + 1);
		ida_free(&fake->smmu.vmid_map, vmid);
	}
	flush_test_free(fake);
}

/* A CFGI has failed before an attach began: that is not about the domain that goes. */
static void flush_test_kept_late(struct kunit *test)
{
	struct iommu_domain blocked = { .type = IOMMU_DOMAIN_BLOCKED };
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_attach_state state = {
		.old_domain = &fake->domain->domain,
		.master = flush_test_master(test, fake, STAYS, 1),
		.ssid = IOMMU_NO_PASID,
	};
	struct arm_smmu_cmdq *cmdq = &fake->smmu.cmdq;
	u32 cons = fake->reg;

	cmdq->q.cons_reg = (u32 __iomem *)&cons;
	flush_test_write_ste(state.master);
	cmdq->q.cons_reg = cmdq->q.prod_reg;
	KUNIT_EXPECT_TRUE(test, state.master->cfgi_failed);
	flush_test_add(test, state.master, state.old_domain, IOMMU_NO_PASID, false);

	mutex_lock(&arm_smmu_asid_lock);
	KUNIT_EXPECT_EQ(test, arm_smmu_attach_prepare(&state, &blocked), 0);
	mutex_unlock(&arm_smmu_asid_lock);
	flush_test_del(test, state.master, state.old_domain, IOMMU_NO_PASID);
	KUNIT_EXPECT_FALSE(test, fake->domain->kept);
	flush_test_free(fake);
}

/* Longer than a wait for a CMD_SYNC */
#define HELD_UP_LONG_MS	2500

static enum hrtimer_restart flush_test_go_on(struct hrtimer *timer)
{
	struct fake *fake = container_of(timer, struct fake, timer);

	WRITE_ONCE(fake->held_at, READ_ONCE(fake->reg));
	hrtimer_forward_now(timer, ms_to_ktime(1));
	return HRTIMER_RESTART;
}

/* Return: as arm_smmu_master_domain_add() */
static int flush_test_add_again(struct arm_smmu_master *master, struct iommu_domain *domain)
{
	struct arm_smmu_master_domain *master_domain;
	int ret = -ENOMEM;

	mutex_lock(&arm_smmu_asid_lock);
	master_domain = arm_smmu_master_domain_alloc(master, domain, IOMMU_NO_PASID);
	if (master_domain)
		ret = arm_smmu_master_domain_add(master_domain, true);
	mutex_unlock(&arm_smmu_asid_lock);
	if (ret && master_domain)
		kfree_rcu(master_domain, rcu);
	return ret;
}

/* A domain that has been kept is cleared when it comes back: it was unmapped from meanwhile. */
static void flush_test_kept_again(struct kunit *test)
{
	struct fake *fake = flush_test_fake(test);
	struct arm_smmu_master *master = flush_test_master(test, fake, STAYS, 1);
	struct arm_smmu_master *other = flush_test_master(test, fake, COMES, 1);
	struct iommu_domain *domain = &fake->domain->domain;
	struct arm_smmu_cmdq *cmdq = &fake->smmu.cmdq;
	const unsigned int timeout_s = arm_smmu_kept_timeout_s;

	fake->domain->kept = true;
	flush_test_add(test, master, domain, IOMMU_NO_PASID, true);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_ASID, CMDQ_TLBI_0_ASID, TAG),
			1);
	/* What is unmapped since then is flushed, though it may not be possible now. */
	flush_test_add(test, other, domain, IOMMU_NO_PASID, true);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake, CMDQ_OP_TLBI_NH_ASID, CMDQ_TLBI_0_ASID, TAG),
			1);
	flush_test_del(test, other, domain, IOMMU_NO_PASID);
	flush_test_del(test, master, domain, IOMMU_NO_PASID);

	/* A device holds up the queue. */
	fake->held_at = fake->reg;
	cmdq->q.cons_reg = (u32 __iomem *)&fake->held_at;
	hrtimer_setup(&fake->timer, flush_test_go_on, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	hrtimer_start(&fake->timer, ms_to_ktime(HELD_UP_LONG_MS), HRTIMER_MODE_REL);
	KUNIT_EXPECT_EQ(test, flush_test_add_again(master, domain), 0);
	hrtimer_cancel(&fake->timer);
	cmdq->q.cons_reg = cmdq->q.prod_reg;
	flush_test_del(test, master, domain, IOMMU_NO_PASID);

	/* If that has no end, the attach fails, and leaves nothing. */
	fake->held_at = fake->reg;
	cmdq->q.cons_reg = (u32 __iomem *)&fake->held_at;
	arm_smmu_kept_timeout_s = 1;
	KUNIT_EXPECT_EQ(test, flush_test_add_again(master, domain), -ETIMEDOUT);
	arm_smmu_kept_timeout_s = timeout_s;
	cmdq->q.cons_reg = cmdq->q.prod_reg;
	KUNIT_EXPECT_TRUE(test, list_empty(&master->attachments));
	KUNIT_EXPECT_TRUE(test, iommu_attach_empty(&fake->domain->alist));
	flush_test_free(fake);
}

/* Each SMMU has a VMID of its own for a domain. */
static void flush_test_shared_s2(struct kunit *test)
{
	struct arm_smmu_domain *domain;
	struct fake *fake[2];
	int i;

	fake[0] = flush_test_fake(test);
	fake[1] = flush_test_named(test, "arm-smmu-v3-other");
	domain = fake[0]->domain;
	domain->stage = ARM_SMMU_DOMAIN_S2;
	KUNIT_ASSERT_EQ(test, arm_smmu_vmid_alloc(&fake[1]->smmu), VMID);
	for (i = 0; i < 2; i++)
		flush_test_add(test, flush_test_master(test, fake[i], STAYS + i, 1),
			       &domain->domain, IOMMU_NO_PASID, false);
	flush_test_flush(fake[0]);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, fake[i]->reg, 2);
		KUNIT_EXPECT_EQ(test, flush_test_sent(fake[i], CMDQ_OP_TLBI_S2_IPA,
						      CMDQ_TLBI_0_VMID, VMID + i), 1);
	}
	/* One goes: there, and nowhere else, its VMID is cleared and free. */
	flush_test_del(test, fake[1]->masters[0], &domain->domain, IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, fake[0]->reg, 2);
	KUNIT_EXPECT_EQ(test, flush_test_sent(fake[1], CMDQ_OP_TLBI_S12_VMALL,
					      CMDQ_TLBI_0_VMID, VMID + 1), 1);
	KUNIT_EXPECT_EQ(test, arm_smmu_vmid_alloc(&fake[1]->smmu), VMID + 1);
	KUNIT_EXPECT_EQ(test, arm_smmu_vmid_alloc(&fake[0]->smmu), VMID + 1);
	for (i = 1; i >= 0; i--)
		flush_test_free(fake[i]);
}

static struct kunit_case flush_test_cases[] = {
	KUNIT_CASE(flush_test_fence),
	KUNIT_CASE(flush_test_after),
	KUNIT_CASE(flush_test_one_queue),
	KUNIT_CASE(flush_test_order),
	KUNIT_CASE(flush_test_many_atcs),
	KUNIT_CASE(flush_test_streams),
	KUNIT_CASE(flush_test_substreams),
	KUNIT_CASE(flush_test_again),
	KUNIT_CASE(flush_test_opcodes),
	KUNIT_CASE(flush_test_secondary),
	KUNIT_CASE(flush_test_unsupported),
	KUNIT_CASE(flush_test_forced),
	KUNIT_CASE(flush_test_repeat),
	KUNIT_CASE(flush_test_ats_off),
	KUNIT_CASE(flush_test_refused),
	KUNIT_CASE(flush_test_silent),
	KUNIT_CASE(flush_test_silent_named),
	KUNIT_CASE(flush_test_silent_long_ago),
	KUNIT_CASE(flush_test_silent_off),
	KUNIT_CASE(flush_test_held_detach),
	KUNIT_CASE(flush_test_silent_slow),
	KUNIT_CASE(flush_test_slow_ahead),
	KUNIT_CASE(flush_test_repeat_late),
	KUNIT_CASE(flush_test_silent_late),
	KUNIT_CASE(flush_test_detach_streams),
	KUNIT_CASE(flush_test_silent_detach),
	KUNIT_CASE(flush_test_silent_other),
	KUNIT_CASE(flush_test_shared),
	KUNIT_CASE(flush_test_fits),
	KUNIT_CASE(flush_test_nest_parent),
	KUNIT_CASE(flush_test_vmid),
	KUNIT_CASE(flush_test_kept),
	KUNIT_CASE(flush_test_kept_late),
	KUNIT_CASE(flush_test_kept_again),
	KUNIT_CASE(flush_test_shared_s2),
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
