"""Every failure of a model or of its inputs is one sentence, and leaves the model as it was."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from widthwise.errors import RequestError, TrialError
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.failures import is_out_of_memory

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's own, of old and of unfinished parts of it
SETTINGS = Measurement(levels=3, samplings=2, single_units=True, replacement="mean")
VALUES = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))


def dense(*middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), *(middle or (nn.ReLU(),)), nn.Linear(6, 3))


def doing(action: Callable[["Acting", Tensor], object]) -> "Acting":
    return Acting(action)


class Acting(nn.Module):
    """Does something before it answers."""

    def __init__(self, action: Callable[["Acting", Tensor], object]):
        super().__init__()
        self.body, self.act, self.head = dense(), nn.ReLU(), nn.Linear(3, 3)
        self.register_buffer("count", torch.zeros(()))
        self.action = action

    def forward(self, value: Tensor) -> Tensor:
        self.action(self, value)
        return self.head(self.act(self.body(value)))


class Returning(nn.Module):
    """Returns something made of its answer."""

    def __init__(self, made: Callable[[Tensor], object]):
        super().__init__()
        self.body, self.made = dense(), made

    def forward(self, value: Tensor) -> object:
        return self.made(self.body(value))


class Unready(nn.Module):
    """Its `__init__` does not call that of `nn.Module`."""

    def __init__(self):
        pass


class WithoutLinear(Tensor):
    """A user's own type of parameter, which knows no dense layer."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None):
        if func is torch.nn.functional.linear:
            raise NotImplementedError("no dense layer\nin this type")
        return super().__torch_function__(func, types, args, kwargs or {})


class OwnType(Tensor):
    """A user's own type of parameter, which changes nothing."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None):
        return super().__torch_function__(func, types, args, kwargs or {})


def of_type(kind: type[Tensor]) -> nn.Sequential:
    model = dense()
    model[0].weight = nn.Parameter(model[0].weight.data.as_subclass(kind))
    return model


def hooked(register: str) -> nn.Sequential:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("in a hook\nof the user")

    model = dense()
    getattr(model[1], register)(fail)
    return model


def faked(make: Callable[[], Any]) -> Any:
    with FakeTensorMode():
        return make()


def raising(error: BaseException) -> Callable[[Acting, Tensor], object]:
    def action(model: Acting, value: Tensor) -> None:
        raise error

    return action


REFUSED: dict[str, tuple[Callable[[], object], Callable[[], object], str]] = {
    "scripted": (lambda: torch.jit.script(dense()), lambda: VALUES, "scripted or traced .*give the torch.nn.Module"),
    "traced": (lambda: torch.jit.trace(dense(), VALUES), lambda: VALUES, "is scripted or traced"),
    "frozen": (lambda: torch.jit.freeze(torch.jit.script(dense().eval())), lambda: VALUES, "is scripted or traced"),
    "on meta": (lambda: dense().to("meta"), lambda: VALUES, "0.weight is on the meta device and has no values"),
    "input on meta": (dense, lambda: VALUES.to("meta"), "an input is on the meta device and has no values"),
    "fake": (lambda: faked(dense), lambda: VALUES, "0.weight is a FakeTensor and has no values"),
    "fake input": (dense, lambda: faked(lambda: torch.randn(8, 5)), "an input is a FakeTensor and has no values"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(6), nn.ReLU()), lambda: VALUES, "0.weight of a lazy module is not in"),
    "lazy norm": (lambda: dense(nn.LazyBatchNorm1d(), nn.ReLU()), lambda: VALUES, "1.weight of a lazy module is not"),
    "no width": (
        lambda: nn.Sequential(nn.Linear(5, 0), nn.ReLU(), nn.Linear(0, 3)),
        lambda: VALUES,
        "no layer's value has units",
    ),
    "no classes": (lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 0)), lambda: VALUES, "no label can"),
    "nested": (dense, lambda: torch.nested.nested_tensor([VALUES[:3], VALUES[3:]]), "batch 1 holds a nested tensor"),
    "jagged": (
        dense,
        lambda: torch.nested.nested_tensor([VALUES[:3], VALUES[3:]], layout=torch.jagged),
        "batch 1 holds a nested tensor",
    ),
    "sparse": (lambda: dense(nn.Flatten(), nn.ReLU())[1:], VALUES.to_sparse, "cannot be run on batch 1, of shape"),
    "complex": (dense, lambda: VALUES * 1j, r"cannot be run on batch 1, of shape \(8, 5\): RuntimeError: "),
    "complex model": (lambda: dense(nn.Tanh()).to(torch.complex64), lambda: VALUES * 1j, "complex numbers, from which"),
    "double": (dense, VALUES.double, r"cannot be run on batch 1, of shape \(8, 5\)"),
    "scalar": (dense, lambda: torch.tensor(1.0), r"cannot be run on batch 1, of shape \(\)"),
    "quantized": (
        lambda: torch.ao.quantization.quantize_dynamic(dense(), {nn.Linear}, torch.qint8),
        lambda: VALUES,
        "no nonlinearity that is a hidden layer",
    ),
    "quantized input": (
        dense,
        lambda: torch.quantize_per_tensor(VALUES, 0.1, 0, torch.quint8),
        "cannot be run on batch 1",
    ),
    "unready": (Unready, lambda: VALUES, r"a module of Unready is not initialized.*must call super\(\).__init__\(\)"),
    "unready part": (lambda: dense(Unready()), lambda: VALUES, "a module of Sequential is not initialized"),
    "hook before": (lambda: hooked("register_forward_pre_hook"), lambda: VALUES, "ZeroDivisionError: in a hook$"),
    "hook after": (lambda: hooked("register_forward_hook"), lambda: VALUES, "ZeroDivisionError: in a hook$"),
    "own type": (lambda: of_type(WithoutLinear), lambda: VALUES, "NotImplementedError: no dense layer$"),
    "adds a module": (
        lambda: doing(lambda model, value: model.add_module("late", nn.ReLU())),
        lambda: VALUES,
        "changes its own module late when it is run; if it only makes it in its first run, run it once before",
    ),
    "replaces one": (
        lambda: doing(lambda model, value: setattr(model, "act", nn.ReLU())),
        lambda: VALUES,
        "changes its own module act when it is run",
    ),
    "replaces a parameter": (
        lambda: doing(lambda model, value: setattr(model.head, "weight", nn.Parameter(model.head.weight + 1))),
        lambda: VALUES,
        "changes its own parameter head.weight when it is run",
    ),
    "deletes one": (
        lambda: doing(lambda model, value: model._modules.pop("act") if value.any() else None),
        lambda: VALUES,
        r"cannot be run on batch 1.*'act'",
    ),
    "writes": (
        lambda: doing(lambda model, value: model.head.weight.add_(1)),
        lambda: VALUES,
        "writes to its own parameter head.weight",
    ),
    "writes by data": (
        lambda: doing(lambda model, value: model.head.weight.data.mul_(2)),
        lambda: VALUES,
        "writes to its own parameter head.weight",
    ),
    "random": (lambda: Returning(lambda output: output + torch.rand(3)), lambda: VALUES, "answers differently to the"),
    "nothing": (lambda: Returning(lambda output: None), lambda: VALUES, "the model returns NoneType, from which no"),
    "stops": (lambda: doing(raising(StopIteration("early"))), lambda: VALUES, "StopIteration: early"),
    "many lines": (lambda: doing(raising(KeyError("a\nb"))), lambda: VALUES, "KeyError"),
}


def unchecked_profile(model: Any, batches: Any, **options: Any):
    """`profile` as a user calls it, without the type checks of the tests."""
    return getattr(profile, "__wrapped__", profile)(model, batches, settings=SETTINGS, **options)


def state(model: nn.Module) -> dict[str, Any]:
    """All that a measurement must leave as it was."""
    found: dict[str, Any] = {}
    for name, module in model.named_modules():
        found[f"{name} mode"] = getattr(module, "training", None)
        found[f"{name} parts"] = [part for part, _ in module.named_children()]
        if not isinstance(module, torch.jit.ScriptModule):
            found[f"{name} hooks"] = (list(module._forward_hooks), list(module._forward_pre_hooks))
            found[f"{name} attributes"] = sorted(vars(module))
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        found[f"{name} itself"] = id(value)
        if type(value) is nn.Parameter and value.device.type == "cpu":
            found[f"{name} values"] = value.tolist()
    return found


@pytest.mark.parametrize("case", REFUSED)
def test_what_fails_is_refused_in_one_sentence_and_the_model_stays_as_it_was(case: str):
    make_model, make_inputs, message = REFUSED[case]
    model, inputs = make_model(), make_inputs()
    ready = isinstance(model, nn.Module) and "unready" not in case
    before = state(model) if ready else None
    with pytest.raises(RequestError, match=message) as refused:
        unchecked_profile(model, [inputs])
    assert "\n" not in str(refused.value)
    assert (state(model) if ready else None) == before


class InParts(nn.Module):
    """A part that cannot be seen, with batch normalization, before parts that can."""

    def __init__(self, part: nn.Module):
        super().__init__()
        torch.manual_seed(1)
        self.part, self.body = part, nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))

    def forward(self, value: Tensor) -> Tensor:
        return self.body(self.part(value))


def part() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU())


MEASURED: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "scripted part": (lambda: InParts(torch.jit.script(part())), lambda: InParts(part())),
    "traced part": (lambda: InParts(torch.jit.trace(part().eval(), VALUES)), lambda: InParts(part())),
    "frozen part": (lambda: InParts(torch.jit.freeze(torch.jit.script(part().eval()))), lambda: InParts(part())),
    "traced by fx": (lambda: torch.fx.symbolic_trace(InParts(part())), lambda: InParts(part())),
    "own type": (lambda: of_type(OwnType), dense),
    "made for inference": (lambda: torch.inference_mode()(dense)(), dense),
    "exported": (lambda: torch.export.export(dense(), (VALUES,)).module(), dense),
    "counting its runs": (
        lambda: doing(lambda model, value: (model.count.add_(1), setattr(model, "runs", 1))),
        lambda: doing(lambda model, value: None),
    ),
    "adding hooks": (
        lambda: doing(lambda model, value: model.act.register_forward_hook(lambda *_: None)),
        lambda: doing(lambda model, value: None),
    ),
    "replacing a buffer": (
        lambda: doing(lambda model, value: setattr(model, "count", model.count + 1)),
        lambda: doing(lambda model, value: None),
    ),
    "training itself": (
        lambda: doing(lambda model, value: setattr(model.act, "training", True)),
        lambda: doing(lambda model, value: None),
    ),
}


@pytest.mark.parametrize("case", MEASURED)
def test_what_only_looks_hostile_is_measured_and_left_as_it_was(case: str):
    make, make_plain = MEASURED[case]
    model, plain = make(), make_plain()
    before = state(model)
    measured, expected = unchecked_profile(model, [VALUES]), unchecked_profile(plain, [VALUES])
    assert state(model) == before
    one, other = (each.units[each.units["layer"] == each.layers["layer"].iloc[-1]] for each in (measured, expected))
    assert one["mean"].tolist() == pytest.approx(other["mean"].tolist(), rel=1e-5)
    assert one["unchanged_alone"].tolist() == other["unchanged_alone"].tolist()


def test_sparse_inputs_of_a_dense_layer_are_measured_as_dense_ones():
    assert unchecked_profile(dense(), [VALUES.to_sparse()]).ablation.equals(
        unchecked_profile(dense(), [VALUES]).ablation
    )


def test_putting_back_goes_on_after_a_failure():
    class Stubborn(nn.Module):
        """A buffer of a type that cannot be compared."""

        def __init__(self):
            super().__init__()
            self.body = dense(nn.ReLU(), nn.Dropout())
            self.register_buffer("odd", torch.zeros(2))

        def forward(self, value: Tensor) -> Tensor:
            self.odd.resize_(3)
            return self.body(value)

    model = Stubborn()
    with pytest.raises(RequestError, match="Stubborn cannot be measured: RuntimeError"):
        unchecked_profile(model, [VALUES])
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_memory_that_runs_out_anywhere_is_a_failure_of_the_work(error: Exception, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise error

    assert is_out_of_memory(error)
    for place in (
        *("tracing.model_runs.recorded", "measurement.passes.ablate", "measurement.passes.layer_activity"),
        *("measurement.correlation.RunningCorrelation._add", "measurement.profile.profile_tables"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"widthwise.{place}", fail)
            with pytest.raises(TrialError, match="memory") as failed:
                unchecked_profile(dense(), [VALUES])
            assert "\n" not in str(failed.value)


def test_memory_that_runs_out_while_batches_are_read_is_a_failure_of_the_work():
    def batches():
        yield VALUES
        np.empty(1 << 55)

    with pytest.raises(TrialError, match=r"batch 2 cannot be read: .*Unable to allocate"):
        unchecked_profile(dense(), batches())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_stays_what_it_is(error: type[BaseException]):
    model = doing(raising(error()))
    before = state(model)
    with pytest.raises(error):
        unchecked_profile(model, [VALUES])
    assert state(model) == before


def test_an_error_of_on_progress_stays_what_it_is():
    def fail(progress: object) -> None:
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        unchecked_profile(dense(), [VALUES], on_progress=fail)
    with warnings.catch_warnings():
        assert unchecked_profile(dense(), [VALUES]).examples == 8
