"""Threads, processes, signals and memory."""

import gc
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy
import pytest

import alexnet


def test_importing_takes_no_numpy():
    code = "import alexnet, sys; assert 'numpy' not in sys.modules and 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_share_a_model(small, pictures):
    expected = small.predict(pictures)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(small.predict(pictures))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 4


def test_other_threads_run_during_a_prediction(small, pictures):
    turns, done = 0, threading.Event()

    def predict():
        small.predict(pictures * 200)
        done.set()

    thread = threading.Thread(target=predict)
    thread.start()
    while not done.wait(0.001):
        turns += 1
    thread.join()
    assert turns > 10


def in_fork(work):
    """What `work` returns or raises in a forked process."""
    queue = multiprocessing.get_context("fork").SimpleQueue()

    def run():
        try:
            queue.put(("returned", work()))
        except Exception as error:
            queue.put((type(error).__name__, str(error)))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == 0, "the forked process hangs or has crashed"
    return queue.get()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_is_refused_but_may_open_its_own(small, small_file, pictures):
    small.predict(pictures)
    for work in [lambda: small.predict(pictures[0]), lambda: small.explain.cam(pictures[0])]:
        kind, message = in_fork(work)
        assert kind == "AlexNetError" and str(os.getpid()) in message and "spawn" in message
    kind, found = in_fork(lambda: alexnet.load(small_file).predict(pictures))
    assert kind == "returned" and found == small.predict(pictures)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_may_drop_the_model(small_file):
    holder = [alexnet.load(small_file)]
    holder[0].predict(numpy.zeros((70, 70, 3), numpy.uint8))

    def drop():
        holder.clear()
        gc.collect()
        return 1

    assert in_fork(drop) == ("returned", 1)


def test_a_spawned_process_gets_the_model_by_its_path(small, pictures):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(small.predict, (pictures[0],)) == small.predict(pictures[0])


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to oneself")
def test_ctrl_c_stops_a_prediction(small, pictures):
    def images():
        while True:
            yield pictures[0]

    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        small.predict(images())
    assert time.monotonic() - began < 20


def test_a_thousand_predictions_leak_nothing(small):
    image = numpy.zeros((64, 64, 3), numpy.uint8)

    def some(n):
        for _ in range(n):
            small.predict(image)
            small.features(image, layer="pool3")
        gc.collect()
        return _memory()

    before = some(100)
    after = some(1000)
    # Five thousand images' pixels alone would be 12 MB.
    assert after - before < 4 << 20, f"{before} -> {after}"


def _memory():
    """Resident memory in bytes."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_the_command_line_is_in_the_package(small_file, folder):
    def program(*arguments):
        return subprocess.run([sys.executable, "-m", "alexnet", *map(str, arguments)], capture_output=True, text=True)

    answer = program("predict", "--model", small_file, "--top", 1, folder / "0.png")
    best = alexnet.load(small_file).predict(folder / "0.png")[0]
    assert answer.returncode == 0 and f"0.png: {best.label} {100 * best.probability:.1f} %" in answer.stdout
    assert program("--version").stdout.strip() == f"alexnet {alexnet.__version__}"
    assert program("predict").returncode == 2 and program("inspect", "gone").returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to other processes")
def test_ctrl_c_stops_the_command_line(tmp_path):
    command = [sys.executable, "-m", "alexnet", "train", "--net", "cifar-18pct", "--epochs", "1000", "--out", "run"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        while not (tmp_path / "run/log.jsonl").exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (tmp_path / "run/state.safetensors").exists() and b"Traceback" not in errors, errors
