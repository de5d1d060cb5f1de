// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices are attached, detached, reset or removed during unmaps:
 * churn attach|reset|unplug|remove SECONDS IDS.
 *
 * Two threads map and unmap in one domain, each in its own range. Meanwhile,
 *
 *	attach	devices are detached and attached again, in an order that a seed gives;
 *		the first one stays, so that the domain keeps its IOMMU
 *	reset	devices are reset through sysfs while they are attached: the kernel blocks them
 *		at the IOMMU meanwhile, and expects that nothing is sent to their ATCs
 *	unplug	the slots of all devices but the first are switched off one after the
 *		other, where devices have slots; when VFIO asks for a device, it is
 *		detached and closed, and the machine takes it away
 *	remove	the same, but the kernel is told to forget the devices; they stay in
 *		the machine
 *
 * Any failure ends the program. The lab searches the console for splats.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "lab.h"

#define UNMAPPERS	2
#define IOVA		0x10000000UL
#define STRIDE		0x40000000UL
#define SLOTS		"/sys/bus/pci/slots/"
#define SEED		1

static struct space space;
static struct device devices[MAX_DEVICES];
static bool stop;

struct unmapper {
	pthread_t thread;
	int index;
	unsigned long rounds;
};

static void *unmap_all_the_time(void *arg)
{
	static const uint64_t sizes[] = { SZ_4K, SZ_64K, SZ_2M };
	struct unmapper *unmapper = arg;
	uint64_t iova = IOVA + unmapper->index * STRIDE;
	char *mem = memory(SZ_2M);

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t size = sizes[unmapper->rounds++ % 3];

		map(&space, mem, iova, size);
		unmap(&space, iova, size);
	}
	return NULL;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static unsigned long attach_and_detach(int n, double seconds)
{
	bool attached[MAX_DEVICES];
	unsigned long changes = 0;
	unsigned int seed = SEED;
	double until = now() + seconds;

	memset(attached, true, sizeof(attached));
	while (now() < until) {
		int i = 1 + rand_r(&seed) % (n - 1);

		if (attached[i])
			detach(&devices[i]);
		else
			attach(&devices[i], &space);
		attached[i] = !attached[i];
		changes++;
	}
	for (int i = 1; i < n; i++) {
		if (!attached[i])
			attach(&devices[i], &space);
	}
	return changes;
}

static unsigned long reset(int n, double seconds)
{
	unsigned long resets = 0;
	unsigned int seed = SEED;
	double until = now() + seconds;
	char path[300];

	while (now() < until) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset",
			 devices[1 + rand_r(&seed) % (n - 1)].bdf);
		write_file(path, "1");
		resets++;
	}
	return resets;
}

/* A write to a file of sysfs that takes a device away; comes back when it is gone. */
struct removal {
	char path[300];
	const char *text;
};

/* The slot whose device has that address; "0000:01:00.0" is in slot 0000:01:00. */
static bool find_slot(const char *bdf, char *power, size_t size)
{
	struct dirent *entry;
	DIR *dir = opendir(SLOTS);
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		char path[300], address[32];

		snprintf(path, sizeof(path), SLOTS "%s/address", entry->d_name);
		if (entry->d_name[0] == '.' || !read_file(path, address, sizeof(address)))
			continue;
		found = !strncmp(address, bdf, strlen("0000:00:00"));
		snprintf(power, size, SLOTS "%.40s/power", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* VFIO tells by this eventfd that it wants the device back. */
static int ask_for_requests(const struct device *device)
{
	int event = eventfd(0, EFD_CLOEXEC);
	char buffer[sizeof(struct vfio_irq_set) + sizeof(int)];
	struct vfio_irq_set *irq = (struct vfio_irq_set *)buffer;

	irq->argsz = sizeof(buffer);
	irq->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	irq->index = VFIO_PCI_REQ_IRQ_INDEX;
	irq->start = 0;
	irq->count = 1;
	memcpy(irq->data, &event, sizeof(event));
	if (event < 0 || ioctl(device->fd, VFIO_DEVICE_SET_IRQS, irq))
		fail("%s: no request event: %s", device->bdf, strerror(errno));
	return event;
}

static void *take_away(void *arg)
{
	const struct removal *removal = arg;

	write_file(removal->path, removal->text);
	return NULL;
}

static unsigned long unplug(int n, bool slots)
{
	unsigned long unplugged = 0;
	int i;

	for (i = n - 1; i > 0; i--) {
		struct removal removal = { .text = slots ? "0" : "1" };
		pthread_t thread;
		uint64_t requests;
		char path[300];
		int event;

		snprintf(removal.path, sizeof(removal.path), "/sys/bus/pci/devices/%s/remove",
			 devices[i].bdf);
		if (slots && !find_slot(devices[i].bdf, removal.path, sizeof(removal.path)))
			continue;
		event = ask_for_requests(&devices[i]);
		if (pthread_create(&thread, NULL, take_away, &removal))
			fail("no thread");
		if (read(event, &requests, sizeof(requests)) != sizeof(requests))
			fail("%s: %s", devices[i].bdf, strerror(errno));
		detach(&devices[i]);
		device_close(&devices[i]);
		pthread_join(thread, NULL);
		close(event);
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", devices[i].bdf);
		if (!access(path, F_OK))
			fail("%s: still there", devices[i].bdf);
		unplugged++;
	}
	return unplugged;
}

int main(int argc, char **argv)
{
	struct unmapper unmappers[UNMAPPERS];
	unsigned long changes, rounds = 0;
	double seconds;
	bool unplugs, removes;
	int n, i;

	if (argc != 4)
		fail("usage: churn attach|reset|unplug|remove SECONDS IDS");
	unplugs = !strcmp(argv[1], "unplug");
	removes = !strcmp(argv[1], "remove");
	seconds = number(argv[2]);
	space_open(&space);
	n = open_devices(argv[3], devices, MAX_DEVICES, &space);
	if (n < 2)
		fail("churn needs two devices");
	domain_alloc(&space, &devices[0]);
	for (i = 0; i < n; i++)
		attach(&devices[i], &space);

	for (i = 0; i < UNMAPPERS; i++) {
		unmappers[i] = (struct unmapper) { .index = i };
		if (pthread_create(&unmappers[i].thread, NULL, unmap_all_the_time,
				   &unmappers[i]))
			fail("no thread");
	}
	if (unplugs || removes)
		changes = unplug(n, unplugs);
	else if (!strcmp(argv[1], "reset"))
		changes = reset(n, seconds);
	else
		changes = attach_and_detach(n, seconds);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < UNMAPPERS; i++) {
		pthread_join(unmappers[i].thread, NULL);
		rounds += unmappers[i].rounds;
	}
	if (!rounds || !changes)
		fail("%lu unmaps, %lu changes: nothing ran beside anything", rounds, changes);
	printf("RESULT {\"workload\": \"churn-%s\", \"n\": %d, \"unmaps\": %lu, \"changes\": %lu}\n",
	       argv[1], n, rounds, changes);
	return 0;
}
