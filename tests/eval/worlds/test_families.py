from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import pytest

from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid, NotFound
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.eval.worlds import FAMILIES, World, families, load_families, preset, read_oracle, simulate
from tests.support.cli import riskgraph

EXAMPLES = Path(__file__).resolve().parents[3] / "docs/examples"
EXAMPLE = EXAMPLES / "triangulation.py"


def one_file(folder: Path, old: str = "", new: str = "", name: str = "mine.py") -> Path:
    """A folder with the example, in which one piece of text is another."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert old in text
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text.replace(old, new) if old else text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    out = tmp_path_factory.mktemp("families") / "world"
    return World.open(simulate(preset("demo").scaled(orders=3000), 4, out, families=load_families(EXAMPLES)))


def test_each_family_is_registered_under_its_name_with_a_file_of_its_own() -> None:
    folder = Path(families.__file__).parent
    assert {p.stem for p in folder.glob("*.py")} == {"__init__", *FAMILIES}
    for name, family in FAMILIES.items():
        assert getattr(families, name).FAMILY is family
        assert family.name == name


def test_the_worked_example_plays_and_shows_in_the_oracle(world: World) -> None:
    truth = read_oracle(world)
    mine = truth.archetype == "triangulation"
    assert 0.07 < mine.sum() / truth.is_fraud.sum() < 0.13
    assert set(truth.family[mine]) == {"payment"}
    assert set(truth.archetype) - {"honest"} <= {*FAMILIES, "triangulation"}
    assert len(set(truth.gang_id[mine])) >= 2


def test_every_value_of_a_strangers_orders_fits_the_catalogue(world: World, door: Door) -> None:
    mine = read_oracle(world).archetype == "triangulation"
    orders = [order for order, is_mine in zip(world.orders(door), mine, strict=True) if is_mine]
    assert orders
    for order in orders:
        assert OrderSubgraph.build(order.signals, order.absent).present.sum() == len(order.signals)


def test_a_strangers_cards_pay_for_several_households(world: World, door: Door) -> None:
    mine = read_oracle(world).archetype == "triangulation"
    orders = [o.entities for o, is_mine in zip(world.orders(door), mine, strict=True) if is_mine]
    cards = Counter(e.card for e in orders if e.card)
    assert cards.most_common(1)[0][1] > 1
    assert len({e.address for e in orders}) == len(orders)


def test_the_manifest_names_the_file_that_made_the_orders(world: World) -> None:
    digest = hashlib.sha256(EXAMPLE.read_bytes()).hexdigest()
    assert world.manifest["families"] == {"triangulation": digest}
    shares = {a["name"]: a["share"] for a in world.manifest["config"]["archetypes"]}
    assert shares["triangulation"] == 0.10
    assert sum(shares.values()) == pytest.approx(1)


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    config = preset("demo").scaled(orders=300)
    first, again = (
        simulate(config, 2, tmp_path / name, families=load_families(EXAMPLES)) / "manifest.json"
        for name in ("a", "b")
    )
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("        share=0.10,\n", "", "cannot be loaded: TypeError: .*'share'"),
        ("share=0.10", "share=1.5", "share must lie between 0 and 1, got 1.5"),
        ("share=0.10", "share='much'", "a figure has the wrong type"),
        ('"paste", 1.2', '"hurry", 1.2', r"unknown drivers \['hurry'\]; known are haste, "),
        ("chargeback_fraud", "chargeback", "report must be one of confirmed_fraud, chargeback_fraud"),
        ("reported=(0.6, 0.85)", "reported=(0.9, 0.85)", "reported must be"),
        ("window_days=(20, 60)", "window_days=(0, 60)", "window_days must be"),
        ("        shifts=(", "        starts='soon',\n        shifts=(", "starts must be an ISO date"),
        ("burst_hours=48.0", "burst_hours=0", "burst_hours must be more than 0"),
        ("declines=0.15", "placed_against=7", "placed_against must be a model's SHA-256, got 7"),
        ("declines=0.15", "declined=0.15", "cannot be loaded: TypeError: .*'declined'"),
        ("    play,\n", "    None,\n", "play must be a function"),
        ("FAMILY = Family(", "MINE = Family(", "FAMILY is missing"),
        ('name="triangulation"', 'name="card_testing"', "the name 'card_testing' is taken by riskgraph"),
        ('name="triangulation"', 'name="two words"', "name must be a word"),
        ("import numpy as np", "import numpie as np", "cannot be loaded: ModuleNotFoundError: .*numpie"),
        ("def play(", "def play(:", "cannot be loaded: SyntaxError"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_what_is_wrong(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(Invalid, match=f"^mine.py: .*{said}"):
        load_families(one_file(tmp_path, old, new))


def test_two_files_may_not_have_one_name(tmp_path: Path) -> None:
    one_file(tmp_path, name="a.py")
    with pytest.raises(Invalid, match=r"b.py: the name 'triangulation' is taken by a.py"):
        load_families(one_file(tmp_path, name="b.py"))


def test_a_folder_without_family_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_helpers.py").write_text("raise RuntimeError")
    with pytest.raises(NotFound, match="holds no family file"):
        load_families(tmp_path)


def test_families_that_leave_nothing_to_the_others_are_refused(tmp_path: Path) -> None:
    one_file(tmp_path, "share=0.10", "share=0.6", name="a.py")
    both = one_file(tmp_path, "share=0.10", "share=0.6", name="b.py")
    (both / "b.py").write_text((both / "b.py").read_text().replace('"triangulation"', '"another"'))
    with pytest.raises(Invalid, match=r"another, triangulation|triangulation, another.*below 1"):
        simulate(preset("demo").scaled(orders=300), 1, tmp_path / "w", families=load_families(both))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("address=doors", "addres=doors", "play failed for a gang of .*addres"),
        ("address=doors", "address=doors[:3]", "play failed for a gang of "),
        ("    scene.place(\n", "    dict(\n", "play failed|placed 0 orders"),
    ],
)
def test_a_play_that_fails_is_named_and_leaves_no_world(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    mine = load_families(one_file(tmp_path / "mine", old, new))
    with pytest.raises(Invalid, match=f"mine.py: .*{said}"):
        simulate(preset("demo").scaled(orders=1000), 1, tmp_path / "w", families=mine)
    assert not (tmp_path / "w").exists()


def test_the_command_line_takes_a_folder_of_families(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "mine")
    made = riskgraph(
        "simulate", "--orders", "400", "--families", tmp_path / "mine", "--out", tmp_path / "w", "--json",
        home=tmp_path / "home",
    )  # fmt: skip
    assert made.code == 0, made.error
    assert "triangulation" in World.open(tmp_path / "w").manifest["families"]


def test_the_command_line_names_a_wrong_file(tmp_path: Path) -> None:
    folder = one_file(tmp_path / "mine", "share=0.10", "share=2")
    refused = riskgraph(
        "simulate", "--orders", "400", "--families", folder, "--out", tmp_path / "w", home=tmp_path / "home"
    )
    assert refused.code == 2
    assert "mine.py: share must lie between 0 and 1" in refused.error
    assert not (tmp_path / "w").exists()
