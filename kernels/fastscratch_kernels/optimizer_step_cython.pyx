"""Steps of the optimizers in Cython, over flat arrays of all parameters: one pass, a few chunks a thread.

The loops are those of tile_step.h. Outputs may be the inputs of the same meaning.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython.parallel cimport parallel, prange

from fastscratch_kernels._tiles cimport *

from ._threads import get_num_threads

cdef Py_ssize_t CHUNK = 16384


cdef _sgd(const real[::1] value, const real[::1] grad, const real[::1] velocity, real[::1] out,
          real[::1] out_velocity, double lr, double momentum, bint nesterov, double decay):
    cdef const tile_table *t = table()
    cdef Py_ssize_t i, size = value.shape[0]
    cdef const real *u = NULL if velocity is None else &velocity[0]
    cdef real *new = NULL if out_velocity is None else &out_velocity[0]
    cdef int threads = get_num_threads()
    cdef unsigned long state = 0
    with nogil, parallel(num_threads=threads):
        state = t.flush_denormals()
        for i in prange(0, size, 16384, schedule="static"):
            if real is float:
                t.f32.sgd(min(CHUNK, size - i), &value[i], &grad[i], NULL if u == NULL else u + i, &out[i],
                          NULL if new == NULL else new + i, <float> lr, <float> momentum, nesterov, <float> decay)
            else:
                t.f64.sgd(min(CHUNK, size - i), &value[i], &grad[i], NULL if u == NULL else u + i, &out[i],
                          NULL if new == NULL else new + i, lr, momentum, nesterov, decay)
        t.restore_denormals(state)


def sgd_step(value, grad, velocity, out, out_velocity, lr, momentum, nesterov, decay):
    """Fill `out` and `out_velocity` with the next values and velocities; without momentum both velocities are None."""
    if out.itemsize == 4:
        _sgd[float](value, grad, velocity, out, out_velocity, lr, momentum, nesterov, decay)
    else:
        _sgd[double](value, grad, velocity, out, out_velocity, lr, momentum, nesterov, decay)


cdef _adam(const real[::1] value, const real[::1] grad, const real[::1] m, const real[::1] v, real[::1] out,
           real[::1] out_m, real[::1] out_v, const tile_adam *s):
    cdef const tile_table *t = table()
    cdef Py_ssize_t i, size = value.shape[0]
    cdef int threads = get_num_threads()
    cdef unsigned long state = 0
    with nogil, parallel(num_threads=threads):
        state = t.flush_denormals()  # the moments of numbers that have no gradient any more fade away
        for i in prange(0, size, 16384, schedule="static"):
            if real is float:
                t.f32.adam(min(CHUNK, size - i), &value[i], &grad[i], &m[i], &v[i], &out[i], &out_m[i], &out_v[i], s)
            else:
                t.f64.adam(min(CHUNK, size - i), &value[i], &grad[i], &m[i], &v[i], &out[i], &out_m[i], &out_v[i], s)
        t.restore_denormals(state)


def adam_step(value, grad, m, v, out, out_m, out_v, lr, beta1, beta2, eps, decay, shrink):
    """Fill `out`, `out_m` and `out_v` with the next values and moments; values are multiplied by `shrink` before."""
    cdef tile_adam s
    s.lr, s.beta1, s.beta2, s.eps, s.decay, s.shrink = lr, beta1, beta2, eps, decay, shrink
    if out.itemsize == 4:
        _adam[float](value, grad, m, v, out, out_m, out_v, &s)
    else:
        _adam[double](value, grad, m, v, out, out_m, out_v, &s)
