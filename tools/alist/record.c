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
#include <mntent.h>
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
/* More than a line of the kernel's. */
#define TEXT_BYTES	(UINT64_C(1) << 16)
/* So long a command may take to end. */
#define COMMAND_SECONDS	2

struct options {
	double seconds;			/* 0: until the command ends, or Ctrl-C */
	const char *output;
	unsigned int buffer_kb;		/* for each CPU */
	char **command;
};

struct recorder {
	const struct options *options;
	const struct vendor_probes *vendor;
	char tracefs[256];
	char instance[320];		/* "": not made yet */
	char group[32];
	char iommus[256];
	bool probes;			/* some were made */
	FILE *out;
	char *path;			/* of the file that it becomes; NULL: none */
	char *partial;			/* its name until it is whole */
	/* Text that is read, but not yet in the log. */
	char text[TEXT_BYTES];
	size_t text_len;
	/* Text from the first events on, until it has been checked. */
	char *first;
	size_t first_len;
	bool checked;
	uint64_t lines, lost;
	uint64_t missed;		/* by probes, so far */
	pid_t child;			/* the command, while it runs */
	int status;			/* that it ended with by itself */
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

static bool is_tracefs(const char *path)
{
	char file[512];

	/* Below debugfs, it is mounted when it is looked at. */
	snprintf(file, sizeof(file), "%s/trace_pipe", path);
	return !access(file, F_OK);
}

/* Where it is mounted, if not at its usual place; or below debugfs. */
static int find_tracefs(struct recorder *r)
{
	struct mntent *mount;
	char bad[256] = "";
	bool found = false;
	int error = 0;
	FILE *mounts;

	snprintf(r->tracefs, sizeof(r->tracefs), "/sys/kernel/tracing");
	if (is_tracefs(r->tracefs))
		return 0;
	mounts = setmntent("/proc/self/mounts", "re");
	while (mounts && !found && (mount = getmntent(mounts))) {
		bool debugfs = !strcmp(mount->mnt_type, "debugfs");

		if (!debugfs && strcmp(mount->mnt_type, "tracefs"))
			continue;
		snprintf(r->tracefs, sizeof(r->tracefs), "%s%s", mount->mnt_dir,
			 debugfs ? "/tracing" : "");
		found = is_tracefs(r->tracefs);
		if (!found && !error && (!debugfs || errno != ENOENT)) {
			error = errno;
			strcpy(bad, r->tracefs);
		}
	}
	if (mounts)
		endmntent(mounts);
	if (found)
		return 0;
	if (error == ENOENT)
		alist_error("cannot trace: %s is empty (is the kernel locked down?)", bad);
	else if (error)
		alist_error("cannot use %s: %s (root of a user namespace is not enough)", bad,
			    strerror(error));
	else
		alist_error("tracefs is not mounted: mount -t tracefs nodev /sys/kernel/tracing (needs CONFIG_FTRACE)");
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
	alist_error("no IOMMU: /sys/class/iommu has no VT-d, AMD-Vi, SMMUv3 or RISC-V IOMMU (disabled in the firmware, or intel_iommu=on missing?)");
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
	if (rmdir(instance) && errno != ENOENT)
		alist_error("warning: cannot remove %s: %s (the next alist record will)", instance,
			    strerror(errno));
}

/* All probes of groups alist_PID whose process is gone. @own: of this one, too. */
static void remove_probes(const struct recorder *r, bool own)
{
	char path[512], line[1024], gone[256];
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
	char path[768];
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
		alist_error("cannot create a tracefs instance: %s%s", strerror(errno),
			    errno == EPERM ? " (is the kernel locked down?)" : "");
		r->instance[0] = '\0';
		return -1;
	}
	set(r->instance, "0", "tracing_on");
	snprintf(text, sizeof(text), "%u", r->options->buffer_kb);
	ret = set(r->instance, text, "buffer_size_kb");
	if (ret) {
		alist_error("cannot allocate a buffer of %s KiB per CPU: %s", text, strerror(-ret));
		return -1;
	}
	set(r->instance, "mono", "trace_clock");
	place.btf = !access("/sys/kernel/btf/vmlinux", R_OK);
	r->probes = probes_add(&place, r->vendor);
	if (set(r->instance, "1", "events/iommu/enable"))
		alist_error("warning: the log will have no maps and unmaps: the kernel has no iommu events");
	if (r->vendor->events && set(r->instance, "1", "events/%s/enable", r->vendor->events))
		alist_error("warning: the log will have no commands: the kernel has no %s events",
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

static int cannot_write(const struct recorder *r)
{
	alist_cannot_write(r->out, r->options->output);
	return -1;
}

/* A file that takes the place of the one of that name when it is whole. */
static int open_partial(struct recorder *r)
{
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	/* Behind a link, the file that it leads to. */
	r->path = realpath(r->options->output, NULL);
	if (!r->path)
		r->path = strdup(r->options->output);
	r->partial = r->path ? malloc(strlen(r->path) + 8) : NULL;
	if (!r->partial)
		return cannot_write(r);
	sprintf(r->partial, "%s.XXXXXX", r->path);
	fd = mkstemp(r->partial);
	if (fd < 0)
		return cannot_write(r);
	r->out = fdopen(fd, "w");
	if (!r->out || fchmod(fd, 0666 & ~mask))
		return cannot_write(r);
	return 0;
}

static int open_output(struct recorder *r)
{
	const char *output = r->options->output;
	struct stat st;

	if (!strcmp(output, "-")) {
		r->out = stdout;
		return 0;
	}
	if (stat(output, &st) || S_ISREG(st.st_mode))
		return open_partial(r);
	/* A port or a pipe: nothing to put in its place. */
	r->out = fopen(output, "we");
	return r->out ? 0 : cannot_write(r);
}

static void write_header(struct recorder *r)
{
	struct utsname name;

	uname(&name);
	fprintf(r->out, "# alist record: kernel=%s arch=%s iommus=%s\n", name.release,
		name.machine, r->iommus);
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
		alist_error("cannot parse what was recorded; the kernel is not as expected: %s",
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

	if (fwrite(buf, 1, n, r->out) != n)
		return cannot_write(r);
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

/*
 * To the log, its whole lines. What the probes have missed meanwhile is said before them: a
 * reader takes nothing for complete that comes after. Return: 0, -1 after alist_error().
 */
static int hand_on(struct recorder *r)
{
	const char *end = memrchr(r->text, '\n', r->text_len);
	size_t len = end ? end + 1 - r->text : 0;
	uint64_t missed = probes_missed(r->tracefs, r->group);

	if (missed > r->missed) {
		fprintf(r->out, "# alist record: %" PRIu64 " events lost\n", missed - r->missed);
		r->lost += missed - r->missed;
		r->missed = missed;
	}
	if (take(r, r->text, len))
		return -1;
	r->text_len -= len;
	memmove(r->text, r->text + len, r->text_len);
	return 0;
}

/* Everything that is there now. Return: 0, -1 after alist_error(). */
static int drain(struct recorder *r, int fd)
{
	ssize_t n;

	while ((n = read(fd, r->text + r->text_len, sizeof(r->text) - r->text_len)) > 0) {
		r->text_len += n;
		if (r->text_len == sizeof(r->text) && hand_on(r))
			return -1;
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		alist_error("cannot read the trace: %s", strerror(errno));
		return -1;
	}
	return hand_on(r);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Return: 0, also if there is none; -1 after alist_error() if it does not run. */
static int run_command(struct recorder *r)
{
	char **command = r->options->command;
	int pipes[2], error = 0;

	if (!command)
		return 0;
	if (pipe2(pipes, O_CLOEXEC)) {
		alist_error("cannot create a pipe: %s", strerror(errno));
		return -1;
	}
	fflush(NULL);
	r->child = fork();
	if (!r->child) {
		signal(SIGPIPE, SIG_DFL);
		execvp(command[0], command);
		error = errno;
		_exit(write(pipes[1], &error, sizeof(error)) < 0 ? 126 : 127);
	}
	if (r->child < 0)
		error = errno;
	close(pipes[1]);
	/* Nothing comes if it runs. */
	if (!error && read(pipes[0], &error, sizeof(error)) < 0)
		error = errno == EINTR ? 0 : errno;
	close(pipes[0]);
	if (!error)
		return 0;
	alist_error("cannot run '%s': %s", command[0],
		    strerror(error));
	return -1;
}

static bool command_ended(struct recorder *r)
{
	if (r->child <= 0 || waitpid(r->child, &r->status, WNOHANG) != r->child)
		return false;
	r->child = 0;
	return true;
}

/* If it does not end when it is told to, it is killed. How it ends is of no interest. */
static void end_command(struct recorder *r)
{
	double end = now() + COMMAND_SECONDS;
	int status;

	if (r->child <= 0)
		return;
	kill(r->child, SIGTERM);
	while (waitpid(r->child, &status, WNOHANG) == 0) {
		if (now() > end)
			kill(r->child, SIGKILL);
		usleep(10000);
	}
	r->child = 0;
}

static int record(struct recorder *r)
{
	double end = r->options->seconds ? now() + r->options->seconds : 0;
	char path[512];
	struct pollfd pfd;
	int ret = 0;

	snprintf(path, sizeof(path), "%s/trace_pipe", r->instance);
	pfd.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	pfd.events = POLLIN;
	if (pfd.fd < 0) {
		alist_error("cannot read the trace: %s", strerror(errno));
		return -1;
	}
	ret = set(r->instance, "1", "tracing_on");
	if (ret)
		alist_error("cannot enable tracing: %s", strerror(-ret));
	if (!ret)
		ret = run_command(r);
	while (!ret && !interrupted && (!end || now() < end)) {
		poll(&pfd, 1, 50);
		ret = drain(r, pfd.fd);
		if (command_ended(r))
			break;
	}
	set(r->instance, "0", "tracing_on");
	if (!ret)
		ret = drain(r, pfd.fd);
	close(pfd.fd);
	if (!ret && !r->checked)
		ret = check(r);
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
	if (r->out && (fflush(r->out) || ferror(r->out)) && !ret)
		ret = cannot_write(r);
	if (r->out && r->out != stdout && fclose(r->out) && !ret)
		ret = cannot_write(r);
	if (r->partial && !ret && rename(r->partial, r->path))
		ret = cannot_write(r);
	if (r->partial && ret)
		unlink(r->partial);
	free(r->partial);
	free(r->path);
	return ret;
}

static int record_all(struct recorder *r)
{
	struct sigaction action = { .sa_handler = on_signal };
	int ret;

	if (geteuid()) {
		alist_error("must be root to trace (sudo alist record ...)");
		return -1;
	}
	if (locked_down()) {
		alist_error("cannot trace: the kernel is locked down (confidentiality)");
		return -1;
	}
	if (find_iommus(r) || find_tracefs(r))
		return -1;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	/* Whoever reads it may be gone; what was made is taken away all the same. */
	signal(SIGPIPE, SIG_IGN);
	clean_up(r);
	ret = open_output(r);
	if (!ret)
		ret = set_up(r);
	if (!ret) {
		write_header(r);
		ret = record(r);
		count_lost(r);
	}
	end_command(r);
	take_away(r);
	return finish(r, ret);
}

/* Tells how the command ended, if not well. */
static bool command_failed(const struct recorder *r)
{
	/* Ctrl-C is for both. */
	if (interrupted)
		return false;
	if (WIFSIGNALED(r->status))
		alist_error("%s was killed by signal %d: %s", r->options->command[0],
			    WTERMSIG(r->status), strsignal(WTERMSIG(r->status)));
	else if (WEXITSTATUS(r->status))
		alist_error("%s exited with status %d", r->options->command[0],
			    WEXITSTATUS(r->status));
	return r->status;
}

/*
 * Arguments
 */

#define KEY_BUFFER	256

static const struct argp_option argp_options[] = {
	{ "time", 't', "S", 0, "Stop after S seconds; default: when COMMAND ends, or with Ctrl-C", 0 },
	{ "output", 'o', "FILE", 0, "Write the log to FILE (default alist.txt); - is standard output", 0 },
	{ "buffer", KEY_BUFFER, "KIB", 0, "Ring buffer of each CPU, in KiB (default 8192)", 0 },
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
		"Record a log of this machine: maps, unmaps, attaches, commands, begin and end of "
		"flushes and completion waits. Needs root.",
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
	alist_error("%s: %" PRIu64 " events from %s (%s), %" PRIu64 " lost", options.output, r.lines,
		    r.vendor->name, r.iommus, r.lost);
	return command_failed(&r) ? ALIST_FAILED : ALIST_OK;
}
