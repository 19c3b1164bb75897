"""The machine's GPUs as NVML tells of them, and the setting that splits them. NVML itself is faked here alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hub import env
from runner import gpus, worker


class NvmlError(Exception):
    pass


class FakeNvml:
    """Two GPUs, or no driver; ``gone`` are UUIDs that do not answer any more."""

    NVMLError: type[Exception] = NvmlError

    def __init__(self, *, driver: bool = True, gone: tuple[str, ...] = ()) -> None:
        self.driver, self.gone = driver, gone

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NvmlError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:
        if uuid in self.gone:
            raise NvmlError("GPU is lost")
        return int(uuid[-1])

    def nvmlDeviceGetUUID(self, handle: Any) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetName(self, handle: Any) -> str:
        return "H100"

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:
        return SimpleNamespace(total=80 << 30, used=(handle + 1) << 30)

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any:
        return SimpleNamespace(gpu=97 - handle)


def test_inventory() -> None:
    assert gpus.inventory(FakeNvml()) == [
        gpus.Gpu("GPU-0", 0, "H100", 80 << 30),
        gpus.Gpu("GPU-1", 1, "H100", 80 << 30),
    ]
    assert gpus.inventory(FakeNvml(driver=False)) == []


def test_loads_are_in_the_order_asked_and_one_lost_gpu_hides_no_other() -> None:
    assert gpus.loads(["GPU-1", "GPU-0"], FakeNvml()) == [gpus.Load(96, 2 << 30), gpus.Load(97, 1 << 30)]
    assert gpus.loads(["GPU-1", "GPU-0"], FakeNvml(gone=("GPU-1",))) == [None, gpus.Load(97, 1 << 30)]
    assert gpus.loads(["GPU-1"], FakeNvml(driver=False)) == [None]
    assert gpus.loads([], FakeNvml(driver=False)) == []


def test_a_gpu_has_as_many_slots_as_the_setting_says(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.GPU_SLOTS = 3
    monkeypatch.setattr(gpus, "_library", FakeNvml)
    found = [(one["uuid"], one["slots"]) for one in worker.inventory("n1") if one["kind"] == "gpu"]
    assert found == [("GPU-0", 3), ("GPU-1", 3)]


@pytest.mark.parametrize(
    ("value", "words"), [("0", "Write 1 or more"), ("-2", "Write 1 or more"), ("two", "whole number"), ("", "whole")]
)
def test_a_setting_that_makes_no_sense_stops_the_start(value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_GPU_SLOTS", value)
    with pytest.raises(env.SettingError, match=f"SEODANG_GPU_SLOTS.*{words}"):
        env.integer("SEODANG_GPU_SLOTS", 1, least=1)
