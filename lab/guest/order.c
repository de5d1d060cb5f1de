// SPDX-License-Identifier: GPL-2.0-only
/*
 * order IDS: in which order a flush of one domain behind several SMMUs sends and waits
 *
 * IDS are as for unmap. An unmap must have sent to all SMMUs before it first checks whether one of
 * them is done. As a control, devices are attached one after the other, which sends to one SMMU and
 * waits for it each time: the program must see that, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab.h"

#define TRACING		"/sys/kernel/tracing/"
#define IOVA		0x10000000UL
#define MAX_SMMUS	8

/* SMMUs that got a CMD_SYNC: all of them, and those until the kernel first looked for one. */
struct order {
	int smmus, before_look;
};

static void probe(const char *name, const char *function, const char *fetch)
{
	char symbol[128], text[300];

	if (!find_function(function, symbol, sizeof(symbol)))
		fail("the kernel has no function %s", function);
	snprintf(text, sizeof(text), "p:order/%s %s %s\n", name, symbol, fetch);
	write_file(TRACING "kprobe_events", text);
}

static void begin(void)
{
	count_reset();
	write_file(TRACING "tracing_on", "1");
}

static struct order end(void)
{
	FILE *file;
	unsigned long long smmu, found[MAX_SMMUS];
	struct order order = { 0 };
	bool looked = false;
	char line[512];
	int i;

	write_file(TRACING "tracing_on", "0");
	file = fopen(TRACING "trace", "re");
	if (!file)
		fail(TRACING "trace: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		const char *event = strstr(line, "smmu=");
		unsigned int sync;

		looked |= strstr(line, " look: ") != NULL;
		if (!event)
			continue;
		if (sscanf(event, "smmu=%llx sync=%u", &smmu, &sync) != 2)
			fail("no submission: %s", line);
		for (i = 0; i < order.smmus && found[i] != smmu; i++)
			;
		if (!sync || i < order.smmus)
			continue;
		if (order.smmus == MAX_SMMUS)
			fail("more than %d SMMUs", MAX_SMMUS);
		found[order.smmus++] = smmu;
		order.before_look += !looked;
	}
	fclose(file);
	if (!looked)
		fail("no CMD_SYNC was looked for");
	return order;
}

int main(int argc, char **argv)
{
	struct device devices[MAX_DEVICES];
	struct order attached, unmapped;
	struct space space;
	char *mem;
	int n, i;

	if (argc != 2)
		fail("usage: order IDS");
	mem = memory(SZ_4K);
	space_open(&space);
	n = open_devices(argv[1], devices, MAX_DEVICES, &space);
	write_file(TRACING "tracing_on", "0");
	probe("submit", "arm_smmu_cmdq_submit", "smmu=$arg1:x64 sync=$arg5:u8");
	probe("look", "arm_smmu_cmdq_done", "");
	write_file(TRACING "events/order/enable", "1");

	domain_alloc(&space, &devices[0]);
	begin();
	for (i = 0; i < n; i++)
		attach(&devices[i], &space);
	attached = end();
	map(&space, mem, IOVA, SZ_4K);
	begin();
	unmap(&space, IOVA, SZ_4K);
	unmapped = end();
	for (i = 0; i < n; i++)
		detach(&devices[i]);
	domain_free(&space);
	write_file(TRACING "events/order/enable", "0");

	if (unmapped.smmus < 2)
		fail("the domain is behind %d SMMU, two or more are expected", unmapped.smmus);
	printf("CASE {\"case\": \"an unmap behind several SMMUs\", \"smmus\": %d, "
	       "\"sent_to_before_the_first_look\": %d, \"wrong_looked_before_it_sent\": %d, "
	       "\"fired_one_after_the_other\": %d}\n", unmapped.smmus, unmapped.before_look,
	       unmapped.smmus - unmapped.before_look, attached.smmus - attached.before_look);
	return 0;
}
