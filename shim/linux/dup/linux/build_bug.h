/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BUILD_BUG_H
#define _LINUX_BUILD_BUG_H

#include <assert.h>

/* Before C23, C wants a text; the condition is one. */
#undef static_assert
#define static_assert(...)		shim_assert(__VA_ARGS__, #__VA_ARGS__, )
#define shim_assert(condition, text, ...)	_Static_assert(condition, text)

#endif
