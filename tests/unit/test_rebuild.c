// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a log to steps, and the steps on the models: who is found attached where, to
 * which unmap commands are given, and that a command withheld from the hardware is
 * found out.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "tools/alist/reasons.h"
#include "tools/alist/rebuild.h"
#include "tools/alist/world.h"

/* A log, line by line; each a microsecond after the one before. */
struct log {
	char text[16384];
	size_t len;
	unsigned int us;
};

__attribute__((format(printf, 3, 4)))
static void add(struct log *log, const char *who, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(log->text + log->len, sizeof(log->text) - log->len,
		     "%s 1.%06u: ", who, ++log->us);
	log->len += n;
	va_start(ap, fmt);
	n = vsnprintf(log->text + log->len, sizeof(log->text) - log->len, fmt, ap);
	va_end(ap);
	log->len += n;
	assert_true(log->len + 1 < sizeof(log->text));
	log->text[log->len++] = '\n';
	log->text[log->len] = '\0';
}

#define TASK	"vfio-100 [001] ....."
#define OTHER	"dd-200 [001] ....."
#define IRQ	"vfio-100 [001] d.h.."

static void add_map(struct log *log, const char *who, uint64_t iova, uint64_t size)
{
	add(log, who, "map: IOMMU: iova=0x%016" PRIx64 " - 0x%016" PRIx64
	    " paddr=0x%016" PRIx64 " size=%" PRIu64, iova, iova + size,
	    iova + (1 << 30) + 4096, size);
}

static void add_unmap(struct log *log, const char *who, uint64_t iova, uint64_t size)
{
	add(log, who, "unmap: IOMMU: iova=0x%016" PRIx64 " - 0x%016" PRIx64
	    " size=%" PRIu64 " unmapped_size=%" PRIu64, iova, iova + size, size, size);
}

static void add_map_and_unmap(struct log *log, const char *who, uint64_t iova, uint64_t size)
{
	add_map(log, who, iova, size);
	add_unmap(log, who, iova, size);
}

static void add_assign(struct log *log, unsigned int iommu, unsigned int did,
		       unsigned int users, const char *device, bool ats)
{
	add(log, TASK, "cache_tag_assign: dmar%u/dmar%u type iotlb did %u pasid 0 ref %u",
	    iommu, iommu, did, users);
	if (ats)
		add(log, TASK, "cache_tag_assign: dmar%u/%s type devtlb did %u pasid 0 ref 1",
		    iommu, device, did);
	add(log, TASK, "attach_device_to_domain: IOMMU: device=%s", device);
}

static void add_qi(struct log *log, const char *who, unsigned int iommu,
		   const char *kind, uint64_t w0, uint64_t w1)
{
	add(log, who, "qi_submit: %s dmar%u: 0x%" PRIx64 " 0x%" PRIx64 " 0x0 0x0", kind,
	    iommu, w0, w1);
}

static void add_amd(struct log *log, const char *who, uint64_t w0, uint64_t w1)
{
	add(log, who, "amdcmd: (x) op=%u iommu=0xa d0=0x%x d1=0x%x d2=0x%x d3=0x%x",
	    (unsigned int)(w0 >> 60), (unsigned int)w0, (unsigned int)(w0 >> 32),
	    (unsigned int)w1, (unsigned int)(w1 >> 32));
}

/* @n: up to two; what is behind them is what is in memory there. */
static void add_amd_batch(struct log *log, const char *who, unsigned int n, bool wait,
			  uint64_t a0, uint64_t a1, uint64_t b0, uint64_t b1)
{
	add(log, who, "amdcmd: (x) iommu=0xa op=%u n=%u wait=0x%x c={0x%" PRIx64 ",0x%" PRIx64
	    ",0x%" PRIx64 ",0x%" PRIx64 ",0x1000000000000000,0x0}", (unsigned int)(a0 >> 60), n,
	    wait ? 0xbeef : 0, a0, a1, b0, b1);
}

static void add_smmu(struct log *log, const char *who, unsigned int op, bool sync,
		     uint64_t c0, uint64_t c1)
{
	add(log, who, "smmucmd: (x) op=%u n=1 sync=%d smmu=0xa c0=0x%" PRIx64
	    " c1=0x%" PRIx64, op, sync, c0 | op, c1);
}

/* What a log came to. */
struct outcome {
	struct world *world;
	unsigned int steps[STEP_KINDS];
	unsigned long stale, faults, unmapped;
	uint32_t reasons;
	struct burst_count list, recorded;
	unsigned int last_members;	/* of the domain of the last flush */
	size_t last_ranges;
	/* Withhold a command of this class from the @withhold'th flush. */
	unsigned int withhold;
	enum model_class class;
};

static int on_step(struct machine *machine, const struct step *step, void *arg)
{
	static const struct burst nothing;
	struct outcome *out = arg;
	struct world_result result;
	struct burst_count sent;
	bool flush = step->kind == STEP_UNMAP_FLUSH || step->kind == STEP_MAP_FLUSH;

	if (flush && out->withhold && !--out->withhold)
		model_withhold(world_hardware(out->world, 0), out->class, 1);
	assert_int_equal(world_step(out->world, machine, step, &result), 0);
	out->steps[step->kind]++;
	out->stale += result.stale;
	out->faults += result.faults;
	out->unmapped += result.unmapped;
	sent = burst_count(&result.sent);
	out->list.iotlb += sent.iotlb;
	out->list.atc += sent.atc;
	out->list.sync += sent.sync;
	if (step->kind == STEP_ALONE)
		return 0;
	out->reasons |= compare_bursts(step->burst ? step->burst : &nothing,
				       &result.sent, &result.facts);
	if (flush) {
		out->last_members = step->domain->nr;
		out->last_ranges = step->nr_ranges;
	}
	return 0;
}

static struct outcome run_text(const struct log *log, unsigned int withhold,
			       enum model_class class, unsigned long *unknown)
{
	struct outcome out = { .withhold = withhold, .class = class };
	struct trace *trace = open_text(log->text);
	struct rebuild *rebuild = rebuild_create(on_step, &out);
	struct trace_event event;
	int i, more;

	out.world = world_create(0);
	assert_non_null(rebuild);
	assert_non_null(out.world);
	do {
		more = trace_next(trace, &event);
		if (more < 0)
			fail_msg("%s", trace_error(trace));
		assert_int_equal(rebuild_event(rebuild, more ? &event : NULL), 0);
	} while (more);
	out.recorded = rebuild_recorded(rebuild);
	for (i = 0; unknown && i < UNKNOWN_KINDS; i++)
		unknown[i] = rebuild_unknown(rebuild, i);
	world_destroy(out.world, rebuild_machine(rebuild));
	rebuild_destroy(rebuild);
	trace_close(trace);
	return out;
}

static struct outcome run(const struct log *log)
{
	return run_text(log, 0, MODEL_IOTLB, NULL);
}

/* Two unmaps of a page, by two devices with ATS and one without. */
static void vtd_log(struct log *log)
{
	int i;

	add_assign(log, 0, 5, 1, "0000:01:00.0", true);
	add_assign(log, 0, 5, 2, "0000:02:00.0", true);
	add_assign(log, 0, 5, 3, "0000:03:00.0", false);
	for (i = 0; i < 2; i++) {
		add_map(log, TASK, 0x10000000, 0x1000);
		add_unmap(log, TASK, 0x10000000, 0x1000);
		add_qi(log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
		add_qi(log, TASK, 0, "dev_tlb_inv", 0x10000000003, 0x10000000);
		add_qi(log, TASK, 0, "dev_tlb_inv", 0x20000000003, 0x10000000);
	}
}

static void vtd_sends_what_the_driver_sent(void **state)
{
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	vtd_log(&log);
	out = run(&log);
	assert_int_equal(out.steps[STEP_ATTACH], 3);
	assert_int_equal(out.steps[STEP_UNMAP_FLUSH], 2);
	assert_int_equal(out.last_members, 3);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.list.iotlb, 2);
	assert_int_equal(out.list.atc, 4);
	assert_int_equal(out.list.sync, 2);
	assert_int_equal(out.stale + out.faults + out.unmapped, 0);
}

/* The oracle of a replay: without the command something stale is left. */
static void a_withheld_command_is_found_out(void **state)
{
	struct log log = { 0 };

	(void)state;
	vtd_log(&log);
	assert_true(run_text(&log, 2, MODEL_IOTLB, NULL).stale > 0);
	assert_true(run_text(&log, 2, MODEL_ATC, NULL).stale > 0);
	assert_int_equal(run_text(&log, 2, MODEL_CONFIG, NULL).stale, 0);
}

static void a_command_missing_in_the_log_is_found_out(void **state)
{
	struct log log = { 0 };

	(void)state;
	add_assign(&log, 0, 5, 1, "0000:01:00.0", true);
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	/* The log may end amid the flush. */
	assert_int_equal(run(&log).reasons, UINT32_C(1) << REASON_LOST);
	add(&log, TASK, "tracing_mark_write: it does not");
	assert_int_equal(run(&log).reasons, UINT32_C(1) << REASON_UNEXPLAINED);
}

static void a_log_may_begin_amid_a_flush(void **state)
{
	struct log log = { 0 };

	(void)state;
	add_qi(&log, TASK, 0, "dev_tlb_inv", 0x10000000003, 0x10000000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	add_qi(&log, TASK, 0, "dev_tlb_inv", 0x20000000003, 0x10000000);
	/* Devices of which commands were seen get their names. */
	vtd_log(&log);
	assert_int_equal(run(&log).reasons, 0);
}

static void a_tag_from_before_the_log_has_an_unknown_user(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(unknown[UNKNOWN_ATTACHMENT], 1);
	assert_int_equal(unknown[UNKNOWN_MAPPING], 0);
}

/* "ref" tells how many there are, whoever they are. */
static void the_reference_count_tells_of_unknown_users(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_assign(&log, 0, 5, 3, "0000:01:00.0", false);
	add(&log, TASK, "cache_tag_unassign: dmar0/dmar0 type iotlb did 5 pasid 0 ref 3");
	add_qi(&log, TASK, 0, "cc_inv", 0x10000050031, 0);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500e2, 0);
	add(&log, TASK, "attach_device_to_domain: IOMMU: device=0000:01:00.0");
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.steps[STEP_DETACH], 1);
	assert_int_equal(unknown[UNKNOWN_ATTACHMENT], 2);
	/* Whether the tag is flushed though others stay on it is up to the driver. */
	assert_int_equal(out.reasons,
			 out.list.iotlb ? 0 : UINT32_C(1) << REASON_TAG_IN_USE);
}

/* The log has a hole in which others left the tag, and nothing says that events were lost. */
static void the_reference_count_tells_of_users_that_left(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_assign(&log, 0, 5, 1, "0000:01:00.0", true);
	add_assign(&log, 0, 5, 2, "0000:02:00.0", true);
	add_assign(&log, 0, 5, 3, "0000:03:00.0", true);
	add_assign(&log, 0, 5, 1, "0000:04:00.0", true);
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	add_qi(&log, TASK, 0, "dev_tlb_inv", 0x40000000003, 0x10000000);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.last_members, 1);
	assert_int_equal(unknown[UNKNOWN_ATTACHMENT], 0);

	/* Or at a detach; of those that are left, the log names none. */
	log = (struct log){ 0 };
	add_assign(&log, 0, 5, 1, "0000:01:00.0", true);
	add_assign(&log, 0, 5, 2, "0000:02:00.0", true);
	add_assign(&log, 0, 5, 3, "0000:03:00.0", true);
	add(&log, TASK, "cache_tag_unassign: dmar0/dmar0 type iotlb did 5 pasid 0 ref 2");
	add(&log, TASK, "cache_tag_unassign: dmar0/0000:01:00.0 type devtlb did 5 pasid 0 ref 1");
	add_qi(&log, TASK, 0, "cc_inv", 0x10000050031, 0);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500e2, 0);
	add(&log, TASK, "attach_device_to_domain: IOMMU: device=0000:01:00.0");
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.reasons & UINT32_C(1) << REASON_UNEXPLAINED, 0);
	assert_int_equal(out.last_members, 1);
	assert_int_equal(unknown[UNKNOWN_ATTACHMENT], 1);
}

static void the_last_user_of_a_tag_flushes_it(void **state)
{
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_assign(&log, 0, 5, 1, "0000:01:00.0", false);
	add(&log, TASK, "cache_tag_unassign: dmar0/dmar0 type iotlb did 5 pasid 0 ref 1");
	add_qi(&log, TASK, 0, "cc_inv", 0x10000050031, 0);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500e2, 0);
	add(&log, TASK, "attach_device_to_domain: IOMMU: device=0000:01:00.0");
	out = run(&log);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.list.iotlb, 1);
	assert_int_equal(out.list.sync, 1);
}

static void one_flush_shows_that_two_tags_are_one_domain(void **state)
{
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_assign(&log, 0, 5, 1, "0000:01:00.0", false);
	add_assign(&log, 1, 7, 1, "0000:02:00.0", false);
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	add_qi(&log, TASK, 1, "iotlb_inv", 0x700f2, 0x10000040);
	out = run(&log);
	assert_int_equal(out.steps[STEP_MERGE], 1);
	assert_int_equal(out.last_members, 2);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.list.sync, 2);
}

/* An interrupt between the unmap of a task and its commands. */
static void an_interrupt_keeps_its_commands_to_itself(void **state)
{
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_assign(&log, 0, 5, 1, "0000:01:00.0", false);
	add_assign(&log, 0, 6, 1, "0000:02:00.0", false);
	add_map(&log, TASK, 0x10000000, 0x1000);
	add_map(&log, TASK, 0x20000000, 0x1000);
	add_unmap(&log, TASK, 0x10000000, 0x1000);
	add_unmap(&log, IRQ, 0x20000000, 0x1000);
	add_qi(&log, IRQ, 0, "iotlb_inv", 0x600f2, 0x20000040);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	out = run(&log);
	assert_int_equal(out.steps[STEP_UNMAP_FLUSH], 2);
	assert_int_equal(out.steps[STEP_MERGE], 0);
	assert_int_equal(out.reasons, 0);
}

/* The same where the log has no column that tells interrupts. */
static void other_ranges_are_another_flush(void **state)
{
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_assign(&log, 0, 5, 1, "0000:01:00.0", false);
	add_assign(&log, 0, 6, 1, "0000:02:00.0", false);
	add_map(&log, TASK, 0x10000000, 0x1000);
	add_map(&log, TASK, 0x20000000, 0x1000);
	add_unmap(&log, TASK, 0x10000000, 0x1000);
	add_unmap(&log, TASK, 0x20000000, 0x1000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x600f2, 0x20000040);
	add(&log, TASK, "cache_tag_flush_range: dmar0 dmar0[0] type iotlb did 5 [0x10000000-0x10000fff] addr 0x10000000 pages 0x1 mask 0x0");
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	out = run(&log);
	assert_int_equal(out.steps[STEP_MERGE], 0);
	assert_int_equal(out.list.iotlb, 2);
	assert_int_equal(out.reasons & UINT32_C(1) << REASON_UNEXPLAINED, 0);
}

static void lazy_unmaps_wait_for_a_flush_of_everything(void **state)
{
	struct log log = { 0 };
	struct outcome out;
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		add_map(&log, TASK, 0x10000000 + i * 0x1000, 0x1000);
		add_unmap(&log, i & 1 ? TASK : OTHER, 0x10000000 + i * 0x1000, 0x1000);
	}
	add(&log, IRQ, "cache_tag_flush_all: dmar0/dmar0 type iotlb did 5 pasid 0 ref 1");
	add_qi(&log, IRQ, 0, "iotlb_inv", 0x500e2, 0);
	out = run(&log);
	assert_int_equal(out.steps[STEP_UNMAP_FLUSH], 1);
	assert_int_equal(out.last_ranges, 5);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.stale + out.unmapped, 0);
}

#define AMD_PAGE(domid, word)	0x3ull << 60 | (uint64_t)(domid) << 32, (word) | 2
#define AMD_ALL(domid)		0x3ull << 60 | (uint64_t)(domid) << 32, 0x7ffffffffffff003
#define AMD_DEV(devid)		0x2ull << 60 | (devid), 0
#define AMD_ATC(devid, word)	0x4ull << 60 | (uint64_t)(devid) << 32 | 32ull << 24 | (devid), (word)
#define AMD_WAIT		0x1ull << 60, 0x27

/* A command, and the wait for it. */
static void add_amd_waited(struct log *log, const char *who, uint64_t w0, uint64_t w1)
{
	add_amd(log, who, w0, w1);
	add_amd(log, who, AMD_WAIT);
}

static void add_amd_attach(struct log *log, unsigned int devid)
{
	add_amd_waited(log, TASK, AMD_DEV(devid));
	add(log, TASK, "attach_device_to_domain: IOMMU: device=0000:00:%02x.%x",
	    devid >> 3, devid & 7);
}

static void amd_flush_claims_pending_devices(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_amd_attach(&log, 0x18);
	add_amd_attach(&log, 0x20);
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_amd(&log, TASK, AMD_PAGE(12, 0x10000000));
	add_amd_waited(&log, TASK, AMD_ATC(0x20, 0x10000000));
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.last_members, 2);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.list.atc, 1);
	/* A guess, but for the one that a command names. */
	assert_int_equal(unknown[UNKNOWN_ATTACHMENT], 1);
}

/* As a driver that has its attachments on a list submits. */
static void amd_batches_are_what_single_commands_are(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_amd_attach(&log, 0x18);
	add_amd_attach(&log, 0x20);
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_amd_batch(&log, TASK, 2, true, AMD_PAGE(12, 0x10000000), AMD_ATC(0x20, 0x10000000));
	/* Behind a completion wait, another one is none. */
	add_amd_batch(&log, TASK, 0, true, 0, 0, 0, 0);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.last_members, 2);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.list.atc, 1);
	assert_int_equal(out.list.sync, 1);
	assert_int_equal(out.recorded.iotlb, 1);
	assert_int_equal(out.recorded.atc, 1);
	assert_int_equal(out.recorded.config, 2);
	assert_int_equal(out.recorded.sync, 3);

	memset(&log, 0, sizeof(log));
	add_amd_batch(&log, TASK, 1, false, AMD_DEV(0x18), 0, 0);
	add_amd_batch(&log, TASK, 0, true, 0, 0, 0, 0);
	add_amd_batch(&log, TASK, 0, true, 0, 0, 0, 0);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.recorded.config, 1);
	assert_int_equal(out.recorded.sync, 1);
}

static void amd_detach_tells_where_the_device_was(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_amd_waited(&log, TASK, AMD_DEV(0x18));
	add_amd_waited(&log, TASK, AMD_ALL(3));
	add_amd_attach(&log, 0x18);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.steps[STEP_ATTACH], 1);
	assert_int_equal(out.steps[STEP_DETACH], 1);
	assert_int_equal(unknown[UNKNOWN_ATTACHMENT], 1);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.list.sync, 1);
}

/* Both of a tag made up for nobody in particular, and of devices seen attached. */
static void amd_devices_that_stay_keep_their_tag(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_amd_attach(&log, 0x18);
	add_amd_attach(&log, 0x20);
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_amd_waited(&log, TASK, AMD_PAGE(12, 0x10000000));
	add_amd_waited(&log, TASK, AMD_DEV(0x18));
	add_amd_waited(&log, TASK, AMD_ALL(12));
	add_amd_attach(&log, 0x18);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.steps[STEP_DETACH], 1);
	assert_int_equal(out.reasons,
			 out.list.iotlb > 1 ? 0 : UINT32_C(1) << REASON_TAG_IN_USE);
	assert_int_equal(unknown[UNKNOWN_ATTACHMENT], 2);
}

/* The task's own pending devices, not those of another task. */
static void pending_devices_go_to_the_task_that_attached_them(void **state)
{
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_amd_attach(&log, 0x18);
	add_amd_waited(&log, OTHER, AMD_DEV(0x20));
	add(&log, OTHER, "attach_device_to_domain: IOMMU: device=0000:00:04.0");
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_amd_waited(&log, TASK, AMD_PAGE(12, 0x10000000));
	out = run(&log);
	assert_int_equal(out.last_members, 1);
	add_map_and_unmap(&log, OTHER, 0x10000000, 0x1000);
	add_amd_waited(&log, OTHER, AMD_PAGE(13, 0x10000000));
	out = run(&log);
	assert_int_equal(out.steps[STEP_ATTACH], 2);
	assert_int_equal(out.last_members, 1);
	assert_int_equal(out.reasons, 0);
}

static void amd_flush_on_map_means_absent_ones_are_cached(void **state)
{
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_amd_attach(&log, 0x18);
	add_map(&log, TASK, 0x10000000, 0x3000);
	add_amd(&log, TASK, AMD_PAGE(12, 0x10000001));
	add_amd_waited(&log, TASK, AMD_PAGE(12, 0x10002000));
	out = run(&log);
	assert_int_equal(out.steps[STEP_MAP_FLUSH], 1);
	assert_int_equal(out.reasons, 0);
	assert_int_equal(out.list.iotlb, 2);
}

#define NH_VA(asid)	(uint64_t)(asid) << 48
#define LEAF_4K		0x701

static void smmu_attach(struct log *log, unsigned int sid)
{
	add_smmu(log, TASK, 5, true, (uint64_t)sid << 32, 1);
	add_smmu(log, TASK, 3, true, (uint64_t)sid << 32, 1);
	add(log, TASK, "attach_device_to_domain: IOMMU: device=0000:00:%02x.%x", sid >> 3,
	    sid & 7);
}

static void smmu_detach(struct log *log, unsigned int sid)
{
	add_smmu(log, TASK, 3, true, (uint64_t)sid << 32, 1);
	add_smmu(log, TASK, 5, true, (uint64_t)sid << 32, 1);
	add(log, TASK, "attach_device_to_domain: IOMMU: device=0000:00:%02x.%x", sid >> 3,
	    sid & 7);
}

static void smmu_descriptor_first_is_attach_and_last_is_detach(void **state)
{
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	smmu_attach(&log, 8);
	smmu_detach(&log, 16);
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_smmu(&log, TASK, 0x12, true, NH_VA(9), 0x10000000 | LEAF_4K);
	smmu_detach(&log, 8);
	add_smmu(&log, TASK, 0x11, true, NH_VA(9), 0);
	out = run(&log);
	assert_int_equal(out.last_members, 1);
	assert_int_equal(out.steps[STEP_DETACH], 1);
	assert_int_equal(out.steps[STEP_RETIRE], 1);
	/* The tag is flushed once by each, when its last user leaves by the list. */
	assert_int_equal(out.list.iotlb, 2);
}

static void smmu_commands_before_the_unmap_event_belong_to_it(void **state)
{
	struct log log = { 0 };
	struct outcome out;
	int i;

	(void)state;
	smmu_attach(&log, 8);
	for (i = 0; i < 2; i++) {
		uint64_t iova = 0x10000000 + i * 0x200000;

		add_map(&log, OTHER, iova, 0x200000);
		add_smmu(&log, TASK, 0x12, true, NH_VA(9) | 9 << 20, iova | 0x400);
		add_unmap(&log, TASK, iova, 0x200000);
		add_smmu(&log, TASK, 0x12, true, NH_VA(9) | 9 << 20, iova | 0x601);
	}
	out = run(&log);
	assert_int_equal(out.steps[STEP_UNMAP_FLUSH], 2);
	assert_int_equal(out.steps[STEP_OTHER_FLUSH], 0);
	assert_int_equal(out.reasons, UINT32_C(1) << REASON_RANGE_COVERED);
	assert_int_equal(out.list.iotlb, 2);
}

/* Three ATC commands in one submission, of which the log has the first. */
static void smmu_commands_without_words_are_for_somebody(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	smmu_attach(&log, 8);
	smmu_attach(&log, 16);
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_smmu(&log, TASK, 0x12, true, NH_VA(9), 0x10000000 | LEAF_4K);
	add(&log, TASK, "smmucmd: (x) op=64 n=3 sync=1 smmu=0xa c0=0x800000040 c1=0x10000000");
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.reasons, UINT32_C(1) << REASON_NO_WORDS);
	assert_int_equal(out.list.atc, 3);
	assert_int_equal(out.last_members, 3);
	assert_int_equal(unknown[UNKNOWN_WORDS], 2);
}

/* A range that was not seen mapped is flushed all the same. */
static void an_unknown_mapping_is_made_up(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	add_unmap(&log, TASK, 0x10000000, 0x4000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000042);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.reasons, 0);
	assert_true(out.unmapped > 0);
}

static void a_run_forgets_everything(void **state)
{
	unsigned long unknown[UNKNOWN_KINDS];
	struct log log = { 0 };
	struct outcome out;

	(void)state;
	vtd_log(&log);
	log.len += sprintf(log.text + log.len, "### RUN again\n");
	add_map_and_unmap(&log, TASK, 0x10000000, 0x1000);
	add_qi(&log, TASK, 0, "iotlb_inv", 0x500f2, 0x10000040);
	out = run_text(&log, 0, MODEL_IOTLB, unknown);
	assert_int_equal(out.steps[STEP_RUN], 1);
	assert_int_equal(out.last_members, 1);
	assert_int_equal(unknown[UNKNOWN_ATTACHMENT], 1);
}

static int expect_error(const struct log *log, char *error, size_t size)
{
	struct outcome out = { 0 };
	struct trace *trace = open_text(log->text);
	struct rebuild *rebuild = rebuild_create(on_step, &out);
	struct trace_event event;
	int ret = 0;

	out.world = world_create(0);
	assert_non_null(rebuild);
	assert_non_null(out.world);
	while (!ret && trace_next(trace, &event) == 1)
		ret = rebuild_event(rebuild, &event);
	snprintf(error, size, "%s", rebuild_error(rebuild));
	world_destroy(out.world, rebuild_machine(rebuild));
	rebuild_destroy(rebuild);
	trace_close(trace);
	return ret;
}

static void a_log_of_two_vendors_is_refused(void **state)
{
	struct log log = { 0 };
	char error[256];

	(void)state;
	vtd_log(&log);
	add_amd(&log, TASK, AMD_WAIT);
	assert_int_equal(expect_error(&log, error, sizeof(error)), -2);
	assert_non_null(strstr(error, "one vendor"));
}

static void too_many_iommus_are_refused(void **state)
{
	struct log log = { 0 };
	char error[256];
	int i;

	(void)state;
	for (i = 0; i <= INV_IOMMUS_MAX; i++)
		log.len += sprintf(log.text + log.len,
				   "a-1 [000] ..... 1.0: qi_submit: cc_inv d%d: 0x1 0x0 0x0 0x0\n",
				   i);
	assert_int_equal(expect_error(&log, error, sizeof(error)), -2);
	assert_non_null(strstr(error, "256 IOMMUs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vtd_sends_what_the_driver_sent),
		cmocka_unit_test(a_withheld_command_is_found_out),
		cmocka_unit_test(a_command_missing_in_the_log_is_found_out),
		cmocka_unit_test(a_log_may_begin_amid_a_flush),
		cmocka_unit_test(a_tag_from_before_the_log_has_an_unknown_user),
		cmocka_unit_test(the_reference_count_tells_of_unknown_users),
		cmocka_unit_test(the_reference_count_tells_of_users_that_left),
		cmocka_unit_test(the_last_user_of_a_tag_flushes_it),
		cmocka_unit_test(one_flush_shows_that_two_tags_are_one_domain),
		cmocka_unit_test(an_interrupt_keeps_its_commands_to_itself),
		cmocka_unit_test(other_ranges_are_another_flush),
		cmocka_unit_test(lazy_unmaps_wait_for_a_flush_of_everything),
		cmocka_unit_test(amd_flush_claims_pending_devices),
		cmocka_unit_test(amd_batches_are_what_single_commands_are),
		cmocka_unit_test(amd_detach_tells_where_the_device_was),
		cmocka_unit_test(amd_devices_that_stay_keep_their_tag),
		cmocka_unit_test(pending_devices_go_to_the_task_that_attached_them),
		cmocka_unit_test(amd_flush_on_map_means_absent_ones_are_cached),
		cmocka_unit_test(smmu_descriptor_first_is_attach_and_last_is_detach),
		cmocka_unit_test(smmu_commands_before_the_unmap_event_belong_to_it),
		cmocka_unit_test(smmu_commands_without_words_are_for_somebody),
		cmocka_unit_test(an_unknown_mapping_is_made_up),
		cmocka_unit_test(a_run_forgets_everything),
		cmocka_unit_test(a_log_of_two_vendors_is_refused),
		cmocka_unit_test(too_many_iommus_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
