// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command buffer
 *
 * Submitting and waiting are separate, so that a caller with several IOMMUs can submit to all
 * of them before it waits for the first one. Section numbers are those of the I/O
 * Virtualization Technology specification, 48882.
 *
 * A COMPLETION_WAIT stores its number into iommu->cmd_sem when all commands before it have
 * completed (2.4.1). The number is taken under iommu->lock, in the section that queues the
 * commands, and only if the buffer takes them: numbers arrive in order, so a number that has
 * arrived implies all lower ones. need_sync says that the last COMPLETION_WAIT in the buffer
 * is not the last command.
 *
 * Nothing waits with iommu->lock held: a caller that finds no room drops it and tries again.
 *
 * An IOMMU that rejects a command, or cannot read it, stops there and logs an event (2.5.6,
 * 2.5.7). What it stopped at, and all behind it, is still in the buffer: it is restarted
 * there, so nothing is left out and waiters only wait longer. If it does not get past the
 * command, waiters get an error at once.
 */
#define pr_fmt(fmt)	"AMD-Vi: " fmt

#include <linux/delay.h>
#include <linux/iopoll.h>
#include <linux/mem_encrypt.h>
#include <linux/once_lite.h>
#include <linux/sched/clock.h>

#include "amd_iommu.h"

/*
 * An IOMMU waits a second for a device that does not answer, as CONTROL_INV_TIMEOUT says, and
 * executes no other command in that time. There may be any number of commands to such devices in
 * front of one, so no time is too long for a wait. But if nothing at all is executed for this
 * long, in units of amd_iommu_clock(), the IOMMU is stuck.
 */
#define QUEUE_TIMEOUT		5000

#define ROOM_POLL_US		10

/* CmdBufRun of the status register: commands are fetched. */
#define STATUS_CMD_RUN		BIT(4)
#define STOP_TIMEOUT_US		(10 * USEC_PER_MSEC)

/* How often an IOMMU may stop between two completed numbers. */
#define MAX_RESTARTS		3

static void dump_commands(struct amd_iommu *iommu)
{
	const u32 *word = (const u32 *)iommu->cmd_buf;
	int i;

	pr_err("Command buffer: head %#x, tail %#x\n",
	       readl(iommu->mmio_base + MMIO_CMD_HEAD_OFFSET),
	       readl(iommu->mmio_base + MMIO_CMD_TAIL_OFFSET));
	for (i = 0; i < CMD_BUFFER_ENTRIES; i++, word += 4)
		pr_err("%3d: %08x %08x %08x %08x\n", i, word[0], word[1], word[2], word[3]);
}

/**
 * amd_iommu_clock() - The time, also while timekeeping is suspended
 *
 * Context: Any.
 * Return: The time in units of 2^20 ns, about a millisecond.
 */
u32 amd_iommu_clock(void)
{
	return local_clock() >> 20;
}

/* @seen has a value in the upper half, and in the lower one when it was first seen. */
static u32 unchanged_for(u64 *seen, u32 value, u32 now)
{
	u64 last = READ_ONCE(*seen);
	s32 age = now - lower_32_bits(last);

	/* Another CPU may have read the clock later. */
	if (upper_32_bits(last) == value && age >= 0)
		return age;
	WRITE_ONCE(*seen, (u64)value << 32 | now);
	return 0;
}

/**
 * amd_iommu_stuck() - Has an IOMMU executed nothing for seconds?
 * @iommu: the IOMMU
 * @waited: how long the caller has been waiting, in units of amd_iommu_clock()
 *
 * For pollers: one of them looks per millisecond, as reading the head is slow in a VM.
 *
 * Context: Any.
 * Return: true if it has not, and the caller has been waiting for as long.
 */
bool amd_iommu_stuck(struct amd_iommu *iommu, u32 waited)
{
	u32 now = amd_iommu_clock();
	u32 stored, fetched;

	if (READ_ONCE(iommu->cmd_looked) == now)
		return false;
	WRITE_ONCE(iommu->cmd_looked, now);
	stored = unchanged_for(&iommu->cmd_stored, READ_ONCE(*iommu->cmd_sem), now);
	fetched = unchanged_for(&iommu->cmd_fetched,
				readl(iommu->mmio_base + MMIO_CMD_HEAD_OFFSET), now);
	return min3(stored, fetched, waited) >= QUEUE_TIMEOUT;
}

/* A tail at the head would mean an empty buffer: one command is never used. */
static u32 room(struct amd_iommu *iommu)
{
	return (iommu->cmd_buf_head - iommu->cmd_buf_tail - sizeof(struct iommu_cmd)) %
		CMD_BUFFER_SIZE;
}

static void put_command(struct amd_iommu *iommu, const struct iommu_cmd *cmd)
{
	memcpy(iommu->cmd_buf + iommu->cmd_buf_tail, cmd, sizeof(*cmd));
	iommu->cmd_buf_tail = (iommu->cmd_buf_tail + sizeof(*cmd)) % CMD_BUFFER_SIZE;
}

static void put_completion_wait(struct amd_iommu *iommu, u64 seq)
{
	struct iommu_cmd cmd = { .data = {
		lower_32_bits(iommu->cmd_sem_paddr) | CMD_COMPL_WAIT_STORE_MASK,
		upper_32_bits(iommu->cmd_sem_paddr) | CMD_COMPL_WAIT << 28,
		lower_32_bits(seq),
		upper_32_bits(seq),
	} };

	put_command(iommu, &cmd);
}

static int queue_commands(struct amd_iommu *iommu, const struct iommu_cmd *cmds,
			  unsigned int n, u64 *seq)
{
	u32 bytes = (n + !!seq) * sizeof(*cmds);
	unsigned int i;

	guard(raw_spinlock_irqsave)(&iommu->lock);

	if (!n && seq && !iommu->need_sync) {
		*seq = iommu->cmd_sem_val;
		return 0;
	}

	if (room(iommu) < bytes) {
		/* The head was read some time ago. */
		iommu->cmd_buf_head = readl(iommu->mmio_base + MMIO_CMD_HEAD_OFFSET);
		if (room(iommu) < bytes) {
			if (seq)
				*seq = iommu->cmd_sem_val + iommu->need_sync;
			return -EBUSY;
		}
	}

	for (i = 0; i < n; i++)
		put_command(iommu, &cmds[i]);
	if (seq) {
		*seq = ++iommu->cmd_sem_val;
		put_completion_wait(iommu, *seq);
	}
	iommu->need_sync = !seq;

	/* writel() orders the commands before the tail. */
	writel(iommu->cmd_buf_tail, iommu->mmio_base + MMIO_CMD_TAIL_OFFSET);
	return 0;
}

/**
 * amd_iommu_stopped() - Has the command buffer stopped for good?
 * @iommu: the IOMMU
 *
 * Context: Any.
 * Return: true if no command is executed any more, and restarts did not help.
 */
bool amd_iommu_stopped(struct amd_iommu *iommu)
{
	return READ_ONCE(iommu->cmd_restarts) > MAX_RESTARTS &&
	       !(readl(iommu->mmio_base + MMIO_STATUS_OFFSET) & STATUS_CMD_RUN);
}

/**
 * amd_iommu_restart_commands() - Let an IOMMU go on that has stopped at a command
 * @iommu: the IOMMU
 * @address: of the command, from the event log
 *
 * The IOMMU executes the command once more, as it may have been read wrongly, and then what
 * comes behind it. Does nothing if @address is not that of a command, but of what one was to
 * store; or if a command would be left out; or if the IOMMU has stopped too often since it has
 * stored a number: amd_iommu_stopped() is true from then on.
 *
 * Context: Process context. Sleeps, and takes iommu->lock.
 */
void amd_iommu_restart_commands(struct amd_iommu *iommu, u64 address)
{
	u64 buffer = readq(iommu->mmio_base + MMIO_CMD_BUF_OFFSET) & PM_ADDR_MASK;
	u64 at = __sme_clr(address) - __sme_clr(buffer);
	u32 status, head, pending;

	if (at >= CMD_BUFFER_SIZE)
		return;
	/* It may still be busy with what it has read before. */
	if (read_poll_timeout(readl, status, !(status & STATUS_CMD_RUN), 10, STOP_TIMEOUT_US,
			      false, iommu->mmio_base + MMIO_STATUS_OFFSET))
		return;

	guard(raw_spinlock_irqsave)(&iommu->lock);

	/* It may have fetched more. If the command is not behind that, the event is an old one. */
	head = readl(iommu->mmio_base + MMIO_CMD_HEAD_OFFSET) % CMD_BUFFER_SIZE;
	pending = (iommu->cmd_buf_tail - head) % CMD_BUFFER_SIZE;
	if (at != head && (at - head) % CMD_BUFFER_SIZE < pending)
		return;

	if (iommu->cmd_restarts_sem != *iommu->cmd_sem) {
		iommu->cmd_restarts_sem = *iommu->cmd_sem;
		WRITE_ONCE(iommu->cmd_restarts, 0);
	}
	WRITE_ONCE(iommu->cmd_restarts, iommu->cmd_restarts + 1);
	if (iommu->cmd_restarts > MAX_RESTARTS) {
		pr_err("IOMMU %04x:%02x:%02x.%01x: command buffer has stopped at %#llx for good\n",
		       iommu->pci_seg->id, PCI_BUS_NUM(iommu->devid), PCI_SLOT(iommu->devid),
		       PCI_FUNC(iommu->devid), at);
		return;
	}
	pr_warn_ratelimited("IOMMU %04x:%02x:%02x.%01x: restarting the command buffer at %#llx\n",
			    iommu->pci_seg->id, PCI_BUS_NUM(iommu->devid),
			    PCI_SLOT(iommu->devid), PCI_FUNC(iommu->devid), at);

	/* 2.4, restarting: the head is written while the buffer is off. */
	iommu_feature_disable(iommu, CONTROL_CMDBUF_EN);
	writel(at, iommu->mmio_base + MMIO_CMD_HEAD_OFFSET);
	iommu->cmd_buf_head = at;
	iommu_feature_enable(iommu, CONTROL_CMDBUF_EN);
}

static int queue_or_wait(struct amd_iommu *iommu, const struct iommu_cmd *cmds,
			 unsigned int n, u64 *seq)
{
	u32 began = amd_iommu_clock();

	do {
		if (!queue_commands(iommu, cmds, n, seq))
			return 0;
		udelay(ROOM_POLL_US);
	} while (!amd_iommu_stopped(iommu) && !amd_iommu_stuck(iommu, amd_iommu_clock() - began));
	pr_err_ratelimited("IOMMU %04x:%02x:%02x.%01x: no room in the command buffer\n",
			   iommu->pci_seg->id, PCI_BUS_NUM(iommu->devid),
			   PCI_SLOT(iommu->devid), PCI_FUNC(iommu->devid));
	return -EIO;
}

/**
 * amd_iommu_try_queue() - Queue commands if there is room
 * @iommu: the IOMMU
 * @cmds: the commands
 * @n: how many there are: from 1 to a quarter of the buffer
 *
 * As amd_iommu_queue(), but does not wait.
 *
 * Context: Any. Takes iommu->lock.
 * Return: 0, or -EBUSY if there is no room.
 */
int amd_iommu_try_queue(struct amd_iommu *iommu, const struct iommu_cmd *cmds, unsigned int n)
{
	return queue_commands(iommu, cmds, n, NULL);
}

/**
 * amd_iommu_try_submit() - Queue commands to wait for if there is room
 * @iommu: the IOMMU
 * @cmds: the commands; NULL if @n is 0
 * @n: how many there are: up to a quarter of the buffer
 * @seq: where to put the number for amd_iommu_wait()
 *
 * As amd_iommu_submit(), but does not wait. If there is no room, @seq is the number that
 * stands for what is in the buffer. If need_sync is set, it is the one that the next
 * submission takes.
 *
 * Context: Any. Takes iommu->lock.
 * Return: 0, or -EBUSY if there is no room.
 */
int amd_iommu_try_submit(struct amd_iommu *iommu, const struct iommu_cmd *cmds, unsigned int n,
			 u64 *seq)
{
	return queue_commands(iommu, cmds, n, seq);
}

/**
 * amd_iommu_queue() - Queue commands that something else will wait for
 * @iommu: the IOMMU
 * @cmds: the commands
 * @n: how many there are: from 1 to a quarter of the buffer
 *
 * Either all of the commands are queued, or none.
 *
 * Context: Any. Takes iommu->lock. While the buffer is full, spins without it.
 * Return: 0, or -EIO if the IOMMU does not make room.
 */
int amd_iommu_queue(struct amd_iommu *iommu, const struct iommu_cmd *cmds, unsigned int n)
{
	return queue_or_wait(iommu, cmds, n, NULL);
}

/**
 * amd_iommu_submit() - Queue commands to wait for
 * @iommu: the IOMMU
 * @cmds: the commands; NULL if @n is 0
 * @n: how many there are: up to a quarter of the buffer
 * @seq: where to put the number for amd_iommu_wait()
 *
 * The number stands for @cmds and for everything that was queued before. If there is nothing
 * that a COMPLETION_WAIT is not queued for already, none is queued. Either all is
 * queued, or nothing, and then no number is taken.
 *
 * Context: Any. Takes iommu->lock. While the buffer is full, spins without it.
 * Return: 0, or -EIO if the IOMMU does not make room.
 */
int amd_iommu_submit(struct amd_iommu *iommu, const struct iommu_cmd *cmds, unsigned int n,
		     u64 *seq)
{
	return queue_or_wait(iommu, cmds, n, seq);
}

/* Numbers wrap, in theory. */
static bool arrived(struct amd_iommu *iommu, u64 seq)
{
	return (s64)(READ_ONCE(*iommu->cmd_sem) - seq) >= 0;
}

/**
 * amd_iommu_wait() - Wait for what was submitted
 * @iommu: the IOMMU
 * @seq: the number from amd_iommu_submit()
 *
 * Context: Any. Spins as long as the IOMMU executes anything, with no lock of the IOMMU.
 * Return: 0, or -EIO if the number does not arrive; at once if amd_iommu_stopped().
 */
int amd_iommu_wait(struct amd_iommu *iommu, u64 seq)
{
	u32 began = amd_iommu_clock();

	while (!arrived(iommu, seq) && !amd_iommu_stopped(iommu) &&
	       !amd_iommu_stuck(iommu, amd_iommu_clock() - began))
		udelay(1);
	/* It may have arrived before the buffer stopped. */
	if (arrived(iommu, seq))
		return 0;

	pr_alert_ratelimited("IOMMU %04x:%02x:%02x.%01x: %s\n",
			     iommu->pci_seg->id, PCI_BUS_NUM(iommu->devid),
			     PCI_SLOT(iommu->devid), PCI_FUNC(iommu->devid),
			     amd_iommu_stopped(iommu) ?
			     "command buffer has stopped" : "completion wait timed out");
	if (amd_iommu_dump)
		DO_ONCE_LITE(dump_commands, iommu);
	return -EIO;
}

/**
 * amd_iommu_execute() - Queue commands and wait for them
 * @iommu: the IOMMU
 * @cmds: the commands; NULL if @n is 0, to wait for what was queued before
 * @n: how many there are: up to a quarter of the buffer
 *
 * Context: Any. Same as amd_iommu_submit() and amd_iommu_wait().
 * Return: 0, or -EIO if the IOMMU does not make room or the commands do not complete.
 */
int amd_iommu_execute(struct amd_iommu *iommu, const struct iommu_cmd *cmds, unsigned int n)
{
	u64 seq;
	int ret;

	ret = amd_iommu_submit(iommu, cmds, n, &seq);
	return ret ?: amd_iommu_wait(iommu, seq);
}
