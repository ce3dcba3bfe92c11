"""Every kernel op as naive Python loops: slow, and plain enough to be checked by eye.

Each function has the parameters of the public op of the same name and returns a tuple of its outputs. Sums are kept
in Python floats (64 bits) and rounded once, at the end. Nothing here is shared with the code under test: sizes are
counted out again, positions in the border are skipped by an `if`.

Legend: N images, H W C input, F filters, KH KW kernel, OH OW output. A pair is (height, width).
"""

from __future__ import annotations

import math

import numpy as np


def windows_along(size, kernel, stride, padding, dilation=1):
    """Return for each window along one axis its positions in the image; those below 0 or from `size` on are border."""
    result = []
    start = -padding
    while start + dilation * (kernel - 1) < size + padding:
        result.append([start + dilation * i for i in range(kernel)])
        start += stride
    return result


def inside(row, column, height, width):
    return 0 <= row < height and 0 <= column < width


def places(x_shape, kernel, stride, padding, dilation=(1, 1)):
    """Return [oh][ow] -> list of (place i * KW + j, row, column) of the window's positions, border included."""
    rows = windows_along(x_shape[1], kernel[0], stride[0], padding[0], dilation[0])
    columns = windows_along(x_shape[2], kernel[1], stride[1], padding[1], dilation[1])
    return [
        [
            [(i * kernel[1] + j, row, column) for i, row in enumerate(rs) for j, column in enumerate(cs)]
            for cs in columns
        ]
        for rs in rows
    ]


def grid_shape(x_shape, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """Return (OH, OW)."""
    grid = places(x_shape, kernel, stride, padding, dilation)
    return len(grid), len(grid[0])


def im2col(x, kernel_size, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    n_images, height, width, channels = x.shape
    grid = places(x.shape, kernel_size, stride, padding, dilation)
    out = np.zeros((n_images, len(grid), len(grid[0]), math.prod(kernel_size) * channels), x.dtype)
    for n, oh, ow in np.ndindex(out.shape[:3]):
        for place, row, column in grid[oh][ow]:
            for c in range(channels):
                if inside(row, column, height, width):
                    out[n, oh, ow, place * channels + c] = x[n, row, column, c]
    return (out,)


def col2im(cols, input_shape, kernel_size, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    _, height, width, channels = input_shape
    grid = places(input_shape, kernel_size, stride, padding, dilation)
    total = np.zeros(input_shape, np.float64)
    for n, oh, ow in np.ndindex(cols.shape[:3]):
        for place, row, column in grid[oh][ow]:
            for c in range(channels):
                if inside(row, column, height, width):
                    total[n, row, column, c] += cols[n, oh, ow, place * channels + c]
    return (total.astype(cols.dtype),)


def conv2d(x, w, b=None, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    n_images, height, width, _ = x.shape
    kh, kw, group_channels, filters = w.shape
    grid = places(x.shape, (kh, kw), stride, padding, dilation)
    out = np.empty((n_images, len(grid), len(grid[0]), filters), x.dtype)
    for n, oh, ow, f in np.ndindex(out.shape):
        first_channel = f // (filters // groups) * group_channels
        total = 0.0 if b is None else b.item(f)
        for place, row, column in grid[oh][ow]:
            if inside(row, column, height, width):
                for c in range(group_channels):
                    total += x.item(n, row, column, first_channel + c) * w.item(place // kw, place % kw, c, f)
        out[n, oh, ow, f] = total
    return (out,)


def conv2d_backward(
    dy, x, w, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, input_grad=True, bias=True
):
    _, height, width, _ = x.shape
    kh, kw, group_channels, filters = w.shape
    grid = places(x.shape, (kh, kw), stride, padding, dilation)
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(filters)
    for n, oh, ow, f in np.ndindex(dy.shape):
        first_channel = f // (filters // groups) * group_channels
        upstream = dy.item(n, oh, ow, f)
        db[f] += upstream
        for place, row, column in grid[oh][ow]:
            if inside(row, column, height, width):
                i, j = divmod(place, kw)
                for c in range(group_channels):
                    dx[n, row, column, first_channel + c] += upstream * w.item(i, j, c, f)
                    dw[i, j, c, f] += upstream * x.item(n, row, column, first_channel + c)
    return (
        dx.astype(x.dtype) if input_grad else None,
        dw.astype(x.dtype),
        db.astype(x.dtype) if bias else None,
    )


def argmax_type(kernel):
    return np.uint8 if math.prod(kernel) < 255 else np.int32


def maxpool2d(x, kernel_size, *, stride=None, padding=(0, 0)):
    n_images, height, width, channels = x.shape
    grid = places(x.shape, kernel_size, stride or kernel_size, padding)
    out = np.empty((n_images, len(grid), len(grid[0]), channels), x.dtype)
    argmax = np.empty(out.shape, argmax_type(kernel_size))
    for n, oh, ow, c in np.ndindex(out.shape):
        best, best_place = None, None
        for place, row, column in grid[oh][ow]:
            if inside(row, column, height, width):
                value = x.item(n, row, column, c)
                if best is None or value > best or math.isnan(value):  # of equal ones the first; of NaNs the last
                    best, best_place = value, place
        out[n, oh, ow, c], argmax[n, oh, ow, c] = best, best_place
    return out, argmax


def maxpool2d_backward(dy, argmax, input_shape, kernel_size, *, stride=None, padding=(0, 0)):
    grid = places(input_shape, kernel_size, stride or kernel_size, padding)
    total = np.zeros(input_shape)
    for n, oh, ow, c in np.ndindex(dy.shape):
        for place, row, column in grid[oh][ow]:
            if place == argmax[n, oh, ow, c]:
                total[n, row, column, c] += dy[n, oh, ow, c]
    return (total.astype(dy.dtype),)


def divisor(window, kernel, height, width, count_include_pad):
    """Return what the sum over a window is divided by."""
    if count_include_pad:
        return math.prod(kernel)
    return sum(inside(row, column, height, width) for _, row, column in window)


def avgpool2d(x, kernel_size, *, stride=None, padding=(0, 0), count_include_pad=True):
    n_images, height, width, channels = x.shape
    grid = places(x.shape, kernel_size, stride or kernel_size, padding)
    out = np.empty((n_images, len(grid), len(grid[0]), channels), x.dtype)
    for n, oh, ow, c in np.ndindex(out.shape):
        total = 0.0
        for _, row, column in grid[oh][ow]:
            if inside(row, column, height, width):
                total += x.item(n, row, column, c)
        out[n, oh, ow, c] = total / divisor(grid[oh][ow], kernel_size, height, width, count_include_pad)
    return (out,)


def avgpool2d_backward(dy, input_shape, kernel_size, *, stride=None, padding=(0, 0), count_include_pad=True):
    _, height, width, _ = input_shape
    grid = places(input_shape, kernel_size, stride or kernel_size, padding)
    total = np.zeros(input_shape)
    for n, oh, ow, c in np.ndindex(dy.shape):
        share = dy.item(n, oh, ow, c) / divisor(grid[oh][ow], kernel_size, height, width, count_include_pad)
        for _, row, column in grid[oh][ow]:
            if inside(row, column, height, width):
                total[n, row, column, c] += share
    return (total.astype(dy.dtype),)


def conv2d_relu_maxpool2d(
    x, w, b=None, *, pool_kernel_size=(2, 2), pool_stride=None, pool_padding=(0, 0), **windows
):
    (y,) = conv2d(x, w, b, **windows)
    out, argmax = maxpool2d(relu(y)[0], pool_kernel_size, stride=pool_stride, padding=pool_padding)
    for index in np.ndindex(out.shape):
        if out[index] == 0:  # nothing in the window got through ReLU
            argmax[index] = np.iinfo(argmax.dtype).max
    return out, argmax


def conv2d_relu_maxpool2d_backward(
    dy,
    argmax,
    x,
    w,
    *,
    pool_kernel_size=(2, 2),
    pool_stride=None,
    pool_padding=(0, 0),
    input_grad=True,
    bias=True,
    **windows,
):
    how = {name: value for name, value in windows.items() if name != "groups"}
    y_shape = (len(x), *grid_shape(x.shape, w.shape[:2], **how), w.shape[3])
    # A place that is in no window takes its gradient nowhere.
    (dconv,) = maxpool2d_backward(dy, argmax, y_shape, pool_kernel_size, stride=pool_stride, padding=pool_padding)
    return conv2d_backward(dconv, x, w, input_grad=input_grad, bias=bias, **windows)


def channel_moments(x):
    rows = x.reshape(-1, x.shape[3])
    mean, var = np.zeros(x.shape[3]), np.zeros(x.shape[3])
    for c in range(x.shape[3]):
        values = [float(value) for value in rows[:, c]]
        mean[c] = sum(values) / len(values)
        var[c] = sum((value - mean[c]) ** 2 for value in values) / len(values)
    return mean.astype(x.dtype), var.astype(x.dtype)


def batchnorm2d(x, mean, var, weight, bias, *, eps, relu):
    out = np.zeros(x.shape, x.dtype)
    for n, i, j, c in np.ndindex(x.shape):
        std = math.sqrt(float(var[c]) + eps)
        y = float(weight[c]) * (float(x[n, i, j, c]) - float(mean[c])) / std + float(bias[c])
        out[n, i, j, c] = 0.0 if relu and y <= 0 else y
    return (out,)


def batchnorm2d_backward(dy, x, mean, var, weight, bias, *, eps, relu, training):
    """By the chain rule, with the derivatives of mean and variance where they are the batch's own."""
    dx = np.zeros(x.shape, x.dtype)
    dweight, dbias = np.zeros(x.shape[3], x.dtype), np.zeros(x.shape[3], x.dtype)
    count = math.prod(x.shape[:3])
    for c in range(x.shape[3]):
        std = math.sqrt(float(var[c]) + eps)
        pixels = list(np.ndindex(x.shape[:3]))
        xhat = {p: (float(x[p][c]) - float(mean[c])) / std for p in pixels}
        g = {p: float(dy[p][c]) for p in pixels}
        if relu:
            g = {p: 0.0 if float(weight[c]) * xhat[p] + float(bias[c]) <= 0 else g[p] for p in pixels}
        dbias[c] = sum(g.values())
        dweight[c] = sum(g[p] * xhat[p] for p in pixels)
        for p in pixels:
            rest = sum(g.values()) / count + xhat[p] * sum(g[q] * xhat[q] for q in pixels) / count if training else 0.0
            dx[p][c] = float(weight[c]) / std * (g[p] - rest)
    return dx, dweight, dbias


def sgd_step(value, grad, velocity, *, lr, momentum=0.0, nesterov=False, decay=0.0):
    out = np.zeros_like(value)
    out_velocity = None if velocity is None else np.zeros_like(value)
    for i in range(value.size):
        g = float(grad[i]) + (decay * float(value[i]) if decay else 0.0)
        if velocity is not None:
            u = momentum * float(velocity[i]) + g
            out_velocity[i] = u
            g = g + momentum * u if nesterov else u
        out[i] = float(value[i]) - lr * g
    return out, out_velocity


def adam_step(value, grad, m, v, *, lr, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0, shrink=1.0):
    out, out_m, out_v = np.zeros_like(value), np.zeros_like(value), np.zeros_like(value)
    for i in range(value.size):
        g = float(grad[i]) + (decay * float(value[i]) if decay else 0.0)
        mean = beta1 * float(m[i]) + (1 - beta1) * g
        square = beta2 * float(v[i]) + (1 - beta2) * g * g
        out_m[i], out_v[i] = mean, square
        out[i] = shrink * float(value[i]) - lr * mean / (math.sqrt(square) + eps)
    return out, out_m, out_v


def relu(x):
    out = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        if not x[place] < 0:
            out[place] = x[place]
    return (out,)


def relu_backward(dy, y):
    dx = np.zeros_like(dy)
    for place in np.ndindex(y.shape):
        if not y[place] <= 0:
            dx[place] = dy[place]
    return (dx,)


def log_softmax(z):
    out = np.zeros_like(z)
    for n in range(len(z)):
        row = [float(value) for value in z[n]]
        if any(math.isnan(value) or value == math.inf for value in row) or max(row) == -math.inf:
            out[n] = math.nan
            continue
        shift = max(row) + math.log(sum(math.exp(value - max(row)) for value in row))
        out[n] = [value - shift for value in row]
    return (out,)


def cross_entropy_backward(log_p, q):
    dz = np.zeros_like(log_p)
    for n, k in np.ndindex(log_p.shape):
        dz[n, k] = (math.exp(float(log_p[n, k])) * sum(map(float, q[n])) - float(q[n, k])) / len(log_p)
    return (dz,)


def look_up_levels(images, table):
    out = np.zeros(images.shape, table.dtype)
    for place in np.ndindex(images.shape):
        out[place] = table[int(images[place]), place[3]]
    return (out,)


def crop_images(images, tops, lefts, mirrored):
    _, height, width, _ = images.shape
    out = np.zeros_like(images)
    for b, i, j, c in np.ndindex(images.shape):
        row = int(tops[b]) + i
        column = int(lefts[b]) + (width - 1 - j if mirrored[b] else j)
        if inside(row, column, height, width):
            out[b, i, j, c] = images[b, row, column, c]
    return (out,)
