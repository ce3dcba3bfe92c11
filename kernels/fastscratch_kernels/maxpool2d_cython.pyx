"""Max-pooling in Cython, forward and backward: plain loops, the channels innermost, threads over images.

Ties go to the first position of the window; the border never wins; NaN wins over everything, the last one of a window.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from ._threads import get_num_threads

ctypedef fused real:
    float
    double

ctypedef fused place:
    uint8_t
    int32_t


cdef _maxpool2d(const real[:, :, :, ::1] x, real[:, :, :, ::1] out, place[:, :, :, ::1] argmax, Py_ssize_t kh,
                Py_ssize_t kw, Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw):
    cdef Py_ssize_t H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t N = out.shape[0], OH = out.shape[1], OW = out.shape[2]
    cdef Py_ssize_t q, n, oh, ow, i, j, c, top, left, i0, j0
    cdef const real *pixel
    cdef real *best
    cdef place *at
    cdef int threads = get_num_threads()
    if C == 0:
        return
    for q in prange(N * OH, schedule="static", num_threads=threads, nogil=True):
        n, oh = q // OH, q % OH
        for ow in range(OW):
            best, at = &out[n, oh, ow, 0], &argmax[n, oh, ow, 0]
            top, left = oh * sh - ph, ow * sw - pw
            i0, j0 = max(0, -top), max(0, -left)   # the window's first pixel inside the image
            for c in range(C):
                best[c] = x[n, top + i0, left + j0, c]
                at[c] = <place> (i0 * kw + j0)
            for i in range(i0, min(kh, H - top)):
                for j in range(j0, min(kw, W - left)):
                    pixel = &x[n, top + i, left + j, 0]
                    for c in range(C):
                        if pixel[c] > best[c] or pixel[c] != pixel[c]:
                            best[c] = pixel[c]
                            at[c] = <place> (i * kw + j)


def maxpool2d(x, out, argmax, kernel, stride, padding):
    """Fill `out` (N, OH, OW, C) with the largest number of each window of `x` (N, H, W, C), `argmax` with its place."""
    if out.dtype == "float32":
        if argmax.itemsize == 1:
            _maxpool2d[float, uint8_t](x, out, argmax, *kernel, *stride, *padding)
        else:
            _maxpool2d[float, int32_t](x, out, argmax, *kernel, *stride, *padding)
    else:
        if argmax.itemsize == 1:
            _maxpool2d[double, uint8_t](x, out, argmax, *kernel, *stride, *padding)
        else:
            _maxpool2d[double, int32_t](x, out, argmax, *kernel, *stride, *padding)


cdef _maxpool2d_backward(const real[:, :, :, ::1] dy, const place[:, :, :, ::1] argmax, real[:, :, :, ::1] dx,
                         Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw):
    cdef Py_ssize_t N = dx.shape[0], H = dx.shape[1], W = dx.shape[2], C = dx.shape[3]
    cdef Py_ssize_t OH = dy.shape[1], OW = dy.shape[2], n, oh, ow, i, j, c, top, left
    cdef const real *g
    cdef const place *at
    cdef real *pixel
    cdef int threads = get_num_threads()
    if C == 0:
        return
    # Over images: windows of one image may overlap, those of two do not.
    for n in prange(N, schedule="static", num_threads=threads, nogil=True):
        memset(&dx[n, 0, 0, 0], 0, H * W * C * sizeof(real))
        for i in range(kh):  # window positions outermost: the NumPy version's order of sums
            for j in range(kw):
                for oh in range(OH):
                    top = oh * sh - ph + i
                    for ow in range(OW):
                        left = ow * sw - pw + j
                        if 0 <= top < H and 0 <= left < W:
                            g, at, pixel = &dy[n, oh, ow, 0], &argmax[n, oh, ow, 0], &dx[n, top, left, 0]
                            for c in range(C):
                                if at[c] == i * kw + j:
                                    pixel[c] += g[c]


def maxpool2d_backward(dy, argmax, dx, kernel, stride, padding):
    """Fill `dx` (N, H, W, C): each number of `dy` (N, OH, OW, C) goes to the place that `argmax` names."""
    if dx.dtype == "float32":
        if argmax.itemsize == 1:
            _maxpool2d_backward[float, uint8_t](dy, argmax, dx, *kernel, *stride, *padding)
        else:
            _maxpool2d_backward[float, int32_t](dy, argmax, dx, *kernel, *stride, *padding)
    else:
        if argmax.itemsize == 1:
            _maxpool2d_backward[double, uint8_t](dy, argmax, dx, *kernel, *stride, *padding)
        else:
            _maxpool2d_backward[double, int32_t](dy, argmax, dx, *kernel, *stride, *padding)
