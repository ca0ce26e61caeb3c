#!/usr/bin/env python3
"""Compares data set readers with the tools that the layouts come from: torchvision's ImageNet, and WebDataset's writer and reader.

    cargo build --release -p alexnet-data --example list_images
    python tools/check_ilsvrc_webdataset.py target/release/examples/list_images PHOTOS [FOLDER]

Needs torch, torchvision, webdataset and scipy (0.29, 1.0.2 and 1.17 were used). PHOTOS is any folder of JPEG files; they are packed again and again,
under many names, into a small ILSVRC 2012 of 1,000 classes and into shards. FOLDER (a temporary one by default) takes about as much space as
8,000 of the photos. For every image both sides must give the same bytes, label, class and position.
"""

import ast
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np
import scipy.io
import webdataset
from torchvision.datasets import imagenet

TABLES = Path(__file__).parent.parent / "crates/alexnet-net/src/imagenet"
CLASSES = [line.split("\t") for line in (TABLES / "classes.tsv").read_text().splitlines()]
# ILSVRC2012_ID - 1 to the position in sorted order.
DEVKIT = [int(rank) for rank in (TABLES / "devkit.txt").read_text().split()]


def listed(program, path, split, names=None):
    """Images as `list_images` reads them: CRC-32 of the file, label, class, name."""
    found = subprocess.run([program, path, split, *(["--classes", names] if names else [])], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    classes, *lines = found.stdout.splitlines()
    classes = ast.literal_eval(classes)
    rows = [line.split(" ", 5) for line in lines]
    return [(crc, label, classes[int(label)], name) for label, crc, _pixels, _width, _height, name in rows]


def row(data, label, name, file):
    return (f"{zlib.crc32(data):08x}", str(label), name, file)


def compare(what, ours, theirs):
    different = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), None)
    assert different is None, f"{what}: image {different}: {ours[different]} is not {theirs[different]}"
    assert len(ours) == len(theirs) > 0, f"{what}: {len(ours)} and {len(theirs)} images"
    print(f"{what}: {len(ours)} images, {len({o[1] for o in ours})} labels: equal")


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def packed(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files:
            add(tar, name, data)
    return out.getvalue()


def make_ilsvrc(root, photos, rng):
    """The three downloads, with training images and ground truth in no order."""
    ids = [wnid for wnid, _ in CLASSES]
    shuffled = rng.sample(ids, len(ids))
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as tar:
        for wnid in shuffled:
            files = [(f"{wnid}_{n}.JPEG", rng.choice(photos)) for n in rng.sample(range(20000), rng.choice([2, 3, 5]))]
            add(tar, f"{wnid}.tar", packed(files))
    truth = [rng.randrange(1000) + 1 for _ in range(2000)]
    names = [f"ILSVRC2012_val_{n:08d}.JPEG" for n in range(1, len(truth) + 1)]
    (root / "ILSVRC2012_img_val.tar").write_bytes(packed([(name, rng.choice(photos)) for name in rng.sample(names, len(names))]))
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("gloss", object), ("num_children", object)]
    synsets = np.array([(i + 1, *CLASSES[rank], "gloss", 0) for i, rank in enumerate(DEVKIT)], dtype=fields)
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    text = "".join(f"{i}\n" for i in truth).encode()
    data = "ILSVRC2012_devkit_t12/data"
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        add(tar, f"{data}/meta.mat", meta.getvalue())
        add(tar, f"{data}/ILSVRC2012_validation_ground_truth.txt", text)


def check_ilsvrc(program, root, photos, rng):
    make_ilsvrc(root, photos, rng)
    ours = {split: listed(program, root, split) for split in ["train", "val"]}
    alone = {split: listed(program, root / f"ILSVRC2012_img_{split}.tar", split) for split in ["train", "val"]}
    assert alone == ours
    # These files are not the real ones, whose checksums torchvision expects.
    imagenet.ARCHIVE_META = {kind: (name, None) for kind, (name, _) in imagenet.ARCHIVE_META.items()}
    for split in ["train", "val"]:
        theirs = imagenet.ImageNet(root, split)
        assert theirs.wnids == [wnid for wnid, _ in CLASSES] or split == "val"
        # A class without validation images has no folder there, which moves the labels of the others.
        ids = [wnid for wnid, _ in CLASSES]
        rows = []
        for path, label in theirs.imgs:
            path = Path(path)
            rows.append(row(path.read_bytes(), ids.index(theirs.wnids[label]), theirs.wnids[label], f"{path.parent.name}/{path.name}"))
        compare(f"ILSVRC 2012, {split}", ours[split], rows)
    # The unpacked folders, once the downloads are gone.
    for file in root.glob("*.tar*"):
        file.unlink()
    strip = lambda rows: [(crc, wnid, name) for crc, _, wnid, name in rows]
    for split in ["train", "val"]:
        assert strip(listed(program, root, split)) == strip(ours[split]), split
    print("the folders that torchvision unpacks: equal")


def check_webdataset(program, root, photos, rng):
    names = [f"class {n}" for n in range(30)]
    kinds = {
        "cls": lambda label: {"cls": label},
        "json": lambda label: {"json": {"label": names[label], "size": [1, 2]}},
        "txt": lambda label: {"txt": names[label]},
        "several": lambda label: {"cls": label, "json": {"caption": "an image"}, "txt": "an image\nof a class", "npy": np.zeros(3)},
    }
    for kind, fields in kinds.items():
        folder = root / kind
        folder.mkdir(parents=True)
        for split, count in [("train", 600), ("val", 150)]:
            with webdataset.ShardWriter(str(folder / f"{kind}-{split}-%06d.tar"), maxcount=128, verbose=0) as out:
                for i in range(count):
                    key = f"sub.dir/{i:05d}" if kind == "json" else f"{i:05d}"
                    out.write({"__key__": key, rng.choice(["jpg", "jpeg"]): rng.choice(photos), **fields(rng.randrange(30))})
        (root / "names.txt").write_text("".join(f"{name}\n" for name in names))
        for split, last in [("train", 4), ("val", 1)]:
            pattern = str(folder / f"{kind}-{split}-{{000000..{last:06d}}}.tar")
            rows = []
            for sample in webdataset.WebDataset(pattern, shardshuffle=False):
                image = next(key for key in sample if key in ["jpg", "jpeg"])
                if "cls" in sample:
                    label = int(sample["cls"])
                else:
                    label = names.index(sample["txt"].decode() if "txt" in sample else json.loads(sample["json"])["label"])
                shard = Path(sample["__url__"]).stem
                rows.append(row(sample[image], label, names[label], f"{shard}/{sample['__key__']}.{image}"))
            compare(f"WebDataset, {kind}, {split}, pattern", listed(program, pattern, split, root / "names.txt"), rows)
            compare(f"WebDataset, {kind}, {split}, folder", listed(program, folder, split, root / "names.txt"), rows)


def main():
    program, photos = sys.argv[1], sys.argv[2]
    photos = [path.read_bytes() for path in sorted(Path(photos).rglob("*")) if path.suffix.lower() in [".jpg", ".jpeg"]]
    photos = sorted(photos, key=len)[:64]
    rng = random.Random(0)
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
        for check in [check_ilsvrc, check_webdataset]:
            root = Path(folder) / check.__name__
            root.mkdir()
            check(program, root, photos, rng)


main()
