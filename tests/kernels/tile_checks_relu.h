/* The rectified linear unit: tile_relu.h, with outputs of its own and in place. */

static void NAME(check_relu)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t n = l->pixels[0] * l->pixels[1] * l->filters;
    for (int in_place = 0; in_place < 2; in_place++) {
        REAL *x = NAME(numbers)(n);
        NAME(spoil)(x, n);
        REAL *out = NAME(output)(in_place ? x : NULL, n), *wanted = NAME(copy)(x, n);
        for (ptrdiff_t i = 0; i < n; i++)
            if (wanted[i] < 0) wanted[i] = 0;
        t->relu(n, in_place ? out : x, out);
        NAME(compare)(out, wanted, n, 0);
        free(x);
    }
}

static void NAME(check_relu_back)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t n = l->pixels[0] * l->pixels[1] * l->filters;
    for (int in_place = 0; in_place < 2; in_place++) {
        REAL *dy = NAME(numbers)(n), *y = NAME(numbers)(n);
        NAME(spoil)(dy, n);
        NAME(spoil)(y, n);
        REAL *dx = NAME(output)(in_place ? dy : NULL, n), *wanted = NAME(copy)(dy, n);
        for (ptrdiff_t i = 0; i < n; i++)
            if (y[i] <= 0) wanted[i] = 0;
        t->relu_back(n, in_place ? dx : dy, y, dx);
        NAME(compare)(dx, wanted, n, 0);
        free(dy);
        free(y);
    }
}
