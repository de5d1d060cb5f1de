/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An invalidation queue, and hardware that is a function
 *
 * The registers are memory, and the hardware is a function that is called where the driver
 * writes a register: each interleaving is the same in every run. It does what sections 6.5.2
 * and 11.4.9 of the architecture specification say about errors, and is as strict about wait
 * descriptors as QEMU.
 */
#ifndef _INTEL_QI_FAKE_H_
#define _INTEL_QI_FAKE_H_

#include <kunit/test.h>
#include <linux/iommu-alist.h>
#include <linux/rbtree.h>

#include "iommu.h"

#define BAD_TYPE	0xf
#define SILENT		0x0308
#define ANSWERS		0x0410
#define OTHER(n)	(0x0500 + (n))

/* A queue, and the hardware behind it. */
struct fake {
	struct intel_iommu iommu;
	struct q_inval qi;
	u8 reg[SZ_4K];
	u32 fsts;
	unsigned int head, tail;
	unsigned int fetch;		/* descriptors that it fetches before a timeout */
	unsigned int executed;		/* but for wait descriptors */
	bool stalled;			/* a device does not answer */
	bool stalls_again;		/* nor the next request to it, which times out later */
	bool no_sid;			/* ITE does not name the device */
	bool no_drain;			/* page requests are not supported */
	bool dead;			/* understands nothing */
	unsigned int late;		/* so many writes of FSTS clear nothing */
	bool busy;			/* others abort, and use slots again */
	bool times_out;			/* at once, where a device does not answer */
	unsigned int rejects;		/* so many descriptors, whatever they are */
	u8 rejects_type;		/* only of this type, unless it is 0 */
	unsigned int rejected;
	unsigned int aborts;		/* so many submissions, for OTHER(0) and so on */
	u16 aborts_for;			/* for this one instead, unless it is 0 */
	unsigned int aborted;
};

static struct fake *to_fake(struct intel_iommu *iommu)
{
	return container_of(iommu, struct fake, iommu);
}

static void fake_set(struct fake *fake, unsigned int reg, u64 value)
{
	if (reg == DMAR_IQER_REG)
		writeq(value, fake->iommu.reg + reg);
	else
		writel(value, fake->iommu.reg + reg);
}

static bool fake_is_bad(struct fake *fake, const struct qi_desc *desc)
{
	bool wide = ecap_smts(fake->iommu.ecap);

	if (fake->dead || (wide && (desc->qw2 || desc->qw3)))
		return true;
	if (fake->rejected < fake->rejects && (desc->qw0 & 0xf) != QI_IWD_TYPE &&
	    (!fake->rejects_type || (desc->qw0 & 0xf) == fake->rejects_type)) {
		fake->rejected++;
		return true;
	}
	switch (desc->qw0 & 0xf) {
	case QI_IWD_TYPE:
		return !(desc->qw0 & QI_IWD_STATUS_WRITE) ||
		       (fake->no_drain && desc->qw0 & QI_IWD_PRQ_DRAIN);
	case BAD_TYPE:
		return true;
	default:
		return false;
	}
}

static u16 fake_asks(const struct qi_desc *desc)
{
	return (desc->qw0 & 0xf) == QI_DIOTLB_TYPE ? desc->qw0 >> 32 : 0;
}

static void fake_time_out(struct fake *fake);

static void fake_run(struct fake *fake)
{
	unsigned int shift = qi_shift(&fake->iommu);
	struct qi_desc *desc;

	while (fake->head != fake->tail && !(fake->fsts & ~DMA_FSTS_ICE) && fake->fetch) {
		desc = fake->qi.desc + (fake->head << shift);
		if (fake_is_bad(fake, desc)) {
			fake->fsts |= DMA_FSTS_IQE;
			break;
		}
		if (fake_asks(desc) == SILENT)
			fake->stalled = true;
		if ((desc->qw0 & 0xf) != QI_IWD_TYPE)
			fake->executed++;
		else if (!fake->stalled)
			WRITE_ONCE(*(u32 *)phys_to_virt(desc->qw1),
				   (desc->qw0 >> 32) + fake->busy);
		fake->head = (fake->head + 1) % QI_LENGTH;
		fake->fetch -= fake->stalled;
	}
	fake_set(fake, DMAR_IQH_REG, fake->head << shift);
	fake_set(fake, DMAR_FSTS_REG, fake->fsts);
	if (fake->stalled && fake->times_out && !(fake->fsts & ~DMA_FSTS_ICE))
		fake_time_out(fake);
}

/* The silent device has been waited for long enough: what was fetched is aborted. */
static void fake_time_out(struct fake *fake)
{
	fake->stalled = fake->stalls_again;
	fake->stalls_again = false;
	fake->fetch = UINT_MAX;
	fake->fsts |= DMA_FSTS_ITE;
	fake_set(fake, DMAR_IQER_REG, fake->no_sid ? 0 : (u64)SILENT << 32);
	fake_run(fake);
}

static void fake_write(struct intel_iommu *iommu, unsigned int reg, u32 value)
{
	struct fake *fake = to_fake(iommu);

	if (reg == DMAR_FSTS_REG && fake->late)
		fake->late--;
	else if (reg == DMAR_FSTS_REG)
		fake->fsts &= ~value;
	if (reg == DMAR_IQT_REG) {
		if (fake->busy && fake->tail != value >> qi_shift(iommu))
			fake->fsts |= DMA_FSTS_ITE;
		if (fake->aborted < fake->aborts && fake->tail != value >> qi_shift(iommu)) {
			/* Everything was fetched. */
			fake->head = value >> qi_shift(iommu);
			fake->fsts |= DMA_FSTS_ITE;
			fake_set(fake, DMAR_IQER_REG,
				 (u64)(fake->aborts_for ?: OTHER(fake->aborted)) << 32);
			fake->aborted++;
		}
		fake->tail = value >> qi_shift(iommu);
	}
	fake_run(fake);
}

static int cmp_info(struct rb_node *node, const struct rb_node *other)
{
	const struct device_domain_info *one = rb_entry(node, struct device_domain_info, node);
	const struct device_domain_info *two = rb_entry(other, struct device_domain_info, node);

	return PCI_DEVID(one->bus, one->devfn) - PCI_DEVID(two->bus, two->devfn);
}

/* A device that the driver knows, with ATS on. */
static struct device_domain_info *new_device(struct kunit *test, u16 sid)
{
	struct fake *fake = test->priv;
	struct device_domain_info *info;

	info = kunit_kzalloc(test, sizeof(*info), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, info);
	info->bus = PCI_BUS_NUM(sid);
	info->devfn = sid & 0xff;
	info->iommu = &fake->iommu;
	info->ats_supported = 1;
	info->ats_enabled = 1;
	iommu_attach_endpoint_init(&info->endpoint);
	KUNIT_ASSERT_NULL(test, rb_find_add(&info->node, &fake->iommu.device_rbtree, cmp_info));
	return info;
}

static int queue_init(struct kunit *test)
{
	const u64 *ecap = test->param_value;
	struct fake *fake;

	fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake);
	fake->qi.desc = kunit_kzalloc(test, QI_LENGTH * sizeof(struct qi_desc), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake->qi.desc);
	fake->qi.desc_status = kunit_kzalloc(test, QI_LENGTH * sizeof(int), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake->qi.desc_status);
	raw_spin_lock_init(&fake->qi.q_lock);
	fake->qi.free_cnt = QI_LENGTH;
	fake->fetch = UINT_MAX;

	fake->iommu.reg = (void __iomem *)fake->reg;
	fake->iommu.ecap = ecap ? *ecap : 0;
	fake->iommu.qi = &fake->qi;
	fake->iommu.device_rbtree = RB_ROOT;
	raw_spin_lock_init(&fake->iommu.device_rbtree_lock);
	strscpy(fake->iommu.name, "fake");

	fake->qi.test_write = fake_write;
	test->priv = fake;
	return 0;
}

/* Legacy mode has 128 bits a descriptor, scalable mode 256. */
static const u64 widths[] = { 0, BIT_ULL(43) };

static void width_to_text(const u64 *ecap, char *text)
{
	snprintf(text, KUNIT_PARAM_DESC_SIZE, "%u bits", *ecap ? 256 : 128);
}

KUNIT_ARRAY_PARAM(width, widths, width_to_text);

#define CASE(name)	KUNIT_CASE_PARAM(name, width_gen_params)

#endif /* _INTEL_QI_FAKE_H_ */
