// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist compare: two logs beside each other, two kernels or strict and lazy.
 *
 * Each measure is a ratio (waits an unmap, time a flush, unmaps a second). A log is cut
 * into slices of time; how the ratio differs from slice to slice says how well its mean is
 * known. What differs by more than two standard errors of the difference is beyond noise.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alist.h"
#include "cost.h"

/* Slices that are needed to say anything, and that are made of a log. */
#define SLICES_MIN	5
#define SLICES_WANTED	20

struct options {
	bool json;
	char *files[2];
	int nr_files;
};

struct estimate {
	double value;
	double error;			/* standard error; NAN: not known */
	bool known;
};

enum unit { PER_SECOND, EACH, DURATION, SHARE };

static const struct measure {
	const char *id, *name;
	enum unit unit;
	/* Offsets into struct slice; the slice's length where there is none. */
	size_t num, den;
	/* What a log may have no events of. */
	enum { ANYTHING, COMMANDS, TIMES } of;
} measures[] = {
#define AT(field)	offsetof(struct slice, field)
#define NONE		SIZE_MAX
	{ "unmaps_per_second", "unmaps per second", PER_SECOND, AT(unmaps), NONE, ANYTHING },
	{ "bytes_per_unmap", "bytes per unmap", EACH, AT(bytes), AT(unmaps), ANYTHING },
	{ "flushes_per_unmap", "flushes per unmap", EACH, AT(flushes), AT(unmaps), TIMES },
	{ "iotlb_per_unmap", "IOTLB commands per unmap", EACH, AT(iotlb), AT(unmaps), COMMANDS },
	{ "atc_per_unmap", "ATC commands per unmap", EACH, AT(atc), AT(unmaps), COMMANDS },
	{ "waits_per_unmap", "waits per unmap", EACH, AT(waits), AT(unmaps), TIMES },
	{ "ns_per_flush", "time per flush", DURATION, AT(flush_ns), AT(flushes), TIMES },
	{ "ns_per_wait", "time per wait", DURATION, AT(wait_ns), AT(waits), TIMES },
	{ "flush_ns_per_unmap", "flush time per unmap", DURATION, AT(flush_ns), AT(unmaps), TIMES },
	{ "flush_share", "flush share of a CPU", SHARE, AT(flush_ns), NONE, TIMES },
	{ "wait_share", "wait share of a CPU", SHARE, AT(wait_ns), NONE, TIMES },
};

#define MEASURES	(sizeof(measures) / sizeof(measures[0]))

static double part(const struct profile *p, unsigned int from, unsigned int to, size_t field)
{
	double sum = 0;
	unsigned int i;

	if (field == NONE)
		return (double)(to - from) * p->slice_ns;
	for (i = from; i < to; i++)
		sum += *(const uint64_t *)((const char *)&p->slices[i] + field);
	return sum;
}

/* A ratio of sums, and its standard error from how the slices differ from it. */
static struct estimate estimate(const struct profile *p, const struct measure *m)
{
	/* The last slice is not whole. */
	unsigned int nr = p->nr_slices > 1 ? p->nr_slices - 1 : 0;
	unsigned int wanted = nr < SLICES_WANTED ? nr : SLICES_WANTED, i, used = 0, measured = 0;
	double num = part(p, 0, p->nr_slices, m->num), den = part(p, 0, p->nr_slices, m->den);
	double all, squares = 0;
	struct estimate e = { .error = NAN };

	if (m->den == NONE)
		den = p->wall_ns;
	if (p->clock != TRACE_SECONDS && m->unit != EACH)
		return e;
	if (den <= 0 || (!num && m->of == TIMES) ||
	    (m->of == COMMANDS && p->vendor == MODEL_VENDORS))
		return e;
	e.known = true;
	e.value = num / den;
	all = wanted ? part(p, 0, nr, m->den) : 0;
	for (i = 0; i < wanted; i++) {
		unsigned int from = nr * i / wanted, to = nr * (i + 1) / wanted;
		double x = part(p, from, to, m->num), y = part(p, from, to, m->den);

		used += y > 0;
		measured += (m->den == NONE ? x : y) > 0;
		squares += (x - e.value * y) * (x - e.value * y);
	}
	if (measured >= SLICES_MIN && all > 0)
		e.error = sqrt(squares * used / (used - 1)) / all;
	/* Nothing ever happened: that does not vary. */
	if (m->den == NONE && !num)
		e.error = 0;
	return e;
}

static const char *verdict(const struct estimate *a, const struct estimate *b)
{
	double difference = fabs(a->value - b->value);
	double error = sqrt(a->error * a->error + b->error * b->error);

	if (!a->known || !b->known)
		return "not in both logs";
	if (a->value == b->value)
		return "the same";
	if (isnan(error))
		return "too short to tell";
	return difference > 2 * error ? "beyond noise" : "within noise";
}

static const char *value(const struct profile *p, const struct measure *m, double value,
			 bool known, char *buf, size_t size)
{
	if (!known)
		snprintf(buf, size, "-");
	else if (m->unit == PER_SECOND)
		snprintf(buf, size, "%.1f", value * 1e9);
	else if (m->unit == DURATION)
		cost_time(p, value + 0.5, true, buf, size);
	else if (m->unit == SHARE)
		snprintf(buf, size, "%.3f %%", value * 100);
	else
		snprintf(buf, size, "%.2f", value);
	return buf;
}

static void print_quantiles(FILE *out, const char *name, struct profile *const *p,
			    const struct times *a, const struct times *b)
{
	static const struct { const char *name; double share; } at[] = {
		{ "p50", 0.5 }, { "p99", 0.99 }, { "max", 1 },
	};
	char first[32], second[32], title[64];
	size_t i;

	if (!a->nr && !b->nr)
		return;
	for (i = 0; i < 3; i++) {
		uint64_t x = i == 2 ? a->max : times_quantile(a, at[i].share);
		uint64_t y = i == 2 ? b->max : times_quantile(b, at[i].share);

		snprintf(title, sizeof(title), "%s, %s", name, at[i].name);
		fprintf(out, "  %-24s %11s %11s", title,
			cost_time(p[0], x, a->nr, first, sizeof(first)),
			cost_time(p[1], y, b->nr, second, sizeof(second)));
		if (x && y && p[0]->clock == p[1]->clock)
			fprintf(out, " %+8.1f%%", 100.0 * ((double)y - x) / x);
		fputc('\n', out);
	}
}

static void print_text(FILE *out, const struct options *options, struct profile *const *p)
{
	char first[32], second[32], title[1024];
	size_t i;

	for (i = 0; i < 2; i++) {
		char path[4096];

		trace_clean(path, sizeof(path), options->files[i], strlen(options->files[i]));
		cost_title(p[i], title, sizeof(title));
		fprintf(out, "%c: %s: %s\n", "AB"[i], path, title);
		if (p[i]->note[0])
			fprintf(out, "   %s\n", p[i]->note);
	}
	fprintf(out, "  %-24s %11s %11s %9s\n", "", "A", "B", "change");
	for (i = 0; i < MEASURES; i++) {
		const struct measure *m = &measures[i];
		struct estimate a = estimate(p[0], m), b = estimate(p[1], m);

		if ((!a.known || !a.value) && (!b.known || !b.value))
			continue;
		fprintf(out, "  %-24s %11s %11s", m->name,
			value(p[0], m, a.value, a.known, first, sizeof(first)),
			value(p[1], m, b.value, b.known, second, sizeof(second)));
		if (a.known && b.known && a.value > 0)
			fprintf(out, " %+8.1f%%", 100 * (b.value - a.value) / a.value);
		else
			fprintf(out, " %9s", "-");
		fprintf(out, "  %s\n", verdict(&a, &b));
	}
	print_quantiles(out, "flush", p, &p[0]->flush, &p[1]->flush);
	print_quantiles(out, "wait", p, &p[0]->wait, &p[1]->wait);
	fprintf(out, "  beyond noise: more than two standard errors, from %d slices of each log\n",
		SLICES_WANTED);
}

static struct json_object *json_number(double value, bool known)
{
	return known && !isnan(value) ? json_object_new_double(value) : NULL;
}

static void print_json(FILE *out, const struct options *options, struct profile *const *p)
{
	struct json_object *object = json_object_new_object();
	struct json_object *files = json_object_new_array(), *all = json_object_new_object();
	size_t i;

	for (i = 0; i < 2; i++) {
		char path[4096];

		trace_clean(path, sizeof(path), options->files[i], strlen(options->files[i]));
		json_object_array_add(files, json_object_new_string(path));
	}
	for (i = 0; i < MEASURES; i++) {
		const struct measure *m = &measures[i];
		struct estimate a = estimate(p[0], m), b = estimate(p[1], m);
		double scale = m->unit == PER_SECOND ? 1e9 : 1;
		struct json_object *one = json_object_new_object();

		json_object_object_add(one, "a", json_number(a.value * scale, a.known));
		json_object_object_add(one, "b", json_number(b.value * scale, b.known));
		json_object_object_add(one, "a_error", json_number(a.error * scale, a.known));
		json_object_object_add(one, "b_error", json_number(b.error * scale, b.known));
		json_object_object_add(one, "verdict", json_object_new_string(verdict(&a, &b)));
		json_object_object_add(all, m->id, one);
	}
	json_object_object_add(object, "files", files);
	json_object_object_add(object, "measures", all);
	fprintf(out, "%s\n", json_object_to_json_string_ext(object, ALIST_JSON));
	json_object_put(object);
}

static const struct argp_option argp_options[] = {
	{ "json", 'j', NULL, 0, "One JSON object", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'j':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->nr_files == 2)
			argp_error(state, "expected two files");
		options->files[options->nr_files++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (options->nr_files != 2)
			argp_error(state, "expected two files");
		if (!strcmp(options->files[0], "-") && !strcmp(options->files[1], "-"))
			argp_error(state, "expected standard input (-) only once");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int alist_compare(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, "A B",
		"Compare what the invalidations of two logs cost: what changed, by how much, "
		"and whether that exceeds the variation within each log.",
		NULL, NULL, NULL,
	};
	struct options options = { 0 };
	struct profile *p[2] = { NULL, NULL };
	int ret = ALIST_BAD;
	FILE *out;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	out = alist_spool();
	if (!out)
		return ALIST_BAD;
	p[0] = profile_log(options.files[0]);
	p[1] = p[0] ? profile_log(options.files[1]) : NULL;
	if (p[1]) {
		if (options.json)
			print_json(out, &options, p);
		else
			print_text(out, &options, p);
		ret = alist_publish(out, stdout) ? ALIST_BAD : ALIST_OK;
	}
	profile_destroy(p[0]);
	profile_destroy(p[1]);
	fclose(out);
	return ret;
}
