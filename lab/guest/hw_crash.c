// SPDX-License-Identifier: GPL-2.0-only
/*
 * A crash kernel finds what another kernel has left: hw_crash
 *
 * Translation is enabled, and functions do DMA through the other kernel's tables, through entries
 * that this kernel has copied. When it takes a function over, this has to end: nothing of the old
 * domain may be cached, in particular not in the function's ATC, which is enabled then. The kernel
 * first attaches the function to its own domain; then VFIO attaches it to a domain of this program.
 */
#include <stdio.h>
#include <string.h>

#include "hw.h"

#define PARAMETERS	"/sys/module/hwpci/parameters/"
#define FIRST		"0001:00:01.0"
#define SECOND		"0002:00:02.0"
#define ANY		"1"
#define IOVA		0x40000000UL
#define AFTER_MS	200

static struct hardware hw;
static struct function kernels, ours;
static uint64_t not_yet;	/* what the agent calls stale before it is told what it may reach */

static void begin(struct function *function)
{
	unsigned int page;

	agent_start(function, PASID_NONE, HW_LEFT_IOVA, HW_LEFT_PAGES, HW_CMD_READ);
	for (page = 0; page < HW_LEFT_PAGES; page++)
		agent_page(function, page, true);
	sleep_ms(AFTER_MS);
	not_yet = agent_get(function, HW_AGENT_STALE);
}

/* From now on it must not reach them. */
static void taken_over(struct function *function)
{
	unsigned int page;

	for (page = 0; page < HW_LEFT_PAGES; page++)
		agent_page(function, page, false);
}

static unsigned long reach(struct function *function)
{
	unsigned long n = 0;
	unsigned int page;

	for (page = 0; page < HW_LEFT_PAGES; page++)
		n += dma_read(function, PASID_NONE, HW_LEFT_IOVA + page * SZ_4K).ok;
	return n;
}

static void report(const char *name, struct function *function, unsigned long before)
{
	unsigned long stale = look(&hw), through = reach(function);

	sleep_ms(AFTER_MS);
	agent_stop(function);
	if (!agent_get(function, HW_AGENT_DONE))
		fail("the agent has read nothing");
	/* What was reached before shows that this would see it. */
	report_case(name, "\"fired_before\": %lu, \"stale\": %lu, \"stale_through\": %lu, "
		    "\"stale_agent\": %lu, \"accesses\": %lu", before, stale, through,
		    (unsigned long)(agent_get(function, HW_AGENT_STALE) - not_yet),
		    (unsigned long)agent_get(function, HW_AGENT_DONE));
}

static void by_the_kernel(void)
{
	unsigned long before = reach(&kernels), stale;
	char text[32];
	uint64_t iova;

	begin(&kernels);
	write_file(PARAMETERS "dma", FIRST);
	taken_over(&kernels);
	if (!read_file(PARAMETERS "dma", text, sizeof(text)))
		fail(PARAMETERS "dma: cannot be read");
	iova = number(text);
	expect_data(&kernels, PASID_NONE, iova, HW_DMA_PATTERN);
	report("taken over by the kernel's domain", &kernels, before);

	write_file(PARAMETERS "undma", ANY);
	stale = look(&hw);
	report_case("the kernel's domain, unmap", "\"stale\": %lu, \"stale_through\": %d", stale,
		    dma_read(&kernels, PASID_NONE, iova).ok);
}

static void by_vfio(void)
{
	unsigned long before = reach(&ours);
	uint64_t *mem = memory(SZ_4K);
	int i;

	begin(&ours);
	hw_open(&hw, 2);
	domain_alloc(&hw.space, &hw.function[0].device);
	for (i = 0; i < hw.functions; i++)
		attach(&hw.function[i].device, &hw.space);
	taken_over(&ours);
	*mem = 0x2345;
	map(&hw.space, mem, IOVA, SZ_4K);
	for (i = 0; i < hw.functions; i++)
		expect_data(&hw.function[i], PASID_NONE, IOVA, 0x2345);
	report("taken over by VFIO", &ours, before);
	unmap(&hw.space, IOVA, SZ_4K);
	report_case("VFIO's domain, unmap", "\"stale\": %lu", look(&hw));
}

int main(void)
{
	hw_open_units(&hw);
	function_open(&kernels, FIRST);
	function_open(&ours, SECOND);
	by_the_kernel();
	by_vfio();
	return 0;
}
