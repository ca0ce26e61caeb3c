"""The code of docs/guide/python.md runs."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import alexnet
from conftest import picture

PAGE = Path(__file__).parents[3] / "docs/guide/python.md"


@pytest.fixture
def files(tmp_path, monkeypatch, model_file):
    """The files that the page names, in the current folder."""
    pytest.importorskip("torchvision")
    lpips = pytest.importorskip("lpips")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    for split in ["train", "test"]:
        for at, name in enumerate(["pants", "shirt"]):
            folder = Path("clothing", split, name)
            folder.mkdir(parents=True)
            for i in range(6):
                Image.fromarray(picture(10 * at + i, 90, 80)).save(folder / f"{i}.png")
    Image.fromarray(picture(1)).save("pants.jpg")
    for i, name in enumerate(["a.png", "b.png"]):
        Image.fromarray(picture(i, 80, 70)).save(name)
    run = alexnet.train("clothing/train", image_size=64, batch=4, epochs=1, out="clothes", progress=False)
    if not run.best.exists():
        shutil.copy(run.last, run.best)
    shutil.copy(model_file, "alexnet.safetensors")
    shutil.copy(Path(lpips.__file__).parent / "weights/v0.1/alex.pth", "alex.pth")


def test_the_code_of_the_guide_runs(files):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 10
    names = {"__name__": "__main__"}
    for block in blocks:
        line = PAGE.read_text()[: PAGE.read_text().index(block)].count("\n")
        exec(compile("\n" * line + block, str(PAGE), "exec"), names)
    assert names["features"].shape == (12, 4096) and names["maps"].shape[:2] == (1, 256)
    assert names["heat"].ndim == names["gradient"].ndim == 2 and Path("cam.png").exists()
