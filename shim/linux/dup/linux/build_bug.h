/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __LINUX_BUILD_BUG_H
#define __LINUX_BUILD_BUG_H

#define static_assert(expression)	_Static_assert(expression, #expression)

#endif /* __LINUX_BUILD_BUG_H */
