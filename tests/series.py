#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
A tree that the series does not fit is refused, by the name of what does not fit, and
nothing is left behind. What the cover letter takes from the lab's report is what is in it.

usage: tests/series.py [--all] LINUX

For each semantic patch the function that its first rule is called after is renamed in a
copy of the tree, with --all each one that has a rule; for each line that is edited, the line is
taken away, unless the series itself put it there.
"""
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "scripts", "series")
sys.path.insert(0, os.path.join(ROOT, "scripts"))
sys.dont_write_bytecode = True

# Whoever runs this signs nothing.
ENV = dict(os.environ, GIT_CONFIG_COUNT="2",
           GIT_CONFIG_KEY_0="user.name", GIT_CONFIG_VALUE_0="nobody",
           GIT_CONFIG_KEY_1="user.email", GIT_CONFIG_VALUE_1="nobody@localhost")


def load_series():
    loader = importlib.machinery.SourceFileLoader("series", PROGRAM)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("series", loader))
    loader.exec_module(module)
    return module


class Cases:
    def __init__(self, temp, tree):
        self.temp = temp
        self.tree = tree
        self.count = self.failed = 0

    def report(self, name, fault):
        self.count += 1
        self.failed += bool(fault)
        print("%s %d - %s" % ("not ok" if fault else "ok", self.count, name), flush=True)
        if fault:
            print("# " + fault.strip().replace("\n", "\n# "))

    def run(self, tree, out):
        return subprocess.run((PROGRAM, "--linux", tree, "--out", out, "--no-check"),
                              capture_output=True, text=True, check=False, env=ENV)

    def is_taken(self):
        out = os.path.join(self.temp, "taken")
        result = self.run(self.tree, out)
        self.report("the tree is taken",
                    "" if not result.returncode and os.listdir(out) else result.stderr)

    def is_refused(self, name, change, words):
        """change() damages a copy of the tree; the message has all of the words."""
        tree = os.path.join(self.temp, "damaged")
        out = os.path.join(self.temp, "refused")
        shutil.copytree(self.tree, tree)
        change(tree)
        result = self.run(tree, out)
        fault = ""
        if result.returncode != 2:
            fault = "exit %d, expected 2\n%s" % (result.returncode, result.stderr)
        elif not all(word in result.stderr for word in words):
            fault = "expected %s in: %s" % (" and ".join(words), result.stderr)
        elif os.path.exists(out):
            fault = "patches were written"
        self.report(name, fault)
        shutil.rmtree(tree)
        shutil.rmtree(out, ignore_errors=True)


# What the lab leaves, for one operation that both kernels did and one that only one did.
REPORT = {
    "cells": [
        {"machine": "vtd", "workload": workload, "kernel": kernel, "n": 8, "iotlb": 1,
         "atc": atc, "sync": 2.5, "instructions": None, "irqsoff_us": None}
        for workload, kernel, atc in (("unmap", "stock", 16), ("unmap", "alist", 8),
                                      ("detach", "stock", 3))],
    "driver": {"stock": {"containers": 5}, "alist": {"containers": 1}},
}


def test_cover(series, cases):
    """Lines of a cover letter that ask for figures."""
    def expect(name, text, expected):
        try:
            result = series.fill_in(text)
        except series.Refused as refused:
            result = str(refused)
        cases.report(name, "" if expected in result else "expected \"%s\" in: %s"
                     % (expected, result))

    report = os.path.join(cases.temp, "report.json")
    with open(report, "w", encoding="utf-8") as file:
        json.dump(REPORT, file)
    cut = os.path.join(cases.temp, "cut.json")
    with open(cut, "w", encoding="utf-8") as file:
        file.write(json.dumps(REPORT)[:-1])
    expect("a cell of both kernels", "@lab %s unmap" % report,
           "             devices   IOTLB      ATC       waits\n"
           "  vtd unmap        8  1 -> 1  16 -> 8  2.5 -> 2.5")
    expect("a cell of one kernel", "@lab %s detach" % report, "no cell of %s" % report)
    expect("figures of the driver", "@driver %s" % report, "containers      5      1")
    expect("a report that is cut off", "@lab %s unmap" % cut, "%s: expected a report" % cut)
    expect("a section with its report", "a\n@if %s\nb\n@end\nc" % report, "a\nb\nc")
    expect("a section without its report", "a\n@if %s-not\nb\n@end\nc" % report, "a\nc")
    expect("a table that nobody makes", "@tabel x", "expected one of")


def edit_files(tree, paths, edit):
    for path in paths:
        path = os.path.join(tree, path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(edit(text))


def main():
    arguments = [word for word in sys.argv[1:] if word != "--all"]
    if len(arguments) != 1:
        sys.exit(__doc__.strip())
    every = "--all" in sys.argv
    linux = arguments[0]
    series = load_series()
    commits = series.read_series()

    with tempfile.TemporaryDirectory() as temp:
        tree = os.path.join(temp, "tree")
        for path in series.changed_files(commits) + ["Makefile"]:
            source = os.path.join(linux, path)
            if os.path.isfile(source):
                os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
                shutil.copyfile(source, os.path.join(tree, path))

        cases = Cases(temp, tree)
        test_cover(series, cases)
        cases.is_taken()
        cases.is_refused("no Linux tree",
                         lambda tree: os.unlink(os.path.join(tree, "Makefile")), ["Makefile"])
        named = set()	# by an earlier patch or line, which is the one that is refused
        mentioned = set()	# in an earlier patch, by a rule for something else
        for commit in commits:
            for edit in commit["edit"]:
                where, = {"after", "before", "replace", "delete"} & set(edit)
                if not re.search(edit[where], series.read(os.path.join(tree, edit["file"])),
                                 re.M):
                    continue
                cases.is_refused(
                    "%s without the line %s" % (edit["file"], edit[where]),
                    lambda tree, edit=edit, where=where: edit_files(
                        tree, [edit["file"]],
                        lambda text: re.sub(edit[where], "", text, flags=re.M)),
                    # A rule of an earlier commit may need the line, too.
                    [edit["file"]])
                if "to" in edit:
                    cases.is_refused(
                        "%s without an end at %s" % (edit["file"], edit["to"]),
                        lambda tree, edit=edit: edit_files(
                            tree, [edit["file"]],
                            lambda text: re.sub(edit["to"], "", text, flags=re.M)),
                        [edit["file"]])
            if commit["move"]:
                name = commit["move"]["functions"][0]
                cases.is_refused(
                    "move without %s" % name,
                    lambda tree, move=commit["move"], name=name: edit_files(
                        tree, [move["from"]], lambda text: re.sub(
                            r"\b%s\b" % name, name + "_renamed", text)),
                    ["move: " + commit["move"]["from"], name])
            named |= {(edit["file"], word) for edit in commit["edit"]
                      for where in {"after", "before", "replace", "delete"} & set(edit)
                      for word in re.findall(r"\w+", edit[where])}
            for cocci in commit["cocci"]:
                with open(os.path.join(series.SERIES, cocci["patch"]), encoding="utf-8") as file:
                    text = file.read()
                rules = series.rules_of(text, cocci["patch"])
                # Of several rules for a function the first one is named.
                first = {series.function_of(rule): rule for rule in reversed(rules)}
                if not every:
                    first = {series.function_of(rules[0]): rules[0]}
                for function, rule in first.items():
                    if (cocci["files"][0], function) in named:
                        continue
                    cases.is_refused(
                        "%s without %s" % (cocci["patch"], function),
                        lambda tree, files=cocci["files"], function=function: edit_files(
                            tree, files, lambda text: re.sub(
                                r"\b%s\b" % function, function + "_renamed", text)),
                        [": rule "] if (cocci["files"][0], function) in mentioned else
                        [cocci["patch"], "rule " + rule, function])
                named |= {(cocci["files"][0], series.function_of(rule)) for rule in rules}
                mentioned |= {(cocci["files"][0], word) for word in re.findall(r"\w+", text)}
    print("1..%d" % cases.count)
    print("%d passed, %d failed" % (cases.count - cases.failed, cases.failed))
    return 1 if cases.failed else 0


if __name__ == "__main__":
    sys.exit(main())
