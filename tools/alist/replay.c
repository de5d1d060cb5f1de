// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist replay: what a list sends for the unmaps of a real log, against what the
 * driver sent that was recorded.
 *
 * Each step of the rebuilt log runs on the hardware models; if either side sent
 * something it is a flush, and both bursts are compared. All output waits in temporary
 * files until every file has proved to be sound, so that memory does not grow with the
 * log and nothing half-written is seen.
 *
 * Every command of the log is counted in one line of the table by purpose: with the
 * flush that it is of, or with those that no list would send.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alist.h"
#include "cost.h"
#include "reasons.h"
#include "rebuild.h"
#include "trace.h"
#include "vendor.h"
#include "world.h"

#define IOMMUS_MAX	64
#define NAME_WIDTH	21

struct options {
	bool json;
	bool verbose;
	bool reasons;
	unsigned int iommus;
	char **files;
	int nr_files;
};

/* What commands were for: flushes of domains first, the others after. */
enum purpose {
	FOR_UNMAP,
	FOR_LAZY,
	FOR_MAP,
	FOR_ATTACH,
	FOR_DETACH,
	FOR_FREE,
	FOR_UNKNOWN,
	FLUSHES,
	FOR_GLOBAL = FLUSHES,
	FOR_TABLES,
	FOR_OTHER,
	PURPOSES,
};

static const struct {
	const char *id, *text;
} purposes[PURPOSES] = {
	[FOR_UNMAP] = { "unmap", "unmap" },
	[FOR_LAZY] = { "lazy", "lazy unmap" },
	[FOR_MAP] = { "map", "map" },
	[FOR_ATTACH] = { "attach", "attach" },
	[FOR_DETACH] = { "detach", "detach" },
	[FOR_FREE] = { "free", "domain freed" },
	[FOR_UNKNOWN] = { "unknown", "not recorded" },
	[FOR_GLOBAL] = { "global", "whole IOMMU or VM" },
	[FOR_TABLES] = { "tables", "device/PASID entries" },
	[FOR_OTHER] = { "other", "interrupts, other" },
};

struct tally {
	unsigned long flushes;
	unsigned long same;
	struct burst_count driver;
	struct burst_count list;
};

struct total {
	unsigned long attachments;
	struct tally flushes;		/* of domains: the first FLUSHES purposes */
	struct tally by[PURPOSES];
	unsigned long stale;
	unsigned long faults;
	unsigned long reasons[REASONS];
};

/*
 * A tag that the list flushed when its last device left, and the driver did not:
 * drivers may do so later, when they free the domain.
 */
struct credit {
	struct credit *next;
	unsigned int iommu;
	uint64_t tag;
	uint64_t line;
	struct burst sent;
};

struct replay {
	const struct options *options;
	struct rebuild *rebuild;
	struct world *world;
	struct credit *credits;
	char run[128];
	struct total this_run;
	struct total all;
	unsigned int nr_runs;
	FILE *rows;			/* the table, or the differences in JSON */
	FILE *flushes;			/* with --verbose */
	FILE *index;			/* of @flushes: struct index_entry */
	bool any_difference;
	bool no_memory;
};

/* Where a flush is told in the file of them; they end in another order than they begin. */
struct index_entry {
	uint64_t line, serial, offset, len;
};

static void tally_add(struct tally *to, const struct tally *tally)
{
	to->flushes += tally->flushes;
	to->same += tally->same;
	burst_count_add(&to->driver, &tally->driver);
	burst_count_add(&to->list, &tally->list);
}

static void total_add(struct total *to, const struct total *total)
{
	size_t i;

	to->attachments += total->attachments;
	tally_add(&to->flushes, &total->flushes);
	for (i = 0; i < PURPOSES; i++)
		tally_add(&to->by[i], &total->by[i]);
	to->stale += total->stale;
	to->faults += total->faults;
	for (i = 0; i < REASONS; i++)
		to->reasons[i] += total->reasons[i];
}

static bool total_failed(const struct total *total)
{
	return total->stale || total->faults || total->reasons[REASON_UNEXPLAINED] ||
	       total->reasons[REASON_FLUSH_MISSING];
}

/* @compared: with how many are the same. */
static void print_row(FILE *to, const char *name, const struct tally *tally, bool compared)
{
	char text[NAME_WIDTH + 1], same[24];

	snprintf(same, sizeof(same), compared ? "%lu" : "-", tally->same);
	cost_shorten(text, name, NAME_WIDTH);
	fprintf(to, "  %-*s %7lu %6lu %6lu %6lu %6lu %6lu %6lu %6s\n",
		NAME_WIDTH, text, tally->flushes, tally->driver.iotlb, tally->driver.atc,
		tally->driver.sync, tally->list.iotlb, tally->list.atc,
		tally->list.sync, same);
}

static void end_run(struct replay *replay)
{
	if (replay->this_run.flushes.flushes || replay->this_run.attachments) {
		replay->nr_runs++;
		if (!replay->options->json)
			print_row(replay->rows, replay->run[0] ? replay->run : "-",
				  &replay->this_run.flushes, !replay->options->iommus);
	}
	total_add(&replay->all, &replay->this_run);
	memset(&replay->this_run, 0, sizeof(replay->this_run));
}

static void difference(struct replay *replay, uint64_t line, uint32_t reasons)
{
	struct json_object *object;
	size_t i;

	for (i = 0; i < REASONS; i++) {
		if (!(reasons >> i & 1))
			continue;
		replay->this_run.reasons[i]++;
		if (!replay->options->json)
			continue;
		object = json_object_new_object();
		json_object_object_add(object, "line", json_object_new_int64(line));
		json_object_object_add(object, "reason",
				       json_object_new_string(reason_name(i)));
		fprintf(replay->rows, "%s%s", replay->any_difference ? "," : "",
			json_object_to_json_string_ext(object, ALIST_JSON));
		json_object_put(object);
		replay->any_difference = true;
	}
}

/* What is told of flushes with --verbose, to be brought into the order of the log. */
static void flush_begins(struct replay *replay, uint64_t line, struct index_entry *entry)
{
	static uint64_t serial;

	*entry = (struct index_entry){ line, serial++, ftell(replay->flushes), 0 };
}

static void flush_ends(struct replay *replay, struct index_entry *entry)
{
	entry->len = ftell(replay->flushes) - entry->offset;
	fwrite(entry, sizeof(*entry), 1, replay->index);
}

static int by_line(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

/* The index is sorted in its file: memory does not grow with the log. */
static int publish_flushes(struct replay *replay, FILE *out)
{
	struct index_entry *index;
	size_t i, nr, left, n;
	char buf[4096];
	int ret = 0;
	long size;

	if (alist_spool_check(replay->flushes) || alist_spool_check(replay->index))
		return -1;
	size = ftell(replay->index);
	if (size <= 0)
		return 0;
	nr = size / sizeof(*index);
	index = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		     fileno(replay->index), 0);
	if (index == MAP_FAILED) {
		alist_error("out of memory");
		return -1;
	}
	qsort(index, nr, sizeof(*index), by_line);
	for (i = 0; i < nr && !ret; i++) {
		ret = fseek(replay->flushes, index[i].offset, SEEK_SET);
		for (left = index[i].len; left && !ret; left -= n) {
			n = left < sizeof(buf) ? left : sizeof(buf);
			n = fread(buf, 1, n, replay->flushes);
			if (!n || fwrite(buf, 1, n, out) != n)
				ret = -1;
		}
	}
	munmap(index, size);
	if (ret)
		alist_error("cannot read a temporary file");
	return ret;
}

static void print_words(struct replay *replay, const char *who, enum model_vendor vendor,
			const struct burst *burst)
{
	const struct machine *machine = rebuild_machine(replay->rebuild);
	FILE *to = replay->flushes;
	char text[128];
	size_t i;

	for (i = 0; i < burst->nr; i++) {
		const struct command *cmd = &burst->cmds[i];

		model_decode(vendor, cmd->words, text, sizeof(text));
		fprintf(to, "    %-6s  %s  %016" PRIx64 " %016" PRIx64 "  %s", who,
			cmd->iommu < machine->nr_iommus && !replay->options->iommus ?
			machine->iommus[cmd->iommu].label : "iommu",
			cmd->words[0], cmd->words[1], text);
		if (cmd->n > 1)
			fprintf(to, ", and %u more", cmd->n - 1);
		fprintf(to, "%s\n", cmd->waits ? "; wait" : "");
	}
}

/* One flush: @driver and @list are what each of them sent. */
static void compare(struct replay *replay, uint64_t line, enum purpose purpose,
		    const struct compare_facts *facts, const struct burst *driver,
		    const struct burst *list)
{
	struct tally tally = {
		.flushes = 1, .driver = burst_count(driver), .list = burst_count(list),
	};
	struct index_entry entry;
	uint32_t reasons = 0;
	size_t i;

	if (!replay->options->iommus) {
		reasons = compare_bursts(driver, list, facts);
		tally.same = !reasons;
		difference(replay, line, reasons);
	}
	tally_add(&replay->this_run.flushes, &tally);
	tally_add(&replay->this_run.by[purpose], &tally);
	if (!replay->flushes)
		return;
	flush_begins(replay, line, &entry);
	fprintf(replay->flushes,
		"  line %" PRIu64 " %s: driver %lu IOTLB %lu ATC %lu syncs, list %lu IOTLB %lu ATC %lu syncs%s",
		line, purposes[purpose].id, tally.driver.iotlb, tally.driver.atc,
		tally.driver.sync, tally.list.iotlb, tally.list.atc,
		tally.list.sync, replay->options->iommus ? "" : reasons ? ":" : ": same words");
	for (i = 0; i < REASONS; i++)
		if (reasons >> i & 1)
			fprintf(replay->flushes, " %s", reason_name(i));
	fputc('\n', replay->flushes);
	if (reasons) {
		print_words(replay, "driver", facts->vendor, driver);
		print_words(replay, "list", facts->vendor, list);
	}
	flush_ends(replay, &entry);
}

static void credit_free(struct credit *credit)
{
	burst_free(&credit->sent);
	free(credit);
}

static struct credit *credit_take(struct replay *replay, unsigned int iommu,
				  uint64_t tag)
{
	struct credit **p, *credit;

	for (p = &replay->credits; *p; p = &(*p)->next) {
		credit = *p;
		if (credit->iommu != iommu || credit->tag != tag)
			continue;
		*p = credit->next;
		return credit;
	}
	return NULL;
}

/* The driver did not flush this tag, as far as the log goes. */
static void credit_lapse(struct replay *replay, struct credit *credit,
			 const struct compare_facts *facts)
{
	struct tally tally = { .flushes = 1, .list = burst_count(&credit->sent) };
	struct index_entry entry;

	tally_add(&replay->this_run.flushes, &tally);
	tally_add(&replay->this_run.by[FOR_DETACH], &tally);
	if (!replay->options->iommus)
		difference(replay, credit->line, UINT32_C(1) << REASON_TAG_EARLY);
	if (replay->flushes) {
		flush_begins(replay, credit->line, &entry);
		fprintf(replay->flushes,
			"  line %" PRIu64 " detach: driver sent nothing, list %lu IOTLB %lu syncs: %s\n",
			credit->line, tally.list.iotlb, tally.list.sync,
			reason_name(REASON_TAG_EARLY));
		print_words(replay, "list", facts->vendor, &credit->sent);
		flush_ends(replay, &entry);
	}
	credit_free(credit);
}

static int credit_add(struct replay *replay, const struct step *step,
		      const struct world_result *result)
{
	const struct machine_attachment *att = step->attachment;
	struct credit *credit = credit_take(replay, att->iommu, att->tag);
	size_t i;

	if (credit)
		credit_lapse(replay, credit, &result->facts);
	credit = calloc(1, sizeof(*credit));
	if (!credit)
		return -1;
	credit->iommu = att->iommu;
	credit->tag = att->tag;
	credit->line = step->line;
	for (i = 0; i < result->sent.nr; i++)
		if (burst_add(&credit->sent, &result->sent.cmds[i])) {
			credit_free(credit);
			return -1;
		}
	credit->next = replay->credits;
	replay->credits = credit;
	return 0;
}

/* What is of no flush that a list would send. */
static void on_alone(struct replay *replay, const struct step *step,
		     const struct world_result *result)
{
	static const struct burst nothing;
	struct compare_facts facts = result->facts;
	struct tally tally = { .driver = burst_count(step->burst) };

	switch (step->place) {
	case PLACE_ATTACH:
		facts.kind = STEP_ATTACH;
		compare(replay, step->line, FOR_ATTACH, &facts, step->burst, &nothing);
		return;
	case PLACE_DETACH:
		facts.kind = STEP_DETACH;
		facts.tag_in_use = true;
		compare(replay, step->line, FOR_DETACH, &facts, step->burst, &nothing);
		return;
	case PLACE_FLUSH:
		facts.kind = STEP_OTHER_FLUSH;
		facts.unknown_members = true;
		compare(replay, step->line, FOR_UNKNOWN, &facts, step->burst, &nothing);
		return;
	case PLACE_GLOBAL:
		tally_add(&replay->this_run.by[FOR_GLOBAL], &tally);
		return;
	case PLACE_TABLES:
		tally_add(&replay->this_run.by[FOR_TABLES], &tally);
		return;
	default:
		tally_add(&replay->this_run.by[FOR_OTHER], &tally);
		return;
	}
}

static enum purpose purpose_of(const struct step *step)
{
	switch (step->kind) {
	case STEP_UNMAP_FLUSH:
		return step->lazy ? FOR_LAZY : FOR_UNMAP;
	case STEP_MAP_FLUSH:
		return FOR_MAP;
	case STEP_ATTACH:
		return FOR_ATTACH;
	case STEP_DETACH:
		return FOR_DETACH;
	case STEP_RETIRE:
		return FOR_FREE;
	default:
		return FOR_UNKNOWN;
	}
}

static void on_missing(struct replay *replay, const struct step *step,
		       const struct compare_facts *facts)
{
	enum reason reason = facts->lost ? REASON_LOST : REASON_FLUSH_MISSING;
	struct index_entry entry;

	if (replay->options->iommus)
		return;
	difference(replay, step->line, UINT32_C(1) << reason);
	if (!replay->flushes)
		return;
	flush_begins(replay, step->line, &entry);
	fprintf(replay->flushes,
		"  line %" PRIu64 " unmap of 0x%" PRIx64 ", %" PRIu64 " bytes: driver sent nothing: %s\n",
		step->line, step->ranges->iova, step->ranges->size, reason_name(reason));
	flush_ends(replay, &entry);
}

static int on_step(struct machine *machine, const struct step *step, void *arg)
{
	static const struct burst nothing;
	struct replay *replay = arg;
	const struct burst *driver = step->burst ? step->burst : &nothing;
	struct world_result result;
	struct compare_facts facts;
	struct credit *credit;

	if (world_step(replay->world, machine, step, &result)) {
		replay->no_memory = true;
		return -1;
	}
	replay->this_run.stale += result.stale;
	replay->this_run.faults += result.faults;
	rebuild_count_unknown(replay->rebuild, UNKNOWN_MAPPING, result.unmapped);
	replay->this_run.attachments += step->kind == STEP_ATTACH;
	/* A guess that was wrong, or has been replaced by what is known. */
	replay->this_run.attachments -= step->kind == STEP_FORGET && step->attachment->guessed;

	switch (step->kind) {
	case STEP_RUN:
	case STEP_END:
		while ((credit = replay->credits)) {
			replay->credits = credit->next;
			credit_lapse(replay, credit, &result.facts);
		}
		end_run(replay);
		trace_clean(replay->run, sizeof(replay->run), step->label.s ?
			    step->label.s : "", step->label.len);
		return 0;
	case STEP_ALONE:
		on_alone(replay, step, &result);
		return 0;
	case STEP_MISSING:
		on_missing(replay, step, &result.facts);
		return 0;
	case STEP_ATTACH:
		if (driver->nr || result.attach.nr)
			compare(replay, step->line, FOR_ATTACH, &result.facts, driver,
				&result.attach);
		return 0;
	default:
		break;
	}
	if (result.attach.nr) {
		facts = result.facts;
		facts.kind = STEP_ATTACH;
		compare(replay, step->line, FOR_ATTACH, &facts, &nothing, &result.attach);
	}
	if (step->kind == STEP_DETACH && !driver->nr && result.sent.nr) {
		if (credit_add(replay, step, &result)) {
			replay->no_memory = true;
			return -1;
		}
		return 0;
	}
	if (step->kind == STEP_RETIRE) {
		credit = credit_take(replay, step->iommu, step->tag);
		compare(replay, step->line, FOR_FREE, &result.facts, driver,
			credit ? &credit->sent : &nothing);
		if (credit)
			credit_free(credit);
		return 0;
	}
	if (driver->nr || result.sent.nr)
		compare(replay, step->line, purpose_of(step), &result.facts, driver,
			&result.sent);
	return 0;
}

/*
 * Output
 */

static const char *const unknown_names[UNKNOWN_KINDS] = {
	[UNKNOWN_ATTACHMENT] = "attachments",
	[UNKNOWN_MAPPING] = "mappings",
	[UNKNOWN_UNMAP] = "unmaps",
	[UNKNOWN_WORDS] = "words",
	[UNKNOWN_EVENTS] = "events",
	[UNKNOWN_FLUSH] = "flushes",
};

static const char *const unknown_texts[UNKNOWN_KINDS] = {
	[UNKNOWN_ATTACHMENT] = "made before the log, or to an unknown domain",
	[UNKNOWN_MAPPING] = "unmapped, but never seen mapped",
	[UNKNOWN_UNMAP] = "flushed, but never seen unmapped",
	[UNKNOWN_WORDS] = "commands whose contents are not in the log",
	[UNKNOWN_EVENTS] = "events lost",
	[UNKNOWN_FLUSH] = "unmapped, but not flushed before the log ends",
};

static struct json_object *json_count(const struct burst_count *count)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "iotlb", json_object_new_int64(count->iotlb));
	json_object_object_add(object, "atc", json_object_new_int64(count->atc));
	json_object_object_add(object, "sync", json_object_new_int64(count->sync));
	return object;
}

static struct json_object *json_tally(const struct tally *tally, bool flushes)
{
	struct json_object *object = json_object_new_object();
	struct json_object *driver = json_count(&tally->driver);

	if (flushes) {
		json_object_object_add(object, "flushes",
				       json_object_new_int64(tally->flushes));
		json_object_object_add(object, "same", json_object_new_int64(tally->same));
		json_object_object_add(object, "driver", driver);
		json_object_object_add(object, "list", json_count(&tally->list));
		return object;
	}
	json_object_object_add(driver, "config",
			       json_object_new_int64(tally->driver.config));
	json_object_object_add(driver, "other", json_object_new_int64(tally->driver.other));
	json_object_object_add(object, "driver", driver);
	return object;
}

static int publish_json(struct replay *replay, const char *path, FILE *out)
{
	struct machine *machine = rebuild_machine(replay->rebuild);
	struct burst_count recorded = rebuild_recorded(replay->rebuild);
	const struct total *all = &replay->all;
	struct json_object *object = json_object_new_object();
	struct json_object *unknowns = json_object_new_object();
	struct json_object *by = json_object_new_object();
	struct json_object *log = json_count(&recorded);
	unsigned long unknown, sum = 0;
	const char *text;
	char name[4096];
	size_t i;

	trace_clean(name, sizeof(name), path, strlen(path));
	json_object_object_add(object, "file", json_object_new_string(name));
	json_object_object_add(object, "vendor",
		json_object_new_string(alist_vendor(machine->vendor)));
	json_object_object_add(object, "runs", json_object_new_int64(replay->nr_runs));
	if (replay->options->iommus)
		json_object_object_add(object, "iommus",
			json_object_new_int64(replay->options->iommus));
	json_object_object_add(object, "attachments",
			       json_object_new_int64(all->attachments));
	json_object_object_add(object, "flushes",
			       json_object_new_int64(all->flushes.flushes));
	if (!replay->options->iommus)
		json_object_object_add(object, "same",
				       json_object_new_int64(all->flushes.same));
	json_object_object_add(object, "driver", json_count(&all->flushes.driver));
	json_object_object_add(object, "list", json_count(&all->flushes.list));
	json_object_object_add(log, "config", json_object_new_int64(recorded.config));
	json_object_object_add(log, "other", json_object_new_int64(recorded.other));
	json_object_object_add(object, "recorded", log);
	json_object_object_add(object, "syncs_inferred",
		json_object_new_boolean(!vendor_of(machine->vendor)->logs_waits));
	for (i = 0; i < PURPOSES; i++)
		json_object_object_add(by, purposes[i].id,
				       json_tally(&all->by[i], i < FLUSHES));
	json_object_object_add(object, "purposes", by);
	json_object_object_add(object, "stale", json_object_new_int64(all->stale));
	json_object_object_add(object, "faults", json_object_new_int64(all->faults));
	for (i = 0; i < UNKNOWN_KINDS; i++) {
		unknown = rebuild_unknown(replay->rebuild, i);
		sum += unknown;
		json_object_object_add(unknowns, unknown_names[i],
				       json_object_new_uint64(unknown));
	}
	json_object_object_add(object, "unknown", json_object_new_uint64(sum));
	json_object_object_add(object, "unknowns", unknowns);

	/* The differences are as many as they like: they come from their file. */
	text = json_object_to_json_string_ext(object, ALIST_JSON);
	fprintf(out, "%.*s,\"differences\":[", (int)strlen(text) - 1, text);
	json_object_put(object);
	if (alist_publish(replay->rows, out))
		return -1;
	fprintf(out, "]}\n");
	return 0;
}

static void print_purposes(const struct replay *replay, FILE *out)
{
	const struct total *all = &replay->all;
	struct burst_count rest = { 0 };
	size_t i;

	fprintf(out, "  by purpose\n");
	for (i = 0; i < FLUSHES; i++)
		if (all->by[i].flushes)
			print_row(out, purposes[i].text, &all->by[i],
				  !replay->options->iommus);
	for (i = FLUSHES; i < PURPOSES; i++) {
		const struct burst_count *count = &all->by[i].driver;

		burst_count_add(&rest, count);
		if (!(count->iotlb + count->config + count->other + count->sync))
			continue;
		fprintf(out, "  %-*s %7s %6lu %6lu %6lu", NAME_WIDTH, purposes[i].text, "",
			count->iotlb, count->atc, count->sync);
		if (count->config)
			fprintf(out, "  plus %lu config", count->config);
		if (count->other)
			fprintf(out, "%s plus %lu other",
				count->config ? "" : " ", count->other);
		fputc('\n', out);
	}
	burst_count_add(&rest, &all->flushes.driver);
	fprintf(out, "  %-*s %7s %6lu %6lu %6lu%s\n", NAME_WIDTH, "whole log", "",
		rest.iotlb, rest.atc, rest.sync,
		vendor_of(rebuild_machine(replay->rebuild)->vendor)->logs_waits ?
		"" : "  syncs are inferred");
}

/* In lines of at most 80, behind @indent blanks. */
static void print_wrapped(FILE *out, int indent, const char *text)
{
	int room = 80 - indent, len;

	for (; *text; text += len + (text[len] == ' ')) {
		len = strlen(text);
		if (len > room) {
			for (len = room; len && text[len] != ' '; len--)
				;
			if (!len)
				len = strcspn(text, " ");
		}
		fprintf(out, "%*s%.*s\n", indent, "", len, text);
	}
}

static int publish_text(struct replay *replay, const char *path, FILE *out)
{
	struct machine *machine = rebuild_machine(replay->rebuild);
	const struct total *all = &replay->all;
	const char *red = alist_colour(stdout) ? "\033[31m" : "";
	const char *green = alist_colour(stdout) ? "\033[32m" : "";
	const char *plain = alist_colour(stdout) ? "\033[0m" : "";
	unsigned long unknown;
	bool any = false;
	char name[4096];
	size_t i;

	trace_clean(name, sizeof(name), path, strlen(path));
	fprintf(out, "%s: %s, %lu attachment%s", name, model_vendor_name(machine->vendor),
		all->attachments, all->attachments == 1 ? "" : "s");
	if (replay->options->iommus)
		fprintf(out, ", spread over %u IOMMUs", replay->options->iommus);
	fprintf(out, "\n");
	if (replay->flushes && publish_flushes(replay, out))
		return -1;
	fprintf(out, "  %-*s %7s %20s %20s\n", NAME_WIDTH, "", "", "-- driver recorded --",
		"------- list -------");
	fprintf(out, "  %-*s %7s %6s %6s %6s %6s %6s %6s %6s\n", NAME_WIDTH, "run", "flushes",
	       "IOTLB", "ATC", "syncs", "IOTLB", "ATC", "syncs", "same");
	if (alist_publish(replay->rows, out))
		return -1;
	print_row(out, "total", &all->flushes, !replay->options->iommus);
	print_purposes(replay, out);
	for (i = 0; i < REASONS; i++) {
		bool bad = i == REASON_UNEXPLAINED || i == REASON_FLUSH_MISSING;

		if (!all->reasons[i])
			continue;
		if (!any)
			fprintf(out, "  differences, by reason:\n");
		any = true;
		fprintf(out, "    %s%8lu  %s%s\n", bad ? red : "", all->reasons[i],
			reason_name(i), bad ? plain : "");
		print_wrapped(out, 14, reason_text(i));
	}
	any = false;
	for (i = 0; i < UNKNOWN_KINDS; i++) {
		unknown = rebuild_unknown(replay->rebuild, i);
		if (!unknown)
			continue;
		if (!any)
			fprintf(out, "  not recorded in the log:\n");
		any = true;
		fprintf(out, "    %8lu  %-11s  %s\n", unknown, unknown_names[i],
			unknown_texts[i]);
	}
	fprintf(out, "  %sstale translations: %lu%s", all->stale ? red : green, all->stale,
		plain);
	if (all->faults)
		fprintf(out, ", %scommands refused: %lu%s", red, all->faults, plain);
	fprintf(out, "\n");
	return 0;
}

/* Each command is in one line of the table, or the counts are worth nothing. */
static bool counts_agree(const struct replay *replay)
{
	struct burst_count recorded = rebuild_recorded(replay->rebuild);
	struct burst_count sum = { 0 };
	size_t i;

	for (i = 0; i < PURPOSES; i++)
		burst_count_add(&sum, &replay->all.by[i].driver);
	return burst_count_equal(&recorded, &sum);
}

static int replay_log(struct replay *replay, struct trace *trace, const char *path)
{
	struct trace_event event;
	uint64_t line = 0;
	int ret, more;

	do {
		more = alist_next(trace, path, &event);
		if (more < 0)
			return ALIST_BAD;
		if (more)
			line = event.line;
		ret = rebuild_event(replay->rebuild, more ? &event : NULL);
	} while (!ret && more);
	if (ret) {
		alist_error("%s:%" PRIu64 ": %s", path, line,
			    replay->no_memory ? "out of memory" :
						rebuild_error(replay->rebuild));
		return ALIST_BAD;
	}
	if (rebuild_machine(replay->rebuild)->vendor == MODEL_VENDORS) {
		alist_error("%s:%" PRIu64 ": expected qi_submit, amdcmd, smmucmd or riscvcmd events, the log has none (alist cost can read it; alist record records them)",
			    path, line);
		return ALIST_BAD;
	}
	if (!counts_agree(replay)) {
		alist_error("%s: the counts do not add up: this is a bug in alist",
			    path);
		return ALIST_BAD;
	}
	return total_failed(&replay->all) ? ALIST_FAILED : ALIST_OK;
}

static int replay_file(const struct options *options, const char *path,
		       struct total *sum, FILE *out)
{
	struct replay replay = { .options = options };
	struct trace *trace = alist_open(path);
	int ret = ALIST_BAD;

	if (!trace)
		return ALIST_BAD;
	replay.rows = alist_spool();
	if (options->verbose && !options->json) {
		replay.flushes = alist_spool();
		replay.index = alist_spool();
		if (!replay.flushes || !replay.index)
			goto out;
	}
	if (!replay.rows)
		goto out;
	replay.rebuild = rebuild_create(on_step, &replay);
	replay.world = world_create(options->iommus);
	if (!replay.rebuild || !replay.world) {
		alist_error("out of memory");
		goto out;
	}
	ret = replay_log(&replay, trace, path);
	if (ret != ALIST_BAD &&
	    (options->json ? publish_json(&replay, path, out) :
			     publish_text(&replay, path, out)))
		ret = ALIST_BAD;
	total_add(sum, &replay.all);
out:
	while (replay.credits) {
		struct credit *credit = replay.credits;

		replay.credits = credit->next;
		credit_free(credit);
	}
	world_destroy(replay.world, replay.rebuild ?
				    rebuild_machine(replay.rebuild) : NULL);
	rebuild_destroy(replay.rebuild);
	if (replay.flushes)
		fclose(replay.flushes);
	if (replay.index)
		fclose(replay.index);
	if (replay.rows)
		fclose(replay.rows);
	trace_close(trace);
	return ret;
}

static void print_reasons(bool json)
{
	struct json_object *array = json ? json_object_new_array() : NULL;
	struct json_object *object;
	size_t i;

	for (i = 0; i < REASONS; i++) {
		if (!json) {
			printf("%-20s %s\n", reason_name(i), reason_text(i));
			continue;
		}
		object = json_object_new_object();
		json_object_object_add(object, "reason",
				       json_object_new_string(reason_name(i)));
		json_object_object_add(object, "text",
				       json_object_new_string(reason_text(i)));
		json_object_array_add(array, object);
	}
	if (json)
		printf("%s\n", json_object_to_json_string_ext(array, ALIST_JSON));
	json_object_put(array);
}

/*
 * Arguments
 */

#define KEY_IOMMUS	256
#define KEY_REASONS	257

static const struct argp_option argp_options[] = {
	{ "json", 'j', NULL, 0, "One JSON object per file", 0 },
	{ "verbose", 'v', NULL, 0, "Print every flush, and both sides' commands where they differ", 0 },
	{ "iommus", KEY_IOMMUS, "N", 0,
	  "Spread the devices over N IOMMUs, and show what the same work costs there", 0 },
	{ "reasons", KEY_REASONS, NULL, 0, "Explain the reasons of differences", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	unsigned long n;
	char *end;

	switch (key) {
	case 'j':
		options->json = true;
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case KEY_IOMMUS:
		n = strtoul(arg, &end, 10);
		if (*end || end == arg || !n || n > IOMMUS_MAX)
			argp_error(state, "expected --iommus from 1 to %d, not '%s'",
				   IOMMUS_MAX, arg);
		options->iommus = n;
		return 0;
	case KEY_REASONS:
		options->reasons = true;
		return 0;
	case ARGP_KEY_ARGS:
		options->files = state->argv + state->next;
		options->nr_files = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		if (!options->reasons)
			argp_error(state, "expected a file, or - for standard input");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int alist_replay(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, "FILE...",
		"Rebuild from an ftrace log (the text of trace, or of trace-cmd report; "
		"- is standard input) what was attached and unmapped, run it through "
		"the attach list on software models, and compare the commands.\v"
		"Exit status: 0 all differences are explained and nothing stale was "
		"found, 1 a check failed, 2 bad usage or input; if one of several files "
		"is bad, nothing is printed.",
		NULL, NULL, NULL,
	};
	struct options options = { 0 };
	struct total sum = { 0 };
	int i, ret, worst = ALIST_OK;
	FILE *out;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (options.reasons) {
		print_reasons(options.json);
		return ALIST_OK;
	}
	out = alist_spool();
	if (!out)
		return ALIST_BAD;
	for (i = 0; i < options.nr_files; i++) {
		if (i && !options.json)
			fprintf(out, "\n");
		ret = replay_file(&options, options.files[i], &sum, out);
		if (ret > worst)
			worst = ret;
	}
	if (options.nr_files > 1 && !options.json) {
		fprintf(out, "\nall %d files\n", options.nr_files);
		print_row(out, "total", &sum.flushes, !options.iommus);
	}
	if (worst == ALIST_BAD && options.nr_files > 1)
		alist_error("cannot replay all %d files: nothing is printed",
			    options.nr_files);
	else if (worst != ALIST_BAD && alist_publish(out, stdout))
		worst = ALIST_BAD;
	fclose(out);
	return worst;
}
