#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A program outside of this tree, with nothing but what "meson install" has put under
# DESTDIR, and pkg-config: every example prints what it is to print, the header is plain
# C and C++ that takes no name from the program, misuse is told and does no harm, and the
# programs of tests/api/ find no surprise.
#
# check.sh BUILD-DIR SANITIZERS. CC and CXX are the compilers.
set -eu
build=$1
sanitize=$2
src=$(cd "$(dirname "$0")/../.." && pwd)
: "${CC:=cc}" "${CXX:=c++}"

dest=$build/installed
work=$dest.work
rm -rf "$dest" "$work"
mkdir -p "$work"
meson install -C "$build" --no-rebuild --quiet --destdir "$dest"
cd "$work"

fail()
{
	echo "$*"
	exit 1
}

pc=$(find "$dest" -name libiommu-alist.pc)
[ -n "$pc" ] || fail "no libiommu-alist.pc is installed"
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$dest"
cflags="-g -Wall -Wextra -Wshadow -Werror $(pkg-config --cflags libiommu-alist)"
[ "$sanitize" = none ] || cflags="$cflags -fsanitize=$sanitize"
shared="$(pkg-config --libs libiommu-alist) -pthread"
static="$(pkg-config --libs --static libiommu-alist | sed 's/-liommu-alist/-l:libiommu-alist.a/') -pthread"
LD_LIBRARY_PATH=$(pkg-config --variable=libdir libiommu-alist)
export LD_LIBRARY_PATH

# The header needs and shows nothing else.
header=$(find "$dest" -name iommu-alist.h)
[ "$(find "$dest" -path '*include*' -name '*.h' | wc -l)" = 1 ] ||
	fail "more than one header is installed"
printf '#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n' >std.c
printf '#include <iommu-alist.h>\n' | cat std.c - >header.c
for file in std header; do
	$CC $cflags -E -dM $file.c | sed 's/^#define \([A-Za-z0-9_]*\).*/\1/' | sort >$file.names
done
leaked=$(comm -13 std.names header.names | grep -v '^iommu_attach_\|^IOMMU_' || true)
[ -z "$leaked" ] || fail "macros of other names:" $leaked
[ "$(comm -13 std.names header.names | grep -c '^iommu_attach_')" -gt 5 ] ||
	fail "the macros of the header are not seen"

echo 'int main(void) { return 0; }' >>header.c
cp header.c header.cpp
for std in c99 c11 c17 gnu11; do
	$CC $cflags -std=$std -pedantic -c header.c -o header.o
done
for std in c++11 c++17 c++20; do
	$CXX $cflags -std=$std -pedantic -c header.cpp -o header.o
done

# run NAME: prints what NAME.out has.
run()
{
	./"$1" >"$1.got" || fail "$1 ($2) returns $?"
	diff -u "$src/doc/examples/$1.out" "$1.got" || fail "$1 ($2) prints something else"
}

nr=0
for example in "$src"/doc/examples/*.c; do
	name=$(basename "$example" .c)
	$CC $cflags -std=c99 -pedantic "$example" -o "$name" $shared
	readelf -d "$name" | grep -q 'NEEDED.*\[libiommu-alist\.so\.1\]' ||
		fail "$name needs no libiommu-alist.so.1"
	run "$name" shared
	$CC $cflags -std=c99 -pedantic "$example" -o "$name" $static
	readelf -d "$name" | grep -q 'NEEDED.*libiommu-alist' &&
		fail "$name is not linked statically"
	run "$name" static
	nr=$((nr + 1))
done
[ $nr -gt 0 ] || fail "no examples"

for libs in "$shared" "$static"; do
	$CC $cflags "$src/tests/install/names.c" -o names $libs
	./names || fail "a program's own names get in the way: names.c, $libs"
	$CXX $cflags -std=c++11 -pedantic "$src/tests/cxx/header.cpp" -o cxx $libs
	./cxx || fail "C++: header.cpp, $libs"
	$CXX $cflags -std=c++11 -pedantic "$src/tests/cxx/names.cpp" -o cxx $libs
	./cxx || fail "C++: names.cpp, $libs"

	for name in allocator cancelled counters deferred early forked interrupted many misuse pointers raced release sandbox signals slow; do
		# The memory and threads of sanitizers do not survive a fork beside other threads, nor
		# their view of the stack a thread that is cancelled. They have an allocator already.
		case $name in
		allocator | cancelled | deferred | forked | interrupted) [ "$sanitize" = none ] || continue
		esac
		$CC $cflags "$src/tests/api/$name.c" -o $name $libs
		./$name >$name.got 2>$name.err || fail "$name.c, $libs: $(cat $name.got $name.err)"
	done

	# Without a hook a message is on standard error: once for each place; with the
	# expensive checks each time; or the first one is fatal.
	[ "$(grep -c '^libiommu-alist: iommu_attach_add(): ' misuse.err)" = 1 ] ||
		fail "misuse.c: $(cat misuse.err)"
	IOMMU_ALIST_DEBUG=1 ./misuse checks 2>misuse.err || fail "misuse.c: $(cat misuse.err)"
	[ "$(grep -c '^libiommu-alist: iommu_attach_add(): ' misuse.err)" = 2 ] ||
		fail "misuse.c: $(cat misuse.err)"
	! (IOMMU_ALIST_DEBUG=fatal ./misuse) 2>misuse.err || fail "misuse.c goes on"
	[ "$(grep -c '^libiommu-alist: ' misuse.err)" = 1 ] || fail "misuse.c: $(cat misuse.err)"

	if pkg-config --exists liburcu-memb; then
		$CC $cflags "$src/tests/api/registered.c" -o registered $libs \
			$(pkg-config --libs liburcu-memb)
		./registered || fail "registered.c, $libs"
	fi
done

# Probes, if the library was built with them: all or none.
so=$(find "$dest" -name 'libiommu-alist.so.*.*.*')
probes=$(readelf -n "$so" | sed -n '/Provider: iommu_alist/{n;s/.*Name: //p}' | sort -u | tr '\n' ' ')
[ -z "$probes" ] || [ "$probes" = "add atc del drain fence flush silent " ] ||
	fail "probes: $probes"

# Two copies in a process, and a plugin that goes.
if [ "$sanitize" = none ]; then
	$CC $cflags -fPIC -shared "$src/tests/api/plugin.c" -o plugin-shared.so $shared
	$CC $cflags -fPIC -shared "$src/tests/api/plugin.c" -o plugin-static.so $static
	# Linked in another way than pkg-config says, it is unloaded.
	bare=$(echo "$static" | sed 's/-Wl,-z,nodelete//')
	[ "$bare" != "$static" ] || fail "pkg-config --static has no -z nodelete"
	$CC $cflags -fPIC -shared "$src/tests/api/plugin.c" -o plugin-bare.so $bare
	$CC $cflags "$src/tests/api/host.c" -o host-none -pthread
	$CC $cflags -DHOST_COPY "$src/tests/api/host.c" -o host-shared $shared
	$CC $cflags -DHOST_COPY "$src/tests/api/host.c" -o host-static $static
	$CC $cflags -DHOST_COPY -rdynamic "$src/tests/api/host.c" -o host-exports $static
	for host in none shared static exports; do
		for plugin in shared static bare; do
			./host-$host ./plugin-$plugin.so || fail "host-$host, plugin-$plugin"
		done
	done
fi

# Sanitizers have an allocator of their own, and nothing for -static.
if [ "$sanitize" = none ]; then
	$CC $cflags -static "$src/doc/examples/first.c" -o first \
		$(pkg-config --libs --static libiommu-alist)
	run first -static
	for libs in "$shared" "$static"; do
		$CC $cflags "$src/tests/install/nomem.c" -o nomem $libs
		./nomem || fail "nomem.c, $libs"
	done
fi

"$src/tests/man.py" "$dest" || fail "the manual pages are not right"
echo "$nr examples, shared and static, $CC and $CXX"
