"""What watches a training run: its history, non-finite losses, over-fitting, progress."""

import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aezoo.errors import ZooError
from aezoo.files import write_text

# The gap between the losses must have grown by this share of the progress that training made, and
# validation loss must not have improved for this share of the epochs.
OVERFIT_GAP, OVERFIT_STALL = 0.25, 0.2
_REDRAW = 0.2  # seconds between two looks at the bar within an epoch


class HistoryFile(keras.callbacks.Callback):
    """Keep one dict per epoch, and the same as `history.csv`.

    Args:
        path: The CSV; rewritten whole after each epoch.
        history: The list to append to; holds earlier epochs in a resumed run.
    """

    def __init__(self, path: Path, history: list[dict]):
        super().__init__()
        self.path, self.history = path, history

    def on_epoch_end(self, epoch, logs=None):
        """Append the epoch and write the file."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, **values})
        write_history(self.path, self.history)


def write_history(path: Path, history: list[dict]) -> None:
    """Write one line per dict, in the columns of the last one."""
    columns = list(history[-1])
    lines = [",".join(columns)]
    lines += [",".join(repr(row.get(c, "")) for c in columns) for row in history]
    write_text(path, "\n".join(lines) + "\n")


class WarmUp(keras.callbacks.Callback):
    """Let a KL term gain its weight over the first epochs, so that codes are used before it counts.

    In epoch e, from 1, of n the weight is e / (n + 1) of its own; evaluation always has the whole.
    Source: Bowman et al. (2016), section 3.1; Sonderby et al., "Ladder variational autoencoders"
    (2016), section 2.3.

    Args:
        epochs: n.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        """Set the share."""
        self.model.warmth.assign(min(1.0, (epoch + 1) / (self.epochs + 1)))

    def on_train_end(self, logs=None):
        """Give the term its whole weight."""
        self.model.warmth.assign(1.0)


class StopOnNonFinite(keras.callbacks.Callback):
    """Stop at the first loss that is not a number, with the weights of the last whole epoch."""

    def on_train_begin(self, logs=None):
        """Remember the weights to fall back on."""
        self._good = self.model.get_weights()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Note where we are."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Check the running loss."""
        self._check(logs or {}, f"epoch {self._epoch + 1}, step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        """Check the validation loss too, and remember these weights."""
        self._check(logs or {}, f"epoch {epoch + 1}, validation")
        self._good = self.model.get_weights()

    def _check(self, logs, where):
        for name, value in logs.items():
            if name.endswith("loss") and not np.isfinite(value):
                self.model.set_weights(self._good)
                rate = float(self.model.optimizer.learning_rate)
                raise ZooError(
                    f"{name} became {float(value)} at {where}; training stopped and kept the "
                    "weights of the last whole epoch.",
                    do=f"Lower train.learning_rate (now {rate:g}) or set train.clip_norm=1.",
                )


def overfitting(history: list[dict]) -> str | None:
    """Return a sentence if training loss fell and validation loss stayed behind, else None.

    Args:
        history: One dict per epoch with `loss` and `val_loss`.

    Example:
        >>> train, validation = [1.0, 0.5, 0.2, 0.1], [1.0, 0.6, 0.5, 0.7]
        >>> overfitting([{"loss": a, "val_loss": b} for a, b in zip(train, validation)])[:42]
        'Over-fitting: validation loss was 0.5 at e'
    """
    rows = [row for row in history if "val_loss" in row]
    if len(rows) < 3:
        return None
    best = min(range(len(rows)), key=lambda i: rows[i]["val_loss"])
    first, last = rows[0], rows[-1]
    progress = max(row["loss"] for row in rows) - last["loss"]
    gap = last["val_loss"] - last["loss"]
    # The first epoch's training loss is an average over its steps, so its gap may be negative.
    grown = gap - max(0.0, first["val_loss"] - first["loss"])
    stalled = len(rows) - 1 - best >= OVERFIT_STALL * len(rows)
    if progress <= 0 or not stalled or grown < OVERFIT_GAP * progress:
        return None
    return (
        f"Over-fitting: validation loss was {rows[best]['val_loss']:.4g} at epoch {best + 1} and "
        f"is {last['val_loss']:.4g} now, training loss {last['loss']:.4g}. The best weights are "
        "kept; more data, a smaller code or a lower train.patience would help."
    )


class ProgressBar(keras.callbacks.Callback):
    """A bar with loss terms and throughput on a terminal; a line per epoch elsewhere.

    Args:
        epochs: The number of the last epoch.
        rows: Training rows seen per epoch, for the throughput.
        console: Where to draw.
    """

    def __init__(self, epochs: int, rows: int, console: Console | None = None):
        super().__init__()
        self.epochs, self.rows = epochs, rows
        self.console = console or Console()
        self._bar = None

    def on_train_begin(self, logs=None):
        """Start the bar."""
        if not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("[bold]epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[terms]}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=self.epochs, terms="compiling")

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self._epoch = epoch
        self._started = self._trained = self._shown = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar within the epoch."""
        self._trained = time.perf_counter()  # validation is not training
        if not self._bar or self._trained - self._shown < _REDRAW:
            return
        self._shown = self._trained
        steps = self.params.get("steps")  # unknown for a generator
        done = min(1.0, (batch + 1) / steps) if steps else 0.0
        text = f"{done:.0%} of epoch {self._epoch + 1}  loss {float(logs['loss']):.4g}"
        self._bar.update(self._task, completed=self._epoch + done, terms=text)

    def on_epoch_end(self, epoch, logs=None):
        """Show the epoch."""
        rate = self.rows / max(1e-9, self._trained - self._started)
        logs = logs or {}
        shown = [n for n in logs if n == "val_loss" or not n.startswith(("val_", "learning"))]
        if sum(name.endswith("loss") and name != "val_loss" for name in shown) == 2:
            shown = [n for n in shown if n in ("loss", "val_loss") or not n.endswith("loss")]
        terms = "  ".join(f"{name} {logs[name]:.4g}" for name in shown)
        text = f"{terms}  {rate:,.0f} rows/s"
        if self._bar:
            self._bar.update(self._task, completed=epoch + 1, terms=text)
        else:
            line = f"epoch {epoch + 1}/{self.epochs}  {text}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def on_train_end(self, logs=None):
        """Leave the finished bar on the screen."""
        self.close()

    def close(self):
        """Stop drawing; safe to call twice."""
        if self._bar:
            self._bar.stop()
            self._bar = None
