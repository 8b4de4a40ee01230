"""The model card: the manifest in words, with calls that can be copied."""

from aezoo.errors import ZooError
from aezoo.export.manifest import Manifest
from aezoo.specs import EndpointSpec, TensorSpec

FILE_NAME = "README.md"


def write(manifest: Manifest) -> str:
    """Return the card as Markdown.

    Args:
        manifest: Complete but for the card's own record and the manifest's.
    """
    entry = manifest.entry
    parts = [
        f"# {entry.title or entry.name}",
        entry.summary,
        _facts(manifest),
        "## What it can be asked",
        "Every tensor has a free first axis, `batch`. Values are in user units.",
        *[_endpoint(spec) for spec in manifest.endpoints],
        "## How to call it",
        _calls(manifest),
        "## What verification saw",
        _verification(manifest),
        *_formats(manifest),
        *_variants(manifest),
        "## Calibration",
        _calibration(manifest),
        "## Measured",
        _metrics(manifest),
        "## Limits",
        _limits(manifest),
        "## Files",
        _files(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def check(text: str, manifest: Manifest) -> None:
    """Refuse a card that leaves out an endpoint, a tensor or a file.

    Raises:
        ZooError: Naming what is missing.
    """
    named = [spec.name for spec in manifest.endpoints]
    named += [t.name for spec in manifest.endpoints for t in (*spec.inputs, *spec.outputs)]
    for word in (*named, *manifest.files, "manifest.json"):
        if f"`{word}`" not in text:
            raise ZooError(f"The model card does not name {word!r}.", do="Report this model.")


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _facts(m: Manifest) -> str:
    arguments = ", ".join(f"{k}={v!r}" for k, v in m.entry.args.items())
    facts = {
        "zoo entry": f"`{m.entry.name}`",
        "task": m.entry.task,
        "built with": arguments,
        "parameters": f"{m.parameters:,}",
        "computes in": m.precision,
        "source": m.entry.source,
        "exported": m.created + ", " + ", ".join(f"{k} {v}" for k, v in m.versions.items()),
        "content digest": f"`{m.content_digest}`",
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)


def _endpoint(spec: EndpointSpec) -> str:
    rows = [("in", *_tensor(t)) for t in spec.inputs] + [("out", *_tensor(t)) for t in spec.outputs]
    head = ("", "tensor", "dtype", "shape", "range", "what")
    return f"### `{spec.name}`\n\n{spec.description}\n\n{_table(head, rows)}"


def _tensor(t: TensorSpec) -> tuple:
    names = t.axes or ("",) * len(t.shape)
    sizes = [f"{n} {s or 'any'}".strip() for n, s in zip(names, t.shape, strict=True)]
    if isinstance(t.low, tuple) or isinstance(t.high, tuple):
        span = "by feature, see manifest.json"
    else:
        ends = ["" if end is None else f"{end:g}" for end in (t.low, t.high)]
        span = " to ".join(ends) if all(ends) else f"from {ends[0]}" if ends[0] else ""
    what = t.description + (f" Default {t.default:g}." if t.default is not None else "")
    return f"`{t.name}`", t.dtype, ", ".join(["batch", *sizes]), span, what


def _calls(m: Manifest) -> str:
    spec = m.endpoints[0]
    arrays = ", ".join(f"{t.name}={t.name}" for t in spec.inputs)
    fed = ", ".join(f'"{t.name}": {t.name}' for t in spec.inputs)
    made = "\n".join(
        f'{t.name} = np.zeros({(1, *(size or 4 for size in t.shape))}, "{t.dtype}")'
        for t in spec.inputs
    )
    first = spec.outputs[0].name
    return f"""\
With ONNX Runtime alone:

```python
import numpy as np
import onnxruntime

{made}
session = onnxruntime.InferenceSession("onnx/{spec.name}.onnx")
{first} = session.run(["{first}"], {{{fed}}})[0]
```

With aezoo, which checks inputs, fills in defaults and needs no TensorFlow for this:

```python
import aezoo.export

{first} = aezoo.export.Bundle(".").predict("{spec.name}", {arrays})["{first}"]
```

With TensorFlow Serving, whose model folder is `saved_model`:

```sh
curl http://HOST:8501/v1/models/{m.entry.name}:predict \\
  -d '{{"signature_name": "{spec.name}", "inputs": {{{_json(spec)}}}}}'
```"""


def _json(spec: EndpointSpec) -> str:
    return ", ".join(f'"{t.name}": [...]' for t in spec.inputs)


def _verification(m: Manifest) -> str:
    v = m.verification
    rows = [
        (f"`{c.endpoint}`", f"`{c.output}`", f"{c.onnx:.1e}", f"{c.saved_model:.1e}", c.tolerance)
        for c in v.comparisons
    ]
    origin = "; ".join(f"`{name}`: {words}" for name, words in m.probe.origin.items())
    table = _table(("endpoint", "output", "ONNX Runtime", "SavedModel", "allowed difference"), rows)
    batches = ", ".join(map(str, v.batches))
    text = (
        f"Largest differences from Keras at batch {batches}, on {m.probe.compared} rows\n"
        f"({origin}; topped up with draws where fewer were given).\n"
        f"Both ran in processes of their own, without aezoo; ONNX Runtime without TensorFlow.\n\n"
        f"{table}"
    )
    if v.undecided:
        text += f"\n\n{len(v.undecided)} decisions lie on their border and may fall either way; "
        text += "`manifest.json` lists them."
    return text


def _formats(m: Manifest) -> list[str]:
    parts = ["## Further formats"] if m.formats else []
    for name, further in m.formats.items():
        rows = [
            (f"`{endpoint}`", f"`{output}`", f"{largest:.1e}")
            for endpoint, by_output in further.differences.items()
            for output, largest in by_output.items()
        ]
        parts.append(f"`{name}/`: {further.note}. Largest differences from Keras on the same rows:")
        parts.append(_table(("endpoint", "output", name), rows))
        parts += [f"- no `{endpoint}`: {why}" for endpoint, why in further.refused.items()]
    return parts


def _variants(m: Manifest) -> list[str]:
    parts = ["## Variants"] if m.variants else []
    for name, variant in m.variants.items():
        rows = [
            (
                f"`{endpoint}`",
                f"{cost.bytes:,} for {cost.bytes_before:,}",
                *(
                    f"{cost.milliseconds[b]:.3g} for {cost.milliseconds_before[b]:.3g}"
                    for b in cost.milliseconds
                ),
                "; ".join(f"{what} {value:.2g}" for what, value in cost.quality.items()),
            )
            for endpoint, cost in variant.costs.items()
        ]
        batches = [f"ms at batch {b}" for b in next(iter(variant.costs.values())).milliseconds]
        parts.append(
            f"`onnx_{name}/`, for `aezoo.export.Bundle(path, variant={name!r})`, against float32; "
            f"measured on {variant.measured_on}:"
        )
        parts.append(_table(("endpoint", "bytes", *batches, "how much worse"), rows))
        parts += [f"- no `{endpoint}`: {why}" for endpoint, why in variant.refused.items()]
    if m.variants:
        limits = next(iter(m.variants.values())).limits
        allowed = "; ".join(f"{what} {limit:g}" for what, limit in limits.items())
        parts.append(f"An endpoint that exceeds a limit is left out: {allowed}.")
    return parts


def _calibration(m: Manifest) -> str:
    if not m.calibration:
        return "None: this bundle has no `detect`; scores have no threshold."
    return "\n".join(f"- {name}: {value}" for name, value in m.calibration.items())


def _metrics(m: Manifest) -> str:
    if not m.metrics:
        return "No measurement came with the model."
    return "\n".join(f"- {name}: {value}" for name, value in m.metrics.items())


def _limits(m: Manifest) -> str:
    rows = [
        "It answers for rows like those it was trained on; others get an answer all the same.",
        "NaN and infinities are refused by aezoo's own clients, not by the graphs.",
        "The digests find damage and mix-ups; they are no signature.",
    ]
    if any(t.name == "score" for spec in m.endpoints for t in spec.outputs):
        rows.insert(1, "A score compares rows of one model; it is no probability.")
    return "\n".join(f"- {row}" for row in rows)


def _files(m: Manifest) -> str:
    rows = [(f"`{name}`", f"{record.bytes:,}") for name, record in m.files.items()]
    rows += [("`README.md`", "this card"), ("`manifest.json`", "all of this, for programs")]
    return _table(("file", "bytes"), rows)
