/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What VT-d's queue needs of its driver, for user space
 *
 * kernel/drivers/iommu/intel/qi.c and its KUnit suite are compiled unchanged. Registers and
 * descriptors are those of the architecture specification, revision 5.10; structures have the
 * fields that the two files use. Physical addresses are virtual ones.
 */
#ifndef VTD_INTEL_IOMMU_H
#define VTD_INTEL_IOMMU_H

#include <linux/bitfield.h>
#include <linux/iommu-alist.h>
#include <linux/kernel.h>
#include <linux/rbtree.h>

#include <kunit/test.h>

#include <limits.h>

#define SZ_4K			4096
#define NSEC_PER_USEC		1000L
#define NSEC_PER_SEC		1000000000L

#define PCI_DEVID(bus, devfn)	((u16)(bus) << 8 | (devfn))
#define PCI_BUS_NUM(sid)	((sid) >> 8 & 0xff)

/* Registers, 11.4 */
#define DMAR_FSTS_REG		0x34
#define DMAR_IQH_REG		0x80
#define DMAR_IQT_REG		0x88
#define DMAR_IQER_REG		0xb0
#define DMAR_IQER_REG_ITESID(reg) FIELD_GET(GENMASK_ULL(47, 32), reg)
#define DMA_FSTS_IQE		BIT(4)
#define DMA_FSTS_ICE		BIT(5)
#define DMA_FSTS_ITE		BIT(6)
#define ecap_smts(ecap)		((ecap) >> 43 & 1)

/* Descriptors, 6.5.2 */
#define DMAR_IQ_SHIFT		4
#define QI_LENGTH		256
#define QI_IOTLB_TYPE		2
#define QI_DIOTLB_TYPE		3
#define QI_IEC_TYPE		4
#define QI_IWD_TYPE		5
#define QI_EIOTLB_TYPE		6
#define QI_DEIOTLB_TYPE		8
#define QI_PGRP_RESP_TYPE	9
#define QI_IWD_STATUS_DATA(d)	((u64)(d) << 32)
#define QI_IWD_STATUS_WRITE	BIT_ULL(5)
#define QI_IWD_FENCE		BIT_ULL(6)
#define QI_IWD_PRQ_DRAIN	BIT_ULL(7)
#define QI_DEV_IOTLB_SID(sid)	((u64)((sid) & 0xffff) << 32)
#define QI_OPT_WAIT_DRAIN	BIT(0)
#define qi_shift(iommu)		(DMAR_IQ_SHIFT + ecap_smts((iommu)->ecap))

struct qi_desc {
	u64 qw0, qw1, qw2, qw3;
};

struct intel_iommu;

struct q_inval {
	raw_spinlock_t q_lock;
	void *desc;
	int *desc_status;
	int free_head, free_tail, free_cnt;
	u32 seq, errors;
	u64 bad_since;
	u32 bad_seq;
	u16 bad_slot;
	u64 looked;
	u32 last_fault;
	bool failed;
	u64 fault[QI_LENGTH];
	void (*test_write)(struct intel_iommu *iommu, unsigned int reg, u32 value);
	int dummy;
};

struct intel_iommu {
	void *reg;
	u64 ecap;
	char name[16];
	struct q_inval *qi;
	struct rb_root device_rbtree;
	raw_spinlock_t device_rbtree_lock;
};

struct device_domain_info {
	struct rb_node node;
	struct iommu_attach_endpoint endpoint;
	struct intel_iommu *iommu;
	u8 bus, devfn;
	bool ats_supported, ats_enabled;
};

#define QI_MAX_BATCHED_DESC_COUNT 10

struct qi_batch {
	u64 qw[QI_MAX_BATCHED_DESC_COUNT][2];
	u64 cookie;
	unsigned int index;
};

int qi_submit_sync(struct intel_iommu *iommu, struct qi_desc *desc, unsigned int count,
		   unsigned long options);
u64 qi_batch_submit(struct intel_iommu *iommu, struct qi_batch *batch);
void qi_batch_queue(struct intel_iommu *iommu, struct qi_batch *batch);
int qi_poll(struct intel_iommu *iommu, u64 cookie, u16 *silent);
bool intel_iommu_silent(struct intel_iommu *iommu, u16 sid);

static inline void qi_batch_init(struct qi_batch *batch)
{
	batch->cookie = 0;
	batch->index = 0;
}

static inline void qi_batch_add(struct intel_iommu *iommu, struct qi_batch *batch, u64 qw0,
				u64 qw1)
{
	if (batch->index == QI_MAX_BATCHED_DESC_COUNT)
		qi_batch_queue(iommu, batch);
	batch->qw[batch->index][0] = qw0;
	batch->qw[batch->index++][1] = qw1;
}

static inline void qi_dump_fault(struct intel_iommu *iommu, u32 faults)
{
	(void)iommu;
	(void)faults;
}

/* Memory is hardware. */
#define __iomem
#define readl(reg)		READ_ONCE(*(const u32 *)(reg))
#define readq(reg)		READ_ONCE(*(const u64 *)(reg))
#define writel(value, reg)	WRITE_ONCE(*(u32 *)(reg), value)
#define writeq(value, reg)	WRITE_ONCE(*(u64 *)(reg), value)
#define virt_to_phys(pointer)	((u64)(uintptr_t)(pointer))
#define phys_to_virt(address)	((void *)(uintptr_t)(address))
#define smp_rmb()		__smp_rmb()
#define smp_wmb()		__smp_mb()

#define strscpy(to, from)	((void)snprintf(to, sizeof(to), "%s", from))
#define pr_err_ratelimited(format, ...) kunit_print("    # " pr_fmt(format), ##__VA_ARGS__)

#endif
