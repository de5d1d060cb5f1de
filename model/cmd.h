/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the decoders of the four vendors share: fields of a command word, the
 * three ways in which commands encode a range of addresses, and the text of a
 * decoded command.
 *
 * Every range that a command names is turned into its first and last address,
 * both inclusive, because the whole address space has no size in 64 bits:
 *
 *   order   size-aligned region of 2^order pages, low address bits not looked
 *           at: VT-d address mask (6.5.2.3, table 22), SMMUv3 ATC (4.5.1)
 *   napot   the lowest zero of the address bits from 12 up is the topmost bit
 *           of the offset: PCIe ATS (10.2.3.2), so VT-d, AMD, RISC-V
 *   count   (num + 1) << scale pages from the address on, which need not be
 *           aligned and does not wrap: SMMUv3 TLBI (4.4.1.1)
 *
 * The text of a command is its class, whom it is for, and what it names, in the
 * same words for all vendors: "page A" is one page, "page A am N" the region of
 * 2^N pages around A, "all" everything.
 */
#ifndef MODEL_CMD_H
#define MODEL_CMD_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

#define CMD_BIT(n)		(UINT64_C(1) << (n))
#define CMD_MASK(hi, lo)	((UINT64_MAX >> (63 - (hi))) & (UINT64_MAX << (lo)))
#define CMD_PAGE_MASK		CMD_MASK(63, MODEL_PAGE_SHIFT)

/* Pages in the whole address space: 2^52. */
#define CMD_MAX_ORDER		(64 - MODEL_PAGE_SHIFT)

struct cmd_range {
	uint64_t first;
	uint64_t last;
};

#define CMD_RANGE_ALL		((struct cmd_range){ 0, UINT64_MAX })

static inline uint64_t cmd_bits(uint64_t word, unsigned int hi, unsigned int lo)
{
	return (word & CMD_MASK(hi, lo)) >> lo;
}

/* From CMD_MAX_ORDER on, the size is 0 modulo 2^64, the offset all ones: all. */
static inline struct cmd_range cmd_range_order(uint64_t addr, unsigned int order)
{
	uint64_t offset = (MODEL_PAGE_SIZE << order) - 1;

	return (struct cmd_range){ addr & ~offset, addr | offset };
}

/* Address bits that are all ones encode no size at all. */
static inline bool cmd_napot_valid(uint64_t addr)
{
	return (addr & CMD_PAGE_MASK) != CMD_PAGE_MASK;
}

static inline struct cmd_range cmd_range_napot(uint64_t addr)
{
	/* ones up to and without the lowest zero */
	uint64_t ones = addr | (MODEL_PAGE_SIZE - 1);

	return (struct cmd_range){ ones & (ones + 1), ones | (ones + 1) };
}

static inline struct cmd_range cmd_range_count(uint64_t addr, unsigned int num,
					       unsigned int scale)
{
	uint64_t first = addr & CMD_PAGE_MASK;
	/* Up to 32 << 31 pages: 2^48 bytes. */
	uint64_t size = ((uint64_t)num + 1) << (scale + MODEL_PAGE_SHIFT);

	if (size - 1 > UINT64_MAX - first)
		return (struct cmd_range){ first, UINT64_MAX };
	return (struct cmd_range){ first, first + size - 1 };
}

struct cmd_text {
	char *buf;
	size_t size;
	size_t len;
};

/* Appends; what does not fit is cut off. */
static inline __attribute__((format(printf, 2, 3))) void
cmd_add(struct cmd_text *text, const char *format, ...)
{
	va_list args;
	int n;

	if (text->len >= text->size)
		return;
	va_start(args, format);
	n = vsnprintf(text->buf + text->len, text->size - text->len, format, args);
	va_end(args);
	if (n > 0)
		text->len += (size_t)n;
}

/* A size-aligned region. */
static inline void cmd_add_region(struct cmd_text *text, struct cmd_range range)
{
	uint64_t pages = (range.last - range.first) >> MODEL_PAGE_SHIFT;

	if (range.first == 0 && range.last == UINT64_MAX)
		cmd_add(text, " all");
	else if (pages == 0)
		cmd_add(text, " page 0x%" PRIx64, range.first);
	else
		cmd_add(text, " page 0x%" PRIx64 " am %d", range.first,
			__builtin_popcountll(pages));
}

static inline void cmd_add_pasid(struct cmd_text *text, bool any, uint32_t pasid)
{
	if (any)
		cmd_add(text, " any-pasid");
	else if (pasid != MODEL_NO_PASID)
		cmd_add(text, " pasid %" PRIu32, pasid);
}

#endif /* MODEL_CMD_H */
