// SPDX-License-Identifier: GPL-2.0-only
// An STE may lose EATS at any time.

@entry_set@
@@
  entry_set(...)
  {
	bool changed = false;
+	unsigned long flags;
	...
  }

@arm_smmu_install_ste_for_dev__export@
@@
  arm_smmu_install_ste_for_dev(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(arm_smmu_install_ste_for_dev);
