"""The training loop, the same on one process and on many.

What a step computes goes by (plan, step) alone: batches, patches and dropout are pure functions of the seed and the
step, so a run that goes on from a checkpoint ends with the same numbers as one that was never stopped (on the same
device with the same number of threads; on a GPU to rounding, as some of its sums have no fixed order).

Over several workers the loss is that of the whole batch; batch norm takes its statistics over each worker's share.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fer_core import methods
from fer_core.backbones.weights import build_backbone
from fer_core.checkpoints import CheckpointStore
from fer_core.directories import read_tables
from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.gather import gather
from fer_core.methods.base import Method, Network, Outputs, Recipe
from fer_core.patches import Patches, draw_views
from fer_core.reading import FaceTable, read_faces
from fer_core.sampling import BalancedSampler
from fer_core.turning import turned_patches

CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainingPlan:
    """All that determines a run's numbers.

    Attributes:
        faces: the faces directory.
        part: who is tested on; the rest is trained on.
        method, method_options, recipe: what is learnt and how.
        backbone, weights, start: the network; `start` is the network file of the level before.
        sub_labels: level folder whose groups are the labels, None for the classes.
        patch, face_size: pixels.
        frame_is_face: whether the pictures were face crops as they are; not used in training, but told with the model.
        bfloat16: whether products are computed in bfloat16.
        seed: of everything drawn.
        checkpoint_steps: steps from one checkpoint to the next.
    """

    faces: Path
    part: Part
    method: str
    method_options: dict[str, Any]
    recipe: Recipe
    backbone: str
    patch: int
    face_size: int
    frame_is_face: bool
    bfloat16: bool
    seed: int
    checkpoint_steps: int
    weights: Path | None = None
    start: Path | None = None
    sub_labels: Path | None = None


@dataclass(frozen=True)
class World:
    """This process among the workers."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU


@dataclass(frozen=True)
class Trained:
    """A finished run: the network's state, one row of means an epoch, and the class of each label trained on."""

    state: dict[str, Tensor]
    history: list[dict[str, float]]
    classes: tuple[str, ...]
    class_of_label: list[int]


def build_network(
    method: Method, backbone: str, patch: int, num_labels: int, seed: int, weights: Path | None = None
) -> Network:
    """A network with initial weights by seed: the same backbone for every method that is compared."""
    body = build_backbone(backbone, patch, seed, weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        head = method.head(body.num_features, num_labels)  # type: ignore[arg-type]
    return Network(body, head)


def train(
    plan: TrainingPlan, world: World, store: CheckpointStore, progress: Callable[[dict[str, float]], None]
) -> Trained:
    """Train from the last checkpoint, or from the start, to the end of the plan.

    Args:
        progress: called on rank 0 about every two seconds with epoch, step, steps, loss, accuracy, images_per_second.

    Raises:
        InputError: the rows cannot be divided, or the loss is no longer finite.
    """
    faces = read_faces(plan.faces, plan.part, plan.seed)
    rows = faces.rows_of("train", upright=False)
    label_N = faces.label[rows] if plan.sub_labels is None else _sub_labels(plan.sub_labels, faces, rows)
    method = methods.REGISTRY[plan.method](methods.REGISTRY[plan.method].Options(**plan.method_options))
    loop = _Loop(plan, world, method, faces, rows, label_N)
    loop.restore(store.load())
    loop.run(store, progress)
    class_of_label = [int(faces.label[rows[label_N == label][0]]) for label in loop.known_labels]
    return Trained(loop.state(), loop.history, faces.classes, class_of_label)


def _sub_labels(level: Path, faces: FaceTable, rows: np.ndarray) -> np.ndarray:
    """The group of each training row: that of its upright sample."""
    table = read_tables(level, "labels", ["sample_id", "group"])
    group_of = dict(zip(table["sample_id"].to_pylist(), table["group"].to_pylist(), strict=True))
    return np.array([group_of[name] for name in faces.sample_id[rows].tolist()], dtype=np.int64)


class _Loop:
    """The state of a run between two steps."""

    def __init__(
        self, plan: TrainingPlan, world: World, method: Method, faces: FaceTable, rows: np.ndarray, label_N: np.ndarray
    ) -> None:
        self.plan, self.world, self.method, self.faces, self.rows = plan, world, method, faces, rows
        self.known_labels, self.label_N = np.unique(label_N, return_inverse=True)
        self.sampler = BalancedSampler(self.label_N, plan.recipe.batch_size, plan.seed, faces.block_of(rows))
        self.patches = Patches(plan.face_size, plan.patch)
        network = build_network(method, plan.backbone, plan.patch, len(self.known_labels), plan.seed, plan.weights)
        if plan.start is not None:
            _load_start(network, plan.start)
        self.network = network.to(world.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model: nn.Module = DistributedDataParallel(self.network) if world.size > 1 else self.network
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), plan.recipe.lr, weight_decay=plan.recipe.weight_decay
        )
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.means = _Means()

    @property
    def num_steps(self) -> int:
        return self.plan.recipe.epochs * self.sampler.steps_per_epoch

    def state(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}

    def restore(self, checkpoint: dict[str, Any] | None) -> None:
        if checkpoint is None:
            return
        self.network.load_state_dict(checkpoint["network"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.step, self.history = checkpoint["step"], checkpoint["history"]
        self.means = _Means(checkpoint["sums"], checkpoint["count"])

    def checkpoint(self) -> dict[str, Any]:
        return {
            "network": self.state(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "history": self.history,
            "sums": self.means.sums,
            "count": self.means.count,
        }

    def run(self, store: CheckpointStore, progress: Callable[[dict[str, float]], None]) -> None:
        self.model.train()
        shown, seen = time.perf_counter(), 0
        for images, labels in self._batches():
            seen += self._train_step(images, labels)
            epoch_ends = self.step % self.sampler.steps_per_epoch == 0
            now = time.perf_counter()
            if self.world.rank == 0 and (now - shown > 2 or epoch_ends):
                progress(self._summary() | {"images_per_second": seen / (now - shown)})
                shown, seen = now, 0
            if epoch_ends:
                self.history.append(self._summary())
                self.means = _Means()
            if self.step < self.num_steps and (epoch_ends or self.step % self.plan.checkpoint_steps == 0):
                store.save(self.checkpoint(), self._summary() if not epoch_ends else self.history[-1])

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's share of every batch that is left, from the step that comes next, on the device."""
        device = self.world.device
        for step in range(self.step, self.num_steps):
            epoch, within = divmod(step, self.sampler.steps_per_epoch)
            drawn = self.sampler.batch(epoch, within, self.world.rank, self.world.size)
            views = draw_views(self.plan.seed, epoch, drawn)
            labels = torch.from_numpy(self.label_N[drawn]).to(device, non_blocking=True)
            yield self._patches_of(self.rows[drawn], views), labels

    def _patches_of(self, rows: np.ndarray, views: np.ndarray) -> Tensor:
        """The patches (B, patch, patch, 3) of rows: cut here, or of a virtual form turned and cut on the device."""
        device = self.world.device
        if not self.faces.margin:
            pixels = self.patches.drawn(self.faces.images(rows), views)
            return torch.from_numpy(pixels).to(device, non_blocking=True)
        wide = torch.from_numpy(self.faces.wide_images(rows)).to(device, non_blocking=True)
        angle = torch.from_numpy(self.faces.rotation[rows]).to(device, non_blocking=True)
        return turned_patches(wide, angle, torch.from_numpy(views).to(device), self.plan.face_size, self.plan.patch)

    def _train_step(self, images: Tensor, labels: Tensor) -> int:
        device, num_labels = self.world.device, len(self.known_labels)
        torch.manual_seed((self.plan.seed * 1_000_003 + self.step) * self.world.size + self.world.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.recipe.rate(self.step, self.num_steps)
        with torch.autocast(device.type, torch.bfloat16) if self.plan.bfloat16 else nullcontext():
            own = self.model(images)
        outputs, labels = self._gathered(own, labels)
        try:
            terms = self.method.losses(outputs, labels, num_labels)
        except ValueError as error:
            raise InputError(f"training diverged at step {self.step + 1}: {error}; use a smaller --lr") from error
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        with torch.no_grad():
            accuracy = (self.method.predicted(outputs, labels, num_labels) == labels).float().mean()
            self.means.add({"loss": loss, "accuracy": accuracy, **terms})
        return len(labels)

    def _gathered(self, own: Outputs, labels: Tensor) -> tuple[Outputs, Tensor]:
        if self.world.size == 1:
            return Outputs(own.embedding_BD, own.logits_BC), labels
        size, batch = self.world.size, self.sampler.rows_per_batch
        counts = [len(range(rank, batch, size)) for rank in range(size)]
        logits = None if own.logits_BC is None else gather(own.logits_BC, counts)
        return Outputs(gather(own.embedding_BD, counts), logits), gather(labels, counts)

    def _summary(self) -> dict[str, float]:
        """Epoch (from 1), step, steps and the means of the epoch so far.

        Raises:
            InputError: the loss is not finite.
        """
        means = self.means.values()
        if not np.isfinite(means["loss"]):
            raise InputError(f"the loss is {means['loss']} at step {self.step}; use a smaller --lr")
        epoch = -(-self.step // self.sampler.steps_per_epoch)
        return {"epoch": epoch, "step": self.step, "steps": self.num_steps, **means}


def _load_start(network: Network, file: Path) -> None:
    """Go on from a network of the level before: all of it but a classifier of other labels."""
    own, start = network.state_dict(), load_file(file)
    network.load_state_dict(
        {name: start[name] if start[name].shape == part.shape else part for name, part in own.items()}
    )


class _Means:
    """Sums on the device, so that a step does not wait for them."""

    def __init__(self, sums: dict[str, Tensor] | None = None, count: int = 0) -> None:
        self.sums, self.count = sums or {}, count

    def add(self, values: dict[str, Tensor]) -> None:
        self.count += 1
        self.sums = {name: self.sums.get(name, 0) + value.detach().double() for name, value in values.items()}

    def values(self) -> dict[str, float]:
        return {name: float(total) / self.count for name, total in self.sums.items()}
