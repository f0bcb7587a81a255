#!/bin/sh
# What cannot be measured from an installed package: install sizes, the demo's time, the tests' time.
#
# Usage: sh tests/measure.sh [core] [lab] [demo] [test]      (all four without arguments)
#
# Environment: PYTHON (python3) makes the fresh environments, VENV (.venv) runs demo and tests,
# OUT (riskgraph/bench/measured.json) is written. What cannot be measured is null, with the reason in note.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
venv=${VENV:-$root/.venv}
out=${OUT:-$root/riskgraph/bench/measured.json}
case $venv in /*) ;; *) venv=$root/$venv ;; esac
case $out in /*) ;; *) out=$root/$out ;; esac
parts=${*:-core lab demo test}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

core=null lab=null demo=null test=null
reasons=

say() { printf '%s\n' "$*" >&2; }

asked() { case " $parts " in *" $1 "*) return 0 ;; *) skip "$1" "not asked for"; return 1 ;; esac; }

skip() { # NAME REASON
    say "$1: $2"
    reasons="$reasons; $1 not measured: $2"
}

copy_source() { # a build inside the checkout would pick up what earlier builds left
    [ -d "$work/source" ] && return 0
    mkdir "$work/source"
    (cd "$root" && git ls-files --cached --others --exclude-standard | while IFS= read -r name; do
        if [ -e "$name" ] || [ -L "$name" ]; then printf '%s\n' "$name"; fi
    done | tar -cf - -T -) 2>"$work/log" | tar -xf - -C "$work/source" && [ -f "$work/source/pyproject.toml" ]
}

installed_mb() { # NAME EXTRA: MB of a fresh environment, pip included
    say "$1: installing into a fresh environment"
    copy_source || return 1
    "$python" -m venv "$work/$1" >"$work/log" 2>&1 || return 1
    "$work/$1/bin/python" -m pip install --disable-pip-version-check -q "$work/source$2" >"$work/log" 2>&1 || return 1
    "$work/$1/bin/riskgraph" --version >"$work/log" 2>&1 || return 1
    du -sm "$work/$1" | cut -f1
}

seconds() { # COMMAND…: whole seconds, or the command's failure
    began=$(date +%s)
    "$@" >"$work/log" 2>&1 || return 1
    echo $(($(date +%s) - began))
}

why() { tail -n 1 "$work/log" 2>/dev/null | tr -d '\r' | cut -c1-160; }

run_tests() { cd "$root" && "$venv/bin/pytest" -n 2 -m "not slow" tests; }

cpu_model() {
    model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
    [ -n "$model" ] || model=$(sysctl -n machdep.cpu.brand_string 2>/dev/null)
    printf '%s' "${model:-unknown CPU}"
}

if asked core; then core=$(installed_mb core "") || { core=null; skip core "$(why)"; }; fi
if asked lab; then lab=$(installed_mb lab "[lab]") || { lab=null; skip lab "$(why)"; }; fi
if asked demo; then
    if [ ! -x "$venv/bin/riskgraph" ]; then
        skip demo "no riskgraph in the environment, run make demo first"
    else
        say "demo: running"
        demo=$(seconds "$venv/bin/riskgraph" demo --out "$work/demo" --json) || { demo=null; skip demo "$(why)"; }
    fi
fi
if asked test; then
    if [ ! -x "$venv/bin/pytest" ]; then
        skip test "no pytest in the environment, run make test first"
    else
        say "test: running"
        test=$(seconds run_tests) || { test=null; skip test "$(why)"; }
    fi
fi

reader=$venv/bin/python
[ -x "$reader" ] || reader=$python
version=$("$reader" -c 'import platform; print(platform.python_version())' 2>/dev/null)
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo '?')
note="$(date -u +%Y-%m-%d), $(cpu_model), $cores cores, Python ${version:-?}; sizes are whole environments, pip included$reasons"
escaped=$(printf '%s' "$note" | tr '\n\t' '  ' | sed 's/\\/\\\\/g; s/"/\\"/g')
printf '{"demo_s": %s, "test_s": %s, "core_mb": %s, "lab_mb": %s, "note": "%s"}\n' \
    "$demo" "$test" "$core" "$lab" "$escaped" >"$work/measured.json"
"$reader" -m json.tool "$work/measured.json" >"$work/checked.json" || exit 1
cp "$work/checked.json" "$out"
cat "$out"
