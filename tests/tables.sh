#!/usr/bin/env bash
# Every model on unseen families, three seeds, deep ones in every part: hours. Tables go to docs/tables, their hashes
# and the figures, which a plain run quotes, to riskgraph/bench/tables.json.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
"$bin/riskgraph" bench models --only new_family_recall,new_family_fpr,new_family_recall_reject,new_family_recall_flagged,gap_to_best,gap_to_raw,honest_review_share,slice_fpr_max \
    --seeds 3 --workers 2 --out docs/tables --json >"$figures"
rm -f docs/tables/camouflage.png
"$bin/python" tests/tables.py "$figures" docs/tables riskgraph/bench/tables.json
