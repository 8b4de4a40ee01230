"""Vector-quantised autoencoder: pictures as small grids of codes from a learned codebook.

    q = nearest code of z = encoder(x),   p = decoder(q)
    loss = mean -log p(x) + commitment_weight * mean (z - sg[q])^2

p(x) is a Bernoulli likelihood per pixel, not the paper's Gaussian one: the squared errors of a
sigmoid lose their gradient where it says black, and mostly black pictures drove it there in the
first steps. sg stops the gradient; the codebook follows the encoder by moving averages (see
`aezoo.layers.vector_quantizer`). To generate, fit an autoregressive prior to the codes of training
rows (`aezoo.samplers`) and decode its draws. Source: van den Oord, Vinyals & Kavukcuoglu, "Neural
discrete representation learning" (2017), equation 3.
"""

import keras
from keras import ops

from aezoo.autoencoder import Autoencoder
from aezoo.endpoints import Endpoint, EndpointSpec, TensorSpec
from aezoo.layers.vector_quantizer import VectorQuantizer, perplexity
from aezoo.models.conv import conv_decoder, conv_encoder
from aezoo.zoo_model import AXES_OF, INPUT_BY_RANK, Share, Weight, Width


@keras.saving.register_keras_serializable(package="aezoo")
class VQVAE(Autoencoder):
    """A convolutional autoencoder whose code is a grid of ids, for (H, W, C) and (T, C).

    `encode` gives the ids, `codes`, and their vectors, `latent`; `decode` takes ids.

    Args:
        input_shape: `(H, W, C)` or `(T, C)`, any size.
        filters: Channels per level; each level halves the size.
        codes: K, the codes of the codebook.
        code_width: D, the numbers of a code's vector.
        commitment_weight: Keeps the encoder near the codes that it chooses.
        decay: Of the codebook's moving averages.
        kernel_size: Of every convolution.
        activation: Of every convolution but the last, which is a sigmoid.

    Example:
        >>> model = VQVAE(input_shape=(8, 8, 1), filters=(4, 4), codes=5, code_width=3)
        >>> [tensor.name for tensor in model.endpoint("encode").spec.outputs]
        ['codes', 'latent']
    """

    modalities = ("image", "series")

    def __init__(
        self,
        input_shape: tuple[Width, ...] = (28, 28, 1),
        filters: tuple[Width, ...] = (32, 64),
        codes: Width = 128,
        code_width: Width = 16,
        commitment_weight: Weight = 0.25,
        decay: Share = 0.99,
        kernel_size: Width = 3,
        activation: str = "relu",
    ):
        trunk = conv_encoder(input_shape, filters, None, kernel_size, activation)
        conv = keras.layers.Conv1D if len(input_shape) == 2 else keras.layers.Conv2D
        x = keras.Input(input_shape)
        z = conv(code_width, 1, name="latent", dtype="float32")(trunk(x))  # (B, h, w, D)
        grown = conv_decoder(input_shape, filters, None, kernel_size, activation, "sigmoid")
        code = keras.Input(z.shape[1:])
        widened = conv(filters[-1], 1)(code)  # (B, h, w, F)
        super().__init__(
            encoder=keras.Model(x, z, name="encoder"),
            decoder=keras.Model(code, grown(widened), name="decoder"),
            output_range="unit",
            loss="binary_crossentropy",
            terms=("commitment_loss", "perplexity"),
        )
        self.commitment_weight = commitment_weight
        self.quantizer = VectorQuantizer(codes, code_width, decay)

    def call(self, x, training=False):
        """Return the reconstruction of `x`, both `(B, *input_shape)`; adds the commitment term."""
        z = self.encoder(x, training=training)  # (B, h, w, D)
        q, ids = self.quantizer(z, training=training)
        far = ops.mean(ops.square(ops.cast(z, "float32") - ops.stop_gradient(q)))
        self.add_term("commitment_loss", far, self.commitment_weight)
        self._terms["perplexity"] = perplexity(ids, self.quantizer.codes)
        return ops.cast(self.decoder(q, training=training), "float32")

    def codes(self, x):
        """Return `codes`, int32 (B, h, w), and their vectors `latent`, (B, h, w, D)."""
        ids = self.quantizer.ids(self.encoder(x, training=False))
        return {"codes": ids, "latent": self.quantizer.vectors(ids)}

    def code_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of what `codes` gives."""
        return (self._ids_spec(), self.latent_spec())

    def _ids_spec(self) -> TensorSpec:
        return TensorSpec(
            "codes",
            self.latent_shape[:-1],
            "int32",
            AXES_OF[INPUT_BY_RANK[len(self.latent_shape)]][:-1],
            low=0,
            high=self.quantizer.codes - 1,
            description="Which code of the codebook stands at each place.",
        )

    def _encode_endpoint(self) -> Endpoint:
        def encode(inputs):
            return self.codes(self.rows_of(inputs))

        return Endpoint(
            EndpointSpec("encode", self.row_specs(), self.code_specs(), "The codes."), encode
        )

    def _decode_endpoint(self) -> Endpoint:
        def decode(inputs):
            vectors = self.quantizer.vectors(inputs["codes"])
            return self.answers(self.decoder(vectors, training=False))

        spec = EndpointSpec(
            "decode", (self._ids_spec(),), self.answer_specs(), "From codes to row."
        )
        return Endpoint(spec, decode)
