// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layouts of the bench against what their endpoints ask for
 *
 * A bench of layouts that send different commands compares nothing. Each layout goes
 * through random attaches and detaches, and after each of them its walk and its flush
 * are held against the oracle of set_verify(), which ends the process. That it does is
 * seen with a layout that loses a command, in a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/slab.h>

#include "bench/set.h"

#define SEED	12345u

static void change_and_verify(const struct layout *layout, struct shape shape)
{
	struct scene *scene = scene_new(shape, 2, 3, SEED);
	struct set *set = set_new(layout, scene);
	u32 seed = SEED, nr = 2 * scene->n, step, i;
	void *gone;

	for (step = 0; step < 300; step++) {
		i = rnd(&seed) % nr;
		if (set->attachments[i]) {
			gone = set_detach(set, i);
			synchronize_rcu();
			kfree(gone);
		} else {
			set_attach(set, i);
		}
		set_verify(set, i / scene->n);
	}
	set_free(set);
	scene_free(scene);
}

static void all_layouts_send_what_endpoints_ask_for(void **state)
{
	static const struct shape shapes[] = {
		{ 0, 1, ATC_NONE, false }, { 1, 1, ATC_ALL, false },
		{ 20, 1, ATC_HALF, false }, { 20, 4, ATC_ALL, false },
		{ 20, 8, ATC_NONE, false }, { 20, 4, ATC_ALL, true },
	};
	u32 i, j;

	(void)state;
	print_message("seed %u\n", SEED);
	for (i = 0; layouts[i]; i++) {
		for (j = 0; j < sizeof(shapes) / sizeof(*shapes); j++) {
			if (set_possible(layouts[i], shapes[j]))
				change_and_verify(layouts[i], shapes[j]);
		}
	}
}

static void lossy_walk(void *domain, struct sink *sink)
{
	layout_vtd_tas.walk(domain, sink);
	if (sink->nr > 3)
		sink->nr--;
}

static void twice_walk(void *domain, struct sink *sink)
{
	layout_vtd_tas.walk(domain, sink);
	if (sink->nr)
		emit(sink, sink->ring[0].what & OP_MASK,
		     (void *)(uintptr_t)(sink->ring[0].what & ~(u64)OP_MASK),
		     sink->ring[0].who);
}

/* Without what the parent has registered for its own end. */
static void leave(void)
{
	_exit(1);
}

/* Return: whether set_verify() ended the process. */
static bool is_caught(void (*walk)(void *domain, struct sink *sink))
{
	const struct shape shape = { 8, 4, ATC_ALL, false };
	struct layout faulty = layout_vtd_tas;
	struct scene *scene;
	struct set *set;
	int status;
	pid_t pid;

	faulty.walk = walk;
	scene = scene_new(shape, 1, 0, SEED);
	set = set_new(&faulty, scene);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (!freopen("/dev/null", "w", stderr) || atexit(leave))
			_exit(0);
		set_verify(set, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	set_free(set);
	scene_free(scene);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static void a_layout_that_loses_a_command_is_caught(void **state)
{
	(void)state;
	assert_true(is_caught(lossy_walk));
	assert_false(is_caught(layout_vtd_tas.walk));
}

static void a_layout_that_sends_twice_is_caught(void **state)
{
	(void)state;
	assert_true(is_caught(twice_walk));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_layouts_send_what_endpoints_ask_for),
		cmocka_unit_test(a_layout_that_loses_a_command_is_caught),
		cmocka_unit_test(a_layout_that_sends_twice_is_caught),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
