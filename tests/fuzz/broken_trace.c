// SPDX-License-Identifier: GPL-2.0-only
/* The control of fuzz_trace: linked so that the reader takes each third line for the first. */
#include "tools/alist/trace.h"

int __real_trace_next(struct trace *trace, struct trace_event *event);
int __wrap_trace_next(struct trace *trace, struct trace_event *event);

int __wrap_trace_next(struct trace *trace, struct trace_event *event)
{
	int ret = __real_trace_next(trace, event);

	if (ret == 1 && event->line % 3 == 0)
		event->line = 1;
	return ret;
}
