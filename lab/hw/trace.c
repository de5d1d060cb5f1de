// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands to the units, in the format of the kernel's own tracepoint or of alist's probe, so
 * that alist replay can read them; and lines that a program in the guest would have written to
 * trace_marker.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hw.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of the file: times go up */
static FILE *file;
static uint64_t began;

void trace_open(const char *path)
{
	file = fopen(path, "we");
	if (!file)
		die("%s: %s", path, strerror(errno));
	fprintf(file, "# tracer: nop\n#\n");
	began = now_ns();
}

/* The lock is held. */
static void begin_line(unsigned int cpu, const char *event)
{
	uint64_t us = (now_ns() - began) / 1000;

	fprintf(file, "              hw-%u       [%03u] ..... %5" PRIu64 ".%06" PRIu64 ": %s: ",
		cpu + 1, cpu, us / 1000000, us % 1000000, event);
}

void trace_event(const struct unit *unit, const char *event, const char *format, ...)
{
	va_list args;

	if (!file)
		return;
	pthread_mutex_lock(&lock);
	begin_line(unit->index, event);
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	fputc('\n', file);
	pthread_mutex_unlock(&lock);
}

void trace_text(const char *format, ...)
{
	va_list args;

	if (!file)
		return;
	pthread_mutex_lock(&lock);
	begin_line(0, "tracing_mark_write");
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	fputc('\n', file);
	pthread_mutex_unlock(&lock);
}

void trace_close(void)
{
	if (!file)
		return;
	pthread_mutex_lock(&lock);
	if (fclose(file))
		fprintf(stderr, "hw: the trace is incomplete: %s\n", strerror(errno));
	file = NULL;
	pthread_mutex_unlock(&lock);
}
