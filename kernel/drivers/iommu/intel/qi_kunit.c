// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the invalidation queue, and for what is flushed through it
 *
 * The registers are memory, and the hardware is a function that is called where the driver
 * writes a register: each interleaving is the same in every run. It does what sections 6.5.2
 * and 11.4.9 of the architecture specification say about errors, and is as strict about wait
 * descriptors as QEMU.
 */
#include <kunit/test.h>
#include <kunit/device.h>
#include <linux/bitfield.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/iommu-alist.h>
#include <linux/kthread.h>
#include <linux/rbtree.h>

#include "iommu.h"
#include "pasid.h"

#define BAD_TYPE	0xf
#define SILENT		0x0308
#define ANSWERS		0x0410
#define OTHER(n)	(0x0500 + (n))
#define OTHERS		20		/* more than a device is asked */

/* No test waits for so many looks. */
#define PATIENCE	1000000

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

	while (fake->head != fake->tail && !fake->fsts && fake->fetch) {
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
	if (fake->stalled && fake->times_out && !fake->fsts)
		fake_time_out(fake);
}

/* The silent device has been waited for long enough: what was fetched is aborted. */
static void fake_time_out(struct fake *fake)
{
	fake->stalled = false;
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
			fake_set(fake, DMAR_IQER_REG, (u64)OTHER(fake->aborted++) << 32);
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

static void add_iotlb(struct fake *fake, struct qi_batch *batch)
{
	qi_batch_add(&fake->iommu, batch, QI_IOTLB_TYPE, 0);
}

static void add_atc(struct fake *fake, struct qi_batch *batch, u16 sid)
{
	qi_batch_add(&fake->iommu, batch, QI_DEV_IOTLB_SID(sid) | QI_DIOTLB_TYPE, 0);
}

/* An IOTLB invalidation, and then one of the ATC of each device. */
static u64 submit(struct fake *fake, u16 one, u16 other)
{
	struct qi_batch batch;

	qi_batch_init(&batch);
	add_iotlb(fake, &batch);
	if (one)
		add_atc(fake, &batch, one);
	if (other)
		add_atc(fake, &batch, other);
	return qi_batch_submit(&fake->iommu, &batch);
}

/* Until it is over. -EINPROGRESS if that takes too long. */
static int wait_for(struct fake *fake, u64 cookie, u16 *silent)
{
	int looks, ret = -EINPROGRESS;

	for (looks = 0; ret == -EINPROGRESS && looks < PATIENCE; looks++)
		ret = qi_poll(&fake->iommu, cookie, silent);
	return ret;
}

static void expect_wait(struct kunit *test, u64 cookie, int error, u16 silent)
{
	u16 found;

	KUNIT_EXPECT_EQ(test, wait_for(test->priv, cookie, &found), error);
	KUNIT_EXPECT_EQ(test, found, silent);
}

/* Everything that was queued is over, and what comes next completes. */
static void expect_works(struct kunit *test)
{
	struct fake *fake = test->priv;
	int i;

	for (i = 0; i < 2 * QI_LENGTH; i++)
		expect_wait(test, submit(fake, ANSWERS, 0), 0, 0);
	KUNIT_EXPECT_EQ(test, fake->head, fake->tail);
}

static void submission_completes(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 first, second;

	first = submit(fake, 0, 0);
	second = submit(fake, ANSWERS, 0);
	expect_wait(test, second, 0, 0);
	expect_wait(test, first, 0, 0);
	KUNIT_EXPECT_EQ(test, fake->executed, 3);
	expect_wait(test, 0, 0, 0);
}

/* A waiter is done even if its slot has been used again, also where numbers wrap. */
static void number_outlives_slot(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 cookie;
	int i;

	fake->qi.seq = U32_MAX - QI_LENGTH;
	for (i = 0; i < QI_LENGTH; i++)
		fake->qi.desc_status[i] = fake->qi.seq;
	for (i = 0; i < 2 * QI_LENGTH; i++) {
		cookie = submit(fake, 0, 0);
		KUNIT_EXPECT_NE(test, cookie, 0);
		for (int more = 0; more < QI_LENGTH; more += 1 + i)
			submit(fake, 0, 0);
		expect_wait(test, cookie, 0, 0);
	}
}

static void bad_descriptor_at_each_position(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	unsigned int bad, i;
	u64 hit, other;

	for (bad = 0; bad < 5; bad++) {
		fake->executed = 0;
		qi_batch_init(&batch);
		for (i = 0; i < 5; i++)
			qi_batch_add(&fake->iommu, &batch, i == bad ? BAD_TYPE : QI_IOTLB_TYPE, 0);
		hit = qi_batch_submit(&fake->iommu, &batch);
		other = submit(fake, 0, 0);
		expect_wait(test, hit, -EINVAL, 0);
		expect_wait(test, other, 0, 0);
		KUNIT_EXPECT_EQ(test, fake->executed, 5);
	}
	expect_works(test);
}

static void several_bad_descriptors(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	u64 hit[3], other[3];
	int i;

	for (i = 0; i < 3; i++) {
		qi_batch_init(&batch);
		add_iotlb(fake, &batch);
		qi_batch_add(&fake->iommu, &batch, BAD_TYPE, 0);
		qi_batch_add(&fake->iommu, &batch, BAD_TYPE, 0);
		hit[i] = qi_batch_submit(&fake->iommu, &batch);
		other[i] = submit(fake, 0, 0);
	}
	for (i = 0; i < 3; i++) {
		expect_wait(test, other[i], 0, 0);
		expect_wait(test, hit[i], -EINVAL, 0);
	}
	expect_works(test);
}

static void bad_wait_descriptor(struct kunit *test)
{
	struct qi_desc desc = { .qw0 = QI_IOTLB_TYPE };
	struct fake *fake = test->priv;
	u64 other;

	fake->no_drain = true;
	other = submit(fake, 0, 0);
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, QI_OPT_WAIT_DRAIN), -EINVAL);
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, 0), 0);
	expect_wait(test, other, 0, 0);
	expect_works(test);
}

/* As in a drain of page requests. QEMU does not take it. */
static void bad_fence_within_submission(struct kunit *test)
{
	struct qi_desc desc[2] = {
		{ .qw0 = QI_IWD_FENCE | QI_IWD_TYPE },
		{ .qw0 = QI_IOTLB_TYPE },
	};
	struct fake *fake = test->priv;

	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, desc, 2, QI_OPT_WAIT_DRAIN), -EINVAL);
	KUNIT_EXPECT_EQ(test, fake->executed, 1);
	expect_works(test);
}

static void timeout_names_device(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 before, hit, behind;
	u16 silent;

	before = submit(fake, ANSWERS, 0);
	hit = submit(fake, SILENT, 0);
	behind = submit(fake, ANSWERS, 0);
	expect_wait(test, before, 0, 0);
	KUNIT_EXPECT_EQ(test, qi_poll(&fake->iommu, hit, &silent), -EINPROGRESS);
	fake_time_out(fake);
	expect_wait(test, behind, -EAGAIN, SILENT);
	expect_wait(test, hit, -EAGAIN, SILENT);
	expect_works(test);
}

static void timeout_aborts_what_was_fetched(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 hit, behind;

	fake->fetch = 1;
	hit = submit(fake, SILENT, 0);
	behind = submit(fake, ANSWERS, 0);
	fake_time_out(fake);
	expect_wait(test, behind, 0, 0);
	/* Its wait descriptor was not, and has completed. */
	expect_wait(test, hit, -EAGAIN, SILENT);
	expect_works(test);
}

/* If only one device was asked, that one is silent: the hardware need not name it. */
static void timeout_of_only_device(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 hit, behind;

	fake->no_sid = true;
	submit(fake, ANSWERS, 0);
	hit = submit(fake, SILENT, 0);
	behind = submit(fake, 0, 0);
	fake_time_out(fake);
	expect_wait(test, hit, -EAGAIN, SILENT);
	expect_wait(test, behind, -EAGAIN, SILENT);
	expect_works(test);
}

/* No device is blamed: a waiter that asked several is told to ask one by one. */
static void timeout_of_unknown_device(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 hit, one, none;

	fake->no_sid = true;
	hit = submit(fake, SILENT, ANSWERS);
	one = submit(fake, ANSWERS, 0);
	none = submit(fake, 0, 0);
	fake_time_out(fake);
	expect_wait(test, hit, -ETIMEDOUT, 0);
	expect_wait(test, one, -EAGAIN, 0);
	expect_wait(test, none, -EAGAIN, 0);
	expect_works(test);
}

/* The last piece has been submitted after the error. */
static void timeout_of_a_piece(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	unsigned int i;
	u64 cookie;

	qi_batch_init(&batch);
	add_atc(fake, &batch, SILENT);
	for (i = 0; i < QI_MAX_BATCHED_DESC_COUNT; i++)
		add_iotlb(fake, &batch);
	fake_time_out(fake);
	expect_works(test);
	cookie = qi_batch_submit(&fake->iommu, &batch);
	expect_wait(test, cookie, -EAGAIN, SILENT);
	expect_works(test);
}

/* As without pieces: the devices are to be asked one by one. */
static void timeout_of_a_piece_of_unknown_device(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	unsigned int i;

	fake->no_sid = true;
	qi_batch_init(&batch);
	add_atc(fake, &batch, SILENT);
	add_atc(fake, &batch, ANSWERS);
	for (i = 0; i < QI_MAX_BATCHED_DESC_COUNT; i++)
		add_iotlb(fake, &batch);
	fake_time_out(fake);
	expect_works(test);
	expect_wait(test, qi_batch_submit(&fake->iommu, &batch), -ETIMEDOUT, 0);
	expect_works(test);
}

/* What asked no device is sent again as it is, in pieces or not. */
static void timeout_of_others_hits_a_piece(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	unsigned int i;

	fake->no_sid = true;
	submit(fake, SILENT, ANSWERS);
	qi_batch_init(&batch);
	for (i = 0; i < QI_MAX_BATCHED_DESC_COUNT + 1; i++)
		add_iotlb(fake, &batch);
	fake_time_out(fake);
	expect_works(test);
	expect_wait(test, qi_batch_submit(&fake->iommu, &batch), -EAGAIN, 0);
	expect_works(test);
}

/* The device that was found silent before has nothing to do with it. */
static void bad_descriptor_in_a_piece(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	unsigned int i;
	u64 hit;

	hit = submit(fake, SILENT, 0);
	fake_time_out(fake);
	expect_wait(test, hit, -EAGAIN, SILENT);

	qi_batch_init(&batch);
	qi_batch_add(&fake->iommu, &batch, BAD_TYPE, 0);
	for (i = 0; i < 3 * QI_MAX_BATCHED_DESC_COUNT; i++)
		add_iotlb(fake, &batch);
	expect_wait(test, qi_batch_submit(&fake->iommu, &batch), -EINVAL, 0);
	expect_works(test);
}

static void fault_outlives_slot(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 hit = submit(fake, SILENT, 0);

	fake_time_out(fake);
	expect_works(test);
	expect_wait(test, hit, -EAGAIN, 0);
}

/* Until no submission finds room. Return: the cookie of the one that did not. */
static u64 fill(struct kunit *test)
{
	struct fake *fake = test->priv;
	unsigned int nr = 0;
	u64 cookie;
	u32 last;

	do {
		last = fake->qi.seq;
		cookie = submit(fake, 0, 0);
	} while (fake->qi.seq != last && ++nr < QI_LENGTH);
	KUNIT_EXPECT_LT(test, nr, QI_LENGTH);
	return cookie;
}

/* A submission that finds no room does not wait for the devices of others. */
static void full_queue_fails(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 hit, full;
	u16 silent;

	hit = submit(fake, SILENT, 0);
	full = fill(test);
	KUNIT_EXPECT_EQ(test, qi_poll(&fake->iommu, full, &silent), -EINPROGRESS);
	fake_time_out(fake);
	expect_wait(test, hit, -EAGAIN, SILENT);
	expect_wait(test, full, -EBUSY, 0);
	expect_works(test);
}

/* The first piece is in the queue, the rest of the batch is not. */
static void add_piece(struct fake *fake, struct qi_batch *batch, u16 sid)
{
	unsigned int i;

	qi_batch_init(batch);
	add_atc(fake, batch, sid);
	for (i = 0; i < QI_MAX_BATCHED_DESC_COUNT; i++)
		add_iotlb(fake, batch);
}

/* Room is no reason to leave while a device may still be asked. */
static void full_behind_a_pending_piece(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	unsigned int looks, i;
	u64 cookie;
	u16 silent;

	fake->fetch = 0;
	for (i = 0; i < QI_LENGTH / 6; i++)
		submit(fake, ANSWERS, 0);
	add_piece(fake, &batch, SILENT);
	fill(test);
	cookie = qi_batch_submit(&fake->iommu, &batch);

	/* All ahead of the piece completes: that is room enough. */
	fake->fetch = 1;
	fake_run(fake);
	for (looks = 0; looks < 100; looks++)
		KUNIT_EXPECT_EQ(test, qi_poll(&fake->iommu, cookie, &silent), -EINPROGRESS);
	fake_time_out(fake);
	expect_wait(test, cookie, -EAGAIN, SILENT);
	expect_works(test);
}

static void full_behind_a_complete_piece(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	u64 cookie, hit;
	u16 silent;

	add_piece(fake, &batch, ANSWERS);
	hit = submit(fake, SILENT, 0);
	fill(test);
	cookie = qi_batch_submit(&fake->iommu, &batch);
	KUNIT_EXPECT_EQ(test, qi_poll(&fake->iommu, cookie, &silent), -EINPROGRESS);
	fake_time_out(fake);
	expect_wait(test, hit, -EAGAIN, SILENT);
	expect_wait(test, cookie, -EBUSY, 0);
	expect_works(test);
}

/* What is sent again after -EBUSY comes to an end. */
static void dead_queue_is_not_busy_for_ever(struct kunit *test)
{
	struct fake *fake = test->priv;
	unsigned int tries;
	u16 silent;
	u64 cookie;
	int ret;

	fake->fetch = 0;
	cookie = fill(test);
	fake->dead = true;
	fake->fetch = UINT_MAX;
	fake_run(fake);
	ret = wait_for(fake, cookie, &silent);
	KUNIT_EXPECT_EQ(test, ret, -EBUSY);
	for (tries = 0; tries < 8 && ret == -EBUSY; tries++)
		ret = wait_for(fake, submit(fake, ANSWERS, 0), &silent);
	KUNIT_EXPECT_EQ(test, ret, -EIO);
}

static void dead_queue_fails(struct kunit *test)
{
	struct fake *fake = test->priv;
	int i;

	fake->dead = true;
	for (i = 0; i < 3; i++)
		expect_wait(test, submit(fake, ANSWERS, 0), -EIO, 0);
}

/* IQE is seen again until the hardware has taken what was written: that is no second error. */
static void late_clear_is_waited_for(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	unsigned int i;
	u64 hit, other;
	u16 silent;

	for (i = 1; i < 4; i++) {
		qi_batch_init(&batch);
		add_iotlb(fake, &batch);
		qi_batch_add(&fake->iommu, &batch, BAD_TYPE, 0);
		add_iotlb(fake, &batch);
		fake->late = 100;
		hit = qi_batch_submit(&fake->iommu, &batch);
		KUNIT_EXPECT_EQ(test, qi_poll(&fake->iommu, hit, &silent), -EINPROGRESS);
		/* The queue is used meanwhile. */
		other = submit(fake, ANSWERS, 0);
		expect_wait(test, hit, -EINVAL, 0);
		expect_wait(test, other, 0, 0);
		KUNIT_EXPECT_EQ(test, fake->late, 0);
		KUNIT_EXPECT_EQ(test, fake->qi.errors, i);
	}
	expect_works(test);
}

static void device_that_was_asked_alone(struct kunit *test)
{
	struct qi_desc desc = { .qw0 = QI_DEV_IOTLB_SID(ANSWERS) | QI_DIOTLB_TYPE };
	struct fake *fake = test->priv;
	u64 hit;

	hit = submit(fake, SILENT, 0);
	fake_time_out(fake);
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, 0), 0);
	expect_wait(test, hit, -EAGAIN, SILENT);
	expect_works(test);
}

/* Always aborted, and nothing says why: it is safe to set aside what was asked. */
static void device_that_is_never_reached(struct kunit *test)
{
	struct qi_desc desc = { .qw0 = QI_DEV_IOTLB_SID(ANSWERS) | QI_DIOTLB_TYPE };
	struct device_domain_info *info = new_device(test, ANSWERS);
	struct fake *fake = test->priv;

	fake->busy = true;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, 0), -ETIMEDOUT);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&info->endpoint));
	fake->busy = false;
	expect_works(test);
}

/* Each of those that abort is set aside, and the one that was asked is reached. */
static void others_that_abort_are_set_aside(struct kunit *test)
{
	struct qi_desc desc = { .qw0 = QI_DEV_IOTLB_SID(ANSWERS) | QI_DIOTLB_TYPE };
	struct device_domain_info *info = new_device(test, ANSWERS), *other[OTHERS];
	struct fake *fake = test->priv;
	int i;

	for (i = 0; i < OTHERS; i++)
		other[i] = new_device(test, OTHER(i));
	fake->aborts = OTHERS;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, fake->aborted, OTHERS);
	KUNIT_EXPECT_EQ(test, fake->executed, 1);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&info->endpoint));
	for (i = 0; i < OTHERS; i++)
		KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&other[i]->endpoint));
	expect_works(test);
}

/* A device that the driver does not know cannot be set aside: that comes to an end, too. */
static void aborts_by_unknown_devices_end(struct kunit *test)
{
	struct qi_desc desc = { .qw0 = QI_DEV_IOTLB_SID(ANSWERS) | QI_DIOTLB_TYPE };
	struct device_domain_info *info = new_device(test, ANSWERS);
	struct fake *fake = test->priv;

	fake->aborts = OTHERS;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, 0), -ETIMEDOUT);
	KUNIT_EXPECT_LT(test, fake->aborted, OTHERS);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&info->endpoint));
	fake->aborts = fake->aborted;
	expect_works(test);
}

/* What asks no device is repeated until it is done. */
static void aborts_do_not_fail_the_iotlb(struct kunit *test)
{
	struct qi_desc desc = { .qw0 = QI_IOTLB_TYPE };
	struct fake *fake = test->priv;

	fake->aborts = OTHERS;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, fake->executed, 1);
	KUNIT_EXPECT_FALSE(test, fake->qi.failed);
}

static void rejected_once_is_sent_again(struct kunit *test)
{
	struct qi_desc iotlb = { .qw0 = QI_IOTLB_TYPE };
	struct qi_desc atc = { .qw0 = QI_DEV_IOTLB_SID(ANSWERS) | QI_DIOTLB_TYPE };
	struct device_domain_info *info = new_device(test, ANSWERS);
	struct fake *fake = test->priv;

	fake->rejects = 1;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &iotlb, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, fake->executed, 1);
	fake->rejects = 2;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &atc, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, fake->executed, 2);
	KUNIT_EXPECT_EQ(test, fake->rejected, 2);
	KUNIT_EXPECT_FALSE(test, fake->qi.failed);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&info->endpoint));
}

/* An ATC that cannot be invalidated is made useless; of anything else, it is remembered. */
static void rejected_for_good(struct kunit *test)
{
	struct qi_desc iotlb = { .qw0 = QI_IOTLB_TYPE };
	struct qi_desc atc = { .qw0 = QI_DEV_IOTLB_SID(ANSWERS) | QI_DIOTLB_TYPE };
	struct device_domain_info *info = new_device(test, ANSWERS);
	struct fake *fake = test->priv;

	fake->rejects = UINT_MAX;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &atc, 1, 0), -EINVAL);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&info->endpoint));
	KUNIT_EXPECT_FALSE(test, fake->qi.failed);
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &iotlb, 1, 0), -EINVAL);
	KUNIT_EXPECT_TRUE(test, fake->qi.failed);
	KUNIT_EXPECT_EQ(test, fake->executed, 0);
	fake->rejects = 0;
	expect_works(test);
}

/* Hardware that does not know how to drain is not blamed for it, nor is the device. */
static void rejected_drain(struct kunit *test)
{
	struct qi_desc desc[2] = {
		{ .qw0 = QI_IWD_FENCE | QI_IWD_TYPE },
		{ .qw0 = QI_DEV_IOTLB_SID(ANSWERS) | QI_DIOTLB_TYPE },
	};
	struct device_domain_info *info = new_device(test, ANSWERS);
	struct fake *fake = test->priv;

	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, desc, 2, QI_OPT_WAIT_DRAIN), -EINVAL);
	KUNIT_EXPECT_EQ(test, fake->executed, 1);
	KUNIT_EXPECT_FALSE(test, fake->qi.failed);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&info->endpoint));
}

/* The driver goes on with registers where a queue could not be made. */
static void no_queue(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;

	fake->iommu.qi = NULL;
	qi_batch_init(&batch);
	KUNIT_EXPECT_EQ(test, qi_batch_submit(&fake->iommu, &batch), 0);
	expect_wait(test, submit(fake, ANSWERS, 0), -EIO, 0);
	add_piece(fake, &batch, ANSWERS);
	expect_wait(test, qi_batch_submit(&fake->iommu, &batch), -EIO, 0);
}

/*
 * Attachments
 */

/* A domain with a device attached, by a context entry or by entry 0 of its PASID table. */
struct world {
	struct fake *fake;
	struct dmar_domain domain;
	struct iommu_attach_elm elm;
	struct device_domain_info *info;
	struct context_entry *context;
	struct device *dev;
	struct dev_iommu dev_iommu;
	struct pasid_table table;
	struct pasid_dir_entry *dir;
	struct pasid_entry *entry;
};

static void *new_page(struct kunit *test)
{
	void *page = kunit_kzalloc(test, SZ_4K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_TRUE(test, IS_ALIGNED((unsigned long)page, SZ_4K));
	return page;
}

static int attach_init(struct kunit *test)
{
	struct world *world;
	struct fake *fake;
	void *table;
	int ret;

	ret = queue_init(test);
	if (ret)
		return ret;
	fake = test->priv;
	fake->times_out = true;
	fake->iommu.gcmd = DMA_GCMD_TE;
	spin_lock_init(&fake->iommu.lock);
	mutex_init(&fake->iommu.did_lock);
	ida_init(&fake->iommu.domain_ida);
	fake->iommu.max_domain_id = 16;
	KUNIT_ASSERT_EQ(test, iommu_attach_fence_init(&fake->iommu.fence), 0);

	world = kunit_kzalloc(test, sizeof(*world), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, world);
	world->fake = fake;
	world->info = new_device(test, SILENT);
	iommu_attach_init(&world->domain.alist);
	world->domain.domain.type = IOMMU_DOMAIN_UNMANAGED;

	fake->iommu.root_entry = new_page(test);
	table = new_page(test);
	fake->iommu.root_entry[world->info->bus].lo = virt_to_phys(table) | 1;
	world->context = iommu_context_addr(&fake->iommu, world->info->bus,
					    world->info->devfn, 0);

	world->entry = new_page(test);
	world->dir = new_page(test);
	world->dir->val = virt_to_phys(world->entry) | PASID_PTE_PRESENT;
	world->table.table = world->dir;
	world->table.max_pasid = 64;
	world->info->pasid_table = &world->table;
	world->dev = kunit_device_register(test, "fake");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, world->dev);
	world->dev->iommu = &world->dev_iommu;
	world->dev_iommu.priv = world->info;

	world->elm = (struct iommu_attach_elm){
		.iommu_device = &fake->iommu.iommu,
		.fence = &fake->iommu.fence,
		.endpoint = &world->info->endpoint,
		.tag = 5,
		.atc = SILENT,
		.pasid = IOMMU_NO_PASID,
		.using_atc = true,
	};
	iommu_attach_elm_set_device(&world->elm, world->dev);
	KUNIT_ASSERT_GE(test, iommu_attach_add(&world->domain.alist, &world->elm), 0);
	intel_context_set_present(&fake->iommu, world->info, world->context);
	test->priv = world;
	return 0;
}

static void attach_exit(struct kunit *test)
{
	struct world *world = test->priv;

	iommu_attach_del(&world->domain.alist, &world->elm);
	iommu_attach_drain(&world->fake->iommu.fence);
	iommu_attach_destroy(&world->domain.alist);
	iommu_attach_fence_destroy(&world->fake->iommu.fence);
	ida_destroy(&world->fake->iommu.domain_ida);
	world->dev->iommu = NULL;
}

static bool may_use_atc(struct world *world)
{
	return READ_ONCE(world->context->lo) & BIT_ULL(2);
}

static int unmap(struct world *world)
{
	return cache_tag_flush_range(&world->domain, SZ_4K, 2 * SZ_4K - 1, 1);
}

/* A context entry lets the device's ATC in only if flushes reach it. */
static void present_entry_looks_at_the_device(struct kunit *test)
{
	struct world *world = test->priv;
	struct device_domain_info *info = world->info;
	struct context_entry entry = {};

	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, BIT_ULL(2) | 1);

	iommu_attach_set_aside(&info->endpoint);
	entry.lo = 0;
	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, 1);

	iommu_attach_blocked(&info->endpoint);
	entry.lo = 0;
	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, 1);

	iommu_attach_resume(&info->endpoint);
	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, BIT_ULL(2) | 1);

	info->ats_enabled = 0;
	entry.lo = 0;
	intel_context_set_present(info->iommu, info, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, 1);

	entry.lo = 0;
	intel_context_set_present(info->iommu, NULL, &entry);
	KUNIT_EXPECT_EQ(test, entry.lo, 1);
}

static void silent_device_is_blocked(struct kunit *test)
{
	struct world *world = test->priv;
	unsigned int executed;

	KUNIT_EXPECT_TRUE(test, may_use_atc(world));
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&world->info->endpoint));
	KUNIT_EXPECT_FALSE(test, may_use_atc(world));

	/* One command to the IOTLB, none to the device. */
	executed = world->fake->executed;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	KUNIT_EXPECT_EQ(test, world->fake->executed, executed + 1);
}

/* Then the device may still use what it has cached, and the caller is told. */
static void silent_device_that_cannot_be_blocked(struct kunit *test)
{
	struct world *world = test->priv;

	world->fake->rejects = UINT_MAX;
	world->fake->rejects_type = QI_CC_TYPE;
	KUNIT_EXPECT_EQ(test, unmap(world), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, unmap(world), -ETIMEDOUT);
	world->fake->rejects = 0;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	KUNIT_EXPECT_FALSE(test, may_use_atc(world));
}

static void failed_flush_is_returned(struct kunit *test)
{
	struct world *world = test->priv;
	struct fake *fake = world->fake;

	fake->rejects = 1;
	fake->rejects_type = QI_IOTLB_TYPE;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);
	fake->rejects = UINT_MAX;
	KUNIT_EXPECT_EQ(test, unmap(world), -EINVAL);
	fake->rejects = 0;
	KUNIT_EXPECT_EQ(test, unmap(world), 0);

	/* With caching mode, a map is flushed, too. */
	fake->iommu.cap = BIT_ULL(7);
	KUNIT_EXPECT_EQ(test, cache_tag_flush_range_np(&world->domain, 0, SZ_4K - 1), 0);
	fake->dead = true;
	KUNIT_EXPECT_EQ(test, cache_tag_flush_range_np(&world->domain, 0, SZ_4K - 1), -EIO);
	KUNIT_EXPECT_EQ(test, unmap(world), -EIO);
}

/* Written pages would not be in the bitmap. */
static void dirty_tracking_fails_with_its_flush(struct kunit *test)
{
	struct world *world = test->priv;
	struct iommu_domain *domain = &world->domain.domain;
	struct pasid_entry *entry = world->entry;

	pasid_set_domain_id(entry, 5);
	pasid_set_translation_type(entry, PASID_ENTRY_PGTT_SL_ONLY);
	pasid_set_present(entry);

	world->fake->rejects = UINT_MAX;
	world->fake->rejects_type = QI_PC_TYPE;
	KUNIT_EXPECT_EQ(test, intel_iommu_set_dirty_tracking(domain, true), -EINVAL);
	KUNIT_EXPECT_FALSE(test, pasid_get_ssade(entry));
	KUNIT_EXPECT_FALSE(test, world->domain.dirty_tracking);

	world->fake->rejects = 0;
	KUNIT_EXPECT_EQ(test, intel_iommu_set_dirty_tracking(domain, true), 0);
	KUNIT_EXPECT_TRUE(test, pasid_get_ssade(entry));
	/* It stays on, whatever comes of being turned on again. */
	world->fake->rejects = UINT_MAX;
	KUNIT_EXPECT_EQ(test, intel_iommu_set_dirty_tracking(domain, true), -EINVAL);
	KUNIT_EXPECT_TRUE(test, pasid_get_ssade(entry));
}

static void coherency_is_not_promised_after_a_failure(struct kunit *test)
{
	struct world *world = test->priv;
	struct iommu_domain *domain = &world->domain.domain;

	world->fake->iommu.ecap |= BIT_ULL(7);
	world->fake->rejects = UINT_MAX;
	world->fake->rejects_type = QI_PC_TYPE;
	KUNIT_EXPECT_FALSE(test, intel_iommu_enforce_cache_coherency_fs(domain));
	world->fake->rejects = 0;
	KUNIT_EXPECT_TRUE(test, intel_iommu_enforce_cache_coherency_fs(domain));
}

/* A DID is used again, unless something may be cached by it. */
static void did_is_kept_after_a_failure(struct kunit *test)
{
	struct qi_desc iotlb = { .qw0 = QI_IOTLB_TYPE };
	struct world *world = test->priv;
	struct intel_iommu *iommu = &world->fake->iommu;
	struct iommu_domain *domain;
	struct dmar_domain *other;
	u16 did[3];
	int i;

	other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other);
	domain = &other->domain;
	domain->type = IOMMU_DOMAIN_UNMANAGED;
	iommu_attach_init(&other->alist);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_FALSE(test, IS_ERR(domain_add_dev_pasid(domain, world->dev, 1)));
		did[i] = domain_id_iommu(other, iommu);
		if (i == 1) {
			world->fake->rejects = UINT_MAX;
			qi_submit_sync(iommu, &iotlb, 1, 0);
			world->fake->rejects = 0;
		}
		domain_remove_dev_pasid(domain, world->dev, 1);
	}
	iommu_attach_destroy(&other->alist);
	KUNIT_EXPECT_EQ(test, did[1], did[0]);
	KUNIT_EXPECT_NE(test, did[2], did[1]);
}

/* A flush that is held up by its IOMMU, in the fence. */
struct held {
	struct world *world;
	struct completion began, go, done;
	unsigned int looks;
};

static void held_iotlb(const struct iommu_attach_group *group, void *arg)
{
}

static u64 held_submit(struct iommu_device *iommu_device, void *arg)
{
	return 1;
}

static int held_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct held *held = arg;

	/* The first look is in an RCU read-side section, later ones in the fence. */
	if (!held->looks++)
		return -EINPROGRESS;
	if (held->looks == 2)
		complete(&held->began);
	if (completion_done(&held->go))
		return 0;
	msleep(20);
	return -EINPROGRESS;
}

static const struct iommu_attach_flush_ops held_ops = {
	.iotlb = held_iotlb,
	.submit = held_submit,
	.wait = held_wait,
};

static int held_flush(void *arg)
{
	struct held *held = arg;

	iommu_attach_flush(&held->world->domain.alist, &held_ops, held);
	complete(&held->done);
	return 0;
}

static int resume(void *arg)
{
	struct held *held = arg;

	intel_iommu_resume(held->world->info);
	/* A test that fails has looked already, and looks again. */
	complete_all(&held->done);
	return 0;
}

static void begin(struct kunit *test, struct held *held, int (*function)(void *))
{
	held->world = test->priv;
	init_completion(&held->began);
	init_completion(&held->go);
	init_completion(&held->done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(function, held, "held")));
}

/*
 * Before a device gets another chance, those that may be about to set it aside are over; and
 * before the IOMMU answers it, those that have left it out.
 */
static void resume_waits_for_flushes(struct kunit *test)
{
	struct held before = {}, between = {}, back = {};
	struct world *world = test->priv;
	struct device_domain_info *info = world->info;
	int looks;

	if (sm_supported(info->iommu))
		kunit_skip(test, "in scalable mode it turns ATS off and on in the device");

	iommu_attach_set_aside(&info->endpoint);
	iommu_attach_blocked(&info->endpoint);
	begin(test, &before, held_flush);
	wait_for_completion(&before.began);
	begin(test, &back, resume);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&back.done, HZ / 4), 0);
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&info->endpoint));

	begin(test, &between, held_flush);
	wait_for_completion(&between.began);
	complete(&before.go);
	wait_for_completion(&before.done);
	for (looks = 0; iommu_attach_is_aside(&info->endpoint) && looks < 1500; looks++)
		msleep(20);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&info->endpoint));
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&back.done, HZ / 4), 0);

	complete(&between.go);
	wait_for_completion(&between.done);
	wait_for_completion(&back.done);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&info->endpoint));
}

/* Legacy mode has 128 bits a descriptor, scalable mode 256. */
static const u64 widths[] = { 0, BIT_ULL(43) };

static void width_to_text(const u64 *ecap, char *text)
{
	snprintf(text, KUNIT_PARAM_DESC_SIZE, "%u bits", *ecap ? 256 : 128);
}

KUNIT_ARRAY_PARAM(width, widths, width_to_text);

#define CASE(name)	KUNIT_CASE_PARAM(name, width_gen_params)

static struct kunit_case queue_cases[] = {
	CASE(submission_completes),
	CASE(number_outlives_slot),
	CASE(bad_descriptor_at_each_position),
	CASE(several_bad_descriptors),
	CASE(bad_wait_descriptor),
	CASE(bad_fence_within_submission),
	CASE(timeout_names_device),
	CASE(timeout_aborts_what_was_fetched),
	CASE(timeout_of_only_device),
	CASE(timeout_of_unknown_device),
	CASE(timeout_of_a_piece),
	CASE(timeout_of_a_piece_of_unknown_device),
	CASE(timeout_of_others_hits_a_piece),
	CASE(bad_descriptor_in_a_piece),
	CASE(fault_outlives_slot),
	CASE(full_queue_fails),
	CASE(full_behind_a_pending_piece),
	CASE(full_behind_a_complete_piece),
	CASE(late_clear_is_waited_for),
	CASE(dead_queue_fails),
	CASE(dead_queue_is_not_busy_for_ever),
	CASE(device_that_was_asked_alone),
	CASE(device_that_is_never_reached),
	CASE(others_that_abort_are_set_aside),
	CASE(aborts_by_unknown_devices_end),
	CASE(aborts_do_not_fail_the_iotlb),
	CASE(rejected_once_is_sent_again),
	CASE(rejected_for_good),
	CASE(rejected_drain),
	CASE(no_queue),
	{}
};

static struct kunit_case attach_cases[] = {
	CASE(present_entry_looks_at_the_device),
	CASE(silent_device_is_blocked),
	CASE(silent_device_that_cannot_be_blocked),
	CASE(failed_flush_is_returned),
	CASE(dirty_tracking_fails_with_its_flush),
	CASE(coherency_is_not_promised_after_a_failure),
	CASE(did_is_kept_after_a_failure),
	CASE(resume_waits_for_flushes),
	{}
};

static struct kunit_suite queue_suite = {
	.name = "iommu_alist_vtd_queue",
	.init = queue_init,
	.test_cases = queue_cases,
};

static struct kunit_suite attach_suite = {
	.name = "iommu_alist_vtd_attach",
	.init = attach_init,
	.exit = attach_exit,
	.test_cases = attach_cases,
};

kunit_test_suites(&queue_suite, &attach_suite);
