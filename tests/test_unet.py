"""The U-Net, its losses, its targets and what it can be asked."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from long_epoch import long_epoch

import aezoo
from aezoo import losses
from aezoo.errors import ZooError
from aezoo.models.unet import UNet
from aezoo.recipes import resolve
from aezoo.registry import build_entry

TINY = {"input_shape": (12, 12, 1), "classes": 3, "filters": (4, 8)}


@pytest.fixture
def blobs(rng):
    """Pictures whose three brightness levels are the classes, with some noise: x, masks."""
    masks = rng.integers(0, 3, (16, 6, 6)).repeat(2, axis=1).repeat(2, axis=2).astype("int32")
    x = masks[..., None] / 2 + rng.normal(0, 0.05, (16, 12, 12, 1))
    return x.astype("float32"), masks


@pytest.fixture
def tiny():
    return aezoo.build("unet", seed=1, **TINY)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# ---- losses ----

MASK = np.array([[[0, 1], [1, 1]], [[0, 0], [0, 0]]])
PROBABILITY = np.array([[[0.8, 0.6], [0.9, 0.5]], [[0.9, 0.9], [0.9, 0.9]]], "float32")


def of_two_classes():
    """Probabilities of classes 0 and 1 whose true class has PROBABILITY."""
    of_one = np.where(MASK == 1, PROBABILITY, 1 - PROBABILITY)
    return np.stack([1 - of_one, of_one], axis=-1).astype("float32")


# One row at a time: class 0 has overlap .8, true 1, answered .8+.4+.1+.5; class 1 has overlap
# .6+.9+.5, true 3, answered .2+.6+.9+.5. The second row holds class 0 alone.
DICE = 1 - np.array(
    [
        ((2 * 0.8 + 1) / (1 + 1.8 + 1) + (2 * 2.0 + 1) / (3 + 2.2 + 1)) / 2,
        ((2 * 3.6 + 1) / (4 + 3.6 + 1) + 1 / (0.4 + 1)) / 2,
    ]
)
NLL = -np.log(PROBABILITY).reshape(2, -1).mean(axis=1)


@pytest.mark.parametrize(
    "name, per_row",
    [("dice", DICE), ("cross_entropy", NLL), ("dice_cross_entropy", DICE + NLL)],
)
def test_losses_have_the_values_worked_out_by_hand(name, per_row):
    loss = losses.get(name)
    close(loss(MASK, of_two_classes()), per_row.mean())
    close(loss(MASK[..., None], of_two_classes()), per_row.mean())
    weights = np.array([3.0, 1.0], "float32")
    close(loss(MASK, of_two_classes(), sample_weight=weights), (weights * per_row).mean())


@pytest.mark.parametrize("name", ["cross_entropy", "dice_cross_entropy"])
def test_label_smoothing_spreads_a_share_of_each_label(name):
    p = of_two_classes()
    spread = -0.9 * np.log(PROBABILITY) - 0.1 * np.log(p).mean(axis=-1)
    expected = spread.reshape(2, -1).mean(axis=1) + (DICE if name.startswith("dice") else 0)
    loss = losses.get(name, label_smoothing=0.1)
    close(loss(MASK, p), expected.mean())
    again = type(loss).from_config(loss.get_config())
    close(again(MASK, p), expected.mean())
    if name == "cross_entropy":
        close(loss(MASK, p[..., 1:]), expected.mean())  # one channel


def test_a_unet_smooths_labels_and_keeps_doing_so_once_saved(tmp_path, blobs):
    x, masks = blobs
    sharp, smooth = (
        aezoo.build("unet", seed=1, **TINY, loss="cross_entropy", label_smoothing=e)
        for e in (0.0, 0.3)
    )
    p = sharp.predict(x, verbose=0)
    true = np.take_along_axis(p, masks[..., None], -1)[..., 0]
    expected = -0.7 * np.log(true).mean() - 0.3 * np.log(p).mean()
    measured = smooth.evaluate(x, masks, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(expected, rel=1e-4)
    aezoo.save(smooth, tmp_path / "model.keras")
    loaded = aezoo.load(tmp_path / "model.keras")
    measured = loaded.evaluate(x, masks, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(expected, rel=1e-4)
    by_recipe = losses.get("cross_entropy", label_smoothing=0.3)
    assert smooth.loss_of("cross_entropy").get_config() == by_recipe.get_config()
    for refused in ({"args.loss": "dice"}, {"train.loss": "dice"}):
        with pytest.raises(ZooError, match="no label smoothing"):
            build_entry(resolve("unet", {**TINY, "label_smoothing": 0.1, **refused}))


def test_binary_losses_are_those_of_the_foreground():
    foreground = of_two_classes()[..., 1:]
    dice = 1 - np.array([(2 * 2.0 + 1) / (3 + 2.2 + 1), 1 / (0.4 + 1)])
    for masks in (MASK, MASK[..., None]):
        close(losses.get("dice")(masks, foreground), dice.mean())
        close(losses.get("cross_entropy")(masks, foreground), NLL.mean())


def test_the_cross_entropy_is_that_of_keras(rng):
    p = rng.dirichlet(np.ones(4), (3, 5, 6)).astype("float32")
    masks = rng.integers(0, 4, (3, 5, 6))
    close(
        losses.get("cross_entropy")(masks, p),
        keras.losses.SparseCategoricalCrossentropy()(masks, p),
    )


# ---- shapes and answers ----


@pytest.mark.parametrize(
    "shape, filters, upsampling",
    [
        ((27, 31, 3), (2, 4, 6, 8), "transposed"),
        ((13, 9, 1), (2, 4), "nearest"),
        ((5, 40, 2), (2, 3, 4), "nearest"),
    ],
)
def test_odd_sizes_are_answered_at_their_own_size(shape, filters, upsampling, rng):
    model = UNet(shape, classes=3, filters=filters, upsampling=upsampling)
    answer = model.endpoint("segment")(image=rng.random((2, *shape)))
    assert answer["probabilities"].shape == (2, *shape[:2], 3)
    close(answer["probabilities"].sum(-1), np.ones((2, *shape[:2])))
    np.testing.assert_array_equal(answer["mask"], answer["probabilities"].argmax(-1))
    assert answer["mask"].dtype == np.int32
    codes = model.endpoint("encode")(image=rng.random((2, *shape)))
    assert codes["latent"].shape == (2, *model.latent_shape)


def test_a_padded_picture_is_answered_in_its_place(rng):
    inside = UNet((9, 11, 1), classes=2, filters=(2, 3, 4))  # padded by 1 + 2 and 0 + 1
    outside = UNet((12, 12, 1), classes=2, filters=(2, 3, 4))
    outside.set_weights(inside.get_weights())
    x = rng.random((2, 9, 11, 1)).astype("float32")
    padded = np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)))
    close(inside(x), outside(padded)[:, 1:-2, :-1])


def test_a_binary_mask_is_a_probability_above_one_half(rng):
    model = UNet((8, 8, 1), classes=1, filters=(2, 4))
    answer = model.endpoint("segment")(image=rng.random((3, 8, 8, 1)))
    np.testing.assert_array_equal(answer["mask"], answer["probabilities"][..., 0] > 0.5)
    assert answer["probabilities"].min() >= 0 and answer["probabilities"].max() <= 1


def test_the_decoder_uses_the_code_and_every_skip(tiny, rng):
    x = rng.random((1, 12, 12, 1)).astype("float32")
    parts = tiny.levels(x)
    skips, code = parts[:-1], parts[-1]
    close(code, tiny.encoder(x))
    close(tiny.decoder([code, *skips]), tiny(x))
    for position in range(len(parts)):
        inputs = [code, *skips]
        inputs[position] = tf.zeros_like(inputs[position])
        assert np.abs(tiny.decoder(inputs) - tiny(x)).max() > 1e-3


@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
def test_every_weight_gets_a_gradient(normalization, blobs):
    model = UNet(**TINY, normalization=normalization, activation="silu")
    x, masks = blobs
    with tf.GradientTape() as tape:
        loss = losses.get("dice_cross_entropy")(masks, model(x, training=True))
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert np.abs(gradient).max() > 0


def test_dropout_acts_in_training_alone(blobs):
    model = UNet(**TINY, dropout=0.5, normalization="none")
    x, _ = blobs
    close(model(x), model(x))
    assert np.abs(model(x, training=True) - model(x, training=True)).max() > 1e-3


def test_the_parameters_are_those_of_the_papers_layers():
    model = UNet((16, 16, 1), classes=2, filters=(64, 128), normalization="none")
    down = 9 * 64 + 64 + (9 * 64 + 1) * 64
    code = (9 * 64 + 1) * 128 + (9 * 128 + 1) * 128
    up = (4 * 128 + 1) * 64 + (9 * 128 + 1) * 64 + (9 * 64 + 1) * 64
    assert model.count_params() == down + code + up + (64 + 1) * 2


# ---- training ----


def test_fit_learns_and_logs_its_terms_and_metrics(tiny, blobs):
    x, masks = blobs
    tiny.optimizer.learning_rate = 0.03
    history = tiny.fit(
        x, masks, epochs=25, batch_size=8, validation_data=(x, masks), verbose=0
    ).history
    names = {"loss", "segmentation_loss", "dice", "mean_iou"}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert history["dice"][-1] > 0.97 and history["val_dice"][-1] > 0.97
    assert history["loss"] == history["segmentation_loss"]
    again = tiny.evaluate(x, masks, verbose=0, return_dict=True)
    for name in names:
        close(again[name], history[f"val_{name}"][-1])
    np.testing.assert_array_equal(tiny.predict(x, verbose=0).argmax(-1) == masks, True)


def test_binary_masks_are_learnt(blobs):
    x, masks = blobs
    model = aezoo.build("unet", seed=0, input_shape=(12, 12, 1), classes=1, filters=(4, 8))
    model.optimizer.learning_rate = 0.01
    foreground = (masks > 0).astype("uint8")[..., None]
    often = long_epoch((x, foreground), 15)
    model.fit(*often, batch_size=8, shuffle=False, verbose=0)
    assert model.evaluate(x, foreground, verbose=0, return_dict=True)["dice"] > 0.97


@pytest.mark.parametrize("loss", ["dice", "cross_entropy"])
def test_the_loss_is_a_choice(loss, blobs):
    x, masks = blobs
    model = aezoo.build("unet", seed=0, **TINY, loss=loss)
    measured = model.evaluate(x, masks, verbose=0, return_dict=True)["segmentation_loss"]
    close(measured, losses.get(loss)(masks, model.predict(x, verbose=0)))


def test_batches_of_a_dataset_train_as_arrays_do(blobs):
    x, masks = blobs
    arrays, batches = (aezoo.build("unet", seed=3, **TINY) for _ in range(2))
    weights = np.linspace(0.5, 1.5, len(x)).astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((x, masks, weights)).batch(8)
    a = arrays.fit(x, masks, sample_weight=weights, batch_size=8, shuffle=False, verbose=0)
    b = batches.fit(dataset, shuffle=False, verbose=0)
    close(a.history["loss"], b.history["loss"])
    close(arrays(x), batches(x))


def test_a_sample_weight_of_zero_takes_a_row_out(blobs):
    x, masks = blobs
    model = aezoo.build("unet", seed=3, **TINY)
    weights = np.repeat([1.0, 0.0], 8).astype("float32")
    weighted = model.evaluate(x, masks, sample_weight=weights, verbose=0, return_dict=True)
    half = model.evaluate(x[:8], masks[:8], verbose=0, return_dict=True)
    close(2 * weighted["loss"], half["loss"])


def test_a_loop_written_by_hand_lowers_the_loss(tiny, blobs):
    x, masks = blobs
    loss_of, optimizer = losses.get("dice_cross_entropy"), keras.optimizers.Adam(0.03)
    values = []
    for _ in range(10):
        with tf.GradientTape() as tape:
            loss = loss_of(masks, tiny(x, training=True))
        gradients = tape.gradient(loss, tiny.trainable_variables)
        optimizer.apply_gradients(zip(gradients, tiny.trainable_variables, strict=True))
        values.append(float(loss))
    assert values[-1] < 0.6 * values[0]


def test_mixed_precision_answers_finite_float32(blobs):
    x, masks = blobs
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = aezoo.build("unet", seed=0, **TINY)
        history = model.fit(x, masks, batch_size=8, verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert model(x).dtype == tf.float32
    assert keras.backend.standardize_dtype(model.encoder(x).dtype) == "bfloat16"
    close(model.predict(x, verbose=0).sum(-1), np.ones((16, 12, 12)))


# ---- targets ----


def test_a_missing_target_is_an_error_that_says_so(tiny, blobs):
    x, _ = blobs
    for call in (tiny.fit, tiny.evaluate):
        with pytest.raises(ZooError, match="needs a target: a mask for each picture"):
            call(x, verbose=0)
    with warnings.catch_warnings(), pytest.raises(ZooError, match="needs a target"):
        tiny.fit(tf.data.Dataset.from_tensor_slices(x).batch(8), shuffle=False, verbose=0)
    with pytest.raises(ZooError, match="needs a target"):
        tiny.fit(x, blobs[1], validation_data=(x,), verbose=0)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: m + 1, "does not know: classes=3.*from 1 to 3.*from 0 to 2"),
        (lambda m: m - 1, "from -1 to 1"),
        (lambda m: m / 2, "float64 from 0.0 to 1.0"),
        (lambda m: np.eye(3)[m], r"Received: \(16, 12, 12, 3\).*argmax"),
        (lambda m: m[:, :6], r"has a shape.*\(rows, 12, 12\)"),
    ],
)
def test_masks_that_do_not_fit_are_errors(tiny, blobs, change, message):
    x, masks = blobs
    for arguments in ({"y": change(masks)}, {"y": masks, "validation_data": (x, change(masks))}):
        with pytest.raises(ZooError, match=f"(?s){message}"):
            tiny.fit(x, **arguments, verbose=0)


def test_binary_masks_of_255_are_an_error(rng):
    model = aezoo.build("unet", input_shape=(8, 8, 1), classes=1, filters=(2, 4))
    with pytest.raises(ZooError, match="whole numbers from 0 to 1"):
        model.fit(rng.random((2, 8, 8, 1)), np.full((2, 8, 8), 255, "uint8"), verbose=0)


def test_weights_per_pixel_are_an_error(tiny, blobs):
    x, masks = blobs
    with pytest.raises(ZooError, match="one weight per row, not per pixel"):
        tiny.fit(x, masks, sample_weight=np.ones(masks.shape, "float32"), verbose=0)


def test_example_targets_are_masks_that_repeat(tiny, blobs):
    masks = tiny.example_targets(blobs[0])
    assert masks.shape == (16, 12, 12) and masks.dtype == np.int32
    assert set(np.unique(masks)) == {0, 1, 2}
    np.testing.assert_array_equal(masks, tiny.example_targets(blobs[0]))


# ---- saving, export ----


def test_a_clone_takes_the_weights(tiny, blobs):
    clone = keras.models.clone_model(tiny)
    assert np.abs(clone(blobs[0]) - tiny(blobs[0])).max() > 1e-3
    clone.set_weights(tiny.get_weights())
    np.testing.assert_array_equal(clone(blobs[0]), tiny(blobs[0]))


def test_weights_stand_in_the_model_once(tiny):
    of_parts = len(tiny.encoder.weights) + len(tiny.decoder.weights)
    assert len(tiny.weights) == of_parts


def test_8_bit_pictures_are_asked_in_their_own_unit(tiny, rng):
    pictures = rng.integers(0, 256, (4, 12, 12, 1), dtype="uint8")
    x = tiny.adapt(pictures)
    answer = tiny.endpoint("segment")(image=pictures)
    close(answer["probabilities"], tiny(x))


@pytest.mark.parametrize(
    "change",
    [
        {"classes": 1, "upsampling": "nearest", "dropout": 0.3},
        {"input_shape": (13, 9, 3), "normalization": "group"},
    ],
)
def test_an_exported_bundle_gives_the_same_answers(change, rng, tmp_path):
    from aezoo.export import export_bundle

    model = aezoo.build("unet", seed=0, **TINY | change)
    for layer in model.encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(size=layer.moving_mean.shape))
    x = rng.random((3, *model.input_shape)).astype("float32")
    bundle = export_bundle(model, tmp_path / "bundle")  # raises where any answer differs
    assert [spec.name for spec in bundle.endpoints] == ["segment", "encode"]
    answer = bundle.predict(image=x)
    np.testing.assert_allclose(answer["probabilities"], model(x), rtol=1e-5, atol=1e-5)
    classes = answer["probabilities"]
    wanted = classes[..., 0] > 0.5 if model.classes == 1 else classes.argmax(-1)
    np.testing.assert_array_equal(answer["mask"], wanted)


def test_the_mean_over_flips_is_that_of_the_four_mirror_images(rng):
    small = {"input_shape": (11, 14, 1), "filters": (4, 8), "classes": 3}
    model = aezoo.build("unet", **small, average_flips=True, seed=0)
    plain = aezoo.build("unet", **small, seed=0)
    plain.set_weights(model.get_weights())
    x = rng.random((3, 11, 14, 1), "float32")

    def answer(x):
        return plain(x).numpy()

    turned = [answer(x[:, ::v, ::h])[:, ::v, ::h] for v in (1, -1) for h in (1, -1)]
    np.testing.assert_allclose(model(x).numpy(), np.mean(turned, axis=0), atol=1e-6)
    assert np.abs(model(x).numpy() - answer(x)).max() > 1e-3
    np.testing.assert_allclose(model(x, training=True), plain(x, training=True), atol=1e-6)
    segmented = model.endpoint("segment")(image=x)["probabilities"]
    np.testing.assert_allclose(segmented, model(x).numpy(), atol=1e-6)
