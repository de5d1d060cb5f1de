/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VTD_INTEL_TRACE_H
#define VTD_INTEL_TRACE_H

#define trace_qi_submit_enabled()	false
#define trace_qi_submit(iommu, qw0, qw1, qw2, qw3)			\
	((void)(iommu), (void)(qw0), (void)(qw1), (void)(qw2), (void)(qw3))

#endif
