/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state of an IOMMU instance and of its devices, shared by model.c (queue
 * side) and device.c (DMA side). The vendors do not see it.
 */
#ifndef MODEL_IOMMU_H
#define MODEL_IOMMU_H

#include "cache.h"
#include "internal.h"

#include <pthread.h>

#define DEV_BUCKETS	256
#define CONTEXT_BUCKETS	64

/*
 * A context entry as the hardware has it. It names tables by reference: the
 * driver may destroy a struct model_pt that a cached context entry still names.
 */
struct hw_context {
	enum model_mode mode;
	uint32_t tag;
	uint32_t vm_tag;
	struct pt_root s1;
	struct pt_root s2;
	bool no_ats;
	bool marks_dirty;		/* pages of a guest's S2 that are written */
};

struct context {
	struct context *next;
	uint32_t pasid;
	struct hw_context written;	/* word by word, also what the mode does not use */
	struct hw_context memory;	/* what it says; the rest is zero */
	struct hw_context fetched;	/* by way of what is cached of the device's entry */
	struct hw_context cached;
	bool is_cached;
	unsigned long invalidated;	/* so often */
};

/*
 * What leads to the entries of a device's PASIDs, in a guest's memory: VT-d 9.3, 9.4, an
 * STE of SMMUv3, a DTE of AMD.
 */
struct hw_dir {
	bool present;
	bool legacy;		/* has no PASIDs: it is all there is */
	uint64_t word[4];
};

struct model_dev {
	struct model_dev *next;
	struct model_iommu *iommu;
	uint32_t rid;
	bool ats_capable;
	/* iommu->lock guards what follows. */
	bool ats;
	bool silent;
	bool unplugged;
	struct cache atc;
	struct hw_dir dir;
	bool dir_is_cached;
	struct context *contexts[CONTEXT_BUCKETS];	/* by PASID */
};

struct atc_scope {
	bool any_pasid;
	uint32_t pasid;
	uint64_t first, last;
};

/* Invalidation requests that devices may have to answer: the ITags of PCIe ATS. */
#define MAX_REQUESTS	32
/* Completion waits that VT-d has fetched and that wait for requests. */
#define MAX_WAITS	8

/* An ATC command that was sent and is not answered yet. */
struct atc_request {
	uint64_t id;			/* counts up */
	struct model_dev *dev;		/* NULL: nobody who will answer */
	uint32_t rid;
	struct atc_scope scope;
	uint64_t deadline;
	const char *reason;		/* for the silence */
	const uint64_t *slot;		/* of the queue */
	uint64_t cmd[MODEL_CMD_WORDS];
};

struct fetched_wait {
	uint64_t after;			/* completes when all requests below are done */
	bool fence;
	uint64_t cmd[MODEL_CMD_WORDS];
};

struct model_iommu {
	const struct model_ops *ops;
	enum model_vendor vendor;
	bool threaded;
	bool caches_absent;
	bool erratum;
	const struct model_guest_ops *guest;	/* NULL without @memory */
	const struct model_memory *memory;
	uint64_t *queue;
	pthread_t thread;

	pthread_mutex_t lock;		/* guards what follows */
	pthread_cond_t changed;		/* something a waiter may wait for */
	struct model_regs regs;
	bool paused;
	bool bad;			/* the command at the head was refused */
	bool stalled;			/* it waits for time to pass, or for an answer */
	bool timed_out;			/* an ATC command, since the last wait */
	bool quit;
	bool consuming;			/* by @consumer, even with lock dropped */
	pthread_t consumer;
	uint64_t cmd[MODEL_CMD_WORDS];	/* the one being executed */
	unsigned int latency_ns;
	model_log_fn log;
	void *log_arg;
	model_fetch_fn fetch;
	void *fetch_arg;
	unsigned long withhold[MODEL_CLASSES];
	unsigned long executed[MODEL_CLASSES];	/* written atomically, too */
	struct model_fault_record fault;

	/* Time, in steps. */
	uint64_t now;
	unsigned int latency_steps;
	unsigned int atc_timeout;	/* 0: none, silence is noticed at once */
	bool timed;			/* a poll is a step; written atomically, too */
	uint64_t ready;			/* the command at the head, 0: not looked at yet */
	struct atc_request requests[MAX_REQUESTS];	/* oldest first */
	unsigned int nr_requests;
	uint64_t next_request;
	struct fetched_wait waits[MAX_WAITS];		/* oldest first */
	unsigned int nr_waits;

	uint64_t root;			/* of a guest's tables */
	struct cache iotlb;
	struct cache walks;
	struct model_dev *devs[DEV_BUCKETS];		/* by rid */
};

/* iommu->lock is held for all of these. */
void iommu_record_fault(struct model_iommu *iommu, enum model_fault fault,
			const uint64_t *cmd, const char *reason);
/*
 * The command being executed is an ATC command that is not answered, for the reason
 * that a fault of it will give. @dev: who may answer later on, or NULL.
 */
void iommu_request(struct model_iommu *iommu, struct model_dev *dev, uint32_t rid,
		   const struct atc_scope *scope, const char *reason);
/* The device answers what it was asked, or has forgotten it. */
void iommu_answer(struct model_dev *dev);
void iommu_forget(struct model_dev *dev);
/* In device.c: what a request asks for. */
void dev_inv_atc(struct model_dev *dev, const struct atc_scope *scope);

#endif /* MODEL_IOMMU_H */
