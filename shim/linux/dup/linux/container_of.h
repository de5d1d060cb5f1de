/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_CONTAINER_OF_H
#define _LINUX_CONTAINER_OF_H

#include <stddef.h>

#ifdef __cplusplus
#define container_of(ptr, type, member)					\
	((type *)((char *)(ptr) - offsetof(type, member)))
#else
#define container_of(ptr, type, member)					\
({									\
	_Static_assert(__builtin_types_compatible_p(typeof(*(ptr)),	\
				typeof(((type *)0)->member)) ||		\
		       __builtin_types_compatible_p(typeof(*(ptr)), void), \
		       "pointer does not point to the member");		\
	(type *)((char *)(ptr) - offsetof(type, member));		\
})
#endif

#endif
