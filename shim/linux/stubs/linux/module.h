/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MODULE_H
#define _LINUX_MODULE_H

#include <linux/export.h>

#define MODULE_LICENSE(license)			_Static_assert(1, "")
#define MODULE_DESCRIPTION(description)		_Static_assert(1, "")
#define MODULE_INFO(tag, info)			_Static_assert(1, "")

#endif
