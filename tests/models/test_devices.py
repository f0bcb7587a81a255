"""Which device a network is fitted on."""

from __future__ import annotations

import pytest

from riskgraph.core.errors import Invalid

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph.models.fit import device_of  # noqa: E402


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_where_torch_sees_one(there, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device_of("auto") == device
    assert device_of("cpu") == "cpu"


def test_a_gpu_that_is_not_there_is_wrong_input(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Invalid, match="finds no GPU here") as told:
        device_of("cuda")
    assert told.value.field == "--device"
