// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the invalidation queue
 *
 * The registers are memory, and the hardware is a function that is called where the driver
 * writes a register: each interleaving is the same in every run. It does what sections 6.5.2
 * and 11.4.9 of the architecture specification say about errors, and is as strict about wait
 * descriptors as QEMU.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>

#include "iommu.h"

#define BAD_TYPE	0xf
#define SILENT		0x0308
#define ANSWERS		0x0410

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
	bool busy;			/* others abort, and use slots again */
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

	if (reg == DMAR_FSTS_REG)
		fake->fsts &= ~value;
	if (reg == DMAR_IQT_REG) {
		if (fake->busy && fake->tail != value >> qi_shift(iommu))
			fake->fsts |= DMA_FSTS_ITE;
		fake->tail = value >> qi_shift(iommu);
	}
	fake_run(fake);
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

	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, desc, 2, 0), -EINVAL);
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

/* Always aborted, and nothing says why: the caller is told to set aside what it asked. */
static void device_that_is_never_reached(struct kunit *test)
{
	struct qi_desc desc = { .qw0 = QI_DEV_IOTLB_SID(ANSWERS) | QI_DIOTLB_TYPE };
	struct fake *fake = test->priv;
	u16 silent;

	fake->busy = true;
	KUNIT_EXPECT_EQ(test, qi_submit_wait(&fake->iommu, &desc, 1, 0, &silent), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, silent, ANSWERS);
	fake->busy = false;
	expect_works(test);
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
	CASE(dead_queue_fails),
	CASE(dead_queue_is_not_busy_for_ever),
	CASE(device_that_was_asked_alone),
	CASE(device_that_is_never_reached),
	{}
};

static struct kunit_suite queue_suite = {
	.name = "iommu_alist_vtd_queue",
	.init = queue_init,
	.test_cases = queue_cases,
};

kunit_test_suite(queue_suite);
