/* AVX-512: 32 registers of 64 bytes. 12 pixels x 2 vectors are 24 accumulators. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "tile.h"
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#endif
#define ISA avx512
#define VBYTES 64
#define PIXELS 12
#define PASS_PIXELS 192
#define GATHER 24
#define CASES_PIXELS \
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#define CASES_GATHER \
    CASES_PIXELS \
    CASE(13) CASE(14) CASE(15) CASE(16) CASE(17) CASE(18) CASE(19) CASE(20) CASE(21) CASE(22) CASE(23) CASE(24)
#include "tile_isa.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
