/* Winograd's convolutions: fewer products for M x M outputs, by sums of inputs before and of products after.
 * Included by tile_real.h.
 *
 * A tile of AL x AL inputs, AL = M + R - 1, has M x M outputs of an R x R filter:
 *
 *     outputs = A.T [ (G w G.T) * (B.T x B) ] A
 *
 * where * is elementwise. Summed over channels that is a matrix product for each of the AL * AL positions. Backwards,
 * the gradient of the filters is G.T [ (A dy A.T) * (B.T x B) ] G, summed over tiles; the gradient of the images is a
 * convolution of dy with the filters turned round.
 *
 *     F(2x2, 3x3)   AL = 4   16 products for 36     points 0, 1, -1, inf: exact for small whole numbers
 *     F(4x4, 3x3)   AL = 6   36 products for 144    points 0, 1, -1, 2, -2, inf: rounding errors are ten times larger
 *     F(2x2, 5x5)   AL = 6   36 products for 100    the same points; under a 2 x 2 pooling a tile is a window
 *
 * Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
 */

#define MOST 6 /* the largest AL */

/* -- the transforms of one row or column --------------------------------------------------------------------------- */

/* r = B.T d: AL inputs to AL positions. */
INLINE void NAME(transform_input)(const int AL, const VEC *d, VEC *r) {
    if (AL == 4) {
        r[0] = d[0] - d[2];
        r[1] = d[1] + d[2];
        r[2] = d[2] - d[1];
        r[3] = d[3] - d[1];
    } else {
        const VEC even = d[4] - (REAL)4 * d[2], odd = d[3] - (REAL)4 * d[1];
        const VEC near = d[4] - d[2], far = (REAL)2 * (d[3] - d[1]);
        r[0] = (REAL)4 * d[0] - (REAL)5 * d[2] + d[4];
        r[1] = even + odd;
        r[2] = even - odd;
        r[3] = near + far;
        r[4] = near - far;
        r[5] = (REAL)4 * d[1] - (REAL)5 * d[3] + d[5];
    }
}

/* r = A.T m: AL positions to M outputs. */
INLINE void NAME(transform_output)(const int AL, const int M, const VEC *m, VEC *r) {
    const VEC s1 = m[1] + m[2], d1 = m[1] - m[2];
    if (AL == 4) {
        r[0] = m[0] + s1;
        r[1] = d1 + m[3];
    } else {
        const VEC s2 = m[3] + m[4], d2 = m[3] - m[4];
        r[0] = m[0] + s1 + s2;
        if (M == 2) {
            r[1] = d1 + (REAL)2 * d2 + m[5];
        } else {
            r[1] = d1 + (REAL)2 * d2;
            r[2] = s1 + (REAL)4 * s2;
            r[3] = d1 + (REAL)8 * d2 + m[5];
        }
    }
}

/* r = A y: M gradients of outputs to AL positions; the transpose of the above, M == AL - 2. */
INLINE void NAME(transform_gradient)(const int AL, const VEC *y, VEC *r) {
    r[0] = y[0];
    r[AL - 1] = y[AL - 3];
    if (AL == 4) {
        r[1] = y[0] + y[1];
        r[2] = y[0] - y[1];
    } else {
        const VEC even = y[0] + y[2], odd = y[1] + y[3];
        const VEC far = y[0] + (REAL)4 * y[2], wide = (REAL)2 * y[1] + (REAL)8 * y[3];
        r[1] = even + odd;
        r[2] = even - odd;
        r[3] = far + wide;
        r[4] = far - wide;
    }
}

/* r = G w: R filter rows to AL positions. */
INLINE void NAME(transform_filter)(const int AL, const int R, const VEC *w, VEC *r) {
    r[0] = AL == 4 ? w[0] : (REAL)0.25 * w[0];
    r[AL - 1] = w[R - 1];
    const VEC even = R == 3 ? w[0] + w[2] : w[0] + w[2] + w[4], odd = R == 3 ? w[1] : w[1] + w[3];
    if (AL == 4) {
        r[1] = (REAL)0.5 * (even + odd);
        r[2] = (REAL)0.5 * (even - odd);
    } else {
        const VEC far = R == 3 ? w[0] + (REAL)4 * w[2] : w[0] + (REAL)4 * w[2] + (REAL)16 * w[4];
        const VEC wide = R == 3 ? (REAL)2 * w[1] : (REAL)2 * w[1] + (REAL)8 * w[3];
        r[1] = (REAL)(-1.0 / 6) * (even + odd);
        r[2] = (REAL)(-1.0 / 6) * (even - odd);
        r[3] = (REAL)(1.0 / 24) * (far + wide);
        r[4] = (REAL)(1.0 / 24) * (far - wide);
    }
}

/* r = G.T d: AL positions to 3 filter rows, the transpose of the above. */
INLINE void NAME(transform_back)(const int AL, const VEC *d, VEC *r) {
    const VEC s1 = d[1] + d[2], d1 = d[1] - d[2];
    if (AL == 4) {
        r[0] = d[0] + (REAL)0.5 * s1;
        r[1] = (REAL)0.5 * d1;
        r[2] = (REAL)0.5 * s1 + d[3];
    } else {
        const VEC s2 = d[3] + d[4], d2 = d[3] - d[4];
        r[0] = (REAL)0.25 * d[0] - (REAL)(1.0 / 6) * s1 + (REAL)(1.0 / 24) * s2;
        r[1] = (REAL)(1.0 / 12) * d2 - (REAL)(1.0 / 6) * d1;
        r[2] = (REAL)(1.0 / 6) * (s2 - s1) + d[5];
    }
}

/* -- filters ------------------------------------------------------------------------------------------------------- */

/* G w G.T of one input's filters for a block of outputs, of which n are there: from w[tap * step ..] to u[position * ustep ..]. */
INLINE void NAME(filter_tile)(const int AL, const int R, const int whole, const REAL *w, ptrdiff_t step, ptrdiff_t n,
                              ptrdiff_t ustep, REAL *u) {
    VEC rows[2][MOST][5];
    UNROLL for (int j = 0; j < R; j++) { /* both halves of a tap at once: taps that are 4096 bytes apart push each other out */
        UNROLL for (int h = 0; h < 2; h++) {
            const ptrdiff_t left = n - h * VW, count = left < 0 ? 0 : left < VW ? left : VW;
            VEC column[5], r[MOST];
            UNROLL for (int i = 0; i < R; i++)
                column[i] = NAME(load_part)(whole, w + (i * R + j) * step + h * VW, count);
            NAME(transform_filter)(AL, R, column, r);
            UNROLL for (int i = 0; i < AL; i++) rows[h][i][j] = r[i];
        }
    }
    for (int h = 0; h < 2; h++) {
        UNROLL for (int i = 0; i < AL; i++) {
            VEC r[MOST];
            NAME(transform_filter)(AL, R, rows[h][i], r);
            UNROLL for (int j = 0; j < AL; j++) NAME(store)(u + (i * AL + j) * ustep + h * VW, r[j]);
        }
    }
}

/* Inputs c0..c1 of the outputs o0..o0 + FB, into u (blocks of outputs, AL * AL positions, inputs, FB). Where `turn` is set,
 * the filters are turned round and their channels are the outputs: those of the gradient with respect to the images. */
INLINE void NAME(winograd_filters_form)(const int AL, const int R, const struct tile_winograd *s, const REAL *w,
                                        int turn, ptrdiff_t o0, ptrdiff_t c0, ptrdiff_t c1, REAL *u) {
    const ptrdiff_t C = turn ? s->F : s->C, F = turn ? s->C : s->F, outputs = turn ? C : F;
    const ptrdiff_t n = outputs - o0 < FB ? outputs - o0 : FB;
    u += o0 / FB * AL * AL * s->ustep;
    if (turn) {
        REAL taps[25 * VW * FB];
        if (n < FB) memset(taps, 0, R * R * VW * FB * sizeof(REAL));
        for (ptrdiff_t a = c0; a < c1; a += VW) {
            const ptrdiff_t some = c1 - a < VW ? c1 - a : VW;
            for (int k = 0; k < R * R; k++)
                NAME(transpose)(w + ((R * R - 1 - k) * C + o0) * F + a, F, n, some, taps + k * VW * FB, FB);
            for (ptrdiff_t c = 0; c < some; c++)
                NAME(filter_tile)(AL, R, 1, taps + c * FB, VW * FB, FB, s->ustep, u + (a + c) * FB);
        }
    } else {
        for (ptrdiff_t c = c0; c < c1; c++) {
            if (n == FB)
                NAME(filter_tile)(AL, R, 1, w + c * F + o0, C * F, FB, s->ustep, u + c * FB);
            else
                NAME(filter_tile)(AL, R, 0, w + c * F + o0, C * F, n, s->ustep, u + c * FB);
        }
    }
}

static void NAME(winograd_filters)(const struct tile_winograd *s, const REAL *w, int turn, ptrdiff_t o0, ptrdiff_t c0,
                                   ptrdiff_t c1, REAL *u) {
    if (s->form == TILE_F2K3)
        NAME(winograd_filters_form)(4, 3, s, w, turn, o0, c0, c1, u);
    else if (s->form == TILE_F4K3)
        NAME(winograd_filters_form)(6, 3, s, w, turn, o0, c0, c1, u);
    else
        NAME(winograd_filters_form)(6, 5, s, w, turn, o0, c0, c1, u);
}

/* dw (3, 3, C, F) = G.T du G for one channel and filters f0..f0 + FB, from `du` (AL * AL, C, FB) of their block. */
INLINE void NAME(winograd_back_form)(const int AL, const struct tile_winograd *s, const REAL *du, ptrdiff_t pstep,
                                     ptrdiff_t c, ptrdiff_t f0, REAL *dw) {
    for (ptrdiff_t h = 0; h < 2 && f0 + h * VW < s->F; h++) {
        const ptrdiff_t f = f0 + h * VW, n = s->F - f < VW ? s->F - f : VW;
        VEC rows[3][MOST];
        for (int j = 0; j < AL; j++) {
            VEC d[MOST], r[3];
            for (int i = 0; i < AL; i++) d[i] = NAME(load)(du + (i * AL + j) * pstep + c * FB + h * VW);
            NAME(transform_back)(AL, d, r);
            for (int i = 0; i < 3; i++) rows[i][j] = r[i];
        }
        for (int i = 0; i < 3; i++) {
            VEC r[3];
            NAME(transform_back)(AL, rows[i], r);
            for (int j = 0; j < 3; j++) {
                REAL *to = dw + ((i * 3 + j) * s->C + c) * s->F + f;
                if (n == VW)
                    NAME(store)(to, r[j]);
                else
                    NAME(store_part)(0, to, r[j], n);
            }
        }
    }
}

static void NAME(winograd_back)(const struct tile_winograd *s, const REAL *du, ptrdiff_t pstep, ptrdiff_t c,
                                ptrdiff_t f0, REAL *dw) {
    if (s->form == TILE_F2K3)
        NAME(winograd_back_form)(4, s, du, pstep, c, f0, dw);
    else
        NAME(winograd_back_form)(6, s, du, pstep, c, f0, dw);
}

/* -- tiles --------------------------------------------------------------------------------------------------------- */

INLINE void NAME(input_tile)(const int AL, const int whole, const REAL *const (*from)[MOST], ptrdiff_t c, ptrdiff_t n,
                             REAL *v, ptrdiff_t vstep) {
    VEC t[MOST][MOST];
    UNROLL for (int j = 0; j < AL; j++) {
        VEC d[MOST], r[MOST];
        UNROLL for (int i = 0; i < AL; i++) d[i] = NAME(load_part)(whole, from[i][j] + c, n);
        NAME(transform_input)(AL, d, r);
        UNROLL for (int i = 0; i < AL; i++) t[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < AL; i++) {
        VEC r[MOST];
        NAME(transform_input)(AL, t[i], r);
        UNROLL for (int j = 0; j < AL; j++) NAME(store_part)(whole, v + (i * AL + j) * vstep + c, r[j], n);
    }
}

/* v[position][t][c] = B.T x B of tiles t0..t0 + n. */
INLINE void NAME(winograd_input_form)(const int AL, const int M, const struct tile_winograd *s, const REAL *x,
                                      ptrdiff_t t0, ptrdiff_t n, REAL *v) {
    for (ptrdiff_t t = t0; t < t0 + n; t++, v += s->C) {
        const ptrdiff_t image = t / (s->TH * s->TW), y0 = t / s->TW % s->TH * M - s->ph, x0 = t % s->TW * M - s->pw;
        const REAL *from[MOST][MOST];
        for (int i = 0; i < AL; i++) {
            const ptrdiff_t y = y0 + i;
            const int inside = y >= 0 && y < s->H;
            const REAL *row = x + (image * s->H + y) * s->W * s->C;
            for (int j = 0; j < AL; j++) {
                const ptrdiff_t at = x0 + j;
                from[i][j] = inside && at >= 0 && at < s->W ? row + at * s->C : (const REAL *)s->zeros;
            }
        }
        ptrdiff_t c = 0;
        for (; c + VW <= s->C; c += VW) NAME(input_tile)(AL, 1, from, c, VW, v, s->vstep);
        if (c < s->C) NAME(input_tile)(AL, 0, from, c, s->C - c, v, s->vstep);
    }
}

/* z[block][position][t][FB] = A dy A.T of tiles t0..t0 + n, for all blocks of filters. */
INLINE void NAME(winograd_gradient_form)(const int AL, const struct tile_winograd *s, const REAL *dy, ptrdiff_t t0,
                                         ptrdiff_t n, REAL *z) {
    const int M = AL - 2;
    for (ptrdiff_t t = t0; t < t0 + n; t++, z += FB) {
        const ptrdiff_t image = t / (s->TH * s->TW), y0 = t / s->TW % s->TH * M, x0 = t % s->TW * M;
        for (ptrdiff_t f = 0; f < s->F; f += VW) {
            const ptrdiff_t left = s->F - f < VW ? s->F - f : VW;
            REAL *to = z + f / FB * AL * AL * s->zstep + f % FB;
            VEC rows[MOST][4];
            UNROLL for (int j = 0; j < M; j++) {
                VEC d[4], r[MOST];
                UNROLL for (int i = 0; i < M; i++) {
                    const REAL *from = dy + ((image * s->OH + y0 + i) * s->OW + x0 + j) * s->F + f;
                    const int inside = y0 + i < s->OH && x0 + j < s->OW;
                    d[i] = !inside ? (VEC){0} : left == VW ? NAME(load)(from) : NAME(load_part)(0, from, left);
                }
                NAME(transform_gradient)(AL, d, r);
                UNROLL for (int i = 0; i < AL; i++) rows[i][j] = r[i];
            }
            UNROLL for (int i = 0; i < AL; i++) {
                VEC r[MOST];
                NAME(transform_gradient)(AL, rows[i], r);
                UNROLL for (int j = 0; j < AL; j++) NAME(store)(to + (i * AL + j) * s->zstep, r[j]);
            }
        }
        if (s->F % FB && s->F % FB <= VW) { /* the second vector of the last block */
            REAL *to = z + s->F / FB * AL * AL * s->zstep + VW;
            for (int i = 0; i < AL * AL; i++) NAME(store)(to + i * s->zstep, (VEC){0});
        }
    }
}

/* Both sides of the filters' gradient for tiles t0..t0 + n. */
static void NAME(winograd_tiles)(const struct tile_winograd *s, const REAL *x, const REAL *dy, ptrdiff_t t0,
                                 ptrdiff_t n, REAL *v, REAL *z) {
    if (s->form == TILE_F2K3) {
        NAME(winograd_input_form)(4, 2, s, x, t0, n, v);
        NAME(winograd_gradient_form)(4, s, dy, t0, n, z);
    } else {
        NAME(winograd_input_form)(6, 4, s, x, t0, n, v);
        NAME(winograd_gradient_form)(6, s, dy, t0, n, z);
    }
}

/* -- forward ------------------------------------------------------------------------------------------------------- */

/* The M x M outputs of one tile, one vector of filters, from m[position]. */
INLINE void NAME(output_tile)(const int AL, const int M, const REAL *m, ptrdiff_t mstep, VEC bias, VEC (*y)[4]) {
    VEC rows[4][MOST];
    UNROLL for (int j = 0; j < AL; j++) {
        VEC d[MOST], r[4];
        UNROLL for (int i = 0; i < AL; i++) d[i] = NAME(load)(m + (i * AL + j) * mstep);
        NAME(transform_output)(AL, M, d, r);
        UNROLL for (int i = 0; i < M; i++) rows[i][j] = r[i];
    }
    UNROLL for (int i = 0; i < M; i++) {
        NAME(transform_output)(AL, M, rows[i], y[i]);
        UNROLL for (int j = 0; j < M; j++) y[i][j] += bias;
    }
}

INLINE void NAME(winograd_forward_form)(const int AL, const int M, const struct tile_winograd *s, const REAL *x,
                                        const REAL *u, const REAL *bias, ptrdiff_t t0, ptrdiff_t n, REAL *v, REAL *m,
                                        REAL *y, uint8_t *argmax) {
    static const ptrdiff_t here[1] = {0};
    const ptrdiff_t parts = (n + PIXELS - 1) / PIXELS;
    NAME(winograd_input_form)(AL, M, s, x, t0, n, v);
    for (ptrdiff_t f0 = 0; f0 < s->F; f0 += FB) {
        for (int position = 0; position < AL * AL; position++, u += s->ustep) {
            for (ptrdiff_t part = 0; part < parts; part++) {
                const ptrdiff_t a = n * part / parts, b = n * (part + 1) / parts;
                const REAL *rows[PIXELS];
                REAL *sums[PIXELS];
                for (ptrdiff_t t = a; t < b; t++) {
                    rows[t - a] = v + position * s->vstep + t * s->C;
                    sums[t - a] = m + position * s->mstep + t * FB;
                }
                NAME(dense_n)(b - a, s->F - f0, FIRST_ZERO, rows, here, 1, s->C, u, NULL, sums, sums);
            }
        }
        for (ptrdiff_t t = 0; t < n; t++) {
            for (ptrdiff_t h = 0; h < 2 && f0 + h * VW < s->F; h++) {
                const ptrdiff_t f = f0 + h * VW, left = s->F - f;
                VEC out[4][4];
                NAME(output_tile)(AL, M, m + t * FB + h * VW, s->mstep, NAME(load)(bias + f), out);
                if (argmax) {
                    REAL rows[4 * FB], last[VBYTES / sizeof(REAL)];
                    uint8_t places[VBYTES / sizeof(REAL)];
                    const ptrdiff_t at = (t0 + t) * s->F + f;
                    UNROLL for (int i = 0; i < 4; i++) NAME(store)(rows + i * FB, out[i / 2][i % 2]);
                    if (left >= VW) {
                        NAME(pool)(rows, 4, y + at, argmax + at);
                    } else {
                        NAME(pool)(rows, 4, last, places);
                        memcpy(y + at, last, left * sizeof(REAL));
                        memcpy(argmax + at, places, left);
                    }
                    continue;
                }
                const ptrdiff_t tile = t0 + t, y0 = tile / s->TW % s->TH * M, x0 = tile % s->TW * M;
                REAL *to = y + ((tile / (s->TH * s->TW) * s->OH + y0) * s->OW + x0) * s->F + f;
                UNROLL for (int i = 0; i < M; i++) {
                    UNROLL for (int j = 0; j < M; j++) {
                        if (y0 + i >= s->OH || x0 + j >= s->OW) continue;
                        if (left >= VW)
                            NAME(store)(to + (i * s->OW + j) * s->F, out[i][j]);
                        else
                            NAME(store_part)(0, to + (i * s->OW + j) * s->F, out[i][j], left);
                    }
                }
            }
        }
    }
}

/* y of tiles t0..t0 + n and all filters; where `argmax` is not NULL, ReLU and the maximum of each tile instead. */
static void NAME(winograd_forward)(const struct tile_winograd *s, const REAL *x, const REAL *u, const REAL *bias,
                                   ptrdiff_t t0, ptrdiff_t n, REAL *v, REAL *m, REAL *y, uint8_t *argmax) {
    if (s->form == TILE_F2K3)
        NAME(winograd_forward_form)(4, 2, s, x, u, bias, t0, n, v, m, y, argmax);
    else if (s->form == TILE_F4K3)
        NAME(winograd_forward_form)(6, 4, s, x, u, bias, t0, n, v, m, y, NULL);
    else
        NAME(winograd_forward_form)(6, 2, s, x, u, bias, t0, n, v, m, y, argmax);
}

#undef MOST
