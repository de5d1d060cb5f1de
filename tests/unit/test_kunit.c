// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit in user space: does what fails come out as failed?
 *
 * A small suite with one case for each way to end is run as a program would run it,
 * and what it printed is compared with what the kernel prints.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#define CONFIG_KUNIT 1
int kunit_main(int argc, char **argv);
#define main kunit_main
#include "kunit.c"
#undef main

static char order[16];		/* what happened, in turn */

static void happened(char what)
{
	size_t length = strlen(order);

	assert_true(length + 1 < sizeof(order));
	order[length] = what;
}

static int real(int x)
{
	KUNIT_STATIC_STUB_REDIRECT(real, x);
	return x;
}

static int stub(int x)
{
	return -x;
}

static void action_a(void *arg)
{
	happened(*(char *)arg);
}

static void passes(struct kunit *test)
{
	u32 three = 3;
	s64 minus = -1;

	KUNIT_EXPECT_EQ(test, three, 3);
	KUNIT_EXPECT_LT(test, minus, three);
	KUNIT_EXPECT_STREQ(test, "a", "a");
	KUNIT_ASSERT_NOT_NULL(test, test);
}

static void expectation_fails(struct kunit *test)
{
	u64 most = ~0ULL;

	KUNIT_EXPECT_EQ_MSG(test, most, 1, "seed %d", 7);
	happened('e');
}

static void assertion_fails(struct kunit *test)
{
	kunit_add_action(test, action_a, "1");
	kunit_add_action(test, action_a, "2");
	kunit_kzalloc(test, 100, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, order[0] == 'x');
	happened('!');
}

static void skips(struct kunit *test)
{
	kunit_skip(test, "no %s", "reason");
}

static void fails_elsewhere(struct kunit *test)
{
	KUNIT_EXPECT_PTR_EQ(test, kunit_get_current_test(), test);
	kunit_fail_current_test("from %s", "afar");
}

static void stubs(struct kunit *test)
{
	kunit_activate_static_stub(test, real, stub);
	KUNIT_EXPECT_EQ(test, real(1), -1);
	kunit_deactivate_static_stub(test, real);
	KUNIT_EXPECT_EQ(test, real(1), 1);
	kunit_activate_static_stub(test, real, stub);
}

static void stub_is_gone(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, real(1), 1);
}

static const int numbers[] = { 1, 2, 3 };

static void describe_number(const int *number, char *text)
{
	if (*number != 1)
		snprintf(text, KUNIT_PARAM_DESC_SIZE, "n=%d", *number);
}

KUNIT_ARRAY_PARAM(number, numbers, describe_number);

static void fails_for_two(struct kunit *test)
{
	const int *number = test->param_value;

	if (*number == 3)
		kunit_skip(test, "three");
	KUNIT_EXPECT_NE(test, *number, 2);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(passes),
	KUNIT_CASE(expectation_fails),
	KUNIT_CASE(assertion_fails),
	KUNIT_CASE(skips),
	KUNIT_CASE(fails_elsewhere),
	KUNIT_CASE(stubs),
	KUNIT_CASE_SLOW(stub_is_gone),
	KUNIT_CASE_PARAM(fails_for_two, number_gen_params),
	{}
};

static struct kunit_suite suite = { .name = "example", .test_cases = cases };

static int init_fails(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, test->name);
	return -EINVAL;
}

static void exit_is_called(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, test->name);
	happened('x');
}

static void never_runs(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, test->name);
	happened('!');
}

static struct kunit_case no_cases[] = { KUNIT_CASE(never_runs), {} };

static struct kunit_suite no_suite = {
	.name = "no-init",
	.init = init_fails,
	.exit = exit_is_called,
	.test_cases = no_cases,
};

kunit_test_suites(&suite, &no_suite);

/* Return: what was printed; to be freed. */
static char *run(char *glob, int *status)
{
	char *argv[] = { "suite", glob, NULL };
	int out = dup(STDOUT_FILENO);
	FILE *file = tmpfile();
	char *text;
	long size;

	assert_non_null(file);
	memset(order, 0, sizeof(order));
	fflush(stdout);
	assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
	*status = kunit_main(glob ? 2 : 1, argv);
	fflush(stdout);
	assert_true(dup2(out, STDOUT_FILENO) >= 0);
	close(out);

	size = lseek(fileno(file), 0, SEEK_END);
	text = calloc(1, size + 1);
	assert_non_null(text);
	assert_int_equal(pread(fileno(file), text, size, 0), size);
	fclose(file);
	return text;
}

/* Without the lines that say why something failed. */
static char *results(const char *text)
{
	char *kept = calloc(1, strlen(text) + 1), *line, *copy = strdup(text);
	const char *word;

	assert_non_null(kept);
	assert_non_null(copy);
	for (line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
		word = line + strspn(line, " ");
		if (strncmp(word, "KTAP", 4) && strncmp(word, "1..", 3) &&
		    strncmp(word, "ok ", 3) && strncmp(word, "not ok ", 7) &&
		    !(*word == '#' && (strstr(word, "Subtest") ||
				       strstr(word, "pass:") ||
				       strstr(word, "speed:"))))
			continue;
		strcat(strcat(kept, line), "\n");
	}
	free(copy);
	return kept;
}

static void every_end_of_a_case_is_told(void **state)
{
	int status;
	char *text = run(NULL, &status), *kept = results(text);

	(void)state;
	assert_int_equal(status, 1);
	assert_string_equal(kept,
			    "KTAP version 1\n"
			    "1..2\n"
			    "    KTAP version 1\n"
			    "    # Subtest: example\n"
			    "    1..8\n"
			    "    ok 1 passes\n"
			    "    not ok 2 expectation_fails\n"
			    "    not ok 3 assertion_fails\n"
			    "    ok 4 skips # SKIP no reason\n"
			    "    not ok 5 fails_elsewhere\n"
			    "    ok 6 stubs\n"
			    "    # stub_is_gone.speed: slow\n"
			    "    ok 7 stub_is_gone\n"
			    "        KTAP version 1\n"
			    "        # Subtest: fails_for_two\n"
			    "        ok 1 param-0\n"
			    "        not ok 2 n=2\n"
			    "        ok 3 n=3 # SKIP three\n"
			    "    # fails_for_two: pass:1 fail:1 skip:1 total:3\n"
			    "    not ok 8 fails_for_two\n"
			    "# example: pass:3 fail:4 skip:1 total:8\n"
			    "# Totals: pass:4 fail:4 skip:2 total:10\n"
			    "not ok 1 example\n"
			    "    KTAP version 1\n"
			    "    # Subtest: no-init\n"
			    "    1..1\n"
			    "    not ok 1 never_runs\n"
			    "not ok 2 no-init\n");

	/* An expectation goes on, an assertion does not; undone last first. */
	assert_string_equal(order, "e21x");
	assert_non_null(strstr(text, "    # expectation_fails: EXPECTATION FAILED at "));
	assert_non_null(strstr(text, "    Expected most == 1, but\n"));
	assert_non_null(strstr(text, "    seed 7\n"));
	assert_non_null(strstr(text, "    # assertion_fails: ASSERTION FAILED at "));
	assert_non_null(strstr(text, "    from afar\n"));
	free(kept);
	free(text);
}

static void glob_selects(void **state)
{
	char glob[] = "--filter_glob=exam*.stub*";
	int status;
	char *text = run(glob, &status), *kept = results(text);

	(void)state;
	assert_int_equal(status, 0);
	assert_string_equal(kept,
			    "KTAP version 1\n"
			    "1..1\n"
			    "    KTAP version 1\n"
			    "    # Subtest: example\n"
			    "    1..2\n"
			    "    ok 1 stubs\n"
			    "    # stub_is_gone.speed: slow\n"
			    "    ok 2 stub_is_gone\n"
			    "# example: pass:2 fail:0 skip:0 total:2\n"
			    "# Totals: pass:2 fail:0 skip:0 total:2\n"
			    "ok 1 example\n");
	free(kept);
	free(text);
}

static void glob_without_a_match_is_an_error(void **state)
{
	char glob[] = "example.nothing";
	int status;
	char *text = run(glob, &status);

	(void)state;
	assert_int_equal(status, 2);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_of_a_case_is_told),
		cmocka_unit_test(glob_selects),
		cmocka_unit_test(glob_without_a_match_is_an_error),
	};

	return cmocka_run_group_tests_name("kunit", tests, NULL, NULL);
}
