// SPDX-License-Identifier: GPL-2.0-only

@intel_pasid_get_entry@
identifier dev, pasid;
typedef u32;
@@
- static struct pasid_entry *intel_pasid_get_entry(struct device *dev, u32 pasid)
+ struct pasid_entry *intel_pasid_get_entry(struct device *dev, u32 pasid)
  { ... }
