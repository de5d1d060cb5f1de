/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ALIST_EVENTS_H
#define ALIST_EVENTS_H

#include "cursor.h"

/* SMMUv3 queues have no more. */
#define TRACE_COMMANDS_MAX	(1u << 19)

struct event_form {
	const char *name;
	const char *system;		/* NULL: a probe, of any group */
	enum trace_type type;
	/* Fills the rest of *@event from what is printed after the name. */
	bool (*parse)(struct cursor *c, struct trace_event *event);
	const char *form;		/* for the message */
	bool for_map;			/* TRACE_TAG_FLUSH: what was mapped */
};

/* The last has no name. */
extern const struct event_form event_forms[];

/* @name: with or without its system. NULL: none of ours. */
const struct event_form *event_find(const struct trace_text *name);

#endif /* ALIST_EVENTS_H */
