// SPDX-License-Identifier: GPL-2.0-only
/* What programs see is laid out as the library has it; nothing but that. */
#include "iommu-alist.h"
#include "layout.h"
