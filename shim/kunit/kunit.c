// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit in user space: runs the suites of a program and prints KTAP, version 1
 *
 * A suite is a subtest of the program, a case with parameters one of its suite.
 * Results are lines of one writer; threads that a case starts may only fail it.
 *
 * The one argument is a glob as the kernel's kunit.filter_glob: "suite" or
 * "suite.case". Exit status: 0 if nothing failed, 1 if something did, 2 if the
 * argument is not understood or selects nothing.
 *
 * Bookkeeping and memory of tests come from the C library, not from the shim's
 * allocator: what is counted and made to fail there is what the tested code takes.
 */
#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/overflow.h>
#include <linux/slab.h>

/* From this on a case should say that it is slow. */
#define SLOW_SECONDS	2

struct kunit_action {
	kunit_action_t *action;
	void *arg;
	struct kunit_action *next;
};

struct kunit_stub {
	const void *real;
	void *stub;
	struct kunit_stub *next;
};

struct stats {
	unsigned long pass, fail, skip;
};

extern struct kunit_suite *const __start_kunit_suites[];
extern struct kunit_suite *const __stop_kunit_suites[];

__thread struct kunit *kunit_current;

static void *alloc_or_die(size_t size)
{
	void *object = calloc(1, size);

	if (!object) {
		fputs("kunit: out of memory\n", stderr);
		exit(2);
	}
	return object;
}

/*
 * The log
 */

static void print_line_end(const char *format)
{
	size_t length = strlen(format);

	if (!length || format[length - 1] != '\n')
		putchar('\n');
}

void kunit_print(const char *format, ...)
{
	va_list args;

	flockfile(stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	print_line_end(format);
	funlockfile(stdout);
}

static void print_result(const char *indent, enum kunit_status status,
			 unsigned int number, const char *name,
			 const char *comment)
{
	printf("%s%sok %u %s%s%s\n", indent,
	       status == KUNIT_FAILURE ? "not " : "", number, name,
	       status == KUNIT_SKIPPED ? " # SKIP " : "",
	       status == KUNIT_SKIPPED ? comment : "");
}

static unsigned long stats_total(const struct stats *stats)
{
	return stats->pass + stats->fail + stats->skip;
}

static void print_stats(const char *indent, const char *name,
			const struct stats *stats)
{
	if (stats_total(stats) > 1)
		printf("%s# %s: pass:%lu fail:%lu skip:%lu total:%lu\n", indent,
		       name, stats->pass, stats->fail, stats->skip,
		       stats_total(stats));
}

static void stats_count(struct stats *stats, enum kunit_status status)
{
	if (status == KUNIT_SUCCESS)
		stats->pass++;
	else if (status == KUNIT_FAILURE)
		stats->fail++;
	else
		stats->skip++;
}

/*
 * Failing
 */

void kunit_abort(struct kunit *test)
{
	if (kunit_current != test) {
		kunit_err(test, "assertion in a thread that is not the test's");
		fflush(stdout);
		abort();
	}
	longjmp(test->abort, 1);
}

static void failed(struct kunit *test, const struct kunit_check *check,
		   const char *what, const char *format, va_list args)
{
	WRITE_ONCE(test->status, KUNIT_FAILURE);

	flockfile(stdout);
	printf("    # %s: %s FAILED at %s:%d\n", test->name,
	       check->fatal ? "ASSERTION" : "EXPECTATION", check->file,
	       check->line);
	if (what)
		printf("    %s\n", what);
	if (format) {
		fputs("    ", stdout);
		vprintf(format, args);
		print_line_end(format);
	}
	funlockfile(stdout);
}

void kunit_failed(struct kunit *test, const struct kunit_check *check,
		  const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	failed(test, check, what, format, args);
	va_end(args);
	if (check->fatal)
		kunit_abort(test);
}

void kunit_fail_current_test_at(const char *file, int line, const char *format,
				...)
{
	struct kunit_check check = { .file = file, .line = line };
	va_list args;

	if (!kunit_current)
		return;
	va_start(args, format);
	failed(kunit_current, &check, NULL, format, args);
	va_end(args);
}

const char *kunit_what_int(char *buffer, const char *op,
			   const char *left_text, __int128 left,
			   const char *right_text, __int128 right)
{
	snprintf(buffer, KUNIT_WHAT_SIZE,
		 "Expected %s %s %s, but\n"
		 "        %s == %lld (0x%llx)\n        %s == %lld (0x%llx)",
		 left_text, op, right_text,
		 left_text, (long long)left, (unsigned long long)left,
		 right_text, (long long)right, (unsigned long long)right);
	return buffer;
}

const char *kunit_what_ptr(char *buffer, const char *op,
			   const char *left_text, const void *left,
			   const char *right_text, const void *right)
{
	snprintf(buffer, KUNIT_WHAT_SIZE,
		 "Expected %s %s %s, but\n        %s == %p\n        %s == %p",
		 left_text, op, right_text, left_text, left, right_text, right);
	return buffer;
}

const char *kunit_what_str(char *buffer, const char *op,
			   const char *left_text, const char *left,
			   const char *right_text, const char *right)
{
	snprintf(buffer, KUNIT_WHAT_SIZE,
		 "Expected %s %s %s, but\n"
		 "        %s == \"%s\"\n        %s == \"%s\"",
		 left_text, op, right_text, left_text, left ? left : "(null)",
		 right_text, right ? right : "(null)");
	return buffer;
}

/*
 * What is undone at the end of a case
 */

int kunit_add_action(struct kunit *test, kunit_action_t *action, void *arg)
{
	struct kunit_action *item = alloc_or_die(sizeof(*item));

	item->action = action;
	item->arg = arg;
	item->next = test->actions;
	test->actions = item;
	return 0;
}

/* Adding cannot fail here, so there is nothing to reset. */
int kunit_add_action_or_reset(struct kunit *test, kunit_action_t *action,
			      void *arg)
{
	return kunit_add_action(test, action, arg);
}

static bool take_action(struct kunit *test, kunit_action_t *action,
			const void *arg)
{
	struct kunit_action **link, *item;

	for (link = &test->actions; (item = *link); link = &item->next) {
		if (item->action == action && item->arg == arg) {
			*link = item->next;
			free(item);
			return true;
		}
	}
	return false;
}

void kunit_remove_action(struct kunit *test, kunit_action_t *action, void *arg)
{
	take_action(test, action, arg);
}

void kunit_release_action(struct kunit *test, kunit_action_t *action, void *arg)
{
	if (take_action(test, action, arg))
		action(arg);
}

void *kunit_kmalloc_array(struct kunit *test, size_t n, size_t size, gfp_t gfp)
{
	size_t bytes = size_mul(n, size);
	void *object = gfp & __GFP_ZERO ? calloc(1, bytes) : malloc(bytes);

	if (object)
		kunit_add_action(test, free, object);
	return object;
}

void kunit_kfree(struct kunit *test, const void *object)
{
	if (!object)
		return;
	if (take_action(test, free, object))
		free((void *)object);
	else
		KUNIT_FAIL(test, "kunit_kfree() of what is not the test's");
}

void kunit_set_static_stub(struct kunit *test, const void *real, void *stub)
{
	struct kunit_stub *item;

	for (item = test->stubs; item; item = item->next) {
		if (item->real == real) {
			item->stub = stub;
			return;
		}
	}
	item = alloc_or_die(sizeof(*item));
	item->real = real;
	item->stub = stub;
	item->next = test->stubs;
	test->stubs = item;
}

void *kunit_static_stub(struct kunit *test, const void *real)
{
	struct kunit_stub *item;

	for (item = test->stubs; item; item = item->next) {
		if (item->real == real)
			return item->stub;
	}
	return NULL;
}

static void clean_up(struct kunit *test)
{
	struct kunit_action *action;
	struct kunit_stub *stub;

	/* An action may add others. */
	while ((action = test->actions)) {
		test->actions = action->next;
		action->action(action->arg);
		free(action);
	}
	while ((stub = test->stubs)) {
		test->stubs = stub->next;
		free(stub);
	}
}

/*
 * Running
 */

static void run_case(struct kunit *test, const struct kunit_suite *suite,
		     const struct kunit_case *test_case)
{
	struct timespec begin, end;
	int ret;

	if (suite->init) {
		ret = suite->init(test);
		if (ret) {
			kunit_err(test, "failed to initialize: %d", ret);
			WRITE_ONCE(test->status, KUNIT_FAILURE);
			return;
		}
	}

	clock_gettime(CLOCK_MONOTONIC, &begin);
	test_case->run_case(test);
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (!test_case->slow && end.tv_sec - begin.tv_sec > SLOW_SECONDS)
		kunit_warn(test, "Test should be marked slow (runtime: %lds)",
			   (long)(end.tv_sec - begin.tv_sec));
}

static void run_exit(struct kunit *test, const struct kunit_suite *suite)
{
	if (suite->exit)
		suite->exit(test);
	clean_up(test);
}

static void run_protected(struct kunit *test, const struct kunit_suite *suite,
			  struct kunit_case *test_case)
{
	enum kunit_status status;

	kunit_current = test;
	if (!setjmp(test->abort))
		run_case(test, suite, test_case);
	if (!setjmp(test->abort)) {
		run_exit(test, suite);
	} else {
		kunit_err(test, "aborted during cleanup, the rest is left as it is");
		WRITE_ONCE(test->status, KUNIT_FAILURE);
	}
	kunit_current = NULL;

	/* A case with parameters is skipped if all of them are. */
	status = READ_ONCE(test->status);
	if (status == KUNIT_FAILURE || test_case->status == KUNIT_SKIPPED)
		test_case->status = status;
}

static void run_params(struct kunit *test, const struct kunit_suite *suite,
		       struct kunit_case *test_case, struct stats *stats)
{
	char description[KUNIT_PARAM_DESC_SIZE] = "";

	printf("        KTAP version 1\n        # Subtest: %s\n", test_case->name);
	test->param_value = test_case->generate_params(NULL, description);
	while (test->param_value) {
		if (!description[0])
			snprintf(description, sizeof(description), "param-%d",
				 test->param_index);
		run_protected(test, suite, test_case);
		print_result("        ", test->status, test->param_index + 1,
			     description, test->status_comment);
		stats_count(stats, test->status);

		description[0] = '\0';
		test->param_value = test_case->generate_params(test->param_value,
							       description);
		test->param_index++;
		test->status = KUNIT_SUCCESS;
		test->status_comment[0] = '\0';
		test->priv = NULL;
	}
}

static bool selected(const struct kunit_case *test_case, const char *glob)
{
	return !glob || !fnmatch(glob, test_case->name, 0);
}

static unsigned int nr_selected(const struct kunit_suite *suite, const char *glob)
{
	const struct kunit_case *test_case;
	unsigned int nr = 0;

	for (test_case = suite->test_cases; test_case->run_case; test_case++)
		nr += selected(test_case, glob);
	return nr;
}

/* Return: the result of the suite. */
static enum kunit_status run_cases(const struct kunit_suite *suite,
				   const char *glob)
{
	enum kunit_status status = KUNIT_SKIPPED;
	struct stats cases = { 0 }, totals = { 0 };
	struct kunit_case *test_case;
	unsigned int number = 0;

	printf("    KTAP version 1\n    # Subtest: %s\n    1..%u\n", suite->name,
	       nr_selected(suite, glob));

	for (test_case = suite->test_cases; test_case->run_case; test_case++) {
		struct kunit test = { .name = test_case->name };
		struct stats params = { 0 };

		if (!selected(test_case, glob))
			continue;

		test_case->status = KUNIT_SKIPPED;
		if (test_case->generate_params) {
			run_params(&test, suite, test_case, &params);
		} else {
			run_protected(&test, suite, test_case);
			stats_count(&params, test.status);
		}
		if (test_case->slow)
			printf("    # %s.speed: slow\n", test_case->name);
		print_stats("    ", test_case->name, &params);
		print_result("    ", test_case->status, ++number, test_case->name,
			     test.status_comment);

		stats_count(&cases, test_case->status);
		totals.pass += params.pass;
		totals.fail += params.fail;
		totals.skip += params.skip;
		if (test_case->status == KUNIT_FAILURE || status == KUNIT_SKIPPED)
			status = test_case->status;
	}
	print_stats("", suite->name, &cases);
	print_stats("", "Totals", &totals);
	return status;
}

static enum kunit_status run_suite(struct kunit_suite *suite, const char *glob)
{
	enum kunit_status status;
	int ret;

	if (suite->suite_init) {
		ret = suite->suite_init(suite);
		if (ret) {
			printf("    # failed to initialize (%d)\n", ret);
			return KUNIT_FAILURE;
		}
	}
	status = run_cases(suite, glob);
	if (suite->suite_exit)
		suite->suite_exit(suite);
	return status;
}

static bool suite_selected(const struct kunit_suite *suite,
			   const char *suite_glob, const char *case_glob)
{
	return !fnmatch(suite_glob, suite->name, 0) &&
	       nr_selected(suite, case_glob);
}

int main(int argc, char **argv)
{
	static const char option[] = "--filter_glob=";
	char *suite_glob = "*", *case_glob = NULL;
	struct kunit_suite *const *suite;
	enum kunit_status status;
	unsigned int nr = 0, number = 0;
	bool failure = false;

	if (argc > 2) {
		fprintf(stderr, "usage: %s [[%s]SUITE[.CASE]]\n", argv[0], option);
		return 2;
	}
	if (argc == 2) {
		suite_glob = argv[1];
		if (!strncmp(suite_glob, option, sizeof(option) - 1))
			suite_glob += sizeof(option) - 1;
		case_glob = strchr(suite_glob, '.');
		if (case_glob)
			*case_glob++ = '\0';
	}
	for (suite = __start_kunit_suites; suite < __stop_kunit_suites; suite++)
		nr += suite_selected(*suite, suite_glob, case_glob);
	if (!nr) {
		fprintf(stderr, "%s: no case matches \"%s%s%s\"\n", argv[0],
			suite_glob, case_glob ? "." : "",
			case_glob ? case_glob : "");
		return 2;
	}

	/* What was printed before a crash tells where it was. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%u\n", nr);
	for (suite = __start_kunit_suites; suite < __stop_kunit_suites; suite++) {
		if (!suite_selected(*suite, suite_glob, case_glob))
			continue;
		status = run_suite(*suite, case_glob);
		print_result("", status, ++number, (*suite)->name, "");
		failure |= status == KUNIT_FAILURE;
	}
	return failure;
}
