// SPDX-License-Identifier: GPL-2.0-only
// Flushes look devices up in any context.

@device_rbtree_find@
expression iommu, flags;
@@
  device_rbtree_find(...)
  {
	...
-	spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
+	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	...
-	spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
+	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
	...
  }

@device_rbtree_insert@
expression iommu, flags;
@@
  device_rbtree_insert(...)
  {
	<+...
-	spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
+	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	...
-	spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
+	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
	...+>
  }

@device_rbtree_remove@
expression iommu, flags;
@@
  device_rbtree_remove(...)
  {
	<+...
-	spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
+	raw_spin_lock_irqsave(&iommu->device_rbtree_lock, flags);
	...
-	spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
+	raw_spin_unlock_irqrestore(&iommu->device_rbtree_lock, flags);
	...+>
  }

// The entry lets translation requests through only if the device answers.

@domain_context_mapping_one@
identifier domain, iommu, bus, devfn;
expression info, translation, context;
typedef u8;
@@
  domain_context_mapping_one(struct dmar_domain *domain, struct intel_iommu *iommu,
			     u8 bus, u8 devfn)
  {
	<+...
-	if (info && info->ats_supported)
-		translation = CONTEXT_TT_DEV_IOTLB;
-	else
-		translation = CONTEXT_TT_MULTI_LEVEL;
	...
-	context_set_translation_type(context, translation);
+	context_set_translation_type(context, CONTEXT_TT_MULTI_LEVEL);
	context_set_fault_enable(context);
-	context_set_present(context);
+	intel_context_set_present(iommu, info, context);
	...+>
  }

@domain_context_mapping_one__unused@
@@
  domain_context_mapping_one(...)
  {
	<+...
-	int translation = CONTEXT_TT_MULTI_LEVEL;
	...+>
  }

@identity_domain_attach_dev@
identifier info;
expression old, dev;
@@
  identity_domain_attach_dev(...)
  {
	<+...
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	...
	iopf_for_domain_remove(old, dev);
+	intel_iommu_resume(info);
	...+>
  }
