# SPDX-License-Identifier: GPL-2.0-only
# Hooks are lines of their own.
/CREATE_TRACE_POINTS/,/^$/d
/^\ttrace_iommu_alist_/d
/iommu_attach_count\(/d
/^\tflush->count = /d
/^\t(const )?struct iommu_attach_count count/d
/^\t\/\* What is sent again is not counted again/d
/^\/\* What one flush has sent/,/^$/d
/^#if IS_ENABLED\(CONFIG_TRACEPOINTS\)/,/^$/d
/^#if IS_ENABLED\(CONFIG_IOMMU_ALIST_DEBUGFS\)$/,/^#endif$/d
/^void __iommu_attach_flush_account/{
N
/;$/d
}
/^void __iommu_attach_flush_account/,/^$/d
/^Watching$/,/^Testing$/{
/^Testing$/!d
}
