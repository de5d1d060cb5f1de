// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log reader. A log is a sequence of runs; a run is a header (lines that begin with
 * '#', or the "cpus=N" of trace-cmd) and events, in one of these forms:
 *
 *	TASK-PID     [CPU] FLAGS  TIME: EVENT: what it prints	ftrace, trace-cmd report
 *	TASK-PID     CPUFLAGS TIME: EVENT: ..			latency format, ftrace_dump
 *	TASK PID     [CPU] TIME: SYSTEM:EVENT: ..		perf script
 *
 * TASK may hold anything, so a line is read from the first "-PID [CPU] " on. FLAGS may be
 * missing. In front there may be what a mail or the kernel's log puts there; such a log may
 * hold other lines, too.
 *
 * The reader accepts what it does not know and refuses what it knows to be broken: a line
 * that is no event, an event of ours that does not print as ours do, a time that goes back
 * on one CPU, fewer events than the header announced, an end in the middle of a line. A log
 * with a hole that nobody mentions would make a rebuilt machine a fiction.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "events.h"
#include "input.h"
#include "trace.h"

#define BUFFER_SIZE	(1u << 20)
#define CPUS_MAX	4096
/* Readers of a live ring buffer may see CPUs merged this far out of order. */
#define MERGE_SLACK_NS	1000000000ull

struct trace {
	struct input input;
	char *path;
	uint64_t position;
	uint64_t line;
	char error[512];
	char warning[512];

	char *buffer;			/* [start, end) is not yet parsed */
	size_t start;
	size_t end;
	bool eof;
	bool unended;			/* the last line has no newline */

	/* Since the run began. */
	bool any_event;
	bool lost;
	uint64_t announced;		/* entries, by the header; 0: no word */
	uint64_t entries;
	uint64_t newest_ns;
	struct {
		uint64_t ns;
		uint32_t pid;
		enum trace_context context;
	} cpu[CPUS_MAX];		/* the last event of each */

	uint64_t overwritten;		/* entries, by the header: to be told */
	char note[512];

	enum trace_clock clock, line_clock;
	bool any_time;			/* so that there is one */
	uint64_t ours;			/* events of ours in the whole log */
	uint64_t foreign;		/* the first line that is none of a log's */
	const char *foreign_hint;
	bool embedded;			/* in a mail or the kernel's log, among others */
	enum {
		NO_DUMP,		/* that is known of */
		DUMP_ANNOUNCED,
		IN_DUMP,
		AFTER_DUMP,
	} dump;				/* of the ring, by the kernel into its log */
	bool perf;			/* call chains may follow an event */
	bool free_text;			/* the last event may go on in the next line */
};

/* The length of the character at @s, if it is one to print; else 0. */
static size_t printable(const unsigned char *s, size_t len)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	uint32_t code;
	size_t n, i;

	if (s[0] < 0x80)
		return s[0] >= ' ' && s[0] != 0x7f;
	n = s[0] >= 0xf0 && s[0] < 0xf8 ? 3 : s[0] >= 0xe0 ? 2 : s[0] >= 0xc0 ? 1 : 0;
	if (!n || s[0] >= 0xf8 || n >= len)
		return 0;
	code = s[0] & (0x3f >> n);
	for (i = 1; i <= n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	/* Too long, a surrogate, C1 controls, or what turns the text around. */
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
	    code < 0xa0 || (code >= 0x200e && code <= 0x200f) ||
	    (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
		return 0;
	return n + 1;
}

bool trace_clean(char *to, size_t size, const char *s, size_t len)
{
	size_t at = 0, i = 0, n;

	while (i < len) {
		n = printable((const unsigned char *)s + i, len - i);
		if (at + (n ? n : 4) >= size)
			break;
		if (n) {
			memcpy(to + at, s + i, n);
			at += n;
			i += n;
		} else {
			at += snprintf(to + at, size - at, "\\x%02x", (unsigned char)s[i++]);
		}
	}
	to[at] = '\0';
	return i == len;
}

/* "FILE:LINE: ..", of the line at hand. Return: -1 */
__attribute__((format(printf, 2, 3)))
static int fail(struct trace *trace, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(trace->error, sizeof(trace->error), "%s:%" PRIu64 ": ", trace->path,
		     trace->line);
	if (n < 0 || (size_t)n >= sizeof(trace->error))
		return -1;
	va_start(ap, fmt);
	vsnprintf(trace->error + n, sizeof(trace->error) - n, fmt, ap);
	va_end(ap);
	return -1;
}

/* What mails and editors made of blanks. */
static void tabs_to_blanks(char *p, char *end)
{
	while ((p = memchr(p, '\t', end - p)))
		*p++ = ' ';
}

struct trace *trace_open(const char *path, char *error, size_t size)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	size_t len = strlen(path) * 4 + sizeof("<stdin>");
	int saved;

	if (size)
		error[0] = '\0';
	if (!trace)
		return NULL;
	trace->input.fd = -1;
	trace->path = malloc(len);
	trace->buffer = malloc(BUFFER_SIZE);
	if (!trace->path || !trace->buffer)
		goto fail;
	if (!strcmp(path, "-"))
		strcpy(trace->path, "<stdin>");
	else
		trace_clean(trace->path, len, path, strlen(path));
	if (input_open(&trace->input, path)) {
		saved = errno;
		if (size)
			snprintf(error, size, "%s", trace->input.error);
		errno = saved;
		goto fail;
	}
	memcpy(trace->buffer, trace->input.head, trace->input.head_len);
	trace->end = trace->input.head_len;
	tabs_to_blanks(trace->buffer, trace->buffer + trace->end);
	return trace;
fail:
	saved = errno;
	trace_close(trace);
	errno = saved;
	return NULL;
}

void trace_close(struct trace *trace)
{
	input_close(&trace->input);
	free(trace->buffer);
	free(trace->path);
	free(trace);
}

const char *trace_error(const struct trace *trace)
{
	return trace->error;
}

uint64_t trace_position(const struct trace *trace)
{
	return trace->position;
}

uint64_t trace_size(const struct trace *trace)
{
	return trace->input.size;
}

enum trace_clock trace_clock(const struct trace *trace)
{
	return trace->clock;
}

const char *trace_note(const struct trace *trace)
{
	return trace->note;
}

const char *trace_warning(const struct trace *trace)
{
	return trace->warning;
}

/* More of the log. Return: 0, also at its end; -1. */
static int fill(struct trace *trace)
{
	size_t len = trace->end - trace->start;
	bool first = !trace->position && !len;
	ssize_t n;

	if (trace->start) {
		memmove(trace->buffer, trace->buffer + trace->start, len);
		trace->start = 0;
		trace->end = len;
	}
	do {
		n = read(trace->input.fd, trace->buffer + len, BUFFER_SIZE - len);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		trace->line++;
		return fail(trace, "cannot read: %s", strerror(errno));
	}
	trace->eof = n == 0;
	if ((trace->eof && input_finish(&trace->input)) ||
	    (first && input_check(&trace->input, trace->buffer, n))) {
		trace->line++;
		return fail(trace, "%s", trace->input.error);
	}
	tabs_to_blanks(trace->buffer + len, trace->buffer + len + n);
	trace->end += n;
	return 0;
}

/* One line without its end, which may be missing from the last. Return: 1, 0 at the end, -1. */
static int next_line(struct trace *trace, struct trace_text *line)
{
	const char *newline;
	size_t seen = 0;

	for (;;) {
		const char *from = trace->buffer + trace->start;
		size_t len = trace->end - trace->start;

		newline = memchr(from + seen, '\n', len - seen);
		*line = (struct trace_text){ from, newline ? (size_t)(newline - from) : len };
		if (newline || trace->eof || len >= TRACE_LINE_MAX)
			break;
		seen = len;
		if (fill(trace))
			return -1;
	}
	if (!newline && !line->len)
		return 0;
	trace->line++;
	if (line->len >= TRACE_LINE_MAX)
		return fail(trace, "expected a line of less than %u bytes", TRACE_LINE_MAX);
	trace->unended = !newline;
	trace->start += line->len + !!newline;
	trace->position += line->len + !!newline;
	/* Of Windows, or of a serial line. */
	while (line->len && line->s[line->len - 1] == '\r')
		line->len--;
	while (line->len && line->s[0] == '\r') {
		line->s++;
		line->len--;
	}
	return 1;
}

static enum trace_context context_of(const struct trace_text *flags)
{
	size_t i;

	/* The third column of irqs-off, need-resched, hardirq/softirq, .. */
	for (i = 0; i < flags->len; i++) {
		switch (flags->s[i]) {
		case 'Z':
		case 'z':
			return TRACE_NMI;
		case 'H':
		case 'h':
			return TRACE_HARDIRQ;
		case 's':
			return TRACE_SOFTIRQ;
		}
	}
	return TRACE_TASK;
}

/* "1.234567" or, with a clock that counts, "1234567" */
static bool time_value(struct cursor *c, uint64_t *ns, enum trace_clock *clock)
{
	uint64_t whole, part, unit = 1000000000;

	if (!decimal(c, &whole))
		return false;
	*ns = whole;
	*clock = TRACE_COUNTS;
	if (c->p == c->end || *c->p != '.')
		return true;
	c->p++;
	if (whole > UINT64_MAX / 2000000000)
		return false;
	for (part = 0; c->p < c->end && is_digit(*c->p); c->p++) {
		if (unit == 1)
			return false;
		unit /= 10;
		part += (*c->p - '0') * unit;
	}
	*ns = whole * 1000000000 + part;
	*clock = TRACE_SECONDS;
	return true;
}

bool trace_parse_time(const char *text, uint64_t *seconds_ns, uint64_t *count)
{
	struct cursor c = { text, text + strlen(text) };
	enum trace_clock clock;
	uint64_t value;

	if (!time_value(&c, &value, &clock) || c.p != c.end)
		return false;
	*count = value;
	if (clock == TRACE_COUNTS && value > UINT64_MAX / 2000000000)
		*seconds_ns = UINT64_MAX;
	else
		*seconds_ns = clock == TRACE_COUNTS ? value * 1000000000 : value;
	return true;
}

/* "1.234567:", "1234567:", or as ftrace_dump "1234567us :", "12us!:" */
static bool timestamp(struct cursor *c, uint64_t *ns, enum trace_clock *clock)
{
	struct cursor save = *c;

	if (!time_value(c, ns, clock))
		goto no;
	if (literal(c, "us")) {
		if (*clock == TRACE_COUNTS && *ns > UINT64_MAX / 1000)
			goto no;
		*ns = *clock == TRACE_COUNTS ? *ns * 1000 : *ns / 1000000;
		*clock = TRACE_SECONDS;
		while (c->p < c->end && *c->p != ':' && strchr(" !+#*@$", *c->p))
			c->p++;
	}
	if (literal(c, ":"))
		return true;
no:
	*c = save;
	return false;
}

/* From @start to @end, without the blanks around it. */
static struct trace_text trimmed(const char *start, const char *end)
{
	while (start < end && *start == ' ')
		start++;
	while (start < end && end[-1] == ' ')
		end--;
	return (struct trace_text){ start, end - start };
}

/* "FLAGS TIME:" or "TIME:" */
static bool parse_when(struct trace *trace, struct cursor *c, struct trace_text *flags,
		       struct trace_event *event)
{
	enum trace_clock clock;

	skip_blanks(c);
	if (!timestamp(c, &event->ns, &clock)) {
		if (!flags || !word(c, '\0', flags))
			return false;
		skip_blanks(c);
		if (!timestamp(c, &event->ns, &clock))
			return false;
	}
	trace->line_clock = clock;
	return true;
}

/* What is before "[CPU]": "TASK-PID", with an optional "(TGID)", or "TASK PID" of perf. */
static bool parse_task(struct trace *trace, const char *start, const char *end,
		       struct trace_event *event)
{
	const char *p = end;
	struct cursor c;

	while (p > start && p[-1] == ' ')
		p--;
	if (p > start && p[-1] == ')') {
		while (p > start && *p != '(')
			p--;
		while (p > start && p[-1] == ' ')
			p--;
	}
	end = p;
	while (p > start && is_digit(p[-1]))
		p--;
	if (p <= start || p == end)
		return false;
	c = (struct cursor){ p, end };
	if (!decimal32(&c, &event->pid))
		return false;
	if (p[-1] == '-') {
		event->task = trimmed(start, p - 1);
		return true;
	}
	/* "PID/TID": tasks are told apart by the latter. */
	if (p[-1] == '/') {
		for (p--; p > start && is_digit(p[-1]);)
			p--;
		if (p <= start)
			return false;
	}
	if (p[-1] != ' ')
		return false;
	event->task = trimmed(start, p);
	trace->perf = true;
	return event->task.len;
}

/* "-PID CPUFLAGS TIME:" */
static bool parse_latency_frame(struct trace *trace, struct cursor *c,
				struct trace_event *event)
{
	const char *dash = c->p;

	while ((dash = memchr(dash, '-', c->end - dash))) {
		struct cursor at = { ++dash, c->end };
		struct trace_text flags;
		uint32_t cpu;

		if (dash - 1 == c->p || !decimal32(&at, &event->pid) || at.p == at.end ||
		    *at.p != ' ')
			continue;
		skip_blanks(&at);
		if (!decimal32(&at, &cpu) || !word(&at, '\0', &flags) || flags.len > 8 ||
		    !parse_when(trace, &at, NULL, event))
			continue;
		event->task = trimmed(c->p, dash - 1);
		event->cpu = cpu;
		event->context = context_of(&flags);
		c->p = at.p;
		return true;
	}
	return false;
}

static bool parse_frame(struct trace *trace, struct cursor *c, struct trace_event *event)
{
	const char *bracket = c->p;
	struct trace_text flags = { "", 0 };
	uint32_t cpu;

	for (;; bracket++) {
		struct cursor at;

		bracket = memchr(bracket, '[', c->end - bracket);
		if (!bracket)
			break;
		at.p = bracket + 1;
		at.end = c->end;
		if (!decimal32(&at, &cpu) || !literal(&at, "]") ||
		    !parse_task(trace, c->p, bracket, event) ||
		    !parse_when(trace, &at, &flags, event))
			continue;
		event->cpu = cpu;
		event->context = context_of(&flags);
		c->p = at.p;
		goto found;
	}
	if (!parse_latency_frame(trace, c, event))
		return false;
found:
	skip_blanks(c);
	/* trace-cmd report --ts-diff */
	if (literal(c, "(+")) {
		while (c->p < c->end && *c->p++ != ')')
			;
		skip_blanks(c);
	}
	return true;
}

/* "Nov 28 12:00:00 host kernel: ", "<4>1 2026-11-28T12:00:00Z host kernel - - - " */
static void skip_syslog(struct cursor *c)
{
	static const char name[] = " kernel: ", rfc5424[] = " kernel - - - ";
	const char *end = c->end - c->p < 100 ? c->end : c->p + 100;
	const char *colon = c->p, *dashes = NULL;

	if (c->p < c->end && *c->p == '<')
		dashes = memmem(c->p, end - c->p, rfc5424, strlen(rfc5424));
	if (dashes) {
		c->p = dashes + strlen(rfc5424);
		return;
	}

	for (; (colon = memchr(colon, ':', end - colon)); colon++) {
		ptrdiff_t before = strlen(" kernel");

		if (colon - c->p >= before && end - colon > 1 &&
		    !memcmp(colon - before, name, strlen(name))) {
			c->p = colon + strlen(": ");
			return;
		}
	}
}

/* "2026-11-28T12:00:00,123456+01:00 ", "2026-11-28 12:00:00.123 " */
static bool skip_date(struct cursor *c)
{
	struct cursor at = *c;
	uint64_t n;

	if (!decimal(&at, &n) || !literal(&at, "-") || !decimal(&at, &n) ||
	    !literal(&at, "-") || !decimal(&at, &n) ||
	    (!literal(&at, "T") && !literal(&at, " ")) ||
	    !decimal(&at, &n) || !literal(&at, ":"))
		return false;
	while (at.p < at.end && *at.p != ' ')
		at.p++;
	*c = at;
	return true;
}

/* "12:00:00 ", "12:00:00.123 ", "Nov 28 12:00:00 " of ts and of terminals. */
static bool skip_clock(struct cursor *c)
{
	struct cursor at = *c;
	struct trace_text month;
	uint64_t n;
	int i;

	if (at.p < at.end && isupper((unsigned char)*at.p)) {
		if (!word(&at, '\0', &month) || month.len != 3)
			return false;
		skip_blanks(&at);
		if (!decimal(&at, &n) || !literal(&at, " "))
			return false;
	}
	for (i = 0; i < 3; i++)
		if ((i && !literal(&at, ":")) || at.end - at.p < 2 || !is_digit(at.p[0]) ||
		    !is_digit(at.p[1]) || !decimal(&at, &n) || n > 60)
			return false;
	if (literal(&at, ".") && !decimal(&at, &n))
		return false;
	if (!literal(&at, " "))
		return false;
	*c = at;
	return true;
}

/*
 * What dmesg puts there, with -d, -e and -T, in any language, too: "[  438.308478] ",
 * "[   T12] ", "[    2.047119 <    0.000001>] ", "[  +0.000001] ",
 * "[Sat Nov 28 12:00:00 2026] "; and vendors' kernels: "[  438.308478@0] "
 */
static bool skip_bracket(struct cursor *c)
{
	struct cursor at = *c;
	bool digit = false;

	if (!literal(&at, "["))
		return false;
	for (; at.p < at.end && *at.p != ']'; at.p++) {
		if (!isalnum((unsigned char)*at.p) && !((unsigned char)*at.p >> 7) &&
		    !strchr(" .:,+-<>@/", *at.p))
			return false;
		digit |= is_digit(*at.p);
	}
	if (!digit || !literal(&at, "]") || (at.p < at.end && *at.p != ' ' && *at.p != '['))
		return false;
	*c = at;
	return true;
}

/*
 * "12:", "log.txt:12:", "trace.dat: ", "buffer:   " of grep and of trace-cmd report, of
 * several files or buffers; not "tmux: server", which is a task.
 */
static bool skip_source(struct cursor *c)
{
	struct cursor at = *c, number;
	struct trace_text name;
	size_t digits = 0;
	uint64_t n;

	if (!word(&at, ':', &name) || !literal(&at, ":") || at.p == at.end)
		return false;
	number = at;
	if (decimal(&number, &n) && literal(&number, ":") && number.p < number.end) {
		*c = number;
		return true;
	}
	while (digits < name.len && is_digit(name.s[digits]))
		digits++;
	if (digits < name.len && !literal(&at, "  ") &&
	    !(memchr(name.s, '.', name.len) && literal(&at, " ")))
		return false;
	*c = at;
	return true;
}

/* "\033[32m" of dmesg --color */
static bool skip_colour(struct cursor *c)
{
	struct cursor at = *c;

	if (!literal(&at, "\x1b["))
		return false;
	while (at.p < at.end && (is_digit(*at.p) || *at.p == ';'))
		at.p++;
	if (!literal(&at, "m"))
		return false;
	*c = at;
	return true;
}

/* "4,1234,438308478,-;", "4,1234,438308478,-,caller=T9;" of /dev/kmsg and netconsole. */
static bool skip_kmsg(struct cursor *c)
{
	struct cursor at = *c;
	uint64_t n;

	if (!decimal(&at, &n) || !literal(&at, ",") || !decimal(&at, &n) ||
	    !literal(&at, ",") || !decimal(&at, &n) || !literal(&at, ","))
		return false;
	while (at.p < at.end && *at.p != ' ' && *at.p != ';')
		at.p++;
	if (!literal(&at, ";"))
		return false;
	*c = at;
	return true;
}

/*
 * What mails, the kernel's log and programs that print it put in front: "> ", "JD> ", "| ",
 * "<6>", "kern  :warn  : ", "Nov 28 12:00:00 host kernel: ", and the above.
 */
static bool skip_prefix(struct cursor *c)
{
	const char *start = c->p;
	uint64_t n;

	skip_syslog(c);
	for (;;) {
		struct cursor at = *c;
		size_t initials = 0;

		skip_blanks(&at);
		while (initials < 4 && at.p + initials < at.end &&
		       isupper((unsigned char)at.p[initials]))
			initials++;
		if (at.p + initials < at.end && at.p[initials] == '>') {
			at.p += initials + 1;
		} else if (literal(&at, "kern ")) {
			at.p = memmem(at.p, at.end - at.p, " : ", 3);
			if (!at.p)
				return c->p != start;
			at.p += 3;
		} else if (literal(&at, "<")) {
			if (!decimal(&at, &n) || !literal(&at, ">"))
				return c->p != start;
		} else if (!literal(&at, "| ") && !skip_bracket(&at) && !skip_date(&at) &&
			   !skip_clock(&at) && !skip_source(&at) && !skip_kmsg(&at) &&
			   !skip_colour(&at)) {
			return c->p != start;
		}
		*c = at;
		literal(c, " ");
	}
}

static bool contains(const struct trace_text *line, const char *s)
{
	return memmem(line->s, line->len, s, strlen(s));
}

/* The first number of the rest, if there is one; else 1. */
static uint64_t how_many(struct cursor c)
{
	uint64_t n;

	while (c.p < c.end && !is_digit(*c.p))
		c.p++;
	return decimal(&c, &n) ? n : 1;
}

/*
 * Where ftrace_dump begins and ends. Its lines are among others even if they have nothing
 * in front of them, as from dmesg -t.
 */
static bool parse_dump(struct trace *trace, const struct trace_text *line)
{
	static const char rule[] = "---------------------------------";
	struct cursor c = { line->s, line->s + line->len };

	/* Or "Dumping ftrace instance NAME buffer:" */
	if (literal(&c, "Dumping ftrace ") && contains(line, "buffer:")) {
		trace->embedded = true;
		trace->dump = DUMP_ANNOUNCED;
		return true;
	}
	if (!trace->dump || !literal(&c, rule) || !at_end(&c))
		return false;
	trace->dump = trace->dump == DUMP_ANNOUNCED ? IN_DUMP : AFTER_DUMP;
	return true;
}

/*
 * The log of the kernel has lost lines, which may have been events: of a console,
 * "** 12 printk messages dropped **"; of journald, "Missed 12 kernel messages" and
 * "/dev/kmsg buffer overrun, some messages lost."; of rsyslog's imkmsg.
 */
static bool parse_lost_lines(struct trace *trace, const struct trace_text *line,
			     struct trace_event *event)
{
	static const char dropped[] = " printk messages dropped", missed[] = ": Missed ";
	struct cursor c = { line->s, line->s + line->len };

	/* Before the first event, and after the last of a dump, there were none. */
	if (trace->dump ? trace->dump == AFTER_DUMP : !trace->any_event)
		return false;
	event->lost = 1;
	if (contains(line, dropped)) {
		c.p = memmem(line->s, line->len, "** ", 3);
		if (c.p)
			event->lost = how_many(c);
	} else if (contains(line, missed) && contains(line, " kernel messages")) {
		c.p = memmem(line->s, line->len, missed, strlen(missed));
		event->lost = how_many(c);
	} else if (!contains(line, "kmsg buffer overrun") &&
		   !contains(line, "messages in circular buffer got overwritten")) {
		return false;
	}
	event->type = TRACE_LOST;
	return true;
}

/*
 * "CPU:1 [LOST 12 EVENTS]", "CPU:1 [12 EVENTS DROPPED]", "CPU 0: 3 MISSED EVENTS"; perf
 * script --show-lost-events: "PERF_RECORD_LOST lost 12" in place of an event
 */
static bool parse_lost(const struct trace_text *line, struct trace_event *event)
{
	struct cursor c = { line->s, line->s + line->len };
	uint64_t n;

	skip_blanks(&c);
	if (literal(&c, "PERF_RECORD_LOST")) {
		event->type = TRACE_LOST;
		event->lost = 1;
		c.p = memmem(c.p, c.end - c.p, "lost ", 5);
		if (c.p && literal(&c, "lost "))
			decimal(&c, &event->lost);
		return true;
	}
	if (!literal(&c, "CPU") || !contains(line, "EVENTS") ||
	    (!contains(line, "LOST") && !contains(line, "DROPPED") &&
	     !contains(line, "MISSED")))
		return false;
	c.p++;
	if (c.p > c.end || !decimal(&c, &n))
		return false;
	event->type = TRACE_LOST;
	event->lost = how_many(c);
	return true;
}

/* What trace-cmd report prints around the events, with -V and --debug, too. */
static bool is_report_header(const struct trace_text *line)
{
	static const char *const verbose[] = {
		"registering plugin: ", "overriding event (", "removing override handler for event (",
		" TIME EXTEND: ", " TIME STAMP: ", " PADDING: ",
	};
	struct cursor c = { line->s, line->s + line->len };
	uint64_t n;
	size_t i;

	for (i = 0; i < sizeof(verbose) / sizeof(verbose[0]); i++)
		if (literal(&c, verbose[i]))
			return true;
	if (literal(&c, "CPU:") && decimal(&c, &n) && literal(&c, " [SUBBUFFER START]"))
		return true;
	c.p = line->s;
	if (literal(&c, "cpus=") || literal(&c, "version = "))
		return decimal(&c, &n) && at_end(&c);
	return literal(&c, "CPU ") && decimal(&c, &n) &&
	       literal(&c, " is empty") && at_end(&c);
}

static int finish_run(struct trace *trace)
{
	if (trace->entries < trace->announced && !trace->lost)
		return fail(trace,
			    "expected %" PRIu64 " events, as the header says, the log ends after %" PRIu64 ": truncated?",
			    trace->announced, trace->entries);
	trace->overwritten = 0;
	trace->any_event = false;
	trace->lost = false;
	trace->announced = 0;
	trace->entries = 0;
	trace->newest_ns = 0;
	memset(trace->cpu, 0, sizeof(trace->cpu));
	return 0;
}

/* "3/99": so many are in the ring, of so many. */
static bool parse_entries(struct trace *trace, struct cursor *c)
{
	uint64_t written;

	if (!decimal(c, &trace->announced) || !literal(c, "/") || !decimal(c, &written))
		return false;
	/* A ring that was full went on with the newest. */
	if (written > trace->announced)
		trace->overwritten = written - trace->announced;
	return true;
}

/* @label: what the line says about it. Return: 1, or -1. */
static int begin_run(struct trace *trace, struct cursor label, struct trace_event *event)
{
	if (finish_run(trace))
		return -1;
	skip_blanks(&label);
	event->type = TRACE_RUN;
	event->text.s = label.p;
	event->text.len = label.end - label.p;
	return 1;
}

/* Return: 1 if a run begins with this comment, or events are lost; 0 if not; -1. */
static int parse_comment(struct trace *trace, const struct trace_text *line,
			 struct trace_event *event)
{
	struct cursor c = { line->s, line->s + line->len }, text;
	uint64_t us;

	if (literal(&c, "### RUN") ||
	    (literal(&c, "# tracer:") && trace->any_event))
		return begin_run(trace, c, event);
	if (literal(&c, "# entries-in-buffer/entries-written: ") &&
	    (!parse_entries(trace, &c) || !word_ends(&c)))
		return fail(trace, "expected 'entries-in-buffer/entries-written: N/N'");
	/* Latency format: "# latency: 0 us, #3/3, CPU#0 | (M:preempt .. #P:2)" */
	if (literal(&c, "# latency: ") &&
	    (!decimal(&c, &us) || !literal(&c, " us, #") || !parse_entries(trace, &c) ||
	     !literal(&c, ", CPU#")))
		return fail(trace, "expected 'latency: N us, #N/N, CPU#N'");
	if (!literal(&c, "# alist record: "))
		return 0;
	text = c;
	if (decimal(&c, &event->lost) && literal(&c, " events lost") && at_end(&c)) {
		event->type = TRACE_LOST;
		trace->lost = true;
		return 1;
	}
	snprintf(trace->note, sizeof(trace->note), "%.*s", (int)(text.end - text.p), text.p);
	return trace->any_event ? begin_run(trace, (struct cursor){ c.end, c.end }, event) : 0;
}

static int check_time(struct trace *trace, const struct trace_event *event)
{
	static const char hint[] = " (several logs in one? Pass them as files of their own)";
	enum trace_clock clock = trace->line_clock;
	uint64_t earliest;

	if (event->cpu >= CPUS_MAX)
		return fail(trace, "expected a CPU below %u", CPUS_MAX);
	if (trace->any_time && clock != trace->clock)
		return fail(trace, "expected a time in %s, as before: one clock in a log",
			    trace->clock == TRACE_COUNTS ? "ticks" : "seconds");
	trace->any_time = true;
	trace->clock = clock;
	earliest = trace->cpu[event->cpu].ns;
	if (clock == TRACE_SECONDS && trace->newest_ns > earliest + MERGE_SLACK_NS)
		earliest = trace->newest_ns - MERGE_SLACK_NS;
	if (event->ns < earliest && clock == TRACE_COUNTS)
		return fail(trace, "expected a time not before %" PRIu64 ": events out of order%s",
			    earliest, hint);
	if (event->ns < earliest)
		return fail(trace,
			    "expected a time not before %" PRIu64 ".%09" PRIu64 ": events out of order%s",
			    earliest / 1000000000, earliest % 1000000000, hint);
	trace->cpu[event->cpu].ns = event->ns;
	if (event->ns > trace->newest_ns)
		trace->newest_ns = event->ns;
	return 0;
}

/*
 * Where a probe is a breakpoint, its event is one of an NMI by the flags, on RISC-V and x86.
 * No driver flushes in an NMI: what the task did last on that CPU is what was probed.
 */
static void settle_context(struct trace *trace, struct trace_event *event)
{
	if (event->context == TRACE_NMI)
		event->context = trace->cpu[event->cpu].pid == event->pid ?
				 trace->cpu[event->cpu].context : TRACE_TASK;
	trace->cpu[event->cpu].pid = event->pid;
	trace->cpu[event->cpu].context = event->context;
}

/* " [1848:0x34:32]", what trace-cmd report --debug prints behind an event. */
static void cut_debug(struct cursor *c)
{
	struct cursor at = { c->end, c->end };
	uint64_t n;

	if (at.p == c->p || at.p[-1] != ']')
		return;
	while (--at.p > c->p && *at.p != '[')
		;
	if (at.p > c->p && at.p[-1] == ' ' && literal(&at, "[") && decimal(&at, &n) &&
	    literal(&at, ":") && hex(&at, &n) && literal(&at, ":") && decimal(&at, &n) &&
	    literal(&at, "]") && at.p == c->end)
		while (*--c->end != '[')
			;
}

/* Whether there is one of ours in it, whatever is before: a newline or a frame was lost. */
static bool has_event(struct cursor c)
{
	struct trace_event event;
	struct trace_text name;

	while (!at_end(&c) && word(&c, ' ', &name)) {
		const struct event_form *form;

		if (name.s[--name.len] != ':')
			continue;
		form = event_find(&name);
		if (form && form->type != TRACE_MARK && form->type != TRACE_QUIET) {
			struct cursor at = c;

			event = (struct trace_event){ .type = form->type };
			skip_blanks(&at);
			if (at.p < at.end && form->parse(&at, &event))
				return true;
		}
	}
	return false;
}

static int not_an_event(struct trace *trace, const char *hint)
{
	return fail(trace, "expected 'TASK-PID [CPU] FLAGS TIME: EVENT: ..'%s", hint);
}

/* "unm", "intel_iommu:qi_": the beginning of an event of ours, and the line ends there. */
static bool is_cut_name(const struct trace_text *name)
{
	const struct event_form *form;
	char whole[64];

	for (form = event_forms; form->name; form++) {
		if (name->len <= strlen(form->name) &&
		    !memcmp(name->s, form->name, name->len))
			return true;
		snprintf(whole, sizeof(whole), "%s:%s", form->system ? form->system : "",
			 form->name);
		if (name->len <= strlen(whole) && !memcmp(name->s, whole, name->len))
			return true;
	}
	return false;
}

static int parse_event(struct trace *trace, struct cursor *c,
		       struct trace_event *event)
{
	const struct event_form *form;
	struct trace_text name;
	uint64_t period;

	if (check_time(trace, event))
		return -1;
	settle_context(trace, event);
	trace->any_event = true;
	trace->entries++;
	event->type = TRACE_OTHER;
	trace->free_text = true;
	/* perf script may print the period of the sample. */
	if (trace->perf && decimal(c, &period))
		skip_blanks(c);
	if (!word(c, '\0', &name))
		return not_an_event(trace, "");
	if (name.len < 2 || name.s[name.len - 1] != ':')
		return trace->unended || (at_end(c) && is_cut_name(&name)) ?
		       not_an_event(trace, "") : 1;
	name.len--;
	skip_blanks(c);
	/* trace-cmd report, of a print format that it does not understand: raw fields. */
	literal(c, "[FAILED TO PARSE]");
	form = event_find(&name);
	if ((!form || form->type == TRACE_QUIET) && has_event(*c))
		return fail(trace, "expected a line for each event, '%.*s' goes on with another",
			    (int)name.len, name.s);
	if (!form)
		return 1;
	event->type = form->type;
	trace->free_text = event->type == TRACE_MARK;
	skip_blanks(c);
	cut_debug(c);
	if (!form->parse(c, event))
		return fail(trace, "expected '%s: %s'%s", form->name, form->form,
			    memmem(name.s, c->end - name.s, "=3D", 3) ?
			    " (a mail that is not decoded? Save its text)" :
			    trace->embedded ? " (a line that a mail has wrapped?)" : "");
	if (event->type == TRACE_TAG_FLUSH)
		event->tag.map = form->for_map;
	trace->ours += event->type != TRACE_MARK;
	return 1;
}

/* What a line that cannot be read may be, and what to do about it; "" if nobody knows. */
static const char *hint_of(const struct trace_text *line)
{
	struct cursor c = { line->s, line->s + line->len };
	struct trace_text name;
	uint64_t n;

	if (word(&c, ' ', &name) && name.s[name.len - 1] == ':') {
		name.len--;
		if (event_find(&name))
			return " (without context? echo context-info > trace_options)";
	}
	c.p = line->s;
	if (decimal(&c, &n) && literal(&c, " ") && decimal(&c, &n) && literal(&c, " ") &&
	    decimal(&c, &n) && literal(&c, " type: "))
		return " (option raw? echo noraw > trace_options)";
	if (contains(line, "/* ") || contains(line, "() {"))
		return " (function_graph? Record with the nop tracer: echo nop > current_tracer)";
	if (contains(line, "ms (+"))
		return " (latency format with its option verbose? echo noverbose > trace_options)";
	if (contains(line, "iommu:"))
		return " (perf without one of its fields? perf script -F comm,pid,tid,cpu,time,event,trace)";
	if (contains(line, "\xc2\xa0"))
		return " (no-break spaces of a web page? sed 's/\\xc2\\xa0/ /g')";
	return "";
}

/* The first line of a mail that was saved, headers and all. */
static bool is_mail_header(const struct trace_text *line)
{
	static const char *const headers[] = {
		"From ", "From: ", "Return-Path: ", "Received: ", "Delivered-To: ", "Date: ",
		"Subject: ", "To: ", "Message-ID: ", "MIME-Version: ",
	};
	struct cursor c = { line->s, line->s + line->len };
	size_t i;

	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		if (literal(&c, headers[i]))
			return true;
	return false;
}

/* "TASK-PID [CPU]", "TASK-PID CPUFLAGS", and no event behind it. */
static bool is_cut(const struct trace_text *line)
{
	struct cursor c = { line->s, line->s + line->len };
	const char *dash = c.p;

	while ((dash = memchr(dash, '-', c.end - dash))) {
		struct cursor at = { ++dash, c.end };
		struct trace_text flags;
		uint32_t n;

		if (dash - 1 == c.p || dash[-2] == ' ' || !decimal32(&at, &n) ||
		    !literal(&at, " "))
			continue;
		skip_blanks(&at);
		if (literal(&at, "[") && decimal32(&at, &n) && literal(&at, "]"))
			return true;
		if (decimal32(&at, &n) && word(&at, '\0', &flags) && flags.len >= 4 &&
		    flags.len <= 8 && memchr(flags.s, '.', flags.len) &&
		    !memchr(flags.s, ':', flags.len))
			return true;
	}
	return false;
}

/* Between the events of a log that is in a mail, in the kernel's log, or of perf. */
static int foreign(struct trace *trace, const struct trace_text *line)
{
	if (has_event((struct cursor){ line->s, line->s + line->len }))
		return not_an_event(trace, hint_of(line));
	if (trace->any_event && is_cut(line))
		return not_an_event(trace, "");
	/* What a log that was cut ends in. */
	if (trace->unended && memchr(line->s, '[', line->len))
		return not_an_event(trace, "");
	if (trace->embedded || trace->free_text)
		return 0;
	/* The frames of a call chain are indented. */
	if (trace->perf && line->len && line->s[0] == ' ')
		return 0;
	if (trace->line == 1 && is_mail_header(line)) {
		trace->embedded = true;
		return 0;
	}
	if (!trace->any_event && !trace->ours) {
		/* A mail may begin with anything; what comes next decides. */
		if (!trace->foreign) {
			trace->foreign = trace->line;
			trace->foreign_hint = hint_of(line);
		}
		return 0;
	}
	return not_an_event(trace, hint_of(line));
}

/* A log that is in nothing else: no line may be one of something else. */
static int check_foreign(struct trace *trace)
{
	if (!trace->foreign || trace->embedded)
		return 0;
	trace->line = trace->foreign;
	return not_an_event(trace, trace->foreign_hint);
}

/* Every other byte is a NUL. */
static bool is_utf16(const struct trace_text *line)
{
	size_t n = 0, i;

	for (i = 0; i < line->len; i++)
		n += !line->s[i];
	return n >= line->len / 4 && n <= line->len / 2 + 1;
}

/* Not a task whose name begins with a '#'. */
static bool is_comment(const struct trace_text *line)
{
	return line->s[0] == '#' && (line->len == 1 || line->s[1] == ' ' || line->s[1] == '#');
}

/* Return: as trace_next(), or -2 for a line that holds nothing. */
static int parse_line(struct trace *trace, const struct trace_text *line,
		      struct trace_event *event)
{
	struct cursor c = { line->s, line->s + line->len };
	struct trace_text rest;
	int ret;

	if (!line->len)
		return -2;
	if (memchr(line->s, '\0', line->len))
		return fail(trace, "expected text, found a NUL byte%s", is_utf16(line) ?
			    " (UTF-16? iconv -f UTF-16 -t UTF-8)" : ": a binary file?");
	if (!is_comment(line) && parse_frame(trace, &c, event)) {
		struct cursor task = { event->task.s, event->task.s + event->task.len };

		/* What is before the line was read as a part of the task's name. */
		if (skip_prefix(&task)) {
			trace->embedded = true;
			event->task = trimmed(task.p, task.end);
		}
		if (check_foreign(trace))
			return -1;
		rest = (struct trace_text){ c.p, c.end - c.p };
		if (trace->perf && parse_lost(&rest, event)) {
			trace->lost = true;
			return 1;
		}
		return parse_event(trace, &c, event);
	}
	c = (struct cursor){ line->s, line->s + line->len };
	if (skip_prefix(&c))
		trace->embedded = true;
	rest = (struct trace_text){ c.p, c.end - c.p };
	if (!rest.len)
		return -2;
	if (rest.s[0] == '#') {
		ret = parse_comment(trace, &rest, event);
		return ret ? ret : -2;
	}
	if (parse_lost(&rest, event) || parse_lost_lines(trace, line, event)) {
		trace->lost = true;
		return 1;
	}
	/* Of the next one of several reports. */
	if (trace->any_event && literal(&c, "cpus=") && is_report_header(&rest))
		return begin_run(trace, (struct cursor){ c.end, c.end }, event);
	if (parse_dump(trace, &rest) || is_report_header(&rest))
		return -2;
	return foreign(trace, line) ? -1 : -2;
}

static int at_log_end(struct trace *trace)
{
	if (finish_run(trace))
		return -1;
	if (!trace->line) {
		trace->line = 1;
		return fail(trace, "expected an ftrace log, %s%s", trace->input.program ?
			    trace->input.program : "the file",
			    trace->input.program ? " printed nothing" : " is empty");
	}
	if (!trace->ours) {
		if (check_foreign(trace))
			return -1;
		return fail(trace,
			    "expected iommu:*, intel_iommu:*, amdcmd, smmucmd or riscvcmd events, the log has none");
	}
	return 0;
}

/* The last line may be cut, even if it reads well: in the middle of a number. */
static void unended(struct trace *trace, int ret)
{
	static const char cut[] = "the log ends in the middle of this line: truncated?";
	size_t len = strlen(trace->error);

	if (ret == -1)
		snprintf(trace->error + len, sizeof(trace->error) - len, "; %s", cut);
	else if (ret == 1)
		snprintf(trace->warning, sizeof(trace->warning),
			 "%s:%" PRIu64 ": expected a newline at the end, or the log is truncated",
			 trace->path, trace->line);
}

int trace_next(struct trace *trace, struct trace_event *event)
{
	struct trace_text line;
	int ret;

	do {
		if (trace->overwritten) {
			event->type = TRACE_LOST;
			event->line = trace->line;
			event->lost = trace->overwritten;
			trace->overwritten = 0;
			trace->lost = true;
			return 1;
		}
		ret = next_line(trace, &line);
		if (ret < 0)
			return -1;
		event->line = trace->line;
		if (!ret)
			return at_log_end(trace);
		/* A byte order mark. */
		if (trace->line == 1 && line.len >= 3 && !memcmp(line.s, "\xef\xbb\xbf", 3)) {
			line.s += 3;
			line.len -= 3;
		}
		ret = parse_line(trace, &line, event);
		if (trace->unended)
			unended(trace, ret);
	} while (ret == -2);
	return ret;
}
