/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions and units of hardware outside of the machine (../hw/layout.h), for workloads.
 * As in lab.h, a program ends with "FAIL" where something does not go as it must.
 */
#ifndef LAB_GUEST_HW_H
#define LAB_GUEST_HW_H

#include "../hw/layout.h"
#include "lab.h"

#define PASID_NONE	HW_NO_PASID

/* Types of commands, for latencies, counts and troubles. */
enum {
	TYPE_CONTEXT = HW_TYPE_CONTEXT, TYPE_IOTLB, TYPE_DEV_TLB, TYPE_IEC, TYPE_WAIT,
	TYPE_P_IOTLB, TYPE_PASID, TYPE_P_DEV_TLB, TYPE_PAGE_GRP,
};
#define TYPES_ALL	0xffffu
#define TYPES_ATC	(1u << TYPE_DEV_TLB | 1u << TYPE_P_DEV_TLB)
#define TYPES_IOTLB	(1u << TYPE_IOTLB | 1u << TYPE_P_IOTLB)

/* Commands of a trouble that does not end: more than a call sends in all its tries. */
#define ALWAYS		200

struct function {
	struct device device;
	int unit;
	int slot;
	volatile uint64_t *bar;
};

/* All functions that do DMA, in the order of units and slots, and the units. */
struct hardware {
	struct function function[64];
	int functions;
	volatile uint64_t *control[HW_MAX_UNITS];
	int units;
	struct space space;		/* of /dev/iommu; its IOAS is the first one */
	uint32_t viommu[HW_MAX_UNITS];	/* SMMUv3: of the nests; 0: none yet */
};

struct access {
	bool ok, stale;
	uint64_t data, source;
};

uint64_t now_ns(void);
void sleep_ms(unsigned int ms);
void pin(int cpu);

/* The units alone: no function is touched. */
void hw_open_units(struct hardware *hw);
/* Takes at most @max functions of each unit to VFIO; all of them if 0. */
void hw_open(struct hardware *hw, int max);
/* One that is there, to VFIO; and its removal by the kernel. */
void function_take(struct hardware *hw, struct function *function, const char *bdf);
void function_remove(struct function *function);
/* One that VFIO does not have: it keeps its kernel's domain. */
void function_open(struct function *function, const char *bdf);
/* Attaches it. Return: false where the kernel refuses the domain behind its unit. */
bool share(struct function *function, const struct space *space);
/*
 * Attaches all functions to one domain. Return: units that the kernel lets share it, from the
 * first one on; the others, and what is behind them, are gone from @hw.
 */
int hw_share(struct hardware *hw);
/* The first function of a unit. */
struct function *hw_first(struct hardware *hw, int unit);

struct access dma_read(struct function *function, uint64_t pasid, uint64_t iova);
struct access dma_write(struct function *function, uint64_t pasid, uint64_t iova,
			uint64_t data);
void page_request(struct function *function, uint64_t pasid, uint64_t iova,
		  unsigned int group);
/* 1 and the code that the function was answered; 0: not yet. */
uint64_t page_response(const struct function *function);
/* Ends the program where it is not as expected. */
void expect_data(struct function *function, uint64_t pasid, uint64_t iova, uint64_t data);
void expect_fault(struct function *function, uint64_t pasid, uint64_t iova);

uint64_t control_get(const struct hardware *hw, int unit, uint64_t offset);
void control_set(const struct hardware *hw, int unit, uint64_t offset, uint64_t value);
/* How many of these types the unit has executed; all units, if that is -1. */
unsigned long executed(const struct hardware *hw, int unit, unsigned int types);
/* Returns when the unit has looked at its registers once more. */
void ping(const struct hardware *hw, int unit);
/* What the caches of all units have and memory does not give. */
unsigned long look(const struct hardware *hw);
/* All types of command of a unit, or of all units if -1. */
void set_latency(const struct hardware *hw, int unit, uint64_t ns);
void trouble(const struct hardware *hw, int unit, unsigned int kind, unsigned int types,
	     unsigned int skip, unsigned int count);
/* All units take commands of these types without effect, until the end; return: how many. */
void lose(const struct hardware *hw, unsigned int types);
uint64_t lose_end(const struct hardware *hw);

/*
 * An agent on pages from @iova. Before a page is mapped and after its unmap returned, the
 * program says so.
 */
void agent_start(struct function *function, uint64_t pasid, uint64_t iova,
		 unsigned int pages, unsigned int what);
void agent_page(struct function *function, unsigned int page, bool mapped);
void agent_stop(struct function *function);
uint64_t agent_get(const struct function *function, uint64_t offset);
/* Has it got through, more than once? Also while it is at work. */
bool agent_has_read(const struct function *function);

/* Pages of an IOAS that come and go under agents: the first functions of the first and last units. */
struct churn {
	uint32_t ioas;
	char *memory;
	uint64_t iova;			/* in the IOAS */
	uint64_t pasid, agent_iova;	/* what the agents use for the same pages */
	unsigned int pages;
};

struct agents {
	unsigned long done, faults, stale;
};

struct agents churn(struct hardware *hw, const struct churn *churn, int rounds);
/* Where it must come to that: again, if agents have had no CPU at the right time. */
struct agents churn_until_stale(struct hardware *hw, const struct churn *churn, int rounds);

/* iommufd beyond lab.h; each returns an id. */
uint32_t ioas_alloc(const struct hardware *hw);
uint32_t hwpt_alloc(const struct hardware *hw, const struct function *function, uint32_t pt,
		    uint32_t flags);
/* enum iommu_hw_info_type of the function's unit. */
uint32_t hw_type(const struct hardware *hw, const struct function *function);
/*
 * @table: guest-physical; VT-d: the top table, of four levels; SMMUv3: the CD. Return: 0 where
 * the kernel refuses the parent behind the function's unit.
 */
uint32_t nest_alloc(struct hardware *hw, const struct function *function, uint32_t parent,
		    uint64_t table);
/* SMMUv3: what a guest knows a function by. */
#define VSID(function)	((uint64_t)(function)->slot << 3)
void object_free(const struct hardware *hw, uint32_t id);
void attach_to(struct function *function, uint32_t pt);
void attach_pasid(struct function *function, uint32_t pasid, uint32_t pt);
void detach_pasid(struct function *function, uint32_t pasid);
void map_in(const struct hardware *hw, uint32_t ioas, void *memory, uint64_t iova,
	    uint64_t size);
void unmap_in(const struct hardware *hw, uint32_t ioas, uint64_t iova, uint64_t size);

/* One line for the report: a case, and figures as "name": number pairs. */
void report_case(const char *name, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
