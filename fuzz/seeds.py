#!/usr/bin/env python3
"""Writes small valid files to fuzz/corpus as seeds, so that the fuzzer starts from known formats: python fuzz/seeds.py"""

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

ROOT = Path(__file__).parent
GOLDEN = ROOT.parent / "crates/alexnet-formats/tests/fixtures"


def seed(target, name, data):
    folder = ROOT / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def golden(name):
    return (GOLDEN / name).read_bytes()


for name in ["zip.pth", "checkpoint.pth", "beside.pth", "numpy_beside.pth"]:
    seed("pth", name, golden(name))
for name in ["legacy.pth", "../../../alexnet/src/lpips/alex.pth"]:
    seed("pth_legacy", Path(name).name, golden(name)[15:])
with tarfile.open(fileobj=io.BytesIO(golden("tar.pth"))) as tar:
    members = {m.name.removeprefix("./"): tar.extractfile(m).read() for m in tar if m.isfile()}
lengths = len(members["storages"]).to_bytes(2, "little") + len(members["tensors"]).to_bytes(2, "little")
seed("pth_tar", "tar", lengths + members["storages"] + members["tensors"] + members["pickle"])
for name in ["protocol4.pdparams", "protocol2.pdparams", "fortran.pdparams"]:
    seed("pickle", name, golden(name)[2:])
seed("onnx", "light", golden("light_bvlc_alexnet.onnx")[2:])
for name in ["norm_script.onnx", "norm_dynamo.onnx"]:
    seed("onnx", name, golden(name)[2:])
header = b'{"__metadata__":{"net":"{}"},"conv1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
seed("safetensors", "one", header + b"\0" + b"\0\0\x80?")
sidecar = (
    b'{"features":{"model":"m","net":"n","layer":"fc7","before_relu":false,"pool":"none","shape":[1],"precision":"f32",'
    b'"preprocess":{"resize":{"short_side":8},"crop":4,"channels":"rgb","scale":1.0,"mean":{"channel":[0,0,0]},"std":[1,1,1]}},'
    b'"names":["a"],"labels":[null]}'
)
text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1,), }"
npy = b"\x93NUMPY\x01\x00\x76\0" + text.ljust(117) + b"\n" + b"\0\0\x80?"
seed("features", "one", sidecar + b"\0" + npy)
images = ROOT.parent / "crates/alexnet-image/tests/fixtures"
for name in ["sampling0.jpg", "sampling1.jpg", "sampling2.jpg", "grey.jpg", "restarts.jpg", "exif6.jpg", "progressive.jpg"]:
    seed("jpeg", name, (images / name).read_bytes()[2:])


def varint(n):
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(at, value):
    return varint(at << 3) + varint(value)


def blob(dims, values):
    shape = b"".join(number(i + 1, n) for i, n in enumerate(dims))
    return shape + field(5, struct.pack(f"<{len(values)}f", *values))


conv = field(4, b"conv1") + number(5, 4) + field(6, blob([2, 3, 1, 1], range(6))) + field(6, blob([1, 1, 1, 2], [1, 2]))
fc = field(4, b"fc2") + number(5, 14) + field(6, blob([1, 1, 2, 2], range(4))) + field(6, blob([1, 1, 1, 2], [1, 2]))
seed("caffemodel", "v1", field(1, b"n") + field(2, conv + field(10, number(1, 2) + number(4, 1))) + field(2, fc))
seed("caffemodel", "mean", blob([1, 3, 2, 2], range(12)))

form = b"--xyz\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a.jpg\"\r\n\r\n\xff\xd8\r\n--xyz--\r\n"
seed("form", "picture", b"multipart/form-data; boundary=xyz\n" + form)
seed("form", "quoted", b'multipart/form-data; charset=utf-8; boundary="x y"\n--x y\r\n\r\nplain\r\n--x y--')
tensor = '{"id":"7","inputs":[{"name":"input","datatype":"FP32","shape":[1,3,2,2],%s}],"outputs":[{"name":"logits"}]}'
head = (tensor % '"parameters":{"binary_data_size":48}').encode()
seed("tensors", "binary", len(head).to_bytes(2, "little") + head + struct.pack("<12f", *range(12)))
seed("tensors", "json", b"\xff\xff" + (tensor % '"data":[[1,2,3],4,5,6,[[7.5,-8,9e1],10,11,12]]').encode())
head = b'{"inputs":[{"name":"picture","datatype":"BYTES","shape":[2,1],"parameters":{"binary_data_size":11}}]}'
seed("tensors", "files", len(head).to_bytes(2, "little") + head + b"\x02\0\0\0ab\x01\0\0\0c")
seed("tensors", "base64", b'\xff\xff{"inputs":[{"name":"picture","datatype":"BYTES","shape":[1],"data":["/9j/"]}]}')

seed("recipe", "changes", b'base = "paper"\nepochs = 3\n[schedule]\nkind = "plateau"\npatience = 2\n[colour]\nsigma = 0.1\n')
seed("recipe", "weights", b'class_weights.a = 2\nlayer_rates = { head = 10 }\nschedule.at = [[1, 2]]\nschedule.kind = "steps"\n')
seed("data_list", "lines", b"\0a.jpg 0\nb c.jpg\t1\n")
seed("data_list", "names", b"\4a.jpg cat\nb.jpg dog\n")
seed("data_list", "numbers", b"\5path,label\r\na.jpg,0\r\nb.jpg,2\r\n")
seed("data_list", "splits", b'\1width,File Name,label,split\n3,a.jpg,"x ""y""\nz",train\n3,./b.jpg,v,val\n3,c.jpg,x,train\n')
seed("data_list", "tabs", b"\2filepath\tclass\na.jpg\tx\nd\\b.jpg\ty\n")
seed("data_list", "plain", b"\1a.jpg;x\nb.jpg;y\n")
seed("data_list", "utf16", b"\1" + "\ufeffpath,label\na.jpg,ä\nb.jpg,ü\n".encode("utf-16-le"))
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
    for name in ("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/notes"):
        out.writestr(name, b"\xff\xd8" * 20)
seed("data_zip", "splits", archive.getvalue())
images = struct.pack(">4i", 0x803, 3, 2, 2) + bytes(12)
seed("data_idx", "three", len(images).to_bytes(2, "little") + images + struct.pack(">2i", 0x801, 3) + bytes(3))
array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01K\x01M\0\x0c\x86cnumpy\ndtype\nU\x02u1K\0K\x01\x87R"
array += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T\0\x0c\0\0" + bytes(3072) + b"tb"
batch = b"\x80\x02}(U\x0bfine_labels](K\1eU\x04data" + array + b"u."
seed("data_cifar", "python", b"\0" + batch)
seed("data_cifar", "names", b"\1\x80\x02}(U\x10fine_label_names](U\x01aU\x01beu.")
seed("data_cifar", "binary", b"\2" + bytes(3074))
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as out:
    for name, data in (("train", batch), ("test", batch), ("meta", b"\x80\x02}(U\x10fine_label_names](U\x01aU\x01beu.")):
        member = tarfile.TarInfo(f"cifar-100-python/{name}")
        member.size = len(data)
        out.addfile(member, io.BytesIO(data))
seed("data_cifar", "tar", b"\3" + archive.getvalue())
try:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"image": [{"bytes": b"\xff\xd8", "path": "1.jpg"}] * 9, "label": [0, 1, 2] * 3})
    for compression in ("none", "snappy", "gzip", "zstd"):
        out = io.BytesIO()
        pyarrow.parquet.write_table(table, out, compression=compression, row_group_size=4)
        seed("data_parquet", compression, out.getvalue())
except ImportError:
    print("without pyarrow there are no seeds for data_parquet")

for path in (ROOT.parent / "crates/alexnet-image/tests/fixtures").iterdir():
    seed("picture", path.name, path.read_bytes())

pixels = struct.pack("<II", 1, 2) + b"\x01\x02\x03\x04\x05\x06"
json = b'{"form":{"encoding":"raw","short_side":8},"source":{"name":"s","images":1,"bytes":9,"fingerprint":1},"splits":[%s]}'
json = json % b",".join(b'{"name":"%s","classes":["a","b"]}' % name for name in [b"train", b"val"])
entry = struct.pack("<BBIIII", 2, 0, 1, len(pixels), zlib.crc32(pixels), 3) + b"a/1"
index = struct.pack("<II", len(entry), zlib.crc32(entry)) + entry
head = b"\x89ALEXPACK\r\n\x1a" + struct.pack("<III", 1, len(json), zlib.crc32(json)) + json
footer = struct.pack("<QQQI", len(head) + len(pixels), len(index), 1, zlib.crc32(index))
seed("data_pack", "whole", head + pixels + index + footer + struct.pack("<I", zlib.crc32(footer)) + b"ALEXPEND")
body = struct.pack("<BBIIII", 0, 1, 1, 4, 0, 1) + b"x"
seed("data_pack", "sealed", json + b"\0data\0" + bytes([len(body)]) + body + b"\0" + bytes([len(body)]) + body)

def members(*files):
    """Members of a tar as fuzz/src reads them."""
    return b"".join(bytes([len(name), len(data)]) + name.encode() + data for name, data in files)


samples = members(("a.jpg", b"a"), ("a.cls", b"0"), ("b.jpg", b"b"), ("b.json", b'{"label": 1}'), ("c.txt", b"cat"), ("c.png", b"c"))
seed("data_webdataset", "samples", b"\0" + samples)
names = members(("n01440764_1.JPEG", b"1"), ("n01440764_2.JPEG", b"2"))
val = members(("ILSVRC2012_val_00000001.JPEG", b"1"), ("ILSVRC2012_val_00000002.JPEG", b"2"))
seed("data_ilsvrc", "outer", b"\1" + members(("n01440764.tar", b""), ("n01443537.tar", b"x")))
seed("data_ilsvrc", "inner", b"\2" + names)
seed("data_ilsvrc", "val", b"\3" + val)
kit = io.BytesIO()
with tarfile.open(fileobj=kit, mode="w:gz") as tar:
    info = tarfile.TarInfo("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt")
    info.size = 8
    tar.addfile(info, io.BytesIO(b"490\n361\n"))
seed("data_ilsvrc", "devkit", b"\4" + kit.getvalue())
seed("data_ilsvrc", "kaggle", b"\5ImageId,PredictionString\nILSVRC2012_val_00000001,n01751748 1 2 3 4\n")
seed("data_ilsvrc", "caffe", b"\6ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n")
