// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions of a flush as a program has it: through the installed library, which looks at
 * what it is given, counts what it sends, and has RCU and fences of its own
 *
 * To be run under callgrind: scripts/benchlib.py reads what it dumps. The callbacks write two
 * words each into a ring, as the layouts of the bench do. For comparison, the same by
 * iommu_attach_flush_lists(), which is for several lists.
 */
#include <stdio.h>
#include <stdlib.h>

#include <valgrind/callgrind.h>

#include <iommu-alist.h>

#define LOOPS	100
#define RING	256

struct iommu_device {
	struct iommu_attach_fence fence;
};

static uint64_t ring[RING][2];
static unsigned int tail;

static void write_command(uint64_t first, void *arg)
{
	ring[tail % RING][0] = first;
	ring[tail++ % RING][1] = (uintptr_t)arg;
}

static void send_iotlb(const struct iommu_attach_group *group, void *arg)
{
	write_command(group->tag, arg);
}

static void send_atc(const struct iommu_attach_group *group, uint64_t atc, void *arg)
{
	(void)group;
	write_command(atc, arg);
}

static uint64_t submit(struct iommu_device *iommu, void *arg)
{
	(void)iommu;
	write_command(0, arg);
	return tail;
}

static int wait_done(struct iommu_device *iommu, uint64_t cookie, void *arg)
{
	(void)iommu;
	(void)cookie;
	(void)arg;
	return 0;
}

static const struct iommu_attach_flush_ops ops = {
	.iotlb = send_iotlb, .atc = send_atc, .submit = submit, .wait = wait_done,
};

static int flush_list(struct iommu_attach_list *list)
{
	return iommu_attach_flush(list, &ops, NULL);
}

static int flush_lists(struct iommu_attach_list *list)
{
	return iommu_attach_flush_lists(&list, 1, &ops, NULL);
}

static void count(const char *layout, const char *cell, struct iommu_attach_list *list,
		  int (*flush)(struct iommu_attach_list *list))
{
	char name[128];
	int i, error = flush(list);

	CALLGRIND_ZERO_STATS;
	CALLGRIND_TOGGLE_COLLECT;
	for (i = 0; i < LOOPS; i++)
		error |= flush(list);
	CALLGRIND_TOGGLE_COLLECT;
	snprintf(name, sizeof(name), "cell %d %s flush %s own", LOOPS, layout, cell);
	CALLGRIND_DUMP_STATS_AT(name);
	if (error) {
		fprintf(stderr, "library: a flush failed\n");
		exit(1);
	}
}

/* @n attachments behind @g IOMMUs. */
static void count_shape(unsigned int n, unsigned int g, bool atc)
{
	struct iommu_device *iommus = calloc(g, sizeof(*iommus));
	struct iommu_attach_elm *elms = calloc(n, sizeof(*elms));
	struct iommu_attach_list list;
	char cell[32];
	unsigned int i;

	iommu_attach_init(&list);
	for (i = 0; iommus && i < g; i++) {
		if (iommu_attach_fence_init(&iommus[i].fence))
			break;
	}
	for (i = 0; elms && i < n; i++) {
		elms[i].iommu_device = &iommus[i % g];
		elms[i].fence = &iommus[i % g].fence;
		elms[i].tag = 1;
		elms[i].using_atc = atc;
		elms[i].atc = i;
		if (iommu_attach_add(&list, &elms[i]) < 0)
			break;
	}
	if (i < n) {
		fprintf(stderr, "library: cannot attach\n");
		exit(1);
	}
	snprintf(cell, sizeof(cell), "%u %u %s", n, g, atc ? "all" : "none");
	count("library", cell, &list, flush_list);
	count("library-lists", cell, &list, flush_lists);
	for (i = 0; i < n; i++)
		iommu_attach_del(&list, &elms[i]);
	iommu_attach_destroy(&list);
	for (i = 0; i < g; i++) {
		iommu_attach_drain(&iommus[i].fence);
		iommu_attach_fence_destroy(&iommus[i].fence);
	}
	free(elms);
	free(iommus);
}

int main(void)
{
	count_shape(1, 1, false);
	count_shape(8, 8, false);
	count_shape(1, 1, true);
	count_shape(8, 8, true);
	count_shape(64, 8, true);
	return 0;
}
