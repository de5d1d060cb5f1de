#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The command line from outside: what it prints, where, and how it exits.
# Usage: tool.sh ALIST DATA
#
# Exit codes: 0 done, 1 a check failed, 2 bad usage or input. Whatever fails writes a
# line that begins with "alist" on standard error and nothing on standard output.

alist=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
data=$2/traces
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0
echo "KTAP version 1"
echo "1..1"

ok() {
	passed=$((passed + 1))
	echo "    ok $((passed + failed)) $1"
}

not_ok() {
	failed=$((failed + 1))
	echo "    not ok $((passed + failed)) $1"
	echo "    # expected $2"
	sed 's/^/    # /' "$tmp/err"
}

# expect NAME CODE COMMAND...
expect() {
	name=$1 code=$2
	shift 2
	"$@" >"$tmp/out" 2>"$tmp/err"
	got=$?
	if [ "$got" -ne "$code" ]; then
		not_ok "$name" "exit $code, got $got"
	elif [ "$code" -eq 2 ] && [ -s "$tmp/out" ]; then
		not_ok "$name" "nothing on standard output"
	elif [ "$code" -eq 2 ] && ! grep -q '^alist' "$tmp/err"; then
		not_ok "$name" "a message that begins with alist"
	else
		ok "$name"
	fi
}

# said NAME PATTERN: on standard error by the last command
said() {
	if grep -q -- "$2" "$tmp/err"; then ok "$1"; else not_ok "$1" "$2 on standard error"; fi
}

# printed NAME PATTERN
printed() {
	if grep -q -- "$2" "$tmp/out"; then ok "$1"; else not_ok "$1" "$2 on standard output"; fi
}

# json NAME EXPRESSION: the last output is JSON of which the Python expression holds
json() {
	if python3 -c "import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not ($2))" "$tmp/out" 2>>"$tmp/err"; then ok "$1"; else not_ok "$1" "$2"; fi
}

# Usage

expect "no verb is bad usage" 2 "$alist"
expect "an unknown verb is bad usage" 2 "$alist" replya
said "an unknown verb is named" replya
expect "an unknown option is bad usage" 2 "$alist" replay --frobnicate x
expect "replay without a file is bad usage" 2 "$alist" replay
expect "show without a file is bad usage" 2 "$alist" show
expect "show of two files is bad usage" 2 "$alist" show a b
expect "demo with an argument is bad usage" 2 "$alist" demo a
expect "--iommus 0 is bad usage" 2 "$alist" replay --iommus 0 x
expect "--iommus 65 is bad usage" 2 "$alist" replay --iommus 65 x
expect "--at with no time is bad usage" 2 "$alist" show --at soon x
expect "--dot with --json is bad usage" 2 "$alist" show --dot --json x
expect "cost without a file is bad usage" 2 "$alist" cost
expect "cost --html of two files is bad usage" 2 "$alist" cost --html a b
expect "--top 0 is bad usage" 2 "$alist" cost --top 0 a
expect "compare of one file is bad usage" 2 "$alist" compare a
expect "compare of three files is bad usage" 2 "$alist" compare a b c
expect "record --time 0 is bad usage" 2 "$alist" record --time 0
for verb in "" cost compare record replay demo show; do
	# shellcheck disable=SC2086
	expect "alist $verb --help" 0 "$alist" $verb --help
	printed "alist $verb --help prints a usage" Usage:
	# shellcheck disable=SC2086
	expect "alist $verb --version" 0 "$alist" $verb --version
	printed "alist $verb --version prints it" '^alist [0-9]'
done
expect "the reasons are documented" 0 "$alist" replay --reasons
printed "unexplained is one of them" '^unexplained '

# completes NAME EXPECTED WORD...: what bash offers for the last word
completes() {
	name=$1 want=$2
	shift 2
	# shellcheck disable=SC2016
	got=$(cd "$tmp" && bash -c '. "$1"; shift
		COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _alist
		printf "%s\n" "${COMPREPLY[@]}"' bash "$completion" "$alist" "$@" 2>"$tmp/err" |
		sort | tr '\n' ' ')
	if [ "$got" = "$want " ]; then ok "$name"; else not_ok "$name" "$want, got $got"; fi
}
completion=$(cd "$(dirname "$0")/../tools/alist" && pwd)/alist.bash
: >"$tmp/one.txt"
completes "verbs are completed" "compare cost" co
completes "all of them" "compare cost demo record replay show" ""
completes "options of a verb" "--dot" show --d
completes "options of another" "--help --html" cost --h
completes "files" "one.txt" replay one
completes "files after options" "one.txt" replay --json one
completes "a verb that is a file's name" "--top" cost show --to
completes "commands to record" "one.txt" record --time 1 -- one.t

# Real logs

for log in "$data"/*.txt; do
	base=$(basename "$log")
	expect "$base: all differences are explained" 0 "$alist" replay --json "$log"
	json "$base: nothing stale, never more than the driver" \
		'd["stale"] == 0 and d["faults"] == 0 and all(d["list"][k] <= d["driver"][k] for k in d["list"])'
	json "$base: differences have a line and a known reason" \
		'all(x["line"] > 0 and x["reason"] != "unexplained" for x in d["differences"])'
	case $base in
	*nvme*)	json "$base: the same words in every flush" \
			'd["same"] == d["flushes"] > 100 and not d["differences"]' ;;
	esac
	# The form of trace-cmd report, without the flags.
	{ echo cpus=2
	  sed -E -e '/^#( |$)/d' -e 's/^( *[^ ].*-[0-9]+ +\[[0-9]+\]) [^ ]+ +([0-9.]+): ([a-z_]+): /\1  \2: \3:         /' \
		"$log"
	} >"$tmp/report.txt"
	expect "$base: as trace-cmd report" 0 "$alist" replay --json "$tmp/report.txt"
	json "$base: as trace-cmd report, nothing stale" 'd["stale"] == 0 and d["flushes"] > 0'
done

vtd=$data/vtd-vfio-ats-1-2-4-8dev.txt
expect "json has what it must have" 0 "$alist" replay --json "$vtd"
json "json has what it must have: fields" \
	'{"file", "vendor", "attachments", "flushes", "driver", "list", "stale", "differences", "unknown"} <= set(d)'
json "the driver's commands are counted right" \
	'd["driver"] == {"iotlb": 171, "atc": 135, "sync": 171} and d["vendor"] == "vtd"'
json "the list's are at least one a tag and one an ATC of each unmap" \
	'36 < d["list"]["iotlb"] <= 171 and d["list"]["atc"] == 135'
expect "options of a verb may precede it" 0 "$alist" --json replay "$vtd"
expect "from standard input" 0 sh -c "'$alist' replay --json - <'$vtd'"
json "from standard input: the same" 'd["flushes"] == 171'
expect "verbose shows every flush" 0 "$alist" replay -v "$vtd"
printed "verbose shows every flush: with its line" 'line 28 unmap: '
expect "spread over four IOMMUs" 0 "$alist" replay --json --iommus 4 "$vtd"
json "spread over four IOMMUs: more tags, the same ATCs, nothing stale" \
	'd["list"]["sync"] > 171 and d["list"]["atc"] == 135 and d["stale"] == 0'
grep -v '^#' "$data/smmuv3-nvme-strict.txt" >"$tmp/noheader.txt"
expect "without a header" 0 "$alist" replay "$tmp/noheader.txt"
expect "two files" 0 "$alist" replay "$vtd" "$data/smmuv3-nvme-strict.txt"
printed "two files have a sum" 'all 2 files'

# What it costs

for log in "$data"/*.txt; do
	base=$(basename "$log")
	expect "$base: cost" 0 "$alist" cost --json "$log"
	python3 "$(dirname "$0")/count.py" --print "$log" >"$tmp/count.json"
	json "$base: cost counts every command" \
		'(lambda c: all(d["commands"][k] == c[k] for k in ("iotlb", "atc", "config", "other")))(json.load(open("'"$tmp"'/count.json")))'
	json "$base: tables add up to it" \
		'all(sum(r["iotlb"] for r in d["by"][t]) == d["commands"]["iotlb"] for t in ("task", "IOMMU"))'
done
recorded=$2/cost/vtd-nvme.txt.xz
expect "cost of a recorded log" 0 "$alist" cost --json --top 1024 "$recorded"
json "flushes and waits have their time" \
	'd["flush"]["number"] == d["wait"]["number"] == 673 and d["flush"]["sum_ns"] > d["wait"]["sum_ns"] > 0'
json "quantiles are in order, histograms whole" \
	'all(t["p50_ns"] <= t["p99_ns"] <= t["max_ns"] and sum(x["number"] for x in t["histogram"]) == t["number"] for t in (d["flush"], d["wait"]))'
json "times add up by task" \
	'sum(r["flush_ns"] for r in d["by"]["task"]) == d["flush"]["sum_ns"]'
expect "cost --html" 0 "$alist" cost --html "$recorded"
printed "cost --html has charts" '<svg'
printed "cost --html has the shares of cost" '>1\.28%<'
if grep -qE 'https?:|src=|@import|url\(' "$tmp/out"; then
	not_ok "cost --html fetches nothing" "no address"
else
	ok "cost --html fetches nothing"
fi
cat >"$tmp/times.txt" <<EOF
 t-1 [000] d.... 1.000000: map: IOMMU: iova=0x10000 - 0x11000 paddr=0x80000 size=4096
 t-1 [000] d.... 1.000100: unmap: IOMMU: iova=0x10000 - 0x11000 size=4096 unmapped_size=4096
 t-1 [000] d.... 1.000200: flush_begin: (f)
 t-1 [000] d.... 1.000210: wait_begin: (g) iommu=0x1
 t-1 [000] d.... 1.000220: qi_submit: iotlb_inv dmar0: 0x400f2 0x10040 0x0 0x0
 t-1 [000] d.... 1.000240: wait_end: (h <- g)
 t-1 [000] d.... 1.000250: wait_begin: (g) iommu=0x2
 t-1 [000] d.... 1.000260: qi_submit: iotlb_inv dmar1: 0x400f2 0x10040 0x0 0x0
 t-1 [000] d.... 1.000300: wait_end: (h <- g)
 t-1 [000] d.... 1.000310: flush_end: (h <- f)
 t-1 [000] d.... 1.000400: map: IOMMU: iova=0x10000 - 0x11000 paddr=0x80000 size=4096
EOF
expect "times to the microsecond" 0 "$alist" cost --json "$tmp/times.txt"
json "times to the microsecond: as worked out by hand" \
	'd["flush"]["sum_ns"] == 110000 and d["wait"]["sum_ns"] == 80000 and d["wait"]["max_ns"] == 50000 and d["computed_overlap_saves_ns"] == 30000 and d["unmap_to_last_command"]["sum_ns"] == 160000'
json "times by IOMMU" \
	'{r["name"]: r["wait_ns"] for r in d["by"]["IOMMU"]} == {"dmar0": 30000, "dmar1": 50000}'
grep -v 'qi_submit\|cache_tag' "$vtd" | grep -v entries-in >"$tmp/nocommands.txt"
expect "cost of a log without commands" 0 "$alist" cost "$tmp/nocommands.txt"
printed "cost of a log without commands: what it would be" 'strict: at least 36 IOTLB'
expect "compare a log with itself" 0 "$alist" compare --json "$recorded" "$recorded"
json "compare a log with itself: all is the same" \
	'all(m["verdict"] in ("the same", "not in both logs") for m in d["measures"].values())'
python3 - "$tmp" <<'EOF'
import random
import sys

random.seed(1)
for name, us in (('a', 20), ('b', 20), ('slow', 40)):
    now = 1.0
    with open(f'{sys.argv[1]}/{name}.txt', 'w') as out:
        for _ in range(2000):
            now += 0.001
            took = us * random.uniform(0.5, 1.5) / 1e6
            for at, what in ((0, 'unmap: IOMMU: iova=0x10000 - 0x11000 size=4096 unmapped_size=4096'),
                             (1e-6, 'flush_begin: (f)'), (1e-6 + took, 'flush_end: (f)')):
                out.write(f' t-1 [000] d.... {now + at:.7f}: {what}\n')
EOF
expect "compare two that differ by chance" 0 "$alist" compare --json "$tmp/a.txt" "$tmp/b.txt"
json "compare two that differ by chance: within noise" \
	'd["measures"]["ns_per_flush"]["verdict"] == "within noise"'
expect "compare two that differ" 0 "$alist" compare --json "$tmp/a.txt" "$tmp/slow.txt"
json "compare two that differ: beyond noise" \
	'd["measures"]["ns_per_flush"]["verdict"] == "beyond noise" and 1.8 < d["measures"]["ns_per_flush"]["b"] / d["measures"]["ns_per_flush"]["a"] < 2.2'
if [ -z "$(ls /sys/class/iommu 2>/dev/null)" ]; then
	expect "record without an IOMMU" 2 "$alist" record -o "$tmp/record.txt" -t 1
	said "record without an IOMMU, or not root: says so" 'must be root\|no IOMMU\|locked down'
	if [ -e "$tmp/record.txt" ]; then not_ok "and leaves no file" "none"; else ok "and leaves no file"; fi
fi

expect "show" 0 "$alist" show --at 3 "$vtd"
printed "show prints the tag" 'DID 13'
expect "show --json" 0 "$alist" show --json "$vtd"
json "show --json: eight domains" 'len(d["domains"]) == 8'
expect "show --dot" 0 "$alist" show --dot "$vtd"
printed "show --dot is a graph" '^digraph'

expect "demo" 0 "$alist" demo
printed "demo ends with the oracle" 'stale translations: 0'
if grep -q "$(printf '\033')" "$tmp/out"; then
	not_ok "no colour but on a terminal" "no escape sequence"
else
	ok "no colour but on a terminal"
fi
expect "demo --json" 0 "$alist" demo --json
json "demo: the list sends less than the naive driver" \
	'd["list"]["iotlb"] < d["naive"]["iotlb"] and d["list"]["sync"] < d["naive"]["sync"] and d["list"]["atc"] == d["naive"]["atc"]'

# A check that fails

awk '!/dev_tlb_inv .*0x10000000003/ || n++' "$vtd" | grep -v entries-in >"$tmp/under.txt"
expect "a driver that under-flushed is found out" 1 "$alist" replay --json "$tmp/under.txt"
json "a driver that under-flushed: unexplained, with its line" \
	'[x for x in d["differences"] if x["reason"] == "unexplained" and x["line"] > 0]'
expect "verbose" 1 "$alist" replay -v "$tmp/under.txt"
printed "verbose shows the words where they differ" 'driver  dmar0  '
sed -E 's/(iotlb_inv dmar0: 0xd00f2 0x)10000040/\110000000/' "$vtd" >"$tmp/hint.txt"
expect "a wrong hint is found out" 1 "$alist" replay "$tmp/hint.txt"

# Broken logs

expect "a missing file" 2 "$alist" replay "$tmp/none"
said "a missing file is named" "$tmp/none"
expect "a directory" 2 "$alist" replay "$tmp"
: >"$tmp/empty.txt"
expect "an empty log" 2 "$alist" replay "$tmp/empty.txt"
said "an empty log is told with its line" 'empty.txt:1: .*empty'
head -c 100000 /bin/sh >"$tmp/binary.txt"
expect "a binary file" 2 "$alist" replay --json "$tmp/binary.txt"
said "a binary file is told with its line" 'binary.txt:1: '
for n in 1000 54321 200000; do
	head -c $n "$vtd" >"$tmp/cut.txt"
	expect "a log cut after $n bytes" 2 "$alist" replay --json "$tmp/cut.txt"
	said "a log cut after $n bytes is told with its line" 'cut.txt:[0-9]*: expected'
done
head -n 1000 "$vtd" >"$tmp/cut.txt"
expect "a log cut between two lines" 2 "$alist" replay "$tmp/cut.txt"
said "a log cut between two lines: the header told" truncated
awk '/^#/ { print; next } { line[n++] = $0 } END { while (n--) print line[n] }' \
	"$data/vtd-nvme-strict.txt" >"$tmp/reversed.txt"
expect "a log backwards" 2 "$alist" replay "$tmp/reversed.txt"
said "a log backwards is told with its line" 'reversed.txt:[0-9]*: .*out of order'
echo '  dd-1 [000] d..2. 1.0: sched_switch: prev_comm=dd prev_pid=1' >"$tmp/other.txt"
expect "a log of another event set" 2 "$alist" replay "$tmp/other.txt"
said "a log of another event set: which are expected" 'qi_submit\|iommu:'
grep -v 'qi_submit\|cache_tag' "$vtd" | grep -v entries-in >"$tmp/nocommands.txt"
expect "a log without commands" 2 "$alist" replay "$tmp/nocommands.txt"
said "a log without commands: which are expected" 'qi_submit, amdcmd, smmucmd or riscvcmd'
grep -h -v entries-in "$vtd" "$data/amd-nvme-strict.txt" >"$tmp/both.txt"
sed '/### RUN/d' "$tmp/both.txt" | awk '/# tracer/ && n++ { next } 1' >"$tmp/both2.txt"
expect "a log of two vendors" 2 "$alist" replay "$tmp/both2.txt"
expect "show of a broken log" 2 "$alist" show "$tmp/binary.txt"
expect "one broken file of two" 2 "$alist" replay --json "$tmp/empty.txt" "$vtd"
expect "a full disk" 2 sh -c "'$alist' replay '$vtd' >/dev/full"

echo "    1..$((passed + failed))"
[ "$failed" -eq 0 ] || printf 'not '
echo "ok 1 tool # $passed passed, $failed failed"
[ "$failed" -eq 0 ]
