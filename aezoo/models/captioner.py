"""Video captioner: what happens in a film, word by word.

    m_t = conv(frame_t)             f_t = [max over places of m_t, dense(m_t)]
    h_t = LSTM(f_t, h_{t-1})        z = W h_T + b
    s_i = LSTM([word_{i-1}, z], s_{i-1})    p(word_i) = softmax(V s_i + c)
    loss = mean over words and the padding behind them of -log p(word_i)

In training word_{i-1} is the true one; `call`, evaluation and the endpoints feed back the likeliest
one.

Source: Venugopalan et al., "Sequence to sequence: video to text" (2015); here the film is first
read into one code, as in Vinyals et al., "Show and tell" (2015).
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops
from pydantic import Field

from aezoo.endpoints import Endpoint, EndpointSpec, TensorSpec
from aezoo.errors import ZooError
from aezoo.layers.feedback import recurrent
from aezoo.models.seq2seq import feedback_decoder
from aezoo.zoo_model import Share, Width, ZooModel


@keras.saving.register_keras_serializable(package="aezoo")
class VideoCaptioner(ZooModel):
    """Read a film, write its caption.

    Rows are films `(T, H, W, C)`. Targets are ids of words, int32 `(rows, caption_length)`, padded
    on the right with 0, which ends a caption. `call` answers the probabilities of every word at
    every place `(B, caption_length, vocabulary)`, each given the likeliest words before it.

    Args:
        input_shape: `(T, H, W, C)`, any size.
        filters: Channels per level of the frame encoder; each level halves the size.
        units: Width of both recurrent layers, and of where things are in a frame.
        latent_dim: Width of the code of a film.
        caption_length: Words of the longest caption, and one for its end.
        vocabulary: Number of ids, 0 (padding) included.
        embedding_dim: Width of a word's embedding.
        dropout: Share of a frame's features that training hides.

    Raises:
        ZooError: If rows are no films.

    Example:
        >>> model = VideoCaptioner((3, 9, 7, 1), filters=(2,), units=4, latent_dim=4)
        >>> model.endpoint("caption")(video=np.zeros((1, 3, 9, 7, 1)))["tokens"].shape
        (1, 8)
    """

    modalities = ("video",)
    main_term = "caption_loss"

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (8, 24, 24, 1),
        filters: tuple[Width, ...] = (16, 32, 64),
        units: Width = 64,
        latent_dim: Width = 64,
        caption_length: Width = 8,
        vocabulary: Annotated[int, Field(ge=2)] = 24,
        embedding_dim: Width = 16,
        dropout: Share = 0.2,
    ):
        if len(input_shape) != 4:
            raise ZooError(
                "A video captioner takes films (T, H, W, C).",
                received=tuple(input_shape),
                do="Give input_shape=(frames, height, width, channels).",
            )
        super().__init__(
            encoder=film_encoder(input_shape, filters, units, latent_dim, dropout),
            decoder=feedback_decoder(
                (caption_length,), units, latent_dim, "lstm", vocabulary, embedding_dim
            ),
            output_range="unit",
            loss="sparse_categorical_crossentropy",
        )
        self.caption_length, self.vocabulary = caption_length, vocabulary

    # ---- targets ----

    def target_of(self, x):
        """Raise: a film does not say its caption.

        Raises:
            ZooError: Always.
        """
        raise ZooError(
            f"{self.name} needs a target: a caption for each film.",
            do=f"Call fit(x, captions) with ids of words, shape (rows, {self.caption_length}).",
        )

    def check_targets(self, x, y, name: str) -> None:
        """Refuse missing captions and arrays that are none; batches and tensors pass."""
        if y is None and isinstance(x, np.ndarray):
            self.target_of(x)
        if isinstance(y, np.ndarray) and y.size:
            fits = y.shape[1:] == (self.caption_length,) and y.dtype.kind in "iu"
            if not fits or y.min() < 0 or y.max() >= self.vocabulary:
                raise ZooError(
                    f"{name} holds captions that {self.name} does not know.",
                    received=f"{y.dtype} {y.shape} from {y.min():g} to {y.max():g}",
                    do=f"Give ids from 0 to {self.vocabulary - 1}, "
                    f"shape (rows, {self.caption_length}).",
                )

    def example_targets(self, x) -> np.ndarray:
        """Return captions drawn with a fixed seed, one for each row of `x`."""
        shape = (len(x), self.caption_length)
        return np.random.default_rng(0).integers(0, self.vocabulary, shape, dtype="int32")

    # ---- forward ----

    def pair(self, x, y, training: bool):
        """Return `(x, y)`; in training the decoder is told the caption: `({video, target}, y)`."""
        y = self.target_of(x) if y is None else y
        return ({"video": x, "target": y} if training else x), y

    def call(self, x, training=False):
        """Return the probabilities of the words (B, L, V).

        Args:
            x: Films; or a dict of `video` and `target`, whose words the decoder is then told.
            training: Whether dropout is active.
        """
        if not isinstance(x, dict):
            return super().call(x, training)
        code = self.encoder(x["video"], training=training)
        return self.decoder.get_layer("feedback")(code, x["target"])

    # ---- endpoints ----

    def make_endpoints(self) -> list[Endpoint]:
        """Return `caption` and `encode`."""
        return [self._caption_endpoint(), *super().make_endpoints()]

    def _caption_endpoint(self) -> Endpoint:
        tokens = TensorSpec(
            "tokens",
            (self.caption_length,),
            "int32",
            ("word",),
            0.0,
            self.vocabulary - 1.0,
            description="The likeliest word at each place, 0 after the last.",
        )
        probabilities = TensorSpec(
            "probabilities",
            (self.caption_length, self.vocabulary),
            axes=("word", "token"),
            low=0.0,
            high=1.0,
            description="Of every word at every place, given the words before it.",
        )

        def caption(inputs):
            p = self(self.rows_of(inputs), training=False)
            likeliest = ops.top_k(p, 1)[1][..., 0]  # an argmax of floats does not convert to ONNX
            return {"tokens": ops.cast(likeliest, "int32"), "probabilities": p}

        spec = EndpointSpec(
            "caption", self.row_specs(), (tokens, probabilities), "What happens in a film."
        )
        return Endpoint(spec, caption)


def film_encoder(input_shape, filters, units, latent_dim, dropout):
    """(B, T, H, W, C) -> (B, latent_dim)."""
    film = keras.Input(input_shape, name="video")
    steps, *frame = input_shape
    x = ops.reshape(film, (-1, *frame))  # (B*T, H, W, C): every frame alike
    for width in filters:
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D(padding="same")(x)  # halves H and W, rounded up
    # What is seen must not depend on where it is, or each digit is learned at every place anew.
    what = keras.layers.GlobalMaxPooling2D()(x)  # (B*T, F)
    where = keras.layers.Dense(units, "relu")(keras.layers.Flatten()(x))  # (B*T, U)
    both = ops.concatenate([what, where], axis=-1)
    x = ops.reshape(both, (-1, steps, both.shape[-1]))  # (B, T, F + U)
    x = keras.layers.Dropout(dropout)(x)
    x = recurrent("lstm", units)(x)  # (B, U)
    code = keras.layers.Dense(latent_dim, name="latent")(x)  # (B, D)
    return keras.Model(film, code, name="encoder")
