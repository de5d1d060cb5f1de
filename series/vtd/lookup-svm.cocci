// SPDX-License-Identifier: GPL-2.0-only
// The PASID entries of an mm are flushed together, and not under a lock.

@intel_mm_release@
identifier dev_pasid;
@@
  static void intel_mm_release(...)
  {
	...
-	struct dev_pasid_info *dev_pasid;
	...
  }
