// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the events of ours print, on the kernels since 5.10: as text, by the event's print
 * format, or as raw fields (trace-cmd report -R; option fields of ftrace).
 */
#include "events.h"

#define FIELDS_MAX	32

/* "NAME=VALUE" each, between blanks. */
struct fields {
	unsigned int nr;
	struct {
		struct trace_text name;
		struct cursor value;		/* from there to the end of the line */
	} field[FIELDS_MAX];
};

/* ftrace's option fields prints numbers twice: "0x10 (16)", "0xffffffffffffffff (-1)". */
static bool in_decimal(struct cursor *c)
{
	struct cursor at = *c;
	uint64_t value;

	if (!literal(&at, "("))
		return false;
	literal(&at, "-");
	if (!decimal(&at, &value) || !literal(&at, ")") || !word_ends(&at))
		return false;
	*c = at;
	return true;
}

/*
 * What is left is fields, after where a probe is: "(function+0x0/0x10) a=1 b=2". Anything
 * else would be another event, in a line that lost its end. Return: false then.
 */
static bool fields(struct fields *f, struct cursor c)
{
	struct trace_text name;
	const char *end;

	f->nr = 0;
	skip_blanks(&c);
	if (literal(&c, "(")) {
		end = memchr(c.p, ')', c.end - c.p);
		if (!end || memchr(c.p, '(', end - c.p) || memchr(c.p, ':', end - c.p))
			return false;
		c.p = end + 1;
	}
	while (!at_end(&c)) {
		if (f->nr && in_decimal(&c))
			continue;
		if (!word(&c, '=', &name) || !literal(&c, "=") || f->nr == FIELDS_MAX)
			return false;
		f->field[f->nr].name = name;
		f->field[f->nr++].value = c;
		end = memchr(c.p, ' ', c.end - c.p);
		c.p = end ? end : c.end;
	}
	return true;
}

static bool only_fields(struct cursor c)
{
	struct fields f;

	return fields(&f, c);
}

/* A cursor at the value of field @name. */
static bool value_of(const struct fields *f, const char *name, struct cursor *value)
{
	size_t len = strlen(name);
	unsigned int i;

	for (i = 0; i < f->nr; i++)
		if (f->field[i].name.len == len && f->field[i].name.s[0] == name[0] &&
		    !memcmp(f->field[i].name.s, name, len)) {
			*value = f->field[i].value;
			return true;
		}
	return false;
}

static bool number_in(const struct fields *f, const char *name, uint64_t *value)
{
	struct cursor at;

	return value_of(f, name, &at) && number(&at, value) && word_ends(&at);
}

static bool whole_number32(struct cursor *c, uint32_t *value)
{
	/* A byte, by option fields: "(1)" */
	if (literal(c, "("))
		return decimal32(c, value) && literal(c, ")") && word_ends(c);
	return number32(c, value) && word_ends(c);
}

static bool number32_in(const struct fields *f, const char *name, uint32_t *value)
{
	struct cursor at;

	return value_of(f, name, &at) && whole_number32(&at, value);
}

/* As number32_in(); @absent where there is no such field. */
static bool number32_or(const struct fields *f, const char *name, uint32_t absent,
			uint32_t *value)
{
	struct cursor at;

	*value = absent;
	return !value_of(f, name, &at) || whole_number32(&at, value);
}

static bool text_in(const struct fields *f, const char *name, struct trace_text *text)
{
	struct cursor at;

	if (!value_of(f, name, &at))
		return false;
	if (literal(&at, "\""))
		return word(&at, '"', text);
	return word(&at, '\0', text);
}

/*
 * "IOMMU: iova=0x.. - 0x.. [paddr=0x..] size=N [unmapped_size=N]". Kernels before 5.17
 * print no end; raw fields have neither end nor "IOMMU:".
 */
static bool parse_map(struct cursor *c, struct trace_event *event)
{
	uint64_t last = 0, size, unmapped;
	struct fields f;
	bool has_last;

	literal(c, "IOMMU: ");
	skip_blanks(c);
	if (!literal(c, "iova=") || !number(c, &event->map.iova) || !word_ends(c))
		return false;
	has_last = literal(c, " - ");
	if (has_last && (!number(c, &last) || !word_ends(c)))
		return false;
	if (!fields(&f, *c) || !number_in(&f, "size", &size) ||
	    (has_last && last != event->map.iova + size))
		return false;
	if (event->type == TRACE_MAP && !number_in(&f, "paddr", &event->map.paddr))
		return false;
	event->map.size = size;
	if (event->type == TRACE_UNMAP) {
		if (!number_in(&f, "unmapped_size", &unmapped))
			return false;
		event->map.size = unmapped;
		/* More than was asked for, where that was a part of a large page. */
		if (unmapped > size)
			size = unmapped;
	}
	return !size || event->map.iova + (size - 1) >= event->map.iova;
}

/* "IOMMU: [...] device=NAME"; later kernels print more before and after. */
static bool parse_device(struct cursor *c, struct trace_event *event)
{
	return field(c, "device") && word(c, '\0', &event->device) && only_fields(*c);
}

/* The names, or the numbers where the reader did not know the kernel's enumeration. */
static bool tag_type(struct cursor *c, struct trace_event *event)
{
	uint32_t type;

	if (number32(c, &type)) {
		event->tag.nesting = type >> 1;
		event->tag.devtlb = type & 1;
		return type <= 3;
	}
	event->tag.nesting = literal(c, "nesting_") || literal(c, "nesting ");
	event->tag.devtlb = literal(c, "devtlb");
	return event->tag.devtlb || literal(c, "iotlb");
}

/* VT-d has domain ids of 16 bits and PASIDs of 20. */
static bool tag_fits(const struct trace_event *event)
{
	return event->tag.did <= UINT16_MAX && event->tag.pasid < 1u << 20;
}

/* "iommu=NAME dev=NAME type=N domain_id=N pasid=N [users=N]" */
static bool parse_tag_raw(struct cursor *c, struct trace_event *event)
{
	struct cursor type;
	struct fields f;

	return fields(&f, *c) && number32_or(&f, "users", 0, &event->tag.users) &&
	       text_in(&f, "iommu", &event->tag.iommu) &&
	       text_in(&f, "dev", &event->tag.device) &&
	       number32_in(&f, "domain_id", &event->tag.did) &&
	       number32_in(&f, "pasid", &event->tag.pasid) &&
	       value_of(&f, "type", &type) && tag_type(&type, event) && word_ends(&type) &&
	       tag_fits(event);
}

/* "IOMMU/DEV type T did N pasid N ref N" */
static bool parse_tag_text(struct cursor *c, struct trace_event *event)
{
	return word(c, '/', &event->tag.iommu) && literal(c, "/") &&
	       word(c, '\0', &event->tag.device) && literal(c, " type ") &&
	       tag_type(c, event) &&
	       literal(c, " did ") && number32(c, &event->tag.did) &&
	       literal(c, " pasid ") && number32(c, &event->tag.pasid) &&
	       literal(c, " ref ") && number32(c, &event->tag.users) &&
	       at_end(c) && tag_fits(event);
}

static bool parse_tag(struct cursor *c, struct trace_event *event)
{
	struct cursor save = *c;

	if (parse_tag_text(c, event))
		return true;
	*c = save;
	return parse_tag_raw(c, event);
}

/* "[0x..-0x..] addr 0x.. pages 0x.. mask 0x..": some of it, by kernel */
static bool only_range(struct cursor *c)
{
	uint64_t value;

	skip_blanks(c);
	if (literal(c, "[") &&
	    (!number(c, &value) || !literal(c, "-") || !number(c, &value) ||
	     !literal(c, "]") || !word_ends(c)))
		return false;
	while (!at_end(c)) {
		if (!literal(c, "addr ") && !literal(c, "pages ") && !literal(c, "mask "))
			return false;
		if (!number(c, &value) || !word_ends(c))
			return false;
	}
	return true;
}

/*
 * "IOMMU DEV[PASID] type T did N [0x..-0x..] addr 0x.. [pages 0x..] mask 0x..", or
 * "IOMMU DID[PASID] type T [0x..-0x..] ..", or as parse_tag()
 */
static bool parse_tag_flush(struct cursor *c, struct trace_event *event)
{
	struct cursor save = *c, device;

	if (parse_tag(c, event))
		return true;
	*c = save;
	if (!word(c, ' ', &event->tag.iommu) || !literal(c, " ") ||
	    !word(c, '[', &event->tag.device) || !literal(c, "[") ||
	    !number32(c, &event->tag.pasid) || !literal(c, "]") ||
	    !literal(c, " type ") || !tag_type(c, event))
		return false;
	if (literal(c, " did "))
		return number32(c, &event->tag.did) && word_ends(c) && only_range(c) &&
		       tag_fits(event);
	device.p = event->tag.device.s;
	device.end = device.p + event->tag.device.len;
	return word_ends(c) && number32(&device, &event->tag.did) && at_end(&device) &&
	       only_range(c) && tag_fits(event);
}

/* "KIND IOMMU: 0x.. 0x.. 0x.. 0x..", or "qw0=.. qw1=.. qw2=.. qw3=.. iommu=NAME" */
static bool parse_qi(struct cursor *c, struct trace_event *event)
{
	struct trace_text kind;
	uint64_t *w = event->cmd.words;
	struct fields f;
	int i;

	event->cmd.n = 1;
	event->cmd.nr_words = 4;
	event->cmd.sync = false;
	/* No kind has a name like this. */
	if (c->end - c->p > 3 && !memcmp(c->p, "qw0=", 4))
		return fields(&f, *c) &&
		       number_in(&f, "qw0", &w[0]) && number_in(&f, "qw1", &w[1]) &&
		       number_in(&f, "qw2", &w[2]) && number_in(&f, "qw3", &w[3]) &&
		       text_in(&f, "iommu", &event->cmd.iommu);
	if (!word(c, '\0', &kind) || !literal(c, " ") ||
	    !word(c, ':', &event->cmd.iommu) || !literal(c, ":"))
		return false;
	for (i = 0; i < 4; i++)
		if (!literal(c, " ") || !hex(c, &w[i]))
			return false;
	return at_end(c);
}

/* "name=dmar0" or, where the probe could not tell it, the address of the instance. */
static bool parse_instance(const struct fields *f, struct trace_event *event,
			   const char *other)
{
	if (text_in(f, "name", &event->cmd.iommu) && event->cmd.iommu.len &&
	    event->cmd.iommu.s[0] != '(')
		return true;
	return text_in(f, other, &event->cmd.iommu);
}

/* "c={0x..,0x..,..}": two words a command, perhaps of more than were submitted */
static bool parse_array(const struct fields *f, struct trace_event *event)
{
	struct cursor at;
	unsigned int nr = 0;

	if (!value_of(f, "c", &at) || !literal(&at, "{"))
		return false;
	do {
		if (nr == TRACE_WORDS_MAX || !number(&at, &event->cmd.words[nr]))
			return false;
		nr++;
	} while (literal(&at, ","));
	event->cmd.nr_words = nr;
	return nr && !(nr & 1) && literal(&at, "}") && word_ends(&at);
}

/*
 * "n=N wait=0x.. op=N c={..}": of no commands, what is read of them is nothing. A pointer to
 * where the number of the completion wait goes: NULL if there is none.
 */
static bool parse_amd_batch(const struct fields *f, struct trace_event *event)
{
	uint64_t wait, op;

	if (!number32_in(f, "n", &event->cmd.n) || event->cmd.n > TRACE_COMMANDS_MAX ||
	    !number_in(f, "wait", &wait))
		return false;
	event->cmd.sync = wait;
	event->cmd.op = 0;
	event->cmd.nr_words = 0;
	if (!event->cmd.n)
		return true;
	if (!parse_array(f, event) || !number_in(f, "op", &op) || op != event->cmd.words[0] >> 60)
		return false;
	event->cmd.op = op;
	return true;
}

/* "(where) op=N iommu=0x.. d0=0x.. d1=0x.. d2=0x.. d3=0x..", or a batch */
static bool parse_amd(struct cursor *c, struct trace_event *event)
{
	uint64_t d[4], op;
	struct fields f;

	if (!fields(&f, *c) || !parse_instance(&f, event, "iommu"))
		return false;
	if (!number_in(&f, "d0", &d[0]))
		return parse_amd_batch(&f, event);
	if (!number_in(&f, "d1", &d[1]) || !number_in(&f, "d2", &d[2]) ||
	    !number_in(&f, "d3", &d[3]))
		return false;
	if ((d[0] | d[1] | d[2] | d[3]) > UINT32_MAX)
		return false;
	/* Said twice, so that a probe that reads the wrong memory is found out. */
	if (!number_in(&f, "op", &op) || op != d[1] >> 28)
		return false;
	event->cmd.op = op;
	event->cmd.n = 1;
	event->cmd.nr_words = 2;
	event->cmd.sync = false;
	event->cmd.words[0] = d[0] | d[1] << 32;
	event->cmd.words[1] = d[2] | d[3] << 32;
	return true;
}

/* "(where) op=N n=N sync=N smmu=0x.. c0=0x.. c1=0x.." or "c={..}" */
static bool parse_smmu(struct cursor *c, struct trace_event *event)
{
	uint32_t op, n, sync;
	struct fields f;

	if (!fields(&f, *c) || !number32_in(&f, "op", &op) || !number32_in(&f, "n", &n) ||
	    !number32_in(&f, "sync", &sync) || !parse_instance(&f, event, "smmu"))
		return false;
	if (!parse_array(&f, event)) {
		if (!number_in(&f, "c0", &event->cmd.words[0]) ||
		    !number_in(&f, "c1", &event->cmd.words[1]))
			return false;
		event->cmd.nr_words = 2;
	}
	if (n && (event->cmd.words[0] & 0xff) != op)
		return false;
	event->cmd.op = op;
	event->cmd.n = n;
	event->cmd.sync = sync;
	return sync <= 1 && n <= TRACE_COMMANDS_MAX;
}

/* "(where) iommu=0x.. d0=0x.. d1=0x.." */
static bool parse_riscv(struct cursor *c, struct trace_event *event)
{
	struct fields f;

	if (!fields(&f, *c) || !parse_instance(&f, event, "iommu") ||
	    !number_in(&f, "d0", &event->cmd.words[0]) ||
	    !number_in(&f, "d1", &event->cmd.words[1]))
		return false;
	event->cmd.op = event->cmd.words[0] & 0x7f;
	event->cmd.n = 1;
	event->cmd.nr_words = 2;
	event->cmd.sync = false;
	return true;
}

/* "(function) [iommu=0x..] [name=..] [sync=N]"; without sync= it is waited for. */
static bool parse_wait(struct cursor *c, struct trace_event *event)
{
	struct fields f;
	uint32_t sync;

	event->cmd.iommu = (struct trace_text){ "", 0 };
	if (!fields(&f, *c))
		return false;
	parse_instance(&f, event, "iommu");
	if (!number32_or(&f, "sync", 1, &sync) || sync > 1)
		return false;
	event->cmd.sync = sync;
	return true;
}

static bool parse_nothing(struct cursor *c, struct trace_event *event)
{
	(void)c;
	(void)event;
	return true;
}

/* "(function)", "(caller <- function)"; raw fields: "__probe_ip=0x.." */
static bool parse_where(struct cursor *c, struct trace_event *event)
{
	(void)event;
	return c->p < c->end && only_fields(*c);
}

static bool parse_mark(struct cursor *c, struct trace_event *event)
{
	event->text.s = c->p;
	event->text.len = c->end - c->p;
	return true;
}

/* Raw fields: "ip=.. buf=text" */
static bool parse_print(struct cursor *c, struct trace_event *event)
{
	field(c, "buf");
	return parse_mark(c, event);
}

const struct event_form event_forms[] = {
	{ "map", "iommu", TRACE_MAP, parse_map,
	  "IOMMU: iova=0x.. - 0x.. paddr=0x.. size=N", false },
	{ "unmap", "iommu", TRACE_UNMAP, parse_map,
	  "IOMMU: iova=0x.. - 0x.. size=N unmapped_size=N", false },
	{ "attach_device_to_domain", "iommu", TRACE_ATTACH, parse_device,
	  "IOMMU: device=NAME", false },
	{ "detach_device_from_domain", "iommu", TRACE_DETACH, parse_device,
	  "IOMMU: device=NAME", false },
	{ "add_device_to_group", "iommu", TRACE_QUIET, parse_nothing, "text", false },
	{ "remove_device_from_group", "iommu", TRACE_QUIET, parse_nothing, "text", false },
	{ "io_page_fault", "iommu", TRACE_QUIET, parse_nothing, "text", false },
	{ "cache_tag_assign", "intel_iommu", TRACE_TAG_ASSIGN, parse_tag,
	  "IOMMU/DEVICE type iotlb|devtlb did N pasid N ref N", false },
	{ "cache_tag_unassign", "intel_iommu", TRACE_TAG_UNASSIGN, parse_tag,
	  "IOMMU/DEVICE type iotlb|devtlb did N pasid N ref N", false },
	{ "cache_tag_flush_range", "intel_iommu", TRACE_TAG_FLUSH, parse_tag_flush,
	  "IOMMU DEVICE[PASID] type iotlb|devtlb did N ..", false },
	{ "cache_tag_flush_range_np", "intel_iommu", TRACE_TAG_FLUSH, parse_tag_flush,
	  "IOMMU DEVICE[PASID] type iotlb|devtlb did N ..", true },
	{ "cache_tag_flush_all", "intel_iommu", TRACE_TAG_FLUSH, parse_tag_flush,
	  "IOMMU/DEVICE type iotlb|devtlb did N pasid N ref N", false },
	{ "qi_submit", "intel_iommu", TRACE_QI, parse_qi,
	  "KIND IOMMU: and four 0x.. words", false },
	{ "prq_report", "intel_iommu", TRACE_QUIET, parse_nothing, "text", false },
	{ "amdcmd", NULL, TRACE_AMD, parse_amd,
	  "op=N iommu=0x.. d0=0x.. d1=0x.. d2=0x.. d3=0x.., op in the top bits of d1, or n=N wait=0x.. c={..}",
	  false },
	{ "smmucmd", NULL, TRACE_SMMU, parse_smmu,
	  "op=N n=N sync=0|1 smmu=0x.. c0=0x.. c1=0x.., op in the low bits of c0", false },
	{ "riscvcmd", NULL, TRACE_RISCV, parse_riscv, "iommu=0x.. d0=0x.. d1=0x..", false },
	{ "flush_begin", NULL, TRACE_FLUSH_BEGIN, parse_where, "(function)", false },
	{ "flush_end", NULL, TRACE_FLUSH_END, parse_where, "(function)", false },
	{ "wait_begin", NULL, TRACE_WAIT_BEGIN, parse_wait,
	  "(function) iommu=0x.. sync=0|1", false },
	{ "wait_end", NULL, TRACE_WAIT_END, parse_where, "(function)", false },
	{ "tracing_mark_write", NULL, TRACE_MARK, parse_mark, "text", false },
	{ "print", NULL, TRACE_MARK, parse_print, "text", false },
	{ 0 },
};

const struct event_form *event_find(const struct trace_text *name)
{
	const struct event_form *form;
	struct trace_text system = { NULL, 0 }, event = *name;
	size_t i;

	/* "iommu:map", "iommu/map" */
	for (i = name->len; i; i--)
		if (name->s[i - 1] == ':' || name->s[i - 1] == '/') {
			system = (struct trace_text){ name->s, i - 1 };
			event = (struct trace_text){ name->s + i, name->len - i };
			break;
		}
	for (form = event_forms; form->name; form++) {
		/* The first letter spares most of the comparisons. */
		if (form->name[0] != event.s[0] || strlen(form->name) != event.len ||
		    memcmp(form->name, event.s, event.len))
			continue;
		if (system.s && form->system &&
		    (strlen(form->system) != system.len ||
		     memcmp(form->system, system.s, system.len)))
			continue;
		return form;
	}
	return NULL;
}
