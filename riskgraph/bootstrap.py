"""The only place that names concrete classes and wires the service together."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from riskgraph.clock import SystemClock as SystemClock
from riskgraph.collecting import Collecting
from riskgraph.core.baseline import Baseline
from riskgraph.core.baseline_view import Views
from riskgraph.core.canonical import canonical_json
from riskgraph.core.door import Door
from riskgraph.core.errors import ExtraMissing, Invalid, ModelUnavailable
from riskgraph.core.tree_head import TreeHead
from riskgraph.core.verdict import DecisionTree
from riskgraph.explainers.counterfactual import find_counterfactual
from riskgraph.explainers.games import AnyExplainer
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.wording import read_tables
from riskgraph.governance.contest_links import ContestLinks
from riskgraph.governance.keyring import KeyRing, PublicKey, replace_file
from riskgraph.governance.keys import Authenticator
from riskgraph.governance.limits import SubjectReports
from riskgraph.governance.signing import (
    Ed25519Signer,
    Ed25519Verifier,
    read_or_create_secret,
    read_public_key,
)
from riskgraph.models import Model, load_model
from riskgraph.models.card import CARD_FILE, read_card
from riskgraph.models.parity import read_parity
from riskgraph.models.reference import read_reference, views_in_force, views_of
from riskgraph.models.registry import POINTER_FILE, Champion, champion, shipped_champion
from riskgraph.pipeline import Line
from riskgraph.ports import BehaviorSource, Clock, Shadow
from riskgraph.reports import ModelOrigins, StoredReports
from riskgraph.reviewing import Reviews
from riskgraph.service import Service
from riskgraph.settings import Settings
from riskgraph.shadow import Challengers
from riskgraph.stores import Neo4jOptions, Secrets, SqliteStore, open_store, store_path
from riskgraph.stores.log import parse_head
from riskgraph.stores.neo4j.connect import READ_S
from riskgraph.stores.neo4j.nodes import Policy
from riskgraph.stores.rotation import rotate_under
from riskgraph.stores.sessions import SessionStore
from riskgraph.stores.verify import Verified, verify_file
from riskgraph.subjects import Subjects
from riskgraph.writing import SIMULATED as SIMULATED
from riskgraph.writing import MerchantReportWriter

EXTRAS = {
    "lab": ("faker", "matplotlib", "pyarrow", "scipy", "sklearn"),
    "train": ("pyarrow", "scipy", "sklearn", "torch"),
}

_LOG = logging.getLogger("riskgraph.bootstrap")
KEPT_HEAD = "tree_head.json"
_GONE = "restore it, promote again, or take away models that lie there and were never promoted"


def load_tree(settings: Settings) -> DecisionTree:
    """The configured tree, or the one that ships.

    Raises:
        Invalid: If the file cannot be opened, is no JSON, or holds no tree that can be walked.
    """
    shipped = resources.files("riskgraph.core").joinpath("data", "tree.json")
    try:
        text = (settings.tree or shipped).read_text(encoding="utf-8")
        return DecisionTree.parse(json.loads(text))
    except OSError as wrong:
        raise Invalid(f"the tree cannot be opened: {settings.tree}", field="RISKGRAPH_TREE") from wrong
    except (ValueError, RecursionError) as wrong:
        message = f"the tree cannot be read: {settings.tree}: {wrong}"
        raise Invalid(message, field="RISKGRAPH_TREE") from wrong


def load_profile(settings: Settings) -> MerchantProfile:
    """The configured merchant.toml.

    Raises:
        Invalid: If none is configured or it cannot be read; missing fields show in ``/readyz``.
    """
    if settings.merchant is None:
        raise Invalid(
            "no merchant.toml: set RISKGRAPH_MERCHANT to a filled copy of the example "
            "(riskgraph serve --example-merchant prints one)",
            field="RISKGRAPH_MERCHANT",
        )
    return MerchantProfile.load(settings.merchant)


def demo_profile() -> MerchantProfile:
    """The simulated demo merchant's profile."""
    return MerchantProfile.demo()


def example_merchant() -> str:
    return resources.files("riskgraph.explainers").joinpath("data", "demo-merchant.toml").read_text("utf-8")


def serving_model(settings: Settings) -> tuple[Model, frozenset[str]]:
    """The model that decides, and the merchants that it was promoted to enforce for."""
    folder, merchants = serving_folder(settings)
    return load_model(folder), merchants


def serving_folder(settings: Settings) -> tuple[Path, frozenset[str]]:
    """The configured folder, else the promoted champion's, else the one that ships.

    Only a promotion lets a model enforce, for the merchants that its signed record names.

    Raises:
        ModelUnavailable: If the record of promotions was altered, or does not fit what lies there.
    """
    promoted = promotion_in_force(settings)
    return _folder_of(settings, promoted), frozenset(promoted.merchants if promoted else ())


def promotion_in_force(settings: Settings) -> Champion | None:
    """The promotion that counts here; none where a folder is configured, or nothing was promoted.

    Raises:
        ModelUnavailable: If the record of promotions was altered.
    """
    if settings.model is not None:
        return None
    return champion(models_folder(settings), open_verifier(settings))


def _folder_of(settings: Settings, promoted: Champion | None) -> Path:
    if promoted is not None:
        return check_promotion(settings, promoted)
    return settings.model or shipped_champion()


def check_promotion(settings: Settings, promoted: Champion) -> Path:
    """The folder of a promoted model, if it may serve under the tree of this installation.

    Raises:
        ModelUnavailable: If another model lies there, or the tree is not the one it was measured with.
    """
    folder = models_folder(settings) / promoted.folder
    promoted.check(read_card(folder), load_tree(settings).sha256)
    return folder


@dataclass(frozen=True, slots=True)
class Serving:
    """What decides at this start.

    Attributes:
        model: None where there is no sound one; every verdict is a review then.
        enforces_for: For whom verdicts act; without a model it is their ``degraded_policy`` that does.
        parity: What is on file of the model, by phase.
        reference: The baseline that the model was trained by; None where it has none.
        problem: What is wrong with the model, or with the record of promotions; empty where all is well.
    """

    model: Model | None
    enforces_for: frozenset[str]
    parity: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str = ""
    reference: Baseline | None = None

    def views(self, baseline: Path | None, simulated: bool) -> Views:
        """See :func:`views_in_force`."""
        if self.model is None:
            return Views()
        return views_in_force(self.model.card, self.reference, baseline, simulated, self.enforces_for)

    def problems(self, settings: Settings) -> list[str]:
        """What keeps the service from being ready, as everybody may read it."""
        missing = [] if self.model else ["no sound model: every order is reviewed"]
        return missing + ([_without_folders(self.problem, settings)] if self.problem else [])


def open_serving(settings: Settings, enforced_before: Callable[[], frozenset[str]]) -> Serving:
    """The model that decides and whom it acts for, so that neither an attack nor a slip fails open.

    Where the record verifies and the model or the tree does not fit, whoever it names stays under
    enforcement. Where the record itself does not verify, it is those for whom the newest stored decision was
    enforced: nobody is let go, and nobody held who was only observed. So too where the record is gone; if
    nobody was enforced, the model that ships observes.

    Args:
        settings: Where models and tree lie.
        enforced_before: The merchants whose newest stored decision was enforced.
    """
    try:
        promoted = promotion_in_force(settings)
    except ModelUnavailable as wrong:
        return Serving(None, enforced_before(), problem=wrong.message)
    merchants = frozenset(promoted.merchants if promoted else ())
    gone = ""
    if promoted is None and settings.model is None:
        merchants = enforced_before()
        if merchants or any(models_folder(settings).glob(f"*/{CARD_FILE}")):
            gone = f"{models_folder(settings)}/{POINTER_FILE}: the record of promotions is gone; {_GONE}"
        if merchants:
            return Serving(None, merchants, problem=gone)
    try:
        folder = _folder_of(settings, promoted)
        model = load_model(folder)
        reference = read_reference(folder, model.card)
    except ModelUnavailable as wrong:
        # The service starts all the same: a review by a person is better than a checkout that gets no
        # answer.
        return Serving(None, merchants, problem=wrong.message)
    parity = read_parity(folder, model.card.digest, load_tree(settings).sha256)
    return Serving(model, merchants, parity, gone, reference)


def _without_folders(problem: str, settings: Settings) -> str:
    """A problem as anybody may read it: how this machine keeps its files is nobody's business."""
    folders = [models_folder(settings), Path(str(resources.files("riskgraph.models")))]
    for folder in folders if settings.model is None else [settings.model.parent, *folders]:
        problem = problem.replace(f"{folder}/", "")
    return problem


def models_folder(settings: Settings) -> Path:
    return settings.home / "models"


_SIMULATED_KEY = bytes(range(32))


def open_door(settings: Settings) -> Door:
    return Door(read_or_create_secret(settings.secret_folder / "door.key"))


def simulated_door() -> Door:
    """The door of simulated worlds: its key is the same everywhere, see ``simulated_settings``."""
    return Door(_SIMULATED_KEY)


def simulated_settings(home: Path) -> Settings:
    """Settings for a simulated world in a folder of its own.

    The door key decides which spellings of an address look alike. Here it is no secret, since nobody
    stands behind the hashes, and so the same world gives the same verdicts on every machine.
    """
    settings = Settings(home=home)
    read_or_create_secret(settings.secret_folder / "door.key", _SIMULATED_KEY)
    return settings


def open_signer(settings: Settings) -> Ed25519Signer:
    return Ed25519Signer.open(settings.secret_folder / "signing.key")


def open_key_ring(settings: Settings) -> KeyRing:
    """What signs reports and tree heads, and verifies those of earlier keys."""
    return KeyRing(settings.secret_folder)


def rotate_report_key(settings: Settings) -> PublicKey:
    """Sign reports and the log with another key; returns the retired one.

    Raises:
        StorageUnavailable: If the log does not fit its signed head, or cannot be written.
    """
    ring = open_key_ring(settings)
    return rotate_under(store_path(settings.store), ring, lambda head: ring.rotate(tree_head=head))


def open_secrets(settings: Settings) -> Secrets:
    """What a store needs of the secrets folder; its keys are made at the first use, mode 0600."""
    wrapping_key = read_or_create_secret(settings.secret_folder / "wrapping.key")
    return Secrets(wrapping_key, open_key_ring(settings))


def neo4j_options(settings: Settings) -> Neo4jOptions:
    """Who asks a Neo4j server, and what is kept in it.

    Raises:
        Invalid: If ``RISKGRAPH_NEO4J_NODES`` names no policy.
    """
    user, password_file = settings.neo4j_user, settings.neo4j_password_file
    policy = Policy.parse(settings.neo4j_nodes)
    deadline_s = min(READ_S, settings.deadline_ms / 2000)
    return Neo4jOptions(user, password_file, policy, settings.neo4j_days, deadline_s)


def open_verifier(settings: Settings, public_key: Path | None = None) -> Ed25519Verifier:
    """What checks signatures: an exported public key, else this installation's own.

    Raises:
        Invalid: If the file holds no Ed25519 public key.
    """
    return open_signer(settings) if public_key is None else read_public_key(public_key)


def open_line(
    settings: Settings,
    profile: MerchantProfile,
    store: SqliteStore,
    serving: Serving,
    shadow: Shadow | None = None,
    behavior: BehaviorSource | None = None,
    clock: Clock | None = None,
) -> Line:
    """Everything that one decision needs. Without a sound model every verdict is a review."""
    tree, clock = load_tree(settings), clock or SystemClock()
    read_tables()
    views = serving.views(settings.baseline, profile.simulated)
    return Line(
        door=open_door(settings),
        store=store,
        ledger=store,
        scorer=serving.model,
        explainer=AnyExplainer(settings.permutation_pairs),
        tree=tree,
        writer=MerchantReportWriter(
            profile, tree, clock, serving.model, serving.enforces_for, serving.parity, views
        ),
        clock=clock,
        deadline_ms=settings.deadline_ms,
        shadow=shadow,
        find_counterfactual=find_counterfactual,
        views=views,
        behavior=behavior,
    )


def open_service(
    settings: Settings, profile: MerchantProfile | None = None, challengers: Sequence[Path] = ()
) -> Service:
    """Open store, models and profile, and put the service together.

    Raises:
        ModelUnavailable: If a challenger's folder holds no sound model.
    """
    profile = profile or load_profile(settings)
    others = [load_model(path) for path in challengers]
    settings.home.mkdir(parents=True, exist_ok=True)
    store = open_store(settings.store, open_secrets(settings), neo4j=neo4j_options(settings))
    serving = open_serving(settings, store.enforced_merchants)
    # Whoever is to take the champion's place is shown what it would be shown there.
    whose = settings.baseline, profile.simulated, serving.enforces_for
    views = [views_of(path, *whose) for path in challengers]
    shadow = Challengers(others, load_tree(settings), store, views) if others else None
    if serving.problem:
        _LOG.error("%s", serving.problem)
    clock, authenticator, sessions = SystemClock(), Authenticator(store), open_sessions(settings)
    collecting = Collecting(sessions, authenticator, open_door(settings), clock)
    line = open_line(settings, profile, store, serving, shadow, collecting, clock)
    reviews = open_reviews(settings, store, profile, line.clock)

    def problems() -> list[str]:
        return serving.problems(settings) + profile.problems()

    def close() -> None:
        if shadow is not None:
            shadow.close()
        sessions.close()
        store.close()

    return Service(
        settings=settings,
        line=line,
        reports=open_reports(settings, store, profile, reviews, SubjectReports(line.clock)),
        store=store,
        profile=profile,
        reviews=reviews,
        subjects=open_subjects(settings, profile, store, clock, sessions),
        collecting=collecting,
        authenticator=authenticator,
        problems=problems,
        close=close,
    )


def open_sessions(settings: Settings) -> SessionStore:
    """Sessions of the browser SDK, beside the journal."""
    return SessionStore.beside(store_path(settings.store), settings.sessions_mib << 20)


def open_reviews(
    settings: Settings, store: SqliteStore, profile: MerchantProfile, clock: Clock | None = None
) -> Reviews:
    """Objections and their review, with the links that reports carry."""
    links = ContestLinks.open(settings.secret_folder)
    return Reviews(store, profile, links, clock or SystemClock(), settings.contest_address(profile.simulated))


def open_reports(
    settings: Settings,
    store: SqliteStore,
    profile: MerchantProfile,
    reviews: Reviews,
    limit: SubjectReports | None = None,
) -> StoredReports:
    """Reports of stored decisions, signed with the key of this installation."""
    origins = ModelOrigins(models_folder(settings), settings.model, lambda: open_verifier(settings))
    page = settings.verify_address(profile.simulated)
    return StoredReports(store, profile, origins, reviews, open_key_ring(settings), page, limit)


def open_subjects(
    settings: Settings,
    profile: MerchantProfile,
    store: SqliteStore,
    clock: Clock | None = None,
    sessions: SessionStore | None = None,
) -> Subjects:
    """The rights of data subjects over the store and the sessions beside it."""
    reports = open_reports(settings, store, profile, open_reviews(settings, store, profile, clock))

    def report(decision_id: str, lang: str) -> tuple[bytes, str]:
        return reports.render(decision_id, None, "subject", "both", lang, "json")

    sessions = sessions or open_sessions(settings)
    return Subjects(store, sessions, open_door(settings), clock or SystemClock(), report)


def verify_log(settings: Settings, kept: TreeHead | None = None) -> Verified:
    """Check the log of the store, which need not be in order.

    Args:
        settings: Where the store and the secrets are.
        kept: A tree head that somebody kept: the log must go on from it. Without one, that of the last check
            that found all in order; it lies in the secrets folder, and this check leaves its own there.

    Raises:
        StorageUnavailable: If there is no store that can be read.
        Invalid: If the head of the last check cannot be read.
    """
    path = settings.secret_folder / KEPT_HEAD
    if kept is not None:
        return verify_file(store_path(settings.store), open_secrets(settings), kept)
    last = _last_head(path)
    found = verify_file(store_path(settings.store), open_secrets(settings), last)
    if found.head is not None and not found.problems and found.head != last:
        try:
            replace_file(path, canonical_json(found.head.to_json()))
        except OSError as wrong:
            _LOG.warning("the tree head was not kept for the next check: %s", wrong)
    return found


def _last_head(path: Path) -> TreeHead | None:
    try:
        return parse_head(path.read_bytes()) if path.exists() else None
    except Invalid as wrong:
        raise Invalid(f"{path}: {wrong.message}; remove it, and the next check keeps another") from wrong


@contextmanager
def open_keys(settings: Settings) -> Iterator[SqliteStore]:
    """The embedded store beside a service that may be running: its file is not rewritten at the opening."""
    settings.home.mkdir(parents=True, exist_ok=True)
    store = SqliteStore(store_path(settings.store), open_secrets(settings), wipe=False)
    try:
        yield store
    finally:
        store.close()


def code_version() -> str:
    """Version and a digest over the package's own Python files."""
    from riskgraph import __version__

    digest = hashlib.sha256()
    root = Path(str(resources.files("riskgraph")))
    # Sorted, since a file system lists in any order and the digest must not.
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:12]}"


def require_extra(feature: str, extra: str = "lab") -> None:
    """Fail before any work, naming the extra, when a package of it is not installed.

    Raises:
        ExtraMissing: If one is missing.
    """
    # Found, not imported: importing torch only to see that it is there would take seconds.
    if any(find_spec(package) is None for package in EXTRAS[extra]):
        raise ExtraMissing(feature, extra)
