/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit in user space
 *
 * The part of KUnit's API that lets one suite file be compiled here and in a kernel
 * tree. A program of suites is this, kunit.c and the files of the suites: main() is
 * in kunit.c and finds them in a section of the program.
 *
 * A case runs in the thread of main(). An assertion that fails leaves it by
 * longjmp(), what was registered with kunit_add_action() is then undone. Other
 * threads may expect, but not assert.
 */
#ifndef _KUNIT_TEST_H
#define _KUNIT_TEST_H

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <kunit/resource.h>
#include <linux/array_size.h>
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/types.h>

#define KUNIT_PARAM_DESC_SIZE		128
#define KUNIT_STATUS_COMMENT_SIZE	256

enum kunit_status {
	KUNIT_SUCCESS,
	KUNIT_FAILURE,
	KUNIT_SKIPPED,
};

struct kunit_action;
struct kunit_stub;

struct kunit {
	void *priv;
	/* private: */
	const char *name;
	const void *param_value;
	int param_index;
	enum kunit_status status;		/* atomic, threads may fail it */
	char status_comment[KUNIT_STATUS_COMMENT_SIZE];
	struct kunit_action *actions;		/* newest first */
	struct kunit_stub *stubs;
	jmp_buf abort;
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
	const void *(*generate_params)(const void *previous, char *description);
	bool slow;
	/* private: */
	enum kunit_status status;
};

struct kunit_suite {
	const char *name;
	int (*suite_init)(struct kunit_suite *suite);
	void (*suite_exit)(struct kunit_suite *suite);
	int (*init)(struct kunit *test);
	void (*exit)(struct kunit *test);
	struct kunit_case *test_cases;		/* ended by one without a function */
};

#define KUNIT_CASE(function)						\
	{ .run_case = function, .name = #function }
#define KUNIT_CASE_SLOW(function)					\
	{ .run_case = function, .name = #function, .slow = true }
#define KUNIT_CASE_PARAM(function, generate)				\
	{								\
		.run_case = function, .name = #function,		\
		.generate_params = generate,				\
	}

#define KUNIT_ARRAY_PARAM(prefix, array, describe)			\
static const void *prefix##_gen_params(const void *previous, char *description) \
{									\
	void (*__describe)(typeof(&(array)[0]) param, char *text) = describe; \
	typeof(&(array)[0]) param = (array);				\
									\
	if (previous)							\
		param = (typeof(param))previous + 1;			\
	if (param == (array) + ARRAY_SIZE(array))			\
		return NULL;						\
	if (__describe)							\
		__describe(param, description);				\
	return param;							\
}

#define kunit_test_suites(...)						\
	static struct kunit_suite *const __kunit_suites[]		\
	__attribute__((__used__, __section__("kunit_suites"))) = { __VA_ARGS__ }
#define kunit_test_suite(suite)	kunit_test_suites(&(suite))

/* Memory that goes when the case ends. */
void *kunit_kmalloc_array(struct kunit *test, size_t n, size_t size, gfp_t gfp);
void kunit_kfree(struct kunit *test, const void *object);

#define kunit_kmalloc(test, size, gfp)	kunit_kmalloc_array(test, 1, size, gfp)
#define kunit_kzalloc(test, size, gfp)	kunit_kcalloc(test, 1, size, gfp)
#define kunit_kcalloc(test, n, size, gfp)				\
	kunit_kmalloc_array(test, n, size, (gfp) | __GFP_ZERO)

/* One line or several of the log; ends the last one if @format does not. */
void kunit_print(const char *format, ...)
	__attribute__((__format__(printf, 1, 2)));

#define kunit_info(test, format, ...)					\
	kunit_print("    # %s: " format, (test)->name, ##__VA_ARGS__)
#define kunit_warn(test, format, ...)	kunit_info(test, format, ##__VA_ARGS__)
#define kunit_err(test, format, ...)	kunit_info(test, format, ##__VA_ARGS__)

#define kunit_mark_skipped(test, format, ...)				\
do {									\
	WRITE_ONCE((test)->status, KUNIT_SKIPPED);			\
	snprintf((test)->status_comment, KUNIT_STATUS_COMMENT_SIZE,	\
		 format, ##__VA_ARGS__);				\
} while (0)
#define kunit_skip(test, format, ...)					\
do {									\
	kunit_mark_skipped(test, format, ##__VA_ARGS__);		\
	kunit_abort(test);						\
} while (0)

/*
 * Expectations and assertions
 */

struct kunit_check {
	const char *file;
	int line;
	bool fatal;
};

/* Leaves the case. */
void kunit_abort(struct kunit *test) __attribute__((__noreturn__));
/* Fails the case, and leaves it if the check is fatal. @format may be NULL. */
void kunit_failed(struct kunit *test, const struct kunit_check *check,
		  const char *what, const char *format, ...)
	__attribute__((__format__(printf, 4, 5)));
const char *kunit_what_int(char *buffer, const char *op,
			   const char *left_text, __int128 left,
			   const char *right_text, __int128 right);
const char *kunit_what_ptr(char *buffer, const char *op,
			   const char *left_text, const void *left,
			   const char *right_text, const void *right);
const char *kunit_what_str(char *buffer, const char *op,
			   const char *left_text, const char *left,
			   const char *right_text, const char *right);

#define KUNIT_WHAT_SIZE	1024

#define __KUNIT_FAILED(test, is_fatal, what, ...)			\
	kunit_failed(test,						\
		     &(struct kunit_check){				\
			.file = __FILE__,				\
			.line = __LINE__,				\
			.fatal = is_fatal,				\
		     }, what, __VA_ARGS__)

#define __KUNIT_BOOL(test, fatal, condition, expected, ...)		\
do {									\
	if ((bool)(condition) != (expected))				\
		__KUNIT_FAILED(test, fatal,				\
			       "Expected " #condition " to be "		\
			       #expected ", but is not", __VA_ARGS__);	\
} while (0)

/* 128 bits hold what either side can, whatever its sign. */
#define __KUNIT_INT(test, fatal, left, op, right, ...)			\
do {									\
	const __int128 __left = (left), __right = (right);		\
	char __what[KUNIT_WHAT_SIZE];					\
									\
	if (!(__left op __right))					\
		__KUNIT_FAILED(test, fatal,				\
			       kunit_what_int(__what, #op, #left, __left, \
					      #right, __right),		\
			       __VA_ARGS__);				\
} while (0)

#define __KUNIT_PTR(test, fatal, left, op, right, ...)			\
do {									\
	const void *const __left = (left), *const __right = (right);	\
	char __what[KUNIT_WHAT_SIZE];					\
									\
	if (!(__left op __right))					\
		__KUNIT_FAILED(test, fatal,				\
			       kunit_what_ptr(__what, #op, #left, __left, \
					      #right, __right),		\
			       __VA_ARGS__);				\
} while (0)

#define __KUNIT_STR(test, fatal, left, op, right, ...)			\
do {									\
	const char *const __left = (left), *const __right = (right);	\
	char __what[KUNIT_WHAT_SIZE];					\
									\
	if (!__left || !__right || !(strcmp(__left, __right) op 0))	\
		__KUNIT_FAILED(test, fatal,				\
			       kunit_what_str(__what, #op, #left, __left, \
					      #right, __right),		\
			       __VA_ARGS__);				\
} while (0)

#define __KUNIT_NOT_ERR_OR_NULL(test, fatal, ptr, ...)			\
do {									\
	if (IS_ERR_OR_NULL(ptr))					\
		__KUNIT_FAILED(test, fatal,				\
			       "Expected " #ptr " to be neither NULL nor an error", \
			       __VA_ARGS__);				\
} while (0)

#define KUNIT_FAIL(test, ...)						\
	__KUNIT_FAILED(test, false, NULL, __VA_ARGS__)
#define KUNIT_FAIL_AND_ABORT(test, ...)					\
	__KUNIT_FAILED(test, true, NULL, __VA_ARGS__)

#define KUNIT_EXPECT_TRUE_MSG(test, condition, ...)			\
	__KUNIT_BOOL(test, false, condition, true, __VA_ARGS__)
#define KUNIT_EXPECT_FALSE_MSG(test, condition, ...)			\
	__KUNIT_BOOL(test, false, condition, false, __VA_ARGS__)
#define KUNIT_EXPECT_EQ_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, false, left, ==, right, __VA_ARGS__)
#define KUNIT_EXPECT_NE_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, false, left, !=, right, __VA_ARGS__)
#define KUNIT_EXPECT_LT_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, false, left, <, right, __VA_ARGS__)
#define KUNIT_EXPECT_LE_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, false, left, <=, right, __VA_ARGS__)
#define KUNIT_EXPECT_GT_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, false, left, >, right, __VA_ARGS__)
#define KUNIT_EXPECT_GE_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, false, left, >=, right, __VA_ARGS__)
#define KUNIT_EXPECT_PTR_EQ_MSG(test, left, right, ...)			\
	__KUNIT_PTR(test, false, left, ==, right, __VA_ARGS__)
#define KUNIT_EXPECT_PTR_NE_MSG(test, left, right, ...)			\
	__KUNIT_PTR(test, false, left, !=, right, __VA_ARGS__)
#define KUNIT_EXPECT_NULL_MSG(test, ptr, ...)				\
	__KUNIT_PTR(test, false, ptr, ==, NULL, __VA_ARGS__)
#define KUNIT_EXPECT_NOT_NULL_MSG(test, ptr, ...)			\
	__KUNIT_PTR(test, false, ptr, !=, NULL, __VA_ARGS__)
#define KUNIT_EXPECT_NOT_ERR_OR_NULL_MSG(test, ptr, ...)		\
	__KUNIT_NOT_ERR_OR_NULL(test, false, ptr, __VA_ARGS__)
#define KUNIT_EXPECT_STREQ_MSG(test, left, right, ...)			\
	__KUNIT_STR(test, false, left, ==, right, __VA_ARGS__)
#define KUNIT_EXPECT_STRNEQ_MSG(test, left, right, ...)			\
	__KUNIT_STR(test, false, left, !=, right, __VA_ARGS__)

#define KUNIT_ASSERT_TRUE_MSG(test, condition, ...)			\
	__KUNIT_BOOL(test, true, condition, true, __VA_ARGS__)
#define KUNIT_ASSERT_FALSE_MSG(test, condition, ...)			\
	__KUNIT_BOOL(test, true, condition, false, __VA_ARGS__)
#define KUNIT_ASSERT_EQ_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, true, left, ==, right, __VA_ARGS__)
#define KUNIT_ASSERT_NE_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, true, left, !=, right, __VA_ARGS__)
#define KUNIT_ASSERT_LT_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, true, left, <, right, __VA_ARGS__)
#define KUNIT_ASSERT_LE_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, true, left, <=, right, __VA_ARGS__)
#define KUNIT_ASSERT_GT_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, true, left, >, right, __VA_ARGS__)
#define KUNIT_ASSERT_GE_MSG(test, left, right, ...)			\
	__KUNIT_INT(test, true, left, >=, right, __VA_ARGS__)
#define KUNIT_ASSERT_PTR_EQ_MSG(test, left, right, ...)			\
	__KUNIT_PTR(test, true, left, ==, right, __VA_ARGS__)
#define KUNIT_ASSERT_PTR_NE_MSG(test, left, right, ...)			\
	__KUNIT_PTR(test, true, left, !=, right, __VA_ARGS__)
#define KUNIT_ASSERT_NULL_MSG(test, ptr, ...)				\
	__KUNIT_PTR(test, true, ptr, ==, NULL, __VA_ARGS__)
#define KUNIT_ASSERT_NOT_NULL_MSG(test, ptr, ...)			\
	__KUNIT_PTR(test, true, ptr, !=, NULL, __VA_ARGS__)
#define KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, ptr, ...)		\
	__KUNIT_NOT_ERR_OR_NULL(test, true, ptr, __VA_ARGS__)
#define KUNIT_ASSERT_STREQ_MSG(test, left, right, ...)			\
	__KUNIT_STR(test, true, left, ==, right, __VA_ARGS__)
#define KUNIT_ASSERT_STRNEQ_MSG(test, left, right, ...)			\
	__KUNIT_STR(test, true, left, !=, right, __VA_ARGS__)

#define KUNIT_EXPECT_TRUE(test, condition)				\
	KUNIT_EXPECT_TRUE_MSG(test, condition, NULL)
#define KUNIT_EXPECT_FALSE(test, condition)				\
	KUNIT_EXPECT_FALSE_MSG(test, condition, NULL)
#define KUNIT_EXPECT_EQ(test, left, right)				\
	KUNIT_EXPECT_EQ_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_NE(test, left, right)				\
	KUNIT_EXPECT_NE_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_LT(test, left, right)				\
	KUNIT_EXPECT_LT_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_LE(test, left, right)				\
	KUNIT_EXPECT_LE_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_GT(test, left, right)				\
	KUNIT_EXPECT_GT_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_GE(test, left, right)				\
	KUNIT_EXPECT_GE_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_PTR_EQ(test, left, right)				\
	KUNIT_EXPECT_PTR_EQ_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_PTR_NE(test, left, right)				\
	KUNIT_EXPECT_PTR_NE_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_NULL(test, ptr)					\
	KUNIT_EXPECT_NULL_MSG(test, ptr, NULL)
#define KUNIT_EXPECT_NOT_NULL(test, ptr)				\
	KUNIT_EXPECT_NOT_NULL_MSG(test, ptr, NULL)
#define KUNIT_EXPECT_NOT_ERR_OR_NULL(test, ptr)				\
	KUNIT_EXPECT_NOT_ERR_OR_NULL_MSG(test, ptr, NULL)
#define KUNIT_EXPECT_STREQ(test, left, right)				\
	KUNIT_EXPECT_STREQ_MSG(test, left, right, NULL)
#define KUNIT_EXPECT_STRNEQ(test, left, right)				\
	KUNIT_EXPECT_STRNEQ_MSG(test, left, right, NULL)

#define KUNIT_ASSERT_TRUE(test, condition)				\
	KUNIT_ASSERT_TRUE_MSG(test, condition, NULL)
#define KUNIT_ASSERT_FALSE(test, condition)				\
	KUNIT_ASSERT_FALSE_MSG(test, condition, NULL)
#define KUNIT_ASSERT_EQ(test, left, right)				\
	KUNIT_ASSERT_EQ_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_NE(test, left, right)				\
	KUNIT_ASSERT_NE_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_LT(test, left, right)				\
	KUNIT_ASSERT_LT_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_LE(test, left, right)				\
	KUNIT_ASSERT_LE_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_GT(test, left, right)				\
	KUNIT_ASSERT_GT_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_GE(test, left, right)				\
	KUNIT_ASSERT_GE_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_PTR_EQ(test, left, right)				\
	KUNIT_ASSERT_PTR_EQ_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_PTR_NE(test, left, right)				\
	KUNIT_ASSERT_PTR_NE_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_NULL(test, ptr)					\
	KUNIT_ASSERT_NULL_MSG(test, ptr, NULL)
#define KUNIT_ASSERT_NOT_NULL(test, ptr)				\
	KUNIT_ASSERT_NOT_NULL_MSG(test, ptr, NULL)
#define KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ptr)				\
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, ptr, NULL)
#define KUNIT_ASSERT_STREQ(test, left, right)				\
	KUNIT_ASSERT_STREQ_MSG(test, left, right, NULL)
#define KUNIT_ASSERT_STRNEQ(test, left, right)				\
	KUNIT_ASSERT_STRNEQ_MSG(test, left, right, NULL)

#endif
