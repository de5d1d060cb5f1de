// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a fuzz target on the files of a directory, or on files: what a corpus and what
 * libFuzzer found before need no libFuzzer for.
 *
 * Exit status: 0 all done, 2 an argument cannot be read. A target that finds something
 * aborts.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned long nr;

static void give_up(const char *path)
{
	fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
	exit(2);
}

static void run_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "rb");
	/* Of its exact size: the sanitizer sees what is read behind it. */
	uint8_t *data = malloc(size ? size : 1);

	if (!file || !data || fread(data, 1, size, file) != size)
		give_up(path);
	fclose(file);
	/* The last one is to blame. */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	nr++;
}

static void run(const char *path)
{
	struct dirent *entry;
	struct stat st;
	char *name;
	DIR *dir;

	if (stat(path, &st))
		give_up(path);
	if (!S_ISDIR(st.st_mode)) {
		run_file(path, st.st_size);
		return;
	}
	dir = opendir(path);
	if (!dir)
		give_up(path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
			give_up(path);
		run(name);
		free(name);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		run(argv[i]);
	if (!nr) {
		fprintf(stderr, "replay: expected files, or directories that have some\n");
		return 2;
	}
	printf("%lu inputs\n", nr);
	return 0;
}
