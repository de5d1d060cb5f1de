// SPDX-License-Identifier: GPL-2.0-only
/*
 * ATS is disabled and enabled during unmaps: hw_ats
 *
 * All functions share a domain in which pages are mapped and unmapped while agents use them. One
 * function is detached and attached, which disables and enables its ATS in legacy mode, then
 * removed and found again, which does so in both modes. No ATC command may reach it while its ATS
 * is off, and nothing stale may be in its ATC when ATS is on again.
 *
 * Then a page is unmapped while that function is being detached and commands take time: when the
 * unmap has returned, the function must not reach the page, whatever the detach still has to do.
 *
 * SMMUv3's driver empties an ATC after it has disabled ATS, and before it enables it: functions
 * answer with ATS off there, and such commands are only counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "hw.h"

#define PARAMETERS	"/sys/module/hwpci/parameters/"
#define IOVA		0x40000000UL
#define KEPT		0x50000000UL	/* mapped all the time */
#define PAGES		32
#define ROUNDS		150
#define FEW_ROUNDS	20
#define OFF_MS		1000
#define COMMAND_MS	20
#define DELAYS		10
#define ATS_CTL		(HW_CAP_ATS + 4)

static struct hardware hw;
static struct function *toggled;
static char *mem;
static uint64_t *kept;
static struct churn pages;
static volatile bool stop;
static bool off_answers;

static int config_open(int flags)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", toggled->device.bdf);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

static bool ats_is_on(void)
{
	uint32_t control;
	int fd = config_open(O_RDONLY);

	if (pread(fd, &control, sizeof(control), ATS_CTL) != sizeof(control))
		fail("ATS control: %s", strerror(errno));
	close(fd);
	return control >> 31;
}

/* Behind the kernel's back. */
static void switch_ats(bool on)
{
	uint32_t control = on ? 1U << 31 : 0;
	int fd = config_open(O_WRONLY);

	if (pwrite(fd, &control, sizeof(control), ATS_CTL) != sizeof(control))
		fail("ATS control: %s", strerror(errno));
	close(fd);
}

static uint64_t off(void)
{
	return control_get(&hw, toggled->unit, HW_ATC_OFF(toggled->slot)) +
	       control_get(&hw, toggled->unit, HW_ATC_DEAD(toggled->slot));
}

struct toggles {
	unsigned long times, off;
};

static void *detach_and_attach(void *arg)
{
	struct toggles *toggles = arg;

	while (!stop) {
		detach(&toggled->device);
		toggles->off += !ats_is_on();
		attach(&toggled->device, &hw.space);
		expect_data(toggled, PASID_NONE, KEPT, 0x77);
		toggles->times++;
	}
	return NULL;
}

static void *remove_and_find(void *arg)
{
	struct toggles *toggles = arg;
	char bdf[16];

	snprintf(bdf, sizeof(bdf), "%s", toggled->device.bdf);
	while (!stop) {
		/* VFIO resets what it closes; what an ATC command meets then is hw_reset's matter. */
		detach(&toggled->device);
		function_remove(toggled);
		write_file(PARAMETERS "back", bdf);
		function_take(&hw, toggled, bdf);
		attach(&toggled->device, &hw.space);
		if (!ats_is_on())
			fail("%s: ATS is off while it is attached", bdf);
		expect_data(toggled, PASID_NONE, KEPT, 0x77);
		toggles->times++;
	}
	return NULL;
}

static void beside(const char *name, void *(*toggle)(void *))
{
	struct toggles toggles = { 0 };
	struct agents agents;
	uint64_t commands = off();
	pthread_t thread;

	stop = false;
	if (pthread_create(&thread, NULL, toggle, &toggles))
		fail("no thread");
	agents = churn(&hw, &pages, ROUNDS);
	stop = true;
	pthread_join(thread, NULL);
	if (!toggles.times)
		fail("%s: not once", name);
	report_case(name, "\"stale\": %lu, \"stale_entries\": %lu, "
		    "\"%scommands_with_ATS_off\": %lu, \"times\": %lu, "
		    "\"ATS_was_off_when_detached\": %lu", agents.stale, look(&hw),
		    off_answers ? "" : "wrong_", (unsigned long)(off() - commands),
		    toggles.times, toggles.off);
}

static void *detach_it(void *arg)
{
	(void)arg;
	detach(&toggled->device);
	return NULL;
}

/*
 * No other function of its unit has the domain, and the unit takes its time: until it has executed
 * the detach's first command, the old entry is cached. Return: how often the function has read a
 * page whose unmap had returned.
 */
static unsigned long through_while_detached(void)
{
	unsigned long through = 0;
	pthread_t thread;
	int delay;

	detach(&hw_first(&hw, toggled->unit)->device);
	for (delay = 0; delay < DELAYS; delay++) {
		map(&hw.space, mem, IOVA, SZ_4K);
		dma_read(toggled, PASID_NONE, IOVA);
		set_latency(&hw, toggled->unit, COMMAND_MS * 1000000);
		if (pthread_create(&thread, NULL, detach_it, NULL))
			fail("no thread");
		sleep_ms(delay * COMMAND_MS / DELAYS);
		unmap(&hw.space, IOVA, SZ_4K);
		through += dma_read(toggled, PASID_NONE, IOVA).ok;
		pthread_join(thread, NULL);
		set_latency(&hw, toggled->unit, 0);
		attach(&toggled->device, &hw.space);
	}
	attach(&hw_first(&hw, toggled->unit)->device, &hw.space);
	return through;
}

/* A kernel that asks until it is answered has to come to an end. */
static void *switch_on_later(void *arg)
{
	(void)arg;
	sleep_ms(OFF_MS);
	switch_ats(true);
	return NULL;
}

static void controls(void)
{
	pthread_t thread;
	uint64_t commands = off();
	struct agents agents;

	lose(&hw, TYPES_ATC);
	agents = churn_until_stale(&hw, &pages, FEW_ROUNDS);
	lose_end(&hw);
	map_in(&hw, hw.space.ioas, mem, IOVA, PAGES * SZ_4K);
	unmap_in(&hw, hw.space.ioas, IOVA, PAGES * SZ_4K);
	switch_ats(false);
	if (pthread_create(&thread, NULL, switch_on_later, NULL))
		fail("no thread");
	map_in(&hw, hw.space.ioas, mem, IOVA, PAGES * SZ_4K);
	unmap_in(&hw, hw.space.ioas, IOVA, PAGES * SZ_4K);
	pthread_join(thread, NULL);
	report_case("ATC commands lost, ATS off unknown to the kernel",
		    "\"fired_agents\": %lu, \"fired_commands\": %lu", agents.stale,
		    (unsigned long)(off() - commands));
}

int main(void)
{
	hw_open(&hw, 2);
	toggled = &hw.function[1];
	off_answers = hw_type(&hw, toggled) == IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	mem = memory(PAGES * SZ_4K);
	kept = memory(SZ_4K);
	*kept = 0x77;
	domain_alloc(&hw.space, &hw.function[0].device);
	hw_share(&hw);
	map(&hw.space, kept, KEPT, SZ_4K);
	pages = (struct churn){
		.ioas = hw.space.ioas, .memory = mem, .iova = IOVA,
		.pasid = PASID_NONE, .agent_iova = IOVA, .pages = PAGES,
	};
	beside("detached and attached beside unmaps", detach_and_attach);
	beside("removed and found beside unmaps", remove_and_find);
	report_case("unmap while a function is being detached", "\"stale_through\": %lu, "
		    "\"times\": %d", through_while_detached(), DELAYS);
	controls();
	/* Its entry must stay cached, too. Last of all: nothing makes up for that. */
	lose(&hw, TYPES_ALL & ~(1u << TYPE_WAIT));
	report_case("unmap while a function is being detached, all but waits lost",
		    "\"fired_through\": %lu", through_while_detached());
	lose_end(&hw);
	return 0;
}
