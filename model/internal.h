/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between model.c, which has the caches and the queue, and the four vendors,
 * which decode commands. A vendor's exec() turns one command into calls of the
 * model_inv_*() functions; it is called on the consumer's thread, one command
 * at a time for an IOMMU.
 */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H

#include "model.h"

struct hw_context;
struct hw_dir;

/*
 * What the registers of model_reg_read() are made of. All zeros is the state after
 * software has switched the queue on.
 */
struct model_regs {
	unsigned int entries;		/* of the queue; constant */
	unsigned int head, tail;	/* head is written atomically, too: drivers poll */
	bool head_wrap;			/* flips each time that the head wraps */
	union {
		struct {
			uint32_t fsts;
			uint32_t ics;
			uint64_t iqercd;
		} vtd;
		struct {
			uint32_t gerror, gerrorn;
			uint32_t cons_err;
			uint64_t strtab_base;
			uint32_t strtab_cfg;
		} smmu;
		struct {
			uint32_t status;
			bool halted, log_off;
			unsigned int event_head, event_tail;
			uint64_t events[MODEL_EVENTS][2];
		} amd;
		struct {
			uint32_t cqcsr, ipsr;
		} riscv;
	};
};

struct model_ops {
	const char *name;
	unsigned int words;		/* of 64 bits, in a command */
	bool iotlb_by_pasid;		/* S1 and nested entries carry the PASID */
	/*
	 * Completion waits leave the queue while an ATC has not answered (VT-d). Where
	 * they do not, one that is at the head stalls the queue.
	 */
	bool fetches_waits;
	bool s2_by_vm_tag;		/* S2 entries carry the vm_tag alone */
	/* Class, or -1. */
	int (*classify)(const uint64_t *cmd);
	void (*decode)(const uint64_t *cmd, char *buf, size_t size);
	/*
	 * Checks the command (reserved fields, ranges): MODEL_OK or the fault,
	 * with the reason in *@reason, a string literal.
	 */
	enum model_fault (*check)(const uint64_t *cmd, const char **reason);
	/* Carries out a checked command. */
	void (*exec)(struct model_iommu *iommu, const uint64_t *cmd);

	/* Registers. These functions see nothing but them. */
	uint32_t (*reg_read)(const struct model_regs *regs, unsigned int offset);
	/* May change the tail, and what stopped() says. */
	void (*reg_write)(struct model_regs *regs, unsigned int offset, uint32_t value);
	/* No command is fetched until software clears an error. */
	bool (*stopped)(const struct model_regs *regs);
	/* The same as what software writes to clear every error. */
	void (*restart)(struct model_regs *regs);
	/*
	 * An error of the command in the slot @cmd: MODEL_BAD_* of the one at the head, or
	 * MODEL_ATC_TIMEOUT of one that was taken from it before, for the device @rid.
	 */
	void (*error)(struct model_regs *regs, enum model_fault fault,
		      const uint64_t *cmd, uint32_t rid);
	/*
	 * Where a timeout is told by the next completion wait only: that one is at the
	 * head. NULL elsewhere.
	 */
	void (*wait_failed)(struct model_regs *regs);
	/* Do commands behind this wait stay in the queue until it completes? Or NULL. */
	bool (*wait_fences)(const uint64_t *cmd);
	/* A completion wait has taken effect. */
	void (*completed)(struct model_regs *regs, const uint64_t *cmd);
};

extern const struct model_ops model_vtd, model_smmuv3, model_amd, model_riscv;

/* What is different with a guest's memory. */
struct model_guest_ops {
	bool rid_is_pasid_0;	/* requests without PASID have PASID 0's entry and tags */
	/* In place of the vendor's. */
	void (*exec)(struct model_iommu *iommu, const uint64_t *cmd);
	/* The device's entry, and what it says of a PASID. iommu->lock is held. */
	struct hw_dir (*read_dir)(const struct model_iommu *iommu, uint32_t rid);
	struct hw_context (*read_context)(const struct model_iommu *iommu,
					  const struct hw_dir *dir, uint32_t pasid);
};

extern const struct model_guest_ops model_vtd_guest, model_smmuv3_guest, model_amd_guest;

/*
 * Entries are of the mode of the context that they were made for. Combined ones,
 * of S1 over S2, are found by S1's input address.
 */
#define MODEL_OF_S1	(1u << MODEL_S1)
#define MODEL_OF_S2	(1u << MODEL_S2)
#define MODEL_OF_NESTED	(1u << MODEL_NESTED)

/* Which IOTLB (and walk cache) entries a command names. */
struct model_scope {
	bool any_tag;
	uint32_t tag;
	bool any_vm_tag;
	uint32_t vm_tag;
	bool any_pasid;
	uint32_t pasid;		/* of the requests; MODEL_NO_PASID if without */
	unsigned int modes;	/* bits 1 << enum model_mode of the entries' contexts */
	uint64_t first, last;	/* inclusive addresses; 0..UINT64_MAX: all */
	bool leaf;		/* keep the walk cache */
};

void model_inv_iotlb(struct model_iommu *iommu, const struct model_scope *scope);
/* ATC of the device @rid; times out (a fault) where there is none that answers. */
void model_inv_atc(struct model_iommu *iommu, uint32_t rid, bool any_pasid,
		   uint32_t pasid, uint64_t first, uint64_t last);
/* Cached context entries: of one device, of one (device, PASID), or all. */
void model_inv_context(struct model_iommu *iommu, bool any_rid, uint32_t rid,
		       bool any_pasid, uint32_t pasid);
/*
 * With a guest's memory, what leads to the entries of PASIDs is cached apart from these:
 * drops that, and no more, of one device or of all.
 */
void model_inv_dir(struct model_iommu *iommu, bool any_rid, uint32_t rid);
/* As above for the entries whose context has this tag (VT-d CC domain-selective). */
void model_inv_context_tag(struct model_iommu *iommu, uint32_t tag);
/* Of these, the entries of a PASID. */
void model_inv_context_tag_pasid(struct model_iommu *iommu, uint32_t tag, uint32_t pasid);

#endif /* MODEL_INTERNAL_H */
