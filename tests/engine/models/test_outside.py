"""People's own models: diffusers pipelines that the test saves itself."""

import json
import shutil

import pytest
import torch

from engine import models
from engine.errors import InputError
from engine.models import outside

SIDE = 8


def saved(folder, prediction="epsilon", classes=None, scheduler="DDPMScheduler", **noise):
    """A pipeline of a tiny UNet2DModel with random weights."""
    import diffusers

    torch.manual_seed(1)
    unet = diffusers.UNet2DModel(sample_size=SIDE, in_channels=3, out_channels=3, block_out_channels=(8, 16),
                                 layers_per_block=1, norm_num_groups=4, num_class_embeds=classes,
                                 down_block_types=("DownBlock2D", "DownBlock2D"),
                                 up_block_types=("UpBlock2D", "UpBlock2D"), attention_head_dim=4)
    schedule = getattr(diffusers, scheduler)(prediction_type=prediction, clip_sample=False, **noise)
    diffusers.DDPMPipeline(unet, schedule).save_pretrained(folder)
    return unet.eval(), schedule


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "tiny"
    saved(folder)
    return folder


@pytest.fixture
def copied(tiny, tmp_path):
    """A copy of the tiny pipeline that a test may damage."""
    return shutil.copytree(tiny, tmp_path / "copy")


@pytest.mark.parametrize("prediction, noise", [
    ("epsilon", {}),
    ("v_prediction", {"beta_schedule": "squaredcos_cap_v2"}),
    ("sample", {"beta_schedule": "scaled_linear", "num_train_timesteps": 200}),
    ("v_prediction", {"beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True}),
])
def test_the_denoiser_equals_what_the_scheduler_calls_pred_original_sample(tmp_path, monkeypatch, prediction, noise):
    monkeypatch.setattr("engine.runtime.device.precision", lambda device: torch.float32)
    unet, schedule = saved(tmp_path / "pipe", prediction, **noise)
    loaded = models.load(f"local:{tmp_path / 'pipe'}")
    x = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    count = schedule.config.num_train_timesteps
    schedule.set_timesteps(count)
    for index in (0, count // 3, count - 50):
        with torch.no_grad():
            value = unet(x, index).sample
            expected = schedule.step(value, index, x).pred_original_sample
        got = loaded.denoiser(x, (index + 1) / count)
        # diffusers multiplies its alphas in float32, which at the noisy end costs about 1e-5 relative before 1/alpha.
        torch.testing.assert_close(got, expected, rtol=2e-4, atol=2e-4 * float(expected.abs().max()))


def test_a_class_conditional_model_takes_labels_and_asks_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.runtime.device.precision", lambda device: torch.float32)
    unet, schedule = saved(tmp_path / "pipe", classes=4)
    loaded = models.load(f"local:{tmp_path / 'pipe'}")
    assert loaded.card.classes == [f"class {i}" for i in range(4)]
    x, label = torch.randn(2, 3, SIDE, SIDE), torch.tensor([0, 3])
    with torch.no_grad():
        value = unet(x, 99, class_labels=label).sample
    expected = schedule.step(value, 99, x).pred_original_sample
    torch.testing.assert_close(loaded.denoiser(x, 0.1, label=label), expected, rtol=1e-4, atol=1e-4)
    for wrong in (None, torch.tensor([0, 4])):
        with pytest.raises(InputError, match="without a class"):
            loaded.network(x, torch.tensor([99.0, 99.0]), label=wrong)


def test_the_card_of_an_own_model_names_no_folder(tiny):
    loaded = models.load(f"local:{tiny}")
    assert str(tiny) not in loaded.card.model_dump_json()
    assert loaded.card.prediction == "eps" and loaded.card.resolution_px == SIDE and len(loaded.card.sha256) == 64
    assert next(loaded.network.parameters()).device.type == "cpu"


@pytest.mark.parametrize("file", [outside.INDEX, outside.UNET, outside.SCHEDULER, outside.WEIGHTS])
def test_a_missing_file_is_named(copied, file):
    (copied / file).unlink()
    with pytest.raises(InputError, match=file.split("/")[-1].replace(".", r"\.")):
        models.load(f"local:{copied}")


def test_pickled_weights_are_refused_unread(copied):
    (copied / outside.WEIGHTS).rename(copied / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(InputError, match=r"\.bin are not read"):
        models.load(f"local:{copied}")
    with pytest.raises(InputError, match=r"\.ckpt are not read"):
        models.load(f"local:{copied / 'model.ckpt'}")


@pytest.mark.parametrize("file, change, said", [
    (outside.INDEX, {"vae": ["diffusers", "AutoencoderKL"]}, "also needs vae"),
    (outside.INDEX, {"unet": ["diffusers", "UNet2DConditionModel"]}, "no UNet2DModel"),
    (outside.UNET, {"_class_name": "UNet1DModel"}, "'UNet1DModel'"),
    (outside.UNET, {"block_out_channels": [8, 24]}, "has the shape"),
    (outside.UNET, {"block_out_channels": [8_000_000, 16_000_000]}, "has the shape"),
    (outside.UNET, {"layers_per_block": 10**9}, "layers_per_block is 1000000000"),
    (outside.UNET, {"down_block_types": ["EvilBlock", "DownBlock2D"]}, "cannot be built"),
    (outside.UNET, {"time_embedding_type": "fourier"}, "not supported"),
    (outside.SCHEDULER, {"prediction_type": "flow"}, "prediction_type is 'flow'"),
    (outside.SCHEDULER, {"num_train_timesteps": 10**12}, "num_train_timesteps is 1000000000000"),
    (outside.SCHEDULER, {"beta_schedule": "mystery"}, "table of betas"),
    (outside.SCHEDULER, {"beta_start": "x"}, "no usable betas"),
    (outside.SCHEDULER, {"beta_start": -3.0}, "betas"),
])
def test_configs_that_cannot_be_used_are_refused(copied, file, change, said):
    path = copied / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=said):
        models.load(f"local:{copied}")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="folder is not there"):
        models.load(f"local:{tmp_path / 'nothing'}")


@pytest.mark.parametrize("name", ["hub:", "hub:owner", "hub:../x", "hub:a/b/c", "hub:http://x/y", "hub:a/b@main"])
def test_names_that_are_no_hub_models_are_refused(name):
    with pytest.raises(InputError, match="not a model of the hub"):
        models.load(name)


def test_offline_says_which_files_to_put_where(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError) as caught:
        models.load("hub:owner/name")
    assert all(file in caught.value.fix for file in (outside.INDEX, outside.UNET, outside.SCHEDULER, outside.WEIGHTS))
    assert "local:FOLDER" in caught.value.fix


def test_the_hub_is_asked_for_the_four_files_only(monkeypatch, tiny):
    asked = {}

    def snapshot(repository, **options):
        asked.update(options, repository=repository)
        return str(tiny)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    loaded = models.load("hub:owner/name")
    assert asked["repository"] == "owner/name"
    assert all(pattern.endswith((".json", ".safetensors")) for pattern in asked["allow_patterns"])
    assert loaded.card.name == "hub:owner/name"
