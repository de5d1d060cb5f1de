#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The library's ABI is the committed one, lib/abi-ARCH.xml, by abidiff; and abidiff
# misses a function that the library has not. "abi.sh LIBRARY --update" writes that file
# anew, for when the ABI was changed on purpose.
set -u
lib=$1
dir=$(dirname "$0")/../lib
base=$dir/abi-$(uname -m).xml

skip()
{
	echo "skipped: $1"
	exit 77
}

command -v abidiff >/dev/null || skip "no abidiff (package abigail-tools)"
readelf -S "$lib" | grep -q '\.debug_info' || skip "$lib has no debug information"

if [ "${2-}" = --update ]; then
	abidw --no-comp-dir-path --no-corpus-path --no-show-locs --no-elf-needed \
		--exported-interfaces-only --out-file "$base" "$lib" &&
		sed -i "s, path='[^']*/\(kernel\|lib\|shim\)/, path='\1/," "$base"
	exit
fi

[ -f "$base" ] || skip "no $base: nobody has built for this machine yet"
abidiff --suppressions "$dir/abi.suppr" "$base" "$lib" || exit 1

wrong=$(mktemp)
trap 'rm -f "$wrong"' EXIT
sed 's/iommu_attach_drain/iommu_attach_gone/' "$base" >"$wrong"
if abidiff --suppressions "$dir/abi.suppr" "$wrong" "$lib" >/dev/null; then
	echo "abidiff does not miss iommu_attach_gone()"
	exit 1
fi
