#!/usr/bin/env python3
"""Compares data sets as read here with what the programs read that made them: bytes or pixels, labels, class names and their order.

    python tools/check_data_sets.py target/release/examples/list_images FOLDER [KIND...]

Needs numpy, pillow, torch, torchvision, datasets, the programs zip and zstd, and the example (cargo build --release -p alexnet-data
--example list_images --features parquet). FOLDER has class folders of images; the first 40 of each class are used. Kinds (all, unless
named): zip, tar, parquet, cifar, mnist. The sets are made in a temporary folder:

- zip: Python's zipfile, stored and deflated, and Info-ZIP's zip, also streamed;
- tar: Python's tarfile with gzip, and zstd's program; both and the zips compared with torchvision's ImageFolder;
- parquet: datasets' to_parquet of an imagefolder, with splits, several shards, and other compressions and row groups;
- cifar: all four downloads' forms with 32 x 32 versions of the images, read by torchvision's CIFAR10 and CIFAR100;
- mnist: idx files, plain and gzip, read by torchvision's MNIST and FashionMNIST.
"""

import ast
import gzip
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torchvision.datasets as tv
from PIL import Image

PROGRAM, FOLDER, KINDS = sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or ["zip", "tar", "parquet", "cifar", "mnist"]
failed = 0


def ours(path, split="train", *options):
    """Class names and rows of (label, checksum of the file, checksum of the pixels, name)."""
    run = subprocess.run([PROGRAM, str(path), split, *options], capture_output=True, text=True)
    if run.returncode:
        return [], [(run.stderr.strip(),)]
    first, *rows = run.stdout.splitlines()
    split_row = lambda row: (row[0], row[1], row[2], row[5])
    return ast.literal_eval(first), [split_row(row.split(" ", 5)) for row in rows]


def crc(data):
    return f"{zlib.crc32(data):08x}"


def compare(what, classes, rows, found):
    """rows: (label, file, pixels, name), each None where the other program has none."""
    global failed
    our_classes, our_rows = found
    text = lambda row: tuple(None if value is None else str(value) for value in row)
    equal = lambda a, b: len(a) == len(b) and all(x is None or x == y for x, y in zip(text(a), b))
    wrong = sum(not equal(a, b) for a, b in zip(rows, our_rows))
    good = list(classes) == our_classes and len(rows) == len(our_rows) and not wrong
    failed += not good
    print(f"{'ok   ' if good else 'WRONG'} {what}: {len(rows)} images, {len(classes)} classes")
    if not good:
        print(f"      {len(our_rows)} images here, {wrong} differ; classes {list(classes)[:3]} and {our_classes[:3]}; first rows")
        print("     ", rows[:1], our_rows[:1])


def copy_of_some(folder, count=40):
    """Class folders with some of the images, as train and val."""
    for cls in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        files = sorted(path for path in cls.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:count]
        for i, path in enumerate(files):
            to = folder / ("val" if i % 4 == 3 else "train") / cls.name / path.name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)


def of_image_folder(root):
    folder = tv.ImageFolder(root)
    name = lambda path: Path(path).relative_to(root).as_posix()
    return folder.classes, [(label, crc(Path(path).read_bytes()), None, name(path)) for path, label in folder.samples]


def archives(root, work, kinds):
    # Names that are not ASCII, hidden files, and a wrapper folder.
    first = next((root / "train").iterdir())
    shutil.copy(next(first.iterdir()), first / "größe ñ.jpg")
    (root / ".DS_Store").write_bytes(b"x")
    (root / "__MACOSX/train").mkdir(parents=True)
    (root / "__MACOSX/train/._1.jpg").write_bytes(b"x")
    sets = {}
    if "zip" in kinds:
        for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
            with zipfile.ZipFile(work / f"{name}.zip", "w", method) as archive:
                for path in root.rglob("*"):
                    archive.write(path, Path("set") / path.relative_to(root))
        subprocess.run(["zip", "-qr", work / "info-zip.zip", "."], cwd=root, check=True)
        with open(work / "streamed.zip", "wb") as out:
            subprocess.run("zip -qr - . | cat", shell=True, cwd=root, check=True, stdout=out)
        sets |= {f"zip, {name}": work / f"{name}.zip" for name in ("stored", "deflated", "info-zip", "streamed")}
    if "tar" in kinds:
        with tarfile.open(work / "set.tar.gz", "w:gz") as archive:
            archive.add(root, "set")
        with tarfile.open(work / "plain.tar", "w") as archive:
            archive.add(root, ".")
        subprocess.run(["zstd", "-q", "-19", work / "plain.tar", "-o", work / "set.tar.zst"], check=True)
        subprocess.run(["zstd", "-q", "-1", "--long=27", work / "plain.tar", "-o", work / "long.tar.zst"], check=True)
        sets |= {"tar.gz": work / "set.tar.gz", "tar.zst": work / "set.tar.zst", "tar.zst, long": work / "long.tar.zst"}
    for what, path in sets.items():
        for split in ("train", "val"):
            classes, rows = of_image_folder(root / split)
            compare(f"{what}, {split}", classes, rows, ours(path, split))


def parquet(root, work):
    import datasets
    import pyarrow.parquet as pq

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset("imagefolder", data_dir=str(root), cache_dir=str(work / "cache"))
    out = work / "hub/data"
    out.mkdir(parents=True)

    def rows_of(data, column="image"):
        raw = data.cast_column(column, datasets.Image(decode=False))
        read = lambda image: image["bytes"] or Path(image["path"]).read_bytes()
        return [(row["label"], crc(read(row[column])), None, None) for row in raw]

    splits = {"train": "train", "validation": "val"}
    for split in loaded:
        data = loaded[split]
        for i in range(2):
            shard = data.shard(2, i, contiguous=True)
            table = shard.with_format("arrow")
            embedded = table.map(datasets.table.embed_table_storage, batched=True)
            embedded.with_format(None).to_parquet(out / f"{split}-{i:05}-of-00002.parquet")
    for split in loaded:
        names = loaded[split].features["label"].names
        compare(f"parquet, {split}", names, rows_of(loaded[split]), ours(work / "hub", splits[split]))
        back = datasets.load_dataset("parquet", data_files=sorted(map(str, out.glob(f"{split}-*"))), cache_dir=str(work / "cache"))
        compare(f"parquet, {split}, read again", names, rows_of(back["train"]), ours(work / "hub", splits[split]))
    table = pq.read_table(sorted(out.glob("train-*"))[0])
    rows = [(label, crc(image["bytes"]), None, None) for image, label in zip(table["image"].to_pylist(), table["label"].to_pylist())]
    of_shard = [loaded["train"].features["label"].names[label] for label in sorted({row[0] for row in rows})]
    for compression in ("none", "snappy", "gzip", "zstd", "lz4"):
        for options in ({"row_group_size": 7}, {"data_page_version": "2.0", "use_dictionary": False}):
            path = work / "one.parquet"
            pq.write_table(table, path, compression=compression, **options)
            compare(f"parquet, {compression}, {options}", of_shard, rows, ours(path))
    texts = table.set_column(1, "label", [[loaded["train"].features["label"].int2str(label) for label, *_ in rows]])
    pq.write_table(texts.replace_schema_metadata(None), work / "texts.parquet")
    used = sorted({loaded["train"].features["label"].int2str(label) for label, *_ in rows})
    of_text = lambda label: used.index(loaded["train"].features["label"].int2str(label))
    compare("parquet, text labels", used, [(of_text(row[0]), *row[1:]) for row in rows], ours(work / "texts.parquet"))


def pickle_of_python_2(value):
    """The opcodes that Python 2 wrote in protocol 2: strings without an encoding, and arrays of them."""
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode()
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(pickle_of_python_2, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(pickle_of_python_2(item) for pair in value.items() for item in pair) + b"u"
    data = value.tobytes()
    shape = b"".join(map(pickle_of_python_2, value.shape)) + b"\x86"
    kind = b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01" + shape + kind + b"\x89"
    return head + b"T" + struct.pack("<I", len(data)) + data + b"tb"


def small_images(root, side, mode):
    """Pixels of all images, and a label for each."""
    images, labels = [], []
    for label, cls in enumerate(sorted((root / "train").iterdir())):
        for path in sorted(cls.iterdir()):
            images.append(np.asarray(Image.open(path).convert(mode).resize((side, side))))
            labels.append(label)
    order = np.random.default_rng(1).permutation(len(images))
    return np.stack(images)[order], [labels[i] for i in order]


def of_torchvision(data):
    return data.classes, [(label, "-", crc(np.asarray(image.convert("RGB")).tobytes()), None) for image, label in data]


def cifar(root, work):
    pixels, labels = small_images(root, 32, "RGB")
    tv.cifar.check_integrity = lambda *_: True
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    fine = [f"fine_{i}" for i in range(100)]
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    fine_labels = [(label * 7 + i) % 100 for i, label in enumerate(labels)]
    pickles = {"2 of Python 2": lambda value: b"\x80\x02" + pickle_of_python_2(value) + b"."}
    pickles |= {str(protocol): lambda value, protocol=protocol: pickle.dumps(value, protocol) for protocol in (2, 3, 4, 5)}
    for protocol, dump in pickles.items():
        at = work / f"pickles {protocol}"
        ten, hundred = at / "10/cifar-10-batches-py", at / "100/cifar-100-python"
        ten.mkdir(parents=True), hundred.mkdir(parents=True)
        parts = np.array_split(np.arange(len(labels)), 6)
        for part, name in zip(parts, [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
            batch = {"batch_label": name, "labels": [labels[i] for i in part], "data": planes[part], "filenames": ["x.png"] * len(part)}
            (ten / name).write_bytes(dump(batch))
        (ten / "batches.meta").write_bytes(dump({"num_cases_per_batch": 10000, "label_names": names, "num_vis": 3072}))
        for part, name in zip(np.array_split(np.arange(len(labels)), 2), ("train", "test")):
            some = [fine_labels[i] for i in part]
            batch = {"filenames": ["x.png"] * len(part), "fine_labels": some, "coarse_labels": [i // 5 for i in some], "data": planes[part]}
            (hundred / name).write_bytes(dump(batch))
        (hundred / "meta").write_bytes(dump({"fine_label_names": fine, "coarse_label_names": [f"coarse_{i}" for i in range(20)]}))
        for kind, folder, archive in ((tv.CIFAR10, ten, "cifar-10-python"), (tv.CIFAR100, hundred, "cifar-100-python")):
            with tarfile.open(at / f"{archive}.tar.gz", "w:gz") as tar:
                tar.add(folder, folder.name)
            for train in (True, False):
                split = "train" if train else "test"
                classes, rows = of_torchvision(kind(folder.parent, train=train))
                used = sorted({row[0] for row in rows})
                rows = [(used.index(row[0]), *row[1:]) for row in rows]
                classes = [classes[i] for i in used]
                for path in (folder, folder.parent, at / f"{archive}.tar.gz"):
                    compare(f"{kind.__name__}, protocol {protocol}, {split}, {path.name}", classes, rows, ours(path, split))
                # The same in the binary form, whose records are specified on the data sets' page.
                if protocol == "5":
                    binary_cifar(folder, kind, classes, rows, split, work)


def binary_cifar(folder, kind, classes, rows, split, work):
    ten = kind is tv.CIFAR10
    out = work / ("cifar-10-batches-bin" if ten else "cifar-100-binary")
    out.mkdir(exist_ok=True)
    for path in folder.iterdir():
        batch = pickle.loads(path.read_bytes())
        if "data" in batch:
            records = zip(batch["labels"] if ten else zip(batch["coarse_labels"], batch["fine_labels"]), batch["data"])
            label = (lambda value: bytes([value])) if ten else bytes
            (out / f"{path.name}.bin").write_bytes(b"".join(label(value) + data.tobytes() for value, data in records))
        else:
            names = batch["label_names" if ten else "fine_label_names"]
            (out / ("batches.meta.txt" if ten else "fine_label_names.txt")).write_text("\n".join(names) + "\n\n")
    archive = work / f"{out.name}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(out, out.name)
    for path in (out, archive):
        compare(f"{kind.__name__}, binary, {split}, {path.name}", classes, rows, ours(path, split))


def mnist(root, work):
    pixels, labels = small_images(root, 28, "L")
    half = len(pixels) // 2
    for kind in (tv.MNIST, tv.FashionMNIST):
        raw = work / kind.__name__ / "raw"
        raw.mkdir(parents=True)
        for name, part in (("train", slice(half)), ("t10k", slice(half, None))):
            images, of = pixels[part], labels[part]
            (raw / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, *images.shape) + images.tobytes())
            (raw / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, len(of)) + bytes(of))
        packed = work / "packed" / kind.__name__
        packed.mkdir(parents=True)
        for path in raw.iterdir():
            with gzip.open(packed / f"{path.name}.gz", "wb") as out:
                out.write(path.read_bytes())
        for train in (True, False):
            split = "train" if train else "test"
            classes, rows = of_torchvision(kind(work, train=train))
            # torchvision has "0 - zero"; here it is "0".
            classes = [name.split(" - ")[0] for name in classes]
            used = sorted({row[0] for row in rows})
            rows = [(used.index(row[0]), *row[1:]) for row in rows]
            for path in (raw, raw.parent, packed):
                compare(f"{kind.__name__}, {split}, {path.name}", [classes[i] for i in used], rows, ours(path, split))


with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    copy_of_some(work / "set")
    if "parquet" in KINDS:
        (work / "parquet").mkdir()
        parquet(work / "set", work / "parquet")
    if "cifar" in KINDS:
        (work / "cifar").mkdir()
        cifar(work / "set", work / "cifar")
    if "mnist" in KINDS:
        (work / "mnist").mkdir()
        mnist(work / "set", work / "mnist")
    if {"zip", "tar"} & set(KINDS):
        (work / "archives").mkdir()
        archives(work / "set", work / "archives", KINDS)
sys.exit(failed > 0)
