"""Names, building, and adding an architecture from outside the package."""

import random
import subprocess
import sys

import numpy as np
import pytest

import aezoo
from aezoo.errors import ZooError
from aezoo.registry import find

MODULE = '''
import keras
from aezoo import Autoencoder

@keras.saving.register_keras_serializable(package="outside")
class HalfAE(Autoencoder):
    """Halve and double."""

    def __init__(self, input_shape: tuple[int, ...] = (4,), width: int = 2):
        encoder = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(width)])
        decoder = keras.Sequential([keras.Input((width,)), keras.layers.Dense(input_shape[0])])
        super().__init__(encoder=encoder, decoder=decoder)
'''
YAML = """
schema_version: 1
name: half_ae
title: Half
summary: From outside.
task: reconstruction
modality: features
builder: {module}:HalfAE
args: {{input_shape: [4], width: 2}}
expect:
  trainable_parameters: 22
  output_shape: [4]
  loss_terms: {{loss: reconstruction_loss, reconstruction_loss: mean squared error}}
"""


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Vallina_AE", "vallina_ae"),
        ("vanilla_ae", "vallina_ae"),
        ("Conv_AE", "conv_ae"),
        ("conv-ae", "conv_ae"),
        ("denoise_AE", "denoise_ae"),
        ("VAE", "vae"),
        ("U-Net", "unet"),
        ("Seq2Seq_AE", "seq2seq_ae"),
    ],
)
def test_names_of_the_sources_work_as_written(spelling, name):
    assert find(spelling).name == name


def test_a_misspelt_entry_names_the_closest_one():
    with pytest.raises(ZooError, match="Did you mean 'conv_ae'"):
        aezoo.build("conv_ea")


def test_lists_filter_by_pattern_task_and_weights():
    assert "vallina_ae" in aezoo.list_models("VAN*")
    assert aezoo.list_models(task="segmentation") == ["unet"]
    assert aezoo.list_models(pretrained=True) == []
    with pytest.raises(ZooError, match="Did you mean 'segmentation'"):
        aezoo.list_models(task="segmentaton")


def test_listing_and_showing_import_no_tensorflow():
    code = (
        "import sys, aezoo; names = aezoo.list_models(); text = repr(aezoo.describe('vae'));"
        "bad = {'tensorflow', 'keras', 'numpy', 'sklearn'} & set(sys.modules);"
        "assert not bad, bad; assert 'vae' in names and 'nats' in text"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_published_sizes_hold():
    for name, count in {"vallina_ae": 210_130, "conv_ae": 3_217, "denoise_ae": 74_497}.items():
        assert aezoo.build(name).count_params() == count


def test_keyword_overrides_win():
    model = aezoo.build("conv_ae", input_shape=(64, 64, 3), latent_dim=64)
    assert model.input_shape == (64, 64, 3)
    assert model.latent_shape == (64,)


def test_an_unknown_argument_names_the_closest_one():
    with pytest.raises(ZooError, match="Did you mean 'latent_dim'"):
        aezoo.build("conv_ae", latentdim=8)


def test_an_argument_of_the_wrong_type_is_named():
    with pytest.raises(ZooError, match="latent_dim has a wrong value"):
        aezoo.build("conv_ae", latent_dim="eight")


def test_weights_that_do_not_exist_are_an_error_not_a_random_start():
    with pytest.raises(ZooError, match="no published weights"):
        aezoo.build("conv_ae", weights="imagenet")


def test_the_seed_fixes_the_weights_and_leaves_global_randomness_alone():
    random.seed(7)
    expected = random.Random(7).random()
    one, two, other = (aezoo.build("conv_ae", seed=seed) for seed in (1, 1, 2))
    assert random.random() == expected
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_two_new_files_in_any_folder_are_a_model(tmp_path):
    (tmp_path / "half_module.py").write_text(MODULE)
    (tmp_path / "half_ae.yaml").write_text(YAML.format(module="half_module"))
    model = aezoo.build(str(tmp_path / "half_ae.yaml"), width=3)
    assert model.latent_shape == (3,)
    x = np.random.default_rng(0).random((32, 4), "float32")
    before = model.evaluate(x, verbose=0, return_dict=True)["loss"]
    model.fit(x, epochs=5, verbose=0)
    assert model.evaluate(x, verbose=0, return_dict=True)["loss"] < before


def test_an_installed_package_adds_entries_by_its_entry_point(tmp_path):
    package = tmp_path / "outside_zoo"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "half_module2.py").write_text(MODULE)
    (package / "half_ae.yaml").write_text(YAML.format(module="outside_zoo.half_module2"))
    info = tmp_path / "outside_zoo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-zoo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aezoo.zoo]\noutside = outside_zoo\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import aezoo;"
        "assert 'half_ae' in aezoo.list_models();"
        "from aezoo import quiet; quiet.import_tensorflow();"
        "assert aezoo.build('Half-AE').count_params() == 22;"
        "import aezoo.checks;"
        "assert aezoo.checks.run_check('half_ae', 'predict_and_evaluate_repeat').ok"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_decorator_registers_and_a_taken_name_is_refused():
    from aezoo.models.dense import DenseAE

    class Mine(DenseAE):
        """Dense, of mine."""

    aezoo.register("test_mine", args={"input_shape": (5,), "hidden": (4,)})(Mine)
    assert aezoo.build("Test-Mine").input_shape == (5,)
    with pytest.raises(ZooError, match="a name that the entry 'conv_ae' has already"):
        aezoo.register("Conv_AE".lower())(Mine)
    with pytest.raises(ZooError, match="unknown key 'epochs'"):
        aezoo.register("test_other", epochs=3)(Mine)


def test_a_builder_that_is_not_there_is_explained(tmp_path):
    (tmp_path / "x.yaml").write_text(YAML.format(module="no_such_module"))
    with pytest.raises(ZooError, match="cannot be found"):
        aezoo.build(str(tmp_path / "x.yaml"))
