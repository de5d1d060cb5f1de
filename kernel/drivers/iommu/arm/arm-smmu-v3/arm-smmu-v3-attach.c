// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attachments of a domain, and the flush of what caches its translations
 *
 * A domain has one list, domain->alist. A master has an attachment, struct
 * arm_smmu_master_domain, for each SSID and the domain that it is attached to; an attachment to
 * a nested domain is on the parent's list, as the guest flushes stage 1 itself. Sections are
 * those of the SMMUv3 architecture specification, IHI 0070.
 *
 *   attached         on the list of   kind   tag    commands for a range   for everything
 *   S1, SVA          the domain       own    ASID   NH_VA or EL2_VA        NH_ASID or EL2_ASID
 *   S2               the domain       own    VMID   S2_IPA                 S12_VMALL
 *   nested           its parent       nest   VMID   S2_IPA, NH_ALL         S12_VMALL
 *
 * The VMID of a nested domain is that of its vSMMU, for as long as there is one: the guest's own
 * invalidations have it, too.
 *
 * A change of the parent drops the S2 entries of the range and, after a CMD_SYNC, all stage 1
 * entries of the VMID, since the parent does not know which of them depend on the range.
 *
 * With ATS, an attachment has one list element per stream of the master, otherwise one. ATC_INVs
 * are sent after the CMD_SYNC of the TLBIs has completed. Otherwise the device could refill its
 * ATC from entries that are about to be invalidated: commands between two CMD_SYNCs are not
 * ordered (4.7.3).
 *
 *   attach   add to the list, for stage 2 with the VMID that the domain has on this SMMU, or a
 *            new one; then write the STE or CD, then ATS on
 *   detach   write the STE or CD, invalidate the ATC, then delete; the last one of a group
 *            flushes the tag
 *   ATS off  first in the device, then write the STE, so that a device that is in use sees no
 *            UR; then as for a detach, and fence behind arm_smmu_asid_lock
 *
 * So an ASID or VMID that is on no list is clean, and needs no flush before it is reused. The
 * domain frees a VMID at that point. If the SMMU has not executed one of the commands, it may still
 * use what the device had: page table, ASID and VMIDs of the domain are never freed.
 *
 * While ATS stays enabled, a late command for a detached device is harmless, and detach does
 * not wait. When ATS is disabled, the master stays on the list until it is off, since unmaps
 * have to reach the ATC until then. A command that comes a moment later finds an empty ATC, as
 * does the one that detach sends. No command comes after the attach has returned.
 *
 * A device that does not answer ATC_INV is set aside: flushes leave it out. EATS in its STEs is
 * cleared, so that it cannot use what it has cached, until its ATS has been disabled.
 *
 * An SMMU skips illegal commands. A flush with a skipped command sends again, and fails if that
 * does not help.
 *
 * arm_smmu_domain_check() decides behind which SMMUs a domain may be attached.
 *
 * arm_smmu_asid_lock is held from the first change of a list to the last one of an attach. The
 * list's lock is taken inside it. Flushes take neither.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/idr.h>
#include <linux/io-pgtable.h>
#include <linux/iommu-alist.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <kunit/visibility.h>

#include "arm-smmu-v3.h"

/* What an ATC invalidation says about the device. */
#define ATC_SID		GENMASK_ULL(31, 0)
#define ATC_SSID	GENMASK_ULL(51, 32)

/*
 * A cookie of flush_submit(): the number of the command after the last CMD_SYNC; its queue; how
 * many commands there are from the flush's first one up to it, or the maximum if there are more;
 * how many had been refused before, the low bits. Commands of others may be among them: ahead of
 * the first TLBI, and between two submissions.
 */
#define COOKIE_NUMBER	GENMASK_ULL(30, 0)
#define COOKIE_QUEUE	GENMASK_ULL(40, 31)
#define COOKIE_SPAN	GENMASK_ULL(54, 41)
#define COOKIE_REFUSED	GENMASK_ULL(62, 55)
#define COOKIE_ATC	BIT_ULL(63)

/* Looks at a CMD_SYNC before a flush turns to the next SMMU. */
#define FLUSH_POLLS	16

/* With status words, looks at one of them for each look at the register. */
#define FLUSH_STATUS_LOOKS	64

/* PCIe gives a device a minute to answer, or half as much again. A variable for KUnit. */
VISIBLE_IF_KUNIT unsigned int arm_smmu_kept_timeout_s = 90;
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_kept_timeout_s);

/* One flush, on the stack. */
struct arm_smmu_flush {
	struct arm_smmu_domain *domain;
	unsigned long iova;
	size_t size;		/* 0: everything */
	unsigned int granule;
	bool leaf;
	u32 first;		/* number of the first command since then, or one before it */
	u32 refused;		/* nr_refused of the queue, by then */
	bool atc_sent;		/* @first is that of an ATC_INV */
	unsigned int looks;
	ktime_t watch;		/* when to begin; 0: no wait has been longer than a moment */
	struct arm_smmu_cmdq_batch cmds;	/* .cmdq is NULL: no command yet */
};

static struct arm_smmu_device *to_smmu(struct iommu_device *iommu_device)
{
	return container_of(iommu_device, struct arm_smmu_device, iommu);
}

/*
 * Attach and detach
 */

/**
 * arm_smmu_vmid_alloc() - Find a free VMID
 * @smmu: The SMMU. It gets the VMID back by ida_free(), when no TLB entry has it.
 *
 * Context: Process context. Sleeps.
 * Return: The VMID; -ENOSPC or -ENOMEM.
 */
int arm_smmu_vmid_alloc(struct arm_smmu_device *smmu)
{
	/* 0 is for stage 2 bypass. */
	return ida_alloc_range(&smmu->vmid_map, 1, (1 << smmu->vmid_bits) - 1, GFP_KERNEL);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vmid_alloc);

/**
 * arm_smmu_master_domain_alloc() - Make an attachment
 * @master: The master.
 * @domain: The domain: paging, SVA or nested.
 * @ssid: The SSID, or IOMMU_NO_PASID.
 *
 * Context: Process context. Sleeps.
 * Return: The attachment, which is on no list, or NULL.
 */
struct arm_smmu_master_domain *arm_smmu_master_domain_alloc(struct arm_smmu_master *master,
							    struct iommu_domain *domain,
							    ioasid_t ssid)
{
	struct arm_smmu_master_domain *master_domain;

	master_domain = kzalloc_flex(*master_domain, elm, master->num_streams);
	if (!master_domain)
		return NULL;
	master_domain->max_elms = master->num_streams;
	master_domain->master = master;
	master_domain->domain = domain;
	master_domain->ssid = ssid;
	INIT_LIST_HEAD(&master_domain->master_item);
	return master_domain;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_master_domain_alloc);

/* Return: IOMMU_ATTACH_GROUP_DOMAIN if that was the last attachment of the group. */
static int del_elms(struct arm_smmu_master_domain *master_domain)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain_devices(master_domain->domain);
	int gone = 0;

	while (master_domain->num_elms)
		gone |= iommu_attach_del(&smmu_domain->alist,
					 &master_domain->elm[--master_domain->num_elms].elm);
	return gone;
}

static void init_elm(struct arm_smmu_master_domain *master_domain, unsigned int i, bool ats)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain_devices(master_domain->domain);
	struct iommu_attach_elm *elm = &master_domain->elm[i].elm;
	struct arm_smmu_master *master = master_domain->master;

	elm->iommu_device = &master->smmu->iommu;
	elm->fence = &master->smmu->fence;
	elm->endpoint = &master->endpoint;
	elm->tag = smmu_domain->stage == ARM_SMMU_DOMAIN_S2 ? master_domain->vmid :
							      smmu_domain->cd.asid;
	elm->atc = FIELD_PREP(ATC_SID, master->streams[i].id) |
		   FIELD_PREP(ATC_SSID, master_domain->ssid);
	elm->pasid = master_domain->ssid;
	elm->using_atc = ats;
	elm->kind = master_domain->domain->type == IOMMU_DOMAIN_NESTED ? IOMMU_ATTACH_NEST :
									 IOMMU_ATTACH_OWN;
	iommu_attach_elm_set_device(elm, master->dev);
}

/* Does the domain itself have this VMID, and nothing attached with it? Then it is given back. */
static void put_vmid(struct arm_smmu_master_domain *master_domain)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain_devices(master_domain->domain);
	struct arm_smmu_device *smmu = master_domain->master->smmu;
	u64 vmid;

	if (smmu_domain->stage != ARM_SMMU_DOMAIN_S2 ||
	    master_domain->domain->type == IOMMU_DOMAIN_NESTED)
		return;
	if (iommu_attach_find_tag(&smmu_domain->alist, &smmu->iommu, &vmid))
		ida_free(&smmu->vmid_map, master_domain->vmid);
}

/* Return: 0, or as arm_smmu_vmid_alloc(). */
static int get_vmid(struct arm_smmu_master_domain *master_domain)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain_devices(master_domain->domain);
	struct arm_smmu_device *smmu = master_domain->master->smmu;
	u64 vmid;
	int ret;

	if (smmu_domain->stage != ARM_SMMU_DOMAIN_S2)
		return 0;
	if (master_domain->domain->type == IOMMU_DOMAIN_NESTED) {
		vmid = to_smmu_nested_domain(master_domain->domain)->vsmmu->vmid;
	} else if (iommu_attach_find_tag(&smmu_domain->alist, &smmu->iommu, &vmid)) {
		ret = arm_smmu_vmid_alloc(smmu);
		if (ret < 0)
			return ret;
		vmid = ret;
	}
	master_domain->vmid = vmid;
	return 0;
}

/* Clears the tag of an attachment. Return: 0, or as arm_smmu_cmdq_issue_sync(). */
static int flush_tag(struct arm_smmu_domain *smmu_domain, const struct iommu_attach_elm *elm)
{
	struct arm_smmu_device *smmu = to_smmu(elm->iommu_device);
	struct arm_smmu_cmd cmd;

	if (smmu_domain->stage == ARM_SMMU_DOMAIN_S2)
		cmd = arm_smmu_make_cmd_tlbi(CMDQ_OP_TLBI_S12_VMALL, 0, elm->tag);
	else
		cmd = arm_smmu_make_cmd_tlbi(smmu->features & ARM_SMMU_FEAT_E2H ?
					     CMDQ_OP_TLBI_EL2_ASID : CMDQ_OP_TLBI_NH_ASID,
					     elm->tag, 0);
	return arm_smmu_cmdq_issue_cmdlist(smmu, arm_smmu_get_cmdq(smmu, &cmd), &cmd, 1, true);
}

/*
 * The same for a domain that has been kept, perhaps because a device held up the queue by not
 * answering. If that device was reset for this, the attach after the reset must not fail. This
 * sleeps with arm_smmu_asid_lock held, so all other attaches wait, too.
 */
static int flush_tag_of_kept(struct arm_smmu_domain *smmu_domain,
			     const struct iommu_attach_elm *elm)
{
	unsigned long end = jiffies + arm_smmu_kept_timeout_s * HZ;
	int ret;

	for (;;) {
		ret = flush_tag(smmu_domain, elm);
		if (ret != -ETIMEDOUT || time_after(jiffies, end))
			return ret;
		msleep(MSEC_PER_SEC);
	}
}

/**
 * arm_smmu_master_domain_add() - Put an attachment on the list of its domain
 * @master_domain: The attachment. Neither STE nor CD name the domain yet.
 * @ats: The device is going to use its ATC.
 *
 * Context: Process context, with arm_smmu_asid_lock held. Sleeps.
 * Return: 0; -EINVAL if the domain enforces cache coherency and the device cannot; -ENOMEM;
 * -ENOSPC if the SMMU has no VMID left; -ETIMEDOUT or -EIO if the TLB entries of an earlier
 * attachment cannot be cleared.
 * After an error the attachment is on no list, and is to be freed after a grace period.
 */
int arm_smmu_master_domain_add(struct arm_smmu_master_domain *master_domain, bool ats)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain_devices(master_domain->domain);
	struct arm_smmu_master *master = master_domain->master;
	unsigned int i, nr = ats ? master_domain->max_elms : 1;
	bool first;
	int ret;

	lockdep_assert_held(&arm_smmu_asid_lock);

	ret = get_vmid(master_domain);
	if (ret)
		return ret;
	for (i = 0; i < nr; i++)
		init_elm(master_domain, i, ats);
	/* An array of nothing but elements */
	static_assert(sizeof(master_domain->elm[0]) == sizeof(struct iommu_attach_elm));
	ret = iommu_attach_add_array(&smmu_domain->alist, &master_domain->elm[0].elm, nr);
	if (ret < 0) {
		put_vmid(master_domain);
		return ret;
	}
	master_domain->num_elms = nr;
	first = ret & IOMMU_ATTACH_GROUP_DOMAIN;

	/* A caller that enables it, with the list's lock held, has done so, or sees this one. */
	ret = 0;
	if (READ_ONCE(smmu_domain->enforce_cache_coherency) && !arm_smmu_master_canwbs(master))
		ret = -EINVAL;
	else if (first && smmu_domain->kept)
		/* No flush has cleared what was unmapped since the last one with the tag left. */
		ret = flush_tag_of_kept(smmu_domain, &master_domain->elm[0].elm);
	if (ret) {
		del_elms(master_domain);
		put_vmid(master_domain);
		return ret;
	}
	/* A re-attach has two that are equal: the older one is found first. */
	list_add_tail(&master_domain->master_item, &master->attachments);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_master_domain_add);

/**
 * arm_smmu_find_master_domain() - Find an attachment
 * @master: The master.
 * @domain: The domain, or NULL.
 * @ssid: The SSID, or IOMMU_NO_PASID.
 *
 * Context: Process context, with arm_smmu_asid_lock held.
 * Return: The oldest one, or NULL: blocking and identity domains have none.
 */
struct arm_smmu_master_domain *arm_smmu_find_master_domain(struct arm_smmu_master *master,
							   struct iommu_domain *domain,
							   ioasid_t ssid)
{
	struct arm_smmu_master_domain *pos;

	lockdep_assert_held(&arm_smmu_asid_lock);

	list_for_each_entry(pos, &master->attachments, master_item)
		if (pos->domain == domain && pos->ssid == ssid)
			return pos;
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_find_master_domain);

/* A detach has failed: the IDs and tables that the device was using must not be reused. */
static void keep_domain(struct arm_smmu_master_domain *master_domain)
{
	struct iommu_domain *domain = master_domain->domain;

	dev_err_ratelimited(master_domain->master->dev,
			    "SMMU may still use an earlier domain, which is kept\n");
	to_smmu_domain_devices(domain)->kept = true;
	if (domain->type == IOMMU_DOMAIN_NESTED)
		to_smmu_nested_domain(domain)->vsmmu->kept = true;
}

/**
 * arm_smmu_master_domain_del() - Take an attachment off the list of its domain, and free it
 * @master_domain: The attachment. Neither STE nor CD name the domain any more, and what the
 *	device has cached of it has been invalidated.
 *
 * Context: Process context, with arm_smmu_asid_lock held.
 */
void arm_smmu_master_domain_del(struct arm_smmu_master_domain *master_domain)
{
	struct arm_smmu_domain *smmu_domain = to_smmu_domain_devices(master_domain->domain);
	bool failed, gone;

	lockdep_assert_held(&arm_smmu_asid_lock);

	list_del(&master_domain->master_item);
	/* The lock keeps others from attaching with the tag before it is clean. */
	gone = del_elms(master_domain) & IOMMU_ATTACH_GROUP_DOMAIN;
	failed = READ_ONCE(master_domain->master->cfgi_failed);
	if (gone && flush_tag(smmu_domain, &master_domain->elm[0].elm))
		failed = true;
	if (failed)
		keep_domain(master_domain);
	if (gone && !smmu_domain->kept)
		put_vmid(master_domain);
	kfree_rcu(master_domain, rcu);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_master_domain_del);

/**
 * arm_smmu_attach_done() - The end of an attach that may have turned ATS off
 * @state: The attach, after arm_smmu_attach_commit().
 *
 * The device may be reset or removed next, so no flush sends to it any more when this returns.
 * It waits for those that do, which takes microseconds if the SMMU has no error.
 *
 * Context: Process context, with the mutex of the device's group held, but not
 * arm_smmu_asid_lock, which attaching other devices needs. Sleeps.
 */
void arm_smmu_attach_done(struct arm_smmu_attach_state *state)
{
	struct arm_smmu_master *master = state->master;

	if (!state->ats_disabled)
		return;
	iommu_attach_fence(&master->smmu->fence);
	if (!iommu_attach_is_aside(&master->endpoint))
		return;
	/* The next attach may turn ATS on, and finds the ATC empty. */
	iommu_attach_resume(&master->endpoint);
	iommu_attach_fence(&master->smmu->fence);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_attach_done);

/* Return: what of the SMMU does not fit to a page table, of any stage, or NULL. */
static const char *any_misfit(const struct io_pgtable_cfg *cfg, struct arm_smmu_device *smmu)
{
	if (cfg->pgsize_bitmap & ~smmu->pgsize_bitmap)
		return "page sizes";
	if (cfg->oas > smmu->oas)
		return "size of output addresses";
	if (cfg->coherent_walk != !!(smmu->features & ARM_SMMU_FEAT_COHERENCY))
		return "coherency of table walks";
	return NULL;
}

static const char *s1_misfit(struct arm_smmu_domain *smmu_domain, struct arm_smmu_device *smmu)
{
	const struct io_pgtable_cfg *cfg =
		&io_pgtable_ops_to_pgtable(smmu_domain->pgtbl_ops)->cfg;

	if (!(smmu->features & ARM_SMMU_FEAT_TRANS_S1))
		return "no stage 1";
	if (cfg->ias > (smmu->features & ARM_SMMU_FEAT_VAX ? 52 : 48))
		return "size of input addresses";
	if (cfg->quirks & IO_PGTABLE_QUIRK_ARM_HD && !(smmu->features & ARM_SMMU_FEAT_HD))
		return "no dirty tracking";
	return any_misfit(cfg, smmu);
}

/* The same for stage 2, whose input addresses are as wide as the output addresses of an SMMU. */
static const char *s2_misfit(struct arm_smmu_domain *smmu_domain, struct arm_smmu_device *smmu)
{
	const struct io_pgtable_cfg *cfg =
		&io_pgtable_ops_to_pgtable(smmu_domain->pgtbl_ops)->cfg;

	if (!(smmu->features & ARM_SMMU_FEAT_TRANS_S2))
		return "no stage 2";
	if (smmu_domain->nest_parent && !(smmu->features & ARM_SMMU_FEAT_NESTING))
		return "no nesting";
	/* If the SMMU has S2FWB, a nest must use it, see arm_smmu_get_viommu_size(). */
	if (smmu_domain->nest_parent &&
	    !(cfg->quirks & IO_PGTABLE_QUIRK_ARM_S2FWB) != !(smmu->features & ARM_SMMU_FEAT_S2FWB))
		return "stage 2 control of memory attributes";
	if (cfg->ias > smmu->oas)
		return "size of input addresses";
	return any_misfit(cfg, smmu);
}

/**
 * arm_smmu_domain_check() - May a domain be attached behind an SMMU?
 * @smmu_domain: The domain: paging or SVA.
 * @smmu: The SMMU.
 *
 * It may if the SMMU can do all that the page table needs. An ASID is the same on all SMMUs; a
 * VMID is found at attach.
 *
 * Context: Any context.
 * Return: 0, or -EINVAL with a debug message that says what does not fit.
 */
int arm_smmu_domain_check(struct arm_smmu_domain *smmu_domain, struct arm_smmu_device *smmu)
{
	const char *misfit = NULL;

	if (smmu_domain->stage == ARM_SMMU_DOMAIN_S2)
		misfit = s2_misfit(smmu_domain, smmu);
	else if (smmu_domain->cd.asid >> smmu->asid_bits)
		misfit = "size of ASIDs";
	else if (smmu_domain->stage == ARM_SMMU_DOMAIN_S1)
		misfit = s1_misfit(smmu_domain, smmu);
	else if (!(smmu->features & ARM_SMMU_FEAT_SVA))
		misfit = "no SVA";
	if (!misfit)
		return 0;
	dev_dbg(smmu->dev, "the domain does not fit: %s\n", misfit);
	return -EINVAL;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_domain_check);

static void fence_exit(void *fence)
{
	iommu_attach_fence_destroy(fence);
}

/**
 * arm_smmu_fence_init() - Initialise the fence of an SMMU
 * @smmu: The SMMU. The fence goes with its device.
 *
 * Context: Process context. Sleeps.
 * Return: 0 or -ENOMEM.
 */
int arm_smmu_fence_init(struct arm_smmu_device *smmu)
{
	int ret = iommu_attach_fence_init(&smmu->fence);

	if (ret)
		return ret;
	return devm_add_action_or_reset(smmu->dev, fence_exit, &smmu->fence);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_fence_init);

/*
 * Devices that do not answer
 */

/*
 * Guards the words of STEs, as a flush may have to clear EATS at any time. Writers of STEs hold
 * it for as long as they look at and store words, and take no lock inside.
 */
DEFINE_RAW_SPINLOCK(arm_smmu_entry_lock);

/**
 * arm_smmu_block_silent() - Have what a device has cached refused, if it is set aside
 * @master: The device, which stays: its group's mutex or the fence of its SMMU is held.
 *
 * Without EATS, the SMMU aborts the translation requests and the translated transactions of a
 * stream (5.2). Who writes the STE later leaves EATS clear, as long as the device is aside.
 *
 * Context: Any context but NMI. Waits for the SMMU.
 * Return: true if the device is set aside, and is refused.
 */
bool arm_smmu_block_silent(struct arm_smmu_master *master)
{
	struct arm_smmu_device *smmu = master->smmu;
	struct arm_smmu_cmd cmd;
	unsigned long flags;
	unsigned int i;
	__le64 *word;

	if (likely(!iommu_attach_is_aside(&master->endpoint)))
		return false;
	for (i = 0; i < master->num_streams; i++) {
		word = &arm_smmu_get_step_for_sid(smmu, master->streams[i].id)->data[1];
		raw_spin_lock_irqsave(&arm_smmu_entry_lock, flags);
		WRITE_ONCE(*word, *word & ~cpu_to_le64(STRTAB_STE_1_EATS));
		raw_spin_unlock_irqrestore(&arm_smmu_entry_lock, flags);

		cmd = arm_smmu_make_cmd_cfgi_ste(master->streams[i].id, true);
		if (arm_smmu_cmdq_issue_cmdlist(smmu, arm_smmu_get_cmdq(smmu, &cmd), &cmd, 1,
						true))
			return false;
	}
	iommu_attach_blocked(&master->endpoint);
	return true;
}

static bool set_aside(struct arm_smmu_master *master, u32 sid)
{
	if (!iommu_attach_is_aside(&master->endpoint)) {
		iommu_attach_set_aside(&master->endpoint);
		dev_err_ratelimited(master->smmu->dev,
				    "ATC invalidations of %s, StreamID 0x%x, fail. ATS is refused until it is disabled and enabled again\n",
				    dev_name(master->dev), sid);
	}
	return arm_smmu_block_silent(master);
}

/**
 * arm_smmu_atc_inv_master() - Invalidate the ATC of a device
 * @master: The device.
 * @ssid: The SSID whose entries go, or IOMMU_NO_PASID for all.
 *
 * When something is detached, no flush finds out later that the device does not answer. So it is
 * set aside here. If its ATS is off, it need not answer, and is not set aside.
 *
 * Context: Process context, with arm_smmu_asid_lock held.
 */
void arm_smmu_atc_inv_master(struct arm_smmu_master *master, ioasid_t ssid)
{
	struct arm_smmu_cmd cmds[CMDQ_BATCH_ENTRIES - 1];
	struct arm_smmu_device *smmu = master->smmu;
	struct arm_smmu_cmdq *cmdq;
	unsigned int i, n;
	u32 number;
	int ret;

	if (arm_smmu_block_silent(master))
		return;
	for (i = 0; i < master->num_streams; i += n) {
		for (n = 0; n < ARRAY_SIZE(cmds) && i + n < master->num_streams; n++)
			cmds[n] = arm_smmu_make_cmd_atc_inv_all(master->streams[i + n].id, ssid);
		cmdq = arm_smmu_get_cmdq(smmu, cmds);
		ret = arm_smmu_cmdq_issue_sync(smmu, cmdq, cmds, n, &number);
		if (!ret)
			continue;
		if (!master->ats_on)
			return;
		/* Something else held up the queue: the command is executed later, or has been. */
		if (ret == -ETIMEDOUT && !arm_smmu_cmdq_unanswered(cmdq, number)) {
			dev_err(smmu->dev, "ATC invalidation of %s is late\n",
				dev_name(master->dev));
			continue;
		}
		if (!set_aside(master, master->streams[i].id))
			dev_err(smmu->dev,
				"ATS cannot be refused. The device may still reach what was unmapped\n");
		return;
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_atc_inv_master);

/*
 * Flush
 */

/* The queue for what follows, up to the next submission. */
static void flush_choose(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu,
			 struct arm_smmu_cmd *cmd)
{
	if (flush->cmds.cmdq)
		return;
	flush->cmds.cmdq = arm_smmu_get_cmdq(smmu, cmd);
	flush->first = arm_smmu_cmdq_number(READ_ONCE(flush->cmds.cmdq->q.llq.prod), 0);
	flush->refused = READ_ONCE(flush->cmds.cmdq->nr_refused);
}

static void flush_add(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu,
		      struct arm_smmu_cmd *cmd)
{
	flush_choose(flush, smmu, cmd);
	arm_smmu_cmdq_batch_add_cmd_p(smmu, &flush->cmds, cmd);
}

static bool flush_is_whole(const struct arm_smmu_flush *flush, struct arm_smmu_device *smmu)
{
	return arm_smmu_inv_size_too_big(smmu, flush->size, flush->granule);
}

/* The range, or all that has the tag. */
static void flush_add_tlbi(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu,
			   u8 range_op, u8 whole_op, u16 asid, u16 vmid)
{
	struct arm_smmu_cmd cmd;
	size_t pgshift = 0;

	if (flush_is_whole(flush, smmu)) {
		cmd = arm_smmu_make_cmd_tlbi(whole_op, asid, vmid);
		flush_add(flush, smmu, &cmd);
		return;
	}
	/* A range is counted in pages. */
	if (smmu->features & ARM_SMMU_FEAT_RANGE_INV)
		pgshift = __ffs(flush->domain->domain.pgsize_bitmap);
	cmd = arm_smmu_make_cmd_tlbi(range_op, asid, vmid);
	flush_choose(flush, smmu, &cmd);
	arm_smmu_cmdq_batch_add_range(smmu, &flush->cmds, &cmd, flush->leaf, flush->iova,
				      flush->size, flush->granule, pgshift);
}

/* What is in the batch takes effect before what comes behind it. */
static void flush_order(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmd cmd;

	if (arm_smmu_erratum_repeat_tlbi_cfgi()) {
		/* All of it has to be sent twice first: a wait that the erratum costs. */
		arm_smmu_cmdq_issue_cmdlist(smmu, flush->cmds.cmdq, flush->cmds.cmds,
					    flush->cmds.num, true);
		flush->cmds.num = 0;
		return;
	}
	/* The queue itself waits for this CMD_SYNC; the flush does not. */
	cmd = arm_smmu_make_cmd_sync(CMDQ_SYNC_0_CS_NONE, 0);
	flush_add(flush, smmu, &cmd);
}

static void flush_s2(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu,
		     const struct iommu_attach_group *group)
{
	struct arm_smmu_cmd cmd;

	flush_add_tlbi(flush, smmu, CMDQ_OP_TLBI_S2_IPA, CMDQ_OP_TLBI_S12_VMALL, 0, group->tag);
	/* S12_VMALL takes stage 1, too. */
	if (group->kind != IOMMU_ATTACH_NEST || flush_is_whole(flush, smmu))
		return;
	flush_order(flush, smmu);
	cmd = arm_smmu_make_cmd_tlbi(CMDQ_OP_TLBI_NH_ALL, 0, group->tag);
	flush_add(flush, smmu, &cmd);
}

static void flush_iotlb(const struct iommu_attach_group *group, void *arg)
{
	struct arm_smmu_device *smmu = to_smmu(group->iommu_device);
	struct arm_smmu_flush *flush = arg;

	if (flush->domain->stage == ARM_SMMU_DOMAIN_S2)
		flush_s2(flush, smmu, group);
	else if (smmu->features & ARM_SMMU_FEAT_E2H)
		flush_add_tlbi(flush, smmu, CMDQ_OP_TLBI_EL2_VA, CMDQ_OP_TLBI_EL2_ASID,
			       group->tag, 0);
	else
		flush_add_tlbi(flush, smmu, CMDQ_OP_TLBI_NH_VA, CMDQ_OP_TLBI_NH_ASID,
			       group->tag, 0);
}

/* Return: the number of the command behind the CMD_SYNC. */
static u32 flush_send(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_batch *cmds = &flush->cmds;
	u32 number;

	number = arm_smmu_cmdq_submit(smmu, cmds->cmdq, cmds->cmds, cmds->num, true);
	if (!flush->atc_sent) {
		flush->atc_sent = true;
		flush->first = arm_smmu_cmdq_number(number, -(cmds->num + 1));
	}
	cmds->num = 0;
	return number;
}

/*
 * Each submission ends with its own CMD_SYNC, so one that fails concerns no ATC_INVs but these.
 * The flush waits for the last one, and looks at those before it then. While a device is looked
 * for that has not answered, each ATC_INV has a CMD_SYNC.
 */
static void flush_atc(const struct iommu_attach_group *group, u64 atc, void *arg)
{
	struct arm_smmu_device *smmu = to_smmu(group->iommu_device);
	struct arm_smmu_flush *flush = arg;
	u32 sid = FIELD_GET(ATC_SID, atc);
	struct arm_smmu_cmd cmd;

	if (group->kind == IOMMU_ATTACH_NEST)
		cmd = arm_smmu_make_cmd_atc_inv_all(sid, IOMMU_NO_PASID);
	else
		cmd = arm_smmu_atc_inv_to_cmd(sid, FIELD_GET(ATC_SSID, atc), flush->iova,
					      flush->size);
	if (flush->cmds.num == CMDQ_BATCH_ENTRIES - 1 ||
	    (flush->cmds.num && unlikely(READ_ONCE(flush->cmds.cmdq->unnamed))))
		flush_send(flush, smmu);
	flush_add(flush, smmu, &cmd);
}

static u64 flush_submit(struct iommu_device *iommu_device, void *arg)
{
	struct arm_smmu_device *smmu = to_smmu(iommu_device);
	struct arm_smmu_flush *flush = arg;
	struct arm_smmu_cmdq_batch *cmds = &flush->cmds;
	u64 cookie = 0;
	u32 number, span;

	if (FIELD_GET(CMDQ_0_OP, cmds->cmds[0].data[0]) == CMDQ_OP_ATC_INV) {
		number = flush_send(flush, smmu);
		cookie = COOKIE_ATC;
	} else {
		/* The second time behind the CMD_SYNC of the first. */
		if (arm_smmu_erratum_repeat_tlbi_cfgi())
			arm_smmu_cmdq_submit(smmu, cmds->cmdq, cmds->cmds, cmds->num, true);
		number = arm_smmu_cmdq_submit(smmu, cmds->cmdq, cmds->cmds, cmds->num, true);
	}
	span = min_t(u32, arm_smmu_cmdq_number(number, -flush->first), FIELD_MAX(COOKIE_SPAN));
	cookie |= FIELD_PREP(COOKIE_NUMBER, number) | FIELD_PREP(COOKIE_SPAN, span) |
		  FIELD_PREP(COOKIE_QUEUE, cmds->cmdq->index) |
		  FIELD_PREP(COOKIE_REFUSED, flush->refused & FIELD_MAX(COOKIE_REFUSED));
	cmds->num = 0;
	cmds->cmdq = NULL;
	flush->atc_sent = false;
	flush->watch = 0;
	return cookie;
}

/*
 * Sets a device aside that does not answer. The SMMU's fence is held: what is on the list
 * cannot be released.
 *
 * Return: is it attached to the domain, with ATS on? With ATS off it need not answer, and has
 * nothing cached.
 */
static bool flush_set_aside(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu, u32 sid)
{
	struct iommu_attach_endpoint *endpoint = NULL;
	struct arm_smmu_attach_elm *pos;
	struct arm_smmu_master *master;
	struct iommu_attach_walk walk;

	iommu_attach_walk_begin(&walk, &flush->domain->alist);
	iommu_attach_for_each_all(pos, &walk, elm) {
		if (pos->elm.iommu_device == &smmu->iommu &&
		    FIELD_GET(ATC_SID, pos->elm.atc) == sid) {
			endpoint = pos->elm.endpoint;
			break;
		}
	}
	iommu_attach_walk_end(&walk);
	if (!endpoint)
		return false;
	master = container_of(endpoint, struct arm_smmu_master, endpoint);
	if (!READ_ONCE(master->ats_on) && !iommu_attach_is_aside(endpoint))
		return false;
	/* If it is not refused now, the next flush tries again, and fails. */
	set_aside(master, sid);
	return true;
}

/* Has a CMD_SYNC behind ATC_INVs failed? If one of others has, it does no harm to look. */
static int flush_atc_error(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu,
			   struct arm_smmu_cmdq *cmdq, u32 number, u32 span)
{
	struct arm_smmu_atc_error error;
	int ret = 0;
	u32 left;

	/* There may be more than the cookie says: each device is asked by itself. */
	if (span == FIELD_MAX(COOKIE_SPAN))
		return -ETIMEDOUT;
	for (left = span; left; left--) {
		if (!arm_smmu_cmdq_atc_error(cmdq, arm_smmu_cmdq_number(number, -left), &error))
			continue;
		if (!error.named)
			ret = -ETIMEDOUT;
		else if (flush_set_aside(flush, smmu, error.sid))
			ret = ret ?: -EAGAIN;
	}
	return ret;
}

/* All CMD_SYNCs of the flush have completed: has a command failed? */
static int flush_result(struct arm_smmu_flush *flush, struct arm_smmu_device *smmu,
			struct arm_smmu_cmdq *cmdq, u64 cookie)
{
	u32 number = FIELD_GET(COOKIE_NUMBER, cookie);
	u32 span = FIELD_GET(COOKIE_SPAN, cookie);
	u32 refused = READ_ONCE(cmdq->nr_refused);
	u32 since = (refused - FIELD_GET(COOKIE_REFUSED, cookie)) & FIELD_MAX(COOKIE_REFUSED);
	int ret = 0;

	if (cookie & COOKIE_ATC && unlikely(READ_ONCE(cmdq->nr_atc_errors)))
		ret = flush_atc_error(flush, smmu, cmdq, number, span);
	if (unlikely(since) && !ret &&
	    (span == FIELD_MAX(COOKIE_SPAN) ||
	     arm_smmu_cmdq_refused(cmdq, number, span, refused - since)))
		ret = -EAGAIN;
	return ret;
}

static int flush_wait(struct iommu_device *iommu_device, u64 cookie, void *arg)
{
	struct arm_smmu_device *smmu = to_smmu(iommu_device);
	u32 number = FIELD_GET(COOKIE_NUMBER, cookie);
	struct arm_smmu_flush *flush = arg;
	struct arm_smmu_atc_error error;
	struct arm_smmu_cmdq *cmdq;
	bool late = false;
	int i;
	u32 at;

	cmdq = arm_smmu_cmdq_by_index(smmu, FIELD_GET(COOKIE_QUEUE, cookie));
	for (i = 0; i < FLUSH_POLLS; i++) {
		if (arm_smmu_cmdq_done(cmdq, number, ++flush->looks % FLUSH_STATUS_LOOKS == 0))
			return flush_result(flush, smmu, cmdq, cookie);
		cpu_relax();
	}
	if (!flush->watch)
		flush->watch = ktime_add_us(ktime_get(), ARM_SMMU_POLL_WATCH_US);
	else if (ktime_after(ktime_get(), flush->watch))
		late = arm_smmu_cmdq_stands(cmdq, number, &at);
	if (!late)
		return -EINPROGRESS;
	/* It may have been preempted in between. */
	if (arm_smmu_cmdq_done(cmdq, number, true))
		return flush_result(flush, smmu, cmdq, cookie);
	dev_err_ratelimited(smmu->dev,
			    "CMD_SYNC timeout before 0x%08x [hwprod 0x%08x, hwcons 0x%08x]\n",
			    number, readl_relaxed(cmdq->q.prod_reg),
			    readl_relaxed(cmdq->q.cons_reg));
	/* It is refused as soon as the queue goes on, and until then, flushes fail. */
	if (cookie & COOKIE_ATC &&
	    arm_smmu_cmdq_held_up(cmdq, number, FIELD_GET(COOKIE_SPAN, cookie), &error) &&
	    error.named)
		flush_set_aside(flush, smmu, error.sid);
	return -EIO;
}

/* Of a target that is left out, too: the CPU that set its device aside may not have blocked it. */
static void flush_silent(struct iommu_device *iommu_device, u64 atc, void *arg)
{
	flush_set_aside(arg, to_smmu(iommu_device), FIELD_GET(ATC_SID, atc));
}

static const struct iommu_attach_flush_ops arm_smmu_flush_list_ops = {
	.iotlb = flush_iotlb,
	.atc = flush_atc,
	.submit = flush_submit,
	.wait = flush_wait,
	.silent = flush_silent,
	.aside = flush_silent,
	.wait_before_atc = true,
};

/**
 * arm_smmu_domain_inv_range() - Invalidate what is cached of a domain
 * @smmu_domain: The domain, whose page table has been changed.
 * @iova: Where.
 * @size: How much, in bytes. 0: everything.
 * @granule: The size of what was unmapped, a page or block.
 * @leaf: No table has been taken out.
 *
 * The caller's page-table writes are visible to all attachments, including concurrent ones:
 * iommu_attach_add() has the barrier that this needs.
 *
 * Context: Any context. Spins for as long as the hardware takes, until an SMMU has been at one
 * command for a second. RCU waits with it only where a full queue has to make room, and where an
 * erratum makes it wait between commands.
 */
void arm_smmu_domain_inv_range(struct arm_smmu_domain *smmu_domain, unsigned long iova,
			       size_t size, unsigned int granule, bool leaf)
{
	struct arm_smmu_flush flush __uninitialized;
	int ret;

	flush.domain = smmu_domain;
	flush.iova = iova;
	flush.size = size;
	flush.granule = granule;
	flush.leaf = leaf;
	flush.atc_sent = false;
	flush.looks = 0;
	flush.watch = 0;
	flush.cmds.num = 0;
	flush.cmds.cmdq = NULL;
	ret = iommu_attach_flush_inline(&smmu_domain->alist, &arm_smmu_flush_list_ops, &flush);
	if (unlikely(ret))
		pr_err_ratelimited("arm-smmu-v3: Invalidation of 0x%lx, 0x%zx bytes, failed: %d. Devices may still reach what was unmapped\n",
				   iova, size, ret);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_domain_inv_range);
