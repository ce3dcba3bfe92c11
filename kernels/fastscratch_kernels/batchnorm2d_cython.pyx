"""Batch normalization in Cython, with ReLU or without: chunks of rows that fit a core's cache, by tile_norm.h.

Each chunk has a mean and squared distances, or sums, of its own; they are put together in order, in float64.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython.parallel cimport parallel, prange

from fastscratch_kernels._tiles cimport *

import numpy as np

from ._threads import get_num_threads

cdef Py_ssize_t CHUNK_BYTES = 64 << 10   # of rows that are gone over twice, for the mean and for the distances from it


cdef inline Py_ssize_t _chunk_rows(Py_ssize_t rows, Py_ssize_t C, Py_ssize_t itemsize) noexcept nogil:
    return min(max(rows, 1), max(1, CHUNK_BYTES // (C * itemsize)))


cdef _channel_moments(const real[:, ::1] x, real[:, :, ::1] partial, Py_ssize_t size):
    cdef const tile_table *t = table()
    cdef Py_ssize_t q, first, C = x.shape[1]
    cdef int threads = get_num_threads()
    cdef unsigned long state = 0
    with nogil, parallel(num_threads=threads):
        state = t.flush_denormals()
        for q in prange(partial.shape[0], schedule="static"):
            first = q * size
            if real is float:
                t.f32.moments(&x[first, 0], min(size, x.shape[0] - first), C, &partial[q, 0, 0], &partial[q, 1, 0])
            else:
                t.f64.moments(&x[first, 0], min(size, x.shape[0] - first), C, &partial[q, 0, 0], &partial[q, 1, 0])
        t.restore_denormals(state)


def channel_moments(x, mean, var):
    """Fill `mean` and `var` (C,) with the mean and the biased variance of `x` (N, H, W, C) over N, H and W."""
    x = x.reshape(-1, x.shape[3])
    rows = len(x)
    size = _chunk_rows(rows, x.shape[1], x.itemsize)
    partial = np.empty((-(-rows // size), 2, x.shape[1]), x.dtype)
    if x.itemsize == 4:
        _channel_moments[float](x, partial, size)
    else:
        _channel_moments[double](x, partial, size)
    counts = np.minimum(size, rows - size * np.arange(len(partial)))
    # Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979
    total = np.average(partial[:, 0].astype(np.float64), axis=0, weights=counts)
    between = np.square(partial[:, 0] - total) * counts[:, None]
    mean[...] = total
    var[...] = (partial[:, 1].sum(axis=0, dtype=np.float64) + between.sum(axis=0)) / rows


cdef _batchnorm2d(const real[:, ::1] x, const real[::1] mean, const real[::1] scale, const real[::1] bias,
                  real[:, ::1] out, bint relu):
    cdef const tile_table *t = table()
    cdef Py_ssize_t q, first, C = x.shape[1], rows = x.shape[0], size = _chunk_rows(rows, C, sizeof(real))
    cdef int threads = get_num_threads()
    cdef unsigned long state = 0
    with nogil, parallel(num_threads=threads):
        state = t.flush_denormals()
        for q in prange((rows + size - 1) // size, schedule="static"):
            first = q * size
            if real is float:
                t.f32.normalize(&x[first, 0], min(size, rows - first), C, &mean[0], &scale[0], &bias[0], relu,
                                &out[first, 0])
            else:
                t.f64.normalize(&x[first, 0], min(size, rows - first), C, &mean[0], &scale[0], &bias[0], relu,
                                &out[first, 0])
        t.restore_denormals(state)


def batchnorm2d(x, mean, var, weight, bias, out, eps, relu):
    """Fill `out` (N, H, W, C) with the normalized `x`, scaled by `weight` and shifted by `bias` (C,)."""
    c = x.shape[3]
    scale = weight / np.sqrt(var + x.dtype.type(eps))
    if out.itemsize == 4:
        _batchnorm2d[float](x.reshape(-1, c), mean, scale, bias, out.reshape(-1, c), relu)
    else:
        _batchnorm2d[double](x.reshape(-1, c), mean, scale, bias, out.reshape(-1, c), relu)


cdef _gradient_sums(const real[:, ::1] dy, const real[:, ::1] x, const real[::1] mean, const real[::1] scale,
                    const real[::1] bias, bint relu, real[:, :, ::1] partial, Py_ssize_t size):
    cdef const tile_table *t = table()
    cdef Py_ssize_t q, first, C = x.shape[1], rows = x.shape[0]
    cdef int threads = get_num_threads()
    cdef unsigned long state = 0
    with nogil, parallel(num_threads=threads):
        state = t.flush_denormals()
        for q in prange(partial.shape[0], schedule="static"):
            first = q * size
            if real is float:
                t.f32.gradient_sums(&dy[first, 0], &x[first, 0], min(size, rows - first), C, &mean[0], &scale[0],
                                    &bias[0], relu, &partial[q, 0, 0], &partial[q, 1, 0])
            else:
                t.f64.gradient_sums(&dy[first, 0], &x[first, 0], min(size, rows - first), C, &mean[0], &scale[0],
                                    &bias[0], relu, &partial[q, 0, 0], &partial[q, 1, 0])
        t.restore_denormals(state)


cdef _gradient_rows(const real[:, ::1] dy, const real[:, ::1] x, const real[::1] mean, const real[::1] scale,
                    const real[::1] bias, bint relu, const real[::1] offset, const real[::1] slope,
                    real[:, ::1] dx):
    # `offset` and `slope` are None where mean and variance are constants.
    cdef const tile_table *t = table()
    cdef const real *offsets = NULL if offset is None else &offset[0]
    cdef const real *slopes = NULL if slope is None else &slope[0]
    cdef Py_ssize_t q, first, C = x.shape[1], rows = x.shape[0], size = _chunk_rows(rows, C, sizeof(real))
    cdef int threads = get_num_threads()
    cdef unsigned long state = 0
    with nogil, parallel(num_threads=threads):
        state = t.flush_denormals()
        for q in prange((rows + size - 1) // size, schedule="static"):
            first = q * size
            if real is float:
                t.f32.gradient_rows(&dy[first, 0], &x[first, 0], min(size, rows - first), C, &mean[0], &scale[0],
                                    &bias[0], offsets, slopes, relu, &dx[first, 0])
            else:
                t.f64.gradient_rows(&dy[first, 0], &x[first, 0], min(size, rows - first), C, &mean[0], &scale[0],
                                    &bias[0], offsets, slopes, relu, &dx[first, 0])
        t.restore_denormals(state)


def batchnorm2d_backward(dy, x, mean, var, weight, bias, dx, dweight, dbias, eps, relu, training):
    """Fill `dx` (like x), unless it is None, `dweight` and `dbias` (C,) from `dy` (N, H, W, C)."""
    c = x.shape[3]
    dy, x = dy.reshape(-1, c), x.reshape(-1, c)
    rows = len(x)
    size = _chunk_rows(rows, c, x.itemsize)
    inv_std = 1 / np.sqrt(var + x.dtype.type(eps))
    scale = weight * inv_std
    partial = np.empty((-(-rows // size), 2, c), x.dtype)
    if x.itemsize == 4:
        _gradient_sums[float](dy, x, mean, scale, bias, relu, partial, size)
    else:
        _gradient_sums[double](dy, x, mean, scale, bias, relu, partial, size)
    sums, products = partial.sum(axis=0, dtype=np.float64)
    dbias[...] = sums
    dweight[...] = products * inv_std
    if dx is None:
        return
    offset = slope = None
    if training and rows:
        offset = (sums / rows).astype(x.dtype)
        slope = (products * np.square(inv_std, dtype=np.float64) / rows).astype(x.dtype)
    if x.itemsize == 4:
        _gradient_rows[float](dy, x, mean, scale, bias, relu, offset, slope, dx.reshape(-1, c))
    else:
        _gradient_rows[double](dy, x, mean, scale, bias, relu, offset, slope, dx.reshape(-1, c))
