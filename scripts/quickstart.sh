#!/usr/bin/env bash
# From nothing to a report: trains a small run on the CPU, adapts it to two tasks that it never saw, says what the words
# were worth. Nothing is downloaded but the packages; everything is written under runs/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"
cd "$root"

run=runs/quickstart
examples=data_cards/examples
report=$run/report

install_taskaware
taskaware=$venv/bin/taskaware

heading "1/5 Training (configs/quickstart.yaml)"
"$venv/bin/accelerate" launch --cpu --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
    --num_cpu_threads_per_process "$(getconf _NPROCESSORS_ONLN)" -m taskaware train configs/quickstart.yaml

heading "2/5 Adapting to two new tasks over the same letters: in what mood, and about what?"
for task in mood subject; do
    "$taskaware" adapt "$run" --card "$examples/museum_$task.md" --examples "$examples/museum_$task.csv" \
        --out "$run/museum_$task"
    "$taskaware" predict "$run/museum_$task" "$examples/museum_new.csv" --out "$run/museum_$task.csv"
done

heading "3/5 What it makes of twelve letters that nobody has labelled"
"$venv/bin/python" - "$run/museum_mood.csv" "$run/museum_subject.csv" <<'PY'
import csv
import sys

moods, subjects = (list(csv.DictReader(open(path, encoding="utf-8", newline=""))) for path in sys.argv[1:])
for mood, subject in zip(moods, subjects, strict=True):
    answers = (f"{row['prediction']} {float(row['probability']):.0%}" for row in (mood, subject))
    print("{:<16}{:<16}{}".format(*answers, mood["text"]))
PY

heading "4/5 Accuracy on aspects and messages held out from training"
"$taskaware" evaluate "$run" --card messages --way 3 --shot 3 --episodes 200 --split test

heading "5/5 What each kind of words contributed (configs/ablation/quickstart.yaml)"
"$taskaware" ablate "$run" configs/ablation/quickstart.yaml --out "$report"

heading "Done"
printf 'The report: %s\n' "$(find "$root/$report" -name '*.html' | head -n 1)"
printf 'Its tables and figures lie beside it; the trained run is %s.\n' "$root/$run"
