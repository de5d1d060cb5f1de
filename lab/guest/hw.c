// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "hw.h"

#define PCI		"/sys/bus/pci/devices/"
#define FUNCTION_ID	"10ff:0001"
#define CONTROL_ID	"10ff:0002"
#define PCI_COMMAND	4
#define MEMORY_AND_MASTER	6
#define MORE_ROUNDS	5000	/* of pages that come and go, for agents without a CPU */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("cannot pin to CPU %d", cpu);
}

static void map_bar(struct function *function)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = 0 };
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	int fd = function->device.fd;
	uint16_t command = MEMORY_AND_MASTER;
	void *at;

	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &bar) ||
	    ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pwrite(fd, &command, sizeof(command), config.offset + PCI_COMMAND) !=
	    sizeof(command))
		fail("%s: VFIO: %s", function->device.bdf, strerror(errno));
	at = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, bar.offset);
	if (at == MAP_FAILED)
		fail("%s: BAR 0: %s", function->device.bdf, strerror(errno));
	function->bar = at;
}

/* BAR 0, of a function that VFIO does not have. */
static volatile uint64_t *map_resource(const char *bdf)
{
	char path[300];
	void *at;
	int fd;

	snprintf(path, sizeof(path), PCI "%s/resource0", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	at = fd < 0 ? MAP_FAILED :
		      mmap(NULL, HW_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		fail("%s: %s", path, strerror(errno));
	close(fd);
	return at;
}

static void place(struct function *function, const char *bdf)
{
	int domain = (int)strtoul(bdf, NULL, 16);
	int bus = (int)strtoul(bdf + strlen("0000:"), NULL, 16);

	function->unit = domain ? domain - 1 : bus - HW_AMD_BUS;
	function->slot = (int)strtoul(bdf + strlen("0000:00:"), NULL, 16);
}

void function_open(struct function *function, const char *bdf)
{
	place(function, bdf);
	snprintf(function->device.bdf, sizeof(function->device.bdf), "%s", bdf);
	function->bar = map_resource(bdf);
}

void hw_open_units(struct hardware *hw)
{
	char bdf[HW_MAX_UNITS][16];
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	memset(hw, 0, sizeof(*hw));
	hw->units = find_devices(CONTROL_ID, bdf, HW_MAX_UNITS);
	if (!hw->units)
		fail("no unit: is hwpci.ko there?");
	for (i = 0; i < hw->units; i++)
		hw->control[i] = map_resource(bdf[i]);
}

void hw_open(struct hardware *hw, int max)
{
	char bdf[MAX_DEVICES][16];
	int n, i, of_unit = 0;

	hw_open_units(hw);
	space_open(&hw->space);
	n = find_devices(FUNCTION_ID, bdf, MAX_DEVICES);
	for (i = 0; i < n; i++) {
		struct function *function = &hw->function[hw->functions];

		of_unit = i && !strncmp(bdf[i], bdf[i - 1], strlen("0000:00")) ? of_unit + 1 : 1;
		if (max && of_unit > max)
			continue;
		function_take(hw, function, bdf[i]);
		hw->functions++;
	}
}

void function_take(struct hardware *hw, struct function *function, const char *bdf)
{
	place(function, bdf);
	device_to_vfio(&function->device, bdf);
	device_open(&function->device, &hw->space);
	map_bar(function);
}

void function_remove(struct function *function)
{
	char path[100];

	munmap((void *)(uintptr_t)function->bar, HW_BAR_SIZE);
	device_close(&function->device);
	snprintf(path, sizeof(path), PCI "%s/remove", function->device.bdf);
	write_file(path, "1");
}

bool share(struct function *function, const struct space *space)
{
	if (!try_attach(&function->device, space))
		return true;
	if (errno != EINVAL)
		fail("%s: cannot attach: %s", function->device.bdf, strerror(errno));
	return false;
}

int hw_share(struct hardware *hw)
{
	int i;

	for (i = 0; i < hw->functions; i++) {
		struct function *function = &hw->function[i];

		if (share(function, &hw->space))
			continue;
		/* The first one of a unit is refused, if any is. */
		if (!function->unit || function->unit == hw->function[i - 1].unit)
			fail("%s: cannot be attached", function->device.bdf);
		hw->functions = i;
		hw->units = function->unit;
	}
	return hw->units;
}

struct function *hw_first(struct hardware *hw, int unit)
{
	int i;

	for (i = 0; i < hw->functions; i++)
		if (hw->function[i].unit == unit)
			return &hw->function[i];
	fail("unit %d has no function", unit);
}

static uint64_t reg_get(volatile uint64_t *bar, uint64_t offset)
{
	return __atomic_load_n(&bar[offset / 8], __ATOMIC_SEQ_CST);
}

static void reg_set(volatile uint64_t *bar, uint64_t offset, uint64_t value)
{
	__atomic_store_n(&bar[offset / 8], value, __ATOMIC_SEQ_CST);
}

static void wait_for_zero(volatile uint64_t *bar, uint64_t offset, const char *what)
{
	uint64_t until = now_ns() + 60000000000;

	while (reg_get(bar, offset)) {
		if (now_ns() > until)
			fail("%s: no answer in a minute", what);
		usleep(20);
	}
}

static struct access dma(struct function *function, uint64_t what, uint64_t pasid,
			 uint64_t iova, uint64_t data)
{
	volatile uint64_t *bar = function->bar;

	reg_set(bar, HW_IOVA, iova);
	reg_set(bar, HW_PASID, pasid);
	reg_set(bar, HW_DATA, data);
	reg_set(bar, HW_COMMAND, what);
	wait_for_zero(bar, HW_COMMAND, function->device.bdf);
	return (struct access){
		.ok = reg_get(bar, HW_STATUS) == HW_OK,
		.stale = reg_get(bar, HW_STALE),
		.data = reg_get(bar, HW_DATA),
		.source = reg_get(bar, HW_SOURCE),
	};
}

struct access dma_read(struct function *function, uint64_t pasid, uint64_t iova)
{
	return dma(function, HW_CMD_READ, pasid, iova, 0);
}

struct access dma_write(struct function *function, uint64_t pasid, uint64_t iova,
			uint64_t data)
{
	return dma(function, HW_CMD_WRITE, pasid, iova, data);
}

void page_request(struct function *function, uint64_t pasid, uint64_t iova,
		  unsigned int group)
{
	dma(function, HW_CMD_PAGE_REQUEST, pasid, iova, group);
}

uint64_t page_response(const struct function *function)
{
	return reg_get(function->bar, HW_RESPONSE);
}

void expect_data(struct function *function, uint64_t pasid, uint64_t iova, uint64_t data)
{
	struct access access = dma_read(function, pasid, iova);

	if (!access.ok)
		fail("%s: fault at 0x%lx, pasid %ld", function->device.bdf, (long)iova,
		     (long)pasid);
	if (access.data != data)
		fail("%s: 0x%lx is at 0x%lx, pasid %ld, expected 0x%lx", function->device.bdf,
		     (long)access.data, (long)iova, (long)pasid, (long)data);
}

void expect_fault(struct function *function, uint64_t pasid, uint64_t iova)
{
	if (dma_read(function, pasid, iova).ok)
		fail("%s: no fault at 0x%lx, pasid %ld", function->device.bdf, (long)iova,
		     (long)pasid);
}

uint64_t control_get(const struct hardware *hw, int unit, uint64_t offset)
{
	return reg_get(hw->control[unit], offset);
}

void control_set(const struct hardware *hw, int unit, uint64_t offset, uint64_t value)
{
	reg_set(hw->control[unit], offset, value);
}

void ping(const struct hardware *hw, int unit)
{
	control_set(hw, unit, HW_PING, 1);
	wait_for_zero(hw->control[unit], HW_PING, "a unit");
}

unsigned long look(const struct hardware *hw)
{
	unsigned long stale = 0;
	int unit;

	for (unit = 0; unit < hw->units; unit++) {
		control_set(hw, unit, HW_LOOK, 1);
		wait_for_zero(hw->control[unit], HW_LOOK, "a look at caches");
		stale += control_get(hw, unit, HW_LOOK_STALE);
	}
	return stale;
}

unsigned long executed(const struct hardware *hw, int unit, unsigned int types)
{
	unsigned long n = 0;
	int i, type;

	for (i = 0; i < hw->units; i++)
		for (type = 0; type < 16; type++)
			if ((unit < 0 || unit == i) && types & 1u << type)
				n += control_get(hw, i, HW_COUNT(type));
	return n;
}

void set_latency(const struct hardware *hw, int unit, uint64_t ns)
{
	int first = unit < 0 ? 0 : unit, last = unit < 0 ? hw->units - 1 : unit, type;

	for (unit = first; unit <= last; unit++)
		for (type = 0; type < 16; type++)
			control_set(hw, unit, HW_LATENCY(type), ns);
}

static uint64_t loses(const struct hardware *hw, unsigned int types)
{
	uint64_t hits = 0;
	int unit;

	for (unit = 0; unit < hw->units; unit++) {
		hits += control_get(hw, unit, HW_TROUBLE_HITS);
		trouble(hw, unit, types ? HW_LOSE : 0, types, 0, UINT32_MAX);
	}
	return hits;
}

void lose(const struct hardware *hw, unsigned int types)
{
	loses(hw, types);
}

uint64_t lose_end(const struct hardware *hw)
{
	return loses(hw, 0);
}

void trouble(const struct hardware *hw, int unit, unsigned int kind, unsigned int types,
	     unsigned int skip, unsigned int count)
{
	control_set(hw, unit, HW_TROUBLE, 0);
	control_set(hw, unit, HW_TROUBLE_TYPES, types);
	control_set(hw, unit, HW_TROUBLE_SKIP, skip);
	control_set(hw, unit, HW_TROUBLE_COUNT, count);
	control_set(hw, unit, HW_TROUBLE_HITS, 0);
	control_set(hw, unit, HW_TROUBLE, kind);
}

void agent_start(struct function *function, uint64_t pasid, uint64_t iova,
		 unsigned int pages, unsigned int what)
{
	unsigned int page;

	for (page = 0; page < pages; page++)
		reg_set(function->bar, HW_AGENT_TABLE + page * 8, 1);
	reg_set(function->bar, HW_AGENT_IOVA, iova);
	reg_set(function->bar, HW_AGENT_PASID, pasid);
	reg_set(function->bar, HW_AGENT_PAGES, pages);
	reg_set(function->bar, HW_AGENT, what);
	while (!agent_get(function, HW_AGENT_RUNS))
		usleep(20);
}

void agent_page(struct function *function, unsigned int page, bool mapped)
{
	uint64_t word = reg_get(function->bar, HW_AGENT_TABLE + page * 8);

	if ((word & 1) == mapped)
		reg_set(function->bar, HW_AGENT_TABLE + page * 8, word + 1);
}

void agent_stop(struct function *function)
{
	reg_set(function->bar, HW_AGENT, 0);
	wait_for_zero(function->bar, HW_AGENT_RUNS, "an agent");
}

uint64_t agent_get(const struct function *function, uint64_t offset)
{
	return reg_get(function->bar, offset);
}

bool agent_has_read(const struct function *function)
{
	/* First: faults that come in between must not count as reads. */
	uint64_t done = agent_get(function, HW_AGENT_DONE);

	return done > agent_get(function, HW_AGENT_FAULTS) + 1;
}

uint32_t ioas_alloc(const struct hardware *hw)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(hw->space.fd, IOMMU_IOAS_ALLOC, &alloc))
		fail("no IOAS: %s", strerror(errno));
	return alloc.out_ioas_id;
}

static uint32_t alloc_hwpt(const struct hardware *hw, struct iommu_hwpt_alloc *alloc)
{
	alloc->size = sizeof(*alloc);
	if (ioctl(hw->space.fd, IOMMU_HWPT_ALLOC, alloc))
		fail("no HWPT with flags 0x%x, type %u: %s", alloc->flags, alloc->data_type,
		     strerror(errno));
	return alloc->out_hwpt_id;
}

uint32_t hwpt_alloc(const struct hardware *hw, const struct function *function, uint32_t pt,
		    uint32_t flags)
{
	struct iommu_hwpt_alloc alloc = {
		.flags = flags, .dev_id = function->device.id, .pt_id = pt,
	};

	return alloc_hwpt(hw, &alloc);
}

uint32_t hw_type(const struct hardware *hw, const struct function *function)
{
	struct iommu_hw_info info = { .size = sizeof(info), .dev_id = function->device.id };

	/* AMD-Vi: its driver turns PASIDs on when they are used, and iommufd warns until then. */
	if (!strncmp(function->device.bdf, "0000:", strlen("0000:")))
		return IOMMU_HW_INFO_TYPE_NONE;
	if (ioctl(hw->space.fd, IOMMU_GET_HW_INFO, &info))
		fail("%s: no hardware information: %s", function->device.bdf, strerror(errno));
	return info.out_data_type;
}

static uint32_t vtd_nest_alloc(const struct hardware *hw, const struct function *function,
			       uint32_t parent, uint64_t table)
{
	struct iommu_hwpt_vtd_s1 s1 = { .pgtbl_addr = table, .addr_width = 48 };
	struct iommu_hwpt_alloc alloc = {
		.dev_id = function->device.id, .pt_id = parent,
		.data_type = IOMMU_HWPT_DATA_VTD_S1, .data_len = sizeof(s1),
		.data_uptr = (uintptr_t)&s1,
	};

	return alloc_hwpt(hw, &alloc);
}

/* A function is known to the guest before it is attached to a nest. */
static bool make_vdevice(struct hardware *hw, const struct function *function, uint32_t parent)
{
	struct iommu_viommu_alloc viommu = {
		.size = sizeof(viommu), .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = function->device.id, .hwpt_id = parent,
	};
	struct iommu_vdevice_alloc vdevice = {
		.size = sizeof(vdevice), .dev_id = function->device.id, .virt_id = VSID(function),
	};

	if (!hw->viommu[function->unit]) {
		if (ioctl(hw->space.fd, IOMMU_VIOMMU_ALLOC, &viommu)) {
			if (errno == EINVAL && function->unit)
				return false;
			fail("%s: no vIOMMU: %s", function->device.bdf, strerror(errno));
		}
		hw->viommu[function->unit] = viommu.out_viommu_id;
	}
	vdevice.viommu_id = hw->viommu[function->unit];
	if (ioctl(hw->space.fd, IOMMU_VDEVICE_ALLOC, &vdevice))
		fail("%s: no vDEVICE: %s", function->device.bdf, strerror(errno));
	return true;
}

static uint32_t smmuv3_nest_alloc(struct hardware *hw, const struct function *function,
				  uint32_t parent, uint64_t cd)
{
	/* One CD: V, stage 1; ATS in full. IHI 0070, 5.2. */
	struct iommu_hwpt_arm_smmuv3 ste = { .ste = { cd | 5 << 1 | 1, 1 << 28 } };
	struct iommu_hwpt_alloc alloc = {
		.dev_id = function->device.id, .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(ste), .data_uptr = (uintptr_t)&ste,
	};

	if (!make_vdevice(hw, function, parent))
		return 0;
	alloc.pt_id = hw->viommu[function->unit];
	return alloc_hwpt(hw, &alloc);
}

uint32_t nest_alloc(struct hardware *hw, const struct function *function, uint32_t parent,
		    uint64_t table)
{
	if (hw_type(hw, function) == IOMMU_HW_INFO_TYPE_ARM_SMMUV3)
		return smmuv3_nest_alloc(hw, function, parent, table);
	return vtd_nest_alloc(hw, function, parent, table);
}

void object_free(const struct hardware *hw, uint32_t id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };

	if (ioctl(hw->space.fd, IOMMU_DESTROY, &destroy))
		fail("object %u cannot be freed: %s", id, strerror(errno));
}

static void attach_with(struct function *function, uint32_t flags, uint32_t pasid, uint32_t pt)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach), .flags = flags, .pt_id = pt, .pasid = pasid,
	};

	if (ioctl(function->device.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		fail("%s: cannot attach pasid %u: %s", function->device.bdf, pasid,
		     strerror(errno));
}

void attach_to(struct function *function, uint32_t pt)
{
	attach_with(function, 0, 0, pt);
}

void attach_pasid(struct function *function, uint32_t pasid, uint32_t pt)
{
	attach_with(function, VFIO_DEVICE_ATTACH_PASID, pasid, pt);
}

void detach_pasid(struct function *function, uint32_t pasid)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach), .flags = VFIO_DEVICE_DETACH_PASID, .pasid = pasid,
	};

	if (ioctl(function->device.fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach))
		fail("%s: cannot detach pasid %u: %s", function->device.bdf, pasid,
		     strerror(errno));
}

void map_in(const struct hardware *hw, uint32_t ioas, void *memory, uint64_t iova,
	    uint64_t size)
{
	struct space space = { .fd = hw->space.fd, .ioas = ioas };

	map(&space, memory, iova, size);
}

void unmap_in(const struct hardware *hw, uint32_t ioas, uint64_t iova, uint64_t size)
{
	struct space space = { .fd = hw->space.fd, .ioas = ioas };

	unmap(&space, iova, size);
}

static unsigned int random_below(unsigned int n)
{
	static unsigned int seed = 1;

	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

static void mark(struct hardware *hw, unsigned int first, unsigned int n, bool mapped)
{
	unsigned int page;
	int unit;

	for (unit = 0; unit < hw->units; unit++)
		for (page = first; page < first + n; page++)
			agent_page(hw_first(hw, unit), page, mapped);
}

/* More agents than these would leave the guest no CPU. */
static bool has_agent(const struct hardware *hw, int unit)
{
	return unit == 0 || unit == hw->units - 1;
}

/* Has an access of an agent got through? What is done is counted after its faults are. */
static bool got_through(struct hardware *hw)
{
	int unit;

	for (unit = 0; unit < hw->units; unit++)
		if (has_agent(hw, unit) && agent_has_read(hw_first(hw, unit)))
			return true;
	return false;
}

struct agents churn(struct hardware *hw, const struct churn *churn, int rounds)
{
	struct agents all = { 0 };
	int unit, more = MORE_ROUNDS;

	for (unit = 0; unit < hw->units; unit++)
		if (has_agent(hw, unit))
			agent_start(hw_first(hw, unit), churn->pasid, churn->agent_iova,
				    churn->pages, HW_CMD_READ);
	/* On a busy host, agents may not have come to it yet. */
	while (rounds-- > 0 || (!got_through(hw) && more--)) {
		unsigned int first = random_below(churn->pages);
		unsigned int n = 1 + random_below(churn->pages - first);
		uint64_t offset = first * SZ_4K;

		mark(hw, first, n, true);
		map_in(hw, churn->ioas, churn->memory + offset, churn->iova + offset, n * SZ_4K);
		usleep(1000);		/* there is a CPU or two for all of us */
		unmap_in(hw, churn->ioas, churn->iova + offset, n * SZ_4K);
		mark(hw, first, n, false);
		usleep(500);
	}
	for (unit = 0; unit < hw->units; unit++) {
		struct function *function = hw_first(hw, unit);

		if (!has_agent(hw, unit))
			continue;
		agent_stop(function);
		all.done += agent_get(function, HW_AGENT_DONE);
		all.faults += agent_get(function, HW_AGENT_FAULTS);
		all.stale += agent_get(function, HW_AGENT_STALE);
	}
	if (all.done == all.faults)
		fail("agents: no access of %lu has got through", all.done);
	return all;
}

struct agents churn_until_stale(struct hardware *hw, const struct churn *pages, int rounds)
{
	struct agents agents;
	int tries = 10;

	do {
		agents = churn(hw, pages, rounds);
	} while (!agents.stale && --tries);
	return agents;
}

void report_case(const char *name, const char *format, ...)
{
	va_list args;

	printf("CASE {\"case\": \"%s\", ", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("}\n");
}
