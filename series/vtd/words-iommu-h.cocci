// SPDX-License-Identifier: GPL-2.0-only
// All words of a descriptor are set where it is made.

@qi_desc_piotlb_all@
identifier desc;
@@
  qi_desc_piotlb_all(..., struct qi_desc *desc)
  {
	...
	desc->qw1 = 0;
+	desc->qw2 = 0;
+	desc->qw3 = 0;
  }

@qi_desc_piotlb@
identifier desc;
expression E;
@@
  qi_desc_piotlb(..., struct qi_desc *desc)
  {
	...
	desc->qw1 = E;
+	desc->qw2 = 0;
+	desc->qw3 = 0;
  }

@qi_desc_dev_iotlb_pasid@
identifier desc;
expression E;
@@
  qi_desc_dev_iotlb_pasid(..., struct qi_desc *desc)
  {
	...
	desc->qw0 = E;
+	desc->qw2 = 0;
+	desc->qw3 = 0;
	...
  }
