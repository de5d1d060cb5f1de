// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the command buffer
 *
 * The registers are memory, and the hardware runs when a test says so: up to the tail, command
 * by command, as 2.4 and 2.4.1 of the specification (48882) have it.
 */
#include <kunit/test.h>
#include <linux/hrtimer.h>
#include <linux/timer.h>

#include "amd_iommu.h"

#define SEM_PADDR	0x123456789000ULL
#define BUF_PADDR	0x12345678a000ULL
#define LAST		(CMD_BUFFER_ENTRIES - 1)

struct fake {
	struct amd_iommu iommu;
	struct amd_iommu_pci_seg seg;
	struct iommu_cmd buf[CMD_BUFFER_ENTRIES];
	u8 reg[SZ_16K] __aligned(8);
	u64 sem;
	unsigned int head;		/* entries, as is tail */
	unsigned int executed;		/* but for completion waits */
	unsigned int waits;
	u32 last;			/* what the last command was about */
};

static struct iommu_cmd command(u32 about)
{
	return (struct iommu_cmd){ .data = { about, CMD_INV_DEV_ENTRY << 28 } };
}

static unsigned int fake_tail(struct fake *fake)
{
	return readl(fake->iommu.mmio_base + MMIO_CMD_TAIL_OFFSET) / sizeof(struct iommu_cmd);
}

static void fake_run(struct kunit *test, struct fake *fake)
{
	while (fake->head != fake_tail(fake)) {
		const u32 *word = fake->buf[fake->head].data;

		fake->head = (fake->head + 1) % CMD_BUFFER_ENTRIES;
		if (word[1] >> 28 != CMD_COMPL_WAIT) {
			fake->executed++;
			fake->last = word[0];
			continue;
		}
		fake->waits++;
		KUNIT_EXPECT_EQ(test, word[0],
				lower_32_bits(SEM_PADDR) | CMD_COMPL_WAIT_STORE_MASK);
		KUNIT_EXPECT_EQ(test, word[1] & GENMASK(19, 0), upper_32_bits(SEM_PADDR));
		WRITE_ONCE(fake->sem, (u64)word[3] << 32 | word[2]);
	}
	writel(fake->head * sizeof(struct iommu_cmd), fake->iommu.mmio_base + MMIO_CMD_HEAD_OFFSET);
}

/* The hardware stops in front of the entry @at, having executed all before it. */
static void fake_move_to(struct fake *fake, unsigned int at)
{
	u32 offset = at * sizeof(struct iommu_cmd);

	fake->head = at;
	fake->iommu.cmd_buf_head = offset;
	fake->iommu.cmd_buf_tail = offset;
	writel(offset, fake->iommu.mmio_base + MMIO_CMD_HEAD_OFFSET);
	writel(offset, fake->iommu.mmio_base + MMIO_CMD_TAIL_OFFSET);
}

static int queue_init(struct kunit *test)
{
	struct fake *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);

	if (!fake)
		return -ENOMEM;
	raw_spin_lock_init(&fake->iommu.lock);
	raw_spin_lock_init(&fake->iommu.ctrl_lock);
	fake->iommu.pci_seg = &fake->seg;
	fake->iommu.cmd_buf = (u8 *)fake->buf;
	fake->iommu.mmio_base = (u8 __force __iomem *)fake->reg;
	fake->iommu.cmd_sem = &fake->sem;
	fake->iommu.cmd_sem_paddr = SEM_PADDR;
	test->priv = fake;
	return 0;
}

static void queue_submit(struct kunit *test)
{
	struct iommu_cmd cmds[] = { command(1), command(2), command(3) };
	struct fake *fake = test->priv;
	u64 seq = 0;

	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, cmds, 3, &seq), 0);
	KUNIT_EXPECT_EQ(test, seq, 1);
	KUNIT_EXPECT_EQ(test, fake_tail(fake), 4);
	KUNIT_EXPECT_MEMEQ(test, fake->buf, cmds, sizeof(cmds));
	KUNIT_EXPECT_EQ(test, fake->buf[3].data[1] >> 28, CMD_COMPL_WAIT);
	KUNIT_EXPECT_FALSE(test, fake->iommu.need_sync);

	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, fake->executed, 3);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, seq), 0);
}

static bool pending(const struct fake *fake, u64 seq)
{
	return (s64)(READ_ONCE(*fake->iommu.cmd_sem) - seq) < 0;
}

/* Until the number has arrived, nobody may go on. */
static void queue_timeout(struct kunit *test)
{
	struct iommu_cmd cmd = command(1);
	struct fake *fake = test->priv;
	u64 first, second;

	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, &cmd, 1, &first), 0);
	fake_run(test, fake);
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, &cmd, 1, &second), 0);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, first), 0);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, second), -EIO);
	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, second), 0);
}

static struct late {
	struct timer_list timer;
	struct fake *fake;
	u64 seq;
	unsigned int busy;
} late;

static void late_done(struct timer_list *timer)
{
	WRITE_ONCE(late.fake->sem, late.seq);
}

/* An IOMMU that waits for a silent device is late by a second, and has not failed. */
static void queue_late(struct kunit *test)
{
	struct iommu_cmd cmd = command(1);
	struct fake *fake = test->priv;

	late.fake = fake;
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, &cmd, 1, &late.seq), 0);
	timer_setup(&late.timer, late_done, 0);
	mod_timer(&late.timer, jiffies + HZ + 1);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, late.seq), 0);
	timer_shutdown_sync(&late.timer);
}

static void late_room(struct timer_list *timer)
{
	u32 tail = readl(late.fake->iommu.mmio_base + MMIO_CMD_TAIL_OFFSET);

	raw_spin_lock(&late.fake->iommu.lock);
	writel(tail, late.fake->iommu.mmio_base + MMIO_CMD_HEAD_OFFSET);
	raw_spin_unlock(&late.fake->iommu.lock);
}

/* A wait for room does not hold the lock, and leaves interrupts as they are. */
static void queue_late_room(struct kunit *test)
{
	struct iommu_cmd cmd = command(1);
	struct fake *fake = test->priv;
	int i;

	late.fake = fake;
	for (i = 0; i < LAST; i++)
		KUNIT_ASSERT_EQ(test, amd_iommu_queue(&fake->iommu, &cmd, 1), 0);
	timer_setup(&late.timer, late_room, 0);
	mod_timer(&late.timer, jiffies + HZ + 1);
	KUNIT_EXPECT_EQ(test, amd_iommu_queue(&fake->iommu, &cmd, 1), 0);
	timer_shutdown_sync(&late.timer);
}

enum { BUSY_NUMBERS, BUSY_HEAD, BUSY_ROOM };

/* The hardware goes on, but slowly: something happens each two seconds. */
static void busy_step(struct timer_list *timer)
{
	struct fake *fake = late.fake;
	void __iomem *head = fake->iommu.mmio_base + MMIO_CMD_HEAD_OFFSET;

	if (late.busy == BUSY_NUMBERS)
		WRITE_ONCE(fake->sem, fake->sem + 1);
	else if (readl(head) == 100 * sizeof(struct iommu_cmd))
		WRITE_ONCE(fake->sem, late.seq);
	if (late.busy != BUSY_NUMBERS)
		writel(readl(head) + 50 * sizeof(struct iommu_cmd), head);
	mod_timer(timer, jiffies + 2 * HZ);
}

/* An IOMMU that has much to do in front of a command is waited for, as long as it goes on. */
static void queue_busy(struct kunit *test)
{
	static const struct iommu_cmd cmds[CMD_BUFFER_ENTRIES / 4];
	struct fake *fake = test->priv;
	int i;

	late.fake = fake;
	for (late.busy = BUSY_NUMBERS; late.busy <= BUSY_ROOM; late.busy++) {
		fake_move_to(fake, 0);
		fake->sem = fake->iommu.cmd_sem_val;
		for (i = 0; i < 3; i++)
			KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, cmds, 1, &late.seq),
					0);
		timer_setup(&late.timer, busy_step, 0);
		mod_timer(&late.timer, jiffies + 2 * HZ);
		if (late.busy == BUSY_ROOM) {
			while (!amd_iommu_try_queue(&fake->iommu, cmds, 1))
				;
			/* The room is there after three steps. */
			KUNIT_EXPECT_EQ(test, amd_iommu_queue(&fake->iommu, cmds,
							      ARRAY_SIZE(cmds)), 0);
		} else {
			KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, late.seq), 0);
		}
		timer_shutdown_sync(&late.timer);
	}
}

/* One completion wait stands for all before it, and none is queued for nothing. */
static void queue_shared_wait(struct kunit *test)
{
	struct iommu_cmd cmd = command(1);
	struct fake *fake = test->priv;
	u64 first, second, third;

	KUNIT_ASSERT_EQ(test, amd_iommu_queue(&fake->iommu, &cmd, 1), 0);
	KUNIT_EXPECT_TRUE(test, fake->iommu.need_sync);
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, NULL, 0, &first), 0);
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, NULL, 0, &second), 0);
	KUNIT_EXPECT_EQ(test, second, first);
	KUNIT_EXPECT_EQ(test, fake_tail(fake), 2);

	/* It is queued, and not done. */
	KUNIT_EXPECT_TRUE(test, pending(fake, second));

	KUNIT_ASSERT_EQ(test, amd_iommu_queue(&fake->iommu, &cmd, 1), 0);
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, NULL, 0, &third), 0);
	KUNIT_EXPECT_EQ(test, third, first + 1);
	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, fake->executed, 2);
	KUNIT_EXPECT_EQ(test, fake->waits, 2);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, first), 0);
}

/* What does not fit is not queued in part, and takes no number. */
static void queue_full(struct kunit *test)
{
	struct iommu_cmd cmds[] = { command(1), command(2) };
	struct fake *fake = test->priv;
	u64 seq = 77, later;
	int i;

	for (i = 0; i < LAST - 1; i++)
		KUNIT_ASSERT_EQ(test, amd_iommu_queue(&fake->iommu, cmds, 1), 0);

	KUNIT_EXPECT_EQ(test, amd_iommu_try_queue(&fake->iommu, cmds, 2), -EBUSY);
	KUNIT_EXPECT_EQ(test, amd_iommu_try_submit(&fake->iommu, cmds, 1, &seq), -EBUSY);
	/* The number that the next submission takes stands for what is in the buffer. */
	KUNIT_EXPECT_EQ(test, seq, 1);
	KUNIT_EXPECT_EQ(test, fake_tail(fake), LAST - 1);
	KUNIT_EXPECT_EQ(test, fake->iommu.cmd_sem_val, 0);
	KUNIT_EXPECT_TRUE(test, fake->iommu.need_sync);

	/* The last entry but one is usable, the last one is not. */
	KUNIT_EXPECT_EQ(test, amd_iommu_submit(&fake->iommu, NULL, 0, &seq), 0);
	KUNIT_EXPECT_EQ(test, seq, 1);
	KUNIT_EXPECT_EQ(test, amd_iommu_queue(&fake->iommu, cmds, 1), -EIO);
	KUNIT_EXPECT_FALSE(test, fake->iommu.need_sync);
	KUNIT_EXPECT_EQ(test, amd_iommu_try_submit(&fake->iommu, cmds, 1, &later), -EBUSY);
	KUNIT_EXPECT_EQ(test, later, seq);

	/* The number of a submission that failed is not waited for. */
	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, fake->executed, LAST - 1);
	KUNIT_EXPECT_EQ(test, amd_iommu_execute(&fake->iommu, NULL, 0), 0);
	KUNIT_EXPECT_EQ(test, amd_iommu_queue(&fake->iommu, cmds, 2), 0);
}

/* A batch goes on at the begin of the buffer. */
static void queue_wraps(struct kunit *test)
{
	struct iommu_cmd cmds[] = { command(1), command(2), command(3) };
	struct fake *fake = test->priv;
	u64 seq;

	fake_move_to(fake, CMD_BUFFER_ENTRIES - 2);
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, cmds, 3, &seq), 0);
	KUNIT_EXPECT_EQ(test, fake_tail(fake), 2);
	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, fake->executed, 3);
	KUNIT_EXPECT_EQ(test, fake->last, 3);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, seq), 0);
}

static void queue_numbers_wrap(struct kunit *test)
{
	struct iommu_cmd cmd = command(1);
	struct fake *fake = test->priv;
	u64 seq = 1;

	fake->sem = U64_MAX;
	fake->iommu.cmd_sem_val = U64_MAX;
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, &cmd, 1, &seq), 0);
	KUNIT_EXPECT_EQ(test, seq, 0);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, U64_MAX), 0);
	KUNIT_EXPECT_TRUE(test, pending(fake, seq));
	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, seq), 0);
}

/* The hardware has executed what is in front of @at, and fetched what is in front of @head. */
static u64 fake_stop(struct fake *fake, unsigned int at, unsigned int head)
{
	void __iomem *mmio = fake->iommu.mmio_base;

	writeq(BUF_PADDR | MMIO_CMD_SIZE_512, mmio + MMIO_CMD_BUF_OFFSET);
	writeq(0, mmio + MMIO_CONTROL_OFFSET);
	writel(0, mmio + MMIO_STATUS_OFFSET);
	writel(head * sizeof(struct iommu_cmd), mmio + MMIO_CMD_HEAD_OFFSET);
	return BUF_PADDR + at * sizeof(struct iommu_cmd);
}

/* Has the hardware been made to go on? Then it begins at its head. */
static bool fake_restarted(struct fake *fake)
{
	void __iomem *mmio = fake->iommu.mmio_base;

	if (!(readq(mmio + MMIO_CONTROL_OFFSET) & BIT_ULL(CONTROL_CMDBUF_EN)))
		return false;
	fake->head = readl(mmio + MMIO_CMD_HEAD_OFFSET) / sizeof(struct iommu_cmd);
	writel(BIT(4), mmio + MMIO_STATUS_OFFSET);
	return true;
}

/* What the hardware has stopped at is executed, and nothing is left out. */
static void queue_restart(struct kunit *test)
{
	struct iommu_cmd cmds[] = { command(1), command(2), command(3) };
	struct fake *fake = test->priv;
	u64 address, seq;

	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, cmds, 3, &seq), 0);
	/* At the second command, of which the head tells nothing. */
	address = fake_stop(fake, 1, 3);
	amd_iommu_restart_commands(&fake->iommu, address);
	KUNIT_ASSERT_TRUE(test, fake_restarted(fake));
	KUNIT_EXPECT_EQ(test, fake->head, 1);
	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, fake->executed, 2);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, seq), 0);
}

/* Nothing is done about what a command was to store, nor if the buffer is in use. */
static void queue_no_restart(struct kunit *test)
{
	struct iommu_cmd cmds[] = { command(1), command(2), command(3) };
	struct fake *fake = test->priv;
	u64 address, seq;

	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, cmds, 3, &seq), 0);
	address = fake_stop(fake, 1, 1);
	amd_iommu_restart_commands(&fake->iommu, SEM_PADDR);
	amd_iommu_restart_commands(&fake->iommu, BUF_PADDR + CMD_BUFFER_SIZE);
	KUNIT_EXPECT_FALSE(test, fake_restarted(fake));

	/* An event from when the buffer was somewhere else: commands would be left out. */
	amd_iommu_restart_commands(&fake->iommu, address + sizeof(struct iommu_cmd));
	KUNIT_EXPECT_FALSE(test, fake_restarted(fake));

	writel(BIT(4), fake->iommu.mmio_base + MMIO_STATUS_OFFSET);
	amd_iommu_restart_commands(&fake->iommu, address);
	KUNIT_EXPECT_FALSE(test, fake_restarted(fake));
}

/* What never gets through is told at once; when the hardware goes on, it is waited for again. */
static void queue_stopped(struct kunit *test)
{
	struct iommu_cmd cmd = command(1);
	struct fake *fake = test->priv;
	unsigned long began;
	u64 seq, later;
	int i, stops;

	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, &cmd, 1, &seq), 0);
	for (stops = 0; stops < 10; stops++) {
		amd_iommu_restart_commands(&fake->iommu, fake_stop(fake, 0, 0));
		if (!fake_restarted(fake))
			break;
	}
	KUNIT_EXPECT_EQ(test, stops, 3);
	began = jiffies;
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, seq), -EIO);
	for (i = 0; i < LAST; i++)
		amd_iommu_queue(&fake->iommu, &cmd, 1);
	KUNIT_EXPECT_EQ(test, amd_iommu_queue(&fake->iommu, &cmd, 1), -EIO);
	KUNIT_EXPECT_TRUE(test, time_before(jiffies, began + HZ));

	/* The hardware is as good as new. */
	writel(BIT(4), fake->iommu.mmio_base + MMIO_STATUS_OFFSET);
	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, seq), 0);
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&fake->iommu, &cmd, 1, &later), 0);
	i = (fake_tail(fake) - 2) % CMD_BUFFER_ENTRIES;
	amd_iommu_restart_commands(&fake->iommu, fake_stop(fake, i, i));
	KUNIT_ASSERT_TRUE(test, fake_restarted(fake));
	fake_run(test, fake);
	KUNIT_EXPECT_EQ(test, amd_iommu_wait(&fake->iommu, later), 0);
}

static struct control {
	struct hrtimer timer;
	struct amd_iommu *iommu;
	bool on;
	unsigned int ticks, lost;
} control;

static bool control_has(u8 bit)
{
	return readq(control.iommu->mmio_base + MMIO_CONTROL_OFFSET) & BIT_ULL(bit);
}

/* As the thread of another log, which restarts it. */
static enum hrtimer_restart control_tick(struct hrtimer *timer)
{
	control.lost += control_has(CONTROL_PPRLOG_EN) != control.on;
	control.on = !control.on;
	if (control.on)
		iommu_feature_enable(control.iommu, CONTROL_PPRLOG_EN);
	else
		iommu_feature_disable(control.iommu, CONTROL_PPRLOG_EN);
	control.ticks++;
	hrtimer_forward_now(timer, 20 * NSEC_PER_USEC);
	return HRTIMER_RESTART;
}

/* Concurrent changes of different bits are not lost. */
static void queue_control(struct kunit *test)
{
	struct fake *fake = test->priv;
	unsigned long until = jiffies + 5 * HZ;
	unsigned int lost = 0;

	control = (struct control){ .iommu = &fake->iommu };
	hrtimer_setup(&control.timer, control_tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	hrtimer_start(&control.timer, 0, HRTIMER_MODE_REL);
	while (READ_ONCE(control.ticks) < 5000 && time_before(jiffies, until)) {
		iommu_feature_disable(&fake->iommu, CONTROL_CMDBUF_EN);
		lost += control_has(CONTROL_CMDBUF_EN);
		iommu_feature_enable(&fake->iommu, CONTROL_CMDBUF_EN);
		lost += !control_has(CONTROL_CMDBUF_EN);
	}
	hrtimer_cancel(&control.timer);
	KUNIT_EXPECT_GT(test, control.ticks, 10);
	KUNIT_EXPECT_EQ(test, lost, 0);
	KUNIT_EXPECT_EQ(test, control.lost, 0);
}

static struct kunit_case queue_cases[] = {
	KUNIT_CASE(queue_submit),
	KUNIT_CASE_SLOW(queue_timeout),
	KUNIT_CASE_SLOW(queue_late),
	KUNIT_CASE_SLOW(queue_late_room),
	KUNIT_CASE_SLOW(queue_busy),
	KUNIT_CASE(queue_shared_wait),
	KUNIT_CASE_SLOW(queue_full),
	KUNIT_CASE(queue_wraps),
	KUNIT_CASE(queue_numbers_wrap),
	KUNIT_CASE(queue_restart),
	KUNIT_CASE_SLOW(queue_no_restart),
	KUNIT_CASE_SLOW(queue_stopped),
	KUNIT_CASE(queue_control),
	{}
};

static struct kunit_suite queue_suite = {
	.name = "iommu_alist_amd_queue",
	.init = queue_init,
	.test_cases = queue_cases,
};

kunit_test_suite(queue_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for the command buffer of AMD-Vi");
