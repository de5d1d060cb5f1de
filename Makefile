# SPDX-License-Identifier: GPL-2.0-only
#
# Meson does the work; this installs missing packages and picks the build directories.

TRACES := $(addprefix tests/data/traces/,vtd-vfio-ats-1-2-4-8dev.txt \
	amd-vfio-1-2-4-8dev.txt)

.PHONY: help
help:
	@sed -n 's/^## //p' Makefile

## make run      install what is missing, build, run the demo and replay real traces
.PHONY: run
run: build/release/tools/alist/alist
	build/release/tools/alist/alist demo
	build/release/tools/alist/alist replay $(TRACES)

## make check    all user-space tests: plain, with ASan and UBSan, with TSan
.PHONY: check
check: setup fuzz-setup
	@scripts/check

## make check-debian   build, check and test the packages of debian/ in a clean root of SUITE
##               (bookworm, trixie, or both by default); as root, with mmdebstrap
.PHONY: check-debian
check-debian:
	@scripts/setup mmdebstrap
	@for suite in $(or $(SUITE),bookworm trixie); do scripts/check-debian $$suite || exit; done

## make check-without-apt   build in roots without Debian's tools: the library with only a
##               compiler and Meson; all of it with Meson and make; as root, with mmdebstrap
.PHONY: check-without-apt
check-without-apt:
	@scripts/setup mmdebstrap
	@scripts/check-without-apt

## make proof    prove the protocol: litmus tests in the kernel's memory model, and spin
.PHONY: proof
proof:
	@scripts/proof-setup
	@scripts/proof

## make proof-long   the same with the runs of spin that take minutes
.PHONY: proof-long
proof-long:
	@scripts/proof-setup
	@scripts/proof --long

## make build    the library and the tool, optimised, in build/release
.PHONY: build
build: setup build/release/build.ninja
	@ninja -C build/release

.PHONY: build/release/tools/alist/alist
build/release/tools/alist/alist: build

# The program that is the hardware of lab/hw's machines.
.PHONY: build/release/lab/hw/hw
build/release/lab/hw/hw: build/release/build.ninja
	@ninja -C build/release --quiet lab/hw/hw

build/release/build.ninja:
	@meson setup --buildtype=release -Dlockdep=false -Dpanic_on_warn=false \
		$(if $(PREFIX),--prefix="$(PREFIX)") build/release

## make torture  all operations at once, an oracle on every walk; takes DURATION=2h, SEED=N
DURATION ?= 10m
SEED ?= 1
.PHONY: torture
torture: setup build/release/build.ninja
	@ninja -C build/release --quiet tests/torture/torture
	@build/release/tests/torture/torture --duration=$(DURATION) --seed=$(SEED)

## make fuzz     the API and the log reader under libFuzzer; takes DURATION=10m
.PHONY: fuzz
fuzz: setup fuzz-setup
	@scripts/fuzz $(DURATION)

# Only clang has libFuzzer, in a package of its version.
.PHONY: fuzz-setup
fuzz-setup:
	@scripts/setup clang
	@scripts/setup libclang-rt-$$(clang -dumpversion | cut -d. -f1)-dev

## make bench    the list compared with its peers: tables, JSON, CSV and charts
.PHONY: bench
bench: bench-setup build
	@scripts/bench

## make bench-quick   the same for the cells that matter most, in two minutes
.PHONY: bench-quick
bench-quick: bench-setup build
	@scripts/bench --quick

## make bench-check   fails where the list has become slower than bench/bounds.txt
.PHONY: bench-check
bench-check: bench-setup build
	@scripts/bench-check

# What draws the charts.
.PHONY: bench-setup
bench-setup:
	@scripts/setup gnuplot-nox

## make cost-page   doc/cost.md and its pictures, from a log of the lab
.PHONY: cost-page
cost-page: build
	@scripts/cost-page build/release/tools/alist/alist

## make series   the patch series for Linux 7.3, checked: takes LINUX=dir OUT=dir
.PHONY: series
series: series-setup
	@scripts/series $(if $(LINUX),--linux "$(LINUX)") $(if $(OUT),--out "$(OUT)")

# What applies and checks the series: cross compilers, Coccinelle, sparse.
.PHONY: series-setup
series-setup:
	@scripts/setup git rsync perl bc bison flex libelf-dev libssl-dev ccache sparse \
		coccinelle gcc-aarch64-linux-gnu gcc-riscv64-linux-gnu

## make coverage every line and branch of the core is reached, or listed with the reason
.PHONY: coverage
coverage: setup
	@scripts/setup gcovr
	@scripts/coverage

## make mutants  put every known fault back, one at a time: a test must notice each
.PHONY: mutants
mutants: setup
	@scripts/mutants

## make lab      boot stock and alist kernels in QEMU; tables in build/lab/report.md
##               takes DEBUG=lockdep|kasan|kcsan, MACHINE=name, LINUX=dir QEMU=dir
.PHONY: lab
lab: setup lab-setup
	@LINUX="$(LINUX)" QEMU="$(QEMU)" lab/run $(MACHINE:%=--machine %) $(DEBUG:%=--debug %)
	@$(if $(MACHINE)$(DEBUG),,LINUX="$(LINUX)" QEMU="$(QEMU)" lab/record)

## make hw       boot your kernel on hardware that QEMU does not have: takes KERNEL=image
##               INITRD=file, MODULE=hwpci.ko, MACHINE=name or file.toml, APPEND=text, QEMU=dir
.PHONY: hw
hw: setup
	@[ -n "$(KERNEL)" ] && [ -n "$(INITRD)" ] || \
		{ echo "make hw: KERNEL= and INITRD= are missing; see doc/hw.md" >&2; exit 2; }
	@QEMU="$(QEMU)" lab/boot $(if $(MACHINE),--machine "$(MACHINE)") \
		$(if $(APPEND),--append "$(APPEND)") $(if $(MODULE),--module "$(MODULE)") \
		"$(KERNEL)" "$(INITRD)"

## make check-kernel   the list in Linux 7.3: KUnit under UML, x86-64, arm64, riscv64; the
##               lab's short form; takes LINUX=dir QEMU=dir
.PHONY: check-kernel
check-kernel: setup lab-setup
	@scripts/check-kernel

# With LINUX= there is no Debian root that would have these.
.PHONY: lab-setup
lab-setup: series-setup
	@$(if $(LINUX),scripts/setup libcap-dev e2fsprogs)

## make ci       check, check-kernel, coverage, proof, mutants and bench-check; its last
##               line counts all cases
.PHONY: ci
ci:
	@scripts/ci

## make install  install the library, the tool and their manual pages; takes DESTDIR, PREFIX
.PHONY: install
install: build
	@$(if $(PREFIX),meson configure build/release -Dprefix="$(PREFIX)" && \
		ninja -C build/release --quiet)
	@meson install -C build/release --no-rebuild --quiet

## make uninstall   remove what the last make install has installed
.PHONY: uninstall
uninstall:
	@ninja -C build/release --quiet uninstall

## make setup    on Debian, install the packages that the build needs and that are missing
.PHONY: setup
setup:
	@scripts/setup

## make clean    remove all build directories
.PHONY: clean
clean:
	rm -rf build
