"""Interoperability test with tritonclient, Prometheus' parser, and promtool and schemathesis if installed.

    pip install 'tritonclient[http]' prometheus_client pillow schemathesis
    python clients.py ALEXNET MODEL PICTURE [EXAMPLES OF SCHEMATHESIS]
"""

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import numpy as np
import tritonclient.http as triton
from prometheus_client.parser import text_string_to_metric_families

alexnet, model, picture = sys.argv[1:4]
examples = sys.argv[4] if len(sys.argv) > 4 else None
server = subprocess.Popen([alexnet, "serve", "--model", f"m={model}", "--port", "0", "--json", "--max-body", "4000000"], stdout=subprocess.PIPE)
address = json.loads(server.stdout.readline())["address"]
try:
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("m") and client.is_model_ready("m", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "alexnet"
    about = client.get_model_metadata("m")
    size, classes = about["inputs"][0]["shape"][-1], about["outputs"][0]["shape"][-1]

    pixels = np.random.default_rng(0).normal(size=(3, 3, size, size)).astype(np.float32)
    answers = []
    for binary in (True, False):
        tensor = triton.InferInput("input", pixels.shape, "FP32")
        tensor.set_data_from_numpy(pixels, binary_data=binary)
        wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("logits", "probabilities")]
        result = client.infer("m", [tensor], outputs=wanted, request_id="7")
        logits, probabilities = result.as_numpy("logits"), result.as_numpy("probabilities")
        assert logits.shape == probabilities.shape == (3, classes) and result.get_response()["id"] == "7"
        softmax = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
        np.testing.assert_allclose(probabilities, softmax / softmax.sum(1, keepdims=True), rtol=1e-6)
        answers.append(logits)
    assert np.array_equal(*answers), "binary and JSON differ"
    assert np.array_equal(client.infer("m", [tensor]).as_numpy("logits"), answers[0]), "default outputs differ"

    # Files instead of tensors, and the best classes instead of values.
    file = triton.InferInput("picture", [1], "BYTES")
    file.set_data_from_numpy(np.array([open(picture, "rb").read()], dtype=np.object_))
    best = client.infer("m", [file], outputs=[triton.InferRequestedOutput("probabilities", class_count=3)]).as_numpy("probabilities")
    value, index, label = best[0, 0].decode().split(":")
    predicted = json.loads(subprocess.check_output([alexnet, "predict", "--model", model, "--json", picture]))[0]["top"][0]
    assert (int(index), label) == (predicted["index"], predicted["label"]) and abs(float(value) - predicted["probability"]) < 1e-5

    try:
        tensor = triton.InferInput("input", [1, 3, size, size + 1], "FP32")
        tensor.set_data_from_numpy(np.zeros((1, 3, size, size + 1), np.float32))
        client.infer("m", [tensor])
        raise SystemExit("a wrong shape was accepted")
    except triton.InferenceServerException as error:
        assert "send [n, 3" in str(error), error
    print("tritonclient", triton.__name__, "passes")

    metrics = urllib.request.urlopen(address + "/metrics").read().decode()
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    assert {"alexnet_requests", "alexnet_queue_inputs", "alexnet_batch_size", "alexnet_decode_seconds", "alexnet_compute_seconds"} <= families.keys()
    counted = sum(s.value for s in families["alexnet_requests"].samples if s.labels == {"route": "/v2/infer", "status": "200"})
    assert counted == 4, counted
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "metrics"], input=metrics.encode(), check=True)
        print("promtool passes")
    if examples:
        schemathesis = shutil.which("schemathesis", path=sys.exec_prefix + "/bin") or "schemathesis"
        checks = "not_a_server_error,response_schema_conformance,content_type_conformance"
        run = [schemathesis, "run", address + "/openapi.json", "--checks", checks, "--max-examples", examples, "--suppress-health-check", "all"]
        # It leaves a folder in its working directory.
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(run, cwd=folder, check=True)
    assert urllib.request.urlopen(address + "/v2/health/live").status == 200
finally:
    server.terminate()
assert server.wait(60) == 0
