// SPDX-License-Identifier: GPL-2.0-only
/*
 * A function is reset, and one is unplugged, during flushes: hw_reset
 *
 * While a function is in reset or gone, an invalidation of its ATC is not answered. The kernel
 * must not send one during a reset that it makes; it learns only later that a function has been
 * unplugged. Linux attaches the domain again before it restores the configuration space with the
 * ATS enable bit: commands that arrive in between are counted separately. Meanwhile, another
 * thread unmaps in the domain that the function shares.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

#include "hw.h"

#define IOVA		0x40000000UL
#define KEPT		0x50000000UL	/* mapped all the time */
#define RESETS		8
#define RESET_NS	150000000UL	/* the kernel waits for 100 ms, and looks */
#define TIMEOUT_NS	100000000UL
#define GONE_MS		500
#define PAUSE_MS	50

static struct hardware hw;
static uint64_t *mem;
static volatile bool stop;
static uint64_t longest, unmaps;

static void *unmap_thread(void *arg)
{
	const unsigned int *pause_ms = arg;

	while (!stop) {
		uint64_t took;

		sleep_ms(*pause_ms);

		map(&hw.space, mem, IOVA, SZ_4K);
		took = now_ns();
		unmap(&hw.space, IOVA, SZ_4K);
		took = now_ns() - took;
		if (took > longest)
			longest = took;
		unmaps++;
	}
	return NULL;
}

static uint64_t off(const struct function *function)
{
	return control_get(&hw, function->unit, HW_ATC_OFF(function->slot));
}

static uint64_t dead(const struct function *function)
{
	return control_get(&hw, function->unit, HW_ATC_DEAD(function->slot));
}

static void begin(pthread_t *thread, unsigned int ms)
{
	static unsigned int pause_ms;

	pause_ms = ms;
	stop = false;
	longest = 0;
	unmaps = 0;
	if (pthread_create(thread, NULL, unmap_thread, &pause_ms))
		fail("no thread");
}

static void end(pthread_t thread)
{
	stop = true;
	pthread_join(thread, NULL);
	if (!unmaps)
		fail("no unmap was beside it");
}

static void reset(struct function *function)
{
	uint64_t commands = dead(function), early = off(function);
	pthread_t thread;
	int i;

	control_set(&hw, function->unit, HW_RESET_NS(function->slot), RESET_NS);
	begin(&thread, 0);
	for (i = 0; i < RESETS; i++) {
		if (ioctl(function->device.fd, VFIO_DEVICE_RESET))
			fail("%s: reset: %s", function->device.bdf, strerror(errno));
		expect_data(function, PASID_NONE, KEPT, 0x77);
	}
	end(thread);
	report_case("function reset beside unmaps", "\"wrong_in_reset\": %lu, "
		    "\"before_ATS_is_on_again\": %lu, \"stale\": %lu, \"unmaps\": %lu, "
		    "\"longest_unmap_ms\": %.1f",
		    (unsigned long)(dead(function) - commands),
		    (unsigned long)(off(function) - early), look(&hw), (unsigned long)unmaps,
		    longest / 1e6);
}

/* The counter of commands to a function that is not there is shown to count. */
static void control(struct function *function)
{
	uint64_t timeouts = control_get(&hw, function->unit, HW_TIMEOUTS);
	uint64_t commands = dead(function);

	map(&hw.space, mem, IOVA, SZ_4K);
	control_set(&hw, function->unit, HW_ABSENT(function->slot), 1);
	unmap(&hw.space, IOVA, SZ_4K);
	report_case("pulled out, one unmap", "\"fired_commands\": %lu, \"timeouts\": %lu",
		    (unsigned long)(dead(function) - commands),
		    (unsigned long)(control_get(&hw, function->unit, HW_TIMEOUTS) - timeouts));
}

static void pull_out(struct function *function)
{
	uint64_t commands, timeouts = control_get(&hw, 0, HW_TIMEOUTS);
	pthread_t thread;

	commands = dead(function);
	/* Each of them may be answered by many lines on the console. */
	begin(&thread, PAUSE_MS);
	sleep_ms(GONE_MS / 4);
	control_set(&hw, function->unit, HW_ABSENT(function->slot), 1);
	sleep_ms(GONE_MS);
	/* The hot-plug driver's part. */
	write_file("/sys/module/hwpci/parameters/gone", function->device.bdf);
	function_remove(function);
	end(thread);
	report_case("pulled out beside unmaps", "\"stale\": %lu, \"commands\": %lu, "
		    "\"timeouts\": %lu, \"unmaps\": %lu, \"longest_unmap_ms\": %.1f", look(&hw),
		    (unsigned long)(dead(function) - commands),
		    (unsigned long)(control_get(&hw, 0, HW_TIMEOUTS) - timeouts),
		    (unsigned long)unmaps, longest / 1e6);
}

int main(void)
{
	uint64_t *kept;

	hw_open(&hw, 0);
	mem = memory(SZ_4K);
	kept = memory(SZ_4K);
	*kept = 0x77;
	domain_alloc(&hw.space, &hw.function[0].device);
	hw_share(&hw);
	map(&hw.space, kept, KEPT, SZ_4K);
	control_set(&hw, 0, HW_TIMEOUT, TIMEOUT_NS);

	reset(&hw.function[0]);
	pull_out(&hw.function[1]);
	/* The first one may be set aside: it was asked before ATS was on again. */
	control(&hw.function[2]);
	return 0;
}
