/* SPDX-License-Identifier: GPL-2.0-only */
/* Fetching what is read soon */
#ifndef _LINUX_PREFETCH_H
#define _LINUX_PREFETCH_H

#define prefetch(address)	__builtin_prefetch(address)

#endif
