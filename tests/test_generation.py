"""Generation: what samplers draw through decoders, and how it is measured."""

import numpy as np
import pytest
from typer.testing import CliRunner

import aezoo
from aezoo import samplers
from aezoo.cli import app
from aezoo.data import load
from aezoo.errors import ZooError
from aezoo.export import Bundle
from aezoo.measures.likeness import kernel_distance, likeness, precision_and_recall
from aezoo.tasks import generating
from aezoo.tasks.generation import Generator, nearest_rows

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def sample():
    return load("sample")


@pytest.fixture(scope="module")
def model(sample):
    model = aezoo.build("conv_ae", input_shape=SHAPE, filters=(2,), latent_dim=3, seed=0)
    model.adapt(sample.train.array()[:100])
    return model


def test_new_rows_are_decoded_draws_of_the_codes(model, sample):
    rows = sample.train.array()[:200]
    made = Generator(model, "gaussian", seed=4).fit(rows).sample(5, seed=1)
    codes = model.endpoint("encode")(image=rows)["latent"]
    drawn = samplers.fit(codes, "gaussian", seed=4).sample(5, seed=1)
    expected = model.endpoint("decode")(latent=drawn)["reconstruction"]
    np.testing.assert_array_equal(made, expected)
    assert made.shape == (5, *SHAPE)


@pytest.mark.parametrize("kind", ["gaussian", "mixture", "neighbours"])
def test_a_saved_generator_draws_the_same_rows(model, sample, kind, tmp_path):
    generator = Generator(model, kind).fit(sample.train.array()[:200])
    path = generator.save(tmp_path / "sampler.npz")
    again = Generator.load(path, model)
    np.testing.assert_array_equal(again.sample(4, seed=2), generator.sample(4, seed=2))


def test_a_class_has_a_sampler_of_its_own(model, sample):
    rows, labels = sample.train.array(), sample.train.labels
    generator = Generator(model, "gaussian").fit(rows, labels)
    made = generator.sample(50, seed=0, label=8)
    alone = Generator(model, "gaussian").fit(rows[labels == 8]).sample(50, seed=0)
    np.testing.assert_allclose(made, alone, rtol=1e-4, atol=1e-3)
    with pytest.raises(ZooError, match=r"no|No sampler was fitted(.|\n)*Classes: 0, 1"):
        generator.sample(5, label=11)


def test_a_bundle_generates_as_its_model_does(tmp_path):
    rows = np.random.default_rng(0).random((60, 4), "float32")
    model = aezoo.build("simple_ae", input_shape=(4,), latent_dim=2, seed=0)
    bundle = Bundle(aezoo.export_bundle(model, tmp_path / "bundle").path)
    path = Generator(model, "gaussian").fit(rows).save(tmp_path / "sampler.npz")
    made = Generator.load(path, bundle).sample(6, seed=3)
    np.testing.assert_allclose(made, Generator.load(path, model).sample(6, seed=3), atol=1e-5)
    found = generating.generate(
        bundle, load(rows, test=0.2), tmp_path / "new", sampler="gaussian", count=6
    )
    assert found.rows.shape == (6, 4)
    assert "New rows by simple_ae, gaussian." in (tmp_path / "new" / "report.html").read_text()


def test_a_prior_asks_for_noise(tmp_path):
    model = aezoo.build("vae", input_shape=(4,), latent_dim=2, hidden=(3,), seed=0)
    noise = np.random.default_rng(7).standard_normal((3, 2)).astype("float32")
    expected = model.endpoint("generate")(noise=noise)["features"]
    np.testing.assert_array_equal(Generator(model, "prior").sample(3, seed=7), expected)


def test_a_kernel_distance_is_unbiased_and_sees_a_shift(rng):
    one, other = rng.normal(size=(600, 8)), rng.normal(size=(600, 8))
    assert abs(kernel_distance(one, other)) < 0.02
    assert kernel_distance(one + 0.5, other) > 0.2


def test_precision_and_recall_tell_a_lost_mode_from_a_stray_one(rng):
    left, right = rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 50
    both = np.concatenate([left, right])
    precision, recall = precision_and_recall(rng.normal(size=(400, 2)), both)
    assert precision > 0.9 and 0.4 < recall < 0.55
    precision, recall = precision_and_recall(both, rng.normal(size=(400, 2)))
    assert 0.4 < precision < 0.55 and recall > 0.9


def test_noise_is_less_like_clothes_than_clothes_are(sample, rng):
    rows = sample.train.array().astype("float32") / 255
    real = sample.test.array().astype("float32") / 255
    noise = rng.random((200, *SHAPE), "float32")
    good, bad = likeness(rows[:400], real), likeness(noise, real)
    assert good["FID"] < 0.2 * bad["FID"] and good["KID"] < 0.2 * bad["KID"]
    assert good["precision"] > 0.7 and good["recall"] > 0.7 > 0.1 > bad["recall"]


def test_copies_are_seen(rng):
    train, held_out = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    found = nearest_rows(np.concatenate([train[[7, 9]], held_out]), train, held_out)
    assert found.nearest[:2].tolist() == [7, 9] and found.copies == 2
    assert found.real == pytest.approx(np.median(found.distance[2:]))


def test_the_shell_draws_shows_and_measures(model, sample, tmp_path):
    aezoo.save(model, tmp_path / "model.keras")
    made = generating.generate(model, sample, tmp_path / "new", count=9, sampler="gaussian")
    assert made.measured["real training rows"]["FID"] < made.measured["generated"]["FID"]
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "rows.npy"), made.rows)
    again = Generator.load(tmp_path / "new" / "sampler.npz", model).sample(9, seed=0)
    np.testing.assert_array_equal(again, made.rows)
    assert (tmp_path / "new" / "nearest.png").stat().st_size > 5_000
    page = (tmp_path / "new" / "report.html").read_text()
    assert f"<td>generated</td><td>{made.measured['generated']['FID']:.4g}</td>" in page
    assert page.count("data:image/png") == 2 and made.copied_text in page
    command = ["generate", str(tmp_path / "model.keras"), "--data", "sample", "--count", "4"]
    out = ["--sampler", "gaussian", "--label", "3", "--out", str(tmp_path / "shell")]
    told = CliRunner().invoke(app, [*command, *out])
    assert told.exit_code == 0 and "4 new rows" in told.output, told.output
    assert np.load(tmp_path / "shell" / "rows.npy").shape == (4, *SHAPE)


@pytest.mark.parametrize(
    "changes, message",
    [({"sampler": "mixtur"}, "Did you mean 'mixture'"), ({"sampler": "prior"}, "no endpoint")],
)
def test_what_a_model_cannot_draw_is_said(model, changes, message):
    with pytest.raises(ZooError, match=message):
        Generator(model, **changes)


def test_files_that_hold_no_sampler_are_refused(model, sample, tmp_path):
    with pytest.raises(ZooError, match="not fitted"):
        Generator(model).sample(3)
    with pytest.raises(ZooError, match="no file or folder"):
        Generator.load(tmp_path / "none.npz", model)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ZooError, match="holds no sampler"):
        Generator.load(tmp_path / "other.npz", model)
    samplers.save(
        samplers.fit(np.random.default_rng(0).normal(size=(50, 2)), "gaussian"),
        tmp_path / "two.npz",
    )
    with pytest.raises(ZooError, match="another shape"):
        Generator.load(tmp_path / "two.npz", model)
    codes = np.zeros((20, 2, 2), int)
    with pytest.raises(ZooError, match="cannot be saved"):
        sampler = samplers._Shaped(object(), codes.shape[1:])
        samplers.save(sampler, tmp_path / "flow.npz")
