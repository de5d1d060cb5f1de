#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# arm64.sh COMPILER: on arm64 the barrier between two reads of what a device writes goes beyond
# the CPUs. Only compiled, and without a C library for arm64.
set -eu
src=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/sys"
: >"$work/sys/cdefs.h"
printf '#include <linux/compiler.h>\nvoid barrier_of_reads(void) { dma_rmb(); }\n' >"$work/read.c"
"$@" -O2 -I "$work" -I "$src/shim/linux/custom" -S -o "$work/read.s" "$work/read.c"
grep -q 'dmb[[:space:]]*oshld' "$work/read.s" || { echo "dma_rmb() is no dmb oshld"; exit 1; }
