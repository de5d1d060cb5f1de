// SPDX-License-Identifier: GPL-2.0-only
/*
 * What alist record probes, by vendor, and where in the kernel at hand.
 */
#include "probes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FUNCTIONS_MAX	6

/* Of a probe. */
#define AT_FIRST	0x0U		/* at the first of its functions that there is */
#define AT_ALL		0x1U		/* at each of them */
#define LEADING		0x2U		/* reads no argument behind one that may be constant */

/* A probe, and what the log lacks without it. */
struct probe {
	const char *event;
	const char *end;		/* an event for the return, too; NULL: none */
	const char *functions[FUNCTIONS_MAX];
	unsigned int flags;
	const char *named;		/* by the names that BTF gives arguments, or NULL */
	const char *args;
	const char *without;
};

/*
 * What is read of arguments: AMD commands are four words of 32 bits, the opcode on top of
 * the second; SMMUv3 and RISC-V commands two of 64 bits. SMMUv3 submits an array.
 */
#define AMD_WORDS	"op=+4($arg2):b4@28/32 d0=+0($arg2):x32 d1=+4($arg2):x32 d2=+8($arg2):x32 d3=+12($arg2):x32"
#define SMMU_WORDS	"op=+0($arg3):b8@0/64 n=$arg4:s32 sync=$arg5:u8 c0=+0($arg3):x64 c1=+8($arg3):x64 c=+0($arg3):x64[16]"
#define RISCV_WORDS	"d0=+0($arg2):x64 d1=+8($arg2):x64"

static const struct probe vtd_probes[] = {
	{ "flush_begin", "flush_end",
	  { "cache_tag_flush_range", "cache_tag_flush_all", "cache_tag_flush_range_np" }, AT_ALL,
	  NULL, "", "begin and end of flushes" },
	{ "wait_begin", "wait_end", { "qi_submit_sync" }, AT_FIRST,
	  "name=iommu->name:string", "iommu=$arg1", "begin and end of completion waits" },
	{ 0 },
};

/* Before 6.10. */
static const struct probe vtd_old_flush = {
	"flush_begin", "flush_end",
	{ "intel_iommu_tlb_sync", "intel_flush_iotlb_all", "intel_iommu_flush_iotlb_all" }, AT_ALL,
	NULL, "", "begin and end of flushes",
};

static const struct probe amd_probes[] = {
	{ "amdcmd", NULL, { "__iommu_queue_command_sync", "iommu_queue_command_sync" }, AT_FIRST,
	  "iommu=$arg1 name=iommu->iommu.dev->kobj.name:string " AMD_WORDS,
	  "iommu=$arg1 " AMD_WORDS, "commands" },
	{ "flush_begin", "flush_end",
	  { "amd_iommu_domain_flush_pages", "amd_iommu_flush_iotlb_all", "amd_iommu_iotlb_sync" },
	  AT_ALL, NULL, "", "begin and end of flushes" },
	{ "wait_begin", "wait_end", { "iommu_completion_wait" }, AT_FIRST,
	  "iommu=$arg1 name=iommu->iommu.dev->kobj.name:string", "iommu=$arg1",
	  "begin and end of completion waits" },
	{ 0 },
};

static const struct probe smmuv3_probes[] = {
	{ "smmucmd", NULL, { "arm_smmu_cmdq_issue_cmdlist" }, AT_FIRST,
	  "smmu=$arg1 name=smmu->iommu.dev->kobj.name:string " SMMU_WORDS,
	  "smmu=$arg1 " SMMU_WORDS, "commands" },
	{ "flush_begin", "flush_end",
	  { "arm_smmu_domain_inv_range", "arm_smmu_iotlb_sync", "arm_smmu_flush_iotlb_all",
	    "arm_smmu_tlb_inv_context" }, AT_ALL, NULL, "", "begin and end of flushes" },
	{ "wait_begin", "wait_end", { "arm_smmu_cmdq_issue_cmdlist" }, AT_FIRST,
	  "iommu=$arg1 name=smmu->iommu.dev->kobj.name:string sync=$arg5:u8",
	  "iommu=$arg1 sync=$arg5:u8", "begin and end of completion waits" },
	{ 0 },
};

static const struct probe riscv_probes[] = {
	/* Only the first has the IOFENCEs, too; the size that it is given is always the same. */
	{ "riscvcmd", NULL, { "riscv_iommu_queue_send", "riscv_iommu_cmd_send" }, LEADING,
	  NULL, "iommu=$arg1 " RISCV_WORDS, "commands" },
	{ "flush_begin", "flush_end",
	  { "riscv_iommu_iotlb_sync", "riscv_iommu_iotlb_flush_all" }, AT_ALL,
	  NULL, "", "begin and end of flushes" },
	{ "wait_begin", "wait_end", { "riscv_iommu_cmd_sync" }, AT_FIRST,
	  NULL, "iommu=$arg1", "begin and end of completion waits" },
	{ 0 },
};

const struct vendor_probes probes_vendors[PROBES_VENDORS] = {
	{ "VT-d", "dmar", "intel_iommu", vtd_probes, &vtd_old_flush },
	{ "AMD-Vi", "ivhd", NULL, amd_probes, NULL },
	{ "SMMUv3", "smmu3", NULL, smmuv3_probes, NULL },
	{ "RISC-V", "riscv-iommu", NULL, riscv_probes, NULL },
};

int probes_write(const char *path, const char *text, bool append)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | (append ? O_APPEND : O_TRUNC));
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/*
 * The symbol of a function. The compiler may have changed it, or made a copy for a
 * constant argument: then it has a suffix, and its arguments may not be what they were.
 * *@copied: there are such beside the function itself, which is what is returned.
 * Return: false if there is none.
 */
static bool find_function(const struct probes_place *place, const char *function,
			  char *symbol, size_t size, bool *copied)
{
	FILE *symbols = fopen(place->symbols, "re");
	size_t len = strlen(function);
	bool whole = false;
	char line[512];

	*symbol = '\0';
	*copied = false;
	while (symbols && fgets(line, sizeof(line), symbols)) {
		const char *name = strchr(line, ' ');

		/* "ffffffff81000000 t name [module]" */
		if (!name || !name[1] || name[2] != ' ' || !strchr("tTwW", name[1]))
			continue;
		name += 3;
		if (strncmp(name, function, len) || !strchr("\n\t .", name[len]) ||
		    strcspn(name, "\n\t ") >= size)
			continue;
		if (name[len] == '.') {
			/* Parts of a function, and what is never run, are not it. */
			if (strncmp(name + len, ".isra.", 6) &&
			    strncmp(name + len, ".constprop.", 11))
				continue;
			*copied = true;
			if (*symbol)
				continue;
		} else {
			whole = true;
		}
		snprintf(symbol, size, "%.*s", (int)strcspn(name, "\n\t "), name);
	}
	if (symbols)
		fclose(symbols);
	*copied &= whole;
	return *symbol;
}

static int define(const struct probes_place *place, char kind, const char *event,
		  const char *function, const char *args)
{
	char path[128], text[1024];

	snprintf(path, sizeof(path), "%s/kprobe_events", place->tracefs);
	snprintf(text, sizeof(text), "%c:%s/%s %s %s\n", kind, place->group, event, function,
		 args);
	return probes_write(path, text, true);
}

/*
 * Whether the arguments are where the source has them. A copy for a constant argument
 * (.constprop) lacks that one; in other changed functions, any may have become another.
 */
static bool has_arguments(const struct probe *probe, const char *function)
{
	const char *suffix = strchr(function, '.');

	return !suffix || ((probe->flags & LEADING) && !strstr(suffix, ".isra."));
}

static bool add_at(const struct probes_place *place, const struct probe *probe,
		   const char *function)
{
	/* When it is called and returns is known, and nothing else. */
	if (!has_arguments(probe, function))
		return probe->end && !define(place, 'p', probe->event, function, "");
	return (place->btf && probe->named &&
		!define(place, 'p', probe->event, function, probe->named)) ||
	       !define(place, 'p', probe->event, function, probe->args);
}

/* Return: how many functions it is at. */
static int add_probe(const struct probes_place *place, const struct probe *probe)
{
	int at = 0, i;

	for (i = 0; i < FUNCTIONS_MAX && probe->functions[i]; i++) {
		char function[128];
		bool copied;

		if (!find_function(place, probe->functions[i], function, sizeof(function),
				   &copied) || !add_at(place, probe, function))
			continue;
		if (copied)
			place->warn("warning: the log may lack %s: the compiler made a copy of %s",
				    probe->without, function);
		if (probe->end && define(place, 'r', probe->end, function, ""))
			place->warn("warning: no end of %s: the kernel has no return probes",
				    function);
		at++;
		if (!(probe->flags & AT_ALL))
			break;
	}
	return at;
}

bool probes_add(const struct probes_place *place, const struct vendor_probes *vendor)
{
	const struct probe *probe;
	bool any = false;

	for (probe = vendor->probes; probe->event; probe++) {
		if (add_probe(place, probe) ||
		    (vendor->old_flush && !strcmp(probe->event, "flush_begin") &&
		     add_probe(place, vendor->old_flush)))
			any = true;
		else
			place->warn("warning: the log will lack %s: there is nothing to probe in this kernel",
				    probe->without);
	}
	return any;
}
