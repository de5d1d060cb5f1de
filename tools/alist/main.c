// SPDX-License-Identifier: GPL-2.0-only
/*
 * alist: attach lists at work, from the command line.
 *
 * The first word that is no option is the verb; each verb parses the rest
 * itself and lives in the file of its name. Exit codes are the same for all:
 * 0 done, 1 a check failed, 2 bad usage or input.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alist.h"

const char *argp_program_version = "alist " ALIST_VERSION;

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "cost", alist_cost },
	{ "compare", alist_compare },
	{ "record", alist_record },
	{ "replay", alist_replay },
	{ "demo", alist_demo },
	{ "show", alist_show },
};

static const char doc[] =
	"What IOMMU invalidations cost, and what an attach list sends for the same work.\v"
	"Verbs:\n"
	"  cost FILE...      show what the invalidations of a log cost, and for whom\n"
	"  compare A B       compare two logs: what changed beyond noise\n"
	"  record            record a log of this machine for the other verbs\n"
	"  replay FILE...    compare what the recorded driver sent with what the list\n"
	"                    sends for the same unmaps\n"
	"  demo              run a small machine, and print every command\n"
	"  show FILE         show the attach lists of a log, as a tree or as a graph\n"
	"\n"
	"'alist VERB --help' describes a verb.\n"
	"Exit status: 0 done, 1 a check failed, 2 bad usage or input.";

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "Passed on to the verb", 0 },
	{ 0 },
};

struct arguments {
	const struct verb *verb;
	int first;		/* index of the verb's word */
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;
	size_t i;

	switch (key) {
	case 'j':
		args->json = true;
		return 0;
	case ARGP_KEY_ARG:
		for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
			if (!strcmp(arg, verbs[i].name))
				args->verb = &verbs[i];
		if (!args->verb)
			argp_error(state, "expected cost, compare, record, replay, demo or show, not '%s'", arg);
		args->first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "expected a verb: cost, compare, record, replay, demo or show");
	}
	return ARGP_ERR_UNKNOWN;
}

/*
 * If one of the first three is closed, a file would get its number, and a message would go
 * into that. What is read or written there fails instead.
 */
static void hold_standard_files(void)
{
	int fd;

	for (fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

/* Also what --help prints was written, or the exit status says so. */
static void check_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return;
	fprintf(stderr, "alist: cannot write: %s\n", strerror(errno));
	_exit(ALIST_BAD);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "VERB [ARG...]", doc, NULL, NULL, NULL,
	};
	struct arguments args = { 0 };
	static char name[32], json[] = "--json";
	int i, ret, n = 0;
	char **sub;

	hold_standard_files();
	argp_err_exit_status = ALIST_BAD;
	atexit(check_output);
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &args);

	snprintf(name, sizeof(name), "alist %s", args.verb->name);
	sub = calloc(argc + 2, sizeof(*sub));
	if (!sub) {
		alist_error("out of memory");
		return ALIST_BAD;
	}
	sub[n++] = name;
	if (args.json)
		sub[n++] = json;
	for (i = args.first + 1; i < argc; i++)
		sub[n++] = argv[i];
	ret = args.verb->run(n, sub);
	free(sub);
	return ret;
}
