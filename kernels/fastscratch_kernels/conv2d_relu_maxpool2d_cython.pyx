"""Convolution, ReLU and max-pooling as one block, in Cython.

Forward, the outputs of a pooling window are computed side by side and reduced to their maximum while the cache still
holds them; those that no window covers are not computed at all.

Backward, a pooled number has a gradient at one place of its window only, and none where ReLU was off. So at most one
output of the convolution in four (for 2 x 2 windows) has a gradient, and only those are gone through:

    dW   for each filter, its live gradients times their patches are added up: a few scalars times rows of the image
    dX   for each place of the output, its live gradients times their filters are added to the patch there

Pools whose windows overlap, leave pixels out between them, have a border or 255 places and more take the composition of
the plain ops; so does the gradient of a convolution with groups, and that of images too large for the lists.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython.parallel cimport parallel, prange

from fastscratch_kernels._sparse cimport lists_by_filter, lists_by_pixel
from fastscratch_kernels._tasks cimport barrier, next_task, share_out, tile_share
from fastscratch_kernels._tiles cimport *

import numpy as np

from . import _winograd_cython
from ._threads import get_num_threads
from .conv2d_cython import conv2d, conv2d_backward, input_gradient, is_depthwise
from .conv2d_relu_maxpool2d_numpy import compose, compose_backward
from .maxpool2d_cython import maxpool2d, maxpool2d_backward
from .shapes import conv2d_shape, largest_image, lie_side_by_side

cdef enum:
    # Slots of scratch memory.
    WEIGHTS, TABLES, ROWS, PARTIAL, IMAGE, BUFFER, ENTRIES, SHARES
    FILTERS = 16        # that a thread goes through an image for: their lists of live gradients fit into L1
    IMAGE_CHUNKS = 16   # partial sums of dW, where threads do not own filters
    LONGEST_SUM = 4096  # numbers of db that are added up in a row

cdef Py_ssize_t L1 = 24 << 10   # bytes that are gone over again and again

LARGEST_IMAGE = 2**31 - 1   # numbers of one image, with its border, or of its gradient: the lists hold 32-bit offsets


cdef tile_patches _windows(const tile_table *t, const Geometry *g, Py_ssize_t PH, Py_ssize_t PW, Py_ssize_t QH,
                           Py_ssize_t QW) noexcept nogil:
    # The tables of a pooled convolution: the pixels of a pooling window side by side. `pix` is NULL where there is no
    # memory.
    cdef tile_patches p
    cdef Py_ssize_t npix = PH * PW * QH * QW
    cdef Py_ssize_t *tables = <Py_ssize_t *> t.scratch(TABLES, (npix + g.nseg) * sizeof(Py_ssize_t))
    p.pix, p.npix, p.window = tables, npix, QH * QW
    p.seg, p.nseg, p.seglen = tables + npix, g.nseg, g.seglen
    if tables != NULL:
        fill_windows(g, PH, PW, QH, QW, tables)
        fill_segments(g, g.C, tables + npix)
    return p


cdef inline const real *_image(const tile_table *t, const Geometry *g, const real *x, bint copy) noexcept nogil:
    # The image with its border, in scratch memory with some room behind it where it has one or `copy` asks for it; NULL
    # where there is no memory.
    cdef real *padded
    if not copy and g.HP == g.H and g.WP == g.W:
        return x
    padded = <real *> t.scratch(IMAGE, (g.HP * g.WP * g.C + 64) * sizeof(real))
    if padded != NULL:
        pad_image(g, x, padded)
    return padded


cdef inline void _pool_windows(const tile_table *t, const tile_patches *p, Py_ssize_t first, Py_ssize_t last,
                               const real *x, const real *packed, const real *bias, Py_ssize_t FG, real *buf,
                               real *out, uint8_t *argmax, Py_ssize_t F) noexcept nogil:
    # The windows from `first` to `last`, of which `out` and `argmax` begin with the first.
    cdef tile_patches part = p[0]
    part.pix, part.npix = p.pix + first * p.window, (last - first) * p.window
    conv_relu_pool(t, x, &part, packed, bias, FG, buf, out, argmax, F)


cdef int _forward(const Geometry *g, const tile_patches *p, const real *x, const real *w, const real *b, real *out,
                  uint8_t *argmax, int threads) except -1 nogil:
    cdef const tile_table *t = table()
    cdef Py_ssize_t block = block_size(out), FP = round_up(g.FG, block), windows = p.npix // p.window
    # Where there are more threads than images, they share the windows of one.
    cdef Py_ssize_t parts = min(windows, (threads + g.N - 1) // g.N)
    cdef Py_ssize_t q, n, group, at, first
    cdef real *packed = <real *> t.scratch(WEIGHTS, g.groups * FP * (g.K + 1) * sizeof(real))
    cdef real *bias = packed + g.groups * FP * g.K
    cdef real *buf = NULL
    cdef const real *xn
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    if packed == NULL or p.pix == NULL:
        no_memory()
    memset(bias, 0, g.groups * FP * sizeof(real))
    if b != NULL:
        for group in range(g.groups):
            memcpy(bias + group * FP, b + group * g.FG, g.FG * sizeof(real))
    shares = share_out(t, SHARES, g.N * parts, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        buf = <real *> t.scratch(BUFFER, max(buffer_size(out), p.window * block) * sizeof(real))
        for q in prange(g.groups * FP // block, schedule="static"):
            pack_block(g, w, q, packed)
        barrier()
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                n, first = q // parts, windows * (q % parts) // parts
                xn = _image(t, g, x + n * g.H * g.W * g.C, False)
                if buf == NULL or xn == NULL:
                    failure[0] = 1
                    continue
                for group in range(g.groups):
                    at = (n * windows + first) * g.F + group * g.FG
                    _pool_windows(t, p, first, windows * (q % parts + 1) // parts, xn + group * g.CG,
                                  <const real *> packed + group * FP * g.K, <const real *> bias + group * FP, g.FG, buf,
                                  out + at, argmax + at, g.F)
        t.restore_denormals(state)
    return no_memory() if failed else 0


cdef int _filter_gradient(const Geometry *g, const tile_patches *p, const real *x, const real *dy,
                          const uint8_t *argmax, real *dw, real *db, real *dwt, real *sums,
                          int threads) except -1 nogil:
    # Threads own filters, and go through all images in order. `x` is padded already; dwt (F, K); sums (2, F): those for
    # db of the last images, and of those before. One long sum in float32 would lose digits.
    cdef const tile_table *t = table()
    cdef Py_ssize_t windows = p.npix // p.window, blocks = (g.F + FILTERS - 1) // FILTERS
    cdef Py_ssize_t vectors = g.seglen // vector_size(dw)
    cdef Py_ssize_t pieces = (vectors + gather_limit(dw) - 1) // gather_limit(dw)
    cdef Py_ssize_t images = max(1, LONGEST_SUM // windows), q, n, s, j, f, k, f0, f1, a
    cdef real *total = sums + g.F
    cdef int32_t *count
    cdef int32_t *at
    cdef real *value
    cdef const real *xn
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    shares = share_out(t, SHARES, blocks, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                f0 = q * FILTERS
                f1 = min(f0 + FILTERS, g.F)
                value = <real *> t.scratch(ENTRIES, FILTERS * (windows * (sizeof(real) + 4) + 4))
                if value == NULL:
                    failure[0] = 1
                    continue
                at = <int32_t *> (value + FILTERS * windows)
                count = at + FILTERS * windows
                memset(dwt + f0 * g.K, 0, (f1 - f0) * g.K * sizeof(real))
                memset(total + f0, 0, (f1 - f0) * sizeof(real))
                for n in range(g.N):
                    xn = x + n * g.HP * g.WP * g.C
                    if n % images == 0:
                        memset(sums + f0, 0, (f1 - f0) * sizeof(real))
                    lists_by_filter(p, dy + n * windows * g.F, argmax + n * windows * g.F, g.F, f0, f1, count, at,
                                    value, sums + f0)
                    if (n + 1) % images == 0 or n + 1 == g.N:
                        for f in range(f0, f1):
                            total[f] += sums[f]
                    for s in range(p.nseg):
                        for j in range(pieces):
                            a = vectors * j // pieces
                            k = a * vector_size(dw)
                            for f in range(f1 - f0):
                                gather(t, xn + p.seg[s] + k, 1, at + f * windows, value + f * windows, count[f],
                                       vectors * (j + 1) // pieces - a, dwt + (f0 + f) * g.K + s * g.seglen + k)
                # (F, K) -> (K, F)
                transpose(t, <const real *> dwt + f0 * g.K, g.K, f1 - f0, g.K, dw + f0, g.F)
        t.restore_denormals(state)
    if db != NULL:
        memcpy(db, total, g.F * sizeof(real))
    return no_memory() if failed else 0


cdef int _filter_gradient_rows(const Geometry *g, const tile_patches *p, const real *x, const real *dy,
                               const uint8_t *argmax, real *dw, real *db, real *partial, Py_ssize_t chunks,
                               int threads) except -1 nogil:
    # For patches whose runs are no whole vectors (a first layer's: 3 x 3 x 3): the patches of a few windows are
    # written out, with a 1 for the bias, padded to whole vectors. Each of so many `chunks` of images has sums of its
    # own in `partial`, (F, KP); they are added in order, whoever made them.
    cdef const tile_table *t = table()
    cdef Py_ssize_t windows = p.npix // p.window, KP = round_up(g.K + 1, vector_size(dw))
    cdef Py_ssize_t step = min(windows, max(1, L1 // <Py_ssize_t> (p.window * KP * sizeof(real))))
    cdef Py_ssize_t size = g.F * KP, q, n, i, w0, w1, f
    cdef real *rows = NULL
    cdef real *zeros = NULL
    cdef real *sums
    cdef const real *xn
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    shares = share_out(t, SHARES, chunks, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        zeros = <real *> t.scratch(ROWS, ((step * p.window + 1) * KP + 64) * sizeof(real))
        if zeros != NULL:
            memset(zeros, 0, KP * sizeof(real))
        rows = zeros + KP
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                sums = partial + q * size
                memset(sums, 0, size * sizeof(real))
                for n in range(g.N * q // chunks, g.N * (q + 1) // chunks):
                    xn = _image(t, g, x + n * g.H * g.W * g.C, True)
                    if zeros == NULL or xn == NULL:
                        failure[0] = 1
                        continue
                    for i in range((windows + step - 1) // step):
                        w0 = i * step
                        w1 = min(w0 + step, windows)
                        write_patches(t, xn, p, w0 * p.window, w1 * p.window, KP, rows)
                        pooled(t, <const real *> rows, p.window, KP, <const real *> zeros,
                               dy + (n * windows + w0) * g.F, argmax + (n * windows + w0) * g.F, g.F, w1 - w0, sums)
        t.restore_denormals(state)
    for q in range(1, chunks):
        for i in range(size):
            partial[i] += partial[q * size + i]
    transpose(t, <const real *> partial, KP, g.F, g.K, dw, g.F)  # (F, KP) -> (K, F)
    if db != NULL:
        for f in range(g.F):
            db[f] = partial[f * KP + g.K]
    return no_memory() if failed else 0


cdef inline void _add_patches(const tile_table *t, const Geometry *g, const tile_patches *p, const real *wt,
                              Py_ssize_t pieces, const int32_t *begin, const int32_t *at, const real *value,
                              real *dxp) noexcept nogil:
    # To the patch at each place, its live gradients times their filters: piece after piece of the patches.
    cdef Py_ssize_t V = vector_size(dxp), vectors = g.seglen // V, s, j, i, a, length
    for s in range(p.nseg):
        for j in range(pieces):
            a = vectors * j // pieces * V
            length = vectors * (j + 1) // pieces * V - a
            for i in range(p.npix):
                if begin[i + 1] > begin[i]:
                    gather(t, wt, length, at + begin[i], value + begin[i], begin[i + 1] - begin[i], length // V,
                           dxp + p.pix[i] + p.seg[s] + a)
            wt += g.F * length


cdef int _input_gradient(const Geometry *g, const tile_patches *p, const real *dy, const uint8_t *argmax,
                         const real *w, real *dx, int threads) except -1 nogil:
    # Threads own images. The filters lie as (pieces of a patch, F, length of a piece): those of one piece stay in L1
    # while all places of an image are gone through.
    cdef const tile_table *t = table()
    cdef Py_ssize_t windows = p.npix // p.window, V = vector_size(dx), vectors = g.seglen // V
    cdef Py_ssize_t most = max(1, min(gather_limit(dx), L1 // <Py_ssize_t> (g.F * V * sizeof(real))))
    cdef Py_ssize_t pieces = (vectors + most - 1) // most, image = g.HP * g.WP * g.C
    cdef Py_ssize_t q, n, s, j, i, a, length
    cdef real *wt = <real *> t.scratch(WEIGHTS, g.K * g.F * sizeof(real))
    cdef real *to
    cdef int32_t *begin = NULL
    cdef int32_t *at = NULL
    cdef real *value = NULL
    cdef real *dxp
    cdef bint direct = g.HP == g.H and g.WP == g.W
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    if wt == NULL:
        no_memory()
    shares = share_out(t, SHARES, g.N, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        for q in prange(p.nseg * pieces, schedule="static"):
            s, j = q // pieces, q % pieces
            a = vectors * j // pieces * V
            length = vectors * (j + 1) // pieces * V - a
            to = wt + (s * g.seglen + a) * g.F
            transpose(t, w + (s * g.seglen + a) * g.F, g.F, length, g.F, to, length)
        barrier()
        value = <real *> t.scratch(ENTRIES, windows * g.F * (sizeof(real) + 4) + (p.npix + 1) * 4)
        at = <int32_t *> (value + windows * g.F)
        begin = at + windows * g.F
        for worker in prange(threads, schedule="static"):
            while True:
                n = next_task(shares, threads, worker)
                if n < 0:
                    break
                dxp = dx + n * image if direct else <real *> t.scratch(IMAGE, image * sizeof(real))
                if value == NULL or dxp == NULL:
                    failure[0] = 1
                    continue
                memset(dxp, 0, image * sizeof(real))
                lists_by_pixel(p, dy + n * windows * g.F, argmax + n * windows * g.F, g.F, begin, at, value)
                _add_patches(t, g, p, <const real *> wt, pieces, begin, at, value, dxp)
                if not direct:
                    for i in range(g.H):
                        memcpy(dx + (n * g.H + i) * g.W * g.C, dxp + ((i + g.ph) * g.WP + g.pw) * g.C,
                               g.W * g.C * sizeof(real))
        t.restore_denormals(state)
    return no_memory() if failed else 0


cdef bint _is_fused(tuple pool):
    return lie_side_by_side(*pool) and pool[0][0] * pool[0][1] < TILE_DEAD


cdef _forward_typed(const real[:, :, :, ::1] x, const real[:, :, :, ::1] w, const real[::1] b, real[:, :, :, ::1] out,
                    uint8_t[:, :, :, ::1] argmax, tuple stride, tuple padding, tuple dilation, Py_ssize_t groups,
                    Py_ssize_t QH, Py_ssize_t QW):
    cdef int threads = get_num_threads()
    cdef Geometry g = geometry(x.shape, w.shape, 0, 0, stride, padding, dilation, groups)
    cdef tile_patches p = _windows(table(), &g, out.shape[1], out.shape[2], QH, QW)
    if g.N == 0:
        return
    with nogil:
        _forward(&g, &p, &x[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], &out[0, 0, 0, 0],
                 &argmax[0, 0, 0, 0], threads)


def conv2d_relu_maxpool2d(x, w, b, out, argmax, stride, padding, dilation, groups, pool_kernel, pool_stride,
                          pool_padding, algorithm="direct"):
    """Fill `out` (N, PH, PW, F) with maxpool(relu(conv(x, w) + b)), `argmax` with each number's place or "dead"."""
    pool = pool_kernel, pool_stride, pool_padding
    if algorithm == "im2col" or is_depthwise(w, groups) or not _is_fused(pool):
        windows = stride, padding, dilation, groups
        compose(conv2d, maxpool2d, x, w, b, out, argmax, windows, pool, algorithm)
    elif algorithm != "direct":
        _winograd_cython.forward_pool(algorithm, x, w, b, out, argmax, padding)
    elif out.itemsize == 4:
        _forward_typed[float](x, w, b, out, argmax, stride, padding, dilation, groups, pool_kernel[0], pool_kernel[1])
    else:
        _forward_typed[double](x, w, b, out, argmax, stride, padding, dilation, groups, pool_kernel[0], pool_kernel[1])


cdef _backward_typed(const real[:, :, :, ::1] dy, const uint8_t[:, :, :, ::1] argmax, const real[:, :, :, ::1] x,
                     const real[:, :, :, ::1] w, real[:, :, :, ::1] dx, real[:, :, :, ::1] dw, real[::1] db,
                     tuple stride, tuple padding, tuple dilation, Py_ssize_t QH, Py_ssize_t QW):
    cdef int threads = get_num_threads()
    cdef Geometry g = geometry(x.shape, w.shape, 0, 0, stride, padding, dilation, 1)
    cdef const tile_table *t = table()
    cdef tile_patches p = _windows(t, &g, dy.shape[1], dy.shape[2], QH, QW)
    cdef bint border = g.HP > g.H or g.WP > g.W
    cdef Py_ssize_t n, chunks = min(g.N, IMAGE_CHUNKS)
    cdef real *sums
    cdef real *padded
    if p.pix == NULL:
        no_memory()
    if g.seglen % vector_size(&dw[0, 0, 0, 0]):
        sums = <real *> t.scratch(PARTIAL, chunks * g.F * (g.K + 64) * sizeof(real))
        if sums == NULL:
            no_memory()
        with nogil:
            _filter_gradient_rows(&g, &p, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &argmax[0, 0, 0, 0], &dw[0, 0, 0, 0],
                                  NULL if db is None else &db[0], sums, chunks, threads)
        return
    sums = <real *> t.scratch(PARTIAL, g.F * (g.K + 2) * sizeof(real))
    padded = <real *> t.scratch(ROWS, g.N * g.HP * g.WP * g.C * sizeof(real)) if border else NULL
    if sums == NULL or (border and padded == NULL):
        no_memory()
    with nogil:
        if border:
            for n in prange(g.N, schedule="static", num_threads=threads):
                pad_image(&g, &x[n, 0, 0, 0], padded + n * g.HP * g.WP * g.C)
        _filter_gradient(&g, &p, <const real *> padded if border else &x[0, 0, 0, 0], &dy[0, 0, 0, 0],
                         &argmax[0, 0, 0, 0], &dw[0, 0, 0, 0], NULL if db is None else &db[0], sums,
                         sums + g.F * g.K, threads)
        if dx is not None:
            _input_gradient(&g, &p, &dy[0, 0, 0, 0], &argmax[0, 0, 0, 0], &w[0, 0, 0, 0], &dx[0, 0, 0, 0], threads)


def conv2d_relu_maxpool2d_backward(dy, argmax, x, w, dx, dw, db, stride, padding, dilation, groups, pool_kernel,
                                   pool_stride, pool_padding):
    """Fill `dx` (like x), `dw` (like w) and `db` (F,) from `dy` and `argmax` (N, PH, PW, F); None is left out."""
    windows, pool = (stride, padding, dilation, groups), (pool_kernel, pool_stride, pool_padding)
    fused = groups == 1 and _is_fused(pool)
    if len(x) == 0 or not fused or largest_image(x.shape, padding, dy.shape) > LARGEST_IMAGE:
        compose_backward(conv2d_backward, maxpool2d_backward, dy, argmax, x, w, dx, dw, db, windows, pool)
        return
    # The sparse dX adds whole vectors: a patch's runs must be made of them (64 bytes, whatever the instruction set).
    run = w.shape[1] * x.shape[3] if dilation[1] == 1 else x.shape[3]
    sparse_dx = None if run * dw.itemsize % 64 else dx
    QH, QW = pool_kernel
    if dw.itemsize == 4:
        _backward_typed[float](dy, argmax, x, w, sparse_dx, dw, db, stride, padding, dilation, QH, QW)
    else:
        _backward_typed[double](dy, argmax, x, w, sparse_dx, dw, db, stride, padding, dilation, QH, QW)
    if dx is not None and sparse_dx is None:
        dconv = np.empty(conv2d_shape(x.shape, w.shape, *windows), dtype=x.dtype)
        maxpool2d_backward(dy, argmax, dconv, *pool)
        input_gradient(dconv, w, dx, *windows)
