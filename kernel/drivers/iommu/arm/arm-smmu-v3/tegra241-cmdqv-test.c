// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the queues of CMDQV, included by tegra241-cmdqv.c
 *
 * The register pages are memory, and the hardware is a timer: it enables what the driver enables,
 * and executes what is in the queues.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/hrtimer.h>

#define CMDQV_TEST_SHIFT	8
#define CMDQV_TEST_QUEUES	2
#define CMDQV_TEST_ASID		7
#define CMDQV_TEST_REGS		SZ_512K	/* all up to those of VINTF 0, and more */
#define CMDQV_TEST_TICK_NS	(100 * NSEC_PER_USEC)

struct cmdqv_test {
	struct tegra241_cmdqv cmdqv;
	struct hrtimer timer;
	bool guest;		/* HYP_OWN is wired to zero */
	unsigned int refusals;	/* number of commands to refuse */
};

static void cmdqv_test_enable(void __iomem *config, void __iomem *status)
{
	writel(readl(config) & BIT(0), status);
}

static void cmdqv_test_execute(struct cmdqv_test *fake, struct tegra241_vcmdq *vcmdq)
{
	struct tegra241_cmdqv *cmdqv = &fake->cmdqv;
	u32 prod = readl(REG_VCMDQ_PAGE0(vcmdq, PROD));
	u32 cons = readl(REG_VCMDQ_PAGE0(vcmdq, CONS));

	if (prod == cons || !vcmdq->enabled)
		return;
	if (fake->refusals) {
		fake->refusals--;
		writel(cons | FIELD_PREP(VCMDQ_CONS_ERR, CMDQ_ERR_CERROR_ILL_IDX),
		       REG_VCMDQ_PAGE0(vcmdq, CONS));
		writel(readl(REG_VCMDQ_PAGE0(vcmdq, GERROR)) ^ GERROR_CMDQ_ERR,
		       REG_VCMDQ_PAGE0(vcmdq, GERROR));
		writeq(BIT_ULL(vcmdq->lidx), REG_VINTF(vcmdq->vintf, LVCMDQ_ERR_MAP_64(0)));
		writel(BIT(0), REG_CMDQV(cmdqv, VINTF_ERR_MAP));
		tegra241_cmdqv_isr(0, cmdqv);
		writel(0, REG_CMDQV(cmdqv, VINTF_ERR_MAP));
		writeq(0, REG_VINTF(vcmdq->vintf, LVCMDQ_ERR_MAP_64(0)));
	}
	writel(prod, REG_VCMDQ_PAGE0(vcmdq, CONS));
}

static enum hrtimer_restart cmdqv_test_tick(struct hrtimer *timer)
{
	struct cmdqv_test *fake = container_of(timer, struct cmdqv_test, timer);
	struct tegra241_cmdqv *cmdqv = &fake->cmdqv;
	struct arm_smmu_queue *q = &cmdqv->smmu.cmdq.q;
	struct tegra241_vcmdq *vcmdq;
	struct tegra241_vintf *vintf;
	int lidx;

	/* Pairs with the release in tegra241_cmdqv_init_vintf(). */
	vintf = smp_load_acquire(&cmdqv->vintfs[0]);
	writel(readl(q->prod_reg), q->cons_reg);
	cmdqv_test_enable(REG_CMDQV(cmdqv, CONFIG), REG_CMDQV(cmdqv, STATUS));
	if (vintf) {
		if (fake->guest)
			writel(readl(REG_VINTF(vintf, CONFIG)) & ~VINTF_HYP_OWN,
			       REG_VINTF(vintf, CONFIG));
		cmdqv_test_enable(REG_VINTF(vintf, CONFIG), REG_VINTF(vintf, STATUS));
		for (lidx = 0; lidx < CMDQV_TEST_QUEUES; lidx++) {
			/* Pairs with the release in tegra241_vintf_alloc_lvcmdq(). */
			vcmdq = smp_load_acquire(&vintf->lvcmdqs[lidx]);
			if (!vcmdq)
				continue;
			cmdqv_test_enable(REG_VCMDQ_PAGE0(vcmdq, CONFIG),
					  REG_VCMDQ_PAGE0(vcmdq, STATUS));
			cmdqv_test_execute(fake, vcmdq);
		}
	}
	hrtimer_forward_now(timer, CMDQV_TEST_TICK_NS);
	return HRTIMER_RESTART;
}

static void cmdqv_test_exit(void *arg)
{
	struct cmdqv_test *fake = arg;

	hrtimer_cancel(&fake->timer);
	if (fake->cmdqv.vintfs[0])
		tegra241_cmdqv_remove_vintf(&fake->cmdqv, 0);
	ida_destroy(&fake->cmdqv.vintf_ids);
}

/* As after the probe */
static struct cmdqv_test *cmdqv_test_init(struct kunit *test, bool guest)
{
	struct cmdqv_test *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	struct tegra241_cmdqv *cmdqv;
	struct arm_smmu_device *smmu;

	KUNIT_ASSERT_NOT_NULL(test, fake);
	cmdqv = &fake->cmdqv;
	smmu = &cmdqv->smmu;
	fake->guest = guest;
	smmu->dev = kunit_device_register(test, "tegra241-cmdqv");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, smmu->dev);
	smmu->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	smmu->options = ARM_SMMU_OPT_TEGRA241_CMDQV;
	smmu->base = (void __iomem *)kunit_kzalloc(test, SZ_64K, GFP_KERNEL);
	cmdqv->dev = smmu->dev;
	cmdqv->base = (void __iomem *)kunit_kzalloc(test, CMDQV_TEST_REGS, GFP_KERNEL);
	cmdqv->vintfs = kunit_kcalloc(test, 1, sizeof(*cmdqv->vintfs), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, smmu->base && cmdqv->base && cmdqv->vintfs);
	cmdqv->num_vintfs = 1;
	cmdqv->num_vcmdqs = CMDQV_TEST_QUEUES;
	cmdqv->num_lvcmdqs_per_vintf = CMDQV_TEST_QUEUES;
	ida_init(&cmdqv->vintf_ids);
	KUNIT_ASSERT_EQ(test, arm_smmu_fence_init(smmu), 0);

	smmu->cmdq.q.llq.max_n_shift = CMDQV_TEST_SHIFT;
	KUNIT_ASSERT_EQ(test, arm_smmu_init_one_queue(smmu, &smmu->cmdq.q, smmu->base,
						      ARM_SMMU_CMDQ_PROD, ARM_SMMU_CMDQ_CONS,
						      CMDQ_ENT_DWORDS, "cmdq"), 0);
	KUNIT_ASSERT_EQ(test, arm_smmu_cmdq_init(smmu, &smmu->cmdq), 0);
	writel(FIELD_PREP(IDR1_CMDQS, CMDQV_TEST_SHIFT), smmu->base + ARM_SMMU_IDR1);

	hrtimer_setup(&fake->timer, cmdqv_test_tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	hrtimer_start(&fake->timer, CMDQV_TEST_TICK_NS, HRTIMER_MODE_REL_HARD);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, cmdqv_test_exit, fake), 0);
	KUNIT_ASSERT_EQ(test, tegra241_cmdqv_init_structures(smmu), 0);
	KUNIT_ASSERT_EQ(test, tegra241_cmdqv_hw_reset(smmu), 0);
	return fake;
}

static struct arm_smmu_cmdq *cmdqv_test_choose(struct cmdqv_test *fake, u8 opcode)
{
	struct arm_smmu_cmd cmd = arm_smmu_make_cmd_op(opcode);

	return fake->cmdqv.smmu.impl_ops->get_secondary_cmdq(&fake->cmdqv.smmu, &cmd);
}

/* A queue is found again by its index, unless it is the SMMU's own. */
static void cmdqv_test_index(struct kunit *test)
{
	struct cmdqv_test *fake = cmdqv_test_init(test, false);
	struct arm_smmu_device *smmu = &fake->cmdqv.smmu;
	struct tegra241_vintf *vintf = fake->cmdqv.vintfs[0];
	struct arm_smmu_cmdq *cmdq;
	int lidx;

	KUNIT_EXPECT_PTR_EQ(test, arm_smmu_cmdq_by_index(smmu, 0), &smmu->cmdq);
	for (lidx = 0; lidx < CMDQV_TEST_QUEUES; lidx++) {
		cmdq = &vintf->lvcmdqs[lidx]->cmdq;
		KUNIT_EXPECT_NE(test, cmdq->index, 0);
		KUNIT_EXPECT_PTR_EQ(test, arm_smmu_cmdq_by_index(smmu, cmdq->index), cmdq);
	}
	migrate_disable();
	cmdq = cmdqv_test_choose(fake, CMDQ_OP_TLBI_S2_IPA);
	lidx = smp_processor_id() % CMDQV_TEST_QUEUES;
	migrate_enable();
	KUNIT_EXPECT_PTR_EQ(test, cmdq, &vintf->lvcmdqs[lidx]->cmdq);

	/* A queue that is not enabled is not selected. */
	for (lidx = 0; lidx < CMDQV_TEST_QUEUES; lidx++)
		vintf->lvcmdqs[lidx]->enabled = false;
	KUNIT_EXPECT_NULL(test, cmdqv_test_choose(fake, CMDQ_OP_TLBI_NH_VA));
	for (lidx = 0; lidx < CMDQV_TEST_QUEUES; lidx++)
		vintf->lvcmdqs[lidx]->enabled = true;
	vintf->enabled = false;
	KUNIT_EXPECT_NULL(test, cmdqv_test_choose(fake, CMDQ_OP_TLBI_NH_VA));
	vintf->enabled = true;
	KUNIT_EXPECT_NOT_NULL(test, cmdqv_test_choose(fake, CMDQ_OP_TLBI_NH_VA));
}

/* In a guest, the queues take few commands. */
static void cmdqv_test_guest(struct kunit *test)
{
	static const struct {
		u8 opcode;
		bool taken;
	} ops[] = {
		{ CMDQ_OP_TLBI_NH_ASID, true }, { CMDQ_OP_TLBI_NH_VA, true },
		{ CMDQ_OP_ATC_INV, true }, { CMDQ_OP_TLBI_EL2_VA, false },
		{ CMDQ_OP_TLBI_S2_IPA, false }, { CMDQ_OP_CFGI_STE, false },
	};
	struct cmdqv_test *fake = cmdqv_test_init(test, true);
	int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		KUNIT_EXPECT_EQ(test, !!cmdqv_test_choose(fake, ops[i].opcode), ops[i].taken);
}

/* In all its queues, commands with this opcode, and for a CMD_SYNC with this signal */
static unsigned int cmdqv_test_count(struct cmdqv_test *fake, u8 opcode, u8 cs)
{
	unsigned int count = 0;
	struct arm_smmu_queue *q;
	int lidx, i;
	u64 word;

	for (lidx = 0; lidx < CMDQV_TEST_QUEUES; lidx++) {
		q = &fake->cmdqv.vintfs[0]->lvcmdqs[lidx]->cmdq.q;
		for (i = 0; i < readl(q->prod_reg); i++) {
			word = le64_to_cpu(Q_ENT(q, i)[0]);
			count += FIELD_GET(CMDQ_0_OP, word) == opcode &&
				 (opcode != CMDQ_OP_CMD_SYNC ||
				  FIELD_GET(CMDQ_SYNC_0_CS, word) == cs);
		}
	}
	return count;
}

/* A flush sends to one of them, waits there, and sends again what is refused there. */
static void cmdqv_test_flush(struct kunit *test)
{
	struct cmdqv_test *fake = cmdqv_test_init(test, false);
	struct arm_smmu_device *smmu = &fake->cmdqv.smmu;
	struct arm_smmu_master_domain *master_domain;
	struct arm_smmu_stream stream = { .id = 1 };
	struct tegra241_vcmdq *vcmdq;
	struct arm_smmu_master *master;
	struct arm_smmu_domain *domain;
	u32 own = readl(smmu->cmdq.q.prod_reg);
	unsigned int errors = 0;
	int ret, lidx;

	master = kunit_kzalloc(test, sizeof(*master), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, master);
	master->smmu = smmu;
	master->dev = smmu->dev;
	master->streams = &stream;
	master->num_streams = 1;
	INIT_LIST_HEAD(&master->attachments);
	iommu_attach_endpoint_init(&master->endpoint);
	domain = arm_smmu_domain_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	domain->domain.type = IOMMU_DOMAIN_UNMANAGED;
	domain->domain.pgsize_bitmap = SZ_4K;
	domain->cd.asid = CMDQV_TEST_ASID;
	mutex_lock(&arm_smmu_asid_lock);
	master_domain = arm_smmu_master_domain_alloc(master, &domain->domain, IOMMU_NO_PASID);
	ret = master_domain ? arm_smmu_master_domain_add(master_domain, false) : -ENOMEM;
	mutex_unlock(&arm_smmu_asid_lock);
	KUNIT_ASSERT_EQ(test, ret, 0);

	arm_smmu_domain_inv_range(domain, SZ_1M, 2 * SZ_4K, SZ_4K, true);
	KUNIT_EXPECT_EQ(test, cmdqv_test_count(fake, CMDQ_OP_TLBI_NH_VA, 0), 2);
	KUNIT_EXPECT_EQ(test, cmdqv_test_count(fake, CMDQ_OP_CMD_SYNC, CMDQ_SYNC_0_CS_NONE), 1);
	KUNIT_EXPECT_EQ(test, cmdqv_test_count(fake, CMDQ_OP_CMD_SYNC, CMDQ_SYNC_0_CS_SEV), 0);

	fake->refusals = 1;
	arm_smmu_domain_inv_range(domain, SZ_1M, 2 * SZ_4K, SZ_4K, true);
	/* A CMD_SYNC has replaced one. */
	KUNIT_EXPECT_EQ(test, cmdqv_test_count(fake, CMDQ_OP_TLBI_NH_VA, 0), 2 + 1 + 2);
	KUNIT_EXPECT_EQ(test, cmdqv_test_count(fake, CMDQ_OP_CMD_SYNC, CMDQ_SYNC_0_CS_NONE),
			1 + 2 + 1);
	for (lidx = 0; lidx < CMDQV_TEST_QUEUES; lidx++) {
		vcmdq = fake->cmdqv.vintfs[0]->lvcmdqs[lidx];
		errors += vcmdq->cmdq.nr_refused;
		KUNIT_EXPECT_EQ(test, readl(REG_VCMDQ_PAGE0(vcmdq, GERROR)),
				readl(REG_VCMDQ_PAGE0(vcmdq, GERRORN)));
	}
	KUNIT_EXPECT_EQ(test, errors, 1);
	KUNIT_EXPECT_EQ(test, readl(smmu->cmdq.q.prod_reg), own);

	mutex_lock(&arm_smmu_asid_lock);
	arm_smmu_master_domain_del(master_domain);
	mutex_unlock(&arm_smmu_asid_lock);
	arm_smmu_domain_free(domain);
}

static struct kunit_case cmdqv_test_cases[] = {
	KUNIT_CASE(cmdqv_test_index),
	KUNIT_CASE(cmdqv_test_guest),
	KUNIT_CASE(cmdqv_test_flush),
	{}
};

static struct kunit_suite cmdqv_test_suite = {
	.name = "tegra241-cmdqv",
	.test_cases = cmdqv_test_cases,
};

kunit_test_suite(cmdqv_test_suite);
