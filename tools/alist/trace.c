// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log reader. A log is a sequence of runs; a run is a header (lines that
 * begin with '#', or the "cpus=N" of trace-cmd) and events:
 *
 *	    TASK-PID     [CPU] FLAGS  TIMESTAMP: EVENT: what it prints
 *
 * TASK may hold anything, so a line is read from the first "-PID [CPU] " on.
 * The flags column is missing in some forms of trace-cmd report.
 *
 * The reader accepts what it does not know and refuses what it knows to be
 * broken: a line that is no event, an event of ours that does not print as ours
 * do, a time that goes back on one CPU, fewer events than the header announced,
 * an end in the middle of a line. A log with a hole that nobody mentions would
 * make a rebuilt machine a fiction.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace.h"

#define BUFFER_SIZE	(1u << 20)
#define CPUS_MAX	4096
/* SMMUv3 queues have no more. */
#define SMMU_COMMANDS_MAX	(1u << 19)
/* Readers of a live ring buffer may see CPUs merged this far out of order. */
#define MERGE_SLACK_NS	1000000000ull

struct trace {
	int fd;
	char *path;
	uint64_t size;
	uint64_t position;
	uint64_t line;
	char error[512];

	char *buffer;			/* [start, end) is not yet parsed */
	size_t start;
	size_t end;
	bool eof;

	/* Since the run began. */
	bool any_event;
	bool lost;
	uint64_t announced;		/* entries, by the header; 0: no word */
	uint64_t entries;
	uint64_t newest_ns;
	uint64_t cpu_ns[CPUS_MAX];

	uint64_t ours;			/* events of ours in the whole log */
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

static int fail(struct trace *trace, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(trace->error, sizeof(trace->error), "%s:%llu: ",
		     trace->path, (unsigned long long)trace->line);
	if (n < 0 || (size_t)n >= sizeof(trace->error))
		return -1;
	va_start(ap, fmt);
	vsnprintf(trace->error + n, sizeof(trace->error) - n, fmt, ap);
	va_end(ap);
	return -1;
}

struct trace *trace_open(const char *path)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	struct stat st;
	int saved;

	if (!trace)
		return NULL;
	trace->fd = -1;
	trace->path = strdup(strcmp(path, "-") ? path : "<stdin>");
	trace->buffer = malloc(BUFFER_SIZE);
	if (!trace->path || !trace->buffer)
		goto fail;
	trace->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) :
					dup(STDIN_FILENO);
	if (trace->fd < 0 || fstat(trace->fd, &st))
		goto fail;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		goto fail;
	}
	if (S_ISREG(st.st_mode))
		trace->size = st.st_size;
	return trace;
fail:
	saved = errno;
	trace_close(trace);
	errno = saved;
	return NULL;
}

void trace_close(struct trace *trace)
{
	if (trace->fd >= 0)
		close(trace->fd);
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
	return trace->size;
}

/* One line without its newline. Return: 1, 0 at the end, -1. */
static int next_line(struct trace *trace, struct trace_text *line)
{
	size_t seen = 0;

	*line = (struct trace_text){ NULL, 0 };
	for (;;) {
		char *from = trace->buffer + trace->start;
		size_t len = trace->end - trace->start;
		char *newline = memchr(from + seen, '\n', len - seen);
		ssize_t n;

		if (newline) {
			line->s = from;
			line->len = newline - from;
			trace->start += line->len + 1;
			trace->position += line->len + 1;
			trace->line++;
			if (line->len && line->s[line->len - 1] == '\r')
				line->len--;
			if (line->len < TRACE_LINE_MAX)
				return 1;
			len = line->len;
		} else if (len < TRACE_LINE_MAX) {
			if (trace->eof && !len)
				return 0;
			if (trace->eof) {
				trace->line++;
				return fail(trace, "expected a whole line, the log ends in the middle of one: truncated?");
			}
			seen = len;
			if (trace->start) {
				memmove(trace->buffer, from, len);
				trace->start = 0;
				trace->end = len;
			}
			do {
				n = read(trace->fd, trace->buffer + trace->end,
					 BUFFER_SIZE - trace->end);
			} while (n < 0 && errno == EINTR);
			if (n < 0) {
				trace->line++;
				return fail(trace, "cannot read: %s", strerror(errno));
			}
			trace->eof = n == 0;
			trace->end += n;
			continue;
		} else {
			trace->line++;
		}
		return fail(trace, "expected a line of less than %u bytes", TRACE_LINE_MAX);
	}
}

/*
 * A cursor over the line. Each of these advances over what it names, or leaves
 * the cursor alone and returns false.
 */
struct cursor {
	const char *p;
	const char *end;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static bool literal(struct cursor *c, const char *s)
{
	size_t len = strlen(s);

	if ((size_t)(c->end - c->p) < len || memcmp(c->p, s, len))
		return false;
	c->p += len;
	return true;
}

static bool decimal(struct cursor *c, uint64_t *value)
{
	const char *p = c->p;
	uint64_t v = 0;

	for (; p < c->end && is_digit(*p); p++) {
		if (v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (*p - '0');
	}
	if (p == c->p)
		return false;
	c->p = p;
	*value = v;
	return true;
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex(struct cursor *c, uint64_t *value)
{
	const char *p = c->p;
	const char *first;
	uint64_t v = 0;

	if (c->end - p < 3 || p[0] != '0' || p[1] != 'x')
		return false;
	for (first = p += 2; p < c->end && hex_digit(*p) >= 0; p++) {
		if (v >> 60)
			return false;
		v = v << 4 | hex_digit(*p);
	}
	if (p == first)
		return false;
	c->p = p;
	*value = v;
	return true;
}

/* Up to the next blank, or to @stop. */
static bool word(struct cursor *c, char stop, struct trace_text *text)
{
	const char *p = c->p;

	while (p < c->end && *p != ' ' && *p != stop)
		p++;
	if (p == c->p)
		return false;
	text->s = c->p;
	text->len = p - c->p;
	c->p = p;
	return true;
}

static bool at_end(struct cursor *c)
{
	skip_blanks(c);
	return c->p == c->end;
}

static bool decimal32(struct cursor *c, uint32_t *value)
{
	struct cursor save = *c;
	uint64_t v;

	if (!decimal(c, &v) || v > UINT32_MAX) {
		*c = save;
		return false;
	}
	*value = v;
	return true;
}

/* "IOMMU: iova=0x.. - 0x.. [paddr=0x..] size=N [unmapped_size=N]" */
static bool parse_map(struct cursor *c, struct trace_event *event)
{
	uint64_t last, size, unmapped;

	if (!literal(c, "IOMMU: iova=") || !hex(c, &event->map.iova) ||
	    !literal(c, " - ") || !hex(c, &last))
		return false;
	if (event->type == TRACE_MAP &&
	    (!literal(c, " paddr=") || !hex(c, &event->map.paddr)))
		return false;
	if (!literal(c, " size=") || !decimal(c, &size))
		return false;
	event->map.size = size;
	if (event->type == TRACE_UNMAP) {
		if (!literal(c, " unmapped_size=") || !decimal(c, &unmapped))
			return false;
		event->map.size = unmapped;
	}
	return at_end(c) && last == event->map.iova + size;
}

/* "IOMMU: [...] device=NAME"; later kernels print more before and after. */
static bool parse_device(struct cursor *c, struct trace_event *event)
{
	if (!literal(c, "IOMMU: "))
		return false;
	while (c->p < c->end) {
		if (literal(c, "device="))
			return word(c, '\0', &event->device);
		c->p++;
	}
	return false;
}

static bool tag_type(struct cursor *c, struct trace_event *event)
{
	if (!literal(c, " type "))
		return false;
	event->tag.nesting = literal(c, "nesting_");
	event->tag.devtlb = literal(c, "devtlb");
	return event->tag.devtlb || literal(c, "iotlb");
}

/* "IOMMU/DEV type T did N pasid N ref N" */
static bool parse_tag(struct cursor *c, struct trace_event *event)
{
	return word(c, '/', &event->tag.iommu) && literal(c, "/") &&
	       word(c, '\0', &event->tag.device) && tag_type(c, event) &&
	       literal(c, " did ") && decimal32(c, &event->tag.did) &&
	       literal(c, " pasid ") && decimal32(c, &event->tag.pasid) &&
	       literal(c, " ref ") && decimal32(c, &event->tag.users) &&
	       at_end(c);
}

/* "IOMMU DEV[PASID] type T did N [0x..-0x..] ...", or as parse_tag() */
static bool parse_tag_flush(struct cursor *c, struct trace_event *event)
{
	struct cursor save = *c;

	if (parse_tag(c, event))
		return true;
	*c = save;
	return word(c, ' ', &event->tag.iommu) && literal(c, " ") &&
	       word(c, '[', &event->tag.device) && literal(c, "[") &&
	       decimal32(c, &event->tag.pasid) && literal(c, "]") &&
	       tag_type(c, event) && literal(c, " did ") &&
	       decimal32(c, &event->tag.did);
}

/* "KIND IOMMU: 0x.. 0x.. 0x.. 0x.." */
static bool parse_qi(struct cursor *c, struct trace_event *event)
{
	struct trace_text kind;
	int i;

	if (!word(c, '\0', &kind) || !literal(c, " ") ||
	    !word(c, ':', &event->cmd.iommu) || !literal(c, ":"))
		return false;
	for (i = 0; i < 4; i++)
		if (!literal(c, " ") || !hex(c, &event->cmd.words[i]))
			return false;
	event->cmd.n = 1;
	event->cmd.nr_words = 4;
	event->cmd.sync = false;
	return at_end(c);
}

/* " KEY=" anywhere from the cursor on; the cursor moves behind it. */
static bool key(struct cursor *c, const char *name)
{
	const char *p = memmem(c->p, c->end - c->p, name, strlen(name));

	if (!p)
		return false;
	c->p = p + strlen(name);
	return true;
}

/* "(where) op=N iommu=0x.. d0=0x.. d1=0x.. d2=0x.. d3=0x.." */
static bool parse_amd(struct cursor *c, struct trace_event *event)
{
	uint64_t d[4];
	uint32_t op;

	if (!key(c, " op=") || !decimal32(c, &op) ||
	    !key(c, " iommu=") || !word(c, '\0', &event->cmd.iommu) ||
	    !key(c, " d0=") || !hex(c, &d[0]) || !key(c, " d1=") || !hex(c, &d[1]) ||
	    !key(c, " d2=") || !hex(c, &d[2]) || !key(c, " d3=") || !hex(c, &d[3]))
		return false;
	if ((d[0] | d[1] | d[2] | d[3]) > UINT32_MAX || op != d[1] >> 28)
		return false;
	event->cmd.op = op;
	event->cmd.n = 1;
	event->cmd.sync = false;
	event->cmd.words[0] = d[0] | d[1] << 32;
	event->cmd.words[1] = d[2] | d[3] << 32;
	event->cmd.nr_words = 2;
	return at_end(c);
}

/* "(where) op=N n=N sync=N smmu=0x.. c0=0x.. c1=0x.." */
static bool parse_smmu(struct cursor *c, struct trace_event *event)
{
	uint32_t op, n, sync;

	if (!key(c, " op=") || !decimal32(c, &op) ||
	    !key(c, " n=") || !decimal32(c, &n) ||
	    !key(c, " sync=") || !decimal32(c, &sync) ||
	    !key(c, " smmu=") || !word(c, '\0', &event->cmd.iommu) ||
	    !key(c, " c0=") || !hex(c, &event->cmd.words[0]) ||
	    !key(c, " c1=") || !hex(c, &event->cmd.words[1]))
		return false;
	event->cmd.op = op;
	event->cmd.n = n;
	event->cmd.sync = sync;
	event->cmd.nr_words = 2;
	return sync <= 1 && n <= SMMU_COMMANDS_MAX && at_end(c);
}

/* "(where) iommu=0x.. d0=0x.. d1=0x.." */
static bool parse_riscv(struct cursor *c, struct trace_event *event)
{
	if (!key(c, " iommu=") || !word(c, '\0', &event->cmd.iommu) ||
	    !key(c, " d0=") || !hex(c, &event->cmd.words[0]) ||
	    !key(c, " d1=") || !hex(c, &event->cmd.words[1]))
		return false;
	event->cmd.op = event->cmd.words[0] & 0x7f;
	event->cmd.n = 1;
	event->cmd.nr_words = 2;
	event->cmd.sync = false;
	return at_end(c);
}

static bool parse_quiet(struct cursor *c, struct trace_event *event)
{
	(void)c;
	(void)event;
	return true;
}

static bool parse_mark(struct cursor *c, struct trace_event *event)
{
	event->text.s = c->p;
	event->text.len = c->end - c->p;
	return true;
}

static const struct {
	const char *name;
	enum trace_type type;
	bool (*parse)(struct cursor *c, struct trace_event *event);
	const char *form;
	bool for_map;
} events[] = {
	{ "map", TRACE_MAP, parse_map,
	  "IOMMU: iova=0x.. - 0x.. paddr=0x.. size=N", false },
	{ "unmap", TRACE_UNMAP, parse_map,
	  "IOMMU: iova=0x.. - 0x.. size=N unmapped_size=N", false },
	{ "attach_device_to_domain", TRACE_ATTACH, parse_device,
	  "IOMMU: device=NAME", false },
	{ "detach_device_from_domain", TRACE_DETACH, parse_device,
	  "IOMMU: device=NAME", false },
	{ "cache_tag_assign", TRACE_TAG_ASSIGN, parse_tag,
	  "IOMMU/DEVICE type iotlb|devtlb did N pasid N ref N", false },
	{ "cache_tag_unassign", TRACE_TAG_UNASSIGN, parse_tag,
	  "IOMMU/DEVICE type iotlb|devtlb did N pasid N ref N", false },
	{ "cache_tag_flush_range", TRACE_TAG_FLUSH, parse_tag_flush,
	  "IOMMU DEVICE[PASID] type iotlb|devtlb did N ..", false },
	{ "cache_tag_flush_range_np", TRACE_TAG_FLUSH, parse_tag_flush,
	  "IOMMU DEVICE[PASID] type iotlb|devtlb did N ..", true },
	{ "cache_tag_flush_all", TRACE_TAG_FLUSH, parse_tag_flush,
	  "IOMMU/DEVICE type iotlb|devtlb did N pasid N ref N", false },
	{ "qi_submit", TRACE_QI, parse_qi, "KIND IOMMU: and four 0x.. words", false },
	{ "amdcmd", TRACE_AMD, parse_amd,
	  "op=N iommu=0x.. d0=0x.. d1=0x.. d2=0x.. d3=0x.., op in the top bits of d1", false },
	{ "smmucmd", TRACE_SMMU, parse_smmu,
	  "op=N n=N sync=0|1 smmu=0x.. c0=0x.. c1=0x..", false },
	{ "riscvcmd", TRACE_RISCV, parse_riscv, "iommu=0x.. d0=0x.. d1=0x..", false },
	{ "tracing_mark_write", TRACE_MARK, parse_mark, "text", false },
	{ "print", TRACE_MARK, parse_mark, "text", false },
	{ "add_device_to_group", TRACE_QUIET, parse_quiet, "text", false },
	{ "remove_device_from_group", TRACE_QUIET, parse_quiet, "text", false },
	{ "io_page_fault", TRACE_QUIET, parse_quiet, "text", false },
	{ "prq_report", TRACE_QUIET, parse_quiet, "text", false },
};

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

/* "1.234567:" or, with a clock that counts, "1234567:" */
static bool timestamp(struct cursor *c, uint64_t *ns)
{
	struct cursor save = *c;
	uint64_t whole, part, unit = 1000000000;

	if (!decimal(c, &whole))
		return false;
	*ns = whole;
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		if (whole > UINT64_MAX / 2000000000)
			goto no;
		for (part = 0; c->p < c->end && is_digit(*c->p); c->p++) {
			if (unit == 1)
				goto no;
			unit /= 10;
			part += (*c->p - '0') * unit;
		}
		*ns = whole * 1000000000 + part;
	}
	if (literal(c, ":"))
		return true;
no:
	*c = save;
	return false;
}

/* Finds "-PID [CPU] ", with an optional "(TGID)" between. */
static bool parse_frame(struct cursor *c, struct trace_event *event)
{
	const char *bracket = c->p;
	struct trace_text flags = { "", 0 };
	uint32_t cpu;

	for (;; bracket++) {
		struct cursor at;
		const char *p;

		bracket = memchr(bracket, '[', c->end - bracket);
		if (!bracket)
			return false;
		at.p = bracket + 1;
		at.end = c->end;
		if (!decimal32(&at, &cpu) || !literal(&at, "]"))
			continue;
		p = bracket;
		while (p > c->p && p[-1] == ' ')
			p--;
		if (p > c->p && p[-1] == ')') {
			while (p > c->p && *p != '(')
				p--;
			while (p > c->p && p[-1] == ' ')
				p--;
		}
		while (p > c->p && is_digit(p[-1]))
			p--;
		if (p <= c->p || p[-1] != '-' || !is_digit(*p))
			continue;
		c->p = p;
		if (!decimal32(c, &event->pid))
			return false;
		c->p = at.p;
		break;
	}
	event->cpu = cpu;
	skip_blanks(c);
	if (!timestamp(c, &event->ns)) {
		if (!word(c, '\0', &flags))
			return false;
		skip_blanks(c);
		if (!timestamp(c, &event->ns))
			return false;
	}
	event->context = context_of(&flags);
	skip_blanks(c);
	return true;
}

static bool contains(const struct trace_text *line, const char *s)
{
	return memmem(line->s, line->len, s, strlen(s));
}

/* "CPU:1 [LOST 12 EVENTS]", "CPU:1 [12 EVENTS DROPPED]", "CPU 0: 3 MISSED EVENTS" */
static bool parse_lost(const struct trace_text *line, struct trace_event *event)
{
	struct cursor c = { line->s, line->s + line->len };
	uint64_t n;

	skip_blanks(&c);
	if (!literal(&c, "CPU") || !contains(line, "EVENTS") ||
	    (!contains(line, "LOST") && !contains(line, "DROPPED") &&
	     !contains(line, "MISSED")))
		return false;
	c.p++;
	if (c.p > c.end || !decimal(&c, &n))
		return false;
	event->type = TRACE_LOST;
	event->lost = 1;
	for (; c.p < c.end; c.p++) {
		if (is_digit(*c.p)) {
			decimal(&c, &event->lost);
			break;
		}
	}
	return true;
}

/* What trace-cmd report prints above the events. */
static bool is_report_header(const struct trace_text *line)
{
	struct cursor c = { line->s, line->s + line->len };
	uint64_t n;

	if (literal(&c, "cpus=") || literal(&c, "version = "))
		return decimal(&c, &n) && at_end(&c);
	return literal(&c, "CPU ") && decimal(&c, &n) &&
	       literal(&c, " is empty") && at_end(&c);
}

static int finish_run(struct trace *trace)
{
	if (trace->entries < trace->announced && !trace->lost)
		return fail(trace,
			    "expected %llu events, as the header says, the log ends after %llu: truncated?",
			    (unsigned long long)trace->announced,
			    (unsigned long long)trace->entries);
	trace->any_event = false;
	trace->lost = false;
	trace->announced = 0;
	trace->entries = 0;
	trace->newest_ns = 0;
	memset(trace->cpu_ns, 0, sizeof(trace->cpu_ns));
	return 0;
}

/* Return: 1 if a run begins with this comment, 0 if not, -1. */
static int parse_comment(struct trace *trace, const struct trace_text *line,
			 struct trace_event *event)
{
	struct cursor c = { line->s, line->s + line->len };

	if (literal(&c, "### RUN") ||
	    (literal(&c, "# tracer:") && trace->any_event)) {
		if (finish_run(trace))
			return -1;
		skip_blanks(&c);
		event->type = TRACE_RUN;
		event->text.s = c.p;
		event->text.len = c.end - c.p;
		return 1;
	}
	if (literal(&c, "# entries-in-buffer/entries-written: "))
		decimal(&c, &trace->announced);
	return 0;
}

static int check_time(struct trace *trace, const struct trace_event *event)
{
	uint64_t earliest;

	if (event->cpu >= CPUS_MAX)
		return fail(trace, "expected a CPU below %u", CPUS_MAX);
	earliest = trace->cpu_ns[event->cpu];
	if (trace->newest_ns > earliest + MERGE_SLACK_NS)
		earliest = trace->newest_ns - MERGE_SLACK_NS;
	if (event->ns < earliest)
		return fail(trace,
			    "expected a time not before %llu.%09llu: events out of order",
			    (unsigned long long)earliest / 1000000000,
			    (unsigned long long)earliest % 1000000000);
	trace->cpu_ns[event->cpu] = event->ns;
	if (event->ns > trace->newest_ns)
		trace->newest_ns = event->ns;
	return 0;
}

static int parse_event(struct trace *trace, struct cursor *c,
		       struct trace_event *event)
{
	struct trace_text name;
	size_t i;

	if (check_time(trace, event))
		return -1;
	trace->any_event = true;
	trace->entries++;
	event->type = TRACE_OTHER;
	trace->free_text = true;
	if (!word(c, ':', &name) || !literal(c, ":"))
		return 1;
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (strlen(events[i].name) != name.len ||
		    memcmp(events[i].name, name.s, name.len))
			continue;
		/* The kprobe forms need the blank before their first key. */
		while (c->end - c->p > 1 && c->p[0] == ' ' && c->p[1] == ' ')
			c->p++;
		event->type = events[i].type;
		trace->free_text = event->type == TRACE_MARK;
		if (event->type != TRACE_AMD && event->type != TRACE_SMMU &&
		    event->type != TRACE_RISCV)
			skip_blanks(c);
		if (!events[i].parse(c, event))
			return fail(trace, "expected '%s: %s'", events[i].name,
				    events[i].form);
		if (event->type == TRACE_TAG_FLUSH)
			event->tag.map = events[i].for_map;
		trace->ours += event->type != TRACE_MARK;
		break;
	}
	return 1;
}

int trace_next(struct trace *trace, struct trace_event *event)
{
	struct trace_text line;
	struct cursor c;
	int ret;

	for (;;) {
		ret = next_line(trace, &line);
		if (ret < 0)
			return -1;
		event->line = trace->line;
		if (!ret) {
			if (finish_run(trace))
				return -1;
			if (!trace->line) {
				trace->line = 1;
				return fail(trace, "expected an ftrace log, the file is empty");
			}
			if (!trace->ours)
				return fail(trace,
					    "expected iommu:*, intel_iommu:*, amdcmd or smmucmd events, the log has none");
			return 0;
		}
		if (memchr(line.s, '\0', line.len))
			return fail(trace,
				    "expected text, found a NUL byte (trace.dat? use trace-cmd report)");
		if (!line.len)
			continue;
		if (line.s[0] == '#') {
			ret = parse_comment(trace, &line, event);
			if (ret)
				return ret;
			continue;
		}
		c.p = line.s;
		c.end = line.s + line.len;
		if (parse_frame(&c, event))
			return parse_event(trace, &c, event);
		if (parse_lost(&line, event)) {
			trace->lost = true;
			return 1;
		}
		/* Markers and other events' text may hold newlines. */
		if (is_report_header(&line) || trace->free_text)
			continue;
		return fail(trace, "expected 'TASK-PID [CPU] FLAGS TIME: EVENT: ..'");
	}
}
