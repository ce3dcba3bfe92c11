/* AVX2 and FMA: 16 registers of 32 bytes. 6 pixels x 2 vectors are 12 accumulators, and 3 registers are left to work with. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "tile.h"
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define ISA avx2
#define VBYTES 32
#define PIXELS 6
#define PASS_PIXELS 96
#define GATHER 12
#define CASES_PIXELS CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define CASES_GATHER \
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#include "tile_isa.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
