// SPDX-License-Identifier: GPL-2.0-only
/*
 * How each kind of cell is measured, see measure.h
 *
 * One sample is the time of so many operations that the clock does not matter. The
 * samples of a cell are not taken in a row: the layouts take turns, so that whatever
 * the machine does besides hits all of them. The report gets the median.
 *
 * The first thread runs on the first CPU that the process may use, the second on the
 * second one.
 */
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#ifdef HAVE_CALLGRIND
#include <valgrind/callgrind.h>
#endif

#include <linux/array_size.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "measure.h"
#include "shim/shim.h"

#define MAX_LAYOUTS	16
#define MAX_REPS	101
#define RING		256		/* commands: the default of VT-d's queue */
#define SPARE		16		/* attaches to a domain in one sample */
#define MEMORY_DOMAINS	256

typedef void (*walk_fn)(void *domain, struct sink *sink);

static const char *const op_names[] = { "walk", "flush" };
#define NR_OPS		2

static walk_fn op_of(const struct layout *layout, u32 op)
{
	return op ? layout->flush : layout->walk;
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

/* What this thread has been given of a CPU: others may want it, too. */
static u64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

/* Until what was given to kfree_rcu() is free. */
static void wait_for_frees(void)
{
	rcu_offline();
	shim_rcu_barrier();
	rcu_online();
}

static struct sink sink_new(void)
{
	return (struct sink){
		.ring = must_alloc(RING * sizeof(struct command)),
		.mask = RING - 1,
		.completed = UINT64_MAX,
	};
}

/* One set for each layout that can have the shape; its number. */
static u32 sets_new(struct set **sets, const struct scene *scene, bool with_floor)
{
	u32 i, d, nr = 0;

	for (i = 0; layouts[i]; i++) {
		if (!set_possible(layouts[i], scene->shape))
			continue;
		if (!with_floor && !layouts[i]->peer && layouts[i] != &layout_alist)
			continue;
		sets[nr] = set_new(layouts[i], scene);
		for (d = 0; d < scene->nr_domains; d += scene->nr_domains / 8 + 1)
			set_verify(sets[nr], d);
		nr++;
	}
	return nr;
}

static void sets_free(struct set **sets, u32 nr)
{
	while (nr--)
		set_free(sets[nr]);
}

static struct cell cell_of(const struct set *set, const char *op, const char *state)
{
	return (struct cell){
		.layout = set->layout,
		.op = op,
		.state = state,
		.shape = set->scene->shape,
		.threads = 1,
	};
}

/*
 * Hot
 */

static noinline plain_calls u64 time_hot(walk_fn fn, void *domain, struct sink *sink, u32 loops)
{
	u64 begin = cpu_ns();
	u32 i;

	for (i = 0; i < loops; i++)
		fn(domain, sink);
	return cpu_ns() - begin;
}

static u32 calibrate(walk_fn fn, void *domain, struct sink *sink, u32 sample_us)
{
	u32 loops = 1;
	u64 ns;

	for (;;) {
		ns = time_hot(fn, domain, sink, loops);
		if (ns > 20000)
			break;
		loops *= 2;
	}
	loops = (u32)((u64)loops * sample_us * 1000 / ns);
	return loops ?: 1;
}

void measure_hot(const struct effort *effort, struct shape shape)
{
	static double samples[MAX_LAYOUTS][NR_OPS][MAX_REPS];
	struct scene *scene = scene_new(shape, 1, 0, effort->seed);
	u32 loops[MAX_LAYOUTS][NR_OPS];
	struct set *sets[MAX_LAYOUTS];
	struct sink sink = sink_new();
	u32 nr = sets_new(sets, scene, true);
	struct cell cell;
	u32 i, op, rep;
	u64 ns;

	for (i = 0; i < nr; i++) {
		for (op = 0; op < NR_OPS; op++)
			loops[i][op] = calibrate(op_of(sets[i]->layout, op),
						 sets[i]->domains[0], &sink,
						 effort->sample_us);
	}
	for (rep = 0; rep < effort->reps; rep++) {
		for (op = 0; op < NR_OPS; op++) {
			for (i = 0; i < nr; i++) {
				ns = time_hot(op_of(sets[i]->layout, op),
					      sets[i]->domains[0], &sink,
					      loops[i][op]);
				samples[i][op][rep] = (double)ns / loops[i][op];
			}
		}
		rcu_quiescent();
	}
	for (op = 0; op < NR_OPS; op++) {
		for (i = 0; i < nr; i++) {
			cell = cell_of(sets[i], op_names[op], "hot");
			report_samples(&cell, samples[i][op], effort->reps);
		}
	}
	sets_free(sets, nr);
	scene_free(scene);
	free(sink.ring);
}

/*
 * Cold
 */

static noinline plain_calls u64 time_cold(walk_fn fn, void **domains, struct sink *sink, u32 nr)
{
	u64 begin = cpu_ns();
	u32 i;

	for (i = 0; i < nr; i++)
		fn(domains[i], sink);
	return cpu_ns() - begin;
}

static u32 domains_for(struct shape shape, size_t bytes)
{
	u32 commands = min(shape.n, shape.g) + (shape.atc ? shape.n : 0);
	size_t each = layout_floor.domain_size;

	if (commands > 3)
		each += commands * sizeof(struct command);
	return (u32)(bytes / each + 1);
}

/*
 * Not in the order that they were allocated in. Everybody's in the same one, which is
 * read ahead of the domains and costs nothing.
 */
static void **shuffled(const struct set *set, u32 seed)
{
	u32 i, j, nr = set->scene->nr_domains;
	void **domains = must_alloc(sizeof(*domains) * nr);

	for (i = 0; i < nr; i++) {
		j = rnd(&seed) % (i + 1);
		domains[i] = domains[j];
		domains[j] = set->domains[i];
	}
	return domains;
}

void measure_cold(const struct effort *effort, struct shape shape,
		  const char *state, size_t bytes)
{
	static double samples[MAX_LAYOUTS][NR_OPS][MAX_REPS];
	struct scene *scene = scene_new(shape, domains_for(shape, bytes), 0,
					effort->seed);
	u32 nr_domains = scene->nr_domains;
	struct set *sets[MAX_LAYOUTS];
	void **domains[MAX_LAYOUTS];
	struct sink sink = sink_new();
	u32 nr = sets_new(sets, scene, true);
	/* A pass over so many domains that they do not fit is an average by itself. */
	u32 reps = min(effort->reps, nr_domains > 100000 ? 3U : 7U);
	struct cell cell;
	u32 i, op, rep;
	u64 ns;

	for (i = 0; i < nr; i++)
		domains[i] = shuffled(sets[i], effort->seed);
	for (rep = 0; rep < reps; rep++) {
		for (i = 0; i < nr; i++) {
			/* What others left in the outer cache goes. */
			time_cold(sets[i]->layout->walk, domains[i], &sink, nr_domains);
			for (op = 0; op < NR_OPS; op++) {
				ns = time_cold(op_of(sets[i]->layout, op), domains[i],
					       &sink, nr_domains);
				samples[i][op][rep] = (double)ns / nr_domains;
			}
		}
		rcu_quiescent();
	}
	for (op = 0; op < NR_OPS; op++) {
		for (i = 0; i < nr; i++) {
			cell = cell_of(sets[i], op_names[op], state);
			report_samples(&cell, samples[i][op], reps);
		}
	}
	for (i = 0; i < nr; i++)
		free(domains[i]);
	sets_free(sets, nr);
	scene_free(scene);
	free(sink.ring);
}

/*
 * Attach and detach
 *
 * What the driver allocates in any case is at hand before, and freed after a grace
 * period that is not counted.
 */

enum { ATTACH, DETACH, REATTACH, NR_CHANGES };

static void time_changes(struct set *set, double *samples, u32 *seed)
{
	const struct scene *scene = set->scene;
	const struct layout *layout = set->layout;
	u32 n = scene->shape.n, spare = scene->n - n;
	u32 nr = scene->nr_domains * spare;
	void **fresh = must_alloc(sizeof(*fresh) * nr * 2);
	void **gone = must_alloc(sizeof(*gone) * nr * 2);
	u32 *which = must_alloc(sizeof(*which) * nr);
	u64 t[NR_CHANGES + 1];
	u32 i, ep;

	for (i = 0; i < nr * 2; i++)
		fresh[i] = set_attachment_new(set);
	for (i = 0; i < nr; i++)
		which[i] = i / spare * scene->n + (n ? rnd(seed) % n : 0);

	t[ATTACH] = cpu_ns();
	for (i = 0; i < nr; i++) {
		ep = i / spare * scene->n + n + i % spare;
		if (layout->attach(set->domains[i / spare], fresh[i], &scene->eps[ep]))
			abort();
		set->attachments[ep] = fresh[i];
	}
	t[DETACH] = cpu_ns();
	for (i = 0; i < nr; i++)
		gone[i] = set_detach(set, i / spare * scene->n + n + i % spare);
	t[REATTACH] = cpu_ns();
	for (i = 0; n && i < nr; i++) {
		gone[nr + i] = set_detach(set, which[i]);
		if (layout->attach(set->domains[i / spare], fresh[nr + i],
				   &scene->eps[which[i]]))
			abort();
		set->attachments[which[i]] = fresh[nr + i];
	}
	t[NR_CHANGES] = cpu_ns();
	for (i = 0; i < NR_CHANGES; i++)
		samples[i] = (double)(t[i + 1] - t[i]) / nr;

	synchronize_rcu();
	for (i = 0; i < nr; i++) {
		kfree(gone[i]);
		kfree(n ? gone[nr + i] : fresh[nr + i]);
	}
	free(which);
	free(gone);
	free(fresh);
}

void measure_attach(const struct effort *effort, struct shape shape)
{
	static const char *const names[] = { "attach", "detach", "reattach" };
	static double samples[MAX_LAYOUTS][NR_CHANGES][MAX_REPS];
	/* Attachments of a list that is hot are in the first-level cache. */
	struct scene *scene = scene_new(shape, shape.n < 256 ? 8 : 2, SPARE,
					effort->seed);
	struct set *sets[MAX_LAYOUTS];
	u32 nr = sets_new(sets, scene, false);
	u32 i, change, rep, seed;
	double sample[NR_CHANGES];
	struct cell cell;

	for (rep = 0; rep < effort->reps; rep++) {
		for (i = 0; i < nr; i++) {
			seed = effort->seed + rep;
			/* Once before it counts: others have been in the caches. */
			time_changes(sets[i], sample, &seed);
			time_changes(sets[i], sample, &seed);
			for (change = 0; change < NR_CHANGES; change++)
				samples[i][change][rep] = sample[change];
		}
		wait_for_frees();
	}
	for (change = 0; change < (shape.n ? NR_CHANGES : REATTACH); change++) {
		for (i = 0; i < nr; i++) {
			cell = cell_of(sets[i], names[change], "hot");
			report_samples(&cell, samples[i][change], effort->reps);
		}
	}
	for (i = 0; i < nr; i++)
		set_verify(sets[i], 0);
	sets_free(sets, nr);
	scene_free(scene);
}

/*
 * Two threads
 */

struct walker {
	pthread_t thread;
	u32 cpu;
	walk_fn fn;
	void *domain;
	bool *go;
	bool *stop;
	u64 walks;
};

static plain_calls void *walker_main(void *arg)
{
	struct walker *walker = arg;
	struct sink sink = sink_new();
	u64 walks = 0;
	u32 i;

	pin_thread(walker->cpu);
	shim_rcu_register();
	while (!READ_ONCE(*walker->go))
		cpu_relax();
	while (!READ_ONCE(*walker->stop)) {
		for (i = 0; i < 32; i++)
			walker->fn(walker->domain, &sink);
		walks += 32;
		rcu_quiescent();
	}
	walker->walks = walks;
	free(sink.ring);
	return NULL;
}

static void sleep_ns(u64 ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	nanosleep(&ts, NULL);
}

/*
 * Detaches and attaches the first endpoint again, @rate times a second, until @end.
 * Gives the CPU away in between only where there is time for it.
 */
static void churn(struct set *set, u32 rate, u64 end)
{
	void *gone[256];
	u64 next = now_ns(), now;
	u32 nr = 0;

	while ((now = now_ns()) < end) {
		if (now < next) {
			if (next - now > 200000)
				sleep_ns(next - now - 100000);
			continue;
		}
		next += 1000000000 / rate;
		gone[nr++] = set_detach(set, 0);
		set_attach(set, 0);
		if (nr < ARRAY_SIZE(gone))
			continue;
		synchronize_rcu();
		while (nr)
			kfree(gone[--nr]);
	}
	synchronize_rcu();
	while (nr)
		kfree(gone[--nr]);
}

/*
 * @rate: of changes by this thread; 0: it sleeps. Return: ns a walk or flush, of all
 * threads.
 */
static double time_threads(struct set *set, u32 op, u32 nr, u32 rate, u32 ms)
{
	struct walker walker[2];
	bool go = false, stop = false;
	u64 begin, end, walks = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		walker[i] = (struct walker){
			.cpu = i,
			.fn = op_of(set->layout, op),
			.domain = set->domains[0],
			.go = &go,
			.stop = &stop,
		};
		if (pthread_create(&walker[i].thread, NULL, walker_main, &walker[i])) {
			fprintf(stderr, "bench: cannot start a thread\n");
			exit(1);
		}
	}
	/* All of them run. */
	sleep_ns(1000000);
	begin = now_ns();
	WRITE_ONCE(go, true);
	if (rate) {
		pin_thread(1);
		churn(set, rate, begin + ms * 1000000ULL);
		pin_thread(0);
	} else {
		rcu_offline();
		sleep_ns(ms * 1000000ULL);
		rcu_online();
	}
	WRITE_ONCE(stop, true);
	end = now_ns();
	rcu_offline();
	for (i = 0; i < nr; i++) {
		pthread_join(walker[i].thread, NULL);
		walks += walker[i].walks;
	}
	rcu_online();
	return (double)(end - begin) / (double)walks;
}

void measure_threads(const struct effort *effort, struct shape shape)
{
	static double samples[MAX_LAYOUTS][NR_OPS][2][MAX_REPS];
	struct scene *scene = scene_new(shape, 1, 0, effort->seed);
	struct set *sets[MAX_LAYOUTS];
	u32 nr = sets_new(sets, scene, true);
	u32 reps = min(effort->reps, 9U);
	struct cell cell;
	u32 i, op, t, rep;

	for (rep = 0; rep < reps; rep++) {
		for (i = 0; i < nr; i++) {
			for (op = 0; op < NR_OPS; op++) {
				for (t = 0; t < 2; t++)
					samples[i][op][t][rep] =
						time_threads(sets[i], op, t + 1, 0,
							     effort->thread_ms);
			}
		}
	}
	for (op = 0; op < NR_OPS; op++) {
		for (t = 0; t < 2; t++) {
			for (i = 0; i < nr; i++) {
				cell = cell_of(sets[i], op_names[op], "threads");
				cell.threads = t + 1;
				report_samples(&cell, samples[i][op][t], reps);
			}
		}
	}
	sets_free(sets, nr);
	scene_free(scene);
}

void measure_churn(const struct effort *effort, struct shape shape, u32 rate)
{
	static double samples[MAX_LAYOUTS][MAX_REPS];
	struct scene *scene = scene_new(shape, 1, 0, effort->seed);
	struct set *sets[MAX_LAYOUTS];
	u32 nr = sets_new(sets, scene, false);
	u32 reps = min(effort->reps, 9U);
	struct cell cell;
	u32 i, rep;

	for (rep = 0; rep < reps; rep++) {
		for (i = 0; i < nr; i++)
			samples[i][rep] = time_threads(sets[i], 0, 1, rate,
						       effort->thread_ms);
	}
	for (i = 0; i < nr; i++) {
		cell = cell_of(sets[i], "walk",
			       rate < 10000 ? "churn-1k" : "churn-100k");
		cell.threads = 2;
		report_samples(&cell, samples[i], reps);
		set_verify(sets[i], 0);
	}
	sets_free(sets, nr);
	scene_free(scene);
}

void measure_drain(const struct effort *effort, u32 n)
{
	const struct shape shape = { .n = n, .g = 1, .atc = ATC_ALL };
	struct scene *scene = scene_new(shape, 1, 0, effort->seed);
	struct set *set = set_new(&layout_alist, scene);
	struct cell cell = cell_of(set, "drain", "hot");
	u32 reps = min(effort->reps, 15U);
	double samples[MAX_REPS];
	u32 i, rep;
	void **gone = must_alloc(sizeof(*gone) * n);
	u64 begin;

	for (rep = 0; rep < reps; rep++) {
		for (i = 0; i < n; i++)
			gone[i] = set_detach(set, i);
		begin = now_ns();
		iommu_attach_drain(alist_fence(0));
		samples[rep] = (double)(now_ns() - begin);
		for (i = 0; i < n; i++) {
			kfree(gone[i]);
			set_attach(set, i);
		}
	}
	report_samples(&cell, samples, reps);
	free(gone);
	set_free(set);
	scene_free(scene);
}

/*
 * Memory
 */

static double bytes_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return (double)info.uordblks + (double)info.hblkhd;
}

static void measure_layout_memory(const struct layout *layout, struct scene *scene)
{
	u32 n = scene->shape.n;
	struct set *set;
	struct cell cell;
	unsigned long allocs;
	double bytes;

	wait_for_frees();
	bytes = -bytes_in_use();
	allocs = shim_allocs();
	set = set_new(layout, scene);
	wait_for_frees();
	bytes += bytes_in_use();
	/* What the bench needs to know them by. */
	bytes -= (double)(malloc_usable_size(set) + malloc_usable_size(set->domains) +
			  malloc_usable_size(set->attachments) +
			  malloc_usable_size(set->memory));
	bytes += (double)layout->domain_size * scene->nr_domains;

	cell = cell_of(set, n ? "attachment" : "domain", "memory");
	cell.unit = UNIT_BYTES;
	cell.value = bytes / scene->nr_domains / (n ?: 1);
	report_add(&cell);
	if (n) {
		cell.unit = UNIT_ALLOCATIONS;
		cell.value = (double)(shim_allocs() - allocs) / scene->nr_domains / n;
		report_add(&cell);
	}
	set_free(set);
	wait_for_frees();
}

void measure_memory(const struct effort *effort, struct shape shape)
{
	struct scene *scene = scene_new(shape, shape.n < 64 ? MEMORY_DOMAINS : 4, 0,
					effort->seed);
	u32 i;

	for (i = 0; layouts[i]; i++) {
		if (set_possible(layouts[i], shape))
			measure_layout_memory(layouts[i], scene);
	}
	scene_free(scene);
}

/*
 * Instructions
 */

#ifdef HAVE_CALLGRIND
#define COUNTED_LOOPS	100

void count_instructions(const struct effort *effort, struct shape shape)
{
	struct scene *scene = scene_new(shape, 1, 0, effort->seed);
	struct set *sets[MAX_LAYOUTS];
	struct sink sink = sink_new();
	u32 nr = sets_new(sets, scene, true);
	char name[128];
	u32 i, op, loop;

	for (i = 0; i < nr; i++) {
		for (op = 0; op < NR_OPS; op++) {
			walk_fn fn = op_of(sets[i]->layout, op);

			snprintf(name, sizeof(name), "cell %u %s %s %u %u %s %s",
				 COUNTED_LOOPS, sets[i]->layout->name, op_names[op],
				 shape.n, shape.g, atc_names[shape.atc],
				 shape.nest ? "nest" : "own");
			fn(sets[i]->domains[0], &sink);
			CALLGRIND_ZERO_STATS;
			CALLGRIND_TOGGLE_COLLECT;
			for (loop = 0; loop < COUNTED_LOOPS; loop++)
				fn(sets[i]->domains[0], &sink);
			CALLGRIND_TOGGLE_COLLECT;
			CALLGRIND_DUMP_STATS_AT(name);
		}
	}
	sets_free(sets, nr);
	scene_free(scene);
	free(sink.ring);
}
#else
void count_instructions(const struct effort *effort, struct shape shape)
{
	(void)effort;
	(void)shape;
	fprintf(stderr, "bench: built without valgrind/callgrind.h: cannot count\n");
	exit(1);
}
#endif
