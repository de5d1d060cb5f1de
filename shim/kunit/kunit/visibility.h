/* SPDX-License-Identifier: GPL-2.0-only */
/* What is static but for its tests, and for the library that calls it. */
#ifndef _KUNIT_VISIBILITY_H
#define _KUNIT_VISIBILITY_H

#include <linux/kconfig.h>

#if IS_ENABLED(CONFIG_KUNIT) || defined(SHIM_LIBRARY)
#define VISIBLE_IF_KUNIT
#else
#define VISIBLE_IF_KUNIT	static
#endif

#define EXPORT_SYMBOL_IF_KUNIT(symbol)	_Static_assert(1, "")

#endif
