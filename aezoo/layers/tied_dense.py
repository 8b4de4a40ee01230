"""A dense layer back through the matrix of another: decoder and encoder share one variable.

    y = activation(x W^T + b)            W the kernel of the tied layer, b a bias of one's own

Source: Vincent et al., "Extracting and composing robust features with denoising autoencoders"
(2008), section 2.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="aezoo")
class TiedDense(keras.layers.Layer):
    """From the units of a `Dense` layer back to its inputs.

    Args:
        tied_to: A built `keras.layers.Dense`. Its kernel is used where it stands: whatever trains
            one end moves both. A copy of this layer alone copies the other layer too.
        activation: Of the answer.

    Example:
        >>> forward = keras.layers.Dense(2, use_bias=False)
        >>> forward.build((None, 3))
        >>> back = TiedDense(forward)
        >>> back(ops.ones((1, 2))).shape, len(back.weights)
        (TensorShape([1, 3]), 2)
    """

    def __init__(
        self,
        tied_to: keras.layers.Dense,
        activation: str | None = None,
        dtype=None,
        name: str | None = None,
    ):
        super().__init__(dtype=dtype, name=name)
        self.tied_to = tied_to
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        """Make the bias, `(inputs of the tied layer,)`."""
        width = self.tied_to.kernel.shape[0]
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")

    def call(self, x):
        """(B, units) -> (B, inputs)."""
        kernel = ops.cast(self.tied_to.kernel, self.compute_dtype)
        # (W y^T)^T and not y W^T: a transposed constant would stand in the exported graph again.
        y = ops.transpose(ops.matmul(kernel, ops.transpose(x)))
        return self.activation(y + self.bias)

    def compute_output_shape(self, input_shape):
        """(B, units) -> (B, inputs)."""
        return (*input_shape[:-1], self.tied_to.kernel.shape[0])

    def get_config(self) -> dict:
        """Return the arguments."""
        return {
            "tied_to": keras.saving.serialize_keras_object(self.tied_to),
            "activation": keras.activations.serialize(self.activation),
            "dtype": self.dtype,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "TiedDense":
        """Return a layer tied to a new layer of the old one's configuration."""
        tied_to = keras.saving.deserialize_keras_object(config["tied_to"])
        return cls(**config | {"tied_to": tied_to})
