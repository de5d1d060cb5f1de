// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-Vi on the attach list
 *
 * Section numbers are those of the I/O Virtualization Technology specification, 48882.
 *
 * Tags. A domain has one DomainID on all IOMMUs, from its first attachment until it is
 * freed. Entries of guest (v2) tables carry the PASID besides, 0 for requests without
 * one, and so do their tags on the list:
 *
 *   attached          on the list of   kind   tag               INVALIDATE_IOMMU_PAGES
 *   v1 table          the domain       own    DomainID          GN = 0
 *   v2 table          the domain       own    DomainID, PASID   GN = 1
 *   v2 over v1        the nest         own    DomainID, PASID   GN = 1
 *                     its parent       nest   DomainID          GN = 0
 *
 * When a parent changes, GN = 0 with the DomainID of a nest drops the entries that went
 * through both tables, for all PASIDs (2.4.3). The ATC goes as a whole.
 *
 * The model keeps a DomainID for each PASID. Real hardware has one for all PASIDs of a
 * device, in its device table entry; a driver for it packs that one into the tags.
 *
 * Ranges. One command covers a naturally aligned power of two of pages, and one for all
 * that was unmapped is the fewest. With NpCache (in the capability header) the
 * IOMMU is a hypervisor's, which has to do work for every page named: the range is
 * split into aligned pieces that cover just that. ATCs get one command all the same.
 *
 * The IOMMU pages of a flush go first and the IOTLB pages (the ATCs) after them, then
 * one COMPLETION_WAIT for all (2.4.1).
 */
#include "driver.h"

#include <errno.h>

/* Opcodes, 2.4.1 to 2.4.4: bits 63:60 of the first word. */
#define AMD_COMPLETION_WAIT	(UINT64_C(1) << 60)
#define AMD_DEVTAB_ENTRY	(UINT64_C(2) << 60)
#define AMD_IOMMU_PAGES		(UINT64_C(3) << 60)
#define AMD_IOTLB_PAGES		(UINT64_C(4) << 60)

#define AMD_WAIT_STORE		UINT64_C(1)
#define AMD_DOMAIN_SHIFT	32

/* Word 1 of the commands for pages. */
#define AMD_PAGES_S		UINT64_C(1)	/* more than one page */
#define AMD_PAGES_PDE		(UINT64_C(1) << 1)	/* cached table pointers, too */
#define AMD_PAGES_GN		(UINT64_C(1) << 2)	/* guest: PASID is valid */

/*
 * Address bits 63:52 are copies of bit 51: what differs there can only be named
 * together, as everything.
 */
#define AMD_MAX_ORDER		40
#define AMD_ALL			52

/* A range whose last address is this far from the first, or farther, is not split. */
#define AMD_PIECES_MAX		((UINT64_C(1) << 52) - 1)

#define AMD_DOMAIN_MAX		0xffff
#define AMD_TAG_PASID_SHIFT	32

/* An ATC value: the PASID is in the upper half, these two in the lower. */
#define AMD_ATC_QDEP_SHIFT	16
#define AMD_ATC_GN		(UINT64_C(1) << 31)

/* Registers, 3.4, and events, 2.5; entries of the queue and of the log are 16 bytes. */
#define AMD_CONTROL		0x18
#define AMD_CONTROL_EVENT_LOG	(1U << 2)
#define AMD_CONTROL_CMD_BUF	(1U << 12)
#define AMD_CMD_HEAD		0x2000
#define AMD_EVENT_HEAD		0x2010
#define AMD_STATUS		0x2020
#define AMD_STATUS_OVERFLOW	(1U << 0)
#define AMD_STATUS_EVENT_INT	(1U << 1)
#define AMD_STATUS_CMD_RUN	(1U << 4)
#define AMD_ENTRY_SHIFT		4
#define AMD_EVENT_SHIFT		60
#define AMD_EVENT_DEVICE	0xffff
#define AMD_EVENT_INV_TIMEOUT	7

/* DomainID 0 is that of devices without translation. */
DEFINE_TAG_SPACE(amd_domain_ids, 1, AMD_DOMAIN_MAX);

/*
 * Tags and ATC values
 */

static bool is_guest(const struct domain *domain)
{
	return domain->first_stage || domain->parent;
}

static u64 amd_atc_of(const struct attachment *attachment, uint32_t rid)
{
	return rid | (u64)attachment->device->ats_qdep << AMD_ATC_QDEP_SHIFT |
	       (is_guest(attachment->domain) ? AMD_ATC_GN : 0) |
	       (u64)attachment->pasid << AMD_TAG_PASID_SHIFT;
}

static void amd_domain_exit(struct domain *domain)
{
	if (!domain->tag)
		return;
	pthread_mutex_lock(&drv_tags);
	tag_free(&amd_domain_ids, (uint32_t)domain->tag);
	pthread_mutex_unlock(&drv_tags);
}

/*
 * Commands
 */

static uint64_t make_address(uint64_t first, unsigned int order)
{
	return range_napot(first, order) | (order ? AMD_PAGES_S : 0);
}

static unsigned int one_order(uint64_t first, uint64_t last)
{
	unsigned int order = range_order(first, last);

	return order > AMD_MAX_ORDER ? AMD_ALL : order;
}

static void add_iommu_pages(struct batch *batch, struct iommu_device *iommu,
			    u64 tag, bool guest, uint64_t first,
			    unsigned int order)
{
	uint64_t cmd[MODEL_CMD_WORDS] = {
		AMD_IOMMU_PAGES |
		(tag & AMD_DOMAIN_MAX) << AMD_DOMAIN_SHIFT |
		tag >> AMD_TAG_PASID_SHIFT,
		make_address(first, order) | AMD_PAGES_PDE |
		(guest ? AMD_PAGES_GN : 0),
	};

	batch_add(batch, iommu, cmd);
}

/* Aligned pieces that cover the range and nothing else, as large as they can be. */
static void add_pieces(struct batch *batch, struct iommu_device *iommu, u64 tag,
		       bool guest, const struct flush_range *range)
{
	uint64_t page = range->first >> MODEL_PAGE_SHIFT;
	uint64_t left = (range->last >> MODEL_PAGE_SHIFT) - page + 1;
	unsigned int order;

	for (; left; page += UINT64_C(1) << order, left -= UINT64_C(1) << order) {
		order = 63 - (unsigned int)__builtin_clzll(left);
		if (page && (unsigned int)__builtin_ctzll(page) < order)
			order = (unsigned int)__builtin_ctzll(page);
		add_iommu_pages(batch, iommu, tag, guest,
				page << MODEL_PAGE_SHIFT, order);
	}
}

/* The PASID comes in three pieces: 19:16, 15:8 and 7:0. */
static void add_iotlb_pages(struct batch *batch, struct iommu_device *iommu,
			    u64 atc, uint64_t first, uint64_t last)
{
	uint64_t rid = atc & 0xffff, pasid = atc >> AMD_TAG_PASID_SHIFT;
	uint64_t qdep = atc >> AMD_ATC_QDEP_SHIFT & 0xff;
	uint64_t cmd[MODEL_CMD_WORDS] = {
		AMD_IOTLB_PAGES | rid | qdep << 24 | rid << 32 |
		(pasid >> 8 & 0xff) << 16 | (pasid & 0xff) << 48 |
		(pasid >> 16 & 0xf) << 56,
		make_address(first, one_order(first, last)) |
		(atc & AMD_ATC_GN ? AMD_PAGES_GN : 0),
	};

	batch_add(batch, iommu, cmd);
}

static void amd_make_sync(uint64_t *status, uint32_t value, uint64_t *cmd)
{
	cmd[0] = AMD_COMPLETION_WAIT | AMD_WAIT_STORE | (uintptr_t)status;
	cmd[1] = value;
}

/*
 * Flush
 */

static void amd_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct flush *flush = arg;
	const struct flush_range *range = flush->range;
	struct iommu_device *iommu = group->iommu_device;
	bool guest = is_guest(flush->domain);

	if (iommu->caching_mode && range->last - range->first < AMD_PIECES_MAX)
		add_pieces(&flush->batch, iommu, group->tag, guest, range);
	else
		add_iommu_pages(&flush->batch, iommu, group->tag, guest, range->first,
				one_order(range->first, range->last));
}

static void amd_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct flush *flush = arg;

	if (group->kind == IOMMU_ATTACH_NEST)
		add_iotlb_pages(&flush->batch, group->iommu_device, atc, 0,
				UINT64_MAX);
	else
		add_iotlb_pages(&flush->batch, group->iommu_device, atc,
				flush->range->first, flush->range->last);
}

static const struct iommu_attach_flush_ops amd_unmap_ops = {
	.iotlb = amd_iotlb,
	.atc = amd_atc,
	.submit = flush_submit,
	.wait = flush_wait,
};

static const struct iommu_attach_flush_ops amd_map_ops = {
	.iotlb = amd_iotlb,
	.submit = flush_submit,
	.wait = flush_wait,
};

static int amd_flush(struct domain *domain, const struct flush_range *range)
{
	struct flush flush = { .domain = domain, .range = range };

	return iommu_attach_flush(&domain->alist,
				  range->map ? &amd_map_ops : &amd_unmap_ops, &flush);
}

/*
 * Attach and detach
 */

/*
 * Writes the device table entry, or the GCR3 entry, and drops the cached copy of the
 * old one; then nothing is translated by the old one any more, so what the ATC has of
 * it is dropped last. Either of @old and @new may be NULL: blocked.
 */
static int amd_set_context(struct device *device, const struct device_id *id,
			   uint32_t pasid, const struct attachment *old,
			   const struct attachment *new)
{
	struct iommu_device *iommu = device->iommu;
	struct model_context context = attachment_context(new);
	const uint64_t cmd[MODEL_CMD_WORDS] = { AMD_DEVTAB_ENTRY | id->rid };
	struct batch batch = { 0 };
	int error;

	if (new)
		context.tag = (uint32_t)new->domain->tag;
	write_context(id, pasid, old, new, &context);

	error = queue_one(iommu, cmd);
	if (!error && old && device_answers(device)) {
		add_iotlb_pages(&batch, iommu, amd_atc_of(old, id->rid), 0, UINT64_MAX);
		error = queue_wait(iommu, batch_sync(&batch, iommu));
	}
	return error;
}

static int amd_list_add(struct attachment *attachment)
{
	struct domain *domain = attachment->domain;
	int64_t id = domain->tag;
	int ret;

	if (!id)
		id = tag_alloc(&amd_domain_ids, domain->wish_tag);
	if (id < 0)
		return (int)id;
	attachment->elms.s1.tag = (u64)id;
	if (is_guest(domain))
		attachment->elms.s1.tag |=
			(u64)attachment->pasid << AMD_TAG_PASID_SHIFT;
	attachment->elms.s2.tag = (u64)id;
	ret = attachment_add(attachment);
	/* Written once: who is attached reads it without a lock. */
	if (domain->tag)
		return ret;
	if (ret >= 0)
		domain->tag = (u64)id;
	else
		tag_free(&amd_domain_ids, (uint32_t)id);
	return ret;
}

/* The DomainID stays the domain's until that is freed. */
static void amd_list_del(struct attachment *attachment)
{
	struct domain *domain = attachment->domain;
	struct iommu_device *iommu = attachment->device->iommu;
	u64 tag = attachment->elms.s1.tag, s2_tag = attachment->elms.s2.tag;
	struct batch batch = { 0 };
	int last;

	last = attachment_del(attachment);
	if (!last)
		return;
	/*
	 * Nobody is on the list any more to flush the tag for: neither for what the
	 * domain's own table gave, nor for what went through its parent's.
	 */
	if (last & IOMMU_ATTACH_GROUP_DOMAIN)
		add_iommu_pages(&batch, iommu, tag, is_guest(domain), 0, AMD_ALL);
	if (last & IOMMU_ATTACH_GROUP_PARENT)
		add_iommu_pages(&batch, iommu, s2_tag, false, 0, AMD_ALL);
	queue_wait(iommu, batch_sync(&batch, iommu));
}

/* The event that is not seen to yet, or 0: the driver clears those that it has seen. */
static uint64_t next_event(const struct iommu_device *iommu)
{
	unsigned int next = __atomic_load_n(&iommu->next_event, __ATOMIC_RELAXED);

	return __atomic_load_n(&model_events(iommu->hw)[2 * next], __ATOMIC_ACQUIRE);
}

/*
 * A timeout stops nothing: the wait completes, and an event names the device (2.5.8). It
 * also has the address of the command, but that slot may have been reused by now. So all
 * waiters send again, without the device. A refused command halts the queue (2.5.6).
 */
static void amd_look(struct iommu_device *iommu)
{
	uint32_t status = model_reg_read(iommu->hw, AMD_STATUS);
	uint64_t *events = model_events(iommu->hw), event;

	while ((event = next_event(iommu))) {
		if (event >> AMD_EVENT_SHIFT == AMD_EVENT_INV_TIMEOUT) {
			queue_set_aside(iommu, event & AMD_EVENT_DEVICE);
			queue_abort(iommu, iommu->tail);
		}
		__atomic_store_n(&events[2 * iommu->next_event], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&iommu->next_event, (iommu->next_event + 1) % MODEL_EVENTS,
				 __ATOMIC_RELAXED);
	}
	model_reg_write(iommu->hw, AMD_EVENT_HEAD, iommu->next_event << AMD_ENTRY_SHIFT);
	/* Events were lost, whoever they were about. */
	if (status & AMD_STATUS_OVERFLOW)
		queue_abort(iommu, iommu->tail);
	if (!(status & AMD_STATUS_CMD_RUN))
		queue_repair(iommu, queue_position(iommu, model_reg_read(iommu->hw, AMD_CMD_HEAD) >>
						   AMD_ENTRY_SHIFT));
	model_reg_write(iommu->hw, AMD_STATUS, AMD_STATUS_OVERFLOW | AMD_STATUS_EVENT_INT);
	model_reg_write(iommu->hw, AMD_CONTROL, AMD_CONTROL_CMD_BUF | AMD_CONTROL_EVENT_LOG);
}

/* An event is in memory before the wait behind its command completes. */
static bool amd_late_error(const struct iommu_device *iommu)
{
	return next_event(iommu);
}

const struct driver amd_driver = {
	.vendor = MODEL_AMD,
	.domain_exit = amd_domain_exit,
	.list_add = amd_list_add,
	.list_del = amd_list_del,
	.set_context = amd_set_context,
	.atc = amd_atc_of,
	.flush = amd_flush,
	.make_sync = amd_make_sync,
	.look = amd_look,
	.late_error = amd_late_error,
};
