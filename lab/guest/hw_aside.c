// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that falls silent is set aside, blocked, and comes back: hw_aside [lost]
 *
 * It does DMA all the time, with a full ATC, and now and then does not answer ATC commands.
 * Meanwhile, pages are mapped and unmapped, and the device is attached again. In any order of
 * these: once an unmap has returned, the device must not reach the pages, in particular not
 * through its ATC, which nothing has emptied. Then its unit takes seconds for each command that
 * blocks the device: no grace period of RCU may wait for them.
 *
 * "lost": the unit drops the commands that make a change of a context entry take effect, so a
 * device that is reported as blocked is not blocked, and the oracle must fire. A driver that does
 * not block silent devices has nothing to show here.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <linux/iommufd.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define PAGES		16
#define COMMAND_NS	500000
#define TIMEOUT_NS	20000000UL
#define SILENT_MS	150		/* then it answers for a while */
#define ANSWERS_MS	100
#define ATTACHED_MS	60
#define BESIDE_MS	4000
#define FEW_MS		800
#define PATIENCE_NS	20000000000UL
#define SLOW_NS		1500000000UL
#define SLOW_MS		12000		/* then it answers, for those who ask without end */
#define BLOCKING	(1u << TYPE_CONTEXT | 1u << TYPE_PASID)
#define GRACE		"/sys/module/hwpci/parameters/grace"

static struct hardware hw;
static struct function *function;
static char *mem;
static volatile bool stop;

static void set_silent(bool silent)
{
	control_set(&hw, function->unit, HW_SILENT(function->slot), silent);
}

static void *fall_silent(void *arg)
{
	(void)arg;
	while (!stop) {
		set_silent(true);
		sleep_ms(SILENT_MS);
		set_silent(false);
		sleep_ms(ANSWERS_MS);
	}
	return NULL;
}

static void attach_anew(void)
{
	detach(&function->device);
	attach(&function->device, &hw.space);
}

static void *be_attached(void *arg)
{
	unsigned long *times = arg;

	while (!stop) {
		attach_anew();
		++*times;
		sleep_ms(ATTACHED_MS);
	}
	return NULL;
}

static void mark(bool mapped)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++)
		agent_page(function, page, mapped);
}

/* Return: stale accesses of the device. */
static unsigned long come_and_go(unsigned int ms)
{
	uint64_t until = now_ns() + ms * 1000000ULL, patience = until + PATIENCE_NS;

	agent_start(function, PASID_NONE, IOVA, PAGES, HW_CMD_READ);
	/* An agent comes last where there are more of all than CPUs. */
	while (now_ns() < until || (!agent_has_read(function) && now_ns() < patience)) {
		mark(true);
		map(&hw.space, mem, IOVA, PAGES * SZ_4K);
		sleep_ms(2);
		unmap(&hw.space, IOVA, PAGES * SZ_4K);
		mark(false);
		sleep_ms(1);
	}
	agent_stop(function);
	if (!agent_has_read(function))
		fail("the agent has read nothing");
	return agent_get(function, HW_AGENT_STALE);
}

static void come_back(void)
{
	set_silent(false);
	attach_anew();
	map(&hw.space, mem, IOVA, PAGES * SZ_4K);
	expect_data(function, PASID_NONE, IOVA, 0x99);
	unmap(&hw.space, IOVA, PAGES * SZ_4K);
}

static void beside_all(void)
{
	uint64_t timeouts = control_get(&hw, 0, HW_TIMEOUTS);
	unsigned long times = 0, stale;
	pthread_t thread[2];

	set_latency(&hw, function->unit, COMMAND_NS);
	stop = false;
	if (pthread_create(&thread[0], NULL, fall_silent, NULL) ||
	    pthread_create(&thread[1], NULL, be_attached, &times))
		fail("no thread");
	stale = come_and_go(BESIDE_MS);
	stop = true;
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	set_latency(&hw, function->unit, 0);
	timeouts = control_get(&hw, 0, HW_TIMEOUTS) - timeouts;
	if (!timeouts || !times)
		fail("%lu timeouts, attached %lu times", (unsigned long)timeouts, times);
	come_back();
	report_case("silent now and then, attached anew, beside unmaps",
		    "\"stale\": %lu, \"stale_entries\": %lu, \"timeouts\": %lu, "
		    "\"attached\": %lu", stale, look(&hw), (unsigned long)timeouts, times);
}

static void *grace_periods(void *arg)
{
	uint64_t *longest = arg;
	char text[32];

	while (!stop) {
		if (!read_file(GRACE, text, sizeof(text)))
			fail(GRACE ": cannot be read");
		if (number(text) > *longest)
			*longest = number(text);
	}
	return NULL;
}

static void *end_silence(void *arg)
{
	unsigned int ms = 0;

	(void)arg;
	while (!stop && ms++ < SLOW_MS)
		sleep_ms(1);
	set_silent(false);
	return NULL;
}

static void slowly_blocked(void)
{
	const unsigned int slow[] = { TYPE_CONTEXT, TYPE_PASID, TYPE_IOTLB, TYPE_P_IOTLB };
	uint64_t longest = 0, took;
	pthread_t thread[2];
	unsigned int i;

	map(&hw.space, mem, IOVA, PAGES * SZ_4K);
	expect_data(function, PASID_NONE, IOVA, 0x99);
	set_silent(true);
	for (i = 0; i < sizeof(slow) / sizeof(*slow); i++)
		control_set(&hw, function->unit, HW_LATENCY(slow[i]), SLOW_NS);
	stop = false;
	if (pthread_create(&thread[0], NULL, grace_periods, &longest) ||
	    pthread_create(&thread[1], NULL, end_silence, NULL))
		fail("no thread");
	took = now_ns();
	unmap(&hw.space, IOVA, PAGES * SZ_4K);
	took = now_ns() - took;
	stop = true;
	set_latency(&hw, function->unit, 0);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	come_back();
	/* A flush with its commands and their blocking would be twice that, or more. */
	report_case("blocked by a unit that takes 1.5 s for a command",
		    "\"stale\": %lu, \"grace_period_ms\": %.0f, \"bound_grace_period_ms\": %.0f, "
		    "\"unmap_ms\": %.0f", look(&hw), longest / 1e6, took / 3e6, took / 1e6);
}

static void control(void)
{
	unsigned long stale;

	lose(&hw, TYPES_ATC);
	stale = come_and_go(FEW_MS);
	lose_end(&hw);
	come_back();
	report_case("ATC commands lost", "\"fired\": %lu", stale);
}

static void not_blocked(void)
{
	unsigned long stale;

	map(&hw.space, mem, IOVA, PAGES * SZ_4K);
	unmap(&hw.space, IOVA, PAGES * SZ_4K);
	lose(&hw, BLOCKING);
	set_silent(true);
	stale = come_and_go(FEW_MS);
	lose_end(&hw);
	come_back();
	report_case("silent, and what blocks it is lost", "\"fired\": %lu", stale);
}

int main(int argc, char **argv)
{
	hw_open(&hw, 2);
	function = hw_first(&hw, 0);
	mem = memory(PAGES * SZ_4K);
	*(uint64_t *)mem = 0x99;
	domain_alloc(&hw.space, &function->device);
	hw_share(&hw);
	control_set(&hw, function->unit, HW_TIMEOUT, TIMEOUT_NS);
	if (argc > 1 && !strcmp(argv[1], "lost")) {
		not_blocked();
		return 0;
	}
	beside_all();
	/* SMMUv3's driver waits for a second. */
	if (hw_type(&hw, function) != IOMMU_HW_INFO_TYPE_ARM_SMMUV3)
		slowly_blocked();
	control();
	return 0;
}
