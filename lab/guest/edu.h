/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's edu: a device that copies up to a page between its buffer and memory when it is told
 * to (docs/specs/edu.rst of QEMU); and the oracle of the programs that have it write to what is
 * mapped, and to what is not any more.
 */
#ifndef LAB_GUEST_EDU_H
#define LAB_GUEST_EDU_H

#include <stdbool.h>
#include <stdint.h>

#define EDU_ID		"1234:11e8"
#define EDU_BUFFER	0x40000
#define IOVA		0x1000000UL	/* it has 28 address bits */

/* In its configuration space: it answers, and may do DMA. */
#define EDU_COMMAND_OFFSET	4
#define EDU_COMMAND		6

/* What a page is full of that the device may not write to, and what the device writes. */
#define CANARY		0xc5
#define WRITTEN		0x3a

/* Copies a page; goes on when this returns. */
void edu_start(volatile unsigned char *bar, uint64_t from, uint64_t to, bool to_memory);
void edu_wait(volatile unsigned char *bar);

struct oracle {
	unsigned long stale, hits, missed;
};

extern struct oracle oracle;

void page_clear(unsigned char *page);
/* Each looks at a page, and clears it. */
void expect_untouched(const char *step, unsigned char *page);
void expect_hit(const char *step, unsigned char *page);
/* Prints what the oracle has counted with @n devices; fails unless it is what it should be. */
void oracle_result(int n, bool planted);

#endif
