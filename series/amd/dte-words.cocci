// SPDX-License-Identifier: GPL-2.0-only
// Device table entries are written under the lock, and flushed by the caller.

@update_dte256@
@@
- static void update_dte256(...) { ... }

@write_dte_lower128@
@@
  static void write_dte_lower128(...) { ... }
+
+ static void update_dte256(struct amd_iommu *iommu, struct iommu_dev_data *dev_data,
+			  struct dev_table_entry *new)
+ {
+	struct dev_table_entry *dte = &get_dev_table(iommu)[dev_data->devid];
+	struct dev_table_entry blocked = { };
+	bool was_guest, is_guest, lower_first;
+	unsigned long flags;
+
+	spin_lock_irqsave(&dev_data->dte_lock, flags);
+	was_guest = dte->data[0] & DTE_FLAG_V && dte->data[0] & DTE_FLAG_GV;
+	is_guest = new->data[0] & DTE_FLAG_V && new->data[0] & DTE_FLAG_GV;
+
+	/*
+	 * The IOMMU reads the entry as a whole, but it takes two writes. V and GV are in the
+	 * lower half: it goes last to set them, and first to clear them. The number of guest
+	 * levels is in the upper half, and must not change under GV. Only a nested attach
+	 * does that; it holds dev_data->mutex and no lock.
+	 */
+	if (was_guest && is_guest && FIELD_GET(DTE_GPT_LEVEL_MASK, dte->data[2] ^ new->data[2])) {
+		blocked.data[0] = DTE_FLAG_V;
+		write_dte_lower128(dte, &blocked);
+		spin_unlock_irqrestore(&dev_data->dte_lock, flags);
+		iommu_flush_dte_sync(iommu, dev_data->devid);
+		spin_lock_irqsave(&dev_data->dte_lock, flags);
+		was_guest = false;
+	}
+
+	lower_first = was_guest || !(new->data[0] & DTE_FLAG_V);
+	if (lower_first)
+		write_dte_lower128(dte, new);
+	write_dte_upper128(dte, new);
+	if (!lower_first)
+		write_dte_lower128(dte, new);
+	spin_unlock_irqrestore(&dev_data->dte_lock, flags);
+ }

@setup_aliases@
identifier iommu, dev, pdev, ivrs_alias;
@@
  setup_aliases(...)
  {
	...
	struct pci_dev *pdev = to_pci_dev(dev);
	...
	ivrs_alias = ...;
	...
	clone_aliases(iommu, dev);
+
+	/* The caller waits. */
+	pci_for_each_dma_alias(pdev, device_flush_dte_alias, iommu);
+	if (ivrs_alias != pci_dev_id(pdev))
+		iommu_flush_dte(iommu, ivrs_alias);
  }
