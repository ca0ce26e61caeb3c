#!/usr/bin/env python3
"""Copies runs of `alexnet train` into MLflow: settings, metrics of every epoch, and files.

    pip install mlflow
    python tools/import_mlflow.py runs/torchvision-1 runs/torchvision-2
    mlflow ui

The tracking store is --tracking-uri, else MLFLOW_TRACKING_URI, else MLflow's default; for the file store (file:mlruns), MLflow 3
wants MLFLOW_ALLOW_FILE_STORE=true. A run that is imported again replaces
its former copy; other runs of the experiment stay. With --models, best.safetensors is copied too.
"""

import argparse
import csv
import json
import sys
import time
import tomllib
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

FOLDER = "alexnet.folder"
ENDINGS = {"done": "FINISHED", "early_stop": "FINISHED", "max_steps": "FINISHED", "interrupted": "KILLED"}
# Limits of MLflow for one request.
PARAMS, METRICS, TEXT = 100, 1000, 6000


def flatten(table, before=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{before}{key}.")
        else:
            yield before + key, json.dumps(value) if isinstance(value, list) else str(value)


def safe(name):
    """A name with the characters that MLflow accepts."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)


def log(folder):
    """Records of log.jsonl; a killed process may leave half a line."""
    records = []
    path = folder / "log.jsonl"
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            pass
    return records


def import_run(client, experiment, given, models):
    folder = given.resolve()
    config = tomllib.loads((folder / "config.toml").read_text())
    metrics_csv = folder / "metrics.csv"
    rows = list(csv.DictReader(metrics_csv.open())) if metrics_csv.exists() else []
    records = log(folder)
    now = int(time.time() * 1000)
    start = next((r["at"] for r in records if r["kind"] == "begin"), now)
    # The last record of an epoch counts: a killed run repeats steps.
    ends = {r["epoch"]: r["at"] for r in records if r["kind"] == "epoch"}
    last = records[-1] if records else {}
    ending = last.get("ending") if last.get("kind") == "end" else None
    status = "FAILED" if isinstance(ending, dict) else ENDINGS.get(ending, "KILLED")

    former = client.search_runs([experiment], f"tags.`{FOLDER}` = '{str(folder).replace(chr(39), '')}'")
    tags = {FOLDER: str(folder).replace("'", ""), "mlflow.source.name": "alexnet train"}
    run = client.create_run(experiment, start_time=start, tags=tags, run_name=folder.name)
    id = run.info.run_id
    params = [Param(safe(name), value[:TEXT]) for name, value in flatten(config)]
    for at in range(0, len(params), PARAMS):
        client.log_batch(id, params=params[at : at + PARAMS])
    metrics = [
        Metric(name, float(value), ends.get(int(row["epoch"]), start), int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if name not in ("epoch", "step") and value not in ("", None)
    ]
    for at in range(0, len(metrics), METRICS):
        client.log_batch(id, metrics=metrics[at : at + METRICS])
    if isinstance(ending, dict):
        client.log_batch(id, tags=[RunTag("alexnet.error", str(ending.get("failed", ending))[:TEXT])])
    names = ["config.toml", "metrics.csv", "report.html", "broken.txt"] + (["best.safetensors"] if models else [])
    for path in (folder / name for name in names):
        if path.exists():
            client.log_artifact(id, str(path))
    client.set_terminated(id, status, end_time=last.get("at", now))
    for run in former:
        client.delete_run(run.info.run_id)
    print(f"{given}: {len(params)} parameters, {len(rows)} epochs, {status.lower()}: run {id}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folder, as given to train's --out")
    parser.add_argument("--experiment", default="alexnet", help="name of the experiment [default: alexnet]")
    parser.add_argument("--tracking-uri", help="tracking store, such as http://127.0.0.1:5000 or sqlite:///mlflow.db")
    parser.add_argument("--models", action="store_true", help="copy best.safetensors, too")
    args = parser.parse_args()
    for folder in args.runs:
        if not (folder / "config.toml").is_file():
            sys.exit(f"{folder}: no run here: no config.toml; use the folder given as train's --out")
    if args.tracking_uri:
        mlflow.set_tracking_uri(args.tracking_uri)
    client = MlflowClient()
    found = client.get_experiment_by_name(args.experiment)
    experiment = found.experiment_id if found else client.create_experiment(args.experiment)
    for folder in args.runs:
        import_run(client, experiment, folder, args.models)


if __name__ == "__main__":
    main()
