/* Sparse: a few scalars times rows, for gradients that pooling and ReLU have thinned out. Included by tile_real.h. */

/* -- patches written out, for those whose runs are no whole vectors ------------------------------------------------- */

/* rows[i - i0][0..ldr) = the patch of pixel i, a 1 (whose gradient is the bias's), zeros. Copies whole vectors: `x` and
 * `rows` have one to spare. */
static void NAME(patches)(const REAL *x, const struct tile_patches *p, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t ldr,
                          REAL *rows) {
    const ptrdiff_t K = p->nseg * p->seglen;
    for (ptrdiff_t i = i0; i < i1; i++) {
        REAL *to = rows + (i - i0) * ldr;
        for (ptrdiff_t s = 0; s < p->nseg; s++) {
            const REAL *from = x + p->pix[i] + p->seg[s];
            for (ptrdiff_t k = 0; k < p->seglen; k += VW) NAME(store)(to + k, NAME(load)(from + k));
            to += p->seglen;
        }
        for (ptrdiff_t k = 0; k < ldr - K; k++) to[k] = k == 0;
    }
}

/* Whether none of n numbers is an infinity or NaN: those times zero are NaN, which then is the sum. */
static int NAME(finite)(const REAL *x, ptrdiff_t n) {
    VEC a[4] = {{0}};
    REAL sum = 0;
    ptrdiff_t i = 0;
    for (; i + 4 * VW <= n; i += 4 * VW)
        UNROLL for (int j = 0; j < 4; j++) a[j] += NAME(load)(x + i + j * VW) * (VEC){0};
    for (; i < n; i++) sum += x[i] * 0;
    a[0] += a[1] + a[2] + a[3];
    for (int j = 0; j < VW; j++) sum += a[0][j];
    return sum == 0;
}

/* The row of a place, `zeros` where no window has it. By arithmetic: branches would be guessed wrong all the time. */
INLINE const REAL *NAME(row_of)(const REAL *rows, uint8_t place, ptrdiff_t window, ptrdiff_t ldr, const REAL *zeros) {
    const uintptr_t none = (uintptr_t)zeros, row = (uintptr_t)rows + (uintptr_t)(place * ldr) * sizeof(REAL);
    return (const REAL *)(none + ((row - none) & -(uintptr_t)(place < window)));
}

/* out[0..V) += sum over n windows of dy * the row of the place that argmax names, for one filter or, where `two`, for it
 * and the next, whose sums are ldr numbers on. With few vectors to a row a single filter would wait for its own sums.
 * The row of a dead place is zeros; where not all of dy is `finite` its gradient is made zero too, which takes time. */
INLINE void NAME(pooled_v)(const int V, const int two, const int finite, const REAL *rows, ptrdiff_t window,
                           ptrdiff_t ldr, const REAL *zeros, const REAL *dy, const uint8_t *argmax, ptrdiff_t F,
                           ptrdiff_t n, REAL *out) {
    VEC a[2][GATHER];
    UNROLL for (int j = 0; j < V; j++) {
        a[0][j] = (VEC){0};
        if (two) a[1][j] = (VEC){0};
    }
    for (ptrdiff_t i = 0; i < n; i++, rows += window * ldr, dy += F, argmax += F) {
        const REAL *r0 = NAME(row_of)(rows, argmax[0], window, ldr, zeros);
        const REAL *r1 = NAME(row_of)(rows, argmax[two], window, ldr, zeros);
        const VEC v0 = NAME(all)(finite || r0 != zeros ? dy[0] : 0);
        const VEC v1 = NAME(all)(finite || r1 != zeros ? dy[two] : 0);
        UNROLL for (int j = 0; j < V; j++) {
            a[0][j] += v0 * NAME(load)(r0 + j * VW);
            if (two) a[1][j] += v1 * NAME(load)(r1 + j * VW);
        }
    }
    UNROLL for (int j = 0; j < V; j++) {
        NAME(store)(out + j * VW, NAME(load)(out + j * VW) + a[0][j]);
        if (two) NAME(store)(out + ldr + j * VW, NAME(load)(out + ldr + j * VW) + a[1][j]);
    }
}

/* out[f][0..ldr) += sum over n windows of dy[i][f] * rows[i * window + argmax[i][f]], for all F filters; `zeros` is the
 * row of a dead one, and of a place that no window has. ldr is a whole number of vectors, taken GATHER / 2 at a time. */
static void NAME(pooled)(const REAL *rows, ptrdiff_t window, ptrdiff_t ldr, const REAL *zeros, const REAL *dy,
                         const uint8_t *argmax, ptrdiff_t F, ptrdiff_t n, REAL *out) {
    const int finite = NAME(finite)(dy, n * F);
    const ptrdiff_t vectors = ldr / VW, pieces = (vectors + GATHER / 2 - 1) / (GATHER / 2);
    for (ptrdiff_t piece = 0; piece < pieces; piece++) {
        const ptrdiff_t first = vectors * piece / pieces, at = first * VW;
        for (ptrdiff_t f = 0; f < F; f += 2) {
            REAL *to = out + f * ldr + at;
            switch (vectors * (piece + 1) / pieces - first) {
#define POOLED(V, two, finite)                                                                                         \
    NAME(pooled_v)(V > GATHER / 2 ? 1 : V, two, finite, rows + at, window, ldr, zeros, dy + f, argmax + f, F, n, to)
#define CASE(V)                                                                                                        \
    case V:                                                                                                            \
        if (V > GATHER / 2) break;                                                                                     \
        if (finite && f + 1 < F)                                                                                       \
            POOLED(V, 1, 1);                                                                                           \
        else if (finite)                                                                                               \
            POOLED(V, 0, 1);                                                                                           \
        else if (f + 1 < F)                                                                                            \
            POOLED(V, 1, 0);                                                                                           \
        else                                                                                                           \
            POOLED(V, 0, 0);                                                                                           \
        break;
                CASES_GATHER
#undef CASE
#undef POOLED
            }
        }
    }
}

/* -- sparse: a few scalars times rows, added up in registers ------------------------------------------------------- */

INLINE void NAME(gather_v)(const int V, const REAL *rows, ptrdiff_t step, const int32_t *at, const REAL *g,
                           ptrdiff_t n, REAL *out) {
    VEC a[GATHER];
    UNROLL for (int j = 0; j < V; j++) a[j] = (VEC){0};
    for (ptrdiff_t e = 0; e < n; e++) {
        const REAL *row = rows + at[e] * step;
        const VEC v = NAME(all)(g[e]);
        UNROLL for (int j = 0; j < V; j++) a[j] += v * NAME(load)(row + j * VW);
    }
    UNROLL for (int j = 0; j < V; j++) NAME(store)(out + j * VW, NAME(load)(out + j * VW) + a[j]);
}

static void NAME(gather)(const REAL *rows, ptrdiff_t step, const int32_t *at, const REAL *g, ptrdiff_t n, ptrdiff_t nv,
                         REAL *out) {
    switch (nv) {
#define CASE(V)                                                                                                        \
    case V:                                                                                                            \
        NAME(gather_v)(V, rows, step, at, g, n, out);                                                                  \
        break;
        CASES_GATHER
#undef CASE
    }
}
