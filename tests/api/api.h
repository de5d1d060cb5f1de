/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs have in common that use the installed library in unusual ways. */
#ifndef API_H
#define API_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <iommu-alist.h>

#define EXPECT(condition)						\
	do {								\
		if (!(condition)) {					\
			printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);					\
		}							\
	} while (0)

struct iommu_device {
	struct iommu_attach_fence fence;
	int sent;
};

static inline void send_iotlb(const struct iommu_attach_group *group, void *arg)
{
	(void)arg;
	__atomic_fetch_add(&group->iommu_device->sent, 1, __ATOMIC_RELAXED);
}

static inline void send_atc(const struct iommu_attach_group *group, uint64_t atc, void *arg)
{
	(void)atc;
	(void)arg;
	__atomic_fetch_add(&group->iommu_device->sent, 100, __ATOMIC_RELAXED);
}

static inline uint64_t submit(struct iommu_device *iommu, void *arg)
{
	(void)iommu;
	(void)arg;
	return 0;
}

static inline int wait_done(struct iommu_device *iommu, uint64_t cookie, void *arg)
{
	(void)iommu;
	(void)cookie;
	(void)arg;
	return 0;
}

static const struct iommu_attach_flush_ops ops = {
	.iotlb = send_iotlb, .atc = send_atc, .submit = submit, .wait = wait_done,
};

/* A flush whose hardware is not done until stop is set. */
static int waiting, stop;

static inline int wait_long(struct iommu_device *iommu, uint64_t cookie, void *arg)
{
	(void)iommu;
	(void)cookie;
	(void)arg;
	__atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
	usleep(100);
	return __atomic_load_n(&stop, __ATOMIC_ACQUIRE) ? 0 : -EINPROGRESS;
}

/* For a thread. */
static inline void *flush_long(void *list)
{
	struct iommu_attach_flush_ops long_ops = ops;

	long_ops.wait = wait_long;
	EXPECT(!iommu_attach_flush(list, &long_ops, NULL));
	return list;
}

static inline struct iommu_attach_elm *new_elm(struct iommu_device *iommu, uint64_t tag)
{
	struct iommu_attach_elm *elm = calloc(1, sizeof(*elm));

	EXPECT(elm);
	elm->iommu_device = iommu;
	elm->fence = &iommu->fence;
	elm->tag = tag;
	return elm;
}

static inline double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

/* How often the library has spoken, and what it said last. */
static int messages;
static char last_message[256];

static inline void count_message(const char *text, void *arg)
{
	(void)arg;
	__atomic_fetch_add(&messages, 1, __ATOMIC_RELAXED);
	snprintf(last_message, sizeof(last_message), "%s", text);
}

/* Since the last one, that many; the last one by the call, about what. */
static inline void expect_message(int line, int nr, const char *call, const char *rule)
{
	char head[128];

	snprintf(head, sizeof(head), "libiommu-alist: %s(): ", call ? call : "");
	if (messages != nr || (nr && (strncmp(last_message, head, strlen(head)) ||
				      !strstr(last_message, rule)))) {
		printf("%d: %d messages, the last one: %s\n", line, messages, last_message);
		exit(1);
	}
	messages = 0;
}

#define EXPECT_MESSAGE(call, rule)	expect_message(__LINE__, 1, call, rule)
#define EXPECT_SILENCE()		expect_message(__LINE__, 0, NULL, NULL)

#endif
