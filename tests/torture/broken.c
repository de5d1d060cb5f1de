// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults for torture-broken: the same program, linked so that some calls come here first.
 *
 * The environment's TORTURE_FAULT says which fault; the core and the drivers are
 * what they always are. Every EVERY-th call goes wrong.
 */
#include <linux/iommu-alist.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define EVERY	64

static const char *const names[] = {
	"no-drain", "no-fence", "early-free", "leak", "dropped-wait", "dropped-group",
	"dropped-atc", "forgotten-atc", "forgotten-detach", "lost-error", "needless-error",
	"kept-asking", "no-resend", "rcu-held", "blocked-early",
	"no-resume-fence",
};

enum broken {
	NO_DRAIN, NO_FENCE, EARLY_FREE, LEAK, DROPPED_WAIT, DROPPED_GROUP, DROPPED_ATC,
	FORGOTTEN_ATC, FORGOTTEN_DETACH, LOST_ERROR, NEEDLESS_ERROR, KEPT_ASKING, NO_RESEND,
	RCU_IS_HELD, BLOCKED_EARLY, NO_RESUME_FENCE, NR_BROKEN,
};

static enum broken broken;

static bool now(enum broken which)
{
	static unsigned long calls;

	return broken == which &&
	       !(__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % EVERY);
}

/* Memory that is used for something else would crash before the oracle speaks. */
static bool frees_nothing(void)
{
	return broken == NO_DRAIN || broken == FORGOTTEN_DETACH;
}

/* Too early, or never. */
static bool free_wrongly(void *object)
{
	if (broken == EARLY_FREE)
		kfree(object);
	return broken == EARLY_FREE || broken == FORGOTTEN_DETACH || now(LEAK);
}

static bool no_drain(void)
{
	return broken == NO_DRAIN;
}

static bool no_fence(void)
{
	return broken == NO_DRAIN || broken == NO_FENCE;
}

static void __attribute__((__constructor__)) choose(void)
{
	const char *name = getenv("TORTURE_FAULT");

	serial_free_fault = free_wrongly;
	serial_drain_fault = no_drain;
	serial_fence_fault = no_fence;
	torture_no_resume_fence = name && !strcmp(name, "no-resume-fence");
	for (broken = 0; broken < NR_BROKEN; broken++) {
		if (name && !strcmp(name, names[broken]))
			return;
	}
	fprintf(stderr, "torture-broken: TORTURE_FAULT: expected a fault of broken.c\n");
	exit(2);
}

void __real_iommu_attach_drain(struct iommu_attach_fence *fence);
void __wrap_iommu_attach_drain(struct iommu_attach_fence *fence);
void __real_iommu_attach_fence_wait(struct iommu_attach_fence *fence, unsigned long cookie);
void __wrap_iommu_attach_fence_wait(struct iommu_attach_fence *fence, unsigned long cookie);
void __real_iommu_attach_fence_destroy(struct iommu_attach_fence *fence);
void __wrap_iommu_attach_fence_destroy(struct iommu_attach_fence *fence);
void __real_iommu_attach_set_aside(struct iommu_attach_endpoint *endpoint);
void __wrap_iommu_attach_set_aside(struct iommu_attach_endpoint *endpoint);
void __real_iommu_attach_destroy(struct iommu_attach_list *alist);
void __wrap_iommu_attach_destroy(struct iommu_attach_list *alist);
void __real_kfree(const void *object);
void __wrap_kfree(const void *object);
int __real_iommu_attach_enable_atc(struct iommu_attach_elm *elm);
int __wrap_iommu_attach_enable_atc(struct iommu_attach_elm *elm);
int __real_iommu_attach_del(struct iommu_attach_list *alist, struct iommu_attach_elm *elm);
int __wrap_iommu_attach_del(struct iommu_attach_list *alist, struct iommu_attach_elm *elm);
int __real_iommu_attach_flush(struct iommu_attach_list *alist,
			      const struct iommu_attach_flush_ops *ops, void *arg);
int __wrap_iommu_attach_flush(struct iommu_attach_list *alist,
			      const struct iommu_attach_flush_ops *ops, void *arg);

void __wrap_iommu_attach_drain(struct iommu_attach_fence *fence)
{
	if (!no_drain())
		__real_iommu_attach_drain(fence);
}

/* Those of the drivers; of the list, the drivers' drains are above. */
void __wrap_iommu_attach_fence_wait(struct iommu_attach_fence *fence, unsigned long cookie)
{
	if (!no_fence())
		__real_iommu_attach_fence_wait(fence, cookie);
}

void __wrap_iommu_attach_fence_destroy(struct iommu_attach_fence *fence)
{
	if (!frees_nothing())
		__real_iommu_attach_fence_destroy(fence);
}

/* Flushes may succeed at once, though the device goes on. Or it stays where it was. */
void __wrap_iommu_attach_set_aside(struct iommu_attach_endpoint *endpoint)
{
	if (broken != KEPT_ASKING)
		__real_iommu_attach_set_aside(endpoint);
	if (broken == BLOCKED_EARLY)
		iommu_attach_blocked(endpoint);
}

void __wrap_kfree(const void *object)
{
	if (!frees_nothing())
		__real_kfree(object);
}

void __wrap_iommu_attach_destroy(struct iommu_attach_list *alist)
{
	if (!frees_nothing())
		__real_iommu_attach_destroy(alist);
}

int __wrap_iommu_attach_enable_atc(struct iommu_attach_elm *elm)
{
	return now(FORGOTTEN_ATC) ? 0 : __real_iommu_attach_enable_atc(elm);
}

/* It stays on the list until the next time. */
int __wrap_iommu_attach_del(struct iommu_attach_list *alist, struct iommu_attach_elm *elm)
{
	return now(FORGOTTEN_DETACH) ? 0 : __real_iommu_attach_del(alist, elm);
}

/* A flush in between. */
struct between {
	const struct iommu_attach_flush_ops *ops;
	void *arg;
};

static void between_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct between *between = arg;

	if (!now(DROPPED_GROUP))
		between->ops->iotlb(group, between->arg);
}

static void between_atc(const struct iommu_attach_group *group, u64 value, void *arg)
{
	struct between *between = arg;

	if (!now(DROPPED_ATC))
		between->ops->atc(group, value, between->arg);
}

static u64 between_submit(struct iommu_device *iommu_device, void *arg)
{
	struct between *between = arg;

	return between->ops->submit(iommu_device, between->arg);
}

static int between_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct between *between = arg;
	int error;

	if (now(DROPPED_WAIT))
		return 0;
	if (broken == RCU_IS_HELD)
		rcu_read_lock();
	do {
		error = between->ops->wait(iommu_device, cookie, between->arg);
	} while (broken == RCU_IS_HELD && error == -EINPROGRESS);
	if (broken == RCU_IS_HELD)
		rcu_read_unlock();
	/* As if it had not been aborted. */
	return broken == NO_RESEND && error == -EAGAIN ? 0 : error;
}

static void between_silent(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	struct between *between = arg;

	between->ops->silent(iommu_device, atc, between->arg);
}

int __wrap_iommu_attach_flush(struct iommu_attach_list *alist,
			      const struct iommu_attach_flush_ops *ops, void *arg)
{
	const struct iommu_attach_flush_ops changed = {
		.iotlb = between_iotlb,
		.atc = ops->atc ? between_atc : NULL,
		.submit = between_submit,
		.wait = between_wait,
		.silent = ops->silent ? between_silent : NULL,
		.wait_before_nest = ops->wait_before_nest,
		.wait_before_atc = ops->wait_before_atc,
	};
	struct between between = { ops, arg };
	int error;

	error = __real_iommu_attach_flush(alist, &changed, &between);
	if (broken == LOST_ERROR)
		return 0;
	return !error && now(NEEDLESS_ERROR) ? -ETIMEDOUT : error;
}
