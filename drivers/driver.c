// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the four example drivers have in common
 *
 * Three parts: IOMMUs and their queues, devices and what is attached to them,
 * domains and their page tables.
 *
 * The queue. Positions count the entries ever queued, from the size of the queue
 * on, so that a completion word that was never written is older than any of them.
 * A completion wait at a position stores the position in the status word of its
 * slot; who waits for it also takes what a later wait stored there.
 */
#include "driver.h"

#include <linux/array_size.h>

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Polls between two looks at the error registers. */
#define POLLS_PER_LOOK	1000
/* In a cookie: some of the batch found no room. By itself: so did all of it. */
#define NO_ROOM		(UINT64_C(1) << 63)
/*
 * The hardware has stopped if its head has not moved for as long: longer than it takes to
 * give up a silent device.
 */
#define PATIENCE_NS	(UINT64_C(180) * 1000 * 1000 * 1000)
/* How often a submission that the hardware aborted is sent again. */
#define TRIES		16

pthread_mutex_t drv_tags = PTHREAD_MUTEX_INITIALIZER;

/*
 * IOMMUs of each vendor that cache absent translations. Counted machine-wide, as a
 * map must know before it looks at any list.
 */
static unsigned int nr_caching[MODEL_VENDORS];

const struct driver *driver_of(enum model_vendor vendor)
{
	static const struct driver *const drivers[MODEL_VENDORS] = {
		[MODEL_VTD] = &vtd_driver,
		[MODEL_SMMUV3] = &smmuv3_driver,
		[MODEL_AMD] = &amd_driver,
		[MODEL_RISCV] = &riscv_driver,
	};

	return drivers[vendor];
}

/*
 * Tags
 */

int tag_space_init(struct tag_space *space, uint32_t first, uint32_t last)
{
	space->first = first;
	space->last = last;
	space->used = kcalloc(last / 64 + 1, sizeof(*space->used), GFP_KERNEL);
	return space->used ? 0 : -ENOMEM;
}

void tag_space_exit(struct tag_space *space)
{
	kfree(space->used);
	space->used = NULL;
}

int64_t tag_alloc(struct tag_space *space, uint32_t wish)
{
	uint32_t tag = wish > space->first ? wish : space->first;

	for (; tag <= space->last; tag++) {
		uint64_t bit = UINT64_C(1) << tag % 64;

		if (!(space->used[tag / 64] & bit)) {
			space->used[tag / 64] |= bit;
			return tag;
		}
	}
	return -ENOSPC;
}

void tag_free(struct tag_space *space, uint32_t tag)
{
	space->used[tag / 64] &= ~(UINT64_C(1) << tag % 64);
}

/*
 * The queue
 */

/* The driver's lock is held. */
static uint64_t queue_free(struct iommu_device *iommu)
{
	unsigned int entries = model_queue_entries(iommu->hw);

	iommu->head += (model_head(iommu->hw) + entries - iommu->head % entries) %
		       entries;
	return entries - 1 - (iommu->tail - iommu->head);
}

uint64_t queue_position(const struct iommu_device *iommu, unsigned int slot)
{
	return iommu->tail - (iommu->tail - slot) % model_queue_entries(iommu->hw);
}

/* Comes before the error is cleared: a waiter whose wait completes then sees it. */
static void queue_report(struct iommu_device *iommu)
{
	__atomic_store_n(&iommu->reported, (uint32_t)iommu->tail, __ATOMIC_RELAXED);
	__atomic_store_n(&iommu->reports, true, __ATOMIC_RELEASE);
}

void queue_fail(struct iommu_device *iommu, uint64_t position, int error)
{
	struct failure *failed = &iommu->failed[position % model_queue_entries(iommu->hw)];

	failed->position = position;
	failed->error = error;
	queue_report(iommu);
}

void queue_abort(struct iommu_device *iommu, uint64_t position)
{
	iommu->aborted = position;
	queue_report(iommu);
}

static void make_wait(struct iommu_device *iommu, uint64_t position, uint64_t *cmd)
{
	memset(cmd, 0, MODEL_CMD_WORDS * sizeof(*cmd));
	iommu->driver->make_sync(&iommu->status[position % model_queue_entries(iommu->hw)],
				 (uint32_t)position, cmd);
}

void queue_repair(struct iommu_device *iommu, uint64_t position)
{
	enum model_vendor vendor = iommu->driver->vendor;
	unsigned int entries = model_queue_entries(iommu->hw);
	uint64_t *slot = &model_queue(iommu->hw)[position % entries *
						 model_cmd_words(vendor)];
	uint64_t cmd[MODEL_CMD_WORDS];
	char text[128];

	model_decode(vendor, slot, text, sizeof(text));
	fprintf(stderr, "%s refused a command: %016" PRIx64 " %016" PRIx64 " (%s)\n",
		model_vendor_name(vendor), slot[0], slot[1], text);
	queue_fail(iommu, position, -EINVAL);
	/* If it was a wait, its waiter goes on; if not, no waiter looks at this status. */
	make_wait(iommu, position, cmd);
	memcpy(slot, cmd, model_cmd_words(vendor) * sizeof(*cmd));
}

/* iommu->lock is held. */
static struct device *find_device(struct iommu_device *iommu, uint32_t rid)
{
	struct device *device;
	unsigned int i;

	for (device = iommu->devices; device; device = device->next) {
		for (i = 0; i < device->nr_ids; i++) {
			if (device->id[i].rid == rid)
				return device;
		}
	}
	return NULL;
}

void queue_set_aside(struct iommu_device *iommu, uint32_t rid)
{
	struct device *device = find_device(iommu, rid);

	fprintf(stderr, "%s: device %04" PRIx32 " does not answer\n",
		model_vendor_name(iommu->driver->vendor), rid);
	if (device)
		iommu_attach_set_aside(&device->endpoint);
}

/* Retries did not help: the hardware, or the driver, is broken. */
static void __attribute__((noreturn)) give_up(const struct iommu_device *iommu)
{
	fprintf(stderr, "%s takes no command\n", model_vendor_name(iommu->driver->vendor));
	abort();
}

/*
 * Waits for room without the lock: other batches may be queued meanwhile. A flush calls this
 * inside an RCU read-side section, so it gives up when the hardware has stopped taking
 * commands. Return: whether there is room.
 */
static bool queue_room(struct iommu_device *iommu, unsigned int nr)
{
	uint64_t head = iommu->head;
	unsigned long polls = 0;

	while (queue_free(iommu) < nr) {
		if (++polls % POLLS_PER_LOOK == 0) {
			iommu->driver->look(iommu);
			queue_free(iommu);
			if (iommu->head == head)
				return false;
			head = iommu->head;
		}
		pthread_mutex_unlock(&iommu->lock);
		sched_yield();
		pthread_mutex_lock(&iommu->lock);
	}
	return true;
}

/* There is room. */
static void queue_put(struct iommu_device *iommu, const uint64_t *cmd)
{
	unsigned int entries = model_queue_entries(iommu->hw);
	unsigned int words = model_cmd_words(iommu->driver->vendor);

	memcpy(&model_queue(iommu->hw)[iommu->tail % entries * words], cmd,
	       words * sizeof(*cmd));
	iommu->tail++;
}

/* Half of the word is written by some vendors; the host is little-endian as they. */
static bool wait_done(const struct iommu_device *iommu, uint32_t position)
{
	unsigned int slot = position % model_queue_entries(iommu->hw);

	return (int32_t)((uint32_t)__atomic_load_n(&iommu->status[slot],
						   __ATOMIC_ACQUIRE) - position) >= 0;
}

/* Queues a wait, for which there is room. Return: its position. */
static uint64_t queue_put_wait(struct iommu_device *iommu)
{
	unsigned int entries = model_queue_entries(iommu->hw);
	uint64_t position = iommu->tail;
	uint64_t cmd[MODEL_CMD_WORDS];

	/*
	 * A word that no wait used for long looks newer than this one. Another one is left
	 * alone: VT-d takes waits from the queue that have not completed, so that the one
	 * before may still be waited for.
	 */
	if (wait_done(iommu, (uint32_t)position))
		__atomic_store_n(&iommu->status[position % entries],
				 (uint32_t)(position - entries), __ATOMIC_RELAXED);
	make_wait(iommu, position, cmd);
	queue_put(iommu, cmd);
	return position;
}

/*
 * Queues the batch and a wait for it, in one piece: the hardware reports a silent device to
 * the next wait in the queue, which must not be that of another flush. And if what comes
 * after a part finds no room, the part is waited for all the same.
 */
static void batch_put(struct batch *batch, struct iommu_device *iommu)
{
	unsigned int i;

	pthread_mutex_lock(&iommu->lock);
	if (!queue_room(iommu, batch->nr + 1)) {
		batch->dropped = true;
		goto out;
	}
	if (!batch->handed)
		batch->first = iommu->tail;
	batch->handed = true;
	for (i = 0; i < batch->nr; i++)
		queue_put(iommu, batch->cmd[i]);
	batch->last = queue_put_wait(iommu);
	model_doorbell(iommu->hw, iommu->tail % model_queue_entries(iommu->hw));
out:
	batch->nr = 0;
	pthread_mutex_unlock(&iommu->lock);
}

void batch_add(struct batch *batch, struct iommu_device *iommu,
	       const uint64_t *cmd)
{
	if (batch->nr == ARRAY_SIZE(batch->cmd) ||
	    batch->nr + 2 == model_queue_entries(iommu->hw))
		batch_put(batch, iommu);
	memcpy(batch->cmd[batch->nr++], cmd,
	       model_cmd_words(iommu->driver->vendor) * sizeof(*cmd));
}

/* A cookie has the position of the last wait, and how far before it the first command is. */
uint64_t batch_sync(struct batch *batch, struct iommu_device *iommu)
{
	uint64_t cookie = 0;

	batch_put(batch, iommu);
	if (batch->handed)
		cookie = (batch->last - batch->first) << 32 | (uint32_t)batch->last;
	if (batch->dropped)
		cookie |= NO_ROOM;
	batch->handed = false;
	batch->dropped = false;
	return cookie;
}

/* The low half of the position of a cookie's first command. */
static uint32_t cookie_first(uint64_t cookie)
{
	return (uint32_t)cookie - (uint32_t)((cookie & ~NO_ROOM) >> 32);
}

/* The lock is held. What the caller waits for has not come: it goes on, or it is in vain. */
static int queue_progress(struct iommu_device *iommu)
{
	struct timespec time;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &time);
	now = (uint64_t)time.tv_sec * 1000 * 1000 * 1000 + (uint64_t)time.tv_nsec;
	queue_free(iommu);
	if (iommu->moved_at != iommu->head) {
		iommu->moved_at = iommu->head;
		iommu->moved_ns = now;
	}
	return now - iommu->moved_ns > iommu->patience_ns ? -EIO : -EINPROGRESS;
}

/* Have the commands of a cookie been executed? */
static int queue_result(struct iommu_device *iommu, uint64_t cookie)
{
	unsigned int entries = model_queue_entries(iommu->hw), i;
	uint64_t first, last;
	int error = 0;

	pthread_mutex_lock(&iommu->lock);
	iommu->driver->look(iommu);
	first = iommu->tail - (uint32_t)(iommu->tail - cookie_first(cookie));
	last = iommu->tail - (uint32_t)(iommu->tail - cookie);
	/* The status does not tell: a later wait in the same slot may have completed. */
	if (first < iommu->aborted)
		error = -EAGAIN;
	else if (!wait_done(iommu, (uint32_t)last))
		error = queue_progress(iommu);
	for (i = 0; i < entries && !error; i++)
		if (iommu->failed[i].position >= first && iommu->failed[i].position <= last)
			error = iommu->failed[i].error;
	pthread_mutex_unlock(&iommu->lock);
	return error;
}

/* Has no error been reported since the first command of the cookie was queued? */
static bool nothing_reported(const struct iommu_device *iommu, uint64_t cookie)
{
	const struct driver *driver = iommu->driver;

	if (driver->late_error && driver->late_error(iommu))
		return false;
	return !__atomic_load_n(&iommu->reports, __ATOMIC_ACQUIRE) ||
	       (int32_t)(cookie_first(cookie) -
			 __atomic_load_n(&iommu->reported, __ATOMIC_RELAXED)) >= 0;
}

/* Part of a batch was dropped. Is there room now to send it again? */
static int queue_poll_room(struct iommu_device *iommu)
{
	int error = -EBUSY;

	pthread_mutex_lock(&iommu->lock);
	iommu->driver->look(iommu);
	if (queue_free(iommu) < model_queue_entries(iommu->hw) / 2)
		error = queue_progress(iommu);
	pthread_mutex_unlock(&iommu->lock);
	sched_yield();
	return error;
}

/* Looks for a moment at what is in the queue. */
static int queue_poll_wait(struct iommu_device *iommu, uint64_t cookie)
{
	unsigned long polls;

	for (polls = 0; polls < POLLS_PER_LOOK; polls++) {
		if (wait_done(iommu, (uint32_t)cookie)) {
			if (nothing_reported(iommu, cookie))
				return 0;
			break;
		}
		sched_yield();
	}
	return queue_result(iommu, cookie);
}

/*
 * Looks for a moment. A part that is in the queue is waited for before the whole is sent
 * again: its device may be gone then, so that nothing is left to send.
 */
static int queue_poll(struct iommu_device *iommu, uint64_t cookie)
{
	int error = 0;

	if (cookie != NO_ROOM)
		error = queue_poll_wait(iommu, cookie);
	if (!error && cookie & NO_ROOM)
		error = queue_poll_room(iommu);
	return error;
}

int queue_wait(struct iommu_device *iommu, uint64_t cookie)
{
	int error;

	do {
		error = queue_poll(iommu, cookie);
	} while (error == -EINPROGRESS);
	return error;
}

int queue_one(struct iommu_device *iommu, const uint64_t *cmd)
{
	struct batch batch = { 0 };

	batch_add(&batch, iommu, cmd);
	return queue_wait(iommu, batch_sync(&batch, iommu));
}

void queue_one_surely(struct iommu_device *iommu, const uint64_t *cmd)
{
	unsigned int tries;

	for (tries = 0; tries < TRIES; tries++)
		if (!queue_one(iommu, cmd))
			return;
	give_up(iommu);
}

u64 flush_submit(struct iommu_device *iommu, void *arg)
{
	struct flush *flush = arg;

	return batch_sync(&flush->batch, iommu);
}

int flush_wait(struct iommu_device *iommu, u64 cookie,
	       void *arg __attribute__((unused)))
{
	return queue_poll(iommu, cookie);
}

void flush_silent(struct iommu_device *iommu, u64 atc, void *arg __attribute__((unused)))
{
	pthread_mutex_lock(&iommu->lock);
	queue_set_aside(iommu, iommu->driver->atc_rid(atc));
	pthread_mutex_unlock(&iommu->lock);
}

struct iommu_device *iommu_probe(struct model_iommu *hw, bool caching_mode)
{
	struct iommu_device *iommu = kzalloc(sizeof(*iommu), GFP_KERNEL);

	if (!iommu)
		return NULL;
	iommu->driver = driver_of(model_iommu_vendor(hw));
	iommu->hw = hw;
	iommu->head = model_queue_entries(hw) + model_head(hw);
	iommu->tail = iommu->head;
	iommu->caching_mode = caching_mode;
	iommu->patience_ns = PATIENCE_NS;
	iommu->status = kcalloc(model_queue_entries(hw), sizeof(*iommu->status),
				GFP_KERNEL);
	iommu->failed = kcalloc(model_queue_entries(hw), sizeof(*iommu->failed),
				GFP_KERNEL);
	if (!iommu->status || !iommu->failed)
		goto err_status;
	if (iommu_attach_fence_init(&iommu->fence))
		goto err_status;
	if (iommu->driver->iommu_init && iommu->driver->iommu_init(iommu))
		goto err_fence;
	pthread_mutex_init(&iommu->lock, NULL);
	if (caching_mode)
		__atomic_add_fetch(&nr_caching[iommu->driver->vendor], 1,
				   __ATOMIC_RELAXED);
	return iommu;

err_fence:
	iommu_attach_fence_destroy(&iommu->fence);
err_status:
	kfree(iommu->failed);
	kfree(iommu->status);
	kfree(iommu);
	return NULL;
}

void iommu_remove(struct iommu_device *iommu)
{
	if (iommu->caching_mode)
		__atomic_sub_fetch(&nr_caching[iommu->driver->vendor], 1,
				   __ATOMIC_RELAXED);
	/* Flushes that look whether they are done may have been overtaken by detaches. */
	iommu_attach_drain(&iommu->fence);
	iommu_attach_fence_destroy(&iommu->fence);
	tag_space_exit(&iommu->tags);
	pthread_mutex_destroy(&iommu->lock);
	kfree(iommu->failed);
	kfree(iommu->status);
	kfree(iommu);
}

/*
 * Devices
 */

static void destroy_ids(struct device *device)
{
	while (device->nr_ids)
		model_dev_destroy(device->id[--device->nr_ids].hw);
}

struct device *device_probe_ids(struct iommu_device *iommu, const uint32_t *rids,
				unsigned int nr, bool ats_capable)
{
	struct device *device;
	struct device_id *id;

	if (!nr || nr > DEVICE_IDS)
		return NULL;
	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return NULL;
	while (device->nr_ids < nr) {
		id = &device->id[device->nr_ids];
		id->rid = rids[device->nr_ids];
		id->hw = model_dev_create(iommu->hw, id->rid, ats_capable);
		if (!id->hw)
			goto err_ids;
		device->nr_ids++;
	}
	device->iommu = iommu;
	device->rid = device->id[0].rid;
	device->hw = device->id[0].hw;
	device->ats_capable = ats_capable;
	device->ats_qdep = 32;
	iommu_attach_endpoint_init(&device->endpoint);
	pthread_mutex_init(&device->lock, NULL);
	pthread_mutex_lock(&iommu->lock);
	device->next = iommu->devices;
	iommu->devices = device;
	pthread_mutex_unlock(&iommu->lock);
	return device;

err_ids:
	destroy_ids(device);
	kfree(device);
	return NULL;
}

struct device *device_probe(struct iommu_device *iommu, uint32_t rid,
			    bool ats_capable)
{
	return device_probe_ids(iommu, &rid, 1, ats_capable);
}

struct attachment *device_attachment(struct device *device, uint32_t pasid)
{
	struct attachment *attachment = device->attachments;

	while (attachment && attachment->pasid != pasid)
		attachment = attachment->next;
	return attachment;
}

/* The hardware does not use the attachment any more. */
static void release(struct attachment *attachment)
{
	pthread_mutex_lock(&drv_tags);
	attachment->domain->driver->list_del(attachment);
	pthread_mutex_unlock(&drv_tags);
}

bool device_answers(struct device *device)
{
	return device->ats && !iommu_attach_is_aside(&device->endpoint);
}

static uint32_t hw_pasid(uint32_t pasid)
{
	return pasid == IOMMU_NO_PASID ? MODEL_NO_PASID : pasid;
}

/* But for the mode, which hardware reads first. */
static void write_rest(const struct device_id *id, uint32_t pasid,
		       const struct model_context *context)
{
	int word;

	for (word = MODEL_WORD_MODE + 1; word < MODEL_CONTEXT_WORDS; word++)
		model_dev_set_context_word(id->hw, hw_pasid(pasid),
					   (enum model_context_word)word, context);
}

void write_context(const struct device_id *id, uint32_t pasid,
		   const struct attachment *old, const struct attachment *new,
		   const struct model_context *context)
{
	if (old && new) {
		model_dev_set_context(id->hw, hw_pasid(pasid), context);
		return;
	}
	if (new)
		write_rest(id, pasid, context);
	model_dev_set_context_word(id->hw, hw_pasid(pasid), MODEL_WORD_MODE, context);
}

/*
 * Calls driver->set_context() for each id until the hardware has executed its commands. If
 * the device does not answer, the next call sends no ATC command, and the entry that it
 * writes refuses translated requests.
 */
static void set_context(struct device *device, uint32_t pasid,
			const struct attachment *old, const struct attachment *new)
{
	static const struct model_context none = { .mode = MODEL_BLOCKED };
	const struct device_id *id;
	unsigned int tries;
	int error;

	for (id = device->id; id < device->id + device->nr_ids; id++) {
		error = -EAGAIN;
		for (tries = 0; tries < TRIES && error; tries++) {
			error = device->iommu->driver->set_context(device, id, pasid, old, new);
			if (error == -ETIMEDOUT)
				iommu_attach_set_aside(&device->endpoint);
		}
		if (error)
			give_up(device->iommu);
		if (!new)
			write_rest(id, pasid, &none);
	}
}

/* The hardware first, then the list. The caller fences. */
static void detach(struct device *device, uint32_t pasid)
{
	struct attachment *attachment = device_attachment(device, pasid);

	if (!attachment)
		return;
	set_context(device, pasid, attachment, NULL);
	release(attachment);
}

static void forget_device(struct device *device)
{
	struct device **link = &device->iommu->devices;

	pthread_mutex_lock(&device->iommu->lock);
	while (*link != device)
		link = &(*link)->next;
	*link = device->next;
	pthread_mutex_unlock(&device->iommu->lock);
}

void device_remove(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	while (device->attachments)
		detach(device, device->attachments->pasid);
	pthread_mutex_unlock(&device->lock);

	/* One for all PASIDs: then no command names the device. */
	iommu_attach_fence(&device->iommu->fence);
	forget_device(device);
	destroy_ids(device);
	pthread_mutex_destroy(&device->lock);
	kfree(device);
}

/* A nest has two elements, in the order of struct iommu_attach_nest. */
static unsigned int nr_elms(const struct attachment *attachment)
{
	return attachment->domain->parent ? 2 : attachment->device->nr_ids;
}

struct attachment *attachment_alloc(struct domain *domain, struct device *device,
				    uint32_t pasid)
{
	struct attachment *attachment = kzalloc(sizeof(*attachment), GFP_KERNEL);
	struct iommu_attach_elm *elm;
	unsigned int i;

	_Static_assert(offsetof(struct iommu_attach_nest, s2) == sizeof(*elm),
		       "the halves of a nest are the first two of an array");
	if (!attachment)
		return NULL;
	attachment->domain = domain;
	attachment->device = device;
	attachment->pasid = pasid;

	for (i = 0; i < nr_elms(attachment); i++) {
		elm = &attachment->id[i];
		elm->iommu_device = device->iommu;
		elm->fence = &device->iommu->fence;
		elm->endpoint = &device->endpoint;
		elm->pasid = pasid;
		elm->atc = domain->driver->atc(attachment, domain->parent ? device->rid :
							   device->id[i].rid);
		iommu_attach_elm_set_device(elm, device);
	}
	return attachment;
}

int attachment_add(struct attachment *attachment)
{
	struct domain *domain = attachment->domain;
	struct device *device = attachment->device;
	unsigned int i;
	int ret;

	if (domain->parent) {
		ret = iommu_attach_add_nest(&domain->alist, &domain->parent->alist,
					    &attachment->elms);
	} else {
		for (i = 1; i < device->nr_ids; i++)
			attachment->id[i].tag = attachment->id[0].tag;
		ret = iommu_attach_add_array(&domain->alist, attachment->id, device->nr_ids);
	}
	if (ret >= 0) {
		attachment->next = device->attachments;
		device->attachments = attachment;
	}
	return ret;
}

static void attachment_unlink(struct attachment *attachment)
{
	struct attachment **link = &attachment->device->attachments;

	while (*link != attachment)
		link = &(*link)->next;
	*link = attachment->next;
}

int attachment_del(struct attachment *attachment)
{
	struct domain *domain = attachment->domain;
	unsigned int i;

	attachment_unlink(attachment);
	if (!domain->parent) {
		/* All but the first, which is of the same group. */
		for (i = attachment->device->nr_ids; --i;)
			iommu_attach_del(&domain->alist, &attachment->id[i]);
		return iommu_attach_del_free(&domain->alist, attachment, id[0]);
	}
	return iommu_attach_del_nest_free(&domain->alist, &domain->parent->alist,
					  attachment, elms);
}

struct model_context attachment_context(const struct attachment *attachment)
{
	struct model_context context = { .mode = MODEL_BLOCKED };
	const struct domain *domain;

	if (!attachment)
		return context;
	domain = attachment->domain;
	context.no_ats = !attachment->device->ats_allowed ||
			 iommu_attach_is_aside(&attachment->device->endpoint);
	if (domain->parent) {
		context.mode = MODEL_NESTED;
		context.s1 = domain->pt;
		context.s2 = domain->parent->pt;
	} else if (domain->first_stage) {
		context.mode = MODEL_S1;
		context.s1 = domain->pt;
	} else {
		context.mode = MODEL_S2;
		context.s2 = domain->pt;
	}
	return context;
}

static void set_ats_allowed(struct device *device, bool allowed)
{
	struct attachment *attachment;

	device->ats_allowed = allowed;
	for (attachment = device->attachments; attachment;
	     attachment = attachment->next)
		set_context(device, attachment->pasid, attachment, attachment);
}

static void set_ats(struct device *device, bool on)
{
	unsigned int i;

	for (i = 0; i < device->nr_ids; i++)
		model_dev_set_ats(device->id[i].hw, on);
}

/* Ends all targets of a device, or those of attachments before @end. */
static void disable_atcs(struct device *device, const struct attachment *end)
{
	struct attachment *attachment;
	unsigned int i;

	for (attachment = device->attachments; attachment != end;
	     attachment = attachment->next) {
		/* That of a nest is for both halves. */
		for (i = 0; i < device->nr_ids; i++)
			iommu_attach_disable_atc(&attachment->id[i]);
	}
}

int device_ats_enable(struct device *device)
{
	struct attachment *attachment;
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&device->lock);
	if (!device->ats_capable)
		ret = -ENODEV;
	if (ret || device->ats)
		goto out;

	/* It gets no translation yet, but it answers what is sent from here on. */
	set_ats(device, true);
	for (attachment = device->attachments; attachment;
	     attachment = attachment->next) {
		for (i = 0; i < device->nr_ids; i++) {
			ret = iommu_attach_enable_atc(&attachment->id[i]);
			if (ret)
				goto err_undo;
		}
	}
	/* Every flush sends to the ATC now: it may be filled. */
	set_ats_allowed(device, true);
	device->ats = true;
out:
	pthread_mutex_unlock(&device->lock);
	return ret;

err_undo:
	while (i--)
		iommu_attach_disable_atc(&attachment->id[i]);
	disable_atcs(device, attachment);
	iommu_attach_fence(&device->iommu->fence);
	set_ats(device, false);
	goto out;
}

void device_ats_disable(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	if (!device->ats)
		goto out;
	set_ats_allowed(device, false);
	disable_atcs(device, NULL);
	iommu_attach_fence(&device->iommu->fence);
	set_ats(device, false);
	device->ats = false;
out:
	pthread_mutex_unlock(&device->lock);
}

void device_quarantine(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	if (iommu_attach_is_aside(&device->endpoint)) {
		set_ats_allowed(device, false);
		iommu_attach_blocked(&device->endpoint);
	}
	pthread_mutex_unlock(&device->lock);
}

int device_reset(struct device *device)
{
	bool ats = device->ats;
	unsigned int i;

	device_ats_disable(device);
	for (i = 0; i < device->nr_ids; i++)
		model_dev_reset(device->id[i].hw);
	iommu_attach_resume(&device->endpoint);
	return ats ? device_ats_enable(device) : 0;
}

/*
 * Domains
 */

struct domain *domain_alloc(const struct driver *driver, unsigned int levels,
			    bool first_stage, struct domain *parent)
{
	struct domain *domain;

	/* A parent translates what an S1 table gives: it is S2 itself. */
	if (parent && (parent->first_stage || parent->parent))
		return NULL;
	domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	if (!domain)
		return NULL;
	domain->driver = driver;
	domain->parent = parent;
	domain->first_stage = first_stage;
	domain->pt = model_pt_create(levels);
	if (!domain->pt)
		goto err_free;
	iommu_attach_init(&domain->alist);
	pthread_mutex_init(&domain->lock, NULL);
	return domain;

err_free:
	kfree(domain);
	return NULL;
}

void domain_free(struct domain *domain)
{
	iommu_attach_destroy(&domain->alist);
	if (domain->driver->domain_exit)
		domain->driver->domain_exit(domain);
	model_pt_destroy(domain->pt);
	pthread_mutex_destroy(&domain->lock);
	kfree(domain);
}

int domain_get_tag(struct domain *domain, struct tag_space *space)
{
	int64_t tag;

	if (domain->tag)
		return 0;
	tag = tag_alloc(space, domain->wish_tag);
	if (tag < 0)
		return (int)tag;
	domain->tag = (uint64_t)tag;
	return 0;
}

void domain_put_tag(struct domain *domain, struct tag_space *space)
{
	if (!domain->tag || !iommu_attach_empty(&domain->alist))
		return;
	tag_free(space, (uint32_t)domain->tag);
	domain->tag = 0;
}

int domain_attach(struct domain *domain, struct device *device, uint32_t pasid)
{
	const struct driver *driver = domain->driver;
	struct attachment *old, *new;
	unsigned int i;
	int ret = 0;

	if (driver->check)
		ret = driver->check(domain, pasid);
	if (domain->parent && device->nr_ids > 1)
		ret = -EINVAL;
	if (ret)
		return ret;
	new = attachment_alloc(domain, device, pasid);
	if (!new)
		return -ENOMEM;

	pthread_mutex_lock(&device->lock);
	old = device_attachment(device, pasid);
	for (i = 0; i < nr_elms(new); i++)
		new->id[i].using_atc = device->ats_allowed;

	/*
	 * The list first: a command for what the hardware does not use yet does no
	 * harm, one that is missing does. While both are on, both are flushed.
	 */
	pthread_mutex_lock(&drv_tags);
	ret = driver->list_add(new);
	pthread_mutex_unlock(&drv_tags);
	if (ret >= 0) {
		set_context(device, pasid, old, new);
		if (old)
			release(old);
		ret = 0;
	} else {
		kfree(new);
	}
	pthread_mutex_unlock(&device->lock);
	return ret;
}

void domain_detach(struct device *device, uint32_t pasid)
{
	pthread_mutex_lock(&device->lock);
	detach(device, pasid);
	pthread_mutex_unlock(&device->lock);
	iommu_attach_fence(&device->iommu->fence);
}

/* What is attached behind an IOMMU, one of it, or NULL. */
static struct attachment *behind(struct domain *domain, const struct iommu_device *iommu)
{
	struct attachment *found = NULL;
	struct bare {
		struct iommu_attach_elm elm;
	} *pos;

	iommu_attach_lock(&domain->alist);
	iommu_attach_for_each_locked(pos, &domain->alist, elm) {
		if (pos->elm.iommu_device == iommu)
			found = device_attachment(iommu_attach_elm_device(&pos->elm),
						  pos->elm.pasid);
	}
	iommu_attach_unlock(&domain->alist);
	return found;
}

void domain_lose_iommu(struct domain *domain, struct iommu_device *iommu)
{
	struct attachment *attachment;

	while ((attachment = behind(domain, iommu)))
		attachment_del(attachment);
	iommu_attach_drain(&iommu->fence);
}

int domain_map(struct domain *domain, uint64_t iova, uint64_t paddr,
	       uint64_t size, bool writable)
{
	struct flush_range range = {
		.first = iova,
		.last = iova + size - 1,
		.tables = true,
		.map = true,
	};
	int ret;

	pthread_mutex_lock(&domain->lock);
	ret = model_pt_map(domain->pt, iova, paddr, size, writable);
	pthread_mutex_unlock(&domain->lock);

	/* The list is not looked at unless the hardware of the machine needs it. */
	if (!ret && __atomic_load_n(&nr_caching[domain->driver->vendor],
				    __ATOMIC_RELAXED))
		domain->driver->flush(domain, &range);
	return ret;
}

int domain_unmap(struct domain *domain, uint64_t iova, uint64_t size,
		 struct gather *gather)
{
	uint64_t before = gather->unmapped.bytes;
	uint64_t last = iova + size - 1;
	int ret;

	pthread_mutex_lock(&domain->lock);
	ret = model_pt_unmap(domain->pt, iova, size, &gather->unmapped);
	pthread_mutex_unlock(&domain->lock);

	if (gather->unmapped.bytes == before)
		return ret;
	if (!before || iova < gather->first)
		gather->first = iova;
	if (!before || last > gather->last)
		gather->last = last;
	return ret;
}

static int gather_flush(struct domain *domain, struct gather *gather,
			const struct flush_range *range)
{
	int ret = domain->driver->flush(domain, range);

	if (ret)
		return ret;
	model_pt_free_tables(&gather->unmapped);
	memset(gather, 0, sizeof(*gather));
	return 0;
}

int domain_sync(struct domain *domain, struct gather *gather)
{
	const struct flush_range range = {
		.first = gather->first,
		.last = gather->last,
		.leaf = gather->unmapped.leaf,
		.tables = gather->unmapped.tables,
	};

	return gather->unmapped.bytes ? gather_flush(domain, gather, &range) : 0;
}

int domain_sync_all(struct domain *domain, struct gather *gather)
{
	static const struct flush_range everything = {
		.last = UINT64_MAX,
		.tables = true,
	};

	return gather_flush(domain, gather, &everything);
}
