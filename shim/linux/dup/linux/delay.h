/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_DELAY_H
#define _LINUX_DELAY_H

#include <unistd.h>

#define msleep(ms)		usleep((ms) * 1000)
#define mdelay(ms)		usleep((ms) * 1000)
#define usleep_range(min, max)	((void)(max), usleep(min))

#endif
