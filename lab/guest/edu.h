/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's edu: a device that copies up to a page between its buffer and memory when it is told
 * to. See docs/specs/edu.rst of QEMU.
 */
#ifndef LAB_GUEST_EDU_H
#define LAB_GUEST_EDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define EDU_ID		"1234:11e8"
#define EDU_BUFFER	0x40000
#define EDU_PAGE	0x1000
#define IOVA		0x1000000UL	/* it has 28 address bits */

/* In its configuration space: it answers, and may do DMA. */
#define EDU_COMMAND_OFFSET	4
#define EDU_COMMAND		6

#define EDU_REG_SRC	0x80
#define EDU_REG_DST	0x88
#define EDU_REG_COUNT	0x90
#define EDU_REG_RUN	0x98
#define EDU_RUN		1UL
#define EDU_TO_MEMORY	2UL

/* A page that no device may write to is full of these. */
#define CANARY		0xc5
#define WRITTEN		0x3a

static inline volatile uint64_t *edu_reg(volatile unsigned char *bar, unsigned int offset)
{
	return (volatile uint64_t *)(bar + offset);
}

/* Copies a page; goes on when this returns. */
static inline void edu_start(volatile unsigned char *bar, uint64_t from, uint64_t to,
			     bool to_memory)
{
	*edu_reg(bar, EDU_REG_SRC) = from;
	*edu_reg(bar, EDU_REG_DST) = to;
	*edu_reg(bar, EDU_REG_COUNT) = EDU_PAGE;
	*edu_reg(bar, EDU_REG_RUN) = EDU_RUN | (to_memory ? EDU_TO_MEMORY : 0);
}

static inline bool edu_is_running(volatile unsigned char *bar)
{
	return *edu_reg(bar, EDU_REG_RUN) & EDU_RUN;
}

static inline void edu_wait(volatile unsigned char *bar)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	while (edu_is_running(bar))
		nanosleep(&pause, NULL);
}

static inline bool is_all(const unsigned char *page, unsigned char value)
{
	size_t i;

	for (i = 0; i < EDU_PAGE; i++) {
		if (page[i] != value)
			return false;
	}
	return true;
}

#endif
