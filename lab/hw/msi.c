// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: a message is a write of a word, which QEMU does on a command to its qtest socket.
 * Without a socket, there are no interrupts.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hw.h"

/* Where SeaBIOS puts the configuration space of q35. */
#define ECAM		0xb0000000U
#define PCI_CAP_LIST	0x34
#define CAP_MSI		5
#define MSI_ENABLE	BIT(16)
#define MSI_64BIT	BIT(23)

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

/* A command and QEMU's answer, which is one line. The lock is held. */
static bool ask(char *answer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool ask(char *answer, size_t size, const char *format, ...)
{
	char line[64];
	va_list args;
	ssize_t got;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (!connected())
		return false;
	got = send(fd, line, n, MSG_NOSIGNAL) == n ? read(fd, answer, size - 1) : -1;
	if (got <= 0) {
		close(fd);
		fd = -1;
		return false;
	}
	answer[got] = '\0';
	return true;
}

static void send_msi(uint32_t addr, uint32_t data)
{
	char answer[64];

	ask(answer, sizeof(answer), "writel 0x%" PRIx32 " 0x%" PRIx32 "\n", addr, data);
}

void msi_send(uint32_t addr, uint32_t data)
{
	pthread_mutex_lock(&lock);
	send_msi(addr, data);
	pthread_mutex_unlock(&lock);
}

/* Of a function in configuration space; all ones where QEMU does not say. */
static uint32_t read_config(unsigned int slot, unsigned int offset)
{
	char answer[64];
	uint32_t value;

	if (!ask(answer, sizeof(answer), "readl 0x%" PRIx32 "\n",
		 ECAM + (slot << 15) + (offset & ~3U)) ||
	    sscanf(answer, "OK %" SCNx32, &value) != 1)
		return UINT32_MAX;
	return value;
}

void msi_send_for(unsigned int slot)
{
	unsigned int at, patience = 48;
	uint32_t header = 0;

	pthread_mutex_lock(&lock);
	at = read_config(slot, PCI_CAP_LIST) & 0xfc;
	while (at >= 0x40 && at < 0xfc && patience--) {
		header = read_config(slot, at);
		if ((header & 0xff) == CAP_MSI)
			break;
		at = header >> 8 & 0xfc;
	}
	if ((header & 0xff) == CAP_MSI && header & MSI_ENABLE)
		send_msi(read_config(slot, at + 4),
			 read_config(slot, at + (header & MSI_64BIT ? 12 : 8)) & 0xffff);
	pthread_mutex_unlock(&lock);
}
