"""The processor is named where the system knows its name, and something is said where it does not."""

import pytest

from fastscratch.training import machine

CPUINFO = {"x86": "processor\t: 0\nmodel name\t: Some CPU @ 3\n", "arm64": "processor\t: 0\nCPU part\t: 0xd0c\n"}
LSCPU = "Architecture: aarch64\nModel name:  Some Core\n"


@pytest.mark.parametrize(
    ("cpuinfo", "platform", "said", "name"),
    [
        (CPUINFO["x86"], "linux", {}, "Some CPU @ 3"),
        (CPUINFO["arm64"], "linux", {"lscpu": LSCPU}, "Some Core"),
        (CPUINFO["arm64"], "linux", {"lscpu": "Architecture: aarch64\n"}, "family"),
        (CPUINFO["arm64"], "linux", {}, "family"),
        (None, "darwin", {"sysctl": "Some M\n"}, "Some M"),
        (None, "win32", {}, "family"),
    ],
)
def test_the_processor_is_named(monkeypatch, tmp_path, cpuinfo, platform, said, name):
    place = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        place.write_text(cpuinfo)
    monkeypatch.setattr(machine, "Path", lambda path: place)
    monkeypatch.setattr(machine.sys, "platform", platform)
    monkeypatch.setattr(machine.platform, "processor", lambda: "family")
    monkeypatch.setattr(machine, "_said_by", lambda command, *arguments: said.get(command, ""))
    assert machine.cpu_name() == name


def test_a_command_that_is_missing_says_nothing():
    assert machine._said_by("no-such-command", "-x") == ""
    assert machine._said_by("echo", "a") == "a\n"
