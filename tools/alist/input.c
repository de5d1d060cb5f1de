// SPDX-License-Identifier: GPL-2.0-only
/*
 * A log's first bytes say what it is. What is packed is unpacked by the program for it: a
 * child whose output is read in place of the file. From a pipe the bytes that were looked
 * at are fed to it by another child.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "input.h"

/* As of a shell. */
#define CANNOT_RUN	127

static const struct format {
	const char *name;
	const char *magic;
	size_t len;
	const char *argv[6];		/* "" stands for the path; NULL: cannot be read */
	const char *instead;		/* what to run */
} formats[] = {
	{ "a gzip file", "\x1f\x8b", 2, { "gzip", "-dc" }, "gzip -d" },
	{ "an xz file", "\xfd" "7zXZ", 6, { "xz", "-dc" }, "xz -d" },
	{ "a zstd file", "\x28\xb5\x2f\xfd", 4, { "zstd", "-dcq" }, "zstd -d" },
	/* pzstd begins with a frame that has no data. */
	{ "a zstd file", "\x50\x2a\x4d\x18", 4, { "zstd", "-dcq" }, "zstd -d" },
	{ "an lzma file", "\x5d\0\0", 3, { "xz", "-dc" }, "xz -d" },
	{ "a trace.dat of trace-cmd", "\x17\x08\x44tracing", 10,
	  { "trace-cmd", "report", "-t", "-i", "" },
	  "trace-cmd report -t -i trace.dat > trace.txt" },
	{ "a perf.data of perf", "PERFILE2", 8, { NULL },
	  "perf script -i perf.data > trace.txt" },
	{ "a bzip2 file", "BZh", 3, { NULL }, "bzip2 -d" },
	{ "an lz4 file", "\x04\x22\x4d\x18", 4, { NULL }, "lz4 -d" },
	{ "a zip file", "PK\x03\x04", 4, { NULL }, "unzip -p" },
};

static const struct format *format_of(const char *magic, size_t n)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (n >= formats[i].len && !memcmp(magic, formats[i].magic, formats[i].len))
			return &formats[i];
	return NULL;
}

static ssize_t read_some(int fd, char *buf, size_t size)
{
	size_t n = 0;
	ssize_t ret;

	while (n < size) {
		ret = read(fd, buf + n, size - n);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return -1;
		if (!ret)
			break;
		n += ret;
	}
	return n;
}

/* A child: what was read already, and then the rest. */
static void feed(int from, int to, const char *head, size_t n)
{
	char buf[65536];
	ssize_t len = n, done, ret;

	signal(SIGPIPE, SIG_DFL);
	memcpy(buf, head, n);
	while (len > 0) {
		for (done = 0; done < len; done += ret) {
			ret = write(to, buf + done, len - done);
			if (ret < 0)
				_exit(1);
		}
		len = read_some(from, buf, sizeof(buf));
	}
	_exit(len < 0);
}

/* Puts a child between: @fd is replaced by what it writes. */
static int through(struct input *input, int which, const struct format *format,
		   const char *path, const char *head, size_t n)
{
	const char *argv[6];
	int pipes[2], i;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -1;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		close(pipes[0]);
		close(pipes[1]);
		return -1;
	}
	if (!pid) {
		if (!format)
			feed(input->fd, pipes[1], head, n);
		for (i = 0; i < 6; i++)
			argv[i] = format->argv[i] && !*format->argv[i] ? path :
				  format->argv[i];
		dup2(input->fd, STDIN_FILENO);
		dup2(pipes[1], STDOUT_FILENO);
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], (char *const *)argv);
		_exit(CANNOT_RUN);
	}
	close(pipes[1]);
	close(input->fd);
	input->fd = pipes[0];
	input->pids[which] = pid;
	return 0;
}

static bool installed(const char *program)
{
	const char *path = getenv("PATH");
	char name[4096];
	size_t len;

	for (; path && *path; path += len + (path[len] == ':')) {
		len = strcspn(path, ":");
		snprintf(name, sizeof(name), "%.*s/%s", (int)len, path, program);
		if (!access(name, X_OK))
			return true;
	}
	return false;
}

int input_open(struct input *input, const char *path)
{
	const struct format *format;
	char magic[sizeof(input->head)];
	struct stat st;
	ssize_t n;
	bool file;

	memset(input, 0, sizeof(*input));
	input->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) :
					fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (input->fd < 0 || fstat(input->fd, &st))
		goto fail;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		goto fail;
	}
	file = S_ISREG(st.st_mode) && lseek(input->fd, 0, SEEK_CUR) == 0;
	n = read_some(input->fd, magic, sizeof(magic));
	if (n < 0)
		goto fail;
	format = format_of(magic, n);
	if (file && lseek(input->fd, 0, SEEK_SET))
		goto fail;
	if (!format) {
		if (file) {
			input->size = st.st_size;
		} else {
			memcpy(input->head, magic, n);
			input->head_len = n;
		}
		return 0;
	}
	if (!format->argv[0] || !installed(format->argv[0])) {
		snprintf(input->error, sizeof(input->error),
			 "expected text, found %s%s%s: run '%s' and pass the text",
			 format->name, format->argv[0] ? ", and there is no " : "",
			 format->argv[0] ? format->argv[0] : "", format->instead);
		goto fail;
	}
	if (!file && !strcmp(format->argv[0], "trace-cmd")) {
		snprintf(input->error, sizeof(input->error),
			 "expected text, found %s, which cannot be read from a pipe: pass the file",
			 format->name);
		goto fail;
	}
	input->program = format->argv[0];
	if (!file && through(input, 0, NULL, path, magic, n))
		goto fail;
	/* A program that wants a name gets one, also of standard input. */
	if (!strcmp(path, "-"))
		path = "/dev/stdin";
	if (through(input, 1, format, path, NULL, 0))
		goto fail;
	return 0;
fail:
	n = errno;
	input_close(input);
	errno = n;
	return -1;
}

int input_check(struct input *input, const char *text, size_t n)
{
	const struct format *format = input->program ? format_of(text, n) : NULL;

	if (!format)
		return 0;
	snprintf(input->error, sizeof(input->error),
		 "expected text, found %s in the output of %s: unpack it and pass %s", format->name,
		 input->program, format->argv[0] ? "the file" : "its text");
	return -1;
}

int input_finish(struct input *input)
{
	int i, status;

	for (i = 0; i < 2; i++) {
		if (!input->pids[i])
			continue;
		if (waitpid(input->pids[i], &status, 0) < 0)
			status = 1 << 8;
		input->pids[i] = 0;
		if (!status || !input->program || input->error[0])
			continue;
		if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_RUN)
			snprintf(input->error, sizeof(input->error),
				 "cannot run %s to unpack the file",
				 input->program);
		else
			snprintf(input->error, sizeof(input->error),
				 "%s failed: is the file truncated or damaged?",
				 input->program);
	}
	return input->error[0] ? -1 : 0;
}

void input_close(struct input *input)
{
	int i;

	if (input->fd >= 0)
		close(input->fd);
	input->fd = -1;
	for (i = 0; i < 2; i++) {
		if (!input->pids[i])
			continue;
		kill(input->pids[i], SIGTERM);
		waitpid(input->pids[i], NULL, 0);
		input->pids[i] = 0;
	}
}
