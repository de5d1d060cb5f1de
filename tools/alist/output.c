// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the verbs tell what they have to say: errors, output that waits until it is whole,
 * progress.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "alist.h"
#include "trace.h"

#define BAR_WIDTH	25
#define BAR_REST	10		/* what is around it, and a column for the cursor */
#define BAR_NS		100000000
#define BAR_BYTES	(UINT64_C(1) << 18)

static bool bar_shown;

static void hide_progress(void)
{
	if (bar_shown)
		fprintf(stderr, "\r\033[K");
	bar_shown = false;
}

/* Nothing that is written there can be written over. */
static bool is_dumb(void)
{
	const char *term = getenv("TERM");

	return term && !strcmp(term, "dumb");
}

static unsigned int columns(void)
{
	struct winsize size;

	return !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col ? size.ws_col : 80;
}

/* Cheap to call. */
static void show_progress(const struct trace *trace, const char *path)
{
	static const char *const turn = "-\\|/";
	static uint64_t shown, looked;
	static unsigned int turns;
	uint64_t size = trace_size(trace), position = trace_position(trace), now;
	struct timespec ts;
	char name[41];
	unsigned int percent, i, room;

	if (position >= looked && position - looked < BAR_BYTES)
		return;
	looked = position;
	if (!isatty(STDERR_FILENO) || is_dumb())
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
	if (now - shown < BAR_NS)
		return;
	shown = now;
	bar_shown = true;
	/* A carriage return goes back to the beginning of one line, not of two. */
	room = columns();
	room = room > BAR_WIDTH + BAR_REST ? room - BAR_WIDTH - BAR_REST : 0;
	trace_clean(name, room < sizeof(name) ? room + 1 : sizeof(name), path, strlen(path));
	if (!size) {
		/* A pipe: how much there is to come is not known. */
		fprintf(stderr, "\r%s [%c] %" PRIu64 " MiB", name, turn[turns++ % 4],
			position >> 20);
		return;
	}
	percent = position >= size ? 100 : position * 100 / size;
	if (!room) {
		fprintf(stderr, "\r%3u%%", percent);
		return;
	}
	fprintf(stderr, "\r%s [", name);
	for (i = 0; i < BAR_WIDTH; i++)
		fputc(i < percent * BAR_WIDTH / 100 ? '#' : ' ', stderr);
	fprintf(stderr, "] %3u%%", percent);
}

void alist_error(const char *fmt, ...)
{
	char text[1024], clean[sizeof(text) * 4 + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	trace_clean(clean, sizeof(clean), text, strlen(text));
	fflush(stdout);
	hide_progress();
	fprintf(stderr, "alist: %s\n", clean);
}

void alist_cannot_write(FILE *to, const char *name)
{
	alist_error("%s%scannot write: %s", name ? name : "", name ? ": " : "", strerror(errno));
	/* It is not tried, nor told, again. */
	if (to) {
		__fpurge(to);
		clearerr(to);
	}
}

struct trace *alist_open(const char *path)
{
	char error[256];
	struct trace *trace = trace_open(path, error, sizeof(error));

	if (trace)
		return trace;
	if (error[0])
		alist_error("%s:1: %s", strcmp(path, "-") ? path : "<stdin>", error);
	else
		alist_error("%s: cannot open: %s", path, strerror(errno));
	return NULL;
}

int alist_next(struct trace *trace, const char *path, struct trace_event *event)
{
	int more = trace_next(trace, event);

	if (more > 0) {
		show_progress(trace, path);
		return more;
	}
	hide_progress();
	if (more < 0)
		alist_error("%s", trace_error(trace));
	else if (trace_warning(trace)[0])
		alist_error("warning: %s", trace_warning(trace));
	return more;
}

static const char *spool_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/tmp";
}

FILE *alist_spool(void)
{
	const char *dir = spool_dir();
	char path[4096];
	FILE *spool = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s/alist-XXXXXX", dir);
	fd = mkstemp(path);
	if (fd >= 0) {
		unlink(path);
		spool = fdopen(fd, "w+");
		if (!spool)
			close(fd);
	}
	if (!spool)
		alist_error("cannot create a temporary file in %s: %s", dir, strerror(errno));
	return spool;
}

int alist_spool_check(FILE *spool)
{
	/* A write that failed on the way is in the stream's error flag only. */
	if (!ferror(spool) && !fflush(spool))
		return 0;
	alist_error("cannot write a temporary file: is %s full? (TMPDIR selects the directory)",
		    spool_dir());
	return -1;
}

int alist_publish(FILE *spool, FILE *to)
{
	char buf[65536];
	size_t n;

	if (alist_spool_check(spool))
		return -1;
	rewind(spool);
	while ((n = fread(buf, 1, sizeof(buf), spool)))
		if (fwrite(buf, 1, n, to) != n) {
			alist_cannot_write(to, NULL);
			return -1;
		}
	if (ferror(spool)) {
		alist_error("cannot read a temporary file: %s", strerror(errno));
		return -1;
	}
	return 0;
}

const char *alist_vendor(enum model_vendor vendor)
{
	static const char *const ids[MODEL_VENDORS] = {
		[MODEL_VTD] = "vtd",
		[MODEL_SMMUV3] = "smmuv3",
		[MODEL_AMD] = "amd",
		[MODEL_RISCV] = "riscv",
	};

	return vendor < MODEL_VENDORS ? ids[vendor] : NULL;
}

bool alist_colour(FILE *to)
{
	const char *no = getenv("NO_COLOR");

	return isatty(fileno(to)) && !is_dumb() && !(no && *no);
}
