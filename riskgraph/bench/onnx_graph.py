"""The order-2 network as an ONNX graph, bins included, for ONNX Runtime (extra ``peers``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import ExtraMissing
from riskgraph.models.compiled import Tables
from riskgraph.models.layout import WIDTH

# Old enough for every ONNX Runtime that the extra allows.
_OPSET, _IR = 17, 9


def to_onnx(tables: Tables, offset: float) -> Any:
    """An ``onnx.ModelProto`` from components float32[N, 259], NaN where absent, to logits float64[N].

    Built by hand: torch's exporter refuses the sum of messages at repeated ends, and the hard bins are no
    part of the network.

    Raises:
        ExtraMissing: If onnx is not installed (extra ``peers``).
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as missing:
        raise ExtraMissing("the network as an ONNX graph", "peers") from missing
    layout, node = tables.edges.layout, helper.make_node
    constants = {
        "edges": tables.edges.matrix[:, None, :], "cells": tables.flat(), "offset": np.array(offset),
        "own_start": layout.own_offset.astype(np.int32), "pair_start": layout.pair_offset.astype(np.int32),
        "a": layout.pair_a, "b": layout.pair_b, "width": np.array(WIDTH, dtype=np.int32),
        "first": np.array([0]), "row": np.array([1]),
    }  # fmt: skip
    nodes = [
        node("GreaterOrEqual", ["components", "edges"], ["hits"]),
        node("Cast", ["hits"], ["ones"], to=TensorProto.INT32),
        node("ReduceSum", ["ones", "first"], ["bins"], keepdims=0),
        node("Add", ["bins", "own_start"], ["own"]),
        node("Gather", ["bins", "a"], ["bins_a"], axis=1),
        node("Gather", ["bins", "b"], ["bins_b"], axis=1),
        node("Mul", ["bins_a", "width"], ["rows"]),
        node("Add", ["rows", "bins_b"], ["inside"]),
        node("Add", ["inside", "pair_start"], ["pairs"]),
        node("Concat", ["own", "pairs"], ["all"], axis=1),
        node("Gather", ["cells", "all"], ["terms"]),
        node("ReduceSum", ["terms", "row"], ["sum"], keepdims=0),
        node("Add", ["sum", "offset"], ["logit"]),
    ]
    given = helper.make_tensor_value_info("components", TensorProto.FLOAT, ["N", len(layout.components)])
    told = helper.make_tensor_value_info("logit", TensorProto.DOUBLE, ["N"])
    held = [numpy_helper.from_array(np.ascontiguousarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "order2", [given], [told], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    checker.check_model(model)
    return model


def run_with(model: Any) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Logits float64[N] of components float32[N, 259] by ONNX Runtime, on one thread.

    Raises:
        ExtraMissing: If onnxruntime is not installed (extra ``peers``).
    """
    try:
        import onnxruntime
    except ImportError as missing:
        raise ExtraMissing("ONNX Runtime beside the tables", "peers") from missing
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda components: session.run(None, {"components": components})[0]
