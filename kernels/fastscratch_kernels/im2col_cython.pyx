"""im2col and col2im in Cython: plain loops, threads over images.

Raw kernels: they fill their caller's `out` and check nothing.
"""

from cython cimport floating as real
from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from ._threads import get_num_threads


cdef inline void _copy(real *to, const real *source, Py_ssize_t n) noexcept nogil:
    if n < 16:  # too short a run to be worth a call
        for c in range(n):
            to[c] = source[c]
    else:
        memcpy(to, source, n * sizeof(real))


cdef _im2col(const real[:, :, :, ::1] x, real[:, :, :, ::1] out, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t sh,
             Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw, Py_ssize_t dh, Py_ssize_t dw):
    cdef Py_ssize_t N = x.shape[0], H = x.shape[1], W = x.shape[2], C = x.shape[3]
    cdef Py_ssize_t OH = out.shape[1], OW = out.shape[2], q, n, oh, ow, i, j, row, column
    cdef real *to
    cdef int threads = get_num_threads()
    if C == 0:
        return
    # Over images and output rows, so that a single image has work for all threads too.
    for q in prange(N * OH, schedule="static", num_threads=threads, nogil=True):
        n, oh = q // OH, q % OH
        for ow in range(OW):
            to = &out[n, oh, ow, 0]
            for i in range(kh):
                row = oh * sh + i * dh - ph
                for j in range(kw):
                    column = ow * sw + j * dw - pw
                    if 0 <= row < H and 0 <= column < W:
                        _copy(to + (i * kw + j) * C, &x[n, row, column, 0], C)
                    else:
                        memset(to + (i * kw + j) * C, 0, C * sizeof(real))


def im2col(x, out, kernel, stride, padding, dilation):
    """Fill `out` (N, OH, OW, KH * KW * C) with the patches of `x` (N, H, W, C), zeros beyond the border."""
    if out.itemsize == 4:
        _im2col[float](x, out, *kernel, *stride, *padding, *dilation)
    else:
        _im2col[double](x, out, *kernel, *stride, *padding, *dilation)


cdef _col2im(const real[:, :, :, ::1] cols, real[:, :, :, ::1] out, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t sh,
             Py_ssize_t sw, Py_ssize_t ph, Py_ssize_t pw, Py_ssize_t dh, Py_ssize_t dw):
    cdef Py_ssize_t N = out.shape[0], H = out.shape[1], W = out.shape[2], C = out.shape[3]
    cdef Py_ssize_t OH = cols.shape[1], OW = cols.shape[2], n, oh, ow, i, j, c, row, column
    cdef const real *source
    cdef real *to
    cdef int threads = get_num_threads()
    if C == 0:
        return
    # Over images: the patches of one image overlap, those of two do not, so threads never meet.
    for n in prange(N, schedule="static", num_threads=threads, nogil=True):
        memset(&out[n, 0, 0, 0], 0, H * W * C * sizeof(real))
        for i in range(kh):  # kernel positions outermost: the NumPy version's order of sums
            for j in range(kw):
                for oh in range(OH):
                    row = oh * sh + i * dh - ph
                    for ow in range(OW):
                        column = ow * sw + j * dw - pw
                        if 0 <= row < H and 0 <= column < W:
                            source = &cols[n, oh, ow, (i * kw + j) * C]
                            to = &out[n, row, column, 0]
                            for c in range(C):
                                to[c] += source[c]


def col2im(cols, out, kernel, stride, padding, dilation):
    """Fill `out` (N, H, W, C) with the sums of the entries of `cols` (N, OH, OW, KH * KW * C) read from there."""
    if out.itemsize == 4:
        _col2im[float](cols, out, *kernel, *stride, *padding, *dilation)
    else:
        _col2im[double](cols, out, *kernel, *stride, *padding, *dilation)
