// SPDX-License-Identifier: GPL-2.0-only
/*
 * The example drivers under torture, on the models of one vendor's hardware
 *
 * Addresses come in slots; each slot is of the table of one domain, and one thread
 * maps and unmaps it. What a slot has is one word: MAPPED, to memory that no other
 * slot and no earlier mapping of it had, DEAD when the flush after an unmap has
 * returned, or BUSY in between. A DMA that finds the same word before and after it
 * knows what it must have got:
 *
 *   DEAD      a fault, whatever the device is attached to
 *   MAPPED    that memory or a fault; from a device that is attached the whole time,
 *             that memory
 *
 * All else is a stale translation. Three domains: a plain S2 one, a plain S1 one,
 * and a nest on the first, whose table maps all slots of the first one, at other
 * addresses: what the parent unmaps is not what a nested device asked for.
 *
 * Besides, no IOMMU may record a fault: a command for an ATC that is off or gone
 * would time out. At rest nothing stale may be cached anywhere.
 */
#include "torture.h"

#include <linux/array_size.h>
#include <linux/errno.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/driver.h"
#include "shim.h"

#define PAGE		MODEL_PAGE_SIZE
#define STRIDE		(2ULL << 20)
#define FIRST_IOVA	(16 * STRIDE)

/* Where a nest has the slots of its parent. */
#define NEST_SHIFT	(1ULL << 30)

/* S2 addresses that stay mapped to themselves, for what the nest maps. */
#define STATIC		(1ULL << 32)
#define STATIC_BYTES	(128ULL << 20)

enum { S2, S1, NEST, NR_DOMAINS };

#define SLOTS_EACH	8
#define NR_SLOTS	(NR_DOMAINS * SLOTS_EACH)
#define NR_UNMAPPERS	2

#define NR_STAYING	2	/* IOMMUs */
#define NR_STEADY	8	/* devices */
#define NR_MOVING	4
#define PASID		5

enum { DEAD, BUSY, MAPPED };

struct slot {
	u32 nr;
	u32 on;			/* domain */
	u64 iova;
	u32 pages;
	u64 generation;
	u64 word;		/* generation, state in bits 0..1 */
};

struct steady {
	struct device *device;
	u32 pasid;
	u32 on;			/* domain */
};

static const struct driver *driver;
static bool caching;
static struct model_iommu *hw[NR_STAYING];
static struct iommu_device *iommus[NR_STAYING];
static struct domain *domains[NR_DOMAINS];
static struct slot slots[NR_SLOTS];
static struct steady steady[NR_STEADY];
static struct device *moving[NR_MOVING];
static unsigned long live_before, bytes_before;
static u64 sources[MODEL_VENDORS][3];

/*
 * Slots
 */

static u64 slot_memory(const struct slot *slot, u64 generation)
{
	if (slot->on == NEST)
		return STATIC + (slot->nr % SLOTS_EACH << 12 | (generation & 0xfff)) * PAGE;
	/* One that is not aligned as the address is gets small leaves. */
	return (u64)(slot->nr + 1) << 44 | (generation & 0xfffff) << 22 |
	       (slot->nr % 4 == 3 ? 0 : PAGE);
}

static void slot_map(struct slot *slot)
{
	int ret;

	slot->generation++;
	WRITE_ONCE(slot->word, slot->generation << 2 | BUSY);
	ret = domain_map(domains[slot->on], slot->iova,
			 slot_memory(slot, slot->generation), slot->pages * PAGE, true);
	if (ret)
		torture_fail("map returns %d", ret);
	__atomic_store_n(&slot->word, slot->generation << 2 | MAPPED, __ATOMIC_SEQ_CST);
}

static void slot_unmap(struct slot *slot, struct gather *gather)
{
	int ret;

	__atomic_store_n(&slot->word, slot->generation << 2 | BUSY, __ATOMIC_SEQ_CST);
	ret = domain_unmap(domains[slot->on], slot->iova, slot->pages * PAGE, gather);
	if (ret)
		torture_fail("unmap returns %d", ret);
}

static void slot_dead(struct slot *slot)
{
	__atomic_store_n(&slot->word, slot->generation << 2 | DEAD, __ATOMIC_SEQ_CST);
}

/*
 * DMA
 */

/*
 * @on: the domain that it is attached to the whole time, or NR_DOMAINS: then it is
 * not known at which of two addresses a parent's slot is.
 */
static void dma_slot(struct thread *thread, struct device *device, u32 pasid, u32 on,
		     const struct slot *slot)
{
	static const char *const names[] = { "ATC", "IOTLB", "walk" };
	u64 offset = random_below(thread, slot->pages) * PAGE + random_below(thread, PAGE);
	bool nested = on == NEST || (on == NR_DOMAINS && random_below(thread, 2));
	u64 iova = slot->iova + (slot->on == S2 && nested ? NEST_SHIFT : 0) + offset;
	u64 before, after, expected;
	struct model_access access;
	bool must;

	before = __atomic_load_n(&slot->word, __ATOMIC_SEQ_CST);
	model_dma(device->hw, pasid == IOMMU_NO_PASID ? MODEL_NO_PASID : pasid,
		  iova, false, &access);
	after = __atomic_load_n(&slot->word, __ATOMIC_SEQ_CST);
	count_op(thread, OP_DMA);
	__atomic_add_fetch(&sources[driver->vendor][access.source], 1, __ATOMIC_RELAXED);
	if (before != after || (before & 3) == BUSY)
		return;

	must = (before & 3) == MAPPED && (on == slot->on || (on == NEST && slot->on == S2));
	expected = slot_memory(slot, before >> 2) + offset;
	if (access.fault ? must : (before & 3) == DEAD || access.paddr != expected)
		torture_fail("%s: stale: device %u, PASID %u, slot %u of domain %u, %s: "
			     "%s 0x%llx from its %s, expected 0x%llx",
			     model_vendor_name(driver->vendor), device->rid, pasid, slot->nr,
			     slot->on, (before & 3) == DEAD ? "unmapped" : "mapped",
			     access.fault ? "fault at" : "got",
			     access.fault ? iova : (u64)access.paddr,
			     names[access.source], (before & 3) == DEAD ? 0 : expected);
}

static void dma(struct thread *thread, struct device *device, u32 pasid, u32 on)
{
	dma_slot(thread, device, pasid, on, &slots[random_below(thread, NR_SLOTS)]);
}

static void dma_step(struct thread *thread)
{
	u32 i = random_below(thread, NR_STEADY + NR_MOVING);

	if (i < NR_STEADY)
		dma(thread, steady[i].device, steady[i].pasid, steady[i].on);
	else
		dma(thread, moving[i - NR_STEADY], IOMMU_NO_PASID, NR_DOMAINS);
}

/* Of a device that is attached to nothing. */
static void dma_must_fault(struct thread *thread, struct device *device, u32 pasid)
{
	struct slot *slot = &slots[random_below(thread, NR_SLOTS)];
	struct model_access access;

	model_dma(device->hw, pasid == IOMMU_NO_PASID ? MODEL_NO_PASID : pasid,
		  slot->iova + (slot->on == S2 ? random_below(thread, 2) * NEST_SHIFT : 0),
		  false, &access);
	count_op(thread, OP_DMA);
	if (!access.fault)
		torture_fail("%s: stale: device %u, PASID %u is detached and gets 0x%" PRIx64,
			     model_vendor_name(driver->vendor), device->rid, pasid,
			     access.paddr);
}

/*
 * Unmaps
 */

static void unmapper_step(struct thread *thread)
{
	struct slot *mine = thread->priv, *slot, *other;
	u32 i = random_below(thread, NR_SLOTS / NR_UNMAPPERS);
	struct gather gather = { 0 };
	const struct steady *any;

	slot = &mine[i * NR_UNMAPPERS];
	if ((slot->word & 3) == DEAD) {
		slot_map(slot);
		count_op(thread, OP_MAP);
		return;
	}
	/* Something to be stale. */
	for (any = steady; any < &steady[NR_STEADY]; any++)
		dma_slot(thread, any->device, any->pasid, any->on, slot);
	slot_unmap(slot, &gather);
	/* Of the same domain, and one flush for both. */
	other = &slots[slot->nr ^ NR_UNMAPPERS];
	if ((other->word & 3) != MAPPED || random_below(thread, 4))
		other = NULL;
	if (other)
		slot_unmap(other, &gather);
	if (random_below(thread, 8))
		domain_sync(domains[slot->on], &gather);
	else
		domain_sync_all(domains[slot->on], &gather);
	slot_dead(slot);
	if (other)
		slot_dead(other);
	for (any = steady; any < &steady[NR_STEADY]; any++)
		dma_slot(thread, any->device, any->pasid, any->on, slot);
	count_op(thread, OP_UNMAP);
	count_op(thread, OP_FLUSH);
}

/*
 * Attaches and detaches
 */

static void attach(struct thread *thread, struct domain *domain, struct device *device,
		   u32 pasid)
{
	int ret;

	do {
		ret = domain_attach(domain, device, pasid);
	} while (ret == -ENOMEM);
	if (ret)
		torture_fail("attach returns %d", ret);
	count_op(thread, domain->parent ? OP_ATTACH_NEST : OP_ATTACH);
}

static void ats_on(struct thread *thread, struct device *device)
{
	int ret;

	do {
		ret = device_ats_enable(device);
	} while (ret == -ENOMEM);
	if (ret && device->ats_capable)
		torture_fail("ATS on returns %d", ret);
	count_op(thread, OP_ATS_ON);
}

static struct device *new_device(struct iommu_device *iommu, u32 rid, bool ats_capable)
{
	struct device *device;

	do {
		device = device_probe(iommu, rid, ats_capable);
	} while (!device);
	return device;
}

static void mover_step(struct thread *thread)
{
	struct device *device = moving[random_below(thread, NR_MOVING)];
	/* A steady device of the S1 domain that has room for a PASID. */
	struct device *other = steady[3].device;
	u32 what = random_below(thread, 8);

	if (what < 4) {
		attach(thread, domains[what % NR_DOMAINS], device, IOMMU_NO_PASID);
	} else if (what < 6) {
		domain_detach(device, IOMMU_NO_PASID);
		dma_must_fault(thread, device, IOMMU_NO_PASID);
		count_op(thread, OP_DETACH);
	} else if (what == 6) {
		attach(thread, domains[S1], other, PASID);
		dma(thread, other, PASID, S1);
	} else {
		domain_detach(other, PASID);
		dma_must_fault(thread, other, PASID);
		count_op(thread, OP_DETACH);
	}
}

static void toggler_step(struct thread *thread)
{
	u32 i = random_below(thread, NR_STEADY + NR_MOVING);
	struct device *device = i < NR_STEADY ? steady[i].device : moving[i - NR_STEADY];

	if (random_below(thread, 2)) {
		ats_on(thread, device);
	} else {
		device_ats_disable(device);
		count_op(thread, OP_ATS_OFF);
	}
}

/* A device that comes, is used and goes. */
static void plugger_step(struct thread *thread)
{
	u32 on = random_below(thread, NR_DOMAINS), i;
	struct device *device;

	device = new_device(iommus[random_below(thread, NR_STAYING)], 300, true);
	if (random_below(thread, 2))
		ats_on(thread, device);
	attach(thread, domains[on], device, IOMMU_NO_PASID);
	for (i = 0; i < 8; i++)
		dma(thread, device, IOMMU_NO_PASID, on);
	device_remove(device);
	count_op(thread, OP_DETACH);
}

/* A nest that comes, is used and goes, and its tag with it. */
static void builder_step(struct thread *thread)
{
	struct domain *domain;
	struct device *device;
	struct gather gather = { 0 };
	u32 i;

	do {
		domain = domain_alloc(driver, 4, true, domains[S2]);
	} while (!domain);
	count_op(thread, OP_NEW_DOMAIN);
	/* What the other nest has, under another tag. */
	if (domain_map(domain, FIRST_IOVA + NEST_SHIFT, FIRST_IOVA, SLOTS_EACH * STRIDE, true))
		torture_fail("map of a new domain fails");
	device = new_device(iommus[random_below(thread, NR_STAYING)], 301, true);
	ats_on(thread, device);
	attach(thread, domain, device, IOMMU_NO_PASID);
	for (i = 0; i < 8; i++)
		dma(thread, device, IOMMU_NO_PASID, NR_DOMAINS);
	if (domain_unmap(domain, FIRST_IOVA + NEST_SHIFT, SLOTS_EACH * STRIDE, &gather))
		torture_fail("unmap of a new domain fails");
	domain_sync(domain, &gather);
	dma_must_fault(thread, device, IOMMU_NO_PASID);
	device_remove(device);
	count_op(thread, OP_DETACH_NEST);
	domain_free(domain);
}

static struct model_iommu *new_hw(bool threaded)
{
	const struct model_config config = {
		.vendor = driver->vendor,
		.queue_log2 = threaded ? 5 : 0,
		.threaded = threaded,
		.caches_absent = caching,
	};
	struct model_iommu *iommu = model_iommu_create(&config);

	if (!iommu)
		abort();
	return iommu;
}

static struct iommu_device *probe(struct model_iommu *of)
{
	struct iommu_device *iommu;

	do {
		iommu = iommu_probe(of, caching);
	} while (!iommu);
	return iommu;
}

/* An IOMMU that comes, is used and does not answer any more. */
static void remover_step(struct thread *thread)
{
	struct model_iommu *of = new_hw(false);
	struct iommu_device *iommu = probe(of);
	struct device *device[NR_DOMAINS];
	u32 on, i;

	for (on = 0; on < NR_DOMAINS; on++) {
		device[on] = new_device(iommu, on, true);
		attach(thread, domains[on], device[on], IOMMU_NO_PASID);
		if (random_below(thread, 2))
			ats_on(thread, device[on]);
	}
	for (i = 0; i < 32; i++) {
		on = random_below(thread, NR_DOMAINS);
		dma(thread, device[on], IOMMU_NO_PASID, on);
	}
	for (on = 0; on < NR_DOMAINS; on++)
		domain_lose_iommu(domains[on], iommu);
	for (on = 0; on < NR_DOMAINS; on++)
		device_remove(device[on]);
	if (model_faults(of, NULL))
		torture_fail("%s: an IOMMU that was removed has recorded a fault",
			     model_vendor_name(driver->vendor));
	iommu_remove(iommu);
	model_iommu_destroy(of);
	count_op(thread, OP_REMOVE_IOMMU);
}

static void drainer_step(struct thread *thread)
{
	if (random_below(thread, 4)) {
		iommu_attach_drain(&iommus[random_below(thread, NR_STAYING)]->fence);
		count_op(thread, OP_DRAIN);
	} else {
		shim_fail_nth(1 + random_below(thread, 8));
		count_op(thread, OP_NO_MEMORY);
	}
}

/*
 * A round
 */

static void make_slots(void)
{
	static const struct { u32 page, pages; } shapes[] = {
		{ 0, 1 }, { 5, 8 }, { 0, 512 }, { 0, 512 },
	};
	u32 i;

	for (i = 0; i < NR_SLOTS; i++) {
		u32 shape = i / SLOTS_EACH == NEST ? 0 : i % ARRAY_SIZE(shapes);

		slots[i] = (struct slot){
			.nr = i,
			.on = i / SLOTS_EACH,
			.iova = FIRST_IOVA + i * STRIDE + shapes[shape].page * PAGE,
			.pages = shapes[shape].pages,
		};
	}
}

static void make_devices(struct thread *thread)
{
	static const u8 on[NR_STEADY] = { S2, S2, S2, S1, S1, S1, NEST, NEST };
	u32 i;

	for (i = 0; i < NR_STEADY; i++) {
		steady[i].on = on[i];
		steady[i].pasid = i == 5 ? PASID : IOMMU_NO_PASID;
		steady[i].device = new_device(iommus[i % NR_STAYING], 16 + i, i != 2);
		if (i & 4)
			ats_on(thread, steady[i].device);
		attach(thread, domains[on[i]], steady[i].device, steady[i].pasid);
	}
	for (i = 0; i < NR_MOVING; i++)
		moving[i] = new_device(iommus[i % NR_STAYING], 64 + i, i != 3);
}

static void models_setup(const struct world *world)
{
	struct thread *drainer;
	u32 i;

	shim_rcu_barrier();
	live_before = shim_live();
	bytes_before = shim_live_bytes();

	driver = driver_of(world->vendor);
	drainer = thread_add("drainer", drainer_step, NULL, 1);
	/* Those two vendors' hardware may cache that something is not mapped. */
	caching = (world->vendor == MODEL_VTD || world->vendor == MODEL_AMD) &&
		  random_below(drainer, 2);
	for (i = 0; i < NR_STAYING; i++) {
		hw[i] = new_hw(i);
		iommus[i] = probe(hw[i]);
	}
	domains[S2] = domain_alloc(driver, 4, false, NULL);
	domains[S1] = domain_alloc(driver, 4, true, NULL);
	domains[NEST] = domain_alloc(driver, 4, true, domains[S2]);
	if (domain_map(domains[S2], STATIC, STATIC, STATIC_BYTES, true) ||
	    domain_map(domains[NEST], FIRST_IOVA + NEST_SHIFT, FIRST_IOVA,
		       SLOTS_EACH * STRIDE, true))
		abort();
	make_slots();
	make_devices(drainer);

	for (i = 0; i < NR_UNMAPPERS; i++)
		thread_add("unmapper", unmapper_step, &slots[i], 64);
	for (i = 0; i < options.walkers; i++)
		thread_add("DMA engine", dma_step, NULL, 256);
	thread_add("mover", mover_step, NULL, 4);
	thread_add("toggler", toggler_step, NULL, 4);
	thread_add("plugger", plugger_step, NULL, 1);
	thread_add("builder", builder_step, NULL, 1);
	thread_add("remover", remover_step, NULL, 1);
}

static void models_finish(void)
{
	struct model_fault_record fault;
	struct gather gather = { 0 };
	unsigned long stale;
	u32 i;

	shim_fail_nth(0);
	for (i = 0; i < NR_STAYING; i++) {
		if (model_faults(hw[i], &fault))
			torture_fail("%s: %lu faults recorded, the last one: %s",
				     model_vendor_name(driver->vendor), fault.count,
				     fault.reason);
		stale = model_stale_entries(hw[i]);
		if (stale)
			torture_fail("%s: %lu stale entries at rest",
				     model_vendor_name(driver->vendor), stale);
	}
	if (torture_failed())
		return;

	for (i = 0; i < NR_SLOTS; i++) {
		if ((slots[i].word & 3) == MAPPED) {
			slot_unmap(&slots[i], &gather);
			domain_sync(domains[slots[i].on], &gather);
		}
	}
	for (i = 0; i < NR_STEADY; i++)
		device_remove(steady[i].device);
	for (i = 0; i < NR_MOVING; i++)
		device_remove(moving[i]);
	domain_free(domains[NEST]);
	domain_free(domains[S1]);
	domain_free(domains[S2]);
	for (i = 0; i < NR_STAYING; i++) {
		iommu_remove(iommus[i]);
		model_iommu_destroy(hw[i]);
	}
	shim_rcu_barrier();
	if (shim_live() != live_before || shim_live_bytes() != bytes_before)
		torture_fail("lost: %ld objects, %ld bytes",
			     (long)(shim_live() - live_before),
			     (long)(shim_live_bytes() - bytes_before));
}

static void models_report(const struct world *world)
{
	const u64 *by = sources[world->vendor];

	printf("DMA on %s: %llu translated by an ATC, %llu by an IOTLB, %llu by a walk\n",
	       model_vendor_name(world->vendor), by[MODEL_FROM_ATC], by[MODEL_FROM_IOTLB],
	       by[MODEL_FROM_WALK]);
}

#define WORLD(id, its_vendor)						\
	const struct world id##_world = {				\
		.name = #id,						\
		.vendor = its_vendor,					\
		.setup = models_setup,					\
		.finish = models_finish,				\
		.report = models_report,				\
	}

WORLD(vtd, MODEL_VTD);
WORLD(smmuv3, MODEL_SMMUV3);
WORLD(amd, MODEL_AMD);
WORLD(riscv, MODEL_RISCV);
