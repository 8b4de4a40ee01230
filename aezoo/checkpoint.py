"""The exact state of a training run after a whole epoch, and how it is put back.

Everything that decides the next bit is here: weights, optimizer variables, random states, the
counters of the callbacks, the best weights so far, and the history.
"""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from aezoo.errors import ZooError
from aezoo.files import whole_file

# What the Keras callbacks count between epochs.
_COUNTERS = ("best", "wait", "best_epoch", "stopped_epoch", "cooldown_counter")


class Checkpoint(keras.callbacks.Callback):
    """Write `checkpoint.npz` after every epoch, and put it back when training begins.

    It must stand last in the list of callbacks, so that it sees the others' counters after they
    have moved, and restores them after they have reset themselves.

    Args:
        path: The file; replaced whole after each epoch.
        others: The callbacks whose counters are part of the state.
        history: The list of one dict per epoch that training fills.
        state: From `read`, to continue from; None starts afresh.
    """

    def __init__(self, path: Path, others: list, history: list[dict], state: dict | None = None):
        super().__init__()
        self.path, self.others, self.history, self.state = path, others, history, state

    def on_train_begin(self, logs=None):
        """Put the callbacks' counters back, or write the state before the first epoch."""
        if self.state is None:
            self._write(0)
            return
        for callback, counters in zip(self.others, self.state["counters"], strict=True):
            for name, value in counters.items():
                setattr(callback, name, value)
            if hasattr(callback, "best_weights") and self.state["best"]:
                callback.best_weights = self.state["best"]

    def on_epoch_end(self, epoch, logs=None):
        """Write the state."""
        self._write(epoch + 1)

    def _write(self, epoch: int) -> None:
        counters = [
            {name: getattr(c, name) for name in _COUNTERS if hasattr(c, name)} for c in self.others
        ]
        best = next((c.best_weights for c in self.others if hasattr(c, "best_weights")), None)
        meta = {"epoch": epoch, "counters": counters, "history": self.history}
        arrays = {f"variable/{i}": v.numpy() for i, v in enumerate(_variables(self.model))}
        arrays |= {f"best/{i}": w for i, w in enumerate(best or [])}
        with whole_file(self.path) as part:
            np.savez(part, meta=np.array(json.dumps(meta, default=float)), **arrays)


def _variables(model: keras.Model) -> list:
    return [*model.variables, *model.optimizer.variables]


def read(path: Path) -> dict:
    """Read a checkpoint: `epoch`, `history`, `counters`, `variables`, `best`.

    Raises:
        ZooError: If there is none or it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ZooError(
            "This run has no checkpoint: it stopped before it began.",
            received=str(path.parent),
            do="Remove the folder and train again.",
        ) from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ZooError(f"The checkpoint {path} cannot be read: {error}.") from None
    meta = json.loads(str(arrays["meta"]))

    def group(prefix):
        count = sum(name.startswith(prefix + "/") for name in arrays)
        return [arrays[f"{prefix}/{i}"] for i in range(count)]

    return meta | {"variables": group("variable"), "best": group("best")}


def stopped_early(state: dict, patience: int | None) -> bool:
    """Return whether the run had used up its patience when the checkpoint was written."""
    waits = [counters["wait"] for counters in state["counters"] if "stopped_epoch" in counters]
    return patience is not None and any(wait >= patience for wait in waits)


def restore(model: keras.Model, state: dict) -> None:
    """Put weights, random states and optimizer variables back.

    Raises:
        ZooError: If the checkpoint belongs to a model of another shape.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    shapes = [tuple(v.shape) for v in variables]
    if shapes != [array.shape for array in state["variables"]]:
        raise ZooError(
            "The checkpoint belongs to another model.",
            do="Resume with the configuration that the run was started with.",
        )
    for variable, value in zip(variables, state["variables"], strict=True):
        variable.assign(value)
