"""The sequence autoencoder: lengths, feedback, tokens, and the graphs they become."""

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from aezoo import ZooError
from aezoo.export.onnx_graph import convert
from aezoo.layers.lengths import ReverseValid
from aezoo.models.seq2seq import Seq2SeqAE

SERIES = {"input_shape": (6, 3), "units": 5, "latent_dim": 4}
TOKENS = {"input_shape": (6,), "vocabulary": 9, "embedding_dim": 3, "units": 5, "latent_dim": 4}
LENGTH = np.array([[6], [1], [4], [3]], "int32")
VALID = np.arange(6)[None] < LENGTH  # (B, T)


def built(arguments, **more):
    model = Seq2SeqAE(**arguments, **more)
    weights = [
        np.random.default_rng(i).normal(0, 0.5, w.shape) for i, w in enumerate(model.weights)
    ]
    model.set_weights(weights)  # no bias is zero
    model.compile("sgd", model.default_loss, run_eagerly=True)  # six steps: faster than tracing
    return model


def loss_of(model, *rows, **more):
    return model.evaluate(*rows, verbose=0, return_dict=True, **more)["loss"]


@pytest.fixture
def series(rng):
    return rng.normal(size=(4, 6, 3)).astype("float32")


@pytest.fixture
def tokens(rng):
    return np.where(VALID, rng.integers(1, 9, (4, 6)), 0).astype("int32")


def padded_with(rows, value):
    rows = rows.copy()
    rows[~VALID] = value
    return rows


@pytest.mark.parametrize("feedback", [False, True])
def test_what_stands_in_the_padding_of_a_series_changes_no_bit(series, feedback):
    model = built(SERIES, variable_length=True, bidirectional=True, feedback=feedback)
    start, seen = model.get_weights(), []
    for value in (0.0, 1e30):
        model.set_weights(start)
        rows = {"series": padded_with(series, value), "length": LENGTH}
        answers = model.endpoint("score")(**rows) | {"call": model.predict(rows, verbose=0)}
        loss = loss_of(model, rows)
        model.fit(rows, batch_size=4, shuffle=False, verbose=0)
        seen.append([*answers.values(), loss, *model.get_weights()])
    for one, two in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, two)


def test_given_token_lengths_hide_the_padding_and_missing_ones_are_read_from_it(tokens):
    model = built(TOKENS, variable_length=True, bidirectional=True)
    score = model.endpoint("score")
    plain = score(tokens=tokens)
    for rows in (tokens, padded_with(tokens, 7)):
        given = score(tokens=rows, length=LENGTH)
        np.testing.assert_array_equal(given["score"], plain["score"])
        np.testing.assert_array_equal(given["error_map"], plain["error_map"])
    without = built(TOKENS, bidirectional=True)
    np.testing.assert_array_equal(without.endpoint("score")(tokens=tokens)["score"], plain["score"])
    assert (score(tokens=padded_with(tokens, 7))["score"] != plain["score"]).any()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_padded_row_has_the_code_of_the_row_alone(series, cell):
    model = built(SERIES, variable_length=True, bidirectional=True, cell=cell)
    codes = model.endpoint("encode")(series=series, length=LENGTH)["latent"]
    short = built(SERIES | {"input_shape": (4, 3)}, bidirectional=True, cell=cell)
    short.encoder.set_weights(model.encoder.get_weights())
    alone = short.endpoint("encode")(series=series[2:3, :4])["latent"]
    np.testing.assert_allclose(codes[2:3], alone, rtol=0, atol=1e-6)


def test_reversing_turns_valid_steps_only(series):
    turned = np.asarray(ReverseValid()([series, LENGTH]))
    for row, back, (n,) in zip(series, turned, LENGTH, strict=True):
        np.testing.assert_array_equal(back, np.concatenate([row[:n][::-1], row[n:]]))


def test_loss_and_score_are_means_over_valid_steps(series):
    model = built(SERIES, variable_length=True)
    model.compile("sgd", "mean_squared_error", metrics=["mean_absolute_error"], run_eagerly=True)
    rows = {"series": series, "length": LENGTH}
    errors = series - model.predict(rows, verbose=0)
    logs = model.evaluate(rows, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(np.square(errors[VALID]).mean(), rel=1e-6)
    assert logs["reconstruction_loss"] == pytest.approx(logs["loss"], rel=1e-6)
    assert logs["mean_absolute_error"] == pytest.approx(np.abs(errors[VALID]).mean(), rel=1e-6)
    scores = model.endpoint("score")(**rows)
    by_row = [np.square(e[:n]).mean() for e, (n,) in zip(errors, LENGTH, strict=True)]
    np.testing.assert_allclose(scores["score"][:, 0], by_row, rtol=1e-5)
    assert not scores["error_map"][~VALID].any()


def test_tokens_are_scored_in_nats_and_answered_by_their_likeliest_ids(tokens):
    model = built(TOKENS)
    answer = model.endpoint("reconstruct")(tokens=tokens)
    p = answer["probabilities"]
    np.testing.assert_allclose(p.sum(-1), 1.0, rtol=1e-6)
    assert answer["reconstruction"].dtype == "int32"
    np.testing.assert_array_equal(answer["reconstruction"], p.argmax(-1))
    nats = -np.log(np.take_along_axis(p, tokens[..., None], -1)[..., 0])
    scores = model.endpoint("score")(tokens=tokens)
    np.testing.assert_allclose(scores["error_map"], np.where(VALID, nats, 0), rtol=1e-5)
    assert loss_of(model, tokens) == pytest.approx(nats[VALID].mean(), rel=1e-5)


def test_row_weights_weigh_rows(series):
    model = built(SERIES)
    by_row = np.square(series - model.predict(series, verbose=0)).mean((1, 2))
    weight = np.array([0.0, 2.0, 1.0, 1.0], "float32")
    expected = (by_row * weight).mean()
    assert loss_of(model, series, series, sample_weight=weight) == pytest.approx(expected, rel=1e-5)


# ---- feedback ----


def lstm_step(x, h, c, kernel, recurrent_kernel, bias):
    i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


@pytest.mark.parametrize("taught", [False, True])
def test_the_feedback_decoder_of_series_is_a_plain_loop(series, taught):
    model = built(SERIES, feedback=True)
    layer = model.decoder.get_layer("feedback")
    weights = [w.numpy() for w in layer.rnn.cell.weights]
    kernel, bias = (w.numpy() for w in layer.head.weights)
    code = np.asarray(model.encoder(series))
    h = c = np.zeros((4, 5))
    told, expected = np.tile(layer.start.numpy(), (4, 1)), []
    for t in range(6):
        h, c = lstm_step(np.concatenate([told, code], -1), h, c, *weights)
        expected.append(h @ kernel + bias)
        told = series[:, t] if taught else expected[-1]
    answer = model(series, training=taught)
    np.testing.assert_allclose(answer, np.stack(expected, 1), rtol=0, atol=1e-5)


def test_the_feedback_decoder_of_tokens_reads_its_likeliest_token(tokens):
    model = built(TOKENS, feedback=True, cell="gru")
    layer = model.decoder.get_layer("feedback")
    code = model.encoder(tokens)
    state, told, expected = np.zeros((4, 5), "float32"), np.zeros(4, "int32"), []
    for _ in range(6):
        state, _ = layer.rnn.cell(np.concatenate([layer.embedding(told), code], -1), state)
        expected.append(np.asarray(layer.head(state)))
        told = expected[-1].argmax(-1)
    expected = np.stack(expected, 1)
    np.testing.assert_allclose(model(tokens), expected, rtol=0, atol=1e-6)
    ids = model.endpoint("reconstruct")(tokens=tokens)["reconstruction"]
    np.testing.assert_array_equal(ids, expected.argmax(-1))


def test_fit_teaches_the_clean_rows_and_evaluates_freely(series):
    model, clean = built(SERIES, feedback=True), series[::-1].copy()
    rows, target = model.pair(series, clean, training=True)
    taught = model.decoder.get_layer("feedback")(model.encoder(series), clean)
    np.testing.assert_array_equal(model(rows, training=True), taught)
    np.testing.assert_array_equal(target, clean)
    free = np.square(model.predict(series, verbose=0) - clean).mean()
    assert loss_of(model, series, clean) == pytest.approx(free, rel=1e-5)
    loss = model.fit(series, clean, batch_size=4, verbose=0).history["loss"][0]
    assert loss == pytest.approx(np.square(taught - clean).mean(), rel=1e-5)


# ---- training and files ----


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (SERIES, {"variable_length": True, "feedback": True, "cell": "gru"}),
        (TOKENS, {"bidirectional": True, "time_waves": 2}),
        (TOKENS, {"variable_length": True, "feedback": True}),
    ],
)
def test_variants_learn_copy_and_take_half_precision(arguments, more, series, tokens):
    rows = series if arguments is SERIES else tokens
    if "variable_length" in more:
        rows = {"series" if arguments is SERIES else "tokens": rows, "length": LENGTH}
    model = built(arguments, **more)
    model.compile(keras.optimizers.Adam(0.05), model.default_loss)
    logs = model.fit(rows, epochs=15, validation_data=(rows, None), verbose=0).history
    assert logs["loss"][-1] < 0.8 * logs["loss"][0]
    assert logs["val_loss"][-1] == loss_of(model, rows)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(rows), model(rows))
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        half = built(arguments, **more)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(half.fit(rows, verbose=0).history["loss"]).all()
    assert half(rows).dtype == "float32"


@pytest.mark.parametrize("feedback", [False, True])
def test_a_hand_written_loop_takes_the_step_that_fit_takes(series, feedback):
    model = built(SERIES, variable_length=True, feedback=feedback)
    rows = {"series": series, "length": LENGTH}
    start = model.get_weights()
    model.fit(rows, batch_size=4, shuffle=False, verbose=0)
    fitted = model.get_weights()
    model.set_weights(start)
    with tf.GradientTape() as tape:
        loss = keras.losses.MeanSquaredError()(series, model(rows, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    keras.optimizers.SGD().apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    for one, two in zip(model.get_weights(), fitted, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_preprocessing_is_fitted_on_valid_steps_only(series):
    model = built(SERIES, variable_length=True)
    scaled = model.adapt({"series": padded_with(series, 1e6), "length": LENGTH})["series"]
    np.testing.assert_allclose(scaled[VALID].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled[VALID].std(0), 1, atol=1e-5)


# ---- ONNX ----


def nodes(graph, found=None):
    found = {} if found is None else found
    for node in graph.node:
        found[node.op_type] = found.get(node.op_type, 0) + 1
        for attribute in node.attribute:
            if attribute.HasField("g"):
                nodes(attribute.g, found)
    return found


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (SERIES | {"bidirectional": True, "time_waves": 2}, {"LSTM": 2}),
        (SERIES | {"bidirectional": True, "variable_length": True}, {"LSTM": 3}),
        (SERIES | {"cell": "gru"}, {"GRU": 2}),
        (TOKENS | {"cell": "gru", "bidirectional": True}, {"GRU": 3}),
        (TOKENS | {"variable_length": True, "feedback": True}, {"LSTM": 1, "Loop": 1}),
        (SERIES | {"cell": "gru", "feedback": True}, {"GRU": 1, "Loop": 1}),
    ],
)
def test_onnx_has_fused_layers_one_loop_for_feedback_and_the_same_answers(arguments, expected, rng):
    model = built(arguments)
    endpoint = model.endpoint("score")
    converted = convert(endpoint, model)
    found = nodes(converted.graph)
    assert {k: found[k] for k in ("LSTM", "GRU", "Loop", "Scan") if k in found} == expected
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    for count in (1, 5):
        length = rng.integers(1, 7, (count, 1)).astype("int32")
        if "vocabulary" in arguments:
            rows = {"tokens": rng.integers(0, 9, (count, 6)).astype("int32")}
        else:
            rows = {"series": rng.normal(size=(count, 6, 3)).astype("float32")}
        rows |= {"length": length} if "variable_length" in arguments else {}
        expected_answers = endpoint(**rows)
        names = [output.name for output in session.get_outputs()]
        for name, answer in zip(names, session.run(names, rows), strict=True):
            np.testing.assert_allclose(answer, expected_answers[name], rtol=1e-5, atol=1e-5)


# ---- errors ----


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Seq2SeqAE(input_shape=(6,)), "takes rows (T, C)"),
        (lambda: Seq2SeqAE(input_shape=(6, 1), vocabulary=5), "takes rows (T,)"),
        (
            lambda: built(SERIES).fit({"series": np.zeros((2, 6, 3)), "length": np.ones((2, 1))}),
            "variable_length=True",
        ),
        (
            lambda: built(SERIES, variable_length=True).predict({"serie": np.zeros((2, 6, 3))}),
            "Did you mean 'series'?",
        ),
        (
            lambda: built(SERIES, variable_length=True).predict(
                {"series": np.zeros((2, 6, 3)), "length": np.array([[1], [7]])}
            ),
            "whole numbers from 1 to 6",
        ),
        (lambda: built(TOKENS).predict(np.full((2, 6), 9)), "whole numbers from 0 to 8"),
        (
            lambda: built(TOKENS).endpoint("encode")(tokens=np.full((2, 6), 9)),
            "whole numbers from 0 to 8",
        ),
    ],
)
def test_errors_say_what_to_do(action, message):
    with pytest.raises(ZooError) as error:
        action()
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 3
