/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_TRACEPOINT_DEFS_H
#define _LINUX_TRACEPOINT_DEFS_H

#define DECLARE_TRACEPOINT(name)	struct shim_no_tracepoint
#define tracepoint_enabled(name)	false
#define EXPORT_TRACEPOINT_SYMBOL_GPL(name)	struct shim_no_tracepoint

#endif
