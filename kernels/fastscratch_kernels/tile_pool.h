/* Max-pooling, a vector of channels at a time. Included by tile_real.h. */

/* y = the largest of the n pixels at `pixel`, and in `argmax` its number in `places`; ties go to the first, NaN wins, the
 * last of them. */
INLINE void NAME(largest)(const int whole, const REAL *const *pixel, const uint8_t *places, ptrdiff_t n, ptrdiff_t c,
                          ptrdiff_t left, REAL *y, uint8_t *argmax) {
    VEC best = NAME(load_part)(whole, pixel[0] + c, left);
    VINT place = (VINT){0} + (INTEGER)places[0];
    for (ptrdiff_t j = 1; j < n; j++) {
        const VEC v = NAME(load_part)(whole, pixel[j] + c, left);
        const VINT wins = (v > best) | (v != v);
        best = NAME(blend)(wins, v, best);
        place = (wins & ((VINT){0} + (INTEGER)places[j])) | (~wins & place);
    }
    NAME(store_part)(whole, y + c, best, left);
    if (whole) {
        NAME(store_bytes)(argmax + c, place);
    } else {
        uint8_t bytes[VBYTES / sizeof(REAL)];
        NAME(store_bytes)(bytes, place);
        memcpy(argmax + c, bytes, left);
    }
}

static void NAME(maxpool)(const REAL *const *pixel, const uint8_t *places, ptrdiff_t n, ptrdiff_t C, REAL *y,
                          uint8_t *argmax) {
    ptrdiff_t c = 0;
    for (; c + VW <= C; c += VW) NAME(largest)(1, pixel, places, n, c, VW, y, argmax);
    if (c < C) NAME(largest)(0, pixel, places, n, c, C - c, y, argmax);
}

INLINE void NAME(back_pixel)(const REAL *dy, const uint8_t *argmax, uint8_t place, ptrdiff_t C, const int add,
                             REAL *dx) {
    ptrdiff_t c = 0;
    for (; c + VW <= C; c += VW) {
        const VEC g = (VEC)(NAME(equal_bytes)(argmax + c, place) & (VINT)NAME(load)(dy + c));
        NAME(store)(dx + c, add ? NAME(load)(dx + c) + g : g);
    }
    for (; c < C; c++) {
        const REAL g = argmax[c] == place ? dy[c] : 0;
        dx[c] = add ? dx[c] + g : g;
    }
}

/* For a row of n windows, dx = dy where `argmax` names this place, else 0; or added to what is there. The pixels of dx
 * that have this place lie `step` apart. */
static void NAME(maxpool_back)(const REAL *dy, const uint8_t *argmax, uint8_t place, ptrdiff_t C, ptrdiff_t n,
                               ptrdiff_t step, int add, REAL *dx) {
    for (ptrdiff_t i = 0; i < n; i++) {
        if (add)
            NAME(back_pixel)(dy + i * C, argmax + i * C, place, C, 1, dx + i * step);
        else
            NAME(back_pixel)(dy + i * C, argmax + i * C, place, C, 0, dx + i * step);
    }
}
