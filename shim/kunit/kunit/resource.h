/* SPDX-License-Identifier: GPL-2.0-only */
/* What is undone when a case ends, last first. */
#ifndef _KUNIT_RESOURCE_H
#define _KUNIT_RESOURCE_H

struct kunit;

typedef void (kunit_action_t)(void *arg);

int kunit_add_action(struct kunit *test, kunit_action_t *action, void *arg);
int kunit_add_action_or_reset(struct kunit *test, kunit_action_t *action,
			      void *arg);
/* The newest of those that are equal; nothing if there is none. */
void kunit_remove_action(struct kunit *test, kunit_action_t *action, void *arg);
void kunit_release_action(struct kunit *test, kunit_action_t *action, void *arg);

#define KUNIT_DEFINE_ACTION_WRAPPER(wrapper, function, type)		\
	static void wrapper(void *arg)					\
	{								\
		function((type)arg);					\
	}

#endif
