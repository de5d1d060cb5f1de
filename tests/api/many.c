// SPDX-License-Identifier: GPL-2.0-only
// Many attachments come, go all at once, and come again: what that takes for each does not
// grow with their number, and an emptied list has kept nothing.
#include <malloc.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list, parent;

/* Of this thread, whatever else the machine does. */
static double cpu_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

/* Of each, in the second round, in ns. */
struct times { double add, del, flush; };

enum what { PLAIN, TARGETS, NESTS, GROUPS };

static struct times measure(enum what what, int nr)
{
	struct iommu_attach_nest *nests = calloc(nr, sizeof(*nests));
	struct times times = { 0 };
	int round, i;
	double begin;

	EXPECT(nests);
	for (i = 0; i < nr; i++) {
		nests[i].s1.iommu_device = &iommu;
		nests[i].s1.fence = &iommu.fence;
		nests[i].s1.tag = what == GROUPS ? i : 1;
		nests[i].s1.atc = i;
		nests[i].s1.using_atc = what != PLAIN && what != GROUPS;
		nests[i].s2 = nests[i].s1;
	}
	for (round = 0; round < 2; round++) {
		begin = cpu_time();
		for (i = 0; i < nr; i++) {
			if (what == NESTS)
				EXPECT(iommu_attach_add_nest(&list, &parent, &nests[i]) >= 0);
			else
				EXPECT(iommu_attach_add(&list, &nests[i].s1) >= 0);
		}
		times.add = (cpu_time() - begin) / nr * 1e9;
		begin = cpu_time();
		for (i = 0; i < nr; i++) {
			if (what == NESTS)
				EXPECT(iommu_attach_del_nest(&list, &parent, &nests[i]) >= 0);
			else
				EXPECT(iommu_attach_del(&list, &nests[i].s1) >= 0);
		}
		times.del = (cpu_time() - begin) / nr * 1e9;
		iommu_attach_drain(&iommu.fence);
		iommu_attach_barrier();
	}
	free(nests);

	/* As a list that never had more than one. */
	nests = calloc(1, sizeof(*nests));
	EXPECT(nests);
	nests->s1.iommu_device = &iommu;
	nests->s1.fence = &iommu.fence;
	EXPECT(iommu_attach_add(&list, &nests->s1) > 0);
	begin = cpu_time();
	for (i = 0; i < 1000; i++)
		EXPECT(!iommu_attach_flush(&list, &ops, NULL));
	times.flush = (cpu_time() - begin) * 1e6;
	EXPECT(iommu_attach_del(&list, &nests->s1) > 0);
	iommu_attach_drain(&iommu.fence);
	free(nests);
	return times;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "attachments", "targets", "nests", "groups" };
	int nr = argc > 1 ? atoi(argv[1]) : 16384, what;

	alarm(500);
	EXPECT(!iommu_attach_fence_init(&iommu.fence));
	iommu_attach_init(&list);
	iommu_attach_init(&parent);
	for (what = PLAIN; what <= GROUPS; what++) {
		struct times few = measure(what, 1024);
		size_t before, after;
		struct times many;

		malloc_trim(0);
		before = mallinfo2().uordblks + mallinfo2().hblkhd;
		many = measure(what, nr);
		malloc_trim(0);
		after = mallinfo2().uordblks + mallinfo2().hblkhd;
		printf("%6d %-12s attach %6.0f ns, detach %5.0f ns; flush after that %4.0f ns\n",
		       nr, names[what], many.add, many.del, many.flush);
		/* Room for caches that others use; by the number it would be 16 times. */
		EXPECT(many.add < 8 * few.add + 2000);
		EXPECT(many.del < 8 * few.del + 2000);
		EXPECT(many.flush < 8 * few.flush + 2000);
		/* The allocator's own caches count as used. */
		EXPECT(after < before + 16 * nr);
	}
	return 0;
}
