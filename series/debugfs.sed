# SPDX-License-Identifier: GPL-2.0-only
# Hooks are lines of their own.
s/ \|\| IS_ENABLED\(CONFIG_IOMMU_ALIST_DEBUGFS\)//
/^#ifdef CONFIG_IOMMU_ALIST_DEBUGFS$/,/^#endif$/d
/^\/\* A list is shown from/,/^#endif$/{
/^#endif$/N
d
}
/^\tiommu_attach_debugfs_/d
/^# What iommu\/alist\/ in debugfs/,$d
/^With ``CONFIG_IOMMU_DEBUGFS``/,/^Testing$/{
/^Testing$/!d
}
