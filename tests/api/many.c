// SPDX-License-Identifier: GPL-2.0-only
// Many attachments come, go all at once, and come again: what that takes for each does not
// grow with their number, and an emptied list has kept nothing.
#include <malloc.h>
#include <pthread.h>

#include "api.h"

static struct iommu_device iommu;
static struct iommu_attach_list list, parent;

/*
 * Of this thread, whatever else the machine does; but for interrupts, and for what a host takes from
 * a virtual CPU. So the fastest of some parts counts: what grows with the number is in all of them.
 */
static double cpu_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

/* Of each, in ns. */
struct times { double add, del, flush; };

static void take_faster(double *time, double begin, int nr)
{
	double took = (cpu_time() - begin) / nr * 1e9;

	if (!*time || took < *time)
		*time = took;
}

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
	/* The first round finds no memory that was used before. */
	for (round = 0; round < 4; round++) {
		if (round == 1)
			times = (struct times){ 0 };
		begin = cpu_time();
		for (i = 0; i < nr; i++) {
			if (what == NESTS)
				EXPECT(iommu_attach_add_nest(&list, &parent, &nests[i]) >= 0);
			else
				EXPECT(iommu_attach_add(&list, &nests[i].s1) >= 0);
		}
		take_faster(&times.add, begin, nr);
		begin = cpu_time();
		for (i = 0; i < nr; i++) {
			if (what == NESTS)
				EXPECT(iommu_attach_del_nest(&list, &parent, &nests[i]) >= 0);
			else
				EXPECT(iommu_attach_del(&list, &nests[i].s1) >= 0);
		}
		take_faster(&times.del, begin, nr);
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
	for (round = 0; round < 10; round++) {
		begin = cpu_time();
		for (i = 0; i < 100; i++)
			EXPECT(!iommu_attach_flush(&list, &ops, NULL));
		take_faster(&times.flush, begin, 100);
	}
	EXPECT(iommu_attach_del(&list, &nests->s1) > 0);
	iommu_attach_drain(&iommu.fence);
	free(nests);
	return times;
}

struct domain {
	struct iommu_attach_list list;
	struct iommu_attach_elm elm;
};

/* Of each, in ns. They stay. */
static double add_domains(struct domain *domain, int nr)
{
	enum { PARTS = 10 };
	double begin, time = 0;
	int i, part;

	for (part = 0; part < PARTS; part++) {
		begin = cpu_time();
		for (i = part * nr / PARTS; i < (part + 1) * nr / PARTS; i++) {
			iommu_attach_init(&domain[i].list);
			domain[i].elm.iommu_device = &iommu;
			domain[i].elm.fence = &iommu.fence;
			EXPECT(iommu_attach_add(&domain[i].list, &domain[i].elm) > 0);
		}
		take_faster(&time, begin, nr / PARTS);
	}
	return time;
}

static long resident(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	long pages;

	EXPECT(statm && fscanf(statm, "%*d %ld", &pages) == 1);
	fclose(statm);
	return pages * sysconf(_SC_PAGESIZE);
}

static pthread_barrier_t barrier;

/* Has a block of counters from then on. */
static void *flush_once(void *domain)
{
	EXPECT(!iommu_attach_flush(&((struct domain *)domain)->list, &ops, NULL));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

/* Many domains: none makes another one slow, or takes memory in each thread, or a fence. */
static void measure_domains(void)
{
	enum { FEW = 1000, SOME = 5000, MANY = 30000, THREADS = 64 };
	static struct domain *domain;
	struct iommu_device other;
	pthread_t thread[THREADS];
	long before, few, many;
	double first, last;
	int i;

	domain = calloc(MANY, sizeof(*domain));
	EXPECT(domain);
	first = add_domains(domain, FEW);
	before = resident();
	add_domains(domain + FEW, SOME);
	few = resident() - before;

	EXPECT(!pthread_barrier_init(&barrier, NULL, THREADS + 1));
	for (i = 0; i < THREADS; i++)
		EXPECT(!pthread_create(&thread[i], NULL, flush_once, domain));
	pthread_barrier_wait(&barrier);
	before = resident();
	add_domains(domain + FEW + SOME, SOME);
	many = resident() - before;
	pthread_barrier_wait(&barrier);
	for (i = 0; i < THREADS; i++)
		EXPECT(!pthread_join(thread[i], NULL));

	add_domains(domain + FEW + 2 * SOME, MANY - 2 * FEW - 2 * SOME);
	last = add_domains(domain + MANY - FEW, FEW);
	printf("%6d domains      the first %d attach in %.0f ns, the last in %.0f ns;\n"
	       "       %d more take %ld KiB, beside %d threads %ld KiB\n",
	       MANY, FEW, first, last, SOME, few / 1024, THREADS, many / 1024);
	EXPECT(last < 8 * first + 2000);
	/* A list's counters have 48 bytes in each thread's block. Sanitizers have shadows. */
	if (mallinfo2().hblkhd >= MANY * sizeof(*domain))
		EXPECT(many < few + SOME * 48L * THREADS / 2);
	EXPECT(!iommu_attach_fence_init(&other.fence));
	iommu_attach_fence_destroy(&other.fence);
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
	measure_domains();
	return 0;
}
