/* What every CPU of its architecture has: 16 registers of 16 bytes (SSE2 on x86-64), and 32 on arm64 (NEON). */
#include <math.h>
#include <string.h>

#include "tile.h"
#define ISA baseline
#define VBYTES 16
#define PASS_PIXELS 96
#if defined(__aarch64__)
#define PIXELS 12
#define GATHER 24
#define CASES_PIXELS \
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#define CASES_GATHER \
    CASES_PIXELS \
    CASE(13) CASE(14) CASE(15) CASE(16) CASE(17) CASE(18) CASE(19) CASE(20) CASE(21) CASE(22) CASE(23) CASE(24)
#else
#define PIXELS 6
#define GATHER 12
#define CASES_PIXELS CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define CASES_GATHER \
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#include "tile_isa.h"
