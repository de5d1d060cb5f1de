// SPDX-License-Identifier: GPL-2.0-only
/*
 * What alist record probes, by vendor, and where in the kernel at hand.
 */
#include "probes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FUNCTIONS_MAX	6

/* Of a probe. */
#define AT_FIRST	0x0U		/* at the first of its functions that there is */
#define AT_ALL		0x1U		/* at each of them */
#define LEADING		0x2U		/* reads no argument behind one that may be constant */
#define INSTEAD		0x4U		/* if the one before it in the table has no function */

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
 * the second; SMMUv3 and RISC-V commands two of 64 bits. SMMUv3 submits an array, and so does
 * AMD where the driver has its attachments on a list: up to eight, with a completion wait behind
 * them unless the pointer for its number is NULL.
 */
#define AMD_OP		"op=+4($arg2):b4@28/32 "
#define AMD_WORDS	AMD_OP "d0=+0($arg2):x32 d1=+4($arg2):x32 d2=+8($arg2):x32 d3=+12($arg2):x32"
#define AMD_BATCH	AMD_OP "n=$arg3:u32 wait=$arg4:x64 c=+0($arg2):x64[16]"
#define SMMU_WORDS	"op=+0($arg3):b8@0/64 n=$arg4:s32 sync=$arg5:u8 c0=+0($arg3):x64 c1=+8($arg3):x64 c=+0($arg3):x64[16]"
#define RISCV_WORDS	"d0=+0($arg2):x64 d1=+8($arg2):x64"

/*
 * Some functions are those of a driver that has its attachments on a list (iommu-alist.h). It
 * waits for commands of a flush in the flush, for all IOMMUs in turn: a probe of waits sees
 * the other waits only.
 */
static const struct probe vtd_probes[] = {
	{ "flush_begin", "flush_end",
	  { "cache_tag_flush_range", "cache_tag_flush_all", "cache_tag_flush_range_np" }, AT_ALL,
	  NULL, "", "begin and end of flushes" },
	/* Before 6.10. */
	{ "flush_begin", "flush_end",
	  { "intel_iommu_tlb_sync", "intel_flush_iotlb_all", "intel_iommu_flush_iotlb_all" },
	  AT_ALL | INSTEAD, NULL, "", "begin and end of flushes" },
	{ "wait_begin", "wait_end", { "qi_submit_sync" }, AT_FIRST,
	  "name=iommu->name:string", "iommu=$arg1", "begin and end of completion waits" },
	{ 0 },
};

static const struct probe amd_probes[] = {
	{ "amdcmd", NULL, { "__iommu_queue_command_sync", "iommu_queue_command_sync" }, AT_FIRST,
	  "iommu=$arg1 name=iommu->iommu.dev->kobj.name:string " AMD_WORDS,
	  "iommu=$arg1 " AMD_WORDS, "commands" },
	{ "amdcmd", NULL, { "queue_commands" }, INSTEAD,
	  "iommu=$arg1 name=iommu->iommu.dev->kobj.name:string " AMD_BATCH,
	  "iommu=$arg1 " AMD_BATCH, "commands" },
	{ "flush_begin", "flush_end",
	  { "amd_iommu_domain_flush_pages", "amd_iommu_domain_flush_map",
	    "amd_iommu_flush_iotlb_all", "amd_iommu_iotlb_sync" },
	  AT_ALL, NULL, "", "begin and end of flushes" },
	{ "wait_begin", "wait_end", { "iommu_completion_wait", "amd_iommu_wait" }, AT_FIRST,
	  "iommu=$arg1 name=iommu->iommu.dev->kobj.name:string", "iommu=$arg1",
	  "begin and end of completion waits" },
	{ 0 },
};

static const struct probe smmuv3_probes[] = {
	/* The second calls the first, where both are there. */
	{ "smmucmd", NULL, { "arm_smmu_cmdq_submit", "arm_smmu_cmdq_issue_cmdlist" }, AT_FIRST,
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
	{ "VT-d", "dmar", "intel_iommu", vtd_probes },
	{ "AMD-Vi", "ivhd", NULL, amd_probes },
	{ "SMMUv3", "smmu3", NULL, smmuv3_probes },
	{ "RISC-V", "riscv-iommu", NULL, riscv_probes },
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
 * Where a function is. The compiler may have changed it, or made a copy for a constant
 * argument: then it has a suffix, and its arguments may not be what they were.
 */
struct symbol {
	const char *function;
	char name[128];			/* "": there is none */
	bool whole;			/* without a suffix, which is preferred */
	bool copied;			/* there is one with a suffix */
};

#define SYMBOLS_MAX	32

struct symbols {
	struct symbol of[SYMBOLS_MAX];
	size_t nr;
};

static struct symbol *symbol_of(struct symbols *symbols, const char *function)
{
	size_t i;

	for (i = 0; i < symbols->nr; i++)
		if (!strcmp(symbols->of[i].function, function))
			return &symbols->of[i];
	return NULL;
}

static void want_symbols(struct symbols *symbols, const struct probe *probe)
{
	int i;

	for (i = 0; i < FUNCTIONS_MAX && probe->functions[i]; i++)
		if (!symbol_of(symbols, probe->functions[i]) && symbols->nr < SYMBOLS_MAX)
			symbols->of[symbols->nr++].function = probe->functions[i];
}

/* @name: without what follows it in its line. */
static void take_symbol(struct symbol *symbol, const char *name)
{
	const char *suffix = name + strlen(symbol->function);

	if (!*suffix) {
		symbol->whole = true;
	} else if (!strncmp(suffix, ".isra.", 6) || !strncmp(suffix, ".constprop.", 11)) {
		symbol->copied = true;
		if (symbol->name[0])
			return;
	} else {
		/* Another function, a part of this one, or what is never run. */
		return;
	}
	snprintf(symbol->name, sizeof(symbol->name), "%s", name);
}

/* In one pass: the file is made as it is read, which takes long on a slow machine. */
static void read_symbols(const struct probes_place *place, struct symbols *symbols)
{
	FILE *file = fopen(place->symbols, "re");
	char line[512];
	size_t i;

	while (file && fgets(line, sizeof(line), file)) {
		char *name = strchr(line, ' ');

		/* "ffffffff81000000 t name [module]" */
		if (!name || !name[1] || name[2] != ' ' || !strchr("tTwW", name[1]))
			continue;
		name += 3;
		name[strcspn(name, "\n\t ")] = '\0';
		if (strlen(name) >= sizeof(symbols->of[0].name))
			continue;
		for (i = 0; i < symbols->nr; i++)
			if (!strncmp(name, symbols->of[i].function,
				     strlen(symbols->of[i].function)))
				take_symbol(&symbols->of[i], name);
	}
	if (file)
		fclose(file);
}

static int define(const struct probes_place *place, char kind, const char *event,
		  const char *function, const char *args)
{
	char path[512], text[1024];

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
static int add_probe(const struct probes_place *place, struct symbols *symbols,
		     const struct probe *probe)
{
	int at = 0, i;

	for (i = 0; i < FUNCTIONS_MAX && probe->functions[i]; i++) {
		const struct symbol *symbol = symbol_of(symbols, probe->functions[i]);

		if (!symbol || !symbol->name[0] || !add_at(place, probe, symbol->name))
			continue;
		if (symbol->whole && symbol->copied)
			place->warn("warning: the log may miss some %s: the compiler cloned %s",
				    probe->without, symbol->name);
		if (probe->end && define(place, 'r', probe->end, symbol->name, ""))
			place->warn("warning: no end of %s: the kernel has no return probes",
				    symbol->name);
		at++;
		if (!(probe->flags & AT_ALL))
			break;
	}
	return at;
}

bool probes_add(const struct probes_place *place, const struct vendor_probes *vendor)
{
	struct symbols symbols = { 0 };
	const struct probe *probe;
	bool any = false, found = false;

	for (probe = vendor->probes; probe->event; probe++)
		want_symbols(&symbols, probe);
	read_symbols(place, &symbols);
	for (probe = vendor->probes; probe->event; probe++) {
		if (!(probe->flags & INSTEAD) || !found)
			found = add_probe(place, &symbols, probe);
		any |= found;
		if (!found && !(probe[1].flags & INSTEAD))
			place->warn("warning: the log will have no %s: this kernel has no function to probe for it",
				    probe->without);
	}
	return any;
}

static FILE *open_in(const char *tracefs, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", tracefs, name);
	return fopen(path, "re");
}

/* "  EVENT HITS MISSED", without the group: the one that "p:GROUP/EVENT .." in its place has. */
uint64_t probes_missed(const char *tracefs, const char *group)
{
	FILE *events = open_in(tracefs, "kprobe_events");
	FILE *profile = open_in(tracefs, "kprobe_profile");
	char defined[1024], counted[256], of[64], name[65], event[65];
	uint64_t missed = 0, n;

	while (events && profile && fgets(defined, sizeof(defined), events) &&
	       fgets(counted, sizeof(counted), profile)) {
		if (sscanf(defined, "%*[^:]:%63[^/]/%64s", of, name) != 2 ||
		    sscanf(counted, "%64s %*u %" SCNu64, event, &n) != 2)
			break;
		/* One was added or removed in between: the next time. */
		if (strcmp(name, event))
			break;
		if (!strcmp(of, group))
			missed += n;
	}
	if (events)
		fclose(events);
	if (profile)
		fclose(profile);
	return missed;
}
