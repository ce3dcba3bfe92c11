/* Depthwise: each channel is filtered by itself. Vectors hold channels side by side, so nothing has to be packed.
 * Included by tile_real.h. */

#define DW_PIXELS 4 /* pixels, or kernel positions, of a tile: with two vectors of channels, 8 sums at once */

/* The channels from c on in vectors: V of them, or what is left of one. */
#define DW_CHANNELS(body)                                                                                              \
    ptrdiff_t c = 0;                                                                                                   \
    for (; n - c >= FB; c += FB) body(2, 1);                                                                           \
    for (; n - c >= VW; c += VW) body(1, 1);                                                                           \
    if (c < n) body(1, 0);

INLINE void NAME(depthwise_form)(const int V, const int whole, const REAL *x, const struct tile_patches *p,
                                 const REAL *w, const REAL *bias, ptrdiff_t C, ptrdiff_t left, REAL *y) {
    VEC first[2];
    UNROLL for (int v = 0; v < V; v++) first[v] = NAME(load_part)(whole, bias + v * VW, left);
    for (ptrdiff_t i = 0; i < p->npix; i += DW_PIXELS) {
        const REAL *xs[DW_PIXELS];
        VEC a[DW_PIXELS][2];
        UNROLL for (int q = 0; q < DW_PIXELS; q++) {
            /* Behind the last pixel it is made again. */
            xs[q] = x + p->pix[i + q < p->npix ? i + q : p->npix - 1];
            UNROLL for (int v = 0; v < V; v++) a[q][v] = (VEC){0};
        }
        for (ptrdiff_t s = 0; s < p->nseg; s++) {
            UNROLL for (int v = 0; v < V; v++) {
                const VEC weight = NAME(load_part)(whole, w + s * C + v * VW, left);
                UNROLL for (int q = 0; q < DW_PIXELS; q++) {
                    a[q][v] += NAME(load_part)(whole, xs[q] + p->seg[s] + v * VW, left) * weight;
                }
            }
        }
        UNROLL for (int q = 0; q < DW_PIXELS; q++) {
            REAL *to = y + (i + q < p->npix ? i + q : p->npix - 1) * C;
            UNROLL for (int v = 0; v < V; v++) NAME(store_part)(whole, to + v * VW, first[v] + a[q][v], left);
        }
    }
}

/* y[i * C + c] = bias[c] + sum over segments s of x[pix[i] + seg[s] + c] * w[s * C + c], c < n. */
static void NAME(depthwise)(const REAL *x, const struct tile_patches *p, const REAL *w, const REAL *bias, ptrdiff_t C,
                            ptrdiff_t n, REAL *y) {
#define BODY(V, whole) NAME(depthwise_form)(V, whole, x + c, p, w + c, bias + c, C, n - c, y + c)
    DW_CHANNELS(BODY)
#undef BODY
}

INLINE void NAME(depthwise_back_form)(const int V, const int whole, const REAL *dy, const struct tile_patches *p,
                                      const REAL *w, ptrdiff_t C, ptrdiff_t left, REAL *dx) {
    for (ptrdiff_t i = 0; i < p->npix; i++) {
        VEC g[2];
        UNROLL for (int v = 0; v < V; v++) g[v] = NAME(load_part)(whole, dy + i * C + v * VW, left);
        for (ptrdiff_t s = 0; s < p->nseg; s++) {
            UNROLL for (int v = 0; v < V; v++) {
                REAL *to = dx + p->pix[i] + p->seg[s] + v * VW;
                const VEC weight = NAME(load_part)(whole, w + s * C + v * VW, left);
                NAME(store_part)(whole, to, NAME(load_part)(whole, to, left) + g[v] * weight, left);
            }
        }
    }
}

/* dx[pix[i] + seg[s] + c] += dy[i * C + c] * w[s * C + c], c < n. */
static void NAME(depthwise_back)(const REAL *dy, const struct tile_patches *p, const REAL *w, ptrdiff_t C, ptrdiff_t n,
                                 REAL *dx) {
#define BODY(V, whole) NAME(depthwise_back_form)(V, whole, dy + c, p, w + c, C, n - c, dx + c)
    DW_CHANNELS(BODY)
#undef BODY
}

INLINE void NAME(depthwise_sums_form)(const int V, const int whole, const REAL *x, const struct tile_patches *p,
                                      const REAL *dy, ptrdiff_t C, ptrdiff_t left, REAL *dw) {
    for (ptrdiff_t s = 0; s < p->nseg; s += DW_PIXELS) {
        const REAL *xs[DW_PIXELS];
        VEC a[DW_PIXELS][2];
        UNROLL for (int q = 0; q < DW_PIXELS; q++) {
            xs[q] = x + p->seg[s + q < p->nseg ? s + q : p->nseg - 1];
            UNROLL for (int v = 0; v < V; v++) a[q][v] = (VEC){0};
        }
        for (ptrdiff_t i = 0; i < p->npix; i++) {
            UNROLL for (int v = 0; v < V; v++) {
                const VEC g = NAME(load_part)(whole, dy + i * C + v * VW, left);
                UNROLL for (int q = 0; q < DW_PIXELS; q++) {
                    a[q][v] += NAME(load_part)(whole, xs[q] + p->pix[i] + v * VW, left) * g;
                }
            }
        }
        for (int q = 0; q < DW_PIXELS && s + q < p->nseg; q++) {
            REAL *to = dw + (s + q) * C;
            UNROLL for (int v = 0; v < V; v++) {
                NAME(store_part)(whole, to + v * VW, NAME(load_part)(whole, to + v * VW, left) + a[q][v], left);
            }
        }
    }
}

/* dw[s * C + c] += sum over pixels i of x[pix[i] + seg[s] + c] * dy[i * C + c], c < n. */
static void NAME(depthwise_sums)(const REAL *x, const struct tile_patches *p, const REAL *dy, ptrdiff_t C, ptrdiff_t n,
                                 REAL *dw) {
#define BODY(V, whole) NAME(depthwise_sums_form)(V, whole, x + c, p, dy + c, C, n - c, dw + c)
    DW_CHANNELS(BODY)
#undef BODY
}

#undef DW_PIXELS
#undef DW_CHANNELS
