# SPDX-License-Identifier: GPL-2.0-only
"""What scripts/bench and scripts/bench-check share: running the programs of bench/."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = os.path.join(ROOT, "build", "release", "bench")

TRIGGER = re.compile(r"^desc: Trigger: Client Request: cell (\d+) (\S+) (\S+) (\d+) (\d+)"
                     r" (\S+) (\S+)$", re.M)
STACK = re.compile(r"^\S*:(\w*_flush\w*)\t(\d+)\t", re.M)
TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.M)


def cell_name(n, g, atc, nest):
    """As the programs take it."""
    return "%d,%d,%s%s" % (n, g, atc, ",nests" if nest else "")


def program(name):
    return os.path.join(PROGRAMS, name)


def cells_of(name, args, quiet=False):
    """Runs a program that writes JSON."""
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "cells.json")
        subprocess.run([program(name)] + args + ["--json", path], check=True,
                       stdout=subprocess.DEVNULL if quiet else None)
        with open(path, encoding="utf-8") as file:
            return json.load(file)


def stack():
    """Bytes of stack of all that flushes: {function: bytes}, from what the compiler says."""
    sizes = {}
    objects = program("bench-qsbr") + ".p"
    for path in sorted(os.listdir(objects)):
        if not path.endswith(".su"):
            continue
        with open(os.path.join(objects, path), encoding="utf-8") as file:
            for name, size in STACK.findall(file.read()):
                sizes[name] = int(size)
    return sizes


def instructions():
    """Instructions of one operation: {(layout, op, n, g, atc, nest): count}, or None."""
    if not shutil.which("valgrind"):
        print("bench: no valgrind, no instruction counts", file=sys.stderr)
        return None
    counts = {}
    for command in [[program("bench-qsbr"), "--count"], [program("library")]]:
        counts.update(count(command))
    return counts


def count(command):
    counts = {}
    with tempfile.TemporaryDirectory() as tmp:
        run = subprocess.run(["valgrind", "--tool=callgrind", "--collect-atstart=no",
                              "--callgrind-out-file=" + os.path.join(tmp, "cell")] + command,
                             capture_output=True, text=True, check=False)
        if run.returncode:
            sys.exit("bench: callgrind failed:\n" + run.stderr)
        for name in os.listdir(tmp):
            with open(os.path.join(tmp, name), encoding="utf-8") as file:
                text = file.read()
            cell = TRIGGER.search(text)
            if not cell:
                continue
            loops, layout, op, n, g, atc, kind = cell.groups()
            # What is counted around the loop is less than one each.
            counts[layout, op, int(n), int(g), atc, kind == "nest"] = \
                int(TOTALS.search(text).group(1)) // int(loops)
    return counts
