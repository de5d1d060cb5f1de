/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_HASH_H
#define _LINUX_HASH_H

#include <linux/types.h>

/* 2^64 over the golden ratio: spreads consecutive values. */
static inline u32 hash_64(u64 value, unsigned int bits)
{
	return (value * 0x61c8864680b583ebULL) >> (64 - bits);
}


#endif
