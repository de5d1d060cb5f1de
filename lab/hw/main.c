// SPDX-License-Identifier: GPL-2.0-only
/*
 * hw MACHINE.json: the hardware of one machine, until it is told to end (SIGTERM, SIGINT).
 *
 * The file says what there is; lab/hw.py makes it of a machine's TOML file:
 *
 *	{ "ram": path of the guest's memory, made here, "memory": its size,
 *	  "start": its address, "base": that of the hardware in it, "trace": path,
 *	  "report": path, "qtest": path of QEMU's socket,
 *	  "vendor": "vtd", "amd" or "smmuv3",
 *	  "crashed": "legacy" or "scalable",
 *	  "units": [ { "timeout_ms": 300, "latency_us": { "wait": 10, ... },
 *		       "functions": [ { "slot": 1, "ats": true, "pri": true, "pasid_bits": 20,
 *					"latency_us": 5 }, ... ] }, ... ] }
 *
 * "trace", "report" and "qtest" may be missing, "start", which is 0 then, and "vendor", which is
 * "vtd". With "crashed", a kernel has left its tables in that mode. It prints "ready" when a
 * guest may begin.
 * Exit codes: 0, 1 where something failed, 2 for a wrong file or usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "hw.h"

#define POLL_NICE	-10
#define POLL_SPINS	200		/* then it sleeps */
#define POLL_IDLE	1000		/* about 0.1 s of nothing */
#define POLL_MIN_NS	20000
#define POLL_MAX_NS	100000
#define POLL_IDLE_NS	500000		/* to wake up costs much on some hosts */

static const char *const type_names[16] = {
	[1] = "context", [2] = "iotlb", [3] = "dev_tlb", [4] = "iec", [5] = "wait",
	[6] = "p_iotlb", [7] = "pasid", [8] = "p_dev_tlb", [9] = "page_grp",
};

static const struct {
	const char *name;
	const struct vendor *vendor;
} vendors[] = {
	{ "vtd", &vtd },
	{ "smmuv3", &smmuv3 },
	{ "amd", &amd },
};

void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "hw: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void poll_first(void)
{
	setpriority(PRIO_PROCESS, (id_t)gettid(), POLL_NICE);
}

void look_again(struct looks *looks)
{
	uint64_t now = now_ns();

	if (looks->last_ns && now - looks->last_ns > looks->longest_ns)
		looks->longest_ns = now - looks->last_ns;
	looks->last_ns = now;
}

void poll_wait(unsigned int *idle)
{
	struct timespec ts = { .tv_nsec = POLL_MIN_NS };

	if (++*idle < POLL_SPINS) {
		sched_yield();
		return;
	}
	if (*idle > POLL_IDLE)
		ts.tv_nsec = POLL_IDLE_NS;
	else if (*idle > 2 * POLL_SPINS)
		ts.tv_nsec = POLL_MAX_NS;
	nanosleep(&ts, NULL);
}

bool quitting(const struct machine *machine)
{
	return __atomic_load_n(&machine->quit, __ATOMIC_RELAXED);
}

static _Noreturn void bad(const char *path, const char *expected)
{
	fprintf(stderr, "hw: %s: expected %s\n", path, expected);
	exit(2);
}

static uint64_t number(struct json_object *object, const char *key, uint64_t otherwise)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return otherwise;
	return (uint64_t)json_object_get_int64(value);
}

static const char *string(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? json_object_get_string(value) :
								 NULL;
}

static bool yes(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) && json_object_get_boolean(value);
}

static const struct vendor *find_vendor(const char *name, const char *path)
{
	size_t i;

	for (i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
		if (!strcmp(vendors[i].name, name))
			return vendors[i].vendor;
	bad(path, "vendor: vtd, amd or smmuv3");
}

static void make_function(struct unit *unit, struct json_object *object, const char *path)
{
	struct function *function = calloc(1, sizeof(*function));

	if (!function)
		die("no memory");
	function->unit = unit;
	function->slot = (unsigned int)number(object, "slot", 0);
	function->can = (struct abilities){
		.ats = yes(object, "ats"),
		.pri = yes(object, "pri"),
		.pasid_bits = (unsigned int)number(object, "pasid_bits", 0),
	};
	/* Slot 0 would be ID 0, which Linux's driver takes for "no ID". */
	if (!function->slot || function->slot >= HW_CONTROL_SLOT ||
	    unit->functions[function->slot])
		bad(path, "functions in slots 1 to 30, one in each");
	if (function->can.pri && !unit->vendor->page_request)
		bad(path, "no pri: these units take no page requests");
	if (function->can.pasid_bits > 20)
		bad(path, "pasid_bits up to 20");
	pthread_mutex_init(&function->lock, NULL);
	function->dev = model_dev_create(unit->iommu, requester(unit, function->slot),
					 function->can.ats);
	if (!function->dev)
		die("no device: %s", strerror(errno));
	unit->functions[function->slot] = function;
	function_reset(function);
	store64(unit->machine, control(unit, HW_ATC_LATENCY(function->slot)),
		number(object, "latency_us", 0) * 1000);
}

static void make_unit(struct machine *machine, struct json_object *object, const char *path)
{
	struct model_config config = {
		.vendor = machine->vendor->model,
		.memory = &machine->memory,
	};
	struct unit *unit = calloc(1, sizeof(*unit));
	struct json_object *list, *latency;
	pthread_rwlockattr_t fair;
	unsigned int type;
	size_t i;

	if (!unit)
		die("no memory");
	unit->machine = machine;
	unit->vendor = machine->vendor;
	unit->index = machine->nr_units++;
	pthread_mutex_init(&unit->events, NULL);
	/* Agents are at it all the time: the queue must get its turn. */
	pthread_rwlockattr_init(&fair);
	pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&unit->dma, &fair);
	unit->iommu = model_iommu_create(&config);
	if (!unit->iommu)
		die("no unit: %s", strerror(errno));
	machine->units[unit->index] = unit;
	/* The memory may be anything. */
	memset(guest(machine, reg(unit, 0), unit->vendor->size), 0, unit->vendor->size);
	unit->vendor->reset(unit);
	control_reset(unit);
	unit->control = model_dev_create(unit->iommu, requester(unit, HW_CONTROL_SLOT), false);
	if (!unit->control)
		die("no device: %s", strerror(errno));
	store64(machine, control(unit, HW_TIMEOUT), number(object, "timeout_ms", 300) * 1000000);
	if (json_object_object_get_ex(object, "latency_us", &latency)) {
		json_object_object_foreach(latency, name, value) {
			for (type = 0; type < 16; type++)
				if (type_names[type] && !strcmp(name, type_names[type]))
					break;
			if (type == 16)
				bad(path, "latency_us of context, iotlb, dev_tlb, iec, wait, "
				    "p_iotlb, pasid, p_dev_tlb or page_grp");
			store64(machine, control(unit, HW_LATENCY(type)),
				(uint64_t)json_object_get_int64(value) * 1000);
		}
	}
	if (!json_object_object_get_ex(object, "functions", &list))
		return;
	for (i = 0; i < json_object_array_length(list); i++)
		make_function(unit, json_object_array_get_idx(list, i), path);
}

static void free_unit(struct unit *unit)
{
	unsigned int slot;

	for (slot = 0; slot < HW_SLOTS; slot++) {
		if (!unit->functions[slot])
			continue;
		model_dev_destroy(unit->functions[slot]->dev);
		free(unit->functions[slot]);
	}
	model_dev_destroy(unit->control);
	model_iommu_destroy(unit->iommu);
	free(unit);
}

static void make_memory(struct machine *machine, const char *path)
{
	int fd;

	/* What a machine before left there would be taken for registers of this one. */
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)machine->memory.size))
		die("%s: %s", path, strerror(errno));
	machine->memory.base = mmap(NULL, machine->memory.size, PROT_READ | PROT_WRITE,
				    MAP_SHARED, fd, 0);
	if (machine->memory.base == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

static void report(struct machine *machine, const char *path)
{
	FILE *file = fopen(path, "we");
	unsigned int u, t;

	if (!file)
		die("%s: %s", path, strerror(errno));
	fprintf(file, "{\"units\": [");
	for (u = 0; u < machine->nr_units; u++) {
		const struct unit *unit = machine->units[u];

		fprintf(file, "%s\n {\"commands\": {", u ? "," : "");
		for (t = 1; t < 10; t++)
			fprintf(file, "%s\"%s\": %" PRIu64, t > 1 ? ", " : "", type_names[t],
				control_load(unit, HW_COUNT(t)));
		fprintf(file, "}, \"timeouts\": %" PRIu64 ", \"errors\": %" PRIu64
			", \"longest_ms\": %" PRIu64 "}", control_load(unit, HW_TIMEOUTS),
			control_load(unit, HW_ERRORS), unit->looks.longest_ns / 1000000);
	}
	fprintf(file, "],\n \"functions\": {\"longest_ms\": %" PRIu64 "}}\n",
		machine->looks.longest_ns / 1000000);
	if (fclose(file))
		die("%s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
	struct machine machine = { 0 };
	struct json_object *root, *units;
	const char *ram, *path;
	sigset_t signals;
	unsigned int u;
	int signal;

	if (argc != 2) {
		fprintf(stderr, "usage: hw MACHINE.json\n");
		return 2;
	}
	root = json_object_from_file(argv[1]);
	if (!root) {
		fprintf(stderr, "hw: %s: %s\n", argv[1], json_util_get_last_err());
		return 2;
	}
	ram = string(root, "ram");
	machine.memory.size = number(root, "memory", 0);
	machine.memory.start = number(root, "start", 0);
	machine.base = number(root, "base", 0);
	if (!ram || machine.memory.size < HW_SIZE || machine.base < machine.memory.start ||
	    machine.base - machine.memory.start > machine.memory.size - HW_SIZE ||
	    machine.base % MODEL_PAGE_SIZE)
		bad(argv[1], "ram, memory and base, which leaves 16 MiB up to the memory's end");
	if (!json_object_object_get_ex(root, "units", &units) ||
	    !json_object_array_length(units) || json_object_array_length(units) > HW_MAX_UNITS)
		bad(argv[1], "1 to 16 units");

	path = string(root, "vendor");
	machine.vendor = find_vendor(path ? path : "vtd", argv[1]);
	/* Sleeps of some µs are asked for, and not the 50 more of the default. */
	prctl(PR_SET_TIMERSLACK, 1);
	make_memory(&machine, ram);
	for (u = 0; u < json_object_array_length(units); u++)
		make_unit(&machine, json_object_array_get_idx(units, u), argv[1]);
	path = string(root, "crashed");
	if (path && ((strcmp(path, "legacy") && strcmp(path, "scalable")) ||
		     machine.vendor != &vtd))
		bad(argv[1], "crashed: legacy or scalable, of VT-d");
	for (u = 0; path && u < machine.nr_units; u++)
		vtd_set_root(machine.units[u],
			     crashed_root(machine.units[u], !strcmp(path, "scalable")));
	store32(&machine, machine.base + HW_AT_UNITS, machine.nr_units);
	store32(&machine, machine.base + HW_AT_BUS, machine.vendor->first_bus);
	store32(&machine, machine.base + HW_AT_MAGIC, HW_MAGIC);
	path = string(root, "qtest");
	if (path)
		msi_open(path);
	path = string(root, "trace");
	if (path)
		trace_open(path);

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	/* Also if whoever has started it is killed: the threads would poll for ever. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (u = 0; u < machine.nr_units; u++)
		if (pthread_create(&machine.units[u]->thread, NULL, unit_thread,
				   machine.units[u]))
			die("no thread for a unit");
	if (pthread_create(&machine.functions, NULL, functions_thread, &machine))
		die("no thread for the functions");
	printf("ready\n");
	fflush(stdout);

	sigwait(&signals, &signal);
	__atomic_store_n(&machine.quit, true, __ATOMIC_RELAXED);
	for (u = 0; u < machine.nr_units; u++)
		pthread_join(machine.units[u]->thread, NULL);
	pthread_join(machine.functions, NULL);
	trace_close();
	path = string(root, "report");
	if (path)
		report(&machine, path);
	for (u = 0; u < machine.nr_units; u++)
		free_unit(machine.units[u]);
	munmap(machine.memory.base, machine.memory.size);
	unlink(ram);
	json_object_put(root);
	return 0;
}
