/* Both precisions of tile_real.h for one instruction set; included by tile_<isa>.c, which defines
 * ISA, VBYTES, PIXELS, PASS_PIXELS, GATHER and their lists of cases.
 */
#include <math.h>
#include <string.h>

#include "tile.h"

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define SHUFFLE(integer, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define UNROLL _Pragma("GCC unroll 32")
typedef int32_t shuffle_int32_t __attribute__((vector_size(16)));
typedef int64_t shuffle_int64_t __attribute__((vector_size(16)));
#define SHUFFLE(integer, a, b, ...) __builtin_shuffle(a, b, (shuffle_##integer){__VA_ARGS__})
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLES_BYTES 1
#endif
#endif
#define FOUR(i) i, i, i, i

#define CHAIN 192          /* products that are summed in one go: more would round more, and their weights leave L1 */
#define BUFFER_BYTES 16384 /* of accumulators: they stay in L1, of 32 KB, beside the rows of pixels */

/* What a sum of products is added to: see `dense`. */
enum first { FIRST_SUMS, FIRST_ZERO, FIRST_BIAS };

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

#define REAL float
#define SQRT sqrtf
#define DEAL_LOW(a, b) SHUFFLE(int32_t, a, b, 0, 4, 1, 5)
#define DEAL_HIGH(a, b) SHUFFLE(int32_t, a, b, 2, 6, 3, 7)
#define INTEGER int32_t
#define BYTES int64_t
#define LOW 0, 4, 8, 12, 16, 20, 24, 28
#define SPREAD FOUR(0), FOUR(1), FOUR(2), FOUR(3), FOUR(20), FOUR(21), FOUR(22), FOUR(23)
#define NAME(f) JOIN(f, f32)
#include "tile_real.h"
#undef REAL
#undef SQRT
#undef DEAL_LOW
#undef DEAL_HIGH
#undef INTEGER
#undef BYTES
#undef LOW
#undef SPREAD
#undef NAME

#define REAL double
#define SQRT sqrt
#define DEAL_LOW(a, b) SHUFFLE(int64_t, a, b, 0, 2)
#define DEAL_HIGH(a, b) SHUFFLE(int64_t, a, b, 1, 3)
#define INTEGER int64_t
#define BYTES int32_t
#define LOW 0, 8, 16, 24, 0, 8, 16, 24
#define SPREAD FOUR(0), FOUR(0), FOUR(1), FOUR(1), FOUR(18), FOUR(18), FOUR(19), FOUR(19)
#define NAME(f) JOIN(f, f64)
#include "tile_real.h"
#undef REAL
#undef SQRT
#undef DEAL_LOW
#undef DEAL_HIGH
#undef INTEGER
#undef BYTES
#undef LOW
#undef SPREAD
#undef NAME

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)
#define FUNCTIONS(suffix, real)                                                                                        \
    {                                                                                                                  \
        .pack = pack_##suffix, .transpose = transpose_##suffix,                                                        \
        .forward = forward_##suffix, .forward_pool = forward_pool_##suffix, .scatter = scatter_##suffix,               \
        .dweight = dweight_##suffix, .patches = patches_##suffix, .pooled = pooled_##suffix, .gather = gather_##suffix,\
        .winograd_filters = winograd_filters_##suffix, .winograd_forward = winograd_forward_##suffix,                  \
        .winograd_tiles = winograd_tiles_##suffix, .winograd_back = winograd_back_##suffix,                            \
        .depthwise = depthwise_##suffix, .depthwise_back = depthwise_back_##suffix,                                    \
        .depthwise_sums = depthwise_sums_##suffix,                                                                     \
        .sums = sums_##suffix, .moments = moments_##suffix, .normalize = normalize_##suffix,                           \
        .gradient_sums = gradient_sums_##suffix, .gradient_rows = gradient_rows_##suffix,                              \
        .maxpool = maxpool_##suffix, .maxpool_back = maxpool_back_##suffix,                                            \
        .sgd = sgd_##suffix, .adam = adam_##suffix, .relu = relu_##suffix, .relu_back = relu_back_##suffix,            \
        .block = 2 * VBYTES / sizeof(real), .vector = VBYTES / sizeof(real), .pixels = PIXELS,                         \
        .gather_max = GATHER, .buffer = BUFFER_BYTES / sizeof(real)                                                    \
    }

const struct tile_table JOIN(tile, ISA) = {TEXT(ISA), FUNCTIONS(f32, float), FUNCTIONS(f64, double), PASS_PIXELS,
                                            tile_scratch, tile_flush_denormals, tile_restore_denormals};
