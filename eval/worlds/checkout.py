"""The 21 nodes that a merchant's checkout delivers, and the payment attempts behind some of them."""

from __future__ import annotations

import numpy as np

from riskgraph.core.subgraph import State
from riskgraph.eval.worlds import geo, habits
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.sellers import documents
from riskgraph.eval.worlds.signals import Signals
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick_rows, stream
from riskgraph.eval.worlds.visits import Visits

_ACCOUNT_NODES = ("B093", "B094", "B096", "B098", "B106")
_PAYMENT_NODES = ("B064", "B065", "B066", "B070")
_UNMEASURED = 0.03
_RESETS = 0.02


def open_play(visits: Visits) -> Floats:
    """How openly each visit acts: 0 for honest ones, else one minus camouflage."""
    return np.where(visits["kind"] > 0, 1 - visits["camouflage"], 0.0)


def declines(rng: np.random.Generator, visits: Visits) -> Ints:
    """Declined attempts before this one: about 5 % of honest card payments have one."""
    rate = 0.05 + 0.05 * (visits["wallet"] == 0) * np.clip(visits.driver("card_trouble"), 0, 3)
    rate = rate + open_play(visits) * visits.trait("declines") + visits.of_type("declines")
    return np.where(visits.card_used & visits.front, np.minimum(rng.poisson(rate), 9), 0).astype(np.int64)


def _payment(
    rng: np.random.Generator, config: WorldConfig, visits: Visits, declined: Ints, out: Signals
) -> None:
    n, card = len(visits), visits.card_used & visits.front
    guessing = visits.trait("guesses_cards") * open_play(visits) + visits.of_type("guesses_cards")
    reasons = np.column_stack(
        [
            np.zeros(n),
            0.9 + guessing,
            0.4 + 0.6 * guessing,
            np.full(n, 1.2),
            0.9 + 0.6 * guessing,
            0.06 + 0.3 * guessing,
            0.25 * (declined > 1),
        ]
    )
    out.put("B064", declined.astype(np.float64), card)
    out.put("B065", np.where(declined > 0, pick_rows(rng, reasons), 0), card)
    _answers(rng, config, visits, card & (declined > 0), guessing, out)


def _answers(
    rng: np.random.Generator,
    config: WorldConfig,
    visits: Visits,
    again: Bools,
    guessing: Floats,
    out: Signals,
) -> None:
    """B066 and B070: of an earlier attempt (``again``), or of the order itself once it is paid."""
    n, card = len(visits), visits.card_used & visits.front
    # Before authorisation only an earlier attempt can have an answer.
    mismatch, checked = chance(rng, np.clip(0.18 + 0.3 * guessing, 0, 0.8), n), again & chance(rng, 0.8, n)
    strong = np.column_stack(
        [
            np.full(n, 1.2),
            np.full(n, 1.0),
            0.9 - 0.3 * guessing.clip(0, 1),
            0.25 + 0.5 * guessing,
            0.3 + 0.6 * guessing,
        ]
    )
    answer, reported = pick_rows(rng, strong), again & chance(rng, 0.7, n)
    paid = card & visits["paid_first"]
    if paid.any():
        later = visits.stream(config.seed, "paid_first")
        mismatch = np.where(paid, chance(later, 0.012 + 0.1 * guessing.clip(0, 1), n), mismatch)
        checked = np.where(paid, chance(later, 0.85, n), checked)
        answer = np.where(paid, pick_rows(later, _of_paid(visits, guessing)), answer)
        reported = np.where(paid, chance(later, 0.8, n), reported)
    out.put("B066", mismatch, checked)
    out.put("B070", answer, reported)


def _of_paid(visits: Visits, guessing: Floats) -> Floats:
    """Weights of B070's words for an order that was paid: few issuers pay after a failed challenge."""
    n, eu = len(visits), visits.of_account("country") == 1
    return np.column_stack(
        [np.where(eu, 0.4, 1.2), np.full(n, 1.0), np.where(eu, 1.2, 0.5), 0.01 + 0.05 * guessing, np.zeros(n)]
    )


def _credential(rng: np.random.Generator, visits: Visits) -> Floats:
    """Time of the latest change before each visit; a change after the visit is not known yet."""
    n = len(visits)
    change, created = visits.of_account("credential"), visits.of_account("created")
    span = np.maximum(0.0, visits["t"] - created)
    earlier = np.where(chance(rng, 0.5, n), created + span * rng.random(n), np.nan)
    known = np.where(change > visits["t"], earlier, change)
    # Honest people reset forgotten passwords and then buy.
    reset = (visits["kind"] == 0) & chance(rng, _RESETS + visits.of_type("resets"), n)
    return np.where(reset, visits["t"] - np.minimum(span, np.exp(rng.normal(8.5, 1.6, n))), known)


def _account(rng: np.random.Generator, visits: Visits, out: Signals) -> None:
    n, open_ = len(visits), open_play(visits)
    everyone = np.ones(n, dtype=np.bool_)
    since = (visits["t"] - _credential(rng, visits)) / 3600.0
    out.put("B093", np.round(np.where(since > 0, since, 0.0), 2), np.isfinite(since) & (since > 0))
    guessed = visits.trait("guesses_passwords") * open_
    elder = np.exp(np.where(visits["honest_type"] == 2, 0.6, 0.0))
    failures = 0.07 * elder + 0.55 * guessed + visits.of_type("forgets")
    out.put(
        "B094",
        rng.poisson(failures * np.exp(rng.normal(0, 0.8, n))).astype(np.float64),
        everyone,
    )
    codes = visits.trait("one_time_codes") * open_
    front = visits["channel"] == 1
    ways = np.column_stack(
        [
            0.8 - 0.5 * front + guessed,
            0.7 + 1.1 * codes,
            0.9 + 1.5 * front,
            np.full(n, 0.25),
            np.full(n, 0.15),
            np.zeros(n),
        ]
    )
    out.put("B096", pick_rows(rng, np.maximum(ways, 0.01)), everyone)
    out.put("B098", np.round(visits.of_account("profile"), 2), everyone)
    out.put("B106", visits.of_account("loop"), visits.of_account("invited"))


def _places(rng: np.random.Generator, visits: Visits, out: Signals) -> None:
    """Distance from IP to delivery (city level), and what kind of place the address is."""
    n = len(visits)
    ship = visits.cast.addresses["city"][visits["address"]]
    net = visits.cast.networks["city"][np.maximum(visits["network"], 0)]
    # Geo services place a tenth of mobile addresses in a neighbouring city.
    km = np.where(
        net == ship, np.where(chance(rng, 0.1, n), rng.uniform(5, 180, n), 1.0), geo.distance_km(net, ship)
    )
    out.put("B108", geo.distance_band(km), visits.front & (visits["network"] >= 0))
    kind = visits.cast.addresses["kind"][visits["address"]]
    out.put("B113", kind, chance(rng, 0.93, n))
    _deliveries(rng, visits, kind, out)


def _deliveries(rng: np.random.Generator, visits: Visits, kind: Ints, out: Signals) -> None:
    """Handover and returns of earlier deliveries to the address, where there are any."""
    n = len(visits)
    seen = (visits.address_rank > 0) & chance(rng, 0.9, n)
    handover = np.where(kind == 3, 1, np.where(chance(rng, 0.25, n), 2, np.where(chance(rng, 0.05, n), 3, 0)))
    out.put("B117", handover, seen)
    abuse = visits.trait("refunded") * open_play(visits)
    out.put("B118", chance(rng, 0.006 + 0.02 * open_play(visits) + 0.12 * abuse, n), seen)
    returned = seen & chance(rng, 0.06, n)
    out.put("B122", np.round(np.clip(rng.normal(-0.03, 0.1, n) - 0.3 * abuse, -1, 1), 3), returned)


def _network(rng: np.random.Generator, visits: Visits, out: Signals) -> None:
    n, front = len(visits), visits.front
    kind = visits.cast.networks["kind"][np.maximum(visits["network"], 0)]
    out.put("B123", kind, front & chance(rng, 0.95, n))
    open_ = open_play(visits)
    moving = np.where(kind == habits.MOBILE, 0.35, 0.05) + 0.35 * (kind == habits.PROXY)
    out.put(
        "B124",
        rng.poisson(moving + 0.3 * open_ * visits.trait("one_time_codes")).astype(np.float64),
        front,
    )
    tunnel = np.isin(kind, (habits.PROXY, habits.DATACENTER))
    gap = np.exp(rng.normal(3.1, 0.6, n)) + tunnel * np.exp(rng.normal(4.0, 0.8, n)) - 4.0
    out.put("B125", np.round(gap, 1), front & chance(rng, 0.9, n))
    odd = visits.of_device("ua_lies") | chance(rng, 0.006 + 0.08 * open_ * (visits.driver("spoof") > 1.0), n)
    out.put("B126", ~odd, front & chance(rng, 0.7, n))


def checkout(config: WorldConfig, visits: Visits, out: Signals) -> Ints:
    """Enter the checkout's nodes.

    Returns:
        int64[N] declined attempts before this one.
    """
    rng = visits.stream(config.seed, "checkout")
    declined = declines(rng, visits)
    _payment(rng, config, visits, declined, out)
    _account(rng, visits, out)
    _places(rng, visits, out)
    _network(rng, visits, out)
    front, n = visits.front, len(visits)
    for node in ("B108", "B109", "B123", "B124", "B125", "B126", *_PAYMENT_NODES, *_ACCOUNT_NODES):
        # A marketplace keeps payment, account and network facts to itself.
        out.withhold(node, ~front, State.NOT_DELIVERED)
    for node in ("B094", "B096", "B098", "B113"):
        out.withhold(node, chance(rng, _UNMEASURED, n), State.NOT_DELIVERED)
    own = visits["merchant"] == 0
    if not own.all():
        # The same stream for every part: what it draws belongs to the sellers.
        documents(stream(config.seed, "documents"), visits, out)
    # The shop itself is no third-party seller whose documents could repeat.
    out.withhold("B127", own, State.NOT_APPLICABLE)
    out.withhold("B128", own, State.NOT_DELIVERED)
    return declined
