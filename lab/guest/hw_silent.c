// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device is there and does not answer: hw_silent
 *
 * Functions of both units share a domain; one of them is silent, so that its unit gives it
 * up after a while (ITE). How often is it asked, and how long does an unmap take that has to
 * do with it? Meanwhile, those who have nothing to do with it must not wait for it: unmaps of
 * another domain, whose functions are behind the other unit, and grace periods of RCU.
 */
#include <pthread.h>
#include <stdio.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define TIMEOUT_NS	2000000000UL
#define SILENT_MS	6000
#define WELL_MS		1500
#define BUSY_MS		1500	/* what a busy host may add; less than one timeout */
#define MAX_ASKED	4
#define GRACE		"/sys/module/hwpci/parameters/grace"

static struct hardware hw;
static struct space innocent;
static uint64_t *mem, *mem2;
static volatile bool stop;

struct waits {
	double unmap_ms, grace_ms;
};

struct longest {
	uint64_t ns;
	unsigned long times;
};

static void *unmap_innocent(void *arg)
{
	struct longest *longest = arg;

	while (!stop) {
		uint64_t took;

		map(&innocent, mem2, IOVA, SZ_4K);
		took = now_ns();
		unmap(&innocent, IOVA, SZ_4K);
		took = now_ns() - took;
		if (took > longest->ns)
			longest->ns = took;
		longest->times++;
		sleep_ms(1);
	}
	return NULL;
}

static void *grace_periods(void *arg)
{
	struct longest *longest = arg;
	char text[32];

	while (!stop) {
		uint64_t ns;

		if (!read_file(GRACE, text, sizeof(text)))
			fail(GRACE ": cannot be read");
		ns = number(text);
		if (ns > longest->ns)
			longest->ns = ns;
		longest->times++;
	}
	return NULL;
}

static void *unmap_guilty(void *arg)
{
	uint64_t *took = arg;

	pin(1);
	*took = now_ns();
	unmap(&hw.space, IOVA, SZ_4K);
	*took = now_ns() - *took;
	return NULL;
}

/*
 * Those who have nothing to do with it, while one unmap is done that has. @before: what they
 * waited for when all was well, or NULL: then they may wait for as long as they do.
 */
static struct waits measure(const char *name, struct function *silent,
			    const struct waits *before)
{
	struct waits waits;
	uint64_t took = 0, asked, timeouts;
	struct longest unmaps = { 0 }, graces = { 0 };
	pthread_t thread[3];

	map(&hw.space, mem, IOVA, SZ_4K);
	asked = control_get(&hw, 0, HW_ATC_COUNT(hw.function[0].slot));
	timeouts = control_get(&hw, 0, HW_TIMEOUTS);
	stop = false;
	if (silent)
		control_set(&hw, silent->unit, HW_SILENT(silent->slot), 1);
	if (pthread_create(&thread[0], NULL, unmap_guilty, &took) ||
	    pthread_create(&thread[1], NULL, unmap_innocent, &unmaps) ||
	    pthread_create(&thread[2], NULL, grace_periods, &graces))
		fail("no thread");
	sleep_ms(silent ? SILENT_MS : WELL_MS);
	if (silent)
		control_set(&hw, silent->unit, HW_SILENT(silent->slot), 0);
	pthread_join(thread[0], NULL);
	stop = true;
	pthread_join(thread[1], NULL);
	pthread_join(thread[2], NULL);
	if (!unmaps.times || !graces.times)
		fail("nobody innocent was there");
	asked = control_get(&hw, 0, HW_ATC_COUNT(hw.function[0].slot)) - asked;
	timeouts = control_get(&hw, 0, HW_TIMEOUTS) - timeouts;
	waits = (struct waits){ unmaps.ns / 1e6, graces.ns / 1e6 };
	if (!before)
		before = &waits;
	report_case(name, "\"asked\": %lu, \"bound_asked\": %d, \"timeouts\": %lu, "
		    "\"unmap_ms\": %.0f, \"innocent_unmap_ms\": %.1f, "
		    "\"bound_innocent_unmap_ms\": %.1f, \"grace_period_ms\": %.1f, "
		    "\"bound_grace_period_ms\": %.1f",
		    (unsigned long)asked, MAX_ASKED, (unsigned long)timeouts, took / 1e6,
		    waits.unmap_ms, before->unmap_ms + BUSY_MS, waits.grace_ms,
		    before->grace_ms + BUSY_MS);
	return waits;
}

int main(void)
{
	struct function *silent, *other;
	struct waits before;
	int i;

	pin(0);
	hw_open(&hw, 2);
	mem = memory(SZ_4K);
	mem2 = memory(SZ_4K);
	silent = hw_first(&hw, 0);
	other = &hw.function[hw.functions - 1];
	innocent = hw.space;
	innocent.ioas = ioas_alloc(&hw);
	domain_alloc(&innocent, &other->device);
	attach(&other->device, &innocent);
	domain_alloc(&hw.space, &silent->device);
	for (i = 0; i < hw.functions - 1; i++)
		attach(&hw.function[i].device, &hw.space);
	control_set(&hw, 0, HW_TIMEOUT, TIMEOUT_NS);

	before = measure("all devices answer", NULL, NULL);
	measure("a device does not answer", silent, &before);
	measure("all answer again", NULL, NULL);
	return 0;
}
