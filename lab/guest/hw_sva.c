// SPDX-License-Identifier: GPL-2.0-only
/*
 * A function in a process's own address space: hw_sva [reset | reset-refused]
 *
 * A child binds its address space to a function and unmaps pages while an agent reads them by
 * their virtual addresses. Then it exits without unbinding, with translations cached: from then on,
 * the function must not be able to use the PASID, even before the unbind, and no other process may
 * get the PASID until then. Other children are unbound while they exit, and their unit takes time
 * for the commands of the exit: when the unbind returns, nothing may be cached, either.
 *
 * reset: a child is exiting when its function is reset. The PASID, which the kernel attaches again,
 * must not reach the address space that is going away.
 *
 * reset-refused: the same with a driver that does not attach it again. A function is also reset
 * while its child unmaps, and must not be able to use the PASID from then on, although the child
 * is still alive.
 * The function has a domain for requests without PASID, which work after the reset, and is bound
 * again.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hw.h"

#define PARAMETERS	"/sys/module/hwpci/parameters/"
#define SLOT		2		/* of the first unit, as the next one */
#define SLOT_WITHOUT_PRI 3		/* an unbind drains no page requests */
#define PAGES		32
#define ROUNDS		150
#define PATIENCE_NS	20000000000UL
#define AT		((char *)0x10000000000UL)
#define COMMAND_NS	10000000
#define DELAYS		12
#define DELAY_MS	4
#define REUSE_TRIES	50
#define END_MS		60000
#define KEPT		0x50000000UL	/* without PASID, mapped all the time */
#define RESET_NS	150000000UL	/* the kernel waits for 100 ms, and looks */
#define FEW_UNMAPS	10

static struct hardware hw;
static struct function function;
static volatile uint64_t *unmaps;	/* by a child that unmaps until it is killed */

static void open_slot(int slot)
{
	char bdf[16];

	snprintf(bdf, sizeof(bdf), "%.8s%02x.0", hw.function[0].device.bdf, slot);
	function_open(&function, bdf);
}

static void map_pages(unsigned int first, unsigned int n)
{
	char *at = AT + first * SZ_4K;
	unsigned int page;

	if (mmap(at, n * SZ_4K, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		fail("no memory at %p", at);
	for (page = 0; page < n; page++)
		*(uint64_t *)(at + page * SZ_4K) = 0x4567UL + first + page;
}

static uint32_t bind_here(void)
{
	char text[32];

	write_file(PARAMETERS "sva", function.device.bdf);
	if (!read_file(PARAMETERS "sva", text, sizeof(text)))
		fail(PARAMETERS "sva: cannot be read");
	return (uint32_t)number(text);
}

/* Return: pages of which the function does not read what is there. */
static uint32_t misread(uint32_t pasid)
{
	uint32_t wrong = 0;
	unsigned int page;

	for (page = 0; page < PAGES; page++) {
		struct access access = dma_read(&function, pasid, (uintptr_t)AT + page * SZ_4K);

		wrong += !access.ok || access.data != 0x4567UL + page;
	}
	return wrong;
}

static void must_be_0(uint32_t wrong)
{
	if (wrong)
		fail("%s: reads %u pages wrongly", function.device.bdf, wrong);
}

/* What a child says before it exits. */
struct child {
	uint32_t pasid, wrong;
};

static void unmap_beside_agent(uint32_t pasid)
{
	unsigned int round, page, seed = 1;
	uint64_t patience = now_ns() + PATIENCE_NS;

	munmap(AT, PAGES * SZ_4K);
	agent_start(&function, pasid, (uintptr_t)AT, PAGES, HW_CMD_READ);
	/* An agent comes last where there are more of all than CPUs. */
	for (round = 0; round < ROUNDS || (!agent_has_read(&function) && now_ns() < patience); round++) {
		unsigned int first, n;

		seed = seed * 1103515245 + 12345;
		first = (seed >> 8) % PAGES;
		n = 1 + (seed >> 16) % (PAGES - first);
		for (page = first; page < first + n; page++)
			agent_page(&function, page, true);
		map_pages(first, n);
		usleep(1000);
		munmap(AT + first * SZ_4K, n * SZ_4K);
		for (page = first; page < first + n; page++)
			agent_page(&function, page, false);
		usleep(500);
	}
	agent_stop(&function);
	if (!agent_has_read(&function))
		fail("the agent has read nothing");
	report_case("munmap() of a process beside DMA", "\"stale\": %lu, \"accesses\": %lu",
		    (unsigned long)agent_get(&function, HW_AGENT_STALE),
		    (unsigned long)agent_get(&function, HW_AGENT_DONE));
}

enum behaviour {
	EXITS,
	UNMAPS,			/* beside an agent, and exits then */
	LINGERS,		/* at its end, until hwpci is told */
	STAYS,
	CHURNS,			/* unmaps until it is killed */
};

/* A child that is bound, and does that next. */
static struct child start_child(enum behaviour behaviour, pid_t *pid_of)
{
	struct child child;
	int pipes[2];
	pid_t pid;

	if (pipe(pipes))
		fail("no pipe");
	pid = fork();
	if (!pid) {
		if (behaviour == LINGERS)
			write_file(PARAMETERS "linger", "1");
		child.pasid = bind_here();
		map_pages(0, PAGES);
		child.wrong = misread(child.pasid);
		if (behaviour == UNMAPS) {
			unmap_beside_agent(child.pasid);
			map_pages(0, PAGES);
			must_be_0(misread(child.pasid));
		}
		if (write(pipes[1], &child, sizeof(child)) != sizeof(child))
			fail("no pipe");
		while (behaviour == STAYS)
			pause();
		while (behaviour == CHURNS) {
			map_pages(PAGES, 1);
			munmap(AT + PAGES * SZ_4K, SZ_4K);
			++*unmaps;
		}
		_exit(0);
	}
	close(pipes[1]);
	if (read(pipes[0], &child, sizeof(child)) != sizeof(child))
		fail("the child has said nothing");
	close(pipes[0]);
	*pid_of = pid;
	return child;
}

static void wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || status)
		fail("the child ends with status %d", status);
}

/* Return: the PASID of a process that is no more. */
static uint32_t in_a_child(enum behaviour behaviour)
{
	struct child child;
	pid_t pid;

	child = start_child(behaviour, &pid);
	must_be_0(child.wrong);
	wait_for(pid);
	return child.pasid;
}

static void unbind(void)
{
	write_file(PARAMETERS "unbind", function.device.bdf);
}

static unsigned long through(uint32_t pasid)
{
	unsigned long n = 0;
	unsigned int page;

	for (page = 0; page < PAGES; page++)
		n += dma_read(&function, pasid, (uintptr_t)AT + page * SZ_4K).ok;
	return n;
}

/* While a child exits, from before it has begun until after its end. */
static void unbind_beside_exit(void)
{
	unsigned long stale = 0, got = 0, wrong = 0;
	unsigned int delay;
	struct child child;
	pid_t pid;

	open_slot(SLOT_WITHOUT_PRI);
	set_latency(&hw, function.unit, COMMAND_NS);
	for (delay = 0; delay < DELAYS; delay++) {
		child = start_child(EXITS, &pid);
		sleep_ms(delay * DELAY_MS);
		unbind();
		stale += look(&hw);
		got += through(child.pasid);
		wrong += child.wrong;
		wait_for(pid);
	}
	set_latency(&hw, function.unit, 0);
	report_case("unbound while it exits", "\"stale\": %lu, \"stale_through\": %lu, "
		    "\"wrong_data_of_the_next_process\": %lu, \"times\": %d", stale, got, wrong,
		    DELAYS);
}

/* @pasid: of a process that is no more, and not unbound. */
static void pasid_is_kept(uint32_t pasid)
{
	uint32_t other = in_a_child(EXITS);
	int reused = 0, tries;

	unbind();
	/* The last reference to the process's memory goes later. */
	for (tries = 0; tries < REUSE_TRIES && !reused; tries++) {
		reused = in_a_child(EXITS) == pasid;
		unbind();
		sleep_ms(10);
	}
	report_case("the PASID of a process that was bound", "\"wrong_reused_while_bound\": %d, "
		    "\"fired_reused_later\": %d", other == pasid, reused);
}

/* By the kernel, which attaches what was attached. */
static void reset(void)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", function.device.bdf);
	write_file(path, "1");
}

/*
 * The function is reset while a child is at its end: the IOMMU has been told that the address
 * space goes, will not be told again, and the pages are not freed yet.
 */
static void reset_at_the_end(void)
{
	unsigned long got, stale;
	struct child child;
	char text[8];
	int ms = 0;
	pid_t pid;

	open_slot(SLOT_WITHOUT_PRI);
	child = start_child(LINGERS, &pid);
	must_be_0(child.wrong);
	while (read_file(PARAMETERS "linger", text, sizeof(text)) && !number(text)) {
		if (ms++ == END_MS)
			fail("the child does not end");
		sleep_ms(1);
	}
	reset();
	got = through(child.pasid);
	write_file(PARAMETERS "linger", "0");
	wait_for(pid);
	stale = look(&hw);
	got += through(child.pasid);
	unbind();
	report_case("reset while a process that is bound exits", "\"stale\": %lu, "
		    "\"stale_through\": %lu", stale, got);
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unbind();
}

/* With a child that lives on, the same reset is shown to attach the PASID anew. */
static void reset_attaches(void)
{
	struct child child;
	unsigned long live;
	pid_t pid;

	child = start_child(STAYS, &pid);
	reset();
	live = through(child.pasid);
	end_child(pid);
	report_case("reset while a process that is bound lives", "\"fired_through\": %lu", live);
}

static uint64_t of_slot(uint64_t offset)
{
	return control_get(&hw, function.unit, offset);
}

static void wait_for_unmaps(void)
{
	uint64_t began = *unmaps;
	int ms = 0;

	while (*unmaps - began < FEW_UNMAPS) {
		if (ms++ == END_MS)
			fail("the child does not unmap");
		sleep_ms(1);
	}
}

/* Without PASID, and with that of a child that is bound. */
static void must_work(void)
{
	struct child child;
	pid_t pid;

	expect_data(&function, PASID_NONE, KEPT, 0x77);
	child = start_child(STAYS, &pid);
	must_be_0(child.wrong);
	end_child(pid);
}

static void reset_beside_unmaps(void)
{
	uint64_t commands, after, dead, off;
	unsigned long got, stale;
	struct child child;
	pid_t pid;

	child = start_child(CHURNS, &pid);
	must_be_0(child.wrong);
	commands = of_slot(HW_ATC_COUNT(function.slot));
	wait_for_unmaps();
	commands = of_slot(HW_ATC_COUNT(function.slot)) - commands;

	dead = of_slot(HW_ATC_DEAD(function.slot));
	off = of_slot(HW_ATC_OFF(function.slot));
	reset();
	after = of_slot(HW_ATC_COUNT(function.slot));
	stale = look(&hw);
	got = through(child.pasid);
	wait_for_unmaps();
	got += through(child.pasid);
	after = of_slot(HW_ATC_COUNT(function.slot)) - after;
	expect_data(&function, PASID_NONE, KEPT, 0x77);
	end_child(pid);
	stale += look(&hw);
	got += through(child.pasid);
	report_case("reset beside unmaps of the process that is bound", "\"stale\": %lu, "
		    "\"stale_through\": %lu, \"fired_commands_before\": %lu, "
		    "\"wrong_in_reset\": %lu, \"wrong_with_ATS_off\": %lu, "
		    "\"wrong_commands_after\": %lu", stale, got, (unsigned long)commands,
		    (unsigned long)(of_slot(HW_ATC_DEAD(function.slot)) - dead),
		    (unsigned long)(of_slot(HW_ATC_OFF(function.slot)) - off),
		    (unsigned long)after);
}

/* The old entry has to stay cached, too: the new one has no such PASID. */
static void reset_commands_lost(void)
{
	unsigned long got, stale;
	struct child child;
	pid_t pid;

	child = start_child(STAYS, &pid);
	must_be_0(child.wrong);
	lose(&hw, TYPES_ALL & ~(1u << TYPE_WAIT));
	reset();
	stale = look(&hw);
	got = through(child.pasid);
	lose_end(&hw);
	end_child(pid);
	report_case("reset while a process that is bound lives, all but waits lost",
		    "\"fired\": %lu, \"fired_through\": %lu", stale, got);
}

/* The function is VFIO's: it has a domain that the model of its unit reads. */
static void reset_refused(void)
{
	uint64_t *kept = memory(SZ_4K);

	unmaps = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (unmaps == MAP_FAILED)
		fail("no memory");
	function = hw.function[0];
	*kept = 0x77;
	domain_alloc(&hw.space, &function.device);
	attach(&function.device, &hw.space);
	map(&hw.space, kept, KEPT, SZ_4K);
	control_set(&hw, function.unit, HW_RESET_NS(function.slot), RESET_NS);

	must_work();
	reset_beside_unmaps();
	must_work();
	/* Last of all: nothing makes up for that. */
	reset_commands_lost();
}

int main(int argc, char **argv)
{
	bool refused = argc == 2 && !strcmp(argv[1], "reset-refused");
	unsigned long stale, got;
	uint32_t pasid;

	if (argc > 2 || (argc == 2 && !refused && strcmp(argv[1], "reset")))
		fail("usage: hw_sva [reset | reset-refused]");
	hw_open(&hw, 1);
	if (argc == 2) {
		reset_at_the_end();
		if (refused)
			reset_refused();
		else
			reset_attaches();
		return 0;
	}
	open_slot(SLOT);
	pasid = in_a_child(UNMAPS);
	stale = look(&hw);
	got = through(pasid);
	report_case("a process that is bound exits", "\"stale\": %lu, \"stale_through\": %lu",
		    stale, got);
	pasid_is_kept(pasid);

	lose(&hw, TYPES_IOTLB | TYPES_ATC | 1u << TYPE_PASID);
	pasid = in_a_child(EXITS);
	stale = look(&hw);
	got = through(pasid);
	lose_end(&hw);
	unbind();
	report_case("a process exits, commands lost", "\"fired\": %lu, \"fired_through\": %lu",
		    stale, got);
	unbind_beside_exit();
	return 0;
}
