// SPDX-License-Identifier: GPL-2.0-only
/*
 * What programs see is laid out as the library has it
 *
 * Includes the header as a program does, which no other file of the library does, and has
 * layout.h compare. There is no code in it.
 */
#include "iommu-alist.h"
#include "layout.h"
