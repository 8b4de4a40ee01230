"""The video captioner, and the films that it is taught with."""

import keras
import numpy as np
import pytest
from long_epoch import long_epoch

import aezoo
from aezoo.data import load, moving
from aezoo.data.named import digits
from aezoo.export.onnx_graph import convert
from aezoo.measures import captioning
from aezoo.models.captioner import VideoCaptioner
from aezoo.zoo_model import seeded

TINY = {
    "input_shape": (4, 7, 6, 1),
    "filters": (3,),
    "units": 5,
    "latent_dim": 4,
    "caption_length": 5,
    "vocabulary": 9,
    "embedding_dim": 3,
}


def built(**more):
    with seeded(0):
        model = VideoCaptioner(**TINY | {"dropout": 0.0} | more)
    for i, weight in enumerate(model.trainable_weights):  # 117: each film gets other words
        weight.assign(np.random.default_rng([117, i]).normal(0, 1, weight.shape))
    model.compile(keras.optimizers.SGD(0.1), model.default_loss, run_eagerly=True)
    return model


@pytest.fixture
def films(rng):
    return rng.random((3, 4, 7, 6, 1)).astype("float32")


@pytest.fixture
def captions(rng):
    return rng.integers(0, 9, (3, 5)).astype("int32")


def place_of(frame):
    """Return the centre of a frame's light."""
    mass = frame[..., 0].astype(float)
    return np.array([(np.indices(mass.shape)[axis] * mass).sum() for axis in (0, 1)]) / mass.sum()


def test_each_film_moves_as_its_caption_says():
    pictures = np.full((200, 6, 6), 200, np.uint8)
    part = moving.films(pictures, np.arange(200) % 10, seed=3)
    seen = set()
    for film, tokens, digit in zip(part.x, part.targets, part.labels, strict=True):
        caption = moving.text_of(tokens)
        places = np.array([place_of(frame) for frame in film])
        down, right = np.ptp(places, axis=0)
        motion = caption.split(" is ")[1]
        seen.add(motion)
        moved = {"up and down": down, "left and right": right}
        assert caption == f"digit {digit} is {motion}"
        assert (down > 2) == ("up and" in motion or "circle" in motion)
        assert (right > 2) == ("left and" in motion or "circle" in motion)
        if "still" in motion:
            assert (film == film[0]).all()
        for words, size in moved.items():
            assert words not in motion or size <= moving.ROOM
        assert film.max() == 200 and (film.reshape(8, -1) > 0).sum(axis=1).tolist() == [36] * 8
    assert seen == set(moving.MOTIONS)


def test_a_circle_keeps_its_distance_from_the_middle():
    rng = np.random.default_rng(0)
    for _ in range(20):
        corner = moving.path(2, rng)
        distance = np.linalg.norm(corner - corner.mean(axis=0), axis=1)
        assert np.ptp(distance) < 1.5  # rounding to whole pixels


def test_films_repeat_with_their_seed_and_test_films_show_other_digits():
    first, again = load("moving_digits"), load("moving_digits")
    np.testing.assert_array_equal(first.test.array(), again.test.array())
    np.testing.assert_array_equal(first.train.targets, again.train.targets)
    sizes = {role: len(rows) for role, rows in first.roles().items()}
    assert sizes == {"train": 1260, "validation": 140, "test": 397}
    assert (first.modality, first.train.shape, first.train.dtype) == (
        "video",
        (8, 18, 18, 1),
        np.uint8,
    )
    pictures = digits().parts["train"].x[1400:]
    for film, picture in zip(first.test.array(), pictures, strict=True):
        np.testing.assert_array_equal(film[0].sum(), picture.sum())


def test_five_axes_are_films_and_flatten_to_features(rng):
    x = rng.integers(0, 255, (6, 2, 3, 4, 1), dtype="uint8")
    assert load(x).modality == "video"
    assert load(x.astype("int64")).train.dtype == np.uint8
    assert load(x, modality="features").train.shape == (24,)
    with pytest.raises(aezoo.ZooError, match="films"):
        load(x[:, 0], modality="video")


def test_captions_are_written_word_by_word_each_from_those_before(films):
    model = built()
    answers = model.endpoint("caption")(video=films)
    written = answers["tokens"]
    np.testing.assert_array_equal(written, answers["probabilities"].argmax(axis=-1))
    taught = np.asarray(model({"video": films, "target": written}))
    np.testing.assert_allclose(taught, answers["probabilities"], atol=1e-5)
    assert len(np.unique(written)) > 2 and len(np.unique(written, axis=0)) == 3


def test_evaluation_writes_freely_and_training_is_told_the_caption(films, captions):
    model = built()
    free = np.asarray(model(films))
    told = np.asarray(model({"video": films, "target": captions}))

    def nats(p):
        return -np.log(np.take_along_axis(p, captions[..., None], axis=-1)).mean()

    logs = model.evaluate(films, captions, verbose=0, return_dict=True)
    assert logs["caption_loss"] == pytest.approx(nats(free), rel=1e-5)
    fitted = model.fit(films, captions, batch_size=3, verbose=0).history
    assert fitted["caption_loss"][0] == pytest.approx(nats(told), rel=1e-5)
    assert abs(nats(free) - nats(told)) > 1e-3


def test_a_word_told_changes_later_words_only(films, captions):
    model = built()
    other = captions.copy()
    other[:, 2] = (other[:, 2] + 1) % 9
    one, two = (
        np.asarray(model({"video": films, "target": target})) for target in (captions, other)
    )
    np.testing.assert_array_equal(one[:, :3], two[:, :3])
    assert (np.abs(one[:, 3:] - two[:, 3:]).max(axis=(1, 2)) > 1e-6).all()


def test_every_frame_and_their_order_count(films):
    model = built()
    code = np.asarray(model.encoder(films))
    for frame in range(4):
        other = films.copy()
        other[:, frame] = 1 - other[:, frame]
        assert (np.abs(np.asarray(model.encoder(other)) - code).max(axis=1) > 1e-5).all()
    turned = np.asarray(model.encoder(films[:, ::-1]))
    assert (np.abs(turned - code).max(axis=1) > 1e-5).all()
    alone = np.concatenate([np.asarray(model.encoder(film[None])) for film in films])
    np.testing.assert_allclose(alone, code, atol=1e-6)


def test_feedback_is_one_loop_in_onnx():
    model = built()
    graph = convert(model.endpoint("caption"), model).graph
    assert [node.op_type for node in graph.node].count("Loop") == 1


def test_it_learns_to_tell_which_way_a_dot_goes():
    rng = np.random.default_rng(0)
    x = np.zeros((128, 4, 7, 7, 1), "float32")
    y = np.zeros((128, 3), "int32")
    for film, caption, way in zip(x, y, rng.integers(0, 2, 128), strict=True):
        row, start = rng.integers(0, 7), rng.integers(0, 4)
        for t in range(4):
            film[t, row, start + (t if way else 3 - t)] = 1.0
        caption[:2] = (3, 4) if way else (5, 6)
    with seeded(0):
        model = VideoCaptioner(**TINY | {"input_shape": (4, 7, 7, 1), "caption_length": 3})
    model.compile(keras.optimizers.Adam(0.02), model.default_loss)
    keras.utils.set_random_seed(0)
    model.fit(*long_epoch((x[:96], y[:96]), 60), batch_size=48, shuffle=False, verbose=0)
    written = model.endpoint("caption")(video=x[96:])["tokens"]
    assert (written == y[96:]).all(axis=1).mean() > 0.9  # the same frames, in another order


def test_exact_match_counts_whole_captions():
    data = load("moving_digits")

    class Teller:
        def __init__(self, answers):
            self.answers = answers

        def endpoint(self, name):
            return lambda video: {"tokens": self.answers}

    right = data.test.targets
    wrong_digit, wrong_end = right.copy(), right.copy()
    wrong_digit[: len(right) // 2, 1] = 0
    wrong_end[:, -1] = 1
    assert captioning.exact_match(Teller(right), data)["exact match"] == 100.0
    halved = captioning.exact_match(Teller(wrong_digit), data)
    assert halved["exact match"] == halved["digit"] == pytest.approx(50, abs=0.5)
    assert halved["rest"] == 100.0
    assert captioning.exact_match(Teller(wrong_end), data)["exact match"] == 0.0
    assert 0 < captioning.commonest_caption(data)["exact match"] < 6


def test_train_takes_films_and_their_captions(tmp_path):
    small = {"filters": (4,), "units": 8, "latent_dim": 8, "batch_size": 420}
    run = aezoo.train(
        "video_captioner", out=tmp_path / "run", epochs=1, figures=False, verbose=False, **small
    )
    assert run.model.preprocessing.dtype == "uint8" and run.model.preprocessing.scale == (255.0,)
    assert set(run.metrics["test"]) == {"loss", "caption_loss", "accuracy"}
    assert run.history[0]["val_loss"] < np.log(24)  # better than a guess


def test_missing_and_wrong_captions_are_refused(films, captions):
    model = built()
    with pytest.raises(aezoo.ZooError, match="needs a target"):
        model.fit(films)
    with pytest.raises(aezoo.ZooError, match=r"shape \(rows, 5\)"):
        model.fit(films, captions[:, :4])
    with pytest.raises(aezoo.ZooError, match="from 0 to 8"):
        model.fit(films, captions + 9)
    with pytest.raises(aezoo.ZooError, match="takes films"):
        VideoCaptioner((9, 9, 1))
