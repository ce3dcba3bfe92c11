/* Sums over rows, and batch normalization with or without ReLU. Included by tile_real.h.
 *
 * All arrays are rows of C numbers, one a pixel. A few rows at a time go through a core's cache; the sums of such a
 * chunk are added up by the caller, in order.
 */

#define RUN 16 /* rows that are summed in one go; such sums are added up: errors grow with the length of a chain */

/* Calls `step(V, whole, c, n)` for all C columns: 4 vectors at a time, then one, then what is left of one. */
#define COLUMNS(step)                                                                                                  \
    ptrdiff_t c = 0;                                                                                                   \
    for (; c + 4 * VW <= C; c += 4 * VW) step(4, 1, c, VW);                                                            \
    for (; c + VW <= C; c += VW) step(1, 1, c, VW);                                                                    \
    if (c < C) step(1, 0, c, C - c)

/* Sums of rows: sum[c], and where `mean` is there of (x - mean)^2 instead. */
INLINE void NAME(sum_columns)(const int V, const int whole, const REAL *x, ptrdiff_t rows, ptrdiff_t ldx,
                              const REAL *mean, ptrdiff_t n, REAL *sum) {
    VEC s[4] = {{0}}, m[4] = {{0}};
    if (mean)
        UNROLL for (int j = 0; j < V; j++) m[j] = NAME(load_part)(whole, mean + j * VW, n);
    for (ptrdiff_t i0 = 0; i0 < rows; i0 += RUN) {
        const ptrdiff_t i1 = rows - i0 < RUN ? rows : i0 + RUN;
        VEC part[4] = {{0}};
        for (ptrdiff_t i = i0; i < i1; i++) {
            UNROLL for (int j = 0; j < V; j++) {
                const VEC v = NAME(load_part)(whole, x + i * ldx + j * VW, n);
                const VEC d = v - m[j];
                part[j] += mean ? d * d : v;
            }
        }
        UNROLL for (int j = 0; j < V; j++) s[j] += part[j];
    }
    UNROLL for (int j = 0; j < V; j++) NAME(store_part)(whole, sum + j * VW, s[j], n);
}

/* sum[c] of `rows` rows, which are ldx numbers apart. */
static void NAME(sums)(const REAL *x, ptrdiff_t rows, ptrdiff_t ldx, ptrdiff_t C, REAL *sum) {
#define STEP(V, whole, c, n) NAME(sum_columns)(V, whole, x + c, rows, ldx, NULL, n, sum + c)
    COLUMNS(STEP);
#undef STEP
}

/* The mean of each column, and the sum of squared distances from it. */
static void NAME(moments)(const REAL *x, ptrdiff_t rows, ptrdiff_t C, REAL *mean, REAL *squares) {
    NAME(sums)(x, rows, C, C, mean);
    for (ptrdiff_t i = 0; i < C; i++) mean[i] /= (REAL)rows;
#define STEP(V, whole, c, n) NAME(sum_columns)(V, whole, x + c, rows, C, mean + c, n, squares + c)
    COLUMNS(STEP);
#undef STEP
}

/* y = (x - mean) * scale + shift, and ReLU where it is asked for. */
INLINE void NAME(normalize_columns)(const int whole, const int relu, const REAL *x, const REAL *mean, const REAL *scale,
                                    const REAL *shift, ptrdiff_t n, REAL *y) {
    VEC v = NAME(load_part)(whole, x, n) - NAME(load_part)(whole, mean, n);
    v = v * NAME(load_part)(whole, scale, n) + NAME(load_part)(whole, shift, n);
    if (relu) v = (VEC)(~(v <= 0) & (VINT)v); /* NaN stays */
    NAME(store_part)(whole, y, v, n);
}

static void NAME(normalize)(const REAL *x, ptrdiff_t rows, ptrdiff_t C, const REAL *mean, const REAL *scale,
                            const REAL *shift, int relu, REAL *y) {
    for (ptrdiff_t i = 0; i < rows; i++, x += C, y += C) {
        ptrdiff_t c = 0;
        for (; c + VW <= C; c += VW) {
            if (relu)
                NAME(normalize_columns)(1, 1, x + c, mean + c, scale + c, shift + c, VW, y + c);
            else
                NAME(normalize_columns)(1, 0, x + c, mean + c, scale + c, shift + c, VW, y + c);
        }
        if (c < C) {
            if (relu)
                NAME(normalize_columns)(0, 1, x + c, mean + c, scale + c, shift + c, C - c, y + c);
            else
                NAME(normalize_columns)(0, 0, x + c, mean + c, scale + c, shift + c, C - c, y + c);
        }
    }
}

/* dy where ReLU let its input through: where the normalized number is above zero, or NaN. */
INLINE VEC NAME(passed)(VEC dy, VEC centered, VEC scale, VEC shift) {
    return (VEC)(~(centered * scale + shift <= 0) & (VINT)dy);
}

INLINE void NAME(gradient_columns)(const int V, const int whole, const int relu, const REAL *dy, const REAL *x,
                                   ptrdiff_t rows, ptrdiff_t C, const REAL *mean, const REAL *scale, const REAL *shift,
                                   ptrdiff_t n, REAL *sum, REAL *product) {
    VEC s[4] = {{0}}, p[4] = {{0}}, m[4], a[4], b[4];
    UNROLL for (int j = 0; j < V; j++) {
        m[j] = NAME(load_part)(whole, mean + j * VW, n);
        a[j] = NAME(load_part)(whole, scale + j * VW, n);
        b[j] = NAME(load_part)(whole, shift + j * VW, n);
    }
    for (ptrdiff_t i0 = 0; i0 < rows; i0 += RUN) {
        const ptrdiff_t i1 = rows - i0 < RUN ? rows : i0 + RUN;
        VEC s1[4] = {{0}}, p1[4] = {{0}};
        for (ptrdiff_t i = i0; i < i1; i++) {
            UNROLL for (int j = 0; j < V; j++) {
                const VEC centered = NAME(load_part)(whole, x + i * C + j * VW, n) - m[j];
                VEC g = NAME(load_part)(whole, dy + i * C + j * VW, n);
                if (relu) g = NAME(passed)(g, centered, a[j], b[j]);
                s1[j] += g;
                p1[j] += g * centered;
            }
        }
        UNROLL for (int j = 0; j < V; j++) {
            s[j] += s1[j];
            p[j] += p1[j];
        }
    }
    UNROLL for (int j = 0; j < V; j++) {
        NAME(store_part)(whole, sum + j * VW, s[j], n);
        NAME(store_part)(whole, product + j * VW, p[j], n);
    }
}

/* sum[c] of dy and product[c] of dy (x - mean), dy counting where ReLU let through if `relu`. */
static void NAME(gradient_sums)(const REAL *dy, const REAL *x, ptrdiff_t rows, ptrdiff_t C, const REAL *mean,
                                const REAL *scale, const REAL *shift, int relu, REAL *sum, REAL *product) {
#define STEP(V, whole, c, n)                                                                                           \
    NAME(gradient_columns)(V, whole, 1, dy + c, x + c, rows, C, mean + c, scale + c, shift + c, n, sum + c, product + c)
#define PLAIN(V, whole, c, n)                                                                                          \
    NAME(gradient_columns)(V, whole, 0, dy + c, x + c, rows, C, mean + c, scale + c, shift + c, n, sum + c, product + c)
    if (relu) {
        COLUMNS(STEP);
    } else {
        COLUMNS(PLAIN);
    }
#undef STEP
#undef PLAIN
}

INLINE void NAME(restore_columns)(const int whole, const int relu, const int moving, const REAL *dy, const REAL *x,
                                  const REAL *mean, const REAL *scale, const REAL *shift, const REAL *offset,
                                  const REAL *slope, ptrdiff_t n, REAL *dx) {
    const VEC centered = NAME(load_part)(whole, x, n) - NAME(load_part)(whole, mean, n);
    const VEC a = NAME(load_part)(whole, scale, n);
    VEC g = NAME(load_part)(whole, dy, n);
    if (relu) g = NAME(passed)(g, centered, a, NAME(load_part)(whole, shift, n));
    if (moving) g = g - NAME(load_part)(whole, offset, n) - centered * NAME(load_part)(whole, slope, n);
    NAME(store_part)(whole, dx, g * a, n);
}

/* dx = scale (dy - offset - slope (x - mean)), or scale dy where mean and variance are constants and `offset` and
 * `slope` are NULL: a slope of zero would make NaN of infinite numbers. */
static void NAME(gradient_rows)(const REAL *dy, const REAL *x, ptrdiff_t rows, ptrdiff_t C, const REAL *mean,
                                const REAL *scale, const REAL *shift, const REAL *offset, const REAL *slope, int relu,
                                REAL *dx) {
    for (ptrdiff_t i = 0; i < rows; i++, x += C, dy += C, dx += C) {
        ptrdiff_t c = 0;
#define ROW(whole, relu, moving, n)                                                                                    \
    NAME(restore_columns)(whole, relu, moving, dy + c, x + c, mean + c, scale + c, shift + c,                          \
                          moving ? offset + c : NULL, moving ? slope + c : NULL, n, dx + c)
#define WHOLE_ROW(relu, moving)                                                                                        \
    for (; c + VW <= C; c += VW) ROW(1, relu, moving, VW);                                                             \
    if (c < C) ROW(0, relu, moving, C - c)
        if (slope && relu) {
            WHOLE_ROW(1, 1);
        } else if (slope) {
            WHOLE_ROW(0, 1);
        } else if (relu) {
            WHOLE_ROW(1, 0);
        } else {
            WHOLE_ROW(0, 0);
        }
#undef WHOLE_ROW
#undef ROW
    }
}

#undef COLUMNS
#undef RUN
