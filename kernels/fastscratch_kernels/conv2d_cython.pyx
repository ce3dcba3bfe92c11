"""2-D convolution in Cython, forward and backward: implicit im2col, a register tile, threads over images.

The patch matrix is never written: the tiles of tile.h read the patches where they lie. Forward there is one parallel
region a call, backward one for each gradient, and one more where images get a border, with single-threaded arithmetic
inside. Sums run in an order that depends on the shapes alone, so results do not depend on the number of threads.

Raw kernels: they fill their caller's arrays and check nothing.
"""

from cython.parallel cimport parallel, prange

from fastscratch_kernels._tasks cimport barrier, next_task, share_out, tile_share
from fastscratch_kernels._tiles cimport *

from . import _depthwise_cython, _im2col_form, _winograd_cython
from ._threads import get_num_threads
from .im2col_cython import col2im, im2col

# Slots of scratch memory: the calling thread's, and each worker's.
cdef enum:
    WEIGHTS, TABLES, GRADIENT, IMAGES, IMAGE, BUFFER, SHARES
    SHORT = 48          # numbers of a patch that are few
    IMAGE_CHUNKS = 16   # partial sums of dW, where patches are short
    CACHED = 1 << 18    # bytes of images that a level-2 cache keeps beside the rest
    TASKS = 8           # that a thread gets of what makes it go through all images again


cdef inline (Py_ssize_t, Py_ssize_t) _parts(const Geometry *g, int threads, Py_ssize_t channels,
                                            Py_ssize_t block) noexcept nogil:
    # In how many parts the output's channels are made, and how long one is: all at once where there is an image for
    # every thread or a border to be put around it, else as many blocks as keep the threads busy.
    cdef Py_ssize_t blocks = channels // block, most = (threads + g.N - 1) // g.N, length
    if g.N >= threads or g.HP * g.WP > g.H * g.W:
        return 1, channels
    length = (blocks + most - 1) // most * block
    return (channels + length - 1) // length, length


cdef int _conv2d(const Geometry *g, const real *x, const real *w, const real *b, real *out,
                 int threads) except -1 nogil:
    cdef const tile_table *t = table()
    cdef Py_ssize_t block = block_size(out), FP = round_up(g.FG, block)
    cdef Py_ssize_t q, n, group, f, count, image = g.H * g.W * g.C, padded = g.HP * g.WP * g.C, pixels = g.OH * g.OW
    cdef Py_ssize_t parts, length
    cdef tile_patches p = plain_patches(t, g, TABLES)
    cdef real *packed = <real *> t.scratch(WEIGHTS, g.groups * FP * (g.K + 1) * sizeof(real))
    cdef real *bias = packed + g.groups * FP * g.K
    cdef real *buf = NULL
    cdef real *border = NULL
    cdef const real *xn
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    if packed == NULL or p.pix == NULL:
        no_memory()
    parts, length = _parts(g, threads, FP, block)
    memset(bias, 0, g.groups * FP * sizeof(real))
    if b != NULL:
        for group in range(g.groups):
            memcpy(bias + group * FP, b + group * g.FG, g.FG * sizeof(real))
    shares = share_out(t, SHARES, g.N * parts, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        buf = <real *> t.scratch(BUFFER, buffer_size(out) * sizeof(real))
        if padded != image:
            border = <real *> t.scratch(IMAGE, padded * sizeof(real))
        if buf == NULL or (padded != image and border == NULL):
            failure[0] = 1
        for q in prange(g.groups * FP // block, schedule="static"):
            pack_block(g, w, q, packed)
        barrier()
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                n, f = q // parts, q % parts * length
                count = min(length, g.FG - f)
                xn = x + n * image
                if failure[0]:
                    continue
                if padded != image:
                    pad_image(g, xn, border)
                    xn = <const real *> border
                for group in range(g.groups):
                    conv(t, xn + group * g.CG, &p, <const real *> packed + (group * FP + f) * g.K,
                         <const real *> bias + group * FP + f, count, buf,
                         out + n * pixels * g.F + group * g.FG + f, g.F)
        t.restore_denormals(state)
    return no_memory() if failed else 0


cdef int _input_gradient(const Geometry *g, const real *dy, const real *w, real *dx, int threads) except -1 nogil:
    # Each dy (F numbers) times the filters' transpose, added to the pixels that its patch was read from. The tile's
    # accumulators are those pixels; channels are padded to whole blocks, and the border is cut off at the end.
    cdef const tile_table *t = table()
    cdef Py_ssize_t block = block_size(dx), CP = round_up(g.CG, block), channels = g.groups * CP
    cdef Py_ssize_t blocks = CP // block, taps = g.KH * g.KW, pixels = g.OH * g.OW, image = g.HP * g.WP * channels
    cdef Py_ssize_t q, n, group, k, b, c, i, first, count, parts = 1, length = CP
    cdef Py_ssize_t *pix = <Py_ssize_t *> t.scratch(TABLES, pixels * sizeof(Py_ssize_t))
    cdef real *wt = <real *> t.scratch(WEIGHTS, g.groups * g.KH * g.KW * CP * g.FG * sizeof(real))
    cdef real *to
    cdef real *dxp
    cdef real *border = NULL
    cdef bint direct = channels == g.C and g.HP == g.H and g.WP == g.W
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    if pix == NULL or wt == NULL:
        no_memory()
    fill_pixels(g, channels, pix)
    if direct and g.groups == 1:
        parts, length = _parts(g, threads, CP, block)
    shares = share_out(t, SHARES, g.N * parts, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        if not direct:
            border = <real *> t.scratch(IMAGE, image * sizeof(real))
            if border == NULL:
                failure[0] = 1
        for q in prange(g.groups * taps * blocks, schedule="static"):
            # (KH, KW, CG, F) -> (groups, KH * KW, blocks of channels, FG, block)
            group, k, c = q // (taps * blocks), q // blocks % taps, q % blocks * block
            count = min(block, g.CG - c)
            to = wt + q * g.FG * block
            if count < block:
                memset(to, 0, g.FG * block * sizeof(real))
            transpose(t, w + (k * g.CG + c) * g.F + group * g.FG, g.F, count, g.FG, to, block)
        barrier()
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                n, first = q // parts, q % parts * length
                count = min(length, CP - first)
                dxp = dx + n * image if direct else border
                if failure[0]:
                    continue
                if parts == 1:
                    memset(dxp, 0, image * sizeof(real))
                else:
                    for i in range(g.H * g.W):
                        memset(dxp + i * g.C + first, 0, count * sizeof(real))
                for group in range(g.groups):
                    for k in range(taps):
                        for b in range(first // block, (first + count) // block):
                            c = b * block
                            scatter(t, dy + n * pixels * g.F + group * g.FG, g.F, g.FG,
                                    <const real *> wt + ((group * taps + k) * CP + c) * g.FG, g.CG - c, pix, pixels,
                                    dxp + (k // g.KW * g.dh * g.WP + k % g.KW * g.dw) * channels + group * CP + c)
                if not direct:
                    for i in range(g.H * g.W):
                        for group in range(g.groups):
                            memcpy(dx + (n * g.H * g.W + i) * g.C + group * g.CG,
                                   dxp + ((i // g.W + g.ph) * g.WP + i % g.W + g.pw) * channels + group * CP,
                                   g.CG * sizeof(real))
        t.restore_denormals(state)
    return no_memory() if failed else 0


cdef inline (Py_ssize_t, Py_ssize_t) _cached(const Geometry *g, Py_ssize_t bytes, Py_ssize_t most) noexcept nogil:
    # How many images of so many `bytes` are gone through before the next, and how many pixels of each: as many as are
    # added up in one pass of the tile (`most`), or a multiple, so that the order of the sums stays as it is without.
    cdef Py_ssize_t pixels = g.OH * g.OW, one = max(1, most // pixels)
    if bytes > CACHED and pixels > most:
        return 1, min(pixels, max(1, CACHED * pixels // bytes // most) * most)
    return max(one, CACHED // bytes // one * one), pixels


cdef inline void _add_products(const tile_table *t, const tile_patches *p, Py_ssize_t first, Py_ssize_t pixels,
                               const real *x, Py_ssize_t ldx, Py_ssize_t rows, const real *dy, Py_ssize_t lddy,
                               Py_ssize_t ldg, Py_ssize_t filters, Py_ssize_t n, real *dw,
                               Py_ssize_t ldw) noexcept nogil:
    # Of one segment of the patches, and so many of the pixels from `first` on.
    cdef tile_patches some = p[0]
    some.nseg = 1
    some.pix += first
    some.npix = pixels
    filter_sums(t, x, ldx, &some, rows, dy + first * ldg, lddy, ldg, filters, n, dw, ldw)


cdef int _filter_gradient(const Geometry *g, const real *x, const real *dy, real *dw, real *db, real *dyp, real *dwp,
                          real *sums, int threads) except -1 nogil:
    # `x` is padded already. `dyp` (groups * blocks, N, OH * OW, block) takes dy with the filters of a block side by
    # side; `dwp` (groups * blocks, K, block) the result, where the last block of a group has room that dw has not;
    # `sums` (N, F) those for db. A thread owns tiles of the result and adds up all images in order, so that nothing is
    # left to be added between threads.
    cdef const tile_table *t = table()
    cdef Py_ssize_t block = block_size(dw), blocks = round_up(g.FG, block) // block, pixels = g.OH * g.OW
    cdef Py_ssize_t ldx = g.HP * g.WP * g.C, lddy = pixels * block
    cdef Py_ssize_t q, chunk, tile, run, b, n, i, f, k, s, count, group, row, rows, at
    cdef Py_ssize_t images, some, parts, chunks, tasks
    cdef bint whole = g.FG % block == 0
    cdef Py_ssize_t ldw = g.F if whole else block
    cdef Py_ssize_t piecelen = 48, pieces = (g.seglen + piecelen - 1) // piecelen
    cdef Py_ssize_t tiles = g.groups * g.nseg * pieces * blocks  # of up to piecelen rows and a block of filters each
    cdef tile_patches p = plain_patches(t, g, TABLES)
    cdef real *to
    cdef tile_share *shares
    cdef int worker
    cdef unsigned long state = 0
    if p.pix == NULL:
        no_memory()
    images, some = _cached(g, (ldx + pixels * g.F) * sizeof(real), t.pass_pixels)
    parts = (pixels + some - 1) // some
    chunks = (g.N + images - 1) // images * parts
    tasks = tiles if chunks == 1 else min(tiles, TASKS * threads)
    shares = share_out(t, SHARES, tasks, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        for q in prange(g.groups * blocks * g.N, schedule="static"):
            b, n = q // g.N, q % g.N
            group, f = b // blocks, b % blocks * block
            count = min(block, g.FG - f)
            pack(t, dy + n * pixels * g.F + group * g.FG + f, g.F, pixels, count, dyp + q * lddy)
        barrier()
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                for chunk in range(chunks):
                    n, i = chunk // parts * images, chunk % parts * some
                    for tile in range(tiles * q // tasks, tiles * (q + 1) // tasks):
                        run = tile // blocks  # of rows: the filters of one after the other, as they read the same of x
                        group, s, at = run // (g.nseg * pieces), run // pieces % g.nseg, run % pieces * piecelen
                        b = group * blocks + tile % blocks
                        rows = min(piecelen, g.seglen - at)
                        k = s * g.seglen + at
                        to = dw + k * g.F + b * block if whole else dwp + (b * g.K + k) * block
                        if chunk == 0:
                            for row in range(rows):
                                memset(to + row * ldw, 0, block * sizeof(real))
                        _add_products(t, &p, i, min(some, pixels - i), x + n * ldx + p.seg[s] + group * g.CG + at, ldx,
                                      rows, dyp + (b * g.N + n) * lddy, lddy, block, g.FG - b % blocks * block,
                                      min(images, g.N - n), to, ldw)
        if not whole:
            barrier()
            for b in prange(g.groups * blocks, schedule="static"):
                group, f = b // blocks, b % blocks * block
                count = min(block, g.FG - f)
                for k in range(g.K):
                    memcpy(dw + k * g.F + group * g.FG + f, dwp + (b * g.K + k) * block, count * sizeof(real))
        if db != NULL:
            for n in prange(g.N, schedule="static"):
                column_sums(t, dy + n * pixels * g.F, pixels, g.F, g.F, sums + n * g.F)
        t.restore_denormals(state)
    if db != NULL:
        add_images(sums, g.N, g.F, db)
    return 0


cdef int _short_filter_gradient(const Geometry *g, const real *x, const real *dy, real *dw, real *db, real *partial,
                                real *sums, Py_ssize_t chunks, int threads) except -1 nogil:
    # For patches of a few numbers (a first layer's), where going through dy takes longer than the products: it is read
    # once, where it lies. `x` is padded already. Each of so many `chunks` of images has sums of its own in `partial`,
    # (K, F), added in order, whoever made them; `sums` (N, F).
    cdef const tile_table *t = table()
    cdef Py_ssize_t block = block_size(dw), pixels = g.OH * g.OW, image = g.HP * g.WP * g.C, size = g.K * g.F
    cdef Py_ssize_t q, n, f
    cdef tile_patches p = plain_patches(t, g, TABLES)
    cdef const real *gradient
    cdef tile_share *shares
    cdef int worker
    cdef unsigned long state = 0
    if p.pix == NULL:
        no_memory()
    shares = share_out(t, SHARES, chunks, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                memset(partial + q * size, 0, size * sizeof(real))
                for n in range(g.N * q // chunks, g.N * (q + 1) // chunks):
                    gradient = dy + n * pixels * g.F
                    for f in range(g.F // block):
                        filter_sums(t, x + n * image, 0, &p, g.seglen, gradient + f * block, 0, g.F, block, 1,
                                    partial + q * size + f * block, g.F)
                    if db != NULL:
                        column_sums(t, gradient, pixels, g.F, g.F, sums + n * g.F)
        t.restore_denormals(state)
    add_images(partial, chunks, size, dw)
    if db != NULL:
        add_images(sums, g.N, g.F, db)
    return 0


cdef void _pad_images(const Geometry *g, const real *x, real *padded, int threads) noexcept nogil:
    cdef Py_ssize_t n
    for n in prange(g.N, schedule="static", num_threads=threads):
        pad_image(g, x + n * g.H * g.W * g.C, padded + n * g.HP * g.WP * g.C)


cdef _forward_typed(const real[:, :, :, ::1] x, const real[:, :, :, ::1] w, const real[::1] b, real[:, :, :, ::1] out,
                    tuple stride, tuple padding, tuple dilation, Py_ssize_t groups):
    cdef Geometry g = geometry(x.shape, w.shape, out.shape[1], out.shape[2], stride, padding, dilation, groups)
    cdef int threads = get_num_threads()
    if g.N == 0:
        return
    with nogil:
        _conv2d(&g, &x[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], &out[0, 0, 0, 0], threads)


def is_depthwise(w, groups):
    """Return whether each channel has filters of its own alone, and one of them."""
    return 1 < groups == w.shape[3] and w.shape[2] == 1


def conv2d(x, w, b, out, stride, padding, dilation, groups, algorithm="direct"):
    """Fill `out` (N, OH, OW, F) with the convolution of `x` (N, H, W, C) by `w` (KH, KW, C // groups, F), plus `b`."""
    if algorithm == "im2col":
        _im2col_form.conv2d(im2col, conv2d, x, w, b, out, (stride, padding, dilation, groups))
    elif algorithm != "direct":
        _winograd_cython.forward(algorithm, x, w, b, out, padding)
    elif is_depthwise(w, groups):
        _depthwise_cython.forward(x, w, b, out, stride, padding, dilation)
    elif out.itemsize == 4:
        _forward_typed[float](x, w, b, out, stride, padding, dilation, groups)
    else:
        _forward_typed[double](x, w, b, out, stride, padding, dilation, groups)


def conv2d_backward(dy, x, w, dx, dw, db, stride, padding, dilation, groups, algorithm="direct"):
    """Fill `dx` (like x), `dw` (like w) and `db` (F,) from `dy` (N, OH, OW, F); those that are None are left out."""
    if algorithm == "im2col":
        windows = stride, padding, dilation, groups
        _im2col_form.conv2d_backward(im2col, col2im, conv2d_backward, dy, x, w, dx, dw, db, windows)
    elif algorithm != "direct":
        _winograd_cython.filter_gradient(algorithm, dy, x, dw, db, padding)
        if dx is not None:
            _winograd_cython.input_gradient(algorithm, dy, w, dx, padding)
    elif is_depthwise(w, groups):
        _depthwise_cython.backward(dy, x, w, dx, dw, db, stride, padding, dilation)
    elif dw.itemsize == 4:
        _backward_typed[float](dy, x, w, dx, dw, db, stride, padding, dilation, groups)
    else:
        _backward_typed[double](dy, x, w, dx, dw, db, stride, padding, dilation, groups)


cdef _backward_typed(const real[:, :, :, ::1] dy, const real[:, :, :, ::1] x, const real[:, :, :, ::1] w,
                     real[:, :, :, ::1] dx, real[:, :, :, ::1] dw, real[::1] db, tuple stride, tuple padding,
                     tuple dilation, Py_ssize_t groups):
    cdef Geometry g = geometry(x.shape, w.shape, dy.shape[1], dy.shape[2], stride, padding, dilation, groups)
    cdef int threads = get_num_threads()
    cdef const tile_table *t = table()
    cdef Py_ssize_t block = block_size(&dw[0, 0, 0, 0]), filters = g.groups * round_up(g.FG, block)
    cdef Py_ssize_t padded = g.N * g.HP * g.WP * g.C, chunks = min(g.N, IMAGE_CHUNKS)
    cdef bint short = g.K <= SHORT and g.F % block == 0 and g.groups == 1
    cdef Py_ssize_t room = chunks * g.K * g.F if short else (g.N * g.OH * g.OW + g.K) * filters
    cdef bint border = g.HP > g.H or g.WP > g.W
    cdef real *images
    cdef real *partial
    cdef const real *xp
    if g.N == 0:
        dw[...] = 0
        if db is not None:
            db[...] = 0
        return
    images = <real *> t.scratch(IMAGES, padded * sizeof(real)) if border else NULL
    partial = <real *> t.scratch(GRADIENT, (room + g.N * g.F) * sizeof(real))
    if partial == NULL or (border and images == NULL):
        no_memory()
    xp = <const real *> images if border else &x[0, 0, 0, 0]
    with nogil:
        if border:
            _pad_images(&g, &x[0, 0, 0, 0], images, threads)
        if short:
            _short_filter_gradient(&g, xp, &dy[0, 0, 0, 0], &dw[0, 0, 0, 0], NULL if db is None else &db[0], partial,
                                   partial + room, chunks, threads)
        else:
            _filter_gradient(&g, xp, &dy[0, 0, 0, 0], &dw[0, 0, 0, 0], NULL if db is None else &db[0], partial,
                             partial + g.N * g.OH * g.OW * filters, partial + room, threads)
        if dx is not None:
            _input_gradient(&g, &dy[0, 0, 0, 0], &w[0, 0, 0, 0], &dx[0, 0, 0, 0], threads)


cdef _input_gradient_typed(const real[:, :, :, ::1] dy, const real[:, :, :, ::1] w, real[:, :, :, ::1] dx,
                           tuple stride, tuple padding, tuple dilation, Py_ssize_t groups):
    cdef Geometry g = geometry(dx.shape, w.shape, dy.shape[1], dy.shape[2], stride, padding, dilation, groups)
    cdef int threads = get_num_threads()
    if g.N:
        _input_gradient(&g, &dy[0, 0, 0, 0], &w[0, 0, 0, 0], &dx[0, 0, 0, 0], threads)


def input_gradient(dy, w, dx, stride, padding, dilation, groups):
    """Fill `dx` alone, (N, H, W, C), from `dy` (N, OH, OW, F) and `w` (KH, KW, C // groups, F)."""
    if dx.itemsize == 4:
        _input_gradient_typed[float](dy, w, dx, stride, padding, dilation, groups)
    else:
        _input_gradient_typed[double](dy, w, dx, stride, padding, dilation, groups)
