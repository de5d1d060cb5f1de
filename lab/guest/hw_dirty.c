// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty tracking and forced snooping: hw_dirty
 *
 * Devices have translations cached when tracking begins; each page that they write from then
 * on has to be in the bitmap, and again after the bitmap was read and cleared. This is tested with
 * a domain that functions of both units share, then with a parent of nests. Two callers enable
 * tracking at the same time while commands take time: each relies on it when its call returns. The
 * same is tested with two callers that force snooping.
 *
 * While a PASID is replaced it is attached to two domains, and one switches tracking: that must
 * not change what the other one's entry says. A device that is gone is not asked when tracking
 * is switched. A unit that refuses to invalidate PASID entries may keep them without tracking:
 * the call has to fail.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/iommufd.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define VA		0x40000000UL
#define TABLES		0x00200000UL
#define PAGES		32
#define PTE_FLAGS	7UL
#define COMMAND_NS	5000000
#define PASID		17
#define DELAYS		8
#define ROUNDS		200
#define PARAMETERS	"/sys/module/hwpci/parameters/"
#define OTHER_DOMAIN	"0001:00:03.0"	/* the kernel's own */

static struct hardware hw;
static char *mem, *tables;
static uint32_t ioas;
static volatile bool stop;
static unsigned int refused;

static bool try_tracking(uint32_t hwpt, bool on)
{
	struct iommu_hwpt_set_dirty_tracking set = {
		.size = sizeof(set), .hwpt_id = hwpt,
		.flags = on ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
	};

	return !ioctl(hw.space.fd, IOMMU_HWPT_SET_DIRTY_TRACKING, &set);
}

static void set_tracking(uint32_t hwpt, bool on)
{
	if (!try_tracking(hwpt, on))
		fail("dirty tracking %s: %s", on ? "on" : "off", strerror(errno));
}

/* Reads and clears. */
static uint64_t get_dirty(uint32_t hwpt)
{
	uint64_t bitmap = 0;
	struct iommu_hwpt_get_dirty_bitmap get = {
		.size = sizeof(get), .hwpt_id = hwpt, .iova = IOVA,
		.length = PAGES * SZ_4K, .page_size = SZ_4K, .data = (uintptr_t)&bitmap,
	};

	if (ioctl(hw.space.fd, IOMMU_HWPT_GET_DIRTY_BITMAP, &get))
		fail("dirty bitmap: %s", strerror(errno));
	return bitmap;
}

/* Each function has pages of its own. */
static uint64_t write_pages(uint64_t value)
{
	uint64_t written = 0;
	int i, page;

	for (i = 0; i < hw.functions; i++) {
		for (page = i; page < PAGES; page += 2 * hw.functions) {
			if (!dma_write(&hw.function[i], PASID_NONE, IOVA + page * SZ_4K,
				       value).ok)
				fail("a write gets a fault");
			written |= 1UL << page;
		}
	}
	return written;
}

static int missed(uint64_t written, uint64_t dirty)
{
	return __builtin_popcountl(written & ~dirty);
}

static void fill_caches(void)
{
	int i, page;

	for (i = 0; i < hw.functions; i++)
		for (page = 0; page < PAGES; page++)
			expect_data(&hw.function[i], PASID_NONE, IOVA + page * SZ_4K, 0);
}

static void clear_memory(void)
{
	memset(mem, 0, PAGES * SZ_4K);
}

static void track(const char *name, uint32_t hwpt)
{
	int first, again, unwritten, after;
	uint64_t written, dirty;

	clear_memory();
	fill_caches();
	set_tracking(hwpt, true);
	written = write_pages(1);
	dirty = get_dirty(hwpt);
	first = missed(written, dirty);
	/* Devices may write what they have asked for: more than was written is no fault. */
	unwritten = __builtin_popcountl(dirty & ~written);
	written = write_pages(2);
	again = missed(written, get_dirty(hwpt));
	after = __builtin_popcountl(get_dirty(hwpt));
	set_tracking(hwpt, false);
	report_case(name, "\"wrong_missed\": %d, \"wrong_missed_after_clear\": %d, "
		    "\"written\": %d, \"more\": %d, \"dirty_without_a_write\": %d", first, again,
		    __builtin_popcountl(written), unwritten, after);
}

static void control(const char *name, uint32_t hwpt, unsigned int types)
{
	uint64_t written;
	int n;

	clear_memory();
	fill_caches();
	set_tracking(hwpt, true);
	write_pages(1);
	lose(&hw, types);
	get_dirty(hwpt);
	written = write_pages(2);
	lose_end(&hw);
	n = missed(written, get_dirty(hwpt));
	get_dirty(hwpt);
	set_tracking(hwpt, false);
	report_case(name, "\"fired\": %d", n);
}

static void *caller(void *arg)
{
	set_tracking(*(uint32_t *)arg, true);
	return NULL;
}

static void two_callers(uint32_t hwpt)
{
	pthread_t thread;
	uint64_t written, dirty;

	clear_memory();
	fill_caches();
	set_latency(&hw, -1, COMMAND_NS);
	if (pthread_create(&thread, NULL, caller, &hwpt))
		fail("no thread");
	sleep_ms(COMMAND_NS / 1000000 / 2);
	set_tracking(hwpt, true);
	written = write_pages(1);
	pthread_join(thread, NULL);
	set_latency(&hw, -1, 0);
	dirty = get_dirty(hwpt);
	set_tracking(hwpt, false);
	report_case("two switch tracking on", "\"wrong_missed\": %d", missed(written, dirty));
}

/*
 * Two of the kernel's domain force snooping while commands take time. Both have to wait for the
 * flush; when the second one begins, the first one's has not been executed.
 */
static void two_force_snooping(void)
{
	unsigned long begun, first, second;
	char text[64], *at;

	/* Time for the second one to begin, also on a busy host. */
	set_latency(&hw, 0, 20 * COMMAND_NS);
	write_file(PARAMETERS "snoop", OTHER_DOMAIN);
	set_latency(&hw, 0, 0);
	if (!read_file(PARAMETERS "snoop", text, sizeof(text)))
		fail(PARAMETERS "snoop: cannot be read");
	begun = strtoul(text, &at, 10);
	first = strtoul(at, &at, 10);
	second = strtoul(at, &at, 10);
	report_case("two force snooping", "\"wrong_first_returned_early\": %d, "
		    "\"wrong_second_returned_early\": %d, \"fired\": %d", !first, !second,
		    !begun);
}

struct replacement {
	struct function *function;
	uint32_t hwpt;
};

static void *replace(void *arg)
{
	const struct replacement *to = arg;

	attach_pasid(to->function, PASID, to->hwpt);
	return NULL;
}

/* Return: pages that the PASID wrote and @hwpt does not know of. */
static int missed_of_pasid(struct function *function, uint32_t hwpt)
{
	uint64_t written = 0;
	int page;

	get_dirty(hwpt);
	for (page = 0; page < PAGES; page += 4) {
		if (!dma_write(function, PASID, IOVA + page * SZ_4K, 3).ok)
			fail("a write with a PASID gets a fault");
		written |= 1UL << page;
	}
	return missed(written, get_dirty(hwpt));
}

static void *switch_on_and_off(void *arg)
{
	while (!stop) {
		refused += !try_tracking(*(uint32_t *)arg, true);
		refused += !try_tracking(*(uint32_t *)arg, false);
	}
	return NULL;
}

/*
 * @tracked has tracking on all the time. First the PASID goes to and fro between it and
 * @switched, which switches tracking as fast as it can. Then @switched gets the PASID while
 * commands take time, and switches tracking on meanwhile.
 */
static void replaced(uint32_t switched, uint32_t tracked)
{
	struct function *function = hw_first(&hw, 0);
	int delay, round, by_other = 0, by_own = 0, fired;
	pthread_t thread;
	bool on;

	set_tracking(tracked, true);
	attach_pasid(function, PASID, switched);
	fired = missed_of_pasid(function, tracked);
	stop = false;
	if (pthread_create(&thread, NULL, switch_on_and_off, &switched))
		fail("no thread");
	for (round = 0; round < ROUNDS; round++) {
		attach_pasid(function, PASID, tracked);
		by_other += missed_of_pasid(function, tracked);
		attach_pasid(function, PASID, switched);
	}
	stop = true;
	pthread_join(thread, NULL);
	for (delay = 0; delay < DELAYS; delay++) {
		struct replacement to_switched = { function, switched };

		attach_pasid(function, PASID, tracked);
		set_latency(&hw, 0, COMMAND_NS);
		if (pthread_create(&thread, NULL, replace, &to_switched))
			fail("no thread");
		sleep_ms(delay * COMMAND_NS / 1000000);
		on = try_tracking(switched, true);
		pthread_join(thread, NULL);
		set_latency(&hw, 0, 0);
		refused += !on;
		if (on)
			by_own += missed_of_pasid(function, switched);
		refused += on && !try_tracking(switched, false);
	}
	detach_pasid(function, PASID);
	set_tracking(tracked, false);
	/* Of what was written while it had another domain, each page is missed. */
	report_case("tracking is switched while a PASID is replaced",
		    "\"wrong_missed_in_the_new_domain\": %d, "
		    "\"wrong_missed_where_switched_on\": %d, \"wrong_refused\": %u, "
		    "\"fired\": %d", by_other, by_own, refused, fired);
}

static void refused_by_a_unit(uint32_t hwpt)
{
	int page_missed = 0;
	unsigned long hits;
	uint64_t written;
	bool on;

	clear_memory();
	fill_caches();
	trouble(&hw, 0, HW_REFUSE, 1u << TYPE_PASID, 0, ALWAYS);
	on = try_tracking(hwpt, true);
	if (on) {
		written = write_pages(1);
		page_missed = missed(written, get_dirty(hwpt));
	}
	hits = control_get(&hw, 0, HW_TROUBLE_HITS);
	trouble(&hw, 0, 0, 0, 0, 0);
	if (on)
		set_tracking(hwpt, false);
	report_case("tracking, and a unit that refuses to invalidate PASID entries",
		    "\"wrong_on\": %d, \"wrong_missed\": %d, \"fired\": %lu", on, page_missed, hits);
	track("dirty tracking after that", hwpt);
}

/* The kernel knows that it is. Last of all: it does not come back. */
static void gone(uint32_t hwpt)
{
	struct function *function = &hw.function[hw.functions - 1];
	uint64_t at = HW_ATC_DEAD(function->slot), dead, tracked;

	clear_memory();
	fill_caches();
	control_set(&hw, function->unit, HW_ABSENT(function->slot), 1);
	write_file(PARAMETERS "gone", function->device.bdf);
	dead = control_get(&hw, function->unit, at);
	set_tracking(hwpt, true);
	set_tracking(hwpt, false);
	tracked = control_get(&hw, function->unit, at);
	unmap_in(&hw, ioas, IOVA, PAGES * SZ_4K);
	report_case("tracking, and a device that is gone",
		    "\"wrong_commands\": %lu, \"fired_by_an_unmap\": %lu",
		    (unsigned long)(tracked - dead),
		    (unsigned long)(control_get(&hw, function->unit, at) - tracked));
}

static void build_tables(void)
{
	int page;

	*(uint64_t *)tables = (TABLES + SZ_4K) | PTE_FLAGS;
	*((uint64_t *)(tables + SZ_4K) + (VA >> 30)) = (TABLES + 2 * SZ_4K) | PTE_FLAGS;
	*(uint64_t *)(tables + 2 * SZ_4K) = (TABLES + 3 * SZ_4K) | PTE_FLAGS;
	for (page = 0; page < PAGES; page++)
		*((uint64_t *)(tables + 3 * SZ_4K) + page) = (IOVA + page * SZ_4K) | PTE_FLAGS;
}

int main(void)
{
	uint32_t hwpt, parent, with_pasids[2];
	int i;

	hw_open(&hw, 2);
	mem = memory(PAGES * SZ_4K);
	tables = memory(4 * SZ_4K);
	ioas = ioas_alloc(&hw);
	map_in(&hw, ioas, mem, IOVA, PAGES * SZ_4K);
	hwpt = hwpt_alloc(&hw, &hw.function[0], ioas, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	for (i = 0; i < hw.functions; i++)
		attach_to(&hw.function[i], hwpt);

	track("dirty tracking", hwpt);
	two_callers(hwpt);
	control("dirty tracking, IOTLB and ATC commands lost", hwpt, TYPES_ATC | TYPES_IOTLB);
	two_force_snooping();
	for (i = 0; i < 2; i++)
		with_pasids[i] = hwpt_alloc(&hw, &hw.function[0], ioas,
					    IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
					    IOMMU_HWPT_ALLOC_PASID);
	attach_to(hw_first(&hw, 0), with_pasids[0]);
	replaced(with_pasids[0], with_pasids[1]);
	attach_to(hw_first(&hw, 0), hwpt);

	build_tables();
	map_in(&hw, ioas, tables, TABLES, 4 * SZ_4K);
	parent = hwpt_alloc(&hw, &hw.function[0], ioas,
			    IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_NEST_PARENT);
	for (i = 0; i < hw.functions; i++)
		attach_to(&hw.function[i],
			  nest_alloc(&hw, &hw.function[i], parent, TABLES));
	track("dirty tracking of a parent of nests", parent);
	control("dirty tracking of a parent, IOTLB and ATC commands lost", parent,
		TYPES_ATC | TYPES_IOTLB);
	for (i = 0; i < hw.functions; i++)
		attach_to(&hw.function[i], hwpt);
	refused_by_a_unit(hwpt);
	gone(hwpt);
	return 0;
}
