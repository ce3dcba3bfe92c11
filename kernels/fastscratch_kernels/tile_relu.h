/* Rectified linear unit over flat arrays. Included by tile_real.h.
 *
 * Plain loops, of which the compiler makes vectors; NaN passes both ways, and denormal numbers stay what they are.
 * Outputs may be the first input.
 */

static void NAME(relu)(ptrdiff_t n, const REAL *x, REAL *out) {
    INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) out[i] = x[i] < 0 ? 0 : x[i];
}

static void NAME(relu_back)(ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx) {
    INDEPENDENT for (ptrdiff_t i = 0; i < n; i++) {
        const REAL passed = dy[i]; /* read in any case: a jump around it would take the place of a vector */
        dx[i] = y[i] <= 0 ? 0 : passed;
    }
}
