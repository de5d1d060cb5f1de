// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions: root complex integrated endpoints with ATS, PASID and PRI, a DMA engine that
 * BAR 0 commands, and an agent that does DMA by itself. One thread polls all of them; each
 * agent has one of its own.
 *
 * The function in slot 31 is a unit's own: what its BAR 0 says happens to the unit.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "hw.h"

#define PCI_COMMAND	0x04
#define PCI_CLASS	0x08
#define PCI_BAR0	0x10
#define PCI_SUBSYSTEM	0x2c
#define PCI_CAP_LIST	0x34
#define PCI_IRQ		0x3c

#define EXP_DEVCAP	(HW_CAP_EXP + 0x4)
#define EXP_DEVCAP_FLR		BIT(28)
#define EXP_DEVCTL	(HW_CAP_EXP + 0x8)
#define EXP_DEVCTL_FLR		BIT(15)
#define EXP_DEVCAP2	(HW_CAP_EXP + 0x24)
#define EXP_DEVCAP2_PREFIX	BIT(21)		/* end-to-end TLP prefix: PASIDs */
#define ATS_CTL		(HW_CAP_ATS + 0x4)
#define ATS_ENABLE		BIT(31)
#define ATS_ALIGNED		BIT(5)

#define RESET_NS		1000000
#define AGENT_NICE		15
#define AGENT_PAUSE_NS		30000
#define TRACED_STALE		16	/* accesses of an agent; more say nothing new */

static void set(const struct unit *unit, unsigned int slot, uint64_t at, uint32_t value,
		uint32_t writable)
{
	store32(unit->machine, config(unit, slot) + at, value);
	store32(unit->machine, config(unit, slot) + HW_MASKS + at, writable);
}

static void clear_config(const struct unit *unit, unsigned int slot)
{
	memset(guest(unit->machine, config(unit, slot), 2 * HW_MASKS), 0, 2 * HW_MASKS);
}

static void set_header(const struct unit *unit, unsigned int slot, uint32_t id)
{
	uint32_t bar0 = (uint32_t)(unit->machine->base + HW_BAR(unit->index, slot));

	set(unit, slot, PCI_COMMAND, 0x0010 << 16, 0x0546);
	set(unit, slot, PCI_CLASS, 0xff000001, 0);
	set(unit, slot, PCI_BAR0, bar0, (uint32_t)~(HW_BAR_SIZE - 1));
	set(unit, slot, PCI_SUBSYSTEM, id << 16 | HW_VENDOR_ID, 0);
	set(unit, slot, PCI_CAP_LIST, HW_CAP_EXP, 0);
	set(unit, slot, PCI_IRQ, 0, 0xff);
	/* PCI Express, version 2, root complex integrated endpoint */
	set(unit, slot, HW_CAP_EXP, 0x00920010, 0);
	set(unit, slot, EXP_DEVCAP, 0x00008000 | EXP_DEVCAP_FLR, 0);
	set(unit, slot, EXP_DEVCTL, 0, 0x0000ffff);
	set(unit, slot, EXP_DEVCAP2, EXP_DEVCAP2_PREFIX, 0);
	set(unit, slot, EXP_DEVCAP2 + 0x4, 0, 0x0000ffff);
	/* The guest's module takes a slot for free until its IDs are there. */
	set(unit, slot, 0, id << 16 | HW_VENDOR_ID, 0);
}

/* A list of the extended capabilities that there are; each is as large as it must be. */
static void set_capabilities(const struct function *function)
{
	const struct abilities *can = &function->can;
	unsigned int slot = function->slot;
	const struct unit *unit = function->unit;
	uint32_t pri = HW_CAP_PRI << 20, pasid = HW_CAP_PASID << 20;
	uint32_t after_pasid = can->pri ? pri : 0;
	uint32_t after_ats = can->pasid_bits ? pasid : after_pasid;

	if (!can->ats)
		return;
	set(unit, slot, HW_CAP_ATS, after_ats | 1 << 16 | 0x000f, 0);
	set(unit, slot, ATS_CTL, ATS_ALIGNED, 0x801f0000);
	if (can->pasid_bits) {
		set(unit, slot, HW_CAP_PASID, after_pasid | 1 << 16 | 0x001b, 0);
		/* execute and privileged permission */
		set(unit, slot, HW_CAP_PASID + 0x4, can->pasid_bits << 8 | 0x6, 0x00070000);
	}
	if (can->pri) {
		set(unit, slot, HW_CAP_PRI, 1 << 16 | 0x0013, 0);
		set(unit, slot, HW_CAP_PRI + 0x4, 0x81000000, 0x00000003);
		set(unit, slot, HW_CAP_PRI + 0x8, 64, 0);
		set(unit, slot, HW_CAP_PRI + 0xc, 0, UINT32_MAX);
	}
}

void function_reset(struct function *function)
{
	clear_config(function->unit, function->slot);
	memset(guest(function->unit->machine, bar(function, 0), HW_BAR_SIZE), 0, HW_BAR_SIZE);
	set_capabilities(function);
	set_header(function->unit, function->slot, HW_DEVICE_ID);
	store64(function->unit->machine, control(function->unit, HW_RESET_NS(function->slot)),
		RESET_NS);
}

void control_reset(struct unit *unit)
{
	memset(guest(unit->machine, control(unit, 0), HW_BAR_SIZE), 0, HW_BAR_SIZE);
	clear_config(unit, HW_CONTROL_SLOT);
	set_header(unit, HW_CONTROL_SLOT, HW_CONTROL_ID);
}

/* What is read of the function is all ones; nothing can be written. */
static void hide_config(const struct function *function)
{
	const struct unit *unit = function->unit;
	uint64_t at = config(unit, function->slot);

	memset(guest(unit->machine, at + HW_MASKS, HW_MASKS), 0, HW_MASKS);
	memset(guest(unit->machine, at, HW_MASKS), 0xff, HW_MASKS);
}

/* The lock is held. The kernel waits until the function can be read again. */
static void begin_reset(struct function *function)
{
	const struct unit *unit = function->unit;

	hide_config(function);
	function->reset_at = now_ns();
	trace_text("%s%u slot %u reset", unit->vendor->name, unit->index, function->slot);
}

static void end_reset(struct function *function)
{
	const struct unit *unit = function->unit;

	clear_config(unit, function->slot);
	set_capabilities(function);
	set_header(unit, function->slot, HW_DEVICE_ID);
	function->reset_at = 0;
	trace_text("%s%u slot %u is there again", unit->vendor->name, unit->index, function->slot);
}

static void update(struct function *function)
{
	const struct unit *unit = function->unit;
	uint64_t at = config(unit, function->slot);
	/* It does not come back. */
	bool absent = function->absent || control_load(unit, HW_ABSENT(function->slot));
	bool ats, silent;

	if (absent && !function->absent) {
		hide_config(function);
		model_dev_unplug(function->dev);
		trace_text("%s%u slot %u is gone", unit->vendor->name, unit->index, function->slot);
	}
	function->absent = absent;
	if (!absent && function->reset_at &&
	    now_ns() - function->reset_at >= control_load(unit, HW_RESET_NS(function->slot)))
		end_reset(function);
	else if (!absent && !function->reset_at &&
		 load32(unit->machine, at + EXP_DEVCTL) & EXP_DEVCTL_FLR)
		begin_reset(function);
	ats = !absent && !function->reset_at &&
	      load32(unit->machine, at + ATS_CTL) & ATS_ENABLE;
	if (ats != function->ats && !model_dev_set_ats(function->dev, ats))
		function->ats = ats;
	silent = control_load(unit, HW_SILENT(function->slot));
	if (silent != function->silent)
		model_dev_set_silent(function->dev, silent);
	function->silent = silent;
}

/* Return: whether the guest has written to the configuration space. */
static bool poll_config(struct function *function)
{
	const struct unit *unit = function->unit;
	uint64_t at = config(unit, function->slot) + HW_WRITTEN;
	bool written;

	pthread_mutex_lock(&function->lock);
	written = load32(unit->machine, at);
	update(function);
	if (written)
		store32(unit->machine, at, 0);
	pthread_mutex_unlock(&function->lock);
	return written;
}

bool function_hold(struct function *function)
{
	uint64_t offset = 0;

	pthread_mutex_lock(&function->lock);
	update(function);
	if (function->absent || function->reset_at)
		offset = HW_ATC_DEAD(function->slot);
	else if (!function->ats)
		offset = HW_ATC_OFF(function->slot);
	control_add(function->unit, HW_ATC_COUNT(function->slot), 1);
	if (offset)
		control_add(function->unit, offset, 1);
	return offset == HW_ATC_OFF(function->slot);
}

void function_release(struct function *function)
{
	pthread_mutex_unlock(&function->lock);
}

void function_response(struct function *function, unsigned int code)
{
	store64(function->unit->machine, bar(function, HW_RESPONSE), 1 + code);
}

/* One access, by way of the model. Return: true if there was a translation. */
static bool access_memory(struct function *function, uint64_t pasid, uint64_t iova, bool write,
			  uint64_t *data, struct model_access *access)
{
	const struct machine *machine = function->unit->machine;
	uint32_t id = pasid == HW_NO_PASID ? MODEL_NO_PASID : (uint32_t)pasid & 0xfffff;

	pthread_rwlock_rdlock(&function->unit->dma);
	if (function->unit->vendor->translates(function->unit))
		model_dma(function->dev, id, iova, write, access);
	else
		*access = (struct model_access){ .source = MODEL_FROM_WALK, .paddr = iova };
	if (!access->fault && write)
		store64(machine, access->paddr, *data);
	else if (!access->fault)
		*data = load64(machine, access->paddr);
	pthread_rwlock_unlock(&function->unit->dma);
	return !access->fault;
}

static void command(struct function *function)
{
	const struct machine *machine = function->unit->machine;
	uint64_t what = load64(machine, bar(function, HW_COMMAND));
	uint64_t iova = load64(machine, bar(function, HW_IOVA)) & ~UINT64_C(7);
	uint64_t pasid = load64(machine, bar(function, HW_PASID));
	uint64_t data = load64(machine, bar(function, HW_DATA));
	const struct vendor *vendor = function->unit->vendor;
	unsigned int rid = requester(function->unit, function->slot);
	struct model_access access;
	bool ok = true;

	if (what == HW_CMD_PAGE_REQUEST) {
		store64(machine, bar(function, HW_RESPONSE), 0);
		if (vendor->page_request)
			vendor->page_request(function->unit, rid, pasid, iova, (unsigned int)data);
	} else {
		bool write = what == HW_CMD_WRITE;

		ok = access_memory(function, pasid, iova, write, &data, &access);
		trace_text("%s%u slot %u %s 0x%" PRIx64 " pasid %" PRId64 ": %s%s", vendor->name,
			   function->unit->index, function->slot, write ? "writes" : "reads", iova,
			   (int64_t)pasid, ok ? "done" : "fault", access.stale ? ", stale" : "");
		if (!ok)
			vendor->report_fault(function->unit, rid, pasid, iova, write);
		store64(machine, bar(function, HW_DATA), data);
		store64(machine, bar(function, HW_SOURCE), access.source);
		store64(machine, bar(function, HW_STALE), access.stale);
	}
	store64(machine, bar(function, HW_STATUS), ok ? HW_OK : HW_FAULT);
	store64(machine, bar(function, HW_COMMAND), 0);
}

/*
 * Agents. Their faults are counted, not reported: there are many, and it is the guest's
 * plan that there are.
 */
static void *agent_thread(void *arg)
{
	struct function *function = arg;
	const struct machine *machine = function->unit->machine;
	uint64_t iova = load64(machine, bar(function, HW_AGENT_IOVA));
	uint64_t pasid = load64(machine, bar(function, HW_AGENT_PASID));
	uint64_t pages = load64(machine, bar(function, HW_AGENT_PAGES));
	const struct timespec pause = { .tv_nsec = AGENT_PAUSE_NS };
	uint64_t what, random = function->slot + 1;
	uint64_t done = 0, faults = 0, stale = 0;

	if (!pages || pages > HW_AGENT_MAX)
		pages = 1;
	/* The guest comes first: there may be more agents than CPUs. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), AGENT_NICE);
	while ((what = load64(machine, bar(function, HW_AGENT))) && !quitting(machine)) {
		struct model_access access;
		uint64_t page, word, at, data;
		bool ok;

		/* xorshift64 */
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		page = random % pages;
		at = bar(function, HW_AGENT_TABLE + page * 8);
		data = iova + page * MODEL_PAGE_SIZE;
		word = load64(machine, at);
		poll_config(function);
		ok = access_memory(function, pasid, iova + page * MODEL_PAGE_SIZE + 8,
				   what == HW_CMD_WRITE, &data, &access);
		faults += !ok;
		if (ok && word & 1 && load64(machine, at) == word) {
			if (stale++ < TRACED_STALE)
				trace_text("%s%u slot %u agent: page %" PRIu64 " is gone",
					   function->unit->vendor->name, function->unit->index,
					   function->slot, page);
		}
		done++;
		store64(machine, bar(function, HW_AGENT_FAULTS), faults);
		store64(machine, bar(function, HW_AGENT_STALE), stale);
		store64(machine, bar(function, HW_AGENT_DONE), done);
		if (function->unit->vendor->agents_pause)
			nanosleep(&pause, NULL);
	}
	store64(machine, bar(function, HW_AGENT_RUNS), 0);
	return NULL;
}

static void update_agent(struct function *function)
{
	const struct machine *machine = function->unit->machine;
	bool wanted = load64(machine, bar(function, HW_AGENT));
	bool runs = load64(machine, bar(function, HW_AGENT_RUNS));

	if (function->agent_runs && !runs) {
		pthread_join(function->agent, NULL);
		function->agent_runs = false;
	}
	if (wanted && !function->agent_runs) {
		/* Of the one before. */
		store64(machine, bar(function, HW_AGENT_DONE), 0);
		store64(machine, bar(function, HW_AGENT_FAULTS), 0);
		store64(machine, bar(function, HW_AGENT_STALE), 0);
		store64(machine, bar(function, HW_AGENT_RUNS), 1);
		if (pthread_create(&function->agent, NULL, agent_thread, function))
			die("no thread for an agent");
		function->agent_runs = true;
	}
}

static void look(struct unit *unit)
{
	struct machine *machine = unit->machine;
	unsigned long stale = model_stale_entries(unit->iommu);

	store64(machine, control(unit, HW_LOOK_ATC), model_cached(unit->iommu, MODEL_FROM_ATC));
	store64(machine, control(unit, HW_LOOK_IOTLB),
		model_cached(unit->iommu, MODEL_FROM_IOTLB));
	store64(machine, control(unit, HW_LOOK_STALE), stale);
	trace_text("%s%u stale entries: %lu", unit->vendor->name, unit->index, stale);
	store64(machine, control(unit, HW_LOOK), 0);
}

static bool poll_control(struct unit *unit)
{
	uint64_t at = config(unit, HW_CONTROL_SLOT) + HW_WRITTEN;
	bool written = load32(unit->machine, at);

	/* Nothing of its configuration space acts on a write; the guest waits all the same. */
	if (written)
		store32(unit->machine, at, 0);
	if (!control_load(unit, HW_LOOK))
		return written;
	look(unit);
	return true;
}

static bool poll_function(struct function *function)
{
	const struct machine *machine = function->unit->machine;
	bool written = poll_config(function);

	update_agent(function);
	if (!load64(machine, bar(function, HW_COMMAND)))
		return written;
	command(function);
	return true;
}

void *functions_thread(void *arg)
{
	struct machine *machine = arg;
	unsigned int idle = 0, u, s;

	poll_first();
	while (!quitting(machine)) {
		bool busy = false;

		look_again(&machine->looks);
		for (u = 0; u < machine->nr_units; u++) {
			struct unit *unit = machine->units[u];

			busy |= poll_control(unit);
			for (s = 0; s < HW_CONTROL_SLOT; s++)
				if (unit->functions[s])
					busy |= poll_function(unit->functions[s]);
		}
		if (busy)
			idle = 0;
		else
			poll_wait(&idle);
	}
	for (u = 0; u < machine->nr_units; u++)
		for (s = 0; s < HW_CONTROL_SLOT; s++) {
			struct function *function = machine->units[u]->functions[s];

			if (function && function->agent_runs)
				pthread_join(function->agent, NULL);
		}
	return NULL;
}
