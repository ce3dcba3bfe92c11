/* Convolutions by tables of offsets, and what their gradients are made of: tile_dense.h and tile_sparse.h. */

/* A layer's tables, an image, packed filters (blocks, K, block) with zeros behind the last, and biases. */
struct NAME(problem) {
    struct tile_patches p;
    ptrdiff_t length, K, nf, padded;
    REAL *x, *w, *bias, *buf;
};

static struct NAME(problem) NAME(pose)(const FUNCTIONS *t, const struct layer *l) {
    struct NAME(problem) q = {.nf = l->filters};
    q.length = describe(l, &q.p);
    q.K = q.p.nseg * q.p.seglen;
    q.padded = (q.nf + t->block - 1) / t->block * t->block;
    q.x = NAME(numbers)(q.length);
    q.w = NAME(numbers)(q.padded * q.K);
    q.bias = NAME(numbers)(q.padded);
    for (ptrdiff_t f = q.nf; f < q.padded; f++) {
        q.bias[f] = 0;
        for (ptrdiff_t k = 0; k < q.K; k++) q.w[(f / t->block * q.K + k) * t->block + f % t->block] = 0;
    }
    const ptrdiff_t buffer = q.p.window * t->block > t->buffer ? q.p.window * t->block : t->buffer;
    q.buf = memory(buffer * sizeof(REAL));
    return q;
}

static void NAME(forget)(struct NAME(problem) *q) {
    free(q->x);
    free(q->w);
    free(q->bias);
    free(q->buf);
}

static REAL NAME(convolved)(const FUNCTIONS *t, const struct NAME(problem) *q, ptrdiff_t i, ptrdiff_t f) {
    REAL sum = q->bias[f];
    const REAL *w = q->w + f / t->block * q->K * t->block + f % t->block;
    for (ptrdiff_t s = 0; s < q->p.nseg; s++)
        for (ptrdiff_t k = 0; k < q->p.seglen; k++, w += t->block) sum += q->x[pix[i] + seg[s] + k] * *w;
    return sum;
}

static void NAME(check_forward)(const FUNCTIONS *t, const struct layer *l) {
    struct NAME(problem) q = NAME(pose)(t, l);
    const ptrdiff_t ldy = q.nf + draw(3), n = (q.p.npix - 1) * ldy + q.nf;
    REAL *y = NAME(output)(NULL, n), *wanted = NAME(copy)(y, n);
    q.p.window = 1;
    for (ptrdiff_t i = 0; i < q.p.npix; i++)
        for (ptrdiff_t f = 0; f < q.nf; f++) wanted[i * ldy + f] = NAME(convolved)(t, &q, i, f);
    t->forward(q.x, &q.p, q.w, q.bias, q.nf, q.buf, y, ldy);
    NAME(compare)(y, wanted, n, 0);
    NAME(forget)(&q);
}

static void NAME(check_forward_pool)(const FUNCTIONS *t, const struct layer *l) {
    struct NAME(problem) q = NAME(pose)(t, l);
    NAME(spoil)(q.x, q.length);
    const ptrdiff_t ldy = q.nf + draw(3), windows = q.p.npix / l->window, n = (windows - 1) * ldy + q.nf;
    REAL *y = NAME(output)(NULL, n), *wanted = NAME(copy)(y, n);
    uint8_t *places = memory(n + 2 * GUARD), *expected = memory(n + 2 * GUARD);
    memset(places, 0xA5, n + 2 * GUARD);
    memset(expected, 0xA5, n + 2 * GUARD);
    for (ptrdiff_t i = 0; i < windows; i++) {
        for (ptrdiff_t f = 0; f < q.nf; f++) {
            REAL best = NAME(convolved)(t, &q, i * l->window, f);
            ptrdiff_t place = 0;
            for (ptrdiff_t j = 1; j < l->window; j++) {
                const REAL v = NAME(convolved)(t, &q, i * l->window + j, f);
                if (v > best || v != v) best = v, place = j;
            }
            wanted[i * ldy + f] = best <= 0 ? 0 : best;
            expected[GUARD + i * ldy + f] = (uint8_t)(best <= 0 ? TILE_DEAD : place);
        }
    }
    t->forward_pool(q.x, &q.p, q.w, q.bias, q.nf, q.buf, y, places + GUARD, ldy);
    NAME(compare)(y, wanted, n, 0);
    for (ptrdiff_t i = 0; i < n + 2 * GUARD; i++) expect(places[i] == expected[i], "place", i - GUARD);
    free(places);
    free(expected);
    NAME(forget)(&q);
}

/* Of a block of which n are asked for: one vector or both. */
static ptrdiff_t NAME(whole)(const FUNCTIONS *t, ptrdiff_t n) { return n > t->vector ? t->block : t->vector; }

static void NAME(check_scatter)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t npix = l->pixels[0] * l->pixels[1], nf = l->filters, ldy = nf + draw(3), nc = 1 + draw(t->block);
    const ptrdiff_t step = t->block + draw(2) * t->block, n = (npix - 1) * step + t->block, written = NAME(whole)(t, nc);
    for (ptrdiff_t i = 0; i < npix; i++) pix[i] = (npix - 1 - i) * step; /* no two pixels overlap, in any order */
    REAL *dy = NAME(numbers)((npix - 1) * ldy + nf), *wt = NAME(numbers)(nf * t->block), *wanted = NAME(numbers)(n);
    REAL *dxp = NAME(output)(wanted, n);
    for (ptrdiff_t i = 0; i < npix; i++)
        for (ptrdiff_t f = 0; f < nf; f++)
            for (ptrdiff_t c = 0; c < written; c++) wanted[pix[i] + c] += dy[i * ldy + f] * wt[f * t->block + c];
    t->scatter(dy, ldy, nf, wt, nc, pix, npix, dxp);
    NAME(compare)(dxp, wanted, n, 0);
    free(dy);
    free(wt);
}

static void NAME(check_dweight)(const FUNCTIONS *t, const struct layer *l) {
    struct tile_patches p;
    const ptrdiff_t length = describe(l, &p), images = 1 + draw(3), ldx = length + draw(3), nk = p.seglen;
    const ptrdiff_t ldg = t->block + draw(3), lddy = (p.npix - 1) * ldg + t->block, nf = 1 + draw(t->block);
    const ptrdiff_t ldw = t->block + draw(3), n = (p.nseg * nk - 1) * ldw + t->block;
    REAL *x = NAME(numbers)((images - 1) * ldx + length), *dy = NAME(numbers)(images * lddy);
    REAL *wanted = NAME(numbers)(n), *dw = NAME(output)(wanted, n);
    for (ptrdiff_t m = 0; m < images; m++)
        for (ptrdiff_t i = 0; i < p.npix; i++)
            for (ptrdiff_t s = 0; s < p.nseg; s++)
                for (ptrdiff_t k = 0; k < nk; k++)
                    for (ptrdiff_t f = 0; f < NAME(whole)(t, nf); f++)
                        wanted[(s * nk + k) * ldw + f] +=
                            x[m * ldx + pix[i] + seg[s] + k] * dy[m * lddy + i * ldg + f];
    t->dweight(x, ldx, &p, nk, dy, lddy, ldg, nf, images, dw, ldw);
    NAME(compare)(dw, wanted, n, 0);
    free(x);
    free(dy);
}

static void NAME(check_patches)(const FUNCTIONS *t, const struct layer *l) {
    struct tile_patches p;
    const ptrdiff_t length = describe(l, &p), K = p.nseg * p.seglen, ldr = K + draw(t->vector);
    const ptrdiff_t i0 = draw(p.npix), i1 = i0 + 1 + draw(p.npix - i0), n = (i1 - i0) * ldr;
    REAL *x = NAME(numbers)(length + t->vector), *rows = NAME(output)(NULL, n + t->vector);
    REAL *wanted = memory(n * sizeof(REAL));
    for (ptrdiff_t i = i0; i < i1; i++) {
        REAL *to = wanted + (i - i0) * ldr;
        for (ptrdiff_t k = 0; k < ldr; k++) to[k] = k < K ? x[pix[i] + seg[k / p.seglen] + k % p.seglen] : k == K;
    }
    t->patches(x, &p, i0, i1, ldr, rows);
    for (ptrdiff_t k = n; k < n + t->vector; k++) rows[k] = NAN; /* what may be touched may hold anything */
    NAME(compare)(rows, wanted, n, 0);
    free(x);
}

static void NAME(check_pooled)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t windows = l->pixels[0] * l->pixels[1] / l->window, F = l->filters;
    for (ptrdiff_t vectors = 1; vectors <= t->gather_max + 1; vectors++) {
        const ptrdiff_t ldr = vectors * t->vector, n = F * ldr;
        REAL *rows = NAME(numbers)(windows * l->window * ldr), *zeros = memory(ldr * sizeof(REAL));
        REAL *dy = NAME(numbers)(windows * F), *wanted = NAME(numbers)(n), *out = NAME(output)(wanted, n);
        uint8_t *places = memory(windows * F);
        for (ptrdiff_t k = 0; k < ldr; k++) zeros[k] = 0;
        for (ptrdiff_t i = 0; i < windows * F; i++) {
            places[i] = (uint8_t)(draw(3) ? draw(l->window) : draw(2) ? TILE_DEAD : l->window + draw(3));
            if (places[i] >= l->window) { /* dead, or a place that no window has: its gradient counts for nothing */
                if (vectors % 2) dy[i] = draw(2) ? INFINITY : NAN;
                continue;
            }
            const REAL *row = rows + (i / F * l->window + places[i]) * ldr;
            for (ptrdiff_t k = 0; k < ldr; k++) wanted[i % F * ldr + k] += dy[i] * row[k];
        }
        t->pooled(rows, l->window, ldr, zeros, dy, places, F, windows, out);
        NAME(compare)(out, wanted, n, 0);
        free(rows);
        free(zeros);
        free(dy);
        free(places);
    }
}

static void NAME(check_gather)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t rows = l->channels + 1, entries = draw(2 * rows), step = 1 + draw(t->block);
    int32_t *at = memory((entries + 1) * sizeof(int32_t));
    for (ptrdiff_t e = 0; e < entries; e++) at[e] = (int32_t)draw(rows);
    REAL *g = NAME(numbers)(entries + 1);
    for (ptrdiff_t nv = 1; nv <= t->gather_max; nv++) {
        const ptrdiff_t n = nv * t->vector;
        REAL *x = NAME(numbers)((rows - 1) * step + n), *wanted = NAME(numbers)(n), *out = NAME(output)(wanted, n);
        for (ptrdiff_t e = 0; e < entries; e++)
            for (ptrdiff_t j = 0; j < n; j++) wanted[j] += g[e] * x[at[e] * step + j];
        t->gather(x, step, at, g, entries, nv, out);
        NAME(compare)(out, wanted, n, 0);
        free(x);
    }
    free(at);
    free(g);
}
