# SPDX-License-Identifier: GPL-2.0-only
"""
What scripts/series checks of each commit: it builds, without a warning that the stock
tree does not have, from the compiler at W=1 and from sparse; checkpatch --strict and
kernel-doc have nothing to say.

Warnings are compared with those that the stock tree gives for the same files, without
line numbers. Builds go on where the last run left off: build/series/ARCH.
"""
import difflib
import os
import re
import shlex
import subprocess
import tempfile
import time

CROSS = {"x86_64": "", "arm64": "aarch64-linux-gnu-", "riscv64": "riscv64-linux-gnu-"}
ARCH = {"x86_64": "x86", "arm64": "arm64", "riscv64": "riscv"}
IMAGE = {"x86_64": "bzImage", "arm64": "Image", "riscv64": "Image"}
CONFIG = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                      "series", "config")

# Where what the series touches can be built alone.
DIRECTORY = "drivers/iommu/"

# checkpatch leaves a file where it runs: not in the tree, which may be the user's.
SCRATCH = tempfile.TemporaryDirectory(prefix="series-")

# The entry in MAINTAINERS comes with the first commit, for all files of the list; iterators
# take a cursor and the name of a member.
CHECKPATCH_IGNORE = ["FILE_PATH_CHANGES", "MACRO_ARG_REUSE", "MACRO_ARG_PRECEDENCE"]


# Releases up to 0.6.4 do not know the word, which the kernel uses for temporaries. Nor do
# they know the length of MODULE_DESCRIPTION()'s text at compile time; after that error
# sparse keeps all warnings of the file to itself. They refuse RISC-V's -march.
SPARSE = "sparse -D__typeof_unqual__=__typeof__ '-D__builtin_strlen(s)=(sizeof(s)-1)'"
SPARSE_KNOWS = ("x86_64", "arm64")

# One fault for each check, to see that it is found.
PLANTED = """
/**
 * planted_fault() - Has a parameter that is not described
 */
int planted_fault(int given);
int planted_fault(int given)
{
	int __user *unused = (int *)(long)given;
	return 0 ;
}
"""


class Failed(Exception):
    pass


def warnings_of(text):
    """Without line numbers, which change where nothing else does."""
    return {re.sub(r":\d+(:\d+)?[: ]", ": ", line.strip())
            for line in text.split("\n") if re.search(r"\b(warning|error):", line, re.I)}


class Build:
    """One architecture's objects."""

    def __init__(self, arch, tree, work):
        self.arch = arch
        self.tree = tree
        self.out = os.path.join(work, arch)
        self.jobs = "-j%d" % (os.cpu_count() or 1)
        os.makedirs(self.out, exist_ok=True)

    def make(self, *args, keep_going=False):
        """Returns what make said."""
        cross = CROSS[self.arch]
        command = ["make", "-s", "-C", self.tree, "O=" + self.out, "ARCH=" + ARCH[self.arch],
                   "CROSS_COMPILE=" + cross, "CC=ccache %sgcc" % cross, "HOSTCC=ccache gcc",
                   self.jobs, *args]
        # The same text in any directory is the same object; and do not preprocess it first.
        env = dict(os.environ, CCACHE_BASEDIR=self.tree, CCACHE_NOHASHDIR="1", CCACHE_DEPEND="1",
                   KBUILD_BUILD_TIMESTAMP="1970-01-01", KBUILD_BUILD_USER="series",
                   KBUILD_BUILD_HOST="series")
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, check=False, env=env)
        if result.returncode and not keep_going:
            raise Failed("%s: %s\n%s" % (self.arch, shlex.join(command),
                                         result.stdout[-4000:]))
        return result.stdout

    def fragment(self):
        return os.path.join(CONFIG, self.arch + ".config")

    def configure(self):
        """All that is not asked for is off; what is not there yet is left out."""
        self.make("KCONFIG_ALLCONFIG=" + self.fragment(), "allnoconfig")

    def check_config(self):
        """Every symbol that was asked for is there."""
        with open(os.path.join(self.out, ".config"), encoding="utf-8") as file:
            have = set(file.read().split("\n"))
        with open(self.fragment(), encoding="utf-8") as file:
            wanted = [line for line in file.read().split("\n")
                      if line.startswith(("CONFIG_", "# CONFIG_"))]
        missing = [line for line in wanted if line not in have and not line.endswith("=n")]
        if missing:
            raise Failed("%s: did not take: %s" % (self.fragment(), " ".join(missing)))

    def objects_of(self, sources):
        """Those of the sources that this configuration compiles."""
        objects = [re.sub(r"\.c$", ".o", path) for path in sources
                   if path.endswith(".c") and os.path.isfile(os.path.join(self.tree, path))]
        return [path for path in objects if os.path.isfile(os.path.join(self.out, path))]

    def compile(self, quick):
        said = self.make("W=1", DIRECTORY)
        if not quick:
            # The rest of the kernel at W=1 is not ours.
            said += self.make("W=1", IMAGE[self.arch])
        return warnings_of(said)

    def recompile(self, sources):
        """What the compiler says of these, whatever was built before."""
        objects = self.objects_of(sources)
        for path in objects:
            os.unlink(os.path.join(self.out, path))
        return warnings_of(self.make("W=1", *objects)) if objects else set()

    def sparse(self, sources):
        objects = self.objects_of(sources)
        if not objects:
            return set()
        said = self.make("C=2", "W=1", "CHECK=" + SPARSE, *objects)
        if "C=2 specified, but" in said:
            raise Failed("sparse is missing, or too old for this tree")
        return warnings_of(said)


def ours(warnings, touched):
    """Those about the files of the series, and about what includes them."""
    return {line for line in warnings
            if any(path in line for path in touched) or DIRECTORY in line}


def checkpatch(tree, patch, ignore):
    result = subprocess.run(
        ("perl", os.path.abspath(os.path.join(tree, "scripts", "checkpatch.pl")), "--strict",
         "--no-summary", "--terse", "--show-types", "--ignore",
         ",".join(CHECKPATCH_IGNORE + ignore), patch),
        cwd=SCRATCH.name, capture_output=True, text=True, check=False)
    return {line[len(patch) + 1:] for line in result.stdout.split("\n") if line}


def kernel_doc(tree, touched):
    paths = [path for path in touched if path.endswith((".c", ".h"))
             and os.path.isfile(os.path.join(tree, path))]
    if not paths:
        return set()
    result = subprocess.run(("scripts/kernel-doc", "-none", "-Wall", *paths), cwd=tree,
                            capture_output=True, text=True, check=False)
    return warnings_of(result.stdout + result.stderr)


def prove(repo, builds, tree, work):
    """Each check finds what is planted. Returns those that do not."""
    path = next(path for path in repo.touched(0) if path.endswith(".c"))
    full = os.path.join(tree, path)
    with open(full, encoding="utf-8") as file:
        text = file.read()
    build = builds["x86_64"]
    try:
        with open(full, "w", encoding="utf-8") as file:
            file.write(text + PLANTED)
        patch = os.path.join(work, "planted.patch")
        with open(patch, "w", encoding="utf-8") as file:
            file.write("".join(difflib.unified_diff(
                text.splitlines(True), (text + PLANTED).splitlines(True),
                "a/" + path, "b/" + path)))
        found = {"W=1": ours(build.recompile([path]), [path]),
                 "sparse": ours(build.sparse([path]), [path]),
                 "checkpatch": checkpatch(tree, patch, []),
                 "kernel-doc": kernel_doc(tree, [path])}
    finally:
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
    expected = {"W=1": "unused", "sparse": "address space", "checkpatch": "SPACING",
                "kernel-doc": "given"}
    return [what for what, word in expected.items()
            if not any(word in line for line in found[what])]


def check(repo, patches, tree, work, quick):
    """Of all commits. Prints what it does, and each fault; returns whether there is none."""
    builds = {arch: Build(arch, tree, work) for arch in CROSS
              if any(arch in commit["arch"] for commit in repo.commits)}
    files = sorted(name for name in os.listdir(patches) if not name.startswith("0000-"))
    every = {path for i in range(len(files)) for path in repo.touched(i)}
    stock = {}
    start = time.monotonic()

    def say(text):
        print("series: %5.0f s  %s" % (time.monotonic() - start, text), flush=True)

    try:
        repo.put(repo.base, tree)
        for arch, build in builds.items():
            say("stock, %s" % arch)
            build.configure()
            build.compile(quick)
            stock[arch] = build.recompile(every)
            if arch in SPARSE_KNOWS:
                stock[arch + ", sparse"] = build.sparse(every)
        stock["kernel-doc"] = kernel_doc(tree, every)

        faults = 0
        for i, (commit, patch) in enumerate(zip(repo.commits, files)):
            repo.put(repo.ids[i], tree)
            touched = repo.touched(i)
            found = {"checkpatch": checkpatch(tree, os.path.join(patches, patch),
                                              commit["checkpatch_ignore"])}
            found["kernel-doc"] = kernel_doc(tree, touched) - stock["kernel-doc"]
            for arch in commit["arch"]:
                build = builds[arch]
                build.configure()
                found[arch + ", W=1"] = ours(build.compile(quick), touched) - stock[arch]
                if arch in SPARSE_KNOWS:
                    what = arch + ", sparse"
                    found[what] = ours(build.sparse(touched), touched) - stock[what]
            for what, lines in found.items():
                for line in sorted(lines):
                    say("%s: %s: %s" % (patch, what, line))
                faults += len(lines)
            say("%s: %s" % (patch, "fine" if not any(found.values()) else "NOT FINE"))
        for build in builds.values():
            build.configure()
            build.check_config()
        for what in prove(repo, builds, tree, work):
            say("%s does not find what is planted" % what)
            faults += 1
    except Failed as failed:
        say(str(failed))
        return False
    return not faults
