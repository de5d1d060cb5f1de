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
 * commands, and only if the buffer takes them: numbers arrive in the order in which they were
 * taken, and a number that has arrived stands for all lower ones. need_sync says that the
 * last COMPLETION_WAIT in the buffer is not the last command.
 *
 * Nothing waits with iommu->lock held: a caller that finds no room drops it and tries again.
 */
#define pr_fmt(fmt)	"AMD-Vi: " fmt

#include <linux/iopoll.h>
#include <linux/once_lite.h>

#include "amd_iommu.h"

/*
 * An IOMMU waits a second for a device that does not answer, as CONTROL_INV_TIMEOUT says, and
 * executes no other command meanwhile. Several of its devices may be silent.
 */
#define QUEUE_TIMEOUT_US	(5 * USEC_PER_SEC)

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

static int queue_or_wait(struct amd_iommu *iommu, const struct iommu_cmd *cmds,
			 unsigned int n, u64 *seq)
{
	int ret;

	if (!read_poll_timeout_atomic(queue_commands, ret, !ret, 10, QUEUE_TIMEOUT_US, false,
				      iommu, cmds, n, seq))
		return 0;
	pr_err_ratelimited("No room in the command buffer\n");
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
 * Context: Any. Takes iommu->lock. If the buffer is full, spins without it, for some seconds.
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
 * Context: Any. Takes iommu->lock. If the buffer is full, spins without it, for some seconds.
 * Return: 0, or -EIO if the IOMMU does not make room.
 */
int amd_iommu_submit(struct amd_iommu *iommu, const struct iommu_cmd *cmds, unsigned int n,
		     u64 *seq)
{
	return queue_or_wait(iommu, cmds, n, seq);
}

/**
 * amd_iommu_wait() - Wait for what was submitted
 * @iommu: the IOMMU
 * @seq: the number from amd_iommu_submit()
 *
 * Context: Any. Spins for up to five seconds, with no lock of the IOMMU.
 * Return: 0, or -EIO if the number does not arrive.
 */
int amd_iommu_wait(struct amd_iommu *iommu, u64 seq)
{
	u64 done;

	/* Numbers wrap, in theory. */
	if (!read_poll_timeout_atomic(READ_ONCE, done, (s64)(done - seq) >= 0, 1, QUEUE_TIMEOUT_US,
				      false, *iommu->cmd_sem))
		return 0;

	pr_alert("IOMMU %04x:%02x:%02x.%01x: completion wait timed out\n",
		 iommu->pci_seg->id, PCI_BUS_NUM(iommu->devid), PCI_SLOT(iommu->devid),
		 PCI_FUNC(iommu->devid));
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
