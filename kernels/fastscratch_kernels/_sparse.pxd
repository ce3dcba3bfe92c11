# Lists of the few numbers of a gradient that are not zero: each entry a number, and where what it multiplies begins.

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from fastscratch_kernels._tiles cimport real, tile_patches


cdef inline void lists_by_filter(const tile_patches *p, const real *dy, const uint8_t *argmax, Py_ssize_t F,
                                 Py_ssize_t f0, Py_ssize_t f1, int32_t *count, int32_t *at, real *value,
                                 real *db) noexcept nogil:
    # For filters f0..f1 the live gradients of an image: at[f - f0][..] where their patch begins, and value.
    cdef Py_ssize_t i, f, n, most = p.npix // p.window
    cdef int q
    cdef const uint8_t *place
    cdef const real *row
    memset(count, 0, (f1 - f0) * sizeof(int32_t))
    for i in range(most):
        place, row = argmax + i * F, dy + i * F
        for f in range(f1 - f0):
            q = place[f0 + f]
            n = f * most + count[f]
            # Written in any case, kept where live: half of the branches would be guessed wrong.
            at[n] = <int32_t> p.pix[i * p.window + (q if q < p.window else 0)]
            value[n] = row[f0 + f]
            count[f] += q < p.window
    for f in range(f1 - f0):
        for n in range(count[f]):
            db[f] += value[f * most + n]


cdef inline void lists_by_pixel(const tile_patches *p, const real *dy, const uint8_t *argmax, Py_ssize_t F,
                                int32_t *begin, int32_t *at, real *value) noexcept nogil:
    # The live gradients of each pixel i: at[begin[i]..begin[i + 1]) are their filters, and value.
    cdef Py_ssize_t i, f, first, last = 0
    cdef int q
    cdef int32_t next_[256]
    cdef const uint8_t *place
    for i in range(p.npix // p.window):
        place, first = argmax + i * F, i * p.window
        memset(next_, 0, sizeof(next_))
        for f in range(F):
            next_[place[f]] += 1
        for q in range(p.window):
            begin[first + q] = <int32_t> last
            last += next_[q]
            next_[q] = begin[first + q]
        for f in range(F):
            q = place[f]
            if q < p.window:
                at[next_[q]] = <int32_t> f
                value[next_[q]] = dy[i * F + f]
                next_[q] += 1
    begin[p.npix] = <int32_t> last
