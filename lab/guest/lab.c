// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands are counted twice, independently: in the guest, from the kernel's tracepoints, and
 * outside, from QEMU's. What is counted lies between count_begin() and count_end(). Each writes
 * one byte to the configuration space of a device that is used for nothing else (pci-testdev):
 * QEMU's log shows that write among the commands. The report compares the two sums.
 */
#define _GNU_SOURCE		/* memfd_create() */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "lab.h"

#define TRACING		"/sys/kernel/tracing/"
#define PCI		"/sys/bus/pci/devices/"
#define MARKER_ID	"1b36:0005"
#define MARKER_OFFSET	0x3c	/* the interrupt line: a byte that has no effect */

static int marker_fd = -1, tracing_fd = -1;

void fail(const char *format, ...)
{
	va_list args;

	printf("FAIL ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	exit(1);
}

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_APPEND);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail("%s: cannot write \"%s\": %s", path, text, strerror(errno));
	close(fd);
}

bool read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	if (got < 0)
		return false;
	text[got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return true;
}

unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (!*text || *end)
		fail("\"%s\" is not a number", text);
	return value;
}

/* Aligned to 2M, and there: no page is allocated while something is measured. */
void *memory(size_t size)
{
	char *at = mmap(NULL, size + SZ_2M, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		fail("no memory: %s", strerror(errno));
	at = (char *)(((uintptr_t)at + SZ_2M - 1) & ~(SZ_2M - 1));
	memset(at, 0, size);
	return at;
}

/*
 * One page, again and again: no two of them lie behind each other for an IOMMU, so that what a
 * map takes does not depend on how the kernel has found memory.
 */
void *scattered_memory(size_t size)
{
	char *at = memory(size);
	int fd = memfd_create("page", MFD_CLOEXEC);
	size_t offset;

	if (fd < 0 || ftruncate(fd, SZ_4K))
		fail("no memory: %s", strerror(errno));
	for (offset = 0; offset < size; offset += SZ_4K) {
		if (mmap(at + offset, SZ_4K, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
			fail("no memory: %s", strerror(errno));
	}
	close(fd);
	return at;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Finds the devices with a "vendor:device", in the order of their addresses. */
int find_devices(const char *id, char bdf[][16], int max)
{
	DIR *dir = opendir(PCI);
	struct dirent *entry;
	int n = 0;

	if (!dir)
		fail(PCI ": %s", strerror(errno));
	while ((entry = readdir(dir))) {
		char path[300], vendor[16], device[16], have[40];

		if (strlen(entry->d_name) != strlen("0000:00:00.0"))
			continue;
		snprintf(path, sizeof(path), PCI "%s/vendor", entry->d_name);
		if (!read_file(path, vendor, sizeof(vendor)))
			continue;
		snprintf(path, sizeof(path), PCI "%s/device", entry->d_name);
		if (!read_file(path, device, sizeof(device)))
			continue;
		snprintf(have, sizeof(have), "%s:%s", vendor + 2, device + 2);
		if (!strcmp(have, id) && n < max)
			snprintf(bdf[n++], 16, "%.12s", entry->d_name);
	}
	closedir(dir);
	qsort(bdf, n, 16, compare);
	return n;
}

void device_to_vfio(struct device *device, const char *bdf)
{
	char path[300];

	snprintf(device->bdf, sizeof(device->bdf), "%s", bdf);
	snprintf(path, sizeof(path), PCI "%s/driver/unbind", bdf);
	if (!access(path, W_OK))
		write_file(path, bdf);
	snprintf(path, sizeof(path), PCI "%s/driver_override", bdf);
	write_file(path, "vfio-pci");
	write_file("/sys/bus/pci/drivers_probe", bdf);
}

void device_open(struct device *device, struct space *space)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = space->fd,
	};
	char path[300] = "";
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), PCI "%s/vfio-dev", device->bdf);
	dir = opendir(path);
	if (!dir)
		fail("%s: VFIO does not have it", device->bdf);
	while ((entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(path, sizeof(path), "/dev/vfio/devices/%.200s", entry->d_name);
	}
	closedir(dir);

	device->fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->fd < 0)
		fail("%s: %s: %s", device->bdf, path, strerror(errno));
	if (ioctl(device->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		fail("%s: cannot bind: %s", device->bdf, strerror(errno));
	device->id = bind.out_devid;
}

void device_close(struct device *device)
{
	close(device->fd);
	device->fd = -1;
}

/*
 * Opens the devices of several IDs, "vendor:device,vendor:device", taking them in
 * turn so that any first few of them are mixed.
 */
int open_devices(const char *ids, struct device *devices, int max, struct space *space)
{
	char copy[200], found[MAX_DEVICES][MAX_DEVICES][16], *id, *rest = copy;
	int have[MAX_DEVICES], kinds = 0, n = 0, kind, i;

	snprintf(copy, sizeof(copy), "%s", ids);
	while ((id = strtok_r(rest, ",", &rest)) && kinds < MAX_DEVICES) {
		have[kinds] = find_devices(id, found[kinds], MAX_DEVICES);
		if (!have[kinds])
			fail("no device %s", id);
		kinds++;
	}
	for (i = 0; i < MAX_DEVICES; i++) {
		for (kind = 0; kind < kinds; kind++) {
			if (i >= have[kind] || n == max)
				continue;
			device_to_vfio(&devices[n], found[kind][i]);
			device_open(&devices[n++], space);
		}
	}
	return n;
}

void space_open(struct space *space)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	space->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (space->fd < 0)
		fail("/dev/iommu: %s", strerror(errno));
	if (ioctl(space->fd, IOMMU_IOAS_ALLOC, &alloc))
		fail("no IOAS: %s", strerror(errno));
	space->ioas = alloc.out_ioas_id;
}

void space_close(struct space *space)
{
	close(space->fd);
}

/* The devices that are attached after this share one domain. */
void domain_alloc(struct space *space, const struct device *first)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.dev_id = first->id,
		.pt_id = space->ioas,
	};

	if (ioctl(space->fd, IOMMU_HWPT_ALLOC, &alloc))
		fail("%s: no domain: %s", first->bdf, strerror(errno));
	space->hwpt = alloc.out_hwpt_id;
}

void domain_free(struct space *space)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = space->hwpt };

	if (ioctl(space->fd, IOMMU_DESTROY, &destroy))
		fail("cannot free the domain: %s", strerror(errno));
	space->hwpt = 0;
}

int try_attach(struct device *device, const struct space *space)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = space->hwpt,
	};

	return ioctl(device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

void attach(struct device *device, const struct space *space)
{
	if (try_attach(device, space))
		fail("%s: cannot attach: %s", device->bdf, strerror(errno));
}

void detach(struct device *device)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	if (ioctl(device->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach))
		fail("%s: cannot detach: %s", device->bdf, strerror(errno));
}

int try_map(const struct space *space, void *memory, uint64_t iova, uint64_t size)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = space->ioas,
		.user_va = (uintptr_t)memory,
		.length = size,
		.iova = iova,
	};

	return ioctl(space->fd, IOMMU_IOAS_MAP, &map);
}

int try_unmap(const struct space *space, uint64_t iova, uint64_t size)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = space->ioas,
		.iova = iova,
		.length = size,
	};

	return ioctl(space->fd, IOMMU_IOAS_UNMAP, &unmap);
}

void map(const struct space *space, void *memory, uint64_t iova, uint64_t size)
{
	if (try_map(space, memory, iova, size))
		fail("cannot map 0x%lx at 0x%lx: %s", (unsigned long)size,
		     (unsigned long)iova, strerror(errno));
}

void unmap(const struct space *space, uint64_t iova, uint64_t size)
{
	if (try_unmap(space, iova, size))
		fail("cannot unmap 0x%lx at 0x%lx: %s", (unsigned long)size,
		     (unsigned long)iova, strerror(errno));
}

/*
 * The symbol of a function, or of what the compiler has made of it for constant arguments,
 * which come behind those that a probe looks at: NAME or NAME.SUFFIX.
 */
bool find_function(const char *name, char *symbol, size_t size)
{
	char line[256], found[128];
	FILE *file = fopen("/proc/kallsyms", "re");
	size_t length = strlen(name);

	if (!file)
		fail("/proc/kallsyms: %s", strerror(errno));
	*symbol = '\0';
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %*s %127s", found) != 1 || strncmp(found, name, length))
			continue;
		if (!found[length] || found[length] == '.')
			snprintf(symbol, size, "%s", found);
		if (!found[length])
			break;
	}
	fclose(file);
	return *symbol;
}

/*
 * How the driver of this machine says what it sends. VT-d's has a tracepoint, which leaves out
 * wait descriptors: each call of two functions queues one. Where others have no tracepoint, the
 * function that takes their commands is probed: of two, the first that the kernel has, as the
 * second calls it in the kernel with the series. AMD-Vi's takes one command on stock, and with
 * the series several, behind which it queues a wait.
 */
#define AMD_MAX		16

static const struct {
	const char *name, *functions[2], *fetch;
} probes[] = {
	{ "vtdsync", { "qi_submit_sync" }, "" },
	{ "vtdbatch", { "qi_batch_submit" }, "" },
	{ "smmucmd", { "arm_smmu_cmdq_submit", "arm_smmu_cmdq_issue_cmdlist" },
	  "op=+0($arg3):b8@0/64 n=$arg4:s32 sync=$arg5:u8" },
	{ "amdcmd", { "__iommu_queue_command_sync" }, "c=+0($arg2):x64" },
	{ "amdcmds", { "queue_commands" }, "n=$arg3:u32 wait=$arg4:x64 c=+0($arg2):x64[32]" },
	{ "riscvcmd", { "riscv_iommu_queue_send" }, "op=+0($arg2):b7@0/64" },
};

static void open_marker(void)
{
	char bdf[1][16], path[300];

	if (find_devices(MARKER_ID, bdf, 1) != 1)
		fail("no pci-testdev: counts outside could not be told apart");
	snprintf(path, sizeof(path), PCI "%s/config", bdf[0]);
	marker_fd = open(path, O_WRONLY | O_CLOEXEC);
	if (marker_fd < 0)
		fail("%s: %s", path, strerror(errno));
}

uint64_t interrupts_now(void)
{
	unsigned long long count = 0;
	FILE *file = fopen("/proc/stat", "re");
	char line[4096];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "intr %llu", &count) == 1)
			break;
	}
	if (!count)
		fail("/proc/stat has no line \"intr\"");
	fclose(file);
	return count;
}

/* In QEMU's trace from here on: count_begin() is 1, count_end() 0; others may be used. */
void count_mark(unsigned char value)
{
	if (marker_fd < 0)
		open_marker();
	if (pwrite(marker_fd, &value, 1, MARKER_OFFSET) != 1)
		fail("cannot mark: %s", strerror(errno));
}

static void trace_init(void)
{
	tracing_fd = open(TRACING "tracing_on", O_WRONLY | O_CLOEXEC);
	if (tracing_fd < 0)
		fail("cannot trace: %s", strerror(errno));
	write_file(TRACING "tracing_on", "0");
	write_file(TRACING "buffer_size_kb", "8192");
}

static void trace_switch(bool on)
{
	if (write(tracing_fd, on ? "1" : "0", 1) != 1)
		fail("cannot switch tracing %s: %s", on ? "on" : "off", strerror(errno));
}

/* The next line with an event; all events must be there. Return: false at the end. */
static bool trace_line(FILE *file, char *line, int size)
{
	unsigned long in_buffer, written;

	while (fgets(line, size, file)) {
		if (sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu",
			   &in_buffer, &written) == 2 && in_buffer != written)
			fail("the trace buffer is too small");
		if (line[0] != '#')
			return true;
	}
	return false;
}

static FILE *trace_open(void)
{
	FILE *file = fopen(TRACING "trace", "re");

	if (!file)
		fail(TRACING "trace: %s", strerror(errno));
	return file;
}

void count_init(void)
{
	char text[300], symbol[128];
	bool any = false;
	size_t i;

	if (marker_fd < 0)
		open_marker();
	trace_init();
	if (!access(TRACING "events/intel_iommu", F_OK))
		write_file(TRACING "events/intel_iommu/qi_submit/enable", "1");
	if (!access(TRACING "events/lab", F_OK))
		return;		/* an earlier program's probes */
	for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		const char * const *names = probes[i].functions;

		if (!find_function(names[0], symbol, sizeof(symbol)) &&
		    (!names[1] || !find_function(names[1], symbol, sizeof(symbol))))
			continue;
		snprintf(text, sizeof(text), "p:lab/%s %s %s\n", probes[i].name, symbol,
			 probes[i].fetch);
		write_file(TRACING "kprobe_events", text);
		any = true;
	}
	if (any)
		write_file(TRACING "events/lab/enable", "1");
}

void count_reset(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		fail(TRACING "trace: %s", strerror(errno));
	close(fd);
}

void count_begin(void)
{
	trace_switch(true);
	count_mark(1);
}

void count_end(void)
{
	count_mark(0);
	trace_switch(false);
}

static void count_amd(struct counts *counts, uint64_t words)
{
	switch (words >> 60) {
	case 1:
		counts->sync++;
		break;
	case 3:
	case 8:
		counts->iotlb++;
		break;
	case 4:
		counts->atc++;
		break;
	default:
		counts->other++;
	}
}

/* A wait is queued unless it would be the second one in turn. */
static void count_amd_batch(struct counts *counts, const char *event, bool *waits)
{
	unsigned long long wait, words;
	unsigned int n, i;
	int length;

	if (sscanf(event, "n=%u wait=%llx c=%n", &n, &wait, &length) != 2 || n > AMD_MAX)
		fail("no commands of AMD-Vi: %s", event);
	/* "{0x1,0x2,…}": the first half of a command is every second word. */
	for (i = 0; i < 2 * n; i++) {
		event += length;
		if (sscanf(event, "%*[{,]%llx%n", &words, &length) != 1)
			fail("no command %u of AMD-Vi: %s", i / 2, event);
		if (i % 2 == 0)
			count_amd(counts, words);
	}
	if (wait && (n || !*waits))
		counts->sync++;
	*waits = wait;
}

static void count_smmu(struct counts *counts, const char *event)
{
	unsigned int op, n, sync;

	if (sscanf(event, "op=%u n=%u sync=%u", &op, &n, &sync) != 3)
		fail("no command of SMMUv3: %s", event);
	counts->sync += sync;
	/* A batch has commands of one kind. */
	if (op == 0x46)
		counts->sync += n;
	else if (op == 0x40)
		counts->atc += n;
	else if (op >= 0x10 && op < 0x40)
		counts->iotlb += n;
	else
		counts->other += n;
}

static void count_riscv(struct counts *counts, const char *event)
{
	unsigned int op;

	if (sscanf(event, "op=%u", &op) != 1)
		fail("no command of RISC-V: %s", event);
	switch (op) {
	case 1:
		counts->iotlb++;
		break;
	case 2:
		counts->sync++;
		break;
	case 4:
		counts->atc++;
		break;
	default:
		counts->other++;
	}
}

static void count_vtd(struct counts *counts, const char *event)
{
	if (!strncmp(event, "iotlb_inv", 9) || !strncmp(event, "p_iotlb_inv", 11))
		counts->iotlb++;
	else if (!strncmp(event, "dev_tlb_inv", 11) || !strncmp(event, "p_dev_tlb_inv", 13))
		counts->atc++;
	else
		counts->other++;
}

void count_read(struct counts *counts)
{
	FILE *file = trace_open();
	bool waits = true;
	char line[1024];

	memset(counts, 0, sizeof(*counts));
	while (trace_line(file, line, sizeof(line))) {
		const char *event;

		if ((event = strstr(line, "qi_submit: ")))
			count_vtd(counts, event + strlen("qi_submit: "));
		else if (strstr(line, "vtdsync: ") || strstr(line, "vtdbatch: "))
			counts->sync++;
		else if (strstr(line, "smmucmd: ") && (event = strstr(line, "op=")))
			count_smmu(counts, event);
		else if (strstr(line, "amdcmd: ") && (event = strstr(line, "c=0x")))
			count_amd(counts, strtoull(event + strlen("c="), NULL, 16));
		else if (strstr(line, "amdcmds: ") && (event = strstr(line, "n=")))
			count_amd_batch(counts, event, &waits);
		else if (strstr(line, "riscvcmd: ") && (event = strstr(line, "op=")))
			count_riscv(counts, event);
	}
	fclose(file);
}

void irqsoff_init(const char *clock)
{
	trace_init();
	write_file(TRACING "trace_clock", clock);
	write_file(TRACING "events/preemptirq/irq_disable/enable", "1");
	write_file(TRACING "events/preemptirq/irq_enable/enable", "1");
}

void irqsoff_begin(void)
{
	trace_switch(true);
}

void irqsoff_end(void)
{
	trace_switch(false);
}

/*
 * A line of the trace: when, in nanoseconds, and what. A clock has seconds, to the microsecond, or
 * ticks, which are nanoseconds where instructions are counted.
 */
static bool read_event(const char *line, uint64_t *at, char event[32])
{
	unsigned long long whole, micro;

	if (sscanf(line, "%*s [%*d] %*s %llu.%llu: %31s", &whole, &micro, event) == 3) {
		*at = (whole * 1000000 + micro) * 1000;
		return true;
	}
	if (sscanf(line, "%*s [%*d] %*s %llu: %31s", &whole, event) != 2)
		return false;
	*at = whole;
	return true;
}

/*
 * Pairs irq_disable with the next irq_enable, and takes the longest pair that is a flush's, or
 * hwpci.ko's: one of the two was called from a function of the driver or of a list of attachments.
 */
uint64_t irqsoff_longest(void)
{
	static const char * const ours[] = {
		"iommu_attach_", "qi_", "cache_tag_", "intel_",
		"amd_iommu_", "queue_commands", "iommu_completion_wait",
		"arm_smmu_", "deaf_set",
	};
	uint64_t off = 0, longest = 0, at;
	FILE *file = trace_open();
	bool is_ours = false;
	char line[512];

	while (trace_line(file, line, sizeof(line))) {
		char event[32];
		size_t i;

		if (!read_event(line, &at, event))
			continue;
		if (!strcmp(event, "irq_disable:")) {
			off = at;
			is_ours = false;
		}
		for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			is_ours |= strstr(line, ours[i]) != NULL;
		if (!strcmp(event, "irq_enable:") && off) {
			if (is_ours && at - off > longest)
				longest = at - off;
			off = 0;
		}
	}
	fclose(file);
	return longest;
}
