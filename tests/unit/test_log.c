// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log reader: every form of line that it knows, and every way in which a log can
 * be broken. An error must name the line and stop the reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"

#define MAP	"map: IOMMU: iova=0x0000000000001000 - 0x0000000000003000 paddr=0x0000000000008000 size=8192\n"
#define AT(t)	"            dd-7       [001] ..... " t ": "

/* The first event of @text, which holds no broken line. */
static struct trace_event first(const char *text, struct trace **trace)
{
	struct trace_event event;

	*trace = open_text(text);
	assert_int_equal(trace_next(*trace, &event), 1);
	return event;
}

static void assert_map(const char *text)
{
	struct trace *trace;
	struct trace_event event = first(text, &trace);

	assert_int_equal(event.type, TRACE_MAP);
	assert_int_equal(event.map.iova, 0x1000);
	assert_int_equal(event.map.paddr, 0x8000);
	assert_int_equal(event.map.size, 8192);
	assert_int_equal(event.cpu, 1);
	assert_int_equal(event.pid, 7);
	assert_int_equal(trace_next(trace, &event), 0);
	trace_close(trace);
}

static void lines_of_ftrace_and_trace_cmd(void **state)
{
	(void)state;
	assert_map(AT("2.047119") MAP);
	assert_map("cpus=2\n  mount-7     [001]     2.047119: map:                  "
		   "IOMMU: iova=0x0000000000001000 - 0x0000000000003000 "
		   "paddr=0x0000000000008000 size=8192\n");
	assert_map("CPU 0 is empty\ncpus=2\n  mount-7   [001] d..2.     2.047119123: " MAP);
	assert_map("  dd-7     (     7) [001] ..... 2.047119: " MAP);
	assert_map("  dd-7     (-----) [001] ..... 2.047119: " MAP);
	assert_map("  dd-7     [001] ..... 20471191234: " MAP);
	assert_map("dd-7 [001] ..... 2.047119: map: IOMMU: iova=0x0000000000001000 - "
		   "0x0000000000003000 paddr=0x0000000000008000 size=8192\r\n");
}

static void task_names_hold_anything(void **state)
{
	static const char *const names[] = {
		"kworker/u8:1-28", "a b", "x-9 [0", "[k]", "c: d", "-", "(sd-pam)",
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "%16s-7     [001] ..... 2.0: %s", names[i],
			 MAP);
		assert_map(text);
	}
}

static void time_is_in_nanoseconds(void **state)
{
	struct trace *trace;

	(void)state;
	assert_int_equal(first(AT("2.047119") MAP, &trace).ns, 2047119000);
	trace_close(trace);
	assert_int_equal(first(AT("2.047119003") MAP, &trace).ns, 2047119003);
	trace_close(trace);
}

static void interrupts_are_told_from_tasks(void **state)
{
	static const struct {
		const char *flags;
		enum trace_context context;
	} cases[] = {
		{ ".....", TRACE_TASK }, { "d....", TRACE_TASK },
		{ "..s2.", TRACE_SOFTIRQ }, { "d.h..", TRACE_HARDIRQ },
		{ "d.H..", TRACE_HARDIRQ }, { "dNh..", TRACE_HARDIRQ },
		{ "d.Z1.", TRACE_TASK },	/* a breakpoint in it */
	};
	struct trace *trace;
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "dd-7 [001] %s 2.0: %s", cases[i].flags,
			 MAP);
		assert_int_equal(first(text, &trace).context, cases[i].context);
		trace_close(trace);
	}
}

/* A breakpoint is where the task was last on that CPU. */
static void breakpoints_are_in_what_they_stop(void **state)
{
	struct trace_event event;
	struct trace *trace;

	(void)state;
	first("dd-7 [001] d.h.. 1.0: " MAP "dd-7 [001] d.Z1. 2.0: " MAP
	      "dd-7 [002] d.Z1. 3.0: " MAP "ls-8 [001] d.Z1. 4.0: " MAP, &trace);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.context, TRACE_HARDIRQ);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.context, TRACE_TASK);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.context, TRACE_TASK);
	trace_close(trace);
}

static void assert_text(const struct trace_text *text, const char *expected)
{
	assert_int_equal(text->len, strlen(expected));
	assert_memory_equal(text->s, expected, text->len);
}

static void every_event_gives_its_fields(void **state)
{
	struct trace_event e;
	struct trace *t;

	(void)state;
	e = first(AT("1.0") "unmap: IOMMU: iova=0x0000000000001000 - 0x0000000000003000 size=8192 unmapped_size=16384\n", &t);
	assert_int_equal(e.type, TRACE_UNMAP);
	assert_int_equal(e.map.size, 16384);
	trace_close(t);

	e = first(AT("1.0") "attach_device_to_domain: IOMMU: device=0000:00:03.0\n", &t);
	assert_int_equal(e.type, TRACE_ATTACH);
	assert_text(&e.device, "0000:00:03.0");
	trace_close(t);

	e = first(AT("1.0") "cache_tag_unassign: dmar0/0000:01:00.0 type devtlb did 13 pasid 5 ref 2\n", &t);
	assert_int_equal(e.type, TRACE_TAG_UNASSIGN);
	assert_text(&e.tag.iommu, "dmar0");
	assert_text(&e.tag.device, "0000:01:00.0");
	assert_true(e.tag.devtlb);
	assert_false(e.tag.nesting);
	assert_int_equal(e.tag.did, 13);
	assert_int_equal(e.tag.pasid, 5);
	assert_int_equal(e.tag.users, 2);
	trace_close(t);

	e = first(AT("1.0") "cache_tag_flush_range_np: dmar0 dmar0[0] type nesting_iotlb did 4 [0x1000-0x1fff] addr 0x1000 pages 0x1 mask 0x0\n", &t);
	assert_int_equal(e.type, TRACE_TAG_FLUSH);
	assert_true(e.tag.map);
	assert_true(e.tag.nesting);
	assert_int_equal(e.tag.did, 4);
	trace_close(t);

	e = first(AT("1.0") "cache_tag_flush_all: dmar1/dmar1 type iotlb did 4 pasid 0 ref 1\n", &t);
	assert_int_equal(e.type, TRACE_TAG_FLUSH);
	assert_false(e.tag.map);
	assert_text(&e.tag.iommu, "dmar1");
	trace_close(t);

	e = first(AT("1.0") "qi_submit: iotlb_inv dmar0: 0x400f2 0xfffba040 0x0 0x1\n", &t);
	assert_int_equal(e.type, TRACE_QI);
	assert_int_equal(e.cmd.words[0], 0x400f2);
	assert_int_equal(e.cmd.words[1], 0xfffba040);
	assert_int_equal(e.cmd.words[3], 1);
	trace_close(t);

	e = first(AT("1.0") "amdcmd: (__iommu_queue_command_sync+0x0/0xe0) op=3 iommu=0xffff88800046c000 d0=0x1 d1=0x30000003 d2=0xffffa002 d3=0x5\n", &t);
	assert_int_equal(e.type, TRACE_AMD);
	assert_int_equal(e.cmd.op, 3);
	assert_text(&e.cmd.iommu, "0xffff88800046c000");
	assert_int_equal(e.cmd.words[0], 0x3000000300000001);
	assert_int_equal(e.cmd.words[1], 0x5ffffa002);
	trace_close(t);

	e = first(AT("1.0") "amdcmd: (queue_commands+0x4/0x2b0) iommu=0xffff88800046c000 op=3 n=2 wait=0xffffc9000003fcd8 c={0x3000000300000001,0x5ffffa002,0x4000000000000018,0x7,0x5,0x6}\n", &t);
	assert_int_equal(e.type, TRACE_AMD);
	assert_text(&e.cmd.iommu, "0xffff88800046c000");
	assert_int_equal(e.cmd.n, 2);
	assert_true(e.cmd.sync);
	assert_int_equal(e.cmd.words[1], 0x5ffffa002);
	assert_int_equal(e.cmd.words[2], 0x4000000000000018);
	trace_close(t);

	/* What is read at no address is anything. */
	e = first(AT("1.0") "amdcmd: (x) iommu=0x1 op=9 n=0 wait=0x0 c={0x1,0x2}\n", &t);
	assert_int_equal(e.type, TRACE_AMD);
	assert_int_equal(e.cmd.n, 0);
	assert_false(e.cmd.sync);
	assert_int_equal(e.cmd.nr_words, 0);
	trace_close(t);

	e = first(AT("1.0") "smmucmd: (ffff80008054c0b0) op=18 n=3 sync=1 smmu=0xffff000000f9f080 c0=0x1000000000012 c1=0xfffbe701\n", &t);
	assert_int_equal(e.type, TRACE_SMMU);
	assert_int_equal(e.cmd.n, 3);
	assert_true(e.cmd.sync);
	assert_int_equal(e.cmd.words[1], 0xfffbe701);
	trace_close(t);
}

static void lost_events_are_told(void **state)
{
	static const struct {
		const char *text;
		uint64_t lost;
	} cases[] = {
		{ "CPU:1 [LOST 12 EVENTS]\n", 12 },
		{ "  CPU:1 [12 EVENTS DROPPED]\n", 12 },
		{ "CPU:1 [EVENTS DROPPED]\n", 1 },
		{ "CPU 0: 123 MISSED EVENTS\n", 123 },
		{ "# alist record: 3 events lost\n", 3 },
	};
	struct trace_event event;
	struct trace *trace;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		event = first(cases[i].text, &trace);
		assert_int_equal(event.type, TRACE_LOST);
		assert_int_equal(event.lost, cases[i].lost);
		trace_close(trace);
	}
}

#define KLOG	"[    5.000000] "
#define DUMPED	KLOG "      dd-7       1..... 2047119us : " MAP

/* What is lost in the kernel's log may have been events, if events were in it by then. */
static void lost_lines_of_the_kernel_s_log_are_told(void **state)
{
	static const struct {
		const char *text;
		uint64_t lost;
	} cases[] = {
		{ "** 44 printk messages dropped **\n", 44 },
		{ KLOG "** 1 printk messages dropped **\n", 1 },
		{ "<4>[    5.000000] ** 44 printk messages dropped **\n", 44 },
		{ "Nov 28 12:00:00 host systemd-journald[123]: Missed 5 kernel messages\n", 5 },
		{ KLOG "systemd-journald[123]: /dev/kmsg buffer overrun, some messages lost.\n", 1 },
		{ "Nov 28 12:00:00 host rsyslogd: imkmsg: some messages in circular buffer got overwritten\n", 1 },
	};
	struct trace_event event;
	struct trace *trace;
	char text[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "%s" DUMPED "%s" DUMPED "%s", cases[i].text,
			 cases[i].text, KLOG "printk: 3 messages suppressed.\n");
		assert_int_equal(first(text, &trace).type, TRACE_MAP);
		assert_int_equal(trace_next(trace, &event), 1);
		assert_int_equal(event.type, TRACE_LOST);
		assert_int_equal(event.lost, cases[i].lost);
		assert_int_equal(trace_next(trace, &event), 1);
		assert_int_equal(event.type, TRACE_MAP);
		assert_int_equal(trace_next(trace, &event), 0);
		trace_close(trace);
	}
	/* In a dump that says where it begins and ends. */
	snprintf(text, sizeof(text), "%s%s%s%s" DUMPED "%s%s", cases[0].text,
		 "Dumping ftrace buffer:\n", cases[0].text,
		 "---------------------------------\n",
		 "---------------------------------\n", cases[0].text);
	assert_int_equal(first(text, &trace).type, TRACE_LOST);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.type, TRACE_MAP);
	assert_int_equal(trace_next(trace, &event), 0);
	trace_close(trace);
}

static void runs_forget_the_time_before(void **state)
{
	struct trace_event event;
	struct trace *trace;

	(void)state;
	trace = open_text("### RUN a b\n# tracer: nop\n" AT("5.0") MAP
			  "### RUN c\n# tracer: nop\n" AT("1.0") MAP
			  "# tracer: nop\n" AT("0.5") MAP);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.type, TRACE_RUN);
	assert_text(&event.text, "a b");
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.line, 3);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.type, TRACE_RUN);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.type, TRACE_RUN);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(trace_next(trace, &event), 0);
	trace_close(trace);
}

static void markers_may_hold_newlines(void **state)
{
	struct trace_event event;
	struct trace *trace;

	(void)state;
	trace = open_text(AT("1.0") "tracing_mark_write: one\nand two\n\n" AT("1.1") MAP);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.type, TRACE_MARK);
	assert_text(&event.text, "one");
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(event.type, TRACE_MAP);
	trace_close(trace);
}

static void markers_are_no_prefix(void **state)
{
	struct trace *trace;
	struct trace_event event = first(AT("1.0") "print: of a kernel: x\n", &trace);

	(void)state;
	assert_text(&event.task, "dd");
	assert_text(&event.text, "of a kernel: x");
	trace_close(trace);
}

static void cpus_may_be_merged_out_of_order(void **state)
{
	struct trace_event event;
	struct trace *trace;

	(void)state;
	trace = open_text("dd-7 [001] ..... 2.0: " MAP "dd-8 [000] ..... 1.5: " MAP);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(trace_next(trace, &event), 1);
	assert_int_equal(trace_next(trace, &event), 0);
	trace_close(trace);
}

/* Reading @text fails at @line with a message that has @what in it. */
static void assert_broken(const char *text, size_t len, unsigned int line,
			  const char *what)
{
	struct trace *trace = open_bytes(text, len);
	struct trace_event event;
	char place[32];
	int ret;

	while ((ret = trace_next(trace, &event)) == 1)
		;
	assert_int_equal(ret, -1);
	snprintf(place, sizeof(place), ":%u: ", line);
	if (!strstr(trace_error(trace), place) || !strstr(trace_error(trace), what))
		fail_msg("expected '%s' and '%s' in: %s", place, what,
			 trace_error(trace));
	trace_close(trace);
}

static void broken_logs_are_refused_with_their_line(void **state)
{
	static const struct {
		const char *text;
		unsigned int line;
		const char *what;
	} cases[] = {
		{ "", 1, "empty" },
		{ "# tracer: nop\n", 1, "the log has none" },
		{ "root:x:0:0:root:/root:/bin/bash\n", 1, "TASK-PID" },
		{ AT("1.0") "sched_switch: prev_comm=a\n", 1, "the log has none" },
		{ AT("1.0") MAP "cut", 2, "ends in the middle" },
		{ AT("1.0") MAP "no event\n", 2, "TASK-PID" },
		{ AT("2.0") MAP AT("1.9") MAP, 2, "out of order" },
		{ "a-1 [001] ..... 9.0: " MAP "a-1 [000] ..... 7.9: " MAP, 2, "out of order" },
		{ "a-1 [9999] ..... 9.0: " MAP, 1, "CPU below" },
		{ "# entries-in-buffer/entries-written: 3/3   #P:2\n"
		  AT("1.0") MAP AT("1.1") MAP, 3, "3 events" },
		{ "# entries-in-buffer/entries-written: 3?1/31   #P:2\n" AT("1.0") MAP, 1, "N/N" },
		{ "# entries-in-buffer/entries-written: 1/1?   #P:2\n" AT("1.0") MAP, 1, "N/N" },
		{ AT("1.0") "map: IOMMU: iova=0x1000 - 0x3000 paddr=0x8000 size=81\n", 1, "'map:" },
		{ AT("1.0") "map: IOMMU: iova=0x1000 - 0x3000 paddr=0x8000\n", 1, "'map:" },
		{ AT("1.0") "unmap: IOMMU: iova=1000 - 3000 size=1 unmapped_size=1\n", 1, "'unmap:" },
		{ AT("1.0") "attach_device_to_domain: IOMMU: dev=x\n", 1, "device=NAME" },
		{ AT("1.0") "cache_tag_assign: dmar0 type iotlb did 1 pasid 0 ref 1\n", 1, "'cache_tag_assign:" },
		{ AT("1.0") "qi_submit: iotlb_inv dmar0: 0x1 0x2 0x3\n", 1, "'qi_submit:" },
		{ AT("1.0") "qi_submit: iotlb_inv dmar0: 0x1 0x2 0x3 0x12345678901234567\n", 1, "'qi_submit:" },
		{ AT("1.0") "amdcmd: (x) op=2 iommu=0x1 d0=0x0 d1=0x30000003 d2=0x0 d3=0x0\n", 1, "'amdcmd:" },
		{ AT("1.0") "amdcmd: (x) iommu=0x1 op=2 n=1 wait=0x0 c={0x3000000300000001,0x0}\n", 1, "'amdcmd:" },
		{ AT("1.0") "amdcmd: (x) iommu=0x1 op=3 n=1 c={0x3000000300000001,0x0}\n", 1, "'amdcmd:" },
		{ AT("1.0") "amdcmd: (x) iommu=0x1 op=3 n=1 wait=0x0\n", 1, "'amdcmd:" },
		{ AT("1.0") "smmucmd: (x) op=18 n=1 sync=2 smmu=0x1 c0=0x0 c1=0x0\n", 1, "'smmucmd:" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_broken(cases[i].text, strlen(cases[i].text), cases[i].line,
			      cases[i].what);
}

/*
 * A byte that is no digit does not end a number: the line would count as whole, with
 * another command in it.
 */
static void every_digit_matters(void **state)
{
	static const char *const events[] = {
		"map: IOMMU: iova=0x1000 - 0x3000 paddr=0x8000 size=8192",
		"map: IOMMU: iova=0x1000 paddr=0x8000 size=8192",
		"map: iova=4096 paddr=0x8000 size=0x2000",
		"unmap: IOMMU: iova=0x1000 - 0x3000 size=8192 unmapped_size=8192",
		"unmap: iova=0x1000 size=8192 unmapped_size=8192",
		"cache_tag_assign: unit/dev type iotlb did 13 pasid 10 ref 12",
		"cache_tag_unassign: unit/dev type 0x1 did 0x13 pasid 0x10 ref 0x12",
		"cache_tag_assign: iommu=unit dev=dev type=1 domain_id=13 pasid=10 users=12",
		"cache_tag_flush_all: unit/dev type iotlb did 13 pasid 10 ref 12",
		"cache_tag_flush_range: unit dev[10] type iotlb did 13 [0x1000-0x1fff] addr 0x1000 pages 0x10 mask 0x10",
		"cache_tag_flush_range_np: unit 0x13[0x10] type 0x0 [0x1000-0x1fff] addr 0x1000 mask 0x10",
		"qi_submit: iotlb_inv unit: 0x400f2 0xfffba040 0x10 0x11",
		"qi_submit: qw0=0x400f2 qw1=0xfffba040 qw2=0 qw3=10 iommu=unit",
		"amdcmd: (x) op=3 iommu=unit d0=0x4001001 d1=0x30000003 d2=0xa002 d3=0x50",
		"smmucmd: (x) op=18 n=13 sync=1 smmu=unit c0=0x1000000000012 c1=0xfffbe701",
		"smmucmd: (x) op=18 n=13 sync=1 smmu=unit c={0x1000000000012,0x1001}",
		"riscvcmd: (x) iommu=unit d0=0x2001001 d1=0x1001",
		"wait_begin: (x) iommu=unit sync=1",
	};
	static const char wrong[] = "?x=-:/]},\x10\xff";
	char text[512], what[64];
	size_t i, at, w;

	(void)state;
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		size_t name = strchr(events[i], ':') - events[i];
		size_t len = sprintf(text, AT("1.0") "%s\n", events[i]);
		struct trace *trace;

		first(text, &trace);
		trace_close(trace);
		snprintf(what, sizeof(what), "'%.*s:", (int)name, events[i]);
		for (at = len - strlen(events[i]) + name; at < len; at++) {
			char digit = text[at];

			if (digit < '0' || digit > '9')
				continue;
			for (w = 0; wrong[w]; w++) {
				text[at] = wrong[w];
				assert_broken(text, len, 1, what);
			}
			text[at] = digit;
		}
	}
}

static void binary_is_refused(void **state)
{
	static const char text[] = AT("1.0") MAP "tra\0cing\n";

	(void)state;
	assert_broken(text, sizeof(text) - 1, 2, "NUL");
}

static void long_lines_are_refused(void **state)
{
	size_t len = TRACE_LINE_MAX + 10;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', len);
	assert_broken(text, len, 1, "less than 65536 bytes");
	text[len - 1] = '\n';
	assert_broken(text, len, 1, "less than 65536 bytes");
	free(text);
}

/* A log cut anywhere is told from a whole one; without its last newline, by a warning. */
static void a_log_cut_anywhere_is_refused(void **state)
{
	static const char text[] =
		"### RUN x\n# tracer: nop\n"
		"# entries-in-buffer/entries-written: 2/2   #P:2\n"
		AT("1.0") MAP
		AT("1.1") "qi_submit: iotlb_inv dmar0: 0x400f2 0xfffba040 0x0 0x0\n";
	struct trace_event event;
	struct trace *trace;
	size_t len;
	int ret;

	(void)state;
	for (len = 0; len < sizeof(text); len++) {
		trace = open_bytes(text, len);
		while ((ret = trace_next(trace, &event)) == 1)
			;
		assert_int_equal(ret, len >= sizeof(text) - 2 ? 0 : -1);
		if (!ret)
			assert_int_equal(!!trace_warning(trace)[0], len == sizeof(text) - 2);
		trace_close(trace);
	}
}

static void missing_files_and_directories_are_told(void **state)
{
	(void)state;
	assert_null(trace_open("/nonexistent/log", NULL, 0));
	assert_null(trace_open("/", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_ftrace_and_trace_cmd),
		cmocka_unit_test(task_names_hold_anything),
		cmocka_unit_test(time_is_in_nanoseconds),
		cmocka_unit_test(interrupts_are_told_from_tasks),
		cmocka_unit_test(breakpoints_are_in_what_they_stop),
		cmocka_unit_test(every_event_gives_its_fields),
		cmocka_unit_test(lost_events_are_told),
		cmocka_unit_test(lost_lines_of_the_kernel_s_log_are_told),
		cmocka_unit_test(runs_forget_the_time_before),
		cmocka_unit_test(markers_may_hold_newlines),
		cmocka_unit_test(markers_are_no_prefix),
		cmocka_unit_test(cpus_may_be_merged_out_of_order),
		cmocka_unit_test(broken_logs_are_refused_with_their_line),
		cmocka_unit_test(every_digit_matters),
		cmocka_unit_test(binary_is_refused),
		cmocka_unit_test(long_lines_are_refused),
		cmocka_unit_test(a_log_cut_anywhere_is_refused),
		cmocka_unit_test(missing_files_and_directories_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
