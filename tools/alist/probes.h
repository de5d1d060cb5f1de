/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The probes of alist record: what the vendors' drivers have no events for.
 */
#ifndef ALIST_PROBES_H
#define ALIST_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe;

struct vendor_probes {
	const char *name;
	const char *sysfs;		/* how its instances begin in /sys/class/iommu */
	const char *events;		/* of tracefs; NULL: none */
	const struct probe *probes;
};

#define PROBES_VENDORS	4

extern const struct vendor_probes probes_vendors[PROBES_VENDORS];

/* Where probes are defined. */
struct probes_place {
	const char *tracefs;
	const char *symbols;		/* /proc/kallsyms */
	const char *group;		/* of the events */
	bool btf;			/* the kernel knows the names of arguments */
	/* For what the log will lack: "warning: .." */
	void (*warn)(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
};

/* Return: whether any was defined. */
bool probes_add(const struct probes_place *place, const struct vendor_probes *vendor);

/*
 * How often the kernel skipped a probe of the group: one that is hit in an interrupt of
 * another's handler, and a return for which it has no place. 0 also where it does not tell.
 */
uint64_t probes_missed(const char *tracefs, const char *group);

/* To a file of tracefs. Return: 0 or -errno. */
int probes_write(const char *path, const char *text, bool append);

#endif /* ALIST_PROBES_H */
