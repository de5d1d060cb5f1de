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

/* Polls between two looks at the fault record. */
#define POLLS_PER_LOOK	1000

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
static bool queue_full(struct iommu_device *iommu)
{
	unsigned int entries = model_queue_entries(iommu->hw);

	iommu->head += (model_head(iommu->hw) + entries - iommu->head % entries) %
		       entries;
	return iommu->tail - iommu->head == entries - 1;
}

/* A command that the hardware refuses stops the queue for good: a driver's bug. */
static void queue_check(struct iommu_device *iommu)
{
	enum model_vendor vendor = iommu->driver->vendor;
	struct model_fault_record fault;
	char text[128];

	if (!model_faults(iommu->hw, &fault) ||
	    (fault.fault != MODEL_BAD_OPCODE && fault.fault != MODEL_BAD_FIELD))
		return;
	model_decode(vendor, fault.cmd, text, sizeof(text));
	fprintf(stderr, "%s refused a command: %s: %016" PRIx64 " %016" PRIx64 " (%s)\n",
		model_vendor_name(vendor), fault.reason, fault.cmd[0], fault.cmd[1],
		text);
	abort();
}

/*
 * Waits for room without the lock: commands of others may come in between, which
 * hurts nobody.
 */
static void queue_room(struct iommu_device *iommu)
{
	unsigned int entries = model_queue_entries(iommu->hw);
	unsigned long polls = 0;

	while (queue_full(iommu)) {
		model_doorbell(iommu->hw, iommu->tail % entries);
		pthread_mutex_unlock(&iommu->lock);
		if (++polls % POLLS_PER_LOOK == 0)
			queue_check(iommu);
		sched_yield();
		pthread_mutex_lock(&iommu->lock);
	}
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

static void batch_put(struct batch *batch, struct iommu_device *iommu)
{
	unsigned int i;

	for (i = 0; i < batch->nr; i++) {
		queue_room(iommu);
		queue_put(iommu, batch->cmd[i]);
	}
	batch->nr = 0;
}

void batch_add(struct batch *batch, struct iommu_device *iommu,
	       const uint64_t *cmd)
{
	if (batch->nr == ARRAY_SIZE(batch->cmd)) {
		pthread_mutex_lock(&iommu->lock);
		batch_put(batch, iommu);
		model_doorbell(iommu->hw,
			       iommu->tail % model_queue_entries(iommu->hw));
		pthread_mutex_unlock(&iommu->lock);
	}
	memcpy(batch->cmd[batch->nr++], cmd,
	       model_cmd_words(iommu->driver->vendor) * sizeof(*cmd));
}

uint64_t batch_sync(struct batch *batch, struct iommu_device *iommu)
{
	unsigned int entries = model_queue_entries(iommu->hw);
	uint64_t cmd[MODEL_CMD_WORDS] = { 0 };
	uint64_t *status;
	uint64_t cookie;

	pthread_mutex_lock(&iommu->lock);
	batch_put(batch, iommu);
	queue_room(iommu);
	cookie = iommu->tail;
	status = &iommu->status[cookie % entries];
	/* A word that no wait used for long would look newer than this one. */
	__atomic_store_n(status, (uint32_t)(cookie - entries), __ATOMIC_RELAXED);
	iommu->driver->make_sync(status, (uint32_t)cookie, cmd);
	queue_put(iommu, cmd);
	model_doorbell(iommu->hw, iommu->tail % entries);
	pthread_mutex_unlock(&iommu->lock);
	return cookie;
}

/*
 * Looks for a moment. Half of the word is written by some vendors; the host is
 * little-endian as they.
 */
static bool queue_poll(struct iommu_device *iommu, uint64_t cookie)
{
	uint64_t *status = &iommu->status[cookie % model_queue_entries(iommu->hw)];
	unsigned long polls;

	for (polls = 0; polls < POLLS_PER_LOOK; polls++) {
		if ((int32_t)((uint32_t)__atomic_load_n(status, __ATOMIC_ACQUIRE) -
			      (uint32_t)cookie) >= 0)
			return true;
		sched_yield();
	}
	queue_check(iommu);
	return false;
}

void queue_wait(struct iommu_device *iommu, uint64_t cookie)
{
	while (!queue_poll(iommu, cookie))
		;
}

void queue_one(struct iommu_device *iommu, const uint64_t *cmd)
{
	struct batch batch = { 0 };

	batch_add(&batch, iommu, cmd);
	queue_wait(iommu, batch_sync(&batch, iommu));
}

u64 flush_submit(struct iommu_device *iommu, void *arg)
{
	struct flush *flush = arg;

	return batch_sync(&flush->batch, iommu);
}

int flush_wait(struct iommu_device *iommu, u64 cookie,
	       void *arg __attribute__((unused)))
{
	return queue_poll(iommu, cookie) ? 0 : -EINPROGRESS;
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
	iommu->status = kcalloc(model_queue_entries(hw), sizeof(*iommu->status),
				GFP_KERNEL);
	if (!iommu->status)
		goto err_free;
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
	kfree(iommu->status);
err_free:
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
	kfree(iommu->status);
	kfree(iommu);
}

/*
 * Devices
 */

struct device *device_probe(struct iommu_device *iommu, uint32_t rid,
			    bool ats_capable)
{
	struct device *device = kzalloc(sizeof(*device), GFP_KERNEL);

	if (!device)
		return NULL;
	device->hw = model_dev_create(iommu->hw, rid, ats_capable);
	if (!device->hw) {
		kfree(device);
		return NULL;
	}
	device->iommu = iommu;
	device->rid = rid;
	device->ats_capable = ats_capable;
	device->ats_qdep = 32;
	pthread_mutex_init(&device->lock, NULL);
	return device;
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

/* The hardware first, then the list. The caller fences. */
static void detach(struct device *device, uint32_t pasid)
{
	struct attachment *attachment = device_attachment(device, pasid);

	if (!attachment)
		return;
	device->iommu->driver->set_context(device, pasid, attachment, NULL);
	release(attachment);
}

void device_remove(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	while (device->attachments)
		detach(device, device->attachments->pasid);
	pthread_mutex_unlock(&device->lock);

	/* One for all PASIDs: then no command names the device. */
	iommu_attach_fence(&device->iommu->fence);
	model_dev_destroy(device->hw);
	pthread_mutex_destroy(&device->lock);
	kfree(device);
}

struct attachment *attachment_alloc(struct domain *domain, struct device *device,
				    uint32_t pasid)
{
	struct attachment *attachment = kzalloc(sizeof(*attachment), GFP_KERNEL);
	struct iommu_attach_elm *elm;

	if (!attachment)
		return NULL;
	attachment->domain = domain;
	attachment->device = device;
	attachment->pasid = pasid;

	elm = &attachment->elms.s1;
	elm->iommu_device = device->iommu;
	elm->fence = &device->iommu->fence;
	elm->pasid = pasid;
	iommu_attach_elm_set_device(elm, device);
	attachment->elms.s2 = *elm;
	return attachment;
}

int attachment_add(struct attachment *attachment)
{
	struct domain *domain = attachment->domain;
	struct device *device = attachment->device;
	int ret;

	if (domain->parent)
		ret = iommu_attach_add_nest(&domain->alist, &domain->parent->alist,
					    &attachment->elms);
	else
		ret = iommu_attach_add(&domain->alist, &attachment->elms.s1);
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

	attachment_unlink(attachment);
	if (!domain->parent)
		return iommu_attach_del_free(&domain->alist, attachment, elms.s1);
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
	context.no_ats = !attachment->device->ats_allowed;
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
		device->iommu->driver->set_context(device, attachment->pasid,
						   attachment, attachment);
}

int device_ats_enable(struct device *device)
{
	struct attachment *attachment, *undo;
	int ret = 0;

	pthread_mutex_lock(&device->lock);
	if (!device->ats_capable)
		ret = -ENODEV;
	if (ret || device->ats)
		goto out;

	/* It gets no translation yet, but it answers what is sent from here on. */
	model_dev_set_ats(device->hw, true);
	for (attachment = device->attachments; attachment;
	     attachment = attachment->next) {
		ret = iommu_attach_enable_atc(&attachment->elms.s1);
		if (ret)
			goto err_undo;
	}
	/* Every flush sends to the ATC now: it may be filled. */
	set_ats_allowed(device, true);
	device->ats = true;
out:
	pthread_mutex_unlock(&device->lock);
	return ret;

err_undo:
	for (undo = device->attachments; undo != attachment; undo = undo->next)
		iommu_attach_disable_atc(&undo->elms.s1);
	iommu_attach_fence(&device->iommu->fence);
	model_dev_set_ats(device->hw, false);
	goto out;
}

void device_ats_disable(struct device *device)
{
	struct attachment *attachment;

	pthread_mutex_lock(&device->lock);
	if (!device->ats)
		goto out;
	set_ats_allowed(device, false);
	for (attachment = device->attachments; attachment;
	     attachment = attachment->next)
		iommu_attach_disable_atc(&attachment->elms.s1);
	iommu_attach_fence(&device->iommu->fence);
	model_dev_set_ats(device->hw, false);
	device->ats = false;
out:
	pthread_mutex_unlock(&device->lock);
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
	int ret = 0;

	if (driver->check)
		ret = driver->check(domain, pasid);
	if (ret)
		return ret;
	new = attachment_alloc(domain, device, pasid);
	if (!new)
		return -ENOMEM;

	pthread_mutex_lock(&device->lock);
	old = device_attachment(device, pasid);
	new->elms.s1.using_atc = device->ats_allowed;
	new->elms.s2.using_atc = device->ats_allowed;

	/*
	 * The list first: a command for what the hardware does not use yet does no
	 * harm, one that is missing does. While both are on, both are flushed.
	 */
	pthread_mutex_lock(&drv_tags);
	ret = driver->list_add(new);
	pthread_mutex_unlock(&drv_tags);
	if (ret >= 0) {
		driver->set_context(device, pasid, old, new);
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

/* The attachment of an element, whichever half it is. */
static struct attachment *attachment_of(struct iommu_attach_elm *elm)
{
	if (elm->kind == IOMMU_ATTACH_NEST)
		return container_of(elm, struct attachment, elms.s2);
	return container_of(elm, struct attachment, elms.s1);
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
			found = attachment_of(&pos->elm);
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
