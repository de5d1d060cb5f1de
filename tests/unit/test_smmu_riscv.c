// SPDX-License-Identifier: GPL-2.0-only
/*
 * The SMMUv3 and RISC-V drivers: which words arrive at the hardware, in which order,
 * and that nothing stale is left
 *
 * Both order ATC after IOTLB commands with a sync and have tags of two parts, so most
 * tests are of both; the words of each are in a struct vendor. Domains get the tags
 * S1_TAG and S2_TAG, so that words can be written down.
 *
 * Classes in the expected strings: C context entry, T IOTLB, A ATC, S sync.
 */
#include <errno.h>

#include "machine.h"

#define S1_TAG		4
#define OTHER_S1_TAG	6
#define S2_TAG		3
#define RID		8
#define PASID		5
#define IOVA		UINT64_C(0x10000000)
#define PADDR		UINT64_C(0x80000000)

struct word {
	uint64_t word[2];
};

/* What is sent for the page at IOVA, and for everything of a tag or device. */
static const struct vendor {
	enum model_vendor model;
	struct word s1_page, s1_all;
	struct word s2_page, s2_all;
	struct word nested_page, nested_all;	/* S1_TAG on S2_TAG */
	struct word of_nests;			/* a page of the parent went */
	struct word atc_page, atc_all;
	struct word atc_pasid_page, atc_pasid_all;
	struct word context, context_pasid;
} smmuv3 = {
	.model = MODEL_SMMUV3,
	.s1_page = {{ 0x0004000000000012, 0x10000701 }},
	.s1_all = {{ 0x0004000000000011, 0 }},
	.s2_page = {{ 0x000000030000002a, 0x10000701 }},
	.s2_all = {{ 0x0000000300000028, 0 }},
	.nested_page = {{ 0x0004000300000012, 0x10000701 }},
	.nested_all = {{ 0x0004000300000011, 0 }},
	.of_nests = {{ 0x0000000300000028, 0 }},
	.atc_page = {{ 0x0000000800000040, 0x10000000 }},
	.atc_all = {{ 0x0000000800000040, 52 }},
	.atc_pasid_page = {{ 0x0000000800005840, 0x10000000 }},
	.atc_pasid_all = {{ 0x0000000800005840, 52 }},
	.context = {{ 0x0000000800000003, 1 }},
	.context_pasid = {{ 0x0000000800005005, 1 }},
}, riscv = {
	.model = MODEL_RISCV,
	.s1_page = {{ 0x0000000100004401, 0x04000000 }},
	.s1_all = {{ 0x0000000100004001, 0 }},
	.s2_page = {{ 0x0000300200000481, 0x04000000 }},
	.s2_all = {{ 0x0000300200000081, 0 }},
	.nested_page = {{ 0x0000300300004401, 0x04000000 }},
	.nested_all = {{ 0x0000300300004001, 0 }},
	.of_nests = {{ 0x0000300200000481, 0x04000000 }},
	.atc_page = {{ 0x0000080200000004, 0x10000000 }},
	.atc_all = {{ 0x0000080200000004, 0x7ffffffffffff800 }},
	.atc_pasid_page = {{ 0x0000080300005004, 0x10000000 }},
	.atc_pasid_all = {{ 0x0000080300005004, 0x7ffffffffffff800 }},
	.context = {{ 0x0000080200000003, 0 }},
	.context_pasid = {{ 0x0000080200005083, 0 }},
};

struct fixture {
	const struct vendor *vendor;
	struct machine machine;
	struct domain *s1, *s2, *nest;
	struct device *device;
};

static void setup(struct fixture *fixture, void **state, bool ats)
{
	struct machine *machine = &fixture->machine;

	fixture->vendor = *state;
	machine_init(machine, fixture->vendor->model, 1);
	fixture->s1 = machine_domain(machine, true, NULL);
	fixture->s1->wish_tag = S1_TAG;
	fixture->s2 = machine_domain(machine, false, NULL);
	fixture->s2->wish_tag = S2_TAG;
	fixture->nest = machine_domain(machine, true, fixture->s2);
	fixture->nest->wish_tag = S1_TAG;
	fixture->device = machine_device(machine, 0, RID, ats);
}

static void teardown(struct fixture *fixture)
{
	if (fixture->device)
		device_remove(fixture->device);
	domain_free(fixture->nest);
	domain_free(fixture->s2);
	domain_free(fixture->s1);
	assert_int_equal(model_stale_entries(fixture->machine.hw[0]), 0);
	machine_exit(&fixture->machine);
}

static void attach(struct domain *domain, struct device *device, uint32_t pasid)
{
	assert_int_equal(domain_attach(domain, device, pasid), 0);
}

#define assert_sent(fixture, i, name)						\
	assert_cmd(&(fixture)->machine, i, (fixture)->vendor->name.word[0],	\
		   (fixture)->vendor->name.word[1])

/*
 * Words
 */

/* SMMUv3 only: what Linux 6.12 was recorded to send for the same unmaps. */
static void test_smmu_words_are_those_that_linux_sends(void **state)
{
	static const struct {
		uint32_t asid;
		uint64_t iova, size, paddr;
		uint64_t word[2];
	} unmaps[] = {
		{ 1, 0xfffb8000, 3 * PAGE, PADDR, { 0x1000000002012, 0xfffb8701 } },
		{ 1, 0xfff5f000, PAGE, PADDR, { 0x1000000000012, 0xfff5f701 } },
		{ 1, 0xfff20000, 32 * PAGE, PADDR, { 0x1000000500012, 0xfff20701 } },
		{ 1, 0xfff20000, 29 * PAGE, PADDR, { 0x100000001c012, 0xfff20701 } },
		{ 1, 0xfffb8000, 4 * PAGE, PADDR, { 0x1000000200012, 0xfffb8701 } },
		/* One leaf of 2 MiB, and a table of small leaves that is cut off. */
		{ 9, 0x10000000, 512 * PAGE, PADDR, { 0x9000000900012, 0x10000601 } },
		{ 9, 0x10000000, 512 * PAGE, PADDR + PAGE,
		  { 0x9000000900012, 0x10000400 } },
		{ 9, 0x10000000, PAGE, PADDR, { 0x9000000000012, 0x10000701 } },
		{ 9, 0x10000000, 16 * PAGE, PADDR, { 0x9000000400012, 0x10000701 } },
	};
	struct fixture fixture;
	unsigned int i;

	setup(&fixture, state, false);
	for (i = 0; i < ARRAY_SIZE(unmaps); i++) {
		fixture.s1->wish_tag = unmaps[i].asid;
		attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
		map(fixture.s1, unmaps[i].iova, unmaps[i].paddr, unmaps[i].size);
		machine_forget(&fixture.machine);
		unmap(fixture.s1, unmaps[i].iova, unmaps[i].size);
		assert_classes(&fixture.machine, "TS");
		assert_cmd(&fixture.machine, 0, unmaps[i].word[0], unmaps[i].word[1]);

		machine_forget(&fixture.machine);
		domain_detach(fixture.device, IOMMU_NO_PASID);
		assert_classes(&fixture.machine, "CSTS");
		assert_cmd(&fixture.machine, 0, 0x800000003, 1);
		assert_cmd(&fixture.machine, 2, (uint64_t)unmaps[i].asid << 48 | 0x11, 0);
	}
	teardown(&fixture);
}

static void test_sync_writes_its_status_word(void **state)
{
	struct fixture fixture;
	uint64_t cmd[2];

	setup(&fixture, state, false);
	fixture.machine.driver->make_sync((uint64_t *)0x12345678, 0xabcd, cmd);
	if (fixture.vendor->model == MODEL_SMMUV3) {
		/* MSI, inner shareable, write-back. */
		assert_int_equal(cmd[0], UINT64_C(0x0000abcd0fc01046));
		assert_int_equal(cmd[1], 0x12345678);
	} else {
		/* AV, PR, PW. */
		assert_int_equal(cmd[0], UINT64_C(0x0000abcd00003402));
		assert_int_equal(cmd[1], 0x12345678 >> 2);
	}
	teardown(&fixture);
}

/*
 * Attach and detach
 */

static void test_attach_reads_the_context(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, true);
	machine_forget(&fixture.machine);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	assert_classes(&fixture.machine, "CS");
	assert_sent(&fixture, 0, context);

	/* An ATC has nothing of a blocked entry, but of one that is replaced. */
	machine_forget(&fixture.machine);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	assert_classes(&fixture.machine, "CSAS");
	assert_sent(&fixture, 0, context);
	assert_sent(&fixture, 2, atc_all);
	teardown(&fixture);
}

static void test_detach_blocks_before_it_flushes_the_tag(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, true);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	machine_forget(&fixture.machine);
	domain_detach(fixture.device, IOMMU_NO_PASID);
	assert_classes(&fixture.machine, "CSASTS");
	assert_sent(&fixture, 0, context);
	assert_sent(&fixture, 2, atc_all);
	assert_sent(&fixture, 4, s1_all);
	assert_int_equal(fixture.s1->tag, 0);
	teardown(&fixture);
}

struct watch {
	struct domain *domain;
	unsigned int nr;
	bool listed[8];		/* at each command: was the device on the list? */
};

static void watch_list(struct model_iommu *hw, enum model_class class,
		       const uint64_t *cmd, void *arg)
{
	struct watch *watch = arg;

	(void)hw;
	(void)class;
	(void)cmd;
	assert_true(watch->nr < ARRAY_SIZE(watch->listed));
	watch->listed[watch->nr++] = !iommu_attach_empty(&watch->domain->alist);
}

static void test_list_has_whatever_the_hardware_may_use(void **state)
{
	struct fixture fixture;
	struct watch watch;
	unsigned int i;

	setup(&fixture, state, true);
	watch = (struct watch){ .domain = fixture.s1 };
	model_set_log(fixture.machine.hw[0], watch_list, &watch);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	assert_int_equal(watch.nr, 2);
	for (i = 0; i < watch.nr; i++)
		assert_true(watch.listed[i]);

	/* Context, sync, ATC, sync; and only then the tag, and a sync. */
	watch.nr = 0;
	domain_detach(fixture.device, IOMMU_NO_PASID);
	assert_int_equal(watch.nr, 6);
	for (i = 0; i < watch.nr; i++)
		assert_int_equal(watch.listed[i], i < 4);
	model_set_log(fixture.machine.hw[0], machine_log, &fixture.machine);
	teardown(&fixture);
}

static void test_only_the_last_detach_flushes_the_tag(void **state)
{
	struct fixture fixture;
	struct device *other;

	setup(&fixture, state, false);
	other = machine_device(&fixture.machine, 0, RID + 1, false);
	attach(fixture.s2, fixture.device, IOMMU_NO_PASID);
	attach(fixture.s2, other, IOMMU_NO_PASID);
	machine_forget(&fixture.machine);
	domain_detach(fixture.device, IOMMU_NO_PASID);
	assert_classes(&fixture.machine, "CS");
	assert_int_equal(fixture.s2->tag, S2_TAG);

	machine_forget(&fixture.machine);
	device_remove(other);
	assert_classes(&fixture.machine, "CSTS");
	assert_sent(&fixture, 2, s2_all);
	teardown(&fixture);
}

/* Return: did the domain that got the tag see what the old one left? */
static bool reuse_tag(struct fixture *fixture, bool withhold)
{
	struct machine *machine = &fixture->machine;
	struct domain *next = machine_domain(machine, true, NULL);
	bool stale;

	map(fixture->s1, IOVA, PADDR, PAGE);
	attach(fixture->s1, fixture->device, IOMMU_NO_PASID);
	assert_int_equal(dma(fixture->device, IOMMU_NO_PASID, IOVA), PADDR);
	model_withhold(machine->hw[0], MODEL_IOTLB, withhold);
	domain_detach(fixture->device, IOMMU_NO_PASID);

	next->wish_tag = S1_TAG;
	map(next, IOVA, 2 * PADDR, PAGE);
	attach(next, fixture->device, IOMMU_NO_PASID);
	assert_int_equal(next->tag, S1_TAG);
	stale = dma_is_stale(fixture->device, IOVA);
	device_remove(fixture->device);
	fixture->device = NULL;
	domain_free(next);
	return stale;
}

static void test_tag_is_clean_before_it_is_reused(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, false);
	assert_false(reuse_tag(&fixture, false));
	teardown(&fixture);

	/* The oracle sees it if not. */
	setup(&fixture, state, false);
	assert_true(reuse_tag(&fixture, true));
	teardown(&fixture);
}

static void dma_at_each_command(struct model_iommu *hw, enum model_class class,
				const uint64_t *cmd, void *arg)
{
	struct device *device = arg;
	struct model_access access;

	(void)hw;
	(void)class;
	(void)cmd;
	model_dma(device->hw, MODEL_NO_PASID, IOVA, false, &access);
	assert_false(access.fault);
}

static void test_replace_never_blocks_the_device(void **state)
{
	struct fixture fixture;
	struct machine *machine = &fixture.machine;
	struct domain *next;

	setup(&fixture, state, true);
	next = machine_domain(machine, true, NULL);
	next->wish_tag = OTHER_S1_TAG;
	map(fixture.s1, IOVA, PADDR, PAGE);
	map(next, IOVA, 2 * PADDR, PAGE);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), PADDR);

	machine_forget(machine);
	attach(next, fixture.device, IOMMU_NO_PASID);
	assert_classes(machine, "CSASTS");
	assert_sent(&fixture, 4, s1_all);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), 2 * PADDR);
	assert_true(iommu_attach_empty(&fixture.s1->alist));

	model_set_log(machine->hw[0], dma_at_each_command, fixture.device);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	model_set_log(machine->hw[0], machine_log, machine);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), PADDR);

	domain_free(next);
	teardown(&fixture);
}

static void test_replace_by_itself_keeps_the_tag(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, true);
	map(fixture.s1, IOVA, PADDR, PAGE);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	machine_forget(&fixture.machine);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	assert_classes(&fixture.machine, "CSAS");
	assert_int_equal(fixture.s1->tag, S1_TAG);

	machine_forget(&fixture.machine);
	unmap(fixture.s1, IOVA, PAGE);
	assert_classes(&fixture.machine, "TSAS");
	teardown(&fixture);
}

static void test_attach_that_fails_leaves_no_trace(void **state)
{
	struct fixture fixture;
	struct machine *machine = &fixture.machine;
	unsigned long live, n;
	int ret = -ENOMEM;

	setup(&fixture, state, true);
	map(fixture.s1, IOVA, PADDR, PAGE);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	shim_rcu_barrier();
	live = shim_live();
	machine_forget(machine);
	for (n = 1; ret == -ENOMEM; n++) {
		assert_true(iommu_attach_empty(&fixture.nest->alist));
		assert_true(iommu_attach_empty(&fixture.s2->alist));
		assert_int_equal(fixture.nest->tag, 0);
		assert_int_equal(fixture.s2->tag, 0);
		assert_int_equal(machine->nr_cmds, 0);
		shim_rcu_barrier();
		assert_int_equal(shim_live(), live);
		assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), PADDR);

		shim_fail_nth(n);
		ret = domain_attach(fixture.nest, fixture.device, IOMMU_NO_PASID);
		shim_fail_nth(0);
	}
	assert_int_equal(ret, 0);
	/* The attachment, and slots and index of both lists. */
	assert_in_range(n, 6, 10);
	teardown(&fixture);
}

static void test_tags_run_out_without_a_trace(void **state)
{
	struct fixture fixture;
	struct machine *machine = &fixture.machine;

	setup(&fixture, state, false);
	fixture.s2->wish_tag = 0x10000;
	machine_forget(machine);
	assert_int_equal(domain_attach(fixture.nest, fixture.device, IOMMU_NO_PASID),
			 -ENOSPC);
	assert_int_equal(machine->nr_cmds, 0);
	assert_int_equal(fixture.nest->tag, 0);
	assert_true(iommu_attach_empty(&fixture.nest->alist));
	teardown(&fixture);
}

static void test_lost_iommu_gives_the_tags_back(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, true);
	attach(fixture.nest, fixture.device, IOMMU_NO_PASID);
	domain_lose_iommu(fixture.nest, fixture.machine.iommu[0]);
	assert_true(iommu_attach_empty(&fixture.s2->alist));
	device_remove(fixture.device);
	domain_free(fixture.nest);
	domain_free(fixture.s2);

	fixture.device = machine_device(&fixture.machine, 0, RID, true);
	fixture.s2 = machine_domain(&fixture.machine, false, NULL);
	fixture.s2->wish_tag = S2_TAG;
	fixture.nest = machine_domain(&fixture.machine, true, fixture.s2);
	fixture.nest->wish_tag = S1_TAG;
	attach(fixture.nest, fixture.device, IOMMU_NO_PASID);
	assert_int_equal(fixture.nest->tag, S1_TAG);
	assert_int_equal(fixture.s2->tag, S2_TAG);
	teardown(&fixture);
}

/*
 * Flush
 */

static void test_unmapped_is_not_reached_any_more(void **state)
{
	static const uint64_t sizes[] = { PAGE, 3 * PAGE, 512 * PAGE, 600 * PAGE };
	struct fixture fixture;
	unsigned int i, ats, small;

	for (ats = 0; ats < 2; ats++) {
		setup(&fixture, state, ats);
		attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			for (small = 0; small < 2; small++) {
				uint64_t paddr = PADDR + small * PAGE;
				uint64_t last = IOVA + sizes[i] - PAGE;

				map(fixture.s1, IOVA, paddr, sizes[i]);
				assert_int_equal(dma(fixture.device, 0, IOVA), paddr);
				assert_int_equal(dma(fixture.device, 0, last),
						 paddr + sizes[i] - PAGE);
				unmap(fixture.s1, IOVA, sizes[i]);
				assert_int_equal(dma(fixture.device, 0, IOVA), 0);
				assert_int_equal(dma(fixture.device, 0, last), 0);
			}
		}
		assert_int_equal(model_stale_entries(fixture.machine.hw[0]), 0);
		teardown(&fixture);
	}
}

static void test_oracle_sees_each_command_that_is_withheld(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, true);
	map(fixture.s1, IOVA, PADDR, 3 * PAGE);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	dma(fixture.device, IOMMU_NO_PASID, IOVA);
	dma(fixture.device, IOMMU_NO_PASID, IOVA + PAGE);

	model_withhold(fixture.machine.hw[0], MODEL_ATC, 1);
	unmap(fixture.s1, IOVA, PAGE);
	assert_true(dma_is_stale(fixture.device, IOVA));

	device_ats_disable(fixture.device);
	model_withhold(fixture.machine.hw[0], MODEL_IOTLB, 1);
	unmap(fixture.s1, IOVA + PAGE, PAGE);
	assert_true(dma_is_stale(fixture.device, IOVA + PAGE));

	model_withhold(fixture.machine.hw[0], MODEL_CONFIG, 1);
	domain_detach(fixture.device, IOMMU_NO_PASID);
	assert_true(dma_is_stale(fixture.device, IOVA + 2 * PAGE));
	teardown(&fixture);
}

static void test_atc_commands_wait_for_the_iotlb_commands(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, true);
	map(fixture.s1, IOVA, PADDR, PAGE);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	machine_forget(&fixture.machine);
	unmap(fixture.s1, IOVA, PAGE);
	assert_classes(&fixture.machine, "TSAS");
	assert_sent(&fixture, 0, s1_page);
	assert_sent(&fixture, 2, atc_page);
	teardown(&fixture);
}

static void test_one_command_for_a_group_and_one_for_a_target(void **state)
{
	struct device *devices[8];
	struct machine machine;
	struct domain *domain;
	const struct vendor *vendor = *state;
	unsigned int i;

	machine_init(&machine, vendor->model, 3);
	domain = machine_domain(&machine, true, NULL);
	/* The last IOMMU has no device of the domain; every other one has ATS. */
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		devices[i] = machine_device(&machine, i / 4, i, i % 2);
		attach(domain, devices[i], IOMMU_NO_PASID);
	}
	map(domain, IOVA, PADDR, 2 * PAGE);
	machine_forget(&machine);
	unmap(domain, IOVA, PAGE);
	assert_classes(&machine, "TSTSAASAAS");

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (i % 2)
			device_ats_disable(devices[i]);
	machine_forget(&machine);
	unmap(domain, IOVA + PAGE, PAGE);
	assert_classes(&machine, "TSTS");

	for (i = 0; i < ARRAY_SIZE(devices); i++)
		device_remove(devices[i]);
	domain_free(domain);
	machine_exit(&machine);
}

static void test_ats_is_followed_on_and_off(void **state)
{
	struct fixture fixture;
	struct device *capable;
	unsigned int i;

	setup(&fixture, state, false);
	assert_int_equal(device_ats_enable(fixture.device), -ENODEV);
	capable = machine_device(&fixture.machine, 0, RID + 1, true);
	attach(fixture.s1, capable, IOMMU_NO_PASID);
	for (i = 0; i < 3; i++) {
		map(fixture.s1, IOVA, PADDR, PAGE);
		assert_int_equal(dma(capable, IOMMU_NO_PASID, IOVA), PADDR);
		device_ats_disable(capable);
		machine_forget(&fixture.machine);
		unmap(fixture.s1, IOVA, PAGE);
		assert_classes(&fixture.machine, "TS");
		assert_int_equal(dma(capable, IOMMU_NO_PASID, IOVA), 0);

		assert_int_equal(device_ats_enable(capable), 0);
		map(fixture.s1, IOVA, PADDR, PAGE);
		assert_int_equal(dma(capable, IOMMU_NO_PASID, IOVA), PADDR);
		machine_forget(&fixture.machine);
		unmap(fixture.s1, IOVA, PAGE);
		assert_classes(&fixture.machine, "TSAS");
		assert_int_equal(dma(capable, IOMMU_NO_PASID, IOVA), 0);
	}
	device_remove(capable);
	teardown(&fixture);
}

/*
 * PASIDs
 */

static void test_pasid_has_commands_of_its_own(void **state)
{
	struct fixture fixture;
	struct domain *other;

	setup(&fixture, state, true);
	other = machine_domain(&fixture.machine, true, NULL);
	other->wish_tag = OTHER_S1_TAG;
	map(fixture.s1, IOVA, PADDR, PAGE);
	map(other, IOVA, 2 * PADDR, PAGE);
	attach(other, fixture.device, IOMMU_NO_PASID);
	machine_forget(&fixture.machine);
	attach(fixture.s1, fixture.device, PASID);
	assert_classes(&fixture.machine, "CS");
	assert_sent(&fixture, 0, context_pasid);
	assert_int_equal(dma(fixture.device, PASID, IOVA), PADDR);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), 2 * PADDR);

	machine_forget(&fixture.machine);
	unmap(fixture.s1, IOVA, PAGE);
	assert_classes(&fixture.machine, "TSAS");
	assert_sent(&fixture, 0, s1_page);
	assert_sent(&fixture, 2, atc_pasid_page);
	assert_int_equal(dma(fixture.device, PASID, IOVA), 0);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), 2 * PADDR);

	machine_forget(&fixture.machine);
	domain_detach(fixture.device, PASID);
	assert_classes(&fixture.machine, "CSASTS");
	assert_sent(&fixture, 0, context_pasid);
	assert_sent(&fixture, 2, atc_pasid_all);
	assert_sent(&fixture, 4, s1_all);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), 2 * PADDR);

	domain_detach(fixture.device, IOMMU_NO_PASID);
	domain_free(other);
	teardown(&fixture);
}

static void test_device_with_two_pasids_is_two_targets(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, true);
	map(fixture.s1, IOVA, PADDR, PAGE);
	attach(fixture.s1, fixture.device, IOMMU_NO_PASID);
	attach(fixture.s1, fixture.device, PASID);
	assert_int_equal(dma(fixture.device, PASID, IOVA), PADDR);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), PADDR);
	machine_forget(&fixture.machine);
	unmap(fixture.s1, IOVA, PAGE);
	assert_classes(&fixture.machine, "TSAAS");
	assert_sent(&fixture, 2, atc_page);
	assert_sent(&fixture, 3, atc_pasid_page);
	assert_int_equal(dma(fixture.device, PASID, IOVA), 0);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), 0);
	teardown(&fixture);
}

static void test_pasid_has_no_second_stage(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, false);
	machine_forget(&fixture.machine);
	assert_int_equal(domain_attach(fixture.s2, fixture.device, PASID), -EINVAL);
	assert_int_equal(domain_attach(fixture.nest, fixture.device, PASID), -EINVAL);
	assert_int_equal(fixture.machine.nr_cmds, 0);
	assert_true(iommu_attach_empty(&fixture.s2->alist));
	teardown(&fixture);
}

/*
 * Nests
 */

/* S1 identity over what the parent maps at IOVA. */
static void setup_nest(struct fixture *fixture, void **state, bool ats)
{
	setup(fixture, state, ats);
	map(fixture->nest, IOVA, IOVA, 2 * PAGE);
	map(fixture->s2, IOVA, PADDR, 2 * PAGE);
	attach(fixture->nest, fixture->device, IOMMU_NO_PASID);
	assert_int_equal(dma(fixture->device, IOMMU_NO_PASID, IOVA), PADDR);
	machine_forget(&fixture->machine);
}

static void test_nest_is_flushed_by_both_tags(void **state)
{
	struct fixture fixture;

	setup_nest(&fixture, state, true);
	unmap(fixture.nest, IOVA, PAGE);
	assert_classes(&fixture.machine, "TSAS");
	assert_sent(&fixture, 0, nested_page);
	assert_sent(&fixture, 2, atc_page);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), 0);

	machine_forget(&fixture.machine);
	domain_detach(fixture.device, IOMMU_NO_PASID);
	assert_classes(&fixture.machine, "CSASTSTS");
	assert_sent(&fixture, 4, nested_all);
	assert_sent(&fixture, 6, s2_all);
	assert_int_equal(fixture.nest->tag, 0);
	assert_int_equal(fixture.s2->tag, 0);
	teardown(&fixture);
}

static void test_parent_reaches_nests_and_their_whole_atc(void **state)
{
	struct fixture fixture;

	setup_nest(&fixture, state, true);
	unmap(fixture.s2, IOVA, PAGE);
	assert_classes(&fixture.machine, "TSAS");
	assert_sent(&fixture, 0, of_nests);
	assert_sent(&fixture, 2, atc_all);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), 0);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA + PAGE), PADDR + PAGE);
	teardown(&fixture);
}

static void test_nests_of_a_parent_take_one_command(void **state)
{
	struct device *own, *third;
	struct fixture fixture;
	struct domain *other;

	setup_nest(&fixture, state, true);
	other = machine_domain(&fixture.machine, true, fixture.s2);
	map(other, IOVA, IOVA, PAGE);
	third = machine_device(&fixture.machine, 0, RID + 1, false);
	own = machine_device(&fixture.machine, 0, RID + 2, false);
	attach(other, third, IOMMU_NO_PASID);
	attach(fixture.s2, own, IOMMU_NO_PASID);
	assert_int_equal(dma(third, IOMMU_NO_PASID, IOVA), PADDR);
	assert_int_equal(dma(own, IOMMU_NO_PASID, IOVA), PADDR);

	machine_forget(&fixture.machine);
	unmap(fixture.s2, IOVA, PAGE);
	assert_classes(&fixture.machine, "TTSAS");
	assert_sent(&fixture, 0, s2_page);
	assert_sent(&fixture, 1, of_nests);
	assert_sent(&fixture, 3, atc_all);
	assert_int_equal(dma(fixture.device, IOMMU_NO_PASID, IOVA), 0);
	assert_int_equal(dma(third, IOMMU_NO_PASID, IOVA), 0);
	assert_int_equal(dma(own, IOMMU_NO_PASID, IOVA), 0);

	device_remove(third);
	device_remove(own);
	domain_free(other);
	teardown(&fixture);
}

static void test_oracle_sees_a_parent_that_forgets_its_nests(void **state)
{
	struct fixture fixture;

	setup_nest(&fixture, state, false);
	model_withhold(fixture.machine.hw[0], MODEL_IOTLB, 1);
	unmap(fixture.s2, IOVA, PAGE);
	assert_true(dma_is_stale(fixture.device, IOVA));
	teardown(&fixture);
}

static void test_parent_must_be_second_stage(void **state)
{
	struct fixture fixture;

	setup(&fixture, state, false);
	assert_null(domain_alloc(fixture.machine.driver, 4, true, fixture.s1));
	assert_null(domain_alloc(fixture.machine.driver, 4, true, fixture.nest));
	teardown(&fixture);
}

#define BOTH(test)						\
	{ #test " (SMMUv3)", test, NULL, NULL, (void *)&smmuv3 },	\
	{ #test " (RISC-V)", test, NULL, NULL, (void *)&riscv }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_smmu_words_are_those_that_linux_sends,
					  (void *)&smmuv3),
		BOTH(test_sync_writes_its_status_word),
		BOTH(test_attach_reads_the_context),
		BOTH(test_detach_blocks_before_it_flushes_the_tag),
		BOTH(test_list_has_whatever_the_hardware_may_use),
		BOTH(test_only_the_last_detach_flushes_the_tag),
		BOTH(test_tag_is_clean_before_it_is_reused),
		BOTH(test_replace_never_blocks_the_device),
		BOTH(test_replace_by_itself_keeps_the_tag),
		BOTH(test_attach_that_fails_leaves_no_trace),
		BOTH(test_tags_run_out_without_a_trace),
		BOTH(test_lost_iommu_gives_the_tags_back),
		BOTH(test_unmapped_is_not_reached_any_more),
		BOTH(test_oracle_sees_each_command_that_is_withheld),
		BOTH(test_atc_commands_wait_for_the_iotlb_commands),
		BOTH(test_one_command_for_a_group_and_one_for_a_target),
		BOTH(test_ats_is_followed_on_and_off),
		BOTH(test_pasid_has_commands_of_its_own),
		BOTH(test_device_with_two_pasids_is_two_targets),
		BOTH(test_pasid_has_no_second_stage),
		BOTH(test_nest_is_flushed_by_both_tags),
		BOTH(test_parent_reaches_nests_and_their_whole_atc),
		BOTH(test_nests_of_a_parent_take_one_command),
		BOTH(test_oracle_sees_a_parent_that_forgets_its_nests),
		BOTH(test_parent_must_be_second_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
