"""Depthwise convolutions in Cython: as many groups as channels and filters, so that each channel stays by itself.

    forward          every thread makes images of its own
    input gradient   for stride 1 a forward pass of dy through the filters turned round; else each dy times the filters,
                     added to the pixels that its patch was read from
    filter gradient  runs of images, each with sums of its own, which are added in order

There is one product for each number read, and no tile of several filters could use that number again: what decides is
that vectors hold channels, which lie side by side, and that an image is gone through in runs of pixels which a cache
holds: each block of channels reads all of them, and hardly ever more than a line of a pixel. Raw functions: they fill
their caller's arrays and check nothing but memory.
"""

from cython.parallel cimport parallel, prange

from fastscratch_kernels._tasks cimport next_task, share_out, tile_share
from fastscratch_kernels._tiles cimport *

import numpy as np

from ._threads import get_num_threads

cdef enum:
    # Slots of scratch memory: the calling thread's, and each worker's.
    TABLES, SUMS, IMAGE, SHARES
    IMAGE_CHUNKS = 16   # runs of images that have sums of their own
    RUN = 1 << 16       # bytes of a run of pixels


cdef inline Py_ssize_t _channels(const Geometry *g, int threads, Py_ssize_t block) noexcept nogil:
    # Channels that a task makes of an image: all, or as many blocks as keep the threads busy where images are few.
    cdef Py_ssize_t blocks = round_up(g.C, block) // block, parts = (threads + g.N - 1) // g.N
    return (blocks + parts - 1) // parts * block


cdef inline Py_ssize_t _run(const Geometry *g, real *kind) noexcept nogil:
    # Pixels of a run; `kind` only says which precision is meant.
    return max(1, RUN // <Py_ssize_t> (g.C * sizeof(real)))


cdef inline tile_patches _piece(const tile_patches *p, Py_ssize_t first, Py_ssize_t run) noexcept nogil:
    # The run of pixels from the first.
    cdef tile_patches piece = p[0]
    piece.pix, piece.npix = p.pix + first, min(run, p.npix - first)
    return piece


cdef inline void _image(const tile_table *t, const Geometry *g, const tile_patches *p, const real *x, const real *w,
                        const real *bias, Py_ssize_t count, real *y) noexcept nogil:
    cdef Py_ssize_t run = _run(g, y), i
    cdef tile_patches piece
    for i in range((p.npix + run - 1) // run):
        piece = _piece(p, i * run, run)
        depthwise(t, x, &piece, w, bias, g.C, count, y + i * run * g.C)


cdef inline void _image_sums(const tile_table *t, const Geometry *g, const tile_patches *p, const real *x,
                             const real *dy, Py_ssize_t count, real *dw) noexcept nogil:
    cdef Py_ssize_t run = _run(g, dw), i
    cdef tile_patches piece
    for i in range((p.npix + run - 1) // run):
        piece = _piece(p, i * run, run)
        depthwise_sums(t, x, &piece, dy + i * run * g.C, g.C, count, dw)


cdef int _conv2d(const Geometry *g, const real *x, const real *w, const real *b, real *y, int threads) except -1 nogil:
    cdef const tile_table *t = table()
    cdef Py_ssize_t image = g.H * g.W * g.C, length = _channels(g, threads, block_size(y))
    cdef Py_ssize_t parts = (g.C + length - 1) // length, q, n, c
    cdef bint border = g.HP > g.H or g.WP > g.W
    cdef tile_patches p = plain_patches(t, g, TABLES)
    cdef real *bias = <real *> t.scratch(SUMS, g.C * sizeof(real))
    cdef real *padded = NULL
    cdef const real *xn
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    if p.pix == NULL or bias == NULL:
        no_memory()
    if b == NULL:
        memset(bias, 0, g.C * sizeof(real))
    else:
        memcpy(bias, b, g.C * sizeof(real))
    shares = share_out(t, SHARES, g.N * parts, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        if border:
            padded = <real *> t.scratch(IMAGE, g.HP * g.WP * g.C * sizeof(real))
            if padded == NULL:
                failure[0] = 1
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                n, c = q // parts, q % parts * length
                xn = x + n * image
                if failure[0]:
                    continue
                if border:
                    pad_image(g, xn, padded)
                    xn = <const real *> padded
                _image(t, g, &p, xn + c, w + c, <const real *> bias + c, min(length, g.C - c),
                       y + n * g.OH * g.OW * g.C + c)
        t.restore_denormals(state)
    return no_memory() if failed else 0


cdef int _input_gradient(const Geometry *g, const real *dy, const real *w, real *dx, int threads) except -1 nogil:
    cdef const tile_table *t = table()
    cdef Py_ssize_t pixels = g.HP * g.WP, length = _channels(g, threads, block_size(dx))
    cdef Py_ssize_t parts = (g.C + length - 1) // length, q, n, c, i, count
    cdef bint border = g.HP > g.H or g.WP > g.W
    cdef tile_patches p = plain_patches(t, g, TABLES)
    cdef real *padded = NULL
    cdef real *to
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    if p.pix == NULL:
        no_memory()
    shares = share_out(t, SHARES, g.N * parts, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        if border:
            padded = <real *> t.scratch(IMAGE, pixels * g.C * sizeof(real))
            if padded == NULL:
                failure[0] = 1
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                n, c = q // parts, q % parts * length
                count = min(length, g.C - c)
                if failure[0]:
                    continue
                to = (padded if border else dx + n * pixels * g.C) + c
                for i in range(pixels):
                    memset(to + i * g.C, 0, count * sizeof(real))
                depthwise_back(t, dy + n * g.OH * g.OW * g.C + c, &p, w + c, g.C, count, to)
                if border:
                    for i in range(g.H * g.W):
                        memcpy(dx + (n * g.H * g.W + i) * g.C + c,
                               to + ((i // g.W + g.ph) * g.WP + i % g.W + g.pw) * g.C, count * sizeof(real))
        t.restore_denormals(state)
    return no_memory() if failed else 0


cdef int _filter_gradient(const Geometry *g, const real *x, const real *dy, real *dw, real *db, real *partial,
                          real *sums, int threads) except -1 nogil:
    # `partial` (chunks, KH, KW, C), `sums` (N, C).
    cdef const tile_table *t = table()
    cdef Py_ssize_t chunks = min(g.N, IMAGE_CHUNKS), length = _channels(g, threads, block_size(dw))
    cdef Py_ssize_t parts = (g.C + length - 1) // length
    cdef Py_ssize_t size = g.KH * g.KW * g.C, pixels = g.OH * g.OW, q, n, c, chunk, s, count
    cdef bint border = g.HP > g.H or g.WP > g.W
    cdef tile_patches p = plain_patches(t, g, TABLES)
    cdef real *padded = NULL
    cdef real *to
    cdef const real *xn
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    if p.pix == NULL:
        no_memory()
    shares = share_out(t, SHARES, chunks * parts, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        if border:
            padded = <real *> t.scratch(IMAGE, g.HP * g.WP * g.C * sizeof(real))
            if padded == NULL:
                failure[0] = 1
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                if failure[0]:
                    continue
                chunk, c = q // parts, q % parts * length
                count = min(length, g.C - c)
                to = partial + chunk * size + c
                for s in range(g.KH * g.KW):
                    memset(to + s * g.C, 0, count * sizeof(real))
                for n in range(g.N * chunk // chunks, g.N * (chunk + 1) // chunks):
                    xn = x + n * g.H * g.W * g.C
                    if border:
                        pad_image(g, xn, padded)
                        xn = <const real *> padded
                    _image_sums(t, g, &p, xn + c, dy + n * pixels * g.C + c, count, to)
        if db != NULL:
            for n in prange(g.N, schedule="static"):
                column_sums(t, dy + n * pixels * g.C, pixels, g.C, g.C, sums + n * g.C)
        t.restore_denormals(state)
    if failed:
        no_memory()
    add_images(partial, chunks, size, dw)
    if db != NULL:
        add_images(sums, g.N, g.C, db)
    return 0


cdef _forward_typed(const real[:, :, :, ::1] x, const real[:, :, :, ::1] w, const real[::1] b, real[:, :, :, ::1] out,
                    tuple stride, tuple padding, tuple dilation):
    cdef Geometry g = geometry(x.shape, w.shape, out.shape[1], out.shape[2], stride, padding, dilation, x.shape[3])
    cdef int threads = get_num_threads()
    if g.N:
        with nogil:
            _conv2d(&g, &x[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], &out[0, 0, 0, 0], threads)


def forward(x, w, b, out, stride, padding, dilation):
    """Fill `out` (N, OH, OW, C) with the convolution of `x` (N, H, W, C) by `w` (KH, KW, 1, C), plus `b`."""
    if out.itemsize == 4:
        _forward_typed[float](x, w, b, out, stride, padding, dilation)
    else:
        _forward_typed[double](x, w, b, out, stride, padding, dilation)


cdef _backward_typed(const real[:, :, :, ::1] dy, const real[:, :, :, ::1] x, const real[:, :, :, ::1] w,
                     real[:, :, :, ::1] dx, real[:, :, :, ::1] dw, real[::1] db, tuple stride, tuple padding,
                     tuple dilation):
    cdef Geometry g = geometry(x.shape, w.shape, dy.shape[1], dy.shape[2], stride, padding, dilation, x.shape[3])
    cdef const tile_table *t = table()
    cdef int threads = get_num_threads()
    cdef Py_ssize_t size = min(g.N, IMAGE_CHUNKS) * g.KH * g.KW * g.C
    cdef real *partial
    if g.N == 0:
        dw[...] = 0
        if db is not None:
            db[...] = 0
        return
    partial = <real *> t.scratch(SUMS, (size + g.N * g.C) * sizeof(real))
    if partial == NULL:
        no_memory()
    with nogil:
        _filter_gradient(&g, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dw[0, 0, 0, 0], NULL if db is None else &db[0], partial,
                         partial + size, threads)
        if dx is not None:
            _input_gradient(&g, &dy[0, 0, 0, 0], &w[0, 0, 0, 0], &dx[0, 0, 0, 0], threads)


def backward(dy, x, w, dx, dw, db, stride, padding, dilation):
    """Fill `dx` (like x), `dw` (like w) and `db` (C,) from `dy` (N, OH, OW, C); `dx` and `db` may be None."""
    border = tuple(d * (k - 1) - p for d, k, p in zip(dilation, w.shape, padding))
    if dx is not None and stride == (1, 1) and min(border) >= 0:
        forward(dy, np.ascontiguousarray(w[::-1, ::-1]), None, dx, stride, border, dilation)
        dx = None
    if dw.itemsize == 4:
        _backward_typed[float](dy, x, w, dx, dw, db, stride, padding, dilation)
    else:
        _backward_typed[double](dy, x, w, dx, dw, db, stride, padding, dilation)
