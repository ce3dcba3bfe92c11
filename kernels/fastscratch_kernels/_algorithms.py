"""How a convolution is computed: the algorithms, which backend has which, and the rule that "auto" goes by."""

from __future__ import annotations

from types import TracebackType

from .shapes import Pair, Pool, Windows

ALGORITHMS = ("auto", "im2col", "direct", "winograd")
PRECISIONS = ("standard", "fast")

WRITTEN = {
    "numpy": ("im2col",),
    "numba": ("im2col", "direct", "winograd"),
    "cython": ("im2col", "direct", "winograd"),
}
"""backend -> the algorithms it has."""

LEAST_CHANNELS = 16
"""Channels and filters that repay Winograd's transforms, which are made once for all of them."""

MOST_PRODUCTS = 0.7
"""Of a direct convolution's: with more left, as where tiles hang over small images, the transforms cost too much."""

Form = tuple[str, int, int]

F2K3: Form = ("F(2x2,3x3)", 2, 3)
F4K3: Form = ("F(4x4,3x3)", 4, 3)
F2K5: Form = ("F(2x2,5x5)", 2, 5)

FORMS: dict[str, tuple[Form, ...]] = {"numpy": (), "numba": (F2K5,), "cython": (F2K3, F4K3, F2K5)}
"""backend -> the forms of Winograd's algorithm it has."""

_precision = "standard"


def algorithms(backend: str) -> tuple[str, ...]:
    """Return the algorithms that `backend` has for convolutions, "auto" left out.

    Raises
    ------
    ValueError
        If there is no such backend.
    """
    if backend not in WRITTEN:
        raise ValueError(f"backend must be one of {', '.join(WRITTEN)}, got {backend!r}")
    return WRITTEN[backend]


def selected_precision() -> str:
    """Return the precision in force, "standard" where nobody has set it."""
    return _precision


class use_precision:
    """Choose how far rounding errors of convolutions may go, for the process.

    ``use_precision("fast")`` holds from here on; ``with use_precision("fast"): ...`` until the end of the block.

    Parameters
    ----------
    name : {"standard", "fast"}
        "standard": errors like those of a plain sum. "fast" lets wide 3 x 3 convolutions be Winograd's F(4x4,3x3),
        which multiplies a quarter as often and has errors about ten times as large.

    Raises
    ------
    ValueError
        If there is no such precision.
    """

    def __init__(self, name: str) -> None:
        global _precision
        _check("precision", name, PRECISIONS)
        self._previous = _precision
        _precision = name

    def __enter__(self) -> use_precision:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _precision
        _precision = self._previous


def _check(what: str, name: str, allowed: tuple[str, ...]) -> None:
    if name not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {name!r}")


def choose(
    backend: str,
    algorithm: str,
    precision: str | None,
    itemsize: int,
    w_shape: tuple[int, ...],
    out_size: Pair,
    windows: Windows,
    pool: Pool | None = None,
) -> str:
    """Return what a raw kernel is told: "im2col", "direct", or the form of Winograd's algorithm, "F(2x2,3x3)".

    Parameters
    ----------
    backend : str
        The one that will compute.
    algorithm : str
        One of `ALGORITHMS`.
    precision : str, optional
        One of `PRECISIONS`; None takes the one in force.
    itemsize : int
        Bytes of a number: 4 or 8.
    w_shape : (KH, KW, C // groups, F)
        The filters.
    out_size : (OH, OW)
        Of the convolution.
    windows : tuple
        Stride, padding, dilation and groups.
    pool : tuple, optional
        Kernel, stride and padding of a max-pooling that follows in the same kernel.

    Raises
    ------
    ValueError
        If there is no such algorithm or precision, the backend does not have it, or it does not fit these windows.

    Notes
    -----
    "auto" takes Winograd's algorithm for float32 where it fits, repays its transforms and is as exact as a plain sum,
    or nearly so (F(2x2,5x5), under a pooling); else "direct", and "im2col" where a backend has nothing else. float64
    is for checking: there it takes "direct".
    """
    precision = precision or _precision
    _check("algorithm", algorithm, ALGORITHMS)
    _check("precision", precision, PRECISIONS)
    written = WRITTEN[backend]
    if algorithm not in ("auto", *written):
        raise ValueError(f"algorithm {algorithm!r} is not written for backend {backend!r}, which has {_list(written)}")
    if algorithm in ("im2col", "direct"):
        return algorithm
    form = _form(backend, precision, w_shape, windows, pool)
    if algorithm == "winograd":
        if form is None and _form("cython", precision, w_shape, windows, pool):
            forms = _list(tuple(name for name, _, _ in FORMS[backend]))
            raise ValueError(f"backend {backend!r} has no form of 'winograd' but {forms}, under a 2 x 2 pooling")
        if form is None:
            raise ValueError(
                "algorithm 'winograd' takes 3 x 3 filters with stride, dilation and groups 1 and at most 2 of padding, "
                f"or in a fused block 3 x 3 and 5 x 5 filters under a 2 x 2 pooling; got filters {w_shape}, stride "
                f"{windows[0]}, padding {windows[1]}, dilation {windows[2]}, groups {windows[3]}"
                + (f", pooling {pool[0]} with stride {pool[1]} and padding {pool[2]}" if pool else "")
            )
        return form[0]
    if form is not None and itemsize == 4 and _repays(form, w_shape, out_size):
        return form[0]
    return "direct" if "direct" in written else "im2col"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _form(
    backend: str,
    precision: str,
    w_shape: tuple[int, ...],
    windows: Windows,
    pool: Pool | None,
) -> Form | None:
    """Return the form of Winograd's algorithm that a backend has for these windows, None where there is none."""
    stride, padding, dilation, groups = windows
    if stride != (1, 1) or dilation != (1, 1) or groups != 1:
        return None
    if pool is None:
        fitting = [F4K3, F2K3] if precision == "fast" else [F2K3]
        if max(padding) > 2:  # backwards the border is 2 - padding
            return None
    else:
        fitting = [F2K3, F2K5] if pool == ((2, 2), (2, 2), (0, 0)) else []
    return next((form for form in fitting if w_shape[:2] == (form[2], form[2]) and form in FORMS[backend]), None)


def _repays(form: Form, w_shape: tuple[int, ...], out_size: Pair) -> bool:
    _, m, r = form
    tiles = -(-out_size[0] // m) * -(-out_size[1] // m)
    products = tiles * (m + r - 1) ** 2 / (out_size[0] * out_size[1] * r * r)
    return min(w_shape[2:]) >= LEAST_CHANNELS and products <= MOST_PRODUCTS
