/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KCONFIG_H
#define _LINUX_KCONFIG_H

/* 1 if the option is defined to 1, 0 if it is not defined. */
#define __KCONFIG_SECOND(first, second, ...)	second
#define __KCONFIG_COMMA_1			0,
#define __KCONFIG_PICK(comma_or_junk)	__KCONFIG_SECOND(comma_or_junk 1, 0, 0)
#define __KCONFIG_VALUE(value)		__KCONFIG_PICK(__KCONFIG_COMMA_##value)
#define IS_ENABLED(option)		__KCONFIG_VALUE(option)

#endif
