"""A page beside the bundle, in `web/`: any static server makes it a demo that runs in the browser.

The page and ONNX Runtime's WebAssembly build are copied; the page reads the bundle's manifest,
graphs and probe over HTTP and asks no other address.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import onnxruntime

from aezoo.errors import ZooError

FOLDER = "web"
VERSION = "1.30.0"  # of the npm package onnxruntime-web, MIT

# What the page needs of it, under names whose media types every server knows.
_RUNTIME = {
    "ort.wasm.bundle.min.mjs": "ort.js",
    "ort-wasm-simd-threaded.wasm": "ort.wasm",
}
_NOTICES = "ThirdPartyNotices.txt"
_PAGE = Path(__file__).parent / "web"
_PATIENCE = 600  # seconds for npm


def write(folder: Path, runtime: Path | None = None) -> None:
    """Write the page into `folder/web`.

    Args:
        folder: A bundle that is being written; its manifest is to list these files.
        runtime: As for `find_runtime`.

    Raises:
        ZooError: If the runtime is not there and cannot be fetched.
    """
    dist, target = find_runtime(runtime), folder / FOLDER
    target.mkdir()
    for path in _PAGE.iterdir():
        shutil.copyfile(path, target / path.name)
    for name, called in _RUNTIME.items():
        shutil.copyfile(dist / name, target / called)
    # The npm package lacks them; the Python package is built from the same sources.
    notices = Path(onnxruntime.__file__).parent / _NOTICES
    if notices.is_file():
        shutil.copyfile(notices, target / f"onnxruntime.{_NOTICES}")


def find_runtime(runtime: Path | None = None) -> Path:
    """Return the folder that holds ONNX Runtime for browsers.

    Args:
        runtime: The npm package onnxruntime-web or its folder `dist`; None takes the one that was
            fetched into the cache before, or fetches it with npm.

    Raises:
        ZooError: If files are missing there, or npm is missing or fails.
    """
    if runtime is None:
        dist = _cache()
        if not _is_whole(dist):
            _fetch(dist)
        return dist
    for dist in (Path(runtime), Path(runtime) / "dist"):
        if _is_whole(dist):
            return dist
    raise ZooError(
        "The folder does not hold ONNX Runtime for browsers.",
        received=str(runtime),
        do=f"Give the npm package onnxruntime-web {VERSION}, with its files "
        f"{' and '.join(f'dist/{name}' for name in _RUNTIME)}.",
    )


def _is_whole(dist: Path) -> bool:
    return all((dist / name).is_file() for name in _RUNTIME)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "aezoo" / f"onnxruntime-web-{VERSION}"


def _fetch(dist: Path) -> None:
    """Install the package aside and move its two files into the cache, both or none."""
    npm = shutil.which("npm")
    if npm is None:
        raise _unavailable("npm is not installed")
    dist.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".npm-", dir=dist.parent) as scratch:
        # A package of its own: npm would else look for one in the folders above.
        (Path(scratch) / "package.json").write_text("{}", encoding="utf-8")
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(
                [*command, f"onnxruntime-web@{VERSION}"],
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise _unavailable(f"npm did not end within {_PATIENCE} s") from None
        installed = Path(scratch) / "node_modules" / "onnxruntime-web" / "dist"
        if done.returncode or not _is_whole(installed):
            lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
            raise _unavailable((lines or [f"npm ended with {done.returncode}"])[0][:200])
        kept = Path(scratch) / "kept"
        kept.mkdir()
        for name in _RUNTIME:
            shutil.move(installed / name, kept / name)
        with contextlib.suppress(OSError):  # another process was faster
            kept.rename(dist)
        if not _is_whole(dist):
            raise _unavailable(f"{dist} is in the way")


def _unavailable(reason: str) -> ZooError:
    return ZooError(
        "ONNX Runtime for browsers cannot be fetched.",
        received=reason,
        do=f"Install Node.js, which brings npm, or give the folder of onnxruntime-web {VERSION}.",
    )
