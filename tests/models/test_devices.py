"""Which device a network is fitted on."""

from __future__ import annotations

import pytest

from riskgraph.core.errors import Invalid
from tests.models.helpers import planted_rows

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph.models import fit  # noqa: E402
from riskgraph.models.binning import fit_edges  # noqa: E402
from riskgraph.models.fit import Batchable, Recipe, device_of  # noqa: E402
from riskgraph.models.share import Share  # noqa: E402


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


def test_a_step_on_a_gpu_mixes_no_devices(monkeypatch):
    """On fake tensors, which know their device and hold no numbers: all of a step but its backward pass."""
    fake = pytest.importorskip("torch._subclasses.fake_tensor")
    rows = planted_rows(600, 1)[0]
    edges = fit_edges(rows.components, rows.label, rows.weight)
    data = Batchable.of(rows, edges)
    fitting = fit._Fitting(data, data, edges, 0, Recipe(), torch.device("cpu"), Share())
    # What is drawn is drawn on the CPU; a fake one would not know how many rows it is.
    monkeypatch.setattr(fit, "_shown", lambda rows, *_: (rows, rows, torch.zeros_like(rows)))
    gpu = torch.device("cuda")
    with fake.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fitting.device, network = gpu, fitting.network
        for part in network.modules():
            for name, value in part._parameters.items():
                part._parameters[name] = torch.nn.Parameter(mode.from_tensor(value.detach()).to(gpu))
            for name, value in part._buffers.items():
                part._buffers[name] = mode.from_tensor(value).to(gpu)
        fitting.constraints = fitting.constraints.to(gpu)
        for name in ("neighbours", "listed", "hidden"):
            setattr(fitting, name, getattr(fitting, name).to(gpu))
        fitting.data = fitting.check = data.to(gpu)
        assert fitting._loss(torch.zeros(300, dtype=torch.long)).device.type == "cuda"
        fitting.constraints.project(network)
        assert network(fitting.check.bins.long(), fitting.check.classes).device.type == "cuda"
        fitting.hidden = fitting.hidden.cpu()
        with pytest.raises(RuntimeError, match="same device"):
            fitting._loss(torch.zeros(300, dtype=torch.long))
