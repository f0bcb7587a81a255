"""The families that ship, one file each; ``family_files`` loads further ones from any folder."""

from riskgraph.eval.worlds.families import (
    account_takeover,
    address_reseller,
    card_testing,
    promotion_farm,
    proxy_buying,
    remote_control,
)
from riskgraph.eval.worlds.family import Family

# In this order: a gang's number follows from it, and so do its random streams.
FIRST_SIX: tuple[Family, ...] = (
    proxy_buying.FAMILY,
    promotion_farm.FAMILY,
    account_takeover.FAMILY,
    card_testing.FAMILY,
    address_reseller.FAMILY,
    remote_control.FAMILY,
)
FAMILIES = {family.name: family for family in FIRST_SIX}
