// SPDX-License-Identifier: GPL-2.0-only
/*
 * File I/O through the IOMMU: nvme DISK SEED [count].
 *
 * DISK is a pattern: controllers are probed concurrently, and one that has no disk may take
 * the first number. What matches it is an ext2 file system with one file, "outside", which
 * was written outside the machine; each 8 bytes of it follow from their offset and from SEED,
 * as do those of the files that are written here. All are read back after the page cache was
 * dropped. With "count", OPS blocks are then read one by one
 * past the cache, and what goes to the IOMMU for them is counted: with iommu.strict=1, each
 * one is unmapped by itself.
 */
#define _GNU_SOURCE		/* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

#define MOUNT		"/disk"
#define OUTSIDE_SIZE	(4 * SZ_2M)
#define FILES		4
#define FILE_SIZE	SZ_2M
#define CHUNK		SZ_64K
#define OPS		64

/* The same as in lab/vm.py, which writes the file outside: splitmix64. */
static uint64_t word_at(uint64_t seed, uint64_t offset)
{
	uint64_t z = seed + (offset / 8 + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static void check(const char *path, uint64_t seed, uint64_t size)
{
	uint64_t *chunk = memory(CHUNK), offset;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t i;

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	for (offset = 0; offset < size; offset += CHUNK) {
		if (read(fd, chunk, CHUNK) != (ssize_t)CHUNK)
			fail("%s: cannot read at %lu", path, (unsigned long)offset);
		for (i = 0; i < CHUNK / 8; i++) {
			if (chunk[i] != word_at(seed, offset + 8 * i))
				fail("%s: wrong data at %lu", path,
				     (unsigned long)(offset + 8 * i));
		}
	}
	close(fd);
}

static void fill(const char *path, uint64_t seed, uint64_t size)
{
	uint64_t *chunk = memory(CHUNK), offset;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t i;

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	for (offset = 0; offset < size; offset += CHUNK) {
		for (i = 0; i < CHUNK / 8; i++)
			chunk[i] = word_at(seed, offset + 8 * i);
		if (write(fd, chunk, CHUNK) != (ssize_t)CHUNK)
			fail("%s: cannot write at %lu", path, (unsigned long)offset);
	}
	if (fsync(fd))
		fail("%s: %s", path, strerror(errno));
	close(fd);
}

static void count_reads(const char *path)
{
	struct counts counts;
	void *block = memory(SZ_4K);
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC), i;

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	/* Nothing else may be under way, and no block of the file system unread. */
	sync();
	if (pread(fd, block, SZ_4K, 0) != (ssize_t)SZ_4K)
		fail("%s: %s", path, strerror(errno));
	count_init();
	count_reset();
	count_begin();
	for (i = 0; i < OPS; i++) {
		if (pread(fd, block, SZ_4K, i * SZ_4K) != (ssize_t)SZ_4K)
			fail("%s: %s", path, strerror(errno));
	}
	count_end();
	count_read(&counts);
	printf("RESULT {\"workload\": \"nvme-read\", \"n\": 1, \"ops\": %d, \"marks\": 1, \"iotlb\": %lu, "
	       "\"atc\": %lu, \"sync\": %lu, \"other\": %lu}\n", OPS, counts.iotlb,
	       counts.atc, counts.sync, counts.other);
	close(fd);
}

/* The disk, which the kernel may still be looking for. */
static const char *find_disk(const char *pattern)
{
	static glob_t found;
	int seconds;

	for (seconds = 0; seconds < 60; seconds++) {
		if (!glob(pattern, 0, NULL, &found))
			return found.gl_pathv[0];
		sleep(1);
	}
	fail("there is no %s", pattern);
}

int main(int argc, char **argv)
{
	const char *disk;
	char path[64];
	uint64_t seed;
	int i;

	if (argc != 3 && (argc != 4 || strcmp(argv[3], "count")))
		fail("usage: nvme DISK SEED [count]");
	seed = number(argv[2]);
	mkdir(MOUNT, 0700);
	disk = find_disk(argv[1]);
	if (mount(disk, MOUNT, "ext2", 0, NULL))
		fail("cannot mount %s: %s", disk, strerror(errno));

	check(MOUNT "/outside", seed, OUTSIDE_SIZE);
	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), MOUNT "/inside-%d", i);
		fill(path, seed + i + 1, FILE_SIZE);
	}
	sync();
	write_file("/proc/sys/vm/drop_caches", "3");
	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), MOUNT "/inside-%d", i);
		check(path, seed + i + 1, FILE_SIZE);
	}
	check(MOUNT "/outside", seed, OUTSIDE_SIZE);
	if (argc == 4)
		count_reads(MOUNT "/outside");
	if (umount(MOUNT))
		fail("cannot unmount: %s", strerror(errno));
	return 0;
}
