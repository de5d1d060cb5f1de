/* SPDX-License-Identifier: GPL-2.0-only */
/* What libFuzzer calls, or replay.c where the compiler has none. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* FUZZ_H */
