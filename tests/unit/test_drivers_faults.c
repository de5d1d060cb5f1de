// SPDX-License-Identifier: GPL-2.0-only
/*
 * The example drivers on hardware that fails: refused commands, devices that do not
 * answer, context entries that are fetched while they are written.
 *
 * All cases run for all vendors, unless a vendor is in their name. Time is model time:
 * the hardware gives a device TIMEOUT steps, and each look of a driver is one.
 */
#include "machine.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#define IOVA		UINT64_C(0x10000000)
#define PA		UINT64_C(0x30000000)
#define NONE		IOMMU_NO_PASID
#define TIMEOUT		10

static void start(struct machine *m, void **state)
{
	unsigned int i;

	machine_init(m, *(enum model_vendor *)*state, 2);
	for (i = 0; i < m->nr; i++)
		model_set_time(m->hw[i], 0, TIMEOUT);
}

static void stop(struct machine *m)
{
	unsigned int i;

	for (i = 0; i < m->nr; i++) {
		assert_int_equal(model_stale_entries(m->hw[i]), 0);
		iommu_remove(m->iommu[i]);
		model_iommu_destroy(m->hw[i]);
	}
	shim_rcu_barrier();
	assert_int_equal(shim_live(), m->live);
}

static void attach(struct domain *domain, struct device *device)
{
	assert_int_equal(domain_attach(domain, device, NONE), 0);
}

static unsigned int sent(const struct machine *m, enum model_class class)
{
	unsigned int i, n = 0;

	for (i = 0; i < m->nr_cmds; i++)
		n += m->cmd[i].class == class;
	return n;
}

/* The ATC commands for one device, by the raw command. */
static unsigned int sent_to(const struct machine *m, const struct device *device)
{
	unsigned int i, n = 0;
	char text[128], name[32];
	uint64_t cmd[MODEL_CMD_WORDS] = { 0 };

	snprintf(name, sizeof(name), "ATC dev 0x%" PRIx32 " ", device->rid);
	for (i = 0; i < m->nr_cmds; i++) {
		memcpy(cmd, m->cmd[i].word, sizeof(m->cmd[i].word));
		model_decode(m->driver->vendor, cmd, text, sizeof(text));
		n += !strncmp(text, name, strlen(name));
	}
	return n;
}

static int unmap_and_flush(struct domain *domain, struct gather *gather)
{
	assert_int_equal(domain_unmap(domain, IOVA, PAGE, gather), 0);
	return domain_sync(domain, gather);
}

static bool is_aside(struct device *device)
{
	return iommu_attach_is_aside(&device->endpoint);
}

/*
 * Refused commands
 */

/* A command of reserved bits, whatever the vendor. */
static void make_bad(const struct machine *m, uint64_t *cmd)
{
	memset(cmd, 0, MODEL_CMD_WORDS * sizeof(*cmd));
	cmd[0] = m->driver->vendor == MODEL_AMD ? UINT64_C(15) << 60 : 0x7f;
}

/* A command that is right, of the whole IOTLB, and that no test looks for. */
static void make_good(const struct machine *m, uint64_t *cmd)
{
	static const uint64_t word[MODEL_VENDORS] = {
		[MODEL_VTD] = 0x12,			/* 6.5.2.3, global */
		[MODEL_SMMUV3] = 0x30,			/* 4.4.4 TLBI_NSNH_ALL */
		[MODEL_AMD] = UINT64_C(8) << 60,	/* 2.4.8 */
		[MODEL_RISCV] = 0x81,			/* 3.1.1 GVMA, all */
	};

	memset(cmd, 0, MODEL_CMD_WORDS * sizeof(*cmd));
	cmd[0] = word[m->driver->vendor];
}

static void send_batch(struct machine *m, unsigned int good, unsigned int bad_at,
		       uint64_t *cookie)
{
	uint64_t cmd[MODEL_CMD_WORDS];
	struct batch batch = { 0 };
	unsigned int i;

	for (i = 0; i < good; i++) {
		if (i == bad_at)
			make_bad(m, cmd);
		else
			make_good(m, cmd);
		batch_add(&batch, m->iommu[0], cmd);
	}
	*cookie = batch_sync(&batch, m->iommu[0]);
	if (bad_at != good)
		return;
	/* The wait itself. */
	make_bad(m, cmd);
	memcpy(&model_queue(m->hw[0])[(uint32_t)*cookie % model_queue_entries(m->hw[0]) *
				      model_cmd_words(m->driver->vendor)],
	       cmd, model_cmd_words(m->driver->vendor) * sizeof(*cmd));
}

#define GOOD		4
#define NO_POSITION	100

static void pitfall_30_error_at_each_position(void **state)
{
	uint64_t before, mine, after;
	unsigned int position;
	struct machine m;

	start(&m, state);
	for (position = 0; position <= GOOD; position++) {
		machine_forget(&m);
		/* All three are in the queue before the hardware looks at any. */
		model_pause(m.hw[0], true);
		send_batch(&m, GOOD, NO_POSITION, &before);
		send_batch(&m, GOOD, position, &mine);
		send_batch(&m, GOOD, NO_POSITION, &after);
		model_pause(m.hw[0], false);
		assert_int_equal(queue_wait(m.iommu[0], after), 0);
		assert_int_equal(queue_wait(m.iommu[0], mine), -EINVAL);
		assert_int_equal(queue_wait(m.iommu[0], before), 0);
		/* The rest of it was executed; a wait took the bad one's place. */
		assert_int_equal(sent(&m, MODEL_IOTLB), 3 * GOOD - (position < GOOD));
		assert_int_equal(sent(&m, MODEL_SYNC), 3 + (position < GOOD));
	}
	assert_int_equal(model_faults(m.hw[0], NULL), GOOD + 1);
	/* No trace of it: the next one that comes to the same entries is told nothing. */
	for (position = 0; position < 100; position++) {
		machine_forget(&m);
		send_batch(&m, GOOD, NO_POSITION, &after);
		assert_int_equal(queue_wait(m.iommu[0], after), 0);
	}
	stop(&m);
}

/* Several at once: each of them is told, nobody else, and the queue goes on. */
static void pitfall_30_two_flushes_with_errors(void **state)
{
	uint64_t cookie[5];
	unsigned int i;
	struct machine m;

	start(&m, state);
	model_pause(m.hw[0], true);
	for (i = 0; i < 5; i++)
		send_batch(&m, GOOD, i % 2 ? i : NO_POSITION, &cookie[i]);
	model_pause(m.hw[0], false);
	for (i = 0; i < 5; i++)
		assert_int_equal(queue_wait(m.iommu[0], cookie[i]), i % 2 ? -EINVAL : 0);
	assert_int_equal(model_faults(m.hw[0], NULL), 2);
	stop(&m);
}

/*
 * Devices that do not answer
 */

struct silent {
	struct machine m;
	struct domain *domain;
	struct device *silent;		/* behind IOMMU 0 */
	struct device *sibling;		/* the same */
	struct device *other;		/* behind IOMMU 1 */
};

static void start_silent(struct silent *s, void **state)
{
	start(&s->m, state);
	s->domain = machine_domain(&s->m, false, NULL);
	s->silent = machine_device(&s->m, 0, 1, true);
	s->sibling = machine_device(&s->m, 0, 2, true);
	s->other = machine_device(&s->m, 1, 3, true);
	attach(s->domain, s->silent);
	attach(s->domain, s->sibling);
	attach(s->domain, s->other);
	map(s->domain, IOVA, PA, PAGE);
	assert_int_equal(dma(s->silent, NONE, IOVA), PA);
	assert_int_equal(dma(s->sibling, NONE, IOVA), PA);
	assert_int_equal(dma(s->other, NONE, IOVA), PA);
	model_dev_set_silent(s->silent->hw, true);
	machine_forget(&s->m);
}

static void stop_silent(struct silent *s)
{
	device_remove(s->silent);
	device_remove(s->sibling);
	device_remove(s->other);
	domain_free(s->domain);
	stop(&s->m);
}

static void pitfall_31_silent_device_is_asked_no_more(void **state)
{
	struct gather gather = { 0 };
	unsigned int asked, i;
	struct silent s;

	start_silent(&s, state);
	/* An error, in bounded time, that names the device: it is set aside. */
	assert_int_equal(unmap_and_flush(s.domain, &gather), -ETIMEDOUT);
	assert_true(is_aside(s.silent));
	assert_false(is_aside(s.sibling));
	assert_false(is_aside(s.other));
	assert_in_range(model_now(s.m.hw[0]), TIMEOUT, 20 * TIMEOUT);
	asked = sent_to(&s.m, s.silent);
	assert_in_range(asked, 1, 2);
	/* All others are clean. */
	assert_true(dma_is_stale(s.silent, IOVA));
	assert_false(dma_is_stale(s.sibling, IOVA));
	assert_false(dma_is_stale(s.other, IOVA));

	/* It may still use what it has, so that flushes go on to fail, but at once. */
	machine_forget(&s.m);
	for (i = 0; i < 5; i++)
		assert_int_equal(domain_sync(s.domain, &gather), -ETIMEDOUT);
	assert_int_equal(sent_to(&s.m, s.silent), 0);
	assert_int_equal(sent_to(&s.m, s.sibling), 5);
	assert_int_equal(model_faults(s.m.hw[0], NULL), asked);

	/* Refused by the IOMMU, it is nobody's concern any more. */
	device_quarantine(s.silent);
	assert_false(dma_is_stale(s.silent, IOVA));
	assert_int_equal(domain_sync(s.domain, &gather), 0);
	assert_int_equal(sent_to(&s.m, s.silent), 0);

	/* Back, it is sent to again, and answers. */
	model_dev_set_silent(s.silent->hw, false);
	assert_int_equal(device_reset(s.silent), 0);
	assert_false(is_aside(s.silent));
	map(s.domain, IOVA, PA, PAGE);
	assert_int_equal(dma(s.silent, NONE, IOVA), PA);
	machine_forget(&s.m);
	assert_int_equal(unmap_and_flush(s.domain, &gather), 0);
	assert_int_equal(sent_to(&s.m, s.silent), 1);
	assert_false(dma_is_stale(s.silent, IOVA));
	stop_silent(&s);
}

/* Pulled out in the middle of it: the same, and all that is left to do can be done. */
static void pitfall_31_device_is_pulled_out(void **state)
{
	struct gather gather = { 0 };
	struct silent s;

	start_silent(&s, state);
	model_dev_unplug(s.silent->hw);
	assert_int_equal(unmap_and_flush(s.domain, &gather), -ETIMEDOUT);
	assert_true(is_aside(s.silent));
	machine_forget(&s.m);
	device_remove(s.silent);
	assert_int_equal(sent(&s.m, MODEL_ATC), 0);
	assert_int_equal(domain_sync(s.domain, &gather), 0);
	device_remove(s.sibling);
	device_remove(s.other);
	domain_free(s.domain);
	stop(&s.m);
}

/* The first to notice is a detach: it ends, and the device has no way to the memory. */
static void pitfall_31_detach_finds_the_device_silent(void **state)
{
	struct silent s;

	start_silent(&s, state);
	domain_detach(s.silent, NONE);
	assert_true(is_aside(s.silent));
	assert_int_equal(dma(s.silent, NONE, IOVA), 0);
	unmap(s.domain, IOVA, PAGE);
	stop_silent(&s);
}

/* Nobody else's flush fails, and tables stay as long as they may be in use. */
static void pitfall_32_nobody_else_is_failed(void **state)
{
	struct gather mine = { 0 }, theirs = { 0 };
	struct domain *domain;
	struct device *device;
	struct silent s;
	unsigned int i;

	start_silent(&s, state);
	domain = machine_domain(&s.m, false, NULL);
	device = machine_device(&s.m, 0, 4, true);
	attach(domain, device);
	for (i = 0; i < 512; i++)
		map(s.domain, IOVA + MODEL_PAGE_SIZE * (512 + i), PA, PAGE);
	map(domain, IOVA, PA, PAGE);
	assert_int_equal(dma(device, NONE, IOVA), PA);

	assert_int_equal(domain_unmap(s.domain, IOVA, PAGE, &mine), 0);
	assert_int_equal(domain_unmap(s.domain, IOVA + MODEL_PAGE_SIZE * 512,
				      MODEL_PAGE_SIZE * 512, &mine), 0);
	assert_non_null(mine.unmapped.tables);
	assert_int_equal(domain_sync(s.domain, &mine), -ETIMEDOUT);
	/* What was to be freed is still ours to free. */
	assert_non_null(mine.unmapped.tables);
	assert_int_equal(mine.unmapped.bytes, PAGE + MODEL_PAGE_SIZE * 512);
	assert_int_equal(unmap_and_flush(domain, &theirs), 0);
	assert_false(dma_is_stale(device, IOVA));

	device_quarantine(s.silent);
	assert_int_equal(domain_sync(s.domain, &mine), 0);
	assert_null(mine.unmapped.tables);
	device_remove(device);
	domain_free(domain);
	stop_silent(&s);
}

struct flusher {
	struct domain *domain;
	struct gather gather;
	int ret;
	pthread_t thread;
};

static void *flush_thread(void *arg)
{
	struct flusher *flusher = arg;

	flusher->ret = domain_sync(flusher->domain, &flusher->gather);
	return NULL;
}

/*
 * Twenty flushes behind one IOMMU wait at the same time, one of which is for the silent
 * device, with a queue that they fill.
 */
static void pitfall_32_nobody_else_is_failed_with_a_full_queue(void **state)
{
	struct model_config config = {
		.vendor = *(enum model_vendor *)*state, .queue_log2 = 3, .threaded = true,
	};
	struct flusher flusher[20];
	struct device *device[20];
	unsigned int i;
	struct machine m;

	machine_init(&m, config.vendor, 0);
	m.nr = 1;
	m.hw[0] = model_iommu_create(&config);
	assert_non_null(m.hw[0]);
	m.iommu[0] = iommu_probe(m.hw[0], false);
	assert_non_null(m.iommu[0]);
	model_set_time(m.hw[0], 0, TIMEOUT);
	for (i = 0; i < ARRAY_SIZE(flusher); i++) {
		device[i] = machine_device(&m, 0, i, true);
		flusher[i] = (struct flusher){ .domain = machine_domain(&m, false, NULL) };
		attach(flusher[i].domain, device[i]);
		map(flusher[i].domain, IOVA, PA, PAGE);
		assert_int_equal(dma(device[i], NONE, IOVA), PA);
		assert_int_equal(domain_unmap(flusher[i].domain, IOVA, PAGE,
					      &flusher[i].gather), 0);
	}
	model_dev_set_silent(device[7]->hw, true);
	model_pause(m.hw[0], true);
	for (i = 0; i < ARRAY_SIZE(flusher); i++)
		assert_int_equal(pthread_create(&flusher[i].thread, NULL, flush_thread,
						&flusher[i]), 0);
	while (model_now(m.hw[0]) < 2 * ARRAY_SIZE(flusher))
		sched_yield();
	model_pause(m.hw[0], false);
	for (i = 0; i < ARRAY_SIZE(flusher); i++) {
		pthread_join(flusher[i].thread, NULL);
		assert_int_equal(flusher[i].ret, i == 7 ? -ETIMEDOUT : 0);
		assert_int_equal(is_aside(device[i]), i == 7);
		assert_int_equal(dma_is_stale(device[i], IOVA), i == 7);
	}
	device_quarantine(device[7]);
	assert_int_equal(domain_sync(flusher[7].domain, &flusher[7].gather), 0);
	for (i = 0; i < ARRAY_SIZE(flusher); i++) {
		device_remove(device[i]);
		domain_free(flusher[i].domain);
	}
	stop(&m);
}

/* The whole ATC of a device. */
static void make_atc(const struct machine *m, uint32_t rid, uint64_t *cmd)
{
	const uint64_t whole = INT64_MAX & ~(PAGE - 1);

	memset(cmd, 0, MODEL_CMD_WORDS * sizeof(*cmd));
	switch (m->driver->vendor) {
	case MODEL_VTD:
		cmd[0] = 0x3 | (uint64_t)rid << 32;
		cmd[1] = whole | 1;
		break;
	case MODEL_SMMUV3:
		cmd[0] = 0x40 | (uint64_t)rid << 32;
		cmd[1] = 52;
		break;
	case MODEL_AMD:
		cmd[0] = UINT64_C(4) << 60 | rid;
		cmd[1] = whole | 1;
		break;
	default:
		cmd[0] = 0x4 | (uint64_t)rid << 40;
		cmd[1] = whole | 0x800;
	}
}

/* The timeout is over before the waiter looks: some hardware has completed the wait then. */
static void pitfall_32_completed_wait_is_no_success(void **state)
{
	uint64_t cmd[MODEL_CMD_WORDS], cookie;
	struct batch batch = { 0 };
	struct silent s;

	start_silent(&s, state);
	make_atc(&s.m, s.silent->rid, cmd);
	batch_add(&batch, s.m.iommu[0], cmd);
	cookie = batch_sync(&batch, s.m.iommu[0]);
	model_advance(s.m.hw[0], 10 * TIMEOUT);
	assert_int_equal(queue_wait(s.m.iommu[0], cookie),
			 s.m.driver->atc_rid ? -ETIMEDOUT : -EAGAIN);
	stop_silent(&s);
}

/* A batch that is too large is handed over in parts; another flush comes in between. */
static void pitfall_32_part_of_a_batch_blames_no_other(void **state)
{
	struct batch mine = { 0 }, theirs = { 0 };
	uint64_t cmd[MODEL_CMD_WORDS], cookie;
	struct silent s;
	unsigned int i;
	int ret;

	start_silent(&s, state);
	make_atc(&s.m, s.silent->rid, cmd);
	for (i = 0; i <= ARRAY_SIZE(mine.cmd); i++)
		batch_add(&mine, s.m.iommu[0], cmd);
	assert_int_equal(mine.nr, 1);
	make_good(&s.m, cmd);
	batch_add(&theirs, s.m.iommu[0], cmd);
	cookie = batch_sync(&theirs, s.m.iommu[0]);
	ret = queue_wait(s.m.iommu[0], cookie);
	/* What VT-d and AMD abort, and name the device for, is sent again. */
	if (s.m.driver->atc_rid)
		assert_int_equal(ret, 0);
	else
		assert_true(!ret || ret == -EAGAIN);
	ret = queue_wait(s.m.iommu[0], batch_sync(&mine, s.m.iommu[0]));
	assert_int_equal(ret, s.m.driver->atc_rid ? -ETIMEDOUT : -EAGAIN);
	stop_silent(&s);
}

/* One of ten, then three of ten at once. */
static void pitfall_33_one_of_ten_is_found(void **state)
{
	struct gather gather = { 0 };
	struct device *device[10];
	struct domain *domain;
	unsigned int i, silent;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	for (i = 0; i < 10; i++) {
		device[i] = machine_device(&m, 0, i, true);
		attach(domain, device[i]);
	}
	for (silent = 0; silent < 10; silent++) {
		machine_forget(&m);
		map(domain, IOVA, PA, PAGE);
		for (i = 0; i < 10; i++)
			assert_int_equal(dma(device[i], NONE, IOVA), PA);
		model_dev_set_silent(device[silent]->hw, true);
		if (silent == 9) {
			model_dev_set_silent(device[2]->hw, true);
			model_dev_set_silent(device[5]->hw, true);
		}
		assert_int_equal(unmap_and_flush(domain, &gather), -ETIMEDOUT);
		machine_forget(&m);
		for (i = 0; i < 10; i++) {
			bool found = i == silent || (silent == 9 && (i == 2 || i == 5));

			assert_int_equal(is_aside(device[i]), found);
			assert_int_equal(dma_is_stale(device[i], IOVA), found);
			if (found) {
				device_quarantine(device[i]);
				model_dev_set_silent(device[i]->hw, false);
				assert_int_equal(device_reset(device[i]), 0);
			}
		}
		assert_int_equal(domain_sync(domain, &gather), 0);
	}
	for (i = 0; i < 10; i++)
		device_remove(device[i]);
	domain_free(domain);
	stop(&m);
}

/* More commands than a batch has: the timeout of one is told to this flush. */
static void timeout_of_an_early_part_is_told(void **state)
{
	struct gather gather = { 0 };
	struct device *device[40];
	struct domain *domain;
	unsigned int i, silent;
	struct machine m;

	for (silent = 0; silent < 40; silent += 13) {
		start(&m, state);
		model_set_log(m.hw[0], NULL, NULL);
		domain = machine_domain(&m, false, NULL);
		for (i = 0; i < 40; i++) {
			device[i] = machine_device(&m, 0, i, true);
			attach(domain, device[i]);
		}
		map(domain, IOVA, PA, PAGE);
		for (i = 0; i < 40; i++)
			assert_int_equal(dma(device[i], NONE, IOVA), PA);
		model_dev_set_silent(device[silent]->hw, true);
		assert_int_equal(unmap_and_flush(domain, &gather), -ETIMEDOUT);
		for (i = 0; i < 40; i++) {
			assert_int_equal(is_aside(device[i]), i == silent);
			assert_int_equal(dma_is_stale(device[i], IOVA), i == silent);
		}
		device_quarantine(device[silent]);
		assert_int_equal(domain_sync(domain, &gather), 0);
		for (i = 0; i < 40; i++)
			device_remove(device[i]);
		domain_free(domain);
		stop(&m);
	}
}

/* One IOMMU, with a queue of a size. */
static void start_queue(struct machine *m, void **state, unsigned int queue_log2)
{
	struct model_config config = {
		.vendor = *(enum model_vendor *)*state, .queue_log2 = queue_log2,
	};

	machine_init(m, config.vendor, 0);
	m->nr = 1;
	m->hw[0] = model_iommu_create(&config);
	assert_non_null(m->hw[0]);
	m->iommu[0] = iommu_probe(m->hw[0], false);
	assert_non_null(m->iommu[0]);
	model_set_time(m->hw[0], 0, TIMEOUT);
}

/*
 * The first part of a batch is in the queue, a silent device among it, and the rest finds no
 * room: to send all of it again is not the answer before the hardware is done with the part.
 */
static void pitfall_40_part_in_flight_is_waited_for(void **state)
{
	uint64_t cmd[MODEL_CMD_WORDS], before, cookie, then;
	const unsigned int atc_timeout = 1000;
	struct batch batch = { 0 };
	struct device *device;
	struct machine m;
	unsigned int i;
	int error;

	start_queue(&m, state, 5);
	device = machine_device(&m, 0, 1, true);
	model_dev_set_silent(device->hw, true);
	model_set_time(m.hw[0], 0, atc_timeout);

	model_pause(m.hw[0], true);
	send_batch(&m, 13, NO_POSITION, &before);
	make_atc(&m, device->rid, cmd);
	for (i = 0; i <= ARRAY_SIZE(batch.cmd); i++)
		batch_add(&batch, m.iommu[0], cmd);
	assert_true(batch.handed);
	cookie = batch_sync(&batch, m.iommu[0]);
	model_pause(m.hw[0], false);
	then = model_now(m.hw[0]);

	while ((error = flush_wait(m.iommu[0], cookie, NULL)) == -EINPROGRESS)
		;
	assert_true(model_now(m.hw[0]) - then >= atc_timeout);
	assert_int_equal(error, m.driver->atc_rid ? -ETIMEDOUT : -EAGAIN);
	model_dev_set_silent(device->hw, false);

	/* If all goes well with the part, the whole is to be sent again. */
	model_pause(m.hw[0], true);
	send_batch(&m, 13, NO_POSITION, &before);
	for (i = 0; i <= ARRAY_SIZE(batch.cmd); i++)
		batch_add(&batch, m.iommu[0], cmd);
	cookie = batch_sync(&batch, m.iommu[0]);
	assert_int_equal(flush_wait(m.iommu[0], cookie, NULL), -EINPROGRESS);
	model_pause(m.hw[0], false);
	assert_int_equal(queue_wait(m.iommu[0], cookie), -EBUSY);
	device_remove(device);
	stop(&m);
}

/* The queue is full, and the hardware takes nothing: the flush waits outside of RCU. */
static void pitfall_41_full_queue_holds_up_no_grace_period(void **state)
{
	struct flusher flusher = { 0 };
	struct device *device;
	struct machine m;
	uint64_t cookie;

	start_queue(&m, state, 3);
	flusher.domain = machine_domain(&m, false, NULL);
	device = machine_device(&m, 0, 1, true);
	attach(flusher.domain, device);
	map(flusher.domain, IOVA, PA, PAGE);
	assert_int_equal(dma(device, NONE, IOVA), PA);
	assert_int_equal(domain_unmap(flusher.domain, IOVA, PAGE, &flusher.gather), 0);

	model_pause(m.hw[0], true);
	send_batch(&m, 5, NO_POSITION, &cookie);
	assert_int_equal(pthread_create(&flusher.thread, NULL, flush_thread, &flusher), 0);
	/* It looks for room. */
	while (model_now(m.hw[0]) < 3000)
		sched_yield();
	synchronize_rcu();
	model_pause(m.hw[0], false);
	pthread_join(flusher.thread, NULL);
	assert_int_equal(flusher.ret, 0);
	assert_int_equal(queue_wait(m.iommu[0], cookie), 0);
	assert_false(dma_is_stale(device, IOVA));
	device_remove(device);
	domain_free(flusher.domain);
	stop(&m);
}

/* It never takes one again, with or without room for more: the flush ends, and fails. */
static void pitfall_31_queue_that_has_stopped(void **state)
{
	struct gather gather = { 0 };
	struct domain *domain;
	struct device *device;
	struct machine m;
	uint64_t cookie;
	bool full;

	for (full = false;; full = true) {
		start_queue(&m, state, 3);
		domain = machine_domain(&m, false, NULL);
		device = machine_device(&m, 0, 1, true);
		attach(domain, device);
		map(domain, IOVA, PA, PAGE);
		assert_int_equal(dma(device, NONE, IOVA), PA);

		model_pause(m.hw[0], true);
		if (full)
			send_batch(&m, 6, NO_POSITION, &cookie);
		m.iommu[0]->patience_ns = 1000 * 1000;
		assert_int_equal(unmap_and_flush(domain, &gather), -EIO);
		assert_true(gather.unmapped.bytes > 0);
		/* It does go on: nothing is left of the error. */
		m.iommu[0]->patience_ns = UINT64_MAX;
		model_pause(m.hw[0], false);
		assert_int_equal(domain_sync(domain, &gather), 0);
		assert_false(dma_is_stale(device, IOVA));
		device_remove(device);
		domain_free(domain);
		stop(&m);
		if (full)
			break;
	}
}

/*
 * Devices with several ids
 */

#define IDS		3

static struct device *ids_device(struct machine *m, bool ats)
{
	static const uint32_t rids[IDS] = { 0x20, 0x41, 0x300 };
	struct device *device = device_probe_ids(m->iommu[0], rids, IDS, true);

	assert_non_null(device);
	if (ats)
		assert_int_equal(device_ats_enable(device), 0);
	return device;
}

/* A DMA by one of them. */
static void access_by(struct device *device, unsigned int id, struct model_access *access)
{
	model_dma(device->id[id].hw, MODEL_NO_PASID, IOVA, false, access);
}

static void expect_translated(struct device *device)
{
	struct model_access access;
	unsigned int i;

	for (i = 0; i < IDS; i++) {
		access_by(device, i, &access);
		assert_false(access.fault);
		assert_int_equal(access.paddr, PA);
	}
}

static void expect_refused(struct device *device)
{
	struct model_access access;
	unsigned int i;

	for (i = 0; i < IDS; i++) {
		access_by(device, i, &access);
		assert_true(access.fault);
	}
}

static void pitfall_38_all_ids_are_invalidated(void **state)
{
	const uint32_t taken[] = { 0x40, 0x41 }, many[DEVICE_IDS + 1] = { 0 };
	struct domain *domain, *nest;
	struct device *device;
	struct machine m;
	unsigned int i;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	nest = machine_domain(&m, true, domain);
	device = ids_device(&m, true);
	attach(domain, device);
	for (i = 0; i < 2; i++) {
		map(domain, IOVA, PA, PAGE);
		expect_translated(device);
		machine_forget(&m);
		unmap(domain, IOVA, PAGE);
		/* They are of one group. */
		assert_int_equal(sent(&m, MODEL_IOTLB), 1);
		assert_int_equal(sent(&m, MODEL_ATC), IDS);
		expect_refused(device);
		/* The same if they were attached first, and ATS came then. */
		device_ats_disable(device);
		assert_int_equal(device_ats_enable(device), 0);
	}
	map(domain, IOVA, PA, PAGE);
	expect_translated(device);
	assert_int_equal(domain_attach(nest, device, NONE), -EINVAL);
	expect_translated(device);
	domain_detach(device, NONE);
	expect_refused(device);
	attach(domain, device);
	expect_translated(device);
	domain_lose_iommu(domain, m.iommu[0]);
	assert_true(iommu_attach_empty(&domain->alist));

	/* An id is of one device. */
	assert_null(device_probe_ids(m.iommu[0], taken, 2, true));
	assert_null(device_probe_ids(m.iommu[0], many, DEVICE_IDS + 1, true));
	device_remove(device);
	device = device_probe_ids(m.iommu[0], taken, 2, true);
	assert_non_null(device);
	device_remove(device);
	domain_free(nest);
	domain_free(domain);
	stop(&m);
}

/* By whichever of them it does not answer: it is one device that is set aside, and blocked. */
static void pitfall_38_silent_id_sets_the_device_aside(void **state)
{
	struct gather gather = { 0 };
	struct domain *domain;
	struct device *device;
	unsigned int silent;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	device = ids_device(&m, true);
	attach(domain, device);
	for (silent = 0; silent < IDS; silent++) {
		map(domain, IOVA, PA, PAGE);
		expect_translated(device);
		model_dev_set_silent(device->id[silent].hw, true);
		assert_int_equal(unmap_and_flush(domain, &gather), -ETIMEDOUT);
		assert_true(is_aside(device));
		machine_forget(&m);
		assert_int_equal(domain_sync(domain, &gather), -ETIMEDOUT);
		assert_int_equal(sent(&m, MODEL_ATC), 0);
		device_quarantine(device);
		assert_int_equal(domain_sync(domain, &gather), 0);
		expect_refused(device);
		model_dev_set_silent(device->id[silent].hw, false);
		assert_int_equal(device_reset(device), 0);
	}
	map(domain, IOVA, PA, PAGE);
	expect_translated(device);
	machine_forget(&m);
	unmap(domain, IOVA, PAGE);
	assert_int_equal(sent(&m, MODEL_ATC), IDS);
	device_remove(device);
	domain_free(domain);
	stop(&m);
}

/*
 * Each allocation of an attach, and of an enable of ATS, fails. How many targets there are
 * decides which of the ids needs memory. Return: how many failed.
 */
static unsigned int fail_each(struct machine *m, struct domain *domain, unsigned int others,
			      bool attached)
{
	struct device *device;
	unsigned long live;
	unsigned int nth;
	int ret = -ENOMEM;

	for (nth = 1; ret; nth++) {
		device = ids_device(m, !attached);
		if (attached)
			attach(domain, device);
		shim_fail_nth(nth);
		if (attached) {
			ret = device_ats_enable(device);
		} else {
			shim_rcu_barrier();
			live = shim_live();
			ret = domain_attach(domain, device, NONE);
			assert_true(!ret || shim_live() == live);
		}
		shim_fail_nth(0);
		assert_true(!ret || ret == -ENOMEM);
		machine_forget(m);
		unmap(domain, IOVA, PAGE);
		assert_int_equal(sent(m, MODEL_ATC), ret ? others : others + IDS);
		map(domain, IOVA, PA, PAGE);
		if (ret && !attached)
			expect_refused(device);
		else
			expect_translated(device);
		device_remove(device);
		iommu_attach_drain(&m->iommu[0]->fence);
	}
	return nth - 2;
}

static void pitfall_38_all_ids_or_none(void **state)
{
	unsigned int others, failed = 0;
	struct device *other[16];
	struct domain *domain;
	struct machine m;

	start(&m, state);
	domain = machine_domain(&m, false, NULL);
	map(domain, IOVA, PA, PAGE);
	for (others = 0; others < ARRAY_SIZE(other); others++) {
		fail_each(&m, domain, others, false);
		failed += fail_each(&m, domain, others, true);
		other[others] = machine_device(&m, 0, others, true);
		attach(domain, other[others]);
	}
	assert_true(failed > 1);
	while (others--)
		device_remove(other[others]);
	domain_free(domain);
	stop(&m);
}

/*
 * ATS that comes and goes
 */

/* The number of ATC targets that the list has is that of a count of all devices. */
static void pitfall_35_atc_users_are_counted_right(void **state)
{
	struct domain *domain[2];
	struct device *device[4];
	unsigned int at[4];		/* a domain, 2: none */
	unsigned int step, i, d, users;
	struct machine m;
	uint32_t seed = 1;

	start(&m, state);
	for (d = 0; d < 2; d++)
		domain[d] = machine_domain(&m, false, NULL);
	for (i = 0; i < 4; i++) {
		device[i] = machine_device(&m, i % 2, i, true);
		at[i] = 2;
	}
	for (step = 0; step < 400; step++) {
		machine_forget(&m);
		seed = seed * 1664525 + 1013904223;
		i = seed >> 30;
		switch (seed >> 27 & 7) {
		case 0:
			device_ats_disable(device[i]);
			break;
		case 1:
			assert_int_equal(device_ats_enable(device[i]), 0);
			break;
		case 2:
			domain_detach(device[i], NONE);
			at[i] = 2;
			break;
		case 3:
			assert_int_equal(device_reset(device[i]), 0);
			break;
		default:
			at[i] = seed >> 20 & 1;
			attach(domain[at[i]], device[i]);
		}
		for (d = 0; d < 2; d++) {
			for (i = 0, users = 0; i < 4; i++)
				users += at[i] == d && device[i]->ats;
			map(domain[d], IOVA, PA, PAGE);
			machine_forget(&m);
			unmap(domain[d], IOVA, PAGE);
			if (sent(&m, MODEL_ATC) != users)
				fail_msg("step %u: %u ATC commands for %u users", step,
					 sent(&m, MODEL_ATC), users);
		}
	}
	for (i = 0; i < 4; i++)
		device_remove(device[i]);
	for (d = 0; d < 2; d++)
		domain_free(domain[d]);
	stop(&m);
}

/*
 * Context entries that are fetched while they are written
 */

/*
 * The hardware reads an entry up to a word, the driver goes on until it has queued the
 * command that drops the entry, and then the hardware reads the rest: in two threads that
 * take turns.
 */
struct turns {
	struct device *device;
	enum model_context_word word;	/* from here on the driver's turn */
	bool drivers, hardwares;
	struct model_access access;
};

static void take_turn(bool *turn)
{
	while (!__atomic_load_n(turn, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void hand_on(bool *turn)
{
	__atomic_store_n(turn, true, __ATOMIC_RELEASE);
}

static void *access_in_turns(void *arg)
{
	struct turns *turns = arg;

	model_dma(turns->device->hw, MODEL_NO_PASID, IOVA, false, &turns->access);
	/* The command takes effect. */
	hand_on(&turns->drivers);
	return NULL;
}

static void stop_at_word(struct model_dev *dev __attribute__((unused)),
			 uint32_t pasid __attribute__((unused)),
			 enum model_context_word word, void *arg)
{
	struct turns *turns = arg;

	if (word != turns->word || turns->hardwares)
		return;
	hand_on(&turns->drivers);
	take_turn(&turns->hardwares);
}

static void go_on_at_command(struct model_iommu *hw __attribute__((unused)),
			     enum model_class class,
			     const uint64_t *cmd __attribute__((unused)), void *arg)
{
	struct turns *turns = arg;

	if (class != MODEL_CONFIG || turns->hardwares)
		return;
	__atomic_store_n(&turns->drivers, false, __ATOMIC_RELAXED);
	hand_on(&turns->hardwares);
	take_turn(&turns->drivers);
}

static void pitfall_36_entry_is_whole_or_none(void **state)
{
	struct domain *domain;
	struct device *device;
	pthread_t thread;
	struct machine m;
	int word, first_stage;

	machine_init(&m, *(enum model_vendor *)*state, 1);
	device = machine_device(&m, 0, 1, false);
	for (first_stage = 0; first_stage < 2; first_stage++) {
		domain = machine_domain(&m, first_stage, NULL);
		map(domain, IOVA, PA, PAGE);
		for (word = MODEL_WORD_MODE + 1; word < MODEL_CONTEXT_WORDS; word++) {
			struct turns turns = {
				.device = device, .word = (enum model_context_word)word,
			};

			attach(domain, device);
			model_set_fetch(m.hw[0], stop_at_word, &turns);
			model_set_log(m.hw[0], go_on_at_command, &turns);
			assert_int_equal(pthread_create(&thread, NULL, access_in_turns,
							&turns), 0);
			take_turn(&turns.drivers);
			domain_detach(device, NONE);
			pthread_join(thread, NULL);
			assert_true(turns.hardwares);
			assert_false(turns.access.torn);
			model_set_fetch(m.hw[0], NULL, NULL);
			model_set_log(m.hw[0], NULL, NULL);
			assert_int_equal(dma(device, NONE, IOVA), 0);
			assert_int_equal(model_stale_entries(m.hw[0]), 0);
		}
		domain_free(domain);
	}
	device_remove(device);
	machine_exit(&m);
}

/*
 * The erratum
 */

/* Return: is the device's DMA stale after an unmap, or after the tag was used again? */
static bool survives(bool repeat, bool ats, bool detach)
{
	const struct model_config config = { .vendor = MODEL_SMMUV3, .erratum = true };
	struct domain *domain, *next;
	struct device *device;
	struct machine m;
	bool stale;

	machine_init(&m, MODEL_SMMUV3, 0);
	m.nr = 1;
	m.hw[0] = model_iommu_create(&config);
	assert_non_null(m.hw[0]);
	m.iommu[0] = iommu_probe(m.hw[0], false);
	assert_non_null(m.iommu[0]);
	m.iommu[0]->repeat_tlbi = repeat;
	domain = machine_domain(&m, false, NULL);
	device = machine_device(&m, 0, 1, ats);
	attach(domain, device);
	map(domain, IOVA, PA, PAGE);
	assert_int_equal(dma(device, NONE, IOVA), PA);
	model_set_log(m.hw[0], machine_log, &m);
	machine_forget(&m);
	if (detach) {
		next = machine_domain(&m, false, NULL);
		next->wish_tag = (uint32_t)domain->tag;
		domain_detach(device, NONE);
		attach(next, device);
		assert_int_equal(next->tag, next->wish_tag);
		stale = dma_is_stale(device, IOVA);
		domain_detach(device, NONE);
		domain_free(next);
	} else {
		unmap(domain, IOVA, PAGE);
		assert_classes(&m, repeat ? ats ? "TSTSAS" : "TSTS" : ats ? "TSAS" : "TS");
		stale = dma_is_stale(device, IOVA);
	}
	device_remove(device);
	domain_free(domain);
	iommu_remove(m.iommu[0]);
	model_iommu_destroy(m.hw[0]);
	return stale;
}

static void pitfall_34_smmuv3_entry_survives_an_invalidation(void **state)
{
	int ats;

	(void)state;
	for (ats = 0; ats < 2; ats++) {
		assert_true(survives(false, ats, false));
		assert_false(survives(true, ats, false));
		assert_true(survives(false, ats, true));
		assert_false(survives(true, ats, true));
	}
}

static const struct vendor_test cases[] = {
	VENDOR_TEST(pitfall_30_error_at_each_position),
	VENDOR_TEST(pitfall_30_two_flushes_with_errors),
	VENDOR_TEST(pitfall_31_silent_device_is_asked_no_more),
	VENDOR_TEST(pitfall_31_device_is_pulled_out),
	VENDOR_TEST(pitfall_31_detach_finds_the_device_silent),
	VENDOR_TEST(pitfall_32_nobody_else_is_failed),
	VENDOR_TEST(pitfall_32_nobody_else_is_failed_with_a_full_queue),
	VENDOR_TEST(pitfall_32_completed_wait_is_no_success),
	VENDOR_TEST(pitfall_32_part_of_a_batch_blames_no_other),
	VENDOR_TEST(pitfall_33_one_of_ten_is_found),
	VENDOR_TEST(timeout_of_an_early_part_is_told),
	VENDOR_TEST(pitfall_40_part_in_flight_is_waited_for),
	VENDOR_TEST(pitfall_31_queue_that_has_stopped),
	VENDOR_TEST(pitfall_38_all_ids_are_invalidated),
	VENDOR_TEST(pitfall_38_silent_id_sets_the_device_aside),
	VENDOR_TEST(pitfall_38_all_ids_or_none),
	VENDOR_TEST(pitfall_41_full_queue_holds_up_no_grace_period),
	VENDOR_TEST(pitfall_35_atc_users_are_counted_right),
	VENDOR_TEST(pitfall_36_entry_is_whole_or_none),
};

int main(void)
{
	const struct CMUnitTest smmuv3[] = {
		cmocka_unit_test(pitfall_34_smmuv3_entry_survives_an_invalidation),
	};

	return run_on_each_vendor("drivers_faults", cases) +
	       cmocka_run_group_tests_name("drivers_faults_smmuv3", smmuv3, NULL, NULL);
}
