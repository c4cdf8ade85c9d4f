"""Whether training is faster in bfloat16 here: images/s of ResNet18 with mul_dml's head, forward, backward and step.

python -m benchmarks.precision [--patches 44 112 224] [--batch 96]
"""

import argparse
import statistics
import time

import torch

from fer_core import methods
from fer_core.training import build_network


def images_per_second(patch: int, batch: int, bfloat16: bool, steps: int = 5) -> float:
    method = methods.REGISTRY["mul_dml"](methods.REGISTRY["mul_dml"].Options())
    network = build_network(method, "resnet18", patch, 7, seed=0).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters())
    images = torch.randint(0, 256, (batch, patch, patch, 3), dtype=torch.uint8)
    labels = torch.arange(batch) % 7
    seconds = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            outputs = network(images)
        loss = torch.stack(list(method.losses(outputs, labels, 7).values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    return batch / statistics.median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, nargs="+", default=[44, 112])
    parser.add_argument("--batch", type=int, default=96)
    options = parser.parse_args()
    print(f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, batch {options.batch}")
    for patch in options.patches:
        float32, bfloat16 = (images_per_second(patch, options.batch, choice) for choice in (False, True))
        print(
            f"{patch} pixels: float32 {float32:.0f}, bfloat16 {bfloat16:.0f} images/s, ratio {bfloat16 / float32:.2f}"
        )


if __name__ == "__main__":
    main()
