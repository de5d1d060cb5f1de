/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Four example drivers on the attach list
 *
 * Each of vtd.c, smmuv3.c, amd.c and riscv.c shows in one file what a driver does
 * with the list: it embeds a struct iommu_attach_list in its domain (here by way of
 * struct domain) and a struct iommu_attach_nest in what it allocates at attach,
 * and hands struct iommu_attach_flush_ops to iommu_attach_flush(). They run on the
 * hardware models of model/.
 *
 * driver.c has what the four have in common and what says nothing about the list:
 * page tables, tag allocation, the producer's side of the command queue.
 *
 *   unmap:   domain_unmap()  writes the page table, collects a gather
 *            domain_sync()   driver->flush(), then frees the tables cut off
 *   attach:  domain_attach(): driver->list_add(), then driver->set_context()
 *   detach:  domain_detach(): driver->set_context(), driver->list_del(), one fence
 *   ATS:     device_ats_enable(), device_ats_disable(): the same for all four
 *
 * Locking, outermost first: device->lock guards the device's attachments and its
 * ATS state; drv_tags guards every tag space and domain->tag, and is held from the
 * choice of a tag until the attachment is on the list, and from its deletion until
 * the tag is flushed and free; domain->lock guards the page table against other
 * writers; iommu_device->lock guards the queue, the error registers and the devices that
 * an error may name, and is held to queue but never to wait.
 *
 * Errors: driver->look() reads the vendor's error registers and reports to the waiters
 * that it concerns, see queue_wait(). A device that does not answer an ATC command is set
 * aside; device_quarantine() makes its IOMMU refuse what it has cached, device_reset()
 * takes it back.
 */
#ifndef DRIVERS_DRIVER_H
#define DRIVERS_DRIVER_H

#include <linux/iommu-alist.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"

struct device_id;
struct domain;
struct driver;

/* A bitmap of tags in use. */
struct tag_space {
	uint32_t first, last;		/* inclusive */
	uint64_t *used;
};

/* A tag space of the whole machine. */
#define DEFINE_TAG_SPACE(name, first_tag, last_tag)			\
	static struct tag_space name = {				\
		.first = (first_tag),					\
		.last = (last_tag),					\
		.used = (uint64_t [(last_tag) / 64 + 1]){ 0 },		\
	}

extern pthread_mutex_t drv_tags;

int tag_space_init(struct tag_space *space, uint32_t first, uint32_t last);
void tag_space_exit(struct tag_space *space);
/* drv_tags is held. The lowest free tag from @wish on (0: anywhere), or -ENOSPC. */
int64_t tag_alloc(struct tag_space *space, uint32_t wish);
void tag_free(struct tag_space *space, uint32_t tag);

/* An IOMMU instance, as the driver has it. */
struct iommu_device {
	const struct driver *driver;
	struct model_iommu *hw;
	struct iommu_attach_fence fence;
	/* guards head, tail, entries at the tail, the error registers, and the devices */
	pthread_mutex_t lock;
	uint64_t head, tail;		/* entries ever taken (as last seen) and queued */
	uint64_t *status;		/* completion words, one an entry of the queue */
	struct tag_space tags;		/* where tags are per instance (VT-d) */
	bool caching_mode;		/* absent translations are cached: flush on map */
	bool repeat_tlbi;		/* SMMUv3: an entry may survive, see smmu_iotlb() */
	struct device *devices;		/* behind it */
	/* What the hardware reported, by the entry of the queue. */
	struct failure {
		uint64_t position;
		int error;
	} *failed;
	uint64_t aborted;		/* what was sent before is to be sent again */
	unsigned int next_event;	/* AMD: in the event log; read without the lock */
	/* The tail at the last report, if there was one; read without the lock. */
	uint32_t reported;
	bool reports;
	/* When the head was seen to have moved, and how long it may stand still. */
	uint64_t moved_at, moved_ns, patience_ns;
};

/* What the hardware is to be told, on the stack of one flush: never shared. */
struct batch {
	unsigned int nr;
	bool handed;			/* some of it is in the queue, from @first to @last */
	bool dropped;			/* some of it found no room */
	uint64_t first, last;
	uint64_t cmd[16][MODEL_CMD_WORDS];
};

/*
 * Queues a command; hands a full batch to the hardware first. The IOMMU must be
 * the one of what the batch holds.
 */
void batch_add(struct batch *batch, struct iommu_device *iommu,
	       const uint64_t *cmd);
/*
 * Hands the batch and the vendor's completion wait to the hardware in one piece.
 * Return: a cookie for queue_wait().
 */
uint64_t batch_sync(struct batch *batch, struct iommu_device *iommu);
/*
 * Return: 0; -EAGAIN if the hardware aborted what was sent, or did not do part of it and
 * the device at fault is set aside: it is to be sent again; -EBUSY the same if the queue had
 * no room for all of it; -ETIMEDOUT if some device did not answer; -EINVAL if a command was
 * refused; -EIO if the hardware takes no commands any more.
 */
int queue_wait(struct iommu_device *iommu, uint64_t cookie);
/* One command and its completion wait, and waits. Return: as queue_wait(). */
int queue_one(struct iommu_device *iommu, const uint64_t *cmd);
/* The same for a command that names no device: sent again if it was aborted. */
void queue_one_surely(struct iommu_device *iommu, const uint64_t *cmd);

/*
 * For driver->look(), which holds the lock. Positions count entries ever queued: this is
 * that of what was put into a slot last, or of the head.
 */
uint64_t queue_position(const struct iommu_device *iommu, unsigned int slot);
/* queue_wait() for the command at @position returns @error. */
void queue_fail(struct iommu_device *iommu, uint64_t position, int error);
/* Commands before @position may not have been executed: their waiters send them again. */
void queue_abort(struct iommu_device *iommu, uint64_t position);
/* The command at @position was refused: prints it and puts a wait in its place. */
void queue_repair(struct iommu_device *iommu, uint64_t position);
/* A device did not answer. */
void queue_set_aside(struct iommu_device *iommu, uint32_t rid);

/* A range of addresses to flush. */
struct flush_range {
	uint64_t first, last;		/* inclusive: the whole space is 0..UINT64_MAX */
	uint64_t leaf;			/* size of the leaves, 0 if of several sizes */
	bool tables;			/* page tables were cut off, or put in, too */
	bool map;			/* absent translations only: no ATC has them */
};

/*
 * What PCIe ATS (10.2.3.2) and most vendors can name: a naturally aligned power of
 * two of pages. This is the order of the smallest one that has both pages in it: up
 * to 52, the whole address space.
 */
static inline unsigned int range_order(uint64_t first, uint64_t last)
{
	uint64_t diff = (first ^ last) >> MODEL_PAGE_SHIFT;

	return diff ? 64 - (unsigned int)__builtin_clzll(diff) : 0;
}

/* Its address. */
static inline uint64_t range_base(uint64_t first, unsigned int order)
{
	/* No mask for order 52: a shift by all of the word's width is undefined. */
	return first >> MODEL_PAGE_SHIFT >> order << order << MODEL_PAGE_SHIFT;
}

/*
 * The address with the order in it: ones up to and without the topmost bit of the
 * offset. A bit that each vendor has elsewhere says that the order is not 0.
 */
static inline uint64_t range_napot(uint64_t first, unsigned int order)
{
	if (!order)
		return range_base(first, 0);
	return range_base(first, order) |
	       (((UINT64_C(1) << (order - 1)) - 1) << MODEL_PAGE_SHIFT);
}

/* One call of driver->flush(), for the callbacks of iommu_attach_flush(). */
struct flush {
	const struct domain *domain;
	const struct flush_range *range;
	struct batch batch;
};

/* The submit, wait and silent callbacks for a struct flush. */
u64 flush_submit(struct iommu_device *iommu, void *arg);
int flush_wait(struct iommu_device *iommu, u64 cookie, void *arg);
void flush_silent(struct iommu_device *iommu, u64 atc, void *arg);

/* Ids that a device may send requests with. */
#define DEVICE_IDS	4

/* One (device, PASID) on a domain. */
struct attachment {
	union {
		struct iommu_attach_nest elms;
		struct iommu_attach_elm id[DEVICE_IDS];	/* not a nest: one for each id */
	};
	struct domain *domain;
	struct device *device;
	uint32_t pasid;			/* IOMMU_NO_PASID: requests without PASID */
	struct attachment *next;	/* of the same device */
};

/*
 * An attachment with all of its list elements filled in but tags, on no list. NULL on
 * ENOMEM; kfree_rcu() if it cannot be added.
 */
struct attachment *attachment_alloc(struct domain *domain, struct device *device,
				    uint32_t pasid);
/*
 * Adds it, with the tags in elms, to its domain's list, a nest to the parent's as well, and
 * to its device. Return: as iommu_attach_add_array() and iommu_attach_add_nest().
 */
int attachment_add(struct attachment *attachment);
/*
 * Takes it off again and frees it after a grace period.
 * Return: as iommu_attach_del() and iommu_attach_del_nest().
 */
int attachment_del(struct attachment *attachment);
/* The context entry of an attachment but for its tags; blocked if it is NULL. */
struct model_context attachment_context(const struct attachment *attachment);
/*
 * Writes it: all at once in place of an old one, else by words: the one with the mode
 * last when it comes, first when it goes. The words that are left go when the hardware
 * has dropped its copy, see set_context() in driver.c.
 */
void write_context(const struct device_id *id, uint32_t pasid,
		   const struct attachment *old, const struct attachment *new,
		   const struct model_context *context);
/* Is an ATC command for the device worth sending? */
bool device_answers(struct device *device);

/* What the IOMMU takes for a device: it has an entry and an ATC of its own. */
struct device_id {
	uint32_t rid;			/* requester id; SMMUv3: StreamID */
	struct model_dev *hw;
};

struct device {
	struct iommu_device *iommu;
	struct device_id id[DEVICE_IDS];
	unsigned int nr_ids;
	struct model_dev *hw;		/* and rid: those of the first id */
	struct device *next;		/* behind the same IOMMU */
	struct iommu_attach_endpoint endpoint;
	pthread_mutex_t lock;
	struct attachment *attachments;
	uint32_t rid;
	bool ats_capable;
	bool ats_allowed;		/* what its context entries say */
	bool ats;			/* enabled in the device: it answers ATC commands */
	uint8_t ats_qdep;		/* invalidate queue depth, 1..32 */
};

struct domain {
	const struct driver *driver;
	struct iommu_attach_list alist;
	struct domain *parent;		/* a nest's S2 domain, else NULL */
	pthread_mutex_t lock;
	struct model_pt *pt;
	bool first_stage;		/* pt is an S1 table (VT-d, AMD v2: tag and PASID) */
	uint64_t tag;			/* where the tag is the domain's (AMD, RISC-V, SMMUv3) */
	uint32_t wish_tag;		/* the next tag allocated for it, 0: any */
};

struct driver {
	enum model_vendor vendor;
	int (*iommu_init)(struct iommu_device *iommu);
	void (*domain_exit)(struct domain *domain);
	/* Can the hardware attach the PASID to the domain? 0 or -EINVAL. Optional. */
	int (*check)(const struct domain *domain, uint32_t pasid);
	/*
	 * Finds or allocates the tag and puts the attachment on the list. On failure
	 * nothing has changed. device->lock and drv_tags are held.
	 */
	int (*list_add)(struct attachment *attachment);
	/*
	 * Takes it off the list and frees it. A tag that nobody uses any more is clean
	 * afterwards, and free. device->lock and drv_tags are held.
	 */
	void (*list_del)(struct attachment *attachment);
	/*
	 * Writes the context entry of (id of the device, PASID), which was of @old and
	 * becomes of @new, and waits until the hardware has nothing of the old one: no copy
	 * of it, and nothing in the ATC of a device that answers. Either may be NULL:
	 * blocked. device->lock is held. Return: as queue_wait(); it may be called again.
	 */
	int (*set_context)(struct device *device, const struct device_id *id, uint32_t pasid,
			   const struct attachment *old, const struct attachment *new);
	/* What names an id of the attachment's device, and the PASID, in ATC commands. */
	u64 (*atc)(const struct attachment *attachment, uint32_t rid);
	/* Flushes what was unmapped, or mapped. Return: as iommu_attach_flush(). */
	int (*flush)(struct domain *domain, const struct flush_range *range);
	/*
	 * Writes the completion wait: the command that stores @value in the low half
	 * of *@status when all commands before it have completed.
	 */
	void (*make_sync)(uint64_t *status, uint32_t value, uint64_t *cmd);
	/*
	 * Reads the error registers. Reports what has failed before it clears the error:
	 * a waiter whose wait completes afterwards must see the report. iommu->lock is held.
	 */
	void (*look)(struct iommu_device *iommu);
	/*
	 * Is there an error that look() has not seen? For hardware whose waits complete in
	 * spite of errors (AMD). Called for each wait: reads memory only.
	 */
	bool (*late_error)(const struct iommu_device *iommu);
	/* The requester id in an ATC value. For hardware that names no device (not VT-d, AMD). */
	uint32_t (*atc_rid)(u64 atc);
};

/*
 * Where a domain has one tag, domain->tag, for all IOMMUs: allocates it if there is none,
 * 0 or -ENOSPC; frees it if nothing is attached any more and the IOTLBs are clean of it.
 * drv_tags is held.
 */
int domain_get_tag(struct domain *domain, struct tag_space *space);
void domain_put_tag(struct domain *domain, struct tag_space *space);

extern const struct driver vtd_driver, smmuv3_driver, amd_driver, riscv_driver;

const struct driver *driver_of(enum model_vendor vendor);

struct iommu_device *iommu_probe(struct model_iommu *hw, bool caching_mode);
/* All devices are gone. */
void iommu_remove(struct iommu_device *iommu);

struct device *device_probe(struct iommu_device *iommu, uint32_t rid,
			    bool ats_capable);
/* One with several ids, DEVICE_IDS at most. */
struct device *device_probe_ids(struct iommu_device *iommu, const uint32_t *rids,
				unsigned int nr, bool ats_capable);
/* Detaches it from everything and unplugs it. */
void device_remove(struct device *device);
/* The attachment of the device's PASID, or NULL. The caller holds device->lock. */
struct attachment *device_attachment(struct device *device, uint32_t pasid);

/*
 * @levels: of the page table, 3..5. @parent: the S2 domain of a nest, or NULL.
 * A nest's table maps addresses of the parent, which must be S2. NULL on failure.
 */
struct domain *domain_alloc(const struct driver *driver, unsigned int levels,
			    bool first_stage, struct domain *parent);
/* Nothing is attached any more. */
void domain_free(struct domain *domain);

/*
 * Attaches (device, PASID) to the domain. One that is attached already is replaced: the
 * device goes from the old domain to the new one without a moment on neither. On failure
 * it stays where it was: -ENOMEM, -ENOSPC without a tag, or -EINVAL for what the hardware
 * cannot do, or a nest of a device with several ids: no one call adds several nests.
 */
int domain_attach(struct domain *domain, struct device *device, uint32_t pasid);
/* Afterwards the device is blocked, and no command for it is in flight. */
void domain_detach(struct device *device, uint32_t pasid);
/*
 * The IOMMU does not answer any more: takes all its attachments off without telling
 * it. Nothing attaches or detaches its devices meanwhile.
 */
void domain_lose_iommu(struct domain *domain, struct iommu_device *iommu);

/*
 * ATS on: in the device, which answers commands from then on, then told to the list,
 * and only then let through by the IOMMU. 0, -ENODEV if not capable, or -ENOMEM.
 */
int device_ats_enable(struct device *device);
/*
 * ATS off: refused by the IOMMU, the ATC cleaned, taken off the list, fenced, and only
 * then off in the device, which answers every command that is under way.
 */
void device_ats_disable(struct device *device);

/*
 * If the device was set aside since it does not answer: has the IOMMU refuse what its ATC
 * gives, so that flushes need not fail for it.
 */
void device_quarantine(struct device *device);
/*
 * Resets a device, and sends to it again if it was set aside; with ATS if it had ATS.
 * Return: as device_ats_enable().
 */
int device_reset(struct device *device);

/* As model_pt_map(); flushes where the hardware caches absent translations. */
int domain_map(struct domain *domain, uint64_t iova, uint64_t paddr,
	       uint64_t size, bool writable);

/* What was unmapped and not flushed yet. Starts zeroed. */
struct gather {
	struct model_unmapped unmapped;
	uint64_t first, last;		/* valid if unmapped.bytes */
};

int domain_unmap(struct domain *domain, uint64_t iova, uint64_t size,
		 struct gather *gather);
/*
 * Flushes the gather's range, frees its tables, and empties it. If the flush fails it
 * stays as it is: what was unmapped may still be in use, and may be tried again.
 * Return: as iommu_attach_flush().
 */
int domain_sync(struct domain *domain, struct gather *gather);
/* Flushes everything, for lazy unmaps: what was gathered is freed. */
int domain_sync_all(struct domain *domain, struct gather *gather);

#endif /* DRIVERS_DRIVER_H */
