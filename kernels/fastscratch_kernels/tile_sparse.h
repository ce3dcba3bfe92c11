/* Sparse: a few scalars times rows, for gradients that pooling and ReLU have thinned out. Included by tile_real.h. */

/* -- patches written out, for those whose runs are no whole vectors ------------------------------------------------- */

/* rows[i - i0][0..ldr) = the patch of pixel i, then zeros. Copies whole vectors: `x` and `rows` have one to spare. */
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
        for (ptrdiff_t k = 0; k < ldr - K; k++) to[k] = 0;
    }
}

/* -- sparse: a few scalars times rows, added up in registers ------------------------------------------------------- */

INLINE void NAME(gather_v)(const int V, const REAL *rows, ptrdiff_t step, const int32_t *at, const REAL *g,
                            ptrdiff_t n, REAL *out) {
    VEC a[GATHER];
    UNROLL for (int j = 0; j < V; j++) a[j] = NAME(load)(out + j * VW);
    for (ptrdiff_t e = 0; e < n; e++) {
        const REAL *row = rows + at[e] * step;
        const VEC v = NAME(all)(g[e]);
        UNROLL for (int j = 0; j < V; j++) a[j] += v * NAME(load)(row + j * VW);
    }
    UNROLL for (int j = 0; j < V; j++) NAME(store)(out + j * VW, a[j]);
}

static void NAME(gather)(const REAL *rows, ptrdiff_t step, const int32_t *at, const REAL *g, ptrdiff_t n, ptrdiff_t nv,
                         REAL *out) {
    switch (nv) {
#define CASE(V)                                                                                                        \
    case V:                                                                                                            \
        NAME(gather_v)(V, rows, step, at, g, n, out);                                                                        \
        break;
        CASES_GATHER
#undef CASE
    }
}
