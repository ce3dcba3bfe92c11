/* The functions of tile.h for one REAL and one instruction set: a template, included by tile_isa.h.
 *
 * REAL       float or double
 * NAME(f)    the function's name in this instance
 * INTEGER    the signed integer as wide as REAL
 * BYTES      one that holds a byte of each number of an AVX2 register; LOW and SPREAD are where these lie in a register
 *            of numbers, and where in one of BYTES those are that numbers are to take
 * VBYTES     bytes of a vector register
 * PIXELS     pixels of a tile; 2 * PIXELS accumulators, 2 weights and a broadcast must fit the registers
 * PASS_PIXELS  pixels that dW adds up before its sums leave the registers: their rows fit a cache of the first levels
 * GATHER     accumulators of `gather`
 */

typedef REAL NAME(vec) __attribute__((vector_size(VBYTES)));
typedef REAL NAME(vecu) __attribute__((vector_size(VBYTES), aligned(sizeof(REAL)), may_alias));
typedef INTEGER NAME(vint) __attribute__((vector_size(VBYTES)));
#define VEC NAME(vec)
#define VINT NAME(vint)
#define VW ((ptrdiff_t)(VBYTES / sizeof(REAL)))
#define FB (2 * VW)

INLINE VEC NAME(load)(const REAL *p) { return *(const NAME(vecu) *)p; }
INLINE void NAME(store)(REAL *p, VEC v) { *(NAME(vecu) *)p = v; }
INLINE VEC NAME(all)(REAL a) { return a - (VEC){0}; } /* a scalar with a vector is broadcast; -0.0 stays -0.0 */
INLINE VEC NAME(blend)(VINT mask, VEC yes, VEC no) { return (VEC)((mask & (VINT)yes) | (~mask & (VINT)no)); }

/* Numbers p[0..n), zeros behind them; `whole` is known when this is compiled. */
INLINE VEC NAME(load_part)(const int whole, const REAL *p, ptrdiff_t n) {
    if (whole) return NAME(load)(p);
    VEC v = {0};
    memcpy(&v, p, n * sizeof(REAL));
    return v;
}

INLINE void NAME(store_part)(const int whole, REAL *p, VEC v, ptrdiff_t n) {
    if (whole)
        NAME(store)(p, v);
    else
        memcpy(p, &v, n * sizeof(REAL));
}

/* Numbers and bytes beside each other: GCC would convert those of AVX2, and unsigned bytes, one by one. */
#if VBYTES == 32 && SHUFFLES_BYTES
typedef uint8_t NAME(vall) __attribute__((vector_size(VBYTES)));
typedef BYTES NAME(vbytes) __attribute__((vector_size(VBYTES)));

/* The lowest byte of each number, side by side. */
INLINE void NAME(store_bytes)(uint8_t *to, VINT v) {
    const NAME(vall) low = __builtin_shufflevector((NAME(vall))v, (NAME(vall))v, LOW, LOW, LOW, LOW);
    memcpy(to, &low, sizeof(BYTES));
}

/* All bits of the numbers whose byte is this one. */
INLINE VINT NAME(equal_bytes)(const uint8_t *p, uint8_t byte) {
    BYTES bytes;
    memcpy(&bytes, p, sizeof(bytes));
    const NAME(vall) each = (NAME(vall))(bytes - (NAME(vbytes)){0});
    return (VINT)(__builtin_shufflevector(each, each, SPREAD) == byte);
}
#else
typedef int8_t NAME(vbyte) __attribute__((vector_size(VBYTES / sizeof(REAL)), aligned(1), may_alias));

INLINE void NAME(store_bytes)(uint8_t *to, VINT v) { *(NAME(vbyte) *)to = __builtin_convertvector(v, NAME(vbyte)); }

INLINE VINT NAME(equal_bytes)(const uint8_t *p, uint8_t byte) {
    return __builtin_convertvector(*(const NAME(vbyte) *)p == (int8_t)byte, VINT); /* of signed ones, at one go */
}
#endif

/* Before a loop over outputs that may be inputs, and so are not `restrict`: no number depends on another. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

#include "tile_copy.h"
#include "tile_dense.h"
#include "tile_sparse.h"
#include "tile_winograd.h"
#include "tile_depthwise.h"
#include "tile_norm.h"
#include "tile_step.h"
#include "tile_pool.h"
#include "tile_relu.h"

#undef INDEPENDENT
#undef VEC
#undef VINT
#undef VW
#undef FB
