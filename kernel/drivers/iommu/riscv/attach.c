// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attachments of a domain, and the flush of what caches its translations
 *
 * A domain has one list, domain->alist, with a struct riscv_iommu_attachment for each
 * device. Its tag is the domain's PSCID, the same on all IOMMUs: one group, and so one
 * IOTINVAL.VMA, or a few, and one IOFENCE.C, for each IOMMU that a device of the domain
 * is behind. The driver enables no ATS, so no attachment uses an ATC. Blocking and
 * identity domains have no list: nothing of them is cached under a PSCID.
 *
 *   attach   riscv_iommu_link(), then the device context is written
 *   detach   riscv_iommu_iodir_update() clears TC.V and invalidates what is cached under
 *            the old PSCID, then riscv_iommu_unlink()
 *
 * So a PSCID is clean on an IOMMU when its last attachment there is deleted, and needs no
 * flush of its own before it is reused. If a detach has failed, the domain is kept: its PSCID
 * is not reused, no table of it is freed, and each attach to it flushes the PSCID.
 *
 * A flush queues to all IOMMUs before it waits for the first one. IOFENCE.C has completed
 * when the head of the command queue has passed it (IOMMU specification 1.0, 3.1.2): its
 * index is all that a wait has to know, and nothing is held from queuing to waiting.
 */
#include <kunit/visibility.h>
#include <linux/device.h>
#include <linux/iommu-alist.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "iommu-bits.h"
#include "iommu.h"

/* Looks at the head of the queue before a flush turns to the next IOMMU. */
#define FLUSH_POLLS		16

/* As for all other commands of the driver. A variable for KUnit. */
VISIBLE_IF_KUNIT unsigned int riscv_iommu_flush_timeout_s = 90;

/*
 * A cookie of flush_submit() is the index of the fence. With this, there was no room for the
 * commands or the fence, and the index is that of whatever was queued last.
 */
#define FLUSH_FULL		BIT_ULL(63)

struct riscv_iommu_attachment {
	struct iommu_attach_elm elm;
	struct iommu_attach_list *alist;
};

/* One flush, on the stack. */
struct riscv_iommu_flush {
	const struct riscv_iommu_tlbi *tlbi;
	bool full;		/* there was no room, since the last submission */
	bool crowded;		/* a submission found no room: send little */
	ktime_t deadline;	/* 0: no wait has been longer than a moment */
};

static struct riscv_iommu_device *to_iommu(struct iommu_device *iommu_device)
{
	return container_of(iommu_device, struct riscv_iommu_device, iommu);
}

/**
 * riscv_iommu_link() - Put a device on the list of a domain
 * @alist: The list.
 * @pscid: The PSCID of the domain.
 * @dev: The device, whose context does not name the domain yet.
 * @iommu: The IOMMU that it is behind.
 *
 * Context: Process context. Sleeps.
 * Return: The attachment, or an error pointer.
 */
struct riscv_iommu_attachment *riscv_iommu_link(struct iommu_attach_list *alist, int pscid,
						struct device *dev,
						struct riscv_iommu_device *iommu)
{
	struct riscv_iommu_attachment *attachment;
	int ret;

	attachment = kzalloc_obj(*attachment);
	if (!attachment)
		return ERR_PTR(-ENOMEM);
	attachment->alist = alist;
	attachment->elm.iommu_device = &iommu->iommu;
	attachment->elm.fence = &iommu->fence;
	attachment->elm.tag = pscid;
	attachment->elm.pasid = IOMMU_NO_PASID;
	iommu_attach_elm_set_device(&attachment->elm, dev);

	ret = iommu_attach_add(alist, &attachment->elm);
	if (ret < 0) {
		kfree(attachment);
		return ERR_PTR(ret);
	}
	return attachment;
}

/**
 * riscv_iommu_unlink() - Take a device off the list of its domain
 * @attachment: What riscv_iommu_link() returned, or NULL. The context of the device does
 *	not name the domain any more.
 *
 * Context: Process context.
 */
void riscv_iommu_unlink(struct riscv_iommu_attachment *attachment)
{
	if (attachment)
		iommu_attach_del_free(attachment->alist, attachment, elm);
}

static void fence_exit(void *fence)
{
	iommu_attach_fence_destroy(fence);
}

/**
 * riscv_iommu_fence_init() - Initialise the fence of an IOMMU
 * @iommu: The IOMMU. The fence goes with its device.
 *
 * Context: Process context. Sleeps.
 * Return: 0 or -ENOMEM.
 */
int riscv_iommu_fence_init(struct riscv_iommu_device *iommu)
{
	int ret = iommu_attach_fence_init(&iommu->fence);

	if (ret)
		return ret;
	return devm_add_action_or_reset(iommu->dev, fence_exit, &iommu->fence);
}

/*
 * If CPUs together send more than the queue holds, all of them may find it full, over and over. So
 * a flush that has found it full sends little from then on: one command, and the fence.
 */
static void flush_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct riscv_iommu_device *iommu = to_iommu(group->iommu_device);
	struct riscv_iommu_flush *flush = arg;
	struct riscv_iommu_command cmd;
	int ret;

	if (unlikely(flush->crowded)) {
		riscv_iommu_cmd_inval_vma(&cmd);
		riscv_iommu_cmd_inval_set_pscid(&cmd, group->tag);
		ret = riscv_iommu_queue_send(&iommu->cmdq, &cmd, NULL, false);
	} else {
		ret = riscv_iommu_iotlb_inval_iommu(iommu, group->tag, flush->tlbi);
	}
	if (ret)
		flush->full = true;
}

static u64 flush_submit(struct iommu_device *iommu_device, void *arg)
{
	struct riscv_iommu_device *iommu = to_iommu(iommu_device);
	struct riscv_iommu_flush *flush = arg;
	struct riscv_iommu_command cmd;
	bool full = flush->full;
	unsigned int index;

	flush->full = false;
	riscv_iommu_cmd_iofence(&cmd);
	if (full || riscv_iommu_queue_send(&iommu->cmdq, &cmd, &index, false))
		return FLUSH_FULL | (u32)(atomic_read(&iommu->cmdq.prod) - 1);
	return index;
}

static bool flush_passed(struct riscv_iommu_device *iommu, u32 index, unsigned int *cons)
{
	*cons = riscv_iommu_queue_cons(&iommu->cmdq);
	return (int)(*cons - index) > 0;
}

static int flush_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct riscv_iommu_device *iommu = to_iommu(iommu_device);
	struct riscv_iommu_flush *flush = arg;
	const u32 index = cookie;
	unsigned int cons;
	bool stuck;
	int i;

	for (i = 0; i < FLUSH_POLLS; i++) {
		if (flush_passed(iommu, index, &cons))
			break;
		cpu_relax();
	}
	if (i == FLUSH_POLLS) {
		if (!flush->deadline)
			flush->deadline = ktime_add_ms(ktime_get(),
						       riscv_iommu_flush_timeout_s * MSEC_PER_SEC);
		stuck = riscv_iommu_queue_stopped(&iommu->cmdq, cons) ||
			ktime_after(ktime_get(), flush->deadline);
		/* The queue may have stopped behind it. */
		if (!flush_passed(iommu, index, &cons)) {
			if (!stuck)
				return -EINPROGRESS;
			dev_err_ratelimited(iommu->dev,
					    "IOTLB not invalidated, entries may be stale\n");
			return -EIO;
		}
	}
	if (likely(!(cookie & FLUSH_FULL)))
		return 0;
	/* There is room now, and the IOMMU goes on. */
	flush->deadline = 0;
	flush->crowded = true;
	return -EBUSY;
}

static const struct iommu_attach_flush_ops riscv_iommu_flush_ops = {
	.iotlb = flush_iotlb,
	.submit = flush_submit,
	.wait = flush_wait,
};

/**
 * riscv_iommu_flush() - Invalidate what IOTLBs have of a domain
 * @alist: The list of the domain.
 * @tlbi: The range.
 *
 * Context: Any context.
 * Return: 0; -EIO if an IOMMU did not execute a command: it may go on using what was in
 * the page table.
 */
int riscv_iommu_flush(struct iommu_attach_list *alist, const struct riscv_iommu_tlbi *tlbi)
{
	struct riscv_iommu_flush flush = { .tlbi = tlbi };

	return iommu_attach_flush_inline(alist, &riscv_iommu_flush_ops, &flush);
}
