// SPDX-License-Identifier: GPL-2.0-only
/*
 * The four example drivers on their models, every case on each of them
 *
 * What must hold is the same for all vendors: after a flush no device uses what was
 * unmapped; a flush is one IOTLB command a group, one ATC command a target and one
 * sync an IOMMU and phase; after a detach there is silence. The oracle is the model's,
 * and cases show it firing when a command is withheld. No case needs luck: where a race
 * is put to the test, a command's log callback is the point where it happens.
 *
 * Cases named pitfall_NN are faults that real drivers had.
 */
#include "machine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define IOVA		UINT64_C(0x10000000)
#define IPA		UINT64_C(0x20000000)
#define PA		UINT64_C(0x30000000)
#define PA2		UINT64_C(0x40000000)
#define NONE		IOMMU_NO_PASID

/* Syncs of an IOMMU with ATC commands in the flush: some vendors need a phase of its own. */
static const unsigned int phases[MODEL_VENDORS] = {
	[MODEL_VTD] = 1,
	[MODEL_SMMUV3] = 2,
	[MODEL_AMD] = 1,
	[MODEL_RISCV] = 2,
};

/* Does the tag on the list have the PASID in it? */
static bool tags_have_pasids(const struct machine *m)
{
	return m->driver->vendor == MODEL_VTD || m->driver->vendor == MODEL_AMD;
}

/* Is every nest on a parent a group of its own? Else they go by the parent's VM. */
static bool nests_have_groups(const struct machine *m)
{
	return tags_have_pasids(m);
}

static void start(struct machine *m, void **state)
{
	machine_init(m, *(enum model_vendor *)*state, 2);
}

/* As machine_init(), for hardware that is not the usual one. */
static void start_with(struct machine *m, const struct model_config *config,
		       bool caching_mode)
{
	unsigned int i;

	memset(m, 0, sizeof(*m));
	shim_rcu_barrier();
	m->live = shim_live();
	m->driver = driver_of(config->vendor);
	m->nr = 2;
	for (i = 0; i < m->nr; i++) {
		m->hw[i] = model_iommu_create(config);
		assert_non_null(m->hw[i]);
		m->iommu[i] = iommu_probe(m->hw[i], caching_mode);
		assert_non_null(m->iommu[i]);
		model_set_log(m->hw[i], machine_log, m);
	}
}

static void attach(struct domain *domain, struct device *device, uint32_t pasid)
{
	assert_int_equal(domain_attach(domain, device, pasid), 0);
}

/* A device in a domain of its own, on the first of two IOMMUs. */
struct alone {
	struct machine m;
	struct domain *domain;
	struct device *device;
};

static void start_alone(struct alone *one, void **state, bool ats)
{
	start(&one->m, state);
	one->domain = machine_domain(&one->m, false, NULL);
	one->device = machine_device(&one->m, 0, 1, ats);
	attach(one->domain, one->device, NONE);
}

static void stop_alone(struct alone *one)
{
	device_remove(one->device);
	domain_free(one->domain);
	machine_exit(&one->m);
}

static enum model_source dma_source(struct device *device, uint32_t pasid,
				    uint64_t iova)
{
	struct model_access access;

	assert_true(model_dma(device->hw, pasid == NONE ? MODEL_NO_PASID : pasid, iova,
			      false, &access));
	assert_false(access.fault);
	return access.source;
}

static unsigned int sent(const struct machine *m, enum model_class class)
{
	unsigned int i, n = 0;

	for (i = 0; i < m->nr_cmds; i++)
		n += m->cmd[i].class == class;
	return n;
}

static void assert_nothing_stale(const struct machine *m)
{
	unsigned int i;

	for (i = 0; i < m->nr; i++)
		assert_int_equal(model_stale_entries(m->hw[i]), 0);
}

static unsigned int targets(struct domain *domain)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	unsigned int n = 0;
	u64 atc;

	iommu_attach_walk_begin(&walk, &domain->alist);
	iommu_attach_for_each_atc(group, atc, &walk)
		n++;
	iommu_attach_walk_end(&walk);
	return n;
}

static unsigned int groups(struct domain *domain)
{
	const struct iommu_attach_group *group;
	struct iommu_attach_walk walk;
	unsigned int n = 0;

	iommu_attach_walk_begin(&walk, &domain->alist);
	iommu_attach_for_each_group(group, &walk)
		n++;
	iommu_attach_walk_end(&walk);
	return n;
}

static unsigned int attachments(struct domain *domain)
{
	struct iommu_attach_walk walk;
	struct attachment *pos;
	unsigned int n = 0;

	iommu_attach_walk_begin(&walk, &domain->alist);
	iommu_attach_for_each_all(pos, &walk, elms.s1)
		n++;
	iommu_attach_walk_end(&walk);
	return n;
}

/*
 * Unmap
 */

static void check_unmap(struct machine *m, bool first_stage, bool ats)
{
	struct domain *domain = machine_domain(m, first_stage, NULL);
	struct device *device[4];
	unsigned int i;

	map(domain, IOVA, PA, 4 * PAGE);
	for (i = 0; i < 4; i++) {
		device[i] = machine_device(m, i / 2, i, ats);
		attach(domain, device[i], NONE);
		assert_int_equal(dma(device[i], NONE, IOVA), PA);
		assert_int_equal(dma(device[i], NONE, IOVA + PAGE), PA + PAGE);
	}
	unmap(domain, IOVA, PAGE);
	for (i = 0; i < 4; i++) {
		assert_int_equal(dma(device[i], NONE, IOVA), 0);
		assert_int_equal(dma(device[i], NONE, IOVA + PAGE), PA + PAGE);
	}
	assert_nothing_stale(m);

	for (i = 0; i < 4; i++)
		device_remove(device[i]);
	domain_free(domain);
}

static void unmap_reaches_every_iommu_and_device(void **state)
{
	struct machine m;

	start(&m, state);
	check_unmap(&m, false, false);
	check_unmap(&m, false, true);
	check_unmap(&m, true, false);
	check_unmap(&m, true, true);
	machine_exit(&m);
}

/* A table that is cut off is used for something else when the flush is over. */
static void unmap_of_whole_tables_reaches_walk_caches(void **state)
{
	struct domain *domain;
	struct device *device;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, true, NULL);
	device = machine_device(&m, 0, 1, false);
	attach(domain, device, NONE);

	map(domain, IOVA, PA, 512 * PAGE - PAGE);
	assert_int_equal(dma(device, NONE, IOVA), PA);
	unmap(domain, IOVA, 512 * PAGE);
	map(domain, IOVA, PA2, 512 * PAGE - PAGE);
	assert_int_equal(dma(device, NONE, IOVA), PA2);
	assert_nothing_stale(&m);

	device_remove(device);
	domain_free(domain);
	machine_exit(&m);
}

static void gathered_unmaps_are_one_flush(void **state)
{
	struct gather gather = { 0 };
	struct alone one;

	start_alone(&one, state, true);
	map(one.domain, IOVA, PA, 4 * PAGE);
	assert_int_equal(dma(one.device, NONE, IOVA), PA);
	assert_int_equal(dma(one.device, NONE, IOVA + 3 * PAGE), PA + 3 * PAGE);

	machine_forget(&one.m);
	assert_int_equal(domain_unmap(one.domain, IOVA + 2 * PAGE, 2 * PAGE, &gather), 0);
	assert_int_equal(domain_unmap(one.domain, IOVA, PAGE, &gather), 0);
	assert_int_equal(one.m.nr_cmds, 0);
	domain_sync(one.domain, &gather);
	assert_int_equal(sent(&one.m, MODEL_IOTLB), 1);
	assert_int_equal(sent(&one.m, MODEL_ATC), 1);
	assert_int_equal(dma(one.device, NONE, IOVA), 0);
	assert_int_equal(dma(one.device, NONE, IOVA + 3 * PAGE), 0);

	/* Nothing is left in the gather, so there is nothing to flush. */
	machine_forget(&one.m);
	domain_sync(one.domain, &gather);
	assert_int_equal(one.m.nr_cmds, 0);

	stop_alone(&one);
}

/* Page 0, whose range begins as that of an empty gather does; far apart; nothing but "all". */
static void pitfall_27_gathers_with_anything_in_them(void **state)
{
	const uint64_t far = IOVA + (UINT64_C(1) << 30);
	struct gather gather = { 0 };
	struct alone one;

	start_alone(&one, state, true);
	map(one.domain, 0, PA, PAGE);
	assert_int_equal(dma(one.device, NONE, 0), PA);
	assert_int_equal(domain_unmap(one.domain, 0, PAGE, &gather), 0);
	assert_int_equal(domain_sync(one.domain, &gather), 0);
	assert_int_equal(dma(one.device, NONE, 0), 0);

	map(one.domain, IOVA, PA, PAGE);
	map(one.domain, far, PA, PAGE);
	assert_int_equal(dma(one.device, NONE, IOVA), PA);
	assert_int_equal(dma(one.device, NONE, far), PA);
	assert_int_equal(domain_unmap(one.domain, far, PAGE, &gather), 0);
	assert_int_equal(domain_unmap(one.domain, IOVA, PAGE, &gather), 0);
	assert_int_equal(domain_sync(one.domain, &gather), 0);
	assert_int_equal(dma(one.device, NONE, IOVA), 0);
	assert_int_equal(dma(one.device, NONE, far), 0);

	machine_forget(&one.m);
	assert_int_equal(domain_sync_all(one.domain, &gather), 0);
	assert_int_equal(sent(&one.m, MODEL_IOTLB), 1);
	assert_int_equal(sent(&one.m, MODEL_ATC), 1);
	assert_nothing_stale(&one.m);
	stop_alone(&one);
}

static void lazy_unmaps_are_flushed_by_one_whole_flush(void **state)
{
	struct gather gather = { 0 };
	struct domain *domain;
	struct device *device;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, true, NULL);
	device = machine_device(&m, 0, 1, true);
	attach(domain, device, 7);
	map(domain, IOVA, PA, PAGE);
	map(domain, 0, PA2, PAGE);
	assert_int_equal(dma(device, 7, IOVA), PA);
	assert_int_equal(dma(device, 7, 0), PA2);
	assert_int_equal(domain_unmap(domain, IOVA, PAGE, &gather), 0);
	assert_int_equal(domain_unmap(domain, 0, PAGE, &gather), 0);

	machine_forget(&m);
	domain_sync_all(domain, &gather);
	assert_int_equal(sent(&m, MODEL_IOTLB), 1);
	assert_int_equal(sent(&m, MODEL_ATC), 1);
	assert_int_equal(dma(device, 7, IOVA), 0);
	assert_int_equal(dma(device, 7, 0), 0);

	device_remove(device);
	domain_free(domain);
	machine_exit(&m);
}

/* Commands are groups and targets, syncs are IOMMUs and phases, whatever N is. */
static void commands_are_groups_and_targets(void **state)
{
	unsigned int nr, i, ats, iommus;
	struct device *device[12];
	struct domain *domain;
	struct machine m;

	start(&m, state);
	for (nr = 0; nr <= 12; nr++) {
		domain = machine_domain(&m, false, NULL);
		map(domain, IOVA, PA, PAGE);
		ats = 0;
		for (i = 0; i < nr; i++) {
			device[i] = machine_device(&m, i % 2, i, i % 3 == 1);
			ats += i % 3 == 1;
			attach(domain, device[i], NONE);
		}
		iommus = nr < 2 ? nr : 2;

		machine_forget(&m);
		unmap(domain, IOVA, PAGE);
		assert_int_equal(sent(&m, MODEL_IOTLB), iommus);
		assert_int_equal(sent(&m, MODEL_ATC), ats);
		/* Device 1 is behind IOMMU 1, device 4 the first behind IOMMU 0. */
		assert_int_equal(sent(&m, MODEL_SYNC),
				 iommus + (phases[m.driver->vendor] - 1) *
				 (nr > 4 ? 2 : nr > 1));
		assert_int_equal(m.nr_cmds, sent(&m, MODEL_IOTLB) +
				 sent(&m, MODEL_ATC) + sent(&m, MODEL_SYNC));

		for (i = 0; i < nr; i++)
			device_remove(device[i]);
		domain_free(domain);
	}
	machine_exit(&m);
}

static void check_oracle(void **state, enum model_class class)
{
	struct alone one;

	start_alone(&one, state, class == MODEL_ATC);
	map(one.domain, IOVA, PA, PAGE);
	assert_int_equal(dma(one.device, NONE, IOVA), PA);

	model_withhold(one.m.hw[0], class, 1);
	unmap(one.domain, IOVA, PAGE);
	assert_true(dma_is_stale(one.device, IOVA));
	assert_true(model_stale_entries(one.m.hw[0]) > 0);

	stop_alone(&one);
}

static void oracle_fires_without_iotlb_command(void **state)
{
	check_oracle(state, MODEL_IOTLB);
}

static void oracle_fires_without_atc_command(void **state)
{
	check_oracle(state, MODEL_ATC);
}

/* Batches of 16 through a queue of 7, many times around. */
static void flush_that_does_not_fit_the_queue(void **state)
{
	const struct model_config config = {
		.vendor = *(enum model_vendor *)*state,
		.queue_log2 = 3,
	};
	struct device *device[40];
	struct domain *domain;
	struct machine m;
	unsigned int i;

	start_with(&m, &config, false);
	domain = machine_domain(&m, false, NULL);
	map(domain, IOVA, PA, PAGE);
	for (i = 0; i < 40; i++) {
		device[i] = machine_device(&m, 0, i, true);
		attach(domain, device[i], NONE);
		assert_int_equal(dma(device[i], NONE, IOVA), PA);
		machine_forget(&m);
	}
	unmap(domain, IOVA, PAGE);
	assert_int_equal(sent(&m, MODEL_ATC), 40);
	for (i = 0; i < 40; i++)
		assert_int_equal(dma(device[i], NONE, IOVA), 0);
	for (i = 0; i < 40; i++) {
		machine_forget(&m);
		device_remove(device[i]);
	}
	domain_free(domain);
	machine_exit(&m);
}

static void flush_waits_for_slow_hardware(void **state)
{
	const struct model_config config = {
		.vendor = *(enum model_vendor *)*state,
		.threaded = true,
	};
	struct device *device[2];
	struct domain *domain;
	struct machine m;
	int i;

	start_with(&m, &config, false);
	domain = machine_domain(&m, false, NULL);
	map(domain, IOVA, PA, PAGE);
	for (i = 0; i < 2; i++) {
		model_set_log(m.hw[i], NULL, NULL);
		device[i] = machine_device(&m, i, 1, true);
		attach(domain, device[i], NONE);
		assert_int_equal(dma(device[i], NONE, IOVA), PA);
		model_set_latency(m.hw[i], 5000000);
	}
	unmap(domain, IOVA, PAGE);
	for (i = 0; i < 2; i++) {
		assert_int_equal(dma(device[i], NONE, IOVA), 0);
		model_set_latency(m.hw[i], 0);
	}
	for (i = 0; i < 2; i++)
		device_remove(device[i]);
	domain_free(domain);
	machine_exit(&m);
}

/*
 * Nests and PASIDs
 */

struct nest {
	struct machine m;
	struct domain *parent, *s1[2];
	struct device *device[4], *plain;
	unsigned int own;		/* the IOMMU that @plain is behind */
};

/*
 * Two nests on one parent, each with a device behind both IOMMUs, and one device on the
 * parent itself, behind the IOMMU that is sent to last; @ats: all of them.
 */
static void start_nest(struct nest *n, void **state, bool ats)
{
	unsigned int i;

	start(&n->m, state);
	n->parent = machine_domain(&n->m, false, NULL);
	map(n->parent, IPA, PA, 4 * PAGE);
	for (i = 0; i < 2; i++) {
		n->s1[i] = machine_domain(&n->m, true, n->parent);
		map(n->s1[i], IOVA, IPA, 4 * PAGE);
	}
	for (i = 0; i < 4; i++) {
		n->device[i] = machine_device(&n->m, i % 2, i, ats);
		attach(n->s1[i / 2], n->device[i], NONE);
		assert_int_equal(dma(n->device[i], NONE, IOVA), PA);
		assert_int_equal(dma(n->device[i], NONE, IOVA + PAGE), PA + PAGE);
	}
	/* The list goes by address. */
	n->own = n->m.iommu[0] < n->m.iommu[1];
	n->plain = machine_device(&n->m, n->own, 9, ats);
	attach(n->parent, n->plain, NONE);
	assert_int_equal(dma(n->plain, NONE, IPA), PA);
	assert_int_equal(dma(n->plain, NONE, IPA + PAGE), PA + PAGE);
}

static void end_nest(struct nest *n)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		device_remove(n->device[i]);
	device_remove(n->plain);
	for (i = 0; i < 2; i++)
		domain_free(n->s1[i]);
	domain_free(n->parent);
	machine_exit(&n->m);
}

static void check_parent_unmap(void **state, bool ats)
{
	unsigned int i, expected;
	struct nest n;

	start_nest(&n, state, ats);
	machine_forget(&n.m);
	unmap(n.parent, IPA, PAGE);
	for (i = 0; i < 4; i++)
		assert_int_equal(dma(n.device[i], NONE, IOVA), 0);
	assert_int_equal(dma(n.plain, NONE, IPA), 0);
	assert_nothing_stale(&n.m);

	/* The parent's own tag behind one IOMMU, the nests' behind both. */
	expected = 1 + (nests_have_groups(&n.m) ? 4 : 2);
	assert_int_equal(groups(n.parent), expected);
	assert_int_equal(sent(&n.m, MODEL_IOTLB), expected);
	assert_int_equal(sent(&n.m, MODEL_ATC), ats ? 5 : 0);
	assert_int_equal(sent(&n.m, MODEL_SYNC),
			 2 * (ats ? phases[n.m.driver->vendor] : 1));
	end_nest(&n);
}

static void pitfall_01_parent_unmap_reaches_nests(void **state)
{
	check_parent_unmap(state, false);
	check_parent_unmap(state, true);
}

/* No range command has room for the whole space: it takes as many commands as a page. */
static void pitfall_28_whole_space_of_a_parent(void **state)
{
	struct gather gather = { 0 };
	unsigned int i;
	struct nest n;

	start_nest(&n, state, true);
	assert_int_equal(domain_unmap(n.parent, IPA, PAGE, &gather), 0);
	machine_forget(&n.m);
	assert_int_equal(domain_sync_all(n.parent, &gather), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(dma(n.device[i], NONE, IOVA), 0);
	assert_int_equal(dma(n.plain, NONE, IPA), 0);
	assert_nothing_stale(&n.m);
	assert_int_equal(sent(&n.m, MODEL_IOTLB), groups(n.parent));
	assert_int_equal(sent(&n.m, MODEL_ATC), 5);
	end_nest(&n);
}

static void pitfall_01_oracle_fires_if_nests_are_missed(void **state)
{
	struct nest n;

	start_nest(&n, state, false);
	/* Behind the other IOMMU there are nests only. */
	model_withhold(n.m.hw[!n.own], MODEL_IOTLB, 4);
	unmap(n.parent, IPA, PAGE);
	assert_true(dma_is_stale(n.device[!n.own], IOVA));
	model_withhold(n.m.hw[!n.own], MODEL_IOTLB, 0);
	end_nest(&n);
}

static void nest_unmap_leaves_its_siblings_alone(void **state)
{
	unsigned int i;
	struct nest n;

	start_nest(&n, state, true);
	machine_forget(&n.m);
	unmap(n.s1[0], IOVA, PAGE);
	for (i = 0; i < 4; i++)
		assert_int_equal(dma(n.device[i], NONE, IOVA), i < 2 ? 0 : PA);
	assert_int_equal(sent(&n.m, MODEL_IOTLB), 2);
	assert_int_equal(sent(&n.m, MODEL_ATC), 2);
	assert_int_equal(dma_source(n.device[2], NONE, IOVA), MODEL_FROM_ATC);
	assert_nothing_stale(&n.m);
	end_nest(&n);
}

/* One parameter of a nested device's command must not leak into the next one. */
static void pitfall_24_whole_atc_for_nested_devices_only(void **state)
{
	struct nest n;

	start_nest(&n, state, true);
	unmap(n.parent, IPA, PAGE);
	assert_int_equal(dma_source(n.plain, NONE, IPA + PAGE), MODEL_FROM_ATC);
	assert_int_not_equal(dma_source(n.device[0], NONE, IOVA + PAGE),
			     MODEL_FROM_ATC);
	end_nest(&n);
}

static void pitfall_11_nest_is_on_both_lists_or_on_neither(void **state)
{
	struct domain *parent, *s1;
	struct device *device;
	unsigned long nth, live;
	struct machine m;
	int ret;

	start(&m, state);
	parent = machine_domain(&m, false, NULL);
	s1 = machine_domain(&m, true, parent);
	device = machine_device(&m, 0, 1, true);
	map(parent, IPA, PA, PAGE);
	map(s1, IOVA, IPA, PAGE);
	live = shim_live();
	for (nth = 1;; nth++) {
		machine_forget(&m);
		shim_fail_nth(nth);
		ret = domain_attach(s1, device, NONE);
		shim_fail_nth(0);
		if (!ret)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_true(iommu_attach_empty(&s1->alist));
		assert_true(iommu_attach_empty(&parent->alist));
		assert_null(device->attachments);
		assert_int_equal(m.nr_cmds, 0);
		shim_rcu_barrier();
		assert_int_equal(shim_live(), live);
		assert_int_equal(dma(device, NONE, IOVA), 0);
	}
	assert_true(nth > 3);
	assert_int_equal(attachments(s1), 1);
	assert_false(iommu_attach_empty(&parent->alist));
	assert_int_equal(dma(device, NONE, IOVA), PA);

	domain_detach(device, NONE);
	assert_true(iommu_attach_empty(&s1->alist));
	assert_true(iommu_attach_empty(&parent->alist));
	device_remove(device);
	domain_free(s1);
	domain_free(parent);
	machine_exit(&m);
}

/*
 * A domain under two PASIDs, another one for requests without: what is said about one
 * is not taken for the other.
 */
static void pitfall_09_pasids_get_commands_of_their_own(void **state)
{
	struct domain *domain, *other;
	struct device *device;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, true, NULL);
	other = machine_domain(&m, true, NULL);
	device = machine_device(&m, 0, 1, true);
	map(domain, IOVA, PA, PAGE);
	map(other, IOVA, PA2, PAGE);
	attach(other, device, NONE);
	attach(domain, device, 5);
	attach(domain, device, 6);
	assert_int_equal(dma(device, NONE, IOVA), PA2);
	assert_int_equal(dma(device, 5, IOVA), PA);
	assert_int_equal(dma(device, 6, IOVA), PA);

	machine_forget(&m);
	unmap(domain, IOVA, PAGE);
	assert_int_equal(dma(device, 5, IOVA), 0);
	assert_int_equal(dma(device, 6, IOVA), 0);
	assert_int_equal(dma_source(device, NONE, IOVA), MODEL_FROM_ATC);
	assert_int_equal(sent(&m, MODEL_IOTLB), tags_have_pasids(&m) ? 2 : 1);
	assert_int_equal(sent(&m, MODEL_ATC), 2);
	assert_nothing_stale(&m);

	/* One of them goes; what it shared with the other does not. */
	map(domain, IOVA, PA, PAGE);
	assert_int_equal(dma(device, 5, IOVA), PA);
	assert_int_equal(dma(device, 6, IOVA), PA);
	domain_detach(device, 5);
	assert_int_equal(dma(device, 5, IOVA), 0);
	machine_forget(&m);
	unmap(domain, IOVA, PAGE);
	assert_int_equal(dma(device, 6, IOVA), 0);
	assert_int_equal(sent(&m, MODEL_ATC), 1);

	device_remove(device);
	domain_free(domain);
	domain_free(other);
	machine_exit(&m);
}

/*
 * VT-d and AMD: entries of a nest carry the PASID, but a change of the parent is flushed
 * by the nest's number alone.
 */
static void nest_under_two_pasids_is_one_group_of_its_parent(void **state)
{
	struct domain *parent, *s1;
	struct device *device;
	struct machine m;

	start(&m, state);
	parent = machine_domain(&m, false, NULL);
	s1 = machine_domain(&m, true, parent);
	device = machine_device(&m, 0, 1, true);
	map(parent, IPA, PA, PAGE);
	map(s1, IOVA, IPA, PAGE);
	attach(s1, device, 5);
	attach(s1, device, 6);
	assert_int_equal(dma(device, 5, IOVA), PA);
	assert_int_equal(dma(device, 6, IOVA), PA);
	assert_int_equal(groups(s1), 2);
	assert_int_equal(groups(parent), 1);

	machine_forget(&m);
	unmap(parent, IPA, PAGE);
	assert_classes(&m, "TAAS");
	assert_int_equal(dma(device, 5, IOVA), 0);
	assert_int_equal(dma(device, 6, IOVA), 0);

	device_remove(device);
	domain_free(s1);
	domain_free(parent);
	machine_exit(&m);
}

/* What an S1 table gives is translated by one of S2, and by nothing else. */
static void parent_is_second_stage(void **state)
{
	struct domain *s1, *s2, *nest;
	struct machine m;

	start(&m, state);
	s1 = machine_domain(&m, true, NULL);
	s2 = machine_domain(&m, false, NULL);
	nest = machine_domain(&m, true, s2);
	assert_null(domain_alloc(m.driver, 4, true, s1));
	assert_null(domain_alloc(m.driver, 4, true, nest));
	domain_free(nest);
	nest = machine_domain(&m, false, s2);
	assert_null(domain_alloc(m.driver, 4, true, nest));
	domain_free(nest);
	domain_free(s2);
	domain_free(s1);
	machine_exit(&m);
}

static void pitfall_05_two_tags_on_one_iommu(void **state)
{
	struct nest n;

	start_nest(&n, state, false);
	/* Devices 0 and 2: two nests behind IOMMU 0. */
	unmap(n.parent, IPA, 2 * PAGE);
	assert_int_equal(dma(n.device[0], NONE, IOVA), 0);
	assert_int_equal(dma(n.device[2], NONE, IOVA + PAGE), 0);
	unmap(n.s1[1], IOVA + 2 * PAGE, PAGE);
	assert_int_equal(dma(n.device[0], NONE, IOVA + 2 * PAGE), PA + 2 * PAGE);
	assert_int_equal(dma(n.device[2], NONE, IOVA + 2 * PAGE), 0);
	assert_nothing_stale(&n.m);
	end_nest(&n);
}

/*
 * ATS
 */

static void pitfall_04_device_without_ats_hides_no_sibling(void **state)
{
	struct device *without, *with;
	struct domain *domain;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	map(domain, IOVA, PA, PAGE);
	without = machine_device(&m, 0, 1, false);
	with = machine_device(&m, 0, 2, true);
	attach(domain, without, NONE);
	attach(domain, with, NONE);
	assert_int_equal(dma(with, NONE, IOVA), PA);
	machine_forget(&m);
	unmap(domain, IOVA, PAGE);
	assert_int_equal(sent(&m, MODEL_ATC), 1);
	assert_int_equal(dma(with, NONE, IOVA), 0);

	device_remove(with);
	device_remove(without);
	domain_free(domain);
	machine_exit(&m);
}

struct hook {
	struct machine *m;
	enum model_class class;		/* what it waits for, once */
	void (*fn)(struct hook *hook);
	bool done;
	bool filled;			/* the ATC, with what was about to go */
	struct domain *domain;
	struct device *device;
};

static void hook_log(struct model_iommu *hw, enum model_class class,
		     const uint64_t *cmd, void *arg)
{
	struct hook *hook = arg;

	machine_log(hw, class, cmd, hook->m);
	if (class != hook->class || hook->done)
		return;
	hook->done = true;
	hook->fn(hook);
}

static void *enable_and_fill(void *arg)
{
	struct hook *hook = arg;

	/* The device's IOTLB command is still to come: the ATC gets what it will drop. */
	hook->filled = !device_ats_enable(hook->device) &&
		       dma_is_stale(hook->device, IOVA) &&
		       model_cached(hook->device->iommu->hw, MODEL_FROM_ATC) > 0;
	return NULL;
}

/* The flush is inside an RCU section, where enabling may not sleep: a thread can. */
static void enable_elsewhere(struct hook *hook)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, enable_and_fill, hook), 0);
	pthread_join(thread, NULL);
}

static void check_ats_during_unmap(void **state, unsigned int already)
{
	struct hook hook = { .class = MODEL_IOTLB, .fn = enable_elsewhere };
	struct device *before, *sibling = NULL;
	unsigned int first;
	struct machine m;

	start(&m, state);
	hook.m = &m;
	hook.domain = machine_domain(&m, false, NULL);
	/*
	 * IOMMUs are sent to in the order of their addresses. The first one executes
	 * its IOTLB command while nothing has been sent to the other.
	 */
	first = m.iommu[0] < m.iommu[1] ? 0 : 1;
	before = machine_device(&m, first, 3, false);
	hook.device = device_probe(m.iommu[!first], 1, true);
	assert_non_null(hook.device);
	if (already)
		sibling = machine_device(&m, !first, 2, true);
	map(hook.domain, IOVA, PA, PAGE);
	attach(hook.domain, before, NONE);
	attach(hook.domain, hook.device, NONE);
	if (sibling)
		attach(hook.domain, sibling, NONE);
	assert_int_equal(dma(hook.device, NONE, IOVA), PA);

	machine_forget(&m);
	model_set_log(m.hw[first], hook_log, &hook);
	unmap(hook.domain, IOVA, PAGE);
	assert_true(hook.filled);
	assert_int_equal(dma(hook.device, NONE, IOVA), 0);
	/* And the sibling is not sent to twice. */
	assert_int_equal(sent(&m, MODEL_ATC), 1 + already);

	device_remove(before);
	device_remove(hook.device);
	if (sibling)
		device_remove(sibling);
	domain_free(hook.domain);
	machine_exit(&m);
}

static void pitfall_03_ats_enabled_between_iotlb_and_atc_part(void **state)
{
	check_ats_during_unmap(state, 0);
	check_ats_during_unmap(state, 1);
}

static void is_target(struct hook *hook)
{
	hook->filled = targets(hook->domain) == 1;
}

/* The context entry says that the IOMMU answers translation requests. */
static void pitfall_03_list_knows_before_ats_is_let_through(void **state)
{
	struct hook hook = { .class = MODEL_CONFIG, .fn = is_target };
	struct machine m;

	start(&m, state);
	hook.m = &m;
	hook.domain = machine_domain(&m, false, NULL);
	hook.device = device_probe(m.iommu[0], 1, true);
	assert_non_null(hook.device);
	attach(hook.domain, hook.device, NONE);
	model_set_log(m.hw[0], hook_log, &hook);
	assert_int_equal(device_ats_enable(hook.device), 0);
	assert_true(hook.done);
	assert_true(hook.filled);

	device_remove(hook.device);
	domain_free(hook.domain);
	machine_exit(&m);
}

static struct domain *domain_at_barrier;

static void unmap_at_barrier(void)
{
	shim_mb_hook = NULL;
	unmap(domain_at_barrier, IOVA, PAGE);
}

/* An unmap that begins as soon as the list knows finds a device that answers. */
static void pitfall_14_ats_is_on_before_the_list_knows(void **state)
{
	struct device *device;
	struct machine m;

	start(&m, state);
	domain_at_barrier = machine_domain(&m, false, NULL);
	device = device_probe(m.iommu[0], 1, true);
	assert_non_null(device);
	attach(domain_at_barrier, device, NONE);
	map(domain_at_barrier, IOVA, PA, PAGE);
	machine_forget(&m);
	shim_mb_hook = unmap_at_barrier;
	assert_int_equal(device_ats_enable(device), 0);
	assert_null(shim_mb_hook);
	assert_int_equal(sent(&m, MODEL_ATC), 1);

	/* A command that met a device without ATS timed out: machine_exit() looks. */
	device_remove(device);
	domain_free(domain_at_barrier);
	machine_exit(&m);
}

static void ats_can_go_on_and_off_while_attached(void **state)
{
	struct domain *domain;
	struct device *device;
	struct machine m;
	int i;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	device = device_probe(m.iommu[0], 1, true);
	assert_non_null(device);
	attach(domain, device, NONE);
	for (i = 0; i < 3; i++) {
		map(domain, IOVA, PA, PAGE);
		assert_int_equal(device_ats_enable(device), 0);
		assert_int_equal(device_ats_enable(device), 0);
		assert_int_equal(targets(domain), 1);
		assert_int_equal(dma(device, NONE, IOVA), PA);
		assert_int_equal(dma_source(device, NONE, IOVA), MODEL_FROM_ATC);
		unmap(domain, IOVA, PAGE);
		assert_int_equal(dma(device, NONE, IOVA), 0);

		map(domain, IOVA, PA, PAGE);
		assert_int_equal(dma(device, NONE, IOVA), PA);
		device_ats_disable(device);
		assert_int_equal(targets(domain), 0);
		assert_int_not_equal(dma_source(device, NONE, IOVA), MODEL_FROM_ATC);
		machine_forget(&m);
		unmap(domain, IOVA, PAGE);
		assert_int_equal(sent(&m, MODEL_ATC), 0);
		assert_int_equal(dma(device, NONE, IOVA), 0);
	}
	device_remove(device);
	domain_free(domain);
	machine_exit(&m);
}

static void ats_needs_a_device_that_can(void **state)
{
	struct alone one;

	start_alone(&one, state, false);
	assert_int_equal(device_ats_enable(one.device), -ENODEV);
	assert_int_equal(targets(one.domain), 0);
	stop_alone(&one);
}

/* What attach and enable put on the list leaves it, whatever the device is like today. */
static void pitfall_13_ats_off_before_detach_leaves_no_target(void **state)
{
	struct device *device, *other;
	struct domain *domain;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	device = machine_device(&m, 0, 1, true);
	other = machine_device(&m, 0, 2, false);
	attach(domain, device, NONE);
	attach(domain, other, NONE);
	device_ats_disable(device);
	domain_detach(device, NONE);
	assert_int_equal(targets(domain), 0);
	device_remove(device);

	map(domain, IOVA, PA, PAGE);
	machine_forget(&m);
	unmap(domain, IOVA, PAGE);
	assert_int_equal(sent(&m, MODEL_ATC), 0);

	device_remove(other);
	domain_free(domain);
	machine_exit(&m);
}

static void enomem_in_ats_enable_leaves_no_trace(void **state)
{
	struct domain *domain, *second, *parent, *s1;
	struct device *device, *nested;
	unsigned long nth;
	struct machine m;
	int ret;

	start(&m, state);
	domain = machine_domain(&m, true, NULL);
	second = machine_domain(&m, true, NULL);
	parent = machine_domain(&m, false, NULL);
	s1 = machine_domain(&m, true, parent);
	device = device_probe(m.iommu[0], 1, true);
	nested = device_probe(m.iommu[0], 2, true);
	assert_non_null(device);
	assert_non_null(nested);
	attach(domain, device, NONE);
	attach(second, device, 5);
	attach(domain, device, 6);
	attach(s1, nested, NONE);
	for (nth = 1;; nth++) {
		shim_fail_nth(nth);
		ret = device_ats_enable(device);
		shim_fail_nth(0);
		if (!ret)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_false(device->ats);
		assert_false(model_dev_ats(device->hw));
		assert_int_equal(targets(domain) + targets(second), 0);
	}
	assert_true(nth > 2);
	assert_int_equal(targets(domain), 2);
	assert_int_equal(targets(second), 1);
	for (nth = 1;; nth++) {
		shim_fail_nth(nth);
		ret = device_ats_enable(nested);
		shim_fail_nth(0);
		if (!ret)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(targets(s1) + targets(parent), 0);
	}
	assert_true(nth > 2);
	assert_int_equal(targets(s1), 1);
	assert_int_equal(targets(parent), 1);

	device_remove(device);
	device_remove(nested);
	domain_free(s1);
	domain_free(parent);
	domain_free(second);
	domain_free(domain);
	machine_exit(&m);
}

/*
 * Attach, replace, detach
 */

static void detach_blocks(void **state)
{
	struct domain *domain;
	struct device *device;
	struct machine m;
	int ats;

	start(&m, state);
	for (ats = 0; ats < 2; ats++) {
		domain = machine_domain(&m, false, NULL);
		device = machine_device(&m, 0, 1, ats);
		map(domain, IOVA, PA, PAGE);
		attach(domain, device, NONE);
		assert_int_equal(dma(device, NONE, IOVA), PA);
		domain_detach(device, NONE);
		assert_int_equal(dma(device, NONE, IOVA), 0);
		assert_nothing_stale(&m);
		/* Once more is no fault. */
		domain_detach(device, NONE);
		device_remove(device);
		domain_free(domain);
	}
	machine_exit(&m);
}

static void oracle_fires_without_config_command(void **state)
{
	struct domain *domain;
	struct device *device;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	device = machine_device(&m, 0, 1, false);
	map(domain, IOVA, PA, PAGE);
	attach(domain, device, NONE);
	assert_int_equal(dma(device, NONE, IOVA), PA);
	model_withhold(m.hw[0], MODEL_CONFIG, 1);
	domain_detach(device, NONE);
	assert_true(dma_is_stale(device, IOVA));
	device_remove(device);
	domain_free(domain);
	machine_exit(&m);
}

/* With all of them the number of an S1 domain is in the lower half, the rest above. */
static u64 tag_on(struct domain *domain, struct iommu_device *iommu)
{
	u64 tag;

	assert_int_equal(iommu_attach_find_tag(&domain->alist, iommu, &tag), 0);
	return tag;
}

static void check_tag_reuse(void **state, bool first_stage, uint32_t pasid,
			    bool withhold)
{
	struct domain *old, *new;
	struct model_access access;
	struct device *device;
	struct machine m;
	u64 tag;

	start(&m, state);
	device = machine_device(&m, 0, 1, false);
	old = machine_domain(&m, first_stage, NULL);
	new = machine_domain(&m, first_stage, NULL);
	map(old, IOVA, PA, PAGE);
	map(new, IOVA, PA2, PAGE);
	attach(old, device, pasid);
	tag = tag_on(old, m.iommu[0]);
	assert_int_equal(dma(device, pasid, IOVA), PA);

	machine_forget(&m);
	if (withhold)
		model_withhold(m.hw[0], MODEL_IOTLB, 1);
	domain_detach(device, pasid);
	assert_int_equal(sent(&m, MODEL_IOTLB), !withhold);
	domain_free(old);

	attach(new, device, pasid);
	assert_int_equal(tag_on(new, m.iommu[0]), tag);
	if (withhold) {
		assert_false(model_dma(device->hw,
				       pasid == NONE ? MODEL_NO_PASID : pasid, IOVA,
				       false, &access));
	} else {
		assert_int_equal(dma(device, pasid, IOVA), PA2);
		assert_nothing_stale(&m);
	}
	device_remove(device);
	domain_free(new);
	machine_exit(&m);
}

static void pitfall_10_tag_is_clean_before_it_is_used_again(void **state)
{
	check_tag_reuse(state, false, NONE, false);
	check_tag_reuse(state, true, NONE, false);
	check_tag_reuse(state, true, 5, false);
}

static void pitfall_10_oracle_fires_if_the_tag_is_dirty(void **state)
{
	check_tag_reuse(state, false, NONE, true);
	check_tag_reuse(state, true, 5, true);
}

/* Walks for a nest leave entries of the second stage behind, too. */
static void pitfall_10_tag_of_a_nest_is_clean_of_both_stages(void **state)
{
	const uint64_t pa[] = { PA, PA2 };
	struct domain *parent, *nest;
	struct device *device;
	struct machine m;
	unsigned int i;
	u64 tag[2];

	start(&m, state);
	device = machine_device(&m, 0, 1, false);
	for (i = 0; i < 2; i++) {
		parent = machine_domain(&m, false, NULL);
		nest = machine_domain(&m, true, parent);
		map(parent, IPA, pa[i], PAGE);
		map(nest, IOVA, IPA, PAGE);
		attach(nest, device, NONE);
		tag[i] = tag_on(nest, m.iommu[0]);
		assert_int_equal(dma(device, NONE, IOVA), pa[i]);
		assert_nothing_stale(&m);
		domain_detach(device, NONE);
		domain_free(nest);
		domain_free(parent);
	}
	assert_int_equal(tag[0], tag[1]);
	device_remove(device);
	machine_exit(&m);
}

/* Under another PASID, or in another nest, a tag may go while its number stays. */
static void pitfall_10_tag_of_one_pasid_is_clean_when_it_comes_back(void **state)
{
	struct domain *domain, *other;
	struct device *device;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, true, NULL);
	other = machine_domain(&m, true, NULL);
	device = machine_device(&m, 0, 1, false);
	map(domain, IOVA, PA, PAGE);
	attach(domain, device, 5);
	attach(domain, device, 6);
	assert_int_equal(dma(device, 5, IOVA), PA);
	domain_detach(device, 5);

	/* No tag of the domain is free while PASID 6 is attached. */
	attach(other, device, 5);
	assert_int_not_equal(tag_on(other, m.iommu[0]) & UINT32_MAX,
			     tag_on(domain, m.iommu[0]) & UINT32_MAX);
	assert_int_equal(dma(device, 5, IOVA), 0);
	domain_detach(device, 5);

	unmap(domain, IOVA, PAGE);
	map(domain, IOVA, PA2, PAGE);
	attach(domain, device, 5);
	assert_int_equal(dma(device, 5, IOVA), PA2);
	assert_nothing_stale(&m);

	device_remove(device);
	domain_free(other);
	domain_free(domain);
	machine_exit(&m);
}

static void wished_tag_is_given(void **state)
{
	struct domain *domain, *other;
	struct device *device[2];
	struct machine m;
	u64 tag[2];

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	other = machine_domain(&m, false, NULL);
	device[0] = machine_device(&m, 0, 1, false);
	device[1] = machine_device(&m, 0, 2, false);
	domain->wish_tag = 77;
	other->wish_tag = 77;
	attach(domain, device[0], NONE);
	attach(other, device[1], NONE);
	tag[0] = tag_on(domain, m.iommu[0]);
	tag[1] = tag_on(other, m.iommu[0]);
	/* Some have it shifted to where commands have it. */
	assert_true(tag[0] == 77 || (tag[0] >> 44 & 0xffff) == 77);
	assert_true(tag[1] == 78 || (tag[1] >> 44 & 0xffff) == 78);

	device_remove(device[0]);
	device_remove(device[1]);
	domain_free(domain);
	domain_free(other);
	machine_exit(&m);
}

static void pitfall_14_silence_after_detach(void **state)
{
	struct device *gone, *stays;
	struct domain *domain;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, true, NULL);
	gone = machine_device(&m, 0, 1, true);
	stays = machine_device(&m, 0, 2, true);
	attach(domain, gone, NONE);
	attach(domain, gone, 5);
	attach(domain, stays, NONE);
	map(domain, IOVA, PA, PAGE);
	assert_int_equal(dma(gone, NONE, IOVA), PA);
	assert_int_equal(dma(gone, 5, IOVA), PA);
	assert_int_equal(dma(stays, NONE, IOVA), PA);

	/* Unplugged: a command for it would time out, machine_exit() looks for that. */
	device_remove(gone);
	machine_forget(&m);
	unmap(domain, IOVA, PAGE);
	assert_int_equal(sent(&m, MODEL_ATC), 1);
	assert_int_equal(dma(stays, NONE, IOVA), 0);

	device_remove(stays);
	domain_free(domain);
	machine_exit(&m);
}

struct removal {
	void (*remove)(struct device *device);	/* from the list's ATC targets */
	struct domain *domain;
	struct device *device;
	enum model_class during;
	pthread_t thread;
	bool unlisted, removed;		/* seen while the flush was running */
	bool returned;
};

static void *remove_device(void *arg)
{
	struct removal *removal = arg;

	removal->remove(removal->device);
	__atomic_store_n(&removal->returned, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Runs inside the flush: the device goes, and has to wait for just this. */
static void remove_meanwhile(struct model_iommu *hw __attribute__((unused)),
			     enum model_class class,
			     const uint64_t *cmd __attribute__((unused)), void *arg)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	struct removal *removal = arg;
	struct iommu_attach_list *alist = &removal->domain->alist;
	int ticks;

	if (class != removal->during)
		return;
	if (pthread_create(&removal->thread, NULL, remove_device, removal))
		return;
	for (ticks = 0; ticks < 10000 && READ_ONCE(alist->nr_atc) > 1; ticks++)
		nanosleep(&tick, NULL);
	removal->unlisted = READ_ONCE(alist->nr_atc) == 1;
	for (ticks = 0; ticks < 50; ticks++)
		nanosleep(&tick, NULL);
	removal->removed = __atomic_load_n(&removal->returned, __ATOMIC_ACQUIRE);
}

static void check_removal(void **state, void (*remove)(struct device *device))
{
	struct removal removal = { .remove = remove };
	struct domain *domain;
	struct device *stays;
	struct machine m;
	unsigned int last;

	start(&m, state);
	/* The list goes by address. */
	last = m.iommu[0] < m.iommu[1];
	/*
	 * The flush has sent to the other IOMMU when the last one gets its first command of the
	 * phase that ATC commands are in: with the IOTLB commands, or after them.
	 */
	removal.during = phases[m.driver->vendor] == 1 ? MODEL_IOTLB : MODEL_ATC;
	domain = machine_domain(&m, false, NULL);
	removal.domain = domain;
	stays = machine_device(&m, last, 1, true);
	removal.device = machine_device(&m, !last, 2, true);
	attach(domain, stays, NONE);
	attach(domain, removal.device, NONE);
	map(domain, IOVA, PA, PAGE);
	assert_int_equal(dma(removal.device, NONE, IOVA), PA);

	model_set_log(m.hw[last], remove_meanwhile, &removal);
	model_set_log(m.hw[!last], NULL, NULL);
	unmap(domain, IOVA, PAGE);
	model_set_log(m.hw[last], NULL, NULL);
	assert_true(removal.unlisted);
	assert_false(removal.removed);
	pthread_join(removal.thread, NULL);
	assert_true(removal.returned);

	if (remove != device_remove)
		device_remove(removal.device);
	device_remove(stays);
	domain_free(domain);
	machine_exit(&m);
}

static void detach_device(struct device *device)
{
	domain_detach(device, NONE);
}

static void pitfall_14_nothing_goes_while_a_flush_may_know_it(void **state)
{
	check_removal(state, device_remove);
	check_removal(state, detach_device);
	check_removal(state, device_ats_disable);
}

static void reset_device(struct device *device)
{
	device_reset(device);
}

/* What begins a reset has waited for the flushes that may still send to the device. */
static void pitfall_40_reset_waits_for_flushes(void **state)
{
	check_removal(state, reset_device);
}

static uint64_t queued(struct iommu_device *iommu)
{
	uint64_t tail;

	pthread_mutex_lock(&iommu->lock);
	tail = iommu->tail;
	pthread_mutex_unlock(&iommu->lock);
	return tail;
}

static void *unmap_page(void *arg)
{
	struct gather gather = { 0 };

	domain_unmap(arg, IOVA, PAGE, &gather);
	domain_sync(arg, &gather);
	return NULL;
}

/* Until the driver has queued more than @tail; a while at most. */
static uint64_t queued_beyond(struct iommu_device *iommu, uint64_t tail)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	int i;

	for (i = 0; i < 200 && queued(iommu) == tail; i++)
		nanosleep(&tick, NULL);
	return queued(iommu);
}

struct unmapping {
	struct iommu_device *iommu;
	struct domain *domain;
	pthread_t thread;
	bool started;
};

/* Runs on the hardware's thread, and goes on when an unmap is queued. */
static void unmap_meanwhile(struct model_iommu *hw __attribute__((unused)),
			    enum model_class class,
			    const uint64_t *cmd __attribute__((unused)), void *arg)
{
	struct unmapping *unmapping = arg;
	uint64_t tail;

	if (class != MODEL_CONFIG || unmapping->started)
		return;
	unmapping->started = true;
	tail = queued(unmapping->iommu);
	if (!pthread_create(&unmapping->thread, NULL, unmap_page, unmapping->domain))
		queued_beyond(unmapping->iommu, tail);
}

/*
 * The unmap is queued when the first of two context entries has been written, so the
 * device is sent to before the second one is.
 */
static void pitfall_14_device_answers_what_comes_when_ats_goes_on(void **state)
{
	const struct model_config config = {
		.vendor = *(enum model_vendor *)*state,
		.threaded = true,
	};
	struct unmapping unmapping = { 0 };
	struct device *device;
	struct machine m;

	start_with(&m, &config, false);
	model_set_log(m.hw[0], NULL, NULL);
	unmapping.iommu = m.iommu[0];
	unmapping.domain = machine_domain(&m, true, NULL);
	device = device_probe(m.iommu[0], 1, true);
	assert_non_null(device);
	attach(unmapping.domain, device, NONE);
	attach(unmapping.domain, device, 5);
	map(unmapping.domain, IOVA, PA, PAGE);

	model_set_log(m.hw[0], unmap_meanwhile, &unmapping);
	assert_int_equal(device_ats_enable(device), 0);
	model_set_log(m.hw[0], NULL, NULL);
	assert_true(unmapping.started);
	pthread_join(unmapping.thread, NULL);

	/* A command that met a device without ATS timed out: machine_exit() looks. */
	assert_int_equal(dma(device, NONE, IOVA), 0);
	device_remove(device);
	domain_free(unmapping.domain);
	machine_exit(&m);
}

struct waiter {
	struct domain *domain;
	bool returned;
};

static void *unmap_and_tell(void *arg)
{
	struct waiter *waiter = arg;

	unmap_page(waiter->domain);
	__atomic_store_n(&waiter->returned, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Half of the numbers of completion waits are used up, and most words never were used. */
static void completion_waits_are_told_apart_after_2_31(void **state)
{
	const struct timespec while_paused = { .tv_nsec = 50000000 };
	struct waiter waiter = { 0 };
	struct device *device;
	struct machine m;
	pthread_t thread;

	start(&m, state);
	m.iommu[0]->head += (UINT64_C(1) << 31) + 1024;
	m.iommu[0]->tail += (UINT64_C(1) << 31) + 1024;
	waiter.domain = machine_domain(&m, false, NULL);
	device = machine_device(&m, 0, 1, false);
	attach(waiter.domain, device, NONE);
	map(waiter.domain, IOVA, PA, PAGE);
	assert_int_equal(dma(device, NONE, IOVA), PA);

	model_pause(m.hw[0], true);
	assert_int_equal(pthread_create(&thread, NULL, unmap_and_tell, &waiter), 0);
	nanosleep(&while_paused, NULL);
	assert_false(__atomic_load_n(&waiter.returned, __ATOMIC_ACQUIRE));
	model_pause(m.hw[0], false);
	pthread_join(thread, NULL);
	assert_int_equal(dma(device, NONE, IOVA), 0);

	device_remove(device);
	domain_free(waiter.domain);
	machine_exit(&m);
}

static void *turn_ats_off(void *arg)
{
	device_ats_disable(arg);
	return NULL;
}

static void pitfall_14_device_answers_what_is_in_flight_when_ats_goes_off(void **state)
{
	pthread_t unmapper, disabler;
	struct iommu_device *iommu;
	struct domain *domain;
	struct device *device;
	struct machine m;
	uint64_t tail;

	start(&m, state);
	iommu = m.iommu[0];
	domain = machine_domain(&m, false, NULL);
	device = machine_device(&m, 0, 1, true);
	attach(domain, device, NONE);
	map(domain, IOVA, PA, PAGE);
	assert_int_equal(dma(device, NONE, IOVA), PA);

	/* The hardware executes nothing while both queue all that they can. */
	model_pause(m.hw[0], true);
	tail = queued(iommu);
	assert_int_equal(pthread_create(&unmapper, NULL, unmap_page, domain), 0);
	tail = queued_beyond(iommu, tail);
	assert_int_equal(pthread_create(&disabler, NULL, turn_ats_off, device), 0);
	queued_beyond(iommu, tail);
	model_pause(m.hw[0], false);
	pthread_join(unmapper, NULL);
	pthread_join(disabler, NULL);

	/* A command that met a device without ATS timed out: machine_exit() looks. */
	assert_int_equal(dma(device, NONE, IOVA), 0);
	device_remove(device);
	domain_free(domain);
	machine_exit(&m);
}

/*
 * As above, at the one moment that the queue's own order does not cover: the IOMMU
 * refuses the device's ATC already, and the list still has it.
 *
 *   unmap                                  ATS off
 *   -----                                  -------
 *   first IOMMU executes an ATC command
 *                                          the second one executes its last command
 *   reads the slot of the device
 *                                          the second one pauses
 *   queues an ATC command
 *                                          must wait here
 *   the second one goes on
 */
struct crossing {
	struct model_iommu *second;
	struct device *device;		/* behind it */
	pthread_t disabler;
	bool begun, refused, atc_cleaned;
	bool sent_to;			/* by the unmap, after that */
};

static void short_while(void)
{
	const struct timespec time = { .tv_nsec = 50000000 };

	nanosleep(&time, NULL);
}

static void wait_for(const bool *flag)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	int i;

	for (i = 0; i < 10000 && !__atomic_load_n(flag, __ATOMIC_ACQUIRE); i++)
		nanosleep(&tick, NULL);
}

static void cross_first(struct model_iommu *hw __attribute__((unused)),
			enum model_class class,
			const uint64_t *cmd __attribute__((unused)), void *arg)
{
	struct crossing *crossing = arg;

	if (class != MODEL_ATC || crossing->begun)
		return;
	__atomic_store_n(&crossing->begun, true, __ATOMIC_RELEASE);
	if (!pthread_create(&crossing->disabler, NULL, turn_ats_off, crossing->device))
		wait_for(&crossing->refused);
}

static void cross_second(struct model_iommu *hw, enum model_class class,
			 const uint64_t *cmd __attribute__((unused)), void *arg)
{
	struct crossing *crossing = arg;

	if (!__atomic_load_n(&crossing->begun, __ATOMIC_ACQUIRE))
		return;
	if (crossing->refused) {
		crossing->sent_to |= class == MODEL_ATC;
		return;
	}
	if (class == MODEL_ATC)
		crossing->atc_cleaned = true;
	if (class != MODEL_SYNC || !crossing->atc_cleaned)
		return;
	/* The driver holds the queue's lock here: the unmap stops at it. */
	__atomic_store_n(&crossing->refused, true, __ATOMIC_RELEASE);
	short_while();
	model_pause(hw, true);
}

static void pitfall_14_ats_goes_off_after_the_fence(void **state)
{
	struct crossing crossing = { 0 };
	struct domain *domain;
	struct device *device;
	struct machine m;
	pthread_t unmapper;
	bool stays_on;
	unsigned int first;
	uint64_t tail;

	start(&m, state);
	/* The list goes by address. */
	first = m.iommu[0] > m.iommu[1];
	domain = machine_domain(&m, false, NULL);
	device = machine_device(&m, first, 1, true);
	crossing.device = machine_device(&m, !first, 2, true);
	crossing.second = m.hw[!first];
	attach(domain, device, NONE);
	attach(domain, crossing.device, NONE);
	map(domain, IOVA, PA, PAGE);

	model_set_log(m.hw[first], cross_first, &crossing);
	model_set_log(m.hw[!first], cross_second, &crossing);
	assert_int_equal(pthread_create(&unmapper, NULL, unmap_page, domain), 0);
	wait_for(&crossing.refused);
	assert_true(crossing.refused);
	tail = queued(m.iommu[!first]);
	queued_beyond(m.iommu[!first], tail);
	short_while();
	stays_on = model_dev_ats(crossing.device->hw);
	model_pause(crossing.second, false);
	pthread_join(unmapper, NULL);
	pthread_join(crossing.disabler, NULL);
	/* An unmap that has no CPU for long reads the slot when the device is gone from it. */
	assert_true(stays_on || !crossing.sent_to);
	assert_false(model_dev_ats(crossing.device->hw));
	model_set_log(m.hw[first], NULL, NULL);
	model_set_log(m.hw[!first], NULL, NULL);

	device_remove(device);
	device_remove(crossing.device);
	domain_free(domain);
	machine_exit(&m);
}

static void pitfall_14_removal_costs_no_grace_period(void **state)
{
	unsigned long before;
	struct domain *domain;
	struct device *device;
	struct machine m;
	uint32_t pasid;

	start(&m, state);
	domain = machine_domain(&m, true, NULL);
	device = machine_device(&m, 0, 1, true);
	attach(domain, device, NONE);
	for (pasid = 5; pasid < 25; pasid++)
		attach(domain, device, pasid);
	before = shim_grace_periods();
	device_remove(device);
	assert_int_equal(shim_grace_periods() - before, 0);
	domain_free(domain);
	machine_exit(&m);
}

static void *leave(void *arg)
{
	detach_device(arg);
	return NULL;
}

/* A walk goes on from an attachment that was deleted; AddressSanitizer watches. */
static void pitfall_12_attachment_outlives_walks(void **state)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	struct iommu_attach_walk walk;
	struct attachment *pos;
	unsigned int n = 0;
	struct alone one;
	pthread_t thread;
	int i;

	start_alone(&one, state, false);

	iommu_attach_walk_begin(&walk, &one.domain->alist);
	iommu_attach_for_each_all(pos, &walk, elms.s1) {
		if (n++)
			continue;
		assert_int_equal(pthread_create(&thread, NULL, leave, one.device), 0);
		for (i = 0; i < 10000 && !iommu_attach_empty(&one.domain->alist); i++)
			nanosleep(&tick, NULL);
		/* What would be freed at once is freed by now. */
		short_while();
	}
	iommu_attach_walk_end(&walk);
	assert_int_equal(n, 1);
	pthread_join(thread, NULL);

	stop_alone(&one);
}

static void flush_another(struct hook *hook)
{
	unmap(hook->domain, IPA, PAGE);
}

/* A second flush begins and ends while the first one is between two IOMMUs. */
static void pitfall_16_batch_belongs_to_one_flush(void **state)
{
	struct hook hook = { .class = MODEL_IOTLB, .fn = flush_another };
	struct domain *domain;
	struct device *device[3];
	struct machine m;
	unsigned int first, i;

	start(&m, state);
	/* The list goes by address. */
	first = m.iommu[0] > m.iommu[1];
	hook.m = &m;
	domain = machine_domain(&m, false, NULL);
	hook.domain = machine_domain(&m, false, NULL);
	device[0] = machine_device(&m, first, 1, true);
	device[1] = machine_device(&m, !first, 2, true);
	device[2] = machine_device(&m, !first, 3, true);
	attach(domain, device[0], NONE);
	attach(domain, device[1], NONE);
	attach(hook.domain, device[2], NONE);
	map(domain, IOVA, PA, PAGE);
	map(hook.domain, IPA, PA, PAGE);
	assert_int_equal(dma(device[0], NONE, IOVA), PA);
	assert_int_equal(dma(device[1], NONE, IOVA), PA);
	assert_int_equal(dma(device[2], NONE, IPA), PA);

	model_set_log(m.hw[first], hook_log, &hook);
	unmap(domain, IOVA, PAGE);
	assert_true(hook.done);
	assert_int_equal(dma(device[0], NONE, IOVA), 0);
	assert_int_equal(dma(device[1], NONE, IOVA), 0);
	assert_int_equal(dma(device[2], NONE, IPA), 0);
	assert_nothing_stale(&m);

	for (i = 0; i < 3; i++)
		device_remove(device[i]);
	domain_free(domain);
	domain_free(hook.domain);
	machine_exit(&m);
}

/*
 * Who waits takes a lock for each look at the hardware, and may lose its CPU with it: a lock is
 * free most of the time, or hardly ever.
 */
static bool can_lock(pthread_mutex_t *mutex)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	int score = 0;

	while (score < 3 && score > -5000) {
		if (!pthread_mutex_trylock(mutex)) {
			pthread_mutex_unlock(mutex);
			score++;
		} else {
			score--;
		}
		nanosleep(&tick, NULL);
	}
	return score > 0;
}

static void pitfall_17_no_lock_is_held_in_a_wait(void **state)
{
	struct alone one;
	pthread_t thread;
	int i;

	start_alone(&one, state, false);
	map(one.domain, IOVA, PA, PAGE);

	model_pause(one.m.hw[0], true);
	assert_int_equal(pthread_create(&thread, NULL, unmap_page, one.domain), 0);
	/* Long enough to be in the wait: nothing ends it but this thread. */
	for (i = 0; i < 4; i++)
		short_while();
	assert_true(can_lock(&one.m.iommu[0]->lock));
	assert_true(can_lock(&one.domain->lock));
	assert_true(can_lock(&drv_tags));
	model_pause(one.m.hw[0], false);
	pthread_join(thread, NULL);

	stop_alone(&one);
}

/* The fault record that says so would fill up otherwise. */
static void oracle_fires_if_an_unplugged_device_is_sent_to(void **state)
{
	struct model_fault_record fault;
	struct domain *domain;
	struct device *device;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	device = machine_device(&m, 0, 1, true);
	attach(domain, device, NONE);
	map(domain, IOVA, PA, PAGE);
	/* Behind the driver's back. */
	model_dev_set_ats(device->hw, false);
	unmap(domain, IOVA, PAGE);
	assert_int_equal(model_faults(m.hw[0], &fault), 1);
	assert_int_equal(fault.fault, MODEL_ATC_TIMEOUT);
	model_dev_set_ats(device->hw, true);
	device_remove(device);
	domain_free(domain);

	iommu_remove(m.iommu[0]);
	iommu_remove(m.iommu[1]);
	model_iommu_destroy(m.hw[0]);
	model_iommu_destroy(m.hw[1]);
}

static void count_twins(struct hook *hook)
{
	assert_int_equal(attachments(hook->domain), 2);
	assert_int_equal(groups(hook->domain), 1);
	assert_int_equal(targets(hook->domain), 1);
}

static void pitfall_19_equal_attachments_stay_collapsed(void **state)
{
	struct hook hook = { .class = MODEL_CONFIG, .fn = count_twins };
	struct machine m;

	start(&m, state);
	hook.m = &m;
	hook.domain = machine_domain(&m, false, NULL);
	hook.device = machine_device(&m, 0, 1, true);
	map(hook.domain, IOVA, PA, PAGE);
	attach(hook.domain, hook.device, NONE);
	assert_int_equal(dma(hook.device, NONE, IOVA), PA);

	model_set_log(m.hw[0], hook_log, &hook);
	machine_forget(&m);
	attach(hook.domain, hook.device, NONE);
	assert_true(hook.done);
	/* The tag was never without a user; VT-d wants it flushed with any context entry. */
	assert_int_equal(sent(&m, MODEL_IOTLB), m.driver->vendor == MODEL_VTD);
	assert_int_equal(attachments(hook.domain), 1);
	assert_int_equal(targets(hook.domain), 1);

	machine_forget(&m);
	unmap(hook.domain, IOVA, PAGE);
	assert_int_equal(sent(&m, MODEL_IOTLB), 1);
	assert_int_equal(sent(&m, MODEL_ATC), 1);
	assert_int_equal(dma(hook.device, NONE, IOVA), 0);
	device_remove(hook.device);
	domain_free(hook.domain);
	machine_exit(&m);
}

/* The moment before the hardware drops the old context entry: it may use that one. */
static void still_on_the_list(struct hook *hook)
{
	assert_int_equal(groups(hook->domain), 1);
}

static void each_translates(struct model_iommu *hw, enum model_class class,
			    const uint64_t *cmd, void *arg)
{
	struct model_access access;
	struct hook *hook = arg;

	hook_log(hw, class, cmd, arg);
	model_dma(hook->device->hw, MODEL_NO_PASID, IOVA, false, &access);
	assert_false(access.fault);
}

static void replace_goes_without_a_gap(void **state)
{
	struct hook hook = { .class = MODEL_CONFIG, .fn = still_on_the_list };
	struct domain *new;
	struct machine m;
	int ats;

	start(&m, state);
	hook.m = &m;
	for (ats = 0; ats < 2; ats++) {
		hook.domain = machine_domain(&m, false, NULL);
		new = machine_domain(&m, true, NULL);
		hook.device = machine_device(&m, 0, 1, ats);
		map(hook.domain, IOVA, PA, PAGE);
		map(new, IOVA, PA2, PAGE);
		attach(hook.domain, hook.device, NONE);
		assert_int_equal(dma(hook.device, NONE, IOVA), PA);

		hook.done = false;
		model_set_log(m.hw[0], each_translates, &hook);
		attach(new, hook.device, NONE);
		model_set_log(m.hw[0], hook_log, &hook);
		assert_true(hook.done);
		assert_int_equal(dma(hook.device, NONE, IOVA), PA2);
		assert_true(iommu_attach_empty(&hook.domain->alist));
		assert_nothing_stale(&m);
		unmap(new, IOVA, PAGE);
		assert_int_equal(dma(hook.device, NONE, IOVA), 0);

		hook.done = true;
		device_remove(hook.device);
		domain_free(hook.domain);
		domain_free(new);
	}
	machine_exit(&m);
}

/* Attach and replace: the device stays where it was, and no tag or memory is lost. */
static void enomem_in_attach_leaves_no_trace(void **state)
{
	struct domain *domain, *old;
	unsigned long nth, live;
	struct device *device;
	struct machine m;
	int replace, ret;
	u64 tag;

	start(&m, state);
	for (replace = 0; replace < 2; replace++) {
		old = machine_domain(&m, true, NULL);
		domain = machine_domain(&m, true, NULL);
		device = machine_device(&m, 0, 1, true);
		map(old, IOVA, PA2, PAGE);
		map(domain, IOVA, PA, PAGE);

		/* What it is given when nothing fails. */
		if (replace)
			attach(old, device, NONE);
		attach(domain, device, 9);
		tag = tag_on(domain, m.iommu[0]) & UINT32_MAX;
		domain_detach(device, 9);
		domain_free(domain);
		domain = machine_domain(&m, true, NULL);
		map(domain, IOVA, PA, PAGE);
		shim_rcu_barrier();
		live = shim_live();

		for (nth = 1;; nth++) {
			machine_forget(&m);
			shim_fail_nth(nth);
			ret = domain_attach(domain, device, NONE);
			shim_fail_nth(0);
			if (!ret)
				break;
			assert_int_equal(ret, -ENOMEM);
			assert_true(iommu_attach_empty(&domain->alist));
			assert_int_equal(m.nr_cmds, 0);
			shim_rcu_barrier();
			assert_int_equal(shim_live(), live);
			assert_int_equal(dma(device, NONE, IOVA),
					 replace ? PA2 : 0);
		}
		assert_true(nth > 1);
		assert_int_equal(tag_on(domain, m.iommu[0]) & UINT32_MAX, tag);
		assert_int_equal(dma(device, NONE, IOVA), PA);
		device_remove(device);
		domain_free(domain);
		domain_free(old);
	}
	machine_exit(&m);
}

static void enomem_in_probe_and_alloc_leaves_no_trace(void **state)
{
	struct domain *domain;
	struct device *device;
	unsigned long nth, live;
	struct machine m;

	start(&m, state);
	live = shim_live();
	for (nth = 1;; nth++) {
		shim_fail_nth(nth);
		domain = domain_alloc(m.driver, 4, false, NULL);
		shim_fail_nth(0);
		if (domain)
			break;
		assert_int_equal(shim_live(), live);
	}
	assert_true(nth > 1);
	domain_free(domain);
	assert_int_equal(shim_live(), live);

	shim_fail_nth(1);
	device = device_probe(m.iommu[0], 1, false);
	shim_fail_nth(0);
	assert_null(device);
	assert_int_equal(shim_live(), live);
	device = device_probe(m.iommu[0], 1, false);
	assert_non_null(device);
	device_remove(device);

	iommu_remove(m.iommu[1]);
	live = shim_live();
	for (nth = 1;; nth++) {
		shim_fail_nth(nth);
		m.iommu[1] = iommu_probe(m.hw[1], false);
		shim_fail_nth(0);
		if (m.iommu[1])
			break;
		assert_int_equal(shim_live(), live);
	}
	assert_true(nth > 2);
	machine_exit(&m);
}

static void detach_allocates_nothing(void **state)
{
	unsigned long before;
	unsigned int i;
	struct nest n;

	start_nest(&n, state, true);
	before = shim_allocs();
	unmap(n.parent, IPA, PAGE);
	for (i = 0; i < 4; i++)
		domain_detach(n.device[i], NONE);
	device_ats_disable(n.plain);
	domain_detach(n.plain, NONE);
	assert_int_equal(shim_allocs(), before);
	end_nest(&n);
}

static void pitfall_18_lost_iommu_gets_no_commands(void **state)
{
	unsigned long before;
	struct nest n;

	start_nest(&n, state, true);
	before = model_head(n.m.hw[1]);
	machine_forget(&n.m);
	domain_lose_iommu(n.parent, n.m.iommu[1]);
	assert_null(n.device[1]->attachments);
	assert_null(n.device[3]->attachments);
	assert_non_null(n.device[0]->attachments);
	assert_int_equal(n.m.nr_cmds, 0);

	unmap(n.parent, IPA, PAGE);
	unmap(n.s1[0], IOVA, PAGE);
	unmap(n.s1[1], IOVA, PAGE);
	assert_int_equal(model_head(n.m.hw[1]), before);
	assert_int_equal(dma(n.device[0], NONE, IOVA), 0);
	end_nest(&n);
}

/*
 * Wasted work
 */

static void pitfall_21_one_iotlb_command_however_many_devices(void **state)
{
	struct device *device[16];
	struct domain *domain;
	struct machine m;
	unsigned int i;
	int first_stage;

	start(&m, state);
	for (first_stage = 0; first_stage < 2; first_stage++) {
		domain = machine_domain(&m, first_stage, NULL);
		map(domain, IOVA, PA, PAGE);
		for (i = 0; i < 16; i++) {
			device[i] = machine_device(&m, 0, i, false);
			attach(domain, device[i], NONE);
		}
		machine_forget(&m);
		unmap(domain, IOVA, PAGE);
		assert_classes(&m, "TS");
		for (i = 0; i < 16; i++)
			device_remove(device[i]);
		domain_free(domain);
	}
	machine_exit(&m);
}

/* In the order of attaching the IOMMU changes with every device. */
static void pitfall_22_interleaved_iommus_are_waited_for_once(void **state)
{
	struct device *device[8];
	struct domain *domain;
	struct machine m;
	unsigned int i, j;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	map(domain, IOVA, PA, PAGE);
	for (i = 0; i < 8; i++) {
		device[i] = machine_device(&m, i % 2, i, true);
		attach(domain, device[i], NONE);
	}
	machine_forget(&m);
	unmap(domain, IOVA, PAGE);
	for (j = 0; j < 2; j++) {
		unsigned int syncs = 0, others = 0;

		for (i = 0; i < m.nr_cmds; i++) {
			if (m.cmd[i].iommu != j)
				continue;
			syncs += m.cmd[i].class == MODEL_SYNC;
			others += m.cmd[i].class != MODEL_SYNC;
		}
		assert_int_equal(syncs, phases[m.driver->vendor]);
		assert_int_equal(others, 1 + 4);
	}
	for (i = 0; i < 8; i++)
		device_remove(device[i]);
	domain_free(domain);
	machine_exit(&m);
}

/* Two IOMMUs that do not answer: both are sent to all the same. */
static void pitfall_23_all_iommus_are_sent_to_before_one_is_waited_for(void **state)
{
	const struct timespec tick = { .tv_nsec = 1000000 };
	struct device *device[2];
	struct domain *domain;
	uint64_t before[2];
	pthread_t thread;
	struct machine m;
	int i, ticks;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	map(domain, IOVA, PA, PAGE);
	for (i = 0; i < 2; i++) {
		device[i] = machine_device(&m, i, 1, false);
		attach(domain, device[i], NONE);
		before[i] = queued(m.iommu[i]);
		model_pause(m.hw[i], true);
	}
	assert_int_equal(pthread_create(&thread, NULL, unmap_page, domain), 0);
	for (ticks = 0; ticks < 10000 && (queued(m.iommu[0]) != before[0] + 2 ||
					  queued(m.iommu[1]) != before[1] + 2); ticks++)
		nanosleep(&tick, NULL);
	for (i = 0; i < 2; i++)
		assert_int_equal(queued(m.iommu[i]), before[i] + 2);
	for (i = 0; i < 2; i++)
		model_pause(m.hw[i], false);
	pthread_join(thread, NULL);
	for (i = 0; i < 2; i++)
		device_remove(device[i]);
	domain_free(domain);
	machine_exit(&m);
}

static void pitfall_25_map_sends_nothing(void **state)
{
	struct alone one;

	start_alone(&one, state, true);
	machine_forget(&one.m);
	map(one.domain, IOVA, PA, 4 * PAGE);
	assert_int_equal(one.m.nr_cmds, 0);
	stop_alone(&one);
}

/* Unless absent translations are cached: VT-d caching mode, AMD NpCache. */
static void check_caching(void **state, bool first_stage, bool withhold)
{
	const struct model_config config = {
		.vendor = *(enum model_vendor *)*state,
		.caches_absent = true,
	};
	struct domain *domain;
	struct device *device;
	struct machine m;

	start_with(&m, &config, true);
	domain = machine_domain(&m, first_stage, NULL);
	device = machine_device(&m, 0, 1, true);
	/* Blocked, and that is cached, too. */
	assert_int_equal(dma(device, NONE, IOVA), 0);
	attach(domain, device, NONE);
	assert_int_equal(dma(device, NONE, IOVA), 0);
	machine_forget(&m);
	if (withhold)
		model_withhold(m.hw[0], MODEL_IOTLB, 1);
	map(domain, IOVA, PA, PAGE);
	/* No ATC has what is absent. */
	assert_int_equal(sent(&m, MODEL_ATC), 0);
	if (withhold)
		assert_true(dma_is_stale(device, IOVA));
	else
		assert_int_equal(dma(device, NONE, IOVA), PA);
	device_remove(device);
	domain_free(domain);
	machine_exit(&m);
}

static void pitfall_25_map_flushes_where_absence_is_cached(void **state)
{
	check_caching(state, false, false);
	check_caching(state, false, true);
	/* VT-d caches nothing that is absent in a first-stage table (6.1). */
	if (*(enum model_vendor *)*state != MODEL_VTD)
		check_caching(state, true, false);
}

static const struct vendor_test cases[] = {
	VENDOR_TEST(unmap_reaches_every_iommu_and_device),
	VENDOR_TEST(unmap_of_whole_tables_reaches_walk_caches),
	VENDOR_TEST(gathered_unmaps_are_one_flush),
	VENDOR_TEST(pitfall_27_gathers_with_anything_in_them),
	VENDOR_TEST(lazy_unmaps_are_flushed_by_one_whole_flush),
	VENDOR_TEST(commands_are_groups_and_targets),
	VENDOR_TEST(oracle_fires_without_iotlb_command),
	VENDOR_TEST(oracle_fires_without_atc_command),
	VENDOR_TEST(flush_that_does_not_fit_the_queue),
	VENDOR_TEST(flush_waits_for_slow_hardware),
	VENDOR_TEST(completion_waits_are_told_apart_after_2_31),
	VENDOR_TEST(pitfall_01_parent_unmap_reaches_nests),
	VENDOR_TEST(pitfall_28_whole_space_of_a_parent),
	VENDOR_TEST(pitfall_01_oracle_fires_if_nests_are_missed),
	VENDOR_TEST(nest_unmap_leaves_its_siblings_alone),
	VENDOR_TEST(pitfall_03_ats_enabled_between_iotlb_and_atc_part),
	VENDOR_TEST(pitfall_03_list_knows_before_ats_is_let_through),
	VENDOR_TEST(pitfall_04_device_without_ats_hides_no_sibling),
	VENDOR_TEST(parent_is_second_stage),
	VENDOR_TEST(pitfall_05_two_tags_on_one_iommu),
	VENDOR_TEST(pitfall_09_pasids_get_commands_of_their_own),
	VENDOR_TEST(pitfall_10_tag_is_clean_before_it_is_used_again),
	VENDOR_TEST(pitfall_10_tag_of_a_nest_is_clean_of_both_stages),
	VENDOR_TEST(pitfall_10_oracle_fires_if_the_tag_is_dirty),
	VENDOR_TEST(pitfall_10_tag_of_one_pasid_is_clean_when_it_comes_back),
	VENDOR_TEST(pitfall_11_nest_is_on_both_lists_or_on_neither),
	VENDOR_TEST(pitfall_12_attachment_outlives_walks),
	VENDOR_TEST(pitfall_13_ats_off_before_detach_leaves_no_target),
	VENDOR_TEST(pitfall_14_silence_after_detach),
	VENDOR_TEST(pitfall_14_nothing_goes_while_a_flush_may_know_it),
	VENDOR_TEST(pitfall_40_reset_waits_for_flushes),
	VENDOR_TEST(pitfall_14_device_answers_what_comes_when_ats_goes_on),
	VENDOR_TEST(pitfall_14_device_answers_what_is_in_flight_when_ats_goes_off),
	VENDOR_TEST(pitfall_14_ats_is_on_before_the_list_knows),
	VENDOR_TEST(pitfall_14_ats_goes_off_after_the_fence),
	VENDOR_TEST(pitfall_14_removal_costs_no_grace_period),
	VENDOR_TEST(pitfall_16_batch_belongs_to_one_flush),
	VENDOR_TEST(pitfall_17_no_lock_is_held_in_a_wait),
	VENDOR_TEST(pitfall_18_lost_iommu_gets_no_commands),
	VENDOR_TEST(pitfall_19_equal_attachments_stay_collapsed),
	VENDOR_TEST(pitfall_21_one_iotlb_command_however_many_devices),
	VENDOR_TEST(pitfall_22_interleaved_iommus_are_waited_for_once),
	VENDOR_TEST(pitfall_23_all_iommus_are_sent_to_before_one_is_waited_for),
	VENDOR_TEST(pitfall_24_whole_atc_for_nested_devices_only),
	VENDOR_TEST(pitfall_25_map_sends_nothing),
	VENDOR_TEST(ats_can_go_on_and_off_while_attached),
	VENDOR_TEST(ats_needs_a_device_that_can),
	VENDOR_TEST(enomem_in_ats_enable_leaves_no_trace),
	VENDOR_TEST(detach_blocks),
	VENDOR_TEST(detach_allocates_nothing),
	VENDOR_TEST(oracle_fires_without_config_command),
	VENDOR_TEST(oracle_fires_if_an_unplugged_device_is_sent_to),
	VENDOR_TEST(wished_tag_is_given),
	VENDOR_TEST(replace_goes_without_a_gap),
	VENDOR_TEST(enomem_in_attach_leaves_no_trace),
	VENDOR_TEST(enomem_in_probe_and_alloc_leaves_no_trace),
};

int main(void)
{
	/* The others cache nothing absent and have no nests under a PASID. */
	const struct CMUnitTest vtd_and_amd[] = {
		cmocka_unit_test_prestate(pitfall_25_map_flushes_where_absence_is_cached,
					  vendor_state(MODEL_VTD)),
		cmocka_unit_test_prestate(pitfall_25_map_flushes_where_absence_is_cached,
					  vendor_state(MODEL_AMD)),
		cmocka_unit_test_prestate(nest_under_two_pasids_is_one_group_of_its_parent,
					  vendor_state(MODEL_VTD)),
		cmocka_unit_test_prestate(nest_under_two_pasids_is_one_group_of_its_parent,
					  vendor_state(MODEL_AMD)),
	};

	return run_on_each_vendor("drivers", cases) +
	       cmocka_run_group_tests_name("VT-d and AMD", vtd_and_amd, NULL, NULL);
}
