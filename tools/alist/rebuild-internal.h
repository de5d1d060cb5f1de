/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The inside of the rebuilding, for rebuild.c (who does what, in which order),
 * machine.c (what there is) and the vendors' files.
 */
#ifndef ALIST_REBUILD_INTERNAL_H
#define ALIST_REBUILD_INTERNAL_H

#include "rebuild.h"
#include "vendor.h"

#define CONTEXTS	1024		/* a power of two */
#define HASH_SIZE	4096
#define OBJECTS_MAX	65536		/* of each kind */

/* No tag: a command for all tags of an IOMMU is not about a domain. */
#define NO_TAG		UINT64_MAX

enum op {
	OP_NONE,
	OP_UNMAP,
	OP_MAP,
	OP_ASSIGN,		/* VT-d */
	OP_UNASSIGN,
	OP_CONFIG,		/* context entries were written */
};

struct ranges {
	struct machine_range *range;
	size_t nr, size;
};

struct context {
	bool used;
	bool fresh;			/* nothing settled yet: the log may begin amid */
	bool active;			/* has commands; on the list */
	uint64_t key;
	uint32_t pid;
	enum op op;
	uint64_t line;			/* of the operation */
	uint64_t last_line;
	uint64_t ns;			/* of the last event */
	uint64_t command_ns;		/* of the last command */
	bool waiting;			/* an unmap that no command followed yet */
	unsigned int depth;		/* flushes that have begun and not ended */
	bool in_wait;			/* a submission that is waited for */
	bool emptied;			/* this task has emptied a domain */
	enum machine_place alone;	/* of the last command, if of no flush */
	struct ranges ranges;
	struct burst burst;
	/* ASSIGN, UNASSIGN */
	unsigned int iommu;
	uint64_t tag;
	uint32_t pasid, users;
	struct machine_device *device;
	/* CONFIG, UNASSIGN */
	uint32_t rid;
	unsigned int rid_iommu;
	bool cd_first, saw_cd, saw_config;
	uint64_t config_line;		/* of the last command for an entry */
	struct context *next, *prev;
};

struct rebuild {
	struct machine machine;
	const struct vendor *vendor;	/* NULL: not known yet */
	rebuild_step_fn fn;
	void *arg;
	int ret;
	char error[256];
	uint64_t line;
	uint64_t newest_ns;		/* of this run */
	bool ending;			/* the log does, or a run of it */
	bool told;			/* the burst that is being settled */
	bool saw_strict;		/* in this run: an unmap flushed at once */
	bool saw_lazy;			/* and one flushed with everything else */
	bool saw_attach;		/* or who is attached changed */
	bool saw_interrupts;		/* the log tells them from tasks */
	bool was_attached;		/* a flush showed that somebody was, before any did */
	uint64_t lazy_line;		/* of the newest unmap that waits, or did */
	unsigned int nr_waiting;	/* contexts */
	struct burst_count recorded, all_told;
	bool saw_tags;			/* the log has cache_tag_assign and the like */
	unsigned long unknown[UNKNOWN_KINDS];
	unsigned int nr_devices, nr_domains, nr_attachments;
	unsigned int next_id;
	unsigned int last_iommu;	/* that a command named */
	struct machine_device *by_name[HASH_SIZE];
	struct machine_device *by_rid[HASH_SIZE];
	struct machine_tag *by_tag[HASH_SIZE];
	struct emptied {
		bool used;
		unsigned int iommu;
		uint64_t tag;
	} emptied[HASH_SIZE];		/* tags whose domain is gone; not all of them */
	struct machine_device *pending;
	struct ranges lazy;
	struct context *active;
	struct context contexts[CONTEXTS];
};

/* rebuild.c */

/* Nothing goes on after the first error; all that follows is skipped. */
void rebuild_stop(struct rebuild *r, const char *what);
void rebuild_emit(struct rebuild *r, struct step *step);
/* Ends the operation of a context. @dev: of the attach event that ends it, or NULL. */
void rebuild_settle(struct rebuild *r, struct context *c, struct machine_device *dev);
/*
 * What must have ended elsewhere before @c does this: before addresses are mapped
 * or unmapped again their flush was over, before an attachment changes everything
 * was that the log shows complete. @range: (un)mapped now, NULL: an attachment
 * changes.
 */
void rebuild_settle_others(struct rebuild *r, struct context *c,
			   const struct machine_range *range);
void rebuild_begin(struct rebuild *r, struct context *c, enum op op);

/* A tag that several domains have, beside MACHINE_TAG_S2 and the tag itself. */
static inline uint64_t shared_tag(uint32_t tag, uint32_t pasid)
{
	return (uint64_t)pasid << 33 | tag;
}

/* The tag that a command names, or NO_TAG. */
static inline uint64_t tag_of(const struct inv *inv)
{
	if (inv->class != MODEL_IOTLB)
		return NO_TAG;
	if (inv->tag != INV_ANY)
		return inv->shared_tag ? shared_tag(inv->tag, inv->pasid) : inv->tag;
	if (inv->vm_tag != INV_ANY)
		return MACHINE_TAG_S2 | inv->vm_tag;
	return NO_TAG;
}

static inline uint32_t pasid_of(const struct inv *inv)
{
	return inv->pasid == INV_ANY ? 0 : inv->pasid;
}

/*
 * machine.c: all of these return NULL after rebuild_stop() where memory is short or
 * there is too much of something.
 */

unsigned int iommu_index(struct rebuild *r, const struct trace_text *name);

/* "SSSS:BB:DD.F"; INV_ANY for other names. */
uint32_t rid_of_name(const char *name);
struct machine_device *device_by_rid(struct rebuild *r, unsigned int iommu, uint32_t rid);
struct machine_device *device_by_name(struct rebuild *r, const struct trace_text *text);
/* A device that the log gives no name. */
struct machine_device *device_anonymous(struct rebuild *r, unsigned int iommu);
/* Whether the log has its name, or just its requester id. */
static inline bool device_is_named(const struct machine_device *dev)
{
	return rid_of_name(dev->name) != INV_ANY;
}

void device_set_rid(struct rebuild *r, struct machine_device *dev, uint32_t rid,
		    unsigned int iommu);
void device_set_pending(struct rebuild *r, struct machine_device *dev, bool pending,
			uint32_t pid);
/* Seen by requester id in commands and not by name yet; NULL if there is none. */
struct machine_device *device_twin(struct rebuild *r, const struct machine_device *dev,
				   unsigned int iommu, uint32_t rid);

struct machine_tag *tag_find(struct rebuild *r, unsigned int iommu, uint64_t tag);
void tag_add(struct rebuild *r, struct machine_domain *domain, unsigned int iommu,
	     uint64_t tag);
/* Its domain went away with the last attachment, and no other has it since. */
bool tag_is_emptied(const struct rebuild *r, unsigned int iommu, uint64_t tag);
bool tag_has_users(const struct machine_domain *domain, unsigned int iommu, uint64_t tag,
		   uint32_t pasid);
/* The domain of a tag, made if there is none. */
struct machine_domain *domain_of_tag(struct rebuild *r, unsigned int iommu, uint64_t tag);
/* All of @from belongs to @to: they are one. */
void domain_merge(struct rebuild *r, struct machine_domain *to,
		  struct machine_domain *from);

struct machine_attachment *attach(struct rebuild *r, struct machine_domain *domain,
				  struct machine_device *dev, unsigned int iommu,
				  uint64_t tag, uint32_t pasid, bool guessed,
				  uint64_t line, const struct burst *burst);
/* Takes it off its domain, and the domain away with its last one. */
void detach(struct rebuild *r, struct machine_attachment *att, enum step_kind kind,
	    uint64_t line, const struct burst *burst);
struct machine_attachment *find_attachment(struct machine_domain *domain,
					   struct machine_device *dev, uint32_t pasid);
/* An attachment made up because the tag was in use, of a device without a name. */
struct machine_attachment *find_anonymous(struct machine_domain *domain,
					  unsigned int iommu, uint64_t tag);
/* Wherever the device is attached, without PASID. */
struct machine_attachment *find_device(struct machine_device *dev);
/* Everything is gone: a new run begins. */
void machine_clear(struct rebuild *r);

/* vtd.c */

void vtd_settle_assign(struct rebuild *r, struct context *c);
void vtd_settle_unassign(struct rebuild *r, struct context *c);
void vtd_tag(struct rebuild *r, struct context *c, const struct trace_event *e);

#endif /* ALIST_REBUILD_INTERNAL_H */
