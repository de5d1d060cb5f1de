#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
A tree that the series does not fit is refused, by the name of what does not fit, and
nothing is left behind. What the cover letter takes from the lab's report is what is in it.
checkpatch --strict has nothing to say of any patch, and comments have a place of their own.

usage: tests/series.py [--all] LINUX

For each semantic patch the function that its first rule is called after is renamed, with --all
each one that has a rule; for each line that is edited, the line is taken away. This is done to
the tree as it is before the commit: what earlier ones need is there, so that the one that is
meant has to refuse it.
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

import series_check  # pylint: disable=wrong-import-position

# Whoever runs this signs nothing.
ENV = dict(os.environ, GIT_CONFIG_COUNT="2",
           GIT_CONFIG_KEY_0="user.name", GIT_CONFIG_VALUE_0="nobody",
           GIT_CONFIG_KEY_1="user.email", GIT_CONFIG_VALUE_1="nobody@localhost")


# What spatch may make of a comment that it puts between two statements. checkpatch is silent.
GLUED = re.compile(r"^\+.*[^\s\"(*/]/\*", re.M)

CAMEL_CASE = """\
diff --git a/drivers/iommu/planted.c b/drivers/iommu/planted.c
--- a/drivers/iommu/planted.c
+++ b/drivers/iommu/planted.c
@@ -1 +1,2 @@
 /* SPDX-License-Identifier: GPL-2.0-only */
+int plantedName;
"""


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

    def judge(self, name, refused, words):
        """A message has all of the words."""
        self.report(name, "" if all(word in refused for word in words) else
                    "expected %s in: %s" % (" and ".join(words), refused))

    def is_refused(self, name, change, words):
        """By the program, which leaves nothing behind: change() damages a copy of the tree."""
        tree = os.path.join(self.temp, "damaged")
        out = os.path.join(self.temp, "refused")
        shutil.copytree(self.tree, tree)
        change(tree)
        result = self.run(tree, out)
        if result.returncode != 2:
            self.report(name, "exit %d, expected 2\n%s" % (result.returncode, result.stderr))
        elif os.path.exists(out):
            self.report(name, "patches were written")
        else:
            self.judge(name, result.stderr, words)
        shutil.rmtree(tree)
        shutil.rmtree(out, ignore_errors=True)


class Commits:
    """The tree before each commit, damaged."""

    def __init__(self, series, commits, cases):
        self.series = series
        self.cases = cases
        self.repo = series.Repo(os.path.join(cases.temp, "commits"), cases.tree, commits,
                                series.NOBODY)

    def is_refused(self, i, name, change, words):
        repo = self.repo
        repo.git("checkout", "-q", "--detach", repo.ids[i - 1] if i else repo.base)
        change(repo.path)
        refused = ""
        try:
            repo.apply(i)
        except self.series.Refused as error:
            refused = str(error)
        self.cases.judge(name, refused, words)
        repo.git("reset", "-q", "--hard")
        repo.git("clean", "-q", "-d", "-f", "-x")


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


def test_checkpatch(cases, linux, commits):
    """It has nothing to say of any patch, and would say it."""
    out = os.path.join(cases.temp, "taken")
    before = set(os.listdir(linux))
    patches = sorted(name for name in os.listdir(out) if not name.startswith("0000-"))
    glued = []
    for commit, patch in zip(commits, patches):
        said = series_check.checkpatch(linux, os.path.join(out, patch),
                                       commit["checkpatch_ignore"])
        cases.report("checkpatch: " + patch, "\n".join(sorted(said)))
        with open(os.path.join(out, patch), encoding="utf-8") as file:
            glued += [patch + ": " + line for line in GLUED.findall(file.read())]
    cases.report("no comment is glued to a statement", "\n".join(glued))
    cases.report("a comment that is glued to a statement",
                 "" if GLUED.search("+\tx();/* y */") else "not noticed")
    planted = os.path.join(cases.temp, "planted.patch")
    with open(os.path.join(out, patches[0]), encoding="utf-8") as file:
        text = file.read()
    with open(planted, "w", encoding="utf-8") as file:
        file.write(text.replace("\n\n", "\n\n%s\n\n" % ("long " * 20), 1))
        # For such a name it reads the tree's headers, and keeps what it has found in a file.
        file.write(CAMEL_CASE)
    said = series_check.checkpatch(linux, planted, [])
    cases.report("checkpatch: a long line",
                 "" if any("LONG_LINE" in line for line in said) else "not noticed")
    cases.report("checkpatch: leaves nothing in the tree",
                 " ".join(sorted(set(os.listdir(linux)) - before)))


def edit_files(tree, paths, edit):
    for path in paths:
        path = os.path.join(tree, path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(edit(text))


def without(paths, pattern, text=""):
    """What damages a tree: a pattern is gone from files, or has become another text."""
    return lambda tree: edit_files(tree, paths, lambda old: re.sub(pattern, text, old, flags=re.M))


def renamed(paths, function):
    return without(paths, r"\b%s\b" % function, function + "_renamed")


def test_commit(series, commits, cases, i, every):
    commit = commits.repo.commits[i]
    named = set()	# in this commit, by a line or a patch that comes before
    for number, edit in enumerate(commit["edit"]):
        where, = {"after", "before", "replace", "delete"} & set(edit)
        # What an earlier line of this commit brings cannot be taken away.
        if any(re.search(edit[where], earlier.get("text", ""), re.M)
               for earlier in commit["edit"][:number]):
            continue
        commits.is_refused(i, "%s: %s without the line %s"
                           % (commit["message"], edit["file"], edit[where]),
                           without([edit["file"]], edit[where]), [edit["file"]])
        if "to" in edit:
            commits.is_refused(i, "%s: %s without an end at %s"
                               % (commit["message"], edit["file"], edit["to"]),
                               without([edit["file"]], edit["to"]), [edit["file"]])
        named |= {(edit["file"], word) for word in re.findall(r"\w+", edit[where])}
    if commit["move"]:
        move, name = commit["move"], commit["move"]["functions"][0]
        commits.is_refused(i, "move without %s" % name, renamed([move["from"]], name),
                           ["move: " + move["from"], name])
    for cocci in commit["cocci"]:
        text = series.read(os.path.join(series.SERIES, cocci["patch"]))
        rules = series.rules_of(text, cocci["patch"])
        # Of several rules for a function the first one is named.
        first = {series.function_of(rule): rule for rule in reversed(rules)}
        if not every:
            first = {series.function_of(rules[0]): rules[0]}
        for function, rule in first.items():
            if (cocci["files"][0], function) not in named:
                commits.is_refused(i, "%s without %s" % (cocci["patch"], function),
                                   renamed(cocci["files"], function),
                                   [cocci["patch"], "rule " + rule, function])
        named |= {(path, word) for path in cocci["files"] for word in re.findall(r"\w+", text)}


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
        test_checkpatch(cases, linux, commits)
        patches = [cocci for commit in commits for cocci in commit["cocci"]]
        for cocci in patches[0], patches[-1]:
            function = series.function_of(series.rules_of(
                series.read(os.path.join(series.SERIES, cocci["patch"])), cocci["patch"])[0])
            cases.is_refused("no %s in %s" % (function, cocci["files"][0]),
                             renamed(cocci["files"], function), [": rule ", function])
        by_commit = Commits(series, commits, cases)
        for i in range(len(commits)):
            test_commit(series, by_commit, cases, i, every)
    print("1..%d" % cases.count)
    print("%d passed, %d failed" % (cases.count - cases.failed, cases.failed))
    return 1 if cases.failed else 0


if __name__ == "__main__":
    sys.exit(main())
