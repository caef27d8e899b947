"""Train the shipped generator on synthetic people.

    python -m lwg_core.synthetic.dataset --split train --count 1000 --out data/train
    python -m lwg_core.synthetic.dataset --split test --count 32 --out data/test
    python -m lwg_core.training.train --data data/train --test data/test --output runs/128 \
        --size 128 --minutes 120
    torchrun --nproc_per_node 2 -m lwg_core.training.train ...      # several processes or GPUs

On a CPU the steps ask the system for memory and give it back all the time; with glibc the variables
MALLOC_MMAP_THRESHOLD_=2000000000 and MALLOC_TRIM_THRESHOLD_=2000000000 save a quarter of them.
On a GPU items are the bottleneck: ``--device cuda --workers 12`` composes them in 12 processes.

Run the same command again to resume. ``--weights FILE`` begins from weights (a larger size, say).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader

from ..body.open_body import open_body
from ..networks.config import STRATEGY_NAMES
from ..networks.generator import AttLWBGenerator, GeneratorConfig
from ..weights import load_generator, save_generator
from .data import ItemStream, TrainingSet
from .evaluate import held_out_items, score_generator, table, warp_baselines
from .trainer import Journal, Schedule, Trainer

log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lwg_core.training.train", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of training records")
    add("--test", type=Path, required=True, help="folder of test records")
    add("--output", type=Path, required=True, help="folder of checkpoint, log and weights")
    add("--size", type=int, default=128, help="pixels of the square pictures")
    add(
        "--strategy",
        choices=STRATEGY_NAMES,
        default="attention",
        help="how the sources reach the target stream (paper section 5.3)",
    )
    add("--widths", default="32,64,128", help="channels of the three encoder stages")
    add("--res-blocks", type=int, default=4)
    add("--spade-hidden", type=int, default=64)
    add("--targets", type=int, default=4, help="targets per step and process")
    add("--rate", type=float, default=5e-4)
    add("--steps", type=int, default=1_000_000)
    add("--minutes", type=float, default=120, help="training time over all resumptions")
    add("--decay", type=float, default=0.5, help="last share of the run with a falling rate")
    add("--every", type=int, default=500, help="steps between evaluations")
    add("--people", type=int, default=16, help="test identities of the evaluations")
    add("--weights", help="generator to start from (a file, or default), of its own shape")
    add("--device", default="cpu")
    add("--threads", type=int, default=1, help="CPU threads of each process")
    add("--workers", type=int, default=0, help="processes that compose items; 0 = the training one")
    add("--seed", type=int, default=0)
    return parser.parse_args()


def build(args: argparse.Namespace) -> AttLWBGenerator:
    if args.weights:
        return with_full_size_skip(load_generator(args.weights), args.seed)
    widths = tuple(int(w) for w in args.widths.split(","))
    config = GeneratorConfig.surface(
        widths, args.res_blocks, args.spade_hidden, strategy=args.strategy
    )
    return AttLWBGenerator.from_scratch(config, args.seed)


def with_full_size_skip(generator: AttLWBGenerator, seed: int) -> AttLWBGenerator:
    """The same generator; one without the full-size skip gets one that does nothing yet."""
    if generator.config.full_size_skip:
        return generator
    config = replace(generator.config, full_size_skip=True)
    grown = AttLWBGenerator.from_scratch(config, seed)
    grown.load_state_dict({**grown.state_dict(), **generator.state_dict()})
    return grown


def join_processes(device: str) -> torch.device:
    """Meet the other processes of torchrun, if there are any; the device of this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return torch.empty(0, device=device).device


def main() -> None:
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    device = join_processes(args.device)
    body = open_body()
    schedule = Schedule(args.steps, args.minutes, args.rate, args.rate * 0.04, decay=args.decay)
    trainer = Trainer(build(args), schedule, args.output, device)
    if trainer.resume():
        log.info("resumed at step %d", trainer.step)
    # A resumed run, and every process, goes on with items of its own.
    seed = (args.seed, int(os.environ.get("RANK", 0)), trainer.step)
    make = partial(TrainingSet, args.data, body, args.size, targets=args.targets)
    data = DataLoader(ItemStream(make, seed), batch_size=None, num_workers=args.workers)
    journal = Journal(args.output)
    held_out, baselines = [], {}
    if trainer.main_process:
        held_out = held_out_items(args.test, body, args.size, args.people)
        baselines = warp_baselines(held_out)
        log.info("\n%s", table(baselines))
        for name, scores in baselines.items():
            journal.write(baseline=name, psnr=scores.psnr, ssim=scores.ssim, iou=scores.iou)

    def report(current: Trainer) -> None:
        scores = score_generator(current.average, held_out, current.device)
        journal.write(
            step=current.step,
            samples=current.samples,
            minutes=round(current.seconds / 60, 2),
            psnr=round(scores.psnr, 4),
            ssim=round(scores.ssim, 4),
            iou=round(scores.iou, 4),
            time=time.strftime("%H:%M:%S"),
        )
        facts = {
            "size": args.size,
            "samples": current.samples,
            "schedule": asdict(schedule),
            "held_out": {"psnr": scores.psnr, "ssim": scores.ssim, "iou": scores.iou},
        }
        path = args.output / "generator.safetensors"
        save_generator(path, current.average, {"lwg_training": json.dumps(facts)})

    trainer.run(iter(data), args.every, report)
    if trainer.main_process:
        final = {**baselines, "generator": score_generator(trainer.average, held_out, device)}
        print(table(final))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
