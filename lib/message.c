// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the library says about misuse, where it says it, and whether the program goes on
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"

#define IOMMU_ALIST_CORE
#define uint64_t u64
#pragma GCC visibility push(default)
#include "iommu-alist.h"
#pragma GCC visibility pop

bool shim_checks;		/* the expensive ones */

static bool fatal;
static void (*hook)(const char *text, void *arg);
static void *hook_arg;
/* Guards the hook, which is called without: it may take locks of the program. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void iommu_attach_set_message(void (*message)(const char *text, void *arg), void *arg)
{
	sigset_t old;

	lib_lock(&lock, &old);
	hook = message;
	hook_arg = arg;
	lib_unlock(&lock, &old);
}

void iommu_attach_set_debug(unsigned int flags)
{
	if (WARN_ONCE(flags & ~(IOMMU_ATTACH_DEBUG_CHECK | IOMMU_ATTACH_DEBUG_FATAL),
		      "a flag is not known"))
		return;
	WRITE_ONCE(shim_checks, flags & IOMMU_ATTACH_DEBUG_CHECK);
	WRITE_ONCE(fatal, flags & IOMMU_ATTACH_DEBUG_FATAL);
}

static void tell(const char *call, const char *rule)
{
	void (*message)(const char *text, void *arg);
	char text[256];
	sigset_t old;
	void *arg;
	int cancel;

	/* The caller may have the lock of a list, and output is a cancellation point. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	snprintf(text, sizeof(text), "libiommu-alist: %s(): %s", call, rule);
	lib_lock(&lock, &old);
	message = hook;
	arg = hook_arg;
	lib_unlock(&lock, &old);
	if (message)
		message(text, arg);
	else
		fprintf(stderr, "%s\n", text);
	pthread_setcancelstate(cancel, NULL);
	if (READ_ONCE(fatal))
		abort();
}

void lib_message(const char *rule)
{
	tell(lib_current_call(), rule);
}

/* Takes the place of the shim's own. The core's text begins and ends as in a kernel log. */
void shim_warn_tell(const struct shim_warn_site *site)
{
	static const char prefix[] = "attach list: ";
	const char *what = site->what;
	char rule[128];

	if (!strncmp(what, prefix, strlen(prefix)))
		what += strlen(prefix);
	snprintf(rule, sizeof(rule), "%.*s", (int)strcspn(what, "\n"), what);
	tell(lib_current_call() ?: site->func, rule);
}

/* A hook gets all of them; standard error each once, or all with the checks on. */
bool shim_warn_again(void)
{
	return READ_ONCE(shim_checks) || READ_ONCE(hook);
}

/* Ahead of the constructors of a program that this is linked into. */
__attribute__((constructor(101)))
static void begin(void)
{
	const char *debug = secure_getenv("IOMMU_ALIST_DEBUG");

	if (!debug || !*debug || !strcmp(debug, "0"))
		return;
	iommu_attach_set_debug(IOMMU_ATTACH_DEBUG_CHECK |
			       (strcmp(debug, "fatal") ? 0 : IOMMU_ATTACH_DEBUG_FATAL));
}
