# SPDX-License-Identifier: GPL-2.0-only
"""
Trees, kernels and what is built against them.

There are two trees: stock, as it was given, and alist, the same with the series on top. A
kernel is a tree, an architecture and a list of config fragments; it has one build directory
below the cache, for as long as its name stays. A stamp in there holds the hash of all that
goes in, so that nothing is done twice, and make itself only does what is new.

Tools come from the Debian root of lab/root, or are the machine's own where LINUX= names a
tree and QEMU= the directory of QEMU's programs. In the root, both trees are seen at one path,
and so are all build directories. The alist kernel therefore begins as a copy of the stock
one's build directory, in which make compiles what the series changes and nothing else.
"""
import contextlib
import fcntl
import hashlib
import os
import re
import subprocess

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAB = os.path.join(PROJECT, "lab")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "iommu-alist")
OUT = os.path.join(PROJECT, "build", "lab")
CPUS = os.cpu_count() or 1

# What an unmap calls, from VT-d's iotlb_sync on, on stock and with the series. What is inlined
# somewhere, or is not there, has no frame of its own.
STACK_OF = ["intel/iommu.o", "intel/cache.o", "intel/attach.o", "intel/dmar.o", "intel/qi.o",
            "iommu-alist.o"]
STACK_PATHS = [
    # Stock: the batch gets full at a command for a device with a PASID.
    ["intel_iommu_tlb_sync", "cache_tag_flush_range", "cache_tag_flush_devtlb_psi",
     "qi_batch_add_pasid_dev_iotlb", "qi_batch_flush_descs", "qi_submit_sync"],
    # The list: commands are made; the batch gets full, and the queue is; a wait takes longer
    # than a moment, and looks for faults.
    ["intel_iommu_tlb_sync", "cache_tag_flush_range", "send_iotlb"],
    ["intel_iommu_tlb_sync", "cache_tag_flush_range", "send_piotlb"],
    ["intel_iommu_tlb_sync", "cache_tag_flush_range", "send_atc"],
    ["intel_iommu_tlb_sync", "cache_tag_flush_range", "qi_batch_queue", "qi_batch_submit",
     "qi_wait_room", "qi_look_for_faults"],
    ["intel_iommu_tlb_sync", "cache_tag_flush_range", "__iommu_attach_flush_slow", "flush_wait",
     "qi_poll", "qi_look_for_faults"],
]

ARCHES = {
    "x86-64": {"arch": "x86", "cross": "", "qemu": "qemu-system-x86_64",
               "image": "arch/x86/boot/bzImage"},
    "arm64": {"arch": "arm64", "cross": "aarch64-linux-gnu-", "qemu": "qemu-system-aarch64",
              "image": "arch/arm64/boot/Image"},
    "riscv64": {"arch": "riscv", "cross": "riscv64-linux-gnu-",
                "qemu": "qemu-system-riscv64", "image": "arch/riscv/boot/Image"},
}


class LabError(Exception):
    """What went wrong, for whoever called make."""


class Tools:
    """Where programs run: in the Debian root, or on the machine itself."""

    def __init__(self, linux, qemu):
        if bool(linux) != bool(qemu):
            raise LabError("LINUX= (an unpacked tree) and QEMU= (the directory of QEMU's "
                           "programs) go together: both or neither")
        self.own = bool(linux)
        self.qemu_dir = qemu
        self.linux = os.path.abspath(linux) if linux else None
        self.directory = None

    def prepare(self, arches):
        """Makes the Debian root if it is needed and missing. QEMU's programs are for these."""
        if self.own:
            for path in (os.path.join(self.linux, "Makefile"),
                         *(self.qemu(arch) for arch in sorted(arches))):
                if not os.path.exists(path):
                    raise LabError(f"{path} does not exist")
        else:
            self.linux = self._root("linux")

    @staticmethod
    def _root(*args):
        done = subprocess.run([os.path.join(LAB, "root"), *args], stdout=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode:
            raise LabError("lab/root failed")
        return done.stdout.strip()

    def root(self):
        """The directory that programs and libraries come from."""
        if not self.directory:
            self.directory = "/" if self.own else self._root()
        return self.directory

    def command(self, command, binds=None):
        """The argument list that runs command, with directories bound as {where: from}."""
        if self.own:
            return command
        options = [word for at, path in (binds or {}).items()
                   for word in ("-b", f"{path}:{at}")]
        return [os.path.join(LAB, "root"), "run", *options, *command]

    def mine(self, name):
        """A name in the cache: what two compilers built does not mix."""
        return name + "-own" if self.own else name

    def at(self, path, place):
        """Where a command finds path: bound at place in the root, or where it is."""
        return path if self.own else place

    def qemu(self, arch):
        """QEMU's program for arch."""
        name = ARCHES[arch]["qemu"]
        return os.path.join(self.qemu_dir, name) if self.own else name

    def qemu_stamp(self, arch):
        """Which of all QEMUs that is."""
        path = self.qemu(arch) if self.own else os.path.join(self.root(), "usr", "bin",
                                                             self.qemu(arch))
        found = os.stat(path)
        return [os.path.realpath(path), found.st_size, found.st_mtime_ns]


@contextlib.contextmanager
def alone(say):
    """One run at a time: all checkouts share the trees and kernels of the cache."""
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waits until another run of the lab has ended")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command, log, what, **options):
    """Runs command with its output in the file log; raises with the end of it."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode:
        with open(log, encoding="utf-8", errors="replace") as file:
            end = "".join(file.readlines()[-15:])
        raise LabError(f"{what} failed, see {log}:\n{end}")


def hash_files(paths):
    """Of names and contents; a directory stands for all below it."""
    digest = hashlib.sha256()
    for path in paths:
        names = [path]
        if os.path.isdir(path):
            names = sorted(os.path.join(top, name) for top, _, files in os.walk(path)
                           for name in files)
        for name in names:
            digest.update(os.path.relpath(name, PROJECT).encode() + b"\0")
            with open(name, "rb") as file:
                digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def hash_tree(tree):
    """
    Of names, sizes and times: a kernel tree has 90000 files. What checkpatch keeps in it is none
    of its own.
    """
    digest = hashlib.sha256()
    for top, dirs, files in os.walk(tree):
        dirs[:] = sorted(name for name in dirs if name != ".git")
        for name in sorted(files):
            if name.startswith(".checkpatch-camelcase"):
                continue
            stat = os.lstat(os.path.join(top, name))
            below = os.path.relpath(top, tree)
            digest.update(f"{below}/{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def read(path):
    """The whole of a text file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


class Stamp:
    """The hash that a directory was made from."""

    def __init__(self, directory, value):
        self.directory = directory
        self.path = os.path.join(directory, ".lab-stamp")
        self.value = value

    def is_set(self):
        """Nothing to do?"""
        try:
            return read(self.path) == self.value
        except FileNotFoundError:
            return False

    def set(self):
        """It is made."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(self.value)

    def clear(self):
        """It is about to be made again."""
        if os.path.exists(self.path):
            os.unlink(self.path)


class Trees:
    """The two source trees, and their hashes."""

    def __init__(self, tools):
        self.tools = tools
        self.paths = {}
        self.hashes = {}

    def _alist(self):
        """The tree with the series, made again where one of the two changed."""
        path = os.path.join(CACHE, self.tools.mine("tree-alist"))
        series = [os.path.join(PROJECT, name) for name in ("kernel", "series",
                                                           "scripts/series")]
        stamp = Stamp(path + ".stamp", self.get("stock")[1] + hash_files(series))
        if stamp.is_set() and os.path.exists(path):
            return path
        log = os.path.join(OUT, "tree-alist.log")
        os.makedirs(stamp.directory, exist_ok=True)
        stamp.clear()
        run([os.path.join(PROJECT, "scripts", "series"), "--linux", self.tools.linux,
             "--tree", path], log, "the series")
        stamp.set()
        return path

    def get(self, kind):
        """(directory, hash) of the tree of that kind."""
        if kind not in self.paths:
            path = self.tools.linux if kind == "stock" else self._alist()
            self.paths[kind] = path
            self.hashes[kind] = hash_tree(path)
        return self.paths[kind], self.hashes[kind]


class Kernel:
    """One kernel: a tree, an architecture, config fragments."""

    def __init__(self, trees, kind, arch, fragments):
        self.trees = trees
        self.tools = trees.tools
        self.kind = kind
        self.arch = arch
        self.fragments = ["all", arch, *fragments]
        if kind == "alist":
            self.fragments.append("alist-debug" if "debug" in fragments else "alist")
            # KUnit suites of the drivers.
            if "debug" in fragments:
                self.fragments.append(f"alist-debug-{arch}")
        self.name = "-".join([kind, arch, *fragments])
        self.obj = os.path.join(CACHE, self.tools.mine("obj"), self.name)
        self.image = os.path.join(self.obj, ARCHES[arch]["image"])
        self.log = os.path.join(OUT, "kernels", self.name + ".log")

    def _configs(self):
        return [os.path.join(LAB, "configs", name + ".config") for name in self.fragments]

    def _make(self, *args, extra=None):
        tree, _ = self.trees.get(self.kind)
        info = ARCHES[self.arch]
        binds = {"/src": tree, "/obj": self.obj, **(extra or {})}
        command = ["make", "-s", "-C", self.tools.at(tree, "/src"),
                   "O=" + self.tools.at(self.obj, "/obj"), "ARCH=" + info["arch"],
                   "CROSS_COMPILE=" + info["cross"], f"CC=ccache {info['cross']}gcc",
                   "KBUILD_BUILD_TIMESTAMP=@0", *args]
        if self.tools.own:
            command.remove(f"CC=ccache {info['cross']}gcc")
        return self.tools.command(command, binds)

    def _environment(self):
        # By its dependencies: without running the preprocessor first.
        return {**os.environ, "CCACHE_DIR": os.path.join(CACHE, "ccache"),
                "CCACHE_DEPEND": "1"}

    def _configure(self):
        tree, _ = self.trees.get(self.kind)
        wanted = "".join(read(path) for path in self._configs())
        log = self.log + ".config"
        ours = os.path.join(self.obj, "lab.config")
        if not os.path.exists(ours) or read(ours) != wanted:
            run(self._make("tinyconfig"), log, f"tinyconfig of {self.name}")
            with open(ours + ".new", "w", encoding="utf-8") as file:
                file.write(wanted)
            obj = self.tools.at(self.obj, "/obj")
            merge = [os.path.join(self.tools.at(tree, "/src"),
                                  "scripts/kconfig/merge_config.sh"),
                     "-m", "-O", obj, os.path.join(obj, ".config"),
                     os.path.join(obj, "lab.config.new")]
            run(self.tools.command(merge, {"/src": tree, "/obj": self.obj}), log,
                f"config of {self.name}")
            os.rename(ours + ".new", ours)
        run(self._make("olddefconfig"), log, f"olddefconfig of {self.name}")

        # Kconfig drops a symbol whose dependencies are missing without a word.
        have = set(read(os.path.join(self.obj, ".config")).splitlines())
        for path in self._configs():
            for number, line in enumerate(read(path).splitlines(), 1):
                if line.startswith(("CONFIG_", "# CONFIG_")) and line not in have:
                    raise LabError(f"{path}:{number}: {line!r} does not hold in "
                                   f"{self.name}: a dependency is missing")

    def _begin_as_stock(self):
        stock = self.obj.replace(os.sep + "alist-", os.sep + "stock-")
        if self.tools.own or os.path.exists(self.obj) or \
                not os.path.exists(os.path.join(stock, ".lab-stamp")):
            return
        copy = self.obj + ".new"
        run(["rm", "-rf", copy], self.log + ".copy", "removal of " + copy)
        run(["cp", "-a", stock, copy], self.log + ".copy", "copy of " + stock)
        os.unlink(os.path.join(copy, ".lab-stamp"))
        # The series may have been applied before stock was built. All that was built is
        # made as old as the stock tree: older than whatever the series has written.
        old = os.stat(os.path.join(self.trees.get("stock")[0], ".unpacked")).st_mtime_ns
        for top, _, names in os.walk(copy):
            for name in names:
                os.utime(os.path.join(top, name), ns=(old, old), follow_symlinks=False)
        os.rename(copy, self.obj)

    def build(self, say):
        """The kernel, the module with the planted bugs, the uapi headers."""
        _, tree_hash = self.trees.get(self.kind)
        plant = os.path.join(LAB, "plant")
        stamp = Stamp(self.obj, tree_hash + hash_files(self._configs() + [plant]))
        if stamp.is_set():
            return
        self._begin_as_stock()
        os.makedirs(self.obj, exist_ok=True)
        os.makedirs(os.path.join(CACHE, "ccache"), exist_ok=True)
        stamp.clear()
        say(f"building {self.name}")
        self._configure()
        run(self._make(f"-j{CPUS}", os.path.basename(self.image), "modules"), self.log,
            f"build of {self.name}", env=self._environment())
        run(self._make("headers_install", "INSTALL_HDR_PATH=" +
                       os.path.join(self.tools.at(self.obj, "/obj"), "headers")),
            self.log + ".headers", f"headers of {self.name}")
        if "CONFIG_MODULES=y\n" in read(os.path.join(self.obj, ".config")):
            out = os.path.join(self.obj, "plant")
            os.makedirs(out, exist_ok=True)
            run(self._make("M=" + plant, "MO=" + os.path.join(
                self.tools.at(self.obj, "/obj"), "plant"), "modules"),
                self.log + ".plant", f"plant.ko for {self.name}", env=self._environment())
        if "vtd" in self.fragments:
            self._build_selftests()
        elif self.arch == "x86-64":
            self._measure_stack()
        stamp.set()

    def build_module(self, source, say, headers=()):
        """
        The module in a directory of ours; return: where it is. Apart from the kernel's own
        stamp: a machine that needs no such module does not build it.
        """
        name = os.path.basename(source)
        out = os.path.join(self.obj, name)
        stamp = Stamp(out, read(os.path.join(self.obj, ".lab-stamp")) +
                      hash_files([source, *headers]))
        if not stamp.is_set():
            say(f"building {name} for {self.name}")
            os.makedirs(out, exist_ok=True)
            stamp.clear()
            run(self._make("M=" + source, "MO=" + os.path.join(
                self.tools.at(self.obj, "/obj"), name), "modules"),
                f"{self.log}.{name}", f"{name} for {self.name}", env=self._environment())
            stamp.set()
        return out

    def _measure_stack(self):
        """
        Compiles the driver once more, for the frames that the compiler reports; the sum of
        the deepest path goes to a file.
        """
        where = "drivers/iommu/"
        tree, _ = self.trees.get(self.kind)
        objects = [where + name for name in STACK_OF
                   if os.path.exists(os.path.join(tree, where, name[:-1] + "c"))]
        run(self._make("KCFLAGS=-fstack-usage", *objects), self.log + ".stack",
            f"stack usage of {self.name}", env=self._environment())
        frames = {}
        for name in objects:
            for line in read(os.path.join(self.obj, name[:-1] + "su")).splitlines():
                place, size = line.split("\t")[:2]
                function = place.rpartition(":")[2].partition(".")[0]
                frames[function] = max(frames.get(function, 0), int(size))
        if "cache_tag_flush_range" not in frames:
            raise LabError(f"{self.name}: the compiler reports no frame of the flush")
        deepest = max(sum(frames.get(function, 0) for function in path) for path in STACK_PATHS)
        with open(os.path.join(self.obj, "stack"), "w", encoding="utf-8") as file:
            file.write(f"{deepest}\n")

    def functions(self, directory):
        """Names of the functions that come from a directory of the tree."""
        archive = os.path.join(self.obj, directory, "built-in.a")
        done = subprocess.run(["nm", archive], stdout=subprocess.PIPE, text=True, check=True)
        return set(re.findall(r"^[0-9a-f]+ [tT] (\S+)$", done.stdout, re.M))

    def _build_selftests(self):
        tree, _ = self.trees.get(self.kind)
        source = os.path.join(tree, "tools", "testing", "selftests")
        out = os.path.join(self.obj, "selftests")
        os.makedirs(out, exist_ok=True)
        for name in ("iommufd", "iommufd_fail_nth"):
            command = ["gcc", "-O2", "-static", "-D_GNU_SOURCE", "-I" + source,
                       "-I" + os.path.join(tree, "tools", "include"),
                       "-isystem", os.path.join(self.obj, "headers", "include"),
                       os.path.join(source, "iommu", name + ".c"),
                       "-o", os.path.join(out, name), "-lcap", "-pthread"]
            run(self.tools.command(command), self.log + "." + name, f"selftest {name}")
