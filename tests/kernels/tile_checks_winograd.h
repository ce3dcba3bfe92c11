/* Winograd's convolutions: tile_winograd.h. Its steps mean nothing alone, so a check goes all the way from images and
 * filters to outputs or gradients. F(2x2, 3x3) is exact for whole numbers; the others divide by 6 and 24.
 */

/* Two images with a border, filters (R, R, C, F) and biases, as the form `s.form` takes them. */
struct NAME(tiles) {
    struct tile_winograd s;
    ptrdiff_t R, M, P, count, blocks; /* filter, outputs and positions of a tile; tiles; blocks of filters */
    REAL *x, *w, *bias, *zeros, *v, *m;
};

#define IMAGES 2

/* `grow` pixels of output for each pixel of the layer. */
static struct NAME(tiles) NAME(make_tiles)(const FUNCTIONS *t, const struct layer *l, int form, ptrdiff_t grow) {
    struct NAME(tiles) q = {.R = form == TILE_F2K5 ? 5 : 3, .M = form == TILE_F4K3 ? 4 : 2};
    struct tile_winograd *s = &q.s;
    const ptrdiff_t border = grow * l->pixels[0] == 1 || grow * l->pixels[1] == 1 ? 2 : 3;
    q.P = (q.M + q.R - 1) * (q.M + q.R - 1);
    *s = (struct tile_winograd){.form = form, .C = l->channels, .F = l->filters};
    s->ph = draw(border), s->pw = draw(border);
    s->OH = grow * l->pixels[0], s->OW = grow * l->pixels[1];
    s->H = s->OH + q.R - 1 - 2 * s->ph, s->W = s->OW + q.R - 1 - 2 * s->pw;
    s->TH = (s->OH + q.M - 1) / q.M, s->TW = (s->OW + q.M - 1) / q.M;
    q.count = IMAGES * s->TH * s->TW;
    q.blocks = (s->F + t->block - 1) / t->block;
    q.x = NAME(numbers)(IMAGES * s->H * s->W * s->C);
    q.w = NAME(numbers)(q.R * q.R * s->C * s->F);
    q.bias = NAME(numbers)(q.blocks * t->block);
    q.zeros = memory(s->C * sizeof(REAL));
    for (ptrdiff_t c = 0; c < s->C; c++) q.zeros[c] = 0;
    s->zeros = q.zeros;
    s->ustep = s->C * t->block + draw(5), s->vstep = q.count * s->C + draw(5);
    s->mstep = s->zstep = q.count * t->block + draw(5);
    q.v = memory(q.P * s->vstep * sizeof(REAL));
    q.m = memory(q.P * s->mstep * sizeof(REAL));
    return q;
}

static void NAME(forget_tiles)(struct NAME(tiles) *q) {
    REAL *const arrays[] = {q->x, q->w, q->bias, q->zeros, q->v, q->m};
    for (ptrdiff_t i = 0; i < COUNT(arrays); i++) free(arrays[i]);
}

static double NAME(rounding)(const struct NAME(tiles) *q) { return q->s.form == TILE_F2K3 ? 0 : NAME(ROUNDING); }

/* Where pixel (i + a - ph, j + b - pw) of image n begins, -1 where that is in the border. */
static ptrdiff_t NAME(pixel)(const struct tile_winograd *s, ptrdiff_t n, ptrdiff_t i, ptrdiff_t j) {
    i -= s->ph, j -= s->pw;
    return i < 0 || i >= s->H || j < 0 || j >= s->W ? -1 : ((n * s->H + i) * s->W + j) * s->C;
}

static REAL NAME(output_at)(const struct NAME(tiles) *q, ptrdiff_t n, ptrdiff_t i, ptrdiff_t j, ptrdiff_t f) {
    REAL sum = q->bias[f];
    for (ptrdiff_t k = 0; k < q->R * q->R; k++) {
        const ptrdiff_t at = NAME(pixel)(&q->s, n, i + k / q->R, j + k % q->R);
        if (at < 0) continue;
        for (ptrdiff_t c = 0; c < q->s.C; c++) sum += q->x[at + c] * q->w[(k * q->s.C + c) * q->s.F + f];
    }
    return sum;
}

/* Where all whole numbers cancel, rounding errors have nothing to be small beside: then the biases are raised. */
static void NAME(convolve)(const struct NAME(tiles) *q, REAL *y) {
    for (int found = 0; !found;) {
        ptrdiff_t at = 0;
        for (ptrdiff_t n = 0; n < IMAGES; n++)
            for (ptrdiff_t i = 0; i < q->s.OH; i++)
                for (ptrdiff_t j = 0; j < q->s.OW; j++)
                    for (ptrdiff_t f = 0; f < q->s.F; f++, at++) found |= (y[at] = NAME(output_at)(q, n, i, j, f)) != 0;
        for (ptrdiff_t f = 0; !found && f < q->s.F; f++) q->bias[f] += 1;
    }
}

/* All filters and all tiles, in two calls each. */
static void NAME(run_winograd)(const FUNCTIONS *t, const struct NAME(tiles) *q, const REAL *w, int turn, REAL *y,
                               uint8_t *places) {
    const ptrdiff_t half = q->count / 2, some = (q->s.C + 1) / 2;
    REAL *u = memory(q->blocks * q->P * q->s.ustep * sizeof(REAL));
    for (ptrdiff_t o = 0; o < q->blocks * t->block; o += t->block) {
        t->winograd_filters(&q->s, w, turn, o, 0, some, u);
        t->winograd_filters(&q->s, w, turn, o, some, q->s.C, u);
    }
    if (half) t->winograd_forward(&q->s, q->x, u, q->bias, 0, half, q->v, q->m, y, places);
    t->winograd_forward(&q->s, q->x, u, q->bias, half, q->count - half, q->v, q->m, y, places);
    free(u);
}

static void NAME(check_winograd_forward)(const FUNCTIONS *t, const struct layer *l) {
    for (int form = TILE_F2K3; form <= TILE_F2K5; form++) {
        struct NAME(tiles) q = NAME(make_tiles)(t, l, form, 1);
        const ptrdiff_t n = IMAGES * q.s.OH * q.s.OW * q.s.F;
        REAL *y = NAME(output)(NULL, n), *wanted = NAME(copy)(y, n);
        NAME(convolve)(&q, wanted);
        NAME(run_winograd)(t, &q, q.w, 0, y, NULL);
        NAME(compare)(y, wanted, n, NAME(rounding)(&q));
        NAME(forget_tiles)(&q);
    }
}

/* Rounding may break ties its own way: a place is right where the number there is the largest, or nearly so. */
static void NAME(check_winograd_pool)(const FUNCTIONS *t, const struct layer *l) {
    static const int forms[] = {TILE_F2K3, TILE_F2K5};
    for (ptrdiff_t k = 0; k < COUNT(forms); k++) {
        struct NAME(tiles) q = NAME(make_tiles)(t, l, forms[k], 2);
        const ptrdiff_t F = q.s.F, area = q.s.TH * q.s.TW, n = IMAGES * area * F;
        const REAL near = (REAL)NAME(rounding)(&q) * 9 * (REAL)(q.R * q.R * q.s.C + 1);
        REAL *y = NAME(output)(NULL, n), *wanted = NAME(copy)(y, n);
        uint8_t *places = memory(n);
        NAME(run_winograd)(t, &q, q.w, 0, y, places);
        for (ptrdiff_t at = 0; at < n; at++) {
            REAL window[4], best = -INFINITY;
            int first = 0;
            for (int j = 0; j < 4; j++) {
                window[j] = NAME(output_at)(&q, at / F / area, at / F % area / q.s.TW * 2 + j / 2,
                                            at / F % q.s.TW * 2 + j % 2, at % F);
                if (window[j] > best) best = window[j], first = j;
            }
            wanted[at] = best <= 0 ? 0 : best;
            const int place = places[at];
            if (near == 0)
                expect(place == (best <= 0 ? TILE_DEAD : first), "place", at);
            else
                expect(place == TILE_DEAD ? best <= near : place < 4 && window[place] >= best - near, "place", at);
            if (place == TILE_DEAD) expect(y[at] == 0, "number where ReLU is off", at);
        }
        free(places);
        NAME(compare)(y, wanted, n, NAME(rounding)(&q));
        NAME(forget_tiles)(&q);
    }
}

/* The gradient of the images: a convolution of dy, `x` here, by filters (3, 3, F, C) that are turned round. */
static void NAME(check_winograd_turned)(const FUNCTIONS *t, const struct layer *l) {
    for (int form = TILE_F2K3; form <= TILE_F4K3; form++) {
        struct NAME(tiles) q = NAME(make_tiles)(t, l, form, 1);
        const ptrdiff_t F = q.s.F, n = IMAGES * q.s.OH * q.s.OW * F;
        REAL *y = NAME(output)(NULL, n), *wanted = NAME(copy)(y, n), *turned = NAME(copy)(q.w, 9 * q.s.C * F);
        for (ptrdiff_t k = 0; k < 9; k++)
            for (ptrdiff_t c = 0; c < q.s.C; c++)
                for (ptrdiff_t f = 0; f < F; f++) turned[((8 - k) * F + f) * q.s.C + c] = q.w[(k * q.s.C + c) * F + f];
        NAME(convolve)(&q, wanted);
        NAME(run_winograd)(t, &q, turned, 1, y, NULL);
        NAME(compare)(y, wanted, n, NAME(rounding)(&q));
        free(turned);
        NAME(forget_tiles)(&q);
    }
}

static void NAME(check_winograd_gradient)(const FUNCTIONS *t, const struct layer *l) {
    for (int form = TILE_F2K3; form <= TILE_F4K3; form++) {
        struct NAME(tiles) q = NAME(make_tiles)(t, l, form, 1);
        const struct tile_winograd *s = &q.s;
        const ptrdiff_t F = s->F, C = s->C, area = s->OH * s->OW, n = 9 * C * F, size = C * t->block;
        REAL *dy = NAME(numbers)(IMAGES * area * F), *z = memory(q.blocks * q.P * s->zstep * sizeof(REAL));
        REAL *du = memory(q.P * q.blocks * size * sizeof(REAL));
        REAL *dw = NAME(output)(NULL, n), *wanted = NAME(copy)(dw, n);
        t->winograd_tiles(s, q.x, dy, 0, q.count, q.v, z);
        for (ptrdiff_t i = 0; i < q.P * q.blocks * size; i++) { /* (positions, blocks, C, block) */
            const ptrdiff_t p = i / size / q.blocks, b = i / size % q.blocks, c = i / t->block % C, f = i % t->block;
            du[i] = 0;
            for (ptrdiff_t k = 0; k < q.count; k++)
                du[i] += q.v[p * s->vstep + k * C + c] * z[(b * q.P + p) * s->zstep + k * t->block + f];
        }
        for (ptrdiff_t b = 0; b < q.blocks; b++)
            for (ptrdiff_t c = 0; c < C; c++) t->winograd_back(s, du + b * size, q.blocks * size, c, b * t->block, dw);
        for (ptrdiff_t i = 0; i < n; i++) wanted[i] = 0;
        for (ptrdiff_t i = 0; i < IMAGES * area * 9; i++) {
            const ptrdiff_t k = i % 9, o = i / 9;
            const ptrdiff_t at = NAME(pixel)(s, o / area, o % area / s->OW + k / 3, o % s->OW + k % 3);
            if (at < 0) continue;
            for (ptrdiff_t c = 0; c < C; c++)
                for (ptrdiff_t f = 0; f < F; f++) wanted[(k * C + c) * F + f] += q.x[at + c] * dy[o * F + f];
        }
        NAME(compare)(dw, wanted, n, NAME(rounding)(&q));
        free(dy);
        free(z);
        free(du);
        NAME(forget_tiles)(&q);
    }
}
