// SPDX-License-Identifier: GPL-2.0-only
/*
 * The floor: what no list can be faster than
 *
 * The very commands of a domain, in a sorted array, copied one after the other. The
 * first few are in the domain itself, so that the common domain is one cache line.
 * Nothing guards the array: a domain that others attach to cannot be walked like
 * this, and to attach here says nothing about time.
 *
 * Once with the full barrier that every walk needs between the page table that was
 * written and the list that is read, and once without, to show what it costs.
 */
#include <linux/errno.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "layout.h"

#define NR_INLINE	3

struct floor_domain {
	u32 nr;
	u32 room;
	struct command *cmd;		/* @few, or allocated */
	struct command few[NR_INLINE];
	u32 *users;			/* of each command; @room of them */
} __attribute__((__aligned__(LINE)));

static void floor_init(void *domain)
{
	struct floor_domain *floor = domain;

	memset(floor, 0, sizeof(*floor));
	floor->cmd = floor->few;
}

static void floor_exit(void *domain)
{
	struct floor_domain *floor = domain;

	if (floor->cmd != floor->few)
		kfree(floor->cmd);
	kfree(floor->users);
}

static int floor_grow(struct floor_domain *floor)
{
	u32 room = floor->room ? floor->room * 2 : NR_INLINE;
	struct command *cmd = floor->few;
	u32 *users;

	users = kcalloc(room, sizeof(*users), GFP_KERNEL);
	if (!users)
		return -ENOMEM;
	if (room > NR_INLINE) {
		cmd = kcalloc(room, sizeof(*cmd), GFP_KERNEL);
		if (!cmd) {
			kfree(users);
			return -ENOMEM;
		}
		memcpy(cmd, floor->cmd, floor->nr * sizeof(*cmd));
	}
	if (floor->nr)
		memcpy(users, floor->users, floor->nr * sizeof(*users));
	floor_exit(floor);
	floor->cmd = cmd;
	floor->users = users;
	floor->room = room;
	return 0;
}

/* The index of the first command that is not below. */
static u32 floor_find(const struct floor_domain *floor, struct command cmd)
{
	u32 low = 0, high = floor->nr;

	while (low < high) {
		u32 mid = low + (high - low) / 2;
		const struct command *at = &floor->cmd[mid];

		if (at->what < cmd.what || (at->what == cmd.what && at->who < cmd.who))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool floor_has(const struct floor_domain *floor, u32 i, struct command cmd)
{
	return i < floor->nr && floor->cmd[i].what == cmd.what &&
	       floor->cmd[i].who == cmd.who;
}

static int floor_add(struct floor_domain *floor, struct command cmd)
{
	u32 i = floor_find(floor, cmd);

	if (!floor_has(floor, i, cmd)) {
		if (floor->nr == floor->room && floor_grow(floor))
			return -ENOMEM;
		memmove(&floor->cmd[i + 1], &floor->cmd[i],
			(floor->nr - i) * sizeof(*floor->cmd));
		memmove(&floor->users[i + 1], &floor->users[i],
			(floor->nr - i) * sizeof(*floor->users));
		floor->cmd[i] = cmd;
		floor->users[i] = 0;
		floor->nr++;
	}
	floor->users[i]++;
	return 0;
}

static void floor_del(struct floor_domain *floor, struct command cmd)
{
	u32 i = floor_find(floor, cmd);

	if (--floor->users[i])
		return;
	floor->nr--;
	memmove(&floor->cmd[i], &floor->cmd[i + 1],
		(floor->nr - i) * sizeof(*floor->cmd));
	memmove(&floor->users[i], &floor->users[i + 1],
		(floor->nr - i) * sizeof(*floor->users));
}

static struct command iotlb_of(const struct endpoint *ep)
{
	return (struct command){
		(uintptr_t)ep->iommu | (ep->nest ? OP_NEST : OP_IOTLB), ep->tag
	};
}

static struct command atc_of(const struct endpoint *ep)
{
	return (struct command){
		(uintptr_t)ep->iommu | (ep->nest ? OP_ATC_ALL : OP_ATC), ep->atc
	};
}

static int floor_attach(void *domain, void *attachment, const struct endpoint *ep)
{
	(void)attachment;
	if (floor_add(domain, iotlb_of(ep)))
		return -ENOMEM;
	if (ep->ats && floor_add(domain, atc_of(ep))) {
		floor_del(domain, iotlb_of(ep));
		return -ENOMEM;
	}
	return 0;
}

static void floor_detach(void *domain, void *attachment, const struct endpoint *ep)
{
	(void)attachment;
	floor_del(domain, iotlb_of(ep));
	if (ep->ats)
		floor_del(domain, atc_of(ep));
}

static __always_inline void copy(const struct floor_domain *floor,
				 struct sink *queue)
{
	const struct command *cmd = floor->cmd;
	u32 i, nr = floor->nr;
	struct sink sink = sink_open(queue);

	for (i = 0; i < nr; i++)
		emit(&sink, 0, (void *)(uintptr_t)cmd[i].what, cmd[i].who);
	sink_close(queue, &sink);
}

/* All that is sent is known: nothing has to be remembered to be waited for. */
static __always_inline void copy_sync(const struct floor_domain *floor,
				      struct sink *queue)
{
	const struct command *cmd = floor->cmd;
	u32 i, nr = floor->nr;
	u64 cookie = 0;
	struct sink sink = sink_open(queue);

	for (i = 0; i < nr; i++) {
		emit(&sink, 0, (void *)(uintptr_t)cmd[i].what, cmd[i].who);
		if (i + 1 == nr || (cmd[i].what ^ cmd[i + 1].what) & ~(u64)OP_MASK)
			cookie = emit_sync(&sink, (void *)(uintptr_t)
					   (cmd[i].what & ~(u64)OP_MASK));
	}
	wait_sync(&sink, cookie);
	sink_close(queue, &sink);
}

static void floor_walk(void *domain, struct sink *sink)
{
	smp_mb();
	copy(domain, sink);
}

static void floor_flush(void *domain, struct sink *sink)
{
	smp_mb();
	copy_sync(domain, sink);
}

static void floor_walk_no_barrier(void *domain, struct sink *sink)
{
	copy(domain, sink);
}

static void floor_flush_no_barrier(void *domain, struct sink *sink)
{
	copy_sync(domain, sink);
}

const struct layout layout_floor = {
	.name = "floor",
	.collapses = true,
	.domain_size = sizeof(struct floor_domain),
	.attachment_size = 0,
	.nests = true,
	.init = floor_init,
	.exit = floor_exit,
	.attach = floor_attach,
	.detach = floor_detach,
	.walk = floor_walk,
	.flush = floor_flush,
};

const struct layout layout_floor_no_barrier = {
	.name = "floor-no-barrier",
	.collapses = true,
	.domain_size = sizeof(struct floor_domain),
	.attachment_size = 0,
	.nests = true,
	.init = floor_init,
	.exit = floor_exit,
	.attach = floor_attach,
	.detach = floor_detach,
	.walk = floor_walk_no_barrier,
	.flush = floor_flush_no_barrier,
};
