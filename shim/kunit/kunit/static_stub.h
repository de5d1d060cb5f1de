/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A function that a test may replace, for the thread that runs the test and until
 * its case ends. Without CONFIG_KUNIT there is nothing to replace.
 */
#ifndef _KUNIT_STATIC_STUB_H
#define _KUNIT_STATIC_STUB_H

#include <linux/kconfig.h>

#if IS_ENABLED(CONFIG_KUNIT)

#include <kunit/test-bug.h>
#include <kunit/test.h>

void *kunit_static_stub(struct kunit *test, const void *real);
void kunit_set_static_stub(struct kunit *test, const void *real, void *stub);

#define KUNIT_STATIC_STUB_REDIRECT(real, args...)			\
do {									\
	struct kunit *__test = kunit_get_current_test();		\
	typeof(&real) __stub;						\
									\
	if (likely(!__test))						\
		break;							\
	__stub = (typeof(__stub))kunit_static_stub(__test,		\
						   (const void *)&real); \
	if (__stub)							\
		return __stub(args);					\
} while (0)

#define kunit_activate_static_stub(test, real, stub)			\
do {									\
	_Static_assert(__builtin_types_compatible_p(typeof(real),	\
						    typeof(stub)),	\
		       "the stub is of another type");			\
	kunit_set_static_stub(test, (const void *)(real), (void *)(stub)); \
} while (0)

#define kunit_deactivate_static_stub(test, real)			\
	kunit_set_static_stub(test, (const void *)(real), NULL)

#else

#define KUNIT_STATIC_STUB_REDIRECT(real, args...)	do { } while (0)

#endif

#endif
