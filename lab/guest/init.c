// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of a lab machine. It mounts what the workloads look at, runs
 * the command lines of /run.list one after the other, and powers the machine off.
 *
 * Output leaves the machine through the serial port that LAB_OUTPUT= on the kernel's command
 * line names: the kernel writes to the console at any time, even in the middle of a line.
 * Machines with one port have no LAB_OUTPUT=, and use the console. A line "LAB run COMMAND" or
 * "LAB exit STATUS COMMAND" stands around the output of each command; "LAB done" stands at the
 * end of a machine that has run all commands. A command line is words and blanks, nothing more.
 * /dev/port is the serial port that is a PCI function, if there is one.
 *
 * "insmod FILE [PARAMETERS]", "sysctl FILE VALUE" and "mark VALUE" are done here: a program
 * for each would be longer. "/init COMMAND" does the same if a program is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "lab.h"

#define MAX_WORDS	32

static const struct {
	const char *type, *where;
} mounts[] = {
	{ "proc", "/proc" },
	{ "sysfs", "/sys" },
	{ "devtmpfs", "/dev" },
	{ "tmpfs", "/tmp" },
	{ "debugfs", "/sys/kernel/debug" },
	{ "tracefs", "/sys/kernel/tracing" },
};

static void open_output(void)
{
	const char *path = getenv("LAB_OUTPUT");
	int fd;

	if (!path)
		return;
	fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* Which ttyS that is depends on what the kernel finds first. */
static void link_port(void)
{
	char path[32], where[PATH_MAX];

	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/sys/class/tty/ttyS%d", i);
		if (!realpath(path, where) || !strstr(where, "/pci"))
			continue;
		if (symlink(strrchr(path, '/') + 1, "/dev/port"))
			printf("LAB no /dev/port: %s\n", strerror(errno));
		return;
	}
}

static int insmod(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0)) {
		printf("insmod %s %s: %s\n", path, parameters, strerror(errno));
		ret = 1;
	} else {
		ret = 0;
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

static int run(char **words)
{
	int status;
	pid_t pid;

	if (!strcmp(words[0], "insmod") && words[1]) {
		char parameters[200] = "";

		for (int i = 2; words[i]; i++) {
			size_t used = strlen(parameters);

			snprintf(parameters + used, sizeof(parameters) - used, "%s ", words[i]);
		}
		return insmod(words[1], parameters);
	}
	if (!strcmp(words[0], "sysctl") && words[1] && words[2]) {
		write_file(words[1], words[2]);
		return 0;
	}
	if (!strcmp(words[0], "mark") && words[1]) {
		count_mark(number(words[1]));
		return 0;
	}

	pid = fork();
	if (!pid) {
		execv(words[0], words);
		printf("%s: %s\n", words[0], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	char line[1024], *words[MAX_WORDS + 1];
	FILE *list;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getpid() != 1)
		return argc > 1 ? run(argv + 1) : 2;
	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].where, 0755);
		/* Not every kernel of the lab has every one of them. */
		if (mount("none", mounts[i].where, mounts[i].type, 0, NULL))
			printf("LAB no %s\n", mounts[i].type);
	}

	open_output();
	link_port();
	list = fopen("/run.list", "re");
	if (!list)
		printf("LAB no run.list\n");
	while (list && fgets(line, sizeof(line), list)) {
		char command[sizeof(line)];
		int n = 0, status;

		line[strcspn(line, "\n")] = '\0';
		strcpy(command, line);
		for (words[n] = strtok(line, " "); words[n] && n < MAX_WORDS;)
			words[++n] = strtok(NULL, " ");
		if (!n)
			continue;
		printf("LAB run %s\n", command);
		status = run(words);
		printf("LAB exit %d %s\n", status, command);
	}
	printf("LAB done\n");
	tcdrain(STDOUT_FILENO);
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
