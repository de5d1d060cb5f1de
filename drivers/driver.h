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
 *   attach:  driver->attach() allocates or finds the tag, adds to the list, writes
 *            the context entry, drops the hardware's cached copy of it
 *   detach:  the other way round; flushes the tag if its group was left empty
 *
 * Locking: domain->lock guards the page table against other writers, device->lock
 * the device's attachments, iommu_device->lock the tail of the queue. Attach and
 * detach of one device take device->lock and drv_tags, in this order; flushes take
 * iommu_device->lock only, to queue and not to wait.
 */
#ifndef DRIVERS_DRIVER_H
#define DRIVERS_DRIVER_H

#include <linux/iommu-alist.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"

struct domain;
struct driver;

/* A bitmap of tags in use. */
struct tag_space {
	uint32_t first, last;		/* inclusive */
	uint32_t next;			/* where the search for a free one begins */
	unsigned long *used;
};

int tag_space_init(struct tag_space *space, uint32_t first, uint32_t last);
void tag_space_exit(struct tag_space *space);
/* The lowest free tag from @wish on (0: anywhere), or -ENOSPC. */
int64_t tag_alloc(struct tag_space *space, uint32_t wish);
void tag_free(struct tag_space *space, uint32_t tag);

/* An IOMMU instance, as the driver has it. */
struct iommu_device {
	const struct driver *driver;
	struct model_iommu *hw;
	pthread_mutex_t lock;		/* guards tail, and entries at it */
	unsigned int tail;
	uint64_t *status;		/* completion words, one an entry of the queue */
	struct tag_space tags;		/* where tags are per instance (VT-d, SMMUv3) */
	bool caching_mode;		/* absent translations are cached: flush on map */
};

/* What the hardware is to be told, on the stack of one flush: never shared. */
struct batch {
	struct iommu_device *iommu;	/* NULL: empty */
	unsigned int nr;
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
void queue_wait(struct iommu_device *iommu, uint64_t cookie);
/* One command and its completion, for attach and detach. */
void queue_one(struct iommu_device *iommu, const uint64_t *cmd);

/* A range of addresses to flush. */
struct flush_range {
	uint64_t first, last;		/* inclusive: the whole space is 0..UINT64_MAX */
	uint64_t leaf;			/* size of the leaves, 0 if of several sizes */
	bool tables;			/* page tables were cut off, too */
};

/* One (device, PASID) on a domain. */
struct attachment {
	struct iommu_attach_nest elms;	/* a plain attachment uses elms.s1 only */
	struct domain *domain;
	struct device *device;
	uint32_t pasid;			/* IOMMU_NO_PASID: requests without PASID */
	struct attachment *next;	/* of the same device */
};

struct device {
	struct iommu_device *iommu;
	struct model_dev *hw;
	pthread_mutex_t lock;
	struct attachment *attachments;
	uint32_t rid;
	bool ats_capable;
	bool ats;			/* enabled in the device now */
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
	int (*domain_init)(struct domain *domain);
	void (*domain_exit)(struct domain *domain);
	/*
	 * Attaches (device, PASID) to the domain. One that is attached already is
	 * replaced: the device goes from the old domain to the new one without a
	 * moment on neither. On failure it stays where it was.
	 */
	int (*attach)(struct domain *domain, struct device *device,
		      uint32_t pasid);
	/* Afterwards the device is blocked, and no command for it is in flight. */
	void (*detach)(struct device *device, uint32_t pasid);
	/* ATS on: told to the list first. ATS off: device first, drained, clean. */
	int (*ats_enable)(struct device *device);
	void (*ats_disable)(struct device *device);
	/* Flushes what was unmapped. */
	void (*flush)(struct domain *domain, const struct flush_range *range);
	/* Writes the completion wait; returns how many commands there are in it. */
	void (*make_sync)(struct iommu_device *iommu, unsigned int index,
			  uint64_t *cmd);
};

extern const struct driver vtd_driver, smmuv3_driver, amd_driver, riscv_driver;

const struct driver *driver_of(enum model_vendor vendor);

struct iommu_device *iommu_probe(struct model_iommu *hw, bool caching_mode);
/* All devices are gone. */
void iommu_remove(struct iommu_device *iommu);

struct device *device_probe(struct iommu_device *iommu, uint32_t rid,
			    bool ats_capable);
/* Detaches it from everything and unplugs it. */
void device_remove(struct device *device);
/* The attachment of the device's PASID, or NULL. The caller holds device->lock. */
struct attachment *device_attachment(struct device *device, uint32_t pasid);

/*
 * @levels: of the page table, 3..5. @parent: the S2 domain of a nest, or NULL.
 * A nest's table maps addresses of the parent. NULL on failure.
 */
struct domain *domain_alloc(const struct driver *driver, unsigned int levels,
			    bool first_stage, struct domain *parent);
/* Nothing is attached any more. */
void domain_free(struct domain *domain);

int domain_attach(struct domain *domain, struct device *device, uint32_t pasid);
void domain_detach(struct device *device, uint32_t pasid);

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
/* Flushes the gather's range, frees its tables, and empties it. */
void domain_sync(struct domain *domain, struct gather *gather);
/* Flushes everything, for lazy unmaps: what was gathered is freed. */
void domain_sync_all(struct domain *domain, struct gather *gather);

#endif /* DRIVERS_DRIVER_H */
