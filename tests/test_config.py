"""The training config: its types, its checks, its files."""

import dataclasses
import json

import numpy as np
import pytest

from fastscratch import models, run
from fastscratch.config import TrainConfig, field_types, known_names, read_config
from fastscratch.models import IDEAS


def test_defaults_are_the_reports_settings():
    config = TrainConfig().validate()
    assert (config.model, config.optimizer, config.loss) == ("baseline", "adam", "cross-entropy")
    assert (config.epochs, config.batch_size, config.lr) == (20, 32, 3e-4)
    assert (config.data, config.subsample, config.augment, config.schedule) == ("auto", 1.0, "none", "constant")


def test_validate_returns_plain_types():
    config = TrainConfig(lr=np.float32(0.5), epochs=np.int64(3), subsample=1, milestones=[1, 2], schedule="multistep")
    config = config.validate()
    assert [type(value) for value in (config.lr, config.epochs, config.subsample)] == [float, int, float]
    assert config.milestones == (1, 2)


def test_every_known_name_is_accepted_and_told_in_the_help():
    documentation = TrainConfig.__doc__
    for field, names in known_names().items():
        assert names, field
        for name in names:
            assert name in documentation, f"the documentation of {field} does not name {name}"
            options = {"milestones": (1,)} if name == "multistep" else {}
            TrainConfig(**{field: name}, **options).validate()


def test_every_idea_is_told_in_the_help():
    for idea in IDEAS:
        assert idea in TrainConfig.__doc__
        assert TrainConfig(model="improved", without=(idea,)).validate().without == (idea,)


def test_every_field_is_documented():
    documentation = TrainConfig.__doc__
    for name in field_types(TrainConfig):
        assert f"\n    {name} : " in documentation


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 2.0}, "epochs must be a whole number, got 2.0"),
        ({"epochs": True}, "epochs must be a whole number, got True"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"threads": "2"}, "threads must be a whole number or None, got '2'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"lr": 0.0}, "lr must be a positive, finite number, got 0.0"),
        ({"lr": float("nan")}, "lr must be a positive, finite number, got nan"),
        ({"lr": float("inf")}, "lr must be a positive, finite number, got inf"),
        ({"lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"weight_decay": -0.1}, "weight_decay must be a finite number of at least 0, got -0.1"),
        ({"subsample": 0.0}, "subsample must be above 0 and at most 1, got 0.0"),
        ({"subsample": 2.0}, "subsample must be above 0 and at most 1, got 2.0"),
        ({"validation": 1.0}, "validation must be at least 0 and below 1, got 1.0"),
        ({"label_smoothing": float("nan")}, "label_smoothing must be at least 0 and below 1, got nan"),
        ({"nesterov": 1}, "nesterov must be true or false, got 1"),
        ({"milestones": "12"}, "milestones must be a list of whole numbers, got '12'"),
        ({"milestones": (1, 2.5)}, "each of milestones must be a whole number, got 2.5"),
        ({"optimizer": "adma"}, "unknown optimizer 'adma'; known: sgd, adam, adamw"),
        ({"data": "cifar11"}, "unknown data 'cifar11'; known: auto, .*, or a folder of images"),
        ({"init": "he"}, "unknown init 'he'; known: torch, "),
        ({"without": ("width",)}, "without belongs to model improved; model is baseline"),
        ({"model": "improved", "without": ("skips",)}, "unknown ideas in without: skips; known: resolution, "),
        ({"model": "improved", "without": (3,)}, "each of without must be text, got 3"),
        ({"momentum": 0.9}, "momentum belongs to optimizer sgd; optimizer is adam"),
        ({"gamma": 0.5}, "gamma belongs to schedule step and multistep; schedule is constant"),
        ({"optimizer": "sgd", "nesterov": True}, "nesterov needs momentum above 0, got momentum 0.0"),
        ({"schedule": "multistep"}, "schedule multistep needs milestones"),
        ({"schedule": "multistep", "milestones": (3, 2)}, r"milestones must be rising epochs .* got \[3, 2\]"),
        ({"schedule": "cosine", "warmup_epochs": 20}, "warmup_epochs must be below epochs, got 20.0 of 20"),
        ({"schedule": "cosine", "final_lr": 1}, "final_lr must not be above lr, got 1.0 and lr 0.0003"),
    ],
)
def test_one_clear_line_for_each_mistake(fields, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}") as raised:
        TrainConfig(**fields).validate()
    assert "\n" not in str(raised.value)


def test_a_config_survives_its_file(tmp_path):
    config = TrainConfig(lr=1e-3, schedule="multistep", milestones=(2, 4), early_stopping=3, out="somewhere")
    (tmp_path / "config.json").write_text(json.dumps(config.to_mapping()))
    for path in (tmp_path, tmp_path / "config.json"):
        assert TrainConfig.from_mapping(read_config(path)) == dataclasses.replace(config, out=None)


def test_toml_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('data = "shapes10"\nbatch-size = 64\nlr = 1\nmilestones = [1, 2]\nschedule = "multistep"\n')
    config = TrainConfig.from_mapping(read_config(file), source=str(file)).validate()
    assert (config.data, config.batch_size, config.lr, config.milestones) == ("shapes10", 64, 1.0, (1, 2))
    assert config.epochs == 20


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.toml", "lr = ", "not valid TOML: Invalid value"),
        ("run.toml", "epoch = 3", "unknown key 'epoch'; did you mean 'epochs'"),
        ("run.toml", "zzz = 3", "unknown key 'zzz'; known: data, subsample"),
        ("run.toml", "batch-size = 3\nbatch_size = 4", "batch_size is given twice"),
        ("run.toml", 'epochs = "3"', "epochs must be a whole number, got '3'"),
        ("run.toml", "[train]\nlr = 3", "unknown key 'train'"),
        ("config.json", "{", "not valid JSON: Expecting property name"),
        ("config.json", "[1, 2]", "must hold names and values, got a list"),
        ("config.json", '{"lr": null}', "lr must be a number, got None"),
        ("config.json", b"\xff\xfe{}", "not valid JSON: 'utf-8' codec can't decode"),
        ("run.yaml", "lr: 3", "must be a .toml or .json file, or the folder of a run"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        TrainConfig.from_mapping(read_config(file), source=str(file))
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot read config .*run\.toml: No such file"):
        read_config(tmp_path / "run.toml")


def test_what_a_resumed_run_may_change():
    config = TrainConfig(schedule="constant")
    assert {"lr", "seed", "data", "batch_size", "model"} <= set(config.fixed_fields())
    assert not {"epochs", "threads", "backend", "out", "resume"} & set(config.fixed_fields())
    assert "epochs" in TrainConfig(schedule="onecycle").fixed_fields()  # its length shapes the whole curve


def test_a_rise_over_nearly_all_epochs_leaves_a_step_to_fall_in():
    """Three steps an epoch: 1.9 epochs are 5.7 steps, which would round to all six."""
    config = TrainConfig(schedule="cosine", epochs=2, warmup_epochs=1.9)
    model = models.of_config(config, (32, 32, 3), 10)
    schedule = run.make_schedule(config, run.make_optimizer(config, model), steps_per_epoch=3)
    assert schedule.warmup_steps == 5
