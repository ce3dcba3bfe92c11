"""Softmax in Cython, as its logarithm, and the gradient of a cross entropy: one row after the other.

Logits are few: threads would cost more than they save.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython cimport floating as real
from libc.math cimport exp, expf, log


cdef inline real _exp(real x) noexcept nogil:
    if real is float:
        return expf(x)
    else:
        return exp(x)


cdef _log_softmax(const real[:, ::1] z, real[:, ::1] out):
    cdef Py_ssize_t n, k, K = z.shape[1]
    cdef real largest, shift
    cdef double total  # with many classes a float32 sum would lose digits
    with nogil:
        for n in range(z.shape[0]):
            largest = z[n, 0]
            for k in range(1, K):
                if z[n, k] > largest:
                    largest = z[n, k]
            total = 0
            for k in range(K):
                out[n, k] = z[n, k] - largest
                total += _exp(out[n, k])
            shift = <real> log(total)
            for k in range(K):
                out[n, k] -= shift


def log_softmax(z, out):
    """Fill `out` (N, K) with the logarithm of the softmax of each row of `z`; a row with NaN or inf becomes NaN."""
    if out.itemsize == 4:
        _log_softmax[float](z, out)
    else:
        _log_softmax[double](z, out)


cdef _cross_entropy_backward(const real[:, ::1] log_p, const real[:, ::1] q, real[:, ::1] dz):
    cdef Py_ssize_t n, k, N = dz.shape[0], K = dz.shape[1]
    cdef double total
    with nogil:
        for n in range(N):
            total = 0
            for k in range(K):
                total += q[n, k]
            for k in range(K):
                dz[n, k] = (_exp(log_p[n, k]) * <real> total - q[n, k]) / <real> N


def cross_entropy_backward(log_p, q, dz):
    """Fill `dz` (N, K) from the logarithms of the predicted distribution and the wanted one, both (N, K)."""
    if dz.itemsize == 4:
        _cross_entropy_backward[float](log_p, q, dz)
    else:
        _cross_entropy_backward[double](log_p, q, dz)
