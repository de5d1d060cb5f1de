// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzing the log reader and what is rebuilt from a log
 *
 * Whatever the bytes are, reading ends with the end of the log or with a message that
 * names the line; lines and positions only go up; what is rebuilt hangs together:
 * attachments and tags are of the domain that has them, and counted, a step is
 * about what is there, ranges do not wrap. It comes to the same if the log is read in pieces,
 * as from a pipe.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/alist/rebuild.h"

#include "fuzz.h"

#define DEMAND(condition)						\
do {									\
	if (!(condition)) {						\
		fprintf(stderr, "fuzz_trace: line %" PRIu64 ": does not hold: %s\n", \
			line, #condition);				\
		abort();						\
	}								\
} while (0)

static uint64_t line;
static size_t piece;			/* bytes that read() returns at most */
static uint64_t sum;			/* of all events, and of the end of the log */

ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd, void *buf, size_t size);

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	return __real_read(fd, buf, size < piece ? size : piece);
}

static void add(uint64_t value)
{
	sum = (sum ^ value) * 0x100000001b3ull;
}

static void check_domain(const struct machine *machine, const struct machine_domain *domain)
{
	const struct machine_attachment *attachment;
	const struct machine_tag *tag;
	unsigned int nr = 0;

	for (attachment = domain->attachments; attachment; attachment = attachment->next) {
		DEMAND(attachment->domain == domain);
		DEMAND(attachment->device->users);
		DEMAND(attachment->iommu < machine->nr_iommus);
		nr++;
	}
	DEMAND(nr == domain->nr);
	for (tag = domain->tags; tag; tag = tag->next) {
		DEMAND(tag->domain == domain);
		DEMAND(tag->iommu < machine->nr_iommus);
	}
}

static bool is_there(const struct machine *machine, const struct machine_domain *domain)
{
	const struct machine_domain *other;

	for (other = machine->domains; other; other = other->next) {
		if (other == domain)
			return true;
	}
	return false;
}

static int on_step(struct machine *machine, const struct step *step, void *arg)
{
	const struct machine_domain *domain;
	size_t i;

	(void)arg;
	for (domain = machine->domains; domain; domain = domain->next)
		check_domain(machine, domain);
	if (step->domain)
		DEMAND(is_there(machine, step->domain));
	if (step->attachment)
		DEMAND(is_there(machine, step->attachment->domain));
	for (i = 0; i < step->nr_ranges; i++) {
		DEMAND(step->ranges[i].size);
		DEMAND(step->ranges[i].iova + step->ranges[i].size - 1 >= step->ranges[i].iova);
	}
	for (i = 0; step->burst && i < step->burst->nr; i++)
		DEMAND(step->burst->cmds[i].iommu < machine->nr_iommus);
	return 0;
}

static void read_log(struct trace *trace, struct rebuild *rebuild)
{
	uint64_t before = 0, position = 0;
	struct trace_event event = { 0 };
	int more, ret;

	line = 0;
	do {
		more = trace_next(trace, &event);
		if (more < 0) {
			const char *error = trace_error(trace);

			DEMAND(strchr(error, ':'));
			while (*error)
				add(*error++);
			return;
		}
		DEMAND(trace_position(trace) >= position);
		/* Of what is packed the size is not known. */
		DEMAND(!trace_size(trace) || trace_position(trace) <= trace_size(trace));
		position = trace_position(trace);
		if (more) {
			line = event.line;
			DEMAND(line >= before);
			before = line;
			add(line);
			add(event.type);
			add(event.ns);
		}
		ret = rebuild_event(rebuild, more ? &event : NULL);
		if (ret) {
			DEMAND(ret == -2 && *rebuild_error(rebuild));
			return;
		}
	} while (more);
}

static uint64_t read_file(const char *path, size_t at_most)
{
	struct rebuild *rebuild = rebuild_create(on_step, NULL);
	struct trace *trace;
	char error[256];

	if (!rebuild)
		abort();
	piece = at_most;
	sum = line = 0;
	trace = trace_open(path, error, sizeof(error));
	/* What is packed in a way that cannot be read is named. */
	if (trace)
		read_log(trace, rebuild);
	else
		DEMAND(error[0]);
	rebuild_destroy(rebuild);
	if (trace)
		trace_close(trace);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	uint64_t whole;
	char path[32];

	piece = SIZE_MAX;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	whole = read_file(path, SIZE_MAX);
	DEMAND(read_file(path, 1 + size % 61) == whole);
	close(fd);
	return 0;
}
