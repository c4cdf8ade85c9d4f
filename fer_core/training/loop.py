"""The training loop, the same on one process and on many.

What a step computes goes by (plan, step) alone: batches, patches and dropout are pure functions of the seed and the
step, so a run that goes on from a checkpoint ends with the same numbers as one that was never stopped (on the same
device with the same number of threads; on a GPU to rounding, as some of its sums have no fixed order).

Nor does it go by the number of workers, but for rounding and what networks draw, as dropout does: every worker sees
the loss of the whole batch, batch norm its statistics, and a row's patch is that of its place in the table of rows.
A run may go on with other workers than it began with.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fer_core.checkpoints import CheckpointStore
from fer_core.directories import read_tables
from fer_core.errors import InputError
from fer_core.gather import average_gradients, gather
from fer_core.inputs import inputs_of, sent
from fer_core.losses.numerics import NotFiniteError, at_least_float32, deferred_checks
from fer_core.methods.base import Method, Outputs
from fer_core.patches import draw_views
from fer_core.reading import FaceTable
from fer_core.targets import UNKNOWN, Targets
from fer_core.training.batch_norm import synchronised
from fer_core.training.feeding import fed
from fer_core.training.keeping import Average, Best, Means, State, Steps
from fer_core.training.micro_batches import MicroBatches, num_micro_batches
from fer_core.training.networks import build_network, build_objective, compile_forward, load_start
from fer_core.training.pair_validation import PairValidation
from fer_core.training.plan import Trained, TrainingPlan
from fer_core.training.profiling import NOT_PROFILED, Profile
from fer_core.training.validation import Validation
from fer_core.world import World

Progress = Callable[[dict[str, float]], None]


def train(
    plan: TrainingPlan, world: World, store: CheckpointStore, progress: Progress, profile: bool = False
) -> Trained:
    """Train from the last checkpoint, or from the start, to the end of the plan.

    Args:
        progress: called on rank 0 about every two seconds with epoch, step, steps, loss, accuracy (of a method that
            classifies), images_per_second.
        profile: whether it is measured where a step's time goes, for which the device is waited for.

    Raises:
        InputError: the rows cannot be divided, there are more workers than rows in a batch, the network cannot be
            compiled here, or the loss is no longer finite.
    """
    method, faces = plan.build_method(), plan.read_faces()
    rows = faces.rows_of("train", upright=method.inputs == "points", unlabelled=True)
    label_N = faces.label[rows] if plan.sub_labels is None else _sub_labels(plan.sub_labels, faces, rows)
    measured = Profile.on(world.device) if profile else NOT_PROFILED
    loop = _Loop(plan, world, method, faces, rows, label_N, measured)
    loop.restore(store.load())
    loop.run(store, progress)
    steps = loop.steps.values()
    made = loop.result(), loop.history, steps, faces.classes, faces.poses, loop.class_of_label, loop.counts
    return Trained(*made, measured.rows() if profile else None)


def _sub_labels(level: Path, faces: FaceTable, rows: np.ndarray) -> np.ndarray:
    """The group of each training row: that of its upright sample; UNKNOWN of a row of no class."""
    table = read_tables(level, "labels", ["sample_id", "group"])
    group_of = dict(zip(table["sample_id"].to_pylist(), table["group"].to_pylist(), strict=True))
    return np.array([group_of.get(name, UNKNOWN) for name in faces.sample_id[rows].tolist()], dtype=np.int64)


def _numbered(label_N: np.ndarray, class_N: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The labels as 0, 1, ..., UNKNOWN as it is, and the class of each."""
    found, first, place_N = np.unique(label_N, return_index=True, return_inverse=True)
    num_unknown = int(found[0] == UNKNOWN)
    return place_N - num_unknown, class_N[first[num_unknown:]].tolist()


class _Loop:
    """The state of a run between two steps."""

    def __init__(
        self,
        plan: TrainingPlan,
        world: World,
        method: Method,
        faces: FaceTable,
        rows: np.ndarray,
        label_N: np.ndarray,
        profile: Profile,
    ) -> None:
        self.plan, self.world, self.method, self.rows = plan, world, method, rows
        self.section, self.feeding_section = profile.step, profile.feeding
        label_N, self.class_of_label = _numbered(label_N, faces.label[rows])
        self.training_rows = faces.training_rows(rows, label_N)
        self.inputs = inputs_of(method.inputs, faces, plan.face_size, plan.patch, world.device, profile.feeding)
        self.counts = self.training_rows.counts(self.inputs.numbers)
        self.sampler = method.sampler(self.training_rows, plan.recipe.batch_size, plan.seed)
        if self.sampler.rows_per_batch < world.size:
            few = f"{world.size} workers cannot share batches of {self.sampler.rows_per_batch} rows"
            raise InputError(f"{few}; use fewer --workers or a larger --batch-size")
        self._build(world)
        self.validation: Validation | PairValidation
        if plan.validation and method.protocol == "pairs":
            self.validation = PairValidation(faces, self.inputs, plan.seed)
        else:
            self.validation = Validation(plan, method, faces, self.inputs, self.class_of_label)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.means = Means()
        self.best = Best()
        self.steps = Steps()

    def _build(self, world: World) -> None:
        plan, method = self.plan, self.method
        network = build_network(method, plan.backbone, plan.patch, self.counts, plan.seed, plan.weights)
        if plan.start is not None:
            load_start(network, plan.start)
        if self.inputs.numbers:
            method.fit(network, self.inputs.plain(self.rows))
        network = network.to(world.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = synchronised(network, world)
        self.average = Average(self.network, plan.recipe.averaging)
        self.objective = build_objective(method, self.counts, plan.seed).to(world.device)
        self.objective.fit(self.sampler)
        if plan.compiled:
            compile_forward(self.network)
        self.model: nn.Module = self.network
        self.optimizer: torch.optim.Optimizer | None = None
        if method.learns:
            if world.size > 1:
                # its buffers are the same on every worker as it is
                self.model = DistributedDataParallel(self.network, forward_sync_buffers=False)
            parameters = [*self.network.parameters(), *self.objective.parameters()]
            self.optimizer = torch.optim.AdamW(parameters, plan.recipe.lr, weight_decay=plan.recipe.weight_decay)
        number = num_micro_batches(self.sampler.rows_per_batch, world.size, plan.micro_batch)
        self.micro_batches = MicroBatches(self.model, number, self._forward) if number > 1 else None

    @property
    def num_steps(self) -> int:
        return self.plan.recipe.epochs * self.sampler.steps_per_epoch if self.optimizer else 0

    def result(self) -> State:
        """The weights that are kept."""
        return self.best.state or _state_of(self.average.network)

    def restore(self, checkpoint: dict[str, Any] | None) -> None:
        if checkpoint is None:
            return
        self.step, self.history = checkpoint["step"], checkpoint["history"]
        self.means = Means(checkpoint["sums"], checkpoint["count"])
        for name, part in self._parts().items():
            part.load_state_dict(checkpoint[name])

    def checkpoint(self) -> dict[str, Any]:
        own = {"step": self.step, "history": self.history, "sums": self.means.sums, "count": self.means.count}
        return own | {name: part.state_dict() for name, part in self._parts().items()}

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "objective": self.objective, "optimizer": self.optimizer}
        return {**parts, "average": self.average, "best": self.best, "steps": self.steps}

    def run(self, store: CheckpointStore, progress: Progress) -> None:
        shown, seen = time.perf_counter(), 0
        with fed(self._batch, range(self.step, self.num_steps), self.world.device, self.section) as batches:
            for images, targets in batches:
                self.model.train()
                self.objective.train()
                seen += self._train_step(images, Targets.of(targets))
                epoch_ends = self.step % self.sampler.steps_per_epoch == 0
                now = time.perf_counter()
                if self.world.rank == 0 and (now - shown > 2 or epoch_ends):
                    progress(self._summary() | {"images_per_second": seen / (now - shown)})
                    shown, seen = now, 0
                if epoch_ends:
                    with self.section("validation"):
                        self._end_epoch()
                if self.step < self.num_steps and (epoch_ends or self.step % self.plan.checkpoint_steps == 0):
                    with self.section("checkpoint"):
                        store.save(self.checkpoint(), self._summary() if not epoch_ends else self.history[-1])
                self.section.step_ends()

    def _end_epoch(self) -> None:
        with _divergence(self.step):
            validated = self.validation.measured(self.average.network, self.objective, self.step / self.num_steps)
        self.history.append(self._summary() | validated)
        self.means = Means()
        if self.method.picks_by_validation:
            self.best.offer(validated["valid_loss"], _state_of(self.average.network))

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """This worker's share of a batch on the device, and its targets, stacked; made ahead by the feeding thread."""
        with self.feeding_section("draw"):
            epoch, within = divmod(step, self.sampler.steps_per_epoch)
            drawn = self.sampler.batch(epoch, within, self.world.rank, self.world.size)
            views = draw_views(self.plan.seed, epoch, drawn, self.method.flips)
            targets = self.training_rows.targets(drawn).stacked().numpy()
        inputs = self.inputs.drawn(self.rows[drawn], views)
        self.feeding_section.step_ends()
        return inputs, sent(targets, self.world.device)

    def _train_step(self, inputs: Tensor, targets: Targets) -> int:
        with _divergence(self.step + 1), deferred_checks():
            # softmax and distances are of float32, whatever the network's products were
            with self.section("forward"):
                own = self._outputs(inputs).mapped(at_least_float32)
            outputs, targets = self._gathered(own, targets)
            with self.section("objective"):
                terms = self._terms(outputs, targets)
            right = self._accuracy(outputs, targets)
        loss = torch.stack(list(terms.values())).sum()
        self._backward(loss)
        self._update()
        self.means.add({"loss": loss, **right, **terms})
        self.steps.add(self.objective.trace)
        return len(targets.label_B)

    def _outputs(self, inputs: Tensor) -> Outputs:
        torch.manual_seed((self.plan.seed * 1_000_003 + self.step) * self.world.size + self.world.rank)
        return self.micro_batches.outputs(inputs) if self.micro_batches else self._forward(self.model, inputs)

    def _forward(self, network: nn.Module, inputs: Tensor) -> Outputs:
        with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.plan.bfloat16):
            return network(inputs)

    def _terms(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        # what the objective draws is drawn alike by every worker, as it sees the same batch
        torch.manual_seed(-1 - (self.plan.seed * 1_000_003 + self.step))
        return self.objective(outputs, targets, self.step / self.num_steps)

    @torch.no_grad()
    def _accuracy(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        predicted = self.method.predicted(outputs, targets, self.counts)
        return {} if predicted is None else {"accuracy": (predicted == targets.label_B).float().mean()}

    def _backward(self, loss: Tensor) -> None:
        assert self.optimizer is not None
        with self.section("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if self.micro_batches:
                self.micro_batches.backward()
        if self.world.size > 1:
            with self.section("average gradients"):
                average_gradients(self.objective.parameters())

    def _update(self) -> None:
        assert self.optimizer is not None
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.recipe.rate(self.step, self.num_steps)
        with self.section("optimiser"):
            self.optimizer.step()
        with self.section("average of weights"):
            self.average.update()
        self.step += 1

    def _gathered(self, own: Outputs, targets: Targets) -> tuple[Outputs, Targets]:
        if self.world.size == 1:
            return own, targets
        num_rows = self.sampler.rows_per_batch
        with self.section("gather"):
            return own.mapped(lambda part: gather(part, num_rows)), Targets.of(gather(targets.stacked(), num_rows))

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


@contextmanager
def _divergence(step: int) -> Iterator[None]:
    """Say what to do where a network made numbers that are none."""
    try:
        yield
    except NotFiniteError as error:
        raise InputError(f"training diverged at step {step}: {error}; use a smaller --lr") from error


def _state_of(network: nn.Module) -> State:
    return {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
