"""Loading of images for training, alexnet beside torchvision in one run: the two take turns, and the ratio is taken turn by turn.

    python load_images.py PATH_TO_ALEXNET FOLDER [--pack FILE] [--jpeg exact|scaled] [--threads 2] [--rounds 3] [--seconds 6]
    python load_images.py --make-photographs FROM TO [--count 60]

FOLDER has a folder of JPEGs per class.  torchvision's side is what its references do with tensors: `decode_image` of the file, `v2.Resize(256,
antialias=True)`, a random crop of 224 pixels, mirror, normalise, in batches of 128 by a DataLoader with a worker per thread; the first batch,
with the start of the workers, is not counted.  alexnet's side is `alexnet bench data`, its last row.

--make-photographs writes what a phone would: each JPEG of FROM enlarged to fill 4000 x 3000 pixels (or 3000 x 4000), with noise like a sensor's (normal,
deviation 4 levels of luma and 2 of each colour), as JPEG of quality 92 with 4:2:0 chroma.
"""
import argparse, json, os, statistics, subprocess, sys, time

a = argparse.ArgumentParser()
a.add_argument("alexnet", nargs="?"); a.add_argument("folder", nargs="?"); a.add_argument("--jpeg", default="exact")
a.add_argument("--pack", metavar="FILE", help="a pack of FOLDER, which alexnet reads instead")
a.add_argument("--threads", type=int, default=os.cpu_count()); a.add_argument("--rounds", type=int, default=3); a.add_argument("--seconds", type=float, default=6)
a.add_argument("--batch", type=int, default=128); a.add_argument("--count", type=int, default=60)
a.add_argument("--make-photographs", nargs=2, metavar=("FROM", "TO")); a.add_argument("--peer", metavar="FOLDER", help=argparse.SUPPRESS)
a = a.parse_args()


def make_photographs(source, to):
    import numpy as np
    from PIL import Image, ImageOps
    names = sorted(os.path.join(d, f) for d, _, files in os.walk(source) for f in files if f.lower().endswith((".jpg", ".jpeg")))
    random = np.random.default_rng(0)
    for i, name in enumerate(names[:: max(1, len(names) // a.count)][: a.count]):
        im = Image.open(name).convert("RGB")
        im = ImageOps.fit(im, (4000, 3000) if im.width >= im.height else (3000, 4000), Image.BICUBIC)
        y = random.normal(0, 4, (im.height, im.width, 1)).astype(np.float32) + random.normal(0, 2, (im.height, im.width, 3)).astype(np.float32)
        im = Image.fromarray(np.clip(np.asarray(im) + y, 0, 255).astype(np.uint8))
        folder = os.path.join(to, "ab"[i % 2])
        os.makedirs(folder, exist_ok=True)
        im.save(os.path.join(folder, f"{i:04}.jpg"), quality=92, subsampling="4:2:0")


def peer(folder):
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.io import decode_image
    from torchvision.transforms import v2
    torch.set_num_threads(1)
    steps = [v2.Resize(256, antialias=True), v2.RandomCrop(224), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True),
             v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    data = ImageFolder(folder, v2.Compose(steps), loader=lambda path: decode_image(path, mode="RGB"))
    batches = torch.utils.data.DataLoader(data, a.batch, shuffle=True, num_workers=a.threads, persistent_workers=True)
    start, done = None, 0
    while start is None or time.perf_counter() - start < a.seconds:
        for images, _ in batches:
            if start is None:
                start = time.perf_counter()
                continue
            done += len(images)
            if time.perf_counter() - start >= a.seconds:
                break
    print(json.dumps({"images_per_second": done / (time.perf_counter() - start)}))


def run(command):
    out = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in out.stdout.splitlines() if line.startswith("{")]
    if not lines:
        sys.exit(f"failed: {' '.join(command)}\n{out.stderr[-1000:]}")
    return json.loads(lines[-1])["images_per_second"]


if a.make_photographs:
    make_photographs(*a.make_photographs)
elif a.peer:
    peer(a.peer)
else:
    if not a.folder:
        sys.exit("give the program and a folder, see --help")
    own, theirs = [], []
    common = ["--batch", str(a.batch), "--threads", str(a.threads)]
    for _ in range(a.rounds):
        own.append(run([a.alexnet, "bench", "data", "--data", a.pack or a.folder, "--jpeg", a.jpeg, "--seconds", str(2 * a.seconds), "--json"] + common))
        theirs.append(run([sys.executable, __file__, "--peer", a.folder, "--seconds", str(a.seconds)] + common))
    ratio = statistics.median(x / y for x, y in zip(own, theirs))
    print(f"{a.pack or a.folder}, {a.jpeg}: alexnet {statistics.median(own):.0f} images/s   torchvision {statistics.median(theirs):.0f} images/s   ratio {ratio:.2f}")
