// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where alist record puts its probes: in a directory for tracefs and a file for
 * /proc/kallsyms, by what compilers make of the functions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/alist/probes.h"

static char dir[] = "/tmp/alist-probes-XXXXXX";
static char symbols[64], events[64], profile[64];
static char defined[8192], warned[2048];

__attribute__((format(printf, 1, 2)))
static void warn(const char *fmt, ...)
{
	size_t len = strlen(warned);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(warned + len, sizeof(warned) - len, fmt, ap);
	va_end(ap);
	strcat(warned, "\n");
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static const struct vendor_probes *vendor(const char *name)
{
	size_t i;

	for (i = 0; i < PROBES_VENDORS; i++)
		if (!strcmp(probes_vendors[i].name, name))
			return &probes_vendors[i];
	fail_msg("no vendor %s", name);
	return NULL;
}

/* What is defined, and warned of, on a kernel with these functions, one a word. */
static bool probe(const char *name, const char *functions, bool btf)
{
	struct probes_place place = {
		.tracefs = dir, .symbols = symbols, .group = "g", .btf = btf, .warn = warn,
	};
	char text[2048] = "0000000000000000 d not_a_function\n", *word, *all, *rest = NULL;
	FILE *file;
	bool any;

	all = strdup(functions);
	assert_non_null(all);
	for (word = strtok_r(all, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		sprintf(text + strlen(text), "ffffffff81000000 t %s\n", word);
	free(all);
	put(symbols, text);
	put(events, "");
	warned[0] = '\0';
	any = probes_add(&place, vendor(name));
	file = fopen(events, "r");
	assert_non_null(file);
	defined[fread(defined, 1, sizeof(defined) - 1, file)] = '\0';
	fclose(file);
	return any;
}

#define assert_has(text, what) \
	do { \
		if (!strstr(text, what)) \
			fail_msg("expected '%s' in:\n%s", what, text); \
	} while (0)
#define assert_lacks(text, what) \
	do { \
		if (strstr(text, what)) \
			fail_msg("expected no '%s' in:\n%s", what, text); \
	} while (0)

#define SMMU_FLUSHES	"arm_smmu_iotlb_sync arm_smmu_flush_iotlb_all"

static void functions_are_found_by_name(void **state)
{
	(void)state;
	assert_true(probe("SMMUv3", "arm_smmu_cmdq_issue_cmdlist_x arm_smmu_cmdq_issue_cmdlist "
			  SMMU_FLUSHES, false));
	assert_has(defined, "p:g/smmucmd arm_smmu_cmdq_issue_cmdlist smmu=$arg1 op=");
	assert_has(defined, "p:g/wait_begin arm_smmu_cmdq_issue_cmdlist iommu=$arg1 sync=$arg5:u8\n");
	assert_has(defined, "r:g/wait_end arm_smmu_cmdq_issue_cmdlist \n");
	assert_has(defined, "p:g/flush_begin arm_smmu_iotlb_sync \n");
	assert_has(defined, "p:g/flush_begin arm_smmu_flush_iotlb_all \n");
	assert_string_equal(warned, "");
}

static void names_come_from_btf(void **state)
{
	(void)state;
	probe("AMD-Vi", "__iommu_queue_command_sync iommu_completion_wait", true);
	assert_has(defined, "amdcmd __iommu_queue_command_sync iommu=$arg1 name=iommu->");
	probe("AMD-Vi", "__iommu_queue_command_sync iommu_completion_wait", false);
	assert_lacks(defined, "name=");
}

static void what_is_missing_is_told(void **state)
{
	(void)state;
	assert_false(probe("RISC-V", "", false));
	assert_string_equal(defined, "");
	assert_has(warned, "no commands");
	assert_has(warned, "no begin and end of flushes");
	assert_has(warned, "no begin and end of completion waits");
}

/* A copy for one size of the queue's entries: the arguments before it are where they were. */
static void copies_for_a_constant_keep_leading_arguments(void **state)
{
	(void)state;
	assert_true(probe("RISC-V", "riscv_iommu_queue_send.constprop.0 riscv_iommu_cmd_send "
			  "riscv_iommu_cmd_sync.constprop.1", false));
	assert_has(defined, "p:g/riscvcmd riscv_iommu_queue_send.constprop.0 iommu=$arg1 d0=+0($arg2)");
	assert_lacks(defined, "riscv_iommu_cmd_send");
	/* Which argument is the constant one is not known here: only when it is called. */
	assert_has(defined, "p:g/wait_begin riscv_iommu_cmd_sync.constprop.1 \n");
	assert_has(defined, "r:g/wait_end riscv_iommu_cmd_sync.constprop.1 \n");
}

static void changed_arguments_are_not_read(void **state)
{
	static const char *const suffixes[] = { ".isra.0", ".constprop.0.isra.0", ".isra.0.constprop.0" };
	char functions[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		sprintf(functions, "riscv_iommu_queue_send%s", suffixes[i]);
		probe("RISC-V", functions, false);
		assert_string_equal(defined, "");
		assert_has(warned, "no commands");
		sprintf(functions, "riscv_iommu_queue_send%s riscv_iommu_cmd_send", suffixes[i]);
		probe("RISC-V", functions, false);
		assert_has(defined, "p:g/riscvcmd riscv_iommu_cmd_send iommu=$arg1");
	}
	/* Reads an argument that may be behind the constant one. */
	probe("SMMUv3", "arm_smmu_cmdq_issue_cmdlist.constprop.0", false);
	assert_lacks(defined, "smmucmd");
	assert_has(warned, "no commands");
	assert_has(defined, "p:g/wait_begin arm_smmu_cmdq_issue_cmdlist.constprop.0 \n");
}

static void parts_of_functions_are_none(void **state)
{
	(void)state;
	assert_false(probe("RISC-V", "riscv_iommu_queue_send.cold riscv_iommu_queue_send.part.0",
			   false));
	assert_string_equal(defined, "");
}

/* Symbols are in the order of addresses: the copy may come first, and is called, too. */
static void the_function_itself_is_preferred_to_its_copy(void **state)
{
	static const char *const orders[] = {
		"riscv_iommu_queue_send riscv_iommu_queue_send.constprop.0",
		"riscv_iommu_queue_send.constprop.0 riscv_iommu_queue_send",
	};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_true(probe("RISC-V", orders[i], false));
		assert_has(defined, "p:g/riscvcmd riscv_iommu_queue_send iommu=$arg1");
		assert_lacks(defined, "constprop");
		assert_has(warned, "may miss some commands: the compiler cloned riscv_iommu_queue_send\n");
	}
}

static void functions_before_6_10_are_known(void **state)
{
	(void)state;
	probe("VT-d", "cache_tag_flush_range intel_iommu_tlb_sync qi_submit_sync", false);
	assert_has(defined, "p:g/flush_begin cache_tag_flush_range \n");
	assert_lacks(defined, "intel_iommu_tlb_sync");
	probe("VT-d", "intel_iommu_tlb_sync qi_submit_sync", false);
	assert_has(defined, "p:g/flush_begin intel_iommu_tlb_sync \n");
	assert_string_equal(warned, "");
}

/* Drivers that have their attachments on a list submit by other functions. */
static void drivers_on_the_list_are_known(void **state)
{
	(void)state;
	assert_true(probe("AMD-Vi", "queue_commands amd_iommu_wait amd_iommu_domain_flush_map "
			  "amd_iommu_domain_flush_pages", false));
	assert_has(defined, "p:g/amdcmd queue_commands iommu=$arg1 op=+4($arg2):b4@28/32 n=$arg3:u32 wait=$arg4:x64 c=+0($arg2):x64[16]\n");
	assert_has(defined, "p:g/flush_begin amd_iommu_domain_flush_map \n");
	assert_has(defined, "p:g/wait_begin amd_iommu_wait iommu=$arg1\n");
	assert_string_equal(warned, "");
	/* Some other driver's. */
	probe("AMD-Vi", "queue_commands __iommu_queue_command_sync", false);
	assert_has(defined, "p:g/amdcmd __iommu_queue_command_sync ");
	assert_lacks(defined, "queue_commands ");
	probe("AMD-Vi", "", false);
	assert_has(warned, "no commands");

	assert_true(probe("SMMUv3", "arm_smmu_cmdq_issue_cmdlist arm_smmu_cmdq_submit "
			  SMMU_FLUSHES, false));
	assert_has(defined, "p:g/smmucmd arm_smmu_cmdq_submit smmu=$arg1 op=");
	assert_lacks(defined, "smmucmd arm_smmu_cmdq_issue_cmdlist");
	assert_string_equal(warned, "");
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(symbols, sizeof(symbols), "%s/kallsyms", dir);
	snprintf(events, sizeof(events), "%s/kprobe_events", dir);
	snprintf(profile, sizeof(profile), "%s/kprobe_profile", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(symbols);
	unlink(events);
	unlink(profile);
	return rmdir(dir);
}

/* By place, as the kernel counts without the group: another's of the same name are not ours. */
static void what_probes_missed_is_counted(void **state)
{
	static const char rows[] =
		"p:alist_12/amdcmd queue_commands iommu=$arg1 op=+4($arg2):b4@28/32\n"
		"p:kprobes/flush_begin amd_iommu_iotlb_sync\n"
		"p:alist_123/flush_begin amd_iommu_iotlb_sync\n"
		"p:alist_12/flush_begin amd_iommu_iotlb_sync\n"
		"r24:alist_12/flush_end amd_iommu_iotlb_sync\n";
	static const char counts[] =
		"  amdcmd                                                    400               1\n"
		"  flush_begin                                               100             100\n"
		"  flush_begin                                               100            1000\n"
		"  flush_begin                                               100              10\n"
		"  flush_end                                                 100               5\n";

	(void)state;
	put(events, rows);
	put(profile, counts);
	assert_int_equal(probes_missed(dir, "alist_12"), 16);
	assert_int_equal(probes_missed(dir, "alist_123"), 1000);
	assert_int_equal(probes_missed(dir, "alist_1"), 0);
	/* One of another's went away after the first was read. */
	put(profile, strchr(counts, '\n') + 1);
	assert_int_equal(probes_missed(dir, "alist_12"), 0);
	/* A kernel that does not count. */
	unlink(profile);
	assert_int_equal(probes_missed(dir, "alist_12"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_found_by_name),
		cmocka_unit_test(names_come_from_btf),
		cmocka_unit_test(what_is_missing_is_told),
		cmocka_unit_test(copies_for_a_constant_keep_leading_arguments),
		cmocka_unit_test(changed_arguments_are_not_read),
		cmocka_unit_test(parts_of_functions_are_none),
		cmocka_unit_test(the_function_itself_is_preferred_to_its_copy),
		cmocka_unit_test(functions_before_6_10_are_known),
		cmocka_unit_test(drivers_on_the_list_are_known),
		cmocka_unit_test(what_probes_missed_is_counted),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
