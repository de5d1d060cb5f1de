// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist demo: a small VT-d machine on which the old ways cost something.
 *
 *	S2 domain  --- dmar0 --- nic0 (ATS)   dmar1 --- nic2 (ATS)
 *	   |               \--- disk0               \-- disk1
 *	 parent of
 *	   |
 *	nest       --- dmar0 --- gpu0 (ATS)
 *
 * Every operation is done twice over. The list sends its commands by way of the
 * example driver. The naive driver walks the attachments in the order in which they
 * came, sends the command of each, and waits whenever the next one is behind another
 * IOMMU. Its words are those that the list's driver made for the same tag or device,
 * and they go to the same hardware.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/driver.h"

#include "alist.h"
#include "inv.h"

#define NR_IOMMUS	2
#define NR_DEVICES	5
#define PAGE		MODEL_PAGE_SIZE
#define BASE		UINT64_C(0x10000000)
#define LARGE		(UINT64_C(2) << 20)

static const struct {
	const char *name;
	unsigned int iommu;
	uint32_t rid;
	bool ats;
	bool nested;
} machine[NR_DEVICES] = {
	{ "nic0", 0, 0x0100, true, false },
	{ "nic2", 1, 0x8100, true, false },
	{ "disk0", 0, 0x0200, false, false },
	{ "disk1", 1, 0x8200, false, false },
	{ "gpu0", 0, 0x0300, true, true },
};

struct demo_iommu {
	struct demo *demo;
	unsigned int index;
	struct model_iommu *hw;
	struct iommu_device *iommu;
};

struct demo {
	bool json, colour;
	struct demo_iommu iommus[NR_IOMMUS];
	struct device *devices[NR_DEVICES];
	struct domain *parent, *nest;
	struct burst sent;		/* since the operation began */
	bool naive;			/* whose commands these are */
	bool quiet;
	const char *operation;
	struct json_object *commands, *rows;
	FILE *table;
	struct burst_count list_sum, naive_sum;
	unsigned long stale;
};

static const char *colour(const struct demo *demo, const char *code)
{
	return demo->colour ? code : "";
}

static void print_command(struct demo *demo, unsigned int iommu,
			  enum model_class class, const uint64_t *words)
{
	static const char *const colours[MODEL_CLASSES] = {
		[MODEL_IOTLB] = "\033[36m",
		[MODEL_ATC] = "\033[33m",
		[MODEL_SYNC] = "\033[32m",
		[MODEL_CONFIG] = "\033[90m",
		[MODEL_OTHER] = "\033[90m",
	};
	struct json_object *object;
	char text[128], hex[64];

	/* The status address of a wait is this process's, and differs from run to run. */
	if (class == MODEL_SYNC)
		snprintf(text, sizeof(text), "SYNC");
	else
		model_decode(MODEL_VTD, words, text, sizeof(text));
	snprintf(hex, sizeof(hex), "%016" PRIx64 " %016" PRIx64, words[0], words[1]);
	if (!demo->json) {
		printf("    %-5s  dmar%u  %s%-33s  %s%s\n", demo->naive ? "naive" : "list",
		       iommu, colour(demo, colours[class]),
		       class == MODEL_SYNC ? "" : hex, text, colour(demo, "\033[0m"));
		return;
	}
	object = json_object_new_object();
	json_object_object_add(object, "operation",
			       json_object_new_string(demo->operation));
	json_object_object_add(object, "by",
			       json_object_new_string(demo->naive ? "naive" : "list"));
	json_object_object_add(object, "iommu", json_object_new_int(iommu));
	json_object_object_add(object, "command", json_object_new_string(text));
	json_object_array_add(demo->commands, object);
}

static void on_command(struct model_iommu *hw, enum model_class class,
		       const uint64_t *words, void *arg)
{
	struct demo_iommu *di = arg;
	struct demo *demo = di->demo;
	struct command cmd = { .iommu = di->index, .n = 1 };

	(void)hw;
	if (demo->quiet)
		return;
	print_command(demo, di->index, class, words);
	if (class == MODEL_SYNC)
		burst_sync(&demo->sent, di->index);
	if (class != MODEL_IOTLB && class != MODEL_ATC)
		return;
	memcpy(cmd.words, words, sizeof(cmd.words));
	cmd.inv = inv_decode(MODEL_VTD, words);
	if (burst_add(&demo->sent, &cmd))
		abort();
}

/* Of what the list sent, what is for this attachment. */
static const struct command *find(const struct burst *burst, enum model_class class,
				  unsigned int iommu, uint32_t id)
{
	size_t i;

	for (i = 0; i < burst->nr; i++) {
		const struct command *cmd = &burst->cmds[i];

		if (cmd->inv.class == class && cmd->iommu == iommu &&
		    (class == MODEL_ATC ? cmd->inv.rid : cmd->inv.tag) == id)
			return cmd;
	}
	return NULL;
}

/* The same operation, one attachment after the other. */
static void naive(struct demo *demo, const struct domain *domain,
		  const struct burst *list)
{
	struct demo_iommu *at = NULL;
	struct batch batch = { 0 };
	size_t i;

	for (i = 0; i < NR_DEVICES; i++) {
		struct demo_iommu *di = &demo->iommus[machine[i].iommu];
		const struct device *device = demo->devices[i];
		const struct attachment *att = device->attachments;
		const struct command *cmd;
		u64 tag;

		if (!att || (att->domain != domain && att->domain->parent != domain))
			continue;
		tag = att->domain == domain ? att->elms.s1.tag : att->elms.s2.tag;
		if (at && at != di)
			queue_wait(at->iommu, batch_sync(&batch, at->iommu));
		at = di;
		cmd = find(list, MODEL_IOTLB, di->index, tag & 0xffff);
		if (cmd)
			batch_add(&batch, di->iommu, cmd->words);
		cmd = find(list, MODEL_ATC, di->index, device->rid);
		if (cmd && device->ats)
			batch_add(&batch, di->iommu, cmd->words);
	}
	if (at)
		queue_wait(at->iommu, batch_sync(&batch, at->iommu));
}

static void count_add(struct burst_count *to, const struct burst_count *count)
{
	to->iotlb += count->iotlb;
	to->atc += count->atc;
	to->sync += count->sync;
}

static void begin(struct demo *demo, const char *operation)
{
	demo->operation = operation;
	burst_clear(&demo->sent);
	if (!demo->json)
		printf("\n%s%s%s\n", colour(demo, "\033[1m"), operation,
		       colour(demo, "\033[0m"));
}

static struct json_object *json_count(const struct burst_count *count)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "iotlb", json_object_new_int64(count->iotlb));
	json_object_object_add(object, "atc", json_object_new_int64(count->atc));
	json_object_object_add(object, "sync", json_object_new_int64(count->sync));
	return object;
}

static void add_row(struct demo *demo, const char *name,
		    const struct burst_count *list, const struct burst_count *old)
{
	struct json_object *row;

	fprintf(demo->table, "  %-44s | %5lu %5lu %5lu | %5lu %5lu %5lu\n", name,
		old->iotlb, old->atc, old->sync, list->iotlb, list->atc, list->sync);
	row = json_object_new_object();
	json_object_object_add(row, "operation", json_object_new_string(name));
	json_object_object_add(row, "naive", json_count(old));
	json_object_object_add(row, "list", json_count(list));
	json_object_array_add(demo->rows, row);
}

/* What the list sent since begin() was for @domain: the naive driver's turn. */
static void end(struct demo *demo, const struct domain *domain)
{
	struct burst_count list = burst_count(&demo->sent), old;
	struct burst sent = demo->sent;
	size_t i;

	memset(&demo->sent, 0, sizeof(demo->sent));
	demo->naive = true;
	naive(demo, domain, &sent);
	demo->naive = false;
	old = burst_count(&demo->sent);
	burst_free(&sent);
	for (i = 0; i < NR_IOMMUS; i++)
		demo->stale += model_stale_entries(demo->iommus[i].hw);
	add_row(demo, demo->operation, &list, &old);
	count_add(&demo->list_sum, &list);
	count_add(&demo->naive_sum, &old);
}

/* Every device goes to the address, so that the caches hold it. */
static void dma(struct demo *demo, uint64_t iova)
{
	struct model_access access;
	size_t i;

	for (i = 0; i < NR_DEVICES; i++)
		demo->stale += !model_dma(demo->devices[i]->hw, MODEL_NO_PASID, iova,
					  true, &access);
}

static void unmap(struct demo *demo, struct domain *domain, const char *operation,
		  uint64_t iova, uint64_t size)
{
	struct gather gather = { 0 };

	demo->quiet = true;
	domain_map(domain, iova, iova + LARGE, size, true);
	dma(demo, iova);
	demo->quiet = false;

	begin(demo, operation);
	if (domain_unmap(domain, iova, size, &gather))
		abort();
	domain_sync(domain, &gather);
	dma(demo, iova);
	end(demo, domain);
}

static int setup(struct demo *demo)
{
	const struct model_config config = { .vendor = MODEL_VTD };
	size_t i;

	demo->quiet = true;
	for (i = 0; i < NR_IOMMUS; i++) {
		struct demo_iommu *di = &demo->iommus[i];

		di->demo = demo;
		di->index = i;
		di->hw = model_iommu_create(&config);
		if (!di->hw)
			return -1;
		model_set_log(di->hw, on_command, di);
		di->iommu = iommu_probe(di->hw, false);
		if (!di->iommu)
			return -1;
	}
	demo->parent = domain_alloc(&vtd_driver, 4, false, NULL);
	if (!demo->parent)
		return -1;
	demo->nest = domain_alloc(&vtd_driver, 4, true, demo->parent);
	if (!demo->nest)
		return -1;
	for (i = 0; i < NR_DEVICES; i++) {
		demo->devices[i] = device_probe(demo->iommus[machine[i].iommu].iommu,
						machine[i].rid, machine[i].ats);
		if (!demo->devices[i] ||
		    domain_attach(machine[i].nested ? demo->nest : demo->parent,
				  demo->devices[i], IOMMU_NO_PASID) ||
		    (machine[i].ats && device_ats_enable(demo->devices[i])))
			return -1;
	}
	demo->quiet = false;
	return 0;
}

static void teardown(struct demo *demo)
{
	size_t i;

	demo->quiet = true;
	for (i = 0; i < NR_DEVICES; i++)
		if (demo->devices[i])
			device_remove(demo->devices[i]);
	if (demo->nest)
		domain_free(demo->nest);
	if (demo->parent)
		domain_free(demo->parent);
	for (i = 0; i < NR_IOMMUS; i++) {
		if (demo->iommus[i].iommu)
			iommu_remove(demo->iommus[i].iommu);
		if (demo->iommus[i].hw)
			model_iommu_destroy(demo->iommus[i].hw);
	}
	burst_free(&demo->sent);
}

static void print_machine(const struct demo *demo)
{
	size_t i;

	if (demo->json)
		return;
	printf("One S2 domain on two IOMMUs, and a nest on it:\n");
	for (i = 0; i < NR_DEVICES; i++)
		printf("  dmar%u  %02x:%02x.%x  %-5s  %s%s\n", machine[i].iommu,
		       machine[i].rid >> 8, machine[i].rid >> 3 & 31,
		       machine[i].rid & 7, machine[i].name,
		       machine[i].nested ? "in the nest" : "in the domain",
		       machine[i].ats ? ", ATS" : "");
}

static void run(struct demo *demo)
{
	unmap(demo, demo->parent, "unmap 4 KiB of the domain", BASE, PAGE);
	unmap(demo, demo->parent, "unmap 64 KiB of the domain", BASE, 16 * PAGE);
	unmap(demo, demo->nest, "unmap 4 KiB of the nest", BASE, PAGE);
}

static int finish(struct demo *demo)
{
	struct json_object *object;
	bool failed = demo->stale ||
		      demo->list_sum.iotlb > demo->naive_sum.iotlb ||
		      demo->list_sum.atc > demo->naive_sum.atc ||
		      demo->list_sum.sync > demo->naive_sum.sync;

	if (demo->json) {
		object = json_object_new_object();
		json_object_object_add(object, "commands",
				       json_object_get(demo->commands));
		json_object_object_add(object, "operations",
				       json_object_get(demo->rows));
		json_object_object_add(object, "naive", json_count(&demo->naive_sum));
		json_object_object_add(object, "list", json_count(&demo->list_sum));
		json_object_object_add(object, "stale",
				       json_object_new_int64(demo->stale));
		printf("%s\n", json_object_to_json_string_ext(object, ALIST_JSON));
		json_object_put(object);
	} else {
		add_row(demo, "total", &demo->list_sum, &demo->naive_sum);
		printf("\n  %-44s | %17s | %17s\n", "commands sent", "naive      ",
		       "list       ");
		printf("  %-44s | %5s %5s %5s | %5s %5s %5s\n", "", "IOTLB", "ATC",
		       "syncs", "IOTLB", "ATC", "syncs");
		alist_publish(demo->table, stdout);
		printf("  %sstale translations: %lu%s\n",
		       colour(demo, demo->stale ? "\033[31m" : "\033[32m"),
		       demo->stale, colour(demo, "\033[0m"));
	}
	return failed ? ALIST_FAILED : ALIST_OK;
}

/*
 * Arguments
 */

static const struct argp_option argp_options[] = {
	{ "json", 'j', NULL, 0, "One JSON object", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct demo *demo = state->input;

	switch (key) {
	case 'j':
		demo->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "expected no argument, not '%s'", arg);
	}
	return ARGP_ERR_UNKNOWN;
}

int alist_demo(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, NULL,
		"Devices behind two IOMMUs, some with ATS, one in a nest: every "
		"command as it is sent, by the list and by a naive driver.",
		NULL, NULL, NULL,
	};
	struct demo demo = { 0 };
	int ret = ALIST_BAD;

	argp_parse(&argp, argc, argv, 0, NULL, &demo);
	demo.colour = !demo.json && alist_colour(stdout);
	demo.commands = json_object_new_array();
	demo.rows = json_object_new_array();
	demo.table = alist_spool();
	if (!demo.table)
		goto out;
	if (setup(&demo)) {
		alist_error("out of memory");
	} else {
		print_machine(&demo);
		run(&demo);
		ret = finish(&demo);
	}
	teardown(&demo);
	fclose(demo.table);
out:
	json_object_put(demo.rows);
	json_object_put(demo.commands);
	return ret;
}
