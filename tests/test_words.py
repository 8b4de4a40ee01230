"""Words: how they become rows, how a model learns where they end, and how answers are counted."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_epoch import long_epoch

import aezoo
from aezoo.data import load, words
from aezoo.data.named import pronunciations
from aezoo.errors import ZooError
from aezoo.measures import transcription
from aezoo.models.seq2seq import Seq2SeqAE
from aezoo.zoo_model import seeded

TINY = {"input_shape": (5,), "vocabulary": 7, "units": 6, "latent_dim": 4, "embedding_dim": 3}


def tiny(**changes):
    with seeded(0):
        model = Seq2SeqAE(**TINY | {"feedback": True, "ends": True} | changes)
    model.compile(keras.optimizers.Adam(0.01), model.default_loss)
    return model


def test_the_dictionary_is_read_with_its_variants_and_without_stress(tmp_path):
    path = tmp_path / "some.dict"
    path.write_text("cab K AE1 B\nread R EH1 D\nread(2) R IY1 D # the present tense\n")
    assert words.read(path) == {
        "cab": [["K", "AE", "B"]],
        "read": [["R", "EH", "D"], ["R", "IY", "D"]],
    }
    path.write_text("cab K QQ B\n")
    with pytest.raises(ZooError, match="cannot be read"):
        words.read(path)


@given(st.text(words.LETTERS, max_size=words.LENGTH))
def test_signs_survive_the_way_to_ids_and_back(word):
    assert "".join(words.signs_of(words.ids_of(word))) == word


def test_words_have_one_role_and_their_usual_pronunciation_as_the_target():
    data, known = load("phones_sample"), pronunciations("phones_sample")
    spelled = list(known)
    indices = np.concatenate([rows.index for rows in data.roles().values()])
    assert sorted(indices) == list(range(len(known)))
    assert len(data.test) == len(data.validation) == len(known) // 20
    for rows in data.roles().values():
        for x, y, index in zip(rows.array()[:20], rows.targets, rows.index, strict=False):
            assert "".join(words.signs_of(x)) == spelled[index]
            assert words.signs_of(y) == known[spelled[index]][0]
    letters = load("letters_sample")
    assert letters.train.targets is None
    np.testing.assert_array_equal(letters.test.array(), data.test.array())


@pytest.mark.parametrize("feedback", [False, True])
def test_the_loss_counts_the_targets_own_steps_and_its_end(feedback, rng):
    model = tiny(feedback=feedback)
    x = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 1]], "int32")
    y = np.array([[6, 5, 4, 0, 0], [2, 1, 0, 0, 0]], "int32")
    p = model.predict(x, verbose=0)  # evaluation decodes freely, too
    counted = [-np.log(p[0, t, y[0, t]]) for t in range(4)]
    counted += [-np.log(p[1, t, y[1, t]]) for t in range(3)]
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(np.mean(counted), rel=1e-4)
    own = [-np.log(p[0, t, x[0, t]]) for t in range(3)] + [
        -np.log(p[1, t, x[1, t]]) for t in range(5)
    ]
    assert model.evaluate(x, verbose=0)[0] == pytest.approx(np.mean(own), rel=1e-4)


def test_answers_end_with_their_first_zero():
    model = tiny()
    p = np.zeros((1, 5, 7), "float32")
    p[0, range(5), [3, 2, 0, 4, 1]] = 1.0
    answers = model.answers(keras.ops.convert_to_tensor(p))
    assert answers["reconstruction"].numpy().tolist() == [[3, 2, 0, 0, 0]]


def test_it_learns_targets_of_another_length(rng):
    """Each id is said twice: rows of one or two ids, targets of two or four."""
    x = np.zeros((200, 5), "int32")
    y = np.zeros((200, 5), "int32")
    for row, target in zip(x, y, strict=True):
        ids = rng.integers(1, 7, rng.integers(1, 3))
        row[: len(ids)], target[: 2 * len(ids)] = ids, np.repeat(ids, 2)
    model = tiny(units=24, latent_dim=12)
    model.optimizer.learning_rate = 0.02
    model.fit(*long_epoch((x, y), 60), batch_size=100, shuffle=False, verbose=0)
    said = model.endpoint("reconstruct")(tokens=x)["reconstruction"]
    assert (said == y).all(axis=1).mean() > 0.95


def test_only_rows_of_tokens_end():
    with pytest.raises(ZooError, match="an end to learn"):
        aezoo.build("seq2seq_ae", ends=True)
    with pytest.raises(ZooError, match="an end to learn"):
        Seq2SeqAE(**TINY, variable_length=True, ends=True)


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("flaw", "lawn", 2)],
)
def test_edits(one, other, count):
    assert transcription.edits(list(one), list(other)) == count
    assert transcription.edits(list(other), list(one)) == count


class Teller:
    """Answers what it is told to."""

    def __init__(self, rows):
        self.rows = rows

    def endpoint(self, name):
        return lambda tokens: {"reconstruction": self.rows}


def test_the_nearest_pronunciation_counts_and_errors_are_shares_of_phones():
    data, known = load("phones_sample"), pronunciations("phones_sample")
    spelled = list(known)
    last = np.stack([words.ids_of(known[spelled[i]][-1]) for i in data.test.index])
    assert (last != data.test.targets).any()  # some words have two
    right = transcription.phone_error_rate(Teller(last), data)
    assert right == {"phone error rate": 0.0, "word error rate": 0.0}
    cut = last.copy()
    cut[0] = 0
    wrong = transcription.phone_error_rate(Teller(cut), data)
    lengths = [min(len(p) for p in known[spelled[data.test.index[0]]])]
    lengths += [len(words.signs_of(row)) for row in last[1:]]
    assert wrong["phone error rate"] == pytest.approx(100 * lengths[0] / sum(lengths))
    assert wrong["word error rate"] == pytest.approx(100 / len(data.test))
    rows = data.test.array().copy()
    rows[0, 0] = 0
    back = transcription.round_trip(Teller(rows), data)
    assert back["exact"] == pytest.approx(100 * (1 - 1 / len(rows)))
    assert back["letters"] == pytest.approx(100 * (1 - 1 / (data.test.array() > 0).sum()))
