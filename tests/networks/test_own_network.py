"""A network of a user's own: which text is run, as what, and what is said where it fails."""

import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from widthwise.errors import RequestError
from widthwise.experiments.user_code import with_code
from widthwise.networks.build import build_initialized
from widthwise.networks.fresh_import import PREFIX
from widthwise.networks.own_network import OwnNetwork, logits_of
from widthwise.networks.scheme import Initialization

AS_BUILT = Initialization(scheme="as_built")

NETWORK = """
from pathlib import Path

from torch import nn

from layers.blocks import block
import sizes


def build(width_factor, shape, depth=1):
    import late  # found when it is called too

    units = round(sizes.UNITS * width_factor)
    blocks = [block(shape[0] if number == 0 else units, units) for number in range(depth)]
    network = nn.Sequential(*blocks, nn.Linear(units, late.CLASSES))
    network.folder = Path(__file__).parent
    return network
"""
BLOCKS = """
from torch import nn

from .activation import activation


def block(inputs, units):
    return nn.Sequential(nn.Linear(inputs, units), activation())
"""


def written(folder: Path, units: int = 8, **files: str) -> Path:
    content = {
        **{"mynet.py": NETWORK, "sizes.py": f"UNITS = {units}\n", "late.py": "CLASSES = 3\n"},
        **{"layers/__init__.py": "", "layers/blocks.py": BLOCKS},
        **{"layers/activation.py": "from torch.nn import ReLU as activation\n"},
        **files,
    }
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def described(folder: Path, factory: str = "mynet.py:build", **settings: Any) -> OwnNetwork:
    return OwnNetwork.model_validate(with_code({"factory": factory, **settings}, folder))


def built(network: OwnNetwork, seed: int = 0) -> nn.Module:
    return build_initialized(network, AS_BUILT, (5,), 3, seed)


def test_its_function_is_called_with_what_it_has_parameters_for(tmp_path: Path):
    network = built(described(written(tmp_path), width_factor=0.5, arguments={"depth": 2}))
    assert [tuple(weights.shape) for weights in network.parameters() if weights.ndim == 2] == [(4, 5), (4, 4), (3, 4)]
    assert network.folder == tmp_path, "what lies beside the file can be found"


def test_the_seed_draws_its_weights_and_nothing_else(tmp_path: Path):
    described_ = described(written(tmp_path))
    before = torch.get_rng_state()
    one, same, other = (nn.utils.parameters_to_vector(built(described_, seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
    he = build_initialized(described_, Initialization(scheme="he_normal"), (5,), 3, 1)
    assert not torch.equal(nn.utils.parameters_to_vector(he.parameters()), one)
    assert all(not module.bias.any() for module in he.modules() if isinstance(module, nn.Linear))


def test_the_text_that_it_holds_is_run_whatever_the_files_say_now(tmp_path: Path):
    held = described(written(tmp_path))
    written(tmp_path, units=16)
    changed = described(tmp_path)
    assert held != changed
    units = {
        name: next(built(network).parameters()).shape[0] for name, network in (("held", held), ("changed", changed))
    }
    assert units == {"held": 8, "changed": 16}
    assert built(held).folder != tmp_path
    assert (built(held).folder / "sizes.py").read_text() == "UNITS = 8\n", "a copy, for messages that show lines"
    assert next(built(held).parameters()).shape[0] == 8


def test_its_modules_have_names_of_their_own(tmp_path: Path):
    before = set(sys.modules)
    built(described(written(tmp_path, units=9)))
    assert all(name.startswith(PREFIX) for name in set(sys.modules) - before)
    assert "sizes" not in sys.modules
    assert "layers" not in sys.modules


def test_it_is_the_same_network_wherever_its_files_lie(tmp_path: Path):
    one, other = (described(written(tmp_path / name)) for name in ("one", "other"))
    assert one == other
    assert hash(one) == hash(other)
    assert one.content() == other.content()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_this_name", "importing mynet.py raised ModuleNotFoundError: No module named 'nothing_of"),
        ("def biuld(): ...", "mynet.py has no function 'build'; did you mean biuld?"),
        ("def build(width_factor): return 3", "build() of mynet.py returns int; it must return a torch.nn.Module"),
        ("def build(): ...", "build() of mynet.py raised TypeError: build() got an unexpected keyword argument"),
        (
            "def build(width_factor):\n    raise RuntimeError('too wide\\nby far')",
            "build() of mynet.py raised RuntimeError: too wide",
        ),
        ("import sys\nsys.exit(3)", "importing mynet.py raised SystemExit: 3"),
        ("def build(width_factor): raise SystemExit", "build() of mynet.py raised SystemExit"),
        (
            "from torch import nn\ndef build(width_factor): return nn.Sequential(nn.LazyLinear(3))",
            "'0' of the network that build() of mynet.py gives is lazy; its weights are drawn before it sees data",
        ),
        (
            "from torch import nn\ndef build(width_factor): return nn.ReLU()",
            "build() of mynet.py returns has no parameters to train",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_in_a_sentence(tmp_path: Path, text: str, said: str):
    (tmp_path / "mynet.py").write_text(text)
    before = {name for name in sys.modules if name.startswith(PREFIX)}
    with pytest.raises(RequestError) as raised:
        built(described(tmp_path))
    message = str(raised.value)
    assert message.startswith("network.factory: ")
    assert said in message
    assert "\n" not in message
    if text.startswith("import"):
        assert {name for name in sys.modules if name.startswith(PREFIX)} == before, "nothing half-imported stays"


def test_what_is_passed_anyway_is_no_argument(tmp_path: Path):
    with pytest.raises(RequestError, match=r"network\.arguments: shape is passed to build\(\) of mynet\.py by itself"):
        built(described(written(tmp_path), arguments={"shape": [3]}))


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object(), {1: 2}, [date(2020, 1, 1)]])
def test_arguments_are_what_a_store_can_hold(tmp_path: Path, value: object):
    with pytest.raises(ValueError, match=r"arguments\n.*(a finite number, text|is no text)"):
        described(written(tmp_path), arguments={"depth": value})
    assert described(tmp_path, arguments={"depth": (1, 2)}) == described(tmp_path, arguments={"depth": [1, 2]})


def test_layers_are_those_that_it_names(tmp_path: Path):
    network = described(written(tmp_path), layers=["0"])
    assert network.measured_layers == built(network).measured_layers == ("0",)
    assert described(tmp_path).measured_layers is None
    assert not hasattr(built(described(tmp_path)), "measured_layers")


def test_logits_are_found_in_what_a_network_gives():
    logits = torch.ones(2, 3)
    for output in (logits, (logits, None), {"logits": logits}, type("Output", (), {"logits": logits})()):
        assert logits_of(output) is logits
    for wrong in (torch.ones(2), {"hidden": logits}, 3):
        with pytest.raises(RequestError, match=r"logits of shape \(examples, classes\), not"):
            logits_of(wrong)
