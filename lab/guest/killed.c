// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist record is killed in the middle, and the next one removes what it has left behind.
 *
 *	killed		exit status 0 if nothing is left
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACING		"/sys/kernel/tracing/"
#define PATIENCE	600		/* tenths of a second */

static pid_t start(const char *seconds)
{
	pid_t pid = fork();

	if (!pid) {
		execl("/bin/alist", "alist", "record", "-t", seconds, "-o", "/tmp/killed.txt",
		      NULL);
		_exit(127);
	}
	return pid;
}

/* Whether there are probes of alist's; whosever. */
static int probes(void)
{
	FILE *file = fopen(TRACING "kprobe_events", "re");
	char line[1024];
	int n = 0;

	while (file && fgets(line, sizeof(line), file))
		n += strstr(line, ":alist_") != NULL;
	if (file)
		fclose(file);
	return n;
}

static int enabled(const char *instance)
{
	char path[256], text[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/tracing_on", instance);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	return text[0] == '1';
}

int main(void)
{
	char instance[128];
	int i, status, left;
	pid_t pid = start("60");

	/* An instance begins enabled; it records from when the probes are there, too. */
	snprintf(instance, sizeof(instance), TRACING "instances/alist-%d", pid);
	for (i = 0; i < PATIENCE && !(probes() && enabled(instance)); i++)
		usleep(100000);
	if (i == PATIENCE) {
		printf("FAIL alist record does not get to record\n");
		return 1;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	left = probes();
	if (access(instance, F_OK) || !left) {
		printf("FAIL nothing is left of a killed alist record: this shows nothing\n");
		return 1;
	}
	pid = start("0.2");
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("FAIL alist record after a killed one\n");
		return 1;
	}
	if (!access(instance, F_OK) || probes()) {
		printf("FAIL an instance or %d probes of a killed alist record are left\n", probes());
		return 1;
	}
	printf("killed: %d probes and an instance were left, and are gone\n", left);
	return 0;
}
