"""Other files of a smaller network: they answer alike in a process that knows nothing of it, or are not written."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.compression.fresh import network
from tests.compression.test_compress import FILE, IMAGES, VECTORS, compress, dense, drawn, seeded
from tests.typed import widthwise
from widthwise.compression import files
from widthwise.compression.example import Example
from widthwise.compression.pretrained import pretrained_files
from widthwise.errors import RequestError
from widthwise.tracing.inputs import Inputs

TOKENS = [{"input_ids": torch.randint(0, 40, (60, 5), generator=torch.Generator().manual_seed(2))}]
SIZES: dict[str, Any] = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    return seeded(BertForSequenceClassification(BertConfig(**SIZES, intermediate_size=24, num_labels=3)))


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return seeded(LlamaForCausalLM(LlamaConfig(**SIZES, intermediate_size=24)))


def mistral() -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    return seeded(MistralForCausalLM(MistralConfig(**SIZES, num_key_value_heads=1, intermediate_size=24)))


def test_each_kind_of_file_gives_the_same_labels_in_a_fresh_process(tmp_path: Path):
    plain, language = compress(seeded(network()), IMAGES), compress(llama(), TOKENS)
    plain.save(tmp_path / "plain", formats=("pt2", "onnx"))
    language.save(tmp_path / "llama", formats="transformers")
    images, tokens = drawn(9, 20, 3, 8, 8), TOKENS[0]["input_ids"][:7]
    torch.save({"images": images, "tokens": tokens}, tmp_path / "inputs.pt")
    words = [sys.executable, "-m", "tests.compression.fresh", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = [plain.model(images)] * 3 + [language.model(tokens).logits]
    assert json.loads(done.stdout) == [scores.argmax(-1).tolist() for scores in expected]
    about = json.loads((tmp_path / "plain/compressed.json").read_text())["formats"]
    given = {"name": "input", "type": "float32", "shape": ["examples", 3, 8, 8]}
    assert about["onnx"] == {"file": "network.onnx", "inputs": [given], "output": "output"}
    config = json.loads((tmp_path / "llama/config.json").read_text())
    assert (config["intermediate_size"], config["mlp_bias"], config["attention_bias"]) == (12, True, True)


def test_a_config_has_one_width_for_all_layers(tmp_path: Path):
    unlike = (
        r"no config of BertForSequenceClassification gives layers of unlike widths: bert\.encoder\.layer\.0\."
        r"intermediate\.dense has 12 units and bert\.encoder\.layer\.1\.intermediate\.dense 24; give all of them one"
    )
    pooler = "no config of BertForSequenceClassification makes the 8 units of bert.pooler.dense 4; name other layers"
    bias = r"no config of MistralForCausalLM gives model\.layers\.0\.mlp\.down_proj a bias, which its"
    wrong = ((bert, "*.0.intermediate*", unlike), (bert, "bert.pooler*", pooler), (mistral, None, bias))
    for build, layers, sentence in wrong:
        with pytest.raises(RequestError, match=sentence):
            compress(build(), TOKENS, layers=layers).save(tmp_path / "small", formats="transformers")
    assert not list(tmp_path.iterdir())
    found = compress(bert(), TOKENS, layers="*intermediate*")
    found.save(tmp_path / "small", formats="transformers")
    again = type(found.model).from_pretrained(tmp_path / "small")
    assert again.config.intermediate_size == 12
    with torch.no_grad():
        torch.testing.assert_close(again(**TOKENS[0]).logits, found.model(**TOKENS[0]).logits)


def test_a_config_has_one_number_of_heads():
    from transformers import LlamaConfig, LlamaForCausalLM

    whole = seeded(LlamaForCausalLM(LlamaConfig(**SIZES | {"num_attention_heads": 4}, num_key_value_heads=2)))
    for layer in whole.model.layers:  # one of the heads of keys and values goes, with its two queries
        for name, units, dimension in (("q_proj", 4, 0), ("k_proj", 2, 0), ("v_proj", 2, 0), ("o_proj", 4, 1)):
            module = getattr(layer.self_attn, name)
            module.weight = nn.Parameter(module.weight.detach().narrow(dimension, 0, units).clone())
    found = pretrained_files(whole, Example(Inputs((), TOKENS[0]), None))
    config = json.loads(found["config.json"])
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (2, 1, 2)


class Rows(nn.Module):
    """Its code takes the number of examples as a number, so that a program of it is for this number."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, values):
        return self.two(torch.relu(self.one(values.reshape(len(values), 6))))


def test_a_program_for_one_number_of_examples_says_so(tmp_path: Path):
    found = compress(seeded(Rows()), VECTORS)
    found.save(tmp_path / "small", formats="pt2")
    program = torch.export.load(tmp_path / "small/network.pt2").module()
    values = drawn(8, 8, 6)
    torch.testing.assert_close(program(values), found.model(values))
    page = (tmp_path / "small/README.md").read_text()
    assert "takes `values` (float32, 8 × 6), for this number of examples alone, and gives what the network" in page


class Several(nn.Module):
    """Returns several values, in a class of its own."""

    class Output:
        def __init__(self, first, second):
            self.first, self.second = first, second

    def __init__(self):
        super().__init__()
        self.body, self.last = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, values):
        inner = torch.relu(self.body(values))
        return self.Output(values.sum(), self.last(inner))


def test_a_program_gives_the_scores_in_what_is_not_a_tensor(tmp_path: Path):
    found = compress(seeded(Several()).train(), VECTORS, predict=lambda output: output.second)
    before = dict(vars(found.model))
    found.save(tmp_path / "small", formats="pt2")
    assert vars(found.model) == before, "it is not exported itself"
    program = torch.export.load(tmp_path / "small/network.pt2").module()
    for count in (1, 30):
        values = drawn(8, count, 6)
        torch.testing.assert_close(program(values), found.model(values).second)
    assert "and gives the scores that labels are formed from" in (tmp_path / "small/README.md").read_text()
    assert "_example" not in repr(found)


class Undecided(nn.Module):
    """Code that depends on values, of which no program can be made."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, values):
        return self.two(torch.relu(self.one(values)) if values.sum() < 1e9 else values[:, :1].expand(-1, 8))


def test_what_cannot_be_exported_is_said_in_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    found = compress(seeded(Undecided()), VECTORS)
    with pytest.raises(
        RequestError, match="formats: Undecided cannot be exported: GuardOnDataDependentSymNode"
    ) as told:
        found.save(tmp_path / "small", formats="pt2")
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", ""), "what PyTorch prints"


@pytest.mark.parametrize(("factor", "sentence"), [(-1, "gives other labels"), (1.5, "gives other outputs")])
def test_a_program_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float, sentence: str
):
    load = torch.export.load

    def altered(file: Any) -> torch.export.ExportedProgram:
        program = load(file)
        for name in ("4.weight", "4.bias"):
            program.state_dict[name].data.mul_(factor)
        return program

    monkeypatch.setattr(torch.export, "load", altered)
    (tmp_path / "small").mkdir()
    with pytest.raises(RequestError, match=f"formats: Sequential exported to pt2 {sentence}, so it was not written"):
        compress(dense(), VECTORS).save(tmp_path / "small", formats="pt2")
    assert not list((tmp_path / "small").iterdir())


def test_an_onnx_file_that_answers_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import onnxruntime

    class Altered(onnxruntime.InferenceSession):
        def run(self, *given: Any) -> Any:
            return [-values for values in super().run(*given)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Altered)
    with pytest.raises(RequestError, match="formats: Sequential exported to onnx gives other labels, so it was not"):
        compress(dense(), VECTORS).save(tmp_path / "small", formats=["pt2", "onnx"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("formats", "sentence"),
    [
        ("onxx", "formats: there is no format 'onxx'; did you mean onnx?"),
        (["pt2", ""], "formats: there is no format ''; there are pt2, onnx and transformers"),
        ("transformers", r"formats: transformers is for networks of that package \(PreTrainedModel\), not for Sequen"),
        ("onnx", r"formats: onnx needs onnxruntime: install widthwise\[onnx\]"),
    ],
)
def test_formats_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formats: Any, sentence: str):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    found = compress(dense(), VECTORS)
    with pytest.raises(RequestError, match=sentence):
        found.save(tmp_path / "small", formats=formats)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_refused_before_the_export(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    found = compress(seeded(Undecided()), VECTORS)
    with pytest.raises(RequestError, match="is not empty"):
        found.save(tmp_path, formats="pt2")
    with pytest.raises(RequestError, match=r"mine\.txt is a file; name a new or an empty folder"):
        found.save(tmp_path / "mine.txt/small")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_what_is_typed(tmp_path: Path):
    (tmp_path / "mine.py").write_text(FILE)
    words = ["compress", f"{tmp_path}/mine.py:build", "--data", f"{tmp_path}/mine.py:batches"]
    done = widthwise(*words, "--out", tmp_path / "small", "--format", "pt2")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "small/network.pt2").exists()
    wrong = widthwise(*words, "--out", tmp_path / "other", "--format", "pt3")
    assert (wrong.returncode, wrong.stderr) == (2, "widthwise: --format: there is no format 'pt3'; did you mean pt2?\n")
    alone = widthwise(*words, "--format", "pt2")
    assert (alone.returncode, "--format: is for the files of --out" in alone.stderr) == (2, True)


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool):
    (tmp_path / "mine.py").write_text(FILE)
    if there:
        (tmp_path / "new/small").mkdir(parents=True)
    write, written = files.write_whole, []

    def full(path: Path, content: bytes) -> None:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)
        written.append(path)

    monkeypatch.setattr(files, "write_whole", full)
    words = ["compress", f"{tmp_path}/mine.py:build", "--data", f"{tmp_path}/mine.py:batches"]
    done = widthwise(*words, "--out", tmp_path / "new/small", COLUMNS="200")
    sentence = f"widthwise: {tmp_path}/new/small cannot be written, so the smaller network is not there: No space left"
    assert (done.returncode, done.stderr) == (1, f"{sentence} on device\n")
    assert len(written) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["mine.py", *(["new", "small"] if there else [])]
    )
