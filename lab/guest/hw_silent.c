// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device is there and does not answer: hw_silent [MILLISECONDS]
 *
 * Functions of both units share a domain; one of them is silent, so its unit gives up after a
 * while: 4 s, or what the driver sets. How often are commands sent to it, how long does an unmap
 * take that sends to it, and can the device use what it has cached once that unmap has returned?
 * Meanwhile, nothing else may wait for the device: neither unmaps of another domain, whose
 * functions are behind the other unit, nor grace periods of RCU.
 *
 * How long these take is measured in ticks. A tick is a millisecond's sleep on a CPU of its own and
 * an answer of the other unit: on a busy host, ticks get longer like everything else. A wait for
 * the device takes about as long as the unmap that sends to it; a small part of that is no delay.
 * If ticks are so long that the device's silence does not show in them, it falls silent again.
 */
#include <pthread.h>
#include <stdio.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define PATTERN		0x4711UL
#define TIMEOUT_MS	4000
#define SILENT_MS	9000
#define TRIES		6
#define WELL_MS		1500
#define TIMES		2	/* as long as when all is well is no delay */
#define FEW_TICKS	10	/* nor is this: a timeout has a thousand */
#define PART		4	/* of what the unmap takes is none, either */
#define MAX_ASKED	4
#define GRACE		"/sys/module/hwpci/parameters/grace"

static struct hardware hw;
static struct space innocent;
static uint64_t *mem, *mem2;
static volatile bool stop;

static volatile unsigned long ticks;

struct longest {
	uint64_t ns;
	unsigned long ticks, times;
};

struct waits {
	struct longest guilty, unmap, grace;
	uint64_t asked, timeouts;
	bool through;
};

static void *tick(void *arg)
{
	const struct function *of = arg;

	pin(2);
	while (!stop) {
		sleep_ms(1);
		ping(&hw, of->unit);
		ticks++;
	}
	return NULL;
}

static void keep_longest(struct longest *longest, uint64_t ns, unsigned long begun)
{
	unsigned long took = ticks - begun;

	if (ns > longest->ns)
		longest->ns = ns;
	if (took > longest->ticks)
		longest->ticks = took;
	longest->times++;
}

static void *unmap_innocent(void *arg)
{
	struct longest *longest = arg;

	while (!stop) {
		unsigned long begun;
		uint64_t began;

		map(&innocent, mem2, IOVA, SZ_4K);
		begun = ticks;
		began = now_ns();
		unmap(&innocent, IOVA, SZ_4K);
		keep_longest(longest, now_ns() - began, begun);
		sleep_ms(1);
	}
	return NULL;
}

static void *grace_periods(void *arg)
{
	struct longest *longest = arg;
	char text[32];

	pin(3);
	while (!stop) {
		unsigned long begun = ticks;

		if (!read_file(GRACE, text, sizeof(text)))
			fail(GRACE ": cannot be read");
		keep_longest(longest, number(text), begun);
	}
	return NULL;
}

struct guilty {
	struct longest longest;
	struct function *silent;	/* NULL: there is none */
	bool through;			/* it has read after its page's unmap */
};

static void *unmap_guilty(void *arg)
{
	struct guilty *guilty = arg;
	unsigned long begun;
	uint64_t began;

	pin(1);
	begun = ticks;
	began = now_ns();
	unmap(&hw.space, IOVA, SZ_4K);
	keep_longest(&guilty->longest, now_ns() - began, begun);
	if (guilty->silent)
		guilty->through = dma_read(guilty->silent, PASID_NONE, IOVA).ok;
	return NULL;
}

static unsigned long usual(const struct waits *well)
{
	unsigned long most = well->unmap.ticks;

	if (well->grace.ticks > most)
		most = well->grace.ticks;
	return most * TIMES + FEW_TICKS;
}

static unsigned long bound(const struct waits *before, const struct waits *silent)
{
	unsigned long part = silent->guilty.ticks / PART, least = usual(before);

	return part > least ? part : least;
}

/* Those who have nothing to do with it, while one unmap is done that has. */
static struct waits measure(struct function *silent)
{
	struct guilty guilty = { .silent = silent };
	struct waits waits = { 0 };
	uint64_t asked, timeouts;
	pthread_t thread[4];

	map(&hw.space, mem, IOVA, SZ_4K);
	if (silent)
		expect_data(silent, PASID_NONE, IOVA, PATTERN);
	asked = control_get(&hw, 0, HW_ATC_COUNT(hw.function[0].slot));
	timeouts = control_get(&hw, 0, HW_TIMEOUTS);
	stop = false;
	if (silent)
		control_set(&hw, silent->unit, HW_SILENT(silent->slot), 1);
	if (pthread_create(&thread[3], NULL, tick, &hw.function[hw.functions - 1]) ||
	    pthread_create(&thread[0], NULL, unmap_guilty, &guilty) ||
	    pthread_create(&thread[1], NULL, unmap_innocent, &waits.unmap) ||
	    pthread_create(&thread[2], NULL, grace_periods, &waits.grace))
		fail("no thread");
	sleep_ms(silent ? SILENT_MS : WELL_MS);
	if (silent)
		control_set(&hw, silent->unit, HW_SILENT(silent->slot), 0);
	pthread_join(thread[0], NULL);
	stop = true;
	pthread_join(thread[1], NULL);
	pthread_join(thread[2], NULL);
	pthread_join(thread[3], NULL);
	if (!waits.unmap.times || !waits.grace.times)
		fail("nobody innocent was there");
	waits.guilty = guilty.longest;
	waits.through = guilty.through;
	waits.asked = control_get(&hw, 0, HW_ATC_COUNT(hw.function[0].slot)) - asked;
	waits.timeouts = control_get(&hw, 0, HW_TIMEOUTS) - timeouts;
	return waits;
}

static void report(const char *name, const struct waits *waits, unsigned long bound_ticks)
{
	report_case(name, "\"asked\": %lu, \"bound_asked\": %d, \"timeouts\": %lu, "
		    "\"unmap_ms\": %.0f, \"innocent_unmap_ms\": %.1f, \"grace_period_ms\": %.1f, "
		    "\"innocent_unmap_ticks\": %lu, \"bound_innocent_unmap_ticks\": %lu, "
		    "\"grace_period_ticks\": %lu, \"bound_grace_period_ticks\": %lu, "
		    "\"unmap_ticks\": %lu, \"stale_through\": %d",
		    (unsigned long)waits->asked, MAX_ASKED, (unsigned long)waits->timeouts,
		    waits->guilty.ns / 1e6, waits->unmap.ns / 1e6, waits->grace.ns / 1e6,
		    waits->unmap.ticks, bound_ticks, waits->grace.ticks, bound_ticks,
		    waits->guilty.ticks, waits->through);
}

/* What does wait for the device is seen to. */
static void silence(struct function *silent, const struct waits *before)
{
	struct waits waits = measure(silent);
	int tries;

	for (tries = 1; tries < TRIES && waits.guilty.ticks <= usual(before); tries++) {
		/* The kernel may have set it aside. */
		detach(&silent->device);
		attach(&silent->device, &hw.space);
		waits = measure(silent);
	}
	report("a device does not answer", &waits, bound(before, &waits));
	report_case("what is usual, and one that does wait", "\"fired\": %d, \"usual\": %lu, "
		    "\"ticks\": %lu", waits.guilty.ticks > usual(before), usual(before),
		    waits.guilty.ticks);
}

/* What gets through when the device is never told is seen to. */
static void control(struct function *function)
{
	bool through;

	map(&hw.space, mem, IOVA, SZ_4K);
	expect_data(function, PASID_NONE, IOVA, PATTERN);
	lose(&hw, TYPES_ATC);
	unmap(&hw.space, IOVA, SZ_4K);
	through = dma_read(function, PASID_NONE, IOVA).ok;
	lose_end(&hw);
	report_case("ATC commands lost", "\"fired_through\": %d", through);
}

int main(int argc, char **argv)
{
	uint64_t timeout = argc > 1 ? number(argv[1]) : TIMEOUT_MS;
	struct function *silent, *other;
	struct waits before, after;
	int i;

	pin(0);
	hw_open(&hw, 2);
	mem = memory(SZ_4K);
	*mem = PATTERN;
	mem2 = memory(SZ_4K);
	silent = hw_first(&hw, 0);
	other = &hw.function[hw.functions - 1];
	innocent = hw.space;
	innocent.ioas = ioas_alloc(&hw);
	domain_alloc(&innocent, &other->device);
	attach(&other->device, &innocent);
	domain_alloc(&hw.space, &silent->device);
	for (i = 0; i < hw.functions - 1; i++)
		share(&hw.function[i], &hw.space);
	control_set(&hw, 0, HW_TIMEOUT, timeout * 1000000);

	before = measure(NULL);
	report("all devices answer", &before, usual(&before));
	silence(silent, &before);
	after = measure(NULL);
	report("all answer again", &after, usual(&after));
	control(&hw.function[1]);
	return 0;
}
