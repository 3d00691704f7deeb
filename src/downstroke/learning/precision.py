"""Which precision was measured to be faster, for a model on a processor. What was not measured gets float32."""

from __future__ import annotations

from dataclasses import dataclass

import torch

PROCESSOR_FEATURES = ("avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Measured:
    """A row of the table: steps of a recipe in turn in both precisions, by `downstroke bench core --only precision`."""

    processor: str  # as `family` names it
    model: str  # the recipe's
    recipe: str
    bfloat16_over_float32: float  # time of a step; below 1 bfloat16 is faster
    date: str
    source: str


MEASURED = (
    # 6.0 ms against 5.5 ms a step, on whole batches of 128
    Measured("AuthenticAMD 25 avx512_bf16", "cnn", "standard", 1.09, "2026-11", "issue 11: EPYC Zen 4"),
    # two threads, medians of six blocks of 100 steps; `reader` without negatives, which are drawn and not multiplied
    Measured("AuthenticAMD 25 avx512_bf16", "coarse", "sprint", 0.93, "2026-11-27", "bench core: EPYC Zen 4"),
    Measured("AuthenticAMD 25 avx512_bf16", "fine", "best", 0.64, "2026-11-27", "bench core: EPYC Zen 4"),
    Measured("AuthenticAMD 25 avx512_bf16", "deeper", "reader", 0.73, "2026-11-27", "bench core: EPYC Zen 4"),
    # CPU time, other programs beside; `standard` 0.96 and `sprint` 0.98 there, which is left in float32
    Measured("GenuineIntel 6 avx512_bf16 amx_bf16", "fine", "best", 0.43, "2026-11", "bench core: a Xeon with AMX"),
)


def measured_faster(device: str, model: str) -> str:
    """The precision for a recipe's `model` on `device`: the same answer each time, whatever else the machine does."""
    where = family(device)
    rows = (row for row in MEASURED if (row.processor, row.model) == (where, model))
    return "bfloat16" if any(row.bfloat16_over_float32 < 1 for row in rows) else "float32"


def family(device: str) -> str:
    """What the table knows a device by: a GPU's name, or a CPU's maker, family and bfloat16 instructions."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    maker = [cpuinfo("vendor_id"), cpuinfo("cpu family")]
    return " ".join(part for part in [*maker, *bfloat16_features()] if part) if device == "cpu" else device


def bfloat16_features() -> list[str]:
    """The instructions by which this CPU multiplies bfloat16 natively, not through float32; [] where it has none."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return [name for name in PROCESSOR_FEATURES if capabilities.get(name)]


def cpuinfo(name: str) -> str:
    """The first value of that name in /proc/cpuinfo; empty where there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = (line.partition(":") for line in file)
            return next((value.strip() for key, _, value in found if key.strip() == name), "")
    except OSError:
        return ""
