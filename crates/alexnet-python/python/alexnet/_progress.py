"""Progress of a training run: a line in a terminal, a table in a notebook."""

from __future__ import annotations

import html
import importlib
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alexnet._native import TrainEvent


class Progress:
    """A callback that shows a run's progress."""

    #: Seconds between two updates within an epoch.
    INTERVAL = 0.2

    def __init__(self) -> None:
        self._rows: list[TrainEvent] = []
        self._shown = 0.0
        self._display = _notebook_display()

    def __call__(self, event: TrainEvent) -> None:
        if event.kind == "step":
            now = time.monotonic()
            if now - self._shown < self.INTERVAL and event.step != event.steps:
                return
            self._shown = now
            self._update(f"step {event.step}/{event.steps}, epoch {event.epoch}/{event.epochs}: loss {event.loss:.4f}")
        elif event.kind == "epoch":
            self._rows.append(event)
            self._line(_epoch_line(event))
        elif event.kind == "start":
            self._line(f"{event.images} images, {event.epochs} epochs, {event.steps} steps; output {event.dir}")
        elif event.message is not None:
            self._line(event.message)

    def _line(self, text: str) -> None:
        if self._display is None:
            if sys.stderr is not None:
                print(f"\r\033[K{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
        else:
            self._update(text)

    def _update(self, text: str) -> None:
        if self._display is not None:
            self._display.update(_Html(_table(self._rows, text)))
        elif sys.stderr is not None and sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class _Html:
    """HTML for a notebook."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text


def _notebook_display() -> Any:
    """The updatable display of a notebook; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return importlib.import_module("IPython.display").display(_Html("starting"), display_id=True)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _epoch_line(event: TrainEvent) -> str:
    parts = [f"epoch {event.epoch}/{event.epochs}:"]
    if event.loss is not None:
        parts.append(f"loss {event.loss:.4f}, top-1 {_percent(event.top1)}")
    if event.val_loss is not None:
        parts.append(f"validation: loss {event.val_loss:.4f}, top-1 {_percent(event.val_top1)}")
    return " ".join(parts) + (", best so far" if event.best else "")


def _table(rows: list[TrainEvent], text: str) -> str:
    cells = [
        f"<tr><td>{row.epoch}/{row.epochs}</td><td>{'' if row.loss is None else f'{row.loss:.4f}'}</td>"
        f"<td>{_percent(row.top1)}</td><td>{'' if row.val_loss is None else f'{row.val_loss:.4f}'}</td>"
        f"<td>{_percent(row.val_top1)}</td></tr>"
        for row in rows
    ]
    head = "<tr><th>epoch</th><th>loss</th><th>top-1</th><th>validation loss</th><th>top-1</th></tr>"
    return f"<p>{html.escape(text)}</p><table>{head}{''.join(cells)}</table>"
