/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the verbs of the command line share: exit codes, how errors are told,
 * where output waits until it is whole.
 */
#ifndef ALIST_ALIST_H
#define ALIST_ALIST_H

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>

#include "model/model.h"

struct trace;
struct trace_event;

enum alist_exit {
	ALIST_OK,
	ALIST_FAILED,		/* a check failed */
	ALIST_BAD,		/* bad usage or input */
};

/* One verb a file. argv[0] is "alist VERB". Return: enum alist_exit. */
int alist_replay(int argc, char **argv);
int alist_cost(int argc, char **argv);
int alist_compare(int argc, char **argv);
int alist_record(int argc, char **argv);
int alist_demo(int argc, char **argv);
int alist_show(int argc, char **argv);

/* One line, and names as they are. */
#define ALIST_JSON	(JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* "alist: ..." on standard error, safe to print whatever the names in it are. */
void alist_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Tells errno, and forgets what @to (or NULL) still has to write. @name: or NULL */
void alist_cannot_write(FILE *to, const char *name);

/* NULL after alist_error(). */
struct trace *alist_open(const char *path);
/*
 * As trace_next(), with a bar on standard error if that is a terminal. Return: -1 after
 * alist_error(); a log that ends well may have had a warning by it.
 */
int alist_next(struct trace *trace, const char *path, struct trace_event *event);

/*
 * A place for output that is not whole yet, of any size: a temporary file.
 * Publishing copies it to @to; forgetting leaves no trace of it.
 */
FILE *alist_spool(void);
/* Whether all that was written to it is there. Return: 0, -1 after alist_error(). */
int alist_spool_check(FILE *spool);
/* Return: 0, or -1 after alist_error(), also if an earlier write to @spool failed. */
int alist_publish(FILE *spool, FILE *to);

/* A name for programs; model_vendor_name() is for readers. */
const char *alist_vendor(enum model_vendor vendor);

/* Whether to write escape sequences to @to: a terminal that knows some, and NO_COLOR not set. */
bool alist_colour(FILE *to);

#endif /* ALIST_ALIST_H */
