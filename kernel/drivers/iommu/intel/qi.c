// SPDX-License-Identifier: GPL-2.0-only
/*
 * The invalidation queue
 *
 * A submission is a number of descriptors and one wait descriptor behind them:
 *
 *	         free_tail             IQH                    free_head
 *	            |                   |                         |
 *	  ---+------+---+---+------+----+--+---+------+---+------+-----
 *	     | wait | d | d | wait | d  |d | d | wait | d | wait | free
 *	     | 41   |   |   | 42   |    |  |   | 43   |   | 44   |
 *	  ---+------+---+---+------+-------+---+------+---+------+-----
 *	      done   fetched, not complete     not fetched
 *
 * Submissions are numbered. When all descriptors ahead of a wait descriptor are complete,
 * the hardware writes the number to the status word of the wait descriptor's slot. Numbers
 * only grow, so a waiter compares: its submission is complete once the word has reached the
 * number, even if the slot has been used again.
 *
 * Slots therefore belong to no waiter. A submitter that needs room takes back all slots up to
 * a completed wait descriptor, without help from other waiters. Waiting takes no lock and
 * leaves interrupts as they are.
 *
 * An error stops the queue for all submitters. The first waiter or submitter that sees it
 * handles it (sections 6.5.2.10 and 11.4.9.9 of the architecture specification, revision
 * 5.10):
 *
 *   A bad descriptor (IQE) is replaced by a wait descriptor that writes to a dummy word, and
 *   the queue goes on. The next wait descriptor identifies the submission: its waiter gets
 *   -EINVAL. If the queue does not advance for QI_STUCK_NS, all waiters get -EIO.
 *
 *   A device-TLB invalidation that times out (ITE) aborts the wait descriptors that have been
 *   fetched: their numbers are never written. Software completes them instead. Their waiters
 *   get -EAGAIN and submit again, or -ETIMEDOUT if it is not known which of several devices
 *   is silent. A device that is known to be silent is set aside first, see
 *   intel_iommu_silent().
 *
 * An answer that was not requested (ICE) does not stop the queue or abort anything.
 *
 * What has gone wrong with a submission is kept in q_inval.fault, by slot. A slot may have
 * been used again before its waiter looks. q_inval.errors has changed then, and the waiter
 * submits again.
 *
 * q_lock guards the slots, the counters, q_inval.fault and the tail register. It is a leaf.
 */
#define pr_fmt(fmt)	"DMAR: " fmt

#include <linux/bitfield.h>
#include <linux/ktime.h>
#include <linux/ratelimit.h>
#include <linux/sched/clock.h>

#include "iommu.h"
#include "../irq_remapping.h"
#include "perf.h"
#include "trace.h"

/* Slots that a submission reclaims beyond its own need, once it has to look for room. */
#define QI_SPARE	16

/* A batch that finds no room for so long is dropped, in nanoseconds. */
#define QI_FULL_NS	(100 * NSEC_PER_USEC)

/* How long a replaced descriptor may still be rejected, in nanoseconds. */
#define QI_STUCK_NS	NSEC_PER_SEC

/* Reads of a status word in one look, and nanoseconds from one read of FSTS to the next. */
#define QI_SPINS	64
#define QI_FSTS_NS	(20 * NSEC_PER_USEC)

/*
 * How often a command to a device is repeated after aborts by unknown devices, and how often
 * a rejected descriptor is submitted.
 */
#define QI_RETRIES	8
#define QI_BAD_TRIES	3

#define QI_FAULTS	(DMA_FSTS_IQE | DMA_FSTS_ITE | DMA_FSTS_ICE)

/* What qi_batch_submit() returns. 0: nothing was submitted. */
#define QI_COOKIE_SEQ		GENMASK_ULL(63, 32)
#define QI_COOKIE_ERRORS	GENMASK_ULL(31, 16)
#define QI_COOKIE_ASKS		BIT_ULL(10)	/* an earlier one asks a device */
#define QI_COOKIE_PIECES	BIT_ULL(9)	/* several submissions */
#define QI_COOKIE_FULL		BIT_ULL(8)	/* no room for the last one, or for all (SEQ 0) */
#define QI_COOKIE_SLOT		GENMASK_ULL(7, 0)

/*
 * One word of q_inval.fault; 0: nothing has gone wrong with the submission in this slot.
 * q_inval.last_fault is about the whole queue, and has the lower half only.
 */
#define QI_FAULT_SEQ		GENMASK_ULL(63, 32)
#define QI_FAULT_SID		GENMASK_ULL(31, 16)	/* of the silent device, or 0 */
#define QI_FAULT_ERROR		GENMASK_ULL(15, 0)	/* an errno, positive */

static void qi_write_reg(struct intel_iommu *iommu, unsigned int reg, u32 value)
{
#ifdef CONFIG_INTEL_IOMMU_KUNIT_TEST
	if (unlikely(iommu->qi->test_write)) {
		iommu->qi->test_write(iommu, reg, value);
		return;
	}
#endif
	writel(value, iommu->reg + reg);
}

static void qi_tell_hardware(struct intel_iommu *iommu)
{
	qi_write_reg(iommu, DMAR_IQT_REG, iommu->qi->free_head << qi_shift(iommu));
}

static struct qi_desc *qi_slot(struct intel_iommu *iommu, unsigned int slot)
{
	return iommu->qi->desc + (slot << qi_shift(iommu));
}

static unsigned int qi_next(unsigned int slot)
{
	return (slot + 1) % QI_LENGTH;
}

static unsigned int qi_head(struct intel_iommu *iommu)
{
	return (readl(iommu->reg + DMAR_IQH_REG) >> qi_shift(iommu)) % QI_LENGTH;
}

/* Descriptors have 128 bits, in scalable mode 256. */
static void qi_write(struct qi_desc *to, bool wide, u64 qw0, u64 qw1)
{
	to->qw0 = qw0;
	to->qw1 = qw1;
	if (wide) {
		to->qw2 = 0;
		to->qw3 = 0;
	}
}

static u64 qi_wait_qw0(u32 seq)
{
	return QI_IWD_STATUS_DATA(seq) | QI_IWD_STATUS_WRITE | QI_IWD_TYPE;
}

/* True for the wait descriptors that end submissions, not for those within them. */
static bool qi_slot_waits(struct intel_iommu *iommu, unsigned int slot)
{
	const struct qi_desc *desc = qi_slot(iommu, slot);

	return (desc->qw0 & 0xf) == QI_IWD_TYPE && desc->qw0 & QI_IWD_STATUS_WRITE &&
	       desc->qw1 == virt_to_phys(&iommu->qi->desc_status[slot]);
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
 * Takes back all slots if the last submission is complete: the common case. If not, those up
 * to a completed wait descriptor, until @room are free; a full queue is long to go through
 * with interrupts off.
 */
static noinline void qi_reclaim(struct intel_iommu *iommu, int room)
{
	struct q_inval *qi = iommu->qi;
	unsigned int last = (qi->free_head + QI_LENGTH - 1) % QI_LENGTH;
	unsigned int slot = qi->free_tail;

	lockdep_assert_held(&qi->q_lock);

	if (qi_reached(qi, last, qi->seq)) {
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
 * Errors
 */

/* The device that a descriptor asks, or 0. */
static u16 qi_desc_sid(const struct qi_desc *desc)
{
	switch (desc->qw0 & 0xf) {
	case QI_DIOTLB_TYPE:
		return desc->qw0 >> 32;
	case QI_DEIOTLB_TYPE:
		return desc->qw0 >> 16;
	default:
		return 0;
	}
}

static void qi_set_fault(struct q_inval *qi, unsigned int slot, u32 seq, u16 sid, int error)
{
	WRITE_ONCE(qi->fault[slot], FIELD_PREP(QI_FAULT_SEQ, seq) |
				    FIELD_PREP(QI_FAULT_SID, sid) |
				    FIELD_PREP(QI_FAULT_ERROR, -error));
}

/* What has stopped the queue. The waiter for a batch in pieces knows the last piece only. */
static void qi_set_last_fault(struct q_inval *qi, u16 sid, int error)
{
	WRITE_ONCE(qi->last_fault, FIELD_PREP(QI_FAULT_SID, sid) |
				   FIELD_PREP(QI_FAULT_ERROR, -error));
}

/* Completes what is pending up to @end in the hardware's place. */
static void qi_complete(struct intel_iommu *iommu, unsigned int end, u16 sid, int error)
{
	struct q_inval *qi = iommu->qi;
	u16 asked = 0, also;
	bool several = false;
	unsigned int slot;
	u32 seq;

	for (slot = qi->free_tail; slot != end && slot != qi->free_head; slot = qi_next(slot)) {
		if (!qi_slot_waits(iommu, slot)) {
			also = qi_desc_sid(qi_slot(iommu, slot));
			several |= also && asked && also != asked;
			asked = also ?: asked;
			continue;
		}
		seq = qi_slot_seq(iommu, slot);
		if (!qi_reached(qi, slot, seq)) {
			qi_set_fault(qi, slot, seq, sid,
				     error == -EAGAIN && !sid && several ? -ETIMEDOUT : error);
			/* Pairs with the one in qi_poll(): the fault is seen first. */
			smp_wmb();
			WRITE_ONCE(qi->desc_status[slot], seq);
		}
		asked = 0;
		several = false;
	}

	/* The wait descriptor of what was asked last may come, and would complete. */
	while (asked && slot != qi->free_head && !qi_slot_waits(iommu, slot))
		slot = qi_next(slot);
	if (asked && slot != qi->free_head)
		qi_set_fault(qi, slot, qi_slot_seq(iommu, slot), sid,
			     !sid && several ? -ETIMEDOUT : error);
}

/* Return: the number of the submission that @slot is in, or 0; @slot is its last one then. */
static u32 qi_find_wait(struct intel_iommu *iommu, unsigned int *slot)
{
	while (*slot != iommu->qi->free_head && !qi_slot_waits(iommu, *slot))
		*slot = qi_next(*slot);
	return *slot != iommu->qi->free_head ? qi_slot_seq(iommu, *slot) : 0;
}

/*
 * Is IQE still the one that has been handled? The hardware may take its time to clear it and to
 * fetch the descriptor that is there now, above all if software emulates it.
 */
static bool qi_goes_on(struct intel_iommu *iommu)
{
	struct q_inval *qi = iommu->qi;
	unsigned int slot = qi_head(iommu);

	return slot == qi->bad_slot && qi_find_wait(iommu, &slot) == qi->bad_seq &&
	       (s64)(local_clock() - qi->bad_since) < QI_STUCK_NS;
}

/* The hardware stays at a descriptor that it does not understand. */
static void qi_drop_bad(struct intel_iommu *iommu)
{
	struct q_inval *qi = iommu->qi;
	unsigned int head = qi_head(iommu);
	bool wide = ecap_smts(iommu->ecap);
	unsigned int slot = head;
	u32 seq = qi_find_wait(iommu, &slot);

	if (head == qi->bad_slot && seq == qi->bad_seq) {
		/* It is not about descriptors, or not even a plain one is understood. */
		pr_err_ratelimited("%s: invalidation queue does not recover\n", iommu->name);
		qi_set_last_fault(qi, 0, -EIO);
		qi_complete(iommu, qi->free_head, 0, -EIO);
		return;
	}
	qi->bad_slot = head;
	qi->bad_seq = seq;
	qi->bad_since = local_clock();
	qi_set_last_fault(qi, 0, -EINVAL);

	if (slot != qi->free_head)
		qi_set_fault(qi, slot, seq, 0, -EINVAL);
	if (slot == head)
		qi_write(qi_slot(iommu, head), wide, qi_wait_qw0(seq),
			 virt_to_phys(&qi->desc_status[head]));
	else
		qi_write(qi_slot(iommu, head), wide, qi_wait_qw0(0), virt_to_phys(&qi->dummy));
}

/* The hardware has completed it: all that was asked ahead of it has been answered. */
static bool qi_answered(struct q_inval *qi, unsigned int slot, u32 seq)
{
	return qi_reached(qi, slot, seq) && FIELD_GET(QI_FAULT_SEQ, qi->fault[slot]) != seq;
}

/*
 * The silent device: as the hardware says, or the one that is asked ahead of the first wait
 * descriptor that is pending. That would be complete if the device had answered, whatever has been
 * queued behind it. What was aborted may still be on its way to a device, so a wait descriptor that
 * was completed in the hardware's place does not say that. 0: not known, since several are asked.
 */
static u16 qi_find_silent(struct intel_iommu *iommu, unsigned int head)
{
	struct q_inval *qi = iommu->qi;
	u16 sid = DMAR_IQER_REG_ITESID(readq(iommu->reg + DMAR_IQER_REG));
	bool several = false;
	unsigned int slot;
	u16 asked;

	if (sid)
		return sid;
	for (slot = qi->free_tail; slot != head && slot != qi->free_head; slot = qi_next(slot)) {
		if (qi_slot_waits(iommu, slot)) {
			u32 seq = qi_slot_seq(iommu, slot);

			if (sid && !qi_reached(qi, slot, seq))
				break;
			if (qi_answered(qi, slot, seq)) {
				several = false;
				sid = 0;
			}
		}
		asked = qi_desc_sid(qi_slot(iommu, slot));
		several |= asked && sid && asked != sid;
		sid = asked ?: sid;
	}
	return several ? 0 : sid;
}

/* Out of line: waits look for faults where the stack is deepest. */
static noinline void qi_handle_faults(struct intel_iommu *iommu, u32 cleared)
{
	static DEFINE_RATELIMIT_STATE(dumps, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);
	struct q_inval *qi = iommu->qi;
	u32 faults = cleared;

	lockdep_assert_held(&qi->q_lock);

	if (faults & DMA_FSTS_IQE && qi_goes_on(iommu))
		faults &= ~DMA_FSTS_IQE;
	if (faults && __ratelimit(&dumps))
		qi_dump_fault(iommu, faults);
	if (!(faults & (DMA_FSTS_IQE | DMA_FSTS_ITE)))
		goto out;
	WRITE_ONCE(qi->errors, qi->errors + 1);
	/* Pairs with the one in qi_poll(): before anything is completed. */
	smp_wmb();
	qi_set_last_fault(qi, 0, -EAGAIN);
	if (faults & DMA_FSTS_IQE)
		qi_drop_bad(iommu);
	if (faults & DMA_FSTS_ITE) {
		unsigned int head = qi_head(iommu);
		u16 sid = qi_find_silent(iommu, head);

		qi_set_last_fault(qi, sid, -EAGAIN);
		qi_complete(iommu, head, sid, -EAGAIN);
	}
out:
	/* The queue goes on, in emulations only when the tail is written. */
	qi_write_reg(iommu, DMAR_FSTS_REG, cleared);
	qi_tell_hardware(iommu);
}

/* Reading FSTS is slow, in a virtual machine above all: one reader now and then will do. */
static void qi_look_for_faults(struct intel_iommu *iommu)
{
	struct q_inval *qi = iommu->qi;
	unsigned long flags;
	u32 faults;

	if (local_clock() - READ_ONCE(qi->looked) < QI_FSTS_NS)
		return;
	if (!raw_spin_trylock_irqsave(&qi->q_lock, flags))
		return;
	WRITE_ONCE(qi->looked, local_clock());
	faults = readl(iommu->reg + DMAR_FSTS_REG) & QI_FAULTS;
	if (faults)
		qi_handle_faults(iommu, faults);
	raw_spin_unlock_irqrestore(&qi->q_lock, flags);
}

/*
 * Submit
 */

/* Return: true with q_lock held, false if there is no room for a while and @try. */
static noinline bool qi_wait_room(struct intel_iommu *iommu, int room, bool try,
				  unsigned long *flags)
{
	struct q_inval *qi = iommu->qi;
	u64 start = local_clock();

	do {
		qi_look_for_faults(iommu);
		cpu_relax();
		raw_spin_lock_irqsave(&qi->q_lock, *flags);
		qi_reclaim(iommu, room + QI_SPARE);
		if (qi->free_cnt >= room)
			return true;
		raw_spin_unlock_irqrestore(&qi->q_lock, *flags);
	} while (!try || local_clock() - start < QI_FULL_NS);
	return false;
}

static __always_inline bool qi_lock_room(struct intel_iommu *iommu, int room, bool try,
					 unsigned long *flags)
{
	struct q_inval *qi = iommu->qi;

	raw_spin_lock_irqsave(&qi->q_lock, *flags);
	if (unlikely(qi->free_cnt < room))
		qi_reclaim(iommu, room + QI_SPARE);
	if (likely(qi->free_cnt >= room))
		return true;
	raw_spin_unlock_irqrestore(&qi->q_lock, *flags);
	return qi_wait_room(iommu, room, try, flags);
}

/*
 * Behind what has been queued: a wait descriptor, with flags on top of those that it needs.
 * Return: the cookie.
 */
static u64 qi_queue_wait(struct intel_iommu *iommu, u64 flags)
{
	struct q_inval *qi = iommu->qi;
	unsigned int slot = qi->free_head;
	int *status = &qi->desc_status[slot];
	u32 seq = qi->seq + 1 ?: 1;	/* 0 is a cookie of its own */

	/*
	 * The slot's old number may be outside of the range in which numbers compare. Pairs with
	 * the one in qi_poll(): if the slot has been used again, the waiter sees that the errors
	 * have changed. The stores below stay behind this one: x86 keeps the order of stores.
	 */
	smp_store_release(status, seq - 1);
	if (unlikely(qi->errors))
		WRITE_ONCE(qi->fault[slot], 0);

	qi_write(qi_slot(iommu, slot), ecap_smts(iommu->ecap), qi_wait_qw0(seq) | flags,
		 virt_to_phys(status));
	qi->free_head = qi_next(slot);
	qi->free_cnt--;
	qi->seq = seq;
	return FIELD_PREP(QI_COOKIE_SEQ, seq) | FIELD_PREP(QI_COOKIE_ERRORS, qi->errors) |
	       FIELD_PREP(QI_COOKIE_SLOT, slot);
}

/* Out of line and in one call, so that less has to be kept on the stack. */
static noinline void qi_trace_batch(struct intel_iommu *iommu, const struct qi_batch *batch)
{
	unsigned int i;

	for (i = 0; i < batch->index; i++)
		trace_qi_submit(iommu, batch->qw[i][0], batch->qw[i][1], 0, 0);
}

/* Puts all of a batch into the queue. q_lock is held, and there is room. */
static void qi_queue_batch(struct intel_iommu *iommu, struct qi_batch *batch)
{
	struct q_inval *qi = iommu->qi;
	bool wide = ecap_smts(iommu->ecap);
	unsigned int shift = DMAR_IQ_SHIFT + wide;
	unsigned int slot = qi->free_head, i;
	void *slots = qi->desc;

	if (trace_qi_submit_enabled())
		qi_trace_batch(iommu, batch);
	for (i = 0; i < batch->index; i++) {
		qi_write(slots + (slot << shift), wide, batch->qw[i][0], batch->qw[i][1]);
		slot = qi_next(slot);
	}
	qi->free_head = slot;
	qi->free_cnt -= batch->index;
	batch->index = 0;
}

/**
 * qi_batch_submit() - Submit a batch, and begin another one
 * @iommu: The IOMMU that it is for.
 * @batch: The batch.
 *
 * Does not wait for devices: if the queue is full and stays so for QI_FULL_NS, what the batch
 * has is dropped, and qi_poll() returns -EBUSY once there is room, or -EIO if the IOMMU has no
 * queue.
 *
 * Context: Any context.
 * Return: a cookie for qi_poll(), 0 if the batch was empty.
 */
u64 qi_batch_submit(struct intel_iommu *iommu, struct qi_batch *batch)
{
	unsigned long flags;
	u64 cookie;

	if (!batch->index && likely(!batch->cookie))
		return 0;

	/* A wait descriptor, and the one slot that tells a full queue from an empty one. */
	if (unlikely(batch->cookie & QI_COOKIE_FULL || !iommu->qi) ||
	    unlikely(!qi_lock_room(iommu, batch->index + 2, true, &flags))) {
		/* Earlier pieces are waited for. */
		cookie = batch->cookie | QI_COOKIE_FULL;
	} else {
		qi_queue_batch(iommu, batch);
		cookie = qi_queue_wait(iommu, 0);
		qi_tell_hardware(iommu);
		raw_spin_unlock_irqrestore(&iommu->qi->q_lock, flags);
		if (unlikely(batch->cookie)) {
			/* Any error since the first piece may have been about one of them. */
			cookie &= ~QI_COOKIE_ERRORS;
			cookie |= batch->cookie & (QI_COOKIE_ERRORS | QI_COOKIE_ASKS);
			cookie |= QI_COOKIE_PIECES;
		}
	}
	batch->index = 0;
	batch->cookie = 0;
	return cookie;
}

/**
 * qi_batch_queue() - Submit what a batch has, and go on with it
 * @iommu: The IOMMU that all of the batch is for.
 * @batch: The batch. It is waited for with what it is given later.
 *
 * Context: Any context.
 */
void qi_batch_queue(struct intel_iommu *iommu, struct qi_batch *batch)
{
	u64 asks = batch->cookie & QI_COOKIE_ASKS;
	unsigned int i;

	for (i = 0; i < batch->index; i++) {
		struct qi_desc desc = { .qw0 = batch->qw[i][0] };

		if (qi_desc_sid(&desc))
			asks = QI_COOKIE_ASKS;
	}
	batch->cookie = qi_batch_submit(iommu, batch) | asks;
}

/*
 * Wait
 */

/* There were errors since the submission: was it hit? */
static noinline int qi_verdict(struct intel_iommu *iommu, u64 cookie, u16 *silent)
{
	unsigned int slot = FIELD_GET(QI_COOKIE_SLOT, cookie);
	u32 seq = FIELD_GET(QI_COOKIE_SEQ, cookie);
	struct q_inval *qi = iommu->qi;
	u64 fault = READ_ONCE(qi->fault[slot]);
	int error = 0;

	/* If the slot has been reused, its fault has been overwritten. */
	smp_rmb();
	if (READ_ONCE(qi->desc_status[slot]) != seq) {
		error = -EAGAIN;
	} else if (FIELD_GET(QI_FAULT_SEQ, fault) == seq) {
		error = -(int)FIELD_GET(QI_FAULT_ERROR, fault);
		*silent = FIELD_GET(QI_FAULT_SID, fault);
	}
	/* An earlier piece may have been hit. */
	if (cookie & QI_COOKIE_PIECES && !error) {
		fault = READ_ONCE(qi->last_fault);
		error = -(int)FIELD_GET(QI_FAULT_ERROR, fault);
		*silent = FIELD_GET(QI_FAULT_SID, fault);
	}
	/* It may have been any of the devices that were asked. */
	if (error == -EAGAIN && !*silent && cookie & QI_COOKIE_ASKS)
		error = -ETIMEDOUT;
	return error;
}

/* Is there room now for what was dropped? */
static noinline int qi_poll_room(struct intel_iommu *iommu)
{
	unsigned long flags;

	/* Nor will there be any. */
	if (!iommu->qi)
		return -EIO;
	if (!qi_lock_room(iommu, QI_LENGTH / 4, true, &flags))
		return -EINPROGRESS;
	raw_spin_unlock_irqrestore(&iommu->qi->q_lock, flags);
	return -EBUSY;
}

/**
 * qi_poll() - Look for a moment whether a submission is complete
 * @iommu: The IOMMU that it was submitted to.
 * @cookie: What qi_batch_submit() returned.
 * @silent: Set to the requester id of a device that did not answer and aborted it, or 0.
 *
 * Context: Any context.
 * Return: 0 if it is complete; -EINPROGRESS if not; -EAGAIN if it may have been aborted and
 * is to be submitted again, without the silent device; -EBUSY if some of it or all has found
 * no room, nothing of it is pending, and it is to be submitted again; -ETIMEDOUT if it may have
 * been aborted because one of several devices was silent; -EINVAL if a descriptor was bad; -EIO
 * if the queue does not work, or there is none.
 */
int qi_poll(struct intel_iommu *iommu, u64 cookie, u16 *silent)
{
	unsigned int slot = FIELD_GET(QI_COOKIE_SLOT, cookie);
	u32 seq = FIELD_GET(QI_COOKIE_SEQ, cookie);
	struct q_inval *qi = iommu->qi;
	unsigned int spins;
	int ret = 0;

	*silent = 0;
	if (!cookie)
		return 0;
	if (unlikely(!seq))
		return qi_poll_room(iommu);

	for (spins = 0; !qi_reached(qi, slot, seq); spins++) {
		if (spins == QI_SPINS) {
			qi_look_for_faults(iommu);
			return -EINPROGRESS;
		}
		cpu_relax();
	}

	/* Pairs with the ones where errors are handled, and the release in qi_queue_wait(). */
	smp_rmb();
	if (unlikely((u16)READ_ONCE(qi->errors) != FIELD_GET(QI_COOKIE_ERRORS, cookie)))
		ret = qi_verdict(iommu, cookie, silent);
	if (unlikely(cookie & QI_COOKIE_FULL) && !ret)
		ret = qi_poll_room(iommu);
	return ret;
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

/* Return: the cookie of descriptors and a wait descriptor behind them. */
static u64 qi_submit(struct intel_iommu *iommu, const struct qi_desc *desc,
		     unsigned int count, u64 wait_flags)
{
	struct q_inval *qi = iommu->qi;
	unsigned long flags;
	unsigned int i;
	u64 cookie;

	qi_lock_room(iommu, count + 2, false, &flags);
	for (i = 0; i < count; i++) {
		struct qi_desc *to = qi_slot(iommu, qi->free_head);

		qi_write(to, false, desc[i].qw0, desc[i].qw1);
		if (ecap_smts(iommu->ecap)) {
			to->qw2 = desc[i].qw2;
			to->qw3 = desc[i].qw3;
		}
		qi->free_head = qi_next(qi->free_head);
		trace_qi_submit(iommu, desc[i].qw0, desc[i].qw1, desc[i].qw2, desc[i].qw3);
	}
	qi->free_cnt -= count;
	cookie = qi_queue_wait(iommu, wait_flags);
	qi_tell_hardware(iommu);
	raw_spin_unlock_irqrestore(&qi->q_lock, flags);
	return cookie;
}

/*
 * Submit again what has ended with @error? @asked is the device that it asks, or 0; @silent is
 * the one that the error is about, or 0.
 */
static bool qi_try_again(struct intel_iommu *iommu, int error, u16 asked, u16 silent,
			 bool drain, unsigned int *tries)
{
	bool aside = silent && intel_iommu_silent(iommu, silent);

	switch (error) {
	case -EAGAIN:
		/* A device that is set aside is not asked any more, and aborts nothing. */
		if (!asked || (aside && silent != asked))
			return true;
		return silent != asked && ++*tries < QI_RETRIES;
	case -EINVAL:
		/* Not all hardware knows how to drain. */
		return !drain && ++*tries < QI_BAD_TRIES;
	default:
		return false;
	}
}

/**
 * qi_submit_sync() - Submit descriptors and wait for them
 * @iommu: The IOMMU.
 * @desc: The descriptors. All device-TLB invalidations among them are for one device.
 * @count: How many there are, 0 or more. A wait descriptor is added.
 * @options: QI_OPT_WAIT_DRAIN to wait for page requests and responses, too.
 *
 * Submits again if other devices caused an abort, after setting aside those that are known, and
 * if a descriptor was rejected, QI_BAD_TRIES times in all, unless it is a drain. Sets the device
 * aside if its ATC cannot be invalidated: it is silent, unknown devices have caused QI_RETRIES
 * aborts, or any other error remains.
 *
 * An IOMMU that does not invalidate its own caches is reported. From then on, unless it was the
 * cache of interrupt entries, no domain IDs are freed on it, nor tables that it has used.
 *
 * Context: Any context.
 * Return: 0, also without a queue; -EINVAL if a descriptor was bad; -ETIMEDOUT if the device
 * did not answer; -EIO if the queue does not work.
 */
int qi_submit_sync(struct intel_iommu *iommu, struct qi_desc *desc,
		   unsigned int count, unsigned long options)
{
	bool drain = options & QI_OPT_WAIT_DRAIN;
	u64 wait_flags = drain ? QI_IWD_PRQ_DRAIN : 0;
	unsigned int i, tries = 0;
	u64 start = 0, cookie;
	u16 asked = 0, silent;
	int type, ret;

	if (!iommu->qi)
		return 0;

	type = count ? qi_latency_type(desc) : -1;
	if (type >= 0 && dmar_latency_enabled(iommu, type))
		start = ktime_get_ns();
	for (i = 0; i < count; i++)
		asked = qi_desc_sid(&desc[i]) ?: asked;

	do {
		cookie = qi_submit(iommu, desc, count, wait_flags);
		while ((ret = qi_poll(iommu, cookie, &silent)) == -EINPROGRESS)
			cpu_relax();
	} while (ret && qi_try_again(iommu, ret, asked, silent, drain, &tries));
	if (ret == -EAGAIN)
		ret = -ETIMEDOUT;

	if (start)
		dmar_latency_update(iommu, type, ktime_get_ns() - start);
	if (likely(!ret) || (drain && ret == -EINVAL))
		return ret;
	if (asked) {
		intel_iommu_silent(iommu, asked);
	} else if (type == DMAR_LATENCY_INV_IEC) {
		pr_err_ratelimited("%s: an invalidation of interrupt entries failed: %d\n",
				   iommu->name, ret);
	} else if (count && (desc->qw0 & 0xf) == QI_PGRP_RESP_TYPE) {
		pr_err_ratelimited("%s: a page response failed: %d\n", iommu->name, ret);
	} else {
		WRITE_ONCE(iommu->qi->failed, true);
		pr_err_ratelimited("%s: an invalidation failed: %d. Devices may still reach what was unmapped\n",
				   iommu->name, ret);
	}
	return ret;
}
