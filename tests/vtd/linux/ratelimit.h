/* SPDX-License-Identifier: GPL-2.0-only */
/* No message is held back. */
#ifndef _LINUX_RATELIMIT_H
#define _LINUX_RATELIMIT_H

#define DEFINE_RATELIMIT_STATE(name, interval, burst)	int name
#define __ratelimit(state)				((void)(state), true)

#endif
