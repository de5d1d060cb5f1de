// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the invalidation queue, see qi_fake.h
 */
#include "qi_fake.h"

#define OTHERS		20		/* more than a device is asked */

/* No test waits for so many looks. */
#define PATIENCE	1000000

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

/* Whoever is asked ahead or behind, by others. */
static void timeout_of_first_device(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 before, hit, behind;

	fake->no_sid = true;
	before = submit(fake, ANSWERS, 0);
	hit = submit(fake, SILENT, 0);
	behind = submit(fake, OTHER(0), OTHER(1));
	fake_time_out(fake);
	expect_wait(test, before, 0, 0);
	expect_wait(test, hit, -EAGAIN, SILENT);
	expect_wait(test, behind, -EAGAIN, SILENT);
	expect_works(test);
}

/* The next request to it times out later: who was asked in between is not blamed. */
static void timeout_of_a_second_request(struct kunit *test)
{
	struct fake *fake = test->priv;
	u64 hit[2], innocent;

	fake->no_sid = true;
	fake->stalls_again = true;
	hit[0] = submit(fake, SILENT, 0);
	hit[1] = submit(fake, SILENT, 0);
	innocent = submit(fake, ANSWERS, 0);
	fake_time_out(fake);
	expect_wait(test, hit[0], -EAGAIN, SILENT);
	expect_wait(test, hit[1], -EAGAIN, SILENT);
	expect_wait(test, innocent, -EAGAIN, SILENT);
	innocent = submit(fake, ANSWERS, 0);
	fake_time_out(fake);
	expect_wait(test, innocent, -EAGAIN, 0);
	/* All that was asked has come to an end. */
	expect_works(test);
	hit[0] = submit(fake, SILENT, 0);
	fake_time_out(fake);
	expect_wait(test, hit[0], -EAGAIN, SILENT);
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

/* A page response that is refused leaves nothing in a cache. */
static void page_response_that_is_refused(struct kunit *test)
{
	struct qi_desc desc = { .qw0 = QI_PGRP_RESP_TYPE };
	struct fake *fake = test->priv;

	fake->rejects = UINT_MAX;
	fake->rejects_type = QI_PGRP_RESP_TYPE;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, 0), -EINVAL);
	KUNIT_EXPECT_FALSE(test, fake->qi.failed);
	desc.qw0 = QI_IOTLB_TYPE;
	fake->rejects_type = QI_IOTLB_TYPE;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &desc, 1, 0), -EINVAL);
	KUNIT_EXPECT_TRUE(test, fake->qi.failed);
	fake->rejects = 0;
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

/* Nothing is cached by an interrupt entry. */
static void rejected_interrupt_entry(struct kunit *test)
{
	struct qi_desc iec = { .qw0 = QI_IEC_TYPE };
	struct fake *fake = test->priv;

	fake->rejects = UINT_MAX;
	KUNIT_EXPECT_EQ(test, qi_submit_sync(&fake->iommu, &iec, 1, 0), -EINVAL);
	KUNIT_EXPECT_FALSE(test, fake->qi.failed);
}

/* A device answers what it was not asked: nothing stops, and nothing is sent again. */
static void unexpected_answer(struct kunit *test)
{
	struct fake *fake = test->priv;
	struct qi_batch batch;
	unsigned int i;
	u16 silent;
	u64 cookie;

	fake->fetch = 0;
	qi_batch_init(&batch);
	for (i = 0; i < QI_MAX_BATCHED_DESC_COUNT + 1; i++)
		add_iotlb(fake, &batch);
	cookie = qi_batch_submit(&fake->iommu, &batch);
	fake->fsts = DMA_FSTS_ICE;
	fake_run(fake);
	for (i = 0; fake->fsts && i < PATIENCE; i++)
		qi_poll(&fake->iommu, cookie, &silent);
	KUNIT_EXPECT_EQ(test, fake->fsts, 0);
	fake->fetch = UINT_MAX;
	fake_run(fake);
	expect_wait(test, cookie, 0, 0);
	KUNIT_EXPECT_EQ(test, fake->executed, QI_MAX_BATCHED_DESC_COUNT + 1);
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
	CASE(timeout_of_first_device),
	CASE(timeout_of_a_second_request),
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
	CASE(page_response_that_is_refused),
	CASE(others_that_abort_are_set_aside),
	CASE(aborts_by_unknown_devices_end),
	CASE(aborts_do_not_fail_the_iotlb),
	CASE(rejected_once_is_sent_again),
	CASE(rejected_for_good),
	CASE(rejected_drain),
	CASE(rejected_interrupt_entry),
	CASE(unexpected_answer),
	CASE(no_queue),
	{}
};

static struct kunit_suite queue_suite = {
	.name = "iommu_alist_vtd_queue",
	.init = queue_init,
	.test_cases = queue_cases,
};

kunit_test_suite(queue_suite);
