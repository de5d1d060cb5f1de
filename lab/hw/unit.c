// SPDX-License-Identifier: GPL-2.0-only
/*
 * A unit's thread, whatever its vendor: the pace of its queue, and what goes wrong with
 * commands on demand. What a command does is model/'s.
 *
 * The model's time is in steps, which are milliseconds here: that is how long a device may
 * take that does not answer.
 */
#include <string.h>

#include "hw.h"

#define STEP_NS		1000000		/* of the model's time */
#define URGENT_NS	1000000000

static uint64_t latency(const struct unit *unit, const struct command *command)
{
	uint64_t ns = control_load(unit, HW_LATENCY(command->type));

	if (command->atc)
		ns += control_load(unit, HW_ATC_LATENCY(command->atc->slot));
	return ns;
}

/* Is what the guest asked for to happen to this command? */
static bool in_trouble(const struct unit *unit, unsigned int kind, const struct command *command)
{
	uint64_t left = control_load(unit, HW_TROUBLE_COUNT);

	if (control_load(unit, HW_TROUBLE) != kind || !left ||
	    !(control_load(unit, HW_TROUBLE_TYPES) & BIT(command->type)))
		return false;
	if (control_load(unit, HW_TROUBLE_SKIP)) {
		control_add(unit, HW_TROUBLE_SKIP, -1);
		return false;
	}
	if (kind != HW_STALL) {
		control_add(unit, HW_TROUBLE_COUNT, -1);
		control_add(unit, HW_TROUBLE_HITS, 1);
	}
	return true;
}

/* The model fetches it at once. */
void unit_give(struct unit *unit, const uint64_t *words)
{
	unsigned int n = model_cmd_words(unit->vendor->model);

	pthread_rwlock_wrlock(&unit->dma);
	memcpy(model_queue(unit->iommu) + unit->slot * n, words, n * sizeof(*words));
	unit->slot = (unit->slot + 1) % model_queue_entries(unit->iommu);
	model_doorbell(unit->iommu, unit->slot);
	pthread_rwlock_unlock(&unit->dma);
}

void unit_stop(struct unit *unit, uint64_t counter)
{
	unit->stopped = true;
	unit->stopped_at = now_ns();
	unit->ready_at = 0;
	control_add(unit, counter, 1);
}

bool unit_lost_patience(struct unit *unit)
{
	uint64_t patience = control_load(unit, HW_PATIENCE);

	if (!unit->stopped || !patience || now_ns() - unit->stopped_at < patience)
		return false;
	trace_text("%s%u goes on with an error that nobody has cleared", unit->vendor->name,
		   unit->index);
	control_add(unit, HW_RESCUES, 1);
	return true;
}

/*
 * Time for the model, and what it has to say. Return: true if there was a fault, in
 * *@malformed if it is of the command at the head. A look at its registers is a step of its
 * time, so there is none but after a fault.
 */
static bool update_model(struct unit *unit, bool *malformed)
{
	uint64_t now = now_ns() / STEP_NS;
	uint64_t timeout = control_load(unit, HW_TIMEOUT) / STEP_NS;
	struct model_fault_record fault;
	unsigned long faults;

	*malformed = false;
	if (timeout != unit->timeout) {
		unit->timeout = timeout;
		model_set_time(unit->iommu, 0, (unsigned int)timeout);
	}
	if (now != unit->steps) {
		model_advance(unit->iommu, now - unit->steps);
		unit->steps = now;
	}
	faults = model_faults(unit->iommu, &fault);
	if (faults == unit->faults)
		return false;
	unit->faults = faults;
	*malformed = unit->vendor->model_fault(unit, &fault);
	return true;
}

static void complete(struct unit *unit, const struct command *command)
{
	unit->ready_at = 0;
	unit->vendor->complete(unit, command);
}

static void execute(struct unit *unit, const struct command *command)
{
	unit->held = unit->vendor->waits_at_head &&
		     model_classify(unit->vendor->model, command->words) == MODEL_SYNC;
	unit->waits = model_count(unit->iommu, MODEL_SYNC);
	unit->vendor->execute(unit, command);
}

/* Has the model taken what it was given? */
static bool still_held(struct unit *unit)
{
	if (model_count(unit->iommu, MODEL_SYNC) != unit->waits)
		unit->held = false;
	return unit->held;
}

/* The command at the head, when its time has come. Return: something has happened. */
static bool consume(struct unit *unit)
{
	struct command command = { .type = 0 };
	bool malformed, answered;

	if (!unit->vendor->fetch(unit, &command))
		return false;
	if (unit->held) {
		if (still_held(unit))
			return false;
		complete(unit, &command);
		return true;
	}
	if (!unit->ready_at) {
		if (in_trouble(unit, HW_STALL, &command))
			return false;
		unit->ready_at = now_ns() + latency(unit, &command);
	}
	if (now_ns() < unit->ready_at)
		return false;

	if (in_trouble(unit, HW_REFUSE, &command)) {
		trace_text("%s%u refuses a command", unit->vendor->name, unit->index);
		unit->vendor->refuse(unit);
		return true;
	}
	unit->vendor->trace(unit, &command);
	control_add(unit, HW_COUNT(command.type), 1);
	if (in_trouble(unit, HW_LOSE, &command)) {
		complete(unit, &command);
		return true;
	}
	/* ATS stays as it was found until the model has the command. */
	answered = command.atc && function_hold(command.atc) && unit->vendor->off_answers;
	if (!answered)
		execute(unit, &command);
	if (command.atc)
		function_release(command.atc);
	if (answered) {
		complete(unit, &command);
		return true;
	}
	if (update_model(unit, &malformed) && malformed)
		unit->held = false;
	else if (!still_held(unit))
		complete(unit, &command);
	return true;
}

static bool poll(struct unit *unit)
{
	bool malformed;

	if (control_load(unit, HW_PING))
		store64(unit->machine, control(unit, HW_PING), 0);
	unit->vendor->update(unit);
	if (update_model(unit, &malformed))
		return true;
	return !unit->stopped && consume(unit);
}

/*
 * A driver that clears an error reads what it wrote until this thread has looked, and may take
 * it for another error: no sleep as long as that is to be expected.
 */
static bool is_urgent(const struct unit *unit)
{
	uint64_t now = now_ns();

	if (unit->stopped && now - unit->stopped_at < URGENT_NS)
		return true;
	return unit->ready_at && (unit->ready_at <= now || unit->ready_at - now < 50000);
}

void *unit_thread(void *arg)
{
	struct unit *unit = arg;
	unsigned int idle = 0;

	unit->steps = now_ns() / STEP_NS;
	poll_first();
	while (!quitting(unit->machine)) {
		look_again(&unit->looks);
		if (poll(unit)) {
			idle = 0;
			continue;
		}
		if (is_urgent(unit))
			idle = 0;
		poll_wait(&idle);
	}
	return NULL;
}
