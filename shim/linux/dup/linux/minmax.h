/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MINMAX_H
#define _LINUX_MINMAX_H

#define min_t(type, a, b)						\
({									\
	type __min_a = (a), __min_b = (b);				\
									\
	__min_a < __min_b ? __min_a : __min_b;				\
})
#define max_t(type, a, b)						\
({									\
	type __max_a = (a), __max_b = (b);				\
									\
	__max_a > __max_b ? __max_a : __max_b;				\
})
#define min(a, b)	min_t(typeof(1 ? (a) : (b)), a, b)
#define max(a, b)	max_t(typeof(1 ? (a) : (b)), a, b)
#define clamp(value, low, high)						\
({									\
	typeof(1 ? (value) : (low)) __value = (value);			\
	typeof(__value) __low = (low), __high = (high);			\
									\
	__value < __low ? __low : __value > __high ? __high : __value;	\
})
#define swap(a, b)							\
do {									\
	typeof(a) __swap = (a);						\
									\
	(a) = (b);							\
	(b) = __swap;							\
} while (0)

#endif
