/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the bench measures: ways to keep what is attached to a domain
 *
 * A layout is one of them: the attach list of this project, the private code of a
 * driver (a peer), or the floor, which is no list at all but an array of the very
 * commands. Peers are written anew from the algorithms that the drivers use; what
 * has nothing to do with the question, who has to be sent what, is left out.
 *
 * All of them are given the same endpoints and write the same commands, in their
 * own order, through emit() into the same sink. A command is two words, the IOMMU
 * with the operation in the bits that its address leaves free, and the tag or the
 * ATC target. The sink is a ring as a command queue is.
 *
 *   walk    the commands alone
 *   flush   with the completion waits, one a IOMMU or more, as the layout does it;
 *           the hardware has always completed when it is asked
 *
 * A layout's structures are allocated through the shim, which counts them.
 */
#ifndef BENCH_LAYOUT_H
#define BENCH_LAYOUT_H

#include <linux/iommu-alist.h>

#define LINE		64		/* bytes in a cache line */
#define MAX_IOMMUS	64

enum {
	OP_IOTLB,		/* the domain's own tag */
	OP_NEST,		/* the tag of a nest */
	OP_ATC,			/* a range of a device's ATC */
	OP_ATC_ALL,		/* the whole ATC: on the parent of a nest */
	OP_SYNC,		/* completion wait */
	OP_MASK = 7,
};

struct command {
	u64 what;
	u64 who;
};

/* A command queue. @nr counts on over the end of the ring. */
struct sink {
	struct command *ring;
	u64 mask;
	u64 nr;
	u64 completed;		/* what the hardware reports */
};

static __always_inline void emit(struct sink *sink, unsigned int op,
				 const struct iommu_device *iommu, u64 who)
{
	struct command *command = &sink->ring[sink->nr++ & sink->mask];

	/* Not a plain store: none may be merged with the next, or left out. */
	WRITE_ONCE(command->what, (uintptr_t)iommu | op);
	WRITE_ONCE(command->who, who);
}

static __always_inline u64 emit_sync(struct sink *sink,
				     const struct iommu_device *iommu)
{
	u64 cookie = sink->nr;

	emit(sink, OP_SYNC, iommu, cookie);
	return cookie;
}

/*
 * A walk works on a copy of the sink, which the compiler has in registers, and writes
 * back how far it came. Callbacks cannot.
 */
static __always_inline struct sink sink_open(const struct sink *sink)
{
	/* One by one: a wider load would have to wait for the store of @nr. */
	return (struct sink){
		.ring = READ_ONCE(sink->ring),
		.mask = READ_ONCE(sink->mask),
		.nr = READ_ONCE(sink->nr),
		.completed = READ_ONCE(sink->completed),
	};
}

static __always_inline void sink_close(struct sink *sink, const struct sink *local)
{
	sink->nr = local->nr;
}

static __always_inline void wait_sync(const struct sink *sink, u64 cookie)
{
	while (unlikely(READ_ONCE(sink->completed) < cookie))
		cpu_relax();
}

/* A device with a PASID, behind an IOMMU, as its driver knows it. */
struct endpoint {
	struct iommu_device *iommu;
	u32 iommu_index;
	bool ats;
	bool nest;		/* on an S1 domain; the list is the parent's */
	u64 tag;		/* of the domain, or of the nest */
	u64 atc;
} __attribute__((__aligned__(LINE)));

struct layout {
	const char *name;
	bool peer;		/* what the list is compared with */
	bool collapses;		/* sends nothing twice */
	size_t domain_size;
	size_t attachment_size;	/* what a driver allocates in any case */
	size_t nest_size;	/* the same for a nest, if that is more */
	bool nests;		/* can have them */
	void (*init)(void *domain);
	void (*exit)(void *domain);	/* nothing is attached any more */
	/* 0, or -ENOMEM. The attachment is zeroed. */
	int (*attach)(void *domain, void *attachment, const struct endpoint *ep);
	/* The attachment may be walked until a grace period has gone by. */
	void (*detach)(void *domain, void *attachment, const struct endpoint *ep);
	void (*walk)(void *domain, struct sink *sink);
	void (*flush)(void *domain, struct sink *sink);
};

/* Ends with NULL; the floor is the first, the list the last. */
extern const struct layout *const layouts[];

extern const struct layout layout_floor, layout_floor_no_barrier;
extern const struct layout layout_naive_tas, layout_naive_fair;
extern const struct layout layout_vtd_tas, layout_vtd_fair;
extern const struct layout layout_amd_tas, layout_amd_fair;
extern const struct layout layout_riscv, layout_smmuv3;
extern const struct layout layout_alist_call, layout_alist;

/*
 * The bench's own calls of layouts are plain ones, whatever it is built for: in a kernel
 * a driver calls its flush by name.
 */
#ifdef BENCH_RETPOLINE
#define plain_calls	__attribute__((indirect_branch("keep")))
#else
#define plain_calls
#endif

/* Of an IOMMU, see struct endpoint; for what is measured of fences alone. */
struct iommu_attach_fence *alist_fence(u32 iommu_index);

/*
 * The bench's own threads say when they hold nothing, for the flavour of RCU that
 * asks for it.
 */
#ifdef SHIM_QSBR
#ifdef BENCH_RETPOLINE
#define RCU_FLAVOUR		"qsbr, retpolines"
#else
#define RCU_FLAVOUR		"qsbr"
#endif
#define rcu_quiescent()		urcu_qsbr_quiescent_state()
#define rcu_offline()		urcu_qsbr_thread_offline()
#define rcu_online()		urcu_qsbr_thread_online()
#else
#define RCU_FLAVOUR		"memb"
#define rcu_quiescent()		((void)0)
#define rcu_offline()		((void)0)
#define rcu_online()		((void)0)
#endif

#endif /* BENCH_LAYOUT_H */
