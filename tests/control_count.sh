#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# count.py and damage.py notice a command that alist does not count.
# Usage: control_count.sh ALIST LOG

here=$(dirname "$0")
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# An alist that does not see the second qi_submit of its log.
cat >"$tmp/alist" <<END
#!/bin/sh
for log; do :; done
awk '!/qi_submit:/ || ++n != 2' "\$log" | grep -v entries-in >"\$log.less"
"$1" "\$1" --json "\$log.less" >"\$log.out" 2>"\$log.err"
status=\$?
sed "s#\$log.less#\$log#" "\$log.out"
sed "s#\$log.less#\$log#" "\$log.err" >&2
exit \$status
END
chmod +x "$tmp/alist"
cp "$2" "$tmp/log.txt"
if python3 "$here/count.py" "$tmp/alist" "$tmp/log.txt" >"$tmp/out"; then
	echo "count.py does not notice a command that is not counted"
	exit 1
fi
grep -q 'in the log, alist says' "$tmp/out" || exit 1
if python3 "$here/damage.py" "$tmp/alist" 12 "$tmp/log.txt" >"$tmp/out"; then
	echo "damage.py does not notice a command that is not counted"
	exit 1
fi
grep -q 'in the log, alist says' "$tmp/out"
