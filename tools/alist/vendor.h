/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What sets the vendors apart: how commands are encoded, what a log of the driver
 * says, and what has to be inferred. vtd.c, amd.c, smmuv3.c and riscv.c have one of
 * these each; everything else is the same for all.
 */
#ifndef ALIST_VENDOR_H
#define ALIST_VENDOR_H

#include "inv.h"
#include "rebuild.h"

struct context;
struct step;

struct vendor {
	/* Fills *@inv, which invalidates everything and names nothing, from a command. */
	void (*decode)(struct inv *inv, const uint64_t *words);
	/* How commands are told apart by hints only: bits of the words. */
	uint64_t hints[2];
	/* What tags are called; NULL: the same for both stages. */
	const char *tag_name, *s2_tag_name;
	/* The log has the waits; if not, a row of commands was one submission. */
	bool logs_waits;
	/* Tags are of the first stage until a command says otherwise. */
	bool first_stage;
	/* Domains flush their tag when they are freed, after everybody has left. */
	bool flushes_at_free;
	/* Context entries that name no tag mean that the device left its domain. */
	bool silent_detach;
	/* Commands before an unmap may follow a map (what is freed on the way). */
	bool frees_after_map;
	/* Commands for a whole VM or IOMMU are sent for nests. */
	bool nests_flush_all;

	/* The rest may be NULL. */
	/* Context entries were written by @event. */
	void (*config)(struct context *c, const struct trace_event *event);
	/* Whether a device whose context entries were written is attached after. */
	bool (*stays)(const struct context *c);
	/* A flush is complete; the step may be amended. */
	void (*flush)(struct rebuild *r, struct context *c, struct step *step);
	/* More members than the commands in the log name. */
	void (*members)(struct rebuild *r, struct context *c, struct machine_domain *domain);
};

extern const struct vendor vendor_vtd, vendor_amd, vendor_smmuv3, vendor_riscv;

const struct vendor *vendor_of(enum model_vendor vendor);

/* Bits @hi to @lo of a word. */
static inline uint64_t vendor_bits(uint64_t word, unsigned int hi, unsigned int lo)
{
	return word >> lo & (UINT64_MAX >> (63 - (hi - lo)));
}

/* The range of 2^@order pages at the address in @word. */
void vendor_range_order(struct inv *inv, uint64_t word, unsigned int order);
/* The lowest zero of @word from bit 12 on is the top bit of the offset. */
void vendor_range_napot(struct inv *inv, uint64_t word);

#endif /* ALIST_VENDOR_H */
