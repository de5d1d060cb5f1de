/* SPDX-License-Identifier: GPL-2.0-only */
/* What is static but for its tests. */
#ifndef _KUNIT_VISIBILITY_H
#define _KUNIT_VISIBILITY_H

#include <linux/kconfig.h>

#if IS_ENABLED(CONFIG_KUNIT)
#define VISIBLE_IF_KUNIT
#else
#define VISIBLE_IF_KUNIT	static
#endif

#define EXPORT_SYMBOL_IF_KUNIT(symbol)	_Static_assert(1, "")

#endif
