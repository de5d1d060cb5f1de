// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stale oracle: does a device ever reach memory that was taken away from it?
 *
 * QEMU's IOMMU caches translations, and its "edu" device does DMA a tenth of a second after the
 * command: in between, a mapping can change under a transfer that has already been requested. The
 * memory belongs to this program all the time; only the mapping changes, so if the content of a
 * page changes after the unmap, it was reached through a stale translation.
 *
 * Steps, each with its own verdict:
 *
 *	hit		the page is mapped: the write arrives (or the rest says nothing)
 *	unmapped	after unmap: the page stays as it is
 *	remapped	another page is there now: that one is hit, the old one is not
 *	reused		the domain was freed and another one, which may get the same tag,
 *			maps another page at the same address
 *	detached	the device is in no domain
 *	concurrent	unmap and map come between the command and the transfer
 *
 * The result has the number of stale pages, and of transfers that arrived where they
 * should. "stale planted" is the same for a kernel that loses invalidations: it fails
 * if nothing stale is seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "edu.h"
#include "lab.h"

#define ROUNDS		4
#define CONCURRENT	12
#define SEED		1

static struct space space;
static struct device edu[MAX_DEVICES];
static volatile unsigned char *bar[MAX_DEVICES];

static void order_write(int i)
{
	edu_start(bar[i], EDU_BUFFER, IOVA, true);
}

static void write_all(int n)
{
	int i;

	for (i = 0; i < n; i++)
		order_write(i);
	for (i = 0; i < n; i++)
		edu_wait(bar[i]);
}

static void open_edu(int i)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	struct vfio_region_info region = {
		.argsz = sizeof(region), .index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	uint16_t command = EDU_COMMAND;

	if (ioctl(edu[i].fd, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    ioctl(edu[i].fd, VFIO_DEVICE_GET_REGION_INFO, &region))
		fail("%s: no regions: %s", edu[i].bdf, strerror(errno));
	if (pwrite(edu[i].fd, &command, sizeof(command), config.offset + EDU_COMMAND_OFFSET) !=
	    sizeof(command))
		fail("%s: cannot become a bus master: %s", edu[i].bdf, strerror(errno));
	bar[i] = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, edu[i].fd,
		      region.offset);
	if (bar[i] == MAP_FAILED)
		fail("%s: cannot map registers: %s", edu[i].bdf, strerror(errno));
}

static void attach_all(int n)
{
	int i;

	domain_alloc(&space, &edu[0]);
	for (i = 0; i < n; i++)
		attach(&edu[i], &space);
}

static void detach_all(int n)
{
	int i;

	for (i = 0; i < n; i++)
		detach(&edu[i]);
	domain_free(&space);
}

/* One transfer for each device while the mapping changes once, at a random moment. */
static void concurrent(int n, unsigned char *a, unsigned char *b, unsigned int *seed)
{
	struct timespec pause = { .tv_nsec = rand_r(seed) % 100 * 1000000L };
	bool remaps = rand_r(seed) % 2;
	int i;

	map(&space, a, IOVA, SZ_4K);
	write_all(n);
	expect_hit("concurrent, before", a);

	for (i = 0; i < n; i++) {
		struct timespec gap = { .tv_nsec = rand_r(seed) % 20 * 1000000L };

		order_write(i);
		nanosleep(&gap, NULL);
	}
	nanosleep(&pause, NULL);
	unmap(&space, IOVA, SZ_4K);
	/* What was written before this is none of ours to judge. */
	page_clear(a);
	if (remaps)
		map(&space, b, IOVA, SZ_4K);
	for (i = 0; i < n; i++)
		edu_wait(bar[i]);
	expect_untouched("concurrent", a);
	if (remaps) {
		unmap(&space, IOVA, SZ_4K);
		page_clear(b);
	}
	write_all(n);
	expect_untouched("concurrent, after", a);
	expect_untouched("concurrent, after", b);
}

int main(int argc, char **argv)
{
	bool planted = argc == 2 && !strcmp(argv[1], "planted");
	unsigned int seed = SEED;
	unsigned char *a = memory(4 * SZ_4K), *b = a + 2 * SZ_4K;
	int n, round;

	if (argc > 2 || (argc == 2 && !planted))
		fail("usage: stale [planted]");
	space_open(&space);
	n = open_devices(EDU_ID, edu, MAX_DEVICES, &space);
	attach_all(n);

	/* What the devices will write from now on comes from here. */
	memset(a, WRITTEN, SZ_4K);
	map(&space, a, IOVA, SZ_4K);
	for (round = 0; round < n; round++) {
		open_edu(round);
		edu_start(bar[round], IOVA, EDU_BUFFER, false);
		edu_wait(bar[round]);
	}
	unmap(&space, IOVA, SZ_4K);
	page_clear(a);
	page_clear(b);

	for (round = 0; round < ROUNDS; round++) {
		map(&space, a, IOVA, SZ_4K);
		write_all(n);
		expect_hit("hit", a);

		unmap(&space, IOVA, SZ_4K);
		write_all(n);
		expect_untouched("unmapped", a);

		map(&space, a, IOVA, SZ_4K);
		write_all(n);
		expect_hit("hit", a);
		unmap(&space, IOVA, SZ_4K);
		map(&space, b, IOVA, SZ_4K);
		write_all(n);
		expect_untouched("remapped", a);
		expect_hit("remapped", b);

		detach_all(n);
		write_all(n);
		expect_untouched("detached", b);
		unmap(&space, IOVA, SZ_4K);
		attach_all(n);
		map(&space, a, IOVA, SZ_4K);
		write_all(n);
		expect_hit("reused", a);
		expect_untouched("reused", b);
		unmap(&space, IOVA, SZ_4K);
	}
	for (round = 0; round < CONCURRENT; round++)
		concurrent(n, a, b, &seed);
	detach_all(n);

	oracle_result(n, planted);
	return 0;
}
