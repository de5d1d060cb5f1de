/* SPDX-License-Identifier: GPL-2.0-only */
/* Warnings that are counted, and fatal with CONFIG_PANIC_ON_WARN. */
#ifndef _LINUX_BUG_H
#define _LINUX_BUG_H

#include <linux/compiler.h>
#include <linux/types.h>

struct shim_warn_site {
	const char *file;
	int line;
	const char *func;
	const char *what;
	bool fired;
	struct shim_warn_site *next;
};

void shim_warn(struct shim_warn_site *site, bool once);

/* The shim prints, each site once; the library has others. */
void shim_warn_tell(const struct shim_warn_site *site);
bool shim_warn_again(void);

#define __SHIM_WARN(condition, message, once)				\
({									\
	static struct shim_warn_site __site = {				\
		__FILE__, __LINE__, __func__, message, false, NULL		\
	};								\
	bool __warn = !!(condition);					\
									\
	if (unlikely(__warn))						\
		shim_warn(&__site, once);				\
	unlikely(__warn);						\
})

#define WARN_ON(condition)	__SHIM_WARN(condition, #condition, false)
#define WARN_ON_ONCE(condition)	__SHIM_WARN(condition, #condition, true)
#define WARN_ONCE(condition, message, ...) __SHIM_WARN(condition, message, true)
#define BUILD_BUG_ON(condition)	_Static_assert(!(condition), #condition)

#endif
