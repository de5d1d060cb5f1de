/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the workloads share: devices in VFIO, one address space in iommufd, and counts.
 *
 * Every function ends the program with a message that begins with "FAIL" where the
 * kernel refuses: a workload asks for nothing that may fail. Those whose name begins
 * with try_ return what the kernel returned, with errno set.
 */
#ifndef LAB_H
#define LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_DEVICES	32
#define SZ_4K		0x1000UL
#define SZ_64K		0x10000UL
#define SZ_2M		0x200000UL

/* A device that VFIO holds. */
struct device {
	char bdf[16];
	int fd;
	uint32_t id;		/* iommufd's name for it */
};

/* One IOAS; once there is a domain in it, devices are attached to that one. */
struct space {
	int fd;
	uint32_t ioas, hwpt;
};

/* What went to the IOMMU's queue. */
struct counts {
	unsigned long iotlb, atc, sync, other;
};

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void write_file(const char *path, const char *text);
bool read_file(const char *path, char *text, size_t size);
unsigned long number(const char *text);
void *memory(size_t size);
void *scattered_memory(size_t size);

int find_devices(const char *id, char bdf[][16], int max);
void device_to_vfio(struct device *device, const char *bdf);
void device_open(struct device *device, struct space *space);
void device_close(struct device *device);
int open_devices(const char *ids, struct device *devices, int max, struct space *space);

void space_open(struct space *space);
void space_close(struct space *space);
void domain_alloc(struct space *space, const struct device *first);
void domain_free(struct space *space);
int try_attach(struct device *device, const struct space *space);
void attach(struct device *device, const struct space *space);
void detach(struct device *device);
int try_map(const struct space *space, void *memory, uint64_t iova, uint64_t size);
int try_unmap(const struct space *space, uint64_t iova, uint64_t size);
void map(const struct space *space, void *memory, uint64_t iova, uint64_t size);
void unmap(const struct space *space, uint64_t iova, uint64_t size);

bool find_function(const char *name, char *symbol, size_t size);

/* All that the machine has had. */
uint64_t interrupts_now(void);

void count_mark(unsigned char value);

void count_init(void);
void count_reset(void);
void count_begin(void);
void count_end(void);
void count_read(struct counts *counts);

/*
 * Sections with interrupts off, on a machine with one CPU: lockdep's kernel has tracepoints where
 * they begin and end. The longest one of the IOMMU's driver since count_reset(), in nanoseconds or
 * in ticks of @clock, one of the kernel's trace clocks.
 */
void irqsoff_init(const char *clock);
void irqsoff_begin(void);
void irqsoff_end(void);
uint64_t irqsoff_longest(void);

#endif
