"""A network as a program that needs none of its code: `torch.export` and ONNX, loaded again and compared with it."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from widthwise.compression.example import Example, Reference
from widthwise.errors import RequestError, TrialError
from widthwise.tracing.failures import is_out_of_memory
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.untouched import untouched
from widthwise.wording import one_line

ANY_NUMBER = "examples"
"""In the shape of an input: any number of examples."""
WARNINGS = (
    (FutureWarning, r"`isinstance\(treespec, LeafSpec\)` is deprecated"),
    (UserWarning, r"The tensor attributes? self\..*_flat_weights"),
)
"""What PyTorch warns of in its own code while it exports: of the second, in recurrent networks."""
LOGGERS = ("torch.onnx", "torch.fx.experimental.symbolic_shapes", "onnxscript")
"""They tell of packages that are not needed, of what the error says, too, and of constants that are not folded."""


class Exporting:
    """Exports a network, the same program to several formats.

    inputs: the name, type and shape of each input; along `examples` there may be any number of them.
    gives_scores: whether the program gives the scores that labels are formed from, in place of the network's output,
        which is not one tensor.

    Args:
        model: the network, which stays as it is.
        example: inputs for it.

    Raises:
        RequestError: it cannot be exported.
        TrialError: there is not enough memory.
    """

    def __init__(self, model: nn.Module, example: Example):
        self._name = type(model).__name__
        with self._in_one_sentence("cannot be exported"):
            self._reference = Reference(model, example)
            self._program = self._exported()
        self.gives_scores = self._reference.gives_scores
        self.inputs = _described(self._program)

    def pt2(self) -> bytes:
        """The content of a file for `torch.export.load`.

        Raises:
            RequestError: what is loaded from it does not answer alike.
            TrialError: there is not enough memory.
        """
        with self._in_one_sentence("cannot be exported to pt2"):
            file = io.BytesIO()
            torch.export.save(self._program, file)
            file.seek(0)
            self._compare("pt2", called(torch.export.load(file).module()))
        return file.getvalue()

    def onnx(self) -> bytes:
        """The content of an ONNX file.

        Raises:
            RequestError: it cannot be written in ONNX, or ONNX Runtime does not answer alike.
            TrialError: there is not enough memory.
        """
        import onnxruntime

        with self._in_one_sentence("cannot be exported to onnx"):
            program = torch.onnx.export(self._program, (), dynamo=True, verbose=False, output_names=["output"])
            assert program is not None
            content = program.model_proto.SerializeToString()
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3  # errors
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            names = [each.name for each in session.get_inputs()]

            def run(inputs: Inputs) -> Tensor:
                given = {name: tensor.numpy() for name, tensor in zip(names, inputs.tensors, strict=True)}
                return torch.from_numpy(session.run(None, given)[0])

            self._compare("onnx", run)
        return content

    def _exported(self) -> ExportedProgram:
        """The program, for any number of examples if the network's code allows that."""
        with suppress(Exception):  # whatever code raises that depends on the number of examples
            program = self._program_for(any_number=True)
            one = self._reference.inputs.part(0, 1)
            if not self._reference.difference(called(program.module()), one):
                return program
        return self._program_for(any_number=False)

    def _program_for(self, any_number: bool) -> ExportedProgram:
        model, inputs = self._reference.model, self._reference.inputs
        shapes = ShapesCollection()
        for tensor, at in zip(inputs.tensors, inputs.dimensions, strict=True):
            if any_number and at is not None:
                shapes[tensor] = {at: Dim.AUTO}
        with untouched(model):
            dynamic = shapes.dynamic_shapes(model, inputs.args, inputs.kwargs)
            with redirect_stderr(io.StringIO()):  # on which PyTorch prints how far it got
                return torch.export.export(model, inputs.args, inputs.kwargs, dynamic_shapes=dynamic, strict=False)

    def _compare(self, name: str, run: Callable[[Inputs], object]) -> None:
        inputs = self._reference.inputs
        parts = [inputs]
        if any(ANY_NUMBER in shape for _, _, shape in self.inputs):
            parts.append(inputs.part(0, 1))
        for part in parts:
            if difference := self._reference.difference(run, part):
                raise RequestError(
                    f"{self._name} exported to {name} {difference}, so it was not written", field="formats"
                )

    @contextmanager
    def _in_one_sentence(self, what: str) -> Iterator[None]:
        """Quiet, and with whatever the exporter raises as one sentence."""
        try:
            with _quiet(), torch.no_grad():
                yield
        except (RequestError, TrialError):
            raise
        except Exception as error:  # of any part of PyTorch, ONNX or the model
            problem = f"{self._name} {what}: {one_line(error)}"
            if is_out_of_memory(error):
                raise TrialError(problem) from error
            raise RequestError(problem, field="formats") from error


def called(module: nn.Module) -> Callable[[Inputs], object]:
    """A function of inputs that gives what a module does."""
    return lambda inputs: inputs.call(module)


def _described(program: ExportedProgram) -> list[tuple[str, str, list[int | str]]]:
    """The name, type and shape of each input."""
    found = []
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs and isinstance(value, Tensor):
            shape = [size if isinstance(size, int) else ANY_NUMBER for size in value.shape]
            found.append((node.name, str(value.dtype).removeprefix("torch."), shape))
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters say of themselves."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for category, message in WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
