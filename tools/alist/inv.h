/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a command invalidates, in words that are the same for all vendors, and
 * the bursts of commands that make a flush.
 */
#ifndef ALIST_INV_H
#define ALIST_INV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

#define INV_ANY		UINT32_MAX
#define INV_IOMMUS_MAX	256

struct inv {
	enum model_class class;
	uint32_t tag;		/* IOTLB: DID, ASID, DomainID; INV_ANY: all */
	uint32_t vm_tag;	/* SMMUv3: VMID */
	uint32_t pasid;		/* INV_ANY: all, or none named */
	uint32_t rid;		/* ATC, CONFIG; INV_ANY: none named */
	uint64_t first, last;	/* inclusive; 0..UINT64_MAX: all */
	bool keeps_walks;	/* cached table pointers stay (IH, leaf) */
	bool by_pasid;		/* VT-d: the PASID-based form; AMD: GN */
	bool shared_tag;	/* VT-d: of several domains, which the PASID tells apart */
	uint8_t qdep;		/* ATC: how many the device takes in flight */
};

/*
 * @vendor: one that logs are of, VT-d, AMD or SMMUv3. @words: as many as
 * model_cmd_words(). Of an unknown opcode: MODEL_OTHER.
 */
struct inv inv_decode(enum model_vendor vendor, const uint64_t *words);

static inline bool inv_all(const struct inv *inv)
{
	return inv->first == 0 && inv->last == UINT64_MAX;
}

/* Same caches: tag or device, PASID. */
static inline bool inv_same_target(const struct inv *a, const struct inv *b)
{
	return a->class == b->class && a->tag == b->tag &&
	       a->vm_tag == b->vm_tag && a->pasid == b->pasid &&
	       (a->class != MODEL_ATC || a->rid == b->rid);
}

static inline bool inv_covers(const struct inv *a, const struct inv *b)
{
	return a->first <= b->first && b->last <= a->last;
}

struct command {
	uint64_t line;		/* of the log; 0: sent by the list */
	unsigned int iommu;
	unsigned int n;		/* commands; the words of the first are known */
	unsigned int waits;	/* for it and those before it, after it */
	uint64_t words[MODEL_CMD_WORDS];
	struct inv inv;
};

/*
 * The IOTLB and ATC commands of one flush in the order sent, and the waits for
 * them. Waits for anything else do not count.
 */
struct burst {
	struct command *cmds;
	size_t nr, size;
	uint64_t unsynced[INV_IOMMUS_MAX / 64];	/* IOMMUs owing a wait */
	unsigned long waits;	/* those that follow no command of the burst */
	/* VT-d logs show no waits: a row of descriptors is one submission. */
	unsigned int row;
	unsigned int row_iommu;
};

struct burst_count {
	unsigned long iotlb;
	unsigned long atc;
	unsigned long sync;
	unsigned long config;	/* context, table and directory entries */
	unsigned long other;	/* opcodes that are about no translations */
};

void burst_clear(struct burst *burst);
void burst_free(struct burst *burst);
/* Return: 0 or -ENOMEM. */
int burst_add(struct burst *burst, const struct command *cmd);
/* Return: false, and nothing is done, if nothing was sent there since the last wait. */
bool burst_sync(struct burst *burst, unsigned int iommu);
/*
 * For VT-d logs, instead of both. @list: the driver has its attachments on a list, and
 * submits fewer at once.
 */
int burst_add_row(struct burst *burst, const struct command *cmd, bool list);
/* Something else was sent or logged: the row ends. */
void burst_end_row(struct burst *burst);
/* Everything that was sent to has been waited for. */
bool burst_settled(const struct burst *burst);
/* Moves the last @n commands to @to, which is empty. Return: 0 or -ENOMEM. */
int burst_split(struct burst *burst, size_t n, struct burst *to);
struct burst_count burst_count(const struct burst *burst);
/* Adds up; a command of SMMUv3 counts as often as its submission says. */
void burst_count_add(struct burst_count *to, const struct burst_count *count);
void burst_count_command(struct burst_count *to, const struct command *cmd);
bool burst_count_equal(const struct burst_count *a, const struct burst_count *b);

#endif /* ALIST_INV_H */
