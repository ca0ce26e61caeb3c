"""The stubs, by mypy: calls against them, and the package itself."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
pytest.importorskip("sklearn")


def run(*arguments, cwd):
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


def test_calls_are_well_typed(tmp_path):
    run("mypy", "--strict", "--package", "alexnet", cwd=tmp_path)
    run("mypy", "--strict", str(Path(__file__).with_name("typed.py")), cwd=tmp_path)


def test_the_stubs_are_those_of_the_package(tmp_path):
    run("mypy.stubtest", "alexnet._native", cwd=tmp_path)
