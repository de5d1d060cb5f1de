// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the command queue
 *
 * The registers are memory, and the SMMU is a function, which executes as many commands as the
 * test says. Where the driver has to wait, a timer calls it.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/prandom.h>

#include "arm-smmu-v3.h"

#define SHIFT		6
#define SIZE		BIT(SHIFT)
#define ALL		INT_MAX

/* What the fake SMMU calls the status words. */
#define STATUS_DMA	0x100000

/* An opcode that is none. */
#define BAD		0xff

/* How often the timer calls it, and how many commands it executes then. */
#define TICK_NS		(200 * NSEC_PER_USEC)
#define TICK_COMMANDS	20

struct fake_queue {
	struct arm_smmu_cmdq cmdq;
	u32 prod, cons;			/* the registers */
	u32 executed;			/* commands */
	u32 last;			/* what a command says, if it is more than nothing */
	u32 said;			/* how many commands did */
	bool disorder;			/* they did not say it in order */
	u32 stop_sync;			/* CERROR when CMD_SYNC is the nth executed; 0: none */
	u32 error;			/* CERROR, or 0 */
	u32 refused, refusals;		/* after so many, what is bad is executed; 0: never */
	bool keep;			/* writes to status words, for later */
	u32 kept_slot, kept_data;
};

struct fake {
	struct arm_smmu_device smmu;
	struct fake_queue queue[2];
	struct hrtimer timer;
	bool running;			/* as far as the timer goes */
	u64 slow_ms;			/* then each command takes that long */
	bool acknowledge;		/* the timer does that, too */
	u32 say;
};

static void fake_init_queue(struct kunit *test, struct fake *fake, struct fake_queue *queue,
			    u32 start)
{
	struct arm_smmu_queue *q = &queue->cmdq.q;

	q->llq.max_n_shift = SHIFT;
	q->ent_dwords = CMDQ_ENT_DWORDS;
	q->base = kunit_kcalloc(test, SIZE, 1 << CMDQ_ENT_SZ_SHIFT, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, q->base);
	q->prod_reg = (u32 __iomem *)&queue->prod;
	q->cons_reg = (u32 __iomem *)&queue->cons;
	KUNIT_ASSERT_EQ(test, arm_smmu_cmdq_init(&fake->smmu, &queue->cmdq), 0);

	/* A multiple of twice the size: the registers are 0. */
	q->llq.prod = start;
	q->llq.cons = start;
	atomic_set(&queue->cmdq.owner_prod, start);
}

static struct fake *fake_init(struct kunit *test, u32 start)
{
	struct fake *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, fake);
	fake->smmu.dev = kunit_device_register(test, "arm-smmu-v3-cmdq");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fake->smmu.dev);
	fake_init_queue(test, fake, &fake->queue[0], start);
	fake_init_queue(test, fake, &fake->queue[1], start);
	return fake;
}

static void fake_use_status(struct kunit *test, struct fake_queue *queue)
{
	queue->cmdq.status = kunit_kcalloc(test, SIZE, sizeof(*queue->cmdq.status), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, queue->cmdq.status);
	queue->cmdq.status_dma = STATUS_DMA;
}

/* Like Hi16xx: eight bytes */
static void fake_write_status(struct fake_queue *queue, u32 slot, u32 data)
{
	WRITE_ONCE(queue->cmdq.status[slot], cpu_to_le64(0xbadbadULL << 32 | data));
}

static void fake_sync(struct fake_queue *queue, u64 word0, u64 word1)
{
	u32 slot = ((word1 & CMDQ_SYNC_1_MSIADDR_MASK) - STATUS_DMA) / sizeof(__le64);
	u32 data = FIELD_GET(CMDQ_SYNC_0_MSIDATA, word0);

	if (FIELD_GET(CMDQ_SYNC_0_CS, word0) != CMDQ_SYNC_0_CS_IRQ)
		return;
	if (queue->keep) {
		queue->kept_slot = slot;
		queue->kept_data = data;
	} else {
		fake_write_status(queue, slot, data);
	}
}

/* The SMMU executes up to @n commands; up to the one that it stops at. */
static void fake_run(struct fake_queue *queue, int n)
{
	struct arm_smmu_queue *q = &queue->cmdq.q;
	u32 prod = READ_ONCE(queue->prod);
	u32 cons = queue->cons & (2 * SIZE - 1);
	u64 word0, word1;
	u8 opcode;

	/* The driver's dma_wmb() */
	dma_rmb();
	while (cons != prod && n-- > 0 && !queue->error) {
		word0 = le64_to_cpu(Q_ENT(q, cons)[0]);
		word1 = le64_to_cpu(Q_ENT(q, cons)[1]);
		opcode = FIELD_GET(CMDQ_0_OP, word0);
		if (opcode == BAD && (!queue->refusals || queue->refused < queue->refusals)) {
			queue->refused++;
			queue->error = CMDQ_ERR_CERROR_ILL_IDX;
		} else if (opcode == CMDQ_OP_CMD_SYNC) {
			if (queue->stop_sync && !--queue->stop_sync)
				queue->error = CMDQ_ERR_CERROR_ATC_INV_IDX;
			else
				fake_sync(queue, word0, word1);
		} else if (word1) {
			queue->disorder |= word1 <= queue->last;
			queue->last = word1;
			queue->said++;
		}
		if (queue->error)
			break;
		cons = (cons + 1) & (2 * SIZE - 1);
		queue->executed++;
	}
	/* What a command does is seen before it has left the queue. */
	smp_store_release(&queue->cons, cons | FIELD_PREP(CMDQ_CONS_ERR, queue->error));
}

/* What the driver does in its interrupt handler, and the SMMU when that has been acknowledged. */
static void fake_acknowledge(struct fake *fake, struct fake_queue *queue)
{
	__arm_smmu_cmdq_skip_err(&fake->smmu, &queue->cmdq);
	queue->error = 0;
}

static enum hrtimer_restart fake_tick(struct hrtimer *timer)
{
	struct fake *fake = container_of(timer, struct fake, timer);

	if (fake->slow_ms) {
		fake_run(&fake->queue[0], 1);
		hrtimer_forward_now(timer, ms_to_ktime(fake->slow_ms));
		return HRTIMER_RESTART;
	}
	if (READ_ONCE(fake->running)) {
		fake_run(&fake->queue[0], TICK_COMMANDS);
		fake_run(&fake->queue[1], TICK_COMMANDS);
		if (fake->acknowledge && fake->queue[0].error)
			fake_acknowledge(fake, &fake->queue[0]);
	}
	hrtimer_forward_now(timer, TICK_NS);
	return HRTIMER_RESTART;
}

static void fake_start(struct fake *fake)
{
	hrtimer_setup(&fake->timer, fake_tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(&fake->timer, TICK_NS, HRTIMER_MODE_REL_PINNED_HARD);
}

/* The last command says something. */
static u32 cmdq_submit(struct fake *fake, struct fake_queue *queue, int n, bool sync)
{
	struct arm_smmu_cmd cmds[SIZE] = {};
	int i;

	for (i = 0; i < n; i++)
		cmds[i] = arm_smmu_make_cmd_op(CMDQ_OP_TLBI_NH_ALL);
	if (n)
		cmds[n - 1].data[1] = ++fake->say;
	return arm_smmu_cmdq_submit(&fake->smmu, &queue->cmdq, cmds, n, sync);
}

static int cmdq_wait(struct fake *fake, struct fake_queue *queue, u32 number)
{
	return arm_smmu_cmdq_wait(&fake->smmu, &queue->cmdq, number);
}

/* Where somebody else runs the SMMU, who may not get to it for longer than the driver waits. */
static int cmdq_wait_long(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq, u32 number)
{
	int ret;

	do {
		ret = arm_smmu_cmdq_wait(smmu, cmdq, number);
	} while (ret == -ETIMEDOUT);
	return ret;
}

/* A CMD_SYNC has ended when the SMMU has executed it, and not before. */
static void cmdq_test_order(struct kunit *test)
{
	struct fake *fake = fake_init(test, 0);
	struct fake_queue *queue = &fake->queue[0];
	u32 first = cmdq_submit(fake, queue, 3, true);
	u32 plain = cmdq_submit(fake, queue, 2, false);
	u32 second = cmdq_submit(fake, queue, 0, true);
	int i;

	KUNIT_EXPECT_EQ(test, first, 4);
	KUNIT_EXPECT_EQ(test, plain, 6);
	KUNIT_EXPECT_EQ(test, second, 7);
	KUNIT_EXPECT_EQ(test, queue->prod, 7);
	for (i = 0; i < 7; i++) {
		KUNIT_EXPECT_EQ(test, arm_smmu_cmdq_done(&queue->cmdq, first, true), i >= 4);
		KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_done(&queue->cmdq, second, true));
		fake_run(queue, 1);
	}
	/* In any order */
	KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, second), 0);
	KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, first), 0);
}

/* A queue takes longer than a second, but no command does. */
static void cmdq_test_slow(struct kunit *test)
{
	struct fake *fake = fake_init(test, 0);
	struct fake_queue *queue = &fake->queue[0];
	u32 number = cmdq_submit(fake, queue, 4, true), at;
	ktime_t began = ktime_get();

	fake->slow_ms = 350;
	fake_start(fake);
	KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, number), 0);
	hrtimer_cancel(&fake->timer);
	KUNIT_EXPECT_GT(test, ktime_ms_delta(ktime_get(), began), 1000);

	/* At the end, no time counts for what comes. */
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_stands(&queue->cmdq, number, &at));
	KUNIT_EXPECT_EQ(test, at, number);
	msleep(1100);
	number = cmdq_submit(fake, queue, 0, true);
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_stands(&queue->cmdq, number, &at));
	msleep(1100);
	KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_stands(&queue->cmdq, number, &at));
	KUNIT_EXPECT_EQ(test, at, number - 1);
}

/* About a CMD_SYNC that ends when so many commands have been executed. */
static bool cmdq_test_is_wrong(struct fake_queue *queue, u32 number, bool look, u32 end)
{
	bool ended = queue->executed >= end;

	return arm_smmu_cmdq_done(&queue->cmdq, number, look) != ended;
}

/*
 * Submissions of all sizes, executed in pieces of all sizes; those who wait look late, when the
 * queue has gone round several times. Numbers begin at 0, and so that they wrap on the way.
 */
#define LATE		(40 * SIZE)

static void cmdq_test_wrap(struct kunit *test)
{
	static const u32 starts[] = { 0, BIT(30) - 2 * SIZE, BIT(31) - 2 * SIZE };
	struct rnd_state rnd;
	u32 *numbers, *ends;
	int i, k, n, status;

	numbers = kunit_kcalloc(test, LATE, sizeof(*numbers), GFP_KERNEL);
	ends = kunit_kcalloc(test, LATE, sizeof(*ends), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, numbers && ends);

	for (i = 0; i < 2 * ARRAY_SIZE(starts); i++) {
		struct fake *fake = fake_init(test, starts[i / 2]);
		struct fake_queue *queue = &fake->queue[0];
		u32 submitted = 0;

		status = i % 2;
		if (status)
			fake_use_status(test, queue);
		prandom_seed_state(&rnd, 14 + i);
		for (k = 0; k < LATE; k++) {
			n = prandom_u32_state(&rnd) % 20;
			if (submitted - queue->executed + n + 1 > SIZE)
				fake_run(queue, ALL);
			numbers[k] = cmdq_submit(fake, queue, n, true);
			submitted += n + 1;
			ends[k] = submitted;
			fake_run(queue, prandom_u32_state(&rnd) % 20);

			/* Of the last ones, and of one from any time */
			n = max(k - 5, 0);
			for (; n <= k; n++)
				if (cmdq_test_is_wrong(queue, numbers[n], !status, ends[n]))
					KUNIT_FAIL(test, "start %#x, status %d: %d of %d",
						   starts[i / 2], status, n, k);
			n = prandom_u32_state(&rnd) % (k + 1);
			if (cmdq_test_is_wrong(queue, numbers[n], true, ends[n]))
				KUNIT_FAIL(test, "start %#x, status %d: late, %d of %d",
					   starts[i / 2], status, n, k);
		}
		fake_run(queue, ALL);
		KUNIT_EXPECT_EQ(test, queue->executed, submitted);
		KUNIT_EXPECT_FALSE(test, queue->disorder);
		kunit_device_unregister(test, fake->smmu.dev);
	}
}

/* Writes to status words come late, or never. */
static void cmdq_test_late_status(struct kunit *test)
{
	struct fake *fake = fake_init(test, 0);
	struct fake_queue *queue = &fake->queue[0];
	u32 first, second, slot, data;

	fake_use_status(test, queue);
	first = cmdq_submit(fake, queue, 1, true);
	queue->keep = true;
	fake_run(queue, ALL);
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_done(&queue->cmdq, first, false));
	KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_done(&queue->cmdq, first, true));
	KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, first), 0);
	slot = queue->kept_slot;
	data = queue->kept_data;

	/* The slot is used again, and the first one's write comes now. */
	cmdq_submit(fake, queue, SIZE / 2, false);
	fake_run(queue, ALL);
	second = cmdq_submit(fake, queue, SIZE / 2 - 1, true);
	KUNIT_EXPECT_EQ(test, second, first + SIZE);
	fake_write_status(queue, slot, data);
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_done(&queue->cmdq, second, true));
	KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_done(&queue->cmdq, first, false));

	queue->keep = false;
	fake_run(queue, ALL);
	KUNIT_EXPECT_EQ(test, queue->kept_slot, slot);
	KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_done(&queue->cmdq, second, false));
	KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_done(&queue->cmdq, first, false));
	/* Eight bytes are in one word. */
	KUNIT_EXPECT_EQ(test, le64_to_cpu(queue->cmdq.status[slot - 1]), 0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(queue->cmdq.status[slot + 1]), 0);
}

/* What is in a status word may be from so long ago that it looks like a later number. */
static void cmdq_test_old_status(struct kunit *test)
{
	struct fake *fake = fake_init(test, BIT(30) + 4 * SIZE);
	struct fake_queue *queue = &fake->queue[0];
	u32 number;

	fake_use_status(test, queue);
	fake_write_status(queue, 1, 2);
	number = cmdq_submit(fake, queue, 1, true);
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_done(&queue->cmdq, number, true));
	fake_run(queue, ALL);
	KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_done(&queue->cmdq, number, false));
}

static bool cmdq_refused(struct fake_queue *queue, u32 number, u32 span)
{
	return arm_smmu_cmdq_refused(&queue->cmdq, number, span, 0);
}

/* The command at each position is bad, and what follows is executed when it has been skipped. */
static void cmdq_test_illegal(struct kunit *test)
{
	const int n = 4;
	int bad, status;

	for (bad = 0; bad <= n; bad++) {
		for (status = 0; status <= 1; status++) {
			struct fake *fake = fake_init(test, 0);
			struct fake_queue *queue = &fake->queue[0];
			u32 before, number, behind;

			if (status)
				fake_use_status(test, queue);
			before = cmdq_submit(fake, queue, 1, true);
			number = cmdq_submit(fake, queue, n, true);
			behind = cmdq_submit(fake, queue, 1, true);
			Q_ENT(&queue->cmdq.q, before + bad)[0] = cpu_to_le64(BAD);
			fake_run(queue, ALL);
			KUNIT_EXPECT_EQ(test, queue->error, CMDQ_ERR_CERROR_ILL_IDX);
			KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, before), 0);
			KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_done(&queue->cmdq, number, true));
			KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_done(&queue->cmdq, behind, true));

			fake_acknowledge(fake, queue);
			fake_run(queue, ALL);
			/* In place of a CMD_SYNC there is one now that writes no status. */
			KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, number), 0);
			KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, behind), 0);
			KUNIT_EXPECT_EQ(test, queue->executed, behind);

			/* It is found among what had it, and nowhere else. */
			KUNIT_EXPECT_TRUE(test, cmdq_refused(queue, number, n + 1));
			KUNIT_EXPECT_FALSE(test, cmdq_refused(queue, before, 2));
			KUNIT_EXPECT_FALSE(test, cmdq_refused(queue, behind, 2));
			KUNIT_EXPECT_TRUE(test, cmdq_refused(queue, before + bad + 1, 1));
			KUNIT_EXPECT_FALSE(test, cmdq_refused(queue, before + bad, bad + 1));
			kunit_device_unregister(test, fake->smmu.dev);
		}
	}
}

/* Too many others have been refused since to know. */
static void cmdq_test_refused_long_ago(struct kunit *test)
{
	struct fake *fake = fake_init(test, 0);
	struct fake_queue *queue = &fake->queue[0];
	u32 number = cmdq_submit(fake, queue, 1, true);
	unsigned int nr;

	fake_run(queue, 0);
	arm_smmu_cmdq_note_refused(&queue->cmdq);
	fake_run(queue, ALL);
	for (nr = 0; nr < 2 * CMDQ_REFUSED; nr++) {
		KUNIT_EXPECT_TRUE(test, cmdq_refused(queue, number, 2));
		/* It was before these. */
		KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_refused(&queue->cmdq, number, 2, nr + 1));
		cmdq_submit(fake, queue, 1, false);
		arm_smmu_cmdq_note_refused(&queue->cmdq);
		fake_run(queue, ALL);
	}
}

/* What the SMMU refuses is sent again, a few times. */
static void cmdq_test_sent_again(struct kunit *test)
{
	struct arm_smmu_cmd cmds[] = {
		arm_smmu_make_cmd_op(CMDQ_OP_TLBI_NH_ALL), arm_smmu_make_cmd_op(BAD),
	};
	struct fake *fake = fake_init(test, 0);
	struct fake_queue *queue = &fake->queue[0];
	int ret, refusals;
	u32 executed;

	fake->running = true;
	fake->acknowledge = true;
	fake_start(fake);
	for (refusals = 2; refusals >= 0; refusals -= 2) {
		/* Once more if the timer was late */
		do {
			msleep(20);
			queue->refused = 0;
			queue->refusals = refusals;
			executed = queue->executed;
			ret = __arm_smmu_cmdq_issue_cmdlist(&fake->smmu, &queue->cmdq, cmds,
							    ARRAY_SIZE(cmds), true);
		} while (ret == -ETIMEDOUT);
		KUNIT_EXPECT_EQ(test, ret, refusals ? 0 : -EIO);
		KUNIT_EXPECT_GE(test, queue->refused, 2);
		KUNIT_EXPECT_EQ(test, queue->executed - executed,
				3 * (queue->refused + !!refusals));
	}
	hrtimer_cancel(&fake->timer);
}

/* A device did not answer: the SMMU stops at the CMD_SYNC, and executes it again. */
static void cmdq_test_atc_timeout(struct kunit *test)
{
	int status, nth;

	for (nth = 1; nth <= 3; nth++) {
		for (status = 0; status <= 1; status++) {
			struct fake *fake = fake_init(test, 0);
			struct fake_queue *queue = &fake->queue[0];
			u32 numbers[3];
			int i;

			if (status)
				fake_use_status(test, queue);
			for (i = 0; i < 3; i++)
				numbers[i] = cmdq_submit(fake, queue, 2, true);
			queue->stop_sync = nth;
			fake_run(queue, ALL);
			KUNIT_EXPECT_EQ(test, queue->error, CMDQ_ERR_CERROR_ATC_INV_IDX);
			for (i = 0; i < 3; i++)
				KUNIT_EXPECT_EQ(test, arm_smmu_cmdq_done(&queue->cmdq, numbers[i],
									 true), i + 1 < nth);
			fake_acknowledge(fake, queue);
			fake_run(queue, ALL);
			for (i = 0; i < 3; i++)
				KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, numbers[i]), 0);
			kunit_device_unregister(test, fake->smmu.dev);
		}
	}
}

static void cmdq_test_add_atc(struct arm_smmu_cmd *cmds, int *n, u32 sid, int count)
{
	while (count--)
		cmds[(*n)++] = arm_smmu_make_cmd_atc_inv_all(sid, IOMMU_NO_PASID);
}

/* The error is about what is between two CMD_SYNCs. If that is one device, it has a name. */
static void cmdq_test_atc_named(struct kunit *test)
{
	static const struct {
		int one, other, pad;
		bool named;
	} runs[] = {
		{ 1, 0, 0, true },
		{ 3, 0, 2, true },
		{ 1, 1, 0, false },
		{ 0, 0, 3, false },
		{ SIZE / 2 - 2, 0, 0, true },
		/* The CMD_SYNC before is too far off. */
		{ 1, 0, SIZE / 2 + 1, false },
	};
	struct arm_smmu_atc_error error;
	struct arm_smmu_cmd cmds[SIZE];
	u32 before, number;
	int i, n;

	for (i = 0; i < 2 * ARRAY_SIZE(runs); i++) {
		const typeof(runs[0]) *run = &runs[i / 2];
		/* Also where the numbers of llq.cons and of the registers are far apart */
		struct fake *fake = fake_init(test, i % 2 ? 0x7fffff80 : 0);
		struct fake_queue *queue = &fake->queue[0];

		queue->cmdq.atc_errors = kunit_kcalloc(test, SIZE, sizeof(error), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, queue->cmdq.atc_errors);
		n = 0;
		cmdq_test_add_atc(cmds, &n, 0x100, 1);
		before = arm_smmu_cmdq_submit(&fake->smmu, &queue->cmdq, cmds, n, true);
		n = 0;
		while (n < run->pad)
			cmds[n++] = arm_smmu_make_cmd_op(CMDQ_OP_TLBI_NH_ALL);
		cmdq_test_add_atc(cmds, &n, 0x200, run->one);
		cmdq_test_add_atc(cmds, &n, 0x300, run->other);
		number = arm_smmu_cmdq_submit(&fake->smmu, &queue->cmdq, cmds, n, true);

		queue->stop_sync = 2;
		fake_run(queue, ALL);
		KUNIT_ASSERT_EQ(test, queue->error, CMDQ_ERR_CERROR_ATC_INV_IDX);
		KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_atc_error(&queue->cmdq, number - 1, &error));
		fake_acknowledge(fake, queue);
		fake_run(queue, ALL);
		KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, number), 0);

		KUNIT_EXPECT_EQ(test, queue->cmdq.nr_atc_errors, 1);
		KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_atc_error(&queue->cmdq, before - 1, &error));
		KUNIT_ASSERT_TRUE(test, arm_smmu_cmdq_atc_error(&queue->cmdq, number - 1, &error));
		KUNIT_EXPECT_EQ(test, error.named, run->named);
		if (run->named)
			KUNIT_EXPECT_EQ(test, error.sid, 0x200);
		/* Somebody is looked for if there is anybody. */
		KUNIT_EXPECT_EQ(test, queue->cmdq.unnamed, run->one && !run->named);
		/* Not the one that has the slot in the next round */
		KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_atc_error(&queue->cmdq, number - 1 + SIZE,
								 &error));
		kunit_device_unregister(test, fake->smmu.dev);
	}
}

static void cmdq_test_add_error(struct fake *fake, struct fake_queue *queue)
{
	cmdq_submit(fake, queue, 1, true);
	queue->stop_sync = 1;
	fake_run(queue, ALL);
	fake_acknowledge(fake, queue);
	fake_run(queue, ALL);
}

/* Numbers come again. The next command with this one has no error, unlike that of long ago. */
static void cmdq_test_atc_long_ago(struct kunit *test)
{
	struct fake *fake = fake_init(test, 0);
	struct fake_queue *queue = &fake->queue[0];
	struct arm_smmu_cmdq *cmdq = &queue->cmdq;
	struct arm_smmu_atc_error error;
	u32 first, second;
	int i;

	cmdq->atc_errors = kunit_kcalloc(test, SIZE, sizeof(error), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, cmdq->atc_errors);
	cmdq_test_add_error(fake, queue);
	first = cmdq->q.llq.prod - 1;
	KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_atc_error(cmdq, first, &error));

	/* What is in between is left out. The registers are as before. */
	cmdq->q.llq.prod += BIT(28) - 2 * SIZE;
	cmdq->q.llq.cons = cmdq->q.llq.prod;
	atomic_set(&cmdq->owner_prod, cmdq->q.llq.prod);
	cmdq_test_add_error(fake, queue);
	/* As if a device had left that was looked for. */
	cmdq->unnamed = true;
	second = cmdq->q.llq.prod - 1;
	for (i = 0; i < 8; i++) {
		KUNIT_EXPECT_TRUE(test, arm_smmu_cmdq_atc_error(cmdq, second, &error));
		cmdq_submit(fake, queue, SIZE / 2 - 1, true);
		fake_run(queue, ALL);
	}
	KUNIT_EXPECT_GT(test, cmdq->q.llq.cons, BIT(28) + first);
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_atc_error(cmdq, first, &error));
	KUNIT_EXPECT_FALSE(test, cmdq->unnamed);
}

/* A queue that is full, and then all executed: the registers are equal but for the wrap bit. */
static void cmdq_test_whole(struct kunit *test)
{
	struct fake *fake = fake_init(test, 0);
	struct fake_queue *queue = &fake->queue[0];
	u32 number = cmdq_submit(fake, queue, SIZE - 1, true);

	KUNIT_EXPECT_EQ(test, queue->prod, SIZE);
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_done(&queue->cmdq, number, true));
	fake_run(queue, ALL);
	KUNIT_ASSERT_TRUE(test, arm_smmu_cmdq_done(&queue->cmdq, number, true));
	number = cmdq_submit(fake, queue, SIZE - 1, true);
	KUNIT_EXPECT_EQ(test, number, 2 * SIZE);
	KUNIT_EXPECT_EQ(test, queue->prod, 0);
	KUNIT_EXPECT_FALSE(test, arm_smmu_cmdq_done(&queue->cmdq, number, true));
	fake_run(queue, ALL);
	KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, number), 0);
}

/* Who needs room finds it, and nothing is lost or overwritten. */
static void cmdq_test_full(struct kunit *test)
{
	struct fake *fake = fake_init(test, 0);
	struct fake_queue *queue = &fake->queue[0];
	u32 first, last = 0;
	int i;

	first = cmdq_submit(fake, queue, SIZE / 2 - 1, true);
	cmdq_submit(fake, queue, SIZE / 2, false);
	KUNIT_EXPECT_EQ(test, queue->prod, SIZE);

	fake->running = true;
	fake_start(fake);
	for (i = 0; i < 200; i++)
		last = cmdq_submit(fake, queue, i % (SIZE - 1) + 1, true);
	KUNIT_EXPECT_EQ(test, cmdq_wait_long(&fake->smmu, &queue->cmdq, last), 0);
	KUNIT_EXPECT_EQ(test, cmdq_wait(fake, queue, first), 0);
	hrtimer_cancel(&fake->timer);

	KUNIT_EXPECT_EQ(test, queue->executed, last);
	KUNIT_EXPECT_EQ(test, queue->said, fake->say);
	KUNIT_EXPECT_FALSE(test, queue->disorder);
}

/* What an interrupt has submitted, and how that ended. */
struct interrupt {
	struct irq_work work;
	struct fake *fake;
	int error;
	bool hard;
};

static void cmdq_test_interrupts(struct irq_work *work)
{
	struct interrupt *interrupt = container_of(work, struct interrupt, work);
	struct fake *fake = interrupt->fake;

	interrupt->hard = in_hardirq();
	WRITE_ONCE(fake->running, true);
	interrupt->error = cmdq_wait_long(&fake->smmu, &fake->queue[0].cmdq,
					  cmdq_submit(fake, &fake->queue[0], 3, true));
}

static int cmdq_test_smmu(void *arg)
{
	struct fake *fake = arg;

	while (!kthread_should_stop()) {
		if (READ_ONCE(fake->running))
			fake_run(&fake->queue[0], TICK_COMMANDS);
		cond_resched();
	}
	return 0;
}

/* An interrupt finds the queue full, of a flush among others that it has interrupted. */
static void cmdq_test_interrupt(struct kunit *test)
{
	struct interrupt interrupt = { .error = -EINPROGRESS };
	struct task_struct *task;
	struct fake_queue *queue;
	unsigned int cpu;
	u32 number;

	if (num_online_cpus() < 2)
		kunit_skip(test, "an interrupt holds one CPU up, the test needs another");

	interrupt.fake = fake_init(test, 0);
	queue = &interrupt.fake->queue[0];
	init_irq_work(&interrupt.work, cmdq_test_interrupts);
	number = cmdq_submit(interrupt.fake, queue, SIZE - 1, true);
	KUNIT_ASSERT_EQ(test, queue->prod, SIZE);

	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	task = kthread_create_on_cpu(cmdq_test_smmu, interrupt.fake, cpu, "smmu/%u");
	if (!IS_ERR(task)) {
		wake_up_process(task);
		irq_work_queue(&interrupt.work);
		irq_work_sync(&interrupt.work);
	}
	migrate_enable();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);

	KUNIT_EXPECT_TRUE(test, interrupt.hard);
	KUNIT_EXPECT_EQ(test, interrupt.error, 0);
	KUNIT_EXPECT_EQ(test, cmdq_wait(interrupt.fake, queue, number), 0);
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, queue->executed, SIZE + 4);
}

/* Two flushes go to two SMMUs, from different ends, and wait for both. */
struct flusher {
	struct fake *fake;
	struct completion done;
	int first;
	int errors;
};

#define ROUNDS		200

static int cmdq_test_flusher(void *arg)
{
	struct flusher *flusher = arg;
	struct fake *fake = flusher->fake;
	struct arm_smmu_cmd cmds[SIZE / 2];
	struct arm_smmu_cmdq *cmdq[2];
	u32 number[2];
	int round, i;

	for (i = 0; i < ARRAY_SIZE(cmds); i++)
		cmds[i] = arm_smmu_make_cmd_op(CMDQ_OP_TLBI_NH_ALL);
	cmdq[0] = &fake->queue[flusher->first].cmdq;
	cmdq[1] = &fake->queue[!flusher->first].cmdq;
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < 2; i++)
			number[i] = arm_smmu_cmdq_submit(&fake->smmu, cmdq[i], cmds,
							 ARRAY_SIZE(cmds), true);
		for (i = 0; i < 2; i++)
			flusher->errors += !!cmdq_wait_long(&fake->smmu, cmdq[i], number[i]);
	}
	complete(&flusher->done);
	return 0;
}

static void cmdq_test_two_queues(struct kunit *test)
{
	struct fake *fake = fake_init(test, 0);
	struct flusher flusher[2] = {};
	struct task_struct *task;
	int i;

	fake->running = true;
	fake_start(fake);
	for (i = 0; i < 2; i++) {
		flusher[i].fake = fake;
		flusher[i].first = i;
		init_completion(&flusher[i].done);
		task = kthread_run(cmdq_test_flusher, &flusher[i], "flush/%d", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	}
	for (i = 0; i < 2; i++) {
		wait_for_completion(&flusher[i].done);
		KUNIT_EXPECT_EQ(test, flusher[i].errors, 0);
	}
	hrtimer_cancel(&fake->timer);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, fake->queue[i].executed, 2 * ROUNDS * (SIZE / 2 + 1));
}

static struct kunit_case cmdq_test_cases[] = {
	KUNIT_CASE(cmdq_test_order),
	KUNIT_CASE(cmdq_test_slow),
	KUNIT_CASE(cmdq_test_wrap),
	KUNIT_CASE(cmdq_test_late_status),
	KUNIT_CASE(cmdq_test_old_status),
	KUNIT_CASE(cmdq_test_illegal),
	KUNIT_CASE(cmdq_test_refused_long_ago),
	KUNIT_CASE(cmdq_test_sent_again),
	KUNIT_CASE(cmdq_test_atc_timeout),
	KUNIT_CASE(cmdq_test_atc_named),
	KUNIT_CASE(cmdq_test_atc_long_ago),
	KUNIT_CASE(cmdq_test_whole),
	KUNIT_CASE(cmdq_test_full),
	KUNIT_CASE(cmdq_test_interrupt),
	KUNIT_CASE(cmdq_test_two_queues),
	{}
};

static struct kunit_suite cmdq_test_suite = {
	.name = "arm-smmu-v3-cmdq",
	.test_cases = cmdq_test_cases,
};

kunit_test_suite(cmdq_test_suite);

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("KUnit tests for the command queue of the arm-smmu-v3 driver");
MODULE_LICENSE("GPL");
