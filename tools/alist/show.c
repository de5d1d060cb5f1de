// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist show: the attach lists of a log, at its end or at a time.
 *
 * Attachments are sorted as a list has them, by IOMMU and tag: those that one
 * invalidation command serves stand together. What the log does not say is marked.
 */
#include <ctype.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "alist.h"
#include "rebuild.h"
#include "trace.h"
#include "vendor.h"

struct options {
	bool json;
	bool dot;
	const char *at;			/* NULL: at the end */
	uint64_t at_ns, at_count;	/* by the clock of the log */
	const char *file;
};

struct show {
	const struct options *options;
	struct machine *machine;
	FILE *out;
	struct json_object *domains;
};

/* The sorted attachments of a domain. NULL on ENOMEM. */
static int by_group(const void *a, const void *b)
{
	const struct machine_attachment *x = *(struct machine_attachment *const *)a;
	const struct machine_attachment *y = *(struct machine_attachment *const *)b;

	if (x->iommu != y->iommu)
		return x->iommu < y->iommu ? -1 : 1;
	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	if (x->pasid != y->pasid)
		return x->pasid < y->pasid ? -1 : 1;
	return strcmp(x->device->name, y->device->name);
}

static struct machine_attachment **sorted(const struct machine_domain *domain)
{
	struct machine_attachment **all = calloc(domain->nr + 1, sizeof(*all));
	struct machine_attachment *att;
	size_t i = 0;

	if (!all)
		return NULL;
	for (att = domain->attachments; att; att = att->next)
		all[i++] = att;
	qsort(all, domain->nr, sizeof(*all), by_group);
	return all;
}

static bool same_group(const struct machine_attachment *a,
		       const struct machine_attachment *b)
{
	return a && a->iommu == b->iommu && a->tag == b->tag && a->pasid == b->pasid;
}

static const char *tag_word(const struct show *show, uint64_t tag)
{
	const struct vendor *vendor = vendor_of(show->machine->vendor);

	return tag & MACHINE_TAG_S2 ? vendor->s2_tag_name : vendor->tag_name;
}

static const char *device_name(const struct machine_attachment *att)
{
	return att->device->name[0] == '?' ? "unknown device" :
					     att->device->name;
}

static const char *guessed_note(const struct machine_attachment *att)
{
	return att->guessed ? ", guessed: not recorded in the log" : "";
}

static void show_tree(struct show *show, const struct machine_domain *domain,
		      struct machine_attachment **all)
{
	const struct machine_attachment *last = NULL;
	unsigned int i;

	fprintf(show->out, "domain %u: %u attachment%s\n", domain->id, domain->nr,
		domain->nr == 1 ? "" : "s");
	for (i = 0; i < domain->nr; i++) {
		const struct machine_attachment *att = all[i];

		if (!last || last->iommu != att->iommu)
			fprintf(show->out, "  IOMMU %s\n",
				show->machine->iommus[att->iommu].label);
		if (!same_group(last, att)) {
			fprintf(show->out, "    %s %" PRIu32, tag_word(show, att->tag),
				(uint32_t)att->tag);
			if (att->pasid)
				fprintf(show->out, " PASID %" PRIu32, att->pasid);
			fputc('\n', show->out);
		}
		fprintf(show->out, "      %s%s%s\n", device_name(att),
			att->device->ats ? ", ATC" : "", guessed_note(att));
		last = att;
	}
}

/* Names come from the log: they must not end the string they are in. */
static void dot_text(FILE *to, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', to);
		fputc(isprint((unsigned char)*s) ? *s : '?', to);
	}
}

static void show_dot(struct show *show, const struct machine_domain *domain,
		     struct machine_attachment **all)
{
	const struct machine_attachment *last = NULL;
	unsigned int i, group = 0;
	FILE *to = show->out;

	fprintf(to, "\td%u [shape=box, label=\"domain %u\"];\n", domain->id, domain->id);
	for (i = 0; i < domain->nr; i++) {
		const struct machine_attachment *att = all[i];

		if (!same_group(last, att)) {
			group++;
			fprintf(to, "\td%u_g%u [shape=ellipse, label=\"", domain->id,
				group);
			dot_text(to, show->machine->iommus[att->iommu].label);
			fprintf(to, "\\n%s %" PRIu32, tag_word(show, att->tag),
				(uint32_t)att->tag);
			if (att->pasid)
				fprintf(to, "\\nPASID %" PRIu32, att->pasid);
			fprintf(to, "\"];\n\td%u -> d%u_g%u;\n", domain->id,
				domain->id, group);
		}
		fprintf(to, "\td%u_a%u [shape=plaintext%s, label=\"", domain->id, i,
			att->guessed ? ", fontcolor=gray" : "");
		dot_text(to, device_name(att));
		fprintf(to, "\"];\n\td%u_g%u -> d%u_a%u%s;\n", domain->id, group,
			domain->id, i, att->device->ats ? " [label=\"ATC\"]" : "");
		last = att;
	}
}

static void show_json(struct show *show, const struct machine_domain *domain,
		      struct machine_attachment **all)
{
	struct json_object *object = json_object_new_object();
	struct json_object *groups = json_object_new_array();
	struct json_object *group, *members = NULL, *member;
	const struct machine_attachment *last = NULL;
	unsigned int i;

	for (i = 0; i < domain->nr; i++) {
		const struct machine_attachment *att = all[i];

		if (!same_group(last, att)) {
			group = json_object_new_object();
			members = json_object_new_array();
			json_object_object_add(group, "iommu", json_object_new_string(
				show->machine->iommus[att->iommu].label));
			json_object_object_add(group, "tag",
				json_object_new_int64((uint32_t)att->tag));
			json_object_object_add(group, "kind",
				json_object_new_string(tag_word(show, att->tag)));
			json_object_object_add(group, "pasid",
				json_object_new_int64(att->pasid));
			json_object_object_add(group, "attachments", members);
			json_object_array_add(groups, group);
		}
		member = json_object_new_object();
		json_object_object_add(member, "device", att->device->name[0] == '?' ?
			NULL : json_object_new_string(att->device->name));
		json_object_object_add(member, "atc",
				       json_object_new_boolean(att->device->ats));
		json_object_object_add(member, "guessed",
				       json_object_new_boolean(att->guessed));
		json_object_array_add(members, member);
		last = att;
	}
	json_object_object_add(object, "domain", json_object_new_int64(domain->id));
	json_object_object_add(object, "groups", groups);
	json_object_array_add(show->domains, object);
}

static int show_domains(struct show *show)
{
	struct machine_domain *domain = show->machine->domains;
	struct machine_attachment **all;

	/* They are linked the newest first. */
	while (domain && domain->next)
		domain = domain->next;
	for (; domain; domain = domain->prev) {
		all = sorted(domain);
		if (!all)
			return -1;
		if (show->options->json)
			show_json(show, domain, all);
		else if (show->options->dot)
			show_dot(show, domain, all);
		else
			show_tree(show, domain, all);
		free(all);
	}
	return 0;
}

static void show_pending(struct show *show, struct json_object *pending)
{
	struct machine_device *dev;
	bool any = false;

	for (dev = show->machine->devices; dev; dev = dev->next) {
		if (!dev->pending)
			continue;
		if (pending) {
			json_object_array_add(pending, json_object_new_string(dev->name));
		} else if (show->options->dot) {
			fprintf(show->out, "\t\"");
			dot_text(show->out, dev->name);
			fprintf(show->out, "\" [shape=plaintext, fontcolor=gray];\n");
		} else {
			if (!any)
				fprintf(show->out, "attached, but the log does not record to which domain:\n");
			fprintf(show->out, "  %s\n", dev->name);
		}
		any = true;
	}
}

/* The last step comes while everything is still there. */
static int on_step(struct machine *machine, const struct step *step, void *arg)
{
	struct show *show = arg;

	show->machine = machine;
	(void)step;
	return 0;
}

static int show_log(struct show *show, struct rebuild *rebuild, struct trace *trace)
{
	const struct options *options = show->options;
	struct json_object *object, *pending;
	struct trace_event event;
	bool done = false, reached = false, before = false;
	char path[4096];
	int more, ret = 0;
	uint64_t at;

	while ((more = alist_next(trace, options->file, &event)) > 0) {
		/* The rest is read all the same: the log has to be sound. */
		if (options->at && event.type != TRACE_RUN && event.type != TRACE_LOST) {
			at = options->at_ns;
			if (trace_clock(trace) == TRACE_COUNTS) {
				if (strchr(options->at, '.')) {
					alist_error("%s:%" PRIu64 ": expected --at in ticks, as the log's times are, not '%s'",
						    options->file, event.line, options->at);
					return ALIST_BAD;
				}
				at = options->at_count;
			}
			before |= event.ns <= at;
			reached |= event.ns >= at;
			done |= event.ns > at;
		}
		if (!done)
			ret = rebuild_event(rebuild, &event);
		if (ret)
			break;
	}
	if (more < 0)
		return ALIST_BAD;
	if (!ret)
		ret = rebuild_event(rebuild, NULL);
	if (ret) {
		alist_error("%s:%" PRIu64 ": %s", options->file, event.line,
			    rebuild_error(rebuild));
		return ALIST_BAD;
	}
	if (options->at && !(before && reached))
		alist_error("warning: %s: the log %s --at %s", options->file,
			    before ? "ends before" : "begins after", options->at);

	if (options->json)
		show->domains = json_object_new_array();
	if (options->dot)
		fprintf(show->out, "digraph attachments {\n\trankdir=LR;\n");
	if (show_domains(show)) {
		json_object_put(show->domains);
		alist_error("out of memory");
		return ALIST_BAD;
	}
	pending = options->json ? json_object_new_array() : NULL;
	show_pending(show, pending);
	if (options->dot)
		fprintf(show->out, "}\n");
	if (options->json) {
		object = json_object_new_object();
		trace_clean(path, sizeof(path), options->file, strlen(options->file));
		json_object_object_add(object, "file", json_object_new_string(path));
		if (show->machine && show->machine->vendor < MODEL_VENDORS)
			json_object_object_add(object, "vendor",
				json_object_new_string(alist_vendor(show->machine->vendor)));
		json_object_object_add(object, "domains", show->domains);
		json_object_object_add(object, "pending", pending);
		fprintf(show->out, "%s\n",
			json_object_to_json_string_ext(object, ALIST_JSON));
		json_object_put(object);
	} else if (!options->dot && !show->machine->domains) {
		fprintf(show->out, "the log shows no attachments\n");
	}
	return ALIST_OK;
}

static int show_file(const struct options *options)
{
	struct show show = { .options = options };
	struct trace *trace = alist_open(options->file);
	struct rebuild *rebuild = NULL;
	int ret = ALIST_BAD;

	if (!trace)
		return ALIST_BAD;
	show.out = alist_spool();
	if (!show.out)
		goto out;
	rebuild = rebuild_create(on_step, &show);
	if (!rebuild) {
		alist_error("out of memory");
		goto out;
	}
	ret = show_log(&show, rebuild, trace);
	if (ret == ALIST_OK && alist_publish(show.out, stdout))
		ret = ALIST_BAD;
out:
	rebuild_destroy(rebuild);
	if (show.out)
		fclose(show.out);
	trace_close(trace);
	return ret;
}

/*
 * Arguments
 */

#define KEY_AT	256
#define KEY_DOT	257

static const struct argp_option argp_options[] = {
	{ "json", 'j', NULL, 0, "One JSON object", 0 },
	{ "at", KEY_AT, "TIME", 0,
	  "Show the state at TIME, by the log's clock; with several runs, in the first that reaches it", 0 },
	{ "dot", KEY_DOT, NULL, 0, "Print a graph for Graphviz", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	switch (key) {
	case 'j':
		options->json = true;
		return 0;
	case KEY_AT:
		if (!trace_parse_time(arg, &options->at_ns, &options->at_count))
			argp_error(state, "expected --at with a time as in the log, not '%s'",
				   arg);
		options->at = arg;
		return 0;
	case KEY_DOT:
		options->dot = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->file)
			argp_error(state, "expected one file");
		options->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!options->file)
			argp_error(state, "expected a file, or - for standard input");
		if (options->dot && options->json)
			argp_error(state, "expected --dot or --json, not both");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int alist_show(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, "FILE",
		"Show the attach lists of an ftrace log at its end: each domain, the "
		"IOMMUs it is on, its tags there, and the devices attached under each.",
		NULL, NULL, NULL,
	};
	struct options options = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return show_file(&options);
}
