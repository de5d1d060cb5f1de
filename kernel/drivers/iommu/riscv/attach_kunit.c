// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for what is attached to a domain, and for its flushes
 *
 * The registers, the command queue and the device directory of an IOMMU are memory. Its
 * hardware is a timer, which executes what is queued unless a test stops it, and keeps a log.
 * The driver is called by way of its ops, as the IOMMU core does.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/console.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/iommu.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/workqueue.h>

#include "../iommu-pages.h"
#include "iommu-bits.h"
#include "iommu.h"

#define NR_IOMMUS	2
#define NR_DEVICES	4
#define DEVID(i)	(0x10 + (i))
#define RING		64
#define LOG		128

#define CAPS		(RISCV_IOMMU_CAPABILITIES_SV57 | RISCV_IOMMU_CAPABILITIES_SV48 | \
			 RISCV_IOMMU_CAPABILITIES_SV39)

/* How often the hardware looks at its queue. */
#define PERIOD		(1 * NSEC_PER_MSEC)

#define STOPS		100

/* A flush that fails for another reason than a timeout takes less than that, by far. */
#define AT_ONCE_S	60

struct executed {
	struct riscv_iommu_command cmd;
	bool valid;			/* of IODIR.INVAL_DDT: the context at that time */
};

struct fake {
	struct riscv_iommu_device iommu;
	struct fwnode_handle fwnode;
	struct hrtimer hardware;
	u8 reg[SZ_4K] __aligned(8);
	struct riscv_iommu_command ring[RING];
	u64 ddt[512];

	/* What a test asks of the hardware. */
	bool held;			/* executes nothing */
	unsigned long not_before;	/* nor this, until then, if that is not 0 */
	const struct fake *other;	/* nor this, before that one has been sent something */
	u8 refuse;			/* no command with this opcode: stops there */
	bool stop_behind;		/* a fence: what comes next is refused */

	unsigned int began;		/* the tail when the log was cleared */
	unsigned int executed;
	struct executed log[LOG];
};

struct fake_device {
	struct device dev;
	struct dev_iommu dev_iommu;
	struct fake *fake;
	struct iommu_domain *domain;	/* attached to it */
};

struct context {
	struct fake *fake[NR_IOMMUS];
	struct fake_device *device[NR_DEVICES];	/* half of them behind each IOMMU */
	struct iommu_domain *domain, *old;
	unsigned int timeout_s;
};

static u32 fake_read(const struct fake *fake, unsigned int reg)
{
	return readl(fake->iommu.reg + reg);
}

static void fake_write(struct fake *fake, unsigned int reg, u32 value)
{
	writel(value, fake->iommu.reg + reg);
}

static u8 opcode(const struct riscv_iommu_command *cmd)
{
	return FIELD_GET(RISCV_IOMMU_CMD0_OPCODE, cmd->dword0);
}

static struct riscv_iommu_dc *context_of(struct fake *fake, unsigned int devid)
{
	return (struct riscv_iommu_dc *)(fake->ddt + devid * 4);
}

static bool may_execute(struct fake *fake, const struct riscv_iommu_command *cmd)
{
	if (READ_ONCE(fake->held) || fake_read(fake, RISCV_IOMMU_REG_CQCSR))
		return false;
	if (fake->not_before && time_before(jiffies, fake->not_before))
		return false;
	if (fake->other && fake_read(fake->other, RISCV_IOMMU_REG_CQT) == fake->other->began)
		return false;
	if (opcode(cmd) == fake->refuse) {
		fake_write(fake, RISCV_IOMMU_REG_CQCSR, RISCV_IOMMU_CQCSR_CMD_ILL);
		return false;
	}
	return true;
}

static enum hrtimer_restart fake_work(struct hrtimer *timer)
{
	struct fake *fake = container_of(timer, struct fake, hardware);
	u32 head = fake_read(fake, RISCV_IOMMU_REG_CQH);

	while (head != fake_read(fake, RISCV_IOMMU_REG_CQT)) {
		const struct riscv_iommu_command *cmd = &fake->ring[head];
		struct executed *log = &fake->log[fake->executed % LOG];
		unsigned int devid = FIELD_GET(RISCV_IOMMU_CMD0_IODIR_DID, cmd->dword0);

		if (!may_execute(fake, cmd))
			break;
		log->cmd = *cmd;
		log->valid = opcode(cmd) == RISCV_IOMMU_CMD_IODIR_OPCODE &&
			     (READ_ONCE(context_of(fake, devid)->tc) & RISCV_IOMMU_DC_TC_V);
		fake->executed++;
		head = (head + 1) % RING;
		fake_write(fake, RISCV_IOMMU_REG_CQH, head);
		if (fake->stop_behind && opcode(&log->cmd) == RISCV_IOMMU_CMD_IOFENCE_OPCODE)
			fake_write(fake, RISCV_IOMMU_REG_CQCSR, RISCV_IOMMU_CQCSR_CMD_ILL);
	}
	hrtimer_forward_now(timer, PERIOD);
	return HRTIMER_RESTART;
}

/* Forget what has been executed. Nothing may be queued. */
static void log_clear(struct context *ctx)
{
	int i;

	for (i = 0; i < NR_IOMMUS; i++) {
		ctx->fake[i]->executed = 0;
		ctx->fake[i]->began = fake_read(ctx->fake[i], RISCV_IOMMU_REG_CQT);
	}
}

/* Until all that is queued has been executed. */
static void settle(struct fake *fake)
{
	while (fake_read(fake, RISCV_IOMMU_REG_CQH) != fake_read(fake, RISCV_IOMMU_REG_CQT))
		usleep_range(1000, 2000);
}

static const struct riscv_iommu_command *
expect_executed(struct kunit *test, int fake, unsigned int i, u8 wanted)
{
	struct context *ctx = test->priv;
	const struct executed *log = &ctx->fake[fake]->log[i];

	KUNIT_ASSERT_GT(test, ctx->fake[fake]->executed, i);
	KUNIT_EXPECT_EQ(test, opcode(&log->cmd), wanted);
	return &log->cmd;
}

static void expect_fence(struct kunit *test, int fake, unsigned int i)
{
	const struct riscv_iommu_command *cmd =
		expect_executed(test, fake, i, RISCV_IOMMU_CMD_IOFENCE_OPCODE);

	KUNIT_EXPECT_TRUE(test, cmd->dword0 & RISCV_IOMMU_CMD0_IOFENCE_PR);
	KUNIT_EXPECT_TRUE(test, cmd->dword0 & RISCV_IOMMU_CMD0_IOFENCE_PW);
}

/* The PSCID that the context of a device names. */
static u32 pscid_of(struct kunit *test, int device)
{
	struct context *ctx = test->priv;
	struct riscv_iommu_dc *dc = context_of(ctx->device[device]->fake, DEVID(device));

	return FIELD_GET(RISCV_IOMMU_DC_TA_PSCID, dc->ta);
}

static bool context_valid(struct kunit *test, int device)
{
	struct context *ctx = test->priv;

	return context_of(ctx->device[device]->fake, DEVID(device))->tc & RISCV_IOMMU_DC_TC_V;
}

/* An IOTINVAL.VMA for that PSCID: of everything, or of one address if @address is not 0. */
static const struct riscv_iommu_command *
expect_inval(struct kunit *test, int fake, unsigned int i, u32 pscid, u64 address)
{
	const struct riscv_iommu_command *cmd =
		expect_executed(test, fake, i, RISCV_IOMMU_CMD_IOTINVAL_OPCODE);
	/* Not in the macros: sparse does not expand that much. */
	u64 sent_pscid = FIELD_GET(RISCV_IOMMU_CMD0_IOTINVAL_PSCID, cmd->dword0);
	u64 sent_pfn = FIELD_GET(RISCV_IOMMU_CMD1_IOTINVAL_ADDR, cmd->dword1);

	KUNIT_EXPECT_TRUE(test, cmd->dword0 & RISCV_IOMMU_CMD0_IOTINVAL_PSCV);
	KUNIT_EXPECT_FALSE(test, cmd->dword0 & RISCV_IOMMU_CMD0_IOTINVAL_GV);
	KUNIT_EXPECT_EQ(test, sent_pscid, pscid);
	KUNIT_EXPECT_EQ(test, !!(cmd->dword0 & RISCV_IOMMU_CMD0_IOTINVAL_AV), !!address);
	if (address)
		KUNIT_EXPECT_EQ(test, sent_pfn, PHYS_PFN(address));
	return cmd;
}

static void attach(struct kunit *test, int device, struct iommu_domain *domain)
{
	struct context *ctx = test->priv;
	struct fake_device *fake_device = ctx->device[device];

	KUNIT_EXPECT_EQ(test, domain->ops->attach_dev(domain, &fake_device->dev,
						      fake_device->domain), 0);
	fake_device->domain = domain;
}

static void detach(struct kunit *test, int device)
{
	attach(test, device, riscv_iommu_ops.blocked_domain);
}

/*
 * A flush of pages of 4K, with tables that went if @tables is not 0. Return: have the pages of
 * such a table been freed?
 */
static bool flush(struct kunit *test, struct iommu_domain *domain, unsigned long start,
		  unsigned long last, u8 tables)
{
	struct iommu_iotlb_gather gather;
	void *table = iommu_alloc_pages_sz(GFP_KERNEL, SZ_4K);
	struct folio *folio;
	bool freed;

	KUNIT_ASSERT_NOT_NULL(test, table);
	folio = virt_to_folio(table);
	folio_get(folio);
	iommu_iotlb_gather_init(&gather);
	gather.start = start;
	gather.end = last;
	gather.pt.leaf_levels_bitmap = BIT(0);
	gather.pt.table_levels_bitmap = tables;
	iommu_pages_list_add(&gather.freelist, table);

	domain->ops->iotlb_sync(domain, &gather);
	freed = folio_ref_count(folio) == 1;
	if (!freed)
		iommu_put_pages_list(&gather.freelist);
	folio_put(folio);
	return freed;
}

static bool flush_page(struct kunit *test, struct iommu_domain *domain)
{
	return flush(test, domain, 0x5000, 0x5fff, 0);
}

static struct fake *fake_init(struct kunit *test, const char *name)
{
	struct fake *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	struct device *dev = kunit_device_register(test, name);
	struct riscv_iommu_queue *queue;

	if (!fake || IS_ERR(dev))
		return NULL;
	dev_set_drvdata(dev, fake);
	fake->fwnode.dev = dev;
	fake->iommu.dev = dev;
	fake->iommu.reg = (void __iomem __force *)fake->reg;
	fake->iommu.caps = CAPS;
	fake->iommu.ddt_mode = RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL;
	fake->iommu.ddt_root = fake->ddt;
	queue = &fake->iommu.cmdq;
	raw_spin_lock_init(&queue->lock);
	queue->qid = RISCV_IOMMU_INTR_CQ;
	queue->qbr = RISCV_IOMMU_REG_CQB;
	queue->qcr = RISCV_IOMMU_REG_CQCSR;
	queue->mask = RING - 1;
	queue->base = fake->ring;
	queue->iommu = &fake->iommu;
	if (riscv_iommu_fence_init(&fake->iommu))
		return NULL;
	hrtimer_setup(&fake->hardware, fake_work, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	hrtimer_start(&fake->hardware, PERIOD, HRTIMER_MODE_REL);
	return fake;
}

static struct fake_device *device_init(struct kunit *test, struct fake *fake, u32 devid)
{
	struct fake_device *device = kunit_kzalloc(test, sizeof(*device), GFP_KERNEL);
	struct iommu_fwspec *fwspec = kunit_kzalloc(test, struct_size(fwspec, ids, 1), GFP_KERNEL);

	if (!device || !fwspec)
		return NULL;
	device->fake = fake;
	fwspec->iommu_fwnode = &fake->fwnode;
	fwspec->num_ids = 1;
	fwspec->ids[0] = devid;
	device->dev.iommu = &device->dev_iommu;
	device->dev_iommu.fwspec = fwspec;
	/* The core holds a lock of its own meanwhile. */
	lockdep_off();
	device->dev_iommu.iommu_dev = riscv_iommu_ops.probe_device(&device->dev);
	lockdep_on();
	return IS_ERR(device->dev_iommu.iommu_dev) ? NULL : device;
}

static struct iommu_domain *domain_init(struct context *ctx)
{
	struct iommu_domain *domain;

	domain = riscv_iommu_ops.domain_alloc_paging(&ctx->device[0]->dev);
	if (!IS_ERR(domain))
		domain->type = IOMMU_DOMAIN_UNMANAGED;
	return domain;
}

static int attach_init(struct kunit *test)
{
	static const char * const names[NR_IOMMUS] = { "fake-iommu-0", "fake-iommu-1" };
	struct context *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	int i;

	if (!ctx)
		return -ENOMEM;
	test->priv = ctx;
	ctx->timeout_s = riscv_iommu_flush_timeout_s;
	for (i = 0; i < NR_IOMMUS; i++) {
		ctx->fake[i] = fake_init(test, names[i]);
		if (!ctx->fake[i])
			return -ENOMEM;
	}
	for (i = 0; i < NR_DEVICES; i++) {
		ctx->device[i] = device_init(test, ctx->fake[i * NR_IOMMUS / NR_DEVICES],
					     DEVID(i));
		if (!ctx->device[i])
			return -ENOMEM;
	}
	ctx->domain = domain_init(ctx);
	ctx->old = domain_init(ctx);
	return IS_ERR(ctx->domain) || IS_ERR(ctx->old) ? -ENOMEM : 0;
}

static void attach_exit(struct kunit *test)
{
	struct context *ctx = test->priv;
	int i;

	/* It goes on, whatever a test has left. */
	for (i = 0; i < NR_IOMMUS && ctx->fake[i]; i++) {
		ctx->fake[i]->not_before = 0;
		ctx->fake[i]->other = NULL;
		ctx->fake[i]->refuse = 0;
		ctx->fake[i]->stop_behind = false;
		WRITE_ONCE(ctx->fake[i]->held, false);
		fake_write(ctx->fake[i], RISCV_IOMMU_REG_CQCSR, 0);
	}
	for (i = 0; i < NR_DEVICES && ctx->device[i]; i++) {
		if (ctx->device[i]->domain)
			detach(test, i);
		riscv_iommu_ops.release_device(&ctx->device[i]->dev);
	}
	if (!IS_ERR_OR_NULL(ctx->domain))
		ctx->domain->ops->free(ctx->domain);
	if (!IS_ERR_OR_NULL(ctx->old))
		ctx->old->ops->free(ctx->old);
	for (i = 0; i < NR_IOMMUS && ctx->fake[i]; i++) {
		iommu_attach_drain(&ctx->fake[i]->iommu.fence);
		hrtimer_cancel(&ctx->fake[i]->hardware);
	}
	riscv_iommu_flush_timeout_s = ctx->timeout_s;
}

/* One command and one fence for an IOMMU, however many devices are behind it. */
static void attach_one_command(struct kunit *test)
{
	struct context *ctx = test->priv;
	int i;

	for (i = 0; i < NR_DEVICES; i++)
		attach(test, i, ctx->domain);
	log_clear(ctx);
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->domain));
	for (i = 0; i < NR_IOMMUS; i++) {
		KUNIT_EXPECT_EQ(test, ctx->fake[i]->executed, 2);
		expect_inval(test, i, 0, pscid_of(test, 0), 0x5000);
		expect_fence(test, i, 1);
	}
}

/* Each IOMMU gets what it can do: a range without the tables above, or everything. */
static void attach_ranges(struct kunit *test)
{
	struct context *ctx = test->priv;
	const struct riscv_iommu_command *cmd;

	ctx->fake[0]->iommu.caps |= RISCV_IOMMU_CAPABILITIES_NL | RISCV_IOMMU_CAPABILITIES_S;
	attach(test, 0, ctx->domain);
	attach(test, 2, ctx->domain);
	log_clear(ctx);
	KUNIT_EXPECT_TRUE(test, flush(test, ctx->domain, 0x10000, 0x1ffff, BIT(1)));
	KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, 2);
	cmd = expect_executed(test, 0, 0, RISCV_IOMMU_CMD_IOTINVAL_OPCODE);
	KUNIT_EXPECT_TRUE(test, cmd->dword0 & RISCV_IOMMU_CMD0_IOTINVAL_NL);
	KUNIT_EXPECT_TRUE(test, cmd->dword1 & RISCV_IOMMU_CMD1_IOTINVAL_S);
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 2);
	cmd = expect_inval(test, 1, 0, pscid_of(test, 2), 0);
	KUNIT_EXPECT_FALSE(test, cmd->dword0 & RISCV_IOMMU_CMD0_IOTINVAL_NL);

	/* Pages one by one, as long as they fit into the queue. */
	log_clear(ctx);
	KUNIT_EXPECT_TRUE(test, flush(test, ctx->domain, 0x10000, 0x12fff, 0));
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 4);
	expect_inval(test, 1, 0, pscid_of(test, 2), 0x10000);
	expect_inval(test, 1, 2, pscid_of(test, 2), 0x12000);
	log_clear(ctx);
	KUNIT_EXPECT_TRUE(test, flush(test, ctx->domain, 0x10000, 0x10000 + RING * SZ_4K - 1, 0));
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 2);
	expect_inval(test, 1, 0, pscid_of(test, 2), 0);
}

/* A context is forgotten before what came of it is invalidated, and both once. */
static void attach_context(struct kunit *test)
{
	struct context *ctx = test->priv;
	const struct riscv_iommu_command *cmd;
	u32 pscid, devid;

	/* What was not valid is not cached. */
	attach(test, 0, ctx->old);
	KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, 0);
	KUNIT_EXPECT_TRUE(test, context_valid(test, 0));
	pscid = pscid_of(test, 0);

	attach(test, 0, ctx->domain);
	KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, 4);
	cmd = expect_executed(test, 0, 0, RISCV_IOMMU_CMD_IODIR_OPCODE);
	KUNIT_EXPECT_TRUE(test, cmd->dword0 & RISCV_IOMMU_CMD0_IODIR_DV);
	devid = FIELD_GET(RISCV_IOMMU_CMD0_IODIR_DID, cmd->dword0);
	KUNIT_EXPECT_EQ(test, devid, DEVID(0));
	KUNIT_EXPECT_FALSE(test, ctx->fake[0]->log[0].valid);
	expect_fence(test, 0, 1);
	expect_inval(test, 0, 2, pscid, 0);
	expect_fence(test, 0, 3);
	KUNIT_EXPECT_TRUE(test, context_valid(test, 0));
	KUNIT_EXPECT_NE(test, pscid_of(test, 0), pscid);

	pscid = pscid_of(test, 0);
	log_clear(ctx);
	detach(test, 0);
	KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, 4);
	KUNIT_EXPECT_FALSE(test, ctx->fake[0]->log[0].valid);
	expect_inval(test, 0, 2, pscid, 0);
	KUNIT_EXPECT_FALSE(test, context_valid(test, 0));
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 0);
}

/* Those who have left, or moved, and IOMMUs without anybody, are not sent to. */
static void attach_left(struct kunit *test)
{
	struct context *ctx = test->priv;

	attach(test, 0, ctx->domain);
	attach(test, 1, ctx->domain);
	attach(test, 2, ctx->old);
	detach(test, 0);
	log_clear(ctx);
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->domain));
	KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, 2);
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 0);

	attach(test, 1, ctx->old);
	log_clear(ctx);
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->domain));
	KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, 0);
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->old));
	KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, 2);
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 2);

	/* Its context names the domain again, and it is there once. */
	attach(test, 2, ctx->old);
	log_clear(ctx);
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->old));
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 2);
	attach(test, 2, riscv_iommu_ops.identity_domain);
	KUNIT_EXPECT_TRUE(test, context_valid(test, 2));
	log_clear(ctx);
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->old));
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 0);
}

/* Everybody is sent to before the first one is waited for. */
static void attach_overlap(struct kunit *test)
{
	struct context *ctx = test->priv;

	attach(test, 0, ctx->domain);
	attach(test, 2, ctx->domain);
	log_clear(ctx);
	ctx->fake[0]->other = ctx->fake[1];
	ctx->fake[1]->other = ctx->fake[0];
	riscv_iommu_flush_timeout_s = AT_ONCE_S;
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->domain));
}

/* A fence that completes late is waited for. */
static void attach_late(struct kunit *test)
{
	struct context *ctx = test->priv;

	attach(test, 0, ctx->domain);
	attach(test, 2, ctx->domain);
	ctx->fake[1]->not_before = (jiffies + HZ / 2) | 1;
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->domain));
	KUNIT_EXPECT_TRUE(test, time_after_eq(jiffies, ctx->fake[1]->not_before));
}

/* One that never does is an error, and what a table had is kept; so until the IOMMU goes on. */
static void attach_never(struct kunit *test)
{
	struct context *ctx = test->priv;

	attach(test, 0, ctx->domain);
	attach(test, 2, ctx->domain);
	riscv_iommu_flush_timeout_s = 1;
	WRITE_ONCE(ctx->fake[0]->held, true);
	log_clear(ctx);
	KUNIT_EXPECT_FALSE(test, flush_page(test, ctx->domain));
	/* The other one has been sent its part. */
	settle(ctx->fake[1]);
	expect_fence(test, 1, 1);
	riscv_iommu_flush_timeout_s = ctx->timeout_s;
	WRITE_ONCE(ctx->fake[0]->held, false);
	KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->domain));
}

/* A command that is refused is an error at once, for those who come later, too. */
static void attach_refused(struct kunit *test)
{
	struct context *ctx = test->priv;
	unsigned long began = jiffies;

	attach(test, 0, ctx->domain);
	ctx->fake[0]->refuse = RISCV_IOMMU_CMD_IOTINVAL_OPCODE;
	KUNIT_EXPECT_FALSE(test, flush_page(test, ctx->domain));
	KUNIT_EXPECT_FALSE(test, flush_page(test, ctx->domain));

	/* The interrupt handler clears the error, which does not make the queue go on. */
	riscv_iommu_cmdq_process(0, &ctx->fake[0]->iommu.cmdq);
	WRITE_ONCE(ctx->fake[0]->held, true);
	fake_write(ctx->fake[0], RISCV_IOMMU_REG_CQCSR, 0);
	KUNIT_EXPECT_FALSE(test, flush_page(test, ctx->domain));
	KUNIT_EXPECT_TRUE(test, time_before(jiffies, began + AT_ONCE_S * HZ));

	KUNIT_EXPECT_NE(test, ctx->fake[0]->iommu.cmdq.stopped, 0);
}

/* After a failed detach, the page table and the PSCID of the old domain are not reused. */
static void attach_kept(struct kunit *test)
{
	static const u8 refused[] = { RISCV_IOMMU_CMD_IODIR_OPCODE,
				      RISCV_IOMMU_CMD_IOTINVAL_OPCODE };
	struct context *ctx = test->priv;
	struct fake *fake = ctx->fake[0];
	struct folio *table;
	u32 pscid;
	int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		attach(test, 0, ctx->old);
		pscid = pscid_of(test, 0);
		table = pfn_folio(FIELD_GET(RISCV_IOMMU_DC_FSC_PPN,
					    context_of(fake, DEVID(0))->fsc));
		folio_get(table);
		fake->refuse = refused[i];
		detach(test, 0);
		KUNIT_EXPECT_FALSE(test, context_valid(test, 0));
		/* Nor what is unmapped now, when no device is left to flush for. */
		KUNIT_EXPECT_FALSE(test, flush_page(test, ctx->old));
		ctx->old->ops->free(ctx->old);
		KUNIT_EXPECT_EQ(test, folio_ref_count(table), 2);
		folio_put(table);

		fake->refuse = 0;
		fake_write(fake, RISCV_IOMMU_REG_CQCSR, 0);
		settle(fake);
		ctx->old = domain_init(ctx);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->old);
		/* Only this IOMMU may cache contexts that are not valid. */
		log_clear(ctx);
		attach(test, 0, ctx->old);
		KUNIT_EXPECT_NE(test, pscid_of(test, 0), pscid);
		KUNIT_EXPECT_EQ(test, fake->executed, 2);
		expect_executed(test, 0, 0, RISCV_IOMMU_CMD_IODIR_OPCODE);
		expect_fence(test, 0, 1);
		attach(test, 2, ctx->old);
		KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 0);
		detach(test, 2);
		detach(test, 0);
	}
}

/* What was unmapped between a detach that failed and an attach to the same domain is flushed. */
static void attach_kept_again(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct fake *fake = ctx->fake[0];
	struct fake_device *device = ctx->device[0];
	u32 pscid;

	attach(test, 0, ctx->old);
	attach(test, 2, ctx->old);
	pscid = pscid_of(test, 0);
	fake->refuse = RISCV_IOMMU_CMD_IOTINVAL_OPCODE;
	attach(test, 0, ctx->domain);

	/* Not attached to a domain of which the IOMMU may have more than is mapped. */
	KUNIT_EXPECT_EQ(test, ctx->old->ops->attach_dev(ctx->old, &device->dev, ctx->domain), -EIO);
	KUNIT_EXPECT_NE(test, pscid_of(test, 0), pscid);

	fake->refuse = 0;
	fake_write(fake, RISCV_IOMMU_REG_CQCSR, 0);
	settle(fake);
	log_clear(ctx);
	flush_page(test, ctx->old);
	KUNIT_EXPECT_EQ(test, fake->executed, 0);
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 2);
	log_clear(ctx);
	attach(test, 0, ctx->old);
	KUNIT_EXPECT_EQ(test, pscid_of(test, 0), pscid);
	KUNIT_EXPECT_EQ(test, fake->executed, 6);
	expect_inval(test, 0, 0, pscid, 0);
	expect_fence(test, 0, 1);
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->executed, 0);
}

/* What has stopped at an error, and may go on once that is cleared, is given a moment. */
static void attach_resumed(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct riscv_iommu_queue *queue = &ctx->fake[0]->iommu.cmdq;
	unsigned long began;
	bool freed;

	attach(test, 0, ctx->domain);
	ctx->fake[0]->refuse = RISCV_IOMMU_CMD_IOTINVAL_OPCODE;
	KUNIT_EXPECT_FALSE(test, flush_page(test, ctx->domain));
	ctx->fake[0]->refuse = 0;
	ctx->fake[0]->not_before = (jiffies + HZ / 20) | 1;
	began = jiffies;
	riscv_iommu_cmdq_process(0, queue);
	fake_write(ctx->fake[0], RISCV_IOMMU_REG_CQCSR, 0);
	freed = flush_page(test, ctx->domain);
	/* A machine that was busy with something else may have missed the moment. */
	if (time_before(jiffies, began + HZ / 8))
		KUNIT_EXPECT_TRUE(test, freed);
	settle(ctx->fake[0]);

	/* It has gone on: that it was there once means nothing when the indices come round. */
	detach(test, 0);
	KUNIT_EXPECT_EQ(test, queue->stopped, 0);
}

/* The time of an error is never ahead: that would look like long ago. */
static void attach_stopped_now(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct riscv_iommu_queue *queue = &ctx->fake[0]->iommu.cmdq;
	int i;

	/* To print takes longer than a jiffy: not now. */
	console_lock();
	for (i = 0; i < 10; i++) {
		while (jiffies & 1)
			cpu_relax();
		fake_write(ctx->fake[0], RISCV_IOMMU_REG_CQCSR, RISCV_IOMMU_CQCSR_CMD_ILL);
		riscv_iommu_cmdq_process(0, queue);
		KUNIT_EXPECT_LE(test, (s32)(upper_32_bits(queue->stopped) - (u32)jiffies), 0);
	}
	console_unlock();
}

/* A queue that stops behind the fence of a flush has executed all that it sent. */
static void attach_stopped_behind(struct kunit *test)
{
	struct context *ctx = test->priv;
	int i;

	attach(test, 0, ctx->domain);
	ctx->fake[0]->stop_behind = true;
	/* It stops while the flush looks at the queue, often enough between two looks. */
	for (i = 0; i < STOPS; i++) {
		KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->domain));
		while (!fake_read(ctx->fake[0], RISCV_IOMMU_REG_CQCSR))
			cpu_relax();
		fake_write(ctx->fake[0], RISCV_IOMMU_REG_CQCSR, 0);
	}
}

/* Without room for its commands, a flush waits until there is, and then sends as few as it can. */
static void attach_full(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct riscv_iommu_queue *queue = &ctx->fake[0]->iommu.cmdq;
	struct riscv_iommu_command cmd = {
		.dword0 = FIELD_PREP(RISCV_IOMMU_CMD0_OPCODE, RISCV_IOMMU_CMD_IOFENCE_OPCODE),
	};
	int room, i;

	attach(test, 0, ctx->domain);
	/* There is room for nothing, or for a command without its fence. */
	for (room = 0; room < 2; room++) {
		WRITE_ONCE(ctx->fake[0]->held, true);
		log_clear(ctx);
		for (i = 0; i < RING - 1 - room; i++)
			KUNIT_EXPECT_EQ(test, riscv_iommu_queue_send(queue, &cmd, NULL, false), 0);
		ctx->fake[0]->not_before = (jiffies + HZ / 2) | 1;
		WRITE_ONCE(ctx->fake[0]->held, false);
		KUNIT_EXPECT_TRUE(test, flush(test, ctx->domain, 0x5000, 0x8fff, 0));
		KUNIT_EXPECT_TRUE(test, time_after_eq(jiffies, ctx->fake[0]->not_before));
		KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, RING - 1 + 2);
		expect_inval(test, 0, ctx->fake[0]->executed - 2, pscid_of(test, 0), 0);
		expect_executed(test, 0, ctx->fake[0]->executed - 1,
				RISCV_IOMMU_CMD_IOFENCE_OPCODE);
	}

	/* There never is. */
	riscv_iommu_flush_timeout_s = 1;
	WRITE_ONCE(ctx->fake[0]->held, true);
	for (i = 0; i < RING - 1; i++)
		riscv_iommu_queue_send(queue, &cmd, NULL, false);
	KUNIT_EXPECT_EQ(test, riscv_iommu_queue_send(queue, &cmd, NULL, false), -EBUSY);
	KUNIT_EXPECT_FALSE(test, flush_page(test, ctx->domain));
}

/* Where the index of a fence wraps around, and the ring does. */
static void attach_wrap(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct riscv_iommu_queue *queue = &ctx->fake[0]->iommu.cmdq;
	static const unsigned int indices[] = { INT_MAX, UINT_MAX - 2, UINT_MAX - 1, UINT_MAX };
	int i;

	attach(test, 0, ctx->domain);
	for (i = 0; i < ARRAY_SIZE(indices); i++) {
		WRITE_ONCE(ctx->fake[0]->held, true);
		atomic_set(&queue->prod, indices[i]);
		atomic_set(&queue->head, indices[i]);
		atomic_set(&queue->tail, indices[i]);
		fake_write(ctx->fake[0], RISCV_IOMMU_REG_CQT, indices[i] % RING);
		fake_write(ctx->fake[0], RISCV_IOMMU_REG_CQH, indices[i] % RING);
		log_clear(ctx);
		ctx->fake[0]->not_before = (jiffies + HZ / 10) | 1;
		WRITE_ONCE(ctx->fake[0]->held, false);
		KUNIT_EXPECT_TRUE(test, flush_page(test, ctx->domain));
		KUNIT_EXPECT_EQ(test, ctx->fake[0]->executed, 2);
		KUNIT_EXPECT_TRUE(test, time_after_eq(jiffies, ctx->fake[0]->not_before));
	}
}

static struct removal {
	struct work_struct flush, drain;
	struct kunit *test;
	bool drained, early;
} removal;

static void removal_flush(struct work_struct *work)
{
	struct context *ctx = removal.test->priv;

	flush_page(removal.test, ctx->domain);
}

/* As in riscv_iommu_remove(). */
static void removal_drain(struct work_struct *work)
{
	struct context *ctx = removal.test->priv;

	iommu_attach_drain(&ctx->fake[0]->iommu.fence);
	removal.early = READ_ONCE(ctx->fake[0]->executed) < 2;
	WRITE_ONCE(removal.drained, true);
}

/* An IOMMU stays until the flushes that have found it are done with it. */
static void attach_removal(struct kunit *test)
{
	struct workqueue_struct *wq;
	struct context *ctx = test->priv;

	if (num_online_cpus() < 2)
		kunit_skip(test, "a flush waits on one CPU, and a drain for it on another");
	wq = alloc_workqueue("riscv_attach", WQ_UNBOUND, 0);
	KUNIT_ASSERT_NOT_NULL(test, wq);
	removal = (struct removal){ .test = test };
	INIT_WORK(&removal.flush, removal_flush);
	INIT_WORK(&removal.drain, removal_drain);

	attach(test, 0, ctx->domain);
	log_clear(ctx);
	WRITE_ONCE(ctx->fake[0]->held, true);
	queue_work(wq, &removal.flush);
	while (fake_read(ctx->fake[0], RISCV_IOMMU_REG_CQT) != (ctx->fake[0]->began + 2) % RING)
		usleep_range(1000, 2000);
	queue_work(wq, &removal.drain);
	msleep(200);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(removal.drained));
	WRITE_ONCE(ctx->fake[0]->held, false);
	destroy_workqueue(wq);
	KUNIT_EXPECT_TRUE(test, removal.drained);
	KUNIT_EXPECT_FALSE(test, removal.early);
}

static struct kunit_case attach_cases[] = {
	KUNIT_CASE(attach_one_command),
	KUNIT_CASE(attach_ranges),
	KUNIT_CASE(attach_context),
	KUNIT_CASE(attach_left),
	KUNIT_CASE(attach_overlap),
	KUNIT_CASE(attach_late),
	KUNIT_CASE(attach_never),
	KUNIT_CASE(attach_refused),
	KUNIT_CASE(attach_kept),
	KUNIT_CASE(attach_kept_again),
	KUNIT_CASE(attach_resumed),
	KUNIT_CASE(attach_stopped_now),
	KUNIT_CASE(attach_stopped_behind),
	KUNIT_CASE(attach_full),
	KUNIT_CASE(attach_wrap),
	KUNIT_CASE(attach_removal),
	{}
};

static struct kunit_suite attach_suite = {
	.name = "iommu_alist_riscv_attach",
	.init = attach_init,
	.exit = attach_exit,
	.test_cases = attach_cases,
};

kunit_test_suite(attach_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for the attachments and flushes of RISC-V's IOMMU");
