// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the attachments of a domain, and for what is flushed through the queue, see
 * qi_fake.h
 */
#include <kunit/device.h>
#include <linux/bitfield.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/pci.h>

#include "../iommu-pages.h"
#include "iommu.h"
#include "pasid.h"
#include "qi_fake.h"

/* A domain with a device attached, by a context entry or by entry 0 of its PASID table. */
struct world {
	struct fake *fake;
	struct dmar_domain domain;
	struct iommu_attach_elm elm;
	struct device_domain_info *info;
	struct context_entry *context;
	struct device *dev;
	struct dev_iommu dev_iommu;
	struct pasid_table table;
	struct pasid_dir_entry *dir;
	struct pasid_entry *entry;
};

static void *new_page(struct kunit *test)
{
	void *page = kunit_kzalloc(test, SZ_4K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_TRUE(test, IS_ALIGNED((unsigned long)page, SZ_4K));
	return page;
}

static int attach_init(struct kunit *test)
{
	struct world *world;
	struct fake *fake;
	void *table;
	int ret;

	ret = queue_init(test);
	if (ret)
		return ret;
	fake = test->priv;
	fake->times_out = true;
	fake->iommu.gcmd = DMA_GCMD_TE;
	spin_lock_init(&fake->iommu.lock);
	mutex_init(&fake->iommu.did_lock);
	ida_init(&fake->iommu.domain_ida);
	fake->iommu.max_domain_id = 16;
	KUNIT_ASSERT_EQ(test, iommu_attach_fence_init(&fake->iommu.fence), 0);

	world = kunit_kzalloc(test, sizeof(*world), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, world);
	world->fake = fake;
	world->info = new_device(test, SILENT);
	iommu_attach_init(&world->domain.alist);
	world->domain.domain.type = IOMMU_DOMAIN_UNMANAGED;

	fake->iommu.root_entry = new_page(test);
	table = new_page(test);
	fake->iommu.root_entry[world->info->bus].lo = virt_to_phys(table) | 1;
	world->context = iommu_context_addr(&fake->iommu, world->info->bus,
					    world->info->devfn, 0);

	world->entry = new_page(test);
	world->dir = new_page(test);
	world->dir->val = virt_to_phys(world->entry) | PASID_PTE_PRESENT;
	world->table.table = world->dir;
	world->table.max_pasid = 64;
	world->info->pasid_table = &world->table;
	world->dev = kunit_device_register(test, "fake");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, world->dev);
	world->dev->iommu = &world->dev_iommu;
	world->dev_iommu.priv = world->info;

	world->elm = (struct iommu_attach_elm){
		.iommu_device = &fake->iommu.iommu,
		.fence = &fake->iommu.fence,
		.endpoint = &world->info->endpoint,
		.tag = 5,
		.atc = SILENT,
		.pasid = IOMMU_NO_PASID,
		.using_atc = true,
	};
	iommu_attach_elm_set_device(&world->elm, world->dev);
	KUNIT_ASSERT_GE(test, iommu_attach_add(&world->domain.alist, &world->elm), 0);
	intel_context_set_present(&fake->iommu, world->info, world->context);
	test->priv = world;
	return 0;
}

static void attach_exit(struct kunit *test)
{
	struct world *world = test->priv;

	iommu_attach_del(&world->domain.alist, &world->elm);
	iommu_attach_drain(&world->fake->iommu.fence);
	iommu_attach_destroy(&world->domain.alist);
	iommu_attach_fence_destroy(&world->fake->iommu.fence);
	ida_destroy(&world->fake->iommu.domain_ida);
	world->dev->iommu = NULL;
}

static bool may_use_atc(struct world *world)
{
	return READ_ONCE(world->context->lo) & BIT_ULL(2);
}

static int unmap(struct world *world)
{
	return cache_tag_flush_range(&world->domain, SZ_4K, 2 * SZ_4K - 1, 1);
}

/* A context entry lets the device's ATC in only if flushes reach it. */
static void present_entry_looks_at_the_device(struct kunit *test)
{
	struct world *world = test->priv;
	struct device_domain_info *info = world->info;
	struct context_entry entry = {};

	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, BIT_ULL(2) | 1);

	iommu_attach_set_aside(&info->endpoint);
	entry.lo = 0;
	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, 1);

	iommu_attach_blocked(&info->endpoint);
	entry.lo = 0;
	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, 1);

	iommu_attach_resume(&info->endpoint);
	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, BIT_ULL(2) | 1);

	info->ats_enabled = 0;
	entry.lo = 0;
	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, 1);

	entry.lo = 0;
	intel_context_set_present(info->iommu, NULL, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, 1);
}

static void silent_device_is_blocked(struct kunit *test)
{
	struct world *world = test->priv;
	unsigned int executed;

	KUNIT_EXPECT_TRUE(test, may_use_atc(world));
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&world->info->endpoint));
	KUNIT_EXPECT_FALSE(test, may_use_atc(world));

	/* One command to the IOTLB, none to the device. */
	executed = world->fake->executed;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	KUNIT_EXPECT_EQ(test, world->fake->executed, executed + 1);
}

/* It was asked often before it was set aside: that comes to an end, and fails nobody. */
static void requests_of_a_silent_device_time_out_later(struct kunit *test)
{
	struct world *world = test->priv;
	struct fake *fake = world->fake;

	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	fake->aborts = 100;
	fake->aborts_for = SILENT;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	KUNIT_EXPECT_EQ(test, fake->aborted, fake->aborts);
}

/* Then the device may still use what it has cached, and the caller is told. */
static void silent_device_that_cannot_be_blocked(struct kunit *test)
{
	struct world *world = test->priv;

	world->fake->rejects = UINT_MAX;
	world->fake->rejects_type = QI_CC_TYPE;
	KUNIT_EXPECT_EQ(test, unmap(world), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, unmap(world), -ETIMEDOUT);
	world->fake->rejects = 0;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	KUNIT_EXPECT_FALSE(test, may_use_atc(world));
}

static void failed_flush_is_returned(struct kunit *test)
{
	struct world *world = test->priv;
	struct fake *fake = world->fake;

	fake->rejects = 1;
	fake->rejects_type = QI_IOTLB_TYPE;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	fake->rejects = UINT_MAX;
	KUNIT_EXPECT_EQ(test, unmap(world), -EINVAL);
	fake->rejects = 0;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);

	/* With caching mode, a map is flushed, too. */
	fake->iommu.cap = BIT_ULL(7);
	KUNIT_EXPECT_EQ(test, cache_tag_flush_range_np(&world->domain, 0, SZ_4K - 1), 0);
	fake->dead = true;
	KUNIT_EXPECT_EQ(test, cache_tag_flush_range_np(&world->domain, 0, SZ_4K - 1), -EIO);
	KUNIT_EXPECT_EQ(test, unmap(world), -EIO);
}

/* Written pages would not be in the bitmap. */
static void dirty_tracking_fails_with_its_flush(struct kunit *test)
{
	struct world *world = test->priv;
	struct iommu_domain *domain = &world->domain.domain;
	struct pasid_entry *entry = world->entry;

	pasid_set_domain_id(entry, 5);
	pasid_set_translation_type(entry, PASID_ENTRY_PGTT_SL_ONLY);
	pasid_set_present(entry);

	world->fake->rejects = UINT_MAX;
	world->fake->rejects_type = QI_PC_TYPE;
	KUNIT_EXPECT_EQ(test, intel_iommu_set_dirty_tracking(domain, true), -EINVAL);
	KUNIT_EXPECT_FALSE(test, pasid_get_ssade(entry));
	KUNIT_EXPECT_FALSE(test, world->domain.dirty_tracking);

	world->fake->rejects = 0;
	KUNIT_EXPECT_EQ(test, intel_iommu_set_dirty_tracking(domain, true), 0);
	KUNIT_EXPECT_TRUE(test, pasid_get_ssade(entry));
	/* It stays on, whatever comes of being turned on again. */
	world->fake->rejects = UINT_MAX;
	KUNIT_EXPECT_EQ(test, intel_iommu_set_dirty_tracking(domain, true), -EINVAL);
	KUNIT_EXPECT_TRUE(test, pasid_get_ssade(entry));
}

static void coherency_is_not_promised_after_a_failure(struct kunit *test)
{
	struct world *world = test->priv;
	struct iommu_domain *domain = &world->domain.domain;

	world->fake->iommu.ecap |= BIT_ULL(7);
	world->fake->rejects = UINT_MAX;
	world->fake->rejects_type = QI_PC_TYPE;
	KUNIT_EXPECT_FALSE(test, intel_iommu_enforce_cache_coherency_fs(domain));
	/* It is enforced by now, but an entry without it may still be cached. */
	KUNIT_EXPECT_FALSE(test, intel_iommu_enforce_cache_coherency_fs(domain));
	world->fake->rejects = 0;
	KUNIT_EXPECT_TRUE(test, intel_iommu_enforce_cache_coherency_fs(domain));
}

/* An invalidation that fails for good, outside of flushes. */
static void break_iommu(struct fake *fake)
{
	struct qi_desc iotlb = { .qw0 = QI_IOTLB_TYPE };

	fake->rejects = UINT_MAX;
	qi_submit_sync(&fake->iommu, &iotlb, 1, 0);
	fake->rejects = 0;
}

static struct dmar_domain *domain_init(struct kunit *test)
{
	struct world *world = test->priv;
	struct intel_iommu *iommu = &world->fake->iommu;
	struct iommu_domain *domain;

	/* Four levels of second-stage tables that the IOMMU snoops. */
	iommu->cap = BIT(10) | 47 << 16;
	iommu->ecap |= BIT_ULL(48) | BIT_ULL(46) | 1;
	domain = intel_iommu_ops.domain_alloc_paging_flags(world->dev, 0, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	domain->type = IOMMU_DOMAIN_UNMANAGED;
	return to_dmar_domain(domain);
}

static void attach(struct kunit *test, struct dmar_domain *domain)
{
	struct world *world = test->priv;

	KUNIT_ASSERT_FALSE(test, IS_ERR(domain_add_dev_pasid(&domain->domain, world->dev, 1)));
}

static void detach(struct kunit *test, struct dmar_domain *domain)
{
	struct world *world = test->priv;

	domain_remove_dev_pasid(&domain->domain, world->dev, 1);
}

/* A DID is reused, unless something may be cached by it. */
static void did_is_kept_after_a_failure(struct kunit *test)
{
	struct dmar_domain *domain = domain_init(test);
	struct world *world = test->priv;
	u16 did[3];
	int i;

	for (i = 0; i < 3; i++) {
		attach(test, domain);
		did[i] = domain_id_iommu(domain, &world->fake->iommu);
		if (i == 1)
			break_iommu(world->fake);
		detach(test, domain);
	}
	domain->domain.ops->free(&domain->domain);
	KUNIT_EXPECT_EQ(test, did[1], did[0]);
	KUNIT_EXPECT_NE(test, did[2], did[1]);
}

/* A page of the driver, to look at when it may have been freed: then there is one user. */
static struct folio *page_init(struct kunit *test)
{
	void *page = iommu_alloc_pages_sz(GFP_KERNEL, SZ_4K);

	KUNIT_ASSERT_NOT_NULL(test, page);
	folio_get(virt_to_folio(page));
	return virt_to_folio(page);
}

static void expect_freed(struct kunit *test, struct folio *page, bool freed)
{
	KUNIT_EXPECT_EQ(test, folio_ref_count(page), freed ? 1 : 2);
	folio_put(page);
}

/* After a failed detach, neither the page table nor parts of it are freed. */
static void tables_are_kept_after_a_failure(struct kunit *test)
{
	struct world *world = test->priv;
	struct pt_iommu_vtdss_hw_info info;
	struct iommu_iotlb_gather gather;
	struct folio *top, *part;
	struct dmar_domain *domain;
	int kept;

	for (kept = 0; kept < 2; kept++) {
		domain = domain_init(test);
		pt_iommu_vtdss_hw_info(&domain->sspt, &info);
		top = pfn_folio(PHYS_PFN(info.ssptptr));
		folio_get(top);
		attach(test, domain);
		if (kept)
			break_iommu(world->fake);
		detach(test, domain);

		/* An unmap that has nobody left to flush for. */
		part = page_init(test);
		iommu_iotlb_gather_init(&gather);
		gather.start = 0;
		gather.end = SZ_4K - 1;
		iommu_pages_list_add(&gather.freelist, folio_address(part));
		domain->domain.ops->iotlb_sync(&domain->domain, &gather);
		expect_freed(test, part, !kept);

		domain->domain.ops->free(&domain->domain);
		expect_freed(test, top, !kept);
	}
}

/* The parent's page table is walked for a nest, too. */
static void parent_is_kept_with_its_nest(struct kunit *test)
{
	struct dmar_domain *parent = domain_init(test), *nest;
	struct world *world = test->priv;

	nest = kunit_kzalloc(test, sizeof(*nest), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, nest);
	nest->domain.type = IOMMU_DOMAIN_NESTED;
	nest->s2_domain = parent;
	iommu_attach_init(&nest->alist);
	attach(test, nest);
	detach(test, nest);
	KUNIT_EXPECT_FALSE(test, parent->kept);
	attach(test, nest);
	break_iommu(world->fake);
	detach(test, nest);
	KUNIT_EXPECT_TRUE(test, parent->kept);
	iommu_attach_destroy(&nest->alist);
	parent->domain.ops->free(&parent->domain);
}

/* What may be cached of a device's PASID table is where it is freed. */
static void pasid_table_is_kept_after_a_failure(struct kunit *test)
{
	struct folio *dir_page, *page;
	struct world *world = test->priv;
	struct pasid_dir_entry *dir;
	struct pasid_table *table;
	struct pci_dev *pdev;
	int kept;

	pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	pdev->dev.bus = &pci_bus_type;
	pdev->dev.iommu = &world->dev_iommu;
	for (kept = 0; kept < 2; kept++) {
		table = kzalloc_obj(*table);
		KUNIT_ASSERT_NOT_NULL(test, table);
		page = page_init(test);
		dir_page = page_init(test);
		dir = folio_address(dir_page);
		dir->val = virt_to_phys(folio_address(page)) | PASID_PTE_PRESENT;
		table->table = dir;
		table->max_pasid = 64;
		world->info->pasid_table = table;
		if (kept)
			break_iommu(world->fake);
		intel_pasid_free_table(&pdev->dev);
		KUNIT_EXPECT_NULL(test, world->info->pasid_table);
		expect_freed(test, page, !kept);
		expect_freed(test, dir_page, !kept);
	}
	/* Nobody else knows it any more. */
	kfree(table);
}

/* A flush that is held up by its IOMMU, in the fence. */
struct held {
	struct world *world;
	struct dmar_domain *domain;	/* to leave */
	struct completion began, go, done;
	unsigned int looks;
};

static void held_iotlb(const struct iommu_attach_group *group, void *arg)
{
}

static u64 held_submit(struct iommu_device *iommu_device, void *arg)
{
	return 1;
}

static int held_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct held *held = arg;

	/* The first look is in an RCU read-side section, later ones in the fence. */
	if (!held->looks++)
		return -EINPROGRESS;
	if (held->looks == 2)
		complete(&held->began);
	if (completion_done(&held->go))
		return 0;
	msleep(20);
	return -EINPROGRESS;
}

static const struct iommu_attach_flush_ops held_ops = {
	.iotlb = held_iotlb,
	.submit = held_submit,
	.wait = held_wait,
};

static int held_flush(void *arg)
{
	struct held *held = arg;

	iommu_attach_flush(&held->world->domain.alist, &held_ops, held);
	complete(&held->done);
	return 0;
}

static int resume(void *arg)
{
	struct held *held = arg;

	intel_iommu_resume(held->world->info);
	/* A test that fails has looked already, and looks again. */
	complete_all(&held->done);
	return 0;
}

static void begin(struct kunit *test, struct held *held, int (*function)(void *))
{
	held->world = test->priv;
	init_completion(&held->began);
	init_completion(&held->go);
	init_completion(&held->done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(function, held, "held")));
}

/*
 * Before a device gets another chance, those that may be about to set it aside are over; and
 * before the IOMMU answers it, those that have left it out.
 */
static void resume_waits_for_flushes(struct kunit *test)
{
	struct held before = {}, between = {}, back = {};
	struct world *world = test->priv;
	struct device_domain_info *info = world->info;
	int looks;

	if (sm_supported(info->iommu))
		kunit_skip(test, "in scalable mode it turns ATS off and on in the device");

	iommu_attach_set_aside(&info->endpoint);
	iommu_attach_blocked(&info->endpoint);
	begin(test, &before, held_flush);
	wait_for_completion(&before.began);
	begin(test, &back, resume);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&back.done, HZ / 4), 0);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&info->endpoint));

	begin(test, &between, held_flush);
	wait_for_completion(&between.began);
	complete(&before.go);
	wait_for_completion(&before.done);
	for (looks = 0; iommu_attach_is_aside(&info->endpoint) && looks < 1500; looks++)
		msleep(20);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&info->endpoint));
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&back.done, HZ / 4), 0);

	complete(&between.go);
	wait_for_completion(&between.done);
	wait_for_completion(&back.done);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&info->endpoint));
}

static int leave(void *arg)
{
	struct held *held = arg;

	wait_for_completion(&held->go);
	domain_remove_dev_pasid(&held->domain->domain, held->world->dev, 1);
	complete(&held->done);
	return 0;
}

/* A flush, and the unmap that it is for, either find the device or know that it was there. */
static void domain_is_kept_before_it_is_left(struct kunit *test)
{
	struct dmar_domain *domain = domain_init(test);
	struct world *world = test->priv;
	struct iommu_device *iommu = &world->fake->iommu.iommu;
	struct held held = { .domain = domain };
	int looks;
	u64 tag;

	if (num_online_cpus() == 1)
		kunit_skip(test, "the detach needs a CPU of its own");
	attach(test, domain);
	break_iommu(world->fake);
	begin(test, &held, leave);
	rcu_read_lock();
	complete(&held.go);
	for (looks = 0; looks < 10000 && !READ_ONCE(domain->kept); looks++)
		mdelay(1);
	KUNIT_EXPECT_TRUE(test, domain->kept);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(&domain->alist, iommu, &tag), 0);
	/* This is a flush that may have looked at the mark before it was made. */
	mdelay(20);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(&domain->alist, iommu, &tag), 0);
	rcu_read_unlock();
	wait_for_completion(&held.done);
	KUNIT_EXPECT_EQ(test, iommu_attach_find_tag(&domain->alist, iommu, &tag), -ENOENT);
	domain->domain.ops->free(&domain->domain);
}

static struct kunit_case attach_cases[] = {
	CASE(present_entry_looks_at_the_device),
	CASE(silent_device_is_blocked),
	CASE(requests_of_a_silent_device_time_out_later),
	CASE(silent_device_that_cannot_be_blocked),
	CASE(failed_flush_is_returned),
	CASE(dirty_tracking_fails_with_its_flush),
	CASE(coherency_is_not_promised_after_a_failure),
	CASE(did_is_kept_after_a_failure),
	CASE(tables_are_kept_after_a_failure),
	CASE(parent_is_kept_with_its_nest),
	CASE(pasid_table_is_kept_after_a_failure),
	CASE(resume_waits_for_flushes),
	CASE(domain_is_kept_before_it_is_left),
	{}
};

static struct kunit_suite attach_suite = {
	.name = "iommu_alist_vtd_attach",
	.init = attach_init,
	.exit = attach_exit,
	.test_cases = attach_cases,
};

kunit_test_suite(attach_suite);
