#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The examples as other people's projects: with CMake and with Meson on the installed library,
# with Meson and this tree as a subproject, which leaves nothing installed but the library.
# Then the library alone, without what only tools and tests need, is installed and removed.
#
# projects.sh BUILD-DIR SANITIZERS. CC is the compiler.
set -eu
build=$1
sanitize=$2
src=$(cd "$(dirname "$0")/../.." && pwd)
work=$build/projects
: "${CC:=cc}"
export CC

rm -rf "$work"
mkdir -p "$work"
cd "$work"

fail()
{
	echo "$*"
	exit 1
}

# quietly COMMAND...: what it says matters if it fails.
quietly()
{
	"$@" >log 2>&1 || { cat log; fail "failed: $*"; }
}

nr=$(ls "$src"/doc/examples/*.c | wc -l)
flags=
[ "$sanitize" = none ] || flags="-fsanitize=$sanitize"
export CFLAGS="$flags" LDFLAGS="$flags"

quietly meson install -C "$build" --no-rebuild --destdir "$work/dest"
pc=$(find "$work/dest" -name libiommu-alist.pc)
pkg_config()
{
	env PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$work/dest" "$@"
}
LD_LIBRARY_PATH=$(pkg_config pkg-config --variable=libdir libiommu-alist)
export LD_LIBRARY_PATH

cp -r "$src/doc/examples" project
if command -v cmake >/dev/null; then
	quietly pkg_config cmake -S project -B cmake
	quietly cmake --build cmake
	(cd cmake && quietly ctest)
	grep -q "100% tests passed, 0 tests failed out of $nr" cmake/log || fail "$(cat cmake/log)"
else
	echo "without CMake"
fi

quietly pkg_config meson setup project meson
quietly meson test -C meson
grep -q "^Ok: *$nr *$" log || fail "$(cat log)"
readelf -d meson/first | grep -q 'NEEDED.*\[libiommu-alist\.so\.1\]' ||
	fail "the installed library is not used"

mkdir project/subprojects
cp "$src/lib/libiommu-alist.wrap" project/subprojects
ln -s "$src" project/subprojects/iommu-alist
quietly meson setup project subproject --wrap-mode=forcefallback
quietly meson test -C subproject
grep -q "^Ok: *$nr *$" log || fail "$(cat log)"
quietly meson install -C subproject --destdir "$work/dest-subproject"
[ -n "$(find dest-subproject -name 'libiommu-alist.so.1')" ] || fail "no library is installed"
[ -z "$(find dest-subproject -path '*/bin/*')" ] || fail "tools are installed"

# The library alone, under the prefix that is asked for, and gone again.
quietly meson setup "$src" alone -Dtools=false -Dtests=false --prefix="$work/prefix"
quietly meson install -C alone
[ -n "$(find prefix -name 'libiommu-alist.so.1')" ] || fail "PREFIX is not respected"
quietly ninja -C alone uninstall
left=$(find . -path './prefix/*' ! -type d)
[ -z "$left" ] || fail "uninstall leaves" $left
echo "$nr examples in each of the projects"
