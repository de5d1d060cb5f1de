// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads attach lists while they change: watch
 *
 * The KUnit suite is run again, from its file in debugfs, with all iommu_alist events on. A
 * second process reads iommu/alist/ all the time, and checks that each reading is consistent: a
 * list's numbers belong to one moment, because its lock is held. In the end, it must have seen
 * lists with attachments, the suite must have passed, and the trace must have each event.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.h"

#define ALIST	"/sys/kernel/debug/iommu/alist/"
#define SUITE	"/sys/kernel/debug/kunit/iommu-alist/"
#define TRACING	"/sys/kernel/tracing/"

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	stop = signal;
}

static FILE *open_table(const char *path, const char *head)
{
	FILE *file = fopen(path, "re");
	char line[256];

	if (!file || !fgets(line, sizeof(line), file))
		fail("%s: cannot be read", path);
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, head))
		fail("%s: the first line is \"%s\", expected \"%s\"", path, line, head);
	return file;
}

/* Return: lists with attachments. */
static unsigned long read_domains(void)
{
	FILE *file = open_table(ALIST "domains", "domain attachments groups targets "
				"flushes iotlb atc submit error");
	unsigned long number, attachments, groups, targets, flushes, iotlb, atc, submit, error;
	unsigned long before = 0, busy = 0;
	char line[256];

	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lu %lu %lu %lu %lu %lu %lu %lu %lu", &number,
			   &attachments, &groups, &targets, &flushes, &iotlb, &atc, &submit,
			   &error) != 9)
			fail("domains: expected nine numbers: %s", line);
		if (number <= before)
			fail("domains: list %lu comes after %lu", number, before);
		if (groups > attachments || targets > attachments ||
		    !groups != !attachments)
			fail("domains: the numbers are not of one moment: %s", line);
		before = number;
		busy += attachments > 0;
	}
	fclose(file);
	return busy;
}

/* A table that has rows for each list, the list's number first. */
static void read_rows(const char *path, const char *head)
{
	FILE *file = open_table(path, head);
	unsigned long number, before = 0, columns = 1, spaces;
	char line[256];
	const char *at;

	for (at = head; *at; at++)
		columns += *at == ' ';
	while (fgets(line, sizeof(line), file)) {
		number = strtoul(line, NULL, 10);
		for (at = line, spaces = 0; *at; at++)
			spaces += *at == ' ';
		if (number < before || spaces + 1 != columns)
			fail("%s: after list %lu: %s", path, before, line);
		before = number;
	}
	fclose(file);
}

static _Noreturn void read_until_stopped(void)
{
	unsigned long busy = 0, reads = 0;

	signal(SIGTERM, on_term);
	do {
		busy += read_domains();
		read_rows(ALIST "groups", "domain iommu kind tag users");
		read_rows(ALIST "targets", "domain iommu kind tag atc state");
		read_rows(ALIST "attachments", "domain iommu kind tag device pasid atc");
		reads++;
	} while (!stop);
	printf("watch: %lu reads, %lu lists with attachments\n", reads, busy);
	if (!busy)
		fail("no list with attachments was seen");
	exit(0);
}

static void check_trace(void)
{
	static const char *const events[] = {
		"iommu_alist_add:", "iommu_alist_del:", "iommu_alist_atc:",
		"iommu_alist_drain:", "iommu_alist_flush:",
	};
	unsigned long nr[sizeof(events) / sizeof(events[0])] = {};
	FILE *file = fopen(TRACING "trace", "re");
	char line[512];
	size_t i;

	while (file && fgets(line, sizeof(line), file)) {
		for (i = 0; i < sizeof(events) / sizeof(events[0]); i++)
			nr[i] += !!strstr(line, events[i]);
	}
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		printf("watch: %lu %s\n", nr[i], events[i]);
		if (!nr[i])
			fail("the trace has no %s", events[i]);
	}
	if (file)
		fclose(file);
}

static void check_results(void)
{
	FILE *file = fopen(SUITE "results", "re");
	bool passed = false;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		if (strstr(line, "not ok "))
			fail("%s", line);
		passed |= !strncmp(line, "ok 1 iommu-alist", strlen("ok 1 iommu-alist"));
	}
	if (!passed)
		fail("the suite did not pass");
	fclose(file);
}

int main(void)
{
	pid_t reader;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	write_file(TRACING "buffer_size_kb", "8192");
	write_file(TRACING "events/iommu_alist/enable", "1");

	reader = fork();
	if (!reader)
		read_until_stopped();
	write_file(SUITE "run", "1");
	kill(reader, SIGTERM);
	if (waitpid(reader, &status, 0) != reader || status)
		fail("the reader ended with status %d", status);

	write_file(TRACING "events/iommu_alist/enable", "0");
	check_results();
	check_trace();
	return 0;
}
