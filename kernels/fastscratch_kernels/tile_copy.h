/* Copies that bring numbers into the order in which the other loops read them. Included by tile_real.h. */

/* y[i * FB + j] = x[i * ldx + j] for j < n, and zeros from there to the end of the block. */
static void NAME(pack)(const REAL *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t n, REAL *y) {
    if (n == FB) {
        for (ptrdiff_t i = 0; i < rows; i++) {
            NAME(store)(y + i * FB, NAME(load)(x + i * ldx));
            NAME(store)(y + i * FB + VW, NAME(load)(x + i * ldx + VW));
        }
        return;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        memcpy(y + i * FB, x + i * ldx, n * sizeof(REAL));
        memset(y + i * FB + n, 0, (FB - n) * sizeof(REAL));
    }
}

/* Squares of SIDE x SIDE numbers are turned in registers of 16 bytes, which all instruction sets have. */
typedef REAL NAME(quad) __attribute__((vector_size(16)));
typedef REAL NAME(quadu) __attribute__((vector_size(16), aligned(sizeof(REAL)), may_alias));
#define SIDE ((ptrdiff_t)(16 / sizeof(REAL)))

/* The rows dealt out like two halves of a pack of cards; as often as a row can be halved, that is the transpose. */
INLINE void NAME(turn_square)(const REAL *x, ptrdiff_t ldx, REAL *y, ptrdiff_t ldy) {
    NAME(quad) a[16 / sizeof(REAL)], b[16 / sizeof(REAL)];
    UNROLL for (int i = 0; i < SIDE; i++) a[i] = *(const NAME(quadu) *)(x + i * ldx);
    UNROLL for (int half = 1; half < SIDE; half *= 2) {
        UNROLL for (int i = 0; i < SIDE / 2; i++) {
            b[2 * i] = DEAL_LOW(a[i], a[i + SIDE / 2]);
            b[2 * i + 1] = DEAL_HIGH(a[i], a[i + SIDE / 2]);
        }
        UNROLL for (int i = 0; i < SIDE; i++) a[i] = b[i];
    }
    UNROLL for (int i = 0; i < SIDE; i++) *(NAME(quadu) *)(y + i * ldy) = a[i];
}

/* y[j * ldy + i] = x[i * ldx + j] for i < rows, j < columns. */
static void NAME(transpose)(const REAL *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t columns, REAL *y, ptrdiff_t ldy) {
    const ptrdiff_t m = rows / SIDE * SIDE, n = columns / SIDE * SIDE;
    for (ptrdiff_t j = 0; j < n; j += SIDE)
        for (ptrdiff_t i = 0; i < m; i += SIDE) NAME(turn_square)(x + i * ldx + j, ldx, y + j * ldy + i, ldy);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = i < m ? n : 0; j < columns; j++) y[j * ldy + i] = x[i * ldx + j];
}

#undef SIDE
