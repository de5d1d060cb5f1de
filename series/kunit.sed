# SPDX-License-Identifier: GPL-2.0-only
/^config IOMMU_ALIST_KUNIT_TEST$/,/If unsure/d
/^``CONFIG_IOMMU_ALIST_KUNIT_TEST``/,/^With/{
/^With/!d
}
