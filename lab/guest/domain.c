// SPDX-License-Identifier: GPL-2.0-only
/*
 * One domain over several devices, or several IOMMUs, through domain.ko: for machines where VFIO is
 * not available, or cannot map what is needed. All devices are QEMU's edu.
 *
 *	domain count		commands of attach, unmap and detach with 1, 2, 4, … devices
 *	domain instructions	instructions of the same; an interrupted operation is repeated
 *	domain irqsoff		the longest section of the same that has interrupts off, in
 *				instructions
 *	domain stale [planted]	DMA to what was just unmapped, by devices whose IOMMU translates
 *	domain top		the page table grows under devices that use it
 *	domain churn SECONDS	attaches and detaches during unmaps and DMA
 *	domain illegal		a command is refused: is the waiter told?
 *	domain release		devices are removed during a flush
 *	domain remove		an IOMMU is removed during a flush
 *
 * QEMU translates all DMA of a bus by the IOMMU that was plugged in first. The first device is
 * behind that one, and does DMA.
 */
#define _GNU_SOURCE		/* sched_setaffinity() */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "edu.h"
#include "lab.h"

#define DOMAIN		"/sys/kernel/debug/domain/"
#define PCI		"/sys/bus/pci/devices/"
#define FAR		0x10000000000UL	/* not in a table of three levels */
#define OPS		5
#define MANY_OPS	64	/* so that what is done once in many is in the mean */
#define MAX_DISTURBED	1000
#define REMOVAL_PAUSES	30	/* shorter than domain.ko's SLOW_MS */
#define ROUNDS		8

static const struct {
	const char *name;
	unsigned long size;
} sizes[] = { { "4k", SZ_4K }, { "64k", SZ_64K }, { "2m", SZ_2M } };

static char bdf[MAX_DEVICES][16];
static int have;

static void set(const char *name, const char *text)
{
	char path[100];

	snprintf(path, sizeof(path), DOMAIN "%s", name);
	write_file(path, text);
}

static void dom_attach(int i)
{
	set("attach", bdf[i]);
}

static void dom_detach(int i)
{
	set("detach", bdf[i]);
}

static void dom_map(const void *page, unsigned long iova, unsigned long size)
{
	char text[80];

	snprintf(text, sizeof(text), "%lx %lx %lx", iova, (unsigned long)page, size);
	set("map", text);
}

static void dom_unmap(unsigned long iova, unsigned long size)
{
	char text[80];

	snprintf(text, sizeof(text), "%lx %lx", iova, size);
	set("unmap", text);
}

static void plant(const char *bug)
{
	char symbol[128], text[160];

	if (!find_function("riscv_iommu_queue_send", symbol, sizeof(symbol)))
		fail("no function takes the commands of RISC-V's driver");
	snprintf(text, sizeof(text), "%s %s", bug, symbol);
	set("plant", text);
}

/* One behind each IOMMU in turn. */
static void find(void)
{
	char found[MAX_DEVICES][16];
	int n = find_devices(EDU_ID, found, MAX_DEVICES), i;

	if (n < 4 || n % 2)
		fail("%d edu devices, an even number is needed", n);
	for (i = 0; i < n / 2; i++) {
		strcpy(bdf[2 * i], found[i]);
		strcpy(bdf[2 * i + 1], found[n / 2 + i]);
	}
	have = n;
}

/*
 * Commands
 */

static void result(const char *op, const char *size, int n, int ops)
{
	struct counts counts;

	count_read(&counts);
	printf("RESULT {\"workload\": \"%s%s%s\", \"n\": %d, \"ops\": %d, \"marks\": %d, \"iotlb\": %lu, \"atc\": %lu, \"sync\": %lu, \"other\": %lu}\n",
	       op, *size ? "-" : "", size, n, ops, ops, counts.iotlb, counts.atc, counts.sync,
	       counts.other);
}

/*
 * Instructions, which domain.ko has measured, take the place of commands.
 */
static enum { COMMANDS, INSTRUCTIONS, IRQSOFF } mode;
static uint64_t total, longest;
static int disturbed;

static uint64_t measured(const char *what)
{
	char path[100], text[32];

	snprintf(path, sizeof(path), DOMAIN "%s", what);
	if (!read_file(path, text, sizeof(text)))
		fail("%s: %s", path, strerror(errno));
	return strtoull(text, NULL, 10);
}

static void reset(void)
{
	total = 0;
	longest = 0;
	if (mode == COMMANDS)
		count_reset();
}

/* Return: false if an interrupt came into what was measured. */
static bool take(void (*operation)(int), int i)
{
	uint64_t interrupts = interrupts_now();

	if (mode == COMMANDS) {
		count_begin();
		operation(i);
		count_end();
		return true;
	}
	operation(i);
	if (interrupts_now() != interrupts) {
		if (++disturbed > MAX_DISTURBED)
			fail("an interrupt comes into nearly every operation");
		return false;
	}
	if (mode == INSTRUCTIONS) {
		total += measured("instructions");
	} else {
		uint64_t off = measured("interrupts_off");

		if (off > longest)
			longest = off;
	}
	return true;
}

static void print(const char *op, const char *size, int n, int ops)
{
	bool mean = mode == INSTRUCTIONS;

	/* An attach may send nothing. */
	if (mode == IRQSOFF && !longest && !strcmp(op, "unmap"))
		fail("no lock was taken with interrupts off");
	if (mode == COMMANDS)
		result(op, size, n, ops);
	else if (ops && (mean || longest))
		printf("RESULT {\"workload\": \"%s%s%s\", \"n\": %d, \"ops\": %d, \"%s\": %llu}\n",
		       op, *size ? "-" : "", size, n, ops, mean ? "instructions" : "irqsoff",
		       (unsigned long long)(mean ? total / ops : longest));
}

static void unmap_one(int s)
{
	dom_unmap(IOVA, sizes[s].size);
}

/* Attaches and detaches are not done again for an interrupt: the mean is that of the others. */
static void measure(void)
{
	int ops = mode == INSTRUCTIONS ? MANY_OPS : OPS;
	char *page = memory(SZ_4K);
	int n, i, s, done;

	if (mode == COMMANDS)
		count_init();
	else if (mode == IRQSOFF)
		set("watch", "1");
	for (n = 1; n <= have; n *= 2) {
		reset();
		for (i = 0, done = 0; i < n; i++)
			done += take(dom_attach, i);
		print("attach", "", n, done);
		for (s = 0; s < (int)(sizeof(sizes) / sizeof(sizes[0])); s++) {
			reset();
			for (done = 0; done < ops;) {
				dom_map(page, IOVA, sizes[s].size);
				done += take(unmap_one, s);
			}
			print("unmap", sizes[s].name, n, done);
		}
		reset();
		for (i = 0, done = 0; i < n; i++)
			done += take(dom_detach, i);
		print("detach", "", n, done);
		set("free", "");
	}
}

/*
 * The oracle
 */

static volatile unsigned char *bar;

static void edu_open(const char *name)
{
	uint16_t command = EDU_COMMAND;
	char path[100];
	int fd;

	snprintf(path, sizeof(path), PCI "%s/config", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, &command, sizeof(command), EDU_COMMAND_OFFSET) != sizeof(command))
		fail("%s: cannot become a bus master: %s", name, strerror(errno));
	close(fd);
	snprintf(path, sizeof(path), PCI "%s/resource0", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	bar = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bar == MAP_FAILED)
		fail("%s: cannot map registers: %s", name, strerror(errno));
	close(fd);
}

static void dma(uint64_t from, uint64_t to, bool to_memory)
{
	edu_start(bar, from, to, to_memory);
	edu_wait(bar);
}

static void device_writes(void)
{
	dma(EDU_BUFFER, IOVA, true);
}

static void look_for_stale(bool planted)
{
	unsigned char *a = memory(2 * SZ_4K), *b = a + SZ_4K;
	int round, i;

	if (planted)
		plant("flush");
	edu_open(bdf[0]);
	for (i = 0; i < have; i++)
		dom_attach(i);
	/* What the device will write from now on comes from here. */
	memset(a, WRITTEN, SZ_4K);
	dom_map(a, IOVA, SZ_4K);
	dma(IOVA, EDU_BUFFER, false);
	dom_unmap(IOVA, SZ_4K);
	page_clear(a);
	page_clear(b);

	for (round = 0; round < ROUNDS; round++) {
		dom_map(a, IOVA, SZ_4K);
		device_writes();
		expect_hit("hit", a);

		dom_unmap(IOVA, SZ_4K);
		device_writes();
		expect_untouched("unmapped", a);

		dom_map(a, IOVA, SZ_4K);
		device_writes();
		expect_hit("hit", a);
		dom_unmap(IOVA, SZ_4K);
		dom_map(b, IOVA, SZ_4K);
		device_writes();
		expect_untouched("remapped", a);
		expect_hit("remapped", b);

		/* The first time, others of the domain stay behind this IOMMU. */
		for (i = 0; i < (round ? have : 1); i++)
			dom_detach(i);
		device_writes();
		expect_untouched("detached", b);
		dom_unmap(IOVA, SZ_4K);
		for (i = 0; i < (round ? have : 1); i++)
			dom_attach(i);
		dom_map(a, IOVA, SZ_4K);
		device_writes();
		expect_hit("reused", a);
		expect_untouched("reused", b);
		dom_unmap(IOVA, SZ_4K);
	}
	for (i = 0; i < have; i++)
		dom_detach(i);
	set("free", "");

	oracle_result(have, planted);
}

/*
 * Attaches and detaches beside unmaps
 */

static bool over;
static unsigned long attaches;

/* All but the first device come and go. */
static void *come_and_go(void *unused)
{
	int i;

	(void)unused;
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		for (i = 1; i < have; i++)
			dom_attach(i);
		for (i = 1; i < have; i++)
			dom_detach(i);
		attaches += have - 1;
	}
	return NULL;
}

static void churn(int seconds)
{
	unsigned char *page = memory(SZ_4K);
	time_t end = time(NULL) + seconds;
	unsigned long unmaps = 0;
	pthread_t thread;
	int i;

	edu_open(bdf[0]);
	dom_attach(0);
	/* What the device will write from now on comes from here. */
	memset(page, WRITTEN, SZ_4K);
	dom_map(page, IOVA, SZ_4K);
	dma(IOVA, EDU_BUFFER, false);
	dom_unmap(IOVA, SZ_4K);
	page_clear(page);
	if (pthread_create(&thread, NULL, come_and_go, NULL))
		fail("no thread");
	for (; time(NULL) < end; unmaps++) {
		dom_map(page, IOVA, SZ_4K);
		device_writes();
		expect_hit("hit", page);
		dom_unmap(IOVA, SZ_4K);
		device_writes();
		expect_untouched("unmapped", page);
		/* A transfer takes QEMU a tenth of a second. */
		for (i = 0; i < MANY_OPS; i++) {
			dom_map(page, IOVA + SZ_2M, SZ_64K);
			dom_unmap(IOVA + SZ_2M, SZ_64K);
		}
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	dom_detach(0);
	set("free", "");
	printf("churn: %lu attaches and detaches, %lu unmaps\n", attaches, unmaps * (1 + MANY_OPS));
	if (!attaches || !unmaps)
		fail("one of the two stood still");
	if (oracle.stale || oracle.missed)
		fail("%lu stale pages, %lu transfers missed", oracle.stale, oracle.missed);
}

/*
 * A larger table
 */

/* A device goes on reaching what is mapped, and nothing else, through the new top. */
static void grow(void)
{
	unsigned char *page = memory(SZ_4K);
	int n, i;

	edu_open(bdf[0]);
	count_init();
	for (n = 1; n <= have; n *= 2) {
		for (i = 0; i < n; i++)
			dom_attach(i);
		memset(page, WRITTEN, SZ_4K);
		dom_map(page, IOVA, SZ_4K);
		dma(IOVA, EDU_BUFFER, false);
		page_clear(page);
		device_writes();
		expect_hit("before", page);

		count_reset();
		count_begin();
		dom_map(page, FAR, SZ_4K);
		count_end();
		result("map-far", "", n, 1);
		device_writes();
		expect_hit("larger", page);

		dom_unmap(IOVA, SZ_4K);
		device_writes();
		expect_untouched("unmapped", page);
		dom_map(page, IOVA, SZ_4K);
		device_writes();
		expect_hit("mapped", page);

		dom_unmap(IOVA, SZ_4K);
		dom_unmap(FAR, SZ_4K);
		for (i = 0; i < n; i++)
			dom_detach(i);
		set("free", "");
	}
	printf("top: %lu transfers hit\n", oracle.hits);
	if (oracle.stale || oracle.missed)
		fail("%lu stale pages, %lu transfers missed", oracle.stale, oracle.missed);
}

/*
 * Faults
 */

/* How often the kernel has said that a flush failed. */
static int complaints(void)
{
	char line[2048];
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC), n = 0;
	ssize_t got;

	if (fd < 0)
		fail("/dev/kmsg: %s", strerror(errno));
	while ((got = read(fd, line, sizeof(line) - 1)) > 0) {
		line[got] = '\0';
		n += strstr(line, "IOTLB not invalidated") || strstr(line, "not executed") ||
		     strstr(line, "execution timeout");
	}
	close(fd);
	return n;
}

static void refuse(void)
{
	char *page = memory(SZ_4K);
	int before;

	dom_attach(0);
	dom_attach(1);
	dom_map(page, IOVA, SZ_4K);
	before = complaints();
	plant("illegal");
	dom_unmap(IOVA, SZ_4K);
	printf("CASE {\"case\": \"a command is refused\", \"flushes_that_failed\": 1, \"told\": %d}\n",
	       complaints() - before);
}

static bool flushed;

/* On the CPU that is given, if any. */
static void *unmap_slowly(void *cpu)
{
	cpu_set_t cpus;

	if (cpu) {
		CPU_ZERO(&cpus);
		CPU_SET(*(int *)cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus))
			fail("cannot run on CPU %d: %s", *(int *)cpu, strerror(errno));
	}
	dom_unmap(IOVA, SZ_4K);
	__atomic_store_n(&flushed, true, __ATOMIC_RELAXED);
	return NULL;
}

/* Until the flush is held at its first command. */
static void wait_held(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	char text[8];

	while (!read_file(DOMAIN "held", text, sizeof(text)) || text[0] != 'Y')
		nanosleep(&pause, NULL);
}

static void remove_function(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), PCI "%s/remove", name);
	write_file(path, "1");
}

/*
 * The flush is at the first device of the list when that one and the next are removed: where
 * it goes on from there is a device that is gone.
 */
static void release(void)
{
	char *page = memory(SZ_4K);
	pthread_t thread;
	bool early;

	dom_attach(0);
	dom_attach(2);
	dom_map(page, IOVA, SZ_4K);
	plant("slow");
	if (pthread_create(&thread, NULL, unmap_slowly, NULL))
		fail("no thread");
	wait_held();
	dom_detach(0);
	remove_function(bdf[0]);
	dom_detach(2);
	remove_function(bdf[2]);
	early = !__atomic_load_n(&flushed, __ATOMIC_RELAXED);
	set("resume", "1");
	pthread_join(thread, NULL);
	printf("CASE {\"case\": \"devices are released during a flush\", \"released_first\": %d}\n",
	       early);
}

/*
 * A CPU that no interrupt of a PCI function goes to. A flush that is held does not let others run:
 * not the thread of such an interrupt, which has to end before the interrupt can be freed.
 */
static int cpu_without_interrupts(const char *name)
{
	unsigned long taken = 0;
	char path[300], text[64];
	struct dirent *entry;
	DIR *dir;
	int cpu;

	snprintf(path, sizeof(path), PCI "%s/msi_irqs", name);
	dir = opendir(path);
	if (!dir)
		fail("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/irq/%s/effective_affinity", entry->d_name);
		/* Not there for a vector that is not in use. */
		if (read_file(path, text, sizeof(text)))
			taken |= strtoul(text, NULL, 16);
	}
	closedir(dir);
	if (!taken)
		fail("%s: no interrupt has a CPU", name);
	for (cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1; cpu >= 0; cpu--) {
		if (!(taken & 1UL << cpu))
			return cpu;
	}
	fail("%s: interrupts on all CPUs, %lx", name, taken);
}

static bool removed;

static void *remove_iommu(void *iommu)
{
	remove_function(iommu);
	__atomic_store_n(&removed, true, __ATOMIC_RELAXED);
	return NULL;
}

/* A flush is sending to the IOMMU that is removed, which nobody is attached to any more. */
static void remove_during_flush(void)
{
	const struct timespec pause = { .tv_nsec = 300000000 };
	char path[100], link[200], *iommu, *page = memory(SZ_4K);
	pthread_t unmaps, removes;
	bool first;
	ssize_t n;
	int cpu, i;

	/* …/riscv-iommu@0000:00:02.0 */
	snprintf(path, sizeof(path), PCI "%s/iommu", bdf[0]);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		fail("%s: %s", path, strerror(errno));
	link[n] = '\0';
	iommu = strrchr(link, '@');
	if (!iommu)
		fail("%s: %s does not name a PCI function", path, link);
	cpu = cpu_without_interrupts(iommu + 1);

	dom_attach(0);
	dom_map(page, IOVA, SZ_4K);
	plant("slow");
	if (pthread_create(&unmaps, NULL, unmap_slowly, &cpu))
		fail("no thread");
	wait_held();
	dom_detach(0);
	if (pthread_create(&removes, NULL, remove_iommu, iommu + 1))
		fail("no thread");
	for (i = 0; i < REMOVAL_PAUSES && !__atomic_load_n(&removed, __ATOMIC_RELAXED); i++)
		nanosleep(&pause, NULL);
	first = __atomic_load_n(&removed, __ATOMIC_RELAXED) &&
		!__atomic_load_n(&flushed, __ATOMIC_RELAXED);
	printf("CASE {\"case\": \"an IOMMU is removed during a flush\", \"wrong_removed_first\": %d}\n",
	       first);
	fflush(stdout);
	set("resume", "1");
	pthread_join(unmaps, NULL);
	pthread_join(removes, NULL);
	if (access(path, F_OK) != -1)
		fail("%s: the IOMMU is still there", path);
	set("free", "");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	bool planted = argc == 3 && !strcmp(argv[2], "planted");

	find();
	if (!strcmp(what, "instructions"))
		mode = INSTRUCTIONS;
	else if (!strcmp(what, "irqsoff"))
		mode = IRQSOFF;
	if (argc == 2 && (mode != COMMANDS || !strcmp(what, "count")))
		measure();
	else if (!strcmp(what, "stale") && (argc == 2 || planted))
		look_for_stale(planted);
	else if (!strcmp(what, "churn") && argc == 3)
		churn(number(argv[2]));
	else if (!strcmp(what, "top") && argc == 2)
		grow();
	else if (!strcmp(what, "illegal") && argc == 2)
		refuse();
	else if (!strcmp(what, "release") && argc == 2)
		release();
	else if (!strcmp(what, "remove") && argc == 2)
		remove_during_flush();
	else
		fail("usage: domain count|instructions|irqsoff|stale [planted]|churn SECONDS|top|illegal|release|remove");
	return 0;
}
