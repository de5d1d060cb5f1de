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

	for (; p < c->end && is_digit(*p); p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *p - '0', &v))
			return false;
	if (p == c->p)
		return false;
	c->p = p;
	*value = v;
	return true;
}

/* -1 for what is none. A table: half of a log is digits. */
static inline int hex_digit(char c)
{
	static const signed char plus_one[256] = {
		['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6,
		['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
		['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
		['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
	};

	return plus_one[(unsigned char)c] - 1;
}

static inline bool hex(struct cursor *c, uint64_t *value)
{
	const char *p = c->p;
	const char *first;
	uint64_t v = 0;
	int digit;

	if (c->end - p < 3 || p[0] != '0' || p[1] != 'x')
		return false;
	for (first = p += 2; p < c->end && (digit = hex_digit(*p)) >= 0; p++) {
		if (v >> 60)
			return false;
		v = v << 4 | digit;
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

#endif /* ALIST_CURSOR_H */
