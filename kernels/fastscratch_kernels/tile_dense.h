/* Dense: products of patches or rows with packed filters, PIXELS x FB sums in registers. Included by tile_real.h. */

/* to[p][0..V * VW) = first + sum over s, k of x[p][seg[s] + k] * w[(s * L + k) * FB ..], where `first` is acc[p], zero,
 * or the bias. P, V (1 or 2) and `first` are constants after inlining. The sums begin at zero, so that rounding errors
 * grow with the length of one, and not with all that is added to acc. */
INLINE void NAME(dense)(const int P, const int V, const enum first first, const REAL *const *x, const ptrdiff_t *seg,
                        ptrdiff_t nseg, ptrdiff_t L, const REAL *w, const REAL *bias, REAL *const *acc,
                        REAL *const *to) {
    VEC a[PIXELS][2];
    UNROLL for (int p = 0; p < P; p++) {
        a[p][0] = (VEC){0};
        a[p][1] = (VEC){0};
    }
    for (ptrdiff_t s = 0; s < nseg; s++) {
        const REAL *xs[PIXELS];
        UNROLL for (int p = 0; p < P; p++) xs[p] = x[p] + seg[s];
        for (ptrdiff_t k = 0; k < L; k++) {
            const VEC w0 = NAME(load)(w), w1 = V == 2 ? NAME(load)(w + VW) : w0;
            w += FB;
            UNROLL for (int p = 0; p < P; p++) {
                const VEC v = NAME(all)(xs[p][k]);
                a[p][0] += v * w0;
                if (V == 2) a[p][1] += v * w1;
            }
        }
    }
    UNROLL for (int p = 0; p < P; p++) {
        const REAL *from = first == FIRST_BIAS ? bias : acc[p];
        UNROLL for (int h = 0; h < V; h++)
            NAME(store)(to[p] + h * VW, first == FIRST_ZERO ? a[p][h] : NAME(load)(from + h * VW) + a[p][h]);
    }
}

/* n pixels, and so many filters of a block: a vector of them that are not there is left out. */
static void NAME(dense_n)(ptrdiff_t n, ptrdiff_t filters, const enum first first, const REAL *const *x,
                          const ptrdiff_t *seg, ptrdiff_t nseg, ptrdiff_t L, const REAL *w, const REAL *bias,
                          REAL *const *acc, REAL *const *to) {
#define DENSE(P, V)                                                                                                    \
    if (first == FIRST_SUMS)                                                                                           \
        NAME(dense)(P, V, FIRST_SUMS, x, seg, nseg, L, w, bias, acc, to);                                              \
    else if (first == FIRST_ZERO)                                                                                      \
        NAME(dense)(P, V, FIRST_ZERO, x, seg, nseg, L, w, bias, acc, to);                                              \
    else                                                                                                               \
        NAME(dense)(P, V, FIRST_BIAS, x, seg, nseg, L, w, bias, acc, to);                                              \
    break
    if (filters > VW) {
        switch (n) {
#define CASE(P) case P: DENSE(P, 2);
            CASES_PIXELS
#undef CASE
        }
    } else {
        switch (n) {
#define CASE(P) case P: DENSE(P, 1);
            CASES_PIXELS
#undef CASE
        }
    }
#undef DENSE
}

/* Outputs of pixels i0..i1 for one block, of which there are so many filters, into y[(i - i0) * ldy ..], the weights a
 * piece at a time that L1 holds; buf[i - i0][FB] has the sums until the last one. */
static void NAME(chunk)(const REAL *x, const struct tile_patches *p, ptrdiff_t i0, ptrdiff_t i1, const REAL *w,
                        const REAL *bias, ptrdiff_t filters, REAL *buf, REAL *y, ptrdiff_t ldy) {
    /* As many whole segments as make a chain, or a part of one that is longer. */
    const ptrdiff_t L = p->seglen, step = L < CHAIN ? CHAIN / L : 1, parts = (L + CHAIN - 1) / CHAIN;
    const ptrdiff_t tiles = (i1 - i0 + PIXELS - 1) / PIXELS;
    for (ptrdiff_t s = 0; s < p->nseg; s += step) {
        const ptrdiff_t n = p->nseg - s < step ? p->nseg - s : step;
        for (ptrdiff_t part = 0; part < parts; part++) {
            const ptrdiff_t k = L * part / parts, length = L * (part + 1) / parts - k;
            const int last = s + n == p->nseg && part + 1 == parts;
            for (ptrdiff_t t = 0; t < tiles; t++) { /* of even sizes: a small last one would starve the FMA units */
                const ptrdiff_t a = i0 + (i1 - i0) * t / tiles, b = i0 + (i1 - i0) * (t + 1) / tiles;
                const REAL *xs[PIXELS];
                REAL *acc[PIXELS], *to[PIXELS];
                for (ptrdiff_t i = a; i < b; i++) {
                    xs[i - a] = x + p->pix[i] + k;
                    acc[i - a] = buf + (i - i0) * FB;
                    to[i - a] = last ? y + (i - i0) * ldy : acc[i - a];
                }
                NAME(dense_n)(b - a, filters, s + part ? FIRST_SUMS : FIRST_BIAS, xs, p->seg + s, n, length,
                              w + (s * L + k) * FB, bias, acc, to);
            }
        }
    }
}

/* The same where a patch is no longer than one chain, into y[i * ldy ..] for nf filters, whole blocks: all of a tile's
 * before the next tile, since memory takes rows sooner than parts of them. */
static void NAME(short_chunk)(const REAL *x, const struct tile_patches *p, ptrdiff_t i0, ptrdiff_t i1, const REAL *w,
                              const REAL *bias, ptrdiff_t nf, REAL *y, ptrdiff_t ldy) {
    const ptrdiff_t K = p->nseg * p->seglen, tiles = (i1 - i0 + PIXELS - 1) / PIXELS;
    for (ptrdiff_t t = 0; t < tiles; t++) {
        const ptrdiff_t a = i0 + (i1 - i0) * t / tiles, b = i0 + (i1 - i0) * (t + 1) / tiles;
        const REAL *xs[PIXELS];
        REAL *acc[PIXELS];
        for (ptrdiff_t i = a; i < b; i++) xs[i - a] = x + p->pix[i];
        for (ptrdiff_t f = 0; f < nf; f += FB) {
            for (ptrdiff_t i = a; i < b; i++) acc[i - a] = y + i * ldy + f;
            NAME(dense_n)(b - a, FB, FIRST_BIAS, xs, p->seg, p->nseg, p->seglen, w + f * K, bias + f, acc, acc);
        }
    }
}

/* Pixels of a chunk: whole windows, and an accumulator block that L1 holds beside the weights. */
static ptrdiff_t NAME(chunk_pixels)(const struct tile_patches *p) {
    const ptrdiff_t most = BUFFER_BYTES / (ptrdiff_t)sizeof(REAL) / FB;
    const ptrdiff_t whole = most / p->window * p->window;
    return whole < 1 ? p->window : whole;
}

static void NAME(forward)(const REAL *x, const struct tile_patches *p, const REAL *w, const REAL *bias, ptrdiff_t nf,
                          REAL *buf, REAL *y, ptrdiff_t ldy) {
    const ptrdiff_t K = p->nseg * p->seglen, step = NAME(chunk_pixels)(p);
    const int few = K <= CHAIN && K * nf * (ptrdiff_t)sizeof(REAL) <= BUFFER_BYTES; /* weights: L1 holds all of them */
    const ptrdiff_t made = few ? nf / FB * FB : 0;
    if (made) NAME(short_chunk)(x, p, 0, p->npix, w, bias, made, y, ldy);
    for (ptrdiff_t i0 = 0; i0 < p->npix && made < nf; i0 += step) {
        const ptrdiff_t i1 = p->npix - i0 < step ? p->npix : i0 + step;
        for (ptrdiff_t f = made; f < nf; f += FB) {
            const ptrdiff_t n = nf - f < FB ? nf - f : FB;
            if (n == FB && K <= CHAIN) {
                NAME(short_chunk)(x, p, i0, i1, w + f * K, bias + f, FB, y + f, ldy);
                continue;
            }
            if (n == FB) {
                NAME(chunk)(x, p, i0, i1, w + f * K, bias + f, n, buf, y + i0 * ldy + f, ldy);
                continue;
            }
            NAME(chunk)(x, p, i0, i1, w + f * K, bias + f, n, buf, buf, FB);
            for (ptrdiff_t i = i0; i < i1; i++) memcpy(y + i * ldy + f, buf + (i - i0) * FB, n * sizeof(REAL));
        }
    }
}

/* The largest of `n` rows of `rows`, VW columns, and its place; ties to the first, NaN to the last, as in maxpool2d. */
INLINE void NAME(pool)(const REAL *rows, ptrdiff_t n, REAL *y, uint8_t *argmax) {
    VEC best = NAME(load)(rows);
    VINT place = {0};
    for (ptrdiff_t j = 1; j < n; j++) {
        const VEC v = NAME(load)(rows + j * FB);
        const VINT wins = (v > best) | (v != v);
        best = NAME(blend)(wins, v, best);
        place = (wins & ((VINT){0} + (INTEGER)j)) | (~wins & place);
    }
    const VINT dead = best <= 0;
    NAME(store)(y, (VEC)(~dead & (VINT)best)); /* ReLU: zero where dead, NaN stays */
    place |= dead;                             /* -1, and TILE_DEAD once it is a byte */
    NAME(store_bytes)(argmax, place);
}

static void NAME(forward_pool)(const REAL *x, const struct tile_patches *p, const REAL *w, const REAL *bias,
                               ptrdiff_t nf, REAL *buf, REAL *y, uint8_t *argmax, ptrdiff_t ldy) {
    const ptrdiff_t K = p->nseg * p->seglen, step = NAME(chunk_pixels)(p), window = p->window;
    REAL ylast[2 * VBYTES / sizeof(REAL)];
    uint8_t alast[2 * VBYTES / sizeof(REAL)];
    for (ptrdiff_t i0 = 0; i0 < p->npix; i0 += step) {
        const ptrdiff_t i1 = p->npix - i0 < step ? p->npix : i0 + step;
        for (ptrdiff_t f = 0; f < nf; f += FB) {
            const ptrdiff_t n = nf - f < FB ? nf - f : FB;
            NAME(chunk)(x, p, i0, i1, w + f * K, bias + f, n, buf, buf, FB);
            for (ptrdiff_t i = i0; i < i1; i += window) {
                const REAL *rows = buf + (i - i0) * FB;
                const ptrdiff_t at = i / window * ldy + f;
                REAL *to = n == FB ? y + at : ylast;
                uint8_t *place = n == FB ? argmax + at : alast;
                for (ptrdiff_t v = 0; v < n; v += VW) NAME(pool)(rows + v, window, to + v, place + v);
                if (n < FB) {
                    memcpy(y + at, ylast, n * sizeof(REAL));
                    memcpy(argmax + at, alast, n);
                }
            }
        }
    }
}

/* -- dense, backwards ---------------------------------------------------------------------------------------------- */

static void NAME(scatter)(const REAL *dy, ptrdiff_t ldy, ptrdiff_t nf, const REAL *wt, ptrdiff_t nc,
                          const ptrdiff_t *pix, ptrdiff_t npix, REAL *dxp) {
    static const ptrdiff_t here[1] = {0};
    const ptrdiff_t tiles = (npix + PIXELS - 1) / PIXELS, parts = (nf + CHAIN - 1) / CHAIN;
    for (ptrdiff_t part = 0; part < parts; part++) {
        const ptrdiff_t f = nf * part / parts, length = nf * (part + 1) / parts - f;
        for (ptrdiff_t t = 0; t < tiles; t++) {
            const ptrdiff_t a = npix * t / tiles, b = npix * (t + 1) / tiles;
            const REAL *rows[PIXELS];
            REAL *acc[PIXELS];
            for (ptrdiff_t i = a; i < b; i++) {
                rows[i - a] = dy + i * ldy + f;
                acc[i - a] = dxp + pix[i];
            }
            NAME(dense_n)(b - a, nc, FIRST_SUMS, rows, here, 1, length, wt + f * FB, NULL, acc, acc);
        }
    }
}

INLINE void NAME(outer)(const int R, const int V, const REAL *x, ptrdiff_t ldx, const ptrdiff_t *pix, ptrdiff_t npix,
                        const REAL *dy, ptrdiff_t lddy, ptrdiff_t ldg, ptrdiff_t n, REAL *dw, ptrdiff_t ldw) {
    VEC a[PIXELS][2];
    UNROLL for (int r = 0; r < R; r++) {
        a[r][0] = (VEC){0};
        a[r][1] = (VEC){0};
    }
    for (ptrdiff_t m = 0; m < n; m++) {
        const REAL *g = dy + m * lddy, *image = x + m * ldx;
        for (ptrdiff_t i = 0; i < npix; i++) {
            const REAL *row = image + pix[i];
            const VEC g0 = NAME(load)(g), g1 = V == 2 ? NAME(load)(g + VW) : g0;
            g += ldg;
            UNROLL for (int r = 0; r < R; r++) {
                const VEC v = NAME(all)(row[r]);
                a[r][0] += v * g0;
                if (V == 2) a[r][1] += v * g1;
            }
        }
    }
    UNROLL for (int r = 0; r < R; r++) {
        REAL *to = dw + r * ldw;
        UNROLL for (int h = 0; h < V; h++) NAME(store)(to + h * VW, NAME(load)(to + h * VW) + a[r][h]);
    }
}

static void NAME(outer_n)(const REAL *x, ptrdiff_t ldx, const ptrdiff_t *pix, ptrdiff_t npix, const REAL *dy,
                          ptrdiff_t lddy, ptrdiff_t ldg, ptrdiff_t nf, ptrdiff_t n, ptrdiff_t nk, REAL *dw,
                          ptrdiff_t ldw) {
    const ptrdiff_t tiles = (nk + PIXELS - 1) / PIXELS;
    for (ptrdiff_t t = 0; t < tiles; t++) {
        const ptrdiff_t a = nk * t / tiles, b = nk * (t + 1) / tiles;
        switch (b - a) {
#define CASE(R)                                                                                                        \
    case R:                                                                                                            \
        if (nf > VW)                                                                                                   \
            NAME(outer)(R, 2, x + a, ldx, pix, npix, dy, lddy, ldg, n, dw + a * ldw, ldw);                             \
        else                                                                                                           \
            NAME(outer)(R, 1, x + a, ldx, pix, npix, dy, lddy, ldg, n, dw + a * ldw, ldw);                             \
        break;
            CASES_PIXELS
#undef CASE
        }
    }
}

/* All rows for a few pixels, then for the next few: `dy` and the pixels' rows stay in L1 meanwhile. */
static void NAME(dweight)(const REAL *x, ptrdiff_t ldx, const struct tile_patches *p, ptrdiff_t nk, const REAL *dy,
                          ptrdiff_t lddy, ptrdiff_t ldg, ptrdiff_t nf, ptrdiff_t n, REAL *dw, ptrdiff_t ldw) {
    const ptrdiff_t npix = p->npix, pixels = npix < PASS_PIXELS ? npix : PASS_PIXELS, images = PASS_PIXELS / pixels;
    for (ptrdiff_t m = 0; m < n; m += images)
        for (ptrdiff_t i = 0; i < npix; i += pixels)
            for (ptrdiff_t s = 0; s < p->nseg; s++)
                NAME(outer_n)(x + m * ldx + p->seg[s], ldx, p->pix + i, npix - i < pixels ? npix - i : pixels,
                              dy + m * lddy + i * ldg, lddy, ldg, nf, n - m < images ? n - m : images, nk,
                              dw + s * nk * ldw, ldw);
}
