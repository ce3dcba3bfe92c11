"""The gradient checker: what a backward pass returns against what differences say."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .check_layer import CheckError, CheckReport, CheckResult, check_layer
from .differences import (
    EPS,
    RTOL,
    Array,
    Entry,
    GradcheckResult,
    Problem,
    checked_gradients,
    checked_output,
    compare,
)
from .nn import Module
from .nn.checks import check_number, check_size

__all__ = ["CheckError", "CheckReport", "CheckResult", "Entry", "GradcheckResult", "Loss", "check_layer", "gradcheck"]


@runtime_checkable
class Loss(Protocol):
    """What `gradcheck` asks of a loss; `fastscratch.losses` has some."""

    def forward(self, logits: Array, targets: Array, /) -> float:
        """Return the loss of a batch."""

    def backward(self) -> Array:
        """Return the gradient of the last loss with respect to its logits."""


def gradcheck(
    target: Module | Loss | Callable[[Array], Any],
    x: Any,
    *,
    targets: Any = None,
    grad: Callable[..., Any] | None = None,
    eps: float = EPS,
    rtol: float = RTOL,
    atol: float | None = None,
    max_entries: int | None = None,
    worst: int = 8,
    seed: int | np.random.Generator = 0,
    verbose: bool = True,
) -> GradcheckResult:
    """Check the gradients of a layer, a model, a loss or a function against central differences in float64.

    Parameters
    ----------
    target : Module, loss or callable
        A layer or model in the mode that it is in (training or evaluation); a loss with ``forward(logits, targets)``
        and ``backward()``; or a function of one array, with `grad`. It is not changed: a copy is checked.
    x : array_like
        The input: (N, H, W, C) for images, (N, K) logits for a loss. It is converted to float64 and not changed.
        Numbers drawn at random keep away from kinks; two or three images are enough.
    targets : ndarray, optional
        For a loss: class ids or soft targets.
    grad : callable, optional
        For a function f: ``grad(x)`` returns the gradient where f returns a number; where f returns an array,
        ``grad(x, dy)`` returns that of ``sum(dy * f(x))``.
    eps : float
        The step h, multiplied by the number it is added to where that is above 1.
    rtol : float
        Largest relative error that passes.
    atol : float, optional
        What rounding alone may make of a difference; errors of entries smaller than ``atol / rtol`` are taken
        relative to that. None estimates it: 16 times the precision of float64 / eps times the norm of ``dy * y``.
    max_entries : int, optional
        Check so many entries of each array, drawn at random, and the derivative along one random direction through
        the whole of it, which a single wrong entry changes too. None checks all, two forward passes each.
    worst : int
        Rows of the table.
    seed : int or numpy.random.Generator
        Draws dy, the entries and the directions.
    verbose : bool
        Whether the table is printed.

    Returns
    -------
    GradcheckResult
        True in an ``if`` where everything agrees.

    Raises
    ------
    TypeError
        If `target` is none of these, or does not return float64 for float64; if `x` is complex, or a number of
        entries or rows no int.
    ValueError
        If a gradient is missing or of the wrong shape, a forward pass is not the same twice, or an option makes no
        sense.

    Notes
    -----
    With a random ``dy`` the scalar ``sum(dy * f(x))`` has the gradient that ``backward(dy)`` should return. Each of
    its entries is compared with

        sum(dy * (f(x + h) - f(x - h))) / (2 h),   relative error |a - n| / max(|a|, |n|, atol / rtol)

    Before each evaluation buffers and Generators are put back, so that batch norm and dropout give the same function.
    Where a kink lies within h of x, such as a ReLU at zero, the difference is wrong. So an entry that disagrees, and
    whose derivatives to the left and to the right differ, is measured again with h / 10 and h / 100, and then to one
    side only. Entries that agree to one side only are marked as kinks; the check fails if they are more than a tenth
    of all.

    It finds a wrong backward pass; it does not find a wrong forward pass.

    Examples
    --------
    >>> import numpy as np
    >>> from fastscratch import nn
    >>> from fastscratch.gradcheck import gradcheck
    >>> x = np.random.default_rng(0).normal(size=(4, 3))
    >>> result = gradcheck(nn.Linear(3, 2), x, verbose=False)
    >>> result.ok, result.checked
    (True, 20)
    """
    _check_options(eps, rtol, atol, max_entries, worst)
    x = _checked_input(x)
    rng = np.random.default_rng(seed)
    if isinstance(target, type):
        raise TypeError(f"gradcheck takes a layer, not its class: pass {target.__name__}(...)")
    if isinstance(target, Module):
        _refuse("a layer or model", targets=targets, grad=grad)
        problem = Problem.of_module(target, x, rng)
    elif isinstance(target, Loss):
        _refuse("a loss", grad=grad)
        problem = _loss_problem(target, x, targets)
    elif callable(target):
        _refuse("a function", targets=targets)
        problem = _function_problem(target, x, grad, rng)
    else:
        raise TypeError(
            f"gradcheck takes a layer, a model, a loss or a function, got {type(target).__name__}: {target!r}"
        )
    result = compare(problem, rng, eps=eps, rtol=rtol, atol=atol, max_entries=max_entries, worst=worst)
    if verbose:
        print(result)
    return result


def _loss_problem(loss: Loss, logits: Array, targets: Any) -> Problem:
    if targets is None:
        raise ValueError("gradcheck of a loss needs targets=, class ids or soft targets; a layer subclasses nn.Module")
    loss, name = copy.deepcopy(loss), type(loss).__name__
    loss.forward(logits.copy(), targets)
    arrays = {"logits": logits}
    gradients = checked_gradients(name, arrays, {"logits": loss.backward()})

    def evaluate() -> Array:
        return checked_output(name, loss.forward(logits.copy(), targets))

    return Problem(name, evaluate, arrays, gradients, np.ones(()))


def _function_problem(
    function: Callable[[Array], Any], x: Array, grad: Callable[..., Any] | None, rng: np.random.Generator
) -> Problem:
    name = getattr(function, "__name__", repr(function))
    if grad is None:
        raise ValueError(f"gradcheck of the function {name} needs grad=, the function that returns its gradient")

    def evaluate() -> Array:
        return checked_output(name, function(x.copy()))

    y = evaluate()
    dy = np.asarray(rng.standard_normal(y.shape) if y.ndim else 1.0)
    gradient = grad(x.copy(), dy.copy()) if y.ndim else grad(x.copy())
    arrays = {"x": x}
    return Problem(name, evaluate, arrays, checked_gradients(name, arrays, {"x": gradient}), dy)


def _checked_input(x: Any) -> Array:
    if np.iscomplexobj(x):
        raise TypeError(f"x must be real, got {np.asarray(x).dtype}")
    result = np.array(x, dtype=np.float64, order="C")
    if result.size == 0:
        raise ValueError(f"x must hold at least one number, got shape {result.shape}")
    if not np.isfinite(result).all():
        raise ValueError("x must be finite")
    return result


def _check_options(eps: float, rtol: float, atol: float | None, max_entries: int | None, worst: int) -> None:
    check_number("eps", eps, above=0, below=1)
    check_number("rtol", rtol, above=0, below=1)
    if atol is not None:
        check_number("atol", atol, at_least=0)
    if max_entries is not None:
        check_size("max_entries", max_entries)
    check_size("worst", worst, at_least=0)


def _refuse(what: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"gradcheck of {what} takes no {name}=")
