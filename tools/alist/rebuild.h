/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rebuilding, from a log, what was attached where, and which commands were sent
 * for what.
 *
 *	domain ---- tags: (IOMMU, tag), what commands name
 *	   |
 *	attachment ---- device, IOMMU, tag, PASID
 *
 * The result is a sequence of steps, each given to a callback when the log shows
 * that it is complete.
 */
#ifndef ALIST_REBUILD_H
#define ALIST_REBUILD_H

#include "inv.h"
#include "trace.h"

struct machine_domain;

struct machine_device {
	char name[64];
	unsigned int iommu;		/* index; INV_ANY: not known */
	uint32_t rid;			/* INV_ANY: not known */
	uint8_t qdep;			/* as in the commands seen */
	bool ats;			/* commands for its ATC, or its tag, were seen */
	bool pending;			/* attached to a domain that is not known yet */
	uint32_t pending_pid;
	unsigned int users;		/* attachments */
	struct machine_attachment *attachments;
	struct machine_device *next;
	struct machine_device *hash_next, *rid_next, *pending_next;
	void *priv;			/* the callback's */
};

struct machine_attachment {
	struct machine_domain *domain;
	struct machine_device *device;
	unsigned int iommu;
	uint64_t tag;
	uint32_t pasid;			/* 0: requests without PASID */
	bool guessed;			/* attached before the log, or not said where */
	uint64_t line;
	struct machine_attachment *next;		/* of the domain */
	struct machine_attachment *device_next;		/* of the device */
	void *priv;
};

struct machine_tag {
	struct machine_domain *domain;
	unsigned int iommu;
	uint64_t tag;			/* MACHINE_TAG_S2 set: a VMID */
	struct machine_tag *next;	/* of the domain */
	struct machine_tag *hash_next;
};

#define MACHINE_TAG_S2	(UINT64_C(1) << 32)

struct machine_domain {
	unsigned int id;
	struct machine_tag *tags;
	struct machine_attachment *attachments;
	unsigned int nr;
	bool first_stage;
	uint64_t flushed_line;		/* of the last flush of everything */
	struct machine_domain *next;
	struct machine_domain *prev;
	void *priv;
};

struct machine_iommu {
	char name[64];			/* as in the log */
	char label[64];			/* the same, or iommuN in place of a pointer */
	bool unwaited;			/* AMD: its last command is no completion wait */
};

struct machine {
	enum model_vendor vendor;	/* MODEL_VENDORS: not known yet */
	bool caches_absent;		/* flushes on map were seen */
	bool lost;			/* events were lost in this run */
	bool nests;			/* nests were seen, or commands for them */
	struct machine_iommu iommus[INV_IOMMUS_MAX];
	unsigned int nr_iommus;
	struct machine_domain *domains;
	struct machine_device *devices;
};

enum step_kind {
	STEP_RUN,		/* @label: all attachments are gone, unflushed */
	STEP_END,		/* of the log */
	STEP_MAP,		/* @iova, @paddr, @size: of a domain not told yet */
	STEP_ATTACH,		/* @attachment, on its domain's list already */
	STEP_FORGET,		/* @attachment never was, and is gone after */
	STEP_DETACH,		/* @attachment is gone after the step */
	STEP_MERGE,		/* all of @from belongs to @domain: they are one */
	STEP_UNMAP_FLUSH,	/* @ranges of @domain were unmapped and flushed */
	STEP_MAP_FLUSH,		/* @ranges of @domain were mapped and flushed */
	STEP_OTHER_FLUSH,	/* of @domain, for what the log does not show */
	STEP_RETIRE,		/* of @iommu, @tag, that nothing is attached to */
	STEP_MISSING,		/* @ranges was unmapped, and no flush followed */
	STEP_ALONE,		/* @burst is of no flush of a domain: @place */
	STEP_KINDS,
};

/* What commands are for that no list would send. */
enum machine_place {
	PLACE_FLUSH,		/* for whom cannot be told */
	PLACE_ATTACH,
	PLACE_DETACH,
	PLACE_GLOBAL,		/* everything of an IOMMU or a VM */
	PLACE_TABLES,		/* context, stream table, directory entries */
	PLACE_OTHER,		/* interrupts, prefetches, waits for nothing */
	PLACES,
};

struct machine_range {
	uint64_t iova;
	uint64_t size;
	uint64_t line;
	uint64_t ns;
	bool expected;		/* a flush should follow at once, if any does here */
	bool cut;		/* the log ended before one could */
	bool unsure;		/* so it should if somebody was attached, which was not known */
	bool reused;		/* mapped again: so it does not wait for a flush */
};

struct step {
	enum step_kind kind;
	uint64_t line;
	struct trace_text label;
	uint64_t iova, paddr, size;
	struct machine_attachment *attachment;
	struct machine_domain *domain;
	struct machine_domain *from;
	enum machine_place place;
	const struct machine_range *ranges;
	size_t nr_ranges;
	bool lazy;			/* flushed later, with everything else */
	uint64_t flush_ns;		/* of the last command */
	bool cut;			/* the log begins or ends here: not all of it */
	const struct burst *burst;	/* what the driver sent; NULL: nothing */
	unsigned int iommu;
	uint64_t tag;
};

/* What a log cannot tell, by kind. */
enum machine_unknown {
	UNKNOWN_ATTACHMENT,	/* attached before the log began, or not said where */
	UNKNOWN_MAPPING,	/* unmapped, and never seen mapped */
	UNKNOWN_UNMAP,		/* flushed, and never seen unmapped */
	UNKNOWN_WORDS,		/* commands of which the log has no words */
	UNKNOWN_EVENTS,		/* events lost */
	UNKNOWN_FLUSH,		/* unmapped, and not flushed before the log ends */
	UNKNOWN_KINDS,
};

struct rebuild;

/* The callback returns 0, or -1 to stop; rebuild_log() returns it then. */
typedef int (*rebuild_step_fn)(struct machine *machine, const struct step *step,
			       void *arg);

struct rebuild *rebuild_create(rebuild_step_fn fn, void *arg);
void rebuild_destroy(struct rebuild *rebuild);
struct machine *rebuild_machine(struct rebuild *rebuild);
/*
 * Takes the next event; NULL is the end of the log. Return: 0, -1 if the
 * callback stopped it, or -2 for an event that cannot be: rebuild_error().
 */
int rebuild_event(struct rebuild *rebuild, const struct trace_event *event);
const char *rebuild_error(const struct rebuild *rebuild);
/* Every command of the log, whatever became of it. */
struct burst_count rebuild_recorded(const struct rebuild *rebuild);
/* Those that a step had; the same, or the rebuilding has lost some. */
struct burst_count rebuild_told(const struct rebuild *rebuild);
unsigned long rebuild_unknown(const struct rebuild *rebuild,
			      enum machine_unknown kind);
void rebuild_count_unknown(struct rebuild *rebuild, enum machine_unknown kind,
			   unsigned long n);

#endif /* ALIST_REBUILD_H */
