"""The numbers that 8-bit levels stand for, in Cython: a table of each channel, pixel by pixel.

One thread: a batch is prepared while another is trained on, whose threads have the cores.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython cimport floating as real


cdef inline void _look_up(const unsigned char *levels, const real *table, real *out, Py_ssize_t pixels,
                          Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t p, c
    for p in range(pixels):
        for c in range(channels):
            out[p * channels + c] = table[levels[p * channels + c] * channels + c]


cdef void _look_up_levels(const unsigned char[:, :, :, ::1] images, const real[:, ::1] table,
                          real[:, :, :, ::1] out) noexcept nogil:
    cdef Py_ssize_t channels = images.shape[3], pixels = images.shape[0] * images.shape[1] * images.shape[2]
    if pixels == 0:
        return
    if channels == 3:  # a number that the compiler knows: no loop is left in a pixel
        _look_up(&images[0, 0, 0, 0], &table[0, 0], &out[0, 0, 0, 0], pixels, 3)
    else:
        _look_up(&images[0, 0, 0, 0], &table[0, 0], &out[0, 0, 0, 0], pixels, channels)


def look_up_levels(const unsigned char[:, :, :, ::1] images, table, out):
    """Fill `out` (B, H, W, C) with the entries of `table` (256, C) that the levels of `images` (B, H, W, C) name."""
    cdef const float[:, ::1] table_f
    cdef const double[:, ::1] table_d
    cdef float[:, :, :, ::1] out_f
    cdef double[:, :, :, ::1] out_d
    if out.itemsize == 4:
        table_f, out_f = table, out
        with nogil:
            _look_up_levels[float](images, table_f, out_f)
    else:
        table_d, out_d = table, out
        with nogil:
            _look_up_levels[double](images, table_d, out_d)
