"""Run by the Python of an environment that has anonymeter: reads an .npz, prints its findings as JSON."""

import json
import sys
import warnings

import numpy as np
import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator


def finding(evaluator):
    results = evaluator.results()
    rates = {"attack": results.attack_rate, "control": results.control_rate}
    found = {name: [rate.value, rate.error] for name, rate in rates.items()}
    return {**found, "ci": list(results.risk().ci)}


def main(path):
    data = np.load(path)
    names = [f"c{j}" for j in range(data["members_values"].shape[1])]
    category = [n for n, c in zip(names, data["category"], strict=True) if c]

    def values(side):
        frame = pd.DataFrame(data[f"{side}_values"], columns=names).astype("Float32")
        return frame.astype({name: "string" for name in category})

    def places(side):
        return pd.DataFrame(data[f"{side}_places"].astype(np.float64), columns=names)

    np.random.seed(1)
    drawn, members, controls = (values(side) for side in ("drawn", "members", "controls"))
    single = SinglingOutEvaluator(
        members, drawn, int(data["predicates"]), int(data["columns"]), controls, max_attempts=200_000, seed=1
    )
    drawn, members, controls = (places(side) for side in ("drawn", "members", "controls"))
    trials = int(data["trials"])
    half = dict(zip(names, data["half"], strict=True))
    halves = tuple([n for n in names if half[n] == side] for side in (True, False))
    link = LinkabilityEvaluator(members, drawn, halves, trials, 1, controls)
    found = {
        "singling_out": finding(single.evaluate("multivariate")),
        "linkability": finding(link.evaluate(n_jobs=1)),
    }
    for j in data["secrets"]:
        for frame, side in ((drawn, "drawn"), (members, "members"), (controls, "controls")):
            frame["secret"] = data[f"{side}_values"][:, j].astype(np.float64)
        known = [n for n in names if n != f"c{j}"]
        guess = InferenceEvaluator(
            members, drawn, known, "secret", regression=True, n_attacks=trials, control=controls
        )
        found[f"inference c{j}"] = finding(guess.evaluate(n_jobs=1))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
