# SPDX-License-Identifier: GPL-2.0-only
# Hooks are lines of their own.
/CREATE_TRACE_POINTS/,/^$/d
/^\ttrace_iommu_alist_/d
/iommu_attach_count\(/d
/flush\.count = /d
/struct iommu_attach_sent count;/d
/^\/\* What one flush has sent/,/^$/d
/^#if IS_ENABLED\(CONFIG_TRACEPOINTS\)/,/^$/d
/^Watching$/,/^Testing$/{
/^Testing$/!d
}
