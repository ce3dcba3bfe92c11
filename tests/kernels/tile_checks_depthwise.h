/* Depthwise convolutions: tile_depthwise.h. */

/* The tables of `l` with a segment for each kernel position; returns the length of the image. */
static ptrdiff_t NAME(describe_depthwise)(const struct layer *l, struct tile_patches *p) {
    const ptrdiff_t length = describe(l, p), KW = l->kernel[1];
    const ptrdiff_t W = (l->pixels[1] - 1) * l->stride + (KW - 1) * l->dilation + 1;
    p->nseg = l->kernel[0] * KW;
    p->seglen = 1;
    for (ptrdiff_t s = 0; s < p->nseg; s++) seg[s] = (s / KW * W + s % KW) * l->dilation * l->channels;
    return length;
}

static void NAME(check_depthwise)(const FUNCTIONS *t, const struct layer *l) {
    struct tile_patches p;
    const ptrdiff_t length = NAME(describe_depthwise)(l, &p), C = l->channels, c0 = draw(C), n = C - c0;
    const ptrdiff_t size = p.npix * C - c0;
    REAL *x = NAME(numbers)(length), *w = NAME(numbers)(p.nseg * C), *bias = NAME(numbers)(C);
    REAL *y = NAME(output)(NULL, size), *wanted = NAME(copy)(y, size);
    NAME(spoil)(x, length);
    for (ptrdiff_t i = 0; i < p.npix; i++) {
        for (ptrdiff_t c = 0; c < n; c++) {
            REAL sum = bias[c0 + c];
            for (ptrdiff_t s = 0; s < p.nseg; s++) sum += x[pix[i] + seg[s] + c0 + c] * w[s * C + c0 + c];
            wanted[i * C + c] = sum;
        }
    }
    t->depthwise(x + c0, &p, w + c0, bias + c0, C, n, y);
    NAME(compare)(y, wanted, size, 0);
    free(x);
    free(w);
    free(bias);
}

static void NAME(check_depthwise_back)(const FUNCTIONS *t, const struct layer *l) {
    struct tile_patches p;
    const ptrdiff_t length = NAME(describe_depthwise)(l, &p), C = l->channels, c0 = draw(C), n = C - c0;
    REAL *dy = NAME(numbers)(p.npix * C), *w = NAME(numbers)(p.nseg * C), *wanted = NAME(numbers)(length - c0);
    REAL *dx = NAME(output)(wanted, length - c0);
    for (ptrdiff_t i = 0; i < p.npix; i++)
        for (ptrdiff_t s = 0; s < p.nseg; s++)
            for (ptrdiff_t c = 0; c < n; c++) wanted[pix[i] + seg[s] + c] += dy[i * C + c0 + c] * w[s * C + c0 + c];
    t->depthwise_back(dy + c0, &p, w + c0, C, n, dx);
    NAME(compare)(dx, wanted, length - c0, 0);
    free(dy);
    free(w);
}

static void NAME(check_depthwise_sums)(const FUNCTIONS *t, const struct layer *l) {
    struct tile_patches p;
    const ptrdiff_t length = NAME(describe_depthwise)(l, &p), C = l->channels, c0 = draw(C), n = C - c0;
    const ptrdiff_t size = p.nseg * C - c0;
    REAL *x = NAME(numbers)(length), *dy = NAME(numbers)(p.npix * C), *wanted = NAME(numbers)(size);
    REAL *dw = NAME(output)(wanted, size);
    for (ptrdiff_t s = 0; s < p.nseg; s++)
        for (ptrdiff_t i = 0; i < p.npix; i++)
            for (ptrdiff_t c = 0; c < n; c++) wanted[s * C + c] += x[pix[i] + seg[s] + c0 + c] * dy[i * C + c0 + c];
    t->depthwise_sums(x + c0, &p, dy + c0, C, n, dw);
    NAME(compare)(dw, wanted, size, 0);
    free(x);
    free(dy);
}
