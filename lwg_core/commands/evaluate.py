"""The command ``evaluate``: the paper's measures on people the generator never saw."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from tqdm import tqdm

from .. import __version__
from ..background import METHODS, check_method
from ..body.open_body import open_body
from ..errors import InputError
from ..flow.source import MAX_SOURCES
from ..metrics.distances import load_lpips
from ..metrics.evaluate import PROTOCOLS, evaluate
from ..metrics.held_out import find_people
from ..metrics.networks import (
    BODY_INPUT,
    FACE_INPUT,
    INCEPTION_INPUT,
    RANGES,
    Embedder,
    load_embedder,
    parse_input,
)
from ..metrics.pictures import check_torchmetrics
from ..metrics.protocol import Networks, Setting
from ..metrics.report import Section, check_report_folder, markdown, write_report
from ..metrics.summary import summarise
from ..painting import check_generator
from ..pipeline import check_size
from ..synthetic.dataset import SPLITS
from ..weights import load_generator, weights_hash
from .options import DEVICES, MOST_SEED, check_range, choose_device

SHIPPED = ("shipped", "default")
EMBEDDERS = {"body": BODY_INPUT, "face": FACE_INPUT, "inception": INCEPTION_INPUT}
MOST_PEOPLE = 100_000


def add_evaluate(commands) -> None:
    """Register the command with an argparse subparsers object."""
    one = commands.add_parser(
        "evaluate", help="measure a generator on people it never saw: tables and contact sheets"
    )
    add = one.add_argument
    add("--data", default="synthetic", metavar="synthetic|DIR",
        help="people made on the fly, or a folder of records")  # fmt: skip
    add("--split", choices=tuple(SPLITS), default="test")
    add("--generator", default="shipped", metavar="shipped|FILE", help="generator weights")
    add("--sources", type=int, nargs="+", default=[1, 2], metavar="N",
        help="numbers of source pictures: 1 is one-shot")  # fmt: skip
    add("--protocol", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    add("--limit", type=int, metavar="N", help="people (default: all)")
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the report")
    add("--cache", type=Path, metavar="DIR", help="where synthetic people are kept")
    add("--size", type=int, default=256, metavar="PX", help="side of pictures and network")
    add("--fill", choices=("true", *METHODS), default="patch",
        help="how the hole behind the person is filled; true: the true background")  # fmt: skip
    for name, what in (
        ("body-network", "person re-identification, for Body-CS and Body-FD"),
        ("face-network", "face recognition, for Face-CS and Face-FD"),
        ("inception", "Inception, for FID"),
    ):
        wants = EMBEDDERS[name.partition("-")[0]]
        usual = f"{wants.size[1]}x{wants.size[0]}:{wants.values}"
        add(f"--{name}", type=Path, metavar="FILE", help=f"TorchScript or ONNX: {what}")
        add(f"--{name.partition('-')[0]}-input", metavar="WxH:VALUES",
            help=f"what it takes (default {usual}); values: {', '.join(RANGES)}")  # fmt: skip
    add("--lpips", type=Path, metavar="FILE",
        help="TorchScript or ONNX: LPIPS of two pictures, or its backbone")  # fmt: skip
    add("--device", default="auto", help=f"auto, {', '.join(DEVICES)}")
    add("--seed", type=int, default=0)
    one.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> None:
    began = time.monotonic()
    check_arguments(args)
    device = choose_device(args.device)
    generator = load_generator("default" if args.generator in SHIPPED else args.generator)
    check_generator(generator)
    check_method("patch" if args.fill == "true" else args.fill, generator)
    people = find_people(args.data, args.split, args.size, args.limit, args.cache)
    counts, body = sorted(set(args.sources)), open_body()
    people.check(body, args.size, counts[-1])
    networks = load_networks(args, device)
    digest = weights_hash(generator.state_dict())
    found = evaluate(
        generator.to(device),
        tqdm(people.records(body), total=len(people), unit="person"),
        body,
        counts,
        args.protocol,
        Setting(args.size, args.fill, args.seed, device),
        networks,
    )
    sections = [
        Section(kind, count, summarise(kind, outcomes, networks, args.seed), outcomes)
        for (kind, count), outcomes in found.items()
    ]
    settings = {
        "data": args.data, "split": args.split, "people": len(people),
        "generator": args.generator, "weights": digest, "size": args.size, "fill": args.fill,
        "seed": args.seed, "version": __version__, "torch": torch.__version__,
        "device": str(device), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    write_report(args.output, settings, sections)
    print(markdown(settings, sections))
    print(f"wrote the report to {args.output}")


def check_arguments(args: argparse.Namespace) -> None:
    """Everything that can be told before the first person."""
    check_size(args.size)
    check_range("seed", args.seed, 0, MOST_SEED)
    if args.limit is not None:
        check_range("limit", args.limit, 1, MOST_PEOPLE)
    for count in args.sources:
        check_range("sources", count, 1, MAX_SOURCES)
    check_torchmetrics()
    check_report_folder(args.output)


def load_networks(args: argparse.Namespace, device: torch.device) -> Networks:
    """The user's networks, each tried before the first person."""

    def embedder(name: str) -> Embedder | None:
        option = "inception" if name == "inception" else f"{name}_network"
        file, wants = getattr(args, option), getattr(args, f"{name}_input")
        if file is None and wants is not None:
            raise InputError(f"--{name}-input is for --{option.replace('_', '-')} only")
        if file is None:
            return None
        spec = EMBEDDERS[name] if wants is None else parse_input(wants, f"--{name}-input")
        return load_embedder(file, spec, device)

    return Networks(
        **{name: embedder(name) for name in EMBEDDERS},
        lpips=None if args.lpips is None else load_lpips(args.lpips, device),
    )
