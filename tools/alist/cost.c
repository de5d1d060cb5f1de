// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist cost: what invalidations cost on the machine of a log, and for whom.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alist.h"
#include "cost.h"
#include "vendor.h"

#define BAR		40
#define NAME_WIDTH	18

struct options {
	bool json;
	bool html;
	unsigned int top;
	char **files;
	int nr_files;
};

const char *cost_time(const struct profile *p, uint64_t ns, bool known, char *buf, size_t size)
{
	if (!known)
		snprintf(buf, size, "-");
	else if (p->clock == TRACE_COUNTS)
		snprintf(buf, size, "%" PRIu64, ns);
	else if (ns < 10000)
		snprintf(buf, size, "%.2f us", ns / 1e3);
	else if (ns < 1000000)
		snprintf(buf, size, "%.1f us", ns / 1e3);
	else if (ns < 10000000)
		snprintf(buf, size, "%.2f ms", ns / 1e6);
	else if (ns < 1000000000)
		snprintf(buf, size, "%.1f ms", ns / 1e6);
	else
		snprintf(buf, size, "%.2f s", ns / 1e9);
	return buf;
}

const char *cost_bytes(double bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned int unit = 0;

	while (bytes >= 1024 && unit < 6) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, size, bytes < 10 && unit && bytes != (int)bytes ? "%.1f %s" : "%.0f %s",
		 bytes, units[unit]);
	return buf;
}

static bool has_seconds(const struct profile *p)
{
	return p->clock == TRACE_SECONDS && p->wall_ns;
}

const char *cost_rate(const struct profile *p, uint64_t nr, char *buf, size_t size)
{
	if (!has_seconds(p))
		return "-";
	snprintf(buf, size, "%.1f", nr / (p->wall_ns / 1e9));
	return buf;
}

const char *cost_share(const struct profile *p, uint64_t ns, char *buf, size_t size)
{
	if (!has_seconds(p))
		return "-";
	snprintf(buf, size, "%.2f%%", 100.0 * ns / p->wall_ns);
	return buf;
}

void cost_times(const struct profile *p, const struct times *times, struct cost_times *t)
{
	const size_t size = sizeof(t->words[0]);

	t->rate = cost_rate(p, times->nr, t->words[0], size);
	t->sum = cost_time(p, times->sum, true, t->words[1], size);
	t->share = cost_share(p, times->sum, t->words[2], size);
	t->p50 = cost_time(p, times_quantile(times, 0.5), true, t->words[3], size);
	t->p99 = cost_time(p, times_quantile(times, 0.99), true, t->words[4], size);
	t->max = cost_time(p, times->max, true, t->words[5], size);
}

void cost_title(const struct profile *p, char *buf, size_t size)
{
	char wall[32];

	snprintf(buf, size, "%s, %s%s of log%s%s",
		 p->vendor < MODEL_VENDORS ? model_vendor_name(p->vendor) :
					     "no commands in the log",
		 cost_time(p, p->wall_ns, true, wall, sizeof(wall)),
		 p->clock == TRACE_COUNTS ? " ticks" : "",
		 p->nr_runs > 1 ? ", several runs" : "",
		 p->lost ? ", events lost" : "");
}

void cost_shorten(char *buf, const char *name, size_t width)
{
	size_t len = strlen(name), head = width / 3;
	const char *tail = name + len - (width - head - 2);

	if (len <= width) {
		strcpy(buf, name);
		return;
	}
	/* Not in the middle of a character. */
	while (head && (name[head] & 0xc0) == 0x80)
		head--;
	while ((*tail & 0xc0) == 0x80)
		tail++;
	sprintf(buf, "%.*s..%s", (int)head, name, tail);
}

static void print_times(FILE *out, const struct profile *p, const char *name,
			const struct times *times)
{
	struct cost_times t;

	if (!times->nr)
		return;
	cost_times(p, times, &t);
	fprintf(out, "  %-16s %8" PRIu64 " %8s %8s %7s %8s %8s %8s\n", name,
		times->nr, t.rate, t.sum, t.share, t.p50, t.p99, t.max);
}

static void print_count(FILE *out, const struct profile *p, const char *name, uint64_t nr,
			const char *note)
{
	char rate[32];

	if (nr)
		fprintf(out, "  %-16s %8" PRIu64 " %8s%s%s\n", name, nr,
			cost_rate(p, nr, rate, sizeof(rate)), note[0] ? "  " : "", note);
}

static void print_histogram(FILE *out, const struct profile *p, const char *name,
			    const struct times *times)
{
	struct times_powers by;
	char from[32], to[32];
	unsigned int i;

	if (!times->nr)
		return;
	by = times_powers(times);
	fprintf(out, "  %s\n", name);
	for (i = by.first; i <= by.last; i++) {
		unsigned int n = (by.number[i] * BAR + by.most - 1) / by.most;
		char bar[BAR + 1];

		memset(bar, '#', n);
		bar[n] = '\0';
		fprintf(out, "    %10s .. %10s %10" PRIu64 "%s%s\n",
			cost_time(p, times_bucket_ns(i * 8), true, from, sizeof(from)),
			cost_time(p, times_bucket_ns(i * 8 + 8), true, to, sizeof(to)), by.number[i],
			n ? " " : "", bar);
	}
}

static void print_sizes(FILE *out, const struct profile *p)
{
	char size[32];
	unsigned int i;

	if (!p->unmaps)
		return;
	fprintf(out, "  unmaps by size (up to)\n");
	for (i = 0; i < SIZES; i++)
		if (p->sizes[i])
			fprintf(out, "    %10s %24" PRIu64 " %5.1f%%\n",
				cost_bytes(ldexp(1, i), size, sizeof(size)), p->sizes[i],
				100.0 * p->sizes[i] / p->unmaps);
}

const char *cost_number(uint64_t n, bool known, char *buf, size_t size)
{
	if (!known)
		return "-";
	snprintf(buf, size, "%" PRIu64, n);
	return buf;
}

bool cost_has_flushes(const struct profile *p, enum cost_table table)
{
	return p->flush.nr && (table == BY_DOMAIN || table == BY_TASK);
}

/* A wait is of the domain that is flushed meanwhile. */
bool cost_has_waits(const struct profile *p, enum cost_table table)
{
	return p->wait.nr && (table == BY_IOMMU || table == BY_TASK ||
			      (table == BY_DOMAIN && p->flush.nr));
}

bool cost_infers_waits(const struct profile *p)
{
	return !p->wait.nr && p->vendor < MODEL_VENDORS && !vendor_of(p->vendor)->logs_waits;
}

/* Which domain an unmap is of, the log does not say. */
static void print_table(FILE *out, const struct profile *p, enum cost_table table,
			unsigned int top)
{
	unsigned int i, nr = p->nr_rows[table];
	char flush[32], wait[32], unmaps[24], iotlb[24], atc[24], flushes[24], waits[24];
	char name[NAME_WIDTH + 1];
	bool has_flushes = cost_has_flushes(p, table), has_waits = cost_has_waits(p, table);

	if (!nr)
		return;
	fprintf(out, "  by %-*s %7s %7s %7s %7s %7s %8s %8s\n", NAME_WIDTH - 1,
		cost_table_names[table], "unmaps", "IOTLB", "ATC", "flushes", "waits",
		"in flush", "in wait");
	for (i = 0; i < nr && i < top; i++) {
		const struct cost_row *row = &p->rows[table][i];

		cost_shorten(name, row->name, NAME_WIDTH);
		fprintf(out, "    %-*s %7s %7s %7s %7s %7s %8s %8s\n",
			NAME_WIDTH, name,
			cost_number(row->unmaps, table == BY_TASK, unmaps, sizeof(unmaps)),
			cost_number(row->iotlb, p->list_known, iotlb, sizeof(iotlb)),
			cost_number(row->atc, p->list_known, atc, sizeof(atc)),
			cost_number(row->flushes, has_flushes, flushes, sizeof(flushes)),
			cost_number(row->waits, has_waits, waits, sizeof(waits)),
			cost_time(p, row->flush_ns, row->flushes, flush, sizeof(flush)),
			cost_time(p, row->wait_ns, row->waits, wait, sizeof(wait)));
	}
	if (i < nr)
		fprintf(out, "    and %u more (see --top)\n", nr - i);
}

static void print_what_if(FILE *out, const struct profile *p)
{
	char text[32];

	if (p->list_known) {
		fprintf(out, "  the same work with the list (computed on the models)\n");
		fprintf(out, "    driver %8lu IOTLB, %8lu ATC, %8lu waits%s\n", p->driver.iotlb,
			p->driver.atc, p->driver.sync, cost_infers_waits(p) ? " (inferred)" : "");
		fprintf(out, "    list   %8lu IOTLB, %8lu ATC, %8lu waits\n", p->list.iotlb,
			p->list.atc, p->list.sync);
	} else if (p->unmaps) {
		fprintf(out, "  commands for these unmaps (computed: the log has none)\n");
		fprintf(out, "    strict: at least %" PRIu64 " IOTLB commands and %" PRIu64 " waits per IOMMU\n"
			"    of each domain, and as many ATC commands per device with ATS\n",
			p->unmaps, p->unmaps);
		if (has_seconds(p))
			fprintf(out, "    lazy: at most %.0f full flushes per domain, one every 10 ms\n",
				p->wall_ns / 1e7 + 1);
	}
	if (p->overlap_flushes)
		fprintf(out, "  waiting for all IOMMUs in parallel (computed)\n    would save %s in %" PRIu64 " flushes that waited for several, one by one\n",
			cost_time(p, p->overlap_ns, true, text, sizeof(text)), p->overlap_flushes);
	else if (p->wait.nr)
		fprintf(out, "  waiting for all IOMMUs in parallel (computed)\n    would save nothing: no flush waited for more than one\n");
}

static void print_text(FILE *out, const char *path, const struct profile *p,
		       unsigned int top)
{
	char title[1024], size[32], note[128];
	int i;

	cost_title(p, title, sizeof(title));
	fprintf(out, "%s: %s\n", path, title);
	if (p->note[0])
		fprintf(out, "  %s\n", p->note);
	if (p->clock != TRACE_SECONDS)
		fprintf(out, "  the log's clock counts in unknown units: no rates, and times are in its ticks\n");
	fprintf(out, "  %-16s %8s %8s %8s %7s %8s %8s %8s\n", "", "count",
		"per sec", "time", "of wall", "p50", "p99", "max");
	snprintf(note, sizeof(note), "%s total", cost_bytes(p->map_bytes, size, sizeof(size)));
	print_count(out, p, "maps", p->maps, note);
	snprintf(note, sizeof(note), "%s total", cost_bytes(p->unmap_bytes, size, sizeof(size)));
	print_count(out, p, "unmaps", p->unmaps, note);
	if (p->flush.nr)
		print_times(out, p, "flushes", &p->flush);
	else
		print_count(out, p, "flushes", p->flushes,
			    "not timed: see alist record");
	print_count(out, p, "IOTLB commands", p->recorded.iotlb, "");
	print_count(out, p, "ATC commands", p->recorded.atc, "");
	print_count(out, p, "config commands", p->recorded.config, "");
	print_count(out, p, "other commands", p->recorded.other, "");
	if (p->wait.nr)
		print_times(out, p, "completion waits", &p->wait);
	else
		print_count(out, p, "completion waits", p->recorded.sync,
			    cost_infers_waits(p) ?
			    "inferred: one for up to 16 commands" : "");
	print_times(out, p, "unmap to command", &p->reach);
	print_times(out, p, "lazy flush delay", &p->delay);
	if (p->strict + p->lazy)
		fprintf(out, "  %" PRIu64 " unmaps flushed at once (strict), %" PRIu64 " deferred (lazy)%s\n",
			p->strict, p->lazy, p->unflushed ? ", and a flush is missing" : "");
	print_histogram(out, p, "flush time", &p->flush);
	print_histogram(out, p, "completion wait time", &p->wait);
	if (!profile_has_times(p))
		print_histogram(out, p, "unmap to last command (a lower bound of the flush time)",
				&p->reach);
	print_sizes(out, p);
	for (i = 0; i < COST_TABLES; i++)
		print_table(out, p, i, top);
	print_what_if(out, p);
}

/*
 * JSON
 */

static void add(struct json_object *to, const char *name, uint64_t value)
{
	json_object_object_add(to, name, json_object_new_uint64(value));
}

static struct json_object *json_times(const struct profile *p, const struct times *times)
{
	struct json_object *object, *histogram, *entry;
	unsigned int i;

	if (!times->nr)
		return NULL;
	object = json_object_new_object();
	histogram = json_object_new_array();
	add(object, "number", times->nr);
	add(object, "sum_ns", times->sum);
	json_object_object_add(object, "share_of_wall",
			       has_seconds(p) ?
			       json_object_new_double((double)times->sum / p->wall_ns) : NULL);
	add(object, "p50_ns", times_quantile(times, 0.5));
	add(object, "p99_ns", times_quantile(times, 0.99));
	add(object, "max_ns", times->max);
	for (i = 0; i < TIMES_BUCKETS; i++) {
		if (!times->bucket[i])
			continue;
		entry = json_object_new_object();
		add(entry, "from_ns", times_bucket_ns(i));
		add(entry, "to_ns", times_bucket_ns(i + 1));
		add(entry, "number", times->bucket[i]);
		json_object_array_add(histogram, entry);
	}
	json_object_object_add(object, "histogram", histogram);
	return object;
}

static struct json_object *json_count(const struct burst_count *count, bool all)
{
	struct json_object *object = json_object_new_object();

	add(object, "iotlb", count->iotlb);
	add(object, "atc", count->atc);
	add(object, "sync", count->sync);
	if (all) {
		add(object, "config", count->config);
		add(object, "other", count->other);
	}
	return object;
}

static struct json_object *json_table(const struct profile *p, enum cost_table table,
				      unsigned int top)
{
	struct json_object *array = json_object_new_array(), *object;
	unsigned int i;

	for (i = 0; i < p->nr_rows[table] && i < top; i++) {
		const struct cost_row *row = &p->rows[table][i];

		object = json_object_new_object();
		json_object_object_add(object, "name", json_object_new_string(row->name));
		add(object, "maps", row->maps);
		add(object, "unmaps", row->unmaps);
		add(object, "iotlb", row->iotlb);
		add(object, "atc", row->atc);
		add(object, "flushes", row->flushes);
		add(object, "flush_ns", row->flush_ns);
		add(object, "waits", row->waits);
		add(object, "wait_ns", row->wait_ns);
		json_object_array_add(array, object);
	}
	return array;
}

static void print_json(FILE *out, const char *path, const struct profile *p,
		       unsigned int top)
{
	struct json_object *object = json_object_new_object();
	struct json_object *sizes = json_object_new_object(), *by = json_object_new_object();
	char name[32];
	int i;

	json_object_object_add(object, "file", json_object_new_string(path));
	json_object_object_add(object, "vendor", p->vendor < MODEL_VENDORS ?
			       json_object_new_string(alist_vendor(p->vendor)) : NULL);
	json_object_object_add(object, "recorded_by", p->note[0] ?
			       json_object_new_string(p->note) : NULL);
	json_object_object_add(object, "clock", json_object_new_string(
			       p->clock == TRACE_SECONDS ? "ns" : "counts"));
	add(object, "wall_ns", p->wall_ns);
	add(object, "runs", p->nr_runs);
	add(object, "events", p->events);
	add(object, "lost", p->lost);
	add(object, "maps", p->maps);
	add(object, "map_bytes", p->map_bytes);
	add(object, "unmaps", p->unmaps);
	add(object, "unmap_bytes", p->unmap_bytes);
	for (i = 0; i < SIZES; i++) {
		if (!p->sizes[i])
			continue;
		snprintf(name, sizeof(name), "%.0f", ldexp(1, i));
		add(sizes, name, p->sizes[i]);
	}
	json_object_object_add(object, "unmaps_up_to", sizes);
	add(object, "strict", p->strict);
	add(object, "lazy", p->lazy);
	add(object, "flushes_missing", p->unflushed);
	add(object, "flushes", profile_flushes(p));
	json_object_object_add(object, "commands", json_count(&p->recorded, true));
	json_object_object_add(object, "waits_inferred",
			       json_object_new_boolean(cost_infers_waits(p)));
	json_object_object_add(object, "flush", json_times(p, &p->flush));
	json_object_object_add(object, "wait", json_times(p, &p->wait));
	json_object_object_add(object, "unmap_to_last_command", json_times(p, &p->reach));
	json_object_object_add(object, "lazy_delay", json_times(p, &p->delay));
	for (i = 0; i < COST_TABLES; i++)
		json_object_object_add(by, cost_table_names[i], json_table(p, i, top));
	json_object_object_add(object, "by", by);
	if (p->list_known) {
		json_object_object_add(object, "driver", json_count(&p->driver, false));
		json_object_object_add(object, "computed_list", json_count(&p->list, false));
	}
	add(object, "computed_overlap_saves_ns", p->overlap_ns);
	add(object, "computed_overlap_flushes", p->overlap_flushes);
	fprintf(out, "%s\n", json_object_to_json_string_ext(object, ALIST_JSON));
	json_object_put(object);
}

/*
 * Arguments
 */

#define KEY_HTML	256
#define KEY_TOP		257

static const struct argp_option argp_options[] = {
	{ "json", 'j', NULL, 0, "One JSON object per file", 0 },
	{ "html", KEY_HTML, NULL, 0, "One page with charts, for a browser", 0 },
	{ "top", KEY_TOP, "N", 0, "Rows per table (default 10)", 0 },
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
	case KEY_HTML:
		options->html = true;
		return 0;
	case KEY_TOP:
		n = strtoul(arg, &end, 10);
		if (*end || end == arg || !n || n > ROWS_MAX)
			argp_error(state, "expected --top from 1 to %d, not '%s'", ROWS_MAX, arg);
		options->top = n;
		return 0;
	case ARGP_KEY_ARGS:
		options->files = state->argv + state->next;
		options->nr_files = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "expected a file, or - for standard input");
		return 0;
	case ARGP_KEY_END:
		if (options->html && (options->json || options->nr_files > 1))
			argp_error(state, "expected one file with --html, and no --json");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int alist_cost(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, "FILE...",
		"Show what the invalidations of an ftrace log cost: flushes, commands and "
		"completion waits, the time they take, and who causes them.",
		NULL, NULL, NULL,
	};
	struct options options = { .top = 10 };
	int i, ret = ALIST_OK;
	FILE *out;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	out = alist_spool();
	if (!out)
		return ALIST_BAD;
	for (i = 0; i < options.nr_files; i++) {
		struct profile *profile = profile_log(options.files[i]);
		char path[4096];

		if (!profile) {
			ret = ALIST_BAD;
			continue;
		}
		trace_clean(path, sizeof(path), options.files[i], strlen(options.files[i]));
		if (options.html)
			cost_html(out, path, profile, options.top);
		else if (options.json)
			print_json(out, path, profile, options.top);
		else
			print_text(out, path, profile, options.top);
		if (!options.json && i + 1 < options.nr_files)
			fputc('\n', out);
		profile_destroy(profile);
	}
	if (ret && options.nr_files > 1)
		alist_error("cannot read all %d files: nothing is printed",
			    options.nr_files);
	if (!ret && alist_publish(out, stdout))
		ret = ALIST_BAD;
	fclose(out);
	return ret;
}
