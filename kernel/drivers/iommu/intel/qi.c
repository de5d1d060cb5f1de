// SPDX-License-Identifier: GPL-2.0-only
/*
 * The invalidation queue: submitting is one thing, waiting another
 *
 * A submission is some descriptors and, behind them, one wait descriptor, with which the
 * hardware reports that all ahead of it is complete: it writes the submission's number to
 * the status word of the wait descriptor's slot. Numbers grow, and so does what a status
 * word holds: whoever waits for a number is done when the word has reached it, also if the
 * slot has been used again since.
 *
 * So a slot does not belong to the one who waits. Whoever needs room takes slots back, from
 * the oldest one on, up to a wait descriptor that has completed; often that is the last one
 * there is. Nobody depends on another waiter to run, and waiting takes no lock and leaves
 * interrupts as they are: an interrupt handler that submits in the middle of a wait finds
 * room by itself.
 *
 * Errors stop the queue for everybody, and are handled by the first one who sees them, be
 * it a waiter or a submitter that needs room:
 *
 *   A descriptor that the hardware does not understand becomes a fence.
 *
 *   A device-TLB invalidation that times out aborts the wait descriptors that have been
 *   fetched: their status is never written. They are taken for completed, and the number
 *   of aborts is counted up. A waiter for whom it is not the number that it was when he
 *   submitted does not trust what he sees, and submits again, which does no harm to what
 *   was complete. Devices that are gone are not asked again.
 *
 * q_lock guards the slots, the counters and the tail register. It is a leaf, and held to
 * submit and to handle errors, never to wait.
 */
#define pr_fmt(fmt)	"DMAR: " fmt

#include <linux/bitfield.h>
#include <linux/ktime.h>
#include <linux/pci.h>

#include "iommu.h"
#include "../irq_remapping.h"
#include "perf.h"
#include "trace.h"

/*
 * Descriptors that are queued without a wait descriptor, at most: slots are taken back
 * when one behind them completes.
 */
#define QI_MAX_UNWAITED	(QI_LENGTH / 4)

/* What a submission takes back beyond its own need, where it has to look for it. */
#define QI_SPARE	16

#define QI_FAULTS	(DMA_FSTS_IQE | DMA_FSTS_ITE | DMA_FSTS_ICE)

/* What qi_wait() is given. 0: nothing was submitted. */
#define QI_COOKIE_SEQ		GENMASK_ULL(63, 32)
#define QI_COOKIE_ABORTS	GENMASK_ULL(31, 16)
#define QI_COOKIE_SLOT		GENMASK_ULL(15, 0)

static struct qi_desc *qi_slot(struct intel_iommu *iommu, unsigned int slot)
{
	return iommu->qi->desc + (slot << qi_shift(iommu));
}

static unsigned int qi_next(unsigned int slot)
{
	return (slot + 1) % QI_LENGTH;
}

/* Of 128 bits, in scalable mode of 256: not worth a call to memcpy(). */
static void qi_write(struct qi_desc *to, bool wide, const struct qi_desc *desc)
{
	to->qw0 = desc->qw0;
	to->qw1 = desc->qw1;
	if (wide) {
		to->qw2 = desc->qw2;
		to->qw3 = desc->qw3;
	}
}

static bool qi_slot_waits(struct intel_iommu *iommu, unsigned int slot)
{
	u64 qw0 = qi_slot(iommu, slot)->qw0;

	return (qw0 & 0xf) == QI_IWD_TYPE && qw0 & QI_IWD_STATUS_WRITE;
}

static u32 qi_slot_seq(struct intel_iommu *iommu, unsigned int slot)
{
	return qi_slot(iommu, slot)->qw0 >> 32;
}

static bool qi_reached(struct q_inval *qi, unsigned int slot, u32 seq)
{
	return (int)(READ_ONCE(qi->desc_status[slot]) - seq) >= 0;
}

/*
 * Takes back all slots if what was submitted last is complete, which is so where nobody
 * else submits. If not, those up to a completed wait descriptor, until @room are free:
 * to go through a full queue would be a long time with interrupts off.
 */
static void qi_reclaim(struct intel_iommu *iommu, int room)
{
	struct q_inval *qi = iommu->qi;
	unsigned int last = (qi->free_head + QI_LENGTH - 1) % QI_LENGTH;
	unsigned int slot = qi->free_tail;

	lockdep_assert_held(&qi->q_lock);

	if (qi_slot_waits(iommu, last) && qi_reached(qi, last, qi->seq)) {
		qi->free_cnt = QI_LENGTH;
		qi->free_tail = qi->free_head;
		return;
	}

	while (qi->free_cnt < room && slot != qi->free_head) {
		bool waits = qi_slot_waits(iommu, slot);

		if (waits && !qi_reached(qi, slot, qi_slot_seq(iommu, slot)))
			break;
		slot = qi_next(slot);
		if (waits) {
			qi->free_cnt += (slot - qi->free_tail) % QI_LENGTH;
			qi->free_tail = slot;
		}
	}
}

/*
 * The hardware does not understand the descriptor at its head, and stays there. Whose it
 * is says the next wait descriptor.
 */
static void qi_drop_bad(struct intel_iommu *iommu)
{
	struct q_inval *qi = iommu->qi;
	unsigned int head = readl(iommu->reg + DMAR_IQH_REG) >> qi_shift(iommu);
	struct qi_desc fence = { .qw0 = QI_IWD_FENCE | QI_IWD_TYPE };
	unsigned int slot = head;

	while (slot != qi->free_head && !qi_slot_waits(iommu, slot))
		slot = qi_next(slot);
	WRITE_ONCE(qi->bad_seq, slot == qi->free_head ? qi->seq + 1 :
							qi_slot_seq(iommu, slot));
	qi_write(qi_slot(iommu, head), ecap_smts(iommu->ecap), &fence);
}

/* What was fetched and has not completed never will. */
static void qi_abort(struct intel_iommu *iommu)
{
	struct q_inval *qi = iommu->qi;
	unsigned int head = readl(iommu->reg + DMAR_IQH_REG) >> qi_shift(iommu);
	unsigned int slot;

	WRITE_ONCE(qi->aborts, qi->aborts + 1);
	/* In qi_wait() whoever takes an aborted one for completed sees the count. */
	smp_wmb();
	for (slot = qi->free_tail; slot != head; slot = qi_next(slot)) {
		u32 seq = qi_slot_seq(iommu, slot);

		if (qi_slot_waits(iommu, slot) && !qi_reached(qi, slot, seq))
			WRITE_ONCE(qi->desc_status[slot], seq);
	}
}

static void qi_handle_faults(struct intel_iommu *iommu)
{
	u32 faults;

	lockdep_assert_held(&iommu->qi->q_lock);

	faults = readl(iommu->reg + DMAR_FSTS_REG) & QI_FAULTS;
	if (!faults)
		return;
	qi_dump_fault(iommu, faults);
	if (faults & DMA_FSTS_IQE)
		qi_drop_bad(iommu);
	if (faults & DMA_FSTS_ITE)
		qi_abort(iommu);
	/* The queue goes on, in emulations only when the tail is written. */
	writel(faults, iommu->reg + DMAR_FSTS_REG);
	writel(iommu->qi->free_head << qi_shift(iommu), iommu->reg + DMAR_IQT_REG);
}

/*
 * Queues descriptors, with a wait descriptor behind them if @wait is not 0, of its flags.
 * Return: a cookie, of which the abort count holds in any case; 0 if there is no queue.
 */
static u64 qi_queue(struct intel_iommu *iommu, const struct qi_desc *desc,
		    unsigned int count, u64 wait)
{
	struct q_inval *qi = iommu->qi;
	const struct qi_desc *end = desc + count;
	unsigned int slot, shift;
	bool wide;
	void *slots;
	unsigned long flags;
	u64 cookie;

	if (!qi)
		return 0;

	raw_spin_lock_irqsave(&qi->q_lock, flags);
	/* A wait descriptor, and the one slot that tells a full queue from an empty one. */
	while (qi->free_cnt < count + 2) {
		qi_reclaim(iommu, count + QI_SPARE);
		if (qi->free_cnt >= count + 2)
			break;
		qi_handle_faults(iommu);
		raw_spin_unlock_irqrestore(&qi->q_lock, flags);
		cpu_relax();
		raw_spin_lock_irqsave(&qi->q_lock, flags);
	}

	/* Loaded once, not anew after each write to a slot. */
	wide = ecap_smts(iommu->ecap);
	shift = DMAR_IQ_SHIFT + wide;
	slots = qi->desc;
	slot = qi->free_head;
	for (; desc != end; desc++) {
		qi_write(slots + (slot << shift), wide, desc);
		slot = qi_next(slot);
		trace_qi_submit(iommu, desc->qw0, desc->qw1, desc->qw2, desc->qw3);
	}
	qi->free_cnt -= count;
	qi->unwaited += count;
	cookie = FIELD_PREP(QI_COOKIE_ABORTS, qi->aborts);

	if (wait || qi->unwaited > QI_MAX_UNWAITED) {
		/* 0 is a cookie of its own. */
		u32 seq = qi->seq + 1 ?: 1;
		int *status = &qi->desc_status[slot];
		struct qi_desc wait_desc = {};

		cookie |= FIELD_PREP(QI_COOKIE_SEQ, seq) | FIELD_PREP(QI_COOKIE_SLOT, slot);

		/*
		 * It may not have been a wait descriptor's for long, and be out of the
		 * range in which numbers compare.
		 */
		smp_store_release(status, seq - 1);

		wait_desc.qw0 = QI_IWD_STATUS_DATA(seq) | QI_IWD_STATUS_WRITE |
				QI_IWD_TYPE | wait;
		wait_desc.qw1 = virt_to_phys(status);
		qi_write(slots + (slot << shift), wide, &wait_desc);
		slot = qi_next(slot);
		qi->free_cnt--;
		qi->unwaited = 0;
		qi->seq = seq;
	}

	qi->free_head = slot;
	writel(slot << shift, iommu->reg + DMAR_IQT_REG);
	raw_spin_unlock_irqrestore(&qi->q_lock, flags);
	return cookie;
}

/* Until the submission is complete, or is taken for it. */
static noinline void qi_poll(struct intel_iommu *iommu, unsigned int slot, u32 seq)
{
	struct q_inval *qi = iommu->qi;
	unsigned long flags;

	while (!qi_reached(qi, slot, seq)) {
		if (readl(iommu->reg + DMAR_FSTS_REG) & QI_FAULTS) {
			raw_spin_lock_irqsave(&qi->q_lock, flags);
			qi_handle_faults(iommu);
			raw_spin_unlock_irqrestore(&qi->q_lock, flags);
		}
		cpu_relax();
	}
}

/**
 * qi_wait() - Wait for a submission
 * @iommu: The IOMMU that it was submitted to.
 * @cookie: What qi_batch_submit() returned.
 *
 * Context: Any context. Takes no lock while it waits.
 * Return: 0 if it is complete; -EAGAIN if it may have been aborted, and is to be
 * submitted again without the devices that are gone; -EINVAL if a descriptor was bad.
 */
int qi_wait(struct intel_iommu *iommu, u64 cookie)
{
	unsigned int slot = FIELD_GET(QI_COOKIE_SLOT, cookie);
	u32 seq = FIELD_GET(QI_COOKIE_SEQ, cookie);
	struct q_inval *qi = iommu->qi;

	if (!cookie)
		return 0;
	if (!qi_reached(qi, slot, seq))
		qi_poll(iommu, slot, seq);

	/* Pairs with qi_abort(), and with the release in qi_queue(). */
	smp_rmb();
	if (READ_ONCE(qi->aborts) != FIELD_GET(QI_COOKIE_ABORTS, cookie))
		return -EAGAIN;
	return READ_ONCE(qi->bad_seq) == seq ? -EINVAL : 0;
}

/**
 * qi_batch_queue() - Queue what a batch has, and go on with it
 * @iommu: The IOMMU that all of the batch is for.
 * @batch: The batch. There is nothing to wait for: what is submitted later completes
 *	later.
 *
 * Context: Any context.
 */
void qi_batch_queue(struct intel_iommu *iommu, struct qi_batch *batch)
{
	u64 cookie = qi_queue(iommu, batch->descs, batch->index, 0);

	if (!batch->queued)
		batch->aborts = FIELD_GET(QI_COOKIE_ABORTS, cookie);
	batch->queued = true;
	batch->index = 0;
}

/**
 * qi_batch_submit() - Submit a batch, and begin another one
 * @iommu: The IOMMU that it is for.
 * @batch: The batch.
 *
 * Context: Any context.
 * Return: a cookie for qi_wait(), 0 if the batch was empty.
 */
u64 qi_batch_submit(struct intel_iommu *iommu, struct qi_batch *batch)
{
	u64 cookie;

	if (!batch->index && !batch->queued)
		return 0;
	if (!batch->start && dmar_latency_enabled(iommu, DMAR_LATENCY_INV_IOTLB))
		batch->start = ktime_get_ns();

	/* The wait is for what was queued before, too. */
	cookie = qi_queue(iommu, batch->descs, batch->index, QI_IWD_STATUS_WRITE);
	if (batch->queued) {
		cookie &= ~QI_COOKIE_ABORTS;
		cookie |= FIELD_PREP(QI_COOKIE_ABORTS, batch->aborts);
	}
	batch->queued = false;
	batch->index = 0;
	return cookie;
}

/* A device that was taken away does not answer any more, however often it is asked. */
bool qi_device_gone(struct intel_iommu *iommu, u16 sid)
{
	struct device *dev = device_rbtree_find(iommu, sid);

	return !dev || !dev_is_pci(dev) || !pci_device_is_present(to_pci_dev(dev));
}

static bool qi_desc_gone(struct intel_iommu *iommu, const struct qi_desc *desc)
{
	switch (desc->qw0 & 0xf) {
	case QI_DIOTLB_TYPE:
		return qi_device_gone(iommu, desc->qw0 >> 32);
	case QI_DEIOTLB_TYPE:
		return qi_device_gone(iommu, desc->qw0 >> 16);
	default:
		return false;
	}
}

static int qi_latency_type(const struct qi_desc *desc)
{
	switch (desc->qw0 & 0xf) {
	case QI_IOTLB_TYPE:
	case QI_EIOTLB_TYPE:
		return DMAR_LATENCY_INV_IOTLB;
	case QI_DIOTLB_TYPE:
	case QI_DEIOTLB_TYPE:
		return DMAR_LATENCY_INV_DEVTLB;
	case QI_IEC_TYPE:
		return DMAR_LATENCY_INV_IEC;
	default:
		return -1;
	}
}

/**
 * qi_submit_sync() - Submit descriptors and wait for them
 * @iommu: The IOMMU.
 * @desc: The descriptors.
 * @count: How many there are, 1 or more. A wait descriptor is added.
 * @options: QI_OPT_WAIT_DRAIN to wait for page requests and responses, too.
 *
 * Context: Any context.
 * Return: 0, also without a queue; -EINVAL if a descriptor was bad; -ETIMEDOUT if a device
 * that is gone did not answer.
 */
int qi_submit_sync(struct intel_iommu *iommu, struct qi_desc *desc,
		   unsigned int count, unsigned long options)
{
	u64 wait = QI_IWD_STATUS_WRITE;
	int type = qi_latency_type(desc);
	unsigned int i;
	u64 start = 0;
	int ret;

	if (options & QI_OPT_WAIT_DRAIN)
		wait |= QI_IWD_PRQ_DRAIN;
	if (type >= 0 && dmar_latency_enabled(iommu, type))
		start = ktime_get_ns();

	while ((ret = qi_wait(iommu, qi_queue(iommu, desc, count, wait))) == -EAGAIN) {
		for (i = 0; i < count; i++) {
			if (qi_desc_gone(iommu, &desc[i]))
				return -ETIMEDOUT;
		}
	}

	if (start)
		dmar_latency_update(iommu, type, ktime_get_ns() - start);
	return ret;
}
