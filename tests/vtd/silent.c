// SPDX-License-Identifier: GPL-2.0-only
/* The part of attach.c that the queue calls. */
#include "iommu.h"

static int cmp_sid(const void *key, const struct rb_node *node)
{
	const struct device_domain_info *info = rb_entry(node, struct device_domain_info, node);

	return *(const u16 *)key - PCI_DEVID(info->bus, info->devfn);
}

bool intel_iommu_silent(struct intel_iommu *iommu, u16 sid)
{
	struct rb_node *node = rb_find(&sid, &iommu->device_rbtree, cmp_sid);

	if (node)
		iommu_attach_set_aside(&rb_entry(node, struct device_domain_info, node)->endpoint);
	return node;
}
