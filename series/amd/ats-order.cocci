// SPDX-License-Identifier: GPL-2.0-only
// ATS goes off when no flush knows the device any more.

@detach_device@
identifier dev;
@@
  detach_device(struct device *dev)
  {
	...
	if (dev_is_pci(dev))
-		pdev_disable_caps(to_pci_dev(dev));
+		pdev_disable_cap_pri(to_pci_dev(dev));
	...
	dev_update_dte(...);
	...
  }
