"""Rectified linear unit in Cython, forward and backward: one pass, a few chunks a thread.

The loops are those of tile_relu.h. `out` may be `x`, and `dx` may be `dy`.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython.parallel cimport prange

from fastscratch_kernels._tiles cimport *

from ._threads import get_num_threads

cdef Py_ssize_t CHUNK = 65536


cdef int _threads(Py_ssize_t size) except -1:
    # Waking a thread takes as long as a chunk.
    return min(get_num_threads(), (size + CHUNK - 1) // CHUNK) if size > CHUNK else 1


cdef _relu(const real[::1] x, real[::1] out):
    cdef const tile_table *t = table()
    cdef Py_ssize_t i, size = x.shape[0]
    cdef int threads = _threads(size)
    for i in prange(0, size, 65536, schedule="static", nogil=True, num_threads=threads):
        if real is float:
            t.f32.relu(min(CHUNK, size - i), &x[i], &out[i])
        else:
            t.f64.relu(min(CHUNK, size - i), &x[i], &out[i])


def relu(x, out):
    """Fill `out` (size,) with ``max(x, 0)``."""
    if out.itemsize == 4:
        _relu[float](x, out)
    else:
        _relu[double](x, out)


cdef _relu_backward(const real[::1] dy, const real[::1] y, real[::1] dx):
    cdef const tile_table *t = table()
    cdef Py_ssize_t i, size = y.shape[0]
    cdef int threads = _threads(size)
    for i in prange(0, size, 65536, schedule="static", nogil=True, num_threads=threads):
        if real is float:
            t.f32.relu_back(min(CHUNK, size - i), &dy[i], &y[i], &dx[i])
        else:
            t.f64.relu_back(min(CHUNK, size - i), &dy[i], &y[i], &dx[i])


def relu_backward(dy, y, dx):
    """Fill `dx` (size,) with `dy` where the output `y` was positive, and with zeros elsewhere."""
    if dx.itemsize == 4:
        _relu_backward[float](dy, y, dx)
    else:
        _relu_backward[double](dy, y, dx)
