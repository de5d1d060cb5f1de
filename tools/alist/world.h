/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rebuilt machine, run: its IOMMUs as hardware models, its domains and devices
 * under the example driver of the vendor, every command that the driver sends by
 * way of the attach list recorded.
 */
#ifndef ALIST_WORLD_H
#define ALIST_WORLD_H

#include "reasons.h"
#include "rebuild.h"

struct world;

/* What a step came to. */
struct world_result {
	struct burst attach;	/* sent when devices were attached for the step */
	struct burst sent;	/* sent for the step itself */
	struct compare_facts facts;
	unsigned long stale;	/* stale accesses and cached translations found */
	unsigned long faults;	/* commands that the model refused, or timed out */
	unsigned long unmapped;	/* ranges that were not seen mapped */
};

/*
 * @iommus: spread the devices over that many instances in the order of their
 * appearance; 0: as in the log.
 */
struct world *world_create(unsigned int iommus);
/* @machine: the one it ran, or NULL. */
void world_destroy(struct world *world, struct machine *machine);
/*
 * Runs a step. The bursts of *@result are the world's and are valid until the next
 * step. Return: 0, or -1 where memory is short.
 */
int world_step(struct world *world, struct machine *machine,
	       const struct step *step, struct world_result *result);

/*
 * The hardware of an IOMMU of the log, to disturb it; NULL before anything was
 * attached there.
 */
struct model_iommu *world_hardware(struct world *world, unsigned int iommu);

#endif /* ALIST_WORLD_H */
