"""Data sets that have a name.

Nine need no other place: samples of Fashion-MNIST, of film reviews (twice), of a dictionary (twice)
and brain slices are in this package, the digits and their films in scikit-learn, sprites are drawn.
The others are looked for in the folder that the environment variable AEZOO_DATA names, then (but
for film reviews and the dictionary) downloaded through Keras, which keeps them for the next time.
"""

import gzip
import os
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np

from aezoo.data import moving, reviews, words
from aezoo.data import sprites as shapes
from aezoo.data.image_files import ImageFiles
from aezoo.data.source import Part, Source
from aezoo.errors import ZooError

ENVIRONMENT = "AEZOO_DATA"
EMBEDDED = (
    "sample",
    "digits",
    "brain_mri",
    "reviews_sample",
    "ratings_sample",
    "moving_digits",
    "letters_sample",
    "phones_sample",
    "sprites",
)
ALIASES = {"fashion_sample": "sample", "ecg_5000": "ecg5000"}

_FASHION = "T-shirt/top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot"
_CIFAR10 = "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"
_ECG5000_URL = "https://www.timeseriesclassification.com/aeon-toolkit/ECG5000.zip"
PHOTOS = {
    "train": (
        "astronaut.png",
        "china.jpg",
        "hubble_deep_field.jpg",
        "retina.jpg",
        "rocket.jpg",
    ),
    "validation": ("coffee.png",),
    "test": ("chelsea.png", "flower.jpg"),
}
_REVIEWS_FILE = "movie_reviews/movieReviewSnippets_GroundTruth.txt"
_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}


def _names(text: str) -> dict[int, str]:
    return dict(enumerate(text.split(", ")))


def sample() -> Source:
    """2,000 training and 500 test pictures of Fashion-MNIST, `(28, 28, 1)` uint8, 10 classes."""
    arrays = _embedded("fashion_sample.npz")
    return Source("sample", "sample", _image_parts(arrays), "image", _names(_FASHION))


def digits() -> Source:
    """1,797 handwritten digits of scikit-learn, `(8, 8, 1)` uint8, 10 classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = np.round(bunch.images * (255 / 16)).astype("uint8")[..., None]
    part = Part(pictures, bunch.target.astype("int64"))
    note = "The digits' 17 grey levels, 0 to 16, were spread over 0 to 255."
    return Source("digits", "digits", {"train": part}, "image", _names_of_digits(), [note])


def mnist() -> Source:
    """60,000 training and 10,000 test digits, `(28, 28, 1)` uint8, 10 classes."""
    arrays = _found_arrays("mnist")
    return Source("mnist", "mnist", _image_parts(arrays), "image", _names_of_digits())


def fashion_mnist() -> Source:
    """60,000 training and 10,000 test pictures of clothes, `(28, 28, 1)` uint8, 10 classes."""
    arrays = _found_arrays("fashion_mnist")
    return Source("fashion_mnist", "fashion_mnist", _image_parts(arrays), "image", _names(_FASHION))


def cifar10() -> Source:
    """50,000 training and 10,000 test photographs, `(32, 32, 3)` uint8, 10 classes."""
    arrays = _found_arrays("cifar10")
    return Source("cifar10", "cifar10", _image_parts(arrays), "image", _names(_CIFAR10))


def cifar100() -> Source:
    """50,000 training and 10,000 test photographs, `(32, 32, 3)` uint8, 100 classes."""
    arrays = _found_arrays("cifar100")
    return Source("cifar100", "cifar100", _image_parts(arrays), "image")


def ecg5000() -> Source:
    """500 training and 4,500 test heart beats, `(140, 1)` float32; label 1 is normal."""
    arrays = _found_arrays("ecg5000", "ECG5000.npz", download=_download_ecg5000)
    parts = {
        role: Part(
            arrays[f"x_{role}"].astype("float32")[..., None], arrays[f"y_{role}"].astype("int64")
        )
        for role in ("train", "test")
    }
    kinds = {
        1: "normal",
        2: "R-on-T premature ventricular contraction",
        3: "premature ventricular contraction",
        4: "supraventricular premature or ectopic beat",
        5: "unclassified beat",
    }
    return Source("ecg5000", "ecg5000", parts, "series", kinds)


def brain_mri() -> Source:
    """65 axial slices of an averaged brain, `(96, 112, 1)` uint8, with masks of 4 tissues.

    Neighbouring slices are alike, so the roles are slabs: slices up to 35 train, 36 to 41
    validate, 49 and above test; 42 to 48 separate validation from test and are not used.
    """
    arrays = _embedded("brain_mri.npz")
    slabs = {"train": (0, 36), "validation": (36, 42), "test": (49, len(arrays["image"]))}
    parts = {
        role: Part(
            arrays["image"][a:b, ..., None],
            targets=arrays["label"][a:b],
            index=np.arange(a, b),
        )
        for role, (a, b) in slabs.items()
    }
    tissues = {0: "background", 1: "CSF", 2: "grey matter", 3: "white matter"}
    note = "Slices 42 to 48 are not used: they keep validation and test apart."
    return Source("brain_mri", "brain_mri", parts, "image", tissues, [note])


def photos() -> Source:
    """Tiles of 8 colour photographs, `(64, 64, 3)` uint8; a photograph has one role.

    Validation rows are of one photograph, test rows of two, a face of a cat and a flower.
    """
    folder = local_folder("photos")
    if folder is None:
        raise _not_found("photos", "no download is known")
    images = ImageFiles(
        [folder / name for names in PHOTOS.values() for name in names],
        size=64,
        fit="tile",
        channels=3,
    )
    first, parts = 0, {}
    for role, names in PHOTOS.items():
        of_role = np.isin(images.members, np.arange(first, first + len(names)))
        parts[role] = Part(images.read(np.flatnonzero(of_role)))
        first += len(names)
    return Source("photos", "photos", parts, "image", notes=[images.note()])


def movie_reviews() -> Source:
    """10,072 sentences of film reviews as word ids, `(48,)` int32; negative 0, positive 1."""
    return review_fold("movie_reviews")


def reviews_sample() -> Source:
    """The first 750 sentences of each class of `movie_reviews`."""
    return review_fold("reviews_sample")


def movie_ratings() -> Source:
    """The same rows as `movie_reviews`, with shares of blame and praise as the target, `(2,)`."""
    return review_fold("movie_ratings")


def ratings_sample() -> Source:
    """The same rows as `reviews_sample`, with shares of blame and praise as the target, `(2,)`."""
    return review_fold("ratings_sample")


def review_fold(name: str, fold: int = 0) -> Source:
    """Return one of the four data sets of reviews, tested by this fold."""
    sentences, ratings = review_sentences(name)
    return reviews.source(name, sentences, ratings, fold, rated="ratings" in name)


def review_sentences(name: str) -> tuple[list[str], np.ndarray]:
    """Return the sentences (N texts) and ratings (N,) of one of the four data sets of reviews.

    Raises:
        ZooError: If AEZOO_DATA has no such file; there is no download.
    """
    if name.endswith("_sample"):
        sample = resources.files("aezoo.data") / "samples" / "reviews_sample.tsv"
        with resources.as_file(sample) as path:
            return reviews.read(path)
    root = os.environ.get(ENVIRONMENT)
    path = Path(root or "").expanduser() / _REVIEWS_FILE
    if not root or not path.is_file():
        raise ZooError(
            f"The data set {name} was not found: {ENVIRONMENT} "
            + (f"has no {_REVIEWS_FILE}." if root else "is not set."),
            received=name,
            do="Put the file there (it comes with VADER, Hutto & Gilbert 2014), or use the "
            f"embedded {name.removeprefix('movie_')}_sample.",
        )
    return reviews.read(path)


def moving_mnist() -> Source:
    """20,000 training and 2,000 test films of MNIST's digits, `(8, 24, 24, 1)` uint8, captions.

    Test films show MNIST's test digits; all are drawn at half their size.
    """
    arrays = _found_arrays("mnist")
    parts = {
        role: moving.films(
            moving.halved(arrays[f"x_{role}"][:count]), arrays[f"y_{role}"][:count], seed
        )
        for role, count, seed in (("train", 20_000, 0), ("test", 2_000, 1))
    }
    return Source("moving_mnist", "moving_mnist", parts, "video", _names_of_digits())


def moving_digits() -> Source:
    """1,400 training and 397 test films of scikit-learn's digits, `(8, 18, 18, 1)`, captions."""
    part = digits().parts["train"]
    pictures = part.x[..., 0]
    parts = {
        "train": moving.films(pictures[:1400], part.labels[:1400], 0),
        "test": moving.films(pictures[1400:], part.labels[1400:], 1),
    }
    return Source("moving_digits", "moving_digits", parts, "video", _names_of_digits())


def cmudict_letters() -> Source:
    """125,800 English words and names as ids of letters, `(16,)` int32, padded with 0."""
    return words.source("cmudict_letters", pronunciations("cmudict_letters"), said=False)


def cmudict_phones() -> Source:
    """The same rows, each with its usual pronunciation as the target, `(16,)` int32."""
    return words.source("cmudict_phones", pronunciations("cmudict_phones"), said=True)


def letters_sample() -> Source:
    """3,000 words of `cmudict_letters`."""
    return words.source("letters_sample", pronunciations("letters_sample"), said=False)


def phones_sample() -> Source:
    """3,000 words of `cmudict_phones`."""
    return words.source("phones_sample", pronunciations("phones_sample"), said=True)


def pronunciations(name: str) -> dict[str, list[list[str]]]:
    """Return word -> its pronunciations, of one of the four data sets of words.

    Raises:
        ZooError: If AEZOO_DATA has no such file; there is no download.
    """
    if name.endswith("_sample"):
        sample = resources.files("aezoo.data") / "samples" / "words_sample.dict"
        with resources.as_file(sample) as path:
            return words.read(path)
    folder = local_folder("cmudict")
    if folder is None or not (folder / "cmudict.dict").is_file():
        raise _not_found("cmudict", "no download is known")
    return words.read(folder / "cmudict.dict")


def sprites() -> Source:
    """20,000 training and 2,000 test pictures of one shape, `(32, 32, 1)` uint8, drawn here."""
    parts = {}
    for role, count, seed in (("train", 20_000, 0), ("test", 2_000, 1)):
        causes = shapes.factors(count, seed)
        parts[role] = Part(shapes.draw(causes), shapes.shapes_of(causes))
    return Source("sprites", "sprites", parts, "image", dict(enumerate(shapes.SHAPES)))


LOADERS = {
    loader.__name__: loader
    for loader in (
        sample,
        digits,
        mnist,
        fashion_mnist,
        cifar10,
        cifar100,
        ecg5000,
        brain_mri,
        photos,
        movie_reviews,
        reviews_sample,
        movie_ratings,
        ratings_sample,
        moving_mnist,
        moving_digits,
        cmudict_letters,
        cmudict_phones,
        letters_sample,
        phones_sample,
        sprites,
    )
}


def known_name(text: str) -> str | None:
    """Return the canonical name of a data set, in any spelling with - or _, or None.

    Example:
        >>> known_name("Fashion-MNIST"), known_name("fashion_sample"), known_name("pictures")
        ('fashion_mnist', 'sample', None)
    """
    name = text.strip().lower().replace("-", "_").replace(" ", "_")
    name = ALIASES.get(name, name)
    return name if name in LOADERS else None


def _names_of_digits() -> dict[int, str]:
    return {digit: str(digit) for digit in range(10)}


def _image_parts(arrays: dict[str, np.ndarray]) -> dict[str, Part]:
    parts = {}
    for role in ("train", "test"):
        x, y = arrays[f"x_{role}"], arrays[f"y_{role}"]
        parts[role] = Part(x[..., None] if x.ndim == 3 else x, y.reshape(-1).astype("int64"))
    return parts


def _embedded(name: str) -> dict[str, np.ndarray]:
    with resources.as_file(resources.files("aezoo.data") / "samples" / name) as path:
        return _read_npz(path)


def _found_arrays(
    name: str, file: str | None = None, download: Callable | None = None
) -> dict[str, np.ndarray]:
    """Return the arrays of a data set from AEZOO_DATA, else by download."""
    folder = local_folder(name)
    if folder is not None:
        archive = folder / (file or f"{name}.npz")
        if archive.is_file():
            return _read_npz(archive)
        if all((folder / idx).is_file() for idx in _IDX_FILES.values()):
            return {key: _read_idx(folder / idx) for key, idx in _IDX_FILES.items()}
    try:
        return (download or _download_by_keras)(name)
    except Exception as error:  # whatever a download may raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    raise _not_found(name, f"the download failed ({reason})")


def local_folder(name: str) -> Path | None:
    """Return the folder of this name below AEZOO_DATA, None if there is none."""
    root = os.environ.get(ENVIRONMENT)
    folder = Path(root).expanduser() / name if root else None
    return folder if folder is not None and folder.is_dir() else None


def _not_found(name: str, otherwise: str) -> ZooError:
    root = os.environ.get(ENVIRONMENT)
    where = f"{Path(root).expanduser() / name} holds no such data" if root else None
    return ZooError(
        f"The data set {name} was not found: {where or f'{ENVIRONMENT} is not set'}, and "
        f"{otherwise}.",
        received=name,
        do=f"Put it into a folder {name} below the folder that {ENVIRONMENT} names, use embedded "
        f"data ({', '.join(EMBEDDED)}), or data of your own.",
    )


def _download_by_keras(name: str) -> dict[str, np.ndarray]:
    import keras

    train, test = getattr(keras.datasets, name).load_data()
    return dict(zip(_IDX_FILES, (*train, *test), strict=True))


def _download_ecg5000(name: str) -> dict[str, np.ndarray]:
    """Fetch the UCR archive's file: a row per beat, its label first."""
    import keras

    path = keras.utils.get_file("ECG5000.zip", _ECG5000_URL)
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for role in ("train", "test"):
            with archive.open(f"ECG5000_{role.upper()}.txt") as table:
                rows = np.loadtxt(table)  # (N, 1 + 140)
            arrays |= {f"x_{role}": rows[:, 1:], f"y_{role}": rows[:, 0]}
    return arrays


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # zip, zlib, header and value errors alike
        raise ZooError(
            f"{path} cannot be read: {error}.", do="Fetch the file again; it is damaged."
        ) from None


def _read_idx(path: Path) -> np.ndarray:
    """Read one file of the MNIST format: magic number, sizes, then bytes."""
    try:
        data = gzip.decompress(path.read_bytes())
        sizes = np.frombuffer(data, ">u4", count=data[3], offset=4).astype(int)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes).copy()
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise ZooError(
            f"{path} cannot be read: {error}.", do="Fetch the file again; it is damaged."
        ) from None
