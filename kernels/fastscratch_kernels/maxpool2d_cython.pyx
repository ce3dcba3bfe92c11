"""Max-pooling in Cython, forward and backward: window after window, a vector of channels at a time by tile_pool.h.

Ties go to the first position of the window; the border never wins; NaN wins over everything, the last one of a window.
Windows of 255 places and more, whose places need more than a byte, go through plain loops.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython.parallel cimport prange

from fastscratch_kernels._tiles cimport *

from ._threads import get_num_threads

cdef enum:
    MOST = 255  # places of a window that a byte can tell apart from "dead"


cdef void _window(const tile_table *t, const real *x, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t kh,
                  Py_ssize_t kw, Py_ssize_t top, Py_ssize_t left, real *y, uint8_t *argmax) noexcept nogil:
    # The places of the window that lie inside the image.
    cdef const real *pixel[MOST]
    cdef uint8_t places[MOST]
    cdef Py_ssize_t n = 0, i, j
    for i in range(max(0, -top), min(kh, H - top)):
        for j in range(max(0, -left), min(kw, W - left)):
            pixel[n] = x + ((top + i) * W + left + j) * C
            places[n] = <uint8_t> (i * kw + j)
            n += 1
    if real is float:
        t.f32.maxpool(pixel, places, n, C, y, argmax)
    else:
        t.f64.maxpool(pixel, places, n, C, y, argmax)


cdef _maxpool2d(const real[:, :, :, ::1] x, real[:, :, :, ::1] out, uint8_t[:, :, :, ::1] argmax, Py_ssize_t kh,
                Py_ssize_t kw, Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw):
    cdef const tile_table *t = table()
    cdef Py_ssize_t H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t OH = out.shape[1], OW = out.shape[2], q, ow
    cdef int threads = get_num_threads()
    for q in prange(out.shape[0] * OH, schedule="static", num_threads=threads, nogil=True):
        for ow in range(OW):
            _window(t, &x[q // OH, 0, 0, 0], H, W, C, kh, kw, q % OH * sh - ph, ow * sw - pw,
                    &out[q // OH, q % OH, ow, 0], &argmax[q // OH, q % OH, ow, 0])


cdef _maxpool2d_large(const real[:, :, :, ::1] x, real[:, :, :, ::1] out, int32_t[:, :, :, ::1] argmax,
                      Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw):
    cdef Py_ssize_t H = x.shape[1], W = x.shape[2], OH = out.shape[1], OW = out.shape[2]
    cdef Py_ssize_t n, oh, ow, c, i, j, top, left
    cdef real v
    cdef int threads = get_num_threads()
    for n in prange(out.shape[0], schedule="static", num_threads=threads, nogil=True):
        for oh in range(OH):
            for ow in range(OW):
                top, left = oh * sh - ph, ow * sw - pw
                for c in range(out.shape[3]):
                    argmax[n, oh, ow, c] = -1
                    for i in range(max(0, -top), min(kh, H - top)):
                        for j in range(max(0, -left), min(kw, W - left)):
                            v = x[n, top + i, left + j, c]
                            if argmax[n, oh, ow, c] < 0 or v > out[n, oh, ow, c] or v != v:
                                out[n, oh, ow, c] = v
                                argmax[n, oh, ow, c] = <int32_t> (i * kw + j)


def maxpool2d(x, out, argmax, kernel, stride, padding):
    """Fill `out` (N, OH, OW, C) with the largest number of each window of `x` (N, H, W, C), `argmax` with its place."""
    if out.itemsize == 4:
        if argmax.itemsize == 1:
            _maxpool2d[float](x, out, argmax, *kernel, *stride, *padding)
        else:
            _maxpool2d_large[float](x, out, argmax, *kernel, *stride, *padding)
    else:
        if argmax.itemsize == 1:
            _maxpool2d[double](x, out, argmax, *kernel, *stride, *padding)
        else:
            _maxpool2d_large[double](x, out, argmax, *kernel, *stride, *padding)


cdef _maxpool2d_backward(const real[:, :, :, ::1] dy, const uint8_t[:, :, :, ::1] argmax, real[:, :, :, ::1] dx,
                         Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw):
    cdef const tile_table *t = table()
    cdef Py_ssize_t H = dx.shape[1], W = dx.shape[2], C = dx.shape[3], OH = dy.shape[1], OW = dy.shape[2]
    cdef Py_ssize_t n, i, j, oh, top, left, first, windows
    # Windows that do not overlap write each pixel once; where they leave none out either, nothing need be cleared.
    cdef bint add = sh < kh or sw < kw
    cdef bint whole = not add and sh == kh and sw == kw and ph == 0 and pw == 0 and OH * kh == H and OW * kw == W
    cdef int threads = get_num_threads()
    # Over images: windows of one image may overlap, those of two do not.
    for n in prange(dx.shape[0], schedule="static", num_threads=threads, nogil=True):
        if not whole:
            memset(&dx[n, 0, 0, 0], 0, H * W * C * sizeof(real))
        for i in range(kh):  # window positions outermost: the NumPy version's order of sums
            for j in range(kw):
                # The windows of a row whose pixel j is none of the border's.
                first = max(0, (pw - j + sw - 1) // sw)
                left = first * sw - pw + j
                windows = min(OW - first, (W - left + sw - 1) // sw)
                for oh in range(OH):
                    top = oh * sh - ph + i
                    if windows > 0 and 0 <= top < H:
                        if real is float:
                            t.f32.maxpool_back(&dy[n, oh, first, 0], &argmax[n, oh, first, 0],
                                               <uint8_t> (i * kw + j), C, windows, sw * C, add, &dx[n, top, left, 0])
                        else:
                            t.f64.maxpool_back(&dy[n, oh, first, 0], &argmax[n, oh, first, 0],
                                               <uint8_t> (i * kw + j), C, windows, sw * C, add, &dx[n, top, left, 0])


cdef _maxpool2d_backward_large(const real[:, :, :, ::1] dy, const int32_t[:, :, :, ::1] argmax,
                               real[:, :, :, ::1] dx, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t sh, Py_ssize_t sw,
                               Py_ssize_t ph, Py_ssize_t pw):
    cdef Py_ssize_t n, oh, ow, c, top, left, place, image = dx.shape[1] * dx.shape[2] * dx.shape[3]
    cdef int threads = get_num_threads()
    for n in prange(dy.shape[0], schedule="static", num_threads=threads, nogil=True):
        memset(&dx[n, 0, 0, 0], 0, image * sizeof(real))
        for oh in range(dy.shape[1]):
            for ow in range(dy.shape[2]):
                for c in range(dy.shape[3]):
                    place = argmax[n, oh, ow, c]
                    top = oh * sh - ph + place // kw
                    left = ow * sw - pw + place % kw
                    # No "dead" place is one of the window.
                    if 0 <= place < kh * kw and 0 <= top < dx.shape[1] and 0 <= left < dx.shape[2]:
                        dx[n, top, left, c] += dy[n, oh, ow, c]


def maxpool2d_backward(dy, argmax, dx, kernel, stride, padding):
    """Fill `dx` (N, H, W, C): each number of `dy` (N, OH, OW, C) goes to the place that `argmax` names."""
    if dx.itemsize == 4:
        if argmax.itemsize == 1:
            _maxpool2d_backward[float](dy, argmax, dx, *kernel, *stride, *padding)
        else:
            _maxpool2d_backward_large[float](dy, argmax, dx, *kernel, *stride, *padding)
    else:
        if argmax.itemsize == 1:
            _maxpool2d_backward[double](dy, argmax, dx, *kernel, *stride, *padding)
        else:
            _maxpool2d_backward_large[double](dy, argmax, dx, *kernel, *stride, *padding)
