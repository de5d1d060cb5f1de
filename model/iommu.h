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
};

struct context {
	struct context *next;
	uint32_t pasid;
	struct hw_context memory;
	struct hw_context cached;
	bool is_cached;
};

struct model_dev {
	struct model_dev *next;
	struct model_iommu *iommu;
	uint32_t rid;
	bool ats_capable;
	/* iommu->lock guards what follows. */
	bool ats;
	struct cache atc;
	struct context *contexts[CONTEXT_BUCKETS];	/* by PASID */
};

struct model_iommu {
	const struct model_ops *ops;
	enum model_vendor vendor;
	bool threaded;
	bool caches_absent;
	uint64_t *queue;
	pthread_t thread;

	pthread_mutex_t lock;		/* guards what follows */
	pthread_cond_t changed;		/* something a waiter may wait for */
	struct model_regs regs;
	bool paused;
	bool bad;			/* the command at the head was refused */
	bool quit;
	bool consuming;			/* by @consumer, even with lock dropped */
	pthread_t consumer;
	uint64_t cmd[MODEL_CMD_WORDS];	/* the one being executed */
	unsigned int latency_ns;
	model_log_fn log;
	void *log_arg;
	unsigned long withhold[MODEL_CLASSES];
	unsigned long executed[MODEL_CLASSES];	/* written atomically, too */
	struct model_fault_record fault;

	struct cache iotlb;
	struct cache walks;
	struct model_dev *devs[DEV_BUCKETS];		/* by rid */
};

/* lock is held */
void iommu_record_fault(struct model_iommu *iommu, enum model_fault fault,
			const char *reason);

#endif /* MODEL_IOMMU_H */
