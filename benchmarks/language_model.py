"""`profile` on a Llama-like model of a billion parameters, built from a configuration with random weights in bfloat16.

    python -m benchmarks.language_model              1.1 billion parameters
    python -m benchmarks.language_model --small      38 million parameters

Four of its layers, spread over the depth, are measured over 8 sequences of 256 tokens. Prints how long `widthwise.plan`
and `widthwise.profile` take and the peak memory, beside the bars. The exit code is 1 if a bar is missed.
"""

import argparse
import resource
import sys
import time

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig

import widthwise as ww

SEQUENCES, TOKENS = 8, 256
MEASURED = 4
PLAN_SECONDS, MEMORY_GIGABYTES = 60.0, 12.0
"""The bars. The memory is that of the whole process, the model included."""
LARGE = LlamaConfig(
    vocab_size=32_000,
    hidden_size=2048,
    intermediate_size=5632,
    num_hidden_layers=22,
    num_attention_heads=32,
    num_key_value_heads=4,
)
SMALL = LlamaConfig(
    vocab_size=32_000,
    hidden_size=512,
    intermediate_size=1408,
    num_hidden_layers=8,
    num_attention_heads=8,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a model of 38 million parameters")
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--samplings", type=int, default=1)
    parser.add_argument("--batch", type=int, default=None, help="sequences at a time; as many as fit, if not given")
    arguments = parser.parse_args()
    config = SMALL if arguments.small else LARGE
    settings = ww.Measurement(levels=arguments.levels, samplings=arguments.samplings)
    model, batches = language_model(config), sequences(config)
    last = config.num_hidden_layers - 1
    chosen = [f"model.layers.{round(index * last / (MEASURED - 1))}.mlp.mul" for index in range(MEASURED)]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{parameters / 1e9:.3f} billion parameters in {config.dtype}, {torch.get_num_threads()} threads")
    print(f"built            {peak_gigabytes():8.2f} GB", flush=True)

    start = time.perf_counter()
    plan = ww.plan(model, batches, layers=chosen, settings=settings, batch_size=arguments.batch)
    planning = time.perf_counter() - start
    print(f"plan             {planning:8.1f} s   (bar: {PLAN_SECONDS:.0f})\n{plan}", flush=True)
    start = time.perf_counter()
    profile = ww.profile(model, batches, layers=chosen, settings=settings, batch_size=arguments.batch)
    print(f"profile          {time.perf_counter() - start:8.1f} s")
    memory = peak_gigabytes()
    print(f"peak memory      {memory:8.2f} GB  (bar: {MEMORY_GIGABYTES:.0f})\n{profile}")
    return 1 if planning > PLAN_SECONDS or memory > MEMORY_GIGABYTES else 0


def language_model(config: LlamaConfig) -> nn.Module:
    """A model with random weights, which are drawn in bfloat16."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()


def sequences(config: LlamaConfig) -> list[dict[str, Tensor]]:
    """One batch of random tokens."""
    tokens = torch.randint(config.vocab_size, (SEQUENCES, TOKENS), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": tokens}]


def peak_gigabytes() -> float:
    """The largest memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    sys.exit(main())
