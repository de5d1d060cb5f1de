// SPDX-License-Identifier: GPL-2.0-only
// What qi.c keeps begins with 0.

@dmar_enable_qi@
@@
  dmar_enable_qi(...) {
  ...
- iommu->qi = kmalloc_obj(*qi, GFP_ATOMIC);
+ iommu->qi = kzalloc_obj(*qi, GFP_ATOMIC);
  ...
  }
