/* Sums over rows and batch normalization: tile_norm.h. A layer's pixels are the rows, its filters the columns. */

/* The five rows of numbers that belong to the columns, and an image with its gradient. */
struct NAME(batch) {
    ptrdiff_t rows, C, n;
    REAL *x, *dy, *mean, *scale, *shift, *offset, *slope;
};

static struct NAME(batch) NAME(make_batch)(const struct layer *l) {
    struct NAME(batch) b = {.rows = l->pixels[0] * l->pixels[1], .C = l->filters};
    b.n = b.rows * b.C;
    b.x = NAME(numbers)(b.n);
    b.dy = NAME(numbers)(b.n);
    NAME(spoil)(b.x, b.n);
    REAL **const columns[] = {&b.mean, &b.scale, &b.shift, &b.offset, &b.slope};
    for (ptrdiff_t i = 0; i < COUNT(columns); i++) *columns[i] = NAME(numbers)(b.C);
    return b;
}

static void NAME(forget_batch)(struct NAME(batch) *b) {
    REAL *const arrays[] = {b->x, b->dy, b->mean, b->scale, b->shift, b->offset, b->slope};
    for (ptrdiff_t i = 0; i < COUNT(arrays); i++) free(arrays[i]);
}

static REAL NAME(normalized)(const struct NAME(batch) *b, ptrdiff_t i) {
    const ptrdiff_t c = i % b->C;
    return (b->x[i] - b->mean[c]) * b->scale[c] + b->shift[c];
}

static void NAME(check_sums)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t rows = l->pixels[0] * l->pixels[1], C = l->filters, ldx = C + draw(3);
    REAL *x = NAME(numbers)((rows - 1) * ldx + C), *sum = NAME(output)(NULL, C), *wanted = NAME(copy)(sum, C);
    for (ptrdiff_t c = 0; c < C; c++) {
        wanted[c] = 0;
        for (ptrdiff_t i = 0; i < rows; i++) wanted[c] += x[i * ldx + c];
    }
    t->sums(x, rows, ldx, C, sum);
    NAME(compare)(sum, wanted, C, 0);
    free(x);
}

static void NAME(check_moments)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t rows = l->pixels[0] * l->pixels[1], C = l->filters;
    REAL *x = NAME(numbers)(rows * C), *mean = NAME(output)(NULL, C), *squares = NAME(output)(NULL, C);
    REAL *means = NAME(copy)(mean, C), *wanted = NAME(copy)(squares, C);
    for (ptrdiff_t c = 0; c < C; c++) {
        double sum = 0, square = 0;
        for (ptrdiff_t i = 0; i < rows; i++) sum += x[i * C + c];
        for (ptrdiff_t i = 0; i < rows; i++) square += (x[i * C + c] - sum / rows) * (x[i * C + c] - sum / rows);
        means[c] = (REAL)(sum / rows);
        wanted[c] = (REAL)square;
    }
    t->moments(x, rows, C, mean, squares);
    NAME(compare)(mean, means, C, 0);
    NAME(compare)(squares, wanted, C, NAME(ROUNDING));
    free(x);
}

static void NAME(check_normalize)(const FUNCTIONS *t, const struct layer *l) {
    for (int relu = 0; relu < 2; relu++) {
        struct NAME(batch) b = NAME(make_batch)(l);
        REAL *y = NAME(output)(NULL, b.n), *wanted = NAME(copy)(y, b.n);
        for (ptrdiff_t i = 0; i < b.n; i++) {
            wanted[i] = NAME(normalized)(&b, i);
            if (relu && wanted[i] <= 0) wanted[i] = 0;
        }
        t->normalize(b.x, b.rows, b.C, b.mean, b.scale, b.shift, relu, y);
        NAME(compare)(y, wanted, b.n, 0);
        NAME(forget_batch)(&b);
    }
}

static void NAME(check_gradient_sums)(const FUNCTIONS *t, const struct layer *l) {
    for (int relu = 0; relu < 2; relu++) {
        struct NAME(batch) b = NAME(make_batch)(l);
        REAL *sum = NAME(output)(NULL, b.C), *sums = NAME(copy)(sum, b.C);
        REAL *product = NAME(output)(NULL, b.C), *products = NAME(copy)(product, b.C);
        for (ptrdiff_t c = 0; c < b.C; c++) {
            sums[c] = products[c] = 0;
            for (ptrdiff_t i = c; i < b.n; i += b.C) {
                const REAL g = relu && NAME(normalized)(&b, i) <= 0 ? 0 : b.dy[i];
                sums[c] += g;
                products[c] += g * (b.x[i] - b.mean[c]);
            }
        }
        t->gradient_sums(b.dy, b.x, b.rows, b.C, b.mean, b.scale, b.shift, relu, sum, product);
        NAME(compare)(sum, sums, b.C, 0);
        NAME(compare)(product, products, b.C, 0);
        NAME(forget_batch)(&b);
    }
}

static void NAME(check_gradient_rows)(const FUNCTIONS *t, const struct layer *l) {
    for (int relu = 0; relu < 2; relu++) {
        struct NAME(batch) b = NAME(make_batch)(l);
        REAL *dx = NAME(output)(NULL, b.n), *wanted = NAME(copy)(dx, b.n);
        for (ptrdiff_t i = 0; i < b.n; i++) {
            const ptrdiff_t c = i % b.C;
            const REAL g = relu && NAME(normalized)(&b, i) <= 0 ? 0 : b.dy[i];
            wanted[i] = b.scale[c] * (g - b.offset[c] - b.slope[c] * (b.x[i] - b.mean[c]));
        }
        t->gradient_rows(b.dy, b.x, b.rows, b.C, b.mean, b.scale, b.shift, b.offset, b.slope, relu, dx);
        NAME(compare)(dx, wanted, b.n, 0);
        NAME(forget_batch)(&b);
    }
}
