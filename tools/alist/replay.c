// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist replay: what a list sends for the unmaps of a real log, against what the
 * driver sent that was recorded.
 *
 * Each step of the rebuilt log runs on the hardware models; if either side sent
 * something it is a flush, and both bursts are compared. All output of a file waits
 * in temporary files until the file has proved to be sound, so that memory does not
 * grow with the log and nothing half-written is seen.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alist.h"
#include "compare.h"
#include "rebuild.h"
#include "trace.h"
#include "world.h"

#define IOMMUS_MAX	64
#define PROGRESS_BYTES	(UINT64_C(1) << 22)

struct options {
	bool json;
	bool verbose;
	bool reasons;
	unsigned int iommus;
	char **files;
	int nr_files;
};

struct total {
	unsigned long attachments;
	unsigned long flushes;
	unsigned long same;
	struct burst_count driver;
	struct burst_count list;
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
	bool any_difference;
	bool no_memory;
};

static void count_add(struct burst_count *to, const struct burst_count *count)
{
	to->iotlb += count->iotlb;
	to->atc += count->atc;
	to->sync += count->sync;
}

static void total_add(struct total *to, const struct total *total)
{
	size_t i;

	to->attachments += total->attachments;
	to->flushes += total->flushes;
	to->same += total->same;
	count_add(&to->driver, &total->driver);
	count_add(&to->list, &total->list);
	to->stale += total->stale;
	to->faults += total->faults;
	for (i = 0; i < REASONS; i++)
		to->reasons[i] += total->reasons[i];
}

static bool total_failed(const struct total *total)
{
	return total->stale || total->faults || total->reasons[REASON_UNEXPLAINED];
}

static void print_row(FILE *to, const char *name, const struct total *total)
{
	fprintf(to, "  %-26.60s %8lu | %8lu %8lu %8lu | %8lu %8lu %8lu | %8lu\n",
		name, total->flushes, total->driver.iotlb, total->driver.atc,
		total->driver.sync, total->list.iotlb, total->list.atc,
		total->list.sync, total->same);
}

static void end_run(struct replay *replay)
{
	if (replay->this_run.flushes || replay->this_run.attachments) {
		replay->nr_runs++;
		if (!replay->options->json)
			print_row(replay->rows, replay->run[0] ? replay->run : "-",
				  &replay->this_run);
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

static const char *const step_names[] = {
	[STEP_ATTACH] = "attach",
	[STEP_DETACH] = "detach",
	[STEP_UNMAP_FLUSH] = "unmap",
	[STEP_MAP_FLUSH] = "map",
	[STEP_OTHER_FLUSH] = "flush",
	[STEP_RETIRE] = "free",
};

static void print_words(FILE *to, const char *who, enum model_vendor vendor,
			const struct burst *burst)
{
	char text[128];
	size_t i;

	for (i = 0; i < burst->nr; i++) {
		const struct command *cmd = &burst->cmds[i];

		model_decode(vendor, cmd->words, text, sizeof(text));
		fprintf(to, "    %-6s  iommu %u  %016" PRIx64 " %016" PRIx64 "  %s",
			who, cmd->iommu, cmd->words[0], cmd->words[1], text);
		if (cmd->n > 1)
			fprintf(to, ", and %u more", cmd->n - 1);
		fprintf(to, "%s\n", cmd->waits ? "; wait" : "");
	}
}

/* One flush: @driver and @list are what each of them sent. */
static void compare(struct replay *replay, uint64_t line,
		    const struct compare_facts *facts, const struct burst *driver,
		    const struct burst *list)
{
	struct total *total = &replay->this_run;
	struct burst_count recorded = burst_count(driver);
	struct burst_count sent = burst_count(list);
	uint32_t reasons = 0;
	size_t i;

	count_add(&total->driver, &recorded);
	count_add(&total->list, &sent);
	total->flushes++;
	if (!replay->options->iommus) {
		reasons = compare_bursts(driver, list, facts);
		total->same += !reasons;
		difference(replay, line, reasons);
	}
	if (!replay->options->verbose || replay->options->json)
		return;
	fprintf(replay->flushes,
		"  line %" PRIu64 " %s: driver %lu IOTLB %lu ATC %lu syncs, list %lu IOTLB %lu ATC %lu syncs%s",
		line, step_names[facts->kind], recorded.iotlb, recorded.atc,
		recorded.sync, sent.iotlb, sent.atc, sent.sync,
		replay->options->iommus ? "" : reasons ? ":" : ": same words");
	for (i = 0; i < REASONS; i++)
		if (reasons >> i & 1)
			fprintf(replay->flushes, " %s", reason_name(i));
	fputc('\n', replay->flushes);
	if (reasons) {
		print_words(replay->flushes, "driver", facts->vendor, driver);
		print_words(replay->flushes, "list", facts->vendor, list);
	}
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
	static const struct burst nothing;
	struct burst_count sent = burst_count(&credit->sent);
	struct compare_facts early = *facts;

	early.kind = STEP_DETACH;
	count_add(&replay->this_run.list, &sent);
	replay->this_run.flushes++;
	if (!replay->options->iommus)
		difference(replay, credit->line, UINT32_C(1) << REASON_TAG_EARLY);
	if (replay->options->verbose && !replay->options->json) {
		fprintf(replay->flushes,
			"  line %" PRIu64 " detach: driver nothing, list %lu IOTLB %lu syncs: %s\n",
			credit->line, sent.iotlb, sent.sync,
			reason_name(REASON_TAG_EARLY));
		print_words(replay->flushes, "driver", early.vendor, &nothing);
		print_words(replay->flushes, "list", early.vendor, &credit->sent);
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

	if (step->kind == STEP_RUN || step->kind == STEP_END) {
		while ((credit = replay->credits)) {
			replay->credits = credit->next;
			credit_lapse(replay, credit, &result.facts);
		}
		end_run(replay);
		snprintf(replay->run, sizeof(replay->run), "%.*s",
			 (int)step->label.len, step->label.s);
		return 0;
	}
	if (step->kind == STEP_ATTACH) {
		if (driver->nr || result.attach.nr)
			compare(replay, step->line, &result.facts, driver,
				&result.attach);
		return 0;
	}
	if (result.attach.nr) {
		facts = result.facts;
		facts.kind = STEP_ATTACH;
		compare(replay, step->line, &facts, &nothing, &result.attach);
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
		compare(replay, step->line, &result.facts, driver,
			credit ? &credit->sent : &nothing);
		if (credit)
			credit_free(credit);
		return 0;
	}
	if (driver->nr || result.sent.nr)
		compare(replay, step->line, &result.facts, driver, &result.sent);
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
};

static const char *const unknown_texts[UNKNOWN_KINDS] = {
	[UNKNOWN_ATTACHMENT] = "attached before the log began, or not said where",
	[UNKNOWN_MAPPING] = "unmapped, and not seen mapped",
	[UNKNOWN_UNMAP] = "flushed, and not seen unmapped",
	[UNKNOWN_WORDS] = "commands of which the log has no words",
	[UNKNOWN_EVENTS] = "events lost",
};

static struct json_object *json_count(const struct burst_count *count)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "iotlb", json_object_new_int64(count->iotlb));
	json_object_object_add(object, "atc", json_object_new_int64(count->atc));
	json_object_object_add(object, "sync", json_object_new_int64(count->sync));
	return object;
}

static int publish_json(struct replay *replay, const char *path)
{
	struct machine *machine = rebuild_machine(replay->rebuild);
	const struct total *all = &replay->all;
	struct json_object *object = json_object_new_object();
	struct json_object *unknowns = json_object_new_object();
	unsigned long unknown, sum = 0;
	const char *text;
	size_t i;

	json_object_object_add(object, "file", json_object_new_string(path));
	json_object_object_add(object, "vendor",
		json_object_new_string(alist_vendor(machine->vendor)));
	json_object_object_add(object, "runs", json_object_new_int64(replay->nr_runs));
	if (replay->options->iommus)
		json_object_object_add(object, "iommus",
			json_object_new_int64(replay->options->iommus));
	json_object_object_add(object, "attachments",
			       json_object_new_int64(all->attachments));
	json_object_object_add(object, "flushes", json_object_new_int64(all->flushes));
	if (!replay->options->iommus)
		json_object_object_add(object, "same",
				       json_object_new_int64(all->same));
	json_object_object_add(object, "driver", json_count(&all->driver));
	json_object_object_add(object, "list", json_count(&all->list));
	json_object_object_add(object, "stale", json_object_new_int64(all->stale));
	json_object_object_add(object, "faults", json_object_new_int64(all->faults));
	for (i = 0; i < UNKNOWN_KINDS; i++) {
		unknown = rebuild_unknown(replay->rebuild, i);
		sum += unknown;
		json_object_object_add(unknowns, unknown_names[i],
				       json_object_new_int64(unknown));
	}
	json_object_object_add(object, "unknown", json_object_new_int64(sum));
	json_object_object_add(object, "unknowns", unknowns);

	/* The differences are as many as they like: they come from their file. */
	text = json_object_to_json_string_ext(object, ALIST_JSON);
	printf("%.*s,\"differences\":[", (int)strlen(text) - 1, text);
	json_object_put(object);
	if (alist_publish(replay->rows, stdout))
		return -1;
	printf("]}\n");
	return 0;
}

static int publish_text(struct replay *replay, const char *path)
{
	struct machine *machine = rebuild_machine(replay->rebuild);
	const struct total *all = &replay->all;
	const char *red = alist_colour(stdout) ? "\033[31m" : "";
	const char *green = alist_colour(stdout) ? "\033[32m" : "";
	const char *plain = alist_colour(stdout) ? "\033[0m" : "";
	unsigned long unknown;
	bool any = false;
	size_t i;

	printf("%s: %s, %lu attachments", path, model_vendor_name(machine->vendor),
	       all->attachments);
	if (replay->options->iommus)
		printf(", spread over %u IOMMUs", replay->options->iommus);
	printf("\n");
	if (replay->flushes && alist_publish(replay->flushes, stdout))
		return -1;
	printf("  %-26s %8s | %26s | %26s |\n", "", "", "driver (recorded)   ",
	       "list           ");
	printf("  %-26s %8s | %8s %8s %8s | %8s %8s %8s | %8s\n", "run", "flushes",
	       "IOTLB", "ATC", "syncs", "IOTLB", "ATC", "syncs",
	       replay->options->iommus ? "-" : "same");
	if (alist_publish(replay->rows, stdout))
		return -1;
	print_row(stdout, "total", all);
	for (i = 0; i < REASONS; i++) {
		if (!all->reasons[i])
			continue;
		if (!any)
			printf("  differences, by reason:\n");
		any = true;
		printf("    %s%8lu  %-20s%s  %s\n",
		       i == REASON_UNEXPLAINED ? red : "", all->reasons[i],
		       reason_name(i), i == REASON_UNEXPLAINED ? plain : "",
		       reason_text(i));
	}
	any = false;
	for (i = 0; i < UNKNOWN_KINDS; i++) {
		unknown = rebuild_unknown(replay->rebuild, i);
		if (!unknown)
			continue;
		if (!any)
			printf("  not told by the log:\n");
		any = true;
		printf("    %8lu  %-20s  %s\n", unknown, unknown_names[i],
		       unknown_texts[i]);
	}
	printf("  %sstale translations: %lu%s", all->stale ? red : green, all->stale,
	       plain);
	if (all->faults)
		printf(", %scommands refused: %lu%s", red, all->faults, plain);
	printf("\n");
	return 0;
}

static void progress(const struct trace *trace, const char *path, bool done)
{
	uint64_t size = trace_size(trace), position = trace_position(trace);
	unsigned int percent, i;

	if (!isatty(STDERR_FILENO) || size < PROGRESS_BYTES)
		return;
	if (done) {
		fprintf(stderr, "\r\033[K");
		return;
	}
	percent = position * 100 / size;
	fprintf(stderr, "\r%.40s [", path);
	for (i = 0; i < 25; i++)
		fputc(i < percent / 4 ? '#' : ' ', stderr);
	fprintf(stderr, "] %3u%%", percent > 100 ? 100 : percent);
}

static int replay_log(struct replay *replay, struct trace *trace, const char *path)
{
	uint64_t shown = 0, line = 0;
	struct trace_event event;
	int ret, more;

	do {
		more = trace_next(trace, &event);
		if (more < 0) {
			progress(trace, path, true);
			alist_error("%s", trace_error(trace));
			return ALIST_BAD;
		}
		if (more)
			line = event.line;
		ret = rebuild_event(replay->rebuild, more ? &event : NULL);
		if (trace_position(trace) - shown >= PROGRESS_BYTES) {
			shown = trace_position(trace);
			progress(trace, path, false);
		}
	} while (!ret && more);
	progress(trace, path, true);
	if (ret) {
		alist_error("%s:%" PRIu64 ": %s", path, line,
			    replay->no_memory ? "out of memory" :
						rebuild_error(replay->rebuild));
		return ALIST_BAD;
	}
	if (rebuild_machine(replay->rebuild)->vendor == MODEL_VENDORS) {
		alist_error("%s:%" PRIu64 ": expected qi_submit, amdcmd or smmucmd events, the log has none",
			    path, line);
		return ALIST_BAD;
	}
	return total_failed(&replay->all) ? ALIST_FAILED : ALIST_OK;
}

static int replay_file(const struct options *options, const char *path,
		       struct total *sum)
{
	struct replay replay = { .options = options };
	struct trace *trace = trace_open(path);
	int ret = ALIST_BAD;

	if (!trace) {
		alist_error("%s: cannot open: %s", path, strerror(errno));
		return ALIST_BAD;
	}
	replay.rows = alist_spool();
	if (options->verbose)
		replay.flushes = alist_spool();
	if (!replay.rows || (options->verbose && !replay.flushes))
		goto out;
	replay.rebuild = rebuild_create(on_step, &replay);
	replay.world = world_create(options->iommus);
	if (!replay.rebuild || !replay.world) {
		alist_error("out of memory");
		goto out;
	}
	ret = replay_log(&replay, trace, path);
	if (ret != ALIST_BAD &&
	    (options->json ? publish_json(&replay, path) :
			     publish_text(&replay, path))) {
		alist_error("%s: cannot write: %s", path, strerror(errno));
		ret = ALIST_BAD;
	}
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
	{ "json", 'j', NULL, 0, "One JSON object a file", 0 },
	{ "verbose", 'v', NULL, 0, "Every flush, and both sides' commands where they differ", 0 },
	{ "iommus", KEY_IOMMUS, "N", 0,
	  "Spread the devices over N IOMMUs: what the same work costs there; nothing is compared", 0 },
	{ "reasons", KEY_REASONS, NULL, 0, "Say what the reasons of differences mean", 0 },
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
		"found, 1 a check failed, 2 bad usage or input.",
		NULL, NULL, NULL,
	};
	struct options options = { 0 };
	struct total sum = { 0 };
	int i, ret, worst = ALIST_OK;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (options.reasons) {
		print_reasons(options.json);
		return ALIST_OK;
	}
	for (i = 0; i < options.nr_files; i++) {
		if (i && !options.json)
			printf("\n");
		ret = replay_file(&options, options.files[i], &sum);
		if (ret > worst)
			worst = ret;
	}
	if (options.nr_files > 1 && !options.json) {
		printf("\nall files\n");
		print_row(stdout, "total", &sum);
	}
	return worst;
}
