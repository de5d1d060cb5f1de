// SPDX-License-Identifier: GPL-2.0-only

@domain_lookup_dev_info@
@@
- static struct device_domain_info *domain_lookup_dev_info(...) { ... }
