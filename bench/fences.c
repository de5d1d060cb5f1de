// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fences: what they cost flushes, and how long who waits for one has to wait
 *
 * A flush that sends to ATCs has to be waited for by who detaches a device, for as long
 * as the hardware takes. Ways to do that, each as a flush enters and leaves it:
 *
 *   rcu        in an RCU read-side section until all has completed
 *   srcu       counters of each CPU for each IOMMU, a full barrier with each
 *   srcu-fast  the same without barriers; who waits pays with a grace period of RCU
 *   counter    one atomic counter in the list
 *   rwlock     the list's, taken for reading; as SMMUv3's
 *   list       what iommu-alist.c has: counters of each CPU for each IOMMU, one barrier
 *              for all of them
 *
 * The counters of each CPU are those of struct iommu_attach_fence in all three ways that
 * have any. Then what a flush that hangs does to others, with the list itself.
 *
 * Built with the RCU of the library: a thread that waits for hardware outside of a
 * read-side section holds up nobody.
 */
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <linux/array_size.h>
#include <linux/iommu-alist.h>
#include <linux/slab.h>

#include "pin.h"
#include "shim/shim.h"

#define MAX_IOMMUS	8
#define REPS		15
#define LOOPS		50000
#define HANG_MS		100
#define GROUPS		16384

static struct iommu_attach_fence fences[MAX_IOMMUS];
static char iommus[MAX_IOMMUS][64];

/* Of one list. */
static struct {
	unsigned long counter __attribute__((__aligned__(64)));
	unsigned int readers __attribute__((__aligned__(64)));
	unsigned int writer;
} lists[2];

static u64 clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static u64 now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/*
 * The ways
 */

/* A flush of list @list over IOMMUs from @first on. */
struct part {
	unsigned int list, first, nr;
	unsigned long entered[MAX_IOMMUS];
};

static __always_inline void none_enter(struct part *part)
{
	(void)part;
	smp_mb();
}

static __always_inline void none_leave(struct part *part)
{
	(void)part;
}

static __always_inline void rcu_enter(struct part *part)
{
	(void)part;
	rcu_read_lock();
	smp_mb();
}

static __always_inline void rcu_leave(struct part *part)
{
	(void)part;
	rcu_read_unlock();
}

static void rcu_wait(unsigned int list, unsigned int iommu)
{
	(void)list;
	(void)iommu;
	synchronize_rcu();
}

static __always_inline void count_in(struct part *part, bool barrier)
{
	unsigned int i;

	for (i = 0; i < part->nr; i++) {
		part->entered[i] = __iommu_attach_enter(&fences[part->first + i]);
		if (barrier)
			smp_mb();
	}
}

static __always_inline void count_out(struct part *part, bool barrier)
{
	unsigned int i;

	for (i = 0; i < part->nr; i++) {
		if (barrier)
			smp_mb();
		__iommu_attach_leave(part->entered[i]);
	}
}

/* The barrier of the walk is one that the flush has anyway. */
static __always_inline void srcu_enter(struct part *part)
{
	smp_mb();
	count_in(part, true);
}

static __always_inline void srcu_leave(struct part *part)
{
	count_out(part, true);
}

static __always_inline void srcu_fast_enter(struct part *part)
{
	smp_mb();
	count_in(part, false);
}

static __always_inline void srcu_fast_leave(struct part *part)
{
	count_out(part, false);
}

/* In place of both full barriers of who waits. */
static void srcu_fast_wait(unsigned int list, unsigned int iommu)
{
	(void)list;
	synchronize_rcu();
	iommu_attach_fence(&fences[iommu]);
	synchronize_rcu();
}

static __always_inline void counter_enter(struct part *part)
{
	/* Is the walk's barrier as well. */
	__atomic_fetch_add(&lists[part->list].counter, 1, __ATOMIC_SEQ_CST);
}

static __always_inline void counter_leave(struct part *part)
{
	__atomic_fetch_sub(&lists[part->list].counter, 1, __ATOMIC_SEQ_CST);
}

/* Only as long as flushes do not come one after the other. */
static void counter_wait(unsigned int list, unsigned int iommu)
{
	(void)iommu;
	while (__atomic_load_n(&lists[list].counter, __ATOMIC_SEQ_CST))
		usleep(10);
}

static __always_inline void rwlock_enter(struct part *part)
{
	smp_mb();
	for (;;) {
		__atomic_fetch_add(&lists[part->list].readers, 1, __ATOMIC_SEQ_CST);
		if (likely(!smp_load_acquire(&lists[part->list].writer)))
			return;
		__atomic_fetch_sub(&lists[part->list].readers, 1, __ATOMIC_RELEASE);
		while (READ_ONCE(lists[part->list].writer))
			cpu_relax();
	}
}

static __always_inline void rwlock_leave(struct part *part)
{
	__atomic_fetch_sub(&lists[part->list].readers, 1, __ATOMIC_RELEASE);
}

static void rwlock_wait(unsigned int list, unsigned int iommu)
{
	(void)iommu;
	__atomic_store_n(&lists[list].writer, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&lists[list].readers, __ATOMIC_SEQ_CST))
		usleep(10);
	smp_store_release(&lists[list].writer, 0);
}

static __always_inline void list_enter(struct part *part)
{
	smp_mb();
	count_in(part, false);
	smp_mb();
}

static __always_inline void list_leave(struct part *part)
{
	smp_mb();
	count_out(part, false);
}

static void list_wait(unsigned int list, unsigned int iommu)
{
	(void)list;
	iommu_attach_fence(&fences[iommu]);
}

struct way {
	const char *name;
	void (*loop)(struct part *part, unsigned int loops);
	void (*enter)(struct part *part);
	void (*leave)(struct part *part);
	void (*wait)(unsigned int list, unsigned int iommu);
};

#define DEFINE_WAY(way)							\
static noinline void way##_loop(struct part *part, unsigned int loops)	\
{									\
	while (loops--) {						\
		way##_enter(part);					\
		barrier();						\
		way##_leave(part);					\
	}								\
}									\
static void way##_enter_far(struct part *part) { way##_enter(part); }	\
static void way##_leave_far(struct part *part) { way##_leave(part); }

DEFINE_WAY(none)
DEFINE_WAY(rcu)
DEFINE_WAY(srcu)
DEFINE_WAY(srcu_fast)
DEFINE_WAY(counter)
DEFINE_WAY(rwlock)
DEFINE_WAY(list)

#define WAY(text, way, waiting)						\
	{ text, way##_loop, way##_enter_far, way##_leave_far, waiting }

static const struct way ways[] = {
	WAY("rcu", rcu, rcu_wait),
	WAY("srcu", srcu, list_wait),
	WAY("srcu-fast", srcu_fast, srcu_fast_wait),
	WAY("counter", counter, counter_wait),
	WAY("rwlock", rwlock, rwlock_wait),
	WAY("list", list, list_wait),
};

static const struct way nothing = WAY("none", none, NULL);

/*
 * Results
 */

static FILE *json;

static void result(const char *what, const char *way, const char *unit, double value)
{
	static bool later;

	printf("%-46s %-10s %12.1f %s\n", what, way, value, unit);
	if (json)
		fprintf(json, "%s{\"what\": \"%s\", \"way\": \"%s\", \"%s\": %.1f}",
			later ? ",\n" : "", what, way, unit, value);
	later = true;
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *samples, unsigned int nr)
{
	qsort(samples, nr, sizeof(*samples), cmp_double);
	return samples[nr / 2];
}

/*
 * What a flush pays
 */

struct flusher {
	pthread_t thread;
	const struct way *way;
	unsigned int cpu, nr, threads;
	unsigned int *ready;		/* of each sample */
	double ns;
};

static void *flusher_main(void *arg)
{
	struct flusher *flusher = arg;
	struct part part = { .nr = flusher->nr };
	double samples[REPS];
	unsigned int i;
	u64 begin;

	pin_thread(flusher->cpu);
	shim_rcu_register();
	__atomic_fetch_add(flusher->ready, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < REPS; i++) {
		/* All of them run. */
		while (READ_ONCE(*flusher->ready) < (i + 1) * flusher->threads)
			cpu_relax();
		begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		flusher->way->loop(&part, LOOPS);
		samples[i] = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / LOOPS;
		__atomic_fetch_add(flusher->ready, 1, __ATOMIC_SEQ_CST);
	}
	flusher->ns = median(samples, REPS);
	return NULL;
}

/* Return: ns a flush, of each of @threads. */
static double time_flushers(const struct way *way, unsigned int threads, unsigned int nr)
{
	struct flusher flusher[2];
	unsigned int i, ready = 0;
	double ns = 0;

	for (i = 0; i < threads; i++) {
		flusher[i] = (struct flusher){
			.way = way, .cpu = i, .nr = nr, .threads = threads,
			.ready = &ready,
		};
		if (pthread_create(&flusher[i].thread, NULL, flusher_main, &flusher[i])) {
			fprintf(stderr, "fences: cannot start a thread\n");
			exit(1);
		}
	}
	for (i = 0; i < threads; i++) {
		pthread_join(flusher[i].thread, NULL);
		ns += flusher[i].ns / threads;
	}
	return ns;
}

static void measure_flushers(void)
{
	static const struct {
		const char *what;
		unsigned int threads, nr;
	} cases[] = {
		{ "enter and leave, one IOMMU", 1, 1 },
		{ "enter and leave, 8 IOMMUs", 1, 8 },
		{ "the same, two flushes of one list, one IOMMU", 2, 1 },
	};
	unsigned int c, i;
	double base;

	for (c = 0; c < ARRAY_SIZE(cases); c++) {
		base = time_flushers(&nothing, cases[c].threads, cases[c].nr);
		for (i = 0; i < ARRAY_SIZE(ways); i++)
			result(cases[c].what, ways[i].name, "ns",
			       time_flushers(&ways[i], cases[c].threads, cases[c].nr) -
			       base);
	}
}

/*
 * What who waits pays
 */

struct holder {
	pthread_t thread;
	const struct way *way;
	struct part part;
	bool inside;
};

static void *holder_main(void *arg)
{
	struct holder *holder = arg;

	pin_thread(1);
	shim_rcu_register();
	holder->way->enter(&holder->part);
	WRITE_ONCE(holder->inside, true);
	usleep(HANG_MS * 1000);
	holder->way->leave(&holder->part);
	return NULL;
}

/* Behind IOMMU 0; the holder, if any, is inside with IOMMU 1. Return: us. */
static double time_wait(const struct way *way, int holder_list)
{
	struct holder holder = {
		.way = way,
		.part = { .list = (unsigned int)holder_list, .first = 1, .nr = 1 },
	};
	double samples[REPS];
	unsigned int i, reps = holder_list < 0 ? REPS : 1;
	u64 begin;

	for (i = 0; i < reps; i++) {
		if (holder_list >= 0) {
			if (pthread_create(&holder.thread, NULL, holder_main, &holder)) {
				fprintf(stderr, "fences: cannot start a thread\n");
				exit(1);
			}
			while (!READ_ONCE(holder.inside))
				usleep(100);
		}
		begin = now_ns();
		way->wait(0, 0);
		samples[i] = (double)(now_ns() - begin) / 1000;
		if (holder_list >= 0)
			pthread_join(holder.thread, NULL);
	}
	return median(samples, reps);
}

static void measure_waits(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ways); i++)
		result("fence, idle", ways[i].name, "us", time_wait(&ways[i], -1));
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		result("fence, another list's flush hangs 100 ms", ways[i].name, "us",
		       time_wait(&ways[i], 1));
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		result("fence, this list's hangs behind another IOMMU", ways[i].name, "us",
		       time_wait(&ways[i], 0));
}

/*
 * A flush that hangs, and the list
 */

static bool hang;

static void no_iotlb(const struct iommu_attach_group *group, void *arg)
{
	(void)group;
	(void)arg;
}

static void no_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	(void)group;
	(void)atc;
	(void)arg;
}

static u64 no_submit(struct iommu_device *iommu_device, void *arg)
{
	(void)iommu_device;
	(void)arg;
	return 0;
}

static int hang_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	(void)iommu_device;
	(void)cookie;
	(void)arg;
	return READ_ONCE(hang) ? -EINPROGRESS : 0;
}

static const struct iommu_attach_flush_ops ops = {
	.iotlb = no_iotlb,
	.atc = no_atc,
	.submit = no_submit,
	.wait = hang_wait,
};

/* A flush that hangs; or, without a list, somebody who takes as much of a CPU. */
static void *hang_main(void *arg)
{
	pin_thread(1);
	shim_rcu_register();
	if (arg)
		iommu_attach_flush(arg, &ops, NULL);
	while (READ_ONCE(hang))
		cpu_relax();
	return NULL;
}

static struct iommu_attach_elm *elm_new(unsigned int iommu, u64 tag, bool atc)
{
	struct iommu_attach_elm *elm = kzalloc(sizeof(*elm), GFP_KERNEL);

	if (!elm) {
		fprintf(stderr, "fences: no memory\n");
		exit(1);
	}
	elm->iommu_device = (void *)iommus[iommu];
	elm->fence = &fences[iommu];
	elm->tag = tag;
	elm->atc = tag;
	elm->using_atc = atc;
	return elm;
}

static void add(struct iommu_attach_list *alist, struct iommu_attach_elm *elm)
{
	if (iommu_attach_add(alist, elm) < 0) {
		fprintf(stderr, "fences: cannot attach\n");
		exit(1);
	}
}

static pthread_t hang_begin(struct iommu_attach_list *alist)
{
	pthread_t thread;

	WRITE_ONCE(hang, true);
	if (pthread_create(&thread, NULL, hang_main, alist)) {
		fprintf(stderr, "fences: cannot start a thread\n");
		exit(1);
	}
	usleep(10000);
	return thread;
}

static void hang_end(pthread_t thread)
{
	WRITE_ONCE(hang, false);
	pthread_join(thread, NULL);
}

static double time_drain(unsigned int iommu, bool drain)
{
	double samples[REPS];
	unsigned int i;
	u64 begin;

	for (i = 0; i < REPS; i++) {
		begin = now_ns();
		if (drain)
			iommu_attach_drain(&fences[iommu]);
		else
			iommu_attach_fence(&fences[iommu]);
		samples[i] = (double)(now_ns() - begin) / 1000;
	}
	return median(samples, REPS);
}

static void measure_drains(void)
{
	struct iommu_attach_list alist;
	struct iommu_attach_elm *elm = elm_new(1, 1, true);
	pthread_t thread;
	double us;

	iommu_attach_init(&alist);
	add(&alist, elm);
	result("iommu_attach_fence(), idle", "list", "us", time_drain(0, false));
	result("iommu_attach_drain(), idle", "list", "us", time_drain(0, true));
	thread = hang_begin(&alist);
	us = time_drain(0, true);
	hang_end(thread);
	result("iommu_attach_drain(), a flush hangs elsewhere", "list", "us", us);
	iommu_attach_del(&alist, elm);
	synchronize_rcu();
	kfree(elm);
	iommu_attach_destroy(&alist);
}

static double bytes_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return (double)info.uordblks + (double)info.hblkhd;
}

/* GROUPS new groups on @alist. Return: how much memory there was at most, in MB. */
static double add_groups(struct iommu_attach_list *alist, struct iommu_attach_elm **elms)
{
	double before, most = 0, now;
	unsigned int i;

	shim_rcu_barrier();
	before = bytes_in_use();
	for (i = 0; i < GROUPS; i++) {
		elms[i] = elm_new(i % MAX_IOMMUS, i, false);
		add(alist, elms[i]);
		now = i % 16 ? 0 : bytes_in_use() - before;
		most = now > most ? now : most;
	}
	return most / 1e6;
}

static void del_groups(struct iommu_attach_list *alist, struct iommu_attach_elm **elms)
{
	unsigned int i;

	for (i = 0; i < GROUPS; i++)
		iommu_attach_del(alist, elms[i]);
	synchronize_rcu();
	for (i = 0; i < GROUPS; i++)
		kfree(elms[i]);
	shim_rcu_barrier();
}

static void loop_flush(struct iommu_attach_list *alist)
{
	unsigned int i;

	for (i = 0; i < 5000; i++)
		iommu_attach_flush(alist, &ops, NULL);
}

static void loop_find_tag(struct iommu_attach_list *alist)
{
	unsigned int i;
	u64 tag;

	for (i = 0; i < 5000; i++)
		iommu_attach_find_tag(alist, (void *)iommus[0], &tag);
}

/* A new list, and one whose groups are gone, in turns. */
static void compare_lists(const char *op, void (*loop)(struct iommu_attach_list *alist),
			  struct iommu_attach_list *gone)
{
	struct iommu_attach_list new, *lists_of[] = { &new, gone };
	double samples[2][REPS];
	unsigned int i, j;
	char what[64];
	u64 begin;

	iommu_attach_init(&new);
	for (i = 0; i < REPS; i++) {
		for (j = 0; j < 2; j++) {
			begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
			loop(lists_of[j]);
			samples[j][i] = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) -
						 begin) / 5000;
		}
	}
	iommu_attach_destroy(&new);
	snprintf(what, sizeof(what), "%s, new list", op);
	result(what, "list", "ns", median(samples[0], REPS));
	snprintf(what, sizeof(what), "%s, list whose 16k groups are gone", op);
	result(what, "list", "ns", median(samples[1], REPS));
}

static void measure_groups(void)
{
	struct iommu_attach_elm **elms = calloc(GROUPS, sizeof(*elms)), *other;
	struct iommu_attach_list alist, stuck;
	pthread_t thread;
	double mb;

	if (!elms)
		exit(1);
	iommu_attach_init(&alist);
	iommu_attach_init(&stuck);
	thread = hang_begin(NULL);
	mb = add_groups(&alist, elms);
	hang_end(thread);
	result("most memory, 16k new groups", "list", "MB", mb);
	del_groups(&alist, elms);
	compare_lists("flush", loop_flush, &alist);
	compare_lists("find_tag", loop_find_tag, &alist);

	other = elm_new(0, 1, true);
	add(&stuck, other);
	thread = hang_begin(&stuck);
	mb = add_groups(&alist, elms);
	hang_end(thread);
	result("most memory, 16k new groups, a flush hangs", "list", "MB", mb);
	del_groups(&alist, elms);
	iommu_attach_del(&stuck, other);
	synchronize_rcu();
	kfree(other);
	iommu_attach_destroy(&alist);
	iommu_attach_destroy(&stuck);
	free(elms);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = fopen(optarg, "w");
			if (!json) {
				perror(optarg);
				return 1;
			}
			break;
		case 'h':
			printf("usage: fences [--json FILE]\n");
			return 0;
		default:
			fprintf(stderr, "usage: fences [--json FILE]\n");
			return 2;
		}
	}

	pin_thread(0);
	shim_rcu_register();
	for (i = 0; i < MAX_IOMMUS; i++) {
		if (iommu_attach_fence_init(&fences[i])) {
			fprintf(stderr, "fences: no memory\n");
			return 1;
		}
	}
	if (json)
		fprintf(json, "[\n");
	measure_flushers();
	measure_waits();
	measure_drains();
	measure_groups();
	for (i = 0; i < MAX_IOMMUS; i++)
		iommu_attach_fence_destroy(&fences[i]);
	if (json) {
		fprintf(json, "\n]\n");
		if (fclose(json)) {
			perror("fences");
			return 1;
		}
	}
	return 0;
}
