"""The steps of ``riskgraph demo``; needs the extra ``lab``."""

from __future__ import annotations

import shlex
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import uvicorn
from rich.console import Console
from rich.live import Live
from rich.table import Table

from riskgraph import bootstrap, chain, promotion
from riskgraph.api.app import create_app
from riskgraph.commands.backtest import show_backtest
from riskgraph.commands.sandbox import show_release
from riskgraph.commands.ui import progress_bars
from riskgraph.commands.world import show_world
from riskgraph.core.errors import CheckFailed, Conflict
from riskgraph.eval.worlds import FAR_UNCONFIRMED, NEAR_CONFIRMED, SeedCase
from riskgraph.explainers.reasons import SEED_CODE
from riskgraph.governance.keys import create_key
from riskgraph.ports import Progress
from riskgraph.settings import Settings

TRAIN_UNTIL = date(2026, 6, 30)
TEST_FROM, TEST_TO = date(2026, 7, 1), date(2026, 9, 30)
# So many that the model that ships finds its clear case among them.
HELD_OUT = 2_500
SHOWN = 14
REPORTS_PER_VERDICT = 2
Answer = dict[str, Any]
STYLE = {"accept": "green", "review": "yellow", "reject": "red"}


@dataclass
class Demo:
    """What the steps hand on, and what the command prints as JSON."""

    out: Path
    settings: Settings
    console: Console
    progress: Progress
    result: dict[str, Any] = field(default_factory=dict)

    def title(self, number: int, text: str) -> None:
        self.console.rule(f"[bold]{number} · {text}", align="left")


@dataclass(frozen=True)
class Shop:
    """A service that runs with the world's earlier orders as history, and what is still to be sent to it.

    Attributes:
        url, key: Where it listens, and an API key of it.
        requests: The held-out orders, in time order.
        cases: The orders among them that were sent far by a device that gave no position, by order id.
    """

    url: str
    key: str
    requests: list[dict[str, Any]]
    cases: dict[str, SeedCase]

    @contextmanager
    def client(self) -> Iterator[Any]:
        """An HTTP client that carries the key."""
        import httpx2

        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx2.Client(base_url=self.url, headers=headers, timeout=60) as client:
            yield client


def run(out: Path, seed: int, orders: int | None, console: Console) -> dict[str, Any]:
    """All steps in turn, into a fresh sub-folder of ``out``; returns what a program wants to know."""
    started = time.monotonic()
    target = next_folder(out)
    with progress_bars() as progress:
        show = Demo(target, bootstrap.simulated_settings(target / "home"), console, progress)
        step_world(show, seed, orders)
        step_release(show, seed)
        step_model(show)
    with running_service(show) as shop:
        variants, answers = step_decisions(show, shop)
        step_reports(show, shop, list(variants.values()), answers)
    with progress_bars() as progress:
        show.progress = progress
        step_backtest(show)
    show.result["seconds"] = round(time.monotonic() - started, 1)
    console.rule("[bold]done", align="left")
    console.print(f"{show.result['seconds']:.0f} s; everything lies in {target}", soft_wrap=True)
    show.result["serve"] = serve_command(show.settings)
    show.result["shop"] = f"{show.settings.contest_address(True)}/shop/"
    console.print(
        f"links in its reports (to object, to check a report) lead to {show.settings.contest_address(True)}; "
        f"they work while this runs:\n{show.result['serve']}\n"
        f"it serves the demo shop too, from the question of consent to a report: {show.result['shop']}",
        soft_wrap=True,
        markup=False,
    )
    return show.result


def serve_command(settings: Settings) -> str:
    """What serves the demo's shop again, where the links in its reports lead to."""
    folders = {"RISKGRAPH_HOME": settings.home, "RISKGRAPH_SECRETS": settings.secret_folder}
    named = " ".join(f"{name}={shlex.quote(str(path.absolute()))}" for name, path in folders.items())
    # As this was called: after make demo it is not on the path.
    program = "riskgraph" if shutil.which("riskgraph") else shlex.quote(str(Path(sys.argv[0]).absolute()))
    return f"{named} {program} serve --demo-shop --host {settings.host} --port {settings.port}"


def next_folder(out: Path) -> Path:
    """A fresh sub-folder: an earlier demo is never overwritten."""
    for number in range(1, 1000):
        target = out / f"run-{number}"
        if not target.exists():
            target.mkdir(parents=True)
            return target
    raise Conflict(f"{out} holds 999 runs; remove some")


def step_world(show: Demo, seed: int, orders: int | None) -> None:
    show.title(1, "World: nine months of a shop. SIMULATED, and fraud-enriched to about 5 %")
    world = show.out / "world"
    chain.simulate("demo", seed=seed, orders=orders, out=world, progress=show.progress)
    chain.replay(world, show.settings, show.progress)
    show.result["world"] = chain.describe(world, oracle=True)
    show_world(show.console, show.result["world"])


def step_release(show: Demo, seed: int) -> None:
    show.title(2, "Sandbox: a release of the training window, at least 50 persons in every group")
    made = chain.release(
        show.out / "world",
        show.out / "release",
        until=TRAIN_UNTIL,
        k=50,
        seed=seed,
        settings=show.settings,
        progress=show.progress,
        tell=show.console.print,
    )
    refused = chain.refused_field()
    show.result["release"] = made
    show_release(show.console, made)
    show.console.print(f"and a column that asks for special-category data is refused: {refused}")


def step_model(show: Demo) -> None:
    show.title(3, "Model: the champion that ships, trained on releases of other simulated worlds")
    card = promotion.shipped_card()
    show.result["model"] = {key: card[key] for key in ("name", "kind", "provenance", "releases")}
    show.console.print(f"{card['name']} ({card['kind']}, {card['provenance']}), trained on:")
    for release in card["releases"]:
        held = release["certificate"]
        show.console.print(
            f"  release {release['release_id']}, k = {release['k']}, smallest group {held['min_units']}"
        )


@contextmanager
def running_service(show: Demo) -> Iterator[Shop]:
    """A real HTTP service on loopback, with the world's earlier orders as history."""
    show.title(4, "Service: orders over HTTP; the demo shop is simulated and may enforce")
    settings, profile = show.settings, bootstrap.demo_profile()
    with progress_bars() as progress:
        held = chain.held_out(show.out / "world", HELD_OUT, TEST_FROM)
        chain.load_history(show.out / "world", settings, progress, before=held.since)
    with bootstrap.open_keys(settings) as store:
        key = create_key(store, roles=["admin"], org=profile.data["merchant_id"], per_second=10_000)
    show.console.print(f"API key, shown once: {key}", soft_wrap=True, markup=False)
    # declared as TCP: asyncio sets TCP_NODELAY on no other, and each answer would wait 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)  # from here on nobody is refused, however late the server's thread gets to run
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    service = bootstrap.open_service(settings, profile)
    cases = chain.seed_cases(show.out / "world", held)
    app = create_app(service)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield Shop(url, key, held.requests, cases)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def step_decisions(show: Demo, shop: Shop) -> tuple[dict[str, Answer], list[Answer]]:
    """Send the held-out orders, and the first clear case of the seed in all its forms.

    Returns:
        The answers to the forms of the seed's case, by form, and those to all held-out orders.
    """
    answers: list[Answer] = []
    variants: dict[str, Answer] = {}
    with shop.client() as client, Live(console=show.console, refresh_per_second=8) as live:
        for body in shop.requests:
            answers.append(post(client, body))
            case = shop.cases.get(body["order_id"])
            if case is not None and names_pair(answers[-1]) and not holds(variants):
                variants = {FAR_UNCONFIRMED: answers[-1], **post_others(client, case)}
            live.update(verdict_table(answers[-SHOWN:], len(answers), len(shop.requests)))
        if not variants:
            variants = first_case(client, shop, answers)
    counts = {v: sum(a["verdict"] == v for a in answers) for v in STYLE}
    show.console.print(f"{len(answers)} held-out orders: {counts}")
    show_case(show, variants)
    show.result |= {
        "held_out": len(answers),
        "verdicts": counts,
        "seed_case_holds": holds(variants),
        "seed_case": {n: summary(a) for n, a in variants.items()},
    }
    return variants, answers


def first_case(client: Any, shop: Shop, answers: list[Answer]) -> dict[str, Answer]:
    """The forms of the first case, where no answer names the pair; none if there is no case."""
    for body, answer in zip(shop.requests, answers, strict=False):
        case = shop.cases.get(body["order_id"])
        if case is not None:
            return {FAR_UNCONFIRMED: answer, **post_others(client, case)}
    return {}


def post_others(client: Any, case: SeedCase) -> dict[str, Answer]:
    """Send the forms of a case that are no order of the world; they carry the moment of the one that is."""
    return {name: post(client, body) for name, body in case.requests.items() if name != FAR_UNCONFIRMED}


def names_pair(far: Answer) -> bool:
    """True when the order does not pass, and one of its reasons is the pair and nothing else."""
    said = [reason for reason in far["reasons"] if reason["code"] == SEED_CODE]
    return far["verdict"] != "accept" and any(len(reason["nodes"]) == 2 for reason in said)


def holds(variants: dict[str, Answer]) -> bool:
    """True when the far order does not pass and says why, and the same order near home is accepted."""
    if not variants:
        return False
    return names_pair(variants[FAR_UNCONFIRMED]) and variants[NEAR_CONFIRMED]["verdict"] == "accept"


def show_case(show: Demo, variants: dict[str, Answer]) -> None:
    """Explain which order this is, or say plainly that the world held none, or none that is clear."""
    if not variants:
        show.console.print("no held-out order was sent far from home by a device that gave no position")
        return
    far = variants[FAR_UNCONFIRMED]
    named = "names" if names_pair(far) else "does not name"
    order = far["trace_id"].split(".")[0]
    show.console.print(
        f"the seed's case among them, {order}: its report {named} the pair 'far address, location"
        " unconfirmed' as a reason to stop it"
    )
    if not holds(variants):
        show.console.print(
            "[yellow]no clear case: sent far it is not stopped for the pair, or sent home it is stopped"
        )
    show.console.print(case_table(variants))


def post(client: Any, body: dict[str, Any]) -> Answer:
    answer = client.post("/v1/decisions", json=body)
    if answer.status_code != 200:
        raise CheckFailed(f"the service answered {answer.status_code}: {answer.text[:200]}")
    decoded: Answer = answer.json()
    return decoded


def summary(answer: dict[str, Any]) -> dict[str, Any]:
    reasons = [r["code"] for r in answer["reasons"]]
    return {"verdict": answer["verdict"], "score": answer["score"], "reasons": reasons}


def verdict_table(answers: list[dict[str, Any]], done: int, total: int) -> Table:
    table = Table(
        "order", "verdict", "action", "score", "reasons", title=f"{done} of {total}, simulated orders"
    )
    for answer in answers:
        verdict = answer["verdict"]
        codes = ", ".join(r["code"] for r in answer["reasons"][:2])
        order = answer["trace_id"].split(".")[0]
        score = "-" if answer["score"] is None else f"{answer['score']:.3f}"
        table.add_row(order, f"[{STYLE[verdict]}]{verdict}", answer["action"], score, codes)
    return table


def case_table(cases: dict[str, dict[str, Any]]) -> Table:
    table = Table("the seed's case", "verdict", "score", "reasons", title="One order, three ways")
    for name, answer in cases.items():
        reasons = "\n".join(f"{r['code']} ({r['band']})" for r in answer["reasons"])
        style = STYLE[answer["verdict"]]
        table.add_row(name, f"[{style}]{answer['verdict']}", f"{answer['score']:.3f}", reasons)
    return table


def step_reports(show: Demo, shop: Shop, cases: list[Answer], answers: list[Answer]) -> None:
    """Write the reports of the seed's case and of some orders of each verdict."""
    show.title(5, "Reports: JSON, HTML and PDF, in Chinese and English")
    folder = show.out / "reports"
    folder.mkdir()
    chosen = list(cases)
    for verdict in STYLE:
        chosen += [a for a in answers if a["verdict"] == verdict][:REPORTS_PER_VERDICT]
    jobs = [
        (answer, audience, lang, form)
        for answer in chosen
        for lang in ("zh", "en")
        for audience, form in (
            ("subject", "json"),
            ("subject", "html"),
            ("subject", "pdf"),
            ("compliance", "html"),
        )
    ]
    with shop.client() as client, progress_bars() as progress:
        for done, (answer, audience, lang, form) in enumerate(jobs, 1):
            order = answer["trace_id"].split(".")[0]
            name = f"{answer['verdict']}-{order}-{audience}-{lang}.{form}"
            (folder / name).write_bytes(get_report(client, answer, audience, lang, form))
            progress("reports", done, len(jobs))
    show.result["reports"] = str(folder)
    show.console.print(f"{len(jobs)} files in {folder}", soft_wrap=True)


def get_report(client: Any, answer: Answer, audience: str, lang: str, form: str) -> bytes:
    query = {"audience": audience, "lang": lang, "format": form}
    reply = client.get(f"/v1/decisions/{answer['decision_id']}/report", params=query)
    if reply.status_code != 200:
        raise CheckFailed(f"the report answered {reply.status_code}: {reply.text[:200]}")
    content: bytes = reply.content
    return content


def step_backtest(show: Demo) -> None:
    show.title(6, "Backtest: the champion on this world, out of time. SIMULATED")
    result = chain.backtest(
        show.out / "world", None, TEST_FROM, TEST_TO, show.out / "backtest", show.settings, show.progress
    )
    show.result["backtest"] = result
    show_backtest(show.console, result)
