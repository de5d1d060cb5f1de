/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading an ftrace log: the text of /sys/kernel/tracing/trace, trace-cmd report, perf
 * script or ftrace_dump in the kernel's log, one event after the other, in memory that
 * does not grow with the log.
 *
 * The strings of an event point into the reader's line and live until the next
 * trace_next().
 */
#ifndef ALIST_TRACE_H
#define ALIST_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line; ftrace itself cuts at a page. */
#define TRACE_LINE_MAX	65536

/* Words that are read of a submission. */
#define TRACE_WORDS_MAX	64

enum trace_type {
	TRACE_RUN,		/* a new run begins: nothing known before holds */
	TRACE_LOST,		/* the ring buffer dropped events here */
	TRACE_MAP,
	TRACE_UNMAP,
	TRACE_ATTACH,
	TRACE_DETACH,
	TRACE_TAG_ASSIGN,	/* VT-d */
	TRACE_TAG_UNASSIGN,
	TRACE_TAG_FLUSH,	/* one tag of a flush; its commands follow */
	TRACE_QI,		/* VT-d descriptor */
	TRACE_AMD,		/* AMD command */
	TRACE_SMMU,		/* SMMUv3 submission */
	TRACE_RISCV,		/* RISC-V command */
	TRACE_FLUSH_BEGIN,	/* what alist record adds: a flush function is called, */
	TRACE_FLUSH_END,	/* and returns */
	TRACE_WAIT_BEGIN,	/* commands are submitted and waited for */
	TRACE_WAIT_END,
	TRACE_MARK,		/* a program's own marker */
	TRACE_QUIET,		/* ours, says nothing about caches (groups, faults) */
	TRACE_OTHER,		/* an event of another set */
};

/* The execution context that an event interrupts, from the flags column. */
enum trace_context {
	TRACE_TASK,
	TRACE_SOFTIRQ,
	TRACE_HARDIRQ,
	TRACE_NMI,		/* not of an event that trace_next() returns */
};

struct trace_text {
	const char *s;
	size_t len;
};

struct trace_event {
	enum trace_type type;
	uint64_t line;
	uint64_t ns;
	unsigned int cpu;
	unsigned int pid;
	struct trace_text task;
	enum trace_context context;
	union {
		struct trace_text text;			/* RUN, MARK */
		uint64_t lost;				/* LOST */
		struct {
			uint64_t iova;
			uint64_t paddr;
			uint64_t size;			/* unmap: really unmapped */
		} map;
		struct trace_text device;		/* ATTACH, DETACH */
		struct {
			struct trace_text iommu;
			struct trace_text device;
			bool devtlb;
			bool nesting;
			bool map;		/* FLUSH: for what was mapped */
			uint32_t did;
			uint32_t pasid;
			uint32_t users;
		} tag;
		struct {
			struct trace_text iommu;
			unsigned int op;		/* AMD, SMMUv3 */
			unsigned int n;			/* commands */
			bool sync;			/* SMMUv3 */
			unsigned int nr_words;
			uint64_t words[TRACE_WORDS_MAX];
		} cmd;
	};
};

struct trace;

/*
 * Copies text so that it can be printed anywhere: UTF-8 as it is, control characters
 * and other bytes as \xNN. Return: false if @to is too small; it is cut then.
 */
bool trace_clean(char *to, size_t size, const char *s, size_t len);

enum trace_clock {
	TRACE_SECONDS,		/* or microseconds, as ftrace_dump prints */
	TRACE_COUNTS,		/* of what is not known: x86-tsc, counter */
};

/*
 * @path: "-" is standard input; may be packed. NULL with errno set, or if @error is given
 * with text in it: what was found, and what to run instead.
 */
struct trace *trace_open(const char *path, char *error, size_t size);
void trace_close(struct trace *trace);
/*
 * Return: 1 with *@event filled, 0 at the end of a sound log, -1 on an error,
 * which trace_error() describes.
 */
int trace_next(struct trace *trace, struct trace_event *event);
/* Of the events so far; until there is one, TRACE_SECONDS. */
enum trace_clock trace_clock(const struct trace *trace);
/* "1.5" in nanoseconds, or "15" as it is. Return: false if it is neither. */
bool trace_parse_time(const char *text, uint64_t *seconds_ns, uint64_t *count);
/* What alist record says about the machine, of this run: "KEY=VALUE KEY=VALUE.."; or "". */
const char *trace_note(const struct trace *trace);
/* "FILE:LINE: what was expected". */
const char *trace_error(const struct trace *trace);
/* What may be wrong with a log that could be read to its end; "": nothing. */
const char *trace_warning(const struct trace *trace);
/* Bytes read so far, and of the whole log (0: not known). */
uint64_t trace_position(const struct trace *trace);
uint64_t trace_size(const struct trace *trace);

#endif /* ALIST_TRACE_H */
