// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flush end to end: how long does an unmap wait for hardware?
 *
 * The example drivers flush on the models of IOMMUs, with the attach list, and then
 * the same commands are sent again as the vendor's own driver sends and waits:
 *
 *   vtd      an IOMMU's commands and their wait, then the next IOMMU
 *   smmuv3   the same, and twice where there are ATCs: the IOTLB part, then the ATC part
 *   amd      all commands to all IOMMUs, then wait for one IOMMU after the other: the
 *            completion wait of the second is sent when the first has completed
 *   riscv    the same; the ATC part, which the driver does not have, after that
 *   naive    one IOTLB command a device, and a wait after each device
 *
 * Sixty-four IOMMUs at work do not fit on a small machine, so hardware time is
 * simulated. A model executes when the doorbell is rung; meanwhile the clock stands
 * still, and what is noted is when each command would have completed: one latency after
 * the later one of the doorbell and the command before it on the same IOMMU. Who
 * waits goes forward to that time. What the CPU does in between is real, and measured.
 *
 * The linker puts __wrap_model_doorbell() and __wrap_flush_wait() where the drivers
 * call model_doorbell() and flush_wait(), see meson.build.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers/driver.h"

#define MAX_IOMMUS	64
#define DEVICES		4		/* behind each IOMMU, all with ATS */
#define MAX_COMMANDS	64		/* to one IOMMU in a flush */
#define REPS		9
#define IOVA		UINT64_C(0x100000000)

struct command {
	enum model_class class;
	uint64_t cmd[MODEL_CMD_WORDS];
};

static struct machine {
	const struct driver *driver;
	unsigned int nr, latency_ns;
	struct model_iommu *hw[MAX_IOMMUS];
	struct iommu_device *iommu[MAX_IOMMUS];
	struct device *device[MAX_IOMMUS][DEVICES];
	struct domain *domain;
	uint64_t busy[MAX_IOMMUS];	/* until then */
	/* What the last flush sent, and what the first one did. */
	struct command log[MAX_IOMMUS][MAX_COMMANDS], sent[MAX_IOMMUS][MAX_COMMANDS];
	unsigned int nr_log[MAX_IOMMUS], nr_sent[MAX_IOMMUS];
	unsigned int syncs;
} machine;

/*
 * The clock
 */

static uint64_t skipped;		/* waited for, less what models took */

static uint64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t now(void)
{
	return real_ns() + skipped;
}

static unsigned int index_of(const struct model_iommu *hw)
{
	unsigned int i;

	for (i = 0; machine.hw[i] != hw; i++)
		;
	return i;
}

static uint64_t rung_at;

static void log_command(struct model_iommu *hw, enum model_class class,
			const uint64_t *cmd, void *arg)
{
	unsigned int i = (unsigned int)(uintptr_t)arg;
	struct command *log;

	if (machine.busy[i] < rung_at)
		machine.busy[i] = rung_at;
	machine.busy[i] += machine.latency_ns;
	if (class == MODEL_SYNC) {
		machine.syncs++;
		return;
	}
	if (machine.nr_log[i] == MAX_COMMANDS) {
		fprintf(stderr, "end-to-end: more commands than there is room for\n");
		exit(1);
	}
	log = &machine.log[i][machine.nr_log[i]++];
	log->class = class;
	memcpy(log->cmd, cmd, model_cmd_words(model_iommu_vendor(hw)) * sizeof(*cmd));
}

void __real_model_doorbell(struct model_iommu *hw, unsigned int tail);
void __wrap_model_doorbell(struct model_iommu *hw, unsigned int tail);
int __real_flush_wait(struct iommu_device *iommu, u64 cookie, void *arg);
int __wrap_flush_wait(struct iommu_device *iommu, u64 cookie, void *arg);

void __wrap_model_doorbell(struct model_iommu *hw, unsigned int tail)
{
	rung_at = now();
	__real_model_doorbell(hw, tail);
	skipped -= now() - rung_at;
}

/* Here the IOMMU has nothing left to do but what is waited for. */
int __wrap_flush_wait(struct iommu_device *iommu, u64 cookie, void *arg)
{
	uint64_t until = machine.busy[index_of(iommu->hw)];
	uint64_t at = now();
	int ret;

	ret = __real_flush_wait(iommu, cookie, arg);
	if (at < until)
		skipped += until - at;
	return ret;
}

/*
 * The ways to wait
 */

static void wait_for(unsigned int i, uint64_t cookie)
{
	while (__wrap_flush_wait(machine.iommu[i], cookie, NULL) == -EINPROGRESS)
		;
}

/* Sends IOMMU @i its commands of the classes in the mask. Return: whether any. */
static bool send(struct batch *batch, unsigned int i, unsigned int classes)
{
	bool any = false;
	unsigned int c;

	for (c = 0; c < machine.nr_sent[i]; c++) {
		if (!(classes & 1U << machine.sent[i][c].class))
			continue;
		batch_add(batch, machine.iommu[i], machine.sent[i][c].cmd);
		any = true;
	}
	return any;
}

#define IOTLB	(1U << MODEL_IOTLB)
#define ATC	(1U << MODEL_ATC)

static void one_after_the_other(bool atc_apart)
{
	struct batch batch = { 0 };
	unsigned int i;

	for (i = 0; i < machine.nr; i++) {
		if (send(&batch, i, atc_apart ? IOTLB : IOTLB | ATC))
			wait_for(i, batch_sync(&batch, machine.iommu[i]));
		if (atc_apart && send(&batch, i, ATC))
			wait_for(i, batch_sync(&batch, machine.iommu[i]));
	}
}

/* A doorbell without a completion wait, as a driver without batches rings it. */
static void hand_over(struct batch *batch, struct iommu_device *iommu)
{
	unsigned int entries = model_queue_entries(iommu->hw);
	unsigned int words = model_cmd_words(iommu->driver->vendor);
	unsigned int c;

	for (c = 0; c < batch->nr; c++)
		memcpy(&model_queue(iommu->hw)[iommu->tail++ % entries * words],
		       batch->cmd[c], words * sizeof(uint64_t));
	batch->nr = 0;
	model_doorbell(iommu->hw, iommu->tail % entries);
}

static void send_all_then_wait_in_turn(unsigned int classes)
{
	struct batch batch = { 0 };
	unsigned int i;

	for (i = 0; i < machine.nr; i++) {
		send(&batch, i, classes);
		hand_over(&batch, machine.iommu[i]);
	}
	for (i = 0; i < machine.nr; i++)
		wait_for(i, batch_sync(&batch, machine.iommu[i]));
}

static void device_by_device(void)
{
	struct batch batch = { 0 };
	unsigned int i, c, iotlb;

	for (i = 0; i < machine.nr; i++) {
		for (iotlb = 0; machine.sent[i][iotlb].class != MODEL_IOTLB; iotlb++)
			;
		for (c = 0; c < machine.nr_sent[i]; c++) {
			if (machine.sent[i][c].class != MODEL_ATC)
				continue;
			batch_add(&batch, machine.iommu[i], machine.sent[i][iotlb].cmd);
			batch_add(&batch, machine.iommu[i], machine.sent[i][c].cmd);
			wait_for(i, batch_sync(&batch, machine.iommu[i]));
		}
	}
}

static void own_way(void)
{
	switch (machine.driver->vendor) {
	case MODEL_VTD:
		return one_after_the_other(false);
	case MODEL_SMMUV3:
		return one_after_the_other(true);
	case MODEL_AMD:
		return send_all_then_wait_in_turn(IOTLB | ATC);
	default:
		send_all_then_wait_in_turn(IOTLB);
		return send_all_then_wait_in_turn(ATC);
	}
}

static void with_the_list(void)
{
	const struct flush_range range = {
		.first = IOVA,
		.last = IOVA + MODEL_PAGE_SIZE - 1,
		.leaf = MODEL_PAGE_SIZE,
	};

	if (machine.driver->flush(machine.domain, &range)) {
		fprintf(stderr, "end-to-end: a flush failed\n");
		exit(1);
	}
}

/*
 * Measuring
 */

static void machine_new(enum model_vendor vendor, unsigned int nr,
			unsigned int latency_ns)
{
	const struct model_config config = { .vendor = vendor, .queue_log2 = 10 };
	unsigned int i, d;

	memset(&machine, 0, sizeof(machine));
	machine.driver = driver_of(vendor);
	machine.nr = nr;
	machine.latency_ns = latency_ns;
	machine.domain = domain_alloc(machine.driver, 4, false, NULL);
	for (i = 0; i < nr; i++) {
		machine.hw[i] = model_iommu_create(&config);
		machine.iommu[i] = iommu_probe(machine.hw[i], false);
		for (d = 0; d < DEVICES; d++) {
			machine.device[i][d] = device_probe(machine.iommu[i],
							    8 * (d + 1), true);
			if (!machine.device[i][d] ||
			    device_ats_enable(machine.device[i][d]) ||
			    domain_attach(machine.domain, machine.device[i][d],
					  IOMMU_NO_PASID)) {
				fprintf(stderr, "end-to-end: cannot build the machine\n");
				exit(1);
			}
		}
		model_set_log(machine.hw[i], log_command, (void *)(uintptr_t)i);
	}
}

static void machine_free(void)
{
	unsigned int i, d;

	for (i = 0; i < machine.nr; i++) {
		for (d = 0; d < DEVICES; d++)
			device_remove(machine.device[i][d]);
	}
	domain_free(machine.domain);
	for (i = 0; i < machine.nr; i++) {
		iommu_remove(machine.iommu[i]);
		model_iommu_destroy(machine.hw[i]);
	}
}

static int cmp_command(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct command));
}

/* Did it send what the list had sent, whatever the order? */
static void check_sent(const char *way)
{
	unsigned int i;

	for (i = 0; i < machine.nr; i++) {
		qsort(machine.log[i], machine.nr_log[i], sizeof(struct command),
		      cmp_command);
		if (machine.nr_log[i] == machine.nr_sent[i] &&
		    !memcmp(machine.log[i], machine.sent[i],
			    machine.nr_log[i] * sizeof(struct command)))
			continue;
		fprintf(stderr, "end-to-end: %s: %s sends IOMMU %u other commands\n",
			model_vendor_name(machine.driver->vendor), way, i);
		exit(1);
	}
}

static int cmp_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool first_cell = true;

static double measure(FILE *json, const char *way, void (*flush)(void), bool same)
{
	uint64_t ns[REPS];
	unsigned int i;

	for (i = 0; i < REPS; i++) {
		memset(machine.nr_log, 0, sizeof(machine.nr_log));
		machine.syncs = 0;
		ns[i] = now();
		flush();
		ns[i] = now() - ns[i];
		if (same)
			check_sent(way);
	}
	qsort(ns, REPS, sizeof(*ns), cmp_ns);
	if (json) {
		fprintf(json, "%s{\"vendor\": \"%s\", \"way\": \"%s\", \"iommus\": %u, "
			"\"latency_ns\": %u, \"syncs\": %u, \"ns\": %" PRIu64
			", \"spread\": %.3f}",
			first_cell ? "" : ",\n",
			model_vendor_name(machine.driver->vendor), way, machine.nr,
			machine.latency_ns, machine.syncs, ns[REPS / 2],
			(double)(ns[REPS * 3 / 4] - ns[REPS / 4]) / (double)ns[REPS / 2]);
		first_cell = false;
	}
	return (double)ns[REPS / 2] / 1000;
}

/* The first flush says which commands there are. */
static void learn(void)
{
	unsigned int i;

	memset(machine.nr_log, 0, sizeof(machine.nr_log));
	with_the_list();
	memcpy(machine.sent, machine.log, sizeof(machine.sent));
	memcpy(machine.nr_sent, machine.nr_log, sizeof(machine.nr_sent));
	for (i = 0; i < machine.nr; i++)
		qsort(machine.sent[i], machine.nr_sent[i], sizeof(struct command),
		      cmp_command);
}

static void run(FILE *json, enum model_vendor vendor, unsigned int nr,
		unsigned int latency_ns)
{
	double list, own, naive;

	machine_new(vendor, nr, latency_ns);
	learn();
	list = measure(json, "list", with_the_list, true);
	own = measure(json, "own", own_way, true);
	naive = measure(json, "naive", device_by_device, false);
	printf("%-12s %6u %9.1f %10.1f %10.1f %10.1f %9.1f\n", model_vendor_name(vendor),
	       nr, latency_ns / 1000.0, list, own, naive, own / list);
	machine_free();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const unsigned int latencies[] = { 100, 1000, 10000 };
	FILE *json = NULL;
	unsigned int vendor, i, nr;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j') {
			json = fopen(optarg, "w");
			if (!json) {
				perror(optarg);
				return 1;
			}
		} else {
			fprintf(c == 'h' ? stdout : stderr,
				"usage: end-to-end [--json FILE]\n");
			return c == 'h' ? 0 : 2;
		}
	}

	printf("us a flush, %u devices with ATS behind each IOMMU\n", DEVICES);
	printf("vendor       IOMMUs latency us       list        own      naive  own/list\n");
	if (json)
		fprintf(json, "[\n");
	for (vendor = 0; vendor < MODEL_VENDORS; vendor++) {
		for (i = 0; i < 3; i++) {
			for (nr = 1; nr <= MAX_IOMMUS; nr *= 2)
				run(json, vendor, nr, latencies[i]);
		}
	}
	if (json) {
		fprintf(json, "\n]\n");
		if (fclose(json)) {
			perror("end-to-end");
			return 1;
		}
	}
	return 0;
}
