// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for what is attached to a domain, and for its flushes
 *
 * The registers, the command buffers and the device tables are memory. The hardware has
 * always completed already, unless a test stops it: what was queued is looked at afterwards.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/timer.h>

#include "../iommu-pages.h"
#include "amd_iommu.h"

#define NR_IOMMUS	2
#define NR_DEVICES	4
#define NR_PASIDS	16
#define DEVID(i)	(0x10 + (i))
#define QDEP		5
#define TOP		0x123456000ULL

struct fake {
	struct amd_iommu iommu;
	struct amd_iommu_pci_seg seg;
	struct iommu_cmd buf[CMD_BUFFER_ENTRIES];
	u8 reg[SZ_16K] __aligned(8);
	u64 sem;
	struct dev_table_entry dtes[DEVID(NR_DEVICES)];
	u16 aliases[DEVID(NR_DEVICES)];
};

struct fake_device {
	struct device dev;
	struct dev_iommu dev_iommu;
	struct iommu_dev_data dev_data;
	u64 gcr3[512];
};

struct context {
	struct fake *fake[NR_IOMMUS];
	struct fake_device *device[NR_DEVICES];	/* half of them behind each IOMMU */
	struct protection_domain domain, other;
	bool np_cache;
	u8 hpt_vasize;
};

static unsigned int fake_tail(const struct fake *fake)
{
	return readl(fake->iommu.mmio_base + MMIO_CMD_TAIL_OFFSET) / sizeof(struct iommu_cmd);
}

/* Forget what has been queued. */
static void fake_reset(struct context *ctx)
{
	int i;

	for (i = 0; i < NR_IOMMUS; i++) {
		ctx->fake[i]->iommu.cmd_buf_tail = 0;
		ctx->fake[i]->iommu.need_sync = false;
		writel(0, ctx->fake[i]->iommu.mmio_base + MMIO_CMD_TAIL_OFFSET);
	}
}

static unsigned int count(const struct fake *fake, u32 opcode)
{
	unsigned int i, nr = 0;

	for (i = 0; i < fake_tail(fake); i++)
		nr += fake->buf[i].data[1] >> 28 == opcode;
	return nr;
}

/* The first command with this opcode, behind @after if that is not NULL. */
static const struct iommu_cmd *find(const struct fake *fake, u32 opcode,
				    const struct iommu_cmd *after)
{
	unsigned int i = after ? after - fake->buf + 1 : 0;

	for (; i < fake_tail(fake); i++) {
		if (fake->buf[i].data[1] >> 28 == opcode)
			return &fake->buf[i];
	}
	return NULL;
}

static u16 pages_domid(const struct iommu_cmd *cmd)
{
	return cmd->data[1] & 0xffff;
}

static u64 cmd_address(const struct iommu_cmd *cmd)
{
	return ((u64)cmd->data[3] << 32 | cmd->data[2]) & ~0xfffULL;
}

static struct amd_iommu_attachment *link(struct kunit *test, struct protection_domain *domain,
					 int device, ioasid_t pasid, u16 domid, u8 kind)
{
	struct context *ctx = test->priv;
	struct amd_iommu_attachment *attachment;

	attachment = amd_iommu_link(domain, &ctx->device[device]->dev_data, pasid, domid, kind);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attachment);
	return attachment;
}

static int attach_init(struct kunit *test)
{
	struct context *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	struct fake *fake;
	int i;

	if (!ctx)
		return -ENOMEM;
	test->priv = ctx;
	for (i = 0; i < NR_IOMMUS; i++) {
		fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
		if (!fake)
			return -ENOMEM;
		raw_spin_lock_init(&fake->iommu.lock);
		fake->seg.id = 0x7ff0 + i;
		fake->seg.dev_table = fake->dtes;
		fake->seg.alias_table = fake->aliases;
		init_llist_head(&fake->seg.dev_data_list);
		fake->iommu.pci_seg = &fake->seg;
		fake->iommu.cmd_buf = (u8 *)fake->buf;
		fake->iommu.mmio_base = (u8 __force __iomem *)fake->reg;
		fake->iommu.cmd_sem = &fake->sem;
		fake->sem = 1000;
		if (iommu_attach_fence_init(&fake->iommu.fence))
			return -ENOMEM;
		ctx->fake[i] = fake;
	}
	for (i = 0; i < NR_DEVICES; i++) {
		struct fake_device *device = kunit_kzalloc(test, sizeof(*device), GFP_KERNEL);

		if (!device)
			return -ENOMEM;
		fake = ctx->fake[i * NR_IOMMUS / NR_DEVICES];
		device->dev_iommu.iommu_dev = &fake->iommu.iommu;
		device->dev_iommu.priv = &device->dev_data;
		device->dev.iommu = &device->dev_iommu;
		device->dev_data.dev = &device->dev;
		device->dev_data.devid = DEVID(i);
		device->dev_data.ats_qdep = QDEP;
		device->dev_data.gcr3_info.gcr3_tbl = device->gcr3;
		mutex_init(&device->dev_data.mutex);
		spin_lock_init(&device->dev_data.dte_lock);
		iommu_attach_endpoint_init(&device->dev_data.endpoint);
		llist_add(&device->dev_data.dev_data_list, &fake->seg.dev_data_list);
		fake->aliases[DEVID(i)] = DEVID(i);
		ctx->device[i] = device;
	}
	spin_lock_init(&ctx->domain.lock);
	ctx->domain.pd_mode = PD_MODE_V1;
	ctx->domain.id = 1;
	iommu_attach_init(&ctx->domain.alist);
	spin_lock_init(&ctx->other.lock);
	ctx->other.pd_mode = PD_MODE_V2;
	iommu_attach_init(&ctx->other.alist);
	ctx->np_cache = amd_iommu_np_cache;
	amd_iommu_np_cache = false;
	ctx->hpt_vasize = amd_iommu_hpt_vasize;
	amd_iommu_hpt_vasize = 48;
	return 0;
}

static void unlink_all(struct protection_domain *domain, struct context *ctx)
{
	struct amd_iommu_attachment *attachment;
	ioasid_t pasid;
	int i;

	for (i = 0; i < NR_DEVICES; i++) {
		for (pasid = 0; pasid < NR_PASIDS; pasid++) {
			while ((attachment = amd_iommu_find_pasid(domain, &ctx->device[i]->dev_data,
								  pasid)))
				amd_iommu_unlink(domain, attachment);
		}
	}
}

static void attach_exit(struct kunit *test)
{
	struct context *ctx = test->priv;
	int i;

	if (!ctx || !ctx->device[NR_DEVICES - 1])
		return;
	amd_iommu_np_cache = ctx->np_cache;
	amd_iommu_hpt_vasize = ctx->hpt_vasize;
	unlink_all(&ctx->domain, ctx);
	unlink_all(&ctx->other, ctx);
	iommu_attach_destroy(&ctx->domain.alist);
	iommu_attach_destroy(&ctx->other.alist);
	for (i = 0; i < NR_IOMMUS; i++) {
		iommu_attach_drain(&ctx->fake[i]->iommu.fence);
		iommu_attach_fence_destroy(&ctx->fake[i]->iommu.fence);
	}
}

/* One command and one completion wait for an IOMMU, however many devices are behind it. */
static void attach_one_command(struct kunit *test)
{
	struct context *ctx = test->priv;
	const struct iommu_cmd *cmd;
	int i;

	for (i = 0; i < NR_DEVICES; i++)
		link(test, &ctx->domain, i, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0x5000, 0x5fff, 0), 0);
	for (i = 0; i < NR_IOMMUS; i++) {
		KUNIT_EXPECT_EQ(test, fake_tail(ctx->fake[i]), 2);
		cmd = &ctx->fake[i]->buf[0];
		KUNIT_EXPECT_EQ(test, cmd->data[1] >> 28, CMD_INV_IOMMU_PAGES);
		KUNIT_EXPECT_EQ(test, pages_domid(cmd), 1);
		KUNIT_EXPECT_EQ(test, cmd_address(cmd), 0x5000);
		KUNIT_EXPECT_EQ(test, cmd->data[2] & 0xfff, 0);
		KUNIT_EXPECT_EQ(test, ctx->fake[i]->buf[1].data[1] >> 28, CMD_COMPL_WAIT);
	}
}

/* Those who have left, and IOMMUs without anybody, are not sent to. */
static void attach_left(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct amd_iommu_attachment *attachment;

	ctx->device[0]->dev_data.ats_enabled = 1;
	attachment = link(test, &ctx->domain, 0, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	link(test, &ctx->domain, 1, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	amd_iommu_unlink(&ctx->domain, attachment);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, U64_MAX, 0), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 0);
	KUNIT_EXPECT_EQ(test, fake_tail(ctx->fake[1]), 0);
}

/* Each ATC has its command, behind those for the IOTLB, and none on a map. */
static void attach_atc(struct kunit *test)
{
	struct context *ctx = test->priv;
	const struct iommu_cmd *pages, *atc;
	int i;

	for (i = 0; i < 2; i++) {
		ctx->device[i]->dev_data.ats_enabled = 1;
		link(test, &ctx->domain, i, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	}
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0x8000, 0x8fff,
							   CMD_INV_IOMMU_PAGES_PDE_MASK), 0);
	KUNIT_EXPECT_EQ(test, fake_tail(ctx->fake[0]), 4);
	pages = find(ctx->fake[0], CMD_INV_IOMMU_PAGES, NULL);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	KUNIT_EXPECT_TRUE(test, pages->data[2] & CMD_INV_IOMMU_PAGES_PDE_MASK);
	atc = pages;
	for (i = 0; i < 2; i++) {
		atc = find(ctx->fake[0], CMD_INV_IOTLB_PAGES, atc);
		KUNIT_ASSERT_NOT_NULL(test, atc);
		KUNIT_EXPECT_EQ(test, atc->data[0] & 0xffff, DEVID(i));
		KUNIT_EXPECT_EQ(test, atc->data[0] >> 24, QDEP);
		KUNIT_EXPECT_EQ(test, cmd_address(atc), 0x8000);
		KUNIT_EXPECT_FALSE(test, atc->data[2] & CMD_INV_IOMMU_PAGES_GN_MASK);
	}

	fake_reset(ctx);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_map(&ctx->domain, 0x8000, 0x8fff), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 0);
}

/* With NpCache, aligned pieces that cover the range and nothing else; one for an ATC. */
static void attach_pieces(struct kunit *test)
{
	struct context *ctx = test->priv;
	const struct iommu_cmd *cmd = NULL;

	amd_iommu_np_cache = true;
	ctx->device[0]->dev_data.ats_enabled = 1;
	link(test, &ctx->domain, 0, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	/* Seven pages: 1 + 2 + 4. */
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0x1000, 0x7fff, 0), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 3);
	cmd = find(ctx->fake[0], CMD_INV_IOMMU_PAGES, cmd);
	KUNIT_EXPECT_EQ(test, cmd->data[2], 0x1000);
	cmd = find(ctx->fake[0], CMD_INV_IOMMU_PAGES, cmd);
	KUNIT_EXPECT_EQ(test, cmd->data[2], 0x2000 | CMD_INV_IOMMU_PAGES_SIZE_MASK);
	cmd = find(ctx->fake[0], CMD_INV_IOMMU_PAGES, cmd);
	KUNIT_EXPECT_EQ(test, cmd->data[2], 0x5000 | CMD_INV_IOMMU_PAGES_SIZE_MASK);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_COMPL_WAIT), 1);

	/* More pieces than a batch has room for, the last page included. */
	fake_reset(ctx);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0x1000, U64_MAX, 0), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 52);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_COMPL_WAIT), 1);
}

/* Entries of v2 tables carry the PASID; a shared ID takes one command, other IDs one each. */
static void attach_v2(struct kunit *test)
{
	struct context *ctx = test->priv;
	const struct iommu_cmd *cmd;

	link(test, &ctx->other, 0, IOMMU_NO_PASID, 7, IOMMU_ATTACH_OWN);
	link(test, &ctx->other, 1, IOMMU_NO_PASID, 7, IOMMU_ATTACH_OWN);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->other, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 1);
	cmd = find(ctx->fake[0], CMD_INV_IOMMU_PAGES, NULL);
	KUNIT_ASSERT_NOT_NULL(test, cmd);
	KUNIT_EXPECT_TRUE(test, cmd->data[2] & CMD_INV_IOMMU_PAGES_GN_MASK);
	KUNIT_EXPECT_EQ(test, pages_domid(cmd), 7);
	KUNIT_EXPECT_EQ(test, cmd->data[0], 0);

	link(test, &ctx->other, 1, 3, 8, IOMMU_ATTACH_OWN);
	fake_reset(ctx);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->other, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 2);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_COMPL_WAIT), 1);
}

/* When the mm goes, so do the tables of all PASIDs, and what is cached, in one flush. */
static void attach_sva(struct kunit *test)
{
	struct context *ctx = test->priv;
	const struct iommu_cmd *cmd;
	int i;

	ctx->other.domain.type = IOMMU_DOMAIN_SVA;
	for (i = 0; i < 2; i++) {
		ctx->device[i]->dev_data.ats_enabled = 1;
		ctx->device[i]->gcr3[0] = GCR3_VALID;
		ctx->device[i]->gcr3[3] = GCR3_VALID;
		link(test, &ctx->other, i, 3, 20 + i, IOMMU_ATTACH_OWN);
	}
	amd_iommu_domain_clear_pasids(&ctx->other);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, ctx->device[i]->gcr3[0], GCR3_VALID);
		KUNIT_EXPECT_EQ(test, ctx->device[i]->gcr3[3], 0);
	}
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 2);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 2);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_COMPL_WAIT), 1);
	cmd = find(ctx->fake[0], CMD_INV_IOMMU_PAGES, NULL);
	KUNIT_EXPECT_EQ(test, cmd->data[0], 3);
	KUNIT_EXPECT_TRUE(test, cmd->data[2] & CMD_INV_IOMMU_PAGES_GN_MASK);
	cmd = find(ctx->fake[0], CMD_INV_IOTLB_PAGES, NULL);
	KUNIT_EXPECT_EQ(test, cmd->data[1] >> 16 & 0xff, 3);
	KUNIT_EXPECT_TRUE(test, cmd->data[2] & CMD_INV_IOMMU_PAGES_GN_MASK);

	/* They are there until they are detached. */
	KUNIT_EXPECT_NOT_NULL(test, amd_iommu_find_pasid(&ctx->other,
							 &ctx->device[0]->dev_data, 3));
}

/* A parent knows the IDs of its nests, and clears the whole ATC of their devices. */
static void attach_nest(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct amd_iommu_attachment *nest;
	const struct iommu_cmd *cmd;

	ctx->device[0]->dev_data.ats_enabled = 1;
	nest = link(test, &ctx->domain, 0, IOMMU_NO_PASID, 30, IOMMU_ATTACH_NEST);
	KUNIT_EXPECT_TRUE(test, amd_iommu_attachment_nested(nest));
	KUNIT_EXPECT_EQ(test, amd_iommu_attachment_domid(nest), 30);
	link(test, &ctx->domain, 1, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);

	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0x5000, 0x5fff, 0), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_COMPL_WAIT), 1);
	cmd = find(ctx->fake[0], CMD_INV_IOMMU_PAGES, NULL);
	KUNIT_ASSERT_NOT_NULL(test, cmd);
	KUNIT_EXPECT_EQ(test, pages_domid(cmd), 1);
	cmd = find(ctx->fake[0], CMD_INV_IOMMU_PAGES, cmd);
	KUNIT_ASSERT_NOT_NULL(test, cmd);
	KUNIT_EXPECT_EQ(test, pages_domid(cmd), 30);
	KUNIT_EXPECT_EQ(test, cmd_address(cmd), 0x5000);
	KUNIT_EXPECT_FALSE(test, cmd->data[2] & CMD_INV_IOMMU_PAGES_GN_MASK);
	cmd = find(ctx->fake[0], CMD_INV_IOTLB_PAGES, NULL);
	KUNIT_ASSERT_NOT_NULL(test, cmd);
	KUNIT_EXPECT_EQ(test, cmd_address(cmd), CMD_INV_IOMMU_ALL_PAGES_ADDRESS & ~0xfffULL);
}

/* A new top is written to the entries of the domain and of its nests, and to no others. */
static void attach_change_top(struct kunit *test)
{
	const u64 old = DTE_FLAG_V | DTE_FLAG_TV | DTE_FLAG_GV | FIELD_PREP(DTE_MODE_MASK, 3) |
			DTE_FLAG_IR | FIELD_PREP(DTE_HOST_TRP, 0xabc);
	const u64 new = FIELD_PREP(DTE_MODE_MASK, 4) | FIELD_PREP(DTE_HOST_TRP, TOP >> 12);
	const u64 rest = old & ~(DTE_MODE_MASK | DTE_HOST_TRP);
	struct context *ctx = test->priv;
	struct dev_table_entry *dtes;
	const struct iommu_cmd *cmd;
	unsigned long flags;
	int i;

	for (i = 0; i < NR_DEVICES; i++) {
		dtes = ctx->fake[i / 2]->dtes;
		dtes[DEVID(i)].data[0] = old;
		dtes[DEVID(i)].data[1] = i == 1 ? 30 : 1;
		link(test, &ctx->domain, i, IOMMU_NO_PASID, i == 1 ? 30 : 1,
		     i == 1 ? IOMMU_ATTACH_NEST : IOMMU_ATTACH_OWN);
	}
	/* One is leaving, and one still has the entry of its old domain. */
	ctx->fake[1]->dtes[DEVID(2)].data[0] = DTE_FLAG_V;
	ctx->fake[1]->dtes[DEVID(3)].data[1] = 99;

	spin_lock_irqsave(&ctx->domain.lock, flags);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_change_dtes(&ctx->domain,
							   DTE_MODE_MASK | DTE_HOST_TRP, new), 0);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_wait(&ctx->domain), 0);
	spin_unlock_irqrestore(&ctx->domain.lock, flags);

	KUNIT_EXPECT_EQ(test, ctx->fake[0]->dtes[DEVID(0)].data[0], rest | new);
	KUNIT_EXPECT_EQ(test, ctx->fake[0]->dtes[DEVID(1)].data[0], rest | new);
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->dtes[DEVID(2)].data[0], DTE_FLAG_V);
	KUNIT_EXPECT_EQ(test, ctx->fake[1]->dtes[DEVID(3)].data[0], old);

	cmd = NULL;
	for (i = 0; i < 2; i++) {
		cmd = find(ctx->fake[0], CMD_INV_DEV_ENTRY, cmd);
		KUNIT_ASSERT_NOT_NULL(test, cmd);
		KUNIT_EXPECT_EQ(test, cmd->data[0], DEVID(i));
	}
	KUNIT_EXPECT_EQ(test, fake_tail(ctx->fake[0]), 3);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_COMPL_WAIT), 1);
	KUNIT_EXPECT_EQ(test, fake_tail(ctx->fake[1]), 0);
}

/* A device that is set aside gets no command and no ATS, until it is back. */
static void attach_silent(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct iommu_dev_data *dev_data = &ctx->device[0]->dev_data;
	struct dev_table_entry *dte = &ctx->fake[0]->dtes[DEVID(0)];
	int i;

	for (i = 0; i < 2; i++) {
		ctx->device[i]->dev_data.ats_enabled = 1;
		link(test, &ctx->domain, i, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	}
	dte->data[1] = DTE_FLAG_IOTLB | 1;
	amd_iommu_silent(&ctx->fake[0]->iommu, DEVID(0));
	KUNIT_EXPECT_TRUE(test, iommu_attach_is_aside(&dev_data->endpoint));
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_DEV_ENTRY), 0);

	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_EQ(test, dte->data[1], 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_DEV_ENTRY), 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 1);
	KUNIT_EXPECT_EQ(test, find(ctx->fake[0], CMD_INV_IOTLB_PAGES, NULL)->data[0] & 0xffff,
			DEVID(1));

	fake_reset(ctx);
	mutex_lock(&dev_data->mutex);
	amd_iommu_resume_device(dev_data);
	mutex_unlock(&dev_data->mutex);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 2);
}

/* A flush that leaves out a device that is not refused yet has that done, and succeeds then. */
static void attach_aside(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct dev_table_entry *dte = &ctx->fake[0]->dtes[DEVID(0)];

	ctx->device[0]->dev_data.ats_enabled = 1;
	link(test, &ctx->domain, 0, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	dte->data[1] = DTE_FLAG_IOTLB | 1;
	iommu_attach_set_aside(&ctx->device[0]->dev_data.endpoint);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_EQ(test, dte->data[1], 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_DEV_ENTRY), 1);
}

/* An IOMMU that does not go on is an error; the other one has been sent to before that. */
static void attach_stuck(struct kunit *test)
{
	struct context *ctx = test->priv;

	link(test, &ctx->domain, 0, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	link(test, &ctx->domain, 3, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	ctx->fake[0]->sem = 0;
	ctx->fake[1]->sem = 0;
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), -EIO);
	KUNIT_EXPECT_EQ(test, fake_tail(ctx->fake[0]), 2);
	KUNIT_EXPECT_EQ(test, fake_tail(ctx->fake[1]), 2);
}

/* What the device does under an alias is refused, too. */
static void attach_alias(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct iommu_dev_data *dev_data = &ctx->device[0]->dev_data;
	struct fake *fake = ctx->fake[0];
	struct amd_iommu *lookup[DEVID(NR_DEVICES)] = { [DEVID(0)] = &fake->iommu };
	struct pci_sysdata sysdata = { .domain = fake->seg.id };
	struct pci_bus *bus = kunit_kzalloc(test, sizeof(*bus), GFP_KERNEL);
	struct pci_dev *pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	const struct iommu_cmd *cmd = NULL;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, bus);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	bus->sysdata = &sysdata;
	pdev->bus = bus;
	pdev->devfn = DEVID(0);
	pdev->dev.bus = &pci_bus_type;
	pdev->dev.iommu = &ctx->device[0]->dev_iommu;
	dev_data->dev = &pdev->dev;
	fake->aliases[DEVID(0)] = DEVID(1);
	fake->seg.last_bdf = DEVID(0);
	fake->seg.rlookup_table = lookup;

	dev_data->ats_enabled = 1;
	link(test, &ctx->domain, 0, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	for (i = 0; i < 2; i++)
		fake->dtes[DEVID(i)].data[1] = DTE_FLAG_IOTLB | 1;
	list_add(&fake->seg.list, &amd_iommu_pci_seg_list);
	amd_iommu_silent(&fake->iommu, DEVID(0));
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), 0);
	list_del(&fake->seg.list);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, fake->dtes[DEVID(i)].data[1], 1);
		cmd = find(fake, CMD_INV_DEV_ENTRY, cmd);
		KUNIT_ASSERT_NOT_NULL(test, cmd);
		KUNIT_EXPECT_EQ(test, cmd->data[0], DEVID(i));
	}
	dev_data->dev = &ctx->device[0]->dev;
}

static struct iommu_domain *domain_init(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct iommu_domain *domain;

	ctx->device[0]->dev_data.gcr3_info.gcr3_tbl = NULL;
	domain = amd_iommu_ops.domain_alloc_paging_flags(&ctx->device[0]->dev, 0, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	return domain;
}

static int attach(struct kunit *test, int device, struct iommu_domain *domain)
{
	struct context *ctx = test->priv;

	return domain->ops->attach_dev(domain, &ctx->device[device]->dev, NULL);
}

static void detach(struct kunit *test, int device)
{
	struct context *ctx = test->priv;

	KUNIT_EXPECT_EQ(test, attach(test, device, amd_iommu_ops.blocked_domain), 0);
	KUNIT_EXPECT_PTR_EQ(test, ctx->device[device]->dev_data.domain, NULL);
}

/* A page of the driver, to look at when it may have been freed: then there is one user. */
static struct folio *page_init(struct kunit *test)
{
	void *page = iommu_alloc_pages_sz(GFP_KERNEL, SZ_4K);

	KUNIT_ASSERT_NOT_NULL(test, page);
	folio_get(virt_to_folio(page));
	return virt_to_folio(page);
}

/* The first INVALIDATE_IOMMU_PAGES is for all pages, and for the tables above them. */
static void expect_all_pages(struct kunit *test, const struct fake *fake, u16 domid,
			     ioasid_t pasid, bool gn)
{
	const struct iommu_cmd *cmd = find(fake, CMD_INV_IOMMU_PAGES, NULL);

	KUNIT_ASSERT_NOT_NULL(test, cmd);
	KUNIT_EXPECT_EQ(test, pages_domid(cmd), domid);
	KUNIT_EXPECT_EQ(test, cmd->data[0], gn ? pasid : 0);
	KUNIT_EXPECT_EQ(test, cmd_address(cmd), CMD_INV_IOMMU_ALL_PAGES_ADDRESS & ~0xfffULL);
	KUNIT_EXPECT_TRUE(test, cmd->data[2] & CMD_INV_IOMMU_PAGES_PDE_MASK);
	KUNIT_EXPECT_EQ(test, !!(cmd->data[2] & CMD_INV_IOMMU_PAGES_GN_MASK), gn);
}

/* After a failed detach, neither the page table, nor parts of it, nor the ID are reused. */
static void attach_kept(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct pt_iommu_amdv1_hw_info info;
	struct iommu_iotlb_gather gather;
	struct folio *top, *part;
	struct iommu_domain *domain;
	int kept, id, next;

	for (kept = 0; kept < 2; kept++) {
		domain = domain_init(test);
		id = to_pdomain(domain)->id;
		pt_iommu_amdv1_hw_info(&to_pdomain(domain)->amdv1, &info);
		top = pfn_folio(PHYS_PFN(info.host_pt_root));
		folio_get(top);
		KUNIT_EXPECT_EQ(test, attach(test, 0, domain), 0);
		if (kept)
			ctx->fake[0]->sem = 0;
		detach(test, 0);

		/* An unmap that has nobody left to flush for. */
		part = page_init(test);
		iommu_iotlb_gather_init(&gather);
		gather.start = 0;
		gather.end = SZ_4K - 1;
		iommu_pages_list_add(&gather.freelist, folio_address(part));
		domain->ops->iotlb_sync(domain, &gather);
		KUNIT_EXPECT_EQ(test, folio_ref_count(part), 1 + kept);
		folio_put(part);

		domain->ops->free(domain);
		KUNIT_EXPECT_EQ(test, folio_ref_count(top), 1 + kept);
		folio_put(top);
		next = amd_iommu_pdom_id_alloc();
		KUNIT_EXPECT_EQ(test, next != id, kept);
		amd_iommu_pdom_id_free(next);
	}
}

/* What was unmapped between a detach that failed and an attach to the same domain is flushed. */
static void attach_kept_again(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct iommu_domain *domain = domain_init(test);

	KUNIT_EXPECT_EQ(test, attach(test, 0, domain), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 0);
	ctx->fake[0]->sem = 0;
	detach(test, 0);
	KUNIT_EXPECT_EQ(test, attach(test, 0, domain), -EIO);
	KUNIT_EXPECT_PTR_EQ(test, ctx->device[0]->dev_data.domain, NULL);

	ctx->fake[0]->sem = 1000;
	fake_reset(ctx);
	KUNIT_EXPECT_EQ(test, attach(test, 0, domain), 0);
	expect_all_pages(test, ctx->fake[0], to_pdomain(domain)->id, IOMMU_NO_PASID, false);
	detach(test, 0);
	domain->ops->free(domain);
}

/* The table of PASIDs and its ID are kept with the domain, but not those of other devices. */
static void attach_kept_gcr3(struct kunit *test)
{
	/* Behind different IOMMUs. */
	static const int devices[] = { 0, NR_DEVICES - 1 };
	struct context *ctx = test->priv;
	struct folio *table[ARRAY_SIZE(devices)];
	int own = amd_iommu_pdom_id_alloc();
	int i, next;
	u64 *gcr3;

	KUNIT_ASSERT_GT(test, own, 0);
	ctx->other.id = 1;
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		struct iommu_dev_data *dev_data = &ctx->device[devices[i]]->dev_data;

		table[i] = page_init(test);
		dev_data->gcr3_info = (struct gcr3_tbl_info) {
			.gcr3_tbl = folio_address(table[i]),
			.domid = i ? ctx->other.id : own,
			.shared = i,
			.pasid_cnt = !i,
		};
		dev_data->attachment = link(test, &ctx->other, devices[i], IOMMU_NO_PASID,
					    dev_data->gcr3_info.domid, IOMMU_ATTACH_OWN);
		dev_data->domain = &ctx->other;
	}
	gcr3 = folio_address(table[0]);
	gcr3[3] = GCR3_VALID;
	ctx->device[0]->dev_data.ats_enabled = 1;
	ctx->fake[0]->sem = 0;
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		detach(test, devices[i]);
		KUNIT_EXPECT_EQ(test, folio_ref_count(table[i]), i ? 1 : 2);
		/* What it says of PASIDs does not outlive them. */
		if (!i)
			KUNIT_EXPECT_EQ(test, gcr3[3], 0);
		folio_put(table[i]);
	}
	next = amd_iommu_pdom_id_alloc();
	KUNIT_EXPECT_NE(test, next, own);
	amd_iommu_pdom_id_free(next);

	/* A PASID of a domain that is kept is flushed by its tag. */
	ctx->fake[0]->sem = 1000;
	fake_reset(ctx);
	link(test, &ctx->other, 0, 3, 20, IOMMU_ATTACH_OWN);
	expect_all_pages(test, ctx->fake[0], 20, 3, true);

	/* The device is aside, and not blocked, as the detach has failed: a flush does that. */
	fake_reset(ctx);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->other, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_DEV_ENTRY), 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 0);
}

/* The flush of a PASID that goes refuses a silent device, too, as the pages are freed next. */
static void attach_sva_silent(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct iommu_dev_data *dev_data = &ctx->device[0]->dev_data;
	struct dev_table_entry *dte = &ctx->fake[0]->dtes[DEVID(0)];
	struct amd_iommu_attachment *attachment;

	ctx->other.domain.type = IOMMU_DOMAIN_SVA;
	dev_data->ats_enabled = 1;
	dev_data->gcr3_info.pasid_cnt = 1;
	ctx->device[0]->gcr3[3] = GCR3_VALID;
	attachment = link(test, &ctx->other, 0, 3, 20, IOMMU_ATTACH_OWN);
	dte->data[1] = DTE_FLAG_IOTLB | 1;
	iommu_attach_set_aside(&dev_data->endpoint);
	amd_iommu_domain_clear_pasid(&ctx->other, attachment);
	KUNIT_EXPECT_EQ(test, ctx->device[0]->gcr3[3], 0);
	KUNIT_EXPECT_EQ(test, dev_data->gcr3_info.pasid_cnt, 0);
	KUNIT_EXPECT_EQ(test, dte->data[1], 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 0);
}

/* A device that is to be reset has lost its table and its ATS when its PASIDs go. */
static void attach_sva_reset(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct iommu_dev_data *dev_data = &ctx->device[0]->dev_data;
	struct amd_iommu_attachment *attachment;
	struct folio *table = page_init(test);

	ctx->other.domain.type = IOMMU_DOMAIN_SVA;
	ctx->domain.pd_mode = PD_MODE_V2;
	dev_data->ats_enabled = 1;
	dev_data->gcr3_info = (struct gcr3_tbl_info) {
		.gcr3_tbl = folio_address(table), .domid = 20, .shared = true, .pasid_cnt = 1,
	};
	dev_data->domain = &ctx->domain;
	dev_data->attachment = link(test, &ctx->domain, 0, IOMMU_NO_PASID, 20, IOMMU_ATTACH_OWN);
	attachment = link(test, &ctx->other, 0, 3, 20, IOMMU_ATTACH_OWN);
	detach(test, 0);
	KUNIT_EXPECT_EQ(test, folio_ref_count(table), 1);
	folio_put(table);
	/* The entry refuses the ATC of the device, which may not answer. */
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_DEV_ENTRY), 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 1);
	expect_all_pages(test, ctx->fake[0], 20, IOMMU_NO_PASID, true);

	fake_reset(ctx);
	amd_iommu_domain_clear_pasid(&ctx->other, attachment);
	KUNIT_EXPECT_EQ(test, dev_data->gcr3_info.pasid_cnt, 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 1);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOTLB_PAGES), 0);
}

static struct late {
	struct timer_list timer;
	struct fake *fake;
	struct iommu_dev_data *dev_data;
	unsigned long since;		/* @queued was first seen */
	u64 queued;
	unsigned int rounds;		/* left */
	unsigned int done;		/* commands */
	u16 silent;			/* the device, or 0: all commands are late */
	bool named;			/* in the event log */
} late;

/* As the thread that reads the event log: one event, about the device. */
static void late_event(struct timer_list *timer)
{
	iommu_attach_set_aside(&late.dev_data->endpoint);
	writel(EVTLOG_ENTRY_SIZE, late.fake->iommu.mmio_base + MMIO_EVT_HEAD_OFFSET);
}

/* An event that is in the log before an attach does not set the device aside after it. */
static void attach_late_event(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct iommu_dev_data *dev_data = &ctx->device[0]->dev_data;
	void __iomem *mmio = ctx->fake[0]->iommu.mmio_base;

	late.fake = ctx->fake[0];
	late.dev_data = dev_data;
	late.fake->iommu.int_enabled = true;
	dev_data->ats_enabled = 1;
	writel(0, mmio + MMIO_EVT_HEAD_OFFSET);
	writel(EVTLOG_ENTRY_SIZE, mmio + MMIO_EVT_TAIL_OFFSET);
	timer_setup(&late.timer, late_event, 0);
	mod_timer(&late.timer, jiffies + HZ / 50 + 1);
	mutex_lock(&dev_data->mutex);
	amd_iommu_resume_device(dev_data);
	mutex_unlock(&dev_data->mutex);
	while (timer_pending(&late.timer))
		cpu_relax();
	timer_shutdown_sync(&late.timer);
	KUNIT_EXPECT_EQ(test, readl(mmio + MMIO_EVT_HEAD_OFFSET), EVTLOG_ENTRY_SIZE);
	KUNIT_EXPECT_FALSE(test, iommu_attach_is_aside(&dev_data->endpoint));
}

/* The IOMMU executes what is in the buffer, now and then. */
static void late_room(struct timer_list *timer)
{
	struct amd_iommu *iommu = &late.fake->iommu;

	raw_spin_lock(&iommu->lock);
	writel(iommu->cmd_buf_tail, iommu->mmio_base + MMIO_CMD_HEAD_OFFSET);
	WRITE_ONCE(late.fake->sem, iommu->cmd_sem_val);
	raw_spin_unlock(&iommu->lock);
	if (--late.rounds)
		mod_timer(timer, jiffies + HZ / 50 + 1);
}

/*
 * A flush that finds no room for all of its commands sends them again, all of them, and does
 * not leave any behind: the last of them was waited for.
 */
static void attach_full(struct kunit *test)
{
	const struct iommu_cmd cmd = { .data = { 0, CMD_INV_DEV_ENTRY << 28 } };
	struct context *ctx = test->priv;
	struct fake *fake = ctx->fake[0];
	unsigned int i, tail;

	amd_iommu_np_cache = true;
	link(test, &ctx->domain, 0, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	fake->sem = 0;
	late.fake = fake;
	late.rounds = 100;
	for (i = 0; i < CMD_BUFFER_ENTRIES - 12; i++)
		KUNIT_ASSERT_EQ(test, amd_iommu_queue(&fake->iommu, &cmd, 1), 0);
	timer_setup(&late.timer, late_room, 0);
	mod_timer(&late.timer, jiffies + HZ / 50 + 1);
	/* 52 pieces, of which 8 are queued at first. */
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0x1000, U64_MAX, 0), 0);
	timer_shutdown_sync(&late.timer);
	/* Behind those, a completion wait, and at the begin of the buffer all of them. */
	tail = fake_tail(fake);
	KUNIT_EXPECT_EQ(test, fake->buf[CMD_BUFFER_ENTRIES - 12 + 8].data[1] >> 28,
			CMD_COMPL_WAIT);
	KUNIT_EXPECT_EQ(test, (CMD_BUFFER_ENTRIES - 12 + 8 + 1 + 52 + 1) % CMD_BUFFER_ENTRIES,
			tail);
	KUNIT_EXPECT_EQ(test, fake->buf[tail - 1].data[1] >> 28, CMD_COMPL_WAIT);
	KUNIT_EXPECT_EQ(test, READ_ONCE(fake->sem), fake->iommu.cmd_sem_val);
}

/* A flush with more commands than the buffer has slots comes to an end. */
static void attach_big(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct fake *fake = ctx->fake[0];
	ioasid_t pasid;

	amd_iommu_np_cache = true;
	/* Each has its tag, and each tag takes 52 pieces. */
	for (pasid = 0; pasid < NR_PASIDS; pasid++)
		link(test, &ctx->domain, 0, pasid, 1, IOMMU_ATTACH_OWN);
	fake->sem = 0;
	late.fake = fake;
	late.rounds = 100;
	timer_setup(&late.timer, late_room, 0);
	mod_timer(&late.timer, jiffies + HZ / 50 + 1);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0x1000, U64_MAX, 0), 0);
	timer_shutdown_sync(&late.timer);
	/* Nothing was sent twice. */
	KUNIT_EXPECT_EQ(test, fake->iommu.cmd_sem_val, 1);
	KUNIT_EXPECT_EQ(test, fake_tail(fake), (NR_PASIDS * 52 + 1) % CMD_BUFFER_ENTRIES);
	KUNIT_EXPECT_EQ(test, READ_ONCE(fake->sem), fake->iommu.cmd_sem_val);
}

/* A full buffer that stays full is an error. */
static void attach_full_stuck(struct kunit *test)
{
	const struct iommu_cmd cmd = { .data = { 0, CMD_INV_DEV_ENTRY << 28 } };
	struct context *ctx = test->priv;
	struct fake *fake = ctx->fake[0];
	unsigned int i;

	link(test, &ctx->domain, 0, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	fake->sem = 0;
	for (i = 0; i < CMD_BUFFER_ENTRIES - 1; i++)
		KUNIT_ASSERT_EQ(test, amd_iommu_queue(&fake->iommu, &cmd, 1), 0);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), -EIO);
}

/* The next number is stored. */
static void late_number(struct timer_list *timer)
{
	WRITE_ONCE(late.fake->sem, late.fake->sem + 1);
	mod_timer(timer, jiffies + 2 * HZ);
}

/* A flush behind others that take seconds waits for them. */
static void attach_busy(struct kunit *test)
{
	const struct iommu_cmd cmd = { .data = { 0, CMD_INV_DEV_ENTRY << 28 } };
	struct context *ctx = test->priv;
	u64 seq = 0;
	int i;

	link(test, &ctx->domain, 0, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	late.fake = ctx->fake[0];
	late.fake->sem = 0;
	for (i = 0; i < 2; i++)
		KUNIT_ASSERT_EQ(test, amd_iommu_submit(&late.fake->iommu, &cmd, 1, &seq), 0);
	timer_setup(&late.timer, late_number, 0);
	mod_timer(&late.timer, jiffies + 2 * HZ);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), 0);
	timer_shutdown_sync(&late.timer);
	KUNIT_EXPECT_EQ(test, late.fake->sem, seq + 1);
}

static bool late_asked(void)
{
	unsigned int i;

	for (i = late.done; i < fake_tail(late.fake); i++) {
		const u32 *word = late.fake->buf[i].data;

		if (word[1] >> 28 == CMD_INV_IOTLB_PAGES && (word[0] & 0xffff) == late.silent)
			return true;
	}
	return !late.silent;
}

/*
 * As if a device did not answer for a second: what is queued completes after that, however
 * late the timers of a busy machine are.
 */
static void late_done(struct timer_list *timer)
{
	struct amd_iommu *iommu = &late.fake->iommu;
	u64 queued, seq;

	raw_spin_lock(&iommu->lock);
	queued = iommu->cmd_sem_val;
	if (late.queued != queued) {
		late.queued = queued;
		late.since = jiffies;
	} else if (!late_asked() || time_after(jiffies, late.since + HZ)) {
		late.done = fake_tail(late.fake);
		raw_spin_unlock(&iommu->lock);
		/* Another one is always in front of the flush. */
		if (late.rounds && !--late.rounds)
			late.silent = U16_MAX;
		if (late.rounds)
			amd_iommu_try_submit(iommu, late.fake->buf, 1, &seq);
		WRITE_ONCE(late.fake->sem, queued);
		raw_spin_lock(&iommu->lock);
	} else if (late.named && time_after(jiffies, late.since + HZ / 2)) {
		amd_iommu_silent(iommu, late.silent);
	}
	raw_spin_unlock(&iommu->lock);
	mod_timer(timer, jiffies + HZ / 50 + 1);
}

/* Two devices with ATS, behind an IOMMU that executes what it gets. */
static void late_begin(struct kunit *test, u16 silent)
{
	struct context *ctx = test->priv;
	int i;

	for (i = 0; i < 2; i++) {
		ctx->device[i]->dev_data.ats_enabled = 1;
		ctx->fake[0]->dtes[DEVID(i)].data[1] = DTE_FLAG_IOTLB | 1;
		link(test, &ctx->domain, i, IOMMU_NO_PASID, 1, IOMMU_ATTACH_OWN);
	}
	ctx->fake[0]->sem = 0;
	late = (struct late){ .fake = ctx->fake[0], .silent = silent };
	timer_setup(&late.timer, late_done, 0);
	mod_timer(&late.timer, jiffies + 1);
}

/* Only device 0 is aside, or none is. */
static void late_end(struct kunit *test, bool aside)
{
	struct context *ctx = test->priv;
	int i;

	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, iommu_attach_is_aside(&ctx->device[i]->dev_data.endpoint),
				aside && !i);
		KUNIT_EXPECT_EQ(test, ctx->fake[0]->dtes[DEVID(i)].data[1],
				aside && !i ? 1 : DTE_FLAG_IOTLB | 1);
	}
	timer_shutdown_sync(&late.timer);
	ctx->fake[0]->sem = ctx->fake[0]->iommu.cmd_sem_val;
}

static unsigned int count_atc(const struct fake *fake, u16 devid)
{
	const struct iommu_cmd *cmd = NULL;
	unsigned int nr = 0;

	while ((cmd = find(fake, CMD_INV_IOTLB_PAGES, cmd)))
		nr += (cmd->data[0] & 0xffff) == devid;
	return nr;
}

/* A completion wait that is late does not say that the ATC is clean: without ATCs it does. */
static void attach_late(struct kunit *test)
{
	struct context *ctx = test->priv;

	late_begin(test, 0);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_map(&ctx->domain, 0, 0xfff), 0);
	KUNIT_EXPECT_EQ(test, count(ctx->fake[0], CMD_INV_IOMMU_PAGES), 1);

	/* No event names the device: it is found, and refused. */
	late.silent = DEVID(0);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_GT(test, count_atc(ctx->fake[0], DEVID(0)), 1);
	late_end(test, true);
}

/* The device that the event log names is not sent to again, and no other one is asked alone. */
static void attach_late_named(struct kunit *test)
{
	struct context *ctx = test->priv;

	late_begin(test, DEVID(0));
	late.named = true;
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_EQ(test, count_atc(ctx->fake[0], DEVID(0)), 1);
	KUNIT_EXPECT_EQ(test, count_atc(ctx->fake[0], DEVID(1)), 2);
	late_end(test, true);
}

/* A device is not set aside for the time that the commands of others take in front of its own. */
static void attach_late_others(struct kunit *test)
{
	const struct iommu_cmd cmd = { .data = { 0, CMD_INV_DEV_ENTRY << 28 } };
	struct context *ctx = test->priv;
	u64 seq;

	late_begin(test, 0);
	late.rounds = 8;
	KUNIT_ASSERT_EQ(test, amd_iommu_submit(&ctx->fake[0]->iommu, &cmd, 1, &seq), 0);
	KUNIT_EXPECT_EQ(test, amd_iommu_domain_flush_pages(&ctx->domain, 0, 0xfff, 0), 0);
	KUNIT_EXPECT_EQ(test, late.rounds, 0);
	late_end(test, false);
}

static struct kunit_case attach_cases[] = {
	KUNIT_CASE(attach_one_command),
	KUNIT_CASE(attach_left),
	KUNIT_CASE(attach_atc),
	KUNIT_CASE(attach_pieces),
	KUNIT_CASE(attach_v2),
	KUNIT_CASE(attach_sva),
	KUNIT_CASE(attach_nest),
	KUNIT_CASE(attach_change_top),
	KUNIT_CASE(attach_silent),
	KUNIT_CASE(attach_aside),
	KUNIT_CASE(attach_alias),
	KUNIT_CASE(attach_sva_silent),
	KUNIT_CASE(attach_sva_reset),
	KUNIT_CASE(attach_late_event),
	KUNIT_CASE(attach_full),
	KUNIT_CASE(attach_big),
	KUNIT_CASE_SLOW(attach_full_stuck),
	KUNIT_CASE_SLOW(attach_stuck),
	KUNIT_CASE_SLOW(attach_kept),
	KUNIT_CASE_SLOW(attach_kept_again),
	KUNIT_CASE_SLOW(attach_kept_gcr3),
	KUNIT_CASE_SLOW(attach_busy),
	KUNIT_CASE_SLOW(attach_late),
	KUNIT_CASE_SLOW(attach_late_named),
	KUNIT_CASE_SLOW(attach_late_others),
	{}
};

static struct kunit_suite attach_suite = {
	.name = "iommu_alist_amd_attach",
	.init = attach_init,
	.exit = attach_exit,
	.test_cases = attach_cases,
};

kunit_test_suite(attach_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for the attachments and flushes of AMD-Vi");
