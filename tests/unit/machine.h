/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small machine for tests of one driver: IOMMUs whose doorbell executes what was
 * queued, and a record of every command in the order of execution.
 */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include <inttypes.h>
#include <linux/array_size.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/driver.h"
#include "shim.h"

#define PAGE		MODEL_PAGE_SIZE
#define MAX_IOMMUS	4
#define MAX_RECORDED	256

struct machine {
	const struct driver *driver;
	unsigned int nr;
	struct model_iommu *hw[MAX_IOMMUS];
	struct iommu_device *iommu[MAX_IOMMUS];
	unsigned long live;		/* objects before there was a machine */
	/* What was executed since machine_forget(). */
	unsigned int nr_cmds;
	struct {
		unsigned int iommu;
		enum model_class class;
		uint64_t word[2];
	} cmd[MAX_RECORDED];
};

static inline void machine_log(struct model_iommu *hw, enum model_class class,
			       const uint64_t *cmd, void *arg)
{
	struct machine *machine = arg;
	unsigned int i = machine->nr_cmds++;

	assert_true(i < MAX_RECORDED);
	machine->cmd[i].iommu = 0;
	while (machine->hw[machine->cmd[i].iommu] != hw)
		machine->cmd[i].iommu++;
	machine->cmd[i].class = class;
	memcpy(machine->cmd[i].word, cmd, sizeof(machine->cmd[i].word));
}

static inline void machine_forget(struct machine *machine)
{
	machine->nr_cmds = 0;
}

static inline void machine_init(struct machine *machine, enum model_vendor vendor,
				unsigned int nr)
{
	const struct model_config config = { .vendor = vendor };
	unsigned int i;

	memset(machine, 0, sizeof(*machine));
	shim_rcu_barrier();
	machine->live = shim_live();
	machine->driver = driver_of(vendor);
	machine->nr = nr;
	for (i = 0; i < nr; i++) {
		machine->hw[i] = model_iommu_create(&config);
		assert_non_null(machine->hw[i]);
		machine->iommu[i] = iommu_probe(machine->hw[i], false);
		assert_non_null(machine->iommu[i]);
		model_set_log(machine->hw[i], machine_log, machine);
	}
}

/* Everything on it is gone, and nothing of it is left. */
static inline void machine_exit(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr; i++) {
		assert_int_equal(model_faults(machine->hw[i], NULL), 0);
		iommu_remove(machine->iommu[i]);
		model_iommu_destroy(machine->hw[i]);
	}
	shim_rcu_barrier();
	assert_int_equal(shim_live(), machine->live);
}

static inline struct domain *machine_domain(struct machine *machine,
					    bool first_stage, struct domain *parent)
{
	struct domain *domain = domain_alloc(machine->driver, 4, first_stage, parent);

	assert_non_null(domain);
	return domain;
}

static inline struct device *machine_device(struct machine *machine,
					    unsigned int iommu, uint32_t rid, bool ats)
{
	struct device *device = device_probe(machine->iommu[iommu], rid, ats);

	assert_non_null(device);
	if (ats)
		assert_int_equal(device_ats_enable(device), 0);
	return device;
}

/* The classes of what was executed: "TS" is an IOTLB command and a sync. */
static inline const char *machine_classes(const struct machine *machine, char *buf)
{
	static const char letters[MODEL_CLASSES] = {
		[MODEL_IOTLB] = 'T',
		[MODEL_ATC] = 'A',
		[MODEL_SYNC] = 'S',
		[MODEL_CONFIG] = 'C',
		[MODEL_OTHER] = 'O',
	};
	unsigned int i;

	for (i = 0; i < machine->nr_cmds; i++)
		buf[i] = letters[machine->cmd[i].class];
	buf[i] = '\0';
	return buf;
}

#define assert_classes(machine, expected)					\
	do {									\
		char __buf[MAX_RECORDED + 1];					\
										\
		assert_string_equal(machine_classes(machine, __buf), expected);	\
	} while (0)

#define assert_cmd(machine, i, word0, word1)					\
	do {									\
		assert_true((i) < (machine)->nr_cmds);				\
		assert_int_equal((machine)->cmd[i].word[0], word0);		\
		assert_int_equal((machine)->cmd[i].word[1], word1);		\
	} while (0)

/* A DMA that must not be stale. Return: its physical address, 0 if it faulted. */
static inline uint64_t dma(struct device *device, uint32_t pasid, uint64_t iova)
{
	struct model_access access;

	assert_true(model_dma(device->hw,
			      pasid == IOMMU_NO_PASID ? MODEL_NO_PASID : pasid,
			      iova, false, &access));
	return access.fault ? 0 : access.paddr;
}

/* A DMA that uses what the tables do not give any more. */
static inline bool dma_is_stale(struct device *device, uint64_t iova)
{
	struct model_access access;

	return !model_dma(device->hw, MODEL_NO_PASID, iova, false, &access);
}

static inline void map(struct domain *domain, uint64_t iova, uint64_t paddr,
		       uint64_t size)
{
	assert_int_equal(domain_map(domain, iova, paddr, size, true), 0);
}

static inline void unmap(struct domain *domain, uint64_t iova, uint64_t size)
{
	struct gather gather = { 0 };

	assert_int_equal(domain_unmap(domain, iova, size, &gather), 0);
	domain_sync(domain, &gather);
}

/* A test for each vendor, which is its initial state. */
struct vendor_test {
	const char *name;
	CMUnitTestFunction fn;
};

#define VENDOR_TEST(fn)	{ #fn, fn }

static const enum model_vendor vendor_states[MODEL_VENDORS] = {
	[MODEL_VTD] = MODEL_VTD,
	[MODEL_AMD] = MODEL_AMD,
	[MODEL_SMMUV3] = MODEL_SMMUV3,
	[MODEL_RISCV] = MODEL_RISCV,
};

#define vendor_state(vendor)	((void *)&vendor_states[vendor])

#define VENDOR_TEST_NAME	96

static inline void vendor_tests(struct CMUnitTest *tests, char (*names)[VENDOR_TEST_NAME],
				const struct vendor_test *cases, size_t nr)
{
	size_t v, i, n = 0;

	for (v = 0; v < MODEL_VENDORS; v++) {
		for (i = 0; i < nr; i++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s: %s", model_vendor_name(v),
				 cases[i].name);
			tests[n].name = names[n];
			tests[n].test_func = cases[i].fn;
			tests[n].initial_state = vendor_state(v);
		}
	}
}

/* @cases: an array of struct vendor_test. Return: as cmocka_run_group_tests_name(). */
#define run_on_each_vendor(group, cases)						\
	({										\
		static struct CMUnitTest __tests[MODEL_VENDORS * ARRAY_SIZE(cases)];	\
		static char __names[ARRAY_SIZE(__tests)][VENDOR_TEST_NAME];		\
											\
		vendor_tests(__tests, __names, cases, ARRAY_SIZE(cases));		\
		cmocka_run_group_tests_name(group, __tests, NULL, NULL);		\
	})

#endif /* TESTS_MACHINE_H */
