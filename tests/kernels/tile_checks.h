/* The checks of tile_driver.c for one REAL: each calls a function of the table FUNCTIONS and the same in naive loops,
 * for one layer. A new function of the table needs a check and a line in CHECKS.
 */

static REAL *NAME(numbers)(ptrdiff_t n) {
    REAL *p = memory(n * sizeof(REAL));
    for (ptrdiff_t i = 0; i < n; i++) p[i] = (REAL)(draw(7) - 3);
    return p;
}

/* Now and then NaN or an infinity, as in images that training has driven out of bounds. */
static void NAME(spoil)(REAL *p, ptrdiff_t n) {
    static const REAL special[] = {NAN, INFINITY, -INFINITY};
    for (ptrdiff_t i = 0; i < n; i++)
        if (!draw(40)) p[i] = special[draw(3)];
}

static REAL *NAME(copy)(const REAL *from, ptrdiff_t n) {
    REAL *p = memory(n * sizeof(REAL));
    memcpy(p, from, n * sizeof(REAL));
    return p;
}

/* An output of n numbers between guards; NaN, or `from` where the function adds to what is there. */
static REAL *NAME(output)(const REAL *from, ptrdiff_t n) {
    REAL *p = memory((n + 2 * GUARD) * sizeof(REAL));
    for (ptrdiff_t i = 0; i < n + 2 * GUARD; i++) p[i] = NAN;
    if (from) memcpy(p + GUARD, from, n * sizeof(REAL));
    return p + GUARD;
}

/* Compare an output with what the loops made of a copy of it, to `rounding` times the largest number; guards are
 * compared too. Frees both. */
static void NAME(compare)(REAL *got, REAL *wanted, ptrdiff_t n, double rounding) {
    double largest = 0;
    for (ptrdiff_t i = 0; i < n; i++) largest = fabs(wanted[i]) > largest ? fabs(wanted[i]) : largest;
    for (ptrdiff_t i = -GUARD; i < n + GUARD; i++) {
        const REAL is = got[i], should = i < 0 || i >= n ? (REAL)NAN : wanted[i];
        expect(is == should || (is != is && should != should) || fabs(is - should) <= rounding * largest, "number", i);
    }
    cases++;
    free(got - GUARD);
    free(wanted);
}


#include "tile_checks_conv.h"
#include "tile_checks_copy.h"
#include "tile_checks_depthwise.h"
#include "tile_checks_norm.h"
#include "tile_checks_pool.h"
#include "tile_checks_relu.h"
#include "tile_checks_step.h"
#include "tile_checks_winograd.h"

static const struct {
    const char *name;
    void (*run)(const FUNCTIONS *t, const struct layer *l);
} NAME(CHECKS)[] = {
    {"pack", NAME(check_pack)},
    {"transpose", NAME(check_transpose)},
    {"forward", NAME(check_forward)},
    {"forward_pool", NAME(check_forward_pool)},
    {"scatter", NAME(check_scatter)},
    {"dweight", NAME(check_dweight)},
    {"patches", NAME(check_patches)},
    {"pooled", NAME(check_pooled)},
    {"gather", NAME(check_gather)},
    {"maxpool", NAME(check_maxpool)},
    {"maxpool_back", NAME(check_maxpool_back)},
    {"winograd_forward", NAME(check_winograd_forward)},
    {"winograd_forward, pooled", NAME(check_winograd_pool)},
    {"winograd_forward, filters turned", NAME(check_winograd_turned)},
    {"winograd_tiles, winograd_back", NAME(check_winograd_gradient)},
    {"depthwise", NAME(check_depthwise)},
    {"depthwise_back", NAME(check_depthwise_back)},
    {"depthwise_sums", NAME(check_depthwise_sums)},
    {"sums", NAME(check_sums)},
    {"moments", NAME(check_moments)},
    {"normalize", NAME(check_normalize)},
    {"gradient_sums", NAME(check_gradient_sums)},
    {"gradient_rows", NAME(check_gradient_rows)},
    {"sgd", NAME(check_sgd)},
    {"adam", NAME(check_adam)},
    {"relu", NAME(check_relu)},
    {"relu_back", NAME(check_relu_back)},
};

_Static_assert(offsetof(FUNCTIONS, block) == 27 * sizeof(void (*)(void)), "a function of tile.h has no check here");

static void NAME(run_checks)(const FUNCTIONS *t) {
    for (ptrdiff_t c = 0; c < COUNT(NAME(CHECKS)); c++) {
        now = NAME(CHECKS)[c].name;
        for (ptrdiff_t l = 0; l < COUNT(LAYERS); l++) NAME(CHECKS)[c].run(t, &LAYERS[l]);
    }
}
