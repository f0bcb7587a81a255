"""Places of the simulated shop: cities, where addresses lie in them, and how far apart they are."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from riskgraph.eval.worlds.extras import faker
from riskgraph.eval.worlds.pools import Pool
from riskgraph.eval.worlds.streams import Floats, Ints, pick

# name, province or country, region code, lat, lon, weight, sales region
_CITIES = """
北京市|北京|110000|39.90|116.40|9|north
天津市|天津|120000|39.13|117.20|4|north
石家庄市|河北省|130000|38.04|114.51|3|north
太原市|山西省|140000|37.87|112.55|2|north
呼和浩特市|内蒙古自治区|150000|40.84|111.75|1|north
沈阳市|辽宁省|210000|41.80|123.43|3|north
长春市|吉林省|220000|43.88|125.32|2|north
哈尔滨市|黑龙江省|230000|45.75|126.63|2|north
上海市|上海|310000|31.23|121.47|10|east
南京市|江苏省|320000|32.06|118.78|5|east
苏州市|江苏省|320000|31.30|120.62|5|east
杭州市|浙江省|330000|30.25|120.17|7|east
宁波市|浙江省|330000|29.87|121.55|3|east
合肥市|安徽省|340000|31.82|117.23|3|east
福州市|福建省|350000|26.07|119.30|3|east
厦门市|福建省|350000|24.48|118.09|2|east
南昌市|江西省|360000|28.68|115.86|2|east
济南市|山东省|370000|36.65|117.12|3|east
青岛市|山东省|370000|36.07|120.38|3|east
郑州市|河南省|410000|34.75|113.62|4|central
武汉市|湖北省|420000|30.59|114.31|5|central
长沙市|湖南省|430000|28.23|112.94|4|central
广州市|广东省|440000|23.13|113.26|8|south
深圳市|广东省|440000|22.54|114.06|8|south
东莞市|广东省|440000|23.02|113.75|4|south
南宁市|广西壮族自治区|450000|22.82|108.37|2|south
海口市|海南省|460000|20.04|110.32|1|south
重庆市|重庆|500000|29.56|106.55|5|west
成都市|四川省|510000|30.57|104.07|6|west
贵阳市|贵州省|520000|26.65|106.63|2|west
昆明市|云南省|530000|24.88|102.83|2|west
西安市|陕西省|610000|34.34|108.94|4|west
兰州市|甘肃省|620000|36.06|103.83|1|west
乌鲁木齐市|新疆维吾尔自治区|650000|43.83|87.62|1|west
Berlin|DE|DE|52.52|13.40|6|eu
Hamburg|DE|DE|53.55|9.99|4|eu
München|DE|DE|48.14|11.58|4|eu
Köln|DE|DE|50.94|6.96|3|eu
Frankfurt|DE|DE|50.11|8.68|3|eu
Paris|FR|FR|48.86|2.35|6|eu
Lyon|FR|FR|45.76|4.84|3|eu
Marseille|FR|FR|43.30|5.37|2|eu
Madrid|ES|ES|40.42|-3.70|4|eu
Barcelona|ES|ES|41.39|2.17|4|eu
Milano|IT|IT|45.46|9.19|4|eu
Roma|IT|IT|41.90|12.50|4|eu
Amsterdam|NL|NL|52.37|4.90|3|eu
Bruxelles|BE|BE|50.85|4.35|2|eu
Wien|AT|AT|48.21|16.37|3|eu
Praha|CZ|CZ|50.08|14.44|2|eu
Warszawa|PL|PL|52.23|21.01|3|eu
København|DK|DK|55.68|12.57|2|eu
Lisboa|PT|PT|38.72|-9.14|2|eu
Dublin|IE|IE|53.35|-6.26|2|eu
"""
_ROWS = [line.split("|") for line in _CITIES.strip().splitlines()]
CITY_NAME = [r[0] for r in _ROWS]
PROVINCE = [r[1] for r in _ROWS]
REGION_CODE = [r[2] for r in _ROWS]
LAT = np.array([float(r[3]) for r in _ROWS])
LON = np.array([float(r[4]) for r in _ROWS])
_WEIGHT = np.array([float(r[5]) for r in _ROWS])
SALES_REGION = [r[6] for r in _ROWS]
IS_EU = np.array([r[6] == "eu" for r in _ROWS])
ADDRESS_KINDS = ("home", "office", "school", "locker", "forwarder", "depot")
_DISTRICTS = ("城东区", "城西区", "新城区", "江北区", "滨湖区", "高新区", "临港区", "南山区")
# Marks that are put into one door's text to make it look like another.
_NOISE = ("附", "旁", "内", "边", "侧", "东", "西", "里", "a", "b", "x", "1", "近", "院", "座", "楼")
STREETS = 400


def random_city(rng: np.random.Generator, country: Ints) -> Ints:
    """A city for each person; ``country`` is 0 for China and 1 for the EU."""
    cn = pick(rng, _WEIGHT * ~IS_EU, len(country))
    eu = pick(rng, _WEIGHT * IS_EU, len(country))
    return np.where(country == 1, eu, cn)


def distance_km(a: Ints, b: Ints) -> Floats:
    """Great-circle km between city centres."""
    la, lb = np.radians(LAT[a]), np.radians(LAT[b])
    d = np.sin((lb - la) / 2) ** 2 + np.cos(la) * np.cos(lb) * np.sin(np.radians(LON[b] - LON[a]) / 2) ** 2
    return np.asarray(12_742.0 * np.arcsin(np.sqrt(np.clip(d, 0, 1))), dtype=np.float64)


def distance_band(km: Floats) -> Ints:
    """Index of the catalogue's bands km0, km5, km50, km200, km1000."""
    return np.searchsorted(np.array([5.0, 50.0, 200.0, 1000.0]), km, side="right").astype(np.int64)


def far_city(rng: np.random.Generator, home: Ints, country: Ints) -> Ints:
    """A city at least 200 km from home where three draws find one."""
    city = random_city(rng, country)
    # Not until one is found: where most cities are near, the search would never end.
    for _ in range(3):
        near = distance_km(home, city) < 200
        city = np.where(near, random_city(rng, country), city)
    return city


def new_addresses(
    rng: np.random.Generator, pool: Pool, city: Ints, kind: Ints | int = 0, *, shared: float = 0.2
) -> Ints:
    """Register one address per entry of ``city``; a share lies in housing estates that others use too."""
    n = len(city)
    estate = rng.random(n) < shared
    # An estate is fixed by its city and number, so that neighbours share street, house and cell.
    number = rng.integers(0, 12, n)
    seed = (city * 12 + number) * 7919
    spread_lat, spread_lon = rng.normal(0, 0.07, n), rng.normal(0, 0.08, n)
    return pool.add(
        n,
        city=city,
        kind=kind,
        street=np.where(estate, seed % STREETS, rng.integers(0, STREETS, n)),
        house=np.where(estate, seed % 97 + 1, rng.integers(1, 300, n)),
        unit=rng.integers(101, 2800, n),
        # Three decimals are about 100 m; the service keeps a cell of 0.1 degrees.
        lat=np.round(LAT[city] + np.where(estate, (seed % 31 - 15) / 150.0, spread_lat), 3),
        lon=np.round(LON[city] + np.where(estate, (seed % 37 - 18) / 160.0, spread_lon), 3),
    )


def respell(pool: Pool, base: Ints, variant: Ints) -> Ints:
    """Addresses at the same doors in another spelling (``variant`` 0 keeps the spelling)."""
    same = {name: pool[name][base] for name in ("city", "lat", "lon", "street", "house", "unit", "kind")}
    return pool.add(len(base), variant=variant, **same)


@lru_cache(maxsize=1)
def streets(seed: int) -> dict[str, list[str]]:
    """Street names by language from Faker's word lists; input of the hashing door, nothing else."""
    library = faker()
    names: dict[str, list[str]] = {}
    for locale in ("zh_CN", "de_DE", "fr_FR", "it_IT", "es_ES", "en_GB"):
        fake = library.Faker(locale)
        fake.seed_instance(seed)
        names[locale] = [str(fake.street_name()) for _ in range(STREETS)]
    return names


_LOCALE = {"DE": "de_DE", "AT": "de_DE", "FR": "fr_FR", "BE": "fr_FR", "IT": "it_IT", "ES": "es_ES"}


def address_texts(pool: Pool, seed: int, numbers: Ints) -> list[str]:
    """The raw text of each of the addresses ``numbers``."""
    names = streets(seed)
    columns = [pool[c][numbers].tolist() for c in ("city", "street", "house", "unit", "variant", "kind")]
    return [_text(names, *row) for row in zip(*columns, strict=True)]


def _text(
    names: dict[str, list[str]], city: int, street: int, house: int, unit: int, variant: int, kind: int
) -> str:
    if IS_EU[city]:
        road = names[_LOCALE.get(PROVINCE[city], "en_GB")][street]
        text = f"{road} {house}, {unit % 90 + 1}, {10000 + city * 37 + house} {CITY_NAME[city]}"
    else:
        road = names["zh_CN"][street]
        district = _DISTRICTS[(street + house) % len(_DISTRICTS)]
        place = "快递柜" if kind == 3 else f"{house % 9 + 1}栋{unit}室"
        text = f"{PROVINCE[city]}{CITY_NAME[city]}{district}{road}{house}号{place}"
    if variant:
        noise = _NOISE[variant % len(_NOISE)]
        at = len(text) - 1 - (variant // len(_NOISE)) % 6
        text = text[:at] + noise + text[at:]
    return text
