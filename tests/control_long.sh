#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# long.py notices a reader that keeps what it has read.
# Usage: control_long.sh LOG

here=$(dirname "$0")
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

cat >"$tmp/alist" <<'END'
#!/usr/bin/env python3
import sys
sys.stdin.buffer.read()
END
chmod +x "$tmp/alist"
if python3 "$here/long.py" "$tmp/alist" 16 "$1" >"$tmp/out"; then
	echo "long.py does not notice what is kept"
	exit 1
fi
grep -q '^not ok 1 replay' "$tmp/out"
