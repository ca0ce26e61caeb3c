"""Denial-of-service benchmark: one client attacks while a well-behaved one measures. Each attack has its own server on loopback, bounded in time and size.

    python attacks.py ALEXNET MODEL [SECONDS]        (needs numpy and Pillow; ATTACK=PART selects attacks by name)

Prints for each attack the well-behaved client's results (requests, failures, p50, p99, slowest), the server's memory above its idle level,
and the time to stop with the attacker's connections open. Exits with status 1 if a request failed, p99 reached 2 s, memory grew by 200 MB,
or the server did not stop. MODEL is an AlexNet at 224 pixels, written by `alexnet train` or torchvision's.
"""

import base64
import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
from PIL import Image

alexnet = sys.argv[1]
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 6.0
rng = np.random.default_rng(0)


def jpeg(size, **options):
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (size // 20, size // 20, 3), np.uint8)).resize((size, size)).save(file, "JPEG", **options)
    return file.getvalue()


def png(width, height):
    """A PNG of zeros, written by hand: small and fast to create at any size."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    line = zlib.compressobj(9)
    data = b"".join(line.compress(b"\0" * (3 * width + 1)) for _ in range(height)) + line.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def head(path, length, more=""):
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def form(images):
    parts = b"".join(b'--q\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + image + b"\r\n" for image in images)
    return parts + b"--q--\r\n", "Content-Type: multipart/form-data; boundary=q\r\n"


class Server:
    def __init__(self, model):
        command = [alexnet, "serve", "--model", f"m={model}", "--port", "0", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.open = []
        request(self.port, good, 60)
        self.rest = self.memory("VmRSS")
        open(f"/proc/{self.process.pid}/clear_refs", "w").write("5")

    def memory(self, name):
        line = next(line for line in open(f"/proc/{self.process.pid}/status") if line.startswith(name))
        return int(line.split()[1]) / 1024

    def connect(self, timeout=10.0):
        """Opens a connection of the attacker, closed with the server at the latest."""
        try:
            stream = socket.create_connection(("127.0.0.1", self.port), timeout)
        except OSError:
            return None
        self.open.append(stream)
        return stream

    def send(self, *parts, timeout=10.0):
        stream = self.connect(timeout)
        try:
            for part in parts:
                stream.sendall(part)
        except (OSError, AttributeError):
            pass
        return stream


def request(port, image, timeout):
    """Sends one request of the well-behaved client; returns its status and latency."""
    since = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as stream:
            stream.settimeout(timeout)
            stream.sendall(head("/predict", len(image), "Connection: close\r\n") + image)
            answer = b""
            while part := stream.recv(65536):
                answer += part
        return int(answer.split(b" ")[1]), time.monotonic() - since
    except (OSError, IndexError, ValueError):
        return 0, time.monotonic() - since


def drain(stream, timeout=20.0):
    try:
        stream.settimeout(timeout)
        while stream.recv(1 << 20):
            pass
    except (OSError, AttributeError):
        pass


def repeat(server, until, clients, *parts):
    """Runs clients that repeatedly send a request and read the answer."""
    def one():
        while time.monotonic() < until:
            stream = server.send(*parts)
            if stream is None:
                time.sleep(0.05)
                continue
            drain(stream)
            stream.close()
    threads = [threading.Thread(target=one, daemon=True) for _ in range(clients)]
    [thread.start() for thread in threads]
    [thread.join(max(0.1, until + 25 - time.monotonic())) for thread in threads]


good = jpeg(400)


def repeated_outputs(server, until):
    values = json.dumps([{"name": "logits"}] * 20000)
    tensor = {"name": "picture", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(good).decode()]}
    body = f'{{"inputs":[{json.dumps(tensor)}],"outputs":{values}}}'.encode()
    repeat(server, until, 2, head("/v2/models/m/infer", len(body), "Connection: close\r\n"), body)


def half_sent_bodies(server, until):
    for _ in range(16):
        server.send(head("/predict", 16 << 20), bytes(8 << 20), timeout=3)
    while time.monotonic() < until:
        time.sleep(0.5)
        for _ in range(4):
            server.send(head("/predict", 16 << 20), bytes(8 << 20), timeout=3)


def half_sent_small_bodies(server, until):
    while time.monotonic() < until:
        for _ in range(300):
            server.send(head("/predict", 1000), b"x", timeout=1)
        time.sleep(0.3)


def tiny_images(server, until):
    dot = png(1, 1)
    binary = (struct.pack("<I", len(dot)) + dot) * 229_814
    binary = binary[: (15 << 20) // (len(dot) + 4) * (len(dot) + 4)]
    n = len(binary) // (len(dot) + 4)
    text = json.dumps({"inputs": [{"name": "picture", "datatype": "BYTES", "shape": [n], "parameters": {"binary_data_size": len(binary)}}]}).encode()
    more = f"Inference-Header-Content-Length: {len(text)}\r\nConnection: close\r\n"
    repeat(server, until, 2, head("/v2/models/m/infer", len(text) + len(binary), more), text, binary)


def large_images(side, count, clients):
    def attack(server, until):
        body, more = form([png(side, side)] * count)
        repeat(server, until, clients, head("/predict?crops=10", len(body), more + "Connection: close\r\n"), body)
    return attack


def small_images_of_ten_crops(server, until):
    body, more = form([good] * 64)
    repeat(server, until, 16, head("/predict?crops=10&top=1000", len(body), more + "Connection: close\r\n"), body)


def idle_connections(server, until):
    while time.monotonic() < until:
        for _ in range(1030):
            server.connect(1)
        time.sleep(2)


def half_headers(server, until):
    while time.monotonic() < until:
        for _ in range(1030):
            server.send(b"POST /predict HTTP/1.1\r\nHos", timeout=1)
        time.sleep(2)


def slow_readers(server, until):
    asked = head("/explain?kind=maps&layer=conv1", len(good)) + good
    while time.monotonic() < until:
        for _ in range(40):
            stream = server.connect(1)
            if stream:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                stream.settimeout(0.2)
                try:
                    stream.sendall(asked * 8)
                except OSError:
                    pass
        time.sleep(1)


def many_scans(server, until):
    body = jpeg(4900, progressive=True, quality=5)
    at = body.rindex(b"\xff\xda")
    body = body[:-2] + body[at:-2] * 400 + b"\xff\xd9"
    repeat(server, until, 4, head("/predict", len(body), "Connection: close\r\n"), body)


def large_tensors(server, until):
    n = 26
    values = np.zeros((n, 3, 224, 224), np.float32).tobytes()
    text = json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [n, 3, 224, 224], "parameters": {"binary_data_size": len(values)}}]}).encode()
    more = f"Inference-Header-Content-Length: {len(text)}\r\nConnection: close\r\n"
    repeat(server, until, 12, head("/v2/models/m/infer", len(text) + len(values), more), text, values)


attacks = {
    "nothing": lambda server, until: time.sleep(max(0, until - time.monotonic())),
    "one output requested 20,000 times": repeated_outputs,
    "16 half-sent bodies of 16 MiB": half_sent_bodies,
    "300 half-sent bodies of 1 KB": half_sent_small_bodies,
    "229,814 images of 1 x 1": tiny_images,
    "forms of 64 PNGs of 8000 x 8000": large_images(8000, 64, 2),
    "PNGs of 4900 x 4900": large_images(4900, 1, 32),
    "forms of 64 images, ten crops": small_images_of_ten_crops,
    "1,030 idle connections": idle_connections,
    "1,030 incomplete headers": half_headers,
    "answers that nobody reads": slow_readers,
    "a JPEG of 400 scans": many_scans,
    "tensors of 16 MB": large_tensors,
}


def measure(name, attack, model):
    server, results, done = Server(model), [], threading.Event()

    def measure_good():
        while not done.is_set() or len(results) < 3:
            results.append(request(server.port, good, 30))
            time.sleep(0.05)
    try:
        client = threading.Thread(target=measure_good)
        until = time.monotonic() + seconds
        client.start()
        attack(server, until)
        done.set()
        client.join()
        grown = server.memory("VmHWM") - server.rest
        for stream in server.open[:-100]:
            stream.close()
        # The server must stop despite open connections.
        since = time.monotonic()
        server.process.terminate()
        try:
            server.process.wait(40)
        except subprocess.TimeoutExpired:
            pass
        stopped = time.monotonic() - since
    finally:
        for stream in server.open:
            stream.close()
        server.process.kill()
        server.process.wait()
    times = sorted(time for _, time in results)
    failed = sum(status != 200 for status, _ in results)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    bad = failed > 0 or p99 >= 2 or grown >= 200 or stopped >= 35
    print(f"{name:34} {len(results):5} requests {failed:4} failed  p50 {times[len(times) // 2]:6.3f}  p99 {p99:6.3f}  slowest {times[-1]:6.3f} s"
          f"  memory {server.rest:4.0f} + {grown:4.0f} MB  stopped in {stopped:4.1f} s{'   <-- bad' if bad else ''}", flush=True)
    return bad


if __name__ == "__main__":
    only = os.environ.get("ATTACK", "")
    sys.exit(any([measure(name, attack, sys.argv[2]) for name, attack in attacks.items() if only in name]))
