"""The training loop of the shipped generator: resumable, on CPU processes or on a GPU.

Every step takes one item (a person, S sources, T targets) per process; the sources are encoded once
for all targets, as at inference. Adam, warm-up, constant rate, cosine end; an exponential moving
average of the weights is what is evaluated and shipped.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import InputError
from ..files import atomic_path
from ..networks.generator import AttLWBGenerator
from .data import TrainingItem
from .losses import generator_loss

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """Length and learning rate of one run.

    The run ends at ``steps`` or after ``minutes`` of training, whichever comes first (both count
    across resumptions). The rate warms up over ``warmup`` steps, stays at ``rate``, and falls on a
    cosine to ``final_rate`` over the last ``decay`` share of the run.
    """

    steps: int
    minutes: float
    rate: float = 5e-4
    final_rate: float = 2e-5
    warmup: int = 50
    decay: float = 0.5

    def progress(self, step: int, minutes: float) -> float:
        return min(1.0, max(step / self.steps, minutes / self.minutes))

    def at(self, step: int, progress: float) -> float:
        rate = self.rate * min(1.0, (step + 1) / self.warmup)
        if progress <= 1 - self.decay:
            return rate
        fall = (progress - 1 + self.decay) / self.decay
        low = self.final_rate
        return min(rate, low + (self.rate - low) * 0.5 * (1 + math.cos(math.pi * fall)))


class ItemLoss(nn.Module):
    """Generator and loss as one module, so that gradients are averaged over processes."""

    def __init__(self, generator: AttLWBGenerator, half: bool) -> None:
        super().__init__()
        self.generator = generator
        self.half = half

    def forward(self, item: TrainingItem) -> Tensor:
        device = item.image.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.half):
            bank = self.generator.encode(item.source_inputs)
            colour, mask = self.generator.decode(bank, item.target_inputs, item.flow)
        return generator_loss(
            colour.float(), mask.float(), item.image, item.alpha, item.background, item.emphasis
        )


class Trainer:
    """Holds weights, their average, the optimiser and the clock; saves and resumes all of them."""

    def __init__(
        self,
        generator: AttLWBGenerator,
        schedule: Schedule,
        output: Path,
        device: torch.device | str = "cpu",
        half: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.generator = generator.to(self.device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.schedule = schedule
        self.output = Path(output)
        self.optimizer = torch.optim.Adam(
            self.generator.parameters(), schedule.rate, betas=(0.9, 0.99)
        )
        self.step = self.saved = 0
        self.samples = 0
        self.seconds = 0.0
        module: nn.Module = ItemLoss(self.generator, half)
        if dist.is_initialized():
            module = DistributedDataParallel(module, find_unused_parameters=True)
        self.loss = module

    @property
    def main_process(self) -> bool:
        return not dist.is_initialized() or dist.get_rank() == 0

    @property
    def checkpoint(self) -> Path:
        return self.output / "checkpoint.pt"

    def resume(self) -> bool:
        """Continue from the checkpoint of ``output`` if there is one."""
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.samples = state["step"], state["samples"]
        self.saved = self.step
        self.seconds = state["seconds"]
        return True

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        self.output.mkdir(parents=True, exist_ok=True)
        state = {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
        }
        with atomic_path(self.checkpoint) as part:
            torch.save(state, part)
        self.saved = self.step

    def run(
        self, items: Iterator[TrainingItem], every: int, report, save_every: float = 120.0
    ) -> None:
        """Train to the end of the schedule.

        report(trainer) is called on the main process every ``every`` steps and at the end.
        """
        started = time.monotonic() - self.seconds
        saved = time.monotonic()
        while True:
            self.seconds = time.monotonic() - started
            progress = self._agree(self.schedule.progress(self.step, self.seconds / 60))
            if progress >= 1:
                break
            self._train_step(next(items), progress)
            if self.main_process:
                if self.step % every == 0:
                    report(self)
                if time.monotonic() - saved > save_every:
                    self.save()
                    saved = time.monotonic()
        if self.main_process:
            report(self)
            self.save()

    def _train_step(self, item: TrainingItem, progress: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.at(self.step, progress)
        item = item.to(self.device)
        loss = self.loss(item)
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss of step {self.step + 1} is not finite; lower --rate or look for broken "
                f"records, then run again: {self.checkpoint} holds the state of step {self.saved}"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        world = dist.get_world_size() if dist.is_initialized() else 1
        self.samples += item.image.shape[0] * world
        decay = min(0.998, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
            for slow, fast in pairs:
                slow.lerp_(fast, 1 - decay)

    def _agree(self, progress: float) -> float:
        """Every process must see the same progress, or one would stop alone."""
        if not dist.is_initialized():
            return progress
        shared = torch.tensor([progress], device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)


class Journal:
    """Appends one JSON line per report to ``log.jsonl`` and logs it."""

    def __init__(self, output: Path) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self.path = output / "log.jsonl"

    def write(self, **values) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(values) + "\n")
        log.info("%s", values)
