"""What `check_layer` asks of a layer's backward pass and of its state: one function a check."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .differences import Array, Entry, Problem, State, compare
from .layer_bench import DTYPES, Bench, Check, same
from .nn import Module, no_grad

_SHOWN = 32
"""Wrong entries from which the cause is guessed."""


def _backward(bench: Bench) -> str | None:
    for dtype in DTYPES:
        layer, x = bench.layer(dtype), bench.x(dtype)
        dx = layer.backward(bench.dy(layer.forward(x)))
        if not isinstance(dx, np.ndarray):
            return f"backward must return the gradient of the input as an ndarray, got {type(dx).__name__}"
        if dx.shape != x.shape:
            return f"backward returned shape {dx.shape} for an input of {x.shape}: they must be the same"
        if dx.dtype != dtype:
            return f"backward returned {dx.dtype} for {dtype}: a constant array of another dtype is in the way"
    return None


def _backward_keeps(bench: Bench) -> str | None:
    layer, x = bench.layer(), bench.x()
    dy = bench.dy(layer.forward(x))
    kept = dy.copy()
    layer.backward(dy)
    if not np.array_equal(dy, kept):
        return "backward changed dy, which belongs to the layer after it: work on a copy"
    if not np.array_equal(x, bench.x()):
        return "backward changed the input of forward, which belongs to the layer before it: work on a copy"
    return None


def _parameter_gradients(bench: Bench) -> str | None:
    for dtype in DTYPES:
        layer = bench.layer(dtype)
        layer.backward(bench.dy(layer.forward(bench.x(dtype))))
        for parameter in layer.parameters():
            name, grad = parameter.name, parameter.grad
            if grad is None:
                return f"backward set no gradient of {name}: call its set_grad"
            if np.shape(grad) != parameter.shape:
                return (
                    f"the gradient of {name} has shape {np.shape(grad)}, {name} has {parameter.shape}: sum over the "
                    "axes along which it was repeated"
                )
            if grad.dtype != dtype:
                return f"the gradient of {name} is {grad.dtype}, {name} is {dtype}: set_grad converts it"
    return None


def _gradients(layer: Module) -> dict[str, Array]:
    return {parameter.name: parameter.grad.copy() for parameter in layer.parameters() if parameter.grad is not None}


def _changed(before: dict[str, Array], after: dict[str, Array]) -> str | None:
    """Return the name of the first gradient that is not the same."""
    return next((name for name, gradient in before.items() if not same(after.get(name), gradient)), None)


def _gradients_set(bench: Bench) -> str | None:
    layer, x = bench.layer(), bench.x()
    state = State(layer)
    dy = bench.dy(layer.forward(x))
    layer.backward(dy)
    first, arrays = _gradients(layer), [parameter.grad for parameter in layer.parameters()]
    state.restore()
    layer.forward(x)
    layer.backward(dy)
    if name := _changed(first, _gradients(layer)):
        return f"the same pass again gives another gradient of {name}: set it with set_grad, do not add to it"
    for parameter, array in zip(layer.parameters(), arrays, strict=True):
        if parameter.grad is not array:
            return (
                f"backward put a new array in the place of {parameter.name}.grad, and an optimizer holds the old one: "
                "use set_grad"
            )
    return None


def _without_input_grad(bench: Bench) -> str | None:
    full, part, x = bench.layer(), bench.layer(), bench.x()
    dy = bench.dy(full.forward(x))
    part.forward(x)
    full.backward(dy)
    returned = part.backward(dy, input_grad=False)
    if returned is not None:
        return f"backward(dy, input_grad=False) must return None, got {type(returned).__name__}"
    if name := _changed(_gradients(full), _gradients(part)):
        return (
            f"backward(dy, input_grad=False) gives another gradient of {name} than backward(dy): only the input's may "
            "be left out"
        )
    return None


def _cause(rows: list[Entry], batch: int) -> str:
    """Return a guess at what went wrong, from the entries of one array; empty where there is none."""
    analytic = np.array([row.analytic for row in rows])
    numeric = np.array([row.numeric for row in rows])
    if not analytic.any():
        return ": backward leaves it at zero"
    if not numeric.any():
        return ": the output does not depend on it; forward must read .value each time"
    if not numeric.all():
        return ""
    ratios = analytic / numeric
    ratio = float(ratios[0])
    if not np.allclose(ratios, ratio, rtol=1e-4):
        return ""
    if np.isclose(ratio, -1, rtol=1e-4):
        return ": the sign is wrong"
    if np.isclose(ratio * batch, 1, rtol=1e-4):
        return ": it is divided by N, which the loss has already done"
    return f": it is {ratio:.4g} times too large" if ratio > 1 else f": it is {ratio:.4g} times what it should be"


def _gradient_fault(bench: Bench, layer: Module) -> str | None:
    rng = bench.generator()
    result = compare(Problem.of_module(layer, bench.x(), rng), rng, max_entries=bench.max_entries, worst=_SHOWN)
    if result:
        return None
    if result.max_relative_error <= result.rtol:
        return (
            f"{result.kinks} of {result.checked} gradient entries lie at kinks, where a derivative has two values: is "
            "the layer smooth anywhere?"
        )
    row = result.rows[0]
    wrong = [name for name, error in result.errors.items() if error > result.rtol]
    place = "along a random direction" if row.index is None else f"at {row.index}"
    alike = [other for other in result.rows if other.array == row.array and other.error > result.rtol]
    return (
        f"the gradient of {' and of '.join(wrong)} is wrong; of {row.array} {place} backward says {row.analytic:.6g}, "
        f"differences say {row.numeric:.6g}{_cause(alike, bench.batch)}"
    )


def _training_gradients(bench: Bench) -> str | None:
    return _gradient_fault(bench, bench.layer())


def _evaluation_gradients(bench: Bench) -> str | None:
    return _gradient_fault(bench, bench.trained())


def _one_image(bench: Bench) -> str | None:
    layer, x = bench.trained(), bench.x()
    y = layer.forward(x).copy()
    one = layer.forward(x[:1])
    if not same(one, y[:1]):
        return (
            f"the first image alone gives another output (shape {np.shape(one)}) than in its batch (shape {y.shape}): "
            "is a size kept from an earlier batch, or an axis squeezed?"
        )
    dx = np.array(layer.backward(bench.dy(y)[:1]))
    if dx.shape != x[:1].shape:
        return f"backward of one image returned shape {dx.shape} for an input of {x[:1].shape}"
    return None


def _read_only(array: Array) -> Array:
    result = array.copy()
    result.flags.writeable = False
    return result


def _strided(array: Array) -> Array:
    return np.repeat(array, 2, axis=-1)[..., ::2]  # every second number of a wider array: no axis is contiguous


_LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "read-only": _read_only,
    "non-contiguous": _strided,
    "column-major": np.asfortranarray,
}


def _memory_layouts(bench: Bench) -> str | None:
    layer, x = bench.trained(), bench.x()
    y = layer.forward(x).copy()
    dy = bench.dy(y)
    dx = np.array(layer.backward(dy))
    for name, change in _LAYOUTS.items():
        try:
            if not same(layer.forward(change(x)), y):
                return f"forward gives another output for a {name} input of the same numbers"
            if not same(layer.backward(change(dy)), dx):
                return f"backward gives another gradient for a {name} dy of the same numbers"
        except Exception as error:
            return f"a {name} input or dy of the same numbers raises {type(error).__name__}: {error}"
    return None


def _needs_forward(bench: Bench) -> str | None:
    x = bench.x()
    y = bench.layer().forward(x).copy()
    fresh, without = bench.layer(), bench.layer()
    with no_grad():
        for _, module in fresh.modules():
            module.save_for_backward()  # a layer that has been used keeps something: drop it
        without.forward(x)
    for layer, when in ((fresh, "before forward"), (without, "after a forward pass inside no_grad")):
        try:
            layer.backward(bench.dy(y))
        except RuntimeError:
            continue
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
        else:
            got = "a result"
        return (
            f"backward {when} must raise RuntimeError, got {got}: keep what it needs with self.save_for_backward(...) "
            "and read it with self.saved()"
        )
    return None


def _state_round_trip(bench: Bench) -> str | None:
    trained, fresh, x = bench.trained(), bench.layer(mode="evaluation"), bench.x()
    state = trained.state_dict()
    fresh.load_state_dict(state)
    y = trained.forward(x).copy()
    if not np.array_equal(fresh.forward(x), y):
        return (
            "a layer that has loaded the state of a trained one gives another output: something that forward uses is "
            "missing from state_dict; make it a Parameter, or name it in buffer_names"
        )
    for array in state.values():
        array[...] = 0
    if not (np.array_equal(trained.forward(x), y) and np.array_equal(fresh.forward(x), y)):
        return "a change to what state_dict returned changes the layer: it must hold copies, and load_state_dict copy"
    return None


BACKWARD_CHECKS = (
    Check(
        "backward",
        "the input's gradient has the input's shape and dtype",
        _backward,
        ("dtype kept", "finite", "input kept by forward"),
    ),
    Check(
        "arrays kept by backward", "`backward` writes neither to dy nor to the input", _backward_keeps, ("backward",)
    ),
    Check(
        "parameter gradients",
        "every parameter gets a gradient of its shape and dtype",
        _parameter_gradients,
        ("backward",),
    ),
    Check(
        "gradients set",
        "a second pass replaces the gradients, in the arrays that are there",
        _gradients_set,
        ("parameter gradients", "arrays kept by backward"),
    ),
    Check(
        "input_grad=False",
        "without the input's gradient None is returned, and the parameters' are the same",
        _without_input_grad,
        ("parameter gradients", "arrays kept by backward"),
    ),
    Check(
        "gradients in training mode",
        "the gradients agree with central differences in training mode",
        _training_gradients,
        ("parameter gradients", "arrays kept by backward", "no_grad", "modes"),
    ),
    Check(
        "gradients in evaluation mode",
        "the gradients agree with central differences in evaluation mode",
        _evaluation_gradients,
        ("gradients in training mode", "evaluation repeatable"),
    ),
    Check(
        "one image",
        "a batch of one, after a larger one, works as well",
        _one_image,
        ("parameter gradients", "arrays kept by backward", "images apart"),
    ),
    Check(
        "memory layouts",
        "read-only, non-contiguous and column-major arrays give the same",
        _memory_layouts,
        ("parameter gradients", "arrays kept by backward", "evaluation repeatable"),
    ),
    Check(
        "backward needs forward",
        "`backward` before `forward`, and after a forward pass in `no_grad`, raises RuntimeError",
        _needs_forward,
        ("backward",),
    ),
    Check(
        "state round trip",
        "a trained layer's state makes an untrained one compute the same",
        _state_round_trip,
        ("parameter gradients", "evaluation repeatable"),
    ),
)
"""In the order in which they run, after the forward ones, which some of them need."""
