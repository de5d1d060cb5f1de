/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BITFIELD_H
#define _LINUX_BITFIELD_H

#include <linux/bits.h>

#define GENMASK_ULL(high, low)	(~0ULL >> (63 - (high)) & ~0ULL << (low))
#define FIELD_GET(mask, word)	(((word) & (mask)) >> __builtin_ctzll(mask))
#define FIELD_PREP(mask, value)	((u64)(value) << __builtin_ctzll(mask) & (mask))

#endif
