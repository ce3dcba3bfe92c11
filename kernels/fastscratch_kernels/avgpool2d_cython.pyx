"""Average-pooling in Cython, forward and backward: plain loops, the channels innermost, threads over images.

Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython cimport floating as real
from cython.parallel cimport prange
from libc.string cimport memset

from ._threads import get_num_threads


cdef inline Py_ssize_t _count(Py_ssize_t top, Py_ssize_t left, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t H,
                              Py_ssize_t W, bint count_include_pad) noexcept nogil:
    # What a window's sum is divided by: its size, or that of its part inside the image.
    if count_include_pad:
        return kh * kw
    return (min(top + kh, H) - max(top, 0)) * (min(left + kw, W) - max(left, 0))


cdef _avgpool2d(const real[:, :, :, ::1] x, real[:, :, :, ::1] out, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t sh,
                Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw, bint count_include_pad):
    cdef Py_ssize_t H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t N = out.shape[0], OH = out.shape[1], OW = out.shape[2]
    cdef Py_ssize_t q, n, oh, ow, i, j, c, top, left
    cdef const real *pixel
    cdef real *mean
    cdef real count
    cdef int threads = get_num_threads()
    if C == 0:
        return
    for q in prange(N * OH, schedule="static", num_threads=threads, nogil=True):
        n, oh = q // OH, q % OH
        for ow in range(OW):
            top, left, mean = oh * sh - ph, ow * sw - pw, &out[n, oh, ow, 0]
            memset(mean, 0, C * sizeof(real))
            for i in range(max(0, -top), min(kh, H - top)):
                for j in range(max(0, -left), min(kw, W - left)):
                    pixel = &x[n, top + i, left + j, 0]
                    for c in range(C):
                        mean[c] += pixel[c]
            count = <real> _count(top, left, kh, kw, H, W, count_include_pad)
            for c in range(C):
                mean[c] /= count


def avgpool2d(x, out, kernel, stride, padding, count_include_pad):
    """Fill `out` (N, OH, OW, C) with the mean of each window of `x` (N, H, W, C), zeros beyond the border."""
    if out.itemsize == 4:
        _avgpool2d[float](x, out, *kernel, *stride, *padding, count_include_pad)
    else:
        _avgpool2d[double](x, out, *kernel, *stride, *padding, count_include_pad)


cdef _avgpool2d_backward(const real[:, :, :, ::1] dy, real[:, :, :, ::1] dx, Py_ssize_t kh, Py_ssize_t kw,
                         Py_ssize_t sh, Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw, bint count_include_pad):
    cdef Py_ssize_t N = dx.shape[0], H = dx.shape[1], W = dx.shape[2], C = dx.shape[3]
    cdef Py_ssize_t OH = dy.shape[1], OW = dy.shape[2], n, oh, ow, i, j, c, top, left
    cdef const real *g
    cdef real *pixel
    cdef real count
    cdef int threads = get_num_threads()
    if C == 0:
        return
    # Over images: windows of one image may overlap, those of two do not.
    for n in prange(N, schedule="static", num_threads=threads, nogil=True):
        memset(&dx[n, 0, 0, 0], 0, H * W * C * sizeof(real))
        for i in range(kh):  # window positions outermost: the NumPy version's order of sums
            for j in range(kw):
                for oh in range(OH):
                    top = oh * sh - ph
                    for ow in range(OW):
                        left = ow * sw - pw
                        if 0 <= top + i < H and 0 <= left + j < W:
                            g, pixel = &dy[n, oh, ow, 0], &dx[n, top + i, left + j, 0]
                            count = <real> _count(top, left, kh, kw, H, W, count_include_pad)
                            for c in range(C):
                                pixel[c] += g[c] / count


def avgpool2d_backward(dy, dx, kernel, stride, padding, count_include_pad):
    """Fill `dx` (N, H, W, C): each number of `dy` (N, OH, OW, C) is shared out evenly over its window."""
    if dx.itemsize == 4:
        _avgpool2d_backward[float](dy, dx, *kernel, *stride, *padding, count_include_pad)
    else:
        _avgpool2d_backward[double](dy, dx, *kernel, *stride, *padding, count_include_pad)
