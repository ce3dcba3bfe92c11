/* Max-pooling: tile_pool.h. A layer's window is the window, its filters are the channels. */

static void NAME(check_maxpool)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t n = l->window, C = l->filters;
    REAL *x = NAME(numbers)(n * C), *y = NAME(output)(NULL, C), *wanted = NAME(copy)(y, C);
    const REAL **pixel = memory(n * sizeof(*pixel));
    uint8_t *places = memory(n), *argmax = memory(C), *expected = memory(C);
    NAME(spoil)(x, n * C);
    for (ptrdiff_t j = 0; j < n; j++) {
        pixel[j] = x + (n - 1 - j) * C; /* in any order, */
        places[j] = (uint8_t)(2 * j);   /* and some places of a window may lie in the border */
    }
    for (ptrdiff_t c = 0; c < C; c++) {
        wanted[c] = pixel[0][c];
        expected[c] = places[0];
        for (ptrdiff_t j = 1; j < n; j++) {
            const REAL v = pixel[j][c];
            if (v > wanted[c] || v != v) wanted[c] = v, expected[c] = places[j];
        }
    }
    t->maxpool(pixel, places, n, C, y, argmax);
    NAME(compare)(y, wanted, C, 0);
    for (ptrdiff_t c = 0; c < C; c++) expect(argmax[c] == expected[c], "place", c);
    free(x);
    free(pixel);
    free(places);
    free(argmax);
    free(expected);
}

static void NAME(check_maxpool_back)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t C = l->filters, n = l->window, step = 2 * C, size = (n - 1) * step + C;
    for (int add = 0; add < 2; add++) {
        REAL *dy = NAME(numbers)(n * C), *before = NAME(numbers)(size), *dx = NAME(output)(add ? before : NULL, size);
        REAL *wanted = NAME(copy)(dx, size); /* what lies between the pixels stays as it is */
        uint8_t *argmax = memory(n * C);
        for (ptrdiff_t i = 0; i < n; i++) {
            for (ptrdiff_t c = 0; c < C; c++) {
                const ptrdiff_t at = i * C + c;
                argmax[at] = (uint8_t)(250 + draw(3));
                wanted[i * step + c] = (add ? before[i * step + c] : 0) + (argmax[at] == 251 ? dy[at] : 0);
            }
        }
        t->maxpool_back(dy, argmax, 251, C, n, step, add, dx);
        NAME(compare)(dx, wanted, size, 0);
        free(dy);
        free(before);
        free(argmax);
    }
}
