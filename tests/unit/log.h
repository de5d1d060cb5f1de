/* SPDX-License-Identifier: GPL-2.0-only */
/* Logs for tests: text into a temporary file that is gone when the test is. */
#ifndef TESTS_LOG_H
#define TESTS_LOG_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/alist/trace.h"

/* A reader of @len bytes of text. */
static inline struct trace *open_bytes(const char *text, size_t len)
{
	char path[] = "/tmp/alist-log-XXXXXX";
	int fd = mkstemp(path);
	struct trace *trace;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	trace = trace_open(path, NULL, 0);
	unlink(path);
	assert_non_null(trace);
	return trace;
}

static inline struct trace *open_text(const char *text)
{
	return open_bytes(text, strlen(text));
}

#endif /* TESTS_LOG_H */
