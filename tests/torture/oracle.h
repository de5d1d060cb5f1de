/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What walks must see while everything changes, and how old it may be
 *
 * The list is tortured on hardware that costs nothing, so that the oracle is most of
 * the work: it has to be cheap, and it must not lock, or it would hide the races that
 * it looks for. It knows three things.
 *
 * Marks. Each group and each ATC target that can be on a list has a mark: how many
 * use it, and the grace period and the fence of its IOMMU in which the last one left. Who
 * attaches marks it before, who detaches unmarks it afterwards. So a walk may see what is
 * not marked only until a grace period that began after that has ended; and a flush may
 * send to a target, or have a command on its way to it, only until such a fence has ended.
 * The command for a group is on its way until a drain at most, which is both. Who drained
 * on its own says so at once. A value on a list names its mark, so that a walk that sees it
 * finds out in one load.
 *
 * Steady marks. What is there for the whole time, through one attachment that stays or
 * through several that take over from each other, must be seen by every walk.
 *
 * Posts. Hardware that comes into use says which walk of each walker it was late enough
 * to be clean of: the page table that it reads is written before that walk, or its
 * translation comes from an IOTLB which that walk has emptied. A later walk that did
 * not see it has missed it. This is what the barriers are for. A flush has seen what its
 * IOMMU has said to be done; if it returns an error, its caller does not give the page
 * away, and only what is behind the IOMMU or in the device that failed may be missed.
 *
 * Sulkers. Some devices fall silent. A command for one is not answered; a wait for it times
 * out. The driver sets the device aside, has its IOMMU refuse it, which ends its post, and
 * says that it is blocked; or the device is reset. Each of the domains that such a device is
 * attached to counts how often one was set aside, and how often that was over: a flush of
 * a domain in which none was returns no error.
 *
 *   walker                              attacher
 *   walker[].table = n                  add, or enable_atc
 *   flush                               n' = walker[].table, or .iotlb
 *   posted, n' < n, not seen: STALE     post n'
 *   not posted: too late to tell        unpost, then delete
 */
#ifndef TORTURE_ORACLE_H
#define TORTURE_ORACLE_H

#include <linux/iommu-alist.h>

#define NR_DOMAINS	8
#define NR_IOMMUS	64	/* more than two windows of a flush */
#define WINDOW		32	/* IOMMUs sent to before the first wait */
#define NR_TAGS		8	/* that many attachments share */
#define NR_RIDS		4	/* likewise, in each group */
#define NR_IDS		4096	/* that are of one attachment, or of equal ones */
#define NR_POSTS	64
#define MAX_WALKERS	16

/* Tags and ATC values with a number of their own: bits 0..15, and its generation. */
#define UNIQUE		BIT_ULL(60)

#define IOMMU_ALIVE	0x10a110c8

/* Synthetic hardware: what a driver would look at to send a command. */
struct iommu_device {
	u32 alive;
	u32 nr;
	struct iommu_attach_fence fence;
};

/* Numbers of marks; 0 is none. */
#define MARK_GROUPS	1
#define MARK_TARGETS	(MARK_GROUPS + NR_DOMAINS * NR_IOMMUS * 2 * NR_TAGS)
#define MARK_IDS	(MARK_TARGETS + NR_DOMAINS * NR_IOMMUS * 2 * NR_TAGS * NR_RIDS)
#define NR_MARKS	(MARK_IDS + NR_IDS * 4)

enum fault {
	FINE,
	GROUP_MISSED,
	GROUP_TWICE,
	ATC_MISSED,
	ATC_TWICE,
	IOMMU_MISSED,
	IOMMU_TWICE,
	ELM_MISSED,
	ELM_TORN,		/* an attachment's memory is not its own */
	FOREIGN,		/* on the wrong list, or never attached */
	GONE,			/* an IOMMU that was removed */
	DRAINED,		/* deleted, and a drain has returned since */
	TOO_OLD,		/* deleted, and a grace period has passed since */
	FENCED,			/* deleted, and a fence of the IOMMU has returned since */
	STALE,			/* neither seen, nor late enough to be clean */
	OUT_OF_ORDER,
	SUBMIT_MISSED,
	SUBMIT_EXTRA,
	SUBMIT_TWICE,
	WAIT_MISSED,
	WAIT_EXTRA,
	WAIT_EARLY,		/* others had yet to be sent to */
	ASIDE,			/* sent to although it had been set aside before */
	NO_ERROR,		/* what failed was not reported */
	FAILED_FOR_OTHERS,	/* an error, and nothing that the flush had to do with */
	NOT_DONE,		/* behind IOMMUs and of devices that have not failed */
	RCU_HELD,		/* no grace period ended while a silent device was waited for */
	NOT_AT_REST,		/* nothing runs, and the list is not what it should be */
	NR_FAULTS,
};

extern const char *const fault_names[NR_FAULTS];

/* How old what a walk saw was. */
enum age {
	AGE_ATTACHED,
	AGE_DELETED,		/* before the next grace period began */
	AGE_ENDING,		/* while that one lasts */
	AGE_WAITED,		/* later, by what a fence waits for */
	AGE_OLDER,		/* a fault */
	NR_AGES,
};

enum {
	NEST_WAITS	= BIT(0),	/* wait_before_nest */
	ATC_WAITS	= BIT(1),	/* wait_before_atc */
	WITHOUT_ATC	= BIT(2),	/* hardware without ATS */
	NR_MODES	= 5,		/* the last one alone */
	BY_HAND		= BIT(3),	/* not a flush */
};

/* What a walker tells. */
struct walker_state {
	u32 table;			/* the walk that the page tables were written for */
	u32 iotlb[NR_IOMMUS][2];	/* the walk that emptied it, by kind */
	u64 post[NR_POSTS];		/* told to it; 0: nothing */
} __attribute__((__aligned__(128)));

struct oracle {
	u64 gp_started, gp_ended;
	u64 fence_started[NR_IOMMUS], fence_ended[NR_IOMMUS];
	u64 drain_ended[NR_IOMMUS];	/* in numbers of grace periods */
	u64 mark[NR_MARKS];		/* users, drained, fenced, grace period, fence */
	u8 silent[NR_IDS];		/* devices that do not answer */
	u64 aside[NR_IDS];		/* when one had been set aside, or 0 */
	u64 aside_clock;
	u64 aside_begun[NR_DOMAINS], aside_ended[NR_DOMAINS];
	u8 steady[NR_MARKS];
	s32 born[NR_MARKS];		/* told to be new, less told to be the last */
	u64 id[NR_IDS];			/* see id_pack() */
	u32 nr_steady_groups[NR_DOMAINS];
	u32 nr_steady_targets[NR_DOMAINS];
	u32 nr_steady_elms[NR_DOMAINS];
	u64 steady_iommus[NR_DOMAINS];
	struct walker_state walker[MAX_WALKERS];
};

extern struct oracle oracle;

static inline u32 group_mark(u32 domain, u32 iommu, u8 kind, u32 tag)
{
	return MARK_GROUPS + ((domain * NR_IOMMUS + iommu) * 2 + kind) * NR_TAGS + tag;
}

/* An ATC value that is shared, in a group that is. */
static inline u32 target_mark(u32 group, u32 rid)
{
	return MARK_TARGETS + (group - MARK_GROUPS) * NR_RIDS + rid;
}

static inline u32 id_group_mark(u32 id, u8 kind)
{
	return MARK_IDS + id * 4 + kind * 2;
}

static inline u32 id_target_mark(u32 id, u8 kind)
{
	return id_group_mark(id, kind) + 1;
}

/* Where the unique values of an identity may be seen. */
static inline u64 id_pack(u32 generation, u32 s1, u32 s2, u32 iommu, bool toggles,
			  bool sulks)
{
	return (u64)generation << 32 | s1 << 20 | s2 << 16 | iommu << 8 | sulks << 1 | toggles;
}

static inline u64 id_value(u32 id, u32 generation)
{
	return UNIQUE | (u64)generation << 16 | id;
}

/* In elm->pasid: what memory that is somebody else's would not have. */
static inline u32 elm_check(const struct iommu_attach_elm *elm, bool steady)
{
	u64 sum = elm->tag * 31 + elm->atc * 37 + elm->iommu_device->nr * 41;

	return (u32)(sum ^ sum >> 32) << 1 | steady;
}

void oracle_reset(void);

void mark_come(u32 mark);
void mark_go(u32 mark);		/* deleted by now */
void mark_drained(u32 mark);	/* nobody uses it, and a drain has returned */
void mark_fenced(u32 mark);	/* likewise, a fence */
bool mark_used(u32 mark);
/* No walk sees what left before @gone any more. */
bool gp_over(u64 gone);
u64 gp_now(void);
/* Those that count. */
void gp_wait(void);
void gp_drain(struct iommu_device *iommu_device);
void gp_fence(struct iommu_device *iommu_device);

/* A device that is set aside, in its domains: before, and when that is over. */
void aside_begins(const u32 *domains, u32 nr);
void aside_ends(const u32 *domains, u32 nr);

/* More than a core's caches hold. */
#define COLD_BYTES	(8U << 20)
#define NR_COLD_STORES	8

/* An IOMMU that waits for a device: for whom, until which grace period. */
struct sulk;
struct stuck {
	struct sulk *on;
	u64 until;
	double since;
};

/* What one walker has seen in this walk. */
struct sight {
	u32 walker;
	u32 walk;			/* its number, never 0 */
	u32 domain;
	u32 mode;
	u32 seen[NR_MARKS];		/* in which walk */
	u32 nr_steady_groups;
	u32 nr_steady_targets;
	/* By hand: */
	u64 iommus;
	u32 nr_steady_elms;
	/* The flush: */
	const struct iommu_device *sending;	/* since the last submit */
	u32 rank;			/* of the last command to it */
	u32 phase;			/* ranks sent in this phase, BIT(rank) */
	u32 before;			/* in the phases before */
	u64 submitted;			/* IOMMUs in this phase */
	u64 waited_for;			/* IOMMUs submitted to, not done */
	u64 failed;			/* IOMMUs that a wait has failed for */
	bool waiting;			/* its first wait has come */
	bool error;			/* a wait has failed for good */
	u32 nr_open;
	u64 cookie;
	u64 open[NR_IOMMUS];		/* cookies that are not waited for */
	u32 kinds[NR_IOMMUS];		/* sent, not waited for */
	u32 nr_in_flight;
	u32 in_flight[1024];		/* marks, */
	u8 on[1024];			/* and their IOMMUs */
	u32 done[NR_MARKS];		/* in which walk its IOMMU has said so */
	u32 nr_steady_done;
	u64 aside_clock;		/* when the flush began */
	u64 asides;			/* of the domain when the flush began */
	u64 asides_over;
	u8 cold[COLD_BYTES];
	/* The first fault, and what it is about. */
	enum fault fault;
	u32 mark;
	/* The hardware's: */
	u64 rng;
	struct stuck stuck[NR_IOMMUS];
	/* Over all walks. */
	u64 ages[NR_AGES], timeouts, aborts;
};

void sight_begin(struct sight *sight, u32 domain, u32 mode);
/* The callbacks of a flush, with the sight for an argument. */
void sight_iotlb(const struct iommu_attach_group *group, void *arg);
void sight_atc(const struct iommu_attach_group *group, u64 atc, void *arg);
u64 sight_submit(struct iommu_device *iommu_device, void *arg);
/* @error: what the hardware says, anything but -EINPROGRESS. */
void sight_wait(struct iommu_device *iommu_device, u64 cookie, int error, void *arg);
/* What was submitted to the IOMMU last and is in flight: a mark at a time, from @i on. */
u32 sight_in_flight(const struct sight *sight, const struct iommu_device *iommu_device, u32 *i);
/* In walks by hand: between the loops over groups and over ATC targets. */
void sight_iotlb_done(struct sight *sight);
void sight_iommu(struct sight *sight, const struct iommu_attach_group *group);
void sight_elm(struct sight *sight, const struct iommu_attach_elm *elm);
/* @error: what the flush returned. */
enum fault sight_end(struct sight *sight, int error);
void sight_fault(struct sight *sight, enum fault fault, u32 mark);

/*
 * Posts: @mark is seen by the walks of @domain from now on. @clean has the number of
 * the walk of each walker that the hardware is clean of.
 */
void post(u32 slot, u32 domain, u32 mark, bool atc, const u32 *clean);
void unpost(u32 slot);

#endif /* TORTURE_ORACLE_H */
