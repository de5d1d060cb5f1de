// SPDX-License-Identifier: GPL-2.0-only
/* See edu.h. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "edu.h"
#include "lab.h"

#define REG_SRC		0x80
#define REG_DST		0x88
#define REG_COUNT	0x90
#define REG_COMMAND	0x98
#define RUN		1UL
#define TO_MEMORY	2UL

struct oracle oracle;

static volatile uint64_t *reg(volatile unsigned char *bar, unsigned int offset)
{
	return (volatile uint64_t *)(bar + offset);
}

void edu_start(volatile unsigned char *bar, uint64_t from, uint64_t to, bool to_memory)
{
	*reg(bar, REG_SRC) = from;
	*reg(bar, REG_DST) = to;
	*reg(bar, REG_COUNT) = SZ_4K;
	*reg(bar, REG_COMMAND) = RUN | (to_memory ? TO_MEMORY : 0);
}

void edu_wait(volatile unsigned char *bar)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	while (*reg(bar, REG_COMMAND) & RUN)
		nanosleep(&pause, NULL);
}

static bool is_all(const unsigned char *page, unsigned char value)
{
	size_t i;

	for (i = 0; i < SZ_4K; i++) {
		if (page[i] != value)
			return false;
	}
	return true;
}

void page_clear(unsigned char *page)
{
	memset(page, CANARY, SZ_4K);
}

void expect_untouched(const char *step, unsigned char *page)
{
	if (!is_all(page, CANARY)) {
		printf("stale: %s: a page changed that the device does not have\n", step);
		oracle.stale++;
	}
	page_clear(page);
}

void expect_hit(const char *step, unsigned char *page)
{
	if (is_all(page, WRITTEN)) {
		oracle.hits++;
	} else {
		printf("stale: %s: the page that the device has was not written\n", step);
		oracle.missed++;
	}
	page_clear(page);
}

void oracle_result(int n, bool planted)
{
	printf("RESULT {\"workload\": \"stale%s\", \"n\": %d, \"stale\": %lu, \"hits\": %lu, \"missed\": %lu}\n",
	       planted ? "-planted" : "", n, oracle.stale, oracle.hits, oracle.missed);
	if (!planted && oracle.missed)
		fail("%lu transfers missed pages that the device has", oracle.missed);
	if (!planted && oracle.stale)
		fail("%lu stale pages", oracle.stale);
	if (planted && !oracle.stale)
		fail("lost invalidations, and nothing stale was seen");
}
