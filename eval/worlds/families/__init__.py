"""The families that ship, one file each; ``family_files`` loads further ones from any folder."""

from riskgraph.eval.worlds.families import (
    account_takeover,
    address_reseller,
    brushing,
    card_testing,
    fake_merchant,
    logistics_anomaly,
    promotion_farm,
    proxy_buying,
    refund_abuse,
    remote_control,
    scalper_humanlike,
    scalper_naive,
    scalper_scripted,
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
LATER: tuple[Family, ...] = (
    scalper_naive.FAMILY,
    scalper_scripted.FAMILY,
    scalper_humanlike.FAMILY,
    refund_abuse.FAMILY,
    brushing.FAMILY,
    fake_merchant.FAMILY,
    logistics_anomaly.FAMILY,
)
FAMILIES = {family.name: family for family in (*FIRST_SIX, *LATER)}
