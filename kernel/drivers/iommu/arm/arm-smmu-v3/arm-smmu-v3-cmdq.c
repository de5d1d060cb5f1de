// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command queue: space, and the completion of CMD_SYNCs
 *
 * Commands are numbered. A number has 31 bits, as bit 31 of llq.prod says that the queue has an
 * owner; the lower ones are the index and the wrap bit, as the registers have them:
 *
 *	 llq.cons            CONS                 PROD       llq.prod
 *	    |                 |                    |             |
 *	  --+-----------------+--------------------+-------------+--
 *	    | executed, not   | not executed       | written,    | free
 *	    | reclaimed yet   |                    | or about to |
 *	  --+-----------------+--------------------+-------------+--
 *
 * llq.cons moves when a submitter finds no room, and then up to where CONS is. There are never
 * more commands between llq.cons and llq.prod than the queue has slots. So, as long as llq.cons
 * has not changed, CONS identifies one number, however often the queue has wrapped; if it has
 * changed, the reader starts over.
 *
 * A waiter compares numbers. It holds nothing, and others do not depend on it, whether they wait or
 * need room. It may be interrupted for any time, or be an interrupt, or have submitted to several
 * queues before it waits for the first one.
 *
 * If the SMMU can signal a CMD_SYNC by writing to memory, it writes the number of the next
 * command to the status word of the slot. As numbers only grow, it does not matter if the slot
 * has been used again, or if such a write comes late. If it does not come at all, because the
 * CMD_SYNC was replaced after an error, CONS shows the completion.
 *
 * A wait fails when the SMMU has been at one command for a second. It goes on while the queue
 * makes progress: the queue may be long, or several devices may be slow to answer.
 *
 * If a device does not answer an ATC_INV, the SMMU stops at the CMD_SYNC behind it (7.1 of the
 * architecture specification), and goes on when the error is acknowledged: the waiter sees the
 * CMD_SYNC complete. What it was about is remembered before that, for each slot.
 *
 * If a command is illegal, a CMD_SYNC takes its place, and the SMMU goes on (7.1). The numbers of
 * the latest ones are recorded; their submitters look for them when their CMD_SYNCs complete, and
 * send again.
 *
 * Numbers compare as long as they are less than 2^30 apart. A status word may be older than
 * that; it is set to the number before when its slot is used.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <kunit/visibility.h>

#include "arm-smmu-v3.h"

/* Commands ahead of a CMD_SYNC that are looked at for ATC_INVs. */
#define CMDQ_ATC_LOOK_BACK	(4 * CMDQ_BATCH_ENTRIES)

/* How often commands are sent if the SMMU refuses them. */
#define CMDQ_TRIES		4

/* In &arm_smmu_atc_error.number: there has been one. */
#define CMDQ_ATC_ERROR		BIT(31)

/* Numbers come again: an error is forgotten when it is this old, before it is twice as old. */
#define CMDQ_ATC_ERROR_AGE	BIT(28)

/* With status words, looks at one of them for each look at the register. */
#define CMDQ_STATUS_LOOKS	64

/* In &arm_smmu_cmdq.seen: there has been a look. */
#define CMDQ_SEEN		BIT(31)

/* Have all commands up to, and without, @number been counted in? */
static bool arm_smmu_cmdq_reached(u32 counted, u32 number)
{
	return (arm_smmu_cmdq_number(counted, -number) & BIT(30)) == 0;
}

/*
 * How far CONS is ahead of llq.cons, whose value the caller has read, and reads again behind
 * this: only if it is still the same, the result means something.
 */
static u32 arm_smmu_cmdq_ahead(struct arm_smmu_cmdq *cmdq, u32 cons)
{
	u32 size = 1 << cmdq->q.llq.max_n_shift;

	/* Not relaxed: what follows a CMD_SYNC in the caller stays behind it. */
	return (readl(cmdq->q.cons_reg) - cons) & (2 * size - 1);
}

static __le64 *arm_smmu_cmdq_status(struct arm_smmu_cmdq *cmdq, u32 number)
{
	return cmdq->status + Q_IDX(&cmdq->q.llq, number);
}

/**
 * arm_smmu_cmdq_expect() - Prepare a status word for a CMD_SYNC
 * @cmdq: The queue, which has status words.
 * @number: Of the CMD_SYNC, whose slot is the caller's.
 *
 * Return: what the SMMU has to write.
 */
u32 arm_smmu_cmdq_expect(struct arm_smmu_cmdq *cmdq, u32 number)
{
	WRITE_ONCE(*arm_smmu_cmdq_status(cmdq, number), cpu_to_le64(number));
	return arm_smmu_cmdq_number(number, 1);
}

/* The number that CONS stands for. */
static u32 arm_smmu_cmdq_at(struct arm_smmu_cmdq *cmdq)
{
	u32 cons, number;

	do {
		/* Pairs with the release in arm_smmu_cmdq_wait_room(). */
		cons = atomic_read_acquire(&cmdq->q.llq.atomic.cons);
		number = arm_smmu_cmdq_number(cons, arm_smmu_cmdq_ahead(cmdq, cons));
	} while (cons != atomic_read(&cmdq->q.llq.atomic.cons));
	return number;
}

/*
 * Poll
 */

struct cmdq_poll {
	ktime_t timeout;
	unsigned int us, spins, delay;
	bool wfe;
};

/*
 * The clock is not read before the caller has looked once in vain.
 *
 * Return: has it taken @us? The caller looks once more, as it may have been preempted.
 */
static bool cmdq_poll(struct cmdq_poll *poll)
{
	if (!poll->timeout)
		poll->timeout = ktime_add_us(ktime_get(), poll->us);
	if (poll->wfe) {
		wfe();
	} else if (++poll->spins % ARM_SMMU_POLL_SPIN_COUNT) {
		cpu_relax();
	} else {
		udelay(poll->delay);
		poll->delay *= 2;
	}
	return ktime_after(ktime_get(), poll->timeout);
}

/* Called whenever CMDQ_ATC_ERROR_AGE more commands have left the queue. */
static void arm_smmu_cmdq_forget_errors(struct arm_smmu_cmdq *cmdq, u32 cons)
{
	u32 i, number, size = 1 << cmdq->q.llq.max_n_shift;

	/* A device that has not been found by now has left. */
	WRITE_ONCE(cmdq->unnamed, false);
	for (i = 0; cmdq->atc_errors && i < size; i++) {
		number = READ_ONCE(cmdq->atc_errors[i].number);
		/* The interrupt handler may write a new one meanwhile. */
		if (number && arm_smmu_cmdq_reached(cons, number + CMDQ_ATC_ERROR_AGE))
			cmpxchg(&cmdq->atc_errors[i].number, number, 0);
	}
}

/**
 * arm_smmu_cmdq_wait_room() - Wait until commands have left a queue
 * @smmu: The SMMU.
 * @cmdq: The queue.
 * @llq: Where the caller has seen a full queue. It gets what the queue is now.
 *
 * Context: Any context.
 * Return: 0, or -ETIMEDOUT if none has left it for a second.
 */
int arm_smmu_cmdq_wait_room(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq,
			    struct arm_smmu_ll_queue *llq)
{
	u32 size = 1 << llq->max_n_shift;
	u32 seen = llq->cons, cons, ahead, next;
	/* Without WFE: commands without a CMD_SYNC end without an event. */
	struct cmdq_poll poll = { .us = ARM_SMMU_POLL_TIMEOUT_US, .delay = 1 };
	bool late = false;

	for (;;) {
		/* Pairs with the release below: not a CONS that is older than the number. */
		cons = atomic_read_acquire(&cmdq->q.llq.atomic.cons);
		ahead = arm_smmu_cmdq_ahead(cmdq, cons);
		next = arm_smmu_cmdq_number(cons, ahead);
		if (ahead && ahead <= size &&
		    atomic_cmpxchg_release(&cmdq->q.llq.atomic.cons, cons, next) == cons &&
		    (cons ^ next) & CMDQ_ATC_ERROR_AGE)
			arm_smmu_cmdq_forget_errors(cmdq, next);
		llq->val = READ_ONCE(cmdq->q.llq.val);
		if (llq->cons != seen)
			return 0;
		if (late)
			return -ETIMEDOUT;
		late = cmdq_poll(&poll);
	}
}

/*
 * Have all commands ahead of @number been executed? With status words, the register is read
 * only if @look.
 */
bool arm_smmu_cmdq_done(struct arm_smmu_cmdq *cmdq, u32 number, bool look)
{
	u32 cons, ahead;
	u64 status;

	if (cmdq->status) {
		status = le64_to_cpu(READ_ONCE(*arm_smmu_cmdq_status(cmdq, number - 1)));
		if (arm_smmu_cmdq_reached(lower_32_bits(status), number)) {
			/* What follows a CMD_SYNC in the caller stays behind it. */
			dma_rmb();
			return true;
		}
	}
	do {
		/* Pairs with the release in arm_smmu_cmdq_wait_room(). */
		cons = atomic_read_acquire(&cmdq->q.llq.atomic.cons);
		if (arm_smmu_cmdq_reached(cons, number))
			return true;
		if (cmdq->status && !look)
			return false;
		ahead = arm_smmu_cmdq_ahead(cmdq, cons);
	} while (cons != atomic_read(&cmdq->q.llq.atomic.cons));
	return ahead <= 1 << cmdq->q.llq.max_n_shift &&
	       ahead >= arm_smmu_cmdq_number(number, -cons);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_done);

/**
 * arm_smmu_cmdq_stands() - Has the SMMU been at one command for a second?
 * @cmdq: The queue.
 * @number: What arm_smmu_cmdq_submit() has returned. Its CMD_SYNC has not completed yet.
 * @at: Set to the number of the command that the SMMU is at.
 *
 * The first call starts the clock: call it again.
 *
 * Context: Any context.
 * Return: true if so.
 */
bool arm_smmu_cmdq_stands(struct arm_smmu_cmdq *cmdq, u32 number, u32 *at)
{
	u32 now = ktime_to_ms(ktime_get());
	u64 seen = READ_ONCE(cmdq->seen);

	*at = arm_smmu_cmdq_at(cmdq);
	if (upper_32_bits(seen) == (*at | CMDQ_SEEN))
		return (s32)(now - lower_32_bits(seen)) >= ARM_SMMU_POLL_TIMEOUT_US / USEC_PER_MSEC;
	/* Not the end of the queue, where the SMMU may be for any time. */
	if (!arm_smmu_cmdq_reached(*at, number)) {
		now = ktime_to_ms(ktime_get());
		WRITE_ONCE(cmdq->seen, (u64)(*at | CMDQ_SEEN) << 32 | now);
	}
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_stands);

/**
 * arm_smmu_cmdq_wait() - Wait for a CMD_SYNC
 * @smmu: The SMMU.
 * @cmdq: The queue that it is in.
 * @number: What arm_smmu_cmdq_submit() has returned.
 *
 * The end of a CMD_SYNC comes before what the caller does next, such as to free an IOVA.
 *
 * Context: Any context. Takes no lock, leaves interrupts and preemption as they are.
 * Return: 0, or -ETIMEDOUT if the SMMU has been at one command for a second.
 */
int arm_smmu_cmdq_wait(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq, u32 number)
{
	struct cmdq_poll poll = {
		.us = ARM_SMMU_POLL_WATCH_US,
		.delay = 1,
		/* A write to memory sends no event. */
		.wfe = smmu->features & ARM_SMMU_FEAT_SEV && !cmdq->status,
	};
	unsigned int looks = 0;
	bool late = false;
	u32 at;

	while (!arm_smmu_cmdq_done(cmdq, number, late || ++looks % CMDQ_STATUS_LOOKS == 0)) {
		if (late) {
			dev_err_ratelimited(smmu->dev,
					    "CMD_SYNC timeout before 0x%08x [hwprod 0x%08x, hwcons 0x%08x]\n",
					    number, readl_relaxed(cmdq->q.prod_reg),
					    readl_relaxed(cmdq->q.cons_reg));
			return -ETIMEDOUT;
		}
		late = cmdq_poll(&poll) && arm_smmu_cmdq_stands(cmdq, number, &at);
	}
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_wait);

/*
 * Looks for the ATC_INVs between the CMD_SYNC with a number and the one before it. Their slots
 * are free by now, but still hold them unless the queue is about to wrap around to them: half
 * of the queue is far more than others may be writing at the moment.
 *
 * Return: 0 if there are none, 1 if all are for @sid, more if they are not, or it is not known.
 */
static unsigned int arm_smmu_cmdq_atc_sids(struct arm_smmu_cmdq *cmdq, u32 sync, u32 *sid)
{
	u32 half = 1 << cmdq->q.llq.max_n_shift >> 1;
	u32 most = min_t(u32, half, CMDQ_ATC_LOOK_BACK);
	unsigned int sids = 0;
	u32 n, number, prod;
	u64 word;

	for (n = 1; n <= most; n++) {
		number = arm_smmu_cmdq_number(sync, -n);
		word = le64_to_cpu(READ_ONCE(Q_ENT(&cmdq->q, number)[0]));
		if (FIELD_GET(CMDQ_0_OP, word) == CMDQ_OP_CMD_SYNC)
			break;
		if (FIELD_GET(CMDQ_0_OP, word) != CMDQ_OP_ATC_INV)
			continue;
		if (!sids || FIELD_GET(CMDQ_ATC_0_SID, word) != *sid)
			sids++;
		*sid = FIELD_GET(CMDQ_ATC_0_SID, word);
	}
	/* A slot is taken before it is written. */
	smp_rmb();
	prod = READ_ONCE(cmdq->q.llq.prod) & ~CMDQ_PROD_OWNED_FLAG;
	if (n > most || arm_smmu_cmdq_number(prod, -arm_smmu_cmdq_number(sync, -n)) > half)
		return UINT_MAX;
	return sids;
}

/**
 * arm_smmu_cmdq_note_atc_error() - The queue has stopped since a device did not answer
 * @smmu: The SMMU.
 * @cmdq: The queue. It goes on when the error is acknowledged, after this.
 *
 * The error is about the ATC_INVs between the CMD_SYNC that CONS is at and the one before it. If
 * they are all for one device, that device did not answer.
 *
 * Context: Any context. There is one error at a time.
 */
void arm_smmu_cmdq_note_atc_error(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq)
{
	u32 sync = arm_smmu_cmdq_at(cmdq), sid = 0;
	struct arm_smmu_atc_error *error;
	unsigned int sids;
	bool named;

	sids = arm_smmu_cmdq_atc_sids(cmdq, sync, &sid);
	named = sids == 1;
	/* If there are none, a CMD_SYNC for each ATC_INV would not name a device, either. */
	if (sids)
		WRITE_ONCE(cmdq->unnamed, !named);
	if (named)
		dev_err_ratelimited(smmu->dev,
				    "StreamID 0x%x did not answer an ATC invalidation\n", sid);
	if (!cmdq->atc_errors)
		return;
	error = &cmdq->atc_errors[Q_IDX(&cmdq->q.llq, sync)];
	WRITE_ONCE(error->named, named);
	WRITE_ONCE(error->sid, sid);
	/* Pairs with the acquire in arm_smmu_cmdq_atc_error(). */
	smp_store_release(&error->number, sync | CMDQ_ATC_ERROR);
	WRITE_ONCE(cmdq->nr_atc_errors, cmdq->nr_atc_errors + 1);
}

/**
 * arm_smmu_cmdq_atc_error() - Was an ATC invalidation ahead of a CMD_SYNC not answered?
 * @cmdq: The queue.
 * @number: The number of the CMD_SYNC, one less than what arm_smmu_cmdq_submit() has returned.
 *	It has completed.
 * @found: Where what is known of the device is put.
 *
 * &arm_smmu_cmdq.nr_atc_errors is 0 as long as there has been none at all.
 *
 * Context: Any context.
 * Return: true if so.
 */
bool arm_smmu_cmdq_atc_error(struct arm_smmu_cmdq *cmdq, u32 number,
			     struct arm_smmu_atc_error *found)
{
	const struct arm_smmu_atc_error *error;

	if (!cmdq->atc_errors)
		return false;
	error = &cmdq->atc_errors[Q_IDX(&cmdq->q.llq, number)];
	/* Pairs with the release in arm_smmu_cmdq_note_atc_error(). */
	if (smp_load_acquire(&error->number) != (number | CMDQ_ATC_ERROR))
		return false;
	found->number = number;
	found->named = READ_ONCE(error->named);
	found->sid = READ_ONCE(error->sid);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_atc_error);

/**
 * arm_smmu_cmdq_held_up() - Has the SMMU been at one of some CMD_SYNCs for a second?
 * @cmdq: The queue.
 * @number: What arm_smmu_cmdq_submit() has returned for the last of them.
 * @span: How many commands there are from the first ATC_INV up to it.
 * @found: Where what is known of the device is put.
 *
 * The SMMU may report an error only when a minute has passed, as PCIe allows.
 *
 * Context: Any context.
 * Return: true if so.
 */
bool arm_smmu_cmdq_held_up(struct arm_smmu_cmdq *cmdq, u32 number, u32 span,
			   struct arm_smmu_atc_error *found)
{
	unsigned int sids;
	u64 word;
	u32 at;

	/* It may have come to the next device a moment ago. */
	if (!arm_smmu_cmdq_stands(cmdq, number, &at))
		return false;
	word = le64_to_cpu(READ_ONCE(Q_ENT(&cmdq->q, at)[0]));
	if (arm_smmu_cmdq_number(number - 1, -at) >= span ||
	    FIELD_GET(CMDQ_0_OP, word) != CMDQ_OP_CMD_SYNC)
		return false;
	found->number = at;
	found->sid = 0;
	sids = arm_smmu_cmdq_atc_sids(cmdq, at, &found->sid);
	found->named = sids == 1;
	if (sids)
		WRITE_ONCE(cmdq->unnamed, !found->named);
	return sids;
}

/**
 * arm_smmu_cmdq_note_refused() - The queue has stopped at a command that the SMMU does not execute
 * @cmdq: The queue. It goes on when the error is acknowledged, after this.
 *
 * Context: Any context. There is one error at a time.
 */
void arm_smmu_cmdq_note_refused(struct arm_smmu_cmdq *cmdq)
{
	u32 nr = cmdq->nr_refused;

	WRITE_ONCE(cmdq->refused[nr % CMDQ_REFUSED], arm_smmu_cmdq_at(cmdq));
	/* Pairs with the acquire in arm_smmu_cmdq_refused(). */
	smp_store_release(&cmdq->nr_refused, nr + 1);
}

/**
 * arm_smmu_cmdq_refused() - Has the SMMU refused one of some commands?
 * @cmdq: The queue.
 * @number: The number behind the last one, as arm_smmu_cmdq_submit() has returned it. A CMD_SYNC
 *	behind them has completed.
 * @span: How many they are.
 * @before: &arm_smmu_cmdq.nr_refused from before they were submitted.
 *
 * The latest CMDQ_REFUSED commands that were refused are known.
 *
 * Context: Any context.
 * Return: true if so, or if there have been too many since then to know.
 */
bool arm_smmu_cmdq_refused(struct arm_smmu_cmdq *cmdq, u32 number, u32 span, u32 before)
{
	/* Pairs with the release in arm_smmu_cmdq_note_refused(). */
	u32 nr = smp_load_acquire(&cmdq->nr_refused), refused;

	/* One less: the next one may be about to be recorded. */
	if (nr - before >= CMDQ_REFUSED)
		return true;
	while (nr-- != before) {
		refused = READ_ONCE(cmdq->refused[nr % CMDQ_REFUSED]);
		if (arm_smmu_cmdq_number(number - 1, -refused) < span)
			return true;
	}
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_refused);

/**
 * arm_smmu_cmdq_unanswered() - Was a CMD_SYNC held up by ATC_INVs that were not answered?
 * @cmdq: The queue.
 * @number: What arm_smmu_cmdq_submit() has returned. arm_smmu_cmdq_issue_sync() has failed.
 *
 * Context: Any context.
 * Return: true if the SMMU has reported that, or has waited at the CMD_SYNC for a second; false if
 * it was busy with commands ahead of it, or has completed it after all.
 */
bool arm_smmu_cmdq_unanswered(struct arm_smmu_cmdq *cmdq, u32 number)
{
	u32 sync = arm_smmu_cmdq_number(number, -1);
	struct arm_smmu_atc_error error;
	u32 at;

	return (arm_smmu_cmdq_stands(cmdq, number, &at) && at == sync) ||
	       arm_smmu_cmdq_atc_error(cmdq, sync, &error);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_unanswered);

static bool arm_smmu_cmds_ask(const struct arm_smmu_cmd *cmds, int n)
{
	while (n--)
		if (FIELD_GET(CMDQ_0_OP, cmds[n].data[0]) == CMDQ_OP_ATC_INV)
			return true;
	return false;
}

/**
 * arm_smmu_cmdq_issue_sync() - Submit commands, and wait for them
 * @smmu: The SMMU.
 * @cmdq: The queue.
 * @cmds: The commands.
 * @n: How many they are.
 * @number: Set to what arm_smmu_cmdq_submit() has returned.
 *
 * If the SMMU refuses one of them, all are submitted again, a few times.
 *
 * Context: Any context.
 * Return: 0; -ETIMEDOUT as arm_smmu_cmdq_wait(), or if a device did not answer an ATC_INV; -EIO if
 * the SMMU refuses a command.
 */
int arm_smmu_cmdq_issue_sync(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq,
			     struct arm_smmu_cmd *cmds, int n, u32 *number)
{
	struct arm_smmu_atc_error error;
	int ret, tries = CMDQ_TRIES;
	u32 before;

	do {
		before = READ_ONCE(cmdq->nr_refused);
		*number = arm_smmu_cmdq_submit(smmu, cmdq, cmds, n, true);
		ret = arm_smmu_cmdq_wait(smmu, cmdq, *number);
		if (ret)
			return ret;
		/* The error may be about an ATC_INV of others: all else has been executed. */
		if (arm_smmu_cmdq_atc_error(cmdq, arm_smmu_cmdq_number(*number, -1), &error) &&
		    arm_smmu_cmds_ask(cmds, n))
			return -ETIMEDOUT;
		if (!arm_smmu_cmdq_refused(cmdq, *number, n + 1, before))
			return 0;
	} while (--tries);
	return -EIO;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_issue_sync);

/**
 * __arm_smmu_cmdq_issue_cmdlist() - Submit commands, and wait for them if @sync
 * @smmu: The SMMU.
 * @cmdq: The queue.
 * @cmds: The commands.
 * @n: How many they are.
 * @sync: Add a CMD_SYNC, and wait for it.
 *
 * Context: Any context.
 * Return: 0, or as arm_smmu_cmdq_issue_sync().
 */
int __arm_smmu_cmdq_issue_cmdlist(struct arm_smmu_device *smmu, struct arm_smmu_cmdq *cmdq,
				  struct arm_smmu_cmd *cmds, int n, bool sync)
{
	u32 number;

	if (sync)
		return arm_smmu_cmdq_issue_sync(smmu, cmdq, cmds, n, &number);
	arm_smmu_cmdq_submit(smmu, cmdq, cmds, n, false);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(__arm_smmu_cmdq_issue_cmdlist);
