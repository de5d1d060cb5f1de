/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_CACHE_H
#define _LINUX_CACHE_H

/* Of most machines; it is about speed alone. */
#define L1_CACHE_BYTES	64

#endif
