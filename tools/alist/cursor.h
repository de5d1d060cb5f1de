/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ALIST_CURSOR_H
#define ALIST_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "trace.h"

/*
 * A cursor over the line, in which all blanks are ' '. Each of these advances over what it names, or leaves
 * the cursor alone and returns false.
 */
struct cursor {
	const char *p;
	const char *end;
};

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && *c->p == ' ')
		c->p++;
}

static inline bool literal(struct cursor *c, const char *s)
{
	size_t len = strlen(s);

	if ((size_t)(c->end - c->p) < len || memcmp(c->p, s, len))
		return false;
	c->p += len;
	return true;
}

static inline bool decimal(struct cursor *c, uint64_t *value)
{
	const char *p = c->p;
	uint64_t v = 0;

	for (; p < c->end && is_digit(*p); p++) {
		unsigned int digit = *p - '0';

		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (p == c->p)
		return false;
	c->p = p;
	*value = v;
	return true;
}

static inline int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool hex(struct cursor *c, uint64_t *value)
{
	const char *p = c->p;
	const char *first;
	uint64_t v = 0;

	if (c->end - p < 3 || p[0] != '0' || p[1] != 'x')
		return false;
	for (first = p += 2; p < c->end && hex_digit(*p) >= 0; p++) {
		if (v >> 60)
			return false;
		v = v << 4 | hex_digit(*p);
	}
	if (p == first)
		return false;
	c->p = p;
	*value = v;
	return true;
}

/* Up to the next blank, or to @stop. */
static inline bool word(struct cursor *c, char stop, struct trace_text *text)
{
	const char *p = c->p;

	while (p < c->end && *p != ' ' && *p != stop)
		p++;
	if (p == c->p)
		return false;
	text->s = c->p;
	text->len = p - c->p;
	c->p = p;
	return true;
}

static inline bool at_end(struct cursor *c)
{
	skip_blanks(c);
	return c->p == c->end;
}

/* What was read is the whole word: nothing follows, or a blank. */
static inline bool word_ends(const struct cursor *c)
{
	return c->p == c->end || *c->p == ' ';
}

static inline bool decimal32(struct cursor *c, uint32_t *value)
{
	struct cursor save = *c;
	uint64_t v;

	if (!decimal(c, &v) || v > UINT32_MAX) {
		*c = save;
		return false;
	}
	*value = v;
	return true;
}

/* As decimal() or hex(): raw fields are printed either way, by kernel and type. */
static inline bool number(struct cursor *c, uint64_t *value)
{
	return hex(c, value) || decimal(c, value);
}

static inline bool number32(struct cursor *c, uint32_t *value)
{
	struct cursor save = *c;
	uint64_t v;

	if (!number(c, &v) || v > UINT32_MAX) {
		*c = save;
		return false;
	}
	*value = v;
	return true;
}

/* "NAME=" at the beginning or after a blank, anywhere; the cursor moves behind it. */
static inline bool field(struct cursor *c, const char *name)
{
	ptrdiff_t len = strlen(name);
	const char *sign = c->p;

	for (; (sign = memchr(sign, '=', c->end - sign)); sign++) {
		const char *p = sign - len;

		if (sign - c->p >= len && !memcmp(p, name, len) &&
		    (p == c->p || p[-1] == ' ')) {
			c->p = sign + 1;
			return true;
		}
	}
	return false;
}

/* The number that field @name is, wherever it is; the cursor stays. */
static inline bool number_in(const struct cursor *c, const char *name, uint64_t *value)
{
	struct cursor at = *c;

	return field(&at, name) && number(&at, value) && word_ends(&at);
}

static inline bool number32_in(const struct cursor *c, const char *name, uint32_t *value)
{
	struct cursor at = *c;

	return field(&at, name) && number32(&at, value) && word_ends(&at);
}

/* As number32_in(); @absent where there is no such field. */
static inline bool number32_or(const struct cursor *c, const char *name, uint32_t absent,
			       uint32_t *value)
{
	struct cursor at = *c;

	*value = absent;
	return !field(&at, name) || (number32(&at, value) && word_ends(&at));
}

static inline bool text_in(const struct cursor *c, const char *name, struct trace_text *text)
{
	struct cursor at = *c;

	if (!field(&at, name))
		return false;
	if (literal(&at, "\""))
		return word(&at, '"', text);
	return word(&at, '\0', text);
}

#endif /* ALIST_CURSOR_H */
