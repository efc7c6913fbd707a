from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from lookalike import schemas
from lookalike.embed.models.compute import PROBE_SECONDS, fastest_batch_size, pick_device
from lookalike.errors import ModelError
from lookalike.schemas.fields import field_faults


class Machine:
    """A clock that moves only while it encodes, by ``seconds(batch size)``."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.seconds, self.now, self.sizes = seconds, 0.0, list[int]()

    def clock(self) -> float:
        return self.now

    def encode(self, batch: Sequence[object]) -> None:
        self.sizes.append(len(batch))
        self.now += self.seconds(len(batch))

    def probe(self, sample: Sequence[object]) -> int:
        return fastest_batch_size(self.encode, sample, self.clock)


def test_probe_takes_the_size_with_most_images_a_second() -> None:
    # 0.1 ms an image up to 16 in a batch, three times that beyond; 1 ms a call
    machine = Machine(lambda n: 1e-3 + n * (1e-4 if n <= 16 else 3e-4))
    assert machine.probe(["image"]) == 16


def test_probe_prefers_the_smaller_of_nearly_equal_sizes() -> None:
    assert Machine(lambda n: n * 1e-3).probe(["image"]) == 1


def test_probe_finds_the_largest_size_where_a_call_is_dear() -> None:
    assert Machine(lambda n: 0.02 + n * 1e-6).probe(["image"] * 5) == 64


@pytest.mark.parametrize("an_image", [1e-3, 0.05, 0.2, 1.5])
def test_probe_keeps_to_its_time(an_image: float) -> None:
    machine = Machine(lambda n: an_image * n)
    machine.probe(["image"])
    assert machine.now <= PROBE_SECONDS + 0.5


def test_probe_of_a_very_slow_model_stops_after_one_image() -> None:
    machine = Machine(lambda n: 10.0 * n)
    assert machine.probe(["image"] * 64) == 1
    assert machine.sizes == [1]


def test_probe_of_nothing_takes_the_smallest_size() -> None:
    assert Machine(lambda n: 1.0).probe([]) == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("dtype", "int8"),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", 2.5),
        ("batch_size", True),
        ("batch_size", "many"),
        ("workers", 0),
    ],
)
def test_impossible_settings_are_named(setting: str, value: object) -> None:
    config = schemas.PixelsModel()
    setattr(config, setting, value)
    (fault,) = field_faults(config, "model")
    assert fault.startswith(f"model.{setting} must be ")


@pytest.mark.parametrize("value", ["auto", 1, 512])
def test_possible_settings_have_no_fault(value: object) -> None:
    assert field_faults(schemas.PixelsModel(batch_size=value, workers=value, device="cuda:1")) == []


def test_auto_finds_a_device() -> None:
    assert pick_device("auto").type in {"cpu", "cuda", "mps"}
    assert pick_device("cpu") == torch.device("cpu")


def test_absent_device_names_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"model\.device=cuda:99 is not on this machine, which has .*cpu"):
        pick_device("cuda:99")
