"""The Python package against the command line and torchvision, in turns: time of a call, of the import, and memory.

    pip install . torch torchvision
    python benches/peers/python_package.py [--rounds 5] [--batch 128]

`bench infer` is that of the package's own command line. The weights are random. Times are the fastest
of all rounds, since other work on the machine only adds; ratios above 1 mean that the package is slower than `bench infer`, or
faster than torchvision.
"""
import argparse, json, os, pathlib, subprocess, sys, tempfile, time

import numpy, torch, torchvision
from PIL import Image

import alexnet

a = argparse.ArgumentParser()
a.add_argument("--rounds", type=int, default=5); a.add_argument("--batch", type=int, default=128)
a = a.parse_args()
torch.set_num_threads(os.cpu_count())


def fastest(calls, rounds):
    """Seconds of the fastest call of each, taken in turns after one that warms up."""
    best = {name: float("inf") for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            seconds = call() or time.perf_counter() - begin
            if i > 0:
                best[name] = min(best[name], seconds)
    return best


def anonymous():
    """Bytes of memory that are no mapped file."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])


def bench(batch):
    """Seconds of a batch in `alexnet bench infer`."""
    command = [sys.executable, "-m", "alexnet", "bench", "infer", "--net", "torchvision", "--batch", str(batch), "--seconds", "3", "--json"]
    rates = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["images_per_second"]
    return batch / rates["max"]


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    reference = torchvision.models.alexnet(weights=None).eval()
    torch.save(reference.state_dict(), folder / "alexnet.pth")
    subprocess.run([sys.executable, "-m", "alexnet", "convert", folder / "alexnet.pth", folder / "alexnet.safetensors"], check=True, capture_output=True)

    imports = fastest({name: lambda name=name: subprocess.run([sys.executable, "-c", code], check=True) and None
                       for name, code in [("python", ""), ("import", "import alexnet")]}, 10)
    print(f"import alexnet                        {1000 * (imports['import'] - imports['python']):7.1f} ms")

    before, begin = anonymous(), time.perf_counter()
    model = alexnet.load(folder / "alexnet.safetensors", batch=a.batch)
    seconds, weights = time.perf_counter() - begin, 4 * model.parameter_count
    print(f"load                                  {1000 * seconds:7.1f} ms, {(anonymous() - before) / 1e6:.1f} MB of memory for {weights / 1e6:.1f} MB of weights")

    random = numpy.random.default_rng(0)
    pixels = random.integers(0, 256, (a.batch, 256, 256, 3), dtype=numpy.uint8)
    files = []
    for i, image in enumerate(pixels):
        smooth = Image.fromarray(image[::16, ::16]).resize((400, 300))
        files.append(folder / f"{i}.jpg")
        smooth.save(files[-1], quality=90)
    preprocess = torchvision.transforms.Compose([
        torchvision.transforms.Resize(256), torchvision.transforms.CenterCrop(224), torchvision.transforms.ToTensor(),
        torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    tensor = torch.stack([preprocess(Image.fromarray(image)) for image in pixels])

    def torch_files():
        with torch.inference_mode():
            reference(torch.stack([preprocess(Image.open(file).convert("RGB")) for file in files])).softmax(1)

    def torch_tensor(images):
        with torch.inference_mode():
            reference(images).softmax(1)

    def torch_features(images):
        with torch.inference_mode():
            reference.classifier[:6](torch.flatten(reference.avgpool(reference.features(images)), 1)).numpy()

    for batch in [a.batch, 1]:
        images = tensor[:batch]
        best = fastest({"bench": lambda: bench(batch), "predict": lambda: model.predict(images) and None,
                        "features": lambda: model.features(images) is None, "torch": lambda: torch_tensor(images),
                        "torch features": lambda: torch_features(images)}, a.rounds)
        print(f"predict, {batch:3} of network input          {1000 * best['predict']:7.1f} ms, {best['predict'] / best['bench']:.3f} of `bench infer`, "
              f"torchvision {best['torch'] / best['predict']:.2f} times")
        print(f"features, {batch:3} of network input         {1000 * best['features']:7.1f} ms, torchvision {best['torch features'] / best['features']:.2f} times")
    best = fastest({"files": lambda: model.predict(files) and None, "arrays": lambda: model.predict(pixels) and None, "torch": torch_files}, a.rounds)
    print(f"predict, {a.batch:3} arrays of 256 x 256        {1000 * best['arrays']:7.1f} ms")
    print(f"predict, {a.batch:3} JPEG files of 400 x 300    {1000 * best['files']:7.1f} ms, torchvision {best['torch'] / best['files']:.2f} times")

    one = pixels[0]
    for _ in range(100):
        model.predict(one)
    before = anonymous()
    for _ in range(1000):
        model.predict(one)
    print(f"1,000 predictions                     {(anonymous() - before) / 1e6:7.1f} MB more memory")
