"""How close embedding comes to the fastest that decoding and the forward pass allow on this machine.

    python benchmarks/embedding_vs_limit.py [--size small|full]

Ours: the real ``Embedder`` with `model=efficientnet_lite0`, from JPEG files of a photo site's sizes to a
published artifact: decoding, preprocessing, batches, blocks synced to disk, the shard written and hashed.
Loading the model and probing its batch size happen once a process and are left out.

Baseline: F, the images a second of the bare forward pass on tensors that are ready in memory, and D, those
of decoding and preprocessing alone; both with all cores. On a CPU they share the cores, so the limit is
1 / (1/F + 1/D). F is the best of: one pass a core, each a process of its own with one thread, or one pass
with all threads; batches of 1 to 32; channels-last or contiguous tensors; always with memory kept between
layers, as ours has it. D is a process a core, each with one thread, which share nothing.

Every round measures F, D and ours, one after the other; the ratio is the median over the rounds, the goal
0.92. `full` has more images and rounds.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from harness import chosen_size, conclude, median, rounded, workplace
from lookalike import schemas
from lookalike.datasets import open_dataset
from lookalike.datasets.images import decode
from lookalike.datasets.sets import ImageSet
from lookalike.embed.embedder import Embedder
from lookalike.embed.models import open_model
from lookalike.embed.models.efficientnet_lite0 import Lite0Encoder
from lookalike.machine.environment import cores, keep_freed_memory
from lookalike.store.store import Store

GOAL = 0.92
IMAGES = {"tiny": 24, "small": 480, "full": 3000}
ROUNDS = {"tiny": 1, "small": 3, "full": 5}
SECONDS = {"tiny": 0.2, "small": 2.5, "full": 8.0}
"""Of one measurement of F and of D."""
TRIAL_SECONDS = {"tiny": 0.05, "small": 0.3, "full": 1.0}
"""Of each way to run the forward pass, to find the best; each is tried twice, and its better rate counts."""
BATCHES = (1, 2, 4, 8, 16, 32)
SIZES = ((500, 375), (500, 333), (375, 500), (640, 480), (1024, 683))
"""Pixels: what SBU's photos measure, and two larger kinds."""
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "retina.jpg", "hubble_deep_field.jpg")
MODEL = schemas.EfficientNetLite0Model(device="cpu")


class Way(NamedTuple):
    """How the forward pass is run."""

    processes: int
    threads: int
    """Of each process."""
    batch: int
    channels_last: bool

    def __str__(self) -> str:
        layout = "channels-last" if self.channels_last else "contiguous"
        return f"{self.processes} × {self.threads} threads, batch {self.batch}, {layout}"


def paint_photos(folder: Path, count: int) -> None:
    """JPEG files cut from real photographs: seeded crops, brought to one of ``SIZES``, quality 85 to 95."""
    import skimage.data

    shipped = Path(skimage.data.__file__).parent
    sources = [Image.open(shipped / name).convert("RGB") for name in PHOTOS]
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        source, size = sources[rng.integers(len(sources))], SIZES[rng.integers(len(SIZES))]
        scale = rng.uniform(0.5, 1) * min(source.width / size[0], source.height / size[1])
        width, height = int(size[0] * scale), int(size[1] * scale)
        left, top = rng.integers(source.width - width + 1), rng.integers(source.height - height + 1)
        crop = source.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))
        crop.save(folder / f"{number:05}.jpg", quality=int(rng.integers(85, 96)))


class Worker:
    """What a process of the baseline does; all begin at the same moment."""

    def __init__(self, folder: Path, number: int) -> None:
        keep_freed_memory()
        self.files = sorted(folder.glob("*.jpg"))[number :: cores()]
        encoder = open_model(MODEL).load()
        assert isinstance(encoder, Lite0Encoder)
        self.encoder = encoder
        self.pixels = np.stack([self._prepare(file) for file in self.files[: max(BATCHES)]])

    def _prepare(self, file: Path) -> Any:
        return self.encoder.preprocess(decode(file, 100_000_000))

    def decode(self) -> Callable[[], int]:
        """Decode and preprocess the next file; returns how many images that was."""
        files = iter(self.files * 10_000)

        def one() -> int:
            self._prepare(next(files))
            return 1

        return one

    def forward(self, way: Way) -> Callable[[], int]:
        """One pass of a batch that is ready in memory."""
        import torch

        torch.set_num_threads(way.threads)
        layout = torch.channels_last if way.channels_last else torch.contiguous_format
        rows = np.resize(np.arange(len(self.pixels)), way.batch)
        ready = torch.from_numpy((self.pixels[rows].astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
        ready = ready.contiguous(memory_format=layout)
        for layer in self._convolutions():
            layer.weight = layer.weight.contiguous(memory_format=layout)

        @torch.inference_mode()
        def one() -> int:
            x = ready
            for layer in self.encoder.network.layers:
                x = layer(x)
            x.mean((2, 3))
            return way.batch

        return one

    def _convolutions(self) -> Iterator[Any]:
        for layer in self.encoder.network.layers:
            yield from getattr(layer, "layers", [layer])


def serve(folder: Path, number: int, commands: Connection, start: Any) -> None:
    """Run commands ``(way or None for decoding, seconds)``; answer each with images a second."""
    worker = Worker(folder, number)
    commands.send("ready")
    while command := commands.recv():
        way, seconds = command
        if way is not None and number >= way.processes:
            start.wait()
            commands.send(0.0)
            continue
        one = worker.decode() if way is None else worker.forward(way)
        one()  # the first call pays for lazy initialisation
        start.wait()
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            images += one()
        commands.send(images / (time.perf_counter() - began))


@contextmanager
def workers(folder: Path) -> Iterator[Callable[[Way | None, float], float]]:
    """A process a core; yields the function that has them all run a command and adds up their rates."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(cores())
    pipes = [context.Pipe() for _ in range(cores())]
    processes = [
        context.Process(target=serve, args=(folder, number, theirs, start), daemon=True)
        for number, (_, theirs) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for ours, _ in pipes:
        ours.recv()

    def rate(way: Way | None, seconds: float) -> float:
        for ours, _ in pipes:
            ours.send((way, seconds))
        return float(sum(ours.recv() for ours, _ in pipes))

    yield rate
    for ours, _ in pipes:
        ours.send(None)
    for process in processes:
        process.join()


def best_way(rate: Callable[[Way | None, float], float], seconds: float) -> Way:
    """The fastest of all; contiguous tensors are tried at the best two batch sizes of each shape only."""
    shapes = sorted({(cores(), 1), (1, cores())})
    tried: dict[Way, float] = {}

    def attempt(ways: Iterable[Way]) -> None:
        for way in 2 * list(ways):
            tried[way] = max(rate(way, seconds), tried.get(way, 0.0))

    attempt(Way(*shape, batch, True) for shape in shapes for batch in BATCHES)
    for shape in shapes:
        ways = sorted((way for way in tried if way[:2] == shape), key=tried.__getitem__)
        attempt(way._replace(channels_last=False) for way in ways[-2:])
    ranked = sorted(tried, key=tried.__getitem__, reverse=True)
    for way in ranked:
        print(f"  forward pass, {way}: {tried[way]:.1f} images/s")
    return ranked[0]


def embedding_rate(images: ImageSet, embedder: Embedder, round_number: int) -> float:
    """Images a second of embedding a set that the store has nothing of."""
    fresh = [f"{fingerprint} {round_number}" for fingerprint in images.fingerprints]
    unknown = ImageSet(images.ids, fresh, images.locations, images.load)
    began = time.perf_counter()
    embedder.embed(unknown)
    return len(images) / (time.perf_counter() - began)


def main() -> None:
    """Paint, find the best forward pass, then rounds of F, D and ours."""
    size = chosen_size(__doc__)
    measured: dict[str, list[float]] = {"F": [], "D": [], "ours": []}
    with workplace() as folder:
        paint_photos(folder / "photos", IMAGES[size])
        images = open_dataset(schemas.FolderDataset(root=str(folder / "photos")))
        embedder = Embedder.of(open_model(MODEL), MODEL, Store(folder / "store"))
        began = time.perf_counter()
        embedding_rate(images.take(range(16)), embedder, -1)
        start_up = time.perf_counter() - began
        with workers(folder / "photos") as rate:
            way = best_way(rate, TRIAL_SECONDS[size])
            for number in range(ROUNDS[size]):
                measured["F"].append(rate(way, SECONDS[size]))
                measured["D"].append(rate(None, SECONDS[size]))
                measured["ours"].append(embedding_rate(images, embedder, number))
                told = ", ".join(f"{name} {rates[-1]:.1f}" for name, rates in measured.items())
                print(f"  round {number + 1} of {ROUNDS[size]}, images/s: {told}")
    limits = [1 / (1 / f + 1 / d) for f, d in zip(measured["F"], measured["D"], strict=True)]
    ratio = median([own / limit for own, limit in zip(measured["ours"], limits, strict=True)])
    f, d = median(measured["F"]), median(measured["D"])
    binds = "the forward pass" if f < d else "decoding"
    print(f"F = {f:.1f}, D = {d:.1f}, limit {median(limits):.1f} images/s; {binds} binds")
    conclude(
        "embedding_vs_limit",
        size,
        ratio,
        GOAL,
        baseline="1 / (1/F + 1/D)",
        at_least=True,
        forward_images_per_second=round(f, 1),
        decode_images_per_second=round(d, 1),
        binds=binds,
        forward_pass=str(way),
        start_up_seconds=round(start_up, 2),
        samples={name: rounded(rates) for name, rates in measured.items()},
        images=len(images),
    )


if __name__ == "__main__":
    main()
