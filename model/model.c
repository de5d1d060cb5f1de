// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOMMU instance from the driver's side: the command queue, its consumer,
 * faults, and the hooks for tests. What commands empty is in device.c.
 *
 * Commands are taken by one consumer at a time: the instance's own thread, or
 * without one whoever rings the doorbell. iommu->consuming is that exclusivity;
 * it stays while the consumer drops the lock to spend the latency, to log and
 * to execute. So a log callback may call back, and whoever else needs commands
 * executed, or no longer executed, waits for iommu->changed.
 *
 * The head moves after the command took effect. A driver that sees it move, or
 * sees the completion word of a sync, may rely on all commands before. The exception
 * are ATC commands to devices that do not answer: only a sync tells.
 *
 * Time passes in model_advance() only, which polls call as well. A consumer does not wait
 * for it: it leaves the command at the head and sets iommu->stalled. model_advance() and
 * a device that answers call kick().
 */
#include "iommu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_LOG2_DEFAULT	8
#define SPIN_MAX_NS		50000	/* longer waits give the CPU away */

static const struct model_ops *const vendors[MODEL_VENDORS] = {
	[MODEL_VTD] = &model_vtd,
	[MODEL_SMMUV3] = &model_smmuv3,
	[MODEL_AMD] = &model_amd,
	[MODEL_RISCV] = &model_riscv,
};

/* Those that can be a guest's. */
static const struct model_guest_ops *const guests[MODEL_VENDORS] = {
	[MODEL_VTD] = &model_vtd_guest,
	[MODEL_SMMUV3] = &model_smmuv3_guest,
	[MODEL_AMD] = &model_amd_guest,
};

const char *model_vendor_name(enum model_vendor vendor)
{
	return vendors[vendor]->name;
}

unsigned int model_cmd_words(enum model_vendor vendor)
{
	return vendors[vendor]->words;
}

int model_classify(enum model_vendor vendor, const uint64_t *cmd)
{
	return vendors[vendor]->classify(cmd);
}

void model_decode(enum model_vendor vendor, const uint64_t *cmd, char *buf,
		  size_t size)
{
	vendors[vendor]->decode(cmd, buf, size);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void spend(unsigned int ns)
{
	if (ns > SPIN_MAX_NS) {
		struct timespec ts = {
			.tv_sec = ns / 1000000000,
			.tv_nsec = ns % 1000000000,
		};

		while (nanosleep(&ts, &ts) && errno == EINTR)
			;
	} else if (ns) {
		uint64_t end = now_ns() + ns;

		while (now_ns() < end)
			;
	}
}

void iommu_record_fault(struct model_iommu *iommu, enum model_fault fault,
			const uint64_t *cmd, const char *reason)
{
	iommu->fault.fault = fault;
	memcpy(iommu->fault.cmd, cmd, sizeof(iommu->fault.cmd));
	iommu->fault.reason = reason;
	iommu->fault.count++;
}

static void advance_head(struct model_iommu *iommu)
{
	struct model_regs *regs = &iommu->regs;
	unsigned int next = (regs->head + 1) % regs->entries;

	if (!next)
		regs->head_wrap = !regs->head_wrap;
	__atomic_store_n(&regs->head, next, __ATOMIC_RELEASE);
	iommu->ready = 0;
}

static const uint64_t *slot(const struct model_iommu *iommu, unsigned int index)
{
	return &iommu->queue[index * iommu->ops->words];
}

static void execute(struct model_iommu *iommu, enum model_class class)
{
	model_log_fn log = iommu->log;
	void *arg = iommu->log_arg;

	/* First: who sees a sync complete sees it counted. */
	__atomic_add_fetch(&iommu->executed[class], 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&iommu->lock);
	if (log)
		log(iommu, class, iommu->cmd, arg);
	if (iommu->guest)
		iommu->guest->exec(iommu, iommu->cmd);
	else
		iommu->ops->exec(iommu, iommu->cmd);
	pthread_mutex_lock(&iommu->lock);
	if (class == MODEL_SYNC && iommu->ops->completed)
		iommu->ops->completed(&iommu->regs, iommu->cmd);
}

/* All requests before the oldest fetched wait have been answered. */
static bool wait_ready(const struct model_iommu *iommu)
{
	return iommu->nr_waits &&
	       (!iommu->nr_requests || iommu->requests[0].id >= iommu->waits[0].after);
}

static void complete_wait(struct model_iommu *iommu)
{
	memcpy(iommu->cmd, iommu->waits[0].cmd, sizeof(iommu->cmd));
	iommu->nr_waits--;
	memmove(&iommu->waits[0], &iommu->waits[1],
		iommu->nr_waits * sizeof(iommu->waits[0]));
	execute(iommu, MODEL_SYNC);
}

/* Takes a wait from the queue that cannot complete yet, if there is room for it. */
static bool fetch_wait(struct model_iommu *iommu)
{
	const struct model_ops *ops = iommu->ops;
	struct fetched_wait *wait = &iommu->waits[iommu->nr_waits];

	if (!ops->fetches_waits || iommu->nr_waits == MAX_WAITS)
		return false;
	wait->after = iommu->next_request;
	wait->fence = ops->wait_fences && ops->wait_fences(iommu->cmd);
	memcpy(wait->cmd, iommu->cmd, sizeof(wait->cmd));
	iommu->nr_waits++;
	advance_head(iommu);
	return true;
}

/* The command at the head is a wait. Can it complete, as far as ATCs are concerned? */
static bool start_wait(struct model_iommu *iommu)
{
	if (iommu->nr_requests || iommu->nr_waits) {
		iommu->stalled = !fetch_wait(iommu);
		return false;
	}
	if (iommu->timed_out && iommu->ops->wait_failed) {
		iommu->timed_out = false;
		iommu->ops->wait_failed(&iommu->regs);
		return false;
	}
	return true;
}

/* Has the command at the head been there for as long as it takes? */
static bool latency_over(struct model_iommu *iommu)
{
	if (!iommu->ready)
		iommu->ready = iommu->now + iommu->latency_steps;
	iommu->stalled = iommu->now < iommu->ready;
	return !iommu->stalled;
}

/* The lock is held, iommu->consuming is ours. */
static void consume_one(struct model_iommu *iommu)
{
	unsigned int latency_ns = iommu->latency_ns;
	const uint64_t *head = slot(iommu, iommu->regs.head);
	const char *reason = NULL;
	enum model_fault fault;
	int class;

	if (wait_ready(iommu)) {
		complete_wait(iommu);
		return;
	}
	if (iommu->latency_steps && !latency_over(iommu))
		return;
	if (latency_ns) {
		pthread_mutex_unlock(&iommu->lock);
		spend(latency_ns);
		pthread_mutex_lock(&iommu->lock);
	}

	memcpy(iommu->cmd, head, iommu->ops->words * sizeof(*head));
	fault = iommu->ops->check(iommu->cmd, &reason);
	iommu->bad = fault != MODEL_OK;
	if (iommu->bad) {
		iommu_record_fault(iommu, fault, iommu->cmd, reason);
		iommu->ops->error(&iommu->regs, fault, head, 0);
		iommu->ready = 0;
		return;
	}
	class = iommu->ops->classify(iommu->cmd);
	if (iommu->withhold[class]) {
		iommu->withhold[class]--;
		advance_head(iommu);
		return;
	}
	if (class == MODEL_SYNC && !start_wait(iommu))
		return;
	if (class == MODEL_ATC && iommu->nr_requests == MAX_REQUESTS) {
		iommu->stalled = true;
		return;
	}
	execute(iommu, class);
	advance_head(iommu);
}

static bool may_fetch(const struct model_iommu *iommu)
{
	return iommu->regs.head != iommu->regs.tail && !iommu->stalled &&
	       !iommu->ops->stopped(&iommu->regs) &&
	       !(iommu->nr_waits && iommu->waits[iommu->nr_waits - 1].fence);
}

static bool runnable(const struct model_iommu *iommu)
{
	return !iommu->paused && !iommu->quit && (wait_ready(iommu) || may_fetch(iommu));
}

/* Is somebody else consuming? A log callback runs inside the consumer. */
static bool other_consumer(const struct model_iommu *iommu)
{
	return iommu->consuming &&
	       !pthread_equal(iommu->consumer, pthread_self());
}

static void consume(struct model_iommu *iommu)
{
	while (other_consumer(iommu))
		pthread_cond_wait(&iommu->changed, &iommu->lock);
	if (iommu->consuming || !runnable(iommu))
		return;
	iommu->consuming = true;
	iommu->consumer = pthread_self();
	while (runnable(iommu))
		consume_one(iommu);
	iommu->consuming = false;
	pthread_cond_broadcast(&iommu->changed);
}

static void *consumer_thread(void *arg)
{
	struct model_iommu *iommu = arg;

	pthread_mutex_lock(&iommu->lock);
	while (!iommu->quit) {
		consume(iommu);
		if (!runnable(iommu) && !iommu->quit)
			pthread_cond_wait(&iommu->changed, &iommu->lock);
	}
	pthread_mutex_unlock(&iommu->lock);
	return NULL;
}

/* There may be something to consume now. */
static void kick(struct model_iommu *iommu)
{
	iommu->stalled = false;
	if (iommu->threaded)
		pthread_cond_broadcast(&iommu->changed);
	else
		consume(iommu);
}

/*
 * Time, and devices that take it.
 */

void iommu_request(struct model_iommu *iommu, struct model_dev *dev, uint32_t rid,
		   const struct atc_scope *scope, const char *reason)
{
	struct atc_request *request = &iommu->requests[iommu->nr_requests];

	if (!iommu->atc_timeout) {
		iommu_record_fault(iommu, MODEL_ATC_TIMEOUT, iommu->cmd, reason);
		return;
	}
	/* consume_one() saw to it that there is room. */
	iommu->nr_requests++;
	request->id = iommu->next_request++;
	request->dev = dev;
	request->rid = rid;
	request->scope = *scope;
	request->deadline = iommu->now + iommu->atc_timeout;
	request->reason = reason;
	request->slot = slot(iommu, iommu->regs.head);
	memcpy(request->cmd, iommu->cmd, sizeof(request->cmd));
}

static void drop_request(struct model_iommu *iommu, unsigned int i)
{
	iommu->nr_requests--;
	memmove(&iommu->requests[i], &iommu->requests[i + 1],
		(iommu->nr_requests - i) * sizeof(iommu->requests[0]));
}

void iommu_answer(struct model_dev *dev)
{
	struct model_iommu *iommu = dev->iommu;
	unsigned int i = 0;

	while (i < iommu->nr_requests) {
		if (iommu->requests[i].dev == dev) {
			dev_inv_atc(dev, &iommu->requests[i].scope);
			drop_request(iommu, i);
		} else {
			i++;
		}
	}
	kick(iommu);
}

void iommu_forget(struct model_dev *dev)
{
	struct model_iommu *iommu = dev->iommu;
	unsigned int i;

	for (i = 0; i < iommu->nr_requests; i++)
		if (iommu->requests[i].dev == dev)
			iommu->requests[i].dev = NULL;
}

static void expire_requests(struct model_iommu *iommu)
{
	unsigned int i = 0;

	while (i < iommu->nr_requests) {
		struct atc_request request = iommu->requests[i];

		if (request.deadline > iommu->now) {
			i++;
			continue;
		}
		drop_request(iommu, i);
		iommu_record_fault(iommu, MODEL_ATC_TIMEOUT, request.cmd, request.reason);
		iommu->ops->error(&iommu->regs, MODEL_ATC_TIMEOUT, request.slot,
				  request.rid);
		iommu->timed_out = true;
		/* All waits that were fetched are aborted, whatever they wait for (6.5.2.11). */
		iommu->nr_waits = 0;
	}
}

void model_set_time(struct model_iommu *iommu, unsigned int latency,
		    unsigned int atc_timeout)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->latency_steps = latency;
	iommu->atc_timeout = atc_timeout;
	__atomic_store_n(&iommu->timed, latency || atc_timeout, __ATOMIC_RELAXED);
	kick(iommu);
	pthread_mutex_unlock(&iommu->lock);
}

void model_advance(struct model_iommu *iommu, unsigned long steps)
{
	pthread_mutex_lock(&iommu->lock);
	for (; steps; steps--) {
		iommu->now++;
		expire_requests(iommu);
		kick(iommu);
	}
	pthread_mutex_unlock(&iommu->lock);
}

uint64_t model_now(struct model_iommu *iommu)
{
	uint64_t now;

	pthread_mutex_lock(&iommu->lock);
	now = iommu->now;
	pthread_mutex_unlock(&iommu->lock);
	return now;
}

/* A driver looks at the hardware. */
static void poll(struct model_iommu *iommu)
{
	if (__atomic_load_n(&iommu->timed, __ATOMIC_RELAXED))
		model_advance(iommu, 1);
}

struct model_iommu *model_iommu_create(const struct model_config *config)
{
	unsigned int log2 = config->queue_log2 ?: QUEUE_LOG2_DEFAULT;
	struct model_iommu *iommu;
	int ret;

	if ((unsigned int)config->vendor >= MODEL_VENDORS || log2 < 3 || log2 > 15 ||
	    (config->memory && !guests[config->vendor])) {
		errno = EINVAL;
		return NULL;
	}
	iommu = calloc(1, sizeof(*iommu));
	if (!iommu)
		return NULL;
	iommu->vendor = config->vendor;
	iommu->ops = vendors[config->vendor];
	iommu->threaded = config->threaded;
	iommu->caches_absent = config->caches_absent;
	iommu->erratum = config->erratum;
	iommu->memory = config->memory;
	if (config->memory)
		iommu->guest = guests[config->vendor];
	iommu->latency_ns = config->latency_ns;
	iommu->regs.entries = 1U << log2;
	iommu->queue = calloc(iommu->regs.entries, iommu->ops->words * sizeof(uint64_t));
	if (!iommu->queue) {
		free(iommu);
		return NULL;
	}
	pthread_mutex_init(&iommu->lock, NULL);
	pthread_cond_init(&iommu->changed, NULL);
	if (iommu->threaded) {
		ret = pthread_create(&iommu->thread, NULL, consumer_thread, iommu);
		if (ret) {
			iommu->threaded = false;
			model_iommu_destroy(iommu);
			errno = ret;
			return NULL;
		}
	}
	return iommu;
}

void model_iommu_destroy(struct model_iommu *iommu)
{
	if (!iommu)
		return;
	if (iommu->threaded) {
		pthread_mutex_lock(&iommu->lock);
		iommu->quit = true;
		pthread_cond_broadcast(&iommu->changed);
		pthread_mutex_unlock(&iommu->lock);
		pthread_join(iommu->thread, NULL);
	}
	cache_clear(&iommu->iotlb);
	cache_clear(&iommu->walks);
	pthread_cond_destroy(&iommu->changed);
	pthread_mutex_destroy(&iommu->lock);
	free(iommu->queue);
	free(iommu);
}

enum model_vendor model_iommu_vendor(const struct model_iommu *iommu)
{
	return iommu->vendor;
}

void model_set_root(struct model_iommu *iommu, uint64_t root)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->root = root;
	pthread_mutex_unlock(&iommu->lock);
}

uint64_t *model_queue(struct model_iommu *iommu)
{
	return iommu->queue;
}

unsigned int model_queue_entries(const struct model_iommu *iommu)
{
	return iommu->regs.entries;
}

unsigned int model_head(struct model_iommu *iommu)
{
	poll(iommu);
	return __atomic_load_n(&iommu->regs.head, __ATOMIC_ACQUIRE);
}

void model_doorbell(struct model_iommu *iommu, unsigned int tail)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->regs.tail = tail % iommu->regs.entries;
	kick(iommu);
	pthread_mutex_unlock(&iommu->lock);
}

uint32_t model_reg_read(struct model_iommu *iommu, unsigned int offset)
{
	uint32_t value;

	poll(iommu);
	pthread_mutex_lock(&iommu->lock);
	value = iommu->ops->reg_read(&iommu->regs, offset);
	pthread_mutex_unlock(&iommu->lock);
	return value;
}

void model_reg_write(struct model_iommu *iommu, unsigned int offset, uint32_t value)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->ops->reg_write(&iommu->regs, offset, value);
	kick(iommu);
	pthread_mutex_unlock(&iommu->lock);
}

uint64_t *model_events(struct model_iommu *iommu)
{
	return iommu->vendor == MODEL_AMD ? &iommu->regs.amd.events[0][0] : NULL;
}

unsigned long model_faults(struct model_iommu *iommu,
			   struct model_fault_record *last)
{
	unsigned long count;

	pthread_mutex_lock(&iommu->lock);
	count = iommu->fault.count;
	if (last)
		*last = iommu->fault;
	pthread_mutex_unlock(&iommu->lock);
	return count;
}

void model_fault_clear(struct model_iommu *iommu)
{
	pthread_mutex_lock(&iommu->lock);
	if (iommu->ops->stopped(&iommu->regs)) {
		iommu->ops->restart(&iommu->regs);
		if (iommu->bad)
			advance_head(iommu);
		kick(iommu);
	}
	pthread_mutex_unlock(&iommu->lock);
}

void model_set_log(struct model_iommu *iommu, model_log_fn fn, void *arg)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->log = fn;
	iommu->log_arg = arg;
	pthread_mutex_unlock(&iommu->lock);
}

void model_set_fetch(struct model_iommu *iommu, model_fetch_fn fn, void *arg)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->fetch = fn;
	iommu->fetch_arg = arg;
	pthread_mutex_unlock(&iommu->lock);
}

unsigned long model_count(const struct model_iommu *iommu,
			  enum model_class class)
{
	return __atomic_load_n(&iommu->executed[class], __ATOMIC_RELAXED);
}

void model_withhold(struct model_iommu *iommu, enum model_class class,
		    unsigned long n)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->withhold[class] = n;
	pthread_mutex_unlock(&iommu->lock);
}

void model_pause(struct model_iommu *iommu, bool paused)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->paused = paused;
	if (!paused)
		kick(iommu);
	/* No command takes effect once this returned, but the one that called. */
	while (paused && iommu->paused && other_consumer(iommu))
		pthread_cond_wait(&iommu->changed, &iommu->lock);
	pthread_mutex_unlock(&iommu->lock);
}

void model_set_latency(struct model_iommu *iommu, unsigned int latency_ns)
{
	pthread_mutex_lock(&iommu->lock);
	iommu->latency_ns = latency_ns;
	pthread_mutex_unlock(&iommu->lock);
}
