// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: a message is a write of a word, which QEMU does when its qtest socket is told
 * to. QEMU need not have one: then nobody is interrupted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hw.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* guards what follows */
static char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static int fd = -1;

void msi_open(const char *path)
{
	if (strlen(path) >= sizeof(socket_path))
		die("%s: a socket's path has at most %zu characters", path,
		    sizeof(socket_path) - 1);
	strcpy(socket_path, path);
}

/* QEMU begins after us: it is connected to when it is needed. */
static bool connected(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (fd >= 0 || !socket_path[0])
		return fd >= 0;
	strcpy(to.sun_path, socket_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		fd = -1;
	}
	return fd >= 0;
}

void msi_send(uint32_t addr, uint32_t data)
{
	char line[64], answer[64];
	int n = snprintf(line, sizeof(line), "writel 0x%" PRIx32 " 0x%" PRIx32 "\n", addr, data);

	pthread_mutex_lock(&lock);
	if (connected() && (send(fd, line, n, MSG_NOSIGNAL) != n ||
			    read(fd, answer, sizeof(answer)) <= 0)) {
		close(fd);
		fd = -1;
	}
	pthread_mutex_unlock(&lock);
}
