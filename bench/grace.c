// SPDX-License-Identifier: GPL-2.0-only
/*
 * Grace periods of the library's RCU compared with those of liburcu's flavours, while
 * threads do nothing but read, in sections of 100 ns
 *
 * The flavours take turns; of each the median of the turns is printed, in microseconds per
 * grace period. With more readers than CPUs a reader is preempted within its section now
 * and then, and the waiter waits until it runs again.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <linux/array_size.h>
#include <linux/rcupdate.h>

#include "grace.h"

#define READERS		4	/* at most */
#define TURNS		9
#define TURN_NS		200000000ULL
#define SECTION_NS	100

static void shim_lock(void)
{
	rcu_read_lock();
}

static void shim_unlock(void)
{
	rcu_read_unlock();
}

static const struct grace_rcu grace_shim = {
	"shim", NULL, NULL, shim_lock, shim_unlock, synchronize_rcu,
};

static const struct grace_rcu *const rcus[] = { &grace_memb, &grace_bp, &grace_shim };

static unsigned int section_loops;
static bool stop;

static unsigned long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void section(unsigned int loops)
{
	unsigned int i;

	for (i = 0; i < loops; i++)
		cpu_relax();
}

/* The least of a few: it was not preempted. */
static void calibrate(void)
{
	unsigned long long begin, least = ~0ULL;
	const unsigned int loops = 10000;
	unsigned int i;

	for (i = 0; i < 100; i++) {
		begin = now_ns();
		section(loops);
		begin = now_ns() - begin;
		least = begin < least ? begin : least;
	}
	section_loops = SECTION_NS * loops / least + 1;
}

static void *reader(void *arg)
{
	const struct grace_rcu *rcu = arg;

	if (rcu->begin_thread)
		rcu->begin_thread();
	while (!READ_ONCE(stop)) {
		rcu->lock();
		section(section_loops);
		rcu->unlock();
	}
	if (rcu->end_thread)
		rcu->end_thread();
	return NULL;
}

/* Return: microseconds per grace period. */
static double turn(const struct grace_rcu *rcu, unsigned int nr_readers)
{
	pthread_t threads[READERS];
	unsigned long long begin, end;
	unsigned long nr = 0;
	unsigned int i;

	WRITE_ONCE(stop, false);
	for (i = 0; i < nr_readers; i++) {
		if (pthread_create(&threads[i], NULL, reader, (void *)rcu)) {
			fprintf(stderr, "grace: cannot start a thread\n");
			exit(1);
		}
	}
	begin = now_ns();
	do {
		rcu->synchronize();
		nr++;
		end = now_ns();
	} while (end - begin < TURN_NS);
	WRITE_ONCE(stop, true);
	for (i = 0; i < nr_readers; i++)
		pthread_join(threads[i], NULL);
	return (end - begin) / 1000.0 / nr;
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(void)
{
	double us[ARRAY_SIZE(rcus)][TURNS];
	unsigned int readers, i, j;

	calibrate();
	printf("| readers |");
	for (i = 0; i < ARRAY_SIZE(rcus); i++)
		printf(" %s |", rcus[i]->name);
	printf("\n|---|---|---|---|\n");
	for (readers = 0; readers <= READERS; readers = readers ? 2 * readers : 1) {
		for (j = 0; j < TURNS; j++) {
			for (i = 0; i < ARRAY_SIZE(rcus); i++)
				us[i][j] = turn(rcus[i], readers);
		}
		printf("| %u |", readers);
		for (i = 0; i < ARRAY_SIZE(rcus); i++) {
			qsort(us[i], TURNS, sizeof(us[i][0]), cmp_double);
			printf(us[i][TURNS / 2] < 10 ? " %.1f |" : " %.0f |", us[i][TURNS / 2]);
		}
		printf("\n");
	}
	return 0;
}
