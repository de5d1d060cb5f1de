/* SPDX-License-Identifier: GPL-2.0-only */
/* For code that does not know whether a test runs it. */
#ifndef _KUNIT_TEST_BUG_H
#define _KUNIT_TEST_BUG_H

struct kunit;

extern __thread struct kunit *kunit_current;

/* NULL in a thread that a test has started. */
static inline struct kunit *kunit_get_current_test(void)
{
	return kunit_current;
}

void kunit_fail_current_test_at(const char *file, int line, const char *format,
				...) __attribute__((__format__(printf, 3, 4)));

#define kunit_fail_current_test(format, ...)				\
	kunit_fail_current_test_at(__FILE__, __LINE__, format, ##__VA_ARGS__)

#endif
