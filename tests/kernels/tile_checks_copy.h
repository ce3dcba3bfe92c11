/* Checks of tile_copy.h. */

static void NAME(check_pack)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t rows = l->pixels[0] * l->pixels[1], ldx = l->filters + l->channels;
    for (ptrdiff_t n = 1; n <= t->block && n <= l->filters; n++) {
        REAL *x = NAME(numbers)((rows - 1) * ldx + n), *wanted = memory(rows * t->block * sizeof(REAL));
        REAL *got = NAME(output)(NULL, rows * t->block);
        for (ptrdiff_t i = 0; i < rows * t->block; i++)
            wanted[i] = i % t->block < n ? x[i / t->block * ldx + i % t->block] : 0;
        t->pack(x, ldx, rows, n, got);
        NAME(compare)(got, wanted, rows * t->block, 0);
        free(x);
    }
}

static void NAME(check_transpose)(const FUNCTIONS *t, const struct layer *l) {
    const ptrdiff_t rows = l->pixels[0] * l->pixels[1], columns = l->filters, ldx = columns + 1, ldy = rows + 3;
    const ptrdiff_t size = (columns - 1) * ldy + rows;
    REAL *x = NAME(numbers)((rows - 1) * ldx + columns);
    REAL *got = NAME(output)(NULL, size), *wanted = NAME(copy)(got, size);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j++) wanted[j * ldy + i] = x[i * ldx + j];
    t->transpose(x, ldx, rows, columns, got, ldy);
    NAME(compare)(got, wanted, size, 0);
    free(x);
}
