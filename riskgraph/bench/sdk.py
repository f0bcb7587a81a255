"""``riskgraph bench sdk``: the browser SDK's bytes, time and losses, and bots told by what it would send.

Bytes, time and losses are measured by ``sdk_js/bench`` in Node and Chromium. For the real sets each recorded
movement goes through the SDK's own signals, so a figure is one of the flushes and not of the points.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from riskgraph.bench import Figure, measure, real
from riskgraph.bench.real import Sets, delbot_figures, dsjtzs_figures
from riskgraph.core.errors import Unavailable
from riskgraph.eval.real.mouse import BySdk
from riskgraph.ports import Progress


@dataclass(frozen=True)
class Sdk(Sets):
    """The sets, and ``sdk_js`` of a checkout.

    Attributes:
        folder: Where the SDK lies, its packages installed.
        only: Names of figures that are wanted; none means all.
    """

    folder: Path = Path("sdk_js")
    only: frozenset[str] = frozenset()


def in_node(bench: Sdk) -> list[Figure]:
    """What ``sdk_js/bench`` prints.

    Raises:
        Unavailable: If Node or the folder is not there, or the measurement failed.
    """
    wanted = sorted(bench.only.intersection(_NAMES))
    command = ["node", "bench/bench.mjs", *(["--only", ",".join(wanted)] if bench.only else [])]
    bench.progress("sdk_js/bench", 0, 1)
    try:
        done = subprocess.run(command, cwd=bench.folder, capture_output=True, text=True, check=True)
    except FileNotFoundError as wrong:
        raise Unavailable(f"{wrong.filename} is not here: needs Node and a checkout with sdk_js") from wrong
    except subprocess.CalledProcessError as wrong:
        told = wrong.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Unavailable(f"sdk_js/bench failed (make sdk chromium installs it): {told[0]}") from wrong
    bench.progress("sdk_js/bench", 1, 1)
    return [Figure(**{k: v for k, v in row.items() if k != "ratio"}) for row in json.loads(done.stdout)]


# As sdk_js/bench has them; sizes of peers come with those of the SDK.
_NAMES = (
    "core_gzip_b", "addon_gzip_b", "full_gzip_b", "runtime_dependencies", "handler_ms_per_min",
    "handler_p99_ms", "longest_task_ms", "session_bytes", "flush_bytes", "lost_of_200", "double_counted",
    "raw_items_sent", "nodes_gathered", "flow_s",
)  # fmt: skip
PARTS: dict[Callable[[Sdk], list[Figure]], tuple[str, ...]] = {
    in_node: _NAMES,
    dsjtzs_figures: real.PARTS[dsjtzs_figures],
    delbot_figures: real.PARTS[delbot_figures],
}


def run(
    only: set[str], progress: Progress, *, folder: Path, data: Path | None = None, seeds: int = 1
) -> list[Figure]:
    """Measure all figures, or the named ones; a part that fails is reported, never left out.

    Args:
        only: Names of figures; none means all.
        progress: Told before each part and fold.
        folder: ``sdk_js`` of a checkout.
        data: Folder of the real sets; if left out, the one that ``RISKGRAPH_DATA`` names.
        seeds: How often what is drawn is drawn anew, in multiples of a plain run.
    """
    by_sdk = BySdk(folder)
    return measure(
        PARTS, Sdk(data, progress, seeds, measured=by_sdk, folder=folder, only=frozenset(only)), only
    )
