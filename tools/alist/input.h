/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Opening a log, whatever it is packed in: .gz, .xz and .zst go through their program,
 * trace.dat through trace-cmd report.
 */
#ifndef ALIST_INPUT_H
#define ALIST_INPUT_H

#include <stdint.h>
#include <sys/types.h>

struct input {
	int fd;				/* to read text from */
	uint64_t size;			/* of the text; 0: not known */
	const char *program;		/* that unpacks it; NULL: none */
	pid_t pids[2];
	char head[16];			/* what was read already, to be put before */
	size_t head_len;
	char error[256];		/* after -1: "" says that errno has it */
};

/* @path: "-" is standard input. Return: 0, -1 with @input->error or errno. */
int input_open(struct input *input, const char *path);
/* The first @n bytes of the text: not another packed file. Return: 0, -1 with @error. */
int input_check(struct input *input, const char *text, size_t n);
/* At the end of the text. Return: 0, -1 with @error if a program failed. */
int input_finish(struct input *input);
/* At any time. */
void input_close(struct input *input);

#endif /* ALIST_INPUT_H */
