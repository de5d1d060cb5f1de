// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist record: a log of this machine with all that the other verbs can use.
 *
 * An instance of tracefs of its own has the kernel's events and probes for what has none:
 * commands of AMD-Vi, SMMUv3 and RISC-V, begin and end of flushes and waits. Instance and
 * probes carry the number of the process in their name: whatever a killed one left behind
 * is found by the next, which takes it away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "alist.h"
#include "probes.h"
#include "trace.h"

#define CHECK_BYTES	(UINT64_C(1) << 16)

struct options {
	double seconds;			/* 0: until the command ends, or Ctrl-C */
	const char *output;
	unsigned int buffer_kb;		/* for each CPU */
	char **command;
};

struct recorder {
	const struct options *options;
	const struct vendor_probes *vendor;
	char tracefs[64];
	char instance[128];		/* "": not made yet */
	char group[32];
	char iommus[256];
	bool probes;			/* some were made */
	FILE *out;
	char *partial;			/* the file's name until it is whole; NULL: stdout */
	/* Text from the first events on, until it has been checked. */
	char *first;
	size_t first_len;
	bool checked;
	uint64_t bytes, lines, lost;
	pid_t child;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

__attribute__((format(printf, 3, 4)))
static int set(const char *dir, const char *text, const char *fmt, ...)
{
	char path[512], name[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return probes_write(path, text, false);
}

/*
 * What the kernel has
 */

static bool locked_down(void)
{
	FILE *file = fopen("/sys/kernel/security/lockdown", "re");
	char line[128] = "";

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return strstr(line, "[confidentiality]");
}

static int find_tracefs(struct recorder *r)
{
	static const char *const places[] = {
		"/sys/kernel/tracing", "/sys/kernel/debug/tracing",
	};
	char path[128];
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/trace_pipe", places[i]);
		if (!access(path, F_OK)) {
			snprintf(r->tracefs, sizeof(r->tracefs), "%s", places[i]);
			return 0;
		}
	}
	alist_error("expected tracefs: mount -t tracefs nodev /sys/kernel/tracing (the kernel needs CONFIG_FTRACE)");
	return -1;
}

static int find_iommus(struct recorder *r)
{
	DIR *dir = opendir("/sys/class/iommu");
	struct dirent *entry;
	size_t i;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		for (i = 0; i < PROBES_VENDORS; i++) {
			const struct vendor_probes *vendor = &probes_vendors[i];

			if (strncmp(entry->d_name, vendor->sysfs, strlen(vendor->sysfs)) ||
			    (r->vendor && r->vendor != vendor))
				continue;
			r->vendor = vendor;
			if (strlen(r->iommus) + strlen(entry->d_name) + 2 < sizeof(r->iommus)) {
				if (r->iommus[0])
					strcat(r->iommus, ",");
				strcat(r->iommus, entry->d_name);
			}
		}
	}
	if (dir)
		closedir(dir);
	if (r->vendor)
		return 0;
	alist_error("expected an IOMMU: /sys/class/iommu has no VT-d, AMD-Vi, SMMUv3 or RISC-V one (switched off in the firmware, or intel_iommu=on is missing?)");
	return -1;
}

/*
 * Taking away
 */

static bool is_running(long pid)
{
	char path[64], name[32] = "";
	FILE *file;

	if (pid == getpid())
		return false;
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return !strncmp(name, "alist", 5);
}

static void remove_instance(const char *instance)
{
	set(instance, "0", "tracing_on");
	set(instance, "0", "events/enable");
	rmdir(instance);
}

/* All probes of groups alist_PID whose process is gone. @own: of this one, too. */
static void remove_probes(const struct recorder *r, bool own)
{
	char path[128], line[1024], gone[256];
	FILE *events;
	bool again;

	snprintf(path, sizeof(path), "%s/kprobe_events", r->tracefs);
	do {
		again = false;
		events = fopen(path, "re");
		while (events && !again && fgets(line, sizeof(line), events)) {
			char *group = strchr(line, ':'), *end;
			long pid;

			if (!group || strncmp(group, ":alist_", 7))
				continue;
			pid = strtol(group + 7, &end, 10);
			if (*end != '/' || (own ? pid != getpid() : is_running(pid)))
				continue;
			group[strcspn(group, " \n")] = '\0';
			snprintf(gone, sizeof(gone), "-%s\n", group);
			/* The file may not be written to while it is read. */
			fclose(events);
			events = NULL;
			if (probes_write(path, gone, true))
				return;
			again = true;
		}
		if (events)
			fclose(events);
	} while (again);
}

/* What earlier ones left that were killed. */
static void clean_up(const struct recorder *r)
{
	char path[512];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/instances", r->tracefs);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char *end;
		long pid;

		if (strncmp(entry->d_name, "alist-", 6))
			continue;
		pid = strtol(entry->d_name + 6, &end, 10);
		if (*end || is_running(pid))
			continue;
		snprintf(path, sizeof(path), "%s/instances/%s", r->tracefs, entry->d_name);
		remove_instance(path);
	}
	if (dir)
		closedir(dir);
	remove_probes(r, false);
}

static void take_away(struct recorder *r)
{
	if (r->instance[0])
		remove_instance(r->instance);
	r->instance[0] = '\0';
	if (r->probes)
		remove_probes(r, true);
	r->probes = false;
}

/*
 * Setting up
 */

static int set_up(struct recorder *r)
{
	struct probes_place place = {
		.tracefs = r->tracefs,
		.symbols = "/proc/kallsyms",
		.group = r->group,
		.warn = alist_error,
	};
	char text[32];
	int ret;

	snprintf(r->group, sizeof(r->group), "alist_%d", getpid());
	snprintf(r->instance, sizeof(r->instance), "%s/instances/alist-%d", r->tracefs, getpid());
	if (mkdir(r->instance, 0700)) {
		alist_error("cannot make an instance of tracefs: %s", strerror(errno));
		r->instance[0] = '\0';
		return -1;
	}
	set(r->instance, "0", "tracing_on");
	snprintf(text, sizeof(text), "%u", r->options->buffer_kb);
	ret = set(r->instance, text, "buffer_size_kb");
	if (ret) {
		alist_error("cannot have a buffer of %s KiB for each CPU: %s", text, strerror(-ret));
		return -1;
	}
	set(r->instance, "mono", "trace_clock");
	place.btf = !access("/sys/kernel/btf/vmlinux", R_OK);
	r->probes = probes_add(&place, r->vendor);
	if (set(r->instance, "1", "events/iommu/enable"))
		alist_error("warning: the log will lack maps and unmaps: the kernel has no iommu events");
	if (r->vendor->events && set(r->instance, "1", "events/%s/enable", r->vendor->events))
		alist_error("warning: the log will lack commands: the kernel has no %s events",
			    r->vendor->events);
	if (r->probes) {
		ret = set(r->instance, "1", "events/%s/enable", r->group);
		if (ret) {
			alist_error("cannot enable the probes: %s", strerror(-ret));
			return -1;
		}
	}
	return 0;
}

/*
 * Recording
 */

static int open_output(struct recorder *r)
{
	struct utsname name;
	struct stat st;
	size_t len = strlen(r->options->output);
	int fd;

	if (!strcmp(r->options->output, "-")) {
		r->out = stdout;
	} else if (!stat(r->options->output, &st) && !S_ISREG(st.st_mode)) {
		/* A port or a pipe: nothing to put in its place. */
		r->out = fopen(r->options->output, "we");
		if (!r->out) {
			alist_error("%s: cannot write: %s", r->options->output, strerror(errno));
			return -1;
		}
	} else {
		r->partial = malloc(len + 8);
		if (!r->partial)
			return -1;
		sprintf(r->partial, "%s.XXXXXX", r->options->output);
		fd = mkstemp(r->partial);
		r->out = fd < 0 ? NULL : fdopen(fd, "w");
		if (!r->out) {
			alist_error("%s: cannot write: %s", r->options->output, strerror(errno));
			free(r->partial);
			r->partial = NULL;
			return -1;
		}
		fchmod(fd, 0644);
	}
	uname(&name);
	fprintf(r->out, "# alist record: kernel=%s arch=%s iommus=%s\n", name.release,
		name.machine, r->iommus);
	return 0;
}

/*
 * The first events, read as the other verbs will read them. A probe that reads the wrong
 * memory, on a kernel whose function has other arguments, is found out here.
 */
static int check(struct recorder *r)
{
	char path[64], error[256];
	struct trace_event event;
	struct trace *trace;
	int fd, more = 1, ret = 0;

	r->checked = true;
	while (r->first_len && r->first[r->first_len - 1] != '\n')
		r->first_len--;
	if (!r->first_len)
		return 0;
	fd = memfd_create("alist", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, r->first, r->first_len) != (ssize_t)r->first_len)
		return fd < 0 ? 0 : (close(fd), 0);
	trace = trace_open(path, error, sizeof(error));
	while (trace && more > 0)
		more = trace_next(trace, &event);
	if (trace && more < 0 && !strstr(trace_error(trace), "the log has none")) {
		alist_error("the log does not read as it should; this kernel is not as expected: %s",
			    trace_error(trace) + strlen(path) + 1);
		ret = -1;
	}
	if (trace)
		trace_close(trace);
	close(fd);
	return ret;
}

static int take(struct recorder *r, const char *buf, size_t n)
{
	size_t i;

	if (fwrite(buf, 1, n, r->out) != n) {
		alist_error("%s: cannot write: %s", r->options->output, strerror(errno));
		return -1;
	}
	r->bytes += n;
	for (i = 0; i < n; i++)
		r->lines += buf[i] == '\n';
	if (r->checked)
		return 0;
	if (r->first_len + n <= CHECK_BYTES) {
		memcpy(r->first + r->first_len, buf, n);
		r->first_len += n;
		return 0;
	}
	return check(r);
}

/* Everything that is there now. Return: 0, -1 after alist_error(). */
static int drain(struct recorder *r, int fd)
{
	char buf[16384];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (take(r, buf, n))
			return -1;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		alist_error("cannot read the trace: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int run_command(struct recorder *r)
{
	if (!r->options->command)
		return 0;
	fflush(NULL);
	r->child = fork();
	if (r->child < 0) {
		alist_error("cannot fork: %s", strerror(errno));
		return -1;
	}
	if (!r->child) {
		signal(SIGINT, SIG_DFL);
		execvp(r->options->command[0], r->options->command);
		fprintf(stderr, "alist: cannot run %s: %s\n", r->options->command[0],
			strerror(errno));
		_exit(127);
	}
	return 0;
}

static int record(struct recorder *r)
{
	double end = r->options->seconds ? now() + r->options->seconds : 0;
	char path[512];
	struct pollfd pfd;
	int ret = 0, status = 0;

	snprintf(path, sizeof(path), "%s/trace_pipe", r->instance);
	pfd.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	pfd.events = POLLIN;
	if (pfd.fd < 0) {
		alist_error("cannot read the trace: %s", strerror(errno));
		return -1;
	}
	ret = set(r->instance, "1", "tracing_on");
	if (ret)
		alist_error("cannot switch tracing on: %s", strerror(-ret));
	if (!ret)
		ret = run_command(r);
	while (!ret && !interrupted && (!end || now() < end)) {
		poll(&pfd, 1, 50);
		ret = drain(r, pfd.fd);
		if (r->child > 0 && waitpid(r->child, &status, WNOHANG) == r->child) {
			r->child = 0;
			break;
		}
	}
	set(r->instance, "0", "tracing_on");
	if (!ret)
		ret = drain(r, pfd.fd);
	close(pfd.fd);
	if (r->child > 0) {
		kill(r->child, SIGTERM);
		waitpid(r->child, &status, 0);
	}
	if (!ret && !r->checked)
		ret = check(r);
	if (!ret && WIFEXITED(status) && WEXITSTATUS(status) == 127 && r->options->command) {
		alist_error("expected a command that runs, '%s' does not",
			    r->options->command[0]);
		ret = -1;
	}
	return ret;
}

/* Events that the ring or the probes had no place for. */
static void count_lost(struct recorder *r)
{
	char path[512], line[128];
	unsigned long n;
	unsigned int cpu;
	FILE *file;

	for (cpu = 0; cpu < 4096; cpu++) {
		snprintf(path, sizeof(path), "%s/per_cpu/cpu%u/stats", r->instance, cpu);
		file = fopen(path, "re");
		if (!file)
			break;
		while (fgets(line, sizeof(line), file))
			if (sscanf(line, "overrun: %lu", &n) == 1 ||
			    sscanf(line, "dropped events: %lu", &n) == 1)
				r->lost += n;
		fclose(file);
	}
}

static int finish(struct recorder *r, int ret)
{
	if (!r->out)
		return ret;
	if (fflush(r->out) || ferror(r->out)) {
		if (!ret)
			alist_error("%s: cannot write: %s", r->options->output, strerror(errno));
		ret = -1;
	}
	if (!r->partial)
		return ret;
	if (fclose(r->out) && !ret) {
		alist_error("%s: cannot write: %s", r->options->output, strerror(errno));
		ret = -1;
	}
	if (!ret && rename(r->partial, r->options->output)) {
		alist_error("%s: cannot write: %s", r->options->output, strerror(errno));
		ret = -1;
	}
	if (ret)
		unlink(r->partial);
	free(r->partial);
	return ret;
}

static int record_all(struct recorder *r)
{
	struct sigaction action = { .sa_handler = on_signal };
	int ret;

	if (geteuid()) {
		alist_error("expected root: tracing needs it (sudo alist record ..)");
		return -1;
	}
	if (locked_down()) {
		alist_error("expected a kernel that can be traced: it is locked down (confidentiality)");
		return -1;
	}
	if (find_iommus(r) || find_tracefs(r))
		return -1;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	clean_up(r);
	ret = set_up(r);
	if (!ret)
		ret = open_output(r);
	if (!ret)
		ret = record(r);
	if (r->instance[0])
		count_lost(r);
	take_away(r);
	return finish(r, ret);
}

/*
 * Arguments
 */

#define KEY_BUFFER	256

static const struct argp_option argp_options[] = {
	{ "time", 't', "S", 0, "For so many seconds; without it, until COMMAND ends, or Ctrl-C", 0 },
	{ "output", 'o', "FILE", 0, "The log (alist.txt); - is standard output", 0 },
	{ "buffer", KEY_BUFFER, "KIB", 0, "The ring of each CPU (8192)", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	unsigned long n;
	char *end;

	switch (key) {
	case 't':
		options->seconds = strtod(arg, &end);
		if (*end || end == arg || !(options->seconds > 0 && options->seconds < 1e6))
			argp_error(state, "expected --time in seconds, not '%s'", arg);
		return 0;
	case 'o':
		options->output = arg;
		return 0;
	case KEY_BUFFER:
		n = strtoul(arg, &end, 10);
		if (*end || end == arg || n < 16 || n > 1 << 22)
			argp_error(state, "expected --buffer from 16 to %d KiB, not '%s'",
				   1 << 22, arg);
		options->buffer_kb = n;
		return 0;
	case ARGP_KEY_ARGS:
		options->command = state->argv + state->next;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int alist_record(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, "[-- COMMAND [ARG...]]",
		"Record a log of this machine: what is mapped, unmapped and attached, commands, "
		"begin and end of flushes and completion waits. Needs root.",
		NULL, NULL, NULL,
	};
	struct options options = { .output = "alist.txt", .buffer_kb = 8192 };
	struct recorder r = { .options = &options };
	int ret;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
	r.first = malloc(CHECK_BYTES);
	if (!r.first) {
		alist_error("out of memory");
		return ALIST_BAD;
	}
	ret = record_all(&r);
	free(r.first);
	if (ret)
		return ALIST_BAD;
	fprintf(stderr, "alist: %s: %" PRIu64 " events of %s (%s), %" PRIu64 " lost\n",
		options.output, r.lines, r.vendor->name, r.iommus, r.lost);
	return ALIST_OK;
}
