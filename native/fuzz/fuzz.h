/* What the targets share. A broken promise aborts, so that libFuzzer keeps the input. */
#ifndef DICOMLOOM_FUZZ_FUZZ_H
#define DICOMLOOM_FUZZ_FUZZ_H

#define CHECK_FAILED() abort()
#include "../tests/valid_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
